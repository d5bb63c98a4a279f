"""Speech from text, by espeak-ng.

The library is the one that the package `espeakng-loader` carries, called through ctypes; no
system package is needed. This module knows voices, samples and phonemes; it does not know what is
said, nor noise, files or manifests.
"""

from __future__ import annotations

import ctypes
import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from al_loop.errors import AlLoopError

# From espeak-ng's speak_lib.h, version 1.52.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_POS_CHARACTER = 1
_CHARS_UTF8 = 1
_RATE = 1
_PITCH = 3
_PHONEME_NAMES = 0

# int synth_callback(short *samples, int sample_count, espeak_EVENT *events)
_SynthCallback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_int16), ctypes.c_int, ctypes.c_void_p
)


@dataclass(frozen=True, slots=True)
class Voice:
    """Who speaks, and how.

    language: an espeak-ng language, such as "ky".
    variant: a timbre of espeak-ng, such as "f2": a file in its folder `voices/!v`.
    rate_wpm: words a minute, 80 to 450.
    pitch: 0 to 99, relative to the variant's own; 50 leaves it as it is.
    """

    language: str
    variant: str
    rate_wpm: int = 175
    pitch: int = 50


class Espeak:
    """espeak-ng in this process: make one at most, since the library is global state.

    The library's pseudo-random noise and the phase of its flutter pass from one call to the
    next and cannot be reset. So equal bytes need equal calls in equal order in a fresh process:
    that is `speak_all`.
    """

    def __init__(self, seed: int = 0) -> None:
        try:
            import espeakng_loader
        except ImportError as exc:
            raise AlLoopError(
                "espeak-ng's voices need the package espeakng-loader, which is not installed: "
                "pip install 'al-loop[synthesis]'"
            ) from exc
        data = Path(espeakng_loader.get_data_path())
        self._variants = data / "voices" / "!v"
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self.sample_rate: int = self._library.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, 0, str(data).encode(), _INITIALIZE_DONT_EXIT
        )
        if self.sample_rate <= 0:
            raise AlLoopError(
                f"espeak-ng does not start with its data in {data}, a path of {len(str(data))} "
                "characters. It takes 159 at most: move the virtual environment to a shorter path. "
                "Where it is shorter, pip install --force-reinstall espeakng-loader."
            )
        # Starting seeds the noise from the clock; this undoes it.
        self.seed(seed)
        self._chunks: list[np.ndarray] = []
        self._callback = _SynthCallback(self._collect)  # kept: ctypes does not hold a reference
        self._library.espeak_SetSynthCallback(self._callback)
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self._library.espeak_Info.restype = ctypes.c_char_p

    @property
    def version(self) -> str:
        """Such as "1.52.0"."""
        return str(self._library.espeak_Info(None).decode())

    def seed(self, seed: int) -> None:
        """Begin the pseudo-random noise anew. seed: 32 bits at most."""
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(seed))

    def speak(self, text: str, voice: Voice) -> np.ndarray:
        """`text` as samples (T,) int16 at `sample_rate`.

        Raises AlLoopError where espeak-ng has no such voice or nothing is heard.
        """
        self.choose(voice)
        self._chunks.clear()
        data = text.encode() + b"\0"
        self._library.espeak_Synth(
            data, ctypes.c_size_t(len(data)), 0, _POS_CHARACTER, 0, _CHARS_UTF8, None, None
        )
        samples = np.concatenate([np.zeros(0, np.int16), *self._chunks])
        if not samples.any():
            raise AlLoopError(f"espeak-ng makes no sound of {text!r} in the voice {voice}.")
        return samples

    def phonemes(self, text: str) -> str:
        """What the voice that was chosen pronounces, in espeak-ng's names of phonemes.

        `(en)` says that English begins there; `_|` stands between the parts of a letter's name.
        """
        data = ctypes.create_string_buffer(text.encode())
        place = ctypes.c_void_p(ctypes.addressof(data))
        clauses = []
        while place.value:  # one call reads one clause, and moves on
            found = self._library.espeak_TextToPhonemes(
                ctypes.byref(place), _CHARS_UTF8, _PHONEME_NAMES
            )
            clauses.append((found or b"").decode())
        return " ".join(clauses)

    def choose(self, voice: Voice) -> None:
        """Raises AlLoopError where espeak-ng has no such voice."""
        name = f"{voice.language}+{voice.variant}"
        # An unknown variant is no error to espeak-ng: it would speak in its plain voice.
        known = (self._variants / voice.variant).is_file()
        if not known or self._library.espeak_SetVoiceByName(name.encode()) != 0:
            raise AlLoopError(f"espeak-ng has no voice {name!r}; its variants: {self._variants}")
        self._library.espeak_SetParameter(_RATE, voice.rate_wpm, 0)
        self._library.espeak_SetParameter(_PITCH, voice.pitch, 0)

    def _collect(self, samples: ctypes._Pointer[ctypes.c_int16], count: int, _events: int) -> int:
        if count > 0:  # the library uses its buffer again: copy
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0


def speak_all(
    lines: Sequence[tuple[str, Voice]], seed: int = 0
) -> Iterator[tuple[np.ndarray, int]]:
    """Every (text, voice) as (samples (T,) int16, sample rate in Hz), in order.

    A process of its own does it, so that equal arguments give equal bytes (see `Espeak`). It ends
    when it has said all, or when nobody listens any more, even where this process was killed.
    Raises AlLoopError as `Espeak` does.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_speak_into, args=(sender, lines, seed), daemon=True)
    process.start()
    sender.close()  # the other process holds the last one: its end is the end of the pipe
    try:
        for _ in lines:
            spoken = receiver.recv()
            if isinstance(spoken, AlLoopError):
                raise spoken
            yield spoken
    except EOFError as exc:
        raise AlLoopError("The process that speaks broke down: what it says is above.") from exc
    finally:
        receiver.close()
        process.join()


def _speak_into(sender: Connection, lines: Sequence[tuple[str, Voice]], seed: int) -> None:
    try:
        espeak = Espeak(seed)
        for text, voice in lines:
            sender.send((espeak.speak(text, voice), espeak.sample_rate))
    except AlLoopError as exc:
        sender.send(exc)
    except BrokenPipeError:
        pass  # nobody listens any more
