"""Messages of the exchange's streams, decoded as far as a stream has to look; changes stay as they came.

Source: Betfair Exchange Stream API, and its schema ESASwaggerSchema. Fields that are not known are ignored; null is
absent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import msgspec


class StreamMessage(msgspec.Struct, rename="camel", gc=False):
    """Whatever the exchange sends on a stream.

    Attributes:
        op: connection, status, or that of a change message: mcm, ocm, rcm, ccm.
        id: of the request that it answers or belongs to.
        ct: SUB_IMAGE, RESUB_DELTA, HEARTBEAT; None: an update.
        segment_type: SEG_START, SEG, SEG_END; None: it is whole.
        pt: publish time, milliseconds since the epoch.
        status: of a change message: 503 while the exchange's own sources are not well.
        mc, oc, rc, cc: changes of markets, orders, races, cricket matches.
        status_code and those below: of a status.
    """

    op: str = ""
    id: int | None = None
    initial_clk: str | None = None
    clk: str | None = None
    conflate_ms: int | None = None
    heartbeat_ms: int | None = None
    pt: int | None = None
    ct: str | None = None
    segment_type: str | None = None
    status: int | None = None
    mc: list[msgspec.Raw] | None = None
    oc: list[msgspec.Raw] | None = None
    rc: list[msgspec.Raw] | None = None
    cc: list[msgspec.Raw] | None = None
    status_code: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    connection_closed: bool | None = None
    connections_available: int | None = None
    connection_id: str | None = None


decode_message = msgspec.json.Decoder(StreamMessage).decode

#: Where a kind of change message has its changes.
LOOKUPS = {"mcm": "mc", "ocm": "oc", "rcm": "rc", "ccm": "cc"}
#: What a subscription's messages are.
OPS = {
    "marketSubscription": "mcm",
    "orderSubscription": "ocm",
    "raceSubscription": "rcm",
    "cricketSubscription": "ccm",
}


@dataclasses.dataclass(slots=True)
class Batch:
    """Changes that belong together: a message, or all segments of one.

    Attributes:
        changes: JSON, as they came.
        pt: publish time, milliseconds since the epoch; 0 where the exchange did not say.
        received_ns: when its last piece was read, nanoseconds since the epoch.
        image: it replaces all that was known of the subscription.
        resumed: it is what has changed since the clock with which was subscribed again.
        clk: as it came.
        initial_clk: as it came, with images.
        status: 503 while the exchange's own sources are not well.
    """

    changes: Sequence[msgspec.Raw]
    pt: int
    received_ns: int
    image: bool = False
    resumed: bool = False
    clk: str | None = None
    initial_clk: str | None = None
    status: int | None = None
