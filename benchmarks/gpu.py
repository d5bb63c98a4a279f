"""`make bench`, the GPU's part: how much of the card scoring and a training step keep busy.

Random weights of whisper-small's and large-v3-turbo's size, synthetic audio: only time is measured,
so what is decoded does not matter, and all sides emit equally many tokens. Model FLOP utilisation
(MFU) is the arithmetic of `benchmarks.arithmetic` over the seconds, as a share of the card's rate
at a large bfloat16 product, timed in the same run. Without a GPU its section of docs/benchmarks.md
says "not measured". `--quick` tries a tiny model on whatever is there and writes nothing.
"""

from __future__ import annotations

import argparse
import gc
import math
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

from al_loop.audio import SAMPLE_RATE, write_flac
from al_loop.config import ModelSettings, TrainSettings
from al_loop.records import Utterance
from al_loop.whisper.batches import Clip, target_ids
from al_loop.whisper.checkpoints import PACKAGED, Whisper, load, save
from al_loop.whisper.features import (
    FRAMES_PER_S,
    MAX_WINDOW_S,
    accept_short_windows,
    log_mel,
    window_s,
)
from al_loop.whisper.languages import Language, ensure_language, language_token
from al_loop.whisper.optimiser import autocast_dtype
from al_loop.whisper.recognizer import WhisperRecognizer
from al_loop.whisper.training import Training
from benchmarks.arithmetic import (
    PROMPT,
    decoding_flops,
    dimensions,
    encoder_flops,
    training_flops,
)
from benchmarks.floor import matrix_rate
from benchmarks.listening import hearing
from benchmarks.report import write_section

NOT_MEASURED = "not measured: no GPU at hand"
LANGUAGE = "ky"
DURATION_S = 6.0
BATCH, REPEATS = 16, 3
"""BATCH: of a training step."""
RIVAL_BATCHES = (16, 64, 128)
SPEECH = "бала китеп окуйт " * 5
COLUMNS = ["size", "what", "clips per s", "audio s per s", "MFU %"]


@dataclass(frozen=True, slots=True)
class Size:
    """A Whisper's dimensions. heads: of 64 numbers each in the released models."""

    name: str
    width: int
    heads: int
    encoder_layers: int
    decoder_layers: int
    mel_bins: int


SIZES = (
    Size("whisper-small", 768, 12, 12, 12, 80),
    Size("large-v3-turbo", 1280, 20, 32, 4, 128),
)
TINY = Size("tiny", 16, 2, 1, 1, 80)
CLIPS, QUICK_CLIPS = 1024, 2
"""CLIPS: several blocks of either model in half of a large card's memory."""
SHORT = {"cuda": "float16", "cpu": "float32"}
"""CTranslate2's precision. On a CPU only a trial runs."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one call took: its clips, seconds and floating-point operations."""

    size: str
    what: str
    clips: int
    seconds: float
    flops: int

    def cells(self, rate: float) -> list[str]:
        """rate: of the card's matrix products, operations a second."""
        return [
            self.size,
            self.what,
            f"{self.clips / self.seconds:.1f}",
            f"{self.clips * DURATION_S / self.seconds:.0f}",
            f"{100 * utilisation(self.flops, self.seconds, rate):.1f}",
        ]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.gpu")
    parser.add_argument("--quick", action="store_true", help="a tiny model; writes no report")
    quick = parser.parse_args(arguments).quick
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not quick:
        print(NOT_MEASURED, file=sys.stderr)
        write_section("GPU", f"By `make bench`: {NOT_MEASURED}.", [], [])
        return 0
    rate = matrix_rate(torch.bfloat16, device)
    found = [
        row
        for size in ([TINY] if quick else SIZES)
        for row in measure(size, device, QUICK_CLIPS if quick else CLIPS)
    ]
    rows = [row.cells(rate) for row in found]
    for cells in [COLUMNS, *rows]:
        print(" | ".join(cells), file=sys.stderr)
    if not quick:
        write_section("GPU", _about(rate), COLUMNS, rows)
    return 0


def utilisation(flops: int, seconds: float, rate: float) -> float:
    """Model FLOP utilisation (arXiv 2204.02311, appendix B), of the measured matrix rate."""
    return flops / seconds / rate


def measure(size: Size, device: str, count: int) -> list[Measured]:
    """Scoring by al_loop and by transformers, and al_loop's training step, for one size."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        clips = write_clips(count, folder / "audio")
        write_checkpoint(size, folder / size.name)
        short = {"backend": "ctranslate2", "precision": SHORT[device]}
        by_torch, emitted = _score(size, folder, clips, device, {"backend": "torch"})
        by_ctranslate2, _ = _score(size, folder, clips, device, short)
        theirs = _generate(size, folder / size.name, clips, device, emitted)
        return [by_torch, by_ctranslate2, theirs, _train(size, folder, clips, device)]


def write_clips(count: int, folder: Path) -> list[Utterance]:
    """Noise of `DURATION_S` seconds."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for index in range(count):
        path = folder / f"{index}.flac"
        noise = 0.1 * rng.standard_normal(round(DURATION_S * SAMPLE_RATE))
        write_flac(noise.astype(np.float32), path)
        rows.append(Utterance(path.stem, "", str(path), DURATION_S, "noise", LANGUAGE, "pool"))
    return rows


def write_checkpoint(size: Size, folder: Path) -> None:
    """Random weights of this size, with the packaged tokenizer and the target language's token."""
    packaged = load(PACKAGED)
    config = WhisperConfig.from_dict(
        packaged.model.config.to_dict()
        | {
            "d_model": size.width,
            "encoder_attention_heads": size.heads,
            "decoder_attention_heads": size.heads,
            "encoder_layers": size.encoder_layers,
            "decoder_layers": size.decoder_layers,
            "num_hidden_layers": size.encoder_layers,
            "encoder_ffn_dim": 4 * size.width,
            "decoder_ffn_dim": 4 * size.width,
            "num_mel_bins": size.mel_bins,
        }
    )
    torch.manual_seed(0)
    model = WhisperForConditionalGeneration(config).eval()
    model.generation_config = packaged.model.generation_config
    model.generation_config.alignment_heads = None  # they name layers of another size
    features = WhisperFeatureExtractor(feature_size=size.mel_bins)
    whisper = Whisper(model, packaged.tokenizer, features)
    ensure_language(whisper.model, whisper.tokenizer, Language(LANGUAGE, "kk"))
    save(whisper, folder, {})


def _score(
    size: Size, folder: Path, clips: Sequence[Utterance], device: str, chosen: Mapping[str, str]
) -> tuple[Measured, int]:
    """al_loop's score stage; with it, how many tokens a clip was given, its end included."""
    memory = {"memory_mb": _half_of_free(device) / 2**20} if device == "cuda" else {}
    settings = ModelSettings.model_validate({"device": device, **chosen, **memory})
    hear = hearing(WhisperRecognizer(folder, settings), size.name)
    emitted = round(float(np.mean([row.token_count + 1 for row in hear(clips)])))
    seconds = _median_s(lambda: hear(clips), device)
    model = dimensions(WhisperConfig.from_pretrained(folder / size.name))
    window = window_s(DURATION_S, settings.padding_s, settings.bucket_s)
    frames = round(window * FRAMES_PER_S)
    flops = encoder_flops(model, frames) + decoding_flops(model, frames, emitted)
    how = ", ".join(chosen.values())
    what = f"scoring: al_loop, with statistics, {how}, {emitted} tokens a clip"
    return Measured(size.name, what, len(clips), seconds, len(clips) * flops), emitted


def _generate(
    size: Size, checkpoint: Path, clips: Sequence[Utterance], device: str, emitted: int
) -> Measured:
    """transformers' generate on 30 s, at its best batch size, in the card's fastest numbers."""
    whisper = load(str(checkpoint))
    dtype = autocast_dtype("auto", device) or torch.float32
    whisper.model.to(device, dtype)

    @torch.inference_mode()
    def generate(batch: int, heard: Sequence[Utterance]) -> None:
        for start in range(0, len(heard), batch):
            paths = [Path(row.audio) for row in heard[start : start + batch]]
            whisper.model.generate(
                log_mel(whisper.features, paths, MAX_WINDOW_S).to(device, dtype),
                language=language_token(LANGUAGE),
                task="transcribe",
                min_new_tokens=emitted,
                max_new_tokens=emitted,
            )

    some = clips[: max(RIVAL_BATCHES)]
    generate(min(RIVAL_BATCHES), some)  # warms up
    tried = [_tried_s(partial(generate, batch, some), device) for batch in RIVAL_BATCHES]
    best = RIVAL_BATCHES[int(np.argmin(tried))]
    seconds = _median_s(lambda: generate(best, clips), device)
    model = dimensions(whisper.model.config)
    frames = round(MAX_WINDOW_S * FRAMES_PER_S)
    flops = encoder_flops(model, frames) + decoding_flops(model, frames, emitted)
    what = f"scoring: transformers' generate, 30 s, batch {best}, {emitted} tokens a clip"
    return Measured(size.name, what, len(clips), seconds, len(clips) * flops)


def _train(size: Size, folder: Path, clips: Sequence[Utterance], device: str) -> Measured:
    """One optimiser step on one batch, with the settings of a new workspace."""
    whisper = load(str(folder / size.name))
    accept_short_windows(whisper.model)
    whisper.model.to(device)
    own = ModelSettings()
    window = window_s(DURATION_S, own.padding_s, own.bucket_s)
    batch = [Clip(row.id, Path(row.audio), SPEECH, LANGUAGE, window) for row in clips[:BATCH]]
    settings = TrainSettings(batch_size=BATCH, accumulation=1)
    training = Training(
        whisper, whisper.model, [batch], [], settings, 0, folder / "scratch", folder / "logs"
    )

    def step() -> None:
        training.take_step(batch, 1.0)

    step()
    seconds = _median_s(step, device)
    model = dimensions(whisper.model.config)
    length = PROMPT + len(target_ids(whisper, batch[0])) - 1
    flops = len(batch) * training_flops(model, round(window * FRAMES_PER_S), length)
    return Measured(size.name, f"training: al_loop, batch {BATCH}", len(batch), seconds, flops)


def _median_s(run: Callable[[], object], device: str) -> float:
    return float(np.median([_seconds(run, device) for _ in range(REPEATS)]))


def _seconds(run: Callable[[], object], device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _tried_s(run: Callable[[], object], device: str) -> float:
    """Without end where the card's memory is too small for it."""
    try:
        return _seconds(run, device)
    except torch.cuda.OutOfMemoryError:
        return math.inf


def _half_of_free(device: str) -> float:
    """Bytes: half of what the card has left once earlier sides are gone."""
    gc.collect()
    torch.cuda.empty_cache()
    return torch.cuda.mem_get_info(device)[0] / 2


def _about(rate: float) -> str:
    return (
        f"By `make bench`: random weights, {CLIPS} clips of {DURATION_S:g} s of noise, median of "
        f"{REPEATS} repeats after one to warm up. Reading files and log-mel count. al_loop has "
        "half of the card's free memory for its clips, transformers the fastest of the batch sizes "
        f"{', '.join(map(str, RIVAL_BATCHES))}. Random weights hear no end of the speech, so all "
        "sides decode until al_loop's limit, far more tokens than speech has. MFU counts matrix "
        "products alone (`benchmarks/arithmetic.py`), a "
        f"backward pass as two forward ones, against {rate / 1e12:.0f} TFLOP/s of a large bfloat16 "
        "product in the same run."
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
