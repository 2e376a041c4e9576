"""The driver of a live system: the process with the engine. It starts the actors in their order, keeps the coordinator
and the page running, and ends the rest.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

from ...strategies.errors import RunError
from ..letters import Gone, Letter
from ..live.control import ask
from ..live.instance import Instance
from ..live.setup import LiveSetup
from ..live.supervision import Supervision
from ..page.page_role import PAGE
from ..role import Role
from .engine import COORDINATOR, Engine
from .engines import Begun
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
#: How often an actor is started that the former process may be about to start as well.
_TRIES = 3
#: Seconds between two looks at the head; and before a system that could not be started anew is tried again: first,
#: doubled each time, and at most.
_HEAD_S, _AGAIN_S, _AGAIN_MOST_S = 0.1, 1.0, 30.0
#: Seconds that it may take until the exchange shows that nothing rests any more, and beyond that each question.
_STOP_S, _ASK_S = 120.0, 10.0


class Driver:
    """Runs a system.

    Args:
        engine: "ray" or "local".
        instance: held by this process.
        dumps: makes bytes of events for other processes; None: they stay here.
        page_port: where the page listens; 0: any port; None: there is no page.
        supervision: who looks after this process, and whether it was started before.

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
        supervision: Supervision,
    ) -> None:
        self._engine_name, self._instance, self._setup, self._dumps = engine, instance, setup, dumps
        self._page_port, self._supervision = page_port, supervision
        self._token, self._last_port = _token_and_port(instance.before.page if supervision.again else "")
        self._guardian = Guardian()
        self._tries = 1
        self._ended: Callable[[], bool] = lambda: False
        self._closing = threading.Event()
        self._watch = threading.Thread(target=self._look_after_head, name="headrace-driver", daemon=True)
        self.engine: Engine | None = None
        self.logs: RetoldLogs | None = None
        self.page_url = self.lost = ""

    # -- starting ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the coordinator and the page, or go on with those that run.

        Raises:
            ClientError, RunError: they do not start; the message says why.
        """
        self._start(own=False)
        self._start_page()
        if self._on_ray:
            self._watch.start()

    def _start(self, own: bool) -> None:
        begun = Begun(self._engine_name, self._instance, self._has_gone, self._supervision, own)
        engine = self.engine = begun.engine
        self.logs = begun.logs if self.logs is None else self.logs
        if begun.joined:
            if engine.has_ended(COORDINATOR):  # it was told to end while this process was not there
                self._guardian.over(COORDINATOR)
                return
            # The coordinator is told of the ends of those that the former process has started.
            engine.adopt()
        self._tries = _TRIES if begun.joined else 1
        self._keep(engine, COORDINATOR, self._coordinator, self._coordinator_is_there, self._tries)
        if begun.joined:
            engine.bury()

    def _start_page(self) -> None:
        """Start the page; its process keeps metrics as well where Ray does."""
        if self.engine is not None and not self.over and (self._page_port is not None or self._on_ray):
            self._keep(self.engine, PAGE, self._page, self._page_is_there, self._tries)

    def _keep(
        self,
        engine: Engine,
        name: str,
        make: Callable[[], Callable[[], Role]],
        there: Callable[[], object],
        tries: int = 1,
    ) -> None:
        """Start a role, unless it runs, and keep it running."""
        found = engine.adopt([name]).get(name)
        incarnation = engine.next(name) if found is None else found.incarnation
        try:
            if found is None:
                engine.start(name, make(), incarnation)
            engine.ready(name, _START_S)
        except RunError:
            if tries <= 1:
                raise
            # The former process was about to start it as well: one of the two was in the way of the other.
            self._keep(engine, name, make, there, tries - 1)
            return
        there()
        self._guardian.keep(engine, name, make, there, incarnation)

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
        self._ended = ended
        if self.over:
            return
        self._begin_streams(True)
        self._have_hosts(ended)
        self._wait_for_accounts(ended)
        self._wait_for_hosts(ended)
        self._begin_streams(False)
        self._have_spare()

    def _begin_anew(self) -> None:
        """The same, of a system that has markets already: these do not wait for hosts that have none."""
        self._begin_streams(True)
        self._have_hosts(self._ended)
        self._wait_for_accounts(self._ended)
        self._begin_streams(False)
        self._start_page()
        self._have_spare()

    def _have_spare(self) -> None:
        """Have a process ready for a coordinator or a page that ends."""
        if self.engine is not None:
            self.engine.spare(1, self._coordinator())

    def _begin_streams(self, of_orders: bool) -> None:
        """Start streams that do not run: the coordinator starts those again that end."""
        assert self.engine is not None
        wanted = {plan.name: plan for plan in self._setup.streams if plan.of_orders == of_orders}
        for name in wanted.keys() - self.engine.adopt(wanted).keys():
            incarnation = self.engine.next(name)
            if incarnation == 0:
                self.engine.start(name, stream_of(wanted[name], self._setup))

    def _have_hosts(self, ended: Callable[[], bool]) -> None:
        """Have the coordinator start hosts."""
        for _ in self._states(ended):
            with contextlib.suppress(RunError):  # it has ended at this moment, and is started again
                self.ask("PREPARE", {})
                return

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
        """Wait until hosts are ready before markets come, all of which open at once."""
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

    # -- the head ------------------------------------------------------------------------------------------------

    def _look_after_head(self) -> None:
        """In a thread: where the head of Ray has ended, and all actors with it, the system is started anew."""
        while not self._closing.wait(_HEAD_S):
            engine = self.engine
            if engine is not None and engine.lost:
                logger.error("Ray has ended, and all actors with it: the system is started anew, from its journal")
                self._guardian.close(wait=False)
                self._guardian = Guardian()
                engine.abandon()
                self._renew()

    def _renew(self) -> None:
        wait, began = _AGAIN_S, time.monotonic()  # its end was seen
        while not self._closing.is_set():
            try:
                self._start(own=True)
                logger.info("The coordinator runs again, after %.1f s", time.monotonic() - began)
                self._begin_anew()
                logger.info("All actors run again, or are about to, after %.1f s", time.monotonic() - began)
                return
            except Exception as error:
                logger.error("The system cannot be started anew: %s; it is tried again in %g s", error, wait)
                if self.engine is not None:
                    self.engine.close(0.0)
            self._closing.wait(wait)
            wait = min(2 * wait, _AGAIN_MOST_S)

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
        """End all actors, and remove what they have made.

        Args:
            seconds: that they may take; 0: they are killed, which is nothing to be told of.
        """
        self._closing.set()
        self._guardian.close()
        if self._watch.is_alive() and self._watch is not threading.current_thread():
            self._watch.join(_START_S)
        engine, self.engine = self.engine, None
        if engine is not None:
            killed = engine.close(seconds)
            for name in killed if seconds else ():
                logger.warning("%s did not end, and was killed", name)


def _token_and_port(page: str) -> tuple[str, int]:
    """What opens the page, and where it is: where it was, if there was one."""
    parts = urllib.parse.urlsplit(page)
    token = urllib.parse.parse_qs(parts.query).get("token", [""])[0]
    return (token, parts.port or 0) if token else (secrets.token_urlsafe(24), 0)
