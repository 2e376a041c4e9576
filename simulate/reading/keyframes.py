"""Keyframes: the image of a book, as one message of the stream, from which reading can go on."""

from __future__ import annotations

import msgspec

from ...strategies.book import MarketBook
from ...strategies.book_image import image_change
from ...strategies.changes import ChangeMessage

_decode = msgspec.json.Decoder(ChangeMessage).decode
_encode = msgspec.json.Encoder().encode


def image_of(book: MarketBook) -> bytes | None:
    """The book but for its definition; None where an image and the definition would not give the same book again.

    That is so where the definition no longer names a runner of the book, whose last state is then known to nobody.
    """
    definition = book.market_definition
    if definition is None or book.market_id is None or not book.publish_time_epoch:
        return None
    if {(runner.selection_id, runner.handicap) for runner in book.runners} != {
        (runner.id, runner.hc) for runner in definition.runners
    }:
        return None
    return _encode({"op": "mcm", "pt": book.publish_time_epoch, "mc": [image_change(book)]})


def restore(book: MarketBook, image: bytes) -> None:
    """Bring a book whose definition is the present one to the state of an image."""
    message = _decode(image)
    (change,) = message.mc
    book.apply(message.pt, change)
    # An image puts runners into the order of the definition; they may have come in another.
    places = {(rc.id, rc.hc or 0.0): place for place, rc in enumerate(change.rc)}
    book.runners = sorted(book.runners, key=lambda runner: places[runner.selection_id, runner.handicap])
