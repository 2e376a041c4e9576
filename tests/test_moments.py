"""Replies and fills reach the strategy when they happen: neither at the next change of the book, nor before."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, Phase, given, settings

import headrace as hr
from builders import FLUMINE, PEER_ENDS, T0, Scripted, back, cancel, priced, replace, replay, update
from headrace.actors.coordinator import Coordinator
from headrace.simulate.replay import Replay
from headrace.simulate.setup import Setup
from headrace.simulate.units import Unit
from headrace.strategies.messages import OrderFact, ReplaceInstruction, Reply, Request
from stories import Story, stories

RECORDINGS = Path(__file__).resolve().parents[2] / "shared" / "recordings"
CONFIG = hr.Config()
LATENCY = {
    "PLACE": CONFIG.place_latency,
    "CANCEL": CONFIG.cancel_latency,
    "UPDATE": CONFIG.update_latency,
    "REPLACE": CONFIG.replace_latency,
}
THOROUGH = settings(
    max_examples=80,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class Listening(Coordinator):
    """Writes down what is asked of the exchange, and when the exchange says what."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.asked: list[Request] = []
        self.told: list[tuple[int, Any]] = []

    def process_order_package(self, request: Request) -> None:
        self.asked.append(request)
        super().process_order_package(request)

    def answer(self, message: Any) -> None:
        self.told.append((self.host.clock.now_ms, message))
        super().answer(message)


class Row:
    """An order as one call of `process_orders` shows it."""

    def __init__(self, order: hr.Order, now: int) -> None:
        self.now = now
        self.status, self.complete, self.fills = order.status, order.complete, order.fills
        self.answered = order.responses.placed_ms


class Seen:
    """All calls, by order. Markets share it: it is never copied."""

    def __init__(self) -> None:
        self.rows: dict[hr.Order, list[Row]] = {}
        self.calls: list[int] = []

    def __deepcopy__(self, memo: dict[int, Any]) -> Seen:
        return self

    def note(self, market: Any, orders: Iterable[hr.Order]) -> None:
        self.calls.append(market.clock.now_ms)
        for order in orders:
            self.rows.setdefault(order, []).append(Row(order, market.clock.now_ms))


def arrivals(asked: Sequence[Request], delayed: bool = True) -> dict[str, int]:
    """When each order is placed, if it is: asked + latency + bet delay. Without the delay: when it is first judged."""
    found = {}
    for request in asked:
        for each in request.instructions:
            placed = each.new_order_id if isinstance(each, ReplaceInstruction) else each.order_id
            if request.kind in ("PLACE", "REPLACE") and placed is not None:
                delay = request.bet_delay if delayed else 0
                found[placed] = request.asked_at + round((LATENCY[request.kind] + delay) * 1000)
    return found


def require_moments(seen: Seen, coordinator: Listening, published: set[int]) -> int:
    """Each order is shown in a new state at the time that the exchange gave it; the number of states looked at."""
    due, looked_at = arrivals(coordinator.asked), 0
    judged = arrivals(coordinator.asked, delayed=False)
    over: dict[str | None, int] = {}
    for at, message in coordinator.told:
        assert message.at == at or not isinstance(message, (Reply, OrderFact))
        if isinstance(message, OrderFact) and not message.executable:
            over.setdefault(message.order_id, at)
    requests = {request.request_id: request for request in coordinator.asked}
    for at, message in coordinator.told:
        if isinstance(message, Reply):
            request = requests[message.request_id]
            if message.reports[0].operation != "PLACE":
                assert at == request.asked_at + round(LATENCY[request.kind] * 1000)
    for order, rows in seen.rows.items():
        answered = next((row for row in rows if row.answered is not None), None)
        if answered is not None:
            assert answered.now == answered.answered
            assert answered.now == due[order.id] or (order.bet_id is None and answered.now == judged[order.id])
            looked_at += 1
        known = 0
        for row in rows:
            for time, _, _ in row.fills[known:]:
                assert row.now == time
                assert time in published or time == due[order.id]
                looked_at += 1
            known = max(known, len(row.fills))
        assert known >= len(order.fills)
        ended = next((row for row in rows if row.complete), None)
        if ended is not None:
            looked_at += 1
            assert ended.now == over[order.id] if order.id in over else ended.now in published | {due[order.id]}
        assert (ended is None) is not order.complete
    for at, message in coordinator.told:
        if isinstance(message, Reply):
            (report,) = message.reports
            for order, rows in seen.rows.items():
                if order.id == report.order_id and over.get(order.id, at) >= at:
                    assert at in [row.now for row in rows]
                    looked_at += 1
    return looked_at


def look(stream: Any, actions: Any, **how: Any) -> tuple[Seen, Any]:
    seen = Seen()

    def process_orders(strategy: Any, market: Any, orders: list[hr.Order]) -> None:
        seen.note(market, orders)

    with patch.object(Scripted, "process_orders", process_orders):
        played = replay(stream, actions, setup={"coordinator": Listening}, **how)
    return seen, played.run.coordinator


def times_of(stream: Any) -> set[int]:
    return {line["pt"] for line in stream.lines}


@THOROUGH
@given(story=stories())
def test_each_new_state_is_shown_at_the_time_of_the_exchange(story: Story) -> None:
    stream, actions = story
    seen, coordinator = look(stream, actions)
    require_moments(seen, coordinator, times_of(stream))


@THOROUGH
@given(story=stories())
def test_by_the_peers_rules_orders_are_shown_at_changes_of_the_book_only(story: Story) -> None:
    stream, actions = story
    seen, _ = look(stream, actions, config=FLUMINE, failing=PEER_ENDS)
    assert set(seen.calls) <= times_of(stream)


def moments(seen: Seen, ref: int = 0) -> list[tuple[int, str]]:
    """Times after `T0` and statuses of one order, each status at its first."""
    rows = list(seen.rows.values())[ref]
    told = [(row.now - T0, row.status.name if row.status else "") for row in rows]
    return [next(group) for _, group in itertools.groupby(told, lambda each: each[1])]


def test_a_placing_is_seen_after_latency_and_bet_delay_though_no_book_comes() -> None:
    stream = priced(betDelay=5).touch(60_000)
    seen, _ = look(stream, {100: [back("a", 3.0, 2)]})
    assert moments(seen)[:2] == [(1100, "PENDING"), (5220, "EXECUTABLE")]


def test_a_fill_is_seen_at_the_change_that_brings_it() -> None:
    stream = priced().touch(900).prices(1437, {1: {"trd": [[3.0, 500]]}}).touch(2500)
    seen, _ = look(stream, {100: [back("a", 3.0, 2)]})
    assert moments(seen) == [(220, "EXECUTABLE"), (1437, "EXECUTION_COMPLETE")]


def test_answers_to_later_requests_are_seen_after_their_latencies() -> None:
    stream = priced().touch(500).touch(1000).touch(9000)
    asked = {
        100: [back("a", 3.0, 4)],
        500: [update("a", "PERSIST")],
        1000: [replace("a", 4.0)],
    }
    seen, _ = look(stream, asked)
    assert moments(seen) == [(220, "EXECUTABLE"), (1280, "EXECUTION_COMPLETE")]
    assert 650 in [row.now - T0 for row in next(iter(seen.rows.values()))]
    assert moments(seen, 1) == [(1280, "EXECUTABLE")]


def test_a_cancel_is_seen_after_its_latency() -> None:
    seen, _ = look(priced().touch(500).touch(9000), {100: [back("a", 3.0, 4)], 500: [cancel("a")]})
    assert moments(seen) == [(220, "EXECUTABLE"), (670, "EXECUTION_COMPLETE")]


# -- recorded markets ------------------------------------------------------------------------------------------------


class Busy(hr.Strategy):
    """Bets at the touch and away from it, now and then, and changes its mind."""

    max_live_trade_count = 1000
    multi_order_trades = True

    def __init__(self, seen: Seen, every: int, **keywords: Any) -> None:
        self.seen, self.every = seen, every
        self.published: set[int] = set()
        super().__init__(max_order_exposure=None, max_selection_exposure=None, **keywords)
        self.books = 0

    def __deepcopy__(self, memo: dict[int, Any]) -> Busy:
        copied = Busy(self.seen, self.every, name=self.name)
        copied.published = self.published
        return copied

    def check_market_book(self, market: Any, market_book: Any) -> bool:
        self.books += 1
        return market_book.status == "OPEN" and self.books % self.every == 0

    def process_market_book(self, market: Any, market_book: Any) -> None:
        for order in list(market.blotter.live_orders):
            if order.status is hr.OrderStatus.EXECUTABLE and order.is_limit:
                turn = (self.books // self.every + order.number) % 4
                if turn == 0:
                    market.cancel_order(order, force=True)
                elif turn == 1:
                    market.replace_order(order, hr.price_ticks_away(order.order_type.price, 3), force=True)
        for runner in market_book.runners[:3]:
            for side, levels in (("BACK", runner.ex.available_to_back), ("LAY", runner.ex.available_to_lay)):
                if levels and runner.status == "ACTIVE":
                    away = hr.price_ticks_away(levels[0].price, 2 if side == "BACK" else -2)
                    for price in (levels[0].price, away):
                        trade = hr.Trade(market.market_id, runner.selection_id, runner.handicap, self)
                        market.place_order(trade.create_order(side, hr.LimitOrder(price, 2.0)), force=True)

    def process_orders(self, market: Any, orders: list[hr.Order]) -> None:
        self.seen.note(market, orders)


class Times(hr.Middleware):
    """Notes the times of all changes, whoever looks at them."""

    def __init__(self, published: set[int]) -> None:
        self.published = published

    def __deepcopy__(self, memo: dict[int, Any]) -> Times:
        return self

    def __call__(self, market: Any) -> None:
        self.published.add(market.market_book.publish_time_epoch)


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason=f"no recordings in {RECORDINGS}")
@pytest.mark.parametrize(
    ("name", "every"),
    [("1.197931750", 10), ("1.205822330.bz2", 500), ("29788457.bz2", 500)],
)
def test_so_it_is_on_recorded_markets(name: str, every: int) -> None:
    seen = Seen()
    strategy = Busy(seen, every)
    run = Replay(
        Unit(name, (str(RECORDINGS / name),)),
        Setup(
            [strategy], [hr.SimulatedClient()], CONFIG, coordinator=Listening, middleware=[Times(strategy.published)]
        ),
        lambda market: strategy.published.add(market.market_book.publish_time_epoch),
    )
    run.run()
    assert [each.message for each in run.failures] == []
    assert isinstance(run.coordinator, Listening)
    assert require_moments(seen, run.coordinator, strategy.published) >= 20
