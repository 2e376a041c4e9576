"""Archives and their members by name, and the stretch of a file that a member is."""

from __future__ import annotations

import io
import re
from typing import Any, BinaryIO

from ...names import to_text

_ENDING = r"\.(?:zip|parquet|tar|tgz|tbz2?|tzst|tar\.(?:gz|bz2|zst))(?:\?[\w.-]+=[^!/]*)?"
_ARCHIVE = re.compile(f".*{_ENDING}", re.IGNORECASE | re.DOTALL)
_MEMBER = re.compile(f"(.+?{_ENDING})!(.+)", re.IGNORECASE | re.DOTALL)


def is_archive(name: str) -> bool:
    """Whether a name is an archive's."""
    return _ARCHIVE.fullmatch(name) is not None


def split_member(address: str) -> tuple[str, str] | None:
    """Archive and member of `archive.tar!member`; None where it is not such an address."""
    match = _MEMBER.fullmatch(address)
    return (match[1], match[2]) if match else None


def member_name(name: str) -> str:
    """The name of a member as a text that can be stored and shown."""
    return to_text(name.removeprefix("./"))


class FilePart(io.RawIOBase):
    """A part of a file, as a file of its own.

    Attributes:
        problem: what of it is not there; None where that is nothing, or it was not looked for yet.
    """

    def __init__(self, file: BinaryIO, offset: int, size: int) -> None:
        self._file, self._left = file, size
        self.problem: str | None = None
        file.seek(offset)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with memoryview(buffer) as view:
            found = self._file.read(min(len(view), self._left)) if self._left else b""
            view[: len(found)] = found
        if not found and self._left:
            self.problem = f"the archive ends {self._left} bytes before this member does"
            self._left = 0
        self._left -= len(found)
        return len(found)


class FileBeginning(io.RawIOBase):
    """The first so many bytes of a file, as a file."""

    def __init__(self, file: io.BufferedReader, size: int) -> None:
        self._file, self._size = file, size
        file.seek(0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END:
            return self._file.seek(self._size + offset)
        return self._file.seek(offset, whence)

    def readinto(self, buffer: Any) -> int:
        with memoryview(buffer) as view:
            found = self._file.read(max(min(len(view), self._size - self._file.tell()), 0))
            view[: len(found)] = found
        return len(found)
