"""Where parts of a result go: into memory, or into a folder that counts a part only once it is committed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..simulate.rows import FIELDS, empty_rows
from ..strategies.errors import InputError
from .result import COMMITS, MANIFEST, Result
from .worker import Part

#: The folder of log files, one a part.
LOGS = "logs"
#: Rows kept as they are; beyond that tables take less memory.
_MOST_ROWS = 50_000


class MemoryStore:
    """Keeps parts in this process: as rows while they are few, then as tables."""

    done: frozenset[str] = frozenset()
    markets: tuple[tuple[str, str], ...] = ()

    def __init__(self) -> None:
        self._tables: list[tuple[int, dict[str, Any]]] = []
        self._digest = 0
        self._waiting: list[Part] = []
        self._count = 0

    def add(self, part: Part) -> None:
        self._waiting.append(part)
        self._count += sum(len(rows) for rows in part.rows.values())
        if self._count > _MOST_ROWS:
            self._convert()

    def _convert(self) -> None:
        from .tables import digest_of, to_tables

        for part in self._waiting:
            self._tables.append((part.batch.number, to_tables(part.rows)))
            self._digest += digest_of(part.rows)
        self._waiting, self._count = [], 0

    def result(self, manifest: Callable[[], dict[str, Any]]) -> Result:
        if not self._tables:
            rows = empty_rows()
            for part in sorted(self._waiting, key=lambda part: part.batch.number):
                for name, more in part.rows.items():
                    rows[name].extend(more)
            return Result(manifest, rows=rows)
        import pyarrow as pa

        self._convert()
        self._tables.sort(key=lambda part: part[0])
        tables = {name: pa.concat_tables([part[name] for _, part in self._tables]) for name in FIELDS}
        return Result(manifest, tables, self._digest)


class FolderStore:
    """Writes each part as Parquet, one folder a table; a part counts once its commit file is there.

    Args:
        identity: what the run is: strategies, parameters, configuration, inputs. A run goes on only as the same.
        resume: go on with the run that the folder holds.

    Attributes:
        done: units whose parts are committed.

    Raises:
        InputError: the folder cannot be written, holds something already, or holds another run; says what differs.
    """

    def __init__(self, folder: str | os.PathLike[str], identity: dict[str, Any], resume: bool = False) -> None:
        self._root = Path(folder)
        self._identity = json.loads(json.dumps(identity, default=str))
        self._markets: list[tuple[str, str]] = []
        self.done: set[str] = set()
        self._number = 0
        try:
            taken = self._root.exists() and (not self._root.is_dir() or any(self._root.iterdir()))
            if taken and resume:
                self._take_up()
            elif taken:
                raise InputError(
                    f"{self._root}: exists and is not empty; name another folder for the result, remove it, or resume "
                    "the run that it holds (resume=True, --resume)"
                )
            for name in (*FIELDS, COMMITS, LOGS):
                (self._root / name).mkdir(parents=True, exist_ok=True)
            if not taken:
                self._write(self._root / MANIFEST, {**self._identity, "finished": False})
        except OSError as error:
            raise InputError(f"{self._root}: the result cannot be written here: {error.strerror or error}") from None

    def _take_up(self) -> None:
        try:
            known = json.loads((self._root / MANIFEST).read_text())
        except (OSError, ValueError):
            raise InputError(f"{self._root}: holds no run to resume: {MANIFEST} cannot be read") from None
        for name, value in self._identity.items():
            if known.get(name) != value:
                why = _difference(name, known.get(name), value)
                raise InputError(f"{self._root}: the run that it holds cannot be resumed: {why}")
        for path in (self._root / COMMITS).glob("*.json"):
            commit = json.loads(path.read_text())
            self.done.update(commit["units"])
            self._markets.extend((market_id, unit) for market_id, unit in commit["markets"])
            self._number = max(self._number, commit["number"] + 1)

    @property
    def markets(self) -> list[tuple[str, str]]:
        """Markets of committed parts, each with its unit."""
        return self._markets

    def add(self, part: Part) -> None:
        import pyarrow.parquet as pq

        from .tables import digest_of, digest_text, to_tables

        name = part.batch.part
        for table, found in to_tables(part.rows).items():
            if found.num_rows:
                pq.write_table(found, self._root / table / f"{name}.parquet", compression="zstd")
        if part.log:
            (self._root / LOGS / f"{name}.jsonl").write_text(part.log)
        commit = {
            "part": name,
            "number": part.batch.number + self._number,
            "units": [unit.name for unit in part.batch.units],
            "markets": part.markets,
            "rows": {table: len(rows) for table, rows in part.rows.items()},
            "digest": digest_text(digest_of(part.rows)),
        }
        self._write(self._root / COMMITS / f"{name}.json", commit)

    @staticmethod
    def _write(path: Path, value: Any) -> None:
        """Write a file so that it is there whole, or not at all."""
        beside = path.with_suffix(".part")
        beside.write_text(json.dumps(value, indent=1, default=str) + "\n")
        beside.replace(path)

    def result(self, manifest: Callable[[], dict[str, Any]]) -> Result:
        self._write(self._root / MANIFEST, {**self._identity, **manifest(), "finished": True})
        return Result.load(self._root)


def _difference(name: str, known: Any, wanted: Any) -> str:
    """What of a run's identity differs, in words."""
    if name == "sources":
        return "the source of the strategies has changed"
    if isinstance(known, dict) and isinstance(wanted, dict):
        keys = [key for key in (*known, *wanted) if known.get(key) != wanted.get(key)]
        return f"{name}: {keys[0]} was {known.get(keys[0])!r} and is {wanted.get(keys[0])!r}"
    if isinstance(known, list) and isinstance(wanted, list):
        new = [each for each in wanted if each not in known]
        gone = [each for each in known if each not in wanted]
        shown = f"{new[0]} is new or changed" if new else f"{gone[0]} is gone" if gone else "in another order"
        return f"{name}: {shown}"
    return f"{name} was {known!r} and is {wanted!r}"
