"""`make bench-ablation`: `al-loop ablate` on five kinds of data whose worth is known.

The corpus's Kyrgyz clips are dealt out: open data, aligned data and in-house labels keep their
texts, a synthetic source gets those of other clips, and pseudo-labels lack every fifth word.
Russian is kept in every row. The command runs as people run it, in a process that is killed in the
middle of a training as often as KILLS says, and goes on. Prints its table and one line a target,
and exits with 1 when one is missed; writes its section of docs/benchmarks.md. Works in
.bench/ablation, or where AL_LOOP_BENCH_DIR says, and goes on there after a kill. `--quick` tries it
on a few clips and draws in .bench/ablation-quick, and writes no report.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from al_loop.ablation_table import Row, added_rows, left_out_rows, report
from al_loop.config import ModelSettings
from al_loop.errors import AlLoopError
from al_loop.records import (
    IN_HOUSE,
    PSEUDO_LABEL,
    Checkpoint,
    Label,
    PseudoLabel,
    Source,
    SourceKind,
    Split,
    Utterance,
    content_hash,
)
from al_loop.simulation.settings import source_hash
from al_loop.whisper.recognizer import WhisperRecognizer
from benchmarks.corpus import ROOT, read_clips
from benchmarks.place import work_folder
from benchmarks.report import Target, announce, percent, write_section
from storage.store import Store
from storage.workspace import Workspace

SEED, SAMPLES, KILLS = 0, 1000, 2
NAME = "five"
WRONG = "voice_wrong"
SOURCES: Sequence[tuple[str, SourceKind, Split]] = (
    ("open_ky", "open_source", "train"),
    ("book_ky", "forced_alignment", "train"),
    (WRONG, "synthetic", "train"),
    ("labelled", "in_house", "pool"),
    ("unlabelled", "in_house", "pool"),
)
"""The last gets pseudo-labels."""
GROUPS = (
    ("open_source", ["open_ky"]),
    ("forced_alignment", ["book_ky"]),
    ("synthetic", [WRONG]),
    ("in_house", [IN_HOUSE]),
    ("pseudo_label", [PSEUDO_LABEL]),
)
"""As the command makes them of these sources."""
RETENTION, TESTS, RETENTION_TESTS = "open_ru", "test_ky", "test_ru"
LOST_WORD = 5
SETTINGS = """
[train]
epochs = {epochs}
learning_rate = 1e-4
batch_size = 8
accumulation = 1
save_minutes = 0.5

[mixture]
in_house_weight = 1.0

[pseudo_labels]
enabled = true
"""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Clips of each source, of Russian, and of each test; draws of an epoch."""

    each: int = 50
    retention: int = 40
    tests: int | None = None
    draws: int = 240
    epochs: int = 3


FULL = Sizes()
QUICK = Sizes(each=3, retention=2, tests=3, draws=8, epochs=1)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.ablation")
    parser.add_argument("--quick", action="store_true", help="a few clips; writes no report")
    given = parser.parse_args(arguments)
    sizes = QUICK if given.quick else FULL
    try:
        with work_folder("ablation", given.quick) as place:
            folder = make(place, sizes)
            trainings = run(folder, sizes, KILLS, _tell)
            store = Store(Workspace.open(folder))
            results = store.ablation_results(NAME)
            store.close()
    except AlLoopError as exc:
        print(exc)
        return 2
    for line in report(results, GROUPS, SAMPLES):
        print(line)
    added = added_rows(results, GROUPS, SAMPLES)
    left_out = left_out_rows(results, GROUPS, SAMPLES)
    if not given.quick:
        _write_section(added, left_out, sizes)
    return announce(targets(added, left_out, trainings))


def make(place: Path, sizes: Sizes) -> Path:
    """The workspace; one that is whole is taken as it is, and of others nothing is kept."""
    folder = place / content_hash([asdict(sizes), source_hash()])[:12]
    for old in place.glob("*"):
        if old != folder:
            shutil.rmtree(old, ignore_errors=True)
    whole = folder / "is-whole"
    if whole.is_file():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "al_loop.toml").write_text(SETTINGS.format(epochs=sizes.epochs), encoding="utf-8")
    store = Store(Workspace.open(folder))
    fill(store, sizes)
    with store.new_checkpoint_folder("base") as base:
        sidecar = WhisperRecognizer(folder, ModelSettings()).create_base(base)
    store.put_checkpoint(Checkpoint("base", "checkpoints/base", None, sidecar))
    store.start_round(0, SEED, "merge", "base")
    store.promote("base", "by the benchmark")
    store.close()
    whole.touch()
    return folder


def fill(store: Store, sizes: Sizes) -> None:
    """Deal out the corpus, by seed."""
    clips = read_clips("ky", {"pool", "train"})
    order = np.random.default_rng(SEED).permutation(len(clips))
    for place, (name, kind, split) in enumerate(SOURCES):
        rows = [clips[index] for index in order[place * sizes.each :][: sizes.each]]
        said = {row.id: row.text or "" for row in rows}
        if name == WRONG:
            said = dict(
                zip(said, [*list(said.values())[1:], *list(said.values())[:1]], strict=True)
            )
        _put(store, Source(name, kind, "ky"), split, rows, said)
        if name == "labelled":
            store.put_labels(Label(id_, text, None, ["planted"]) for id_, text in said.items())
        elif name == "unlabelled":
            texts = [PseudoLabel(row, lossy(text), 0.8, "planted") for row, text in said.items()]
            store.put_pseudo_labels(None, texts, {})
    for name, language, split, count in (
        (RETENTION, "ru", "train", sizes.retention),
        (TESTS, "ky", "test", sizes.tests),
        (RETENTION_TESTS, "ru", "test", sizes.tests),
    ):
        rows = read_clips(language, {split}, count)
        said = {row.id: row.text or "" for row in rows}
        _put(store, Source(name, "open_source", language), split, rows, said)


def lossy(text: str) -> str:
    """Without every fifth word; at least one stays."""
    words = text.split()
    return " ".join(word for place, word in enumerate(words, 1) if place % LOST_WORD) or text


def _put(
    store: Store, source: Source, split: Split, rows: Sequence[Utterance], said: dict[str, str]
) -> None:
    store.put_source(source)
    store.add(
        [
            replace(
                row,
                source=source.name,
                split=split,
                text=None if split == "pool" else said[row.id],
            )
            for row in rows
        ],
        [],
    )


# -- the command -----------------------------------------------------------------------------------


def run(folder: Path, sizes: Sizes, kills: int, tell: Callable[[str], None]) -> int:
    """Run the command to its end, killed as often before; how many trainings were begun."""
    begun = 0
    for number in range(kills + 1):
        killed = folder / f"killed-{number}"
        last = number == kills
        if last or not killed.is_file():
            begun += _call(folder, sizes, kill=not last, tell=tell)
            killed.touch()
    return begun


def _call(folder: Path, sizes: Sizes, kill: bool, tell: Callable[[str], None]) -> int:
    """One process; how many trainings it began. kill: inside its second one."""
    command = [sys.executable, "-m", "al_loop", "-w", str(folder), "ablate", "--name", NAME]
    begun = 0
    with subprocess.Popen(
        [*command, "--draws", str(sizes.draws)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            tell(line.rstrip())
            if kill and begun == 2:
                process.kill()
                tell("killed")
                break
            begun += line.rstrip().endswith(": training")
    if not kill and process.returncode:
        raise AlLoopError(f"al-loop ablate ended with {process.returncode}")
    return begun


# -- the result ------------------------------------------------------------------------------------


def targets(added: Sequence[Row], left_out: Sequence[Row], trainings: int) -> list[Target]:
    """trainings: that were begun, those that were killed too."""
    steps = [row for row in added if row.evaluation_set == TESTS]
    parts = [row for row in left_out if row.evaluation_set == TESTS]
    wanted = 2 * len(SOURCES) - 1
    first = next((row.change for row in steps if row.label == SOURCES[0][1]), None)
    wrong = next((row.change for row in parts if row.label == "synthetic"), None)
    return [
        Target(
            "ablation_rows",
            f"{len(steps)} and {len(parts)} rows",
            f"{len(SOURCES) + 1} and {len(SOURCES) + 1} rows",
            len(steps) == len(parts) == len(SOURCES) + 1,
        ),
        Target(
            "ablation_resumed",
            f"{trainings} trainings begun",
            f"<= {wanted + KILLS} for {wanted} with {KILLS} kills",
            trainings <= wanted + KILLS,
        ),
        Target(
            "ablation_first_source",
            f"{percent(first)} points" if first else "not measured",
            "< 0 points, its 95% interval too",
            first is not None and first.high < 0,
        ),
        Target(
            "ablation_wrong_texts_left_out",
            f"{percent(wrong)} points" if wrong else "not measured",
            "<= 0 points within the 95% interval",
            wrong is not None and wrong.low <= 0,
        ),
    ]


def _write_section(added: Sequence[Row], left_out: Sequence[Row], sizes: Sizes) -> None:
    about = (
        "`make bench-ablation`: `al-loop ablate` on the corpus's Kyrgyz clips, dealt out to five "
        f"sources of {sizes.each}: of `synthetic` every text is that of another clip, "
        "pseudo-labels lack every fifth word, the others are right. "
        f"{sizes.retention} Russian clips are in every row; {sizes.epochs} epochs of {sizes.draws} "
        "draws each, whisper-base, one seed: intervals cover the choice of test clips, not a "
        f"training's luck. The process was killed {KILLS} times inside a training and went on. "
        "WER % and, in points, its change: of what is added to the row before, of what is left "
        "out to all of them."
    )
    sets = sorted({row.evaluation_set for row in added})
    rows: dict[str, dict[str, str]] = {}
    for row in [*added, *left_out]:
        change = f"; {percent(row.change)}" if row.change else ""
        rows.setdefault(row.title, {})[row.evaluation_set] = f"{percent(row.wer)}{change}"
    write_section(
        "What each source brings",
        about,
        ("trained on", *sets),
        [(title, *(cells[name] for name in sets)) for title, cells in rows.items()],
    )


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
