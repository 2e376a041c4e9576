"""What holds of every order, whatever the market does and whatever is asked of it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

import headrace as hr
from builders import FLUMINE, MARKET, PEER_ENDS, T0, Request, Script, replay
from headrace.strategies.order import OrderStatus
from headrace.strategies.stands import NEXT
from stories import RUNNERS, Story, stories

LIMITS = {"max_order_exposure": 20.0, "max_selection_exposure": 25.0, "max_market_exposure": 35.0}
#: A lay's size at the starting price is rounded to a penny: its liability is off by as much times the odds.
PENNIES = 0.12

#: Explaining a failure takes longer than finding it.
TOLD = settings(
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

S = OrderStatus
#: Which status may follow which.
FOLLOWING: dict[OrderStatus | None, set[OrderStatus | None]] = {}
for _state, _next in NEXT.items():
    FOLLOWING.setdefault(_state.status, set()).update(each.status for each in _next)

# -- what must hold --------------------------------------------------------------------------------------------------


class Watch:
    """Looks at all orders at each book."""

    def __init__(self, limits: dict[str, float]) -> None:
        self.limits = limits
        self.fills: dict[str, int] = {}
        self.removed = False

    def __call__(self, script: Script, market: Any) -> None:
        # What the book shows of removals was folded in before the orders were matched.
        self.removed |= any(runner.status == "REMOVED" for runner in market.market_book.runners)
        for order in market.blotter:
            self.sizes_add_up(order)
            self.nothing_is_negative(order)
            if not self.removed:
                self.nothing_matches_outside_its_limit(order, market)
            self.fills[order.id] = len(order.simulated.fills)
        self.live_orders_are_the_incomplete(market)
        if not self.removed:
            self.limits_hold(script, market)

    @staticmethod
    def sizes_add_up(order: hr.Order) -> None:
        if order.is_limit:
            parts = (order.size_matched, order.size_remaining, order.size_cancelled, order.size_lapsed)
            assert sum(parts) + order.size_voided == pytest.approx(order.simulated.size, abs=0.011), order

    @staticmethod
    def nothing_is_negative(order: hr.Order) -> None:
        assert order.size_remaining >= 0, order
        assert order.size_matched >= 0, order
        assert order.size_lapsed >= 0, order
        assert order.size_voided >= 0, order
        assert all(size > 0 and price >= 1.01 for _, price, size in order.simulated.fills), order
        # A lay that goes to a lower starting price has a larger size there: the rest of it is a negative cancel.
        if not (order.is_limit and order.side == "LAY" and order.persistence_type == "MARKET_ON_CLOSE"):
            assert order.size_cancelled >= 0, order

    def nothing_matches_outside_its_limit(self, order: hr.Order, market: Any) -> None:
        order_type = order.order_type
        limit = getattr(order_type, "price", None)
        fills = order.simulated.fills[self.fills.get(order.id, 0) :]
        if limit is None or not fills:
            return
        back = order.side == "BACK"
        if getattr(order_type, "time_in_force", None) == "FILL_OR_KILL":
            average = round(order.average_price_matched, 2)
            assert average >= limit if back else average <= limit, order
            return
        sp = market.market_book.runner(order.selection_id).sp.actual_sp
        for _, price, _ in fills:
            within = price >= limit if back else price <= limit
            assert within or (order.persistence_type == "MARKET_ON_CLOSE" and price == sp), (order, price)

    @staticmethod
    def live_orders_are_the_incomplete(market: Any) -> None:
        live = set(market.blotter.live_orders)
        assert {order for order in market.blotter if not order.complete} <= live
        assert all(order.size_remaining == 0 for order in market.blotter if order.complete and order.is_limit)

    def limits_hold(self, script: Script, market: Any) -> None:
        blotter, strategy = market.blotter, script.strategy
        for selection_id in RUNNERS:
            exposure = blotter.selection_exposure(strategy, (market.market_id, selection_id, 0))
            assert exposure <= self.limits["max_selection_exposure"] + PENNIES
        worst = -blotter.market_exposure(strategy, market.market_book)
        assert worst <= self.limits["max_market_exposure"] + PENNIES


def profit_of(order: hr.Order, market: Any) -> float:
    """What the order's fills win or lose, from first principles."""
    status = market.market_book.runner(order.selection_id).status
    winners = sum(runner.status == "WINNER" for runner in market.market_book.runners)
    expected = market.market_book.number_of_winners
    share = 1 / winners if expected == 1 and winners > 1 else 1
    total = 0.0
    for _, price, size in order.simulated.fills:
        if status == "WINNER":
            total += size * share * (price - 1) - size * (1 - share)
        elif status == "LOSER":
            total -= size
    return total if order.side == "BACK" else -total


def watched(actions: dict[int, list[Request]], watch: Request) -> dict[int, list[Request]]:
    return {at: [watch, *found, watch] for at, found in actions.items()}


@settings(TOLD, max_examples=120)
@given(story=stories())
def test_orders_keep_their_invariants(story: Story) -> None:
    stream, actions = story
    played = replay(stream, watched(actions, Watch(LIMITS)), force=False, config=hr.Config(raise_errors=True), **LIMITS)
    market = played.market
    for order in market.blotter:
        moves = [None, *order.status_log]
        assert all(after in FOLLOWING[before] for before, after in itertools.pairwise(moves)), played.log
        Watch.sizes_add_up(order)
        Watch.nothing_is_negative(order)
    if market.closed:
        assert not market.blotter.has_live_orders
        for order in market.blotter:
            assert order.complete
            assert order.profit == pytest.approx(profit_of(order, market), abs=0.00501)
        assert played.cleared["profit"] == pytest.approx(sum(order.profit for order in market.blotter), abs=0.0051)


@settings(TOLD, max_examples=60)
@given(story=stories())
def test_any_story_can_be_told_under_flumines_rules(story: Story) -> None:
    stream, actions = story
    played = replay(stream, actions, config=FLUMINE, failing=PEER_ENDS)
    assert played.market.changes == len(stream.lines)


@settings(TOLD, max_examples=60)
@given(story=stories(), compatible=st.booleans())
def test_a_story_told_twice_ends_the_same(story: Story, compatible: bool) -> None:
    stream, actions = story
    how: dict[str, Any] = {"config": FLUMINE, "failing": PEER_ENDS} if compatible else {}
    first, second = replay(stream, actions, **how), replay(stream, actions, **how)
    assert list(first.snapshots.values()) == list(second.snapshots.values())
    assert [order.profit for order in first.market.blotter] == [order.profit for order in second.market.blotter]


@settings(TOLD, max_examples=60)
@given(story=stories())
def test_a_second_strategy_changes_nothing_for_the_first(story: Story) -> None:
    stream, actions = story
    assume(any(actions.values()))

    class Other(hr.Strategy):
        def check_market_book(self, market: Any, book: Any) -> bool:
            return book.status == "OPEN" and book.publish_time_epoch == T0 + 10

        def process_market_book(self, market: Any, book: Any) -> None:
            for side, price in (("BACK", 2.0), ("LAY", 1.9)):
                order = hr.Trade(MARKET, 1, 0, self).create_order(side, hr.LimitOrder(price, 5.0))
                market.place_order(order, force=True)

    alone, together = replay(stream, actions), replay(stream, actions, strategies=[Other()])
    assert alone.snapshots == together.snapshots
