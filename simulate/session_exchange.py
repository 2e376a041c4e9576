"""The simulated exchange as a recorded session saw the real one: with the latencies that were measured.

Bets are matched as in any simulation. Each request reaches the exchange when that of the session did, and what is
answered is held until the session took an answer that said as much. Requests that the session never made, and
answers that it never had, have the latencies of the settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..actors.exchange import Answer, Desk
from ..strategies.book import MarketBook
from ..strategies.messages import OrderFact, Reply, Request
from .models import Models
from .session_script import Asked, SessionScript
from .simulated_exchange import SimulatedExchange
from .simulated_market import SimulatedMarket


class SessionMarket(SimulatedMarket):
    """One market of a recorded session.

    Args:
        script: what the session says about its orders.
    """

    def __init__(self, *arguments: Any, script: SessionScript) -> None:
        super().__init__(*arguments)
        self._script = script
        self._line = 0
        self._held: dict[int, list[Answer]] = {}
        self._known: dict[str, Asked] = {}
        self._pass_on, self._answer = self._answer, self._hold

    def send(self, request: Request) -> None:
        asked = self._script.replayed(request)
        if asked is not None:
            self._known[request.request_id] = asked
        super().send(request)

    def _times(self, request: Request) -> tuple[int, int]:
        asked = self._known.get(request.request_id)
        return super()._times(request) if asked is None else (asked.arrived_ms, asked.done_ms)

    def _hold(self, message: Answer) -> None:
        line = self._script.when(message, self._line + 1) if isinstance(message, Reply | OrderFact) else None
        if line is None:
            self._pass_on(message)
        else:
            self._held.setdefault(line, []).append(message)

    def reach(self, line: int) -> None:
        """The replay has come to a line of the recording: what is held for it is told."""
        self._line = line
        for message in self._held.pop(line, ()):
            self._pass_on(message)

    def _tell_all(self) -> None:
        """The market, or its recording, ends: nothing is held any longer."""
        self._answer = self._pass_on
        for line in sorted(self._held):
            for message in self._held[line]:
                self._pass_on(message)
        self._held.clear()

    def closed(self, line_result: float | None) -> None:
        self._tell_all()
        super().closed(line_result)

    def expire(self, why: str) -> bool:
        self._tell_all()
        return super().expire(why)


class SessionExchange(SimulatedExchange):
    """The exchange of a recorded session.

    Args:
        scripts: by market; they are there before their markets open.
    """

    def __init__(self, models: Models, scripts: Mapping[str, SessionScript]) -> None:
        super().__init__(models)
        self._scripts = scripts

    def open(self, market_id: str, book: MarketBook, desk: Desk) -> SimulatedMarket:
        script = self._scripts.get(market_id)
        if script is None:
            return super().open(market_id, book, desk)
        market = SessionMarket(market_id, book, desk, self._complete(desk), self, script=script)
        self._markets[market_id] = market
        return market

    def reach(self, market_id: str, line: int) -> None:
        """The replay of a market has come to a line."""
        market = self._markets.get(market_id)
        if isinstance(market, SessionMarket):
            market.reach(line)
