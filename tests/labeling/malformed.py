"""What a server, a program or an annotator may send that we did not expect, and what becomes of it.

ANSWERS: annotations. ROWS: tasks in a list. REPLIES: whole answers of the server to a pull. Each is
refused for the reason named here, or repaired by a rule of `labeling.answers`.
"""

from __future__ import annotations

import gzip
import json
import math
from dataclasses import dataclass, field
from typing import Any

import httpx

from labeling.answers import LONGEST_LEAD_TIME_S
from labeling.transcripts import LONGEST_TEXT

TIME = "2026-01-02T03:04:05.678901Z"
DATA = {"utterance": "u1", "round": 1, "copy": 0, "hypothesis": "саламдос"}


@dataclass(frozen=True)
class Refused:
    reason: str


@dataclass(frozen=True)
class Kept:
    """An answer with these fields. Others are as in `answer()`: салам, by annotator 1."""

    fields: dict[str, Any] = field(default_factory=dict)


IGNORED = Refused("")
"""No task of ours, and no answer: nobody needs to know."""


def region(name: str, value: Any) -> dict[str, Any]:
    return {"from_name": name, "to_name": "audio", "type": "any", "value": value}


def text(*texts: Any) -> dict[str, Any]:
    return region("transcription", {"text": list(texts)})


def verdict(*ticked: Any) -> dict[str, Any]:
    return region("verdict", {"choices": list(ticked)})


def shown(*texts: Any) -> dict[str, Any]:
    return region("shown", {"text": list(texts)})


def answer(*result: Any, **changes: Any) -> dict[str, Any]:
    """An annotation with this result: without one, салам."""
    return {
        "id": 30,
        "task": 7,
        "result": list(result) or [text("салам")],
        "completed_by": 1,
        "was_cancelled": False,
        "lead_time": 8.25,
        "created_at": TIME,
        "updated_at": TIME,
    } | changes


def row(*annotations: Any, **changes: Any) -> dict[str, Any]:
    """A task with these annotations."""
    return {"id": 7, "data": DATA, "updated_at": TIME, "annotations": list(annotations)} | changes


def without(thing: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in thing.items() if key != name}


BAD = Refused("malformed_annotation")
DEEP: Any = None
for _ in range(500):
    DEEP = [DEEP]

ANSWERS: dict[str, tuple[Any, Refused | Kept]] = {
    # no annotation at all
    "null": (None, BAD),
    "a string": ("салам", BAD),
    "a number": (3, BAD),
    "a list": ([answer()], BAD),
    "an empty object": ({}, BAD),
    # its id
    "no id": (without(answer(), "id"), BAD),
    "an id that is a string": (answer(id="30"), BAD),
    "an id that is true": (answer(id=True), BAD),
    "an id below one": (answer(id=-3), BAD),
    "an id with a fraction": (answer(id=3.0), BAD),
    # its task
    "another task's annotation": (answer(task=8), Refused("other_task")),
    "a task that is nested": (answer(task={"id": 7}), Refused("other_task")),
    "no task": (without(answer(), "task"), Kept()),
    "a task that is null": (answer(task=None), Kept()),
    # its times
    "no time of creation": (without(answer(), "created_at"), BAD),
    "no time of change": (without(answer(), "updated_at"), BAD),
    "a time that is null": (answer(updated_at=None), BAD),
    "a time that is a number": (answer(updated_at=1_700_000_000), BAD),
    "a time that is a word": (answer(updated_at="yesterday"), BAD),
    "a time without a zone": (answer(updated_at="2026-01-02T03:04:05"), BAD),
    "a time beyond all calendars": (answer(updated_at="9999-12-31T23:59:59-10:00"), BAD),
    "a time in another zone": (
        answer(updated_at="2026-01-02T09:04:05+06:00"),
        Kept({"updated_at": "2026-01-02T03:04:05.000000Z"}),
    ),
    "a time in the future": (
        answer(updated_at="2999-01-01T00:00:00Z"),
        Kept({"updated_at": "2999-01-01T00:00:00.000000Z"}),
    ),
    # who, and for how long
    "nobody": (answer(completed_by=None), Kept({"annotator": "unknown"})),
    "no annotator": (without(answer(), "completed_by"), Kept({"annotator": "unknown"})),
    "an annotator in an object": (
        answer(completed_by={"id": 4, "email": "x@y"}),
        Kept({"annotator": "4"}),
    ),
    "an annotator in an empty object": (answer(completed_by={}), Kept({"annotator": "unknown"})),
    "an annotator in a string": (answer(completed_by="4"), Kept({"annotator": "4"})),
    "an annotator's name": (answer(completed_by="x@y"), Kept({"annotator": "unknown"})),
    "an annotator that is true": (answer(completed_by=True), Kept({"annotator": "unknown"})),
    "an annotator in a list": (answer(completed_by=[1]), Kept({"annotator": "unknown"})),
    "no lead time": (without(answer(), "lead_time"), Kept({"lead_time_s": None})),
    "a lead time in words": (answer(lead_time="long"), Kept({"lead_time_s": None})),
    "a lead time that is no number": (answer(lead_time=math.nan), Kept({"lead_time_s": None})),
    "an endless lead time": (answer(lead_time=math.inf), Kept({"lead_time_s": None})),
    "a negative lead time": (answer(lead_time=-1.0), Kept({"lead_time_s": None})),
    "a lead time of years": (
        answer(lead_time=2 * LONGEST_LEAD_TIME_S),
        Kept({"lead_time_s": None}),
    ),
    "a lead time beyond floats": (answer(lead_time=10**400), Kept({"lead_time_s": None})),
    "a lead time that is true": (answer(lead_time=True), Kept({"lead_time_s": None})),
    "a lead time in a list": (answer(lead_time=[8.25]), Kept({"lead_time_s": None})),
    "a lead time that is whole": (answer(lead_time=8), Kept({"lead_time_s": 8.0})),
    # a skip
    "a skip with a text": (
        answer(was_cancelled=True),
        Kept({"text": None, "verdict": "skipped"}),
    ),
    "a skip without a result": (
        answer(was_cancelled=True, result=None),
        Kept({"text": None, "verdict": "skipped"}),
    ),
    "a skip that is null": (answer(was_cancelled=None), Kept()),
    "no skip": (without(answer(), "was_cancelled"), Kept()),
    "a skip in words": (answer(was_cancelled="true"), BAD),
    "a skip that is a number": (answer(was_cancelled=1), BAD),
    # the result
    "no result": (without(answer(), "result"), BAD),
    "a result that is null": (answer(result=None), BAD),
    "a result that is a string": (answer(result="салам"), BAD),
    "a result that is an object": (answer(result={"transcription": "салам"}), BAD),
    "a result of strings": (answer("салам"), BAD),
    "a result that is nested deeply": (answer(result=DEEP), BAD),
    "an empty result": (answer(result=[]), Refused("empty_text")),
    "a part without a name": (answer({"value": {"text": ["салам"]}}), Refused("empty_text")),
    "a part of somebody else's": (
        answer(region("notes", {"text": ["шамал"]}), text("салам")),
        Kept(),
    ),
    "a link between parts": (answer({"type": "relation", "from_id": "a"}, text("салам")), Kept()),
    "a part without a value": (answer({"from_name": "transcription"}), BAD),
    "a value that is null": (answer(region("transcription", None)), BAD),
    "a value that is a list": (answer(region("transcription", ["салам"])), BAD),
    "a value without a text": (answer(region("transcription", {"choices": ["салам"]})), BAD),
    "a text that is null": (answer(region("transcription", {"text": None})), BAD),
    "a text in a list of null": (answer(text(None)), BAD),
    "a text that is a number": (answer(text(5)), BAD),
    "a text that is an object": (answer(text({"text": "салам"})), BAD),
    "a text that is no list": (answer(region("transcription", {"text": "салам"})), Kept()),
    # the text
    "no text": (answer(text()), Refused("empty_text")),
    "an empty text": (answer(text("")), Refused("empty_text")),
    "white space": (answer(text(" \t\n\u00a0\u3000")), Refused("empty_text")),
    "invisible characters alone": (answer(text("\u200b\ufeff\u200d")), Refused("empty_text")),
    "punctuation alone": (answer(text("… — !")), Refused("empty_text")),
    "spaces around": (answer(text("  салам\r\n  дос ")), Kept({"text": "салам дос"})),
    "a space that does not break": (answer(text("салам\u00a0дос")), Kept({"text": "салам дос"})),
    "control characters": (answer(text("са\x00л\x07ам\x1f дос")), Kept({"text": "салам дос"})),
    "zero-width characters": (answer(text("са\u2060лам\ufeff")), Kept()),
    "a space of no width": (answer(text("салам\u200bдос")), Kept({"text": "салам дос"})),
    "a soft hyphen": (answer(text("са\u00adлам")), Kept()),
    "writing directions": (answer(text("\u202eсалам\u202c")), Kept()),
    "joiners among Cyrillic letters": (answer(text("са\u200dла\u200cм\u200c")), Kept()),
    "a joiner that shapes a word": (
        answer(text("می\u200cروم")),
        Kept({"text": "می\u200cروم"}),
    ),
    "decomposed letters": (answer(text("и\u0306од")), Kept({"text": "йод"})),
    "an entity": (answer(text("ат &amp; бала")), Kept({"text": "ат & бала"})),
    "an entity of an entity": (answer(text("са&amp;#1083;ам")), Kept()),
    "a space that is an entity": (answer(text("салам&nbsp;дос")), Kept({"text": "салам дос"})),
    "an ampersand alone": (answer(text("ат & бала; тоо")), Kept({"text": "ат & бала; тоо"})),
    "markup": (answer(text("<b>салам</b>")), Refused("markup")),
    "markup in entities": (answer(text("&lt;script&gt;салам")), Refused("markup")),
    "a remark in angle brackets": (answer(text("салам <эээ>")), Refused("markup")),
    "less and more": (answer(text("үч < беш > бир")), Kept({"text": "үч < беш > бир"})),
    "half a character": (answer(text("сал\ud800ам")), Refused("broken_characters")),
    "a character that was lost": (answer(text("сал\ufffdм")), Refused("broken_characters")),
    "half a character in an entity": (answer(text("са&#55296;лам")), Refused("broken_characters")),
    "thousands of words": (answer(text("салам " * 5000)), Refused("long_text")),
    "a word without an end": (answer(text("с" * (LONGEST_TEXT + 1))), Refused("long_text")),
    "the longest text": (
        answer(text("с" * LONGEST_TEXT)),
        Kept({"text": "с" * LONGEST_TEXT}),
    ),
    "two texts": (answer(text("салам", "дос")), Refused("several_texts")),
    "two parts with a text": (answer(text("салам"), text("дос")), Refused("several_texts")),
    "a text twice": (answer(text("салам"), text(" салам ")), Kept()),
    "a text and an empty one": (answer(text("", "салам")), Kept()),
    # the verdict
    "a verdict over a text": (
        answer(text("салам"), verdict("bad_audio")),
        Kept({"text": None, "verdict": "bad_audio"}),
    ),
    "a verdict over half a character": (
        answer(text("\ud800"), verdict("several_speakers")),
        Kept({"text": None, "verdict": "several_speakers"}),
    ),
    "a verdict that is no list": (
        answer(region("verdict", {"choices": "other_language"})),
        Kept({"text": None, "verdict": "other_language"}),
    ),
    "a verdict twice": (
        answer(verdict("bad_audio", "bad_audio")),
        Kept({"text": None, "verdict": "bad_audio"}),
    ),
    "two verdicts": (answer(verdict("bad_audio", "other_language")), Refused("several_verdicts")),
    "two parts with a verdict": (
        answer(verdict("bad_audio"), verdict("several_speakers")),
        Refused("several_verdicts"),
    ),
    "a verdict and a doubt": (
        answer(text("салам"), verdict("bad_audio", "unsure")),
        Refused("several_verdicts"),
    ),
    "an unknown verdict": (answer(text("салам"), verdict("too_loud")), Refused("unknown_verdict")),
    "half a character as verdict": (answer(verdict("\ud800")), Refused("unknown_verdict")),
    "a skip as verdict": (answer(text("салам"), verdict("skipped")), Refused("unknown_verdict")),
    "a verdict that is a number": (answer(text("салам"), verdict(1)), BAD),
    "a verdict that is null": (answer(text("салам"), region("verdict", {"choices": None})), BAD),
    "no verdict in a list": (answer(text("салам"), verdict()), Kept()),
    "a doubt": (answer(text("салам"), verdict("unsure")), Kept({"unsure": True})),
    "a doubt without a text": (answer(verdict("unsure")), Refused("empty_text")),
    # what was shown
    "what was shown": (answer(text("салам"), shown("=саламым")), Kept({"shown": "саламым"})),
    "nothing was shown": (answer(text("салам"), shown("=")), Kept({"shown": ""})),
    "what was shown twice": (answer(text("салам"), shown("=а", "=б")), Kept()),
    "what was shown as a number": (answer(text("салам"), shown(5)), Kept()),
    "what was shown is half a character": (
        answer(text("салам"), shown("=\ud800")),
        Kept({"shown": None}),
    ),
}

BAD_ROW = Refused("malformed_task")
FOREIGN = Refused("foreign_task")
ROWS: dict[str, tuple[Any, Refused]] = {
    "null": (None, BAD_ROW),
    "a string": ("task", BAD_ROW),
    "a list": ([], BAD_ROW),
    "an empty object": ({}, BAD_ROW),
    "no id": (without(row(answer()), "id"), BAD_ROW),
    "an id that is a string": (row(answer(), id="7"), BAD_ROW),
    "an id that is true": (row(answer(), id=True), BAD_ROW),
    "no time": (without(row(answer()), "updated_at"), BAD_ROW),
    "a time without a zone": (row(answer(), updated_at="2026-01-02T03:04:05"), BAD_ROW),
    "a time that is null": (row(answer(), updated_at=None), BAD_ROW),
    "no annotations": (without(row(), "annotations"), BAD_ROW),
    "annotations that are null": (row(annotations=None), BAD_ROW),
    "annotations that are a number": (row(annotations=3), BAD_ROW),
    "annotations that are an object": (row(annotations={"0": answer()}), BAD_ROW),
    "no data": (without(row(answer()), "data"), FOREIGN),
    "data that is null": (row(answer(), data=None), FOREIGN),
    "data that is a string": (row(answer(), data="u1"), FOREIGN),
    "data of somebody else": (row(answer(), data={"audio": "x"}), FOREIGN),
    "no utterance": (row(answer(), data=without(DATA, "utterance")), FOREIGN),
    "an utterance that is a number": (row(answer(), data=DATA | {"utterance": 1}), FOREIGN),
    "an utterance of half a character": (
        row(answer(), data=DATA | {"utterance": "\ud800"}),
        FOREIGN,
    ),
    "no round": (row(answer(), data=without(DATA, "round")), FOREIGN),
    "a round in words": (row(answer(), data=DATA | {"round": "1"}), FOREIGN),
    "a round with a fraction": (row(answer(), data=DATA | {"round": 1.5}), FOREIGN),
    "no copy": (row(answer(), data=without(DATA, "copy")), FOREIGN),
    "a copy in words": (row(answer(), data=DATA | {"copy": "0"}), FOREIGN),
    "a copy below zero": (row(answer(), data=DATA | {"copy": -1}), FOREIGN),
    "a copy that is true": (row(answer(), data=DATA | {"copy": True}), FOREIGN),
    "somebody else's without an answer": (row(data={"audio": "x"}), IGNORED),
    "data that is null without an answer": (row(data=None), IGNORED),
}


def list_of(*rows: Any, **changes: Any) -> dict[str, Any]:
    return {"tasks": list(rows), "total": len(rows)} | changes


def reply(body: Any = None, status: int = 200, **kwargs: Any) -> httpx.Response:
    return httpx.Response(status, json=body, **kwargs)


UNREADABLE = "not with the JSON that was asked for"
REPLIES: dict[str, tuple[httpx.Response, str]] = {
    "nothing": (httpx.Response(200), UNREADABLE),
    "no content": (httpx.Response(204), UNREADABLE),
    "null": (reply(None), UNREADABLE),
    "a page": (httpx.Response(200, html="<form>log in</form>"), UNREADABLE),
    "half a list": (httpx.Response(200, text='{"tasks": [{"id": 1'), UNREADABLE),
    "no JSON": (httpx.Response(200, content=b"\xff\xfe\x00"), UNREADABLE),
    "nested too deeply": (httpx.Response(200, content=b"[" * 100_000), UNREADABLE),
    "a number of many digits": (
        httpx.Response(200, content=b'{"tasks": [], "total": ' + b"9" * 5000 + b"}"),
        UNREADABLE,
    ),
    "a string": (reply("салам"), UNREADABLE),
    "a list": (reply([row(answer())]), UNREADABLE),
    "no tasks": (reply({"total": 1}), UNREADABLE),
    "tasks that are null": (reply(list_of(tasks=None)), UNREADABLE),
    "tasks that are an object": (reply(list_of(tasks={"7": row()})), UNREADABLE),
    "no total": (reply({"tasks": [row(answer())]}), UNREADABLE),
    "a total in words": (reply(list_of(row(answer()), total="1")), UNREADABLE),
    "a total that is true": (reply(list_of(row(answer()), total=True)), UNREADABLE),
    "fewer tasks than none": (reply(list_of(total=3)), UNREADABLE),
    "a time that is none": (reply(list_of(row(answer(), updated_at="now"))), UNREADABLE),
    "a task without a time": (reply(list_of({"id": 7})), UNREADABLE),
    "a task that is none": (reply(list_of(None)), UNREADABLE),
    "the same page for ever": (reply(list_of(row(answer()), total=9)), UNREADABLE),
    "pages without ids for ever": (
        reply(list_of({"updated_at": TIME, "annotations": []}, total=9)),
        UNREADABLE,
    ),
    "broken compression": (
        httpx.Response(200, headers={"Content-Encoding": "gzip"}, content=iter([b"not gzip"])),
        "DecodingError",
    ),
    "half of what was compressed": (
        httpx.Response(
            200,
            headers={"Content-Encoding": "gzip"},
            content=iter([gzip.compress(json.dumps(list_of(row(answer()))).encode())[:-60]]),
        ),
        UNREADABLE,
    ),
    "another place": (
        httpx.Response(302, headers={"Location": "https://elsewhere.test/"}),
        "sends us elsewhere",
    ),
    "another place that is none": (
        httpx.Response(302, headers={"Location": "http://[::bad/"}),
        "no answer",
    ),
    "not modified": (httpx.Response(304), "sends us elsewhere"),
    "bad request": (reply({"detail": "no such filter"}, 400), "no such filter"),
    "a list as error": (reply(["no"], 400), "does not accept"),
    "not logged in": (reply({"detail": "Invalid token."}, 401), "does not know the token"),
    "forbidden": (httpx.Response(403, html="<h1>no</h1>"), "lacks the rights"),
    "not found": (reply({"detail": "No Project matches"}, 404), "makes it anew"),
    "too large": (httpx.Response(413, html="<h1>nginx</h1>"), "let it take 1 MB"),
    "too many": (reply({"detail": "slow down"}, 429), "try again later"),
    "too many for long": (
        httpx.Response(429, headers={"Retry-After": "3600"}),
        "in 3600 s as it asks",
    ),
    "broken": (httpx.Response(500, html="<h1>Server Error</h1>"), "try again later"),
    "half an error": (httpx.Response(502, text='{"detail": "ba'), "try again later"),
    "in maintenance": (
        httpx.Response(503, headers={"Retry-After": "soon"}, html="<h1>later</h1>"),
        "try again later",
    ),
    "a pause of many digits": (
        httpx.Response(503, headers={"Retry-After": "9" * 400}),
        "try again later",
    ),
    "a pause beyond all calendars": (
        httpx.Response(503, headers={"Retry-After": f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT"}),
        "try again later",
    ),
    "a pause at the end of all calendars": (
        httpx.Response(503, headers={"Retry-After": "Fri, 31 Dec 9999 23:59:59 -1200"}),
        "try again later",
    ),
    "no status of HTTP": (httpx.Response(799), "try again later"),
}
