"""Which checkpoint is in use, and which ones keep their weights."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from al_loop.errors import WorkspaceError
from al_loop.records import Checkpoint
from storage.queries import Reader
from storage.store import Store

BASE = Checkpoint("base-id", "checkpoints/base", None, {})


@pytest.fixture
def history(store: Store) -> Store:
    """Rounds 0 to 3, all recorded: those of rounds 0 and 1 were promoted, of 2 and 3 rejected."""
    put(store, BASE)
    for number, promoted in enumerate([True, True, False, False]):
        add_round(store, number, promoted)
    return store


def put(store: Store, checkpoint: Checkpoint) -> None:
    store.put_checkpoint(checkpoint)
    with store.new_checkpoint_folder(checkpoint.name) as folder:
        (folder / "model.safetensors").touch()


def add_round(store: Store, number: int, promoted: bool) -> None:
    in_use = store.current_checkpoint_id() or BASE.id
    store.start_round(number, 1, "merge", in_use)
    path = f"checkpoints/round-00{number}-{'abcdef'[number] * 12}"
    put(store, Checkpoint(f"c{number}", path, BASE.id, {}))
    store.set_candidate(number, f"c{number}")
    store.decide(number, promoted, f"decision {number}")
    with store.finishing(number, "record", None):
        pass


def folders(store: Store) -> list[str]:
    return sorted(path.name[:9] for path in store.workspace.checkpoints.iterdir())


def ledger(store: Store) -> list[tuple[str, int, str]]:
    rows = store.db.execute("SELECT checkpoint_id, round, promoted_by FROM promotions ORDER BY id")
    return rows.fetchall()


# -- in use ------------------------------------------------------------------------------------


def test_the_checkpoint_in_use_is_the_last_promoted_one(store: Store) -> None:
    assert store.current_checkpoint_id() is None
    for name in ("base", "c0", "c1", "c2"):
        store.put_checkpoint(replace(BASE, id=name))
    store.start_round(0, 1, "merge", "base")
    assert store.current_checkpoint_id() == "base"
    for number, promoted in enumerate([True, True, False]):
        if number:
            store.start_round(number, 1, "score", "base")
        store.set_candidate(number, f"c{number}")
        store.decide(number, promoted, "because")
    assert store.current_checkpoint_id() == "c1"


def test_every_promotion_is_kept_and_the_last_one_counts(history: Store) -> None:
    assert ledger(history) == [(BASE.id, 0, "start"), ("c0", 0, "gate"), ("c1", 1, "gate")]
    assert history.current_checkpoint_id() == "c1"
    history.promote("c3", "it hears names better")
    assert history.current_checkpoint_id() == history.checkpoint_in_use().id == "c3"
    assert ledger(history)[-1] == ("c3", 3, "hand")
    assert [row.id for row in history.promoted_checkpoints()] == [BASE.id, "c0", "c1", "c3"]


def test_before_the_first_round_no_checkpoint_is_in_use(store: Store) -> None:
    assert store.current_checkpoint_id() is None
    with pytest.raises(WorkspaceError, match="`al-loop round` makes the first"):
        store.checkpoint_in_use()
    with pytest.raises(WorkspaceError, match="nothing was in use before"):
        store.rollback("because")


def test_rollbacks_go_back_step_by_step(history: Store) -> None:
    assert history.rollback("too slow").id == "c0"
    assert history.rollback("still too slow").id == BASE.id
    with pytest.raises(WorkspaceError, match="nothing was in use before the present checkpoint"):
        history.rollback("once more")
    assert history.current_checkpoint_id() == BASE.id
    assert [row[2] for row in ledger(history)[3:]] == ["rollback", "rollback"]
    assert [row.id for row in history.promoted_checkpoints()] == [BASE.id]


def test_what_was_rolled_back_can_be_promoted_again_and_rolled_back(history: Store) -> None:
    history.rollback("a mistake")
    history.promote("c1", "none after all")
    assert history.rollback("one after all").id == "c0"


def test_a_rollback_after_an_older_one_was_promoted_undoes_that(history: Store) -> None:
    history.promote("c0", "try it")
    assert history.rollback("tried").id == "c1"


def test_a_promotion_by_hand_before_the_gate_has_judged_asks_for_its_error_rates(
    history: Store,
) -> None:
    history.start_round(4, 1, "promote", "c1")
    history.rollback("because")
    opened = history.open_round()
    assert opened is not None
    assert (opened.stage, opened.checkpoint_id) == ("evaluate", "c1")


def test_the_checkpoint_in_use_after_a_round_is_that_of_its_time(history: Store) -> None:
    """Rolled back while round 4 waits, whose candidate is then rejected."""
    history.start_round(4, 1, "pull", "c1")
    history.rollback("because")
    history.decide(4, False, "rejected")
    history.promote("c3", "because")
    rows = history.db.execute(
        "SELECT compared_with FROM rounds WHERE compared_with IS NOT NULL ORDER BY number"
    )
    assert [row[0] for row in rows] == [BASE.id, "c0", "c1", "c1", "c0"]
    reader = Reader(history.workspace)
    assert reader.checkpoint_in_use()["name"] == "round-003-dddddddddddd"
    by_hand = {row["round"]: row["by_hand"] for row in reader.rounds()}
    assert by_hand[3] is None
    assert by_hand[4] == "round-000-aaaaaaaaaaaa: because; round-003-dddddddddddd: because"


def test_a_candidate_that_is_in_use_already_is_not_put_in_use_twice(history: Store) -> None:
    history.start_round(4, 1, "evaluate", "c1")
    history.set_candidate(4, "c3")
    history.promote("c3", "why wait")
    history.decide(4, True, "promoted")
    assert ledger(history)[-1] == ("c3", 4, "hand")
    assert history.rollback("because").id == "c1"


# -- names -------------------------------------------------------------------------------------


def test_a_checkpoint_is_found_by_its_name_or_the_beginning_of_it(history: Store) -> None:
    assert history.find_checkpoint("base").id == BASE.id
    assert history.find_checkpoint("round-002-cccccccccccc").id == "c2"
    assert history.find_checkpoint("round-001").id == "c1"


@pytest.mark.parametrize(("name", "count"), [("round-00", 4), ("round-7", 0)])
def test_a_name_that_is_not_one_checkpoint_s_is_an_error(
    history: Store, name: str, count: int
) -> None:
    with pytest.raises(WorkspaceError, match=rf"'{name}' .* {count} checkpoints.* base, round-000"):
        history.find_checkpoint(name)


def test_the_whole_name_of_one_may_be_the_beginning_of_another(history: Store) -> None:
    put(history, replace(BASE, id="other", path="checkpoints/base-of-before"))
    assert history.find_checkpoint("base").id == BASE.id


# -- pruning -----------------------------------------------------------------------------------


def test_promoted_and_newest_checkpoints_keep_their_weights(history: Store) -> None:
    assert history.prune(newest=1, promoted=None) == ["round-002-cccccccccccc"]
    assert folders(history) == ["base", "round-000", "round-001", "round-003"]
    assert history.prune(newest=1, promoted=None) == []
    assert [row["name"] for row in Reader(history.workspace).checkpoints() if row["pruned_at"]] == [
        "round-002-cccccccccccc"
    ]


def test_of_the_promoted_ones_only_so_many_may_be_kept(history: Store) -> None:
    history.prune(newest=0, promoted=1)
    assert folders(history) == ["base", "round-001"]


def test_base_and_the_checkpoint_in_use_are_never_pruned(history: Store) -> None:
    history.promote("c2", "because")
    history.rollback("because")
    history.rollback("because")
    assert history.current_checkpoint_id() == "c0"
    for number in (4, 5):
        add_round(history, number, promoted=False)
    history.prune(newest=0, promoted=1)
    assert folders(history) == ["base", "round-000"]


def test_what_a_kill_left_of_a_pruned_checkpoint_goes_next_time(history: Store) -> None:
    history.prune(newest=1, promoted=None)
    name = "round-002-cccccccccccc"
    half_gone = history.workspace.checkpoints / f"{name}.deleted"
    half_gone.mkdir()
    put(history, Checkpoint("c2", f"checkpoints/{name}", BASE.id, {}))
    history.prune(newest=1, promoted=None)
    assert folders(history) == ["base", "round-000", "round-001", "round-003"]


def test_what_killed_trainings_left_goes_with_the_next_pruning(history: Store) -> None:
    checkpoints = history.workspace.checkpoints
    for name in ("round-004-e.unfinished", "round-004-f.training"):
        (checkpoints / name).mkdir()
        (checkpoints / name / "weights").touch()
    history.prune(newest=3, promoted=None)
    assert folders(history) == ["base", "round-000", "round-001", "round-002", "round-003"]


def test_a_pruned_checkpoint_is_put_in_use_only_from_a_backup(history: Store) -> None:
    name = "round-002-cccccccccccc"
    backup = history.workspace.root / "backup"
    shutil.copytree(history.workspace.checkpoints / name, backup)
    history.prune(newest=1, promoted=None)
    with pytest.raises(WorkspaceError, match=rf"weights of {name} are deleted; .* from a backup"):
        history.promote("c2", "because")
    assert history.current_checkpoint_id() == "c1"

    shutil.move(backup, history.workspace.checkpoints / name)
    history.promote("c2", "because")
    assert history.prune(newest=0, promoted=None) == ["round-003-dddddddddddd"]
    assert "round-002" in folders(history)
