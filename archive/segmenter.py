"""Cutting a recording into segments, each with the image of the book before it: what a packed archive is made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import msgspec

from ..simulate.reading.keyframes import image_of
from ..simulate.reading.packed import Segment
from ..strategies.book import MarketBook
from ..strategies.change_lines import readable
from ..strategies.changes import ChangeMessage, MarketDefinition

#: A keyframe is due after so much market time (milliseconds) and so many bytes of lines, or after so many bytes alone.
_KEYFRAME_MS, _KEYFRAME_BYTES, _SEGMENT_BYTES = 120_000, 256 * 1024, 1024 * 1024
#: And where windows mostly open: seconds before the scheduled start, if so many bytes have come since the last one.
_OPENINGS, _OPENING_BYTES = (3600, 1800, 900, 600, 300, 120, 60), 64 * 1024
#: Of these the ones that most windows are. What lies before such an opening, and before the turn in play, is a phase.
_PHASES = (3600, 600)
#: A suspension is a segment by itself, so that its surroundings can be left out, after at least so many bytes.
_SUSPENSION_BYTES = 4 * 1024
#: Segments up to so many bytes of lines, such as suspensions, are in the overview as a whole.
_SHORT_BYTES = 8 * 1024


@dataclasses.dataclass(slots=True)
class PackedSegment:
    """A row of a packed archive; the columns are those of `simulate.reading.packed`.

    Attributes:
        lines: byte for byte as in the recording.
        problem: why the recording cannot be read on after them.
        overview: of all of the recording's segments, with its last one.
        phase: which part of the market's life it is; parts are read apart.
    """

    recording: str
    segment: int
    market_id: str | None
    event_id: str | None
    line: int
    first_ms: int
    last_ms: int
    changes: int
    skippable: bool
    defined_first: bool
    image: bytes | None
    definitions: bytes | None
    lines: bytes
    problem: str | None
    overview: bytes | None = None
    phase: int = 0


class Segmenter:
    """Cuts one recording into segments.

    Keyframes are made while the recording is that of one market, all of it can be decoded, and it begins with a
    definition; after that it is kept all the same, and read from front to back.

    Attributes:
        start_ms: the scheduled start of its first market; None until there is one.
    """

    def __init__(self, name: str, event_id: str | None) -> None:
        self.start_ms: int | None = None
        self._name = name
        self._event_id = event_id
        self._book: MarketBook | None = None
        self._market_id: str | None = None
        self._regular = True
        self._count = 0
        self._alone = False  # a suspension that a keyframe was made before
        self._known: list[Segment] = []
        self._openings: tuple[float, ...] = ()  # moments yet to come, the next one last
        self._open(1, None)

    def _open(self, line: int, image: bytes | None) -> None:
        self._line, self._image = line, image
        self._lines: list[bytes] = []
        self._size = 0
        self._first_ms = self._last_ms = self._changes = 0
        self._definitions: list[bytes] = []
        self._skippable = self._regular

    def take(self, number: int, lines: bytes) -> Iterator[PackedSegment]:
        """Whole lines, the first of this number; segments that are complete."""
        messages = self._messages(lines)
        if messages is None:
            if self._size >= _SEGMENT_BYTES:
                yield from self._cut(number)
            self._add(lines)
            return
        if self._due(messages):
            yield from self._cut(number)
        parts: list[bytes] | None = None
        taken = 0
        book, market_id = self._book, self._market_id
        first_ms, last_ms, changes = self._first_ms, self._last_ms, self._changes
        for at, message in enumerate(messages):
            mc = message.mc
            if not mc:
                continue
            change = mc[0]
            definition, publish_time = change.market_definition, message.pt
            if book is None and change.id and definition is not None and publish_time:
                market_id = self._market_id = change.id
                book = self._book = MarketBook(market_id)
            # One message, one change: else the first showing would not end with its line.
            if book is None or change.id != market_id or len(mc) > 1:
                self._spoil()
                break
            if definition is not None:
                if parts is None:
                    parts = _split(lines)
                if self._turns(book, definition, sum(map(len, parts[taken:at]))):
                    self._add(b"".join(parts[taken:at]))
                    taken = at
                    self._first_ms, self._last_ms, self._changes = first_ms, last_ms, changes
                    yield from self._cut(number + at)
                    first_ms, last_ms, changes = self._first_ms, self._last_ms, self._changes
                self._definitions.append(parts[at])
                self._plan(definition, publish_time)
            book.apply(publish_time, change)
            changes += 1
            if publish_time > last_ms:
                last_ms = publish_time
                first_ms = first_ms or publish_time
        self._first_ms, self._last_ms, self._changes = first_ms, last_ms, changes
        self._add(b"".join(parts[taken:]) if parts is not None else lines)

    def _messages(self, lines: bytes) -> list[ChangeMessage] | None:
        """The messages, where they can be made keyframes of; None where they cannot, from here on."""
        if not self._regular and self.start_ms is not None:
            return None
        messages, whole = readable(lines)
        if not whole:
            self._spoil()
        if self.start_ms is None:
            self._find_start(messages)
        # A message for each line: else it could not be told where one begins.
        if len(messages) != lines.count(b"\n") + (not lines.endswith(b"\n")):
            self._spoil()
        return messages if self._regular else None

    def _spoil(self) -> None:
        """From here on the recording is kept without keyframes."""
        self._regular = self._skippable = False

    def _find_start(self, messages: Sequence[ChangeMessage]) -> None:
        for message in messages:
            for change in message.mc:
                if change.market_definition is not None:
                    moment = change.market_definition.market_time
                    self.start_ms = round(moment.timestamp() * 1000) if moment else message.pt
                    self._event_id = self._event_id or change.market_definition.event_id
                    return

    def _plan(self, definition: MarketDefinition, now_ms: int) -> None:
        """Work out when windows open that are yet to open."""
        self._openings = ()
        if definition.market_time is not None and not definition.in_play:
            start_ms = definition.market_time.timestamp() * 1000
            moments = (start_ms - 1000 * seconds for seconds in reversed(_OPENINGS))
            self._openings = tuple(moment for moment in moments if moment > now_ms)

    def _turns(self, book: MarketBook, definition: MarketDefinition, waiting: int) -> bool:
        """Whether a keyframe is due before a definition: at the turn in play, and around a suspension.

        Args:
            waiting: bytes of lines before it that were not added yet.
        """
        if book.market_definition is None:
            return False
        alone, suspends = self._alone, definition.status == "SUSPENDED"
        if suspends and book.status == "OPEN":
            self._alone = self._size + waiting >= _SUSPENSION_BYTES
        elif not suspends:
            self._alone = False
        begins, ends = self._alone and not alone, alone and definition.status == "OPEN"
        return begins or ends or (definition.in_play and not book.inplay)

    def _due(self, messages: Sequence[ChangeMessage]) -> bool:
        """Whether a keyframe is due before these messages."""
        if not messages or not self._size:
            return False
        opens = bool(self._openings) and messages[-1].pt >= self._openings[-1]
        if opens:
            self._openings = tuple(moment for moment in self._openings if moment > messages[-1].pt)
        if self._size >= _SEGMENT_BYTES or (opens and self._size >= _OPENING_BYTES):
            return True
        first_ms = self._first_ms
        return self._size >= _KEYFRAME_BYTES and bool(first_ms) and messages[0].pt - first_ms >= _KEYFRAME_MS

    def _add(self, lines: bytes) -> None:
        if lines:
            self._lines.append(lines)
            self._size += len(lines)

    def _cut(self, line: int) -> Iterator[PackedSegment]:
        """End the segment before a line."""
        if not self._size:
            return
        image = image_of(self._book) if self._regular and self._book is not None else None
        yield from self._rows()
        self._open(line, image)

    def _rows(self, last: bool = False, problem: str | None = None) -> Iterator[PackedSegment]:
        lines = b"".join(self._lines)
        row = PackedSegment(
            recording=self._name,
            segment=self._count,
            market_id=self._market_id,
            event_id=self._event_id,
            line=self._line,
            first_ms=self._first_ms,
            last_ms=self._last_ms,
            changes=self._changes,
            skippable=self._skippable,
            defined_first=_begins(lines, self._definitions),
            image=self._image,
            definitions=b"".join(self._definitions) or None,
            lines=lines,
            problem=problem,
            phase=2 * self._phase() + (len(lines) > _SHORT_BYTES and self._is_suspended()),
        )
        if self._count == 0 and self._skippable and problem is None:
            cut, publish_time = _opening(lines)
            if cut:
                # The market's first message is a segment by itself: it is always shown; what follows may be left out.
                first = dataclasses.replace(
                    row, last_ms=publish_time, changes=1, lines=lines[:cut], definitions=self._definitions[0]
                )
                self._known.append(_known(first))
                yield first
                row.segment += 1
                row.line += lines.count(b"\n", 0, cut)
                row.changes -= 1
                row.definitions, row.lines = b"".join(self._definitions[1:]) or None, lines[cut:]
                row.defined_first = _begins(row.lines, self._definitions[1:])
        self._count = row.segment + 1
        self._known.append(_known(row))
        if last:
            row.overview = msgspec.msgpack.encode(self._known)
        yield row

    def _phase(self) -> int:
        """The part of the market's life that the segment under way belongs to."""
        definition = self._book.market_definition if self._book is not None else None
        if definition is None or definition.market_time is None:
            return 0
        if definition.in_play:
            return len(_PHASES) + 1
        left = definition.market_time.timestamp() - self._last_ms / 1000
        return sum(left <= seconds for seconds in _PHASES)

    def _is_suspended(self) -> bool:
        """Whether the segment under way ends in a suspension, or with the market's end."""
        definition = self._book.market_definition if self._book is not None else None
        return definition is not None and definition.status != "OPEN"

    def end(self, problem: str | None) -> Iterator[PackedSegment]:
        """The recording has ended, or cannot be read on for the reason `problem`."""
        if problem is not None:
            self._skippable = False
        if self._count == 0 and self._size < _KEYFRAME_BYTES:
            self._skippable = False  # too small to leave anything out
        yield from self._rows(last=True, problem=problem)


def _known(row: PackedSegment) -> Segment:
    """A segment as the overview has it: a short one with its lines and its image."""
    short = row.skippable and row.definitions is not None and len(row.lines) <= _SHORT_BYTES
    image = row.image if short or row.image is None else b""
    return Segment(
        line=row.line,
        first_ms=row.first_ms,
        last_ms=row.last_ms,
        changes=row.changes,
        market_id=row.market_id,
        skippable=row.skippable,
        defined_first=row.defined_first,
        image=image,
        definitions=row.lines if short else row.definitions,
        whole=short,
    )


def _begins(lines: bytes, definitions: Sequence[bytes]) -> bool:
    """Whether lines begin with the first of these."""
    return bool(definitions) and lines.startswith(definitions[0])


def _split(lines: bytes) -> list[bytes]:
    """Each line with its end. A carriage return does not end one: it may stand between the words of JSON."""
    parts = [line + b"\n" for line in lines.split(b"\n")]
    parts[-1] = parts[-1][:-1]
    return parts


def _opening(lines: bytes) -> tuple[int, int]:
    """Bytes up to and with the first line that has changes, and its publish time; 0 where nothing follows it."""
    end = 0
    while end < len(lines):
        start, end = end, lines.find(b"\n", end) + 1 or len(lines)
        ((message,), _) = readable(lines[start:end])
        if message.mc:
            return (end, message.pt) if end < len(lines) else (0, 0)
    return 0, 0
