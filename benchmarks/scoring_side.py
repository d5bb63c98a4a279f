"""One side of `make bench`'s scoring, in a process of its own so that its peak memory is its own.

    python -m benchmarks.scoring_side SIDE FOLDER          prints its best choice
    python -m benchmarks.scoring_side SIDE FOLDER CHOICE   scores the clips when told "go"

FOLDER holds `clips.json`, the checkpoint `tuned` and its CTranslate2 exports. Answers are lines of
JSON on standard output: "ready" after the warm-up, then one for each "go" on standard input, the
first with what was heard. Every side begins with paths and ends with texts: reading the files and
their features count everywhere. What one side needs is imported there, and not in the others.
"""

from __future__ import annotations

import json
import os
import sys
import time
from bisect import bisect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from al_loop.audio import SAMPLE_RATE, decode
from al_loop.config import ModelSettings
from al_loop.records import Utterance
from benchmarks.memory import peak_bytes

CLIPS, TUNED, EXPORT, PLACE = "clips.json", "tuned", "ctranslate2", "kk"
"""PLACE: of the language whose token Kyrgyz takes in CTranslate2's form."""
WARM_UP = 16
SEARCHED, SEARCH_WARM_UP = 32, 4
PIPELINE_BATCHES = (4, 8, 16, 32)
FASTER_WHISPER_BATCHES = (4, 8, 16)
COMPUTE_TYPES = ("float32", "int8")
"""Others are the same arithmetic on a CPU: int8_float32 is int8."""
LEAST_SILENCE_S = 0.5

Choice = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard in a clip; None where a side does not say.

    Scores are in nats, means over the tokens, of which token_count counts the end too.
    """

    text: str
    mean_log_prob: float | None = None
    mean_token_entropy: float | None = None
    token_count: int | None = None


Hear = Callable[[Sequence[Utterance]], list[Heard]]


def pipeline(dtype: str, folder: Path, choice: Choice) -> Hear:
    """transformers' own pipeline: 30 s windows, all of the model in `dtype`, greedy."""
    from transformers import pipeline as make_pipeline

    from al_loop.whisper.languages import language_token

    recognise = make_pipeline(
        "automatic-speech-recognition", model=str(folder / TUNED), device="cpu", dtype=dtype
    )

    def hear(clips: Sequence[Utterance]) -> list[Heard]:
        samples: Iterator[dict[str, Any]] = (
            {"raw": decode(Path(row.audio)), "sampling_rate": SAMPLE_RATE} for row in clips
        )
        found = recognise(
            samples,
            batch_size=choice["batch_size"],
            generate_kwargs={
                "language": language_token(clips[0].language),
                "task": "transcribe",
                "num_beams": 1,  # the pipeline's default is 5
            },
        )
        return [Heard(row["text"].strip()) for row in found]

    return hear


def faster_whisper(folder: Path, choice: Choice) -> Hear:
    """faster-whisper's batched pipeline: the clips joined, and where each begins and ends."""
    import torch
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    model = WhisperModel(
        str(folder / f"{EXPORT}-{choice['compute_type']}"),
        device="cpu",
        compute_type=choice["compute_type"],
        cpu_threads=torch.get_num_threads(),  # as al_loop
    )
    batched = BatchedInferencePipeline(model)

    def hear(clips: Sequence[Utterance]) -> list[Heard]:
        recording, spans = join([decode(Path(row.audio)) for row in clips])
        segments, _ = batched.transcribe(
            recording,
            language=PLACE,
            beam_size=1,
            temperature=0.0,
            vad_filter=False,
            without_timestamps=True,
            clip_timestamps=[{"start": start, "end": end} for start, end in spans],
            batch_size=choice["batch_size"],
        )
        return by_clip([(row.start, row.text, row.avg_logprob) for row in segments], spans)

    return hear


def al_loop(settings: ModelSettings, folder: Path, choice: Choice) -> Hear:
    """What a round's score stage does, without the database."""
    from al_loop.whisper.recognizer import WhisperRecognizer
    from benchmarks.listening import hearing

    listen = hearing(WhisperRecognizer(folder, settings), TUNED)
    return lambda clips: [
        Heard(row.text, row.mean_log_prob, row.mean_token_entropy) for row in listen(clips)
    ]


SIDES: Mapping[str, Callable[[Path, Choice], Hear]] = {
    "pipeline": partial(pipeline, "float32"),
    "pipeline_bfloat16": partial(pipeline, "bfloat16"),
    "faster_whisper": faster_whisper,
    "al_loop": partial(al_loop, ModelSettings(device="cpu")),
    "al_loop_torch": partial(al_loop, ModelSettings(device="cpu", backend="torch")),
}
FOLLOWS = {"pipeline_bfloat16": "pipeline"}
"""A side that takes what another has chosen."""


def compute_types() -> list[str]:
    """Those of `COMPUTE_TYPES` that CTranslate2 knows on this CPU."""
    import ctranslate2

    able = ctranslate2.get_supported_compute_types("cpu")
    return [name for name in COMPUTE_TYPES if name in able]


def choices(side: str) -> list[Choice]:
    """What is tried before the measurement; al_loop chooses for itself."""
    if side == "pipeline":
        return [{"batch_size": size} for size in PIPELINE_BATCHES]
    if side == "faster_whisper":
        return [
            {"compute_type": name, "batch_size": size}
            for name in compute_types()
            for size in FASTER_WHISPER_BATCHES
        ]
    return [{}]


def join(clips: Sequence[np.ndarray]) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """One recording (T,) of clips (N,) with silence between them, each from a whole second on.

    Returns it with every clip's begin and end in seconds.
    """
    parts: list[np.ndarray] = []
    spans = []
    start = 0
    for samples in clips:
        seconds = int(np.ceil(len(samples) / SAMPLE_RATE + LEAST_SILENCE_S))
        silence = np.zeros(seconds * SAMPLE_RATE - len(samples), dtype=np.float32)
        parts += [samples, silence]
        spans.append((float(start), start + len(samples) / SAMPLE_RATE))
        start += seconds
    return np.concatenate(parts), spans


def by_clip(
    segments: Sequence[tuple[float, str, float]], spans: Sequence[tuple[float, float]]
) -> list[Heard]:
    """Segments (start in s, text, mean log-probability) as the clips that they lie in.

    A clip without a segment was heard as silence, with no score.
    """
    texts: list[list[str]] = [[] for _ in spans]
    scores: list[float | None] = [None] * len(spans)
    starts = [start for start, _ in spans]
    for start, text, score in segments:
        index = bisect(starts, start) - 1
        texts[index].append(text.strip())
        scores[index] = score
    return [Heard(" ".join(row), score) for row, score in zip(texts, scores, strict=True)]


def fastest(
    possible: Sequence[Choice],
    make: Callable[[Choice], Hear],
    clips: Sequence[Utterance],
    clock: Callable[[], float] = time.perf_counter,
) -> Choice:
    """The fastest choice on some of the clips, each timed once after a few to warm up."""
    if len(possible) == 1:
        return possible[0]
    some = clips[:: max(len(clips) // SEARCHED, 1)][:SEARCHED]
    seconds = []
    for choice in possible:
        hear = make(choice)
        hear(some[:SEARCH_WARM_UP])
        start = clock()
        hear(some)
        seconds.append(clock() - start)
        print(f"{dict(choice)}: {len(some)} clips in {seconds[-1]:.1f} s", file=sys.stderr)
    return possible[int(np.argmin(seconds))]


def serve(hear: Hear, clips: Sequence[Utterance], say: Callable[[Any], None]) -> None:
    """Warm up, then score the clips once for every line on standard input."""
    hear(clips[:WARM_UP])
    say("ready")
    for repeat, _ in enumerate(sys.stdin):
        start = time.perf_counter()
        heard = hear(clips)
        seconds = time.perf_counter() - start
        told = [asdict(row) for row in heard] if repeat == 0 else None
        say({"seconds": seconds, "peak_bytes": peak_bytes(), "heard": told})


def main(side: str, folder: Path, chosen: str | None = None) -> None:
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # libraries print where nobody reads answers

    def say(value: Any) -> None:
        print(json.dumps(value, ensure_ascii=False), file=answers, flush=True)

    rows = json.loads((folder / CLIPS).read_text(encoding="utf-8"))
    clips = [Utterance(**row) for row in rows]
    if chosen is None:
        say(fastest(choices(side), lambda choice: SIDES[side](folder, choice), clips))
    else:
        serve(SIDES[side](folder, json.loads(chosen)), clips, say)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
