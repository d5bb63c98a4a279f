"""Parts of one recording that share its time: what was aligned twice, or is test and training too.

Other cuts of the same audio have other bytes and other texts, so only their times give them away.
Knows no audio, and no SQL.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from al_loop.audio import MAX_DURATION_S
from al_loop.errors import AudioError
from al_loop.groups import cut_from
from al_loop.records import HELD_OUT, RESERVED, SourceKind, Split, Utterance

EDGE_S = 0.05
"""What two neighbours may share: lists round their times."""
SHARE = 0.2
"""Of the shorter one. What is aligned anew is cut elsewhere, but at the same pauses. Ours."""
ALIGNED: SourceKind = "forced_alignment"
TOO_LATE = (
    "; import the test, or align the book, before its recording goes into the pool, or use a "
    "workspace of its own"
)


class Part(NamedTuple):
    """A clip that was cut out of a recording, from `start_s` up to `end_s`. kind: its source's."""

    start_s: float
    end_s: float
    id: str
    origin: str
    split: Split
    source: str
    kind: SourceKind


class Overlaps:
    """The parts of recordings, those `put` and those that `find` has, in the order of `Part`."""

    def __init__(self, find: Callable[[str], Iterable[tuple[Any, ...]]]) -> None:
        self._find = find
        self._parts: dict[str, list[Part]] = {}

    def forget(self) -> None:
        """Ask anew: what was put is found by now."""
        self._parts.clear()

    def check(
        self, new: Utterance, kind: SourceKind, recording: str, whole: Part | None = None
    ) -> None:
        """Raises AudioError when the clip may not stand beside another part of its recording.

        recording: what parts of the clip are named after, if it is a whole file. whole: the
        recording itself, where it is a clip too. What is measured on shares no moment with what is
        not. An alignment shares no more than the fifth of a clip with any other: the same words
        would be learned twice.
        """
        part = part_of_recording(new, kind)
        if part is not None:
            recording = cut_from(new.origin) or recording
        elif new.start_s is None:
            part = whole_recording(new, kind)
        else:
            return
        parts = self._of(recording)
        # no part is longer than a clip may be
        first = bisect_left(parts, (part.start_s - MAX_DURATION_S - 1,))
        behind = bisect_left(parts, (part.end_s,))
        for old in (*parts[first:behind], *([whole] if whole else ())):
            if old.id != part.id and _conflict(part, old):
                what = f"{old.origin}, of {old.source}, has part of the same audio"
                advice = TOO_LATE if old.split == "pool" and new.split != "pool" else ""
                if old.split in (*HELD_OUT, RESERVED):
                    raise AudioError(
                        "in_evaluation_set",
                        f"{what}, and is {'kept for' if old.split == RESERVED else 'in'} an "
                        "evaluation set",
                    )
                raise AudioError("overlaps", f"{what}, in the {old.split} split{advice}")

    def put(self, new: Utterance, kind: SourceKind) -> None:
        """The clip is taken in, and will be found later on."""
        part = part_of_recording(new, kind)
        if part is not None:
            insort(self._of(cut_from(new.origin) or new.origin), part)

    def _of(self, recording: str) -> list[Part]:
        if recording not in self._parts:
            found = map(Part._make, self._find(recording))
            self._parts[recording] = sorted(
                row for row in found if cut_from(row.origin) == recording
            )
        return self._parts[recording]


def part_of_recording(row: Utterance, kind: SourceKind) -> Part | None:
    """Where in its recording a clip lies; None: it is no part of one."""
    if row.start_s is None or not cut_from(row.origin):
        return None
    end_s = row.start_s + row.duration_s
    return Part(row.start_s, end_s, row.id, row.origin, row.split, row.source, kind)


def whole_recording(row: Utterance, kind: SourceKind) -> Part:
    """A recording that is a clip itself, as a part of itself."""
    return Part(0.0, row.duration_s, row.id, row.origin, row.split, row.source, kind)


def _conflict(new: Part, old: Part) -> bool:
    shared_s = min(new.end_s, old.end_s) - max(new.start_s, old.start_s)
    if (new.split in HELD_OUT) != (old.split in HELD_OUT):
        both_measure = new.split in HELD_OUT and old.split == RESERVED
        return shared_s > EDGE_S and not both_measure
    if old.split == RESERVED:
        return shared_s > EDGE_S
    shorter_s = min(new.end_s - new.start_s, old.end_s - old.start_s)
    aligned = ALIGNED in (new.kind, old.kind) and new.split not in HELD_OUT
    return aligned and shared_s > SHARE * shorter_s
