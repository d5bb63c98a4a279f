"""A round's report in plain sentences, for the terminal and the dashboard. Knows only its JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from al_loop.records import JUNK


def lines(report: Mapping[str, Any]) -> list[str]:
    """What `al_loop.evidence.round_report` gave: the arms, what choosing saved, the curve."""
    found = [f"in round {report['number']}:", *_compared_lines(report["round"])]
    if report["asked_rounds"] > 1:
        found.append(f"in all {report['asked_rounds']} rounds that asked:")
        found += _compared_lines(report["all"])
    if any(report[part]["saved"]["minutes"] is not None for part in ("round", "all")):
        found += [f"estimated by {report['method']}", report["note"]]
    return found + curve_lines(report["curve"])


def _compared_lines(part: Mapping[str, Any]) -> list[str]:
    found = [f"  {arm}: {_arm_line(row)}" for arm, row in part["arms"].items() if row["tasks"]]
    if not found:
        return ["  no answers, so nothing to compare"]
    difference = part["difference"]
    if difference["wer"] is not None:
        found.append(
            f"  acquired minus control: WER {_range(difference, 'wer', 100)} points"
            f"{_noise(difference, 'wer')}"
        )
    if difference["edits_per_minute"] is not None:
        found.append(
            f"  acquired minus control: {_range(difference, 'edits_per_minute')} edits a minute"
            f"{_noise(difference, 'edits_per_minute')}"
        )
    return [*found, f"  {_saved_line(part['saved'])}"]


def _arm_line(arm: Mapping[str, Any]) -> str:
    said = [f"{arm['tasks']} clips, {arm['labelled']} labelled"]
    counts = [f"{arm[name]} {name.replace('_', ' ')}" for name in JUNK if arm[name]]
    if counts:
        said.append(f"{arm['junk_share']:.0%} junk ({', '.join(counts)})")
    if arm["wer"] is not None:
        said.append(f"WER of the hypotheses {_range(arm, 'wer', 100, '%')}")
    if arm["edits_per_minute"] is not None:
        said.append(f"{_range(arm, 'edits_per_minute')} edits a minute")
    return ", ".join(said)


def _saved_line(saved: Mapping[str, Any]) -> str:
    if saved["minutes"] is None:
        return f"minutes saved cannot be told: {saved['reason']}"
    values = [saved["minutes_low"], saved["minutes_high"]]
    what, sign = "saved", 1
    if saved["minutes"] < 0:
        values, what, sign = values[::-1], "lost", -1
    low, high = ("unbounded" if end is None else f"{sign * end:.1f}" for end in values)
    return (
        f"about {sign * saved['minutes']:.1f} minutes ({low} to {high}) were {what} against "
        f"random choice{_noise(saved, 'minutes')}"
    )


def _noise(row: Mapping[str, Any], name: str) -> str:
    """A clause where the interval holds 0; a bound that is not to be had is beyond it."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    within = (low is None or low <= 0) and (high is None or high >= 0)
    return ": no difference beyond noise" if within else ""


def curve_lines(report: Mapping[str, Any]) -> list[str]:
    """What `al_loop.stopping.curve_report` gave: where it stands, the forecast, the advice."""
    found = []
    if report["points"]:
        last = report["points"][-1]
        found.append(
            f"learning curve: WER {_range(last, 'wer', 100, '%')} in round {last['round']}, with "
            f"{last['labelled_h']:.2f} labelled hours"
        )
    if report["forecast"]:
        ahead = ", ".join(
            f"{_range(row, 'wer', 100, '%')} with {row['labelled_h']:.2f} h"
            for row in report["forecast"]
        )
        gain = report["marginal"]
        found.append(f"forecast of the next rounds: {ahead}")
        found.append(
            f"by the curve, the next {report['step_h']:.2f} h gain {gain['points_per_h']:.1f} "
            f"points of WER a labelled hour ({gain['low']:.1f} to {gain['high']:.1f})"
        )
    elif report["why_no_curve"]:
        found.append(f"no forecast: {report['why_no_curve']}")
    return [*found, f"advice: {report['advice']['text']}"]


def _range(row: Mapping[str, Any], name: str, factor: float = 1, unit: str = "") -> str:
    """`61.2% (50.1 to 70.3)`."""
    value, low, high = (
        "?" if row[key] is None else f"{factor * row[key]:.1f}"
        for key in (name, f"{name}_low", f"{name}_high")
    )
    return f"{value}{unit} ({low} to {high})"
