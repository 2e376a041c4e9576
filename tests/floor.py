"""The simulated exchange's floor: requests go in at their moments, changes of a market beside them, and every message
that comes out is written down.

    floor = play(priced().touch(400), {100: [ask(back("a", 2.1, 5.0))], 400: [ask(cancel("a"))]})
    assert floor.reports("a") == [(220, "PLACE", "SUCCESS", None), (570, "CANCEL", "SUCCESS", None)]

Times are milliseconds after `T0`. Orders are their ids.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

import headrace as hr
from builders import MARKET, T0, Stream
from headrace.actors.exchange import AccountTerms, Answer, PeerOrders
from headrace.simulate.bets import Bet
from headrace.simulate.models import Models
from headrace.simulate.simulated_exchange import FIRST_BET_ID, SimulatedExchange
from headrace.strategies.book import MarketBook
from headrace.strategies.changes import MarketChange
from headrace.strategies.clock import Clock
from headrace.strategies.messages import (
    CancelInstruction,
    ClearedOrder,
    Instruction,
    OrderFact,
    PlaceInstruction,
    ReplaceInstruction,
    Reply,
    Report,
    Request,
    UpdateInstruction,
)
from headrace.strategies.rules import Rules

FIRST, SECOND = str(FIRST_BET_ID + 1), str(FIRST_BET_ID + 2)
KINDS = {
    PlaceInstruction: "PLACE",
    CancelInstruction: "CANCEL",
    UpdateInstruction: "UPDATE",
    ReplaceInstruction: "REPLACE",
}
#: What a strategy asks at a moment: instructions of one kind, and fields of their request.
Asked = tuple[Sequence[Instruction], dict[str, Any]]


def limit(order_id: str, side: str, price: float | None, size: float | None, runner: int = 1, **fields: Any) -> Any:
    fields.setdefault("persistence_type", "LAPSE")
    return PlaceInstruction(order_id, order_id, runner, 0, side, "LIMIT", price, size, **fields)


def back(order_id: str, price: float, size: float | None = None, runner: int = 1, **fields: Any) -> Any:
    return limit(order_id, "BACK", price, size, runner, **fields)


def lay(order_id: str, price: float, size: float, runner: int = 1, **fields: Any) -> Any:
    return limit(order_id, "LAY", price, size, runner, **fields)


def at_sp(order_id: str, side: str, liability: float, price: float | None = None, runner: int = 1) -> Any:
    kind = "MARKET_ON_CLOSE" if price is None else "LIMIT_ON_CLOSE"
    return PlaceInstruction(order_id, order_id, runner, 0, side, kind, price, liability=liability)


def cancel(order_id: str, size_reduction: float | None = None) -> Any:
    return CancelInstruction(order_id, None, size_reduction)


def update(order_id: str, persistence_type: str) -> Any:
    return UpdateInstruction(order_id, None, persistence_type)


def replace(order_id: str, price: float, new_order_id: str | None) -> Any:
    return ReplaceInstruction(order_id, None, price, new_order_id)


def ask(*instructions: Instruction, **fields: Any) -> Asked:
    return instructions, fields


class Floor:
    """A desk that writes down what it is told, a clock, a book, and the exchange's side of one market."""

    def __init__(
        self, config: hr.Config | None = None, models: Models | None = None, account: AccountTerms | None = None
    ) -> None:
        self.clock = Clock(T0)
        self.config = config or hr.Config()
        self.rules = Rules.named(self.config.compatibility)
        self.terms = account or AccountTerms()
        self.told: list[Answer] = []
        self.failures: list[tuple[str, str | None]] = []
        self.book = MarketBook(MARKET)
        self.market = SimulatedExchange(models).open(MARKET, self.book, self)
        self.requests: list[Request] = []
        # A market is attended to once something was asked; the peer's always.
        self.active = self.market.watching
        self.closed = False

    # -- as a desk

    def answer(self, message: Answer) -> None:
        self.told.append(message)

    def failed(self, error: Exception, market_id: str, strategy: str | None) -> None:
        self.failures.append((type(error).__name__, strategy))

    def account(self, venue: str, username: str) -> AccountTerms:
        return self.terms

    def call_at(self, at_ms: int, market_id: str, function: Callable[..., object], *arguments: Any) -> None:
        self.clock.call_at(at_ms, function, *arguments)

    def orders(self, market_id: str) -> PeerOrders:
        raise AssertionError("by default the exchange asks for nobody's orders")

    # -- what happens

    def reach(self, at: int) -> None:
        """The clock goes on to `at`."""
        while (timer := self.clock.pop_due(T0 + at)) is not None:
            function, arguments = timer
            function(*arguments)
        self.clock.now_ms = T0 + at

    def show(self, at: int, change: Mapping[str, Any]) -> None:
        """A change of the book; a closing definition settles the market."""
        self.reach(at)
        self.market.changing()
        self.fold(at, change)
        if "marketDefinition" in change and self.book.status == "CLOSED":
            self.closed = True
            self.market.closed(None)
        elif self.active:
            self.market.changed()

    def fold(self, at: int, change: Mapping[str, Any]) -> None:
        """A change that nobody is shown."""
        self.book.apply(T0 + at, msgspec.json.decode(json.dumps(change), type=MarketChange))

    def send(self, at: int, instructions: Sequence[Instruction], **fields: Any) -> Request:
        self.reach(at)
        self.active = True
        kind = KINDS[type(instructions[0])]
        fields = {"bet_delay": self.book.bet_delay, "strategy": "Mine", **fields}
        number = f"r{len(self.requests)}"
        request = Request(
            number, MARKET, fields.pop("strategy"), "BETFAIR", "me", kind, tuple(instructions), T0 + at, **fields
        )
        self.requests.append(request)
        self.market.send(request)
        return request

    def play(self, stream: Stream, asked: Mapping[int, Iterable[Asked]] | None = None) -> Floor:
        """All changes of a market, and what is asked at moments: after the change of the same time."""
        moments = [(line["pt"] - T0, 0, line["mc"][0]) for line in stream.lines]
        moments += [(at, 1, each) for at, found in (asked or {}).items() for each in found]
        for at, requested, what in sorted(moments, key=lambda moment: moment[:2]):
            if requested:
                self.send(at, what[0], **what[1])
            else:
                self.show(at, what)
        return self

    # -- what was told

    def __getitem__(self, order_id: str) -> Bet:
        bet = self.market.bet(order_id)
        assert bet is not None
        return bet

    def facts(self, order_id: str) -> list[OrderFact]:
        return [each for each in self.told if isinstance(each, OrderFact) and each.order_id == order_id]

    def reports(self, order_id: str) -> list[tuple[int, str, str, str | None]]:
        """Time, operation, status and error code of each answer about an order."""
        return [
            (each.at - T0, report.operation, report.status, report.error_code)
            for each in self.told
            if isinstance(each, Reply)
            for report in each.reports
            if report.order_id == order_id
        ]

    def report(self, order_id: str) -> Report:
        """The last report of an order."""
        found = [report for each in self.told if isinstance(each, Reply) for report in each.reports]
        return next(report for report in reversed(found) if report.order_id == order_id)

    def cleared(self, order_id: str) -> list[ClearedOrder]:
        return [each for each in self.told if isinstance(each, ClearedOrder) and each.order_id == order_id]

    def kinds(self, order_id: str) -> list[str]:
        """The kinds of messages that an order was told by, in order."""
        found = []
        for each in self.told:
            about = [report.order_id for report in each.reports] if isinstance(each, Reply) else [each.order_id]
            if order_id in about:
                found.append(type(each).__name__)
        return found


def play(stream: Stream, asked: Mapping[int, Iterable[Asked]], **floor: Any) -> Floor:
    return Floor(**floor).play(stream, asked)
