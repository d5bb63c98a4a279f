"""What annotators answered, out of Label Studio's task list: annotations, or why there is none.

A task as the list shows it (see ANNOTATION_FIELDS):

    {"id": 7, "data": {"utterance": "5feb…", "round": 1, "copy": 0, "hypothesis": "салам", …},
     "updated_at": "2026-01-02T03:04:05.678901Z", "annotations": [
        {"id": 3, "task": 7, "completed_by": 1, "was_cancelled": false, "lead_time": 8.2,
         "created_at": "2026-01-02T03:04:05.678901Z", "updated_at": "2026-01-02T03:04:05.678901Z",
         "result": [{"from_name": "transcription", "type": "textarea",
                     "value": {"text": ["саламатсызбы"]}}]}]}

Whatever the server sends, parsing ends, and what does not fit a rule is refused with its reason:

    malformed_task        no object, no id of its own, no list of annotations, no time of change
    foreign_task          answered, but its data does not name an utterance, round and copy
    malformed_annotation  no object, no id, no time with a zone, fields of the wrong type
    duplicate_annotation  its id was there before in the same task
    other_task            it says that it belongs to another task
    unknown_verdict       a verdict that the page does not offer
    several_verdicts      more than one
    several_texts, empty_text, long_text, markup, broken_characters
                          see `labeling.transcripts`; an empty text counts with a verdict

What follows is repaired instead:

    a skip                counts whatever it carries; a verdict counts whatever text it carries
    unsure                a text that was marked so stays a text (`Annotation.unsure`)
    lead_time             not a number from 0 to LONGEST_LEAD_TIME_S: unknown
    completed_by          an id, an object with an id, an id in a string; else `unknown`
    texts                 as `labeling.transcripts` says
    fields of others      an interface may have more fields than ours: ignored
    times in the future   kept: a server's clock may be wrong, and only their order counts

A task without answers is no news but that it has none; one that is not ours is then ignored. Pure:
no network, no clock.
"""

from __future__ import annotations

from typing import Any

from al_loop.records import (
    UNKNOWN_ANNOTATOR,
    VERDICTS,
    Annotation,
    PulledTask,
    Refusal,
    TaskKey,
    Verdict,
)
from labeling.page import SHOWN, shown_hypothesis
from labeling.tasks import TEXT, VERDICT, task_key, utc
from labeling.transcripts import Unusable, cleaned, is_broken, shortened, transcript

ANNOTATION_FIELDS = (
    "id,data,annotations,task,result,completed_by,was_cancelled,lead_time,created_at,updated_at"
)
"""What `parse_task` reads. The server applies the one list to tasks and to their annotations."""

UNSURE = "unsure"
TICKED: dict[str, Verdict] = {name: name for name in VERDICTS if name != "skipped"}
"""Verdicts that the page offers."""

LONGEST_LEAD_TIME_S = 366 * 86_400.0
"""A page that was open for more than a year was not: ours."""


def parse_task(row: Any) -> tuple[PulledTask | None, list[Refusal]]:
    """The task in one row of the task list, with its usable answers; never raises.

    None for a task that is not ours, or cannot be understood.
    """
    try:
        task_id = _id(row)
        origin = f"task {task_id}"
        answers, data, updated_at = row["annotations"], row.get("data"), utc(row["updated_at"])
        if not isinstance(answers, list):
            raise TypeError("its annotations are no list")
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        return None, [Refusal("task list", "malformed_task", f"{exc!r} in {shortened(row)}")]
    key = task_key(data)
    if key is None:
        if not answers:
            return None, []
        detail = f"its data names no utterance, round and copy: {shortened(data)}"
        return None, [Refusal(origin, "foreign_task", detail)]

    shown = data["hypothesis"] if isinstance(data.get("hypothesis"), str) else None
    found: dict[str, Annotation] = {}
    refusals = []
    for answer in answers:
        try:
            annotation = _annotation(task_id, key, shown, answer)
            if annotation.id in found:
                raise Unusable("duplicate_annotation", "its id was there before")
            found[annotation.id] = annotation
        except Unusable as exc:
            refusals.append(Refusal(_origin(origin, answer), *exc.args))
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            detail = f"{exc!r} in {shortened(answer)}"
            refusals.append(Refusal(_origin(origin, answer), "malformed_annotation", detail))
    return PulledTask(task_id, key, updated_at, tuple(found.values())), refusals


def _annotation(task_id: str, key: TaskKey, shown: str | None, answer: Any) -> Annotation:
    annotation_id = _id(answer)
    if answer.get("task") is not None and str(answer["task"]) != task_id:
        raise Unusable("other_task", f"it belongs to task {shortened(answer['task'])}")
    text, verdict, unsure = _said(answer)
    result = answer.get("result")
    if isinstance(result, list):
        recorded = shown_hypothesis(_values(result, SHOWN, "text", strict=False))
        shown = shown if recorded is None else recorded
    return Annotation(
        id=annotation_id,
        task_id=task_id,
        key=key,
        annotator=_annotator(answer.get("completed_by")),
        text=text,
        verdict=verdict,
        lead_time_s=_lead_time_s(answer.get("lead_time")),
        created_at=utc(answer["created_at"]),
        updated_at=utc(answer["updated_at"]),
        shown=None if shown is None or is_broken(shown) else cleaned(shown),
        unsure=unsure,
    )


def _said(answer: dict[str, Any]) -> tuple[str | None, Verdict | None, bool]:
    """Text, verdict, and whether the text is doubted. The order matters: see the rules above."""
    if _flag(answer, "was_cancelled"):
        return None, "skipped", False
    result = answer["result"]
    if not isinstance(result, list) or not all(isinstance(part, dict) for part in result):
        raise TypeError("its result is no list of objects")
    ticked = list(dict.fromkeys(_values(result, VERDICT, "choices")))
    if len(ticked) > 1:
        raise Unusable("several_verdicts", f"ticked: {shortened(ticked)}")
    unsure = ticked == [UNSURE]
    if ticked and not unsure:
        if ticked[0] not in TICKED:
            raise Unusable("unknown_verdict", f"ticked: {shortened(ticked[0])}")
        return None, TICKED[ticked[0]], False
    return transcript(_values(result, TEXT, "text")), None, unsure


def _values(result: Any, name: str, kind: str, strict: bool = True) -> list[str]:
    """The strings that the tag called `name` holds. Raises TypeError for what is none if `strict`,
    and finds nothing otherwise."""
    found: list[Any] = []
    for part in result:
        if isinstance(part, dict) and part.get("from_name") == name:
            value = part.get("value")
            values = value.get(kind) if isinstance(value, dict) else None
            found += values if isinstance(values, list) else [values]
    if all(isinstance(value, str) for value in found):
        return found
    if strict:
        raise TypeError(f"its {name} is no list of strings")
    return []


def _id(row: Any) -> str:
    if not isinstance(row, dict):
        raise TypeError("expected an object")
    number = row.get("id")
    if type(number) is not int or number <= 0:
        raise TypeError(f"its id is {shortened(number)}; expected a positive number")
    return str(number)


def _flag(answer: dict[str, Any], name: str) -> bool:
    value = answer.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise TypeError(f"its {name} is {shortened(value)}; expected true or false")


def _annotator(completed_by: Any) -> str:
    """The user's id on the server; `unknown` for one who was deleted."""
    if isinstance(completed_by, dict):
        completed_by = completed_by.get("id")
    if isinstance(completed_by, str) and completed_by.isascii() and completed_by.isdigit():
        return str(int(completed_by))
    known = type(completed_by) is int and completed_by > 0
    return str(completed_by) if known else UNKNOWN_ANNOTATOR


def _lead_time_s(lead_time: Any) -> float | None:
    if isinstance(lead_time, bool) or not isinstance(lead_time, int | float):
        return None
    return float(lead_time) if 0 <= lead_time <= LONGEST_LEAD_TIME_S else None


def _origin(task: str, answer: Any) -> str:
    known = isinstance(answer, dict) and type(answer.get("id")) is int
    return f"{task}, annotation {answer['id']}" if known else task
