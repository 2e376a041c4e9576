"""What strategies look up in a book or a market: the price or size of a level, a runner, the events."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from ..values import note_of_price
from .book import MarketBook, RunnerBook
from .ladder import PriceSize
from .market import Market


def get_price(levels: Sequence[PriceSize], level: int) -> float | None:
    """The price of a ladder's level, 0 the best; None where there is none."""
    return levels[level].price if 0 <= level < len(levels) else None


def get_size(levels: Sequence[PriceSize], level: int) -> float | None:
    """The size of a ladder's level, 0 the best; None where there is none."""
    return levels[level].size if 0 <= level < len(levels) else None


def get_sp(runner: RunnerBook) -> float | None:
    """The runner's starting price; None where there is none yet."""
    price = runner.sp.actual_sp
    return price if isinstance(price, (int, float)) and math.isfinite(price) else None


def get_runner_book(market_book: MarketBook, selection_id: int, handicap: float = 0) -> RunnerBook | None:
    """The runner of a book; None where it has no such runner."""
    return market_book.runner(selection_id, handicap)


def get_market_notes(market: Market | MarketBook, selection_id: int, handicap: float = 0) -> str | None:
    """The text "best back,best lay,last traded" of a runner; None where the market has no such runner."""
    book = market if isinstance(market, MarketBook) else market.market_book
    runner = book.runner(selection_id, handicap)
    if runner is None:
        return None
    back, lay = get_price(runner.ex.available_to_back, 0), get_price(runner.ex.available_to_lay, 0)
    return ",".join(map(note_of_price, (back, lay, runner.last_price_traded)))


def get_event_ids(markets: Iterable[Market], event_type_id: str) -> list[str]:
    """The events of a sport that have open markets, each once, in the order of the markets."""
    found = [market.event_id for market in markets if not market.closed and market.event_type_id == event_type_id]
    return [event_id for event_id in dict.fromkeys(found) if event_id is not None]
