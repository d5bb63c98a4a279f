"""A workspace and the servers that it talks to, as they should be; a test breaks one thing."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx

from al_loop.doctor.check import Check
from al_loop.doctor.run import diagnose
from labeling.install import VERSION
from labeling.page import interface
from storage.workspace import Workspace

URL = "https://labels.test"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TOKEN = "0123456789abcdef0123456789abcdef01234567"
CONFIG = f'[label_studio]\nurl = "{URL}"\naudio_url = "https://audio.test/kyrgyz"\n'


def personal_token(ends: datetime) -> str:
    payload = json.dumps({"exp": ends.timestamp()}).encode()
    return f"e30.{urlsafe_b64encode(payload).decode().rstrip('=')}.c2ln"


@dataclass
class Studio:
    """Label Studio and a server of audio, as they should be; a test changes what it breaks."""

    workspace_id: str
    clip: bytes
    replies: dict[str, httpx.Response | httpx.RequestError] = field(default_factory=dict)
    clock: datetime = NOW
    description: str | None = None
    config: str = field(default_factory=interface)
    address: str = "https://audio.test/kyrgyz/ab/abc.flac"
    tasks: int = 1
    storages: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if request.method not in ("GET", "OPTIONS"):
            self.changes.append(f"{request.method} {path}")
        reply = self.replies.get(path)
        if isinstance(reply, httpx.RequestError):
            raise reply
        return reply or self._usual(request)

    def _usual(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if request.url.host == "audio.test":
            return self._clip(request, {"Access-Control-Allow-Origin": URL})
        public = {
            "/health": {"status": "UP"},
            "/api/version/": {"release": VERSION},
            "/api/token/refresh/": {"access": "access"},
        }
        if path in public:
            date = {"Date": format_datetime(self.clock, usegmt=True)}
            return httpx.Response(200, json=public[path], headers=date)
        if "Authorization" not in request.headers:
            return httpx.Response(401)
        if path == "/data/local-files/":
            return self._clip(request, {})
        return httpx.Response(200, json=self._json(request))

    def _json(self, request: httpx.Request) -> Any:
        path = request.url.path
        if request.method == "OPTIONS":
            return {"actions": {"POST": {}, "PUT": {}}}
        if path == "/api/current-user/whoami":
            return {"email": "anna@labels.test"}
        if path == "/api/projects":
            marked = f"al_loop workspace {self.workspace_id}, all"
            row = {
                "id": 4,
                "title": "Kyrgyz",
                "description": marked if self.description is None else self.description,
                "label_config": self.config,
                "task_number": self.tasks,
            }
            return {"results": [row], "next": None}
        if path.startswith("/api/storages/"):
            return self.storages.get(path, [])
        if path == "/api/tasks":
            return {"tasks": [{"id": 7}] * self.tasks}
        assert path == "/api/tasks/7/", path
        return {"id": 7, "data": {"audio": self.address, "utterance": "abc"}}

    def _clip(self, request: httpx.Request, headers: dict[str, str]) -> httpx.Response:
        headers = {"Content-Type": "audio/flac", **headers}
        if "Range" in request.headers:
            return httpx.Response(206, content=self.clip[:10], headers=headers)
        return httpx.Response(200, content=self.clip, headers=headers)


@dataclass
class Installation:
    """A workspace with one clip and a checkpoint in use, and the servers that it talks to."""

    root: Workspace
    clip: Path
    weights: Path
    studio: Studio
    environment: Mapping[str, str] = field(default_factory=dict)

    def configure(self, text: str) -> None:
        self.root.config.write_text(text, encoding="utf-8")

    def checks(self) -> list[Check]:
        transport = httpx.MockTransport(self.studio.answer)
        return list(diagnose(self.root.root, self.environment, transport, lambda: NOW))

    def check(self, name: str) -> Check:
        (found,) = [check for check in self.checks() if check.name == name]
        return found
