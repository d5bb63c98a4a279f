"""`al-loop synthesise`: lines of text become labelled clips that a model speaks."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from al_loop.commands.importing import take_rows
from al_loop.commands.model_licence import look_at_licence
from al_loop.listening import Once
from al_loop.wiring import clips_of, open_engine, open_workspace

if TYPE_CHECKING:
    from al_loop.config import Settings
    from al_loop.sources.listings import Rows
    from al_loop.sources.synthesis import Synthesiser
    from al_loop.sources.synthesis_texts import Line

ESPEAK = "espeak-ng"
TRANSLATIONS = "translations"
"""The folder of the workspace that keeps what was translated."""
POSITIVE = click.FloatRange(min=0, min_open=True)


@click.command()
@click.argument("texts", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--source", required=True, help="A name for where this data comes from.")
@click.option(
    "--model",
    default=ESPEAK,
    show_default=True,
    help="espeak-ng, or a VITS model of transformers: a folder, or a hub id such as "
    "facebook/mms-tts-kir.",
)
@click.option("--language", help="As a Whisper code; default: model.language.")
@click.option("--text-column", show_default="transcription, text or sentence", help="Of a table.")
@click.option(
    "--voices",
    help="Names with commas: espeak-ng's timbres, such as m1,f2, or speakers' numbers.",
    show_default="13 plain timbres, or all speakers",
)
@click.option(
    "--pace",
    type=(POSITIVE, POSITIVE),
    default=(0.8, 1.25),
    show_default=True,
    help="From and to; 1 is the voice's own, 2 twice as fast.",
)
@click.option(
    "--pitch",
    type=(click.IntRange(0, 99), click.IntRange(0, 99)),
    default=(40, 60),
    show_default=True,
    help="From and to; 50 is the voice's own. Of espeak-ng alone.",
)
@click.option(
    "--snr-db",
    type=(float, float),
    default=(5.0, 35.0),
    show_default=True,
    help="Speech over noise, from and to, in six clips of ten.",
)
@click.option(
    "--rt60-s",
    type=(POSITIVE, POSITIVE),
    default=(0.1, 0.6),
    show_default=True,
    help="How long a room echoes, from and to, in every other clip.",
)
@click.option("--plain", is_flag=True, help="Neither noise nor rooms.")
@click.option("--noise-scale", type=POSITIVE, help="Of a VITS model; default: its own.")
@click.option("--seed", type=click.IntRange(min=0), help="Of voices and rooms; default: seed.")
@click.option("--translate-from", metavar="LANGUAGE", help="The language that TEXTS are in.")
@click.option(
    "--translator",
    metavar="MODEL",
    help="What translates them: NLLB, M2M100 or Marian, as a folder or hub id.",
)
@click.option("--accept-licence", is_flag=True, help="Of models that forbid commercial use.")
@click.option(
    "--weight", type=POSITIVE, help="How often its examples are seen; default: 1, or what it was."
)
@click.pass_obj
def synthesise(
    workspace: Path,
    texts: Path,
    source: str,
    model: str,
    language: str | None,
    text_column: str | None,
    voices: str | None,
    noise_scale: float | None,
    translate_from: str | None,
    translator: str | None,
    accept_licence: bool,
    weight: float | None,
    **drawn: Any,
) -> None:
    """Have TEXTS spoken (.txt, a sentence a line; .tsv, .csv), as training data.

    Each line has a voice, a pace, a pitch, noise and a room of its own, which follow from the seed
    and the line: run again, it goes on, and adds nothing twice. Another --seed speaks the lines
    once more. Lines that cannot be spoken are refused with their reason. With Ray several workers
    speak at once. What models say is never measured on: all of it is for training.
    """
    if (translate_from is None) != (translator is None):
        raise click.UsageError("--translate-from and --translator go together")
    if model == ESPEAK and noise_scale is not None:
        raise click.UsageError("--noise-scale is for VITS models")
    for name in ("pace", "pitch", "snr_db", "rt60_s"):
        if drawn[name][0] > drawn[name][1]:
            raise click.UsageError(f"--{name.replace('_', '-')}: expected the smaller one first")

    from al_loop.sources.model_licence import full_place, model_name

    root, settings, store = open_workspace(workspace)
    if drawn["seed"] is None:
        drawn["seed"] = settings.seed
    target = language or settings.model.language
    if model != ESPEAK:
        model = full_place(model)
    for place in filter(None, (None if model == ESPEAK else model, translator)):
        look_at_licence(store, place, model_name(place), accept_licence)
    names = [name.strip() for name in (voices or "").split(",") if name.strip()]

    def read(_: str) -> Rows:
        from al_loop.sources.listings import Rows
        from al_loop.sources.synthesis import Variety, chosen, known_of
        from al_loop.sources.synthesis_clips import clips
        from al_loop.sources.synthesis_texts import as_spoken, read_lines

        count = sum(1 for _ in read_lines(texts, text_column))
        make = Once(partial(_synthesiser, model, target, names, root.root, settings, noise_scale))
        speaks: Synthesiser = make()
        at_end.callback(speaks.close)
        store.put_maker(speaks.name, speaks.licence)
        lines: Iterable[Line] = read_lines(texts, text_column)
        if translator and translate_from:
            from al_loop.sources.seq2seq import Seq2SeqTranslator
            from al_loop.sources.translation import translated

            device = _device(root.root, settings)
            speaks_both = Seq2SeqTranslator(translator, translate_from, target, device)
            store.put_maker(speaks_both.name, speaks_both.licence)
            lines = translated(lines, speaks_both, root.root / TRANSLATIONS)
        variety = Variety(chosen(speaks.speakers, [] if model == ESPEAK else names), **drawn)
        known = {
            known_of(text, speaker or "", origin): clips_of(root, settings).file(audio)
            for text, speaker, origin, audio in store.made(source, speaks.name)
        }

        engine = open_engine(settings)
        return Rows(lambda: clips(as_spoken(lines, target), make, variety, known, engine), count)

    given = {
        "source": source,
        "kind": "synthetic",
        "language": language,
        "split": "train",
        "weight": weight,
    }
    with ExitStack() as at_end:
        at_end.callback(store.close)
        take_rows(workspace, given, read)


def _synthesiser(
    model: str,
    language: str,
    names: list[str],
    root: Path,
    settings: Settings,
    noise_scale: float | None,
) -> Synthesiser:
    if model != ESPEAK:
        from al_loop.sources.vits import VitsVoice

        return VitsVoice(model, language, _device(root, settings), noise_scale)
    from al_loop.sources.espeak_voices import VARIANTS, EspeakVoices

    return EspeakVoices(language, [row.rpartition("+")[2] for row in names] or VARIANTS)


def _device(root: Path, settings: Settings) -> str:
    from al_loop.whisper.recognizer import WhisperRecognizer

    return WhisperRecognizer(root, settings.model).device
