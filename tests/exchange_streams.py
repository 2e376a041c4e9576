"""Subscriptions to a rehearsal exchange's stream without sockets: what they send is read where it is sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from betfairlightweight.streaming.listener import StreamListener

from exchange_builders import ALICE, T0, Fault, faults_of
from headrace.simulate.exchange.exchange import Exchange
from headrace.simulate.exchange.sessions import Sessions
from headrace.simulate.exchange.settings import AccountSettings
from headrace.simulate.exchange.stream.server import StreamServer
from headrace.simulate.exchange.stream.subscription import Subscription


class Reader:
    """A client of the stream (`stream.host.Client`): it keeps messages, and hands them to betfairlightweight.

    Attributes:
        messages: so far, decoded.
        listener: betfairlightweight's, with its caches.
        subscription: the one in force.
    """

    peer, secure, strained, connection_id = "test", False, False, "test"

    def __init__(self, account: AccountSettings, listener: StreamListener | None = None) -> None:
        self.account: AccountSettings | None = account
        self.messages: list[dict[str, Any]] = []
        self.listener = StreamListener(max_latency=None, lightweight=True) if listener is None else listener
        self.subscription: Subscription
        self.slow = False
        self.sent_messages = self.sent_bytes = 0

    def send(self, data: bytes, operation: str) -> None:
        assert data.endswith(b"}\r\n")
        self.messages.append(json.loads(data))
        assert self.listener.on_data(data.decode()) is not False

    def abort(self, why: str) -> None:
        raise AssertionError(why)

    @property
    def last(self) -> dict[str, Any]:
        return self.messages[-1]

    def new(self) -> list[dict[str, Any]]:
        """The messages since this was last asked."""
        found, self.messages = self.messages, []
        return found

    def snap(self, market_id: str) -> dict[str, Any]:
        """What betfairlightweight holds of a market: bets by number, and matches by runner."""
        cache = self.listener.stream._caches.get(market_id)
        if cache is None:
            return {"orders": {}, "matches": {}}
        found = cache.serialise(None)
        return {
            "orders": {order["betId"]: order for order in found["currentOrders"]},
            "matches": {
                key: {
                    side: {row["price"]: row["size"] for row in ladder.serialised}
                    for side, ladder in (("mb", runner.matched_backs), ("ml", runner.matched_lays))
                    if ladder.serialised
                }
                for key, runner in cache.runners.items()
            },
        }


class Stage:
    """A stream server that listens on no port, and its clients."""

    def __init__(self, exchange: Exchange, loop: asyncio.AbstractEventLoop, *faults: Fault) -> None:
        self.exchange = exchange
        self.loop = loop
        self.faults = faults_of(exchange, *faults)
        self.sessions = Sessions(exchange.settings, self.faults, lambda: 0.0, lambda: T0)
        self.server = loop.run_until_complete(self._server())

    async def _server(self) -> StreamServer:
        return StreamServer(self.exchange, self.sessions, self.faults, self.exchange.settings)

    def subscribe(
        self,
        account: AccountSettings = ALICE,
        operation: str = "orderSubscription",
        reader: Reader | None = None,
        request_id: int = 7,
        **request: Any,
    ) -> Reader:
        """Subscribe; a `reader` that has subscribed before goes on with what it knows."""
        if reader is None:
            reader = Reader(account)
            reader.listener.register_stream(request_id, operation)
        else:
            reader.listener.update_unique_id(request_id)
        make = self.server.subscription(operation)
        assert make is not None
        made = make(self.server, reader, {"op": operation, "id": request_id, **request})
        assert isinstance(made, Subscription)
        if hasattr(reader, "subscription"):
            reader.subscription.close()
        reader.subscription = made
        self.server.subscribed(reader, made)
        made.start()
        return reader

    def clocks(self, reader: Reader) -> dict[str, Any]:
        """What to subscribe with to go on from there."""
        return {"initialClk": reader.listener.initial_clk, "clk": reader.listener.clk}

    def lose(self, reader: Reader) -> None:
        """The client's connection ends."""
        reader.subscription.close()

    def let_pass(self, seconds: float = 0.0) -> None:
        """Let real time pass."""
        self.loop.run_until_complete(asyncio.sleep(seconds))


@contextmanager
def stage(exchange: Exchange, *faults: Fault) -> Iterator[Stage]:
    """The stream of an exchange."""
    loop = asyncio.new_event_loop()
    try:
        built = Stage(exchange, loop, *faults)
        yield built
        loop.run_until_complete(built.server.stop())
    finally:
        loop.close()
