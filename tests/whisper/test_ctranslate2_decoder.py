"""CTranslate2 reads what torch reads, with the same statistics; one clip says nothing of others."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch

from al_loop.config import ModelSettings
from al_loop.engine.local import LocalEngine
from al_loop.errors import ConfigError
from al_loop.records import Utterance
from al_loop.whisper.backend import Backend
from al_loop.whisper.checkpoints import Whisper, load, save
from al_loop.whisper.ctranslate2_decoder import CTranslate2Decoder, logit_statistics
from al_loop.whisper.decode import Batch, decode_batch
from al_loop.whisper.features import accept_short_windows
from al_loop.whisper.languages import Language, ensure_language, prompt_ids
from al_loop.whisper.recognizer import WhisperRecognizer
from al_loop.whisper.statistics import Decoded

STATISTICS = [field.name for field in fields(Decoded) if field.name != "tokens"]
WINDOW_S = 2.0
CLIPS = 12
VOCABULARY = 51865


@pytest.fixture
def checkpoint(ending: Whisper, tmp_path: Path) -> Path:
    """A model that ends its texts at different lengths, with a language that Whisper lacks."""
    ensure_language(ending.model, ending.tokenizer, Language("ky", "kk"))
    with torch.no_grad():
        embeddings = ending.model.get_input_embeddings().weight
        embeddings[-1] *= -5  # far from the donor's
        embeddings *= 3  # as sure as a real one
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    save(ending, folder, {})
    return folder


def features() -> torch.Tensor:
    mels = torch.randn(CLIPS, 80, 200, generator=torch.Generator().manual_seed(3))
    return mels * torch.linspace(0.1, 5, CLIPS)[:, None, None]


def decoder(checkpoint: Path, compute: str, lanes: int = 1) -> tuple[Whisper, CTranslate2Decoder]:
    whisper = load(str(checkpoint))
    backend = Backend("ctranslate2", lanes, 1, compute)
    return whisper, CTranslate2Decoder(whisper, checkpoint, "ky", "cpu", backend)


def batch(whisper: Whisper, codes: Sequence[str], rows: slice = slice(None)) -> Batch:
    prompts = [prompt_ids(whisper.model, code) for code in codes]
    names = [str(index) for index in range(CLIPS)]
    return Batch(names[rows], features()[rows], prompts[rows], WINDOW_S)


LANGUAGES = ["ky", "ru", "kk", "ky"] * 3


def test_it_reads_what_torch_reads(checkpoint: Path) -> None:
    exact = load(str(checkpoint))
    accept_short_windows(exact.model)
    same = batch(exact, LANGUAGES)
    expected = decode_batch(exact.model, same.log_mel, same.prompts, WINDOW_S)
    whisper, decode = decoder(checkpoint, "float32")
    found = decode(batch(whisper, LANGUAGES))
    assert len({len(row.tokens) for row in expected}) > 1
    for one, other in zip(found, expected, strict=True):
        assert one.tokens == other.tokens
        for name in STATISTICS:
            assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-3, abs=1e-4)


def test_the_language_is_told(checkpoint: Path) -> None:
    whisper, decode = decoder(checkpoint, "float32")
    kyrgyz, kazakh = (decode(batch(whisper, [code] * CLIPS)) for code in ("ky", "kk"))
    assert [row.mean_log_prob for row in kyrgyz] != [row.mean_log_prob for row in kazakh]


@pytest.mark.parametrize("compute", ["float32", "int8"])
def test_a_clip_is_heard_alike_alone_and_among_others(checkpoint: Path, compute: str) -> None:
    whisper, decode = decoder(checkpoint, compute)
    together = decode(batch(whisper, LANGUAGES))
    for index, row in enumerate(together):
        (alone,) = decode(batch(whisper, LANGUAGES, slice(index, index + 1)))
        assert alone.tokens == row.tokens
        for name in STATISTICS:
            assert getattr(alone, name) == pytest.approx(getattr(row, name), rel=1e-3, abs=1e-4)


def test_threads_do_not_disturb_one_another(checkpoint: Path) -> None:
    whisper, decode = decoder(checkpoint, "float32", lanes=2)
    blocks = [batch(whisper, LANGUAGES, slice(start, start + 3)) for start in range(0, CLIPS, 3)]
    with ThreadPoolExecutor(4) as pool:
        at_once = list(pool.map(decode, blocks * 3))
    assert at_once == [decode(block) for block in blocks] * 3


def test_a_text_that_does_not_end_stops_at_the_same_limit(tiny: Whisper, tmp_path: Path) -> None:
    ensure_language(tiny.model, tiny.tokenizer, Language("ru", "ru"))
    with torch.no_grad():  # the end is never said
        tiny.model.get_input_embeddings().weight[tiny.model.generation_config.eos_token_id] = 0
    save(tiny, tmp_path, {})
    prompts = [prompt_ids(tiny.model, "ru")] * 2
    expected = decode_batch(tiny.model, features()[:2], prompts, WINDOW_S)
    backend = Backend("ctranslate2", 1, 1, "float32")
    whisper = load(str(tmp_path))
    decode = CTranslate2Decoder(whisper, tmp_path, "ru", "cpu", backend)
    found = decode(Batch(["a", "b"], features()[:2], prompts, WINDOW_S))
    assert [row.tokens for row in found] == [row.tokens for row in expected]
    assert len(found[0].tokens) == 16 + 20 * WINDOW_S


def test_no_language_is_lost(checkpoint: Path) -> None:
    whisper, _ = decoder(checkpoint, "float32")
    for code in whisper.model.generation_config.lang_to_id:
        assert max(prompt_ids(whisper.model, code.strip("<|>"))) < VOCABULARY


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_impossible_tokens_have_no_share_in_any_type(dtype: torch.dtype) -> None:
    logits = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    masked = torch.cat([logits, torch.full((3, 7), torch.finfo(torch.float32).min)], -1)
    found = logit_statistics(masked.to(dtype))
    expected = logit_statistics(logits.to(dtype))
    torch.testing.assert_close(found, expected)
    assert found.isfinite().all()


def test_a_type_that_the_device_lacks_is_refused_with_advice(checkpoint: Path) -> None:
    advice = r"cannot compute in float16 on cpu .* set model\.precision"
    with pytest.raises(ConfigError, match=advice):
        decoder(checkpoint, "float16")


def test_a_listener_in_lanes_hears_what_one_lane_hears(checkpoint: Path, make_clip: Any) -> None:
    root = checkpoint.parent
    clips = []
    for index in range(6):
        duration_s = 0.6 + 0.5 * index
        path = make_clip(f"{index}.wav", duration_s)
        clips.append(Utterance(str(index), "", str(path), duration_s, "s", "ky", "pool"))
    recognizer = WhisperRecognizer(root, ModelSettings(device="cpu", memory_mb=40.0))
    blocks = recognizer.blocks(checkpoint.name, clips, recognizer.room())
    assert len(blocks) > 3
    alone = recognizer.listener(checkpoint.name)
    expected = {row.utterance_id: row for block in blocks for row in alone(block)}
    recognizer.backend = Backend("ctranslate2", 3, 1, "int8")
    lanes = recognizer.listener(checkpoint.name)
    assert lanes.lanes == 3
    results = LocalEngine().map(lambda: lanes, blocks)
    assert {row.utterance_id: row for rows in results for row in rows} == expected


def test_torch_keeps_its_threads(checkpoint: Path) -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        decoder(checkpoint, "float32")
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)


def test_torch_s_weights_are_gone(checkpoint: Path) -> None:
    whisper, _ = decoder(checkpoint, "int8")
    assert {row.device.type for row in whisper.model.parameters()} == {"meta"}


def test_the_backend_is_no_part_of_what_a_workspace_is() -> None:
    assert ModelSettings(backend="torch").identity() == ModelSettings().identity()
