"""What utterances sound like, and the files in which their embeddings lie."""

from __future__ import annotations

import math
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from al_loop.errors import WorkspaceError
from al_loop.records import Label, Profile
from storage import profiles
from storage.store import Store

from .rows import ids, profile, selection, utterance


def embedding_file(store: Store) -> Path:
    (found,) = store.workspace.embeddings.iterdir()
    return found


def plain(row: Profile) -> Profile:
    """To compare: the embedding as a list."""
    return replace(row, embedding=row.embedding.tolist())


def test_a_profile_comes_back_as_it_was(filled: Store) -> None:
    filled.add_profiles("whisper", [profile("a", 1.5, -0.25), profile("b", 3.0, 4.0)])
    found = filled.profiles("whisper", ["b", "c"])
    assert list(found) == ["b"]
    assert plain(found["b"]) == plain(profile("b", 3.0, 4.0))
    assert found["b"].embedding.dtype == np.float32
    assert filled.profiles("another", ["a", "b"]) == {}


def test_a_statistic_that_is_no_number_stays_none(filled: Store) -> None:
    broken = profile("a", loudness_dbfs=-math.inf, speech_share=math.nan)
    filled.add_profiles("whisper", [broken])
    found = filled.profiles("whisper", ["a"])["a"]
    assert found.loudness_dbfs == -math.inf
    assert math.isnan(found.speech_share)


def test_each_encoder_profiles_the_pool_and_the_train_split_once(filled: Store) -> None:
    filled.add([utterance(name, split=name) for name in ("train", "test", "validation")], [])
    filled.put_selection(1, selection("b"))
    assert ids(filled.unprofiled("whisper")) == "abctrain"
    filled.add_profiles("whisper", [profile(name) for name in ("a", "b", "train")])
    assert ids(filled.unprofiled("whisper")) == "c"
    assert ids(filled.unprofiled("hubert")) == "abctrain"


def test_embeddings_are_rows_of_one_file_an_encoder(filled: Store) -> None:
    assert filled.embeddings("whisper").shape == (0, 0)
    filled.add_profiles("whisper", [profile("a", 1.0, 2.0)])
    filled.add_profiles("hubert/base ls960", [profile("a", 7.0, 8.0, 9.0)])
    filled.add_profiles("whisper", [profile("c", 3.0, 4.0), profile("b", 5.0, 6.0)])
    embeddings = filled.embeddings("whisper")
    assert isinstance(embeddings, np.memmap)
    assert (embeddings.dtype, embeddings.tolist()) == ("<f2", [[1, 2], [3, 4], [5, 6]])
    assert filled.embeddings("hubert/base ls960").tolist() == [[7, 8, 9]]
    names = sorted(path.name for path in filled.workspace.embeddings.iterdir())
    assert [name.rpartition("-")[0] for name in names] == ["hubert-base-ls960", "whisper"]


def test_a_profile_measured_again_takes_the_place_of_the_old_one(filled: Store) -> None:
    filled.add_profiles("whisper", [profile("a", 1.0, 2.0), profile("b", 3.0, 4.0)])
    filled.add_profiles("whisper", [profile("a", 5.0, 6.0)])
    found = filled.profiles("whisper", ["a", "b"])
    assert {name: row.embedding.tolist() for name, row in found.items()} == {
        "a": [5, 6],
        "b": [3, 4],
    }


def test_what_was_not_committed_is_overwritten(filled: Store) -> None:
    filled.add_profiles("whisper", [profile("a", 1.0, 2.0)])
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        filled.add_profiles("whisper", [profile("b", 8.0, 8.0), profile("stranger", 9.0, 9.0)])
    embedding_file(filled).write_bytes(bytes(3 * 4))  # as one that was killed on its way leaves it
    filled.add_profiles("whisper", [profile("b", 3.0, 4.0)])
    assert filled.embeddings("whisper").tolist() == [[1, 2], [3, 4]]


def test_a_first_block_that_was_not_committed_is_overwritten_too(filled: Store) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        filled.add_profiles("whisper", [profile("stranger", 9.0, 9.0, 9.0)])
    filled.add_profiles("whisper", [profile("a", 1.0, 2.0)])
    assert filled.embeddings("whisper").tolist() == [[1, 2]]


def test_a_file_that_lacks_rows_is_named_and_can_be_measured_again(filled: Store) -> None:
    filled.add_profiles("my 'own'", [profile("a", 1.0, 2.0), profile("b", 3.0, 4.0)])
    path = embedding_file(filled)
    assert len(filled.embeddings("my 'own'")) == 2
    path.write_bytes(path.read_bytes()[:6])
    for ask in (
        lambda: filled.embeddings("my 'own'"),
        lambda: filled.profiles("my 'own'", ["a"]),
        lambda: filled.scored_pool("base", "my 'own'"),
        lambda: filled.add_profiles("my 'own'", [profile("c", 5.0, 6.0)]),
    ):
        with pytest.raises(WorkspaceError, match=r"6 bytes.*counts on 8.*sqlite-utils") as caught:
            ask()
    assert str(path) in str(caught.value)
    (sql,) = str(caught.value).split('"')[1::2]
    with filled.transaction():
        filled.db.execute(sql)
    assert ids(filled.unprofiled("my 'own'")) == "abc"
    filled.add_profiles("my 'own'", [profile("a", 1.0, 2.0, 3.0)])
    assert filled.embeddings("my 'own'").tolist() == [[1, 2, 3]]


def test_embeddings_move_to_the_file_many_at_a_time(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiles, "TAIL_ROWS", 3)
    sizes = []
    for number, name in enumerate("abcab"):
        filled.add_profiles("whisper", [profile(name, number, -number)])
        sizes.append(embedding_file(filled).stat().st_size)
    assert sizes == [0, 0, 12, 12, 12]
    assert filled.embeddings("whisper").tolist() == [[number, -number] for number in range(5)]
    assert embedding_file(filled).stat().st_size == 20


KILLED = """
import os, signal, sys
from pathlib import Path
from storage import profiles
from storage.store import Store
from storage.workspace import Workspace
from tests.storage.rows import profile

kill = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
store = Store(Workspace.open(Path(sys.argv[1])))
store.add_profiles("whisper", [profile("a", 1.0, 2.0)])
store.embeddings("whisper")
store.add_profiles("whisper", [profile("b", 3.0, 4.0)])
store.add_profiles("whisper", [profile("c", 5.0, 6.0)])
if sys.argv[2] == "before they are in the file":
    kill()
if sys.argv[2] == "before they are on the disk":
    os.fsync = kill
store.db.conn.set_trace_callback(lambda sql: sql.startswith("COMMIT") and kill())
store.embeddings("whisper")
"""


@pytest.mark.parametrize(
    "step",
    ["before they are in the file", "before they are on the disk", "before it is committed"],
)
def test_killed_on_the_way_to_the_file_no_embedding_is_lost(filled: Store, step: str) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", KILLED, str(filled.workspace.root), step]
    done = subprocess.run(command, check=False, cwd=root)
    assert done.returncode == -signal.SIGKILL
    assert filled.db.table("embedding_tail").count == 2
    filled.add_profiles("whisper", [profile("a", 7.0, 8.0)])
    assert filled.embeddings("whisper").tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]
    assert filled.db.table("embedding_tail").count == 0


def test_a_deleted_file_is_named(filled: Store) -> None:
    filled.add_profiles("whisper", [profile("a")])
    assert len(filled.embeddings("whisper")) == 1
    embedding_file(filled).unlink()
    with pytest.raises(WorkspaceError, match="0 bytes"):
        filled.known_embeddings("whisper")


@pytest.mark.parametrize(
    ("embedding", "message"),
    [
        ([1.0, 2.0, 3.0], r"shape \(3,\), expected"),
        ([[1.0, 2.0]], r"shape \(1, 2\), expected"),
    ],
)
def test_an_embedding_that_is_of_no_use_is_named(
    filled: Store, embedding: list[float], message: str
) -> None:
    broken = replace(profile("b"), embedding=np.array(embedding, np.float32))
    with pytest.raises(WorkspaceError, match=message):
        filled.add_profiles("whisper", [profile("a"), broken])
    assert filled.profiles("whisper", ["a"]) == {}


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("names", ["bac", "abc"])
def test_an_embedding_that_is_not_finite_is_left_out(
    filled: Store, value: float, names: str
) -> None:
    rows = {"a": profile("a", 1.0, 2.0), "b": profile("b", value, 1.0), "c": profile("c", 3.0, 4.0)}
    assert filled.add_profiles("whisper", [rows[name] for name in names]) == ["b"]
    assert filled.embeddings("whisper").tolist() == [[1, 2], [3, 4]]
    found = filled.profiles("whisper", "abc")
    assert found["b"].loudness_dbfs == rows["b"].loudness_dbfs
    assert np.isnan(found["b"].embedding).all()
    assert found["c"].embedding.tolist() == [3, 4]
    assert filled.scored_pool("base", "whisper").embedding_rows.tolist() == [0, -1, 1]
    filled.put_labels([Label(name, "бир", None, [name]) for name in "abc"])
    assert filled.known_embeddings("whisper").tolist() == [[1, 2], [3, 4]]
    assert ids(filled.unprofiled("whisper")) == ""


def test_a_first_block_without_any_embedding_leaves_room_for_the_next(filled: Store) -> None:
    for name in "ab":
        assert filled.add_profiles("whisper", [profile(name, math.nan, 1.0)]) == [name]
    assert filled.known_embeddings("whisper").shape == (0, 2)
    assert np.isnan(filled.profiles("whisper", "a")["a"].embedding).all()
    assert filled.add_profiles("whisper", [profile("c", 3.0, 4.0)]) == []
    assert filled.embeddings("whisper").tolist() == [[3, 4]]
    assert filled.scored_pool("base", "whisper").embedding_rows.tolist() == [-1, -1, 0]


def test_another_model_under_the_same_name_is_refused(filled: Store) -> None:
    filled.add_profiles("whisper", [profile("a", 1.0, 2.0)])
    with pytest.raises(WorkspaceError, match="have 3 values, but those measured earlier have 2"):
        filled.add_profiles("whisper", [profile("b", 1.0, 2.0, 3.0)])


def test_values_beyond_float16_become_its_largest(filled: Store) -> None:
    filled.add_profiles("whisper", [profile("a", 1e6, -1e6)])
    assert filled.embeddings("whisper").tolist() == [[65504, -65504]]


def test_known_is_what_is_labelled_asked_about_or_trained_on(filled: Store) -> None:
    assert filled.known_embeddings("whisper").shape == (0, 0)
    filled.add([utterance("train", split="train"), utterance("test", split="test")], [])
    names = ["train", "test", *"cba"]
    filled.add_profiles("whisper", [profile(name, place, 0.0) for place, name in enumerate(names)])
    assert filled.known_embeddings("whisper").tolist() == [[0, 0]]
    filled.put_selection(1, selection("b"))
    filled.put_labels([Label("b", "бир", None, ["1"]), Label("a", None, "bad_audio", ["2"])])
    known = filled.known_embeddings("whisper")
    assert (known.dtype, known.tolist()) == (np.float32, [[4, 0], [3, 0], [0, 0]])
