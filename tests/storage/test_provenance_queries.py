"""The read-only questions about what models made."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from al_loop.records import Label, Source
from storage.queries import Reader
from storage.store import Store

from .rows import utterance

SCANS = [["SCAN", name] for name in ("utterances", "u", "e")]


@pytest.fixture
def reader(filled: Store) -> Iterator[Reader]:
    """Of `voice` two are spoken by one model and one by another; `book` is cut by a third."""
    for name, kind in (("voice", "synthetic"), ("book", "forced_alignment")):
        filled.put_source(Source(name, kind, "ky"))  # type: ignore[arg-type]
    filled.add(
        [
            utterance("v1", source="voice", split="train", text="бир", made_by="tts"),
            utterance("v2", source="voice", split="validation", text="эки", made_by="tts"),
            utterance("v3", source="voice", split="train", text="үч", made_by="other tts"),
            utterance("b1", source="book", split="train", text="төрт", made_by="aligner"),
            utterance("b2", source="book", split="train", text="беш"),
            utterance("p1", made_by="detector"),
        ],
        [],
    )
    filled.db.table("makers").insert({"name": "tts", "licence": "CC-BY-NC-4.0"})
    rows = [("a", "бир", 0.9), ("b", "эки", 0.4), ("c", "үч", 0.7)]
    filled.db.table("pseudo_labels").insert_all(
        {"utterance_id": name, "text": text, "confidence": sure, "made_by": "one; two"}
        for name, text, sure in rows
    )
    filled.put_labels([Label("b", "үч", None, ["1"])])
    found = Reader(filled.workspace)
    yield found
    found.close()


def test_what_made_the_clips_of_each_source(reader: Reader) -> None:
    rows = reader.makers_of_sources()
    assert [(row["source"], row["kind"], row["made_by"], row["utterances"]) for row in rows] == [
        ("book", "forced_alignment", "aligner", 1),
        ("voice", "synthetic", "other tts", 1),
        ("voice", "synthetic", "tts", 2),
    ]  # the pool's clip is not trained on as it is
    assert rows[2]["duration_s"] == 4.0
    assert reader.licences() == {"tts": "CC-BY-NC-4.0"}


def test_makers_are_found_without_a_look_at_the_pool(reader: Reader) -> None:
    asked: list[str] = []
    reader.connection.set_trace_callback(asked.append)
    reader.makers_of_sources()
    reader.examples_of_sources()
    reader.connection.set_trace_callback(None)
    for sql in asked:
        plan = [row["detail"] for row in reader.connection.execute(f"EXPLAIN QUERY PLAN {sql}")]
        assert any("utterances_by_split (split=?" in step for step in plan)
        assert not any(step.split()[:2] in SCANS for step in plan)


def test_examples_of_each_source(reader: Reader) -> None:
    rows = reader.examples_of_sources(1)
    assert [row["source"] for row in rows] == ["book", "voice"]
    assert all(row["text"] for row in rows)
    assert [row["source"] for row in reader.examples_of_sources(5)] == ["book"] * 2 + ["voice"] * 2


def test_texts_that_recognisers_agree_on(reader: Reader) -> None:
    assert reader.pseudo_label("b") == {"text": "эки", "confidence": 0.4, "made_by": "one; two"}
    assert reader.pseudo_label("v1") == {}
    assert reader.makers_of_pseudo_labels() == [{"made_by": "one; two", "utterances": 3}]


def test_the_least_sure_come_first(reader: Reader) -> None:
    rows = reader.unsure_pseudo_labels(2)
    assert [(row["utterance_id"], row["confidence"]) for row in rows] == [("b", 0.4), ("c", 0.7)]
    assert [row["label"] for row in rows] == ["үч", None]
    assert rows[0]["audio"] == "audio/b.flac"


def test_runs_whatever_their_report_is(filled: Store) -> None:
    reports = ['{"kept": 3}', "not JSON", "[1, 2]"]
    filled.db.table("pseudo_label_runs").insert_all(
        {"round": number, "report": report, "made_at": "2026-01-01T00:00:00+00:00"}
        for number, report in zip((None, 1, 1), reports, strict=True)
    )
    with Reader(filled.workspace) as reader:
        runs = reader.pseudo_label_runs()
    assert [(row["round"], row["report"]) for row in runs] == [
        (None, {"kept": 3}),
        (1, {}),
        (1, {}),
    ]


def test_what_each_source_brings(filled: Store) -> None:
    row = {"name": "one", "settings": "{}", "started_at": "2026-01-01T00:00:00+00:00"}
    filled.db.table("ablations").insert(row | {"finished_at": None})
    with Reader(filled.workspace) as reader:
        (before,) = reader.ablations()
    assert (before["name"], before["finished_at"], before["results"]) == ("one", None, 0)
    result = {"ablation": "one", "evaluation_set": "test", "language": "ky", "examples": 2}
    result |= {"audio_s": 9.5, "draws": 4, "utterance_errors": "[[1, 5], [0, 3]]"}
    filled.db.table("ablation_results").insert(result | {"variant": '["radio", "book"]'})
    with Reader(filled.workspace) as reader:
        assert [row["results"] for row in reader.ablations()] == [1]
        (found,) = reader.ablation_results("one")
        assert reader.ablation_results("another") == []
    assert found["variant"] == ["radio", "book"]
    assert found["utterance_errors"] == [[1, 5], [0, 3]]
