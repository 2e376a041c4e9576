"""Parts of a result: what batches of units gave, as rows, and as the files that are made of them."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection, Mapping
from typing import Any

from ..actors.sieves import Sieve
from ..simulate.rows import FIELDS, Rows
from ..simulate.units import Unit
from .folders import encoded

#: The folder of log files, one per part.
LOGS = "logs"
#: Where the rows of markets count the orders.
_ORDERS = [name for name, _ in FIELDS["markets"]].index("orders")


@dataclasses.dataclass(frozen=True)
class Batch:
    """Units that one worker replays one after the other.

    Attributes:
        number: place in the plan.
        alone: the batch is one unit that was under way when a worker died.
    """

    number: int
    units: tuple[Unit, ...]
    alone: bool = False

    @property
    def part(self) -> str:
        """The name of its part of a result: a hash of its units."""
        names = "\n".join(unit.name for unit in self.units)
        return hashlib.sha256(names.encode()).hexdigest()[:24]


@dataclasses.dataclass
class StoredPart:
    """The files that were made of a part's rows for a folder.

    Attributes:
        files: their contents by name; empty if they are there already.
        rows: how many each table has.
        digest: what the rows add to the run's digest.
        shares: of that, the share of each market.
    """

    files: dict[str, bytes]
    rows: dict[str, int]
    digest: int
    shares: dict[str, int]


@dataclasses.dataclass
class Part:
    """What a batch gave.

    Attributes:
        rows: by table; of a part that is stored only its failures.
        changes: market changes replayed.
        markets: ids of the markets replayed, each with its unit.
        log: log lines of the batch.
        warnings: level and text of the first warnings, where they were logged in another process; those of errors of
            strategies are `FailureLine`s.
        events: for the logging controls, where they live in another process.
        stopped: a strategy has asked for the end of the run.
        seconds: time spent on it.
        stored: what was made of its rows for a folder, where the result is kept in one.
        copies: markets of which another unit of the part has the copy that counts, each with the unit that lost.
        displaced: markets that earlier pieces of the batch have, and a better copy of which is in this one.
        left_out: of a sweep, ids of markets whose rows do not count: they came in another part as well.
        digests: SHA-256 of the files of each unit as they were read; of those not read to their end there is no entry.
        worn: the process that made it has grown beyond its limit of memory.
        sieves: what filters let pass, by strategy, or by number of a set.
    """

    batch: Batch
    rows: Rows
    changes: int
    seconds: float
    markets: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    log: str = ""
    warnings: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    events: list[bytes] = dataclasses.field(default_factory=list)
    stopped: bool = False
    stored: StoredPart | None = None
    copies: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    displaced: set[str] = dataclasses.field(default_factory=set)
    left_out: set[str] = dataclasses.field(default_factory=set)
    digests: dict[str, str] = dataclasses.field(default_factory=dict)
    worn: bool = False
    sieves: dict[str, Sieve] = dataclasses.field(default_factory=dict)

    def count(self, table: str) -> int:
        """How many rows a table of it has."""
        return len(self.rows[table]) if self.stored is None else self.stored.rows[table]

    @property
    def orders(self) -> int:
        """How many orders it has; of a sweep, which keeps none unless asked to, how many its markets count."""
        if self.stored is not None:
            return self.stored.rows["orders"]
        return sum(row[_ORDERS] for row in self.rows["markets"])

    def join(self, more: Part) -> None:
        """Take what a further piece of its batch gave; the piece began with the markets of this part."""
        self.drop(more.displaced)
        for table, rows in more.rows.items():
            self.rows[table].extend(rows)
        self.changes += more.changes
        self.markets = more.markets
        self.copies.extend(more.copies)
        self.digests.update(more.digests)
        self.stopped = self.stopped or more.stopped
        add_sieves(self.sieves, more.sieves)

    def drop(self, market_ids: Collection[str]) -> None:
        """Drop the rows of markets; failures stay."""
        for table, rows in self.rows.items():
            self.rows[table] = without_markets(table, rows, market_ids)

    def drop_left_out(self) -> None:
        """Drop the rows of markets that came in another part as well; failures stay."""
        self.drop(self.left_out)


def add_sieves(total: dict[str, Sieve], more: Mapping[str, Sieve]) -> None:
    """Add what filters did in one part of a run to what they did in others."""
    for name, sieve in more.items():
        total.setdefault(name, Sieve()).add(sieve)


def without_markets(table: str, rows: list[tuple[Any, ...]], market_ids: Collection[str]) -> list[tuple[Any, ...]]:
    """Rows of a table but for those of some markets; failures stay."""
    columns = [name for name, _ in FIELDS[table]]
    if not market_ids or table == "failures" or "market_id" not in columns:
        return rows
    at = columns.index("market_id")
    return [row for row in rows if row[at] not in market_ids]


def store_part(part: Part) -> StoredPart:
    """The files of a part but for its failures, to which the driver may add, and what a commit says of them."""
    from .tables import digests_by_market, from_rows

    name = part.batch.part
    shares = digests_by_market(part.rows)
    files: dict[str, bytes] = {}
    for table, rows in part.rows.items():
        if rows and table != "failures":
            files[f"{table}/{name}.parquet"] = encoded(from_rows(rows, FIELDS[table]))
    if part.log:
        files[f"{LOGS}/{name}.jsonl"] = part.log.encode(errors="backslashreplace")
    counts = {table: len(rows) for table, rows in part.rows.items()}
    return StoredPart(files, counts, sum(shares.values()), shares)
