"""Simulated orders beside their truth: the book of orders that knows it, and the band that is to hold it."""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.simulate.generator import GeneratedMarket, Recipe, generate_event
from headrace.simulate.generator.order_book import Order, OrderBook
from headrace.strategies.prices import PRICES

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
try:
    from benchmarks import truth
    from benchmarks.truth_markets import play
    from benchmarks.truth_simulated import SIMULATED, in_the_end, simulate
    from benchmarks.truth_trader import Placement, Trader, plan_orders
finally:
    sys.path.remove(str(ROOT))

TICK = {price: tick for tick, price in enumerate(PRICES)}
#: A runner's backs, lays and traded volume, pence by position on the ladder.
Ladders = tuple[dict[int, int], dict[int, int], dict[int, int]]


class Onlooker:
    """A visitor who only notes what the books hold when he comes."""

    def __init__(self) -> None:
        self.seen: list[list[Ladders]] = []

    def come(self, time: int, is_open: bool, books: Sequence[OrderBook]) -> None:
        self.seen.append([(dict(each.backs.sizes), dict(each.lays.sizes), dict(each.traded)) for each in books])


class Quoter:
    """A visitor who joins the backs of the first runner at their best price each time that he comes."""

    def __init__(self) -> None:
        self.orders: list[Order] = []

    def come(self, time: int, is_open: bool, books: Sequence[OrderBook]) -> None:
        best = books[0].backs.best
        if is_open and best is not None and len(self.orders) < 100:
            order = books[0].back(best, 700)
            assert order is not None
            self.orders.append(order)
        by_price: dict[int, list[Order]] = defaultdict(list)
        for order in self.orders:
            assert 0 <= order.matched + order.remaining <= 700
            by_price[order.tick].append(order)
        for queue in by_price.values():
            waiting = [order for order in queue if order.remaining]
            assert all(order.matched == 0 for order in waiting[1:])  # those behind have to wait for the first


def recipes() -> st.SearchStrategy[Recipe]:
    return st.builds(
        Recipe,
        sport=st.sampled_from(["horse_racing", "greyhounds", "football", "tennis"]),
        changes=st.integers(60, 250),
        suspension=st.booleans(),
        news=st.sampled_from([0.03, 1.0, 4.0]),
        crowd=st.sampled_from(["even", "hasty", "weary", "lasting"]),
    )


def states(market: GeneratedMarket) -> Iterator[list[Ladders]]:
    """The ladders of all runners as they are published, after each message."""
    published: dict[int, dict[str, dict[int, int]]] = defaultdict(lambda: defaultdict(dict))
    ids = [each["id"] for each in json.loads(market.lines[0])["mc"][0]["marketDefinition"]["runners"]]
    for line in market.lines:
        for runner in json.loads(line)["mc"][0]["rc"]:
            for name in ("atl", "atb", "trd"):
                ladder = published[runner["id"]][name]
                for price, pounds in runner.get(name, ()):
                    ladder[TICK[price]] = round(100 * pounds)
                    if not pounds:
                        del ladder[TICK[price]]
        ladders = [published[each] for each in ids]
        yield [(dict(each["atl"]), dict(each["atb"]), dict(each["trd"])) for each in ladders]


# -- the book of orders, and what is published of it -------------------------------------------------------------------


def test_orders_at_a_price_are_matched_first_in_first_out_whatever_is_cancelled_between_them() -> None:
    book = OrderBook()
    first, second, third = (book.lay(TICK[3.0], size) for size in (300, 500, 200))
    assert first is not None
    assert second is not None
    assert third is not None
    assert book.withdraw(second)
    assert not book.withdraw(second)
    assert book.back(TICK[3.0], 400, rests=False) is None
    assert [(order.matched, order.remaining) for order in (first, second, third)] == [(300, 0), (0, 0), (100, 100)]
    assert book.lays.sizes == {TICK[3.0]: 100}
    assert book.traded == {TICK[3.0]: 800}


@given(seed=st.integers(0, 2**32), recipe=recipes())
@settings(max_examples=15)
def test_a_visitor_sees_the_books_as_they_were_last_published(seed: int, recipe: Recipe) -> None:
    ids = [market.market_id for market in generate_event(seed, 0, recipe)]
    onlookers = {market_id: Onlooker() for market_id in ids}
    for market in generate_event(seed, 0, recipe, onlookers):
        published = states(market)
        assert onlookers[market.market_id].seen
        now: list[Ladders] = []
        for seen in onlookers[market.market_id].seen:
            while now != seen:
                now = next(published)  # StopIteration: it was never published


@given(seed=st.integers(0, 2**32), recipe=recipes())
@settings(max_examples=15)
def test_a_visitor_disturbs_nobody_but_by_his_orders(seed: int, recipe: Recipe) -> None:
    """Not a bit of the other runners changes, whatever he does to the first."""
    without = generate_event(seed, 0, recipe)
    quoters = {market.market_id: Quoter() for market in without}
    for market, disturbed in zip(without, generate_event(seed, 0, recipe, quoters), strict=True):
        assert quoters[market.market_id].orders
        assert others(market) == others(disturbed)
        assert market.lines != disturbed.lines


def others(market: GeneratedMarket) -> list[dict[str, Any]]:
    """What is published of all runners but the first, in order."""
    first = json.loads(market.lines[0])["mc"][0]["marketDefinition"]["runners"][0]["id"]
    return [runner for line in market.lines for runner in json.loads(line)["mc"][0]["rc"] if runner["id"] != first]


def test_who_only_looks_on_changes_nothing() -> None:
    recipe = Recipe(sport="tennis", changes=200, crowd="hasty")
    (without,) = generate_event(4, 0, recipe)
    (looked_at,) = generate_event(4, 0, recipe, {without.market_id: Onlooker()})
    assert without.lines == looked_at.lines


def test_visitors_come_to_crowds_only() -> None:
    with pytest.raises(ValueError, match=r"visitors come to a crowd only: name the patience of one, Recipe\(crowd="):
        generate_event(4, 0, Recipe(), {"1.1": Onlooker()})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"crowd": "angry"}, "crowd is 'angry': expected one of even, hasty, weary, lasting, or None"),
        ({"news": 21}, "news is 21: expected 0 to 20, where 1 is usual"),
    ],
)
def test_recipe_refuses(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recipe(**wrong)


# -- the trader --------------------------------------------------------------------------------------------------------


def placement(number: int, **changed: Any) -> Placement:
    usual = {
        "kind": "best",
        "asked": 10,
        "arrives": 11,
        "runner": 0,
        "selection_id": 7,
        "is_back": True,
        "tick": TICK[3.0],
        "pence": 500,
        "keeps": False,
    }
    return Placement(number=number, **{**usual, **changed})


def test_traders_truth_is_what_the_book_gave_him() -> None:
    book = OrderBook()
    book.lay(TICK[3.1], 200)
    book.back(TICK[3.15], 900)
    trader = Trader([placement(1), placement(2, asked=20, arrives=21, cancelled=40)])
    trader.come(15, True, [book])  # 200 at 3.1 are taken, 300 wait at 3.0
    book.lay(TICK[3.0], 100)
    trader.come(30, True, [book])
    book.lay(TICK[3.15], 250)
    trader.come(50, True, [book])
    book.lay(TICK[3.15], 5000)
    trader.come(60, True, [book])
    first, second = trader.fates[1], trader.fates[2]
    assert first.steps == [(11, 200), (30, 300), (50, 500)]
    assert first.taken == {TICK[3.1]: 200}
    assert (first.at_own, first.at_better) == (300, 0)
    assert second.steps == [(50, 50)]  # behind the first, and cancelled before more came


def test_traders_orders_are_refused_while_the_market_is_suspended() -> None:
    book = OrderBook()
    trader = Trader([placement(1)])
    trader.come(30, False, [book])
    assert trader.fates[1].refused
    assert not book.backs.sizes


def asked_in(recipe: Recipe) -> list[Placement]:
    return [
        each
        for number in range(4)
        for market in generate_event(3, number, recipe)
        for each in plan_orders(market.lines, random.Random(f"keeps {number}"), 14)
    ]


def test_trader_keeps_nothing_where_a_market_does_not_turn_in_play() -> None:
    """The exchange refuses PERSIST there: the simulation would refuse what the truth had matched."""
    assert not any(each.keeps for each in asked_in(Recipe(sport="greyhounds", changes=300, crowd="even")))
    assert any(each.keeps for each in asked_in(Recipe(changes=300, crowd="even")))


def test_trader_keeps_no_lays_where_a_runner_is_withdrawn() -> None:
    """They would go on at reduced odds, which are off the ladder of the book that he bets in."""
    kept = [each for each in asked_in(Recipe(changes=300, non_runner=True, crowd="even")) if each.keeps]
    assert kept
    assert all(each.is_back for each in kept)


# -- the band ----------------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 2**32), recipe=recipes())
@settings(max_examples=12)
def test_a_more_careful_queue_never_has_more_matched(seed: int, recipe: Recipe) -> None:
    markets = list(play(seed, 0, recipe, orders=30))
    recordings = {market.market_id: market.lines for market in markets}
    placements = {market.market_id: market.placements for market in markets}
    with tempfile.TemporaryDirectory() as folder:
        runs = [simulate(recordings, placements, SIMULATED[name], Path(folder)) for name in truth.CAREFUL_FIRST]
    for market in markets:
        for each in market.placements:
            steps = [run[market.market_id, each.number] for run in runs]
            assert truth.ordered(steps), (market.market_id, each, steps)
            assert in_the_end(steps[-1]) <= each.pence


def test_order_of_steps_is_looked_at_at_each_moment() -> None:
    assert truth.ordered([[], [(2, 5)], [(1, 5)]])
    assert not truth.ordered([[(1, 5)], [(2, 5)]])  # the first had it sooner


def test_truth_lies_in_the_band_and_nearer_to_the_default_than_to_the_peer(capsys: pytest.CaptureFixture[str]) -> None:
    status = truth.main(["--markets", "28", "--seed", "2", "--processes", "1"])
    shown = capsys.readouterr().out.splitlines()
    assert status == 0, "\n".join(shown)
    assert "more matched under a more careful queue, at any moment: 0 orders" in shown
    assert float(shown[-1].split()[-1]) >= 1


def test_truth_refuses_what_it_cannot_do(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        truth.main(["--markets", "0"])
    assert ended.value.code == 2
    assert "expected 1 or more" in capsys.readouterr().err
