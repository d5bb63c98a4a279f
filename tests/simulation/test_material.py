from dataclasses import replace
from pathlib import Path

import pytest

from al_loop.errors import WorkspaceError
from al_loop.records import (
    IN_HOUSE,
    Checkpoint,
    Choice,
    Label,
    Selection,
    Source,
    Utterance,
)
from al_loop.simulation.material import Material, check, divide, gather, keep, kept
from storage.store import Store
from tests.fakes import clips, new_store, spoken


def material(labelled: int = 12, junk: int = 2, test: int = 4, train: int = 0) -> Material:
    unusable = [replace(row, text=None) for row in clips("noise", "train", junk)]
    return Material(
        sources=[Source(name, "open_source", "ky") for name in ("books", "noise", "held_out")],
        fixed=[*clips("held_out", "test", test), *clips("held_out", "train", train)],
        labelled=[*clips("books", "train", labelled), *unusable],
        verdicts={row.id: "bad_audio" for row in unusable},
    )


def seconds(rows: list[Utterance], split: str) -> float:
    return sum(row.duration_s for row in rows if row.split == split)


def test_a_seed_draws_what_it_begins_with_and_hides_the_other_texts() -> None:
    given = material()
    rows = divide(given, 5.0, 0)
    assert {row.id for row in rows} == {row.id for row in (*given.fixed, *given.labelled)}
    assert 5.0 <= seconds(rows, "train") < 7.0  # no clip is longer than 2 s
    for row in rows:
        assert (row.text is None) == (row.split == "pool")
        assert row.split == "pool" or row.id not in given.verdicts
    assert divide(given, 5.0, 0) == rows
    begun = [
        {row.id for row in divide(given, 5.0, seed) if row.split == "train"} for seed in (0, 1)
    ]
    assert begun[0] != begun[1]
    assert seconds(divide(given, 0.0, 0), "train") == 0


def test_what_is_too_little_is_said_with_its_figures() -> None:
    given = material(labelled=12, junk=2)  # 18 s with a text, 2.5 s without
    check(given, 5.0, 3, 2, 6.0)
    with pytest.raises(WorkspaceError, match=r"3 rounds of 6 s need 18 s .* of 20 s here"):
        check(given, 5.0, 3, 3, 6.0)
    with pytest.raises(WorkspaceError, match="test split"):
        check(material(test=0), 5.0, 3, 2, 6.0)
    with pytest.raises(WorkspaceError, match="nothing to train on"):
        check(given, 0.0, 3, 2, 6.0)
    check(material(train=2), 0.0, 3, 2, 6.0)


def test_the_id_covers_what_figures_depend_on() -> None:
    given = material()
    assert replace(given, labelled=list(given.labelled)[::-1]).id == given.id
    assert replace(given, verdicts={}).id != given.id
    assert replace(given, labelled=given.labelled[1:]).id != given.id
    moved = [replace(row, audio=f"/elsewhere/{row.audio}") for row in given.labelled]
    assert replace(given, labelled=moved).id == given.id


@pytest.fixture
def worked_in(tmp_path: Path) -> Store:
    """A workspace with two languages, and annotators who have answered about three clips."""
    store = new_store(tmp_path / "workspace")
    for name, language in (("books", "ky"), ("held_out", "ky"), ("radio", "ky"), ("slavic", "ru")):
        store.put_source(Source(name, "open_source", language))
    russian = [replace(row, language="ru") for row in clips("slavic", "train", 2)]
    russian += [replace(row, language="ru") for row in clips("slavic", "test", 1)]
    pool = clips("radio", "pool", 5)
    store.add([*clips("books", "train", 3), *clips("books", "validation", 1)], [])
    store.add([*clips("held_out", "test", 2), *russian, *pool], [])
    store.put_source(Source(IN_HOUSE, "in_house", "ky"))

    store.put_checkpoint(Checkpoint("base", "checkpoints/base", None, {}))
    store.start_round(0, 0, "score", "base")
    choices = [Choice(row.id, rank, 0.0, "acquired") for rank, row in enumerate(pool[:3])]
    store.put_selection(0, Selection(choices, [], {}))
    verdicts = (None, "bad_audio", "skipped")
    for row, verdict in zip(pool, verdicts, strict=False):
        text = None if verdict else spoken(row.id)
        store.put_labels([Label(row.id, text, verdict, [row.id])])
    return store


def test_a_workspace_gives_what_it_has_labelled(worked_in: Store) -> None:
    root = worked_in.workspace.root
    given = gather(worked_in, "ky", "whisper", root.joinpath, [].append)
    spoken_in = sorted((row.source, row.split) for row in given.fixed)
    assert spoken_in == [
        ("books", "validation"),
        ("held_out", "test"),
        ("held_out", "test"),
        ("slavic", "train"),
        ("slavic", "train"),
    ]
    pool = clips("radio", "pool", 5)
    texts = {row.id: row.text for row in given.labelled}
    assert texts.keys() == {row.id for row in clips("books", "train", 3)} | {
        pool[0].id,
        pool[1].id,
    }
    assert texts[pool[0].id] == spoken(pool[0].id)
    assert texts[pool[1].id] is None
    assert given.verdicts == {pool[1].id: "bad_audio"}  # to pass over a clip says nothing of it
    assert all(Path(row.audio) == root / f"audio/{row.id}.flac" for row in given.labelled)
    assert IN_HOUSE not in {row.name for row in given.sources}


def test_texts_without_a_word_are_left_out(worked_in: Store) -> None:
    wordless = [replace(row, text="… !") for row in clips("books", "train", 5)[3:]]
    silent = replace(clips("held_out", "test", 3)[2], text="—")
    worked_in.add([*wordless, silent], [])
    said: list[str] = []
    given = gather(worked_in, "ky", "whisper", worked_in.workspace.root.joinpath, said.append)
    ids = {row.id for row in (*given.fixed, *given.labelled)}
    assert not ids & {row.id for row in (*wordless, silent)}
    assert said == ["3 clips are left out, for their texts hold no word"]
    assert gather(worked_in, "ru", "whisper", worked_in.workspace.root.joinpath, said.append)


def test_material_is_read_as_it_was_kept(tmp_path: Path) -> None:
    said: list[str] = []
    keep(material(), tmp_path / "trial")
    keep(material(labelled=5), tmp_path / "trial")  # what it began with stays
    assert kept(tmp_path / "trial", material(), said.append) == material()
    assert said == []
    assert [path.name for path in (tmp_path / "trial").iterdir()] == ["material.json"]
