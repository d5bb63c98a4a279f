"""What models made in the dashboard's workspace, and what its sources bring.

Agreement, errors and ablation are made up; what chooses the threshold and says how sure a text is,
is the loop's own code. Knows no round but its number.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime, timedelta

import numpy as np

from al_loop.pseudo.threshold import Judged, choose_threshold, confidence, curve
from al_loop.records import PseudoLabel
from benchmarks.dashboard_clips import MAKERS, TESTS, Clips
from benchmarks.dashboard_dates import LATELY, opened_at, text
from benchmarks.dashboard_rounds import Rounds
from benchmarks.scored import SEED
from storage.store import Store

RECOGNISERS = {"in_use": "round-{number}", "spelling": "a CTC head"}
RUNS, CALIBRATION, CANDIDATES = 6, 240, 600
"""The newest rounds that made such texts; clips of known words; clips that were listened to."""
TARGET, SAMPLES = 0.9, 100
AFTER = timedelta(hours=44)
"""How long after a round was opened its texts are made."""
FIRST = 0.6
BROUGHT = {
    "open_speech_ky": 0.3,
    "open_speech_ru": 0.01,
    "radio_aligned": 0.15,
    "read_by_machine": 0.06,
    "calls_heard": 0.08,
}
"""What share of the errors each source takes away, and how much is wrong without any."""


def put_made(store: Store, rounds: Rounds, in_use: str) -> None:
    """Licences, and pseudo-labels by the last rounds. in_use: whose hypotheses become texts."""
    store.db.table("makers").insert_all(
        {"name": name, "licence": licence} for name, licence in MAKERS.items()
    )
    rows = store.db.execute(
        "SELECT h.utterance_id, h.text, u.duration_s FROM hypotheses h "
        "JOIN utterances u ON u.id = h.utterance_id AND u.split = 'pool' "
        "WHERE h.checkpoint_id = ? AND h.text <> '' "
        "AND h.utterance_id NOT IN (SELECT utterance_id FROM query_batches) "
        "AND h.utterance_id NOT IN (SELECT utterance_id FROM gated) "
        "ORDER BY h.utterance_id LIMIT ?",
        [in_use, CANDIDATES],
    ).fetchall()
    last = rounds.size.rounds - 1
    for number in range(max(last + 1 - RUNS, 1), last + 1):
        _run(store, rounds, number, rows)


def put_ablation(store: Store, clips: Clips, ends_at: datetime) -> None:
    """Sources added one after another, and each left out: the lecture's table."""
    name, when = "five-sources", text(ends_at - LATELY)
    sources = list(BROUGHT)
    settings = {"by": "source", "kept": [], "groups": [[source, [source]] for source in sources]}
    store.db.table("ablations").insert(
        {
            "name": name,
            "settings": json.dumps(settings),
            "started_at": when,
            "finished_at": when,
        }
    )
    variants = [sources[: length + 1] for length in range(len(sources))]
    variants += [[other for other in sources if other != left] for left in sources[:-1]]
    rows = []
    for variant in variants:
        level = FIRST * float(np.prod([1 - BROUGHT[source] for source in variant]))
        for tested in TESTS:
            set_clips = sorted(
                (clip for clip in clips.tested if clip.utterance.source == tested.name),
                key=lambda clip: clip.id,
            )
            rng = np.random.default_rng([SEED, len(tested.name)])  # of all variants: they are alike
            errors = [
                [int(rng.binomial(words, min(level * (0.4 + 2 * clip.difficulty), 1))), words]
                for clip in set_clips
                for words in [len(clip.truth.split())]
            ]
            rows.append(
                {
                    "ablation": name,
                    "variant": json.dumps(variant),
                    "evaluation_set": tested.name,
                    "language": tested.language,
                    "examples": 900 * len(variant),
                    "audio_s": 5400.0 * len(variant),
                    "draws": 4000,
                    "utterance_errors": json.dumps(errors),
                }
            )
    store.db.table("ablation_results").insert_all(rows)


def _run(store: Store, rounds: Rounds, number: int, rows: list[tuple[str, str, float]]) -> None:
    rng = np.random.default_rng([SEED, number])
    level = rounds.story.level(number, "ky")
    agreement = np.clip(rng.beta(5, 2, CALIBRATION + len(rows)), 0.0, 1.0)
    words = rng.integers(3, 20, CALIBRATION)
    shares = np.clip(1.6 * level * (1.05 - agreement[:CALIBRATION]), 0.0, 1.0)
    judged = [
        Judged(float(agreed), int(wrong), int(count))
        for agreed, wrong, count in zip(
            agreement[:CALIBRATION], rng.binomial(words, shares), words, strict=True
        )
    ]
    point = choose_threshold(judged, TARGET, np.random.default_rng(SEED), SAMPLES)
    rated = list(zip(rows, agreement[CALIBRATION:].tolist(), strict=True))
    kept = [] if point is None else [row for row in rated if row[1] >= point.threshold]
    names = {name: kind.format(number=number) for name, kind in RECOGNISERS.items()}
    sure = confidence(judged)(np.array([agreed for _, agreed in kept]))
    labels = [
        PseudoLabel(id_, said, float(value), " + ".join(names.values()))
        for ((id_, said, _), _), value in zip(kept, sure, strict=True)
    ]
    report = {
        "choice": "vote",
        "target": TARGET,
        "threshold": point and point.threshold,
        "precision": point
        and {"value": point.precision, "low": point.precision_low, "high": point.precision_high},
        "calibration": {
            "clips": CALIBRATION,
            "words": int(words.sum()),
            "validation": CALIBRATION,
            "rated": CALIBRATION,
        },
        "recognisers": [
            {"name": name, "id": names[name], "wer": level * worse, "weight": 1 - level * worse}
            for name, worse in (("in_use", 1.0), ("spelling", 1.3))
        ],
        "candidates": _volume(rated),
        "volume": _volume(kept),
        "leaked": 0,
        "curve": [
            asdict(each) | _volume([row for row in rated if row[1] >= each.threshold])
            for each in curve(judged, np.random.default_rng(SEED), SAMPLES)
        ],
    }
    store.put_pseudo_labels(number, labels, report)
    made_at = text(opened_at(number, rounds.size.rounds, rounds.ends_at) + AFTER)
    store.db.execute("UPDATE pseudo_label_runs SET made_at = ? WHERE round = ?", [made_at, number])


def _volume(rows: list[tuple[tuple[str, str, float], float]]) -> dict[str, float]:
    seconds = sum(duration_s for (_, _, duration_s), _ in rows)
    return {"clips": len(rows), "texts": len(rows), "seconds": seconds}
