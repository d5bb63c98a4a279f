"""What an utterance shares with others: its speaker, or its recording. Pure; knows no set."""

from __future__ import annotations

from typing import Literal, get_args

By = Literal["speaker", "recording", "clip"]
WAYS: tuple[By, ...] = get_args(By)


def group_of(speaker: str | None, origin: str, utterance_id: str, by: By) -> str:
    """What an utterance shares with others that a model must not learn from.

    That is the speaker where one is known, else the recording: the part of the origin before a `#`,
    or else the file's folder.
    """
    if by == "clip":
        return utterance_id
    if by == "speaker" and speaker is not None:
        return f"speaker {speaker}"
    recording, cut, _ = origin.partition("#")
    return f"recording {recording if cut else origin.rpartition('/')[0]}"
