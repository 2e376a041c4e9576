"""Replay of a recorded session: strategies are called at the changes at which they were, at the times of then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..actors.hosted_market import HostedMarket
from ..actors.session_lines import ANSWERED, CHANGE, EVENT, SessionLine
from ..strategies.errors import InputError, RecordingError
from ..strategies.events import CustomEvent
from ..strategies.strategy import Strategy
from .reader import Reader
from .reading.locations import Source
from .reading.recordings import Paths, Recording
from .replay import Replay
from .session_exchange import SessionExchange, SessionMarket
from .session_latency import session_files
from .session_script import SessionScript, session_lines
from .setup import Setup
from .units import Unit


class SessionReader(Reader):
    """One market of a session on its way into the actor."""

    def __init__(self, recording: Recording, replay: SessionReplay) -> None:
        super().__init__(recording, replay)
        self._session = replay
        self._lines: Iterator[tuple[int, SessionLine]] | None = None
        self._line: tuple[int, SessionLine] | None = None
        self._market_id = ""

    def run(self) -> None:
        while self.peek() is not None and not self._books.stopped:
            self.step()
        self.end()

    def peek(self) -> int | None:
        if self._lines is None:
            self._lines = self._read()
        if self._line is None:
            self._line = next(self._lines, None)
        return None if self._line is None else self._line[1].at

    def _read(self) -> Iterator[tuple[int, SessionLine]]:
        try:
            script = SessionScript(self.recording)
            for number, line in session_lines(self.recording):
                if not self._market_id and line.op == CHANGE and line.mc:
                    self._market_id = line.mc[0].id or ""
                    self._session.scripts[self._market_id] = script
                yield number, line
        except RecordingError as error:
            self._bad_line(error)

    def step(self) -> None:
        assert self._line is not None
        (number, line), self._line = self._line, None
        actor, market = self._actor, self._session.exchange.of_session(self._market_id)
        woke = line.woke
        while market is not None and (arrival := _next_arrival(market, number, line)) is not None:
            # In between the host ran timers, if it woke then.
            now = max(actor.clock.now_ms, arrival)
            if woke >= now:
                actor.tick(now)
            elif woke:
                actor.tick(woke)
                woke = 0
            actor.clock.now_ms = now
            market.arrive()
            actor.tick(now)
        if woke:
            actor.tick(woke)
        self._take(number, line)
        if market is not None:
            market.reach(number)
        if self._books.touched:
            self._books.tell()

    def _take(self, number: int, line: SessionLine) -> None:
        at = line.at
        if line.op == CHANGE:
            for change in line.mc:
                if change.id in self._markets or self._admit(change, line.pt, number):
                    self._books.take(at, line.pt, change, line.more)
        elif line.op == ANSWERED:
            self._actor.tick(at)
        elif line.op == EVENT and (line.host, line.number) not in self._session.events:
            self._session.events.add((line.host, line.number))
            event = CustomEvent(line.event, None, line.market_ids)
            if line.awaits:
                self._actor.await_markets(event, line.awaited)
            self._actor.receive(event, at)
            self._actor.tick(at)


def _next_arrival(market: SessionMarket, number: int, line: SessionLine) -> int | None:
    """When the next request arrives that is at the exchange before what a line tells of."""
    if line.op == CHANGE:
        return market.next_before(line.pt)
    return market.next_answered(number) if line.op == ANSWERED else None


class SessionReplay(Replay):
    """Runs one unit of a recorded session. See `Replay`.

    Attributes:
        scripts: what the session says about orders, by market.
        exchange: the simulated exchange.
        events: the custom events that were delivered, by host and number.
    """

    def __init__(
        self,
        unit: Unit,
        setup: Setup,
        on_market: Callable[[HostedMarket], None],
        logging_controls: Callable[[Any], object] | None = None,
        hashed: bool = False,
    ) -> None:
        self.scripts: dict[str, SessionScript] = {}
        self.events: set[tuple[str, int]] = set()
        self.exchange = SessionExchange(setup.models, self.scripts)
        super().__init__(unit, setup, on_market, logging_controls, hashed, self.exchange)

    def _reader(self, path: str | Source) -> Reader:
        return SessionReader(Recording(path, hashed=self._hashed), self)


def find_session(markets: Paths, strategies: list[Strategy]) -> list[Source]:
    """The files of a session at whose markets the strategies were called.

    Args:
        markets: the folder that `hr.Live(record=...)` was given; or files and folders below it.

    Raises:
        InputError: there are none; says whose the session is.
    """
    paths = session_files(markets)
    wanted = {strategy.name for strategy in strategies}
    found, others, why = [], set(), ""
    for path in paths:
        try:
            _, first = next(session_lines(Recording(path)))
        except RecordingError as error:
            why = why or str(error)
            continue
        if wanted <= set(first.strategies):
            found.append(path)
        else:
            others.add(first.strategies)
    if not found and others:
        told = "; ".join(", ".join(each) for each in sorted(others))
        raise InputError(
            f"the session has no market at which {', '.join(sorted(wanted))} traded together; replay, by their names, "
            f"those of one stream: {told}"
        )
    if not found:
        raise InputError(f"no session here: {why}" if why else "no session here: there are no files")
    return found
