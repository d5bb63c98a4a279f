"""Models that made what training may use, and what they made already."""

from __future__ import annotations

from al_loop.records import TRANSLATED_BY, Example, Manifest, MixtureRow, Source
from storage.queries import Reader
from storage.store import Store

from .rows import utterance


def test_a_licence_is_kept_and_may_become_known_but_not_unknown(store: Store) -> None:
    store.put_maker("tiny-tts", "unknown")
    store.put_maker("tiny-tts", "mit")
    store.put_maker("tiny-tts", "unknown")
    store.put_maker("espeak-ng", "GPL-3.0-or-later")
    assert store.makers() == {"espeak-ng": "GPL-3.0-or-later", "tiny-tts": "mit"}


def test_makers_of_what_a_round_has_learned(filled: Store) -> None:
    filled.put_source(Source("voice", "synthetic", "ky"))
    names = ("v1", "v2", "v3")
    made = {"source": "voice", "split": "train", "text": "бир", "speaker": "tts speaker 1"}
    filled.add(
        [
            utterance("v1", **made, made_by="tts", text_origin="ru.txt:1"),
            utterance("v2", **made, made_by="tts", text_origin=f"ru.txt:2{TRANSLATED_BY}mt/big"),
            utterance("v3", **made, made_by="aligner"),
            utterance("v4", **made, made_by="not learned from"),
        ],
        [],
    )
    filled.put_maker("tts", "mit")
    filled.put_maker("mt/big", "cc-by-nc-4.0")
    examples = [Example(name, f"audio/{name}.flac", 2.0, "voice", "ky", "бир") for name in names]
    row = MixtureRow("voice", "synthetic", "ky", 1.0, 3, 6.0, 1.0, 1.0, 1, 3)
    filled.put_manifest(1, Manifest("m", examples, [row]))
    reader = Reader(filled.workspace)
    assert reader.makers_of_round(1) == [
        {"maker": "aligner", "examples": 1, "licence": None},
        {"maker": "mt/big", "examples": 1, "licence": "cc-by-nc-4.0"},
        {"maker": "tts", "examples": 2, "licence": "mit"},
    ]
    assert reader.makers_of_round(0) == []
    reader.close()
    origin = utterance("v1").origin
    assert filled.made("voice", "aligner") == [
        ("бир", "tts speaker 1", origin.replace("v1", "v3"), "audio/v3.flac")
    ]
