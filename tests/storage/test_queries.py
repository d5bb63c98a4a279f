"""The read-only questions, against rows whose answers can be counted by hand."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from al_loop.errors import WorkspaceError
from al_loop.records import (
    Annotation,
    Checkpoint,
    Choice,
    Evaluation,
    Hypothesis,
    Label,
    Leak,
    Manifest,
    MixtureRow,
    Place,
    PlannedTask,
    Pulled,
    PulledTask,
    Refusal,
    Selection,
    SilenceEvaluation,
    Source,
    Split,
    TaskKey,
    Utterance,
    Verdict,
)
from storage.queries import POOL, Reader, Status
from storage.store import Store
from storage.workspace import Workspace

SILENCE = SilenceEvaluation(24, 6)
TIME = "2026-01-01T00:00:00.000000Z"
MIXTURE = [
    MixtureRow("books", "open_source", "ky", 1.0, 1, 60.0, 0.25, 0.5, 1, 1),
    MixtureRow("in_house", "in_house", "ky", 3.0, 1, 30.0, 0.75, 0.5, 1, 1),
]


@pytest.fixture
def history(store: Store) -> Store:
    """Round 0 promoted c0, round 1 rejected c1, round 2 waits for annotators.

    Each batch has three clips of 30, 60 and 90 seconds: the first gets a text, the second a
    verdict, the third no answer. Of round 2 only the first is answered, and nothing is labelled.
    """
    store.put_source(Source("radio", "in_house", "ky"))
    store.put_source(Source("held_out", "open_source", "ky"))
    store.add(
        [
            Utterance("e", "e", "audio/e", 5.0, "held_out", "ky", "test", "бир эки"),
            Utterance("p", "p", "audio/p", 45.0, "radio", "ky", "pool"),
        ],
        [Refusal("a.wav", "silent", "no sample differs from another")],
    )
    for name, parent in (("base", None), ("c0", "base"), ("c1", "c0")):
        store.put_checkpoint(Checkpoint(name, f"checkpoints/{name}", parent, {}))
        store.add_hypotheses(name, [hypothesis("e", f"{name} heard")])

    store.start_round(0, 1, "merge", "base")
    finish(store, 0, "base", "c0", promoted=True, wers=(0.9, 0.5))

    store.start_round(1, 1, "score", "c0")
    ask(store, 1)
    answer(store, "1-30", "бир")
    answer(store, "1-60", None, "bad_audio")
    store.put_labels([Label("1-30", "бир", None, ["1"]), Label("1-60", None, "bad_audio", ["2"])])
    store.put_manifest(1, Manifest("m", [], MIXTURE))
    finish(store, 1, "c0", "c1", promoted=False, wers=(0.5, 0.7))

    store.start_round(2, 1, "pull", "c0")
    ask(store, 2)
    answer(store, "2-30", "эки")
    store.start_stage(2, "pull", "{}")
    store.fail_stage(2, "pull", "no answer from Label Studio", "2026-01-02T00:00:00+00:00")
    return store


def hypothesis(name: str, text: str) -> Hypothesis:
    return Hypothesis(name, text, 2, -0.1, 0.1, 0.1, 0.1, 0.1, 0.9, 0.0, 1.0)


def ask(store: Store, number: int) -> None:
    rows = [(rank, f"{number}-{seconds}", seconds) for rank, seconds in enumerate((30, 60, 90))]
    store.add(
        [
            Utterance(name, name, f"audio/{name}", float(seconds), "radio", "ky", "pool")
            for _, name, seconds in rows
        ],
        [],
    )
    choices = [Choice(name, rank, 1.0, "acquired") for rank, name, _ in rows]
    store.put_selection(number, Selection(choices, [], {}))
    store.add_tasks(PlannedTask(TaskKey(name, number, 0), "query", rank) for rank, name, _ in rows)


def answer(store: Store, name: str, text: str | None, verdict: Verdict | None = None) -> None:
    """Two answers: what is counted is utterances."""
    key = TaskKey(name, int(name[0]), 0)
    rows = [
        Annotation(f"{name} {n}", "7", key, "annotator-1", text, verdict, 8.0, TIME, TIME)
        for n in range(2)
    ]
    store.take(Place("http://one.test", 1), Pulled([PulledTask("7", key, TIME, rows)], (), None))


def finish(
    store: Store,
    number: int,
    checkpoint: str,
    candidate: str,
    promoted: bool,
    wers: tuple[float, float],
) -> None:
    store.set_candidate(number, candidate)
    for checkpoint_id, wer in zip((checkpoint, candidate), wers, strict=True):
        store.put_evaluations(number, checkpoint_id, [evaluation(wer)], SILENCE)
    store.decide(number, promoted, f"decision {number}")
    with store.finishing(number, "record", None):
        pass


def evaluation(wer: float) -> Evaluation:
    return Evaluation(
        "held_out", "ky", 1, 2, wer, wer - 0.1, wer + 0.1, 0.2, 0.1, 0.3,
        wer, wer - 0.1, wer + 0.1, 0.2, 0.1, 0.3, 1, 0, 0, 0.25, "2",
    )  # fmt: skip


@pytest.fixture
def reader(history: Store) -> Iterator[Reader]:
    found = Reader(history.workspace)
    yield found
    found.close()


# -- reading only ------------------------------------------------------------------------------


def test_a_workspace_without_data_says_what_brings_some(workspace: Workspace) -> None:
    with pytest.raises(WorkspaceError, match="holds no data yet: `al-loop ingest`"):
        Reader(workspace)
    assert not workspace.database.exists()


@pytest.mark.parametrize(
    "sql", ["DELETE FROM rounds", "CREATE TABLE mine (id)", "UPDATE projects SET high_water = 1"]
)
def test_a_reader_cannot_write(reader: Reader, sql: str) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.connection.execute(sql)


def test_a_reader_cannot_write_even_if_it_may_query_anything(reader: Reader) -> None:
    reader.connection.execute("PRAGMA query_only = OFF")
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.connection.execute("DELETE FROM rounds")


def test_the_answers_of_a_block_are_of_one_moment(history: Store) -> None:
    with Reader(history.workspace) as reader:
        assert reader.status().pool == 1
        history.put_labels([Label("p", "бир", None, ["9"])])
        assert reader.status().pool == 1
    assert Reader(history.workspace).status().pool == 0


def test_what_is_no_database_is_named(workspace: Workspace) -> None:
    workspace.database.write_bytes(b"not a database, but longer than a header" * 100)
    with pytest.raises(WorkspaceError, match=r"al_loop\.db.*not a database"):
        Reader(workspace).status()


# -- status ------------------------------------------------------------------------------------


def test_the_status_of_a_workspace_in_which_nothing_happened(store: Store) -> None:
    status = Reader(store.workspace).status()
    assert status == Status(
        round=None,
        stage=None,
        failed_stage=None,
        failures=0,
        error=None,
        retry_at=None,
        pool=0,
        pool_s=0,
        labelled=0,
        labelled_s=0,
        tasks=0,
        answered=0,
        refused=0,
    )


def test_the_status_of_an_open_round(reader: Reader) -> None:
    status = reader.status()
    assert (status.round, status.stage) == (2, "pull")
    assert (status.tasks, status.answered) == (3, 1)
    assert (status.failed_stage, status.failures) == ("pull", 1)
    assert status.error == "no answer from Label Studio"
    assert status.retry_at == "2026-01-02T00:00:00+00:00"
    assert (status.pool, status.pool_s) == (1, 45.0)
    assert (status.labelled, status.labelled_s) == (1, 30.0)
    assert status.refused == 1


def test_the_pool_is_what_was_neither_asked_about_nor_labelled(history: Store) -> None:
    rows = {"asked": 0.1, "labelled": 0.7, "left": 1.5, "moved": 3.0}
    history.add([utterance(name, seconds) for name, seconds in rows.items()], [])
    history.put_selection(2, Selection([Choice("asked", 3, 1.0, "acquired")], [], {}))
    history.put_labels([Label(name, "бир", None, ["9"]) for name in ("labelled", "moved")])
    history.add([utterance("moved", 3.0, "test")], [])
    status = Reader(history.workspace).status()
    assert (status.pool, status.pool_s) == (2, pytest.approx(45.0 + 1.5))
    history.put_labels([Label(name, "бир", None, ["9"]) for name in ("left", "p")])
    status = Reader(history.workspace).status()
    assert (status.pool, status.pool_s) == (0, 0)


def test_the_pool_is_summed_up_without_a_look_at_its_rows(reader: Reader) -> None:
    plan = [row["detail"] for row in reader.connection.execute(f"EXPLAIN QUERY PLAN {POOL}")]
    assert "SEARCH utterances USING COVERING INDEX utterances_by_split (split=?)" in plan


def utterance(name: str, seconds: float, split: Split = "pool") -> Utterance:
    text = "бир" if split == "test" else None
    return Utterance(name, name, f"audio/{name}", seconds, "radio", "ky", split, text)


def test_a_recorded_round_shows_no_failure(history: Store) -> None:
    with history.finishing(2, "pull", None):
        pass
    status = Reader(history.workspace).status()
    assert (status.round, status.stage, status.failed_stage) == (2, None, None)
    assert (status.failures, status.error, status.retry_at) == (0, None, None)


def test_a_round_that_cannot_be_opened_shows_its_failure(store: Store) -> None:
    store.start_stage(0, "open", "{}")
    store.fail_stage(0, "open", "not cached", "later")
    status = Reader(store.workspace).status()
    assert (status.round, status.stage) == (None, None)
    assert (status.failed_stage, status.failures, status.error) == ("open", 1, "not cached")


# -- rounds ------------------------------------------------------------------------------------


def test_error_rates_are_those_of_the_checkpoint_in_use(reader: Reader) -> None:
    assert [
        (row["round"], row["checkpoint_id"], row["wer"], row["wer_low"], row["wer_high"])
        for row in reader.error_rates()
    ] == [(0, "c0", 0.5, 0.4, 0.6), (1, "c0", 0.5, 0.4, 0.6)]


def test_what_was_put_in_use_by_hand_brings_its_own_figures(history: Store) -> None:
    found = Reader(history.workspace).checkpoint_in_use()
    assert (found["name"], [row["wer"] for row in found["rates"]]) == ("c0", [0.5])
    (history.workspace.checkpoints / "base").mkdir()
    history.rollback("because")
    reader = Reader(history.workspace)
    found = reader.checkpoint_in_use()
    assert (found["name"], [row["wer"] for row in found["rates"]]) == ("base", [0.9])
    assert [row["wer"] for row in reader.error_rates()] == [0.5, 0.5]


def test_before_the_first_round_nothing_is_in_use(store: Store) -> None:
    assert Reader(store.workspace).checkpoint_in_use() == {}


def test_transcripts_are_those_of_the_checkpoint_in_use(reader: Reader) -> None:
    assert [
        (row["round"], row["evaluation_set"], row["reference"], row["hypothesis"])
        for row in reader.transcripts()
    ] == [(0, "held_out", "бир эки", "c0 heard"), (1, "held_out", "бир эки", "c0 heard")]


def test_before_and_after_are_those_of_the_candidate(reader: Reader) -> None:
    (row,) = reader.before_and_after(1)
    assert (row["evaluation_set"], row["language"]) == ("held_out", "ky")
    assert (row["before"], row["after"]) == (0.5, 0.7)
    assert (row["before_low"], row["after_high"]) == (0.4, pytest.approx(0.8))
    assert reader.before_and_after(2) == []


def test_a_round_without_a_candidate_has_a_before_and_no_after(history: Store) -> None:
    history.put_evaluations(2, "c0", [evaluation(0.5)], SILENCE)
    (row,) = Reader(history.workspace).before_and_after(2)
    assert (row["before"], row["after"]) == (0.5, None)


def test_a_round_counts_utterances_not_answers(reader: Reader) -> None:
    names = ("round", "stage", "promoted", "decision", "tasks", "answered", "labelled")
    assert [tuple(row[name] for name in names) for row in reader.rounds()] == [
        (0, None, 1, "decision 0", 0, 0, 0),
        (1, None, 0, "decision 1", 3, 2, 1),
        (2, "pull", None, None, 3, 1, 0),
    ]
    assert [row["labelled_min"] for row in reader.rounds()] == [0, 0.5, 0]


def test_the_mixture_of_a_round(reader: Reader) -> None:
    assert [(row["source"], row["weight"], row["target_share"]) for row in reader.mixture(1)] == [
        ("books", 1.0, 0.25),
        ("in_house", 3.0, 0.75),
    ]
    assert reader.mixture(0) == []


def test_error_rates_hold_every_figure(reader: Reader) -> None:
    row = reader.error_rates()[0]
    assert (row["substitutions"], row["deletions"], row["insertions"]) == (1, 0, 0)
    assert (row["raw_wer"], row["raw_cer_high"], row["foreign_share"]) == (row["wer"], 0.3, 0.25)


def test_checkpoints_come_with_what_became_of_them(reader: Reader) -> None:
    names = ("name", "parent", "round", "promoted", "decision", "in_use", "promoted_by")
    assert [tuple(row[name] for name in names) for row in reader.checkpoints()] == [
        ("base", None, None, None, None, 0, "start"),
        ("c0", "base", 0, 1, "decision 0", 1, "gate"),
        ("c1", "c0", 1, 0, "decision 1", 0, None),
    ]


def test_a_checkpoint_s_figures_are_its_newest(history: Store) -> None:
    history.put_evaluations(2, "c0", [evaluation(0.4)], SilenceEvaluation(10, 3))
    reader = Reader(history.workspace)
    (row,) = reader.evaluations("c0")
    assert (row["round"], row["wer"], row["kind"]) == (2, 0.4, "open_source")
    assert reader.silence("c0") == {"clips": 10, "hallucinated": 3}
    history.put_evaluations(2, "c1", [evaluation(0.4)], SilenceEvaluation(0, 0))
    assert [row["wer"] for row in reader.evaluations("base")] == [0.9]


def test_silence_before_and_after(reader: Reader) -> None:
    assert reader.silence_before_and_after(1) == {
        "clips_before": 24,
        "before": 6,
        "clips_after": 24,
        "after": 6,
    }
    assert reader.silence_before_and_after(2) == {}
    assert [row["hallucinated_share"] for row in reader.rounds()] == [0.25, 0.25, None]


def test_leaks_name_the_evaluation_set(history: Store) -> None:
    history.put_source(Source("fleurs", "open_source", "ky"))
    history.add([Utterance("t", "t", "audio/t", 1.0, "fleurs", "ky", "test", "бир")], [])
    history.put_leaks("m", [Leak("1-30", "radio", "бир", "t", "text")])
    assert Reader(history.workspace).leaks(1, 10) == [
        {
            "source": "radio",
            "reason": "text",
            "text": "бир",
            "evaluation_set": "fleurs",
            "utterance_id": "1-30",
        }
    ]
    assert Reader(history.workspace).leaks(0, 10) == []
    assert Reader(history.workspace).leak_counts(1) == {"audio": 0, "text": 1}
    assert Reader(history.workspace).leak_counts(0) == {"audio": 0, "text": 0}


def test_no_more_leaks_are_read_than_are_shown(history: Store) -> None:
    history.put_source(Source("fleurs", "open_source", "ky"))
    history.add([Utterance("t", "t", "audio/t", 1.0, "fleurs", "ky", "test", "бир")], [])
    leaks = [Leak(name, "radio", "бир", "t", "audio") for name in ("1-60", "1-30")]
    history.put_leaks("m", leaks)
    reader = Reader(history.workspace)
    assert [row["utterance_id"] for row in reader.leaks(1, 1)] == ["1-30"]
    assert reader.leak_counts(1) == {"audio": 2, "text": 0}
