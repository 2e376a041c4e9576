"""Where the rows of a sweep are: in this process, in parts of a folder, or in several sweeps one after the other.

There may be far more of them than a process can hold: 1 000 sets over 10 000 markets are ten million rows of `markets`
alone. So what is read off them is read a piece at a time, or a few columns of a few sets.
"""

from __future__ import annotations

import abc
import collections
import dataclasses
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from .commits import damaged
from .folders import Folder
from .sweep_parts import TABLES

if TYPE_CHECKING:
    import pyarrow as pa

#: Rows that are read into memory at once where all are needed.
MOST_ROWS = 200_000
#: Files of an object store that are read ahead.
_AHEAD = 8

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class SweepRows(abc.ABC):
    """The tables of a sweep, by the names of `TABLES`, rows in any order."""

    @abc.abstractmethod
    def pieces(
        self, name: str, columns: Sequence[str] | None = None, sets: Collection[int | None] | None = None
    ) -> Iterator[pa.Table]:
        """A table, a piece at a time.

        Args:
            columns: which, in this order; None: all.
            sets: whose rows; None among them: those of no set. None: all.

        Raises:
            InputError: a file of it cannot be read.
        """

    @abc.abstractmethod
    def count(self, name: str) -> int:
        """How many rows a table has."""

    def read(
        self, name: str, columns: Sequence[str] | None = None, sets: Collection[int | None] | None = None
    ) -> pa.Table:
        """A table, or some of its columns and sets, as a whole: see `pieces`."""
        import pyarrow as pa

        from .tables import schema

        found = list(self.pieces(name, columns, sets))
        if found:
            return pa.concat_tables(found)
        kinds = dict(TABLES[name])
        return schema(tuple((column, kinds[column]) for column in columns or kinds)).empty_table()


class HeldRows(SweepRows):
    """Rows in this process.

    Args:
        tables: by name; what is not there is empty.
    """

    def __init__(self, tables: Mapping[str, pa.Table]) -> None:
        self._tables = dict(tables)

    def pieces(
        self, name: str, columns: Sequence[str] | None = None, sets: Collection[int | None] | None = None
    ) -> Iterator[pa.Table]:
        if name in self._tables:
            table = self._tables[name]
            table = table if sets is None else of_sets(table, sets)
            yield table if columns is None else table.select(columns)

    def count(self, name: str) -> int:
        return self._tables[name].num_rows if name in self._tables else 0


@dataclasses.dataclass(frozen=True, slots=True)
class SweepCommit:
    """What the commit file of a part of a sweep says, as far as readers need it.

    Attributes:
        number: place among the parts.
        rows: how many each table has.
        least, most: of the numbers of its sets; any, where it has no units.
    """

    part: str
    number: int
    rows: Mapping[str, int]
    least: float = 0
    most: float = math.inf

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> SweepCommit:
        texts = [text.replace("-", ",").split(",") for text in set(found["sets"])]
        ends = [int(end) for text in texts for end in (text[0], text[-1])]
        return cls(found["part"], found["number"], found["rows"], min(ends, default=0), max(ends, default=math.inf))


class FolderRows(SweepRows):
    """Rows in committed parts of a folder, read when somebody asks for them.

    Args:
        keeper: an object that must live as long as they do, such as that of a temporary folder.
    """

    def __init__(self, place: Folder, commits: Iterable[SweepCommit], keeper: Any = None) -> None:
        self._place = place
        self._commits = sorted(commits, key=lambda commit: commit.number)
        self._keeper = keeper

    def __reduce__(self) -> Any:
        # A temporary folder is removed with this process.
        if self._keeper is not None:
            return HeldRows, ({name: self.read(name) for name in TABLES},)
        return FolderRows, (self._place, self._commits)

    def pieces(
        self, name: str, columns: Sequence[str] | None = None, sets: Collection[int | None] | None = None
    ) -> Iterator[pa.Table]:
        numbers = [] if sets is None else sorted(number for number in sets if number is not None)
        whole = sets is None or None in sets
        wanted = [
            commit
            for commit in self._commits
            if commit.rows.get(name) and (whole or any(commit.least <= number <= commit.most for number in numbers))
        ]

        def read(commit: SweepCommit) -> pa.Table:
            file = f"{name}/{commit.part}.parquet"
            try:
                needed = None if columns is None else list(dict.fromkeys((*columns, "set")))
                if whole:
                    found = self._place.read_table(file, needed)
                else:
                    found = self._place.read_rows(file, needed, "set", numbers)
            except Exception as error:
                raise damaged(self._place, file, error) from None
            found = found if sets is None else of_sets(found, sets)
            return found.select([column for column, _ in TABLES[name]] if columns is None else list(columns))

        return iter(map(read, wanted)) if self._place.on_disk else _ahead(read, wanted)

    def count(self, name: str) -> int:
        return sum(commit.rows.get(name, 0) for commit in self._commits)


class JoinedRows(SweepRows):
    """The rows of several sweeps, whose sets are numbered on.

    Args:
        sweeps: of each its rows, and how many sets it has.
    """

    def __init__(self, sweeps: Sequence[tuple[SweepRows, int]]) -> None:
        self._sweeps = list(sweeps)

    def pieces(
        self, name: str, columns: Sequence[str] | None = None, sets: Collection[int | None] | None = None
    ) -> Iterator[pa.Table]:
        import pyarrow.compute as pc

        before = 0
        for rows, count in self._sweeps:
            mine = None if sets is None else _own(sets, before, count)
            if mine is None or mine:
                for table in rows.pieces(name, columns, mine):
                    if "set" in table.column_names:
                        at = table.column_names.index("set")
                        table = table.set_column(at, "set", pc.add(table["set"], before))
                    yield table
            before += count

    def count(self, name: str) -> int:
        return sum(rows.count(name) for rows, _ in self._sweeps)


def _own(sets: Collection[int | None], before: int, count: int) -> list[int | None]:
    """Those of some sets that are among so many after so many others, numbered from 0; None stays."""
    own: list[int | None] = [None] if None in sets else []
    own += [number - before for number in sets if number is not None and 0 <= number - before < count]
    return own


def of_sets(table: pa.Table, sets: Collection[int | None]) -> pa.Table:
    """The rows of some sets; of none where None is among them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    numbers = pa.array(sorted(number for number in sets if number is not None), pa.int64())
    chosen = pc.is_in(table["set"], numbers)
    return table.filter(pc.or_(chosen, pc.is_null(table["set"])) if None in sets else chosen)


def groups_of_sets(rows: SweepRows, name: str, sets: int) -> Iterator[list[int | None]]:
    """The numbers of so many sets, and None for no set, in groups of which the rows of a table fit in memory."""
    step = max(1, MOST_ROWS * sets // max(1, rows.count(name)))
    for least in range(0, sets, step):
        last = least + step >= sets
        yield [*range(least, min(least + step, sets)), *([None] if last else [])]


def distinct(rows: SweepRows, name: str, columns: Sequence[str]) -> pa.Table:
    """What stands in some columns of a table, each once, in order."""
    import pyarrow as pa

    from .tables import schema

    kinds = dict(TABLES[name])
    found = schema(tuple((column, kinds[column]) for column in columns)).empty_table()
    for table in rows.pieces(name, columns):
        some = table.group_by(list(columns)).aggregate([]).select(list(columns))
        found = pa.concat_tables([found, some]).group_by(list(columns)).aggregate([]).select(list(columns))
    return found.sort_by([(column, "ascending") for column in columns])


def added_up(rows: SweepRows, name: str, sets: int) -> list[int]:
    """The column `count` of a table, added up for each of so many sets."""
    found = [0] * sets
    for table in rows.pieces(name, ("set", "count")):
        some = table.group_by("set").aggregate([("count", "sum")])
        for number, count in zip(some["set"].to_pylist(), some["count_sum"].to_pylist(), strict=True):
            if number is not None:
                found[number] += count
    return found


def _ahead(function: Callable[[Item], Answer], items: Sequence[Item]) -> Iterator[Answer]:
    """The answers of a function to each item, in order; it works on a few at once."""
    with ThreadPoolExecutor(_AHEAD) as pool:
        waiting: collections.deque[Future[Answer]] = collections.deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) == _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
