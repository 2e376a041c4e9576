"""What one client has asked to be told: what all subscriptions have in common.

A subscription is told of changes by the server, collects them, and is flushed: when the moment of the changes has
ended; every `conflateMs`, if its client wants that; or when its client, having been slow, has read. What is sent
carries the id of the request that is in force, and a clock. Source: Betfair Exchange Stream API.
"""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar

from ..account_bet import AccountBet
from ..exchange import ExchangeMarket
from ..positions import Level
from . import requests
from .clocks import Image, refused
from .host import Client, Host

#: Changes in one message; more are sent in several.
CHANGES_PER_MESSAGE = 10
#: Bounds of `heartbeatMs` and `conflateMs`; what is outside is brought inside, and the image says what holds.
HEARTBEAT_MS = (500, 5_000)
CONFLATE_MS = (0, 120_000)
DELAYED_CONFLATE_MS = (0, 180_000)
SUB_IMAGE = "SUB_IMAGE"
RESUB_DELTA = "RESUB_DELTA"
HEARTBEAT = "HEARTBEAT"


def within(value: int, bounds: tuple[int, int]) -> int:
    """The value, or the bound that it is beyond."""
    return min(max(value, bounds[0]), bounds[1])


class Subscription(abc.ABC):
    """Base of all subscriptions. Making one checks the request and sends nothing; `start` sends the image.

    Args:
        server: the stream's side of the exchange; `server.exchange` is the exchange.
        connection: whose it is; it is authenticated.
        request: as the client sent it.

    Raises:
        StreamError: the request is refused.

    Attributes:
        operation: class attribute: what the client asks with, such as "marketSubscription".
        op, lookup: class attributes: the `op` of its messages, and the name of their list of changes.
        fault_group: class attribute: first word of the kinds of faults of its messages.
        id: of the request; messages carry it.
        conflate_ms, heartbeat_ms: what holds.
        segmented: images may come in segments.
        image: what stands for the image; None before the start.
        collecting: changes are collected as they are when they are sent, and not encoded as they come.
        sequence: number of the last change that the client has been told of, or needs not be.
    """

    operation: ClassVar[str]
    op: ClassVar[str]
    lookup: ClassVar[str]
    fault_group: ClassVar[str]

    def __init__(self, server: Host, connection: Client, request: dict[str, Any]) -> None:
        assert connection.account is not None
        self.server = server
        self.connection = connection
        self.account = connection.account
        self.id = requests.whole(request, "id")
        self.segmented = bool(requests.flag(request, "segmentationEnabled"))
        conflate, heartbeat = requests.whole(request, "conflateMs"), requests.whole(request, "heartbeatMs")
        self.conflate_ms = within(conflate or 0, DELAYED_CONFLATE_MS if self.account.delayed else CONFLATE_MS)
        default = server.settings.timers.heartbeat_ms
        self.heartbeat_ms = default if heartbeat is None else within(heartbeat, HEARTBEAT_MS)
        self._clocks = (requests.text(request, "initialClk"), requests.text(request, "clk"))
        self.image: Image | None = None
        self.sequence = 0
        self.started = self.closed = False
        self.collecting = self.conflate_ms > 0
        #: Nothing is sent but heartbeats: a fault.
        self.muted = False
        self._unhealthy_until = 0.0
        self._last_sent = 0.0
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._head = b'{"op":"%s"' % self.op.encode()
        if self.id is not None:
            self._head += b',"id":%d' % self.id
        self._resumed: tuple[Image, int] | None = None

    # -- what each kind has of its own ---------------------------------------------------------------------------

    @property
    @abc.abstractmethod
    def criteria(self) -> tuple[object, ...]:
        """What was asked for: clocks are good for the same only. The account and the operation are added to it."""

    @property
    @abc.abstractmethod
    def latest(self) -> int:
        """Number of the last change that there has been at the exchange."""

    @abc.abstractmethod
    def whole(self) -> list[bytes]:
        """Everything, as changes of an image; what was collected is void."""

    @abc.abstractmethod
    def since(self, image: Image, sequence: int) -> list[bytes]:
        """What has changed after change number `sequence`, for a client that had `image`."""

    @abc.abstractmethod
    def take(self, most: int | None = None) -> list[bytes]:
        """What has been collected, in order, at most `most` of it; what is returned is forgotten."""

    @property
    @abc.abstractmethod
    def due(self) -> bool:
        """Something has been collected."""

    # -- what the exchange tells, as far as a kind wants to hear it -----------------------------------------------

    def bet_changed(self, bet: AccountBet, levels: dict[Level, float]) -> None:
        """A bet of some account is new, or another than before, and with it what is matched at `levels`."""
        return

    def market_defined(self, market: ExchangeMarket) -> None:
        """A market's definition is new, or another than before."""
        return

    def market_gone(self, market: ExchangeMarket) -> None:
        """A market has vanished."""
        return

    def market_settled(self, market: ExchangeMarket) -> None:
        """The results of a market's bets are known."""
        return

    def sports(self, at: int, operation: str, change: dict[str, Any]) -> None:
        """A race ("rcm") or a cricket match ("ccm") has changed."""
        return

    # -- life ----------------------------------------------------------------------------------------------------

    @property
    def all_criteria(self) -> tuple[object, ...]:
        return (self.account.username, self.operation, *self.criteria)

    def check_clocks(self) -> None:
        """Find what the client goes on from. To be called at the end of making one.

        Raises:
            StreamError: INVALID_CLOCK.
        """
        initial_clk, clk = self._clocks
        if not initial_clk and not clk:
            return
        if self.server.fault("stream.refuse_clock", self.connection, self.operation):
            raise refused("the rehearsal wants it so")
        if not initial_clk or not clk:
            raise refused("initialClk and clk go together")
        self._resumed = self.server.clocks.resumed(self.operation, self.all_criteria, initial_clk, clk, self.latest)

    def start(self) -> None:
        """Send the image, or what has changed since the clocks; changes follow."""
        if self.closed:
            return
        self.started = True
        latest = self.latest
        self._new_image(latest)
        if self.muted:
            pass
        elif self._resumed is None:
            self._send(self.whole(), SUB_IMAGE)
        else:
            self._send(self.since(*self._resumed), RESUB_DELTA)
        self.sequence = latest
        self._arm("heartbeat", self.heartbeat_ms, self._beat)
        if self.conflate_ms:
            self._arm("conflate", self.conflate_ms, self._conflated)

    def send_image(self) -> None:
        """Send an image in mid-stream: it replaces what the client knows."""
        latest = self.latest
        self._new_image(latest)
        self._send(self.whole(), SUB_IMAGE)
        self.sequence = latest

    def _new_image(self, latest: int) -> None:
        if self.image is not None:
            self.image.live = False
        self.image = self.server.clocks.image(self.all_criteria, latest)

    def close(self) -> None:
        """Send nothing more."""
        self.closed = True
        self.server.unsubscribed(self)
        if self.image is not None:
            self.image.live = False
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    # -- sending -------------------------------------------------------------------------------------------------

    def message_ended(self) -> None:
        """All changes of one moment have been told."""
        if self.connection.slow:
            self.collecting = True
        elif not self.conflate_ms:
            self.flush()

    def flush(self) -> None:
        """Send what has been collected, as far as the client reads."""
        if self.closed or not self.started:
            return
        if self.muted:
            self.take()
            return
        if self.connection.slow:
            return  # the connection calls again
        latest = self.latest
        if not self.connection.strained:
            if changes := self.take():
                self._send(changes)
        else:
            # In pieces, until the client is slow again. What is left has no clock.
            while self.due and not self.connection.slow:
                changes = self.take(CHANGES_PER_MESSAGE)
                self._message(changes, None if self.due else latest)
        if not self.due:
            self.sequence = latest
        self.collecting = self.conflate_ms > 0 or self.due

    def _send(self, changes: Sequence[bytes], change_type: str | None = None) -> None:
        """Send changes, in as many messages as it takes; the last one has the clock."""
        latest = self.latest
        pieces = [changes[at : at + CHANGES_PER_MESSAGE] for at in range(0, len(changes), CHANGES_PER_MESSAGE)] or [()]
        if len(pieces) == 1:
            self._message(changes, latest, change_type)
        elif self.segmented:
            for place, piece in enumerate(pieces):
                last = place == len(pieces) - 1
                segment = "SEG_END" if last else "SEG" if place else "SEG_START"
                self._message(piece, latest if last else None, change_type, segment)
        elif change_type is not None:
            # Clients take an image as a whole: without segments it is one message.
            self._message(changes, latest, change_type)
        else:
            for place, piece in enumerate(pieces):
                self._message(piece, latest if place == len(pieces) - 1 else None)

    def _message(
        self,
        changes: Sequence[bytes],
        sequence: int | None,
        change_type: str | None = None,
        segment: str | None = None,
    ) -> None:
        """Send one message; without a clock if `sequence` is None."""
        server = self.server
        parts = [self._head]
        if change_type is not None and change_type != HEARTBEAT and sequence is not None and self.image is not None:
            parts.append(b',"initialClk":"%s"' % self.image.token.encode())
        if sequence is not None:
            parts.append(b',"clk":"%s"' % server.clocks.clk(self.operation, sequence).encode())
        if change_type is not None and change_type != HEARTBEAT:
            parts.append(b',"conflateMs":%d,"heartbeatMs":%d' % (self.conflate_ms, self.heartbeat_ms))
        parts.append(b',"pt":%d' % self._publish_time())
        if change_type is not None:
            parts.append(b',"ct":"%s"' % change_type.encode())
        if segment is not None:
            parts.append(b',"segmentType":"%s"' % segment.encode())
        if server.faults.armed or self._unhealthy_until:
            if fault := server.fault(f"{self.fault_group}.status_503", self.connection, self.operation):
                self._unhealthy_until = server.now() + fault.seconds
                parts.append(b',"status":503')
            elif self._unhealthy_until > server.now():
                parts.append(b',"status":503')
            else:
                self._unhealthy_until = 0.0
        if changes:
            parts.append(b',"%s":[%s]' % (self.lookup.encode(), b",".join(changes)))
        parts.append(b"}\r\n")
        data = b"".join(parts)
        self._last_sent = server.now()
        self.connection.send(data, self.operation)
        server.sent(self, data, change_type)

    def _publish_time(self) -> int:
        return self.server.publish_time

    # -- timers --------------------------------------------------------------------------------------------------

    def _arm(self, name: str, milliseconds: float, function: Any) -> None:
        self._timers[name] = self.server.loop.call_later(milliseconds / 1000, function)

    def _beat(self) -> None:
        """Send a heartbeat if nothing else was sent for as long."""
        left = self.heartbeat_ms - (self.server.now() - self._last_sent) * 1000
        if left <= 1:
            left = self.heartbeat_ms
            if not self.connection.slow:
                if not self.due:
                    self.sequence = self.latest
                self._message((), None if self.due else self.sequence, HEARTBEAT)
        self._arm("heartbeat", left, self._beat)

    def _conflated(self) -> None:
        self._arm("conflate", self.conflate_ms, self._conflated)
        if self.due:
            self.flush()
