from collections.abc import Mapping

import numpy as np

from al_loop.config import PromoteSettings
from al_loop.promotion import Comparison, Decision, Silence, decide
from al_loop.records import ErrorCounts

QUIET = Silence([], [])


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


def test_a_difference_within_its_interval_is_no_objection() -> None:
    rng = np.random.default_rng(0)
    before = [ErrorCounts(int(value), 10, 0, 50) for value in rng.integers(0, 10, 20)]
    after = [ErrorCounts(int(value), 10, 0, 50) for value in rng.integers(0, 10, 20)]
    worse = sum(row.word_errors for row in after) - sum(row.word_errors for row in before)
    rows = [(before, after), (after, before)]
    ((current, candidate),) = [rows[0] if worse > 0 else rows[1]]
    comparison = Comparison("demo_ky", "ky", current, candidate)
    decision = decide([comparison], {}, QUIET, "ky", PromoteSettings(), rng, 500)
    assert decision.promoted
    assert "demo_ky +" in decision.reason


def test_a_language_that_is_lost_is_rejected_unless_it_may_be() -> None:
    assert not judge(ky=(6, 3), ru=(2, 3)).promoted
    assert judge(ky=(6, 3), ru=(2, 3), max_retention_loss=20.0).promoted


def test_every_objection_is_named() -> None:
    noisy = Silence([False] * 30, [True] * 30)
    reason = judge(ky=(3, 6), ru=(2, 5), silence=noisy).reason
    assert reason.count("got worse by") == 2
    assert "; words in silent clips rose by +100.0 points of clips (" in reason
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


def test_words_in_silence_count_only_beyond_their_interval() -> None:
    one_more = Silence([False] * 20, [True] + [False] * 19)
    decision = judge(ky=(6, 3), ru=(2, 2), silence=one_more)
    assert decision.promoted
    assert "words in silent clips +5.0 points of clips (+0.0 to " in decision.reason
    many_more = Silence([False] * 20, [True] * 8 + [False] * 12)
    assert not judge(ky=(6, 3), ru=(2, 2), silence=many_more).promoted
    fewer = Silence([True] * 20, [False] * 20)
    assert judge(ky=(6, 3), ru=(2, 2), silence=fewer).promoted


def test_without_an_evaluation_set_nothing_speaks_against_it() -> None:
    rng = np.random.default_rng(0)
    assert decide([], {}, QUIET, "ky", PromoteSettings(), rng, 100).promoted
