"""Orders and trades made again from their rows are the same, in the middle of whatever a market does."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import headrace as hr
from builders import FLUMINE, MARKET, PEER_ENDS, T0, Script, back, cancel, priced, replace, replay
from headrace.actors.coordinator import Coordinator
from headrace.strategies.blotter import Blotter
from headrace.strategies.clock import Clock
from headrace.strategies.errors import OrderError
from headrace.strategies.host import Host, numbered_ids
from headrace.strategies.hosting import Hosting
from headrace.strategies.messages import OrderFact, Reply
from headrace.strategies.order_rows import RunnerRow, TradeRow, row_of, rows_of, runners_of
from headrace.strategies.order_state import OrderState, Taken
from headrace.strategies.rebuilding import rebuild, rebuild_runners
from stories import RUNNERS, Story, stories

LIMITS = {"max_order_exposure": 20.0, "max_selection_exposure": 25.0}
THOROUGH = settings(
    max_examples=80,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
#: What is not compared: where an order lives, and what rows do not keep.
ELSEWHERE = {"__dict__", "__weakref__", "_clock", "_listener", "cleared_order", "client", "trade"}


class Listening(Coordinator):
    """Keeps what the exchange tells."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.told: list[Any] = []

    def answer(self, message: Any) -> None:
        self.told.append(message)
        super().answer(message)


def strategy_of(name: str, now: int, config: hr.Config) -> hr.Strategy:
    made = hr.Strategy(name=name)
    made._headrace = Hosting(Host(Clock(now), config, numbered_ids()))
    return made


class Again:
    """A market's orders made again, through bytes."""

    def __init__(self, script: Script, market: Any) -> None:
        blotter, host = market.blotter, market.framework.host
        self.strategy = strategy_of(script.strategy.name, host.clock.now_ms, host.config)
        strategies = {self.strategy.name: self.strategy}
        self.blotter = Blotter(market.market_id, host.rules)
        self.blotter.terms = blotter.terms
        rows = msgspec.msgpack.decode(msgspec.msgpack.encode(rows_of(blotter)), type=list[TradeRow])
        clients = market.framework.clients
        self.trades = rebuild(rows, self.blotter, strategies, clients.named)
        runners = runners_of(script.strategy, market.market_id)
        rebuild_runners(msgspec.msgpack.decode(msgspec.msgpack.encode(runners), type=list[RunnerRow]), strategies)

    def require_same(self, script: Script, market: Any) -> None:
        old, strategy, mine = market.blotter, script.strategy, self.strategy
        new = self.blotter
        assert [order.id for order in new] == [order.id for order in old]
        for one, other in zip(old, new, strict=True):
            assert shown(other) == shown(one)
        assert ids(new.live_orders) == ids(old.live_orders)
        assert [trade.id for trade in new.trades] == [trade.id for trade in old.trades]
        for first, second in zip(old.trades, new.trades, strict=True):
            assert told(second) == told(first)
        for selection_id in RUNNERS:
            lookup = (market.market_id, selection_id, 0)
            exposures = old.get_exposures(strategy, lookup)
            assert new.get_exposures(mine, lookup) == pytest.approx(exposures, abs=1e-9)
            orders = old.strategy_selection_orders(strategy, selection_id)
            assert ids(new.strategy_selection_orders(mine, selection_id)) == ids(orders)
            before = strategy.get_runner_context(market.market_id, selection_id)
            after = mine.get_runner_context(market.market_id, selection_id)
            for name in set(before.__slots__) - {"_clock"}:
                assert getattr(after, name) == getattr(before, name)
        book = market.market_book
        assert new.market_exposure(mine, book) == pytest.approx(old.market_exposure(strategy, book), abs=1e-9)
        current, again = old.orders_of(strategy), new.orders_of(mine)
        if current is not None:
            assert ids(again.listed()) == ids(current.listed())
            assert ids(again.take_ended()) == ids([order for order in current.current if order.complete])
        for order in old:
            if order.bet_id is not None:
                assert new.get_order_bet_id(order.bet_id).id == order.id
            assert ids(new.client_orders(order.client)) == ids(old.client_orders(order.client))

    def catch_up(self, messages: list[Any]) -> None:
        """Take what the exchange has told since, the last first, and then all that it told before."""
        for message in reversed(messages):
            if isinstance(message, OrderFact):
                order = self.blotter.get_order(message.order_id)
                if order is not None:
                    order.take_fact(message)
            elif isinstance(message, Reply):
                for report in message.reports:
                    order = self.blotter.get_order(report.order_id)
                    if order is not None:
                        order.take_report(message.request_id, report)


def ids(orders: Any) -> list[str]:
    return [order.id for order in orders]


def shown(order: hr.Order) -> dict[str, Any]:
    """All that there is of an order."""
    names = (set(hr.Order.__slots__) | set(OrderState.__slots__)) - ELSEWHERE
    found = {name: getattr(order, name) for name in names}
    responses = found.pop("responses")
    for name in set(responses.__slots__) - {"current_order"}:
        answers = getattr(responses, name)
        found[f"responses.{name}"] = repr(answers)
    found["order_type"] = (type(found["order_type"]), vars(found["order_type"]))
    placement = found.pop("placement")
    found["placement"] = placement and [getattr(placement, name) for name in placement.__slots__]
    return {**found, "client": order.client and order.client.username, "trade": order.trade.id}


def told(trade: hr.Trade) -> dict[str, Any]:
    """All that there is of a trade."""
    found = {**vars(trade), "strategy": trade.strategy.name, "orders": ids(trade.orders), "host": None}
    return {**found, "_replacing": set(found["_replacing"] or ())}


@THOROUGH
@given(story=stories(), flumine=st.booleans(), force=st.booleans(), moment=st.integers(0, 30))
def test_orders_made_again_in_the_middle_of_a_story_are_the_same(
    story: Story, flumine: bool, force: bool, moment: int
) -> None:
    stream, actions = story
    found: list[Again] = []

    def look(script: Script, market: Any) -> None:
        found.append(Again(script, market))
        found[-1].require_same(script, market)

    times = sorted(actions)
    at = times[moment % len(times)]
    watched = {**actions, at: [look, *actions[at], look]}
    how: dict[str, Any] = {"config": FLUMINE, "failing": PEER_ENDS} if flumine else {}
    played = replay(stream, watched, force=force, setup={"coordinator": Listening}, **LIMITS, **how)
    if flumine:
        return  # the peer's orders follow what is told of them in its own ways
    for again in found:
        again.catch_up(played.run.coordinator.told)  # type: ignore[attr-defined]
        for order in again.blotter:
            other = played.market.blotter[order.id]
            for name in (
                "stand", "complete", "size_matched", "average_price_matched", "size_remaining", "size_cancelled",
                "size_lapsed", "size_voided", "fills", "matched_ms", "bet_id", "placed_ms", "error_code",
                "is_done",
            ):  # fmt: skip
                assert getattr(order, name) == getattr(other, name), name


def test_orders_that_took_the_place_of_others_share_their_contexts_and_notes() -> None:
    made: list[Again] = []

    def write(script: Script, market: Any) -> None:
        order = script.orders["a"]
        order.context.update({"model": [1, "x"], "object": object(), "pair": (1, 2), 7: "seven", "nan": float("nan")})
        order.notes["why"] = "value"
        order.mine = "an attribute of the user's"

    stream = priced().touch(500).touch(1000).touch(2000)
    actions: dict[int, Any] = {
        100: [back("a", 3.0, 4), write],
        500: [replace("a", 4.0)],
        1000: [lambda script, market: made.append(Again(script, market))],
    }
    played = replay(stream, actions, setup={"coordinator": Listening})
    first, second = made[0].blotter
    assert first.context == {"model": [1, "x"]}
    assert first.notes == {"why": "value"}
    assert second.context is first.context
    assert second.notes is first.notes
    assert not hasattr(first, "mine")
    assert played["a"].context is played["a'"].context


def test_what_was_told_before_changes_nothing_of_an_order_made_again() -> None:
    made: list[Again] = []
    stream = priced().prices(500, {1: {"trd": [[3.0, 4]]}}).prices(800, {1: {"trd": [[3.0, 10]]}}).touch(1000)
    actions: dict[int, Any] = {
        100: [back("a", 3.0, 9)],
        1000: [lambda script, market: made.append(Again(script, market))],
    }
    played = replay(stream, actions, setup={"coordinator": Listening})
    facts = [each for each in played.run.coordinator.told if isinstance(each, OrderFact)]  # type: ignore[attr-defined]
    (order,) = made[0].blotter
    assert (facts[0].matched, order.size_matched) == (2.0, 5.0)
    assert order.take_fact(facts[0]) == Taken()
    assert order.size_matched == 5.0


def test_a_trade_whose_replace_is_under_way_waits_for_its_answer() -> None:
    made: list[Again] = []

    def look(script: Script, market: Any) -> None:
        made.append(Again(script, market))
        made[0].require_same(script, market)

    stream = priced().touch(500).touch(2000)
    replay(stream, {100: [back("a", 3.0, 4)], 500: [replace("a", 4.0), look]})
    (trade,), (order,) = made[0].trades, made[0].blotter
    assert (order.status.name, order.update_data) == ("REPLACING", {"new_price": 4.0})
    order.execution_complete()
    assert trade.status.name == "LIVE"
    trade.replaced(order)
    assert trade.status.name == "COMPLETE"


def test_a_row_does_not_change_with_its_order() -> None:
    rows: list[Any] = []
    stream = priced().touch(500).touch(2000)
    actions: dict[int, Any] = {
        100: [back("a", 3.0, 4)],
        500: [lambda script, market: rows.append(row_of(script.orders["a"])), cancel("a", 1.0)],
    }
    played = replay(stream, actions)
    assert (rows[0].stand, rows[0].request, rows[0].size_cancelled, rows[0].update_data) == ("LIVE", None, 0.0, "{}")
    assert (row_of(played["a"]).size_cancelled, rows[0].status_log) == (1.0, ("PENDING", "EXECUTABLE"))


def test_what_cannot_be_rebuilt_is_said() -> None:
    played = replay(priced().touch(2000), {100: [back("a", 3.0, 4)]})
    rows, rules = rows_of(played.market.blotter), played.market.framework.host.rules
    mine = strategy_of("Other", T0, hr.Config())
    account = played.run.coordinator.clients.named
    with pytest.raises(OrderError, match=r"orders of strategy 'Scripted': expected one of 'Other'"):
        rebuild(rows, Blotter(MARKET, rules), {"Other": mine}, account)
    with pytest.raises(OrderError, match=r"is of market 1\.100000001: expected one of 1\.2"):
        rebuild(rows, Blotter("1.2", rules), {"Scripted": mine}, account)
    with pytest.raises(OrderError, match="has 1 orders: expected an empty one"):
        rebuild(rows, played.market.blotter, {"Scripted": mine}, account)
