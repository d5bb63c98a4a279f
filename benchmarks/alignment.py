"""`make bench-alignment`: a quarter of an hour of joined clips, aligned to a book with faults.

A CTC recogniser is trained on clips that are in neither. Boundaries are known, and so is what is
said; the book has misprints, lacks a paragraph and an introduction, and has a paragraph that nobody
reads. Prints one line a target and exits with 1 when one is missed; writes its section of
docs/benchmarks.md. Works in .bench/alignment, or where AL_LOOP_BENCH_DIR says, and keeps the
recogniser there. `--epochs N` tries another training and writes no report.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from al_loop.alignment.segments import Rules
from al_loop.config import ModelSettings
from al_loop.errors import AlLoopError
from al_loop.metrics import Interval, count_errors, error_rate
from al_loop.records import Example, Utterance, content_hash
from al_loop.sources.books import Aligned, align_book
from al_loop.whisper.ctc import load_recognizer
from al_loop.whisper.ctc_jobs import CtcJob, spelled, train, training_settings
from al_loop.whisper.recognizer import WhisperRecognizer
from benchmarks.corpus import read_clips
from benchmarks.place import work_folder
from benchmarks.planted import Judged, Planted, join, judge
from benchmarks.report import Target, announce, percent, write_section

SECONDS = 900.0
EPOCHS = 20
SEED = 0
MEDIAN_S, MOST_S, WORDS = 0.1, 0.3, 0.99
THRESHOLDS = (-3.0, -2.0, -1.5, -1.0, -0.7, -0.5)
"""Of the table; the targets are those of the command's own threshold."""


@dataclass(frozen=True, slots=True)
class Result:
    """training_s, aligning_s: seconds, without loading. cer: on the clips of the recording."""

    planted: Planted
    judged: Mapping[float, Judged]
    training_s: float
    training_clips: int
    aligning_s: float
    duration_s: float
    wer: Interval
    cer: Interval


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.alignment")
    parser.add_argument("--epochs", type=int, default=EPOCHS, metavar="N")
    epochs = parser.parse_args(arguments).epochs
    try:
        with work_folder("alignment") as folder:
            result = run(folder, SECONDS, epochs)
    except AlLoopError as exc:
        print(exc)
        return 2
    if epochs == EPOCHS:
        _write_section(result, epochs)
    return announce(targets(result.judged[Rules().min_score]))


def run(folder: Path, seconds: float, epochs: int) -> Result:
    """Join, train (where `folder` holds no such recogniser yet), align, judge."""
    folder.mkdir(parents=True, exist_ok=True)
    recording, book = folder / "reading.flac", folder / "book.txt"
    kyrgyz = read_clips("ky", {"test", "train", "pool"})
    planted, rest = join(kyrgyz, seconds, SEED, recording, book)
    texts = {row.text for row in kyrgyz} - {row.text for row in rest}
    rest = [row for row in [*rest, *read_clips("ru", {"test", "train"})] if row.text not in texts]
    place, training_s = _recogniser(folder, rest, epochs)
    recogniser = load_recognizer(str(place))
    spent: dict[float, float] = {}
    judged: dict[float, Judged] = {}
    shutil.rmtree(folder / "heard", ignore_errors=True)
    for threshold in sorted({*THRESHOLDS, Rules().min_score}):
        started = time.perf_counter()
        found: Aligned = align_book(
            recording, book, "ky", recogniser, folder / "heard", Rules(min_score=threshold)
        )
        spent[threshold] = time.perf_counter() - started
        judged[threshold] = judge(planted, found)
    in_it = [row for row in kyrgyz if row.text in texts]
    counts = [
        count_errors(row.text or "", heard, "ky")
        for row, heard in spelled(recogniser, Path(), in_it)
    ]
    rng = np.random.default_rng(SEED)
    wer, cer = (
        error_rate(np.array(errors), np.array(lengths), rng, 1000)
        for errors, lengths in (
            ([row.word_errors for row in counts], [row.words for row in counts]),
            ([row.character_errors for row in counts], [row.characters for row in counts]),
        )
    )
    return Result(
        planted,
        judged,
        training_s,
        len(rest),
        max(spent.values()),  # the first one hears; the others find what was heard
        found.duration_s,
        wer,
        cer,
    )


def targets(judged: Judged) -> list[Target]:
    median, most = np.percentile(judged.errors_s, [50, 95]).tolist() if len(judged.errors_s) else (
        float("inf"), float("inf")
    )  # fmt: skip
    right = 1 - judged.wrong / max(judged.words, 1)
    return [
        Target(
            "boundary_median",
            f"{1000 * median:.0f} ms",
            f"< {1000 * MEDIAN_S:.0f} ms",
            median < MEDIAN_S,
        ),
        Target("boundary_95", f"{1000 * most:.0f} ms", f"< {1000 * MOST_S:.0f} ms", most < MOST_S),
        Target(
            "words_kept_right",
            f"{100 * right:.2f}%",
            f">= {100 * WORDS:.0f}%",
            judged.words > 0 and right >= WORDS,
        ),
    ]


def _recogniser(folder: Path, clips: Sequence[Utterance], epochs: int) -> tuple[Path, float]:
    """The folder of a recogniser trained on these clips, and how long that took."""
    rule = training_settings(epochs, frozen=True, save_minutes=5.0)
    key = content_hash([rule.model_dump(), sorted([row.id, row.text] for row in clips)])[:16]
    place = folder / f"recogniser-{key}"
    facts = place / "seconds.json"
    if facts.is_file():
        return place, float(json.loads(facts.read_text(encoding="utf-8")))
    base, scratch = folder / "base", folder / f"training-{key}"
    if not base.is_dir():
        WhisperRecognizer(folder, ModelSettings()).create_base(base)
    shutil.rmtree(scratch, ignore_errors=True)  # a save would spoil the time
    scratch.mkdir()
    place.mkdir(exist_ok=True)
    examples = [
        Example(row.id, row.audio, row.duration_s, row.source, row.language, row.text or "")
        for row in clips
    ]
    started = time.perf_counter()
    job = CtcJob(
        Path(), base, examples, [], rule, SEED, "cpu", place, scratch, {"made_from": "base"}
    )
    train(job, lambda note: print(note, file=sys.stderr, flush=True))
    seconds = time.perf_counter() - started
    shutil.rmtree(scratch)
    facts.write_text(json.dumps(seconds), encoding="utf-8")
    return place, seconds


def _write_section(result: Result, epochs: int) -> None:
    about = (
        f"`make bench-alignment`: {result.duration_s / 60:.1f} min joined from "
        f"{len(result.planted.clips)} Kyrgyz clips of one synthetic voice, aligned to a book with "
        f"{result.planted.misprints} misprints that lacks an introduction and a paragraph and has "
        "a paragraph that nobody reads. The recogniser is whisper-base's encoder with a CTC head, "
        f"{epochs} epochs on {result.training_clips} other clips in {result.training_s / 60:.1f} "
        f"min; read greedily, its WER on the clips of the recording is {percent(result.wer)}, its "
        f"CER {percent(result.cer)}. Hearing and aligning took {result.aligning_s:.0f} s. Errors "
        "are those of speech edges at clips' edges; words are right that are said where they "
        f"stand. The command's threshold is {Rules().min_score:g}."
    )
    columns = ("min score", "kept", "words", "right", "misprints kept", "median error", "95%")
    rows = []
    for threshold, judged in sorted(result.judged.items()):
        if not judged.words:
            continue
        median, most = np.percentile(judged.errors_s, [50, 95]).tolist()
        rows.append(
            (
                f"{threshold:g}",
                f"{judged.kept_s / result.duration_s:.0%}",
                f"{judged.words}",
                f"{1 - judged.wrong / judged.words:.2%}",
                f"{judged.misprints} of {result.planted.misprints}",
                f"{1000 * median:.0f} ms",
                f"{1000 * most:.0f} ms",
            )
        )
    write_section("Forced alignment", about, columns, rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
