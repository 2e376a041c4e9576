"""Finite liquidity and the queue: what an order takes is gone, and what waits is served in its turn.

Each rule is shown with flumine's number under compatibility beside the right one, and with the reasoning.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import headrace as hr
from builders import FLUMINE, Stream, back, cancel, lay, replay
from headrace.simulate.line_index import Interest
from headrace.strategies.changes import RunnerChange

BAND = ("pessimistic", "proportional", "optimistic")


def matched(stream: Stream, actions: Any, config: hr.Config | None = None, refs: str = "ab", **how: Any) -> list[float]:
    played = replay(stream, actions, config=config or hr.Config(), **how)
    return [played[ref].size_matched for ref in refs if ref in played.orders]


def by_queue(stream: Stream, actions: Any, refs: str = "a") -> dict[str, list[float]]:
    return {queue: matched(stream, actions, hr.Config(queue=queue), refs) for queue in (*BAND, "flumine")}


# -- D1: liquidity is finite -----------------------------------------------------------------------------------------


def market() -> Stream:
    """Two runners. The first: to back 10 at 2.0, 20 at 1.98 and 5 at 1.96, to lay 20 at 2.2; nothing traded."""
    first = {"atb": [[2.0, 10], [1.98, 20], [1.96, 5]], "atl": [[2.2, 20]]}
    return Stream().prices(100, {1: first, 2: {"atb": [[1.8, 50]], "atl": [[1.9, 50]]}})


def test_an_offer_can_be_taken_once() -> None:
    # Ten pounds are offered at 2.0: two orders of ten cannot both have them. The second waits at its price.
    orders = {100: [back("a", 2.0, 10.0), back("b", 2.0, 10.0)]}
    assert matched(market().touch(400).close(), orders) == [10.0, 0.0]
    assert matched(market().touch(400).close(), orders, FLUMINE) == [10.0, 10.0]


def test_what_was_taken_stays_gone_later_on() -> None:
    orders = {100: [back("a", 2.0, 10.0)], 500: [back("b", 2.0, 10.0)]}
    stream = market().touch(400).touch(500).touch(900).close()
    assert matched(stream, orders) == [10.0, 0.0]
    assert matched(stream, orders, FLUMINE) == [10.0, 10.0]


def test_only_what_a_level_grows_by_is_new() -> None:
    # 10 were taken. The level shrinks to 4, which are those that are gone, and grows to 9: five are new.
    stream = market().prices(400, {1: {"atb": [[2.0, 4.0]]}}).prices(500, {1: {"atb": [[2.0, 9.0]]}})
    stream.touch(600).touch(900).close()
    assert matched(stream, {100: [back("a", 2.0, 10.0)], 600: [back("b", 2.0, 10.0)]}) == [10.0, 5.0]


def test_a_level_that_was_gone_comes_back_whole() -> None:
    stream = market().prices(400, {1: {"atb": [[2.0, 0.0]]}}).prices(500, {1: {"atb": [[2.0, 7.0]]}})
    stream.touch(600).touch(900).close()
    assert matched(stream, {100: [back("a", 2.0, 10.0)], 600: [back("b", 2.0, 10.0)]}) == [10.0, 7.0]


def test_the_next_level_is_taken_where_the_first_is_gone() -> None:
    stream = market().touch(400).close()
    played = replay(stream, {100: [back("a", 2.0, 10.0), back("b", 1.98, 5.0)]})
    assert [(price, size) for _, price, size in played["b"].fills] == [(1.98, 5.0)]


class Takes(hr.Strategy):
    """Backs what is offered at 2.0, once."""

    def check_market_book(self, market: Any, market_book: Any) -> bool:
        return not list(market.blotter.strategy_orders(self))

    def process_market_book(self, market: Any, market_book: Any) -> None:
        trade = hr.Trade(market.market_id, 1, 0, self)
        market.place_order(trade.create_order("BACK", hr.LimitOrder(2.0, 10.0)), force=True)


@pytest.mark.parametrize(("isolated", "expected"), [(True, [10.0, 10.0]), (False, [10.0, 0.0])])
def test_isolated_strategies_take_the_same_offers_and_others_do_not(isolated: bool, expected: list[float]) -> None:
    config = hr.Config(simulated_strategy_isolation=isolated)
    two = [Takes(name="one"), Takes(name="two")]
    played = replay(market().touch(400).close(), strategies=two, config=config)
    assert [order.size_matched for order in played.market.blotter] == expected


# -- D2: the queue ---------------------------------------------------------------------------------------------------
#
# An order to back at 2.2 waits behind the 20 that others offer there.


def test_cancellations_shorten_the_queue_by_their_share() -> None:
    # 20 are ahead, 20 join behind; then 20 of the 40 go without a trade, and 15 are traded.
    stream = market().prices(300, {1: {"atl": [[2.2, 40.0]]}}).prices(400, {1: {"atl": [[2.2, 20.0]]}})
    stream.prices(500, {1: {"trd": [[2.2, 30.0]], "atl": [[2.2, 5.0]]}}).close()
    found = by_queue(stream, {100: [back("a", 2.2, 10.0)]})
    # ahead: 20 behind which all were; 10, as half of all; 0. Fifteen are served.
    assert found == {"pessimistic": [0.0], "proportional": [5.0], "optimistic": [10.0], "flumine": [0.0]}


def test_no_more_is_ahead_than_is_published() -> None:
    # Nobody was behind: the 17 that go were ahead, whatever the model.
    stream = market().prices(400, {1: {"atl": [[2.2, 3.0]]}}).prices(500, {1: {"trd": [[2.2, 10.0]]}}).close()
    assert by_queue(stream, {100: [back("a", 2.2, 10.0)]}) == {
        "pessimistic": [2.0],
        "proportional": [2.0],
        "optimistic": [2.0],
        "flumine": [0.0],
    }


def test_own_orders_wait_for_each_other() -> None:
    # 20 of others, then a, then b: 28 traded are those 20, 6 of a and 2 of b. With flumine a and b have the same 20
    # ahead, and what serves them for a is gone for b.
    stream = market().prices(400, {1: {"trd": [[2.2, 56.0]], "atl": [[2.2, 0.0]]}}).close()
    orders = {100: [back("a", 2.2, 6.0), back("b", 2.2, 6.0)]}
    assert matched(stream, orders) == [6.0, 2.0]
    assert matched(stream, orders, FLUMINE) == [6.0, 0.0]
    played = replay(stream, orders)
    assert [played[ref].placement.queue_ahead for ref in "ab"] == [20.0, 26.0]


def test_volume_that_serves_one_queue_serves_the_next_as_well() -> None:
    # Lays at 1.98 and 1.96, each with its queue: a trade at 1.96 went through 1.98 first.
    orders = {100: [lay("a", 1.98, 4.0), lay("b", 1.96, 4.0)]}
    gone = [[2.0, 0], [1.98, 0], [1.96, 0]]
    stream = market().prices(400, {1: {"trd": [[2.0, 20.0], [1.98, 40.0], [1.96, 26.0]], "atb": gone}}).close()
    # At 1.98 20 are served, which were ahead of a; 13 more were matched at 1.96: 4 of them meet a, 5 were ahead of b.
    assert matched(stream, orders) == [4.0, 4.0]
    # With flumine what was traded at 1.96 serves the queue of a, and is gone for b.
    assert matched(stream, orders, FLUMINE) == [4.0, 0.0]


@pytest.mark.parametrize("queue", BAND)
@pytest.mark.parametrize("parts", [[30.0], [10.0] * 3, [5.0] * 6, [1.5] * 20])
def test_what_one_order_gets_leaves_those_of_others_before_the_next(parts: list[float], queue: str) -> None:
    # Nobody is before "a". 20 of others come after it, then "b", then 30 of others. Of 30 that are traded "a" gets ten
    # and the others before "b" twenty, in however many messages. The next eight are for "b".
    stream = market().prices(400, {1: {"atl": [[2.2, 0.0], [2.3, 20.0]]}}).touch(500).touch(900)
    stream.prices(1000, {1: {"atl": [[2.2, 20.0]]}}).touch(1100).prices(1500, {1: {"atl": [[2.2, 50.0]]}})
    traded = 0.0
    for at, size in enumerate((*parts, 8.0)):
        traded += size
        stream.prices(2000 + 10 * at, {1: {"atl": [[2.2, 50.0 - traded]], "trd": [[2.2, 2 * traded]]}})
    stream.touch(2900).close()
    played = replay(stream, {500: [back("a", 2.2, 10.0)], 1100: [back("b", 2.2, 10.0)]}, config=hr.Config(queue=queue))
    before = played.snapshots[2000 + 10 * (len(parts) - 1)]
    assert [before[ref].matched for ref in "ab"] == [10.0, 0.0]
    assert [played[ref].size_matched for ref in "ab"] == [10.0, 8.0]


def test_an_order_beyond_which_is_traded_has_nobody_ahead() -> None:
    stream = market().prices(400, {1: {"trd": [[2.3, 8.0]]}}).close()
    assert by_queue(stream, {100: [back("a", 2.2, 10.0)]}) == {
        "pessimistic": [4.0],
        "proportional": [4.0],
        "optimistic": [4.0],
        "flumine": [0.0],
    }


def test_a_resting_order_is_matched_at_its_own_price() -> None:
    # Whoever laid at 2.3 would have met 2.2 first, at 2.2: the price of whoever waits.
    stream = market().prices(400, {1: {"trd": [[2.3, 8.0]]}}).close()
    prices = {
        queue: replay(stream, {100: [back("a", 2.2, 4.0)]}, config=hr.Config(queue=queue))["a"].average_price_matched
        for queue in BAND
    }
    assert prices == {"pessimistic": 2.2, "proportional": 2.2, "optimistic": 2.3}


@pytest.mark.parametrize("inplay", [False, True])
def test_offers_that_come_under_suspension_are_met_when_the_market_opens(inplay: bool) -> None:
    # Nothing is matched while the market is suspended. It opens without a word of prices, where a back at 2.2 and an
    # offer to lay at 2.3 cannot both stand. What lapses at the turn in play has lapsed before.
    stream = market().touch(400).suspend(500)
    stream.prices(600, {1: {"atb": [[2.3, 7.0]], "atl": [[2.2, 0.0], [2.4, 20.0]]}})
    if inplay:
        stream.turn_in_play(700)
    else:
        stream.define(700, status="OPEN")
    stream.touch(800).touch(900).close()
    orders = {100: [back("a", 2.2, 5.0), back("b", 2.2, 5.0, persistence_type="PERSIST")]}
    played = replay(stream, orders)
    assert [played.snapshots[600][ref].matched for ref in "ab"] == [0.0, 0.0]
    assert [played.snapshots[700][ref].matched for ref in "ab"] == ([0.0, 5.0] if inplay else [5.0, 2.0])
    assert [played[ref].size_matched for ref in "ab"] == ([0.0, 5.0] if inplay else [5.0, 2.0])
    assert played["a"].size_lapsed == (5.0 if inplay else 0.0)
    assert matched(stream, orders, FLUMINE) == [0.0, 0.0]


def test_offers_that_cross_the_price_match_without_a_trade() -> None:
    stream = market().prices(400, {1: {"atl": [[2.2, 0.0]], "atb": [[2.2, 6.0]]}}).touch(500).close()
    assert matched(stream, {100: [back("a", 2.2, 10.0)]}) == [6.0]
    assert matched(stream, {100: [back("a", 2.2, 10.0)]}, FLUMINE) == [0.0]


def test_offers_that_stay_match_once() -> None:
    # 6 come to 2.2, and are there for three changes: six pounds, not eighteen. Flumine counts them anew at each
    # change, where it is to look at available prices at all.
    stream = market().prices(400, {1: {"atl": [[2.2, 0.0]], "atb": [[2.2, 6.0]]}}).touch(500).touch(600).close()
    orders = {100: [back("a", 2.2, 30.0)]}
    available = hr.Config(compatibility="flumine", simulation_available_prices=True)
    assert matched(stream, orders) == [6.0]
    assert matched(stream, orders, available) == [18.0]


def test_offers_that_come_with_the_turn_in_play_find_what_is_kept_only() -> None:
    # The change says that the market is in play, and has the offers of those who came then: "a" had lapsed.
    stream = market().touch(400).suspend(500).turn_in_play(700)
    stream.lines[-1]["mc"][0]["rc"] = [{"id": 1, "atb": [[2.3, 7.0]], "atl": [[2.2, 0.0], [2.4, 20.0]]}]
    stream.touch(800).close()
    played = replay(stream, {100: [back("a", 2.2, 5.0), back("b", 2.2, 5.0, persistence_type="PERSIST")]})
    assert [played[ref].size_matched for ref in "ab"] == [0.0, 5.0]
    assert played["a"].size_lapsed == 5.0


def test_the_rest_of_an_order_joins_the_queue_at_its_price() -> None:
    # It takes the 10 at 2.0, and waits there for whoever comes: those who meet the ten that it took do not serve it.
    stream = market().prices(400, {1: {"trd": [[2.0, 20.0]], "atb": [[2.0, 0.0]]}})
    stream.prices(500, {1: {"trd": [[2.0, 26.0]]}}).close()
    assert matched(stream, {100: [back("a", 2.0, 15.0)]}) == [13.0]
    assert matched(stream, {100: [back("a", 2.0, 15.0)]}, FLUMINE) == [15.0]


def test_corrections_and_clears_are_no_trades() -> None:
    stream = market().prices(110, {1: {"trd": [[2.2, 100.0]]}}).touch(300)
    stream.prices(400, {1: {"trd": [[2.2, 40.0]]}}).prices(500, {1: {"trd": [[2.2, 100.0]]}})
    stream.prices(600, {1: {"trd": []}}).prices(700, {1: {"trd": [[2.2, 100.0]]}})
    orders = {100: [back("a", 2.2, 4.0)]}
    assert matched(stream.prices(800, {1: {"trd": [[2.2, 142.0]]}}).close(), orders) == [1.0]
    assert matched(stream, orders, FLUMINE) == [4.0]


# -- who is looked at ------------------------------------------------------------------------------------------------

LEVELS = st.none() | st.lists(st.tuples(st.sampled_from([1.9, 2.0, 2.1, 2.2]), st.sampled_from([0, 5.0])), max_size=2)


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from([1.9, 2.0, 2.1, 2.2]), st.booleans()), max_size=12),
    LEVELS,
    LEVELS,
)
def test_a_change_meets_the_lines_that_it_names_and_those_that_its_offers_reach(
    moves: list[tuple[bool, float, bool]], atb: Any, atl: Any
) -> None:
    interest = Interest()
    lines: list[tuple[bool, float]] = []
    for back_side, price, leaves in moves:
        if not leaves:
            interest.add(back_side, price)
            lines.append((back_side, price))
        elif (back_side, price) in lines:
            interest.drop(back_side, price)
            lines.remove((back_side, price))
    backs, lays = ([price for side, price in lines if side is wanted] for wanted in (True, False))
    expected = (
        [] in (atb, atl)
        or any(price in lays or (size and any(price >= own for own in backs)) for price, size in atb or ())
        or any(price in backs or (size and any(price <= own for own in lays)) for price, size in atl or ())
    )
    assert interest.meets(RunnerChange(id=1, atb=atb, atl=atl)) is bool(expected)


# -- the models keep their order -------------------------------------------------------------------------------------

SIZES = st.integers(0, 30).map(float)
CHANGE = st.fixed_dictionaries(
    {},
    optional={
        "trd": st.tuples(st.sampled_from([2.2, 2.3, 2.4]), SIZES),
        "atl": st.tuples(st.sampled_from([2.2, 2.3, 2.4]), SIZES),
        "atb": st.tuples(st.sampled_from([2.0, 2.2, 2.3]), st.sampled_from([0.0, 0.0, 4.0, 9.0])),
    },
)


@given(
    changes=st.lists(CHANGE, min_size=1, max_size=25),
    orders=st.lists(
        st.tuples(
            st.integers(1, 20), st.sampled_from([2.0, 2.2, 2.3, 2.4]), st.integers(2, 12), st.none() | st.integers(1, 9)
        ),
        min_size=1,
        max_size=5,
    ),
)
def test_the_models_keep_their_order_at_every_moment(changes: list[dict[str, Any]], orders: list[Any]) -> None:
    stream, traded = market(), dict.fromkeys((2.2, 2.3, 2.4), 0.0)
    for at, change in enumerate(changes):
        fields: dict[str, Any] = {name: [list(level)] for name, level in change.items() if name != "trd"}
        if "trd" in change:
            price, size = change["trd"]
            traded[price] += 2 * size
            fields["trd"] = [[price, traded[price]]]
        stream.prices(300 + 100 * at, {1: fields})
    stream.touch(9000)
    actions: dict[int, list[Any]] = {}
    for number, (at, price, size, lasts) in enumerate(orders):
        actions.setdefault(at * 100 + 200, []).append(back(f"o{number}", price, float(size)))
        if lasts is not None:
            actions.setdefault((at + 2 + lasts) * 100 + 200, []).append(tolerant(f"o{number}"))
    seen = []
    for queue in BAND:
        config = hr.Config(queue=queue, place_latency=0.0, cancel_latency=0.0)
        played = replay(stream, actions, config=config)
        seen.append([{ref: each.matched for ref, each in at.items()} for at in played.snapshots.values()])
    for low, middle, high in zip(*seen, strict=True):
        for ref in low:
            assert low[ref] <= middle[ref] <= high[ref]


@pytest.mark.parametrize(
    ("ahead", "trades", "right"),
    [
        # 17.60 are traded and 2.07 cancelled: 9.19 are left, with each queue. Of 18.095, 8.905 are for the order.
        (28.86, [(17.6, 9.19), (18.095, 0.0)], 8.91),
        # 5.63 traded, 2.07 cancelled: 5.06. Of 12.145, 7.085.
        (12.76, [(5.63, 5.06), (12.145, 0.0)], 7.09),
    ],
)
def test_noise_of_floats_decides_about_no_penny(ahead: float, trades: list[tuple[float, float]], right: float) -> None:
    """Half a penny counts as one: what is ahead is the same with each queue, but for the noise of floats."""
    stream = Stream().prices(100, {1: {"atl": [[2.2, ahead]]}})
    traded = 0.0
    for at, (size, left) in enumerate(trades):
        traded += 2 * size
        stream.prices(400 + 100 * at, {1: {"atl": [[2.2, left]], "trd": [[2.2, round(traded, 2)]]}})
    stream.touch(900).close()
    sizes = by_queue(stream, {100: [back("a", 2.2, 20.0)]})
    assert [sizes[queue] for queue in BAND] == [[right]] * 3


def tolerant(ref: str) -> Any:
    """A cancel that may come too late."""

    def act(script: Any, market: Any) -> None:
        if ref in script.orders and not script.orders[ref].complete:
            cancel(ref)(script, market)

    return act


@pytest.mark.parametrize("queue", BAND)
def test_a_long_line_is_served_in_order(queue: str) -> None:
    # Sixty orders at one price, each behind the others; cancellations and trades of many sizes.
    stream = market()
    for at in range(60):
        stream.prices(200 + 10 * at, {1: {"atl": [[2.2, 20.0 + 3.0 * at]]}})
    for at in range(20):
        stream.prices(1000 + 10 * at, {1: {"atl": [[2.2, 190.0 - 9.0 * at]], "trd": [[2.2, 12.0 * (at + 1)]]}})
    stream.close()
    orders = {200 + 10 * at: [back(f"o{at}", 2.2, 2.0)] for at in range(60)}
    played = replay(stream, orders, config=hr.Config(queue=queue, place_latency=0.0))
    sizes = [played[f"o{at}"].size_matched for at in range(60)]
    assert sizes == sorted(sizes, reverse=True)
    assert 0 < sum(sizes) < 120


RECORDINGS = Path(__file__).parents[2] / "shared" / "recordings"
RECORDED = ("1.242971311.bz2", "1.200806927.bz2", "1.205822330.bz2", "29788105.bz2", "PRO-1.170258213.bz2")


class Anywhere(hr.Strategy):
    """Asks for orders near the best prices by chance, and cancels each after a while: whatever is matched, the same."""

    def start(self, framework: Any) -> None:
        self.lasting: dict[str, tuple[hr.Order, int]] = {}

    def check_market_book(self, market: hr.Market, market_book: hr.MarketBook) -> bool:
        return True

    def process_market_book(self, market: hr.Market, market_book: hr.MarketBook) -> None:
        book = market_book
        now = book.publish_time_epoch
        for order, until in list(self.lasting.values()):
            if now >= until:
                del self.lasting[order.id]
                if order.status is hr.OrderStatus.EXECUTABLE:
                    market.cancel_order(order, force=True)
        dice = random.Random(f"{market.market_id} {now}")
        for runner in book.runners:
            if book.status == "OPEN" and runner.status == "ACTIVE" and dice.random() < 0.01:
                self.ask(market, runner, now, dice)

    def ask(self, market: hr.Market, runner: hr.RunnerBook, now: int, dice: random.Random) -> None:
        best = runner.ex.available_to_lay or runner.ex.available_to_back
        if not best:
            return
        price = hr.price_ticks_away(hr.get_nearest_price(best[0].price), dice.randint(-2, 3))
        size, kept = float(dice.choice([2, 5, 40, 400])), dice.choice(["LAPSE", "PERSIST"])
        trade = hr.Trade(market.market_id, runner.selection_id, runner.handicap, self)
        order = trade.create_order(dice.choice(["BACK", "LAY"]), hr.LimitOrder(price, size, persistence_type=kept))
        market.place_order(order, force=True)
        self.lasting[order.id] = order, now + dice.choice([2_000, 60_000, 10**12])


def matched_over_time(path: Path, queue: str) -> list[list[tuple[float, float]]]:
    """Of each order in order of placing, when how much had been matched."""
    result = hr.backtest(Anywhere(), markets=path, config=hr.Config(queue=queue), engine="local", progress=False)
    fills: dict[str, list[tuple[float, float]]] = {name: [] for name in result.orders["order_id"].to_pylist()}
    for fill in result.fills.select(["order_id", "time", "size"]).to_pylist():
        total = fills[fill["order_id"]][-1][1] if fills[fill["order_id"]] else 0.0
        fills[fill["order_id"]].append((fill["time"], round(total + fill["size"], 2)))
    return list(fills.values())


def at_moment(steps: list[tuple[float, float]], moment: float) -> float:
    return max((size for at, size in steps if at <= moment), default=0.0)


@pytest.mark.parametrize("name", RECORDED)
def test_the_models_keep_their_order_on_recordings(name: str) -> None:
    if not (path := RECORDINGS / name).exists():
        pytest.skip(f"needs the recording {name}, which is not part of the project")
    low, middle, high = (matched_over_time(path, queue) for queue in BAND)
    assert len(low) == len(middle) == len(high) > 100
    assert sum(map(len, middle)) > 50
    for careful, usual, hopeful in zip(low, middle, high, strict=True):
        for moment, _ in (*careful, *usual, *hopeful):
            assert at_moment(careful, moment) <= at_moment(usual, moment) <= at_moment(hopeful, moment)
