"""Orders, their bets, and everything that can happen in between: in the end all agree, and nothing was done twice.

The oracle is small: the exchange has what it has. Whatever comes in whatever order, whoever crashes when, whatever is
lost on its way: an order is its bet, of which there is one for each request; what is at stake is never more than the
coordinator counts; and once all has come to rest, orders, coordinator and exchange have the same to the penny.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import headrace as hr
from exchange_builders import ALICE, MARKET
from headrace.actors.live.exposure import Wanted, loss_of
from headrace.strategies.stands import Stand
from order_world import OWNER, Trader, World, world

#: What the exchange may do that it should not, or does rarely.
FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("bet.fill_before_cancel", {"value": "1"}),
    ("bet.fill_before_cancel", {}),
    ("bet.lapse", {}),
    ("bet.refuse", {"value": "SERVICE_UNAVAILABLE"}),
    ("bet.limit", {"value": "INSUFFICIENT_FUNDS"}),
    ("bet.replace_cut", {}),
    ("bet.replace_cut", {"value": "TIMEOUT"}),
    ("order.duplicate", {}),
    ("order.image", {}),
    ("order.strip", {}),
    ("order.blank_refs", {}),
    ("order.lost", {}),
    ("order.overtaken", {"seconds": 0.3}),
    ("order.delay", {"seconds": 0.3}),
    ("list.leave_out", {"every": 2}),
]
PRICES = (1.9, 1.98, 2.0, 2.02, 2.1, 3.0, 4.0)
#: Milliseconds between two crashes of a host: one that keeps crashing is given up, which is another story.
LONG_MS = 1_500
which = st.integers(0, 20)
#: How far a request comes before something else happens.
FAR = ("nowhere", "h1", "c", "exchange", "all")
far = st.sampled_from((*FAR, "all"))


def _place(side: str, price: float, runner: int, size: float, kind: str, strategy: Trader, market: Any) -> None:
    order_type: Any = hr.LimitOrder(price, size, persistence_type="PERSIST")
    if kind == "KILL":
        order_type = hr.LimitOrder(price, size, time_in_force="FILL_OR_KILL")
    elif kind == "SP":
        order_type = hr.MarketOnCloseOrder(20.0)
    order = hr.Trade(MARKET, runner, 0, strategy).create_order(side, order_type)
    with market.transaction(async_place_orders=kind == "ASYNC") as transaction:
        transaction.place_order(order)


def _of_any(number: int, act: Callable[[Any, Any], object]) -> Callable[[Trader, Any], object]:
    """Something about one of the orders that there are."""

    def done(strategy: Trader, market: Any) -> object:
        orders = [each for each in market.blotter if each.status is hr.OrderStatus.EXECUTABLE]
        if not orders:
            return None
        with contextlib.suppress(hr.OrderError):
            return act(market, orders[number % len(orders)])
        return None

    return done


class Orders(RuleBasedStateMachine):
    """One market, one strategy, one account."""

    def __init__(self) -> None:
        super().__init__()
        self._closing = contextlib.ExitStack()
        self.it: World = self._closing.enter_context(world())
        self.host_crashed = 0
        self.unasked = self.closed = False
        self.traded = 1_000.0

    @initialize(how=st.sampled_from(("h1", "c", "exchange", "all", "all")))
    def begin(self, how: str) -> None:
        """There is something that rests, and something that is matched."""
        for price in (3.0, 1.9):
            self._ask(partial(_place, "BACK", price, 1, 5.0, "LIMIT"), how)

    # -- what the strategy does --------------------------------------------------------------------------------------

    def _ask(self, act: Callable[[Trader, Any], object], how: str) -> None:
        """The strategy does something, and it comes so far."""
        it = self.it
        it.ask(act)
        if how == "all":
            it.settle()
            return
        for name in ("h1", "c", "exchange")[: FAR.index(how)]:
            if "s1" in it.running:
                it.read("s1", 1_000)
            for pair in it.waiting():
                if pair[1] == name:
                    it.deliver(pair)
            if name == "exchange":
                for call in [each for each in it.calls if not each.arrived]:
                    call.arrive()

    @rule(
        side=st.sampled_from(("BACK", "LAY")),
        price=st.sampled_from(PRICES),
        runner=st.sampled_from((1, 1, 2)),
        size=st.sampled_from((2.0, 5.0, 12.5)),
        kind=st.sampled_from(("LIMIT", "LIMIT", "LIMIT", "KILL", "SP", "ASYNC")),
        how=far,
    )
    def place(self, side: str, price: float, runner: int, size: float, kind: str, how: str) -> None:
        self._ask(partial(_place, side, price, runner, size, kind), how)

    @rule(number=which, size=st.sampled_from((None, 1.0)), how=far)
    def cancel(self, number: int, size: float | None, how: str) -> None:
        def act(market: Any, order: Any) -> None:
            self.it.cut[order.id] += math.inf if size is None else size
            market.cancel_order(order, size)

        self._ask(_of_any(number, act), how)

    @rule(number=which, price=st.sampled_from(PRICES), how=far)
    def replace(self, number: int, price: float, how: str) -> None:
        def act(market: Any, order: Any) -> None:
            self.it.cut[order.id] = math.inf
            market.replace_order(order, price)

        self._ask(_of_any(number, act), how)

    @rule(number=which, persistence=st.sampled_from(("LAPSE", "PERSIST")), how=far)
    def update(self, number: int, persistence: str, how: str) -> None:
        self._ask(_of_any(number, lambda market, order: market.update_order(order, persistence)), how)

    # -- what passes between them ------------------------------------------------------------------------------------

    @rule(number=which, count=st.integers(1, 4))
    def something_comes(self, number: int, count: int) -> None:
        """Letters to an actor, messages of a stream, a call, or its reply."""
        it = self.it
        moving: list[Callable[[], object]] = [partial(it.deliver, pair, count) for pair in it.waiting()]
        moving += [partial(it.read, name, count) for name in ("s1", "o1") if it.bytes[name] and name in it.running]
        moving += [call.arrive for call in it.calls if not call.arrived]
        moving += [call.answer for call in it.calls if call.reply is not None and not call.heard]
        if moving:
            moving[number % len(moving)]()

    @rule()
    def settle(self) -> None:
        self.it.settle()

    @rule(milliseconds=st.sampled_from((1, 50, 300, 1_000, 3_000, 12_000, 70_000)))
    def time_passes(self, milliseconds: int) -> None:
        """And all comes."""
        self.it.advance(milliseconds, settles=True)

    @rule(milliseconds=st.sampled_from((1, 50, 300, 1_000, 6_000)))
    def time_passes_and_nothing_comes(self, milliseconds: int) -> None:
        self.it.advance(milliseconds)

    # -- what the market does ----------------------------------------------------------------------------------------

    @precondition(lambda self: not self.closed)
    @rule(runner=st.sampled_from((1, 1, 2)), price=st.sampled_from(PRICES), size=st.sampled_from((4.0, 30.0, 500.0)))
    def trade(self, runner: int, price: float, size: float) -> None:
        self.traded += size
        traded = [[price, self.traded]]
        self.it.changes(lambda stream, at: stream.prices(at, {runner: {"trd": traded}}))

    @precondition(lambda self: not self.closed)
    @rule(status=st.sampled_from(("OPEN", "OPEN", "SUSPENDED")), delay=st.sampled_from((0, 0, 1)))
    def turn(self, status: str, delay: int) -> None:
        self.it.changes(
            lambda stream, at: stream.define(at, status=status, version=at, inPlay=delay > 0, betDelay=delay)
        )

    @rule(what=st.sampled_from(("close", "close", "reopen", "void")), winner=st.sampled_from((1, 2)))
    def end(self, what: str, winner: int) -> None:
        """The market closes, or is settled again; it is open again; or a bet is voided, after its end."""
        if what == "close":
            self.closed = True
            bsp = {1: 2.0, 2: 2.0}
            self.it.changes(lambda stream, at: stream.close(at, winner, bsp, bspReconciled=True, version=at))
        elif what == "reopen" and self.closed:
            self.closed, self.unasked = False, True
            runners = {1: {"status": "ACTIVE"}, 2: {"status": "ACTIVE"}}
            self.it.changes(lambda stream, at: stream.define(at, runners, status="OPEN", version=at))
        elif what == "void":
            # What it hedged is not hedged any more, before anybody hears of it.
            self.unasked = True
            self.it.fault("bet.void", username=ALICE.username)

    @precondition(lambda self: not self.closed)
    @rule(number=which, price=st.sampled_from((2.02, 3.0, 4.0)))
    def twin(self, number: int, price: float) -> None:
        """Somebody places another bet with the references of one of ours."""
        bets = [each for each in self.bets() if each.is_limit and each.order_ref]
        if bets:
            self.unasked = True
            self.it.place_elsewhere(bets[number % len(bets)], price)

    # -- what goes wrong ---------------------------------------------------------------------------------------------

    @rule(fault=st.sampled_from(FAULTS))
    def exchange_fails(self, fault: tuple[str, dict[str, Any]]) -> None:
        kind, of = fault
        where = {"username": ALICE.username} if kind.startswith(("bet", "list")) else {}
        self.it.fault(kind, **of, **where)

    @rule(number=which, how=st.sampled_from(("lose", "lose", "refuse", "drop")))
    def call_fails(self, number: int, how: str) -> None:
        calls = [each for each in self.it.calls if not each.heard and (how == "lose" or not each.arrived)]
        if calls:
            getattr(calls[number % len(calls)], how)()

    @rule(name=st.sampled_from(("c", "c", "h1", "h1", "s1", "o1")), unsent=st.integers(0, 2), again=st.booleans())
    def crash(self, name: str, unsent: int, again: bool) -> None:
        if name == "h1":
            if self.it.now - self.host_crashed < LONG_MS:
                return
            self.host_crashed = self.it.now
        self.it.crash(name, unsent)
        if again:
            self.it.start_again()

    @rule(point=st.sampled_from(("before sending", "after sending", "letters")), number=which)
    def crash_at(self, point: str, number: int) -> None:
        """The coordinator crashes when it next comes there, or with letters that it has not dealt with."""
        if point != "letters":
            self.it.trap = point
            return
        pairs = [pair for pair in self.it.waiting() if pair[1] == "c"]
        if pairs:
            self.it.deliver(pairs[number % len(pairs)], 1 + number % 3, ends=False)
            self.it.start_again()

    @rule(again=st.booleans())
    def drop_orders(self, again: bool) -> None:
        """The order stream's connection is cut; or it is made again."""
        if again and "o1" in self.it.running and "o1" not in self.it.wires:
            self.it.connect("o1")
        else:
            self.it.drop("o1")

    # -- what holds --------------------------------------------------------------------------------------------------

    def bets(self) -> list[Any]:
        return list(self.it.exchange.bets.values())

    @invariant()
    def nothing_is_sent_twice(self) -> None:
        assert all(times <= 1 for times in self.it.placed.values()), self.it.placed

    @invariant()
    def nothing_is_at_stake_that_does_not_count(self) -> None:
        if "c" in self.it.running and not self.closed and not self.unasked:
            counted = self.it.c.betting.exposure.total()
            assert counted >= at_stake(self.it, self.bets()) - 0.005, (counted, self.bets())

    def teardown(self) -> None:
        try:
            come_to_rest(self.it)
            require_agreement(self.it)
        finally:
            self._closing.close()


def at_stake(it: World, bets: list[Any]) -> float:
    """What bets lose at worst."""
    found = []
    for bet in bets:
        at_sp = not bet.is_limit
        remaining = (0.0 if bet.ended else bet.liability) if at_sp else bet.remaining
        side = "BACK" if bet.back else "LAY"
        price, average = bet.price or None, bet.average
        found.append(Wanted(bet.selection_id, 0.0, side, price, remaining, at_sp, matched=bet.matched, average=average))
    return loss_of(found, it.c.routes.definition_of(MARKET))


def come_to_rest(it: World) -> None:
    """Nothing goes wrong any more; all that is under way or in doubt comes to its end."""
    it.faults.clear()
    it.trap = ""
    Trader.todo.clear()
    it.start_again()
    it.advance(6_000)
    for _ in range(3):
        if "o1" in it.running and "o1" not in it.wires:
            it.connect("o1")
        it.advance(70_000, settles=True)


def require_agreement(it: World) -> None:
    desk = it.c.betting.accounts.of(OWNER)
    everything = {bet.bet_id: bet for bet in it.exchange.bets.values()}
    heard = {each.bet_id for each in desk.bets.in_market(MARKET)}
    # What another program has placed, and has ended while nobody listened, is none of ours.
    others = {each for each in it.elsewhere_placed if each not in heard and everything[each].ended}
    bets = {bet_id: bet for bet_id, bet in everything.items() if bet_id not in others}
    assert desk.orders is not None
    closed = it.exchange.markets[MARKET].closed_at is not None
    # The coordinator and the exchange.
    assert not it.c.betting.gate.unready
    assert not len(desk.orders.doubts)
    assert desk.orders.held == {}
    assert desk.bets.foreign == {}
    known = {each.bet_id: each for each in desk.bets.in_market(MARKET) if each.bet_id is not None}
    assert known.keys() == bets.keys()
    for bet_id, bet in bets.items():
        each = known[bet_id]
        assert (each.matched, each.ended) == (bet.matched, bet.ended), bet_id
        if bet.is_limit:
            assert each.remaining == bet.remaining, bet_id
    assert {each.bet_id for each in desk.bets.live} == {each.bet_id for each in bets.values() if not each.ended}
    assert it.c.betting.exposure.total() == (
        0.0 if closed else pytest.approx(at_stake(it, list(bets.values())), abs=0.001)
    )
    # The strategy and the exchange.
    assert [each.message for room in it.h1.rooms.values() for each in room.failures] == []
    assert [each.message for each in it.c.betting.failures] == []
    market = it.market
    if market is None:
        assert not bets
        return
    orders = {order.bet_id: order for order in market.blotter if order.bet_id is not None}
    # Of bets with one reference each counts, and one of them is the order's.
    assert orders.keys() <= bets.keys()
    assert len(orders) == len(everything) - len(it.elsewhere_placed)
    for bet_id, order in orders.items():
        bet = bets[bet_id]
        sizes = (order.size_matched, order.size_cancelled, order.size_lapsed, order.size_voided)
        assert sizes == (bet.matched, bet.cancelled, bet.lapsed, bet.voided), bet_id
        if not bet.asked.time_in_force:  # else the exchange kills it
            assert bet.cancelled <= it.cut[order.id], "more of it was cancelled than was asked for"
        assert (order.state.stand is Stand.LIVE) is (not bet.ended), bet_id
        if bet.matched:
            assert order.average_price_matched == pytest.approx(bet.average, abs=0.005)
    assert all(order.complete for order in market.blotter if order.bet_id is None)
    assert not any(order.state.request for order in market.blotter)
    if closed:
        results = {bet_id: bet.result.profit for bet_id, bet in bets.items() if bet.result is not None}
        for bet_id, profit in results.items():
            assert bet_id not in orders or orders[bet_id].profit == pytest.approx(profit, abs=0.005), bet_id
        assert sum(desk.results.get(MARKET, {}).values()) == pytest.approx(sum(results.values()), abs=0.005)


@pytest.mark.hypothesis
def test_whatever_comes_in_whatever_order_orders_are_their_bets() -> None:
    quiet = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    examples = 12 if settings.default is not None and settings.default.derandomize else 60
    run_state_machine_as_test(
        Orders, settings=settings(max_examples=examples, stateful_step_count=30, suppress_health_check=quiet)
    )


def test_a_void_that_nobody_heard_of_is_found_though_nothing_of_the_market_was_settled() -> None:
    with world() as it:
        it.ask(partial(_place, "BACK", 1.9, 1, 5.0, "LIMIT"))
        it.settle()
        it.fault("bet.void", username=ALICE.username)
        it.crash("o1")
        it.changes(lambda stream, at: stream.close(at))
        it.settle()
        (order,) = it.market.blotter
        assert (order.size_matched, it.c.betting.exposure.total()) == (5.0, 5.0)
        come_to_rest(it)
        assert (order.size_matched, order.size_voided, it.c.betting.exposure.total()) == (0.0, 5.0, 0.0)
        require_agreement(it)
