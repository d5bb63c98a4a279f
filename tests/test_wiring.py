"""How the packages are joined: what the configuration makes of clips and servers."""

from typing import Any

import pytest

from al_loop.config import Settings
from al_loop.errors import ConfigError, OracleUnavailable
from al_loop.wiring import (
    audio_address,
    bring_audio,
    connect_label_studio,
    find_bucket,
    wire,
)
from storage.store import Store
from storage.workspace import Workspace


def settings(**label_studio: Any) -> Settings:
    return Settings.model_validate({"label_studio": label_studio})


@pytest.mark.parametrize(
    ("audio_url", "address"),
    [
        (None, "/data/local-files/?d=w1/ab/%D2%AF.flac"),
        ("https://clips.test/ky/", "https://clips.test/ky/ab/ү.flac"),
        ("s3://clips/ky", "s3://clips/ky/ab/ү.flac"),
        ("s3://clips", "s3://clips/ab/ү.flac"),
    ],
)
def test_where_a_clip_is_heard(
    audio_url: str | None, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    rule = settings(audio_url=audio_url)
    assert audio_address(rule, "w1", "audio/ab/ү.flac") == address
    bucket = find_bucket(rule)
    assert (bucket is not None) == address.startswith("s3://")
    assert bucket is None or bucket.address("audio/ab/ү.flac") == address


def test_clips_that_are_served_elsewhere_are_brought_nowhere(workspace: Workspace) -> None:
    bring_audio(workspace, settings(audio_url="https://clips.test"), ["audio/gone.flac"])


def test_a_bucket_needs_both_halves_of_its_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    with pytest.raises(ConfigError, match="AWS_ACCESS_KEY_ID"):
        find_bucket(settings(audio_url="s3://clips"))


def test_a_private_authority_is_taken_from_the_configuration(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AL_LOOP_LABEL_STUDIO_TOKEN", "t")
    missing = str(workspace.root / "ca.pem")
    with pytest.raises(ConfigError, match=r"label_studio\.ca_file: .*ca\.pem"):
        connect_label_studio(settings(url="https://labels.test", ca_file=missing))


def test_a_loop_is_wired_before_label_studio_runs(
    workspace: Workspace, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AL_LOOP_DATA_DIR", str(workspace.root / "nowhere"))
    loop = wire(workspace, settings(), store)
    with pytest.raises(OracleUnavailable, match="al-loop labelstudio up"):
        loop.asking.oracle()
