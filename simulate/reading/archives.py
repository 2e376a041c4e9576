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
import tarfile
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

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
from .members import FilePart, is_archive, member_name
from .tar_files import Tar, tar_members
from .unpacking import Unpacked, is_packed, problem_of, unpacked
from .zip_files import last_zip, open_zipped, zip_members

logger = logging.getLogger("headrace")

_BUFFER = 64 * 1024
_DAMAGED = "the archive is damaged or cut short: "
_ZIP = re.compile(r"\.zip(?:\?[^!/]*)?$", re.IGNORECASE)


def index(archive: Source) -> list[Source]:
    """The members of a zip or a tar that may be recordings, in order of their names; a compressed tar as it is.

    What is wrong with the archive, or with a member, is a source with a `problem`.
    """
    found: list[Source] = []
    try:
        with open_file(archive.path, seekable=True) as file:
            start = file.peek(4)[:4]
            zipped = start[:2] == b"PK" or (_ZIP.search(archive.path) and last_zip(file) is not None)
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
                members = zip_members(archive.path, file)
            else:
                if is_uri(archive.path):
                    logger.warning("%s: the tar is indexed over the network, which takes a while", archive)
                members = tar_members(archive.path, file)
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


def _checked(source: Source) -> Source:
    if source.problem is None and is_archive(source.member or ""):
        return dataclasses.replace(source, problem="is an archive within an archive; unpack the outer one")
    return source


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
            archive = Tar.open(fileobj=stream, mode="r|")  # it holds nothing but the stream
        except tarfile.TarError as error:
            problems.append(_told(error))
        else:
            for member in archive.regular():
                part = FilePart(cast(Any, archive).fileobj, member.offset_data, member.size)
                file = cast(BinaryIO, io.BufferedReader(part, _BUFFER))
                yield _checked(Source(path, member_name(member.name), size=member.size, packed=True, file=file))
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
        return io.BufferedReader(FilePart(file, source.offset, source.size), _BUFFER)
    return io.BufferedReader(cast(Any, open_zipped(file, source, source.offset, source.entry)), _BUFFER)
