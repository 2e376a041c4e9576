"""Where parts of a result go: into memory, or into a folder that counts a part only once it is committed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..simulate.rows import FIELDS
from ..strategies.errors import InputError
from .result import COMMITS, MANIFEST, Result
from .tables import digest_of, digest_text, schema, to_tables
from .worker import Part


class MemoryStore:
    """Keeps tables in this process."""

    def __init__(self) -> None:
        self._parts: list[tuple[int, dict[str, pa.Table]]] = []
        self._digest = 0

    def add(self, part: Part) -> None:
        self._parts.append((part.batch.number, to_tables(part.rows)))
        self._digest += digest_of(part.rows)

    def result(self, manifest: dict[str, Any]) -> Result:
        self._parts.sort(key=lambda part: part[0])
        tables = {
            name: pa.concat_tables([schema(name).empty_table(), *(part[name] for _, part in self._parts)])
            for name in FIELDS
        }
        return Result(tables, self._digest, manifest)


class FolderStore:
    """Writes each part as Parquet, one folder a table; a part counts once its commit file is there.

    Raises:
        InputError: the folder cannot be written, or holds something already.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._root = Path(folder)
        try:
            if self._root.exists() and (not self._root.is_dir() or any(self._root.iterdir())):
                raise InputError(
                    f"{self._root}: exists and is not empty; name another folder for the result, or remove it"
                )
            for name in (*FIELDS, COMMITS):
                (self._root / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self._root}: the result cannot be written here: {error.strerror or error}") from None

    def add(self, part: Part) -> None:
        name = part.batch.part
        for table, found in to_tables(part.rows).items():
            if found.num_rows:
                pq.write_table(found, self._root / table / f"{name}.parquet", compression="zstd")
        commit = {
            "part": name,
            "number": part.batch.number,
            "units": [unit.name for unit in part.batch.units],
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

    def result(self, manifest: dict[str, Any]) -> Result:
        self._write(self._root / MANIFEST, manifest)
        return Result.load(self._root)
