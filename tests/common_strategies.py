"""Strategies that many tests need, and how they become files of a user's."""

from __future__ import annotations

import inspect
from typing import Any

import headrace as hr


class Idle(hr.Strategy):
    """Looks at nothing."""


class Onlooker(hr.Strategy):
    """Looks at every book, and places nothing."""

    def check_market_book(self, market: Any, book: Any) -> bool:
        return False


class Backer(hr.Strategy):
    """Backs the first runners once each, at the best price, before the market turns in play."""

    stake: float = 2.0
    runners: int = 2

    def check_market_book(self, market: Any, book: Any) -> bool:
        return book.status == "OPEN" and not book.inplay

    def process_market_book(self, market: Any, book: Any) -> None:
        for runner in book.runners[: self.runners]:
            context = self.get_runner_context(market.market_id, runner.selection_id, runner.handicap)
            price = hr.get_price(runner.ex.available_to_back, 0)
            if runner.status == "ACTIVE" and price and not context.invested:
                trade = hr.Trade(market.market_id, runner.selection_id, runner.handicap, self)
                market.place_order(trade.create_order("BACK", hr.LimitOrder(price, self.stake)))


class Moody(Backer):
    """Backs as `Backer` does; fails where it is told to."""

    mood: str = "calm"

    def process_market_book(self, market: Any, book: Any) -> None:
        if self.mood == "broken":
            raise KeyError("no such runner")
        super().process_market_book(market, book)


class BacksAtOnce(hr.Strategy):
    """Backs runner 1 at 2.0 as soon as the market is there."""

    stake: float = 2.0

    def process_new_market(self, market: Any, book: Any) -> None:
        order = hr.Trade(market.market_id, 1, 0, self).create_order("BACK", hr.LimitOrder(2.0, self.stake))
        market.place_order(order)


class BacksAtFirstPrices(hr.Strategy):
    """Backs runner 1 once, when it first has a price."""

    price: float = 2.0
    stake: float = 2.0

    def check_market_book(self, market: Any, book: Any) -> bool:
        return bool(book.runners[0].ex.available_to_back) and not market.blotter.strategy_orders(self)

    def process_market_book(self, market: Any, book: Any) -> None:
        order = hr.Trade(market.market_id, 1, 0, self).create_order("BACK", hr.LimitOrder(self.price, self.stake))
        market.place_order(order)


def source_of(*kinds: type[hr.Strategy]) -> str:
    """The source of strategies, as a file of their own has it."""
    head = "from typing import Any\n\nimport headrace as hr\n"
    return "\n\n".join([head, *(inspect.getsource(kind) for kind in kinds)])
