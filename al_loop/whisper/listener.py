"""One block of utterances in, its hypotheses out. Knows neither files nor which backend decodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from threading import Lock

from transformers import WhisperTokenizer

from al_loop.records import Hypothesis, Utterance
from al_loop.whisper.decode import Batch
from al_loop.whisper.statistics import Decoded, compression_ratio


class Listener:
    """Called by `lanes` threads at once, so that one block is read while another is decoded.

    prepare: reads a block and computes its features. decode: may be called by several threads at
    once where `together` says so, and otherwise by one after the other.
    """

    def __init__(
        self,
        prepare: Callable[[Sequence[Utterance]], Batch],
        decode: Callable[[Batch], list[Decoded]],
        tokenizer: WhisperTokenizer,
        lanes: int,
        together: bool,
    ) -> None:
        self.prepare = prepare
        self.decode = decode
        self.tokenizer = tokenizer
        self.lanes = lanes
        self.turn: AbstractContextManager[object] = nullcontext() if together else Lock()

    def __call__(self, block: Sequence[Utterance]) -> list[Hypothesis]:
        batch = self.prepare(block)
        with self.turn:
            decoded = self.decode(batch)
        texts = [self.tokenizer.decode(row.tokens).strip() for row in decoded]
        return [
            Hypothesis(
                utterance_id=utterance.id,
                text=text,
                token_count=len(row.tokens),
                mean_log_prob=row.mean_log_prob,
                mean_token_entropy=row.mean_token_entropy,
                top_token_entropy=row.top_token_entropy,
                tsallis_entropy=row.tsallis_entropy,
                renyi_entropy=row.renyi_entropy,
                mean_margin=row.mean_margin,
                no_speech_prob=row.no_speech_prob,
                compression_ratio=compression_ratio(text),
            )
            for utterance, row, text in zip(block, decoded, texts, strict=True)
        ]
