"""The README's commands for one's own audio, typed as they stand there, on real parts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from al_loop.demo.corpus import Part, build_corpus
from labeling.server import EmbeddedServer

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parent.parent.parent
PARTS = (
    Part("ky", "pool", 3, ("m1",)),
    Part("ky", "train", 4, ("m1", "f1")),
    Part("ky", "test", 2, ("m2",)),
    Part("ru", "train", 2, ("m1",)),
    Part("ru", "test", 2, ("m2",)),
)


def test_the_commands_of_the_readme(tmp_path: Path, label_studio: EmbeddedServer) -> None:
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("## Your own audio")[1]
    match = re.search(r"^```sh\n(.*?)^```", section, re.M | re.S)
    assert match
    build_corpus(tmp_path / "corpus", 5, lambda done, total: None, PARTS)
    corpus = tmp_path / "corpus"
    for language, suffix in (("ky", ""), ("ru", "_ru")):
        for split in ("train", "test"):
            made = corpus / (f"train_{language}.tsv" if split == "train" else "test.tsv")
            header, *rows = made.read_text(encoding="utf-8").splitlines()
            own = [
                row.replace(f"\t{language}\t", "\t\t") for row in rows if f"\t{language}\t" in row
            ]
            lines = "\n".join([header, *own])
            (tmp_path / f"{split}{suffix}.tsv").write_text(lines, encoding="utf-8")
    for table in tmp_path.glob("*.tsv"):
        table.replace(corpus / table.name)
    corpus.rename(tmp_path / "fleurs")
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    for line in (tmp_path / "fleurs" / "pool.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        shutil.copy(tmp_path / "fleurs" / line.split("\t")[0], recordings)

    environment = os.environ | {
        "AL_LOOP_DATA_DIR": str(label_studio.home.parent),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["/bin/sh", "-ec", match[1]],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 added" in done.stdout
    assert "round 0: " in done.stdout
    status = done.stdout.splitlines()[-5:]
    assert status[0] == "round:    1, at pull"
    assert "0 of 3 tasks are answered" in status[1]
