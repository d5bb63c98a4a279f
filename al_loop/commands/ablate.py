"""`al-loop ablate`: what each source brings, measured."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from al_loop.wiring import alone, open_workspace, wire


@click.command()
@click.option("--name", show_default="by-kind, or by-source", help="A run of it goes on.")
@click.option(
    "--by",
    type=click.Choice(("kind", "source")),
    default="kind",
    show_default=True,
    help="What a row adds: all sources of a kind, or one.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Trainings of every row; from two on, intervals cover a training's luck too.",
)
@click.option(
    "--draws",
    type=click.IntRange(min=1),
    show_default="as the row with most",
    help="Examples that an epoch of every row draws.",
)
@click.option(
    "--leave-one-out/--no-leave-one-out",
    default=True,
    show_default=True,
    help="Also train on all less each.",
)
@click.pass_obj
def ablate(
    workspace: Path, name: str | None, by: Any, seeds: int, draws: int | None, leave_one_out: bool
) -> None:
    """Measure what each source brings: add one after another, and leave each out.

    Rows are the untrained base, then open data, forced alignment, synthesis, in-house labels and
    pseudo-labels, as far as there are any; columns are the evaluation sets. All rows are trained
    from the same base with the same seed, mixture and number of draws; data of other languages is
    in all of them. It changes no round and no checkpoint. While it trains it holds the workspace,
    and `round` does nothing. With Ray several rows are trained at once. Interrupted, it goes on
    where it was.
    """
    from al_loop.ablate import ablate as run
    from al_loop.ablate_plan import Ablation, make_plan
    from al_loop.ablation_table import report

    name = f"by-{by}" if name is None else name
    if not re.fullmatch(r"[\w-][\w.-]*", name):
        raise click.UsageError(f"--name {name!r}: expected letters, digits, dots and hyphens")
    root, settings, store = open_workspace(workspace)
    with alone(root):
        plan = make_plan(Ablation(name, by, seeds, draws, leave_one_out), settings, store)
        loop = wire(root, settings, store, click.echo)
        results = run(plan, settings, store, store, loop.engine, loop.recognizer, click.echo)
    groups = [(row.label, row.sources) for row in plan.groups]
    click.echo()
    for line in report(results, groups, settings.evaluate.bootstrap_samples, leave_one_out):
        click.echo(line)
