"""`hr.Live`: composes clients, strategies and actors into a running system."""

from __future__ import annotations

import base64
import contextlib
import datetime
import logging
import math
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Sequence
from typing import Any, Self

from .actors.coordinator import Coordinator
from .actors.letters import UserEvent
from .actors.live.alerts import check_webhook
from .actors.live.control import ask
from .actors.live.instance import Instance
from .actors.live.journal_place import kind_of
from .actors.live.reference import default_reference, keep_default_reference
from .actors.live.rows_file import RowsReader, goes_on, has_ended, rows_path
from .actors.live.setup import LiveSetup, RiskLimits
from .actors.live.shadow import with_shadows
from .actors.live.supervision import Supervision
from .actors.logs import at_level, set_up
from .actors.market import MarketActor
from .actors.page.port import require_free
from .actors.run_files import unpack_files
from .actors.shells.driver import Driver
from .actors.shells.making import FILES
from .actors.streams import HandlerQueue
from .cluster.shipping import pack, pickled, shipped, why_not_picklable
from .config import Config
from .live_parts import LiveParts, ends_at, users_objects, without_errors
from .results.result import Result
from .results.session import SessionRows, lost_rows
from .strategies.errors import InputError, RunError
from .strategies.events import CustomEvent, TerminationEvent
from .values import whole

logger = logging.getLogger("headrace")

#: Seconds that the coordinator may take to start, and that roles may take to end.
_START_S, _END_S = 90.0, 20.0
#: Seconds that are waited for the accounts, and for hosts, before markets are begun.
_READY_S = 30.0
#: Seconds between two looks at a running system.
_LOOK_S = 0.25


class Live(LiveParts):
    """A live system: strategies trade at an exchange, or on paper at its prices.

        live = hr.Live(engine="local")
        live.add_client(hr.BetfairClient(api_client))
        live.add_strategy(BackTheFavourite(market_filter={...}))
        result = live.run()

    Args:
        config: settings; default: `Config()`.
        engine: "ray": each market actor in a process of its own; "local": threads of this process.
        market_actor, coordinator: subclasses with steps of your own.
        risk: limits of the whole system.
        on_stop: "cancel" what rests at the exchange when the system stops, or "leave" it.
        on_restart: what becomes of orders that a former session of this instance has left at the exchange, because it
            was cut short, or left them: "carry_on" with them, or "cancel" what rests of them.
        shadow: run a paper twin beside each strategy.
        record: a folder for the whole session: streams, orders, events, latencies. Or one of a store, by its URI:
            each file is brought there when it is packed.
        out: a new folder, or URI, for the result's tables, as in `backtest`.
        until: when to stop: "23:30" of this machine's time, or a datetime; None: when it is told to.
        stop_when_idle: stop once there was a market, and all are closed and settled.
        page: serve a web page on localhost.
        page_port: its port; 0: any that is free.
        webhook: a URL that alerts are posted to.
        instance: a folder for what is kept across restarts; default: see docs/live.md.
        files: files that strategies need; `headrace.path(name)` finds them in every process.

    Attributes:
        result: of the session, once it has ended.
        supervision: who looks after this process; to be set before the start.
        why: it stops, or has stopped; empty: it goes on.

    Raises:
        InputError: an argument cannot be used.
    """

    def __init__(
        self,
        *,
        config: Config | None = None,
        engine: str = "ray",
        market_actor: type[MarketActor] = MarketActor,
        coordinator: type[Coordinator] = Coordinator,
        risk: RiskLimits | None = None,
        on_stop: str = "cancel",
        on_restart: str = "carry_on",
        shadow: bool = False,
        record: str | os.PathLike[str] | None = None,
        out: str | os.PathLike[str] | None = None,
        until: str | datetime.datetime | None = None,
        stop_when_idle: bool = False,
        page: bool = True,
        page_port: int = 0,
        webhook: str | None = None,
        instance: str | os.PathLike[str] | None = None,
        files: Sequence[str | os.PathLike[str]] = (),
    ) -> None:
        super().__init__(
            Config() if config is None else config,
            engine=engine,
            market_actor=market_actor,
            coordinator=coordinator,
            risk=risk,
            on_stop=on_stop,
            on_restart=on_restart,
            shadow=shadow,
            record=record,
            webhook=None if webhook is None else check_webhook(webhook),
            files=files,
        )
        self._until = ends_at(until)
        self._page_port = whole(page_port, "page_port", InputError) if page else None
        self._stop_when_idle, self._out, self._root = stop_when_idle, out, instance
        self._laid_out: tempfile.TemporaryDirectory[str] | None = None
        self._shipped: contextlib.AbstractContextManager[None] | None = None
        self._waiting: list[CustomEvent | TerminationEvent] = []
        self.handler_queue = HandlerQueue(
            self._take_event, why_not_picklable if engine == "ray" else lambda value: None
        )
        self.supervision = Supervision()
        self._driver: Driver | None = None
        self._instance: Instance | None = None
        self._rows: SessionRows | None = None
        self._ended = threading.Event()
        self.why = ""
        self.result: Result | None = None

    @property
    def page_url(self) -> str:
        """The address of the web page with its token, once the system runs; empty: it has none."""
        return "" if self._driver is None else self._driver.page_url

    # -- running -------------------------------------------------------------------------------------------------

    def run(self) -> Result:
        """Run until the end: `stop`, `until`, nothing left to do, or Ctrl-C.

        Returns:
            The result of the session.

        Raises:
            ClientError, InputError, RunError: it cannot start, or cannot go on; the message says what to do. With
                `Config(raise_errors=True)` also, once all has ended, where a strategy has failed.
        """
        with at_level(self.config):
            self.start()
            with contextlib.suppress(KeyboardInterrupt):
                self.wait()
            result = self.end()
            return without_errors(result) if self.config.raise_errors else result

    def start(self) -> Self:
        """Start, and return once the system runs.

        Raises:
            ClientError, InputError, RunError: see `run`.
        """
        if self._driver is not None or self.result is not None:
            raise RunError("this system has been started; make another")
        self.require_complete()
        if self._page_port is not None:
            require_free(self._page_port)
        set_up(self.config)
        reference = self.config.customer_strategy_ref or default_reference(self._root)
        instance = self._instance = Instance(reference, self._root)
        instance.hold(self.supervision.guarded, engine=self._engine_name)
        keep_default_reference(reference, self._root)
        try:
            self._start(instance)
        except BaseException:
            self._end_actors()
            raise
        return self

    def _start(self, instance: Instance) -> None:
        setup = self._setup(instance)
        setup.session = self.supervision.session or setup.session
        if self._engine_name == "ray":
            self._ship(setup)
        if self._shadow:
            setup = with_shadows(setup)
        accounts = [(each.username, str(getattr(each.betting_client, "api_uri", ""))) for each in self.clients]
        kind = kind_of(self.clients)
        again = goes_on(instance.folder, accounts, kind)
        self._rows = SessionRows(RowsReader(rows_path(instance.folder, kind)), self._identity(setup), self._out, again)
        self._laid_out = unpack_files(self._files)
        dumps = pickled if self._engine_name == "ray" else None
        self._driver = Driver(self._engine_name, instance, setup, dumps, self._page_port, self.supervision)
        self._driver.start()
        for event in self._waiting:
            self._take_event(event)
        self._driver.begin(self._ended.is_set)

    def _ship(self, setup: LiveSetup) -> None:
        """Have the user's code travel by value, so that an edit takes effect on the next run.

        Raises:
            RunError: something in it cannot travel; names the object and the attribute.
        """
        self._shipped = shipped(setup, users_objects(setup))
        self._shipped.__enter__()

    def _take_event(self, event: CustomEvent | TerminationEvent) -> None:
        """An event that was put on `handler_queue`: it goes to the strategies of every market that is open."""
        if self._driver is None:
            self._waiting.append(event)
        elif isinstance(event, TerminationEvent):
            self.stop("a termination event asks for it")
        else:
            self._put_event(event)

    def _put_event(self, event: CustomEvent) -> None:
        assert self._driver is not None
        if not self._driver.put(UserEvent(here=event)):
            data = pack(event, [each for each in (event.event, event.callback) if each is not None])
            self._ask("EVENT", {"data": base64.b64encode(data).decode()}, 10.0)

    def wait(self, seconds: float = math.inf) -> bool:
        """Wait until the system is to end.

        Returns:
            False: the time has passed, and it goes on.
        """
        until = time.monotonic() + seconds
        while not self._ended.is_set():
            left = until - time.monotonic()
            if left <= 0:
                return False
            if self._ended.wait(min(left, _LOOK_S)):
                break
            self._take()
            self._look()
        return True

    def _take(self) -> None:
        """Take what actors have written since the last time: rows, and what they have logged."""
        if self._rows is not None:
            self._rows.take()
        if self._driver is not None and self._driver.logs is not None:
            self._driver.logs.take()

    def _look(self) -> None:
        """See whether the end has come."""
        if self._until is not None and time.time() >= self._until:
            self.stop("its time has come")
        elif self._driver is None or self._driver.over:
            self.stop("it has ended")  # somebody else has asked it to
        elif self._stop_when_idle:
            with contextlib.suppress(RunError):  # it is ending
                if self.state()["idle"]:
                    self.stop("there is nothing left to do")

    def stop(self, why: str = "it was asked to") -> None:
        """End the system: `run` and `wait` return. Any thread, and a signal's handler, may call it."""
        self.why = self.why or why
        self._ended.set()

    def end(self) -> Result:
        """Stop placing, cancel or leave what rests at the exchange, end all actors, and return the session's result.

        Raises:
            RunError: it was not started.
        """
        if self.result is not None:
            return self.result
        if self._rows is None:
            raise RunError("this system was not started")
        self._ended.set()
        lost = ""
        if self._driver is not None:
            self._driver.stop(self.why or "it was asked to")
            lost = self._driver.lost
        self._end_actors()
        self._take()
        self.result = self._rows.result({"stopped": self.why})
        if self._instance is not None:
            has_ended(self._instance.folder, kind_of(self.clients))
        failed = [*self._finish(), *lost_rows(lost)]
        if failed:
            self.result = self._rows.result({"stopped": self.why}, failed)
        return self.result

    def kill(self) -> None:
        """End all actors at once. What rests at the exchange stays there, and what was not handed over is lost."""
        self._ended.set()
        self._end_actors(0.0)

    def _end_actors(self, seconds: float = _END_S) -> None:
        if self._driver is not None:
            self._driver.close(seconds)
        if self._shipped is not None:
            self._shipped.__exit__(None, None, None)
        if self._laid_out is not None:
            self._laid_out.cleanup()
        if self._instance is not None:
            shutil.rmtree(self._instance.folder / FILES, ignore_errors=True)
            self._instance.release()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.end()

    # -- asking --------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """How the system stands: markets, orders, accounts, streams, hosts, latencies, limits (see docs/live.md).

        Raises:
            RunError: it does not run.
        """
        return self._ask("STATE", {}, 10.0)

    def cancel_all(self, whole_account: bool = False) -> dict[str, Any]:
        """Have all orders of this system that rest at the exchange cancelled; it places no more, and goes on.

        `state()["cancelling"]` tells how far it is.

        Args:
            whole_account: those that were placed elsewhere on the accounts, too.

        Raises:
            RunError: it does not run.
        """
        return self._ask("CANCEL_ALL", {"whole_account": whole_account}, 60.0)

    def _ask(self, what: str, values: dict[str, Any], seconds: float) -> dict[str, Any]:
        if self._instance is None or not self._instance.held:
            raise RunError("this system does not run")
        return ask(self._instance, what, values, timeout=seconds)
