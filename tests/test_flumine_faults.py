"""Under compatibility: what ends the peer's run costs one order here; and small habits of the peer that orders show."""

from __future__ import annotations

from typing import Any

import pytest

import headrace as hr
from builders import FLUMINE, MARKET, Script, Stream, back, cancel, priced, replace, replay


def together(*requests: Any) -> Any:
    """Place orders in one transaction, so that they travel in one package."""

    def act(script: Script, market: Any) -> None:
        with market.transaction() as transaction:
            for ref, side, order_type, selection_id in requests:
                trade = hr.Trade(market.market_id, selection_id, 0, script.strategy)
                script.orders[ref] = order = trade.create_order(side, order_type)
                transaction.place_order(order, force=True)

    return act


@pytest.mark.parametrize(
    ("order_type", "selection_id", "error"),
    [
        (hr.LimitOrder(3.0, bet_target_type="PAYOUT", bet_target_size=30.0), 1, "NotImplementedError"),
        (hr.LimitOrder(3.0, 5.0), 77, "AttributeError"),
    ],
    ids=["bet target", "unknown runner"],
)
def test_order_that_would_end_the_peers_run_fails_alone(order_type: Any, selection_id: int, error: str) -> None:
    bad = ("bad", "BACK", order_type, selection_id)
    first, last = ("a", "BACK", hr.LimitOrder(3.0, 5.0), 1), ("b", "LAY", hr.LimitOrder(1.5, 4.0), 2)
    played = replay(priced().touch(400).touch(900), {100: [together(first, bad, last)]}, config=FLUMINE, failing=True)
    assert [(each.error_type, each.count) for each in played.failures] == [(error, 1)]
    assert {ref: order.status.name for ref, order in played.orders.items()} == {
        "a": "EXECUTABLE",
        "bad": "PENDING",
        "b": "EXECUTABLE",
    }
    # Bet ids are those of the orders that were answered.
    assert (played["a"].bet_id, played["b"].bet_id) == ("100000000001", "100000000002")


def test_replace_of_an_order_that_has_nothing_left_fails_alone() -> None:
    """A completed order that a refused cancel made executable again can be replaced, by nothing."""

    def move(script: Script, market: Any) -> None:
        with market.transaction() as transaction:
            for ref in ("done", "a"):
                transaction.replace_order(script.orders[ref], 4.0, force=True)

    actions = {
        100: [back("done", 2.0, 5.0), back("a", 3.0, 5.0)],
        500: [cancel("done", force=False)],
        600: [move],
    }
    stream = priced().touch(400).suspend(500, version=1).define(600, status="OPEN").touch(1000).touch(1400).touch(1800)
    played = replay(stream, actions, config=FLUMINE, failing=True)
    assert [(each.error_type, each.count) for each in played.failures] == [("NotImplementedError", 1)]
    assert played.orders["a'"].status.name == "EXECUTABLE"


def test_market_closed_at_its_first_line_is_shown_to_nobody() -> None:
    calls: list[str] = []

    class Watcher(hr.Strategy):
        def process_new_market(self, market: Any, market_book: Any) -> None:
            calls.append("new")

        def process_closed_market(self, market: Any, market_book: Any) -> None:
            calls.append("closed")

    stream = Stream(status="CLOSED")
    replay(stream, config=FLUMINE, strategies=[Watcher(name="watcher")])
    assert calls == []
    replay(stream, strategies=[Watcher(name="watcher")])
    assert calls == ["new", "closed"]


@pytest.mark.parametrize(
    ("config", "order"),
    [
        (FLUMINE, ["one new", "one book", "two new", "two book", "one book", "two book"]),
        (hr.Config(), ["one new", "two new", "one book", "two book", "one book", "two book"]),
    ],
    ids=["compatibility", "default"],
)
def test_order_in_which_strategies_meet_a_new_market(config: hr.Config, order: list[str]) -> None:
    calls: list[str] = []

    class Caller(hr.Strategy):
        def process_new_market(self, market: Any, market_book: Any) -> None:
            calls.append(f"{self.name} new")

        def check_market_book(self, market: Any, market_book: Any) -> bool:
            return True

        def process_market_book(self, market: Any, market_book: Any) -> None:
            calls.append(f"{self.name} book")

    replay(Stream().touch(50), config=config, strategies=[Caller(name="one"), Caller(name="two")])
    assert calls == order


@pytest.mark.parametrize(
    ("isolation", "after"),
    [(True, ["EXECUTION_COMPLETE"]), (False, [])],
    ids=["isolated: all orders are gone through", "shared volume: only live ones are"],
)
def test_order_brought_back_from_its_end_at_the_reconciliation(isolation: bool, after: list[str]) -> None:
    """Matched whole, made executable by a refused cancel: no completion looks at it but that of the starting price."""
    stream = (
        priced()
        .touch(400)
        .suspend(500, version=1)
        .define(800, status="OPEN", inPlay=True, bspReconciled=True, runners=None)
    )
    stream.define(900, {1: {"bsp": 2.4}})
    actions = {
        100: [back("a", 2.0, 5.0, persistence_type="MARKET_ON_CLOSE")],
        500: [cancel("a", force=False)],
    }
    config = hr.Config(compatibility="flumine", simulated_strategy_isolation=isolation)
    played = replay(stream, actions, config=config)
    ended = ["PENDING", "EXECUTABLE", "EXECUTION_COMPLETE", "VIOLATION", "EXECUTABLE"]
    assert played.log("a") == ended + after


def test_order_placed_twice_waits_and_misses_a_version_then_lapses_once_it_rests_again() -> None:
    def again(script: Script, market: Any) -> str:
        with pytest.raises(hr.OrderError, match="was placed"):
            market.place_order(script.orders["a"], force=True)
        return script.orders["a"].status.name

    stream = priced().touch(400).suspend(500, version=5).touch(600).touch(700)
    actions = {
        100: [back("a", 3.0, 5.0)],
        400: [again],
        600: [cancel("a", force=False)],  # refused, the market is suspended: executable again
    }
    played = replay(stream, actions, config=FLUMINE)
    assert played.answers == [True, "PENDING", False]
    # The version that came while it was PENDING is new to it.
    assert (played["a"].size_lapsed, played["a"].status.name) == (5.0, "EXECUTION_COMPLETE")


def test_bet_target_below_the_least_stake_is_refused() -> None:
    def ask(size: float) -> Any:
        order_type = hr.LimitOrder(2.0, bet_target_type="PAYOUT", bet_target_size=size)
        return lambda script, market: market.place_order(
            hr.Trade(MARKET, 1, 0, script.strategy).create_order("BACK", order_type)
        )

    played = replay(priced(), {100: [ask(0.5)]}, config=FLUMINE, force=False)
    assert played.answers == [False]
    assert [row.control for row in played.violations] == ["ORDER_VALIDATION"]


def test_order_placed_again_while_it_waits_to_be_replaced_fails_alone() -> None:
    def again(script: Script, market: Any) -> str:
        with pytest.raises(hr.OrderError, match="was placed"):
            market.place_order(script.orders["a"], force=True)
        return script.orders["a"].status.name

    # The replace is asked for at 400; at 500 the order is placed again, so that its package takes it for the new one.
    stream = priced().touch(400).touch(500).touch(900).touch(1500).touch(2500)
    actions = {100: [back("a", 3.0, 5.0), back("b", 3.0, 5.0)], 400: [replace("a", 4.0)], 500: [again]}
    played = replay(stream, actions, config=FLUMINE, failing=True)
    orders = list(played.market.blotter)
    assert len({order.id for order in orders}) == len(orders)
    assert played["b"].status.name == "EXECUTABLE"
    assert {each.error_type for each in played.failures} <= {"OrderError"}
