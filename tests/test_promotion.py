from collections.abc import Mapping, Sequence

import numpy as np

from al_loop.config import PromoteSettings
from al_loop.promotion import Comparison, Decision, Silence, decide
from al_loop.records import ErrorCounts

QUIET = Silence(0, 0, 0)


def counts(errors: int, spread: int = 1) -> list[ErrorCounts]:
    """50 utterances of 10 words with `errors` errors each, give or take."""
    rng = np.random.default_rng(errors)
    return [
        ErrorCounts(int(value), 10, 0, 50)
        for value in np.clip(errors + rng.integers(-spread, spread + 1, 50), 0, None)
    ]


def wer(points: float) -> list[ErrorCounts]:
    """200 utterances of 50 words, alike: the paired interval has no width."""
    return [ErrorCounts(round(points / 2), 50, 0, 250)] * 200


def judge(
    ky: tuple[int, int],
    ru: tuple[int, int],
    silence: Silence = QUIET,
    earlier: Mapping[str, tuple[int, int]] | None = None,
    **rule: float,
) -> Decision:
    """Errors in ten words before and after; earlier: those of ky and ru, by checkpoint."""

    def compare(before: tuple[int, int]) -> list[Comparison]:
        return [
            Comparison("demo_ky", "ky", counts(before[0]), counts(ky[1])),
            Comparison("demo_ru", "ru", counts(before[1]), counts(ru[1])),
        ]

    past = {name: compare(errors) for name, errors in (earlier or {}).items()}
    settings = PromoteSettings.model_validate(rule)
    rng = np.random.default_rng(0)
    return decide(compare((ky[0], ru[0])), past, silence, "ky", settings, rng, 500)


def test_better_is_promoted_with_its_numbers() -> None:
    decision = judge(ky=(6, 3), ru=(2, 2))
    assert decision.promoted
    assert "demo_ky -32.8 points of WER (" in decision.reason
    assert "demo_ru +0.0 points" in decision.reason


def test_a_worse_target_is_rejected_and_what_passed_is_said() -> None:
    decision = judge(ky=(3, 6), ru=(2, 2))
    assert not decision.promoted
    assert decision.reason.startswith("rejected: demo_ky got worse by +32.8 points of WER (")
    assert decision.reason.endswith("(passed: demo_ru +0.0 points of WER (+0.0 to +0.0))")


def test_the_target_may_get_worse_within_the_margin() -> None:
    assert not judge(ky=(3, 4), ru=(2, 2)).promoted
    assert judge(ky=(3, 4), ru=(2, 2), margin=20.0).promoted


def scattered(points: float) -> list[ErrorCounts]:
    """As `wer`, all errors in a tenth of the utterances: the interval is some ten points wide."""
    return [ErrorCounts(round(points * 5), 50, 0, 250)] * 20 + [ErrorCounts(0, 50, 0, 250)] * 180


def gate(
    comparisons: Sequence[Comparison],
    earlier: Mapping[str, Sequence[Comparison]] | None = None,
    silence: Silence = QUIET,
) -> Decision:
    """The default rule, for Kyrgyz."""
    rng = np.random.default_rng(0)
    return decide(comparisons, earlier or {}, silence, "ky", PromoteSettings(), rng, 500)


def test_a_loss_within_its_interval_counts_in_the_target_language_alone() -> None:
    losing = [Comparison("fleurs", code, scattered(20), wer(24)) for code in ("ky", "ru")]
    assert gate(losing[1:]).promoted
    decision = gate(losing[:1])
    assert not decision.promoted
    assert decision.reason.startswith("rejected: fleurs got worse by +4.0 points of WER (-")


def test_a_point_is_what_the_target_may_lose_by_default() -> None:
    before = [ErrorCounts(20, 100, 0, 500)] * 100
    for more, promoted in ((1, True), (2, False)):
        after = [ErrorCounts(20 + more, 100, 0, 500)] * 100
        assert gate([Comparison("fleurs", "ky", before, after)]).promoted == promoted


def test_a_language_that_is_lost_is_rejected_unless_it_may_be() -> None:
    assert not judge(ky=(6, 3), ru=(2, 3)).promoted
    assert judge(ky=(6, 3), ru=(2, 3), max_retention_loss=20.0).promoted


def test_every_objection_is_named() -> None:
    noisy = Silence(30, 0, 7)
    reason = judge(ky=(3, 6), ru=(2, 5), silence=noisy).reason
    assert reason.count("got worse by") == 2
    assert reason.endswith("; words in 7 of 30 silent clips, in 0 before")
    assert "passed" not in reason


def test_small_losses_do_not_add_up_to_a_large_one() -> None:
    """Each round loses two points of Russian, which a comparison with the last one lets pass."""
    russian, promoted, outcomes = 20.0, {"base": wer(20.0)}, []
    for number in range(4):
        candidate = wer(russian + 2)
        current = promoted[list(promoted)[-1]]
        earlier = {
            name: [Comparison("demo_ru", "ru", rows, candidate)]
            for name, rows in promoted.items()
            if rows is not current
        }
        decision = decide(
            [Comparison("demo_ru", "ru", current, candidate)],
            earlier,
            QUIET,
            "ky",
            PromoteSettings(),
            np.random.default_rng(0),
            100,
        )
        outcomes.append(decision)
        if decision.promoted:
            russian += 2
            promoted[f"round-{number:03d}"] = candidate
    assert [row.promoted for row in outcomes] == [True, False, False, False]
    assert outcomes[1].reason == (
        "rejected: demo_ru got worse by +4.0 points of WER (+4.0 to +4.0) since base "
        "(passed: demo_ru +2.0 points of WER (+2.0 to +2.0))"
    )


def test_of_all_earlier_checkpoints_the_best_is_named() -> None:
    decision = judge(ky=(5, 5), ru=(2, 2), earlier={"base": (9, 2), "a": (3, 2), "b": (4, 2)})
    assert not decision.promoted
    assert decision.reason.count("since") == 1
    assert "since a (passed" in decision.reason


def test_the_others_are_not_asked_so_that_chance_does_not_grow_with_their_number() -> None:
    """The loss since the second best is certain; since the best it is larger, and may be chance."""
    candidate = wer(24)
    best, second = (
        [Comparison("demo_ru", "ru", rows, candidate)] for rows in (scattered(19), wer(20))
    )
    current = [Comparison("demo_ru", "ru", wer(24), candidate)]
    assert not gate(current, {"second": second}).promoted
    assert gate(current, {"best": best, "second": second}).promoted
    assert gate(current, {"second": second, "best": best}).promoted


def test_against_earlier_ones_the_target_s_loss_has_to_be_beyond_the_interval_too() -> None:
    current = [Comparison("demo_ky", "ky", wer(24), wer(24))]
    maybe = [Comparison("demo_ky", "ky", scattered(20), wer(24))]
    assert gate(current, {"base": maybe}).promoted
    certain = [Comparison("demo_ky", "ky", wer(20), wer(24))]
    assert not gate(current, {"base": certain}).promoted


def test_one_more_silent_clip_with_words_is_an_objection() -> None:
    decision = judge(ky=(6, 3), ru=(2, 2), silence=Silence(24, 3, 4))
    assert decision.reason.startswith(
        "rejected: words in 4 of 24 silent clips, in 3 before (passed"
    )
    for silence in (Silence(24, 3, 3), Silence(24, 3, 0)):
        decision = judge(ky=(6, 3), ru=(2, 2), silence=silence)
        assert decision.promoted
        assert decision.reason.endswith(
            f"; words in {silence.candidate} of 24 silent clips, in 3 before"
        )


def test_without_an_evaluation_set_it_is_promoted_unseen_if_silence_allows() -> None:
    unseen = "promoted unseen: there is no evaluation set to compare on"
    assert gate([]) == Decision(True, unseen)
    assert gate([], silence=Silence(24, 2, 2)) == Decision(
        True, f"{unseen}; words in 2 of 24 silent clips, in 2 before"
    )
    assert not gate([], silence=Silence(24, 2, 3)).promoted


def test_without_one_of_the_target_language_the_decision_says_so() -> None:
    decision = gate([Comparison("demo_ru", "ru", wer(20), wer(20))])
    assert decision.promoted
    assert decision.reason.endswith("; no evaluation set in ky")
