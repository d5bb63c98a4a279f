"""The rival: how transformers' example for speech recognition fine-tunes Whisper.

Seq2SeqTrainer as it comes: features and token ids made once by `datasets.map` and kept in an Arrow
file, every clip padded to 30 s, AdamW with a linear schedule after a tenth of the steps, gradients
clipped to 1. The example's fp16 needs a GPU with it; here it is bfloat16 where the device computes
that faster. The example's gradient checkpointing and its evaluations are left out, for they only
cost time. The draws come in the plan's order instead of the Trainer's own. Knows nothing of
al_loop's training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import (
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    WhisperFeatureExtractor,
    WhisperTokenizer,
)

from al_loop.audio import SAMPLE_RATE, decode
from al_loop.records import Example
from al_loop.whisper.checkpoints import Whisper, load, save
from al_loop.whisper.languages import prompt_ids
from al_loop.whisper.optimiser import autocast_dtype

WARM_UP = 0.1
"""500 of 5000 steps in the example."""
IGNORED = -100


def train(
    base: Path,
    epochs: Sequence[Sequence[Example]],
    learning_rate: float,
    batch_size: int,
    seed: int,
    folder: Path,
    scratch: Path,
) -> None:
    """Train from the checkpoint in `base` on the epochs' draws, in their order, into `folder`."""
    whisper = load(str(base))
    draws = [row for epoch in epochs for row in epoch]
    clips = list({row.utterance_id: row for row in draws}.values())
    rows = Dataset.from_list(
        [{"path": row.audio, "text": row.text, "language": row.language} for row in clips]
    )
    prompts = {code: prompt_ids(whisper.model, code) for code in {row.language for row in clips}}
    prepared = rows.map(
        partial(_prepare, whisper.features, whisper.tokenizer, prompts),
        remove_columns=rows.column_names,
        cache_file_name=str(scratch / "features.arrow"),
    )
    places = {row.utterance_id: index for index, row in enumerate(clips)}
    on_gpu = torch.cuda.is_available()
    dtype = autocast_dtype("auto", "cuda" if on_gpu else "cpu")
    settings = Seq2SeqTrainingArguments(
        output_dir=str(scratch),
        per_device_train_batch_size=batch_size,
        learning_rate=learning_rate,
        warmup_steps=WARM_UP,
        num_train_epochs=1,  # the draws hold all epochs
        train_sampling_strategy="sequential",
        bf16=dtype == torch.bfloat16,
        fp16=dtype == torch.float16,
        use_cpu=not on_gpu,
        dataloader_pin_memory=on_gpu,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=seed,
    )
    trainer = Seq2SeqTrainer(
        model=whisper.model.train(),
        args=settings,
        train_dataset=prepared.select([places[row.utterance_id] for row in draws]),
        data_collator=lambda rows: _collate(whisper, rows),
    )
    trainer.train()
    save(whisper, folder, {})


def _prepare(
    features: WhisperFeatureExtractor,
    tokenizer: WhisperTokenizer,
    prompts: Mapping[str, Sequence[int]],
    row: Mapping[str, str],
) -> dict[str, Any]:
    """input_features: (n_mels, 3000); labels: (L,), the language's token to the end.

    The model puts the start token before them itself. Not the model: `datasets.map` hashes all that
    this holds.
    """
    heard = features(decode(Path(row["path"])), sampling_rate=SAMPLE_RATE)
    text = tokenizer(f" {row['text']}", add_special_tokens=False).input_ids
    return {
        "input_features": heard.input_features[0],
        "labels": [*prompts[row["language"]][1:], *text, tokenizer.eos_token_id],
    }


def _collate(whisper: Whisper, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
    """Each side padded by its own class; padding does not count in the loss."""
    features = [{"input_features": row["input_features"]} for row in rows]
    batch = whisper.features.pad(features, return_tensors="pt")
    texts = [{"input_ids": row["labels"]} for row in rows]
    labels = whisper.tokenizer.pad(texts, return_tensors="pt")
    hidden = labels["attention_mask"] == 0
    return {
        "input_features": batch["input_features"],
        "labels": labels["input_ids"].masked_fill(hidden, IGNORED),
    }
