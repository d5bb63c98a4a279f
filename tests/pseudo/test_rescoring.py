"""N-best lists scored by several judges, and the weights that are learned for them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from al_loop.pseudo.rescoring import SCORES, Fit, NBest, Weights, fit, fit_weights, rescored

NAN = math.nan
RIGHT, WRONG = "бала китеп алды", "бала кетип алды"


def clips(count: int, ctc_right: float, seed: int = 0) -> tuple[list[NBest], list[str]]:
    """Whisper prefers the wrong text by 1.2 nats half of the time, the right one otherwise.

    ctc_right: how often CTC prefers the right text, by two nats. The language model was not asked.
    """
    rng = np.random.default_rng(seed)
    lists = []
    for _ in range(count):
        whisper = [-1.0, -2.2] if rng.random() < 0.5 else [-2.2, -1.0]
        ctc = [-3.0, -5.0] if rng.random() < ctc_right else [-5.0, -3.0]
        lists.append(NBest([RIGHT, WRONG], whisper, ctc, [NAN, NAN]))
    return lists, [RIGHT] * count


# -- the combination -------------------------------------------------------------------------------


def test_the_posterior_by_hand() -> None:
    found = rescored([-1, -2], [-4, -2], [-6, -3], [2, 3], Weights(1.0, 0.5, 0.25, -0.5))
    scores = np.array([-1 - 2 - 1.5 - 1, -2 - 1 - 0.75 - 1.5])
    assert found == pytest.approx(np.exp(scores) / np.exp(scores).sum())
    assert found.sum() == pytest.approx(1)


def test_whisper_alone_is_its_own_posterior() -> None:
    found = rescored(np.log([0.7, 0.2, 0.1]), [-9, -1, -5], [-1, -2, -3], [1, 2, 3], Weights())
    assert found == pytest.approx([0.7, 0.2, 0.1])


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_a_kind_with_a_gap_is_left_out_of_the_whole_list(kind: int) -> None:
    scores = [[-1.0, -3.0], [-2.0, -1.0], [-4.0, -1.0]]
    weights = Weights(1.0, 0.5, 0.5, 0.0)
    gap = [list(row) for row in scores]
    gap[kind][0] = NAN
    without = [[0.0, 0.0] if place == kind else row for place, row in enumerate(scores)]
    assert rescored(*gap, [1, 1], weights) == pytest.approx(rescored(*without, [1, 1], weights))
    assert not np.allclose(rescored(*scores, [1, 1], weights), rescored(*gap, [1, 1], weights))


def test_nothing_known_leaves_all_alike() -> None:
    nothing = [NAN] * 4
    assert rescored(nothing, nothing, nothing, [1, 1, 1, 1], Weights(1, 1, 1, 0)) == pytest.approx(
        [0.25] * 4
    )


def test_minus_infinity_rules_out_only_by_a_judge_that_counts() -> None:
    impossible = ([-1.0, -1.0], [-math.inf, -2.0], [NAN, NAN], [1, 1])
    assert rescored(*impossible, Weights(ctc=0.1)) == pytest.approx([0, 1])
    assert rescored(*impossible, Weights()) == pytest.approx([0.5, 0.5])
    everything = ([-1.0, -1.0], [-math.inf, -math.inf], [NAN, NAN], [1, 1])
    assert rescored(*everything, Weights(ctc=0.1)) == pytest.approx([0.5, 0.5])


def test_an_empty_list_stays_empty() -> None:
    assert rescored([], [], [], [], Weights()).shape == (0,)


@pytest.mark.parametrize(
    ("scores", "complaint"),
    [
        (([-1.0], [-1.0, -2.0], [-1.0], [1]), "the shapes"),
        (([[-1.0]], [[-1.0]], [[-1.0]], [[1]]), "the shapes"),
        (([math.inf], [-1.0], [-1.0], [1]), r"\+inf"),
    ],
)
def test_scores_that_are_none_are_an_error(scores: tuple, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        rescored(*scores, Weights())


# -- the weights -----------------------------------------------------------------------------------


def test_a_judge_that_is_always_right_is_listened_to() -> None:
    lists, references = clips(60, ctc_right=1.0)
    found = fit(lists, references, "ky")
    assert found.words == 180
    assert 15 < found.whisper_errors < 45
    assert found.held_out_errors == found.errors == 0
    # two nats must outweigh 1.2; of the weights that do, the nearest to Whisper alone
    assert found.weights == Weights(1.0, 0.75, 0.0, 0.0)
    for row in lists:
        scores = (row.log_probs, row.ctc_scores, row.lm_scores)
        assert rescored(*scores, [3, 3], found.weights).argmax() == 0
    assert fit_weights(lists, references, "ky") == found.weights


def test_a_judge_that_is_always_wrong_leaves_whisper_alone() -> None:
    lists, references = clips(60, ctc_right=0.0)
    found = fit(lists, references, "ky")
    assert found.weights == Weights()
    assert found.errors == found.whisper_errors


def test_what_is_won_by_having_looked_alone_is_seldom_kept() -> None:
    """Noise: among hundreds of weights some look better than Whisper on few clips."""
    rng = np.random.default_rng(0)
    texts = ["бир", "эки", "үч"]
    kept, better = 0, 0
    for _ in range(30):
        lists = [NBest(texts, *(rng.normal(size=3) for _ in range(3))) for _ in range(20)]
        references = [str(rng.choice(texts)) for _ in lists]
        found = fit(lists, references, "ky")
        kept += found.weights != Weights()
        better += found.held_out_errors < found.whisper_errors
    assert better > 5
    assert kept <= 4


def test_noise_looks_better_than_it_is() -> None:
    """The errors on the clips that were looked at are no estimate; those held out are."""
    rng = np.random.default_rng(7)
    looked, held_out = 0, 0
    for _ in range(10):
        lists = [
            NBest(["бир", "үч"], [-1, -1 - 1e-3], rng.normal(size=2), rng.normal(size=2))
            for _ in range(15)
        ]
        references = [str(rng.choice(["бир", "үч"])) for _ in lists]
        found = fit(lists, references, "ky")
        looked += found.errors
        held_out += found.held_out_errors
    assert looked < held_out


def test_too_short_texts_are_paid_by_the_word() -> None:
    lists = [NBest(["бир эки", "бир"], [-2.2, -1.0], [NAN] * 2, [NAN] * 2)] * 12
    found = fit(lists, ["бир эки"] * 12, "ky")
    assert found.weights == Weights(word=2.0)
    assert (found.whisper_errors, found.held_out_errors) == (12, 0)


def test_words_are_counted_and_compared_normalised() -> None:
    lists = [NBest(["Саат 25те, – деди", "саат"], [-2.0, -1.5], [NAN] * 2, [NAN] * 2)] * 6
    found = fit(lists, ["саат жыйырма беште деди"] * 6, "ky")
    assert found.weights == Weights(word=0.5)  # three words more, not two, at half a nat each
    assert found.words == 24
    assert found.errors == 0


def test_a_judge_that_nobody_asked_keeps_no_weight() -> None:
    lists, references = clips(30, ctc_right=0.9)
    assert fit(lists, references, "ky").weights.lm == 0


def test_it_is_the_same_twice_and_every_weight_is_on_the_grid() -> None:
    lists, references = clips(40, ctc_right=0.8, seed=3)
    found = fit(lists, references, "ky")
    assert found == fit(lists, references, "ky")
    assert found.weights.ctc in SCORES


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_clips_leave_whisper_alone(count: int) -> None:
    lists, references = clips(count, ctc_right=1.0)
    assert fit(lists, references, "ky").weights == Weights()
    assert fit([], [], "ky") == Fit(Weights(), 0, 0, 0, 0)


def test_lists_without_a_text_are_passed_over() -> None:
    lists, references = clips(30, ctc_right=1.0)
    empty = [NBest([], [], [], [])] * 4
    found = fit([*empty, *lists], ["бир эки"] * 4 + references, "ky")
    assert found == fit(lists, references, "ky")


def test_a_reference_for_every_list() -> None:
    with pytest.raises(ValueError, match="zip"):
        fit(clips(3, 1.0)[0], ["бир"], "ky")
