"""The overview's value, its verdict and its alarms: from numbers made by hand, and from a Store."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from al_loop import alarms
from al_loop.alarms import Alarm
from al_loop.config import Settings
from al_loop.hours import HOUR_S
from al_loop.overview import Overview, overview
from al_loop.paired import Difference, by_intervals, paired
from al_loop.records import (
    Annotation,
    Checkpoint,
    Choice,
    Evaluation,
    Hypothesis,
    Leak,
    Manifest,
    Place,
    PlannedTask,
    Pulled,
    PulledTask,
    Selection,
    SilenceEvaluation,
    Source,
    TaskKey,
    Utterance,
)
from al_loop.report import status_lines
from al_loop.verdict import look_ahead
from storage.queries import Reader
from storage.store import Store
from storage.workspace import Workspace

NOW = datetime(2026, 3, 10, 8, tzinfo=UTC)
EARLIER = "2026-03-01T08:00:00Z"
WORDS = ["бир", "эки", "үч", "төрт", "беш", "алты", "жети", "сегиз", "тогуз", "он"]


def said(wrong: int) -> str:
    """Ten words, of which so many are wrong."""
    return " ".join(["жок"] * wrong + WORDS[wrong:])


def clips(one: int, other: int, count: int = 20) -> list[dict[str, Any]]:
    """Clips of ten words: what two checkpoints heard, with so many words wrong in each."""
    row = {"evaluation_set": "test", "reference": said(0), "one": said(one), "other": said(other)}
    return [row] * count


def rate(name: str, wer: float, width: float = 0.1, words: int = 100) -> dict[str, Any]:
    ends = {"wer": wer, "wer_low": wer - width / 2, "wer_high": wer + width / 2}
    return {"evaluation_set": name, "words": words, **ends}


# -- two checkpoints -------------------------------------------------------------------------------


def test_the_same_clips_are_compared_one_by_one() -> None:
    found = paired([*clips(5, 2), *clips(2, 2)], "ky", 200)
    assert found is not None
    assert (found.before, found.after, found.clips) == (0.35, 0.2, 40)
    assert found.change == pytest.approx(-0.15)
    assert found.low < found.change < found.high < 0
    assert found.sureness > 0.99
    assert found == paired([*clips(5, 2), *clips(2, 2)], "ky", 200)


def test_a_clip_without_a_word_says_nothing() -> None:
    silent = {**clips(5, 2)[0], "reference": "?!"}
    assert paired([silent] * 5, "ky", 100) is None
    found = paired([silent, *clips(5, 2)], "ky", 100)
    assert found is not None
    assert found.clips == 20


def test_sets_are_compared_by_their_intervals_where_there_are_no_clips() -> None:
    found = by_intervals([rate("a", 0.6), rate("b", 0.4)], [rate("a", 0.4), rate("c", 0.1)])
    assert found is not None
    assert (found.before, found.after, found.clips) == (0.6, 0.4, None)
    assert found.high == pytest.approx(-0.2 + 0.05 * 2**0.5)
    two = by_intervals(
        [rate("a", 0.6, words=300), rate("b", 0.2)], [rate("a", 0.4, words=300), rate("b", 0.2)]
    )
    assert two is not None
    assert two.before == pytest.approx(0.5)
    assert two.change == pytest.approx(-0.15)


def test_another_set_under_the_same_name_is_not_compared() -> None:
    assert by_intervals([rate("a", 0.6)], [rate("a", 0.4, words=200)]) is None


def test_sureness_of_nothing_is_a_half() -> None:
    assert Difference(0.5, 0.5, 0.0, 0.0, 0.0, 9).sureness == 0.5
    assert Difference(0.5, 0.5, 0.0, -0.1, 0.1, 9).sureness == 0.5
    assert Difference(0.4, 0.5, 0.1, 0.1, 0.1, 9).sureness == 0


# -- alarms ----------------------------------------------------------------------------------------


def test_a_loss_that_is_larger_than_allowed_and_than_noise() -> None:
    real = Difference(0.2, 0.25, 0.05, 0.01, 0.09, 90)
    noise = Difference(0.2, 0.25, 0.05, -0.01, 0.11, 90)
    small = Difference(0.2, 0.21, 0.01, 0.005, 0.015, 90)
    worst = Difference(0.15, 0.25, 0.1, 0.05, 0.15, 90)
    (found,) = alarms.retention("set", "ru", {"base": real, "best": worst}, 2.0)
    assert found.code == "retention"
    assert found.names == {"evaluation_set": "set", "language": "ru", "since": "best"}
    assert found.numbers["change"] == pytest.approx(10)
    assert alarms.retention("set", "ru", {"base": noise, "best": small}, 2.0) == []
    assert alarms.retention("set", "ru", {"base": real}, 5.0) == []


@pytest.mark.parametrize(
    ("examples", "audio", "text", "alarmed"),
    [(990, 0, 10, False), (980, 0, 20, True), (10_000, 1, 0, True), (100, 0, 0, False)],
)
def test_leakage(examples: int, audio: int, text: int, alarmed: bool) -> None:
    row = {"round": 3, "examples": examples, "known": 0, "audio": audio, "text": text}
    found = alarms.leakage({**row, "sources": list("abcdef")})
    assert bool(found) is alarmed
    if found:
        assert found[0].numbers["share"] == (audio + text) / (examples + audio + text)
        assert found[0].names == {"sources": "a, b, c, d, e, …"}
    assert alarms.leakage({}) == []


def test_tasks_that_nobody_answers() -> None:
    row = {"tasks": 4, "pushed_at": "2026-03-01T08:00:00Z", "answered_at": "2026-03-06T08:00:00Z"}
    (found,) = alarms.waiting(row, NOW)
    assert found.numbers == {"tasks": 4, "days": 4}
    assert alarms.waiting({**row, "answered_at": "2026-03-08T08:00:00Z"}, NOW) == []
    assert alarms.waiting({**row, "pushed_at": "2026-03-10T07:00:00Z"}, NOW) == []
    assert alarms.waiting({**row, "tasks": 0}, NOW) == []
    assert alarms.waiting({"tasks": 4, "pushed_at": None, "answered_at": None}, NOW) == []
    assert alarms.waiting({**row, "pushed_at": None}, NOW) == []
    (found,) = alarms.waiting({**row, "evaluation_set": "daily"}, NOW)
    assert (found.code, found.names) == ("waiting_set", {"evaluation_set": "daily"})


def texts(wrong: int, count: int) -> list[dict[str, str]]:
    return [{"one": said(0), "other": said(wrong)}] * count


def test_agreement_that_fell_beyond_noise() -> None:
    (found,) = alarms.agreement([*texts(1, 60), *texts(5, 30)], "ky")
    assert found.numbers["earlier"] == pytest.approx(0.9)
    assert found.numbers["recent"] == pytest.approx(0.5)
    assert found.numbers["recent_high"] < found.numbers["earlier_low"]
    assert alarms.agreement([*texts(5, 60), *texts(1, 30)], "ky") == []  # it rose
    assert alarms.agreement([*texts(1, 60), *texts(1, 20), *texts(2, 10)], "ky") == []  # noise
    assert alarms.agreement([*texts(1, 29), *texts(9, 30)], "ky") == []  # too few to compare with


def drafts(name: str, kept: int, count: int, number: int = 1, right: float = 0.5) -> list[Any]:
    """Drafts of an annotator, of which so many were left; the model's probability that it is right
    is `right`."""
    row = {"annotator": name, "round": number, "shown": said(0), "word_probs": json.dumps([right])}
    return [{**row, "text": said(int(place >= kept))} for place in range(count)]


def test_whoever_leaves_more_drafts_than_others_find_right() -> None:
    rows = [*drafts("a", 95, 100), *drafts("b", 50, 100), *drafts("c", 55, 100)]
    (found,) = alarms.rubber_stamping(rows, "ky")
    assert found.names == {"annotator": "a"}
    assert found.numbers["unchanged"] == 0.95
    assert found.numbers["right"] == pytest.approx(0.525)
    assert found.numbers["drafts"] == 100


def test_an_easy_round_explains_drafts_that_are_left() -> None:
    """What others did counts by round: `a` worked where the drafts were right."""
    rows = [*drafts("a", 95, 100), *drafts("b", 190, 200), *drafts("b", 20, 200, number=2)]
    assert alarms.rubber_stamping(rows, "ky") == []


def test_little_to_tell_from_raises_no_alarm() -> None:
    assert alarms.rubber_stamping([*drafts("a", 19, 19), *drafts("b", 0, 100)], "ky") == []
    assert alarms.rubber_stamping([*drafts("a", 60, 100), *drafts("b", 45, 100)], "ky") == []
    unknown = drafts("unknown", 100, 100)
    assert alarms.rubber_stamping([*unknown, *drafts("b", 10, 100)], "ky") == []


def test_one_annotator_alone_is_held_against_the_model() -> None:
    assert alarms.rubber_stamping(drafts("a", 98, 100, right=0.9), "ky") == []
    (found,) = alarms.rubber_stamping(drafts("a", 98, 100, right=0.4), "ky")
    assert found.numbers["right"] == pytest.approx(0.4)
    unknown = [{**row, "word_probs": "[]"} for row in drafts("a", 98, 100)]
    assert alarms.rubber_stamping(unknown, "ky") == []


def test_the_last_drafts_count_alone() -> None:
    """Whoever reads the drafts again is not accused for ever, and who stops is found."""
    honest = drafts("b", 500, 1000)
    mended = [*drafts("a", 300, 300), *drafts("a", 100, alarms.RECENT_DRAFTS)]
    assert alarms.rubber_stamping([*mended, *honest], "ky") == []
    careless = [*drafts("a", 500, 1000), *drafts("a", 190, alarms.RECENT_DRAFTS)]
    (found,) = alarms.rubber_stamping([*careless, *honest], "ky")
    assert found.numbers["unchanged"] == 0.95
    assert found.numbers["drafts"] == alarms.RECENT_DRAFTS


def test_what_there_is_too_little_for() -> None:
    every = ("retention", "leakage", "rubber_stamping", "agreement")
    assert alarms.unchecked(False, {}, drafts("a", 2, 2), texts(0, 59), "ky") == every
    assert alarms.unchecked(True, {"audio": 0}, drafts("a", 20, 20), texts(0, 60), "ky") == ()


def test_a_failed_stage() -> None:
    assert alarms.failed(None, 0, None) == []
    assert alarms.failed("train", 2, "no memory") == [
        Alarm("failed", {"failures": 2}, {}, "no memory", "train")
    ]


# -- the outlook -----------------------------------------------------------------------------------


def curve(verdict: str, recent_low: float) -> dict[str, Any]:
    recent = {"points_per_h": 3.0, "low": recent_low, "high": 5.0}
    return {
        "advice": {"verdict": verdict, "sureness": 0.9},
        "recent": recent,
        "marginal": {"points_per_h": 2.0, "low": 1.0, "high": 4.0},
    }


def test_the_gain_is_the_one_that_the_advice_goes_by() -> None:
    assert look_ahead(curve("keep_labelling", 1.0)).gain == 3
    assert look_ahead(curve("keep_labelling", -1.0)).gain == 2
    assert look_ahead(curve("consider_stopping", -1.0)).gain == 3
    assert look_ahead(None).advised == "no_report"
    early = {**curve("too_early", 0.0), "recent": None, "marginal": None}
    assert look_ahead(early).gain is None


# -- from a workspace ------------------------------------------------------------------------------


def evaluation(name: str, language: str, wer: float) -> Evaluation:
    ends = (wer, wer - 0.05, wer + 0.05)
    return Evaluation(name, language, 20, 200, *ends, *ends, *ends, *ends, 1, 1, 1, None, "2")


def measured(store: Store, number: int, checkpoint: str, ky: int, ru: int) -> None:
    """A checkpoint on the test clips, with so many of ten words wrong in each."""
    rows = [evaluation("test", "ky", ky / 10), evaluation("russian", "ru", ru / 10)]
    store.put_evaluations(number, checkpoint, rows, SilenceEvaluation(0, 0))
    statistics = (10, *[0.0] * 8)
    heard = [
        Hypothesis(f"{language}-{place}", said(wrong), *statistics)
        for language, wrong in (("ky", ky), ("ru", ru))
        for place in range(20)
    ]
    store.add_hypotheses(checkpoint, heard)


@pytest.fixture
def measured_store(store: Store) -> Store:
    """Rounds 0 and 1: Kyrgyz went from 90% to 30% WER, Russian from 20% to 10% and then to 40%."""
    for name, language in (("test", "ky"), ("russian", "ru"), ("pool", "ky")):
        store.put_source(Source(name, "open_source", language))
    for name, language in (("test", "ky"), ("russian", "ru")):
        ids = [f"{language}-{place}" for place in range(20)]
        store.add(
            [Utterance(key, key, key, 5.0, name, language, "test", said(0)) for key in ids], []
        )
    store.add([Utterance("p", "p", "p", 60.0, "pool", "ky", "pool")], [])
    results = {"base": (9, 2), "c0": (6, 1), "c1": (3, 4)}
    for number, (before, after) in enumerate((("base", "c0"), ("c0", "c1"))):
        if not number:
            store.put_checkpoint(Checkpoint("base", "checkpoints/base", None, {}))
        store.start_round(number, 0, "merge", before)
        store.put_checkpoint(Checkpoint(after, f"checkpoints/{after}", before, {}))
        store.set_candidate(number, after)
        store.put_manifest(number, Manifest(f"m{number}", [], []))
        for checkpoint in (before, after):
            measured(store, number, checkpoint, *results[checkpoint])
        store.decide(number, True, "promoted")
        with store.finishing(number, "record", None):
            pass
    return store


def look(workspace: Workspace, settings: Settings | None = None) -> Overview:
    with Reader(workspace) as reader:
        return overview(reader, settings or Settings(), NOW)


def test_the_verdict_compares_the_same_clips(workspace: Workspace, measured_store: Store) -> None:
    found = look(workspace)
    assert (found.checkpoint, found.start) == ("c1", "base")
    verdict = found.verdict
    assert verdict.judgement == "better"
    assert verdict.difference is not None
    assert (verdict.difference.before, verdict.difference.after) == (0.9, 0.3)
    assert verdict.difference.clips == 20
    assert verdict.outlook.advised == "no_report"
    assert (verdict.next, verdict.arguments) == ("round", "round")
    rates = {row.evaluation_set: row for row in found.rates}
    assert (rates["test"].wer, rates["test"].start) == (0.3, 0.9)
    assert (rates["russian"].wer, rates["russian"].start) == (0.4, 0.2)


def test_a_language_that_is_forgotten_is_held_against_the_best(
    workspace: Workspace, measured_store: Store
) -> None:
    (found,) = look(workspace).alarms
    assert found.code == "retention"
    assert found.names == {"evaluation_set": "russian", "language": "ru", "since": "c0"}
    assert found.numbers["change"] == pytest.approx(30)
    generous = Settings.model_validate({"promote": {"max_retention_loss": 31.0}})
    assert look(workspace, generous).alarms == ()


def test_after_a_rollback_the_judgement_is_of_what_is_in_use(
    workspace: Workspace, measured_store: Store
) -> None:
    (workspace.checkpoints / "c0").mkdir()
    measured_store.rollback("Russian")
    found = look(workspace)
    assert found.checkpoint == "c0"
    assert found.verdict.difference is not None
    assert found.verdict.difference.after == 0.6
    assert found.alarms == ()
    (workspace.checkpoints / "base").mkdir()
    measured_store.rollback("that too")
    assert look(workspace).verdict.judgement == "start"


def test_leaks_of_the_newest_manifest(workspace: Workspace, measured_store: Store) -> None:
    measured_store.put_leaks("m0", [Leak("p", "pool", "бир", "ky-0", "text")])
    assert "leakage" not in [row.code for row in look(workspace).alarms]
    measured_store.put_leaks("m1", [Leak("p", "pool", "бир", "ky-0", "audio")])
    (found,) = [row for row in look(workspace).alarms if row.code == "leakage"]
    assert found.numbers == {"round": 1, "audio": 1, "text": 0, "share": 1, "left_out": 1}
    assert found.names == {"sources": "pool"}


def test_what_the_manifest_before_left_out_is_no_alarm_any_more(
    workspace: Workspace, measured_store: Store
) -> None:
    known = Leak("p", "pool", "бир", "ky-0", "audio")
    for manifest in ("m0", "m1"):
        measured_store.put_leaks(manifest, [known])
    assert "leakage" not in [row.code for row in look(workspace).alarms]
    measured_store.add([Utterance("q", "q", "q", 6.0, "pool", "ky", "pool")], [])
    measured_store.put_leaks("m1", [Leak("q", "book", "эки", "ky-1", "audio")])
    (found,) = [row for row in look(workspace).alarms if row.code == "leakage"]
    assert found.names == {"sources": "book"}
    assert found.numbers == {"round": 1, "audio": 1, "text": 0, "share": 0.5, "left_out": 1}


def answered(
    store: Store, key: str, annotators: dict[str, str], at: str = EARLIER, number: int = 1
) -> None:
    """A task about a clip with what annotators made of the draft `said(0)`."""
    store.add([Utterance(key, key, key, 6.0, "pool", "ky", "pool")], [])
    task = TaskKey(key, number, 0)
    store.add_tasks([PlannedTask(task, "query", len(key))])
    answers = [
        Annotation(f"{key}{name}", key, task, name, text, None, 900.0, at, at, said(0))
        for name, text in annotators.items()
    ]
    store.take(
        Place("http://label.studio.test", 1), Pulled([PulledTask(key, task, at, answers)], (), None)
    )


def test_answers_become_alarms(workspace: Workspace, measured_store: Store) -> None:
    for place in range(60):
        answered(measured_store, f"x{place:02}", {"a": said(0), "b": said(1 if place < 30 else 6)})
    found = look(workspace)
    codes = {row.code: row for row in found.alarms}
    assert set(codes) == {"retention", "rubber_stamping", "agreement"}
    assert codes["rubber_stamping"].names == {"annotator": "a"}
    assert codes["agreement"].numbers["recent"] == pytest.approx(0.4)
    assert found.annotator_s == 120 * 600  # a page that was left open
    measured_store.db.execute("UPDATE annotations SET deleted_at = updated_at")
    assert {row.code for row in look(workspace).alarms} == {"retention"}


def test_open_tasks_without_answers(workspace: Workspace, measured_store: Store) -> None:
    measured_store.start_round(2, 0, "pull", "c1")
    answered(measured_store, "x", {}, number=2)
    answered(measured_store, "earlier", {})  # what the loop went on without
    measured_store.db.execute("UPDATE tasks SET server = 's', project_id = 1, task_id = '1'")
    measured_store.db.execute("UPDATE rounds SET pushed_at = ? WHERE number = 2", [EARLIER])
    (found,) = [row for row in look(workspace).alarms if row.code == "waiting"]
    assert found.numbers == {"tasks": 1, "days": 9}
    measured_store.db.execute("UPDATE rounds SET stage = 'train' WHERE number = 2")
    assert "waiting" not in [row.code for row in look(workspace).alarms]


def test_tasks_of_an_evaluation_set_are_an_alarm_of_their_own(
    workspace: Workspace, measured_store: Store
) -> None:
    """Its command must not be `round --close`: no round is open, and it would open one."""
    db = measured_store.db
    for key in ("x", "y"):
        answered(measured_store, key, {}, number=0)
        db.execute("INSERT INTO evaluation_draws VALUES ('daily', ?, ?, 'clip', NULL)", [key, key])
    db.execute("UPDATE tasks SET server = 's', project_id = 1, task_id = '1'")
    db.execute("UPDATE rounds SET pushed_at = ? WHERE number = 1", [EARLIER])
    assert "waiting" not in str(look(workspace).alarms)  # nobody knows since when
    answered(measured_store, "y", {"a": said(0)}, number=0)
    (found,) = [row for row in look(workspace).alarms if "waiting" in row.code]
    assert (found.code, found.names) == ("waiting_set", {"evaluation_set": "daily"})
    assert found.numbers == {"tasks": 1, "days": 9}
    db.execute("UPDATE evaluation_draws SET frozen_at = ?", [EARLIER])
    assert "waiting" not in str(look(workspace).alarms)


def test_what_the_round_waits_for_is_counted_once(
    workspace: Workspace, measured_store: Store
) -> None:
    """The round, `status`, the key figure and the table: without top-ups, and what was closed."""
    store = measured_store
    store.start_round(2, 0, "pull", "c1")
    names = ["w0", "w1", "w2", "t0"]
    store.add([Utterance(key, key, key, 6.0, "pool", "ky", "pool") for key in names], [])
    choices = [Choice(key, rank, 1.0, "acquired") for rank, key in enumerate(names)]
    store.put_selection(2, Selection(choices[:3], [], {}))
    store.top_up(2, Selection(choices[3:], [], {}))
    for key in ("w0", "t0"):
        answered(store, key, {"a": said(0)}, number=2)
    answered(store, "w1", {}, number=2)
    answered(store, "w2", {}, number=2)
    store.db.execute("UPDATE tasks SET closed_at = ? WHERE utterance_id = 'w2'", [EARLIER])
    with Reader(workspace) as reader:
        row, status = reader.rounds()[-1], reader.status()
    assert (row["tasks"], row["answered"], row["topped_up"]) == (2, 1, 1)
    assert (status.answered, status.tasks) == store.answered(2) == (1, 2)


def test_the_round_closes_where_the_page_says(workspace: Workspace, measured_store: Store) -> None:
    store = measured_store
    store.start_round(2, 0, "pull", "c1")
    names = [f"w{place:03}" for place in range(100)]
    store.add([Utterance(key, key, key, 6.0, "pool", "ky", "pool") for key in names], [])
    choices = [Choice(key, rank, 1.0, "acquired") for rank, key in enumerate(names)]
    store.put_selection(2, Selection(choices, [], {}))
    for place, key in enumerate(names):
        answered(store, key, {"a": said(1)} if place < 55 else {}, number=2)
    store.db.execute("UPDATE rounds SET pushed_at = '2026-03-09T08:00:00Z' WHERE number = 2")
    settings = Settings.model_validate({"label_studio": {"close_share": 0.55}})
    found = look(workspace, settings)
    assert (found.needed, found.verdict.next) == (55, "go_on")  # 0.55 * 100 is more than 55
    assert look(workspace).verdict.next == "annotators"
    assert look(workspace).closes_at == "2026-03-16T08:00:00+00:00"
    store.db.execute("UPDATE rounds SET pushed_at = ? WHERE number = 2", [EARLIER])
    assert look(workspace).verdict.next == "go_on"  # seven days are over
    with Reader(workspace) as reader:
        assert "it goes on at 90 or on 2026-03-08 08:00 UTC" in status_lines(reader, Settings())[1]


def test_the_newest_report_is_asked_for_directly(
    workspace: Workspace, measured_store: Store
) -> None:
    with Reader(workspace) as reader:
        assert reader.newest_report() == {}
    for number in range(2):
        measured_store.put_report(number, {"number": number})
    with Reader(workspace) as reader:
        assert reader.newest_report() == {"number": 1}


def test_what_is_next(workspace: Workspace, store: Store) -> None:
    assert look(workspace).verdict.next == "ingest"
    store.put_source(Source("pool", "open_source", "ky"))
    store.add([Utterance("t", "t", "t", 5.0, "pool", "ky", "train", "ооба")], [])
    assert look(workspace).verdict.next == "first_round"
    store.put_checkpoint(Checkpoint("base", "checkpoints/base", None, {}))
    store.start_round(0, 0, "merge", "base")
    found = look(workspace)
    assert found.verdict.next == "go_on"
    assert found.progress[:2] == (("merge", "here"), ("train", "ahead"))
    with store.finishing(0, "record", None):
        pass
    assert look(workspace).verdict.next == "ingest_test"
    measured_empty = [evaluation("test", "ky", 0.5)]
    store.put_evaluations(0, "base", measured_empty, SilenceEvaluation(0, 0))
    assert look(workspace).verdict.next == "ingest_pool"
    store.start_stage(1, "open", "{}")
    store.fail_stage(1, "open", "no weights", "2026-01-01T00:00:00+00:00")
    assert look(workspace).verdict.next == "failed"


def test_every_figure_equals_sql_and_status(workspace: Workspace, measured_store: Store) -> None:
    measured_store.start_round(2, 0, "pull", "c1")
    for place in range(3):
        answered(measured_store, f"x{place}", {"a": said(0), "b": said(1)})
    settings = Settings.model_validate({"dashboard": {"hour_cost": 4.0, "currency": "USD"}})
    found = look(workspace, settings)

    def sql(query: str) -> Any:
        return measured_store.db.execute(query).fetchone()[0]

    assert found.annotator_s == sql("SELECT sum(min(lead_time_s, 600)) FROM annotations")
    assert found.cost == pytest.approx(4 * found.annotator_s / HOUR_S)
    assert found.answers == sql("SELECT count(*) FROM annotations")
    assert found.pool_s == sql(
        "SELECT total(duration_s) FROM utterances WHERE split = 'pool' "
        "AND id NOT IN (SELECT utterance_id FROM query_batches)"
    )
    assert found.labelled == sql("SELECT count(*) FROM labels")
    in_use = "checkpoint_id = 'c1' AND round = 1"
    for row in found.rates:
        name = f"evaluation_set = '{row.evaluation_set}'"
        assert row.wer == sql(f"SELECT wer FROM evaluations WHERE {in_use} AND {name}")
        start = f"checkpoint_id = 'base' AND {name}"
        assert row.start == sql(f"SELECT wer FROM evaluations WHERE {start}")
    with Reader(workspace) as reader:
        lines = "\n".join(status_lines(reader, settings))
    assert f"{found.pool} clips ({found.pool_s / 60:.1f} min)" in lines
    assert f"{found.labelled} labelled ({found.labelled_s / 60:.1f} min)" in lines
    assert f"of {found.checkpoint}" in lines
    for row in found.rates:
        assert f"{row.evaluation_set} {100 * row.wer:.1f}" in lines
