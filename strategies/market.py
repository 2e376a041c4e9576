"""A market as a strategy sees it: its book, its blotter, its clock, and the requests it takes."""

from __future__ import annotations

import datetime
import math
import random
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ..config import MAX_STRATEGY_REF
from ..values import finite, note_of_price, shown, text
from .blotter import Blotter
from .book import MarketBook
from .clock import Clock, from_ms
from .commission import commission_of
from .errors import OrderError
from .events import OrderEvent, TradeEvent
from .ladder import PriceSize
from .order import Order
from .order_types import LimitOrder
from .terms import Terms
from .transaction import Transaction

if TYPE_CHECKING:
    from .framework import Framework
    from .strategy import Strategy

#: Event types whose markets of one event may start at different times: soccer and golf.
_ANY_START = frozenset({"1", "3"})


class Placement:
    """What the market looked like when an order was placed there."""

    __slots__ = ("best_back", "best_lay", "inplay", "last_price_traded", "queue_ahead", "seconds_to_start")

    def __init__(self, market: Market, order: Order) -> None:
        book = market.market_book
        runner = book.runner(order.selection_id, order.handicap)
        ex = runner.ex if runner else None
        self.best_back = _best(ex.available_to_back) if ex else None
        self.best_lay = _best(ex.available_to_lay) if ex else None
        self.last_price_traded = runner.last_price_traded if runner else None
        self.inplay = book.inplay
        self.seconds_to_start = market.seconds_to_start
        self.queue_ahead: float | None = None


def _best(levels: list[PriceSize]) -> float | None:
    return levels[0].price if levels else None


class Market:
    """One market.

    Attributes:
        market_id: the exchange's id, such as "1.181223995".
        market_book: the living book.
        market_catalogue: the catalogue, where one was given.
        context: a dict for strategies and middleware.
        blotter: the orders placed here.
        closed: the exchange has settled the market.
        restored: live: this is the first turn after a restart; timers that were asked for before it are gone.
        framework: the system around it; `flumine` is the same.
    """

    VENUE = "BETFAIR"
    restored = False

    def __init__(self, market_id: str, market_book: MarketBook, framework: Framework) -> None:
        self.market_id = market_id
        self.market_book = market_book
        self.framework = framework
        self.market_catalogue: Any = None
        self.update_market_catalogue = True
        self.context: dict[Any, Any] = {}
        self.blotter = Blotter(market_id, framework.host.rules)
        self.closed = False
        self.created_ms = framework.host.clock.now_ms
        self.closed_ms: int | None = None
        self.orders_cleared: list[Any] = []
        self.market_cleared: list[Any] = []
        self.market_book_closed: MarketBook | None = None
        self._clock = framework.host.clock
        self._start_ms = math.inf
        self._random: dict[str, random.Random] = {}
        self.defined()

    @property
    def flumine(self) -> Framework:
        return self.framework

    # -- requests ------------------------------------------------------------------------------------------------

    def transaction(
        self,
        async_place_orders: bool | None = None,
        client: Any = None,
        customer_strategy_ref: str | None = None,
    ) -> Transaction:
        """Collect requests and send them together: `with market.transaction() as t: t.place_order(...)`.

        Args:
            async_place_orders: place without waiting for the bet delay; None: as configured.
            client: whose orders they are; None: the first client.
            customer_strategy_ref: reference sent with the orders, at most 15 characters; the configured one goes first.

        Raises:
            ClientError: the client was not added to the run.
            OrderError: the reference is not a text, or is too long.
        """
        config = self.framework.config
        if customer_strategy_ref is not None:
            if type(customer_strategy_ref) is not str:
                customer_strategy_ref = text(customer_strategy_ref, "customer_strategy_ref", OrderError)
            if len(customer_strategy_ref) > MAX_STRATEGY_REF and config.compatibility is None:
                raise OrderError(
                    f"customer_strategy_ref={customer_strategy_ref!r}: expected at most {MAX_STRATEGY_REF} characters"
                )
        if async_place_orders is None:
            async_place_orders = config.async_place_orders
        clients = self.framework.clients
        client = clients.get_default() if client is None else clients.account_of(client)
        ref = config.customer_strategy_ref or customer_strategy_ref
        return Transaction(self, client, async_place_orders, ref)

    def place_order(
        self,
        order: Order,
        market_version: int | None = None,
        execute: bool = True,
        force: bool = False,
        client: Any = None,
        customer_strategy_ref: str | None = None,
    ) -> bool:
        """Place one order; see `Transaction.place_order`. False where a control refused it."""
        ref = customer_strategy_ref or order.trade.strategy.name[:15]
        with self.transaction(client=client, customer_strategy_ref=ref) as transaction:
            return transaction.place_order(order, market_version, execute, force)

    def cancel_order(self, order: Order, size_reduction: float | None = None, force: bool = False) -> bool:
        """Cancel an order, or reduce it; see `Transaction.cancel_order`. False where a control refused it."""
        with self._transaction_of(order) as transaction:
            return transaction.cancel_order(order, size_reduction, force)

    def update_order(self, order: Order, new_persistence_type: str | None = None, force: bool = False) -> bool:
        """Change an order's persistence; see `Transaction.update_order`. False where a control refused it."""
        with self._transaction_of(order) as transaction:
            return transaction.update_order(order, new_persistence_type, force)

    def replace_order(
        self, order: Order, new_price: float, market_version: int | None = None, force: bool = False
    ) -> bool:
        """Move an order to another price; see `Transaction.replace_order`. False where a control refused it."""
        with self._transaction_of(order) as transaction:
            return transaction.replace_order(order, new_price, market_version, force)

    def _transaction_of(self, order: Order) -> Transaction:
        if order.client is None:
            raise OrderError(f"order {order.id} was never placed: there is nothing to change")
        return self.transaction(client=order.client)

    def enter(self, order: Order) -> None:
        """Put an order into the blotter."""
        self.note(order)

    def note(self, order: Order) -> None:
        """Put an order into the blotter, with a note of the market as it stands."""
        trade = order.trade
        order.placement = placement = Placement(self, order)
        prices = (placement.best_back, placement.best_lay, placement.last_price_traded)
        order.market_notes = ",".join(map(note_of_price, prices))
        if self.blotter.add(order):
            trade.market_notes = order.market_notes
            if self.framework.logs:
                self.framework.log_control(TradeEvent(trade))

    def log_order(self, order: Order) -> None:
        self.framework.log_control(OrderEvent(order))

    # -- time ----------------------------------------------------------------------------------------------------

    @property
    def clock(self) -> Clock:
        return self._clock

    def call_later(self, seconds: float, function: Callable[[], object]) -> None:
        """Call `function()` once the market's clock has moved on by `seconds` (0 or more).

        Raises:
            ValueError: `seconds` are not a number, 0 or more.
            TypeError: there is nothing to call.
        """
        seconds = finite(seconds, "call_later seconds", ValueError, least=0)
        if not callable(function):
            raise TypeError(f"call_later({seconds:g}, {shown(function)}): expected a function to call")
        self._call_at(self._clock.now_ms + round(seconds * 1000), function)

    def _call_at(self, at_ms: int, function: Callable[[], object]) -> None:
        self._clock.call_at(at_ms, function)

    @property
    def random(self) -> random.Random:
        """A source of random numbers, seeded by run, market and strategy: equal runs draw equal numbers."""
        strategy = self.framework.running
        name = strategy.name if strategy else ""
        found = self._random.get(name)
        if found is None:
            seed = f"{self.framework.config.seed}:{self.market_id}:{name}"
            found = self._random[name] = random.Random(seed)
        return found

    @property
    def publish_time(self) -> datetime.datetime | None:
        epoch = self.market_book.publish_time_epoch
        return from_ms(epoch) if epoch else None

    @property
    def seconds_to_start(self) -> float:
        """Seconds until the scheduled start; below zero after it. Infinite before the definition is known."""
        return (self._start_ms - self._clock.now_ms) / 1000

    def defined(self) -> None:
        """The book has a new definition."""
        definition = self.market_book.market_definition
        start = definition.market_time if definition else None
        if start is None and not self.framework.host.rules.catalogue_first:
            start = self.market_start_datetime
        self._start_ms = round(start.timestamp() * 1000) if start else math.inf
        terms = Terms.of(definition)
        if terms != self.blotter.terms:
            self.blotter.terms = terms

    @property
    def elapsed_seconds_closed(self) -> float | None:
        """Seconds since the market closed; None while it is open."""
        return None if self.closed_ms is None else (self._clock.now_ms - self.closed_ms) / 1000

    @property
    def date_time_created(self) -> datetime.datetime:
        return from_ms(self.created_ms)

    @property
    def date_time_closed(self) -> datetime.datetime | None:
        return None if self.closed_ms is None else from_ms(self.closed_ms)

    def close_market(self) -> None:
        self.closed = True
        self.closed_ms = self._clock.now_ms

    def open_market(self) -> None:
        self.closed = False
        self.closed_ms = None
        self.orders_cleared = []
        self.market_cleared = []

    # -- facts ---------------------------------------------------------------------------------------------------

    def _fact(self, catalogued: str, defined: str) -> Any:
        """What the definition says, or else the catalogue; by the peer's rules the other way round."""
        told: Any = getattr(self.market_book.market_definition, defined, None)
        if told is not None and not self.framework.host.rules.catalogue_first:
            return told
        found: Any = self.market_catalogue
        for name in catalogued.split("."):
            found = getattr(found, name, None)
        return told if found is None else found

    def _text(self, catalogued: str, defined: str) -> str | None:
        found = self._fact(catalogued, defined)
        return None if found is None else str(found)

    @property
    def status(self) -> str | None:
        return self.market_book.status

    @property
    def bet_delay(self) -> int:
        return self.market_book.bet_delay

    @property
    def event_id(self) -> str | None:
        return self._text("event.id", "event_id")

    @property
    def event_type_id(self) -> str | None:
        return self._text("event_type.id", "event_type_id")

    @property
    def event_name(self) -> str | None:
        return self._text("event.name", "event_name")

    @property
    def competition_id(self) -> str | None:
        return self._text("competition.id", "competition_id")

    @property
    def market_type(self) -> str | None:
        return self._text("description.market_type", "market_type")

    @property
    def market_name(self) -> str | None:
        return self._text("market_name", "name")

    @property
    def country_code(self) -> str | None:
        return self._text("event.country_code", "country_code")

    @property
    def venue(self) -> str | None:
        """The course of a race."""
        return self._text("event.venue", "venue")

    @property
    def race_type(self) -> str | None:
        return self._text("description.race_type", "race_type")

    @property
    def market_start_datetime(self) -> datetime.datetime | None:
        """The scheduled start, in UTC."""
        start = self._fact("market_start_time", "market_time")
        if not isinstance(start, datetime.datetime):
            return None
        return start.replace(tzinfo=datetime.UTC) if start.tzinfo is None else start

    @property
    def market_start_hour_minute(self) -> str | None:
        """The scheduled start as "HHMM", in UTC."""
        start = self.market_start_datetime
        return start.strftime("%H%M") if start else None

    @property
    def event(self) -> dict[str | None, list[Market]]:
        """The hosted markets of this event, by market type.

        Restricted to the same scheduled start but for soccer and golf, where one event has markets at many times.
        """
        found: dict[str | None, list[Market]] = {}
        event_id, start = self.event_id, self.market_start_datetime
        any_start = self.event_type_id in _ANY_START
        for market in self.framework.markets.of_event(event_id):
            if any_start or market.market_start_datetime == start:
                found.setdefault(market.market_type, []).append(market)
        return found

    def cleared(self, client: Any) -> dict[str, Any]:
        """The client's result of the market: profit, commission, number of bets."""
        orders = [order for order in self.blotter.client_orders(client) if order.size_matched > 0]
        profit = round(sum(order.profit for order in orders), 2)
        return {
            "marketId": self.market_id,
            "eventId": self.event_id,
            "eventTypeId": self.event_type_id,
            "customerStrategyRef": self.framework.config.customer_strategy_ref,
            "lastMatchedDate": None,
            "placedDate": None,
            "settledDate": None,
            "betCount": len(orders),
            "betOutcome": "WON" if profit >= 0 else "LOST",
            "commission": self.commission(client, profit),
            "profit": profit,
        }

    def commission(self, client: Any, profit: float) -> float:
        """What a client pays on what it won here, in its currency; 0.0 on a loss."""
        return commission_of(profit, self.market_book.market_definition, client)

    @property
    def info(self) -> dict[str, Any]:
        """What a log line tells of the market."""
        book = self.market_book
        return {
            "market_id": self.market_id,
            "event_id": self.event_id,
            "event_type_id": self.event_type_id,
            "event_name": self.event_name,
            "market_type": self.market_type,
            "market_name": self.market_name,
            "market_start_datetime": str(self.market_start_datetime),
            "country_code": self.country_code,
            "venue": self.venue,
            "status": self.status,
            "publish_time": book.publish_time_epoch,
            "closed": self.closed,
        }

    def __repr__(self) -> str:
        return f"<Market {self.market_id} {self.status}>"


class Markets:
    """The markets hosted here, by id and by event."""

    def __init__(self) -> None:
        self.markets: dict[str, Market] = {}
        self._events: dict[str | None, dict[str, Market]] = {}
        self._event_of: dict[str, str | None] = {}

    def add(self, market: Market) -> None:
        self.markets[market.market_id] = market
        self._enter(market)

    def _enter(self, market: Market) -> None:
        event_id = self._event_of[market.market_id] = market.event_id
        self._events.setdefault(event_id, {})[market.market_id] = market

    def _leave(self, market_id: str) -> None:
        event_id = self._event_of.pop(market_id, None)
        mates = self._events.get(event_id, {})
        mates.pop(market_id, None)
        if not mates:
            self._events.pop(event_id, None)

    def regroup(self, market: Market) -> None:
        """The market's event may have become known, or have changed."""
        if self._event_of.get(market.market_id, market) != market.event_id:
            self._leave(market.market_id)
            self._enter(market)

    def remove(self, market_id: str) -> None:
        if self.markets.pop(market_id, None) is not None:
            self._leave(market_id)

    def of_event(self, event_id: str | None) -> list[Market]:
        """The hosted markets of an event, in order of arrival."""
        return list(self._events.get(event_id, {}).values())

    @property
    def events(self) -> dict[str | None, list[Market]]:
        return {event_id: list(markets.values()) for event_id, markets in self._events.items()}

    @property
    def open_market_ids(self) -> list[str]:
        return [market.market_id for market in self.markets.values() if market.status == "OPEN"]

    @property
    def live_orders(self) -> bool:
        """Whether any market has live orders."""
        return any(market.blotter.has_live_orders for market in self.markets.values())

    def get_order(self, market_id: str, order_id: str) -> Order | None:
        market = self.markets.get(market_id)
        return market.blotter[order_id] if market and order_id in market.blotter else None

    def get_order_from_bet_id(self, market_id: str, bet_id: str) -> Order | None:
        market = self.markets.get(market_id)
        return market.blotter.get_order_bet_id(bet_id) if market else None

    def __iter__(self) -> Iterator[Market]:
        return iter(list(self.markets.values()))

    def __len__(self) -> int:
        return len(self.markets)


def hedge(strategy: Strategy, market: Market, selection_id: int, handicap: float = 0) -> Order | None:
    """The order that levels the strategy's result on a runner at the best price, not yet placed.

    None where the result is level already, or no price is available. Only matched bets are looked at. Each way, win and
    loss are levelled, not the place; on lines, the results below and above all lines.
    """
    lookup = (market.market_id, selection_id, handicap)
    exposures = market.blotter.get_exposures(strategy, lookup)
    difference = exposures["matched_profit_if_win"] - exposures["matched_profit_if_lose"]
    runner = market.market_book.runner(selection_id, handicap)
    if runner is None or difference == 0:
        return None
    side = "LAY" if difference > 0 else "BACK"
    price = _best(runner.ex.available_to_lay if side == "LAY" else runner.ex.available_to_back)
    if price is None:
        return None
    # What a stake of 1 moves the two results together: at odds its price.
    terms, moves = market.blotter.terms, price
    if market.framework.host.rules.worst_case and (terms.line or terms.each_way):
        moves = 2.0 if terms.line else (price - 1) * terms.on_win + terms.on_lose
    size = round(abs(difference) / moves, 2)
    if size <= 0:
        return None
    from .trade import Trade

    trade = Trade(market.market_id, selection_id, handicap, strategy)
    return trade.create_order(side=side, order_type=LimitOrder(price, size))
