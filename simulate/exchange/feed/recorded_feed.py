"""Recordings as they are played at the exchange: several at once, their times moved to now."""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ....strategies.changes import MarketChange, MarketDefinition
from ....strategies.errors import InputError, RecordingError
from ...reading.archives import parts_of
from ...reading.locations import Source
from ...reading.recordings import Paths, Recording, find_recordings
from ...reading.side_files import check_folder
from ..feed_messages import FeedChange, FeedMessage
from ..timeline import Rebasing, Timeline
from .folded import Folded
from .merged import Merged
from .recorded_sports import RecordedSports
from .recording_lines import RecordedLine, recorded_lines

logger = logging.getLogger("headrace")

#: What is wrong with recordings is kept in words, so many of them; all are logged.
_TOLD = 100
#: Lines before the first definition that are kept, so as not to read them twice.
_KEPT = 1_000


class RecordedFeed:
    """Recordings, several at once, read as they are played.

    Args:
        markets: what `find_recordings` takes: files, folders, patterns, archives, packed recordings, URIs, or a list.
        in_step: recordings keep their distance in time; else each begins at the start of the exchange.
        before_start: seconds of recorded time before the scheduled start at which a market begins to run (with
            `in_step`: the earliest); what was recorded before that is there at once. None: all of it is played.
        sports_data: a folder with files named by market id, of races or cricket matches.

    Attributes:
        problems: what was wrong with recordings, in words; the first hundred.
        lost_lines: lines that could not be read.
        recordings: how many are played.
        starts_ms: exchange time of the scheduled start of the first market of each, where it is known.

    Raises:
        InputError: there is no recording, or none that can be played: it cannot be read, or has no market definition.
    """

    def __init__(
        self,
        markets: Paths,
        timeline: Timeline,
        *,
        in_step: bool = False,
        before_start: float | None = None,
        sports_data: str | os.PathLike[str] | None = None,
    ) -> None:
        if before_start is not None and not before_start >= 0:
            raise InputError(f"before_start is {before_start}; expected seconds, 0 or more")
        self._timeline = timeline
        self._sports_data = check_folder(sports_data, "sports_data")
        self._opened = contextlib.ExitStack()
        self.problems: list[str] = []
        self.lost_lines = 0
        self.recordings = 0
        self.starts_ms: list[int] = []
        self._owners: dict[str, str] = {}
        self._origins: list[tuple[_Played, int, int]] = []
        self._scheduled: list[float] = []
        try:
            self._plan([_Played(each, self) for each in self._recordings(markets)], in_step, before_start)
        except BaseException:
            self.close()
            raise

    def _recordings(self, markets: Paths) -> Iterator[Recording]:
        for source in find_recordings(markets):
            if source.packed and source.member is None:
                yield from self._unpacked(source)
            else:
                yield Recording(source)

    def _unpacked(self, archive: Source) -> Iterator[Recording]:
        """The members of a compressed tar, copied to files: such an archive cannot be read at several places."""
        folder = self._opened.enter_context(tempfile.TemporaryDirectory(prefix="headrace-"))
        for number, member in enumerate(parts_of(archive)):
            if member.problem is not None or member.file is None:
                self.tell(RecordingError(f"{member.problem}; it is left out", str(member)))
                continue
            path = Path(folder, str(number))
            with path.open("wb") as file:
                shutil.copyfileobj(member.file, file)
            yield Recording(str(path), str(member))

    def _plan(self, found: list[_Played], in_step: bool, before_start: float | None) -> None:
        origins, played = [], []
        refused: list[RecordingError] = []
        for each in found:
            try:
                first = each.first(keep=not in_step)
            except RecordingError as error:
                refused.append(error)
                continue
            played.append(each)
            scheduled = first.definition.market_time
            self._scheduled.append(math.nan if scheduled is None else scheduled.timestamp() * 1000)
            origin = first.pt
            if before_start is not None and scheduled is not None:
                origin = max(origin, round(self._scheduled[-1] - before_start * 1000))
            origins.append((first.pt, origin))
        if not played:
            others = len(refused) - 1
            more = f"; nor can the {others} others be played" if others > 0 else ""
            raise InputError(f"{refused[0]}{more}" if refused else "; ".join(self.problems))
        for lost in refused:
            self.tell(RecordingError(f"{lost.message}; it is left out", lost.path, lost.line, lost.market_id))
        together = min(origin for _, origin in origins)
        if before_start is not None:
            for each, (first_ms, origin) in zip(played, origins, strict=True):
                if first_ms < (begin := together if in_step else origin):
                    each.skip_to(begin)
        self._origins = [
            (each, first_ms, together if in_step else origin)
            for each, (first_ms, origin) in zip(played, origins, strict=True)
        ]
        self.recordings = len(played)
        self.begin()  # reading to there has taken a while

    def begin(self) -> None:
        """The start is now. Not once its messages are asked for."""
        self._timeline.restart()
        start_ms = self._timeline.start_ms
        self._merged, self.starts_ms = Merged(), []
        for (each, first_ms, origin), scheduled in zip(self._origins, self._scheduled, strict=True):
            each.rebasing = Rebasing(self._timeline, origin, start_ms)
            self._merged.add(max(each.rebasing.ms(first_ms), start_ms), each.messages())
            if not math.isnan(scheduled):
                self.starts_ms.append(each.rebasing.ms(round(scheduled)))

    def __iter__(self) -> Iterator[FeedMessage]:
        try:
            yield from self._merged
        finally:
            self.close()

    def close(self) -> None:
        """Remove what was unpacked."""
        self._opened.close()

    # -- for what is played --------------------------------------------------------------------------------------

    @property
    def start_ms(self) -> int:
        """Exchange time of the start."""
        return self._timeline.start_ms

    def tell(self, problem: RecordingError) -> None:
        """Something is wrong with a recording; the rest is played."""
        logger.warning("%s", problem)
        if len(self.problems) < _TOLD:
            self.problems.append(str(problem))

    def lose(self, line: RecordingError) -> None:
        """A line cannot be read."""
        self.lost_lines += 1
        self.tell(line)

    def opened(self, market_id: str, recording: str, at: int, rebasing: Rebasing) -> str:
        """A market is met in a recording; the first that has it is the one whose copy is played, which is returned."""
        known = self._owners.get(market_id)
        if known is None:
            self._owners[market_id] = recording
            if self._sports_data is not None:
                sports = RecordedSports(self._sports_data, market_id, rebasing, self.tell)
                self._merged.add(at, sports.messages(at))
        return known or recording


class _First:
    """The first market definition of a recording, and when it was published, milliseconds since the epoch."""

    def __init__(self, pt: int, definition: MarketDefinition) -> None:
        self.pt = pt
        self.definition = definition


class _Played:
    """One recording as it is played."""

    rebasing: Rebasing

    def __init__(self, recording: Recording, feed: RecordedFeed) -> None:
        self._recording = recording
        self._feed = feed
        self._markets: dict[str, bool] = {}
        self._open: dict[str, None] = {}
        self._undefined: dict[str, int] = {}
        self._odd: set[tuple[str | None, str]] = set()
        self._lines: Iterator[RecordedLine | RecordingError] = recorded_lines(recording)
        self._skipped: dict[str, Folded] = {}
        self._next: RecordedLine | None = None

    def first(self, keep: bool) -> _First:
        """The beginning of what can be played.

        Args:
            keep: it is played soon: the recording stays open; else it is opened again when its time comes.

        Raises:
            RecordingError: there is none.
        """
        lost: RecordingError | None = None
        read: list[RecordedLine | RecordingError] = []
        try:
            for line in self._lines:
                if len(read) <= _KEPT:
                    read.append(line)
                if isinstance(line, RecordingError):
                    lost = lost or line
                    continue
                for each in line.changes:
                    definition = each.change.market_definition
                    if definition is not None and each.change.id and line.pt:
                        if keep and len(read) <= _KEPT:
                            self._lines = itertools.chain(read, self._lines)
                        else:
                            self._lines = recorded_lines(self._recording)
                        return _First(line.pt, definition)
        except RecordingError as error:
            lost = lost or error
        if lost is not None:
            raise lost
        raise RecordingError(
            "has no market definition, without which a market cannot be shown; expected a recording of the market "
            "stream",
            self._recording.name,
        )

    def skip_to(self, origin_ms: int) -> None:
        """Read what was published before `origin_ms`, recorded time; it is played as one image of each market."""
        try:
            for line in self._lines:
                if isinstance(line, RecordingError):
                    self._feed.lose(line)
                elif line.pt >= origin_ms:
                    self._next = line
                    return
                else:
                    self._tell_oddities(line)
                    for each in line.changes:
                        if each.change.id is not None:
                            self._skipped.setdefault(each.change.id, Folded()).add(each)
        except RecordingError as error:
            self._feed.tell(error)

    def messages(self) -> Iterator[FeedMessage]:
        """What was recorded, in exchange time."""
        at, feed = self._feed.start_ms, self._feed
        if (skipped := tuple(self._image(at))) != ():
            yield FeedMessage(at, skipped)
        try:
            for line in itertools.chain(() if self._next is None else (self._next,), self._lines):
                if isinstance(line, RecordingError):
                    feed.lose(line)
                    continue
                self._tell_oddities(line)
                due = max(at, self.rebasing.ms(line.pt))
                changes = tuple(self._moved(line, due))
                if changes:
                    at = due
                    yield FeedMessage(at, changes)
        except RecordingError as error:
            feed.tell(error)
        for market_id, number in self._undefined.items():
            feed.tell(
                RecordingError(
                    "no market definition: the market cannot be shown", self._recording.name, number, market_id
                )
            )
        if self._open:
            yield FeedMessage(at, gone=tuple(self._open))

    def _image(self, at: int) -> Iterator[FeedChange]:
        """What was skipped; markets that had closed before are left out."""
        for market_id, folded in self._skipped.items():
            recorded = folded.change()
            if recorded is None:
                continue
            if folded.closed:
                self._markets[market_id] = False
            elif self._admitted(market_id, 1, recorded.change, at):
                self._open[market_id] = None
                yield recorded.played(self.rebasing)
        self._skipped.clear()

    def _moved(self, line: RecordedLine, at: int) -> Iterator[FeedChange]:
        for each in line.changes:
            change = each.change
            market_id = change.id
            if market_id is None or not line.pt:
                continue
            if not (self._markets.get(market_id) or self._admitted(market_id, line.number, change, at)):
                continue
            if change.market_definition is not None:
                if change.market_definition.status == "CLOSED":
                    self._open.pop(market_id, None)
                else:
                    self._open[market_id] = None
            yield each.played(self.rebasing)

    def _admitted(self, market_id: str, number: int, change: MarketChange, at: int) -> bool:
        """Whether a market not met before can be played: it needs its definition first, and to be met here first."""
        if market_id in self._markets:
            return False
        name = self._recording.name
        if change.market_definition is None:
            self._undefined.setdefault(market_id, number)
            return False
        self._undefined.pop(market_id, None)
        owner = self._feed.opened(market_id, name, at, self.rebasing)
        self._markets[market_id] = owner == name
        if owner != name:
            self._feed.tell(
                RecordingError(f"the market is in {owner} as well; this copy is left out", name, number, market_id)
            )
        return self._markets[market_id]

    def _tell_oddities(self, line: RecordedLine) -> None:
        for field, error in line.oddities:
            if (error.market_id, field) not in self._odd:
                self._odd.add((error.market_id, field))
                self._feed.tell(error)
