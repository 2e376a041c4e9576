"""Files of custom events: one JSON object a line, with `publish_time` (ms), `event` and perhaps `market_ids`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from ...strategies.errors import InputError, RecordingError
from ...strategies.events import CustomEvent
from ...values import UNREADABLE
from .recordings import Recording


class _Line(msgspec.Struct):
    event: object
    publish_time: int | None = None
    market_ids: list[str] | None = None


def read_custom_events(path: str | os.PathLike[str]) -> list[CustomEvent]:
    """The events of a file, in order; strategies get them in `process_custom_event`.

    Raises:
        InputError: a line is not a custom event; names the line.
    """
    events = []
    try:
        for number, lines in Recording(os.fspath(path)).pieces():
            for line, text in enumerate(lines.split(b"\n"), number):
                if not text.strip():
                    continue
                try:
                    found = msgspec.json.decode(text.removeprefix(b"\xef\xbb\xbf"), type=_Line)
                except UNREADABLE as error:
                    raise InputError(
                        f"{path}, line {line}: is not a custom event: {error}; expected "
                        '{"publish_time": 1700000000000, "event": ...}'
                    ) from None
                events.append(CustomEvent(found.event, None, found.market_ids, found.publish_time))
    except RecordingError as error:
        raise InputError(str(error)) from None
    return events


def write_custom_events(path: str | os.PathLike[str], events: Iterable[CustomEvent]) -> None:
    """Write events for `backtest(custom_events=path)`; callbacks are not kept.

    Raises:
        TypeError: a payload cannot be written as JSON.
    """
    encoder = msgspec.json.Encoder()
    lines = [
        encoder.encode(
            _Line(event.event, event.publish_time, None if event.market_ids is None else sorted(event.market_ids))
        )
        for event in events
    ]
    Path(path).write_bytes(b"".join(line + b"\n" for line in lines))
