"""Exposures are what settlement can come to: the worst result of a market loses as much as the controls counted.

Bets are placed, matched in one way or another, and settled by every result that their market can have.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import headrace as hr
from builders import MARKET, Played, Request, Script, Stream, at_sp, back, lay, note, place, replace, replay

#: What is counted and what is settled are each rounded to the penny.
PENNY = 0.0101

THOROUGH = settings(
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

#: A market: fields of its definition.
Kind = dict[str, Any]
WIN: Kind = {"marketType": "WIN", "numberOfWinners": 1}
PLACES: Kind = {"marketType": "PLACE", "numberOfWinners": 2}
LINES: Kind = {
    "marketType": "INNINGS_RUNS",
    "bettingType": "LINE",
    "priceLadderDefinition": {"type": "LINE_RANGE"},
    "lineMinUnit": 0.5,
    "lineMaxUnit": 999.5,
    "lineInterval": 1.0,
    "numberOfWinners": 0,
    "bspMarket": False,
}
UNDERS = (0.5, 20.5, 21.5, 150.5, 300.5)
ODDS = (1.01, 1.5, 2.02, 3.4, 5.0, 11.0, 70.0)
SIZES = (0.87, 1.0, 2.0, 3.33, 10.0, 16.67)
#: An account of which no smallest stake is asked.
SMALL = hr.SimulatedClient(min_bet_validation=False)


def each_way(divisor: float) -> Kind:
    return {"marketType": "EACH_WAY", "eachWayDivisor": divisor, "numberOfWinners": 1, "bspMarket": True}


kinds = st.sampled_from([WIN, PLACES, each_way(1), each_way(4), each_way(5.0), LINES])


def is_line(kind: Kind) -> bool:
    return kind.get("bettingType") == "LINE"


def market(kind: Kind) -> Stream:
    return Stream(runners={each: {"status": "ACTIVE", "adjustmentFactor": 25.0} for each in (1, 2, 3)}, **kind)


def results(kind: Kind) -> Iterator[tuple[dict[int, str], float | None]]:
    """Every result of a market: the runners' statuses, and the line's result."""
    if is_line(kind):
        for result in (0, 0.5, 10, 20.5, 21, 21.5, 100, 150.5, 200, 300.5, 999):
            yield {1: "WINNER", 2: "LOSER", 3: "LOSER"}, result
        return
    names = ("WINNER", "LOSER", "PLACED") if kind["marketType"] == "EACH_WAY" else ("WINNER", "LOSER")
    for mine in (*names, "REMOVED"):
        for second, third in (("LOSER", "LOSER"), ("WINNER", "LOSER"), ("REMOVED", "LOSER")):
            yield {1: mine, 2: second, 3: third}, None


def settle(stream: Stream, at: int, statuses: dict[int, str]) -> Stream:
    known = {each: {"status": status} for each, status in statuses.items()}
    return copy.deepcopy(stream).define(at, known, status="CLOSED")


def profits(stream: Stream, actions: dict[int, list[Request]], kind: Kind, **how: Any) -> list[tuple[Played, float]]:
    """What is left of it by every result."""
    found = []
    for statuses, line in results(kind):
        last = max(actions)
        requests = {**actions, last: [*actions[last], note("line_range_result", line)]}
        played = replay(settle(stream, 90_000, statuses), requests, **{"client": SMALL, **how})
        found.append((played, round(sum(order.profit for order in played.market.blotter), 2)))
    return found


def exposure_now(found: list[float]) -> Request:
    return lambda script, market: found.append(market.blotter.selection_exposure(script.strategy, (MARKET, 1, 0)))


# -- one order -------------------------------------------------------------------------------------------------------


@st.composite
def order_types(draw: st.DrawFn, kind: Kind) -> Any:
    price, size = draw(st.sampled_from(UNDERS if is_line(kind) else ODDS)), draw(st.sampled_from(SIZES))
    which = 0 if is_line(kind) else draw(st.integers(0, 5))
    if which == 1:
        return hr.MarketOnCloseOrder(size)
    if which == 2:
        return hr.LimitOnCloseOrder(size, price)
    if which == 3:
        target = draw(st.sampled_from(("PAYOUT", "BACKERS_PROFIT")))
        return hr.LimitOrder(price, None, bet_target_type=target, bet_target_size=size)
    if which == 4:
        return hr.LimitOrder(price, size, time_in_force="FILL_OR_KILL", min_fill_size=0.01)
    kept = ("LAPSE", "PERSIST") if is_line(kind) else ("LAPSE", "PERSIST", "MARKET_ON_CLOSE")
    return hr.LimitOrder(price, size, persistence_type=draw(st.sampled_from(kept)))


def opened(kind: Kind, levels: tuple[float, float], sp: float | None, removed: float | None) -> Stream:
    """Prices on the runner, then perhaps a non-runner, trades, and starting prices."""
    stream = market(kind)
    first, second = sorted(levels)
    offers = {"atb": [[second, 4.0], [first, 8.0]], "atl": [[first, 4.0], [second, 8.0]]}
    stream.prices(100, {1: offers}).touch(400)
    if removed is not None:
        stream.remove(500, 3, removed, version=1)
    traded = [[price, 40.0] for price in (UNDERS if is_line(kind) else ODDS)]
    stream.prices(600, {1: {"trd": traded}})
    if sp is not None:
        stream.define(700, {each: {"bsp": sp} for each in (1, 2)}, bspReconciled=True)
    return stream


@settings(THOROUGH, max_examples=50)
@given(data=st.data(), kind=kinds, side=st.sampled_from(("BACK", "LAY")))
def test_order_loses_at_most_what_was_counted_and_as_much_by_some_result(data: Any, kind: Kind, side: str) -> None:
    order_type = data.draw(order_types(kind))
    prices = st.sampled_from(UNDERS if is_line(kind) else ODDS)
    stream = opened(
        kind,
        (data.draw(prices), data.draw(prices)),
        data.draw(st.sampled_from((None, 1.0, 1.01, 1.5, 2.0, 2.347, 90.0))),
        data.draw(st.none() | st.sampled_from((None, 1.0, 30.0))),
    )
    counted: list[float] = []
    actions = {100: [place("a", side, order_type), exposure_now(counted)]}
    # A starting price of 1 is told of as a failure.
    for _, profit in profits(stream, actions, kind, failing=True):
        assert -profit <= counted[0] + PENNY
    # Matched whole at its own price, or at even starting prices, it loses all of that by some result.
    if getattr(order_type, "time_in_force", None) or isinstance(order_type, hr.LimitOnCloseOrder):
        return
    whole = {"client": hr.SimulatedClient(simulated_full_match=True, min_bet_validation=False)}
    quiet = market(kind).touch(100).touch(400).define(700, {1: {"bsp": 2.0}, 2: {"bsp": 2.0}}, bspReconciled=True)
    worst = max(-profit for _, profit in profits(quiet, actions, kind, **whole))
    assert worst == pytest.approx(counted[0], abs=PENNY)


def test_half_penny_may_be_rounded_up_where_it_is_counted_and_down_where_it_is_settled() -> None:
    counted: list[float] = []
    kind = each_way(4)
    whole = {"client": hr.SimulatedClient(simulated_full_match=True, min_bet_validation=False)}
    quiet = market(kind).touch(100).touch(400)
    actions = {100: [place("a", "LAY", hr.LimitOrder(1.01, 10.0)), exposure_now(counted)]}
    worst = max(-profit for _, profit in profits(quiet, actions, kind, **whole))
    assert (set(counted), worst) == ({0.13}, 0.12)  # 0.125


@pytest.mark.parametrize(
    ("kind", "request_", "exposure"),
    [
        (WIN, back("a", 11.0, 7.0), 7.0),
        (each_way(4), back("a", 11.0, 7.0), 14.0),
        (each_way(5), lay("a", 11.0, 7.0), 84.0),
        (each_way(4), at_sp("a", "LAY", 20.0), 25.0),
        (LINES, back("a", 150.5, 7.0), 7.0),
        (LINES, lay("a", 150.5, 7.0), 7.0),
        (WIN, place("a", "BACK", hr.LimitOrder(1.5, bet_target_type="BACKERS_PROFIT", bet_target_size=6.0)), 12.0),
        (WIN, place("a", "LAY", hr.LimitOrder(4.0, bet_target_type="PAYOUT", bet_target_size=12.0)), 9.0),
    ],
    ids=["odds", "each way", "each-way lay", "each way at SP", "line", "laid line", "profit target", "payout target"],
)
@pytest.mark.parametrize("limit", ["max_order_exposure", "max_selection_exposure", "max_market_exposure"])
def test_limit_holds_what_can_be_lost(kind: Kind, request_: Request, exposure: float, limit: str) -> None:
    stream = market(kind).touch(100)
    for most, answer in ((exposure, True), (exposure - 0.01, False)):
        played = replay(stream, {100: [request_]}, force=False, **{limit: most})
        assert played.answers == [answer]


def test_order_without_a_line_of_its_own_is_on_one_where_the_market_says_so() -> None:
    counted: list[float] = []
    actions = {100: [lay("a", 150.5, 3.0), exposure_now(counted)]}
    stream = market(LINES).prices(100, {1: {"atl": [[150.5, 50.0]]}}).touch(400)
    assert sorted({profit for _, profit in profits(stream, actions, LINES)}) == [-3.0, 0.0, 3.0]
    assert counted[0] == 3.0


def test_order_with_a_line_is_at_odds_where_the_market_says_so() -> None:
    line = hr.LimitOrder(3.4, 5.0, price_ladder_definition="LINE_RANGE")
    stream = market(WIN).prices(100, {1: {"atl": [[3.4, 50.0]]}}).touch(400).close(winner=1)
    counted: list[float] = []
    played = replay(stream, {100: [place("a", "LAY", line), exposure_now(counted), note("line_range_result", 3.0)]})
    assert (played["a"].profit, counted) == (-12.0, [12.0])


# -- several orders on a runner --------------------------------------------------------------------------------------

bets = st.lists(
    st.tuples(st.sampled_from(("BACK", "LAY")), st.integers(0, 6), st.sampled_from(SIZES), st.booleans()), max_size=5
)


@settings(THOROUGH, max_examples=100)
@given(kind=kinds, bets=bets)
def test_worst_case_is_that_of_all_ways_to_match_and_all_results(kind: Kind, bets: Any) -> None:
    """By counting them all: each waiting order matched or not, each result."""
    prices = UNDERS if is_line(kind) else ODDS
    chosen = [(side, prices[at % len(prices)], size, matched) for side, at, size, matched in bets]
    fill = hr.SimulatedClient(simulated_full_match=True, min_bet_validation=False)
    first = [place(f"m{n}", side, hr.LimitOrder(p, s)) for n, (side, p, s, matched) in enumerate(chosen) if matched]
    later = [place(f"w{n}", side, hr.LimitOrder(p, s)) for n, (side, p, s, matched) in enumerate(chosen) if not matched]
    counted: list[float] = []
    replay(market(kind).touch(100).touch(400), {100: first, 400: [*later, exposure_now(counted)]}, client=fill)

    def profit(bet: Any, status: str, line: float | None) -> float:
        side, price, size, _ = bet
        if line is not None:
            won = 0.0 if price == line else size if price > line else -size
        elif kind["marketType"] == "EACH_WAY":
            place_part = size * (price - 1) / kind["eachWayDivisor"]
            won = {"WINNER": size * (price - 1) + place_part, "PLACED": place_part - size, "LOSER": -2 * size}[status]
        else:
            won = size * (price - 1) if status == "WINNER" else -size
        return won if side == "BACK" else -won

    outcomes = {(statuses[1], line) for statuses, line in results(kind) if statuses[1] != "REMOVED"}
    worst = 0.0
    for taken in itertools.product((True, False), repeat=len(later)):
        choices = iter(taken)
        there = [bet for bet in chosen if bet[3] or next(choices)]
        worst = min([worst, *(sum(profit(bet, *outcome) for bet in there) for outcome in outcomes)])
    assert counted[0] == pytest.approx(-worst, abs=PENNY)


@st.composite
def scripts(draw: st.DrawFn) -> Any:
    """Orders of all kinds on one runner, requested in turn while its prices trade."""
    kind = draw(kinds)
    prices = st.sampled_from(UNDERS if is_line(kind) else ODDS)
    stream, actions = market(kind), {}
    stream.prices(100, {1: {"atb": [[draw(prices), 8.0]], "atl": [[draw(prices), 8.0]]}})
    for at in range(100, 100 + 300 * draw(st.integers(2, 6)), 300):
        requests = [
            place(f"{at}-{number}", draw(st.sampled_from(("BACK", "LAY"))), draw(order_types(kind)))
            for number in range(draw(st.integers(0, 2)))
        ]
        if actions and draw(st.booleans()):
            requests.append(_replace_any(draw(st.integers(0, 9)), draw(prices)))
        actions[at] = requests
        traded = [[price, draw(st.sampled_from((0.0, 30.0, 600.0))) + at] for price in ODDS]
        offers = {"atb": [[draw(prices), draw(st.sampled_from((0, 8.0)))]], "trd": traded}
        stream.prices(at + 300, {1: offers})
    sp = draw(st.sampled_from((None, 1.01, 1.5, 2.347, 40.0)))
    if sp is not None:
        stream.define(80_000, {each: {"bsp": sp} for each in (1, 2, 3)}, bspReconciled=True)
    return kind, stream, actions


def _replace_any(which: int, price: float) -> Request:
    def request(script: Script, market: Any) -> object:
        refs = [ref for ref, order in script.orders.items() if order.status is hr.OrderStatus.EXECUTABLE]
        refs = [ref for ref in refs if script.orders[ref].is_limit and script.orders[ref].order_type.price != price]
        return replace(refs[which % len(refs)], price)(script, market) if refs else None

    return request


@settings(THOROUGH, max_examples=50)
@given(story=scripts(), most=st.sampled_from((4.0, 11.0, 30.0)), alone=st.sampled_from((2.0, 10.0, 25.0)))
def test_no_result_loses_more_than_the_selections_limit(story: Any, most: float, alone: float) -> None:
    kind, stream, actions = story
    limits = {"max_order_exposure": alone, "max_selection_exposure": most}
    counted: list[float] = []
    watched = {at: [*requests, exposure_now(counted)] for at, requests in actions.items()}
    client = hr.SimulatedClient(min_bet_validation=False)
    for played, profit in profits(stream, watched, kind, force=False, client=client, **limits):
        pennies = PENNY * (len(played.market.blotter) + 1)
        assert max(counted) <= most + pennies
        assert -profit <= most + pennies


# -- orders that close -----------------------------------------------------------------------------------------------


def test_order_that_cannot_make_the_worst_case_worse_is_let_through() -> None:
    # 6 backed at 5.0 wins 24 or loses 6. Laying 5.7 at 4.9 risks 22.23 of these 24: the worst stays 6.
    stream = market(WIN).prices(100, {1: {"atb": [[5.0, 50.0]], "atl": [[5.1, 50.0]]}}).touch(400).touch(700)
    limits = {"max_order_exposure": 6.0, "max_selection_exposure": 6.0}
    actions = {100: [back("a", 5.0, 6.0)], 400: [lay("b", 4.9, 5.7)], 700: [lay("c", 4.9, 1.0)]}
    played = replay(stream, actions, force=False, **limits)
    assert played.answers == [True, True, True]
    # 1.77 of the win is left by then, and 3.9 - 1.77 is no more than 6; another lay of that size is too much.
    again = {**actions, 700: [lay("c", 4.9, 1.0), lay("d", 4.9, 1.5)]}
    assert replay(stream, again, force=False, **limits).answers == [True, True, True, False]


def test_closing_order_counts_what_is_live_and_pending_at_its_worst() -> None:
    # The back may not match: the lay then stands alone.
    stream = market(WIN).prices(100, {1: {"atl": [[5.1, 50.0]]}}).touch(400)
    actions = {100: [back("a", 5.0, 6.0), lay("b", 4.9, 5.7)]}
    assert replay(stream, actions, force=False, max_order_exposure=6.0).answers == [True, False]


def test_closing_order_is_let_through_where_the_limit_is_passed_already() -> None:
    stream = market(WIN).prices(100, {1: {"atb": [[5.0, 50.0]]}}).touch(400)
    actions = {
        100: [back("a", 5.0, 12.0, force=True)],
        400: [lay("b", 4.9, 2.0), back("c", 5.0, 0.5), lay("d", 3.0, 9.0)],
    }
    played = replay(stream, actions, force=False, max_order_exposure=5.0, max_selection_exposure=10.0)
    assert played.answers == [True, True, False, True]


def test_order_refused_by_the_peers_rules_stays_refused_under_compatibility() -> None:
    stream = market(WIN).prices(100, {1: {"atb": [[5.0, 50.0]]}}).touch(400)
    actions = {100: [back("a", 5.0, 6.0)], 400: [lay("b", 4.9, 5.7)]}
    config = hr.Config(compatibility="flumine")
    assert replay(stream, actions, force=False, config=config, max_order_exposure=6.0).answers == [True, False]


@pytest.mark.parametrize(("kind", "price", "size"), [(WIN, 4.0, 12.5), (each_way(4), 4.0, 12.17), (LINES, 150.5, 10.0)])
def test_hedge_levels_win_and_loss_by_the_markets_terms(kind: Kind, price: float, size: float) -> None:
    first = 160.5 if is_line(kind) else 5.0
    stream = market(kind).prices(100, {1: {"atb": [[first, 50.0]], "atl": [[price, 90.0]]}}).touch(400).touch(700)
    found: list[dict[str, float]] = []

    def level(script: Script, market: Any) -> None:
        order = hr.hedge(script.strategy, market, 1)
        assert order is not None
        assert order.order_type.size == size
        market.place_order(order, force=True)

    def look(script: Script, market: Any) -> None:
        found.append(market.blotter.get_exposures(script.strategy, (MARKET, 1, 0)))

    replay(stream, {100: [back("a", first, 10.0)], 400: [level], 700: [look]})
    assert found[0]["matched_profit_if_win"] == pytest.approx(found[0]["matched_profit_if_lose"], abs=0.03)


# -- several runners -------------------------------------------------------------------------------------------------


def test_removed_runner_cannot_win() -> None:
    # Of two runners that are left, one loses 5 and the other wins 5. While they wait, the winner may be unmatched.
    stream = market(WIN).touch(100).remove(400, 3, 1.0)
    requests = [back("a", 2.0, 5.0), back("b", 2.0, 5.0, selection_id=2), back("c", 2.0, 5.0, selection_id=3)]
    found: list[float] = []

    def look(script: Script, market: Any) -> None:
        found.append(market.blotter.market_exposure(script.strategy, market.market_book))

    filled = hr.SimulatedClient(simulated_full_match=True, min_bet_validation=False)
    replay(stream.touch(500), {100: [*requests, look], 500: [look]}, client=filled)
    assert found == [-10.0, 0.0]


def test_each_handicap_of_an_asian_market_has_its_own_result() -> None:
    stream = market({"bettingType": "ASIAN_HANDICAP_DOUBLE_LINE", "marketType": "ASIAN_HANDICAP"}).touch(100)
    found: list[float] = []

    def look(script: Script, market: Any) -> None:
        found.append(market.blotter.market_exposure(script.strategy, market.market_book))

    replay(stream, {100: [lay("a", 2.0, 5.0), lay("b", 2.0, 5.0, selection_id=2), look]})
    assert found == [-10.0]


def test_market_of_lines_has_one_result_for_all_runners() -> None:
    # Backed at 20.5 and laid at 300.5: between the two lines both lose.
    requests = [back("a", 20.5, 5.0), lay("b", 300.5, 4.0, selection_id=2)]
    found: list[float] = []

    def look(script: Script, market: Any) -> None:
        found.append(market.blotter.market_exposure(script.strategy, market.market_book))

    replay(market(LINES).touch(100), {100: [*requests, look]})
    assert found == [-9.0]
