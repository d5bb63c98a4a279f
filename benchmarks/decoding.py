"""`make bench`: decoding in short windows against transformers' `generate` on 30 s, in one run.

Same clips, same untrained whisper-base, same machine; the sides take turns. Prints one line a
target and exits with 1 when one is missed; writes its section of docs/benchmarks.md.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from al_loop.config import ModelSettings
from al_loop.errors import ManifestError
from al_loop.metrics import count_errors
from al_loop.records import Utterance
from al_loop.whisper.checkpoints import Whisper, load, save
from al_loop.whisper.features import MAX_WINDOW_S, log_mel
from al_loop.whisper.languages import Language, ensure_language, language_token
from al_loop.whisper.recognizer import WhisperRecognizer
from benchmarks.corpus import read_clips
from benchmarks.report import ROOT, Target, announce, write_section

CLIPS = 24
REPEATS = 3
BATCH = 8
LANGUAGE = "ru"
"""The untrained model knows Russian, so WER means something; speed is the same for Kyrgyz."""
SPEED_TARGET = 5.0
WER_TARGET = 0.05


@dataclass(frozen=True, slots=True)
class Side:
    name: str
    hear: Callable[[], list[str]]


def main() -> int:
    try:
        clips = read_clips(LANGUAGE, {"test"}, CLIPS)
    except ManifestError as exc:
        print(exc)
        return 2
    references = [row.text or "" for row in clips]
    scratch = ROOT / "build" / "benchmark"
    whisper = load(ModelSettings().checkpoint)
    ensure_language(whisper.model, whisper.tokenizer, Language("ky", "kk"))
    save(whisper, scratch / "base", {})
    sides = [_short_windows(scratch, clips), _full_windows(whisper, clips)]
    seconds: dict[str, list[float]] = {side.name: [] for side in sides}
    rates: dict[str, float] = {}
    for _ in range(REPEATS):
        for side in sides:
            start = time.perf_counter()
            texts = side.hear()
            seconds[side.name].append(time.perf_counter() - start)
            rates[side.name] = _wer(references, texts)
    ours, theirs = (statistics.median(seconds[side.name]) for side in sides)
    lost = rates[sides[0].name] - rates[sides[1].name]
    _write_section(seconds, rates, sum(row.duration_s for row in clips))
    return announce(
        [
            Target(
                "decoding_speed",
                f"{theirs / ours:.1f}x",
                f">= {SPEED_TARGET:g}x",
                theirs / ours >= SPEED_TARGET,
            ),
            Target(
                "decoding_wer_lost",
                f"{100 * lost:.1f} points",
                f"<= {100 * WER_TARGET:g} points",
                lost <= WER_TARGET,
            ),
        ]
    )


def _short_windows(scratch: Path, clips: Sequence[Utterance]) -> Side:
    recognizer = WhisperRecognizer(scratch, ModelSettings())
    listen = recognizer.listener("base")

    def hear() -> list[str]:
        heard = {
            row.utterance_id: row.text
            for block in recognizer.blocks(clips)
            for row in listen(block)
        }
        return [heard[row.id] for row in clips]

    return Side("al_loop, short windows, with statistics", hear)


def _full_windows(whisper: Whisper, clips: Sequence[Utterance]) -> Side:
    def hear() -> list[str]:
        texts = []
        for start in range(0, len(clips), BATCH):
            paths = [Path(row.audio) for row in clips[start : start + BATCH]]
            mels = log_mel(whisper.features, paths, MAX_WINDOW_S)
            with torch.inference_mode():
                ids = whisper.model.generate(mels, language=language_token(LANGUAGE))
            texts += whisper.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return texts

    return Side("transformers generate, 30 s, batch 8", hear)


def _wer(references: Sequence[str], texts: Sequence[str]) -> float:
    counts = [count_errors(*pair, LANGUAGE) for pair in zip(references, texts, strict=True)]
    return sum(row.word_errors for row in counts) / sum(row.words for row in counts)


def _write_section(
    seconds: Mapping[str, Sequence[float]], rates: Mapping[str, float], audio_s: float
) -> None:
    rows = []
    for name, times in seconds.items():
        median = statistics.median(times)
        spread = f"{min(times):.1f} to {max(times):.1f}"
        wer = f"{100 * rates[name]:.1f}"
        rows.append([name, f"{median:.1f}", spread, f"{audio_s / median:.1f}", wer])
    write_section(
        "Decoding",
        f"By `make bench`: {CLIPS} clips ({audio_s:.0f} s of Russian speech), untrained "
        "whisper-base; the sides took turns in one process.",
        ["side", "median s", "spread s", "audio s per s", "WER %"],
        rows,
    )


if __name__ == "__main__":
    sys.exit(main())
