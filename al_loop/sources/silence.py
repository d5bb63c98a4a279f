"""The standard silence set, taken into a workspace like any other clips."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from al_loop.audio import write_flac
from al_loop.clips import Clips
from al_loop.records import STANDARD_SILENCE
from al_loop.silence import standard_set
from al_loop.sources.ingest import Catalogue, Intake, Report, ingest
from al_loop.sources.rows import Row


def ingest_standard_silence(
    language: str, catalogue: Catalogue, root: Path, clips: Clips | None = None
) -> Report:
    """Make the clips, and take them into `catalogue`; `language` is what the model listens for."""
    intake = Intake(STANDARD_SILENCE, "synthetic", language, "silence", frozenset({language}))
    with TemporaryDirectory() as folder:
        rows = []
        for number, (name, samples) in enumerate(standard_set()):
            path = Path(folder) / f"{number}.flac"
            write_flac(samples, path)
            rows.append(Row(f"al_loop.silence, {name}", path))
        return ingest(rows, intake, catalogue, root, clips=clips)
