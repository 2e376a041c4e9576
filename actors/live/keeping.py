"""What a market actor hands over with each request, so that another can go on in its place: see `Kept`.

It costs time between a decision and its order, so only what has changed is handed over. A strategy may go on thinking
after it has asked: when its callback has returned, what it knows then follows, if it is something else.
"""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Iterator

from ...strategies.messages import Request, StrategyFact
from ...strategies.order import Order
from ...strategies.order_rows import RunnerRow, TradeRow, kept, row_of_runner, row_of_trade
from ...strategies.snapshots import Frozen, frozen
from ...strategies.strategy import Strategy
from ...strategies.trade import Trade
from ..hosted_market import HostedMarket, Seat
from ..journal.entries import Kept, packed
from ..market import MarketActor

logger = logging.getLogger("headrace")

#: Bytes, and seconds of the processor, above which a snapshot is too much for every request.
_BIG = 1_000_000
_SLOW_S = 0.002


#: What was told of a runner: how many trades, how many of them live, the times of the last placing and the last end.
_Told = tuple[int, int, int | None, int | None]
_NOTHING: _Told = (0, 0, None, None)


class _Place:
    """A market as it was last handed over.

    Attributes:
        entered: how many orders its blotter had.
        open: orders that had not ended.
        ended: ids of those that had.
        runners: what was told of runners, by strategy and runner: enough of it to see that it has changed.
        snapshots: of strategies, by name.
        context: of the market, JSON.
    """

    def __init__(self) -> None:
        self.entered = 0
        self.open: dict[str, Order] = {}
        self.ended: set[str] = set()
        self.runners: dict[tuple[str, int | tuple[int, float]], _Told] = {}
        self.snapshots: dict[str, bytes] = {}
        self.context = "{}"


class Keeping:
    """See the module.

    Args:
        actor: whose markets and strategies they are.
    """

    def __init__(self, actor: MarketActor) -> None:
        self._actor = actor
        self._places: dict[str, _Place] = {}
        # The number of the last time, by instance.
        self._numbers: weakref.WeakKeyDictionary[Strategy, int] = weakref.WeakKeyDictionary()
        self._asked: dict[tuple[str, str], Strategy] = {}
        # What was warned of, by strategy: attributes that are left out, and "" for what is big or slow.
        self._warned: set[tuple[str, str]] = set()

    def with_request(self, request: Request) -> bytes:
        """What goes along with a request. It never raises: an order does not wait for it."""
        market = self._actor.market(request.market_id)
        seat = None if market is None else _seat_of(market, request.strategy)
        if market is None or seat is None:
            return b""
        strategy = seat.strategy
        self._asked[market.market_id, strategy.name] = strategy
        return self._packed(market, strategy, [each.order_id for each in request.instructions])

    def _packed(self, market: HostedMarket, strategy: Strategy, order_ids: list[str]) -> bytes:
        try:
            return packed(self._kept(market, strategy, order_ids))
        except Exception as error:
            self._actor.failed_here(error, None, market)
            return b""

    def since(self) -> Iterator[tuple[StrategyFact, bytes]]:
        """What strategies know since their requests: to be called after each turn with requests."""
        asked, self._asked = self._asked, {}
        for (market_id, name), strategy in asked.items():
            market, place = self._actor.market(market_id), self._places.get(market_id)
            if market is None or place is None or name not in place.snapshots:
                continue
            snapshot = self._snapshot(strategy, market, place)
            if snapshot:
                try:
                    data = packed(self._with(market, strategy, place, (), (), snapshot))
                except Exception as error:
                    self._actor.failed_here(error, None, market)
                    continue
                yield StrategyFact(name, market_id, self._actor.clock.now_ms), data

    def tell_again(self) -> Iterator[tuple[StrategyFact, bytes]]:
        """What strategies know that have orders: a coordinator that starts anew may not have heard the last of it."""
        for place in self._places.values():
            place.runners.clear()
            place.snapshots.clear()
            place.context = "{}"
        for market in self._actor.hosted:
            for seat, _ in market.traders() if market.shown else ():
                data = self._packed(market, seat.strategy, [])
                if data:
                    yield StrategyFact(seat.strategy.name, market.market_id, self._actor.clock.now_ms), data

    def went_on(self, strategy: Strategy, number: int) -> None:
        """A strategy goes on from a snapshot: later ones have higher numbers."""
        self._numbers[strategy] = number

    def opened_again(self, market: HostedMarket, context: str) -> None:
        """A market goes on: its orders, as they stand, and its context were handed over by its former host."""
        place = self._places[market.market_id] = _Place()
        place.entered, place.context = len(market.blotter), context
        for order in market.blotter:
            if order.complete:
                place.ended.add(order.id)
            else:
                place.open[order.id] = order

    def forget(self, market: HostedMarket) -> None:
        """A market is freed."""
        self._places.pop(market.market_id, None)

    # -- parts ---------------------------------------------------------------------------------------------------

    def _kept(self, market: HostedMarket, strategy: Strategy, order_ids: list[str]) -> Kept:
        place = self._places.setdefault(market.market_id, _Place())
        trades = self._trades(market, place, order_ids)
        runners = self._runners(market, place)
        snapshot = self._snapshot(strategy, market, place)
        return self._with(market, strategy, place, trades, runners, snapshot)

    def _with(
        self,
        market: HostedMarket,
        strategy: Strategy,
        place: _Place,
        trades: tuple[TradeRow, ...],
        runners: tuple[RunnerRow, ...],
        snapshot: bytes,
    ) -> Kept:
        number = max(self._numbers.get(strategy, 0) + 1, self._actor.clock.now_ms * 1000)
        self._numbers[strategy] = number
        mine = market.blotter.orders_of(strategy)
        context = kept(market.context) if market.context or place.context != "{}" else "{}"
        changed, place.context = context != place.context, context
        return Kept(
            trades,
            runners,
            snapshot,
            strategy.name,
            number,
            () if mine is None else tuple([order.id for order in mine.current]),
            tuple(self._told_of(market, strategy)),
            context if changed else "",
            market.inplay_since_ms,
        )

    def _told_of(self, market: HostedMarket, strategy: Strategy) -> Iterator[str]:
        """The markets that a strategy with several has been told of."""
        if strategy.scope == "market":
            return
        for each in self._actor.hosted:
            if each.shown and any(seat.strategy is strategy for seat in each.seats):
                yield each.market_id

    @staticmethod
    def _trades(market: HostedMarket, place: _Place, order_ids: list[str]) -> tuple[TradeRow, ...]:
        """Trades with orders that have entered the blotter, ended or are asked about."""
        blotter, trades = market.blotter, dict[Trade, None]()
        new = len(blotter) - place.entered
        place.entered += new
        for order in blotter.last(new):
            trades[order.trade] = None
            place.open[order.id] = order
        ended = [order for order in place.open.values() if order.complete]
        for order in ended:
            trades[order.trade] = None
        for order_id in order_ids:
            asked = market.order(order_id)
            if asked is not None:
                trades[asked.trade] = None
                if order_id in place.ended and not asked.complete:  # it was thought to be over
                    place.ended.discard(order_id)
                    place.open[order_id] = asked
        rows = tuple([row_of_trade(trade, place.ended) for trade in trades])
        for order in ended:
            del place.open[order.id]
            place.ended.add(order.id)
        return rows

    @staticmethod
    def _runners(market: HostedMarket, place: _Place) -> tuple[RunnerRow, ...]:
        """Runners of all strategies: their trades are among those that have ended."""
        found, market_id = [], market.market_id
        for seat, _ in market.traders():
            strategy = seat.strategy
            for key, context in strategy._headrace.contexts.get(market_id, {}).items():
                now = (context.trade_count, context.live_trade_count, context.last_placed_ms, context.last_reset_ms)
                before = place.runners.get((strategy.name, key), _NOTHING)
                if before != now:
                    place.runners[strategy.name, key] = now
                    found.append(row_of_runner(strategy, market_id, key, context, before[0]))
        return tuple(found)

    # -- snapshots -----------------------------------------------------------------------------------------------

    def _snapshot(self, strategy: Strategy, market: HostedMarket, place: _Place) -> bytes:
        """The strategy's snapshot, if it is another than the last one here. An error in it is the strategy's."""
        began = time.thread_time()
        try:
            found = frozen(strategy)
        except Exception as error:
            self._actor.failed_here(error, strategy, market)
            return b""
        self._warn(strategy, market, found, time.thread_time() - began)
        if found.data == place.snapshots.get(strategy.name):
            return b""
        place.snapshots[strategy.name] = found.data
        return found.data

    def _warn(self, strategy: Strategy, market: HostedMarket, found: Frozen, took: float) -> None:
        name, size = strategy.name, len(found.data)
        for attribute, why in found.left_out.items():
            self._warn_once(
                name, attribute, market, f"self.{attribute} cannot be pickled and does not survive a restart: {why}"
            )
        if size > _BIG or took > _SLOW_S:
            why = f"its snapshot has {size} bytes and took {took * 1000:.1f} ms, at each request; override snapshot()"
            self._warn_once(name, "", market, why)

    def _warn_once(self, strategy: str, what: str, market: HostedMarket, text: str) -> None:
        if (strategy, what) not in self._warned:
            self._warned.add((strategy, what))
            extra = {"strategy": strategy, "market_id": market.market_id}
            logger.warning("strategy %s: %s", strategy, text, extra=extra)


def _seat_of(market: HostedMarket, strategy: str) -> Seat | None:
    return next((seat for seat in market.seats if seat.strategy.name == strategy), None)
