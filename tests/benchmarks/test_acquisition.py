import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from al_loop.simulation.point import Point
from al_loop.simulation.results import results
from benchmarks.acquisition import COMPARED, LANGUAGE, Clock, chosen_kinds, make_material
from benchmarks.acquisition_report import Measured, table, targets, time_target
from benchmarks.corpus import CORPUS
from benchmarks.pools import Clip

UTTERANCES = 40
NAMES = {"field_seconds_to_random", "field_junk_share", "field_spearman", "field_not_worse"}


def measured(pool: str, default: list[float], junk: int, spearman: float | None) -> Measured:
    """random falls from 80 to 40 % in three rounds of 100 s, default as it is told to."""
    spread = 0.02 if spearman else 0.0
    points = [
        Point(
            strategy,
            seed,
            number,
            100.0 * number,
            (800.0 if strategy == "default" else 400.0) * number,
            100.0 * number,
            20.0 * number,
            25 * number,
            (junk if strategy == "default" else 5) * number,
            [round(10 * wer) + (-1) ** index for index in range(UTTERANCES)],
            [10] * UTTERANCES,
            spearman,
            spearman and spearman - spread,
            spearman and spearman + spread,
        )
        for strategy, curve in (("random", [0.8, 0.7, 0.5, 0.4]), ("default", default))
        for seed in range(2)
        for number, wer in enumerate(curve)
    ]
    found = results(points, np.random.default_rng(0), 200)
    kinds = Counter({"easy": 60, "voice": 15, "tones": 2 * 3 * junk})
    by_name = {row.strategy: row for row in found}
    return Measured(pool, 287, 1043.0, 80, by_name, dict.fromkeys(by_name, kinds))


def test_every_target_is_met_by_what_is_good_enough() -> None:
    good = measured("field", [0.8, 0.4, 0.3, 0.3], 1, 0.7)
    rows = {
        row.name: row for row in targets([good, measured("clean", [0.8, 0.7, 0.5, 0.4], 0, 0.2)])
    }
    assert rows.keys() == NAMES | {"clean_not_worse"}
    assert all(row.passed for row in rows.values())
    assert rows["field_seconds_to_random"].measured == "33 (33 to 33) % of random's 300 s"
    assert rows["field_junk_share"].measured.startswith("4.0 (")
    assert "random 20.0 (" in rows["field_junk_share"].measured
    assert rows["field_spearman"].measured.startswith("0.70 (")


def test_every_target_can_be_missed() -> None:
    bad = measured("field", [0.8, 0.8, 0.7, 0.6], 2, 0.5)
    rows = targets([bad, measured("clean", [0.8, 0.8, 0.7, 0.6], 0, None)])
    assert {row.name for row in rows if not row.passed} == NAMES | {"clean_not_worse"}
    assert rows[0].measured.startswith("never")
    unknown = targets([measured("field", [0.8, 0.4, 0.3, 0.3], 1, None)])
    assert [row.measured for row in unknown if not row.passed] == ["not measured"]


def test_the_table_has_a_row_for_each_strategy_of_each_pool() -> None:
    field = measured("field", [0.8, 0.4, 0.3, 0.3], 1, 0.7)
    columns, rows = table([measured("clean", [0.8, 0.7, 0.5, 0.4], 0, None), field], 3)
    assert [row[:2] for row in rows] == [
        ["clean", "random"],
        ["clean", "default"],
        ["field", "random"],
        ["field", "default"],
    ]
    assert {len(row) for row in rows} == {len(columns)}
    last = dict(zip(columns, rows[-1], strict=True))
    assert last["after round 3"].startswith("30.0 (")
    assert last["% of random's seconds to its final WER"] == "33 (33 to 33)"
    assert last["% of random's annotator time to it"] == "67 (67 to 67)"
    assert rows[0][-1] == "–"


def test_what_was_asked_is_counted_once_a_replay(tmp_path: Path) -> None:
    for name, asked in (("a", ["1", "2", "2"]), ("b", ["1", "3"])):
        (tmp_path / name).mkdir()
        lines = [f"\n{json.dumps({'utterance_id': utterance_id})}" for utterance_id in asked]
        (tmp_path / name / "asked.jsonl").write_text("".join(lines), encoding="utf-8")
    with (tmp_path / "b" / "asked.jsonl").open("a", encoding="utf-8") as file:
        file.write('\n{"utterance_id": "3", "rou')  # a kill cut it short
    kinds = {"1": "easy", "2": "tones", "3": "voice"}
    counts = chosen_kinds([tmp_path / "a", tmp_path / "b"], kinds)
    assert counts == {"easy": 2, "tones": 1, "voice": 1}


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the shared corpus is not here")
def test_only_the_audio_tells_clips_of_a_pool_apart(tmp_path: Path) -> None:
    samples = [np.random.default_rng(seed).uniform(-0.1, 0.1, 8000) for seed in range(3)]
    pool = [
        Clip(samples[0].astype(np.float32), "easy", "ky", "бир"),
        Clip(samples[1].astype(np.float32), "russian", "ru", None, "other_language"),
    ]
    test = [Clip(samples[2].astype(np.float32), "easy", "ky", "эки")]
    material, kinds = make_material(pool, test, tmp_path)
    easy, junk = material.labelled
    assert (easy.source, easy.speaker, easy.language) == (junk.source, junk.speaker, LANGUAGE)
    assert material.verdicts == {junk.id: "other_language"}
    assert kinds == {easy.id: "easy", junk.id: "russian"}
    splits = Counter(row.split for row in material.fixed)
    assert splits == {"train": 40, "test": 1}
    assert {row.source for row in material.fixed} < {row.name for row in material.sources}
    assert all(row.speaker is None for row in material.fixed)


def test_random_is_what_others_are_measured_against() -> None:
    assert COMPARED[0] == "random"
    assert "default" in COMPARED


def test_time_is_kept_while_it_passes(tmp_path: Path) -> None:
    first = Clock(tmp_path / "seconds.json")
    first.keep()
    again = Clock(tmp_path / "seconds.json")
    assert again.before_s > 0
    assert again.spent_s > again.before_s
    (tmp_path / "seconds.json").write_text("6060")
    assert 6060 <= Clock(tmp_path / "seconds.json").spent_s < 6070
    assert not time_target(6060).passed
    assert time_target(5940).passed
    assert time_target(5940).measured == "99"
