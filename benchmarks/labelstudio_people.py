"""Simulated annotators of `make bench-labelstudio`, each with an account and a thread of their own.

They take the next task as the labelling page does, answer, skip, change their minds and delete
what they wrote, and write down what they sent and whether the server said that it took it. Knows
nothing of al_loop's database.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np

from labeling.tasks import TEXT, VERDICT

LETTERS = "абгдеийклмнорсту"
"""Sixteen, one for each digit of a hash: every text is one of its own, and no loop."""
SKIPS, VERDICTS, EDITS, DELETIONS = 0.04, 0.04, 0.05, 0.02
"""Shares of the answers. Ours: what makes every kind of change happen often enough."""
PAUSE_S = 0.5
TIMEOUT_S = 60.0
FAILURES = (httpx.TransportError, httpx.HTTPStatusError, ValueError)
"""Of a server that is being restarted: nobody answers, or an error page does."""


@dataclass(frozen=True, slots=True)
class Account:
    """Of a user on the server."""

    name: str
    token: str


@dataclass(slots=True)
class Ledger:
    """What one annotator did, by the text that they typed or changed something to.

    taken: the server said so. sent: perhaps it took them, for the answer was lost. deleted: taken
    or sent before, and perhaps gone.
    """

    taken: set[str] = field(default_factory=set)
    sent: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    answers: int = 0


def make_account(base_url: str, admin_token: str, number: int) -> Account:
    """A new user, as an invitation link makes them, with a legacy token."""
    name, password = f"annotator{number}@localhost", secrets.token_urlsafe(12)
    admin = {"Authorization": f"Token {admin_token}"}
    with httpx.Client(base_url=base_url, timeout=TIMEOUT_S, follow_redirects=True) as page:
        invited = page.get("/api/invite", headers=admin).raise_for_status().json()["invite_url"]
        page.get(invited).raise_for_status()
        form = {
            "email": name,
            "password": password,
            "csrfmiddlewaretoken": page.cookies["csrftoken"],
        }
        page.post(invited, data=form, headers={"Referer": base_url}).raise_for_status()
        token = page.get("/api/current-user/token").raise_for_status().json()["token"]
    return Account(name, token)


class Annotator(threading.Thread):
    """Answers what the server hands out until `over` says so."""

    def __init__(
        self, base_url: str, account: Account, project_id: int, seed: int, over: Callable[[], bool]
    ) -> None:
        super().__init__(name=account.name, daemon=True)
        self.ledger = Ledger()
        self.idle = False
        """Whether the server had nothing to hand out when it was asked last."""
        self._project_id = project_id
        self._over = over
        self._rng = np.random.default_rng(seed)
        self._seed = seed
        self._written = 0
        self._http = httpx.Client(
            base_url=base_url,
            timeout=TIMEOUT_S,
            headers={"Authorization": f"Token {account.token}"},
        )

    def run(self) -> None:
        while not self._over():
            try:
                shown = self._next()
                if shown is not None:
                    self._answer(shown)
            except FAILURES:
                time.sleep(PAUSE_S)

    def _next(self) -> dict[str, Any] | None:
        answer = self._http.get(f"/api/projects/{self._project_id}/next")
        self.idle = answer.status_code == httpx.codes.NOT_FOUND
        if self.idle:
            time.sleep(PAUSE_S)
            return None
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    def _answer(self, shown: dict[str, Any]) -> None:
        luck = self._rng.random()
        text = self._new_text()
        body = {"result": _result(text), "lead_time": float(self._rng.gamma(4, 2))}
        if luck < SKIPS:
            body["was_cancelled"] = True
        elif luck < SKIPS + VERDICTS:
            body["result"] = _result(text, "bad_audio")
        self.ledger.sent.add(text)
        answer = self._http.post(f"/api/tasks/{shown['id']}/annotations/", json=body)
        made = answer.raise_for_status().json()
        self.ledger.taken.add(text)
        self.ledger.answers += 1
        luck = self._rng.random()
        if luck < EDITS:
            self._edit(made["id"], text)
        elif luck < EDITS + DELETIONS:
            self.ledger.deleted.add(text)
            self._http.delete(f"/api/annotations/{made['id']}/").raise_for_status()

    def _edit(self, annotation_id: int, before: str) -> None:
        after = self._new_text()
        self.ledger.deleted.add(before)
        self.ledger.sent.add(after)
        body = {"result": _result(after)}
        self._http.patch(f"/api/annotations/{annotation_id}/", json=body).raise_for_status()
        self.ledger.taken.add(after)

    def _new_text(self) -> str:
        self._written += 1
        digits = hashlib.sha256(f"{self._seed} {self._written}".encode()).hexdigest()[:14]
        return "салам дос " + "".join(LETTERS[int(digit, 16)] for digit in digits)


def _result(text: str, verdict: str | None = None) -> list[dict[str, Any]]:
    """As the labelling page sends it."""
    parts: list[dict[str, Any]] = [
        {"from_name": TEXT, "to_name": "audio", "type": "textarea", "value": {"text": [text]}}
    ]
    if verdict is not None:
        value = {"choices": [verdict]}
        parts.append({"from_name": VERDICT, "to_name": "audio", "type": "choices", "value": value})
    return parts
