"""What a training's record says, made ready to be shown: thinned steps, settings compared. Pure.

Knows neither the database nor how a model is trained.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

MOST_POINTS = 600
"""Of a line; a screen shows no more."""


def thinned(values: Sequence[float | None], most: int = MOST_POINTS) -> list[tuple[int, float]]:
    """(step, value), steps counted from 1; what is None or no number is left out.

    Of more than `most` values those remain that are the least and the greatest of as many steps in
    a row, so that no peak is lost.
    """
    known = [
        (step, value)
        for step, value in enumerate(values, 1)
        if value is not None and math.isfinite(value)
    ]
    if len(known) <= most:
        return known
    size = math.ceil(2 * len(known) / most)
    found: list[tuple[int, float]] = []
    for start in range(0, len(known), size):
        some = known[start : start + size]
        ends = {min(some, key=lambda row: row[1]), max(some, key=lambda row: row[1])}
        found += sorted(ends)
    return found


def epoch_rows(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The epochs of a sidecar, each with what its accumulation was chosen by.

    last_step: the one that it ends with. gradient_noise: square root of tr(S), of one clip.
    expected_norm: sqrt(|G|^2 + tr(S)/B) of a step of B clips (`al_loop.whisper.noise`). None where
    the sidecar does not say it.
    """
    epochs = record.get("epochs", ())
    ends = accumulate(row.get("steps") or 0 for row in epochs)
    batch_size = record.get("settings", {}).get("batch_size")
    found = []
    for row, last_step in zip(epochs, ends, strict=True):
        variance, full = row.get("variance"), row.get("full_grad_norm")
        noise = expected = None
        if variance is not None:
            noise = math.sqrt(variance)
            if full is not None and batch_size:
                expected = math.hypot(full, noise / math.sqrt(batch_size * row["accumulation"]))
        found.append(
            {
                **row,
                "last_step": last_step,
                "gradient_noise": noise,
                "expected_norm": expected,
                "grad_norm_bound": record.get("grad_norm_bound"),
            }
        )
    return found


def settings_compared(here: Mapping[str, Any], there: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The settings that differ between two rounds, and in which stages.

    here, there: stage -> all settings when it last started. Only stages of both are compared; a
    stage that ran under other settings than its neighbours has a row of its own.
    """
    found: dict[tuple[str, str, str], list[str]] = {}
    for stage in here:
        if stage not in there:
            continue
        one, other = (dict(_flat(settings[stage])) for settings in (here, there))
        for name in sorted(one.keys() | other.keys()):
            values = tuple(_shown(row[name]) if name in row else "" for row in (one, other))
            if values[0] != values[1]:
                found.setdefault((name, values[0], values[1]), []).append(stage)
    return [
        {"setting": name, "value_here": one, "value_there": other, "stages": ", ".join(stages)}
        for (name, one, other), stages in sorted(found.items())
    ]


def _flat(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)
