"""A pool in kinds, as a real one is: most of it easy, a tenth rare and badly heard, a fifth junk.

Embeddings lie in a cluster for each kind; the statistics follow from a clip's true WER.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from al_loop.records import Answer, Arm, Hypothesis, Profile, ScoredPool, Verdict, content_hash

WORDS = ("бир", "эки", "үч", "төрт", "беш", "алты", "жети", "сегиз", "тогуз", "он")
RARE = ("voice", "noisy", "telephone", "fast")
JUNK = ("silence", "reversed")
TRUE_WER = {
    "easy": 0.3,
    "voice": 0.8,
    "noisy": 0.85,
    "telephone": 0.7,
    "fast": 0.6,
    "silence": 1.0,
    "reversed": 1.0,
}
PROFILE_NAMES = ("loudness_dbfs", "clipped_share", "speech_share", "other_language_prob")
HYPOTHESIS_NAMES = (
    "token_count",
    "mean_log_prob",
    "mean_token_entropy",
    "top_token_entropy",
    "tsallis_entropy",
    "renyi_entropy",
    "mean_margin",
    "no_speech_prob",
    "compression_ratio",
)
DIMENSION = 48


@dataclass(frozen=True)
class Clip:
    kind: str
    duration_s: float
    text: str
    hypothesis: Hypothesis
    profile: Profile
    speaker: int = -1
    source: int = 0

    @property
    def id(self) -> str:
        return self.profile.utterance_id

    @property
    def verdict(self) -> Verdict | None:
        return "bad_audio" if self.kind in JUNK else None


def clip(kind: str, number: int, seed: int = 0, duration_s: float | None = None) -> Clip:
    """One clip of a kind; all of it follows from the arguments."""
    name = content_hash([kind, number, seed])
    rng = np.random.default_rng(int(name[:12], 16))
    duration_s = duration_s or float(rng.uniform(2, 7))
    count = max(round(2 * duration_s), 1)
    wer = min(TRUE_WER[kind] * float(np.exp(rng.normal(0, 0.25))), 1.0)
    words = [WORDS[index] for index in rng.integers(0, len(WORDS), count)]
    heard = ["эмне" if rng.random() < wer else word for word in words]
    entropy = [wer * float(np.exp(rng.normal(0, 0.3))) for _ in range(5)]
    centre = np.random.default_rng(list(TRUE_WER).index(kind)).standard_normal(DIMENSION)
    # backward speech keeps its speaker's voice
    spread = 2.0 if kind in ("easy", "reversed") else 0.5
    base = np.random.default_rng(0).standard_normal(DIMENSION) if kind == "reversed" else 0
    embedding = 5 + centre + base + spread * rng.standard_normal(DIMENSION)
    speech = 0.0 if kind == "silence" else 0.9
    return Clip(
        kind,
        duration_s,
        " ".join(words),
        Hypothesis(
            name,
            " ".join(heard),
            3 * count,
            -entropy[0],
            entropy[1],
            2 * entropy[2],
            3 * entropy[3],
            2 * entropy[4],
            float(np.exp(-entropy[0])),
            0.1 * float(rng.random()),
            1.3,
        ),
        Profile(name, -20.0, 0.0, speech, "ru", 0.3, embedding.astype(np.float32)),
    )


def field(seed: int = 0, size: int = 400) -> list[Clip]:
    """70% easy, 10% rare in four kinds, 20% junk, of which most is silence."""
    kinds = ["easy"] * round(0.7 * size) + ["silence"] * round(0.16 * size)
    kinds += ["reversed"] * round(0.04 * size)
    kinds += [RARE[index % 4] for index in range(size - len(kinds))]
    return [clip(kind, number, seed) for number, kind in enumerate(kinds)]


def pool_of(clips: Sequence[Clip]) -> ScoredPool:
    """Sorted by id, as the store gives it; rows of the embeddings in another order."""
    rows = sorted(clips, key=lambda row: row.id)
    where = np.random.default_rng(5).permutation(len(rows))
    embeddings = np.zeros((len(rows), DIMENSION), np.float16)
    for position, row in zip(where, rows, strict=True):
        embeddings[position] = row.profile.embedding
    statistics = {name: [getattr(row.profile, name) for row in rows] for name in PROFILE_NAMES}
    statistics |= {
        name: [getattr(row.hypothesis, name) for row in rows] for name in HYPOTHESIS_NAMES
    }
    statistics["word_count"] = [len(row.hypothesis.text.split()) for row in rows]
    statistics["character_count"] = [len(row.hypothesis.text) for row in rows]
    return ScoredPool(
        np.array([row.id for row in rows], dtype="S64"),
        np.array([row.duration_s for row in rows], np.float64),
        np.array([row.source for row in rows], np.int32),
        np.array([row.speaker for row in rows], np.int32),
        where.astype(np.int64),
        embeddings,
        {name: np.array(values, np.float32) for name, values in statistics.items()},
    )


def reordered(pool: ScoredPool, order: np.ndarray) -> ScoredPool:
    return replace(
        pool,
        ids=pool.ids[order],
        duration_s=pool.duration_s[order],
        source=pool.source[order],
        speaker=pool.speaker[order],
        embedding_rows=pool.embedding_rows[order],
        statistics={name: values[order] for name, values in pool.statistics.items()},
    )


def answer(row: Clip, number: int = 1, arm: Arm = "acquired") -> Answer:
    """What an annotator would say of a clip."""
    return Answer(
        row.id,
        number,
        arm,
        "ky",
        row.duration_s,
        None if row.verdict else row.text,
        row.verdict,
        row.hypothesis,
        row.profile,
        6 + 3 * row.duration_s,
    )
