"""Whatever goes wrong on the way, in the end orders are what the exchange's bets are, and no bet is unaccounted for."""

from __future__ import annotations

import random
from typing import Any

import betfairlightweight
import pytest

import headrace as hr
from builders import MARKET
from exchange_builders import ALICE, BOB
from headrace.strategies.stands import Stand
from live_trading import Trading, Venue, venue

#: What may go wrong, each with what it takes.
FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("http.slow", {"seconds": 0.05}),
    ("http.late", {"seconds": 0.05}),
    *((f"http.{kind}", {}) for kind in ("lost", "refused", "cut", "status", "status_done", "garbage")),
    *((f"http.{kind}", {}) for kind in ("timeout", "timeout_lost", "timeout_error", "extra_fields")),
    ("http.timeout_later", {"seconds": 0.1}),
    ("http.error", {"value": "TOO_MANY_REQUESTS"}),
    ("http.error", {"value": "SERVICE_BUSY"}),
    *((f"order.{kind}", {"seconds": 0.05}) for kind in ("delay", "overtaken", "before_reply", "after_reply")),
    *((f"order.{kind}", {}) for kind in ("duplicate", "image", "strip", "blank_refs")),
    *((f"stream.{kind}", {"operation": "orderSubscription"}) for kind in ("drop", "reset", "half_line", "fail_close")),
    ("stream.refuse_clock", {}),
    ("order.lost", {}),
    ("list.leave_out", {"every": 2}),
    ("http.duplicate", {}),
    *(("bet.replace_cut", {"seconds": seconds, "value": value}) for seconds in (0, 0.1) for value in (None, "TIMEOUT")),
    ("session.expire", {}),
    ("bet.fill_before_cancel", {"value": "1"}),
    ("bet.fill_before_cancel", {}),
    ("bet.void", {}),
    ("bet.lapse", {}),
    ("bet.refuse", {"value": "SERVICE_UNAVAILABLE"}),
    ("bet.limit", {"value": "INSUFFICIENT_FUNDS"}),
]
PRICES = (1.9, 1.98, 2.02, 2.04, 3.0, 4.0)


def act(trading: Trading, chance: random.Random, taker: Any) -> None:
    """Something that a strategy might do, or somebody else."""
    open_ = [order for order in trading.market.blotter if order.status is hr.OrderStatus.EXECUTABLE and order.bet_id]
    what = chance.choice(["place", "place", "cancel", "part", "replace", "update", "take", "sp"])
    limits = [order for order in open_ if order.is_limit and order.size_remaining > 1]
    if what == "place" or (what in ("cancel", "part", "replace", "update") and not limits):
        kill = chance.random() < 0.2
        trading.place(chance.choice(PRICES), 5.0, **({"time_in_force": "FILL_OR_KILL"} if kill else {}))
    elif what == "cancel":
        trading.market.cancel_order(chance.choice(limits))
    elif what == "part":
        trading.market.cancel_order(chance.choice(limits), 1.0)
    elif what == "replace":
        order = chance.choice(limits)
        trading.market.replace_order(order, chance.choice([each for each in PRICES if each != order.order_type.price]))
    elif what == "update":
        order = chance.choice(limits)
        trading.market.update_order(order, "LAPSE" if order.persistence_type == "PERSIST" else "PERSIST")
    elif what == "sp":
        trading.market.place_order(trading.order(hr.MarketOnCloseOrder(liability=10.0)))
    else:
        order_type = betfairlightweight.filters.limit_order(size=2.0, price=2.04, persistence_type="LAPSE")
        taker.betting.place_orders(
            MARKET, [betfairlightweight.filters.place_instruction("LIMIT", 1, "LAY", limit_order=order_type)]
        )


def come_to_rest(exchange: Venue, trading: Trading) -> None:
    """Nothing goes wrong any more; what is under way or in doubt comes to its end."""
    exchange.do(exchange.service.faults.clear)
    trading.let(0.5)
    for _ in range(100, 190):
        trading.skip(20)
        trading.let(0.2)
    for _ in range(3):  # the lists are read again
        looks = trading.orders.reconciliation.looks
        trading.skip(61)
        trading.until(lambda looks=looks: trading.orders.reconciliation.looks > looks)
    trading.until(lambda: not len(trading.orders.doubts) and not trading.calls.under_way)
    trading.let(0.3)


def of_bets(exchange: Venue) -> dict[str, tuple[float, ...]]:
    return {
        bet.bet_id: (bet.matched, bet.cancelled, bet.lapsed, bet.voided, float(not bet.ended))
        for bet in exchange.bets
        if bet.username == ALICE.username
    }


@pytest.mark.parametrize("seed", range(100, 190))
def test_orders_are_what_bets_are(seed: int) -> None:
    chance = random.Random(seed)
    with venue() as exchange, Trading(exchange) as trading:
        taker = exchange.elsewhere(BOB)
        for _ in range(60):
            if chance.random() < 0.5:
                kind, of = chance.choice(FAULTS)
                if kind.startswith(("http", "bet", "list", "session")):
                    of = {**of, "username": ALICE.username}
                exchange.fault(kind, **of)
            act(trading, chance, taker)
            trading.let(chance.choice((0.0, 0.01, 0.03)))
        come_to_rest(exchange, trading)

        bets = of_bets(exchange)
        orders = list(trading.market.blotter)
        placed = {order.bet_id: order for order in orders if order.bet_id is not None}
        assert len(placed) == sum(order.bet_id is not None for order in orders)
        assert placed.keys() == bets.keys()
        assert {
            bet_id: (
                order.size_matched,
                order.size_cancelled,
                order.size_lapsed,
                order.size_voided,
                float(order.state.stand is Stand.LIVE),
            )
            for bet_id, order in placed.items()
        } == bets
        assert all(order.complete for order in orders if order.bet_id is None)
        assert not any(order.state.request for order in orders)
        assert {bet.bet_id for bet in trading.orders.live} == {bet_id for bet_id, sizes in bets.items() if sizes[-1]}
        assert trading.orders.bets.foreign == {}
        assert trading.orders.held == {}
        assert "difference_lasts" not in trading.words
        assert len(trading.actor.failures) == 0
