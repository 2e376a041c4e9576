"""Replay: one unit of recordings through one market actor."""

from __future__ import annotations

import hashlib
import heapq
import itertools
from collections.abc import Callable, Sequence
from typing import Any

from ..actors.exchange import Exchange
from ..actors.failures import Failures
from ..actors.hosted_market import HostedMarket
from ..strategies.clock import Clock
from ..strategies.host import Host, numbered_ids
from ..strategies.rules import Rules
from .peer_reader import PeerReader
from .reader import Reader
from .reading.locations import Source
from .reading.recordings import Recording
from .setup import Setup, make_actor
from .units import Unit

#: Recordings of a unit that are opened at once.
_MOST_OPEN = 64


class Replay:
    """Runs one unit.

    Args:
        on_market: called with each market once its recording has ended; the market is forgotten afterwards.
        hashed: work out the digest of the files.
        exchange: where bets are placed; None: one of its own, with the setup's models.

    Attributes:
        digest: SHA-256 of the files as they were read, in 64 hexadecimal digits (of several: of their digests, in the
            order of the unit); None while they were not read to their end.
        actors: those that host the run, copies of it included.
        muted: ids of the actors whose log lines are left out: they are copies.
    """

    muted: frozenset[int] = frozenset()

    def __init__(
        self,
        unit: Unit,
        setup: Setup,
        on_market: Callable[[HostedMarket], None],
        logging_controls: Callable[[Any], object] | None = None,
        hashed: bool = False,
        exchange: Exchange | None = None,
    ) -> None:
        self._prepare(unit, setup)
        self._hashed = hashed
        self.coordinator = setup.coordinator(setup.clients, logging_controls)
        host = Host(Clock(), setup.config, numbered_ids())
        self.actor = make_actor(setup.market_actor, host, setup, self.coordinator, self.failures, exchange)
        self.actors = [self.actor]
        self.books = self.actor.books
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
        self._owners: dict[str, str] = {}
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

    def _start_workers(self, readers: Sequence[Reader]) -> None:
        """Workers start with the first message."""
        if not self._workers:
            return
        starts = [start for start in (reader.first_time() for reader in readers) if start is not None]
        if starts:
            for actor in self.actors:
                actor.host.clock.now_ms = min(starts)
                actor.add_workers(self._workers)

    def _reader(self, path: str | Source) -> Reader:
        kind = PeerReader if self._reemit and not self.raw else Reader
        return kind(Recording(path, hashed=self._hashed), self)

    def _merge(self, readers: Sequence[Reader]) -> None:
        """Many recordings in time order; of equal times, whatever was waiting longer comes first."""
        count = itertools.count()
        waiting: list[tuple[int, int, Reader]] = []
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
            due = None if self.books.stopped else reader.peek()
            if due is None:
                heapq.heappop(waiting)
                reader.end()
            else:
                heapq.heapreplace(waiting, (due, next(count), reader))

    def owner(self, market_id: str, recording: str) -> str:
        """The recording that a market is read from: the first of the unit that has it; in others it is left out."""
        return self._owners.setdefault(market_id, recording)

    def ended(self, market_ids: Sequence[str]) -> None:
        """A recording has ended: hand over its markets, at once or, where others of their event go on, at the end."""
        if self._together:
            self._waiting.extend(market_ids)
        else:
            self._hand_over(market_ids)

    def _hand_over(self, market_ids: Sequence[str]) -> None:
        for market_id in market_ids:
            for _, market in self.books.release_market(market_id):
                self._on_market(market)


def _joint_digest(digests: Sequence[str | None]) -> str | None:
    """One digest of several; None where one is missing."""
    known = [digest for digest in digests if digest is not None]
    if len(known) != len(digests) or not known:
        return None
    return known[0] if len(known) == 1 else hashlib.sha256("\n".join(known).encode()).hexdigest()
