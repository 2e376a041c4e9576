"""The coordinator is killed at each step of a request's way: all agree afterwards on what the exchange has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from headrace.actors.betfair import doubts
from headrace.actors.betfair.account_orders import AccountOrders
from headrace.actors.live.accounts import Accounts
from headrace.actors.live.betting import Betting
from headrace.actors.live.journal_desk import JournalDesk
from headrace.actors.mailboxes.mail import CrashedError
from test_live_crashes import Running, Trader, running


class Trap:
    """Kills the coordinator when it comes to a point for the first time after `arm`.

    Args:
        owner, name: the method that it comes to.
        after: when that has returned.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, after: bool) -> None:
        self.system: Running | None = None
        self.sprung = False
        method: Callable[..., Any] = getattr(owner, name)

        def trapped(*arguments: Any, **keywords: Any) -> Any:
            result = method(*arguments, **keywords) if after else None
            self._spring()
            return result if after else method(*arguments, **keywords)

        monkeypatch.setattr(owner, name, trapped)

    def arm(self, system: Running) -> None:
        self.system = system

    def _spring(self) -> None:
        system, self.system = self.system, None
        if system is not None:
            self.sprung = True
            system.crash("c")
            raise CrashedError


#: Where a request is: taken, and not written; written, and not sent; sent, and not answered; answered, and nobody has
#: heard of it; its market has been told, and it is not written.
POINTS: dict[str, tuple[type, str, bool]] = {
    "taken": (JournalDesk, "ask", True),
    "written": (Accounts, "send", False),
    "sent": (Accounts, "send", True),
    "answered": (Accounts, "_answered", False),
    "told": (Betting, "hand_on", True),
}


def place(strategy: Trader, market: Any) -> None:
    strategy.place(market, 4.0)


def order_of(market: Any) -> Any:
    return market.blotter[next(iter(market.blotter.live_orders)).id]


CHANGES: dict[str, Callable[[Trader, Any], object]] = {
    "place": place,
    "cancel": lambda strategy, market: market.cancel_order(order_of(market)),
    "reduce": lambda strategy, market: market.cancel_order(order_of(market), 2.0),
    "update": lambda strategy, market: market.update_order(order_of(market), "PERSIST"),
    "replace": lambda strategy, market: market.replace_order(order_of(market), 5.0),
}


def exchange_has(system: Running) -> list[tuple[Any, ...]]:
    return sorted((bet.bet_id, bet.price, bet.remaining, bet.matched) for bet in system.exchange.bets if bet.remaining)


def market_has(system: Running) -> list[tuple[Any, ...]]:
    return sorted(
        (each.bet_id, each.order_type.price, each.size_remaining, each.size_matched)
        for each in list(system.market.blotter)
        if each.size_remaining and each.bet_id
    )


def coordinator_has(system: Running) -> list[tuple[Any, ...]]:
    return sorted(
        (each["bet_id"], each["price"], each["remaining"], each["matched"]) for each in system.state().get("orders", ())
    )


def open_requests(system: Running) -> list[Any]:
    return [
        each
        for each in list(system.market.blotter)
        if each.status.name in {"PENDING", "CANCELLING", "UPDATING", "REPLACING"}
    ]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("point", POINTS)
def test_a_coordinator_that_is_killed_at_any_step_leaves_nothing_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str, change: str
) -> None:
    monkeypatch.setitem(AccountOrders.__init__.__kwdefaults__, "appears_ms", 300)
    monkeypatch.setattr(doubts, "_LOOK_MS", 100)
    trap = Trap(monkeypatch, *POINTS[point])
    with running(tmp_path) as system:
        system.places(3.0)
        system.knows(3.0)
        calls = {kind: len(system.exchange.calls(kind)) for kind in KINDS}

        trap.arm(system)
        system.does(CHANGES[change])
        system.until(lambda: trap.sprung)

        system.settles()
        system.until(lambda: not open_requests(system))
        system.until(lambda: exchange_has(system) == market_has(system) == coordinator_has(system))
        system.until(lambda: not system.state()["in_doubt"])
        sent = {kind: len(system.exchange.calls(kind)) - calls[kind] for kind in KINDS}
        if change != "cancel":  # all of which may be repeated
            assert sum(sent.values()) <= 1
        assert system.state()["risk"]["by_currency"]["GBP"]["exposure"] == sum(each[2] for each in exchange_has(system))
        placed = [each for each in system.market.blotter if each.status is hr.OrderStatus.VIOLATION]
        assert placed == []
        system.end()
        assert exchange_has(system) == []


KINDS = ("placeOrders", "cancelOrders", "updateOrders", "replaceOrders")
