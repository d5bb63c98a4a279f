"""How benchmarks hear clips with al_loop: as a round's score stage does. Knows no benchmark."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from al_loop.engine.local import LocalEngine
from al_loop.records import Hypothesis, Utterance
from al_loop.whisper.recognizer import WhisperRecognizer


def hearing(
    recognizer: WhisperRecognizer, checkpoint: str
) -> Callable[[Sequence[Utterance]], list[Hypothesis]]:
    """A function that hears clips and answers in their order; the checkpoint is loaded once."""
    listener = recognizer.listener(checkpoint)

    def hear(clips: Sequence[Utterance]) -> list[Hypothesis]:
        blocks = recognizer.blocks(checkpoint, clips, recognizer.room())
        found = {
            row.utterance_id: row
            for rows in LocalEngine().map(lambda: listener, blocks)
            for row in rows
        }
        return [found[row.id] for row in clips]

    return hear
