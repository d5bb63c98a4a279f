"""The demo: the real commands on a corpus made here, with a simulated human at Label Studio.

Every step is the command that a user would type; only who types the answers is simulated.
Knows no more of the loop than its commands and its read-only queries.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from al_loop.demo.annotator import Api, DemoAnnotator
from al_loop.demo.corpus import build_corpus, read_answers
from al_loop.errors import AlLoopError, WorkspaceError
from al_loop.metrics import Interval, count_errors, paired_difference
from al_loop.report import percent, with_interval

if TYPE_CHECKING:
    from storage.queries import Reader

SEED = 7
TARGET = "ky"
BOOTSTRAP_SAMPLES = 2000
MOST_WINDOW_CHANGE = 1.0
"""Points of WER by which 30 s windows should differ from a clip's own; docs/lab-notes.md has what
they do."""
PATIENCE = 3
"""Calls of `round` in a row that may wait before the demo gives up."""

RUSSIAN_WEIGHT = 1.5
"""Kyrgyz grows in every round; this keeps Russian above a quarter of the draws."""
TABLES = (
    ("test.tsv", "test", "demo", 1.0),
    ("train_ky.tsv", "train", "demo", 1.0),
    ("train_ru.tsv", "train", "demo", RUSSIAN_WEIGHT),
    ("pool.tsv", "pool", "demo_pool", 1.0),
)

CONFIG = """\
# A small workspace that runs in minutes on two cores. `al-loop init` shows every setting.
seed = 7

[select]
budget_s = 110.0
control_share = 0.15

[label_studio]
project = "al_loop demo"
close_share = 0.9
# nobody is kept waiting: the simulated annotator answers between two calls
low_water = 0

[mixture]
in_house_weight = 1.5

[train]
epochs = 4
batch_size = 4
accumulation = 2
learning_rate = 5e-5
"""


def run_demo(
    folder: Path,
    rounds: int,
    connect: Callable[[], tuple[Api, int]],
    read: Callable[[], Reader],
    say: Callable[[str], None],
) -> int:
    """Run until `rounds` rounds with annotators are recorded; 0 when WER behaved, 1 when not.

    connect: a session with Label Studio, and the workspace's project there. read: the queries of
    the workspace in `folder`. Called again on a demo that was interrupted, it goes on from there.
    Raises WorkspaceError when the folder holds a workspace that is not the demo's.
    """
    command = _Commands(folder)
    corpus = folder / "corpus"
    _write_config(folder / "al_loop.toml")
    if not corpus.exists():
        say("speaking the corpus: Kyrgyz and Russian, many voices")
        build_corpus(corpus, SEED, lambda done, total: None)
    for table, split, source, weight in TABLES:
        # it stands for people who were recorded: what is called synthetic is never measured on
        command("ingest", str(corpus / table), "--source", source, "--kind", "open_source",
                "--split", split, "--weight", str(weight))  # fmt: skip
    command("labelstudio", "up")
    answers = read_answers(corpus)
    waited = 0
    while (recorded := _recorded(read())) <= rounds:
        command("round", "--verbose")
        if _recorded(read()) > recorded:
            waited = 0
            continue
        waited += 1
        if waited > PATIENCE:
            why = read().status().error or "nobody knows why"
            raise AlLoopError(f"the demo's round does not go on: {why}")
        api, project_id = connect()
        annotator = DemoAnnotator(api, project_id, answers, SEED)
        answered = annotator.answer_some(0.5 if waited == 1 else 1.0)
        say(f"the annotator answers {answered} tasks in Label Studio")
    say("\nlistening once more in 30 s windows, as others feed Whisper")
    padded = json.loads(command.answer("evaluate", "--full-windows", "--json"))
    code = _conclude(read(), padded, say)
    say(f"\nLabel Studio: {connect()[0].base_url}")
    say("dashboard:    http://127.0.0.1:8501 once `make ui` runs")
    return code


class _Commands:
    """Runs `al-loop` commands on one workspace as a user or cron would."""

    def __init__(self, folder: Path) -> None:
        self.prefix = [sys.executable, "-m", "al_loop", "--workspace", str(folder)]

    def __call__(self, *arguments: str) -> None:
        self._run(arguments, None)

    def answer(self, *arguments: str) -> str:
        """What the command prints."""
        return self._run(arguments, subprocess.PIPE).stdout.decode()

    def _run(
        self, arguments: Sequence[str], stdout: int | None
    ) -> subprocess.CompletedProcess[bytes]:
        command = [*self.prefix, *arguments]
        process = subprocess.run(command, env=os.environ.copy(), check=False, stdout=stdout)
        if process.returncode != 0:
            raise AlLoopError(f"`al-loop {' '.join(arguments)}` failed; its message is above")
        return process


def _write_config(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.read_text(encoding="utf-8") != CONFIG:
        raise WorkspaceError(
            f"{path.parent} holds a workspace that is not the demo's; name another folder"
        )
    path.write_text(CONFIG, encoding="utf-8")


def _recorded(reader: Reader) -> int:
    """How many rounds are recorded, round 0 included."""
    return sum(row["stage"] is None for row in reader.rounds())


def _conclude(reader: Reader, padded: Sequence[dict[str, Any]], say: Callable[[str], None]) -> int:
    """Print what the labels brought; 0 when it is what the demo promises.

    padded: the last checkpoint's evaluations in 30 s windows.
    """
    rates = reader.error_rates()
    sets = sorted({row["evaluation_set"] for row in rates})
    rounds = sorted({row["round"] for row in rates})
    cells = {(row["round"], row["evaluation_set"]): with_interval(row) for row in rates}
    before = ", ".join(
        f"{row['evaluation_set']} {with_interval(row, 'before')}"
        for row in reader.before_and_after(0)
    )
    minutes = sum(row["labelled_min"] for row in reader.rounds())
    complaints = _complaints(reader.transcripts(), rounds)
    final = {row["evaluation_set"]: row for row in rates if row["round"] == rounds[-1]}
    say(f"\nbefore any training: {before}")
    say(f"labelled in Label Studio: {minutes:.1f} minutes of audio")
    say("\nWER in % after each round, with its 95% interval; round 0 knows the seed data alone")
    say(f"{'round':7}" + "".join(f"{name:24}" for name in sets))
    for number in rounds:
        say(f"{number:<7}" + "".join(f"{cells[number, name]:24}" for name in sets))
    for row in padded:
        change = 100 * (row["wer"] - final[row["evaluation_set"]]["wer"])
        verdict = "within" if abs(change) <= MOST_WINDOW_CHANGE else "MORE THAN"
        say(
            f"{row['evaluation_set']} in 30 s windows: {with_interval(row)}, {change:+.1f} points, "
            f"{verdict} the {MOST_WINDOW_CHANGE:g} it should be"
        )
    for complaint in complaints:
        say(f"NOT as it should be: {complaint}")
    if not complaints:
        say("Kyrgyz is heard better than before the labels, and nothing else got worse.")
    return 1 if complaints else 0


def _complaints(transcripts: Sequence[dict[str, Any]], rounds: Sequence[int]) -> list[str]:
    """What the demo promises and did not keep, each with its paired interval."""
    complaints = []
    sets = {row["evaluation_set"]: row["language"] for row in transcripts}
    for name, language in sets.items():
        own = [row for row in transcripts if row["evaluation_set"] == name]
        for earlier, later in pairwise(rounds):
            rise = _change(own, earlier, later)
            if rise.low > 0:
                complaints.append(f"{name} rose in round {later}: {_points(rise)}")
        overall = _change(own, rounds[0], rounds[-1])
        if language == TARGET and overall.high >= 0:
            complaints.append(f"{name} fell too little since round 0: {_points(overall)}")
        elif overall.low > 0:
            complaints.append(f"{name} rose since round 0: {_points(overall)}")
    return complaints


def _change(transcripts: Sequence[dict[str, Any]], earlier: int, later: int) -> Interval:
    """The paired difference in WER between two rounds on one evaluation set."""
    before, after = (
        [
            count_errors(row["reference"], row["hypothesis"], row["language"])
            for row in transcripts
            if row["round"] == number
        ]
        for number in (earlier, later)
    )
    return paired_difference(before, after, np.random.default_rng(SEED), BOOTSTRAP_SAMPLES)


def _points(change: Interval) -> str:
    low, high = percent(change.low), percent(change.high)
    return f"{percent(change.value)} points ({low} to {high})"
