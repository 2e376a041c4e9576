"""What rows of several tables are made of, and rows of failures."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ..actors.failures import Failure
from ..strategies.hosting import parameters_of
from ..strategies.order import Order
from ..strategies.strategy import Strategy
from ..values import legible, unboxed


def failure_rows(failures: Iterable[Failure], unit: str, command: str = "") -> list[tuple[Any, ...]]:
    """Rows of the table of failures.

    Args:
        unit: the input they happened in.
        command: how what failed is run again from a shell.
    """
    return [
        (
            failure.strategy,
            failure.market_id,
            failure.line,
            failure.count,
            failure.error_type,
            failure.message,
            failure.publish_time or None,
            unit,
            failure.traceback,
            command,
        )
        for failure in failures
    ]


def first_matched(order: Order) -> int | None:
    """When something of an order was first matched, milliseconds since the epoch."""
    if order.fills:
        return round(order.fills[0][0]) or None
    return order.matched_ms if order.size_matched else None


def fills_of(order: Order) -> list[tuple[Any, ...]]:
    """The rows of an order's fills."""
    return [
        (
            order.trade.strategy.name,
            order.market_id,
            order.selection_id,
            order.handicap,
            order.side,
            order.bet_id,
            order.id,
            round(time_ms) or None,
            price,
            size,
        )
        for time_ms, price, size in order.told_fills()
    ]


def parameters_text(strategy: Strategy) -> str:
    """A strategy's parameters as JSON; what JSON does not know as text."""
    values = {name: unboxed(value) for name, value in parameters_of(strategy).items()}
    try:
        return json.dumps(values, default=legible, sort_keys=True)
    except (TypeError, ValueError, RecursionError):  # keys of a dict that cannot be sorted, or are not texts
        return json.dumps({name: legible(value) for name, value in values.items()}, sort_keys=True)
