"""How many clips a block holds: what the settings allow on a worker's device, and nobody else's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import WhisperConfig

from al_loop.config import ModelSettings
from al_loop.errors import ConfigError
from al_loop.records import Room, Utterance
from al_loop.whisper.backend import Backend
from al_loop.whisper.memory import clip_bytes
from al_loop.whisper.recognizer import STEPS_AT_ONCE, WhisperRecognizer

NOT_HERE = "mps" if torch.cuda.is_available() else "cuda"
SECONDS = [1.0, 2.0] * 10
ROWS = [
    Utterance(str(number), "", f"{number}.flac", seconds, "s", "kk", "pool")
    for number, seconds in enumerate(SECONDS)
]


def recognizer(root: Path, **settings: Any) -> WhisperRecognizer:
    return WhisperRecognizer(root, ModelSettings.model_validate(settings))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"backend": "torch"}, Room(2 * 2**20, STEPS_AT_ONCE)),
        ({"backend": "ctranslate2"}, Room(2 * 2**20 / 4, None)),
    ],
)
def test_the_room_is_what_the_settings_leave_to_one_decode(
    tmp_path: Path, settings: dict[str, Any], expected: Room
) -> None:
    found = recognizer(tmp_path, device="cpu", memory_mb=2.0, **settings)
    if settings["backend"] == "ctranslate2":
        found.backend = Backend("ctranslate2", 4, 1, "int8")  # whatever cores there are
    assert found.room() == expected


@pytest.mark.parametrize("distributions", [None, STEPS_AT_ONCE])
def test_a_driver_without_the_workers_device_makes_blocks_as_large_as_their_room(
    tiny_folder: Path, distributions: int | None
) -> None:
    driver = recognizer(tiny_folder.parent, device=NOT_HERE)
    with pytest.raises(ConfigError, match=f"'{NOT_HERE}', but torch finds only"):
        driver.room()
    config = WhisperConfig.from_pretrained(tiny_folder)
    windows = {row.duration_s: driver._window(row.duration_s) for row in ROWS}
    each = {name: clip_bytes(config, windows[name], distributions) for name in windows}
    for count in (3, 7):  # of the longer ones
        room = Room(count * each[2.0], distributions)
        blocks = driver.blocks(tiny_folder.name, ROWS, room)
        assert {row.id for block in blocks for row in block} == {row.id for row in ROWS}
        assert [len(set(map(window, block))) for block in blocks] == [1] * len(blocks)
        assert len(blocks[0]) == count
        shorter = next(block for block in blocks if window(block[0]) == 1.0)
        assert len(shorter) == min(int(room.bytes / each[1.0]), 10)
    several = driver.blocks(tiny_folder.name, ROWS, room, texts=5)
    assert len(several[0]) < len(blocks[0])


def window(row: Utterance) -> float:
    return row.duration_s


def test_a_block_has_a_clip_however_little_room_there_is(tiny_folder: Path) -> None:
    driver = recognizer(tiny_folder.parent, device=NOT_HERE)
    blocks = driver.blocks(tiny_folder.name, ROWS, Room(1.0, None))
    assert [len(block) for block in blocks] == [1] * len(ROWS)
