"""Money of an account: the exchange's minimum stakes by currency, and how sizes are rounded."""

from __future__ import annotations

import math
from typing import NamedTuple


class CurrencyParameters(NamedTuple):
    """Minimums in units of the currency."""

    min_bet_size: float
    min_bet_payout: float
    min_bsp_liability: float


CURRENCIES: dict[str, CurrencyParameters] = {
    code: CurrencyParameters(*minimums)
    for code, minimums in {
        "GBP": (1, 10, 10),
        "EUR": (1, 20, 10),
        "USD": (1, 20, 20),
        "HKD": (10, 125, 125),
        "AUD": (5, 30, 30),
        "CAD": (2, 30, 30),
        "DKK": (15, 150, 150),
        "NOK": (10, 150, 150),
        "SEK": (15, 150, 150),
        "SGD": (2, 30, 30),
        "RON": (5, 50, 50),
        "BRL": (5, 50, 50),
        "MXN": (30, 300, 300),
        "PEN": (5, 50, 50),
        "HUF": (400, 4000, 4000),
        "ISK": (350, 1750, 1750),
        "NZD": (2, 10, 10),
        "ARS": (100, 500, 500),
        "GEL": (10, 50, 50),
    }.items()
}

#: Units of a currency for one pound, of the size that they had in 2025: for accounts of which no rate is given.
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

#: Jurisdictions whose accounts have no smallest payout to stand for the smallest stake, nor smaller replacements.
STRICT_STAKES = frozenset({"it", "es", "dk"})


class Stakes(NamedTuple):
    """The smallest stakes of an account.

    Attributes:
        minimums: in its currency.
        strict: no payout makes up for a smaller stake, and what replaces a bet must be no smaller either.
    """

    minimums: CurrencyParameters
    strict: bool = False


#: Of accounts of which no smallest stake is asked.
ANY_STAKES = Stakes(CurrencyParameters(0, 0, 0))


def stakes_of(currency: str, jurisdiction: str = "com") -> Stakes:
    """The smallest stakes of accounts in a currency. `jurisdiction`: "com", "it", "es", "dk"."""
    return Stakes(CURRENCIES[currency], jurisdiction in STRICT_STAKES)


def pence(size: float) -> float:
    """A size as the exchange keeps it: in hundredths of the account's currency, the nearest, a half up.

    Lists tell sizes so; the order stream tells them as floating point has them (8.879999999999999 is 8.88). All that is
    told is rounded so as it comes in; two sizes are equal if they are the same number of pence. See docs/live.md.
    """
    return math.floor(size * 100.0 + 0.5000001) / 100.0
