"""Replay: one unit of recordings through one market actor. What must be read together is a unit: a file, or the files
of an event.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import heapq
import itertools
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeGuard, TypeVar

from ..actors.clients import BaseClient
from ..actors.controls import BaseControl
from ..actors.coordinator import Coordinator
from ..actors.failures import Failures
from ..actors.market import HostedMarket, MarketActor
from ..actors.middleware import Middleware
from ..actors.workers import BackgroundWorker
from ..config import Config
from ..names import to_text
from ..strategies.changes import (
    ChangeMessage,
    MarketChange,
    MarketDefinition,
    Oddity,
    OddMessage,
    RawMarketChange,
    RawMessage,
)
from ..strategies.clock import Clock
from ..strategies.errors import RecordingError
from ..strategies.events import CustomEvent
from ..strategies.host import Host, numbered_ids
from ..strategies.hosting import window_of
from ..strategies.rules import Rules
from ..strategies.strategy import Strategy
from .locations import Source
from .models import Models
from .recordings import Recording
from .side_data import RecordedSideData
from .simulated_exchange import SimulatedExchange
from .skipping import messages_of

logger = logging.getLogger("headrace")

#: Recordings of a unit that are opened at once.
_MOST_OPEN = 64
#: Lines of a recording that cannot be read and have a failure of their own; the others are counted together.
_TOLD_LINES = 100


@dataclasses.dataclass(frozen=True)
class Unit:
    """What is read together.

    Attributes:
        name: the file, the archive's member, or the event.
        paths: where the recordings lie, in order.
        size: bytes as they lie there, packed.
    """

    name: str
    paths: tuple[str | Source, ...]
    size: int = 0


@dataclasses.dataclass
class Setup:
    """What a run is made of; each process that replays has a copy.

    Attributes:
        trading_controls: further controls: class and settings.
        files: content by name, for `hr.path`.
        catalogues, sports_data: folders with what was recorded beside the markets.
        client_controls: client (None: all), class and settings.
    """

    strategies: list[Strategy]
    clients: list[BaseClient]
    config: Config
    middleware: list[Middleware] = dataclasses.field(default_factory=list)
    trading_controls: list[tuple[type[BaseControl], dict[str, Any]]] = dataclasses.field(default_factory=list)
    client_controls: list[tuple[BaseClient | None, type[BaseControl], dict[str, Any]]] = dataclasses.field(
        default_factory=list
    )
    models: Models = dataclasses.field(default_factory=Models)
    workers: list[BackgroundWorker] = dataclasses.field(default_factory=list)
    custom_events: list[CustomEvent] = dataclasses.field(default_factory=list)
    files: dict[str, bytes] = dataclasses.field(default_factory=dict)
    catalogues: str | None = None
    sports_data: str | None = None
    market_actor: type[MarketActor] = MarketActor
    coordinator: type[Coordinator] = Coordinator


ActorKind = TypeVar("ActorKind", bound=MarketActor)


def make_actor(
    kind: type[ActorKind], host: Host, setup: Setup, coordinator: Coordinator, failures: Failures
) -> ActorKind:
    """An actor that hosts the strategies of a setup, with an exchange of its own."""
    return kind(
        host,
        setup.strategies,
        coordinator,
        SimulatedExchange(setup.models),
        setup.middleware,
        setup.trading_controls,
        setup.client_controls,
        failures,
        RecordedSideData(setup.catalogues, setup.sports_data),
    )


class Replay:
    """Runs one unit.

    Args:
        on_market: called with each market once its recording has ended; the market is forgotten afterwards.
        hashed: work out the digest of the files.

    Attributes:
        digest: SHA-256 of the files as they were read, in 64 hexadecimal digits (of several: of their digests, in the
            order of the unit); None while they were not read to their end.
    """

    def __init__(
        self,
        unit: Unit,
        setup: Setup,
        on_market: Callable[[HostedMarket], None],
        logging_controls: Callable[[Any], object] | None = None,
        hashed: bool = False,
    ) -> None:
        self._prepare(unit, setup)
        self._hashed = hashed
        self.coordinator = setup.coordinator(setup.clients, logging_controls)
        host = Host(Clock(), setup.config, numbered_ids())
        self.actor = make_actor(setup.market_actor, host, setup, self.coordinator, self.failures)
        self.actor.add_custom_events(setup.custom_events)
        self._on_market = on_market

    def _prepare(self, unit: Unit, setup: Setup) -> None:
        """What reading the unit takes, whoever is hosted."""
        self.unit = unit
        self.failures = Failures(unit.name)
        self.raw = any(getattr(strategy.stream_class, "raw", False) for strategy in setup.strategies)
        self._workers = setup.workers
        self._reemit = Rules.named(setup.config.compatibility).peer_reading
        self._hashed = False
        self.digest: str | None = None
        self._owner: dict[str, str] = {}
        # Markets of one event know each other until the last of them ends. A run over many files cannot keep them all.
        self._together = 1 < len(unit.paths) <= _MOST_OPEN
        self._waiting: list[str] = []

    def run(self) -> None:
        """Replay the unit to its end. What is broken in it becomes rows of `failures`."""
        readers = [self._reader(path) for path in self.unit.paths]
        self._start_workers(readers)
        if len(readers) == 1:
            readers[0].run()
        else:
            self._merge(readers)
        self._hand_over(self._waiting)
        self.digest = _joint_digest([reader.recording.digest for reader in readers])
        self._end()

    def _end(self) -> None:
        self.coordinator.process_end()

    def _start_workers(self, readers: Sequence[_Reader]) -> None:
        """Workers start with the first message."""
        if not self._workers:
            return
        starts = [start for start in (reader.first_time() for reader in readers) if start is not None]
        if starts:
            self.actor.host.clock.now_ms = min(starts)
            self.actor.add_workers(self._workers)

    def _reader(self, path: str | Source) -> _Reader:
        kind = _PeerReader if self._reemit and not self.raw else _Reader
        return kind(Recording(path, hashed=self._hashed), self)

    def _merge(self, readers: Sequence[_Reader]) -> None:
        """Many recordings in time order; of equal times, whatever was waiting longer comes first."""
        count = itertools.count()
        waiting: list[tuple[int, int, _Reader]] = []
        # A file stays open from its first peek on: of many, each is opened when its time comes.
        many = len(readers) > _MOST_OPEN
        for reader in readers:
            due = reader.first_time() if many else reader.peek()
            if due is None:
                reader.end()
            else:
                waiting.append((due, next(count), reader))
        heapq.heapify(waiting)
        while waiting:
            _, _, reader = waiting[0]
            if reader.peek() is not None:
                reader.step()
            due = None if self.actor.stopped else reader.peek()
            if due is None:
                heapq.heappop(waiting)
                reader.end()
            else:
                heapq.heapreplace(waiting, (due, next(count), reader))

    def claim(self, market_id: str, reader: _Reader) -> bool:
        """Whether a market is this reader's; a second file with the same market is a failure, and is left out."""
        owner = self._owner.setdefault(market_id, reader.recording.name)
        return owner == reader.recording.name

    def ended(self, market_ids: Sequence[str]) -> None:
        """A recording has ended: hand over its markets, at once or, where others of their event go on, at the end."""
        if self._together:
            self._waiting.extend(market_ids)
        else:
            self._hand_over(market_ids)

    def _hand_over(self, market_ids: Sequence[str]) -> None:
        for market_id in market_ids:
            market = self.actor.release_market(market_id)
            if market is not None:
                self._on_market(market)


class _Reader:
    """One recording on its way into the actor."""

    def __init__(self, recording: Recording, replay: Replay) -> None:
        self.recording = recording
        self._replay = replay
        self._actor = replay.actor
        self._markets: dict[str, bool] = {}
        self._undefined: dict[str, int] = {}
        self._unreadable = 0
        self._oddities: dict[tuple[str | None, str], int] = {}
        self._ahead: Iterator[ChangeMessage] | None = None
        self._next: ChangeMessage | None = None
        self._broken = False

    def run(self) -> None:
        """Read it all."""
        if self._replay.raw:
            while self.peek() is not None and not self._actor.stopped:
                self.step()
            self.end()
            return
        actor, process = self._actor, self._actor.process_market_change
        known = self._markets
        try:
            for number, messages in messages_of(self.recording, self._actor, len(self._replay.unit.paths) == 1):
                for line, message in enumerate(messages, number):
                    if actor.stopped:
                        break
                    if type(message) is not ChangeMessage and not self._usable(message, line):
                        continue
                    publish_time = message.pt
                    for change in message.mc:
                        if change.id in known or self._admit(change, publish_time, line):
                            process(publish_time, change)
                if actor.stopped or self._finished():
                    break
        except RecordingError as error:
            self._bad_line(error)
        self.end()

    def _finished(self) -> bool:
        """Whether nobody wants anything that this file has shown: the rest need not be read."""
        markets = self._markets
        return len(markets) == 1 and not self._undefined and not any(map(self._actor.wants_any, markets))

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
            self._actor.process_market_change(message.pt, change)

    def _raw(self, message: ChangeMessage, change: RawMarketChange) -> None:
        """Show a change as it came to the strategies that want it so."""
        if self._actor.hosts(message.pt, change):
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
        if not self._replay.claim(market_id, self):
            self._markets[market_id] = False
            owner = self._replay._owner[market_id]
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


class _PeerReader(_Reader):
    """A recording as the peer reads it (docs/fidelity.md).

    Changes outside all windows are never shown, and each line of a file with several markets shows all of them again.
    """

    def __init__(self, recording: Recording, replay: Replay) -> None:
        super().__init__(recording, replay)
        self._waiting: dict[str, list[tuple[int, MarketChange]]] = {}
        self._active: dict[str, bool] = {}
        self._definitions: dict[str, MarketDefinition] = {}
        self._inplay_since: dict[str, int] = {}
        strategies = replay.actor.prototypes
        windows = [window_of(strategy) for strategy in strategies]
        self._windows = windows if all(window.bounded for window in windows) else []
        self._plain = False

    def run(self) -> None:
        while self.peek() is not None and not self._actor.stopped:
            self.step()
        self.end()

    def peek(self) -> int | None:
        """When the first book of the next showing is due."""
        if self._ahead is None:
            self._ahead = self._messages()
        while self._next is None:
            message = next(self._ahead, None)
            if message is None:
                return None
            if self._take(message):
                self._next = message
        return self._due()

    def _due(self) -> int:
        for market_id, active in self._active.items():
            if active:
                waiting = self._waiting[market_id]
                if waiting:
                    return waiting[-1][0]
                market = self._actor.market(market_id)
                if market is not None:
                    return market.market_book.publish_time_epoch
        assert self._next is not None
        return self._next.pt

    def _take(self, message: ChangeMessage) -> bool:
        """Set a line's changes aside; True where the line is to be shown."""
        shown = False
        for change in message.mc:
            market_id = change.id
            assert market_id is not None
            waiting = self._waiting.setdefault(market_id, [])
            if not self._actor.hosts(message.pt, change):
                shown = False
                self._active[market_id] = False
                continue
            shown = self._active[market_id] = self._is_active(market_id, message.pt, change)
            if shown:
                waiting.append((message.pt, change))
                continue
            for publish_time, earlier in waiting:
                self._actor.fold_unseen(publish_time, earlier)
            waiting.clear()
            self._actor.fold_unseen(message.pt, change)
        return shown

    def _is_active(self, market_id: str, publish_time: int, change: MarketChange) -> bool:
        if not self._windows:
            return True
        definition = change.market_definition
        if definition is not None:
            self._definitions[market_id] = definition
            if definition.in_play:
                self._inplay_since.setdefault(market_id, publish_time)
        definition = self._definitions[market_id]
        start = definition.market_time
        to_start = start.timestamp() - publish_time / 1000 if start else 0.0
        since = self._inplay_since.get(market_id)
        inplay_seconds = None if since is None else (publish_time - since) / 1000
        return any(
            window.contains_state(definition.status, definition.in_play, to_start, inplay_seconds)
            for window in self._windows
        )

    def step(self) -> None:
        """Show every active market: changed ones with their changes, the others as they are."""
        self._next = None
        actor = self._actor
        for market_id, active in self._active.items():
            if not active:
                continue
            waiting = self._waiting[market_id]
            if waiting:
                publish_time, change = waiting.pop()
                for earlier_time, earlier in waiting:
                    actor.fold_unseen(earlier_time, earlier)
                waiting.clear()
                actor.process_market_change(publish_time, change)
            else:
                market = actor.market(market_id)
                if market is not None:
                    actor.show_again(market)


def _joint_digest(digests: Sequence[str | None]) -> str | None:
    """One digest of several; None where one is missing."""
    known = [digest for digest in digests if digest is not None]
    if len(known) != len(digests) or not known:
        return None
    return known[0] if len(known) == 1 else hashlib.sha256("\n".join(known).encode()).hexdigest()


def unit_of_files(paths: Sequence[str | Source], name: str | None = None) -> Unit:
    """A unit of these files."""
    size = 0
    for path in paths:
        if isinstance(path, Source):
            size += path.size
        else:
            with contextlib.suppress(OSError):
                size += os.path.getsize(path)
    return Unit(name or to_text(str(paths[0])), tuple(paths), size)


def parts_of_unit(unit: Unit) -> Iterator[Unit]:
    """Of a compressed tar a unit for each member, to be replayed before the next is asked for; of others the unit."""
    source = unit.paths[0]
    if isinstance(source, str) or not source.packed:
        yield unit
        return
    from .archives import parts_of

    for part in parts_of(source):
        single = unit_of_files([part])
        yield dataclasses.replace(unit, name=single.name, paths=single.paths, size=single.size)


def changed_at(unit: Unit) -> float | None:
    """When the files of a unit last changed, seconds since the epoch; None where they do not tell."""
    found = []
    for source in unit.paths:
        if isinstance(source, Source) and source.modified:
            found.append(source.modified / 1e9)
            continue
        with contextlib.suppress(OSError):
            found.append(os.path.getmtime(source.path if isinstance(source, Source) else source))
    return max(found, default=None)
