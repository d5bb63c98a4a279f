import csv
import hashlib
import re
import wave
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from al_loop.demo.corpus import PARTS, Part, build_corpus, plan, read_answers, read_sentences
from al_loop.errors import AlLoopError, WorkspaceError

FEW = (Part("ky", "pool", 2, ("m1", "f1")), Part("ru", "test", 1, ("m1",)))


def silent(done: int, total: int) -> None:
    """No progress is shown."""


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def normalised(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "corpus"
    build_corpus(folder, 7, silent)
    return folder


@pytest.mark.parametrize(("language", "fewest"), [("ky", 230), ("ru", 90)])
def test_sentences_are_many_distinct_and_short(language: str, fewest: int) -> None:
    sentences = [normalised(sentence) for sentence in read_sentences(language)]
    assert len(set(sentences)) == len(sentences) >= fewest
    assert all(3 <= len(sentence.split()) <= 9 for sentence in sentences)


def test_sentences_are_spelled_in_their_own_alphabet() -> None:
    russian = set("абвгдеёжзийклмнопрстуфхцчшщъыьэюя")
    for language, alphabet in (("ru", russian), ("ky", russian | set("ңөү"))):
        assert set(normalised("".join(read_sentences(language)))) - {" "} <= alphabet
    with_kyrgyz_letter = [s for s in read_sentences("ky") if set("ңөү") & set(s.lower())]
    assert len(with_kyrgyz_letter) > len(read_sentences("ky")) / 2


def test_no_sentence_is_in_two_splits_or_twice_in_one() -> None:
    texts = [normalised(clip.text) for clip in plan(PARTS, np.random.default_rng(0))]
    assert len(set(texts)) == len(texts) == 311


def test_voices_are_many_and_half_of_the_test_speakers_are_new() -> None:
    clips = [c for c in plan(PARTS, np.random.default_rng(0)) if c.voice.language == "ky"]
    heard = {clip.speaker for clip in clips if clip.split != "test"}
    tested = {clip.speaker for clip in clips if clip.split == "test"}
    assert len(heard) >= 12
    assert len(tested - heard) == len(tested & heard) == 4


def test_the_manifests_hold_what_was_planned(corpus: Path) -> None:
    tables = ("train_ky", "train_ru", "test")
    rows = [row for name in tables for row in read(corpus / f"{name}.tsv")]
    rows += [row | {"split": "pool"} for row in read(corpus / "pool.tsv")]
    counts = Counter((row["language"], row["split"]) for row in rows)
    assert counts == {(part.language, part.split): part.clips for part in PARTS}
    audio = {path.relative_to(corpus).as_posix() for path in corpus.glob("audio/*")}
    assert {row["path"] for row in rows} == audio


def test_the_pool_keeps_its_texts_to_the_annotator(corpus: Path) -> None:
    pool = read(corpus / "pool.tsv")
    assert set(pool[0]) == {"path", "language", "speaker"}
    answers = read_answers(corpus)
    audio = [path.read_bytes() for path in corpus.glob("audio/*")]
    assert set(answers) == {hashlib.sha256(data).hexdigest() for data in audio}
    asked = [hashlib.sha256((corpus / row["path"]).read_bytes()).hexdigest() for row in pool]
    assert {answers[name] for name in asked} <= set(read_sentences("ky"))


def test_clips_are_short_and_neither_silent_nor_clipped(corpus: Path) -> None:
    seconds = []
    for path in corpus.glob("audio/*.wav"):
        with wave.open(str(path)) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(int)
            seconds.append(len(samples) / file.getframerate())
        assert 1_000 < np.abs(samples).max() < 32_000
    assert min(seconds) >= 1.2
    assert max(seconds) <= 5.0
    assert np.mean(np.array(seconds) < 4.0) > 0.95


def test_equal_seeds_give_equal_bytes(tmp_path: Path) -> None:
    made = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        folder = tmp_path / name
        build_corpus(folder, seed, silent, FEW)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        made.append({path.relative_to(folder): path.read_bytes() for path in files})
    assert made[0] == made[1]
    assert made[0] != made[2]


def test_progress_is_told_clip_by_clip(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    build_corpus(tmp_path / "corpus", 1, lambda done, total: told.append((done, total)), FEW)
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_corpus_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    unspeakable = (*FEW, Part("ru", "train", 1, ("nobody",)))
    with pytest.raises(AlLoopError, match="nobody"):
        build_corpus(tmp_path / "corpus", 1, silent, unspeakable)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_exists_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="exists already"):
        build_corpus(tmp_path, 1, silent, FEW)
