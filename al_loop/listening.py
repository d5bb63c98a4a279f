"""What the loop hears: profiles, hypotheses and second opinions, of those that are still missing.

Works through the ports, so that it runs where the engine says; every finished block is committed,
and a killed process loses no more than the block that each lane had in hand. Knows nothing of
rounds, or of what is done with it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import takewhile
from typing import Any

from al_loop.logs import each_about
from al_loop.ports import Engine, Recognizer, Store
from al_loop.progress import Tally
from al_loop.records import Alternatives, Checkpoint, Doubt, Room, Utterance, WordConfidence
from al_loop.refusals import Refused

WITNESSES = 3
"""Ours: other clips that are tried, where nothing was done behind one that cannot be worked on."""


class Once:
    """Makes one worker, however often it is asked; another process makes one of its own."""

    kept = True

    def __init__(self, make_worker: Callable[[], Any]) -> None:
        self.make_worker = make_worker
        self.worker: Any = None

    def __call__(self) -> Any:
        if self.worker is None:
            self.worker = self.make_worker()
        return self.worker

    def __reduce__(self) -> tuple[type[Once], tuple[Callable[[], Any]]]:
        return Once, (self.make_worker,)


@dataclass(slots=True)
class Pace:
    """How to do a part of some work. over: whether time is up, looked at before every block.

    shuffled: the blocks in an order in which what is left over is not all of one length. makers: of
    workers that are made once however many parts there are, by what they do and with which
    checkpoint.
    """

    over: Callable[[], bool]
    shuffled: Callable[[list[list[Utterance]]], list[list[Utterance]]]
    makers: dict[tuple[str, str], Once] = field(default_factory=dict)

    def once(self, what: tuple[str, str], make_worker: Callable[[], Any]) -> Once:
        return self.makers.setdefault(what, Once(make_worker))


class Listening:
    """`recognizer` must pickle, for workers may be made in other processes. `say` takes lines about
    progress."""

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
        self._room: Room | None = None

    @property
    def room(self) -> Room:
        """What a worker has for a block: the workers are alike, this process need not be. Asked
        for once, for the asking may start a worker and drop those that are kept."""
        if self._room is None:
            self._room = self.engine.run(partial(room_of, self.recognizer))
        return self._room

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
        A clip whose embedding is of no use is named, and compared with no other; one of the pool
        that cannot be worked on is written down as unhearable.
        """
        missing = self.store.unprofiled(encoder) if utterances is None else utterances
        make = partial(profiler_of, self.recognizer, base.path, encoder, related)
        done = 0
        refused = self.refusals(base)
        for profiles in self._blocks("profiled", base, missing, make, pace, refused=refused):
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
        """Decode what the checkpoint has not heard yet. Returns how many it decoded.

        A clip of the pool that cannot be decoded is written down as unhearable; any other raises.
        """
        if not utterances:
            return 0
        heard = self.store.heard(checkpoint.id, [row.id for row in utterances])
        missing = [row for row in utterances if row.id not in heard]
        done = 0
        make = partial(listener_of, self.recognizer, checkpoint.path)
        refused = self.refusals(checkpoint)
        for hypotheses in self._blocks("heard", checkpoint, missing, make, pace, refused=refused):
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

        keep: gets what came of every block before the next one is done. A clip of the pool that
        cannot be decoded is written down as unhearable, and left out; any other raises.
        """
        found: dict[str, Alternatives] = {}
        make = partial(doubter_of, self.recognizer, checkpoint.path, doubt)
        for alternatives in self._blocks(
            "doubted",
            checkpoint,
            utterances,
            make,
            texts=doubt.count,
            refused=self.refusals(checkpoint),
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
        """How sure the checkpoint is of each word of these texts, which are by utterance id.

        A clip of the pool that cannot be worked on is written down as unhearable, and left out;
        any other raises.
        """
        found: dict[str, WordConfidence] = {}
        utterances = self.store.utterances(texts.keys() - self.store.unhearable().keys())
        make = partial(confider_of, self.recognizer, checkpoint.path, texts)
        refused = self.refusals(checkpoint)
        for confidences in self._blocks("weighed", checkpoint, utterances, make, refused=refused):
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
        refused: Refused | None = None,
    ) -> Iterator[list[Any]]:
        """What came of each block; the caller commits it before it asks for the next."""
        if not utterances:  # nothing heavy is loaded for it
            return
        blocks = self.recognizer().blocks(checkpoint.path, utterances, self.room, texts)
        wanted: Iterator[list[Utterance]] = iter(blocks)
        if pace is not None:
            make_worker = pace.once((done_what, checkpoint.id), make_worker)
            over = pace.over
            # what is begun is finished and kept
            wanted = takewhile(lambda _: not over(), pace.shuffled(blocks))
        total = len(utterances)
        said = 0
        tally = Tally(self.store, done_what, total, self.engine.actors)
        try:
            results = self.engine.map(make_worker, wanted, refused)
            for rows in each_about(results, what=done_what):
                yield rows
                if tally.add(len(rows)):
                    said = tally.done
                    self.say(f"  {done_what} {said} of {total} clips")
                if refused is not None:
                    refused.keep(tally.done)
        finally:
            tally.end()
        if said < tally.done:
            self.say(f"  {done_what} {tally.done} of {total} clips")
        if refused is not None:
            for line in refused.end():
                self.say(line)

    def refusals(self, checkpoint: Checkpoint) -> Refused:
        """For one run, with that checkpoint."""
        return Refused(self.store, partial(self._hears_another, checkpoint))

    def _hears_another(self, checkpoint: Checkpoint, but: Collection[str]) -> bool:
        """Whether any of a few clips is heard, but for those with these ids: of an evaluation set,
        which every round hears, or else of the pool."""
        rows = self.store.evaluation_utterances() or self.store.pool()
        others = [[row] for row in rows if row.id not in but][:WITNESSES]
        if not others:
            return False
        make = partial(listener_of, self.recognizer, checkpoint.path)
        heard = self.engine.map(make, others, lambda *_: None)
        return any(True for _ in heard)


def room_of(recognizer: Callable[[], Recognizer]) -> Room:
    return recognizer().room()


def profiler_of(
    recognizer: Callable[[], Recognizer], checkpoint: str, encoder: str, related: Collection[str]
) -> Any:
    return recognizer().profiler(checkpoint, encoder, related)


def listener_of(recognizer: Callable[[], Recognizer], checkpoint: str) -> Any:
    return recognizer().listener(checkpoint)


def doubter_of(recognizer: Callable[[], Recognizer], checkpoint: str, doubt: Doubt) -> Any:
    return recognizer().doubter(checkpoint, doubt)


def confider_of(
    recognizer: Callable[[], Recognizer], checkpoint: str, texts: Mapping[str, str]
) -> Any:
    return recognizer().confider(checkpoint, texts)
