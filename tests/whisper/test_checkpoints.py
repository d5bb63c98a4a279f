from pathlib import Path

import pytest

from al_loop.errors import ModelError
from al_loop.whisper import checkpoints
from al_loop.whisper.checkpoints import load


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./nowhere", "no such folder; name a folder that holds the model"),
        ("whisper-base", "no such folder"),
        ("a/b/c", "no such folder"),
    ],
)
def test_a_name_that_is_no_checkpoint(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load(name)


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"neither model\.bin nor config\.json"):
        load(str(tmp_path))


def test_pickled_weights_are_never_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "whisper"}')
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError, match="cannot be loaded as a Whisper model"):
        load(str(tmp_path))


def test_a_hub_id_without_a_hub_fails_at_once_with_the_other_ways(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", unreachable)
    with pytest.raises(ModelError, match=r"the hub cannot be reached; name a folder.*packaged:"):
        load("openai/whisper-that-is-not-cached")


def test_a_damaged_package_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "PACKAGED_SHA256", "0" * 64)
    with pytest.raises(ModelError, match=r"has SHA-256 d01c3014.*, expected 0000"):
        load("packaged:whisper-base")
