"""States of a live system, and a coordinator that tells them, for tests of what shows them."""

from __future__ import annotations

import copy
import math
from typing import Any

import msgspec

from headrace.actors.letters import Ask, Hello, Letter, Told
from headrace.actors.mailboxes.mail import Mail

AT = 1_700_000_000_000


def market(number: int = 1, **fields: Any) -> dict[str, Any]:
    """A row of a market and a strategy."""
    return {
        "market_id": f"1.{200_000_000 + number}",
        "event": "14:30 Ascot",
        "name": "2m Hcap Hrd",
        "status": "OPEN",
        "inplay": False,
        "crew": "s1.market",
        "host": f"h{number % 4 + 1}",
        "strategy": "BackTheFavourite",
        "orders": 0,
        "live": 0,
        "matched": 0.0,
        "exposure": 0.0,
        "profit": 0.0,
        "changes": 1_200 + number,
        "pt": AT - 150,
    } | fields


def order(number: int = 1, **fields: Any) -> dict[str, Any]:
    """A live order."""
    return {
        "order_id": f"a{number:017d}",
        "bet_id": f"3100000{number:05d}",
        "market_id": "1.200000001",
        "strategy": "BackTheFavourite",
        "selection_id": 4_000_000 + number,
        "side": "BACK",
        "price": 3.45,
        "size": 10.0,
        "matched": 4.0,
        "remaining": 6.0,
        "status": "EXECUTABLE",
        "age_ms": 4_200,
        "in_doubt": False,
    } | fields


def state(**fields: Any) -> dict[str, Any]:
    """A system with three markets, two of them traded by a second strategy as well."""
    return copy.deepcopy(
        {
            "at": AT,
            "instance": "i-3f2a",
            "reference": "trader1",
            "stopping": "",
            "placing_allowed": True,
            "markets": [
                market(3, event="Arsenal v Chelsea", name="Match Odds"),
                market(1, orders=3, live=2, matched=14.0, exposure=14.0, profit=-1.25, inplay=True),
                market(1, strategy="LayTheField", orders=1, live=1),
                market(2, orders=1, matched=2.0, exposure=0.5, profit=3.5, status="SUSPENDED"),
            ],
            "orders": [
                order(1),
                order(2, matched=0.0, remaining=10.0, side="LAY", price=None),
                order(3, strategy="LayTheField", bet_id=None),
            ],
            "clients": [
                {
                    "venue": "Betfair",
                    "username": "alice",
                    "paper": False,
                    "session": "open",
                    "funds": 985.5,
                    "exposure": -14.5,
                    "funds_age_s": 12.0,
                    "currency": "GBP",
                    "transactions_hour": 5,
                }
            ],
            "streams": [
                {
                    "stream": "s1",
                    "state": "SUBSCRIBED",
                    "at": AT,
                    "error": "",
                    "markets": 3,
                    "left_out": 0,
                    "messages": 2_310,
                    "changes": 3_606,
                    "lag_ms": 3.25,
                    "reconnects": 1,
                    "silent_ms": 210,
                }
            ],
            "hosts": [
                {"name": f"h{n}", "markets": 1, "depth": 0, "behind": n, "lost": 0, "busy_ms": 0, "stalled": False}
                | {"pid": 4000 + n}
                for n in (1, 2, 3)
            ],
            "latency": {
                "tick_ms": {"count": 3_606, "median": 0.412, "p99": 2.31, "worst": 18.5},
                "order_ms": {"count": 5, "median": 12.5, "p99": 120.9, "worst": 121.0},
                "stream_lag_ms": {"count": 2_310, "median": 3.1, "p99": 9.8, "worst": 44.0},
            },
            "risk": {
                "max_exposure": 100.0,
                "max_daily_loss": None,
                "max_orders_per_second": 20,
                "risk_timezone": "Europe/London",
                "orders_last_second": 3,
                "by_currency": {"GBP": {"exposure": 14.5, "settled_today": 2.25, "loss_today": 12.25}},
            },
            "events": [
                {"at": AT - 60_000, "kind": "SESSION", "text": "alice has logged in"},
                {"at": AT - 2_000, "kind": "ORDER", "text": "order 1 was placed at 1.200000001"},
            ],
            "watchdogs": [],
            "counts": {},
        }
        | fields
    )


class TellingCoordinator:
    """Answers the page with a state that a test sets, and notes what it is told.

    Attributes:
        state: what it answers; None: nothing.
        stops: what it was asked to stop for.
    """

    name = "c"
    next_ms = math.inf

    def __init__(self) -> None:
        self.state: dict[str, Any] | None = state()
        self.hello: Hello | None = None
        self.asked = 0
        self.stops: list[str] = []

    def start(self, mail: Mail) -> None:
        self.mail = mail

    def receive(self, sender: str, letter: Letter, at_ms: int) -> None:
        if isinstance(letter, Hello):
            self.mail.know(letter.name, letter.address)
            self.hello = letter
        elif isinstance(letter, Ask) and letter.what == "STATE":
            self.asked += 1
            if self.state is not None:
                self.mail.send(letter.reply_to, Told("STATE", msgspec.json.encode(self.state)))
        elif isinstance(letter, Ask):
            self.stops.append(f"{letter.what}: {msgspec.json.decode(letter.values)['why']}")

    def caught_up(self, at_ms: int) -> None: ...

    def wake(self, at_ms: int) -> None: ...

    def lost(self, sender: str) -> None: ...

    def stop(self) -> None: ...
