"""What people labelled by hand in other projects: which of their answers are labels, and of what.

Tasks are written as Label Studio 1.23 exports them, of interfaces from its own templates and ours.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from al_loop.errors import ManifestError, OracleRefused, OracleUnavailable
from labeling.imported import Labelled, Project, labels_of, read_export, read_project
from labeling.session import Session
from labeling.tags import Tags, find_tags

EMPTY = "empty_text: neither a text nor a verdict"
TAGS = Tags("transcription", "audio")
OLD, NEW, NEWEST = "2026-03-01T10:00:05Z", "2026-03-01T10:00:05.500000Z", "2026-03-02T01:00:00Z"
TEMPLATE = """<View>
  <Audio name="audio" value="$audio" zoom="true" hotkey="ctrl+enter" />
  <Header value="Provide Transcription" />
  <TextArea name="transcription" toName="audio" rows="4" editable="true" maxSubmissions="1" />
</View>"""


def text(*said: str, tag: str = "transcription", **place: float) -> dict[str, Any]:
    value = {"text": list(said), **place}
    return {"from_name": tag, "to_name": "audio", "type": "textarea", "value": value}


def ticks(*choices: str, tag: str = "verdict", **place: float) -> dict[str, Any]:
    value = {"choices": list(choices), **place}
    return {"from_name": tag, "to_name": "audio", "type": "choices", "value": value}


def answer(*parts: Any, at: str = OLD, skipped: bool = False, star: bool = False) -> dict[str, Any]:
    return {
        "id": 1,
        "completed_by": 1,
        "result": list(parts),
        "was_cancelled": skipped,
        "ground_truth": star,
        "created_at": OLD,
        "updated_at": at,
    }


def task(*answers: Any, number: int = 7, **data: Any) -> dict[str, Any]:
    data = {"audio": f"/data/upload/3/0123abcd-{number}.wav", **data}
    prediction = {"result": [text("болжол")], "model_version": "m"}
    draft = {"result": [text("долбоор")]}
    found = {"id": number, "data": data, "annotations": list(answers)}
    return {**found, "predictions": [prediction], "drafts": [draft]}


def only(row: Any, *verdicts: str) -> Labelled:
    chosen = verdicts or ("bad_audio", "other_language")
    (found,) = labels_of(row, "task ", TAGS, chosen)
    return found


# -- one answer --------------------------------------------------------------------------------


def test_a_text_is_a_label() -> None:
    found = only(task(answer(text(" Саламатсызбы,\nдос "))))
    assert found == Labelled("task 7", "7", "/data/upload/3/0123abcd-7.wav", "Саламатсызбы, дос")


def test_a_text_is_cleaned_as_those_of_our_annotators() -> None:
    written = "ат&nbsp;&amp;\u200bи\u0306од са\u00adлам"
    assert only(task(answer(text(written)))).text == "ат & йод салам"


def test_a_task_may_say_who_speaks_and_in_which_language() -> None:
    found = only(task(answer(text("да")), language="ru", speaker="f3"))
    assert (found.language, found.speaker) == ("ru", "f3")
    other = only(task(answer(text("да")), language="Russian", speaker=3))
    assert (other.language, other.speaker, other.text) == (None, None, "да")


def test_the_newest_answer_that_was_not_skipped_counts() -> None:
    rows = [
        answer(text("жаңы"), at=NEW),
        answer(text("эски"), at=OLD),
        answer(text("өткөрүлгөн"), at=NEWEST, skipped=True),
    ]
    assert only(task(*rows)).text == "жаңы"
    assert only(task(*reversed(rows))).text == "жаңы"
    assert only(task(rows[2])).problem == "it was skipped"


def test_ground_truth_comes_before_the_newest_unless_it_was_skipped() -> None:
    star, newer = answer(text("туура"), star=True), answer(text("кийинки"), at=NEWEST)
    assert only(task(newer, star)).text == "туура"
    gone = answer(text("туура"), star=True, skipped=True)
    assert only(task(newer, gone)).text == "кийинки"


def test_a_verdict_leaves_the_task_out_whatever_text_stands_beside_it() -> None:
    found = only(task(answer(text("бир"), ticks("bad_audio"))))
    assert (found.text, found.problem) == (None, "ticked: bad_audio")
    theirs = task(answer(ticks("Шум", tag="quality"), text("бир")))
    assert only(theirs, "Шум").problem == "ticked: Шум"
    kept = only(theirs)
    assert (kept.text, kept.ticked) == ("бир", ("quality=Шум",))
    assert only(task(answer(ticks("Шум", tag="quality")))).problem == "ticked: Шум"
    # the newest answer decides, be it a verdict
    assert only(task(answer(text("бир")), answer(ticks("bad_audio"), at=NEW))).text is None


def test_texts_of_parts_are_labels_of_these_parts() -> None:
    row = answer(
        text("экинчи", start=2.5, end=4.25),
        {"from_name": "labels", "type": "labels", "value": {"start": 9, "end": 9.5, "labels": []}},
        text("биринчи", start=0.0, end=2.5),
        text("ызы-чуу", start=5, end=6),
        ticks("bad_audio", start=5, end=6),
        text(" ", start=7, end=8),
    )
    found = labels_of(task(row), "task ", TAGS)
    assert [(label.text, label.part_s) for label in found] == [
        ("биринчи", (0.0, 2.5)),
        ("экинчи", (2.5, 4.25)),
        (None, (5.0, 6.0)),
        (None, (7.0, 8.0)),
    ]
    assert [label.problem for label in found[2:]] == ["ticked: bad_audio", EMPTY]
    assert found[1].origin == "task 7, 2.50-4.25 s"
    whole = answer(text("бүт"), text("бөлүк", start=1, end=2))
    assert "whole recording and texts of parts" in str(only(task(whole)).problem)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (task(answer()), "nothing was written into 'transcription'"),
        (task(answer(text())), EMPTY),
        (task(answer(text("  "))), EMPTY),
        (task(answer(text("бир", tag="notes"))), "nothing was written into 'transcription'"),
        (task(answer(text("…"))), EMPTY),
        (task(answer(text("\ud800"))), "broken_characters: in "),
        (task(answer(text("бир\ufffd"))), "broken_characters: in "),
        (task(answer(text("бир", "эки"))), "several_texts: got "),
        (task(answer(text("&lt;b&gt;бир"))), "markup: it holds '<b>'"),
        (task(answer(text("с" * 3001))), "long_text: 3001 characters"),
        (task(answer(text("бир")), audio=None), "names no audio in 'audio'"),
        (task(answer(text("бир")), audio=" "), "names no audio in 'audio'"),
        (task(answer(text("бир", start=2.0, end=2.0))), "a part from 2 to 2 s"),
        (task(answer(text("бир", start=1.0, end=float("nan")))), "a part from 1 to nan s"),
        (task(answer(text("бир", start=-1.0, end=2.0))), "a part from -1 to 2 s"),
        (task(answer({**text("бир"), "value": {}})), "not as Label Studio writes"),
        (task(answer({**text("бир"), "value": {"text": [5]}})), "not as Label Studio writes"),
        (task(answer(text("бир"), at="yesterday")), "not as Label Studio writes"),
        (task(17), "not as Label Studio writes"),
        ({"id": 7, "annotations": [answer(text("бир"))]}, "not as Label Studio writes"),
        ({**task(answer(text("бир"))), "data": "x"}, "not as Label Studio writes"),
        ({**task(), "annotations": "x"}, "not as Label Studio writes"),
        (7, "not as Label Studio writes"),
    ],
)
def test_what_is_no_label_says_why(row: Any, problem: str) -> None:
    found = only(row)
    assert found.text is None
    assert problem in str(found.problem)
    assert found.origin.startswith("task 7")


def test_a_file_that_was_written_for_an_import_says_less() -> None:
    """Its tasks have no numbers, and their answers no times."""
    rows = [{**task({"result": [text("бир")]}), "id": None} for _ in range(2)]
    found = list(Project("x: task ", rows).labels(TAGS, ()))
    assert [row.text for row in found] == ["бир", "бир"]
    assert [row.origin for row in found] == ["x: task 1 of the list", "x: task 2 of the list"]


# -- which tags --------------------------------------------------------------------------------


def test_tags_are_those_of_the_interface() -> None:
    assert find_tags(TEMPLATE, []) == TAGS
    theirs = TEMPLATE.replace('"transcription"', '"said"').replace("$audio", "$recording")
    assert find_tags(theirs, []) == Tags("said", "recording")
    ours = Path(__file__).parents[2].joinpath("labeling/interface.xml").read_text("utf-8")
    assert find_tags(ours, []) == TAGS


def test_several_candidates_are_the_users_choice() -> None:
    config = (
        '<View><Audio name="a" value="$left"/><Audio name="b" value="$right"/>'
        '<TextArea name="one" toName="a"/><TextArea name="two" toName="b,a"/>'
        '<TextArea name="notes" toName="picture"/></View>'
    )
    with pytest.raises(ManifestError, match="candidates are one, two; name it with --text-tag"):
        find_tags(config, [])
    assert find_tags(config, [], "one") == Tags("one", "left")
    with pytest.raises(ManifestError, match="left, right; name it with --audio-field"):
        find_tags(config, [], "two")
    assert find_tags(config, [], "two", "right") == Tags("two", "right")
    with pytest.raises(ManifestError, match=r"no tag .* holds .*; there are one, two"):
        find_tags(config, [], "notes")


@pytest.mark.parametrize(
    ("config", "message"),
    [("<View>", "not XML"), ("<View><Text/></View>", "no TextArea about an Audio tag")],
)
def test_an_interface_without_texts_says_so(config: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        find_tags(config, [])


def test_an_export_has_no_interface_and_its_answers_tell() -> None:
    assert find_tags(None, [task(), task(answer(text("бир")))]) == TAGS
    named = task(answer(text("бир", tag="said")), audio=5, sound="s3://calls/7.wav", page="7")
    assert find_tags(None, [named]) == Tags("said", "sound")
    bare = task(answer(text("бир", tag="said")), audio=5, file="calls/7.MP3")
    assert find_tags(None, [bare]) == Tags("said", "file")
    with pytest.raises(ManifestError, match="nobody wrote a text"):
        find_tags(None, [task(answer(ticks("bad_audio"))), task(5), {"annotations": 5}])
    both = task(answer(text("бир", tag="a"), text("эки", tag="b")))
    with pytest.raises(ManifestError, match="candidates are a, b"):
        find_tags(None, [both])


# -- a file, a server --------------------------------------------------------------------------


def write(path: Path, rows: Any) -> Path:
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    return path


def test_a_file_is_read(tmp_path: Path) -> None:
    rows = [task(number=1), task(answer(text("эки")), number=2), task(answer(), number=3)]
    project = read_export(write(tmp_path / "project-3.json", rows))
    found = list(project.labels(project.tags(), ()))
    assert [(row.origin, row.text) for row in found] == [
        ("project-3.json: task 2", "эки"),
        ("project-3.json: task 3", None),
    ]
    assert project.unlabelled == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ('{"tasks": []}', "expected a list of tasks"),
        ("[1]", "expected a list of tasks"),
        ('[{"id": 1, "audio": "a.wav", "transcription": "x"}]', "not as JSON-MIN"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ManifestError, match=message):
        read_export(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"gone\.json: cannot be read"):
        read_export(tmp_path / "gone.json")


class Server:
    """A project of so many tasks, in pages of two."""

    def __init__(self, *tasks: dict[str, Any]) -> None:
        self.tasks = list(tasks)
        self.broken: Any = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/projects/3/":
            return httpx.Response(200, json={"id": 3, "label_config": TEMPLATE})
        if request.url.path != "/api/tasks":
            return httpx.Response(404, json={"detail": "Not found."})
        if self.broken is not None:
            return httpx.Response(200, json=self.broken)
        assert request.url.params["project"] == "3"
        assert request.url.params["resolve_uri"] == "false"  # a signed address would run out
        query = json.loads(request.url.params["query"])
        (behind,) = query["filters"]["items"]
        assert query["ordering"] == ["tasks:id"]
        rows = [row for row in self.tasks if row["id"] > behind["value"]]
        return httpx.Response(200, json={"total": len(rows), "tasks": rows[:2]})

    @property
    def session(self) -> Session:
        transport = httpx.MockTransport(self)
        return Session("http://ls.test", "x" * 40, transport=transport, sleep=lambda _: None)


def read(server: Server) -> Project:
    return read_project(server.session, 3)


def test_a_project_is_read_page_by_page() -> None:
    server = Server(*(task(answer(text(str(number))), number=number) for number in range(1, 6)))
    project = read(server)
    server.tasks.pop(0)  # deleted meanwhile: no page is shifted
    found = list(project.labels(project.tags(), ()))
    assert [row.text for row in found] == ["2", "3", "4", "5"]
    assert found[0].origin == "http://ls.test/projects/3/data?task=2"


def test_a_project_that_is_gone_or_answers_nonsense_is_an_error() -> None:
    server = Server()
    with pytest.raises(OracleRefused, match="404"):
        read_project(server.session, 4)
    same = {"tasks": [task(number=1)], "total": 3}  # for ever
    for server.broken in (
        [],
        {"tasks": []},
        {"tasks": [], "total": 3},
        {"tasks": [1], "total": 3},
        same,
    ):
        with pytest.raises(OracleUnavailable, match="not with the JSON that was asked for"):
            list(read(server).labels(TAGS, ()))
