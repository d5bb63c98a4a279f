"""What is heard where: clips that no worker can work on are left out one by one, and never a whole
pool."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from al_loop.config import Settings
from al_loop.engine.local import LocalEngine
from al_loop.errors import AudioError, ConfigError, EngineError
from al_loop.listening import Listening
from al_loop.pseudo_readings import Ears
from al_loop.records import (
    Alternatives,
    Checkpoint,
    Doubt,
    Hypothesis,
    Room,
    Source,
    Split,
    Utterance,
    WordConfidence,
)
from al_loop.refusals import ALWAYS_BEARABLE
from storage.store import Store
from tests.fakes import FakeRecognizer, FakeSpeller, clips, hear

CHECKPOINT = Checkpoint("c", "checkpoints/c", None, {})
PERTURBED = Doubt("perturbed", 2, 0.1, 0)


class Choosy(FakeRecognizer):
    """Cannot read the clips with these ids, and none at all when it has worked on `lost_after`."""

    def __init__(self, root: Path, unreadable: set[str], lost_after: int = 10**9) -> None:
        super().__init__(root)
        self.unreadable = unreadable
        self.left = lost_after

    def listener(self, checkpoint: str) -> Callable[[Sequence[Utterance]], list[Hypothesis]]:
        return lambda block: [hear(row.id, 1) for row in self.read(block)]

    def doubter(
        self, checkpoint: str, doubt: Doubt
    ) -> Callable[[Sequence[Utterance]], list[Alternatives]]:
        return lambda block: [Alternatives(row.id, ("бир",), (0.0,)) for row in self.read(block)]

    def confider(
        self, checkpoint: str, texts: Mapping[str, str]
    ) -> Callable[[Sequence[Utterance]], list[WordConfidence]]:
        return lambda block: [WordConfidence(row.id, texts[row.id], ()) for row in self.read(block)]

    def read(self, block: Sequence[Utterance]) -> Sequence[Utterance]:
        if self.left < len(block) or self.unreadable & {row.id for row in block}:
            raise AudioError("corrupt", "cannot be decoded")
        self.left -= len(block)
        return block


def listening(store: Store, recognizer: Choosy, said: list[str]) -> Listening:
    return Listening(store, LocalEngine(), lambda: recognizer, said.append)


def put(store: Store, split: Split, count: int) -> list[Utterance]:
    rows = clips("radio", split, count)
    store.put_source(Source("radio", "open_source", "ky"))
    store.add(rows, [])
    store.put_checkpoint(CHECKPOINT)
    return rows


def listen(store: Store, split: Split, unreadable: int, count: int) -> tuple[int, list[str]]:
    rows, said = put(store, split, count), list[str]()
    recognizer = Choosy(store.workspace.root, {row.id for row in rows[:unreadable]})
    return listening(store, recognizer, said).listen(CHECKPOINT, rows), said


def test_what_cannot_be_read_is_written_down_and_left_out_until_it_is_released(
    store: Store,
) -> None:
    done, said = listen(store, "pool", unreadable=2, count=12)
    assert done == 10
    found = store.unhearable()
    assert list(found.values()) == [("corrupt", "cannot be decoded")] * 2
    assert not {row.id for row in store.pool()} & set(found)
    assert [row.id for row in store.unprofiled("whisper")] == [row.id for row in store.pool()]
    assert set(store.scored_pool("c", "whisper").ids.astype(str)) == {
        row.id for row in store.pool()
    }
    first, second = found
    assert f"  {first} is left out from here on: corrupt: cannot be decoded" in said
    store.release(first, "the file is back")
    assert list(store.unhearable()) == [second]
    store.add(store.utterances([second]), [])  # ingested anew
    assert store.unhearable() == {}
    assert store.has_pool()


def test_a_disk_that_is_not_there_refuses_nobody(store: Store) -> None:
    count = 3 * ALWAYS_BEARABLE
    with pytest.raises(EngineError, match="11 clips cannot be worked on and 0 could"):
        listen(store, "pool", unreadable=count, count=count)
    assert store.unhearable() == {}


def test_a_clip_that_somebody_counts_on_ends_the_work(store: Store) -> None:
    with pytest.raises(AudioError, match=r"corrupt: .*cannot be decoded"):
        listen(store, "test", unreadable=1, count=6)
    assert store.unhearable() == {}


class Elsewhere(LocalEngine):
    """Does everything with what comes out of a pickle, as an engine with other processes does."""

    def __init__(self) -> None:
        self.asked = 0
        self.sizes: list[int] = []

    def map(self, make_worker: Any, blocks: Any, refuse: Any = None) -> Iterator[Any]:
        def taken() -> Iterator[Any]:
            for block in blocks:
                self.sizes.append(len(block))
                yield block

        return super().map(pickle.loads(pickle.dumps(make_worker)), taken(), refuse)

    def run(self, work: Any, processes: int = 1) -> Any:
        self.asked += 1
        return pickle.loads(pickle.dumps(work))()


class Deviceless(FakeRecognizer):
    """A driver's, which lacks the device that the settings name."""

    def room(self) -> Room:
        raise ConfigError("model.device = 'cuda', but torch finds only cpu")

    def listener(self, checkpoint: str) -> Any:
        raise AssertionError("the driver hears nothing itself")


class Roomy(FakeRecognizer):
    """A worker's."""

    def room(self) -> Room:
        return Room(bytes=8, distributions=None)

    def listener(self, checkpoint: str) -> Any:
        return lambda block: [hear(row.id, 1) for row in block]


class Apart:
    """Makes one recogniser here, and another kind in a worker."""

    def __init__(self, kind: type[FakeRecognizer], root: Path) -> None:
        self.kind = kind
        self.root = root

    def __call__(self) -> FakeRecognizer:
        return self.kind(self.root)

    def __reduce__(self) -> Any:
        return Apart, (Roomy, self.root)


def test_blocks_are_as_large_as_a_worker_has_room_for_which_it_is_asked_once(store: Store) -> None:
    rows, engine = clips("radio", "pool", 20), Elsewhere()
    store.put_source(Source("radio", "open_source", "ky"))
    store.add(rows, [])
    store.put_checkpoint(CHECKPOINT)
    recognizer = Apart(Deviceless, store.workspace.root)
    with pytest.raises(ConfigError, match=r"model\.device"):
        recognizer().room()
    listening = Listening(store, engine, recognizer, lambda line: None)
    assert listening.listen(CHECKPOINT, []) == 0
    assert engine.asked == 0
    assert listening.listen(CHECKPOINT, rows[:17]) == 17
    assert listening.listen(CHECKPOINT, rows) == 3
    assert (engine.asked, engine.sizes) == (1, [8, 8, 1, 3])


@pytest.mark.parametrize("count", [1, 2, 8])
def test_a_pool_of_which_nothing_can_be_read_is_not_left_out(store: Store, count: int) -> None:
    with pytest.raises(EngineError, match=f"the last {count} clips .* corrupt: cannot be decoded"):
        listen(store, "pool", unreadable=count, count=count)
    assert store.unhearable() == {}
    assert len(store.pool()) == count


def test_what_fails_when_a_disk_is_lost_near_the_end_is_not_left_out(store: Store) -> None:
    rows = put(store, "pool", 400)
    recognizer = Choosy(store.workspace.root, set(), lost_after=380)
    with pytest.raises(EngineError, match="the last 20 clips cannot be worked on"):
        listening(store, recognizer, []).listen(CHECKPOINT, rows)
    assert store.unhearable() == {}
    assert len(store.hypotheses("c", [row.id for row in rows])) == 380


def test_clips_that_are_left_over_because_they_cannot_be_read_are_left_out(store: Store) -> None:
    rows = put(store, "pool", 12)
    recognizer = Choosy(store.workspace.root, {row.id for row in rows[:4]})
    here = listening(store, recognizer, [])
    assert here.listen(CHECKPOINT, rows[4:]) == 8
    assert here.listen(CHECKPOINT, rows) == 0
    assert set(store.unhearable()) == recognizer.unreadable


def test_the_last_clip_of_a_pool_is_left_out_where_an_evaluation_set_is_heard(
    store: Store,
) -> None:
    (bad,) = put(store, "pool", 1)
    store.add(clips("radio", "test", 2), [])
    here = listening(store, Choosy(store.workspace.root, {bad.id}), [])
    assert here.listen(CHECKPOINT, [bad]) == 0
    assert list(store.unhearable()) == [bad.id]


def test_a_second_opinion_is_done_without_what_cannot_be_read(store: Store) -> None:
    rows = put(store, "pool", 12)
    bad, *good = [row.id for row in rows]
    here = listening(store, Choosy(store.workspace.root, {bad}), [])
    kept: list[str] = []
    found = here.doubt(
        CHECKPOINT, rows, PERTURBED, lambda done: kept.extend(row.utterance_id for row in done)
    )
    assert sorted(found) == sorted(kept) == sorted(good)
    assert store.unhearable() == {bad: ("corrupt", "cannot be decoded")}


def test_words_are_weighed_without_what_cannot_be_read_and_it_is_tried_once(store: Store) -> None:
    rows = put(store, "pool", 12)
    bad, *good = [row.id for row in rows]
    recognizer = Choosy(store.workspace.root, {bad})
    here = listening(store, recognizer, [])
    assert sorted(here.confide(CHECKPOINT, {row.id: "бир" for row in rows})) == sorted(good)
    assert list(store.unhearable()) == [bad]
    recognizer.unreadable = set()
    assert here.confide(CHECKPOINT, {bad: "бир"}) == {}


class ChoosySpeller(FakeSpeller):
    def __init__(self, unreadable: str) -> None:
        super().__init__()
        self.unreadable = unreadable

    def spell(self, block: Any) -> Any:
        if self.unreadable in {row.id for row, _ in block}:
            raise AudioError("corrupt", "cannot be decoded")
        return super().spell(block)


def test_what_cannot_be_read_is_spelled_by_nobody_and_the_others_are(store: Store) -> None:
    rows, said = put(store, "pool", 12), list[str]()
    bad, *good = [row.id for row in rows]
    settings = Settings()
    rule = settings.pseudo_labels.model_copy(update={"recognisers": ["spelling"]})
    settings = settings.model_copy(update={"pseudo_labels": rule})
    here = listening(store, Choosy(store.workspace.root, set()), said)
    speller = ChoosySpeller(bad)
    ears = Ears(settings, store, here, lambda: speller, said.append)
    heard = ears.hear(CHECKPOINT, rows).clips
    assert sorted(name for name, row in heard.items() if "spelling" in row.texts) == sorted(good)
    assert f"  {bad} is left out from here on: corrupt: cannot be decoded" in said
    assert list(store.unhearable()) == [bad]
