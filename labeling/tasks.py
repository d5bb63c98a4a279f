"""What Label Studio is told of a task, and how a task is known again. Pure: no network, no clock.

A task's identity is three fields of its data, `utterance`, `round` and `copy`, never the server's
task id, which is given to another task after a deletion. Its kind is not sent: whether a task is
there to test them, annotators should not see. What comes back is read in `labeling.answers`.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from al_loop.records import Task, TaskKey
from labeling.page import marked_words

TEXT, VERDICT, AUDIO = "transcription", "verdict", "audio"
"""The names of the tags in interface.xml."""

LARGEST_NUMBER = 2**31 - 1
"""Of a round or a copy. Ours: more is no number of ours."""


def local_audio_url(path: str) -> str:
    """The address of `path`, relative to the server's LOCAL_FILES_DOCUMENT_ROOT."""
    return f"/data/local-files/?d={quote(path)}"


def utc(time: str) -> str:
    """An ISO 8601 time in one form, UTC with microseconds: sorting the strings sorts the times.

    The server leaves out a fraction of zero, but does not accept a time without one.
    Raises ValueError when `time` is no such time, or names no time zone.
    """
    moment = datetime.fromisoformat(time)
    if moment.tzinfo is None:
        raise ValueError(f"{time!r} names no time zone")
    try:
        moment = moment.astimezone(UTC)
    except OverflowError as exc:
        raise ValueError(f"{time!r} is too far away") from exc
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def to_task_data(task: Task, audio_url: str, doubt_below: float) -> dict[str, Any]:
    """The data of Label Studio's task: its key, and what the labelling interface shows.

    marked: the hypothesis as HTML, its doubtful words marked. acquisition_score: None where it is
    no number, which JSON cannot say.
    """
    score = task.acquisition_score
    return {
        "utterance": task.key.utterance_id,
        "round": task.key.round,
        "copy": task.key.copy,
        "rank": task.rank,
        AUDIO: audio_url,
        "hypothesis": task.hypothesis,
        "marked": marked_words(task.hypothesis, task.word_probs, doubt_below),
        "duration_s": task.duration_s,
        "acquisition_score": score if math.isfinite(score) else None,
    }


def task_key(data: Any) -> TaskKey | None:
    """Whose task it is that has this data; None for one that is not ours."""
    if not isinstance(data, dict):
        return None
    utterance_id = data.get("utterance")
    if not isinstance(utterance_id, str) or not utterance_id or not utterance_id.isascii():
        return None
    found = [data.get("round"), data.get("copy")]
    # a bool is an int to isinstance
    numbers = [n for n in found if type(n) is int and 0 <= n <= LARGEST_NUMBER]
    return TaskKey(utterance_id, *numbers) if len(numbers) == len(found) else None
