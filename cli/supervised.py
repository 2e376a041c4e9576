"""The two ends of the line between a supervisor and the process that it starts, and starts anew when that dies.

Lines of JSON. From the process: `{"what": "exchange"}` (have the rehearsal exchange run, and say where),
`{"what": "running"}`, `{"what": "ended", "code": 0}`. To it: `{"addresses": {...}}`, or `{"error": "...",
"asked_wrongly": true}`. It ends at either end with the process there.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable
from typing import Any

from ..actors.live.supervision import Supervision
from ..strategies.errors import InputError, RunError

#: What is told to the process by its environment.
VARIABLE = "HEADRACE_SUPERVISED"
#: Seconds that the exchange may take to start.
_EXCHANGE_S = 120.0


class Line:
    """The supervisor, as the process sees it that it has started.

    Attributes:
        supervision: what it has told.
        began_at: when the command was given, seconds since the epoch.
    """

    def __init__(self, told: str) -> None:
        found = json.loads(told)
        self._socket = socket.socket(fileno=found["line"])
        self._file = self._socket.makefile("rb")
        self.began_at = float(found["began_at"])
        self.supervision = Supervision(
            found["session"], found["again"], float(found["died_at"]), found["lifeline"], guarded=True
        )
        for file in (found["line"], found["lifeline"]):
            os.set_inheritable(file, False)

    @classmethod
    def here(cls) -> Line | None:
        """The line of this process; None: it has no supervisor. Processes that it starts have none."""
        told = os.environ.pop(VARIABLE, "")
        return cls(told) if told else None

    def exchange(self) -> dict[str, Any]:
        """Where the rehearsal exchange listens, which the supervisor starts.

        Raises:
            InputError, RunError: it does not start.
        """
        self._send({"what": "exchange"})
        self._socket.settimeout(_EXCHANGE_S)
        with contextlib.suppress(OSError):
            line = self._file.readline()
            if line:
                answer = json.loads(line)
                if "error" in answer:
                    raise (InputError if answer["asked_wrongly"] else RunError)(answer["error"])
                addresses: dict[str, Any] = answer["addresses"]
                return addresses
        raise RunError("the process that looks after this one has ended")

    def running(self, gone: Callable[[], object]) -> None:
        """The system runs. `gone` is called when the supervisor has ended."""
        self._send({"what": "running"})
        threading.Thread(target=self._listen, args=(gone,), name="headrace-line", daemon=True).start()

    def ended(self, code: int) -> None:
        """This process ends, as it should: it is not to be started anew."""
        self._send({"what": "ended", "code": code})

    def _send(self, said: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # it has ended
            self._socket.sendall(json.dumps(said).encode() + b"\n")

    def _listen(self, gone: Callable[[], object]) -> None:
        self._socket.settimeout(None)
        with contextlib.suppress(OSError):
            while self._file.readline():
                pass
        gone()
