"""A crew at a host: its market actor, and what a letter means to it."""

from __future__ import annotations

import copy
import functools
import itertools
import logging
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from ...strategies.catalogues import catalogue_of
from ...strategies.change_lines import decode_line, objects_of
from ...strategies.changes import MarketChange, MarketDefinition, Oddity, OddMessage
from ...strategies.clock import LiveClock
from ...strategies.errors import MessageError
from ...strategies.events import CustomEvent
from ...strategies.host import Host, unique_id
from ...strategies.messages import (
    ClearedOrder,
    Message,
    OrderFact,
    Reply,
    Request,
)
from ...strategies.sports_updates import LISTS, SportsUpdates
from ...values import UNREADABLE, legible
from ..coordinator import expired
from ..failures import Failures
from ..hosted_market import HostedMarket
from ..letters import MarketUpdate, Restore, UserEvent
from ..market import MarketActor
from ..side_data import Receiver
from .crews import Crew, StreamPlan
from .host_coordinator import Carry, HostCoordinator
from .keeping import Keeping
from .paper import HostExchange
from .restoring import Restoring
from .rows_file import TableRows
from .setup import LiveSetup
from .shadow import Names, clients_of

logger = logging.getLogger("headrace")

#: What a row of failures names where a recording's file would stand.
UNIT = "live"
#: The operation of streams that bring books.
BOOKS = "marketSubscription"

_change = msgspec.json.Decoder(MarketChange)


class CrewRoom:
    """One market actor of a host.

    Args:
        send: takes each of its messages to the coordinator, with what is kept of it.
        host_name: of the host.

    Attributes:
        crew: whose it is.
        actor: hosts the crew's strategies.
        clock: the actor's; it stands where the turn under way has set it.
        failures: what has failed here.
    """

    def __init__(self, setup: LiveSetup, crew: Crew, send: Carry, host_name: str) -> None:
        self.crew = crew
        self.failures = Failures(UNIT)
        self._new_failures, self._rows_so_far = setup.rows_of_failures(self.failures), setup.rows_so_far
        self.clock = LiveClock()
        self._send = send
        self._rows_of = setup.rows_of
        self._sports: dict[tuple[str, str], SportsUpdates] = {}
        self._catalogues: dict[str, bytes] = {}
        clients = clients_of(setup, crew)
        names = Names(setup.shadows) if crew.shadow else None
        self._coordinator = HostCoordinator(clients, send, setup.listens, self._kept, names)
        paper = any(client.simulated for client in clients)
        self._exchange = HostExchange(setup.make_exchange() if paper else None)
        host = Host(self.clock, setup.counting, unique_id)
        # Numbers will do for requests, but not those of a former host of the same name.
        requests, count = unique_id(), itertools.count(1)
        host.next_request_id = lambda: f"{requests}.{next(count)}"
        self.actor: MarketActor = setup.market_actor(
            host,
            setup.of_crew(crew),
            self._coordinator,
            self._exchange,
            # As in a process of its own: what middleware keeps is the host's.
            copy.deepcopy(setup.middleware),
            [each for each in setup.trading_controls if each[0].scope == "market"],
            [each for each in setup.client_controls if each[1].scope == "market"],
            self.failures,
            self,
        )
        self._keeping = Keeping(self.actor)
        self._restoring = Restoring(self.actor, self._coordinator, self._keeping, f"{host_name}.{crew.name}")

    def _kept(self, request: Request) -> bytes:
        return self._keeping.with_request(request)

    def keep_up(self) -> None:
        """A turn with requests has ended: hand over what strategies know by now."""
        for fact, kept in self._keeping.since():
            self._send(fact, kept)

    def restore(self, letter: Restore, at: int) -> int:
        """Go on with a market whose former host has ended; returns how many orders it has.

        Raises:
            Exception: it cannot go on here.
        """
        self.actor.tick(at)
        return self._restoring.restore(letter)

    @property
    def places(self) -> list[tuple[str, str, str | None]]:
        """The markets here: crew, market and event."""
        return [(self.crew.name, market.market_id, market.event_id) for market in self.actor.hosted]

    def tell_again(self) -> None:
        """Tell a coordinator that has started anew of the markets, their results, and what is not answered."""
        self._coordinator.tell_again(
            [market.fact("OPENED") for market in self.actor.hosted if market.shown or market.restored]
        )
        for fact, kept in self._keeping.tell_again():
            self._send(fact, kept)

    # -- streams -------------------------------------------------------------------------------------------------

    def update(self, update: MarketUpdate, plan: StreamPlan | None, at: int, more: bool) -> bool:
        """Take a change of a market, as its stream brings it.

        Args:
            plan: of the stream.
            at: the time of this turn.
            more: further changes of the market are waiting.

        Returns:
            Whether strategies were called.

        Raises:
            MessageError: it cannot be read: the market needs an image.
        """
        if plan is not None and plan.operation != BOOKS:
            return (self._raw_object if plan.raw else self._sports_data)(update, plan, at)
        change = self._decoded(update)
        if update.image:
            change.img = True
        actor = self.actor
        if plan is not None and plan.raw:
            more = False
            if actor.books.hosts(at, change):
                actor.tick(at)
                hosted = actor.market(update.market_id)
                assert hosted is not None
                actor.process_raw_data(hosted, update.clk or "", update.pt, _datum(update))
        market = actor.market(update.market_id)
        # A market that is new is shown at once.
        more = more and market is not None and market.shown
        if market is None and self._restoring.waiting:
            self._restoring.resume()  # strategies that have it as well go on from where they were
        if market is None or not market.restored:
            actor.receive(change, at, update.pt, more)
        else:
            self._go_on(market, lambda: actor.receive(change, at, update.pt))
        return not more

    def _go_on(self, market: HostedMarket, show: Callable[[], object]) -> None:
        """A market is shown for the first time since a restart."""
        if self._restoring.waiting:
            self._restoring.resume()
        show()
        for result in self._restoring.results(market.market_id):
            self.actor.receive(result, self.clock.now_ms)
        market.restored = False

    def _decoded(self, update: MarketUpdate) -> MarketChange:
        """The change; one that is not quite as the exchange writes it is read patiently, and that is a failure too.

        Raises:
            MessageError: nothing of it can be used.
        """
        try:
            return _change.decode(update.change)
        except UNREADABLE:
            pass
        market_id = update.market_id
        try:
            ((change,), oddities) = _read_patiently(update)
        except ValueError as error:
            raise MessageError(f"market {market_id}: a change {error}") from error
        for oddity in oddities:
            told = f"market {market_id}: {oddity.message}"
            if oddity.handed_on:
                logger.warning("%s", told)
            else:
                self.actor.failed(MessageError(told), market_id)
        return change

    def wants(self, market_id: str) -> bool:
        """Whether a market is hosted, or may be once its definition is known."""
        return self.actor.market(market_id) is not None or self.actor.wants_any(market_id)

    def _raw_object(self, update: MarketUpdate, plan: StreamPlan, at: int) -> bool:
        """A change of orders or of sports data, as it came: there is no book, and no definition."""
        actor, market_id = self.actor, update.market_id
        market = actor.market(market_id)
        if market is None:
            actor.receive(MarketChange(market_id, MarketDefinition()), at, update.pt)
            market = actor.market(market_id)
        if market is not None:
            actor.tick(at)
            actor.process_raw_data(market, update.clk or "", update.pt, _datum(update))
        return True

    def _sports_data(self, update: MarketUpdate, plan: StreamPlan, at: int) -> bool:
        """Sports data of a market that is hosted here."""
        actor, market = self.actor, self.actor.market(update.market_id)
        if market is None or market.closed:
            return False
        key = (plan.operation, update.market_id)
        updates = self._sports.setdefault(key, SportsUpdates(update.market_id))
        actor.tick(at)
        try:
            found = updates.take(LISTS[plan.operation], _datum(update), update.pt)
        except Exception as error:  # what the caches raise on odd values has no common class
            told = f"market {market.market_id}: not sports data: {type(error).__name__}: {legible(error)}"
            actor.failed(MessageError(told), market.market_id)
            return False
        if found is not None:
            actor.process_sports_data(market, found)
        return True

    # -- orders --------------------------------------------------------------------------------------------------

    def take(self, message: Message, at: int) -> None:
        """Take a message of the core: an answer, or a request that is to be matched here."""
        if isinstance(message, Request):
            self._take_paper(message, at)
        elif isinstance(message, Reply | OrderFact | ClearedOrder):
            market = self.actor.market(message.market_id)
            if self._coordinator.is_echo(message) or (market is not None and self._restoring.holds(market, message)):
                return
            if isinstance(message, Reply):
                self._coordinator.take_reply(message)
            self.actor.receive(message, at)
        else:
            logger.warning("A %s is not for a market actor", type(message).__name__)

    def _take_paper(self, request: Request, at: int) -> None:
        """A request of a paper account has come back from the coordinator."""
        actor = self.actor
        actor.tick(at)
        try:
            self._exchange.take(self._coordinator.as_here(request), actor.market(request.market_id))
        except Exception as error:
            actor.failed(error, request.market_id, request.strategy)
            self._send(expired(request, at, legible(error)))
        # What takes no time at all acts now.
        actor.tick(at)
        if actor.books.touched:
            actor.books.tell()

    # -- beside the book -----------------------------------------------------------------------------------------

    def catalogue(self, market_id: str, data: bytes, at: int) -> None:
        """The catalogue of a market has come: it is handed on where it says something new.

        One that comes before its market is kept until then.
        """
        if self._catalogues.get(market_id) == data:
            return
        self._catalogues[market_id] = data
        market = self.actor.market(market_id)
        if market is not None and market.shown:
            self.actor.tick(at)
            self._hand_on(market, data)

    def opened(self, actor: Receiver, market: HostedMarket) -> None:
        """A market is new: as `SideData`, for the actor."""
        data = self._catalogues.get(market.market_id)
        if data is not None:
            self._hand_on(market, data)

    def _hand_on(self, market: HostedMarket, data: bytes) -> None:
        try:
            made = catalogue_of(data, market.market_id)
        except ValueError as error:
            told = f"market {market.market_id}: not a catalogue: {error}"
            self.actor.failed(MessageError(told), market.market_id)
            return
        self.actor.process_market_catalogues(market, made)

    def event(self, event: CustomEvent, at: int, letter: UserEvent) -> None:
        """A custom event has come from the coordinator, in a letter."""
        self._coordinator.expect(event)
        if letter.awaits:
            self.actor.await_markets(event, letter.market_ids)
        self.actor.receive(event, at)
        # One that has a time is delivered at once where that has passed.
        self.actor.tick(at)

    def take_funds(self, fact: Any) -> None:
        """What an account has, as the exchange says."""
        self._coordinator.take_funds(fact)

    def new_rows(self) -> list[TableRows]:
        """Rows that do not wait for the end of their market: what has failed since they were last asked for, and what
        strategies have recorded.
        """
        return [self._new_failures(), self._rows_so_far(self.actor)]

    # -- going ---------------------------------------------------------------------------------------------------

    def free(self, market_id: str) -> dict[str, list[tuple[Any, ...]]]:
        """Free a market; its rows for the session's result, by table."""
        market = self.actor.market(market_id)
        if market is not None and market.restored:  # its stream has nothing more of it: its orders have ended
            self._go_on(market, functools.partial(self.actor.show_ended, market))
        rows: dict[str, list[tuple[Any, ...]]] = {}
        for _, market in self.actor.books.release_market(market_id):
            assert isinstance(market, HostedMarket)
            for table, found in self._rows_of(self.actor, market).items():
                rows.setdefault(table, []).extend(found)
            self._keeping.forget(market)
        self._catalogues.pop(market_id, None)
        for key in [key for key in self._sports if key[1] == market_id]:
            del self._sports[key]
        return rows


def rooms_of(rooms: Iterable[CrewRoom], message: OrderFact | ClearedOrder | Reply) -> list[CrewRoom]:
    """The rooms that a message about a market is for: the one that has the order, or all that host the market."""
    order_id = None if isinstance(message, Reply) else message.order_id
    found = []
    for room in rooms:
        market = room.actor.market(message.market_id)
        if market is not None:
            if market.order(order_id) is not None:
                return [room]
            found.append(room)
    return found


def _datum(update: MarketUpdate) -> dict[str, Any]:
    """A change as it came, for strategies that want it so."""
    (datum,) = objects_of(update.change)
    return datum


def _read_patiently(update: MarketUpdate) -> tuple[list[MarketChange], list[Oddity]]:
    (message,) = decode_line(b'{"op":"mcm","pt":%d,"mc":[%b]}' % (update.pt, update.change))
    if len(message.mc) != 1:
        raise ValueError("is not one change")
    return message.mc, message.oddities if isinstance(message, OddMessage) else []
