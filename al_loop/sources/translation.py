"""Lines of another language, translated before they are spoken: pseudo-domain data.

Knows the port `Translator`, no model. What was translated is kept, a line of JSON each, so that a
run that was killed goes on, and so that it can be read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Protocol

from al_loop.records import TRANSLATED_BY, content_hash
from al_loop.sources.synthesis_texts import Line

BLOCK = 16
"""Lines translated at once. A block is kept as a whole: what stands beside a line in its batch may
move the last digits of its scores."""


class Translator(Protocol):
    """What translates. name: of the model. licence: of its weights. id: the name and languages.

    translate: each text in the other language, in order; "" where nothing comes of it.
    """

    name: str
    licence: str
    id: str

    def translate(self, texts: Sequence[str]) -> list[str]: ...


def translated(lines: Iterable[Line], translator: Translator, folder: Path) -> Iterator[Line]:
    """The lines in the other language; where a text comes from names the translator.

    folder: keeps what was translated.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{content_hash(translator.id)[:16]}.jsonl"
    kept = _read(path)
    rest = iter(lines)
    with path.open("a", encoding="utf-8") as file:
        while block := list(islice(rest, BLOCK)):
            texts = [line.text for line in block if not line.problem]
            if any(text not in kept for text in texts):
                found = dict(zip(texts, translator.translate(texts), strict=True))
                new = {text: said for text, said in found.items() if text not in kept}
                kept |= new
                for text, said in new.items():
                    file.write(json.dumps([text, said], ensure_ascii=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
            for line in block:
                yield line if line.problem else _in_place(line, kept[line.text], translator.name)


def _in_place(line: Line, text: str, name: str) -> Line:
    origin = f"{line.text_origin}{TRANSLATED_BY}{name}"
    problem = None if text.strip() else f"{name} gives no sentence for it"
    return replace(line, text=text.strip(), text_origin=origin, problem=problem)


def _read(path: Path) -> dict[str, str]:
    """What was kept. A last line that a killed run left in half is cut off."""
    kept: dict[str, str] = {}
    if not path.is_file():
        return kept
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        os.truncate(path, len(whole))
    for row in whole.decode("utf-8").split("\n")[:-1]:
        text, said = json.loads(row)
        kept.setdefault(text, said)
    return kept
