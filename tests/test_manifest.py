from dataclasses import replace

import pytest

from al_loop.config import MixtureSettings
from al_loop.errors import ConfigError, WorkspaceError
from al_loop.manifest import build_manifest
from al_loop.records import Example, Source, content_hash

RULE = MixtureSettings()
SOURCES = {
    "demo_ky": Source("demo_ky", "open_source", "ky", 1.0),
    "demo_ru": Source("demo_ru", "open_source", "ru", 1.0),
    "in_house": Source("in_house", "in_house", "ky", 3.0),
}
EXAMPLES = [
    Example(f"{source.name}-{number}", "audio/x.flac", 0.7, source.name, source.language, "саат")
    for source in SOURCES.values()
    for number in range(4)
]


def test_the_id_follows_the_content_not_the_order() -> None:
    manifest = build_manifest(EXAMPLES, SOURCES, RULE, frozenset())
    assert manifest.id == build_manifest(EXAMPLES[::-1], SOURCES, RULE, frozenset()).id
    assert manifest.id != build_manifest(EXAMPLES[:2], SOURCES, RULE, frozenset()).id


@pytest.mark.parametrize(
    "rule",
    [
        {"policy": "epoch"},
        {"language_shares": {"ky": 0.5}},
        {"source_shares": {"demo_ky": 0.5}},
        {"max_repeats": 1},
    ],
)
def test_the_id_covers_how_examples_are_drawn(rule: dict[str, object]) -> None:
    manifest = build_manifest(EXAMPLES, SOURCES, RULE, frozenset())
    other = build_manifest(EXAMPLES, SOURCES, RULE.model_copy(update=rule), frozenset())
    assert manifest.id != other.id


def test_the_id_covers_the_weights() -> None:
    manifest = build_manifest(EXAMPLES, SOURCES, RULE, frozenset())
    heavier = {**SOURCES, "demo_ru": replace(SOURCES["demo_ru"], weight=1.5)}
    assert manifest.id != build_manifest(EXAMPLES, heavier, RULE, frozenset()).id


def test_an_utterance_of_an_evaluation_set_is_refused() -> None:
    with pytest.raises(WorkspaceError, match=r"1 utterances of an evaluation set.*demo_ru-1"):
        build_manifest(EXAMPLES, SOURCES, RULE, {"demo_ru-1", "elsewhere"})


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            {"language_shares": {"kg": 0.4, "ru": 0.2}},
            r"mixture\.language_shares names kg, of which .*; known here: ky, ru$",
        ),
        (
            {"source_shares": {"demo_kg": 0.4}},
            r"mixture\.source_shares names demo_kg, .*; known here: demo_ky, demo_ru, in_house$",
        ),
        (
            {"source_shares": {"demo_ky": 0.8, "in_house": 0.4, "demo_ru": 1.0}},
            r"mixture\.source_shares: the shares of demo_ky, in_house sum to 1\.2, expected 1",
        ),
        (
            {"language_shares": {"ru": 1.0}},
            r"mixture\.language_shares: the shares of ru sum to 1, and nothing is left for ky",
        ),
        (
            {"source_shares": {"demo_ky": 1.0}},
            r"mixture\.source_shares: .* demo_ky sum to 1, and nothing is left for in_house",
        ),
    ],
)
def test_shares_that_do_not_fit_the_sources_are_refused(
    rule: dict[str, dict[str, float]], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build_manifest(EXAMPLES, SOURCES, MixtureSettings(**rule), frozenset())


def test_a_source_without_examples_may_have_a_share_already() -> None:
    rule = MixtureSettings(source_shares={"demo_ky": 0.7, "in_house": 0.3})
    manifest = build_manifest(EXAMPLES[:8], SOURCES, rule, frozenset())
    assert [(row.source, row.draws) for row in manifest.mixture] == [("demo_ky", 4), ("demo_ru", 4)]


# -- qualities -------------------------------------------------------------------------------------


def graded(quality: float) -> list[Example]:
    return [replace(EXAMPLES[0], quality=quality), *EXAMPLES[1:]]


def test_the_id_covers_qualities_that_are_not_1() -> None:
    ids = {
        build_manifest(graded(quality), SOURCES, RULE, frozenset()).id
        for quality in (1.0, 0.9, 0.8)
    }
    assert len(ids) == 3
    manifest = build_manifest(graded(0.9), SOURCES, RULE, frozenset())
    assert manifest.id == build_manifest(graded(0.9)[::-1], SOURCES, RULE, frozenset()).id


def test_the_id_of_a_manifest_without_qualities_is_what_it_always_was() -> None:
    manifest = build_manifest(EXAMPLES, SOURCES, RULE, frozenset())
    assert manifest.id == content_hash(
        {
            "examples": sorted([row.utterance_id, row.source, row.text] for row in EXAMPLES),
            "mixture": [
                [row.source, row.weight, row.target_share, row.draws] for row in manifest.mixture
            ],
        }
    )


def test_the_id_covers_a_cap_that_only_qualities_reach() -> None:
    rows = [
        replace(row, quality=(1.0, 0.5, 0.5, 0.1)[number % 4])
        for number, row in enumerate(EXAMPLES)
        if row.source != "demo_ru"
    ]
    two, three, four = (
        build_manifest(rows, SOURCES, MixtureSettings(max_repeats=most), frozenset())
        for most in (2, 3, 4)
    )
    # 6 draws of in_house by 10 : 5 : 5 : 1 are 2.9 of the best
    assert [part.mixture[1].draws for part in (two, three, four)] == [6, 6, 6]
    assert [part.mixture[1].most_repeats for part in (two, three, four)] == [2, 3, 3]
    assert two.id != three.id == four.id
