"""Decoding by CTranslate2, with the same statistics as by torch: far faster on a CPU, in 8 bits.

Several blocks may be decoded at once, each by a core or more of its own. Knows no files but the
checkpoint's, and no records.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import ctranslate2
import numpy as np
import torch

from al_loop.errors import ConfigError
from al_loop.whisper.backend import Backend
from al_loop.whisper.checkpoints import Whisper
from al_loop.whisper.conversion import TOKENIZER, convert, is_added, move_to, unused_place
from al_loop.whisper.decode import IMPOSSIBLE, Batch, suppressed_ids, token_limit
from al_loop.whisper.languages import language_token
from al_loop.whisper.statistics import Decoded, summary, token_statistics

QUANTIZATION = {
    "int8": "int8",
    "int8_float16": "int8_float16",
    "float16": "float16",
    "bfloat16": "bfloat16",
    "float32": None,
}
"""What the weights are written in for each compute type: no larger than they are read."""
STEPS_TOGETHER = 8
"""So many steps' distributions are reduced at once: as many as stay in a core's cache."""


class CTranslate2Decoder:
    """Decodes batches greedily. As many threads may call it at once as it has lanes."""

    def __init__(
        self,
        whisper: Whisper,
        checkpoint: Path,
        language: str,
        device: str,
        backend: Backend,
    ) -> None:
        """The weights of `whisper` are gone afterwards: CTranslate2 holds them.

        checkpoint: the folder that `whisper` was loaded from. language: the target language's
        code; where its token was added, `whisper` knows afterwards where CTranslate2 has it.
        device: `cpu` or `cuda`.

        Raises ConfigError where CTranslate2 cannot compute so on the device.
        """
        model = self.described = whisper.model
        tokenizer = json.loads((checkpoint / TOKENIZER).read_text(encoding="utf-8"))
        suppressed = suppressed_ids(model)
        if added := is_added(model, language):
            move_to(model, tokenizer, language, unused_place(model))
            suppressed.append(unused_place(model))
        self.size = model.config.vocab_size
        self.suppressed = [token for token in suppressed if token < self.size]
        with TemporaryDirectory(prefix="al_loop-") as folder:
            convert(checkpoint, model, tokenizer, Path(folder), QUANTIZATION[backend.compute])
            self.model = _load(folder, device, backend)
        if added:  # whoever asks the model for a prompt gets what CTranslate2 knows
            known = model.generation_config.lang_to_id
            known[language_token(language)] = unused_place(model)
        model.to("meta")

    def __call__(self, batch: Batch) -> list[Decoded]:
        results = self.model.generate(
            ctranslate2.StorageView.from_array(batch.log_mel.numpy()),
            [list(prompt) for prompt in batch.prompts],
            beam_size=1,
            # Whisper's rule in CTranslate2: at most half of it is given to the text
            max_length=2 * token_limit(self.described, batch.prompts, batch.window_s),
            return_logits_vocab=True,
            return_no_speech_prob=True,
            suppress_tokens=self.suppressed,
        )
        return [
            summary(row.sequences_ids[0], self._statistics(row.logits[0]), row.no_speech_prob)
            for row in results
        ]

    def _statistics(self, logits: Sequence[ctranslate2.StorageView]) -> torch.Tensor:
        """(5, N) of N steps; logits: N of at least (V,), in whatever CTranslate2 computes in."""
        steps = [_tensor(row)[: self.size] for row in logits]
        parts = [steps[at : at + STEPS_TOGETHER] for at in range(0, len(steps), STEPS_TOGETHER)]
        return torch.cat([logit_statistics(torch.stack(part)) for part in parts], -1).cpu()


def logit_statistics(logits: torch.Tensor) -> torch.Tensor:
    """(5, A), see `token_statistics`; logits: (A, V), the lowest number where nothing may be.

    That may be -inf in a short type, and would make an entropy nan.
    """
    return token_statistics(logits.float().clamp(min=IMPOSSIBLE).log_softmax(-1))


def _load(folder: str, device: str, backend: Backend) -> ctranslate2.models.Whisper:
    threads = torch.get_num_threads()
    if torch.cpu.get_capabilities().get("avx512_f"):  # which it takes on Intel's CPUs alone
        os.environ.setdefault("CT2_FORCE_CPU_ISA", "AVX512")
    try:
        return ctranslate2.models.Whisper(
            folder,
            device,
            compute_type=backend.compute,
            inter_threads=backend.lanes,
            intra_threads=backend.threads,
        )
    except (RuntimeError, ValueError) as exc:
        raise ConfigError(
            f"CTranslate2 cannot compute in {backend.compute} on {device} ({exc}); set "
            'model.precision, or model.backend to "torch"'
        ) from exc
    finally:  # CTranslate2 gives this thread's OpenMP its own number, which is torch's as well
        torch.set_num_threads(threads)


def _tensor(view: ctranslate2.StorageView) -> torch.Tensor:
    """The same memory as a tensor, wherever it lies."""
    if view.device == "cuda":
        return torch.as_tensor(view, device="cuda")
    return torch.from_numpy(np.asarray(view))
