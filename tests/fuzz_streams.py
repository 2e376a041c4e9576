"""The streams of a live system fed with bytes: what a connection reads, what hosts and the coordinator are told."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from builders import MARKET, T0, priced
from headrace.actors.letters import ForeignBet, Letter, MarketUpdate, Position, Route
from headrace.actors.live.crews import StreamPlan
from headrace.actors.streaming.connection import Connection
from headrace.actors.streaming.line_socket import Opening
from headrace.actors.streaming.market_stream import MarketStreamRole
from headrace.actors.streaming.order_stream import OrderStreamRole
from headrace.actors.streaming.stream_codes import DOWN, SUBSCRIBED
from headrace.actors.streaming.stream_place import StreamPlace
from headrace.actors.streaming.stream_role import StreamRole
from headrace.strategies.book import MarketBook
from headrace.strategies.book_image import image_change
from headrace.strategies.change_lines import decode_line
from headrace.strategies.changes import MarketChange
from headrace.strategies.messages import OrderFact
from live_builders import FakeMail

_PLACE = StreamPlace("127.0.0.1", 1, tls=False)
_change = msgspec.json.Decoder(MarketChange)


class Wire:
    """A socket that has all that will ever come."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def recv(self, size: int) -> bytes:
        if not self.pieces:
            raise BlockingIOError
        piece = self.pieces.pop(0)
        if len(piece) > size:
            self.pieces.insert(0, piece[size:])
        return piece[:size]

    def send(self, data: bytes) -> int:
        return len(data)

    def shutdown(self, how: int) -> None:
        """Nobody hears of it."""

    def close(self) -> None:
        """Nobody hears of it."""


class Opened:
    """A connection that has been made."""

    file = None

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def take(self) -> Wire:
        return self._wire


def _line(**message: Any) -> bytes:
    return json.dumps(message).encode() + b"\r\n"


GREETING = _line(op="connection", connectionId="1")
AUTHENTICATED = _line(op="status", id=1, statusCode="SUCCESS", connectionsAvailable=9)
SUBSCRIBED_LINE = _line(op="status", id=2, statusCode="SUCCESS")


class _Fed:
    """A stream that has been fed.

    Args:
        image: comes first in an input that asks for it.
    """

    def __init__(self, role: StreamRole, image: bytes, data: bytes) -> None:
        self.role = role
        self.mail = FakeMail(role.name)
        self.mail.know("h1", "fake:h1")
        role.start(self.mail)
        (self.connection,) = role.connections
        self.mail.sent.clear()
        before = (b"", GREETING, GREETING + AUTHENTICATED, GREETING + AUTHENTICATED + SUBSCRIBED_LINE)
        how, self.lines = (data[0], data[1:]) if data else (0, b"")
        handshake = [*before, before[-1] + image][min(how & 7, 4)]
        self.feed(handshake, 1 << 16)
        self.feed(self.lines, 1 << ((how >> 3) % 17))

    def feed(self, data: bytes, size: int) -> None:
        wire = Wire()
        wire.pieces = [data[at : at + size] for at in range(0, len(data), max(size, len(data) // 64 + 1))]
        connection = self.connection
        if connection._socket is None:
            if connection.state == DOWN:
                return  # it has ended, and waits
            connection._opening = cast(Opening, Opened(wire))
            connection._opened()
        else:
            connection._socket.file = cast(Any, wire)
        while wire.pieces and connection._socket is not None:
            connection._readable()

    def letters(self, name: str) -> list[Letter]:
        return [letter for to, letter in self.mail.sent if to == name]


def _require_sound(connection: Connection) -> None:
    assert "could not be taken" not in connection.error, connection.error
    assert connection.state != SUBSCRIBED or connection._socket is not None


# -- markets -----------------------------------------------------------------------------------------------------------


def market_stream(data: bytes) -> None:
    """Changes of markets, of which a host has one: its book is the stream's at all times."""
    role = MarketStreamRole(StreamPlan("s1", "marketSubscription", "{}"), _PLACE)
    fed = _Fed(role, _IMAGE, data)
    _require_sound(fed.connection)
    role.receive("c", Route("s1.market", MARKET, "h1"), T0)
    fed.feed(fed.lines, 1 << 16)
    _require_sound(fed.connection)
    book = MarketBook(MARKET)
    for letter in fed.letters("h1"):
        assert isinstance(letter, MarketUpdate)
        change = _read(letter)
        if letter.image:
            change.img = True
        book.apply(letter.pt, change)
    market = role._markets.get(MARKET)
    if market is not None and market.routes:
        assert image_change(book) == image_change(market.book)


def _read(letter: MarketUpdate) -> MarketChange:
    """As hosts read it."""
    try:
        return _change.decode(letter.change)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        ((message,),) = (decode_line(b'{"op":"mcm","pt":0,"mc":[' + letter.change + b"]}"),)
        return message.mc[0]


def _messages(**of: Any) -> Sequence[bytes]:
    stream = priced().touch(200).turn_in_play(500, bet_delay=1).remove(900, 2, 20.0).suspend(2000).close(9000)
    found = []
    for number, each in enumerate(stream.lines):
        image: dict[str, Any] = {"ct": "SUB_IMAGE", "initialClk": "x"} if not number else {}
        found.append(_line(**{**each, "id": 2, "clk": f"c{number}", **image, **of}))
    return found


_IMAGE = _messages()[0].replace(b'"mc": [{', b'"mc": [{"img": true, ')
_LINES = [_IMAGE, *_messages()[1:]]
_BATB = _line(op="mcm", id=2, pt=T0 + 99, clk="d", mc=[{"id": MARKET, "rc": [
    {"id": 1, "batb": [[0, 2.0, 5], [1, 1.9, 3]], "batl": [[0, 2.1, 4]], "bdatb": [[0, 2.0, 1]], "spn": 2.5,
     "spf": "NaN", "spb": [[2.0, 5]], "spl": [[3.0, 1]], "ltp": 2.02, "tv": 10.5, "hc": 0}],
     "con": True, "tv": 20.25}])  # fmt: skip
_SEGMENTS = b"".join(
    _line(op="mcm", id=2, pt=T0 + 100, segmentType=kind, clk="e", mc=[{"id": MARKET, "rc": [{"id": 1, "ltp": price}]}])
    for kind, price in (("SEG_START", 2.0), ("SEG", 2.1), ("SEG_END", 2.2))
)
_OTHERS = (
    _line(op="mcm", id=2, pt=T0 + 5, ct="HEARTBEAT", clk="f"),
    _line(op="mcm", id=2, pt=T0 + 5, ct="RESUB_DELTA", clk="f", status=503),
    _line(op="status", id=2, statusCode="FAILURE", errorCode="INVALID_CLOCK", connectionClosed=True),
    _line(op="mcm", id=2, pt=T0 + 6, mc=[{"id": MARKET, "marketDefinition": None, "rc": [{"id": "1", "ltp": "2.0"}]}]),
)
MARKET_LINES = [bytes([how]) + b"".join(lines) for how, lines in (
    (4, _LINES[1:]), (3, _LINES), (4, [_BATB, *_LINES[1:3]]), (4 + 24, [_SEGMENTS, _LINES[1]]), (4, _OTHERS),
    (0, [GREETING, AUTHENTICATED, SUBSCRIBED_LINE, *_LINES[:2]]),
)]  # fmt: skip


# -- orders ------------------------------------------------------------------------------------------------------------


def order_stream(data: bytes) -> None:
    """An account's bets: what is told of them is of one piece, and all numbers are numbers."""
    role = OrderStreamRole(StreamPlan("o1", "orderSubscription", venue="Betfair", username="alice"), _PLACE, "mine")
    fed = _Fed(role, _ORDERS_IMAGE, data)
    role.receive("c", Route("s1.market", MARKET, "h1"), T0)
    fed.feed(fed.lines, 1 << 16)
    _require_sound(fed.connection)
    known: dict[str, OrderFact] = {}
    for letter in fed.letters("c"):
        if isinstance(letter, OrderFact):
            _require_fact(letter)
            assert letter.bet_id is not None
            before = known.get(letter.bet_id)
            if before is not None and before.market_id == letter.market_id:
                # Facts of one bet differ in time, or are the same.
                assert letter.at != before.at or letter == before
            known[letter.bet_id] = letter
        elif isinstance(letter, ForeignBet):
            assert letter.fact is not None
            _require_fact(letter.fact)
        elif isinstance(letter, Position):
            for price, size in (*letter.backs, *letter.lays):
                assert math.isfinite(price + size)


def _require_fact(fact: OrderFact) -> None:
    numbers = (fact.size, fact.matched, fact.average, fact.remaining, fact.cancelled, fact.lapsed, fact.voided)
    assert all(math.isfinite(each) for each in numbers), fact
    assert fact.executable or not fact.remaining, fact


def _order(number: int, **of: Any) -> dict[str, Any]:
    made = {"id": str(number), "p": 3.0, "s": 5.0, "side": "B", "status": "E", "pt": "L", "ot": "L", "pd": T0}
    made |= {"sm": 0.0, "sr": 5.0, "sl": 0.0, "sc": 0.0, "sv": 0.0, "rac": "", "rc": "REG", "rfs": "mine"}
    return {**made, "rfo": f"0123456789abc-aaaabbbbccccdddd{number:02}", **of}


def _orders(*orders: dict[str, Any], message: dict[str, Any] | None = None, **runner: Any) -> bytes:
    change = {"id": MARKET, "orc": [{"id": 1, "uo": list(orders), **runner}]}
    return _line(op="ocm", id=2, pt=T0 + 10, clk="c", oc=[change], **(message or {}))


_ORDERS_IMAGE = _orders(_order(1), message={"ct": "SUB_IMAGE", "initialClk": "i"}, fullImage=True, mb=[[3.0, 2.0]])
_MATCHED = _orders(_order(1, sm=2.0, sr=3.0, avp=3.05, md=T0), mb=[[3.0, 2.0]], ml=[[2.0, 0]])
_ENDED = _orders(_order(1, status="EC", sm=2.0, sr=0.0, sc=3.0, avp=3.05, cd=T0))
_AT_SP = _orders(_order(2, ot="MOC", p=0.0, s=0.0, bsp=10.0, status="EC", pt=None), _order(3, rfs="", rfo=""))
_CLOSED = _line(op="ocm", id=2, pt=T0 + 20, clk="d", oc=[{"id": MARKET, "closed": True, "fullImage": True}])
ORDER_LINES = [bytes([how]) + b"".join(lines) for how, lines in (
    (4, [_MATCHED, _ENDED, _CLOSED]), (3, [_ORDERS_IMAGE, _AT_SP]), (4 + 24, [_AT_SP, _CLOSED, _MATCHED]),
    (0, [GREETING, AUTHENTICATED, SUBSCRIBED_LINE, _ORDERS_IMAGE, _MATCHED]),
)]  # fmt: skip
