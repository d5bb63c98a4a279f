"""Pseudo-labels: what recognisers agree on becomes training data, where agreement is worth it.

Two or more recognisers hear clips whose words are known and that none of them has learned. How much
they must agree for a stated share of right words is read off there, and of the pool's clips those
that reach it get a text. Its confidence, what such agreement is worth by isotonic regression, is
the quality by which training draws it. Evaluation sets are never looked at, but to keep their
sentences out.

A clip that a checkpoint may have learned with such a text keeps the text and its confidence: heard
again, the checkpoint would agree with itself, and what is wrong would look ever surer.

Knows the ports and nothing behind them. The caller holds the workspace's lock.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from al_loop.config import Settings
from al_loop.errors import AudioError, WorkspaceError
from al_loop.leakage import find_leaks
from al_loop.listening import Listening
from al_loop.ports import Speller, Store
from al_loop.pseudo.threshold import Judged, Point, choose_threshold, confidence, curve
from al_loop.pseudo_choice import Choice, Risk, Vote
from al_loop.pseudo_rating import Rated, error_rates, judged, rated, readings_of
from al_loop.pseudo_readings import Ears, Opinions
from al_loop.records import (
    IN_HOUSE,
    PSEUDO_LABEL,
    Checkpoint,
    Example,
    PseudoLabel,
    Utterance,
    content_hash,
)
from al_loop.text import normalise

FEWEST_CLIPS, FEWEST_WORDS = 30, 200
"""Of known words, below which a share of right words is a guess: at 95% its interval is 3 points
wide to either side. Ours."""
MOST_CALIBRATION = 1000
"""Clips of known words that are listened to. Ours."""
LEAST_WEIGHT = 0.05
"""In the vote, of a recogniser that gets nearly every word wrong. Ours."""
EVERY = sys.maxsize
NAMED = 3
"""Clips that cannot be read are named up to so many."""


@dataclass(frozen=True, slots=True)
class Made:
    """The texts, by utterance id, and how they came about; ready for JSON."""

    labels: Sequence[PseudoLabel]
    report: Mapping[str, Any]


class PseudoLabels:
    """`say` takes lines about progress."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        listening: Listening,
        speller: Callable[[], Speller],
        say: Callable[[str], None],
    ) -> None:
        self.settings = settings
        self.store = store
        self.listening = listening
        self.speller = speller
        self.say = say

    def make(self, checkpoint: Checkpoint, precision: float | None = None) -> Made:
        """The texts for the pool as it is; nothing is stored but what was heard.

        checkpoint: the one in use. precision: the share of right words, by default the settings'.
        Where no agreement is worth that, only those from before stay, and the report says so.
        Killed, the next call goes on. Raises WorkspaceError where there is too little to measure
        agreement on, no second recogniser, or nothing to give a text to; ModelError where a
        recogniser is not there.
        """
        rule, language = self.settings.pseudo_labels, self.settings.model.language
        if checkpoint.parent is None:
            raise WorkspaceError(
                f"{checkpoint.name} is untrained: what it hears is not worth learning; label "
                "something and let `al-loop round` train first"
            )
        truth = self._truth(language)
        _check_enough(truth, language)
        candidates = self.store.pseudo_candidates(checkpoint.id, language, rule.most_clips)
        if not candidates:
            raise WorkspaceError(
                "no clip of the pool can get a pseudo-label: all are labelled, asked about, held "
                "back by a gate or learned with one; ingest more audio"
            )
        ears = Ears(self.settings, self.store, self.listening, self.speller, self.say)
        opinions, unreadable = self._hear(ears, checkpoint, [*truth, *candidates])
        truth = [row for row in truth if row.id not in unreadable]
        candidates = [row for row in candidates if row.id not in unreadable]
        _check_enough(truth, language)
        known = [row for row in truth if row.text is not None]
        rates = error_rates(opinions, known)
        weights = {name: max(1 - rate, LEAST_WEIGHT) for name, rate in rates.items()}
        choice = self._choice(opinions, weights, known)
        measured = [judged(row) for row in rated(opinions, weights, truth, choice.measure)]
        target = rule.precision if precision is None else precision
        samples = self.settings.evaluate.bootstrap_samples
        point = choose_threshold(measured, target, self._rng(), samples)
        found = rated(opinions, weights, candidates, choice.choose)
        kept = [] if point is None else [row for row in found if row.agreement >= point.threshold]
        leaked = self._leaked(kept, self.store.evaluation_utterances())
        kept = [row for row in kept if row.utterance.id not in leaked]
        known_too = self._leaked(kept, known)
        kept = [row for row in kept if row.utterance.id not in known_too]
        before = self.kept_before()
        ears.forget_others()
        report = {
            "checkpoint": checkpoint.id,
            "choice": rule.choice,
            "target": target,
            "threshold": None if point is None else point.threshold,
            "precision": None if point is None else _interval(point),
            "calibration": {
                "clips": len(known),
                "words": sum(row.words for row in measured),
                "validation": sum(row.split == "validation" for row in known),
                "junk": len(truth) - len(known),
                "rated": len(measured),
            },
            "recognisers": [
                {"name": name, "id": id_, "wer": rates[name], "weight": weights[name]}
                for name, id_ in opinions.recognisers.items()
            ],
            "weights": choice.facts,
            "candidates": _volume(found, len(candidates)),
            "volume": _volume(kept, len(kept)),
            "leaked": len(leaked),
            "calibrated_on": len(known_too),
            "kept_before": len(before),
            "unreadable": unreadable,
            "curve": [_row(row, found) for row in curve(measured, self._rng(), samples)],
        }
        made = _labels(kept, measured, " + ".join(opinions.recognisers.values()))
        return Made(sorted([*made, *before], key=lambda row: row.utterance_id), report)

    def kept_before(self) -> list[PseudoLabel]:
        """The texts that may have been learned, as they were made; less what would leak."""
        language = self.settings.model.language
        labels = {row.utterance_id: row for row in self.store.believed(language)}
        clips = [Rated(row, 1.0, labels[row.id].text) for row in self.store.utterances(labels)]
        leaked = self._leaked(clips, self.store.evaluation_utterances())
        return [row for name, row in labels.items() if name not in leaked]

    def _truth(self, language: str) -> list[Utterance]:
        """Clips of known words, and junk, which has no text; no recogniser learned what they say.

        At most MOST_CALIBRATION, by id.
        """
        learned = {
            normalise(text, told)
            for told, text, _ in self.store.learned_texts()
            if told == language
        }
        found = []
        for row in self.store.calibration(language, EVERY):
            said = None if row.text is None else normalise(row.text, language)
            if said is None or (said and said not in learned):
                found.append(row)
        return found[:MOST_CALIBRATION]

    def _hear(
        self, ears: Ears, checkpoint: Checkpoint, rows: Sequence[Utterance]
    ) -> tuple[Opinions, dict[str, str]]:
        """What is heard, and of clips whose file cannot be read the reason, by id.

        Files are looked at where hearing failed only: what was heard until then is kept.
        """
        try:
            return ears.hear(checkpoint, rows), {}
        except AudioError:
            unreadable = self._unreadable(rows)
            if not unreadable:
                raise
        named = "; ".join(f"{name}: {why}" for name, why in list(unreadable.items())[:NAMED])
        more = "; …" if len(unreadable) > NAMED else ""
        self.say(
            f"  {len(unreadable)} clips cannot be read and are left out ({named}{more}); restore "
            "them from a backup, or delete and ingest them anew"
        )
        readable = [row for row in rows if row.id not in unreadable]
        return ears.hear(checkpoint, readable), unreadable

    def _unreadable(self, rows: Sequence[Utterance]) -> dict[str, str]:
        found = {}
        for row in rows:
            try:
                self.store.samples(row)
            except AudioError as exc:
                found[row.id] = str(exc)
        return found

    def _choice(
        self, opinions: Opinions, weights: Mapping[str, float], truth: Sequence[Utterance]
    ) -> Choice:
        language = self.settings.model.language
        if self.settings.pseudo_labels.choice == "vote":
            return Vote(lambda heard: readings_of(heard, weights), language)
        said = {normalise(row.text or "", language) for row in truth}
        texts = [
            row.text
            for row in self.store.training_examples(IN_HOUSE)
            if row.language == language and normalise(row.text, language) not in said
        ]
        clips = [
            (opinions.clips[row.id], row.text or "") for row in truth if row.id in opinions.clips
        ]
        return Risk(clips, texts, language, self.store.pseudo_label_folder())

    def _leaked(self, kept: Sequence[Rated], others: Sequence[Utterance]) -> set[str]:
        """The clips that these others hold too, by audio or by what was heard."""
        examples = [
            Example(
                row.utterance.id,
                row.utterance.audio,
                row.utterance.duration_s,
                PSEUDO_LABEL,
                row.utterance.language,
                row.text,
            )
            for row in kept
        ]
        hashes = {row.utterance.id: row.utterance.sample_hash for row in kept}
        leaks = find_leaks(examples, hashes, others)
        return {row.utterance_id for row in leaks}

    def _rng(self) -> np.random.Generator:
        """The same each time, so that threshold and curve have the same intervals."""
        seed = content_hash([self.settings.seed, "pseudo_labels"])
        return np.random.default_rng(int(seed[:8], 16))


def _check_enough(truth: Sequence[Utterance], language: str) -> None:
    """Raises WorkspaceError where the clips of known words are too few."""
    texts = [row.text for row in truth if row.text is not None]
    words = sum(len(normalise(text, language).split()) for text in texts)
    if len(texts) < FEWEST_CLIPS or words < FEWEST_WORDS:
        raise WorkspaceError(
            f"{len(texts)} clips ({words} words) are known that no recogniser has learned, "
            f"expected {FEWEST_CLIPS} clips and {FEWEST_WORDS} words to measure what agreement "
            "is worth; take some in with `al-loop ingest MANIFEST --split validation`, or "
            "label a batch"
        )


def _labels(kept: Sequence[Rated], judged: Sequence[Judged], made_by: str) -> list[PseudoLabel]:
    if not kept:
        return []
    sure = confidence(judged)(np.array([row.agreement for row in kept]))
    return [
        PseudoLabel(row.utterance.id, row.text, float(value), made_by)
        for row, value in zip(kept, sure, strict=True)
    ]


def _interval(point: Point) -> dict[str, float]:
    return {
        "value": point.precision,
        "low": point.precision_low,
        "high": point.precision_high,
    }


def _volume(rows: Sequence[Rated], clips: int) -> dict[str, float]:
    """clips: how many; texts, seconds: of those whose text holds a word."""
    seconds = sum(row.utterance.duration_s for row in rows)
    return {"clips": clips, "texts": len(rows), "seconds": seconds}


def _row(point: Point, rated: Sequence[Rated]) -> dict[str, Any]:
    """A point of the curve, with what of the pool reaches it."""
    reached = [row.utterance.duration_s for row in rated if row.agreement >= point.threshold]
    return {**asdict(point), "clips": len(reached), "seconds": sum(reached)}


def refused(why: Exception, before: Sequence[PseudoLabel]) -> Made:
    """None but those from before, and why: others are measured by nobody."""
    return Made(before, {"refused": str(why), "kept_before": len(before)})
