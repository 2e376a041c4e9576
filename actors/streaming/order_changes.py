"""Messages of the order stream, decoded: what is in them, and how a bet stands by them.

Source: Betfair Exchange Stream API, "Order Stream", and its schema (ESASwaggerSchema 1.0.1423).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec

from ...strategies.currency import pence
from ...strategies.host import order_id_of
from ...strategies.messages import STREAM, OrderFact

SIDES = {"B": "BACK", "L": "LAY"}
_PERSISTENCE = {"L": "LAPSE", "P": "PERSIST", "MOC": "MARKET_ON_CLOSE"}
#: Kinds of orders that wait for the starting price.
_AT_SP = ("LOC", "MOC")


class StreamOrder(msgspec.Struct, gc=False):
    """One of `uo`: a bet as it is at the message's publish time.

    Attributes:
        id: its number. p, s: price and size that were asked for; 0 where the kind of order has none.
        bsp: liability of a bet at the starting price.
        side: B or L. status: E, or EC: execution complete. pt: L, P or MOC. ot: L, LOC or MOC.
        pd, md, cd, ld: when it was placed, last matched, cancelled, lapsed.
        avp: average price matched.
        sm, sr, sl, sc, sv: sizes matched, remaining, lapsed, cancelled, voided.
        rfo, rfs: references of the order and of the strategy; "" for none.
    """

    id: str | int
    side: str
    status: str
    ot: str | None = None
    pt: str | None = None
    p: float | None = None
    s: float | None = None
    bsp: float | None = None
    pd: int | None = None
    md: int | None = None
    cd: int | None = None
    ld: int | None = None
    lsrc: str | None = None
    avp: float | None = None
    sm: float | None = None
    sr: float | None = None
    sl: float | None = None
    sc: float | None = None
    sv: float | None = None
    rfo: str | None = None
    rfs: str | None = None


class RunnerChange(msgspec.Struct, gc=False):
    """One of `orc`."""

    id: int
    hc: float | None = None
    full_image: bool | None = msgspec.field(default=None, name="fullImage")
    uo: list[msgspec.Raw] | None = None
    mb: list[tuple[float, float]] | None = None
    ml: list[tuple[float, float]] | None = None


class MarketChange(msgspec.Struct, gc=False):
    """One of `oc`. `closed`: None where that has not changed."""

    id: str
    closed: bool | None = None
    full_image: bool | None = msgspec.field(default=None, name="fullImage")
    orc: list[RunnerChange] | None = None


# Clients have met numbers written as texts.
DECODE_MARKET = msgspec.json.Decoder(MarketChange, strict=False).decode
_DECODE_ORDER = msgspec.json.Decoder(StreamOrder, strict=False).decode


def decoded_order(raw: bytes | msgspec.Raw) -> StreamOrder:
    """Read one of `uo`.

    Raises:
        msgspec.DecodeError: it is not an order of the stream.
    """
    order = _DECODE_ORDER(raw)
    if order.side not in SIDES or not _finite(order):
        raise msgspec.ValidationError(f"side {order.side!r}, or a number that is none")
    return order


def fact_of(
    market_id: str, order: StreamOrder, at: int, average: float, liability: float = 0.0, closed: bool = False
) -> OrderFact:
    """How a bet stands, as a message. Sizes are to the penny.

    A bet at the starting price is EC from its placing, with sizes of 0: until then it can be matched, as here an order
    that waits is not complete. One whose price was edited was cancelled (`cd`), although no size of it was.

    Args:
        average: of what is matched: the stream leaves it out at times.
        liability: of a bet at the starting price.
        closed: the market has closed: nothing waits any longer.
    """
    matched, lapsed, cancelled, voided = (pence(each or 0.0) for each in (order.sm, order.sl, order.sc, order.sv))
    at_sp = order.ot in _AT_SP and not order.s
    executable = order.status == "E"
    if at_sp and not executable and not closed:
        executable = not (matched or lapsed or cancelled or voided or order.cd or order.ld)
    return OrderFact(
        market_id=market_id,
        order_id=order_id_of(order.rfo or ""),
        bet_id=str(order.id),
        source=STREAM,
        at=at,
        executable=executable,
        price=order.p or None,
        size=(liability if at_sp else order.s) or 0.0,
        persistence_type=None if at_sp else _PERSISTENCE.get(order.pt or ""),
        matched=matched,
        average=average,
        remaining=pence(order.sr or 0.0) if order.status == "E" else 0.0,
        cancelled=cancelled,
        lapsed=lapsed,
        voided=voided,
    )


def _numbers(order: StreamOrder) -> Iterator[float | None]:
    yield from (order.p, order.s, order.bsp, order.avp, order.sm, order.sr, order.sl, order.sc, order.sv)


def _finite(order: StreamOrder) -> bool:
    return all(each is None or math.isfinite(each) for each in _numbers(order))


def shown(raw: bytes | msgspec.Raw) -> str:
    """It as text, for people: cut where it is long."""
    text = bytes(raw).decode(errors="replace")
    return text if len(text) <= 200 else f"{text[:200]}..."
