"""A book as a change of the stream that makes it anew: its image."""

from __future__ import annotations

from typing import Any

from .book import MarketBook
from .runner_book import RunnerBook


def image_change(book: MarketBook) -> dict[str, Any]:
    """All of a book but for its definition, as one element of a message's `mc`."""
    change: dict[str, Any] = {"id": book.market_id, "rc": [_runner_image(runner) for runner in book.runners]}
    change["img"] = True
    if book.total_matched:
        change["tv"] = book.total_matched
    return change


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
