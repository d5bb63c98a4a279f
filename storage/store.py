"""The one writer of a workspace's database. Knows SQL; knows neither torch nor Label Studio.

Each group of tables has a module with a class of its own, and the store is all of them over one
connection. A group that calls methods of another is made over it:

    database     the connection, migrations, `transaction()`
    ├── catalogue    sources, utterances, refusals
    │   ├── projects     Label Studio's projects, and how far each was read
    │   │   └── tasks        what annotators are asked
    │   │       ├── answers      annotations and labels
    │   │       └── evalsets     evaluation sets that are being drawn (over hypotheses too)
    │   ├── pseudo_labels    texts that recognisers agree on (over hypotheses too)
    │   ├── staleness    when each clip was heard last, and what of (over hypotheses too)
    │   └── profiles     what each utterance sounds like; the files of embeddings
    │       ├── pools        the pool as columns of numbers (over hypotheses too)
    │       └── reports      answers with what was shown, learning curves, reports
    ├── makers       the models that made what training may use
    ├── known        what could be asked although its answer is known
    ├── hypotheses   what each checkpoint heard; the files of those of the pool
    │   ├── selections   query batches, what the gates hold back, what was released
    │   └── checkpoints  checkpoints, their folders and their error rates
    │       └── promotions   which checkpoint is in use, which ones keep their weights
    │           └── rounds       rounds, stages and their failures
    ├── unhearable   what no worker could work on
    ├── manifests    training sets, their mixtures and leaks
    ├── learned      what recognisers beside the checkpoints have learned
    ├── progress     how far the work in hand is
    ├── simulations  simulated loops
    └── ablations    what models reached that learned from a part of the sources
"""

from __future__ import annotations

from storage.ablations import Ablations
from storage.answers import Answers
from storage.evalsets import Evalsets
from storage.known import Known
from storage.learned import Learned
from storage.makers import Makers
from storage.manifests import Manifests
from storage.pools import Pools
from storage.progress import Progress
from storage.pseudo_labels import PseudoLabels
from storage.reports import Reports
from storage.rounds import Rounds
from storage.selections import Selections
from storage.simulations import Simulations
from storage.staleness import Staleness
from storage.unhearable import Unhearable


class Store(
    Answers,
    Evalsets,
    Known,
    Makers,
    Selections,
    Unhearable,
    Learned,
    PseudoLabels,
    Staleness,
    Pools,
    Reports,
    Manifests,
    Rounds,
    Progress,
    Simulations,
    Ablations,
):
    """All that the loop remembers: the port `al_loop.ports.Store`, and what the commands need."""
