"""How much arithmetic and memory traffic Whisper needs: formulas over its dimensions, no torch.

Counted are the matrix products, two operations per multiplication and addition: convolutions,
projections, attention, the output layer. Norms, activations and softmax are left out, as is usual
for model FLOP utilisation (arXiv 2204.02311, appendix B); `tests/benchmarks/test_arithmetic.py`
holds the counts against torch's own counter. Traffic is every weight read once a pass, and what
attention keeps of the audio read once a token, as if nothing stayed in a processor's cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

PROMPT = 4
"""Start, language, task, no timestamps."""


@dataclass(frozen=True, slots=True)
class Dimensions:
    """width: of the residual stream. inner: of the feed-forward layers."""

    width: int
    inner: int
    encoder_layers: int
    decoder_layers: int
    vocabulary: int
    mel_bins: int

    @property
    def encoder_weights(self) -> int:
        """The weights of the encoder's matrix products."""
        convolutions = 3 * self.width * (self.mel_bins + self.width)
        layer = 4 * self.width**2 + 2 * self.width * self.inner
        return convolutions + self.encoder_layers * layer

    @property
    def cross_weights(self) -> int:
        """Those that turn the encoder's outputs into keys and values, once a clip."""
        return self.decoder_layers * 2 * self.width**2

    @property
    def layer_weights(self) -> int:
        """Those that a token passes in the decoder's layers."""
        return self.decoder_layers * (6 * self.width**2 + 2 * self.width * self.inner)

    @property
    def output_weights(self) -> int:
        return self.width * self.vocabulary


@dataclass(frozen=True, slots=True)
class Work:
    """flops: multiplications and additions. numbers: read from memory, of whatever width."""

    flops: int
    numbers: int

    def __add__(self, other: Work) -> Work:
        return Work(self.flops + other.flops, self.numbers + other.numbers)


def dimensions(config: Any) -> Dimensions:
    """Those of a `transformers.WhisperConfig`."""
    return Dimensions(
        width=config.d_model,
        inner=config.encoder_ffn_dim,
        encoder_layers=config.encoder_layers,
        decoder_layers=config.decoder_layers,
        vocabulary=config.vocab_size,
        mel_bins=config.num_mel_bins,
    )


def encoder_flops(model: Dimensions, frames: int) -> int:
    """One clip of `frames` log-mel frames, 100 a second; the encoder has half as many positions."""
    positions = frames // 2
    width = model.width
    convolutions = 2 * 3 * width * (frames * model.mel_bins + positions * width)
    layer_weights = 4 * width**2 + 2 * width * model.inner
    attention = 2 * positions**2 * width
    per_layer = 2 * (positions * layer_weights + attention)
    return convolutions + model.encoder_layers * per_layer


def decoding_flops(model: Dimensions, frames: int, emitted: int) -> int:
    """One clip decoded token by token with a cache; `emitted` counts the end token.

    The last token is not fed again, and a prompt of four is fed at once.
    """
    positions, width = frames // 2, model.width
    fed = PROMPT + emitted - 1
    # a token sees itself and those before it; the prompt's four are computed against all four
    seen = PROMPT**2 + sum(range(PROMPT + 1, fed + 1))
    attention = 2 * width * (seen + fed * positions) * model.decoder_layers
    products = positions * model.cross_weights + fed * model.layer_weights
    return 2 * (products + attention + emitted * model.output_weights)


def training_flops(model: Dimensions, frames: int, length: int) -> int:
    """One clip's forward and backward pass; length: the decoder's inputs, prompt included.

    The backward pass counts twice the forward one, as is usual (arXiv 2001.08361).
    """
    positions, width = frames // 2, model.width
    attention = 2 * width * length * (length + positions) * model.decoder_layers
    products = positions * model.cross_weights + length * (
        model.layer_weights + model.output_weights
    )
    return 3 * (encoder_flops(model, frames) + 2 * (products + attention))


def encoder_work(model: Dimensions, frames: int, clips: int) -> Work:
    """The encoder's pass over one block of clips of one window."""
    return Work(clips * encoder_flops(model, frames), model.encoder_weights)


def decoder_work(model: Dimensions, frames: int, emitted: Sequence[int]) -> Work:
    """Decoding one block of clips of one window; emitted: each one's tokens with the end.

    The layers are read once a step, which all clips that still go on share; their keys and values
    of the audio once a step and clip.
    """
    steps = max(emitted)
    kept = model.decoder_layers * 2 * (frames // 2) * model.width
    weights = model.cross_weights + steps * (model.layer_weights + model.output_weights)
    return Work(
        sum(decoding_flops(model, frames, count) for count in emitted),
        weights + sum(emitted) * kept,
    )
