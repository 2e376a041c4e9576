"""Logging controls: the user's own log of what happens, fed in order, once for the whole run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

logger = logging.getLogger("headrace")


class LoggingControl:
    """Subclass it and override what you need; each method gets the event, its subject is `event.event`."""

    NAME = "LOGGING_CONTROL"

    def __call__(self, event: Any) -> None:
        getattr(self, f"_process_{event.name}", self._process_other)(event)

    def _process_config(self, event: Any) -> None:
        """The run starts; the configuration."""

    def _process_strategy(self, event: Any) -> None:
        """A strategy was added."""

    def _process_market(self, event: Any) -> None:
        """A market is new."""

    def _process_trade(self, event: Any) -> None:
        """The first order of a trade was placed."""

    def _process_order(self, event: Any) -> None:
        """An order has its bet id."""

    def _process_balance(self, event: Any) -> None:
        """A balance was read."""

    def _process_cleared_orders(self, event: Any) -> None:
        """Settled orders were read, live."""

    def _process_cleared_orders_meta(self, event: Any) -> None:
        """The orders of a settled market."""

    def _process_cleared_markets(self, event: Any) -> None:
        """A client's result of a settled market, as a dict; `event.event.orders` has it as an object."""

    def _process_closed_market(self, event: Any) -> None:
        """A market was settled."""

    def _process_custom_event(self, event: Any) -> None:
        """A custom event."""

    def _process_end(self, event: Any) -> None:
        """The run ends: close what you opened."""
        self._process_end_flumine(event)

    def _process_end_flumine(self, event: Any) -> None:
        """The same, by the name that flumine gives it."""

    def _process_other(self, event: Any) -> None:
        """An event of another kind."""


class LoggingControls:
    """The controls of a run. An error in one is logged and stops neither the others nor the run."""

    def __init__(self, controls: Sequence[LoggingControl]) -> None:
        self.controls = list(controls)

    def __call__(self, event: Any) -> None:
        for control in self.controls:
            try:
                control(event)
            except Exception:
                logger.exception("Logging control %s failed on %r", type(control).__name__, event)
