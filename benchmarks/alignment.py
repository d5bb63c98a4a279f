"""`make bench-alignment`: quarters of an hour of joined clips, aligned to books with faults.

For each of several draws a CTC recogniser is trained on clips that are in neither recording nor
book. Boundaries are known, and so is what is said; the book is printed as the clips' texts are,
with digits, capitals and punctuation, stands between chapters that nobody reads, has misprints, and
lacks or has paragraphs of its own. The threshold is chosen on one draw and reported on the others,
as recorded and under noise. Prints one line a target and exits with 1 when one is missed; writes
its section of docs/benchmarks.md. Works in .bench/alignment, or where AL_LOOP_BENCH_DIR says, and
keeps the recognisers there. `--epochs N`, `--seconds N` or `--draws N` try another size and write
no report.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from al_loop.alignment.segments import Rules
from al_loop.clips import Clips, Place
from al_loop.config import ModelSettings
from al_loop.errors import AlLoopError
from al_loop.metrics import count_errors
from al_loop.records import Example, Utterance, content_hash
from al_loop.sources.books import align_book, cut
from al_loop.whisper.ctc import load_recognizer
from al_loop.whisper.ctc_jobs import CtcJob, spelled, train, training_settings
from al_loop.whisper.recognizer import WhisperRecognizer
from benchmarks.alignment_report import (
    CHAPTERS,
    CHOSEN_ON,
    COLUMNS,
    CONDITIONS,
    EPOCHS,
    REPORTED,
    SECONDS,
    THRESHOLDS,
    Result,
    table,
    targets,
    threshold_target,
    write_report,
)
from benchmarks.corpus import read_clips
from benchmarks.judged import Judge
from benchmarks.place import work_folder
from benchmarks.planted import join
from benchmarks.report import announce


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.alignment")
    parser.add_argument("--epochs", type=int, default=EPOCHS, metavar="N")
    parser.add_argument("--seconds", type=float, default=SECONDS, metavar="N")
    parser.add_argument("--draws", type=int, default=len(REPORTED), metavar="N")
    given = parser.parse_args(arguments)
    draws = REPORTED[: given.draws]
    try:
        with work_folder("alignment") as folder:
            (choice,) = run(folder, given.seconds, given.epochs, [CHOSEN_ON], ["as recorded"])
            results = run(folder, given.seconds, given.epochs, draws, list(CONDITIONS))
    except AlLoopError as exc:
        print(exc)
        return 2
    found = [target for name in CONDITIONS for target in targets(name, results)]
    if (given.epochs, given.seconds, draws) == (EPOCHS, SECONDS, REPORTED):
        write_report(choice, results)
    else:
        print("\n".join(" | ".join(row) for row in (COLUMNS, *table(results))))
    return announce([threshold_target(choice), *found])


def run(
    folder: Path, seconds: float, epochs: int, draws: Sequence[int], conditions: Sequence[str]
) -> list[Result]:
    """Join, train (where `folder` holds no such recogniser yet), align, judge."""
    folder.mkdir(parents=True, exist_ok=True)
    kyrgyz = read_clips("ky", {"test", "train", "pool"})
    russian = read_clips("ru", {"test", "train"})
    results = []
    for draw in draws:
        for condition in conditions:
            recording, book = folder / f"reading-{draw}.flac", folder / f"book-{draw}.txt"
            planted, rest = join(
                kyrgyz, seconds, draw, recording, book, CONDITIONS[condition], CHAPTERS
            )
            left = {row.id for row in rest}
            taken = [row for row in kyrgyz if row.id not in left]
            said = {row.text for row in taken}
            learned = [*(row for row in rest if row.text not in said), *russian]
            place, training_s = _recogniser(folder, learned, epochs)
            recogniser = load_recognizer(str(place))
            shutil.rmtree(folder / "heard", ignore_errors=True)
            started = time.perf_counter()
            found = align_book(recording, book, "ky", recogniser, folder / "heard")
            aligning_s = time.perf_counter() - started
            judge = Judge(planted, found)
            kept = {
                least: judge.kept(
                    cut(
                        found.words,
                        found.spoken,
                        found.quiet,
                        found.frame_s,
                        Rules(min_score=least),
                    )
                )
                for least in sorted({*THRESHOLDS, Rules().min_score})
            }
            clear = taken if CONDITIONS[condition] is None else []
            heard = spelled(recogniser, Clips(Place(Path())), clear)
            counts = [count_errors(row.text or "", text, "ky") for row, text in heard]
            results.append(
                Result(
                    condition,
                    kept,
                    judge.all_words(),
                    planted.misprints,
                    len(planted.removed),
                    len(planted.clips),
                    training_s,
                    len(learned),
                    aligning_s,
                    counts,
                )
            )
            recording.unlink()
    return results


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
    here, made_from = Clips(Place(Path())), {"made_from": "base"}
    job = CtcJob(here, base, examples, [], rule, 0, "cpu", place, scratch, made_from)
    train(job, lambda note: print(note, file=sys.stderr, flush=True))
    seconds = time.perf_counter() - started
    shutil.rmtree(scratch)
    facts.write_text(json.dumps(seconds), encoding="utf-8")
    return place, seconds


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
