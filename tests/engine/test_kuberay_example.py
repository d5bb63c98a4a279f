"""docs/deploy/cluster/kuberay.yaml without a Kubernetes: Ray's autoscaler reads it, and it agrees
with the image, with the guide and with the program."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import yaml

from al_loop.commands.align import ALIGNMENTS
from al_loop.config import CTC_FOLDER, TOKEN_VARIABLE
from storage.workspace import Workspace
from tests.engine.cluster_examples import (
    CLUSTER,
    DOCKERFILE,
    DOCS,
    FOLDER,
    GROUPS,
    GUIDE,
    NODE_SH,
    SHARED,
    UP,
    check_command,
    named,
    pinned,
    pod_of,
    with_ray,
)

# -- KubeRay -------------------------------------------------------------------------------------


def test_the_cluster_has_the_ray_that_is_pinned() -> None:
    assert CLUSTER["apiVersion"] == "ray.io/v1"
    assert CLUSTER["spec"]["rayVersion"] == pinned("ray")


@with_ray
def test_rays_autoscaler_reads_the_manifest() -> None:
    from ray.autoscaler._private.kuberay import autoscaling_config

    derive = autoscaling_config._derive_autoscaling_config_from_ray_cr
    cluster = CLUSTER | {"metadata": CLUSTER["metadata"] | {"namespace": "default"}}
    groups = derive(cluster)["available_node_types"]
    head = groups.pop("headgroup")
    assert head["resources"]["CPU"] == 0
    assert groups.keys() == {"gpu", "gpu-spot"}
    for group in groups.values():
        assert group["min_workers"] == 0 < group["max_workers"]
        assert (group["resources"]["CPU"], group["resources"]["GPU"]) == (3, 1)


def test_all_pods_have_one_image_of_ours() -> None:
    images = {
        container["image"]
        for group in GROUPS
        for part in ("initContainers", "containers")
        for container in pod_of(group)[part]
    }
    (image,) = images
    assert image.endswith("-ray")
    assert f"--tag {image} " in GUIDE
    base = re.findall(r"^ARG LOOP=(\S+)$", (FOLDER / "Dockerfile").read_text(), re.M)
    compose = yaml.safe_load((DOCS / "deploy" / "compose.yaml").read_text())
    assert base == [compose["services"]["loop"]["image"]]
    ignored = [(path / "Dockerfile.dockerignore").read_text() for path in (FOLDER, DOCS / "deploy")]
    assert ignored[0] == ignored[1]


def test_every_pod_has_the_shared_folders_where_the_head_has_them() -> None:
    (root,) = re.findall(r"AL_LOOP_WORKSPACE=(\S+)", DOCKERFILE)
    claims = named("PersistentVolumeClaim")
    for group in GROUPS:
        pod = pod_of(group)
        mounts = {row["mountPath"]: row for row in pod["containers"][0]["volumeMounts"]}
        for name in SHARED:
            assert mounts[f"{root}/{name}"] == {
                "name": "shared",
                "mountPath": f"{root}/{name}",
                "subPath": name,
            }
        volumes = {row["name"]: row for row in pod["volumes"]}
        assert {row["name"] for row in mounts.values()} <= volumes.keys()
        claim = claims[volumes["shared"]["persistentVolumeClaim"]["claimName"]]
        assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
        made = pod["initContainers"][0]["command"][-1]
        assert f"for folder in {' '.join(sorted(SHARED))}; do" in made
    assert f'shared="{" ".join(sorted(SHARED))}"' in NODE_SH


def test_the_database_is_on_a_volume_of_the_heads_own() -> None:
    head, *workers = ({row["name"]: row for row in pod_of(group)["volumes"]} for group in GROUPS)
    claim = head["workspace"]["persistentVolumeClaim"]["claimName"]
    modes = named("PersistentVolumeClaim")[claim]["spec"]["accessModes"]
    assert modes == ["ReadWriteOnce"]
    assert all("emptyDir" in worker["workspace"] for worker in workers)
    root = Path("/data/workspace")
    places = {path.relative_to(root).as_posix() for path in (Workspace(root).database,)}
    assert not places & SHARED


def test_what_workers_write_is_on_the_shared_storage() -> None:
    root = Workspace(Path())
    folders = root.audio, root.checkpoints, root.simulations, Path(ALIGNMENTS), Path(CTC_FOLDER)
    assert {folder.as_posix() for folder in folders} <= SHARED


def test_only_spot_pods_go_to_spot_machines() -> None:
    market = "eks.amazonaws.com/capacityType"
    markets = [pod_of(group)["nodeSelector"][market] for group in GROUPS]
    assert markets == ["ON_DEMAND", "ON_DEMAND", "SPOT"]
    tolerated = [{row["key"] for row in pod_of(group).get("tolerations", [])} for group in GROUPS]
    assert tolerated == [set(), {"nvidia.com/gpu"}, {"nvidia.com/gpu", "spot"}]


def test_the_program_finds_its_token_and_only_on_the_head() -> None:
    head, *workers = (pod_of(group)["containers"][0].get("env", []) for group in GROUPS)
    (token,) = head
    assert token["name"] == TOKEN_VARIABLE
    secret = token["valueFrom"]["secretKeyRef"]
    told = f"kubectl create secret generic {secret['name']} --from-file={secret['key']}="
    assert told in GUIDE
    assert workers == [[], []]


def test_the_cluster_asks_for_a_token_and_lets_only_its_own_pods_in() -> None:
    assert CLUSTER["spec"]["authOptions"] == {"mode": "token"}
    assert "/home/ubuntu/.ray/auth_token" in UP["file_mounts"]
    assert UP["provider"]["use_internal_ips"] is True
    assert "--dashboard-host=127.0.0.1" in UP["head_start_ray_commands"][-1]
    (policy,) = named("NetworkPolicy").values()
    pods = {"podSelector": {"matchLabels": {"ray.io/cluster": CLUSTER["metadata"]["name"]}}}
    assert policy["spec"] == pods | {"policyTypes": ["Ingress"], "ingress": [{"from": [pods]}]}


def test_cron_jobs_call_the_loop_in_the_heads_container() -> None:
    service = f"svc/{CLUSTER['metadata']['name']}-head-svc"
    jobs = named("CronJob")
    assert jobs.keys() == {"al-loop-round", "al-loop-backup"}
    for job in jobs.values():
        assert job["spec"]["concurrencyPolicy"] == "Forbid"
        pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        assert pod["serviceAccountName"] in named("ServiceAccount")
        (container,) = pod["containers"]
        head = GROUPS[0]["template"]["spec"]["containers"][0]["name"]
        asked = ["kubectl", "exec", service, "--container", head, "--"]
        assert container["command"] == asked
        arguments = container["args"]
        said = arguments[-1] if arguments[0] == "sh" else shlex.join(arguments)
        check_command(shlex.split(said.partition(" >")[0]))
    (role,) = named("Role").values()
    allowed = {
        (what, verb) for row in role["rules"] for what in row["resources"] for verb in row["verbs"]
    }
    assert {("services", "get"), ("pods", "list"), ("pods/exec", "create")} <= allowed
