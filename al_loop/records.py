"""The values that flow between the rooms: frozen, plain, standard library only.

Times are ISO 8601 strings in UTC, durations are seconds, paths are relative to the workspace.
The words are those of the architecture: an *utterance* is one clip, known by the SHA-256 of its
bytes; a *hypothesis* is what a checkpoint heard; an *annotation* is one annotator's answer; a
*label* is what the annotations of an utterance settle on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    import numpy as np

SourceKind = Literal["open_source", "forced_alignment", "synthetic", "pseudo_label", "in_house"]
Split = Literal["pool", "train", "validation", "test", "silence"]
Arm = Literal["acquired", "control"]
Stage = Literal[
    "score", "select", "push", "pull", "merge", "train", "evaluate", "promote", "record"
]
Verdict = Literal["bad_audio", "other_language", "skipped"]
LeakReason = Literal["audio", "text"]

SOURCE_KINDS: tuple[SourceKind, ...] = get_args(SourceKind)
SPLITS: tuple[Split, ...] = get_args(Split)
HELD_OUT: tuple[Split, ...] = ("test", "silence")
"""Splits that checkpoints are measured on; none may learn from them, or be asked about them."""
STAGES: tuple[Stage, ...] = get_args(Stage)
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
IN_HOUSE = "in_house"
"""The name of the source that the annotators' labels form."""
STANDARD_SILENCE = "standard_silence"
"""The name of the source that the generated silent clips form."""


def content_hash(value: Any) -> str:
    """SHA-256 (hex) of the canonical JSON of `value`: sorted keys, no spaces, UTF-8."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Source:
    """Where utterances come from. `weight`: how often an example is seen, relative to 1."""

    name: str
    kind: SourceKind
    language: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Utterance:
    """One clip. `id` is the SHA-256 of its bytes, `sample_hash` that of its decoded samples."""

    id: str
    sample_hash: str
    audio: str
    duration_s: float
    source: str
    language: str
    split: Split
    text: str | None = None
    speaker: str | None = None
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file or row that was not taken in, and why."""

    origin: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What a checkpoint heard in one utterance, with the statistics of its decoding.

    mean_log_prob: mean natural log-probability of the emitted tokens, the end token included.
    mean_token_entropy: mean entropy (nats) of the distributions those tokens were taken from.
    no_speech_prob: probability of Whisper's no-speech token at the first position.
    compression_ratio: bytes of the text over bytes of its zlib form; repetition makes it large.
    embedding: (D,) float32, the encoder's last hidden states averaged over the clip's own frames.
    """

    utterance_id: str
    text: str
    token_count: int
    mean_log_prob: float
    mean_token_entropy: float
    no_speech_prob: float
    compression_ratio: float
    embedding: np.ndarray


@dataclass(frozen=True, slots=True)
class Choice:
    """One member of a query batch. A smaller `rank` is shown to annotators earlier."""

    utterance_id: str
    rank: int
    acquisition_score: float
    arm: Arm


@dataclass(frozen=True, slots=True)
class Task:
    """What an annotator is asked: one utterance, with the hypothesis as pre-annotation."""

    utterance_id: str
    round: int
    rank: int
    audio: str
    duration_s: float
    hypothesis: str
    acquisition_score: float


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotator's answer: a text, or a verdict that the clip is unusable, never both.

    id: the server's own id of the answer, unique within a project.
    lead_time_s: seconds that the page was open, breaks included.
    """

    id: str
    task_id: str
    utterance_id: str
    annotator: str
    text: str | None
    verdict: Verdict | None
    lead_time_s: float | None
    created_at: str
    updated_at: str


@dataclass(frozen=True, slots=True)
class Pulled:
    """What one pull brought. `high_water`: where the next incremental pull starts."""

    annotations: Sequence[Annotation]
    refusals: Sequence[Refusal]
    high_water: str | None


@dataclass(frozen=True, slots=True)
class Label:
    """What the annotations of an utterance settle on; `text` is None when a verdict stands."""

    utterance_id: str
    text: str | None
    verdict: Verdict | None
    annotation_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled utterance of a training set or of an evaluation set."""

    utterance_id: str
    audio: str
    duration_s: float
    source: str
    language: str
    text: str


@dataclass(frozen=True, slots=True)
class MixtureRow:
    """One source's part in a training set. Shares are fractions of all draws.

    target_share: what the settings ask for. draws: what an epoch makes of it, as does
    realised_share. most_repeats: of one example in one epoch.
    """

    source: str
    kind: SourceKind
    language: str
    weight: float
    examples: int
    duration_s: float
    target_share: float
    realised_share: float
    most_repeats: int
    draws: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """A training set. `id` hashes the examples and how often each source is drawn, and why."""

    id: str
    examples: Sequence[Example]
    mixture: Sequence[MixtureRow]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights in a folder. `id` hashes all that made them; `sidecar` is that record as JSON."""

    id: str
    path: str
    parent: str | None
    sidecar: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name of its folder, by which people call it."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class ErrorCounts:
    """Errors of one hypothesis against its reference, in words and in characters."""

    word_errors: int
    words: int
    character_errors: int
    characters: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One checkpoint on one evaluation set; rates are fractions, intervals 95% bootstrap.

    Counts and rates are of normalised texts, `raw_` ones of texts as they were written.
    foreign_share: of the heard words, those with a letter that the language does not have; None
    where there is no rule for the language.
    """

    evaluation_set: str
    language: str
    utterances: int
    words: int
    wer: float
    wer_low: float
    wer_high: float
    cer: float
    cer_low: float
    cer_high: float
    raw_wer: float
    raw_wer_low: float
    raw_wer_high: float
    raw_cer: float
    raw_cer_low: float
    raw_cer_high: float
    substitutions: int
    deletions: int
    insertions: int
    foreign_share: float | None
    normaliser: str


@dataclass(frozen=True, slots=True)
class SilenceEvaluation:
    """One checkpoint on the clips in which nobody speaks: in how many it heard words."""

    clips: int
    hallucinated: int


@dataclass(frozen=True, slots=True)
class Leak:
    """A training example that an evaluation set holds too: the same audio, or the same text.

    evaluation_id: the utterance of the evaluation set, one of them where there are several.
    """

    utterance_id: str
    source: str
    text: str
    evaluation_id: str
    reason: LeakReason


@dataclass(frozen=True, slots=True)
class Round:
    """The state of one round. `stage` is the next one to run; None when the round is recorded."""

    number: int
    seed: int
    stage: Stage | None
    checkpoint_id: str
    candidate_id: str | None
    manifest_id: str | None
    opened_at: str
    pushed_at: str | None
