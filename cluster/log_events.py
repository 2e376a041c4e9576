"""Events for logging controls on their way from a worker to the process of the run: each as it was at its moment.

Orders, trades and markets arrive as themselves, without the machinery around them: no exchange, no actor, and of
strategies and clients what names and describes them.
"""

from __future__ import annotations

import functools
import io
import logging
import pickle
from collections.abc import Callable
from typing import Any

from ..actors.clients import BaseClient
from ..actors.hosted_market import HostedMarket
from ..actors.market import MarketActor
from ..config import Config
from ..strategies.blotter import Blotter
from ..strategies.clock import Clock
from ..strategies.hashes import hash_of_strategy
from ..strategies.host import Host
from ..strategies.hosting import description_of
from ..strategies.market import Market
from ..strategies.order import Order
from ..strategies.strategy import Strategy

logger = logging.getLogger("headrace")

_MARKET_LEFT_OUT = (
    "_actor",
    "seats",
    "readers",
    "exchange",
    "_traders",
    "_random",
    "context",
    "replacing",
    "_unentered",
    "_strays",
)


class LoggedStrategy:
    """What logging controls are told about a strategy.

    Attributes:
        info: name, parameters, limits, market filter and context.
    """

    def __init__(self, info: dict[str, Any], name_hash: str) -> None:
        self.name: str = info["name"]
        self.name_hash = name_hash
        self.parameter_values: dict[str, Any] = info["parameters"]
        self.market_filter: Any = info["market_filter"]
        self.context: dict[Any, Any] = info["context"]
        self.info = info

    def __str__(self) -> str:
        return self.name


class LoggedFramework:
    """What logging controls are told about the system around a market."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.config: Config = host.config


class EventRecorder:
    """Keeps the events of a unit, as a logging control would hear them."""

    def __init__(self) -> None:
        self._events: list[bytes] = []

    def __call__(self, event: Any) -> None:
        try:
            self._events.append(pickled(event))
        except Exception as error:
            logger.error("An event %r cannot be sent to the logging controls: %r", event.name, error)

    def take(self) -> list[bytes]:
        """The events so far; they are forgotten here."""
        events, self._events = self._events, []
        return events


def pickled(event: Any) -> bytes:
    """An event as bytes."""
    file = io.BytesIO()
    _pickler()(file).dump(event)
    return file.getvalue()


def unpickled(frozen: bytes) -> Any:
    """The event that `pickled` made bytes of."""
    return pickle.loads(frozen)


@functools.cache
def _pickler() -> Callable[[io.BytesIO], Any]:
    from ray import cloudpickle

    class Pickler(cloudpickle.CloudPickler):
        def reducer_override(self, value: Any) -> Any:
            for kind, reduced in _REDUCED:
                if isinstance(value, kind):
                    return reduced(value)
            return super().reducer_override(value)  # type: ignore[no-untyped-call]

    return Pickler


def _blank(kind: type) -> Any:
    return object.__new__(kind)


def _strategy(strategy: Strategy) -> Any:
    return LoggedStrategy, (description_of(strategy), hash_of_strategy(strategy.name))


def _actor(actor: MarketActor) -> Any:
    return LoggedFramework, (actor.host,)


def _clock(clock: Clock) -> Any:
    return Clock, (clock.now_ms,)


def _host(host: Host) -> Any:
    return Host, (host.clock, host.config, _no_id)


def _no_id() -> str:
    return ""


def _client(client: BaseClient) -> Any:
    state = {**vars(client), "trading_controls": [], "betting_client": None}
    return _blank, (type(client),), state


def _market(market: HostedMarket) -> Any:
    state = {name: value for name, value in vars(market).items() if name not in _MARKET_LEFT_OUT}
    state |= {"context": {}, "_random": {}}
    return _blank, (Market,), state


def _blotter(blotter: Blotter) -> Any:
    return _blank, (Blotter,), {**vars(blotter), "_watchers": [], "ask_queue": None}


def _order(order: Order) -> Any:
    # Through its listener, the blotter, an order would take all others along.
    return _without(order, "_listener", None)


def _without(value: Any, slot: str, instead: Any) -> Any:
    made, arguments, state, *rest = value.__reduce_ex__(4)
    attributes, slots = state
    return (made, arguments, (attributes, {**slots, slot: instead}), *rest)


_REDUCED: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (Order, _order),
    (Strategy, _strategy),
    (Clock, _clock),
    (Host, _host),
    (BaseClient, _client),
    (HostedMarket, _market),
    (MarketActor, _actor),
    (Blotter, _blotter),
)
