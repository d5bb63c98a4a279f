"""`al-loop pseudo-label`: what recognisers agree on, made by hand."""

from __future__ import annotations

from pathlib import Path

import click

from al_loop.wiring import alone, find_checkpoint, open_workspace, wire


@click.command(name="pseudo-label")
@click.option(
    "--precision",
    type=click.FloatRange(min=0, max=1, min_open=True, max_open=True),
    help="Share of their words that should be right; default: pseudo_labels.precision.",
)
@click.option("--dry-run", is_flag=True, help="Print what would come of it, and store no text.")
@click.pass_obj
def pseudo_label(workspace: Path, precision: float | None, dry_run: bool) -> None:
    """Give texts to clips of the pool that several recognisers hear alike.

    Prints how much of the pool every threshold of agreement would give, and how many of the words
    are right then, as measured on clips whose words are known and that no recogniser has learned:
    the validation split, and labels that came since the last training. The texts take the place of
    those made before, but for those that were learned, which stay as they are. Training uses them
    where pseudo_labels.enabled is true, and every round makes them. What is heard is kept:
    interrupted, it goes on where it was.
    """
    from al_loop.pseudo_labels import PseudoLabels
    from al_loop.pseudo_lines import lines

    root, settings, store = open_workspace(workspace)
    with alone(root):
        in_use = find_checkpoint(store, None)
        loop = wire(root, settings, store, click.echo)
        makes = PseudoLabels(settings, store, loop.listening, loop.speller, click.echo)
        made = makes.make(in_use, precision)
        if not dry_run:
            store.put_pseudo_labels(None, made.labels, made.report)
    for line in lines(made.report):
        click.echo(line)
    if dry_run:
        click.echo("nothing is stored: without --dry-run these texts would be")
    elif made.labels and not settings.pseudo_labels.enabled:
        click.echo("no round uses them as long as pseudo_labels.enabled is false")
