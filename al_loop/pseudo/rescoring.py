"""N-best lists scored by several judges at once: Whisper, CTC, a language model, length. Pure.

A log-linear combination, as Ostendorf et al. rescored n-best lists ("Integration of diverse
recognition methodologies through reevaluation of n-best sentence hypotheses", HLT 1991):

    score = whisper · log p(text | audio) + ctc · CTC + lm · log p(text) + word · words

The word's term pays back what a language model takes from longer texts. The weights are those
under which the best texts have the fewest errors on labelled clips, as in Och, "Minimum error rate
training in statistical machine translation" (ACL 2003), here by trying a whole grid. Knows no
model: scores are numbers, in nats, a higher one better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from statistics import NormalDist

import numpy as np
from scipy.special import softmax

from al_loop.metrics import word_errors
from al_loop.text import normalise

SCORES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0)
"""Tried for CTC's and the language model's weight, beside 1 for Whisper's. Ours."""
WORDS = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)
"""Tried for a word's weight, in nats. Ours."""
FOLDS = 5
CERTAIN = NormalDist().inv_cdf(0.95)
"""Standard errors that a gain must have. Of judges that know nothing, 3 to 9 in 100 had it (150
trials each on 20, 100 and 300 clips); 31 to 45 had some gain."""
RULED_OUT = -1e6
"""Nats, what -inf counts as, so that a weight of 0 leaves it out too."""


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each judge counts. By default Whisper alone."""

    whisper: float = 1.0
    ctc: float = 0.0
    lm: float = 0.0
    word: float = 0.0


@dataclass(frozen=True, slots=True)
class NBest:
    """One clip's N texts and what each judge says of them, N each; nan where it was not asked."""

    texts: Sequence[str]
    log_probs: Sequence[float]
    ctc_scores: Sequence[float]
    lm_scores: Sequence[float]


@dataclass(frozen=True, slots=True)
class Fit:
    """Weights, and the word errors of the best texts on the clips that they were chosen on.

    whisper_errors: with Whisper alone. held_out_errors: with weights chosen without the clip that
    is judged, by cross-validation. errors: with `weights`, on the very clips they were chosen on,
    so rather too few.
    """

    weights: Weights
    words: int
    whisper_errors: int
    held_out_errors: int
    errors: int


def rescored(
    log_probs: Sequence[float] | np.ndarray,
    ctc_scores: Sequence[float] | np.ndarray,
    lm_scores: Sequence[float] | np.ndarray,
    words: Sequence[int] | np.ndarray,
    weights: Weights,
) -> np.ndarray:
    """(N,) float64: the posterior of N texts, summing to 1.

    log_probs, ctc_scores, lm_scores: (N,) in nats; a kind with a nan is left out for the whole
    list, as scores can only be compared within one. -inf rules a text out. words: (N,) how many
    words each text has. Raises ValueError for lengths that differ, and for +inf.
    """
    scores = _vector(weights) @ _judged(log_probs, ctc_scores, lm_scores, words)
    return softmax(scores) if scores.size else scores


def fit_weights(lists: Sequence[NBest], references: Sequence[str], language: str) -> Weights:
    """The weights of `fit`: Whisper alone wherever others do not hold for clips unseen."""
    return fit(lists, references, language).weights


def fit(lists: Sequence[NBest], references: Sequence[str], language: str) -> Fit:
    """The weights under which the likeliest texts have the fewest word errors.

    Every combination of `SCORES` and `WORDS` is tried; of equals the one nearest to Whisper alone
    is taken. Then the same is done five times without a fifth of the clips (clip i belongs to
    fifth i mod 5), and judged on that fifth. Where those errors are not surely below Whisper's own
    (by `CERTAIN` standard errors of the difference), Whisper alone is returned: the best of a grid
    looks better than it is on the clips it was chosen on. A kind of score that no list has keeps
    the weight 0. Lists without a text are passed over. Deterministic.
    """
    given = [
        (nbest, normalise(reference, language))
        for nbest, reference in zip(lists, references, strict=True)
        if len(nbest.texts)
    ]
    if not given:
        return Fit(Weights(), 0, 0, 0, 0)
    costs = [_errors(nbest.texts, reference, language) for nbest, reference in given]
    total = sum(len(reference.split()) for _, reference in given)
    judged = [_of(nbest, language) for nbest, _ in given]
    grid = _grid(judged)
    vectors = np.array([_vector(weights) for weights in grid])
    errors = np.zeros((len(grid), len(given)))
    for place, (matrix, cost) in enumerate(zip(judged, costs, strict=True)):
        errors[:, place] = cost[(vectors @ matrix).argmax(axis=1)]
    chosen = int(errors.sum(axis=1).argmin())
    held_out = _held_out(errors)
    gain = errors[0] - held_out
    if gain.sum() <= CERTAIN * np.sqrt(len(gain)) * gain.std():
        chosen = 0
    whisper, unseen, found = (int(row.sum()) for row in (errors[0], held_out, errors[chosen]))
    return Fit(grid[chosen], total, whisper, unseen, found)


def _held_out(errors: np.ndarray) -> np.ndarray:
    """(L,) float64: each list's errors at weights chosen without its fold. errors: (G, L), at each
    of G weights. One list alone is not judged: it keeps its errors at the first weights."""
    fold = np.arange(errors.shape[1]) % FOLDS
    found = errors[0].copy()
    for out in np.unique(fold) if len(fold) > 1 else []:
        chosen = errors[:, fold != out].sum(axis=1).argmin()
        found[fold == out] = errors[chosen, fold == out]
    return found


def _grid(judged: Sequence[np.ndarray]) -> list[Weights]:
    """What is tried, Whisper alone first, then by the distance from it."""
    ctc, lm = (
        SCORES if any(matrix[kind].any() for matrix in judged) else (0.0,) for kind in (1, 2)
    )
    grid = [Weights(1.0, *row) for row in product(ctc, lm, WORDS)]
    return sorted(grid, key=lambda row: abs(row.ctc) + abs(row.lm) + abs(row.word))


def _of(nbest: NBest, language: str) -> np.ndarray:
    """(4, N) float64: `_judged` of one clip's list."""
    words = [len(normalise(text, language).split()) for text in nbest.texts]
    return _judged(nbest.log_probs, nbest.ctc_scores, nbest.lm_scores, words)


def _judged(*kinds: Sequence[float] | Sequence[int] | np.ndarray) -> np.ndarray:
    """(4, N) float64, all finite; zeros in the place of a kind that is left out."""
    rows = [np.asarray(kind, dtype=np.float64) for kind in kinds]
    if len({row.shape for row in rows}) != 1 or rows[0].ndim != 1:
        raise ValueError(f"scores of one list have the shapes {[row.shape for row in rows]}")
    if any((row == np.inf).any() for row in rows):
        raise ValueError("a score is +inf: nothing is more than certain")
    given = [np.zeros_like(row) if np.isnan(row).any() else row for row in rows]
    return np.maximum(np.array(given), RULED_OUT)


def _vector(weights: Weights) -> np.ndarray:
    """(4,) float64, in the order of `_judged`."""
    return np.array([weights.whisper, weights.ctc, weights.lm, weights.word])


def _errors(texts: Sequence[str], reference: str, language: str) -> np.ndarray:
    """(N,) float64: the word errors of each text. reference: normalised."""
    return np.array([word_errors(reference, normalise(text, language)) for text in texts])
