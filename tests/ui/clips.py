"""A workspace with a round of clips that can be heard and read: for the views that show them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from al_loop.audio import SAMPLE_RATE, write_flac
from al_loop.records import (
    Annotation,
    Checkpoint,
    Choice,
    Evaluation,
    Gated,
    Hypothesis,
    Label,
    Manifest,
    Place,
    PlannedTask,
    Pulled,
    PulledTask,
    Selection,
    SilenceEvaluation,
    Source,
    TaskKey,
    Utterance,
    content_hash,
)
from storage.store import Store
from tests.ui.workspaces import rates

SAID = "бир эки үч төрт беш"
BEFORE = "бир ики үч төрт"
AFTER = "бир эки үч төрт беш"
TESTS = (
    ("көңүл ачык", "конул ачык", "көңүл ачык"),
    ("мектепке барды", "мектепке барды", "мектеп барды"),
    ("суу тоо", "суу тоо", "суу тоо"),
)
"""What is said in the evaluation set, and what is heard before and after the round."""
AT = "2026-01-02T00:00:00+00:00"
REASON = "mean_token_entropy ranks"


def clip_id(name: str) -> str:
    return content_hash(name)


def utterance(
    store: Store,
    name: str,
    split: str = "pool",
    text: str | None = None,
    speaker: str | None = None,
    source: str = "radio",
) -> Utterance:
    """A clip of a second, whose sound lies where ingest would put it."""
    id_ = clip_id(name)
    audio = f"audio/{id_[:2]}/{id_}.flac"
    path = store.workspace.root / audio
    path.parent.mkdir(parents=True, exist_ok=True)
    times = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    write_flac((0.3 * np.sin(2 * np.pi * 440 * times)).astype(np.float32), path)
    origin = f"/corpus/{name}.wav"
    return Utterance(id_, id_, audio, 1.0, source, "ky", split, text, speaker, origin)  # type: ignore[arg-type]


def heard(name: str, text: str) -> Hypothesis:
    return Hypothesis(clip_id(name), text, 3, -0.5, 1.0, 2.0, 0.7, 0.8, 0.6, 0.01, 0.9)


def fill(store: Store, said: str = SAID, before: str = BEFORE, after: str = AFTER) -> None:
    """Round 0, then round 1, recorded and promoted: it asked about a (labelled), b (junk) and c.

    c is not answered. d and e are held back by a gate. said, before, after: of a.
    """
    for name in ("radio", "test"):
        store.put_source(Source(name, "open_source", "ky"))
    store.add(
        [
            *(utterance(store, name, speaker="Айгүл") for name in "abcde"),
            *(
                utterance(store, f"t{place}", "test", text, source="test")
                for place, (text, _, _) in enumerate(TESTS)
            ),
        ],
        [],
    )
    store.put_checkpoint(Checkpoint("base", "checkpoints/base", None, {}))
    tests = [f"t{place}" for place in range(len(TESTS))]
    _round(store, 0, "base", "first", [(name, TESTS[k][1]) for k, name in enumerate(tests)], 0.3)
    store.start_round(1, 1, "merge", "first")
    store.add_hypotheses("first", [heard("a", before), heard("b", "ээ"), heard("d", "ммм")])
    facts = {"acquisition": "mean_token_entropy", "reason": REASON, "limits": {"quiet": -50.0}}
    store.put_selection(
        1,
        Selection(
            [
                Choice(clip_id("a"), 0, 1.5, "acquired"),
                Choice(clip_id("b"), 1, 0.5, "control"),
                Choice(clip_id("c"), 2, 0.0, "explored"),
            ],
            [
                Gated(clip_id(name), gate, value, -50.0)
                for name, gate, value in (
                    ("c", "quiet", -60.0),
                    ("d", "quiet", -70.0),
                    ("e", "looping", 3.0),
                )
            ],
            facts,
        ),
    )
    keys = [TaskKey(clip_id(name), 1, 0) for name in "abc"]
    store.add_tasks(
        PlannedTask(key, "query", rank, hypothesis=text)
        for rank, (key, text) in enumerate(zip(keys, (before, "ээ", None), strict=True))
    )
    answers = [
        Annotation("7", "1", keys[0], "Бакыт", said, None, 9.0, AT, AT, before),
        Annotation("8", "2", keys[1], "Бакыт", None, "bad_audio", 3.0, AT, AT, "ээ"),
    ]
    pulled = [PulledTask(row.task_id, row.key, AT, [row]) for row in answers]
    store.take(Place("http://label.studio.test", 1), Pulled(pulled, (), None))
    store.put_labels(
        [
            Label(keys[0].utterance_id, said, None, ["7"], quality=0.8, flags=["digits: has 12"]),
            Label(keys[1].utterance_id, None, "bad_audio", ["8"]),
        ]
    )
    _judge(store, 1, "first", "second", [(name, TESTS[k][2]) for k, name in enumerate(tests)], 0.2)
    store.add_hypotheses("second", [heard("a", after)])


def _round(
    store: Store,
    number: int,
    current: str,
    candidate: str,
    texts: Sequence[tuple[str, str]],
    wer: float,
) -> None:
    store.start_round(number, number, "merge", current)
    _judge(store, number, current, candidate, texts, wer)


def _judge(
    store: Store,
    number: int,
    current: str,
    candidate: str,
    texts: Sequence[tuple[str, str]],
    wer: float,
) -> None:
    """Train and promote a candidate that hears these texts of the evaluation set."""
    store.put_manifest(number, Manifest(f"manifest-{number}", [], []))
    store.put_checkpoint(Checkpoint(candidate, f"checkpoints/{candidate}", current, {}))
    store.set_candidate(number, candidate)
    store.add_hypotheses(candidate, [heard(*row) for row in texts])
    found: list[Evaluation] = [rates("test", "ky", wer)]
    store.put_evaluations(number, candidate, found, SilenceEvaluation(0, 0))
    store.decide(number, True, f"promoted: round {number}")
    with store.finishing(number, "record", None):
        pass
