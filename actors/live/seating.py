"""Seating: which host hosts which market.

A crew with the scope "market" gives each market a host with nothing to do, or a new one, or else the one with least to
do; with "event" all markets of an event sit at one host, and with "run" all markets at all. Hosts that are stalled get
no new markets while others are there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from .crews import Crew

#: What a place is for: the crew's name, and the market, the event or nothing, by the crew's scope.
Group = tuple[str, str]
#: A crew's name and a market's id.
Place = tuple[str, str]


@dataclasses.dataclass(slots=True)
class Seats:
    """A host, and who sits there.

    Attributes:
        places: the crews and markets.
        stalled: it does not get on: a callback runs for too long, or nothing is heard of it.
        number: the order in which it came.
    """

    name: str
    number: int
    places: set[Place] = dataclasses.field(default_factory=set)
    stalled: bool = False


class Seating:
    """Finds places for markets.

    Args:
        max_hosts: hosts at once, 1 or more.
        start: starts the host of a name.
    """

    def __init__(self, max_hosts: int, start: Callable[[str], object]) -> None:
        self._max_hosts = max(1, max_hosts)
        self._start = start
        self._count = 0
        self._hosts: dict[str, Seats] = {}
        self._places: dict[Place, str] = {}
        self._groups: dict[Group, str] = {}
        self._events: dict[Place, str] = {}

    @property
    def hosts(self) -> dict[str, Seats]:
        """All hosts, by name."""
        return self._hosts

    def host_of(self, crew: str, market_id: str) -> str | None:
        """Where a crew has a market."""
        return self._places.get((crew, market_id))

    def places_of(self, market_id: str) -> Iterator[tuple[str, str]]:
        """The crews that have a market, each with its host."""
        return ((crew, host) for (crew, market), host in list(self._places.items()) if market == market_id)

    def __iter__(self) -> Iterator[tuple[str, str, str]]:
        """Crew, market and host of all places."""
        return ((crew, market, host) for (crew, market), host in list(self._places.items()))

    def __len__(self) -> int:
        return len(self._places)

    def place(self, crew: Crew, market_id: str, event_id: str | None) -> str:
        """The host for a market of a crew; a host is started where that is needed."""
        place = (crew.name, market_id)
        known = self._places.get(place)
        if known is not None:
            return known
        group = self._group(crew, market_id, event_id)
        host = self._groups.get(group) if crew.scope != "market" else None
        self._seat(crew, market_id, group, host or self._free_host())
        return self._places[place]

    def _seat(self, crew: Crew, market_id: str, group: Group, host: str) -> None:
        place = (crew.name, market_id)
        if crew.scope != "market":
            self._groups[group] = host
        self._places[place] = host
        if crew.scope == "event":
            self._events[place] = group[1]
        self._hosts[host].places.add(place)

    def recall(self, crew: Crew, market_id: str, event_id: str | None, host: str) -> None:
        """A market of a crew has a host from before; that is not started here."""
        self.recall_host(host)
        self._seat(crew, market_id, self._group(crew, market_id, event_id), host)

    def recall_host(self, name: str) -> None:
        """There is a host that was not started here."""
        if name not in self._hosts:
            number = int(name.lstrip("h")) if name.lstrip("h").isdecimal() else self._count + 1
            self._count = max(self._count, number)
            self._hosts[name] = Seats(name, number)

    @staticmethod
    def _group(crew: Crew, market_id: str, event_id: str | None) -> Group:
        return crew.name, {"market": market_id, "event": event_id or market_id, "run": ""}[crew.scope]

    def _free_host(self) -> str:
        able = [host for host in self._hosts.values() if not host.stalled]
        idle = next((host for host in able if not host.places and not self._awaits(host.name)), None)
        if idle is not None:
            return idle.name
        if len(self._hosts) < self._max_hosts:
            return self.add_host()
        return min(able or self._hosts.values(), key=lambda host: (len(host.places), host.number)).name

    def _awaits(self, host: str) -> bool:
        """Whether a host is kept for further markets of an event, or of the run."""
        return host in self._groups.values()

    @property
    def next_hosts(self) -> list[str]:
        """What the hosts that may still be started will be named, in order."""
        return [f"h{self._count + number}" for number in range(1, self._max_hosts - len(self._hosts) + 1)]

    def add_host(self) -> str:
        """Start a host, and return its name."""
        name = f"h{self._count + 1}"
        self._count += 1
        self._hosts[name] = Seats(name, self._count)
        self._start(name)
        return name

    def free(self, crew: str, market_id: str) -> str | None:
        """A market is over for a crew: where it was."""
        place = (crew, market_id)
        host = self._places.pop(place, None)
        event = self._events.pop(place, None)
        if host is None:
            return None
        seats = self._hosts.get(host)
        if seats is not None:
            seats.places.discard(place)
        if event is not None and not any(known == event and name == crew for (name, _), known in self._events.items()):
            self._groups.pop((crew, event), None)
        return host

    def lose(self, host: str) -> list[Place]:
        """A host is gone: who sat there. What comes next of an event or the run finds another."""
        self._hosts.pop(host, None)
        lost = [place for place, name in self._places.items() if name == host]
        for place in lost:
            del self._places[place]
            self._events.pop(place, None)
        for group in [group for group, name in self._groups.items() if name == host]:
            del self._groups[group]
        return lost
