"""Which words and letters are taken for others."""

from __future__ import annotations

from itertools import islice, product

import pytest

from al_loop.confusions import MOST, Mistake, Pair, Part, mistakes, word_parts
from al_loop.metrics import count_errors


def pair(name: str, said: str, heard: str, speaker: str | None = "Айгүл") -> Pair:
    return Pair(name, "ky", said, heard, "radio", speaker)


def test_words_are_aligned_as_for_every_error_rate() -> None:
    assert word_parts("Бир, эки үч төрт!", "бир ики үч алты беш", "ky")[:3] == [
        Part("same", "бир", "бир"),
        Part("changed", "эки", "ики"),
        Part("same", "үч", "үч"),
    ]
    assert word_parts("саат 7", "саат жети", "ky") == [
        Part("same", "саат", "саат"),
        Part("same", "жети", "жети"),
    ]


@pytest.mark.parametrize(
    ("said", "heard", "parts"),
    [
        ("", "", []),
        ("?!", "ооба", [Part("added", "", "ооба")]),
        ("ооба жок", "", [Part("missed", "ооба", ""), Part("missed", "жок", "")]),
    ],
)
def test_texts_without_a_word(said: str, heard: str, parts: list[Part]) -> None:
    assert word_parts(said, heard, "ky") == parts


def test_mistakes_are_counted_over_clips_and_speakers() -> None:
    found = mistakes(
        [
            pair("1", "көңүл ачык көңүл", "конул ачык конул"),
            pair("2", "көңүл жок", "конул жок", "Бакыт"),
            pair("3", "көңүл", "көңүл ээ", None),
        ]
    )
    assert found.words == [
        Mistake("changed", "көңүл", "конул", 3, 4, 2, 2, ("1", "2")),
        Mistake("added", "", "ээ", 1, 0, 1, 0, ("3",)),
    ]
    assert [(row.said, row.heard, row.times, row.of) for row in found.letters] == [
        ("ң", "н", 3, 4),
        ("ү", "у", 3, 4),
        ("ө", "о", 3, 4),
    ]
    assert (found.all.clips, found.all.words, found.all.errors) == (3, 6, 4)


def test_letters_of_words_that_are_not_alike_are_left_alone() -> None:
    assert mistakes([pair("1", "мектеп", "барды")]).letters == []
    (letter,) = mistakes([pair("1", "мектепке", "мектепте")]).letters
    assert (letter.said, letter.heard) == ("к", "т")


def test_groups_have_their_own_figures_and_the_worst_comes_first() -> None:
    found = mistakes(
        [
            pair("1", "бир эки", "бир эки", "one"),
            pair("2", "бир эки", "бир ики үч", "other"),
            pair("3", "бир", "", None),
        ]
    )
    assert [(row.name, row.clips, row.words, row.errors) for row in found.speakers] == [
        ("other", 1, 2, 2),
        ("one", 1, 2, 0),
    ]
    assert found.speakers[0].wer == 1.0
    assert found.speakers[1].most is None
    (source,) = found.sources
    assert (source.changed, source.missed, source.added) == (1, 1, 1)


def test_errors_are_those_of_the_error_rate() -> None:
    texts = [("бир эки үч", "бир үч"), ("төрт беш", "торт беш алты"), ("жети", "")]
    found = mistakes(pair(str(place), *row) for place, row in enumerate(texts))
    counts = [count_errors(*row, "ky") for row in texts]
    assert found.all.errors == sum(row.word_errors for row in counts)
    assert found.all.words == sum(row.words for row in counts)


def test_nothing_said_and_nothing_at_all() -> None:
    for rows in ([], [pair("1", "...", "ооба")]):
        found = mistakes(rows)
        assert (found.all.clips, found.all.wer, found.words, found.sources) == (0, 0.0, [], [])


def test_only_the_most_frequent_come() -> None:
    rows = [pair("1", "бир эки", "бир ики")]
    names = map("".join, product("абгджзйклмн", repeat=3))
    rows += [pair(name, f"{name}у", "башка") for name in islice(names, MOST)]
    found = mistakes([*rows, rows[0]])
    assert len(found.words) == MOST
    assert (found.words[0].said, found.words[0].times) == ("эки", 2)
