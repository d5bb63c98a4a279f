"""Whether choosing pays: the arms of the query batches compared, round by round and in all. Pure.

Two measures: the WER of the hypotheses that annotators were shown, and the word errors that they
mended a minute. Finding errors faster is not yet a lower WER; that, `al_loop.arms` proves. Knows
neither the database nor how a batch was chosen; `al_loop.evidence_lines` puts it in words.

Intervals are percentile bootstraps over the answers of an arm (Bisani and Ney, ICASSP 2004); the
arms hold different utterances, so they are resampled each by itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from al_loop.evidence_lines import lines
from al_loop.metrics import HIGH, LOW, count_errors
from al_loop.records import Answer, Arm, CurvePoint
from al_loop.stopping import curve_report
from al_loop.text import normalise

__all__ = ["compare", "lines", "longest_lead_s", "round_report"]

ARMS: tuple[Arm, ...] = get_args(Arm)
FEWEST = 5
"""Answers that an arm needs before it is compared with another. Ours."""
CHUNK = 2_000_000
"""Indices drawn at a time: 10,000 answers and 1,000 resamples need not be in memory at once."""
METHOD = "equal errors found"
METHOD_DESCRIBED = (
    "the minutes that the control arm's rate would have needed for as many word errors as were "
    "mended in the acquired arm, less the minutes that these took. The control arm is drawn from "
    "what the gates let through, so what the gates save is not in it"
)
NOTE = (
    "Finding errors faster is not yet a lower WER: `al-loop arms --retrain` trains on each arm at "
    "equal seconds and measures that"
)


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over the answers of one arm: each field (S,) float64, S resamples or 1.

    word_errors, words: where a hypothesis meets a label. edits, seconds: where the time is known
    too; junk takes time and holds no edit.
    """

    word_errors: np.ndarray
    words: np.ndarray
    edits: np.ndarray
    seconds: np.ndarray

    @property
    def wer(self) -> np.ndarray:
        return _over(self.word_errors, self.words)

    @property
    def edits_per_minute(self) -> np.ndarray:
        return _over(60 * self.edits, self.seconds)


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
    for arm in ARMS:
        rows = [row for row in answers if row.arm == arm]
        table = np.array([_counts(row, most_s) for row in rows]).reshape(len(rows), 4)
        once[arm] = Sums(*table.sum(axis=0)[:, None])
        drawn[arm] = _resampled(table, rng, samples)
        arms[arm] = {
            **_tally(rows, most_s),
            "words": int(once[arm].words[0]),
            "word_errors": int(once[arm].word_errors[0]),
            **_interval("wer", once[arm].wer, drawn[arm].wer),
            **_interval(
                "edits_per_minute", once[arm].edits_per_minute, drawn[arm].edits_per_minute
            ),
        }
    return {
        "arms": arms,
        "difference": {
            **_difference(arms, once, drawn, "wer", "compared"),
            **_difference(arms, once, drawn, "edits_per_minute", "timed"),
        },
        "saved": _saved(arms, once, drawn),
    }


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
    junk = verdicts.count("bad_audio") + verdicts.count("other_language")
    times = [_lead_s(row, most_s) for row in rows]
    labelled = [row.text is not None for row in rows]
    heard = [row.hypothesis is not None for row in rows]
    return {
        "tasks": len(rows),
        "labelled": sum(labelled),
        "bad_audio": verdicts.count("bad_audio"),
        "other_language": verdicts.count("other_language"),
        "skipped": verdicts.count("skipped"),
        "junk_share": junk / len(rows) if rows else None,
        "audio_s": float(sum(row.duration_s for row in rows)),
        "annotator_s": float(sum(filter(None, times))),
        "without_time": times.count(None),
        "compared": sum(a and b for a, b in zip(labelled, heard, strict=True)),
        "timed": sum(
            time is not None and (known or not text)
            for time, known, text in zip(times, heard, labelled, strict=True)
        ),
    }


def _resampled(table: np.ndarray, rng: np.random.Generator, samples: int) -> Sums:
    """Sums over `samples` resamples of the rows of `table` (N, 4)."""
    size = len(table)
    sums = np.zeros((samples, 4))
    step = max(CHUNK // max(size, 1), 1)
    for start in range(0, samples if size else 0, step):
        draws = rng.integers(0, size, (min(step, samples - start), size))
        for column in range(4):
            sums[start : start + step, column] = table[:, column][draws].sum(axis=1)
    return Sums(*sums.T)


def _over(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, nan where there is no whole."""
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


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
) -> dict[str, Any]:
    """Acquired minus control."""
    reason = _too_small(arms, needed)
    if reason:
        empty = np.array([np.nan])
        return {**_interval(name, empty, empty), f"{name}_reason": reason}
    value, draws = (
        getattr(side["acquired"], name) - getattr(side["control"], name) for side in (once, drawn)
    )
    return {**_interval(name, value, draws), f"{name}_reason": None}


def _saved(
    arms: Mapping[str, Any], once: Mapping[str, Sums], drawn: Mapping[str, Sums]
) -> dict[str, Any]:
    """Annotator minutes that choosing saved; a bound that is not to be had is None."""
    reason = _too_small(arms, "timed")
    if reason is None and not once["control"].edits[0]:
        reason = "the control arm held no word errors, so random choice has no rate to compare with"
    value = draws = np.array([np.nan])
    if reason is None:
        value, draws = (_minutes_saved(side["acquired"], side["control"]) for side in (once, drawn))
    return {
        "method": METHOD,
        **_interval("minutes", value, draws),
        "reason": reason,
    }


def _minutes_saved(acquired: Sums, control: Sums) -> np.ndarray:
    """errors_acquired / rate_control - minutes_acquired; inf where control has no errors."""
    rate = control.edits_per_minute
    needed = np.where(acquired.edits > 0, np.inf, 0.0)
    needed = np.divide(acquired.edits, rate, out=needed, where=rate > 0)
    return needed - acquired.seconds / 60
