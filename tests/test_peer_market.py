"""The exchange as the peer simulates it: it polls at each change, and reads what the strategies' own orders say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest

import headrace as hr
from builders import FLUMINE, T0, Stream, priced
from floor import FIRST, SECOND, Asked, Floor, ask, at_sp, back, cancel, lay, replace, update
from headrace.actors.exchange import Answer
from headrace.simulate.models import Models
from headrace.simulate.settlement import FlumineSettlement
from headrace.strategies.messages import Instruction, OrderFact, Reply, Request

WAYS = {"PLACE": "PENDING", "CANCEL": "CANCELLING", "UPDATE": "UPDATING", "REPLACE": "REPLACING"}
LIVE = ("PENDING", "EXECUTABLE", "CANCELLING", "UPDATING", "REPLACING")


class PeerFloor(Floor):
    """A floor with the orders of a strategy, moved as the peer moves them.

    Attributes:
        statuses: by order.
        blotter: orders in it, in order.
        changes: what the last request about each order asked for.
    """

    def __init__(self, config: hr.Config = FLUMINE, **floor: Any) -> None:
        self.statuses: dict[str, str] = {}
        self.blotter: list[str] = []
        self.changes: dict[str, dict[str, Any]] = {}
        self._watchers: list[Callable[[str, str | None, str | None], object]] = []
        super().__init__(config, **floor)

    # -- as the orders

    def orders(self, market_id: str) -> Any:
        return self

    def status(self, order_id: str) -> str | None:
        return self.statuses.get(order_id)

    def instruction(self, order_id: str) -> Any:
        return None

    def asked(self, order_id: str) -> dict[str, Any]:
        return self.changes.get(order_id, {})

    def entered(self, order_id: str) -> bool:
        return order_id in self.blotter

    def live(self, order_id: str) -> bool:
        return self.statuses[order_id] in LIVE

    def number(self, order_id: str) -> int:
        return self.blotter.index(order_id)

    def replacement(self, order_id: str) -> str | None:
        return f"{order_id}'" if f"{order_id}'" in self.statuses else None

    def watch(self, told: Callable[[str, str | None, str | None], object]) -> None:
        self._watchers.append(told)

    def ids(self) -> Iterable[str]:
        return self.blotter

    def move(self, order_id: str, status: str) -> None:
        before, self.statuses[order_id] = self.statuses.get(order_id), status
        if order_id in self.blotter:
            for told in self._watchers:
                told(order_id, before, status)

    # -- what happens

    def send(self, at: int, instructions: Sequence[Instruction], **fields: Any) -> Request:
        self.reach(at)
        for instruction in instructions:
            way = type(instruction).__name__.removesuffix("Instruction").upper()
            names = ("size_reduction", "new_persistence_type", "new_price")
            self.changes[instruction.order_id] = {
                name: getattr(instruction, name) for name in names if hasattr(instruction, name)
            }
            self.move(instruction.order_id, WAYS[way])
            if way == "PLACE":
                self.blotter.append(instruction.order_id)
        return super().send(at, instructions, **fields)

    def show(self, at: int, change: Mapping[str, Any]) -> None:
        super().show(at, change)
        if not self.closed:
            for order_id in self.blotter:
                if self.statuses[order_id] in LIVE and any(not fact.executable for fact in self.facts(order_id)[-1:]):
                    self.move(order_id, "EXECUTION_COMPLETE")

    def answer(self, message: Answer) -> None:
        super().answer(message)
        if isinstance(message, OrderFact) and message.why == "SP":
            assert message.order_id is not None
            self.move(message.order_id, "EXECUTION_COMPLETE")
        if isinstance(message, Reply):
            request = next(each for each in self.requests if each.request_id == message.request_id)
            for report in message.reports:
                self._take(request, report)

    def _take(self, request: Request, report: Any) -> None:
        order_id, succeeded = report.order_id, report.status == "SUCCESS"
        if report.operation == "PLACE" and not succeeded:
            self.move(order_id, "EXECUTION_COMPLETE")
            return
        if report.operation == "PLACE" and order_id not in self.blotter:
            self.blotter.append(order_id)
        done = report.operation == "CANCEL" and succeeded and self[order_id].size_remaining == 0
        self.move(order_id, "EXECUTION_COMPLETE" if done else "EXECUTABLE")
        if request.kind == "REPLACE" and report.operation == "CANCEL" and succeeded:
            self.statuses[f"{order_id}'"] = "PENDING"


def play(stream: Stream, asked: Mapping[int, Iterable[Asked]], **floor: Any) -> PeerFloor:
    played = PeerFloor(**floor)
    played.play(stream, asked)
    return played


# -- requests --------------------------------------------------------------------------------------------------------


def test_request_is_looked_at_at_the_first_change_later_than_its_latency() -> None:
    asked = {100: [ask(back("a", 2.0, 5.0))]}
    assert play(priced().touch(220), asked).told == []
    floor = play(priced().touch(220).prices(221, {1: {"atb": [[2.0, 0]]}}), asked)
    assert floor.reports("a") == [(221, "PLACE", "SUCCESS", None)]
    assert floor["a"].fills == [(T0 + 220, 2.0, 5.0)]
    assert floor.report("a").placed_at == T0 + 221


def test_requests_that_wait_keep_the_market_busy() -> None:
    floor = PeerFloor().play(priced(), {100: [ask(back("a", 2.2, 5.0))]})
    assert (floor.market.busy, floor.market.watching) == (True, True)
    floor.play(Stream().touch(400))
    assert floor.market.busy is False
    assert floor["a"].placed


def test_book_that_is_held_is_the_one_that_counts() -> None:
    floor = PeerFloor()
    floor.play(priced(), {100: [ask(back("a", 2.0, 5.0))]})
    floor.market.hold()
    floor.fold(300, {"rc": [{"id": 1, "atb": [[2.0, 0], [1.98, 0], [1.9, 0]]}]})
    floor.show(400, {"rc": []})
    assert floor["a"].fills == [(T0 + 100, 2.0, 5.0)]


def test_new_persistence_holds_from_the_request_on_even_where_it_is_refused() -> None:
    stream = priced().touch(400).suspend(500).touch(700)
    floor = play(stream, {100: [ask(back("a", 2.2, 5.0))], 400: [ask(update("a", "PERSIST"))]})
    assert floor.reports("a")[1:] == [(700, "UPDATE", "FAILURE", "ERROR_IN_ORDER")]
    assert (floor["a"].size_lapsed, floor["a"].persistence_type) == (0.0, "PERSIST")


def test_cancel_takes_what_its_order_asks_for_when_it_is_answered() -> None:
    floor = PeerFloor()
    floor.play(priced().touch(400), {100: [ask(back("a", 2.2, 5.0))], 400: [ask(cancel("a", 1.0))]})
    floor.changes["a"]["size_reduction"] = 2.0
    floor.play(Stream().touch(700))
    assert floor["a"].size_cancelled == 2.0
    floor.send(700, [cancel("a", 1.0)])
    floor.changes["a"].clear()
    floor.play(Stream().touch(1000))
    assert floor["a"].size_cancelled == 5.0


def test_order_that_is_refused_meanwhile_is_not_cancelled() -> None:
    floor = PeerFloor()
    floor.play(priced().touch(400), {100: [ask(back("a", 2.2, 5.0))], 400: [ask(cancel("a"))]})
    floor.statuses["a"] = "VIOLATION"
    floor.play(Stream().touch(700))
    assert floor["a"].size_remaining == 5.0


def test_cancel_of_what_is_gone_succeeds_with_nothing() -> None:
    stream = priced().touch(400).prices(500, {1: {"trd": [[2.2, 100]]}}).touch(600)
    floor = play(stream, {100: [ask(back("a", 2.15, 5.0))], 400: [ask(cancel("a"))]})
    assert (floor.reports("a")[1:], floor.report("a").size) == ([(600, "CANCEL", "SUCCESS", None)], 0.0)


def test_replaced_order_is_placed_at_a_later_look() -> None:
    stream = priced().touch(400).touch(681).touch(700).touch(720)
    floor = play(stream, {100: [ask(back("a", 2.2, 5.0, price_ladder="FINEST"))], 400: [ask(replace("a", 2.0, None))]})
    assert floor.reports("a")[1:] == [(681, "CANCEL", "SUCCESS", None)]
    assert floor.reports("a'") == [(700, "PLACE", "SUCCESS", None)]
    assert (floor["a'"].bet_id, floor["a'"].price_ladder_definition) == (SECOND, "CLASSIC")
    assert floor["a'"].fills == [(T0 + 681, 2.0, 5.0)]


def test_replace_without_a_price_is_a_failure_of_that_order_alone() -> None:
    floor = PeerFloor()
    placed = ask(back("a", 2.2, 5.0), back("b", 2.2, 4.0))
    floor.play(priced().touch(400), {100: [placed], 400: [ask(replace("a", 2.3, None), replace("b", 2.3, None))]})
    floor.changes["a"].clear()
    floor.play(Stream().touch(700).touch(800))
    assert floor.failures == [("KeyError", "Mine")]
    assert (floor["a"].size_remaining, floor["b"].size_cancelled) == (5.0, 4.0)
    assert floor["b'"].placed


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (back("a", 2.0, 5.0, runner=7), "AttributeError"),
        (back("a", 2.0, None, bet_target_type="PAYOUT", bet_target_size=10.0), "NotImplementedError"),
        (back("a", 2.0, 0.0), "NotImplementedError"),
    ],
)
def test_placing_that_ends_the_peers_run_is_a_failure_and_never_answered(wrong: Any, error: str) -> None:
    floor = play(priced().touch(400).touch(500), {100: [ask(wrong, back("b", 2.0, 5.0))]})
    assert floor.failures == [(error, "Mine")]
    assert floor.reports("a") == []
    assert (floor["b"].bet_id, floor.market.busy) == (FIRST, False)


def test_request_about_an_order_that_was_never_sent_is_a_failure() -> None:
    floor = play(priced().touch(400).touch(900), {400: [ask(cancel("a"))]})
    assert floor.failures == [("OrderError", "Mine")]


# -- the book --------------------------------------------------------------------------------------------------------


def test_starting_price_says_that_the_order_is_complete_at_once() -> None:
    stream = priced().touch(400).define(500, {1: {"bsp": 3.0}, 2: {"bsp": 4.0}}, bspReconciled=True)
    floor = play(stream, {100: [ask(at_sp("a", "BACK", 5.0), at_sp("b", "BACK", 5.0, 3.5))]})
    told = [(fact.matched, fact.executable, fact.why) for ref in "ab" for fact in floor.facts(ref)]
    assert told == [(5.0, False, "SP"), (0.0, False, "SP")]


def test_removal_voids_an_order_on_its_way_at_once() -> None:
    stream = priced(marketType="PLACE").remove(150, 2, 20.0).touch(400)
    floor = play(stream, {100: [ask(back("a", 1.8, 5.0, runner=2), at_sp("b", "LAY", 10.0))]})
    assert [(fact.at - T0, fact.voided, fact.executable) for fact in floor.facts("a")] == [(150, 5.0, False)]
    assert floor.reports("a") == []
    assert [(fact.at - T0, fact.size) for fact in floor.facts("b")] == [(150, 8.0)]
    assert floor["b"].size == 10.0


def test_order_on_a_runner_that_was_never_active_ends_the_pass() -> None:
    stream = Stream(runners={1: {"status": "ACTIVE"}, 2: {"status": "HIDDEN"}}).touch(400)
    floor = PeerFloor()
    with pytest.raises(KeyError, match="never active"):
        floor.play(stream, {100: [ask(back("a", 2.0, 5.0, runner=2))]})


def test_volume_of_a_runner_that_is_not_active_counts_again_at_each_change() -> None:
    stream = priced().touch(400).prices(500, {1: {"trd": [[2.2, 20]]}})
    stream.define(600, {1: {"status": "HIDDEN"}}).touch(700).touch(800)
    floor = play(stream, {100: [ask(back("a", 2.2, 100.0))]})
    assert [size for _, _, size in floor["a"].fills] == [6.0, 10.0, 10.0, 10.0]


# -- the close -------------------------------------------------------------------------------------------------------


def test_close_leaves_what_waits_and_settles_the_orders_of_the_blotter() -> None:
    stream = priced().touch(400).close(1000, winner=1)
    asked = {100: [ask(back("a", 2.0, 5.0), back("b", 3.0, 5.0))], 950: [ask(lay("c", 2.1, 2.0))]}
    floor = play(stream, asked)
    assert {ref: [each.profit for each in floor.cleared(ref)] for ref in "abc"} == {"a": [5.0], "b": [0.0], "c": [0.0]}
    assert (floor.facts("b"), floor.facts("c"), floor.market.busy) == ([], [], False)
    assert floor.market.expire("RECORDING_ENDED") is False


class Wrong(FlumineSettlement):
    """Raises for all but runner 2."""

    def profit(self, bet: Any, outcome: Any) -> float:
        if bet.selection_id != 2:
            raise ArithmeticError("wrong")
        return super().profit(bet, outcome)


def test_only_the_first_bet_without_a_result_is_told() -> None:
    stream = priced().touch(400).close(1000, winner=2)
    asked = {100: [ask(back("a", 2.0, 5.0), back("b", 2.0, 5.0), back("c", 1.8, 5.0, runner=2))]}
    floor = play(stream, asked, models=Models(settlement=Wrong()))
    assert floor.failures == [("ArithmeticError", "Mine")]
    assert [(each.settled, each.profit) for ref in "abc" for each in floor.cleared(ref)] == [
        (False, 0.0),
        (False, 0.0),
        (True, 4.0),
    ]
