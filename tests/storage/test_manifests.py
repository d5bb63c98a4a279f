"""What may be trained on, and what was."""

from __future__ import annotations

from al_loop.records import Example, Label, Manifest, MixtureRow, Source
from storage.store import Store

from .rows import counts, utterance


def test_training_examples_are_the_train_split_and_the_labels_with_a_text(filled: Store) -> None:
    filled.put_source(Source("books", "open_source", "ru"))
    filled.add(
        [
            utterance("t", source="books", language="ru", split="train", text="раз"),
            utterance("e", source="books", language="ru", split="test", text="два"),
            utterance("d", split="reserved"),
        ],
        [],
    )
    filled.put_labels(
        [
            Label("a", "бир", None, ["1"], "agreed", 0.75),
            Label("b", None, "other_language", ["2"]),
            Label("c", "үч", None, ["4", "5"], "disputed", 0.25),
            Label("d", "төрт", None, ["6", "7"], "agreed"),
            Label("e", "эки", None, ["3"]),
        ]
    )
    assert filled.training_examples("in_house") == [
        Example("a", "audio/a.flac", 2.0, "in_house", "ky", "бир", 0.75),
        Example("t", "audio/t.flac", 2.0, "books", "ru", "раз"),
    ]


def test_a_manifest_comes_back_as_it_was_whatever_its_sources_became(filled: Store) -> None:
    example = Example("a", "audio/a.flac", 2.0, "radio", "ky", "бир", 0.625)
    row = MixtureRow("radio", "in_house", "ky", 1.0, 1, 2.0, 1.0, 1.0, 1, 1)
    manifest = Manifest("m", [example], [row])
    filled.put_manifest(1, manifest)
    filled.put_source(Source("radio", "in_house", "ky", 5.0))
    assert filled.manifest("m") == manifest
    before = counts(filled)
    filled.put_manifest(1, manifest)
    assert counts(filled) == before
