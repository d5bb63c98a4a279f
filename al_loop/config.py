"""`al_loop.toml`: one validated, frozen value per workspace. Knows nothing of who uses it.

Secrets are never in the file: the Label Studio token comes from the environment variable
`AL_LOOP_LABEL_STUDIO_TOKEN`, or from a file with mode 0600 that `label_studio.token_file` names;
the dashboard's password from `AL_LOOP_DASHBOARD_PASSWORD`.
"""

from __future__ import annotations

import math
import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from al_loop.addresses import problem_of
from al_loop.errors import ConfigError

TOKEN_VARIABLE = "AL_LOOP_LABEL_STUDIO_TOKEN"
DASHBOARD_PASSWORD_VARIABLE = "AL_LOOP_DASHBOARD_PASSWORD"
EMBEDDED = "embedded"
CTC_FOLDER = "ctc"
"""Of the workspace; one folder a recogniser that spells."""
OWN_CTC = "spelling"
"""The name of the recogniser that `al-loop ctc train` makes unless it is told another."""

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Shares = dict[str, Annotated[float, Field(gt=0, le=1)]]


def _one_whole(shares: Shares) -> Shares:
    total = round(math.fsum(shares.values()), 9)
    if total > 1:
        raise ValueError(f"the shares sum to {total:g}, expected 1 at most")
    return shares


def _lowest_first(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] > ends[1]:
        raise ValueError("expected the lowest first")
    return ends


CheapAcquisition = Literal[
    "random",
    "least_confidence",
    "mean_token_entropy",
    "top_token_entropy",
    "tsallis_entropy",
    "renyi_entropy",
    "margin",
    "word_surprisal",
    "word_entropy",
]
Acquisition = Literal[
    "random",
    "least_confidence",
    "mean_token_entropy",
    "top_token_entropy",
    "tsallis_entropy",
    "renyi_entropy",
    "margin",
    "word_surprisal",
    "word_entropy",
    "n_best_risk",
    "perturbation_disagreement",
    "gradient_length",
    "predicted_wer",
]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class ModelSettings(Section):
    """Which Whisper model starts, and how it learns of the target language."""

    checkpoint: str = Field(
        "packaged:whisper-base",
        description="a hub id, a folder (transformers or CTranslate2), or `packaged:whisper-base`",
    )
    language: str = Field(
        "ky", pattern="^[a-z]{2,3}$", description="the target language, as a Whisper code"
    )
    donor: str = Field(
        "kk",
        pattern="^[a-z]{2,3}$",
        description="the language whose token starts a new one; equal to an existing `language`, "
        "that token is used as it is",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="where the model runs"
    )
    backend: Literal["auto", "torch", "ctranslate2"] = Field(
        "auto",
        description="what hears clips; `auto` is CTranslate2 on a CPU, where it is several times "
        "faster, and torch elsewhere",
    )
    precision: Literal["auto", "float32", "bfloat16", "float16", "int8"] = Field(
        "auto",
        description="where clips are heard or profiled: with torch that of the encoder and the "
        "output layer, with CTranslate2 that of all weights; `auto` takes the shortest that is "
        "known to serve, which is `int8` for CTranslate2 on a CPU",
    )
    padding_s: float = Field(
        2.0, ge=0, description="silence behind a clip, so that the model hears where it ends"
    )
    bucket_s: Positive = Field(
        1.0, le=30, description="clip and padding are rounded up to a multiple of this"
    )
    memory_mb: Positive = Field(
        1024.0,
        description="MiB for the clips that are decoded at once, beside the weights; on a GPU "
        "more is faster",
    )

    def identity(self) -> dict[str, Any]:
        """What a workspace cannot change: figures before and after would not compare."""
        return self.model_dump(exclude={"device", "backend", "precision", "memory_mb"})


class ScoreSettings(Section):
    """How much of the pool is listened to."""

    minutes: Positive | None = Field(
        None,
        description="minutes of scoring per round, profiling included: the stalest and the most "
        "promising clips come first, the rest waits for later rounds. Without it the whole pool "
        "is scored. A round that was killed while it scored counts them anew, and what is labelled "
        "or trained on is profiled beside them",
    )


class SelectSettings(Section):
    """Which utterances are worth an annotator's time."""

    acquisition: Acquisition = Field(
        "predicted_wer",
        description="the acquisition function. `predicted_wer` learns from the answers, and ranks "
        "from the round on in which it orders them better than `fallback` does",
    )
    fallback: CheapAcquisition = Field(
        "word_surprisal",
        description="ranks until then, and makes the short list",
    )
    shortlist: Count = Field(
        2000,
        description="so many of the pool are compared with one another, and decoded several times "
        "where the acquisition function needs that",
    )
    alternatives: Count = Field(
        5, description="further decodings of a short-listed clip, where they are needed"
    )
    perturbation: Positive = Field(
        0.05, description="noise on the weights, relative to their own spread, where it is needed"
    )
    diversity: Literal["facility_location", "k_center", "none"] = Field(
        "facility_location",
        description="how a batch is spread over the pool; `none` takes the highest scores",
    )
    budget_s: Positive = Field(1800.0, description="seconds of audio per query batch")
    budget_minutes: Positive | None = Field(
        None,
        description="annotator minutes per query batch, predicted from the answers; takes the "
        "place of `budget_s` once there are enough of them",
    )
    control_share: Share = Field(
        0.1, description="part of the budget that is chosen at random, to measure against"
    )
    explore_share: Share = Field(
        0.02, description="part of the budget that goes to clips a gate held back, to test it"
    )
    max_speaker_share: Annotated[float, Field(gt=0, le=1)] = Field(
        0.5, description="the most that one speaker gets of a batch, where speakers are known"
    )
    max_source_share: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="the most that one source gets of a batch"
    )
    cold_start_wer: Positive = Field(
        0.9,
        description="while the checkpoint in use is worse than this in the target language, or "
        "untrained, its scores are not trusted and diversity alone chooses",
    )


class GateSettings(Section):
    """What is kept from annotators unless somebody releases it."""

    enabled: bool = Field(True, description="false: the whole pool is ranked")
    learn: bool = Field(True, description="annotators' verdicts move the limits")
    min_loudness_dbfs: float = Field(-45.0, description="root mean square of the clip")
    max_clipped_share: Share = Field(0.02, description="samples at full scale")
    min_speech_share: Share = Field(
        0.05, description="part of the clip in which voice activity is detected"
    )
    max_other_language_prob: Share = Field(
        0.9, description="probability of the likeliest language that is not related"
    )
    related_languages: list[str] = Field(
        ["kk", "ky", "tt", "ba", "uz", "tk", "tr", "az", "mn", "tg"],
        description="languages that the target language may be taken for; a change counts for "
        "clips that are profiled from then on",
    )
    max_compression_ratio: Positive = Field(
        2.4, description="of the hypothesis; more is a loop (the limit is openai/whisper's)"
    )
    min_characters_per_s: float = Field(1.0, ge=0, description="of the hypothesis, spaces included")
    max_characters_per_s: Positive = Field(35.0, description="… more is hallucinated")
    max_similarity: Share = Field(
        0.98,
        description="cosine of the embeddings, centred: a clip this close to one that is chosen "
        "or labelled is a duplicate",
    )


class EmbeddingSettings(Section):
    """How clips are compared."""

    encoder: str = Field(
        "whisper",
        min_length=1,
        description="`whisper`, the untrained checkpoint's encoder, or a hub id or folder of a "
        "self-supervised speech encoder of transformers (wav2vec2, XLS-R, HuBERT, w2v-BERT)",
    )


class LabelStudioSettings(Section):
    """Where the annotators work."""

    url: str = Field(
        EMBEDDED,
        pattern="^(embedded|https?://[^@?]+)$",
        description="`embedded` (see `labelstudio up`) or the server's address",
    )
    token_file: Path | None = Field(
        None, strict=False, description="a file of mode 0600 that holds the token"
    )
    ca_file: Path | None = Field(
        None, strict=False, description="certificates of a private authority, for https://"
    )
    project: str = Field("al_loop", min_length=1, max_length=50, description="the project's title")
    projects: Literal["one", "per_round"] = Field(
        "one", description="one project for all rounds, or a new one for each"
    )
    audio_url: str | None = Field(
        None,
        pattern="^(https?|s3)://[^@?]+$",
        description="prefix of the audio's addresses on a server of yours, or s3://bucket/prefix "
        "(see s3_endpoint); unset: its local files",
    )
    s3_endpoint: str | None = Field(
        None,
        pattern="^https?://[^@?]+$",
        description="of an S3-compatible server; unset: Amazon's. Credentials come from "
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    )
    deleted_tasks: Literal["push_again", "close"] = Field(
        "push_again", description="what becomes of an unanswered task that was deleted there"
    )
    low_water: int = Field(
        20,
        ge=0,
        description="with fewer open tasks than this, more are pushed before the model trains, so "
        "that annotators need not wait for it; 0: never",
    )
    doubt_below: Share = Field(
        0.5, description="words that the model gives less probability than this are marked"
    )
    close_share: Share = Field(
        0.9, description="the round goes on when this part of the batch is answered"
    )
    close_after_days: Positive = Field(7.0, le=3650, description="… or after so many days")


class LabelSettings(Section):
    """When annotators' answers are believed."""

    overlap_share: Share = Field(0.1, description="part of the tasks that two annotators answer")
    gold_share: Share = Field(
        0.02, description="tasks with a known answer, relative to the batch, to score annotators"
    )
    repeat_share: Share = Field(
        0.02, description="answered tasks that are asked again blindly, relative to the batch"
    )
    agree_wer: Share = Field(
        0.05, description="two answers agree when they differ by at most this WER"
    )
    disputes: Literal["adjudicate", "vote"] = Field(
        "adjudicate",
        description="of answers that disagree: ask once more, or take the vote of all (ROVER)",
    )
    suspect_wer: Share = Field(
        0.3,
        description="predicted WER of a hypothesis above which an unchanged draft is not believed: "
        "the task is asked again",
    )
    digits: bool = Field(False, description="whether transcripts may hold digits")
    longest_answer_s: Positive = Field(
        600.0, description="a page that was open longer than this was left alone"
    )


class MixtureSettings(Section):
    """How sources are mixed in training."""

    policy: Literal["pseudo_epoch", "epoch"] = Field(
        "pseudo_epoch",
        description="as many draws as examples, or every example at least once",
    )
    language_shares: Annotated[Shares, AfterValidator(_one_whole)] = Field(
        {},
        description="target share of a language in all draws, such as `{ ky = 0.4 }`; languages "
        "without one divide the rest by weight",
    )
    source_shares: Shares = Field(
        {},
        description="target share of a source in the draws of its language; sources without one "
        "divide the rest by weight",
    )
    max_repeats: Count = Field(
        10,
        description="how often a pseudo-epoch may draw one example; a source that this keeps from "
        "its share leaves the excess to the others",
    )
    in_house_weight: Positive = Field(
        3.0, description="how often an in-house example is seen, relative to weight 1"
    )
    max_leak_share: Share = Field(
        0.2,
        description="examples that an evaluation set holds too, by audio or by text, are left out; "
        "above this share of all, the round stops. Commands repeat, so a few are no fault",
    )


class TrainSettings(Section):
    """How a round's checkpoint is trained."""

    start_from: Literal["base", "promoted"] = Field(
        "base",
        description="the checkpoint that training starts from; round upon round of `promoted` "
        "costs less and forgets more",
    )
    method: Literal["full", "frozen_encoder", "lora"] = Field(
        "full",
        description="what learns: all weights, the decoder's alone (faster, weaker), or low-rank "
        "adapters, saved apart too and merged (they want a learning rate of 1e-4 to 1e-3)",
    )
    lora_rank: Count = Field(32, description="of the adapters; they are scaled by 2")
    epochs: Count = Field(3, description="passes over the mixture")
    learning_rate: Positive = Field(5e-5, description="AdamW's peak learning rate")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's weight decay")
    warmup_share: Share = Field(0.1, description="part of the draws that warm up")
    schedule: Literal["cosine", "linear", "constant"] = Field(
        "cosine", description="of the learning rate, after the warm-up"
    )
    batch_size: Count = Field(8, description="utterances per forward pass")
    accumulation: Count | Literal["auto"] = Field(
        2,
        description="forward passes per optimiser step; `auto` measures the gradient's noise "
        "before every epoch and takes as many as `grad_norm_bound` needs",
    )
    max_accumulation: Count = Field(16, description="the most that `auto` may take")
    grad_norm_bound: Positive = Field(
        5.0, description="what an epoch's mean gradient norm, before clipping, should stay below"
    )
    clip_norm: Positive = Field(1.0, description="gradients are clipped to this norm")
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="of the forward and backward pass; weights stay float32. `auto` takes the "
        "shorter one that the device computes faster",
    )
    gradient_checkpointing: bool = Field(
        False, description="compute activations twice to need less memory"
    )
    full_window_share: Share = Field(
        0.05,
        description="part of the draws padded to 30 s instead of the clip's own window, for those "
        "who feed the checkpoint padded audio",
    )
    patience: int = Field(
        2,
        ge=0,
        description="epochs without a lower loss on the validation split after which training "
        "stops with the best epoch's weights; 0, or no validation split: never",
    )
    speeds: list[Annotated[float, Field(ge=0.5, le=2)]] = Field(
        [1.0], min_length=1, description="each draw is played at one of these speeds"
    )
    noise_share: Share = Field(0.0, description="part of the draws that noise is added to")
    noise_snr_db: Annotated[tuple[float, float], AfterValidator(_lowest_first)] = Field(
        (5.0, 30.0), strict=False, description="how far below the speech: lowest, highest"
    )
    spec_augment: bool = Field(False, description="mask one band and one stretch of each draw")
    save_minutes: Positive = Field(
        10.0, description="training interrupted goes on from a save at most this old"
    )
    processes: Count = Field(
        1,
        description="worker processes, one a GPU: started with accelerate on this machine, or by "
        "Ray, where each occupies `engine.cpus_each` and `engine.gpus_each`. What Ray's workers "
        "train beside one another (`ablate`, `arms`, `simulate`) each trains alone",
    )


def _of_clips(url: str) -> str:
    if problem := problem_of(f"{url.rstrip('/')}/clip.flac"):
        raise ValueError(problem)
    return url


class AudioSettings(Section):
    """Where the clips are, if not in the workspace's folder."""

    url: Annotated[str, AfterValidator(_of_clips)] | None = Field(
        None,
        pattern="^(s3|gs)://[^@?#]+$",
        description="object storage that holds the clips, as s3://bucket/prefix or gs://…; the "
        "workspace's audio/ is then a cache of it. Credentials come from the environment. Unset: "
        "the workspace's audio/ holds them",
    )
    endpoint: str | None = Field(
        None,
        pattern="^https?://[^@?]+$",
        description="of an S3-compatible server, for `url` and for addresses in manifests; unset: "
        "Amazon's, or AWS_ENDPOINT_URL",
    )
    cache_folder: Path | None = Field(
        None,
        strict=False,
        description="the cache, on each machine's own disk; unset: the workspace's audio/",
    )
    cache_gb: Positive = Field(
        50.0, description="the cache's limit; what was not read for longest goes first"
    )


class CtcSettings(Section):
    """The recogniser that spells: it aligns books, and is a second opinion."""

    model: str = Field(
        OWN_CTC,
        min_length=1,
        description="the name of one that `al-loop ctc train` made, or a folder or hub id of "
        "transformers' AutoModelForCTC (MMS, XLS-R, wav2vec2)",
    )


def _each_once(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("expected each once")
    return names


class PseudoLabelSettings(Section):
    """When what recognisers agree on is believed, and learned from."""

    enabled: bool = Field(False, description="whether every round makes some and trains on them")
    precision: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.95,
        description="share of their words that should be right: the agreement is asked for under "
        "which the lower end of the 95% interval, on clips whose words are known, reaches it",
    )
    recognisers: Annotated[
        list[Literal["spelling", "previous", "perturbed"]], AfterValidator(_each_once)
    ] = Field(
        ["spelling"],
        min_length=1,
        description="who must agree with the checkpoint in use: `spelling`, the recogniser that "
        "`ctc.model` names; `previous`, the checkpoint promoted before; `perturbed`, the one in "
        "use with noise on its weights (`select.alternatives` times, `select.perturbation`)",
    )
    choice: Literal["vote", "risk"] = Field(
        "vote",
        description="the text: the recognisers' vote, word by word (ROVER), or the one of "
        "`select.alternatives` sampled readings with the least expected errors, after rescoring by "
        "`spelling` and a language model",
    )
    most_clips: Count = Field(
        2000, description="so many of the pool are listened to by every recogniser"
    )
    weight: Positive = Field(
        1.0, description="how often such an example is seen, relative to weight 1"
    )


class EvaluateSettings(Section):
    """How error rates get their intervals."""

    bootstrap_samples: int = Field(1000, ge=100, description="resamples of the utterances")


class PromoteSettings(Section):
    """When a candidate takes the current checkpoint's place."""

    margin: float = Field(
        1.0,
        ge=0,
        description="WER points that the target language may lose against the checkpoint in use, "
        "whatever the interval; against the best one promoted earlier, what lies within the "
        "paired 95% interval is no loss",
    )
    max_retention_loss: float = Field(
        2.0,
        ge=0,
        description="WER points that another language may lose against either; what lies within "
        "the interval is no loss",
    )
    keep_checkpoints: int = Field(
        3,
        ge=0,
        description="so many of the newest checkpoints keep their weights, rejected or not; the "
        "base and the one in use always do",
    )
    keep_promoted: Count | Literal["all"] = Field(
        "all", description="and so many of those promoted last"
    )


class DashboardSettings(Section):
    """Who may look at the dashboard, and how it is read. A password comes from the environment."""

    language: Literal["en", "ru", "ky"] = Field("en", description="of the interface at first")
    access: Literal["open", "password", "oidc", "proxy"] = Field(
        "open",
        description="open: to whoever reaches it, on loopback alone; password: the one in "
        f"{DASHBOARD_PASSWORD_VARIABLE}; oidc: by Streamlit's st.login; proxy: another server "
        "checks",
    )
    allowed: list[Annotated[str, Field(pattern=r"^[^@\s]*@[^@\s]+$")]] = Field(
        [], description="with oidc: addresses, or domains as @example.org, that may look"
    )
    hide_annotators: bool = Field(False, description="numbers instead of annotators' names")
    hour_cost: float = Field(0.0, ge=0, description="what an annotator's hour costs; 0: not shown")
    currency: str = Field("USD", max_length=12, description="of hour_cost")
    refresh_s: Count = Field(60, description="so often the overview looks for news")

    @model_validator(mode="after")
    def _someone_may_look(self) -> DashboardSettings:
        if self.access == "oidc" and not self.allowed:
            raise ValueError(
                'access = "oidc" lets nobody in without `allowed`: name addresses or domains'
            )
        return self


class EngineSettings(Section):
    """Where heavy work runs."""

    kind: Literal["local", "ray"] = Field(
        "local", description="`local` is this process; `ray` needs the extra `ray`"
    )
    address: str | None = Field(
        None,
        min_length=1,
        description="of a Ray cluster that this machine is a node of: `auto` or `host:port`; "
        "unset: a cluster on this machine, for as long as the command runs",
    )
    actors: Count = Field(1, description="workers at once")
    cpus_each: Annotated[float, Field(ge=0)] = Field(1.0, description="CPUs that a worker occupies")
    gpus_each: Annotated[float, Field(ge=0)] = Field(
        0.0, description="GPUs that a worker occupies; 0.5 puts two on each"
    )


class Settings(Section):
    """All of `al_loop.toml`. `seed` is where every round's own seed comes from."""

    seed: int = Field(0, ge=0, description="every random choice follows from it")
    model: ModelSettings = ModelSettings()
    score: ScoreSettings = ScoreSettings()
    select: SelectSettings = SelectSettings()
    gates: GateSettings = GateSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    label_studio: LabelStudioSettings = LabelStudioSettings()
    labels: LabelSettings = LabelSettings()
    mixture: MixtureSettings = MixtureSettings()
    ctc: CtcSettings = CtcSettings()
    pseudo_labels: PseudoLabelSettings = PseudoLabelSettings()
    train: TrainSettings = TrainSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    promote: PromoteSettings = PromoteSettings()
    dashboard: DashboardSettings = DashboardSettings()
    engine: EngineSettings = EngineSettings()
    audio: AudioSettings = AudioSettings()


def load_settings(path: Path) -> Settings:
    """Read and validate one `al_loop.toml`.

    Raises ConfigError with one line per mistake: the file, the key, its value, what is allowed.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise ConfigError(f"{path}: no such file; `al-loop init` writes one") from exc
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise ConfigError(f"{path}: cannot be read as TOML: {exc}") from exc
    try:
        settings = Settings.model_validate(values)
    except ValidationError as exc:
        lines = [_explain(error) for error in exc.errors()]
        raise ConfigError("\n".join(f"{path}: {line}" for line in lines)) from exc
    label_studio = settings.label_studio
    files = {"token_file": label_studio.token_file, "ca_file": label_studio.ca_file}
    beside = {key: path.parent / file for key, file in files.items() if file is not None}
    label_studio = label_studio.model_copy(update=beside)
    settings = settings.model_copy(update={"label_studio": label_studio})
    if folder := settings.audio.cache_folder:
        audio = settings.audio.model_copy(update={"cache_folder": path.parent / folder})
        settings = settings.model_copy(update={"audio": audio})
    return settings


def label_studio_token(settings: LabelStudioSettings) -> str:
    """The token for a server of the user's own: the environment first, then `token_file`."""
    if token := os.environ.get(TOKEN_VARIABLE, "").strip():
        return _one_word(token, TOKEN_VARIABLE)
    path = settings.token_file
    if path is None:
        raise ConfigError(
            f"no Label Studio token: set {TOKEN_VARIABLE}, or name a file of mode 0600 "
            "in label_studio.token_file"
        )
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise ConfigError(
                f"label_studio.token_file: {path} has mode {mode:04o}, others may read it; "
                f"run `chmod 600 {path}`"
            )
        token = path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as exc:
        # the path itself may be a token, put there by mistake
        raise ConfigError(
            f"label_studio.token_file: cannot read that file: {type(exc).__name__}; expected the "
            "name of a file of mode 0600 that holds the token"
        ) from exc
    if not token:
        raise ConfigError(f"label_studio.token_file: {path} is empty; put the token there")
    return _one_word(token, f"label_studio.token_file {path}")


def _one_word(token: str, place: str) -> str:
    """The token, which goes into an HTTP header; a message about it must not show it."""
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(f"{place}: expected one token without spaces or line breaks")
    return token


def _explain(error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        allowed = ", ".join(_section_of(error["loc"]).model_fields)
        return f"{key}: unknown key; allowed here: {allowed}"  # its value may be a secret
    shown = re.sub(r"//.*@|\?.*", "…", repr(error["input"]))
    if len(error["loc"]) == 1 and isinstance(error["input"], dict | list):
        shown = "…"  # a whole section: what it holds may be a secret
    message = error["msg"].removeprefix("Value error, ")
    return f"{key} = {shown}: {message[0].lower()}{message[1:]}"


def _section_of(location: tuple[Any, ...]) -> type[Section]:
    section: type[Section] = Settings
    for part in location[:-1]:
        annotation = section.model_fields[str(part)].annotation
        if isinstance(annotation, type) and issubclass(annotation, Section):
            section = annotation
    return section
