"""Sending a script to a Ray cluster as a job.

The script is the one that runs locally. Its folder travels as the job's working directory, headrace as modules of the
job, so the cluster runs the code of the sender whatever it has installed.
"""

from __future__ import annotations

import dataclasses
import shlex
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..results.display.formats import readable_size
from ..strategies.errors import InputError, RunError
from .dashboard import JobClient, check_cluster, client_of
from .job_package import find_script, headrace_modules, requirements, working_files, write_zip

#: Seconds that a cluster may answer, but take no jobs yet.
_STARTING = 30.0
#: Seconds between looks at a job that has not started or not ended.
_LOOK = 0.5


@dataclasses.dataclass(frozen=True)
class Submission:
    """What to run, and where.

    Attributes:
        script: the Python file to run; it must be in the working directory.
        arguments: the script's own.
        address: of the cluster's dashboard, such as http://head:8265.
        working_dir: a folder whose files travel with the job; None: the script's.
        environment: environment variables of the job and its workers.
        token: of a cluster with token authentication; None: none.
        wheel: a wheel of headrace to run; None: the code that runs here.
        entrypoint_cpus: CPUs reserved for the script itself. 0: none, and it runs on the head node.
        entrypoint_resources: resources, by name, of the node that the script itself runs on.
        dependencies: install what headrace needs and the cluster lacks, with pip.
        exclude: more names or patterns of files and folders that do not travel.
    """

    script: str
    arguments: tuple[str, ...] = ()
    address: str = "http://127.0.0.1:8265"
    working_dir: str | None = None
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    token: str | None = None
    wheel: str | None = None
    entrypoint_cpus: float = 0
    entrypoint_resources: Mapping[str, float] = dataclasses.field(default_factory=dict)
    dependencies: bool = False
    exclude: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Job:
    """A job that the cluster has taken: its id there, and how to ask for it; with a token, or without."""

    job_id: str
    address: str
    client: JobClient
    token: bool = False

    def command(self, verb: str) -> str:
        """The command of Ray's that does something with the job: logs, status or stop."""
        mode = "RAY_AUTH_MODE=token " if self.token else ""
        return f"{mode}ray job {verb} --address {self.address} {self.job_id}"


def submit(submission: Submission, say: Callable[[str], None]) -> Job:
    """Send a job. Everything is checked before anything is sent.

    Args:
        say: called with a line about each step.

    Raises:
        InputError: there is no such script, folder, wheel or cluster; the cluster refuses the token, or runs another
            version of Ray or Python.
        RunError: the cluster did not take the job.
    """
    script, folder = find_script(submission.script, submission.working_dir)
    files = working_files(folder, submission.exclude)
    if script not in files:
        raise InputError(f"{submission.script} would not travel: its name, or its folder's, is left out")
    address = check_cluster(submission.address, submission.token)
    with tempfile.TemporaryDirectory(prefix="headrace-submit-") as name:
        packed = Path(name)
        modules = headrace_modules(packed / "modules", submission.wheel)
        size = write_zip(folder, files, packed / "working_dir.zip")
        environment: dict[str, Any] = {
            "working_dir": str(packed / "working_dir.zip"),
            "py_modules": [str(module) for module in modules],
        }
        if submission.environment:
            environment["env_vars"] = dict(submission.environment)
        if submission.dependencies:
            environment["pip"] = {"packages": requirements(modules), "pip_check": False}
        say(f"sending {len(files)} files of {folder} ({readable_size(size)} packed) to {address}")
        client = client_of(address, submission.token)
        job_id = _submit(
            client,
            address,
            entrypoint=shlex.join(["python", script.as_posix(), *submission.arguments]),
            runtime_env=environment,
            entrypoint_num_cpus=submission.entrypoint_cpus or None,
            entrypoint_resources=dict(submission.entrypoint_resources) or None,
            metadata={"submitted_by": "headrace", "script": script.as_posix()},
        )
    say(f"job {job_id}")
    return Job(job_id, address, client, submission.token is not None)


def _submit(client: JobClient, address: str, **details: Any) -> str:
    """Submit, and wait for a cluster that is just starting: its dashboard is there before it can take jobs."""
    until = time.monotonic() + _STARTING
    while True:
        try:
            return client.submit_job(**details)
        except (RuntimeError, ValueError, OSError) as error:
            if "No available agent" not in str(error) or time.monotonic() > until:
                raise RunError(f"{address} did not take the job: {error}") from None
        time.sleep(_LOOK)
