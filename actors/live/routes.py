"""Routes: which streams send which markets to which hosts."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable

import msgspec

from ...strategies.changes import MarketDefinition
from ...strategies.hosting import window_of
from ...strategies.strategy import Strategy
from ...values import UNREADABLE
from ..letters import FreeMarket, MarketSeen, Route, Unroute
from ..mailboxes.mail import Mail
from ..market import MarketActor
from ..market_filter import admits
from .crews import Crew, StreamPlan, sports_operations
from .directory import Directory
from .seating import Seating
from .setup import LiveSetup

logger = logging.getLogger("headrace")

_MARKETS, _ORDERS = "marketSubscription", "orderSubscription"


@dataclasses.dataclass(slots=True)
class KnownMarket:
    """A market that a stream has shown.

    Attributes:
        definition: as a stream told it last: when it met the market, or met it again.
        streams: those that have it, books and sports data.
        seen_at: milliseconds since the epoch.
        data: the definition as it came, JSON.
    """

    market_id: str
    definition: MarketDefinition
    seen_at: int
    streams: set[str] = dataclasses.field(default_factory=set)
    data: bytes = b""

    @property
    def event_id(self) -> str | None:
        return self.definition.event_id


class Routes:
    """Seats markets as they are seen, and has their streams send them there.

    Args:
        seated: told of each place, before anything is routed to it: host, crew, market, its event, and whether the
            place is new.
        held: whether a place waits for what its former host knew: it is routed once that is there.

    Attributes:
        markets: those that streams show now, by id.
        ever: how many there were.
    """

    def __init__(
        self,
        setup: LiveSetup,
        mail: Mail,
        directory: Directory,
        seating: Seating,
        seated: Callable[[str, str, str, str | None, bool], object],
        held: Callable[[str, str], bool] = lambda crew, market_id: False,
    ) -> None:
        self._setup, self._mail, self._directory, self._seating = setup, mail, directory, seating
        self._seated, self._held = seated, held
        self._plans = {plan.name: plan for plan in setup.streams}
        self._sports_seen: dict[str, set[str]] = {}
        # Crews whose host died, each with its markets: nobody there knows of their orders.
        self._given_up: set[tuple[str, str]] = set()
        self.markets: dict[str, KnownMarket] = {}
        self.ever = 0

    def see(self, letter: MarketSeen) -> None:
        """A stream has shown a market, for the first time or again."""
        plan = self._plans.get(letter.stream)
        if plan is None:
            logger.warning("Stream %s shows market %s, and is not planned", letter.stream, letter.market_id)
            return
        if plan.operation != _MARKETS:
            self._sports_seen.setdefault(letter.market_id, set()).add(plan.name)
            for crew, host in self._seating.places_of(letter.market_id):
                self._route_sports(plan, crew, letter.market_id, host)
            return
        try:
            definition = msgspec.json.decode(letter.definition, type=MarketDefinition)
        except UNREADABLE as error:
            logger.error("Market %s: its definition cannot be read: %s", letter.market_id, error)
            return
        known = self.markets.get(letter.market_id)
        if known is None:
            known = self.markets[letter.market_id] = KnownMarket(letter.market_id, definition, letter.at)
            self.ever += 1
        known.definition, known.data = definition, letter.definition
        known.streams.add(plan.name)
        for each in self._setup.crews:
            if (each.name, letter.market_id) in self._given_up or each.stream != plan.name:
                continue
            if self._wanted(each, letter.market_id, definition):
                self.route(each, letter.market_id, definition.event_id)

    def recall(self, market_id: str, definition: bytes, at_ms: int) -> None:
        """A market was known to a former coordinator; no stream shows it so far."""
        try:
            known = msgspec.json.decode(definition, type=MarketDefinition)
        except UNREADABLE:
            return
        self.markets[market_id] = KnownMarket(market_id, known, at_ms, data=definition)
        self.ever += 1

    def definition_of(self, market_id: str) -> MarketDefinition | None:
        """A market's definition, as a stream told it last; None: the market is not known."""
        known = self.markets.get(market_id)
        return None if known is None else known.definition

    def known(self, market_id: str) -> tuple[bytes, str | None]:
        """A market's definition as it came, and its event; empty: the market is not known."""
        known = self.markets.get(market_id)
        return (b"", None) if known is None else (known.data, known.event_id)

    def gone(self, stream: str, market_id: str) -> bool:
        """A stream tells nothing more of a market; True if none does."""
        known = self.markets.get(market_id)
        if known is None:
            return False
        known.streams.discard(stream)
        return not known.streams

    def route(self, crew: Crew, market_id: str, event_id: str | None) -> None:
        """Have a crew's market sent to its host, as soon as that can go on with it."""
        new = self._seating.host_of(crew.name, market_id) is None
        host = self._seating.place(crew, market_id, event_id)
        self._seated(host, crew.name, market_id, event_id, new)
        if self._held(crew.name, market_id):
            return
        self._send(crew.stream, crew.name, market_id, host)
        for plan in self._setup.streams:
            if plan.operation == _ORDERS:
                self._send(plan.name, crew.name, market_id, host)
            elif plan.operation != _MARKETS and plan.name in self._sports_seen.get(market_id, ()):
                self._route_sports(plan, crew.name, market_id, host)

    def _send(self, stream: str, crew: str, market_id: str, host: str) -> None:
        self._directory.introduce(stream, host)
        self._directory.introduce(host, stream)
        self._mail.send(stream, Route(crew, market_id, host))

    def _route_sports(self, plan: StreamPlan, crew: str, market_id: str, host: str) -> None:
        strategies = self._setup.of_crew(self._setup.crew(crew))
        if any(plan.operation in sports_operations(strategy.sports_data_filter) for strategy in strategies):
            self._send(plan.name, crew, market_id, host)

    def again(self, stream: str) -> list[str]:
        """A stream has started anew: what it is to send is told to it again.

        Returns:
            Markets that no stream shows now: it is to show them again, and is answered then.
        """
        plan = self._plans.get(stream)
        if plan is None:
            return []
        if plan.operation == _MARKETS:
            return [market_id for market_id in self.markets if self.gone(stream, market_id)]
        for crew, market_id, host in self._seating:
            if plan.operation == _ORDERS:
                self._send(stream, crew, market_id, host)
            elif stream in self._sports_seen.get(market_id, ()):
                self._route_sports(plan, crew, market_id, host)
        return []

    def free(self, market_id: str) -> None:
        """A market is over, and its results are known, or it is given up: nobody is sent any more of it."""
        for crew, host in list(self._seating.places_of(market_id)):
            self.free_place(crew, market_id)
            self._mail.send(host, FreeMarket(crew, market_id))
        self.markets.pop(market_id, None)
        self._sports_seen.pop(market_id, None)
        self._given_up = {each for each in self._given_up if each[1] != market_id}

    def is_given_up(self, crew: str, market_id: str) -> bool:
        """Whether a crew does not trade a market any more."""
        return (crew, market_id) in self._given_up

    def give_up(self, crew: str, market_id: str) -> None:
        """The host of a crew's market has died: the crew does not trade it any more, whoever shows it again."""
        self._given_up.add((crew, market_id))
        self.free_place(crew, market_id)

    def free_place(self, crew: str, market_id: str) -> None:
        """A crew has a market no more."""
        self._seating.free(crew, market_id)
        streams = [self._setup.crew(crew).stream]
        streams += [plan.name for plan in self._setup.streams if plan.operation == _ORDERS]
        streams += self._sports_seen.get(market_id, ())
        for stream in streams:
            self._mail.send(stream, Unroute(crew, market_id))

    def _wanted(self, crew: Crew, market_id: str, definition: MarketDefinition) -> bool:
        """Whether any strategy of a crew lets a market pass. An actor with a way of its own is asked itself, later."""
        if self._setup.market_actor.admits is not MarketActor.admits:
            return True
        return any(wants(strategy, market_id, definition) for strategy in self._setup.of_crew(crew))


def wants(strategy: Strategy, market_id: str, definition: MarketDefinition) -> bool:
    """Whether a strategy's filter lets a market pass."""
    if not strategy.market_filter:
        return True
    sport = window_of(strategy).admits_sport(definition.event_type_id)
    return sport and admits(strategy.market_filter, market_id, definition)
