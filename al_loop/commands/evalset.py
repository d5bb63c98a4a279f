"""`al-loop evalset`: an evaluation set of the pool's own audio, drawn before anything is chosen."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from al_loop.config import Settings
from al_loop.groups import WAYS
from al_loop.records import Case, Label
from al_loop.wiring import alone, open_workspace


@click.group()
def evalset() -> None:
    """A test set of your own audio: drawn at random, labelled by two, then frozen."""


@evalset.command()
@click.option("--name", default="in_house_test", show_default=True, help="Of the set.")
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    help="Of audio.",
)
@click.option(
    "--by",
    type=click.Choice(WAYS),
    default="speaker",
    show_default=True,
    help="What leaves the pool as a whole. Without a known speaker it is the recording: the part "
    "of the origin before a #, or the file's folder.",
)
@click.pass_obj
def draw(workspace: Path, name: str, minutes: float, by: Any) -> None:
    """Draw a set from the pool; do it before the first batch.

    Its clips are asked with empty boxes, of two annotators each, in a project of their own. They
    and all that is grouped with them leave the pool.
    """
    from al_loop.evalset import draw_set

    if not re.fullmatch(r"[\w-][\w.-]*", name):
        raise click.UsageError(f"--name {name!r}: expected letters, digits, dots and hyphens")
    root, settings, store = open_workspace(workspace)
    with alone(root):
        found = draw_set(store, name, 60 * minutes, settings.model.language, settings.seed, by)
    click.echo(
        f"{len(found.groups)} clips ({found.drawn_s / 60:.1f} min) of "
        f"{len(set(found.groups.values()))} groups are drawn, and {len(found.reserved)} "
        f"({found.reserved_s / 60:.1f} min) of the same groups leave the pool with them"
    )
    click.echo("`al-loop labelstudio sync` or the next round asks about them")


@evalset.command()
@click.pass_obj
def status(workspace: Path) -> None:
    """How far the sets are labelled, and what is not fit to measure on."""
    from al_loop.evalset import set_lines, sort_out

    _, settings, store = open_workspace(workspace)
    language = settings.model.language
    settle, backers = _rules(settings)
    sets = store.draws()
    if not sets:
        click.echo("no set is drawn; `al-loop evalset draw` makes one")
    for name, frozen_at in sets.items():
        found = sort_out(store, name, settle, backers, language)
        for line in set_lines(name, frozen_at, store.drawn(name), found):
            click.echo(line)


@evalset.command()
@click.option("--name", default="in_house_test", show_default=True, help="Of the set.")
@click.option("--as-it-is", is_flag=True, help="Leave out what still waits for answers.")
@click.pass_obj
def freeze(workspace: Path, name: str, as_it_is: bool) -> None:
    """Make what two annotators agree on a test split; it never changes again."""
    from al_loop.evalset import freeze_set, reasons

    root, settings, store = open_workspace(workspace)
    with alone(root):
        settle, backers = _rules(settings)
        found = freeze_set(store, name, settle, backers, settings.model.language, as_it_is)
        seconds = store.drawn(name)
    fit_s = sum(seconds[id_] for id_ in found.texts)
    click.echo(f"{name}: {len(found.texts)} clips ({fit_s / 60:.1f} min) are frozen")
    for why in reasons(found):
        click.echo(f"left out: {why}")


def _rules(
    settings: Settings,
) -> tuple[Callable[[Case], Label | None], Callable[[Case, Label], int]]:
    """What an utterance's label is, and how many annotators say so."""
    from labeling.backers import backers
    from labeling.quality import LabelJudge

    rule, language = settings.labels, settings.model.language
    return LabelJudge(rule, language).settle, partial(backers, rule=rule, language=language)
