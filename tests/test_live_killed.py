"""What becomes of a system on Ray when one of its processes is killed that all others depend on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from builders import priced
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
page = false
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
    asked = run([TOOLS / "headrace", "live", "status", "--json"])
    found: dict[str, Any] = json.loads(asked.stdout) if asked.returncode == 0 else {}
    return found


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


@pytest.mark.parametrize("victim", ["starter", "coordinator"])
def test_open_orders_are_cancelled_or_it_is_said_that_they_are_not_and_nothing_stays_behind(
    victim: str, desk: Path
) -> None:
    with hr.RehearsalExchange(str(desk / "markets")) as exchange:
        places = exchange.addresses
        stream = places.place(places.stream_tls)
        (desk / "live.toml").write_text(FILE.format(url=places.url, stream=stream, certificate=places.certificate))
        system = subprocess.Popen(
            [TOOLS / "headrace", "live", "live.toml", "--quiet"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        try:
            assert wait_until(lambda: bool(state().get("orders")) or system.poll() is not None, LIMIT)
            assert system.poll() is None, system.communicate(timeout=LIMIT)
            found = state()
            pids = [found["pid"], *(each["pid"] for each in found["hosts"])]
            assert len(resting(exchange)) == 1
            if victim == "starter":
                system.kill()
                system.communicate(timeout=LIMIT)
                assert wait_until(lambda: not resting(exchange), 30), "its orders are cancelled"
                assert wait_until(lambda: run([TOOLS / "headrace", "live", "status"]).returncode == 2, 30)
            else:
                os.kill(found["pid"], signal.SIGKILL)
                said, errors = system.communicate(timeout=LIMIT)
                assert system.returncode == 1, errors
                assert "the coordinator has ended: its process has died" in errors
                assert "look at the account's open orders" in errors
                assert "failed: RunError: the coordinator has ended" in said
                assert len(resting(exchange)) == 1, "as it was said"
        finally:
            if system.poll() is None:
                system.kill()
                system.communicate(timeout=LIMIT)
        assert wait_until(lambda: not alive(pids), 30)
        kept = {path.name for path in (desk / "home" / "killed").iterdir()}
        assert kept <= {"logs", "rows.bin", "risk.json"}
