"""From a recording of tones and its book to rows, without a model."""

from __future__ import annotations

import shutil
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from al_loop.alignment.segments import Rules
from al_loop.errors import AudioError, ManifestError, ModelError, WorkspaceError
from al_loop.sources.book_text import Paragraph
from al_loop.sources.book_words import BookWords, read_words
from al_loop.sources.books import Aligned, align_book, heard_key, locate
from al_loop.sources.heard import LOCK, Heard, hear
from al_loop.sources.ingest import Intake, ingest
from al_loop.sources.recording import Recording
from al_loop.sources.stretches import write
from storage.store import Store
from storage.workspace import Workspace
from tests.sources.tones import LETTER_S, ToneRecogniser, random_sentences, sing, write_wav


def align(folder: Path, said: Sequence[str], written: Sequence[str], **rules: float) -> Aligned:
    samples, _ = sing(said)
    recording = write_wav(folder / "reading.wav", samples)
    book = folder / "book.txt"
    book.write_text("\n".join(written), encoding="utf-8")
    return align_book(recording, book, "ky", ToneRecogniser(), folder / "heard", Rules(**rules))


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    def fill(file: Any) -> None:
        file.write(b"half of it")
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        write(tmp_path / "block-00000.npz", fill)
    assert list(tmp_path.iterdir()) == []


def test_a_reading_becomes_rows_of_its_book(tmp_path: Path) -> None:
    sentences = random_sentences(40)
    samples, begins = sing(sentences)
    found = align(tmp_path, sentences, sentences)
    rows = list(found.rows())
    assert " ".join(row.text or "" for row in rows) == " ".join(sentences)
    assert all(2 <= (row.end_s or 0) - (row.start_s or 0) <= 15 for row in rows)
    assert rows[0].origin == f"{tmp_path}/reading.wav#{rows[0].start_s:.2f}-{rows[0].end_s:.2f}"
    assert rows[0].text_origin == f"{tmp_path}/book.txt#line 1"
    assert rows[0].made_by == "tones@1"
    speech = [segment.speech_start_s for segment in found.segments]
    assert all(min(abs(start - begin) for begin in begins) < 0.03 for start in speech)
    share = found.share()
    assert (share.kept_words, share.words) == (len(found.words.words),) * 2
    assert share.kept_s / share.duration_s > 0.9
    assert share.duration_s == pytest.approx(len(samples) / 16_000, abs=0.01)


def test_what_differs_is_left_out_and_the_rest_stays(tmp_path: Path) -> None:
    """An introduction, a paragraph missing in either, and a misprint."""
    sentences, other = random_sentences(40), random_sentences(20, seed=1)
    misprinted = sentences[30].split()
    misprinted[2] = "зззгггззз" if misprinted[2] != "зззгггззз" else "ббб"
    said = [*other[:4], *sentences]
    written = [*sentences[:10], *sentences[16:20], *other[4:9], *sentences[20:]]
    written[written.index(sentences[30])] = " ".join(misprinted)
    found = align(tmp_path, said, written)
    kept = " ".join(row.text or "" for row in found.rows())
    wanted = [*sentences[:10], *sentences[16:30], *sentences[31:]]
    assert sum(sentence in kept for sentence in wanted) >= len(wanted) - 2
    assert not any(sentence in kept for sentence in [*other, *sentences[10:16]])
    assert misprinted[2] not in kept
    assert found.share().words - found.share().heard_words >= 30


def test_a_stricter_threshold_keeps_less(tmp_path: Path) -> None:
    """Every third sentence has a wrong letter in its third word."""
    sentences = random_sentences(12)
    written = [misprinted(row) if place % 3 == 0 else row for place, row in enumerate(sentences)]
    kept = {
        least: [
            row.text or "" for row in align(tmp_path, sentences, written, min_score=least).rows()
        ]
        for least in (-0.1, -5.0)
    }
    strict, loose = (sum(len(text.split()) for text in texts) for texts in kept.values())
    assert 0 < strict < loose
    assert all(row not in " ".join(kept[-0.1]) for row in written[::3])
    assert any(row in " ".join(kept[-5.0]) for row in written[::3])


def misprinted(sentence: str) -> str:
    words = sentence.split()
    words[2] = words[2][:-1] + ("а" if words[2][-1] != "а" else "б")
    return " ".join(words)


def test_a_word_said_at_a_sentences_end_and_not_printed_costs_it(tmp_path: Path) -> None:
    """The word is cut off where there is a pause before it; it is in no clip without its text."""
    said = random_sentences(12)
    begins = sing(said)[1]
    for place in (3, 5, 8):
        start, last = said[place].removesuffix(".").rsplit(" ", 1)
        written = [*said[:place], f"{start}.", *said[place + 1 :]]
        found = align(tmp_path, said, written)
        end_s = begins[place + 1] - 0.4
        begin_s = end_s - LETTER_S * len(last)
        assert not any(row.start_s < end_s and row.end_s > begin_s for row in found.segments)
        kept = " ".join(row.text or "" for row in found.rows())
        assert sum(row in kept for row in written) >= 10


def test_a_chapters_recording_finds_its_place_in_the_book(tmp_path: Path) -> None:
    """Three windows of text before what is read, one within it, and more behind."""
    book, unread = random_sentences(190), random_sentences(20, seed=3)
    said = [*book[90:110], *unread[:3], *book[150:170]]
    heard, words, recogniser = hear_tones(tmp_path, said, book)
    found, share = locate(words, heard, recogniser, reach=900)
    ends = np.cumsum([len(row.split()) for row in book])
    read = np.zeros(len(words.words), dtype=bool)
    read[ends[89] : ends[109]] = read[ends[149] : ends[169]] = True
    assert found.heard[read].mean() > 0.98
    assert found.heard[~read].mean() < 0.04
    assert share > 0.9
    assert (np.diff(found.first[found.heard]) > 0).all()


def test_another_book_is_refused_by_name(tmp_path: Path) -> None:
    said, other = random_sentences(30), random_sentences(60, seed=1)
    with pytest.raises(
        ManifestError, match=r"hardly anything of it is heard in .*/reading\.wav: "
    ) as caught:
        align(tmp_path, said, other)
    assert str(tmp_path / "book.txt") in str(caught.value)
    # one page of it, or a recording of one page, is enough
    assert align(tmp_path, said, [*said[:3], *other]).segments
    assert align(tmp_path, said[:3], [*other, *said]).segments


def hear_tones(
    folder: Path, said: Sequence[str], written: Sequence[str]
) -> tuple[Heard, BookWords, ToneRecogniser]:
    recogniser = ToneRecogniser()
    recording = write_wav(folder / "reading.wav", sing(said)[0])
    words = read_words([Paragraph(row, "") for row in written], "ky")
    return hear(recording, recogniser, folder / "heard"), words, recogniser


def test_rows_go_through_the_ingest_and_a_second_time_adds_nothing(
    tmp_path: Path, store: Store, workspace: Workspace
) -> None:
    sentences = random_sentences(8)
    found = align(tmp_path, sentences, sentences)
    intake = Intake("book", "forced_alignment", "ky", "train", frozenset({"ky"}))
    report = ingest(found.rows(), intake, store, workspace.root)
    assert (report.added, report.refusals) == (len(found.segments), [])
    again = ingest(align(tmp_path, sentences, sentences).rows(), intake, store, workspace.root)
    assert (again.added, again.known, again.refusals) == (0, len(found.segments), [])
    row = store.training_examples("in_house")[0]
    (utterance,) = store.utterances([row.utterance_id])
    assert utterance.made_by == "tones@1"
    assert utterance.start_s is not None
    assert utterance.origin.startswith(f"{tmp_path}/reading.wav#")
    assert (utterance.text_origin or "").startswith(f"{tmp_path}/book.txt#line")
    assert utterance.text in " ".join(sentences)


def test_a_killed_run_goes_on_where_it_was_and_hears_the_same(tmp_path: Path) -> None:
    samples, _ = sing(random_sentences(60))
    recording = write_wav(tmp_path / "reading.wav", samples)
    whole = hear(recording, first := ToneRecogniser(), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        hear(recording, ToneRecogniser(fail_after_s=100), tmp_path / "killed")
    rest = ToneRecogniser()
    resumed = hear(recording, rest, tmp_path / "killed")
    assert rest.heard_s < first.heard_s - 80
    assert np.array_equal(resumed.log_probs, whole.log_probs)
    assert np.array_equal(resumed.levels, whole.levels)
    assert kept_in(tmp_path / "killed") == WHOLE
    at_rest = ToneRecogniser()
    hear(recording, at_rest, tmp_path / "killed")
    assert at_rest.heard_s == 0


WHOLE = ["emissions.npy", "heard.lock", "loudness.npy"]


def kept_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("there", ["blocks", "half", "emissions", "loudness"])
def test_a_kill_while_the_blocks_are_joined(tmp_path: Path, there: str) -> None:
    """With all blocks written; half of the joined file; the joined file; and all but tidied up."""
    recording = write_wav(tmp_path / "reading.wav", sing(random_sentences(30))[0])
    whole = hear(recording, ToneRecogniser(), tmp_path / "whole")

    def kill(heard_s: float) -> None:
        if heard_s >= whole.duration_s:
            raise KeyboardInterrupt

    folder = tmp_path / "killed"
    with pytest.raises(KeyboardInterrupt):
        hear(recording, ToneRecogniser(), folder, kill)
    assert "loudness.npy" not in kept_in(folder)
    if there == "half":
        data = (tmp_path / "whole/emissions.npy").read_bytes()
        (folder / "emissions.npy.unfinished").write_bytes(data[: len(data) // 2])
    for name in {"emissions": WHOLE[:1], "loudness": [WHOLE[0], WHOLE[2]]}.get(there, []):
        shutil.copy(tmp_path / "whole" / name, folder)
    again = ToneRecogniser()
    found = hear(recording, again, folder)
    assert again.heard_s == 0
    assert np.array_equal(found.log_probs, whole.log_probs)
    assert np.array_equal(found.levels, whole.levels)
    assert kept_in(folder) == WHOLE


def test_two_do_not_hear_into_one_folder(tmp_path: Path) -> None:
    recording = write_wav(tmp_path / "reading.wav", sing(random_sentences(2))[0])
    (tmp_path / "heard").mkdir()
    with (
        FileLock(tmp_path / "heard" / LOCK),
        pytest.raises(WorkspaceError, match=r"reading\.wav is being heard by another"),
    ):
        hear(recording, ToneRecogniser(), tmp_path / "heard")
    hear(recording, ToneRecogniser(), tmp_path / "heard")
    with FileLock(tmp_path / "heard" / LOCK):
        hear(recording, ToneRecogniser(), tmp_path / "heard")  # what is whole needs no lock


class Blurred(ToneRecogniser):
    """Hears what is up to a fifth of a second away, as a recogniser of speech does."""

    def _hear(self, clip: np.ndarray) -> np.ndarray:
        sharp = np.pad(super()._hear(clip), ((10, 10), (0, 0)), mode="edge")
        return np.stack(
            [sharp[place : place + 21].mean(axis=0) for place in range(len(sharp) - 20)]
        )


def test_chunks_change_nothing_of_what_is_heard(tmp_path: Path) -> None:
    samples, _ = sing(random_sentences(10))
    recording = write_wav(tmp_path / "reading.wav", samples)
    recogniser = Blurred()
    found = hear(recording, recogniser, tmp_path / "heard")
    (whole,) = recogniser.emissions([Recording(recording).part(0, len(samples))])
    assert found.log_probs.shape == whole.shape
    assert np.array_equal(found.log_probs, whole)
    assert len(found.levels) == -(-len(samples) // 160)
    recogniser.context_s = 0.1  # too little: then they do
    found = hear(recording, recogniser, tmp_path / "narrow")
    assert not np.array_equal(found.log_probs, whole)


def test_hearing_longer_takes_no_more_memory(tmp_path: Path) -> None:
    """But for what is kept of each second, 2 kB as joined; a second's samples are 64 kB."""
    peaks = []
    for seconds in (90, 240):
        recording = write_wav(tmp_path / f"{seconds}.wav", np.zeros(seconds * 16_000))
        tracemalloc.start()
        heard = hear(recording, ToneRecogniser(), tmp_path / str(seconds))
        peaks.append(tracemalloc.get_traced_memory()[1] - heard.log_probs.nbytes)
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 150 * 4_000


def test_half_of_a_wav_is_noticed(tmp_path: Path) -> None:
    sentences = random_sentences(10)
    path = write_wav(tmp_path / "whole.wav", sing(sentences)[0])
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    book = tmp_path / "book.txt"
    book.write_text("\n".join(sentences), encoding="utf-8")
    with pytest.raises(AudioError, match=r"truncated: \d+ bytes, its header says \d+"):
        align_book(path, book, "ky", ToneRecogniser(), tmp_path / "heard")


@pytest.mark.parametrize("seconds", [0.0, 0.001])
def test_a_recording_of_nothing(tmp_path: Path, seconds: float) -> None:
    recording = write_wav(tmp_path / "empty.wav", np.zeros(round(seconds * 16_000)))
    book = tmp_path / "book.txt"
    book.write_text("аб вг.", encoding="utf-8")
    if seconds == 0:
        with pytest.raises(AudioError, match=r"no_samples|corrupt|empty_file"):
            align_book(recording, book, "ky", ToneRecogniser(), tmp_path / "heard")
    else:
        with pytest.raises(ManifestError, match="hardly anything of it is heard"):
            align_book(recording, book, "ky", ToneRecogniser(), tmp_path / "heard")


def test_faults_are_named(tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_text("аб вг.", encoding="utf-8")
    absent = tmp_path / "absent.wav"
    with pytest.raises(AudioError, match="not_a_file"):
        align_book(absent, book, "ky", ToneRecogniser(), tmp_path / "heard")
    book.write_text("щщщ щщщ.", encoding="utf-8")
    recording = write_wav(tmp_path / "reading.wav", sing(["аб вг."])[0])
    with pytest.raises(ModelError, match="knows 0 of the text's 6 letters"):
        align_book(recording, book, "ky", ToneRecogniser(), tmp_path / "heard")
    with pytest.raises(ManifestError, match="expected the book as"):
        align_book(recording, recording, "ky", ToneRecogniser(), tmp_path / "heard")


def test_what_another_precision_hears_is_kept_apart(tmp_path: Path) -> None:
    recording = write_wav(tmp_path / "reading.wav", sing(["аб вг."])[0])
    first, second = ToneRecogniser(), ToneRecogniser()
    assert heard_key(recording, first) == heard_key(recording, second)
    second.manner = "cuda bfloat16"
    assert heard_key(recording, first) != heard_key(recording, second)
