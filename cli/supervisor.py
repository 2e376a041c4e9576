"""The supervisor of a live system: a small process, without Ray and without the system's actors. It starts the process
that runs the system, and starts it anew, with the same words, when that dies.

It passes signals on, owns the rehearsal exchange, and holds the instance meanwhile. If it dies itself, the process that
it has started stops the system in order; if both die, the coordinator does so.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

import click

from ..actors.live.guard import Guard
from ..actors.live.instance import Instance
from ..strategies.host import unique_id
from .supervised import VARIABLE

if TYPE_CHECKING:
    from ..simulate.exchange.rehearsal import RehearsalExchange

#: Seconds within which a process that dies has not got on, and how often in a row that is tried.
_QUICK_S, _MOST_QUICK = 10.0, 5
#: What the process runs. It is a command of its own: its code, and what it prints, are those of the command.
_COMMAND = "from headrace.cli import main; main(prog_name='headrace')"
#: The terminal's cursor is shown: a view that was killed has left it hidden.
_SHOW_CURSOR = "\x1b[?25h"


@dataclasses.dataclass
class _Life:
    """One life of the process.

    Attributes:
        running: it has said that the system runs.
        told: a signal was passed on to it.
        code: it has ended as it should, with this exit code; None: it has died, or lives.
    """

    process: subprocess.Popen[bytes]
    line: socket.socket
    began: float
    running: bool = False
    told: bool = False
    code: int | None = None


class Supervisor:
    """See the module.

    Args:
        instance: of the system.
        words: the command's, without its name.
        exchange: the rehearsal exchange, which is started here; None: there is none.

    Raises:
        InputError: a system with the instance's reference runs on this machine; or the exchange cannot run.
        RunError: the exchange does not start.
    """

    def __init__(self, instance: Instance, words: list[str], exchange: RehearsalExchange | None) -> None:
        self._words, self._exchange = words, exchange
        self._guard = Guard(instance)
        try:
            if exchange is not None:
                exchange.start()
        except BaseException:
            self._guard.release()
            raise
        self._session = unique_id()
        self._began_at = time.time()
        self._life: _Life | None = None
        self._asked: int | None = None
        self._ran = False
        # Whoever keeps Ray's head sees by this pipe that nobody is there any more.
        self._lifeline, self._other_end = os.pipe()

    def run(self) -> int:
        """Run the system until it has ended, and return the exit code."""
        again, quick, died_at = False, 0, 0.0
        with self._signals():
            while True:
                life = self._live(again, died_at)
                if life.code is not None:
                    return life.code
                code = life.process.returncode
                if not self._ran and self._asked is not None:
                    return 128 + self._asked
                if not self._ran and code >= 0:
                    return code  # it has said why
                again, died_at = True, time.time()
                quick = quick + 1 if time.monotonic() - life.began < _QUICK_S else 0
                if quick >= _MOST_QUICK:
                    say(f"the process of the system {_how(code)}, {quick} times within {_QUICK_S:g} s: given up")
                    return 1
                say(f"the process of the system {_how(code)}; it is started again")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._exchange is not None:
            self._exchange.stop()
        for file in (self._lifeline, self._other_end):
            os.close(file)
        self._guard.release()

    # -- a life --------------------------------------------------------------------------------------------------

    def _live(self, again: bool, died_at: float) -> _Life:
        ours, theirs = socket.socketpair()
        told = {
            "line": theirs.fileno(),
            "lifeline": self._lifeline,
            "other_end": self._other_end,
            "session": self._session,
            "again": again,
            "died_at": died_at,
            "began_at": self._began_at,
        }
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", _COMMAND, *self._words],
                pass_fds=(theirs.fileno(), self._lifeline, self._other_end),
                env={**os.environ, VARIABLE: json.dumps(told)},
                process_group=0,  # signals of the terminal are for this process, which passes them on
            )
        life = self._life = _Life(process, ours, time.monotonic())
        with ours:
            self._listen(life)
        process.wait()
        self._life = None
        if again and sys.stdout.isatty():
            click.echo(_SHOW_CURSOR, nl=False)
        return life

    def _listen(self, life: _Life) -> None:
        """Do what the process asks for, until it has ended."""
        said = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(life.line, selectors.EVENT_READ)
            while True:
                if not selector.select(1.0):
                    continue
                part = life.line.recv(65_536)
                said += part
                while (end := said.find(b"\n")) >= 0:
                    self._take(life, json.loads(said[:end]))
                    del said[: end + 1]
                if not part:
                    return

    def _take(self, life: _Life, said: dict[str, Any]) -> None:
        if said["what"] == "running":
            life.running = self._ran = True
            if self._asked is not None and not life.told:
                self._pass_on(self._asked)
        elif said["what"] == "ended":
            life.code = int(said["code"])
        elif said["what"] == "exchange":
            with contextlib.suppress(OSError):  # it has ended
                found = {} if self._exchange is None else dataclasses.asdict(self._exchange.addresses)
                life.line.sendall(json.dumps({"addresses": found}).encode() + b"\n")

    # -- signals -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        def take(number: int, frame: FrameType | None) -> None:
            self._asked = number
            self._pass_on(number)

        before = {number: signal.signal(number, take) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _pass_on(self, number: int) -> None:
        life = self._life
        if life is not None and (life.running or not self._ran):  # one that is started again is told once it runs
            life.told = True
            with contextlib.suppress(ProcessLookupError):
                life.process.send_signal(number)


def say(text: str) -> None:
    """A line for whoever has given the command."""
    with contextlib.suppress(OSError):  # the terminal is gone
        click.echo(f"headrace: {text}", err=True)


def _how(code: int) -> str:
    """How a process has ended."""
    if code >= 0:
        return f"has ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"
