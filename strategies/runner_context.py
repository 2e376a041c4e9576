"""What a strategy has done on one runner of one market."""

from __future__ import annotations

import datetime

from .clock import Clock, from_ms


class RunnerContext:
    """A strategy's trades on a runner.

    Attributes:
        invested: an order was placed here.
        trades: ids of all trades, in the order of their first order.
        live_trades: ids of those not complete.
        trade_count, live_trade_count: how many of each.
    """

    __slots__ = (
        "_clock",
        "invested",
        "last_placed_ms",
        "last_reset_ms",
        "live_trade_count",
        "live_trades",
        "selection_id",
        "trade_count",
        "trades",
    )

    def __init__(self, selection_id: int, clock: Clock) -> None:
        self.selection_id = selection_id
        self._clock = clock
        self.invested = False
        self.last_placed_ms: int | None = None
        self.last_reset_ms: int | None = None
        self.trades: dict[str, None] = {}
        self.live_trades: dict[str, None] = {}
        self.trade_count = 0
        self.live_trade_count = 0

    def place(self, trade_id: str) -> None:
        """An order of the trade was placed."""
        self.invested = True
        self.last_placed_ms = self._clock.now_ms
        self.trades[trade_id] = None
        self.live_trades[trade_id] = None
        self.trade_count = len(self.trades)
        self.live_trade_count = len(self.live_trades)

    def reset(self, trade_id: str) -> None:
        """The trade is complete."""
        self.last_reset_ms = self._clock.now_ms
        self.live_trades.pop(trade_id, None)
        self.live_trade_count = len(self.live_trades)

    @property
    def executable_orders(self) -> bool:
        """Whether any trade is live."""
        return bool(self.live_trades)

    @property
    def datetime_last_placed(self) -> datetime.datetime | None:
        return None if self.last_placed_ms is None else from_ms(self.last_placed_ms)

    @property
    def datetime_last_reset(self) -> datetime.datetime | None:
        return None if self.last_reset_ms is None else from_ms(self.last_reset_ms)

    @property
    def placed_elapsed_seconds(self) -> float | None:
        """Seconds since an order was last placed here; None before."""
        return None if self.last_placed_ms is None else (self._clock.now_ms - self.last_placed_ms) / 1000

    @property
    def reset_elapsed_seconds(self) -> float | None:
        """Seconds since a trade last completed here; None before."""
        return None if self.last_reset_ms is None else (self._clock.now_ms - self.last_reset_ms) / 1000
