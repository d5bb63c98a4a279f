"""The figures of annotators, from answers of which they are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import pytest

from al_loop.annotators import (
    FEWEST_GOLD,
    Annotator,
    Answered,
    annotators,
    by_round,
    from_row,
    gold_scores,
)
from al_loop.commands.annotators import annotator_lines
from al_loop.records import Annotation, TaskKey, TaskKind, Verdict

TEN = "бир эки үч төрт беш алты жети сегиз тогуз он"


def given(
    who: str,
    utterance: str,
    text: str | None,
    verdict: Verdict | None = None,
    *,
    kind: TaskKind = "query",
    minute: int = 0,
    truth: str | None = None,
    **more: Any,
) -> Answered:
    """Answers to repeats and gold tasks are to a copy of their own."""
    time = f"2026-01-01T00:{minute:02}:00.000000Z"
    key = TaskKey(utterance, 3, {"query": 0, "repeat": 1, "gold": 2}.get(kind, 3))
    values = {"lead_time_s": 10.0, "created_at": time, "updated_at": time} | more
    answer = Annotation(
        id=f"{who} {utterance} {kind}",
        task_id="7",
        key=key,
        annotator=who,
        text=text,
        verdict=verdict,
        **values,
    )
    return Answered(answer, kind, truth)


def figures(rows: Sequence[Answered]) -> dict[str, Annotator]:
    return {row.name: row for row in annotators(rows, "ky", 600.0)}


def test_nobody() -> None:
    assert annotators([], "ky", 600.0) == []
    assert annotator_lines([], 600.0) == ["nobody has answered yet"]


def test_breaks_count_for_the_longest_answer_and_the_median_ignores_them() -> None:
    times = [10.0, 20.0, 30.0, 86_400.0, None]
    rows = [given("a", f"u{n}", "бир", lead_time_s=time) for n, time in enumerate(times)]
    (found,) = annotators(rows, "ky", 600.0)
    assert (found.answers, found.timed) == (5, 4)
    assert found.minutes == pytest.approx((10 + 20 + 30 + 600) / 60)
    assert found.median_s == 25.0
    (found,) = annotators([given("a", "u1", "бир", lead_time_s=None)], "ky", 600.0)
    assert (found.timed, found.minutes, found.median_s) == (0, 0.0, None)


def test_edits_are_changed_words_of_the_drafts() -> None:
    rows = [
        given("a", "u1", "Бир, эки үч!", shown="бир эки үч"),  # only case and punctuation
        given("a", "u2", "бир эки төрт беш", shown="бир эки үч"),
        given("a", "u3", "бир", shown=""),  # typed into an empty box
        given("a", "u4", "бир"),  # nobody knows what was shown
        given("a", "u5", None, "bad_audio", shown="бир эки"),
    ]
    (found,) = annotators(rows, "ky", 600.0)
    assert found.edits == 1.0
    assert found.edited is not None
    assert found.unchanged is not None
    assert (found.edited.value, found.edited.count) == (2 / 7, 2)
    assert (found.unchanged.value, found.unchanged.count) == (0.5, 2)


def test_shares_of_answers_leave_skips_out_and_have_wilsons_interval() -> None:
    rows = [given("a", f"u{number}", "бир", unsure=number < 2) for number in range(8)]
    rows += [given("a", "v1", None, "bad_audio"), given("a", "v2", None, "several_speakers")]
    rows += [given("a", "v3", None, "skipped")]
    (found,) = annotators(rows, "ky", 600.0)
    assert (found.answers, found.skips) == (11, 1)
    assert found.unusable is not None
    assert (found.unusable.value, found.unusable.count) == (0.2, 10)
    # Wilson's interval of 2 in 10
    assert (found.unusable.low, found.unusable.high) == pytest.approx((0.0567, 0.5098), abs=1e-4)
    assert found.unsure is not None
    assert (found.unsure.value, found.unsure.count) == (0.25, 8)


def test_agreement_is_with_all_others_on_the_same_clips() -> None:
    rows = [
        given("a", "u1", TEN),
        given("b", "u1", TEN.replace("он", "оон")),
        given("c", "u1", TEN),
        given("a", "u2", "ооба"),  # heard by nobody else
        given("b", "u3", "беш", minute=1),
        given("b", "u3", "алты", kind="repeat", minute=2),  # the later counts
        given("c", "u3", "алты"),
        given("b", "u4", None, "bad_audio"),
        given("c", "u4", "жети"),
        given("a", "u5", "жок", kind="gold", truth="ооба"),
        given("b", "u5", "ооба", kind="gold", truth="ооба"),
    ]
    found = figures(rows)
    shares = {name: row.agreement for name, row in found.items()}
    assert shares["a"] is not None
    assert shares["b"] is not None
    assert shares["c"] is not None
    assert (shares["a"].value, shares["a"].count) == (pytest.approx(0.95), 2)
    assert (shares["b"].value, shares["b"].count) == (pytest.approx(1 - 2 / 21), 3)
    assert (shares["c"].value, shares["c"].count) == (pytest.approx(1 - 1 / 21), 3)
    assert figures(rows[::-1]) == found


def test_deleted_annotators_are_listed_and_compared_with_nobody() -> None:
    def answers(who: str) -> list[Answered]:
        golden = [given(who, f"g{n}", "жок", kind="gold", truth="ооба") for n in range(10)]
        again = given(who, "u1", "эки", kind="repeat", minute=2)
        return [given(who, "u1", "бир", minute=1), again, *golden]

    rows = [*answers("a"), *answers("unknown")]
    found = figures(rows)
    assert found["a"].agreement is None
    assert found["a"].consistency is not None
    gone = found["unknown"]
    assert (gone.answers, gone.minutes) == (12, 2.0)
    assert gone.agreement is gone.gold is gone.consistency is None
    assert gold_scores(rows, "ky") == {"a": 0.0}


def test_nobody_to_agree_with() -> None:
    (found,) = annotators([given("a", "u1", "бир")], "ky", 600.0)
    assert found.agreement is found.gold is found.consistency is found.edited is None


def test_the_gold_score_is_what_is_right_of_known_texts() -> None:
    rows = [
        given("a", "u1", TEN.replace("он", "оон"), kind="gold", truth=TEN),
        given("a", "u2", None, "bad_audio", kind="gold", truth=TEN),
        given("a", "u3", None, "skipped", kind="gold", truth=TEN),
        given("a", "u4", "бир", kind="gold", truth="…"),  # a truth without a word says nothing
        given("a", "u5", "бир", truth="эки"),  # no gold task
        given("b", "u1", "бир эки үч", kind="gold", truth="ооба"),  # three errors in one word
    ]
    found = figures(rows)
    gold, hopeless = found["a"].gold, found["b"].gold
    assert gold is not None
    assert hopeless is not None
    assert (gold.value, gold.count) == (pytest.approx(9 / 20), 2)
    assert (hopeless.value, hopeless.low) == (0.0, 0.0)


def test_consistency_is_with_ones_own_answer_before() -> None:
    rows = [
        given("a", "u1", TEN, minute=1),
        given("a", "u1", TEN.replace("он", "оон"), kind="repeat", minute=2),
        given("a", "u2", "бир", minute=1),
        given("b", "u2", "эки", kind="repeat", minute=2),  # somebody else's clip
        given("a", "u3", None, "bad_audio", minute=1),
        given("a", "u3", "бир", kind="repeat", minute=2),
        given("a", "u4", "бир", minute=1),
        given("a", "u4", "эки", kind="gold", truth="эки", minute=2),
    ]
    found = figures(rows)
    assert found["a"].consistency is not None
    assert (found["a"].consistency.value, found["a"].consistency.count) == (pytest.approx(0.9), 1)
    assert found["b"].consistency is None


def test_few_clips_without_an_error_prove_little() -> None:
    few = [given("a", f"u{n}", TEN, kind="gold", truth=TEN) for n in range(2)]
    many = [given("b", f"u{n}", TEN, kind="gold", truth=TEN) for n in range(200)]
    found = figures([*few, *many])
    assert found["a"].gold is not None
    assert found["b"].gold is not None
    assert found["a"].gold.value == found["b"].gold.value == found["b"].gold.high == 1.0
    assert found["a"].gold.low == pytest.approx(0.839, abs=1e-3)  # Wilson's of 20 in 20 words
    assert found["b"].gold.low > 0.99


def test_errors_in_few_clips_widen_the_interval_beyond_what_words_say() -> None:
    texts = [TEN] * 9 + ["жок"]
    rows = [given("a", f"u{n}", text, kind="gold", truth=TEN) for n, text in enumerate(texts)]
    (found,) = annotators(rows, "ky", 600.0)
    assert found.gold is not None
    assert found.gold.value == 0.9
    assert found.gold.low <= 0.7  # Wilson's of 90 in 100 words would end at 0.83


def test_a_row_of_the_database_becomes_an_answer() -> None:
    row = given("a", "u1", "бир", kind="gold", truth="бир", shown="бир", unsure=True)
    values = asdict(row.answer) | row.answer.key._asdict() | {"kind": "gold", "truth": "бир"}
    values["unsure"] = 1
    assert from_row(values) == row


def test_the_table_says_what_it_shows() -> None:
    rows = [
        given("7", "u1", TEN, shown="бир эки", lead_time_s=30.0),
        given("7", "u2", "бир", shown="бир", lead_time_s=1000.0),
        given("12", "u1", TEN.replace("он", "оон"), lead_time_s=None),
    ]
    lines = annotator_lines(annotators(rows, "ky", 600.0), 600.0)
    head, second, first, empty, *legend = lines  # 7 before 12
    assert head.split()[:5] == ["annotator", "answers", "skips", "minutes", "median"]
    # rows stand under their heads
    assert first.split()[:4] == ["12", "1", "0", "-"]
    assert second.split()[:6] == ["7", "2", "0", "10.5", "515", "s"]
    assert second[head.index("edits") :].startswith("4.0 ")
    assert second[head.index("unchanged") :].startswith("50 (9 to 91) of 2 ")
    assert second[head.index("agreement") :].startswith("90 (")
    assert second[head.index("gold") :].startswith("- ")
    assert empty == ""
    assert "600 s" in " ".join(legend)


def test_gold_scores_are_of_those_who_answered_enough_of_them() -> None:
    def asked(annotator: str, count: int, right: int) -> list[Answered]:
        return [
            given(annotator, f"u{n}", "ооба" if n < right else "жок", kind="gold", truth="ооба")
            for n in range(count)
        ]

    few, query = asked("a", FEWEST_GOLD - 1, 0), [given("b", "u1", "ооба")]
    enough = asked("b", FEWEST_GOLD + 1, FEWEST_GOLD)
    assert gold_scores([*few, *query], "ky") == {}
    assert gold_scores([*few, *query, *enough], "ky") == {"b": 0.9}


def test_rounds_are_compared_each_within_itself() -> None:
    def of(number: int, row: Answered) -> Answered:
        return replace(row, answer=replace(row.answer, key=row.answer.key._replace(round=number)))

    half = "бир эки үч төрт беш жок жок жок жок жок"
    rows = [
        of(1, given("a", "u1", TEN, shown=TEN)),
        of(1, given("b", "u1", half, shown=TEN)),
        of(2, given("a", "u2", TEN)),
        of(2, given("b", "u2", TEN)),
        of(2, given("unknown", "u2", half)),
        of(2, given("b", "u1", TEN)),  # the other text about it is of another round
        of(2, given("b", "u3", half, kind="gold", truth=TEN)),
        of(0, given("a", "u4", TEN, kind="evaluation")),
    ]
    first, second = by_round(rows, "ky")
    assert [row.round for row in (first, second)] == [1, 2]
    assert first.agreement is not None
    assert (first.agreement.value, first.agreement.count) == (0.5, 1)
    assert first.unchanged is not None
    assert (first.unchanged.value, first.unchanged.count) == (0.5, 2)
    assert second.agreement is not None
    assert (second.agreement.value, second.agreement.count) == (1, 1)
    assert second.unchanged is None  # nobody knows what was shown
    assert by_round([], "ky") == []
