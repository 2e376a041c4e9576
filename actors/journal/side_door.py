"""The file of a day by another connection: what the thread reads and does that keeps a journal in order."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from .day_file import OF_NUMBERS, Row, connected

#: Entries in a pack, and bytes of messages, at most.
_PACKED, _PACKED_BYTES = 200, 200_000
#: Bytes of what is kept that are merged again whatever there is that is new.
_LITTLE = 100_000


class SideDoor:
    """The same file by another connection, for the thread that packs and writes checkpoints.

    Raises:
        sqlite3.Error: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._db = connected(path)

    def to_pack(self, market_id: str, before: int | None = None) -> list[Row]:
        """The next entries of a market that go in one pack; of those before a moment, if one is given."""
        rows: list[Row] = []
        size = 0
        found = self._db.execute(
            "select number, at, market_id, kind, actor, message, x'' from entries"
            f" where market_id = ? {'' if before is None else 'and at < ?'} order by number limit ?",
            (market_id, _PACKED) if before is None else (market_id, before, _PACKED),
        ).fetchall()
        for row in found:
            if rows and size + len(row[5]) > _PACKED_BYTES:
                break
            rows.append(row)
            size += len(row[5])
        return rows

    def kept(self, market_id: str) -> list[tuple[int, str, str, bytes]]:
        """Number, kind, actor and what is kept, of the market's last entries that keep something.

        One that keeps much more than all after it, for it was merged of many, is not among them, nor is any before it:
        so what is merged is read and written again only when there is as much that is new.
        """
        since, total = 0, 0
        sizes = self._db.execute(
            "select number, length(kept) from entries where market_id = ? and length(kept) > 0 order by number desc",
            (market_id,),
        ).fetchall()
        for number, size in sizes:
            if total and size > 2 * total + _LITTLE:
                break
            since, total = number, total + size
        return self._db.execute(
            "select number, kind, actor, kept from entries"
            " where market_id = ? and number >= ? and length(kept) > 0 order by number",
            (market_id, since),
        ).fetchall()

    def keeping(self, numbers: Iterable[int]) -> list[int]:
        """Those of some entries that keep something."""
        query = f"select number from entries where {OF_NUMBERS} and length(kept) > 0 order by number"
        return [number for (number,) in self._db.execute(query, (json.dumps(list(numbers)),))]

    def over(self) -> set[str]:
        """Markets that are over and have entries that are not packed."""
        return {
            market_id
            for (market_id,) in self._db.execute(
                "select market_id from markets where open = 0"
                " and exists (select 1 from entries where entries.market_id = markets.market_id)"
            )
        }

    def checkpoint(self) -> int:
        """Bring what is in the WAL into the file. Returns: the frames that are left in it."""
        _, frames, done = self._db.execute("pragma wal_checkpoint(passive)").fetchone()
        return int(frames - done)

    def close(self) -> None:
        self._db.close()
