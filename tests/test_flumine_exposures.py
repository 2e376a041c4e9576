"""Exposures under compatibility: the plain sum over all orders of a runner, whatever became of them, in any order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace as hr
from builders import FLUMINE, MARKET, Played, Script, back, cancel, priced, replace, replay, update
from headrace.strategies.order import OrderStatus

LOOKUP = (MARKET, 1, 0)
LINE = {
    "price_ladder_definition": "LINE_RANGE",
    "line_range_info": {"minUnitValue": 0, "maxUnitValue": 9, "interval": 1},
}


def plain_sum(
    orders: list[hr.Order], excluded: hr.Order | None = None, new: hr.Order | None = None
) -> dict[str, float]:
    """Section 3.5 of the rules, written out: order by order, backs and lays apart, each of four sums rounded alone."""
    terms: dict[str, list[float]] = {name: [] for name in ("mwb", "mwl", "mlb", "mll", "uwl", "ulb")}
    sp_win = sp_lose = 0.0
    for order in [*orders, *([new] if new is not None else [])]:
        if order is excluded or order.status in (OrderStatus.PENDING, OrderStatus.VIOLATION, OrderStatus.EXPIRED):
            continue
        order_type = order.order_type
        if not isinstance(order_type, hr.LimitOrder):
            if order.side == "BACK":
                sp_lose -= order_type.liability
            else:
                sp_win -= order_type.liability
            continue
        line = order_type.price_ladder_definition == "LINE_RANGE"
        price, size = (2.0 if line else order.average_price_matched), order.size_matched
        rest = 0.0 if order.complete else order.size_remaining
        rest_price = 2.0 if line else order_type.price
        if order.side == "BACK":
            terms["mwb"].append((price - 1) * size)
            terms["mlb"].append(size)
            terms["ulb"].append(rest)
        else:
            terms["mwl"].append((price - 1) * size)
            terms["mll"].append(size)
            terms["uwl"].append((rest_price - 1) * rest)
    total = {name: sum(values) for name, values in terms.items()}
    win, lose = round(total["mwb"] - total["mwl"], 2), round(total["mll"] - total["mlb"], 2)
    worst_win, worst_lose = round(-total["uwl"], 2), round(-total["ulb"], 2)
    return {
        "matched_profit_if_win": win,
        "matched_profit_if_lose": lose,
        "worst_potential_unmatched_profit_if_win": worst_win,
        "worst_potential_unmatched_profit_if_lose": worst_lose,
        "worst_possible_profit_on_win": win + worst_win + sp_win,
        "worst_possible_profit_on_lose": lose + worst_lose + sp_lose,
    }


order_types = st.one_of(
    st.builds(hr.LimitOrder, st.sampled_from((1.5, 2.02, 5.1)), st.sampled_from((2.0, 3.33, 8.15))),
    st.builds(lambda price: hr.LimitOrder(price, 4.0, **LINE), st.sampled_from((2.0, 7.0))),
    st.builds(hr.MarketOnCloseOrder, st.sampled_from((10.0, 12.5))),
    st.builds(hr.LimitOnCloseOrder, st.just(11.0), st.just(3.0)),
)
#: What may befall an order, in any order: names of the order's own methods, a fill, sizes changed from outside.
BEFALLS = (
    "placing",
    "executable",
    "execution_complete",
    "violation",
    "cancelling",
    "updating",
    "replacing",
    "fill",
    "cancel",
    "void",
    "enter",
    "enter complete",
)
steps = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(BEFALLS), st.integers(1, 40)), max_size=40)


def befall(market: Any, order: hr.Order, what: str, number: int) -> None:
    blotter = market.blotter
    if what.startswith("enter"):
        if order.id not in blotter:
            if what == "enter complete":
                order.execution_complete()
            blotter.add(order)
    elif what == "fill":
        if not order.complete:
            order.size_matched = round(order.size_matched + number / 100, 2)
            order.average_price_matched = 1.01 + number / 7
    elif what == "cancel":
        if not order.complete:
            order.size_remaining = round(number / 10, 2)
    elif what == "void":
        order.size_matched = order.average_price_matched = 0.0
        if order.complete and order.id in blotter:
            blotter.sizes_changed(order)
    elif what == "violation":
        order.violation("refused")
    else:
        getattr(order, what)()


@settings(max_examples=100, deadline=None)
@given(bets=st.lists(st.tuples(st.sampled_from(("BACK", "LAY")), order_types), min_size=6, max_size=6), steps=steps)
def test_exposures_equal_the_plain_sum_after_anything_in_any_order(bets: Any, steps: Any) -> None:
    def look(script: Script, market: Any) -> None:
        strategy, blotter = script.strategy, market.blotter
        trade = hr.Trade(MARKET, 1, 0, strategy)
        orders = [trade.create_order(side, order_type) for side, order_type in bets]
        for which, what, number in steps:
            befall(market, orders[which], what, number)
            entered = list(blotter.strategy_orders(strategy))
            assert blotter.get_exposures(strategy, LOOKUP) == plain_sum(entered)
            one, other = orders[which], orders[number % 6]
            found = blotter.get_exposures(strategy, LOOKUP, exclusion=one, new_order=other)
            assert found == plain_sum(entered, one, other)

    replay(priced(), {100: [look]}, config=FLUMINE)


def refused(**limits: Any) -> Any:
    return {"force": False, "config": FLUMINE, "max_live_trade_count": 100, **limits}


def test_order_refused_after_it_was_matched_leaves_exposure_and_returns_when_it_is_made_executable() -> None:
    """Placing it again is refused and leaves it in VIOLATION; a refused cancel makes any order executable."""
    seen: list[float] = []

    def look(script: Script, market: Any) -> None:
        seen.append(market.blotter.selection_exposure(script.strategy, LOOKUP))

    def again(script: Script, market: Any) -> object:
        return market.place_order(script.orders["a"])

    stream = priced().touch(400).touch(500).suspend(600, version=1).touch(700)
    # One trade may be live: while this one is, its own order cannot be placed anew.
    actions = {100: [back("a", 2.2, 6.0)], 400: [look], 500: [look, again, look], 600: [cancel("a"), look]}
    played = replay(stream, actions, **refused(max_selection_exposure=8.0))
    assert played.answers == [True, None, None, False, None, False, None]
    assert seen == [6.0, 6.0, 0.0, 6.0]
    assert played.log("a") == ["PENDING", "EXECUTABLE", "VIOLATION", "VIOLATION", "EXECUTABLE"]


def test_replace_is_measured_without_the_order_itself() -> None:
    """Left out and not added again: nothing counts, and a replace passes that the placing would not."""
    actions = {100: [back("a", 3.0, 6.0)], 400: [back("a", 3.0, 6.0, force=True)], 800: [replace("a", 4.0)]}
    stream = priced().touch(400).touch(700).touch(800)
    played = replay(stream, actions, **refused(max_market_exposure=1.0))
    assert played.answers == [False, True, True]


def test_half_a_penny_is_rounded_as_backs_and_lays_summed_apart() -> None:
    """One running sum in the order of the bets comes to -24.63; backs less lays come to -24.64, as in the peer."""

    def look(script: Script, market: Any) -> None:
        trade = hr.Trade(MARKET, 1, 0, script.strategy)
        for side, price, size in (("LAY", 2.84, 8.06), ("BACK", 3.73, 2.98), ("LAY", 3.0, 8.97)):
            order = trade.create_order(side, hr.LimitOrder(price, size))
            order.placing()
            market.blotter.add(order)
            order.average_price_matched, order.size_matched, order.size_remaining = price, size, 0.0
            order.execution_complete()
        script.answers.append(market.blotter.get_exposures(script.strategy, LOOKUP)["matched_profit_if_win"])

    assert replay(priced(), {100: [look]}, config=FLUMINE).answers[0] == -24.64


def test_persistence_is_kept_where_a_refused_request_came_before_the_answer() -> None:
    """The refused cancel forgets what the update asked for; the update succeeds all the same."""
    stream = priced().touch(400).touch(450).touch(700).touch(800)
    actions = {
        100: [back("a", 3.0, 0.5, force=True)],
        400: [update("a", "PERSIST", force=True)],
        450: [cancel("a")],  # below the least stake: refused, and the order executable again
    }
    played = replay(stream, actions, **refused())
    assert played.answers == [True, True, False]
    assert played["a"].order_type.persistence_type == "PERSIST"
    assert [answer.status for answer in played["a"].responses.update_responses] == ["SUCCESS"]
    assert played.log("a") == ["PENDING", "EXECUTABLE", "UPDATING", "VIOLATION", "EXECUTABLE", "EXECUTABLE"]


@pytest.mark.parametrize(("given", "shared"), [({}, False), ({"note": 1}, True)])
def test_replacement_shares_a_context_with_entries_and_gets_one_of_its_own_where_it_is_empty(
    given: dict[str, int], shared: bool
) -> None:
    played = _replaced(FLUMINE, given)
    first, second = played.orders["a"], played.orders["a'"]
    assert (first.context is given, second.context is first.context) == (shared, shared)


def test_replacement_keeps_the_very_context_by_default() -> None:
    given: dict[str, int] = {}
    played = _replaced(hr.Config(), given)
    assert played.orders["a"].context is given
    assert played.orders["a'"].context is given


def _replaced(config: hr.Config, context: dict[str, int]) -> Played:
    def act(script: Script, market: Any) -> object:
        trade = hr.Trade(MARKET, 1, 0, script.strategy)
        script.orders["a"] = trade.create_order("BACK", hr.LimitOrder(3.0, 5.0), context=context)
        return market.place_order(script.orders["a"])

    stream = priced().touch(400).touch(800).touch(1200)
    return replay(stream, {100: [act], 400: [replace("a", 4.0)]}, config=config)


def test_cancel_answered_after_its_order_completed_counts_what_it_matched_once() -> None:
    """The answer completes the order a second time: a hedge is of 4.00, not of 8.00."""
    stream = (
        priced()
        .touch(400)
        .prices(500, {1: {"trd": [[2.2, 40]]}})  # matches all of it, before the cancel arrives
        .touch(650)
        .touch(700)
    )

    def look(script: Script, market: Any) -> None:
        order = hr.hedge(script.strategy, market, 1)
        script.answers.append(None if order is None else (order.side, order.order_type.price, order.order_type.size))

    actions = {100: [back("a", 2.2, 4.0)], 400: [cancel("a")], 500: [look], 700: [look]}
    played = replay(stream, actions, config=FLUMINE)
    assert played.log("a") == ["PENDING", "EXECUTABLE", "CANCELLING", "EXECUTION_COMPLETE", "EXECUTION_COMPLETE"]
    hedge = ("LAY", 2.1, 4.19)  # 8.80 less at 2.1
    assert played.answers == [True, True, hedge, None, hedge, None]
