"""What rounds are judged by: answers with what was shown, and learning curves."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from al_loop.records import (
    IN_HOUSE,
    Answer,
    Checkpoint,
    CurvePoint,
    Evaluation,
    Example,
    Label,
    Manifest,
    Place,
    SilenceEvaluation,
)
from storage.store import Store

from .rows import PLACE, annotation, ask, hypothesis, later, page, profile, selection


def test_an_answer_comes_with_what_was_shown_and_what_it_cost(filled: Store) -> None:
    filled.put_checkpoint(Checkpoint("c1", "checkpoints/c1", "base", {}))
    filled.add_hypotheses("base", [hypothesis("a", "бир"), hypothesis("c")])
    filled.add_hypotheses("c1", [hypothesis("a", "later"), hypothesis("b", "later")])
    filled.add_profiles("whisper", [profile("a"), profile("c")])
    filled.put_selection(1, selection("b", "a", arm="control"))
    ask(filled, *"abc")
    filled.take(
        PLACE,
        page(
            annotation(1, "a", "эки", lead_time_s=30.0),
            annotation(2, "a", "үч", lead_time_s=9.5),
            annotation(2, "b", None, verdict="bad_audio", lead_time_s=None),
            annotation(3, "c"),
        ),
    )
    filled.put_labels(
        [
            Label("a", "үч", None, ["2", "1"]),
            Label("b", None, "bad_audio", ["2"]),
            Label("c", "бир", None, ["3"]),
        ]
    )
    b, a = filled.answers("whisper")
    assert b == Answer("b", 1, "control", "ky", 2.0, None, "bad_audio", None, None, None)
    assert (a.utterance_id, a.text, a.verdict, a.lead_time_s) == ("a", "үч", None, 9.5)
    assert a.hypothesis == hypothesis("a", "бир")
    assert a.profile is not None
    assert a.profile.embedding.tolist() == profile("a").embedding.tolist()
    assert [row.profile for row in filled.answers("another")] == [None, None]
    assert [row.lead_time_s for row in filled.answers("whisper", 4.0)] == [None, 4.0]


@pytest.mark.parametrize(
    ("facts", "trusted"), [({}, True), ({"trusted": True}, True), ({"trusted": False}, False)]
)
def test_an_answer_says_whether_what_was_shown_was_to_be_trusted(
    filled: Store, facts: dict[str, bool], trusted: bool
) -> None:
    filled.put_selection(1, replace(selection("a"), facts=facts))
    filled.put_labels([Label("a", "бир", None, ["1"])])
    assert [row.trusted for row in filled.answers("whisper")] == [trusted]


def test_what_is_not_labelled_is_no_answer(filled: Store) -> None:
    filled.put_selection(1, selection("a"))
    ask(filled, "a")
    filled.take(PLACE, page(annotation(1, "a")))
    assert filled.answers("whisper") == []


def test_what_annotators_dispute_is_no_answer(filled: Store) -> None:
    filled.put_selection(1, selection("a", "b"))
    filled.put_labels(
        [Label("a", "бир", None, ["1", "2"], "disputed"), Label("b", "эки", None, ["3"])]
    )
    assert [row.utterance_id for row in filled.answers("whisper")] == ["b"]


def test_what_an_answer_cost_that_was_withdrawn_does_not_count(filled: Store) -> None:
    filled.put_selection(1, selection("a"))
    ask(filled, "a")
    filled.take(PLACE, page(annotation(1, "a"), annotation(2, "a")))
    filled.put_labels([Label("a", "бир", None, ["1"])])
    filled.take(PLACE, page(annotation(2, "a"), updated_at=later()))
    assert [row.lead_time_s for row in filled.answers("whisper")] == [None]


@pytest.mark.parametrize(("text", "lead_time_s"), [("бир", 5.0), ("эки", 70.0)])
def test_the_deciding_one_of_two_projects_answers_with_the_same_id(
    filled: Store, text: str, lead_time_s: float
) -> None:
    filled.put_selection(1, selection("a"))
    ask(filled, "a")
    for server, answer, seconds in (
        ("http://one.test", "бир", 5.0),
        ("http://two.test", "эки", 70.0),
    ):
        filled.take(Place(server, 4), page(annotation(1, "a", answer, lead_time_s=seconds)))
    filled.put_labels([Label("a", text, None, ["1", "1"])])
    assert [row.lead_time_s for row in filled.answers("whisper")] == [lead_time_s]


def evaluate(store: Store, number: int, checkpoint: str, wer: float) -> None:
    rates = (wer, wer - 0.125, wer + 0.125, 0.2, 0.1, 0.3)
    row = Evaluation("held_out", "ky", 1, 20, *rates, *rates, 1, 0, 0, None, "2")
    store.put_evaluations(number, checkpoint, [row], SilenceEvaluation(0, 0))


def test_a_candidate_is_a_point_of_the_learning_curve(filled: Store) -> None:
    filled.put_checkpoint(Checkpoint("c1", "checkpoints/c1", "base", {}))
    evaluate(filled, 1, "base", 0.75)
    assert filled.curve_points(600.0) == []
    filled.set_candidate(1, "c1")
    assert filled.curve_points(600.0) == []
    evaluate(filled, 1, "c1", 0.5)
    examples = [
        Example("a", "audio/a.flac", 2.0, IN_HOUSE, "ky", "бир"),
        Example("b", "audio/b.flac", 2.0, "books", "ky", "бир"),
        Example("c", "audio/c.flac", 2.0, IN_HOUSE, "ky", "бир"),
    ]
    filled.put_manifest(1, Manifest("m", examples, []))
    with filled.finishing(1, "record", None):
        filled.db.execute("SELECT 1")
    filled.db.execute("UPDATE rounds SET recorded_at = '2026-03-01T12:00:00.250+00:00'")
    ask(filled, *"abc")
    kept = [
        annotation(1, "a", lead_time_s=8.0, created_at="2026-03-01T12:00:00.200000Z"),
        annotation(2, "b", lead_time_s=86_400.0, created_at="2026-02-01T00:00:00.000000Z"),
        annotation(3, "b", lead_time_s=None, created_at="2026-02-01T00:00:00.000000Z"),
        annotation(4, "c", None, verdict="bad_audio", lead_time_s=2.0),
        annotation(5, "c", lead_time_s=99.0, created_at="2026-03-01T12:00:00.300000Z"),
    ]
    withdrawn = annotation(6, "c", lead_time_s=50.0)
    filled.take(PLACE, page(*kept, withdrawn))
    filled.take(PLACE, page(*kept, updated_at=later()))
    # ten minutes of the day that the page of answer 2 was open; answer 5 came too late
    assert filled.curve_points(600.0) == [
        CurvePoint(1, "held_out", "ky", 20, 4.0, 610.0, 0.5, 0.375, 0.625)
    ]
    assert [point.annotator_s for point in filled.curve_points(5.0)] == [12.0]
    filled.db.execute("UPDATE rounds SET recorded_at = NULL")
    assert [point.annotator_s for point in filled.curve_points(600.0)] == [709.0]


def test_a_report_is_kept_with_its_round_and_replaced_by_another_try(filled: Store) -> None:
    filled.put_report(1, {"advice": "go on", "gain": float("nan"), "points": [(1.0, None)]})
    filled.put_report(1, {"advice": "stop", "gain": float("inf"), "points": [(1.0, None)]})
    ((number, text),) = filled.db.execute("SELECT round, report FROM reports")
    assert (number, json.loads(text)) == (
        1,
        {"advice": "stop", "gain": None, "points": [[1.0, None]]},
    )
