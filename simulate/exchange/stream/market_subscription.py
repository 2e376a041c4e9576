"""A subscription to markets."""

from __future__ import annotations

from typing import Any

from ..errors import StreamError
from ..public_market import Touched
from . import market_faults
from .clocks import Image
from .host import Client, Host
from .market_filter import StreamMarketFilter
from .projection import Channel, Projection
from .subscription import Subscription


class _Collected:
    """What has changed of a market since its client was told.

    Attributes:
        since: number of the last change that the client was told of.
        whole: the client does not know the market.
    """

    __slots__ = ("since", "touched", "whole")

    def __init__(self, since: int, whole: bool = False) -> None:
        self.since = since
        self.whole = whole
        self.touched = Touched()

    def add(self, touched: Touched) -> None:
        """Another change."""
        mine = self.touched
        mine.image |= touched.image
        mine.definition |= touched.definition
        mine.volume |= touched.volume
        for runner, fields in touched.runners.items():
            known = mine.runners.setdefault(runner, {})
            for key, prices in fields.items():
                if (found := known.get(key)) is None:
                    known[key] = set(prices)
                else:
                    found |= prices


class MarketSubscription(Subscription):
    """One client's subscription to markets.

    Attributes:
        channels: the markets that it has, by id.
        pending: changes that are to be sent at the end of this moment.
    """

    operation = "marketSubscription"
    op = "mcm"
    lookup = "mc"
    fault_group = "market"

    def __init__(self, server: Host, connection: Client, request: dict[str, Any]) -> None:
        super().__init__(server, connection, request)
        self.market_filter = StreamMarketFilter.read(request)
        self.projection = Projection.read(request)
        self.channels: dict[str, Channel] = {}
        self.pending: list[bytes] = []
        self._collected: dict[Channel, _Collected] = {}
        most = server.settings.limits.markets
        count = sum(1 for market in server.markets.wanted(self) if not market.closed)
        if count > most:
            raise StreamError(
                "SUBSCRIPTION_LIMIT_EXCEEDED", f"trying to subscribe to {count} markets while the limit is {most}"
            )
        self.check_clocks()

    @property
    def criteria(self) -> tuple[object, ...]:
        return (self.market_filter, self.projection)

    @property
    def latest(self) -> int:
        return self.server.exchange.sequence

    # -- life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        if not self.closed:
            self.server.markets.join(self)
        super().start()

    def close(self) -> None:
        super().close()
        self.server.markets.leave(self)
        self.channels.clear()
        self.pending.clear()
        self._collected.clear()

    def add(self, channel: Channel) -> None:
        """The market is one of its own from now on."""
        self.channels[channel.market_id] = channel
        channel.subscriptions[self] = None
        if self.image is None:
            return  # the image has it
        self.image.known[channel.market_id] = self.latest
        self._collected[channel] = _Collected(self.latest, whole=True)
        self.collecting = True

    def remove(self, channel: Channel) -> None:
        """The market has vanished."""
        self.channels.pop(channel.market_id, None)
        self._collected.pop(channel, None)
        if self.image is not None:
            self.image.known.pop(channel.market_id, None)

    # -- changes -------------------------------------------------------------------------------------------------

    def whole(self) -> list[bytes]:
        self.pending.clear()
        self._collected.clear()
        assert self.image is not None
        self.image.known = dict.fromkeys(self.channels, self.latest)
        changes = [channel.whole() for channel in self.channels.values()]
        return market_faults.in_image(self, changes) if self.server.faults.armed else changes

    def since(self, image: Image, sequence: int) -> list[bytes]:
        assert self.image is not None
        self.image.known = dict.fromkeys(self.channels, self.latest)
        changes = []
        for market_id, channel in self.channels.items():
            if image.known.get(market_id, sequence + 1) > sequence:
                changes.append(channel.whole())
            elif change := channel.catch_up(channel.public.since(sequence), sequence):
                changes.append(change)
        return changes

    def collect(self, channel: Channel, touched: Touched) -> None:
        """Note what has changed, to send it later."""
        found = self._collected.get(channel)
        if found is None:
            found = self._collected[channel] = _Collected(self.latest - 1)
        if not found.whole:
            found.add(touched)

    @property
    def due(self) -> bool:
        return bool(self.pending or self._collected)

    def take(self, most: int | None = None) -> list[bytes]:
        changes, self.pending = self.pending, []
        if most is not None and len(changes) > most:
            changes, self.pending = changes[:most], changes[most:]
        while self._collected and (most is None or len(changes) < most):
            channel = next(iter(self._collected))
            found = self._collected.pop(channel)
            change = channel.whole() if found.whole else channel.catch_up(found.touched, found.since)
            if change is not None:
                changes.append(change)
        return changes

    # -- faults --------------------------------------------------------------------------------------------------

    def _send(self, changes: Any, change_type: str | None = None) -> None:
        if change_type is None and self.server.faults.armed:
            if self.server.fault("market.image", self.connection, self.operation):
                self.send_image()
                return
            changes = market_faults.in_change(self, changes)
        super()._send(changes, change_type)

    def _publish_time(self) -> int:
        at = super()._publish_time()
        if self.server.faults.armed and (fault := self.server.fault("market.behind", self.connection, self.operation)):
            at -= round(fault.seconds * 1000)
        return at
