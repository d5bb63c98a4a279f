"""Exports, read by the programs that they are made for; tests/e2e has the real weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from faster_whisper import WhisperModel
from transformers import WhisperProcessor

from al_loop.audio import decode
from al_loop.cli import main
from al_loop.config import ModelSettings
from al_loop.errors import ModelError
from al_loop.records import Checkpoint
from al_loop.whisper.checkpoints import PACKAGED, Whisper, load, save
from al_loop.whisper.export import export_ctranslate2, export_transformers, published
from al_loop.whisper.languages import Language, ensure_language, timestamp_ids
from al_loop.whisper.recognizer import WhisperRecognizer
from storage.store import Store

MakeClip = Callable[..., Path]


@pytest.fixture
def checkpoint(tiny: Whisper, tmp_path: Path) -> Path:
    """A tiny Whisper whose `<|ky|>` has moved away from `<|kk|>`, as training moves it."""
    ensure_language(tiny.model, tiny.tokenizer, Language("ky", "kk"))
    with torch.no_grad():
        tiny.model.get_input_embeddings().weight[-1] *= -1
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    save(tiny, folder, {})
    (folder / "adapter").mkdir()
    return folder


def exported(checkpoint: Path, place: str = "kk", code: str = "ky") -> Path:
    folder = checkpoint.with_name("exported")
    export_ctranslate2(checkpoint, folder, "float32", code, place)
    return folder


def token_row(folder: Path, code: str) -> list[float]:
    """The embedding of a language's token; a CTranslate2 folder is read as well."""
    model = load(str(folder)).model
    at = model.generation_config.lang_to_id[f"<|{code}|>"]
    return model.get_input_embeddings().weight[at].tolist()


def test_the_new_language_takes_the_donor_s_place(checkpoint: Path) -> None:
    folder = exported(checkpoint)
    assert token_row(folder, "kk") == token_row(checkpoint, "ky") != token_row(checkpoint, "kk")
    assert token_row(folder, "ru") == token_row(checkpoint, "ru")


def test_it_can_take_another_s_place(checkpoint: Path) -> None:
    folder = checkpoint.with_name("exported")
    assert export_ctranslate2(checkpoint, folder, "float32", "ky", "tt") == "tt"
    assert token_row(folder, "tt") == token_row(checkpoint, "ky")
    assert token_row(folder, "kk") == token_row(checkpoint, "kk")


def test_the_vocabulary_ends_with_the_timestamps(checkpoint: Path) -> None:
    folder = exported(checkpoint)
    vocabulary = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
    assert vocabulary[-1] == "<|30.00|>"
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert max(config["lang_ids"]) < timestamp_ids(load(str(checkpoint)).model).start
    names = [
        row["content"]
        for row in json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))[
            "added_tokens"
        ]
    ]
    assert "<|kk|>" in names
    assert "<|ky|>" not in names
    assert load(str(folder)).model.config.vocab_size == len(vocabulary)  # and we read it ourselves


def test_the_size_of_the_features_comes_along(checkpoint: Path) -> None:
    path = checkpoint / "preprocessor_config.json"
    features = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**features, "feature_size": 128}), encoding="utf-8")
    model = WhisperModel(str(exported(checkpoint)), device="cpu", compute_type="float32")
    assert model.feature_extractor.mel_filters.shape[0] == 128


def test_a_language_that_whisper_lists_needs_no_other_s_place(
    tiny: Whisper, tmp_path: Path
) -> None:
    ensure_language(tiny.model, tiny.tokenizer, Language("ru", "ru"))
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    save(tiny, folder, {})
    assert export_ctranslate2(folder, tmp_path / "exported", "float32", "ru", "uk") == "ru"
    for code in ("ru", "uk"):
        assert token_row(tmp_path / "exported", code) == token_row(folder, code)


def test_a_place_for_a_language_that_needs_none_is_refused(store: Store, tiny_folder: Path) -> None:
    workspace = store.workspace
    settings = ModelSettings(checkpoint=str(tiny_folder), language="ru", device="cpu")
    with store.new_checkpoint_folder("base") as folder:
        sidecar = WhisperRecognizer(workspace.root, settings).create_base(folder)
    store.put_checkpoint(Checkpoint("base", "checkpoints/base", None, sidecar))
    command = ["-w", str(workspace.root), "export", "base", "--format", "ctranslate2"]
    refused = CliRunner().invoke(main, [*command, "--as", "uk"])
    assert refused.exit_code == 2
    assert "--as: Whisper lists 'ru'" in refused.output
    assert list(workspace.exports.iterdir()) == []
    assert CliRunner().invoke(main, command).exit_code == 0
    (exported_folder,) = workspace.exports.iterdir()
    assert 'language="ru"' in (exported_folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("place", ["ky", "xx"])
def test_a_place_that_whisper_does_not_list_is_an_error(checkpoint: Path, place: str) -> None:
    with pytest.raises(ModelError, match=rf"ky cannot take the place of '{place}'; .* ba, be, bg"):
        exported(checkpoint, place)


def test_a_language_that_the_checkpoint_lacks_is_an_error(checkpoint: Path) -> None:
    with pytest.raises(ModelError, match="has no token for language 'xx'"):
        exported(checkpoint, code="xx")


def test_the_weights_can_be_quantised(checkpoint: Path, make_clip: MakeClip) -> None:
    folder = checkpoint.with_name("exported")
    export_ctranslate2(checkpoint, folder, "int8", "ky", "kk")
    model = WhisperModel(str(folder), device="cpu", compute_type="int8")
    segments, _ = model.transcribe(decode(make_clip("clip.wav")), language="kk", max_new_tokens=4)
    list(segments)


def test_a_transformers_folder_holds_what_transformers_loads(
    checkpoint: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "exported"
    folder.mkdir()
    export_transformers(checkpoint, folder)
    assert {path.name for path in folder.iterdir()} >= {"model.safetensors", "al_loop.json"}
    assert not (folder / "adapter").exists()
    before, after = load(str(checkpoint)).model, load(str(folder)).model
    for one, other in zip(before.parameters(), after.parameters(), strict=True):
        assert torch.equal(one, other)
    assert (
        WhisperProcessor.from_pretrained(folder).tokenizer.convert_tokens_to_ids("<|ky|>") > 51864
    )


def test_an_exported_sidecar_has_no_path_of_this_machine(checkpoint: Path, tmp_path: Path) -> None:
    model = {"checkpoint": "~/models/mine", "donor": "kk"}
    sidecar = {"made_from": "/home/aida/whisper", "model": model, "epochs": [{"loss": 0.5}]}
    (checkpoint / "al_loop.json").write_text(json.dumps(sidecar), encoding="utf-8")
    folder = tmp_path / "exported"
    folder.mkdir()
    export_transformers(checkpoint, folder)
    written = json.loads((folder / "al_loop.json").read_text(encoding="utf-8"))
    assert written["made_from"] == "whisper"
    assert written["model"] == {"checkpoint": "mine", "donor": "kk"}
    assert written["epochs"] == [{"loss": 0.5}]


@pytest.mark.parametrize(
    ("name", "licence"),
    [
        ("openai/whisper-small", "apache-2.0"),
        ("openai/whisper-large-v3-turbo", "mit"),
        ("openai/whisper-of-tomorrow", None),
        ("somebody/never-cached", None),
    ],
)
def test_a_name_of_the_hub_has_the_licence_that_we_know(
    tmp_path: Path, name: str, licence: str | None
) -> None:
    assert published({"made_from": name, "from_folder": False}, tmp_path) == (name, licence)


def test_the_packaged_model_is_openai_s(tmp_path: Path) -> None:
    assert published({"made_from": PACKAGED}, tmp_path) == ("openai/whisper-base", "mit")


def test_the_licence_is_what_the_base_s_own_card_says(tmp_path: Path) -> None:
    (tmp_path / "my" / "model").mkdir(parents=True)
    base = {"made_from": "my/model", "from_folder": True}
    assert published(base, tmp_path) == (None, None)
    card = tmp_path / "my" / "model" / "README.md"
    card.write_text("---\nlicense: cc-by-4.0\n---\n# A model\n", encoding="utf-8")
    assert published(base, tmp_path) == (None, "cc-by-4.0")
    assert published({"made_from": str(card.parent)}, Path("/nowhere")) == (None, "cc-by-4.0")
    for text in ("# A model\n\nlicense: mine\n", "---\nlicense: unknown\n---\n# Ours\n"):
        card.write_text(text, encoding="utf-8")
        assert published(base, tmp_path) == (None, None)


@pytest.mark.parametrize("name", ["/data/models/whisper gone", "models/mine/here"])
def test_what_cannot_be_a_name_of_the_hub_is_none(tmp_path: Path, name: str) -> None:
    assert published({"made_from": name}, tmp_path) == (None, None)


def test_a_folder_that_is_gone_is_no_model_of_the_hub(tiny_folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "models" / "whisper-small"
    shutil.copytree(tiny_folder, source)
    settings = ModelSettings(checkpoint="models/whisper-small", device="cpu")
    base = WhisperRecognizer(tmp_path, settings).create_base(tmp_path / "base")
    shutil.rmtree(source)
    assert published(base, tmp_path) == (None, None)
