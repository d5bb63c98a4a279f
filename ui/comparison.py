"""Two checkpoints, or two simulations, compared clip by clip: what the compare view shows.

Asks a Reader and computes; the statistics are those of `al_loop.paired` and, for simulations,
`al_loop.simulation`. Knows no Streamlit.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from al_loop.metrics import Interval
from al_loop.paired import count, paired
from al_loop.text import normalise
from storage.queries import Reader
from ui.batch import CLIP_LETTERS

Finding = Literal["better", "worse", "unsure", "unpaired"]
CHANGE = ["utterance_id", "clip", "evaluation_set", "reference", "heard_from", "heard_to"]
CHANGE += ["words", "errors_from", "errors_to", "errors_change"]


# -- two rounds ------------------------------------------------------------------------------------


def last_change(reader: Reader, to: int) -> int:
    """The newest recorded round before `to` after which another checkpoint was in use.

    Where there is none, the first of the other recorded rounds.
    """
    recorded = [row["round"] for row in reader.rounds() if row["stage"] is None]
    in_use = reader.in_use_after(to)
    for number in recorded[::-1]:
        if number < to and reader.in_use_after(number) != in_use:
            return number
    return next((number for number in recorded if number != to), to)


def compared_sets(reader: Reader, one: int, to: int, samples: int) -> list[dict[str, Any]]:
    """One row an evaluation set that was measured after both rounds, by its name.

    wer_from, wer_to with `_low` and `_high`: as `Reader.error_rates` has them. wer_change,
    change_low, change_high: paired, on the clips that both heard; None where there are none.
    """
    rates = {(row["round"], row["evaluation_set"]): row for row in reader.error_rates()}
    heard = _heard_by_both(reader, one, to)
    found = []
    for number, name in sorted(rates, key=str):
        if number != to or (one, name) not in rates:
            continue
        before, after = rates[one, name], rates[to, name]
        rows = [row for row in heard if row["evaluation_set"] == name]
        change = paired(rows, after["language"], samples)
        moved = [row["errors_to"] - row["errors_from"] for row in _counted(rows)]
        found.append(
            {
                "evaluation_set": name,
                "language": after["language"],
                **{f"wer_from{end}": before[f"wer{end}"] for end in ("", "_low", "_high")},
                **{f"wer_to{end}": after[f"wer{end}"] for end in ("", "_low", "_high")},
                "wer_change": change and change.change,
                "change_low": change and change.low,
                "change_high": change and change.high,
                "finding": "unpaired" if change is None else finding(change.low, change.high),
                "both_heard": len(moved),
                "got_better": sum(by < 0 for by in moved),
                "got_worse": sum(by > 0 for by in moved),
            }
        )
    return found


def finding(low: float, high: float) -> Finding:
    """What a change in WER with this 95% interval says."""
    return "better" if high < 0 else "worse" if low > 0 else "unsure"


def changes(reader: Reader, one: int, to: int) -> pd.DataFrame:
    """Every test clip that both checkpoints heard, with the errors of each."""
    return pd.DataFrame(
        _counted(_heard_by_both(reader, one, to)),
        columns=CHANGE,
    )


def clips_of(frame: pd.DataFrame, which: str, evaluation_set: str | None) -> pd.DataFrame:
    """which: "worse" or "better", those that changed most first; "all", in the same order."""
    kept = frame if evaluation_set is None else frame[frame["evaluation_set"] == evaluation_set]
    change = kept["errors_change"]
    if which == "better":
        return kept[change < 0].sort_values("errors_change", kind="stable")
    kept = kept[change > 0] if which == "worse" else kept
    return kept.sort_values("errors_change", ascending=False, kind="stable")


def _heard_by_both(reader: Reader, one: int, to: int) -> list[dict[str, Any]]:
    """Reference of each test clip, and as `one` and `other` what was heard after either round."""
    first = {row["utterance_id"]: row["hypothesis"] for row in reader.tested(one)}
    return [
        {
            "utterance_id": row["utterance_id"],
            "evaluation_set": row["source"],
            "language": row["language"],
            "reference": row["reference"] or "",
            "one": first[row["utterance_id"]],
            "other": row["hypothesis"],
        }
        for row in reader.tested(to)
        if row["utterance_id"] in first
    ]


def _counted(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Those in which something is said, with their word errors."""
    found = []
    for row in rows:
        if not normalise(row["reference"], row["language"]):
            continue
        before, after = (
            count(row["reference"], row[side], row["language"]) for side in ("one", "other")
        )
        found.append(
            {
                "utterance_id": row["utterance_id"],
                "clip": row["utterance_id"][:CLIP_LETTERS],
                "evaluation_set": row["evaluation_set"],
                "reference": row["reference"],
                "heard_from": row["one"],
                "heard_to": row["other"],
                "words": after.words,
                "errors_from": before.word_errors,
                "errors_to": after.word_errors,
                "errors_change": after.word_errors - before.word_errors,
            }
        )
    return found


# -- two simulations -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Simulated:
    """Two simulations compared. missing: why there is less than all of it.

    curves: one row a point, `compared`, `minutes`, `wer`, `wer_low`, `wer_high`. table: one row
    each, what it came to. change: of the final WER from the first to the second, up to the audio
    that both have spent. clips: as `changes` has them, of the last round; errors are means over
    seeds.
    """

    missing: Literal["", "unlike", "unfinished", "sets_changed"] = ""
    seeds: int = 0
    curves: Sequence[Mapping[str, Any]] = ()
    table: Sequence[Mapping[str, Any]] = ()
    change: Mapping[str, Any] = field(default_factory=dict)
    clips: Sequence[Mapping[str, Any]] = ()


def compared_simulations(
    reader: Reader,
    chosen: Mapping[str, tuple[str, str]],
    language: str,
    samples: int,
    seed: int,
) -> Simulated:
    """What `simulate` prints of the first of two strategies as baseline and of the second.

    chosen: what each is called -> its simulation and its strategy. Over the seeds and rounds that
    both have finished.
    """
    # they bring scikit-learn with them, which no other view needs
    from al_loop.simulation.point import Point
    from al_loop.simulation.results import results

    points = []
    for label, (name, strategy) in chosen.items():
        for row in reader.simulation_points(name):
            if row["strategy"] == strategy:
                errors, words = zip(*json.loads(row["utterance_errors"]), strict=True)
                values = {key: row[key] for key in Point.__dataclass_fields__}
                points.append(
                    Point(**values | {"strategy": label, "errors": errors, "words": words})
                )
    if len({tuple(row.words) for row in points}) != 1:
        return Simulated("unlike")
    one, to = chosen
    places = [{(row.seed, row.round) for row in points if row.strategy == name} for name in chosen]
    common = places[0] & places[1]
    rounds = {number for _, number in common}
    seeds = {row for row, _ in common if all((row, number) in common for number in rounds)}
    if not seeds:
        return Simulated("unfinished")
    kept = [row for row in points if row.round in rounds and row.seed in seeds]
    found = {row.strategy: row for row in results(kept, np.random.default_rng(seed), samples, one)}
    change = found[to].final_difference
    clips = _simulated_clips(
        [row for row in kept if row.round == max(rounds)],
        one,
        reader.test_utterances(language),
        language,
    )
    return Simulated(
        "" if clips else "sets_changed",
        len(seeds),
        [
            {
                "compared": name,
                "minutes": step.chosen_s / 60,
                "round": step.round,
                **_ends("wer", step.wer),
            }
            for name in chosen
            for step in found[name].steps
        ],
        [
            {
                "compared": name,
                "seeds": len(seeds),
                "asked_minutes": found[name].steps[-1].chosen_s / 60,
                "final_wer": found[name].steps[-1].wer.value,
                "wer_low": found[name].steps[-1].wer.low,
                "wer_high": found[name].steps[-1].wer.high,
                "minutes_to_reach": _finite(found[name].seconds.value / 60),
                "junk_share": found[name].junk_share.value,
            }
            for name in chosen
        ],
        {
            "value": change.value,
            "low": change.low,
            "high": change.high,
            "finding": finding(change.low, change.high),
        },
        clips,
    )


def _simulated_clips(
    points: Sequence[Any], baseline: str, tests: Sequence[Mapping[str, Any]], language: str
) -> list[dict[str, Any]]:
    """points: of the last round. Their errors are in the order of ids, without the ids.

    Empty where the evaluation sets of today are not those that were simulated with.
    """
    spoken = [row for row in tests if normalise(row["reference"] or "", language)]
    words = [len(normalise(row["reference"], language).split()) for row in spoken]
    if words != list(points[0].words):
        return []
    before, after = (
        np.mean([row.errors for row in points if (row.strategy == baseline) == first], axis=0)
        for first in (True, False)
    )
    return [
        {
            **row,
            "clip": row["utterance_id"][:CLIP_LETTERS],
            "evaluation_set": row["source"],
            "words": length,
            "errors_from": float(one),
            "errors_to": float(other),
            "errors_change": float(other - one),
        }
        for row, length, one, other in zip(spoken, words, before, after, strict=True)
    ]


def _ends(name: str, row: Interval) -> dict[str, float]:
    return {name: row.value, f"{name}_low": row.low, f"{name}_high": row.high}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
