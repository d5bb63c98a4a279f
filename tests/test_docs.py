"""The README names every command, and neither it nor the guides name one that does not exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import click
import pytest

from al_loop.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDES = [
    README,
    *(
        (ROOT / "docs" / name).read_text(encoding="utf-8")
        for name in ("labelling.md", "dashboard.md", "data.md")
    ),
]
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)


def commands(group: click.Group, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


COMMANDS = dict(commands(main))


def code_lines() -> list[str]:
    pattern = re.compile(r"^```(?:sh|cron|ini)\n(.*?)^```", re.M | re.S)
    blocks = [block for guide in GUIDES for block in pattern.findall(guide)]
    return [line for block in blocks for line in block.splitlines() if "al-loop " in line]


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "demo"])
def test_every_command_is_in_the_readme(name: str) -> None:
    assert re.search(rf"(al-loop( -w \S+)?|`) ?{name}\b", README), name


@pytest.mark.parametrize("line", code_lines())
def test_every_command_line_of_the_readme_is_one(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("book.mp3", "book.txt"):
        Path(name).touch()
    lexer = shlex.shlex(line[line.index("al-loop ") :], posix=True, punctuation_chars="|;)")
    lexer.whitespace_split = True
    words = list(takewhile(lambda word: word[0] not in "|;)", lexer))[1:]
    if words[0] == "-w":
        words = words[2:]
    name = next(name for name in (words[0], " ".join(words[:2])) if name in COMMANDS)
    rest = words[len(name.split()) :]
    COMMANDS[name].make_context(name, rest)  # raises on an unknown option or a missing argument


def test_every_make_target_of_the_readme_exists() -> None:
    named = set(re.findall(r"`make ([a-z-]+)", README)) | set(
        re.findall(r"^make ([a-z-]+)", README, re.M)
    )
    assert named
    assert named <= set(TARGETS)


def test_links_and_pictures_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README):
        assert (ROOT / target).exists(), target
