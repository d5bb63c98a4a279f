from collections.abc import Collection
from pathlib import Path

import pytest

from al_loop.errors import ManifestError
from al_loop.sources.rows import read_rows


def test_csv_and_jsonl_take_the_fields_usual_names(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('audio,sentence\nx.mp3,"бир, эки"\n', encoding="utf-8-sig")
    (row,) = read_rows(str(tmp_path / "a.csv"))
    assert (row.audio, row.text) == (tmp_path / "x.mp3", "бир, эки")
    (tmp_path / "a.jsonl").write_text(
        '{"audio_filepath": "/data/x.wav", "text": "бир", "duration": 1.5}\n'
        '\nnot json\n[1]\n{"text": "эки"}\n{"path": "y.wav", "split": "dev"}\n',
        encoding="utf-8",
    )
    rows = list(read_rows(str(tmp_path / "a.jsonl")))
    assert (rows[0].audio, rows[0].text) == (Path("/data/x.wav"), "бир")
    problems = [row.problem or "" for row in rows[1:]]
    assert [problem.split(":")[0] for problem in problems] == [
        "not JSON",
        "not a JSON object",
        "it names no audio file",
        "split 'dev' is none of pool, train, validation, test, silence",
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.tsv", "file,text\nx,y\n", "its columns are file,text; one of path"),
        ("a.csv", "", r"its columns are \(none\)"),
        ("a.tsv", "path\ttext\nx\t\xff\n", "cannot be read as UTF-8"),
        ("a.xlsx", "", "expected a folder, a .tsv"),
    ],
)
def test_a_manifest_that_cannot_be_read_says_why(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ManifestError, match=message):
        list(read_rows(str(path)))


def test_a_folder_passes_over_texts_and_hidden_files(tmp_path: Path) -> None:
    for name in ("b.wav", "a.mp3", "notes.txt", ".DS_Store", ".git/x.wav", "deep/c.flac"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [Path(row.origin).name for row in read_rows(str(tmp_path))]
    assert names == ["a.mp3", "b.wav", "c.flac"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.tsv", "path\ttext\nx.wav\tбир\ny.wav\tэки\n"),
        ("a.jsonl", '{"path": "x.wav", "text": "бир"}\n\n{"path": "y.wav", "text": "эки"}\n'),
    ],
)
def test_a_manifest_has_a_length_and_is_read_again(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    rows = read_rows(str(tmp_path / name))
    assert isinstance(rows, Collection)
    assert len(rows) == 2
    assert [row.text for row in rows] == [row.text for row in rows] == ["бир", "эки"]
    assert [row in rows for row in rows] == [True, True]


def test_a_manifest_that_breaks_off_is_refused_before_its_first_row(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"path": "x.wav"}\n' * 10_000 + b"\xff")
    with pytest.raises(ManifestError, match="cannot be read as UTF-8"):
        read_rows(str(path))


def test_json_may_hold_every_line_end_but_its_own(tmp_path: Path) -> None:
    text = '{"path": "x.wav", "text": "бир\u2028эки\x85үч"}\r\n{"path": "y.wav"}'
    (tmp_path / "a.jsonl").write_text(text, encoding="utf-8", newline="")
    first, second = read_rows(str(tmp_path / "a.jsonl"))
    assert (first.text, first.problem) == ("бир\u2028эки\x85үч", None)
    assert second.origin.endswith(":2")


def test_a_manifest_that_changes_while_it_is_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("path\ttext\nx.wav\tбир\n", encoding="utf-8")
    rows = read_rows(str(path))
    assert [row.text for row in rows] == ["бир"]
    path.write_text("path\ttext\nx.wav\tбир\ny.wav\tэки\n", encoding="utf-8")
    with pytest.raises(ManifestError, match=r"a\.tsv changed while it was read; run"):
        list(rows)


def test_what_is_read_is_known_by_full_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "a.wav").touch()
    (tmp_path / "link").symlink_to(folder)
    (folder / "b.wav").symlink_to(folder / "a.wav")
    parts = '{"audio": "%s.wav", "offset": 1, "duration": 2}'
    (folder / "m.jsonl").write_text("\n".join([parts % "a", parts % "b"]), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name in ("clips", "link", "../" + tmp_path.name + "/link"):
        first, _ = read_rows(name)
        assert (first.origin, first.audio) == (f"{folder}/a.wav", folder / "a.wav")
        rows = list(read_rows(f"{name}/m.jsonl"))
        assert [row.origin for row in rows] == [f"{folder}/a.wav#1.00-3.00"] * 2
