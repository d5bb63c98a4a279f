"""Nothing that a server sends crashes the parsing or becomes an answer by accident."""

from dataclasses import asdict, replace
from typing import Any

import httpx
import pytest

from al_loop.errors import OracleError
from al_loop.records import Annotation, Place, Refusal, TaskKey
from labeling.answers import parse_task
from labeling.oracle import LabelStudioOracle
from labeling.project import Rules
from labeling.session import Session
from tests.labeling.malformed import (
    ANSWERS,
    IGNORED,
    REPLIES,
    ROWS,
    TIME,
    Kept,
    Refused,
    answer,
    row,
    text,
)

SALAM = Annotation("30", "7", TaskKey("u1", 1, 0), "1", "салам", None, 8.25, TIME, TIME, "саламдос")


def is_storable(*values: Any) -> bool:
    """Whether the database, which keeps UTF-8, takes all these."""
    return all(str(value).encode() is not None for value in values)


@pytest.mark.parametrize("name", ANSWERS)
def test_an_annotation_is_refused_or_repaired(name: str) -> None:
    given, outcome = ANSWERS[name]
    good = answer(text("дос"), id=31)
    task, refusals = parse_task(row(given, good))
    assert task is not None
    *kept, last = task.annotations
    assert (last.id, last.text) == ("31", "дос"), "a bad answer must not take the others along"
    if isinstance(outcome, Kept):
        assert kept == [replace(SALAM, **outcome.fields)]
        assert is_storable(*asdict(kept[0]).values())
        assert refusals == []
    else:
        assert kept == []
        assert [refusal.reason for refusal in refusals] == [outcome.reason]
        assert refusals[0].origin.startswith("task 7")
        assert is_storable(refusals[0].origin, refusals[0].detail)


@pytest.mark.parametrize("name", ROWS)
def test_a_task_is_refused_or_ignored(name: str) -> None:
    given, outcome = ROWS[name]
    task, refusals = parse_task(given)
    assert task is None
    assert [refusal.reason for refusal in refusals] == ([outcome.reason] if outcome.reason else [])
    assert all(is_storable(refusal.origin, refusal.detail) for refusal in refusals)


@pytest.mark.parametrize("name", REPLIES)
def test_a_reply_is_an_error_that_says_what_to_do(name: str) -> None:
    given, complaint = REPLIES[name]
    body = b"".join(given.stream) if name.startswith(("broken comp", "half of what")) else None

    def receive(request: httpx.Request) -> httpx.Response:
        if body is not None:  # a stream is read once
            return httpx.Response(200, headers=given.headers, content=iter([body]))
        return given

    transport = httpx.MockTransport(receive)
    session = Session("http://ls.test", "t", transport=transport, sleep=lambda pause_s: None)
    oracle = LabelStudioOracle(session, Rules("w1", "ky", 0.0), str, 0.5)
    with pytest.raises(OracleError, match=complaint):
        list(oracle.pull(Place("there", 1), None))


def test_the_same_annotation_counts_once() -> None:
    task, refusals = parse_task(row(answer(), answer(text("дос"))))
    assert task is not None
    assert [found.text for found in task.annotations] == ["салам"]
    assert [refusal.reason for refusal in refusals] == ["duplicate_annotation"]
    assert refusals[0].origin == "task 7, annotation 30"


def test_a_hypothesis_that_is_no_text_was_not_shown() -> None:
    data = {"utterance": "u1", "round": 1, "copy": 0, "hypothesis": ["салам"]}
    task, _ = parse_task(row(answer(), data=data))
    assert task is not None
    assert task.annotations[0].shown is None


def test_predictions_and_drafts_are_no_answers() -> None:
    task, refusals = parse_task(row(predictions=[answer()], drafts=[answer()]))
    assert task is not None
    assert list(task.annotations) == refusals == []


def test_a_refusal_says_what_was_got() -> None:
    _, (refusal,) = parse_task(row(answer(text("<b>салам</b>"))))
    assert refusal == Refusal("task 7, annotation 30", "markup", "it holds '<b>'")


def test_there_are_enough_kinds() -> None:
    assert len(ANSWERS) + len(ROWS) + len(REPLIES) > 150
    reasons = {o.reason for _, o in [*ANSWERS.values(), *ROWS.values()] if isinstance(o, Refused)}
    assert reasons - {IGNORED.reason} | {"duplicate_annotation"} == STATED


STATED = {
    "malformed_task",
    "foreign_task",
    "malformed_annotation",
    "duplicate_annotation",
    "other_task",
    "unknown_verdict",
    "several_verdicts",
    "several_texts",
    "empty_text",
    "long_text",
    "markup",
    "broken_characters",
}
