"""The page's actor: asks the coordinator how everything stands while somebody looks, and passes the stop switch on.

The process of the coordinator renders nothing: it answers with one JSON object, and only if it is asked.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import msgspec

from ..letters import Ask, Hello, Introduce, Letter, Told
from ..mailboxes.mail import Mail

PAGE = "page"
_COORDINATOR = "c"
#: Milliseconds between two questions while somebody looks, and after which an answer is not waited for any longer.
_EVERY_MS, _PATIENCE_MS = 500, 5_000
#: Milliseconds between two questions for metrics.
_MEASURED_MS = 5_000


class PageRole:
    """Serves the page, and hands states to whoever measures.

    Args:
        port: where the page listens; 0: any port that is free; None: there is no page.
        token: what one has to know to see it.
        metrics: makes, in the actor's own process, what takes each state for metrics; None: they are not kept.
    """

    name = PAGE

    def __init__(
        self, port: int | None, token: str, metrics: Callable[[], Callable[[dict[str, Any]], object]] | None = None
    ) -> None:
        self._port = port
        self._token = token
        self._make_metrics = metrics
        self._metrics: Callable[[dict[str, Any]], object] | None = None
        self._page: Any = None
        self._asked_ms: int | None = None  # of a question that is not answered yet
        self._next_ms: float = math.inf
        self._measured_ms = 0

    @property
    def next_ms(self) -> float:
        return self._next_ms

    def start(self, mail: Mail) -> None:
        """Begin to serve.

        Raises:
            InputError: the port is in use.
        """
        self._mail = mail
        if self._port is not None:
            from .page_server import LivePage  # aiohttp is loaded by this actor alone

            self._page = LivePage(self._port, self._token, self._looked, self._stop_asked)
            self._page.start()
        if self._make_metrics is not None:
            self._metrics = self._make_metrics()
            self._next_ms = 0.0
        self._greet()

    def _greet(self) -> None:
        mail, url = self._mail, "" if self._page is None else self._page.url
        mail.send(_COORDINATOR, Hello(self.name, "PAGE", mail.address, mail.incarnation, os.getpid(), url))

    # -- in the page's thread ------------------------------------------------------------------------------------

    def _looked(self) -> None:
        self._mail.put(Ask("STATE", self.name, ""))

    def _stop_asked(self) -> None:
        self._mail.put(Ask("STOP", self.name, "", msgspec.json.encode({"why": "the stop switch of the page"})))

    # -- in the actor's thread -----------------------------------------------------------------------------------

    def receive(self, sender: str, letter: Letter, at_ms: int) -> None:
        if isinstance(letter, Told):
            if letter.what == "STATE":
                self._tell(letter.values, at_ms)
        elif isinstance(letter, Ask):
            if letter.what == "STATE":
                self._ask(at_ms)
            else:
                self._mail.send(_COORDINATOR, Ask(letter.what, self.name, self._mail.address, letter.values))
        elif isinstance(letter, Introduce) and letter.address:
            self._mail.know(letter.name, letter.address)
            if letter.name == _COORDINATOR:  # it has started anew
                self._asked_ms = None
                self._greet()

    def _ask(self, at_ms: int) -> None:
        """Ask for the state, unless that has been asked and is not answered yet."""
        if self._asked_ms is None or at_ms - self._asked_ms >= _PATIENCE_MS:
            self._asked_ms = at_ms
            self._mail.send(_COORDINATOR, Ask("STATE", self.name, self._mail.address))
        self._next_ms = at_ms + _EVERY_MS

    def _tell(self, state: bytes, at_ms: int) -> None:
        self._asked_ms = None
        if self._page is not None:
            self._page.tell(state)
        if self._metrics is not None and at_ms - self._measured_ms >= _MEASURED_MS - _EVERY_MS:
            self._measured_ms = at_ms
            self._metrics(msgspec.json.decode(state))

    def caught_up(self, at_ms: int) -> None:
        return

    def wake(self, at_ms: int) -> None:
        if self._page is not None and self._page.watched:
            self._ask(at_ms)
        elif self._metrics is not None:
            self._ask(at_ms)
            self._next_ms = at_ms + _MEASURED_MS
        else:
            self._next_ms = math.inf

    def lost(self, sender: str) -> None:
        """A state may have been lost: the next one is as good."""
        self._asked_ms = None

    def stop(self) -> None:
        if self._page is not None:
            self._page.close()
