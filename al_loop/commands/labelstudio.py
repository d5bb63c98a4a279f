"""The group `labelstudio`: this machine's server, and what passes between one and a workspace."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from al_loop.commands.transfer import import_project
from al_loop.config import EMBEDDED
from al_loop.errors import AlLoopError, OracleError, WorkspaceError
from al_loop.wiring import LOG, alone, connect_label_studio, open_workspace, wire
from labeling.addresses import HOST

if TYPE_CHECKING:
    from labeling.server import Running
    from storage.workspace import Workspace

SECRET_NAME = "listen.secret"
LEAVE_WITHIN_S = 10.0
ENDS = (signal.SIGTERM, signal.SIGINT)


@click.group()
def labelstudio() -> None:
    """The Label Studio server of this machine, and what passes between it and the workspace."""


labelstudio.add_command(import_project, "import")


@labelstudio.command()
def up() -> None:
    """Install Label Studio if need be, start it on loopback, wait until it answers."""
    from labeling.server import EmbeddedServer

    _show(EmbeddedServer().up(click.echo))


@labelstudio.command()
def down() -> None:
    """Stop it; what was labelled stays."""
    from labeling.server import EmbeddedServer

    click.echo("stopped" if EmbeddedServer().down() else "it was not running")


@labelstudio.command()
def status() -> None:
    """Whether it runs, and where."""
    from labeling.server import EmbeddedServer

    running = EmbeddedServer().status()
    if running is None:
        click.echo("not running; `al-loop labelstudio up` starts it")
    else:
        _show(running)


@labelstudio.command()
@click.option("--quick", is_flag=True, help="Look for deleted tasks as seldom as `round` does.")
@click.pass_obj
def sync(workspace: Path, quick: bool) -> None:
    """Push what is missing and pull what was answered, without advancing the round.

    `al-loop round` does so too, before it goes on.
    """
    root, settings, store = open_workspace(workspace)
    try:
        with alone(root):
            click.echo(wire(root, settings, store).sync(thorough=not quick))
    except AlLoopError:
        raise
    except Exception as exc:
        LOG.exception("sync failed")
        raise click.ClickException(f"{exc!r}; the whole story is in {root.logs}") from exc


@labelstudio.command()
@click.option("--host", default=HOST, show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(1, 65535), default=8502, show_default=True)
@click.option(
    "--url",
    help="What Label Studio has to call to get here, through a proxy, say; default: that address.",
)
@click.option(
    "--quiet-s",
    type=click.FloatRange(min=0),
    default=2.0,
    show_default=True,
    help="Wait for further answers for so many seconds …",
)
@click.option(
    "--latest-s",
    type=click.FloatRange(min=0),
    default=15.0,
    show_default=True,
    help="… but not longer than this after the first.",
)
@click.pass_obj
def listen(
    workspace: Path, host: str, port: int, url: str | None, quiet_s: float, latest_s: float
) -> None:
    """Pull within seconds of an answer, until it is stopped; optional, for cron polls anyway.

    Has Label Studio call this process when an answer comes, and calls `labelstudio sync` then. What
    a call says is not read. The webhooks are taken away at the end.
    """
    from filelock import FileLock, Timeout

    from labeling.listener import Bell, Receiver, attend, secret_of
    from labeling.webhooks import Webhooks

    root, settings, store = open_workspace(workspace)
    if url is None and settings.label_studio.url != EMBEDDED:
        raise click.UsageError(
            "a server of your own has to be told where this is: name the address with --url, such "
            f"as http://loop.example.org:{port}, and let --host be one that it can reach"
        )
    bell = Bell(quiet_s, latest_s)

    def keep() -> None:
        # the server is asked which of them it has: its address may have changed
        webhooks.keep(connect_label_studio(settings), store.places().values())

    def take_away() -> None:
        try:
            webhooks.remove(connect_label_studio(settings))
        except OracleError as exc:
            _say(f"the webhooks stay: {exc}")

    def leave() -> None:
        # a server that hangs must not keep us from ending; one that calls nobody has lost nothing
        leaving = threading.Thread(target=take_away, daemon=True)
        leaving.start()
        leaving.join(LEAVE_WITHIN_S)

    with ExitStack() as stack:
        try:
            stack.enter_context(FileLock(root.root / "listen.lock", blocking=False))
        except Timeout as exc:
            raise WorkspaceError("somebody listens for this workspace already") from exc
        secret = secret_of(root.root / SECRET_NAME)
        receiver = Receiver(host, port, secret, bell.ring)
        webhooks = Webhooks(url or f"http://{host}:{port}", secret)
        for number in ENDS:
            signal.signal(number, _leave)
        stack.enter_context(receiver.serving())
        stack.callback(leave)
        _say(f"listening at http://{host}:{port}")
        attend(bell, partial(_sync_apart, root), keep, _say)


def _sync_apart(root: Workspace) -> bool:
    """Call `labelstudio sync` in a process of its own; whether it could do its work.

    What it loads goes with it, and it ends when this process is told to end: it may be killed at
    any instant.
    """
    command = [
        sys.executable,
        "-m",
        "al_loop",
        "--workspace",
        str(root.root),
        "labelstudio",
        "sync",
        "--quick",
    ]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as child:
        try:
            said, _ = child.communicate()
        except BaseException:
            child.terminate()
            raise
    for line in said.decode(errors="replace").splitlines():
        _say(line)
    return child.returncode == 0


def _leave(*_: object) -> None:
    """End by leaving all blocks, and let nobody interrupt that."""
    for number in ENDS:
        signal.signal(number, signal.SIG_IGN)
    sys.exit(0)


def _say(line: str) -> None:
    LOG.info(line)
    click.echo(line)


def _show(running: Running) -> None:
    click.echo(f"Label Studio: {running.url}")
    click.echo(f"user {running.username}, password in {running.password_file}")
