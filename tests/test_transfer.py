"""`labelstudio import` as a user sees it: a project's labels become clips of a source."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from click.testing import CliRunner, Result
from filelock import FileLock

from al_loop.audio import SAMPLE_RATE, decode
from al_loop.commands.transfer import import_project
from al_loop.config import TOKEN_VARIABLE
from al_loop.errors import ManifestError, OracleRefused, WorkspaceError
from al_loop.records import Utterance
from storage.store import Store

MakeClip = Callable[..., Path]
TOKEN = "0123456789abcdef0123456789abcdef01234567"
CONFIG = (
    '<View><Audio name="a" value="$sound"/><TextArea name="said" toName="a"/>'
    '<TextArea name="notes" toName="a"/></View>'
)


def task(number: int, *parts: Any, sound: str = "", **data: Any) -> dict[str, Any]:
    sound = sound or f"/data/upload/3/0a1b2c3d-{number}.wav"
    answer = {"result": list(parts), "was_cancelled": False, "updated_at": "2026-01-01T00:00:00Z"}
    answers = [answer] if parts else []
    return {"id": number, "data": {"sound": sound, **data}, "annotations": answers}


def text(said: str, **place: float) -> dict[str, Any]:
    value = {"text": [said], **place}
    return {"from_name": "said", "to_name": "a", "type": "textarea", "value": value}


def ticks(name: str) -> dict[str, Any]:
    return {"from_name": "noise", "to_name": "a", "type": "choices", "value": {"choices": [name]}}


class LabelStudio(ThreadingHTTPServer):
    """Project 3, and the files that were uploaded to it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.tasks: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.closed = ""


class Handler(BaseHTTPRequestHandler):
    server: LabelStudio

    def do_GET(self) -> None:
        page = urlsplit(self.path)
        self.server.asked.append(page.path)
        if self.headers["Authorization"] != f"Token {TOKEN}" or page.path == self.server.closed:
            self._send(401, b"{}")
        elif page.path == "/api/projects/3/":
            self._send(200, json.dumps({"label_config": CONFIG}).encode())
        elif page.path == "/api/tasks":
            query = json.loads(parse_qs(page.query)["query"][0])
            behind = query["filters"]["items"][0]["value"]
            rows = [row for row in self.server.tasks if row["id"] > behind]
            self._send(200, json.dumps({"total": len(rows), "tasks": rows}).encode())
        elif page.path in self.server.files:
            self._send(200, self.server.files[page.path])
        else:
            self._send(404, b"{}")

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def label_studio(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[LabelStudio]:
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    with LabelStudio() as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        store.workspace.config.write_text(f'[label_studio]\nurl = "{url}"\n', encoding="utf-8")
        yield server
        server.shutdown()


def run(store: Store, project: str | Path, *arguments: str) -> Result:
    command = [str(project), "--source", "hands", *arguments]
    return CliRunner().invoke(import_project, command, obj=store.workspace.root)


def done(store: Store, project: str | Path, *arguments: str) -> list[str]:
    """The lines of a call that ends well."""
    result = run(store, project, *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def utterances(store: Store) -> list[Utterance]:
    rows = store.utterances(row.utterance_id for row in store.training_examples("in_house"))
    return sorted(rows, key=lambda row: row.text or "")


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    return path


def test_a_project_on_the_server_becomes_a_source(
    store: Store, label_studio: LabelStudio, make_clip: MakeClip
) -> None:
    for number in (1, 2, 3):
        clip = make_clip(f"{number}.wav", seed=number)
        label_studio.files[f"/data/upload/3/0a1b2c3d-{number}.wav"] = clip.read_bytes()
    label_studio.tasks = [
        task(1, text("бир"), speaker="f1"),
        task(2, text("эки"), ticks("Шум")),
        task(3, text("үч"), ticks("Эки киши")),
        task(4, text("төрт")),
        task(5),
    ]
    arguments = ["3", "--text-tag", "said", "--leave-out", "Эки киши", "--weight", "2"]
    lines = done(store, *arguments)
    url = f"http://127.0.0.1:{label_studio.server_port}"
    missing = f"404 from {url}/data/upload/3/0a1b2c3d-4.wav"
    assert lines == [
        f"refused {url}/projects/3/data?task=3: bad_row (ticked: Эки киши)",
        f"refused {url}/projects/3/data?task=4: bad_row ({missing})",
        "1 tasks have no answer yet",
        "ticked beside a text that was taken: noise=Шум (1); see --leave-out",
        "2 added, 0 moved to an evaluation set, 0 known already, 2 refused",
    ]
    rows = utterances(store)
    assert [(row.text, row.speaker, row.split) for row in rows] == [
        ("бир", "f1", "train"),
        ("эки", None, "train"),
    ]
    source = store.source("hands")
    assert source is not None
    assert (source.kind, source.language, source.weight) == ("in_house", "ky", 2.0)
    assert not (store.workspace.root / "downloads").exists()
    assert done(store, *arguments)[-1].startswith("0 added, 0 moved to an evaluation set, 2 known")
    assert utterances(store) == rows


def test_an_import_that_is_cut_off_fetches_the_rest(
    store: Store, label_studio: LabelStudio, make_clip: MakeClip
) -> None:
    paths = ["/data/upload/3/0a1b2c3d-1.wav", "/data/upload/3/0a1b2c3d-2.wav"]
    for number, path in enumerate(paths, start=1):
        label_studio.files[path] = make_clip(f"{number}.wav", seed=number).read_bytes()
    label_studio.tasks = [task(1, text("бир")), task(2, text("эки"))]
    label_studio.closed = paths[1]  # the token runs out in between
    assert isinstance(run(store, "3", "--text-tag", "said").exception, OracleRefused)
    label_studio.closed = ""
    assert "2 added" in done(store, "3", "--text-tag", "said")[-1]
    assert [label_studio.asked.count(path) for path in paths] == [1, 2]


def test_an_export_is_read_with_a_folder_of_audio(
    store: Store, make_clip: MakeClip, tmp_path: Path
) -> None:
    folder = make_clip("calls/1.wav", seed=1).parent
    make_clip("calls/2.wav", seed=2)
    export = write(
        tmp_path / "export.json",
        [
            task(1, text("бир"), language="ru"),
            task(2, text("эки"), language="Kyrgyz"),
            task(3, text("үч")),
        ],
    )
    lines = done(store, export, "--audio", str(folder), "--split", "test")
    assert lines == [
        f"refused export.json: task 3: bad_row (no file '0a1b2c3d-3.wav' below {folder})",
        "2 added, 0 moved to an evaluation set, 0 known already, 1 refused",
    ]
    found = {row.text: (row.source, row.language) for row in store.evaluation_utterances()}
    assert found == {"бир": ("hands_ru", "ru"), "эки": ("hands", "ky")}
    lines = done(store, export, "--split", "test")
    assert lines[0].endswith(
        "(name the folder of its audio with --audio, or fetch it with --fetch)"
    )
    assert "0 added" in lines[-1]


def test_an_exports_audio_is_fetched_when_asked_for(
    store: Store, label_studio: LabelStudio, make_clip: MakeClip, tmp_path: Path
) -> None:
    export = write(tmp_path / "export.json", [task(1, text("бир"))])
    assert "1 refused" in done(store, export)[-1]
    assert label_studio.asked == []
    label_studio.files["/data/upload/3/0a1b2c3d-1.wav"] = make_clip("1.wav").read_bytes()
    assert "1 added" in done(store, export, "--fetch")[-1]


def test_parts_of_a_recording_are_clips_of_their_own(
    store: Store, make_clip: MakeClip, tmp_path: Path
) -> None:
    """A recording longer than Whisper's window, at a rate of its own."""
    recording = make_clip("long.wav", 40.0, sample_rate=8000)
    parts = [
        text("бир", start=0.5, end=1.75),
        text("эки", start=38.0, end=40.0),
        text("үч", start=41.0, end=42.0),
        text("төрт", start=2, end=33),
    ]
    export = write(tmp_path / "export.json", [task(1, *parts, sound="x/long.wav")])
    arguments = [export, "--audio", str(recording.parent)]
    lines = done(store, *arguments)
    place = "refused export.json: task 1, "
    assert lines[0].startswith(f"{place}2.00-33.00 s: too_long")
    ended = "the recording ends before, ahead of 41.00 s"
    assert lines[1] == f"{place}41.00-42.00 s: no_samples ({ended})"
    assert "2 added" in lines[2]
    first, second = utterances(store)
    assert (first.duration_s, second.duration_s) == (1.25, 2.0)
    samples = decode(recording)[round(0.5 * SAMPLE_RATE) : round(1.75 * SAMPLE_RATE)]
    kept = decode(store.workspace.root / first.audio)
    assert np.abs(kept - samples).max() < 1e-3
    assert (first.start_s, second.start_s) == (0.5, 38.0)
    assert "0 added, 0 moved to an evaluation set, 2 known" in done(store, *arguments)[-1]


def test_a_recording_that_cannot_be_decoded_is_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1.wav").write_bytes(b"nonsense")
    parts = [text("бир", start=0, end=1), text("эки", start=1, end=2)]
    export = write(tmp_path / "export.json", [task(1, *parts), task(2, text("үч"), sound="1.wav")])
    lines = done(store, export, "--audio", str(tmp_path / "a"))
    assert [": corrupt (" in line for line in lines[:3]] == [True] * 3


def test_what_cannot_be_imported_says_what_to_do(
    store: Store, label_studio: LabelStudio, tmp_path: Path
) -> None:
    def error(*arguments: Any) -> BaseException | None:
        return run(store, *arguments).exception

    unclear = error("3")
    assert isinstance(unclear, ManifestError)
    assert "candidates are notes, said; name it with --text-tag" in str(unclear)
    assert isinstance(error("4"), OracleRefused)
    assert "gone.json: cannot be read" in str(error(tmp_path / "gone.json"))
    with FileLock(store.workspace.root / "import.lock"):
        busy = error("3", "--text-tag", "said")
    assert isinstance(busy, WorkspaceError)
    assert "another import is at work" in str(busy)
    assert "is made by the annotators' labels" in str(
        error("3", "--text-tag", "said", "--source", "in_house")
    )
