"""What a journal does beside being written to: a thread of its own, in steps so small that who writes waits for one of
them at most.

- A new day begins a new file.
- Entries of markets that are over are packed: compressed, some hundred in a row, without what was kept for a restart.
- Of what the requests of an open market have kept, only the last of each trade, runner and snapshot stays.
- What waits in the WAL is brought into the file.
- What is older than it should be goes, and so does, the oldest first, what is more than there is room for. What is open
  never goes.
- A write that failed is tried again.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
import threading
import time
from pathlib import Path

from ...strategies.messages import Request
from ...values import UNREADABLE
from .day_file import SQLITE_ERRORS, WAL_KEPT, DayFile, is_damage, packed_rows
from .entries import Kept, merged, packed, unpacked
from .files import JournalFiles
from .lease import JournalError
from .side_door import SideDoor

logger = logging.getLogger("headrace")

#: Seconds between two passes, and between two looks at how much room there is.
_PASS_S, _ROOM_S = 1.0, 60.0
#: Packs that one pass makes at most, and seconds between two of them: who writes goes first.
_PACKS, _BREATH_S = 50, 0.002
#: How often something is kept, before what it replaces goes, and of how many entries at once it does.
_KEPT, _CHANGES = 64, 4
#: Bytes in the WAL that a checkpoint is made for, those at which writing waits for the last of it, and for all of it.
_WAL, _WAL_LONG, _WAL_MOST = WAL_KEPT // 2, WAL_KEPT * 4, 64_000_000
#: Checkpoints in a row, until one has found nothing more.
_CHECKPOINTS = 4
#: Bytes of a file that is written anew without what is spare in it, when its day is over, whatever that is.
_SMALL = 16_000_000
#: Entries of no market are packed when they are so old, milliseconds.
_RECENT_MS = 3_600_000
#: What is left of the room once something had to go.
_LESS = 0.9


class Keeper:
    """Keeps a journal in order.

    Args:
        days, megabytes: as for the files.
    """

    def __init__(self, files: JournalFiles, days: int, megabytes: float) -> None:
        self._files = files
        self._days, self._room = days, megabytes * 1e6
        self._doors: dict[Path, SideDoor] = {}
        self._looked: set[Path] = set()
        self._filled: set[Path] = set()
        self._room_at = 0.0
        #: How often something was kept since it was last merged, by market.
        self._kept: dict[str, int] = {}
        self._full_pass = threading.Lock()
        self.stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End at once; what is under way is finished."""
        self.stopped.set()
        if self._thread is not threading.current_thread():
            self._thread.join()
        with self._full_pass:
            self._close_doors()

    def _run(self) -> None:
        while not self.stopped.wait(_PASS_S):
            try:
                with self._full_pass:
                    self._pass(_PACKS)
                    self._fill_wal()
            except (*SQLITE_ERRORS, OSError, JournalError) as error:
                if self.stopped.is_set():
                    return
                logger.warning("The journal in %s cannot be put in order: %s", self._files.folder, error)
            except Exception:
                logger.exception("The journal in %s cannot be put in order", self._files.folder)

    def kept(self, market_id: str) -> None:
        """Something is kept for a market: told by whoever writes it."""
        self._kept[market_id] = self._kept.get(market_id, 0) + 1

    def tidy(self) -> None:
        """Do all that there is to do, now."""
        with self._full_pass:
            self._room_at = 0.0
            self._pass(None)

    def _pass(self, packs: int | None) -> None:
        files = self._files
        if files.why_not and not files.mend():
            return
        file = files.file
        if file is None or self.stopped.is_set():
            return
        if file.moved:
            files.damaged(f"{file.path} was removed while it was written: its entries are lost")
            self._turn_over(file)
            files.older.pop(file.path, None)
        elif file.wal_moved:
            logger.warning("%s-wal was removed while it was written: its entries are saved", file.path)
            with files.mutex:
                file.shorten_wal()
            self._turn_over(file)
        elif file.path.name < files.today:
            self._turn_over(file)
        file = files.file
        if file is None:
            return
        files.write_closed()
        try:
            self._merge(file)
            self._pack(file, packs)
            self._checkpoint(file)
        except SQLITE_ERRORS as error:
            if not is_damage(error) or not self._set_aside(file, error):
                raise
            return
        if time.monotonic() >= self._room_at:
            self._room_at = time.monotonic() + _ROOM_S
            self._make_room(file)

    def _turn_over(self, file: DayFile) -> None:
        self._close_doors()
        self._files.turn_over(self._files.new_path())
        # What has become over since is packed where it is.
        self._looked.discard(file.path)

    def _set_aside(self, file: DayFile, error: Exception) -> bool:
        """Go on without the present file, which is damaged; False: it is not, or not the present one any more."""
        files = self._files
        with files.mutex:
            if files.file is not file or file.moved:
                return False
            self._close_doors()
            files.set_aside(file.path, error)
        return True

    def _door(self, path: Path) -> SideDoor:
        if path not in self._doors:
            self._doors[path] = SideDoor(path)
        return self._doors[path]

    def _close_doors(self) -> None:
        while self._doors:
            self._doors.popitem()[1].close()

    # -- packing -------------------------------------------------------------------------------------------------

    def _pack(self, file: DayFile, most: int | None) -> None:
        files = self._files
        left = [1 << 30 if most is None else most]
        if file.path not in self._looked:
            self._looked.add(file.path)
            with files.mutex:
                files.over |= self._door(file.path).over() - files.open_markets
        with files.mutex:
            over = sorted(files.over)
        for market_id in over:
            if not self._pack_market(file, market_id, left):
                return
            with files.mutex:
                if not self._door(file.path).to_pack(market_id):
                    files.over.discard(market_id)
        if not self._pack_market(file, "", left, files.clock() - _RECENT_MS):
            return
        for path in list(files.older):
            if not self._pack_older(path, left):
                return

    def _pack_older(self, path: Path, left: list[int]) -> bool:
        """Pack what has become over in a file of an earlier day, which nobody else writes to."""
        files = self._files
        with files.mutex:
            closed = files.older[path] - files.open_markets
        if not closed and path in self._looked:
            return True
        try:
            return self._pack_day(path, closed, left)
        except SQLITE_ERRORS as error:
            if not is_damage(error):
                raise
            files.set_aside(path, error)
            return True

    def _pack_day(self, path: Path, closed: set[str], left: list[int]) -> bool:
        files = self._files
        file = DayFile(path)
        try:
            if closed:
                file.close_markets(closed)
            for market_id in sorted({*self._door(path).over(), ""}):
                if not self._pack_market(file, market_id, left):
                    return False
            with files.mutex:
                files.older[path] -= closed
            size = path.stat().st_size
            if path not in self._looked and (size < _SMALL or file.spare() > size / 2):
                file.vacuum()  # it is written to no more
            self._looked.add(path)
        finally:
            door = self._doors.pop(path, None)
            if door is not None:
                door.close()
            file.close()
        return True

    def _pack_market(self, file: DayFile, market_id: str, left: list[int], before: int | None = None) -> bool:
        """Pack what a file has of a market. Returns: False: there is more to do than there is time for."""
        door, files = self._door(file.path), self._files
        while rows := door.to_pack(market_id, before):
            if left[0] <= 0 or self.stopped.is_set():
                return False
            left[0] -= 1
            self._keep(file, market_id, dict.fromkeys(door.keeping(row[0] for row in rows), b""), False)
            data = packed_rows(rows)
            with files.mutex:
                if files.is_open(market_id) or (file.path not in files.older and files.file is not file):
                    return True
                file.pack(market_id, rows, data)
            if left[0] < _PACKS:
                self.stopped.wait(_BREATH_S)
        return True

    # -- what is kept --------------------------------------------------------------------------------------------

    def _merge(self, file: DayFile) -> None:
        """Drop what later requests of open markets have replaced."""
        files = self._files
        with files.mutex:
            for market_id in [each for each in self._kept if not files.is_open(each)]:
                del self._kept[market_id]
            due = [market_id for market_id, count in self._kept.items() if count >= _KEPT]
            for market_id in due:
                self._kept[market_id] = 0
        for market_id in due:
            self._keep(file, market_id, _merges(self._door(file.path).kept(market_id)), True)

    def _keep(self, file: DayFile, market_id: str, changes: dict[int, bytes], is_open: bool) -> None:
        """Replace what is kept with entries, a few at a time: who writes goes first.

        At any moment a restart finds what it needs, in the same order: what was merged is there before its parts go,
        and of these the last goes first.

        Args:
            is_open: so it goes on while the market is open, or while it is over.
        """
        files = self._files
        parts = sorted(changes.items(), key=lambda change: (not change[1], -change[0]))
        for first in range(0, len(parts), _CHANGES):
            with files.mutex:
                here = files.file is file or file.path in files.older
                if self.stopped.is_set() or not here or files.is_open(market_id) is not is_open:
                    return
                file.keep_only(dict(parts[first : first + _CHANGES]))
            self.stopped.wait(_BREATH_S)

    # -- room ----------------------------------------------------------------------------------------------------

    def _checkpoint(self, file: DayFile) -> None:
        files = self._files
        if file.unsaved < _WAL and file.wal_bytes < WAL_KEPT * 1.2:
            return
        door = self._door(file.path)
        # It takes as long as the disk does, and nobody who writes waits for it. Where nothing was written meanwhile all
        # of it is done, and the WAL begins anew; else little is left for the next time.
        for _ in range(_CHECKPOINTS):
            before = file.unsaved
            if not door.checkpoint() and file.unsaved == before:
                file.unsaved = 0
                return
        if file.wal_bytes > _WAL_LONG:
            with files.mutex:
                if file.wal_bytes > _WAL_MOST:
                    file.shorten_wal()
                    file.unsaved = 0
                elif not door.checkpoint():
                    file.unsaved = 0

    def _fill_wal(self) -> None:
        file = self._files.file
        if file is not None and file.path not in self._filled:
            self._filled.add(file.path)
            with self._files.mutex:
                file.fill_wal()

    def _make_room(self, current: DayFile) -> None:
        """Remove what is too old, and what there is no room for."""
        files = self._files
        oldest = (datetime.date.fromisoformat(files.today) - datetime.timedelta(days=self._days)).isoformat()
        for path in sorted(files.folder.glob("*.sqlite")):
            needed = path == current.path or files.older.get(path)
            too_much = files.room_taken - current.spare() > self._room
            if needed:
                if too_much:
                    self._drop_packs(path, current)
            elif too_much or path.name[:10] <= oldest:
                self._remove(path)

    def _drop_packs(self, path: Path, current: DayFile) -> None:
        """Drop the oldest packs of a file, as long as there is too little room."""
        files = self._files
        file = current if path == current.path else DayFile(path)
        try:
            most = self._room * _LESS
            while files.room_taken - file.spare() > most and not self.stopped.is_set():
                with files.mutex:
                    if not file.drop_packs(_PACKS):
                        break
            if file is not current:
                file.vacuum()
        finally:
            if file is not current:
                file.close()
        self._door(path).checkpoint()
        if file is not current:
            self._doors.pop(path).close()

    def _remove(self, path: Path) -> None:
        with self._files.mutex:
            self._files.older.pop(path, None)
        for end in ("-wal", "-shm", ""):
            with contextlib.suppress(FileNotFoundError):
                os.remove(f"{path}{end}")


def _merges(rows: list[tuple[int, str, str, bytes]]) -> dict[int, bytes]:
    """What entries are to keep instead, by their numbers, so that nothing is kept twice."""
    by_strategy: dict[tuple[str, str], list[tuple[int, Kept]]] = {}
    requests: dict[tuple[str, str], int] = {}
    for number, kind, actor, data in rows:
        try:
            kept = unpacked(data)
        except UNREADABLE:  # another version's
            return {}
        by_strategy.setdefault((actor, kept.strategy), []).append((number, kept))
        if kind == Request.__name__:
            requests[actor, kept.strategy] = number
    changes: dict[int, bytes] = {}
    for whose, found in by_strategy.items():
        if len(found) > 1:
            changes.update((number, b"") for number, _ in found)
            # A request's is found by its orders, whatever the actor is called by then.
            changes[requests.get(whose, found[-1][0])] = packed(merged(kept for _, kept in found))
    return changes
