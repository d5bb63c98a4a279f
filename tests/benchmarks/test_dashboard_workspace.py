"""A small one of the workspaces that the dashboard is tried on: what is in it, and each time."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from al_loop.audio import decode
from al_loop.errors import AlLoopError
from al_loop.records import SOURCE_KINDS, TASK_KINDS
from benchmarks.dashboard_clips import Size
from benchmarks.dashboard_workspace import main, make_workspace
from storage.queries import Reader
from storage.store import Store
from storage.workspace import Workspace

SIZE = Size(4000, 5, 200)
ENDS_AT = datetime(2026, 3, 1, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dashboard") / "workspace"
    make_workspace(folder, SIZE, ENDS_AT)
    return folder


def test_it_is_a_loop_that_was_at_work_for_weeks(made: Path) -> None:
    store = Store(Workspace.open(made))
    assert store.db.table("utterances").count == SIZE.utterances
    assert store.db.table("labels").count == SIZE.labels
    assert store.db.execute("PRAGMA foreign_key_check").fetchall() == []
    with Reader(store.workspace) as reader:
        status = reader.status()
        assert (status.round, status.stage) == (SIZE.rounds, "pull")
        assert 0 < status.answered < status.tasks
        rounds = reader.rounds()
        assert [row["recorded_at"] is None for row in rounds] == [*[False] * SIZE.rounds, True]
        assert [row["round"] for row in rounds if row["promoted"] == 0] == [2, 3]
        assert [row["round"] for row in rounds if row["by_hand"]] == [3]
        assert all(reader.report(row["round"])["all"] for row in rounds[:-1])
        assert {row["kind"] for row in reader.mixture(SIZE.rounds - 1)} == set(SOURCE_KINDS)
        assert {row["language"] for row in reader.error_rates()} == {"ky", "ru"}
        trained = json.loads(reader.checkpoints()[-1]["sidecar"])
        assert len(trained["epochs"]) == 3
        assert len(trained["log"]["loss"]) == trained["steps"]
        assert len(reader.leaks(SIZE.rounds - 1, 2)) > 1
        assert [bool(row["finished_at"]) for row in reader.simulations()] == [False, True]
        made_by = {row["kind"]: row["made_by"] for row in reader.makers_of_sources()}
        assert {kind: made_by[kind] in reader.licences() for kind in made_by} == {
            "forced_alignment": True,
            "synthetic": True,
        }
        (ablation,) = reader.ablations()
        variants = {len(row["variant"]) for row in reader.ablation_results(ablation["name"])}
        assert variants == {1, 2, 3, 4, 5}
        runs = reader.pseudo_label_runs()
        assert [row["round"] for row in runs] == list(range(1, SIZE.rounds))
        kept = [row["report"]["volume"]["texts"] for row in runs]
        assert kept[-1] == sum(row["utterances"] for row in reader.makers_of_pseudo_labels()) > 0
    kinds = dict(store.db.execute("SELECT kind, count(*) FROM tasks GROUP BY kind").fetchall())
    assert kinds.keys() == set(TASK_KINDS)
    settled = Counter(row[0] for row in store.db.execute("SELECT settled FROM labels"))
    assert settled.keys() >= {"single", "agreed", "adjudicated"}
    people = store.db.execute("SELECT count(DISTINCT annotator) FROM annotations").fetchone()
    assert people == (4,)


def test_clips_are_there_and_as_long_as_it_is_said(made: Path) -> None:
    store = Store(Workspace.open(made))
    rows = store.db.execute("SELECT DISTINCT audio, duration_s FROM utterances").fetchall()
    assert len(rows) > 20
    for audio, duration_s in rows[:3]:
        samples = decode(made / audio)
        assert len(samples) / 16_000 == pytest.approx(duration_s, abs=0.01)
        assert abs(samples).max() > 0.1


def test_it_is_the_same_every_time(made: Path, tmp_path: Path) -> None:
    make_workspace(tmp_path / "again", SIZE, ENDS_AT)
    one, other = (Store(Workspace.open(folder)).db for folder in (made, tmp_path / "again"))
    for table in one.table_names():
        if not table.startswith("_sqlite"):
            rows = [
                sorted(db.execute(f"SELECT * FROM {table}").fetchall(), key=repr)
                for db in (one, other)
            ]
            assert rows[0] == rows[1], table


def test_what_does_not_fit_is_refused(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AlLoopError, match="exists already"):
        make_workspace(made, SIZE, ENDS_AT)
    for size in ((100, 5, 200), (4000, 4, 200), (4000, 5, 20)):
        with pytest.raises(AlLoopError, match="expected"):
            Size(*size)
    assert main([str(made), "--utterances", "10"]) == 2
    assert "expected" in capsys.readouterr().out
