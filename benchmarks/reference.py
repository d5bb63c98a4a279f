"""What 30 s windows say of a clip: texts and scores of transformers' own `generate`.

The yardstick of `make bench`'s correlations, computed once, outside of what is timed. Of
al_loop's decoding it knows which tokens are suppressed, so that the distributions compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from al_loop.records import Utterance
from al_loop.whisper.checkpoints import Whisper, load
from al_loop.whisper.decode import suppressed_ids
from al_loop.whisper.features import MAX_WINDOW_S, log_mel
from al_loop.whisper.languages import language_token
from benchmarks.scoring_side import Heard

BATCH = 8


def listen(checkpoint: Path, clips: Sequence[Utterance]) -> list[Heard]:
    """Every clip in 30 s, greedy, in float32."""
    whisper = load(str(checkpoint))
    return [
        heard
        for start in range(0, len(clips), BATCH)
        for heard in _listen(whisper, clips[start : start + BATCH])
    ]


@torch.inference_mode()
def _listen(whisper: Whisper, clips: Sequence[Utterance]) -> list[Heard]:
    model, tokenizer = whisper.model, whisper.tokenizer
    found = model.generate(
        log_mel(whisper.features, [Path(row.audio) for row in clips], MAX_WINDOW_S),
        language=[language_token(row.language) for row in clips],
        task="transcribe",
        suppress_tokens=suppressed_ids(model),
        num_beams=1,
        do_sample=False,
        return_dict_in_generate=True,
        output_scores=True,
    )
    steps = len(found.scores)
    tokens = found.sequences[:, -steps:]
    texts = tokenizer.batch_decode(tokens, skip_special_tokens=True)
    scores = mean_scores(torch.stack(found.scores, dim=1), tokens, tokenizer.eos_token_id)
    return [Heard(text.strip(), *row) for text, row in zip(texts, scores, strict=True)]


def mean_scores(
    logits: torch.Tensor, tokens: torch.Tensor, end: int
) -> list[tuple[float, float, int]]:
    """Mean log-probability and mean entropy in nats of each row's tokens, and how many they are.

    logits: (B, L, V) float32, -inf where suppressed; tokens: (B, L). A row's tokens reach up to its
    first `end`, which counts.
    """
    log_probs = logits.log_softmax(-1)
    chosen = log_probs.gather(-1, tokens[..., None])[..., 0]
    entropies = torch.special.entr(log_probs.exp()).sum(-1)
    ended = (tokens == end).cumsum(-1)
    counted = (ended - (tokens == end).long()) == 0
    lengths = counted.sum(-1)
    means = [torch.where(counted, row, 0).sum(-1) / lengths for row in (chosen, entropies)]
    return list(zip(*(row.tolist() for row in (*means, lengths)), strict=True))
