"""`make bench`: decoding in short windows against transformers' `generate` on 30 s, in one run.

Same clips, same untrained whisper-base, same machine; the sides take turns. Prints one line a
target and exits with 1 when one is missed; writes the table into docs/benchmarks.md.
"""

from __future__ import annotations

import csv
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from al_loop.audio import decode, sample_hash
from al_loop.config import ModelSettings
from al_loop.metrics import count_errors
from al_loop.records import Utterance
from al_loop.whisper.checkpoints import Whisper, load, save
from al_loop.whisper.features import MAX_WINDOW_S, log_mel
from al_loop.whisper.languages import Language, ensure_language, language_token
from al_loop.whisper.recognizer import WhisperRecognizer, versions

ROOT = Path(__file__).parent.parent
CORPUS = Path(os.environ.get("AL_LOOP_CORPUS", ROOT.parent / "shared" / "corpus"))
REPORT = ROOT / "docs" / "benchmarks.md"
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
    if not (CORPUS / "manifest.tsv").is_file():
        print(f"{CORPUS}: no manifest.tsv there; name a corpus in AL_LOOP_CORPUS")
        return 2
    clips, references = _clips()
    scratch = ROOT / "build" / "benchmark"
    whisper = load(ModelSettings().checkpoint)
    ensure_language(whisper.model, whisper.tokenizer, Language("ky", "kk"))
    save(whisper, scratch / "base", {})
    sides = [_short_windows(scratch, clips), _full_windows(whisper, clips)]
    audio_s = sum(row.duration_s for row in clips)
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
    _write_report(sides, seconds, rates, audio_s)
    passed = [
        _target("decoding_speed", f"{theirs / ours:.1f}x", f">= {SPEED_TARGET:g}x",
                theirs / ours >= SPEED_TARGET),
        _target("decoding_wer_lost", f"{100 * lost:.1f} points", f"<= {100 * WER_TARGET:g} points",
                lost <= WER_TARGET),
    ]  # fmt: skip
    return 0 if all(passed) else 1


def _clips() -> tuple[list[Utterance], list[str]]:
    with (CORPUS / "manifest.tsv").open(encoding="utf-8", newline="") as file:
        table = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        rows = [row for row in table if (row["language"], row["split"]) == (LANGUAGE, "test")]
    clips = []
    for row in rows[:CLIPS]:
        path = CORPUS / row["path"]
        samples = decode(path)
        clips.append(
            Utterance(
                id=row["path"],
                sample_hash=sample_hash(samples),
                audio=str(path.resolve()),
                duration_s=len(samples) / 16_000,
                source="corpus",
                language=LANGUAGE,
                split="test",
            )
        )
    return clips, [row["transcription"] for row in rows[:CLIPS]]


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
    counts = [count_errors(*pair) for pair in zip(references, texts, strict=True)]
    return sum(row.word_errors for row in counts) / sum(row.words for row in counts)


def _target(name: str, measured: str, target: str, passed: bool) -> bool:
    print(f"{'PASS' if passed else 'FAIL'} {name} {measured} {target}")
    return passed


def _write_report(
    sides: Sequence[Side],
    seconds: dict[str, list[float]],
    rates: dict[str, float],
    audio_s: float,
) -> None:
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`; both sides of a comparison ran in turns in one process.",
        "",
        f"{os.cpu_count()} CPU cores ({platform.machine()}), no GPU; "
        + ", ".join(f"{name} {number}" for name, number in versions().items()),
        "",
        f"## Decoding {CLIPS} clips ({audio_s:.0f} s of Russian speech), untrained whisper-base",
        "",
        "| side | median s | spread s | audio s per s | WER % |",
        "|---|---|---|---|---|",
    ]
    for side in sides:
        times = seconds[side.name]
        median = statistics.median(times)
        lines.append(
            f"| {side.name} | {median:.1f} | {min(times):.1f} to {max(times):.1f} | "
            f"{audio_s / median:.1f} | {100 * rates[side.name]:.1f} |"
        )
    REPORT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
