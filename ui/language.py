"""The interface's words, in English, Russian and Kyrgyz, from the plain files in `ui/messages`.

Each file holds the messages of one view, `common.toml` those that all views share, `columns.toml`
the tables' headings: one table a message, with a line for each language.

    [waits]
    en = "Waits for annotators: {answered} of {tasks} tasks are answered."
    ru = "…"
    ky = "…"

Knows neither Streamlit nor the database. `tests/ui/test_language.py` finds what is missing.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal, get_args

Language = Literal["en", "ru", "ky"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
FOLDER = Path(__file__).parent / "messages"


@cache
def catalogue() -> Mapping[str, Mapping[str, str]]:
    """`FILE.KEY` -> language -> message, of all files."""
    return {
        f"{path.stem}.{key}": languages
        for path in sorted(FOLDER.glob("*.toml"))
        for key, languages in tomllib.loads(path.read_text(encoding="utf-8")).items()
    }


class Say:
    """The messages in one language: `say("common.workspace", name="…")`.

    Values are put in as they are. Where a message is Markdown, whoever passes text that is not ours
    passes it through `ui.elements.as_code`.
    """

    def __init__(self, language: Language) -> None:
        self.language = language

    def __call__(self, key: str, **values: object) -> str:
        """Raises KeyError for a message that is in no file, or lacks a value."""
        return catalogue()[key][self.language].format(**values)

    def has(self, key: str) -> bool:
        """Whether there is such a message, for those that are optional."""
        return key in catalogue()
