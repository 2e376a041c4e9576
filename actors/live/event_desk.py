"""Events of the user's own: the coordinator sees each once, then the hosts of the markets that it is for.

One that has no time is for the markets that are open. Before the first market has a host it is for all markets, as in a
simulation, where streams run before the replay; and one that names markets is for each of those, whenever it opens.
One that has a time is for the markets that are open then.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import msgspec

from ...strategies.clock import Clock
from ...strategies.events import CustomEvent, TerminationEvent
from ..custom_events import MOST_AWAITING
from ..letters import UserEvent
from ..mailboxes.mail import Mail
from .betting import Betting
from .seating import Seating


class EventDesk:
    """Takes events, in the coordinator's thread.

    Args:
        dumps: makes bytes of what goes to other processes; None: there are none.
        stop: stops the system, and is told why.
        note: takes what people may want to know: a kind, and words.

    Attributes:
        taken: how many events have come.
    """

    def __init__(
        self,
        betting: Betting,
        seating: Seating,
        mail: Mail,
        dumps: Callable[[Any], bytes] | None,
        stop: Callable[[str], object],
        note: Callable[[str, str], object],
        clock: Clock,
    ) -> None:
        self._betting, self._seating, self._mail = betting, seating, mail
        self._dumps, self._stop, self._note, self._clock = dumps, stop, note, clock
        # Those that concern hosts, or markets, that are not there yet; with what they were told of.
        self._kept: list[tuple[CustomEvent, UserEvent]] = []
        self._full = False
        self._greeted: set[str] = set()
        self._begun = False
        self.taken = 0

    def take(self, event: CustomEvent | TerminationEvent) -> None:
        """Bring an event to the coordinator, and to strategies."""
        if isinstance(event, TerminationEvent):
            self._stop("a termination event asks for it")
            return
        self.taken += 1
        coordinator = self._betting.coordinator
        try:
            coordinator.process_custom_event(event)
        except Exception as error:
            self._betting.failed(error, None, None)
        coordinator.log(event)
        data = b"" if self._dumps is None else self._dumps(event)
        awaited = self._awaited(event)
        letter = UserEvent(data, awaits=awaited != [], market_ids=None if awaited is None else tuple(awaited))
        for host in self._seating.hosts:
            self._greet(host)
        for host in self._hosts_of(event):
            self._send(host, event, letter)
        if letter.awaits or event.publish_time is not None:
            self._keep(event, letter)

    def seated(self, host: str) -> None:
        """A market has a host: what came before, and may concern it, is told there first."""
        self._begun = True
        self._greet(host)

    def _greet(self, host: str) -> None:
        if host in self._greeted:
            return
        self._greeted.add(host)
        for event, letter in self._kept:
            if letter.awaits or (event.publish_time or 0) > self._clock.now_ms:
                self._send(host, event, letter)

    def _send(self, host: str, event: CustomEvent, letter: UserEvent) -> None:
        if not letter.data:
            letter = msgspec.structs.replace(letter, here=copy.deepcopy(event))
        self._mail.send(host, letter)

    def _keep(self, event: CustomEvent, letter: UserEvent) -> None:
        now = self._clock.now_ms
        self._kept = [each for each in self._kept if each[1].awaits or (each[0].publish_time or 0) > now]
        self._kept.append((event, letter))
        if len(self._kept) > MOST_AWAITING:
            del self._kept[0]
            if not self._full:
                self._full = True
                told = f"more than {MOST_AWAITING} custom events wait for markets; the oldest are dropped"
                self._note("CUSTOM", told)

    def _awaited(self, event: CustomEvent) -> list[str] | None:
        """The markets that are not open yet and that an event is for, once they are; None: all."""
        if event.publish_time is not None:
            return []
        is_open = self._betting.coordinator.is_open
        if event.market_ids is not None:
            return sorted(each for each in event.market_ids if not is_open(each))
        if not self._begun:
            return None
        return sorted({market_id for _, market_id, _ in self._seating if not is_open(market_id)})

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
        seated = {market_id for _, market_id, _ in self._seating}
        if event.market_ids is None or not event.market_ids <= seated:
            return list(self._seating.hosts)
        return list(dict.fromkeys(host for _, market_id, host in self._seating if market_id in event.market_ids))
