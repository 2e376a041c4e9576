"""Streams without books: changes are handed on as they came, each to the hosts of its market.

Those of a new market's first minute go to whoever comes within it. What came before is not told again, but by streams
that know the state of things (`SportsStreamRole`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from ..letters import ImageWanted, Introduce, Letter, MarketSeen, MarketUpdate, Route, Unroute
from ..live.crews import StreamPlan
from ..recorder import ORDERS, Recorder
from .connection import Connection
from .kept_changes import KeptChanges
from .stream_messages import LOOKUPS, OPS, Batch
from .stream_place import StreamPlace, StreamSettings
from .stream_role import COORDINATOR, StreamRole
from .subscription import Subscription

#: Which field of a change names its market.
_KEYS = {"rcm": "mid", "ccm": "marketId", "ocm": "id"}
#: Milliseconds after which a market of which nothing comes any more is forgotten.
QUIET_MS = 3_600_000


class Told:
    """What is told of a market.

    Attributes:
        routes: crew and host.
        state: all that is known, by streams that keep it.
        pt: when it was last told.
        touched_at: when something of it was last read, milliseconds since the epoch.
    """

    __slots__ = ("pt", "routes", "state", "touched_at")

    def __init__(self) -> None:
        self.routes: list[tuple[str, str]] = []
        self.state: dict[str, Any] = {}
        self.pt = 0
        self.touched_at = 0


class DataStreamRole(StreamRole):
    """A stream of raw changes of orders; see `StreamRole`.

    Args:
        plan: its `operation` is orderSubscription.
        recorder: keeps what comes on disk, and is closed at the end; None: nobody does.
    """

    #: Where a recorder keeps what comes.
    folder = ORDERS
    #: Letters may be left out for a host that is too slow. Nobody could tell again what became of orders.
    droppable = False

    def __init__(
        self,
        plan: StreamPlan,
        place: StreamPlace,
        settings: StreamSettings | None = None,
        *,
        recorder: Recorder | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(plan, place, settings, now=now)
        self._op = OPS[plan.operation]
        self._key = _KEYS[self._op]
        self._recorder = recorder
        self._told_of: dict[str, Told] = {}
        self._early: dict[str, list[tuple[str, str]]] = {}
        self._kept = KeptChanges()

    def subscriptions(self) -> Iterator[Subscription]:
        request = {
            "orderFilter": {"includeOverallPosition": True},
            "heartbeatMs": self.settings.heartbeat_ms,
            "segmentationEnabled": True,
        }
        yield Subscription(self.plan.operation, request)

    def fold(self, told: Told, change: dict[str, Any]) -> None:
        """For streams that know the state of things: take a change."""

    # -- letters -------------------------------------------------------------------------------------------------

    def take(self, sender: str, letter: Letter, at_ms: int) -> None:
        if isinstance(letter, Route):
            self._route(letter)
        elif isinstance(letter, Unroute):
            self._early.pop(letter.market_id, None)
            told = self._told_of.get(letter.market_id)
            if told is not None:
                told.routes = [each for each in told.routes if each[0] != letter.crew]
        elif isinstance(letter, ImageWanted):
            for market_id, told in self._told_of.items():
                for crew, host in told.routes:
                    if host == letter.host and letter.market_id in ("", market_id):
                        self._send_state(market_id, told, crew, host)

    def introduced(self, letter: Introduce) -> None:
        if not letter.address:
            for told in self._told_of.values():
                told.routes = [each for each in told.routes if each[1] != letter.name]
        elif letter.name == COORDINATOR:
            for market_id in self._told_of:
                self._tell_seen(market_id, time.time_ns() // 1_000_000)

    def _route(self, route: Route) -> None:
        to = (route.crew, route.host)
        told = self._told_of.get(route.market_id)
        if told is None:
            early = self._early.setdefault(route.market_id, [])
            early[:] = [each for each in early if each[0] != route.crew] + [to]
            return
        told.routes = [each for each in told.routes if each[0] != route.crew] + [to]
        kept = self._kept.of(route.market_id) if self.plan.raw else None
        if kept is None:
            self._send_state(route.market_id, told, *to)
            return
        for update in kept:
            self._send(route.host, msgspec.structs.replace(update, crew=route.crew))

    def _send_state(self, market_id: str, told: Told, crew: str, host: str) -> None:
        if told.state:
            data = msgspec.json.encode(told.state)
            self._send(host, MarketUpdate(crew, market_id, told.pt, time.time_ns(), data, image=True))

    def _send(self, host: str, update: MarketUpdate) -> None:
        self.mail.send(host, update, droppable=self.droppable)

    # -- changes -------------------------------------------------------------------------------------------------

    def received(self, connection: Connection, batch: Batch) -> None:
        at_ms = batch.received_ns // 1_000_000
        for raw in batch.changes:
            data = bytes(raw)
            change = msgspec.json.decode(data)
            market_id = str(change.get(self._key) or "") if isinstance(change, dict) else ""
            if market_id:  # else it is for nobody
                self._change(market_id, change, data, batch, at_ms)

    def _change(self, market_id: str, change: dict[str, Any], data: bytes, batch: Batch, at_ms: int) -> None:
        told = self._told_of.get(market_id)
        fresh = told is None
        if told is None:
            told = self._told_of[market_id] = Told()
            told.routes = self._early.pop(market_id, [])
        told.pt, told.touched_at = batch.pt, at_ms
        update = MarketUpdate("", market_id, batch.pt, batch.received_ns, data, batch.image, batch.clk)
        for crew, host in told.routes:
            self._send(host, msgspec.structs.replace(update, crew=crew))
        self.fold(told, change)
        if self.plan.raw:
            self._kept.add(update, at_ms)
        if fresh:
            self._tell_seen(market_id, at_ms)
        if self._recorder is not None:
            clk = b'"clk":"' + batch.clk.encode() + b'",' if batch.clk else b""
            lookup = LOOKUPS[self._op].encode()
            line = b'{"op":"%b",%b"pt":%d,"%b":[%b]}' % (self._op.encode(), clk, batch.pt, lookup, data)
            self._recorder.put(self.folder, market_id, line)

    def _tell_seen(self, market_id: str, at_ms: int) -> None:
        self.mail.send(COORDINATOR, MarketSeen(self.name, market_id, b"", at_ms))

    # -- time ----------------------------------------------------------------------------------------------------

    def due(self, at_ms: int) -> None:
        self._kept.forget_old(at_ms)
        for market_id in [each for each, told in self._told_of.items() if at_ms - told.touched_at > QUIET_MS]:
            del self._told_of[market_id]
            self._kept.forget(market_id)
            if self._recorder is not None:
                self._recorder.over(self.folder, market_id)

    def figures(self) -> dict[str, Any]:
        return {"markets": len(self._told_of)}

    def trouble(self) -> str:
        if self._recorder is not None and self._recorder.error:
            return f"recording: {self._recorder.error}"
        return ""

    def stop(self) -> None:
        super().stop()
        if self._recorder is not None:
            self._recorder.close()
