"""The model card of an exported checkpoint, as the hub reads it: what made it, and how good it is.

`gather` asks the read-only queries; `model_card` is pure. It says what the data say and no more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal

from al_loop.errors import ConfigError
from al_loop.licences import is_non_commercial
from al_loop.report import percent, with_interval

if TYPE_CHECKING:
    from storage.queries import Reader

Row = Mapping[str, Any]

UNKNOWN = "unknown"
NOT_KNOWN = "not on record"
NEEDED = ("made_from", "token_started_from", "language", "donor")
"""Of the base's sidecar, or of the model settings in it."""


@dataclass(frozen=True, slots=True)
class Form:
    """How it was exported. code: the language code that its user gives; folder: its name."""

    folder: str
    format: Literal["transformers", "ctranslate2"]
    quantization: str
    code: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What a card tells. Rows are those of `storage.queries.Reader`, sidecars those of checkpoints.

    base_model: the base's name on the hub, licence: of its weights, as the hub writes it; None
    where nobody says. makers: models that spoke, cut or translated what it learned, and their
    licences. rounds: up to the one that made the checkpoint.
    """

    name: str
    base_model: str | None
    licence: str | None
    sidecar: Row
    base: Row
    decision: str | None
    mixture: Sequence[Row]
    rates: Sequence[Row]
    base_rates: Sequence[Row]
    silence: Row | None
    rounds: Sequence[Row]
    makers: Sequence[Row] = ()


def gather(
    reader: Reader,
    checkpoint_id: str,
    published: Callable[[Row], tuple[str | None, str | None]],
) -> Facts:
    """The facts about one checkpoint.

    published: from the base's sidecar, its name on the hub, and its licence. Raises ConfigError
    where the sidecar lacks what a card needs.
    """
    rows = {row["id"]: row for row in reader.checkpoints()}
    found = rows[checkpoint_id]
    first = next(row for row in rows.values() if row["parent"] is None)
    base = json.loads(first["sidecar"])
    missing = [key for key in NEEDED if key not in {**base, **base.get("model", {})}]
    if missing:
        raise ConfigError(
            f"the sidecar of {first['name']} lacks {', '.join(missing)}, expected what the first "
            "`al-loop round` writes; make another workspace"
        )
    base_model, licence = published(base)
    number = found["round"]
    return Facts(
        name=found["name"],
        base_model=base_model,
        licence=licence,
        sidecar=json.loads(found["sidecar"]),
        base=base,
        decision=found["decision"],
        mixture=[] if number is None else reader.mixture(number),
        rates=reader.evaluations(checkpoint_id),
        base_rates=reader.evaluations(first["id"]),
        silence=reader.silence(checkpoint_id),
        rounds=[row for row in reader.rounds() if number is not None and row["round"] <= number],
        makers=[] if number is None else reader.makers_of_round(number),
    )


def model_card(facts: Facts, form: Form) -> str:
    """The card as Markdown, its front matter first."""
    language = facts.base["model"]["language"]
    title = f"# Whisper for `{language}`: {facts.name}"
    made_from = _made_from(facts)
    first = f"`{made_from}`, fine-tuned with al_loop."
    if not facts.mixture:
        first = f"`{made_from}` as it is, not fine-tuned."
    sections = [
        _front_matter(facts, form),
        f"{title}\n\n{first}{_token(facts, form)}",
        _use(form),
        _data(facts),
        _makers(facts),
        _rates(facts),
        _history(facts),
        _training(facts),
        _limits(facts, form),
        _licence(facts),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _made_from(facts: Facts) -> str:
    """The base as the settings call it; of a folder the last name, for the rest is nobody's."""
    name: str = facts.base["made_from"]
    return name if facts.base_model else PurePath(name).name


def _front_matter(facts: Facts, form: Form) -> str:
    spoken = {row["language"] for row in facts.mixture} | {facts.base["model"]["language"]}
    library = form.format
    lines = [
        "language:",
        *(f"- {json.dumps(code)}" for code in sorted(spoken)),  # YAML takes a bare `no` for false
        f"license: {facts.licence or UNKNOWN}",
        f"library_name: {library}",
        "pipeline_tag: automatic-speech-recognition",
        "tags:",
        "- whisper",
        *(["- faster-whisper"] if library == "ctranslate2" else []),
        "metrics:",
        "- wer",
        "- cer",
    ]
    if facts.base_model:
        lines.insert(0, f"base_model: {json.dumps(facts.base_model)}")
    return "\n".join(["---", *lines, "---"])


def _token(facts: Facts, form: Form) -> str:
    donor, language = facts.base["token_started_from"], facts.base["model"]["language"]
    text = ""
    if donor is not None:
        text = (
            f" Whisper does not list `{language}`; the token `<|{language}|>` was added, started "
            f"from that of `{donor}`."
        )
    if form.code != language:
        text += (
            f" In this form `<|{language}|>` stands in the place of `<|{form.code}|>`, because "
            "faster-whisper knows no other languages than Whisper's: "
            f'`language="{form.code}"` decodes `{language}`, and language detection says '
            f"`{form.code}` for it."
        )
    return text


def _use(form: Form) -> str:
    if form.format == "transformers":
        code = f"""\
from transformers import pipeline

recognise = pipeline("automatic-speech-recognition", model="{form.folder}")
print(recognise("clip.wav")["text"])"""
        note = (
            f"It transcribes `{form.code}` unless told otherwise, as by "
            '`generate_kwargs={"language": "<|ru|>"}`. To read files the pipeline needs FFmpeg; it '
            "takes arrays of samples at 16 kHz as well."
        )
    else:
        code = f"""\
from faster_whisper import WhisperModel

model = WhisperModel("{form.folder}")
segments, _ = model.transcribe(
    "clip.wav", language="{form.code}", without_timestamps=True
)
print(" ".join(segment.text.strip() for segment in segments))"""
        note = f"The weights are {form.quantization}; `compute_type` chooses what it computes with."
    return f"## Use\n\n```python\n{code}\n```\n\n{note}"


def _data(facts: Facts) -> str:
    if not facts.mixture:
        return ""
    rows = [
        [
            row["source"],
            row["kind"],
            row["language"],
            str(row["examples"]),
            f"{row['duration_s'] / 3600:.2f}",
            percent(row["target_share"]),
            percent(row["realised_share"]),
        ]
        for row in facts.mixture
    ]
    header = ["source", "kind", "language", "examples", "hours"]
    table = _table([*header, "target share %", "realised share %"], rows)
    return f"## Training data\n\nShares are those of the draws in an epoch.\n\n{table}"


def _makers(facts: Facts) -> str:
    """The models that made a part of the training data, and a warning about their licences."""
    if not facts.makers:
        return ""
    rows = [
        [f"`{row['maker']}`", str(row["examples"]), row["licence"] or NOT_KNOWN]
        for row in facts.makers
    ]
    barred = [
        f"`{row['maker']}`" for row in facts.makers if is_non_commercial(row["licence"] or "")
    ]
    text = "Models spoke, cut or translated a part of the training data."
    if barred:
        text += (
            f" **The licence of {', '.join(barred)} forbids commercial use**, and may forbid that "
            "of these weights."
        )
    return f"## Models behind the data\n\n{text}\n\n" + _table(
        ["model", "examples", "licence"], rows
    )


def _rates(facts: Facts) -> str:
    if not facts.rates:
        return ""
    untrained = {_measured(row): percent(row["wer"]) for row in facts.base_rates}
    rows = [
        [
            row["evaluation_set"],
            row["language"],
            row["kind"] or "",
            str(row["utterances"]),
            with_interval(row),
            with_interval(row, "cer"),
            untrained.get(_measured(row), ""),
        ]
        for row in facts.rates
    ]
    header = ["evaluation set", "language", "kind", "utterances", "WER %", "CER %"]
    text = (
        "In brackets 95% bootstrap intervals over utterances. Texts are normalised (normaliser "
        f"{facts.rates[0]['normaliser']} of al_loop); decoded greedily in windows of the clip's "
        "own length, before the export."
    )
    if facts.mixture:
        text += " None of the audio is in the training data above."
    if facts.silence:
        text += (
            f" In {facts.silence['hallucinated']} of {facts.silence['clips']} clips in which "
            "nobody speaks it heard words."
        )
    return f"## Error rates\n\n{text}\n\n{_table([*header, 'WER % of the base'], rows)}"


def _measured(row: Row) -> tuple[str, int, str]:
    """What two error rates must share to be compared: a set may have grown between them."""
    return row["evaluation_set"], row["utterances"], row["normaliser"]


def _history(facts: Facts) -> str:
    if not facts.rounds:
        return ""
    rows = [
        [
            str(row["round"]),
            str(row["labelled"] or 0),
            f"{row['labelled_min']:.1f}",
            row["decision"] or "not decided yet",
            row["by_hand"] or "",
        ]
        for row in facts.rounds
    ]
    header = [
        "round",
        "labelled clips",
        "minutes",
        "decision on its checkpoint",
        "put in use by hand",
    ]
    return f"## Rounds of labelling\n\n{_table(header, rows)}"


def _training(facts: Facts) -> str:
    settings = facts.sidecar.get("settings")
    if not settings:
        return ""
    rows = [[f"`{key}`", f"`{json.dumps(value)}`"] for key, value in sorted(settings.items())]
    versions = ", ".join(f"{name} {number}" for name, number in facts.sidecar["versions"].items())
    made = (
        f"{facts.sidecar['steps']} steps over {facts.sidecar['draws']} draws, seed "
        f"{facts.sidecar['seed']}, on {facts.sidecar['device']}; {versions}."
    )
    return f"## Training settings\n\n{made}\n\n{_table(['setting', 'value'], rows)}"


def _limits(facts: Facts, form: Form) -> str:
    limits = []
    if facts.decision and facts.decision.startswith("rejected"):
        objections = _cell(facts.decision.removeprefix("rejected: "))
        limits.append(f"The promotion gate rejected this checkpoint: {objections}.")
    if not facts.rates:
        limits.append("It was measured on no evaluation set.")
    elif all(row["kind"] == "synthetic" for row in facts.rates):
        limits.append(
            "Every evaluation set is synthetic speech: how well it hears people is not known."
        )
    if facts.mixture and all(row["kind"] == "synthetic" for row in facts.mixture):
        limits.append("It was trained on synthetic speech alone.")
    if facts.mixture:
        spoken = {row["language"] for row in facts.mixture}
        measured = {row["language"] for row in facts.rates} - spoken
        but = f" except {_codes(measured)}" if measured else ""
        limits.append(
            f"It was trained on {_codes(spoken)} and without timestamps: other languages of "
            f"Whisper{but}, and its timestamps, may have suffered and were not measured."
        )
    if form.code != facts.base["model"]["language"]:
        limits.append(f"Whisper's own `{form.code}` cannot be asked for in this form.")
    if not limits:
        return ""
    return "## Limits\n\n" + "\n".join(f"- {row}" for row in limits)


def _licence(facts: Facts) -> str:
    made_from = _made_from(facts)
    if facts.licence is None:
        text = (
            f"Unknown: `{made_from}` comes with no licence that we found; ask before you publish."
        )
    else:
        text = f"These weights were made from those of `{made_from}`, under `{facts.licence}`."
    return f"## Licence\n\n{text} The training data may set terms of its own."


def _codes(languages: Iterable[str]) -> str:
    return ", ".join(f"`{code}`" for code in sorted(languages))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    """Text that may come from anywhere, on one line and without what would end the cell."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
