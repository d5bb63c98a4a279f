"""What people have labelled by hand in any Label Studio project, as texts of clips.

A project comes as the file that Label Studio's JSON export gives, or from its server. Predictions
and drafts are no labels. Pure but for reading the file and asking the session; knows nothing of
audio, sources or databases.

Texts are cleaned and refused by the rules for our own annotators (`labeling.transcripts`). Of a
task's answers one counts: the newest that was not skipped; one that is starred as ground truth
comes before all others. A task whose answer ticks a verdict (ours, or a choice that the caller
names) says nothing, whatever text stands beside it. A text that belongs to a part of the recording
(Label Studio's templates "using segments") is the label of that part.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from al_loop.errors import ManifestError
from al_loop.records import VERDICTS
from labeling.listing import pages
from labeling.replies import unreadable
from labeling.session import Session
from labeling.tags import Tags, find_tags, parts_of
from labeling.transcripts import Unusable, transcript

PAGE = 200
FIELDS = "id,data,annotations,result,was_cancelled,ground_truth,created_at,updated_at"
"""Of tasks, and of their annotations: the server applies one list to both."""
CODE = range(2, 4)
"""Letters that a language's code has: `ky`, `yue`."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text of a clip, or why there is none.

    address: of the audio, as the task has it. part_s: start and end of what was transcribed; None
    for all of it. ticked: the choices beside the text that are no verdicts, as `tag=value`.
    problem: why it is no label; the text is then None.
    """

    origin: str
    task_id: str
    address: str
    text: str | None = None
    part_s: tuple[float, float] | None = None
    language: str | None = None
    speaker: str | None = None
    ticked: Sequence[str] = ()
    problem: str | None = None


@dataclass(slots=True)
class Project:
    """Tasks as Label Studio writes them, in a file or page by page. name: begins every origin.

    config: the labelling interface, where it is known. unlabelled: the tasks without any answer
    that were passed so far.
    """

    name: str
    tasks: Iterable[Any]
    config: str | None = None
    unlabelled: int = field(default=0)

    def tags(self, text: str | None = None, audio: str | None = None) -> Tags:
        """Where the text is, and the audio; both as the user says, or as `find_tags` finds them."""
        return find_tags(self.config, self.tasks, text, audio)

    def labels(self, tags: Tags, verdicts: Collection[str]) -> Iterator[Labelled]:
        """The labels of every task that somebody has answered; verdicts: choices that are such."""
        for number, task in enumerate(self.tasks, start=1):
            if isinstance(task, dict) and not task.get("annotations"):
                self.unlabelled += 1
                continue
            unnamed = isinstance(task, dict) and task.get("id") is None  # written for an import
            named = {**task, "id": f"{number} of the list"} if unnamed else task
            yield from labels_of(named, self.name, tags, verdicts)


class _NoLabel(Exception):
    """A task has no label; the argument says why."""


# -- where tasks come from -------------------------------------------------------------------------


def read_export(path: Path) -> Project:
    """The project in a file that Label Studio's export made. Raises ManifestError."""
    try:
        tasks = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as exc:
        raise ManifestError(f"{path}: cannot be read as JSON: {exc}") from exc
    if not isinstance(tasks, list) or not all(isinstance(row, dict) for row in tasks):
        raise ManifestError(
            f"{path}: expected a list of tasks, as Label Studio's export JSON has it"
        )
    if tasks and not any("data" in row and "annotations" in row for row in tasks):
        raise ManifestError(
            f"{path}: its tasks have {', '.join(sorted(tasks[0]))}, expected data and annotations; "
            "export the project as JSON, not as JSON-MIN"
        )
    return Project(f"{_printable(path.name)}: task ", tasks)


def read_project(session: Session, project_id: int) -> Project:
    """The project of that number on the server. Raises OracleUnavailable or OracleRefused."""
    found = session.get(f"/api/projects/{project_id}/")
    if not isinstance(found, dict) or not isinstance(found.get("label_config"), str):
        raise unreadable(session.base_url, "a project without a labelling interface")
    name = f"{session.base_url}/projects/{project_id}/data?task="
    return Project(name, _rows(session, project_id), found["label_config"])


def _rows(session: Session, project_id: int) -> Iterator[Any]:
    """Its tasks by id, with all their fields (`include` alone leaves out annotations)."""
    for page in pages(session, project_id, include=FIELDS, size=PAGE, fields="all"):
        yield from page.rows


# -- what a task says ------------------------------------------------------------------------------


def labels_of(
    task: Any, name: str, tags: Tags, verdicts: Collection[str] = VERDICTS
) -> list[Labelled]:
    """The labels of one answered task, one for each part that was transcribed; never raises.

    A task that has none comes back once, with its problem.
    """
    origin = f"{name}{task.get('id') if isinstance(task, dict) else task}"[:300]
    try:
        task_id, data = str(task["id"]), task["data"]
        address = data.get(tags.audio)
        if not isinstance(address, str) or not address.strip():
            raise _NoLabel(f"its data names no audio in {tags.audio!r}")
        base = Labelled(
            origin,
            task_id,
            address.strip(),
            language=_code(data.get("language")),
            speaker=_plain(data.get("speaker")),
        )
        return _said(_counting(task["annotations"]), base, tags.text, verdicts)
    except _NoLabel as exc:
        return [Labelled(origin, "", "", problem=str(exc))]
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as exc:
        detail = f"it is not as Label Studio writes tasks: {exc!r} in {ascii(task)[:200]}"
        return [Labelled(origin, "", "", problem=detail)]


def _counting(answers: list[dict[str, Any]]) -> dict[str, Any]:
    """The answer that counts."""
    given = [row for row in answers if not row.get("was_cancelled")]
    if not given:
        raise _NoLabel("it was skipped")
    starred = [row for row in given if row.get("ground_truth")]
    return max(starred or given, key=_moment)


def _moment(answer: dict[str, Any]) -> datetime:
    """When it was last changed; some exports leave out the fraction of a second, some the zone."""
    time = answer.get("updated_at") or answer.get("created_at")
    moment = datetime.fromisoformat(time) if time else datetime.min
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _said(
    answer: dict[str, Any], base: Labelled, text_tag: str, verdicts: Collection[str]
) -> list[Labelled]:
    """The texts of an answer, by the part of the recording that they belong to."""
    texts: dict[tuple[float, float] | None, list[str]] = {}
    ticked: dict[tuple[float, float] | None, list[tuple[str, str]]] = {}
    for part in parts_of(answer):
        tag, value, place = str(part["from_name"]), part["value"], _place(part["value"])
        if tag == text_tag:
            said = value["text"]
            texts.setdefault(place, []).extend([said] if isinstance(said, str) else said)
        elif "choices" in value:
            ticked.setdefault(place, []).extend((tag, str(name)) for name in value["choices"])
    if None in texts and len(texts) > 1:
        raise _NoLabel("it has a text of the whole recording and texts of parts of it")
    found = []
    for place, said in sorted(texts.items(), key=lambda row: row[0] or (0.0, 0.0)):
        chosen = [*ticked.get(None, []), *(ticked.get(place, []) if place else [])]
        origin = base.origin if place is None else f"{base.origin}, {place[0]:.2f}-{place[1]:.2f} s"
        verdict = next((name for _, name in chosen if name in verdicts), None)
        text, problem = (None, f"ticked: {verdict}") if verdict else _text(said)
        found.append(
            Labelled(
                origin,
                base.task_id,
                base.address,
                text,
                place,
                base.language,
                base.speaker,
                tuple(f"{tag}={name}" for tag, name in chosen),
                problem,
            )
        )
    if not found:
        chosen = [row for rows in ticked.values() for row in rows]
        told = ", ".join(name for _, name in chosen)
        raise _NoLabel(f"ticked: {told}" if told else f"nothing was written into {text_tag!r}")
    return found


def _text(said: Sequence[str]) -> tuple[str | None, str | None]:
    """The text, or why there is none."""
    try:
        return transcript(said), None
    except Unusable as exc:
        return None, ": ".join(exc.args)


def _place(value: Mapping[str, Any]) -> tuple[float, float] | None:
    """Start and end in seconds of the part that a value is about. Raises _NoLabel."""
    if value.get("start") is None or value.get("end") is None:
        return None
    start_s, end_s = float(value["start"]), float(value["end"])
    if not 0 <= start_s < end_s < math.inf:
        raise _NoLabel(f"it has a part from {start_s:g} to {end_s:g} s")
    return start_s, end_s


def _plain(value: Any) -> str | None:
    return value if isinstance(value, str) and value and value.isprintable() else None


def _code(value: Any) -> str | None:
    """A language's code; anything else is the name of something."""
    is_code = isinstance(value, str) and len(value) in CODE and value.isascii() and value.islower()
    return value if is_code else None


def _printable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()
