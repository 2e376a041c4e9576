"""What becomes of a system on Ray when it is to end, or one of its processes is killed that all others depend on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from browser import browser, showing
from builders import priced
from headrace.actors.live.control import ask
from headrace.actors.live.instance import Instance, running_instances
from processes import LIMIT, TOOLS, environment, run, wait_until

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
[live]
engine = "ray"
[[clients]]
credentials = "account.toml"
interactive_login = true
exchange = {{ url = "{url}", stream = "{stream}", certificate = "{certificate}" }}
[[strategies]]
class = "rester.py:Rester"
"""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / "home"))
    (tmp_path / "rester.py").write_text(STRATEGY)
    account = tmp_path / "account.toml"
    account.write_text('username = "rehearsal"\npassword = "rehearsal"\napp_key = "rehearsal-key"\n')
    account.chmod(0o600)
    market = priced()
    for at in range(200, 600_000, 200):
        market.touch(at)
    market.write(tmp_path / "markets")
    return tmp_path


def state() -> dict[str, Any]:
    """How the system of this machine stands; empty while it does not answer."""
    for running in running_instances():
        with contextlib.suppress(hr.RunError):
            return ask(Instance(running.reference), "STATE", timeout=5.0)
    return {}


def resting(exchange: hr.RehearsalExchange) -> list[Any]:
    client = exchange.client()
    client.login_interactive()
    return list(client.betting.list_current_orders(lightweight=True)["currentOrders"])


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}/stat").exists() and " Z " not in _stat(pid)]


def _stat(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return " Z "


@contextlib.contextmanager
def trading(desk: Path, exchange: hr.RehearsalExchange, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A system that runs, once its order rests at the exchange; its processes are gone at the end."""
    places = exchange.addresses
    stream = places.place(places.stream_tls)
    (desk / "live.toml").write_text(FILE.format(url=places.url, stream=stream, certificate=places.certificate))
    system = subprocess.Popen(
        [TOOLS / "headrace", "live", "live.toml", "--quiet", *(words or ("--no-page",))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    pids: list[int] = []
    try:
        assert wait_until(lambda: bool(state().get("orders")) or system.poll() is not None, LIMIT)
        assert system.poll() is None, system.communicate(timeout=LIMIT)
        found = state()
        pids += [found["pid"], *(each["pid"] for each in (*found["hosts"], *found["streams"]))]
        assert len(resting(exchange)) == 1
        yield system
    finally:
        if system.poll() is None:
            system.kill()
            system.communicate(timeout=LIMIT)
    assert wait_until(lambda: not alive(pids), 30)
    kept = {path.name for path in (desk / "home" / "killed").iterdir()}
    assert kept <= {"logs", "rows.bin", "risk.json"}


def test_open_orders_are_cancelled_when_the_process_that_started_it_is_killed(desk: Path) -> None:
    with hr.RehearsalExchange(str(desk / "markets")) as exchange, trading(desk, exchange) as system:
        system.kill()
        system.communicate(timeout=LIMIT)
        assert wait_until(lambda: not resting(exchange), 30), "its orders are cancelled"
        assert wait_until(lambda: run([TOOLS / "headrace", "live", "status"]).returncode == 2, 30)


def test_it_is_said_that_open_orders_stay_where_the_coordinator_is_killed(desk: Path) -> None:
    with hr.RehearsalExchange(str(desk / "markets")) as exchange, trading(desk, exchange) as system:
        os.kill(state()["pid"], signal.SIGKILL)
        said, errors = system.communicate(timeout=LIMIT)
        assert system.returncode == 1, errors
        assert "the coordinator has ended: its process has died" in errors
        assert "look at the account's open orders" in errors
        assert "failed: RunError: the coordinator has ended" in said
        assert len(resting(exchange)) == 1, "as it was said"


def test_sigterm_stops_in_order_and_the_page_shows_it_all_the_time(desk: Path) -> None:
    async def watch(page: str, system: subprocess.Popen[str]) -> None:
        async with showing(page) as tab:
            await tab.until("document.querySelector('#orders tbody tr')?.cells[6]?.textContent === '500'")
            streams = "[...document.querySelectorAll('#streams tbody tr')].map(row => row.textContent).join('|')"
            told = await tab.value(streams)
            assert "SUBSCRIBED" in told, told
            await tab.until(f"{streams} !== {json.dumps(told)}")  # it goes on
            system.send_signal(signal.SIGTERM)
            await tab.until("document.getElementById('link').textContent === 'connection lost'")

    with (
        hr.RehearsalExchange(str(desk / "markets")) as exchange,
        trading(desk, exchange, "--page", "--out", "result") as system,
    ):
        running = Instance("killed").running()
        assert running is not None
        if browser():
            asyncio.run(watch(running.page, system))
        else:
            system.send_signal(signal.SIGTERM)
        said, errors = system.communicate(timeout=LIMIT)
        assert system.returncode == 0, errors
        assert "tables in result" in said
        assert resting(exchange) == []
    (order,) = hr.Result.load(str(desk / "result")).orders.to_pylist()
    assert (order["size_cancelled"], order["status"]) == (2.0, "EXECUTION_COMPLETE")
