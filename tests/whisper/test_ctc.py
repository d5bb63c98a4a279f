"""The CTC recogniser on the tiny Whisper: what it hears, saves, and learns again after a kill."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC

from al_loop.alignment.text import Labels
from al_loop.config import TrainSettings
from al_loop.errors import ModelError, TrainingError
from al_loop.whisper.batches import Clip
from al_loop.whisper.checkpoints import Whisper
from al_loop.whisper.checkpoints import load as load_whisper
from al_loop.whisper.ctc import (
    Ctc,
    WhisperCtc,
    Windows,
    alphabet_of,
    begin,
    load,
    load_recognizer,
    save,
    score,
    spell_out,
)
from al_loop.whisper.ctc_training import CtcTraining, Progress
from al_loop.whisper.ctc_transformers import TransformersCtc
from al_loop.whisper.features import accept_short_windows, read

TEXTS = ["бир", "эки үч төрт", "алты", "жети сегиз", "саат", "ооба", "жок", "а"]
LABELS = Labels({"а": 2, "б": 3}, blank=0, space=1)
RULE = {
    "learning_rate": 3e-3,
    "warmup_share": 0.0,
    "precision": "float32",
    "accumulation": 1,
    "patience": 0,
}


@pytest.fixture
def clips(make_clip: Callable[..., Path]) -> list[Clip]:
    return [
        Clip(f"clip-{index}", make_clip(f"{index}.wav", 0.5, seed=index), text, "ky", 1.0)
        for index, text in enumerate(TEXTS)
    ]


@pytest.fixture
def fresh(tiny_folder: Path) -> Callable[[], Ctc]:
    def make() -> Ctc:
        whisper = load_whisper(str(tiny_folder))
        accept_short_windows(whisper.model)
        alphabet = alphabet_of((text, "ky") for text in TEXTS)
        return begin(whisper, alphabet, Windows(0.5, 0.5), seed=0)

    return make


def run(
    ctc: Ctc,
    epochs: Sequence[Sequence[Clip]],
    scratch: Path,
    validation: Sequence[Clip] = (),
    **settings: object,
) -> Progress:
    scratch.mkdir(exist_ok=True)
    rule = TrainSettings.model_validate(RULE | settings)
    return CtcTraining(ctc, epochs, validation, rule, 0, scratch).run()


def test_the_alphabet_is_that_of_normalised_texts() -> None:
    assert alphabet_of([("Бир, 2!", "ky"), ("ЁЖ", "ru")]) == "бежикрэ"


def test_emissions_are_log_probabilities_of_the_clips_own_frames(
    fresh: Callable[[], Ctc], clips: list[Clip]
) -> None:
    recogniser = WhisperCtc(fresh(), "tiny")
    samples = [read(clips[0].path), read(clips[1].path)[:5000], np.zeros(1, np.float32)]
    found = recogniser.emissions(samples)
    letters = len(recogniser.labels.letters)
    assert [row.shape for row in found] == [(25, letters + 2), (16, letters + 2), (1, letters + 2)]
    assert all(row.dtype == np.float32 for row in found)
    assert np.exp(found[0]).sum(axis=1) == pytest.approx(1, abs=1e-5)
    alone = recogniser.emissions(samples[1:2])[0]
    assert alone == pytest.approx(found[1], abs=0.05)  # bfloat16, where the CPU has it


def test_spelling_joins_what_is_alike_and_drops_blanks() -> None:
    ids = [0, 2, 2, 0, 2, 1, 1, 0, 3, 3, 1]
    log_probs = np.full((len(ids), 4), -5.0, dtype=np.float32)
    log_probs[np.arange(len(ids)), ids] = -0.1
    assert spell_out(log_probs, LABELS) == "аа б"
    assert spell_out(log_probs[:0], LABELS) == ""


def test_a_score_sums_over_all_alignments() -> None:
    """`а` in two frames: аа, -а, а-."""
    probs = np.array([[0.5, 0.1, 0.3, 0.1], [0.2, 0.1, 0.6, 0.1]], dtype=np.float32)
    expected = 0.3 * 0.6 + 0.5 * 0.6 + 0.3 * 0.2
    assert score(np.log(probs), "а", LABELS) == pytest.approx(math.log(expected), abs=1e-5)
    assert score(np.log(probs), "абб", LABELS) == -math.inf
    assert score(np.log(probs), "я", LABELS) == -math.inf
    without = Labels(LABELS.letters, 0, None)
    assert score(np.log(probs), "а б", without) == pytest.approx(math.log(0.3 * 0.1), abs=1e-5)


def test_saved_and_loaded_to_the_bit(
    fresh: Callable[[], Ctc], clips: list[Clip], tmp_path: Path
) -> None:
    ctc = fresh()
    run(ctc, [clips], tmp_path / "scratch")
    folder = tmp_path / "spelling"
    folder.mkdir()
    save(ctc, folder, {"made_from": "base"})
    again = load(folder)
    assert (again.alphabet, again.windows) == (ctc.alphabet, ctc.windows)
    ours, theirs = ctc.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    samples = [read(clips[0].path)]
    recogniser = load_recognizer(str(folder))
    assert np.array_equal(
        recogniser.emissions(samples)[0], WhisperCtc(ctc, "").emissions(samples)[0]
    )
    assert recogniser.id.startswith("spelling@")
    assert json.loads((folder / "al_loop.json").read_text())["made_from"] == "base"


def test_a_damaged_folder_is_named(fresh: Callable[[], Ctc], tmp_path: Path) -> None:
    save(fresh(), tmp_path, {})
    (tmp_path / "model.safetensors").write_bytes(b"half a file")
    with pytest.raises(ModelError, match="cannot be loaded as a CTC recogniser"):
        load_recognizer(str(tmp_path))
    with pytest.raises(ModelError, match="no such CTC recogniser; name a folder"):
        load_recognizer(str(tmp_path / "absent"))


def test_training_learns_and_repeats_to_the_bit(
    fresh: Callable[[], Ctc], clips: list[Clip], tmp_path: Path
) -> None:
    weights, runs = [], []
    for index in range(2):
        ctc = fresh()
        runs.append(run(ctc, [clips] * 12, tmp_path / str(index)))
        weights.append(ctc.model.state_dict())
    assert runs[0].losses[-1] < 0.6 * runs[0].losses[0]
    assert runs[0] == runs[1]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize("size", [2, 4])
def test_accumulation_is_exact(
    fresh: Callable[[], Ctc], clips: list[Clip], tmp_path: Path, size: int
) -> None:
    found = run(fresh(), [clips], tmp_path / "a", batch_size=size, accumulation=8 // size)
    whole = run(fresh(), [clips], tmp_path / "b", batch_size=8)
    assert len(found.losses) == 1
    assert found.losses == pytest.approx(whole.losses, rel=1e-5)
    assert found.grad_norms == pytest.approx(whole.grad_norms, rel=1e-4)


def test_a_frozen_encoder_stays_as_it_is(
    fresh: Callable[[], Ctc], clips: list[Clip], tmp_path: Path
) -> None:
    for method, moves in (("frozen_encoder", False), ("full", True)):
        ctc, before = fresh(), fresh()
        run(ctc, [clips], tmp_path / method, method=method)
        encoder = ctc.model.encoder.state_dict()
        moved = any(
            not torch.equal(encoder[name], row)
            for name, row in before.model.encoder.state_dict().items()
        )
        assert moved == moves
        assert not torch.equal(ctc.model.spell.weight, before.model.spell.weight)


@pytest.mark.parametrize("killed_after", [2, 5])
def test_a_killed_training_ends_with_the_same_weights(
    fresh: Callable[[], Ctc],
    clips: list[Clip],
    tiny_folder: Path,
    tmp_path: Path,
    killed_after: int,
) -> None:
    """SIGKILL, then a second call; every second step saves."""
    rule = {"batch_size": 2, "save_minutes": 1e-9}
    whole, resumed = fresh(), fresh()
    expected = run(whole, [clips] * 3, tmp_path / "whole", clips[:2], **rule)
    scratch = tmp_path / "killed"
    texts = [f"{clip.path}={clip.text}" for clip in clips]
    killed = subprocess.run(
        [
            *(sys.executable, "-m", "tests.whisper.killed_ctc_training"),
            *(str(tiny_folder), str(scratch), str(killed_after), *texts),
        ],
        env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())},
        check=False,
        capture_output=True,
        text=True,
    )
    assert killed.returncode == -9, killed.stderr
    steps_before = len(torch.load(scratch / "state.pt")["progress"]["losses"])
    assert steps_before == killed_after // 2 * 2
    assert run(resumed, [clips] * 3, scratch, clips[:2], **rule) == expected
    ours, theirs = whole.model.state_dict(), resumed.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_what_cannot_be_spelled_is_left_out_and_named(
    fresh: Callable[[], Ctc], clips: list[Clip], tmp_path: Path
) -> None:
    long = Clip("long", clips[0].path, "бир " * 40, "ky", 1.0)
    empty = Clip("empty", clips[0].path, "…", "ky", 1.0)
    done = run(fresh(), [[*clips, long, empty]], tmp_path / "a")
    assert done.left_out == ["empty", "long"]
    with pytest.raises(TrainingError, match="no labelled example"):
        run(fresh(), [[long]], tmp_path / "b")


def test_texts_without_letters_spell_nothing(tiny: Whisper) -> None:
    with pytest.raises(ModelError, match="no letters"):
        begin(tiny, alphabet_of([("…", "ky")]), Windows(), seed=0)


# -- transformers' own -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wav2vec2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny wav2vec2 with a head of letters, as a folder."""
    folder = tmp_path_factory.mktemp("wav2vec2")
    vocabulary = {"<pad>": 0, "<unk>": 1, "|": 2, "A": 3, "b": 4, "'": 5}
    torch.manual_seed(0)
    config = Wav2Vec2Config(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=24,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        conv_dim=(8,) * 7,
        pad_token_id=0,
    )
    Wav2Vec2ForCTC(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({"kir": vocabulary}), encoding="utf-8")
    return folder


def test_any_model_for_ctc_takes_its_place(wav2vec2: Path, clips: list[Clip]) -> None:
    recogniser = load_recognizer(str(wav2vec2))
    assert recogniser.labels == Labels({"a": 3, "b": 4, "'": 5}, blank=0, space=2)
    assert recogniser.frame_s == 0.02
    samples = [read(clips[0].path), read(clips[1].path)[:7000], np.zeros(1, np.float32)]
    found = recogniser.emissions(samples)
    assert [row.shape for row in found] == [(25, 6), (22, 6), (1, 6)]
    assert np.exp(found[0]).sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert set(spell_out(found[0], recogniser.labels)) <= set("ab' ")
    assert recogniser.id == load_recognizer(str(wav2vec2)).id


def test_a_model_of_no_letters_is_refused(wav2vec2: Path, tmp_path: Path) -> None:
    for path in wav2vec2.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "vocab.json").write_text(json.dumps({"<pad>": 0, "<unk>": 1}))
    with pytest.raises(ModelError, match="no single letters"):
        load_recognizer(str(tmp_path))
    (tmp_path / "vocab.json").unlink()
    with pytest.raises(ModelError, match="cannot be loaded as a CTC recogniser"):
        load_recognizer(str(tmp_path))


@pytest.fixture(scope="module")
def many_languages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that has letters, adapters and a head of its own for each of two languages."""
    folder = tmp_path_factory.mktemp("many")
    tables = {
        "eng": {"<pad>": 0, "|": 1, "a": 2, "b": 3},
        "kir": {"<pad>": 0, "|": 1, "а": 5, "б": 4, "ө": 3, "ү": 2},
    }
    torch.manual_seed(0)
    config = Wav2Vec2Config(
        vocab_size=len(tables["eng"]),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=24,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        conv_dim=(8,) * 7,
        pad_token_id=0,
        adapter_attn_dim=4,
    )
    model = Wav2Vec2ForCTC(config)
    model.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps(tables), encoding="utf-8")
    adapters = {
        name: torch.randn_like(row) if "lm_head" not in name else torch.randn(6, *row.shape[1:])
        for name, row in model._get_adapters().items()
    }
    save_file(adapters, folder / "adapter.kir.safetensors")
    return folder


def test_a_model_of_many_languages_spells_the_one_that_is_wanted(
    many_languages: Path, clips: list[Clip], tmp_path: Path
) -> None:
    recogniser = load_recognizer(str(many_languages), language="ky")
    assert recogniser.labels == Labels({"а": 5, "б": 4, "ө": 3, "ү": 2}, blank=0, space=1)
    (found,) = recogniser.emissions([read(clips[0].path)])
    assert found.shape == (25, 6)
    kept = load_file(many_languages / "adapter.kir.safetensors")
    assert isinstance(recogniser, TransformersCtc)
    assert torch.equal(recogniser.model.lm_head.weight, kept["lm_head.weight"])
    with pytest.raises(ModelError, match="letters for 2 languages, and 0 of these could be kk"):
        load_recognizer(str(many_languages), language="kk")
    with pytest.raises(ModelError, match=r"2 of these could be meant \(eng, kir"):
        load_recognizer(str(many_languages))
    shutil.copytree(many_languages, tmp_path / "half")
    (tmp_path / "half/adapter.kir.safetensors").unlink()
    with pytest.raises(ModelError, match=r"adapter\.kir\.safetensors"):
        load_recognizer(str(tmp_path / "half"), language="ky")


def test_a_vocabulary_of_another_model_is_refused(wav2vec2: Path, tmp_path: Path) -> None:
    shutil.copytree(wav2vec2, tmp_path / "mixed")
    letters = {"<pad>": 0, "a": 5, "b": 6}
    (tmp_path / "mixed/vocab.json").write_text(json.dumps(letters))
    with pytest.raises(ModelError, match="numbers its labels up to 6, and the model hears 6"):
        load_recognizer(str(tmp_path / "mixed"))
