"""What a live system is made of; each of its processes has a copy."""

from __future__ import annotations

import dataclasses
import zoneinfo
from collections.abc import Callable
from typing import Any

from ...config import Config
from ...strategies.errors import InputError
from ...strategies.host import unique_id
from ...strategies.strategy import Strategy
from ...values import did_you_mean, finite, text, whole
from ..clients import BaseClient
from ..controls import BaseControl
from ..coordinator import Coordinator
from ..exchange import Exchange
from ..failures import Failures
from ..hosted_market import HostedMarket
from ..market import MarketActor
from ..middleware import Middleware
from ..recorder import Deliver
from ..workers import BackgroundWorker
from .crews import Crew, StreamPlan
from .rows_file import TableRows


def no_rows(*source: Any) -> TableRows:
    """Nothing is kept."""
    return {}


def no_failures(source: Any) -> Callable[[], TableRows]:
    """Failures, and other things that are counted, are not kept."""
    return no_rows


@dataclasses.dataclass(frozen=True, kw_only=True)
class RiskLimits:
    """Limits of the whole process; None: none. Money is in the account's currency.

    Attributes:
        max_exposure: what all open bets of this system may lose, at worst, 0 or more.
        max_daily_loss: settled losses since 00:00, plus what open bets may lose.
        risk_timezone: whose 00:00: a name of the IANA database, such as Europe/London.
        max_orders_per_second: instructions that place, a second, 1 or more.
    """

    max_exposure: float | None = None
    max_daily_loss: float | None = None
    risk_timezone: str = "UTC"
    max_orders_per_second: int | None = None

    def __post_init__(self) -> None:
        """Raises:
        InputError: a limit is below what it can be, or is not a number; or there is no such time zone.
        """
        for name in ("max_exposure", "max_daily_loss"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, finite(getattr(self, name), name, InputError, 0))
        if self.max_orders_per_second is not None:
            most = whole(self.max_orders_per_second, "max_orders_per_second", InputError)
            if most < 1:
                raise InputError(f"max_orders_per_second={most}: expected 1 or more, or None")
            object.__setattr__(self, "max_orders_per_second", most)
        zone = text(self.risk_timezone, "risk_timezone", InputError)
        try:
            zoneinfo.ZoneInfo(zone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            near = did_you_mean(zone, zoneinfo.available_timezones())
            raise InputError(f"risk_timezone={zone!r}: expected a time zone, such as 'Europe/London'{near}") from None


@dataclasses.dataclass
class LiveSetup:
    """What a live system is made of.

    Attributes:
        instance: the folder of this instance (see `Instance`), in which it keeps its state.
        reference: `customer_strategy_ref` of this instance.
        streams, crews: see `plan_streams`; the streams of orders are among them.
        make_exchange: makes the simulated exchange that paper accounts trade at, one for each market actor.
        rows_of: rows of a market that is freed, for the session's result.
        rows_so_far: rows that do not wait for the end of their market: what strategies record.
        rows_of_failures: makes, of an actor's failures, what tells the new ones at each call.
        rows_of_coordinator: makes, of the coordinator, what tells what it has counted since the last call.
        max_hosts: hosts at once; markets share them above it.
        on_stop: "cancel" or "leave" what rests at the exchange.
        on_restart: "carry_on" with what a former session has left, or "cancel" what rests of it.
        session: which session this is: a coordinator that finds it in its journal goes on with it.
        record: a folder for the whole session; None: not recorded.
        deliver: brings files of that folder, with their names below it, to where they are wanted; None: they stay.
        webhook: a URL that alerts are posted to; None: they are logged only.
        shadows: usernames of the paper twins of live accounts, by venue and username.
        heard: somebody hears of events: logging controls, or a coordinator with a `log` of its own. None: as those here
            say. Hosts have no logging controls, and are told.
        started: the strategies have started in this process.
    """

    strategies: list[Strategy]
    clients: list[BaseClient]
    config: Config
    instance: str
    reference: str
    streams: tuple[StreamPlan, ...]
    crews: tuple[Crew, ...]
    make_exchange: Callable[[], Exchange]
    rows_of: Callable[[MarketActor, HostedMarket], TableRows]
    max_hosts: int
    risk: RiskLimits = dataclasses.field(default_factory=RiskLimits)
    on_stop: str = "cancel"
    on_restart: str = "carry_on"
    session: str = dataclasses.field(default_factory=unique_id)
    rows_so_far: Callable[[MarketActor], TableRows] = no_rows
    rows_of_failures: Callable[[Failures], Callable[[], TableRows]] = no_failures
    rows_of_coordinator: Callable[[Coordinator], Callable[[], TableRows]] = no_failures
    record: str | None = None
    deliver: Deliver | None = None
    webhook: str | None = None
    middleware: list[Middleware] = dataclasses.field(default_factory=list)
    trading_controls: list[tuple[type[BaseControl], dict[str, Any]]] = dataclasses.field(default_factory=list)
    client_controls: list[tuple[BaseClient | None, type[BaseControl], dict[str, Any]]] = dataclasses.field(
        default_factory=list
    )
    workers: list[BackgroundWorker] = dataclasses.field(default_factory=list)
    logging_controls: list[Any] = dataclasses.field(default_factory=list)
    custom_streams: list[Any] = dataclasses.field(default_factory=list)
    files: dict[str, bytes] = dataclasses.field(default_factory=dict)
    market_actor: type[MarketActor] = MarketActor
    coordinator: type[Coordinator] = Coordinator
    shadows: dict[tuple[str, str], str] = dataclasses.field(default_factory=dict)
    heard: bool | None = None
    started: bool = False

    def __getstate__(self) -> dict[str, Any]:
        """Another process starts the strategies anew."""
        return {**self.__dict__, "started": False}

    @property
    def listens(self) -> bool:
        """Whether somebody hears of events: only then they are made."""
        if self.heard is not None:
            return self.heard
        return bool(self.logging_controls) or self.coordinator.log is not Coordinator.log

    @property
    def counting(self) -> Config:
        """The configuration for actors: errors of strategies are counted, and the coordinator ends the system."""
        return dataclasses.replace(self.config, raise_errors=False)

    def crew(self, name: str) -> Crew:
        """A crew by its name."""
        return next(crew for crew in self.crews if crew.name == name)

    def of_crew(self, crew: Crew) -> list[Strategy]:
        """The prototypes of a crew."""
        return [strategy for strategy in self.strategies if strategy.name in crew.strategies]
