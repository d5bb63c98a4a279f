from pathlib import Path

import pytest

from al_loop.records import Task
from al_loop.simulation.oracle import (
    ReferenceOracle,
    Replies,
    lead_time_s,
    read_asked,
    read_replies,
    write_replies,
)

REPLIES = Replies({"a": "бир эки үч", "b": "төрт"}, {"c": "bad_audio"})


def task(utterance_id: str, rank: int = 0, hypothesis: str = "бир эки") -> Task:
    return Task(utterance_id, 1, rank, f"{utterance_id}.flac", 2.0, hypothesis, 0.5)


def test_the_reference_is_the_answer_whichever_process_asked(tmp_path: Path) -> None:
    asked = tmp_path / "asked.jsonl"
    assert ReferenceOracle(REPLIES, asked, "ky").pull(None).annotations == []
    pushed = list(ReferenceOracle(REPLIES, asked, "ky").push([task("a"), task("c", 1)]))
    assert pushed == [{"a": "a", "c": "c"}]
    pulled = ReferenceOracle(REPLIES, asked, "ky").pull(None)
    assert [(row.utterance_id, row.text, row.verdict) for row in pulled.annotations] == [
        ("a", "бир эки үч", None),
        ("c", None, "bad_audio"),
    ]
    assert ReferenceOracle(REPLIES, asked, "ky").pull(pulled.high_water) == pulled


def test_tasks_that_a_kill_cut_short_are_asked_again(tmp_path: Path) -> None:
    asked = tmp_path / "asked.jsonl"
    oracle = ReferenceOracle(REPLIES, asked, "ky")
    list(oracle.push([task("a"), task("b")]))
    asked.write_bytes(asked.read_bytes()[:-20])
    assert [row.utterance_id for row in oracle.pull(None).annotations] == ["a"]
    list(oracle.push([task("a"), task("b"), task("c")]))
    assert [row.utterance_id for row in oracle.pull(None).annotations] == ["a", "b", "c"]
    assert [row["utterance_id"] for row in read_asked(asked)] == ["a", "b", "c"]


def test_a_letter_that_was_cut_in_two_is_passed_over(tmp_path: Path) -> None:
    asked = tmp_path / "asked.jsonl"
    list(ReferenceOracle(REPLIES, asked, "ky").push([task("a")]))
    with asked.open("ab") as file:
        file.write('\n{"utterance_id": "b", "hypothesis": "ө'.encode()[:-1])
    assert [row["utterance_id"] for row in read_asked(asked)] == ["a"]
    assert read_asked(tmp_path / "never.jsonl") == []


def test_corrections_cost_more_than_verdicts() -> None:
    assert lead_time_s(task("a"), None, "ky") == pytest.approx(4 + 0.7 * 2)
    assert lead_time_s(task("a", hypothesis="бир эки"), "Бир, эки!", "ky") == pytest.approx(4 + 3)
    two_wrong = lead_time_s(task("a", hypothesis="бир"), "бир эки үч", "ky")
    assert two_wrong == pytest.approx(4 + 1.5 * 2 + 2 * 2.5)


def test_replies_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_replies(REPLIES, tmp_path / "replies.json")
    assert read_replies(tmp_path / "replies.json") == REPLIES
    assert [path.name for path in tmp_path.iterdir()] == ["replies.json"]
