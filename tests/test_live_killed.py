"""A system on Ray of which one process after the other is killed: it goes on, and in the end it ends in order."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from builders import priced
from headrace.actors.live.control import ask
from headrace.actors.live.instance import Instance
from headrace.strategies.errors import HeadraceError
from processes import LIMIT, TOOLS, environment, wait_until

pytestmark = pytest.mark.ray

STRATEGY = """
import headrace as hr


class Rester(hr.Strategy):
    def check_market_book(self, market, book):
        return book.status == "OPEN"

    def process_market_book(self, market, book):
        if not market.blotter.strategy_orders(self):
            trade = hr.Trade(market.market_id, 1, 0, self)
            market.place_order(trade.create_order(side="BACK", order_type=hr.LimitOrder(500.0, 2.0)))
"""

FILE = """
[headrace]
customer_strategy_ref = "killed"
max_market_actors = 2
[live]
engine = "ray"
[[clients]]
credentials = "account.toml"
interactive_login = true
exchange = {{ url = "{url}", stream = "{stream}", certificate = "{certificate}" }}
[[strategies]]
class = "rester.py:Rester"
"""


class System:
    """A system that a command runs, at an exchange that has one market."""

    def __init__(self, folder: Path, exchange: hr.RehearsalExchange) -> None:
        self.folder, self.exchange = folder, exchange
        self.instance = Instance("killed", folder / "home")
        places = exchange.addresses
        stream = places.place(places.stream_tls)
        (folder / "live.toml").write_text(FILE.format(url=places.url, stream=stream, certificate=places.certificate))
        self.process = subprocess.Popen(
            [TOOLS / "headrace", "live", "live.toml", "--quiet"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=(folder / "errors").open("w"),
            text=True,
            env=environment(HEADRACE_HOME=str(folder / "home"), TMPDIR=str(folder)),
        )

    @property
    def state(self) -> dict[str, Any]:
        """Of the system; empty while it does not answer."""
        try:
            return ask(self.instance, "STATE", {}, timeout=5)
        except HeadraceError:
            return {}

    @property
    def errors(self) -> str:
        return (self.folder / "errors").read_text()

    def until(self, true: Callable[[dict[str, Any]], Any], seconds: float = LIMIT) -> dict[str, Any]:
        """Wait until the state of the system is as it should be."""
        found: dict[str, Any] = {}

        def look() -> bool:
            nonlocal found
            found = self.state
            return bool(found and true(found)) or self.process.poll() is not None

        assert wait_until(look, seconds), (self.errors, found)
        assert self.process.poll() is None, self.errors
        return found

    def pids(self, state: dict[str, Any]) -> dict[str, int]:
        """The actors' processes, and those of the driver, of Ray and of who keeps it."""
        found = {"c": state["pid"], "page": state["page_pid"]}
        found |= {row["name"]: row["pid"] for row in state["hosts"]}
        found |= {row["stream"]: row["pid"] for row in state["streams"]}
        running = self.instance.running()
        assert running is not None
        found["driver"] = running.pid
        for pid, line in self.processes():
            for name in ("gcs_server", "raylet", "ray_keeper.py"):
                if any(word.endswith(f"/{name}") for word in line[:4]) and name not in found:
                    found[name] = pid
        return found

    def processes(self) -> list[tuple[int, list[str]]]:
        """All that belong to it, by what is in their environment, each with its command."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                mine = f"TMPDIR={self.folder}".encode() in (entry / "environ").read_bytes().split(b"\0")
                command = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if mine and " Z " not in (entry / "stat").read_text():
                    found.append((int(entry.name), command))
            except OSError:  # it has ended
                continue
        return found

    def is_back(self, before: dict[str, Any], killed: dict[str, int]) -> Callable[[dict[str, Any]], bool]:
        """What was killed has successors, the market's books come, and its order is there."""
        seen = before["markets"][0]["pt"] + 500

        def look(state: dict[str, Any]) -> bool:
            now = self.pids(state)
            return (
                all(now.get(name) not in {None, 0, pid} for name, pid in killed.items())
                and [row["pt"] > seen for row in state["markets"]] == [True]
                and [row["status"] for row in state["orders"]] == ["EXECUTABLE"]
                and state["placing_allowed"]
            )

        return look

    def resting(self) -> list[Any]:
        client = self.exchange.client()
        client.login_interactive()
        return list(client.betting.list_current_orders(lightweight=True)["currentOrders"])


def resting(state: dict[str, Any]) -> bool:
    """The strategy's order rests."""
    return [row["status"] for row in state["orders"]] == ["EXECUTABLE"]


@pytest.fixture
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="k"))  # a short name
    (folder / "rester.py").write_text(STRATEGY)
    account = folder / "account.toml"
    account.write_text('username = "rehearsal"\npassword = "rehearsal"\napp_key = "rehearsal-key"\n')
    account.chmod(0o600)
    market = priced()
    for at in range(200, 900_000, 200):
        market.prices(at, {2: {"atl": [[1.9, 50 + at // 200 % 7]]}})
    market.write(folder / "markets")
    with hr.RehearsalExchange(str(folder / "markets")) as exchange:
        made = System(folder, exchange)
        yield made
        for pid, _ in [(made.process.pid, []), *made.processes()]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        made.process.communicate(timeout=LIMIT)
    shutil.rmtree(folder, ignore_errors=True)


#: What is killed, all at once, one line after the other.
BLOWS = (("h1", "s1", "page"), ("c",), ("c", "h1", "o1"), ("driver",), ("raylet",))


def test_whatever_is_killed_the_system_goes_on_and_where_nobody_looks_after_it_nothing_stays(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    system.until(resting)
    for blow in BLOWS:
        time.sleep(2.0)  # what is ready for the next one is being made
        before = system.until(lambda state: state["markets"])
        pids = system.pids(before)
        at = time.monotonic()
        for name in blow:
            os.kill(pids[name], signal.SIGKILL)
        system.until(system.is_back(before, {name: pids[name] for name in blow}))
        with capsys.disabled():
            print(f"\n{' '.join(blow)}: {time.monotonic() - at:.2f} s", end="")
        assert len(system.resting()) == 1, "its order is not placed again"
    pids = system.pids(system.until(resting))
    for pid in (system.process.pid, pids["driver"]):
        os.kill(pid, signal.SIGKILL)
    system.process.communicate(timeout=LIMIT)
    assert wait_until(lambda: not system.resting(), 60), "its order is cancelled"
    assert wait_until(lambda: not system.processes(), 60), system.processes()
    assert system.instance.running() is None
