"""Ablations, simulations, synthesis and alignment by workers of a real local Ray cluster."""

from __future__ import annotations

import os
import signal
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from al_loop.config import Settings
from al_loop.engine.local import LocalEngine
from al_loop.errors import AlLoopError
from al_loop.ports import Engine
from al_loop.simulate import simulate
from al_loop.simulation.elsewhere import Elsewhere as Replays
from al_loop.simulation.processes import Part
from al_loop.simulation.settings import Simulation
from al_loop.sources.heard import EMISSIONS, LOCK, LOUDNESS, hear
from al_loop.sources.rows import Row
from al_loop.sources.stretches import Elsewhere, make_ear
from al_loop.sources.synthesis import Manner, Synthesiser, Variety
from al_loop.sources.synthesis_clips import clips
from al_loop.sources.synthesis_texts import Line
from al_loop.whisper import ctc
from al_loop.whisper.checkpoints import Whisper
from storage.store import Store
from storage.workspace import Workspace
from tests.fakes import SETTINGS, new_store
from tests.sources.speakers import Toner
from tests.sources.tones import ToneRecogniser, random_sentences, sing, write_wav
from tests.test_simulate import Here, material
from tests.whisper.test_ablate_command import filled, run  # noqa: F401

if find_spec("ray") is None:
    pytest.skip("needs the extra `ray`", allow_module_level=True)

from al_loop.engine.ray import RayEngine

ROOT = Path(__file__).parents[2]
ON_RAY = '\n[engine]\nkind = "ray"\nactors = 2\ncpus_each = 0.1\n'
Stores = tuple[Store, Store]
FAKE = f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
FAKE += "from tests.simulation.fake_replay import main; main()"


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    with RayEngine(num_cpus=2, cpus_each=0.1) as first:
        first.run(os.getpid)
        from ray import cloudpickle

        for name in (
            __name__,
            "tests.sources.speakers",
            "tests.sources.tones",
        ):  # workers import no test
            cloudpickle.register_pickle_by_value(sys.modules[name])
        yield


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    """A workspace that works here, and one that works on Ray."""
    found = new_store(tmp_path / "here"), new_store(tmp_path / "there")
    for store in found:
        store.workspace.config.write_text('[model]\ndevice = "cpu"\n', encoding="utf-8")
    with found[1].workspace.config.open("a", encoding="utf-8") as file:
        file.write(ON_RAY)
    return found


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "lines.txt"
    lines = random_sentences(20)
    path.write_text("\n".join([*lines[:5], "салам Google", *lines[5:]]), encoding="utf-8")
    return path


def two(attempts: int = 1) -> RayEngine:
    return RayEngine(actors=2, cpus_each=0.1, attempts=attempts)


# -- synthesis -------------------------------------------------------------------------------------


def lines_of(count: int) -> list[Line]:
    texts = random_sentences(count)
    lines = [Line(f"t.txt:{n}", text, f"t.txt:{n}") for n, text in enumerate(texts)]
    return [*lines[:5], Line("t.txt:x", "", "t.txt:x", "not UTF-8 text"), *lines[5:]]


def test_lines_are_spoken_alike_and_in_order_by_two_workers(stores: Stores, texts: Path) -> None:
    def spoken(store: Store) -> list[Any]:
        command = ["synthesise", str(texts), "--source", "voice", "--voices", "f2,m3"]
        done = run(store, *command)
        assert done.exit_code == 0, (done.output, done.exception)
        again = run(store, *command)
        assert "0 added" in again.stdout
        rows = "SELECT id, origin, text, speaker, text_origin FROM utterances ORDER BY rowid"
        return [done.stdout, *store.db.execute(rows).fetchall()]

    here, there = (spoken(store) for store in stores)
    assert len(here) == 1 + 20
    assert here == there


class Deadly(Toner):
    """Of one line its process dies."""

    def speak(self, text: str, manner: Manner) -> tuple[np.ndarray, int]:
        if text == random_sentences(20)[12]:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().speak(text, manner)


def test_a_line_that_kills_its_worker_is_refused_alone() -> None:
    variety = Variety(Toner.speakers, seed=1)

    def spoken(make: type[Synthesiser], engine: Engine) -> list[Row]:
        return list(clips(lines_of(20), make, variety, {}, engine))

    here, there = spoken(Toner, LocalEngine()), spoken(Deadly, two())
    (place,) = [n for n, (left, right) in enumerate(zip(here, there, strict=True)) if left != right]
    assert here[place].text == random_sentences(20)[12]
    assert (there[place].problem or "").startswith("worker_died: ")
    assert there[place].origin == "t.txt:12"


# -- alignment -------------------------------------------------------------------------------------


def test_a_recording_is_heard_alike_by_two_workers(
    stores: Stores, texts: Path, tiny: Whisper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # workers are elsewhere
    folder = Path("spells")
    folder.mkdir()
    ctc.save(ctc.begin(tiny, "абвгдежз", ctc.Windows(), 0), folder, {})
    recording = write_wav(tmp_path / "reading.wav", sing(random_sentences(50))[0])
    command = ["align", str(recording), str(texts), "--source", "novel", "--model", "./spells"]

    def heard(store: Store) -> tuple[str, list[np.ndarray]]:
        done = run(store, *command)
        assert "hardly anything of it is heard" in done.output  # it has learned nothing
        (kept,) = (store.workspace.root / "alignments").iterdir()
        assert sorted(path.name for path in kept.iterdir()) == [EMISSIONS, LOCK, LOUDNESS]
        return kept.name, [np.load(kept / name) for name in (EMISSIONS, LOUDNESS)]

    (name, (emissions, levels)), (other_name, (other_emissions, other_levels)) = (
        heard(store) for store in stores
    )
    assert name == other_name
    assert len(levels) > 2 * 64 * 100  # of more than two stretches
    assert np.array_equal(levels, other_levels)
    assert emissions.shape == other_emissions.shape
    assert np.abs(emissions - other_emissions).max() < 1e-4


def test_a_killed_workers_stretch_is_heard_by_another(tmp_path: Path) -> None:
    recording = write_wav(tmp_path / "reading.wav", sing(random_sentences(70))[0])
    here = hear(recording, ToneRecogniser(), tmp_path / "here")
    mark = tmp_path / "was here"
    there = Elsewhere(two(attempts=2), partial(make_ear, partial(Mortal, mark)))
    told: list[float] = []
    found = hear(recording, there, tmp_path / "there", told.append)
    assert mark.exists()
    assert np.array_equal(found.log_probs, here.log_probs)
    assert np.array_equal(found.levels, here.levels)
    assert max(told) == here.duration_s


class Mortal(ToneRecogniser):
    """The first of its kind that is given something dies."""

    def __init__(self, mark: Path) -> None:
        super().__init__()
        self.mark = mark

    def emissions(self, clips: Sequence[np.ndarray]) -> list[np.ndarray]:
        if not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().emissions(clips)


# -- ablations -------------------------------------------------------------------------------------


def test_an_ablation_on_two_workers_has_the_same_table(filled: Store) -> None:  # noqa: F811
    here = run(filled, "ablate", "--name", "here")
    assert here.exit_code == 0, here.output
    with filled.workspace.config.open("a", encoding="utf-8") as file:
        file.write(ON_RAY)
    there = run(filled, "ablate", "--name", "there")
    assert there.exit_code == 0, there.output
    results = [filled.ablation_results(name) for name in ("here", "there")]
    assert len(results[0]) > 3
    assert by_variant(results[0]) == by_variant(results[1])
    tables = [row.stdout[row.stdout.index("WER % as sources") :] for row in (here, there)]
    assert tables[0] == tables[1]
    begun = [line.endswith(": training") for line in there.stdout.splitlines()]
    assert sum(begun) == len(results[0]) - 1
    first = begun.index(True)
    assert begun[first + 1]  # two are at work before one has anything to say
    assert there.stdout.count("  heard 2 of 2 clips") == sum(begun)
    assert {path.name for path in filled.workspace.checkpoints.iterdir()} == {"base"}


def by_variant(results: Sequence[dict[str, Any]]) -> dict[Any, Any]:
    return {
        (tuple(row["variant"]), row["seed"], row["evaluation_set"]): row["utterance_errors"]
        for row in results
    }


# -- simulations -----------------------------------------------------------------------------------


def test_a_killed_workers_replay_ends_as_one_that_was_not(store: Store, tmp_path: Path) -> None:
    simulation = Simulation("trial", ("random",), 1, 1, 8.0, 4.0)
    said: list[str] = []
    killed = tmp_path / "killed"

    def points(kept: Store, runner: Any) -> list[Any]:
        return simulate(
            simulation,
            Settings.model_validate(SETTINGS),
            material(),
            kept.workspace.root / "simulations" / "trial",
            kept,
            lambda folder: Store(Workspace.open(folder)),
            runner,
            said.append,
        )

    command = (sys.executable, "-c", FAKE, "--killed-in", "push", str(killed), "--with-worker")
    there = points(store, Replays(two(attempts=2), said.append, command))
    assert killed.exists()
    assert there == points(new_store(tmp_path / "undisturbed"), Here([].append))
    assert [line.partition(";")[0] for line in said if "given to a worker" in line] == [
        "profiles: given to a worker",
        "start, seed 0: given to a worker",
        "random, seed 0: given to a worker",
    ]


def test_a_replay_that_comes_later_waits_for_no_other(tmp_path: Path) -> None:
    """One that is put in when the first is done is begun while the second is at work."""
    folders = {name: tmp_path / name for name in ("first", "second", "third")}
    for folder in folders.values():
        folder.mkdir()
    program = (
        "import sys, time; from pathlib import Path; here = Path(sys.argv[1])\n"
        "(here / 'begun').touch()\n"
        "begun = {'first': 'second', 'second': 'third'}.get(here.name, here.name)\n"
        "ends = time.monotonic() + 20\n"
        "while not (here.parent / begun / 'begun').exists():\n"
        "    time.sleep(0.05); assert time.monotonic() < ends, 'nobody comes'\n"
        "time.sleep(here.name == 'first')\n"  # a third worker has nothing to do meanwhile
    )
    engine = RayEngine(actors=3, cpus_each=0.1)
    waiting = deque(Part(folders[name], None, name) for name in ("first", "second"))
    done = []
    for part in Replays(engine, [].append, (sys.executable, "-c", program)).work_off(waiting):
        done.append(part.label)
        if part.label == "first":
            waiting.append(Part(folders["third"], None, "third"))
    assert sorted(done) == ["first", "second", "third"]
    assert done[0] == "first"


def test_a_replay_that_fails_is_told_with_its_last_lines(tmp_path: Path) -> None:
    command = (sys.executable, "-c", "import sys; sys.exit('no such microphone')")
    waiting = deque([Part(tmp_path, None, "profiles")])
    with pytest.raises(AlLoopError, match=r"profiles ended with status 1.*") as caught:
        list(Replays(two(), [].append, command).work_off(waiting))
    assert str(caught.value).endswith("no such microphone")


def test_how_many_replays_there_are_at_once_is_said_in_one_place(stores: Stores) -> None:
    refused = run(stores[1], "simulate", "--processes", "2")
    assert refused.exit_code == 2
    assert "engine.actors says how many" in refused.output
