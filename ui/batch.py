"""A round's query batch as a table: what was chosen, why, what came back, and how wrong it was.

Pure but for the questions that it asks a Reader; knows no Streamlit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from al_loop.metrics import count_errors
from al_loop.records import VERDICTS
from storage.queries import Reader
from ui.language import Say

CLIP_LETTERS = 12
"""Of an id; addresses, and `al-loop gates release`, take the beginning of one."""
ANSWERS = ("open", "answered", "labelled", "disputed", *VERDICTS)
"""What may have come of a task. answered: but not settled yet."""
ORDERS: Mapping[str, tuple[str, bool]] = {
    "rank": ("rank", True),
    "score": ("acquisition_score", False),
    "worst": ("hypothesis_wer", False),
    "gain": ("gain", False),
    "loss": ("gain", True),
    "longest": ("duration_s", False),
    "quality": ("quality", True),
}
"""Orders of the table: by which column, and whether its least comes first."""
SEARCHED = ("utterance_id", "speaker", "hypothesis", "heard_after", "label")


def batch_table(reader: Reader, round_number: int) -> pd.DataFrame:
    """One row a member, by rank: the columns of `Reader.batch`, and what follows from them.

    clip: the beginning of its id. rank: from 1. heard_after: by the round's candidate. answer: one
    of ANSWERS. label: a disputed one too. hypothesis_wer, after_wer: by the label, nan without one
    and by a disputed one; gain: the first less the second. flags: one text.
    """
    rows = []
    for row in reader.batch(round_number):
        before, after = (
            error_rate(row["label"], row[name], row["language"]) for name in ("hypothesis", "after")
        )
        rows.append(
            row
            | {
                "clip": row["utterance_id"][:CLIP_LETTERS],
                "rank": place(row["rank"]),
                "answer": answer(row),
                "label": row["disputed"] if row["label"] is None else row["label"],
                "hypothesis_wer": before,
                "after_wer": after,
                "gain": None if before is None or after is None else before - after,
                "heard_after": row["after"],
                "flags": "; ".join(json.loads(row["flags"] or "[]")),
            }
        )
    frame = pd.DataFrame(rows)
    for name in ("hypothesis_wer", "after_wer", "gain", "quality"):
        if rows:
            frame[name] = frame[name].astype(float)
    return frame


def answer(row: Mapping[str, Any]) -> str:
    """Which of ANSWERS a row of a batch is. A disputed label has a text that is not trained on."""
    if row["settled"] == "disputed":
        return "disputed"
    if row["verdict"] or row["label"] is not None:
        return row["verdict"] or "labelled"
    return "answered" if row["answered"] else "open"


def error_rate(said: str | None, heard: str | None, language: str) -> float | None:
    """WER of one text; None where one is missing, or nothing is said once it is normalised."""
    if said is None or heard is None:
        return None
    try:
        found = count_errors(said, heard, language)
    except ValueError:
        return None
    return found.word_errors / found.words


def filtered(
    frame: pd.DataFrame,
    arm: str | None = None,
    answered: str | None = None,
    source: str | None = None,
    contains: str = "",
    order: str = "rank",
) -> pd.DataFrame:
    """The rows that are asked for, in one of ORDERS. contains: in a text, a speaker or an id."""
    kept = pd.Series(True, index=frame.index)
    for name, wanted in (("arm", arm), ("answer", answered), ("source", source)):
        if wanted is not None:
            kept &= frame[name] == wanted
    if part := contains.strip().casefold():
        first, *others = (frame[name].fillna("").astype(str) for name in SEARCHED)
        kept &= first.str.cat(others, sep="\n").str.casefold().str.contains(part, regex=False)
    by, ascending = ORDERS[order]
    return frame[kept].sort_values(by, ascending=ascending, kind="stable", na_position="last")


def place(rank: int) -> int:
    """A rank as it is shown: the database counts from 0, readers from 1."""
    return rank + 1


def asked_about(say: Say, clip: Mapping[str, Any]) -> str:
    """When and as what a member of a batch was chosen. clip: as `Reader.utterance` has it."""
    return say(
        "round.asked",
        round=clip["asked_in"],
        rank=place(clip["rank"]),
        arm=arm_names(say)[clip["arm"]],
        score=f"{clip['acquisition_score']:.3g}",
    )


def why(say: Say, row: Mapping[str, Any], acquisition: str) -> str:
    """Why a member was chosen, in the reader's words. acquisition: what ranked the batch."""
    gate = gate_name(say, row["gate"]) if row["gate"] else "?"
    return say(f"round.why_{row['arm']}", acquisition=acquisition or "?", gate=gate)


def gate_name(say: Say, gate: str) -> str:
    """What a gate finds wrong, in the reader's words; its own name where there are none."""
    return say(f"round.gate_{gate}") if say.has(f"round.gate_{gate}") else gate


def arm_names(say: Say) -> dict[str, str]:
    return {name: say(f"round.arm_{name}") for name in ("acquired", "control", "explored")}


def answer_names(say: Say) -> dict[str, str]:
    return {name: say(f"round.answer_{name}") for name in ANSWERS}
