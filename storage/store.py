"""The one writer of a workspace's database. Knows SQL; knows neither torch nor Label Studio.

Each group of tables has a module with a class of its own, and the store is all of them over one
connection. A group that calls methods of another is made over it:

    database     the connection, migrations, `transaction()`
    ├── catalogue    sources, utterances, refusals
    │   └── answers      query batches, annotations, labels; Label Studio's project
    ├── hypotheses   what each checkpoint heard
    ├── manifests    training sets, their mixtures and leaks
    └── checkpoints  checkpoints, their folders and their error rates
        └── promotions   which checkpoint is in use, which ones keep their weights
            └── rounds       rounds, stages and their failures
"""

from __future__ import annotations

from storage.answers import Answers
from storage.hypotheses import Hypotheses
from storage.manifests import Manifests
from storage.rounds import Rounds


class Store(Answers, Hypotheses, Manifests, Rounds):
    """All that the loop remembers: the port `al_loop.ports.Store`, and what the commands need."""
