"""What is asked of a stream, and where it has got to: requests, clocks, images, segments. Values in, values out.

Sources: Betfair Exchange Stream API, "Re-connection / Re-subscription" and "Segmentation".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from .stream_messages import LOOKUPS, OPS, Batch, StreamMessage


class Subscription:
    """One subscription, over any number of connections.

    Clocks are kept from whole messages only, once their changes have been handed on; with them the next connection goes
    on where the last one ended. They are good for the same request only, and are dropped once the exchange has refused
    them.

    Args:
        operation: marketSubscription, orderSubscription, raceSubscription or cricketSubscription.
        request: what is asked for, without `op`, `id` and clocks; `heartbeatMs` among it.

    Attributes:
        id: of the request in force; None before one was taken.
        asked: id of the request that is not answered; None: none is.
        imaged: an image, or what has changed since the clocks, has come since the request was taken.
        heartbeat_ms: what holds, as the exchange says.
        images: the exchange sends an image of this kind.
    """

    def __init__(self, operation: str, request: Mapping[str, Any]) -> None:
        self.operation = operation
        self.op = OPS[operation]
        self._lookup = LOOKUPS[self.op]
        self._request = dict(request)
        self.images = operation in ("marketSubscription", "orderSubscription")
        self.id: int | None = None
        self.asked: int | None = None
        self.imaged = False
        self.heartbeat_ms = int(request.get("heartbeatMs") or 5_000)
        self._initial_clk: str | None = None
        self._clk: str | None = None
        self._segments: list[msgspec.Raw] | None = None
        self._segments_image = False
        self._segments_initial: str | None = None

    @property
    def request(self) -> Mapping[str, Any]:
        """What is asked for."""
        return self._request

    @property
    def resumable(self) -> bool:
        """There are clocks to go on from. Sports data has no images to go on from."""
        return self.images and self._initial_clk is not None and self._clk is not None

    def change(self, request: Mapping[str, Any]) -> None:
        """Ask for something else from the next request on: an image will come."""
        self._request = dict(request)
        self.forget_clocks()

    def forget_clocks(self) -> None:
        """The next request is for a new image."""
        self._initial_clk = self._clk = None

    def ask(self, number: int) -> bytes:
        """The line of a request, with this id."""
        self.asked = number
        message: dict[str, Any] = {"op": self.operation, "id": number, **self._request}
        if self.resumable:
            message["initialClk"] = self._initial_clk
            message["clk"] = self._clk
        return msgspec.json.encode(message) + b"\r\n"

    def taken(self) -> None:
        """The request was taken: messages with its id count from now on, and no others."""
        self.id, self.asked = self.asked, None
        self.imaged = not self.images
        self._segments = None

    def refused(self) -> None:
        """The request was refused: the one in force goes on, if there is one."""
        self.asked = None

    def disconnected(self) -> None:
        """The connection has ended: what came in part is void."""
        self.id = self.asked = None
        self.imaged = False
        self._segments = None

    def take(self, message: StreamMessage, received_ns: int) -> Batch | None:
        """The changes of a message; None while there are none: a heartbeat, a segment, another subscription's."""
        if self.id is None or message.id != self.id or message.op != self.op:
            return None
        if message.heartbeat_ms:
            self.heartbeat_ms = message.heartbeat_ms
        if message.ct == "HEARTBEAT":
            self._note(message.initial_clk, message.clk)
            return None
        image, resumed = message.ct == "SUB_IMAGE", message.ct == "RESUB_DELTA"
        if not self.imaged and not (image or resumed):
            return None  # of the time before this subscription's own image
        changes = getattr(message, self._lookup) or []
        initial = message.initial_clk
        if message.segment_type is not None:
            if message.segment_type == "SEG_START" or self._segments is None:
                self._segments, self._segments_image, self._segments_initial = [], image, None
            self._segments.extend(changes)
            self._segments_initial = initial or self._segments_initial
            if message.segment_type != "SEG_END":
                return None
            changes, image, initial = self._segments, self._segments_image or image, self._segments_initial
            self._segments = None
        self.imaged = True
        return Batch(
            changes,
            message.pt or 0,
            received_ns,
            image=image,
            resumed=resumed,
            clk=message.clk,
            initial_clk=initial,
            status=message.status,
        )

    def done(self, batch: Batch) -> None:
        """A batch has been handed on in full: its clocks count."""
        self._note(batch.initial_clk, batch.clk)

    def _note(self, initial_clk: str | None, clk: str | None) -> None:
        if initial_clk:
            self._initial_clk = initial_clk
        if clk and self.imaged:
            self._clk = clk
