"""The walls between the rooms of ARCHITECTURE.md: who may import what.

Every module is parsed, none is imported. A module may import the standard library, `al_loop.errors`
and `al_loop.records`, and what its room's line below names; a module without a room fails.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

import al_loop

ROOT = Path(al_loop.__file__).parents[1]
PACKAGES = ("al_loop", "labeling", "storage", "ui")

EVERYBODY = {"al_loop.errors", "al_loop.records"}
ROOMS = {
    "al_loop.errors": "",
    "al_loop.records": "",
    "al_loop.languages": "",
    "al_loop.groups": "",
    "al_loop.config": "al_loop.addresses pydantic",
    "al_loop.config_file": "al_loop.config tomli_w",
    "al_loop.ports": "al_loop.config al_loop.progress",
    "al_loop.logs": "filelock pythonjsonlogger",
    "al_loop.progress": "al_loop.logs",
    "al_loop.listening": "al_loop.logs al_loop.ports al_loop.progress al_loop.refusals",
    "al_loop.refusals": "al_loop.logs al_loop.ports",
    "al_loop.asking": "al_loop.asking_plan al_loop.config al_loop.listening al_loop.ports "
    "al_loop.showing numpy",
    "al_loop.asking_plan": "al_loop.metrics al_loop.text numpy",
    "al_loop.showing": "al_loop.asking_plan al_loop.listening al_loop.ports numpy",
    "al_loop.evalset": "al_loop.groups al_loop.leakage al_loop.ports al_loop.text numpy",
    "al_loop.rover": "",
    "al_loop.overview": "al_loop.alarms al_loop.closing al_loop.hours al_loop.paired "
    "al_loop.verdict",
    "al_loop.verdict": "al_loop.closing al_loop.paired",
    "al_loop.closing": "",
    "al_loop.alarms": "al_loop.agreement al_loop.metrics al_loop.paired numpy",
    "al_loop.paired": "al_loop.metrics al_loop.text numpy",
    "al_loop.hours": "numpy",
    "al_loop.confusions": "al_loop.text jiwer",
    "al_loop.agreement": "al_loop.text jiwer",
    "al_loop.annotators": "al_loop.agreement al_loop.metrics al_loop.text numpy",
    "al_loop.exports": "al_loop.audio al_loop.clips datasets pyarrow",
    "al_loop.addresses": "",
    "al_loop.cache": "",
    "al_loop.clips": "al_loop.audio al_loop.cache al_loop.config al_loop.objects numpy",
    "al_loop.objects": "al_loop.addresses al_loop.web fsspec pyarrow",
    "al_loop.web": "al_loop.addresses httpx",
    "al_loop.doctor": "al_loop labeling storage httpx",
    "al_loop.commands": "al_loop labeling storage ui click filelock numpy tqdm",
    "al_loop.rescoring": "al_loop.acquisition al_loop.config al_loop.listening al_loop.ports numpy",
    "al_loop.round": "al_loop.acquisition al_loop.asking al_loop.closing al_loop.config "
    "al_loop.ports al_loop.manifest al_loop.material al_loop.mixture al_loop.evaluation "
    "al_loop.evidence al_loop.leakage al_loop.listening al_loop.logs al_loop.promotion "
    "al_loop.pseudo_labels al_loop.pseudo_lines al_loop.rescoring numpy",
    "al_loop.pseudo_labels": "al_loop.config al_loop.leakage al_loop.listening "
    "al_loop.ports al_loop.pseudo al_loop.pseudo_choice al_loop.pseudo_rating "
    "al_loop.pseudo_readings al_loop.text numpy",
    "al_loop.pseudo_rating": "al_loop.metrics al_loop.pseudo al_loop.pseudo_readings al_loop.text",
    "al_loop.pseudo_choice": "al_loop.pseudo al_loop.pseudo_readings al_loop.text",
    "al_loop.pseudo_readings": "al_loop.config al_loop.listening al_loop.ports al_loop.text",
    "al_loop.pseudo_lines": "",
    "al_loop.acquisition": "al_loop.acquisition al_loop.config al_loop.metrics al_loop.text numpy "
    "scipy sklearn threadpoolctl",
    "al_loop.pseudo": "al_loop.pseudo al_loop.agreement al_loop.metrics al_loop.rover al_loop.text "
    "jiwer kenlm numpy scipy sklearn",
    "al_loop.evidence": "al_loop.evidence_lines al_loop.evidence_sums al_loop.metrics "
    "al_loop.stopping al_loop.text numpy",
    "al_loop.evidence_sums": "numpy",
    "al_loop.evidence_lines": "",
    "al_loop.stopping": "al_loop.learning_curve numpy",
    "al_loop.learning_curve": "numpy",
    "al_loop.trial": "al_loop.config al_loop.engine.local al_loop.ports filelock",
    "al_loop.arms": "al_loop.arms_plan al_loop.config al_loop.evaluation al_loop.metrics "
    "al_loop.mixture al_loop.ports al_loop.trial numpy",
    "al_loop.arms_plan": "al_loop.config al_loop.leakage al_loop.manifest al_loop.ports "
    "al_loop.trial numpy",
    "al_loop.ablate": "al_loop.ablate_plan al_loop.ablation_table al_loop.config "
    "al_loop.evaluation al_loop.leakage al_loop.listening al_loop.metrics al_loop.ports "
    "al_loop.simulation al_loop.trial numpy",
    "al_loop.ablate_plan": "al_loop.config al_loop.manifest al_loop.material al_loop.mixture "
    "al_loop.ports al_loop.simulation al_loop.trial numpy",
    "al_loop.ablation_table": "al_loop.metrics al_loop.paired al_loop.simulation numpy",
    "al_loop.simulate": "al_loop.simulation al_loop.config",
    "al_loop.simulation": "al_loop.simulation al_loop.acquisition al_loop.config al_loop.metrics "
    "al_loop.text altair numpy scipy tomli_w",
    "al_loop.manifest": "al_loop.config al_loop.mixture",
    "al_loop.material": "al_loop.config al_loop.leakage al_loop.ports",
    "al_loop.mixture": "al_loop.config numpy",
    "al_loop.text": "al_loop.numerals",
    "al_loop.numerals": "num2words",
    "al_loop.silence": "numpy",
    "al_loop.leakage": "al_loop.text",
    "al_loop.metrics": "al_loop.text jiwer numpy",
    "al_loop.promotion": "al_loop.config al_loop.metrics numpy",
    "al_loop.evaluation": "al_loop.metrics al_loop.promotion al_loop.text numpy",
    "al_loop.audio": "av numpy soxr",
    "al_loop.alignment": "al_loop.alignment numpy",
    "al_loop.sources": "al_loop.sources al_loop.addresses al_loop.alignment al_loop.audio "
    "al_loop.clips al_loop.groups "
    "al_loop.languages al_loop.leakage al_loop.licences al_loop.objects al_loop.silence "
    "al_loop.text av datasets "
    "espeakng_loader faster_whisper filelock fsspec huggingface_hub lhotse numpy pypdf scipy soxr "
    "torch transformers uroman yaml",
    "al_loop.whisper": "al_loop.whisper al_loop.alignment al_loop.audio al_loop.clips "
    "al_loop.config al_loop.languages al_loop.text numpy safetensors soxr torch transformers "
    "huggingface_hub accelerate peft ctranslate2 tokenizers faster_whisper",
    "al_loop.engine": "al_loop.engine ray torch",
    "al_loop.report": "al_loop.closing al_loop.evidence_lines al_loop.progress",
    "al_loop.model_card": "al_loop.licences al_loop.report",
    "al_loop.licences": "",
    "al_loop.demo": "al_loop.demo al_loop.metrics al_loop.report al_loop.sources.espeak numpy",
    "al_loop.wiring": "al_loop labeling storage filelock",
    "al_loop.cli": "al_loop labeling storage ui click filelock numpy tqdm",
    "al_loop.__main__": "al_loop.cli",
    "labeling": "labeling al_loop.agreement al_loop.metrics al_loop.rover al_loop.text httpx "
    "filelock platformdirs label_studio_sdk jiwer numpy boto3 botocore",
    "storage": "storage al_loop.groups numpy pyarrow sqlite_utils",
    "ui": "ui al_loop.ablation_table al_loop.alarms al_loop.annotators al_loop.audio "
    "al_loop.clips al_loop.licences "
    "al_loop.config al_loop.confusions "
    "al_loop.hours al_loop.metrics al_loop.overview al_loop.paired al_loop.progress al_loop.report "
    "al_loop.text "
    "al_loop.simulation al_loop.verdict storage.queries storage.workspace PIL altair numpy pandas "
    "starlette streamlit vl_convert",
}
FOR_TYPES = {
    "al_loop.records": "numpy",
    "al_loop.ports": "numpy",
    "al_loop.simulation": "al_loop.ports al_loop.round",
    "al_loop.sources": "al_loop.ports",
    "al_loop.report": "al_loop.config storage.queries",
    "al_loop.closing": "al_loop.config",
    "al_loop.model_card": "storage.queries",
    "al_loop.overview": "al_loop.config storage.queries",
    "al_loop.verdict": "al_loop.config storage.queries",
    "al_loop.demo": "storage.queries",
    "labeling": "al_loop.config",
}
"""What a room may name besides, where only a type checker looks."""
HEAVY = {"torch", "transformers", "datasets", "streamlit", "label_studio_sdk", "ray"}
HEAVY_ROOMS = ("al_loop.whisper", "ui")
"""Where a heavy import may stand at the top of a module: nobody imports these without need."""


@dataclass(frozen=True)
class Import:
    """`name`: `storage.store.Store`, say. `when`: with its module, with a call, or never."""

    name: str
    line: int
    when: Literal["module", "call", "types"]


def imports(tree: ast.Module, package: str) -> Iterator[Import]:
    """All imports of a module that lies in `package`, inside functions and type checks too."""
    called, typed = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            called |= set(ast.walk(node))
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            typed |= {inner for statement in node.body for inner in ast.walk(statement)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level]
            origin = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            names = [f"{origin}.{alias.name}" for alias in node.names]
        else:
            continue
        when = "types" if node in typed else "call" if node in called else "module"
        yield from (Import(name, node.lineno, when) for name in names)


def lies_in(name: str, place: str) -> bool:
    return name == place or name.startswith(f"{place}.")


def complaints(path: Path, root: Path = ROOT) -> list[str]:
    """What the module at `path` imports and must not."""
    relative = path.relative_to(root)
    module = ".".join(relative.with_suffix("").parts).removesuffix(".__init__")
    rooms = [room for room in ROOMS if lies_in(module, room)]
    if not rooms:
        return [] if module == "al_loop" else [f"{relative}: belongs to no room"]
    room = max(rooms, key=len)
    allowed = EVERYBODY | set(ROOMS[room].split())
    found = []
    for row in imports(ast.parse(path.read_text(encoding="utf-8")), ".".join(relative.parts[:-1])):
        top = row.name.split(".")[0]
        if top in sys.stdlib_module_names:
            # SQL belongs to storage, whoever brings the driver
            forbidden = top == "sqlite3" and room != "storage"
        else:
            besides = FOR_TYPES.get(room, "").split() if row.when == "types" else []
            forbidden = not any(lies_in(row.name, place) for place in [*allowed, *besides])
        if forbidden:
            found.append(f"{relative}:{row.line}: {room} must not import {row.name}")
        elif top in HEAVY and row.when == "module" and room not in HEAVY_ROOMS:
            found.append(f"{relative}:{row.line}: {top} may be imported in functions only")
    return found


def modules() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def test_every_module_keeps_to_its_room() -> None:
    assert [line for path in modules() for line in complaints(path)] == []


def test_every_room_is_still_there() -> None:
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in modules()}
    assert [room for room in ROOMS if not any(lies_in(name, room) for name in names)] == []


def test_packages_import_nothing_by_themselves() -> None:
    inits = [path for path in modules() if path.name == "__init__.py"]
    assert len(inits) > len(PACKAGES)
    for path in inits:
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert all(isinstance(node, ast.Expr) for node in body), f"{path} is more than a docstring"


@pytest.mark.parametrize(
    ("path", "source", "complaint"),
    [
        ("storage/x.py", "import torch", "storage must not import torch"),
        ("storage/x.py", "def f():\n    from labeling import tasks", "must not import labeling."),
        ("storage/x.py", "from al_loop.whisper import decode", "must not import al_loop.whisper."),
        ("labeling/x.py", "from al_loop.config import Settings", "must not import al_loop.config."),
        ("labeling/x.py", "import sqlite3", "labeling must not import sqlite3"),
        ("labeling/x.py", "import label_studio_sdk", "may be imported in functions only"),
        ("ui/x.py", "from storage.store import Store", "ui must not import storage.store.Store"),
        ("ui/x.py", "if TYPE_CHECKING:\n    import labeling.oracle", "must not import labeling."),
        ("al_loop/round.py", "import click", "al_loop.round must not import click"),
        ("al_loop/round.py", "from storage.store import Store", "must not import storage.store."),
        ("al_loop/acquisition/x.py", "from al_loop import round", "must not import al_loop.roun"),
        ("al_loop/engine/x.py", "from ..whisper import decode", "must not import al_loop.whisper."),
        ("al_loop/engine/x.py", "from .. import whisper", "must not import al_loop.whisper"),
        ("al_loop/sources/x.py", "import datasets as d", "datasets may be imported in functions"),
        ("al_loop/demo/x.py", "from storage import queries", "must not import storage.queries"),
        ("al_loop/novelty.py", "", "belongs to no room"),
    ],
)
def test_a_breach_is_found(tmp_path: Path, path: str, source: str, complaint: str) -> None:
    breach = tmp_path / path
    breach.parent.mkdir(parents=True)
    breach.write_text(source, encoding="utf-8")
    (found,) = complaints(breach, tmp_path)
    assert found.startswith(path)
    assert complaint in found


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("al_loop/sources/x.py", "def f():\n    import datasets"),
        ("al_loop/whisper/x.py", "import torch\nfrom . import decode"),
        ("storage/x.py", "import sqlite3\nfrom al_loop.records import Round"),
        ("al_loop/demo/x.py", "if TYPE_CHECKING:\n    from storage.queries import Reader"),
        ("al_loop/cli.py", "from labeling.oracle import LabelStudioOracle"),
    ],
)
def test_what_is_allowed_is_not_complained_about(tmp_path: Path, path: str, source: str) -> None:
    module = tmp_path / path
    module.parent.mkdir(parents=True)
    module.write_text(source, encoding="utf-8")
    assert complaints(module, tmp_path) == []
