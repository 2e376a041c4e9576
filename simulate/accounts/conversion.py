"""Requests in pounds, and what becomes of them in the account's currency again.

The exchange's streams and books are in pounds, and so is all that is matched; bets and money are in the account's
currency ("Additional Information", currency). A rate does not change while a market runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec.structs import replace

from ...strategies.messages import CancelInstruction, Instruction, OrderFact, PlaceInstruction, Request


class Converted(Protocol):
    """A bet, as far as a request to change it is converted.

    Attributes:
        unit: its account's money for one of the market's.
        remaining: in its account's currency.
    """

    @property
    def unit(self) -> float: ...

    @property
    def remaining(self) -> float: ...


def in_pounds(request: Request, units: float, bets: Mapping[str, Converted]) -> Request:
    """A request of an account whose currency has `units` for one pound. `bets`: by their orders."""
    return replace(request, instructions=tuple(_in_pounds(each, units, bets) for each in request.instructions))


def placing_in_pounds(asked: PlaceInstruction, units: float) -> PlaceInstruction:
    """A placing of an account whose currency has `units` for one pound."""
    return replace(
        asked,
        size=pounds(asked.size, units),
        liability=pounds(asked.liability, units),
        min_fill_size=pounds(asked.min_fill_size, units),
        bet_target_size=pounds(asked.bet_target_size, units),
    )


def _in_pounds(asked: Instruction, units: float, bets: Mapping[str, Converted]) -> Instruction:
    if isinstance(asked, PlaceInstruction):
        return placing_in_pounds(asked, units)
    if isinstance(asked, CancelInstruction) and asked.size_reduction is not None:
        bet = bets.get(asked.order_id)
        if bet is not None:
            whole = asked.size_reduction >= bet.remaining
            return replace(asked, size_reduction=None if whole else pounds(asked.size_reduction, bet.unit))
    return asked


def pounds(size: float | None, units: float) -> float | None:
    """A size in pounds, to the penny, of which there is at least one."""
    return None if size is None else max(round(size / units, 2), 0.01)


def unit_of(asked: PlaceInstruction, engine: PlaceInstruction) -> float:
    """How much of what was asked one of what the engine counts is: the rate, but for what rounding adds to it."""
    for ours, counted in (
        (asked.size, engine.size),
        (asked.liability, engine.liability),
        (asked.bet_target_size, engine.bet_target_size),
    ):
        if ours and counted:
            return ours / counted
    return 1.0


def in_currency(fact: OrderFact, unit: float, limit: bool) -> OrderFact:
    """A fact in another currency, `unit` of it for one of the fact's: sizes to the penny, and they still add up."""
    size = round(fact.size * unit, 2)
    names = ("matched", "cancelled", "lapsed", "voided")
    parts = {name: round(getattr(fact, name) * unit, 2) for name in names}
    remaining = 0.0
    if limit:
        left = round(size - sum(parts.values()), 2)
        if fact.remaining:
            remaining = max(left, 0.0)
        else:
            largest = max(names, key=lambda name: parts[name])
            parts[largest] = round(parts[largest] + left, 2)
    fills = tuple((at, price, part * unit) for at, price, part in fact.fills or ())
    return replace(fact, size=size, remaining=remaining, fills=fills, **parts)
