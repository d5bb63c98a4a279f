"""Files fetched from addresses: how many are kept, what is left, and servers that are gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from al_loop.errors import AudioError, StorageError
from al_loop.objects import Objects
from al_loop.sources.fetching import SILENT_IN_A_ROW, Fetched
from al_loop.sources.parts import Parts


def test_what_is_kept_is_limited_by_bytes(tmp_path: Path) -> None:
    names = [f"memory://fetching/{number}.bytes" for number in range(3)]
    for name in names:
        Objects().put(name, b"x" * 100)
    fetched = Fetched(Objects(), Parts(tmp_path), tmp_path / "fetched", kept_bytes=250)
    first, *others = (fetched.file(name) for name in names)
    assert not first.exists()
    assert all(path.exists() for path in others)
    fetched.close()
    assert not others[0].exists()


def test_what_is_too_large_is_refused_and_not_left(tmp_path: Path) -> None:
    Objects().put("memory://fetching/large", b"x" * 100)
    fetched = Fetched(Objects(most_bytes=99), Parts(tmp_path), tmp_path / "fetched")
    with pytest.raises(AudioError, match="too_large"):
        fetched.file("memory://fetching/large")
    assert list(tmp_path.glob("fetched/*"))
    assert not list(tmp_path.glob("fetched/*/*"))


def test_what_a_killed_import_left_is_deleted(tmp_path: Path) -> None:
    Objects().put("memory://fetching/x", b"x")
    left = tmp_path / "fetched/left"
    left.mkdir(parents=True)
    (left / "a.audio").write_bytes(b"x")
    at_work = Fetched(Objects(), Parts(tmp_path), left.parent)
    assert not left.exists()
    path = at_work.file("memory://fetching/x")
    Fetched(Objects(), Parts(tmp_path), left.parent)  # another import, beside it
    assert path.exists()
    at_work.close()


class Quiet(Objects):
    """Gives no answer at the hosts in `down`; of others, that there is no such object."""

    def __init__(self, *down: str) -> None:
        super().__init__()
        self.down, self.asked = down, 0

    def stamp(self, address: str) -> str | None:
        return None

    def fetch(self, address: str, target: Path) -> int:
        self.asked += 1
        if any(host in address for host in self.down):
            raise StorageError(f"no answer for {address}; call again")
        raise FileNotFoundError(address)


def reasons(objects: Objects, folder: Path, addresses: list[str]) -> list[str]:
    fetched, found = Fetched(objects, Parts(folder), folder / "fetched"), []
    for address in addresses:
        with pytest.raises(AudioError) as caught:
            fetched.sum(address)
        found.append(caught.value.reason)
    return found


def test_a_server_that_is_down_among_others_is_not_asked_for_ever(tmp_path: Path) -> None:
    objects = Quiet("down.test")
    mixed = [f"http://{host}/{n}" for n in range(9) for host in ("down.test", "up.test")]
    assert reasons(objects, tmp_path, mixed) == ["unreachable", "not_a_file"] * 9
    assert objects.asked == 9 + SILENT_IN_A_ROW


def test_a_network_that_is_down_ends_the_import(tmp_path: Path) -> None:
    objects = Quiet("a.test", "b.test")
    before = [f"http://a.test/{n}" for n in range(4)]
    assert reasons(objects, tmp_path, before) == ["unreachable"] * 4
    mixed = [f"http://{host}/{n}" for n in range(5) for host in ("a.test", "b.test")]
    with pytest.raises(StorageError, match="call again"):
        reasons(objects, tmp_path, mixed)
    assert objects.asked == 4 + 9


def test_an_absent_object_is_an_answer(tmp_path: Path) -> None:
    rows = ["http://h.test/down"] * 4 + ["http://h.test/up"] + ["http://h.test/down"] * 4
    found = reasons(Quiet("/down"), tmp_path, rows)
    assert found == ["unreachable"] * 4 + ["not_a_file"] + ["unreachable"] * 4
