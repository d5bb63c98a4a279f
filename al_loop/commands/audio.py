"""`al-loop audio`: a workspace's clips and the object storage that keeps them."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import click

from al_loop.errors import ConfigError, WorkspaceError
from al_loop.wiring import clips_of, open_workspace

AT_ONCE = 500
"""Clips between two looks at the progress."""


@click.group()
def audio() -> None:
    """The clips' place in object storage: audio.url."""


@audio.command()
@click.pass_obj
def push(workspace: Path) -> None:
    """Bring the clips to audio.url that are not there.

    For a workspace that had its clips in its folder. It may be interrupted, and called again; what
    is there, in the same length, is not sent a second time. The files stay here until the cache
    needs their room. Clips that are damaged or lost are named at the end.
    """
    from tqdm import tqdm

    root, settings, store = open_workspace(workspace)
    clips = clips_of(root, settings)
    if clips.place.url is None:
        raise ConfigError(
            f"{root.config} names no audio.url to bring clips to; set it to s3://bucket/prefix"
        )
    names, sent, count = iter(store.clip_names()), 0, 0
    bad: dict[str, str] = {}
    with tqdm(unit="clip", disable=None) as bar:
        while part := list(islice(names, AT_ONCE)):
            sent += clips.bring(part, bad)
            count += len(part)
            bar.update(len(part))
    there = f"{count - len(bad)} of {count}" if bad else f"all {count}"
    click.echo(f"{sent} clips sent to {clips.place.url}; {there} are there")
    if bad:
        for why in bad.values():
            click.echo(why)
        raise WorkspaceError(
            f"{len(bad)} clips are not at {clips.place.url}, each for the reason above; mend them "
            "and call again"
        )
