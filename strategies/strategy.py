"""The strategy: what its author subclasses."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ..values import shown, text, to_json, whole, word
from .hashes import hash_of_strategy
from .hosting import (
    ORDERS_SCOPES,
    SCOPES,
    Hosting,
    MadeAtFirst,
    Offered,
    description_of,
    limits,
    limits_of,
    parameters_of,
    require_names,
    require_stream,
    scope_of,
    state_of,
    take_state,
)
from .order import Order
from .parameters import Parameter, check_names, checked, declared_parameters
from .runner_context import RunnerContext

if TYPE_CHECKING:
    from .book import MarketBook
    from .host import Host
    from .market import Market

_STREAM_KEYWORDS = (
    "market_filter",
    "market_data_filter",
    "streaming_timeout",
    "conflate_ms",
    "stream_class",
    "sports_data_filter",
)
_LIMITS = (
    "max_order_exposure",
    "max_selection_exposure",
    "max_market_exposure",
    "max_trade_count",
    "max_live_trade_count",
    "multi_order_trades",
)
#: The keywords of every strategy. Each has its default in the class, which a subclass may change.
KEYWORDS = ("name", "context", *_STREAM_KEYWORDS, "stream", "streams", *_LIMITS)
_SETTINGS = tuple(name for name in KEYWORDS if name not in ("stream", "streams"))
#: Methods that are called by the framework: what else stands there is refused.
CALLED = frozenset(
    {
        *("add", "start", "finish", "process_new_market", "process_market_catalogue", "check_market_book"),
        *("process_market_book", "process_raw_data", "check_sports_data", "process_sports_data", "process_orders"),
        *("process_closed_market", "process_custom_event", "validate_order", "get_runner_context", "remove_market"),
        *("snapshot", "restore"),
    }
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

    #: Where instances live: one for each "market", for each "event", or one for the whole "run".
    scope: ClassVar[Literal["market", "event", "run"]] = "market"
    #: What `process_orders` gets: "live" (and those just completed), or "all" orders ever placed in the market.
    process_orders_scope: ClassVar[Literal["live", "all"]] = "live"

    if TYPE_CHECKING:
        name: str
        context: dict[Any, Any]
    else:
        name = MadeAtFirst(lambda strategy: type(strategy).__name__)
        context = MadeAtFirst(lambda strategy: {})
    market_filter: Any = None
    market_data_filter: Any = None
    streaming_timeout: float | None = None
    conflate_ms: int | None = None
    stream_class: Any = None
    sports_data_filter: Any = None
    max_order_exposure: float | None = 10
    max_selection_exposure: float | None = 100
    max_market_exposure: float | None = None
    max_trade_count: float = 1_000_000
    max_live_trade_count: float = 1
    multi_order_trades: bool = False

    #: What the framework keeps; the only attribute that is not the author's.
    _headrace = MadeAtFirst(lambda strategy: Hosting())

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        require_names(cls, Strategy, CALLED)
        # Strategies are told apart as objects: two dataclasses with equal values are two strategies.
        own = vars(cls)
        for name in ("__eq__", "__hash__"):
            if own.get(name) is None:
                setattr(cls, name, getattr(object, name))

    def __init__(self, **keywords: Any) -> None:
        owner = type(self).__name__
        parameters = declared_parameters(type(self), Strategy)
        check_names(keywords, [*KEYWORDS, *parameters], owner)
        for name, parameter in parameters.items():
            if name in keywords:
                object.__setattr__(self, name, checked(parameter, keywords[name], owner))
            elif not parameter.required:
                plain = checked(parameter, parameter.default, owner)
                if type(parameter.default).__module__ == "numpy":
                    object.__setattr__(self, name, plain)
            elif not hasattr(self, name):
                raise TypeError(f"{owner} needs a value for its parameter {name!r}")
        settings = {name: keywords[name] if name in keywords else getattr(self, name) for name in _SETTINGS}
        settings["name"] = text(settings["name"] or owner, f"{owner}: name", TypeError)
        context = settings["context"]
        if context is not None and not isinstance(context, Mapping):
            raise TypeError(f"{owner}: context={shown(context)}: expected a dict")
        if context is None or "context" not in keywords:
            settings["context"] = {} if context is None else copy.copy(context)
        settings["streams"] = self._take_streams(settings, keywords, owner)
        settings |= limits(settings, owner, TypeError)
        require_stream(settings["stream_class"], owner, TypeError)
        for name, value in settings.items():
            object.__setattr__(self, name, value)
        word(self.scope, f"{owner}: scope", SCOPES, TypeError)
        word(self.process_orders_scope, f"{owner}: process_orders_scope", ORDERS_SCOPES, TypeError)
        self._headrace.window(self.market_filter)
        if scope_of(self) != self.scope:
            object.__setattr__(self, "scope", scope_of(self))

    @staticmethod
    def _take_streams(settings: dict[str, Any], keywords: Mapping[str, Any], owner: str) -> list[Any]:
        """Take from streams what was not given by keyword: the markets of all of them, the rest of the first."""
        one, several = keywords.get("stream"), keywords.get("streams")
        if one is not None and several is not None:
            raise ValueError(f"{owner}: give stream or streams, not both")
        streams = list((several or ()) if one is None else [one])
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

    @Offered
    def parameter_values(self) -> dict[str, Any]:
        """The values of the declared parameters."""
        return parameters_of(self)

    @Offered
    def settings(self) -> dict[str, Any]:
        """Limits and filter, by keyword."""
        return limits_of(self)

    @Offered
    def streams(self) -> list[Any]:
        """The objects that gave the settings of the stream."""
        return []

    @Offered
    def name_hash(self) -> str:
        """The beginning of the references of the strategy's orders: 13 characters."""
        return hash_of_strategy(self.name)

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

        At the moment of each answer and fill, at each change of the book, at least every
        `Config.process_orders_interval` while there are live ones, and once more when the last completes.
        """

    def process_closed_market(self, market: Market, market_book: MarketBook) -> None:
        """Called when the market is settled; again where it is reopened, or given other results, and settled again."""

    def process_custom_event(self, market: Market, event: Any) -> None:
        """Called with a custom event, in each hosted market it concerns."""

    def finish(self, framework: Any) -> None:
        """Called once, on the instance the user made, at the end of the run."""

    # -- surviving -----------------------------------------------------------------------------------------------

    def snapshot(self) -> Any:
        """Live: what another copy needs to go on in this one's place; taken with each request, so keep it small.

        Anything that can be pickled. By default a dict of all attributes but declared parameters, settings and
        resources. Those that cannot be pickled are left out, and a warning says so. Orders, trades, markets and clients
        in it are kept as references, and mean the same ones afterwards.
        """
        return state_of(self)

    def restore(self, snapshot: Any) -> None:
        """Live: go on where another copy ended: called on a fresh copy, with what `snapshot` answered last.

        `process_new_market` is not called again for markets that were open then. Timers of `market.call_later` are
        gone: `market.restored` is True in the first turn.
        """
        if isinstance(snapshot, Mapping):
            take_state(self, snapshot)

    # -- rules ---------------------------------------------------------------------------------------------------

    def validate_order(self, runner_context: RunnerContext, order: Order) -> bool:
        """Whether `order` may be placed, by the limits of trades and pauses; else says why in its `violation_msg`."""
        trade = order.trade
        live = trade.id in runner_context.live_trades
        if self.multi_order_trades and live:
            return True
        bypass = self._headrace.host.rules.reset_bypass
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
        hosting = self._headrace
        try:
            return hosting.contexts[market_id][(selection_id, handicap) if handicap else selection_id]
        except KeyError:
            if type(selection_id) is not int:
                selection_id = whole(selection_id, "get_runner_context selection_id")
            context = RunnerContext(selection_id, hosting.host.clock)
            contexts = hosting.contexts.setdefault(market_id, {})
            contexts[(selection_id, handicap) if handicap else selection_id] = context
            return context

    def has_executable_orders(self, market_id: str, selection_id: int, handicap: float = 0) -> bool:
        """Whether the strategy has a live trade on a runner."""
        contexts = self._headrace.contexts.get(market_id, {})
        context = contexts.get((selection_id, handicap) if handicap else selection_id)
        return context is not None and context.executable_orders

    def market_cached(self, market_id: str) -> bool:
        """Whether a market is there, where this copy of the strategy lives."""
        framework = self._headrace.framework
        return framework is not None and market_id in framework.markets.markets

    @Offered
    def stream_ids(self) -> list[int]:
        """The ids that books of this strategy carry as `streaming_unique_id`: books come from the market's actor, so
        there is one, 0."""
        return [0]

    def remove_market(self, market_id: str) -> None:
        """Forget the runners of a market that was freed."""
        self._headrace.contexts.pop(market_id, None)

    @Offered
    def clients(self) -> Any:
        """The clients of the run, by name and venue."""
        framework = self._headrace.framework
        if framework is None:
            raise AttributeError(f"strategy {self.name!r} is not hosted yet: clients are known from start() on")
        return framework.clients

    def record(self, market: Market, **fields: Any) -> None:
        """Keep a row for the result's table `records`: the market, its time, and `fields` as JSON.

        Raises:
            TypeError: a field cannot be written as JSON.
        """
        try:
            row = to_json(fields)
        except TypeError as error:
            raise TypeError(f"{self.name}.record: {error}") from None
        self._headrace.records.append((market.market_id, market.clock.now_ms, row))

    @Offered
    def log(self) -> logging.Logger:
        """The strategy's logger."""
        return logging.getLogger(f"headrace.strategy.{self.name}")

    @Offered
    def host(self) -> Host:
        """The clock and rules of its host; the machine's own time if it is not hosted."""
        return self._headrace.host

    @Offered
    def info(self) -> dict[str, Any]:
        """What a log line tells of the strategy."""
        return description_of(self)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        names = declared_parameters(type(self), Strategy)
        values = ", ".join(f"{name}={shown(getattr(self, name, None))}" for name in names)
        return f"<{type(self).__name__} {self.name!r}{' ' + values if values else ''}>"


def _joined(filters: list[Any]) -> list[Any] | None:
    """The filters of several streams as alternatives; None, which admits all markets, where one of them is empty."""
    if not all(filters):
        return None
    return [one for each in filters for one in (each if isinstance(each, (list, tuple)) else [each])]


BaseStrategy = Strategy
