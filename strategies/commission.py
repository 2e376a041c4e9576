"""Commission: what an account pays on its net winnings in a market.

Source: Betfair's charges page: net winnings x market base rate x (1 - discount).
"""

from __future__ import annotations

from typing import Protocol

from .changes import MarketDefinition


class Payer(Protocol):
    """An account, as far as it matters what it pays.

    Attributes:
        commission_base: its own rate, 0..1; None: the market's.
        discount_rate: percent off the market's.
    """

    @property
    def commission_base(self) -> float | None: ...

    @property
    def discount_rate(self) -> float: ...


def commission_percent(base_rate: float, discount_allowed: bool, discount_rate: float) -> float:
    """Commission in percent of what is won: the market's base rate less the account's discount, where it allows one.

    Args:
        base_rate: of the market, in percent.
        discount_rate: percent off commission, 0 to 100.
    """
    return base_rate * (1 - (discount_rate if discount_allowed else 0.0) / 100)


def commission_on(won: float, percent: float) -> float:
    """Commission on what was won in a market, to the penny; nothing on a loss."""
    return round(won * percent / 100, 2) if won > 0 else 0.0


def commission_of(profit: float, definition: MarketDefinition | None, account: Payer) -> float:
    """What an account pays on a market in which it has won `profit` in all: by its own rate, or by the market's."""
    if account.commission_base is not None:
        return at_rate(profit, account.commission_base)
    if definition is None:
        return 0.0
    percent = commission_percent(definition.market_base_rate, definition.discount_allowed, account.discount_rate)
    return commission_on(profit, percent)


def at_rate(profit: float, rate: float) -> float:
    """Commission at a rate, 0..1, whatever the market's; to the penny, nothing on a loss."""
    return round(max(profit * rate, 0.0), 2)
