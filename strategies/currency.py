"""The exchange's minimum stakes by account currency."""

from __future__ import annotations

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
