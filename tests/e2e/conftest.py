"""The real Label Studio server, started once for all end-to-end tests."""

from collections.abc import Iterator

import pytest

from labeling.server import EmbeddedServer


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A running server with a database of its own.

    A command run with AL_LOOP_DATA_DIR=label_studio.home.parent finds the same server.
    """
    server = EmbeddedServer(tmp_path_factory.mktemp("al_loop") / "label-studio")
    try:
        server.up(print)
        yield server
    finally:
        server.down()
