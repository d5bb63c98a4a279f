"""Workspaces that a real Store fills, for the tests of the dashboard's views."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from al_loop.records import (
    IN_HOUSE,
    Annotation,
    Checkpoint,
    Choice,
    Evaluation,
    Label,
    Manifest,
    MixtureRow,
    Place,
    PlannedTask,
    Pulled,
    PulledTask,
    Selection,
    SilenceEvaluation,
    Source,
    Stage,
    TaskKey,
    Utterance,
)
from storage.store import Store
from storage.workspace import Workspace

HOSTILE = {
    "script": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "markdown": "[a](https://example.org) **b** `c` ``d`` $e$ :red[f] :smile:",
    "right to left": "\u202eright to left \u0642\u064a\u0631\u063a\u064a\u0632",
    "very long": "long " * 2000 + "end",
}
"""Text that annotators or file names may hold."""


def start_round(store: Store, number: int, stage: Stage = "merge") -> None:
    """Open a round with a batch of three tasks, of which two are answered."""
    if number == 0:
        store.put_checkpoint(Checkpoint("checkpoint-base", "checkpoints/base", None, {}))
    current = store.current_checkpoint_id() or "checkpoint-base"
    store.start_round(number, number, stage, current)
    if number == 0:
        return
    store.put_source(Source("pool", "open_source", "ky"))
    ids = [f"{number}-{rank}" for rank in range(3)]
    store.add([Utterance(key, key, f"audio/{key}", 60.0, "pool", "ky", "pool") for key in ids], [])
    choices = [Choice(key, rank, 1.0, "acquired") for rank, key in enumerate(ids)]
    store.put_selection(number, Selection(choices, [], {}))
    keys = [TaskKey(key, number, 0) for key in ids]
    store.add_tasks(PlannedTask(key, "query", rank) for rank, key in enumerate(keys))
    at = f"2026-01-0{number}T00:00:00+00:00"
    answers = [
        Annotation(f"a{ids[0]}", "1", keys[0], "annotator-1", "салам", None, 9.0, at, at),
        Annotation(f"a{ids[1]}", "2", keys[1], "annotator-1", None, "skipped", 3.0, at, at),
    ]
    tasks = [PulledTask(row.task_id, row.key, at, [row]) for row in answers]
    store.take(Place("http://label.studio.test", 1), Pulled(tasks, (), None))


def record_round(
    store: Store,
    number: int,
    promoted: bool = True,
    decision: str = "promoted: better",
    evaluation_set: str = "test",
    source: str = "seed",
) -> None:
    """A whole round. The WER of its candidate is 60% less ten points for each round."""
    start_round(store, number)
    current = store.current_checkpoint_id() or "checkpoint-base"
    candidate = f"checkpoint-{number}"
    if number:
        store.put_labels(
            [
                Label(f"{number}-0", "салам", None, [f"a{number}-0"]),
                Label(f"{number}-1", None, "skipped", [f"a{number}-1"]),
            ]
        )
    mixture = [
        MixtureRow(source, "open_source", "ky", 1.0, 10, 90.0, 0.25, 0.24, 1, 6),
        MixtureRow(IN_HOUSE, "in_house", "ky", 3.0, 10, 30.0, 0.75, 0.76, 2, 19),
    ]
    store.put_manifest(number, Manifest(f"manifest-{number}", [], mixture))
    store.put_checkpoint(Checkpoint(candidate, f"checkpoints/{candidate}", current, {}))
    store.set_candidate(number, candidate)
    for checkpoint_id in (current, candidate):
        done = checkpoint_id.removeprefix("checkpoint-")
        wer = 0.6 - 0.1 * int(done) if done.isdecimal() else 0.9
        store.put_evaluations(
            number,
            checkpoint_id,
            [rates(evaluation_set, "ky", wer), rates("russian", "ru", 0.2)],
            SilenceEvaluation(24, 3),
        )
    store.decide(number, promoted, decision)
    with store.finishing(number, "record", None):
        pass


def rates(evaluation_set: str, language: str, wer: float) -> Evaluation:
    cer = wer / 3
    return Evaluation(
        evaluation_set, language, 40, 200,
        wer, wer - 0.05, wer + 0.05, cer, cer - 0.02, cer + 0.02,
        wer, wer - 0.05, wer + 0.05, cer, cer - 0.02, cer + 0.02, 30, 20, 10, 0.04, "2",
    )  # fmt: skip


def put_made(store: Store) -> None:
    """What models made: a clip of a book, a spoken one, and texts of round 1's three clips.

    Of the models that cut, spoke and wrote, the checkpoint alone has no licence on record.
    """
    store.put_source(Source("book", "forced_alignment", "ky"))
    store.put_source(Source("voice", "synthetic", "ky"))
    store.add(
        [
            Utterance(
                "book-1", "book-1", "audio/book-1", 4.5, "book", "ky", "train", "китеп окуйм",
                None, "book.mp3#723.40-727.90", 723.4, "book.txt", "ctc-1",
            ),
            Utterance(
                "voice-1", "voice-1", "audio/voice-1", 3.0, "voice", "ky", "train", "салам дүйнө",
                None, "lines.txt:1", None, "lines.txt:1", "facebook/mms-tts-kir",
            ),
        ],
        [],
    )  # fmt: skip
    licences = {"ctc-1": "Apache-2.0", "spelling": "Apache-2.0"}
    licences["facebook/mms-tts-kir"] = "CC-BY-NC-4.0"
    store.db.table("makers").insert_all(
        {"name": name, "licence": licence} for name, licence in licences.items()
    )
    store.db.table("pseudo_labels").insert_all(
        {
            "utterance_id": f"1-{rank}",
            "text": "саламатсызбы",
            "confidence": 0.915 - 0.05 * rank,
            "made_by": "checkpoint-base; spelling",
        }
        for rank in range(3)
    )


def put_run(store: Store, round_number: int | None, **changes: Any) -> None:
    """A time that pseudo-labels were made: 0.8 is the threshold that keeps a half."""
    steps = [(0.9, 10, 0.99), (0.8, 20, 0.96), (0.7, 30, 0.9), (0.0, 40, 0.7)]
    report = {
        "threshold": 0.8,
        "precision": {"value": 0.96, "low": 0.95, "high": 0.98},
        "target": 0.95,
        "calibration": {"clips": 42, "words": 300, "validation": 42, "rated": 40},
        "curve": [
            {
                "threshold": threshold,
                "kept": kept,
                "kept_share": kept / 40,
                "precision": right,
                "precision_low": right - 0.02,
                "precision_high": min(right + 0.02, 1.0),
                "clips": 3 * kept,
                "seconds": 9.0 * kept,
            }
            for threshold, kept, right in steps
        ],
        "candidates": {"clips": 150, "texts": 140, "seconds": 400.0},
        "volume": {"clips": 60, "texts": 60, "seconds": 180.0},
        "leaked": 1,
        "recognisers": [
            {"name": "in_use", "id": "checkpoint-base", "wer": 0.3},
            {"name": "spelling", "id": "ctc-1", "wer": 0.4},
        ],
    }
    store.db.table("pseudo_label_runs").insert(
        {
            "round": round_number,
            "report": json.dumps(report | changes),
            "made_at": "2026-01-05T10:00:00+00:00",
        }
    )


def put_ablation(
    store: Store,
    name: str,
    results: dict[tuple[str, ...], Sequence[int]],
    sets: Sequence[str] = ("test",),
    finished: bool = True,
) -> None:
    """An ablation. results: by sources trained on, the errors in test clips of ten words each."""
    at = "2026-01-06T00:00:00+00:00"
    sources: Sequence[str] = max(results, key=len, default=())
    settings: dict[str, Any] = {"by": "source", "kept": ["russian"]}
    settings |= {"groups": [[source, [source]] for source in sources]}
    store.db.table("ablations").insert(
        {
            "name": name,
            "settings": json.dumps(settings),
            "started_at": at,
            "finished_at": at if finished else None,
        }
    )
    store.db.table("ablation_results").insert_all(
        {
            "ablation": name,
            "variant": json.dumps(variant),
            "evaluation_set": evaluation_set,
            "language": "ky",
            "examples": 100 * len(variant),
            "audio_s": 1800.0 * len(variant),
            "draws": 300,
            "utterance_errors": json.dumps([[wrong, 10] for wrong in errors]),
        }
        for variant, errors in results.items()
        for evaluation_set in sets
    )


def ask(workspace: Workspace, sql: str) -> Any:
    """The first value of an answer, asked of the database itself."""
    with sqlite3.connect(workspace.database) as connection:
        return connection.execute(sql).fetchone()[0]
