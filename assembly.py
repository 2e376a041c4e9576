"""The parts of a run: clients, strategies, middleware, controls, workers and streams, checked as they are added."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Any, Self

from .actors.clients import BaseClient, Clients
from .actors.controls import BaseControl
from .actors.failures import Failures, told, users_code, users_place
from .actors.logging_controls import LoggingControl, LoggingControls
from .actors.market_filter import check_filter, markets_of
from .actors.middleware import Middleware
from .actors.streams import BaseStream, Streams
from .actors.workers import BackgroundWorker
from .config import Config
from .simulate.row_parts import failure_rows
from .strategies.errors import ClientError, ControlError, InputError, RunError
from .strategies.hosting import require_sound
from .strategies.strategy import Strategy

logger = logging.getLogger("headrace")


class Assembly:
    """The parts of a run. A strategy's `add(framework)` gets it.

    Attributes:
        config: the settings.
        clients: the accounts, in the order in which they were added.
        strategies: the prototypes, in the order in which they were added.
        streams: streams of the user's own.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.clients = Clients()
        self.strategies: list[Strategy] = []
        self.streams = Streams()
        self._middleware: list[Middleware] = []
        self._trading_controls: list[tuple[type[BaseControl], dict[str, Any]]] = []
        self._client_controls: list[tuple[BaseClient | None, type[BaseControl], dict[str, Any]]] = []
        self._logging_controls: list[LoggingControl] = []
        self._background: list[BackgroundWorker] = []

    def add_client(self, client: BaseClient) -> None:
        """Add an account. The first is the one that orders use unless told otherwise.

        Raises:
            ClientError: it is not a client, or one of its name is there.
        """
        self.clients.add_client(client)

    def add_strategy(self, strategy: Strategy) -> None:
        """Add a strategy; its `add(framework)` is called.

        Raises:
            InputError: it is not a strategy, or one of its name is there: names tell orders apart.
            ListenerError: its market filter has an unknown key.
            RunError: its `add` failed.
        """
        if isinstance(strategy, type) and issubclass(strategy, Strategy):
            raise InputError(f"{strategy.__name__} is a class; add an instance: {strategy.__name__}(...)")
        if not isinstance(strategy, Strategy):
            raise InputError(f"{strategy!r} is not a strategy; subclass headrace.Strategy")
        if any(known.name == strategy.name for known in self.strategies):
            raise InputError(f"two strategies are named {strategy.name!r}; give each a name= of its own")
        check_filter(strategy.market_filter)
        require_sound(strategy)
        self.strategies.append(strategy)
        with users_code(f"strategy {strategy.name!r} failed in add()", raise_errors=self.config.raise_errors):
            strategy.add(self)
        require_sound(strategy)

    def add_trading_control(self, trading_control: type[BaseControl], **settings: Any) -> None:
        """Add a control of all requests, after those that are always there; made in each actor with `settings`.

        Raises:
            ControlError: it is not a class of controls.
        """
        _check_control(trading_control)
        self._trading_controls.append((trading_control, settings))

    def add_client_control(self, client: BaseClient, client_control: type[BaseControl], **settings: Any) -> None:
        """Add a control of one client's requests; made in each coordinator with the client and `settings`.

        Raises:
            ClientError: the client was not added.
            ControlError: it is not a class of controls.
        """
        _check_control(client_control)
        if not any(known is client for known in self.clients):
            raise ClientError(f"client {client!r} was not added; add_client comes first")
        self._client_controls.append((client, client_control, settings))

    def add_market_middleware(self, middleware: Middleware) -> None:
        """Add middleware; it lives with the markets, one copy per process (in a sweep, one per set).

        Raises:
            RunError: it cannot be called with a market.
        """
        if isinstance(middleware, type) or not callable(middleware):
            raise RunError(f"{middleware!r} is not middleware; add an instance of a subclass of headrace.Middleware")
        if middleware not in self._middleware:
            self._middleware.append(middleware)

    def add_logging_control(self, logging_control: LoggingControl) -> None:
        """Add a logging control; it lives here, once for the whole run.

        In a run on Ray it receives events when a batch is done, with the state of that time and in order within the
        batch.

        Raises:
            RunError: it cannot be called with an event.
        """
        if isinstance(logging_control, type) or not callable(logging_control):
            raise RunError(
                f"{logging_control!r} is not a logging control; add an instance of a headrace.LoggingControl"
            )
        if logging_control not in self._logging_controls:
            self._logging_controls.append(logging_control)

    def add_worker(self, worker: BackgroundWorker) -> None:
        """Add a background worker; it runs once in each unit of replay, by the market's clock.

        Raises:
            RunError: it is not a worker.
        """
        if not isinstance(worker, BackgroundWorker):
            raise RunError(
                f"{worker!r} is not a worker; make one with headrace.BackgroundWorker(framework, function, interval)"
            )
        if worker not in self._background:
            self._background.append(worker)

    def add_stream(self, stream: BaseStream) -> None:
        """Add a stream of your own; the same as `streams.add_custom_stream`.

        Raises:
            StreamError: it is not a stream.
        """
        self.streams.add_custom_stream(stream)

    def log_control(self, event: Any) -> None:
        """Pass an event to the logging controls."""
        LoggingControls(self._logging_controls)(event)

    def _run_streams(self) -> None:
        """Streams of the user's own run before the replay, one after the other: simulated time does not wait."""
        for stream in self.streams:
            with users_code(f"stream {type(stream).__name__} failed", raise_errors=self.config.raise_errors):
                stream.run()

    @property
    def info(self) -> dict[str, Any]:
        """What a log line tells of the run."""
        return {
            "strategies": [strategy.name for strategy in self.strategies],
            "clients": [client.info for client in self.clients],
        }

    def require_complete(self) -> None:
        """Refuse to run what has no client or no strategy.

        Raises:
            ClientError, RunError: says what is to be added.
        """
        if not len(self.clients):
            raise ClientError("no client: add_client(SimulatedClient()) first")
        if not self.strategies:
            raise RunError("no strategy: add_strategy first")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Nothing stays open after `run`."""

    def _filtered_markets(self) -> list[str]:
        """The files that the strategies' filters name, as flumine 2 has them: `market_filter={"markets": [...]}`."""
        named = [markets_of(strategy.market_filter) for strategy in self.strategies]
        if not any(named):
            raise InputError("no markets: give Simulation(markets=...), or market_filter={'markets': [...]}")
        if any(each != named[0] for each in named):
            raise InputError("the strategies' filters name different markets; run them apart, or give markets=")
        return named[0]

    def _finish(self) -> list[tuple[Any, ...]]:
        """Call `finish` of each strategy; what fails there is a row, for the result is there already."""
        failures = Failures("finish()")
        for strategy in self.strategies:
            try:
                strategy.finish(self)
            except Exception as error:
                if self.config.raise_errors:
                    raise
                logger.error("strategy %r failed in finish(): %s", strategy.name, told(error))
                failures.add(error, strategy.name, None, users_place(error))
        return failure_rows(failures, failures.unit)


def _check_control(control: Any) -> None:
    if not (isinstance(control, type) and issubclass(control, BaseControl)):
        raise ControlError(f"{control!r} is not a control; pass a class that subclasses headrace.BaseControl")
