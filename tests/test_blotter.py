"""The blotter: orders found by any of their names, and exposures that equal the sum over all orders."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import headrace as hr
from builders import FLUMINE, MARKET, PEER_ENDS, Script, Stream, at_sp, back, cancel, lay, place, priced, replay
from headrace.strategies.order import OrderStatus
from stories import RUNNERS, Story, stories

S = OrderStatus


def exposure_of(orders: list[hr.Order], flumine: bool) -> dict[str, float]:
    """The six numbers of section 3.5, order by order."""
    matched: dict[str, list[tuple[float, float]]] = {"BACK": [], "LAY": []}
    waiting: dict[str, list[tuple[float, float]]] = {"BACK": [], "LAY": []}
    sp = {"BACK": 0.0, "LAY": 0.0}
    for order in orders:
        if order.status in (S.VIOLATION, S.EXPIRED) or (flumine and order.status is S.PENDING):
            continue
        if order.is_limit:
            matched[order.side].append((order.average_price_matched, order.size_matched))
            if not order.complete:
                price = order.order_type.price
                if not flumine:
                    price = max(price, order.update_data.get("new_price", price))
                waiting[order.side].append((price, order.size_remaining))
        elif not flumine and (order.complete or order.size_matched):
            matched[order.side].append((order.average_price_matched, order.size_matched))
        else:
            sp[order.side] -= order.order_type.liability
    win, lose = hr.calculate_matched_exposure(matched["BACK"], matched["LAY"])
    worst_win, worst_lose = hr.calculate_unmatched_exposure(waiting["BACK"], waiting["LAY"])
    return {
        "matched_profit_if_win": win,
        "matched_profit_if_lose": lose,
        "worst_potential_unmatched_profit_if_win": worst_win,
        "worst_potential_unmatched_profit_if_lose": worst_lose,
        "worst_possible_profit_on_win": win + worst_win + sp["LAY"],
        "worst_possible_profit_on_lose": lose + worst_lose + sp["BACK"],
    }


@settings(
    max_examples=80,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(story=stories(), flumine=st.booleans())
def test_exposures_equal_the_sum_over_all_orders(story: Story, flumine: bool) -> None:
    def look(script: Script, market: Any) -> None:
        for selection_id in RUNNERS:
            orders = market.blotter.strategy_selection_orders(script.strategy, selection_id)
            if any(order.size_remaining < 0 for order in orders):
                assert flumine  # which voids once more what had lapsed: tests/test_flumine_exposures.py sums that up
                continue
            exposures = market.blotter.get_exposures(script.strategy, (MARKET, selection_id, 0))
            # Sums in another order may round to another penny.
            assert exposures == pytest.approx(exposure_of(orders, flumine), abs=0.0101)

    stream, actions = story
    watched = {at: [look, *requests, look] for at, requests in actions.items()}
    # An assertion that fails is a failure as well.
    how: dict[str, Any] = {"config": FLUMINE, "failing": PEER_ENDS} if flumine else {}
    played = replay(stream, watched, **how)
    look(played.script, played.market)


bets = st.lists(
    st.tuples(st.sampled_from(("BACK", "LAY")), st.sampled_from((1.5, 2.0, 5.0)), st.integers(1, 9), st.integers(1, 4)),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(bets=bets, winners=st.integers(1, 3))
def test_market_exposure_is_the_worst_result_of_any_winners(bets: Any, winners: int) -> None:
    runners = range(1, 5)
    stream = Stream(
        runners={each: {"status": "ACTIVE"} for each in runners}, numberOfActiveRunners=4, numberOfWinners=winners
    )
    requests = [
        place(str(number), side, hr.LimitOrder(price, float(size)), selection_id)
        for number, (side, price, size, selection_id) in enumerate(bets)
    ]
    found: list[float] = []

    def look(script: Script, market: Any) -> None:
        found.append(market.blotter.market_exposure(script.strategy, market.market_book))
        each = {i: market.blotter.get_exposures(script.strategy, (MARKET, i, 0)) for i in runners}
        found.append(
            min(
                sum(
                    each[i]["worst_possible_profit_on_win" if i in winning else "worst_possible_profit_on_lose"]
                    for i in runners
                )
                for winning in itertools.combinations(runners, winners)
            )
        )

    replay(stream.touch(100), {100: [*requests, look]})
    assert found[0] == pytest.approx(found[1])


@pytest.mark.parametrize(
    ("requests", "win", "lose"),
    [
        ([back("a", 2.0, 5.0)], 5.0, -5.0),
        ([back("a", 2.2, 5.0)], 0.0, -5.0),
        ([lay("a", 2.1, 5.0)], -5.5, 5.0),
        ([lay("a", 1.5, 5.0)], -2.5, 0.0),
        ([at_sp("a", "BACK", 5.0)], 0.0, -5.0),
        ([at_sp("a", "LAY", 20.0)], -20.0, 0.0),
        ([back("a", 2.0, 5.0), lay("b", 2.1, 5.0)], -0.5, 0.0),
    ],
    ids=["matched back", "waiting back", "matched lay", "waiting lay", "back at SP", "lay at SP", "both sides"],
)
def test_worst_results_of_a_runner(requests: Any, win: float, lose: float) -> None:
    found = []

    def look(script: Script, market: Any) -> None:
        found.append(market.blotter.get_exposures(script.strategy, (MARKET, 1, 0)))

    replay(priced().touch(400).close(), {100: requests, 400: [look]})
    assert found[0]["worst_possible_profit_on_win"] == pytest.approx(win)
    assert found[0]["worst_possible_profit_on_lose"] == pytest.approx(lose)


@pytest.mark.parametrize("config", [hr.Config(), FLUMINE], ids=["ours", "flumine"])
def test_line_bet_risks_its_stake_whatever_the_line(config: hr.Config) -> None:
    line = hr.LimitOrder(150.5, 5.0, price_ladder_definition="LINE_RANGE")
    found = []

    def look(script: Script, market: Any) -> None:
        found.append(market.blotter.selection_exposure(script.strategy, (MARKET, 1, 0)))

    stream = Stream(bettingType="LINE", priceLadderDefinition={"type": "LINE_RANGE"}).touch(100).touch(400)
    replay(stream, {100: [place("a", "LAY", line)], 400: [look]}, config=config)
    assert found == [5.0]


def test_exclusion_and_new_order_change_the_sum() -> None:
    found = {}

    def look(script: Script, market: Any) -> None:
        strategy, lookup = script.strategy, (MARKET, 1, 0)
        new = hr.Trade(MARKET, 1, 0, strategy).create_order("BACK", hr.LimitOrder(2.2, 3.0))
        views = {"all": {}, "less": {"exclusion": script.orders["a"]}, "more": {"new_order": new}}
        for name, keywords in views.items():
            exposures = market.blotter.get_exposures(strategy, lookup, **keywords)
            found[name] = exposures["worst_possible_profit_on_lose"]

    replay(priced().touch(400), {100: [back("a", 2.2, 5.0), back("b", 2.2, 7.0)], 400: [look]})
    assert found == {"all": -12.0, "less": -7.0, "more": -15.0}


# -- finding ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def played() -> Any:
    """Three orders: `a` matched, `b` waiting on the same runner, `c` waiting on the other."""
    requests = [back("a", 2.0, 5.0), back("b", 2.2, 5.0), lay("c", 1.5, 5.0, selection_id=2)]
    return replay(priced().touch(400).touch(500), {100: requests})


def names(played: Any, orders: Any) -> list[str]:
    return [played.script.name_of(order) for order in orders]


def test_orders_are_found_by_strategy(played: Any) -> None:
    assert names(played, played.market.blotter.strategy_orders(played.strategy)) == ["a", "b", "c"]


def test_orders_are_found_by_runner(played: Any) -> None:
    blotter = played.market.blotter
    assert names(played, blotter.strategy_selection_orders(played.strategy, 1)) == ["a", "b"]
    assert names(played, blotter.strategy_selection_orders(played.strategy, 2)) == ["c"]
    assert blotter.strategy_selection_orders(played.strategy, 77) == []


def test_orders_are_found_by_client(played: Any) -> None:
    blotter, client = played.market.blotter, played.client
    assert names(played, blotter.client_orders(client)) == ["a", "b", "c"]
    assert names(played, blotter.client_strategy_orders(client, played.strategy)) == ["a", "b", "c"]


def test_orders_are_found_by_status_and_match(played: Any) -> None:
    blotter, strategy = played.market.blotter, played.strategy
    assert names(played, blotter.strategy_orders(strategy, order_status=[S.EXECUTABLE])) == ["b", "c"]
    assert names(played, blotter.strategy_orders(strategy, matched_only=True)) == ["a"]
    assert names(played, blotter.strategy_orders(strategy, order_status=[S.EXECUTABLE], matched_only=True)) == []


def test_order_is_found_by_its_ids(played: Any) -> None:
    blotter, order = played.market.blotter, played["b"]
    assert blotter[order.id] is order
    assert blotter.get_order_bet_id(order.bet_id) is order
    assert blotter.get_order_bet_id("1") is None
    assert order.id in blotter
    assert "1" not in blotter


def test_trades_are_found(played: Any) -> None:
    blotter = played.market.blotter
    trades = [played[ref].trade for ref in "abc"]
    assert list(blotter.trades) == trades
    assert blotter.get_trade(trades[1].id) is trades[1]
    assert blotter.strategy_trades(played.strategy, [hr.TradeStatus.COMPLETE]) == trades[:1]


def test_blotter_counts_and_walks_in_order_of_request(played: Any) -> None:
    assert names(played, played.market.blotter) == ["a", "b", "c"]
    assert len(played.market.blotter) == 3
    assert names(played, played.market.blotter.live_orders) == ["b", "c"]
    assert played.market.blotter.has_live_orders


def test_order_names_itself_to_the_exchange(played: Any) -> None:
    reference = played["a"].customer_order_ref
    assert len(reference) == 32
    assert reference == f"{played.strategy.name_hash}-{played['a'].id}"


# -- trades and contexts ---------------------------------------------------------------------------------------------


def test_trade_completes_with_its_last_order() -> None:
    statuses = []

    def look(script: Script, market: Any) -> None:
        context = script.strategy.get_runner_context(MARKET, 1)
        statuses.append((script.orders["a"].trade.status.name, context.live_trade_count, context.trade_count))

    stream = priced().touch(400).touch(700)
    replay(stream, {100: [back("a", 2.2, 5.0), look], 400: [cancel("a"), look], 700: [look]})
    assert statuses == [("LIVE", 1, 1), ("LIVE", 1, 1), ("COMPLETE", 0, 1)]


def test_trade_with_orders_to_come_does_not_complete() -> None:
    played = replay(priced().touch(400).close(), {100: [back("a", 2.0, 5.0, trade={"pending_orders": True})]})
    assert played["a"].trade.status is hr.TradeStatus.LIVE


def test_runner_context_knows_how_long_ago() -> None:
    elapsed = []

    def look(script: Script, market: Any) -> None:
        context = script.strategy.get_runner_context(MARKET, 1)
        elapsed.append((context.placed_elapsed_seconds, context.reset_elapsed_seconds, context.invested))

    replay(priced().touch(400).touch(1400), {100: [look, back("a", 2.0, 5.0)], 1400: [look]})
    assert elapsed == [(None, None, False), (1.3, 1.18, True)]


def test_hedge_levels_the_result() -> None:
    found = []

    def look(script: Script, market: Any) -> None:
        found.append(hr.hedge(script.strategy, market, 1))

    replay(priced().touch(400), {100: [look, back("a", 2.0, 10.5)], 400: [look]})
    nothing, order = found
    assert nothing is None
    # 10.00 was matched at 2.0: a win brings 10, a loss costs 10. 20 / 2.1 laid levels the two.
    assert order.side == "LAY"
    assert (order.order_type.price, order.order_type.size) == (2.1, 9.52)
