"""The errors that a user may see, and nothing else.

    AlLoopError                 anything that `al-loop` reports without a traceback
    ├── ConfigError             al_loop.toml or the environment is wrong
    ├── WorkspaceError          the folder is not a workspace, or is in another state than needed
    ├── AudioError              one file cannot become an utterance (carries the reason's name)
    ├── ManifestError           a manifest cannot be read at all (single bad rows are refused)
    ├── ModelError              weights or tokenizer cannot be had, or do not fit
    ├── TrainingError           training cannot go on (no examples, a loss that is not a number)
    ├── StorageError            object storage cannot be reached, or does not let us in
    ├── EngineError             a cluster cannot be had, or its workers die whatever they are given
    └── OracleError             the annotators' side cannot be reached or understood
        ├── OracleUnavailable   down, slow or overloaded: the same call may succeed later
        └── OracleRefused       wrong token, missing rights, missing project: somebody must act

A message says what was got, what was expected and what to do next. It never holds a secret.
"""

from __future__ import annotations

from typing import Self


class AlLoopError(Exception):
    """Base of every error that is shown to the user as one message."""


class ConfigError(AlLoopError):
    pass


class WorkspaceError(AlLoopError):
    pass


class AudioError(AlLoopError):
    """One file cannot become an utterance; `reason` is the short name kept in the database."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
        return type(self), (self.reason, self.detail)  # so that it comes back from other processes


class ManifestError(AlLoopError):
    pass


class ModelError(AlLoopError):
    pass


class TrainingError(AlLoopError):
    pass


class StorageError(AlLoopError):
    pass


class EngineError(AlLoopError):
    pass


class OracleError(AlLoopError):
    pass


class OracleUnavailable(OracleError):
    pass


class OracleRefused(OracleError):
    pass
