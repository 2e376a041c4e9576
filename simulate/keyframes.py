"""Keyframes: the image of a book, as one message of the stream, from which reading can go on."""

from __future__ import annotations

from typing import Any

import msgspec

from ..strategies.book import MarketBook, RunnerBook
from ..strategies.changes import ChangeMessage

_decode = msgspec.json.Decoder(ChangeMessage).decode
_encode = msgspec.json.Encoder().encode


def image_of(book: MarketBook) -> bytes | None:
    """The book but for its definition; None where an image and the definition would not give the same book again."""
    definition = book.market_definition
    if definition is None or len(definition.runners) != len(book.runners):
        return None
    if book.market_id is None or not book.publish_time_epoch:
        return None
    change: dict[str, Any] = {"id": book.market_id, "rc": [_runner_image(runner) for runner in book.runners]}
    change["img"] = True
    if book.total_matched:
        change["tv"] = book.total_matched
    image = _encode({"op": "mcm", "pt": book.publish_time_epoch, "mc": [change]})
    again = MarketBook(book.market_id)
    again.market_definition = definition
    restore(again, image)
    return image if _state(again) == _state(book) else None


def restore(book: MarketBook, image: bytes) -> None:
    """Bring a book whose definition is the present one to the state of an image."""
    message = _decode(image)
    (change,) = message.mc
    book.apply(message.pt, change)
    # An image puts runners into the order of the definition; they may have come in another.
    places = {(rc.id, rc.hc): place for place, rc in enumerate(change.rc)}
    book.runners = sorted(book.runners, key=lambda runner: places[runner.selection_id, runner.handicap])


def _runner_image(runner: RunnerBook) -> dict[str, Any]:
    ex, sp = runner.ex, runner.sp
    found: dict[str, Any] = {
        "atb": list(ex.back.levels.items()),
        "atl": list(ex.lay.levels.items()),
        "trd": list(ex.traded.levels.items()),
        "spb": sp.lay_liability_taken,
        "spl": sp.back_stake_taken,
        "spn": sp.near_price,
        "spf": sp.far_price,
        "ltp": runner.last_price_traded,
        "tv": runner.total_matched,
    }
    for kind, ladder in ex.best.items():
        found[kind] = [(rank, *level) for rank, level in ladder.levels.items()]
    image = {name: value for name, value in found.items() if value is not None and value != [] and value != 0}
    if runner.handicap:
        image["hc"] = runner.handicap
    image["id"] = runner.selection_id
    return image


def _state(book: MarketBook) -> Any:
    """All that anybody can read of a book."""
    return (
        book.publish_time_epoch,
        book.market_definition,
        (book.status, book.inplay, book.version, book.bet_delay, book.complete, book.bsp_reconciled),
        (book.cross_matching, book.runners_voidable, book.number_of_winners, book.number_of_active_runners),
        book.total_matched,
        [_runner_state(runner) for runner in book.runners],
    )


def _runner_state(runner: RunnerBook) -> Any:
    ex, sp = runner.ex, runner.sp
    return (
        (runner.selection_id, runner.handicap, runner.status, runner.name, runner.sort_priority, runner.definition),
        (runner.adjustment_factor, runner.removal_date, runner.last_price_traded, runner.total_matched),
        [list(ladder.levels.items()) for ladder in (ex.back, ex.lay, ex.traded)],
        {kind: ladder.levels for kind, ladder in ex.best.items() if ladder.levels},
        (sp.near_price, sp.far_price, sp.actual_sp, sp.back_stake_taken, sp.lay_liability_taken),
    )
