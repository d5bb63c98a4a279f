"""docs/cluster.md and docs/deploy/cluster, read once for the tests of them."""

from __future__ import annotations

import re
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from al_loop.cli import main

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FOLDER = DOCS / "deploy" / "cluster"
GUIDE = (DOCS / "cluster.md").read_text(encoding="utf-8")
UP: dict[str, Any] = yaml.safe_load((FOLDER / "ray-up.yaml").read_text(encoding="utf-8"))
NODES: dict[str, dict[str, Any]] = UP["available_node_types"]
OBJECTS: list[dict[str, Any]] = list(
    yaml.safe_load_all((FOLDER / "kuberay.yaml").read_text(encoding="utf-8"))
)
(CLUSTER,) = [row for row in OBJECTS if row["kind"] == "RayCluster"]
GROUPS = [CLUSTER["spec"]["headGroupSpec"], *CLUSTER["spec"]["workerGroupSpecs"]]
NODE_SH = (FOLDER / "node.sh").read_text(encoding="utf-8")
CRONTAB = (FOLDER / "crontab").read_text(encoding="utf-8")
DOCKERFILE = (DOCS / "deploy" / "Dockerfile").read_text(encoding="utf-8")
SHARED = {"alignments", "audio", "checkpoints", "ctc", "logs/tensorboard", "simulations"}
"""Of the workspace: what workers read or write."""
SNIPPETS = [tomllib.loads(text) for text in re.findall(r"^```toml\n(.*?)^```", GUIDE, re.M | re.S)]

with_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra `ray`")


def named(kind: str) -> dict[str, dict[str, Any]]:
    return {row["metadata"]["name"]: row for row in OBJECTS if row["kind"] == kind}


def pod_of(group: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = group["template"]["spec"]
    return spec


def pinned(package: str) -> str:
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    (version,) = re.findall(rf"^{package}==(\S+)$", constraints, re.M)
    return str(version)


def check_command(words: list[str]) -> None:
    """Raises for a command of ours that does not exist, or has other options."""
    assert words[0] == "al-loop"
    group: click.Command = main
    rest = words[1:]
    while isinstance(group, click.Group):
        group = group.commands[rest.pop(0)]
    options = {name for row in group.params for name in row.opts}
    assert {word for word in rest if word.startswith("--")} <= options
