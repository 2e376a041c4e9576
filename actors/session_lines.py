"""Lines of a recorded session: what a live host took for one market, in order, with the time of each turn.

The changes of the market are lines as the exchange sends them, with a few fields more, so the file is a recording as
any other. Beside them stand the strategies' requests and what came in answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ..strategies.changes import MarketChange, Millis
from ..strategies.messages import ClearedOrder, OrderFact, Reply, Request

#: `op` of lines: a change; what the file is of; a request that strategies made; one that was matched on paper; what
#: came in answer; a custom event.
CHANGE, BEGIN, ASKED, PAPER, ANSWERED, EVENT = "mcm", "session", "asked", "paper", "answered", "event"


class SessionLine(msgspec.Struct, gc=False):
    """One line.

    Attributes:
        op: see above.
        pt: of a change: when it was published; of others as `at`. Milliseconds since the epoch.
        at: the time of the turn, by the host's clock, milliseconds since the epoch.
        woke: when, since the line before, timers were last run in a turn of their own; 0: they were not.
        mc: of a change: one.
        more: further changes of the market were waiting: strategies were not called.
        strategies: of the beginning: names of those that the host called, in order.
        host: of the beginning and of an event: the host's name.
        number: of an event: its number at the host.
        event, market_ids: of an event: its payload, and the markets that it is for.
        awaits, awaited: of an event: it comes to markets that open later as well: to these; None: to all.
    """

    op: str
    pt: Millis = 0
    at: int = 0
    woke: int = 0
    mc: list[MarketChange] = []
    more: bool = False
    strategies: tuple[str, ...] = ()
    host: str = ""
    request: Request | None = None
    answer: Reply | OrderFact | ClearedOrder | None = None
    number: int = 0
    event: object = None
    market_ids: tuple[str, ...] | None = None
    awaits: bool = False
    awaited: tuple[str, ...] | None = None


_encoder = msgspec.json.Encoder()


def change_line(pt: int, at: int, change: bytes, image: bool, more: bool, clk: str | None) -> bytes:
    """The line of a change. `change`: JSON as it came; `image`: it replaces what was known."""
    if image and b'"img"' not in change:
        change = b'{"img":true,' + change.lstrip()[1:]
    clock = b'"clk":' + _encoder.encode(clk) + b"," if clk else b""
    return b'{"op":"mcm",%b"pt":%d,"at":%d,%b"mc":[%b]}' % (clock, pt, at, b'"more":true,' if more else b"", change)


def begin_line(at: int, host: str, strategies: Sequence[str]) -> bytes:
    """The first line of a market."""
    return _encoder.encode({"op": BEGIN, "pt": at, "at": at, "host": host, "strategies": strategies})


def asked_line(at: int, request: Request, paper: bool = False) -> bytes:
    """The line of a request. `paper`: it has come back, to be matched here."""
    return _encoder.encode({"op": PAPER if paper else ASKED, "pt": at, "at": at, "request": request})


def answered_line(at: int, answer: Reply | OrderFact | ClearedOrder) -> bytes:
    """The line of an answer."""
    return _encoder.encode({"op": ANSWERED, "pt": at, "at": at, "answer": answer})


def after_waking(line: bytes, woke: int) -> bytes:
    """A line before which timers were run."""
    return b'{"woke":%d,' % woke + line[1:]


def event_line(at: int, host: str, number: int, event: object, **fields: object) -> bytes:
    """The line of a custom event.

    Args:
        fields: `market_ids`, `awaits` and `awaited` of the line, where they are not as usual.

    Raises:
        TypeError: its payload cannot be written as JSON.
    """
    told = {"op": EVENT, "pt": at, "at": at, "host": host, "number": number, "event": event}
    # An event that names no market stays so: it is for none.
    return _encoder.encode(told | {name: value for name, value in fields.items() if value not in (None, False)})
