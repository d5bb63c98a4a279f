"""Lines, voices and rooms, with a synthesiser of tones; then with espeak-ng and a tiny VITS."""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from al_loop.audio import SAMPLE_RATE, decode
from al_loop.engine.local import LocalEngine
from al_loop.errors import AlLoopError, AudioError, ManifestError, ModelError
from al_loop.sources.espeak_voices import EspeakVoices
from al_loop.sources.ingest import Intake, Report, ingest
from al_loop.sources.rows import Row
from al_loop.sources.synthesis import (
    Manner,
    Synthesiser,
    Take,
    Variety,
    chosen,
    draw_take,
    known_of,
    spoken,
)
from al_loop.sources.synthesis_clips import clips
from al_loop.sources.synthesis_sound import room
from al_loop.sources.synthesis_texts import Line, as_spoken, read_lines
from al_loop.sources.vits import VitsVoice
from storage.store import Store
from tests.sources.speakers import Toner, make_vits

INTAKE = Intake("voice", "synthetic", "ky", "train", frozenset({"ky"}))
VARIETY = Variety(Toner.speakers, 1)
SENTENCES = ("Бүгүн күн ачык.", "Эртең саат жетиде кел.", "Суу ичип алайын.", "Тоого чыктык.")


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def lines_of(*texts: str) -> list[Line]:
    return [Line(f"t.txt:{n}", text, f"t.txt:{n}") for n, text in enumerate(texts, start=1)]


def rows_of(*texts: str, speaks: Synthesiser | None = None, **variety: object) -> list[Row]:
    drawn = replace(VARIETY, **variety)  # type: ignore[arg-type]
    voice = speaks or Toner()
    return list(clips(lines_of(*texts), lambda: voice, drawn, {}, LocalEngine()))


# -- lines -------------------------------------------------------------------------------------


def test_a_text_has_a_line_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffсаат\n\n  кел \r\n".encode() + b"\xff\xfe bad\nsuu\n")
    found = list(read_lines(path))
    assert [(line.origin, line.text) for line in found[:2]] == [
        (f"{path}:1", "саат"),
        (f"{path}:3", "кел"),
    ]
    assert "not UTF-8" in (found[2].problem or "")
    assert found[3].text == "suu"


@pytest.mark.parametrize(("name", "mark"), [("a.tsv", "\t"), ("a.csv", ",")])
def test_a_table_has_a_column_of_text(tmp_path: Path, name: str, mark: str) -> None:
    path = tmp_path / name
    rows = [f"id{mark}sentence", f"1{mark}саат", f"2{mark}", "3", f"4{mark}кел"]
    path.write_bytes("\n".join(rows).encode() + b"\n5" + mark.encode() + b"\xff\n")
    found = list(read_lines(path))
    assert [line.text for line in found if not line.problem] == ["саат", "кел"]
    assert [line.problem for line in found if line.problem] == [
        "it has 1 fields, and the header has 2",
        "not UTF-8 text: save the file as UTF-8, or mend the line",
    ]
    assert found[-1].origin == f"{path}:6"


def test_files_that_are_no_texts_are_named(tmp_path: Path) -> None:
    table = write(tmp_path / "a.csv", "id,words", "1,саат")
    with pytest.raises(ManifestError, match="columns are id, words; expected transcription or"):
        list(read_lines(table))
    assert [line.text for line in read_lines(table, "words")] == ["саат"]
    with pytest.raises(ManifestError, match=r"expected lines of text in a .txt"):
        list(read_lines(tmp_path / "a.pdf"))
    (tmp_path / "b.txt").write_bytes("саат".encode("utf-16"))
    with pytest.raises(ManifestError, match="UTF-16 text: save it as UTF-8"):
        list(read_lines(tmp_path / "b.txt"))


def test_numbers_are_put_in_words_and_sentences_are_said_once() -> None:
    found = list(as_spoken(lines_of("Саат 7 де кел.", "…", "саат жети де кел", "а" * 3000), "ky"))
    assert found[0].text == "Саат жети де кел."
    assert [line.problem for line in found[1:3]] == [
        "it has no word to speak",
        "the same sentence as t.txt:1",
    ]
    assert "3000 characters" in (found[3].problem or "")


# -- variety -----------------------------------------------------------------------------------


def test_a_clip_follows_from_its_line_alone() -> None:
    first = {row.text: row for row in rows_of(*SENTENCES)}
    again = {row.text: row for row in rows_of(*reversed(SENTENCES))}
    for text, row in first.items():
        assert (again[text].audio, again[text].speaker) == (row.audio, row.speaker)
    other = rows_of(*SENTENCES, seed=2)
    assert all(row.audio != first[row.text].audio for row in other)
    named = first[SENTENCES[0]]
    assert (named.made_by, named.text_origin) == ("toner", "t.txt:1")
    assert named.origin.startswith("t.txt:1 (pace ")


def test_voices_pace_noise_and_rooms_vary() -> None:
    takes = [draw_take(f"сап {n}", "toner", VARIETY) for n in range(300)]
    assert {take.manner.speaker for take in takes} == set(Toner.speakers)
    paces = [take.manner.pace for take in takes]
    assert 0.8 <= min(paces) < 0.85
    assert 1.2 < max(paces) <= 1.25
    assert 0.5 < np.mean([take.snr_db is not None for take in takes]) < 0.7
    assert 0.4 < np.mean([take.rt60_s is not None for take in takes]) < 0.6
    plain = [draw_take(f"сап {n}", "toner", replace(VARIETY, plain=True)) for n in range(300)]
    assert {(take.snr_db, take.rt60_s) for take in plain} == {(None, None)}
    assert [take.manner for take in plain] == [take.manner for take in takes]


def test_noise_is_as_loud_as_it_says() -> None:
    manner = Manner("toner low", seed=3)
    clean = spoken("саатжети", Take(manner, None, None), Toner())
    noisy = spoken("саатжети", Take(manner, 10, None), Toner())
    quiet = np.abs(clean) < 1e-6
    quiet[round(0.1 * SAMPLE_RATE) : -round(0.1 * SAMPLE_RATE)] = False
    assert quiet.sum() > 0.15 * SAMPLE_RATE
    speech = clean[np.abs(clean) > 1e-6]
    gain = np.dot(noisy, clean) / np.dot(clean, clean)
    snr_db = 10 * np.log10(np.mean((gain * speech) ** 2) / np.mean((noisy - gain * clean) ** 2))
    assert snr_db == pytest.approx(10, abs=1)


def test_a_room_falls_by_60_db_in_its_time() -> None:
    response = room(0.4, 6.0, np.random.default_rng(0))
    assert response[0] == 1
    assert 10 * np.log10(np.sum(response[1:] ** 2)) == pytest.approx(-6)
    left = np.cumsum(response[:0:-1] ** 2)[::-1]  # Schroeder's backward integral
    at = {s: 10 * np.log10(left[round(s * SAMPLE_RATE)] / left[0]) for s in (0.1, 0.3)}
    assert at[0.1] - at[0.3] == pytest.approx(60 * 0.2 / 0.4, abs=3)


def test_what_cannot_be_spoken_costs_itself_alone(store: Store) -> None:
    lines = lines_of("!салам", "саат", "а" * 700)
    lines.insert(0, Line("t.txt:0", "", "t.txt:0", "not UTF-8 text"))
    found = list(clips(lines, Toner, VARIETY, {}, LocalEngine()))
    report = ingest(found, INTAKE, store, store.workspace.root)
    assert report.added == 1
    said = [(row.origin, row.detail) for row in report.refusals]
    assert said[:2] == [("t.txt:0", "not UTF-8 text"), ("t.txt:1", "it has not the letters !")]
    assert said[2][0] == "t.txt:3"
    assert "Whisper hears 30 s: part the line" in said[2][1]


def take(store: Store, speaks: Toner, *texts: str) -> Report:
    root = store.workspace.root
    known = {
        known_of(text, speaker or "", origin): root / audio
        for text, speaker, origin, audio in store.made("voice", "toner")
    }
    rows = clips(lines_of(*texts), lambda: speaks, VARIETY, known, LocalEngine())
    return ingest(rows, INTAKE, store, root)


def test_what_is_in_is_not_spoken_again(store: Store) -> None:
    assert take(store, Toner(), *SENTENCES[:2]).added == 2
    speaks = Toner()
    # the file has grown at its beginning: numbers of lines say nothing
    report = take(store, speaks, *SENTENCES[2:], *SENTENCES[:2])
    assert (report.added, report.known, report.refusals) == (2, 2, [])
    assert speaks.said == list(SENTENCES[2:])
    (one, *_) = store.made("voice", "toner")
    (store.workspace.root / one[3]).unlink()
    speaks = Toner()
    assert take(store, speaks, *SENTENCES).known == 4
    assert speaks.said == [one[0]]
    assert (store.workspace.root / one[3]).is_file()


class Jammed(LocalEngine):
    """Its first worker hangs until nothing else is to be done; counts what the others do."""

    def __init__(self) -> None:
        self.blocks: list[list[int]] = []

    def map(self, make_worker: Any, blocks: Iterable[Any], refuse: Any = None) -> Iterator[Any]:
        worker, asked = make_worker(), iter(blocks)
        stuck = next(asked)
        self.blocks.append([len(stuck)])
        for block in asked:
            self.blocks[-1].append(len(block))
            yield worker(block)
        yield worker(stuck)


def test_no_more_is_spoken_out_of_turn_than_memory_has_room_for() -> None:
    texts = [f"саат {'а' * number}" for number in range(40)]
    engine = Jammed()
    rows = list(clips(lines_of(*texts), Toner, VARIETY, {}, engine, ahead=16))
    assert [row.text for row in rows] == texts
    assert engine.blocks == [[8, 8], [8, 8], [8]]


def test_known_lines_start_no_worker(tmp_path: Path) -> None:
    texts = [f"саат {'а' * number}" for number in range(40)]
    file = tmp_path / "a.flac"
    file.touch()
    takes = {text: draw_take(text, Toner.id, VARIETY) for text in texts}
    known = {
        known_of(text, take.manner.speaker, f" ({take.recipe})"): file
        for text, take in takes.items()
        if text != texts[30]
    }
    engine = Jammed()
    rows = clips(lines_of(*texts), Toner, VARIETY, known, engine, ahead=16)
    assert [next(rows).text for _ in range(15)] == texts[:15]
    assert engine.blocks == []
    assert [row.text for row in rows] == texts[15:]
    assert engine.blocks == [[1]]


def test_voices_are_named_by_their_ends() -> None:
    speakers = ["espeak ky+f1", "espeak ky+m1", "m speaker 1", "m speaker 11"]
    assert chosen(speakers, ["m1", "ky+f1", "1", "11"]) == [speakers[n] for n in (1, 0, 2, 3)]
    assert chosen(speakers, []) == speakers
    with pytest.raises(ManifestError, match="--voices 'x': expected some of espeak ky"):
        chosen(speakers, ["x"])


# -- espeak-ng ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def espeak() -> Iterator[EspeakVoices]:
    voices = EspeakVoices("ky", ("m1", "f2"))
    yield voices
    voices.close()
    assert not multiprocessing.active_children()


def test_a_line_sounds_the_same_whatever_was_said_before(espeak: EspeakVoices) -> None:
    manner = Manner("espeak ky+f2", seed=5)
    first, rate = espeak.speak(SENTENCES[0], manner)
    espeak.speak(SENTENCES[1], Manner("espeak ky+m1"))
    np.testing.assert_array_equal(espeak.speak(SENTENCES[0], manner)[0], first)
    assert (rate, first.dtype) == (22_050, np.float32)
    assert 0.05 < np.abs(first).max() <= 1
    hasty, _ = espeak.speak(SENTENCES[0], replace(manner, pace=1.25))
    assert len(hasty) < 0.9 * len(first)
    assert (espeak.name, espeak.licence) == ("espeak-ng", "GPL-3.0-or-later")
    assert espeak.id.startswith("espeak-ng 1.")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("салам Google", "ky of espeak-ng has not the letters of Google"),
        ("салам 你好", "letters of 你好"),
        ("ᠮ салам", "letters of ᠮ"),
        ("5 % калды", "%: may be read out; write it in words"),
        ("…", "makes no sound"),
    ],
)
def test_what_espeak_cannot_say_is_refused(espeak: EspeakVoices, text: str, why: str) -> None:
    with pytest.raises(AudioError, match=why):
        espeak.speak(text, Manner("espeak ky+m1"))


def test_a_line_that_breaks_espeak_down_costs_itself_alone(espeak: EspeakVoices) -> None:
    manner = Manner("espeak ky+m1")
    with pytest.raises(AudioError, match="breaks down over it"):
        espeak.speak("салам \ud800", manner)  # half a sign, which is no UTF-8
    assert len(espeak.speak("салам", manner)[0])


def test_unknown_voices_of_espeak_are_named() -> None:
    with pytest.raises(AlLoopError, match=r"no voice 'ky.nobody'"):
        EspeakVoices("ky", ("nobody",))


# -- VITS --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vits(tmp_path_factory: pytest.TempPathFactory) -> VitsVoice:
    folder = make_vits(tmp_path_factory.mktemp("models") / "tiny-tts", speakers=3, licence="mit")
    return VitsVoice(str(folder), "ky")


def test_vits_speaks_the_same_from_the_same_seed(vits: VitsVoice) -> None:
    import torch

    manner = Manner(vits.speakers[1], seed=7)
    first, rate = vits.speak("саат жети", manner)
    torch.rand(5)
    state = torch.get_rng_state()
    np.testing.assert_array_equal(vits.speak("Саат, жети!", manner)[0], first)
    assert torch.equal(torch.get_rng_state(), state)
    assert rate == SAMPLE_RATE
    others = (
        replace(manner, seed=8),
        replace(manner, speaker=vits.speakers[2]),
        replace(manner, pace=0.5),
    )
    spoken_otherwise = [vits.speak("саат жети", other)[0] for other in others]
    assert all(not np.array_equal(row, first) for row in spoken_otherwise)
    assert len(spoken_otherwise[2]) > 1.5 * len(first)
    assert re.fullmatch("tiny-tts@[0-9a-f]{12}", vits.name)
    assert (vits.licence, len(vits.speakers)) == ("mit", 3)
    assert vits.speakers[1] == f"{vits.name} speaker 1"


def test_letters_that_vits_lacks_are_named(vits: VitsVoice) -> None:
    with pytest.raises(AudioError, match=r"tiny-tts@\w+ has not the letters l o"):
        vits.speak("саат ool", Manner(vits.speakers[0]))
    with pytest.raises(AudioError, match="nothing of it is a letter"):
        vits.speak("…", Manner(vits.speakers[0]))


def test_vits_over_latin_letters_is_given_them(tmp_path: Path) -> None:
    pytest.importorskip("uroman", reason="pip install 'al-loop[romanise]'")
    letters = " abcdefghijklmnopqrstuvwxyz"
    folder = make_vits(tmp_path / "latin", letters, is_uroman=True)
    voice = VitsVoice(str(folder), "ky", noise_scale=0.1)
    assert voice.licence == "unknown"
    assert (voice.speakers, voice.id) == ([voice.name], f"{voice.name} noise 0.1")
    manner = Manner(voice.name)
    np.testing.assert_array_equal(voice.speak("кел", manner)[0], voice.speak("kel", manner)[0])


def test_a_folder_that_is_no_vits_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read as a VITS model"):
        VitsVoice(str(tmp_path), "ky")


def test_clips_are_flac_of_16_khz_with_a_pause(tmp_path: Path) -> None:
    (row,) = rows_of("саат", plain=True)
    assert isinstance(row.audio, bytes)
    (tmp_path / "a.flac").write_bytes(row.audio)
    samples = decode(tmp_path / "a.flac")
    assert not samples[: round(0.05 * SAMPLE_RATE)].any()
    assert 0.1 < np.abs(samples).max() < 0.75
