"""What a replay has reached after a round, and how good its scores were.

Knows the loop's ports, and no other replay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import rankdata

from al_loop.acquisition import predictor, ranking
from al_loop.metrics import HIGH, LOW, count_errors
from al_loop.records import STAGES, Hypothesis, Round
from al_loop.simulation.oracle import Replies

if TYPE_CHECKING:
    from al_loop.round import Loop

CORRELATION_SAMPLES = 1000
FEWEST = 3
"""Clips that have a rank correlation worth the name."""


def reached(loop: Loop, last: Round, replies: Replies) -> dict[str, Any]:
    """The fields of a point that the recorded round `last` gives."""
    assert last.candidate_id is not None  # a simulation begins with something to train on
    test = loop.store.evaluation_utterances()
    heard = loop.store.hypotheses(last.candidate_id, [row.id for row in test])
    counts = [count_errors(row.text or "", heard[row.id].text, row.language) for row in test]
    answers = loop.store.answers(loop.settings.embedding.encoder)
    junk = [row for row in answers if row.utterance_id in replies.verdicts]
    chosen_s, junk_s = (sum(row.duration_s for row in rows) for rows in (answers, junk))
    return {
        "round": last.number,
        "labelled_s": chosen_s - junk_s,
        "annotator_s": sum(row.lead_time_s or 0.0 for row in answers),
        "chosen_s": chosen_s,
        "junk_s": junk_s,
        "tasks": len(answers),
        "junk_tasks": len(junk),
        "errors": [row.word_errors for row in counts],
        "words": [row.words for row in counts],
    }


def correlation(loop: Loop, replies: Replies) -> dict[str, float | None]:
    """How well the scores that the open round is about to choose by order the pool by true WER.

    Not known where nothing was decoded, or would have to be several times, or where no score is
    trusted.
    """
    current, settings = loop.store.open_round(), loop.settings
    assert current is not None
    unknown: dict[str, float | None]
    unknown = {"spearman": None, "spearman_low": None, "spearman_high": None}
    encoder, language = settings.embedding.encoder, settings.model.language
    # as `al_loop.acquisition.selection` does it: the scores are to be those that it will choose by
    rng = np.random.default_rng([current.seed, STAGES.index("select")])
    answers = sorted(loop.store.answers(encoder), key=lambda row: row.utterance_id)
    fit_rng = rng.spawn(1)[0]
    learned = predictor.fit(answers, settings.select.fallback, fit_rng, current.number)
    ranks = ranking.choose(settings.select, loop.trusts(current.checkpoint_id), learned)
    if ranks.decodes or ranks.name in ("random", ranking.DIVERSITY):
        return unknown
    pool = loop.store.scored_pool(current.checkpoint_id, encoder)
    scores = ranking.cheap_scores(ranks.first, pool, learned, rng)
    heard = loop.store.hypotheses(current.checkpoint_id, replies.texts)
    rows = [
        (score, _error_rate(replies.texts[utterance_id], heard[utterance_id], language))
        for utterance_id, score in zip(map(bytes.decode, pool.ids), scores, strict=True)
        if np.isfinite(score) and utterance_id in heard
    ]
    if len(rows) < FEWEST:
        return unknown
    found, rates = np.array(rows).T
    draws = rng.integers(0, len(rows), (CORRELATION_SAMPLES, len(rows)))
    low, high = np.percentile(_rank_correlation(found[draws], rates[draws]), [LOW, HIGH])
    (value,) = _rank_correlation(found[None], rates[None])
    return {"spearman": float(value), "spearman_low": float(low), "spearman_high": float(high)}


def _error_rate(reference: str, heard: Hypothesis, language: str) -> float:
    counts = count_errors(reference, heard.text, language)
    return counts.word_errors / counts.words


def _rank_correlation(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Spearman's, (B,) of two (B, N); 0 where all of a row are alike."""
    ranks = [rankdata(values, axis=1) - (values.shape[1] + 1) / 2 for values in (left, right)]
    spread = np.sqrt(np.prod([np.sum(row**2, axis=1) for row in ranks], axis=0))
    return np.sum(ranks[0] * ranks[1], axis=1) / np.where(spread == 0, 1, spread)
