"""Markets whose host has ended: another goes on with them, from what is in the journal.

The new host is given all places of the former one, each with what strategies handed over, and what is known of their
orders. When it says that it can go on, streams send it their images. What it cannot go on with is given up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Iterable, Mapping

import msgspec

from ...strategies.messages import PLACE, UNKNOWN, ClearedOrder, OrderFact, Reply, Request
from ..journal.entries import Entry
from ..journal.journal import Journal
from ..letters import Letter, Restore, Restored
from ..switchboard import SEPARATOR, named_in
from .seating import Place, Seating

logger = logging.getLogger("headrace")


class Successors:
    """Has hosts go on with places of former hosts.

    Args:
        journal: what is known is read from it, up to date.
        seating: where the places are.
        crews: the strategies of each crew, by its name.
        send: sends a letter to a host.
        known: a market's definition and its event, as far as they are known.
        owner_of: the actor whose an order is: market and order.
        ready: told of a place that its host goes on with.
        given_up: told of a place that its host cannot go on with, and why.
    """

    def __init__(
        self,
        journal: Journal,
        seating: Seating,
        crews: Mapping[str, Container[str]],
        send: Callable[[str, Letter], object],
        known: Callable[[str], tuple[bytes, str | None]],
        owner_of: Callable[[str, str], str | None],
        ready: Callable[[str, str], object],
        given_up: Callable[[str, str, str], object],
    ) -> None:
        self._journal, self._seating, self._crews, self._send = journal, seating, crews, send
        self._known, self._owner_of = known, owner_of
        self._ready, self._given_up = ready, given_up
        # Why each place waits; and of those whose host has been asked, whether it has answered, and with what.
        self._waiting: dict[Place, str] = {}
        self._answered: dict[Place, str] = {}

    def __len__(self) -> int:
        """Places that wait."""
        return len(self._waiting)

    def held(self, crew: str, market_id: str) -> bool:
        """Whether a place waits for its host."""
        return (crew, market_id) in self._waiting

    def awaits(self, crew: str, host: str) -> bool:
        """Whether a crew waits for a host with any of its markets."""
        return any(place[0] == crew for place in self._of(host))

    def want(self, places: Iterable[Place], why: str) -> None:
        """The host of some places has ended: `begin` when its successor is there."""
        for place in places:
            self._waiting[place] = why
            self._answered.pop(place, None)

    def drop(self, crew: str, market_id: str) -> None:
        """A place is no more."""
        self._waiting.pop((crew, market_id), None)
        self._answered.pop((crew, market_id), None)

    def forget(self, market_id: str) -> None:
        """A market is over."""
        for crew, its in list(self._waiting):
            if its == market_id:
                self.drop(crew, market_id)
        for host in {self._seating.host_of(*place) for place in self._waiting}:
            if host is not None:
                self._see(host)  # perhaps only this one was waited for

    def begin(self, host: str) -> None:
        """A host is there: it is to go on with what waits for it. All that is known has been written down."""
        places = self._of(host)
        if not places:
            return
        entries: dict[str, list[Entry]] = {}
        for entry in self._journal.of_markets({market_id for _, market_id in places}):
            entries.setdefault(entry.market_id, []).append(entry)
        for crew, market_id in places:
            self._answered.pop((crew, market_id), None)
            definition, event_id = self._known(market_id)
            kept, messages = self._of_actor(f"{host}.{crew}", self._crews[crew], entries.get(market_id, []))
            why = self._waiting[crew, market_id]
            self._send(host, Restore(crew, market_id, kept, messages, definition, event_id, why))

    def _of(self, host: str) -> list[Place]:
        return [place for place in self._waiting if self._seating.host_of(*place) == host]

    def _of_actor(
        self, actor: str, strategies: Container[str], entries: Iterable[Entry]
    ) -> tuple[tuple[bytes, ...], tuple[Request | Reply | OrderFact | ClearedOrder, ...]]:
        kept: list[bytes] = []
        messages: list[Request | Reply | OrderFact | ClearedOrder] = []
        mine: set[str] = set()
        orders: set[str] = set()
        for entry in entries:
            message = entry.message
            if isinstance(message, Request):
                if message.strategy not in strategies:
                    continue  # it trades no more
                if self._owner_of(message.market_id, message.instructions[0].order_id) == actor:
                    mine.add(message.request_id)
                    orders.update(named_in(message))
                    messages.append(msgspec.structs.replace(message, request_id=_sent_as(message)))
                    if entry.kept:
                        kept.append(entry.kept)
            elif isinstance(message, Reply):
                # What nobody knew of a change was told to nobody: its answer came when it was known.
                if message.request_id in mine and (message.outcome != UNKNOWN or _places(message)):
                    messages.append(msgspec.structs.replace(message, request_id=_sent_as(message)))
            elif isinstance(message, OrderFact | ClearedOrder):
                if message.order_id in orders:
                    messages.append(message)
            elif entry.kept and entry.actor == actor:
                kept.append(entry.kept)
        return tuple(kept), tuple(messages)

    def restored(self, letter: Restored) -> None:
        """A host says that it can go on with a place, or why it cannot."""
        place = (letter.crew, letter.market_id)
        if place not in self._waiting or self._seating.host_of(*place) != letter.host:
            return
        self._answered[place] = letter.error
        self._see(letter.host)

    def _see(self, host: str) -> None:
        """Go on with the places of a host, if it has answered for all of them."""
        places = self._of(host)
        if any(each not in self._answered for each in places):
            return  # a strategy that has several markets goes on once all are there
        for each in places:
            del self._waiting[each]
            why = self._answered.pop(each)
            if why:
                self._given_up(*each, why)
            else:
                self._ready(*each)


def _sent_as(message: Request | Reply) -> str:
    """The id that its sender has given it."""
    return message.request_id.partition(SEPARATOR)[2]


def _places(reply: Reply) -> bool:
    return any(report.operation == PLACE for report in reply.reports)
