"""What `make bench-alignment` is asked, and what it tells: targets, table, and section.

Knows what was judged, and no recogniser.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from al_loop.alignment.segments import Rules
from al_loop.metrics import Interval, error_rate, wilson
from al_loop.records import ErrorCounts
from benchmarks.judged import Found, Kept, pool_found, pool_kept
from benchmarks.report import Target, percent, write_section

SECONDS = 900.0
EPOCHS = 20
CHOSEN_ON = 0
"""The draw that the command's threshold was chosen on; none of those reported."""
REPORTED = (2, 3, 4)
CONDITIONS: Mapping[str, float | None] = {"as recorded": None, "noise": 20.0}
"""Of a recording: dB of speech over pink noise. The recogniser is trained without noise."""
CHAPTERS = 25_000
"""Letters that nobody reads, before what is read and behind it: more than the aligner's window."""
MEDIAN_S, MOST_S, WORDS = 0.1, 0.3, 0.99
KEPT = {"as recorded": 0.4, "noise": 0.2}
"""Of the time, at least. These and the next ones are ours, set before the first run."""
RECALL = {"as recorded": 0.98, "noise": 0.95}
"""Of the words printed right, wherever they stand, kept or not."""
BEHIND = {"as recorded": 0.95, "noise": 0.9}
"""Of those in the five sentences behind a gap."""
THRESHOLDS = (-3.0, -2.0, -1.5, -1.0, -0.7, -0.5)
"""Of the table; the targets are those of the command's own threshold."""
SAMPLES = 1000
COLUMNS = (
    "condition",
    "min score",
    "kept",
    "words",
    "right",
    "unknown",
    "misprints kept",
    "removed words inside",
    "edges kept: median, 95%",
    "unjudged",
)


@dataclass(frozen=True, slots=True)
class Result:
    """One draw in one condition. kept: by threshold. counts: the recogniser's errors, clip by clip,
    on the recording's. training_s, aligning_s: without loading."""

    condition: str
    kept: Mapping[float, Kept]
    found: Found
    misprints: int
    removed: int
    clips: int
    training_s: float
    training_clips: int
    aligning_s: float
    counts: Sequence[ErrorCounts]


def targets(condition: str, results: Sequence[Result]) -> list[Target]:
    """Of all draws in one condition, pooled, at the command's threshold."""
    rows = [row for row in results if row.condition == condition]
    kept = pool_kept([row.kept[Rules().min_score] for row in rows])
    found = pool_found([row.found for row in rows])
    name = condition.replace(" ", "_")
    wrong = wrong_rate(kept)
    share = kept.kept_s / max(kept.duration_s, 1e-9)
    gap, worst = min(
        ((gap, _share(pair)) for gap, pair in found.behind.items()),
        key=lambda row: row[1],
        default=("none", 0.0),
    )
    # of clear speech the interval has to be above the target, under noise the estimate
    right = 1 - (wrong.high if CONDITIONS[condition] is None else wrong.value)
    return [
        *_edges(f"{name}_edges_kept", kept.errors_s),
        *_edges(f"{name}_edges_by_ctc", np.concatenate([found.begins_s, found.ends_s])),
        Target(
            f"{name}_words_right",
            _right(wrong),
            f">= {100 * WORDS:.0f}%",
            bool(kept.words.sum()) and right >= WORDS,
        ),
        _at_least(f"{name}_kept", share, KEPT[condition]),
        _at_least(f"{name}_words_found", _share(found.recall), RECALL[condition]),
        _at_least(f"{name}_behind_{gap.replace(' ', '_')}", worst, BEHIND[condition]),
    ]


def threshold_target(choice: Result) -> Target:
    """Whether the command's threshold is at least as strict as the one that another draw chooses:
    the laxest with enough words right, by the interval."""
    enough = [least for least, kept in choice.kept.items() if 1 - wrong_rate(kept).high >= WORDS]
    chosen = min(enough, default=0.0)
    own = Rules().min_score
    return Target("threshold", f"{own:g}", f">= {chosen:g}, as another draw has it", own >= chosen)


def wrong_rate(kept: Kept) -> Interval:
    """Of the words kept; all are wrong where there are none.

    Its interval is the bootstrap's over segments, and at least Wilson's over words: of a few wrong
    words, or none, resampling says little.
    """
    if not kept.words.sum():
        return Interval(1.0, 1.0, 1.0)
    some = kept.words > 0
    rate = error_rate(kept.wrong[some], kept.words[some], np.random.default_rng(0), SAMPLES)
    least = wilson(int(kept.wrong.sum()), int(kept.words.sum()))
    return Interval(rate.value, min(rate.low, least.low), max(rate.high, least.high))


def _edges(name: str, errors_s: np.ndarray) -> list[Target]:
    median, most = percentiles(errors_s)
    return [
        Target(f"{name}_median", _ms(median), f"< {1000 * MEDIAN_S:.0f} ms", median < MEDIAN_S),
        Target(f"{name}_95", _ms(most), f"< {1000 * MOST_S:.0f} ms", most < MOST_S),
    ]


def percentiles(errors_s: np.ndarray) -> tuple[float, float]:
    """The median and the 95th percentile; what was not found is infinitely far away."""
    if not len(errors_s):
        return float("inf"), float("inf")
    median, most = np.percentile(errors_s, [50, 95], method="higher").tolist()
    return median, most


def _at_least(name: str, share: float, wanted: float) -> Target:
    return Target(name, f"{share:.1%}", f">= {wanted:.0%}", share >= wanted)


def _share(pair: tuple[int, int]) -> float:
    return pair[0] / pair[1] if pair[1] else 0.0


def _right(wrong: Interval) -> str:
    return f"{1 - wrong.value:.2%} ({1 - wrong.high:.2%} to {1 - wrong.low:.2%})"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"


def table(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """One row for each condition and threshold, all its draws pooled; the columns are COLUMNS."""
    rows: list[tuple[str, ...]] = []
    for condition in CONDITIONS:
        draws = [row for row in results if row.condition == condition]
        for least in sorted(draws[0].kept) if draws else ():
            kept = pool_kept([row.kept[least] for row in draws])
            median, most = percentiles(kept.errors_s)
            edges = kept.unjudged + len(kept.errors_s)
            rows.append(
                (
                    condition,
                    f"{least:g}",
                    f"{kept.kept_s / kept.duration_s:.0%}",
                    f"{kept.words.sum()}",
                    _right(wrong_rate(kept)),
                    f"{kept.unknown}",
                    f"{kept.misprints} of {sum(row.misprints for row in draws)}",
                    f"{kept.removed} of {sum(row.removed for row in draws)}",
                    f"{_ms(median)}, {_ms(most)}",
                    f"{kept.unjudged} of {edges}",
                )
            )
    return rows


def write_report(choice: Result, results: Sequence[Result]) -> None:
    clear = [row for row in results if row.condition == "as recorded"]
    counts = [count for row in clear for count in row.counts]
    rng = np.random.default_rng(0)
    wer = error_rate(
        np.array([row.word_errors for row in counts]),
        np.array([row.words for row in counts]),
        rng,
        SAMPLES,
    )
    cer = error_rate(
        np.array([row.character_errors for row in counts]),
        np.array([row.characters for row in counts]),
        rng,
        SAMPLES,
    )
    told = []
    for condition in CONDITIONS:
        found = pool_found([row.found for row in results if row.condition == condition])
        ctc = [percentiles(errors) for errors in (found.begins_s, found.ends_s)]
        behind = ", ".join(f"{name} {_share(pair):.1%}" for name, pair in found.behind.items())
        told.append(
            f"{condition.capitalize()}, {_share(found.recall):.1%} of the words printed right are "
            f"found in their clips, kept or not; of those in the five sentences behind each gap: "
            f"{behind}. Of text that nobody reads, {found.unread[0]} of {found.unread[1]} words "
            f"are. By the frames of first and last letters alone, over all "
            f"{len(found.begins_s)} clips whose first word is printed right, speech begins "
            f"{_ms(ctc[0][0])} off in the median and {_ms(ctc[0][1])} at 95%, and ends "
            f"{_ms(ctc[1][0])} and {_ms(ctc[1][1])} off ({len(found.ends_s)} clips)."
        )
    chosen = threshold_target(choice)
    about = (
        f"`make bench-alignment`: {len(clear)} draws of {SECONDS / 60:.0f} min, joined from "
        f"{sum(row.clips for row in clear)} Kyrgyz clips of one synthetic voice (the draws share "
        "clips, so intervals over segments are somewhat too narrow), each aligned to a book that "
        f"stands between two chapters of {CHAPTERS:,} letters that nobody reads, lacks an "
        "introduction and two paragraphs, and has two paragraphs that nobody reads. For each draw "
        "a recogniser was trained on the other clips, without noise: whisper-base's encoder with a "
        f"CTC head, {EPOCHS} epochs on about {clear[0].training_clips} clips in "
        f"{np.mean([row.training_s for row in clear]) / 60:.1f} min; read greedily, its WER on the "
        f"recordings' clips is {percent(wer)}, its CER {percent(cer)}. Hearing and aligning took "
        f"{np.mean([row.aligning_s for row in results]):.0f} s each. The noise is pink, 20 dB "
        "below speech. Words are right that are said where they stand; a word beside a cut inside "
        "a clip is unknown, and such an edge unjudged. The command's threshold is "
        f"{Rules().min_score:g}; a draw that is not reported asks for {chosen.wanted.split(',')[0]}"
        f". {' '.join(told)}"
    )
    write_section("Forced alignment", about, COLUMNS, table(results))
