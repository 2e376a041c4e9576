"""The most that a strategy's matched bets on a market could have lost, at any moment of it."""

from __future__ import annotations

from collections.abc import Iterable

from ..strategies.book import MarketBook
from ..strategies.order import Order
from ..strategies.order_types import LimitOrder


def peak_exposure(orders: Iterable[Order], book: MarketBook) -> float:
    """The greatest worst-case loss after the fills of any moment, 0 or more, in the account's currency.

    Bets on different runners offset each other as they do at the exchange: as many of them win as the market has
    winners. Bets of each-way markets count both halves, those of line markets their size whichever side.
    """
    fills = [
        (time, number, order, price, size)
        for number, order in enumerate(orders)
        for time, price, size in (order.simulated.fills if order.simulated else ())
    ]
    fills.sort(key=lambda fill: fill[:2])
    definition = book.market_definition
    line = definition is not None and definition.betting_type == "LINE"
    each_way = definition is not None and definition.market_type == "EACH_WAY"
    divisor = (definition.each_way_divisor or 1.0) if each_way and definition is not None else 1.0
    winners, runners = book.number_of_winners or 1, len(book.runners)
    lost = worst = 0.0
    gains: dict[tuple[int, float], float] = {}
    for place, (time, _, order, price, size) in enumerate(fills, 1):
        sign = 1 if order.side == "BACK" else -1
        order_type = order.order_type
        win, lose = (price - 1) * size * sign, -size * sign
        if line or (isinstance(order_type, LimitOrder) and order_type.price_ladder_definition == "LINE_RANGE"):
            win = size * sign
        elif each_way:
            win, lose = win * (1 + 1 / divisor), 2 * lose
        key = (order.selection_id, order.handicap)
        lost += lose
        gains[key] = gains.get(key, 0.0) + win - lose
        if place < len(fills) and fills[place][0] == time:
            continue
        others = [0.0] * min(winners, max(0, runners - len(gains)))
        least = sorted((*gains.values(), *others))[:winners]
        worst = min(worst, lost + sum(least))
    return round(-worst, 2) + 0.0
