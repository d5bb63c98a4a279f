"""Clips in object storage with a cache here: at a real S3 server, evicted, damaged, killed."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from al_loop.audio import decode, write_flac
from al_loop.cli import main
from al_loop.clips import Clips, Place, place_of
from al_loop.config import Settings
from al_loop.errors import AudioError, ConfigError, StorageError, WorkspaceError
from al_loop.simulation.settings import detached
from al_loop.sources.ingest import Intake, ingest
from al_loop.sources.rows import Row
from al_loop.wiring import audio_address, bring_audio, open_workspace
from storage.store import Store
from storage.workspace import Workspace

from .s3_server import KEYS, s3_client, s3_server

MakeClip = Callable[..., Path]
POOL = Intake("radio", "in_house", "ky", "pool", frozenset({"ky"}))
BUCKET, PREFIX = "clips", "kyrgyz"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture
def endpoint(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of a server with an empty bucket."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    s3 = s3_client(server)
    s3.create_bucket(Bucket=BUCKET)
    for key in keys(server):
        s3.delete_object(Bucket=BUCKET, Key=key)
    return server


@pytest.fixture
def clips(endpoint: str, workspace: Workspace) -> Clips:
    return at(workspace.root, endpoint)


def at(root: Path, endpoint: str, **place: Any) -> Clips:
    return Clips(Place(root, f"s3://{BUCKET}/{PREFIX}", endpoint, **place))


def keys(endpoint: str) -> list[str]:
    listed = s3_client(endpoint).list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return sorted(row["Key"] for row in listed)


def noise(seed: int, seconds: float = 0.5) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(16_000 * seconds))).astype("f4")


def put(clips: Clips, *seeds: int) -> list[str]:
    """Clips at the url, and in the cache: their names."""
    names = [f"audio/{seed:02}/{seed}.flac" for seed in seeds]
    for seed, name in zip(seeds, names, strict=True):
        clips.keep(name, lambda path, seed=seed: write_flac(noise(seed), path))
    assert clips.bring(names) == len(names)
    return names


def damaged(content: bytes) -> bytes:
    """What a decoder alone does not see."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


def held(clips: Clips) -> set[str]:
    return {path.name for path in clips.place.folder.rglob("*") if path.is_file()}


# -- ingest ----------------------------------------------------------------------------------------


def test_a_clip_is_there_before_its_row(clips: Clips, store: Store, make_clip: MakeClip) -> None:
    class Seeing:
        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        def add(self, utterances: Any, refusals: Any) -> Any:
            assert len(keys(endpoint)) == len(utterances) == 3
            return store.add(utterances, refusals)

    endpoint = clips.place.endpoint
    assert endpoint is not None
    rows = [Row(str(seed), make_clip(f"in/{seed}.wav", seed=seed)) for seed in range(3)]
    report = ingest(rows, POOL, Seeing(), store.workspace.root, clips=clips)  # type: ignore[arg-type]
    assert report.added == 3
    names = sorted(store.clip_names())
    assert keys(endpoint) == [name.replace("audio/", f"{PREFIX}/") for name in names]

    for name in names:  # another machine, or a cache that was emptied
        clips.path(name).unlink()
    assert ingest(rows, POOL, store, store.workspace.root, clips=clips).known == 3
    assert held(clips) == set()  # known and there: not written anew
    elsewhere = at(store.workspace.root.parent / "other", endpoint)
    for row, name in zip(rows, store.clip_names(), strict=False):
        assert isinstance(row.audio, Path)
        assert len(elsewhere.samples(name)) == len(decode(row.audio))


def test_an_ingest_without_its_place_goes_on_later(
    clips: Clips, store: Store, make_clip: MakeClip
) -> None:
    rows = [Row("a", make_clip("in/a.wav"))]
    root = store.workspace.root
    with pytest.raises(StorageError, match="no answer"):
        ingest(rows, POOL, store, root, clips=at(root, "http://127.0.0.1:1"))
    assert store.clip_names() == []
    assert ingest(rows, POOL, store, root, clips=clips).added == 1
    assert len(keys(str(clips.place.endpoint))) == 1


def test_a_known_clip_that_is_lost_comes_back(
    clips: Clips, store: Store, make_clip: MakeClip
) -> None:
    endpoint = str(clips.place.endpoint)
    rows = [Row(str(seed), make_clip(f"in/{seed}.wav", seed=seed)) for seed in range(2)]
    root = store.workspace.root
    assert ingest(rows, POOL, store, root, clips=clips).added == 2
    lost = keys(endpoint)
    for key in lost:  # at the url, and one of them here too
        s3_client(endpoint).delete_object(Bucket=BUCKET, Key=key)
    clips.path(store.clip_names()[0]).unlink()
    report = ingest(rows, POOL, store, root, clips=clips)
    assert (report.added, report.known, report.refusals) == (0, 2, [])
    assert keys(endpoint) == lost


def test_a_damaged_leftover_is_written_anew(
    clips: Clips, store: Store, make_clip: MakeClip
) -> None:
    rows = [Row(str(seed), make_clip(f"in/{seed}.wav", seed=seed)) for seed in range(3)]
    root = store.workspace.root
    names = []
    for row in rows:
        assert isinstance(row.audio, Path)
        id_ = hashlib.sha256(row.audio.read_bytes()).hexdigest()
        names.append(f"audio/{id_[:2]}/{id_}.flac")
    for name, content in zip(names, (b"fLaC", b""), strict=False):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    report = ingest(rows, POOL, store, root, clips=clips)
    assert (report.added, report.refusals) == (3, [])
    assert len(keys(str(clips.place.endpoint))) == 3
    assert all(len(clips.samples(name)) > 0 for name in names)


def test_one_damaged_clip_refuses_its_row_alone(
    clips: Clips, store: Store, make_clip: MakeClip
) -> None:
    rows = [Row(str(seed), make_clip(f"in/{seed}.wav", seed=seed)) for seed in range(3)]
    root = store.workspace.root
    assert ingest(rows[:1], POOL, store, root, clips=clips).added == 1
    (name,) = store.clip_names()
    clips.path(name).write_bytes(b"fLaC")
    report = ingest(rows, POOL, store, root, clips=clips)
    assert (report.added, report.known) == (2, 0)
    (refusal,) = report.refusals
    assert (refusal.origin, refusal.reason) == ("0", "corrupt")
    assert "delete it and ingest it anew" in refusal.detail
    clips.path(name).unlink()
    assert ingest(rows, POOL, store, root, clips=clips).known == 3
    assert len(keys(str(clips.place.endpoint))) == 3


# -- reading ---------------------------------------------------------------------------------------


def test_without_a_url_the_folder_holds_all(tmp_path: Path) -> None:
    clips = Clips(Place(tmp_path))
    clips.keep("audio/a.flac", lambda path: write_flac(noise(1), path))
    assert len(clips.samples("audio/a.flac")) == 8000
    assert clips.bring(["audio/a.flac"]) == 0
    assert clips.address("audio/a.flac") is None
    with pytest.raises(AudioError, match=r"not_a_file: .*b\.flac: .*ingest it anew"):
        clips.samples("audio/b.flac")


def test_what_is_not_here_is_fetched(clips: Clips) -> None:
    (name,) = put(clips, 1)
    clips.path(name).unlink()
    again = pickle.loads(pickle.dumps(clips))  # as a worker gets it
    assert np.array_equal(again.samples(name), clips.samples(name))
    assert held(clips) == {"1.flac"}
    clips.path(name).unlink()
    assert clips.read(name)[:4] == b"fLaC"
    with pytest.raises(AudioError, match=r"not_a_file: 00/none\.flac is neither in"):
        clips.samples("audio/00/none.flac")


def test_a_worker_has_a_cache_of_its_own(clips: Clips, tmp_path: Path) -> None:
    (name,) = put(clips, 1)
    theirs = at(tmp_path / "not mounted", str(clips.place.endpoint), cache=tmp_path / "cache")
    assert np.array_equal(theirs.samples(name), clips.samples(name))
    assert held(theirs) == {"1.flac"}
    assert theirs.samples(theirs.file(name)).shape == (8000,)  # as a training names it


def test_damage_is_found_and_mended_once(clips: Clips) -> None:
    (name,) = put(clips, 1)
    whole = clips.samples(name)
    path = clips.path(name)
    good = path.read_bytes()
    bad = damaged(good)
    path.write_bytes(bad)
    assert len(decode(path)) == len(whole)  # a decoder alone does not see it
    assert np.array_equal(clips.samples(name), whole)
    assert path.read_bytes() == good
    path.write_bytes(bad)
    assert clips.read(name) == good  # as a backup has it

    clips.objects.put(str(clips.address(name)), bad)
    path.write_bytes(bad)
    with pytest.raises(AudioError, match=r"corrupt: .*and at s3://clips/kyrgyz.*ingest it anew"):
        clips.samples(name)


def test_what_is_damaged_is_not_brought(clips: Clips) -> None:
    (name,) = put(clips, 1)
    path = clips.path(name)
    other = path.with_name("2.flac")
    other.write_bytes(damaged(path.read_bytes()))
    with pytest.raises(WorkspaceError, match=r"2\.flac is damaged and not brought"):
        clips.bring(["audio/01/2.flac"])
    path.with_name("3.flac").write_bytes(path.read_bytes())
    bad: dict[str, str] = {}
    assert clips.bring([f"audio/01/{n}.flac" for n in (2, 3, 4)], bad) == 1
    assert "2.flac is damaged" in bad.pop("audio/01/2.flac")
    assert "is neither in" in bad.pop("audio/01/4.flac")
    assert bad == {}


def test_a_place_that_is_gone_is_no_clip_s_fault(clips: Clips, workspace: Workspace) -> None:
    (name,) = put(clips, 1)
    gone = at(workspace.root, "http://127.0.0.1:1")
    assert len(gone.samples(name)) == 8000  # it is here
    clips.path(name).unlink()
    with pytest.raises(StorageError, match="call again") as caught:
        gone.samples(name)
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in str(caught.value)
    assert len(clips.samples(name)) == 8000


def test_a_damaged_clip_that_was_never_brought_is_told_as_such(clips: Clips) -> None:
    name = "audio/01/1.flac"
    clips.keep(name, lambda path: write_flac(noise(1), path))
    clips.path(name).write_bytes(damaged(clips.path(name).read_bytes()))
    with pytest.raises(AudioError, match=r"corrupt: \S+1\.flac \(and not at s3://.*delete it and"):
        clips.samples(name)


def test_what_cannot_be_written_here_is_named(
    clips: Clips, tmp_path: Path, workspace: Workspace
) -> None:
    (name,) = put(clips, 1)
    clips.path(name).unlink()
    (tmp_path / "file").touch()  # as a disk that is full: an OSError
    full = at(workspace.root, str(clips.place.endpoint), cache=tmp_path / "file" / "cache")
    told = r"file/cache/\S* cannot be written \(Not a directory\); make room there"
    with pytest.raises(StorageError, match=told):
        full.samples(name)
    with pytest.raises(StorageError, match=told):
        full.keep("audio/02/2.flac", lambda path: write_flac(noise(2), path))


def test_a_place_that_refuses_is_no_clip_s_fault(tmp_path: Path) -> None:
    class Refusing(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_error(403)

        do_GET = do_HEAD

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Refusing)
    Thread(target=lambda: server.serve_forever(0.01), daemon=True).start()
    try:
        clips = at(tmp_path, f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(StorageError, match="is refused"):
            clips.keep("audio/1.flac", lambda path: None, known=True)
    finally:
        server.shutdown()
        server.server_close()


# -- the limit -------------------------------------------------------------------------------------


def test_what_was_not_read_for_longest_goes_first(endpoint: str, workspace: Workspace) -> None:
    names = put(at(workspace.root, endpoint), *range(20))
    files = [workspace.root / name for name in names]
    size = sum(path.stat().st_size for path in files)
    for age, path in enumerate(files):
        os.utime(path, (time.time() - 1000 + age, path.stat().st_mtime))
    small = at(workspace.root, endpoint, cache_bytes=size / 2)
    small.samples(names[0])  # the oldest is read again
    files[1].unlink()
    small.samples(names[1])  # fetched: the cache is looked through
    left = [path for path in files if path.exists()]
    assert sum(path.stat().st_size for path in left) <= size / 2
    assert set(left) == {*files[:2], *files[-len(left) + 2 :]}
    assert len(left) > 6
    assert all(len(small.samples(name)) == 8000 for name in names)  # nothing is lost
    assert sum(path.stat().st_size for path in files if path.exists()) <= size / 2


def test_what_is_brought_counts_too(endpoint: str, workspace: Workspace) -> None:
    clips = at(workspace.root, endpoint, cache_bytes=100_000)
    for seed in range(20):  # 8 kB each
        put(clips, seed)
    sizes = [path.stat().st_size for path in clips.place.folder.rglob("*.flac")]
    assert 50_000 < sum(sizes) <= 100_000


def test_what_was_not_brought_stays(endpoint: str, workspace: Workspace) -> None:
    clips = at(workspace.root, endpoint, cache_bytes=1000)
    for seed in range(4):
        clips.keep(f"audio/{seed}.flac", lambda path, seed=seed: write_flac(noise(seed), path))
    (name,) = put(clips, 9)
    clips.path(name).unlink()
    clips.samples(name)
    assert held(clips) == {"0.flac", "1.flac", "2.flac", "3.flac", "9.flac"}


def test_leftovers_of_kills_are_deleted(endpoint: str, workspace: Workspace) -> None:
    (name,) = put(at(workspace.root, endpoint), 1)
    old = workspace.root / "audio/01/.1.flac.x.unfinished"
    new = old.with_name(".1.flac.y.unfinished")
    for path in (old, new):
        path.write_bytes(b"part")
    os.utime(old, (0, 0))
    (workspace.root / name).unlink()
    at(workspace.root, endpoint).samples(name)
    assert (old.exists(), new.exists()) == (False, True)


def test_readers_and_evictors_at_once(endpoint: str, workspace: Workspace) -> None:
    names = put(at(workspace.root, endpoint), *range(8))
    size = sum((workspace.root / name).stat().st_size for name in names)
    problems: list[BaseException] = []

    def read(seed: int) -> None:
        clips = at(workspace.root, endpoint, cache_bytes=size / 3)
        try:
            for name in np.random.default_rng(seed).permutation(names * 3):
                assert len(clips.samples(str(name))) == 8000
        except BaseException as exc:
            problems.append(exc)

    threads = [Thread(target=read, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


FETCHING = """
import sys
from pathlib import Path
from al_loop.clips import Clips, Place, place_of

class Slow:
    def fetch(self, address, target):
        with target.open("wb") as file:
            file.write(b"part")
            file.flush()
            print("begun", flush=True)
            sys.stdin.read()

clips = Clips(Place(Path(sys.argv[1]), "s3://clips/kyrgyz", sys.argv[2]))
clips.objects = Slow()
clips.path(sys.argv[3])
"""


def test_a_fetch_that_is_killed_leaves_no_clip(clips: Clips, workspace: Workspace) -> None:
    (name,) = put(clips, 1)
    whole = clips.read(name)
    clips.path(name).unlink()
    endpoint = str(clips.place.endpoint)
    command = [sys.executable, "-c", FETCHING, str(workspace.root), endpoint, name]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1]
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        process.send_signal(signal.SIGKILL)
    assert not (workspace.root / name).exists()
    assert len(held(clips)) == 1  # the part, under a temporary name
    assert clips.read(name) == whole


# -- commands --------------------------------------------------------------------------------------


def configure(workspace: Workspace, endpoint: str) -> None:
    workspace.config.write_text(
        f'[audio]\nurl = "s3://{BUCKET}/{PREFIX}"\nendpoint = "{endpoint}"\n', encoding="utf-8"
    )


def test_a_workspace_s_clips_are_pushed(
    endpoint: str, store: Store, make_clip: MakeClip, tmp_path: Path
) -> None:
    rows = [Row(str(seed), make_clip(f"in/{seed}.wav", seed=seed)) for seed in range(5)]
    root = store.workspace.root
    assert ingest(rows, POOL, store, root).added == 5
    store.workspace.config.write_text("", encoding="utf-8")
    run = CliRunner().invoke
    refused = run(main, ["-w", str(root), "audio", "push"])
    assert refused.exit_code == 1
    assert "names no audio.url" in refused.output

    configure(store.workspace, endpoint)
    at(root, endpoint).bring(store.clip_names()[:2])  # as a push that was killed
    pushed = run(main, ["-w", str(root), "audio", "push"])
    assert pushed.exit_code == 0, pushed.output
    assert "3 clips sent to s3://clips/kyrgyz; all 5 are there" in pushed.output
    assert len(keys(endpoint)) == 5

    for name in store.clip_names():
        (root / name).unlink()
    checked = run(main, ["-w", str(root), "doctor"])
    assert "ok      clips' storage: s3://clips/kyrgyz can be read and written" in checked.output
    assert "ok      clips: 5 drawn at random are as ingested" in checked.output
    assert all((root / name).exists() for name in store.clip_names())


def test_a_push_names_bad_clips_and_brings_the_others(
    endpoint: str, store: Store, make_clip: MakeClip
) -> None:
    rows = [Row(str(seed), make_clip(f"in/{seed}.wav", seed=seed)) for seed in range(5)]
    root = store.workspace.root
    assert ingest(rows, POOL, store, root).added == 5
    configure(store.workspace, endpoint)
    first, second, *others = store.clip_names()
    (root / first).unlink()
    (root / second).write_bytes(damaged((root / second).read_bytes()))
    pushed = CliRunner().invoke(main, ["-w", str(root), "audio", "push"])
    assert pushed.exit_code == 1
    assert "3 clips sent to s3://clips/kyrgyz; 3 of 5 are there" in pushed.output
    assert f"{first} is neither in" in pushed.output
    assert f"{second} is damaged and not brought" in pushed.output
    assert "2 clips are not at s3://clips/kyrgyz" in pushed.output
    assert len(keys(endpoint)) == len(others)


def test_the_loop_reads_clips_as_workers_do(
    clips: Clips, store: Store, make_clip: MakeClip
) -> None:
    root, endpoint = store.workspace.root, str(clips.place.endpoint)
    assert ingest([Row("a", make_clip("in/a.wav"))], POOL, store, root, clips=clips).added == 1
    configure(store.workspace, endpoint)
    (utterance,) = store.pool()
    bad = damaged(clips.read(utterance.audio))
    _, _, opened = open_workspace(root)
    assert len(opened.samples(utterance)) > 0
    clips.path(utterance.audio).write_bytes(bad)
    clips.objects.put(str(clips.address(utterance.audio)), bad)
    assert len(decode(clips.path(utterance.audio))) > 0
    with pytest.raises(AudioError, match="corrupt"):
        opened.samples(utterance)


def test_the_doctor_sees_a_place_that_is_not_there(store: Store) -> None:
    configure(store.workspace, "http://127.0.0.1:1")
    found = CliRunner().invoke(main, ["-w", str(store.workspace.root), "doctor"])
    assert "failure clips' storage: no answer for s3://clips/kyrgyz/al_loop" in found.output


# -- annotators and backups ------------------------------------------------------------------------


def settings_of(url: str, **label_studio: str) -> Settings:
    return Settings.model_validate({"audio": {"url": url}, "label_studio": label_studio})


def test_annotators_need_an_address_of_all_clips() -> None:
    with pytest.raises(ConfigError, match=r"set label_studio\.audio_url"):
        audio_address(settings_of("s3://clips/a"), "w", "audio/00/x.flac")
    both = settings_of("s3://clips/a", audio_url="s3://clips/a/")
    assert audio_address(both, "w", "audio/00/x.flac") == "s3://clips/a/00/x.flac"
    assert Clips(Place(Path(), "s3://clips/a")).address("audio/00/x.flac") == (
        "s3://clips/a/00/x.flac"
    )


def test_annotators_get_copies_in_another_bucket_only(clips: Clips, workspace: Workspace) -> None:
    (name,) = put(clips, 1)
    clips.path(name).unlink()
    endpoint = str(clips.place.endpoint)
    audio = {"url": clips.place.url, "endpoint": endpoint}

    def settings(url: str) -> Settings:
        rule = {"audio_url": url, "s3_endpoint": endpoint}
        return Settings.model_validate({"audio": audio, "label_studio": rule})

    bring_audio(workspace, settings(f"s3://{BUCKET}/{PREFIX}/"), [name])
    assert not clips.file(name).exists()  # it was not even looked at
    bring_audio(workspace, settings(f"s3://{BUCKET}/heard"), [name])
    assert keys(endpoint) == ["heard/01/1.flac", f"{PREFIX}/01/1.flac"]


def test_a_backup_leaves_the_clips_where_they_are(
    endpoint: str, store: Store, make_clip: MakeClip, tmp_path: Path
) -> None:
    configure(store.workspace, endpoint)
    root = store.workspace.root
    rows = [Row("a", make_clip("in/a.wav"))]
    assert ingest(rows, POOL, store, root, clips=at(root, endpoint)).added == 1
    (name,) = store.clip_names()
    (root / name).unlink()
    run = CliRunner().invoke
    for option, held in (((), False), (("--audio",), True)):
        archive, folder = tmp_path / f"{held}.tar", tmp_path / f"restored-{held}"
        made = run(main, ["-w", str(root), "backup", str(archive), *option])
        assert made.exit_code == 0, made.output
        assert "are not there" not in made.output
        restored = run(main, ["restore", str(archive), str(folder)])
        assert restored.exit_code == 0, restored.output
        assert f"its clips are at s3://{BUCKET}/{PREFIX}" in restored.output
        assert (folder / name).exists() == held


# -- other processes -------------------------------------------------------------------------------


def test_a_place_goes_through_a_file_of_json(tmp_path: Path) -> None:
    for place in (Place(tmp_path), Place(tmp_path, "gs://a/b", "http://h.test", tmp_path / "c", 5)):
        assert Place.from_values(json.loads(json.dumps(asdict(place), default=str))) == place


def test_a_replay_reads_the_clips_of_its_workspace(clips: Clips, tmp_path: Path) -> None:
    (name,) = put(clips, 1)
    root, endpoint = clips.place.root, str(clips.place.endpoint)
    named = str(clips.file(name))  # as its material names it
    clips.path(name).unlink()
    rule = {"url": clips.place.url, "endpoint": endpoint}
    settings = detached(Settings.model_validate({"audio": rule}), root)
    assert len(Clips(place_of(tmp_path / "replay", settings.audio)).samples(named)) == 8000
    assert clips.file(name).exists()
