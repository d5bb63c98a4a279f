"""`al-loop labelstudio listen`, where it ends before it begins; with a server: tests/e2e."""

from __future__ import annotations

from click.testing import CliRunner

from al_loop.commands.labelstudio import listen
from storage.store import Store


def test_a_server_of_one_s_own_has_to_be_told_the_address(store: Store) -> None:
    config = store.workspace.config
    config.write_text('[label_studio]\nurl = "https://labels.example.org"\n', encoding="utf-8")
    done = CliRunner().invoke(listen, [], obj=store.workspace.root)
    assert done.exit_code == 2
    assert "--url" in done.output
    assert not (store.workspace.root / "listen.secret").exists()


def test_a_secret_that_others_may_read_ends_it(store: Store) -> None:
    secret = store.workspace.root / "listen.secret"
    secret.write_text("k" * 43)
    secret.chmod(0o644)
    done = CliRunner().invoke(listen, [], obj=store.workspace.root)
    assert "chmod 600" in str(done.exception)
    assert "k" * 43 not in done.output + str(done.exception)
