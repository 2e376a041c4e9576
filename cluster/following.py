"""Following a job on a Ray cluster: its log as it grows, and what became of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from ..strategies.errors import RunError
from .submission import Job

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


class Follower:
    """Shows a job's log as it grows, and reports how the job ended.

    Args:
        write: takes the log, in pieces.
        say: called with a line about what happens to the job.
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
            0 if it succeeded, 2 if its script ended with 2, otherwise 1.

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
        """Show the part of the log that has not been shown. Each answer has the log from its start."""
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
            return  # `_look` finds out whether the cluster still answers

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
