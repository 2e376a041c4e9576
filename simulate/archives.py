"""Archives of recordings: what is in one, found once, and how a member is read without unpacking the others.

A zip, and a tar that is not compressed, are indexed: each member then is a source of its own, with the place where it
begins. A compressed tar has no such places; it is read once, from front to back, member after member.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import re
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from ..strategies.errors import InputError
from .locations import (
    Source,
    has_magic,
    is_packed,
    is_uri,
    log_left_out,
    matcher,
    may_be_recording,
    open_file,
    reason,
    unpacked,
    without_other_files,
)

logger = logging.getLogger("headrace")

_BUFFER = 64 * 1024
_ENDING = r"\.(?:zip|parquet|tar|tgz|tbz2?|tzst|tar\.(?:gz|bz2|zst))(?:\?[\w.-]+=[^!/]*)?"
_ARCHIVE = re.compile(f".*{_ENDING}", re.IGNORECASE | re.DOTALL)
_MEMBER = re.compile(f"(.+?{_ENDING})!(.+)", re.IGNORECASE | re.DOTALL)
_ZIP = re.compile(r"\.zip(?:\?[^!/]*)?$", re.IGNORECASE)
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
            if not start or (start[:2] != b"PK" and _ZIP.search(archive.path)):
                return [archive]  # its name says archive, its first bytes do not: it is read as a file
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
            if start[:2] == b"PK":
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
        lost = "; what follows the members that were found is lost" if found else ""
        found.append(Source(archive.path, size=archive.size, problem=_told(error) + lost))
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


def _zip_members(path: str, file: BinaryIO) -> Iterator[Source]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                yield Source(
                    path,
                    _tidied(info.filename),
                    info.header_offset,
                    info.compress_size,
                    entry=(info.compress_type, info.CRC, info.file_size),
                    problem="is encrypted; unpack it first" if info.flag_bits & 1 else None,
                )


class _Header(tarfile.TarInfo):
    """A tar's header. tarfile takes a damaged or missing one for the end of the archive, and says nothing."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _Header:
        try:
            return super().fromtarfile(archive)
        except tarfile.HeaderError as error:
            if type(error).__name__ == "EOFHeaderError":  # the mark of the end
                raise
            place = f"at byte {archive.offset}" if archive.offset else "where it begins"
            raise tarfile.ReadError(f"no header of a member {place}") from None


def _headers(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    while (member := archive.next()) is not None:
        cast(Any, archive).members.clear()  # else it keeps all of them
        # A link is another name of a member that is there anyway.
        if member.isreg():
            yield member


def _tar_members(path: str, file: BinaryIO) -> Iterator[Source]:
    with tarfile.open(fileobj=file, mode="r:", tarinfo=_Header) as archive:
        for member in _headers(archive):
            problem = "is a sparse file, which is not read; pack it anew" if member.issparse() else None
            yield Source(path, _tidied(member.name), member.offset_data, member.size, problem=problem)


def _checked(source: Source) -> Source:
    if source.problem is None and is_archive(source.member or ""):
        return dataclasses.replace(source, problem="is an archive within an archive; unpack the outer one")
    return source


def _tidied(name: str) -> str:
    return name.removeprefix("./")


def _told(error: Exception) -> str:
    if isinstance(error, (tarfile.TarError, zipfile.BadZipFile, EOFError)):
        return f"the archive is damaged or cut short: {error}"
    return f"cannot be read: {reason(error)}"


# -- reading -----------------------------------------------------------------------------------------------------------


def parts_of(source: Source) -> Iterator[Source]:
    """The members of a compressed tar, each to be read before the next is asked for; of any other source itself."""
    if not source.packed or source.member is not None:
        yield source
        return
    kept: list[str] = []
    left: list[str] = []
    try:
        with open_file(source.path) as packed, unpacked(packed) as stream:
            for each in _stream(source.path, stream):
                name = each.member or ""
                if may_be_recording(name):
                    kept.append(name)
                    yield each
                else:
                    left.append(name)
    except InputError:
        raise
    except Exception as error:
        lost = f"; what follows its member {kept[-1]} is lost" if kept else ""
        yield Source(source.path, problem=_told(error) + lost)
        return
    log_left_out(source, left, kept)
    if not kept:
        yield Source(source.path, problem="the archive holds no recordings")


def _stream(path: str, stream: BinaryIO) -> Iterator[Source]:
    archive = tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header)  # noqa: SIM115 - it holds nothing but the stream
    for member in _headers(archive):
        file = cast(BinaryIO, archive.extractfile(member))
        yield _checked(Source(path, _tidied(member.name), size=member.size, packed=True, file=file))


def open_member(source: Source, opened: contextlib.ExitStack) -> io.BufferedReader:
    """A member, as it lies in its archive; what else was opened for it is closed with `opened`.

    Raises:
        Exception: whatever the system, pyarrow or the archive's reader raises.
    """
    file = opened.enter_context(open_file(source.path, seekable=not source.packed))
    if source.packed or source.offset is None:
        stream = opened.enter_context(cast(Any, unpacked(file)))
        found = (each.file for each in _stream(source.path, stream) if each.member == source.member)
        member = next(found, None)
        if member is None:
            raise ValueError("the archive has no such member")
        return cast(io.BufferedReader, member)
    if source.entry is None:
        return io.BufferedReader(_Part(file, source.offset, source.size), _BUFFER)
    return io.BufferedReader(cast(Any, _open_zipped(file, source, source.offset, source.entry)), _BUFFER)


def _open_zipped(file: BinaryIO, source: Source, offset: int, entry: tuple[int, int, int]) -> zipfile.ZipExtFile:
    """Read a member by what its zip's index says of it: to open the zip would read the whole index again."""
    file.seek(offset)
    header = file.read(_LOCAL_HEADER.size)
    if len(header) < _LOCAL_HEADER.size or header[:4] != b"PK\x03\x04":
        raise zipfile.BadZipFile("its header is missing")
    _, name, extra = _LOCAL_HEADER.unpack(header)
    file.seek(name + extra, io.SEEK_CUR)
    info = zipfile.ZipInfo(source.member or "")
    info.compress_size = source.size
    info.compress_type, info.CRC, info.file_size = entry
    return zipfile.ZipExtFile(cast(Any, file), "r", info)


class _Part(io.RawIOBase):
    """A part of a file, as a file of its own."""

    def __init__(self, file: io.BufferedReader, offset: int, size: int) -> None:
        self._file, self._left = file, size
        file.seek(offset)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with memoryview(buffer) as view:
            count = self._file.readinto(view[: min(len(view), self._left)])
        if not count and self._left:
            raise EOFError(f"the archive ends {self._left} bytes before this member does")
        self._left -= count
        return count
