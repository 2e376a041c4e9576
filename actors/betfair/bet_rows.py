"""Rows of listCurrentOrders and listClearedOrders, decoded, as facts and results. Values in, values out.

Sources: Betfair API-NG, "listCurrentOrders", "listClearedOrders", "Betting Type Definitions".
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from ...strategies.currency import pence
from ...strategies.errors import MessageError
from ...strategies.host import order_id_of
from ...strategies.messages import CLEARED, LIST, ClearedMarket, ClearedOrder, OrderFact
from ..letters import ForeignBet

Row = TypeVar("Row")

SETTLED, VOIDED, LAPSED, CANCELLED = "SETTLED", "VOIDED", "LAPSED", "CANCELLED"
#: Every end that listClearedOrders knows.
STATUSES = (SETTLED, VOIDED, LAPSED, CANCELLED)
#: Whose side wins, and what that makes of the runner, by side and `betOutcome`.
_RUNNERS = {
    ("BACK", "WON"): "WINNER",
    ("BACK", "LOST"): "LOSER",
    ("LAY", "WON"): "LOSER",
    ("LAY", "LOST"): "WINNER",
}


class PriceSize(msgspec.Struct, gc=False):
    """`priceSize`."""

    price: float | None = None
    size: float | None = None


class CurrentOrder(msgspec.Struct, rename="camel", gc=False):
    """A row of listCurrentOrders: a `CurrentOrderSummary`. Dates are texts of ISO 8601."""

    bet_id: str | int
    market_id: str
    selection_id: int
    side: str
    status: str
    handicap: float | None = None
    price_size: PriceSize | None = None
    bsp_liability: float | None = None
    order_type: str | None = None
    persistence_type: str | None = None
    placed_date: str | None = None
    matched_date: str | None = None
    cancelled_date: str | None = None
    lapsed_date: str | None = None
    average_price_matched: float | None = None
    size_matched: float | None = None
    size_remaining: float | None = None
    size_lapsed: float | None = None
    size_cancelled: float | None = None
    size_voided: float | None = None
    customer_order_ref: str | None = None
    customer_strategy_ref: str | None = None


class ClearedRow(msgspec.Struct, rename="camel", gc=False):
    """A row of listClearedOrders: a `ClearedOrderSummary`, of a bet or of a market."""

    market_id: str | None = None
    bet_id: str | int | None = None
    selection_id: int | None = None
    handicap: float | None = None
    side: str | None = None
    order_type: str | None = None
    persistence_type: str | None = None
    placed_date: str | None = None
    settled_date: str | None = None
    bet_outcome: str | None = None
    price_requested: float | None = None
    price_matched: float | None = None
    size_settled: float | None = None
    size_cancelled: float | None = None
    profit: float | None = None
    commission: float | None = None
    bet_count: int | None = None
    customer_order_ref: str | None = None
    customer_strategy_ref: str | None = None


def current_order(row: Mapping[str, Any]) -> CurrentOrder:
    """A row of listCurrentOrders.

    Raises:
        MessageError: it is not one.
    """
    return _converted(row, CurrentOrder, "a row of listCurrentOrders")


def cleared_row(row: Mapping[str, Any]) -> ClearedRow:
    """A row of listClearedOrders.

    Raises:
        MessageError: it is not one.
    """
    return _converted(row, ClearedRow, "a row of listClearedOrders")


def _converted(row: Mapping[str, Any], kind: type[Row], expected: str) -> Row:
    try:
        return msgspec.convert(row, kind, strict=False)
    except msgspec.ValidationError as error:
        raise MessageError(f"{str(dict(row))[:200]}: {error}; expected {expected}") from None


def moment(date: str | None) -> int:
    """A date of the exchange, such as 2026-01-31T12:00:00.000Z, as milliseconds since the epoch; 0 if it has none."""
    if not date:
        return 0
    try:
        found = datetime.datetime.fromisoformat(date)
    except ValueError:
        return 0
    if found.tzinfo is None:
        found = found.replace(tzinfo=datetime.UTC)
    return round(found.timestamp() * 1000)


def fact_of_current(row: CurrentOrder, at: int) -> OrderFact:
    """How a bet stands, by listCurrentOrders.

    A bet at the starting price is EXECUTION_COMPLETE from its placing; until something of it is matched or ended it
    waits, as here an order that waits is not complete.

    Args:
        at: a moment at or after which it stood so. A date of the row that is later counts.
    """
    asked = row.price_size or PriceSize()
    matched, lapsed, cancelled, voided = (
        pence(each or 0.0) for each in (row.size_matched, row.size_lapsed, row.size_cancelled, row.size_voided)
    )
    at_sp = row.order_type in ("LIMIT_ON_CLOSE", "MARKET_ON_CLOSE") and not asked.size
    executable = row.status == "EXECUTABLE"
    if at_sp and not executable:
        executable = not (matched or lapsed or cancelled or voided or row.cancelled_date or row.lapsed_date)
    return OrderFact(
        market_id=row.market_id,
        order_id=order_id_of(row.customer_order_ref or ""),
        bet_id=str(row.bet_id),
        source=LIST,
        at=max(at, *map(moment, (row.placed_date, row.matched_date, row.cancelled_date, row.lapsed_date))),
        executable=executable,
        price=asked.price or None,
        size=(row.bsp_liability if at_sp else asked.size) or 0.0,
        persistence_type=None if at_sp else row.persistence_type,
        matched=matched,
        average=(row.average_price_matched or asked.price or 0.0) if matched else 0.0,
        remaining=pence(row.size_remaining or 0.0) if row.status == "EXECUTABLE" else 0.0,
        cancelled=cancelled,
        lapsed=lapsed,
        voided=voided,
    )


def bet_of_current(row: CurrentOrder, venue: str, username: str, at: int) -> ForeignBet:
    """A bet, by listCurrentOrders, wherever it was placed."""
    fact = fact_of_current(row, at)
    return ForeignBet(
        venue=venue,
        username=username,
        market_id=row.market_id,
        bet_id=str(row.bet_id),
        selection_id=row.selection_id,
        handicap=row.handicap or 0.0,
        side=row.side,
        price=fact.price,
        size=fact.size,
        matched=fact.matched,
        remaining=fact.remaining,
        at=fact.at,
        strategy_ref=row.customer_strategy_ref or "",
        order_ref=row.customer_order_ref or "",
        fact=fact,
    )


def fact_of_cleared(rows: Iterable[tuple[str, ClearedRow]], at: int) -> OrderFact | None:
    """How a bet ended, by its rows of listClearedOrders, each with the status that was asked for; None without rows.

    A row tells of a part of the bet: SETTLED of what was matched, the others of what came to such an end.

    Args:
        at: a moment at or after which it stood so.
    """
    sizes = dict.fromkeys(STATUSES, 0.0)
    average = price = 0.0
    last: ClearedRow | None = None
    for status, row in rows:
        size = row.size_settled if status in (SETTLED, VOIDED) else row.size_cancelled
        sizes[status] = pence(size or 0.0)
        if status == SETTLED:
            average = row.price_matched or row.price_requested or 0.0
        price = row.price_requested or price
        last = row
        at = max(at, moment(row.settled_date))
    if last is None or last.bet_id is None or last.market_id is None:
        return None
    return OrderFact(
        market_id=last.market_id,
        order_id=order_id_of(last.customer_order_ref or ""),
        bet_id=str(last.bet_id),
        source=CLEARED,
        at=at,
        executable=False,
        price=price or None,
        size=round(sum(sizes.values()), 2),
        persistence_type=last.persistence_type if last.order_type == "LIMIT" else None,
        matched=sizes[SETTLED],
        average=average,
        cancelled=sizes[CANCELLED],
        lapsed=sizes[LAPSED],
        voided=sizes[VOIDED],
    )


def bet_of_cleared(rows: list[tuple[str, ClearedRow]], venue: str, username: str, at: int) -> ForeignBet | None:
    """A bet that has ended, by its rows of listClearedOrders, wherever it was placed; None without rows."""
    fact = fact_of_cleared(rows, at)
    if fact is None or fact.bet_id is None:
        return None
    row = rows[-1][1]
    return ForeignBet(
        venue=venue,
        username=username,
        market_id=fact.market_id,
        bet_id=fact.bet_id,
        selection_id=row.selection_id or 0,
        handicap=row.handicap or 0.0,
        side=row.side or "",
        price=fact.price,
        size=fact.size,
        matched=fact.matched,
        remaining=0.0,
        at=fact.at,
        strategy_ref=row.customer_strategy_ref or "",
        order_ref=row.customer_order_ref or "",
        fact=fact,
    )


def result_of(row: ClearedRow, at: int) -> ClearedOrder | None:
    """A settled bet's result; None where the row is not of one bet.

    Args:
        at: when it was looked for: of two results the one that was looked for later counts.
    """
    if row.market_id is None or row.bet_id is None:
        return None
    placed = row.bet_outcome == "PLACED"
    return ClearedOrder(
        market_id=row.market_id,
        order_id=order_id_of(row.customer_order_ref or ""),
        bet_id=str(row.bet_id),
        at=at,
        profit=row.profit or 0.0,
        settled=True,
        runner_status="PLACED" if placed else _RUNNERS.get((row.side or "", row.bet_outcome or "")),
    )


def market_result_of(row: ClearedRow, venue: str, username: str) -> ClearedMarket | None:
    """An account's result of a market; None where the row is not of one."""
    if row.market_id is None:
        return None
    return ClearedMarket(row.market_id, venue, username, row.profit or 0.0, row.commission or 0.0, row.bet_count or 0)
