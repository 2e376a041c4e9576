"""An account's orders without an exchange: lists that a test fills, requests, facts, and what is told."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

from headrace.actors.betfair.account_orders import AccountOrders
from headrace.actors.exchange import Answer
from headrace.actors.letters import OrdersImage
from headrace.strategies.messages import (
    CANCEL,
    PLACE,
    REPLACE,
    STREAM,
    SUCCESS,
    UNKNOWN,
    UPDATE,
    CancelInstruction,
    ClearedMarket,
    ClearedOrder,
    Instruction,
    OrderFact,
    PlaceInstruction,
    Reply,
    Report,
    Request,
    UpdateInstruction,
)

MARKET, RUNNER = "1.207", 7
#: A moment, milliseconds since the epoch.
NOW = 1_790_000_000_000
ORDER, OTHER = "aaaabbbbccccdddd01", "aaaabbbbccccdddd02"


def ref(order_id: str = ORDER) -> str:
    """The reference that the exchange has of an order."""
    return f"0123456789abc-{order_id}"


@dataclasses.dataclass
class Listed:
    rows: list[dict[str, Any]]
    error: str = ""


class FakeLists:
    """The exchange's lists, answered when the test says so.

    Attributes:
        current: rows of listCurrentOrders. cleared: rows of listClearedOrders, by status.
        markets: settled markets. error: what is wrong with the next lists.
        asked: calls so far.
    """

    def __init__(self) -> None:
        self.current: list[dict[str, Any]] = []
        self.cleared: dict[str, list[dict[str, Any]]] = {}
        self.markets: list[dict[str, Any]] = []
        self.error = ""
        self.asked: list[str] = []
        self._waiting: list[Callable[[], object]] = []

    def current_orders(
        self,
        done: Callable[[Any], object],
        *,
        bet_ids: Iterable[str] | None = None,
        order_refs: Iterable[str] | None = None,
    ) -> None:
        self._ask("current", done, lambda: self.current, bet_ids, order_refs, None)

    def cleared_orders(
        self,
        status: str,
        done: Callable[[Any], object],
        *,
        bet_ids: Iterable[str] | None = None,
        order_refs: Iterable[str] | None = None,
        market_ids: Iterable[str] | None = None,
    ) -> None:
        self._ask(status, done, lambda: self.cleared.get(status, []), bet_ids, order_refs, market_ids)

    def cleared_markets(self, market_ids: Iterable[str] | None, done: Callable[[Any], object]) -> None:
        self._ask("markets", done, lambda: self.markets, None, None, market_ids)

    def _ask(
        self,
        name: str,
        done: Callable[[Any], object],
        rows: Callable[[], list[dict[str, Any]]],
        bet_ids: Iterable[str] | None,
        order_refs: Iterable[str] | None,
        market_ids: Iterable[str] | None,
    ) -> None:
        self.asked.append(name)
        wanted = {"betId": bet_ids, "customerOrderRef": order_refs, "marketId": market_ids}
        sets = {field: set(values) for field, values in wanted.items() if values is not None}

        def answer() -> None:
            if self.error:
                done(Listed([], self.error))
            else:
                done(Listed([row for row in rows() if all(row[field] in each for field, each in sets.items())]))

        self._waiting.append(answer)

    def answer(self) -> None:
        """Answer all that was asked, and what is asked because of that."""
        while self._waiting:
            self._waiting.pop(0)()


class Account:
    """The orders of alice, with all that they tell.

    Attributes:
        told: answers, facts and results, in order. reports: words for people, with their markets.
        cleared: results of markets.
    """

    def __init__(self, **settings: Any) -> None:
        self.lists = FakeLists()
        self.told: list[Answer] = []
        self.reports: list[tuple[str, str, str]] = []
        self.cleared: list[ClearedMarket] = []
        self.orders = AccountOrders(
            "Betfair",
            "alice",
            "mine",
            self.lists,
            self.told.append,
            lambda *report: self.reports.append(report),
            self.cleared.append,
            **settings,
        )
        self.now = NOW

    def at(self, seconds: float) -> None:
        """So many seconds after the beginning, all that is due is done and answered."""
        end = NOW + round(seconds * 1000)
        while self.orders.next_ms <= end:
            self.now = max(self.now, round(self.orders.next_ms))
            self.orders.wake(self.now)
            self.lists.answer()
        self.now = end

    def image(self) -> None:
        """The order stream has sent an image, and the lists were looked at."""
        self.orders.take(OrdersImage("o1", "Betfair", "alice", self.now), self.now)
        self.orders.wake(self.now)
        self.lists.answer()

    def request(self, *instructions: Instruction, **of: Any) -> Request:
        """A request that is sent."""
        kinds = {PlaceInstruction: PLACE, CancelInstruction: CANCEL, UpdateInstruction: UPDATE}
        kind = kinds.get(type(instructions[0]), REPLACE)
        request = Request(
            of.pop("request_id", f"{kind}1"), MARKET, "Backer", "Betfair", "alice", kind, instructions, self.now, **of
        )
        self.orders.take_request(request)
        return request

    def lose(self, request: Request) -> bool:
        """Nobody knows what became of it. Whether its answer waits."""
        reports = tuple(Report(each.order_id, request.kind, "FAILURE") for each in request.instructions)
        return self.orders.hold(
            request, Reply(request.request_id, MARKET, self.now, UNKNOWN, reports, reason="the connection was cut")
        )

    def placed(self, bet_id: str = "31", order_id: str = ORDER, **of: Any) -> Request:
        """An order that was placed, as the reply and the stream say."""
        request = self.request(place(order_id), request_id=f"P{bet_id}")
        report = Report(order_id, PLACE, SUCCESS, bet_id=bet_id)
        self.orders.take_reply(Reply(request.request_id, MARKET, self.now, reports=(report,)))
        self.stream(fact(bet_id, order_id, at=self.now, **of))
        self.told.clear()
        return request

    def stream(self, told: OrderFact) -> None:
        """The order stream tells of a bet of this instance."""
        self.orders.take(told, self.now)

    def replies(self) -> list[tuple[str, str, str, str, str | None]]:
        """Of each report that was told: outcome, order, operation, status, code."""
        return [
            (reply.outcome, report.order_id, report.operation, report.status, report.error_code)
            for reply in self.told
            if isinstance(reply, Reply)
            for report in reply.reports
        ]

    def facts(self) -> list[OrderFact]:
        return [each for each in self.told if isinstance(each, OrderFact)]

    def results(self) -> list[ClearedOrder]:
        return [each for each in self.told if isinstance(each, ClearedOrder)]

    @property
    def words(self) -> list[str]:
        return [word for word, _, _ in self.reports]


def place(order_id: str = ORDER, **of: Any) -> PlaceInstruction:
    """Back 4.00 at 3.5."""
    return PlaceInstruction(
        order_id, ref(order_id), RUNNER, 0.0, **{"side": "BACK", "order_type": "LIMIT", "price": 3.5, "size": 4.0, **of}
    )


def fact(bet_id: str = "31", order_id: str | None = ORDER, at: int = NOW, **of: Any) -> OrderFact:
    """That bet, resting."""
    values = {"executable": True, "price": 3.5, "size": 4.0, "persistence_type": "LAPSE", "remaining": 4.0, **of}
    return OrderFact(MARKET, order_id, bet_id, values.pop("source", STREAM), at, **values)


def current(bet_id: str = "31", order_id: str = ORDER, **of: Any) -> dict[str, Any]:
    """That bet as a row of listCurrentOrders, resting."""
    return {
        "betId": bet_id,
        "marketId": MARKET,
        "selectionId": RUNNER,
        "handicap": 0.0,
        "priceSize": {"price": 3.5, "size": 4.0},
        "bspLiability": 0.0,
        "side": "BACK",
        "status": "EXECUTABLE",
        "persistenceType": "LAPSE",
        "orderType": "LIMIT",
        "placedDate": "2026-09-21T12:26:40.000Z",
        "averagePriceMatched": 0.0,
        "sizeMatched": 0.0,
        "sizeRemaining": 4.0,
        "sizeLapsed": 0.0,
        "sizeCancelled": 0.0,
        "sizeVoided": 0.0,
        "customerOrderRef": ref(order_id) if order_id else "",
        "customerStrategyRef": "mine" if order_id else "",
        **of,
    }


def cleared(bet_id: str = "31", order_id: str = ORDER, **of: Any) -> dict[str, Any]:
    """That bet as a row of listClearedOrders."""
    return {
        "betId": bet_id,
        "marketId": MARKET,
        "selectionId": RUNNER,
        "side": "BACK",
        "orderType": "LIMIT",
        "persistenceType": "LAPSE",
        "placedDate": "2026-09-21T12:26:40.000Z",
        "priceRequested": 3.5,
        "customerOrderRef": ref(order_id),
        "customerStrategyRef": "mine",
        **of,
    }
