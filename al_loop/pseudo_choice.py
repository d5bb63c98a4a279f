"""Which text a clip gets, of all that its recognisers heard: by vote, or by least risk.

Knows what was heard, and not who believes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from al_loop.pseudo.language_model import LanguageModel, write_arpa
from al_loop.pseudo.readings import Reading, vote
from al_loop.pseudo.rescoring import NBest, Weights, fit_weights, rescored
from al_loop.pseudo.risk import least_risk
from al_loop.pseudo_readings import Heard
from al_loop.text import normalise

FEWEST_TEXTS = 50
"""Of fewer a language model says nothing. Ours."""
ARPA = "language_model.arpa"


class Choice(Protocol):
    """choose: the text of a clip; empty where none is heard. measure: that of a clip whose words
    are known, chosen as if they were not. facts: what the choice rests on, ready for JSON."""

    facts: Mapping[str, Any] | None

    def choose(self, heard: Heard) -> str: ...
    def measure(self, heard: Heard) -> str: ...


class Vote:
    """The recognisers' vote, word by word."""

    facts: Mapping[str, Any] | None = None

    def __init__(self, readings: Callable[[Heard], Sequence[Reading]], language: str) -> None:
        self.readings = readings
        self.language = language

    def choose(self, heard: Heard) -> str:
        return vote(self.readings(heard), self.language)

    measure = choose


class Risk:
    """The text of least expected errors under the posterior of the rescored n-best list.

    known: clips with their words; the weights of the scores are fitted on them. Their own texts are
    chosen with weights that the other half of them gives, so that what is measured on them holds
    for others. texts: what the language model learns, not in it what is known; folder: its file's.
    """

    def __init__(
        self,
        known: Sequence[tuple[Heard, str]],
        texts: Sequence[str],
        language: str,
        folder: Path,
    ) -> None:
        self.language = language
        self.lm_score = _language_model(texts, language, folder)
        halves = [known[0::2], known[1::2]]
        self.weights = self._fit(known)
        fitted = [self._fit(half) for half in halves]
        self.crossed = {
            id(heard): weights
            for half, weights in zip(halves, reversed(fitted), strict=True)
            for heard, _ in half
        }
        self.facts: Mapping[str, Any] | None = {
            **asdict(self.weights),
            "language_model_texts": len(texts),
        }

    def choose(self, heard: Heard) -> str:
        return self._best(heard, self.weights)

    def measure(self, heard: Heard) -> str:
        return self._best(heard, self.crossed.get(id(heard), self.weights))

    def _best(self, heard: Heard, weights: Weights) -> str:
        if not heard.n_best:
            return ""
        scored = self._scored(heard)
        words = [len(normalise(text, self.language).split()) for text in scored.texts]
        posterior = rescored(scored.log_probs, scored.ctc_scores, scored.lm_scores, words, weights)
        return scored.texts[least_risk(scored.texts, posterior, language=self.language)]

    def _fit(self, known: Sequence[tuple[Heard, str]]) -> Weights:
        lists = [self._scored(heard) for heard, _ in known]
        return fit_weights(lists, [text for _, text in known], self.language)

    def _scored(self, heard: Heard) -> NBest:
        lm_scores = [self.lm_score(text) for text in heard.n_best]
        return NBest(heard.n_best, heard.log_probs, heard.ctc_scores, lm_scores)


def _language_model(texts: Sequence[str], language: str, folder: Path) -> Callable[[str], float]:
    """The score in nats of a text by a model of these; nan where they are too few for one."""
    spoken = [said for text in texts if (said := normalise(text, language))]
    if len(spoken) < FEWEST_TEXTS:
        return lambda text: math.nan
    path = folder / ARPA
    write_arpa(spoken, path)
    model = LanguageModel(path)
    return lambda text: model.score(normalise(text, language))
