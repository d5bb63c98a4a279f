"""Reports of rounds as the record stage makes them, for the tests of what shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from al_loop.acquisition.predictor import fit
from al_loop.evidence import round_report
from al_loop.records import (
    Annotation,
    Answer,
    Arm,
    CurvePoint,
    Hypothesis,
    Place,
    PlannedTask,
    Pulled,
    PulledTask,
    TaskKey,
    Utterance,
)
from storage.store import Store

WORDS = ["бир", "эки", "үч", "төрт", "беш", "алты", "жети", "сегиз", "тогуз", "он"]


def answer(name: str, arm: Arm, errors: int, number: int = 1) -> Answer:
    """A label of ten words, of which so many were heard wrongly; entropies rise with them."""
    doubt = errors / 10
    text = " ".join(["жок"] * errors + WORDS[errors:])
    heard = Hypothesis(name, text, 10, -doubt, doubt, doubt, doubt, doubt, 1 - doubt, 0.0, 1.0)
    return Answer(name, number, arm, "ky", 4.0, " ".join(WORDS), None, heard, None, 30.0)


ANSWERS = [
    *(answer(f"a{place}", "acquired", errors) for place, errors in enumerate((4, 5, 6, 5, 7, 6))),
    *(answer(f"c{place}", "control", errors) for place, errors in enumerate((2, 1, 3, 2, 2, 0))),
    replace(answer("junk", "control", 0), text=None, verdict="bad_audio"),
]
FALLING = [
    CurvePoint(number, "test", "ky", 1000, 3600.0 * number, 0.0, wer, wer - 0.02, wer + 0.02)
    for number, wer in enumerate((0.6, 0.5, 0.45, 0.42))
]


def again(number: int) -> list[Answer]:
    """The same answers in a later round."""
    return [
        replace(row, round=number, utterance_id=f"{number}{row.utterance_id}") for row in ANSWERS
    ]


def report(
    answers: Sequence[Answer] = ANSWERS, number: int = 1, points: Sequence[CurvePoint] = FALLING
) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    found = round_report(answers, number, points, "ky", rng, 50, 1800.0)
    predictor = fit(list(answers), "mean_token_entropy", rng)
    return found | {"predictor": predictor and dict(predictor.quality)}


def answer_drafts(store: Store, number: int, kept: Mapping[str, float], each: int = 40) -> None:
    """Drafts of a round that annotators left as they were, by the share of them that each left."""
    at = "2026-02-01T00:00:00+00:00"
    tasks = []
    for name, share in kept.items():
        ids = [f"{name}-{place}" for place in range(each)]
        store.add(
            [Utterance(key, key, f"audio/{key}", 1.0, "pool", "ky", "pool") for key in ids], []
        )
        keys = [TaskKey(key, number, 0) for key in ids]
        store.add_tasks(PlannedTask(key, "query", 100 + rank) for rank, key in enumerate(keys))
        for place, key in enumerate(keys):
            text = "бир эки" if place < share * each else "бир үч"
            answer = Annotation(
                f"d{key.utterance_id}", f"t{key.utterance_id}", key, name, text, None, 5.0, at, at,
                "бир эки",
            )  # fmt: skip
            tasks.append(PulledTask(answer.task_id, key, at, [answer]))
    store.take(Place("http://label.studio.test", 1), Pulled(tasks, (), None))
