"""What Label Studio is told of a task, and how a task is known again."""

import json
import math
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

import pytest

from al_loop.records import VERDICTS, Task, TaskKey
from labeling.answers import TICKED, UNSURE
from labeling.page import SHOWN, interface
from labeling.project import DATA_KEYS
from labeling.tasks import (
    AUDIO,
    LARGEST_NUMBER,
    TEXT,
    VERDICT,
    local_audio_url,
    task_key,
    to_task_data,
    utc,
)

TASK = Task(
    key=TaskKey("u1", 2, 3),
    kind="gold",
    rank=7,
    audio="audio/a.wav",
    duration_s=3.5,
    hypothesis="салам <дос>",
    checkpoint_id="c1",
    word_probs=[0.9, 0.1],
    acquisition_score=1.75,
)


def test_a_task_carries_all_that_the_interface_and_the_pull_need() -> None:
    data = to_task_data(TASK, "/data/local-files/?d=w/a.wav", 0.5)
    assert data == {
        "utterance": "u1",
        "round": 2,
        "copy": 3,
        "rank": 7,
        "audio": "/data/local-files/?d=w/a.wav",
        "hypothesis": "салам <дос>",
        "marked": "<bdi>салам</bdi> <mark><bdi>&lt;дос&gt;</bdi></mark>",
        "duration_s": 3.5,
        "acquisition_score": 1.75,
    }
    assert json.loads(json.dumps(data)) == data


def test_annotators_cannot_tell_why_they_are_asked() -> None:
    assert to_task_data(TASK, "a", 0.5) == to_task_data(replace(TASK, kind="query"), "a", 0.5)


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_score_that_json_cannot_say_is_left_out(score: float) -> None:
    data = to_task_data(replace(TASK, acquisition_score=score), "a", 0.5)
    assert data["acquisition_score"] is None


def test_the_key_comes_back() -> None:
    data = json.loads(json.dumps(to_task_data(TASK, "a", 0.5)))
    assert task_key(data) == TASK.key
    assert task_key(data | {"round": 0, "copy": LARGEST_NUMBER}) is not None


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "u1",
        {},
        {"utterance": "u1", "round": 1},
        {"utterance": "u1", "copy": 0},
        {"round": 1, "copy": 0},
        {"utterance": "", "round": 1, "copy": 0},
        {"utterance": 5, "round": 1, "copy": 0},
        {"utterance": ["u1"], "round": 1, "copy": 0},
        {"utterance": "\ud800", "round": 1, "copy": 0},
        {"utterance": "u1", "round": "1", "copy": 0},
        {"utterance": "u1", "round": 1, "copy": "0"},
        {"utterance": "u1", "round": 1.0, "copy": 0},
        {"utterance": "u1", "round": True, "copy": 0},
        {"utterance": "u1", "round": 1, "copy": False},
        {"utterance": "u1", "round": 1, "copy": None},
        {"utterance": "u1", "round": -1, "copy": 0},
        {"utterance": "u1", "round": 1, "copy": -1},
        {"utterance": "u1", "round": 1, "copy": LARGEST_NUMBER + 1},
    ],
)
def test_the_data_of_others_has_no_key(data: Any) -> None:
    assert task_key(data) is None


def test_the_interface_fits_the_tasks() -> None:
    view = ET.fromstring(interface())
    names = {tag.get("name") for tag in view.iter() if tag.get("name")}
    assert names >= {AUDIO, TEXT, VERDICT, SHOWN}
    for tag in view.iter():
        value = tag.get("value", "")
        assert not value.startswith("$") or value[1:] in DATA_KEYS
    ticked = {choice.get("alias") for choice in view.iter("Choice")}
    assert ticked == TICKED.keys() | {UNSURE}
    assert set(TICKED.values()) == set(VERDICTS) - {"skipped"}


def test_times_sort_as_strings() -> None:
    assert utc("2026-01-02T03:04:05Z") == "2026-01-02T03:04:05.000000Z"
    assert utc("2026-01-02T09:04:05.5+06:00") == "2026-01-02T03:04:05.500000Z"
    assert utc("0001-01-02T00:00:00Z") < utc("2026-01-02T00:00:00Z")


@pytest.mark.parametrize(
    "time", ["2026-01-02T03:04:05", "yesterday", "", "9999-12-31T23:59:59-10:00"]
)
def test_what_is_no_time(time: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        utc(time)


def test_an_audio_address_is_quoted() -> None:
    assert local_audio_url("w1/a b&ү.wav") == "/data/local-files/?d=w1/a%20b%26%D2%AF.wav"
