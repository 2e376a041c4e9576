"""Rates of currencies, and requests in pounds: what is published, and what the engine counts in.

The exchange's streams and books are in pounds; bets and money are in the account's currency ("Additional
Information", currency). Rates do not change while the exchange runs.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from ...strategies.messages import CancelInstruction, Instruction, PlaceInstruction, Request
from .account_bet import AccountBet
from .errors import ApiError

#: Units of a currency for one pound; made up, of the size that they had in 2025.
RATES: dict[str, float] = {
    "GBP": 1.0,
    "EUR": 1.16,
    "USD": 1.31,
    "HKD": 10.2,
    "AUD": 2.02,
    "CAD": 1.84,
    "DKK": 8.66,
    "NOK": 13.4,
    "SEK": 12.7,
    "SGD": 1.71,
    "RON": 5.89,
    "BRL": 7.05,
    "MXN": 24.5,
    "PEN": 4.46,
    "HUF": 450.0,
    "ISK": 166.0,
    "NZD": 2.31,
    "ARS": 1860.0,
    "GEL": 3.56,
}


def rate(currency: str) -> float:
    """Units of a currency for one pound.

    Raises:
        ApiError: the exchange has no such currency.
    """
    try:
        return RATES[currency]
    except KeyError:
        raise ApiError("INVALID_INPUT_DATA", f"currency {currency!r}: expected one of {', '.join(RATES)}") from None


def in_pounds(request: Request, units: float, bets: Mapping[str, AccountBet]) -> Request:
    """A request of an account whose currency has `units` for one pound. `bets`: by their orders."""
    return replace(request, instructions=tuple(_in_pounds(each, units, bets) for each in request.instructions))


def _in_pounds(asked: Instruction, units: float, bets: Mapping[str, AccountBet]) -> Instruction:
    if isinstance(asked, PlaceInstruction):
        return replace(
            asked,
            size=_pounds(asked.size, units),
            liability=_pounds(asked.liability, units),
            min_fill_size=_pounds(asked.min_fill_size, units),
            bet_target_size=_pounds(asked.bet_target_size, units),
        )
    if isinstance(asked, CancelInstruction) and asked.size_reduction is not None:
        bet = bets.get(asked.order_id)
        if bet is not None:
            whole = asked.size_reduction >= bet.remaining
            return replace(asked, size_reduction=None if whole else _pounds(asked.size_reduction, bet.unit))
    return asked


def _pounds(size: float | None, units: float) -> float | None:
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
