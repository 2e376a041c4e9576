"""Leaves out what no strategy wants to see of a packed recording: stretches outside all windows.

A stretch is left out where a reader could not tell: each strategy that looks at books declares a window and none of
them is open in it, no order is live, no timer is due, and no middleware sees every change. The first message is
always shown, so that `process_new_market` gets the market's first book; definitions are folded in; changes left out
are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeVar, cast

from ..actors.hosted_market import HostedMarket
from ..strategies.change_lines import readable
from ..strategies.changes import ChangeMessage, MarketChange, MarketDefinition
from ..strategies.errors import RecordingError
from ..strategies.hosting import window_of
from .reading.keyframes import restore
from .reading.locations import reason
from .reading.packed import Lines, PackedLines, Segment, segments
from .reading.recordings import Recording

if TYPE_CHECKING:
    from ..strategies.strategy import Strategy
    from ..strategies.window import Window

#: Milliseconds by which windows are taken to be wider: reading too much does no harm.
_SLACK = 2

_Found = TypeVar("_Found")
Messages = Iterator[tuple[int, Sequence[ChangeMessage | RecordingError]]]


class Audience(Protocol):
    """Who looks at the markets: an actor, or several parameter sets over the same books.

    Attributes:
        skips: changes that no strategy looks at may be left out.
        prototypes: the strategies.
        next_timer_ms: when the first timer is due.
    """

    @property
    def skips(self) -> bool: ...

    @property
    def prototypes(self) -> list[Strategy]: ...

    @property
    def next_timer_ms(self) -> float: ...

    def hosted(self, market_id: str) -> Sequence[HostedMarket]: ...

    def skip(self, market_id: str, changes: int) -> None: ...

    def fold_unseen(self, publish_time: int, change: MarketChange) -> None: ...


def messages_of(recording: Recording, audience: Audience, alone: bool) -> Messages:
    """The messages of a recording for an actor, without what no strategy there wants to see.

    Args:
        alone: the unit has no other recording.
    """
    source = recording.source
    if source.rows is None or source.only or not alone or not audience.skips:
        return recording.messages()
    if not any(window_of(strategy).bounded for strategy in audience.prototypes):
        return recording.messages()
    return _needed(recording, audience)


def _needed(recording: Recording, audience: Audience) -> Messages:
    try:
        known, rows = segments(recording.source), Lines(recording.source)
    except Exception:
        yield from recording.messages()  # which says what is wrong
        return
    left = False
    following = (*known[1:], None)
    for number, (segment, after) in enumerate(zip(known, following, strict=True)):
        market_id = segment.market_id
        faces = audience.hosted(market_id) if market_id else ()
        if market_id and faces:
            if after is not None and after.image is not None and _unseen(segment, faces, audience):
                _fold_definitions(segment, audience)
                audience.skip(market_id, segment.changes)
                left = True
                continue
            if left and segment.image is not None:
                restore(faces[0].market_book, segment.image or _read(recording, segment, rows.image, number))
                left = False
        if segment.whole and segment.definitions:
            # Known already: no row group is unpacked for the first line, which is always shown, and for suspensions.
            lines, problem = memoryview(segment.definitions), None
        else:
            lines, problem = _read(recording, segment, rows.read, number)
        if segment.skippable:
            yield from recording.decoded_regular(lines, segment.line)
        else:
            yield from recording.decoded(recording.pieces_of(cast(BinaryIO, PackedLines(lines)), segment.line))
        if problem is not None:
            raise recording.damaged(problem, segment.line + bytes(lines).count(b"\n"))


def _read(recording: Recording, segment: Segment, read: Callable[[int], _Found], number: int) -> _Found:
    """What is read of a segment.

    Raises:
        RecordingError: it is damaged.
    """
    try:
        return read(number)
    except Exception as error:  # what a file or a store raises has no common class
        raise recording.damaged(reason(error), segment.line) from None


def _fold_definitions(segment: Segment, audience: Audience) -> None:
    for message in readable(segment.definitions or b"")[0]:
        for change in message.mc:
            if change.market_definition is not None:
                audience.fold_unseen(message.pt, change)


def _unseen(segment: Segment, faces: Sequence[HostedMarket], audience: Audience) -> bool:
    """Whether nothing in a segment is for anybody; all faces are of one market, over one book."""
    if not segment.skippable or audience.next_timer_ms <= segment.last_ms or any(map(_is_attended, faces)):
        return False
    windows = {None if gate is None else gate.window for face in faces for _, _, gate, _ in face.readers}
    market = faces[0]
    definition = market.market_book.market_definition
    if definition is None or None in windows:
        return False
    start, since = segment.first_ms, market.inplay_since_ms
    # Nothing is under the definition so far where the segment begins with another.
    begun = not segment.defined_first
    stretches: list[tuple[int, int, MarketDefinition, int | None]] = []
    for message in readable(segment.definitions or b"")[0]:
        for change in message.mc:
            if change.market_definition is not None:
                if begun:
                    stretches.append((start, message.pt, definition, since))
                start, definition, begun = message.pt, change.market_definition, True
                if definition.in_play and since is None:
                    since = message.pt
    stretches.append((start, segment.last_ms, definition, since))
    return not any(_may_show(window, *each) for window in windows if window is not None for each in stretches)


def _is_attended(market: HostedMarket) -> bool:
    """Whether each change matters here: there is a live order, or something to be told."""
    if not market.shown or market.attended or market.closed or market.exchange.busy:
        return True
    return market.blotter.has_live_orders


def _may_show(window: Window, first_ms: int, last_ms: int, definition: MarketDefinition, since: int | None) -> bool:
    """Whether a window may be open at some time of a stretch under one definition."""
    scheduled = definition.market_time
    # The test errs on the side of open: the time to the start is that at its end, the time in play that at its start.
    to_start = (scheduled.timestamp() * 1000 - last_ms - _SLACK) / 1000 if scheduled else float("inf")
    inplay_seconds = None if since is None else (first_ms - since - _SLACK) / 1000
    return window.contains_state(definition.status, definition.in_play, to_start, inplay_seconds)
