"""The driver of a live system: the process with the engine. It starts the actors in their order, keeps the coordinator
and the page running, and ends the rest.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

from ...strategies.errors import RunError
from ..letters import Gone, Letter
from ..live.control import ask
from ..live.instance import Instance
from ..live.setup import LiveSetup
from ..page.page_role import PAGE
from ..role import Role
from .engine import COORDINATOR, Engine
from .engines import engine_of
from .guardian import Guardian
from .making import coordinator_of, page_of, stream_of
from .retold_logs import RetoldLogs
from .thread_engine import ThreadEngine

logger = logging.getLogger("headrace")

#: Seconds that an actor may take to start.
_START_S = 90.0
#: Seconds that are waited for the accounts, and for hosts, before markets are begun.
_READY_S = 30.0
#: Seconds for which nothing may be heard of a coordinator that is to stop the system, while it is started again.
_SILENT_S = 60.0
#: Seconds that it may take until the exchange shows that nothing rests any more, and beyond that each question.
_STOP_S, _ASK_S = 120.0, 10.0


class Driver:
    """Runs a system.

    Args:
        engine: "ray" or "local".
        instance: held by this process.
        dumps: makes bytes of events for other processes; None: they stay here.
        page_port: where the page listens; 0: any port; None: there is no page.

    Attributes:
        page_url: the address of the page with its token; empty: it has none, or is not there yet.
        lost: why the coordinator is not there at the end; empty: it is, or has ended as it was asked to.
    """

    def __init__(
        self,
        engine: str,
        instance: Instance,
        setup: LiveSetup,
        dumps: Callable[[Any], bytes] | None,
        page_port: int | None,
    ) -> None:
        self._engine_name, self._instance, self._setup, self._dumps = engine, instance, setup, dumps
        self._page_port = page_port
        self._token = secrets.token_urlsafe(24)
        self._last_port = 0
        self._guardian = Guardian()
        self._streams = False
        self.engine: Engine | None = None
        self.logs: RetoldLogs | None = None
        self.page_url = self.lost = ""

    # -- starting ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the coordinator and the page.

        Raises:
            ClientError, RunError: they do not start; the message says why.
        """
        engine, logs = engine_of(self._engine_name, self._instance, self._has_gone)
        self.engine, self.logs = engine, None if logs is None else RetoldLogs(logs)
        engine.start(COORDINATOR, self._coordinator())
        engine.ready(COORDINATOR, _START_S)
        self._guardian.keep(engine, COORDINATOR, self._coordinator, self._coordinator_is_there)
        # The page's process keeps metrics as well where Ray does.
        if self._page_port is not None or self._on_ray:
            engine.start(PAGE, self._page())
            engine.ready(PAGE, _START_S)
            self._page_is_there()
            self._guardian.keep(engine, PAGE, self._page, self._page_is_there)
        engine.spare(1, self._coordinator())

    @property
    def _on_ray(self) -> bool:
        return self._engine_name == "ray"

    def _coordinator(self) -> Callable[[], Role]:
        assert self.engine is not None
        return coordinator_of(self._setup, self.engine, self._dumps)

    def _coordinator_is_there(self) -> None:
        self.lost = ""

    def _page(self) -> Callable[[], Role]:
        # Whoever looks finds it where it was. If somebody else is there now, it goes elsewhere the next time.
        port, self._last_port = self._last_port or self._page_port, 0
        return page_of(port, self._token, self._on_ray)

    def _page_is_there(self) -> None:
        """Tell where it is, as soon as it has told the coordinator."""
        until = time.monotonic() + _START_S
        while self._page_port is not None and time.monotonic() < until:
            address = self._state().get("page", "")
            if address:
                self.page_url = f"{address}?token={self._token}"
                self._last_port = int(address.rstrip("/").rpartition(":")[2])
                break
            time.sleep(0.02)
        with contextlib.suppress(RunError):  # it is being ended
            self._instance.tell(page=self.page_url)

    def begin(self, ended: Callable[[], bool]) -> None:
        """Start the streams: those of accounts, then, once it is known how these stand and hosts are ready, the others.

        A strategy's first orders would be refused while it is not known how its accounts stand.

        Args:
            ended: whether the system is to end.
        """
        assert self.engine is not None
        for plan in self._setup.streams:
            if plan.of_orders:
                self.engine.start(plan.name, stream_of(plan, self._setup))
        self._wait_for_accounts(ended)
        self._wait_for_hosts(ended)
        for plan in self._setup.streams:
            if not plan.of_orders:
                self.engine.start(plan.name, stream_of(plan, self._setup))

    def _wait_for_accounts(self, ended: Callable[[], bool]) -> None:
        """Wait until it is known how the accounts' bets stand: not for long, for an exchange may be down for hours."""
        waiting: list[str] = []
        for state in self._states(ended):
            waiting = [each["username"] for each in state["clients"] if not each["ready"]]
            if not waiting:
                return
        if waiting and not ended():
            logger.warning("It is not known yet how the bets of %s stand; markets are begun all the same", waiting)

    def _wait_for_hosts(self, ended: Callable[[], bool]) -> None:
        """Have hosts ready before markets come, all of which open at once."""
        self.ask("PREPARE", {}, _START_S)
        for state in self._states(ended):
            if not state["hosts_coming"]:
                return

    def _states(self, ended: Callable[[], bool]) -> Iterator[dict[str, Any]]:
        """The state of the system, again and again, while it is waited for something."""
        until = time.monotonic() + _READY_S
        while not ended() and time.monotonic() < until:
            if state := self._state():
                yield state
            time.sleep(0.05)

    # -- while it runs -------------------------------------------------------------------------------------------

    def _has_gone(self, gone: Gone) -> None:
        """An actor has ended, in a thread of the engine."""
        if gone.name == COORDINATOR and gone.why:
            self.lost = gone.why
        self._guardian.gone(gone)

    @property
    def over(self) -> bool:
        """The coordinator has ended because somebody has asked it to, or the engine has."""
        return self.engine is None or self._guardian.is_over(COORDINATOR)

    def put(self, letter: Letter) -> bool:
        """Put a letter into the coordinator's inbox; False: it is in another process."""
        if not isinstance(self.engine, ThreadEngine):
            return False
        self.engine.put(COORDINATOR, letter)
        return True

    def ask(self, what: str, values: dict[str, Any], seconds: float = _ASK_S) -> dict[str, Any]:
        """Ask the coordinator.

        Raises:
            InputError: it is asked wrongly.
            RunError: it does not answer.
        """
        return ask(self._instance, what, values, timeout=seconds)

    def _state(self) -> dict[str, Any]:
        """The state of the system; empty: the coordinator does not answer, for it is being started again."""
        try:
            return self.ask("STATE", {})
        except RunError as error:
            logger.debug("%s", error)
            return {}

    # -- ending --------------------------------------------------------------------------------------------------

    def stop(self, why: str) -> None:
        """Have the coordinator stop the system, and wait until nothing of it rests at the exchange.

        A coordinator that ends meanwhile is started again, and is told again.
        """
        asked = False
        there = time.monotonic()
        while not self.over and time.monotonic() - there < _SILENT_S:
            if self.engine is not None and COORDINATOR in self.engine.alive():
                there = time.monotonic()
            try:
                if not asked:
                    self.ask("STOP", {"why": why}, _STOP_S)
                state = self.ask("STATE", {})
                if state.get("stopped", True):
                    return
                asked = bool(state["stopping"])
            except RunError as error:  # it has ended, or it is busy, and something may still rest
                logger.debug("%s", error)
            time.sleep(0.1)

    def close(self, seconds: float) -> None:
        """End all actors, and remove what they have made."""
        self._guardian.close()
        engine, self.engine = self.engine, None
        if engine is not None:
            for name in engine.close(seconds):
                logger.warning("%s did not end, and was killed", name)
