"""A rehearsal exchange of a few made-up markets: `tests/builders.py` writes them, tests play them message by message.

    exchange = exchange_of(Stream().prices(100, {1: {"atb": [[2.0, 10]]}}).close(9000))
    play(exchange, until=100)

Times are milliseconds after `T0`, in exchange time too: it stands still between messages.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from builders import MARKET, T0, Stream
from headrace.simulate.exchange.exchange import Exchange
from headrace.simulate.exchange.faults import Fault, Faults
from headrace.simulate.exchange.feed_messages import FeedChange, FeedMessage
from headrace.simulate.exchange.ledger import Ledger
from headrace.simulate.exchange.settings import AccountSettings, ExchangeSettings, Speed
from headrace.simulate.exchange.timeline import Timeline
from headrace.strategies.change_lines import decode_line

__all__ = [
    "ALICE",
    "BOB",
    "MARKET",
    "T0",
    "Fault",
    "ListFeed",
    "Stream",
    "changes_of",
    "exchange_of",
    "faults_of",
    "play",
    "settings",
]

ALICE = AccountSettings("alice", "wonderland", "alice-key")
BOB = AccountSettings("bob", "builder", "bob-key")


def settings(**changes: Any) -> ExchangeSettings:
    """Settings of an exchange that stands still between messages, with two accounts."""
    return ExchangeSettings(**{"speed": "step", "accounts": (ALICE, BOB), **changes})


class ListFeed:
    """The lines of several streams, in order of time: those of one moment in one message.

    Args:
        sports: races and matches by time, each as the operation ("rcm" or "ccm") and the change.
    """

    def __init__(
        self,
        *streams: Stream,
        gone: dict[int, str] | None = None,
        sports: dict[int, tuple[str, dict[str, Any]]] | None = None,
    ) -> None:
        self._streams = streams
        self._gone = gone or {}
        self._sports = sports or {}

    def __iter__(self) -> Iterator[FeedMessage]:
        moments: dict[int, list[dict[str, Any]]] = {}
        for stream in self._streams:
            for line in stream.lines:
                moments.setdefault(line["pt"], []).append(line)
        for at in sorted({*moments, *(T0 + each for each in (*self._gone, *self._sports))}):
            changes = tuple(each for line in moments.get(at, []) for each in changes_of(line))
            gone = (self._gone[at - T0],) if at - T0 in self._gone else ()
            sports = (self._sports[at - T0],) if at - T0 in self._sports else ()
            yield FeedMessage(at, changes, gone, sports)


def changes_of(line: dict[str, Any]) -> Iterator[FeedChange]:
    """The changes of a line."""
    decoded = decode_line(json.dumps(line).encode())[0]
    for change, raw in zip(decoded.mc, line["mc"], strict=True):
        yield FeedChange(change, raw.get("marketDefinition"), bool(raw.get("con")))


def exchange_of(
    *streams: Stream, speed: Speed = "step", gone: dict[int, str] | None = None, **changes: Any
) -> Exchange:
    """An exchange that plays the streams; nothing has been played yet. `changes`: of its settings."""
    chosen = settings(speed=speed, **changes)
    return Exchange(chosen, Timeline(speed, wall=lambda: T0), ListFeed(*streams, gone=gone), Ledger())


def faults_of(exchange: Exchange, *faults: Fault) -> Faults:
    """Faults that are noted in the exchange's ledger."""
    return Faults(lambda: 0.0, exchange.ledger, faults=faults)


def play(exchange: Exchange, until: int | None = None) -> Exchange:
    """Play the messages due by `until`, or all."""
    while exchange.next_message_at is not None and (until is None or exchange.next_message_at <= T0 + until):
        exchange.play_next()
    return exchange
