"""Keyframes: the image of a book, as one message of the stream, from which reading can go on."""

from __future__ import annotations

from typing import Any

import msgspec

from ...strategies.book import MarketBook
from ...strategies.changes import ChangeMessage
from ...strategies.runner_book import RunnerBook

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
    change: dict[str, Any] = {"id": book.market_id, "rc": [_runner_image(runner) for runner in book.runners]}
    change["img"] = True
    if book.total_matched:
        change["tv"] = book.total_matched
    return _encode({"op": "mcm", "pt": book.publish_time_epoch, "mc": [change]})


def restore(book: MarketBook, image: bytes) -> None:
    """Bring a book whose definition is the present one to the state of an image."""
    message = _decode(image)
    (change,) = message.mc
    book.apply(message.pt, change)
    # An image puts runners into the order of the definition; they may have come in another.
    places = {(rc.id, rc.hc or 0.0): place for place, rc in enumerate(change.rc)}
    book.runners = sorted(book.runners, key=lambda runner: places[runner.selection_id, runner.handicap])


def _runner_image(runner: RunnerBook) -> dict[str, Any]:
    ex, sp = runner.ex, runner.sp
    ladders: dict[str, list[Any]] = {
        "atb": list(ex.back.levels.items()),
        "atl": list(ex.lay.levels.items()),
        "trd": list(ex.traded.levels.items()),
        "spb": sp.lay_liability_taken,
        "spl": sp.back_stake_taken,
    }
    for kind, ladder in ex.best.items():
        ladders[kind] = [(rank, *level) for rank, level in ladder.levels.items()]
    values: dict[str, Any] = {"spn": sp.near_price, "spf": sp.far_price, "ltp": runner.last_price_traded}
    # An empty list is left out: it would be the same to a book that starts anew.
    image: dict[str, Any] = {name: levels for name, levels in ladders.items() if levels}
    image.update((name, value) for name, value in values.items() if value is not None)
    if runner.total_matched:
        image["tv"] = runner.total_matched
    if runner.handicap:
        image["hc"] = runner.handicap
    image["id"] = runner.selection_id
    return image
