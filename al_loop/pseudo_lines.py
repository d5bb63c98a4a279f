"""What came of making pseudo-labels, in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SHOWN = 12
"""Thresholds that a table shows."""


def lines(report: Mapping[str, Any]) -> list[str]:
    """Who heard, what agreement is worth, and what was kept."""
    known = report["calibration"]["clips"]
    found = [
        f"{row['name']} ({row['id']}): WER {_percent(row['wer'])}% on {known} clips of known words"
        for row in report["recognisers"]
    ]
    return [*found, *table(report), kept_line(report)]


def table(report: Mapping[str, Any]) -> list[str]:
    """Volume against precision, at a dozen thresholds at most."""
    points = report["curve"]
    step = max(1, -(-len(points) // SHOWN))
    chosen = [row for row in points if row["threshold"] == report["threshold"]]
    shown = [*points[::step], *(row for row in chosen if row not in points[::step])]
    found = ["threshold   right words, %           of the pool"] if shown else []
    for row in sorted(shown, key=lambda row: -float(row["threshold"])):
        right = (
            f"{_percent(row['precision'])} ({_percent(row['precision_low'])} to "
            f"{_percent(row['precision_high'])})"
        )
        mark = "  <" if row in chosen else ""
        found.append(
            f"{row['threshold']:9.3f}   {right:<22}   {row['clips']} clips, "
            f"{row['seconds'] / 60:.1f} min{mark}"
        )
    return found


def kept_line(report: Mapping[str, Any]) -> str:
    before = report.get("kept_before")
    also = f"; {before} kept from before, not measured again" if before else ""
    return f"{_kept(report)}{also}"


def _kept(report: Mapping[str, Any]) -> str:
    if refused := report.get("refused"):
        return f"no pseudo-labels: {refused}"
    if report["threshold"] is None:
        return (
            f"no pseudo-labels: no agreement is worth {_percent(report['target'])}% right words; "
            "label more, or lower pseudo_labels.precision"
        )
    volume, right = report["volume"], report["precision"]
    left_out = f", {report['leaked']} left out for an evaluation set" if report["leaked"] else ""
    if measured_on := report.get("calibrated_on"):
        left_out += f", {measured_on} for a clip of known words"
    if unreadable := report.get("unreadable"):
        left_out += f", {len(unreadable)} cannot be read"
    return (
        f"{volume['clips']} of {report['candidates']['clips']} clips "
        f"({volume['seconds'] / 60:.1f} min) get a text at agreement {report['threshold']:.3f}: "
        f"{_percent(right['value'])}% ({_percent(right['low'])} to {_percent(right['high'])}) of "
        f"the words are right{left_out}"
    )


def _percent(share: float | None) -> str:
    return "?" if share is None else f"{100 * share:.1f}"
