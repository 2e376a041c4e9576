"""What a run is made of, and the market actor that is made of it."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from ..actors.clients import BaseClient
from ..actors.controls import BaseControl
from ..actors.coordinator import Coordinator
from ..actors.exchange import Exchange
from ..actors.failures import Failures
from ..actors.market import MarketActor
from ..actors.middleware import Middleware
from ..actors.workers import BackgroundWorker
from ..config import Config
from ..strategies.events import CustomEvent
from ..strategies.host import Host
from ..strategies.strategy import Strategy
from .models import Models
from .side_data import RecordedSideData
from .simulated_exchange import SimulatedExchange


@dataclasses.dataclass
class Setup:
    """What a run is made of; each process that replays has a copy.

    Attributes:
        trading_controls: further controls: class and settings.
        files: content by name, for `hr.path`.
        catalogues, sports_data: folders with what was recorded beside the markets.
        client_controls: client (None: all), class and settings.
        session: the recordings are those of a session.
        band: replay copies with the queues of its band as well.
    """

    strategies: list[Strategy]
    clients: list[BaseClient]
    config: Config
    middleware: list[Middleware] = dataclasses.field(default_factory=list)
    trading_controls: list[tuple[type[BaseControl], dict[str, Any]]] = dataclasses.field(default_factory=list)
    client_controls: list[tuple[BaseClient | None, type[BaseControl], dict[str, Any]]] = dataclasses.field(
        default_factory=list
    )
    models: Models = dataclasses.field(default_factory=Models)
    workers: list[BackgroundWorker] = dataclasses.field(default_factory=list)
    custom_events: list[CustomEvent] = dataclasses.field(default_factory=list)
    files: dict[str, bytes] = dataclasses.field(default_factory=dict)
    catalogues: str | None = None
    sports_data: str | None = None
    market_actor: type[MarketActor] = MarketActor
    coordinator: type[Coordinator] = Coordinator
    session: bool = False
    band: bool = False


ActorKind = TypeVar("ActorKind", bound=MarketActor)


def make_actor(
    kind: type[ActorKind],
    host: Host,
    setup: Setup,
    coordinator: Coordinator,
    failures: Failures,
    exchange: Exchange | None = None,
) -> ActorKind:
    """An actor that hosts the strategies of a setup, with an exchange of its own unless it is given one."""
    return kind(
        host,
        setup.strategies,
        coordinator,
        SimulatedExchange(setup.models) if exchange is None else exchange,
        setup.middleware,
        setup.trading_controls,
        setup.client_controls,
        failures,
        RecordedSideData(setup.catalogues, setup.sports_data),
    )
