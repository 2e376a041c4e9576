"""Sending a script to a Ray cluster as a job, following it, and what became of it.

The script is the one that runs locally. Its folder travels as the job's working directory, headrace as modules of the
job, so the cluster runs the code of the sender whatever it has installed.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import http.client
import json
import logging
import os
import platform
import re
import shlex
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

from ..results.display.formats import readable_size
from ..strategies.errors import InputError, RunError
from .job_package import find_script, headrace_modules, requirements, working_files, write_zip

#: Seconds to wait for the cluster's first answer.
_ANSWER = 10.0
#: Seconds that a cluster may answer, but take no jobs yet.
_STARTING = 30.0
#: Seconds between looks at a job that has not started or not ended.
_LOOK = 0.5
#: Seconds without an answer from the cluster, after which a job is no longer followed.
_PATIENCE = 60.0
#: Seconds without a line of the log, after which it is asked for again.
_SILENCE = 300.0
#: Characters of the log in which the end of the job is looked for.
_TAIL = 20_000
_ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
_TABLES = re.compile(r"^tables in (.+?)\s*$", re.MULTILINE)
_NO_MODULE = re.compile(r"^ModuleNotFoundError: No module named '(\w+)", re.MULTILINE)


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


class JobClient(Protocol):
    """The part of Ray's `JobSubmissionClient` that is used here."""

    def submit_job(self, **details: Any) -> str: ...

    def get_job_info(self, job_id: str) -> Any: ...

    def get_job_logs(self, job_id: str) -> str: ...

    def tail_job_logs(self, job_id: str) -> AsyncIterator[str]: ...


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
        say: told, in a line, what is done.

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
        client = _client(address, submission.token)
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


# -- the cluster -------------------------------------------------------------------------------------------------------


def find_token(file: str | None = None, environment: Mapping[str, str] = os.environ) -> str | None:
    """The token for the cluster: of the file named, else where Ray looks for it; None where there is none.

    Ray looks in RAY_AUTH_TOKEN, in the file that RAY_AUTH_TOKEN_PATH names, and in ~/.ray/auth_token.

    Raises:
        InputError: a file that is named cannot be read, or is empty.
    """
    if file is None and environment.get("RAY_AUTH_TOKEN"):
        return environment["RAY_AUTH_TOKEN"].strip()
    named = file or environment.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named or "~/.ray/auth_token").expanduser()
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        if named is None:
            return None
        raise InputError(
            f"the token file {named} cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from None
    if named is not None and not token:
        raise InputError(f"the token file {named} is empty")
    return token or None


def check_cluster(address: str, token: str | None) -> str:
    """Make sure that a cluster is there, takes the token, and runs this version of Ray and Python.

    Returns:
        The address, with its scheme and without a slash at its end.

    Raises:
        InputError: says which of these does not hold.
    """
    if "://" not in address:
        address = f"http://{address}"
    if not address.startswith(("http://", "https://")):
        raise InputError(f"{address}: expected the address of the cluster's dashboard, such as http://head:8265")
    address = address.rstrip("/")
    ray_version = _ask(address, "/api/version", token).get("ray_version")
    if not ray_version:
        raise InputError(f"{address} answers, but is no Ray dashboard")
    here = metadata.version("ray")
    if ray_version != here:
        raise InputError(f"the cluster at {address} runs Ray {ray_version}, this is Ray {here}: they must be the same")
    known = _ask(address, "/api/v0/cluster_metadata", token, optional=True).get("data") or {}
    python_version, mine = str(known.get("pythonVersion", "")), platform.python_version()
    if python_version and python_version.split(".")[:2] != mine.split(".")[:2]:
        raise InputError(
            f"the cluster at {address} runs Python {python_version}, this is Python {mine}: "
            f"the first two numbers must be the same"
        )
    _check_paths(address, token)
    return address


def _check_paths(address: str, token: str | None) -> None:
    """Refuse a cluster on which no job would ever begin: Ray's command for what runs in a job breaks on a space."""
    summary = (_ask(address, "/nodes?view=summary", token, optional=True).get("data") or {}).get("summary") or []
    for word in (word for node in summary for word in node.get("cmdline") or ()):
        # Ray quotes the Python of its workers where there is need to.
        python = re.match(r'--python_worker_command="([^"]*\s[^"]*)"', str(word))
        if python:
            raise InputError(
                f"the cluster at {address} runs {python[1]}: Ray cannot start jobs from a path with a space in it; "
                f"make the cluster's environment in another folder"
            )


def _ask(address: str, path: str, token: str | None, optional: bool = False) -> dict[str, Any]:
    """What the dashboard answers; with `optional`, nothing where it does not know the path."""
    try:
        request = urllib.request.Request(address + path, headers=_headers(token))
        with urllib.request.urlopen(request, timeout=_ANSWER) as answer:
            found = json.load(answer)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (401, 403):
            asks = "does not take this token" if token else "asks for a token"
            raise InputError(
                f"the cluster at {address} {asks}: give the cluster's own with --token-file or RAY_AUTH_TOKEN"
            ) from None
        if optional:
            return {}
        raise InputError(f"{address} answers, but is no Ray dashboard ({error.code} {error.reason})") from None
    except json.JSONDecodeError:
        raise InputError(f"{address} answers, but is no Ray dashboard") from None
    except (OSError, ValueError, http.client.HTTPException) as error:  # no host, refused, timed out, not an address
        reason = getattr(error, "reason", error)
        reason = getattr(reason, "strerror", None) or reason
        raise InputError(f"no Ray cluster at {address}: {reason}{_why_not_here(address)}") from None
    return found if isinstance(found, dict) else {}


def _why_not_here(address: str) -> str:
    """What keeps a cluster from being started on this machine, from this environment; empty where nothing does."""
    if not re.search(r"\s", sys.prefix) or not re.search(r"//(127\.|localhost\b|\[::1\])", address):
        return ""
    return f"; `ray start` does not work from {sys.prefix}: its scripts break on a space in the path"


def _headers(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _client(address: str, token: str | None) -> JobClient:
    from ray.job_submission import JobSubmissionClient

    for handler in logging.getLogger("ray").handlers:  # this command says itself what it does
        handler.setLevel(logging.WARNING)
    # Ray prefers these to the address it is given.
    hidden = {name: os.environ.pop(name, None) for name in ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")}
    try:
        client: Any = JobSubmissionClient(address, headers=_headers(token))
    except (RuntimeError, ConnectionError) as error:
        raise RunError(f"{address}: {error}") from None
    finally:
        os.environ.update({name: value for name, value in hidden.items() if value is not None})
    found: JobClient = client
    return found


# -- following ---------------------------------------------------------------------------------------------------------


class Follower:
    """Shows a job's log as it grows, and tells how the job ended.

    Args:
        write: takes the log, in pieces.
        say: told, in a line, what becomes of the job.
    """

    def __init__(self, job: Job, write: Callable[[str], None], say: Callable[[str], None]) -> None:
        self._job = job
        self._write = write
        self._say = say
        self._shown = 0
        self._tail = ""

    def run(self) -> int:
        """Follow the job to its end.

        Returns:
            0 where it succeeded, 2 where its script ended with 2, else 1.

        Raises:
            RunError: the cluster no longer answers, or no longer knows the job.
        """
        started = time.monotonic()
        job = self._started()
        while job.status not in _ENDED:
            asyncio.run(self._show_log())
            time.sleep(_LOOK)
            job = self._look()
        self._show_rest()
        if self._tail and not self._tail.endswith("\n"):
            self._write("\n")
        seconds = time.monotonic() - started
        for line in self._ending(job, seconds):
            self._say(line)
        if job.status == "SUCCEEDED":
            return 0
        return 2 if job.driver_exit_code == 2 else 1

    def _started(self) -> Any:
        """The job once it runs or has ended; says what it waits for, when that changes."""
        said = None
        since = time.monotonic()
        job = self._look()
        while job.status == "PENDING":
            if job.message != said and time.monotonic() - since > 5:
                said = job.message
                self._say(f"waiting: {said}")
            time.sleep(_LOOK)
            job = self._look()
        return job

    def _look(self) -> Any:
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                return self._job.client.get_job_info(self._job.job_id)
            except (RuntimeError, OSError) as error:  # requests' errors are OSErrors
                if time.monotonic() > until:
                    raise RunError(
                        f"{self._job.address} has not answered for {_PATIENCE:.0f} s ({error}); "
                        f"job {self._job.job_id} may still run: {self._job.command('logs')}"
                    ) from None
            time.sleep(_LOOK)

    async def _show_log(self) -> None:
        """Show what of the log has not been shown. It comes from its start each time."""
        import aiohttp

        seen = 0
        pieces = aiter(self._job.client.tail_job_logs(self._job.job_id))
        try:
            # A connection that is lost without a word is noticed after a while: the log is then asked for again.
            while (piece := await asyncio.wait_for(anext(pieces, None), _SILENCE)) is not None:
                seen += len(piece)
                if seen > self._shown:
                    self._show(piece[-(seen - self._shown) :])
        except (RuntimeError, OSError, TimeoutError, aiohttp.ClientError):
            return  # `_look` finds out whether the cluster is still there

    def _show_rest(self) -> None:
        """Show what came after the connection was lost, or before it was made."""
        with contextlib.suppress(RuntimeError, OSError):
            rest = self._job.client.get_job_logs(self._job.job_id)[self._shown :]
            if rest:
                self._show(rest)

    def _show(self, text: str) -> None:
        self._write(text)
        self._shown += len(text)
        self._tail = (self._tail + text)[-_TAIL:]

    def _ending(self, job: Any, seconds: float) -> Iterator[str]:
        status = str(getattr(job.status, "value", job.status)).lower()
        yield f"job {self._job.job_id} {status} after {seconds:.1f} s"
        if job.status == "FAILED" and job.driver_exit_code is None and job.message:
            yield str(job.message).strip()
        missing = _NO_MODULE.search(self._tail)
        if job.status == "FAILED" and missing:
            yield f"the cluster has no {missing.group(1)}; where headrace needs it: --install-dependencies"
        tables = _TABLES.findall(self._tail)
        for place in tables[-1:]:
            yield f"tables in {place}"
            if "://" not in place and not os.path.isabs(place):
                yield (
                    "that is in the job's working directory, which Ray deletes: give the script an absolute path on "
                    "storage that every node sees"
                )
        if not tables:
            yield f"its log: {self._job.command('logs')}"


def follow(job: Job, write: Callable[[str], None], say: Callable[[str], None]) -> int:
    """Show a job's log and wait for its end; see `Follower.run`. An interrupt ends the watching, not the job."""
    try:
        return Follower(job, write, say).run()
    except KeyboardInterrupt:
        say(f"no longer followed; the job goes on: {job.command('stop')} ends it")
        return 130


def write_out(text: str) -> None:
    """Write a piece of a log to standard output at once."""
    sys.stdout.write(text)
    sys.stdout.flush()
