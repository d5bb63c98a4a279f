"""Whether choosing pays: the arms of the query batches compared, round by round and in all. Pure.

Two measures: the WER of the hypotheses that annotators were shown, and the word errors that they
mended a minute. Finding errors faster is not yet a lower WER; that, `al_loop.arms` proves. Knows
neither the database nor how a batch was chosen; `al_loop.evidence_lines` puts it in words.

Intervals are percentile bootstraps over the answers of an arm in a round (Bisani and Ney, ICASSP
2004); the arms hold different utterances, so they are resampled each by itself. Over several rounds
arms are compared within each: see `al_loop.evidence_sums`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import numpy as np

from al_loop.evidence_lines import lines
from al_loop.evidence_sums import Sums, add_up, difference, minutes_saved, resampled
from al_loop.metrics import HIGH, LOW, count_errors
from al_loop.records import JUNK, Answer, Arm, CurvePoint
from al_loop.stopping import curve_report
from al_loop.text import normalise

__all__ = ["compare", "lines", "longest_lead_s", "round_report"]

ARMS: tuple[Arm, ...] = get_args(Arm)
FEWEST = 5
"""Answers that an arm needs before it is compared with another. Ours."""
NO_ROUND = "no round has enough answers of both arms, and arms are compared within rounds"
METHOD = "equal errors found"
METHOD_DESCRIBED = (
    "the minutes that the control arm's rate would have needed for as many word errors as were "
    "mended in the acquired arm, less the minutes that these took. The control arm is drawn from "
    "what the gates let through, so what the gates save is not in it; several rounds are compared "
    "each within itself and added up (Mantel and Haenszel, 1959)"
)
NOTE = (
    "Finding errors faster is not yet a lower WER: `al-loop arms` trains on each arm at equal "
    "seconds and measures that"
)


def round_report(
    answers: Sequence[Answer],
    round_number: int,
    points: Sequence[CurvePoint],
    language: str,
    rng: np.random.Generator,
    samples: int,
    budget_s: float,
) -> dict[str, Any]:
    """All that a round has to show for itself, ready for JSON.

    answers, points: of all rounds; later ones than `round_number` are left out. language: of the
    learning curve. samples: resamples behind every interval. "round" holds this round's arms,
    "all" those of all rounds so far, both as `compare` gives them; "curve" is `curve_report`'s.
    """
    known = [row for row in answers if row.round <= round_number]
    most_s = longest_lead_s(known)
    seed = int(rng.integers(2**63))
    parts = {
        "round": [row for row in known if row.round == round_number],
        "all": known,
    }
    return {
        "number": round_number,
        "asked_rounds": len({row.round for row in known}),
        "longest_lead_s": most_s,
        # the same draws for both, or a first round would differ from all rounds
        **{
            name: compare(rows, most_s, np.random.default_rng(seed), samples)
            for name, rows in parts.items()
        },
        "method": f"{METHOD}: {METHOD_DESCRIBED}",
        "note": NOTE,
        "curve": curve_report(
            [row for row in points if row.round <= round_number], language, rng, samples, budget_s
        ),
    }


def longest_lead_s(answers: Sequence[Answer]) -> float | None:
    """The lead time above which an annotator is taken to have had a break, None without any.

    Tukey's upper fence (Exploratory Data Analysis, 1977) over the logarithms, as working times are
    skewed, but three times the median at least (ours).
    """
    times = np.array([row.lead_time_s for row in answers if row.lead_time_s], dtype=np.float64)
    times = times[np.isfinite(times) & (times > 0)]
    if not len(times):
        return None
    lower, median, upper = np.percentile(np.log(times), [25, 50, 75])
    return float(np.exp(max(upper + 1.5 * (upper - lower), median + math.log(3))))


def compare(
    answers: Sequence[Answer], most_s: float | None, rng: np.random.Generator, samples: int
) -> dict[str, Any]:
    """The arms, the difference of acquired and control, and what choosing saved.

    most_s: lead times are cut to this. Numbers that cannot be had are None.
    """
    arms: dict[str, dict[str, Any]] = {}
    once: dict[str, Sums] = {}
    drawn: dict[str, Sums] = {}
    rounds = sorted({row.round for row in answers})
    for arm in ARMS:
        rows = [row for row in answers if row.arm == arm]
        tables = [_table([row for row in rows if row.round == number], most_s) for number in rounds]
        once[arm] = add_up(tables)
        drawn[arm] = resampled(tables, rng, samples)
        arms[arm] = {
            **_tally(rows, most_s),
            "words": int(once[arm].words.sum()),
            "word_errors": int(once[arm].word_errors.sum()),
            **_interval("wer", once[arm].wer, drawn[arm].wer),
            **_interval(
                "edits_per_minute", once[arm].edits_per_minute, drawn[arm].edits_per_minute
            ),
        }
    return {
        "arms": arms,
        "difference": {
            **_difference(arms, once, drawn, "wer", "compared", ("word_errors", "words"), 1),
            **_difference(arms, once, drawn, "edits_per_minute", "timed", ("edits", "seconds"), 60),
        },
        "saved": _saved(arms, once, drawn),
    }


def _table(rows: Sequence[Answer], most_s: float | None) -> np.ndarray:
    """(N, 4): what each answer adds to `Sums`."""
    return np.array([_counts(row, most_s) for row in rows], dtype=float).reshape(len(rows), 4)


def _counts(row: Answer, most_s: float | None) -> tuple[float, float, float, float]:
    """What one answer adds to `Sums`, in the order of its fields."""
    seconds = _lead_s(row, most_s)
    if row.text is None:
        return 0, 0, 0, seconds or 0
    if row.hypothesis is None:
        return 0, 0, 0, 0  # what there was to mend is not known, so neither is the rate
    errors, words = _errors(row.text, row.hypothesis.text, row.language)
    return errors, words, 0 if seconds is None else errors, seconds or 0


def _errors(text: str, heard: str, language: str) -> tuple[int, int]:
    """Word errors and words. A label without a word makes errors of all that was heard."""
    if not normalise(text, language):
        return len(normalise(heard, language).split()), 0
    counts = count_errors(text, heard, language)
    return counts.word_errors, counts.words


def _lead_s(row: Answer, most_s: float | None) -> float | None:
    if row.lead_time_s is None or most_s is None or not 0 < row.lead_time_s < math.inf:
        return None
    return min(row.lead_time_s, most_s)


def _tally(rows: Sequence[Answer], most_s: float | None) -> dict[str, Any]:
    """Counts and seconds of one arm. tasks: those that have an answer."""
    verdicts = [row.verdict for row in rows]
    junk: dict[str, int] = {verdict: verdicts.count(verdict) for verdict in JUNK}
    times = [_lead_s(row, most_s) for row in rows]
    labelled = [row.text is not None for row in rows]
    heard = [row.hypothesis is not None for row in rows]
    return {
        "tasks": len(rows),
        "labelled": sum(labelled),
        **junk,
        "skipped": verdicts.count("skipped"),
        "junk_share": sum(junk.values()) / len(rows) if rows else None,
        "audio_s": float(sum(row.duration_s for row in rows)),
        "annotator_s": float(sum(filter(None, times))),
        "without_time": times.count(None),
        "compared": sum(a and b for a, b in zip(labelled, heard, strict=True)),
        "timed": sum(
            time is not None and (known or not text)
            for time, known, text in zip(times, heard, labelled, strict=True)
        ),
    }


def _interval(name: str, value: np.ndarray, draws: np.ndarray) -> dict[str, float | None]:
    """`name`, `name_low`, `name_high`; None where a number cannot be had or has no bound."""
    sound = draws[~np.isnan(draws)]
    low = high = None
    if len(sound):
        # without interpolation, for an infinite draw has no middle
        low, high = np.percentile(sound, [LOW, HIGH], method="nearest")
    return {name: _finite(value[0]), f"{name}_low": _finite(low), f"{name}_high": _finite(high)}


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _too_small(arms: Mapping[str, Any], needed: str) -> str | None:
    """Why acquired and control are not compared yet, in words."""
    few = [
        f"{arms[arm][needed]} {needed} answers in the {arm} arm"
        for arm in ("acquired", "control")
        if arms[arm][needed] < FEWEST
    ]
    return f"{' and '.join(few)}, at least {FEWEST} are needed" if few else None


def _difference(
    arms: Mapping[str, Any],
    once: Mapping[str, Sums],
    drawn: Mapping[str, Sums],
    name: str,
    needed: str,
    fields: tuple[str, str],
    factor: float,
) -> dict[str, Any]:
    """Acquired minus control, by their rates of `fields` times `factor`."""

    def between(side: Mapping[str, Sums]) -> np.ndarray:
        ours, theirs = (
            [getattr(side[arm], field) for field in fields] for arm in ("acquired", "control")
        )
        return factor * difference(*ours, *theirs)

    reason = _too_small(arms, needed)
    value = draws = np.array([np.nan])
    if reason is None:
        value, draws = between(once), between(drawn)
        reason = NO_ROUND if np.isnan(value[0]) else None
    return {**_interval(name, value, draws), f"{name}_reason": reason}


def _saved(
    arms: Mapping[str, Any], once: Mapping[str, Sums], drawn: Mapping[str, Sums]
) -> dict[str, Any]:
    """Annotator minutes that choosing saved; a bound that is not to be had is None."""
    reason = _too_small(arms, "timed")
    if reason is None and not once["control"].edits.sum():
        reason = "the control arm held no word errors, so random choice has no rate to compare with"
    value = draws = np.array([np.nan])
    if reason is None:
        value, draws = (minutes_saved(side["acquired"], side["control"]) for side in (once, drawn))
        reason = NO_ROUND if not np.isfinite(value[0]) else None
    return {
        "method": METHOD,
        **_interval("minutes", value, draws),
        "reason": reason,
    }
