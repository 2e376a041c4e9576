"""What packed files hold: gzip, bzip2 and zstd, several streams one behind the other, and what is left of damaged ones.

A reader gets everything that can be unpacked. It learns afterwards what could not: nothing that was read is given up
for what comes later. Where another stream begins behind damage, reading can go on there.
"""

from __future__ import annotations

import bz2
import collections
import io
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, cast

#: Bytes looked at to tell formats apart: a tar says what it is in its first 512.
_LOOKED_AT = 512
#: Bytes of packed data read at once, and of unpacked data handed on at once.
_READ, _PIECE = 64 * 1024, 16 * 1024
#: Packed bytes given to bzip2 at once. Its error takes with it what the same call has unpacked.
_BZ2_FED = 256
#: Packed bytes that are kept to look for another stream in: bzip2 tells of damage at the end of a block of 900 kB.
_KEPT = 2 * 1024 * 1024

_GZIP = re.compile(rb"\x1f\x8b\x08[\x00-\x1f].{4}[\x00\x02\x04][\x00-\x0d\xff]", re.DOTALL)
_BZIP2 = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")
_ZSTD = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")
#: Bytes that the longest of these takes.
_LONGEST = 10

_REFUSED: dict[bytes, str] = {
    b"PK\x03\x04": "is a zip archive; its name must end in .zip, and archives within archives are not read",
    b"PK\x05\x06": "is a zip archive that holds nothing",
    b"\xfd7zXZ": "is packed as xz, which is not read; pack it as bz2, gz or zst",
    b"7z\xbc\xaf": "is a 7z archive, which is not read; unpack it, or make it a tar or a zip",
    b"Rar!": "is a rar archive, which is not read; unpack it, or make it a tar or a zip",
    b"\xff\xfe": "is text in UTF-16, which is not read; save it as UTF-8",
    b"\xfe\xff": "is text in UTF-16, which is not read; save it as UTF-8",
}


def is_packed(start: bytes) -> bool:
    """Whether bytes begin as a packed file that can be read does."""
    return any(start.startswith(magic) for magic in (b"\x1f\x8b", b"BZh")) or _ZSTD.match(start) is not None


def unpacked(file: io.BufferedReader) -> BinaryIO:
    """What a file holds: of a gz, bz2 or zst file its contents (an `Unpacked`), else the file itself.

    Raises:
        ValueError: it is an archive, or packed in a way that is not read.
    """
    start = file.peek(_LOOKED_AT)
    for magic, problem in _REFUSED.items():
        if start.startswith(magic):
            raise ValueError(problem)
    if start.startswith(b"\x1f\x8b"):
        return cast(BinaryIO, Unpacked(file, _GZIP, _gunzip))
    if start.startswith(b"BZh"):
        return cast(BinaryIO, Unpacked(file, _BZIP2, _bunzip2))
    if _ZSTD.match(start):
        return cast(BinaryIO, Unpacked(file, _ZSTD, _unzstd))
    if start[257:262] == b"ustar":
        raise ValueError("is a tar archive; its name must end in .tar, and archives within archives are not read")
    return file


def problem_of(file: Any) -> str | None:
    """What could not be read of a file that was read to its end; None where that is nothing."""
    problem: str | None = getattr(file, "problem", None)
    raw = getattr(file, "raw", None)
    return problem if problem is not None or raw is None else problem_of(raw)


class Damage(Exception):
    """A stream cannot be unpacked further."""


class Packed:
    """The bytes of a packed file, which can be given back, and searched for another stream."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._rest = b""
        #: Bytes taken so far.
        self.position = 0
        self._past: collections.deque[bytes] = collections.deque()
        self._past_size = 0
        self._whole_past = True

    def some(self, most: int = _READ) -> bytes:
        """The next bytes, at most so many; none at the end."""
        if not self._rest:
            self._rest = self._file.read(_READ)
        found, self._rest = self._rest[:most], self._rest[most:]
        self.position += len(found)
        self._past.append(found)
        self._past_size += len(found)
        while self._past_size > _KEPT:
            self._past_size -= len(self._past.popleft())
            self._whole_past = False
        return found

    def exactly(self, count: int) -> bytes:
        """The next so many bytes.

        Raises:
            Damage: there are fewer.
        """
        found = b""
        while len(found) < count:
            more = self.some(count - len(found))
            if not more:
                raise Damage("the file ends within it")
            found += more
        return found

    def until(self, end: bytes) -> bytes:
        found = b""
        while not found.endswith(end):
            found += self.exactly(1)
        return found

    def give_back(self, data: bytes) -> None:
        """The last bytes that were taken are taken again later."""
        self._rest = data + self._rest
        self.position -= len(data)
        self._past_size -= len(data)
        left = b"".join(self._past)
        self._past = collections.deque([left[: len(left) - len(data)]])

    def begin(self) -> bytes:
        """A stream begins here: what came before is forgotten. The bytes to know it by, without taking them."""
        self._past.clear()
        self._past_size, self._whole_past = 0, True
        while len(self._rest) < _LONGEST:
            more = self._file.read(_READ)
            if not more:
                break
            self._rest += more
        return self._rest[:_LONGEST]

    def skip_zeros(self) -> None:
        """Take the zero bytes that tapes and file systems leave behind."""
        while not self._rest.strip(b"\0"):
            self.position += len(self._rest)
            self._rest = self._file.read(_READ)
            if not self._rest:
                return
        kept = self._rest.lstrip(b"\0")
        self.position += len(self._rest) - len(kept)
        self._rest = kept

    def find(self, magic: re.Pattern[bytes]) -> bool:
        """Go to where another stream begins within what was taken of this one, or after it; False: nowhere."""
        past = b"".join(self._past)
        hay, at = past + self._rest, self.position - len(past)
        start = 1 if self._whole_past and past else 0
        while True:
            match = magic.search(hay, start)
            if match is not None:
                self._rest, self.position = hay[match.start() :], at + match.start()
                return True
            more = self._file.read(_READ)
            if not more:
                self._rest, self.position = b"", at + len(hay)
                return False
            kept = hay[-_LONGEST:]
            at += len(hay) - len(kept)
            hay, start = kept + more, 0


class Unpacked(io.RawIOBase):
    """The contents of a packed file: those of all its streams.

    Attributes:
        problem: what could not be unpacked so far; None where that is nothing.
    """

    def __init__(
        self, file: BinaryIO, magic: re.Pattern[bytes], unpack: Callable[[Packed, list[str]], Iterator[bytes]]
    ) -> None:
        self._packed = Packed(file)
        self._file = file
        self._magic = magic
        self._unpack = unpack
        self._problems: list[str] = []
        self._left = b""
        self._stream: Iterator[bytes] | None = unpack(self._packed, self._problems)
        self._found = False

    @property
    def problem(self) -> str | None:
        found = [*self._problems, problem_of(self._file)]
        return "; ".join(each for each in found if each) or None

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        """At most so many bytes, perhaps fewer; none at the end of the file, and where damage ends a stream.

        Raises:
            OSError: the file itself cannot be read.
        """
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(_PIECE), b""))
        while not self._left:
            if self._stream is None:
                return b""
            self._next()
        found, self._left = self._left[:size], self._left[size:]
        return found

    def readinto(self, buffer: Any) -> int:
        with memoryview(buffer) as view:
            found = self.read(len(view))
            view[: len(found)] = found
        return len(found)

    def _next(self) -> None:
        assert self._stream is not None
        packed = self._packed
        try:
            self._left = next(self._stream)
        except StopIteration:
            packed.skip_zeros()
            start = packed.begin()
            if not start:
                self._stream = None
            elif self._magic.match(start):
                self._stream = self._unpack(packed, self._problems)
            else:
                first = packed.position
                self._search(first, "what follows the end of the packed data is not packed")
        except Damage as damage:
            self._search(packed.position, f"{damage}, at byte {packed.position}")

    def _search(self, first: int, why: str) -> None:
        """Look for another stream, which `resume` begins with."""
        self._stream = None
        self._found = self._packed.find(self._magic)
        at = self._packed.position
        if self._found:
            self._problems.append(f"{why}; read on from byte {at}, where more packed data begin")
        else:
            self._problems.append(f"{why}; lost: the last {at - first} bytes of the file" if at > first else why)

    def resume(self) -> bool:
        """Go on behind damage, with a stream that has nothing to do with what came before; False: there is none."""
        found, self._found = self._found, False
        if found:
            self._packed.begin()
            self._stream = self._unpack(self._packed, self._problems)
        return found


def _gunzip(packed: Packed, problems: list[str]) -> Iterator[bytes]:
    """One member. Source: RFC 1952."""
    header = packed.exactly(10)
    flags = header[3]
    if header[:3] != b"\x1f\x8b\x08":
        raise Damage("the header says another method of packing")
    if flags & 4:
        packed.exactly(int.from_bytes(packed.exactly(2), "little"))
    for flag in (8, 16):
        if flags & flag:
            packed.until(b"\0")
    if flags & 2:
        packed.exactly(2)
    check, size = 0, 0
    for piece in inflate(packed):
        check = zlib.crc32(piece, check)
        size += len(piece)
        yield piece
    try:
        trailer = packed.exactly(8)
    except Damage:
        problems.append("the checksum at its end is missing, so what was read may be wrong")
        return
    if trailer != check.to_bytes(4, "little") + (size & 0xFFFF_FFFF).to_bytes(4, "little"):
        problems.append("its checksum does not fit: something that was read is wrong")


def inflate(packed: Packed) -> Iterator[bytes]:
    """One stream of deflated data. Source: RFC 1951.

    Raises:
        Damage: it cannot be unpacked further; what could be came before.
    """
    inflating = zlib.decompressobj(-zlib.MAX_WBITS)
    while not inflating.eof:
        given = packed.some(_PIECE)
        if not given:
            raise Damage("the file ends within it")
        # An error takes with it what the call had unpacked.
        saved, handed_on = inflating.copy(), 0
        fed = given
        while fed and not inflating.eof:
            try:
                piece = inflating.decompress(fed, _PIECE)
            except zlib.error:
                piece = _salvaged(saved, given)[handed_on:]
                if piece:
                    yield piece
                raise Damage("it cannot be unpacked") from None
            fed = inflating.unconsumed_tail
            handed_on += len(piece)
            if piece:
                yield piece
    packed.give_back(inflating.unused_data)


def _salvaged(inflating: Any, given: bytes) -> bytes:
    found = bytearray()
    for at in range(len(given)):
        try:
            found += inflating.decompress(given[at : at + 1])
        except zlib.error:
            break
    return bytes(found)


def _bunzip2(packed: Packed, problems: list[str]) -> Iterator[bytes]:
    unpacking = bz2.BZ2Decompressor()
    while not unpacking.eof:
        given = packed.some(_BZ2_FED) if unpacking.needs_input else b""
        if not given and unpacking.needs_input:
            raise Damage("the file ends within it")
        try:
            piece = unpacking.decompress(given, _PIECE)
        except OSError:
            raise Damage("it cannot be unpacked") from None
        if piece:
            yield piece
    packed.give_back(unpacking.unused_data)


def _unzstd(packed: Packed, problems: list[str]) -> Iterator[bytes]:
    """All frames that follow each other. What comes behind damage is not looked for."""
    import pyarrow

    stream = pyarrow.CompressedInputStream(pyarrow.PythonFile(_Feed(packed), "r"), "zstd")
    while True:
        piece = bytearray(_PIECE)
        try:
            count = stream.readinto(piece)
        except Exception:
            # What came before the error stands in the buffer all the same. Lines do not end in zero bytes.
            saved = bytes(piece).rstrip(b"\0")
            if saved:
                yield saved
            raise Damage("it cannot be unpacked, or the file ends within it") from None
        if not count:
            return
        yield bytes(piece[:count])


class _Feed(io.RawIOBase):
    """Packed bytes as a file, for pyarrow."""

    def __init__(self, packed: Packed) -> None:
        self._packed = packed

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        return self._packed.some(_READ if size is None or size < 0 else size)
