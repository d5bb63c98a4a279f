import numpy as np

from al_loop.promotion import Comparison, Decision, decide
from al_loop.records import ErrorCounts


def counts(errors: int, spread: int = 1) -> list[ErrorCounts]:
    """50 utterances of 10 words with `errors` errors each, give or take."""
    rng = np.random.default_rng(errors)
    return [
        ErrorCounts(int(value), 10, 0, 50)
        for value in np.clip(errors + rng.integers(-spread, spread + 1, 50), 0, None)
    ]


def judge(ky: tuple[int, int], ru: tuple[int, int], max_retention_loss: float = 2.0) -> Decision:
    comparisons = [
        Comparison("demo_ky", "ky", counts(ky[0]), counts(ky[1])),
        Comparison("demo_ru", "ru", counts(ru[0]), counts(ru[1])),
    ]
    return decide(comparisons, "ky", max_retention_loss, np.random.default_rng(0), 500)


def test_better_is_promoted_with_its_numbers() -> None:
    decision = judge(ky=(6, 3), ru=(2, 2))
    assert decision.promoted
    assert "demo_ky -32.8 points" in decision.reason


def test_a_worse_target_is_rejected() -> None:
    decision = judge(ky=(3, 6), ru=(2, 2))
    assert not decision.promoted
    assert decision.reason.startswith("rejected: demo_ky got worse by +")
    assert "demo_ru" not in decision.reason


def test_a_language_that_is_lost_is_rejected_unless_it_may_be() -> None:
    assert not judge(ky=(6, 3), ru=(2, 3)).promoted
    assert judge(ky=(6, 3), ru=(2, 3), max_retention_loss=20.0).promoted


def test_without_an_evaluation_set_nothing_speaks_against_it() -> None:
    assert decide([], "ky", 2.0, np.random.default_rng(0), 100).promoted
