"""Lines of a recording, decoded for the engine, with market definitions whole as they were recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from ....strategies.change_lines import decode_line, objects_of
from ....strategies.changes import ChangeMessage, MarketChange, MarketDefinition, Millis, OddMessage, RunnerChange
from ....strategies.errors import RecordingError
from ....values import UNREADABLE
from ...reading.recordings import Recording
from ..feed_messages import FeedChange
from ..timeline import Rebasing
from .recorded_times import move_definition, moved_definition


class RecordedChange(msgspec.Struct, gc=False):
    """A change of one market, as it was recorded.

    Attributes:
        change: as decoded.
        definition: the market definition with all its fields; None where it does not change.
        conflated: the recording says that this change holds several.
    """

    change: MarketChange
    definition: dict[str, Any] | None = None
    conflated: bool = False

    def played(self, rebasing: Rebasing) -> FeedChange:
        """The change in exchange time. Its definition is moved in place: this is for once."""
        definition = self.definition
        if definition is None or self.change.market_definition is None:
            return FeedChange(self.change, None, self.conflated)
        move_definition(self.change.market_definition, rebasing)
        return FeedChange(self.change, moved_definition(definition, rebasing), self.conflated)


class RecordedLine(msgspec.Struct, gc=False):
    """One message: its publish time, milliseconds since the epoch, and the changes that it holds.

    Attributes:
        oddities: what in it says nothing and is taken as not given, in words, each with the field's name.
    """

    number: int
    pt: int
    changes: list[RecordedChange]
    oddities: list[tuple[str, RecordingError]] = []


class _Change(msgspec.Struct, gc=False):
    id: str | None = None
    definition: msgspec.Raw = msgspec.field(name="marketDefinition", default=msgspec.Raw())
    rc: list[RunnerChange] = []
    con: bool | None = False
    img: bool | None = False
    tv: float | None = None


class _Message(msgspec.Struct, gc=False):
    pt: Millis
    mc: list[_Change] = []


_decoder = msgspec.json.Decoder(_Message)
_definitions = msgspec.json.Decoder(MarketDefinition)
_whole_definitions = msgspec.json.Decoder(dict[str, Any])
_ABSENT = (b"", b"null")


def recorded_lines(recording: Recording) -> Iterator[RecordedLine | RecordingError]:
    """The messages of a recording that hold changes; an error for each line that cannot be read.

    Changes of markets that are not meant (`Source.only`) are left out.

    Raises:
        RecordingError: the recording cannot be read on.
    """
    only = None if recording.source.only is None else frozenset(recording.source.only)
    for number, lines in recording.pieces():
        try:
            found: Sequence[RecordedLine | RecordingError] = decode_recorded(number, lines)
        except UNREADABLE:
            found = list(_patiently(recording, number, lines))
        for line in found:
            if isinstance(line, RecordedLine):
                if only is not None:
                    line.changes = [each for each in line.changes if each.change.id in only]
                if not line.changes and not line.oddities:
                    continue
            yield line


def decode_recorded(number: int, lines: bytes) -> list[RecordedLine]:
    """Whole lines that are as the exchange sends them; `number` is that of the first.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError: a line is not.
    """
    return [
        RecordedLine(line, message.pt, [_recorded(each) for each in message.mc])
        for line, message in enumerate(_decoder.decode_lines(lines), number)
    ]


def _recorded(found: _Change) -> RecordedChange:
    raw = found.definition
    change = MarketChange(id=found.id, rc=found.rc, img=found.img, tv=found.tv)
    conflated = found.con is True
    if not raw or bytes(raw) in _ABSENT:
        return RecordedChange(change, None, conflated)
    change.market_definition = _definitions.decode(raw)
    return RecordedChange(change, _whole_definitions.decode(raw), conflated)


def _patiently(recording: Recording, number: int, lines: bytes) -> Iterator[RecordedLine | RecordingError]:
    for at, text in enumerate(lines.split(b"\n"), number):
        if not text.strip():
            continue
        try:
            messages = decode_line(text)
        except ValueError as error:
            shown = text[:60].decode("utf-8", "replace")
            told = f"{error} (the line of {len(text)} bytes begins {shown!r})"
            yield RecordingError(told, recording.name, at)
            continue
        for message, raw in zip(messages, objects_of(text), strict=True):
            yield _line(recording, at, message, raw)


def _line(recording: Recording, number: int, message: ChangeMessage, raw: dict[str, Any]) -> RecordedLine:
    data = [datum for datum in raw.get("mc") or () if isinstance(datum, dict)]  # no other could be read
    changes = [
        RecordedChange(
            change,
            datum.get("marketDefinition") if change.market_definition is not None else None,
            datum.get("con") is True,
        )
        for change, datum in zip(message.mc, data, strict=True)
    ]
    oddities = message.oddities if isinstance(message, OddMessage) else []
    told = [(each.field, RecordingError(each.message, recording.name, number, each.market_id)) for each in oddities]
    return RecordedLine(number, message.pt, changes, told)
