"""Lines of a recording as messages: quickly where they are as the exchange sends them, patiently where they are not.

What a recorder may do to a line without changing what it says does no harm: null for what is absent, an id as a number,
a number as text, a time in milliseconds, a byte-order mark. A value that says nothing costs its field: it is taken as
not given. Only where nothing of a line can be used is the line lost.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import json
import re
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec

from ..values import UNREADABLE
from .changes import ChangeMessage, MarketChange, Oddity, OddMessage, StartingPrice

_Struct = TypeVar("_Struct", bound=msgspec.Struct)

_decoder = msgspec.json.Decoder(ChangeMessage)
_INDEX = re.compile(r"\[\d+\]")
_SURROGATES = re.compile("[\ud800-\udfff]")
#: Fields that tell what becomes of orders and when. Where one of these says nothing, neither does what holds it.
_DECISIVE = frozenset({"pt", "status", "id"})
#: Fields that are only handed on to strategies: what they hold changes nothing that is simulated.
_HANDED_ON = frozenset(
    {"timezone", "regulators", "suspendTime", "openDate", "settledTime", "suspendReason", "discountAllowed"}
    | {"keyLineDefinition", "name", "eventName", "removalDate", "sortPriority"}
    | {"crossMatching", "complete", "runnersVoidable"}
)


class Odd(ValueError):
    """A value that says nothing: where it stands, what it is, and what was expected."""

    def __init__(self, path: str, value: object, expected: str) -> None:
        shown = repr(value)
        super().__init__(f"{path} is {shown if len(shown) <= 60 else shown[:57] + '...'}, expected {expected}")
        self.path = path

    @property
    def field(self) -> str:
        """The field without the places in lists."""
        return _INDEX.sub("", self.path)


def decode_lines(lines: bytes) -> list[ChangeMessage]:
    """The messages of whole lines that are as the exchange sends them.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError: a line is not; `decode_line` may know what it says.
    """
    return _decoder.decode_lines(lines)


def decode_line(line: bytes) -> list[ChangeMessage]:
    """The messages of one line, which is one; none of a blank line, several where line ends are missing.

    Raises:
        ValueError: nothing of it can be used; says why.
    """
    try:
        return [_decoder.decode(line)]
    except UNREADABLE:
        pass
    text, oddities = _text(line)
    return [_Reading(each, oddities).message() for each in _objects(text)]


def readable(lines: bytes) -> tuple[list[ChangeMessage], bool]:
    """The messages of whole lines, as far as they can be read, and whether that is without loss."""
    with contextlib.suppress(*UNREADABLE):
        return decode_lines(lines), True
    found: list[ChangeMessage] = []
    whole = True
    for line in lines.split(b"\n"):
        try:
            found.extend(decode_line(line))
        except ValueError:
            whole = False
    return found, whole and not any(isinstance(message, OddMessage) for message in found)


def objects_of(line: bytes) -> list[dict[str, Any]]:
    """The objects of a line that `decode_line` reads, as they came."""
    try:
        return [msgspec.json.decode(line)]
    except UNREADABLE:
        return list(_objects(_text(line)[0]))


def _text(line: bytes) -> tuple[str, list[Oddity]]:
    line = line.removeprefix(b"\xef\xbb\xbf")
    try:
        return line.decode(), []
    except UnicodeDecodeError as error:
        what = f"byte {error.start + 1} of the line is not UTF-8; such bytes are shown as \N{REPLACEMENT CHARACTER}"
        return line.decode(errors="replace"), [Oddity("text", what, None, True)]


class _Written(float):
    """A number and how it was written: of an id such as 1.17025821**0** the number alone would lose the last digit."""

    text: str

    def __new__(cls, text: str) -> _Written:
        found = super().__new__(cls, text)
        found.text = text
        return found


# Python's recorders write NaN and Infinity as bare words; the exchange writes them as texts.
_json = json.JSONDecoder(parse_float=_Written, parse_constant=str)


def _objects(text: str) -> Iterator[Any]:
    at, end = 0, len(text)
    while True:
        while at < end and text[at] in " \t\r\n":
            at += 1
        if at == end:
            return
        try:
            found, at = _json.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            why = str(error) if isinstance(error, json.JSONDecodeError) else "it cannot be read"
            raise ValueError(f"is not JSON: {why}") from None
        yield found


class _Reading:
    """One object, read as a message."""

    def __init__(self, found: Any, oddities: list[Oddity]) -> None:
        self._found = found
        self._oddities = list(oddities)
        self._market_id: str | None = None

    def message(self) -> ChangeMessage:
        if not isinstance(self._found, dict):
            raise ValueError(f"is not a message: {str(self._found)[:60]!r}, expected an object")
        if self._found.get("pt") is None and not self._found.get("mc"):
            self._found["pt"] = 0  # a connection's greeting, or the answer to a subscription
        try:
            if self._found.get("pt") is None:
                raise ValueError("has no publish time (pt)")
            read = self._struct(ChangeMessage, self._found, "")
        except Odd as error:
            raise ValueError(f"cannot be used: {error}") from None
        if self._oddities:
            return OddMessage(pt=read.pt, mc=read.mc, oddities=self._oddities)
        return read

    def _struct(self, kind: type[_Struct], given: Any, path: str) -> _Struct:
        if not isinstance(given, dict):
            raise Odd(path, given, "an object")
        if kind is MarketChange:
            self._market_id = _as_text(given.get("id"))
        values = {}
        for field in _fields(kind):
            name = field.encode_name
            at = f"{path}.{name}" if path else name
            value = given.get(name)
            if value is None:
                if field.required:
                    raise Odd(at, value, _words(field.type))
                continue
            try:
                if name == "status" and not isinstance(value, str):
                    raise Odd(at, value, "a text")  # a number would pass for the word of one
                values[field.name] = self._value(field.type, value, at)
            except Odd as odd:
                # Runners, changes and messages are nothing without these; a definition without its status would open
                # a market that may have closed.
                if name in _DECISIVE and kind is not MarketChange:
                    raise
                self._note(odd, at)
        return kind(**values)

    def _value(self, kind: Any, value: Any, path: str) -> Any:
        kind = _without_none(kind)
        if typing.get_origin(kind) is list:
            return self._list(typing.get_args(kind)[0], value, path)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self._struct(kind, value, path)
        return _leaf(kind, value, path)

    def _list(self, kind: Any, value: Any, path: str) -> list[Any]:
        if not isinstance(value, list):
            raise Odd(path, value, "a list")
        found = []
        for at, each in enumerate(value):
            if each is None:
                continue
            place = f"{path}[{at}]"
            try:
                found.append(self._value(kind, each, place))
            except Odd as odd:
                self._note(odd, place)
        return found

    def _note(self, odd: Odd, lost: str) -> None:
        """Something is odd, and what stands at `lost` is taken as not given."""
        what = "taken as not given" if lost == odd.path else f"{lost} is left out"
        handed_on = not _HANDED_ON.isdisjoint(odd.field.split("."))
        self._oddities.append(Oddity(odd.field, f"{odd}; {what}", self._market_id, handed_on))


@functools.cache
def _fields(kind: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(kind)


def _without_none(kind: Any) -> Any:
    """X of `X | None`; a union of several others stays as it is."""
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        others = [each for each in typing.get_args(kind) if each is not type(None)]
        return others[0] if len(others) == 1 else kind
    return kind


def _leaf(kind: Any, value: Any, path: str) -> Any:
    if typing.get_origin(kind) is tuple:
        parts = typing.get_args(kind)
        if not isinstance(value, list) or len(value) != len(parts):
            raise Odd(path, value, f"a list of {len(parts)} numbers")
        return tuple(_leaf(part, each, path) for part, each in zip(parts, value, strict=True))
    base = typing.get_args(kind)[0] if typing.get_origin(kind) is typing.Annotated else kind
    found = _READERS.get(base, _as_given)(value)
    try:
        if found is None:
            raise msgspec.ValidationError
        return msgspec.convert(found, kind, strict=kind is not bool)
    except (msgspec.ValidationError, OverflowError, ValueError):
        raise Odd(path, value, _words(kind)) from None


def _as_text(value: Any) -> str | None:
    if isinstance(value, str):
        return _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value.text if isinstance(value, _Written) else str(value)


def _as_whole(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value = float(value) if not value.lstrip("-").isdigit() else int(value)
        except ValueError:
            return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return None if isinstance(value, bool) else value


def _as_number(value: Any) -> Any:
    if isinstance(value, bool):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if found - found == 0 else None


def _as_price(value: Any) -> Any:
    """A starting price, which may be the text "NaN" or "Infinity"."""
    found = _as_number(value)
    if found is not None or not isinstance(value, str):
        return found
    return {"nan": "NaN", "inf": "Infinity", "infinity": "Infinity"}.get(value.lower())


def _as_moment(value: Any) -> datetime.datetime | None:
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.datetime.fromtimestamp(value / 1000, datetime.UTC)
        found = datetime.datetime.fromisoformat(value)
        found = found.replace(tzinfo=datetime.UTC) if found.tzinfo is None else found
        found.timestamp()
    except (TypeError, ValueError, OverflowError, OSError):
        return None
    return found


def _as_given(value: Any) -> Any:
    return value


_READERS: dict[Any, Callable[[Any], Any]] = {
    str: _as_text,
    int: _as_whole,
    float: _as_number,
    datetime.datetime: _as_moment,
    StartingPrice: _as_price,
}


def _words(kind: Any) -> str:
    """What a value of a type is called."""
    kind = _without_none(kind)
    base = typing.get_args(kind)[0] if typing.get_origin(kind) is typing.Annotated else kind
    names = {
        str: "a text",
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        datetime.datetime: "a time such as 2024-07-01T12:30:00.000Z",
        StartingPrice: "a price",
    }
    return names.get(base, "a list" if typing.get_origin(kind) is list else "an object")
