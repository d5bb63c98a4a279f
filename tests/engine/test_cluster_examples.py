"""docs/cluster.md and docs/deploy/cluster/ray-up.yaml without a cloud: Ray's and Amazon's own rules
accept the machines, and the guide agrees with them and with the program."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest

from al_loop.config import Settings
from al_loop.wiring import audio_address
from tests.engine.cluster_examples import (
    CRONTAB,
    DOCKERFILE,
    DOCS,
    FOLDER,
    GROUPS,
    GUIDE,
    NODE_SH,
    NODES,
    ROOT,
    SHARED,
    SNIPPETS,
    UP,
    check_command,
    pod_of,
    with_ray,
)

COMMANDS = {" ".join(text.split()) for text in re.findall(r"`(al-loop\s[^`]+)`", GUIDE)}

# -- ray up --------------------------------------------------------------------------------------


@with_ray
def test_ray_accepts_the_machines() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(UP)
    validate_config(config)
    assert config["max_workers"] == sum(NODES[name]["max_workers"] for name in ("gpu", "gpu_spot"))
    with pytest.raises(Exception, match="available_node_type"):
        validate_config(config | {"available_node_type": {}})


@pytest.mark.parametrize("name", NODES)
def test_amazon_knows_every_field_of_a_machine(name: str) -> None:
    boto3 = pytest.importorskip("boto3")
    from botocore.validate import ParamValidator

    keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
    ec2 = boto3.client("ec2", region_name=UP["provider"]["region"], **keys)
    shape = ec2.meta.service_model.operation_model("RunInstances").input_shape
    # SubnetIds is Ray's own, of which it takes one
    asked = {key: value for key, value in NODES[name]["node_config"].items() if key != "SubnetIds"}
    report = ParamValidator().validate(asked | {"MinCount": 1, "MaxCount": 1}, shape)
    assert not report.has_errors(), report.generate_report()
    unknown = ParamValidator().validate({"MinCount": 1, "MaxCount": 1, "Spot": True}, shape)
    assert unknown.has_errors()


def test_the_head_is_on_demand_works_for_nobody_and_keeps_its_disk() -> None:
    head = NODES[UP["head_node_type"]]
    assert "InstanceMarketOptions" not in head["node_config"]
    assert head["resources"] == {"CPU": 0}
    (disk,) = head["node_config"]["BlockDeviceMappings"]
    assert disk["Ebs"]["DeleteOnTermination"] is False


def test_spot_machines_are_the_others_but_for_the_market_and_come_first() -> None:
    gpu, spot = NODES["gpu"], NODES["gpu_spot"]
    assert spot["node_config"] == gpu["node_config"] | {
        "InstanceMarketOptions": {"MarketType": "spot"}
    }
    assert spot["resources"] == gpu["resources"]
    assert spot["priority"] > gpu.get("priority", 0)


def test_the_nodes_are_set_up_by_files_that_are_there() -> None:
    home = "~/al_loop/"
    assert UP["file_mounts"]["/home/ubuntu/al_loop"] == "."
    commands = [*UP["setup_commands"], *UP["head_setup_commands"]]
    ours = re.findall(rf"{home}(\S+)", " ".join(commands))
    assert {Path(name).name for name in ours} == {"node.sh", "crontab"}
    assert all((ROOT / name).is_file() for name in ours)
    assert UP["auth"]["ssh_user"] == "ubuntu"
    storage = UP["setup_commands"][0].split()[-1]
    assert UP["provider"]["region"] in storage


def test_the_head_node_runs_cron_with_what_the_nodes_have() -> None:
    workspace = "/data/workspace"
    assert f"AL_LOOP_WORKSPACE={workspace}\n" in CRONTAB
    assert f"test -e {workspace}/al_loop.toml" in UP["head_setup_commands"][0]
    assert "PATH=/home/ubuntu/venv/bin:" in CRONTAB
    jobs = [line.split(None, 5) for line in CRONTAB.splitlines() if re.match(r"[\d*]", line)]
    assert len(jobs) == 3
    for *fields, command in jobs:
        assert all(re.fullmatch(r"[\d*/,-]+", field) for field in fields)
        assert "%" not in command.replace(r"\%", "")
    for command in re.findall(r"al-loop (?:round|backup).*", CRONTAB):
        check_command(shlex.split(command.partition(" >")[0]))


def stubbed(folder: Path) -> dict[str, str]:
    """An environment in which a machine's own commands only write down that they were called."""
    tools = folder / "tools"
    tools.mkdir()
    stubs = {
        "sudo": 'exec "$@"',
        "mountpoint": "exit 1",
        "mount.nfs4": "",
        "apt-get": "exit 1",
        "python3": "",
        "mount": f'echo "mount $*" >>{folder}/called',
        "install": 'for last; do :; done; mkdir -p "$last"',
    }
    home = folder / "home"
    (home / "uv" / "bin").mkdir(parents=True)
    for path, text in [
        *((tools / name, text) for name, text in stubs.items()),
        (home / "uv" / "bin" / "uv", f'echo "uv $*" >>{folder}/called'),
    ]:
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
    (folder / "fstab").write_text("UUID=1 / ext4 defaults 0 1\n")
    return {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "HOME": str(home),
        "AL_LOOP_DATA": str(folder / "data"),
        "AL_LOOP_FSTAB": str(folder / "fstab"),
    }


def test_a_node_is_set_up_once_however_often_it_is_called(tmp_path: Path) -> None:
    environment = stubbed(tmp_path)
    for _ in range(2):
        subprocess.run(["bash", FOLDER / "node.sh", "fs.example"], env=environment, check=True)
    data = tmp_path / "data"
    entries = [line.split() for line in (tmp_path / "fstab").read_text().splitlines()][1:]
    assert [row[:3] for row in entries] == [
        ["fs.example:/", f"{data}/shared", "nfs4"],
        *([f"{data}/shared/{name}", f"{data}/workspace/{name}", "none"] for name in sorted(SHARED)),
    ]
    assert all((data / "workspace" / name).is_dir() for name in SHARED)
    (installed, _) = re.findall(r"uv pip install .*", (tmp_path / "called").read_text())
    assert f"--constraint {ROOT}/constraints.txt --editable {ROOT}[demo,ray,s3]" in installed
    lines = (tmp_path / "home" / ".bashrc").read_text().splitlines()
    assert lines == ['export PATH="$HOME/venv/bin:$PATH"', "export RAY_AUTH_MODE=token"]


def test_extras_that_the_nodes_install_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = NODE_SH, (FOLDER / "Dockerfile").read_text(encoding="utf-8")
    for text in texts:
        (extras,) = re.findall(r"--editable \S*\[([\w,]+)\]", text)
        assert set(extras.split(",")) <= project["optional-dependencies"].keys()
        assert "ray" in extras.split(",")
        assert "'ray[default]'" in text


def test_every_node_has_the_python_of_the_image() -> None:
    (image,) = re.findall(r"^FROM python:([\d.]+)-", DOCKERFILE, re.M)
    (node,) = re.findall(r"^python=([\d.]+)", NODE_SH, re.M)
    assert node == image


# -- the guide -----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_of_ours_is_one(command: str) -> None:
    check_command(shlex.split(command))


def test_the_settings_load_and_fit_the_machines() -> None:
    up, kube = (Settings.model_validate(row) for row in SNIPPETS)
    machines = [
        (up, [(row["max_workers"], row["resources"]) for row in (NODES["gpu"], NODES["gpu_spot"])]),
        (
            kube,
            [
                (group["maxReplicas"], {"CPU": int(limits["cpu"]), "GPU": limits["nvidia.com/gpu"]})
                for group in GROUPS[1:]
                for limits in [pod_of(group)["containers"][0]["resources"]["limits"]]
            ],
        ),
    ]
    for settings, groups in machines:
        engine = settings.engine
        assert (engine.kind, engine.address) == ("ray", "auto")
        room = sum(
            most * int(min(has["CPU"] / engine.cpus_each, has["GPU"] / engine.gpus_each))
            for most, has in groups
        )
        assert engine.actors == room
        assert settings.train.processes <= room


def test_annotators_hear_what_the_settings_push() -> None:
    up = Settings.model_validate(SNIPPETS[0])
    address = audio_address(up, "w", "audio/5f/5feb.flac")
    assert address == f"{up.audio.url}/5f/5feb.flac"


def test_every_machine_has_room_for_the_cache() -> None:
    audio = Settings.model_validate(SNIPPETS[0]).audio
    assert audio.cache_gb == 50
    for node in NODES.values():
        (disk,) = node["node_config"]["BlockDeviceMappings"]
        assert disk["Ebs"]["VolumeSize"] > audio.cache_gb
    for group in GROUPS:
        resources = pod_of(group)["containers"][0]["resources"]
        for room in (resources["requests"], resources["limits"]):
            size = int(room["ephemeral-storage"].removesuffix("Gi")) * 2**30
            assert size > audio.cache_gb * 1e9


def test_settings_that_the_guide_names_exist() -> None:
    sections = {
        name: field.annotation.model_fields.keys()
        for name, field in Settings.model_fields.items()
        if hasattr(field.annotation, "model_fields")
    }
    named_ones = re.findall(rf"`({'|'.join(sections)})\.(\w+)`", GUIDE)
    assert len(named_ones) >= 5
    assert [row for row in named_ones if row[1] not in sections[row[0]]] == []


def test_every_relative_link_leads_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", GUIDE) if "://" not in link]
    assert len(links) > 8
    assert "see the README" not in " ".join(GUIDE.split())
    assert [link for link in links if not (DOCS / link.partition("#")[0]).exists()] == []
