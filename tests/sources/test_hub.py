"""Data sets of the hub's form, made here: `datasets` streams a folder as it streams the hub."""

from __future__ import annotations

import logging
import socket
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import datasets
import pytest

from al_loop.errors import ManifestError
from al_loop.sources.hub import Columns, _audio, _is_within, read_hub
from al_loop.sources.ingest import Intake, ingest
from al_loop.sources.rows import read_rows
from storage.store import Store

MakeClip = Callable[..., Path]
INTAKE = Intake("fleurs_ky", "open_source", "ky", "pool", frozenset({"ky"}))


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    datasets.disable_progress_bars()
    logging.getLogger("datasets").setLevel(logging.CRITICAL)
    yield
    datasets.enable_progress_bars()


@pytest.fixture
def write(tmp_path: Path, make_clip: MakeClip) -> Callable[..., Path]:
    """Writes splits of clips as Parquet files with audio inside, as most of the hub is."""

    def make(name: str = "fleurs", text: str = "transcription", **splits: int) -> Path:
        folder = tmp_path / name / "data"
        folder.mkdir(parents=True)
        audio = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
        kinds: dict[str, Any] = {"id": datasets.Value("int64"), "audio": audio}
        kinds |= {text: datasets.Value("string"), "client_id": datasets.Value("string")}
        seed = 0
        for split, count in (splits or {"train": 2, "validation": 1, "test": 1}).items():
            clips = []
            for _ in range(count):
                seed += 1
                data = make_clip("clip.wav", seed=seed).read_bytes()
                clips.append({"bytes": data, "path": f"{seed}.wav"})
            made = datasets.Dataset.from_dict(
                {
                    "id": list(range(count)),
                    "audio": clips,
                    text: [f"{split} {number}" for number in range(count)],
                    "client_id": [f"{split} speaker" * 9] * count,
                },
                features=datasets.Features(kinds),
            ).cast_column("audio", datasets.Audio())
            made.to_parquet(str(folder / f"{split}-00000-of-00001.parquet"))
        return folder.parent

    return make


def test_all_splits_in_one_go(store: Store, write: Callable[..., Path]) -> None:
    name = str(write())
    rows = read_hub(name)
    assert ingest(rows, INTAKE, store, store.workspace.root).added == 4
    found = store.db.execute(
        "SELECT origin, split, text, length(speaker) FROM utterances ORDER BY origin"
    ).fetchall()
    assert found == [
        (f"{name}/test/0", "test", "test 0", 16),
        (f"{name}/train/0", "train", "train 0", 16),
        (f"{name}/train/1", "train", "train 1", 16),
        (f"{name}/validation/0", "validation", "validation 0", 16),
    ]
    assert next(iter(read_hub(name))).split == "test"  # what is stronger comes first
    again = ingest(read_hub(name), INTAKE, store, store.workspace.root)
    assert (again.added, again.known) == (0, 4)


def test_the_same_reader_is_behind_ingest(
    store: Store, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write()
    monkeypatch.chdir(folder.parent)
    (row,) = read_hub("fleurs", {"test": None})
    assert (row.split, row.text, row.origin) == (None, "test 0", "fleurs/test/0")
    with pytest.raises(ManifestError, match="the hub"):
        read_rows("nobody/nothing", "test")


def test_columns_and_splits_by_other_names(write: Callable[..., Path]) -> None:
    name = str(write("radio", text="said", old=2, spare=1))
    with pytest.raises(ManifestError, match="its splits are old, spare; say what one is for"):
        read_hub(name)
    with pytest.raises(ManifestError, match="no column for the text; its columns are id, audio"):
        read_hub(name, {"old": "train"})
    rows = read_hub(name, {"old": "train"}, Columns(text="said", speaker="id", id="client_id"))
    first, second = rows
    assert (first.text, first.speaker) == ("old 0", "0")
    assert second.problem == "row 1 has an id that was there before"
    for row in read_hub(name, {"old": "pool"}):
        assert (row.text, row.split) == (None, "pool")
    for column in ("audio", "text", "speaker", "id"):
        with pytest.raises(ManifestError, match=f"no column 'x' for --{column}-column"):
            read_hub(name, {"old": "train"}, Columns(**{column: "x"}))
    with pytest.raises(ManifestError, match="no split test; it has old, spare"):
        read_hub(name, {"test": "test"})


def test_splits_that_are_not_taken_are_told(write: Callable[..., Path]) -> None:
    rows = read_hub(str(write(train=1, other=1)))
    assert [row.text for row in rows] == ["train 0"]
    assert "left out other" in rows.notices[0]


def test_a_folder_of_audio_with_its_table(tmp_path: Path, make_clip: MakeClip) -> None:
    clip = make_clip("radio/train/a.wav")
    (clip.parent / "metadata.csv").write_text("file_name,transcription\na.wav,саат\n", "utf-8")
    (row,) = read_hub(str(tmp_path / "radio"))
    assert (row.audio, row.text, row.split) == (clip, "саат", "train")


def test_audio_that_lies_in_an_archive_is_fetched(tmp_path: Path, make_clip: MakeClip) -> None:
    clip = make_clip("a.wav")
    folder = tmp_path / "packed"
    folder.mkdir()
    with zipfile.ZipFile(folder / "train.zip", "w") as archive:
        archive.write(clip, "a.wav")
    rows = list(read_hub(str(folder), {"train": "pool"}))
    assert [row.audio for row in rows] == [clip.read_bytes()]


def test_a_split_that_is_half_downloaded_is_named_and_the_next_one_read(
    store: Store, write: Callable[..., Path]
) -> None:
    folder = write()
    path = folder / "data" / "test-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:20_000])
    report = ingest(read_hub(str(folder)), INTAKE, store, store.workspace.root)
    assert report.added == 3
    assert [row.origin for row in report.refusals] == [f"{folder}/test"]
    assert "breaks off after 0 rows" in report.refusals[0].detail


def test_rows_without_audio_or_text_are_named(
    store: Store, tmp_path: Path, make_clip: MakeClip
) -> None:
    folder = tmp_path / "holes"
    folder.mkdir()
    data = make_clip("a.wav").read_bytes()
    audio = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    datasets.Dataset.from_dict(
        {
            "audio": [{"bytes": data, "path": None}, None, {"bytes": data[:9000], "path": None}],
            "text": [None, "бир", "эки"],
        },
        features=datasets.Features({"audio": audio, "text": datasets.Value("string")}),
    ).to_parquet(str(folder / "train.parquet"))
    with pytest.raises(ManifestError, match="no column holds audio; its columns are audio, text"):
        read_hub(str(folder))
    rows = read_hub(str(folder), columns=Columns(audio="audio"))
    report = ingest(rows, INTAKE, store, store.workspace.root)
    assert [row.reason for row in report.refusals] == ["no_text", "bad_row", "truncated"]


@pytest.mark.parametrize(
    "path", ["{outside}", "file://{outside}", "../outside.wav", "zip://a.wav::file://{outside}"]
)
def test_audio_that_is_not_in_the_data_set_is_not_opened(
    tmp_path: Path, make_clip: MakeClip, path: str
) -> None:
    outside = make_clip("outside.wav")
    found = _audio({"bytes": None, "path": str(make_clip("set/inside.wav"))}, f"{tmp_path}/set")
    assert found == tmp_path / "set" / "inside.wav"
    with pytest.raises(ValueError, match="is not in the data set"):
        _audio({"bytes": None, "path": path.format(outside=outside)}, f"{tmp_path}/set")


@pytest.mark.parametrize(
    ("address", "within"),
    [
        ("hf://datasets/google/fleurs@main/ky/a.wav", True),
        ("hf://datasets/google/fleurs/ky/a.wav", True),
        ("hf://datasets/google/fleurs_private@main/a.wav", False),
        ("hf://datasets/google/fleurs@main/../../other/a.wav", False),
        ("http://169.254.169.254/latest", False),
        ("/etc/passwd", False),
    ],
)
def test_of_a_hub_s_data_set_only_its_own_files_are_fetched(address: str, within: bool) -> None:
    assert _is_within(address, "google/fleurs:ky_kg") is within


def test_an_empty_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="doesn't contain any data files"):
        read_hub(str(tmp_path))


# -- the hub's own errors ----------------------------------------------------------------------


class Hub(BaseHTTPRequestHandler):
    """Answers every request as the hub does about a data set that one may not see."""

    code, status = "GatedRepo", 403

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("X-Error-Code", self.code)
        self.send_header("X-Error-Message", "no")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.parametrize(
    ("code", "status", "message"),
    [
        ("GatedRepo", 403, "a gated data set. Accept its conditions at .*org/name.*HF_TOKEN"),
        ("RepoNotFound", 404, "has no data set of that name, or it is private: check the name"),
    ],
)
def test_what_the_hub_refuses_is_said_in_words(
    code: str, status: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hub, "code", code)
    monkeypatch.setattr(Hub, "status", status)
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setattr(
            "huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}"
        )
        with pytest.raises(ManifestError, match=message):
            read_hub("org/name")
        server.shutdown()


def test_a_hub_out_of_reach_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{port}")
    with pytest.raises(ManifestError, match=r"the hub cannot be reached \(ConnectError"):
        read_hub("org/name")
