import multiprocessing
import sys

import numpy as np
import pytest

from al_loop.errors import AlLoopError
from al_loop.sources.espeak import Espeak, Voice, speak_all

CALM = Voice("ky", "m1", rate_wpm=140)


def test_kyrgyz_is_heard_and_a_hasty_voice_is_shorter() -> None:
    hasty = Voice("ky", "m1", rate_wpm=200)
    (calm, rate), (fast, _) = speak_all(
        [("Мага жаңы ырларды ойнотуп бер.", v) for v in (CALM, hasty)]
    )
    assert rate == 22_050
    assert calm.dtype == np.int16
    assert np.abs(calm.astype(int)).max() > 10_000
    assert len(fast) < len(calm)


def test_letters_that_only_kyrgyz_has_are_spoken() -> None:
    [(with_bar, _)] = speak_all([("өң", CALM)])
    [(plain, _)] = speak_all([("он", CALM)])
    assert not np.array_equal(with_bar, plain)


def test_equal_calls_give_equal_samples_in_every_process() -> None:
    lines = [("Жарыкты өчүр.", Voice("ky", variant)) for variant in ("m1", "croak", "whisper")]
    first, second = (list(speak_all(lines, seed=1)) for _ in range(2))
    for (samples, _), (again, _) in zip(first, second, strict=True):
        np.testing.assert_array_equal(samples, again)


@pytest.mark.parametrize(
    ("text", "voice", "message"),
    [
        ("салам", Voice("ky", "nobody"), "no voice 'ky.nobody'"),
        ("салам", Voice("xx", "m1"), "no voice 'xx.m1'"),
        ("…", CALM, "no sound of '…'"),
    ],
)
def test_what_cannot_be_spoken_is_said(text: str, voice: Voice, message: str) -> None:
    with pytest.raises(AlLoopError, match=message):
        list(speak_all([(text, voice)]))


def test_a_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)  # importing it fails from here on
    with pytest.raises(AlLoopError, match=r"pip install 'al-loop\[synthesis\]'"):
        Espeak()


def test_the_speaking_process_ends_when_nobody_listens() -> None:
    speech = speak_all([("Саат канча болду?", CALM)] * 200)
    next(speech)
    speech.close()
    assert not multiprocessing.active_children()
