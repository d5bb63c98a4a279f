"""What may be wrong with our projects and the audio of their tasks."""

from __future__ import annotations

import httpx
import pytest

from al_loop.doctor.check import Check
from labeling.page import interface

from .installation import URL, Installation


def test_no_project_yet(here: Installation) -> None:
    here.studio.description = "somebody's\nal_loop workspace 0123, all"
    names = [check.name for check in here.checks()]
    assert "interface" not in names
    assert here.check("project").found.startswith("none yet")
    assert here.check("rights").found == "the token's user may make projects"
    assert "utterance abc is heard" in here.check("audio").found  # its address is known already


@pytest.mark.parametrize(
    ("old", "new", "state", "said"),
    [
        ("<View", "<", "failure", "it is no XML"),
        ('value="$audio"', 'value="$sound"', "failure", "nobody hears a clip"),
        ('name="audio"', 'name="clip"', "failure", "nobody hears a clip"),
        ('name="transcription"', 'name="text"', "failure", 'no <TextArea name="transcription">'),
        ('rows="3"', 'rows="$tall"', "failure", "shows tall"),
        ('alias="bad_audio"', 'alias="awful"', "warning", "it offers awful"),
        ('name="shown"', 'name="hidden"', "warning", "no hidden tag shown"),
    ],
)
def test_an_interface_that_was_changed(
    here: Installation, old: str, new: str, state: str, said: str
) -> None:
    assert old in interface()
    here.studio.config = interface().replace(old, new)
    found = here.check("interface")
    assert found.state == state
    assert said in found.found
    assert "labeling.page" in found.advice


def test_a_clip_that_cannot_be_heard(here: Installation) -> None:
    here.studio.replies["/kyrgyz/ab/abc.flac"] = httpx.Response(200, content=here.studio.clip)
    found = here.check("audio")
    assert found.state == "failure"
    assert "the clip of task 7: it allows pages of no other server" in found.found
    assert "expected 206" in found.found
    assert "CORS" in found.advice


def test_the_length_of_a_clip_is_compared(here: Installation) -> None:
    here.studio.clip += b"more"
    size = here.clip.stat().st_size
    assert f"{size + 4} bytes, the clip has {size}" in here.check("audio").found


def test_local_files_of_a_server_of_ones_own(here: Installation) -> None:
    here.configure(f'[label_studio]\nurl = "{URL}"\n')
    here.studio.address = "/data/local-files/?d=w1/ab/abc.flac"
    found = here.check("storage")
    assert found.state == "failure"
    assert "LOCAL_FILES_DOCUMENT_ROOT" in found.advice
    here.studio.storages["/api/storages/localfiles/"] = [{"path": "/srv/w1"}]
    assert here.check("storage") == Check("storage", "ok", "local files, /srv/w1")
    assert "with a login, and not without" in here.check("audio").found
