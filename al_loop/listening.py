"""What the loop hears: profiles, hypotheses and second opinions, of those that are still missing.

Works through the ports, so that it runs where the engine says; every finished block is committed,
and a killed process loses one block at most. Knows nothing of rounds, or of what is done with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from al_loop.ports import Engine, Recognizer, Store
from al_loop.records import Alternatives, Checkpoint, Doubt, Utterance


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

    def profile(self, base: Checkpoint, encoder: str, related: Sequence[str]) -> None:
        """Profile the pool and the train split, with the untrained checkpoint.

        A clip whose embedding is of no use is named, and compared with no other.
        """
        missing = self.store.unprofiled(encoder)
        make = lambda: self.recognizer().profiler(base.path, encoder, related)  # noqa: E731
        for profiles in self._blocks("profiled", missing, make):
            for utterance_id in self.store.add_profiles(encoder, profiles):
                self.say(
                    f"  warning: the embedding of {utterance_id} by {encoder} has values that are "
                    "not finite, so it is compared with no other clip; listen to it, and name "
                    "another encoder in embedding.encoder if it is sound"
                )

    def listen(self, checkpoint: Checkpoint, utterances: Sequence[Utterance]) -> None:
        """Decode what the checkpoint has not heard yet."""
        if not utterances:
            return
        heard = self.store.heard(checkpoint.id, [row.id for row in utterances])
        missing = [row for row in utterances if row.id not in heard]
        for hypotheses in self._blocks(
            "heard", missing, lambda: self.recognizer().listener(checkpoint.path)
        ):
            self.store.add_hypotheses(checkpoint.id, hypotheses)

    def doubt(
        self, checkpoint: Checkpoint, utterances: Sequence[Utterance], doubt: Doubt
    ) -> Mapping[str, Alternatives]:
        """Decode again, as `doubt` says, beside what was heard before; nothing of it is kept."""
        found: dict[str, Alternatives] = {}
        for alternatives in self._blocks(
            "doubted", utterances, lambda: self.recognizer().doubter(checkpoint.path, doubt)
        ):
            found |= {row.utterance_id: row for row in alternatives}
        heard = self.store.hypotheses(checkpoint.id, found)
        return {
            name: replace(row, heard=heard[name].text) if name in heard else row
            for name, row in found.items()
        }

    def _blocks(
        self,
        done_what: str,
        utterances: Sequence[Utterance],
        make_worker: Callable[[], Callable[[Sequence[Utterance]], list[Any]]],
    ) -> Iterator[list[Any]]:
        if not utterances:  # nothing heavy is loaded for it
            return
        done = 0
        for rows in self.engine.map(make_worker, self.recognizer().blocks(utterances)):
            yield rows
            done += len(rows)
            self.say(f"  {done_what} {done} of {len(utterances)} clips")
