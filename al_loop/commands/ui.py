"""`al-loop ui`: the dashboard's server, with the options that keep it safe.

Options go by the command line, where no `config.toml` of the reader or of the current folder
overrules them; so does the theme, for then there is no file that has to be found.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

LOOPBACK = "127.0.0.1"
OPTIONS = {
    "server.headless": "true",
    "server.enableCORS": "true",
    "server.enableXsrfProtection": "true",
    "server.enableStaticServing": "false",
    "server.maxUploadSize": "1",
    "server.fileWatcherType": "none",
    "server.runOnSave": "false",
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "client.showErrorLinks": "false",
    "browser.gatherUsageStats": "false",
    "global.developmentMode": "false",
}
"""Of Streamlit. What goes wrong is told in the terminal, not to readers."""
THEME = {
    "theme.light.textColor": "#14130f",
    "theme.light.primaryColor": "#a82a38",
    "theme.dark.textColor": "#f4f2ef",
    "theme.dark.primaryColor": "#f2919a",
}
"""Captions are Streamlit's text colour at 60%: with these they have a contrast of 4.5:1 at least
(WCAG 2.2, 1.4.3) on every background of the theme. Whether light or dark follows the browser."""


@click.command()
@click.option("--port", type=click.IntRange(min=1, max=65535), default=8501, show_default=True)
@click.option(
    "--address",
    default=LOOPBACK,
    show_default=True,
    help="Where to listen; 0.0.0.0 for every network, once dashboard.access says who may look.",
)
@click.option(
    "--base-path", default="", help="The path under which a proxy serves it, such as dashboard."
)
@click.pass_obj
def ui(workspace: Path, port: int, address: str, base_path: str) -> None:
    """Open the dashboard, on loopback unless told otherwise."""
    from al_loop.config import load_settings
    from storage.workspace import Workspace
    from ui import access

    root = Workspace.open(workspace)
    access.check_served(load_settings(root.config).dashboard, address)
    arguments = {
        "server.address": address,
        "server.port": str(port),
        "server.baseUrlPath": base_path,
        **OPTIONS,
        **THEME,
    }
    options = [part for name, value in arguments.items() for part in (f"--{name}", value)]
    shown = "localhost" if address in ("0.0.0.0", "::") else address
    shown = f"[{shown}]" if ":" in shown else shown
    click.echo(f"dashboard: http://{shown}:{port}/{base_path.strip('/')}".rstrip("/"))
    environment = os.environ | {"AL_LOOP_WORKSPACE": str(root.root)}
    page = Path(access.__file__).with_name("server.py")
    command = [sys.executable, "-m", "streamlit", "run", str(page), *options]
    sys.stdout.flush()
    os.execve(sys.executable, command, environment)  # so that what ends this command ends it
