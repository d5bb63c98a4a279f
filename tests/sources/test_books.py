"""From a recording of tones and its book to rows, without a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from al_loop.alignment.segments import Rules
from al_loop.errors import AudioError, ManifestError, ModelError
from al_loop.sources.books import Aligned, align_book
from al_loop.sources.heard import hear
from al_loop.sources.ingest import Intake, ingest
from al_loop.sources.recording import Recording
from storage.store import Store
from storage.workspace import Workspace
from tests.sources.tones import ToneRecogniser, random_sentences, sing, write_wav


def align(folder: Path, said: Sequence[str], written: Sequence[str], **rules: float) -> Aligned:
    samples, _ = sing(said)
    recording = write_wav(folder / "reading.wav", samples)
    book = folder / "book.txt"
    book.write_text("\n".join(written), encoding="utf-8")
    return align_book(recording, book, "ky", ToneRecogniser(), folder / "heard", Rules(**rules))


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
    sentences = random_sentences(10)
    assert len(align(tmp_path, sentences, sentences, min_score=-0.5).segments) > 0
    wrong = random_sentences(10, seed=9)
    assert align(tmp_path, sentences, wrong, min_score=-0.5).segments == []


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
    whole = hear(Recording(recording), first := ToneRecogniser(), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        hear(Recording(recording), ToneRecogniser(fail_after_s=100), tmp_path / "killed")
    rest = ToneRecogniser()
    resumed = hear(Recording(recording), rest, tmp_path / "killed")
    assert rest.heard_s < first.heard_s - 80
    assert np.array_equal(resumed.log_probs, whole.log_probs)
    assert np.array_equal(resumed.levels, whole.levels)
    assert sorted(path.name for path in (tmp_path / "killed").iterdir()) == [
        "emissions.npy",
        "loudness.npy",
    ]
    at_rest = ToneRecogniser()
    hear(Recording(recording), at_rest, tmp_path / "killed")
    assert at_rest.heard_s == 0


def test_chunks_change_nothing_of_what_is_heard(tmp_path: Path) -> None:
    samples, _ = sing(random_sentences(10))
    recording = write_wav(tmp_path / "reading.wav", samples)
    recogniser = ToneRecogniser()
    found = hear(Recording(recording), recogniser, tmp_path / "heard")
    (whole,) = recogniser.emissions([Recording(recording).part(0, len(samples))])
    assert found.log_probs.shape == whole.shape
    assert np.array_equal(found.log_probs, whole)
    assert len(found.levels) == -(-len(samples) // 160)


@pytest.mark.parametrize("seconds", [0.0, 0.001])
def test_a_recording_of_nothing(tmp_path: Path, seconds: float) -> None:
    recording = write_wav(tmp_path / "empty.wav", np.zeros(round(seconds * 16_000)))
    book = tmp_path / "book.txt"
    book.write_text("аб вг.", encoding="utf-8")
    if seconds == 0:
        with pytest.raises(AudioError, match=r"no_samples|corrupt|empty_file"):
            align_book(recording, book, "ky", ToneRecogniser(), tmp_path / "heard")
    else:
        found = align_book(recording, book, "ky", ToneRecogniser(), tmp_path / "heard")
        assert found.segments == []


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
