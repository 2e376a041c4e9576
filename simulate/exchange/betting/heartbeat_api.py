"""The heartbeat API: an account whose client falls silent loses its unmatched limit bets.

Times are real ones, whatever the speed of what is played. Source: "Heartbeat API".
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any, Protocol

from ..exchange import Exchange
from ..faults import Faults
from ..http.arguments import required
from ..operations import Operation
from ..settings import AccountSettings
from .betting import Betting

#: Seconds between heartbeats that an account may choose.
SHORTEST, LONGEST = 10, 300

NONE, ALL_CANCELLED, SOME_LEFT = "NONE", "ALL_BETS_CANCELLED", "SOME_BETS_NOT_CANCELLED"


class Timer(Protocol):
    """Something that is due."""

    def cancel(self) -> None: ...


def later(seconds: float, function: Callable[[], object]) -> Timer:
    """Call a function after some seconds of real time."""
    return asyncio.get_running_loop().call_later(seconds, function)


class HeartbeatApi:
    """Watches accounts that have asked for it. It is not tied to a market or a connection.

    Args:
        call_later: sets a timer, in seconds of real time.
    """

    def __init__(
        self,
        exchange: Exchange,
        betting: Betting,
        faults: Faults,
        call_later: Callable[[float, Callable[[], object]], Timer] = later,
    ) -> None:
        self._exchange = exchange
        self._betting = betting
        self._faults = faults
        self._call_later = call_later
        self._timers: dict[str, Timer] = {}
        self._actions: dict[str, str] = {}

    def operations(self) -> dict[str, Operation]:
        """The calls, by name."""
        return {"HeartbeatAPING/v1.0/heartbeat": self.heartbeat}

    async def heartbeat(self, account: AccountSettings, params: dict[str, Any]) -> dict[str, Any]:
        """Start the account's time anew: 10 to 300 seconds, other numbers count as the nearer end; 0 stops it.

        Returns:
            The time that counts, and what was done since the last heartbeat.
        """
        name, seconds = account.username, required(params, "preferredTimeoutSeconds")
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()
        if seconds:
            seconds = min(max(seconds, SHORTEST), LONGEST)
            self._timers[name] = self._call_later(seconds, functools.partial(self._silent, name))
        action = self._actions.pop(name, NONE)
        fault = self._faults.take(
            "account.heartbeat", self._exchange.clock.now_ms, username=name, operation="heartbeat"
        )
        if fault is not None:
            action = fault.value or "CANCELLATION_STATUS_UNKNOWN"
        return {"actionPerformed": action, "actualTimeoutSeconds": seconds}

    def _silent(self, username: str) -> None:
        """No heartbeat came in time."""
        self._timers.pop(username, None)
        done, left = self._betting.cancel_all(username)
        action = SOME_LEFT if left else ALL_CANCELLED
        self._actions[username] = action if done or left else NONE
        self._exchange.ledger.write(
            "ACCOUNT", self._exchange.clock.now_ms, username=username, what="HEARTBEAT_LOST", cancelled=done, left=left
        )

    def stop(self) -> None:
        """Set no more timers; those that run are stopped."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
