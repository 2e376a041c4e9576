"""Reconciliation of starting prices. Source: docs/fidelity.md."""

from __future__ import annotations

import math

from ..strategies.runner_book import RunnerBook
from .bets import LIMIT_ON_CLOSE, Bet


def actual_sp(runner: RunnerBook | None, peer: bool = False) -> float | None:
    """The runner's starting price; None if there is none yet.

    "NaN" and "Infinity" do not count, nor does a price that leaves nothing to win: 1 or less. `peer`: any number but 0
    counts, as it does for the peer.
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


def reconcile(bet: Bet, sp: float, time_ms: int) -> None:
    """Match a bet that takes the starting price, `sp`.

    What is left of a limit order to lay lapses where its risk is below `bet.account.min_bsp_liability`.
    """
    back, price = bet.back, bet.price
    if bet.is_limit:
        assert price is not None
        remaining = bet.size_remaining
        if not remaining:
            pass  # matched whole in this very update
        elif back:
            bet.fill(time_ms, sp, remaining)
        else:
            risk = (price - 1) * remaining
            if risk >= bet.account.min_bsp_liability:
                size = lay_stake(risk, sp, bet.exact)
                bet.cancel(round(remaining - size, 2))
                if size or not bet.exact:
                    bet.fill(time_ms, sp, size)
            else:
                bet.lapse()
    elif bet.asked.order_type == LIMIT_ON_CLOSE and price is not None and (sp < price if back else sp > price):
        pass
    else:
        size = bet.liability if back else lay_stake(bet.liability, sp, bet.exact)
        if size or not bet.exact:
            bet.fill(time_ms, sp, size)
    bet.reconciled()
