"""Which tag of a labelling interface holds the transcript, and which field of a task the audio.

Pure: reads Label Studio's XML and its tasks as plain values. Knows nothing of what is transcribed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from al_loop.errors import ManifestError
from labeling.tasks import AUDIO, TEXT

SCHEMES = ("http://", "https://", "s3://", "gs://", "azure-blob://", "/data/")
SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".webm", ".wma")


@dataclass(frozen=True, slots=True)
class Tags:
    """text: the tag that holds the transcript. audio: the field of a task's data."""

    text: str
    audio: str


def find_tags(
    config: str | None, tasks: Iterable[Any], text: str | None = None, audio: str | None = None
) -> Tags:
    """The tag that holds the text and the field that holds the audio's address.

    config: the labelling interface; where it is not known, the tasks' answers tell. text, audio:
    what the user says. Among several tags the one called `transcription` is taken, as in Label
    Studio's templates and in our own interface. Raises ManifestError where it stays open.
    """
    fields = _from_config(config) if config else _from_answers(tasks)
    if not fields:
        raise ManifestError(
            "nobody wrote a text about audio here"
            if config is None
            else "the project's labelling interface has no TextArea about an Audio tag"
        )
    if text is None:
        text = _only(fields, TEXT, "tag that holds the text", "--text-tag")
    elif text not in fields:
        raise ManifestError(f"no tag {text!r} holds texts about audio; there are {_listed(fields)}")
    return Tags(text, audio or _only(fields[text], AUDIO, "field of the audio", "--audio-field"))


def _only(found: Collection[str], usual: str, what: str, option: str) -> str:
    if len(found) == 1 or usual in found:
        return usual if usual in found else next(iter(found))
    raise ManifestError(
        f"the {what} is not clear: candidates are {_listed(found)}; name it with {option}"
    )


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "(none)"


def _from_config(config: str) -> dict[str, list[str]]:
    """The fields of the audio that each text tag is about, by the tag's name.

        <Audio name="audio" value="$recording"/><TextArea name="said" toName="audio"/>

    gives {"said": ["recording"]}. Raises ManifestError when the interface is no XML.
    """
    try:
        tags = list(ElementTree.fromstring(config).iter())
    except ElementTree.ParseError as exc:
        raise ManifestError(f"the project's labelling interface is not XML: {exc}") from exc
    audio = {
        row.get("name", ""): row.get("value", "").removeprefix("$")
        for row in tags
        if row.tag.lower() in {"audio", "audioplus"}
    }
    found = {}
    for row in tags:
        heard = [audio[name] for name in row.get("toName", "").split(",") if name in audio]
        if row.tag.lower() == "textarea" and heard:
            found[row.get("name", "")] = heard
    return found


def _from_answers(tasks: Iterable[Any]) -> dict[str, list[str]]:
    """As `_from_config`, from what was written: a tag is called like its field, or the field is
    one whose values look like addresses of audio."""
    found: dict[str, Counter[str]] = {}
    for task in tasks:
        answers = task.get("annotations")
        for part in [
            part
            for answer in (answers if isinstance(answers, list) else [])
            for part in parts_of(answer)
            if part.get("type") == "textarea"
        ]:
            fields = found.setdefault(str(part.get("from_name")), Counter())
            fields.update(_audio_fields(task.get("data"), str(part.get("to_name"))))
    return {tag: list(fields) for tag, fields in found.items()}


def _audio_fields(data: Any, to_name: str) -> list[str]:
    if not isinstance(data, dict):
        return []
    if isinstance(data.get(to_name), str):
        return [to_name]
    return [
        name
        for name, value in data.items()
        if isinstance(value, str)
        and (value.startswith(SCHEMES) or value.partition("?")[0].lower().endswith(SUFFIXES))
    ]


def parts_of(answer: Any) -> list[dict[str, Any]]:
    """What an annotation consists of: each with its tag's name, its type and its value."""
    result = answer.get("result") if isinstance(answer, dict) else None
    if not isinstance(result, list):
        return []
    return [
        part for part in result if isinstance(part, dict) and isinstance(part.get("value"), dict)
    ]
