"""A bet placed at the rehearsal exchange is matched as in a backtest; bets of accounts meet each other besides."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace as hr
from builders import MARKET, T0, Played, Request, Stream, priced, replay
from exchange_builders import ALICE, BOB
from exchange_desk import Desk, Report, at_close, limit
from headrace.simulate.exchange.account_bet import AccountBet
from headrace.simulate.exchange.public_market import PublicRunner

PRICES = (1.9, 1.95, 2.0, 2.02, 2.04, 2.06, 2.1, 2.2, 2.5)
RUNNERS = (1, 2, 3)
#: Milliseconds from a strategy's request to its arrival; messages are further apart.
LATENCY = 50
KINDS = ("LIMIT", "FILL_OR_KILL", "LIMIT_ON_CLOSE", "MARKET_ON_CLOSE")


@dataclasses.dataclass(frozen=True)
class Asked:
    """A bet, and what is asked of it later: each at a book, by its number."""

    runner: int
    at: int
    kind: str
    side: str
    price: float
    size: float
    persistence: str
    least: float | None
    later: str | None
    later_at: int
    new_price: float
    reduction: float

    @property
    def ref(self) -> str:
        return f"bet-{self.runner}"

    def instruction(self) -> Report:
        ref = {"customerOrderRef": self.ref}
        if self.kind == "MARKET_ON_CLOSE":
            return at_close(self.size, None, self.side, self.runner) | ref
        if self.kind == "LIMIT_ON_CLOSE":
            return at_close(self.size, self.price, self.side, self.runner) | ref
        fields: dict[str, Any] = {"persistenceType": self.persistence}
        if self.kind == "FILL_OR_KILL":
            fields = {"timeInForce": self.kind, "minFillSize": self.least}
        return limit(self.price, self.size, self.side, self.runner, instruction=ref, **fields)

    def order_type(self) -> Any:
        if self.kind == "MARKET_ON_CLOSE":
            return hr.MarketOnCloseOrder(self.size)
        if self.kind == "LIMIT_ON_CLOSE":
            return hr.LimitOnCloseOrder(self.size, self.price)
        if self.kind == "FILL_OR_KILL":
            return hr.LimitOrder(self.price, self.size, time_in_force=self.kind, min_fill_size=self.least)
        return hr.LimitOrder(self.price, self.size, persistence_type=self.persistence)

    def change(self, bet_id: str) -> tuple[str, Report]:
        """The call for what is asked later, and its instruction."""
        if self.later == "replace":
            return "replaceOrders", {"betId": bet_id, "newPrice": self.new_price}
        if self.later == "update":
            return "updateOrders", {"betId": bet_id, "newPersistenceType": "PERSIST"}
        reduction = {} if self.later == "cancel" else {"sizeReduction": self.reduction}
        return "cancelOrders", {"betId": bet_id, **reduction}


@st.composite
def _asked(draw: st.DrawFn, runner: int, books: int) -> Asked:
    at = draw(st.integers(0, books - 2))
    size = draw(st.integers(1000, 6000)) / 100
    kind = draw(st.sampled_from([*KINDS, "LIMIT"]))
    return Asked(
        runner,
        at,
        kind,
        draw(st.sampled_from(["BACK", "LAY"])),
        draw(st.sampled_from(PRICES)),
        size,
        draw(st.sampled_from(["LAPSE", "PERSIST", "MARKET_ON_CLOSE"])),
        draw(st.one_of(st.none(), st.just(5.0))),
        draw(st.sampled_from([None, "cancel", "reduce", "update", "replace", "replace"])),
        draw(st.integers(at + 1, books - 1)),
        draw(st.sampled_from(PRICES)),
        draw(st.integers(1, 900)) / 100,
    )


@st.composite
def _stories(draw: st.DrawFn) -> tuple[Stream, list[int], list[Asked]]:
    """A market, the times of its books, and a bet on some of its runners."""
    books = draw(st.integers(6, 24))
    passive = draw(st.booleans())
    stream, times = _market(draw, random.Random(draw(st.integers(0, 10**6))), books, passive)
    runners = draw(st.sets(st.sampled_from(RUNNERS), min_size=1))
    bets = [draw(_asked(runner, books)) for runner in sorted(runners)]
    if passive:  # nothing is kept there: the exchange refuses it, a backtest does not
        bets = [
            dataclasses.replace(each, persistence="LAPSE", later=None if each.later == "update" else each.later)
            for each in bets
        ]
    return stream, times, bets


def _market(draw: st.DrawFn, dice: random.Random, books: int, passive: bool) -> tuple[Stream, list[int]]:
    """Random books, about 300 ms apart; what else happens is drawn."""
    stream = Stream(
        runners={each: {"status": "ACTIVE", "adjustmentFactor": 20.0} for each in RUNNERS},
        numberOfActiveRunners=3,
        betDelayModels=["PASSIVE"] if passive else [],
    )
    events = {draw(st.integers(1, books)): each for each in draw(st.lists(_EVENTS, max_size=4))}
    traded = {each: dict.fromkeys(PRICES, 0.0) for each in RUNNERS}
    times, at, version = [], 0, 1
    for number in range(books):
        at += dice.randint(LATENCY + 10, 600)
        times.append(at)
        event = events.get(number)
        if event is not None:
            version += 1
            _happen(stream, at - 5, event, version)
        stream.prices(at, {each: _book(dice, traded[each]) for each in RUNNERS if dice.random() < 0.8})
    stream.close(at + 5000, winner=dice.choice(RUNNERS), bsp=dict.fromkeys(RUNNERS, 2.03), bspReconciled=True)
    return stream, times


_EVENTS = st.sampled_from(["suspend", "open", "in play", "remove"])


def _happen(stream: Stream, at: int, event: str, version: int) -> None:
    if event == "suspend":
        stream.suspend(at, version)
    elif event == "open":
        stream.define(at, status="OPEN", version=version)
    elif event == "in play":
        prices = {each: {"bsp": 2.0 + each / 50} for each in RUNNERS}
        stream.define(at, prices, status="OPEN", inPlay=True, betDelay=1, bspReconciled=True, version=version)
    else:
        stream.remove(at, 3, 20.0, version)


def _book(dice: random.Random, traded: dict[float, float]) -> dict[str, Any]:
    """All prices anew: backers below a price, layers from it on, and some trades."""
    middle = dice.randint(1, len(PRICES) - 1)
    sizes = [round(dice.choice([0, 0, 1]) * dice.uniform(1, 40), 2) for _ in PRICES]
    for price in dice.sample(PRICES, dice.randint(0, 3)):
        traded[price] = round(traded[price] + dice.uniform(1, 80), 2)
    return {
        "atb": [
            [price, size if place < middle else 0]
            for place, (price, size) in enumerate(zip(PRICES, sizes, strict=True))
        ],
        "atl": [
            [price, size if place >= middle else 0]
            for place, (price, size) in enumerate(zip(PRICES, sizes, strict=True))
        ],
        "trd": [[price, size] for price, size in traded.items() if size],
    }


# -- both ways -------------------------------------------------------------------------------------------------------


def _at_exchange(stream: Stream, times: list[int], bets: list[Asked]) -> dict[str, list[AccountBet]]:
    """What the bets become at the exchange, by reference: a bet, and what took its place."""
    desk = Desk(stream, until=-1)
    exchange = desk.exchange

    async def play() -> None:
        calls = []

        def call(operation: str, instruction: Report) -> None:
            params = {"marketId": MARKET, "instructions": [instruction]}
            calls.append(asyncio.ensure_future(desk.operations[operation](ALICE, params)))

        for number, at in enumerate(times):
            exchange.advance(T0 + at)
            changed = []
            for asked in bets:
                own = [each for each in exchange.bets.values() if each.order_ref == asked.ref]
                if asked.later is not None and asked.later_at == number and own and _can_change(asked, own[0]):
                    changed.append(asked.change(own[0].bet_id))
            exchange.advance(T0 + at + LATENCY)
            for asked in bets:
                if asked.at == number:
                    call("placeOrders", asked.instruction())
            for operation, instruction in changed:
                call(operation, instruction)
            for _ in range(4):
                await asyncio.sleep(0)
        desk.play()
        exchange.advance(exchange.clock.now_ms)
        await asyncio.wait_for(asyncio.gather(*calls), 5)

    asyncio.run(play())
    found: dict[str, list[AccountBet]] = {asked.ref: [] for asked in bets}
    for bet in exchange.bets.values():
        found[bet.order_ref].append(bet)
    return found


def _can_change(asked: Asked, bet: AccountBet) -> bool:
    # A strategy cannot ask for the price that it asked for first, which a removal may have reduced.
    if not bet.executable or (asked.later == "replace" and asked.new_price == asked.price):
        return False
    return asked.later != "reduce" or asked.reduction <= bet.remaining


def _in_backtest(stream: Stream, times: list[int], bets: list[Asked]) -> Played:
    actions: dict[int, list[Request]] = {}
    for asked in bets:
        actions.setdefault(times[asked.at], []).append(_placing(asked))
        if asked.later is not None:
            actions.setdefault(times[asked.later_at], []).append(_change(asked))
    seconds = LATENCY / 1000
    config = hr.Config(place_latency=seconds, cancel_latency=seconds, update_latency=seconds, replace_latency=seconds)
    return replay(stream, actions, config=config)


def _placing(asked: Asked) -> Request:
    def act(script: Any, market: Any) -> object:
        trade = hr.Trade(market.market_id, asked.runner, 0, script.strategy)
        order = script.orders[asked.ref] = trade.create_order(asked.side, asked.order_type())
        return market.place_order(order, force=True)

    return act


def _change(asked: Asked) -> Request:
    def act(script: Any, market: Any) -> object:
        order = script.orders[asked.ref]
        if order.status is not hr.OrderStatus.EXECUTABLE or not isinstance(order.order_type, hr.LimitOrder):
            return None
        if asked.later == "replace":
            same = asked.new_price == order.order_type.price
            return None if same else market.replace_order(order, asked.new_price, force=True)
        if asked.later == "update":
            same = order.order_type.persistence_type == "PERSIST"
            return None if same else market.update_order(order, "PERSIST", force=True)
        reduction = None if asked.later == "cancel" else asked.reduction
        if reduction is not None and reduction > order.size_remaining:
            return None
        return market.cancel_order(order, reduction, force=True)

    return act


@settings(max_examples=150)
@given(story=_stories())
def test_a_bet_is_matched_as_in_a_backtest(story: tuple[Stream, list[int], list[Asked]]) -> None:
    stream, times, bets = story
    there, here = _at_exchange(stream, times, bets), _in_backtest(stream, times, bets)
    for asked in bets:
        expected = [here.orders[name] for name in (asked.ref, f"{asked.ref}'") if name in here.orders]
        placed = [order for order in expected if order.bet_id is not None]
        assert len(there[asked.ref]) == len(placed), asked
        for bet, order in zip(there[asked.ref], placed, strict=True):
            # What a removal ends, and a limit that the starting price does not meet, accounts see as lapsed.
            ended = order.size_cancelled + order.size_lapsed + order.size_voided
            told = bet.cancelled + bet.lapsed + bet.voided
            assert not bet.is_limit or round(told, 2) == round(ended, 2), asked
            assert [tuple(fill) for fill in bet.fills] == [tuple(fill) for fill in order.simulated.fills], asked
            assert (bet.matched, bet.average) == (order.size_matched, order.average_price_matched)
            profit = 0.0 if bet.result is None else bet.result.profit
            assert profit == order.simulated.profit


# -- accounts meet ---------------------------------------------------------------------------------------------------


def runner_of(desk: Desk, selection_id: int = 1) -> PublicRunner:
    return desk.exchange.markets[MARKET].public.runner(selection_id, 0.0)


def test_what_one_account_takes_is_gone_for_the_other_until_the_recording_replenishes_it() -> None:
    stream = priced().prices(200, {1: {"atb": [[2.0, 14]]}}).prices(300, {1: {"atb": [[2.0, 3]]}})
    desk = Desk(stream.prices(400, {1: {"atb": [[2.0, 9]]}}))
    assert desk.placed(limit(2.0, 8, timeInForce="FILL_OR_KILL")).matched == 8
    assert runner_of(desk).size("atb", 2.0) == 2.0
    assert desk.placed(limit(2.0, 3), account=BOB).matched == 2.0
    assert runner_of(desk).size("atb", 2.0) == 0.0
    # The one pound that still rests takes the first of what comes.
    desk.play(200)
    assert runner_of(desk).size("atb", 2.0) == 3.0
    desk.play(300)
    assert runner_of(desk).size("atb", 2.0) == 0.0
    desk.play(400)
    assert runner_of(desk).size("atb", 2.0) == 6.0


@pytest.mark.parametrize(
    ("resting", "side", "other", "ladder"), [(2.06, "BACK", "LAY", "atl"), (2.04, "LAY", "BACK", "atb")]
)
def test_accounts_match_each_other_where_their_prices_cross(resting: float, side: str, other: str, ladder: str) -> None:
    desk = Desk()
    first = desk.placed(limit(resting, 5, side))
    assert runner_of(desk).size(ladder, resting) == 5.0
    second = desk.placed(limit(resting, 3, other), account=BOB)
    assert (first.matched, first.average, first.remaining) == (3.0, resting, 2.0)
    assert (second.matched, second.average, second.executable) == (3.0, resting, False)
    assert runner_of(desk).size(ladder, resting) == 2.0
    assert (runner_of(desk).size("trd", resting), runner_of(desk).last_price_traded) == (6.0, resting)


def test_a_better_price_of_another_account_is_taken_at_that_price() -> None:
    desk = Desk()
    first = desk.placed(limit(2.04, 5, "LAY"))
    second = desk.placed(limit(2.0, 12), account=BOB)
    assert [(price, size) for _, price, size in second.fills] == [(2.04, 5.0), (2.0, 7.0)]
    assert (first.matched, runner_of(desk).size("atb", 2.0)) == (5.0, 3.0)


def test_recorded_offers_that_were_there_first_are_taken_before_an_account() -> None:
    desk = Desk()
    resting = desk.placed(limit(2.1, 5))
    assert runner_of(desk).size("atl", 2.1) == 11.0
    desk.placed(limit(2.1, 7, "LAY"), account=BOB)
    assert (resting.matched, runner_of(desk).size("atl", 2.1)) == (1.0, 4.0)


def test_of_two_accounts_at_one_price_the_first_is_matched_first() -> None:
    desk = Desk()
    first = desk.placed(limit(2.06, 5))
    second = desk.placed(limit(2.06, 5), account=BOB)
    taker = desk.placed(limit(2.06, 7, "LAY"), account=BOB)
    assert (first.matched, second.matched, taker.matched) == (5.0, 2.0, 7.0)


def test_what_rests_shows_until_it_is_cancelled() -> None:
    desk = Desk()
    bet = desk.placed(limit(2.06, 5))
    desk.cancel({"betId": bet.bet_id, "sizeReduction": 2})
    assert runner_of(desk).size("atl", 2.06) == 3.0
    desk.cancel({"betId": bet.bet_id})
    assert runner_of(desk).ladder("atl") == {2.1: 6.0, 2.2: 4.0}


def test_bets_at_the_starting_price_do_not_show() -> None:
    desk = Desk()
    desk.placed(at_close(20, 2.0))
    desk.placed(at_close(20))
    assert runner_of(desk).ladder("atl") == {2.1: 6.0, 2.2: 4.0}


_MEETINGS = st.lists(
    st.tuples(
        st.sampled_from(["alice", "bob"]),
        st.sampled_from(["BACK", "LAY", "CANCEL"]),
        st.sampled_from([1.98, 2.0, 2.04, 2.06, 2.1, 2.2]),
        st.integers(100, 1500).map(lambda pence: pence / 100),
    ),
    max_size=15,
)


@given(steps=_MEETINGS)
def test_nothing_is_matched_that_was_not_offered(steps: list[tuple[str, str, float, float]]) -> None:
    """Between two messages: what accounts back is what they lay with each other and what they took of the recording."""
    desk = Desk()
    runner = runner_of(desk)
    for username, side, price, size in steps:
        account = ALICE if username == "alice" else BOB
        if side == "CANCEL":
            own = [bet for bet in desk.exchange.bets.values() if bet.username == username and bet.executable]
            if own:
                desk.cancel({"betId": own[0].bet_id}, account=account)
        else:
            desk.place(limit(price, size, side), account=account)
    bets = list(desk.exchange.bets.values())
    backed = sum(bet.matched for bet in bets if bet.back)
    laid = sum(bet.matched for bet in bets if not bet.back)
    taken_by_backs, taken_by_lays = sum(runner.taken["atb"].values()), sum(runner.taken["atl"].values())
    assert round(backed - taken_by_backs, 2) == round(laid - taken_by_lays, 2)
    assert runner.traded_here == pytest.approx(2 * (backed + taken_by_lays))
    assert {price: size for price, size in runner.taken["atb"].items() if size > runner.recorded["atb"][price]} == {}
    for back, ladder in ((True, "atl"), (False, "atb")):
        offered: dict[float, float] = {}
        for bet in bets:
            if bet.back == back and bet.executable:
                offered[bet.price] = round(offered.get(bet.price, 0.0) + bet.remaining, 2)
        assert runner.resting[ladder] == offered
    best_back = max(runner.ladder("atb"), default=0.0)
    best_lay = min(runner.ladder("atl"), default=1000.0)
    assert best_back < best_lay
