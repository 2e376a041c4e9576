"""A market as its actor keeps it: what strategies see, which strategies trade it, and the exchange's side of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from ..strategies.blotter import StrategyOrders
from ..strategies.book import MarketBook
from ..strategies.errors import OrderError
from ..strategies.fact_ranks import rank_of
from ..strategies.framework import Framework
from ..strategies.hosting import window_of
from ..strategies.market import Market
from ..strategies.messages import (
    ClearedOrder,
    MarketFact,
    OrderFact,
    PlaceInstruction,
    ReplaceInstruction,
    Reply,
    Request,
)
from ..strategies.order import Order, OrderStatus
from ..strategies.strategy import Strategy
from ..strategies.window import Gate
from .exchange import Answer, Desk, Exchange, MarketExchange

#: What a look at the book takes: `check_market_book`, `process_market_book`, the window's times, the strategy.
Reader = tuple[Callable[..., object], Callable[..., object], Gate | None, Strategy]


class Keeper(Framework, Desk, Protocol):
    """The actor that hosts a market, as the market sees it."""

    def market(self, market_id: str) -> HostedMarket | None:
        """The market of that id, while it is hosted."""

    def failed_here(self, error: Exception, strategy: Strategy | None, market: Market | None) -> None:
        """Count an error of a strategy."""

    def wake(self, market: HostedMarket) -> None:
        """Attend to the market at each change from now on."""

    def plan_orders(self, market: HostedMarket) -> None:
        """Make sure that `process_orders` is called in time."""

    def call_for(
        self, at_ms: int, strategy: Strategy | None, market: HostedMarket, function: Callable[[], object]
    ) -> None:
        """Call a function for a strategy when the clock reaches `at_ms`."""


class Seat:
    """A strategy at a market.

    Attributes:
        told: it knows of the market from before a restart: `process_new_market` is not called.
        hears: it has a `process_orders` of its own.
    """

    __slots__ = ("all_orders", "hears", "process_orders", "raw", "reader", "strategy", "told", "wants_books")

    def __init__(self, strategy: Strategy, all_orders: bool) -> None:
        cls = type(strategy)
        self.strategy = strategy
        self.told = False
        self.all_orders = all_orders or strategy.process_orders_scope == "all"
        self.process_orders = strategy.process_orders
        self.hears = cls.process_orders is not Strategy.process_orders or "process_orders" in vars(strategy)
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
        readers: how those of them that look at books are called.
        changes: changes folded in.
        inplay_since_ms: when it turned in play.
        shown: strategies have been told about it.
        settlements: how often it was settled with a result for every bet.
        outcome: what it was last settled by.
        attended: a change needs more than showing the book: orders, middleware, or a first showing.
        touched: `process_orders` is to be called before the turn ends.
        replacing: replaces whose cancel has not been answered, by the id of the order to be replaced.
        replaced_by: the ids of orders that took the place of others.
        cleared_bets: results of its last settlement, by order: the last one of each.
        told_results: those that the coordinator was told of; None before it was.
        heard: whether any of `traders`, when last asked for, has a `process_orders` of its own.
    """

    exchange: MarketExchange

    def __init__(self, market_id: str, market_book: MarketBook, actor: Keeper) -> None:
        super().__init__(market_id, market_book, actor)
        self._actor = actor
        self.seats: list[Seat] = []
        self.readers: list[Reader] = []
        self.attended = True
        self.touched = False
        self.changes = 0
        self.first_ms = 0
        self.inplay_since_ms: int | None = None
        self.shown = False
        self.settlements = 0
        self.outcome: object = None
        self.orders_shown_ms = 0
        self.orders_timer = False
        self.replacing: dict[str, tuple[ReplaceInstruction, Request]] = {}
        self.replaced_by: dict[str, str] = {}
        self.cleared_bets: dict[str, ClearedOrder] = {}
        self.told_results: tuple[ClearedOrder, ...] | None = None
        self._strays: dict[tuple[str | None, str | None, str], Answer] = {}
        self._unentered: dict[str, Order] = {}
        self.heard = False
        self._traders: list[tuple[Seat, StrategyOrders]] = []

    def open_exchange(self, exchange: Exchange) -> None:
        """Open the exchange's side of it. The market must be hosted already: the exchange may ask for its orders."""
        self.exchange = exchange.open(self.market_id, self.market_book, self._actor)
        self.blotter.ask_queue = self.exchange.queue_ahead

    def commission(self, client: Any, profit: float) -> float:
        told = self.exchange.commission(profit, client.terms)
        return super().commission(client, profit) if told is None else told

    def traders(self) -> list[tuple[Seat, StrategyOrders]]:
        """The strategies that have placed an order here, in the order of the run."""
        blotter = self.blotter
        if len(self._traders) != blotter.traders:
            found = [(seat, blotter.orders_of(seat.strategy)) for seat in self.seats]
            self._traders = [(seat, mine) for seat, mine in found if mine is not None]
            self.heard = any(seat.hears for seat, _ in self._traders)
        return self._traders

    def unsettled(self, strategy: Strategy | None = None) -> int:
        """How many matched bets (of a strategy) have no result."""
        orders = self.blotter if strategy is None else self.blotter.strategy_orders(strategy)
        return sum(1 for order in orders if order.size_matched and not order.settled)

    def renew(self, gate: Gate) -> None:
        """Bring a window's times up to date with the market's definition."""
        gate.renew(self.market_book.market_definition, self._start_ms, self.inplay_since_ms)

    def fact(self, what: str) -> MarketFact:
        """The market as a message to the coordinator. `what`: OPENED, CLOSED or REMOVED."""
        return MarketFact(
            self.market_id,
            what,
            self.clock.now_ms,
            self.event_id,
            self.event_type_id,
            self.market_type,
            self.status,
        )

    # -- orders --------------------------------------------------------------------------------------------------

    def enter(self, order: Order) -> None:
        """Put an order into the blotter.

        Raises:
            OrderError: the recording of the market has ended.
        """
        if self._actor.market(self.market_id) is not self:
            raise OrderError(
                f"market {self.market_id}: its recording has ended and its results are kept: nothing is placed there"
            )
        if not self.attended:
            self._actor.wake(self)
        if not self.blotter.has_live_orders:
            # The interval of `process_orders` begins with the first live order.
            self.orders_shown_ms = self.clock.now_ms
        self._unentered.pop(order.id, None)
        self.note(order)
        if not self.orders_timer:
            self._actor.plan_orders(self)

    def is_replaced_by(self, order: Order, request_id: str) -> bool:
        """Whether a request is to replace the order, and waits for its cancel."""
        replacing = self.replacing.get(order.id)
        return replacing is not None and replacing[1].request_id == request_id

    def await_entry(self, order: Order) -> None:
        """Keep an order that enters the blotter once it is placed, as replacements do in flumine."""
        self._unentered[order.id] = order

    def order(self, order_id: str | None) -> Order | None:
        """An order by its id."""
        if order_id is None:
            return None
        found = self.blotter.get_order(order_id)
        return self._unentered.get(order_id) if found is None else found

    def order_of(self, fact: OrderFact) -> Order | None:
        """The order that a fact is about; None if that is not known yet.

        A bet that replaces another keeps its reference and has a new bet id. So the bet id decides; if a reference
        names an order with another bet id, it means the order that took its place.
        """
        bet_id, order_id = fact.bet_id, fact.order_id
        if bet_id is not None:
            known = self.blotter.get_order_bet_id(bet_id)
            if known is not None:
                return known
        while (found := self.order(order_id)) is not None:
            if bet_id is None or found.bet_id is None or found.bet_id == bet_id:
                return found
            order_id = self.replaced_by.get(found.id)
        return None

    def look_failed(self, error: Exception, strategy: Strategy) -> None:
        """Count an error of a strategy that was looking at the book."""
        self._actor.failed_here(error, strategy, self)

    def cleared_order(self, cleared: ClearedOrder) -> Order | None:
        """Whose result it is; None where that is not known yet."""
        found = self.order(cleared.order_id)
        if found is None and cleared.bet_id is not None:
            found = self.blotter.get_order_bet_id(cleared.bet_id)
        return found

    def keep_stray(self, message: OrderFact | Reply | ClearedOrder) -> None:
        """Keep a message about an order that is not known here, or not under that bet id.

        An account may have bets that were not placed here: of each the last fact from each source is kept.
        """
        if isinstance(message, Reply):
            (report,) = message.reports
            self._strays[message.request_id, report.order_id, report.operation] = message
            return
        if isinstance(message, ClearedOrder):
            earlier = self._strays.get((message.bet_id, message.order_id, "RESULT"))
            if not isinstance(earlier, ClearedOrder) or earlier.at <= message.at:
                self._strays[message.bet_id, message.order_id, "RESULT"] = message
            return
        names = (message.bet_id, message.order_id, message.source)
        known = self._strays.get(names)
        if not isinstance(known, OrderFact) or rank_of(known) < rank_of(message):
            self._strays[names] = message

    def take_strays(self) -> list[Answer]:
        """Take the messages about orders that have become known since."""
        if not self._strays:
            return []
        found = {names: each for names, each in self._strays.items() if not self._is_stray(each)}
        for names in found:
            del self._strays[names]
        return list(found.values())

    def _is_stray(self, message: Answer) -> bool:
        if isinstance(message, OrderFact):
            return self.order_of(message) is None
        if isinstance(message, ClearedOrder):
            return self.cleared_order(message) is None
        return all(self.order(report.order_id) is None for report in message.reports)

    def new_settlement(self) -> None:
        """Forget the results of an earlier settlement."""
        now = self.clock.now_ms
        self.cleared_bets = {key: each for key, each in self.cleared_bets.items() if each.at >= now}
        self.told_results = None

    def is_news(self, order: Order, cleared: ClearedOrder) -> bool:
        """Whether a bet's result is later than what is known, or says more; then it is kept."""
        known = self.cleared_bets.get(order.id)
        if known is not None and (known.at, known.settled) > (cleared.at, cleared.settled):
            return False
        self.cleared_bets[order.id] = cleared
        return known != cleared

    @property
    def all_cleared(self) -> bool:
        """Whether no order is live, and each that was matched has its result."""
        blotter = self.blotter
        if blotter.has_live_orders:
            return False
        return all(order.id in self.cleared_bets for order in blotter if order.size_matched)

    def _call_at(self, at_ms: int, function: Callable[[], object]) -> None:
        """A timer belongs to the strategy that asked for it: it decides the random draws and the name in failures."""
        self._actor.call_for(at_ms, self._actor.running, self, function)


class OrdersById:
    """What the peer's exchange reads of the strategies' orders; see `PeerOrders`."""

    def __init__(self, market: HostedMarket) -> None:
        self._market = market

    def status(self, order_id: str) -> str | None:
        order = self._market.order(order_id)
        return None if order is None or order.status is None else order.status.name

    def instruction(self, order_id: str) -> PlaceInstruction | None:
        order = self._market.order(order_id)
        return None if order is None else order.instruction()

    def asked(self, order_id: str) -> dict[str, Any]:
        order = self._market.order(order_id)
        return {} if order is None else order.update_data

    def entered(self, order_id: str) -> bool:
        return order_id in self._market.blotter

    def live(self, order_id: str) -> bool:
        blotter = self._market.blotter
        return order_id in blotter and blotter[order_id] in blotter.live_orders

    def number(self, order_id: str) -> int:
        order = self._market.order(order_id)
        return -1 if order is None else order.number

    def replacement(self, order_id: str) -> str | None:
        return self._market.replaced_by.get(order_id)

    def watch(self, told: Callable[[str, str | None, str | None], object]) -> None:
        def changed(order: Order, before: OrderStatus | None) -> None:
            told(order.id, before.name if before else None, order.status.name if order.status else None)

        self._market.blotter.watch(changed)

    def ids(self) -> Iterable[str]:
        return self._ids()

    def _ids(self) -> Iterator[str]:
        return iter([order.id for order in self._market.blotter])
