"""What clips sound like: loudness, clipping, speech, language, and where they lie among others.

Measured with the untrained checkpoint, so that it holds whatever is trained later. Knows no
gates, and no texts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
import torch
from faster_whisper.vad import VadOptions, get_speech_timestamps

from al_loop.audio import SAMPLE_RATE
from al_loop.records import Profile, Utterance
from al_loop.whisper.checkpoints import Whisper
from al_loop.whisper.encoders import embedding_layer
from al_loop.whisper.features import POSITIONS_PER_S, log_mel_of
from al_loop.whisper.precision import decoder_dtype, encoder_dtype

Embed = Callable[[Sequence[np.ndarray]], np.ndarray]
"""Clips (N,) float32 at 16 kHz -> embeddings (B, D) float32."""

SILENT_DBFS = -120.0
"""The loudness of digital silence, for want of a finite one."""
FULL_SCALE = 0.9
"""A clip whose peak stays below was not clipped here; a peak above 1 is resampling's overshoot."""
AT_PEAK = 0.98
"""Samples this close to the peak are at it: resampling and lossy codecs roughen a clipped top."""
VOICE = VadOptions(min_speech_duration_ms=0, min_silence_duration_ms=200, speech_pad_ms=0)
"""Silero VAD's own threshold; pauses up to 0.2 s belong to the speech around them."""


def loudness_dbfs(samples: np.ndarray) -> float:
    """Root mean square of samples (N,), in dB below full scale."""
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    return max(10 * np.log10(power), SILENT_DBFS) if power else SILENT_DBFS


def clipped_share(samples: np.ndarray) -> float:
    """Fraction of samples (N,) at the clip's own peak, where that is near full scale.

    Speech that is merely loud touches its peak with few samples in a thousand.
    """
    size = np.abs(samples)
    peak = min(float(size.max(initial=0)), 1.0)
    return float(np.mean(size >= AT_PEAK * peak)) if peak >= FULL_SCALE else 0.0


def speech_share(samples: np.ndarray) -> float:
    """Fraction of samples (N,) float32 at 16 kHz in which Silero VAD hears speech."""
    spans = get_speech_timestamps(samples, VOICE, sampling_rate=SAMPLE_RATE)
    return min(sum(span["end"] - span["start"] for span in spans) / len(samples), 1.0)


@torch.inference_mode()
def hear(
    whisper: Whisper, log_mel: torch.Tensor, durations_s: Sequence[float]
) -> tuple[torch.Tensor, np.ndarray]:
    """Language probabilities (B, L) and embeddings (B, D), float32, by one run of the encoder.

    log_mel: (B, n_mels, T) float32. The columns are in the order of the model's `lang_to_id`; the
    probabilities are Whisper's own way of telling languages: a softmax over their tokens where the
    language token is due. An embedding is the mean of a layer over the positions on the clip.
    """
    model = whisper.model
    inputs = log_mel.to(model.device, encoder_dtype(model))
    heard = model.get_encoder()(inputs, output_hidden_states=True)
    generation = model.generation_config
    start = torch.full((len(log_mel), 1), generation.decoder_start_token_id, device=model.device)
    hidden = model.model.decoder(
        input_ids=start,
        encoder_hidden_states=heard.last_hidden_state.to(decoder_dtype(model)),
        use_cache=False,
    ).last_hidden_state[:, 0]
    tokens = torch.tensor(list(generation.lang_to_id.values()), device=model.device)
    # by hand, with the weights that are float32: so few tokens cost nothing
    logits = hidden @ model.get_input_embeddings().weight[tokens].T
    layer = embedding_layer(heard.hidden_states).float()
    means = [
        rows[: max(round(duration_s * POSITIONS_PER_S), 1)].mean(dim=0)
        for rows, duration_s in zip(layer, durations_s, strict=True)
    ]
    return logits.softmax(-1).cpu(), torch.stack(means).cpu().numpy()


def foreign(
    codes: Sequence[str], probabilities: Sequence[float], near: Collection[str]
) -> tuple[str, float]:
    """The likeliest language that is not in `near`, and its probability; ("", 0) without any."""
    others = [row for row in zip(probabilities, codes, strict=True) if row[1] not in near]
    probability, code = max(others, default=(0.0, ""))
    return code, probability


def profile(
    whisper: Whisper,
    embed: Embed | None,
    near: Collection[str],
    block: Sequence[Utterance],
    clips: Sequence[np.ndarray],
    window_s: float,
) -> list[Profile]:
    """The profiles of a block of one window; clips: samples (N,) float32 at 16 kHz.

    embed: another encoder than Whisper's. near: codes of the target language and those related;
    the language that an utterance is said to be in is near as well.
    """
    log_mel = torch.from_numpy(log_mel_of(whisper.features, clips, window_s))
    probabilities, embeddings = hear(whisper, log_mel, [row.duration_s for row in block])
    if embed is not None:
        embeddings = embed(clips)
    codes = [token.strip("<|>") for token in whisper.model.generation_config.lang_to_id]
    found = []
    for row, samples, chances, embedding in zip(
        block, clips, probabilities.tolist(), embeddings, strict=True
    ):
        language, probability = foreign(codes, chances, {*near, row.language})
        found.append(
            Profile(
                utterance_id=row.id,
                loudness_dbfs=loudness_dbfs(samples),
                clipped_share=clipped_share(samples),
                speech_share=speech_share(samples),
                other_language=language,
                other_language_prob=probability,
                embedding=embedding,
            )
        )
    return found
