"""Matching of resting bets by what is traded. Source: docs/fidelity.md.

Nothing is visited where nothing can match: bets are indexed by runner, and only those are looked at whose runner
traded, or whose market's version, status or starting prices changed.
"""

from __future__ import annotations

import bisect
import logging
from collections.abc import Callable, Mapping

from ..actors.exchange import Desk
from ..strategies.book import MarketBook
from ..strategies.changes import MarketChange, MarketDefinition
from ..strategies.runner_book import RunnerBook
from .bets import MARKET_ON_CLOSE, Bet
from .models import Models
from .starting_price import actual_sp, reconcile

logger = logging.getLogger("headrace")

#: (group, price as sorted, number): lays from the highest price, backs from the lowest, then the rest.
Rank = tuple[int, float, int]
RunnerKey = tuple[int, float]


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


class PassiveMatching:
    """The resting bets of a market, and what each update does to them.

    Args:
        bets: all of the market by their orders, in order of arrival; its owner adds to it.
        tell: called with a bet that an update has changed.
    """

    #: Treat bets that have nothing left, and starting prices, as the peer does.
    peer = False

    def __init__(
        self, book: MarketBook, desk: Desk, models: Models, bets: Mapping[str, Bet], tell: Callable[[Bet], object]
    ) -> None:
        self._book = book
        self._desk = desk
        self._models = models
        self._bets = bets
        self._tell = tell
        self._isolated = desk.config.simulated_strategy_isolation
        self._available_prices = desk.config.simulation_available_prices
        self._queues: dict[RunnerKey, dict[str | None, Queue]] = {}
        self._fresh: list[Bet] = []
        self._awaiting_sp: dict[Bet, None] = {}
        self._version: int | None = None
        self._reconciled = False
        self._definition: object = None
        self._deltas: Mapping[RunnerKey, dict[float, float]] = {}

    # -- the index -----------------------------------------------------------------------------------------------

    def enter(self, bet: Bet) -> None:
        """Follow the trades of the runner of a bet that is on its way."""
        if not self._bets:
            self._look_first()
        runner = self._book.runner(bet.selection_id, bet.handicap)
        if runner is not None:
            self._book.watch(runner)

    def _look_first(self) -> None:
        """Note the runners that are removed already: their removals do not concern the first bet."""
        self._note_removed(self._book)

    def adopt(self, definition: MarketDefinition) -> None:
        """A bet comes whose market is not shown yet: of removals in its definition the bet knows."""
        if not self._bets:
            known = MarketBook(self._book.market_id)
            known.apply(0, MarketChange(known.market_id, definition))
            self._note_removed(known)

    def _note_removed(self, book: MarketBook) -> None:
        removals = self._models.removals
        assert removals is not None
        removals.find(book)

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
        group = bet.strategy if self._isolated else None
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
        everything = self._available_prices
        if book.version != self._version:
            self._version, everything = book.version, True
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

    def close(self) -> None:
        """The closing book: bets that wait for a starting price get it, if it has one."""
        book = self._book
        if not book.bsp_reconciled:
            return
        for key, groups in self._queues.items():
            runner = book.runner(*key)
            for queue in groups.values():
                for bet in list(queue.bets):
                    if not bet.bsp_reconciled and bet.takes_sp:
                        try:
                            self._reconcile(runner, bet)
                        except Exception as error:
                            self._failed(error, bet)
                        if bet.changed:
                            self._tell(bet)

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
                    if book.version != bet.market_version:
                        bet.market_version = book.version
                        if book.status == "SUSPENDED" and bet.persistence_type == "LAPSE":
                            bet.lapse()
        except Exception as error:
            self._failed(error, bet)
        if bet.changed:
            self._tell(bet)

    def _failed(self, error: Exception, bet: Bet) -> None:
        self._desk.failed(error, bet.market_id, bet.strategy)

    def _trade(self, bet: Bet, price: float, delta: dict[float, float], shared: bool) -> None:
        """Let the bet take its part of `delta`; if that is shared, what the bet leaves stays in it."""
        back, peer, queue = bet.back, self.peer, self._models.queue
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
        liquidity = self._models.liquidity
        for at, available in liquidity.to_back(runner) if back else liquidity.to_lay(runner):
            if at < price if back else at > price:
                return
            matched = round(min(bet.size_remaining, available), 2)
            if matched:
                bet.fill(self._book.publish_time_epoch, price, matched)
            bet.queue_ahead = 0.0

    def _reconcile(self, runner: RunnerBook | None, bet: Bet) -> None:
        sp = actual_sp(runner, self.peer)
        if sp is None:
            self._awaiting_sp[bet] = None
            logger.debug("Market %s: no starting price for %r yet", bet.market_id, bet)
            return
        self._awaiting_sp.pop(bet, None)
        reconcile(bet, sp, self._book.publish_time_epoch)

    # -- removals ------------------------------------------------------------------------------------------------

    def _remove_runners(self) -> None:
        removals = self._models.removals
        assert removals is not None
        for runner in removals.find(self._book):
            for bet in list(self._bets.values()):
                if not self._meets(bet, runner):
                    continue
                try:
                    removals.apply(bet, runner, self._book)
                except Exception as error:
                    self._failed(error, bet)
                if bet.changed:
                    self._tell(bet)

    def _meets(self, bet: Bet, removed: RunnerBook) -> bool:
        """Whether a removal concerns a bet: not one on its way, which is refused when it arrives, nor a refused one."""
        if bet.placed:
            return True
        return not bet.ended and bet.key != (removed.selection_id, removed.handicap)
