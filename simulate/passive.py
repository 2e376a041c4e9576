"""Matching of resting bets by what is traded. Source: docs/fidelity.md.

Nothing is visited where nothing can match: bets are indexed by runner, and only those are looked at whose runner
traded, or whose market's version, status or starting prices changed.
"""

from __future__ import annotations

import bisect
import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ..strategies.book import MarketBook
from ..strategies.order import Order, OrderStatus
from ..strategies.order_types import LimitOrder, MarketOnCloseOrder
from ..strategies.runner_book import RunnerBook
from .bets import SimulatedBet
from .models import Models
from .starting_price import actual_sp, reconcile

if TYPE_CHECKING:
    from ..strategies.framework import Framework
    from ..strategies.market import Market
    from ..strategies.strategy import Strategy

logger = logging.getLogger("headrace")

_RESTING = frozenset({OrderStatus.EXECUTABLE, OrderStatus.CANCELLING, OrderStatus.UPDATING, OrderStatus.REPLACING})

#: (group, price as sorted, place in the blotter): lays from the highest price, backs from the lowest, then the rest.
Rank = tuple[int, float, int]
RunnerKey = tuple[int, float]


def _rank(order: Order) -> Rank:
    order_type = order.order_type
    if isinstance(order_type, MarketOnCloseOrder):
        return (2, 0.0, order.number)
    if order.side == "LAY":
        return (0, -order_type.price, order.number)
    return (1, order_type.price, order.number)


class _Queue:
    """Resting bets of one isolation group on one runner, the most generous first."""

    __slots__ = ("bets", "ranks")

    def __init__(self) -> None:
        self.ranks: list[Rank] = []
        self.bets: list[SimulatedBet] = []

    def add(self, bet: SimulatedBet) -> None:
        rank = _rank(bet.order)
        at = bisect.bisect_right(self.ranks, rank)
        self.ranks.insert(at, rank)
        self.bets.insert(at, bet)

    def remove(self, bet: SimulatedBet) -> None:
        at = bisect.bisect_left(self.ranks, _rank(bet.order))
        if at < len(self.bets) and self.bets[at] is bet:
            del self.ranks[at], self.bets[at]
        elif bet in self.bets:
            at = self.bets.index(bet)
            del self.ranks[at], self.bets[at]


class PassiveMatching:
    """The resting bets of a market, and what each update does to them."""

    def __init__(self, market: Market, framework: Framework, models: Models) -> None:
        config, rules = framework.config, framework.host.rules
        self._market = market
        self._framework = framework
        self._models = models
        self._isolated = config.simulated_strategy_isolation
        self._available_prices = config.simulation_available_prices
        self._compatible = rules.watch_all
        self._queues: dict[RunnerKey, dict[Strategy | None, _Queue]] = {}
        self._bets: list[SimulatedBet] = []
        self._fresh: list[SimulatedBet] = []
        self._awaiting_sp: dict[SimulatedBet, None] = {}
        self._version: int | None = None
        self._reconciled = False
        self._definition: object = None
        self._behind_deltas: dict[RunnerKey, dict[float, float]] = {}
        self._deltas: Mapping[RunnerKey, dict[float, float]] = self._behind_deltas
        self._seen: set[RunnerKey] = set()
        self._behind: dict[RunnerKey, RunnerBook] = {}
        self._unseen: set[RunnerKey] = set()
        market.blotter.watch(self)

    # -- the index -----------------------------------------------------------------------------------------------

    def enter(self, order: Order) -> None:
        """An order is on its way here: it gets its bet, and its runner's trades are followed."""
        bet = order.simulated = SimulatedBet(order, self._market)
        if not self._bets and not self._compatible:
            # Nobody has looked so far: runners that are gone already are no news to this order.
            removals = self._models.removals
            assert removals is not None
            removals.find(self._market.market_book)
        self._bets.append(bet)
        runner = self._market.market_book.runner(order.selection_id, order.handicap)
        if runner is not None:
            self._market.market_book.watch(runner)

    def placed(self, order: Order) -> None:
        """The order rests: this update looks at it."""
        self._fresh.append(order.simulated)

    def order_changed(self, order: Order, before: OrderStatus | None) -> None:
        """The blotter's word of a change of status."""
        bet: SimulatedBet | None = order.simulated
        if bet is None:
            return
        rests, rested = order.status in _RESTING, before in _RESTING
        if rests == rested:
            return
        key = (order.selection_id, order.handicap)
        group = order.trade.strategy if self._isolated else None
        if rests:
            if not self._looked_at(order):
                return
            groups = self._queues.setdefault(key, {})
            queue = groups.get(group)
            if queue is None:
                queue = groups[group] = _Queue()
            queue.add(bet)
            book = self._market.market_book
            if bet.market_version != book.version or bet.bsp_reconciled is not self._reconciled:
                self._fresh.append(bet)
            if self._compatible and key not in self._seen:
                self._unseen.add(key)
        elif group in self._queues.get(key, ()):
            self._queues[key][group].remove(bet)
            self._awaiting_sp.pop(bet, None)

    def _looked_at(self, order: Order) -> bool:
        """Whether matching sees a resting order.

        Where strategies share volume, the peer goes through the live orders of the market: one that a refusal has
        brought back from its end is not among them. Where they are isolated it goes through all.
        """
        return self._isolated or not self._compatible or order in self._market.blotter.live_orders

    # -- an update -----------------------------------------------------------------------------------------------

    def update(self) -> None:
        """Bring all bets up to date with the book."""
        book = self._market.market_book
        defined = book.market_definition is not self._definition
        self._definition = book.market_definition
        self._take_deltas(book, defined)
        if defined:
            self._remove_runners(book)
        everything = self._available_prices
        if book.version != self._version:
            self._version, everything = book.version, True
        if book.bsp_reconciled and not self._reconciled:
            self._reconciled, everything = True, True
        if self._unseen:
            self._visit_until_unseen(book)
        elif everything:
            for key in self._queues:
                self._visit_runner(book, key)
        else:
            for key in self._deltas:
                if key in self._queues:
                    self._visit_runner(book, key)
            for bet in [*self._fresh, *self._awaiting_sp]:
                key = (bet.order.selection_id, bet.order.handicap)
                if key not in self._deltas and bet.order.status in _RESTING:
                    self._visit(book, self._runner(book, key), bet, {})
        self._fresh.clear()

    def close(self) -> None:
        """The closing book: bets that wait for a starting price get it, if it has one."""
        book = self._market.market_book
        if not book.bsp_reconciled:
            return
        for key, groups in self._queues.items():
            runner = self._runner(book, key)
            for queue in groups.values():
                for bet in list(queue.bets):
                    if not bet.bsp_reconciled and bet.takes_sp:
                        try:
                            self._reconcile(book, runner, bet)
                        except Exception as error:
                            self._failed(error, bet)

    @staticmethod
    def _runner(book: MarketBook, key: RunnerKey) -> RunnerBook | None:
        return book.runner(*key)

    # -- traded volume -------------------------------------------------------------------------------------------

    def _take_deltas(self, book: MarketBook, defined: bool) -> None:
        """Work out what was newly traded, by runner and price; only ACTIVE runners count.

        Under compatibility a runner that left ACTIVE keeps its last delta, and what it trades meanwhile counts once it
        is back.
        """
        if not self._compatible:
            self._deltas = book.newly_traded()
            return
        deltas, behind = self._behind_deltas, self._behind
        if deltas:
            for key in [key for key in deltas if _is_active(book.runner(*key))]:
                del deltas[key]
        if defined:
            for runner in book.runners:
                key = (runner.selection_id, runner.handicap)
                if runner.status == "ACTIVE" and key not in self._seen:
                    self._seen.add(key)
                    self._unseen.discard(key)
                    if runner.traded_before:
                        runner.traded_before.clear()
        for runner in book.traded:
            behind[runner.selection_id, runner.handicap] = runner
        book.traded.clear()
        if behind:
            for key, runner in list(behind.items()):
                if runner.status == "ACTIVE":
                    del behind[key]
                    delta = runner.take_traded()
                    if delta:
                        deltas[key] = delta

    # -- visits --------------------------------------------------------------------------------------------------

    def _visit_runner(self, book: MarketBook, key: RunnerKey) -> None:
        runner, delta = self._runner(book, key), self._deltas.get(key, {})
        for queue in list(self._queues[key].values()):
            bets = queue.bets
            if not bets:
                continue
            # Bets of a group share the volume: each leaves what it does not use to the next.
            working = dict(delta) if len(bets) > 1 else delta
            for bet in list(bets):
                self._visit(book, runner, bet, working, shared=working is not delta)

    def _visit(
        self,
        book: MarketBook,
        runner: RunnerBook | None,
        bet: SimulatedBet,
        delta: dict[float, float],
        shared: bool = False,
    ) -> None:
        """What the update does to one bet; an error in that is the bet's own, and the others go on."""
        order = bet.order
        try:
            if book.bsp_reconciled and not bet.bsp_reconciled:
                if bet.takes_sp:
                    self._reconcile(book, runner, bet)
                    return
                bet.bsp_reconciled = True
            order_type = order.order_type
            if not isinstance(order_type, LimitOrder):
                return
            if delta:
                self._trade(bet, order_type.price, delta, shared, book.publish_time_epoch)
            if self._available_prices and runner is not None:
                self._match_available(bet, order_type.price, runner, book.publish_time_epoch)
            if book.version != bet.market_version:
                bet.market_version = book.version
                if book.status == "SUSPENDED" and order_type.persistence_type == "LAPSE":
                    bet.lapse()
        except Exception as error:
            self._failed(error, bet)

    def _failed(self, error: Exception, bet: SimulatedBet) -> None:
        self._framework.failed(error, bet.order.trade.strategy, self._market)

    def _trade(self, bet: SimulatedBet, price: float, delta: dict[float, float], shared: bool, time_ms: int) -> None:
        """Let the bet take its part of `delta`; where that is shared it keeps what the bet leaves."""
        back = bet.order.side == "BACK"
        queue = self._models.queue
        for traded_at, volume in delta.items():
            if traded_at < price if back else traded_at > price:
                continue
            if not self._compatible and bet.order.size_remaining <= 0:
                return
            matched, used = queue.trade(bet, volume)
            if matched:
                bet.fill(time_ms, price, matched)
            if used and shared:
                delta[traded_at] = max(volume - used, 0)

    def _match_available(self, bet: SimulatedBet, price: float, runner: RunnerBook, time_ms: int) -> None:
        """Match against what can be taken now, at the bet's own price (`Config.simulation_available_prices`)."""
        back = bet.order.side == "BACK"
        liquidity = self._models.liquidity
        for at, available in liquidity.to_back(runner) if back else liquidity.to_lay(runner):
            if at < price if back else at > price:
                return
            matched = round(min(bet.order.size_remaining, available), 2)
            if matched:
                bet.fill(time_ms, price, matched)
            bet.queue_ahead = 0.0

    def _reconcile(self, book: MarketBook, runner: RunnerBook | None, bet: SimulatedBet) -> None:
        sp = actual_sp(runner, self._compatible)
        if sp is None:
            self._awaiting_sp[bet] = None
            logger.debug("Market %s: no starting price for %r yet", book.market_id, bet)
            return
        self._awaiting_sp.pop(bet, None)
        reconcile(bet, sp, book.publish_time_epoch, bet.order.client.min_bsp_liability)
        if self._compatible:
            # At once, and so orders complete too that a refusal had brought back from their end.
            bet.order.execution_complete()

    def _remove_runners(self, book: MarketBook) -> None:
        removals = self._models.removals
        assert removals is not None
        for runner in removals.find(book):
            for bet in self._bets:
                if self._market.blotter.has_order(bet.order.id):
                    try:
                        removals.apply(bet, runner, self._market)
                    except Exception as error:
                        self._failed(error, bet)
                    if bet.order.complete:
                        self._market.blotter.sizes_changed(bet.order)

    def _visit_until_unseen(self, book: MarketBook) -> None:
        """The peer's fault: an order on a runner that was never active ends the pass over all orders."""
        for bet, delta in self._in_peer_order():
            order = bet.order
            key = (order.selection_id, order.handicap)
            if key not in self._seen:
                raise KeyError(f"market {book.market_id}: order on runner {order.lookup[1:]}, which was never active")
            self._visit(book, self._runner(book, key), bet, delta, shared=True)

    def _in_peer_order(self) -> Iterator[tuple[SimulatedBet, dict[float, float]]]:
        groups: dict[Strategy | None, list[SimulatedBet]] = {}
        for bet in self._bets:
            order = bet.order
            if order.status in _RESTING and self._market.blotter.has_order(order.id) and self._looked_at(order):
                groups.setdefault(order.trade.strategy if self._isolated else None, []).append(bet)
        for bets in groups.values():
            working = {key: dict(delta) for key, delta in self._deltas.items()}
            for bet in sorted(bets, key=lambda bet: _rank(bet.order)):
                yield bet, working.get((bet.order.selection_id, bet.order.handicap), {})


def _is_active(runner: RunnerBook | None) -> bool:
    return runner is not None and runner.status == "ACTIVE"
