"""docs/deploy without a container engine: the files agree with each other and with the program."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from al_loop.cli import main
from al_loop.config import DASHBOARD_PASSWORD_VARIABLE, TOKEN_VARIABLE, load_settings
from al_loop.config_file import default_config
from labeling.install import VERSION
from labeling.server import INHERITED_ENVIRONMENT, EmbeddedServer

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "deploy"
COMPOSE_TEXT = (FOLDER / "compose.yaml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
README = (FOLDER / "README.md").read_text(encoding="utf-8")
CRONTAB = (FOLDER / "crontab").read_text(encoding="utf-8")
DOCKERFILE = (FOLDER / "Dockerfile").read_text(encoding="utf-8")

ONLY_EMBEDDED = {
    "LABEL_STUDIO_USE_DEFAULT_BANNED_SUBNETS",
    "LABEL_STUDIO_USER_ADDITIONAL_BANNED_SUBNETS",
}
"""For `labelstudio listen`, which nothing here runs."""

VERBS = {
    "build": {"--build-arg"},
    "cp": set(),
    "exec": {"-T"},
    "run": {"--rm", "--no-deps"},
    "stop": set(),
    "up": {"--detach", "--wait", "--force-recreate"},
}
"""Of `docker compose`, with their options that are used here."""


def each_service(test: Any) -> Any:
    return pytest.mark.parametrize("name", SERVICES)(test)


def variables(text: str) -> set[str]:
    return set(re.findall(r"\$\{(\w+)", text))


def test_the_services_are_those_of_a_team() -> None:
    assert SERVICES.keys() == {"postgres", "label-studio", "loop", "dashboard"}


@each_service
def test_versions_are_pinned(name: str) -> None:
    image, _, tag = SERVICES[name]["image"].partition(":")
    assert re.match(r"\d+\.\d+", tag), f"{image}:{tag}"


def test_the_label_studio_is_the_one_that_is_tested() -> None:
    assert SERVICES["label-studio"]["image"] == f"heartexlabs/label-studio:{VERSION}"


@each_service
def test_each_service_is_started_again_and_looked_after(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    test = service["healthcheck"]["test"]
    assert test[0] == "CMD"
    if test[2:3] == ["-c"]:
        compile(test[3], name, "exec")


@each_service
def test_what_a_service_waits_for_is_there(name: str) -> None:
    for other, rule in SERVICES[name].get("depends_on", {}).items():
        assert rule["condition"] in {"service_started", "service_healthy"}
        assert other in SERVICES


def test_every_volume_is_declared_and_used() -> None:
    used = {mount[0] for service in SERVICES.values() for mount in mounts(service)}
    assert used == COMPOSE["volumes"].keys()


def mounts(service: dict[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """(volume, path in the container, read-only)"""
    for row in service.get("volumes", []):
        if isinstance(row, dict):
            assert row["type"] == "volume"
            yield row["source"], row["target"], row["read_only"]
        else:
            source, target, *mode = row.split(":")
            yield source, target, mode == ["ro"]


def test_label_studio_sees_the_clips_alone_and_cannot_change_them() -> None:
    service = SERVICES["label-studio"]
    (clips,) = [row for row in service["volumes"] if isinstance(row, dict)]
    assert clips["read_only"] is True
    assert clips["volume"]["subpath"] == "workspace/audio"
    root = service["environment"]["LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"]
    assert clips["target"].startswith(f"{root}/${{AL_LOOP_WORKSPACE_ID")
    writable = {path for _, path, read_only in mounts(service) if not read_only}
    assert writable == {service["environment"]["LABEL_STUDIO_BASE_DATA_DIR"]}


@each_service
def test_what_is_published_is_for_this_machine(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        address, outside, inside = port.split(":")
        assert address == "127.0.0.1"
        assert outside == inside
        assert f"http://localhost:{outside}" in README


def test_only_what_people_open_is_published() -> None:
    assert {name for name in SERVICES if "ports" in SERVICES[name]} == {"label-studio", "dashboard"}


def test_label_studio_gets_all_that_the_embedded_one_gets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = EmbeddedServer(tmp_path)
    embedded = server._environment(server._credentials(create=True))
    needed = embedded.keys() - ONLY_EMBEDDED - set(INHERITED_ENVIRONMENT)
    given = SERVICES["label-studio"]["environment"]
    assert needed - given.keys() == set()
    for name in needed:
        if embedded[name] in {"true", "false", ""}:
            assert given[name] == embedded[name], name


def test_label_studio_and_postgres_agree() -> None:
    label_studio = SERVICES["label-studio"]["environment"]
    postgres = SERVICES["postgres"]["environment"]
    assert label_studio["DJANGO_DB"] == "default"
    assert label_studio["POSTGRE_HOST"] in SERVICES
    assert label_studio["POSTGRE_NAME"] == postgres["POSTGRES_DB"]
    assert label_studio["POSTGRE_USER"] == postgres["POSTGRES_USER"]
    assert label_studio["POSTGRE_PASSWORD"] == postgres["POSTGRES_PASSWORD"]


def test_the_loop_logs_in_with_the_token_that_label_studio_gets() -> None:
    token = SERVICES["loop"]["environment"][TOKEN_VARIABLE]
    assert token == SERVICES["label-studio"]["environment"]["LABEL_STUDIO_USER_TOKEN"]


@each_service
def test_environment_values_are_text(name: str) -> None:
    assert all(isinstance(value, str) for value in SERVICES[name].get("environment", {}).values())


def test_every_variable_is_in_the_example_and_no_secret_has_a_default() -> None:
    example = (FOLDER / "env.example").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^(\w+)=(.*)$", example, re.M))
    assert rows.keys() == variables(COMPOSE_TEXT)
    for name, value in rows.items():
        if re.search(r"PASSWORD|TOKEN|USERNAME", name):
            assert value == ""
            assert set(re.findall(rf"\$\{{{name}(.*?)\}}", COMPOSE_TEXT)) == {":?see env.example"}
    given = [row for service in SERVICES.values() for row in service.get("environment", {}).items()]
    secrets = [
        value for name, value in given if re.search(r"PASSWORD$|USER_TOKEN$|STUDIO_TOKEN$", name)
    ]
    assert len(secrets) == 6
    assert all(value.startswith("${") for value in secrets)


# -- the image -----------------------------------------------------------------------------------


def test_what_is_copied_into_the_image_is_there_and_let_through() -> None:
    copied = {
        source
        for line in re.findall(r"^COPY (.*)$", DOCKERFILE, re.M)
        for source in line.split()[:-1]
    }
    assert {"al_loop", "labeling", "storage", "ui", "pyproject.toml"} <= copied
    assert all((ROOT / source).exists() for source in copied)
    ignore = (FOLDER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignore[0] == "*"
    assert {line[1:] for line in ignore if line.startswith("!")} == copied


def test_the_image_runs_as_nobody_special_and_its_base_is_pinned() -> None:
    assert re.search(r"^FROM python:\d+\.\d+\.\d+-slim-\w+$", DOCKERFILE, re.M)
    assert re.findall(r"^USER (\S+)$", DOCKERFILE, re.M) == ["al_loop"]
    assert DOCKERFILE.rindex("\nUSER") > DOCKERFILE.rindex("\nRUN")
    assert "useradd --uid 1000 --create-home al_loop" in DOCKERFILE


def test_torch_is_built_for_the_cpu_unless_told_otherwise() -> None:
    assert "ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu\n" in DOCKERFILE
    assert DOCKERFILE.count('--extra-index-url "$TORCH_INDEX" --constraint constraints.txt') == 2


def test_the_volumes_of_the_loop_belong_to_its_user() -> None:
    (owned,) = re.findall(r"--owner al_loop --group al_loop (.*)$", DOCKERFILE, re.M)
    targets = {path for name in ("loop", "dashboard") for _, path, _ in mounts(SERVICES[name])}
    assert targets <= set(owned.split())
    (workspace,) = re.findall(r"AL_LOOP_WORKSPACE=(\S+)", DOCKERFILE)
    assert workspace == "/data/workspace"


def test_loop_and_dashboard_are_one_image() -> None:
    loop, dashboard = SERVICES["loop"], SERVICES["dashboard"]
    assert loop["image"] == dashboard["image"]
    build = (FOLDER / loop["build"]["context"]).resolve()
    assert build == ROOT
    assert (build / loop["build"]["dockerfile"]).samefile(FOLDER / "Dockerfile")


def test_the_dashboard_is_started_by_a_command_that_the_settings_let_start(tmp_path: Path) -> None:
    dashboard = SERVICES["dashboard"]
    check_command("dashboard", dashboard["command"])
    address = dashboard["command"][dashboard["command"].index("--address") + 1]
    (line,) = (row for row in README.splitlines() if " sed -i " in row)
    config = tmp_path / "al_loop.toml"
    config.write_text(default_config(), encoding="utf-8")
    words = shlex.split(line)
    subprocess.run([*words[words.index("sed") : -1], config], check=True)
    settings = load_settings(config)
    assert settings.dashboard.access == "password"
    assert settings.label_studio.url == "http://label-studio:8080"
    assert DASHBOARD_PASSWORD_VARIABLE in dashboard["environment"]
    assert address == "0.0.0.0"
    (port,) = dashboard["ports"]
    assert port.split(":")[2] == dashboard["command"][dashboard["command"].index("--port") + 1]


# -- commands ------------------------------------------------------------------------------------


def commands_of(line: str) -> Iterator[list[str]]:
    """What `docker compose` is told on a line, word by word."""
    line = re.sub(r"\$\(.*?\)", "X", line)
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    command: list[str] = []
    for word in [*words, ";"]:
        if set(word) <= set("&|;<>"):
            if command[:2] == ["docker", "compose"]:
                yield command[2:]
            command = []
        else:
            command.append(word)


def readme_lines() -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", README, re.M | re.S)
    return [line for block in blocks for line in block.splitlines()]


def cron_lines() -> list[str]:
    lines = [line for line in CRONTAB.splitlines() if line and not line.startswith("#")]
    return [line for line in lines if not re.match(r"\w+=", line)]


@pytest.mark.parametrize("line", readme_lines() + cron_lines())
def test_every_command_is_one(line: str) -> None:
    for verb, *words in commands_of(line):
        options = [word for word in words if word.startswith("-")]
        rest = [word for word in words if not word.startswith("-")]
        own = options if verb not in {"run", "exec"} else words[: words.index(rest[0])]
        assert set(own) <= VERBS[verb], line
        if verb in {"run", "exec"}:
            service, *command = words[words.index(rest[0]) :]
            assert service in SERVICES
            check_command(service, command)
        elif verb == "cp":
            assert next(word for word in rest if ":" in word).split(":")[0] in SERVICES
        else:
            assert set(rest) <= SERVICES.keys()


def check_command(service: str, command: list[str]) -> None:
    """Raises for a command of ours that does not exist, or has other options."""
    if command[0] != "al-loop":
        known = {"loop": {"sh", "sed", "find", "sqlite-utils"}}.get(
            service, {"pg_dump", "pg_restore", "dropdb", "createdb"}
        )
        assert command[0] in known
        return
    group: click.Command = main
    words = command[1:]
    while isinstance(group, click.Group):
        group = group.commands[words.pop(0)]
    context = click.Context(group, resilient_parsing=True)  # its files are in the container
    _, left, _ = group.make_parser(context).parse_args(words)
    assert left == []


def test_the_health_check_of_the_loop_is_a_command() -> None:
    check_command("loop", SERVICES["loop"]["healthcheck"]["test"][1:])


def test_cron_calls_the_loop_without_a_terminal() -> None:
    assert len(cron_lines()) == 5
    for line in cron_lines():
        fields = line.split(None, 5)
        assert all(re.fullmatch(r"[\d*/,-]+", field) for field in fields[:5])
        assert "%" not in fields[5].replace(r"\%", "")  # a bare one ends cron's command
        assert "docker compose exec -T" in fields[5]
    assert any("al-loop round" in line for line in cron_lines())
    assert any("al-loop backup" in line for line in cron_lines())


def nightly_dump(folder: Path, pg_dump: str) -> int:
    """Run the crontab's line of the dump with a shell script in docker's place."""
    (line,) = [line for line in cron_lines() if "pg_dump" in line]
    command = line.split(None, 5)[5].replace(r"\%", "%")
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    docker = tools / "docker"
    docker.write_text(f"#!/bin/sh\n{pg_dump}\n")
    docker.chmod(0o755)
    (folder / "dumps").mkdir(exist_ok=True)
    given = {"DEPLOY": str(folder), "BACKUPS": str(folder / "dumps")}
    path = {"PATH": f"{tools}:{os.environ['PATH']}"}
    return subprocess.run(["sh", "-c", command], env=given | path, check=False).returncode


def test_a_dump_that_fails_leaves_the_older_ones(tmp_path: Path) -> None:
    dumps = tmp_path / "dumps"
    assert nightly_dump(tmp_path, "echo whole") == 0
    (made,) = dumps.iterdir()
    assert re.fullmatch(r"label_studio-\d{4}-\d\d-\d\d\.dump", made.name)
    month_ago = time.time() - 32 * 86400
    os.utime(made, (month_ago, month_ago))
    assert nightly_dump(tmp_path, "echo half; exit 1") != 0
    assert made.read_text() == "whole\n"
    assert [path.name for path in dumps.glob("*.dump")] == [made.name]


def test_old_dumps_go_and_nothing_else_does(tmp_path: Path) -> None:
    dumps = tmp_path / "dumps"
    dumps.mkdir()
    names = ["label_studio-2020-01-01.dump", "label_studio-2020-01-02.dump", "theirs.dump"]
    for name, days in zip(names, (32, 29, 99), strict=True):
        (dumps / name).write_text("x")
        then = time.time() - days * 86400
        os.utime(dumps / name, (then, then))
    assert nightly_dump(tmp_path, "echo whole") == 0
    left = {path.name for path in dumps.iterdir()}
    assert names[0] not in left
    assert set(names[1:]) < left
    assert len(left) == 3


def test_what_the_readme_names_is_there() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (FOLDER / target).exists(), target
    volumes = re.findall(r"the volume\s+`([\w-]+)`", README)
    assert volumes
    assert set(volumes) <= COMPOSE["volumes"].keys()
