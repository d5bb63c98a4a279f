from pathlib import Path

import pytest

from al_loop.errors import AlLoopError
from benchmarks.place import VARIABLE, work_folder


def test_a_folder_is_absolute_and_for_one_run_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, "here")
    with work_folder("training") as folder:
        assert folder == tmp_path / "here" / "training"
        with (
            pytest.raises(AlLoopError, match=r"another run is at work in .*training; wait"),
            work_folder("training"),
        ):
            pass
        with work_folder("scoring") as other:
            assert other != folder
    with work_folder("training") as again:
        assert again == folder


def test_a_try_works_beside_a_full_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with work_folder("pseudo") as full, work_folder("pseudo", quick=True) as quick:
        assert (full, quick) == (tmp_path / "pseudo", tmp_path / "pseudo-quick")
