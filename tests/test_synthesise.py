"""`al-loop synthesise` as a user sees it: clips, licences, refusals, and a second call."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from al_loop.commands.importing import ingest
from al_loop.commands.synthesise import synthesise
from al_loop.errors import AlLoopError, ManifestError, ModelError
from al_loop.sources.model_licence import model_name
from storage.store import Store
from tests.sources.speakers import make_translator, make_vits, with_card

MakeClip = Callable[..., Path]
SENTENCES = ("Бүгүн күн ачык.", "Эртең саат 7де кел.", "Суу ичип алайын.")


def run(store: Store, *arguments: str | Path) -> Result:
    command = [str(word) for word in (*arguments, "--source", "voice")]
    return CliRunner().invoke(synthesise, command, obj=store.workspace.root)


def done(store: Store, *arguments: str | Path) -> Result:
    result = run(store, *arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def counts(result: Result) -> str:
    return result.stdout.splitlines()[-1]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "lines.txt"
    path.write_text("\n".join((*SENTENCES, "салам Google")), encoding="utf-8")
    return path


def test_lines_become_training_data(store: Store, texts: Path) -> None:
    result = done(store, texts, "--voices", "f2,m3", "--weight", "0.5")
    assert f"refused {texts}:4: bad_row (ky of espeak-ng has not the letters of Google)" in (
        result.stdout
    )
    assert counts(result) == "3 added, 0 moved to an evaluation set, 0 known already, 1 refused"
    (source,) = store.sources()
    assert (source.name, source.kind, source.language, source.weight) == (
        "voice",
        "synthetic",
        "ky",
        0.5,
    )
    rows = store.db.execute(
        "SELECT split, text, speaker, made_by, text_origin FROM utterances ORDER BY text_origin"
    ).fetchall()
    assert {row[0] for row in rows} == {"train"}
    assert [row[1] for row in rows] == [SENTENCES[0], "Эртең саат жетиде кел.", SENTENCES[2]]
    assert {row[2] for row in rows} <= {"espeak ky+f2", "espeak ky+m3"}
    assert {row[3] for row in rows} == {"espeak-ng"}
    assert [row[4] for row in rows] == [f"{texts}:{number}" for number in (1, 2, 3)]
    assert store.makers() == {"espeak-ng": "GPL-3.0-or-later"}

    again = done(store, texts, "--voices", "f2,m3")
    assert counts(again) == "0 added, 0 moved to an evaluation set, 3 known already, 1 refused"
    other = done(store, texts, "--voices", "f2,m3", "--seed", "9", "--plain")
    assert counts(other).startswith("3 added")


def test_options_that_contradict(store: Store, texts: Path) -> None:
    for options, complaint in (
        (("--translate-from", "ru"), "go together"),
        (("--noise-scale", "1"), "for VITS models"),
        (("--pace", "2", "1"), "--pace: expected the smaller one first"),
    ):
        result = run(store, texts, *options)
        assert result.exit_code == 2
        assert complaint in result.output
    result = run(store, texts, "--voices", "nobody")
    assert isinstance(result.exception, AlLoopError)
    assert "no voice 'ky+nobody'" in str(result.exception)
    result = run(store, texts, "--text-column", "said")
    assert isinstance(result.exception, ManifestError)
    assert store.sources() == []


def test_a_licence_that_forbids_commercial_use_is_to_be_accepted(
    store: Store, texts: Path, tmp_path: Path
) -> None:
    model = make_vits(tmp_path / "tiny-tts", speakers=2, licence="cc-by-nc-4.0")
    result = run(store, texts, "--model", model)
    assert isinstance(result.exception, ModelError)
    name = model_name(str(model))
    assert f"{name} is under cc-by-nc-4.0, which forbids commercial use" in str(result.exception)
    assert "--accept-licence" in str(result.exception)
    assert store.makers() == {}

    result = done(store, texts, "--model", model, "--voices", "1", "--accept-licence")
    assert f"warning: {name} is under cc-by-nc-4.0" in result.stderr
    assert counts(result).startswith("3 added")
    assert store.makers() == {name: "cc-by-nc-4.0"}
    speakers = store.db.execute("SELECT DISTINCT speaker, made_by FROM utterances").fetchall()
    assert speakers == [(f"{name} speaker 1", name)]

    (model / "README.md").unlink()
    result = run(store, texts, "--model", model, "--voices", "1")  # what was stated is on record
    assert isinstance(result.exception, ModelError)
    done(store, texts, "--model", model, "--voices", "1", "--accept-licence")
    assert store.makers() == {name: "cc-by-nc-4.0"}
    with_card(model, "mit")
    assert done(store, texts, "--model", model, "--voices", "1").stderr == ""
    assert store.makers() == {name: "mit"}


def test_of_an_unknown_licence_you_are_warned(store: Store, texts: Path, tmp_path: Path) -> None:
    model = make_vits(tmp_path / "tiny-tts")
    result = done(store, texts, "--model", model)
    name = model_name(str(model))
    assert f"warning: the licence of {name} is unknown" in result.stderr
    assert store.makers() == {name: "unknown"}


def test_russian_is_translated_before_it_is_spoken(store: Store, tmp_path: Path) -> None:
    translator = make_translator(tmp_path / "tiny-mt", "apache-2.0")
    texts = tmp_path / "ru.tsv"
    texts.write_text("id\ttext\n1\tдом\n2\tгора\n", encoding="utf-8")
    done(store, texts, "--translate-from", "ru", "--translator", translator)
    name = model_name(str(translator))
    rows = store.db.execute("SELECT text, text_origin FROM utterances ORDER BY text_origin")
    assert rows.fetchall() == [
        ("үй", f"{texts}:2, translated by {name}"),
        ("тоо", f"{texts}:3, translated by {name}"),
    ]
    assert store.makers() == {"espeak-ng": "GPL-3.0-or-later", name: "apache-2.0"}
    (kept,) = (store.workspace.root / "translations").iterdir()
    said = [json.loads(row) for row in kept.read_text("utf-8").splitlines()]
    assert said == [["дом", "үй"], ["гора", "тоо"]]


@pytest.mark.parametrize("kind", ["synthetic", "pseudo_label"])
@pytest.mark.parametrize("split", ["test", "validation", "pool"])
def test_what_models_make_is_for_training_alone(
    store: Store, make_clip: MakeClip, kind: str, split: str
) -> None:
    manifest = make_clip("in/a.wav").parent / "rows.tsv"
    manifest.write_text("path\ttranscription\na.wav\tсаат\n", encoding="utf-8")
    words = [str(manifest), "--source", "voice", "--kind", kind, "--split"]
    result = CliRunner().invoke(ingest, [*words, split], obj=store.workspace.root)
    assert "made_by_models" in result.stdout
    assert "for training alone (--split train)" in result.stdout
    assert store.db.execute("SELECT count(*) FROM utterances").fetchone() == (0,)
    assert store.drawable("ky") == []
    result = CliRunner().invoke(ingest, [*words, "train"], obj=store.workspace.root)
    assert counts(result).startswith("1 added")
    # nor does it become a test under another name
    words = [str(manifest), "--source", "people", "--kind", "in_house", "--split", "test"]
    result = CliRunner().invoke(ingest, words, obj=store.workspace.root)
    assert "a model made it" in result.stdout
    assert store.evaluation_utterances() == []


def test_nothing_heavy_is_loaded_for_help() -> None:
    script = (
        "import sys; from al_loop.commands.synthesise import synthesise; "
        "synthesise(['--help'], standalone_mode=False); "
        "heavy = {'torch', 'transformers', 'av', 'numpy', 'scipy'} & set(sys.modules); "
        "sys.exit(', '.join(heavy) or 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "--accept-licence" in result.stdout
