"""The simulated exchange as a recorded session saw the real one: with the latencies that were measured.

Bets are matched as in any simulation. Each request reaches the exchange when that of the session did: before the first
change that was published later. What is answered is held until the session took an answer that said as much. Requests
that the session never made, and those of paper accounts, have the latencies of the settings.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from heapq import heappop, heappush
from typing import Any

import msgspec

from ..actors.exchange import Answer, Desk
from ..strategies.book import MarketBook
from ..strategies.messages import OrderFact, ReplaceInstruction, Reply, Request
from ..strategies.runner_book import RunnerBook
from .accounts.funds import Purses
from .bets import Bet
from .matching import RunnerKey
from .models import FlumineQueue, Models
from .passive import PassiveMatching
from .placement import Arrival
from .queue_matching import QueueMatching
from .session_script import Asked, SessionScript
from .simulated_exchange import SimulatedExchange
from .simulated_market import SimulatedMarket


class SessionDesk:
    """The actor, as the exchange has it; what a request of the session waits for comes to the market instead."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.wait: Callable[..., bool] = lambda *arguments: False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._desk, name)

    def call_at(self, at_ms: int, market_id: str, function: Callable[..., object], *arguments: Any) -> None:
        if not self.wait(at_ms, function, *arguments):
            self._desk.call_at(at_ms, market_id, function, *arguments)


class OwnTrades:
    """What matching knows where the recording has the trades of the session's own bets: these match nothing else."""

    def __init__(self) -> None:
        self._own: dict[RunnerKey, dict[float, float]] = {}

    def traded(self, bet: Bet) -> None:
        """A bet was matched as it was placed: the recording will count that as traded, for both sides."""
        own = self._own.setdefault(bet.key, {})
        for _, price, size in bet.fills:
            own[price] = own.get(price, 0.0) + 2 * size

    def others(self, volumes: Mapping[RunnerKey, dict[float, float]]) -> Mapping[RunnerKey, dict[float, float]]:
        """What others traded of the volumes."""
        if not self._own:
            return volumes
        left = {}
        for key, delta in volumes.items():
            own = self._own.get(key, {})
            found = {}
            for price, volume in delta.items():
                ours = min(own.get(price, 0.0), volume)
                if ours:
                    own[price] = round(own[price] - ours, 2)
                if (others := round(volume - ours, 2)) > 0:
                    found[price] = others
            left[key] = found
        return left


class SessionMatching(QueueMatching):
    """Resting bets, served by what others traded.

    The recording has the session's own bets in it: what they offer, what they took, and whom they met. It has not those
    of paper accounts.

    Attributes:
        recorded: ids of the orders that are in it.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.own = OwnTrades()
        self.recorded: set[str] = set()

    def _volumes(self) -> Mapping[RunnerKey, dict[float, float]]:
        return self.own.others(super()._volumes())

    def place_behind(self, bet: Bet, runner: RunnerBook, aggressive: bool) -> None:
        super().place_behind(bet, runner, aggressive)
        bet.queue_ahead = self._others(bet.key, bet.back, bet.price or 0.0, bet.queue_ahead)

    def _shown(self, runner: RunnerBook | None, back: bool, price: float) -> float | None:
        shown = super()._shown(runner, back, price)
        if shown is None or runner is None:
            return shown
        return self._others((runner.selection_id, runner.handicap), back, price, shown)

    def _others(self, key: RunnerKey, back: bool, price: float, shown: float) -> float:
        """What is published at a price, without own bets that wait there."""
        for domain in self._domains.get(key, {}).values():
            line = domain.side(back).lines.get(price)
            if line is not None:
                shown -= sum(bet.size_remaining for bet in line.bets if bet.order_id in self.recorded)
        return round(max(shown, 0.0), 2)

    def took(self, bet: Bet, price: float, size: float) -> None:
        if bet.order_id not in self.recorded:  # what such a bet took is gone from the recording as well
            super().took(bet, price, size)

    def _cross(self, *arguments: Any) -> None:
        if not self.recorded:  # whom such bets met, the recording says by its trades
            super()._cross(*arguments)


class SessionPassive(PassiveMatching):
    """The same, with flumine's queue, which counts what is published as it is."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.own = OwnTrades()
        self.recorded: set[str] = set()

    def _take_deltas(self, defined: bool) -> None:
        super()._take_deltas(defined)
        self._deltas = self.own.others(self._deltas)


class SessionMarket(SimulatedMarket):
    """One market of a recorded session.

    Args:
        script: what the session says about its orders.
    """

    def __init__(
        self,
        market_id: str,
        book: MarketBook,
        desk: Desk,
        models: Models,
        ids: Any,
        purses: Purses,
        script: SessionScript,
    ) -> None:
        waiting: Any = SessionDesk(desk)
        super().__init__(market_id, book, waiting, models, ids, purses)
        waiting.wait = self._wait
        self._script = script
        self._line = 0
        self._held: dict[int, list[Answer]] = {}
        self._known: dict[str, Asked] = {}
        self._due: list[tuple[int, int, Asked, Callable[..., object], tuple[Any, ...]]] = []
        self._count = itertools.count()
        self._pass_on, self._answer = self._answer, self._hold

    def send(self, request: Request) -> None:
        asked = self._script.replayed(request)
        if asked is not None:
            self._known[request.request_id] = asked
            for each in request.instructions:
                new = each.new_order_id if isinstance(each, ReplaceInstruction) else None
                self._followed.recorded.add(new or each.order_id)
            # What never reached the exchange then does not now: accounts and limits were those of the live system.
            for line, reply in self._script.refusals(request, asked):
                self._held.setdefault(line, []).append(reply)
                refused = {report.order_id for report in reply.reports}
                left = tuple([each for each in request.instructions if each.order_id not in refused])
                request = msgspec.structs.replace(request, instructions=left)
        if request.instructions:
            super().send(request)

    def _times(self, request: Request) -> tuple[int, int]:
        asked = self._known.get(request.request_id)
        return super()._times(request) if asked is None else (asked.arrived_ms, asked.done_ms)

    def _new_matching(self) -> SessionMatching | SessionPassive:
        kind = SessionPassive if isinstance(self._models.queue, FlumineQueue) else SessionMatching
        self._followed = kind(self._book, self._desk, self._models, self._bets, self._tell)
        return self._followed

    def _admitted(self, request: Request, bets: list[Bet]) -> list[Bet]:
        # The real exchange has taken what the session sent, by the accounts and the money that were there.
        return bets if request.request_id in self._known else super()._admitted(request, bets)

    def _place(self, request: Request, bet: Bet, arrival: Arrival) -> bool:
        placed = super()._place(request, bet, arrival)
        if placed and bet.fills and request.request_id in self._known:
            self._followed.own.traded(bet)
        return placed

    # -- arriving ------------------------------------------------------------------------------------------------

    def _wait(self, at_ms: int, function: Callable[..., object], *arguments: Any) -> bool:
        """Take what is to be done for a request of the session; False for others."""
        asked = next((self._known.get(each.request_id) for each in arguments if isinstance(each, Request)), None)
        if asked is None:
            return False
        heappush(self._due, (at_ms, next(self._count), asked, function, arguments))
        return True

    def next_before(self, published_ms: int) -> int | None:
        """When the next request arrives that does so before a change of this moment; None where none does."""
        return self._due[0][0] if self._due and self._due[0][0] <= published_ms else None

    def next_answered(self, line: int) -> int | None:
        """When the next request arrives of which a line tells, or an earlier one; None where there is none."""
        if not any(asked.answered is not None and asked.answered <= line for _, _, asked, _, _ in self._due):
            return None
        return self._due[0][0]

    def arrive(self) -> None:
        """The next request arrives: now."""
        _, _, _, function, arguments = heappop(self._due)
        self._desk.call_at(self._clock.now_ms, self.market_id, self._act, function, arguments)

    def _act(self, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        function(*arguments)

    # -- answering -----------------------------------------------------------------------------------------------

    def _hold(self, message: Answer) -> None:
        line = self._script.when(message, self._line + 1) if isinstance(message, Reply | OrderFact) else None
        if isinstance(message, Reply):
            message = self._script.dated(message)
        if line is None:
            self._pass_on(message)
        else:
            self._held.setdefault(line, []).append(message)

    def reach(self, line: int) -> None:
        """The replay has come to a line of the recording: what is held for it is told."""
        for message in self._held.pop(line, ()):
            self._pass_on(message)
        self._line = line

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
        market = SessionMarket(market_id, book, desk, self._complete(desk), self, self._purses, script)
        self._markets[market_id] = market
        return market

    def of_session(self, market_id: str) -> SessionMarket | None:
        """A market of the session, while it is open."""
        market = self._markets.get(market_id)
        return market if isinstance(market, SessionMarket) else None
