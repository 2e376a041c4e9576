"""Matching of resting bets by what is traded. Source: docs/fidelity.md.

Nothing is visited where nothing can match: bets are indexed by runner, and only those are looked at whose runner
traded, or whose market's version, status or starting prices changed.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Mapping

from ..actors.exchange import Desk
from ..strategies.book import MarketBook
from ..strategies.runner_book import RunnerBook
from .bets import MARKET_ON_CLOSE, Bet
from .matching import Matching, RunnerKey
from .models import FlumineQueue, Models

#: (group, price as sorted, number): lays from the highest price, backs from the lowest, then the rest.
Rank = tuple[int, float, int]


class Queue:
    """Resting bets of one isolation group on one runner, the most generous first."""

    __slots__ = ("bets", "ranks")

    def __init__(self) -> None:
        self.ranks: list[Rank] = []
        self.bets: list[Bet] = []

    def add(self, bet: Bet, rank: Rank) -> None:
        """Put a bet at its place."""
        at = bisect.bisect_right(self.ranks, rank)
        self.ranks.insert(at, rank)
        self.bets.insert(at, bet)
        bet.rank = rank

    def remove(self, bet: Bet) -> None:
        """Take a bet out, if it is there."""
        rank, bet.rank = bet.rank, None
        if rank is None:
            return
        at = bisect.bisect_left(self.ranks, rank)
        if at >= len(self.bets) or self.bets[at] is not bet:
            at = self.bets.index(bet)
        del self.ranks[at], self.bets[at]


class PassiveMatching(Matching):
    """Bets that each wait by themselves for what is traded, as the peer's do."""

    def __init__(
        self, book: MarketBook, desk: Desk, models: Models, bets: Mapping[str, Bet], tell: Callable[[Bet], object]
    ) -> None:
        super().__init__(book, desk, models, bets, tell)
        assert isinstance(models.queue, FlumineQueue)
        self._queue = models.queue
        self._available_prices = desk.config.simulation_available_prices
        self._queues: dict[RunnerKey, dict[str | None, Queue]] = {}
        self._fresh: list[Bet] = []
        self._seen_version: int | None = None
        self._reconciled = False
        self._definition: object = None
        self._deltas: Mapping[RunnerKey, dict[float, float]] = {}

    # -- the index -----------------------------------------------------------------------------------------------

    def place_behind(self, bet: Bet, runner: RunnerBook, aggressive: bool) -> None:
        if not aggressive:
            super().place_behind(bet, runner, aggressive)

    def add(self, bet: Bet) -> None:
        """Let the bet rest: the next update looks at it, and each later one that can change it."""
        self._queue_of(bet).add(bet, self.rank(bet))
        self._fresh.append(bet)

    def remove(self, bet: Bet) -> None:
        """Let the bet rest no longer."""
        if bet.rank is not None:
            self._queue_of(bet).remove(bet)
            self._awaiting_sp.pop(bet, None)

    def _queue_of(self, bet: Bet) -> Queue:
        groups = self._queues.setdefault(bet.key, {})
        group = self.group(bet)
        queue = groups.get(group)
        if queue is None:
            queue = groups[group] = Queue()
        return queue

    def rank(self, bet: Bet) -> Rank:
        """The place of a bet among those of its group."""
        if bet.price is None or bet.asked.order_type == MARKET_ON_CLOSE:
            return (2, 0.0, bet.number)
        return (1, bet.price, bet.number) if bet.back else (0, -bet.price, bet.number)

    def _rests(self, bet: Bet) -> bool:
        return not bet.ended

    # -- an update -----------------------------------------------------------------------------------------------

    def update(self) -> None:
        """Bring all bets up to date with the book."""
        book = self._book
        definition = book.market_definition
        defined = definition is not self._definition
        self._definition = definition
        self._take_deltas(defined)
        if defined:
            self._remove_runners()
        for key in list(self._ledgers):
            runner = book.runner(*key)
            if runner is not None:
                self._publish(key, runner)
        if defined and not self.peer:
            self._lapse_bets()
        if self._may_clear:
            self._clear_bets()
        everything = self._available_prices
        if book.version != self._seen_version:
            self._seen_version, everything = book.version, True
        if book.bsp_reconciled and not self._reconciled:
            self._reconciled, everything = True, True
        self._visit_bets(everything)
        if self._fresh:
            self._fresh.clear()

    def _take_deltas(self, defined: bool) -> None:
        """Find what was newly traded, by runner and price; only ACTIVE runners count."""
        self._deltas = self._book.newly_traded()

    def _visit_bets(self, everything: bool) -> None:
        """Visit all bets, or those that the update may have changed."""
        queues, deltas = self._queues, self._deltas
        if everything:
            for key in list(queues):
                self._visit_runner(key)
            return
        for key in deltas:
            if key in queues:
                self._visit_runner(key)
        if self._fresh or self._awaiting_sp:
            for bet in [*self._fresh, *self._awaiting_sp]:
                if bet.key not in deltas and self._rests(bet):
                    self._visit(self._book.runner(*bet.key), bet, {})

    def waiting(self) -> list[Bet]:
        return [bet for groups in self._queues.values() for queue in groups.values() for bet in queue.bets]

    # -- visits --------------------------------------------------------------------------------------------------

    def _visit_runner(self, key: RunnerKey) -> None:
        runner, delta = self._book.runner(*key), self._deltas.get(key, {})
        for queue in list(self._queues[key].values()):
            bets = queue.bets
            if not bets:
                continue
            # Bets of a group share the volume: each leaves what it does not use to the next.
            working = dict(delta) if len(bets) > 1 else delta
            for bet in list(bets):
                self._visit(runner, bet, working, shared=working is not delta)

    def _visit(self, runner: RunnerBook | None, bet: Bet, delta: dict[float, float], shared: bool = False) -> None:
        """Apply the update to one bet; an error is a failure of that bet, and the others go on."""
        book = self._book
        try:
            if book.bsp_reconciled and not bet.bsp_reconciled and bet.takes_sp:
                self._reconcile(runner, bet)
            else:
                bet.bsp_reconciled = bet.bsp_reconciled or book.bsp_reconciled
                price = bet.price
                if bet.is_limit and price is not None:
                    if delta:
                        self._trade(bet, price, delta, shared)
                    if self._available_prices and runner is not None:
                        self._match_available(bet, price, runner)
                    if self.peer and book.version != bet.market_version:
                        bet.market_version = book.version
                        if book.status == "SUSPENDED" and bet.persistence_type == "LAPSE":
                            bet.lapse()
        except Exception as error:
            self._failed(error, bet)
        if bet.changed:
            self._tell(bet)

    def _trade(self, bet: Bet, price: float, delta: dict[float, float], shared: bool) -> None:
        """Let the bet take its part of `delta`; if that is shared, what the bet leaves stays in it."""
        back, peer, queue = bet.back, self.peer, self._queue
        for traded_at, volume in delta.items():
            if traded_at < price if back else traded_at > price:
                continue
            if not peer and bet.size_remaining <= 0:
                return
            matched, used = queue.trade(bet, volume)
            if matched:
                bet.fill(self._book.publish_time_epoch, price, matched)
            if used and shared:
                delta[traded_at] = max(volume - used, 0)

    def _match_available(self, bet: Bet, price: float, runner: RunnerBook) -> None:
        """Match against what can be taken now, at the bet's own price (`Config.simulation_available_prices`)."""
        back = bet.back
        for at, available in self.offers(bet, runner):
            if at < price if back else at > price:
                return
            matched = round(min(bet.size_remaining, available), 2)
            if matched:
                bet.fill(self._book.publish_time_epoch, price, matched)
                self.took(bet, at, matched)
            bet.queue_ahead = 0.0
