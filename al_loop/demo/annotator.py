"""The demo's annotator: answers the open tasks of one Label Studio project, as a person would.

The answers are the corpus' own transcripts with human failings: a word mistyped here and there,
a clip skipped or called unusable, a break in the middle. Everything else is real: tasks are read
from the server and annotations written to it through its API. All rates are ours, set to look
like one careful annotator; none is measured. Knows nothing of models or audio, nor why it is asked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from al_loop.records import Verdict

TYPO_RATE = 0.03
"""Of all words."""
UNUSABLE_RATE = 0.04
"""Of all clips: as often skipped as called bad_audio."""
BREAK_RATE = 0.05
"""Of all answers; a break lasts 5 minutes in the median."""

ON_PLAIN_KEYBOARD = str.maketrans("ңөүҢӨҮ", "ноуНОУ")
"""What comes of the letters that a Russian keyboard lacks."""

SHOWN_FIELD = 'name="shown"'
"""In an interface that sends back what the text box held at first; "=" begins it there."""

PAGE_SIZE = 1000
"""More than a demo has tasks: one page holds them all."""


class Api(Protocol):
    """A logged-in connection to Label Studio, such as `labeling.session.Session`.

    Both return parsed JSON and raise OracleError.
    """

    base_url: str

    def get(self, path: str, **params: Any) -> Any: ...
    def post(self, path: str, body: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """A text or a verdict, never both. `lead_time_s`: the page was open so long."""

    text: str | None
    verdict: Verdict | None
    lead_time_s: float


class DemoAnnotator:
    """Answers tasks of project `project_id` from `answers`: utterance id -> true transcript.

    An answer depends on `seed` and the task's key alone, not on when or in what order it is asked:
    whoever is asked twice about the same clip may mistype another word.
    """

    def __init__(self, api: Api, project_id: int, answers: Mapping[str, str], seed: int) -> None:
        self._api = api
        self._project_id = project_id
        self._answers = answers
        self._seed = seed

    def answer_some(self, share: float) -> int:
        """Answer the first `share` (0 to 1, rounded up) of the open tasks; how many that were.

        Raises OracleError where the server does not answer or refuses, KeyError for an utterance
        that `answers` does not hold.
        """
        project = self._api.get(f"/api/projects/{self._project_id}/", include="label_config")
        sends_shown = SHOWN_FIELD in project["label_config"]
        tasks = self._open_tasks()
        chosen = tasks[: math.ceil(share * len(tasks))]
        for task in chosen:
            shown = task["data"]["hypothesis"] if sends_shown else None
            body = to_annotation(self._answer(task["data"]), shown)
            self._api.post(f"/api/tasks/{task['id']}/annotations/", body)
        return len(chosen)

    def _open_tasks(self) -> list[dict[str, Any]]:
        """Tasks that nobody has answered or skipped, in the order of their import."""
        page = self._api.get(
            "/api/tasks", project=self._project_id, page_size=PAGE_SIZE, fields="task_only"
        )
        tasks = sorted(page["tasks"], key=lambda task: task["id"])
        return [
            task for task in tasks if not task["total_annotations"] + task["cancelled_annotations"]
        ]

    def _answer(self, data: Mapping[str, Any]) -> Answer:
        utterance_id = data["utterance"]
        key = [int(utterance_id, 16), data["round"], data["copy"]]
        rng = np.random.default_rng([self._seed, *key])
        return human_answer(self._answers[utterance_id], data["duration_s"], rng)


def human_answer(text: str, duration_s: float, rng: np.random.Generator) -> Answer:
    """What a person answers who hears `text` in a clip of `duration_s` seconds."""
    lead_time_s = human_lead_time_s(duration_s, rng)
    if rng.random() < UNUSABLE_RATE:
        verdict: Verdict = "skipped" if rng.random() < 0.5 else "bad_audio"
        return Answer(None, verdict, lead_time_s)
    typed = re.sub(
        r"\w{2,}",
        lambda word: mistype(word[0], rng) if rng.random() < TYPO_RATE else word[0],
        text,
    )
    return Answer(typed, None, lead_time_s)


def human_lead_time_s(duration_s: float, rng: np.random.Generator) -> float:
    """Listening twice and typing take four times the clip, and a few seconds more."""
    work_s = (4.0 + 4.0 * duration_s) * rng.lognormal(sigma=0.4)
    break_s = rng.lognormal(math.log(300.0), sigma=1.0) if rng.random() < BREAK_RATE else 0.0
    return round(work_s + break_s, 1)


def mistype(word: str, rng: np.random.Generator) -> str:
    """`word`, two letters or more, with one of them dropped, doubled or swapped with the next.

    A word with ң, ө or ү is as often typed with н, о and у instead. A swap of two equal letters
    leaves the word as it was.
    """
    plain = word.translate(ON_PLAIN_KEYBOARD)
    if plain != word and rng.random() < 0.5:
        return plain
    at = int(rng.integers(len(word) - 1))
    before, letter, following, after = word[:at], word[at], word[at + 1], word[at + 2 :]
    wrong = (following, letter + letter + following, following + letter)
    return before + wrong[rng.integers(len(wrong))] + after


def to_annotation(answer: Answer, shown: str | None = None) -> dict[str, Any]:
    """The body with which Label Studio's own page submits `answer`.

    shown: what the text box held at first; None for an interface that does not send it.
    """
    skipped = answer.verdict == "skipped"
    result: list[dict[str, Any]] = []
    if answer.text is not None:
        result = [_part("transcription", "textarea", {"text": [answer.text]})]
    elif not skipped:
        result = [_part("verdict", "choices", {"choices": [answer.verdict]})]
    if shown is not None:
        result.append(_part("shown", "textarea", {"text": [f"={shown}"]}))
    return {"result": result, "was_cancelled": skipped, "lead_time": answer.lead_time_s}


def _part(from_name: str, kind: str, value: Mapping[str, Any]) -> dict[str, Any]:
    return {"from_name": from_name, "to_name": "audio", "type": kind, "value": value}
