"""How hosts stand: which are stalled, and with which markets."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ..letters import HostState
from .seating import Seating

#: Milliseconds for which nothing may be heard of a host before it counts as stalled.
SILENT_MS = 10_000


class HostWatch:
    """Takes the states of hosts.

    Args:
        seating: gives stalled hosts no new markets.
        alert: told when a host is stalled: a kind, a sentence.
        note: told when it gets on again: a kind, a sentence.
        stall_limit: seconds that a callback may take before its host counts as stalled.
    """

    def __init__(
        self,
        seating: Seating,
        alert: Callable[[str, str], object],
        note: Callable[[str, str], object],
        stall_limit: float = 5.0,
    ) -> None:
        self._seating, self._alert, self._note = seating, alert, note
        self._busy_ms = stall_limit * 1000
        self.states: dict[str, HostState] = {}
        self.markets: dict[str, list[dict[str, Any]]] = {}
        self._heard: dict[str, int] = {}

    def take(self, state: HostState, at_ms: int) -> list[dict[str, Any]] | None:
        """A host tells how it stands: the rows of its markets, where it tells them anew."""
        known = self.states.get(state.host)
        self.states[state.host] = state
        self._heard[state.host] = at_ms
        self._judge(state.host, at_ms)
        if known is not None and known.markets == state.markets:
            return None
        rows: list[dict[str, Any]] = json.loads(state.markets)
        self.markets[state.host] = rows
        return rows

    def look(self, at_ms: int) -> None:
        """Time has passed."""
        for host in self._seating.hosts:
            self._heard.setdefault(host, at_ms)
            self._judge(host, at_ms)

    def forget(self, host: str) -> None:
        """A host is gone."""
        for known in (self.states, self.markets, self._heard):
            known.pop(host, None)

    def _judge(self, host: str, at_ms: int) -> None:
        seats = self._seating.hosts.get(host)
        if seats is None:
            return
        state, silent_ms = self.states.get(host), at_ms - self._heard[host]
        if state is None and not seats.places:
            return  # it is starting, and nobody waits for it
        busy_ms = 0 if state is None else state.busy_ms
        stalled = busy_ms >= self._busy_ms or silent_ms >= SILENT_MS
        if stalled == seats.stalled:
            return
        seats.stalled = stalled
        markets = ", ".join(sorted({market for _, market in seats.places})) or "none"
        if not stalled:
            self._note("STALLED", f"host {host} gets on again; its markets: {markets}")
        elif busy_ms >= self._busy_ms:
            where = f", {state.busy_in}" if state is not None and state.busy_in else ""
            self._alert(
                "STALLED",
                f"host {host} is stalled: a callback runs for {busy_ms / 1000:.0f} s{where}; its markets, "
                f"none of which sees anything: {markets}",
            )
        else:
            self._alert(
                "STALLED",
                f"host {host} is stalled: nothing was heard of it for {silent_ms / 1000:.0f} s; its markets: {markets}",
            )

    def stalled_ms(self, host: str, at_ms: int) -> int:
        """For how long a host has been doing the same, or has not been heard of; 0: it is not stalled."""
        seats, state = self._seating.hosts.get(host), self.states.get(host)
        if seats is None or not seats.stalled:
            return 0
        return max(0 if state is None else state.busy_ms, at_ms - self._heard.get(host, at_ms))

    def rows(self) -> list[dict[str, Any]]:
        """The hosts, for the state of the system."""
        found = []
        for name, seats in self._seating.hosts.items():
            state = self.states.get(name)
            found.append(
                {
                    "name": name,
                    "markets": len(seats.places),
                    "depth": 0 if state is None else state.depth,
                    "behind": 0 if state is None else state.behind,
                    "lost": 0 if state is None else state.lost,
                    "busy_ms": 0 if state is None else state.busy_ms,
                    "busy_in": "" if state is None else state.busy_in,
                    "stalled": seats.stalled,
                }
            )
        return found

    def market_rows(self) -> list[dict[str, Any]]:
        """The markets with their strategies, for the state of the system."""
        return [
            {**row, "host": host, "stalled": self._seating.hosts[host].stalled}
            for host, rows in self.markets.items()
            if host in self._seating.hosts
            for row in rows
        ]
