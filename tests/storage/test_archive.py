"""Archives: whole or not there, and believed only when every sum is right."""

import io
import json
import os
import signal
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from al_loop.errors import WorkspaceError
from storage.archive import MANIFEST, Entry, unpack, writing

FACTS = {"made_at": "2026-11-23"}
Edit = Callable[[tarfile.TarInfo, bytes], list[tuple[tarfile.TarInfo, bytes]]]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    found = {}
    for name, content in {"w/a": b"one", "w/deep/b": b"", "s/c": os.urandom(3_000_000)}.items():
        path = found[name] = tmp_path / "from" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    found["w/a"].chmod(0o600)
    found["s/c"].chmod(0o6777)
    return found


@pytest.fixture
def archive(tmp_path: Path, files: dict[str, Path]) -> Path:
    target = tmp_path / "backup.tar"
    with writing(target, FACTS) as writer:
        for name, path in files.items():
            writer.add(name, path)
        writer.add("w/listed", files["w/a"], held=False)
    return target


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "to"
    folder.mkdir()
    return folder


def rewritten(archive: Path, edit: Edit) -> Path:
    """The archive with each member replaced by what `edit` makes of it."""
    target = archive.with_name("edited.tar")
    with tarfile.open(archive) as old, tarfile.open(target, "w") as new:
        for member in old:
            file = old.extractfile(member)
            assert file is not None
            for info, content in edit(member, file.read()):
                info.size = len(content)
                new.addfile(info, io.BytesIO(content))
    return target


def test_what_goes_in_comes_out(archive: Path, place: Path, files: dict[str, Path]) -> None:
    facts, entries = unpack(archive, {"w": place})
    assert facts["made_at"] == "2026-11-23"
    assert (place / "a").read_bytes() == b"one"
    assert (place / "deep" / "b").read_bytes() == b""
    assert sorted(path.name for path in place.rglob("*")) == ["a", "b", "deep"]
    sums = {entry.name: entry for entry in entries}
    assert sums["w/listed"] == Entry("w/listed", 3, sums["w/a"].sha256, held=False)
    assert sums["s/c"].size == 3_000_000
    assert not list(archive.parent.glob(".*"))


def test_others_may_read_what_they_might_and_no_more(archive: Path, place: Path) -> None:
    (place / "s").mkdir()
    (place / "w").mkdir()
    unpack(archive, {"s": place / "s", "w": place / "w"})
    assert stat.S_IMODE((place / "w" / "a").stat().st_mode) == 0o600
    assert stat.S_IMODE((place / "s" / "c").stat().st_mode) == 0o644
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600


def test_a_file_that_grows_is_taken_as_it_was(tmp_path: Path, place: Path) -> None:
    growing = tmp_path / "growing"
    growing.write_bytes(b"x" * 1000)

    with writing(tmp_path / "b.tar", FACTS) as writer:
        with growing.open("ab") as file:
            entry = writer.add("w/g", growing)
            file.write(b"y" * 1000)
        again = writer.add("w/h", growing)
    assert (entry.size, again.size) == (1000, 2000)
    unpack(tmp_path / "b.tar", {"w": place})


def test_an_archive_that_exists_stays(archive: Path) -> None:
    before = archive.read_bytes()
    with pytest.raises(WorkspaceError, match="exists already"), writing(archive, FACTS):
        raise AssertionError
    assert archive.read_bytes() == before
    assert not list(archive.parent.glob(".*"))


def test_an_error_leaves_nothing(tmp_path: Path, files: dict[str, Path]) -> None:
    def fail() -> None:
        with writing(tmp_path / "b.tar", FACTS) as writer:
            writer.add("w/a", files["w/a"])
            (writer.scratch / "copy").write_text("x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert not list(tmp_path.glob("*b.tar*"))


def test_two_do_not_write_one_archive(tmp_path: Path, files: dict[str, Path]) -> None:
    target = tmp_path / "b.tar"
    with writing(target, FACTS) as writer:
        with pytest.raises(WorkspaceError, match="another process"), writing(target, FACTS):
            raise AssertionError
        writer.add("w/a", files["w/a"])
    unpack(target, {})


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="No such file"), writing(tmp_path / "n/b", FACTS):
        raise AssertionError


def test_killed_in_the_middle_there_is_no_half_archive(
    tmp_path: Path, files: dict[str, Path]
) -> None:
    script = f"""
import os, signal, pathlib
from storage.archive import writing
with writing(pathlib.Path({str(tmp_path / "b.tar")!r}), {{}}) as writer:
    writer.add("s/c", pathlib.Path({str(files["s/c"])!r}))
    (writer.scratch / "copy").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    assert sorted(path.name for path in tmp_path.glob(".*")) == [
        ".b.tar.scratch",
        ".b.tar.unfinished",
    ]
    assert not (tmp_path / "b.tar").exists()
    with writing(tmp_path / "b.tar", FACTS) as writer:
        assert list(writer.scratch.iterdir()) == []
        writer.add("w/a", files["w/a"])
    assert len(unpack(tmp_path / "b.tar", {})[1]) == 1
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_one_that_was_cut_short_is_refused(archive: Path, place: Path, share: float) -> None:
    os.truncate(archive, int(archive.stat().st_size * share))
    with pytest.raises(WorkspaceError, match="cannot be restored"):
        unpack(archive, {"w": place})


def test_one_that_ends_within_its_manifest_is_refused(archive: Path, place: Path) -> None:
    os.truncate(archive, archive.read_bytes().index(b'{"format"') + 30)
    with pytest.raises(WorkspaceError, match="cannot be restored"):
        unpack(archive, {"w": place})


def test_one_flipped_bit_is_found_also_in_what_is_not_wanted(archive: Path, place: Path) -> None:
    content = bytearray(archive.read_bytes())
    content[content.index(b"one") + 1] ^= 1
    archive.write_bytes(content)
    with pytest.raises(WorkspaceError, match="w/a is 3 bytes with the sum"):
        unpack(archive, {"s": place})


def test_something_that_is_no_tar_is_refused(tmp_path: Path, place: Path) -> None:
    (tmp_path / "x").write_bytes(b"PK\3\4" + bytes(2000))
    with pytest.raises(WorkspaceError, match="cannot be restored"):
        unpack(tmp_path / "x", {"w": place})


def test_a_stranger_s_tar_is_refused(tmp_path: Path, place: Path) -> None:
    (tmp_path / "a").write_text("x")
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        tar.add(tmp_path / "a", "w/a")
    with pytest.raises(WorkspaceError, match="its end is missing"):
        unpack(tmp_path / "x.tar", {"w": place})


@pytest.mark.parametrize(
    "name",
    ["../a", "w/../../a", "/etc/a", "w", "w//a", "./w/a", "w/./a", "..", "w/a/../../../b", "//w/a"],
)
def test_a_name_that_leads_outside_is_refused(archive: Path, place: Path, name: str) -> None:
    def edit(member: tarfile.TarInfo, content: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
        if member.name == "w/a":
            member.name = name
        return [(member, content)]

    before = sorted(place.parent.rglob("*"))
    with pytest.raises(WorkspaceError, match=r"leads outside|unexpectedly"):
        unpack(rewritten(archive, edit), {"w": place})
    written = {path for path in place.parent.rglob("*") if path.is_file()} - set(before)
    assert all(path.is_relative_to(place) for path in written if path.name != "edited.tar")


@pytest.mark.parametrize(
    ("kind", "leads_to"),
    [
        (tarfile.SYMTYPE, "/etc"),
        (tarfile.SYMTYPE, "../.."),
        (tarfile.LNKTYPE, "w/a"),
        (tarfile.CHRTYPE, ""),
        (tarfile.FIFOTYPE, ""),
        (tarfile.DIRTYPE, ""),
        (tarfile.GNUTYPE_SPARSE, ""),
    ],
)
def test_what_is_no_plain_file_is_refused(
    archive: Path, place: Path, kind: bytes, leads_to: str
) -> None:
    def edit(member: tarfile.TarInfo, content: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
        if member.name != "w/a":
            return [(member, content)]
        special = tarfile.TarInfo("w/special")
        special.type, special.linkname = kind, leads_to
        return [(member, content), (special, b"")]

    with pytest.raises(WorkspaceError, match=r"unexpectedly|cannot be restored"):
        unpack(rewritten(archive, edit), {"w": place})
    assert not (place / "special").exists()


def test_more_or_less_than_the_manifest_says_is_refused(archive: Path, tmp_path: Path) -> None:
    def more(member: tarfile.TarInfo, content: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
        extra = tarfile.TarInfo("w/extra")
        return [(member, content), *([(extra, b"x")] if member.name == "w/a" else [])]

    def less(member: tarfile.TarInfo, content: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
        return [] if member.name == "w/a" else [(member, content)]

    def twice(member: tarfile.TarInfo, content: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
        return [(member, content)] * (2 if member.name == "w/a" else 1)

    def behind(member: tarfile.TarInfo, content: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
        extra = tarfile.TarInfo("w/extra")
        return [(member, content), *([(extra, b"x")] if member.name == MANIFEST else [])]

    for number, edit in enumerate((more, less, twice, behind)):
        place = tmp_path / f"to{number}"
        place.mkdir()
        with pytest.raises(WorkspaceError, match="nothing was put in place"):
            unpack(rewritten(archive, edit), {"w": place})


@pytest.mark.parametrize(
    "head",
    [{"format": "al_loop backup", "version": 2}, {"format": "x", "version": 1}, {}, [], "x"],
)
def test_a_manifest_of_another_kind_is_refused(archive: Path, place: Path, head: object) -> None:
    def edit(member: tarfile.TarInfo, content: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
        if member.name == MANIFEST:
            content = json.dumps(head).encode() + b"\n" + content.partition(b"\n")[2]
        return [(member, content)]

    with pytest.raises(WorkspaceError, match="cannot be restored"):
        unpack(rewritten(archive, edit), {"w": place})
