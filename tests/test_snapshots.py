"""What a strategy hands over with its requests: its snapshot, its trades and its runners."""

from __future__ import annotations

import importlib
import logging
import pickle
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from apart import NO_LIMITS
from builders import MARKET, T0, priced
from headrace.actors.clients import Clients
from headrace.actors.journal.entries import Kept, unpacked
from headrace.actors.letters import Carried
from headrace.cluster.shipping import pickled, shipped
from headrace.strategies.clock import Clock
from headrace.strategies.host import Host, unique_id
from headrace.strategies.hosting import hosted
from headrace.strategies.market import Markets
from headrace.strategies.messages import Request, StrategyFact
from headrace.strategies.snapshots import frozen, thaw
from live_hosts import Driven, arrived, ended_hosts, live_setup

__all__ = ["ended_hosts"]  # used by all tests here


class Signal:
    """Something of the user's own."""

    def __init__(self, value: float) -> None:
        self.value = value


class Counts(hr.Strategy):
    """Backs once at each price change, and keeps what it did."""

    stake: float = 2.0
    price: float = 3.0
    model: Any = hr.resource(object)

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.placed = 0
        self.orders: list[Any] = []
        self.signal = Signal(0.0)
        self.idea: Any = None

    def check_market_book(self, market: Any, book: Any) -> bool:
        return bool(book.publish_time_epoch > T0)

    def process_market_book(self, market: Any, book: Any) -> None:
        trade = hr.Trade(market.market_id, 1, 0, self)
        order = trade.create_order("BACK", hr.LimitOrder(self.price, self.stake))
        self.orders.append(order)
        self.signal.value += 0.5
        market.place_order(order)
        self.placed += 1
        self.idea = hr.Trade(market.market_id, 2, 0, self, notes={"why": "later"})
        self.market = market


def sent(driven: Driven) -> list[tuple[Any, Kept]]:
    """Messages that something was kept with."""
    return [(each.message, unpacked(each.kept)) for each in driven.mail.letters(Carried) if each.kept]


def counting(tmp_path: Path, changes: int = 1, **keywords: Any) -> Driven:
    driven = Driven(live_setup([Counts(**NO_LIMITS, **keywords)]))
    stream = priced()
    for number in range(changes):
        stream.touch(200 + 100 * number)
    for at in (0, 100, *range(200, 200 + 100 * changes, 100)):
        arrived(driven, stream, tmp_path, at=at, until=at)
    return driven


def instance(driven: Driven) -> Any:
    (market,) = driven.host.rooms["s1.market"].actor.hosted
    return market.seats[0].strategy


def test_the_default_snapshot_is_what_a_strategy_knows_without_what_it_was_configured_with() -> None:
    strategy = Counts(stake=5.0, context={"a": 1})
    assert set(strategy.snapshot()) == {"placed", "orders", "signal", "idea", "context"}
    other = Counts(stake=7.0)
    other.restore({"placed": 3, "stake": 1.0, "context": {"b": 2}})
    assert (other.placed, other.stake, other.context) == (3, 7.0, {"b": 2})


def test_a_snapshot_goes_with_each_request_and_follows_where_the_strategy_thinks_on(tmp_path: Path) -> None:
    driven = counting(tmp_path)
    told = sent(driven)
    assert [type(message) for message, _ in told] == [Request, StrategyFact] * 2
    assert told[1][0] == StrategyFact("Counts", MARKET, T0 + 100)
    first, after = told[0][1], told[1][1]
    assert first.snapshot
    assert after.snapshot != first.snapshot
    assert [order.order_id for trade in first.trades for order in trade.orders] == [instance(driven).orders[0].id]
    assert after.trades == ()
    assert [(row.selection_id, row.invested, len(row.trades)) for row in first.runners] == [(1, True, 1)]
    assert first.current == (instance(driven).orders[0].id,)
    assert [kept.number for _, kept in told] == sorted({kept.number for _, kept in told})


def rows_in(driven: Driven) -> list[list[tuple[str, str]]]:
    """Of each request the orders that went along with it, and where they stood."""
    requests = [kept for message, kept in sent(driven) if isinstance(message, Request)]
    return [[(order.order_id, order.stand) for trade in kept.trades for order in trade.orders] for kept in requests]


def test_only_orders_that_are_new_or_have_ended_go_along(tmp_path: Path) -> None:
    driven = counting(tmp_path, changes=4, price=3.0)
    placed = [order.id for order in instance(driven).orders]
    assert rows_in(driven) == [[(each, "SENT")] for each in placed]
    current = [kept.current for message, kept in sent(driven) if isinstance(message, Request)]
    assert current == [tuple(placed[: number + 1]) for number in range(5)]
    driven.end()
    # Those at 1.9 are matched after 120 ms.
    driven = counting(tmp_path, changes=4, price=1.9)
    first, second, third, fourth, fifth = (order.id for order in instance(driven).orders)
    assert rows_in(driven) == [
        [(first, "SENT")],
        [(second, "SENT")],
        [(third, "SENT"), (first, "DONE")],
        [(fourth, "SENT"), (second, "DONE")],
        [(fifth, "SENT"), (third, "DONE")],
    ]


def test_orders_trades_and_markets_in_a_snapshot_are_references(tmp_path: Path) -> None:
    driven = counting(tmp_path)
    strategy = instance(driven)
    data = frozen(strategy).data
    strategy.orders, strategy.placed, strategy.signal, idea = [], 0, None, strategy.idea
    thaw(strategy, data)
    (market,) = driven.host.rooms["s1.market"].actor.hosted
    assert strategy.orders == list(market.blotter)
    assert strategy.market is market
    assert (strategy.placed, strategy.signal.value) == (2, 1.0)
    assert strategy.idea is not idea
    assert (strategy.idea.id, strategy.idea.notes, strategy.idea.strategy) == (idea.id, {"why": "later"}, strategy)


def test_what_cannot_be_pickled_is_left_out_and_warned_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    driven = Driven(live_setup([Counts(**NO_LIMITS)]))
    stream = priced().touch(200).touch(300)
    arrived(driven, stream, tmp_path, at=0, until=0)
    instance(driven).lock = threading.Lock()
    with caplog.at_level(logging.WARNING, "headrace"):
        for at in (100, 200, 300):
            arrived(driven, stream, tmp_path, at=at, until=at)
    warned = [record.getMessage() for record in caplog.records if "does not survive" in record.getMessage()]
    assert len(warned) == 1
    assert "self.lock" in warned[0]
    last = sent(driven)[-1][1]
    strategy = instance(driven)
    strategy.placed = 0
    thaw(strategy, last.snapshot)
    assert strategy.placed == 3


class Broken(Counts):
    """Its snapshot fails."""

    def snapshot(self) -> Any:
        raise ValueError("not today")


def test_an_order_does_not_wait_for_a_snapshot_that_fails(tmp_path: Path) -> None:
    driven = Driven(live_setup([Broken(**NO_LIMITS)]))
    for at in (0, 100):
        arrived(driven, priced(), tmp_path, at=at, until=at)
    ((message, kept),) = sent(driven)
    assert isinstance(message, Request)
    assert (kept.snapshot, len(kept.trades)) == (b"", 1)
    failures = driven.host.rooms["s1.market"].failures
    assert [each.message for each in failures] == ["not today"]


def test_the_context_of_a_market_goes_along_as_far_as_it_is_json(tmp_path: Path) -> None:
    driven = Driven(live_setup([Counts(**NO_LIMITS)]))
    stream = priced().touch(200)
    arrived(driven, stream, tmp_path, at=0, until=0)
    (market,) = driven.host.rooms["s1.market"].actor.hosted
    market.context.update({"line": 4.5, "object": object()})
    for at in (100, 200):
        arrived(driven, stream, tmp_path, at=at, until=at)
    requests = [kept for message, kept in sent(driven) if isinstance(message, Request)]
    assert [kept.context for kept in requests] == ['{"line":4.5}', ""]


MODULE = """
import dataclasses
import headrace as hr


@dataclasses.dataclass
class Idea:
    price: float


class Thinks(hr.Strategy):
    def __init__(self, **keywords):
        super().__init__(**keywords)
        self.idea = Idea(2.5)
        self.again = self.think

    def think(self):
        return self.idea.price
"""


def test_objects_of_a_module_that_came_with_the_strategy_are_in_its_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a process of Ray, where the user's modules come by value and cannot be imported."""
    (tmp_path / "thinking.py").write_text(MODULE)
    with monkeypatch.context() as here:
        here.syspath_prepend(str(tmp_path))
        thinking = importlib.import_module("thinking")
        with shipped(thinking.Thinks(), [thinking.Thinks()]):
            data = pickled(thinking.Thinks())
    del sys.modules["thinking"]
    host = Host(Clock(), hr.Config(), unique_id)
    strategy, other = (hosted(pickle.loads(data), Empty(host)) for _ in range(2))  # type: ignore[arg-type]
    strategy.idea.price = 7.5
    found = frozen(strategy)
    assert found.left_out == {}
    thaw(other, found.data)
    assert other.idea is not strategy.idea
    assert (other.idea.price, other.again(), type(other.idea).__qualname__) == (7.5, 7.5, "Idea")


class Empty:
    """Where a strategy lives that has no market."""

    def __init__(self, host: Host) -> None:
        self.host, self.clients, self.strategies, self.markets = host, Clients(), [], Markets()


def test_a_big_snapshot_is_warned_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    driven = Driven(live_setup([Counts(**NO_LIMITS)]))
    stream = priced().touch(200)
    arrived(driven, stream, tmp_path, at=0, until=0)
    instance(driven).history = bytes(1_100_000)
    for at in (100, 200):
        arrived(driven, stream, tmp_path, at=at, until=at)
    (told,) = [each.getMessage() for each in caplog.records if "its snapshot has" in each.getMessage()]
    assert told.startswith("strategy Counts: its snapshot has 11")
    assert told.endswith("override snapshot()")
