"""The coordinator as a market actor of a live host has it: messages are letters, and every request has a deadline."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence

import msgspec

from ...strategies.events import Event
from ...strategies.messages import (
    ANSWERED,
    FAILURE,
    SIMULATED,
    AccountFact,
    ClearedMarket,
    ClearedOrder,
    MarketFact,
    MarketResult,
    OrderFact,
    ReplaceInstruction,
    Reply,
    Request,
)
from ..clients import BaseClient
from ..coordinator import Door
from ..exchange import Answer
from ..remote import RemoteCoordinator
from ..switchboard import SEPARATOR
from .shadow import Names

#: Milliseconds after which a request is not sent any more: its price is too old.
DEADLINE_MS = 2000
#: Takes a message to the coordinator's process, with what is kept of it.
Carry = Callable[..., object]


class HostCoordinator(RemoteCoordinator):
    """The coordinator, which stands elsewhere.

    Args:
        clients: the accounts; copies of them are here for their settings.
        send: takes each message there, with what is kept of it.
        listens: somebody there hears of events.
        kept: what is kept with a request (see `Keeping`).
        names: how accounts are known there; None: as here.
    """

    def __init__(
        self,
        clients: Sequence[BaseClient],
        send: Carry,
        listens: bool,
        kept: Callable[[Request], bytes],
        names: Names | None = None,
    ) -> None:
        super().__init__(clients, send)
        self._carry, self._kept = send, kept
        self._names = names
        self._listens = listens
        self._doors: dict[str, Door] = {}
        self._answered: dict[str, set[str]] = {}
        # Requests that are not answered in full, as they were sent, with the orders that no answer has named yet.
        self._open: dict[str, tuple[Request, bytes, set[str]]] = {}
        self._results: dict[str, MarketResult] = {}
        # What the exchange here has told, by market: of facts the last of each order.
        self._told: dict[str, dict[object, Answer]] = {}
        self._expected: weakref.WeakSet[Event] = weakref.WeakSet()

    def opened(self, market: MarketFact, door: Door) -> None:
        self._doors[market.market_id] = door
        super().opened(market, door)

    def removed(self, market: MarketFact) -> None:
        self._doors.pop(market.market_id, None)
        self._answered.pop(market.market_id, None)
        self._told.pop(market.market_id, None)
        self._results.pop(market.market_id, None)
        for request_id in [key for key, (each, *_) in self._open.items() if each.market_id == market.market_id]:
            del self._open[request_id]
        super().removed(market)

    def submit(self, request: Request) -> None:
        """Send a request. It expires where it comes too late: after the time of the turn in which it was made."""
        username = self._known_there(request.venue, request.username)
        deadline = request.asked_at + DEADLINE_MS
        known = msgspec.structs.replace(request, username=username, deadline=deadline)
        kept = self._kept(request)
        named = {each.order_id for each in request.instructions}
        named.update(each.new_order_id or "" for each in request.instructions if isinstance(each, ReplaceInstruction))
        self._open[request.request_id] = known, kept, named
        self._carry(known, kept)

    def take_reply(self, reply: Reply) -> None:
        """A reply has come: what it answers is not asked again."""
        found = self._open.get(reply.request_id)
        if found is None:
            return
        request, _, named = found
        for report in reply.reports:
            named.discard(report.order_id)
            if reply.outcome != ANSWERED or report.status == FAILURE:
                named.discard(_successor(request, report.order_id))
        if not named:
            del self._open[reply.request_id]

    def tell_again(self, markets: Iterable[MarketFact]) -> None:
        """Tell a coordinator that has started anew what it may not have heard.

        Args:
            markets: those that are open here.
        """
        for market in markets:
            self._send(market)
            result = self._results.get(market.market_id)
            if result is not None:
                self._send(result)
        for request, kept, _ in list(self._open.values()):
            self._carry(request, kept)
        for told in self._told.values():
            for answer in told.values():
                self._send(answer)

    def closed(self, market: MarketFact, orders: Sequence[ClearedOrder], markets: Sequence[ClearedMarket]) -> None:
        named = [
            msgspec.structs.replace(each, username=self._known_there(each.venue, each.username)) for each in markets
        ]
        self._results[market.market_id] = result = MarketResult(market, tuple(orders), tuple(named))
        self._send(result)

    def _known_there(self, venue: str, username: str) -> str:
        return username if self._names is None else self._names.there(venue, username)

    def as_here(self, request: Request) -> Request:
        """A request that has come back, with its account as it is known here."""
        if self._names is None:
            return request
        return msgspec.structs.replace(request, username=self._names.here(request.venue, request.username))

    @property
    def listens(self) -> bool:
        return self._listens

    def log(self, event: Event) -> None:
        if self._listens:
            super().log(event)

    def process_custom_event(self, event: Event) -> None:
        """An event that the coordinator has sent is known there; one of this process is not."""
        if event not in self._expected:
            super().process_custom_event(event)

    def expect(self, event: Event) -> None:
        """An event has come from the coordinator."""
        self._expected.add(event)

    def take_funds(self, fact: AccountFact) -> None:
        """What an account has, as the exchange says."""
        for client in self.clients:
            if (client.venue, client.username) == (fact.venue, fact.username):
                client.take_funds(fact.funds, fact.exposure, fact.at)

    # -- what the simulated exchange of paper accounts answers -----------------------------------------------------

    def answer(self, message: Answer) -> None:
        """Take it within the turn under way, and tell the coordinator, which counts."""
        self._send(message)
        told = self._told.setdefault(message.market_id, {})
        if isinstance(message, Reply):
            told[len(told)] = message
            message = _as_asked(message)
            self._answered.setdefault(message.market_id, set()).add(message.request_id)
            self.take_reply(message)
        else:
            told[type(message), message.order_id] = message
        door = self._doors.get(message.market_id)
        if door is not None:
            door.receive(message)

    def is_echo(self, message: Answer) -> bool:
        """Whether a message of the coordinator was told by the exchange here, and has been taken."""
        if isinstance(message, Reply):
            known = self._answered.get(message.market_id, ())
            return message.outcome == ANSWERED and message.request_id in known
        return isinstance(message, OrderFact) and message.source == SIMULATED


def _successor(request: Request, order_id: str) -> str:
    """The order that is to take another's place; empty where there is none."""
    for each in request.instructions:
        if isinstance(each, ReplaceInstruction) and each.order_id == order_id:
            return each.new_order_id or ""
    return ""


def _as_asked(reply: Reply) -> Reply:
    """The answer under the request's own id: at the exchange it is named by its sender as well."""
    return msgspec.structs.replace(reply, request_id=reply.request_id.rpartition(SEPARATOR)[2])
