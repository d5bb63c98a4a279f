"""The mapping between our records and Label Studio's task JSON. Pure: no network, no clock.

A task's identity is `data.utterance`, never the server's task id, which is reused after deletion.
What cannot be understood becomes a Refusal with its reason; the rest of the tasks go on.

A finished task, as the server's task list shows it:

    {"id": 7, "data": {"utterance": "5feb…", …}, "annotations": [
        {"id": 3, "completed_by": 1, "was_cancelled": false, "lead_time": 8.2,
         "created_at": "2026-01-02T03:04:05.678901Z", "updated_at": "2026-01-02T03:04:05.678901Z",
         "result": [{"from_name": "transcription", "type": "textarea",
                     "value": {"text": ["саламатсызбы"]}}]}]}
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args
from urllib.parse import quote

from al_loop.records import Annotation, Refusal, Task, Verdict

TEXT, VERDICT, AUDIO = "transcription", "verdict", "audio"
"""The names of the tags in interface.xml."""

ANNOTATION_FIELDS = (
    "id,data,annotations,result,completed_by,was_cancelled,lead_time,created_at,updated_at"
)
"""What `parse_task` reads. The server applies the one list to tasks and to their annotations."""


class _Unusable(Exception):
    """An annotation is no answer; the arguments are the refusal's reason and detail."""


def local_audio_url(path: str) -> str:
    """The address of `path`, relative to the server's LOCAL_FILES_DOCUMENT_ROOT."""
    return f"/data/local-files/?d={quote(path)}"


def utc(time: str) -> str:
    """An ISO 8601 time in one form, UTC with microseconds: sorting the strings sorts the times.

    The server leaves out a fraction of zero, but does not accept a time without one.
    Raises ValueError when `time` is no such time.
    """
    moment = datetime.fromisoformat(time)
    if moment.tzinfo is None:
        raise ValueError(f"{time!r} names no time zone")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def to_task_data(task: Task, audio_url: str) -> dict[str, Any]:
    """The task as the server imports it.

    The acquisition score stays in `data`: a prediction's own score means confidence, from 0 to 1.
    """
    return {
        "data": {
            "utterance": task.utterance_id,
            "round": task.round,
            "rank": task.rank,
            AUDIO: audio_url,
            "hypothesis": task.hypothesis,
            "duration_s": task.duration_s,
            "acquisition_score": task.acquisition_score,
        },
        "predictions": [
            {
                "model_version": f"round {task.round}",
                "result": [
                    {
                        "from_name": TEXT,
                        "to_name": AUDIO,
                        "type": "textarea",
                        "value": {"text": [task.hypothesis]},
                    }
                ],
            }
        ],
    }


def parse_task(row: dict[str, Any]) -> tuple[list[Annotation], list[Refusal]]:
    """The answers in one row of the task list (see ANNOTATION_FIELDS); never raises.

    A ticked verdict wins over the text, which the page pre-fills; a skip wins over both.
    Predictions and drafts are no answers. Reasons of refusal: `malformed_task`,
    `foreign_task` (answered, but not pushed by us), `malformed_annotation`, `unknown_verdict`,
    `empty_text`.
    """
    try:
        origin = f"task {row['id']}"
        answers = list(row["annotations"])
        utterance_id = row["data"].get("utterance")
    except (KeyError, TypeError, AttributeError) as exc:
        return [], [Refusal("task list", "malformed_task", f"{exc!r} in {str(row)[:200]}")]
    if not answers:
        return [], []
    if not isinstance(utterance_id, str):
        return [], [Refusal(origin, "foreign_task", "its data names no utterance")]

    annotations, refusals = [], []
    for answer in answers:
        try:
            annotations.append(_annotation(str(row["id"]), utterance_id, answer))
        except _Unusable as exc:
            refusals.append(Refusal(_origin(origin, answer), *exc.args))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as exc:
            detail = f"{exc!r} in {str(answer)[:200]}"
            refusals.append(Refusal(_origin(origin, answer), "malformed_annotation", detail))
    return annotations, refusals


def _origin(task: str, answer: Any) -> str:
    return f"{task}, annotation {answer.get('id')}" if isinstance(answer, dict) else task


def _annotation(task_id: str, utterance_id: str, answer: dict[str, Any]) -> Annotation:
    text, verdict = _answer(answer)
    lead_time_s = answer.get("lead_time")
    return Annotation(
        id=str(answer["id"]),
        task_id=task_id,
        utterance_id=utterance_id,
        annotator=_annotator(answer.get("completed_by")),
        text=text,
        verdict=verdict,
        lead_time_s=None if lead_time_s is None else float(lead_time_s),
        created_at=utc(answer["created_at"]),
        updated_at=utc(answer["updated_at"]),
    )


def _annotator(completed_by: int | dict[str, Any] | None) -> str:
    """The user's id on the server; `unknown` for one who was deleted."""
    if isinstance(completed_by, dict):
        completed_by = completed_by["id"]
    return "unknown" if completed_by is None else str(completed_by)


def _answer(answer: dict[str, Any]) -> tuple[str | None, Verdict | None]:
    # A skip may carry a result, and a verdict the pre-filled text: the order here matters.
    if answer["was_cancelled"]:
        return None, "skipped"
    result = answer["result"]
    if ticked := _values(result, VERDICT, "choices"):
        for verdict in get_args(Verdict):
            if ticked == [verdict]:
                return None, verdict
        raise _Unusable("unknown_verdict", f"ticked: {', '.join(ticked)}")
    # A transcript is one line, however it was typed.
    if text := " ".join(" ".join(_values(result, TEXT, "text")).split()):
        return text, None
    raise _Unusable("empty_text", "neither a text nor a verdict")


def _values(result: list[dict[str, Any]], name: str, kind: str) -> list[str]:
    """The strings that the tag called `name` holds."""
    found: list[str] = []
    for part in result:
        if part["from_name"] == name:
            value = part["value"][kind]
            found += [value] if isinstance(value, str) else map(str, value)
    return found
