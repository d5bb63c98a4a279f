"""The Label Studio server that `al-loop labelstudio up` runs, for who has none.

One server per user, on loopback, shared by all workspaces. Its folder holds

    credentials.json   user name, password and token, readable by the user only
    data/              Label Studio's database
    files/             one symbolic link per workspace, to the audio that annotators hear
    port, server.log   kept, so that bookmarks live on; what the server prints
    server.pid         its process id, locked by the server itself for as long as it lives

The lock is inherited by the server process and dies with it. So a process id is used only while
its server surely runs: a stale file never kills a stranger. Knows nothing of projects and tasks.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx
from filelock import FileLock
from platformdirs import user_cache_path, user_data_path

from al_loop.errors import AlLoopError, OracleRefused, OracleUnavailable
from labeling.addresses import HOST, forbidden_subnets
from labeling.install import ensure_label_studio, tail
from labeling.session import Session

START_TIMEOUT_S = 300.0
"""A first start makes the database: 35 s on two idle cores."""

STOP_TIMEOUT_S = 20.0
POLL_S = 0.5

INHERITED_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")
"""All that the server gets of ours: it would obey bare names such as HOST, DEBUG or USERNAME."""


@dataclass(frozen=True, slots=True)
class Running:
    """Where the server answers, and the file that tells how to log in."""

    url: str
    username: str
    password_file: Path


@dataclass(frozen=True, slots=True)
class _Credentials:
    username: str = "admin@localhost"
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12), repr=False)
    token: str = field(default_factory=lambda: secrets.token_hex(20), repr=False)


class EmbeddedServer:
    """A Label Studio server of this user.

    home: its folder; AL_LOOP_DATA_DIR/label-studio, or else the user's data folder.
    cache: where it is installed; AL_LOOP_CACHE_DIR, or else the user's cache.
    """

    def __init__(
        self,
        home: Path | None = None,
        cache: Path | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        data_dir = Path(os.environ.get("AL_LOOP_DATA_DIR") or user_data_path("al_loop"))
        cache_dir = Path(os.environ.get("AL_LOOP_CACHE_DIR") or user_cache_path("al_loop"))
        self.home = (home or data_dir / "label-studio").absolute()
        self.files = self.home / "files"
        self._cache = (cache or cache_dir).absolute()
        self._sleep = sleep
        self._credentials_file = self.home / "credentials.json"
        self._port_file = self.home / "port"
        self._pid_file = self.home / "server.pid"
        self._log = self.home / "server.log"

    @property
    def token(self) -> str:
        """The legacy token of the server's user. Raises OracleRefused before the first `up`."""
        return self._credentials().token

    def up(self, progress: Callable[[str], None] = lambda message: None) -> Running:
        """Install and start the server unless that is done; returns once it answers.

        Safe to call twice, and twice at once. Raises AlLoopError when it cannot be installed,
        OracleUnavailable when it does not start, OracleRefused when it does not know our token.
        """
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._exclusive():
            program = ensure_label_studio(self._cache, progress)
            if not self._is_alive():
                progress("starting Label Studio: seconds, or about half a minute the first time")
                self._start(program)
            self._wait_until_it_answers()
        running = self.status()
        if running is None:
            raise OracleUnavailable(f"Label Studio ended after its start; see {self._log}")
        return running

    def status(self) -> Running | None:
        """Where the server runs; None when it does not."""
        if not self._is_alive():
            return None
        return Running(self._url(), self._credentials().username, self._credentials_file)

    def down(self) -> bool:
        """Stop the server; False when it was not running. Its data stays."""
        if not self.home.exists():
            return False
        with self._exclusive():
            if not self._is_alive():
                return False
            pid = int(self._pid_file.read_text())
            for kind in (signal.SIGTERM, signal.SIGKILL):
                os.kill(pid, kind)
                deadline = time.monotonic() + STOP_TIMEOUT_S
                while time.monotonic() < deadline:
                    if not self._is_alive():
                        return True
                    self._sleep(POLL_S)
        raise AlLoopError(f"Label Studio (process {pid}) does not end; see {self._log}")

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """While it does not run, and nobody starts it. Raises OracleRefused when it runs."""
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._exclusive():
            if self._is_alive():
                raise OracleRefused(
                    f"Label Studio runs at {self._url()}; stop it with `al-loop labelstudio down`"
                )
            yield

    def link_audio(self, workspace_id: str, audio_dir: Path) -> Path:
        """Let the server reach a workspace's audio; returns the folder as the server knows it.

        A file `a.wav` in it is then served as `local_audio_url(f"{workspace_id}/a.wav")` to users
        of a project that has the folder as its local storage. A moved workspace is linked anew.
        """
        if not workspace_id.replace("-", "").isalnum():
            raise AlLoopError(f"{workspace_id!r} cannot name a folder; expected letters and digits")
        self.files.mkdir(parents=True, exist_ok=True)
        link, new = self.files / workspace_id, self.files / f".{workspace_id}.{os.getpid()}"
        new.unlink(missing_ok=True)
        new.symlink_to(audio_dir.resolve(), target_is_directory=True)
        new.replace(link)
        return link

    def _exclusive(self) -> FileLock:
        return FileLock(self.home / "up.lock")

    def _is_alive(self) -> bool:
        try:
            with self._pid_file.open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def _start(self, program: Path) -> None:
        credentials = self._credentials(create=True)
        self.files.mkdir(exist_ok=True)
        port = self._free_port()
        # The shell writes its process id and becomes the server, so that the file is right even
        # if we are killed now. Secrets travel in the environment, which only the user can read.
        script = 'echo $$ > "$0" && exec "$@"'
        serve = ["start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port)]
        with self._pid_file.open("w") as lock, self._log.open("wb") as log:
            fcntl.flock(lock, fcntl.LOCK_EX)
            subprocess.Popen(
                ["/bin/sh", "-c", script, str(self._pid_file), str(program), *serve],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.home,
                env=self._environment(credentials),
                pass_fds=[lock.fileno()],
                start_new_session=True,
            )

    def _environment(self, credentials: _Credentials) -> dict[str, str]:
        ours = {name: os.environ[name] for name in INHERITED_ENVIRONMENT if name in os.environ}
        settings = {
            "BASE_DATA_DIR": str(self.home / "data"),
            "USERNAME": credentials.username,
            "PASSWORD": credentials.password,
            "USER_TOKEN": credentials.token,
            "ENABLE_LEGACY_API_TOKEN": "true",
            "DISABLE_SIGNUP_WITHOUT_LINK": "true",
            "LATEST_VERSION_CHECK": "false",
            "COLLECT_ANALYTICS": "false",
            "LOCAL_FILES_SERVING_ENABLED": "true",
            "LOCAL_FILES_DOCUMENT_ROOT": str(self.files),
            # its own list of what it must not call has the one address that webhooks lead to
            "USE_DEFAULT_BANNED_SUBNETS": "false",
            "USER_ADDITIONAL_BANNED_SUBNETS": ",".join(forbidden_subnets(HOST)),
        }
        return (
            ours
            | {f"LABEL_STUDIO_{name}": value for name, value in settings.items()}
            | {"SENTRY_DSN": "", "FRONTEND_SENTRY_DSN": ""}
        )

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._is_healthy():
            if not self._is_alive():
                raise OracleUnavailable(
                    f"Label Studio ended while it started. The end of {self._log}:\n"
                    f"{tail(self._log)}"
                )
            if time.monotonic() > deadline:
                raise OracleUnavailable(
                    f"Label Studio does not answer at {self._url()} after {START_TIMEOUT_S:.0f} s; "
                    f"`al-loop labelstudio down` stops it. The end of {self._log}:\n"
                    f"{tail(self._log)}"
                )
            self._sleep(POLL_S)
        try:
            Session(self._url(), self.token).ready()
        except OracleRefused as exc:
            raise OracleRefused(
                f"the database in {self.home / 'data'} was made with other credentials than "
                f"{self._credentials_file}; restore that file, or move the database away"
            ) from exc

    def _is_healthy(self) -> bool:
        try:
            answer = httpx.get(f"{self._url()}/health", timeout=5.0, trust_env=False)
            return answer.is_success and answer.json()["status"] == "UP"
        except (httpx.TransportError, ValueError, KeyError, TypeError):
            return False

    def _url(self) -> str:
        return f"http://127.0.0.1:{self._port_file.read_text()}"

    def _free_port(self) -> int:
        """The port of the last start, or any other when it is taken; Label Studio, finding its
        port taken, would serve on the next one without a word."""
        wanted = int(self._port_file.read_text()) if self._port_file.exists() else 0
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", wanted))
            except OSError:
                probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        _write(self._port_file, str(port))
        return port

    def _credentials(self, *, create: bool = False) -> _Credentials:
        if create and not self._credentials_file.exists():
            _write(self._credentials_file, json.dumps(asdict(_Credentials()), indent=2))
        try:
            return _Credentials(**json.loads(self._credentials_file.read_text()))
        except FileNotFoundError as exc:
            raise OracleRefused(
                f"there is no {self._credentials_file} yet; run `al-loop labelstudio up` first"
            ) from exc


def _write(path: Path, text: str) -> None:
    """Write a small file at once, readable by its owner only."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with open(new, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
    new.replace(path)
