"""What a check of an installation finds, and how it is told. Knows no check."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from al_loop.errors import AlLoopError

State = Literal["ok", "warning", "failure"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. advice: what to do about it, where it is not ok."""

    name: str
    state: State
    found: str
    advice: str = ""

    def lines(self) -> Iterator[str]:
        """`ok      lock: nobody holds it`, and below it the advice."""
        yield f"{self.state:<8}{self.name}: {self.found}"
        if self.advice and self.state != "ok":
            yield f"{'':<8}{self.advice}"


def tried(name: str, check: Callable[[], Check]) -> Check:
    """The check, or what kept it from being made. Our errors say themselves what to do."""
    try:
        return check()
    except AlLoopError as exc:
        return Check(name, "failure", str(exc))
    except (AttributeError, LookupError, TypeError, ValueError) as exc:
        return Check(
            name,
            "failure",
            f"cannot be read: {exc!r}",
            "the answer has a form that is not known; is it another version than we are made for?",
        )
