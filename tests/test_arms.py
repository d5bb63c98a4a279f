import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from al_loop.arms import lines, retrain_arms
from al_loop.arms_plan import equal_seconds, make_plan
from al_loop.cli import REPLAY_ENDS_S
from al_loop.config import Settings, TrainSettings
from al_loop.engine.local import LocalEngine
from al_loop.errors import WorkspaceError
from al_loop.ports import Recognizer, Store
from al_loop.records import (
    IN_HOUSE,
    Answer,
    Arm,
    Checkpoint,
    Example,
    Hypothesis,
    Room,
    Round,
    Source,
    Utterance,
    content_hash,
)
from al_loop.trial import ENDS_S

SETTINGS = Settings.model_validate(
    {"train": {"epochs": 2}, "evaluate": {"bootstrap_samples": 200}, "mixture": {"max_repeats": 1}}
)
BASE = Checkpoint("base-id", "checkpoints/base", None, {})
IN_USE = Checkpoint("r1", "checkpoints/round-001", BASE.id, {})


def name_of(*parts: Any) -> str:
    return content_hash(list(parts))


def label(arm: str, number: int, duration_s: float) -> Example:
    name = name_of(arm, number)
    return Example(name, f"audio/{name}", duration_s, IN_HOUSE, "ky", f"{arm} {number}")


def spoken_clip(number: int, language: str = "ky") -> Utterance:
    name = name_of("test", language, number)
    text = "сөз бир эки үч"
    return Utterance(name, name, f"audio/{name}", 2.0, f"held_{language}", language, "test", text)


class Memory:
    """The part of the port `Store` that is asked; asking for more is an error."""

    def __init__(self, root: Path, acquired: int = 24, control: int = 4) -> None:
        self.root = root
        self.labels: dict[Arm, list[Example]] = {
            "acquired": [
                label("acquired", number, (1 + number % 3) / 2) for number in range(acquired)
            ],
            "control": [label("control", number, 2.5) for number in range(control)],
            "explored": [label("explored", 0, 2.0)],
        }
        self.shared = [
            Example(name_of("books", number), "audio/b", 3.0, "books", "ky", f"китеп {number}")
            for number in range(3)
        ]
        self.tests = [spoken_clip(number) for number in range(6)] + [spoken_clip(0, "ru")]
        self.stage: Any = None

    def open_round(self) -> Round | None:
        if self.stage is None:
            return None
        return Round(2, 0, self.stage, IN_USE.id, None, None, "", None)

    def answers(self, encoder: str) -> list[Answer]:
        assert encoder == SETTINGS.embedding.encoder
        return [
            Answer(
                row.utterance_id, 1 + number % 2, arm, "ky", row.duration_s, row.text, None, None,
                None, 9.0,
            )
            for arm, rows in self.labels.items()
            for number, row in enumerate(rows)
        ]  # fmt: skip

    def training_examples(self, in_house_source: str) -> list[Example]:
        assert in_house_source == IN_HOUSE
        return [*self.shared, *(row for rows in self.labels.values() for row in rows)]

    def sample_hashes(self) -> dict[str, str]:
        return {row.utterance_id: row.utterance_id for row in self.training_examples(IN_HOUSE)}

    def evaluation_utterances(self) -> list[Utterance]:
        return self.tests

    def validation_examples(self) -> list[Example]:
        return []

    def sources(self) -> list[Source]:
        return [Source("books", "open_source", "ky")]

    def current_checkpoint_id(self) -> str | None:
        return IN_USE.id

    def checkpoint(self, checkpoint_id: str) -> Checkpoint | None:
        return {row.id: row for row in (BASE, IN_USE)}.get(checkpoint_id)

    def scratch_folder(self, name: str) -> Path:
        folder = self.root / f"{name}.training"
        folder.mkdir(exist_ok=True)
        return folder


class Student:
    """Hears a test clip without error when it learned from the acquired arm; knows the first word
    alone otherwise. killed_in: the arm and the step at which it dies."""

    def __init__(self, killed_in: tuple[str, str] = ("", "")) -> None:
        self.killed_in = killed_in
        self.trainings: list[tuple[str, int, Sequence[Sequence[Example]]]] = []
        self.processes: list[int] = []

    def train(
        self,
        checkpoint: str,
        epochs: Sequence[Sequence[Example]],
        validation: Sequence[Example],
        settings: TrainSettings,
        seed: int,
        folder: Path,
        scratch: Path,
    ) -> Mapping[str, Any]:
        assert not list(folder.iterdir())
        (arm,) = {row.text.split()[0] for draws in epochs for row in draws if in_house(row)}
        self.trainings.append((checkpoint, seed, epochs))
        self.processes.append(settings.processes)
        (scratch / "save").touch()
        (folder / "weights").write_text(arm)
        if self.killed_in == (arm, "train"):
            raise KeyboardInterrupt
        return {"notes": ["it went well"]}

    def room(self) -> Room:
        return Room(bytes=1, distributions=None)

    def blocks(
        self, checkpoint: str, utterances: Sequence[Utterance], room: Room, texts: int = 1
    ) -> list[list[Utterance]]:
        return [[row] for row in utterances]

    def listener(self, checkpoint: str) -> Callable[[Sequence[Utterance]], list[Hypothesis]]:
        arm = (Path(checkpoint) / "weights").read_text()
        if self.killed_in == (arm, "listen"):
            raise KeyboardInterrupt

        def listen(block: Sequence[Utterance]) -> list[Hypothesis]:
            texts = [(row.text or "") if arm == "acquired" else "сөз" for row in block]
            return [
                Hypothesis(row.id, text, 3, -0.1, 0.1, 0.1, 0.1, 0.1, 0.9, 0.0, 1.0)
                for row, text in zip(block, texts, strict=True)
            ]

        return listen


def in_house(row: Example) -> bool:
    return row.source == IN_HOUSE


class Backwards(LocalEngine):
    """Ends with what it began with."""

    def map(self, *given: Any) -> Iterator[Any]:
        return reversed(list(super().map(*given)))


def retrain(
    store: Memory,
    student: Student,
    said: list[str] | None = None,
    settings: Settings = SETTINGS,
    engine: LocalEngine | None = None,
) -> dict[str, Any]:
    found = retrain_arms(
        settings,
        cast(Store, store),
        engine or LocalEngine(),
        lambda: cast(Recognizer, student),
        (said if said is not None else []).append,
    )
    json.dumps(found, allow_nan=False)
    return found


def test_both_arms_are_trained_alike_and_compared(tmp_path: Path) -> None:
    student, said = Student(), []
    found = retrain(Memory(tmp_path), student, said)
    (first, second) = student.trainings
    assert first[:2] == second[:2]
    assert first[0] == BASE.path  # the checkpoint in use knows both arms
    for one, other in zip(first[2], second[2], strict=True):
        assert len(one) == len(other)
        assert sum(map(in_house, one)) == sum(map(in_house, other))
    arms = found["arms"]
    assert arms["control"] == {"labels": 4, "audio_s": 10.0, "draws": arms["acquired"]["draws"]}
    assert 9.0 <= arms["acquired"]["audio_s"] <= 10.0
    assert [row["evaluation_set"] for row in found["sets"]] == ["held_ky"]
    together = found["together"]
    assert (together["acquired"], together["control"]) == (0.0, 0.75)
    assert (together["difference"], together["difference_high"]) == (-0.75, -0.75)
    assert lines(found)[-1].startswith("the acquired arm taught more (one training each")
    assert "WER % 0.0 (0.0 to 0.0) from the acquired arm, 75.0" in lines(found)[1]
    assert "  it went well" in said


def test_which_arm_is_done_first_does_not_matter(tmp_path: Path) -> None:
    backwards = retrain(Memory(tmp_path), Student(), engine=Backwards())
    assert backwards == retrain(Memory(tmp_path), Student())


@pytest.mark.parametrize(("kind", "processes"), [("local", 2), ("ray", 1)])
def test_rays_worker_trains_an_arm_alone(tmp_path: Path, kind: str, processes: int) -> None:
    values = SETTINGS.model_dump()
    values["train"]["processes"] = 2
    values["engine"]["kind"] = kind
    student = Student()
    retrain(Memory(tmp_path), student, settings=Settings.model_validate(values))
    assert student.processes == [processes, processes]


def test_a_dead_machines_lock_is_waited_for() -> None:
    lease_s = 90  # of Linux's NFS server
    assert min(ENDS_S, REPLAY_ENDS_S) >= 2 * lease_s


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    retrain(Memory(tmp_path), Student())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("killed_in", [("control", "train"), ("control", "listen")])
def test_a_killed_comparison_goes_on(tmp_path: Path, killed_in: tuple[str, str]) -> None:
    store, student = Memory(tmp_path), Student(killed_in)
    with pytest.raises(KeyboardInterrupt):
        retrain(store, student)
    (scratch,) = tmp_path.iterdir()
    assert not (scratch / "arms-acquired-weights").exists()
    student.killed_in = ("", "")
    found = retrain(store, student)
    # the finished arm is kept, and so is what was trained
    assert len(student.trainings) == (3 if killed_in[1] == "train" else 2)
    assert list(tmp_path.iterdir()) == []
    assert found == retrain(Memory(tmp_path), Student())


def test_another_label_is_another_comparison(tmp_path: Path) -> None:
    store = Memory(tmp_path)
    before = make_plan(SETTINGS, cast(Store, store))
    assert make_plan(SETTINGS, cast(Store, store)).key == before.key
    store.labels["control"].append(label("control", 9, 2.5))
    assert make_plan(SETTINGS, cast(Store, store)).key != before.key


@pytest.mark.parametrize("policy", ["pseudo_epoch", "epoch"])
def test_the_mixtures_promise_holds_for_both(tmp_path: Path, policy: str) -> None:
    settings = SETTINGS.model_copy(
        update={
            "mixture": SETTINGS.mixture.model_copy(update={"policy": policy, "in_house_weight": 1})
        }
    )
    student = Student()
    retrain(Memory(tmp_path), student, settings=settings)
    plan = make_plan(settings, cast(Store, Memory(tmp_path)))
    for arm, (_, _, epochs) in zip(("acquired", "control"), student.trainings, strict=True):
        drawn = [row.utterance_id for row in epochs[0]]
        counts = {row.utterance_id: drawn.count(row.utterance_id) for row in plan.labels[arm]}
        if policy == "epoch":
            assert min(counts.values()) >= 1
        else:
            assert max(counts.values()) == 1


def test_explored_and_leaked_labels_teach_neither(tmp_path: Path) -> None:
    store = Memory(tmp_path)
    leak = store.labels["control"][0]
    twin = store.tests[0]
    store.tests[0] = Utterance(
        twin.id, leak.utterance_id, twin.audio, 2.0, "held_ky", "ky", "test", "башка сөз"
    )
    plan = make_plan(SETTINGS, cast(Store, store))
    ids = {row.utterance_id for manifest in plan.manifests.values() for row in manifest.examples}
    assert leak.utterance_id not in ids
    assert name_of("explored", 0) not in ids
    assert {row.utterance_id for row in store.shared} < ids


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"acquired": 0}, "the acquired arm has no labels"),
        ({"control": 0}, "the control arm has no labels"),
        ({"tests": []}, "no evaluation set in ky"),
        ({"stage": "train"}, "round 2 is at its training"),
        ({"labels": {"acquired": [label("acquired", 0, 99.0)]}}, "every label of the acquired"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    tmp_path: Path, broken: dict[str, Any], message: str
) -> None:
    store = Memory(
        tmp_path, **{arm: broken[arm] for arm in ("acquired", "control") if arm in broken}
    )
    store.tests = broken.get("tests", store.tests)
    store.stage = broken.get("stage")
    store.labels |= broken.get("labels", {})
    student = Student()
    with pytest.raises(WorkspaceError, match=message):
        retrain(store, student)
    assert student.trainings == []
    assert list(tmp_path.iterdir()) == []


def test_the_larger_arm_is_cut_round_by_round() -> None:
    rng = np.random.default_rng(3)
    large = {
        number: [label(f"large-{number}", row, float(rng.uniform(1, 6))) for row in range(size)]
        for number, size in ((1, 200), (2, 100))
    }
    small = {1: [label("small", row, 4.0) for row in range(50)]}
    found = equal_seconds({"acquired": large, "control": small}, np.random.default_rng(0))
    again = equal_seconds({"acquired": large, "control": small}, np.random.default_rng(0))
    assert found == again
    assert found["control"] == small[1]
    seconds = sum(row.duration_s for row in found["acquired"])
    assert 199 < seconds <= 200
    of_first = sum(row.duration_s for row in found["acquired"] if row in large[1])
    there = {number: sum(row.duration_s for row in rows) for number, rows in large.items()}
    assert of_first / seconds == pytest.approx(there[1] / sum(there.values()), abs=0.04)
    mean_s = seconds / len(found["acquired"])
    assert mean_s == pytest.approx(3.5, abs=0.6)  # short clips are not preferred
    assert len({row.utterance_id for row in found["acquired"]}) == len(found["acquired"])


def test_a_larger_control_arm_is_cut_too() -> None:
    found = equal_seconds(
        {
            "acquired": {1: [label("a", 0, 3.0)]},
            "control": {1: [label("c", number, 1.0) for number in range(9)]},
        },
        np.random.default_rng(0),
    )
    assert [len(found[arm]) for arm in ("acquired", "control")] == [1, 3]


def test_short_clips_are_not_preferred_where_a_round_is_small() -> None:
    lengths = [1.0] * 10 + [10.0] * 5
    large = {
        number: [label(f"large-{number}", row, length) for row, length in enumerate(lengths)]
        for number in range(20)
    }
    small = {1: [label("small", row, 4.0) for row in range(75)]}
    kept = [
        row.duration_s
        for seed in range(10)
        for row in equal_seconds(
            {"acquired": large, "control": small}, np.random.default_rng(seed)
        )["acquired"]
    ]
    assert np.mean(kept) == pytest.approx(np.mean(lengths), rel=0.15)
