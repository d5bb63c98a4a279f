"""A large workspace to try the dashboard on: many rounds, as if a loop had run for weeks.

    python -m benchmarks.dashboard_workspace FOLDER [--utterances N] [--rounds N] [--labels N]

Recorded rounds, one of them rejected and one promoted by hand, and an open one that waits for
annotators. All of it is written by the store that the loop writes with, and the same in every run
but for the days, which end with `--ends-at`; nothing was recorded, and nothing is trained.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from al_loop.config import load_settings
from al_loop.errors import AlLoopError
from al_loop.records import PlannedTask, Refusal, TaskKey
from benchmarks.dashboard_clips import TESTS, Clips, Size, put_clips
from benchmarks.dashboard_dates import date_the_rest
from benchmarks.dashboard_made import put_ablation, put_made
from benchmarks.dashboard_rounds import Rounds, Story, checkpoint_of
from benchmarks.scored import SEED
from storage.store import Store
from storage.workspace import CONFIG_NAME, Workspace

SETTINGS = """\
[evaluate]
bootstrap_samples = 200

[dashboard]
hour_cost = 6.0
"""
WORKSPACE_ID = "0" * 32
STRATEGIES = {"random": 0.0, "word_surprisal": 0.25, "predicted_wer": 0.4}
"""How much faster than at random each finds what is worth a label."""
SEEDS, STEPS, TEST_CLIPS = 3, 6, 120
DRAWN = "talk_ky"
DRAWN_CLIPS = 40
REFUSALS = (
    ("too_long", "more than 30 s; cut it at pauses, then ingest the parts"),
    ("silent", "its peak is 2.1e-04 of full scale"),
    ("corrupt", "cannot be decoded: Invalid data found when processing input"),
    ("duplicate", "the same audio as calls/000017.wav"),
)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.dashboard_workspace")
    parser.add_argument("folder", type=Path)
    size = Size()
    parser.add_argument("--utterances", type=int, default=size.utterances, metavar="N")
    parser.add_argument("--rounds", type=int, default=size.rounds, metavar="N")
    parser.add_argument("--labels", type=int, default=size.labels, metavar="N")
    parser.add_argument(
        "--ends-at",
        type=datetime.fromisoformat,
        default=datetime.now(UTC).replace(minute=0, second=0, microsecond=0),
        metavar="TIME",
        help="when it is looked at, in UTC; default: this hour",
    )
    wanted = parser.parse_args(arguments)
    try:
        size = Size(wanted.utterances, wanted.rounds, wanted.labels)
        make_workspace(wanted.folder, size, wanted.ends_at)
    except AlLoopError as exc:
        print(exc)
        return 2
    return 0


def make_workspace(folder: Path, size: Size, ends_at: datetime) -> None:
    """The workspace at `folder`, which must not exist. Raises AlLoopError for a size too small."""
    ends_at = ends_at if ends_at.tzinfo else ends_at.replace(tzinfo=UTC)
    if ends_at > datetime.now(UTC):
        raise AlLoopError(f"got {ends_at:%Y-%m-%d %H:%M} UTC as the present, which is to come")
    try:
        folder.mkdir(parents=True)
    except FileExistsError as exc:
        raise AlLoopError(f"{folder} exists already; name another folder, or delete it") from exc
    (folder / CONFIG_NAME).write_text(SETTINGS, encoding="utf-8")
    workspace = Workspace.open(folder)
    settings = load_settings(workspace.config)
    store = Store(workspace)
    store.db.execute("PRAGMA cache_size = -1000000")
    store.db.execute("PRAGMA foreign_keys = OFF")  # hypotheses come before their checkpoint
    last = size.rounds - 1
    with store.transaction():  # one, or nearly every page would be written with every block
        clips = put_clips(
            store,
            size,
            settings.embedding.encoder,
            checkpoint_of(last),
            Story(size).level(last, "ky"),
        )
        rounds = Rounds(store, settings, clips, size, ends_at)
        rounds.record_all()
        _draw_evaluation_set(store)
        _refuse(store)
        _simulate(store, clips)
        put_made(store, rounds, checkpoint_of(last))
        put_ablation(store, clips, ends_at)
        date_the_rest(store, rounds.opened_at(0), ends_at)
        store.db.execute("UPDATE workspace SET id = ?", [WORKSPACE_ID])
    store.close()


def _draw_evaluation_set(store: Store) -> None:
    """A set of the pool's own audio, which annotators have not answered yet."""
    rows = store.db.execute(
        "SELECT id FROM utterances WHERE split = 'pool' AND id NOT IN "
        "(SELECT utterance_id FROM query_batches) ORDER BY id LIMIT ?",
        [DRAWN_CLIPS],
    ).fetchall()
    names = [row[0] for row in rows]
    planned = [
        PlannedTask(TaskKey(name, 0, 0), "evaluation", rank, "for an evaluation set", "")
        for rank, name in enumerate(names)
    ]
    groups = {name: name for name in names}
    store.put_draw(DRAWN, groups, (), planned, "clip", "ky")


def _refuse(store: Store) -> None:
    store.add(
        [],
        [
            Refusal(f"calls/broken {number:02d}.wav", reason, detail)
            for number in range(3)
            for reason, detail in REFUSALS
        ],
    )


def _simulate(store: Store, clips: Clips) -> None:
    """Two simulations: a finished one, and one that was broken off."""
    tested = [clip for clip in clips.tested if clip.utterance.source == TESTS[0].name]
    tested = sorted(tested, key=lambda clip: clip.id)[:TEST_CLIPS]
    words = [len(clip.truth.split()) for clip in tested]
    for name, seeds, is_finished in (
        ("radio, 6 rounds", SEEDS, True),
        ("calls, 6 rounds", 2, False),
    ):
        store.start_simulation(
            name, {"seed": SEED, "rounds": STEPS, "budget_s": 600.0, "start_s": 900.0}
        )
        for strategy, faster in STRATEGIES.items():
            for seed in range(seeds):
                rng = np.random.default_rng([SEED, seed, len(strategy), is_finished])
                for number in range(STEPS + 1):
                    level = 0.2 + 0.4 * (1 + number * (1 + faster)) ** -0.6
                    errors = [
                        int(rng.binomial(count, min(level * (0.4 + 2 * clip.difficulty), 1)))
                        for clip, count in zip(tested, words, strict=True)
                    ]
                    spearman = None if strategy == "random" else 0.3 + faster
                    store.put_simulation_point(
                        name,
                        {
                            "strategy": strategy,
                            "seed": seed,
                            "round": number,
                            "labelled_s": 570.0 * number,
                            "annotator_s": 1500.0 * number,
                            "chosen_s": 600.0 * number,
                            "junk_s": 30.0 * number,
                            "tasks": 100 * number,
                            "junk_tasks": 5 * number,
                            "wer": sum(errors) / sum(words),
                            "words": sum(words),
                            "errors": sum(errors),
                            "utterance_errors": json.dumps(list(zip(errors, words, strict=True))),
                            "spearman": spearman,
                            "spearman_low": spearman and spearman - 0.08,
                            "spearman_high": spearman and spearman + 0.08,
                        },
                    )
        if is_finished:
            store.finish_simulation(name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
