"""The coordinator and the exchange of a market actor where they stand in another process.

Both turn calls into messages, and hand each to a function that takes it there. What comes back goes through the
actor's door: `actor.receive(for_actor(data), at)`. Nothing here knows of queues, sockets or clocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ..strategies.book import MarketBook
from ..strategies.errors import RunError
from ..strategies.events import Event
from ..strategies.host import Host
from ..strategies.messages import (
    ClearedMarket,
    ClearedOrder,
    LogRow,
    MarketFact,
    MarketResult,
    Message,
    Request,
    ViolationFact,
)
from .clients import BaseClient, Clients
from .coordinator import ClientControl, Door, Sender, TradingControl
from .exchange import Answer, Desk, MarketExchange

#: Takes a message to the coordinator's process. It may come there late or twice; the order of one actor's stays.
Send = Callable[[Message], object]


class RemoteCoordinator:
    """The coordinator as a market actor has it where it stands elsewhere.

    Args:
        clients: the accounts, as in the coordinator's process. Copies of them are here for their settings: what they
            count is counted there.
        send: takes each message there.
    """

    def __init__(self, clients: Sequence[BaseClient], send: Send) -> None:
        self._client_settings = list(clients)
        self.clients = Clients()
        self._send = send

    def connect(
        self,
        host: Host,
        exchange: Sender,
        client_controls: Sequence[ClientControl] = (),
        trading_controls: Sequence[TradingControl] = (),
        failed: Callable[[Exception, str, str | None], object] | None = None,
    ) -> None:
        """Open copies of the accounts.

        Raises:
            RunError: the rules are the peer's, which ask accounts inside the request; or a control of scope "account"
                was given here, where nobody would ask it.
        """
        if not host.rules.account_controls_later:
            raise RunError(
                "compatibility='flumine' needs the coordinator and the exchange in the market actor's process: "
                "its requests are answered by calls"
            )
        given = [each[1] for each in client_controls] + [each[0] for each in trading_controls]
        if given:
            names = ", ".join(sorted(control.__name__ for control in given))
            raise RunError(
                f"{names}: scope is 'account': give it to the coordinator, which asks it, in its own process"
            )
        self.host = host
        self.config = host.config
        for client in self._client_settings:
            self.clients.add_client(client.open_account(self))

    def opened(self, market: MarketFact, door: Door) -> None:
        """A market is hosted here. Its door is the actor's: whoever reads the queue knows it."""
        self._send(market)

    def closed(self, market: MarketFact, orders: Sequence[ClearedOrder], markets: Sequence[ClearedMarket]) -> None:
        self._send(MarketResult(market, tuple(orders), tuple(markets)))

    def removed(self, market: MarketFact) -> None:
        self._send(market)

    def submit(self, request: Request) -> None:
        self._send(request)

    def refused(self, violation: ViolationFact) -> None:
        self._send(violation)

    @property
    def listens(self) -> bool:
        """True: it is not known here who hears the events."""
        return True

    def log(self, event: Event) -> None:
        self._send(row_of(event, self.host.clock.now_ms))

    def process_custom_event(self, event: Event) -> None:
        """The coordinator hears of it by a row: the event's callback belongs to the actor's process."""
        self._send(row_of(event, self.host.clock.now_ms))

    def answer(self, message: Answer) -> None:
        self._send(message)


class RemoteMarket(MarketExchange):
    """The exchange's side of a market, where it stands elsewhere: books mean nothing to it here.

    Requests come to it by way of the coordinator; replies, facts and results come through the door.
    """

    settles = False

    def send(self, request: Request) -> None:
        raise RunError(f"request {request.request_id}: the exchange stands elsewhere; requests go to the coordinator")


class RemoteExchange:
    """An exchange that stands elsewhere, beside the coordinator."""

    def open(self, market_id: str, book: MarketBook, desk: Desk) -> RemoteMarket:
        """Its side of a market that is new here."""
        return RemoteMarket()

    def send(self, request: Request) -> None:
        raise RunError(f"request {request.request_id}: the exchange stands elsewhere; requests go to the coordinator")


def row_of(event: Event, at: int) -> LogRow:
    """An event for logging controls as a message: what a log line tells of its subject."""
    subject = event.event
    market_id = getattr(subject, "market_id", None)
    return LogRow(event.name, at, market_id if isinstance(market_id, str) else None, _values(subject))


def _values(subject: Any) -> dict[str, object]:
    if isinstance(subject, list | tuple):
        return {"each": [_values(each) for each in subject]}
    told = subject if isinstance(subject, dict) else getattr(subject, "info", None)
    if not isinstance(told, dict):
        told = {"value": subject}
    plain = msgspec.to_builtins(told, enc_hook=str, str_keys=True)
    assert isinstance(plain, dict)
    return plain
