"""The market actor: hosts markets and the strategies that trade them, and runs the loop of each change.

A plain class, free of Ray, sockets and clocks of its own: replay calls it directly, live wraps it.
"""

from __future__ import annotations

import functools
import logging
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..config import Config
from ..strategies.blotter import StrategyOrders
from ..strategies.book import MarketBook
from ..strategies.changes import MarketChange, MarketDefinition
from ..strategies.errors import ControlError, HeadraceError, OrderError, RecordingError, SettlementError
from ..strategies.events import CustomEvent, TerminationEvent
from ..strategies.host import Host
from ..strategies.hosting import hosted, scope_of, window_of
from ..strategies.market import Market, Markets
from ..strategies.order import Order
from ..strategies.order_package import OrderPackage, OrderPackageType
from ..strategies.strategy import Strategy
from ..strategies.terms import Terms
from ..strategies.window import Gate, Window
from ..values import legible
from .clients import BaseClient, Clients
from .controls import DEFAULT_TRADING_CONTROLS, BaseControl
from .coordinator import Coordinator
from .exchange import Exchange, MarketExchange
from .failures import Failures, place_in, users_code
from .logs import FailureLine
from .market_filter import admits
from .middleware import Middleware
from .side_data import SideData
from .sieves import Sieve
from .streams import HandlerQueue
from .workers import BackgroundWorker

logger = logging.getLogger("headrace")


#: What a look at the book takes: `check_market_book`, `process_market_book`, the window's times, the strategy.
Reader = tuple[Callable[..., object], Callable[..., object], Gate | None, Strategy]


class Seat:
    """A strategy at a market."""

    __slots__ = ("all_orders", "process_orders", "raw", "reader", "strategy", "wants_books")

    def __init__(self, strategy: Strategy, all_orders: bool) -> None:
        cls = type(strategy)
        self.strategy = strategy
        self.all_orders = all_orders or strategy.process_orders_scope == "all"
        self.process_orders = strategy.process_orders
        window = window_of(strategy)
        gate = Gate(window) if window.bounded else None
        self.raw = bool(getattr(strategy.stream_class, "raw", False))
        self.reader: Reader = (strategy.check_market_book, strategy.process_market_book, gate, strategy)
        looks = cls.check_market_book is not Strategy.check_market_book or "check_market_book" in vars(strategy)
        self.wants_books = looks and not self.raw


class HostedMarket(Market):
    """A market with what its actor keeps of it.

    Attributes:
        exchange: the exchange's side of it.
        seats: its strategies, in the order of the run.
        readers: those of them that look at books.
        changes: changes folded in.
        inplay_since_ms: when it turned in play.
        shown: strategies have been told of it.
        settlements: how often every bet of it was given a result.
        outcome: what it was last settled by.
        attended: there is more to do at a change than to show the book: orders, middleware, a first showing.
    """

    def __init__(self, market_id: str, market_book: MarketBook, actor: MarketActor, exchange: Exchange) -> None:
        super().__init__(market_id, market_book, actor)
        self._actor = actor
        self.seats: list[Seat] = []
        self.readers: list[Reader] = []
        self.attended = True
        self.changes = 0
        self.first_ms = 0
        self.inplay_since_ms: int | None = None
        self.shown = False
        self.settlements = 0
        self.outcome: object = None
        self.orders_shown_ms = 0
        self.orders_timer = False
        self._traders: list[tuple[Seat, StrategyOrders]] = []
        self.exchange: MarketExchange = exchange.open(self, actor)

    def traders(self) -> list[tuple[Seat, StrategyOrders]]:
        """The strategies that have placed an order here, in the order of the run."""
        blotter = self.blotter
        if len(self._traders) != len(blotter.strategies):
            found = [(seat, blotter.orders_of(seat.strategy)) for seat in self.seats]
            self._traders = [(seat, mine) for seat, mine in found if mine is not None]
        return self._traders

    def unsettled(self, strategy: Strategy | None = None) -> int:
        """How many matched bets (of a strategy) have no result."""
        orders = self.blotter if strategy is None else self.blotter.strategy_orders(strategy)
        return sum(1 for order in orders if order.size_matched and not order.settled)

    def renew(self, gate: Gate) -> None:
        """Bring a window's times up to date with the market's definition."""
        gate.renew(self.market_book.market_definition, self._start_ms, self.inplay_since_ms)

    def enter(self, order: Order) -> None:
        """Put an order into the blotter.

        Raises:
            OrderError: the recording of the market has ended.
        """
        if self._actor.market(self.market_id) is not self:
            raise OrderError(
                f"market {self.market_id}: its recording has ended and its results are kept: nothing is placed there"
            )
        self.attended = True
        if not self.blotter.has_live_orders:
            # The interval of `process_orders` begins with the first of them.
            self.orders_shown_ms = self.clock.now_ms
        super().enter(order)
        self._actor.plan_orders(self)

    def _call_at(self, at_ms: int, function: Callable[[], object]) -> None:
        """Timers belong to whoever asked: its chance, its name in log lines and failures."""
        self._actor.call_at(at_ms, self._actor.running, self, function)


class MarketActor:
    """Hosts markets and strategies.

    The methods without underscore named in the documentation are steps that a subclass may override.

    Args:
        host: clock, rules and ids.
        strategies: prototypes; each scope gets copies.
        coordinator: clients and their controls.
        exchange: where orders go.
        middleware: called at each change, in order.
        trading_controls: further controls, class and settings, after the three that are always there.
        failures: where errors of strategies are counted.
        side_data: what is recorded beside markets.
    """

    def __init__(
        self,
        host: Host,
        strategies: Sequence[Strategy],
        coordinator: Coordinator,
        exchange: Exchange,
        middleware: Sequence[Middleware] = (),
        trading_controls: Sequence[tuple[type[BaseControl], dict[str, Any]]] = (),
        client_controls: Sequence[tuple[BaseClient | None, Any, dict[str, Any]]] = (),
        failures: Failures | None = None,
        side_data: SideData | None = None,
    ) -> None:
        self.host = host
        self.config: Config = host.config
        self.markets = Markets()
        self.running: Strategy | None = None
        self.current_market: HostedMarket | None = None
        self.stopped = False
        self._addressed: list[Strategy] | None = None
        self._side = side_data
        # Events without a time, with the strategies that have heard of each: instances go with their markets.
        self._standing: dict[CustomEvent, weakref.WeakSet[Strategy]] = {}
        self._announced: set[CustomEvent] = set()
        self.handler_queue = HandlerQueue(self._take_event)
        self.coordinator = coordinator
        self.middleware = list(middleware)
        self.failures = Failures() if failures is None else failures
        self._prototypes = list(strategies)
        self._exchange = exchange
        self._instances: dict[tuple[int, str | None], Strategy] = {}
        self._hosted: dict[str | None, HostedMarket] = {}  # a change may come without an id: no market has it
        self._ignored: set[str] = set()
        #: What filters let pass, by strategy; those without a filter are left out.
        self.sieves: dict[str, Sieve] = {}
        self._clock = host.clock
        self._rules = host.rules
        self._timed = not host.rules.all_orders
        self._interval_ms = round(host.config.process_orders_interval * 1000)
        # A subclass may act at each change; sets of a sweep share what is watched of a book.
        self._rests = self._timed and type(self) is MarketActor and not self.middleware
        coordinator.connect(self, client_controls)
        self.trading_controls: list[BaseControl] = [control(self) for control in DEFAULT_TRADING_CONTROLS]
        for control, settings in trading_controls:
            with users_code(f"control {control.__name__} cannot be made", raise_errors=self.config.raise_errors):
                self.trading_controls.append(control(self, **settings))

    # -- the framework's face ------------------------------------------------------------------------------------

    @property
    def clients(self) -> Clients:
        return self.coordinator.clients

    @property
    def strategies(self) -> list[Strategy]:
        """The instances that live here; in the callback of a custom event those it is for."""
        if self._addressed is not None:
            return self._addressed
        return list(self._instances.values()) or self._prototypes

    def validate(self, market: Market, order: Order, package_type: OrderPackageType, client: BaseClient) -> None:
        for control in (*self.trading_controls, *client.trading_controls):
            if control.scope == "market" or not self._rules.account_controls_later:
                control(order, package_type)

    def refused(self, market: Market, order: Order, package_type: OrderPackageType, refusal: ControlError) -> None:
        self.coordinator.refused(order, package_type, refusal)
        placing = package_type is OrderPackageType.PLACE
        if placing or not self._rules.guarded_status:
            order.violation(str(refusal))
            if not placing:
                order.executable()
        else:
            order.violation_msg = str(refusal)

    def process_order_package(self, package: OrderPackage) -> None:
        if self._rules.account_controls_later:
            self._screen(package)
        if package.orders:
            self.coordinator.process_order_package(package)

    def _screen(self, package: OrderPackage) -> None:
        """Run the controls of the account: what they refuse does not go to the exchange."""
        controls = [c for c in (*self.trading_controls, *package.client.trading_controls) if c.scope == "account"]
        for order in list(package.orders):
            try:
                for control in controls:
                    control(order, package.package_type)
            except Exception as refusal:
                package.orders.remove(order)
                if isinstance(refusal, ControlError):
                    self.coordinator.refused(order, package.package_type, refusal)
                else:
                    # The control itself is at fault: what it did not judge does not go out, and the others do.
                    self._failed(refusal, order.trade.strategy, package.market)
                if package.package_type is OrderPackageType.PLACE:
                    order.violation(str(refusal))
                    if order.trade.complete:
                        order.trade.complete_trade()
                else:
                    order.violation_msg = str(refusal)
                    order.executable()

    def stop(self) -> None:
        """End the run: what was replayed is kept."""
        self.stopped = True

    def _take_event(self, event: CustomEvent | TerminationEvent) -> None:
        """An event that code here has put on `handler_queue`: it comes at once."""
        if isinstance(event, TerminationEvent):
            self.stop()
        elif event.publish_time is None:
            running, market = self.running, self.current_market
            self._deliver_to_open(event)
            self.running, self.current_market = running, market
        else:
            self.add_custom_events([event])

    def log_control(self, event: Any) -> None:
        self.coordinator.log(event)

    def __deepcopy__(self, memo: dict[int, Any]) -> MarketActor:
        return self

    # -- changes -------------------------------------------------------------------------------------------------

    def process_market_change(self, publish_time: int, change: MarketChange) -> None:
        """One change of one market: the loop of the design, in its order.

        Args:
            publish_time: milliseconds since the epoch.
        """
        market = self._hosted.get(change.id)
        if market is None:
            market = self._new_market(publish_time, change)
            if market is None:
                return
        clock = self._clock
        if clock.next_ms <= publish_time:
            self._run_timers(publish_time)
        clock.now_ms = publish_time
        self.current_market = market
        exchange = market.exchange
        if exchange.pending:
            self._guarded(None, market, exchange.release)
        book = market.market_book
        book.apply(publish_time, change)
        market.changes += 1
        if change.market_definition is not None and self._defined(market, change.market_definition):
            return
        self.process_market_books(market, book)

    def fold_unseen(self, publish_time: int, change: MarketChange) -> None:
        """Fold a change into the book without showing it to anybody: it lies outside all windows."""
        market = self._hosted.get(change.id)
        if market is None:
            return
        market.exchange.hold()
        market.market_book.apply(publish_time, change)
        if change.market_definition is not None:
            self.define_unseen(market)

    def define_unseen(self, market: HostedMarket) -> None:
        """The book of a market has another definition, which no strategy is shown; bets may be changed by it."""
        market.defined()
        self._turn_in_play(market)
        if self._timed and market.blotter.active:
            self._clock.now_ms = market.market_book.publish_time_epoch
            self._guarded(None, market, market.exchange.match)

    @property
    def skips(self) -> bool:
        """Whether changes that nobody looks at need not come: a subclass, or middleware, may act on each."""
        return type(self) is MarketActor and not self.middleware

    def faces(self, market_id: str) -> Sequence[HostedMarket]:
        """The market as its strategies see it; empty where it is not hosted."""
        market = self._hosted.get(market_id)
        return () if market is None else (market,)

    def skip(self, market_id: str, changes: int) -> None:
        """Count changes of a market that did not come, because nobody looks at them."""
        self._hosted[market_id].changes += changes

    @property
    def next_timer_ms(self) -> float:
        """When the first timer is due, milliseconds since the epoch; infinite where there is none."""
        return self._clock.next_ms

    def show_again(self, market: HostedMarket) -> None:
        """Run the loop on a book that has not changed, at the book's own time."""
        self._clock.now_ms = market.market_book.publish_time_epoch
        if market.exchange.pending:
            self._guarded(None, market, market.exchange.release)
        if market.market_book.status == "CLOSED":
            self.process_close_market(market)
        else:
            self.process_market_books(market, market.market_book)

    def process_market_books(self, market: HostedMarket, book: MarketBook) -> None:
        """The book has changed: matching, middleware, orders, then each strategy."""
        if market.attended and self._attend(market):
            return
        for check, process, gate, strategy in market.readers:
            if gate is not None:
                if gate.definition is not book.market_definition:
                    market.renew(gate)
                if not gate.from_ms <= self._clock.now_ms <= gate.until_ms:
                    continue
            self.running = strategy
            try:
                if check(market, book):
                    process(market, book)
            except Exception as error:
                self._failed(error, strategy, market)

    def _attend(self, market: HostedMarket) -> bool:
        """What a change means to matching, middleware and orders; True where strategies have looked at the book too."""
        exchange = market.exchange
        active = market.blotter.active
        new = not market.shown
        if new:
            self._announce(market)
        if active or exchange.watching:
            self._guarded(None, market, exchange.match)
        for middleware in self.middleware:
            self._guarded(None, market, middleware, market)
        if active:
            self.process_market_orders(market)
        if new:
            in_turn = self._rules.shown_in_turn and not self._standing
            if in_turn:
                self._show_in_turn(market)
            else:
                self._show_new(market)
            market.attended = market.blotter.active or exchange.watching or bool(self.middleware)
            return in_turn
        if self._rests and not market.blotter.has_live_orders:
            self._rest(market)
        return False

    def _rest(self, market: HostedMarket) -> None:
        """Attend to the market no longer, where all its orders are at their end and told of: until the next one comes.

        A new definition is attended to all the same: it may change what was matched.
        """
        if market.blotter.finished or market.exchange.watching:
            return
        if any(mine.current or seat.all_orders for seat, mine in market.traders()):
            return
        market.attended = False
        market.exchange.rest()

    def process_market_orders(self, market: HostedMarket) -> None:
        """Orders may have changed: complete those at their end, then tell their strategies."""
        self.process_current_orders(market)
        market.orders_shown_ms = self._clock.now_ms
        for seat, mine in market.traders():
            self.running = seat.strategy
            try:
                if seat.all_orders:
                    seat.process_orders(market, mine.orders)
                elif mine.current:
                    orders = mine.listed()
                    if not mine.ended:
                        seat.process_orders(market, orders)
                        continue
                    ended = mine.take_ended()
                    try:
                        seat.process_orders(market, orders)
                    finally:
                        mine.drop(ended)
            except Exception as error:
                self._failed(error, seat.strategy, market)
        self.plan_orders(market)

    def plan_orders(self, market: HostedMarket) -> None:
        """See to it that `process_orders` is called in time while there are live orders."""
        if self._timed and not market.orders_timer and market.blotter.has_live_orders:
            market.orders_timer = True
            self._clock.call_at(self._clock.now_ms + self._interval_ms, lambda: self._orders_due(market))

    def _orders_due(self, market: HostedMarket) -> None:
        """The interval of `process_orders` has passed since it was planned; perhaps not since the last call."""
        market.orders_timer = False
        if market.closed or self._hosted.get(market.market_id) is not market:
            return
        due = market.orders_shown_ms + self._interval_ms
        if due > self._clock.now_ms:
            market.orders_timer = True
            self._clock.call_at(due, lambda: self._orders_due(market))
            return
        if market.exchange.pending:
            self._guarded(None, market, market.exchange.release)
        self.process_market_orders(market)

    def process_current_orders(self, market: HostedMarket) -> None:
        """The exchange has told of orders: complete those at their end."""
        blotter = market.blotter
        if not blotter.finished:
            return
        finished, live = list(dict.fromkeys(blotter.finished)), blotter.live_orders
        blotter.finished.clear()
        for order in finished:
            if order not in live:
                continue
            if not order.complete and market.exchange.is_done(order):
                try:
                    order.execution_complete()
                except Exception as error:
                    self._failed(error, order.trade.strategy, market)
            if order.complete:
                blotter.complete_order(order)
        blotter.finished.clear()

    # -- markets -------------------------------------------------------------------------------------------------

    def _new_market(self, publish_time: int, change: MarketChange) -> HostedMarket | None:
        """Host a market, once its definition is known and some strategy wants it."""
        market_id, definition = change.id, change.market_definition
        if market_id is None or market_id in self._ignored or definition is None:
            return None
        wanted = [strategy for strategy in self._prototypes if self.admits(strategy, market_id, definition)]
        if not wanted:
            self._ignored.add(market_id)
            return None
        self._clock.now_ms = max(self._clock.now_ms, publish_time) if self._clock.now_ms else publish_time
        book = self._new_book(market_id, [window_of(strategy) for strategy in wanted])
        # Strategies and filters look at the definition before the change that carries it is folded in.
        book.market_definition = definition
        market = HostedMarket(market_id, book, self, self._exchange)
        market.first_ms = publish_time
        all_orders = self._rules.all_orders
        market.seats = [Seat(self._instance(strategy, market_id, definition), all_orders) for strategy in wanted]
        market.readers = [seat.reader for seat in market.seats if seat.wants_books]
        self._hosted[market_id] = market
        self.markets.add(market)
        return market

    def _new_book(self, market_id: str, windows: Sequence[Window]) -> MarketBook:
        book = MarketBook(
            market_id,
            cumulative_runner_tv=any(window.cumulative_runner_tv for window in windows),
            calculate_market_tv=any(window.calculate_market_tv for window in windows),
        )
        if self._rules.watch_all:
            book.watch_all()
        return book

    def admits(self, strategy: Strategy, market_id: str, definition: MarketDefinition) -> bool:
        """Whether a strategy wants a market, by its filters."""
        if not strategy.market_filter:
            return True
        sieve = self.sieves.setdefault(strategy.name, Sieve())
        sport = window_of(strategy).admits_sport(definition.event_type_id)
        if sport and admits(strategy.market_filter, market_id, definition):
            sieve.admitted += 1
            return True
        sieve.pass_over(strategy, market_id, definition)
        return False

    def wants_any(self, market_id: str) -> bool:
        """Whether anybody here wants a market that has been offered."""
        return market_id not in self._ignored

    def _instance(self, strategy: Strategy, market_id: str, definition: MarketDefinition) -> Strategy:
        keys = {"market": market_id, "event": definition.event_id or market_id, "run": None}
        key = (id(strategy), keys[scope_of(strategy)])
        instance = self._instances.get(key)
        if instance is None:
            instance = self._instances[key] = hosted(strategy, self)
        return instance

    def _announce(self, market: HostedMarket) -> None:
        """A market is new: the coordinator and the middleware hear of it before its first change is worked on."""
        market.shown = True
        self.coordinator.add_market(market)
        for middleware in self.middleware:
            self._guarded(None, market, middleware.add_market, market)

    def _show_new(self, market: HostedMarket) -> None:
        """Then its strategies do."""
        self._open_sides(market)
        for seat in market.seats:
            self._guarded(seat.strategy, market, seat.strategy.process_new_market, market, market.market_book)
        for event in self._standing:
            self.deliver(event, [market])

    def _show_in_turn(self, market: HostedMarket) -> None:
        """Or each strategy hears of the market and looks at its first book, before the next does."""
        self._open_sides(market)
        book = market.market_book
        for seat in market.seats:
            strategy = seat.strategy
            self._guarded(strategy, market, strategy.process_new_market, market, book)
            check, process, gate, _ = seat.reader
            if gate is not None:
                market.renew(gate)
            inside = gate is None or gate.from_ms <= self._clock.now_ms <= gate.until_ms
            if seat.wants_books and inside and self._guarded(strategy, market, check, market, book):
                self._guarded(strategy, market, process, market, book)

    def _open_sides(self, market: HostedMarket) -> None:
        """What is recorded beside the market is opened with it."""
        if self._side is not None:
            self._guarded(None, market, self._side.opened, self, market)

    def _defined(self, market: HostedMarket, definition: MarketDefinition) -> bool:
        """The definition changed; True where the market is closed and nothing more is to be done."""
        market.defined()
        self._turn_in_play(market)
        if definition.status == "CLOSED":
            self.process_close_market(market)
            return True
        if market.closed:
            market.open_market()
        market.attended = market.attended or market.blotter.active
        return False

    def _turn_in_play(self, market: HostedMarket) -> None:
        if market.market_book.inplay and market.inplay_since_ms is None:
            market.inplay_since_ms = market.market_book.publish_time_epoch

    def process_close_market(self, market: HostedMarket) -> None:
        """The exchange has closed the market: settle it."""
        lasting = self._rules.lasting_markets
        outcome = _outcome(market.market_book.market_definition)
        if market.closed:
            if not lasting or outcome == market.outcome:
                return
            market.open_market()
        if not (market.shown or self._rules.shown_at_close):
            return
        if not market.shown:
            self._announce(market)
            self._show_new(market)
        market.outcome = outcome
        market.close_market()
        market.market_book_closed = market.market_book
        self._guarded(None, market, market.exchange.close)
        market.settlements += not market.unsettled()
        if self._timed:
            self.process_market_orders(market)
        for seat in market.seats:
            self._guarded(seat.strategy, market, seat.strategy.process_closed_market, market, market.market_book)
        if lasting:
            self._expire(market, "MARKET_CLOSED")
        self.coordinator.closed(market)
        if not lasting:
            self._remove_market(market)

    def _expire(self, market: HostedMarket, why: str) -> None:
        """Orders that can no longer be placed end, and their strategies are told."""
        if market.exchange.expire(why):
            self.process_market_orders(market)
            # What was asked for in answer to that comes too late as well.
            market.exchange.expire(why)
            self.process_current_orders(market)

    def _remove_market(self, market: HostedMarket) -> None:
        """Middleware and strategies forget a market."""
        for middleware in self.middleware:
            self._guarded(None, market, middleware.remove_market, market)
        for seat in market.seats:
            self._guarded(seat.strategy, market, seat.strategy.remove_market, market.market_id)

    @property
    def prototypes(self) -> list[Strategy]:
        """The strategies that markets get copies of."""
        return self._prototypes

    def market(self, market_id: str) -> HostedMarket | None:
        return self._hosted.get(market_id)

    def hosts(self, publish_time: int, change: MarketChange) -> bool:
        """Whether the market of a change is hosted here; it is from its definition on, if a strategy wants it."""
        return change.id in self._hosted or self._new_market(publish_time, change) is not None

    def release_market(self, market_id: str) -> HostedMarket | None:
        """Give up a market whose recording has ended; None where it was never hosted."""
        self._ignored.discard(market_id)
        market = self._hosted.get(market_id)
        if market is None:
            return None
        lasting = self._rules.lasting_markets
        if lasting:
            # The market's time ends with its recording, whatever others go on beside it.
            now, self._clock.now_ms = self._clock.now_ms, market.market_book.publish_time_epoch
            self.current_market = market
            self._expire(market, "RECORDING_ENDED")
            self._clock.now_ms = now
        del self._hosted[market_id]
        self.current_market = None
        if lasting or not market.closed:
            self._remove_market(market)
        market.exchange.forget()
        self.coordinator.remove_market(market)
        self.markets.remove(market_id)
        self._instances = {key: each for key, each in self._instances.items() if key[1] != market_id}
        return market

    # -- what comes beside the book ------------------------------------------------------------------------------

    def add_custom_events(self, events: Iterable[CustomEvent]) -> None:
        """Deliver events when the clock reaches their times; those without a time to each market as it opens."""
        for event in events:
            if event.publish_time is None:
                self._standing[event] = weakref.WeakSet()
            else:
                self._clock.call_at(event.publish_time, functools.partial(self._deliver_to_open, event))

    def _deliver_to_open(self, event: CustomEvent) -> None:
        self.deliver(event, [market for market in self._hosted.values() if market.shown and not market.closed])

    def deliver(self, event: CustomEvent, markets: Sequence[HostedMarket]) -> None:
        """Bring a custom event to the strategies of markets: its callback first, then each strategy's own."""
        if event.market_ids is not None:
            markets = [market for market in markets if market.market_id in event.market_ids]
        if not markets:
            return
        told = self._standing.get(event)
        if event not in self._announced:
            if told is not None:
                self._announced.add(event)
            self.coordinator.process_custom_event(event)
        fresh = list(dict.fromkeys(seat.strategy for market in markets for seat in market.seats))
        if told is not None:
            fresh = [strategy for strategy in fresh if strategy not in told]
            told.update(fresh)
        if event.callback is not None and fresh:
            self._addressed = fresh
            try:
                self._guarded(None, None, event.callback, self, event)
            finally:
                self._addressed = None
        for market in markets:
            self.current_market = market
            for seat in market.seats:
                self._guarded(seat.strategy, market, seat.strategy.process_custom_event, market, event)

    def add_workers(self, workers: Sequence[BackgroundWorker]) -> None:
        """Start background workers at the clock's time."""
        for worker in workers:
            worker.start(self, self._clock, self._guarded)

    def process_market_catalogues(self, market: HostedMarket, market_catalogue: Any) -> None:
        """The catalogue of a market is there, or has changed."""
        market.market_catalogue = market_catalogue
        market.update_market_catalogue = False
        market.defined()
        self.markets.regroup(market)
        for seat in market.seats:
            self._guarded(seat.strategy, market, seat.strategy.process_market_catalogue, market, market_catalogue)

    def process_sports_data(self, market: HostedMarket, sports_data: Any) -> None:
        """Sports data of a market has come."""
        self.current_market = market
        for seat in market.seats:
            wanted = self._guarded(seat.strategy, market, seat.strategy.check_sports_data, market, sports_data)
            if wanted:
                self._guarded(seat.strategy, market, seat.strategy.process_sports_data, market, sports_data)

    def process_raw_data(self, market: HostedMarket, clk: str, publish_time: int, datum: dict[str, Any]) -> None:
        """A raw change of a market, for strategies that subscribe to a data stream."""
        self._run_timers(publish_time)
        self._clock.now_ms = publish_time
        self.current_market = market
        for seat in market.seats:
            if seat.raw:
                self._guarded(seat.strategy, market, seat.strategy.process_raw_data, clk, publish_time, datum)

    # -- time and errors -----------------------------------------------------------------------------------------

    def _run_timers(self, until_ms: int) -> None:
        while (function := self._clock.pop_due(until_ms)) is not None:
            self.current_market = None
            self._guarded(None, None, function)

    def call_at(
        self, at_ms: int, strategy: Strategy | None, market: HostedMarket, function: Callable[[], object]
    ) -> None:
        """Call a function for a strategy at a market when the clock reaches `at_ms`."""

        def call() -> None:
            self.current_market = market
            self._guarded(strategy, market, function)

        self._clock.call_at(at_ms, call)

    def _guarded(
        self,
        strategy: Strategy | None,
        market: Market | None,
        function: Callable[..., object],
        *arguments: Any,
        **keywords: Any,
    ) -> object:
        """Call user code; an error becomes a row of the result."""
        self.running = strategy
        try:
            return function(*arguments, **keywords)
        except Exception as error:
            self._failed(error, strategy, market)
            return None

    def failed(self, error: Exception, strategy: Strategy | None, market: Market | None) -> None:
        """An error of one strategy, or of one of its orders: a row of the result, and nothing else stops for it."""
        self._failed(error, strategy, market)

    def _failed(self, error: Exception, strategy: Strategy | None, market: Market | None) -> None:
        if self.config.raise_errors and not isinstance(error, HeadraceError):
            raise error
        name = strategy.name if strategy else None
        market_id = market.market_id if market else None
        if isinstance(error, RecordingError):
            line: str | None = error.path if error.line is None else f"{error.path}:{error.line}"
        elif isinstance(error, SettlementError):
            line = None  # it is the recording that does not say
        else:
            line = place_in(_sources_of(Strategy if strategy is None else type(strategy)), error)
        if self.failures.add(error, name, market_id, line, self._clock.now_ms):
            kind = type(error).__name__
            logger.error(
                FailureLine(f"{kind} in {line}: {legible(error)}", (name, line, kind)),
                exc_info=error,
                extra={"strategy": name, "market_id": market_id, "publish_time": self._clock.now_ms},
            )


def _outcome(definition: MarketDefinition | None) -> object:
    """What bets are settled by: a definition that says the same again settles nothing anew."""
    if definition is None:
        return None
    statuses = frozenset((runner.id, runner.hc, runner.status) for runner in definition.runners)
    return statuses, Terms.of(definition), definition.number_of_winners, definition.each_way_divisor


@functools.lru_cache(maxsize=64)
def _sources_of(kind: type) -> frozenset[str]:
    """The files that the classes of a strategy are defined in; none where nobody's code failed."""
    ours = Strategy.__module__.partition(".")[0]
    theirs = [cls for cls in kind.__mro__ if cls.__module__.partition(".")[0] not in (ours, "builtins")]
    codes = (getattr(value, "__code__", None) for cls in theirs for value in vars(cls).values())
    return frozenset(code.co_filename for code in codes if code is not None)
