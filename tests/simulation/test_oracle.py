from pathlib import Path

import pytest

from al_loop.records import Case, Label, Pulled, Task, TaskKey, Utterance
from al_loop.simulation.oracle import (
    PLACE,
    ReferenceJudge,
    ReferenceOracle,
    Replies,
    lead_time_s,
    read_asked,
    read_replies,
    write_replies,
)

REPLIES = Replies({"a": "бир эки үч", "b": "төрт"}, {"c": "bad_audio"})


def task(utterance_id: str, rank: int = 0, hypothesis: str = "бир эки") -> Task:
    key = TaskKey(utterance_id, 1, 0)
    return Task(
        key, "query", rank, f"{utterance_id}.flac", 2.0, hypothesis, "base", (0.5, 0.5), 0.5
    )


def pull(oracle: ReferenceOracle) -> Pulled:
    (found,) = oracle.pull(PLACE, None)
    return found


def answered(oracle: ReferenceOracle) -> list[tuple[str, str | None, str | None]]:
    answers = [row for found in pull(oracle).tasks for row in found.annotations]
    return [(row.utterance_id, row.text, row.verdict) for row in answers]


def test_the_reference_is_the_answer_whichever_process_asked(tmp_path: Path) -> None:
    asked = tmp_path / "asked.jsonl"
    assert answered(ReferenceOracle(REPLIES, asked, "ky")) == []
    oracle = ReferenceOracle(REPLIES, asked, "ky")
    (pushed,) = oracle.push(oracle.place("all"), [task("a"), task("c", 1)])
    assert pushed == {task("a").key: "a-1-0", task("c").key: "c-1-0"}
    other = ReferenceOracle(REPLIES, asked, "ky")
    assert answered(other) == [("a", "бир эки үч", None), ("c", None, "bad_audio")]
    assert other.task_ids(PLACE) == pushed
    assert pull(other) == pull(oracle)
    assert pull(other).high_water is None
    assert list(other.refresh(PLACE, {"a-1-0": task("a")})) == []


def test_tasks_that_a_kill_cut_short_are_asked_again(tmp_path: Path) -> None:
    asked = tmp_path / "asked.jsonl"
    oracle = ReferenceOracle(REPLIES, asked, "ky")
    list(oracle.push(PLACE, [task("a"), task("b")]))
    asked.write_bytes(asked.read_bytes()[:-20])
    assert [row[0] for row in answered(oracle)] == ["a"]
    list(oracle.push(PLACE, [task("a"), task("b"), task("c")]))
    assert [row[0] for row in answered(oracle)] == ["a", "b", "c"]
    assert [row["utterance_id"] for row in read_asked(asked)] == ["a", "b", "c"]


def test_a_letter_that_was_cut_in_two_is_passed_over(tmp_path: Path) -> None:
    asked = tmp_path / "asked.jsonl"
    list(ReferenceOracle(REPLIES, asked, "ky").push(PLACE, [task("a")]))
    with asked.open("ab") as file:
        file.write('\n{"utterance_id": "b", "hypothesis": "ө'.encode()[:-1])
    assert [row["utterance_id"] for row in read_asked(asked)] == ["a"]
    assert read_asked(tmp_path / "never.jsonl") == []


def test_the_reference_is_right_whatever_it_looks_like(tmp_path: Path) -> None:
    oracle = ReferenceOracle(REPLIES, tmp_path / "asked.jsonl", "ky")
    list(oracle.push(PLACE, [task("c")]))
    ((answer,),) = [found.annotations for found in pull(oracle).tasks]
    row = Utterance("c", "c", "c.flac", 2.0, "radio", "ky", "pool")
    judge = ReferenceJudge()
    case = Case(row, [], [answer])
    assert judge.settle(case) == Label("c", None, "bad_audio", ["c-1-0"])
    assert judge.follow_ups([case]) == []


def test_corrections_cost_more_than_verdicts() -> None:
    assert lead_time_s(task("a"), None, "ky") == pytest.approx(4 + 0.7 * 2)
    assert lead_time_s(task("a", hypothesis="бир эки"), "Бир, эки!", "ky") == pytest.approx(4 + 3)
    two_wrong = lead_time_s(task("a", hypothesis="бир"), "бир эки үч", "ky")
    assert two_wrong == pytest.approx(4 + 1.5 * 2 + 2 * 2.5)


def test_replies_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_replies(REPLIES, tmp_path / "replies.json")
    assert read_replies(tmp_path / "replies.json") == REPLIES
    assert [path.name for path in tmp_path.iterdir()] == ["replies.json"]
