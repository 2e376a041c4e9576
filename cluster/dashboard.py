"""The dashboard of a Ray cluster: its token, whether it is one that headrace can use, and its client for jobs."""

from __future__ import annotations

import http.client
import json
import logging
import os
import platform
import re
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

from ..strategies.errors import InputError, RunError

#: Seconds to wait for the cluster's first answer.
_ANSWER = 10.0


class JobClient(Protocol):
    """The part of Ray's `JobSubmissionClient` that is used here."""

    def submit_job(self, **details: Any) -> str: ...

    def get_job_info(self, job_id: str) -> Any: ...

    def get_job_logs(self, job_id: str) -> str: ...

    def tail_job_logs(self, job_id: str) -> AsyncIterator[str]: ...


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
        raise InputError(f"{address} answers, but is not a Ray dashboard")
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
        raise InputError(f"{address} answers, but is not a Ray dashboard ({error.code} {error.reason})") from None
    except json.JSONDecodeError:
        raise InputError(f"{address} answers, but is not a Ray dashboard") from None
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


def client_of(address: str, token: str | None) -> JobClient:
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
