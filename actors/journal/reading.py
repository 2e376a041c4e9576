"""Reading a file of the journal, while another process writes it: each look is short, so that nobody waits for it."""

from __future__ import annotations

import collections
import contextlib
import heapq
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import itemgetter
from pathlib import Path

from .day_file import COLUMNS, Row, check_version, unpacked_rows

#: Numbers that are read in one look, and where what is kept is read too.
_WINDOW, _WINDOW_OF_KEPT = 20_000, 500
#: Packs that are remembered: those of one market lie between those of others.
_REMEMBERED = 256
#: Milliseconds by which a clock may have been set back, where entries since a moment are looked for.
SET_BACK_MS = 300_000
_BY_NUMBER = itemgetter(0)


class DayReader:
    """A file of the journal, for reading.

    Args:
        path: of the file; it must be there.

    Raises:
        JournalError: it is of a later version of headrace.
        sqlite3.Error: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db, self._made = _connected(path)
        self._packs: collections.OrderedDict[int, list[Row]] = collections.OrderedDict()

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> DayReader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # -- looking -------------------------------------------------------------------------------------------------

    def markets(self) -> dict[str, bool]:
        """The markets that it knows: whether they are open."""
        if not self._made:
            return {}
        return {market: bool(is_open) for market, is_open in self._db.execute("select market_id, open from markets")}

    def bounds(self) -> tuple[int, int]:
        """The first and the last number in it; (1, 0): it has no entries.

        Raises:
            ValueError: it is damaged.
        """
        if not self._made:
            return 1, 0
        first, last, first_packed, last_packed = self._db.execute(
            "select (select min(number) from entries), (select max(number) from entries),"
            " (select min(first) from packs), (select max(last) from packs)"
        ).fetchone()
        lows = [each for each in (first, first_packed) if each is not None]
        highs = [each for each in (last, last_packed) if each is not None]
        if not all(type(each) is int for each in (*lows, *highs)):
            raise ValueError(f"{self.path} is damaged: its packs are not numbered")
        return (min(lows), max(highs)) if lows and highs else (1, 0)

    def first_since(self, at_ms: int) -> int:
        """A number before which nothing is that was written since a moment."""
        if not self._made:
            return 1
        found = None
        with self._look() as db:
            for number, at in db.execute("select number, at from entries order by number desc"):
                if at < at_ms - SET_BACK_MS:
                    break
                found = number
            packed = db.execute("select min(first) from packs where to_at >= ?", (at_ms,)).fetchone()[0]
        return min((each for each in (found, packed) if each is not None), default=self.bounds()[1] + 1)

    def of_markets(self, market_ids: Iterable[str], below: int) -> Iterator[Row]:
        """All entries of some markets, with what is kept, up to a number; in order."""
        if not self._made:
            return
        wanted = json.dumps(list(market_ids))
        with self._look() as db:
            packs = db.execute(
                "select market_id, data from packs where market_id in (select value from json_each(?))", (wanted,)
            )
            packed = [row for market, data in packs for row in unpacked_rows(data, market)]
            packed.sort(key=_BY_NUMBER)
            found = db.execute(
                f"select {COLUMNS} from entries where number in (select number from entries where market_id in"
                " (select value from json_each(?))) and number <= ? order by number",
                (wanted, below),
            )
            yield from heapq.merge(packed, found, key=_BY_NUMBER) if packed else found

    def windows(
        self, after: int, kept: bool, backwards: bool, market_id: str | None, since: int | None = None
    ) -> Iterator[list[Row]]:
        """All entries after a number, some at a time; within each of these in order.

        Args:
            kept: with what is kept.
            market_id: of this market only.
            since: written since then, milliseconds since the epoch; None: whenever.
        """
        if since is not None:
            after = max(after, self.first_since(since) - 1)
        first, last = self.bounds()
        first, width = max(first, after + 1), _WINDOW_OF_KEPT if kept else _WINDOW
        start = last - (last - first) % width if backwards else first
        while first <= start <= last:
            rows = self._window(start, start + width, "kept" if kept else "x''", market_id, since)
            if rows:
                yield rows
            elif backwards:  # numbers may lie far apart, where a file is damaged
                start -= (start - self._near(start, True)) // width * width
            else:
                start += max(0, self._near(start + width) - start - width) // width * width
            start += -width if backwards else width

    def _near(self, number: int, before: bool = False) -> int:
        """The next number from one on, or the last before it: of what is packed, one that is not further away."""
        queries = (
            ("select max(number) from entries where number < ?", "select max(last) from packs where first < ?")
            if before
            else ("select min(number) from entries where number >= ?", "select min(first) from packs where last >= ?")
        )
        with self._look() as db:
            found = [db.execute(each, (number,)).fetchone()[0] for each in queries]
        near = [min(each, number - 1) if before else max(each, number) for each in found if each is not None]
        return (max(near) if before else min(near)) if near else number + (-1 if before else 1)

    def _window(self, start: int, end: int, kept: str, market_id: str | None, since: int | None) -> list[Row]:
        only = "" if market_id is None else " and market_id = :market"
        late = ("", "") if since is None else (" and at >= :since", " and to_at >= :since")
        values = {"start": start, "end": end, "market": market_id, "since": since}
        with self._look() as db:
            rows: list[Row] = db.execute(
                f"select number, at, market_id, kind, actor, message, {kept} from entries"
                f" where number >= :start and number < :end{only}{late[0]} order by number",
                values,
            ).fetchall()
            packs = db.execute(
                f"select id, market_id from packs where last >= :start and first < :end{only}{late[1]}", values
            ).fetchall()
            known = len(rows)
            for pack, market in packs:
                found = self._unpacked(pack, market)
                rows.extend(row for row in found if start <= row[0] < end and (since is None or row[1] >= since))
        if len(rows) > known:
            rows.sort(key=_BY_NUMBER)
        return rows

    def _unpacked(self, pack: int, market_id: str) -> list[Row]:
        rows = self._packs.get(pack)
        if rows is None:
            found = self._db.execute("select data from packs where id = ?", (pack,)).fetchone()
            if found is None:
                raise ValueError(f"pack {pack} of market {market_id} is not where it is said to be")
            rows = self._packs[pack] = list(unpacked_rows(found[0], market_id))
            if len(self._packs) > _REMEMBERED:
                self._packs.popitem(last=False)
        else:
            self._packs.move_to_end(pack)
        return rows

    @contextlib.contextmanager
    def _look(self) -> Iterator[sqlite3.Connection]:
        """Entries and packs as they stand at one moment.

        Raises:
            ValueError: a column has what it cannot have.
        """
        self._db.execute("begin")
        try:
            yield self._db
        except TypeError as error:
            raise ValueError(f"{self.path} is damaged: {error}") from None
        finally:
            if self._db.in_transaction:
                self._db.execute("rollback")


def _connected(path: Path) -> tuple[sqlite3.Connection, bool]:
    """A connection that writes nothing, and whether the file has its tables.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    # Files beside it are needed where a process that was killed has left some, or another one writes. Where they cannot
    # be made, as on a full disk, nobody writes: then it can be had for this connection alone, which needs them less.
    last: sqlite3.Error | None = None
    for mode, locking in (("mode=rw", "normal"), ("mode=rw", "exclusive"), ("mode=ro&immutable=1", "normal")):
        db = None
        try:
            db = sqlite3.connect(
                f"{path.absolute().as_uri()}?{mode}", uri=True, isolation_level=None, check_same_thread=False
            )
            db.execute(f"pragma locking_mode = {locking}")
            db.execute("pragma query_only = on")
            return db, check_version(db, path)
        except sqlite3.OperationalError as error:
            last = error
            if db is not None:
                db.close()
        except BaseException:
            if db is not None:
                db.close()
            raise
    assert last is not None
    raise last


#: Why a file could not be read further, after which number: what else can be read of it.
Rescue = Callable[[Path, Exception, int], Iterable[Row]]


def in_order(streams: Mapping[Path, Iterator[Row]], rescue: Rescue) -> Iterator[Row]:
    """Entries of several files by their numbers; each comes once."""

    def whole(path: Path, stream: Iterator[Row]) -> Iterator[Row]:
        last = -1
        try:
            for row in stream:
                last = row[0]
                yield row
        except (sqlite3.Error, ValueError) as error:
            why: Exception = error
        else:
            return
        yield from rescue(path, why, last)

    last = -1
    for row in heapq.merge(*(whole(path, stream) for path, stream in streams.items()), key=_BY_NUMBER):
        if row[0] != last:
            last = row[0]
            yield row
