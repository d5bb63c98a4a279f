"""What clips sound like, by plain signals, spoken words and a tiny Whisper."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from al_loop.audio import decode
from al_loop.config import ModelSettings
from al_loop.records import Utterance
from al_loop.sources.espeak import Voice, speak_all
from al_loop.whisper.checkpoints import Whisper, save
from al_loop.whisper.languages import Language, ensure_language
from al_loop.whisper.profile import (
    SILENT_DBFS,
    clipped_share,
    foreign,
    hear,
    loudness_dbfs,
    speech_share,
)
from al_loop.whisper.recognizer import WhisperRecognizer
from tests.whisper.test_encoders import write_encoder

TIMES = np.arange(16_000) / 16_000
TONE = np.sin(2 * np.pi * 220 * TIMES).astype(np.float32)


@pytest.fixture(scope="module")
def spoken() -> np.ndarray:
    """A sentence at 16 kHz, float32."""
    [(samples, rate)] = speak_all([("Мага жаңы ырларды ойнотуп бер.", Voice("ky", "m1", 140))])
    times = np.arange(0, len(samples) / rate, 1 / 16_000)
    found = np.interp(times, np.arange(len(samples)) / rate, samples / 32768)
    return found.astype(np.float32)


def test_loudness_is_the_root_mean_square() -> None:
    assert loudness_dbfs(TONE) == pytest.approx(-3.01, abs=0.01)
    assert loudness_dbfs(0.01 * TONE) == pytest.approx(-43.01, abs=0.01)
    assert loudness_dbfs(np.zeros(9, np.float32)) == SILENT_DBFS
    assert loudness_dbfs(np.full(9, 1e-20, np.float32)) == SILENT_DBFS


def test_clipped_speech_is_told_from_loud_speech(spoken: np.ndarray) -> None:
    loud = spoken / np.abs(spoken).max()
    assert clipped_share(loud) < 0.005
    clipped = np.clip(8 * loud, -1, 1)
    assert clipped_share(clipped) > 0.05
    rough = clipped + 0.005 * np.random.default_rng(0).standard_normal(len(loud))
    assert clipped_share(rough) > 0.05
    assert clipped_share(0.5 * clipped) == 0  # quiet: whoever clipped it, nothing is at full scale
    assert clipped_share(np.zeros(9, np.float32)) == 0


def test_speech_is_told_from_what_is_not(spoken: np.ndarray) -> None:
    silence = np.zeros(len(spoken), np.float32)
    hiss = 0.05 * np.random.default_rng(1).standard_normal(len(spoken)).astype(np.float32)
    assert speech_share(spoken) > 0.7
    assert speech_share(np.concatenate([silence, spoken])) == pytest.approx(
        speech_share(spoken) / 2, abs=0.1
    )
    assert speech_share(silence) == 0
    assert speech_share(hiss) < 0.15
    assert speech_share(0.3 * TONE) < 0.15


def test_languages_and_embeddings_are_the_models(tiny: Whisper) -> None:
    model, generation = tiny.model, tiny.model.generation_config
    mels = torch.randn(2, 80, 200, generator=torch.Generator().manual_seed(0))
    probabilities, embeddings = hear(tiny, mels, [1.0, 0.001])
    with torch.no_grad():
        start = torch.tensor([[generation.decoder_start_token_id]] * 2)
        heard = model(mels, decoder_input_ids=start, output_hidden_states=True)
    expected = heard.logits[:, 0, list(generation.lang_to_id.values())].softmax(-1)
    torch.testing.assert_close(probabilities, expected)
    assert len(heard.encoder_hidden_states) == 2
    layer = heard.encoder_hidden_states[1]
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(embeddings[0], layer[0, :50].mean(dim=0).numpy(), atol=1e-6)
    np.testing.assert_allclose(embeddings[1], layer[1, 0].numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("near", "expected"),
    [
        (set(), ("kk", 0.5)),
        ({"kk", "ky"}, ("ru", 0.3)),
        ({"kk", "ky", "ru"}, ("tr", 0.1)),
        ({"kk", "ky", "ru", "tr"}, ("", 0.0)),
    ],
)
def test_the_likeliest_language_that_is_not_near(
    near: set[str], expected: tuple[str, float]
) -> None:
    assert foreign(["ru", "kk", "ky", "tr"], [0.3, 0.5, 0.1, 0.1], near) == expected


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_profiles_do_not_depend_on_the_block(
    tiny: Whisper, tmp_path: Path, make_clip: Callable[..., Path], precision: str
) -> None:
    ensure_language(tiny.model, tiny.tokenizer, Language("ky", "kk"))
    save(tiny, tmp_path / "base", {})
    block = []
    for index, language in enumerate(("ky", "ky", "ru")):
        clip = make_clip(f"{index}.wav", 0.5, seed=index)
        block.append(Utterance(str(index), "", str(clip), 0.5, "field", language, "pool"))
    settings = ModelSettings(device="cpu", padding_s=0.1, precision=precision)
    recognizer = WhisperRecognizer(tmp_path, settings)
    codes = {name.strip("<|>") for name in tiny.model.generation_config.lang_to_id}
    profile = recognizer.profiler("base", "whisper", codes - {"ky", "ru", "en"})
    together = profile(block)
    assert [row.utterance_id for row in together] == ["0", "1", "2"]
    assert {row.other_language for row in together[:2]} <= {"ru", "en"}
    assert together[2].other_language == "en"
    for utterance, row in zip(block, together, strict=True):
        (alone,) = profile([utterance])
        assert 0 < row.other_language_prob < 0.2
        assert row.loudness_dbfs == pytest.approx(-13.4, abs=0.1)
        assert row.clipped_share == 0
        assert row.speech_share == speech_share(decode(Path(utterance.audio)))
        assert row.embedding.shape == (16,)
        assert row.embedding.dtype == np.float32
        assert alone.other_language_prob == pytest.approx(row.other_language_prob, rel=0.02)
        np.testing.assert_allclose(alone.embedding, row.embedding, atol=0.02)
        assert (alone.loudness_dbfs, alone.speech_share) == (row.loudness_dbfs, row.speech_share)


def test_another_encoder_embeds_instead(
    tiny_folder: Path, tmp_path: Path, make_clip: Callable[..., Path]
) -> None:
    """A folder of the workspace comes first; what is not there is somebody else's place."""
    write_encoder(tmp_path / "encoders/hubert", "hubert")
    clip = Utterance("a", "", str(make_clip("a.wav", 0.5)), 0.5, "field", "kk", "pool")
    recognizer = WhisperRecognizer(tmp_path, ModelSettings(device="cpu", padding_s=0.1))
    whispers = recognizer.profiler(str(tiny_folder), "whisper", [])([clip])
    (own,) = recognizer.profiler(str(tiny_folder), "encoders/hubert", [])([clip])
    away = recognizer.profiler(str(tiny_folder), str(tmp_path / "encoders/hubert"), [])([clip])
    assert not np.allclose(own.embedding, whispers[0].embedding)
    np.testing.assert_array_equal(own.embedding, away[0].embedding)
    assert own.other_language_prob == whispers[0].other_language_prob
