"""What recognisers heard in clips, rated: how much they agree, and how right they are. Pure.

Of an utterance of known words the text is the truth; without a text it is junk, in which no word
can be right.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from al_loop.metrics import count_errors
from al_loop.pseudo.readings import Reading, agreement
from al_loop.pseudo.threshold import Judged
from al_loop.pseudo_readings import Heard, Opinions
from al_loop.records import Utterance
from al_loop.text import normalise


@dataclass(frozen=True, slots=True)
class Rated:
    """One clip as the recognisers heard it: how much they agree, and the text that is chosen."""

    utterance: Utterance
    agreement: float
    text: str


def readings_of(heard: Heard, weights: Mapping[str, float]) -> list[Reading]:
    """All readings of a clip, the checkpoint in use first; several of one share its weight."""
    return [
        Reading(name, text, weights[name] / len(texts))
        for name, texts in heard.texts.items()
        for text in texts
    ]


def error_rates(opinions: Opinions, truth: Sequence[Utterance]) -> dict[str, float]:
    """The WER of each recogniser on the clips of known words; 1 where it heard none of them."""
    found = {}
    for name in opinions.recognisers:
        counts = [
            count_errors(row.text or "", text, row.language)
            for row in truth
            if row.text is not None and row.id in opinions.clips
            for text in opinions.clips[row.id].texts.get(name, ())
        ]
        words = sum(row.words for row in counts)
        found[name] = sum(row.word_errors for row in counts) / words if words else 1.0
    return found


def rated(
    opinions: Opinions,
    weights: Mapping[str, float],
    utterances: Sequence[Utterance],
    choose: Callable[[Heard], str],
) -> list[Rated]:
    """The clips that every recogniser heard and whose text holds a word."""
    found = []
    for row in utterances:
        heard = opinions.clips.get(row.id)
        if heard is None or heard.texts.keys() != opinions.recognisers.keys():
            continue
        agreed = agreement(readings_of(heard, weights), row.language)
        text = choose(heard)
        if math.isfinite(agreed) and normalise(text, row.language):
            found.append(Rated(row, agreed, text))
    return found


def judged(row: Rated) -> Judged:
    """A clip of known words, by them; where there are none to know, every word heard is wrong."""
    said, language = row.utterance.text, row.utterance.language
    if said is None:
        words = len(normalise(row.text, language).split())
        return Judged(row.agreement, words, words)
    counts = count_errors(said, row.text, language)
    return Judged(row.agreement, counts.word_errors, counts.words)
