"""What an ML lead should hear of before all else, and from where on. Pure.

Each alarm is a code with its numbers, and becomes words elsewhere. Where numbers are estimates the
alarm is raised only for what lies beyond their 95% intervals, and beyond a margin besides: somebody
who is called every morning for nothing does not come any more. The limits are ours, or a setting's.

Knows neither the database nor a language.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from al_loop.agreement import compare, unchanged
from al_loop.metrics import Interval, error_rate, wilson
from al_loop.paired import Difference
from al_loop.records import UNKNOWN_ANNOTATOR

Code = Literal[
    "failed",
    "waiting",
    "waiting_set",
    "retention",
    "leakage",
    "rubber_stamping",
    "agreement",
]
Unchecked = Literal["retention", "leakage", "rubber_stamping", "agreement"]
"""What cannot be told from too little."""
Rows = Sequence[Mapping[str, Any]]

SAMPLES = 1000
SEED = 0
QUIET_DAYS = 3.0
"""Days without an answer while tasks are open: longer than a weekend."""
LEAKED_SHARE = 0.01
"""Share of the examples that may be left out because an evaluation set holds their text.

Short commands repeat, so a few are no fault; `mixture.max_leak_share` stops the round much later.
The very same audio in both has no such excuse, so of that a single clip raises the alarm.
"""
RECENT_PAIRS = 30
"""Pairs of answers to the same task that came last, and that as many before are needed to judge:
with a few words each their agreement has an interval of about 5 points to either side."""
AGREEMENT_LOST = 0.02
"""Share of the words by which agreement must have fallen; less is a new word or two."""
FEWEST_DRAFTS = 20
"""Drafts of an annotator, and as many of others to compare with: of 20, all unchanged, the interval
begins at 84%."""
RECENT_DRAFTS = 200
"""Drafts by which an annotator is judged, the last ones: how somebody worked long ago neither hides
nor explains how it is done today. Of 200 with 90% unchanged the interval spans 4 points to either
side, well below `UNEXPLAINED`."""
NAMED_SOURCES = 5
"""Names in one sentence; the dashboard lists all."""
UNEXPLAINED = 0.1
"""Share of drafts left unchanged beyond what the drafts' own quality explains, and beyond noise.
Annotators differ in care, and nobody answers just the same clips."""

same_words = lru_cache(maxsize=50_000)(unchanged)
"""Who asks again after a few more answers asks about the same drafts again."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """numbers: for the words' formats. names: text that is not ours. message: likewise, and long.

    stage: of `failed`, what failed.
    """

    code: Code
    numbers: Mapping[str, float] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    message: str | None = None
    stage: str | None = None


def failed(stage: str | None, failures: int, error: str | None) -> list[Alarm]:
    """A stage that failed last, and has not worked since."""
    if stage is None:
        return []
    return [Alarm("failed", {"failures": failures}, message=error or "", stage=stage)]


def waiting(awaited: Mapping[str, Any], now: datetime) -> list[Alarm]:
    """Tasks that nobody answers, since they were pushed. awaited: as the read-only query gives it,
    with an `evaluation_set` where they are for one."""
    if not awaited["tasks"] or not awaited["pushed_at"]:
        return []
    times = [awaited[name] for name in ("pushed_at", "answered_at") if awaited[name]]
    days = min((now - datetime.fromisoformat(at)).total_seconds() for at in times) / 86_400
    if days <= QUIET_DAYS:
        return []
    numbers = {"tasks": awaited["tasks"], "days": days}
    if "evaluation_set" in awaited:
        names = {"evaluation_set": awaited["evaluation_set"]}
        return [Alarm("waiting_set", numbers, names)]
    return [Alarm("waiting", numbers)]


def retention(
    evaluation_set: str, language: str, losses: Mapping[str, Difference], allowed: float
) -> list[Alarm]:
    """Another language that got worse. losses: since each checkpoint, by name; the worst counts.

    allowed: points of WER, `promote.max_retention_loss`. What the interval covers is no loss.
    """
    lost = {name: row for name, row in losses.items() if 100 * row.change > allowed and row.low > 0}
    if not lost:
        return []
    since, worst = max(lost.items(), key=lambda item: item[1].change)
    points = {
        name: 100 * getattr(worst, name) for name in ("before", "after", "change", "low", "high")
    }
    names = {"evaluation_set": evaluation_set, "language": language, "since": since}
    return [Alarm("retention", {**points, "allowed": allowed}, names)]


def leakage(left_out: Mapping[str, Any]) -> list[Alarm]:
    """What the newest manifest leaves out and the one before it did not: who has looked at that is
    not told again. left_out: as the read-only query gives it, or empty."""
    if not left_out:
        return []
    audio, text = left_out["audio"], left_out["text"]
    whole = left_out["examples"] + left_out["known"] + audio + text
    if not audio and text <= LEAKED_SHARE * whole:
        return []
    share = (audio + text) / whole
    numbers = {"round": left_out["round"], "audio": audio, "text": text, "share": share}
    sources = left_out["sources"]
    named = [*sources[:NAMED_SOURCES], *(["…"] if len(sources) > NAMED_SOURCES else [])]
    return [Alarm("leakage", {**numbers, "left_out": audio + text}, {"sources": ", ".join(named)})]


def agreement(pairs: Rows, language: str) -> list[Alarm]:
    """Annotators who agree less than they did. pairs: texts of two, `one` and `other`, by time."""
    if len(pairs) < 2 * RECENT_PAIRS:
        return []
    alike = [
        _alike([(row["one"], row["other"]) for row in rows], language)
        for rows in (pairs[:-RECENT_PAIRS], pairs[-RECENT_PAIRS:])
    ]
    if None in alike:
        return []
    earlier, recent = alike
    assert earlier is not None
    assert recent is not None
    if recent.high >= earlier.low or earlier.value - recent.value < AGREEMENT_LOST:
        return []
    numbers = {**_named("recent", recent), **_named("earlier", earlier)}
    return [Alarm("agreement", {**numbers, "pairs": RECENT_PAIRS})]


def rubber_stamping(drafts: Rows, language: str) -> list[Alarm]:
    """Annotators who leave more drafts unchanged than are right; the worst first.

    drafts: `annotator`, `round`, `text`, `shown` and `word_probs`, by time. Of each annotator the
    last `RECENT_DRAFTS` count. How many are right is what the others say who worked on the same
    rounds, weighted as the annotator's own rounds; where there are too few others, what the model
    itself gives the words, which is an estimate and mostly too friendly.
    """
    alarms = []
    for name, total, own, right in _judged(drafts, language):
        if own.low <= right.high + UNEXPLAINED:
            continue
        numbers = {**_named("unchanged", own), **_named("right", right), "drafts": total}
        alarms.append(Alarm("rubber_stamping", numbers, {"annotator": name}))
    return sorted(alarms, key=lambda row: row.numbers["right"] - row.numbers["unchanged"])


def unchecked(
    retained: bool, left_out: Mapping[str, Any], drafts: Rows, pairs: Rows, language: str
) -> tuple[Unchecked, ...]:
    """The alarms that could not have been raised, for there is too little to tell from.

    retained: whether the checkpoint in use is measured in another language. The others: as those
    alarms take them.
    """
    known: Mapping[Unchecked, bool] = {
        "retention": retained,
        "leakage": bool(left_out),
        "rubber_stamping": any(True for _ in _judged(drafts, language)),
        "agreement": len(pairs) >= 2 * RECENT_PAIRS,
    }
    return tuple(code for code, is_known in known.items() if not is_known)


def _judged(drafts: Rows, language: str) -> Iterator[tuple[str, int, Interval, Interval]]:
    """Each annotator with enough drafts: the name, how many of the last are judged, the share of
    them that was left unchanged, and the share that is right."""
    kept: Counter[tuple[str, int]] = Counter()
    seen: Counter[tuple[str, int]] = Counter()
    of_each: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in drafts:
        key = row["annotator"], row["round"]
        seen[key] += 1
        kept[key] += same_words(row["text"], row["shown"], language)
        of_each[row["annotator"]].append(row)
    for name in sorted(of_each.keys() - {UNKNOWN_ANNOTATOR}):
        recent = of_each[name][-RECENT_DRAFTS:]
        if len(recent) < FEWEST_DRAFTS:
            continue
        left = sum(same_words(row["text"], row["shown"], language) for row in recent)
        rounds = Counter(row["round"] for row in recent)
        right = _by_others(name, rounds, kept, seen) or _by_the_model(recent)
        if right is not None:
            yield name, len(recent), wilson(left, len(recent)), right


def _by_others(
    name: str,
    rounds: Mapping[int, int],
    kept: Mapping[tuple[str, int], int],
    seen: Mapping[tuple[str, int], int],
) -> Interval | None:
    """The share of drafts that others left, by direct standardisation over the rounds of `name`.

    rounds: how many drafts `name` had in each. The interval is Wilson's over as many drafts as have
    the variance of the weighted sum.
    """
    shares, variance, weight = 0.0, 0.0, 0
    for number, own in rounds.items():
        others = [key for key in seen if key[1] == number and key[0] != name]
        whole = sum(seen[key] for key in others)
        if whole:
            shares += own * sum(kept[key] for key in others) / whole
            variance += own**2 / whole
            weight += own
    if not weight or weight**2 / variance < FEWEST_DRAFTS:
        return None
    as_many = round(weight**2 / variance)
    return wilson(round(as_many * shares / weight), as_many)


def _by_the_model(drafts: Rows) -> Interval | None:
    """The share of drafts without an error, if words were independent and the model's own
    probabilities true."""
    rights = [
        math.prod(probs)
        for row in drafts
        if (probs := json.loads(row["word_probs"] or "[]"))
        if all(prob is not None for prob in probs)
    ]
    if len(rights) < FEWEST_DRAFTS:
        return None
    return wilson(round(math.fsum(rights)), len(rights))


def _alike(pairs: Sequence[tuple[str, str]], language: str) -> Interval | None:
    """Words alike over words of the longer text, as `al_loop.annotators` has it."""
    found = [compare(*pair, language) for pair in pairs]
    edits = np.array([row.word_edits for row in found if row.words])
    words = np.array([row.words for row in found if row.words])
    if not len(words):
        return None
    sampled = error_rate(edits, words, np.random.default_rng(SEED), SAMPLES)
    counted = wilson(min(int(edits.sum()), int(words.sum())), int(words.sum()))
    low, high = min(sampled.low, counted.low), max(sampled.high, counted.high)
    return Interval(1 - sampled.value, max(1 - high, 0.0), 1 - low)


def _named(name: str, found: Interval) -> dict[str, float]:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
