"""A session as a host records it: what it took, in order, a file for each crew and market. `backtest` replays it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from ...strategies.events import CustomEvent
from ...strategies.messages import ClearedOrder, OrderFact, Reply, Request
from ..custom_events import MOST_AWAITING
from ..letters import MarketUpdate
from ..recorder import Deliver, Recorder
from ..session_lines import after_waking, answered_line, asked_line, begin_line, change_line, event_line
from .crews import Crew

logger = logging.getLogger("headrace")

#: The folder of session files below that of a host: `session/<crew>/<market>.bz2`.
SESSION = "session"
#: Where hosts have their folders, below the one that `record=` names.
HOSTS = "hosts"


class Unrecorded:
    """The session is not recorded: what is told is forgotten."""

    def woke(self, crew: str, at: int) -> None:
        """Timers are about to be run."""

    def change(self, crew: Crew, update: MarketUpdate, at: int, more: bool) -> None:
        """A change of a market is about to be taken."""

    def asked(self, crew: str, request: Request, at: int, paper: bool = False) -> None:
        """Strategies have made a request; or one of a paper account has come back, to be matched here."""

    def answered(self, crew: str, answer: object, at: int) -> None:
        """A message is about to be taken, perhaps an answer."""

    def event(self, event: CustomEvent, at: int, awaits: bool = False, awaited: tuple[str, ...] | None = None) -> None:
        """A custom event is about to be taken: it stands in the file of each market that is hosted.

        Args:
            awaits: it comes to markets that open later as well, and stands in their files; `awaited`: to these; None:
                to all.
        """

    def leave_out(self, crew: str, market_id: str) -> None:
        """A market is going on after a restart: its session cannot be replayed from here."""

    def over(self, crew: str, market_id: str) -> None:
        """A market is freed: its file is packed."""

    def close(self) -> None:
        """Write and pack everything."""


class SessionRecording(Unrecorded):
    """Records for one host. Files are written by a thread of its own; see `Recorder`.

    Args:
        folder: that of the whole recording; the host's is made below it.
        host: the host's name.
        deliver: brings files of the recording to where it is wanted; None: they stay.
    """

    def __init__(self, folder: str, host: str, deliver: Deliver | None = None) -> None:
        def bring(path: Path, name: str) -> None:
            if deliver is not None:
                deliver(path, f"{HOSTS}/{host}/{name}")

        self._recorder = Recorder(Path(folder) / HOSTS / host, deliver=None if deliver is None else bring)
        self._host = host
        self._begun: set[tuple[str, str]] = set()
        self._left_out: set[tuple[str, str]] = set()
        #: When timers of a crew were last run in a turn of their own; and what was last told of that, by file.
        self._woke: dict[str, int] = {}
        self._told: dict[tuple[str, str], int] = {}
        self._events = 0
        #: Events that are for markets to come, with their lines' fields, by number.
        self._awaiting: dict[int, tuple[Any, dict[str, Any]]] = {}
        self._refused = False

    def woke(self, crew: str, at: int) -> None:
        self._woke[crew] = at

    def change(self, crew: Crew, update: MarketUpdate, at: int, more: bool) -> None:
        key = (crew.name, update.market_id)
        if key in self._left_out:
            return
        if key not in self._begun:
            self._begun.add(key)
            self._put(key, begin_line(at, self._host, crew.strategies))
            for number, (event, fields) in self._awaiting.items():
                if update.market_id in (fields["awaited"] or (update.market_id,)):
                    self._put(key, event_line(at, self._host, number, event, **fields))
        self._put(key, change_line(update.pt, at, update.change, update.image, more, update.clk))

    def asked(self, crew: str, request: Request, at: int, paper: bool = False) -> None:
        if (crew, request.market_id) in self._begun:
            self._put((crew, request.market_id), asked_line(at, request, paper))

    def answered(self, crew: str, answer: object, at: int) -> None:
        if isinstance(answer, Reply | OrderFact | ClearedOrder) and (crew, answer.market_id) in self._begun:
            self._put((crew, answer.market_id), answered_line(at, answer))

    def event(self, event: CustomEvent, at: int, awaits: bool = False, awaited: tuple[str, ...] | None = None) -> None:
        self._events += 1
        market_ids = None if event.market_ids is None else sorted(event.market_ids)
        fields: dict[str, Any] = {"market_ids": market_ids, "awaits": awaits, "awaited": awaited or None}
        try:
            line = event_line(at, self._host, self._events, event.event, **fields)
        except (TypeError, ValueError) as error:
            logger.warning("A custom event is not in the recording of the session: %s", error)
            return
        for key in sorted(self._begun):
            self._put(key, line)
        if awaits:
            self._awaiting[self._events] = (event.event, fields)
            if len(self._awaiting) > MOST_AWAITING:
                del self._awaiting[next(iter(self._awaiting))]

    def leave_out(self, crew: str, market_id: str) -> None:
        logger.warning("Market %s goes on after a restart: from here on its session is not recorded", market_id)
        self._left_out.add((crew, market_id))

    def over(self, crew: str, market_id: str) -> None:
        self._left_out.discard((crew, market_id))
        if (crew, market_id) in self._begun:
            self._begun.discard((crew, market_id))
            self._told.pop((crew, market_id), None)
            self._recorder.over(SESSION, f"{crew}/{market_id}")

    def close(self) -> None:
        self._recorder.close()

    def _put(self, key: tuple[str, str], line: bytes) -> None:
        woke = self._woke.get(key[0], 0)
        if woke > self._told.get(key, 0):
            self._told[key] = woke
            line = after_waking(line, woke)
        if not self._recorder.put(SESSION, "/".join(key), line) and not self._refused:
            self._refused = True
            logger.error("The recording of the session has gaps from now on: the disk is too slow for %s", self._host)
