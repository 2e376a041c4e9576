"""Reconciliation of starting prices. Source: docs/fidelity.md."""

from __future__ import annotations

import math

from ..strategies.order_types import LimitOnCloseOrder, LimitOrder
from ..strategies.runner_book import RunnerBook
from .bets import SimulatedBet


def actual_sp(runner: RunnerBook | None, peer: bool = False) -> float | None:
    """The runner's starting price; None where there is none yet.

    "NaN" and "Infinity" are none, and so is a price that leaves nothing to win: 1 or less. `peer`: any number but 0 is
    one, as it is for the peer.
    """
    price = runner.sp.actual_sp if runner else None
    if isinstance(price, (int, float)) and math.isfinite(price) and (price if peer else price > 1):
        return float(price)
    return None


def lay_stake(liability: float, sp: float, exact: bool) -> float:
    """The stake of a lay that risks `liability` at the starting price, to the penny.

    `exact`: rounded down, so that the bet never loses more than its liability; else to the nearest, as the peer does.
    """
    stake = liability / (sp - 1)
    return math.floor(round(stake * 100, 6)) / 100 if exact else round(stake, 2)


def reconcile(bet: SimulatedBet, sp: float, time_ms: int, min_bsp_liability: float) -> None:
    """Match a bet that takes the starting price, `sp`.

    Args:
        min_bsp_liability: least liability of a lay that is carried over; a smaller one lapses.
    """
    order = bet.order
    order_type = order.order_type
    back = order.side == "BACK"
    if isinstance(order_type, LimitOrder):
        remaining = order.size_remaining
        if not remaining:
            pass  # matched whole in this very update
        elif back:
            bet.fill(time_ms, sp, remaining)
        else:
            risk = (order_type.price - 1) * remaining
            if risk >= min_bsp_liability:
                size = lay_stake(risk, sp, bet.exact)
                order.size_cancelled += round(remaining - size, 2)
                if size or not bet.exact:
                    bet.fill(time_ms, sp, size)
                else:
                    bet.settle_sizes()
            else:
                bet.lapse()
    elif isinstance(order_type, LimitOnCloseOrder) and (sp < order_type.price if back else sp > order_type.price):
        pass
    else:
        size = order_type.liability if back else lay_stake(order_type.liability, sp, bet.exact)
        if size or not bet.exact:
            bet.fill(time_ms, sp, size)
    bet.reconciled()
