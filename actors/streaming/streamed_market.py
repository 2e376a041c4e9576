"""A market as a stream knows it: its book, folded so that whoever comes late gets an image first."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import msgspec

from ...strategies.book import MarketBook
from ...strategies.book_image import image_change
from ...strategies.change_lines import decode_line
from ...strategies.changes import MarketChange, MarketDefinition
from ...values import UNREADABLE


class _Definition(msgspec.Struct, rename={"market_definition": "marketDefinition"}, gc=False):
    """Of a change, its definition as it came."""

    market_definition: msgspec.Raw = msgspec.Raw()


decode_change = msgspec.json.Decoder(MarketChange).decode
decode_definition = msgspec.json.Decoder(MarketDefinition).decode
_decode_raw = msgspec.json.Decoder(_Definition).decode
_encode = msgspec.json.Encoder().encode


class UnreadableChangeError(ValueError):
    """A change cannot be read, not even in part; says why."""


@dataclasses.dataclass(slots=True)
class ReadChange:
    """A change that was read.

    Attributes:
        change: decoded.
        data: JSON that decodes to it: as it came, or put in order where it was odd.
        definition: of it, JSON; empty where it has none.
    """

    change: MarketChange
    data: bytes
    definition: bytes = b""


def read_change(raw: msgspec.Raw | bytes) -> ReadChange:
    """Read one element of `mc`. What is odd in it, such as null or a number as text, is put in order.

    Raises:
        UnreadableChangeError: it cannot be used.
    """
    data = bytes(raw)
    try:
        change = decode_change(data)
    except UNREADABLE:
        return _patiently(data)
    if change.market_definition is None:
        return ReadChange(change, data)
    return ReadChange(change, data, bytes(_decode_raw(data).market_definition))


def _patiently(data: bytes) -> ReadChange:
    try:
        (message,) = decode_line(b'{"op":"mcm","pt":0,"mc":[' + data + b"]}")
        (change,) = message.mc
    except ValueError as error:
        raise UnreadableChangeError(f"a change of a market cannot be read ({error}): {data[:80]!r}") from None
    if change.id is None:
        raise UnreadableChangeError(f"a change has no market id: {data[:80]!r}")
    found = ReadChange(change, _encode(change))
    if change.market_definition is not None:
        found.definition = _encode(change.market_definition)
    return found


def newest(reads: Iterable[tuple[msgspec.Raw, ReadChange]]) -> Iterable[tuple[msgspec.Raw, ReadChange]]:
    """The changes of an image; of a market that is in it twice, having been moved, the one of higher version."""
    found: dict[str, tuple[int, tuple[msgspec.Raw, ReadChange]]] = {}
    for each in reads:
        change = each[1].change
        version = -1 if change.market_definition is None else change.market_definition.version
        known = found.get(change.id or "")
        if known is None or version > known[0]:
            found[change.id or ""] = (version, each)
    return [each for _, each in found.values()]


class StreamedMarket:
    """A market of one connection.

    Attributes:
        book: as it is folded.
        definition: the last one, JSON; empty while none has come.
        routes: crew and host: where its changes go.
        closed_at: when it was last seen to close, milliseconds since the epoch; None while it is open.
        image_at: number of the image that it was last in.
        seen: the coordinator has been told of it.
        left: the version with which it was over for everybody; None: it is not, or it has changed since.
    """

    __slots__ = ("book", "closed_at", "definition", "image_at", "left", "routes", "seen")

    def __init__(self, market_id: str) -> None:
        self.book = MarketBook(market_id)
        self.definition = b""
        self.routes: list[tuple[str, str]] = []
        self.closed_at: int | None = None
        self.image_at = 0
        self.seen = False
        self.left: int | None = None

    @property
    def market_id(self) -> str:
        return self.book.market_id

    def fold(self, pt: int, read: ReadChange, at_ms: int) -> None:
        """Take a change."""
        self.book.apply(pt, read.change)
        if read.definition:
            self.definition = read.definition
            if self.book.status != "CLOSED":
                self.closed_at = None
            elif self.closed_at is None:
                self.closed_at = at_ms

    def image(self) -> bytes:
        """All of it, as one change."""
        change: dict[str, Any] = image_change(self.book)
        if self.definition:
            change["marketDefinition"] = msgspec.Raw(self.definition)
        return _encode(change)
