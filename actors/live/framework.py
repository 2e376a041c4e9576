"""The system as code of its owner's sees it that belongs to no market: background workers and streams of their own.

That code runs in threads of its own. Everything here may be called from any of them: what changes anything is done by
the coordinator's thread, a moment later.
"""

from __future__ import annotations

import collections
import logging
from collections.abc import Callable, Mapping
from typing import Any

from ...config import Config
from ...strategies.events import CustomEvent, TerminationEvent
from ...strategies.strategy import Strategy
from ..clients import Clients
from ..letters import Letter, Outcome
from ..streams import HandlerQueue

logger = logging.getLogger("headrace")

#: The number of no call: the coordinator is to do what waits to be done.
SOON = 0


class Soon:
    """Has the coordinator's thread call functions, in order.

    Args:
        put: puts a letter into the coordinator's inbox.
    """

    def __init__(self, put: Callable[[Letter], object]) -> None:
        self._put = put
        self._waiting: collections.deque[Callable[[], object]] = collections.deque()

    def __call__(self, function: Callable[[], object]) -> None:
        """Call a function a moment later. From any thread."""
        self._waiting.append(function)
        self._put(Outcome(SOON))

    def run(self) -> None:
        """In the coordinator's thread: do what waits."""
        while self._waiting:
            function = self._waiting.popleft()
            try:
                function()
            except Exception:
                logger.exception("The coordinator failed at what another thread has asked for")


class LiveFramework:
    """What workers and streams of the user's own get.

    Args:
        markets: those that are open now, by id: what is known of each.
        take: takes custom events, in the coordinator's thread.
        travels: says why something cannot be sent to other processes; None where it can.

    Attributes:
        clients: the accounts, with what the coordinator counts; to be read only.
        strategies: the prototypes: markets have copies.
        handler_queue: takes custom events.
        order_stream_connected: every account's order stream is there.
    """

    def __init__(
        self,
        config: Config,
        clients: Clients,
        strategies: list[Strategy],
        markets: Callable[[], Mapping[str, Any]],
        soon: Soon,
        log: Callable[[Any], object],
        take: Callable[[CustomEvent | TerminationEvent], object],
        travels: Callable[[Any], str | None] = lambda value: None,
    ) -> None:
        self.config, self.clients, self.strategies = config, clients, strategies
        self.order_stream_connected = True
        self._markets, self._soon, self._log = markets, soon, log
        self.handler_queue = HandlerQueue(lambda event: soon(lambda: take(event)), travels)

    @property
    def markets(self) -> dict[str, Any]:
        """The open markets as they are now, by id: `definition`, `event_id`, `seen_at`."""
        return dict(self._markets())

    def log_control(self, event: Any) -> None:
        """Pass an event to the logging controls."""
        self._soon(lambda: self._log(event))

    def stop(self) -> None:
        """Have the system stop, as it does when it is asked to."""
        self.handler_queue.put(TerminationEvent(None))
