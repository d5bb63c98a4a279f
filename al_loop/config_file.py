"""The settings as text: a new workspace's al_loop.toml, and the README's table. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import tomli_w

from al_loop.config import Section, Settings


def setting_rows() -> Iterator[tuple[str, str, str, str]]:
    """(section, key, default as TOML, description) of every setting; section "" is the top."""
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, Section):
            for key, inner in type(field.default).model_fields.items():
                yield name, key, _toml(inner.default), inner.description or ""
        else:
            yield "", name, _toml(field.default), field.description or ""


def default_config() -> str:
    """An al_loop.toml in which every setting stands at its default, commented out."""
    lines = ["# Every setting at its default: remove a `# ` to change one."]
    current = ""
    for section, key, default, description in setting_rows():
        if section != current:
            lines += ["", f"[{section}]"]
            current = section
        lines.append(f"# {key} = {default or '…'}  # {description}")
    return "\n".join(lines) + "\n"


def settings_table() -> str:
    """The README's configuration table."""
    lines = ["| setting | default | meaning |", "|---|---|---|"]
    for section, key, default, description in setting_rows():
        name = f"{section}.{key}" if section else key
        lines.append(f"| `{name}` | {f'`{default}`' if default else ''} | {description} |")
    return "\n".join(lines)


def _toml(value: Any) -> str:
    """One value as TOML; "" where the default is to leave it out."""
    if value == {}:
        return "{}"  # tomli_w would open a table
    if isinstance(value, list | tuple):
        return json.dumps(value)  # on one line, which tomli_w would not do
    return "" if value is None else tomli_w.dumps({"v": value}).removeprefix("v = ").strip()
