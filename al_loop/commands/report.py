"""`al-loop report`: the overview as one HTML file, for mail from cron."""

from __future__ import annotations

import os
import shlex
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from al_loop.errors import WorkspaceError

LANGUAGES = ("en", "ru", "ky")
"""As `ui.language` has them."""


@click.command()
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write, in place of one that is there; default: standard output.",
)
@click.option(
    "--language",
    type=click.Choice(LANGUAGES),
    show_default="dashboard.language",
    help="Of the words.",
)
@click.pass_obj
def report(workspace: Path, output: Path | None, language: Any) -> None:
    """The overview as one HTML file: alarms, verdict, key figures, charts.

    It needs no other file and holds no scripts, so that it can be mailed.
    """
    made = _make(workspace, language).encode()
    if output is None:
        sys.stdout.buffer.write(made)  # UTF-8, whatever the locale of cron is
        return
    unfinished = output.with_name(f".{output.name}.{os.getpid()}.unfinished")
    try:
        try:
            unfinished.write_bytes(made)
            os.replace(unfinished, output)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as exc:
        raise WorkspaceError(
            f"{output} cannot be written: {exc.strerror}; name another file with --output"
        ) from exc
    click.echo(f"{output} is written")


def _make(folder: Path, language: Any) -> str:
    from al_loop.config import load_settings
    from al_loop.overview import overview
    from storage.queries import Reader
    from storage.workspace import Workspace
    from ui.language import Say
    from ui.names import shown_name
    from ui.report import Material, report_html
    from ui.rounds_table import rounds_with_costs

    root = Workspace.open(folder)
    settings = load_settings(root.config)
    now = datetime.now(UTC)
    with Reader(root) as reader:
        material = Material(
            overview(reader, settings, now),
            reader.error_rates(),
            rounds_with_costs(reader, settings),
            root.root.name,
            f"al-loop -w {shlex.quote(str(root.root))}",
            now.isoformat(),
        )
        workspace_id = reader.workspace_id()
    named = partial(shown_name, settings=settings.dashboard, workspace_id=workspace_id)
    return report_html(material, settings, Say(language or settings.dashboard.language), named)
