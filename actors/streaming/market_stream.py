"""The stream of markets: changes from the exchange to the hosts of the markets, each market's image first.

It keeps a book of every market, so that a host that comes late, or has lost changes, gets an image without another
subscription. Where a filter lets too many markets pass for one subscription, or says what the stream's filter cannot,
the coordinator looks the markets up and sends their ids; they are spread over as many connections as it takes.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from ...strategies.changes import MarketChange
from ..letters import (
    Catalogue,
    ImageWanted,
    Introduce,
    Letter,
    MarketGone,
    MarketIds,
    MarketSeen,
    MarketUpdate,
    Route,
    Unroute,
)
from ..live.crews import StreamPlan
from ..live.market_filters import needs_catalogue, stream_filters
from ..mailboxes.mail import Mail
from ..recorder import Recorder
from .connection import Connection
from .kept_changes import KeptChanges
from .market_recording import MarketRecording
from .shards import Shard, spread
from .stream_codes import CONNECTION_LIMIT, LIMIT_EXCEEDED, REFUSED, STOPPED, SUBSCRIBED
from .stream_messages import Batch
from .stream_place import StreamPlace, StreamSettings
from .stream_role import COORDINATOR, StreamRole
from .streamed_market import ReadChange, StreamedMarket, UnreadableChangeError, newest, read_change
from .subscription import Subscription

logger = logging.getLogger("headrace")

#: Markets of one subscription, until the exchange says another number ("Subscription / Re-subscription").
LIMIT = 200
#: Connections that are left to the account's other streams.
RESERVE = 1
#: Ids of dropped markets that are remembered.
_OVER = 20_000
#: Seconds for which no more connections are tried once the account had too many.
_FULL_S = 60.0
#: Seconds between new images that are asked for because something could not be read.
_RENEWAL_S = 60.0


class MarketStreamRole(StreamRole):
    """A stream of markets; see `StreamRole`.

    Args:
        plan: its `operation` is marketSubscription.
        recorder: keeps what comes on disk; None: nobody does.
    """

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
        self._recording = None if recorder is None else MarketRecording(recorder)
        self._raw = plan.raw
        self._shards: dict[Connection, Shard] = {}
        #: Whose markets are handed on, where several connections have one.
        self._markets: dict[str, StreamedMarket] = {}
        self._early: dict[str, list[tuple[str, str]]] = {}
        self._kept = KeptChanges()
        self._wanted: tuple[str, ...] | None = None
        self._limit = LIMIT
        self._left_out = 0
        self._troubles: dict[str, str] = {}
        self._heard = now()
        self._full_until = -math.inf
        #: Ids of markets that were dropped: what may still come of them is of no interest.
        self._over: dict[str, None] = {}

    # -- subscriptions -------------------------------------------------------------------------------------------

    def subscriptions(self) -> Iterator[Subscription]:
        return iter(())

    def start(self, mail: Mail) -> None:
        super().start(mail)
        for each in () if needs_catalogue(self.plan) else stream_filters(self.plan):
            self._add(Shard(each))

    def _add(self, shard: Shard) -> None:
        connection = self.make(Subscription("marketSubscription", shard.request(self.plan, self.settings.heartbeat_ms)))
        self._shards[connection] = shard
        connection.open()

    # -- letters -------------------------------------------------------------------------------------------------

    def take(self, sender: str, letter: Letter, at_ms: int) -> None:
        if isinstance(letter, Route):
            self._route(letter)
        elif isinstance(letter, Unroute):
            self._unroute(letter)
        elif isinstance(letter, ImageWanted):
            self._image_wanted(letter)
        elif isinstance(letter, MarketIds):
            self._wanted = letter.market_ids
            self._spread()
        elif isinstance(letter, Catalogue) and self._recording is not None:
            self._recording.recorder.catalogue(letter.market_id, letter.data)

    def introduced(self, letter: Introduce) -> None:
        if not letter.address:
            for market in self._markets.values():
                market.routes = [each for each in market.routes if each[1] != letter.name]
        elif letter.name == COORDINATOR:
            at_ms = _now_ms()
            for market in self._markets.values():
                if market.seen:
                    self._tell_seen(market, at_ms)

    def _route(self, route: Route) -> None:
        market = self._markets.get(route.market_id)
        to = (route.crew, route.host)
        if market is None or not market.seen:
            early = self._early.setdefault(route.market_id, [])
            early[:] = [each for each in early if each[0] != route.crew] + [to]
            return
        market.routes = [each for each in market.routes if each[0] != route.crew] + [to]
        kept = self._kept.of(route.market_id) if self._raw else None
        if kept is None:
            self._send_image(market, *to)
            return
        for update in kept:
            self.mail.send(route.host, msgspec.structs.replace(update, crew=route.crew), droppable=True)

    def _unroute(self, letter: Unroute) -> None:
        self._early.pop(letter.market_id, None)
        market = self._markets.get(letter.market_id)
        if market is not None:
            market.routes = [each for each in market.routes if each[0] != letter.crew]
            if not market.routes and market.closed_at is not None:
                market.left = market.book.version
                if self._recording is not None:
                    self._recording.over(market)

    def _image_wanted(self, letter: ImageWanted) -> None:
        if letter.market_id:
            one = self._markets.get(letter.market_id)
            markets = [] if one is None else [one]
        else:
            markets = list(self._markets.values())
        for market in markets:
            for crew, host in market.routes:
                if host == letter.host:
                    self._send_image(market, crew, host)

    def _send_image(self, market: StreamedMarket, crew: str, host: str) -> None:
        update = MarketUpdate(
            crew, market.market_id, market.book.publish_time_epoch, time.time_ns(), market.image(), image=True
        )
        self.mail.send(host, update, droppable=True)

    # -- changes -------------------------------------------------------------------------------------------------

    def received(self, connection: Connection, batch: Batch) -> None:
        shard = self._shards[connection]
        self._heard = self._now()
        if batch.image:
            shard.images += 1
        at_ms = batch.received_ns // 1_000_000
        reads = self._reads(connection, shard, batch)
        for raw, read in newest(reads) if batch.image else reads:
            self._change(shard, batch, read, raw, at_ms)
        if batch.image:
            gone = [each for each in shard.markets.values() if each.image_at != shard.images]
            for market in gone:
                self._drop(shard, market, at_ms)

    def _reads(self, connection: Connection, shard: Shard, batch: Batch) -> Iterator[tuple[msgspec.Raw, ReadChange]]:
        for raw in batch.changes:
            try:
                yield raw, read_change(raw)
            except UnreadableChangeError as error:
                self._unreadable(connection, shard, str(error))

    def _change(self, shard: Shard, batch: Batch, read: ReadChange, raw: msgspec.Raw, at_ms: int) -> None:
        change = read.change
        market_id = change.id or ""
        image = batch.image or bool(change.img)
        market = shard.markets.get(market_id)
        if market is None:
            if not image and (not read.definition or market_id in self._over):
                if market_id not in self._over:
                    self._trouble(market_id, "changes of it come, but no image: they are left out")
                return
            self._over.pop(market_id, None)
            market = shard.markets[market_id] = StreamedMarket(market_id)
        elif image and not batch.image and _older(change, market):
            return  # of before it was moved to another event
        # An image that does not say so of each market cannot be handed on as it came.
        as_it_came = self._raw or not batch.image or bool(change.img)
        if batch.image:
            market.image_at = shard.images
            change.img = True
        owner = self._markets.setdefault(market_id, market) is market
        data = bytes(raw) if self._raw else read.data
        if owner and market.routes and as_it_came:
            for crew, host in market.routes:
                update = MarketUpdate(crew, market_id, batch.pt, batch.received_ns, data, image, batch.clk)
                self.mail.send(host, update, droppable=True)
        market.fold(batch.pt, read, at_ms)
        if not owner:
            return
        if not as_it_came:
            for crew, host in market.routes:
                self._send_image(market, crew, host)
        if self._raw:
            self._kept.add(MarketUpdate("", market_id, batch.pt, batch.received_ns, data, image, batch.clk), at_ms)
        if not market.seen:
            self._met(market, at_ms)
        elif market.left is not None and market.book.version > market.left:
            market.left = None  # it is open again, or has another result
            self._tell_seen(market, at_ms)
        if self._recording is not None and market.seen:
            self._recording.record(market, batch, raw if as_it_came else market.image())

    def _met(self, market: StreamedMarket, at_ms: int) -> None:
        """A market is new: the coordinator is told once its definition has come."""
        if not market.definition:
            self._trouble(market.market_id, "its image came without a definition: it waits for one")
            return
        self._troubles.pop(market.market_id, None)
        market.seen = True
        self._tell_seen(market, at_ms)
        for crew, host in self._early.pop(market.market_id, ()):
            self._route(Route(crew, market.market_id, host))

    def _tell_seen(self, market: StreamedMarket, at_ms: int) -> None:
        self.mail.send(COORDINATOR, MarketSeen(self.name, market.market_id, market.definition, at_ms))

    # -- ends of markets -----------------------------------------------------------------------------------------

    def _drop(self, shard: Shard, market: StreamedMarket, at_ms: int) -> None:
        """A connection has a market no more. If another has it, that one goes on with it."""
        shard.markets.pop(market.market_id, None)
        if self._markets.get(market.market_id) is not market:
            return
        del self._markets[market.market_id]
        for other in self._shards.values():
            if (found := other.markets.get(market.market_id)) is not None:
                self._markets[market.market_id] = found
                found.seen, found.routes = market.seen, market.routes
                for crew, host in found.routes:
                    self._send_image(found, crew, host)
                return
        self._forget(market, at_ms)

    def _forget(self, market: StreamedMarket, at_ms: int) -> None:
        self._kept.forget(market.market_id)
        self._troubles.pop(market.market_id, None)
        if self._recording is not None:
            self._recording.over(market)
        self._over[market.market_id] = None
        if market.seen:
            self.mail.send(COORDINATOR, MarketGone(self.name, market.market_id, at_ms))

    # -- time ----------------------------------------------------------------------------------------------------

    @property
    def quiet_until(self) -> float:
        timeout = self.plan.streaming_timeout
        return math.inf if not timeout or self._raw or not self._markets else self._heard + timeout

    def quiet(self) -> None:
        """Nothing has come for `streaming_timeout`: the books are shown again, as they are."""
        self._heard = self._now()
        for market in self._markets.values():
            if market.routes and market.closed_at is None:
                nothing = b'{"id":"' + market.market_id.encode() + b'"}'
                for crew, host in market.routes:
                    at = market.book.publish_time_epoch
                    update = MarketUpdate(crew, market.market_id, at, time.time_ns(), nothing)
                    self.mail.send(host, update, droppable=True)

    def due(self, at_ms: int) -> None:
        self._kept.forget_old(at_ms)
        for shard in self._shards.values():
            for market in shard.old(at_ms):
                self._drop(shard, market, at_ms)
        while len(self._over) > _OVER:
            del self._over[next(iter(self._over))]
        if self._recording is not None:
            self._recording.go_on()

    # -- filters that are too wide -------------------------------------------------------------------------------

    def changed(self, connection: Connection) -> None:
        shard = self._shards.get(connection)
        if shard is not None and connection.error_code == LIMIT_EXCEEDED:
            told = re.search(r"limit is (\d+)", connection.error)
            if told is not None:
                self._limit = max(1, int(told[1]))
            elif shard.ids:
                self._limit = max(1, self._limit // 2)
            shard.ids = set()  # the coordinator looks its markets up; those that it has are spread again
        elif shard is not None and connection.error_code == CONNECTION_LIMIT and shard.ids and not shard.images:
            # One connection too many: what it was to have is left out.
            self._full_until = self._now() + _FULL_S
            del self._shards[connection]
            self.connections.remove(connection)
            connection.close()
        super().changed(connection)
        if self._wanted is not None and connection.state in (SUBSCRIBED, REFUSED, STOPPED):
            self._spread()

    def _spread(self) -> None:
        """Subscribe to the ids that are wanted and that no connection has, where there is room."""
        ready = [each for each in self._shards if each.settled]
        ids, fresh = spread(self._wanted or (), self._shards, ready, self._limit)
        for connection, every in ids.items():
            shard = self._shards[connection]
            shard.ids = every
            connection.subscription.change(shard.request(self.plan, self.settings.heartbeat_ms))
            connection.ask_again()
        if fresh and self._may_connect:
            self._add(Shard({}, set(fresh[: self._limit])))
            del fresh[: self._limit]
        self._left_out = len(fresh)

    @property
    def _may_connect(self) -> bool:
        """The account may make another connection for this stream: none is being made, and some are left."""
        if self._now() < self._full_until or not all(each.state in (SUBSCRIBED, REFUSED) for each in self.connections):
            return False
        told = [each.available for each in self.connections if each.available is not None]
        return not self.connections or (bool(told) and told[-1] > RESERVE)

    def figures(self) -> dict[str, Any]:
        return {"markets": len(self._markets), "left_out": self._left_out}

    # -- troubles ------------------------------------------------------------------------------------------------

    def trouble(self) -> str:
        if self._recording is not None and self._recording.recorder.error:
            return f"recording: {self._recording.recorder.error}"
        if not self.connections:
            return "the markets of its filter have to be looked up first"
        if self._left_out:
            return f"{self._left_out} markets cannot be subscribed to: the account has no connection left for them"
        if self._troubles:
            market_id, what = next(iter(self._troubles.items()))
            return f"market {market_id}: {what}"
        return ""

    def _trouble(self, market_id: str, what: str) -> None:
        if market_id not in self._troubles and len(self._troubles) < 1_000:
            logger.warning("Stream %s, market %s: %s", self.name, market_id, what)
            self._troubles[market_id] = what

    def _unreadable(self, connection: Connection, shard: Shard, what: str) -> None:
        """Something cannot be read: an image is asked for, now and then."""
        logger.warning("Stream %s: %s", self.name, what)
        if self._now() - shard.renewed_at > _RENEWAL_S:
            shard.renewed_at = self._now()
            connection.renew(what)

    def stop(self) -> None:
        super().stop()
        if self._recording is not None:
            self._recording.recorder.close()


def _older(change: MarketChange, market: StreamedMarket) -> bool:
    definition = change.market_definition
    return definition is not None and definition.version < market.book.version


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
