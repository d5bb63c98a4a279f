"""The clips of a run that no worker could work on: which are left out, and when none is.

Works through the port of the store. Knows not what the work is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from al_loop.errors import AudioError, EngineError
from al_loop.logs import LOG
from al_loop.ports import Store
from al_loop.records import Utterance

ALWAYS_BEARABLE, BEARABLE_SHARE = 10, 0.05
"""Ours: clips of one run that may be refused, and how many of those that were worked on. Beyond
that it is more likely the machine's fault, or that of a disk that is not there."""


class Refused:
    """The clips of one run that no worker could work on.

    They are written down once something else was done: a disk that is not there refuses nobody.
    hears_another: whether a clip is heard that is none of those with these ids; asked at the end,
    about the last ones.
    """

    def __init__(self, store: Store, hears_another: Callable[[Collection[str]], bool]) -> None:
        self.store = store
        self.hears_another = hears_another
        self.waiting: list[tuple[str, str, str]] = []
        self.kept: list[tuple[str, str, str]] = []
        self.done = 0

    def __call__(self, block: Sequence[Utterance], reason: str, detail: str) -> None:
        (row,) = block
        if row.split != "pool":  # somebody counts on it
            raise AudioError(reason, f"{row.id}, {row.audio}: {detail}")
        self.waiting.append((row.id, reason, detail))
        facts = {"utterance": row.id, "reason": reason, "detail": detail}
        LOG.warning("a clip cannot be worked on", extra=facts)
        count = len(self.kept) + len(self.waiting)
        if count > ALWAYS_BEARABLE + BEARABLE_SHARE * self.done:
            raise EngineError(
                f"{count} clips cannot be worked on and {self.done} could, so it is hardly the "
                f"clips' fault; look for what is, and call again. The last one, {row.audio}: "
                f"{reason}: {detail}"
            )

    def keep(self, done: int) -> None:
        self.done = done
        if self.waiting:
            self.store.put_unhearable(self.waiting)
            self.kept += self.waiting
            self.waiting = []

    def end(self) -> Iterator[str]:
        """Lines about those that are written down. Raises EngineError where the last ones are not,
        for no other clip can be heard either."""
        if self.waiting and not self.hears_another({row[0] for row in self.waiting}):
            utterance_id, reason, detail = self.waiting[-1]
            raise EngineError(
                f"the last {len(self.waiting)} clips cannot be worked on, and no other one can be "
                "heard, so it is hardly the clips' fault, and they are not left out; look for what "
                f"is, and call again. The last one, {utterance_id}: {reason}: {detail}"
            )
        self.keep(self.done)
        for utterance_id, reason, detail in self.kept:
            yield f"  {utterance_id} is left out from here on: {reason}: {detail}"
