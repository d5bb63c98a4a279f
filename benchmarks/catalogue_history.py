"""The history of `make bench-catalogue`: a loop's rounds over what was ingested.

Knows nothing of what is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from al_loop.acquisition.predictor import fit
from al_loop.config import Settings
from al_loop.evidence import round_report
from al_loop.manifest import build_manifest
from al_loop.records import (
    IN_HOUSE,
    Annotation,
    Checkpoint,
    Choice,
    Evaluation,
    Gated,
    Selection,
    SilenceEvaluation,
    Source,
    TaskKey,
)
from benchmarks.catalogue_manifests import blocks
from benchmarks.scored import (
    ANSWERED,
    CHECKPOINT,
    ROUNDS,
    SEED,
    WORD,
    Row,
    answer,
    ask,
    open_rounds,
    put_batch,
)
from storage.store import Store

WAITING = 300
"""Utterances of the open round's query batch."""
LIMITS = {"quiet": -45.0, "no_speech": 0.05, "other_language": 0.9, "looping": 2.4}
TIME = "2026-01-02T00:00:00.000000Z"


def add_history(store: Store, count: int) -> None:
    """Three recorded rounds and one that waits for annotators, over what was ingested.

    Everything has a profile, and a hypothesis where its profile does not keep it from that.
    """
    settings = Settings()
    store.db.execute("PRAGMA cache_size = -1000000")
    waiting: list[Row] = []
    gated: list[Gated] = []
    with store.transaction():  # one, or nearly every page would be written with every block
        open_rounds(store, settings.model.language)
        for number, rows in enumerate(blocks(count)):
            store.add_profiles(settings.embedding.encoder, [row.profile for row in rows])
            store.add_hypotheses(CHECKPOINT, [row.hypothesis for row in rows if row.hypothesis])
            if number == 0:
                ask(store, rows[:ANSWERED])
            pool = [row for row in rows if row.utterance.split == "pool"]
            for row in pool[ANSWERED:] if number == 0 else pool:
                if held := held_back(row):
                    gated.append(held)
                elif len(waiting) < WAITING:
                    waiting.append(row)
        _record_rounds(store, settings)
        _wait_for_annotators(store, waiting, gated)


def held_back(row: Row) -> Gated | None:
    """What the gates make of generated junk."""
    profile, heard = row.profile, row.hypothesis
    compression = heard.compression_ratio if heard else 0.0
    for gate, value, held in (
        ("quiet", profile.loudness_dbfs, profile.loudness_dbfs < LIMITS["quiet"]),
        ("no_speech", profile.speech_share, profile.speech_share < LIMITS["no_speech"]),
        (
            "other_language",
            profile.other_language_prob,
            profile.other_language_prob > LIMITS["other_language"],
        ),
        ("looping", compression, compression > LIMITS["looping"]),
    ):
        if held:
            return Gated(row.utterance.id, gate, value, LIMITS[gate])
    return None


def _record_rounds(store: Store, settings: Settings) -> None:
    """Give every recorded round a manifest, a candidate, error rates, a decision, a report."""
    sources = {source.name: source for source in store.sources()}
    sources[IN_HOUSE] = Source(IN_HOUSE, "in_house", "ky")
    examples = store.training_examples(IN_HOUSE)
    manifest = build_manifest(examples, sources, settings.mixture, frozenset())
    sets = {row.source: row.language for row in store.evaluation_utterances()}
    for number in range(1, ROUNDS + 1):
        store.put_manifest(number, replace(manifest, id=f"{number}-{manifest.id}"))
        candidate = Checkpoint(f"candidate {number}", f"checkpoints/{number}", CHECKPOINT, {})
        store.put_checkpoint(candidate)
        store.set_candidate(number, candidate.id)
        for checkpoint_id, wer in ((CHECKPOINT, 0.5), (candidate.id, 0.6 - 0.02 * number)):
            rates = [_evaluation(name, language, wer) for name, language in sets.items()]
            store.put_evaluations(number, checkpoint_id, rates, SilenceEvaluation(24, 1))
        store.decide(number, False, "rejected: ky lost more than promote.margin")
    longest_s = settings.labels.longest_answer_s
    answers = store.answers(settings.embedding.encoder, longest_s)
    points = store.curve_points(longest_s)
    for number in range(1, ROUNDS + 1):
        rng = np.random.default_rng(SEED)
        rule = settings.evaluate.bootstrap_samples, settings.select.budget_s
        report = round_report(answers, number, points, "ky", rng, *rule)
        predictor = fit(answers, settings.select.fallback, rng)
        store.put_report(number, report | {"predictor": predictor and dict(predictor.quality)})


def _evaluation(name: str, language: str, wer: float) -> Evaluation:
    rates = (wer, wer - 0.03, wer + 0.03, 0.2, 0.18, 0.22)
    return Evaluation(name, language, 1000, 10_000, *rates, *rates, 3000, 1000, 1000, 0.01, "2")


def _wait_for_annotators(store: Store, waiting: Sequence[Row], gated: Sequence[Gated]) -> None:
    """The open round has asked, and half of its batch is answered."""
    number = ROUNDS + 1
    choices = [Choice(row.utterance.id, rank, 1.0, "acquired") for rank, row in enumerate(waiting)]
    facts = {"acquisition": "predicted_wer", "limits": LIMITS, "reason": "it orders answers better"}
    with store.finishing(number, "select", "pull"):
        put_batch(store, number, Selection(choices, gated, facts))
    answered = [TaskKey(choice.utterance_id, number, 0) for choice in choices[::2]]
    answer(
        store,
        [Annotation("2", "2", key, "annotator-1", WORD, None, 9.0, TIME, TIME) for key in answered],
    )
