"""A release of Common Voice: its splits and speakers stay, and what is broken in it is named."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from al_loop.errors import ManifestError
from al_loop.sources.common_voice import read_common_voice
from al_loop.sources.ingest import Intake, Report, ingest
from al_loop.sources.listings import Rows
from storage.store import Store

MakeClip = Callable[..., Path]
INTAKE = Intake("common_voice_ky", "open_source", "ky", "pool", frozenset({"ky", "ru"}))
OLD = ["client_id", "path", "sentence", "up_votes", "down_votes", "age", "gender", "accent"]
RECENT = [
    *("client_id", "path", "sentence_id", "sentence", "sentence_domain", "up_votes", "down_votes"),
    *("age", "gender", "accents", "variant", "locale", "segment"),
]
LISTS: Mapping[str, Sequence[tuple[str, str, str]]] = {
    "train": [("anna", "0.mp3", 'Ал "саат" деди'), ("anna", "1.mp3", "экинчи сүйлөм")],
    "dev": [("bek", "2.mp3", "үчүнчү сүйлөм")],
    "test": [("chyngyz", "3.mp3", "төртүнчү сүйлөм")],
    "validated": [
        ("anna", "0.mp3", 'Ал "саат" деди'),
        ("bek", "2.mp3", "үчүнчү сүйлөм"),
        ("anna", "4.mp3", "бешинчи сүйлөм"),
        ("bek", "5.mp3", "алтынчы сүйлөм"),
        ("anna", "6.mp3", "Төртүнчү сүйлөм!"),
    ],
    "other": [("dina", "7.mp3", "жетинчи"), ("chyngyz", "8.mp3", "сегизинчи")],
    "invalidated": [("anna", "9.mp3", "тогузунчу")],
}


def write_lists(
    folder: Path,
    columns: Sequence[str] = RECENT,
    lists: Mapping[str, Sequence[tuple[str, str, str]]] = LISTS,
) -> None:
    for name, rows in lists.items():
        lines = ["\t".join(columns)]
        for client, path, sentence in rows:
            given = {"client_id": client * 20, "path": path, "sentence": sentence, "locale": "ky"}
            lines.append("\t".join(given.get(column, "") for column in columns))
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def release(tmp_path: Path, make_clip: MakeClip) -> Path:
    """A release of ten clips of a second; that they are no MP3 inside troubles nobody."""
    folder = tmp_path / "cv-corpus-22.0" / "ky"
    for number in range(10):
        wav = make_clip(f"made/{number}.wav", seed=number)
        (folder / "clips").mkdir(parents=True, exist_ok=True)
        shutil.move(wav, folder / "clips" / f"{number}.mp3")
    write_lists(folder)
    return folder


def take(store: Store, rows: Rows) -> Report:
    return ingest(rows, INTAKE, store, store.workspace.root)


def found(store: Store) -> dict[str, tuple[str, str | None]]:
    rows = store.db.execute("SELECT origin, split, text FROM utterances ORDER BY origin")
    return {Path(origin).name: (split, text) for origin, split, text in rows.fetchall()}


def problems(report: Report) -> dict[str, str]:
    return {Path(row.origin).name: row.detail or row.reason for row in report.refusals}


@pytest.mark.parametrize("columns", [OLD, RECENT])
def test_splits_and_speakers_of_old_and_recent_releases(
    store: Store, release: Path, columns: Sequence[str]
) -> None:
    write_lists(release, columns)
    rows = read_common_voice(release, "ky")
    assert rows.count == 4
    report = take(store, rows)
    assert (report.added, report.refusals) == (4, [])
    assert found(store) == {
        "0.mp3": ("train", 'Ал "саат" деди'),
        "1.mp3": ("train", "экинчи сүйлөм"),
        "2.mp3": ("validation", "үчүнчү сүйлөм"),
        "3.mp3": ("test", "төртүнчү сүйлөм"),
    }
    speakers = store.db.execute("SELECT speaker, text_origin FROM utterances ORDER BY origin")
    (first, where), (second, _), (third, _), _ = speakers.fetchall()
    assert first == second != third
    assert len(first) == 16
    assert where == f"{release}/train.tsv:2"
    assert "anna" not in "".join(store.db.conn.iterdump())


def test_the_same_again_adds_nothing(store: Store, release: Path) -> None:
    take(store, read_common_voice(release, "ky"))
    again = take(store, read_common_voice(release, "ky"))
    assert (again.added, again.known, again.refusals) == (0, 4, [])


def test_further_clips_stay_apart_from_dev_and_test(store: Store, release: Path) -> None:
    rows = read_common_voice(release, "ky", validated=True, other=True)
    assert take(store, rows).refusals == []
    assert {name: split for name, (split, _) in found(store).items()} == {
        "0.mp3": "train",
        "1.mp3": "train",
        "2.mp3": "validation",
        "3.mp3": "test",
        "4.mp3": "train",
        "7.mp3": "pool",
    }
    assert [notice.split(",")[0] for notice in rows.notices] == [
        "validated.tsv: 2 clips left out",
        "other.tsv: 1 clips left out",
    ]


def test_invalidated_clips_are_in_no_split(store: Store, release: Path) -> None:
    write_lists(release, lists={"train": [("anna", "9.mp3", "тогузунчу")]})
    report = take(store, read_common_voice(release, "ky"))
    assert problems(report) == {"train.tsv:2": "9.mp3: in invalidated.tsv too"}


def test_bad_rows_are_named_and_the_rest_goes_in(store: Store, release: Path) -> None:
    lines = (release / "train.tsv").read_bytes().splitlines()
    good = lines[1].decode()
    (release / "train.tsv").write_bytes(
        b"\n".join(
            [
                *lines,
                good.replace("0.mp3", "4.mp3").encode("cp1251"),
                good.replace("0.mp3", "../5.mp3").encode(),
                good.replace("0.mp3", "gone.mp3").encode(),
                good.replace("0.mp3", "6.mp3").replace('Ал "саат" деди', "").encode(),
                lines[1],
                good.replace("0.mp3", "7.mp3").encode()[:60],
            ]
        )
    )
    (release / "clips/1.mp3").write_bytes((release / "clips/1.mp3").read_bytes()[:9000])
    report = take(store, read_common_voice(release, "ky"))
    assert report.added == 3
    assert {name: detail.split(":")[0] for name, detail in problems(report).items()} == {
        "1.mp3": "9000 bytes, its header says 32044",
        "train.tsv:4": "not UTF-8 text",
        "train.tsv:5": "../5.mp3",
        "gone.mp3": "there is no file of that name",
        "6.mp3": "a train split needs a transcript of at least one word",
        "0.mp3": f"the same audio as {release}/clips/0.mp3",
        "train.tsv:9": "1 fields where the first line names 13",
    }


def test_a_clip_much_shorter_than_stated_is_half_a_download(store: Store, release: Path) -> None:
    (release / "clip_durations.tsv").write_text(
        "clip\tduration[ms]\n0.mp3\t1000\n1.mp3\t3500\n2.mp3\tnobody knows\n", encoding="utf-8"
    )
    report = take(store, read_common_voice(release, "ky"))
    assert report.added == 3
    assert problems(report) == {"1.mp3": "1.00 s where its listing says 3.50 s"}


def test_names_without_an_ending_are_those_of_mp3(store: Store, release: Path) -> None:
    write_lists(release, OLD, {"train": [("anna", "4", "бешинчи")], "dev": [], "test": []})
    assert take(store, read_common_voice(release, "ky")).added == 1
    assert list(found(store)) == ["4.mp3"]


def test_a_list_that_cannot_be_read_is_named_and_the_others_taken(
    store: Store, release: Path
) -> None:
    (release / "dev.tsv").write_text("client_id\tfile\tsentence\n", encoding="utf-8")
    (release / "test.tsv").write_text("<!DOCTYPE html>", encoding="utf-8")
    report = take(store, read_common_voice(release, "ky"))
    assert report.added == 2
    assert problems(report) == {
        "dev.tsv": f"{release}/dev.tsv: no column path; its first line is "
        "'client_id\\tfile\\tsentence'",
        "test.tsv": f"{release}/test.tsv: is a web page, so the download went wrong: fetch the "
        "file again",
    }
    # further clips cannot be kept apart from what cannot be read
    with pytest.raises(ManifestError, match=r"test\.tsv: is a web page"):
        take(store, read_common_voice(release, "ky", other=True))


def spoil(release: Path, how: str) -> None:
    if how == "no lists":
        for path in release.glob("*.tsv"):
            path.unlink()
    elif how == "no clips":
        shutil.rmtree(release / "clips")
    elif how == "empty":
        for name in ("train", "dev", "test"):
            (release / f"{name}.tsv").write_text("", encoding="utf-8")
    elif how == "no other":
        (release / "other.tsv").unlink()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no lists", "this is no release of Common Voice"),
        ("no clips", "no folder clips: unpack the whole archive"),
        ("empty", r"test\.tsv: no column path and no column sentence; its first line is '\(noth"),
        ("no other", r"other\.tsv: there is no such list"),
    ],
)
def test_what_is_no_release_says_what_is_missing(release: Path, how: str, message: str) -> None:
    spoil(release, how)
    with pytest.raises(ManifestError, match=message):
        read_common_voice(release, "ky", other=how == "no other")


def test_another_language_and_the_folder_above_are_noticed(release: Path) -> None:
    with pytest.raises(ManifestError, match="its locale is ky, not ru: give --language ky"):
        read_common_voice(release, "ru")
    with pytest.raises(ManifestError, match="it holds releases: name one of ky"):
        read_common_voice(release.parent, "ky")
