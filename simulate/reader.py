"""One recording on its way into the market actor, change after change."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import Protocol, TypeGuard

from ..actors.books import Books
from ..actors.failures import Failures
from ..actors.market import MarketActor
from ..strategies.changes import (
    ChangeMessage,
    MarketChange,
    Oddity,
    OddMessage,
    RawMarketChange,
    RawMessage,
)
from ..strategies.errors import RecordingError
from .reading.recordings import Recording
from .skipping import messages_of
from .units import Unit

logger = logging.getLogger("headrace")

#: Lines of a recording that cannot be read and have a failure of their own; the others are counted together.
_TOLD_LINES = 100


class UnitReplay(Protocol):
    """The replay of a unit, as the readers of its recordings see it.

    Attributes:
        actor: hosts the markets; in a sweep, the first of several.
        books: takes the changes.
        failures: takes what is wrong with recordings.
        raw: changes are also shown as they were recorded.
    """

    unit: Unit
    actor: MarketActor
    books: Books
    failures: Failures
    raw: bool

    def owner(self, market_id: str, recording: str) -> str:
        """The recording that a market is read from: the first that asks."""
        ...

    def ended(self, market_ids: Sequence[str]) -> None:
        """A recording has ended, and with it these markets."""
        ...


class Reader:
    """One recording on its way into the actor."""

    def __init__(self, recording: Recording, replay: UnitReplay) -> None:
        self.recording = recording
        self._replay = replay
        self._books = replay.books
        self._actor = replay.actor
        self._markets: dict[str, bool] = {}
        self._undefined: dict[str, int] = {}
        self._unreadable = 0
        self._oddities: dict[tuple[str | None, str], int] = {}
        self._ahead: Iterator[ChangeMessage] | None = None
        self._next: ChangeMessage | None = None

    def run(self) -> None:
        """Read it all."""
        if self._replay.raw:
            while self.peek() is not None and not self._books.stopped:
                self.step()
            self.end()
            return
        books, process = self._books, self._books.process_market_change
        # All can only have stopped if the first has. One attribute is cheap to check, and there are many messages.
        first, known = self._actor, self._markets
        try:
            for number, messages in messages_of(self.recording, self._books, len(self._replay.unit.paths) == 1):
                for line, message in enumerate(messages, number):
                    if first.stopped and books.stopped:
                        break
                    if type(message) is not ChangeMessage and not self._usable(message, line):
                        continue
                    publish_time = message.pt
                    for change in message.mc:
                        if change.id in known or self._admit(change, publish_time, line):
                            process(publish_time, change)
                if books.stopped or self._finished():
                    break
        except RecordingError as error:
            self._bad_line(error)
        self.end()

    def _finished(self) -> bool:
        """Whether no strategy wants any market that this file has shown: then the rest need not be read."""
        markets = self._markets
        return len(markets) == 1 and not self._undefined and not any(map(self._books.wants_any, markets))

    def first_time(self) -> int | None:
        """When the first message was published, found by a look at the beginning; None where there is none."""
        with contextlib.suppress(RecordingError):
            for _, messages in self.recording.messages():
                for message in messages:
                    if isinstance(message, ChangeMessage) and message.mc:
                        return message.pt
                return 0
        return 0

    def _messages(self) -> Iterator[ChangeMessage]:
        source = self.recording.raw_messages() if self._replay.raw else self.recording.messages()
        try:
            for number, messages in source:
                for line, message in enumerate(messages, number):
                    if not self._usable(message, line):
                        continue
                    message.mc = [
                        change
                        for change in message.mc
                        if self._markets.get(change.id or "") or self._admit(change, message.pt, line)
                    ]
                    if message.mc:
                        yield message
        except RecordingError as error:
            self._bad_line(error)

    def peek(self) -> int | None:
        """When the next message is due, milliseconds since the epoch; None at the end."""
        if self._ahead is None:
            self._ahead = self._messages()
        if self._next is None:
            self._next = next(self._ahead, None)
        return None if self._next is None else self._next.pt

    def step(self) -> None:
        """Process the next message."""
        message, self._next = self._next, None
        assert message is not None
        for change in message.mc:
            if isinstance(change, RawMarketChange):
                self._raw(message, change)
            self._books.process_market_change(message.pt, change)

    def _raw(self, message: ChangeMessage, change: RawMarketChange) -> None:
        """Show a change as it came to the strategies that want it so."""
        if self._books.hosts(message.pt, change):
            market = self._actor.market(change.id or "")
            assert market is not None
            assert isinstance(message, RawMessage)
            self._actor.process_raw_data(market, message.clk, message.pt, change.datum)

    def _admit(self, change: MarketChange, publish_time: int, line: int) -> bool:
        """Whether a change of a market not met before can be used: the market needs its definition first."""
        market_id = change.id
        if market_id is None:
            self._bad_line(RecordingError("a change without the id of a market is left out", self.recording.name, line))
            return False
        if market_id in self._markets:
            return False
        if not publish_time:
            self._bad_line(RecordingError("has no publish time (pt)", self.recording.name, line, market_id))
            return False
        if change.market_definition is None:
            self._undefined.setdefault(market_id, line)
            return False
        owner = self._replay.owner(market_id, self.recording.name)
        if owner != self.recording.name:
            self._markets[market_id] = False
            self._bad_line(
                RecordingError(
                    f"the market is in {owner} as well; this copy is left out", self.recording.name, line, market_id
                )
            )
            return False
        late = self._undefined.pop(market_id, None)
        if late is not None:
            self._bad_line(
                RecordingError(
                    f"changes before the first market definition, which is in line {line}, are left out",
                    self.recording.name,
                    late,
                    market_id,
                )
            )
        self._markets[market_id] = True
        return True

    def _usable(self, message: ChangeMessage | RecordingError, line: int) -> TypeGuard[ChangeMessage]:
        """Whether a line is a message. What is wrong with it is told."""
        if isinstance(message, RecordingError):
            self._unreadable += 1
            if self._unreadable <= _TOLD_LINES:
                self._bad_line(message)
            else:
                told = f"more lines cannot be read than the first {_TOLD_LINES}, which are told one by one"
                more = RecordingError(told, self.recording.name)
                self._replay.failures.add(more, None, None, self.recording.name)
            return False
        if isinstance(message, OddMessage):
            for oddity in message.oddities:
                self._odd(oddity, line)
        return True

    def _odd(self, oddity: Oddity, line: int) -> None:
        """Tell that a field of a message says nothing: once for each field of a market, with the first line."""
        first = self._oddities.setdefault((oddity.market_id, oddity.field), line)
        error = RecordingError(oddity.message, self.recording.name, first, oddity.market_id)
        if not oddity.handed_on:
            self._bad_line(error)
        elif first == line:
            logger.warning("%s", error)

    def _bad_line(self, error: RecordingError) -> None:
        line = None if error.line is None else f"{error.path}:{error.line}"
        if self._replay.failures.add(error, None, error.market_id, line):
            logger.warning("%s", error)

    def end(self) -> None:
        """Nothing more comes."""
        for market_id, line in self._undefined.items():
            self._bad_line(
                RecordingError("no market definition: the market cannot be built", self.recording.name, line, market_id)
            )
        if not self._markets and not self._undefined and not len(self._replay.failures):
            self._bad_line(RecordingError("holds no market changes", self.recording.name))
        self._replay.ended([market_id for market_id, mine in self._markets.items() if mine])
