import pytest

from al_loop.errors import WorkspaceError
from al_loop.manifest import build_manifest
from al_loop.records import Example, Source

SOURCES = {"demo_ky": Source("demo_ky", "open_source", "ky", 1.0)}
EXAMPLES = [Example(f"id{n}", f"audio/{n}.flac", 1.0, "demo_ky", "ky", "саат") for n in range(3)]


def test_the_id_follows_the_content_not_the_order() -> None:
    manifest = build_manifest(EXAMPLES, SOURCES, "epoch", frozenset())
    assert manifest.id == build_manifest(EXAMPLES[::-1], SOURCES, "epoch", frozenset()).id
    assert manifest.id != build_manifest(EXAMPLES[:2], SOURCES, "epoch", frozenset()).id
    assert manifest.id != build_manifest(EXAMPLES, SOURCES, "pseudo_epoch", frozenset()).id


def test_an_utterance_of_an_evaluation_set_is_refused() -> None:
    with pytest.raises(WorkspaceError, match=r"1 utterances of an evaluation set.*id1"):
        build_manifest(EXAMPLES, SOURCES, "epoch", {"id1", "elsewhere"})
