"""Reconciliation of starting prices. Source: docs/fidelity.md."""

from __future__ import annotations

import math

from ..strategies.book import RunnerBook
from ..strategies.order_types import LimitOnCloseOrder, LimitOrder
from .bets import SimulatedBet


def actual_sp(runner: RunnerBook | None) -> float | None:
    """The runner's starting price; None where there is none yet ("NaN" and "Infinity" are none)."""
    price = runner.sp.actual_sp if runner else None
    if isinstance(price, (int, float)) and math.isfinite(price) and price:
        return float(price)
    return None


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
                size = round(risk / (sp - 1), 2)
                order.size_cancelled += round(remaining - size, 2)
                bet.fill(time_ms, sp, size)
            else:
                bet.lapse()
    elif isinstance(order_type, LimitOnCloseOrder) and (sp < order_type.price if back else sp > order_type.price):
        pass
    else:
        bet.fill(time_ms, sp, order_type.liability if back else round(order_type.liability / (sp - 1), 2))
    bet.reconciled()
