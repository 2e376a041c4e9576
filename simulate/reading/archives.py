"""Archives of recordings: what is in one, found once, and how a member is read without unpacking the others.

A zip, and a tar that is not compressed, are indexed: each member then is a source of its own, with the place where it
begins. A compressed tar has no such places; it is read once, from front to back, member after member.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import logging
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from ...names import to_text
from ...strategies.errors import InputError
from .locations import (
    Source,
    has_magic,
    is_uri,
    log_left_out,
    matcher,
    may_be_recording,
    open_file,
    reason,
    without_other_files,
)
from .unpacking import Damage, Packed, Unpacked, inflate, is_packed, problem_of, unpacked

logger = logging.getLogger("headrace")

_BUFFER = 64 * 1024
#: Bytes of a file that are searched at once for the end of a zip.
_SEARCHED = 1024 * 1024
_ZIP_END = b"PK\x05\x06"
_DAMAGED = "the archive is damaged or cut short: "
_ENDING = r"\.(?:zip|parquet|tar|tgz|tbz2?|tzst|tar\.(?:gz|bz2|zst))(?:\?[\w.-]+=[^!/]*)?"
_ARCHIVE = re.compile(f".*{_ENDING}", re.IGNORECASE | re.DOTALL)
_MEMBER = re.compile(f"(.+?{_ENDING})!(.+)", re.IGNORECASE | re.DOTALL)
_ZIP = re.compile(r"\.zip(?:\?[^!/]*)?$", re.IGNORECASE)
#: The member of a zip is one stream: no other is looked for behind it.
_NOTHING = re.compile(rb"(?!)")
_LOCAL_HEADER = struct.Struct("<4s22xHH")


def is_archive(name: str) -> bool:
    """Whether a name is an archive's."""
    return _ARCHIVE.fullmatch(name) is not None


def split_member(address: str) -> tuple[str, str] | None:
    """Archive and member of `archive.tar!member`; None where it is no such address."""
    match = _MEMBER.fullmatch(address)
    return (match[1], match[2]) if match else None


def index(archive: Source) -> list[Source]:
    """The members of a zip or a tar that may be recordings, in order of their names; a compressed tar as it is.

    What is wrong with the archive, or with a member, is a source with a `problem`.
    """
    found: list[Source] = []
    try:
        with open_file(archive.path, seekable=True) as file:
            start = file.peek(4)[:4]
            zipped = start[:2] == b"PK" or (_ZIP.search(archive.path) and _last_zip(file) is not None)
            if not start or (_ZIP.search(archive.path) and not zipped):
                return [archive]  # its name says archive, its bytes do not: it is read as a file
            if is_packed(start):
                logger.warning(
                    "%s: a compressed tar is read from front to back by one worker; decompress it (gunzip, bunzip2, "
                    "zstd -d) and its markets, which stay in the tar, are replayed in parallel",
                    archive,
                )
                return [Source(archive.path, size=archive.size, packed=True)]
            if start == b"PAR1":
                from .packed import index_packed

                return index_packed(archive)
            if zipped:
                members = _zip_members(archive.path, file)
            else:
                if is_uri(archive.path):
                    logger.warning("%s: the tar is indexed over the network, which takes a while", archive)
                members = _tar_members(archive.path, file)
            for each in members:
                found.append(_checked(each))  # one by one: what came before an error is kept
    except InputError:
        raise
    except Exception as error:
        # Whole members before the damage can be read all the same.
        found.append(Source(archive.path, size=archive.size, problem=_told(error)))
    # Of two members of one name the later is meant, as when the archive is unpacked.
    latest = {each.member or "": each for each in found}
    kept = without_other_files(archive, list(latest.items()))
    return sorted(kept, key=lambda each: each.member or "") or [
        Source(archive.path, size=archive.size, problem="the archive holds no recordings")
    ]


def choose(archive: Source, wanted: str) -> list[Source]:
    """The members of an archive that `wanted` names: one, or a pattern.

    Raises:
        InputError: there is none.
    """
    members = index(archive)
    if members[0].packed:
        if has_magic(wanted):
            raise InputError(f"{archive}: a compressed tar takes no pattern of members; decompress it first")
        return [Source(archive.path, wanted, packed=True)]
    fits = matcher(wanted)
    found = [each for each in members if each.member == wanted or fits(each.member or "")]
    broken = [each for each in members if each.member is None]
    if not found and not broken:
        raise InputError(f"{archive}!{wanted}: the archive has no such member")
    return found or broken


def _last_zip(file: io.BufferedReader, end: int | None = None) -> tuple[int, int] | None:
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


def _zip_members(path: str, file: io.BufferedReader) -> Iterator[Source]:
    """The members of a zip, or of several one behind the other."""
    end = file.seek(0, io.SEEK_END)
    problems: list[str] = []
    found = _last_zip(file)
    if found is None:
        yield from _unindexed(path, file)
        raise zipfile.BadZipFile("it has no index of its members, which stands at the end; what follows them is lost")
    while found is not None:
        if found[1] < end:
            problems.append(f"bytes {found[1]} to {end} belong to no zip, and are lost")
        with zipfile.ZipFile(cast(Any, _Beginning(file, found[1]))) as archive:
            end = archive.start_dir
            for info in archive.infolist():
                end = min(end, info.header_offset)
                if not info.is_dir():
                    yield Source(
                        path,
                        _tidied(info.filename),
                        info.header_offset,
                        info.compress_size,
                        entry=(info.compress_type, info.CRC, info.file_size),
                        problem="is encrypted; unpack it first" if info.flag_bits & 1 else None,
                    )
        found = _last_zip(file, end) if end else None
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
            yield Source(path, _tidied(named), at, packed, entry=(method, check, size), problem=problem)
        at = first + packed + after


def _measured(file: io.BufferedReader, first: int, end: int) -> tuple[int, int, int]:
    """Checksum, packed and unpacked size of deflated data that begin at a byte and end nobody knows where."""
    packed = Packed(cast(BinaryIO, _Part(file, first, end - first)))
    check = size = 0
    try:
        for piece in inflate(packed):
            check, size = zlib.crc32(piece, check), size + len(piece)
    except Damage:
        return 0, end - first, size
    return check, packed.position, size


class _Beginning(io.RawIOBase):
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


class _Header(tarfile.TarInfo):
    """A tar's header. tarfile says nothing of damaged and missing ones; the archive hears of them here."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _Header:
        assert isinstance(archive, _Tar)
        try:
            found = super().fromtarfile(archive)
        except tarfile.HeaderError as error:
            archive.no_header(type(error).__name__)
            raise
        archive.header()
        return found


class _Tar(tarfile.TarFile):
    """A tar, or several one behind the other: the mark of the end is no end, if another header follows.

    Attributes:
        problems: what of it holds no member, and what is missing.
    """

    tarinfo = _Header

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        self.problems: list[str] = []
        self._lost_from: int | None = None
        self._marked = False
        keywords["ignore_zeros"] = True
        super().__init__(*arguments, **keywords)

    def no_header(self, kind: str) -> None:
        """There is none where the next one should be."""
        if kind == "EOFHeaderError":  # zeros: the mark of the end
            self._found_again()
            self._marked = True
        elif kind == "EmptyHeaderError":  # the file ends
            if self._lost_from is None and not self._marked:
                self.problems.append(f"the file ends at byte {self.offset} without the mark of the end")
            self._found_again()
        elif self._lost_from is None:
            self._lost_from, self._marked = self.offset, False

    def header(self) -> None:
        """There is one."""
        self._found_again()
        self._marked = False

    def _found_again(self) -> None:
        if self._lost_from is not None:
            self.problems.append(f"bytes {self._lost_from} to {self.offset} hold no header of a member, and are lost")
            self._lost_from = None

    def regular(self) -> Iterator[tarfile.TarInfo]:
        """Its members that are files; `problems` is whole afterwards."""
        try:
            while (member := self.next()) is not None:
                cast(Any, self).members.clear()  # else it keeps all of them
                # A link is another name of a member that is there anyway.
                if member.isreg():
                    yield member
        except tarfile.TarError as error:
            self.problems.append(f"{error}, at byte {self.offset}; what follows is lost")
        if self._lost_from is not None:  # a header that is cut
            self.problems.append(f"what begins at byte {self._lost_from} is no header of a member, and is lost")


def _tar_members(path: str, file: BinaryIO) -> Iterator[Source]:
    with _Tar.open(fileobj=file, mode="r:") as archive:
        for member in archive.regular():
            problem = "is a sparse file, which is not read; pack it anew" if member.issparse() else None
            yield Source(path, _tidied(member.name), member.offset_data, member.size, problem=problem)
        if archive.problems:
            raise tarfile.ReadError("; ".join(archive.problems))


def _checked(source: Source) -> Source:
    if source.problem is None and is_archive(source.member or ""):
        return dataclasses.replace(source, problem="is an archive within an archive; unpack the outer one")
    return source


def _tidied(name: str) -> str:
    return to_text(name.removeprefix("./"))


def _told(error: Exception) -> str:
    if isinstance(error, (tarfile.TarError, zipfile.BadZipFile, EOFError)):
        return f"{_DAMAGED}{error}"
    return f"cannot be read: {reason(error)}"


# -- reading -----------------------------------------------------------------------------------------------------------


def parts_of(source: Source) -> Iterator[Source]:
    """The members of a compressed tar, each to be read before the next is asked for; of any other source itself."""
    if not source.packed or source.member is not None:
        yield source
        return
    kept: list[str] = []
    left: list[str] = []
    problems: list[str] = []
    try:
        with open_file(source.path) as packed, unpacked(packed) as stream:
            for each in _stream(source.path, stream, problems):
                name = each.member or ""
                if may_be_recording(name):
                    kept.append(name)
                    yield each
                else:
                    left.append(name)
    except InputError:
        raise
    except Exception as error:
        problems.append(_told(error))
    if problems:
        lost = f"; the last member that was found is {kept[-1]}, and what follows it is lost" if kept else ""
        yield Source(source.path, problem=f"{'; '.join(problems)}{lost}")
        return
    log_left_out(source, left, kept)
    if not kept:
        yield Source(source.path, problem="the archive holds no recordings")


def _stream(path: str, stream: BinaryIO, problems: list[str]) -> Iterator[Source]:
    """The members of a tar as they come; what is wrong with it is added to `problems`."""
    going = True
    while going:
        try:
            archive = _Tar.open(fileobj=stream, mode="r|")  # it holds nothing but the stream
        except tarfile.TarError as error:
            problems.append(_told(error))
        else:
            for member in archive.regular():
                part = _Part(cast(Any, archive).fileobj, member.offset_data, member.size)
                file = cast(BinaryIO, io.BufferedReader(part, _BUFFER))
                yield _checked(Source(path, _tidied(member.name), size=member.size, packed=True, file=file))
            problems.extend(_DAMAGED + each for each in archive.problems)
        going = isinstance(stream, Unpacked) and stream.resume()
    problem = problem_of(stream)
    if problem is not None:
        problems.append(_DAMAGED + problem)


def open_member(source: Source, opened: contextlib.ExitStack) -> io.BufferedReader:
    """A member, as it lies in its archive; what else was opened for it is closed with `opened`.

    Raises:
        Exception: whatever the system, pyarrow or the archive's reader raises.
    """
    file = opened.enter_context(open_file(source.path, seekable=not source.packed))
    if source.packed or source.offset is None:
        stream = opened.enter_context(cast(Any, unpacked(file)))
        found = (each.file for each in _stream(source.path, stream, []) if each.member == source.member)
        member = next(found, None)
        if member is None:
            raise ValueError("the archive has no such member")
        return cast(io.BufferedReader, member)
    if source.entry is None:
        return io.BufferedReader(_Part(file, source.offset, source.size), _BUFFER)
    return io.BufferedReader(cast(Any, _open_zipped(file, source, source.offset, source.entry)), _BUFFER)


def _open_zipped(file: BinaryIO, source: Source, offset: int, entry: tuple[int, int, int]) -> io.IOBase:
    """Read a member by what its zip's index says of it: to open the zip would read the whole index again."""
    file.seek(offset)
    header = file.read(_LOCAL_HEADER.size)
    if len(header) < _LOCAL_HEADER.size or header[:4] != b"PK\x03\x04":
        raise zipfile.BadZipFile("its header is missing")
    _, name, extra = _LOCAL_HEADER.unpack(header)
    file.seek(name + extra, io.SEEK_CUR)
    method, check, size = entry
    if method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        part = cast(BinaryIO, _Part(file, file.tell(), source.size))
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


class _Part(io.RawIOBase):
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
