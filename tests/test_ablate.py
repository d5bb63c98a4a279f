"""What each source brings: variants, equal draws, the table, and what a kill leaves."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from click.testing import CliRunner
from filelock import FileLock

from al_loop.ablate import ablate
from al_loop.ablate_plan import (
    Ablation,
    Group,
    Plan,
    draws_of,
    equal_epochs,
    grouped,
    make_plan,
    together,
    variants,
)
from al_loop.ablation_table import UNTRAINED, WHOLE, added_rows, left_out_rows, report
from al_loop.cli import main
from al_loop.config import Settings, TrainSettings
from al_loop.engine.local import LocalEngine
from al_loop.errors import WorkspaceError
from al_loop.manifest import build_manifest
from al_loop.ports import Recognizer
from al_loop.records import (
    IN_HOUSE,
    PSEUDO_LABEL,
    Checkpoint,
    Example,
    Hypothesis,
    Label,
    Manifest,
    PseudoLabel,
    Room,
    Source,
    SourceKind,
    Utterance,
)
from storage.queries import Reader
from storage.store import Store
from tests.fakes import clips, hear, spoken

SETTINGS = Settings.model_validate(
    {
        "train": {"epochs": 2},
        "evaluate": {"bootstrap_samples": 200},
        "pseudo_labels": {"enabled": True, "weight": 0.5},
    }
)
BASE = Checkpoint("base", "checkpoints/base", None, {})
IN_USE = Checkpoint("one", "checkpoints/one", "base", {})
SOURCES: Sequence[tuple[str, SourceKind, str, int]] = (
    ("books", "open_source", "ky", 12),
    ("talks", "open_source", "ky", 8),
    ("aligned", "forced_alignment", "ky", 10),
    ("novels", "open_source", "ru", 6),
)
GAINS = {"books": 1, "talks": 1, "aligned": 0, IN_HOUSE: 1, PSEUDO_LABEL: 0}
"""By how much the student hears better after learning from each."""
LABELLED, PSEUDO, TESTS = 5, 7, 9


@pytest.fixture
def filled(store: Store) -> Store:
    """Four sources, two of them open and one of another language, labels, pseudo-labels, tests."""
    store.put_checkpoint(BASE)
    store.put_checkpoint(IN_USE)
    store.put_source(Source("radio", "in_house", "ky"))
    for name, kind, language, size in SOURCES:
        store.put_source(Source(name, kind, language))
        store.add([in_language(row, language) for row in clips(name, "train", size)], [])
    for name in ("test_a", "test_b"):
        store.put_source(Source(name, "open_source", "ky"))
        store.add(clips(name, "test", TESTS), [])
    pool = clips("radio", "pool", LABELLED + PSEUDO)
    store.add(pool, [])
    store.put_labels(
        Label(row.id, spoken(row.id), None, ["1"], "agreed", 0.5 if row is pool[0] else 1.0)
        for row in pool[:LABELLED]
    )
    texts = [PseudoLabel(row.id, spoken(row.id), 0.9, "one + other") for row in pool[LABELLED:]]
    store.put_pseudo_labels(None, texts, {})
    (store.workspace.root / IN_USE.path).mkdir()
    store.start_round(1, 0, "merge", BASE.id)
    store.promote(IN_USE.id, "by the test")
    return store


def in_language(row: Utterance, language: str) -> Utterance:
    return Utterance(
        row.id,
        row.sample_hash,
        row.audio,
        row.duration_s,
        row.source,
        language,
        row.split,
        row.text,
    )


class Student:
    """Hears the better, the more sources that are of use it has learned from.

    killed_in: the number of a training, and whether it is killed as it trains or as it listens.
    """

    def __init__(self, killed_in: tuple[int, str] = (-1, "")) -> None:
        self.killed_in = killed_in
        self.trainings: list[tuple[str, int, Sequence[Sequence[Example]]]] = []
        self.settings: list[TrainSettings] = []
        self.found: list[set[str]] = []

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
        self.found.append({path.name for path in scratch.iterdir()})
        self.trainings.append((checkpoint, seed, epochs))
        self.settings.append(settings)
        (scratch / "save").touch()
        learned = {row.source for draws in epochs for row in draws}
        skill = sum(GAINS.get(name, 0) for name in learned)
        (folder / "skill.json").write_text(json.dumps(skill))
        self._die("train")
        return {}

    def room(self) -> Room:
        return Room(bytes=1, distributions=None)

    def blocks(
        self, checkpoint: str, utterances: Sequence[Utterance], room: Room, texts: int = 1
    ) -> list[list[Utterance]]:
        return [list(utterances)]

    def listener(self, checkpoint: str) -> Callable[[Sequence[Utterance]], list[Hypothesis]]:
        place = Path(checkpoint) / "skill.json"
        skill = json.loads(place.read_text()) if place.is_file() else 0
        if self.trainings:
            self._die("listen")
        return lambda block: [hear(row.id, skill) for row in block]

    def _die(self, where: str) -> None:
        if self.killed_in == (len(self.trainings), where):
            raise KeyboardInterrupt


def plan_of(store: Store, settings: Settings = SETTINGS, **asked: Any) -> Plan:
    return make_plan(Ablation("one", **asked), settings, store)


def run(
    store: Store,
    student: Student,
    said: list[str] | None = None,
    settings: Settings = SETTINGS,
    **asked: Any,
) -> list[dict[str, Any]]:
    return ablate(
        plan_of(store, settings, **asked),
        settings,
        store,
        store,
        LocalEngine(),
        lambda: cast(Recognizer, student),
        (said if said is not None else []).append,
    )


def groups_of(store: Store) -> list[tuple[str, list[str]]]:
    with Reader(store.workspace) as reader:
        (found,) = reader.ablations()
    groups: list[tuple[str, list[str]]] = found["settings"]["groups"]
    return groups


def left_behind(store: Store) -> list[str]:
    found = {path.name for path in store.workspace.checkpoints.iterdir()}
    return sorted(found - {IN_USE.name})


# -- the plan --------------------------------------------------------------------------------------


def test_groups_come_in_the_lectures_order() -> None:
    own = [
        Source("v", "synthetic", "ky"),
        Source("p", "pseudo_label", "ky"),
        Source("b", "forced_alignment", "ky"),
        Source("o2", "open_source", "ky"),
        Source("i", "in_house", "ky"),
        Source("o1", "open_source", "ky"),
    ]
    assert grouped(own, "kind") == [
        Group("open_source", ("o1", "o2")),
        Group("forced_alignment", ("b",)),
        Group("synthetic", ("v",)),
        Group("in_house", ("i",)),
        Group("pseudo_label", ("p",)),
    ]
    assert [row.label for row in grouped(own, "source")] == ["o1", "o2", "b", "v", "i", "p"]


def test_equal_variants_are_trained_once() -> None:
    groups = [Group(name, (name,)) for name in "abc"]
    assert variants(("ru",), groups, leave_one_out=True) == [
        ("ru", "a"),
        ("ru", "a", "b"),
        ("ru", "a", "b", "c"),
        ("ru", "b", "c"),
        ("ru", "a", "c"),
    ]
    assert len(variants((), groups, leave_one_out=False)) == 3
    assert variants((), groups[:2], leave_one_out=True) == [("a",), ("a", "b"), ("b",)]


def test_other_languages_are_in_every_variant(filled: Store) -> None:
    plan = plan_of(filled)
    assert plan.kept == ("novels",)
    assert [row.label for row in plan.groups] == [
        "open_source",
        "forced_alignment",
        "in_house",
        "pseudo_label",
    ]
    assert plan.absent == ["synthetic"]
    assert all(variant[0] == "novels" for variant in plan.manifests)
    assert all("novels" not in row.sources for row in plan.groups)


def test_every_variant_has_as_many_draws(filled: Store) -> None:
    plan = plan_of(filled)
    assert plan.draws == 12 + 8 + 10 + 6 + LABELLED + PSEUDO
    for variant in plan.manifests:
        epochs = plan.epochs(variant, 2, np.random.default_rng(0))
        assert [len(draws) for draws in epochs] == [plan.draws, plan.draws]
        assert {row.source for row in epochs[0]} == set(variant)
    assert plan_of(filled, draws=17).draws == 17


@pytest.mark.parametrize("mixture", [{}, {"policy": "epoch"}, {"max_repeats": 1}])
def test_every_variant_draws_a_language_equally_often(
    filled: Store, mixture: dict[str, Any]
) -> None:
    """Few examples of it, or a cap on their repeats, leave no draws to the other language."""
    filled.add([in_language(row, "ru") for row in clips("novels", "train", 46)[6:]], [])
    values = SETTINGS.model_dump() | {"mixture": mixture}
    plan = plan_of(filled, Settings.model_validate(values), by="source")
    shares = {
        variant: sum(row.realised_share for row in manifest.mixture if row.language == "ru")
        for variant, manifest in plan.manifests.items()
    }
    whole = together(plan.kept, plan.groups)
    assert ("novels", "books") in shares
    for variant, share in shares.items():
        # a variant's own epoch rounds the draws of each source
        rounded = len(variant) / draws_of(plan.manifests[variant])
        assert share == pytest.approx(shares[whole], abs=rounded)
    sources = {row.name: row for row in filled.sources()}
    sources[IN_HOUSE] = Source(IN_HOUSE, "in_house", "ky", 3.0)
    sources[PSEUDO_LABEL] = Source(PSEUDO_LABEL, "pseudo_label", "ky", 0.5)
    rule = Settings.model_validate(values).mixture
    everything = plan.manifests[whole].examples
    in_a_round = build_manifest(everything, sources, rule, frozenset())
    assert plan.manifests[whole].mixture == in_a_round.mixture


def test_shares_are_those_of_the_mixture_where_nothing_is_kept(filled: Store) -> None:
    manifest = manifest_of_one_language(filled)
    assert {row.source: row.draws for row in manifest.mixture} == {"books": 12, "talks": 8}


def manifest_of_one_language(store: Store) -> Manifest:
    """Of the first variant, without the novels of another language."""
    store.db.execute("UPDATE utterances SET split = 'reserved' WHERE source = 'novels'")
    store.db.conn.commit()
    return plan_of(store).manifests["books", "talks"]


def test_small_variants_keep_their_mixture(filled: Store) -> None:
    """Draws are whole epochs of the variant's own: shares stay, nothing is drawn too seldom."""
    manifest = manifest_of_one_language(filled)
    own = draws_of(manifest)
    (draws,) = equal_epochs(manifest, 3 * own, 1, np.random.default_rng(1))
    counts = Counter(row.source for row in draws)
    assert counts == {row.source: 3 * row.draws for row in manifest.mixture}
    times = Counter(row.utterance_id for row in draws)
    assert set(times.values()) == {3}


def test_an_epoch_goes_on_where_the_last_one_was_cut(filled: Store) -> None:
    manifest = manifest_of_one_language(filled)
    own = draws_of(manifest)
    parts = equal_epochs(manifest, own // 2, 2, np.random.default_rng(1))
    assert set(Counter(row.utterance_id for part in parts for row in part).values()) == {1}


def test_what_a_test_set_holds_is_left_out(filled: Store) -> None:
    twin = filled.training_examples(IN_HOUSE)[0]
    tested = filled.evaluation_utterances()[0]
    filled.db.execute(
        "UPDATE utterances SET text = ? WHERE id = ?", [tested.text, twin.utterance_id]
    )
    filled.db.conn.commit()
    plan = plan_of(filled)
    assert [row.utterance_id for row in plan.leaks] == [twin.utterance_id]
    for manifest in plan.manifests.values():
        assert twin.utterance_id not in {row.utterance_id for row in manifest.examples}


# -- the run ---------------------------------------------------------------------------------------


def test_the_table(filled: Store) -> None:
    student = Student()
    said: list[str] = []
    results = run(filled, student, said)
    assert len(student.trainings) == 4 + 3
    assert {training[0] for training in student.trainings} == {BASE.path}
    assert len({training[1] for training in student.trainings}) == 1
    groups = groups_of(filled)
    added = [row for row in added_rows(results, groups, 200) if row.evaluation_set == "test_a"]
    assert [row.title for row in added] == [
        UNTRAINED,
        "+ open_source",
        "+ forced_alignment",
        "+ in_house",
        "+ pseudo_label",
    ]
    assert [(row.examples, row.draws) for row in added] == [
        (0, 0), (26, 48), (36, 48), (41, 48), (48, 48),
    ]  # fmt: skip
    rates = [row.wer.value for row in added]
    assert rates[0] > rates[1] == rates[2] > rates[3] == rates[4] == 0.0
    assert added[0].change is None
    changes = [row.change for row in added[1:] if row.change]
    for change, before, after in zip(changes, rates, rates[1:], strict=False):
        assert change.value == pytest.approx(after - before)
    assert (changes[1].low, changes[1].high) == (0.0, 0.0)  # the same words were heard
    assert changes[0].high < 0
    left_out = left_out_rows(results, groups, 200)
    assert [row.title for row in left_out if row.evaluation_set == "test_b"] == [
        WHOLE,
        "without open_source",
        "without forced_alignment",
        "without in_house",
        "without pseudo_label",
    ]
    useful = {row.label for row in left_out if row.change and row.change.low > 0}
    assert useful == {"open_source", "in_house"}
    assert "in every one, for they are not in ky: novels" in said
    assert "there is nothing to train on of: synthetic" in said
    assert any(line.startswith("  + in_house: test_a (ky) WER % 0.0") for line in said)
    assert left_behind(filled) == []
    with Reader(filled.workspace) as reader:
        (found,) = reader.ablations()
        assert reader.ablation_results("one") == filled.ablation_results("one") == results
    assert found["finished_at"] is not None


def test_all_trainings_have_one_budget(filled: Store) -> None:
    """None stops early or takes its best epoch; how many steps it takes follows from its draws."""
    values = SETTINGS.model_dump()
    values["train"] |= {"patience": 2, "accumulation": "auto", "processes": 2}
    values["engine"]["kind"] = "ray"  # whose workers train alone
    student, said = Student(), list[str]()
    settings = Settings.model_validate(values)
    run(filled, student, said, settings, leave_one_out=False)
    assert {(row.patience, row.accumulation) for row in student.settings} == {(0, 2)}
    assert {(row.epochs, row.processes) for row in student.settings} == {(2, 1)}
    with Reader(filled.workspace) as reader:
        (found,) = reader.ablations()
    assert found["settings"]["train.patience"] == 0
    assert found["settings"]["train.accumulation"] == 2
    assert any("train.accumulation is auto; here it is 2" in line for line in said)


def test_a_second_call_trains_nothing(filled: Store) -> None:
    first = run(filled, Student())
    again = Student()
    assert run(filled, again) == first
    assert again.trainings == []


@pytest.mark.parametrize("killed_in", [(1, "train"), (3, "train"), (3, "listen"), (7, "listen")])
def test_a_killed_ablation_goes_on(filled: Store, killed_in: tuple[int, str]) -> None:
    student = Student(killed_in)
    with pytest.raises(KeyboardInterrupt):
        run(filled, student)
    with Reader(filled.workspace) as reader:
        (found,) = reader.ablations()
    assert found["finished_at"] is None
    assert found["results"] == 2 * killed_in[0]  # two sets; the base and all trainings but one
    student.killed_in = (-1, "")
    results = run(filled, student)
    # what was being trained is trained again, from its saves; what was trained is not
    repeated = killed_in[1] == "train"
    assert len(student.trainings) == 7 + repeated
    assert student.found[killed_in[0] - 1] == set()
    if repeated:
        assert student.found[killed_in[0]] == {"save"}
        one, other = student.trainings[killed_in[0] - 1 : killed_in[0] + 1]
        assert one == other
    assert left_behind(filled) == []
    assert [row["variant"] for row in results].count([]) == 2
    assert len(results) == 2 * 8


def test_what_was_heard_is_kept_until_it_is_written_down(filled: Store) -> None:
    """Killed between the training and the database."""
    student, plan = Student(), plan_of(filled)

    class Dying:
        def __getattr__(self, name: str) -> Any:
            if name == "put_ablation_results" and student.trainings:
                raise KeyboardInterrupt
            return getattr(filled, name)

    def call(book: Any) -> None:
        make = lambda: cast(Recognizer, student)  # noqa: E731
        ablate(plan, SETTINGS, filled, book, LocalEngine(), make, lambda line: None)

    with pytest.raises(KeyboardInterrupt):
        call(Dying())
    call(filled)
    assert len(student.trainings) == 7


def test_more_seeds_go_on_with_what_there_is(filled: Store) -> None:
    run(filled, Student(), leave_one_out=False)
    student = Student()
    results = run(filled, student, seeds=2, leave_one_out=False)
    assert len(student.trainings) == 4
    seeds = Counter(row["seed"] for row in results if row["evaluation_set"] == "test_a")
    assert seeds == {0: 5, 1: 4}
    rows = added_rows(results, groups_of(filled), 200)
    assert {(row.step, row.seeds) for row in rows} == {("untrained", 1), ("added", 2)}
    assert "means over 2 seeds" in report(results, groups_of(filled), 200)[-1]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"train": {"epochs": 3}}, "train.epochs"),
        ({"mixture": {"in_house_weight": 5.0}}, "mixture.in_house_weight, weights"),
        ({"seed": 4}, "seed"),
    ],
)
def test_other_settings_are_another_ablation(
    filled: Store, changed: dict[str, Any], named: str
) -> None:
    run(filled, Student(), leave_one_out=False)
    values = SETTINGS.model_dump()
    for key, value in changed.items():
        values[key] = values[key] | value if isinstance(value, dict) else value
    student = Student()
    with pytest.raises(WorkspaceError, match=rf"other settings \({named} differ\)"):
        run(filled, student, settings=Settings.model_validate(values), leave_one_out=False)
    assert student.trainings == []


def test_other_data_is_another_ablation(filled: Store) -> None:
    run(filled, Student(), leave_one_out=False)
    filled.add(clips("books", "train", 13)[12:], [])
    with pytest.raises(WorkspaceError, match=r"\(draws, the labelled data differ\)"):
        run(filled, Student(), leave_one_out=False)


def test_pseudo_labels_are_learned_where_rounds_learn_them(filled: Store) -> None:
    said: list[str] = []
    settings = SETTINGS.model_copy(
        update={"pseudo_labels": SETTINGS.pseudo_labels.model_copy(update={"enabled": False})}
    )
    results = run(filled, Student(), said, settings=settings, leave_one_out=False)
    assert not any(PSEUDO_LABEL in row["variant"] for row in results)
    assert any("pseudo_labels.enabled is false" in line for line in said)


def test_too_little_for_so_many_draws_is_said(filled: Store) -> None:
    said: list[str] = []
    run(filled, Student(), said, draws=500, leave_one_out=False)
    warnings = [line for line in said if line.startswith("warning: ")]
    assert warnings[0].startswith("warning: + open_source: there is too little for so many draws")
    assert "an example up to 39 times, though mixture.max_repeats is 10" in warnings[0]


# -- what cannot be compared -----------------------------------------------------------------------


def test_one_kind_alone(filled: Store) -> None:
    filled.db.execute("DELETE FROM labels")
    filled.db.execute("DELETE FROM pseudo_labels")
    filled.db.execute("UPDATE utterances SET split = 'reserved' WHERE source = 'aligned'")
    filled.db.conn.commit()
    with pytest.raises(WorkspaceError, match=r"in ky is open_source \(books, talks\)") as refused:
        plan_of(filled)
    assert "`al-loop ablate --by source`" in str(refused.value)
    assert len(plan_of(filled, by="source").groups) == 2


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "UPDATE utterances SET split = 'reserved' WHERE split = 'test'",
            "no evaluation set in ky",
        ),
        (
            "UPDATE utterances SET split = 'reserved' WHERE split <> 'test' AND language = 'ky'",
            "nothing in ky to train on",
        ),
        ("DELETE FROM promotions", "no checkpoint is in use yet"),
        ("UPDATE rounds SET stage = 'train'", "round 1 is at its training"),
    ],
)
def test_what_is_missing_is_named(filled: Store, statement: str, message: str) -> None:
    filled.db.execute(statement)
    filled.db.conn.commit()
    with pytest.raises(WorkspaceError, match=message):
        plan_of(filled)
    assert filled.ablation_results("one") == []


def test_a_source_of_leaks_alone_is_no_row(filled: Store) -> None:
    """Its examples are all in an evaluation set."""
    tested = filled.evaluation_utterances()
    rows = [row for row in filled.training_examples(IN_HOUSE) if row.source == "talks"]
    for row, twin in zip(rows, tested, strict=False):
        filled.db.execute(
            "UPDATE utterances SET text = ? WHERE id = ?", [twin.text, row.utterance_id]
        )
    filled.db.conn.commit()
    plan = plan_of(filled, by="source")
    assert len(plan.leaks) == len(rows) == 8
    assert "talks" not in [row.label for row in plan.groups]


# -- the command -----------------------------------------------------------------------------------


def command(store: Store, *arguments: str) -> str:
    """What it says as it refuses."""
    done = CliRunner().invoke(main, ["-w", str(store.workspace.root), "ablate", *arguments])
    assert done.exit_code != 0
    assert "Traceback" not in done.output
    return done.stderr


def test_the_command_says_what_is_missing(store: Store) -> None:
    assert "there is no evaluation set in ky" in command(store)
    assert store.silence_utterances() == []  # it plans before it brings anything in
    assert "--name '../x': expected letters" in command(store, "--name", "../x")
    assert "'size' is not one of 'kind', 'source'" in command(store, "--by", "size")
    assert "--draws" in command(store, "--draws", "0")


def test_the_command_waits_for_no_round(filled: Store) -> None:
    with FileLock(filled.workspace.lock):
        assert "a round is at work in this workspace" in command(filled)
