"""The one writer of a workspace's database. Knows SQL; knows neither torch nor Label Studio.

Each group of tables has a module with a class of its own, and the store is all of them over one
connection. A group that calls methods of another is made over it:

    database     the connection, migrations, `transaction()`
    ├── catalogue    sources, utterances, refusals
    │   ├── projects     Label Studio's projects, and how far each was read
    │   │   └── tasks        what annotators are asked
    │   │       ├── answers      annotations and labels
    │   │       └── evalsets     evaluation sets that are being drawn
    │   ├── pseudo_labels    texts that recognisers agree on
    │   ├── staleness    when each clip was heard last, and what of
    │   └── profiles     what each utterance sounds like; the files of embeddings
    │       ├── pools        the pool as columns of numbers
    │       └── reports      answers with what was shown, learning curves, reports
    ├── makers       the models that made what training may use
    ├── known        what could be asked although its answer is known
    ├── hypotheses   what each checkpoint heard
    ├── selections   query batches, what the gates hold back, what was released
    ├── manifests    training sets, their mixtures and leaks
    ├── learned      what recognisers beside the checkpoints have learned
    ├── checkpoints  checkpoints, their folders and their error rates
    │   └── promotions   which checkpoint is in use, which ones keep their weights
    │       └── rounds       rounds, stages and their failures
    ├── simulations  simulated loops
    └── ablations    what models reached that learned from a part of the sources
"""

from __future__ import annotations

from storage.ablations import Ablations
from storage.answers import Answers
from storage.evalsets import Evalsets
from storage.hypotheses import Hypotheses
from storage.known import Known
from storage.learned import Learned
from storage.makers import Makers
from storage.manifests import Manifests
from storage.pools import Pools
from storage.pseudo_labels import PseudoLabels
from storage.reports import Reports
from storage.rounds import Rounds
from storage.selections import Selections
from storage.simulations import Simulations
from storage.staleness import Staleness


class Store(
    Answers,
    Evalsets,
    Known,
    Makers,
    Selections,
    Hypotheses,
    Learned,
    PseudoLabels,
    Staleness,
    Pools,
    Reports,
    Manifests,
    Rounds,
    Simulations,
    Ablations,
):
    """All that the loop remembers: the port `al_loop.ports.Store`, and what the commands need."""
