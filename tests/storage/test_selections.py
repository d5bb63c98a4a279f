"""What was chosen, what the gates hold back, and what was released."""

from __future__ import annotations

import json
import math
import sqlite3
from dataclasses import replace

import pytest

from al_loop.errors import WorkspaceError
from al_loop.records import Choice, Gated, Selection
from storage.store import Store

from .rows import selection, utterance


def gated(store: Store) -> list[tuple[object, ...]]:
    return store.db.execute("SELECT * FROM gated ORDER BY utterance_id").fetchall()


def open_round_2(store: Store) -> None:
    with store.finishing(1, "record", None):
        pass
    store.start_round(2, 99, "select", "base")


def test_a_selection_is_kept_whole(filled: Store) -> None:
    facts = {"acquisition": "random", "limits": {"loudness": -45.0}, "spearman": math.nan}
    chosen = [Choice("b", 0, 1.5, "control"), Choice("a", 1, -2.0, "explored")]
    held_back = [Gated("c", "loudness", -60.5, -45.0), Gated("a", "speech", math.nan, 0.15)]
    filled.put_selection(1, Selection(chosen, held_back, facts))
    rows = filled.db.execute(
        "SELECT utterance_id, round, rank, acquisition_score, arm FROM query_batches ORDER BY rank"
    )
    assert rows.fetchall() == [("b", 1, 0, 1.5, "control"), ("a", 1, 1, -2.0, "explored")]
    assert gated(filled) == [
        ("a", 1, "speech", None, 0.15),
        ("c", 1, "loudness", -60.5, -45.0),
    ]
    ((number, text),) = filled.db.execute("SELECT round, facts FROM selections")
    assert (number, json.loads(text)) == (1, facts | {"spearman": None})


def test_an_utterance_is_in_one_batch_only_and_a_failed_selection_leaves_nothing(
    filled: Store,
) -> None:
    filled.put_selection(1, selection("a"))
    open_round_2(filled)
    again = replace(selection("b", "a"), gated=[Gated("c", "speech", 0.0, 0.15)])
    with pytest.raises(sqlite3.IntegrityError):
        filled.put_selection(2, again)
    assert filled.answered(1) == (0, 1)
    assert filled.answered(2) == (0, 0)
    assert gated(filled) == []
    assert filled.db.table("selections").count == 1


def test_the_newest_reason_is_kept_and_an_old_one_goes(filled: Store) -> None:
    first = [Gated(name, "speech", 0.0, 0.15) for name in "abc"]
    filled.put_selection(1, replace(selection("b", arm="explored"), gated=first))
    open_round_2(filled)
    filled.put_selection(2, Selection([], [Gated("c", "loudness", -50.0, -40.0)], {}))
    assert gated(filled) == [
        ("b", 1, "speech", 0.0, 0.15),  # in a batch: its answer tells whether that was right
        ("c", 2, "loudness", -50.0, -40.0),
    ]


def test_a_reason_goes_when_its_clip_is_chosen_as_if_there_were_none(filled: Store) -> None:
    first = [Gated(name, "speech", 0.0, 0.15) for name in "ab"]
    filled.put_selection(1, Selection([], first, {}))
    open_round_2(filled)
    filled.put_selection(2, selection("a"))
    assert gated(filled) == []


def test_a_selection_without_a_batch_is_replaced_by_the_next_one_of_its_round(
    filled: Store,
) -> None:
    held = [Gated(name, "speech", 0.0, 0.15) for name in "ab"]
    for _ in range(2):
        filled.put_selection(1, Selection([], held, {"pool": 2}))
    assert filled.arms(1) == set()
    chosen = replace(selection("c", "a"), gated=held[1:], facts={"pool": 3})
    filled.put_selection(1, chosen)
    assert gated(filled) == [("b", 1, "speech", 0.0, 0.15)]
    assert filled.db.execute("SELECT facts FROM selections").fetchall() == [('{"pool": 3}',)]
    assert filled.arms(1) == {"acquired"}


def test_what_tops_up_a_batch_lies_behind_it_and_leaves_the_rest_as_it_is(filled: Store) -> None:
    filled.add([utterance("d"), utterance("e")], [])
    held_back = [Gated(name, "speech", 0.0, 0.15) for name in "de"]
    filled.put_selection(1, replace(selection("b", "a"), gated=held_back, facts={"pool": 5}))
    assert not filled.is_topped_up(1)
    more = [Choice("c", 3, 1.5, "control"), Choice("e", 7, 0.0, "explored")]
    late = [Gated(name, "quiet", -70.0, -45.0) for name in "de"]
    filled.top_up(1, Selection(more, late, {"pool": 3}))
    assert filled.is_topped_up(1)
    assert not filled.is_topped_up(2)
    rows = filled.db.execute("SELECT utterance_id, rank, arm, top_up FROM query_batches ORDER BY 2")
    assert rows.fetchall() == [
        ("b", 0, "acquired", 0),
        ("a", 1, "acquired", 0),
        ("c", 2, "control", 1),
        ("e", 3, "explored", 1),
    ]
    assert gated(filled) == [("d", 1, "speech", 0.0, 0.15), ("e", 1, "quiet", -70.0, -45.0)]
    assert filled.db.execute("SELECT facts FROM selections").fetchall() == [('{"pool": 5}',)]
    assert filled.answered(1) == (0, 2)
    assert filled.arms(1) == {"acquired"}
    counts = filled.db.execute("SELECT gate, utterances FROM gate_counts").fetchall()
    assert counts == [("speech", 1)]


def test_a_clip_is_released_by_the_beginning_of_its_id(filled: Store) -> None:
    filled.add([utterance("aa"), utterance("ab1"), utterance("ab2")], [])
    assert filled.released() == set()
    assert filled.release("ab1", "it is music, but somebody sings") == "ab1"
    assert filled.release("aa", "clear speech") == "aa"
    assert filled.release("a", "a whole id that others begin with") == "a"
    assert filled.release("b", "once") == filled.release("b", "twice") == "b"
    assert filled.released() == {"a", "aa", "ab1", "b"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("zz", "'zz' is the id, or the beginning of the id, of none; expected one"),
        ("ab", "of several: ab1, ab2, …"),
        ("", "expected one utterance, by its id"),
    ],
)
def test_a_name_that_fits_none_or_several_releases_nothing(
    filled: Store, name: str, message: str
) -> None:
    filled.add([utterance("ab1"), utterance("ab2")], [])
    with pytest.raises(WorkspaceError, match=message):
        filled.release(name, "because")
    assert filled.released() == set()
