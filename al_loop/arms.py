"""The proof that choosing pays: one training on each arm's labels, at equal seconds of audio.

Both start from the untrained base, for the checkpoint in use has learned from both arms; both get
the train splits, the same mixture, the same number of draws and the same seed. They differ in the
in-house labels alone. Nothing is promoted, and no weights are kept.

Knows the ports and nothing behind them. The caller holds the workspace's lock.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from al_loop.arms_plan import SIDES, Plan, make_plan
from al_loop.config import Settings
from al_loop.evaluation import group_by_set
from al_loop.metrics import Interval, count_errors, error_rate, paired_difference
from al_loop.mixture import draw_epoch
from al_loop.ports import Engine, Recognizer, Store
from al_loop.records import ErrorCounts, Example, Utterance
from al_loop.trial import Trial, in_one_worker, run_trials


def retrain_arms(
    settings: Settings,
    store: Store,
    engine: Engine,
    recognizer: Callable[[], Recognizer],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Train on each arm, measure both on the target language's evaluation sets; ready for JSON.

    Takes as long as two rounds' training. Killed, the next call with the same data and settings
    goes on, and keeps the arm that was finished. Raises WorkspaceError where there is nothing to
    compare, or a round is training.
    """
    plan = make_plan(settings, store)
    scratch = store.scratch_folder(f"arms-{plan.key[:12]}")
    trials = (_trial(arm, plan, settings) for arm in SIDES)
    found = {row.name: row.heard for row in run_trials(trials, engine, recognizer, scratch, say)}
    heard = {arm: found[_name(arm)] for arm in SIDES}
    report = _report(plan, heard, settings.evaluate.bootstrap_samples, settings.model.language)
    shutil.rmtree(scratch)
    return report


def _name(arm: str) -> str:
    return f"arms-{arm}"


def _trial(arm: str, plan: Plan, settings: Settings) -> Trial:
    rows = plan.labels[arm]
    rng = np.random.default_rng(plan.seed)
    return Trial(
        name=_name(arm),
        title=f"{arm}, {len(rows)} labels of {_minutes(rows):.1f} min and the train splits",
        base=plan.base.path,
        epochs=[draw_epoch(plan.manifests[arm], rng) for _ in range(settings.train.epochs)],
        validation=plan.validation,
        settings=in_one_worker(settings),
        seed=plan.seed,
        utterances=plan.utterances,
    )


# -- the result ------------------------------------------------------------------------------------


def _report(
    plan: Plan, heard: Mapping[str, Mapping[str, str]], samples: int, language: str
) -> dict[str, Any]:
    sets = group_by_set(plan.utterances)
    measured = {name: _measure(rows, heard, plan.seed, samples) for name, rows in sets.items()}
    return {
        "language": language,
        "seed": plan.seed,
        "base": plan.base.id,
        "arms": {
            arm: {
                "labels": len(plan.labels[arm]),
                "audio_s": 60 * _minutes(plan.labels[arm]),
                "draws": sum(row.draws for row in plan.manifests[arm].mixture),
            }
            for arm in SIDES
        },
        "sets": [{"evaluation_set": name, **values} for name, values in measured.items()],
        "together": _measure(plan.utterances, heard, plan.seed, samples),
    }


def _measure(
    rows: Sequence[Utterance], heard: Mapping[str, Mapping[str, str]], seed: int, samples: int
) -> dict[str, float]:
    """The WER of both, and acquired minus control on the same utterances, with intervals."""
    counts = {
        arm: [count_errors(row.text or "", heard[arm][row.id], row.language) for row in rows]
        for arm in SIDES
    }
    found = {arm: _wer(counts[arm], np.random.default_rng(seed), samples) for arm in SIDES}
    found["difference"] = paired_difference(
        counts["control"], counts["acquired"], np.random.default_rng(seed), samples
    )
    return {
        key: value
        for name, row in found.items()
        for key, value in (
            (name, row.value),
            (f"{name}_low", row.low),
            (f"{name}_high", row.high),
        )
    }


def _wer(counts: Sequence[ErrorCounts], rng: np.random.Generator, samples: int) -> Interval:
    errors = np.array([row.word_errors for row in counts])
    return error_rate(errors, np.array([row.words for row in counts]), rng, samples)


def _minutes(rows: Sequence[Example]) -> float:
    return sum(row.duration_s for row in rows) / 60


def lines(report: Mapping[str, Any]) -> list[str]:
    """The result in plain sentences."""
    acquired, control = (report["arms"][arm] for arm in SIDES)
    found = [
        f"trained on {acquired['labels']} acquired labels ({acquired['audio_s'] / 60:.1f} min) and "
        f"on {control['labels']} of the control arm ({control['audio_s'] / 60:.1f} min), "
        f"{control['draws']} draws an epoch each"
    ]
    for row in report["sets"]:
        found.append(f"  {row['evaluation_set']}: {_sentence(row)}")
    if len(report["sets"]) > 1:
        found.append(f"  all sets together: {_sentence(report['together'])}")
    return [*found, _verdict(report["together"])]


def _sentence(row: Mapping[str, Any]) -> str:
    return (
        f"WER % {_percent(row, 'acquired')} from the acquired arm, {_percent(row, 'control')} from "
        f"the control arm, difference {_percent(row, 'difference')}"
    )


def _percent(row: Mapping[str, Any], name: str) -> str:
    value, low, high = (100 * row[key] for key in (name, f"{name}_low", f"{name}_high"))
    return f"{value:.1f} ({low:.1f} to {high:.1f})"


def _verdict(row: Mapping[str, Any]) -> str:
    once = "one training each: the interval covers the choice of test clips, not a training's luck"
    if row["difference_high"] < 0:
        return f"the acquired arm taught more ({once})"
    if row["difference_low"] > 0:
        return f"the control arm taught more: choosing does not pay here ({once})"
    return f"no difference beyond noise ({once})"
