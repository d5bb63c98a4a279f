"""What the loop hears: profiles, hypotheses and second opinions, of those that are still missing.

Works through the ports, so that it runs where the engine says; every finished block is committed,
and a killed process loses no more than the block that each lane had in hand. Knows nothing of
rounds, or of what is done with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any

from al_loop.ports import Engine, Recognizer, Store
from al_loop.records import Alternatives, Checkpoint, Doubt, Utterance, WordConfidence


@dataclass(slots=True)
class Pace:
    """How to do a part of some work. over: whether time is up, looked at before every block.

    shuffled: the blocks in an order in which what is left over is not all of one length. workers:
    those that were made, by what they do and with which checkpoint; each is made once, however
    many parts there are.
    """

    over: Callable[[], bool]
    shuffled: Callable[[list[list[Utterance]]], list[list[Utterance]]]
    workers: dict[tuple[str, str], Any] = field(default_factory=dict)

    def once(self, what: tuple[str, str], make_worker: Callable[[], Any]) -> Callable[[], Any]:
        def make() -> Any:
            if what not in self.workers:
                self.workers[what] = make_worker()
            return self.workers[what]

        return make


class Listening:
    """`say` takes lines about progress."""

    def __init__(
        self,
        store: Store,
        engine: Engine,
        recognizer: Callable[[], Recognizer],
        say: Callable[[str], None],
    ) -> None:
        self.store = store
        self.engine = engine
        self.recognizer = recognizer
        self.say = say

    def profile(
        self,
        base: Checkpoint,
        encoder: str,
        related: Sequence[str],
        utterances: Sequence[Utterance] | None = None,
        pace: Pace | None = None,
    ) -> int:
        """Profile what has no profile, with the untrained checkpoint. Returns how many it did.

        utterances: by default the pool and the train split; only such as have no profile.
        A clip whose embedding is of no use is named, and compared with no other.
        """
        missing = self.store.unprofiled(encoder) if utterances is None else utterances
        make = lambda: self.recognizer().profiler(base.path, encoder, related)  # noqa: E731
        done = 0
        for profiles in self._blocks("profiled", base, missing, make, pace):
            done += len(profiles)
            for utterance_id in self.store.add_profiles(encoder, profiles):
                self.say(
                    f"  warning: the embedding of {utterance_id} by {encoder} has values that are "
                    "not finite, so it is compared with no other clip; listen to it, and name "
                    "another encoder in embedding.encoder if it is sound"
                )
        return done

    def listen(
        self, checkpoint: Checkpoint, utterances: Sequence[Utterance], pace: Pace | None = None
    ) -> int:
        """Decode what the checkpoint has not heard yet. Returns how many it decoded."""
        if not utterances:
            return 0
        heard = self.store.heard(checkpoint.id, [row.id for row in utterances])
        missing = [row for row in utterances if row.id not in heard]
        done = 0
        make = lambda: self.recognizer().listener(checkpoint.path)  # noqa: E731
        for hypotheses in self._blocks("heard", checkpoint, missing, make, pace):
            self.store.add_hypotheses(checkpoint.id, hypotheses)
            done += len(hypotheses)
        return done

    def doubt(
        self,
        checkpoint: Checkpoint,
        utterances: Sequence[Utterance],
        doubt: Doubt,
        keep: Callable[[Sequence[Alternatives]], None] = lambda rows: None,
    ) -> Mapping[str, Alternatives]:
        """Decode again, as `doubt` says, beside what was heard before; the store keeps none of it.

        keep: gets what came of every block before the next one is done.
        """
        found: dict[str, Alternatives] = {}
        make = lambda: self.recognizer().doubter(checkpoint.path, doubt)  # noqa: E731
        for alternatives in self._blocks(
            "doubted", checkpoint, utterances, make, texts=doubt.count
        ):
            keep(alternatives)
            found |= {row.utterance_id: row for row in alternatives}
        heard = self.store.hypotheses(checkpoint.id, found)
        return {
            name: replace(row, heard=heard[name].text) if name in heard else row
            for name, row in found.items()
        }

    def confide(
        self, checkpoint: Checkpoint, texts: Mapping[str, str]
    ) -> Mapping[str, WordConfidence]:
        """How sure the checkpoint is of each word of these texts, which are by utterance id."""
        found: dict[str, WordConfidence] = {}
        utterances = self.store.utterances(texts)
        make = lambda: self.recognizer().confider(checkpoint.path, texts)  # noqa: E731
        for confidences in self._blocks("weighed", checkpoint, utterances, make):
            found |= {row.utterance_id: row for row in confidences}
        return found

    def _blocks(
        self,
        done_what: str,
        checkpoint: Checkpoint,
        utterances: Sequence[Utterance],
        make_worker: Callable[[], Callable[[Sequence[Utterance]], list[Any]]],
        pace: Pace | None = None,
        texts: int = 1,
    ) -> Iterator[list[Any]]:
        """What came of each block; the caller commits it before it asks for the next."""
        if not utterances:  # nothing heavy is loaded for it
            return
        blocks = self.recognizer().blocks(checkpoint.path, utterances, texts)
        wanted: Iterator[list[Utterance]] = iter(blocks)
        if pace is not None:
            make_worker = pace.once((done_what, checkpoint.id), make_worker)
            over = pace.over
            # what is begun is finished and kept
            wanted = takewhile(lambda _: not over(), pace.shuffled(blocks))
        done = 0
        for rows in self.engine.map(make_worker, wanted):
            yield rows
            done += len(rows)
            self.say(f"  {done_what} {done} of {len(utterances)} clips")
