"""Records to task JSON and back, with every trap that the server sets."""

import json
from typing import Any

import pytest

from al_loop.records import Refusal, Task
from labeling.tasks import local_audio_url, parse_task, to_task_data, utc

TIME = "2026-01-02T03:04:05.678901Z"


def region(name: str, *values: Any) -> dict[str, Any]:
    kind, key = {"transcription": ("textarea", "text"), "verdict": ("choices", "choices")}[name]
    value = {key: list(values)}
    return {"from_name": name, "to_name": "audio", "type": kind, "value": value}


def row(*results: Any, **changes: Any) -> dict[str, Any]:
    """A task with one annotation per result; `changes` go into every annotation."""
    annotations = [
        {
            "id": 30 + number,
            "result": result,
            "completed_by": 1,
            "was_cancelled": False,
            "lead_time": 8.25,
            "created_at": TIME,
            "updated_at": TIME,
        }
        | changes
        for number, result in enumerate(results)
    ]
    return {"id": 7, "data": {"utterance": "u1"}, "annotations": annotations}


def the_refusal(task: Any) -> Refusal:
    annotations, refusals = parse_task(task)
    assert annotations == []
    assert len(refusals) == 1
    return refusals[0]


def test_a_task_carries_all_that_the_interface_and_the_pull_need() -> None:
    task = Task("u1", 2, 0, "audio/a.wav", 3.5, "салам", 1.75)
    sent = to_task_data(task, "/data/local-files/?d=w/a.wav")
    assert sent["data"] == {
        "utterance": "u1",
        "round": 2,
        "rank": 0,
        "audio": "/data/local-files/?d=w/a.wav",
        "hypothesis": "салам",
        "duration_s": 3.5,
        "acquisition_score": 1.75,
    }
    (prediction,) = sent["predictions"]
    assert prediction["model_version"] == "round 2"
    assert prediction["result"] == [region("transcription", "салам")]
    assert json.loads(json.dumps(sent)) == sent


def test_a_text() -> None:
    (annotation,), refusals = parse_task(row([region("transcription", "  салам\nдос ")]))
    assert refusals == []
    assert (annotation.id, annotation.task_id, annotation.utterance_id) == ("30", "7", "u1")
    assert (annotation.text, annotation.verdict) == ("салам дос", None)
    assert (annotation.annotator, annotation.lead_time_s) == ("1", 8.25)
    assert (annotation.created_at, annotation.updated_at) == (TIME, TIME)


def test_text_may_be_a_bare_string_or_several_lines() -> None:
    bare = region("transcription") | {"value": {"text": "салам"}}
    annotations, _ = parse_task(row([bare], [region("transcription", "бир", "эки")]))
    assert [annotation.text for annotation in annotations] == ["салам", "бир эки"]


@pytest.mark.parametrize("verdict", ["bad_audio", "other_language"])
def test_a_verdict_wins_over_the_prefilled_text(verdict: str) -> None:
    (answer,), _ = parse_task(row([region("transcription", "салам"), region("verdict", verdict)]))
    assert (answer.text, answer.verdict) == (None, verdict)


@pytest.mark.parametrize("result", [[], [region("transcription", "салам")]])
def test_a_skip_wins_over_all(result: Any) -> None:
    (answer,), _ = parse_task(row(result, was_cancelled=True))
    assert (answer.text, answer.verdict) == (None, "skipped")


@pytest.mark.parametrize(
    "result",
    [[], [region("transcription", "")], [region("transcription", " ")], [region("transcription")]],
)
def test_an_empty_text_is_refused(result: Any) -> None:
    refusal = the_refusal(row(result))
    assert (refusal.origin, refusal.reason) == ("task 7, annotation 30", "empty_text")


def test_an_unknown_verdict_is_refused() -> None:
    refusal = the_refusal(row([region("verdict", "too_loud"), region("transcription", "салам")]))
    assert refusal.reason == "unknown_verdict"
    assert "too_loud" in refusal.detail


@pytest.mark.parametrize(
    ("completed_by", "annotator"), [(4, "4"), ({"id": 4, "email": "x@y"}, "4"), (None, "unknown")]
)
def test_the_annotator_comes_in_three_shapes(completed_by: Any, annotator: str) -> None:
    (answer,), _ = parse_task(row([region("transcription", "а")], completed_by=completed_by))
    assert answer.annotator == annotator


def test_predictions_and_drafts_are_no_answers() -> None:
    task = row() | {"predictions": [{"result": [region("transcription", "а")]}], "drafts": [{}]}
    assert parse_task(task) == ([], [])


def test_a_bad_answer_does_not_take_the_good_ones_along() -> None:
    good = [region("transcription", "салам")]
    annotations, refusals = parse_task(row(good, "no list", good))
    assert [annotation.id for annotation in annotations] == ["30", "32"]
    assert [refusal.origin for refusal in refusals] == ["task 7, annotation 31"]


@pytest.mark.parametrize(
    "changes",
    [
        {"result": None},
        {"result": ["text"]},
        {"result": [{}]},
        {"result": [{"from_name": "transcription", "value": None}]},
        {"result": [{"from_name": "transcription", "value": {"text": None}}]},
        {"created_at": None},
        {"updated_at": "yesterday"},
        {"updated_at": "2026-01-02T03:04:05"},
        {"lead_time": "long"},
        {"completed_by": {}},
    ],
)
def test_a_malformed_answer_is_refused(changes: dict[str, Any]) -> None:
    refusal = the_refusal(row([region("transcription", "а")], **changes))
    assert refusal.reason == "malformed_annotation"


@pytest.mark.parametrize("answer", [None, "text", 3, []])
def test_an_answer_that_is_no_object_is_refused(answer: Any) -> None:
    refusal = the_refusal(row() | {"annotations": [answer]})
    assert (refusal.origin, refusal.reason) == ("task 7", "malformed_annotation")


@pytest.mark.parametrize(
    "task", [None, [], {}, {"id": 7}, row() | {"data": None}, row() | {"annotations": 3}]
)
def test_a_malformed_task_is_refused(task: Any) -> None:
    assert the_refusal(task).reason == "malformed_task"


def test_an_answered_task_of_somebody_else_is_refused() -> None:
    task = row([region("transcription", "а")]) | {"data": {"audio": "x"}}
    assert the_refusal(task).reason == "foreign_task"
    assert parse_task(task | {"annotations": []}) == ([], [])


def test_times_sort_as_strings() -> None:
    assert utc("2026-01-02T03:04:05Z") == "2026-01-02T03:04:05.000000Z"
    assert utc("2026-01-02T09:04:05.5+06:00") == "2026-01-02T03:04:05.500000Z"
    with pytest.raises(ValueError, match="time zone"):
        utc("2026-01-02T03:04:05")


def test_an_audio_address_is_quoted() -> None:
    assert local_audio_url("w1/a b&ү.wav") == "/data/local-files/?d=w1/a%20b%26%D2%AF.wav"
