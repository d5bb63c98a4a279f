"""The read-only questions about acquisition."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from al_loop.records import Choice, Gated, Label, Selection
from storage.queries import Reader
from storage.store import Store

from .rows import hypothesis, utterance


@pytest.fixture
def reader(filled: Store) -> Iterator[Reader]:
    """Round 1 asked about `a` (labelled), and about `b` in spite of its gate; three are held back.

    Of those only `d` was decoded.
    """
    filled.add([utterance("d", duration_s=5.0), utterance("e", duration_s=7.0)], [])
    filled.add_hypotheses("base", [hypothesis("a", "бир"), hypothesis("d", "эки эки")])
    choices = [Choice("a", 0, 1.5, "acquired"), Choice("b", 1, 0.0, "explored")]
    gated = [
        Gated("b", "loudness", -60.0, -45.0),
        Gated("c", "loudness", -50.0, -45.0),
        Gated("d", "repetition", 3.0, 2.4),
        Gated("e", "loudness", -70.0, -45.0),
    ]
    filled.put_selection(1, Selection(choices, gated, {"acquisition": "random"}))
    filled.put_labels([Label("a", "үч", None, ["1"])])
    filled.release("d", "a chorus")
    filled.put_report(1, {"advice": "go on"})
    found = Reader(filled.workspace)
    yield found
    found.close()


def test_how_batches_were_chosen(reader: Reader) -> None:
    assert reader.selections() == [{"round": 1, "facts": {"acquisition": "random"}}]
    assert reader.selection(1) == {"acquisition": "random"}
    assert reader.selection(2) == {}


def test_what_rounds_report(reader: Reader) -> None:
    (row,) = reader.reports()
    assert (row["round"], row["report"]) == (1, {"advice": "go on"})
    assert row["made_at"].endswith("+00:00")
    assert reader.report(1) == {"advice": "go on"}
    assert reader.report(2) == {}


def test_a_batch_with_what_was_shown_and_what_came_back(reader: Reader) -> None:
    names = ("rank", "utterance_id", "arm", "acquisition_score", "hypothesis", "label", "gate")
    assert [tuple(row[name] for name in names) for row in reader.batch(1)] == [
        (0, "a", "acquired", 1.5, "бир", "үч", None),
        (1, "b", "explored", 0.0, None, None, "loudness"),
    ]
    assert {row["verdict"] for row in reader.batch(1)} == {None}
    assert reader.batch(2) == []


def test_how_much_each_gate_holds_back(reader: Reader) -> None:
    assert reader.gate_counts() == [
        {"gate": "loudness", "utterances": 2, "duration_s": 9.0},
        {"gate": "repetition", "utterances": 1, "duration_s": 5.0},
    ]


def test_what_gates_hold_back_is_counted_for_the_newest_selection(filled: Store) -> None:
    def counts() -> list[tuple[str, int, float]]:
        rows = Reader(filled.workspace).gate_counts()
        return [(row["gate"], row["utterances"], row["duration_s"]) for row in rows]

    assert counts() == []
    held = [Gated(name, "loudness", -50.0, -45.0) for name in "ab"]
    for _ in range(2):  # a batch that stayed empty is chosen again
        filled.put_selection(1, Selection([], held, {}))
        assert counts() == [("loudness", 2, 4.0)]
    with filled.finishing(1, "select", None):
        pass
    filled.start_round(2, 1, "select", "base")
    explored = [Choice("a", 0, 0.0, "explored")]
    filled.put_selection(2, Selection(explored, [*held, Gated("c", "speech", 0.0, 0.1)], {}))
    assert counts() == [("loudness", 1, 2.0), ("speech", 1, 2.0)]
    with filled.finishing(2, "select", None):
        pass
    filled.start_round(3, 1, "select", "base")
    filled.put_selection(3, Selection([], [], {}))
    assert counts() == []


def test_what_is_held_back_and_why(reader: Reader) -> None:
    rows = reader.gated()
    assert [row["utterance_id"] for row in rows] == ["c", "d", "e"]
    assert rows[1] == {
        "utterance_id": "d",
        "source": "radio",
        "duration_s": 5.0,
        "audio": "audio/d.flac",
        "round": 1,
        "gate": "repetition",
        "value": 3.0,
        "limit": 2.4,
        "hypothesis": "эки эки",
        "released": 1,
    }
    assert (rows[0]["hypothesis"], rows[0]["released"]) == (None, 0)


def test_some_of_what_one_gate_holds_back(reader: Reader) -> None:
    assert [row["utterance_id"] for row in reader.gated(gate="loudness")] == ["c", "e"]
    assert [row["utterance_id"] for row in reader.gated(limit=1, gate="loudness")] == ["c"]
    assert [row["utterance_id"] for row in reader.gated(2)] == ["c", "d"]
    assert reader.gated(gate="unknown") == []
