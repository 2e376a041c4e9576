"""Settlement: what bets win and lose when the market is settled. Source: docs/fidelity.md.

Dead heats of place markets and quarter lines of Asian handicaps cannot be told from the runners' statuses: they are
settled as the statuses say (see docs/fidelity.md).
"""

from __future__ import annotations

import logging

from ..strategies.market import Market
from ..strategies.order import Order
from ..strategies.order_types import LimitOrder

logger = logging.getLogger("headrace")


class Settlement:
    """Profits from exact fills; dead heats of win markets share the stake; the line itself returns the stake."""

    def settle(self, market: Market, order: Order) -> None:
        """Give `order` its result by the market's closing definition."""
        book = market.market_book
        runner = book.runner(order.selection_id, order.handicap)
        definition = book.market_definition
        if runner is None or definition is None:
            return
        order.runner_status = runner.status
        order.market_type = definition.market_type
        order.each_way_divisor = definition.each_way_divisor
        winners = sum(1 for each in book.runners if each.status == "WINNER")
        expected = definition.number_of_winners
        order.number_of_dead_heat_winners = winners if expected == 1 and winners > 1 else 1
        if self.is_line(order):
            self.read_line(market, order)
        order.profit = self.profit(order)

    @staticmethod
    def is_line(order: Order) -> bool:
        order_type = order.order_type
        return isinstance(order_type, LimitOrder) and order_type.price_ladder_definition == "LINE_RANGE"

    def read_line(self, market: Market, order: Order) -> None:
        """The user puts the line's result into the market's context; recordings do not hold it."""
        result = market.context.get("line_range_result")
        if result is not None:
            order.line_range_result = result
        else:
            logger.warning("Market %s: no context['line_range_result'], line bets are not settled", market.market_id)

    def stake(self, order: Order) -> tuple[float, float]:
        """Size matched, and size times price."""
        bet = order.simulated
        if bet is None:
            return order.size_matched, order.size_matched * order.average_price_matched
        size, value = bet.exact_matched
        if size and round(size, 2) != order.size_matched:
            return order.size_matched, order.size_matched * order.average_price_matched
        return size, value

    def profit(self, order: Order) -> float:
        """Profit in the account's currency, before commission, rounded to pence."""
        size, value = self.stake(order)
        if not size:
            return 0.0
        win = value - size
        sign = 1 if order.side == "BACK" else -1
        status = order.runner_status
        if order.market_type == "EACH_WAY":
            return self._each_way(order, size, win, sign)
        if self.is_line(order):
            return self._line(order, size, value / size)
        if status == "WINNER":
            tied = order.number_of_dead_heat_winners or 1
            return round(sign * (win / tied - size * (tied - 1) / tied), 2)
        if status == "LOSER":
            return round(-sign * size, 2)
        return 0.0

    def _each_way(self, order: Order, size: float, win: float, sign: int) -> float:
        divisor = order.each_way_divisor
        if divisor is None:
            raise ValueError(f"market {order.market_id}: an each-way market without eachWayDivisor cannot be settled")
        place = win / divisor
        result = {"WINNER": win + place, "PLACED": place - size, "LOSER": -2 * size}.get(order.runner_status or "", 0.0)
        return round(sign * result, 2)

    def _line(self, order: Order, size: float, average: float) -> float:
        result = order.line_range_result
        if result is None or average == result:
            return 0.0
        won = average > result if order.side == "BACK" else average < result
        return round(size if won else -size, 2)


class FlumineSettlement(Settlement):
    """The peer's: from the average rounded to pence; a line that equals the result loses for both sides."""

    def read_line(self, market: Market, order: Order) -> None:
        result = market.context.get("line_range_result")
        if result:
            order.line_range_result = result
        else:
            logger.warning("Market %s: no context['line_range_result'], line bets are not settled", market.market_id)

    def profit(self, order: Order) -> float:
        size, average = order.size_matched, order.average_price_matched
        sign = 1 if order.side == "BACK" else -1
        status = order.runner_status
        if order.market_type == "EACH_WAY":
            return self._flumine_each_way(order, size, average, sign)
        if self.is_line(order):
            return self._flumine_line(order, size, average)
        if status == "WINNER":
            tied = order.number_of_dead_heat_winners or 1
            profit = (size / tied) * (average - 1)
            if tied >= 2:
                profit -= size * (tied - 1) / tied
            return sign * round(profit, 2)
        if status == "LOSER":
            return -sign * size
        return 0.0

    def _flumine_each_way(self, order: Order, size: float, average: float, sign: int) -> float:
        place = size * ((average - 1) * (1 / order.each_way_divisor))  # type: ignore[operator]
        win = size * (average - 1)
        if order.runner_status == "WINNER":
            return sign * round(win + place, 2)
        if order.runner_status == "PLACED":
            return sign * round(place - size, 2)
        if order.runner_status == "LOSER":
            return -sign * round(2 * size, 2)
        return 0.0

    def _flumine_line(self, order: Order, size: float, average: float) -> float:
        result = order.line_range_result
        if not result:
            return 0.0
        won = average > result if order.side == "BACK" else average < result
        return round(size, 2) if won else -size
