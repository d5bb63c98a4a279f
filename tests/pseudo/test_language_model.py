"""The language model's file, as KenLM reads it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from al_loop.errors import ModelError
from al_loop.pseudo.kneser_ney import arpa, estimate
from al_loop.pseudo.language_model import LanguageModel, write_arpa

pytest.importorskip("kenlm")

TEXTS = ["бала китеп алды", "кыз китеп алды", "бала нан берди", "кыз суу ичти", "китеп"]


@pytest.mark.parametrize("order", [2, 3, 5])
@pytest.mark.parametrize("text", ["бала китеп алды", "алды китеп", "жок", "бала жок алды", ""])
def test_kenlm_says_what_the_estimate_says(tmp_path: Path, order: int, text: str) -> None:
    write_arpa(TEXTS, tmp_path / "words.arpa", order)
    expected = estimate(TEXTS, order).sentence(text) * math.log(10)
    assert LanguageModel(tmp_path / "words.arpa").score(text) == pytest.approx(expected, abs=1e-4)


def test_the_file_is_as_arpa_files_are(tmp_path: Path) -> None:
    write_arpa(["a b", "a"], tmp_path / "made" / "words.arpa", 2)
    lines = (tmp_path / "made" / "words.arpa").read_text(encoding="utf-8").splitlines()
    assert lines == [
        "\\data\\",
        "ngram 1=5",
        "ngram 2=4",
        "",
        "\\1-grams:",
        f"{math.log10(0.375):.7f}\t</s>\t0.0000000",
        f"-99.0000000\t<s>\t{math.log10(0.5):.7f}",
        f"{math.log10(0.125):.7f}\t<unk>\t0.0000000",
        f"{math.log10(0.25):.7f}\ta\t{math.log10(0.5):.7f}",
        f"{math.log10(0.25):.7f}\tb\t{math.log10(0.5):.7f}",
        "",
        "\\2-grams:",
        f"{math.log10(0.625):.7f}\t<s> a",
        f"{math.log10(0.4375):.7f}\ta </s>",
        f"{math.log10(0.375):.7f}\ta b",
        f"{math.log10(0.6875):.7f}\tb </s>",
        "",
        "\\end\\",
    ]
    assert [file.name for file in (tmp_path / "made").iterdir()] == ["words.arpa"]


def test_words_of_the_texts_score_above_others(tmp_path: Path) -> None:
    write_arpa(TEXTS, tmp_path / "words.arpa")
    model = LanguageModel(tmp_path / "words.arpa")
    assert model.score("бала китеп алды") > model.score("бала китеп ичти")
    assert model.score("бала китеп алды") > model.score("бала кетип алды")
    assert model.score(" бала  китеп алды\n") == model.score("бала китеп алды") < 0


def test_a_file_that_is_there_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "words.arpa"
    write_arpa(["a b"], path)
    write_arpa(TEXTS, path)
    assert path.read_text(encoding="utf-8").splitlines() == list(arpa(estimate(TEXTS)))


def test_without_a_word_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "words.arpa"
    write_arpa(TEXTS, path)
    with pytest.raises(ModelError, match="no text has a word"):
        write_arpa(["", " "], path)
    assert LanguageModel(path).score("китеп") < 0


@pytest.mark.parametrize("content", ["", "no model", "\\data\\\nngram 1=3\n\n\\1-grams:\n-1 a\n"])
def test_another_file_is_an_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "words.arpa"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match="no language model that KenLM can read"):
        LanguageModel(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no language model"):
        LanguageModel(tmp_path / "words.arpa")
