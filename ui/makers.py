"""Which models made what training may use, and what their licences allow.

A licence is what the workspace has on record, and what follows from its name; this is no legal
advice. Knows Streamlit and the queries; the words about one name are pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from al_loop.licences import UNKNOWN, is_non_commercial
from al_loop.records import PSEUDO_LABEL
from storage.queries import Reader
from ui.elements import as_code, show_table
from ui.language import Say
from ui.view import View

SEPARATOR = re.compile(r"[;,] | \+ ")
"""Between the names of several models that made one text or one clip."""
COLUMNS = ("source", "source_kind", "maker", "licence", "non_commercial", "utterances", "hours")


def makers_of(made_by: str, licences: Mapping[str, str]) -> list[tuple[str, str | None]]:
    """The models that `made_by` names, each with its licence; None where none is on record."""
    names = [made_by] if made_by in licences else SEPARATOR.split(made_by)
    return [(name, _known(licences.get(name))) for name in names if name]


def _known(licence: str | None) -> str | None:
    return None if licence == UNKNOWN else licence


def worded(say: Say, made_by: str, licences: Mapping[str, str]) -> str:
    """Each model with its licence, in a line."""
    return "; ".join(
        say("data.maker", maker=name, licence=licence or say("data.licence_unknown"))
        for name, licence in makers_of(made_by, licences)
    )


def show_makers(view: View) -> None:
    """The models behind each source, and which of them may not be used commercially."""
    say = view.say
    rows = maker_rows(
        [*view.ask(Reader.makers_of_sources), *_of_pseudo_labels(view)],
        view.ask(Reader.licences),
    )
    st.subheader(say("data.makers"), anchor=False)
    if not rows:
        st.caption(say("data.no_maker"))
        return
    st.caption(say("data.makers_caption"))
    barred = list(dict.fromkeys(row["maker"] for row in rows if row["non_commercial"]))
    unknown = list(dict.fromkeys(row["maker"] for row in rows if row["licence"] is None))
    if barred:
        st.warning(say("data.non_commercial", makers=", ".join(map(as_code, barred))))
    if unknown:
        st.caption(say("data.unknown_licences", makers=", ".join(map(as_code, unknown))))
    frame = pd.DataFrame(rows)
    frame["licence"] = frame["licence"].fillna(say("data.licence_unknown"))
    show_table(view, frame, COLUMNS, say("data.makers"))


def maker_rows(
    rows: Sequence[Mapping[str, Any]], licences: Mapping[str, str]
) -> list[dict[str, Any]]:
    """One row a source and model. rows: as `Reader.makers_of_sources` has them.

    hours: None where it is not known.
    """
    found = []
    for row in rows:
        seconds = row.get("duration_s")
        for name, licence in makers_of(row["made_by"], licences):
            found.append(
                {
                    "source": row["source"],
                    "source_kind": row["kind"],
                    "maker": name,
                    "licence": licence,
                    "non_commercial": is_non_commercial(licence or ""),
                    "utterances": row["utterances"],
                    "hours": None if seconds is None else seconds / 3600,
                }
            )
    return found


def _of_pseudo_labels(view: View) -> list[dict[str, Any]]:
    return [
        row | {"source": PSEUDO_LABEL, "kind": "pseudo_label"}
        for row in view.ask(Reader.makers_of_pseudo_labels)
    ]
