"""The strategy: what its author subclasses."""

from __future__ import annotations

import copy
import logging
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ..values import to_json
from .hashes import create_cheap_hash
from .host import Host
from .order import Order
from .parameters import Parameter, check_names, checked, declared_parameters
from .runner_context import RunnerContext
from .window import Window

if TYPE_CHECKING:
    from .book import MarketBook
    from .framework import Framework
    from .market import Market

#: Length of the hash of a strategy's name in order references.
STRATEGY_HASH_LENGTH = 13

_BASE_KEYWORDS: dict[str, Any] = {
    "name": None,
    "context": None,
    "market_filter": None,
    "market_data_filter": None,
    "streaming_timeout": None,
    "conflate_ms": None,
    "stream_class": None,
    "sports_data_filter": None,
    "stream": None,
    "streams": None,
    "max_order_exposure": 10,
    "max_selection_exposure": 100,
    "max_market_exposure": None,
    "max_trade_count": 1_000_000,
    "max_live_trade_count": 1,
    "multi_order_trades": False,
}
_STREAM_KEYWORDS = (
    "market_filter",
    "market_data_filter",
    "streaming_timeout",
    "conflate_ms",
    "stream_class",
    "sports_data_filter",
)


class Strategy:
    """Subclass this, declare parameters as annotated class attributes, and override the callbacks.

        class BackTheFavourite(hr.Strategy):
            stake: float = 2.0

            def check_market_book(self, market, book):
                return book.status == "OPEN" and not book.inplay

            def process_market_book(self, market, book): ...

    Args:
        name: default: the class's name. Orders are recognised by it: give each strategy of a run its own.
        context: a dict for the strategy's own use.
        market_filter: which markets, as the exchange's filter (a dict, or a list of them).
        market_data_filter, streaming_timeout, conflate_ms, stream_class, sports_data_filter: of live streams.
        stream, streams: objects that carry the settings above instead.
        max_order_exposure: most that one order may lose, in the account's currency; None: no limit.
        max_selection_exposure: most that may be lost on one runner; None: no limit.
        max_market_exposure: most that may be lost on a market; None: no limit.
        max_trade_count, max_live_trade_count: trades on one runner, in all and at once.
        multi_order_trades: let a live trade have further orders whatever the limits of trades.

    Raises:
        TypeError: a keyword is neither of these nor a declared parameter, or its value does not fit its type.
    """

    #: Where instances live: one a "market", one an "event", or one for the whole "run".
    scope: ClassVar[Literal["market", "event", "run"]] = "market"
    #: What `process_orders` gets: "live" (and those just completed), or "all" orders ever placed in the market.
    process_orders_scope: ClassVar[Literal["live", "all"]] = "live"

    def __init__(self, **keywords: Any) -> None:
        owner = type(self).__name__
        parameters = self.parameters()
        check_names(keywords, [*_BASE_KEYWORDS, *parameters], owner)
        for name, parameter in parameters.items():
            if name in keywords:
                setattr(self, name, checked(parameter, keywords[name], owner))
            elif parameter.required:
                raise TypeError(f"{owner} needs a value for its parameter {name!r}")
            else:
                checked(parameter, parameter.default, owner)
        settings = {**_BASE_KEYWORDS, **keywords}
        self.streams = self._take_streams(settings, owner)
        self.name: str = settings["name"] or owner
        self.context: dict[Any, Any] = {} if settings["context"] is None else settings["context"]
        self.market_filter = settings["market_filter"]
        self.market_data_filter = settings["market_data_filter"]
        self.streaming_timeout = settings["streaming_timeout"]
        self.conflate_ms = settings["conflate_ms"]
        self.stream_class = settings["stream_class"]
        self.sports_data_filter = settings["sports_data_filter"]
        self.max_order_exposure: float | None = settings["max_order_exposure"]
        self.max_selection_exposure: float | None = settings["max_selection_exposure"]
        self.max_market_exposure: float | None = settings["max_market_exposure"]
        self.max_trade_count: float = settings["max_trade_count"]
        self.max_live_trade_count: float = settings["max_live_trade_count"]
        self.multi_order_trades: bool = settings["multi_order_trades"]
        self.name_hash = create_cheap_hash(self.name, STRATEGY_HASH_LENGTH)
        self.window = Window.of_filter(self.market_filter)
        if self.scope == "market" and _groups_events(self.market_filter):
            self.scope = "event"  # type: ignore[misc]
        self.records: list[tuple[str, int, str]] = []
        self._host: Host | None = None
        self._framework: Framework | None = None
        self._runner_contexts: dict[str, dict[int | tuple[int, float], RunnerContext]] = {}

    @staticmethod
    def _take_streams(settings: dict[str, Any], owner: str) -> list[Any]:
        """Take from streams what was not given by keyword: the markets of all of them, the rest of the first."""
        if settings["stream"] is not None and settings["streams"] is not None:
            raise ValueError(f"{owner}: give stream or streams, not both")
        streams = list((settings["streams"] or ()) if settings["stream"] is None else [settings["stream"]])
        if len(streams) > 1 and settings["market_filter"] is None:
            settings["market_filter"] = _joined([getattr(stream, "market_filter", None) for stream in streams])
        for stream in streams[:1]:
            for name in _STREAM_KEYWORDS:
                if settings[name] is None and not (name == "market_filter" and len(streams) > 1):
                    settings[name] = getattr(stream, name, None)
        return streams

    # -- parameters ----------------------------------------------------------------------------------------------

    @classmethod
    def parameters(cls) -> dict[str, Parameter]:
        """The declared parameters, by name."""
        return declared_parameters(cls, Strategy)

    @property
    def parameter_values(self) -> dict[str, Any]:
        """The values of the declared parameters."""
        return {name: getattr(self, name) for name in self.parameters()}

    @property
    def settings(self) -> dict[str, Any]:
        """Limits and filter, by keyword."""
        names = [name for name in _BASE_KEYWORDS if name.startswith(("max_", "multi_"))]
        return {name: getattr(self, name) for name in (*names, "market_filter", "context")}

    # -- callbacks -----------------------------------------------------------------------------------------------

    def add(self, framework: Any) -> None:
        """Called once, on the instance the user made, when it is added."""

    def start(self, framework: Any) -> None:
        """Called once in each process, before its first market, on the instance that markets get copies of."""

    def process_new_market(self, market: Market, market_book: MarketBook) -> None:
        """Called at the first book of a market."""

    def process_market_catalogue(self, market: Market, market_catalogue: Any) -> None:
        """Called when the market's catalogue is there, or has changed."""

    def check_market_book(self, market: Market, market_book: MarketBook) -> bool:
        """Called at each change of the book; `process_market_book` follows where it answers True."""
        return False

    def process_market_book(self, market: Market, market_book: MarketBook) -> None:
        """Called at each change that `check_market_book` let through."""

    def check_sports_data(self, market: Market, sports_data: Any) -> bool:
        """Called at each sports update; `process_sports_data` follows where it answers True."""
        return False

    def process_sports_data(self, market: Market, sports_data: Any) -> None:
        """Called at each sports update that `check_sports_data` let through."""

    def process_raw_data(self, clk: str, publish_time: int, datum: dict[str, Any]) -> None:
        """Called with each raw change of a data stream."""

    def process_orders(self, market: Market, orders: list[Order]) -> None:
        """Called with the strategy's orders in the market: the live ones and those completed since the last call.

        At each change of the book and of the orders and at least every `Config.process_orders_interval` while there
        are live ones, and once more when the last completes.
        """

    def process_closed_market(self, market: Market, market_book: MarketBook) -> None:
        """Called when the market is settled; again where it is reopened, or given other results, and settled again."""

    def process_custom_event(self, market: Market, event: Any) -> None:
        """Called with a custom event, in each hosted market it concerns."""

    def finish(self, framework: Any) -> None:
        """Called once, on the instance the user made, at the end of the run."""

    # -- rules ---------------------------------------------------------------------------------------------------

    def validate_order(self, runner_context: RunnerContext, order: Order) -> bool:
        """Whether `order` may be placed, by the limits of trades and pauses; else says why in its `violation_msg`."""
        trade = order.trade
        live = trade.id in runner_context.live_trades
        if self.multi_order_trades and live:
            return True
        bypass = self.host.rules.reset_bypass
        reset = runner_context.reset_elapsed_seconds
        if reset is not None and (reset or not bypass) and reset < trade.reset_seconds:
            order.violation_msg = f"trade reset {reset} s ago, reset_seconds is {trade.reset_seconds}"
            return False
        placed = runner_context.placed_elapsed_seconds
        if placed is not None and (placed or not bypass) and placed < trade.place_reset_seconds:
            order.violation_msg = f"order placed {placed} s ago, place_reset_seconds is {trade.place_reset_seconds}"
            return False
        count, known = runner_context.trade_count, trade.id in runner_context.trades
        if (count == self.max_trade_count and not known) or count > self.max_trade_count:
            order.violation_msg = f"trade_count is {count}, max_trade_count {self.max_trade_count}"
            return False
        count = runner_context.live_trade_count
        if (count == self.max_live_trade_count and not live) or count > self.max_live_trade_count:
            order.violation_msg = f"live_trade_count is {count}, max_live_trade_count {self.max_live_trade_count}"
            return False
        return True

    # -- what authors use ----------------------------------------------------------------------------------------

    def get_runner_context(self, market_id: str, selection_id: int, handicap: float = 0) -> RunnerContext:
        """What this strategy has done on a runner."""
        try:
            return self._runner_contexts[market_id][(selection_id, handicap) if handicap else selection_id]
        except KeyError:
            context = RunnerContext(selection_id, self.host.clock)
            contexts = self._runner_contexts.setdefault(market_id, {})
            contexts[(selection_id, handicap) if handicap else selection_id] = context
            return context

    def has_executable_orders(self, market_id: str, selection_id: int, handicap: float = 0) -> bool:
        """Whether the strategy has a live trade on a runner."""
        contexts = self._runner_contexts.get(market_id, {})
        context = contexts.get((selection_id, handicap) if handicap else selection_id)
        return context is not None and context.executable_orders

    def market_cached(self, market_id: str) -> bool:
        """Whether a market is there, where this copy of the strategy lives."""
        return self._framework is not None and market_id in self._framework.markets.markets

    @property
    def stream_ids(self) -> list[int]:
        """The ids that books of this strategy carry as `streaming_unique_id`: books come from the market's actor, so
        there is one, 0."""
        return [0]

    def remove_market(self, market_id: str) -> None:
        """Forget the runners of a market that is gone."""
        self._runner_contexts.pop(market_id, None)

    @property
    def clients(self) -> Any:
        """The clients of the run, by name and venue."""
        if self._framework is None:
            raise AttributeError(f"strategy {self.name!r} is not hosted yet: clients are known from start() on")
        return self._framework.clients

    def record(self, market: Market, **fields: Any) -> None:
        """Keep a row for the result's table `records`: the market, its time, and `fields` as JSON.

        Raises:
            TypeError: a field cannot be written as JSON.
        """
        try:
            text = to_json(fields)
        except TypeError as error:
            raise TypeError(f"{self.name}.record: {error}") from None
        self.records.append((market.market_id, market.clock.now_ms, text))

    @property
    def log(self) -> logging.Logger:
        return logging.getLogger(f"headrace.strategy.{self.name}")

    # -- hosting -------------------------------------------------------------------------------------------------

    @property
    def host(self) -> Host:
        """The clock and rules it lives by; the machine's own time where nobody hosts it."""
        if self._host is None:
            self._host = Host.detached()
        return self._host

    def opened(self, framework: Any) -> None:
        """Call `start`: the process has begun; the clients are known meanwhile."""
        self._framework = framework
        try:
            self.start(framework)
        finally:
            self._framework = None

    def hosted(self, framework: Framework) -> Strategy:
        """A copy of this strategy for one market (or event, or run), living by the framework's clock."""
        host, self._host, self._framework = self._host, None, None
        copied = copy.deepcopy(self)
        self._host = host
        copied._host, copied._framework = framework.host, framework
        copied._runner_contexts = {}
        copied.records = []
        return copied

    @property
    def info(self) -> dict[str, Any]:
        """What a log line tells of the strategy."""
        return {"name": self.name, "parameters": self.parameter_values, **self.settings}

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self.parameter_values.items())
        return f"<{type(self).__name__} {self.name!r}{' ' + values if values else ''}>"


def _joined(filters: list[Any]) -> list[Any] | None:
    """The filters of several streams as alternatives; None, which admits all markets, where one of them is empty."""
    if not all(filters):
        return None
    return [one for each in filters for one in (each if isinstance(each, (list, tuple)) else [each])]


def _groups_events(market_filter: Any) -> bool:
    """Whether a filter asks, as flumine's does, for the markets of an event to be processed together."""
    filters = market_filter if isinstance(market_filter, (list, tuple)) else [market_filter]
    return any(isinstance(one, dict) and (one.get("event_processing") or one.get("event_groups")) for one in filters)


BaseStrategy = Strategy
