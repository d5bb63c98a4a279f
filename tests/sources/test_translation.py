"""Lines in another language: what is kept, what is refused, and whom the model takes for whom."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pytest

from al_loop.errors import ModelError
from al_loop.sources.model_licence import licence_of, model_name
from al_loop.sources.seq2seq import Seq2SeqTranslator, find_code
from al_loop.sources.synthesis_texts import Line
from al_loop.sources.translation import translated
from al_loop.whisper.checkpoints import weights_hash
from tests.sources.speakers import make_translator, with_card


class Reverser:
    """The port: says words backwards; counts what it was asked."""

    name = id = "reverser"
    licence = "mit"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def translate(self, texts: Sequence[str]) -> list[str]:
        self.asked += texts
        return ["" if text == "тсс" else text[::-1] for text in texts]


def lines_of(*texts: str) -> list[Line]:
    return [Line(f"ru.txt:{n}", text, f"ru.txt:{n}") for n, text in enumerate(texts, start=1)]


def test_what_was_translated_is_kept(tmp_path: Path) -> None:
    lines = [*lines_of("дом", "тсс", "дом"), Line("ru.txt:4", "", "ru.txt:4", "not UTF-8")]
    found = list(translated(lines, Reverser(), tmp_path))
    assert [line.text for line in found] == ["мод", "", "мод", ""]
    assert [line.problem for line in found] == [
        None,
        "reverser gives no sentence for it",
        None,
        "not UTF-8",
    ]
    assert found[0].origin == "ru.txt:1"
    assert found[0].text_origin == "ru.txt:1, translated by reverser"
    again = Reverser()
    assert list(translated(lines, again, tmp_path)) == found
    assert again.asked == []


def test_a_killed_run_goes_on_with_the_block_that_it_lost(tmp_path: Path) -> None:
    lines = lines_of(*(f"слово{chr(1072 + n)}" for n in range(20)))
    whole = list(translated(lines, Reverser(), tmp_path))
    (path,) = tmp_path.iterdir()
    data = path.read_bytes()
    path.write_bytes(data[:-5])  # killed in the middle of its last line
    again = Reverser()
    assert list(translated(lines, again, tmp_path)) == whole
    assert again.asked == [line.text for line in lines[16:]]
    assert path.read_bytes() == data


def test_a_model_is_told_its_languages(tmp_path: Path) -> None:
    folder = make_translator(tmp_path / "tiny-mt", "apache-2.0")
    model = Seq2SeqTranslator(str(folder), "ru", "kir_Cyrl")
    assert model.translate(["вода", "дом"]) == ["суу", "үй"]
    assert (model.name, model.licence) == (model_name(str(folder)), "apache-2.0")
    assert model.id == f"{model.name} rus_Cyrl to kir_Cyrl"
    with pytest.raises(ModelError, match="has no language 'fr'; name it as the model does"):
        Seq2SeqTranslator(str(folder), "ru", "fr")
    with pytest.raises(ModelError, match="cannot be read as a translation model"):
        Seq2SeqTranslator(str(tmp_path), "ru", "ky")


def test_languages_are_found_by_their_codes() -> None:
    assert find_code("ky", ["ky", "ru"], "m2m") == "ky"
    assert find_code("ky", ["kir_Cyrl", "rus_Cyrl"], "nllb") == "kir_Cyrl"
    assert find_code("ru", ["ru_RU", "kk_KZ"], "mbart") == "ru_RU"
    with pytest.raises(ModelError, match=r"several languages 'kas'.*kas_Arab, kas_Deva"):
        find_code("kas", ["kas_Arab", "kas_Deva"], "nllb")


def test_folders_of_one_name_are_told_apart_by_their_weights(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "tts", tmp_path / "b" / "tts"
    for folder, names in (
        (first, ["model.safetensors"]),
        (second, ["model-00001-of-2.safetensors", "model-00002-of-2.safetensors"]),
    ):
        folder.mkdir(parents=True)
        for name in names:
            (folder / name).write_bytes(name.encode())
    assert model_name(str(first)) == f"tts@{weights_hash(first)[:12]}"
    known = model_name(str(second))
    assert re.fullmatch("tts@[0-9a-f]{12}", known)
    (second / "model-00002-of-2.safetensors").write_bytes(b"others")
    assert model_name(str(second)) not in (known, model_name(str(first)))
    (second / "pytorch_model.bin").write_bytes(b"not read where there are safetensors")
    (first / "model.safetensors").rename(first / "pytorch_model.bin")
    assert model_name(str(first)) == f"tts@{sha256(b'model.safetensors').hexdigest()[:12]}"
    assert model_name("org/tts") == "org/tts"


def test_licences_are_those_of_the_cards(tmp_path: Path) -> None:
    folder = tmp_path / "my-tts"
    folder.mkdir()
    assert (model_name(str(folder)), licence_of(str(folder))) == ("my-tts", "unknown")
    assert licence_of(str(with_card(folder, "cc-by-sa-4.0"))) == "cc-by-sa-4.0"
    assert licence_of(str(with_card(folder, "other\nlicense_name: coqui-nc"))) == "coqui-nc"
    assert licence_of(str(with_card(folder, "[mit, gpl]"))) == "mit, gpl"
    for broken in ("# No front matter\n", "---\nlicense: [mit\n---\n"):
        (folder / "README.md").write_text(broken, "utf-8")
        assert licence_of(str(folder)) == "unknown"
    assert licence_of("facebook/mms-tts-kir") == "cc-by-nc-4.0"
