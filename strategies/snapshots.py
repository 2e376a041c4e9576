"""Snapshots of strategies as bytes, and strategies that go on from them in another process.

A snapshot may mention what belongs to the framework: orders, trades, markets, clients, the clock, the strategy itself.
Those are written as references: whoever reads it gets the ones that stand in their place. Orders and trades that were
never placed are written whole. What is not there any more, such as a market that was freed, comes back as None.

Snapshots are pickles: read those that you wrote, and no others.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from .blotter import Blotter
from .book import MarketBook
from .clock import Clock
from .host import Host
from .hosting import Hosting
from .market import Market
from .order import Order
from .order_rows import TradeRow, row_of_trade
from .rebuilding import trade_of
from .runner_context import RunnerContext
from .strategy import Strategy
from .trade import Trade

_ENCODER = msgspec.msgpack.Encoder()
_TRADE: msgspec.msgpack.Decoder[TradeRow] = msgspec.msgpack.Decoder(TradeRow)


class Frozen(NamedTuple):
    """A snapshot.

    Attributes:
        data: the bytes.
        left_out: attributes that cannot be pickled, each with the reason.
    """

    data: bytes
    left_out: dict[str, str]


def frozen(strategy: Strategy) -> Frozen:
    """A strategy's snapshot as bytes.

    Raises:
        Exception: `snapshot` failed, or answered something else than a dict that cannot be pickled.
    """
    snapshot = strategy.snapshot()
    try:
        return Frozen(_dumped(snapshot, strategy), {})
    except Exception:
        if type(snapshot) is not dict:
            raise
    kept, left_out = {}, {}
    for name, value in snapshot.items():
        try:
            _dumped(value, strategy)
        except Exception as error:  # objects of the user's may raise anything
            left_out[str(name)] = f"{type(error).__name__}: {error}"
        else:
            kept[name] = value
    return Frozen(_dumped(kept, strategy), left_out)


def thaw(strategy: Strategy, data: bytes) -> None:
    """Have a strategy go on from a snapshot. It must be hosted, with its markets.

    Raises:
        Exception: the bytes cannot be read, or `restore` failed.
    """
    strategy.restore(_Reader(io.BytesIO(data), strategy).load())


def _dumped(value: Any, strategy: Strategy) -> bytes:
    file = io.BytesIO()
    _Writer(file, strategy).dump(value)
    return file.getvalue()


def _reference(kind: str, *names: Any) -> None:
    """Stands in a snapshot for an object of the framework. The reader finds it (see `_Reader.find_class`)."""


_NOTHING = (_reference, ("nothing",))


class _Writer(pickle.Pickler):
    """Writes the framework's objects as references."""

    def __init__(self, file: io.BytesIO, strategy: Strategy) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self._of = strategy
        self._framework = strategy._headrace.framework

    def reducer_override(self, value: Any) -> Any:
        """What stands for an object; numbers, texts and containers of Python are never asked for."""
        kind = type(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, Order):
            return _reference, ("order", value.trade, value.id)
        if isinstance(value, Trade):
            return self._trade(value)
        if isinstance(value, Market):
            return (
                (
                    _reference,
                    (
                        "market",
                        value.market_id,
                    ),
                )
                if self._hosted(value.market_id) is value
                else _NOTHING
            )
        if isinstance(value, MarketBook):
            market = self._hosted(value.market_id)
            return (
                (
                    _reference,
                    (
                        "book",
                        value.market_id,
                    ),
                )
                if market and market.market_book is value
                else NotImplemented
            )
        if isinstance(value, Blotter):
            market = self._hosted(value.market_id)
            return (
                (
                    _reference,
                    (
                        "blotter",
                        value.market_id,
                    ),
                )
                if market and market.blotter is value
                else _NOTHING
            )
        if isinstance(value, Strategy):
            return (
                (_reference, ("itself",))
                if value is self._of
                else (
                    _reference,
                    (
                        "strategy",
                        value.name,
                    ),
                )
            )
        if isinstance(value, RunnerContext):
            return self._runner(value)
        if isinstance(value, Clock):
            return _reference, ("clock",)
        if isinstance(value, Host):
            return _reference, ("host",)
        if self._framework is not None:
            if value is self._framework:
                return _reference, ("framework",)
            clients = self._framework.clients
            if value is clients:
                return _reference, ("clients",)
            if hasattr(kind, "VENUE") and any(value is client for client in clients):
                return _reference, ("client", value.venue, value.username)
        return NotImplemented

    def _hosted(self, market_id: str | None) -> Market | None:
        return None if self._framework is None or market_id is None else self._framework.markets.markets.get(market_id)

    def _trade(self, trade: Trade) -> Any:
        market = self._hosted(trade.market_id)
        if market is not None and market.blotter.get_trade(trade.id) is trade:
            return _reference, ("trade", trade.market_id, trade.id)
        if trade.strategy is not self._of:
            return _NOTHING
        return _reference, (
            "unplaced",
            _ENCODER.encode(row_of_trade(trade)),
        )

    def _runner(self, context: RunnerContext) -> Any:
        for market_id, contexts in self._of._headrace.contexts.items():
            for key, found in contexts.items():
                if found is context:
                    selection_id, handicap = key if isinstance(key, tuple) else (key, 0)
                    return _reference, ("runner", market_id, selection_id, handicap)
        return NotImplemented

    def _class(self, cls: type) -> Any:
        """A class of a module that came with the strategy, and cannot be imported, is found by its name there."""
        if _named(vars(sys.modules[cls.__module__]) if cls.__module__ in sys.modules else {}, cls.__qualname__) is cls:
            return NotImplemented
        for names in _globals_of(type(self._of)):
            if _named(names, cls.__qualname__) is cls:
                return _reference, ("class_named", cls.__module__, cls.__qualname__)
        return NotImplemented


class _Reader(pickle.Unpickler):
    """Puts the framework's objects where a snapshot refers to them."""

    def __init__(self, file: io.BytesIO, strategy: Strategy) -> None:
        super().__init__(file)
        self._strategy = strategy
        hosting: Hosting = strategy._headrace
        self._hosting, self._framework = hosting, hosting.framework

    def find_class(self, module: str, name: str) -> Any:
        """A class or a function by name; references are found here."""
        return self._found if (module, name) == (__name__, _reference.__name__) else super().find_class(module, name)

    def _found(self, kind: str, *names: Any) -> Any:
        return getattr(self, f"find_{kind}")(*names)

    def find_itself(self) -> Strategy:
        return self._strategy

    def find_strategy(self, name: str) -> Strategy | None:
        hosted = [] if self._framework is None else self._framework.strategies
        return next((each for each in hosted if each.name == name), None)

    def find_framework(self) -> Any:
        return self._framework

    def find_clients(self) -> Any:
        return None if self._framework is None else self._framework.clients

    def find_client(self, venue: str, username: str) -> Any:
        clients = self.find_clients() or ()
        return next((each for each in clients if (each.venue, each.username) == (venue, username)), None)

    def find_clock(self) -> Clock:
        return self._hosting.host.clock

    def find_host(self) -> Host:
        return self._hosting.host

    def find_market(self, market_id: str) -> Market | None:
        return None if self._framework is None else self._framework.markets.markets.get(market_id)

    def find_book(self, market_id: str) -> MarketBook | None:
        market = self.find_market(market_id)
        return None if market is None else market.market_book

    def find_blotter(self, market_id: str) -> Blotter | None:
        market = self.find_market(market_id)
        return None if market is None else market.blotter

    def find_trade(self, market_id: str, trade_id: str) -> Trade | None:
        blotter = self.find_blotter(market_id)
        return None if blotter is None else blotter.get_trade(trade_id)

    def find_unplaced(self, row: bytes) -> Trade:
        clients = self.find_clients()
        return trade_of(_TRADE.decode(row), self._strategy, lambda venue, username: clients.named(venue, username))

    def find_order(self, trade: Trade | None, order_id: str) -> Order | None:
        return next((order for order in trade.orders if order.id == order_id), None) if trade else None

    def find_runner(self, market_id: str, selection_id: int, handicap: float) -> RunnerContext:
        return self._strategy.get_runner_context(market_id, selection_id, handicap)

    def find_class_named(self, module: str, name: str) -> Any:
        for names in _globals_of(type(self._strategy)):
            found = _named(names, name)
            if isinstance(found, type) and found.__module__ == module:
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is not there")

    def find_nothing(self) -> None:
        """What was referred to is not there any more."""


def _named(names: Mapping[str, Any], path: str) -> Any:
    """What a dotted name means among some names; None where there is nothing."""
    first, *rest = path.split(".")
    found = names.get(first)
    for name in rest:
        found = getattr(found, name, None)
    return found


def _globals_of(cls: type) -> Iterator[Mapping[str, Any]]:
    """The names of the modules that a strategy's class and its bases are written in, as their functions see them."""
    seen: set[int] = set()
    for each in cls.__mro__:
        for value in vars(each).values():
            names = getattr(getattr(value, "__func__", value), "__globals__", None)
            if names is not None and id(names) not in seen:
                seen.add(id(names))
                yield names
