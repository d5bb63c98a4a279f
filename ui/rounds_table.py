"""The rounds with what their answers took, as the overview and the report show them.

Knows neither Streamlit nor how it is shown.
"""

from __future__ import annotations

from typing import Any

from al_loop.config import Settings
from al_loop.overview import price
from storage.queries import Reader

COLUMNS = (
    "round",
    "stage",
    "opened_at",
    "recorded_at",
    "tasks",
    "answered",
    "topped_up",
    "labelled",
    "labelled_min",
    "annotator_min",
    "cost",
    "hallucinated_share",
    "decision",
    "by_hand",
)
"""In the order in which they are shown; `cost` only where an hour has a price."""


def rounds_with_costs(reader: Reader, settings: Settings) -> list[dict[str, Any]]:
    """Rows of `Reader.rounds`, with `annotator_min` and `cost` of the answers to their tasks."""
    costs = {
        row["round"]: row["annotator_s"] for row in reader.costs(settings.labels.longest_answer_s)
    }
    return [
        {
            **row,
            "annotator_min": costs.get(row["round"], 0.0) / 60,
            "cost": price(costs.get(row["round"], 0.0) / 3600, settings),
        }
        for row in reader.rounds()
    ]
