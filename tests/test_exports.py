"""Labels written for other programs, and that what was written comes back as it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from al_loop import exports
from al_loop.commands.transfer import export_labels, import_project
from al_loop.errors import WorkspaceError
from al_loop.records import Checkpoint, Example, Label, Manifest
from al_loop.sources.ingest import Intake, Report, ingest
from al_loop.sources.rows import Row, read_rows
from storage.store import Store
from storage.workspace import Workspace

MakeClip = Callable[..., Path]
LANGUAGES = frozenset({"ky", "ru"})
POOL = Intake("field", "in_house", "ky", "pool", LANGUAGES)
TEXTS = ["Өмүр  бою", 'эки «үч» "төрт"', "жыл-жыл, ң!"]
QUALITY = [1.0, 0.5, 0.25]


@pytest.fixture
def labelled(store: Store, make_clip: MakeClip) -> Store:
    """Three clips with labels, one whose annotators disagree, one unlabelled, a book's clip, and
    round 0 with a training set of the first two and the book's."""
    for seed in range(5):
        folder = make_clip(f"in/{seed}.wav", 0.4 + 0.1 * seed, seed, sample_rate=8000).parent
    ingest(read_rows(str(folder)), POOL, store, store.workspace.root)
    rows = sorted(store.pool(), key=lambda row: row.duration_s)
    labels = [
        Label(row.id, text, None, ["1"], "single", quality)
        for row, text, quality in zip(rows, TEXTS, QUALITY, strict=False)
    ]
    disputed = Label(rows[3].id, "талаш", None, ["1", "2"], "disputed", 0.5)
    store.put_labels([*labels, disputed])
    book = Row("book", make_clip("book.wav", seed=9), text="раз два", language="ru")
    intake = Intake("books", "open_source", "ky", "train", LANGUAGES)
    assert ingest([book], intake, store, store.workspace.root).added == 1
    store.put_checkpoint(Checkpoint("base", "checkpoints/base", None, {}))
    store.start_round(0, 1, "train", "base")
    examples = store.training_examples("in_house")
    store.put_manifest(0, Manifest("0123456789abcdef", examples[1:], []))
    return store


def export(store: Store, *arguments: str) -> Result:
    return CliRunner().invoke(export_labels, arguments, obj=store.workspace.root)


def written(store: Store, *arguments: str) -> Path:
    """The folder that an export makes."""
    before = set(store.workspace.exports.iterdir())
    result = export(store, *arguments)
    assert result.exit_code == 0, result.output
    (folder,) = set(store.workspace.exports.iterdir()) - before
    assert f"{folder} is written" in result.stdout
    return folder


def refused(store: Store, *arguments: str) -> str:
    result = export(store, *arguments)
    assert isinstance(result.exception, WorkspaceError)
    return str(result.exception)


def labels(store: Store) -> list[Example]:
    return [row for row in store.training_examples("in_house") if row.source == "in_house"]


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[[], Store]:
    """Makes empty workspaces."""
    made: list[Store] = []

    def make() -> Store:
        root = tmp_path / f"other-{len(made)}"
        root.mkdir()
        (root / "al_loop.toml").write_text("", encoding="utf-8")
        made.append(Store(Workspace.open(root)))
        return made[-1]

    return make


def contents(store: Store) -> set[tuple[str, str, str]]:
    """What is heard, in which language, and what is said, of all that may be trained on."""
    hashes = store.sample_hashes()
    rows = store.training_examples("in_house")
    return {(hashes[row.utterance_id], row.language, row.text) for row in rows}


def ids(store: Store) -> set[str]:
    return {row.utterance_id for row in store.training_examples("in_house")}


def take(store: Store, place: Path, form: str) -> Report:
    """Ingest an export."""
    intake = Intake("theirs", "in_house", "ky", "train", LANGUAGES)
    if form == "tsv":
        rows = list(read_rows(str(place / "manifest.tsv")))
    else:
        rows = [
            Row(row["utterance"], row["audio"]["bytes"], row["text"], row["language"])
            for row in load(place)
        ]
    return ingest(rows, intake, store, store.workspace.root)


def load(place: Path) -> list[dict]:
    import datasets

    data = datasets.load_dataset(str(place), split="train", cache_dir=str(place.parent / "cache"))
    return list(data.cast_column("audio", datasets.Audio(decode=False)))


# -- round trips -------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["tsv", "parquet"])
def test_what_is_exported_can_be_ingested(
    labelled: Store, fresh: Callable[[], Store], form: str
) -> None:
    """The clips are told by their samples. Their ids are those of the files that were ingested, so
    they change once, when the files become this loop's own, and then stay."""
    first, second, third = labelled, fresh(), fresh()
    report = take(second, written(first, "--format", form), form)
    assert (report.added, report.refusals) == (3, [])
    assert contents(second) == {row for row in contents(first) if row[2] != missing(first)}
    assert take(second, next(iter(first.workspace.exports.glob("round*"))), form).known == 3
    second.put_checkpoint(Checkpoint("base", "checkpoints/base", None, {}))
    second.start_round(0, 1, "train", "base")
    second.put_manifest(0, Manifest("m", second.training_examples("in_house"), []))
    assert take(third, written(second, "--format", form), form).added == 3
    assert (ids(third), contents(third)) == (ids(second), contents(second))


def missing(store: Store) -> str:
    """The text of the label that the manifest leaves out."""
    (row,) = ids(store) - {row.utterance_id for row in store.manifest("0123456789abcdef").examples}
    return next(
        example.text
        for example in store.training_examples("in_house")
        if example.utterance_id == row
    )


def test_tasks_can_be_imported_again(labelled: Store, fresh: Callable[[], Store]) -> None:
    folder = written(labelled, "--format", "label-studio")
    other = fresh()
    arguments = [str(folder / "tasks.json"), "--source", "theirs", "--audio", str(folder)]
    for added, known in ((3, 0), (0, 3)):
        result = CliRunner().invoke(import_project, arguments, obj=other.workspace.root)
        assert result.exit_code == 0, result.output
        assert f"{added} added, 0 moved to an evaluation set, {known} known" in result.stdout
    assert {row.source for row in other.training_examples("in_house")} == {"theirs_ky", "theirs_ru"}
    own = " ".join(missing(labelled).split())
    # Label Studio's answers are one line with single spaces
    expected = {
        (heard, language, " ".join(text.split())) for heard, language, text in contents(labelled)
    }
    assert contents(other) == {row for row in expected if row[2] != own}


def test_into_its_own_workspace_nothing_comes_back(labelled: Store) -> None:
    report = take(labelled, written(labelled, "--labels"), "tsv")
    assert report.added == 0
    assert [row.reason for row in report.refusals] == ["duplicate"] * 3


# -- the files ---------------------------------------------------------------------------------


def test_the_table_has_the_seeds_columns_and_ours(labelled: Store) -> None:
    folder = written(labelled, "--labels")
    lines = (folder / "manifest.tsv").read_text("utf-8").splitlines()
    assert lines[0] == "path\ttranscription\tlanguage\tsource\tquality"
    rows = [line.split("\t") for line in lines[1:]]
    assert sorted(row[1:] for row in rows) == sorted(
        [text, "ky", "in_house", f"{quality:g}"]
        for text, quality in zip(TEXTS, QUALITY, strict=True)
    )
    for path, *_ in rows:
        kept = labelled.workspace.root / path
        assert (folder / path).read_bytes() == kept.read_bytes()
        assert not (folder / path).samefile(kept)


def test_what_a_table_cannot_hold_becomes_a_space(tmp_path: Path) -> None:
    row = Example("a", "audio/a.flac", 1.0, "s", "ky", "бир\tэки\r\nүч  төрт")
    exports.write_table([row], {"a": "a.flac"}, tmp_path)
    (read,) = read_rows(str(tmp_path / "manifest.tsv"))
    assert read.text == "бир эки үч  төрт"
    with pytest.raises(WorkspaceError, match="copy the audio instead"):
        exports.write_table([row], {"a": "/a\tb.flac"}, tmp_path)


def test_audio_may_stay_where_it_is(labelled: Store) -> None:
    table = written(labelled, "--audio", "reference")
    assert [path.name for path in table.iterdir()] == ["manifest.tsv"]
    for row in read_rows(str(table / "manifest.tsv")):
        assert isinstance(row.audio, Path)
        assert row.audio.is_relative_to(labelled.workspace.audio)
        assert row.audio.is_file()
    named = load(written(labelled, "--audio", "reference", "--format", "parquet"))
    assert {row["audio"]["bytes"] for row in named} == {None}
    assert all(Path(row["audio"]["path"]).is_file() for row in named)


def test_the_data_set_has_its_columns_and_a_card(
    labelled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "SHARD_BYTES", 1)
    folder = written(labelled, "--labels", "--format", "parquet")
    names = sorted(path.name for path in (folder / "data").iterdir())
    assert names == [f"train-0000{number}-of-00003.parquet" for number in range(3)]
    rows = {row["utterance"]: row for row in load(folder)}
    for example in labels(labelled):
        row = rows.pop(example.utterance_id)
        audio = (labelled.workspace.root / example.audio).read_bytes()
        assert row == {
            "audio": {"bytes": audio, "path": f"{example.utterance_id}.flac"},
            "text": example.text,
            "language": "ky",
            "source": "in_house",
            "duration": example.duration_s,
            "quality": example.quality,
            "utterance": example.utterance_id,
        }
    assert rows == {}
    card = (folder / "README.md").read_text("utf-8")
    assert card.startswith("---\nlanguage:\n- ky\n")
    assert "3 clips, 0.0 minutes" in card


def test_tasks_are_of_our_interface_and_their_answers_no_ground_truth(labelled: Store) -> None:
    folder = written(labelled, "--labels", "--format", "label-studio")
    tasks = json.loads((folder / "tasks.json").read_text("utf-8"))
    found = {row["data"]["utterance"]: row for row in tasks}
    for example in labels(labelled):
        data = found[example.utterance_id]["data"]
        (answer,) = found[example.utterance_id]["annotations"]
        (part,) = answer["result"]
        assert (answer["ground_truth"], answer["was_cancelled"]) == (False, False)
        assert (part["from_name"], part["to_name"], part["type"]) == (
            "transcription",
            "audio",
            "textarea",
        )
        assert part["value"] == {"text": [example.text]}
        assert {"audio", "hypothesis", "marked"} <= data.keys()
        assert (data["language"], data["source"], data["quality"]) == (
            "ky",
            "in_house",
            example.quality,
        )
        assert data["audio"] == f"/data/local-files/?d={folder.name}/{example.audio}"
        assert (folder / example.audio).is_file()


def test_tasks_may_play_audio_from_elsewhere(labelled: Store) -> None:
    def address(*arguments: str) -> str:
        folder = written(labelled, "--labels", "--format", "label-studio", *arguments)
        first = json.loads((folder / "tasks.json").read_text("utf-8"))[0]["data"]
        name = first["utterance"]
        assert first["audio"].endswith(f"/{name[:2]}/{name}.flac")
        for path in sorted(folder.rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        folder.rmdir()
        return first["audio"].removesuffix(f"/{name[:2]}/{name}.flac")

    bucket = "s3://bucket/clips"
    assert address("--audio-url", f"{bucket}/") == bucket
    assert address("--audio", "reference", "--audio-url", bucket) == bucket
    own = f"/data/local-files/?d={labelled.workspace_id}"
    assert address("--audio", "reference") == own
    config = '[label_studio]\nurl = "http://ls.test"\naudio_url = "https://cdn.test/a"\n'
    labelled.workspace.config.write_text(config, encoding="utf-8")
    assert address("--audio", "reference") == "https://cdn.test/a"


# -- which labels ------------------------------------------------------------------------------


def test_the_newest_training_set_is_the_default_and_any_can_be_named(labelled: Store) -> None:
    first = written(labelled)
    assert first.name == "round-000-0123456789ab-tsv"
    assert (first / "manifest.tsv").read_text("utf-8").count("\n") == 4
    with labelled.finishing(0, "record", None):
        pass
    labelled.start_round(1, 1, "train", "base")
    assert "exists already" in refused(labelled)  # round 1 has none yet
    labelled.put_manifest(1, Manifest("fedcba", labels(labelled)[:1], []))
    assert written(labelled).name == "round-001-fedcba-tsv"
    assert "exists already" in refused(labelled, "--round", "0")
    assert "round 7 has no training set; those of 0, 1 have one" in refused(
        labelled, "--round", "7"
    )


def test_where_there_is_nothing_it_says_so(store: Store) -> None:
    assert "no round has a training set yet" in refused(store)
    assert "there is no label yet" in refused(store, "--labels")
    assert list(store.workspace.exports.iterdir()) == []


def test_nothing_is_overwritten_and_nothing_half_written(labelled: Store, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert "mine exists already, and stays as it is" in refused(
        labelled, "--to", str(tmp_path / "mine")
    )
    gone = labelled.workspace.root / labels(labelled)[1].audio
    gone.unlink()
    for form in ("tsv", "parquet", "label-studio"):
        said = refused(labelled, "--labels", "--format", form)
        assert f"{gone} cannot be read" in said
    assert list((tmp_path / "mine").iterdir()) == list(labelled.workspace.exports.iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [["--audio-url", "s3://b", "--format", "tsv"], ["--labels", "--round", "0"]]
)
def test_options_that_contradict_are_refused(labelled: Store, arguments: list[str]) -> None:
    result = export(labelled, *arguments)
    assert result.exit_code == click.UsageError.exit_code
    assert list(labelled.workspace.exports.iterdir()) == []
