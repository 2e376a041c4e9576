"""The two ends of the line between a supervisor and the process that it starts, and starts anew when that dies.

Lines of JSON. From the process: `{"what": "exchange"}` (where is the rehearsal exchange?), `{"what": "running"}`,
`{"what": "ended", "code": 0}`. To it: `{"addresses": {...}}`. It ends at either end with the process there.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

from ..actors.live.supervision import Supervision
from ..strategies.errors import InputError, RunError

#: What is told to the process by its environment.
VARIABLE = "HEADRACE_SUPERVISED"
#: Seconds that the supervisor may take to answer.
_ANSWER_S = 30.0


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
        # The other end of the lifeline is kept open as long as this process lives, too.
        for file in (found["line"], found["lifeline"], found["other_end"]):
            os.set_inheritable(file, False)
        self._stopping = False

    @classmethod
    def here(cls) -> Line | None:
        """The line of this process; None: it has no supervisor. Processes that it starts have none."""
        told = os.environ.pop(VARIABLE, "")
        return cls(told) if told else None

    def exchange(self) -> dict[str, Any]:
        """Where the rehearsal exchange listens, which the supervisor has started.

        Raises:
            RunError: the supervisor has ended.
        """
        self._send({"what": "exchange"})
        self._socket.settimeout(_ANSWER_S)
        with contextlib.suppress(OSError):
            line = self._file.readline()
            if line:
                addresses: dict[str, Any] = json.loads(line)["addresses"]
                return addresses
        raise RunError("the process that looks after this one has ended")

    def running(self, gone: Callable[[], object]) -> None:
        """The system runs. `gone` is called when the supervisor has ended."""
        self._send({"what": "running"})
        threading.Thread(target=self._listen, args=(gone,), name="headrace-line", daemon=True).start()

    def stopping(self) -> None:
        """The system is being stopped: however this process ends, it is not to be started anew, unless it is killed."""
        self._stopping = True

    @contextlib.contextmanager
    def reporting(self) -> Iterator[None]:
        """Tell how the block ends, if it ends as it should."""
        try:
            yield
        except SystemExit as end:
            self._ended(end.code if isinstance(end.code, int) else 0 if end.code is None else 1)
            raise
        except KeyboardInterrupt:
            self._ended(130)
            raise
        except Exception as error:
            if self._stopping:
                self._ended(2 if isinstance(error, InputError) else 1)
            raise
        self._ended(0)

    def _ended(self, code: int) -> None:
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
