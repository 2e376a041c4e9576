"""Events of the user's own: the coordinator sees each once, then every host that hosts one of its markets."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from ...strategies.events import CustomEvent, TerminationEvent
from ..letters import UserEvent
from ..mailboxes.mail import Mail
from .betting import Betting
from .seating import Seating


class EventDesk:
    """Takes events, in the coordinator's thread.

    Args:
        dumps: makes bytes of what goes to other processes; None: there are none.
        stop: stops the system, and is told why.
    """

    def __init__(
        self,
        betting: Betting,
        seating: Seating,
        mail: Mail,
        dumps: Callable[[Any], bytes] | None,
        stop: Callable[[str], object],
    ) -> None:
        self._betting, self._seating, self._mail = betting, seating, mail
        self._dumps, self._stop = dumps, stop

    def take(self, event: CustomEvent | TerminationEvent) -> None:
        """Bring an event to the coordinator, and to strategies."""
        if isinstance(event, TerminationEvent):
            self._stop("a termination event asks for it")
            return
        coordinator = self._betting.coordinator
        try:
            coordinator.process_custom_event(event)
        except Exception as error:
            self._betting.failed(error, None, None)
        coordinator.log(event)
        data = b"" if self._dumps is None else self._dumps(event)
        for host in self._hosts_of(event):
            self._mail.send(host, UserEvent(data) if data else UserEvent(here=copy.deepcopy(event)))

    def why_not(self, value: Any) -> str | None:
        """Why something cannot be sent to hosts; None where it can."""
        if self._dumps is None:
            return None
        try:
            self._dumps(value)
        except Exception as error:
            return f"{type(value).__name__}: {error}"
        return None

    def _hosts_of(self, event: CustomEvent) -> list[str]:
        if event.market_ids is None:
            return list(self._seating.hosts)
        return list(dict.fromkeys(host for _, market_id, host in self._seating if market_id in event.market_ids))
