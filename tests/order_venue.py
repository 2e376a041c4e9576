"""The exchange of `order_world.py`, and the connections of the system's streams to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, cast

from builders import MARKET, T0, priced
from exchange_builders import ALICE, changes_of, settings
from fuzz_streams import AUTHENTICATED, GREETING, SUBSCRIBED_LINE, Opened, Wire
from headrace.actors.streaming.stream_codes import SUBSCRIBED
from headrace.simulate.exchange.betting.bank import Bank
from headrace.simulate.exchange.betting.betting import Betting
from headrace.simulate.exchange.exchange import Exchange
from headrace.simulate.exchange.faults import Fault
from headrace.simulate.exchange.http.arguments import arguments_of
from headrace.simulate.exchange.ledger import Ledger
from headrace.simulate.exchange.listings.catalogues import Catalogues
from headrace.simulate.exchange.listings.listings import Listings
from headrace.simulate.exchange.listings.lists import BetLists
from headrace.simulate.exchange.operations import Operation, Operations
from headrace.simulate.exchange.timeline import Timeline
from headrace.strategies.book_image import image_change
from order_calls import Call
from stream_in_process import InProcess


class _Line(Wire):
    """A connection to the exchange's stream."""

    def __init__(self, venue: OrderVenue, name: str) -> None:
        super().__init__()
        self._venue, self._name = venue, name

    def send(self, data: bytes) -> int:
        client = self._venue.clients.get(self._name)
        if client is not None:
            client.connection.data_received(bytes(data))
        return len(data)


class OrderVenue:
    """An exchange with one market, and what is on its way from it to streams.

    Attributes:
        now: milliseconds since the epoch, everywhere.
        stream: the market, as it has been written so far.
        bytes: messages on their way to streams, by the stream's name.
        calls: on their way, the oldest first.
        running: incarnations of the actors that run.
    """

    def __init__(self) -> None:
        self.now = T0 + 100
        self.stream = priced()
        self.clients: dict[str, Any] = {}
        self.wires: dict[str, Wire] = {}
        self.bytes: dict[str, list[bytes]] = {"s1": [], "o1": []}
        self.definition: dict[str, Any] = {}
        self.calls: list[Call] = []
        self.elsewhere: list[asyncio.Task[Any]] = []
        self.running: dict[str, int] = {}
        self._make_exchange()
        self.tell_market(self.stream.lines)

    def role(self, name: str) -> Any:
        """An actor."""
        return getattr(self, name)

    # -- the exchange --------------------------------------------------------------------------------------------

    def _make_exchange(self) -> None:
        chosen = settings(speed=1.0)
        self.exchange = Exchange(chosen, Timeline(1.0, wall=lambda: self.now), (), Ledger())
        self.server = InProcess(self.exchange)
        self.loop = self.server.loop
        self.faults = self.server.faults
        bank = Bank(self.exchange, self.faults)
        betting = Betting(self.exchange, bank, self.faults, lambda: self.now / 1000)
        lists = BetLists(self.exchange, bank, self.faults)
        listings = Listings(self.exchange, Catalogues(self.exchange))
        self.operations: dict[str, Operation] = {}
        for part in (bank, betting, lists, listings):
            self.operations.update(cast(Operations, part).operations())

    def fault(self, kind: str, **of: Any) -> None:
        self.faults.add(Fault(kind, **of))
        self.turn()

    def place_elsewhere(self, bet: Any, price: float) -> None:
        """Another program of the account places a bet of £3 with the references of a bet."""
        limit = {"size": 3.0, "price": price, "persistenceType": "LAPSE"}
        order = {"selectionId": bet.selection_id, "side": "BACK" if bet.back else "LAY", "orderType": "LIMIT"}
        order |= {"limitOrder": limit, "customerOrderRef": bet.order_ref}
        asked = {"marketId": MARKET, "instructions": [order], "customerStrategyRef": bet.strategy_ref}
        task = self.loop.create_task(
            cast(Any, self.operations["SportsAPING/v1.0/placeOrders"](ALICE, arguments_of(asked)))
        )
        self.turn()
        self.elsewhere.append(task)

    @property
    def elsewhere_placed(self) -> list[str]:
        """The bets that another program has placed."""
        reports = [task.result()["instructionReports"][0] for task in self.elsewhere if task.done()]
        return [each["betId"] for each in reports if each["status"] == "SUCCESS"]

    def turn(self) -> None:
        """The exchange's loop does what it can."""
        self.loop.at = self.now / 1000
        self.server.turn()
        for call in self.calls:
            call.look()
        if "o1" in self.clients:
            client = self.clients["o1"]
            data, client.received = client.received, b""
            self.bytes["o1"] += [each + b"\r\n" for each in data.split(b"\r\n") if each]

    def tell_market(self, lines: list[dict[str, Any]]) -> None:
        """The market changes, at the exchange and on its stream."""
        for line in lines:
            self.exchange.play(*changes_of({**line, "pt": self.now}))
            for each in line["mc"]:
                self.definition = each.get("marketDefinition", self.definition)
            self._come("s1", {**line, "id": 2, "pt": self.now})
        self.turn()

    def _come(self, name: str, *messages: dict[str, Any]) -> None:
        """Messages are on their way to a stream."""
        if name in self.wires:
            self.bytes[name] += [json.dumps(each).encode() + b"\r\n" for each in messages]

    def changes(self, change: Callable[[Any, int], object]) -> None:
        """A change of the market, as `builders.Stream` writes it."""
        before = len(self.stream.lines)
        change(self.stream, self.now - T0)
        self.tell_market(self.stream.lines[before:])

    # -- streams -------------------------------------------------------------------------------------------------

    def connect(self, name: str) -> None:
        """A stream connects, and is subscribed; what it is told then is on its way."""
        (connection,) = self.role(name).connections
        if connection.state != "CONNECTING":
            connection._want_session()
        wire = self.wires[name] = _Line(self, name)
        connection._opening = Opened(wire)
        if name == "o1":
            self.clients[name] = self.server.connect()
            token = self.server.sessions.login(ALICE.username, ALICE.password)
            connection._credentials = (ALICE.app_key, token)
            connection._opened()
            while connection.state != SUBSCRIBED:
                self.turn()
                assert self.bytes[name], connection.error
                self.read(name, 1)
            self.turn()
        else:
            connection._opened()
            self.bytes[name] += [GREETING, AUTHENTICATED, SUBSCRIBED_LINE]
            self.read(name, 3)
            assert connection.subscription.id is not None
            change = {**image_change(self.exchange.markets[MARKET].book), "marketDefinition": self.definition}
            image = {"ct": "SUB_IMAGE", "initialClk": "i", "clk": "c", "pt": self.now, "mc": [{**change, "img": True}]}
            self._come(name, {"op": "mcm", "id": connection.subscription.id, **image})

    def read(self, name: str, count: int) -> None:
        """A stream reads so many messages."""
        wire = self.wires.get(name)
        found, self.bytes[name] = self.bytes[name][:count], self.bytes[name][count:]
        if wire is None:
            return
        wire.pieces += found
        (connection,) = self.role(name).connections
        while wire.pieces and self.wires.get(name) is wire:
            connection._readable()
        assert "could not be taken" not in connection.error, connection.error

    def drop(self, name: str) -> None:
        """A stream's connection ends; what was on its way is lost."""
        if self.wires.pop(name, None) is None:
            return
        self.bytes[name] = []
        client = self.clients.pop(name, None)
        if client is not None:
            client.leave()
        if name in self.running:
            self.role(name).connections[0]._lose("dropped")
