"""What a simulation is, and the settings that its strategies have. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

from al_loop.config import Acquisition, CheapAcquisition, Settings
from al_loop.records import content_hash
from al_loop.simulation.material import Material

DEFAULT = "default"
"""The workspace's own settings, as a strategy."""
STRATEGIES = (DEFAULT, *get_args(Acquisition))
NO_MATTER = (
    "score.minutes",
    "select.budget_s",
    "select.budget_minutes",
    "train.save_minutes",
    "train.processes",
    "evaluate.bootstrap_samples",
)
"""Settings that points do not depend on: the first three are the simulation's own."""
ANY = 1e9
"""A margin that no loss exceeds."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """What is replayed under one name, `seeds` times.

    start_s: labelled audio that a replay begins with. budget_s: audio that a round asks about.
    keep_checkpoints: of every round; otherwise none outlives its replay. It is settled by the first
    call, so that no later one deletes what was kept.
    """

    name: str
    strategies: Sequence[str]
    seeds: int
    rounds: int
    budget_s: float
    start_s: float
    keep_checkpoints: bool = False


def strategy_settings(
    simulation: Simulation, settings: Settings, strategy: str, seed: int
) -> Settings:
    """The workspace's settings as a strategy has them.

    `default` chooses as they say. Every other strategy takes the highest scores of the acquisition
    function of that name, as textbooks have it: without gates, diversity, or arms beside it.
    Promotion stands open and every round trains from the base, so that a curve shows what batches
    teach and nothing else. For the same reason nothing is asked beside the batches: the one who
    answers never errs.
    """
    changes: dict[str, dict[str, Any]] = {
        "select": {"budget_s": simulation.budget_s, "budget_minutes": None},
        "score": {"minutes": None},  # or points would depend on the clock
        "pseudo_labels": {"enabled": False},
        "gates": {},
        "label_studio": {"close_share": 1.0, "low_water": 0, "doubt_below": 0.0},
        "labels": {"overlap_share": 0.0, "gold_share": 0.0, "repeat_share": 0.0},
        "train": {"start_from": "base"},
        "promote": {
            "margin": ANY,
            "max_retention_loss": ANY,
            "keep_checkpoints": simulation.rounds + 1 if simulation.keep_checkpoints else 0,
            "keep_promoted": 1,
        },
    }
    if settings.engine.kind == "ray":  # a replay is one worker's, which sees its own GPUs alone
        changes["train"]["processes"] = 1
    if strategy != DEFAULT:
        changes["gates"] = {"enabled": False}
        changes["select"] |= {
            "acquisition": strategy,
            "diversity": "none",
            "control_share": 0.0,
            "explore_share": 0.0,
            "max_speaker_share": 1.0,
            "max_source_share": 1.0,
            "cold_start_wer": ANY,
        }
        if strategy in get_args(CheapAcquisition):
            changes["select"]["fallback"] = strategy
    values = settings.model_dump(exclude={"label_studio", "labels", "engine"})
    values["seed"] = int(content_hash([settings.seed, "simulation", seed])[:8], 16)
    for section, change in changes.items():
        values[section] = values.get(section, {}) | change
    return Settings.model_validate(values)


def detached(settings: Settings, root: Path) -> Settings:
    """The settings of the workspace at `root`, for workspaces elsewhere: folders in full."""

    def full(name: str) -> str:
        return str((root / name).resolve()) if (root / name).is_dir() else name

    model = settings.model.model_copy(update={"checkpoint": full(settings.model.checkpoint)})
    embedding = settings.embedding.model_copy(update={"encoder": full(settings.embedding.encoder)})
    audio = settings.audio
    if audio.url is not None:  # a replay reads the workspace's clips, through its cache
        audio = audio.model_copy(update={"cache_folder": audio.cache_folder or root / "audio"})
    return settings.model_copy(update={"model": model, "embedding": embedding, "audio": audio})


def identity(simulation: Simulation, settings: Settings, material: Material) -> dict[str, Any]:
    """All that points depend on, by keys that a message can name."""
    beside = {"audio", "label_studio", "labels", "promote", "ctc", "pseudo_labels", "engine"}
    values = settings.model_dump(mode="json", exclude=beside)
    values["model"] = settings.model.identity()
    named = {"seed": values.pop("seed")}
    for section, keys in values.items():
        named |= {f"{section}.{key}": value for key, value in keys.items()}
    ours = asdict(simulation)
    named |= {key: ours[key] for key in ("rounds", "budget_s", "start_s", "keep_checkpoints")}
    for key in NO_MATTER:
        del named[key]
    return named | {
        "the labelled data": material.id,
        "al-loop's version": version("al-loop"),
        "al-loop's code": source_hash(),
    }


@cache
def source_hash(folder: Path = Path(__file__).parent.parent) -> str:
    """A hash of the package's modules: points that older code made compare with none of newer."""
    found = sha256()
    for path in sorted(folder.rglob("*.py")):
        content = sha256(path.read_bytes()).hexdigest()
        found.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
    return found.hexdigest()
