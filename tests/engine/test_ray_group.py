"""Work in two processes of a real local Ray cluster that form a group, and its faults.

Seven groups are started here; each takes several seconds to import what it needs.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from al_loop.config import ModelSettings, TrainSettings
from al_loop.errors import AudioError, EngineError
from al_loop.records import Example
from tests.whisper.conftest import tiny_variables, write_folder

if find_spec("ray") is None:
    pytest.skip("needs the extra `ray`", allow_module_level=True)

from al_loop.engine.ray import RayEngine
from al_loop.engine.ray_group import Died, Told, _blamed
from al_loop.engine.ray_host import Raised

TEXTS = ["бир", "эки үч төрт беш", "алты", "жети сегиз тогуз он он бир", "саат", "ооба", "жок"]
RULE = {
    "precision": "float32",
    "batch_size": 2,
    "accumulation": 2,
    "epochs": 2,
    "learning_rate": 1e-3,
    "warmup_share": 0.0,
    "clip_norm": 1e9,
    "full_window_share": 0.0,
    "save_minutes": 1e-9,
}


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    with RayEngine(num_cpus=2, cpus_each=0.1) as first:
        assert first.run(os.getpid) != os.getpid()
        from ray import cloudpickle

        cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers import no test
        yield


def engine(attempts: int = 1) -> RayEngine:
    return RayEngine(cpus_each=0.1, attempts=attempts)


def listening() -> set[str]:
    """The addresses on which this process waits for connections, as /proc/net/tcp writes them."""
    files = [os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    found = set()
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == "0A" and f"socket:[{inode}]" in files:
                found.add(local.partition(":")[0])
    return found


def add_up() -> dict[str, Any]:
    import torch.distributed as group

    total = torch.tensor([1.0 + group.get_rank()])
    group.all_reduce(total)
    return {
        "rank": group.get_rank(),
        "total": total.item(),
        "backend": group.get_backend(),
        "listening": listening(),
        "folder": os.getcwd(),
    }


def test_the_group_adds_up_and_the_first_ones_answer_comes_back() -> None:
    """Only the loopback address is listened on, where every node is this machine."""
    before = signal.getsignal(signal.SIGINT)
    answer = engine().run(add_up, processes=2)
    assert (answer["rank"], answer["total"], answer["backend"]) == (0, 3.0, "gloo")
    assert answer["listening"] <= {"0100007F", "0000000000000000FFFF00000100007F"}
    assert answer["listening"]
    assert answer["folder"] == os.getcwd()
    assert signal.getsignal(signal.SIGINT) is before


def fail_beside_one_that_waits() -> None:
    import torch.distributed as group

    if group.get_rank() == 1:
        raise AudioError("corrupt", "of the second process")
    group.barrier()


def test_what_one_process_raises_comes_out_as_it_is() -> None:
    with pytest.raises(AudioError, match="corrupt: of the second process") as caught:
        engine(attempts=3).run(fail_beside_one_that_waits, processes=2)
    assert caught.value.reason == "corrupt"
    assert "in fail_beside_one_that_waits" in str(caught.value.__cause__)


def test_who_only_lost_another_is_not_to_blame() -> None:
    lost = Told(Raised.of(RuntimeError("Connection closed by peer")), of_peer=True)
    wrong = Told(Raised.of(AudioError("corrupt", "really")), of_peer=False)
    assert _blamed({0: lost, 1: wrong}) is wrong
    assert _blamed({0: lost, 1: ConnectionError("its node is gone")}) == Died("its node is gone")
    assert _blamed({0: lost}) is lost


def die() -> None:
    import torch.distributed as group

    if group.get_rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    group.barrier()


def test_a_group_that_dies_whatever_happens_is_given_up() -> None:
    with pytest.raises(
        EngineError, match=r"of 2 processes died in each of 1 attempts; the last: .*died"
    ):
        RayEngine(cpus_each=0, attempts=1).run(die, processes=2)


def test_more_processes_than_this_machine_has_room_for_are_refused_at_once() -> None:
    with pytest.raises(
        EngineError, match=r"3 processes need 3 CPU, and Ray has 2; lower train\.processes"
    ):
        RayEngine(cpus_each=1).run(add_up, processes=3)
    with pytest.raises(EngineError, match="2 processes need 2 GPU, and Ray has 0"):
        RayEngine(cpus_each=0.1, gpus_each=1).run(add_up, processes=2)


def test_a_cluster_that_does_not_grow_in_time_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import ray

    monkeypatch.setenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "1")
    remote = RayEngine(ray.get_runtime_context().gcs_address, cpus_each=1)
    with pytest.raises(EngineError, match=r"3 processes need 3 CPU, and Ray has 2; .* add nodes"):
        remote.run(add_up, processes=3)
    assert "Ray has 2; waiting 1 s for the cluster to grow" in caplog.text


@pytest.fixture
def folder(make_clip: Callable[..., Path], tmp_path: Path) -> Path:
    """A workspace's: a tiny Whisper under `base`, and seven clips."""
    torch.set_num_threads(1)
    write_folder(tmp_path / "base", tiny_variables())
    for index in range(len(TEXTS)):
        make_clip(f"{index}.wav", 1.5 if index == len(TEXTS) - 1 else 0.5, seed=index)
    return tmp_path


def learn(root: Path, name: str, processes: int) -> Mapping[str, Any]:
    """Seven clips in two windows: one step of four clips, one of two, and one of a single clip, of
    which the second process gets nothing."""
    from al_loop.whisper.recognizer import WhisperRecognizer

    settings = ModelSettings(language="ky", device="cpu", padding_s=0.0)
    examples = [
        Example(str(index), f"{index}.wav", 1.5 if index == len(TEXTS) - 1 else 0.5, "in_house",
                "kk", text)
        for index, text in enumerate(TEXTS)
    ]  # fmt: skip
    rule = TrainSettings.model_validate(RULE | {"processes": processes})
    scratch = root / f"{name}.training"
    scratch.mkdir(exist_ok=True)
    return WhisperRecognizer(root, settings).train(
        "base", [examples] * 2, examples[:3], rule, 0, root / name, scratch
    )


def assert_same(folder: Path, name: str, other: str) -> None:
    before, after = (load_file(folder / row / "model.safetensors") for row in (name, other))
    for key, value in before.items():
        torch.testing.assert_close(after[key], value, rtol=1e-4, atol=1e-5)


@pytest.fixture
def alone(folder: Path) -> Mapping[str, Any]:
    """What one process makes of it."""
    return learn(folder, "alone", 1)


def test_a_group_trains_to_the_weights_of_one_process(
    folder: Path, alone: Mapping[str, Any]
) -> None:
    made = engine().run(partial(learn, folder, "together", 2), processes=2)
    assert made["steps"] == alone["steps"] == 6
    assert len(made["weights_sha256"]) == 64
    assert (folder / "together.training" / "logs-1").is_dir()  # the second process's
    for name in ("loss", "grad_norm", "learning_rate"):
        assert made["log"][name] == pytest.approx(alone["log"][name], rel=1e-5)
    assert_same(folder, "alone", "together")


def learn_unless_killed(root: Path, name: str) -> Mapping[str, Any]:
    """Once, the second process is killed as soon as there is a save."""
    import torch.distributed as group

    state, mark = root / f"{name}.training" / "state.pt", root / "was killed"
    if group.get_rank() == 1 and not mark.exists():
        mark.touch()

        def kill() -> None:
            while not state.exists():
                time.sleep(0.001)
            os.kill(os.getpid(), signal.SIGKILL)

        threading.Thread(target=kill, daemon=True).start()
    elif group.get_rank() == 0 and state.exists():
        saved = torch.load(state, weights_only=True)["progress"]["log"]["loss"]
        (root / "steps saved").write_text(str(len(saved)))
    return learn(root, name, 2)


def test_a_training_of_which_a_process_is_killed_ends_with_the_same_weights(
    folder: Path, alone: Mapping[str, Any]
) -> None:
    made = engine(attempts=2).run(partial(learn_unless_killed, folder, "killed"), processes=2)
    assert 1 <= int((folder / "steps saved").read_text()) < 6
    assert made["steps"] == 6
    assert made["log"]["loss"] == pytest.approx(alone["log"]["loss"], rel=1e-5)
    assert_same(folder, "alone", "killed")
