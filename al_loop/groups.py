"""What an utterance shares with others: its speaker, or its recording. Pure; knows no set.

Who speaks in a part of a recording may be written down or not. Two parts of one recording may be
of one voice unless each names another, so wherever a voice must stay apart, they are asked about
together: `own_groups` of the one meet `kin_of` the other.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Literal, get_args

By = Literal["speaker", "recording", "clip"]
WAYS: tuple[By, ...] = get_args(By)
TIMES = re.compile(r"\d+(\.\d+)?-(\d+(\.\d+)?)?")
"""Of a part of a recording, in seconds, behind the last `#` of its origin: names may hold one."""


def cut_from(origin: str) -> str | None:
    """The recording that a clip was cut out of, as its origin says; None: it is none's part."""
    recording, _, times = origin.rpartition("#")
    return recording if recording and TIMES.fullmatch(times) else None


def group_of(speaker: str | None, origin: str, utterance_id: str, by: By) -> str:
    """What an utterance shares with others that a model must not learn from.

    That is the speaker where one is known, else the recording: the one that it was cut
    from, or else the file's folder.
    """
    if by == "clip":
        return utterance_id
    if by == "speaker" and speaker is not None:
        return f"speaker {speaker}"
    return f"recording {cut_from(origin) or origin.rpartition('/')[0]}"


def own_groups(speaker: str | None, origin: str, utterance_id: str, by: By) -> frozenset[str]:
    """All groups that an utterance is of: by speaker, a part whose speaker is known is of its
    recording's known voices too."""
    own = group_of(speaker, origin, utterance_id, by)
    if by == "speaker" and speaker is not None and cut_from(origin):
        return frozenset((own, _named(origin)))
    return frozenset((own,))


def kin_of(speaker: str | None, origin: str, utterance_id: str, by: By) -> frozenset[str]:
    """The groups whose utterances may be of the same voice, or recording, as this one."""
    own = group_of(speaker, origin, utterance_id, by)
    if by != "speaker" or not cut_from(origin):
        return frozenset((own,))
    if speaker is None:
        return frozenset((own, _named(origin)))
    return frozenset((own, group_of(None, origin, utterance_id, by)))


def _named(origin: str) -> str:
    return f"{group_of(None, origin, '', 'speaker')} (its speakers are known)"


def reached(groups: Collection[str], rows: Iterable[tuple[str | None, str]]) -> set[str]:
    """The groups by speaker, and all that `rows` (speaker, origin) join to them, step by step."""
    found = set(groups)
    left = {
        (own_groups(speaker, origin, "", "speaker"), kin_of(speaker, origin, "", "speaker"))
        for speaker, origin in rows
    }
    while met := {(own, kin) for own, kin in left if kin & found}:
        left -= met
        found.update(*(own for own, _ in met))
    return found


def joined(rows: Iterable[tuple[str | None, str, str]], by: By) -> dict[str, str]:
    """What `group_of` gives each row (speaker, origin, id), and the one group that stands for all
    that are joined to it: parts of one recording, some of whose speakers are known."""
    found: dict[str, str] = {}

    def root(group: str) -> str:
        while found[group] != group:
            found[group] = group = found[found[group]]
        return group

    speakers: dict[str, set[str]] = {}
    for speaker, origin, id_ in rows:
        own = group_of(speaker, origin, id_, by)
        found.setdefault(own, own)
        if by == "speaker" and speaker is not None and cut_from(origin):
            speakers.setdefault(group_of(None, origin, id_, by), set()).add(own)
    for recording, named in speakers.items():
        if recording in found:
            for speaker_group in named:
                first, second = sorted((root(recording), root(speaker_group)))
                found[second] = first
    return {group: root(group) for group in found}
