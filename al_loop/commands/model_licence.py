"""What a command says of the licence of a model that makes training data.

Knows Click and what is on record; which model it is, and what comes of it, its callers know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from al_loop.errors import ModelError

if TYPE_CHECKING:
    from storage.store import Store


def look_at_licence(store: Store, place: str, name: str, accepted: bool = True) -> str:
    """The licence of the model at `place`, told to the user where it matters.

    name: as `made_by` has it; what is on record for it counts where nobody else says. Raises
    ModelError where commercial use is forbidden and that is not accepted.
    """
    from al_loop.licences import UNKNOWN, is_non_commercial
    from al_loop.sources.model_licence import licence_of

    licence = licence_of(place)
    if licence == UNKNOWN:
        licence = store.makers().get(name, UNKNOWN)
    if licence == UNKNOWN:
        click.echo(f"warning: the licence of {name} is unknown; ask before you publish", err=True)
    elif is_non_commercial(licence):
        said = f"{name} is under {licence}, which forbids commercial use"
        if not accepted:
            raise ModelError(
                f"{said}, maybe also of what it makes and of checkpoints that learn from that; "
                "go on with --accept-licence, or take another model"
            )
        click.echo(f"warning: {said}, maybe also of checkpoints that learn from it", err=True)
    return licence
