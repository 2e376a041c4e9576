"""Markets that go on here after the end of their former host: from what it handed over, and from what was heard since.

First the orders, trades and runners are made again, from the last row of each. Then all messages about them are
taken, by the same calls as ever; those that a row knows of already change nothing. So the orders stand where they
would stand if the former host had lived, but for requests of it that never reached the coordinator: those never
happened. Strategies go on with the first image: until all markets that they have are there, nothing is asked of them.
"""

from __future__ import annotations

import copy
import dataclasses
import logging
from collections.abc import Iterable, Iterator

import msgspec

from ...strategies.changes import MarketDefinition
from ...strategies.errors import RunError
from ...strategies.messages import (
    ANSWERED,
    PLACE,
    ClearedOrder,
    OrderFact,
    PlaceInstruction,
    ReplaceInstruction,
    Reply,
    Report,
    Request,
)
from ...strategies.order_rows import OrderRow, RunnerRow, TradeRow
from ...strategies.rebuilding import order_asked_for, rebuild, rebuild_runners
from ...strategies.snapshots import thaw
from ...strategies.strategy import Strategy
from ...strategies.trade import TradeStatus
from ...values import UNREADABLE, legible
from ..hosted_market import HostedMarket
from ..journal.entries import Kept, unpacked, with_trades_of
from ..letters import Restore
from ..market import MarketActor
from ..switchboard import SEPARATOR
from .host_coordinator import HostCoordinator
from .keeping import Keeping
from .paper_ends import PaperEnds

logger = logging.getLogger("headrace")


@dataclasses.dataclass(slots=True)
class _Past:
    """What a former host has handed over of a market.

    Attributes:
        trades: the last row of each, with the last row of each of its orders, in the order of their first entry.
        runners: the last of each.
        last: of each strategy what came last.
        snapshots: of each strategy the last snapshot, with its number.
        context: of the market, JSON.
        inplay_since_ms: when it turned in play, if it has.
    """

    trades: list[TradeRow]
    runners: list[RunnerRow]
    last: dict[str, Kept]
    snapshots: dict[str, tuple[int, bytes]]
    context: str
    inplay_since_ms: int | None


def past_of(each: Iterable[Kept]) -> _Past:
    """What was handed over bit by bit, put together."""
    trades: dict[str, TradeRow] = {}
    orders: dict[str, dict[str, OrderRow]] = {}
    ranks: dict[str, int] = {}
    runners: dict[tuple[str, int, float], RunnerRow] = {}
    past = _Past([], [], {}, {}, "{}", None)
    for kept in each:
        new: list[OrderRow] = []
        for trade in kept.trades:
            trades[trade.trade_id] = trade
            mine = orders.setdefault(trade.trade_id, {})
            for order in trade.orders:
                if order.number >= 0 and order.order_id not in ranks:
                    new.append(order)
                mine[order.order_id] = order
        for order in sorted(new, key=lambda order: order.number):
            ranks[order.order_id] = len(ranks)
        for runner in kept.runners:
            key = (runner.strategy, runner.selection_id, runner.handicap)
            runners[key] = with_trades_of(runner, runners.get(key))
        past.last[kept.strategy] = kept
        if kept.snapshot:
            past.snapshots[kept.strategy] = (kept.number, kept.snapshot)
        past.context = kept.context or past.context
        past.inplay_since_ms = past.inplay_since_ms or kept.inplay_since_ms
    past.runners = list(runners.values())
    for trade_id, trade in trades.items():
        # Numbers of several hosts: the order of entry counts.
        ranked = [
            msgspec.structs.replace(order, number=ranks.get(order.order_id, -1)) for order in orders[trade_id].values()
        ]
        past.trades.append(msgspec.structs.replace(trade, orders=tuple(ranked)))
    return past


class Restoring:
    """See the module; for one market actor.

    Args:
        actor, coordinator, keeping: the actor, and what belongs to it.
        name: the actor's, as the coordinator knows it.

    Attributes:
        waiting: strategies wait for the first image.
    """

    def __init__(self, actor: MarketActor, coordinator: HostCoordinator, keeping: Keeping, name: str) -> None:
        self._actor, self._coordinator, self._keeping = actor, coordinator, keeping
        self._paper = PaperEnds(actor, coordinator, name)
        self._snapshots: dict[Strategy, tuple[int, bytes]] = {}
        self._known: dict[Strategy, tuple[int, tuple[str, ...]]] = {}
        self._results: dict[str, list[ClearedOrder]] = {}
        self._coming: set[str] = set()
        self.waiting = False

    def restore(self, letter: Restore) -> int:
        """Have a market again, and its orders as they stand; returns how many there are.

        Raises:
            HeadraceError: it cannot be had.
        """
        actor, market_id = self._actor, letter.market_id
        known = actor.market(market_id)
        if known is not None:
            for order_id in _placed_in(letter):
                if known.order(order_id) is None:
                    raise RunError(f"market {market_id} is here, and order {order_id} of its former host is not known")
            return len(known.blotter)
        past = past_of(self._read(letter))
        asked = [message.strategy for message in letter.messages if isinstance(message, Request)]
        market = actor.reopen_market(market_id, _definition_of(letter), frozenset([*past.last, *asked]))
        if market is None:
            return 0  # as is said with its image
        try:
            self._rebuild(market, past)
            now = actor.clock.now_ms
            self._coming = {_here(message) for message in letter.messages if isinstance(message, Request)}
            try:
                for message in letter.messages:
                    self._take(market, message)
                    actor.process_current_orders(market)
            finally:
                actor.clock.now_ms = now
            self._settle_down(market, past)
        except Exception:
            actor.books.release_market(market_id)
            raise
        self._paper.go_on(market)
        self._plan(market, past)
        return len(market.blotter)

    def _read(self, letter: Restore) -> list[Kept]:
        found = []
        for data in letter.kept:
            try:
                found.append(unpacked(data))
            except UNREADABLE as error:
                # Of another version: what the requests themselves say has to do.
                logger.error("Market %s: what its former host kept cannot be read: %s", letter.market_id, error)
        return found

    # -- orders --------------------------------------------------------------------------------------------------

    def _rebuild(self, market: HostedMarket, past: _Past) -> None:
        strategies = {seat.strategy.name: seat.strategy for seat in market.seats}
        gone = {row.strategy for row in past.trades} - strategies.keys()
        if gone:
            names = ", ".join(map(repr, sorted(gone)))
            logger.error("Market %s: there are orders of %s, which does not run any more", market.market_id, names)
        trades = [row for row in past.trades if row.strategy in strategies]
        rebuild(trades, market.blotter, strategies, self._actor.clients.named)
        rebuild_runners([row for row in past.runners if row.strategy in strategies], strategies)
        context = msgspec.json.decode(past.context)
        assert isinstance(context, dict)
        market.context.update(context)
        market.inplay_since_ms = past.inplay_since_ms
        self._keeping.opened_again(market, past.context)

    def _take(self, market: HostedMarket, message: Request | Reply | OrderFact | ClearedOrder) -> None:
        """Take a message as if it came at its time."""
        at = message.asked_at if isinstance(message, Request) else message.at
        self._actor.clock.now_ms = market.market_book.publish_time_epoch = at
        if isinstance(message, Request):
            request_id = _here(message)
            self._coming.discard(request_id)
            asked = self._coordinator.as_here(message)
            self._ask(market, msgspec.structs.replace(asked, request_id=request_id, deadline=None))
        elif isinstance(message, Reply):
            request_id = _here(message)
            reports = [each for each in message.reports if not _heard(market, request_id, message.outcome, each)]
            if reports:
                self._actor.take(msgspec.structs.replace(message, request_id=request_id, reports=tuple(reports)))
        elif isinstance(message, ClearedOrder):
            self._results.setdefault(market.market_id, []).append(message)
        else:
            self._actor.take(message)

    def _ask(self, market: HostedMarket, request: Request) -> None:
        """A request that the former host has sent is under way, or was."""
        for instruction in request.instructions:
            if isinstance(instruction, PlaceInstruction):
                if market.order(instruction.order_id) is None:
                    self._place(market, request, instruction)
            elif isinstance(instruction, ReplaceInstruction):
                order = market.order(instruction.order_id)
                if order is None or order.request_id in self._coming:
                    continue  # it was over when the order's last request was made, of which its row tells
                if instruction.new_order_id is not None and market.order(instruction.new_order_id) is not None:
                    market.replaced_by[order.id] = instruction.new_order_id
                else:
                    market.replacing[order.id] = (instruction, request)
                    if order.trade.to_be_placed(order) is None:
                        order.update_data["new_price"] = instruction.new_price
                        order.trade.replacing(order)

    def _place(self, market: HostedMarket, request: Request, instruction: PlaceInstruction) -> None:
        """An order of which there is no row: what was asked for is known all the same."""
        seat = next((seat for seat in market.seats if seat.strategy.name == request.strategy), None)
        if seat is None:
            return
        client = self._actor.clients.named(request.venue, request.username)
        order = order_asked_for(instruction, request, seat.strategy, client)
        market.enter(order)
        order.trade.strategy.get_runner_context(*order.lookup).place(order.trade.id)

    def _settle_down(self, market: HostedMarket, past: _Past) -> None:
        """Strategies need not be shown again what they were shown before they handed over."""
        for trade in market.blotter.trades:
            context = trade.strategy.get_runner_context(trade.market_id, trade.selection_id, trade.handicap)
            if trade.status is TradeStatus.COMPLETE and trade.id in context.live_trades:
                context.reset(trade.id)
        handed_over = {order.order_id for trade in past.trades for order in trade.orders}
        for order in market.blotter:
            if order.id not in handed_over:
                # It entered while the book was not here: how the market looked then is not known.
                order.placement = order.market_notes = None
        for seat, mine in market.traders():
            last = past.last.get(seat.strategy.name)
            if last is None:
                continue
            shown = [
                order
                for order in mine.current
                if order.complete and order.id in handed_over and order.id not in last.current
            ]
            mine.drop(shown)
            mine.ended = sum(1 for order in mine.current if order.complete)

    # -- strategies ----------------------------------------------------------------------------------------------

    def _plan(self, market: HostedMarket, past: _Past) -> None:
        self.waiting = True
        for seat in market.seats:
            strategy, last = seat.strategy, past.last.get(seat.strategy.name)
            seat.told = last is not None
            if last is None:
                continue
            number, _ = self._known.get(strategy, (-1, ()))
            if last.number > number:
                self._known[strategy] = (last.number, last.known)
            snapshot = past.snapshots.get(strategy.name)
            if snapshot is not None and snapshot[0] > self._snapshots.get(strategy, (-1, b""))[0]:
                self._snapshots[strategy] = snapshot

    def resume(self) -> None:
        """Strategies go on from their snapshots: a market is about to be shown."""
        self.waiting = False
        known, self._known = self._known, {}
        snapshots, self._snapshots = self._snapshots, {}
        for market in self._actor.hosted:
            if not market.restored or market.shown:
                continue
            for seat in market.seats:
                seat.told = seat.told or market.market_id in known.get(seat.strategy, (0, ()))[1]
        at_work = {seat.strategy for market in self._actor.hosted if market.shown for seat in market.seats}
        for strategy, (number, _) in known.items():
            if strategy in at_work:
                continue  # it knows more than it knew then
            self._keeping.went_on(strategy, number)
            if strategy in snapshots:
                self._go_on(strategy, snapshots[strategy][1])

    def _go_on(self, strategy: Strategy, snapshot: bytes) -> None:
        turn, hosting = self._actor.turn, strategy._headrace
        turn.strategy = strategy
        try:
            thaw(strategy, snapshot)
        except Exception as error:
            # It goes on as a fresh copy; its orders and runners it has all the same.
            prototype = next(each for each in self._actor.prototypes if each.name == strategy.name)
            vars(strategy).clear()
            vars(strategy).update(vars(copy.deepcopy(prototype)), _headrace=hosting)
            self._actor.failed_here(error, strategy, turn.market)
            text = "strategy %s cannot go on from its snapshot, and goes on without: %s: %s"
            logger.error(text, strategy.name, type(error).__name__, legible(error))

    # -- results -------------------------------------------------------------------------------------------------

    def holds(self, market: HostedMarket, message: object) -> bool:
        """Keep a result of a market that is not shown yet: its closing would make it one of an earlier settlement."""
        if market.shown or not market.restored or not isinstance(message, ClearedOrder):
            return False
        self._results.setdefault(market.market_id, []).append(message)
        return True

    def results(self, market_id: str) -> list[ClearedOrder]:
        """Take the results of a market that has been shown."""
        return self._results.pop(market_id, [])


def _definition_of(letter: Restore) -> MarketDefinition:
    """A market's definition, or what is known of it.

    Raises:
        msgspec.DecodeError: it is not one.
    """
    if letter.definition:
        return msgspec.json.decode(letter.definition, type=MarketDefinition)
    return MarketDefinition(event_id=letter.event_id)


def _placed_in(letter: Restore) -> Iterator[str]:
    """The orders that a former host has asked for."""
    for message in letter.messages:
        for each in message.instructions if isinstance(message, Request) else ():
            if isinstance(each, PlaceInstruction):
                yield each.order_id


def _here(message: Request | Reply) -> str:
    """The id of a request as the market actor has it."""
    return message.request_id.rpartition(SEPARATOR)[2]


def _heard(market: HostedMarket, request_id: str, outcome: str, report: Report) -> bool:
    """Whether an order has taken an answer before: it is repeated without effect, but for traces in logs."""
    order = market.order(report.order_id)
    if order is None or market.is_replaced_by(order, request_id):
        return False
    if report.operation == PLACE:
        return outcome == ANSWERED and order.responses.place_response == report
    if outcome != ANSWERED:
        return order.request_id != request_id or order.state.request is None
    return f"{request_id} {report.operation}" in order.responses._heard
