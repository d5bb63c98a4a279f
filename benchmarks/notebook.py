"""The rival: how a course's notebook fine-tunes Whisper.

A plain loop in float32, every clip padded to 30 s: AdamW, a cosine schedule, gradients clipped to
1, and the mean loss that the model computes itself. Features are made once, before the first epoch,
and kept in memory, which is faster than the Arrow files that `datasets.map` would write. Texts are
tokenised as al_loop does it. Knows nothing of al_loop's training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import get_cosine_schedule_with_warmup

from al_loop.records import Example
from al_loop.whisper.checkpoints import Whisper, load, save
from al_loop.whisper.features import MAX_WINDOW_S, log_mel
from al_loop.whisper.languages import prompt_ids

WEIGHT_DECAY = 0.01
CLIP_NORM = 1.0
IGNORED = -100


def train(
    base: Path,
    epochs: Sequence[Sequence[Example]],
    learning_rate: float,
    batch_size: int,
    folder: Path,
) -> None:
    """Train from the checkpoint in `base` on the epochs' draws, in their order, into `folder`."""
    whisper = load(str(base))
    prepared = {
        row.utterance_id: _prepare(whisper, row)
        for row in {row.utterance_id: row for draws in epochs for row in draws}.values()
    }
    batches = [
        draws[start : start + batch_size]
        for draws in epochs
        for start in range(0, len(draws), batch_size)
    ]
    model = whisper.model.train()
    optimizer = torch.optim.AdamW(model.parameters(), learning_rate, weight_decay=WEIGHT_DECAY)
    schedule = get_cosine_schedule_with_warmup(optimizer, 0, len(batches))
    for batch in batches:
        loss = model(**_collate([prepared[row.utterance_id] for row in batch])).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    save(whisper, folder, {})


def _prepare(whisper: Whisper, row: Example) -> Mapping[str, torch.Tensor]:
    """input_features: (n_mels, 3000) float32; labels: (L,) int64, the language's token to the end.

    The model puts the start token before them itself.
    """
    text = whisper.tokenizer(" " + row.text, add_special_tokens=False).input_ids
    prompt = prompt_ids(whisper.model, row.language)
    return {
        "input_features": log_mel(whisper.features, [Path(row.audio)], MAX_WINDOW_S)[0],
        "labels": torch.tensor([*prompt[1:], *text, whisper.tokenizer.eos_token_id]),
    }


def _collate(rows: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    labels = pad_sequence([row["labels"] for row in rows], batch_first=True, padding_value=IGNORED)
    return {
        "input_features": torch.stack([row["input_features"] for row in rows]),
        "labels": labels,
    }
