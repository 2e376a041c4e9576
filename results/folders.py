"""Where results are kept: a folder of this machine, or a folder of an object store or a shared disk, by its URI."""

from __future__ import annotations

import bisect
import contextlib
import errno
import os
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..simulate.reading.locations import is_uri, reason, store_of
from ..strategies.errors import InputError, RunError

if TYPE_CHECKING:
    import pyarrow as pa


#: Errors of the machine, not of the caller: a disk that is full or failing, too many open files.
_MACHINES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EFBIG})


class NotWritten(RunError):
    """A file of a result could not be written, though others could before."""


def why_not_written(error: Exception) -> str:
    """Why a file cannot be written, in words: the system's own, where it has any."""
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else reason(error)


def not_written(what: str, error: Exception) -> RunError:
    """The error of something that cannot be written: an `InputError` where another path would do."""
    why = why_not_written(error)
    return (RunError if getattr(error, "errno", None) in _MACHINES else InputError)(f"{what}: {why}")


class Folder:
    """A folder, by its path or its URI (`s3://bucket/run`, `gs://...`, `file:///mnt/shared/run`).

    A file is there whole or not at all: stores put objects so; on disks it is written beside and then moved.

    Attributes:
        shared: it was named by a URI: workers on other machines may write there too.

    Raises:
        InputError: the URI is of a kind that is not known, or holds credentials.
    """

    def __init__(self, where: str | os.PathLike[str]) -> None:
        self._where = os.fspath(where)
        self.shared = is_uri(self._where) or self._where.startswith("file://")
        with self._reached("cannot be used"):
            self._store, self._root = store_of(self._where)

    def __str__(self) -> str:
        return self._where

    def __reduce__(self) -> Any:
        return Folder, (self._where,)

    @property
    def on_disk(self) -> bool:
        return bool(self._store.type_name == "local")

    def make_private(self) -> None:
        """Make the folder so that nobody else of this machine can look into it; one that is there stays as it is.

        Raises:
            InputError: it cannot be made.
            RunError: the same, and another path would not help.
        """
        if self.on_disk:
            try:
                os.makedirs(os.path.dirname(os.path.abspath(self._root)), exist_ok=True)
                with contextlib.suppress(FileExistsError):
                    os.mkdir(self._root, 0o700)
            except OSError as error:
                raise not_written(f"{self._where}: the result cannot be written here", error) from None

    def taken(self) -> bool:
        """Whether there is anything.

        Raises:
            InputError: it cannot be looked at.
        """
        from pyarrow import fs

        with self._reached("cannot be looked at"):
            info = self._store.get_file_info(self._root)
            if info.type == fs.FileType.File:
                return True
            return bool(self._store.get_file_info(fs.FileSelector(self._root, allow_not_found=True)))

    def write_first(self, name: str, content: bytes) -> None:
        """Write the first file below the folder: whether it can be written at all.

        Raises:
            InputError: it cannot be written.
            RunError: the same, and another path would not help: the disk is full, say.
        """
        try:
            self._write(name, content)
        except (InputError, RunError):
            raise
        except Exception as error:
            raise not_written(f"{self._where}: the result cannot be written here", error) from None

    def write(self, name: str, content: bytes) -> None:
        """Write a file below the folder, over one that is there.

        Raises:
            NotWritten: it cannot be written. What was written before stays.
        """
        try:
            self._write(name, content)
        except (InputError, RunError):
            raise
        except Exception as error:
            raise NotWritten(f"{self._where}: {name} cannot be written: {why_not_written(error)}") from None

    def bring(self, path: Path, name: str) -> None:
        """Bring a file of this machine below the folder, over one that is there.

        Raises:
            NotWritten: it cannot be read, or not be written.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise NotWritten(f"{path} cannot be read: {why_not_written(error)}") from None
        self.write(name, content)

    def _write(self, name: str, content: bytes) -> None:
        path = f"{self._root}/{name}"
        if not self.on_disk:
            with self._store.open_output_stream(path, compression=None) as file:
                file.write(content)
            return
        os.makedirs(os.path.dirname(path), exist_ok=True)
        # Two workers may write the same part at once.
        beside = f"{path}.{uuid.uuid4().hex[:8]}.part"
        try:
            Path(beside).write_bytes(content)
            os.replace(beside, path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(beside)
            raise

    def remove(self, name: str) -> None:
        """Remove a file below the folder, and the folder where that leaves it empty; what cannot be removed stays."""
        with contextlib.suppress(OSError):
            self._store.delete_file(f"{self._root}/{name}")
            if self.on_disk:
                os.rmdir(self._root)

    def read(self, name: str) -> bytes:
        """A file below the folder.

        Raises:
            FileNotFoundError, OSError: as the store has it.
        """
        with self._store.open_input_stream(f"{self._root}/{name}", compression=None) as file:
            return bytes(file.read())

    def read_table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """A Parquet file below the folder, or some of its columns.

        Raises:
            FileNotFoundError, OSError: as the store has it.
        """
        import pyarrow.parquet as pq

        with self._store.open_input_file(f"{self._root}/{name}") as file:
            return pq.ParquetFile(file, page_checksum_verification=True).read(columns=columns)

    def read_rows(self, name: str, columns: list[str] | None, column: str, numbers: Sequence[int]) -> pa.Table:
        """Those groups of rows of a Parquet file that may hold any of some numbers in a column; others as well.

        Args:
            columns: of the table; None: all.
            numbers: ascending.

        Raises:
            FileNotFoundError, OSError: as the store has it.
        """
        import pyarrow.parquet as pq

        with self._store.open_input_file(f"{self._root}/{name}") as file:
            parquet = pq.ParquetFile(file, page_checksum_verification=True)
            at = parquet.schema_arrow.names.index(column)
            told = [parquet.metadata.row_group(group).column(at).statistics for group in range(parquet.num_row_groups)]
            wanted = [group for group, each in enumerate(told) if _may_hold(each, numbers)]
            return parquet.read_row_groups(wanted, columns=columns)

    def names(self, folder: str, ending: str) -> list[str]:
        """Names of files with an ending in a folder below, in order; none where it is not there.

        Raises:
            InputError: it cannot be listed.
        """
        from pyarrow import fs

        selector = fs.FileSelector(f"{self._root}/{folder}", allow_not_found=True)
        with self._reached("cannot be listed"):
            found = self._store.get_file_info(selector)
        return sorted(f"{folder}/{info.base_name}" for info in found if info.base_name.endswith(ending))

    @contextlib.contextmanager
    def _reached(self, what: str) -> Iterator[None]:
        try:
            yield
        except (InputError, RunError):
            raise
        except Exception as error:
            raise InputError(f"{self._where}: {what}: {reason(error)}") from None


def _may_hold(told: Any, numbers: Sequence[int]) -> bool:
    """Whether a group of rows of these statistics may hold one of some ascending numbers."""
    if told is None or not told.has_min_max:
        return True
    place = bisect.bisect_left(numbers, told.min)
    return place < len(numbers) and bool(numbers[place] <= told.max)


def encoded(table: pa.Table, group: int | None = None) -> bytes:
    """A table as the bytes of a Parquet file: equal tables give equal bytes.

    Args:
        group: rows that can be read by themselves.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=group, compression="zstd", write_page_checksum=True)
    return bytes(sink.getvalue())
