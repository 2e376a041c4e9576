"""The files in deploy/ are what Ray's cluster launcher and KubeRay take."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray
import yaml

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
CLUSTERS = ["cluster-aws.yaml", "cluster-own-machines.yaml"]

COUNT = {"type": "integer", "minimum": 0}
GROUP = {
    "rayStartParams": {"type": "object", "additionalProperties": {"type": "string"}},
    "template": {
        "type": "object",
        "required": ["spec"],
        "properties": {
            "spec": {
                "type": "object",
                "required": ["containers"],
                "properties": {
                    "containers": {
                        "type": "array",
                        "minItems": 1,
                        "items": {"type": "object", "required": ["name", "image", "resources"]},
                    }
                },
            }
        },
    },
}
#: The fields of a RayJob that KubeRay documents and that are of use here.
RAY_JOB = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": "ray.io/v1"},
        "kind": {"const": "RayJob"},
        "metadata": {"type": "object", "required": ["name"]},
        "spec": {
            "type": "object",
            "required": ["entrypoint", "rayClusterSpec"],
            "additionalProperties": False,
            "properties": {
                "entrypoint": {"type": "string"},
                "runtimeEnvYAML": {"type": "string"},
                "backoffLimit": COUNT,
                "activeDeadlineSeconds": COUNT,
                "submissionMode": {"enum": ["K8sJobMode", "HTTPMode", "SidecarMode", "InteractiveMode"]},
                "shutdownAfterJobFinishes": {"type": "boolean"},
                "ttlSecondsAfterFinished": COUNT,
                "rayClusterSpec": {
                    "type": "object",
                    "required": ["rayVersion", "headGroupSpec", "workerGroupSpecs"],
                    "additionalProperties": False,
                    "properties": {
                        "rayVersion": {"type": "string"},
                        "headGroupSpec": {
                            "type": "object",
                            "required": ["rayStartParams", "template"],
                            "additionalProperties": False,
                            "properties": GROUP,
                        },
                        "workerGroupSpecs": {
                            "type": "array",
                            "minItems": 1,
                            "items": {
                                "type": "object",
                                "required": ["groupName", "replicas", "rayStartParams", "template"],
                                "additionalProperties": False,
                                "properties": {
                                    **GROUP,
                                    "groupName": {"type": "string"},
                                    "replicas": COUNT,
                                    "minReplicas": COUNT,
                                    "maxReplicas": COUNT,
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}


def read(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", CLUSTERS)
def test_cluster_file_is_what_the_launcher_takes(name: str) -> None:
    schema = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    jsonschema.validate(read(name), json.loads(schema.read_text(encoding="utf-8")))


def test_own_machines_are_prepared_by_the_launcher() -> None:
    from ray.autoscaler._private.local.config import prepare_local

    config, _ = prepare_local(read("cluster-own-machines.yaml"))
    workers = config["provider"]["worker_ips"]
    assert config["max_workers"] == len(workers)


def test_on_own_machines_no_ray_of_others_is_stopped() -> None:
    config = read("cluster-own-machines.yaml")
    for node in ("head", "worker"):
        commands = config[f"{node}_start_ray_commands"]  # absent, Ray's own would run, with `ray stop`
        assert any("ray start" in command and "--block" in command for command in commands)
        assert not any(re.search(r"ray stop|pkill|killall", command) for command in commands)


def command_of_own_machines(first_words: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a start command of the file, as the launcher would, on a machine with this home."""
    (command,) = (c for c in read("cluster-own-machines.yaml")["head_start_ray_commands"] if c.startswith(first_words))
    return subprocess.run(
        ["bash", "-c", f"({command})"],
        env={**os.environ, "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=90,
    )


@contextlib.contextmanager
def process_called(name: str, home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of that name, whose id is where the file for own machines keeps that of its Ray."""
    with subprocess.Popen(["bash", "-c", f"exec -a {shlex.quote(name)} sleep 100"]) as process:
        try:
            (home / ".headrace-ray.pid").write_text(f"{process.pid}\n", encoding="utf-8")
            time.sleep(0.5)  # until it has its name
            yield process
        finally:
            process.kill()


needs_pgrep = pytest.mark.skipif(shutil.which("pgrep") is None, reason="no pgrep on this machine")


@needs_pgrep
def test_own_machines_end_the_ray_that_they_started(tmp_path: Path) -> None:
    with process_called("ray start --head", tmp_path) as process:
        assert command_of_own_machines("if pid=", tmp_path).returncode == 0
        assert process.wait(60) == -signal.SIGTERM


@needs_pgrep
def test_own_machines_end_no_process_that_took_over_the_id(tmp_path: Path) -> None:
    with process_called("somebody's work", tmp_path) as process:
        assert command_of_own_machines("if pid=", tmp_path).returncode == 0
        assert process.poll() is None


@needs_pgrep
def test_own_machines_tell_why_ray_did_not_start(tmp_path: Path) -> None:
    (tmp_path / ".headrace-ray.log").write_text("the port is taken\n", encoding="utf-8")
    with process_called("ray start --head", tmp_path) as process:
        process.kill()
        process.wait(60)
        ended = command_of_own_machines("for i in", tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "the port is taken\n")


def test_ray_job_has_the_fields_that_kuberay_documents() -> None:
    jsonschema.validate(read("rayjob.yaml"), RAY_JOB)


def test_each_mount_of_the_ray_job_has_its_volume() -> None:
    cluster = read("rayjob.yaml")["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        volumes = {volume["name"] for volume in pod.get("volumes", ())}
        for container in pod["containers"]:
            assert {mount["name"] for mount in container.get("volumeMounts", ())} <= volumes


def test_workers_are_there_from_the_start() -> None:
    """A run asks for no more processors than the cluster has."""
    (group,) = read("rayjob.yaml")["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert group["minReplicas"] == group["replicas"] == group["maxReplicas"]
    replay = read("cluster-aws.yaml")["available_node_types"]["replay"]
    assert replay["min_workers"] == replay["max_workers"]


def test_all_files_name_one_version_of_ray() -> None:
    texts = {path.name: path.read_text(encoding="utf-8") for path in DEPLOY.iterdir() if path.is_file()}
    named = {name: set(re.findall(r"(?<![\d.])2\.\d\d+\.\d+", text)) for name, text in texts.items()}
    assert len(set().union(*named.values())) == 1, named
