"""Zips: their members by the index at the end or, where that is missing, by the headers; and how one is unpacked."""

from __future__ import annotations

import functools
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from .locations import Source
from .members import FileBeginning, FilePart, member_name
from .unpacking import Damage, Packed, Unpacked, inflate

#: Bytes of a file that are searched at once for the end of a zip.
_SEARCHED = 1024 * 1024
_ZIP_END = b"PK\x05\x06"
#: The member of a zip is one stream: no other is looked for behind it.
_NOTHING = re.compile(rb"(?!)")
_LOCAL_HEADER = struct.Struct("<4s22xHH")


def last_zip(file: io.BufferedReader, end: int | None = None) -> tuple[int, int] | None:
    """Where the record that ends a zip begins and ends, of the last one before byte `end`; None where there is none."""
    size = file.seek(0, io.SEEK_END)
    high = size if end is None else end
    tail = b""
    while high:
        low = max(high - _SEARCHED, 0)
        file.seek(low)
        found = file.read(high - low) + tail
        at = found.rfind(_ZIP_END)
        while at >= 0:
            record = found[at : at + 22]
            if len(record) == 22:
                length = int.from_bytes(record[12:16], "little") + int.from_bytes(record[16:20], "little")
                large = record[16:20] == b"\xff\xff\xff\xff"
                if large or length <= low + at:
                    last = low + at + 22 + int.from_bytes(record[20:22], "little")
                    return low + at, min(last, size if end is None else end)
            at = found.rfind(_ZIP_END, 0, at)
        tail, high = found[:21], low
    return None


def zip_members(path: str, file: io.BufferedReader) -> Iterator[Source]:
    """The members of a zip, or of several one behind the other."""
    end = file.seek(0, io.SEEK_END)
    problems: list[str] = []
    found = last_zip(file)
    if found is None:
        yield from _unindexed(path, file)
        raise zipfile.BadZipFile("it has no index of its members, which stands at the end; what follows them is lost")
    while found is not None:
        if found[1] < end:
            problems.append(f"bytes {found[1]} to {end} belong to no zip, and are lost")
        with zipfile.ZipFile(cast(Any, FileBeginning(file, found[1]))) as archive:
            end = archive.start_dir
            for info in archive.infolist():
                end = min(end, info.header_offset)
                if not info.is_dir():
                    yield Source(
                        path,
                        member_name(info.filename),
                        info.header_offset,
                        info.compress_size,
                        entry=(info.compress_type, info.CRC, info.file_size),
                        problem="is encrypted; unpack it first" if info.flag_bits & 1 else None,
                    )
        found = last_zip(file, end) if end else None
    if end:
        problems.append(f"bytes 0 to {end} belong to no zip, and are lost")
    if problems:
        raise zipfile.BadZipFile("; ".join(problems))


def _unindexed(path: str, file: io.BufferedReader) -> Iterator[Source]:
    """The members of a zip that is cut short, by the headers that stand before each. The last one may be cut."""
    at, end = 0, file.seek(0, io.SEEK_END)
    while True:
        file.seek(at)
        header = file.read(_LOCAL_HEADER.size)
        if len(header) < _LOCAL_HEADER.size or header[:4] != b"PK\x03\x04":
            return
        flags, method = struct.unpack_from("<HH", header, 6)
        check, packed, size, name, extra = struct.unpack_from("<IIIHH", header, 14)
        named = file.read(name).decode("utf-8" if flags & 0x800 else "cp437", "replace")
        first = at + _LOCAL_HEADER.size + name + extra
        after = 0
        if flags & 8:  # it was packed as it came: its sizes stand behind it
            if method != zipfile.ZIP_DEFLATED:
                return
            check, packed, size = _measured(file, first, end)
            file.seek(first + packed)
            after = 16 if file.read(4) == b"PK\x07\x08" else 12
        if not named.endswith("/"):
            problem = "is encrypted; unpack it first" if flags & 1 else None
            yield Source(path, member_name(named), at, packed, entry=(method, check, size), problem=problem)
        at = first + packed + after


def _measured(file: io.BufferedReader, first: int, end: int) -> tuple[int, int, int]:
    """Checksum, packed and unpacked size of deflated data that begin at a given byte and end at an unknown one."""
    packed = Packed(cast(BinaryIO, FilePart(file, first, end - first)))
    check = size = 0
    try:
        for piece in inflate(packed):
            check, size = zlib.crc32(piece, check), size + len(piece)
    except Damage:
        return 0, end - first, size
    return check, packed.position, size


def open_zipped(file: BinaryIO, source: Source, offset: int, entry: tuple[int, int, int]) -> io.IOBase:
    """Read a member by what its zip's index says of it: to open the zip would read the whole index again."""
    file.seek(offset)
    header = file.read(_LOCAL_HEADER.size)
    if len(header) < _LOCAL_HEADER.size or header[:4] != b"PK\x03\x04":
        raise zipfile.BadZipFile("its header is missing")
    _, name, extra = _LOCAL_HEADER.unpack(header)
    file.seek(name + extra, io.SEEK_CUR)
    method, check, size = entry
    if method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        part = cast(BinaryIO, FilePart(file, file.tell(), source.size))
        return Unpacked(part, _NOTHING, functools.partial(_zipped, method == zipfile.ZIP_DEFLATED, check))
    info = zipfile.ZipInfo(source.member or "")
    info.compress_size = source.size
    info.compress_type, info.CRC, info.file_size = method, check, size
    return zipfile.ZipExtFile(cast(Any, file), "r", info)


def _zipped(deflated: bool, check: int, packed: Packed, problems: list[str]) -> Iterator[bytes]:
    found = 0
    for piece in inflate(packed) if deflated else iter(packed.some, b""):
        found = zlib.crc32(piece, found)
        yield piece
    if found != check:
        problems.append("its CRC does not fit: something that was read is wrong, or missing")
