"""Ingest into a real store: what goes in, what is refused, and that nothing else is lost."""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import wave
import zipfile
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from al_loop.audio import decode, write_flac
from al_loop.errors import ManifestError, WorkspaceError
from al_loop.records import Label, Manifest
from al_loop.sources.ingest import BLOCK, Clip, Intake, Report, ingest
from al_loop.sources.rows import Row, read_rows
from storage.store import Store

MakeClip = Callable[..., Path]
LANGUAGES = frozenset({"ky", "ru"})
POOL = Intake("radio", "in_house", "ky", "pool", LANGUAGES)
TEST = Intake("held_out", "open_source", "ky", "test", LANGUAGES)
SILENCE = Intake("room", "in_house", "ky", "silence", LANGUAGES)
TRAIN = Intake("books", "open_source", "ky", "train", LANGUAGES)


def take(store: Store, place: Path, intake: Intake = POOL) -> Report:
    return ingest(read_rows(str(place)), intake, store, store.workspace.root)


def reasons(report: Report) -> list[str]:
    return [refusal.reason for refusal in report.refusals]


def write_wav(path: Path, samples: np.ndarray, rate: int = 16_000) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())


def test_twice_adds_nothing(store: Store, make_clip: MakeClip) -> None:
    for seed in range(3):
        make_clip(f"in/{seed}.wav", seed=seed)
    folder = make_clip("in/deep/3.wav", seed=3).parent.parent
    assert take(store, folder).added == 4
    kept = sorted(store.workspace.audio.rglob("*.flac"))
    assert len(kept) == 4
    again = take(store, folder)
    assert (again.added, again.known, again.refusals) == (0, 4, [])
    assert sorted(store.workspace.audio.rglob("*.flac")) == kept
    assert {row.id for row in store.pool()} == {path.stem for path in kept}


def test_twenty_kinds_of_broken_audio(store: Store, make_clip: MakeClip, tmp_path: Path) -> None:
    good = make_clip("in/00_good.wav", seed=1)
    folder = good.parent
    data = good.read_bytes()
    rng = np.random.default_rng(0)

    (folder / "01_empty.wav").touch()
    (folder / "02_noise_bytes.wav").write_bytes(rng.bytes(5000))
    (folder / "03_text.mp3").write_text("бул аудио эмес")
    (folder / "04_html.ogg").write_text("<html><body>404 Not Found</body></html>")
    (folder / "05_header_only.wav").write_bytes(data[:44])
    (folder / "06_half_a_header.wav").write_bytes(data[:20])
    (folder / "07_cut_short.wav").write_bytes(data[: len(data) // 2])
    flac = tmp_path / "whole.flac"
    write_flac(decode(make_clip("other.wav", seed=2)), flac)
    (folder / "08_cut_short.flac").write_bytes(flac.read_bytes()[:9000])
    write_wav(folder / "09_silent.wav", np.zeros(16_000))
    write_wav(folder / "10_constant.wav", np.full(16_000, 9000))
    make_clip("in/11_too_short.wav", seconds=0.1)
    make_clip("in/12_too_long.wav", seconds=31, seed=3)
    (folder / "13_nan.wav").write_bytes(
        b"RIFF" + struct.pack("<I", 36 + 64_000) + b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, 3, 1, 16_000, 64_000, 4, 32)
        + b"data" + struct.pack("<I", 64_000) + np.full(16_000, np.nan, "<f4").tobytes()
    )  # fmt: skip
    (folder / "14_picture.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\2\0\0\0\x90wS\xde"
    )
    with zipfile.ZipFile(folder / "15_archive.wav", "w") as archive:
        archive.writestr("a.wav", data)
    (folder / "16_dangling.wav").symlink_to(tmp_path / "nowhere.wav")
    os.mkfifo(folder / "17_pipe.wav")
    shutil.copy(good, folder / "18_same_bytes.wav")
    write_flac(decode(good), folder / "19_same_samples.flac")
    (folder / "20_zeroes.flac").write_bytes(bytes(4096))

    report = take(store, folder)
    assert {Path(row.origin).name[:2]: row.reason for row in report.refusals} == {
        "01": "empty_file",
        "02": "corrupt",
        "03": "corrupt",
        "04": "corrupt",
        "05": "truncated",
        "06": "truncated",
        "07": "truncated",
        "08": "corrupt",
        "09": "silent",
        "10": "silent",
        "11": "too_short",
        "12": "no_speech",
        "13": "not_finite",
        "14": "no_audio",
        "15": "corrupt",
        "16": "not_a_file",
        "17": "not_a_file",
        "18": "duplicate",
        "19": "duplicate",
        "20": "no_samples",
    }
    assert report.added == 1
    assert len(store.pool()) == 1
    stored = store.db.execute("SELECT count(*), count(DISTINCT origin) FROM refusals").fetchone()
    assert stored == (20, 20)
    assert all(row.detail for row in report.refusals)

    again = take(store, folder)
    assert (again.added, again.known, len(again.refusals)) == (0, 1, 20)
    assert store.db.execute("SELECT count(*) FROM refusals").fetchone() == (20,)


def test_names_that_no_database_takes(store: Store, make_clip: MakeClip) -> None:
    good = make_clip("in/a.wav", seed=1)
    cp1251 = os.fsencode(good.parent) + b"/\xf1\xe0\xeb\xe0\xec.wav"
    shutil.copy(make_clip("other.wav", seed=2), cp1251)
    assert take(store, good.parent).added == 2
    assert any("\\xf1\\xe0" in row.origin for row in store.pool())


def test_a_path_that_cannot_be_one_is_a_bad_row_only(store: Store, make_clip: MakeClip) -> None:
    manifest = make_clip("in/a.wav").parent / "swapped.tsv"
    manifest.write_text(f"path\ttext\na.wav\tсаат\n{'саат ' * 60}\ta.wav\n", encoding="utf-8")
    report = take(store, manifest, TRAIN)
    assert report.added == 1
    assert reasons(report) == ["corrupt"]
    assert "too long" in report.refusals[0].detail


def test_a_language_that_the_model_cannot_be_told(store: Store, make_clip: MakeClip) -> None:
    manifest = make_clip("in/a.wav").parent / "rows.tsv"
    manifest.write_text("path\tlanguage\na.wav\tkyrgyz\n", encoding="utf-8")
    assert reasons(take(store, manifest)) == ["unknown_language"]
    with pytest.raises(ManifestError, match=r"--language 'kg': expected model\.language"):
        take(store, manifest, replace(POOL, language="kg"))


def test_within_a_manifest_the_evaluation_set_is_stronger(
    store: Store, make_clip: MakeClip
) -> None:
    clip = make_clip("in/a.wav")
    shutil.copy(clip, clip.with_name("b.wav"))
    manifest = clip.parent / "rows.tsv"
    manifest.write_text(
        "path\tsplit\ttext\na.wav\ttrain\tсаат\nb.wav\ttest\tсаат\n", encoding="utf-8"
    )
    assert reasons(take(store, manifest)) == ["duplicate"]
    assert len(store.evaluation_utterances()) == 1
    assert store.training_examples("in_house") == []


def test_audio_that_went_missing_comes_back(store: Store, make_clip: MakeClip) -> None:
    folder = make_clip("in/a.wav").parent
    take(store, folder)
    (kept,) = store.workspace.audio.rglob("*.flac")
    kept.unlink()
    assert take(store, folder).known == 1
    assert kept.exists()


def test_a_sources_weight_stays_unless_another_is_given(store: Store, make_clip: MakeClip) -> None:
    folder = make_clip("in/a.wav").parent
    for weight, expected in ((2.5, 2.5), (None, 2.5), (4.0, 4.0)):
        take(store, folder, replace(POOL, weight=weight))
        (source,) = store.sources()
        assert source.weight == expected


def test_a_manifest_refuses_row_by_row(store: Store, make_clip: MakeClip) -> None:
    clips = [make_clip(f"in/{seed}.wav", seed=seed) for seed in range(4)]
    manifest = clips[0].parent / "train.tsv"
    manifest.write_text(
        'path\ttranscription\n0.wav\tСаат "жети"де\n1.wav\t\n2.wav\t…\n'
        "gone.wav\tбир\n3.wav\tэки\tүч\n\n",
        encoding="utf-8",
    )
    report = take(store, manifest, TRAIN)
    assert reasons(report) == ["no_text", "no_text", "not_a_file", "bad_row"]
    assert [row.origin.rsplit(":", 1)[1] for row in report.refusals] == ["3", "4", "5", "6"]
    (example,) = store.training_examples("in_house")
    assert (example.text, example.source) == ('Саат "жети"де', "books")


def test_rows_state_their_own_language_split_and_speaker(store: Store, make_clip: MakeClip) -> None:
    clips = [make_clip(f"in/{seed}.wav", seed=seed) for seed in range(3)]
    manifest = clips[0].parent / "all.tsv"
    manifest.write_text(
        "path\tlanguage\tsplit\tspeaker\ttranscription\n"
        "0.wav\tky\ttrain\ta\tбир\n1.wav\tru\ttest\tb\tдва\n2.wav\tky\tpool\t\tкөрүнбөйт\n",
        encoding="utf-8",
    )
    assert take(store, manifest).added == 3
    assert [(row.name, row.language) for row in store.sources()] == [
        ("radio_ky", "ky"),
        ("radio_ru", "ru"),
    ]
    (test,) = store.evaluation_utterances()
    assert (test.source, test.language, test.speaker) == ("radio_ru", "ru", "b")
    (pool,) = store.pool()
    assert pool.text is None


def test_an_evaluation_set_is_closed_to_training_and_pool(
    store: Store, make_clip: MakeClip
) -> None:
    clip = make_clip("test/a.wav")
    (clip.parent / "test.tsv").write_text("path\ttext\na.wav\tсаат\n", encoding="utf-8")
    assert take(store, clip.parent / "test.tsv", TEST).added == 1
    other = clip.parent.parent / "elsewhere"
    other.mkdir()
    write_flac(decode(clip), other / "innocent.flac")
    shutil.copy(clip, other / "renamed.wav")
    report = take(store, other)
    assert reasons(report) == ["in_evaluation_set", "in_evaluation_set"]
    (other / "train.tsv").write_text("path\ttext\nrenamed.wav\tсаат\n", encoding="utf-8")
    assert reasons(take(store, other / "train.tsv", TRAIN)) == ["in_evaluation_set"]
    assert store.pool() == []
    assert store.training_examples("in_house") == []


def test_audio_in_the_pool_moves_to_an_evaluation_set(store: Store, make_clip: MakeClip) -> None:
    clip = make_clip("in/a.wav")
    take(store, clip.parent)
    (utterance,) = store.pool()
    store.put_labels([Label(utterance.id, "саат", None, ["1"])])
    (clip.parent / "test.tsv").write_text("path\ttext\na.wav\tсаат\n", encoding="utf-8")
    report = take(store, clip.parent / "test.tsv", TEST)
    assert (report.added, report.moved) == (0, 1)
    assert store.pool() == []
    assert store.training_examples("in_house") == []
    assert [row.source for row in store.evaluation_utterances()] == ["held_out"]


def test_silence_may_be_digital_and_takes_no_transcript(
    store: Store, make_clip: MakeClip, tmp_path: Path
) -> None:
    make_clip("noise/fan.wav", seed=1)
    make_clip("noise/said.wav", seed=2)
    write_wav(tmp_path / "noise/zeros.wav", np.zeros(16_000))
    manifest = tmp_path / "noise/room.tsv"
    manifest.write_text(
        "path\ttranscription\nfan.wav\t\nzeros.wav\t…\nsaid.wav\tсалам\n", encoding="utf-8"
    )
    report = take(store, manifest, SILENCE)
    assert report.added == 2
    assert reasons(report) == ["speech"]
    assert {row.text for row in store.silence_utterances()} == {None}


def test_a_silence_set_is_closed_to_the_pool_and_takes_from_it(
    store: Store, make_clip: MakeClip
) -> None:
    folder = make_clip("in/fan.wav", seed=1).parent
    assert take(store, folder).added == 1
    assert take(store, folder, SILENCE).moved == 1
    assert store.pool() == []
    assert reasons(take(store, folder)) == ["in_evaluation_set"]


def test_audio_that_was_learned_cannot_become_a_test(store: Store, make_clip: MakeClip) -> None:
    clip = make_clip("in/a.wav")
    manifest = clip.parent / "rows.tsv"
    manifest.write_text("path\ttext\na.wav\tсаат\n", encoding="utf-8")
    take(store, manifest, TRAIN)
    examples = store.training_examples("in_house")
    store.put_manifest(0, Manifest("m", examples, []))
    assert reasons(take(store, manifest, TEST)) == ["trained_on"]
    assert store.evaluation_utterances() == []


def test_a_sentence_that_was_learned_cannot_become_a_test(
    store: Store, make_clip: MakeClip
) -> None:
    manifest = make_clip("in/a.wav", seed=0).parent / "rows.tsv"
    make_clip("in/b.wav", seed=1)
    make_clip("in/c.wav", seed=2)
    manifest.write_text("path\ttext\nc.wav\tСаат беште\n", encoding="utf-8")
    take(store, manifest, TEST)
    manifest.write_text("path\ttext\na.wav\tсаат 5те\n", encoding="utf-8")
    take(store, manifest, TRAIN)
    store.put_manifest(0, Manifest("m", store.training_examples("in_house"), []))
    kept = sorted(store.workspace.audio.rglob("*.flac"))

    manifest.write_text("path\ttext\nb.wav\tСаат беште!\n", encoding="utf-8")
    assert reasons(take(store, manifest, TEST)) == ["text_trained_on"]
    assert sorted(store.workspace.audio.rglob("*.flac")) == kept
    assert reasons(take(store, manifest, replace(TEST, source="ru", language="ru"))) == []

    manifest.write_text("path\ttext\nc.wav\tСаат беште\n", encoding="utf-8")
    assert take(store, manifest, TEST).known == 1


def test_another_text_for_known_audio_is_not_taken_silently(
    store: Store, make_clip: MakeClip
) -> None:
    manifest = make_clip("in/a.wav").parent / "rows.tsv"
    manifest.write_text("path\ttext\na.wav\tсаат\n", encoding="utf-8")
    take(store, manifest, TRAIN)
    manifest.write_text("path\ttext\na.wav\tсоот\n", encoding="utf-8")
    assert reasons(take(store, manifest, TRAIN)) == ["text_differs"]


def test_bytes_of_a_hub_data_set(store: Store, make_clip: MakeClip) -> None:
    row = Row("org/name/train/0", make_clip("in/a.wav").read_bytes(), text="саат")
    assert ingest([row], TRAIN, store, store.workspace.root).added == 1
    assert ingest([row], TRAIN, store, store.workspace.root).known == 1


def test_the_labels_own_source_is_reserved(store: Store) -> None:
    with pytest.raises(ManifestError, match="made by the annotators' labels"):
        ingest([], replace(TRAIN, source="in_house"), store, store.workspace.root)


def test_a_source_keeps_its_kind(store: Store, make_clip: MakeClip) -> None:
    folder = make_clip("in/a.wav").parent
    take(store, folder)
    with pytest.raises(WorkspaceError, match="already in_house in ky"):
        take(store, folder, replace(POOL, kind="synthetic"))


# -- more rows than a block --------------------------------------------------------------------

MANY = 2 * BLOCK + BLOCK // 2


def hear_name(audio: Path | bytes, may_be_silent: bool) -> Clip:
    """In the place of decoding: the file's name says what its audio is."""
    assert isinstance(audio, Path)
    same_bytes, _, same_samples = audio.stem.partition("-")
    names = same_bytes, same_samples or audio.stem
    id_, hashed = (hashlib.sha256(name.encode()).hexdigest() for name in names)
    return Clip(id_, hashed, 1.0, lambda path: None)


def take_names(store: Store, names: list[str], intake: Intake = POOL) -> Report:
    rows = [Row(f"row {place}", Path(f"{name}.wav")) for place, name in enumerate(names)]
    return ingest(rows, intake, store, store.workspace.root, hear=hear_name)


def test_the_same_audio_in_a_later_block_is_a_duplicate_too(store: Store) -> None:
    names = [f"{number}-s{number}" for number in range(MANY)]
    again = ["3-s3", "other bytes-s4", f"{MANY - 1}-s{MANY - 1}"]
    report = take_names(store, [*names, *again])
    assert report.added == MANY
    assert [(row.origin, row.reason, row.detail) for row in report.refusals] == [
        (f"row {MANY}", "duplicate", "the same audio as row 3"),
        (f"row {MANY + 1}", "duplicate", "the same audio as row 4"),
        (f"row {MANY + 2}", "duplicate", f"the same audio as row {MANY - 1}"),
    ]
    report = take_names(store, [*names, *again])
    assert (report.added, report.known, reasons(report)) == (0, MANY, ["duplicate"] * 3)
    shifted = take_names(store, ["first", *names])
    assert (shifted.added, shifted.known, shifted.refusals) == (1, MANY, [])


def test_the_evaluation_set_of_a_later_block_is_stronger(store: Store) -> None:
    rows = [Row(f"row {number}", Path(f"{number}.wav")) for number in range(MANY)]
    rows.append(Row("test row", Path("3.wav"), text="бир", split="test"))
    report = ingest(rows, POOL, store, store.workspace.root, hear=hear_name)
    assert (report.added, reasons(report)) == (MANY, ["duplicate"])
    assert [row.origin for row in store.evaluation_utterances()] == ["test row"]


def test_an_ingest_that_is_killed_loses_a_block_at_most(store: Store) -> None:
    heard = 0

    def killed(audio: Path | bytes, may_be_silent: bool) -> Clip:
        nonlocal heard
        heard += 1
        if heard == MANY:
            raise KeyboardInterrupt
        return hear_name(audio, may_be_silent)

    rows = [Row(f"row {number}", Path(f"{number}.wav")) for number in range(MANY)]
    with pytest.raises(KeyboardInterrupt):
        ingest(rows, POOL, store, store.workspace.root, hear=killed)
    assert len(store.pool()) == 2 * BLOCK
    report = ingest(rows, POOL, store, store.workspace.root, hear=hear_name)
    assert (report.added, report.known) == (MANY - 2 * BLOCK, 2 * BLOCK)


def test_a_test_s_sentence_that_was_learned_inside_a_longer_one_is_refused(store: Store) -> None:
    rows = [Row("row 0", Path("0.wav"), "анан бир эки үч төрт беш деди")]
    ingest(rows, TRAIN, store, store.workspace.root, hear=hear_name)
    store.put_learned("ctc/spelling", store.training_examples("in_house"))
    tests = [
        Row("row 1", Path("1.wav"), "Бир, эки, үч, төрт, беш!"),
        Row("row 2", Path("2.wav"), "бир эки үч төрт"),  # so short a text says nothing
        Row("row 3", Path("3.wav"), "эки үч төрт беш алты"),
    ]
    report = ingest(tests, TEST, store, store.workspace.root, hear=hear_name)
    assert [(row.origin, row.reason) for row in report.refusals] == [("row 1", "text_trained_on")]
    assert report.added == len(store.evaluation_utterances()) == 2


class Counting(Store):
    """Counts how often the learned texts are read."""

    read = 0

    def learned_texts(self) -> list[tuple[str, str, str]]:
        self.read += 1
        return super().learned_texts()


def test_what_was_learned_is_read_again_only_where_it_is_another(store: Store) -> None:
    """In the midst of a block too: the last look is at its end."""
    rows = [Row(f"row {n}", Path(f"{n}.wav"), f"анан {n} бир эки үч төрт беш") for n in (0, 1)]
    ingest(rows, TRAIN, store, store.workspace.root, hear=hear_name)
    first, second = store.training_examples("in_house")
    store.put_learned("ctc/spelling", [first])
    tests = [Row(f"test {n}", Path(f"test {n}.wav"), f"сөз {n}") for n in range(MANY)]
    tests[-1] = replace(tests[-1], text=second.text)
    calls = count(1)

    def tick() -> None:
        if next(calls) == MANY:
            store.put_learned("ctc/spelling", [second])

    counting = Counting(store.workspace)
    report = ingest(iter(tests), TEST, counting, store.workspace.root, tick=tick, hear=hear_name)
    assert reasons(report) == ["text_trained_on"]
    assert counting.read == 2
    counting.close()


@pytest.mark.parametrize(
    ("speaker", "local", "kept"),
    [
        ("", False, None),
        (" ", True, None),
        ("-1", True, None),
        ("7", True, "radio 7"),
        ("7", False, "7"),  # the user's own name for somebody
        ("a long name", True, "a long name"),
        (None, True, None),
    ],
)
def test_speakers_of_two_sets_are_not_one_for_their_number(
    store: Store, speaker: str | None, local: bool, kept: str | None
) -> None:
    row = Row("row", Path("a.wav"), speaker=speaker, local_speaker=local)
    ingest([row], POOL, store, store.workspace.root, hear=hear_name)
    assert [row.speaker for row in store.pool()] == [kept]


# -- beside a set that was drawn ---------------------------------------------------------------


@pytest.fixture
def drawn(store: Store) -> Store:
    """A store whose evaluation set is one clip of the speaker one, who said another, too."""
    rows = [Row(f"row {name}", Path(f"{name}.wav"), speaker="one") for name in "ab"]
    ingest(rows, POOL, store, store.workspace.root, hear=hear_name)
    first, second = (row.id for row in store.pool())
    store.put_draw("calls", {first: "speaker one"}, [second], [], "speaker", "ky")
    return store


def splits_by_origin(store: Store) -> dict[str, str]:
    return dict(store.db.execute("SELECT origin, split FROM utterances").fetchall())


def test_what_a_set_s_speakers_say_later_is_reserved_or_refused(drawn: Store) -> None:
    rows = [
        Row("row c", Path("c.wav"), speaker="one"),
        Row("row d", Path("d.wav"), speaker="two"),
        Row("row e", Path("e.wav"), "бир", split="train", speaker="one"),
        Row("row f", Path("f.wav"), "эки", split="validation", speaker="one"),
        Row("row g", Path("g.wav"), "үч", split="test", speaker="one"),
    ]
    report = ingest(rows, POOL, drawn, drawn.workspace.root, hear=hear_name)
    assert [(row.origin, row.reason) for row in report.refusals] == [
        ("row e", "in_evaluation_set"),
        ("row f", "in_evaluation_set"),
    ]
    found = splits_by_origin(drawn)
    assert (found["row c"], found["row d"], found["row g"]) == ("reserved", "pool", "test")


def test_a_recording_that_a_set_was_drawn_of_gains_nothing_by_a_speaker_s_name(
    store: Store,
) -> None:
    pieces = [Row(f"book.mp3#{n}.00-", Path(f"{n}.wav")) for n in (1, 2)]
    ingest(pieces, POOL, store, store.workspace.root, hear=hear_name)
    first, second = (row.id for row in store.pool())
    store.put_draw("calls", {first: "recording book.mp3"}, [second], [], "speaker", "ky")
    rows = [
        Row("book.mp3#3.00-", Path("c.wav"), "бир", split="train", speaker="reader"),
        Row("book.mp3#4.00-", Path("d.wav"), speaker="reader"),
        Row("other.mp3#5.00-", Path("e.wav"), "эки", split="train", speaker="reader"),
        Row("other.mp3#6.00-", Path("f.wav"), "эки", split="train", speaker="guest"),
    ]
    report = ingest(rows, POOL, store, store.workspace.root, hear=hear_name)
    assert [(row.origin, row.reason) for row in report.refusals] == [
        ("book.mp3#3.00-", "in_evaluation_set"),
        ("other.mp3#5.00-", "in_evaluation_set"),  # the voice of the recording has a name by then
    ]
    found = splits_by_origin(store)
    assert (found["book.mp3#4.00-"], found["other.mp3#6.00-"]) == ("reserved", "train")


def test_a_reserved_clip_is_known_in_the_pool_and_refused_elsewhere(drawn: Store) -> None:
    rows = [Row(f"row {name}", Path(f"{name}.wav"), "бир", speaker="one") for name in "ab"]
    report = ingest(rows, POOL, drawn, drawn.workspace.root, hear=hear_name)
    assert (report.known, report.refusals) == (2, [])
    for intake in (TEST, TRAIN):
        report = ingest(rows, intake, drawn, drawn.workspace.root, hear=hear_name)
        assert reasons(report) == ["reserved"] * 2
    assert splits_by_origin(drawn) == {"row a": "reserved", "row b": "reserved"}


def test_nothing_is_taken_into_a_set_that_was_drawn(drawn: Store) -> None:
    with pytest.raises(ManifestError, match="'calls' is an evaluation set"):
        ingest([], replace(TEST, source="calls"), drawn, drawn.workspace.root)
