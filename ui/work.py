"""What is in hand, with a bar for how far it is, and what could not be worked on.

As `al-loop status` says it. Whether a process goes on is looked up at every look, for the database
does not change when one is killed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from al_loop.progress import Standing, standing
from al_loop.records import STAGES
from al_loop.report import pace_of, span_of
from storage.queries import Reader
from ui.elements import as_code
from ui.language import Say
from ui.sentences import at_minute, stage
from ui.view import View


def show_work(view: View) -> None:
    """A bar for each work. Nothing, where there is none and all clips could be worked on."""
    now = datetime.now(UTC)
    for row in view.ask(Reader.work):
        share = min(row["done"] / row["total"], 1.0) if row["total"] else 0.0
        st.progress(share, text=work_sentence(row, standing(row, now), view.say, as_code))
    if rows := view.ask(Reader.unhearable):
        reasons = ", ".join(f"{as_code(row['reason'])} {row['utterances']:,}" for row in rows)
        st.caption(view.say("overview.work_unhearable", reasons=reasons))


def work_sentence(
    row: Mapping[str, Any], found: Standing, say: Say, quote: Callable[[str], str]
) -> str:
    """row: of the table `progress`. found: how it stands with it."""
    whose = row["stage"]
    if whose is None:
        whose = say("overview.work_command")
    else:
        whose = stage(whose, say) if whose in (*STAGES, "open") else quote(whose)
    what = row["what"] if say.has(f"overview.work_{row['what']}") else "other"
    done = say(f"overview.work_{what}", done=f"{row['done']:,}", total=f"{row['total']:,}")
    said = [f"{whose}: {done}"]
    if found.still_since is not None:
        return say("overview.work_still", work=said[0], at=at_minute(found.still_since))
    if row["workers"] > 1:
        said.append(say("overview.workers", workers=row["workers"]))
    if found.rate is not None and found.left_s is not None:
        clips, unit = pace_of(found.rate)
        said.append(say(f"overview.pace_a_{unit}", clips=clips))
        amount, unit = span_of(found.left_s)
        said.append(say(f"overview.left_{unit}", amount=amount))
    return ", ".join(said)
