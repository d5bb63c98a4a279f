"""How much memory a clip of a window needs while it is decoded. Pure arithmetic on the sizes.

An upper bound: it counts a clip that is given all the tokens that it may have, as one that loops
is. Most clips need a third of them.
"""

from __future__ import annotations

from transformers import WhisperConfig

from al_loop.whisper.decode import PROMPT_LENGTH, tokens_at_most
from al_loop.whisper.features import FRAMES_PER_S, POSITIONS_PER_S

FLOAT = 4
"""Bytes; shorter numbers need less."""
STREAMS = 6
"""Copies of the encoder's stream that are alive at once: it, queries, keys, values, two norms."""
MIB = 2**20


def clip_bytes(
    config: WhisperConfig, window_s: float, distributions: int | None, texts: int = 1
) -> int:
    """Bytes that a clip needs at the most while it is decoded.

    The encoder's features, stream, feed-forward layer and attention; then for each of its `texts`
    the keys and values of the decoder's layers, and the distributions over the vocabulary that are
    kept: so many, or None for all, one for each token.
    """
    positions = int(window_s * POSITIONS_PER_S)
    tokens = tokens_at_most(config, PROMPT_LENGTH, window_s)
    features = int(window_s * FRAMES_PER_S) * (config.num_mel_bins + config.d_model)
    stream = positions * (STREAMS * config.d_model + config.encoder_ffn_dim)
    attention = config.encoder_attention_heads * positions**2
    keys_and_values = 2 * config.decoder_layers * config.d_model * (positions + tokens)
    kept = (tokens if distributions is None else distributions) * config.vocab_size
    return FLOAT * (features + stream + attention + texts * (keys_and_values + kept))
