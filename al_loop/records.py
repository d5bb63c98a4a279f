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
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

if TYPE_CHECKING:
    import numpy as np

SourceKind = Literal["open_source", "forced_alignment", "synthetic", "pseudo_label", "in_house"]
Split = Literal["pool", "train", "validation", "test", "silence", "reserved"]
Arm = Literal["acquired", "control", "explored"]
Stage = Literal[
    "score", "select", "push", "pull", "merge", "train", "evaluate", "promote", "record"
]
Verdict = Literal["bad_audio", "other_language", "several_speakers", "skipped"]
TaskKind = Literal["query", "gold", "repeat", "adjudication", "evaluation"]
Settled = Literal["single", "agreed", "adjudicated", "voted", "disputed"]
LeakReason = Literal["audio", "text"]

SOURCE_KINDS: tuple[SourceKind, ...] = get_args(SourceKind)
RESERVED: Split = "reserved"
"""Of what is to become an evaluation set, and of all else that its speakers said."""
SPLITS: tuple[Split, ...] = tuple(split for split in get_args(Split) if split != RESERVED)
"""Those that clips are taken into."""
HELD_OUT: tuple[Split, ...] = ("test", "silence")
"""Splits that checkpoints are measured on; none may learn from them, or be asked about them."""
STAGES: tuple[Stage, ...] = get_args(Stage)
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
JUNK: tuple[Verdict, ...] = ("bad_audio", "other_language", "several_speakers")
"""Verdicts that say something of the clip."""
TASK_KINDS: tuple[TaskKind, ...] = get_args(TaskKind)
IN_HOUSE = "in_house"
"""The name of the source that the annotators' labels form."""
PSEUDO_LABEL = "pseudo_label"
"""The name of the source that the texts form which recognisers agree on."""
UNKNOWN_ANNOTATOR = "unknown"
"""Whoever was deleted on the server: nobody knows whether two such answers are of one person."""
TRANSLATED_BY = ", translated by "
"""In where a text comes from: what stands before the name of a model that translated it."""
STANDARD_SILENCE = "standard_silence"
"""The name of the source that the generated silent clips form."""

MAIN_PROJECT = "all"
"""The name of the project of all rounds, which bears the configured title alone."""
EVALUATION_PROJECT = "evaluation"
"""The name of the project whose every task two annotators answer."""
EVALUATION_ROUND = 0
"""The round that evaluation sets are asked in: no other task is."""


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
    """One clip. `id` is the SHA-256 of its bytes, `sample_hash` that of its decoded samples.

    origin: the file or row that it was taken from, and start_s where in that recording it begins;
    None: at its beginning. text_origin: where the text comes from, where that is elsewhere.
    made_by: the model that spoke the clip, or cut it to its text.
    """

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
    start_s: float | None = None
    text_origin: str | None = None
    made_by: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file or row that was not taken in, and why."""

    origin: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Profile:
    """What an utterance sounds like, measured once, whichever checkpoint decodes it later.

    loudness_dbfs: root mean square of the clip, in dB below full scale.
    clipped_share: fraction of the samples at the clip's own peak, where that is near full scale.
    speech_share: fraction of the clip in which a voice-activity detector hears speech.
    other_language: the most probable language that is not related to the target language, and
    other_language_prob its probability, both as the untrained model hears them.
    embedding: (D,) float32, from the encoder that the settings name; all of one workspace are of
    one encoder, so that they compare. nan where the encoder gave no numbers.
    """

    utterance_id: str
    loudness_dbfs: float
    clipped_share: float
    speech_share: float
    other_language: str
    other_language_prob: float
    embedding: np.ndarray


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What a checkpoint heard in one utterance, with the statistics of its decoding.

    Entropies and log-probabilities are in nats, over the emitted tokens, the end token included.

    mean_log_prob: mean log-probability of the tokens.
    mean_token_entropy: mean Shannon entropy of the distributions that they were taken from.
    top_token_entropy: mean of the highest fifth of those entropies, one at least.
    tsallis_entropy, renyi_entropy: means of the generalised entropies, exponent 1/3.
    mean_margin: mean difference between the two largest probabilities.
    no_speech_prob: probability of Whisper's no-speech token at the first position.
    compression_ratio: bytes of the text over bytes of its zlib form; repetition makes it large.
    """

    utterance_id: str
    text: str
    token_count: int
    mean_log_prob: float
    mean_token_entropy: float
    top_token_entropy: float
    tsallis_entropy: float
    renyi_entropy: float
    mean_margin: float
    no_speech_prob: float
    compression_ratio: float


@dataclass(frozen=True, slots=True)
class Alternatives:
    """Further hypotheses of one utterance, and the gradient that they would give.

    texts, log_probs: K each; log_probs are summed over the tokens of each text (sampled
    alternatives) or nan (those of a perturbed model).
    gradient_length: None where it was not asked for.
    heard: the text of the checkpoint's hypothesis, which these are compared with; None where
    whoever asked for them did not add it.
    """

    utterance_id: str
    texts: Sequence[str]
    log_probs: Sequence[float]
    gradient_length: float | None = None
    heard: str | None = None


@dataclass(frozen=True, slots=True)
class Doubt:
    """How to decode an utterance again: `count` times, every choice following from `seed`.

    sampled: tokens drawn from the model's distributions. perturbed: greedily, by models whose
    weights had Gaussian noise of `strength` times their own spread added. gradient: sampled, and
    the gradient that the texts would give is measured.
    """

    kind: Literal["sampled", "perturbed", "gradient"]
    count: int
    strength: float
    seed: int


@dataclass(frozen=True, slots=True)
class Spelled:
    """What a recogniser of letters heard in one utterance.

    log_probs: of further texts that it was asked about, each over all its alignments, in nats;
    -inf where it cannot spell one.
    """

    utterance_id: str
    text: str
    log_probs: Sequence[float]


@dataclass(frozen=True, slots=True)
class ScoredPool:
    """Utterances that may be chosen, in columns: row i of every array is one utterance.

    ids: (N,) "S64", sorted. duration_s: (N,) float64. source, speaker: (N,) int32 codes, equal
    where the names are; speaker -1 where it is unknown. embedding_rows: (N,) int64 rows of
    `embeddings` (M, D), a memory map; -1 where there is none. statistics: (N,) float32 by name:
    those of `Profile` and of `Hypothesis` that are numbers, and `word_count`, `character_count`
    of the hypothesis; nan where they were not measured.
    """

    ids: np.ndarray
    duration_s: np.ndarray
    source: np.ndarray
    speaker: np.ndarray
    embedding_rows: np.ndarray
    embeddings: np.ndarray
    statistics: Mapping[str, np.ndarray]

    @property
    def heard(self) -> np.ndarray:
        """(N,) bool: which utterances have a hypothesis."""
        return self.statistics["token_count"] >= 0  # nan compares as false


@dataclass(frozen=True, slots=True)
class Gated:
    """An utterance that was kept from ranking: by which gate, its value, and the limit then."""

    utterance_id: str
    gate: str
    value: float
    limit: float


@dataclass(frozen=True, slots=True)
class Selection:
    """What one select stage decided. `facts` is JSON: how, by which limits, and how well founded.

    facts["acquisition"]: what ranked. facts["limits"]: every gate's, as learned. See
    `al_loop.acquisition.facts` for the rest.
    """

    choices: Sequence[Choice]
    gated: Sequence[Gated]
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Choice:
    """One member of a query batch. A smaller `rank` is shown to annotators earlier.

    Arms: acquired for its score; control, drawn at random from what the gates let through;
    explored, drawn at random from what they did not.
    """

    utterance_id: str
    rank: int
    acquisition_score: float
    arm: Arm


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one utterance that annotators were asked about, for those who learn from it.

    text, verdict: the label's; one of them is None. hypothesis: what was shown, None where its
    checkpoint never heard the utterance. lead_time_s: of the deciding annotation. trusted: whether
    the doubts of that checkpoint said anything; those of an untrained one teach nothing.
    """

    utterance_id: str
    round: int
    arm: Arm
    language: str
    duration_s: float
    text: str | None
    verdict: Verdict | None
    hypothesis: Hypothesis | None
    profile: Profile | None
    lead_time_s: float | None
    trusted: bool = True


class TaskKey(NamedTuple):
    """What names a task, here and in the data of Label Studio's task: never the server's number.

    copy: 0 for the task that a query batch asks; the further ones of an utterance in a round (gold
    tasks, blind repeats, adjudications) count on.
    """

    utterance_id: str
    round: int
    copy: int


@dataclass(frozen=True, slots=True)
class PlannedTask:
    """A task that is to be asked. Within a round, a smaller `rank` is shown earlier.

    kind: query, one of the batch; gold, whose answer is known; repeat, asked again for a second
    look; adjudication, for annotators disagree; evaluation, of a set that is being drawn.
    Annotators are not told. reason: why it is asked, in words. hypothesis: what is shown, whatever
    the checkpoint hears; None for what it hears.
    """

    key: TaskKey
    kind: TaskKind
    rank: int
    reason: str = ""
    hypothesis: str | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """What an annotator is asked, with what is shown to them.

    hypothesis: what the text box holds at first; empty for an evaluation set. checkpoint_id: whose
    hypothesis it is; None where it is nobody's. word_probs: of each word of `hypothesis`, split at
    white space, the probability that its checkpoint gave it; empty where it is not known.
    """

    key: TaskKey
    kind: TaskKind
    rank: int
    audio: str
    duration_s: float
    hypothesis: str
    checkpoint_id: str | None
    word_probs: Sequence[float]
    acquisition_score: float


@dataclass(frozen=True, slots=True)
class WordConfidence:
    """How sure a checkpoint is of a text of its own, word by word.

    probabilities: one for each word of `text`, split at white space: the least of its tokens'.
    """

    utterance_id: str
    text: str
    probabilities: Sequence[float]


@dataclass(frozen=True, slots=True)
class Place:
    """A project on a Label Studio server, whatever address that has.

    server: when the project was made there, in UTC with microseconds: it tells the project from one
    of the same number on another server or in a fresh database.
    """

    server: str
    project_id: int


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotator's answer: a text, or a verdict that the clip is unusable, never both.

    id: the server's own id of the answer, unique within a project.
    lead_time_s: seconds that the page was open, breaks included.
    shown: the hypothesis that the annotator was shown; None where it is not known.
    unsure: whether the annotator marked the text as doubtful.
    """

    id: str
    task_id: str
    key: TaskKey
    annotator: str
    text: str | None
    verdict: Verdict | None
    lead_time_s: float | None
    created_at: str
    updated_at: str
    shown: str | None = None
    unsure: bool = False

    @property
    def utterance_id(self) -> str:
        return self.key.utterance_id


@dataclass(frozen=True, slots=True)
class PulledTask:
    """A task as the server has it: all its usable answers at `updated_at`, and no other."""

    task_id: str
    key: TaskKey
    updated_at: str
    annotations: Sequence[Annotation]


@dataclass(frozen=True, slots=True)
class Pulled:
    """What one page of a pull brought.

    high_water: where the next incremental pull starts; None on every page but the last.
    """

    tasks: Sequence[PulledTask]
    refusals: Sequence[Refusal]
    high_water: str | None


@dataclass(frozen=True, slots=True)
class AskedTask:
    """A task of an utterance as it stands. open: it waits for an answer."""

    key: TaskKey
    kind: TaskKind
    open: bool
    hypothesis: str | None
    word_probs: Sequence[float]


@dataclass(frozen=True, slots=True)
class Case:
    """All that was asked and answered about one utterance; answers that were withdrawn left out."""

    utterance: Utterance
    tasks: Sequence[AskedTask]
    annotations: Sequence[Annotation]


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A further task that an utterance needs. hypothesis: as in `PlannedTask`."""

    utterance_id: str
    kind: TaskKind
    reason: str
    hypothesis: str | None = None


@dataclass(frozen=True, slots=True)
class Label:
    """What the annotations of an utterance settle on; `text` is None when a verdict stands.

    annotation_ids: every answer that was weighed, the deciding one first. settled: by one answer,
    by agreement, by an adjudicator, by a vote; or not: a disputed label is never trained on.
    quality: (0, 1], how much an example of it counts in training. flags: what is odd about it.
    """

    utterance_id: str
    text: str | None
    verdict: Verdict | None
    annotation_ids: Sequence[str]
    settled: Settled = "single"
    quality: float = 1.0
    flags: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class PseudoLabel:
    """A text that recognisers agree on. confidence: (0, 1], the share of its words that is right.

    made_by: the recognisers, the one in use first.
    """

    utterance_id: str
    text: str
    confidence: float
    made_by: str


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled utterance of a training set or of an evaluation set.

    quality: (0, 1], of its label: how often it is drawn, relative to others of its source.
    """

    utterance_id: str
    audio: str
    duration_s: float
    source: str
    language: str
    text: str
    quality: float = 1.0


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
class CurvePoint:
    """What a round's candidate reached on one evaluation set, and with how many labels.

    labelled_s: audio with an in-house text in the round's manifest; annotator_s: the time that
    annotators had spent by then, breaks cut off, junk included.
    """

    round: int
    evaluation_set: str
    language: str
    words: int
    labelled_s: float
    annotator_s: float
    wer: float
    wer_low: float
    wer_high: float


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
class Room:
    """What a worker has for the clips of one decode.

    bytes: of memory. distributions: of each clip's, over the vocabulary, that are in it at once;
    None: one for every token.
    """

    bytes: float
    distributions: int | None


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
