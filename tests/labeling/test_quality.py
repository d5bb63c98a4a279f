"""What several answers settle on, what it is worth, and what is asked again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest

from al_loop.config import LabelSettings
from al_loop.records import (
    Annotation,
    AskedTask,
    Case,
    FollowUp,
    Label,
    TaskKey,
    TaskKind,
    Utterance,
    Verdict,
)
from labeling.quality import FACTORS, LEAST, MOST_FOLLOW_UPS, SETTLED, LabelJudge

RULE = LabelSettings()
VOTE = LabelSettings(disputes="vote")
TEN = "бир эки үч төрт беш алты жети сегиз тогуз он"
DRAFT = "бир эки үч төрт"
UTTERANCE = Utterance("u1", "s1", "audio/u1.flac", 4.0, "radio", "ky", "pool")


def task(
    copy: int = 0,
    kind: TaskKind = "query",
    hypothesis: str | None = DRAFT,
    word_probs: Sequence[float] = (),
    is_open: bool = False,
) -> AskedTask:
    return AskedTask(TaskKey("u1", 3, copy), kind, is_open, hypothesis, word_probs)


def said(
    minute: int,
    text: str | None,
    verdict: Verdict | None = None,
    who: str = "",
    copy: int = 0,
    **more: Any,
) -> Annotation:
    """An answer given at `minute`, by an annotator of its own unless `who` is named."""
    time = f"2026-01-01T00:{minute:02}:00.000000Z"
    key = TaskKey("u1", 3, copy)
    name = who or f"annotator {minute}"
    return Annotation(str(minute), "7", key, name, text, verdict, 2.0, time, time, **more)


def case(*answers: Annotation, tasks: Sequence[AskedTask] = ()) -> Case:
    return Case(UTTERANCE, tasks or [task()], answers)


def settled(*answers: Annotation, rule: LabelSettings = RULE, **more: Any) -> Label:
    label = LabelJudge(rule, "ky").settle(case(*answers, **more))
    assert label is not None
    return label


def follow_up(*answers: Annotation, rule: LabelSettings = RULE, **more: Any) -> FollowUp | None:
    found = LabelJudge(rule, "ky").follow_ups([case(*answers, **more)])
    assert len(found) <= 1
    return found[0] if found else None


def flags(label: Label) -> list[str]:
    return [flag.partition(":")[0] for flag in label.flags]


# -- who counts ------------------------------------------------------------------------------------


def test_one_answer_is_single() -> None:
    label = settled(said(1, "бир эки"))
    assert label == Label("u1", "бир эки", None, ["1"], "single", SETTLED["single"], [])


def test_a_later_answer_of_an_annotator_replaces_the_earlier_one() -> None:
    label = settled(said(1, "бир", who="a"), said(3, "үч", who="a"), said(2, "эки", who="a"))
    assert (label.text, label.settled) == ("үч", "single")
    assert label.annotation_ids == ["3", "2", "1"]


def test_an_annotator_who_answers_a_blind_repeat_has_one_voice() -> None:
    tasks = [task(), task(1, "repeat")]
    own = [said(1, "бир эки", who="a"), said(2, "бир үч", who="a", copy=1)]
    label = settled(*own, tasks=tasks)
    assert (label.text, label.settled) == ("бир үч", "single")
    # the other's is no minority of one to two
    label = settled(*own, said(3, "бир эки", who="b"), tasks=tasks)
    assert label.settled == "disputed"


def test_each_answer_of_somebody_who_was_deleted_is_a_voice_of_its_own() -> None:
    rows = [said(number, "бир эки", who="unknown") for number in (1, 2)]
    assert settled(*rows).settled == "agreed"
    other = said(3, "бир үч", who="unknown")
    assert settled(rows[0], other).settled == "disputed"


def test_a_later_verdict_replaces_a_text_but_a_later_skip_does_not() -> None:
    assert settled(said(1, "бир", who="a"), said(2, None, "bad_audio", "a")).verdict == "bad_audio"
    label = settled(said(1, "бир", who="a"), said(2, None, "skipped", "a"))
    assert (label.text, label.verdict, label.annotation_ids) == ("бир", None, ["1", "2"])


def test_skips_count_only_among_skips() -> None:
    assert settled(said(1, None, "skipped"), said(2, None, "skipped")).verdict == "skipped"
    label = settled(said(1, None, "skipped"), said(2, "бир"), said(3, None, "skipped"))
    assert (label.text, label.settled) == ("бир", "single")


def test_a_text_without_a_word_is_a_skip() -> None:
    label = settled(said(1, "…"))
    assert (label.text, label.verdict, flags(label)) == (None, "skipped", ["empty"])
    assert settled(said(1, "бир"), said(2, "?!")).settled == "single"


def test_gold_answers_do_not_count() -> None:
    tasks = [task(), task(1, "gold")]
    judge = LabelJudge(RULE, "ky")
    assert judge.settle(case(said(1, "бир", copy=1), tasks=tasks)) is None
    assert judge.settle(case(tasks=tasks)) is None
    label = settled(said(1, "бир"), said(2, "эки", copy=1), tasks=tasks)
    assert (label.text, label.settled, label.annotation_ids) == ("бир", "single", ["1"])


def test_an_answer_to_a_task_that_nobody_knows_counts_as_one_to_a_query() -> None:
    assert settled(said(1, "бир", copy=9)).text == "бир"


# -- texts -----------------------------------------------------------------------------------------


def test_two_that_agree_within_the_limit_give_the_later_text() -> None:
    label = settled(said(1, "Бир, эки!"), said(2, "бир эки"))
    assert (label.text, label.settled, label.quality) == ("бир эки", "agreed", 1.0)
    assert label.annotation_ids == ["2", "1"]
    rule = LabelSettings(agree_wer=0.1)
    label = settled(said(1, TEN), said(2, TEN.replace("он", "оон")), rule=rule)
    assert (label.settled, label.quality, label.flags) == ("agreed", 0.9, [])


def test_of_several_that_agree_the_one_nearest_to_the_others_is_taken() -> None:
    one, between, other = TEN, TEN.replace("он", "оон"), TEN.replace("тогуз он", "токуз оон")
    rule = LabelSettings(agree_wer=0.2)
    label = settled(said(1, between), said(2, one), said(3, other), rule=rule)
    assert (label.text, label.settled) == (between, "agreed")


def test_two_that_disagree_are_disputed_and_asked_about() -> None:
    answers = [said(1, "бир эки"), said(2, "бир үч")]
    label = settled(*answers)
    assert (label.settled, label.quality) == ("disputed", LEAST)
    assert label.flags == ["dissent: 1 of 2 annotators say otherwise (WER 50% on average)"]
    found = follow_up(*answers)
    assert found == FollowUp("u1", "adjudication", label.flags[0])


def test_a_third_settles_with_the_least_expected_error() -> None:
    tasks = [task(), task(1, "adjudication")]
    answers = [said(1, "бир эки"), said(2, "бир үч"), said(3, "бир эки", copy=1)]
    label = settled(*answers, tasks=tasks)
    assert (label.text, label.settled) == ("бир эки", "adjudicated")
    assert label.annotation_ids == ["3", "2", "1"]
    assert label.quality == pytest.approx(SETTLED["adjudicated"] * 0.75)
    assert follow_up(*answers, tasks=tasks) is None


def test_an_adjudicator_who_agrees_with_nobody_is_believed() -> None:
    tasks = [task(), task(1, "adjudication")]
    answers = [said(1, "бир эки", copy=1), said(2, "бир үч"), said(3, "төрт эки")]
    label = settled(*answers, tasks=tasks)
    assert (label.text, label.settled) == ("бир эки", "adjudicated")
    label = settled(*(replace(row, key=TaskKey("u1", 3, 0)) for row in answers))
    assert label.text == "төрт эки"  # without an adjudication, the last


def test_where_two_agree_an_adjudicator_alone_does_not_win() -> None:
    tasks = [task(), task(1, "adjudication")]
    label = settled(*(said(1, "бир эки"), said(2, "бир эки"), said(3, "үч", copy=1)), tasks=tasks)
    assert (label.text, label.settled) == ("бир эки", "adjudicated")


def test_a_team_of_two_can_settle() -> None:
    tasks = [task(), task(1, "adjudication")]
    answers = [
        *(said(1, "бир эки", who="a"), said(2, "бир үч", who="b")),
        said(3, "бир эки", who="a", copy=1),
    ]
    label = settled(*answers, tasks=tasks)
    assert (label.text, label.settled) == ("бир эки", "adjudicated")
    assert label.quality == pytest.approx(SETTLED["adjudicated"] * 0.5)
    # also where the other one changes an answer afterwards
    label = settled(*answers, said(4, "беш", who="b"), tasks=tasks)
    assert label.text == "бир эки"


def test_three_are_put_to_the_vote_word_by_word() -> None:
    answers = [
        said(1, "Бир эки үч беш"),
        said(2, "бир, эки төрт беш"),
        said(3, "бир ики төрт беш."),
    ]
    label = settled(*answers, rule=VOTE)
    assert (label.text, label.settled) == ("бир, эки төрт беш", "voted")
    assert label.annotation_ids == ["2", "3", "1"]
    assert label.quality == pytest.approx(SETTLED["voted"] * 0.75)
    assert follow_up(*answers, rule=VOTE) is None


def test_what_wins_a_vote_need_not_be_anybodys_text() -> None:
    texts = ["ак эки үч төрт", "бир ак үч төрт", "бир эки ак төрт"]
    label = settled(*(said(number, text) for number, text in enumerate(texts)), rule=VOTE)
    assert label.text == "бир эки үч төрт"


def test_two_cannot_vote_and_a_third_is_asked() -> None:
    answers = [said(1, "бир эки үч"), said(2, "бир төрт")]
    assert settled(*answers, rule=VOTE).settled == "disputed"
    found = follow_up(*answers, rule=VOTE)
    assert found is not None
    assert found.kind == "adjudication"
    tasks = [task(), task(1, "adjudication")]
    third = said(3, "бир эки үч", copy=1)
    label = settled(*answers, third, rule=VOTE, tasks=tasks)
    assert (label.text, label.settled) == ("бир эки үч", "voted")
    # in a team of two one of them adjudicates
    own = replace(third, annotator="annotator 1")
    label = settled(*answers, own, rule=VOTE, tasks=tasks)
    assert (label.text, label.settled) == ("бир эки үч", "adjudicated")


# -- texts and verdicts ----------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [RULE, VOTE], ids=["adjudicate", "vote"])
def test_a_text_against_a_verdict_is_a_dispute_until_somebody_adjudicates(
    rule: LabelSettings,
) -> None:
    answers = [said(1, "бир"), said(2, None, "bad_audio")]
    assert settled(*answers, rule=rule).settled == "disputed"
    found = follow_up(*answers, rule=rule)
    assert found is not None
    assert found.kind == "adjudication"
    tasks = [task(), task(1, "adjudication")]
    label = settled(*answers, said(3, None, "other_language", copy=1), tasks=tasks, rule=rule)
    assert (label.verdict, label.text, label.settled) == ("other_language", None, "adjudicated")
    label = settled(*answers, said(3, "бир", copy=1), tasks=tasks, rule=rule)
    assert (label.text, label.verdict, label.settled) == ("бир", None, "adjudicated")
    # an adjudicator who gave one of the two answers
    again = said(3, None, "bad_audio", who="annotator 2", copy=1)
    assert settled(*answers, again, tasks=tasks, rule=rule).verdict == "bad_audio"


def test_of_verdicts_the_most_frequent_counts_and_then_the_latest() -> None:
    label = settled(said(1, None, "bad_audio"), said(2, None, "other_language"))
    assert (label.verdict, label.settled) == ("other_language", "agreed")
    label = settled(
        *(said(1, None, "bad_audio"), said(2, None, "several_speakers")),
        said(3, None, "bad_audio"),
        said(4, None, "other_language"),
    )
    assert label.verdict == "bad_audio"


def test_two_texts_that_differ_stay_disputed_beside_one_verdict() -> None:
    answers = [said(1, "бир"), said(2, "эки"), said(3, None, "bad_audio", copy=1)]
    assert settled(*answers, tasks=[task(), task(1, "adjudication")]).settled == "disputed"


# -- unchanged drafts ------------------------------------------------------------------------------

DOUBTFUL = task(word_probs=[0.4, 0.6, 0.7, 0.5])  # 45% of its words are expected to be wrong


@pytest.mark.parametrize("text", [DRAFT, "Бир, эки, үч, төрт."])
def test_a_draft_left_as_it_was_is_asked_again_with_an_empty_box(text: str) -> None:
    answer = said(1, text, shown=DRAFT)
    label = settled(answer, tasks=[DOUBTFUL])
    (reason,) = label.flags
    assert reason == (
        "unchanged_draft: its words stayed as shown, 45% of them expected to be wrong"
    )
    assert label.quality == SETTLED["single"] * FACTORS["unchanged_draft"]
    assert follow_up(answer, tasks=[DOUBTFUL]) == FollowUp("u1", "repeat", reason, "")


@pytest.mark.parametrize(
    ("answer", "asked"),
    [
        (said(1, "бир эки үч беш", shown=DRAFT), DOUBTFUL),  # corrected
        (said(1, DRAFT, shown=DRAFT), task(word_probs=[0.9, 0.6, 0.7, 0.6])),  # 30%: not above
        (said(1, DRAFT, shown=DRAFT), task()),  # nobody asked the model
        (said(1, DRAFT, shown=DRAFT), task(word_probs=[math.nan] * 4)),
        (said(1, DRAFT, shown=""), DOUBTFUL),  # typed into an empty box
        (said(1, DRAFT, shown="бир эки"), DOUBTFUL),  # the task shows another one by now
        (said(1, DRAFT), task(hypothesis=None)),
        (said(1, DRAFT), task(hypothesis="", word_probs=[])),
    ],
)
def test_other_drafts_are_no_reason_to_doubt(answer: Annotation, asked: AskedTask) -> None:
    assert settled(answer, tasks=[asked]).flags == []
    assert follow_up(answer, tasks=[asked]) is None


def test_what_the_task_shows_counts_where_the_answer_does_not_say() -> None:
    assert flags(settled(said(1, DRAFT), tasks=[DOUBTFUL])) == ["unchanged_draft"]


def test_who_confirms_a_draft_from_an_empty_box_clears_it() -> None:
    tasks = [DOUBTFUL, task(1, "repeat", "")]
    answers = [said(1, DRAFT, shown=DRAFT), said(2, DRAFT, shown="", copy=1)]
    label = settled(*answers, tasks=tasks)
    assert (label.settled, label.flags, label.quality) == ("agreed", [], 1.0)
    # also the same annotator, as one voice
    own = [replace(row, annotator="a") for row in answers]
    label = settled(*own, tasks=tasks)
    assert (label.settled, label.flags) == ("single", [])


def test_two_who_left_the_draft_confirm_nothing() -> None:
    answers = [said(1, DRAFT, shown=DRAFT), said(2, DRAFT, shown=DRAFT)]
    label = settled(*answers, tasks=[DOUBTFUL])
    assert (label.settled, flags(label)) == ("agreed", ["unchanged_draft"])
    found = follow_up(*answers, tasks=[DOUBTFUL])
    assert found is not None
    assert found.hypothesis == ""


def test_an_empty_box_is_shown_once() -> None:
    tasks = [DOUBTFUL, task(1, "repeat", "")]
    answers = [said(1, DRAFT, shown=DRAFT), said(2, None, "skipped", copy=1)]
    assert follow_up(*answers, tasks=tasks) is None
    # a blind repeat that shows the draft is no empty box
    tasks = [DOUBTFUL, task(1, "repeat")]
    found = follow_up(*answers, tasks=tasks)
    assert found is not None
    assert found.hypothesis == ""


# -- flags and second opinions ---------------------------------------------------------------------


def test_the_text_is_repaired_and_says_so() -> None:
    label = settled(said(1, "Cалaм айттым"))
    assert label.text == "Салам айттым"
    assert label.flags == ["repaired: Latin letters in `Cалaм` are replaced by Cyrillic ones"]
    assert label.quality == SETTLED["single"]
    assert settled(said(1, "Cалaм"), said(2, "салам")).settled == "agreed"


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        ("сәлам айттым", "foreign_letters"),
        ("Facebook менен", "other_script"),
        ("кел кел кел кел кел", "loop"),
    ],
)
def test_a_grave_flag_asks_for_a_second_opinion_once(text: str, flag: str) -> None:
    label = settled(said(1, text))
    assert flags(label) == [flag]
    assert label.quality == pytest.approx(SETTLED["single"] * FACTORS[flag])
    found = follow_up(said(1, text))
    assert found == FollowUp("u1", "repeat", label.flags[0])
    assert follow_up(said(1, text), tasks=[task(), task(1, "repeat", is_open=True)]) is None
    assert follow_up(said(1, text), tasks=[task(), task(1, "repeat")]) is None
    # a second annotator who wrote the same is one
    assert follow_up(said(1, text), said(2, text)) is None


def test_a_clip_of_few_words_for_its_length_is_heard_again() -> None:
    long = replace(UTTERANCE, duration_s=20.0)
    judge = LabelJudge(RULE, "ky")
    asked = Case(long, [task()], [said(1, "ооба")])
    label = judge.settle(asked)
    assert label is not None
    assert flags(label) == ["too_short"]
    (found,) = judge.follow_ups([asked])
    assert (found.kind, found.hypothesis) == ("repeat", None)


def test_small_oddities_cost_quality_and_no_time() -> None:
    answer = said(1, "саат 12де [шум]")
    label = settled(answer)
    assert flags(label) == ["digits", "markup"]
    assert label.quality == pytest.approx(0.8 * 0.9 * 0.9)
    assert follow_up(answer) is None


def test_an_unsure_answer_wants_a_second_opinion() -> None:
    unsure = said(1, "бир эки", unsure=True)
    label = settled(unsure)
    assert flags(label) == ["unsure"]
    assert label.quality == pytest.approx(SETTLED["single"] * FACTORS["unsure"])
    assert follow_up(unsure) == FollowUp("u1", "repeat", label.flags[0])
    assert settled(unsure, said(2, "бир эки")).flags == []
    both = settled(unsure, said(2, "бир эки", unsure=True))
    assert (both.settled, flags(both)) == ("agreed", ["unsure"])


def test_an_impossible_text_is_never_trained_on() -> None:
    page = "ал айтты да кетип калды " * 20  # 480 characters in 4 s
    label = settled(said(1, page))
    assert (label.settled, flags(label)) == ("disputed", ["loop", "too_long"])
    found = follow_up(said(1, page))
    assert found == FollowUp("u1", "repeat", label.flags[1], "")
    tasks = [task(), task(1, "repeat", "")]
    assert follow_up(said(1, page), said(2, None, "skipped", copy=1), tasks=tasks) is None
    for other in (said(2, "бир эки", copy=1), said(2, None, "bad_audio", copy=1)):
        label = settled(said(1, page), other, tasks=tasks)
        assert (label.text, label.verdict) == (other.text, other.verdict)
        assert (label.settled, label.flags) == ("single", [])


# -- how much is asked -----------------------------------------------------------------------------


def test_nothing_is_asked_while_an_answer_is_awaited() -> None:
    answers = [said(1, "бир"), said(2, "эки")]
    assert follow_up(*answers, tasks=[task(), task(1, "repeat", is_open=True)]) is None
    # gold answers do not settle anything
    assert follow_up(*answers, tasks=[task(), task(1, "gold", is_open=True)]) is not None


def test_follow_ups_end() -> None:
    """Annotators who never agree are asked a stated number of times."""
    judge = LabelJudge(LabelSettings(agree_wer=0.0), "ky")
    tasks, answers = [DOUBTFUL], [said(0, DRAFT, shown=DRAFT, unsure=True, who="a")]
    for number in range(1, 20):
        found = judge.follow_ups([case(*answers, tasks=tasks)])
        if not found:
            break
        tasks.append(task(number, found[0].kind, found[0].hypothesis))
        verdict: Verdict | None = "bad_audio" if number % 2 else None
        text = None if verdict else f"башка {number}"
        answers.append(said(number, text, verdict, who="b", copy=number, unsure=True))
    assert 1 < len(tasks) <= 1 + MOST_FOLLOW_UPS


def test_no_answers_no_follow_up() -> None:
    assert follow_up() is None


# -- quality ---------------------------------------------------------------------------------------


def test_a_known_gold_score_scales_what_one_annotator_says_alone() -> None:
    judge = LabelJudge(RULE, "ky", lambda: {"annotator 1": 0.75})
    alone = judge.settle(case(said(1, "бир")))
    together = judge.settle(case(said(1, "бир"), said(2, "бир")))
    stranger = judge.settle(case(said(3, "бир")))
    found = [label.quality for label in (alone, together, stranger) if label is not None]
    assert found == [0.6, 1.0, 0.8]


def test_quality_is_never_nothing() -> None:
    judge = LabelJudge(RULE, "ky", lambda: {"annotator 1": 0.0})
    label = judge.settle(case(said(1, "Facebook сәлам [шум] 12", unsure=True)))
    assert label is not None
    assert label.quality == LEAST


@pytest.mark.parametrize("rule", [RULE, VOTE], ids=["adjudicate", "vote"])
@pytest.mark.parametrize("seed", range(15))
def test_the_order_of_the_answers_does_not_matter(seed: int, rule: LabelSettings) -> None:
    rng = np.random.default_rng(seed)
    tasks = [DOUBTFUL, task(1, "repeat", ""), task(2, "adjudication"), task(3, "gold")]
    texts = [DRAFT, "бир эки үч беш", "бир ики үч беш", "Бир эки үч төрт", "…", "сәлам"]
    answers = []
    for number in range(4):
        verdict = rng.choice(["", "", "", "bad_audio", "skipped"])
        minute = int(rng.integers(1, 4))  # some at the same time
        row = said(
            minute,
            None if verdict else str(rng.choice(texts)),
            verdict or None,
            who=str(rng.choice(["a", "b", "c"])),
            copy=int(rng.integers(0, 4)),
            unsure=bool(rng.integers(2)) and not verdict,
        )
        answers.append(replace(row, id=str(number)))
    judge = LabelJudge(rule, "ky")
    cases = [case(*order, tasks=tasks) for order in permutations(answers)]
    assert all(judge.settle(row) == judge.settle(cases[0]) for row in cases)
    assert all(judge.follow_ups([row]) == judge.follow_ups(cases[:1]) for row in cases)
    label = judge.settle(cases[0])
    if label is not None:
        assert (label.text is None) != (label.verdict is None)
        assert 0 < label.quality <= 1
        assert len(set(label.annotation_ids)) == len(label.annotation_ids)
