"""Transaction charges: worked out from the counts of all units together, so they do not depend on how units ran.

Source: docs/account.md, "Transaction charge".
"""

from __future__ import annotations

import collections
import datetime
from typing import TYPE_CHECKING

from ..strategies.transaction_charge import after_set_off, charge_of_hour

if TYPE_CHECKING:
    import pyarrow as pa

#: Columns of `markets` that charges are set off by.
SET_OFF_BY = ("strategy", "start", "profit", "commission")


def by_hour(transactions: pa.Table) -> pa.Table:
    """Counts of each account and clock hour over all strategies and units, with the charge before it is set off."""
    import pyarrow as pa

    found = (
        transactions.group_by(["client", "hour"])
        .aggregate([("placed", "sum"), ("failed", "sum"), ("charge_each", "max")])
        .rename_columns(["client", "hour", "placed", "failed", "charge_each"])
        .sort_by([("client", "ascending"), ("hour", "ascending")])
    )
    counts = (found[name].to_pylist() for name in ("placed", "failed", "charge_each"))
    charges = [charge_of_hour(placed + failed, each or 0.0) for placed, failed, each in zip(*counts, strict=True)]
    return found.drop_columns(["charge_each"]).append_column("charge", pa.array(charges, pa.float64()))


def by_strategy(transactions: pa.Table, markets: pa.Table) -> dict[str, float]:
    """What each strategy is charged, as if it were alone in its accounts; those that are not named, nothing.

    Half of what it pays in commission, and of 3 % of what it loses in markets, is set off by the day (UTC): that of the
    transactions' hour, and of the markets' scheduled start.

    Args:
        markets: has the columns of `SET_OFF_BY`.
    """
    counted = transactions.group_by(["strategy", "client", "hour"]).aggregate(
        [("placed", "sum"), ("failed", "sum"), ("charge_each", "max")]
    )
    names = ("strategy", "hour", "placed_sum", "failed_sum", "charge_each_max")
    charged: dict[tuple[str, datetime.date], float] = collections.defaultdict(float)
    for strategy, hour, placed, failed, each in zip(*(counted[name].to_pylist() for name in names), strict=True):
        if charge := charge_of_hour(placed + failed, each or 0.0):
            charged[strategy, hour.date()] += charge
    if not charged:
        return {}
    paid: dict[tuple[str, datetime.date], list[float]] = collections.defaultdict(lambda: [0.0, 0.0])
    for strategy, start, profit, commission in zip(*(markets[name].to_pylist() for name in SET_OFF_BY), strict=True):
        if start is not None:
            sums = paid[strategy, start.date()]
            sums[0] += commission or 0.0
            sums[1] += max(-(profit or 0.0), 0.0)
    found: dict[str, float] = collections.defaultdict(float)
    for key, charge in charged.items():
        found[key[0]] += after_set_off(charge, *paid[key])
    return {strategy: round(charge, 2) for strategy, charge in found.items()}
