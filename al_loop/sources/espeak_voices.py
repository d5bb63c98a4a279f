"""espeak-ng as a `Synthesiser`: its languages, its timbres, and what it cannot say.

espeak-ng's noise and flutter go on from one line to the next. So that a line sounds the same
whatever was said before, a process that has said nothing yet divides (fork) for every line, and the
copy says it. Knows no files and no rows.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from al_loop.errors import AlLoopError, AudioError, ModelError
from al_loop.sources.espeak import Espeak, Voice
from al_loop.sources.synthesis import Manner

NAME = "espeak-ng"
LICENCE = "GPL-3.0-or-later"
VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5")
"""Those of a person who speaks plainly; others croak, whisper or are robots. Ours."""
WORDS_A_MINUTE = 150
"""At a pace of 1: how one reads aloud to somebody who writes it down. Ours."""
SLOWEST, FASTEST = 80, 450
"""What espeak-ng can do."""
LANGUAGES = {"zh": "cmn", "no": "nb", "iw": "he", "tl": "fil"}
"""Whisper's codes that are others to espeak-ng."""
SPOKEN_SIGNS = frozenset("%&@#*/\\_")
_OTHER_LANGUAGE = re.compile(r"\([a-z][\w-]*\)")
_Answer = tuple[np.ndarray, int] | Exception


class EspeakVoices:
    """The synthesiser for one language. Ends its process with `close`, or when this one ends.

    variants: timbres of espeak-ng. Raises AlLoopError where espeak-ng or a timbre is not there.
    """

    name = NAME
    licence = LICENCE

    def __init__(self, language: str, variants: Sequence[str] = VARIANTS) -> None:
        self._language = LANGUAGES.get(language, language)
        self._voices = {f"espeak {self._language}+{name}": name for name in variants}
        self.speakers: Sequence[str] = tuple(self._voices)
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other,), daemon=True)
        self._process.start()
        other.close()  # the process holds the last one: its end is the end of the pipe
        try:
            self.id = f"{NAME} {self._ask('version')}"
            for variant in variants:
                self._ask("phonemes", [], Voice(self._language, variant))
        except AlLoopError:
            self.close()
            raise

    def speak(self, text: str, manner: Manner) -> tuple[np.ndarray, int]:
        """As the port says."""
        pace = round(WORDS_A_MINUTE * manner.pace)
        voice = Voice(
            self._language,
            self._voices[manner.speaker],
            min(max(pace, SLOWEST), FASTEST),
            manner.pitch,
        )
        try:
            self._check(text, voice)
            samples, rate = self._ask("speak", text, voice, manner.seed)
        except (AudioError, ModelError):
            raise
        except AlLoopError as exc:
            raise AudioError("unspeakable", str(exc)) from exc
        return samples.astype(np.float32) / 32768, rate

    def close(self) -> None:
        self._pipe.close()
        self._process.join()

    def _check(self, text: str, voice: Voice) -> None:
        """Raises AudioError for signs that are spoken and stand in no label, and for words that
        would be spoken in another language, or letter by letter."""
        signs = sorted({sign for sign in text if sign in SPOKEN_SIGNS or _is_symbol(sign)})
        if signs:
            raise AudioError(
                "unspeakable", f"{' '.join(signs)}: may be read out; write it in words, or leave it"
            )
        words = text.split()
        line, *each = self._ask("phonemes", [text, *words], voice)
        foreign = [row for row, said in zip(words, each, strict=True) if _is_foreign(row, said)]
        if foreign or _OTHER_LANGUAGE.search(line):
            raise AudioError(
                "unspeakable",
                f"{voice.language} of espeak-ng has not the letters of "
                f"{', '.join(foreign[:5]) or 'it'}",
            )

    def _ask(self, what: str, *arguments: Any) -> Any:
        try:
            self._pipe.send((what, arguments))
            answer = self._pipe.recv()
        except (EOFError, OSError) as exc:
            raise ModelError("the process that speaks broke down: what it says is above") from exc
        if isinstance(answer, Exception):
            raise answer
        return answer


def _is_symbol(sign: str) -> bool:
    return unicodedata.category(sign) in {"Sc", "Sm", "So"}


def _is_foreign(text: str, phonemes: str) -> bool:
    """Whether another language begins, or more is named than there are letters."""
    letters = sum(letter.isalpha() for letter in text)
    return _OTHER_LANGUAGE.search(phonemes) is not None or phonemes.count("_|") > letters


def _serve(pipe: Connection) -> None:
    """Answers what `EspeakVoices` asks until nobody listens any more."""
    try:
        espeak: Espeak | AlLoopError = Espeak()
    except AlLoopError as exc:
        espeak = exc
    while True:
        try:
            what, arguments = pipe.recv()
            if isinstance(espeak, AlLoopError):
                pipe.send(espeak)
                continue
            pipe.send(_apart(partial(_answer, espeak, what, arguments)))
        except (EOFError, OSError):
            return


def _answer(espeak: Espeak, what: str, arguments: Sequence[Any]) -> Any:
    if what == "version":
        return espeak.version
    if what == "phonemes":
        texts, voice = arguments
        espeak.choose(voice)
        return [espeak.phonemes(text) for text in texts]
    text, voice, seed = arguments
    espeak.seed(seed)
    return espeak.speak(text, voice), espeak.sample_rate


def _apart(work: Callable[[], Any]) -> Any:
    """What `work` gives, or the AlLoopError that it raises, in a copy of this process."""
    reading, writing = os.pipe()
    copy = os.fork()
    if not copy:
        os.close(reading)
        try:
            with os.fdopen(writing, "wb") as file:
                try:
                    pickle.dump(work(), file)
                except AlLoopError as exc:
                    pickle.dump(exc, file)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        data = file.read()
    os.waitpid(copy, 0)
    if not data:
        return AlLoopError("espeak-ng breaks down over it")
    return pickle.loads(data)
