"""The most that a strategy's matched bets on a market could have lost, at any moment of it."""

from __future__ import annotations

from collections.abc import Iterable

from ..strategies.book import MarketBook
from ..strategies.order import Order
from ..strategies.terms import Terms


def peak_exposure(orders: Iterable[Order], book: MarketBook) -> float:
    """The greatest worst-case loss after the fills of any moment, 0 or more, in the account's currency.

    Bets on different runners offset each other as they do at the exchange: as many of them win as the market has
    winners. Bets of each-way markets count both halves, those of line markets their size whichever side.
    """
    fills = [
        (time, number, order, price, size)
        for number, order in enumerate(orders)
        for time, price, size in order.told_fills()
    ]
    fills.sort(key=lambda fill: fill[:2])
    terms = Terms.of(book.market_definition)
    winners, runners = book.number_of_winners or 1, len(book.runners)
    lost = worst = 0.0
    gains: dict[tuple[int, float], float] = {}
    for place, (time, _, order, price, size) in enumerate(fills, 1):
        sign = 1 if order.side == "BACK" else -1
        win, lose = (price - 1) * size * sign, -size * sign
        if terms.is_line(order.order_type):
            win = size * sign
        elif terms.each_way:
            win, lose = win * terms.on_win, lose * terms.on_lose
        key = (order.selection_id, order.handicap)
        lost += lose
        gains[key] = gains.get(key, 0.0) + win - lose
        if place < len(fills) and fills[place][0] == time:
            continue
        others = [0.0] * min(winners, max(0, runners - len(gains)))
        least = sorted((*gains.values(), *others))[:winners]
        worst = min(worst, lost + sum(least))
    return round(-worst, 2) + 0.0
