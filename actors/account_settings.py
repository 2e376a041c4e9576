"""What an account's settings come to: how the exchange treats it, and what is no setting at all."""

from __future__ import annotations

import functools
from typing import Any

from ..strategies.currency import ANY_STAKES, stakes_of
from ..strategies.errors import ClientError
from ..values import finite, shown, unboxed
from .exchange import AccountTerms


@functools.lru_cache(maxsize=64)
def terms_of(
    best_price_execution: bool, full_match: bool, currency: str, least_stakes: bool, units: float, *sums: float | None
) -> AccountTerms:
    """Accounts are asked for at each placing, and seldom differ."""
    stakes = stakes_of(currency)
    least = stakes.minimums.min_bsp_liability / units
    stakes = stakes if least_stakes else ANY_STAKES
    commission_base, discount_rate, balance, exposure_limit = sums
    return AccountTerms(
        best_price_execution,
        full_match,
        least,
        stakes,
        units,
        commission_base,
        discount_rate or 0.0,
        balance,
        exposure_limit,
    )


def money(value: float | None, what: str) -> float | None:
    """A sum of 0 or more, or None.

    Raises:
        ClientError: it is another value.
    """
    if value is None:
        return None
    found = finite(value, what, ClientError)
    if found < 0:
        raise ClientError(f"{what}={found}: expected 0 or more, or None")
    return found


def flag(value: Any, what: str) -> bool:
    """True or False.

    Raises:
        ClientError: it is another value.
    """
    plain = unboxed(value)
    if not isinstance(plain, bool):
        raise ClientError(f"{what}={shown(value)}: expected True or False")
    return plain
