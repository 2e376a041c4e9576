"""What of a packed recording nobody wants to see is not read: stretches outside all windows.

A stretch is left out where a reader could not tell: each strategy that looks at books declares a window and none of
them is open in it, no order is there, no timer is due, and no middleware sees every change. The first message is
always shown, so that `process_new_market` gets the market's first book; definitions are folded in; changes left out
are counted.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..actors.market import HostedMarket, MarketActor
from ..strategies.changes import ChangeMessage, MarketDefinition
from ..strategies.errors import RecordingError
from .keyframes import restore
from .packed import Lines, Segment, segments
from .recordings import Recording, decode_lines

if TYPE_CHECKING:
    from ..strategies.window import Window

#: Milliseconds by which windows are taken to be wider: reading too much does no harm.
_SLACK = 2

Messages = Iterator[tuple[int, Sequence[ChangeMessage | RecordingError]]]


def messages_of(recording: Recording, actor: MarketActor, alone: bool) -> Messages:
    """The messages of a recording for an actor, without what nobody there wants to see.

    Args:
        alone: the recording is all there is in its unit.
    """
    source = recording.source
    # A subclass of the actor may do something at each change.
    if source.rows is None or source.only or not alone or actor.middleware or type(actor) is not MarketActor:
        return recording.messages()
    windows = [strategy.window for strategy in actor.prototypes]
    if not any(window.bounded for window in windows):
        return recording.messages()
    return _needed(recording, actor)


def _needed(recording: Recording, actor: MarketActor) -> Messages:
    try:
        known, rows = segments(recording.source), Lines(recording.source)
    except Exception:
        yield from recording.messages()  # which says what is wrong
        return
    left = False
    following = (*known[1:], None)
    for number, (segment, after) in enumerate(zip(known, following, strict=True)):
        market = actor.market(segment.market_id) if segment.market_id else None
        if market is not None:
            if after is not None and after.image is not None and _unseen(segment, market, actor):
                _fold_definitions(segment, actor)
                market.changes += segment.changes
                left = True
                continue
            if left and segment.image is not None:
                restore(market.market_book, segment.image)
                left = False
        lines, problem = rows.read(number)
        yield from recording.decoded(recording.pieces_of(io.BytesIO(lines), segment.line))
        if problem is not None:
            raise recording.damaged(problem, segment.line + lines.count(b"\n"))


def _fold_definitions(segment: Segment, actor: MarketActor) -> None:
    for message in decode_lines(segment.definitions or b""):
        for change in message.mc:
            actor.fold_unseen(message.pt, change)


def _unseen(segment: Segment, market: HostedMarket, actor: MarketActor) -> bool:
    """Whether nothing in a segment is for anybody."""
    if not segment.skippable or not market.shown or market.attended or market.closed or market.exchange.pending:
        return False
    if any(True for _ in market.blotter):
        return False
    if actor.host.clock.next_ms <= segment.last_ms:
        return False
    windows = [window for _, _, window, _ in market.readers]
    definition = market.market_book.market_definition
    if definition is None or None in windows:
        return False
    start, since = segment.first_ms, market.inplay_since_ms
    stretches: list[tuple[int, int, MarketDefinition, int | None]] = []
    for message in decode_lines(segment.definitions or b""):
        for change in message.mc:
            if change.market_definition is not None:
                stretches.append((start, message.pt, definition, since))
                start, definition = message.pt, change.market_definition
                if definition.in_play and since is None:
                    since = message.pt
    stretches.append((start, segment.last_ms, definition, since))
    return not any(_may_show(window, *each) for window in windows if window is not None for each in stretches)


def _may_show(window: Window, first_ms: int, last_ms: int, definition: MarketDefinition, since: int | None) -> bool:
    """Whether a window may be open at some time of a stretch under one definition."""
    scheduled = definition.market_time
    # The test errs on the side of open: the time to the start as of its end, the time in play as of its beginning.
    to_start = (scheduled.timestamp() * 1000 - last_ms - _SLACK) / 1000 if scheduled else float("inf")
    inplay_seconds = None if since is None else (first_ms - since - _SLACK) / 1000
    return window.contains_state(definition.status, definition.in_play, to_start, inplay_seconds)
