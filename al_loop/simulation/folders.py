"""The folders of a simulation's replays: made, gone on from, cleared. Knows not what runs in them.

FOLDER/material.json       what it is made of, see `al_loop.simulation.material`
FOLDER/replies.json        what annotators would answer, for all of them
FOLDER/profiles/           a workspace in which all clips are profiled, once for all seeds
FOLDER/seed-0/start/       what the strategies of a seed go on from
FOLDER/seed-0/STRATEGY/    one replay
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import tomli_w

from al_loop.config import Settings
from al_loop.records import Profile, Refusal, Source, Utterance
from al_loop.simulation.material import Material
from al_loop.simulation.oracle import Replies, write_replies
from al_loop.simulation.replay import PROFILES, Plan, write_plan

START = "start"
REPLIES, CONFIG, WEIGHTS = "replies.json", "al_loop.toml", "checkpoints"
OF_ONE_PROCESS = ("logs", "*.lock", "*.log", "*.deleted")


class Filled(Protocol):
    """The store of a replay, as far as it is filled here."""

    def put_source(self, source: Source) -> None: ...
    def add(
        self, utterances: Sequence[Utterance], refusals: Sequence[Refusal]
    ) -> Iterable[str]: ...
    def profiles(self, encoder: str, utterance_ids: Iterable[str]) -> Mapping[str, Profile]: ...
    def add_profiles(self, encoder: str, profiles: Iterable[Profile]) -> object: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Folders:
    """open_store: the store of the workspace in a folder."""

    root: Path
    material: Material
    open_store: Callable[[Path], Filled]

    @property
    def profiles(self) -> Path:
        return self.root / PROFILES

    def replay(self, seed: int, strategy: str) -> Path:
        return self.root / f"seed-{seed}" / strategy

    def make(
        self, folder: Path, settings: Settings, plan: Plan, utterances: Sequence[Utterance]
    ) -> None:
        """A workspace with these utterances, and what is known of them by their profiles."""
        texts = {row.id: row.text for row in self.material.labelled if row.text}
        self.root.mkdir(parents=True, exist_ok=True)
        write_replies(Replies(texts, self.material.verdicts), self.root / REPLIES)
        encoder = settings.embedding.encoder
        profiles: Mapping[str, Profile] = {}
        if folder != self.profiles:
            measured = self.open_store(self.profiles)
            profiles = measured.profiles(encoder, [row.id for row in utterances])
            measured.close()
        with _whole(folder) as unfinished:
            unfinished.mkdir(parents=True)
            self._write(settings, plan, unfinished)
            store = self.open_store(unfinished)
            for source in self.material.sources:
                store.put_source(source)
            store.add(utterances, [])
            store.add_profiles(encoder, profiles.values())
            store.close()

    def go_on(self, start: Path, folder: Path, settings: Settings, plan: Plan) -> None:
        """Copy a start for a strategy; weights, which nobody changes, are the same files."""
        self.open_store(start).close()  # takes in what a killed process left beside the database

        def copy(source: str, target: str) -> None:
            weights = start / WEIGHTS in Path(source).parents
            (os.link if weights else shutil.copy2)(source, target)

        with _whole(folder) as unfinished:
            ignored = shutil.ignore_patterns(*OF_ONE_PROCESS)
            shutil.copytree(start, unfinished, ignore=ignored, copy_function=copy)
            self._write(settings, plan, unfinished)

    def _write(self, settings: Settings, plan: Plan, folder: Path) -> None:
        values = settings.model_dump(mode="json", exclude_none=True)
        (folder / CONFIG).write_text(tomli_w.dumps(values), encoding="utf-8")
        write_plan(plan, folder)

    def reduce(self, seed: int, strategy: str) -> None:
        """Of a finished replay no weights stay, but all that was recorded."""
        _delete(self.replay(seed, strategy) / WEIGHTS)

    def clear(self, seeds: int) -> None:
        """Delete what replays began with."""
        _delete(self.profiles)
        for seed in range(seeds):
            _delete(self.replay(seed, START))


def _delete(target: Path) -> None:
    """Under its own name a folder is whole or not there, whenever this is killed."""
    leftover = target.with_name(f"{target.name}.deleted")
    shutil.rmtree(leftover, ignore_errors=True)
    if target.exists():
        os.replace(target, leftover)
        shutil.rmtree(leftover)


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """A path that is renamed to `target` when the block ends well."""
    unfinished = target.with_name(f"{target.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    yield unfinished
    os.replace(unfinished, target)
