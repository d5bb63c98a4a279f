"""Which acquisition function ranks this time, and why; and the scores that it gives. Pure.

Decoding again is left to a callable. Knows nothing of budgets, gates or batches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from al_loop.acquisition.functions import FUNCTIONS, Evidence
from al_loop.acquisition.predictor import FEWEST, Predictor
from al_loop.config import SelectSettings
from al_loop.records import Alternatives, Doubt, ScoredPool

DIVERSITY = "diversity"
"""What ranks while no score is to be trusted."""
PER_CLIP = ("gradient_length",)
"""Functions whose score grows with the text; that of all others is a rate."""
WORDS_PER_S = 2.0
"""For want of a hypothesis."""
WORDS_OUT_OF_RANGE = 2.0
"""A hypothesis with so many times the words of its length, or so many times fewer, is not believed:
the clip counts as if it had just so many. Ours."""

Decoder = Callable[[Sequence[str], Doubt], Mapping[str, Alternatives]]


@dataclass(frozen=True, slots=True)
class Ranking:
    """name: the acquisition function, or `DIVERSITY`. first: the cheap one that ranks the whole
    pool and makes the short list, the same where no further decoding is needed."""

    name: str
    first: str
    reason: str

    @property
    def decodes(self) -> bool:
        return self.name != DIVERSITY and FUNCTIONS[self.name].needs in (
            "sampled",
            "perturbed",
            "gradient",
        )


def choose(settings: SelectSettings, trusted: bool, predictor: Predictor | None) -> Ranking:
    """What ranks: what the settings ask for, as far as it is to be trusted."""
    wanted, fallback = settings.acquisition, settings.fallback
    if wanted == "random":
        return Ranking(wanted, wanted, "random ranks, as the settings ask")
    if not trusted:
        reason = "cold start: the checkpoint's doubts say nothing yet, so diversity alone chooses"
        return Ranking(DIVERSITY, DIVERSITY, reason)
    needs = FUNCTIONS[wanted].needs
    if needs == "statistics":
        return Ranking(wanted, wanted, f"{wanted} ranks, as the settings ask")
    if needs != "predictor":
        reason = f"{wanted} ranks, on a short list by {fallback}, as the settings ask"
        return Ranking(wanted, fallback, reason)
    return _learned(wanted, fallback, predictor)


def _learned(wanted: str, fallback: str, predictor: Predictor | None) -> Ranking:
    if predictor is None:
        reason = (
            f"{fallback} ranks: {wanted} needs {FEWEST} answers whose hypothesis and text are known"
        )
        return Ranking(fallback, fallback, reason)
    found, theirs = predictor.quality["out_of_fold"], predictor.quality["fallback"]["correlation"]
    lead = predictor.quality["lead"]
    compared = (
        f"rank correlation with the true WER {_shown(found)}, {_shown(theirs)} by {fallback}; "
        f"{lead['value']:+.2f} ({lead['low']:+.2f} to {lead['high']:+.2f}) on {lead['answers']} "
        f"answers of {'the ' if lead['of'] == 'control arm' else ''}{lead['of']}"
    )
    if predictor.took_over:
        return Ranking(wanted, wanted, f"{wanted} ranks: it is better than {fallback} ({compared})")
    reason = f"{fallback} ranks: {wanted} is not better beyond doubt ({compared})"
    return Ranking(fallback, fallback, reason)


def _shown(correlation: Mapping[str, float] | None) -> str:
    return "unknown" if correlation is None else f"{correlation['value']:.2f}"


def cheap_scores(
    name: str, pool: ScoredPool, predictor: Predictor | None, rng: np.random.Generator
) -> np.ndarray:
    """(N,) float64 of the whole pool; nan where a clip was not measured; 1 for `DIVERSITY`."""
    if name == DIVERSITY:
        return np.ones(len(pool.ids))
    if name == "random":
        return rng.random(len(pool.ids))
    evidence = Evidence(pool.statistics, pool.duration_s, rng, predictor=predictor)
    return FUNCTIONS[name].score(evidence)


def scores_by_decoding(
    name: str,
    pool: ScoredPool,
    rows: np.ndarray,
    settings: SelectSettings,
    decode: Decoder,
    language: str,
    rng: np.random.Generator,
) -> np.ndarray:
    """(V,) float64 for these rows of the pool, by hypotheses that `decode` gets for each.

    They are compared with what the checkpoint was heard to say before.
    """
    ids = [utterance_id.decode() for utterance_id in pool.ids[rows]]
    kind = FUNCTIONS[name].needs
    assert kind in ("sampled", "perturbed", "gradient")
    strength = settings.perturbation if kind == "perturbed" else 0.0
    doubt = Doubt(kind, settings.alternatives, strength, int(rng.integers(2**31)))
    found = decode(ids, doubt)
    alternatives = [found.get(utterance_id) for utterance_id in ids]
    evidence = Evidence(
        {name: values[rows] for name, values in pool.statistics.items()},
        pool.duration_s[rows],
        rng,
        language,
        [_answer(row, kind) for row in alternatives],
        alternatives,
    )
    return FUNCTIONS[name].score(evidence)


def _answer(row: Alternatives | None, kind: str) -> str | None:
    if kind == "gradient":  # it is not compared with anything
        return ""
    return None if row is None else row.heard


def spoken_words(pool: ScoredPool) -> np.ndarray:
    """(N,) float64: the words of each clip, by its hypothesis as far as that is believable."""
    heard = np.asarray(pool.statistics["word_count"], np.float64)
    rates = heard / np.maximum(pool.duration_s, 1e-3)
    plausible = rates[np.isfinite(rates) & (rates > 0)]
    usual = np.median(plausible) if len(plausible) else WORDS_PER_S
    typical = np.maximum(usual * pool.duration_s, 1e-3)
    believed = np.where(np.isfinite(heard), heard, typical)
    return np.clip(believed, typical / WORDS_OUT_OF_RANGE, typical * WORDS_OUT_OF_RANGE)
