"""How well predictions order clips by their true WER: correlations, leads, calibration. Pure.

Knows not what predicted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import rankdata

from al_loop.metrics import HIGH, LOW

FEWEST_TO_CORRELATE = 5
BINS = 5
RESAMPLES = 1000
"""Of the answers, for the interval of a difference."""


def spearman(first: np.ndarray, second: np.ndarray) -> float | None:
    """The rank correlation; None where either is constant or there is too little of them."""
    if len(first) < FEWEST_TO_CORRELATE or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])


def correlation(scores: np.ndarray, wer: np.ndarray) -> dict[str, float] | None:
    value = spearman(scores, wer)
    if value is None:
        return None
    middle = np.arctanh(np.clip(value, -0.9999, 0.9999))
    half = 1.96 * np.sqrt((1 + value**2 / 2) / (len(wer) - 3))
    low, high = np.tanh([middle - half, middle + half]).tolist()
    return {"value": value, "low": low, "high": high, "answers": len(wer)}


def lead_over(
    own: np.ndarray, rival: np.ndarray, wer: np.ndarray, rng: np.random.Generator
) -> dict[str, Any]:
    """Spearman's correlation of `own` with the WER less that of `rival`; all are (N,).

    The ranks are those among all answers, in each of the resamples too. What does not vary
    orders nothing: its correlation counts as 0.
    """
    ranks = np.stack([rankdata(values) for values in (own, rival, wer)])
    rows = np.arange(len(wer))
    draws = [rows, *(rng.choice(rows, len(rows)) for _ in range(RESAMPLES))]
    value, *others = [_difference(ranks[:, draw]) for draw in draws]
    low, high = np.percentile(others, [LOW, HIGH]).tolist()
    return {"value": value, "low": low, "high": high, "answers": len(wer)}


def _difference(ranks: np.ndarray) -> float:
    centred = ranks - ranks.mean(axis=1, keepdims=True)
    lengths = np.maximum(np.linalg.norm(centred, axis=1), 1e-9)
    own, rival = centred[:2] @ centred[2] / (lengths[:2] * lengths[2])
    return float(own - rival)


def on_control(predicted: np.ndarray, wer: np.ndarray) -> dict[str, Any] | None:
    """On the control arm, which no score chose: what chose the others shows in their WER."""
    if not len(wer):
        return None
    return {
        "answers": len(wer),
        "spearman": correlation(predicted, wer),
        "mae": float(np.abs(predicted - wer).mean()),
    }


def calibration(predicted: np.ndarray, wer: np.ndarray) -> list[dict[str, float]]:
    """Equal numbers of answers by rising prediction: what was predicted, what was true."""
    parts = np.array_split(np.argsort(predicted, kind="stable"), BINS)
    return [
        {
            "answers": len(part),
            "predicted": float(predicted[part].mean()),
            "true": float(wer[part].mean()),
        }
        for part in parts
        if len(part)
    ]
