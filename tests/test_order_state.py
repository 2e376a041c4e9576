"""Where an order stands: what may be done here, and what becomes of whatever the exchange tells, in any order."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import headrace as hr
from builders import MARKET, T0, Stream
from headrace.actors.coordinator import Coordinator
from headrace.actors.exchange import Desk, MarketExchange
from headrace.actors.market import MarketActor
from headrace.strategies.blotter import Blotter
from headrace.strategies.book import MarketBook
from headrace.strategies.changes import MarketChange
from headrace.strategies.clock import Clock
from headrace.strategies.errors import OrderError
from headrace.strategies.host import Host, numbered_ids
from headrace.strategies.hosting import Hosting
from headrace.strategies.messages import (
    CANCEL,
    CLEARED,
    EXPIRED,
    FAILURE,
    LIST,
    PLACE,
    REFUSED,
    REPLACE,
    REPORT,
    SIMULATED,
    STREAM,
    SUCCESS,
    UNCONFIRMED,
    UNKNOWN,
    OrderFact,
    Reply,
    Report,
    Request,
)
from headrace.strategies.order_state import OrderState, Taken
from headrace.strategies.rules import Rules
from headrace.strategies.stands import (
    CANCELLING,
    DONE,
    IN_DOUBT,
    LIVE,
    NEW,
    NEXT,
    NOT_PLACED,
    REPLACING,
    SENT,
    UPDATING,
    OrderStatus,
    Stand,
    State,
)
from headrace.strategies.stands import REFUSED as REFUSED_STATE
from headrace.strategies.stands import UNCONFIRMED as UNCONFIRMED_STATE

S = OrderStatus
SIZE, PRICE = 10.0, 3.0
TOLD = settings(max_examples=100, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink))
#: A message about one order: what takes it.
Message = Callable[[OrderState], Taken]

# -- moves that are made here ----------------------------------------------------------------------------------------

#: A way to each state.
WAYS: dict[State, tuple[State, ...]] = {
    NEW: (),
    SENT: (SENT,),
    IN_DOUBT: (SENT, IN_DOUBT),
    LIVE: (SENT, LIVE),
    CANCELLING: (SENT, LIVE, CANCELLING),
    UPDATING: (SENT, LIVE, UPDATING),
    REPLACING: (SENT, LIVE, REPLACING),
    DONE: (SENT, LIVE, DONE),
    NOT_PLACED: (SENT, NOT_PLACED),
    REFUSED_STATE: (REFUSED_STATE,),
    UNCONFIRMED_STATE: (SENT, IN_DOUBT, UNCONFIRMED_STATE),
}


def at(state: State, guarded: bool = True) -> OrderState:
    order = OrderState(SIZE, guarded)
    for each in WAYS[state]:
        order.move(each)
    return order


def test_every_state_has_its_row_in_the_table() -> None:
    assert set(NEXT) == set(WAYS)
    assert {each for row in NEXT.values() for each in row} == set(NEXT) - {NEW}
    assert [state for state, row in NEXT.items() if not row] == [DONE, NOT_PLACED, REFUSED_STATE, UNCONFIRMED_STATE]


@pytest.mark.parametrize(("start", "into"), list(itertools.product(NEXT, NEXT)), ids=repr)
def test_moves_follow_the_table_and_others_raise(start: State, into: State) -> None:
    order = at(start)
    if into in NEXT[start]:
        order.move(into)
        assert (order.state, order.status, order.complete) == (into, into.status, into.complete)
        assert order.status_log[-1] is into.status
    else:
        with pytest.raises(OrderError, match="cannot become"):
            order.move(into)
        assert order.state is start


def test_by_the_peers_rules_any_state_follows_any() -> None:
    order = at(DONE, guarded=False)
    order.move(LIVE)
    assert order.status is S.EXECUTABLE


def test_statuses_are_flumines_names_of_the_states() -> None:
    assert {repr(state): state.status.name for state in NEXT if state.status} == {
        "<State SENT>": "PENDING",
        "<State IN_DOUBT>": "PENDING",
        "<State LIVE>": "EXECUTABLE",
        "<State LIVE CANCEL>": "CANCELLING",
        "<State LIVE UPDATE>": "UPDATING",
        "<State LIVE REPLACE>": "REPLACING",
        "<State DONE>": "EXECUTION_COMPLETE",
        "<State NOT_PLACED>": "EXPIRED",
        "<State REFUSED>": "VIOLATION",
        "<State UNCONFIRMED>": "UNCONFIRMED",
    }
    assert {state.stand for state in NEXT} == set(Stand)


# -- lives of a bet --------------------------------------------------------------------------------------------------


def fact(
    when: int,
    matched: float = 0.0,
    *,
    average: float | None = None,
    cancelled: float = 0.0,
    lapsed: float = 0.0,
    voided: float = 0.0,
    source: str = SIMULATED,
    bet_id: str | None = "1",
    fills: Any = None,
    why: str | None = None,
    order_id: str | None = "o",
) -> OrderFact:
    remaining = round(SIZE - matched - cancelled - lapsed - voided, 2)
    average = (PRICE if matched else 0.0) if average is None else average
    return OrderFact(
        MARKET, order_id, bet_id, source, T0 + when, remaining > 0, PRICE, SIZE, "LAPSE", matched, average, remaining,
        cancelled, lapsed, voided, fills, why,
    )  # fmt: skip


def unconfirmed(known: OrderFact) -> OrderFact:
    """The bet of a fact is in no list any more, and nobody has told of its end."""
    return msgspec.structs.replace(known, source=LIST, executable=False, fills=None, why=UNCONFIRMED)


def telling(told: OrderFact) -> Message:
    return lambda order: order.take_fact(told)


def report(operation: str, status: str = SUCCESS, request_id: str = "1", **fields: Any) -> Message:
    made = Report("o", operation, status, **fields)
    return lambda order: order.take_report(request_id, made)


def outcome(kind: str, request_id: str = "1", operation: str = PLACE) -> Message:
    return lambda order: order.take_outcome(request_id, kind, operation)


@st.composite
def facts(draw: st.DrawFn, sources: Sequence[str] = (SIMULATED, STREAM, LIST, CLEARED)) -> list[OrderFact]:
    """How a bet goes: matched in pieces, cut down, ended, and what may come after its end; told by several sources."""
    told: list[OrderFact] = []
    matched = cancelled = lapsed = voided = 0.0
    fills: list[tuple[float, float, float]] = []
    when = draw(st.integers(0, 3))

    def tell() -> None:
        value = sum(price * size for _, price, size in fills)
        average = value / matched if matched else 0.0
        for source in draw(st.lists(st.sampled_from(sources), min_size=1, max_size=2, unique=True)):
            simulated = source == SIMULATED
            told.append(
                fact(
                    when,
                    matched,
                    average=round(average, 10 if simulated else 2),
                    cancelled=cancelled,
                    lapsed=lapsed,
                    voided=voided,
                    source=source,
                    fills=tuple(fills) if simulated else None,
                )
            )

    tell()
    for step in draw(st.lists(st.sampled_from(("match", "match", "cancel", "touch")), max_size=4)):
        when += draw(st.sampled_from((0, 1, 50)))
        rest = round(SIZE - matched - cancelled, 2)
        size = min(draw(st.sampled_from((0.5, 2.0, 3.33, 10.0))), rest)
        if step == "match" and size:
            fills.append((T0 + when, draw(st.sampled_from((3.0, 3.5, 4.0))), size))
            matched = round(matched + size, 2)
        elif step == "cancel":
            cancelled = round(cancelled + size, 2)
        tell()
    if draw(st.booleans()):
        when += 1
        lapsed = round(SIZE - matched - cancelled, 2)
        tell()
    if matched and draw(st.booleans()):  # another runner is removed: prices are reduced
        when += draw(st.sampled_from((0, 1)))
        fills = [(time, round(price * 0.9, 2), size) for time, price, size in fills]
        tell()
    if draw(st.booleans()):  # the bet's own runner is: all but what is cancelled or lapsed is void
        when += 1
        voided, matched, fills = round(SIZE - cancelled - lapsed, 2), 0.0, []
        tell()
    return told


placed_reply = st.builds(lambda when: report(PLACE, bet_id="1", placed_at=T0 + when), st.integers(0, 2))


@st.composite
def lives(draw: st.DrawFn) -> list[Message]:
    """All that is told of an order: one that becomes a bet, or one that does not."""
    kind = draw(st.sampled_from(("bet", "bet", "bet", "refused", "failed", "closed", "lost")))
    unsure: list[Message] = draw(st.lists(st.sampled_from((outcome(UNKNOWN), outcome(UNCONFIRMED))), max_size=2))
    if kind == "refused":
        return [outcome(REFUSED), *unsure]
    if kind == "lost":
        return [outcome(EXPIRED), *unsure]
    if kind == "failed":
        told = [telling(fact(1, lapsed=SIZE, bet_id=None))] if draw(st.booleans()) else []
        return [report(PLACE, FAILURE, error_code="INVALID_ODDS", placed_at=T0 + 1), *told, *unsure]
    if kind == "closed":
        wrongly = draw(st.lists(st.just(outcome(EXPIRED)), max_size=1))
        return [telling(fact(9, lapsed=SIZE, bet_id=None, why="MARKET_CLOSED")), *wrongly, *unsure]
    wrongly = draw(st.lists(st.sampled_from((outcome(EXPIRED), report(PLACE, FAILURE, error_code="X"))), max_size=1))
    replies = draw(st.lists(placed_reply, min_size=0, max_size=2))
    told = draw(facts())
    lost = [telling(unconfirmed(each)) for each in draw(st.lists(st.sampled_from(told), max_size=1))]
    return [*map(telling, told), *lost, *replies, *unsure, *wrongly]


@st.composite
def shuffled(draw: st.DrawFn, life: Sequence[Message]) -> list[Message]:
    """The same messages in another order, some of them several times."""
    again = draw(st.lists(st.sampled_from(life), max_size=4))
    return draw(st.permutations([*life, *again]))


def seen(order: OrderState) -> tuple[Any, ...]:
    """What is promised whatever the order of arrival."""
    return (
        order.state,
        order.status,
        order.complete,
        order.size_matched,
        order.average_price_matched,
        order.size_remaining,
        order.size_cancelled,
        order.size_lapsed,
        order.size_voided,
        order.fills,
        order.matched_ms,
        order.bet_id,
        order.placed_ms,
        order.error_code,
        order.not_placed,
    )


def sent() -> OrderState:
    order = at(SENT)
    order.request_id = "1"
    return order


@TOLD
@given(data=st.data())
def test_any_order_and_repetition_of_what_is_told_leads_to_one_state(data: st.DataObject) -> None:
    life = data.draw(lives())
    plain, mixed = sent(), sent()
    for message in life:
        message(plain)
    for message in data.draw(shuffled(life)):
        message(mixed)
    assert seen(mixed) == seen(plain)


@TOLD
@given(data=st.data())
def test_the_same_again_changes_nothing_and_says_that_nothing_came_of_it(data: st.DataObject) -> None:
    life, order = data.draw(lives()), sent()
    known: list[Message] = []
    for message in data.draw(shuffled(life)):
        message(order)
        known.append(message)
        before = (seen(order), list(order.status_log))
        for each in known:
            assert each(order)._replace(discrepancy=None) == Taken()
        assert (seen(order), order.status_log) == before


@TOLD
@given(data=st.data(), asked=st.sampled_from((CANCELLING, UPDATING, REPLACING)), reply=st.sampled_from("sfou"))
def test_a_request_under_way_ends_with_its_answer_or_with_the_bet(
    data: st.DataObject, asked: State, reply: str
) -> None:
    assert asked.request is not None
    told = data.draw(facts())
    operation = CANCEL if asked is REPLACING else asked.request
    answer = {
        "s": report(operation, request_id="2"),
        "f": report(operation, FAILURE, request_id="2", error_code="BET_TAKEN_OR_LAPSED"),
        "o": outcome(REFUSED, "2", asked.request),
        "u": outcome(UNKNOWN, "2", asked.request),
    }[reply]
    life = [*map(telling, told), answer]
    ends = []
    for messages in (life, data.draw(shuffled(life))):
        order = sent()
        report(PLACE, bet_id="1", placed_at=T0)(order)
        order.move(asked)
        order.request_id = "2"
        for message in messages:
            message(order)
        ends.append(seen(order))
    assert ends[0] == ends[1]
    assert ends[0][0] in (LIVE, DONE)


@TOLD
@given(data=st.data())
def test_the_greater_accounted_total_wins_and_then_the_later_time(data: st.DataObject) -> None:
    told, order = data.draw(facts()), sent()
    for each in data.draw(st.permutations(told)):
        order.take_fact(each)
    last = max(told, key=lambda each: (round(each.matched + each.cancelled + each.lapsed + each.voided, 2), each.at))
    sizes = (order.size_matched, order.size_cancelled, order.size_lapsed, order.size_voided, order.size_remaining)
    assert sizes == (last.matched, last.cancelled, last.lapsed, last.voided, last.remaining)
    assert order.state is (LIVE if last.remaining else DONE)


def take(order: OrderState, *told: OrderFact) -> list[Taken]:
    return [order.take_fact(each) for each in told]


def test_what_came_of_facts_is_answered() -> None:
    order = sent()
    assert take(order, fact(1), fact(2, 4.0), fact(3, 10.0), fact(3, 10.0)) == [
        Taken(went_live=True, changed=True),
        Taken(matched=True, changed=True),
        Taken(matched=True, ended=True, changed=True),
        Taken(),
    ]
    assert order.status_log == [S.PENDING, S.EXECUTABLE, S.EXECUTION_COMPLETE]


def test_done_is_not_undone_by_a_late_reply() -> None:
    order = sent()
    take(order, fact(2, 10.0))
    assert report(PLACE, bet_id="1", placed_at=T0 + 1)(order) == Taken()
    assert (order.state, order.size_matched, order.placed_ms) == (DONE, 10.0, T0 + 1)


def test_a_void_after_the_end_is_applied() -> None:
    order = sent()
    take(order, fact(2, 10.0), fact(9, voided=10.0))
    assert (order.state, order.size_matched, order.size_voided) == (DONE, 0.0, 10.0)


def test_a_reduction_after_the_end_is_applied_even_at_the_same_moment() -> None:
    order = sent()
    take(order, fact(2, 10.0), fact(2, 10.0, average=2.7), fact(2, 10.0))
    assert (order.state, order.average_price_matched) == (DONE, 2.7)


def test_a_lower_liability_at_the_moment_of_the_placing_is_taken() -> None:
    order = sent()
    reduced = msgspec.structs.replace(fact(1), size=8.0, remaining=0.0)
    assert take(order, msgspec.structs.replace(fact(1), remaining=0.0), reduced)[1].changed


def test_facts_of_one_moment_that_differ_leave_one_state_whichever_comes_first() -> None:
    differing = [fact(1, cancelled=2.0), fact(1, lapsed=2.0)]
    ends = []
    for told in (differing, differing[::-1]):
        order = sent()
        take(order, *told)
        ends.append(seen(order))
    assert ends[0] == ends[1]


def test_less_accounted_for_at_a_later_time_is_a_discrepancy_whichever_comes_first() -> None:
    early, late = fact(1, 6.0), fact(2, 4.0)
    for told in ([early, late], [late, early]):
        order = sent()
        found = take(order, *told)[-1].discrepancy
        assert found is not None
        assert "6.00 accounted for" in found or "4.00 accounted for" in found
        assert order.size_matched == 6.0


def test_another_bets_fact_is_a_discrepancy_and_changes_nothing() -> None:
    order = sent()
    take(order, fact(1, 2.0))
    before = seen(order)
    assert take(order, fact(2, 5.0, bet_id="2")) == [Taken(discrepancy="is bet 1, told of bet 2")]
    assert report(PLACE, bet_id="2", placed_at=T0 + 5)(order) == Taken(discrepancy="is bet 1, told of bet 2")
    assert seen(order) == before


def test_a_bet_that_is_shown_exists_whatever_an_answer_said() -> None:
    order = sent()
    report(PLACE, FAILURE, error_code="TIMEOUT", placed_at=T0)(order)
    assert (order.state, order.error_code) == (DONE, "TIMEOUT")
    (taken,) = take(order, fact(1))
    assert (taken.went_live, taken.discrepancy) == (True, "is done, told that it can be matched")
    assert (order.state, order.error_code, order.placed_ms) == (LIVE, None, None)


def test_a_failure_told_after_the_success_is_a_discrepancy() -> None:
    order = sent()
    report(PLACE, bet_id="1", placed_at=T0)(order)
    found = report(PLACE, FAILURE, error_code="INVALID_ODDS", placed_at=T0 + 9)(order)
    assert found == Taken(discrepancy="is bet 1, told that it was not placed: INVALID_ODDS")
    assert (order.state, order.error_code, order.placed_ms) == (LIVE, None, T0)


def test_an_order_in_doubt_is_found_again() -> None:
    order = sent()
    outcome(UNKNOWN)(order)
    assert (order.state, order.status) == (IN_DOUBT, S.PENDING)
    assert report(PLACE, bet_id="1", placed_at=T0)(order).went_live


def test_an_order_of_which_nothing_can_be_learnt_ends_unconfirmed_and_may_be_found_later() -> None:
    order = sent()
    outcome(UNKNOWN)(order)
    assert outcome(UNCONFIRMED)(order) == Taken(ended=True)
    assert (order.state, order.status, order.complete, order.size_remaining) == (
        UNCONFIRMED_STATE,
        S.UNCONFIRMED,
        True,
        SIZE,
    )
    assert outcome(UNKNOWN)(order) == Taken(), "what is known less well changes nothing"
    assert report(PLACE, bet_id="1", placed_at=T0)(order) == Taken(went_live=True)
    assert (order.state, order.complete) == (LIVE, False)


def test_an_unconfirmed_order_that_was_not_placed_after_all_says_so() -> None:
    order = sent()
    outcome(UNCONFIRMED)(order)
    outcome(EXPIRED)(order)
    assert (order.state, order.not_placed) == (NOT_PLACED, "EXPIRED")


def test_a_bet_that_no_list_has_is_unconfirmed_with_what_is_known_of_it() -> None:
    order = sent()
    known = fact(5, 4.0)
    take(order, known)
    (taken,) = take(order, unconfirmed(known))
    assert (taken.ended, order.state, order.is_done) == (True, UNCONFIRMED_STATE, False)
    assert (order.size_matched, order.size_remaining, order.bet_id) == (4.0, 6.0, "1")
    (found,) = take(order, fact(6, 4.0, source=LIST))
    assert (found.went_live, found.discrepancy, order.state) == (True, None, LIVE)


def test_a_late_answer_to_a_cancel_says_nothing_of_the_placing() -> None:
    order = sent()
    take(order, fact(1, 10.0))
    assert outcome(EXPIRED, "2", CANCEL)(order) == Taken()
    assert (order.state, order.not_placed) == (DONE, None)


def test_what_a_refused_order_is_told_later() -> None:
    order = sent()
    outcome(REFUSED)(order)
    assert report(PLACE, bet_id="1", placed_at=T0)(order) == Taken(
        went_live=True, discrepancy="is refused, told that it was placed"
    )


def test_an_answer_to_an_earlier_request_leaves_the_one_under_way() -> None:
    order = at(CANCELLING)
    order.request_id = "3"
    report(CANCEL, FAILURE, request_id="2")(order)
    assert order.state is CANCELLING


def test_fills_stay_while_another_source_tells_of_the_same_size() -> None:
    order, fills = sent(), ((T0 + 1, 3.0, 4.0),)
    take(order, fact(1, 4.0, fills=fills), fact(2, 4.0, source=STREAM))
    assert order.fills == fills
    take(order, fact(3, 6.0, source=STREAM))
    assert order.fills == ()


# -- orders, and the blotter that listens ----------------------------------------------------------------------------


class Kept:
    """One order in a blotter, sent."""

    def __init__(self) -> None:
        self.host = Host(Clock(T0), hr.Config(), numbered_ids())
        self.strategy = hr.Strategy(name="Mine")
        self.strategy._headrace = Hosting(self.host)
        self.blotter = Blotter(MARKET, Rules())
        self.trade = hr.Trade(MARKET, 1, 0, self.strategy)
        self.order = self.trade.create_order("BACK", hr.LimitOrder(PRICE, SIZE))
        self.order.client = hr.SimulatedClient()
        self.order.request_id = "1"
        self.order.instruction()
        self.order.place(None, None, False)
        self.blotter.add(self.order)
        self.lookup = (MARKET, 1, 0)

    def take(self, message: Message) -> None:
        """As an actor does: then what came to its end is completed."""
        message(self.order)
        for order in self.blotter.finished:
            if order.complete:
                self.blotter.complete_order(order)
        self.blotter.finished.clear()

    def exposures(self) -> dict[str, float]:
        return self.blotter.get_exposures(self.strategy, self.lookup)

    def afresh(self) -> dict[str, float]:
        blotter = Blotter(MARKET, Rules())
        blotter.add(self.order)
        found = blotter.get_exposures(self.strategy, self.lookup)
        self.order.listen(self.blotter)
        return found

    def seen(self) -> tuple[Any, ...]:
        order, live = self.order, list(self.blotter.live_orders)
        mine = self.blotter.orders_of(self.strategy)
        assert mine is not None
        response = order.responses.place_response
        return (
            *seen(order)[:11],
            order.responses.placed_ms,
            *seen(order)[11:],
            response and (response.status, response.error_code, response.bet_id),
            self.exposures(),
            live == ([] if order.complete else [order]),
            self.trade.status,
            self.blotter.get_order_bet_id("1") is (order if order.bet_id else None),
        )


@TOLD
@given(data=st.data())
def test_the_blotter_follows_whatever_the_order_of_what_is_told(data: st.DataObject) -> None:
    life = data.draw(lives())
    plain, mixed = Kept(), Kept()
    for message in life:
        plain.take(message)
    for message in data.draw(shuffled(life)):
        mixed.take(message)
        assert mixed.exposures() == mixed.afresh()
        assert (mixed.order in mixed.blotter.live_orders) is not mixed.order.complete
    assert mixed.seen()[:-2] == plain.seen()[:-2]


def test_an_order_that_comes_back_is_live_and_shown_again() -> None:
    kept = Kept()
    kept.take(report(PLACE, FAILURE, error_code="TIMEOUT", placed_at=T0))
    mine = kept.blotter.orders_of(kept.strategy)
    assert mine is not None
    mine.drop(mine.take_ended())
    assert (mine.listed(), list(kept.blotter.live_orders)) == ([], [])
    kept.take(telling(fact(1, 4.0)))
    assert (mine.listed(), list(kept.blotter.live_orders)) == ([kept.order], [kept.order])
    assert (kept.order.complete_ms, kept.order.status_ms) == (None, T0)
    assert kept.exposures()["worst_possible_profit_on_lose"] == -10.0


def test_a_void_after_the_end_reaches_the_exposures() -> None:
    kept = Kept()
    kept.take(telling(fact(1, 10.0)))
    assert kept.exposures()["matched_profit_if_win"] == 20.0
    kept.take(telling(fact(5, voided=10.0)))
    assert kept.exposures()["matched_profit_if_win"] == 0.0


# -- through the door of an actor ------------------------------------------------------------------------------------


class Line(MarketExchange):
    """An exchange's side of a market that answers nothing: what it would say is sent by the test."""

    def __init__(self) -> None:
        self.sent: list[Request] = []

    def open(self, market_id: str, book: MarketBook, desk: Desk) -> MarketExchange:
        return self

    def send(self, request: Request) -> None:
        self.sent.append(request)


class Hand(hr.Strategy):
    """Places one bet, and notes what it is shown."""

    def check_market_book(self, market: Any, market_book: Any) -> bool:
        return not market.blotter.active

    def process_market_book(self, market: Any, market_book: Any) -> None:
        order = hr.Trade(market.market_id, 1, 0, self).create_order("BACK", hr.LimitOrder(PRICE, SIZE))
        market.place_order(order, force=True)


class Desked:
    """An actor with one live bet, number 1, that a replace is under way for."""

    def __init__(self) -> None:
        self.line = Line()
        self.actor = MarketActor(
            Host(Clock(), hr.Config(raise_errors=True), numbered_ids()),
            [Hand(max_order_exposure=None, max_selection_exposure=None)],
            Coordinator([hr.SimulatedClient()]),
            self.line,
        )
        for line in Stream().prices(10, {1: {"atb": [[2.0, 10]], "atl": [[2.1, 10]]}}).lines:
            change = msgspec.json.decode(json.dumps(line["mc"][0]), type=MarketChange)
            self.actor.receive(change, line["pt"])
        self.market = self.actor.markets.markets[MARKET]
        (self.order,) = self.market.blotter
        place = self.line.sent[0]
        self.actor.receive(self.reply(place, self.order.id, PLACE, bet_id="1"), T0 + 20)
        self.actor.receive(fact(20, order_id=self.order.id), T0 + 20)
        self.market.replace_order(self.order, 4.0, force=True)
        self.replace = self.line.sent[1]
        self.new_id = self.replace.instructions[0].new_order_id

    @staticmethod
    def reply(request: Request, order_id: str, operation: str, **fields: Any) -> Reply:
        made = Report(order_id, operation, SUCCESS, placed_at=T0 + 30, **fields)
        return Reply(request.request_id, MARKET, T0 + 30, reports=(made,))

    def story(self, reference: str) -> list[Any]:
        """The replace: cancelled, placed as bet 2, which is matched twice. `reference`: how facts name bet 2."""
        named = {"new": self.new_id, "old": self.order.id, "none": None}[reference]
        return [
            self.reply(self.replace, self.order.id, CANCEL, size=SIZE),
            self.reply(self.replace, self.new_id, PLACE, bet_id="2"),
            fact(30, cancelled=SIZE, order_id=self.order.id),
            fact(30, bet_id="2", order_id=named),
            fact(31, 4.0, bet_id="2", order_id=named),
            fact(32, 10.0, bet_id="2", order_id=named),
        ]


@TOLD
@given(data=st.data(), reference=st.sampled_from(("new", "old", "none")))
def test_a_replace_ends_alike_in_whatever_order_it_is_told(data: st.DataObject, reference: str) -> None:
    desk = Desked()
    story = desk.story(reference)
    for number, message in enumerate(data.draw(shuffled(story))):
        desk.actor.receive(message, T0 + 40 + number)
    old, new = desk.market.blotter
    assert (old.bet_id, old.status, old.size_cancelled, old.size_matched) == ("1", S.EXECUTION_COMPLETE, SIZE, 0.0)
    assert (new.id, new.bet_id, new.status, new.size_matched) == (desk.new_id, "2", S.EXECUTION_COMPLETE, SIZE)
    assert not desk.market.blotter.has_live_orders
    assert new.trade is old.trade
    assert new.trade.status.name == "COMPLETE"


@TOLD
@given(data=st.data(), reference=st.sampled_from(("new", "old", "none")))
def test_what_is_about_to_be_placed_anew_counts_in_whatever_order_it_is_told(
    data: st.DataObject, reference: str
) -> None:
    desk = Desked()
    selection = desk.market.blotter._by_strategy[desk.order.trade.strategy].selections[desk.order.lookup]

    def exposure() -> float:
        return desk.market.blotter.selection_exposure(desk.order.trade.strategy, desk.order.lookup)

    for number, message in enumerate(data.draw(shuffled(desk.story(reference)[:4]))):
        desk.actor.receive(message, T0 + 40 + number)
        counted = exposure()
        assert counted >= SIZE, "one of the two bets is there, or will be"
        selection.stale()
        assert exposure() == counted
    assert exposure() == SIZE


def test_only_what_the_replace_has_cancelled_is_about_to_be_placed_anew() -> None:
    desk = Desked()
    desk.actor.receive(fact(30, 4.0, cancelled=6.0, order_id=desk.order.id), T0 + 40)
    trade = desk.order.trade
    assert trade.to_be_placed(desk.order) == (4.0, 6.0)
    assert desk.market.blotter.selection_exposure(trade.strategy, desk.order.lookup) == SIZE
    refused = Report(desk.new_id, PLACE, FAILURE, error_code="INSUFFICIENT_FUNDS")
    for report in (Report(desk.order.id, CANCEL, SUCCESS, size=6.0), refused):
        desk.actor.receive(Reply(desk.replace.request_id, MARKET, T0 + 41, reports=(report,)), T0 + 41)
    assert trade.to_be_placed(desk.order) is None
    assert desk.market.blotter.selection_exposure(trade.strategy, desk.order.lookup) == 4.0


def test_facts_of_the_new_bet_wait_for_the_reply_that_names_it() -> None:
    desk = Desked()
    cancelled, placed, old, *new = desk.story("old")
    for number, message in enumerate((*new, old)):
        desk.actor.receive(message, T0 + 40 + number)
    assert [order.bet_id for order in desk.market.blotter] == ["1"]
    assert desk.order.size_matched == 0.0
    desk.actor.receive(placed, T0 + 50)
    assert [order.bet_id for order in desk.market.blotter] == ["1"]
    desk.actor.receive(cancelled, T0 + 51)
    assert [(order.bet_id, order.size_matched) for order in desk.market.blotter] == [("1", 0.0), ("2", SIZE)]


def test_a_replace_that_nobody_knows_about_is_answered_later() -> None:
    desk = Desked()
    unknown = Reply(desk.replace.request_id, MARKET, T0 + 35, UNKNOWN, (Report(desk.order.id, REPLACE, FAILURE),))
    desk.actor.receive(unknown, T0 + 35)
    assert (desk.order.status, desk.order.trade.complete) == (S.EXECUTABLE, False)
    for number, message in enumerate(desk.story("new")):
        desk.actor.receive(message, T0 + 40 + number)
    assert [(order.bet_id, order.size_matched) for order in desk.market.blotter] == [("1", 0.0), ("2", SIZE)]
    assert desk.order.trade.status.name == "COMPLETE"


def test_a_replace_that_was_refused_leaves_the_bet() -> None:
    desk = Desked()
    refused = Reply(
        desk.replace.request_id, MARKET, T0 + 35, REFUSED, (Report(desk.order.id, REPLACE, FAILURE),), reason="too much"
    )
    desk.actor.receive(refused, T0 + 35)
    assert (desk.order.status, desk.order.violation_msg, desk.market.replacing) == (S.EXECUTABLE, "too much", {})


def test_bets_that_nobody_here_placed_are_nobodys() -> None:
    desk = Desked()
    for number in range(100):
        desk.actor.receive(fact(30 + number, 0.01 * number, bet_id="99", order_id="elsewhere"), T0 + 40 + number)
    assert len(desk.market._strays) == 1
    assert (desk.order.bet_id, desk.order.size_matched) == ("1", 0.0)


# -- when it was first matched -----------------------------------------------------------------------------------------


def test_first_match_is_that_of_the_earliest_news_that_shows_one() -> None:
    order = at(LIVE)
    take(order, fact(1, source=STREAM), fact(2, 4.0, fills=((T0 + 2, 3.0, 4.0),)))
    assert order.matched_ms is None, "an exchange that tells fills tells it by them"
    take(order, fact(7, 4.0, source=STREAM), fact(9, 6.0, source=LIST))
    assert order.matched_ms == T0 + 7
    take(order, fact(5, 4.0, source=REPORT))
    assert order.matched_ms == T0 + 5, "news that came late"
