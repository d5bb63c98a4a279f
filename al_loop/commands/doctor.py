"""The command `doctor`. Knows Click, and that there are checks; knows none of them."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command()
@click.pass_obj
def doctor(workspace: Path) -> None:
    """Look whether all is well with the workspace, this program and Label Studio.

    Prints a line for each thing that it looked at, with what to do where something is wrong. It
    changes nothing, but for a line of text that it writes where audio.url keeps the clips. Ends
    with 1 when anything has failed; warnings do not count.
    """
    from al_loop.doctor.run import diagnose

    failed = False
    for check in diagnose(workspace):
        failed |= check.state == "failure"
        for line in check.lines():
            click.echo(line)
    if failed:
        sys.exit(1)
