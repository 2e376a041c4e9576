"""Recordings: stream messages, one JSON object a line; plain, gzip, bzip2 or zstd, told apart by their first bytes.

Betfair's own historical files (BASIC, ADVANCED, PRO) and what stream recorders write, as files, objects of a store or
members of archives. A recording is read in pieces, never whole.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Protocol, cast, runtime_checkable

from ...strategies.change_lines import decode_line, decode_lines, objects_of
from ...strategies.changes import ChangeMessage, MarketChange, MarketDefinition, OddMessage, RawMarketChange, RawMessage
from ...strategies.errors import InputError, RecordingError
from ...values import UNREADABLE
from .locations import Hashed, Source, find_files, open_file, reason
from .members import is_archive, split_member
from .unpacking import Unpacked, problem_of, unpacked

logger = logging.getLogger("headrace")

#: Bytes decoded at once: enough to spread the cost of a call, few enough to stay in the processor's caches.
_PIECE = 16 * 1024
#: Bytes that are read, and hashed, at once.
_HASHED = 64 * 1024
#: Bytes of the longest line there may be. Images of the largest markets have a hundredth of it.
_LONGEST_LINE = 64 * 1024 * 1024
#: How the error of a recording that cannot be read on begins.
DAMAGED = "is damaged or cut short: "


@runtime_checkable
class Chosen(Protocol):
    """Recordings that were chosen already: a selection of a catalog."""

    def sources(self) -> list[Source]: ...


#: What `markets=` takes.
Paths = str | os.PathLike[str] | Chosen | Iterable[str | os.PathLike[str]]


def find_recordings(markets: Paths) -> list[Source]:
    """The recordings that paths, glob patterns, folders, URIs and archives name, in order; each once.

    Folders are walked; what their names sort to is the order, in archives too. Hidden files, READMEs and catalogues
    (*.json) of folders and archives are left out. `archive.tar!member` names one member of an archive, or a pattern of
    members. What is wrong with an archive, or a member, is a source that tells so when it is read.

    Raises:
        InputError: a path does not exist, a pattern or a folder gives no file, a store cannot be reached, or nothing
            is named at all.
    """
    if isinstance(markets, Chosen):
        return markets.sources()
    named: Sequence[str | os.PathLike[str]]
    if isinstance(markets, (str, os.PathLike)):
        named = [markets]
    elif isinstance(markets, Iterable):
        named = list(markets)
    else:
        raise InputError(
            f"markets: {markets!r} names no recordings; give a path, a folder, a pattern, a URI, a list of these, or "
            "the `select()` of a catalog"
        )
    if not named:
        raise InputError(
            "no markets are named: give a path, a folder, a pattern such as 'recordings/**/*.bz2', a URI, or a list"
        )
    found: dict[tuple[str, str | None], Source] = {}
    for each in named:
        if not isinstance(each, (str, os.PathLike)):
            raise InputError(
                f"markets: {each!r} is not a path; give a path, a folder, a pattern, a URI, or a list of these"
            )
        for source in _sources(os.fspath(each)):
            found[source.path, source.member] = source
    return list(found.values())


def _sources(address: str) -> Iterator[Source]:
    # What reads archives is loaded where one is met: a run over files does without.
    parts = None if os.path.exists(address) else split_member(address)
    if parts is not None:
        from .archives import choose

        for archive in find_files(parts[0]):
            yield from choose(archive, parts[1])
        return
    for source in find_files(address):
        if is_archive(source.path):
            from .archives import index

            yield from index(source)
        else:
            yield source


class Recording:
    """One recording: a file, an object, or a member of an archive.

    Args:
        source: where it lies; a text is a path or a URI.
        name: how messages call it; default: the source.
        hashed: work out its digest as it is read.
    """

    def __init__(self, source: Source | str, name: str | None = None, hashed: bool = False) -> None:
        self.source = Source(source) if isinstance(source, str) else source
        self.name = name or str(self.source)
        self._hashing: Hashed | None = None
        self._hashed = hashed

    @property
    def digest(self) -> str | None:
        """SHA-256 of the bytes that were read; None where they were not asked for, or not read to their end."""
        return None if self._hashing is None else self._hashing.digest

    def _open(self, opened: contextlib.ExitStack) -> BinaryIO:
        """The lines, unpacked; what was opened for it is closed with `opened`."""
        source = self.source
        if source.problem is not None:
            raise RecordingError(source.problem, self.name)
        if source.rows is not None:
            from .packed import PackedFile

            try:
                return cast(BinaryIO, opened.enter_context(PackedFile(source)))
            except Exception as error:
                raise RecordingError(f"cannot be read: {reason(error)}", self.name) from None
        try:
            if source.member is None:
                file = open_file(source.path)
            elif source.file is not None:
                file = cast(io.BufferedReader, source.file)
            else:
                from .archives import open_member

                file = open_member(source, opened)
        except Exception as error:
            raise RecordingError(f"cannot be read: {reason(error)}", self.name) from None
        opened.enter_context(file)
        if self._hashed:
            self._hashing = Hashed(file)
            file = io.BufferedReader(self._hashing, _HASHED)
        try:
            return opened.enter_context(unpacked(file))
        except Exception as error:
            raise RecordingError(reason(error), self.name) from None

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """Whole lines as bytes, many at once, with the number of the first (from 1).

        Raises:
            RecordingError: the recording cannot be read, is empty, or is damaged.
        """
        empty = True
        with contextlib.ExitStack() as opened:
            for piece in self.pieces_of(self._open(opened)):
                empty = False
                yield piece
        if empty:
            raise RecordingError("is empty; expected stream messages, one JSON object a line", self.name)

    def pieces_of(self, file: BinaryIO, number: int = 1) -> Iterator[tuple[int, bytes]]:
        """`pieces` of a file that is open; `number` is that of its first line."""
        rest, problems = b"", list[str]()
        while True:
            try:
                piece = file.read(_PIECE)
            except Exception as error:  # what a file or a store raises has no common class
                problems.append(reason(error))
                piece = b""
            if piece:
                end = piece.rfind(b"\n") + 1
                if not end:
                    rest += piece
                    if len(rest) > _LONGEST_LINE:
                        raise RecordingError(
                            f"has a line of more than {_LONGEST_LINE >> 20} MB; expected stream messages, one JSON "
                            "object a line",
                            self.name,
                            number,
                        )
                    continue
                lines_now = rest + piece[:end]
                rest = piece[end:]
                yield number, lines_now
                number += lines_now.count(b"\n")
                continue
            damage = problem_of(file)
            if rest:
                # Behind damage a line may end anywhere: half a message is not a message.
                if (damage is None and not problems) or _is_whole(rest):
                    yield number, rest
                    number += 1
                else:
                    problems.append(f"line {number} is cut after {len(rest)} bytes")
                rest = b""
            if not (isinstance(file, Unpacked) and file.resume()):
                break
        problems.extend([damage] if damage else [])
        if problems:
            raise self.damaged("; ".join(problems), number)

    def damaged(self, why: str, number: int) -> RecordingError:
        """The error of a recording that cannot be read beyond a line."""
        return RecordingError(f"{DAMAGED}{why}", self.name, number)

    def messages(self) -> Iterator[tuple[int, Sequence[ChangeMessage | RecordingError]]]:
        """Decoded messages, many at once, with the number of the first line.

        A line that cannot be decoded stands among them as a `RecordingError`.

        Raises:
            RecordingError: the file cannot be read on.
        """
        return self._meant(self.decoded(self.pieces())) if self.source.only else self.decoded(self.pieces())

    def decoded(
        self, pieces: Iterable[tuple[int, bytes]]
    ) -> Iterator[tuple[int, Sequence[ChangeMessage | RecordingError]]]:
        """`messages` of these pieces."""
        for number, lines in pieces:
            try:
                found: Sequence[ChangeMessage | RecordingError] = decode_lines(lines)
            except UNREADABLE:
                found = self._line_by_line(number, lines)
            yield number, found

    def decoded_regular(
        self, lines: memoryview, number: int
    ) -> Iterator[tuple[int, Sequence[ChangeMessage | RecordingError]]]:
        """`messages` of lines of which each is known to be one message: their ends need not be counted.

        Args:
            number: that of the first line.
        """
        start, all_lines = 0, bytes(lines)
        while start < len(all_lines):
            end = all_lines.rfind(b"\n", start, start + _PIECE) + 1 if start + _PIECE < len(all_lines) else 0
            end = end or all_lines.find(b"\n", start + _PIECE) + 1 or len(all_lines)
            for _, found in self.decoded([(number, all_lines[start:end])]):
                yield number, found
                number += len(found)
            start = end

    def raw_messages(self) -> Iterator[tuple[int, Sequence[ChangeMessage | RecordingError]]]:
        """As `messages`, each change with the object it was decoded from; a line at a time.

        Raises:
            RecordingError: the file cannot be read on.
        """
        return self._meant(self._raw_messages()) if self.source.only else self._raw_messages()

    def _meant(
        self, found: Iterable[tuple[int, Sequence[ChangeMessage | RecordingError]]]
    ) -> Iterator[tuple[int, Sequence[ChangeMessage | RecordingError]]]:
        """Without the changes of markets that are not meant."""
        only = frozenset(self.source.only or ())
        for number, messages in found:
            for message in messages:
                if isinstance(message, ChangeMessage):
                    message.mc = [change for change in message.mc if change.id in only]
            yield number, messages

    def _raw_messages(self) -> Iterator[tuple[int, Sequence[ChangeMessage | RecordingError]]]:
        for number, lines in self.pieces():
            for line, text in enumerate(lines.split(b"\n"), number):
                found = self._line_by_line(line, text)
                raw = iter(objects_of(text))
                yield line, [_with_raw(each, next(raw)) if isinstance(each, ChangeMessage) else each for each in found]

    def _line_by_line(self, number: int, lines: bytes) -> list[ChangeMessage | RecordingError]:
        found: list[ChangeMessage | RecordingError] = []
        for at, line in enumerate(lines.split(b"\n"), number):
            if not line.strip():
                continue
            try:
                found.extend(decode_line(line))
            except ValueError as error:
                shown = line[:60].decode("utf-8", "replace")
                found.append(RecordingError(f"{error} (the line of {len(line)} bytes begins {shown!r})", self.name, at))
        return found

    def first_definition(self) -> tuple[int, str, MarketDefinition] | None:
        """Publish time, market id and definition of the first market; None where there is none in the first piece.

        Raises:
            RecordingError: the file cannot be read.
        """
        for _, messages in self.messages():
            for message in messages:
                if isinstance(message, RecordingError):
                    continue
                for change in message.mc:
                    if change.market_definition is not None and change.id:
                        return message.pt, change.id, change.market_definition
            return None
        return None


def _is_whole(line: bytes) -> bool:
    """Whether a line is all there: an object of JSON ends with its last brace, and no sooner."""
    try:
        decode_line(line)
    except ValueError as error:
        return not str(error).startswith("is not JSON")
    return True


def _with_raw(message: ChangeMessage, raw: Mapping[str, Any]) -> RawMessage:
    data = [datum for datum in raw.get("mc") or () if isinstance(datum, dict)]  # no other could be read
    changes: list[MarketChange] = [
        RawMarketChange(
            id=change.id,
            market_definition=change.market_definition,
            rc=change.rc,
            img=change.img,
            tv=change.tv,
            datum=datum,
        )
        for change, datum in zip(message.mc, data, strict=True)
    ]
    oddities = message.oddities if isinstance(message, OddMessage) else []
    return RawMessage(pt=message.pt, mc=changes, clk=raw.get("clk") or "", oddities=oddities)


def event_of_path(source: Source | str) -> str | None:
    """The event id that Betfair's archives give the folder of a market's file; None where the layout is another."""
    if isinstance(source, Source) and source.event is not None:
        return source.event
    path = source if isinstance(source, str) else source.member or source.path
    folder, name = PurePosixPath(path).parent.name, PurePosixPath(path).name
    return folder if folder.isdigit() and len(folder) > 4 and name.startswith("1.") else None
