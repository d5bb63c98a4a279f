"""What `make bench` tells of scoring: its targets, its table and the paragraph above it.

Pure: works on what was measured, and knows no process and no model.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from al_loop.metrics import Interval, error_rate, paired_difference
from al_loop.records import ErrorCounts, Utterance
from benchmarks.floor import Floor, Machine, name_of
from benchmarks.report import Target, percent

OURS, BY_TORCH = "al_loop", "al_loop_torch"
PIPELINE, SHORT_PIPELINE, FASTER_WHISPER = "pipeline", "pipeline_bfloat16", "faster_whisper"
NAMES = {
    PIPELINE: "transformers' pipeline, 30 s, float32",
    SHORT_PIPELINE: "transformers' pipeline, 30 s, bfloat16",
    FASTER_WHISPER: "faster-whisper, batched, 30 s",
    OURS: "al_loop, with statistics",
    BY_TORCH: "al_loop by torch, with statistics",
}
LANGUAGES = {"ky": "Kyrgyz", "ru": "Russian"}
SPEED_TARGETS = {PIPELINE: 15.0, FASTER_WHISPER: 5.0}
WER_TARGET = 0.005
SPEARMAN_TARGET = 0.95
SEED, SAMPLES = 0, 1000


@dataclass(frozen=True, slots=True)
class Correlation:
    """Over so many clips that had a score."""

    value: float
    clips: int


@dataclass(frozen=True, slots=True)
class Measured:
    """One side. seconds: of every repeat. log_prob, entropy: Spearman's correlations with 30 s."""

    choice: Mapping[str, Any]
    seconds: Sequence[float]
    peak_bytes: int
    counts: Sequence[ErrorCounts]
    log_prob: Correlation | None
    entropy: Correlation | None

    @property
    def median_s(self) -> float:
        return statistics.median(self.seconds)

    @property
    def wer(self) -> float:
        return sum(row.word_errors for row in self.counts) / sum(row.words for row in self.counts)


def targets(measured: Mapping[str, Measured]) -> list[Target]:
    ours = measured[OURS]
    found = []
    for rival, wanted in SPEED_TARGETS.items():
        faster = measured[rival].median_s / ours.median_s
        found.append(
            Target(f"scoring_vs_{rival}", f"{faster:.1f}x", f">= {wanted:g}x", faster >= wanted)
        )
    interval = lost_words(measured)
    lost = interval.value
    found.append(
        Target(
            "scoring_wer",
            f"{100 * lost:+.2f} ({100 * interval.low:+.2f} to {100 * interval.high:+.2f}) points "
            "against the pipeline",
            f"<= {100 * WER_TARGET:g} points",
            lost <= WER_TARGET + 1e-9,
        )
    )
    for name, ranked in (("log_probability", ours.log_prob), ("entropy", ours.entropy)):
        clips = 0 if ranked is None else ranked.clips
        found.append(
            Target(
                f"scoring_spearman_{name}",
                f"{_shown(ranked)} over {clips} of {len(ours.counts)} clips",
                f">= {SPEARMAN_TARGET:g}",
                ranked is not None and ranked.value >= SPEARMAN_TARGET,
            )
        )
    return found


def lost_words(measured: Mapping[str, Measured]) -> Interval:
    """al_loop's WER minus the pipeline's, with the interval of the paired difference."""
    before, after = measured[PIPELINE].counts, measured[OURS].counts
    return paired_difference(before, after, np.random.default_rng(SEED), SAMPLES)


def table(
    measured: Mapping[str, Measured], least: Sequence[Floor], clips: Sequence[Utterance]
) -> tuple[list[str], list[list[str]]]:
    audio_s = sum(row.duration_s for row in clips)
    columns = [
        "side",
        "audio s per s",
        "spread",
        "peak memory GiB",
        "WER %",
        "Spearman, log-probability",
        "Spearman, entropy",
    ]
    rows = []
    for name, side in measured.items():
        choice = ", ".join(str(value) for value in side.choice.values())
        slowest, fastest = audio_s / max(side.seconds), audio_s / min(side.seconds)
        rows.append(
            [
                f"{NAMES[name]}{f' ({choice})' if choice else ''}",
                f"{audio_s / side.median_s:.1f}",
                f"{slowest:.1f} to {fastest:.1f}",
                f"{side.peak_bytes / 2**30:.1f}",
                f"{100 * side.wer:.1f}",
                _shown(side.log_prob),
                _shown(side.entropy),
            ]
        )
    for row in least:
        name = f"floor: {row.windows} windows, {name_of(row.dtype)}"
        rows.append([name, f"{1 / row.seconds:.1f} at most", *["none"] * 5])
    return columns, rows


def about(
    measured: Mapping[str, Measured],
    clips: Sequence[Utterance],
    trained: Mapping[str, int],
    epochs: int,
    machine: Machine,
) -> str:
    """The paragraph above the table. trained: different clips of each language."""
    ours = measured[OURS]
    errors, words = np.array([(row.word_errors, row.words) for row in ours.counts]).T
    wer = error_rate(errors, words, np.random.default_rng(SEED), SAMPLES)
    difference = lost_words(measured)
    taught = " and ".join(f"{count} {LANGUAGES[code]}" for code, count in trained.items())
    audio_s = sum(row.duration_s for row in clips)
    return (
        f"By `make bench`: {len(clips)} Kyrgyz test clips of 2 to 8 s ({audio_s:.0f} s in all), "
        f"whisper-base trained by al_loop on {taught} other clips of the corpus in {epochs} "
        "epochs. Each side is a process of its own, warmed up; the sides took turns, median and "
        f"spread of {len(ours.seconds)} repeats. All decode greedily; reading files and log-mel "
        "count on all. al_loop's time is that of hearing with statistics, without profiling and "
        "without the database. In brackets what each rival was fastest with: batch size, or "
        "compute type and batch size; the pipeline in bfloat16 has the batch size of float32. That "
        "one and al_loop by torch have no target. faster-whisper got the clips joined, with "
        "silence between them. "
        "Spearman's correlations are with the scores of transformers' `generate` on 30 s in "
        "float32; the pipeline gives none, faster-whisper no entropy. "
        f"WER of al_loop {percent(wer)}%, minus that of the pipeline {percent(difference)} "
        "points, with 95% intervals. Floor: the least time for the same tokens in such windows "
        f"and numbers on this machine ({machine}), by `benchmarks/floor.py`. It "
        "assumes that torch's large square product is the fastest there is, that no weight stays "
        "in a cache from one token to the next, that encoding and decoding never overlap, and "
        "windows as long as these; what does better in one of them can beat it."
    )


def _shown(found: Correlation | None) -> str:
    return "none" if found is None else f"{found.value:.3f}"
