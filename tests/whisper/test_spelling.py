"""The second opinion, by a recogniser of tones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from al_loop.clips import Clips, Place
from al_loop.errors import ModelError
from al_loop.records import Utterance
from al_loop.whisper.spelling import CtcSpeller
from tests.sources.tones import ToneRecogniser, random_sentences, sing, write_wav


def test_it_hears_and_says_how_probable_texts_are(tmp_path: Path) -> None:
    texts = random_sentences(2)
    rows = []
    for name, text in zip("ab", texts, strict=True):
        samples, _ = sing([text])
        write_wav(tmp_path / f"{name}.wav", samples)
        seconds = len(samples) / 16_000
        rows.append(Utterance(name, name, f"{name}.wav", seconds, "x", "ky", "pool"))
    speller = CtcSpeller(ToneRecogniser(), Clips(Place(tmp_path)))
    assert speller.id == "tones@1"
    first, second = speller.spell([(rows[0], [texts[0], texts[1], "щ", "…"]), (rows[1], [])])
    assert (first.utterance_id, second.utterance_id) == ("a", "b")
    assert first.text == texts[0].lower().rstrip(".")
    assert second.text == texts[1].lower().rstrip(".")
    right, wrong, unknown, wordless = first.log_probs
    assert right > wrong
    assert unknown == wordless == -math.inf
    assert second.log_probs == []


def test_blocks_hold_every_clip_once_the_shortest_first(tmp_path: Path) -> None:
    rows = [
        Utterance(str(number), "", "", float(number % 7), "x", "ky", "pool") for number in range(20)
    ]
    blocks = CtcSpeller(ToneRecogniser(), Clips(Place(tmp_path))).blocks(rows)
    flat = [row for block in blocks for row in block]
    assert sorted(row.id for row in flat) == sorted(row.id for row in rows)
    assert [row.duration_s for row in flat] == sorted(row.duration_s for row in rows)
    assert max(map(len, blocks)) <= 8


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), "tones@1: out of memory for 1 clips"),
        (RuntimeError("CUDA error: an illegal access"), "tones@1 cannot hear .CUDA error"),
    ],
)
def test_a_device_that_fails_is_the_model_s_error(
    tmp_path: Path, failure: RuntimeError, said: str
) -> None:
    class Failing(ToneRecogniser):
        def emissions(self, clips: Sequence[np.ndarray]) -> list[np.ndarray]:
            raise failure

    write_wav(tmp_path / "a.wav", sing([random_sentences(1)[0]])[0])
    row = Utterance("a", "a", "a.wav", 2.0, "x", "ky", "pool")
    with pytest.raises(ModelError, match=said):
        CtcSpeller(Failing(), Clips(Place(tmp_path))).spell([(row, [])])
