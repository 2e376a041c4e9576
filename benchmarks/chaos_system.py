"""The live system that `benchmarks.chaos` kills: how it is started, asked, killed and looked after from outside.

On Ray it is a `headrace live`. On "local" it is `benchmarks.chaos_process`, so that single actors can be made to crash.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from headrace.actors.live.control import ask
from headrace.actors.live.instance import Instance, Running
from headrace.strategies.errors import HeadraceError

from .chaos_oracle import Limits

REFERENCE = "chaos"
CHECKOUT = Path(__file__).resolve().parent.parent
_TOOLS = Path(sys.executable).parent
#: Seconds that an orderly end may take.
_END_S = 180

_FILE = """
[headrace]
customer_strategy_ref = "{reference}"

[live]
engine = "{engine}"
page = true
out = "result"

[risk]
max_exposure = {limits.exposure}

[[clients]]
credentials = "account.toml"
interactive_login = true
exchange = {{ url = "{url}", stream = "{stream}", certificate = "{certificate}" }}
"""
_STRATEGY = """
[[strategies]]
class = "chaos_strategies.py:Restless"
name = "{name}"
market_filter = {{ event_type_ids = ["7"] }}
max_order_exposure = {limits.order}
max_selection_exposure = {limits.selection}
max_live_trade_count = {limits.live}
parameters = {{ folder = "{notes}", first = {first}, pace = {pace} }}
"""


class System:
    """A system with two strategies.

    Args:
        folder: with a short name; all that the system writes goes there.
        addresses: of the exchange.
        pace: of the strategies, actions a second in each market.
    """

    def __init__(self, folder: Path, addresses: Any, engine: str, limits: Limits, pace: float) -> None:
        self.folder, self.engine = folder, engine
        self.notes = folder / "notes"
        self.notes.mkdir()
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
            "HEADRACE_HOME": str(folder / "home"),
            "TMPDIR": str(folder),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        self._process: subprocess.Popen[str] | None = None
        self._log = folder / "log.txt"
        account = folder / "account.toml"
        account.write_text('username = "rehearsal"\npassword = "rehearsal"\napp_key = "rehearsal-key"\n')
        account.chmod(0o600)
        (folder / "chaos_strategies.py").write_bytes((CHECKOUT / "benchmarks" / "chaos_strategies.py").read_bytes())
        text = _FILE.format(
            reference=REFERENCE,
            engine=engine,
            limits=limits,
            url=addresses.url,
            stream=addresses.place(addresses.stream_tls),
            certificate=addresses.certificate,
        )
        for name, first in (("odd", 1), ("even", 2)):
            text += _STRATEGY.format(name=name, first=first, limits=limits, notes=self.notes, pace=pace)
        (folder / "live.toml").write_text(text)

    # -- its life ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it; it is not waited for."""
        environment = self._environment
        if self.engine == "ray":
            command = [str(_TOOLS / "headrace"), "live", "live.toml", "--quiet"]
        else:
            command = [sys.executable, "-m", "benchmarks.chaos_process", "live.toml"]
            path = [str(CHECKOUT), *filter(None, [environment.get("PYTHONPATH", "")])]
            environment = {**environment, "PYTHONPATH": os.pathsep.join(path)}
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                text=True,
                start_new_session=True,
            )

    @property
    def ended(self) -> int | None:
        """Its exit code; None: it runs."""
        return None if self._process is None else self._process.poll()

    @property
    def pid(self) -> int:
        """The process that was started."""
        assert self._process is not None
        return self._process.pid

    def stop(self) -> int | None:
        """End it in order, as a user does; its exit code, None: it did not end."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(_END_S)
        return None

    def kill_all(self) -> list[int]:
        """A power cut: every process of it at once. Those that were killed."""
        killed: list[int] = []
        for _ in range(50):
            found = self.processes()
            if not found:
                break
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            killed += found
            time.sleep(0.02)
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
        return killed

    def crash(self, name: str) -> None:
        """Have an actor of a system on "local" end as if it had been killed."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"crash {name}\n")
        self._process.stdin.flush()

    def said(self) -> str:
        """What it has printed."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    # -- asking it -----------------------------------------------------------------------------------------------

    @property
    def running(self) -> Running | None:
        """What its folder says."""
        with contextlib.suppress(HeadraceError, OSError, ValueError):
            return Instance(REFERENCE, self.folder / "home").running()
        return None

    def state(self, timeout: float = 5.0) -> dict[str, Any] | None:
        """Its state; None where it does not answer."""
        running = self.running
        if running is None or not running.control:
            return None
        with contextlib.suppress(HeadraceError, OSError):
            return ask(running.control, "STATE", timeout=timeout)
        return None

    def hold(self) -> None:
        """Have strategies do nothing more."""
        (self.notes / "hold").touch()

    # -- its processes -------------------------------------------------------------------------------------------

    def processes(self) -> list[int]:
        """All of its processes: those whose environment says so, and what they have started."""
        mark = f"HEADRACE_HOME={self.folder / 'home'}\0".encode()
        found: set[int] = set()
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError, IndexError):
                pid = int(entry.name)
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if state != "Z":
                    children.setdefault(int(parent), []).append(pid)
                    if mark in (entry / "environ").read_bytes() + b"\0":
                        found.add(pid)
        waiting = list(found)
        while waiting:
            new = [pid for pid in children.get(waiting.pop(), ()) if pid not in found]
            found.update(new)
            waiting += new
        return sorted(found - {os.getpid()})

    def named(self, word: str) -> list[int]:
        """Those whose command's first word ends so: raylet, gcs_server."""
        found = []
        for pid in self.processes():
            with contextlib.suppress(OSError):
                first = Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0].decode(errors="replace")
                if first.endswith(word):
                    found.append(pid)
        return found


class Notes:
    """What strategies have noted, read as it comes.

    Attributes:
        seen: by market: (wall, publish time, process) of books that were shown.
        asked: by an order's reference: wall time at which its placing was asked for.
        ended: by an order's id: status and bet that its strategy was told of.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}
        self.seen: dict[str, list[tuple[float, int, int]]] = {}
        self.asked: dict[str, float] = {}
        self.ended: dict[str, tuple[str | None, str | None]] = {}

    def read(self) -> None:
        """Take what is new."""
        for path in self._folder.glob("*.ndjson"):
            start = self._read.get(path, 0)
            with path.open("rb") as file:
                file.seek(start)
                data = file.read()
            whole = data.rfind(b"\n") + 1
            self._read[path] = start + whole
            for line in data[:whole].splitlines():
                self._take(json.loads(line), int(path.stem))

    def _take(self, note: dict[str, Any], pid: int) -> None:
        if note["k"] == "seen":
            self.seen.setdefault(note["m"], []).append((note["t"], note["pt"], pid))
        elif note["k"] == "asked":
            self.asked[note["ref"]] = note["t"]
        else:
            self.ended[note["id"]] = (note["status"], note["bet"])

    def forget(self) -> None:
        """What was seen so far is of no interest any more."""
        self.seen.clear()
