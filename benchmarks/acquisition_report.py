"""What `make bench-acquisition` tells: its targets, its table and its section of the report.

Knows what was measured, and not how.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from al_loop.metrics import Interval
from al_loop.simulation.intervals import described
from al_loop.simulation.report import text, warnings, write_plot
from al_loop.simulation.results import BASELINE, Result
from al_loop.simulation.settings import DEFAULT
from benchmarks.corpus import ROOT
from benchmarks.report import Target, write_section

EASY = "easy"
MOST_SHARE, MOST_JUNK, LEAST_SPEARMAN, MOST_MINUTES = 0.5, 0.05, 0.6, 100
AFTER_ONE_ROUND = 2
"""The round whose scores are the first that a query batch has taught."""
IMAGES = ROOT / "docs" / "images"


@dataclass(frozen=True, slots=True)
class Measured:
    """One pool. kinds: of the clips that each strategy chose, over all seeds."""

    pool: str
    clips: int
    duration_s: float
    tested: int
    found: Mapping[str, Result]
    kinds: Mapping[str, Counter[str]]


def targets(measured: Sequence[Measured]) -> list[Target]:
    """One a promise, of the pools that were measured."""
    found = []
    for row in measured:
        if DEFAULT not in row.found:
            continue
        default, baseline = row.found[DEFAULT], row.found[BASELINE]
        if row.pool == "field":
            junk = default.junk_share
            found += [
                Target(
                    "field_seconds_to_random",
                    f"{text(default.share, 100, 0)} % of random's {baseline.seconds.value:.0f} s",
                    f"<= {MOST_SHARE:.0%}",
                    default.share.value <= MOST_SHARE,
                ),
                Target(
                    "field_junk_share",
                    f"{text(junk, 100)} %, random {text(baseline.junk_share, 100)} %",
                    f"<= {MOST_JUNK:.0%}",
                    junk.value <= MOST_JUNK,
                ),
                _spearman_target(default),
            ]
        final, area = default.final_difference, default.area_difference
        found.append(
            Target(
                f"{row.pool}_not_worse",
                f"final WER {text(final, 100)}, mean over the curve {text(area, 100)} points",
                "no interval above 0",
                max(final.low, area.low) <= 0,
            )
        )
    return found


def time_target(spent_s: float) -> Target:
    minutes = spent_s / 60
    wanted = f"<= {MOST_MINUTES}"
    return Target("minutes", f"{minutes:.0f}", wanted, minutes <= MOST_MINUTES)


def _spearman_target(default: Result) -> Target:
    known = _after_one_round(default)
    wanted = f">= {LEAST_SPEARMAN:g}"
    if known is None:
        return Target("field_spearman", "not measured", wanted, False)
    return Target("field_spearman", text(known, 1, 2), wanted, known.value >= LEAST_SPEARMAN)


def _after_one_round(row: Result) -> Interval | None:
    return next((step.spearman for step in row.steps if step.round == AFTER_ONE_ROUND), None)


def table(measured: Sequence[Measured], rounds: int) -> tuple[list[str], list[list[str]]]:
    """Both pools, one row a strategy."""
    columns = [
        "pool",
        "strategy",
        "WER % at the start",
        *(f"after round {number}" for number in range(1, rounds + 1)),
        "mean over the curve",
        "% of random's seconds to its final WER",
        "% of random's annotator time to it",
        "junk %",
        "rare %",
        "Spearman after one round",
    ]
    rows = []
    for row in measured:
        for name in sorted(row.found, key=lambda name: (name != BASELINE, name == DEFAULT, name)):
            result, kinds = row.found[name], row.kinds[name]
            known = _after_one_round(result)
            rare = kinds.total() - kinds[EASY] - round(result.junk_share.value * kinds.total())
            rows.append(
                [
                    row.pool,
                    name,
                    *(text(step.wer, 100) for step in result.steps),
                    text(result.area, 100),
                    text(result.share, 100, 0),
                    text(result.annotator_share, 100, 0),
                    text(result.junk_share, 100),
                    f"{100 * rare / kinds.total():.0f}",
                    "–" if known is None else text(known, 1, 2),
                ]
            )
    return columns, rows


def write_report(measured: Sequence[Measured], run: str, rounds: int, spent_s: float) -> None:
    """The section, and the plots beside it. run: what was run on these pools, as a clause."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    pictures = []
    notes = []
    for row in measured:
        # no hyphen in its name: the paragraph's lines may be broken there
        path = IMAGES / f"acquisition_{row.pool}.svg"
        write_plot(list(row.found.values()), path)
        pictures.append(f"![WER against minutes asked about, {row.pool}](images/{path.name})")
        notes += [f"{row.pool}: {line}." for line in warnings(list(row.found.values()))]
    pools = " and ".join(
        f"*{row.pool}* ({row.clips} clips, {row.duration_s:.0f} s; {row.tested} test clips)"
        for row in measured
    )
    seeds = next(iter(measured[0].found.values())).seeds
    about = (
        f"By `make bench-acquisition`: the loop replayed on {pools} with references in the "
        f"annotators' place; {run} *clean* is one voice as it comes; *field* is a fifth junk, "
        "seven tenths that voice and a tenth rare conditions, of which half of its test set "
        "consists. `random` and `mean_token_entropy` take what they rank highest, `default` is "
        f"what a new workspace does. WER in %; {described(seeds)}; the same resamples for all. "
        "Seconds are of chosen audio, junk included, interpolated between rounds; annotator time "
        "is reckoned from opening, listening, correcting each wrong word, and judging junk, with "
        "times of our own (`al_loop/simulation/oracle.py`), so that harder clips take longer. "
        "The target is in audio seconds. Final differences and "
        "areas are compared up to the audio that both sides spent. Spearman: of the scores that "
        f"round {AFTER_ONE_ROUND} chooses by with the true WER of what is left, without junk. It "
        f"took {spent_s / 60:.0f} minutes. {' '.join([*notes, *pictures])}"
    )
    write_section("Acquisition", about, *table(measured, rounds))
