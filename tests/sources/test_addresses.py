"""Rows whose audio is at an address: a real S3 server, memory, and servers that are gone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest

from al_loop.clips import Clips, Place
from al_loop.errors import ManifestError, StorageError
from al_loop.objects import Objects
from al_loop.sources.ingest import Intake, Report, ingest
from al_loop.sources.kaldi import read_kaldi
from al_loop.sources.listings import Places
from al_loop.sources.nemo import read_nemo
from al_loop.sources.rows import read_rows
from storage.store import Store

from ..s3_server import KEYS, s3_client, s3_server

MakeClip = Callable[..., Path]
POOL = Intake("radio", "in_house", "ky", "pool", frozenset({"ky"}))
BUCKET = "recordings"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server() as address:
        s3_client(address).create_bucket(Bucket=BUCKET)
        yield address


@pytest.fixture
def endpoint(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    return server


def bring(endpoint: str, path: Path) -> str:
    """The file's address, once it is there."""
    s3_client(endpoint).put_object(Bucket=BUCKET, Key=path.name, Body=path.read_bytes())
    return f"s3://{BUCKET}/{path.name}"


def take(store: Store, rows: object, endpoint: str | None = None) -> Report:
    clips = Clips(Place(store.workspace.root, endpoint=endpoint))
    return ingest(rows, POOL, store, store.workspace.root, clips=clips)  # type: ignore[arg-type]


def table(path: Path, *names: str) -> Path:
    path.write_text("path\n" + "".join(f"{name}\n" for name in names), encoding="utf-8")
    return path


def test_a_table_of_addresses(store: Store, endpoint: str, make_clip: MakeClip) -> None:
    there, beside = make_clip("in/there.wav", seed=1), make_clip("in/beside.wav", seed=2)
    manifest = table(
        there.with_name("rows.tsv"),
        bring(endpoint, there),
        "beside.wav",
        f"s3://{BUCKET}/none.wav",
        "file:///etc/passwd",
        "https://me:hush@h.test/a.wav",
        f"s3://{BUCKET}//there.wav",
        f"s3://{BUCKET}/there.wav/",
        "http://a..b/x.wav",
    )
    report = take(store, read_rows(str(manifest)), endpoint)
    assert report.added == 2
    found = {refusal.origin: (refusal.reason, refusal.detail) for refusal in report.refusals}
    assert found[f"{manifest}:4"] == ("not_a_file", f"there is no object s3://{BUCKET}/none.wav")
    assert found[f"{manifest}:5"][1].startswith("an address of kind file")
    assert "hush" not in str(found)
    assert "an empty part" in found[f"{manifest}:7"][1]
    assert "an empty part" in found[f"{manifest}:8"][1]
    assert found[f"{manifest}:9"] == (
        "not_a_file",
        "http://a..b/x.wav is no address that can be asked",
    )

    local = take(store, read_rows(str(table(there.with_name("same.tsv"), str(there)))))
    assert local.known == 1  # the very same audio
    assert (
        str(beside.parent) in store.db.execute("SELECT min(origin) FROM utterances").fetchone()[0]
    )


class Counting(Objects):
    def __init__(self, endpoint: str) -> None:
        super().__init__(endpoint)
        self.fetched: list[str] = []

    def fetch(self, address: str, target: Path) -> int:
        self.fetched.append(address)
        return super().fetch(address, target)


def test_what_is_in_is_not_fetched_again(store: Store, endpoint: str, make_clip: MakeClip) -> None:
    clip, long = make_clip("in/one.wav", seed=3), make_clip("in/long.wav", seconds=40, seed=4)
    manifest = clip.with_name("rows.jsonl")
    lines = [
        {"audio": bring(endpoint, clip)},
        {"audio": bring(endpoint, long), "offset": 1.5, "duration": 2.25},
        {"audio": bring(endpoint, long), "offset": 20, "duration": 3},
    ]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert take(store, read_rows(str(manifest)), endpoint).added == 3
    origins = {row[0] for row in store.db.execute("SELECT origin FROM utterances")}
    assert f"s3://{BUCKET}/long.wav#1.50-3.75" in origins

    clips = Clips(Place(store.workspace.root))
    clips.objects = counting = Counting(endpoint)
    rows = read_rows(str(manifest))
    assert ingest(rows, POOL, store, store.workspace.root, clips=clips).known == 3
    assert counting.fetched == []
    make_clip("in/one.wav", seconds=1.5, seed=5)
    bring(endpoint, clip)  # another recording under the same name
    assert ingest(rows, POOL, store, store.workspace.root, clips=clips).added == 1
    assert counting.fetched == [f"s3://{BUCKET}/one.wav"]


def test_recordings_in_any_order_are_fetched_once(
    store: Store, endpoint: str, make_clip: MakeClip
) -> None:
    here = [make_clip(f"in/long {seed}.wav", seconds=4, seed=seed) for seed in range(30, 36)]
    lines = [
        {"audio": bring(endpoint, path), "offset": offset, "duration": 1}
        for offset in (0.5, 2)
        for path in here
    ]
    manifest = here[0].with_name("rows.jsonl")
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    clips = Clips(Place(store.workspace.root))
    clips.objects = counting = Counting(endpoint)
    rows = read_rows(str(manifest))
    assert ingest(rows, POOL, store, store.workspace.root, clips=clips).added == 12
    assert len(counting.fetched) == 6
    assert not list((store.workspace.root / "parts/fetched").iterdir())


def test_damage_is_told_by_its_address(store: Store, endpoint: str, tmp_path: Path) -> None:
    address = f"s3://{BUCKET}/damaged.wav"
    Objects(endpoint).put(address, b"no sound at all")
    manifest = tmp_path / "rows.jsonl"
    lines = [{"audio": address}, {"audio": address, "offset": 1, "duration": 1}]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    refusals = take(store, read_rows(str(manifest)), endpoint).refusals
    assert [row.reason for row in refusals] == ["corrupt", "corrupt"]
    assert all(address in row.detail and "/fetched/" not in row.detail for row in refusals)


def test_a_manifest_at_an_address_is_refused() -> None:
    with pytest.raises(ManifestError, match=r"s3://rec/m\.tsv: an address; fetch it"):
        read_rows("s3://rec/m.tsv")


def test_a_long_recording_at_an_address_is_cut(store: Store, make_clip: MakeClip) -> None:
    speech = make_clip("in/talk.wav", seconds=31)
    fsspec.filesystem("memory").pipe_file("/talks/talk.wav", speech.read_bytes())
    manifest = table(speech.with_name("rows.tsv"), "memory://talks/talk.wav")
    by_address = take(store, read_rows(str(manifest)))
    by_file = take(store, read_rows(str(table(speech.with_name("file.tsv"), "talk.wav"))))
    (first,), (second,) = by_address.refusals, by_file.refusals
    assert (first.reason, first.detail) == (second.reason, second.detail)
    assert first.reason == "no_speech"


def test_a_server_that_is_down_refuses_a_row_and_several_end_the_import(
    store: Store, endpoint: str, make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("al_loop.web.PAUSES_S", ())
    here = [make_clip(f"in/{seed}.wav", seed=seed).name for seed in range(10, 13)]
    folder = make_clip("in/9.wav", seed=9).parent
    gone = [f"http://127.0.0.1:1/{number}.wav" for number in range(6)]
    between = table(folder / "rows.tsv", here[0], gone[0], here[1])
    report = take(store, read_rows(str(between)))
    assert report.added == 2
    assert [refusal.reason for refusal in report.refusals] == ["unreachable"]

    rows = read_rows(str(table(folder / "more.tsv", here[2], *gone)))
    with pytest.raises(StorageError, match="call again"):
        take(store, rows)
    assert len(store.clip_names()) == 3  # what came before is in

    found = read_rows(str(table(folder / "more.tsv", here[2], bring(endpoint, folder / "9.wav"))))
    report = take(store, found, endpoint)
    assert (report.known, report.added) == (1, 1)


# -- importers -------------------------------------------------------------------------------------


def test_importers_take_addresses_that_the_user_names(
    store: Store, endpoint: str, make_clip: MakeClip
) -> None:
    clip = make_clip("in/n.wav", seed=20)
    address = bring(endpoint, clip)
    manifest = clip.with_name("train.json")
    manifest.write_text(json.dumps({"audio_filepath": address, "text": "сөз"}), encoding="utf-8")
    with pytest.raises(ManifestError, match="say what it begins with by --audio-root"):
        read_nemo(manifest)
    report = take(store, read_nemo(manifest, [f"s3://{BUCKET}"]), endpoint)
    assert report.added == 1
    assert store.db.execute("SELECT origin FROM utterances").fetchone() == (address,)


def test_kaldi_s_names_are_looked_for_at_an_address(
    store: Store, endpoint: str, make_clip: MakeClip, tmp_path: Path
) -> None:
    bring(endpoint, make_clip("elsewhere/k.wav", seconds=4, seed=21))
    folder = make_clip("kaldi/here.wav", seed=22).parent
    (folder / "wav.scp").write_text(f"a k.wav\nb here.wav\nc s3://{BUCKET}/k.wav\n")
    (folder / "segments").write_text("a1 a 0.5 1.5\nb1 b 0 1\nc1 c 2 3\n")
    report = take(store, read_kaldi(folder, [f"s3://{BUCKET}/"]), endpoint)
    assert report.added == 3
    origins = {row[0] for row in store.db.execute("SELECT origin FROM utterances")}
    assert f"s3://{BUCKET}/k.wav#0.50-1.50" in origins
    assert f"s3://{BUCKET}/k.wav#2.00-3.00" in origins


@pytest.mark.parametrize(
    "name",
    ["s3://other/a.wav", "s3://clips/x/../../b", "s3://clips/x/%2e%2e/%2E%2E/b", "s3://clipsx/a"],
)
def test_addresses_lead_out_of_nothing(name: str, tmp_path: Path) -> None:
    places = Places.beside(tmp_path, ["s3://clips"])
    assert places.find("s3://clips/x/a.wav") == "s3://clips/x/a.wav"
    with pytest.raises(ManifestError, match="--audio-root"):
        places.find(name)
    with pytest.raises(ManifestError, match="of kind ftp"):
        Places.beside(tmp_path, ["ftp://h.test/a"])
