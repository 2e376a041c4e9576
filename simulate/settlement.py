"""Settlement: what bets win and lose when the market is settled. Source: docs/fidelity.md.

Dead heats of place markets and quarter lines of Asian handicaps cannot be told from the runners' statuses: they are
settled as the statuses say (see docs/fidelity.md).
"""

from __future__ import annotations

import logging

from ..strategies.changes import MarketDefinition, RunnerDefinition
from ..strategies.errors import SettlementError
from ..strategies.market import Market
from ..strategies.order import Order
from ..strategies.order_types import LimitOrder
from ..strategies.terms import EACH_WAY, LINE_RANGE, has_handicaps
from .removals import GONE

logger = logging.getLogger("headrace")

_RESULTS = ("WINNER", "LOSER", *GONE)
_EACH_WAY_RESULTS = (*_RESULTS, "PLACED")


class Settlement:
    """Profits from exact fills; dead heats of win markets share the stake; the line itself returns the stake."""

    def settle(self, market: Market, order: Order) -> None:
        """Give `order` its result by the market's closing definition.

        Raises:
            SettlementError: something of it was matched, and the definition does not say what became of its runner.
        """
        definition = market.market_book.market_definition
        if definition is None:
            raise SettlementError(f"market {market.market_id}: closed without a definition")
        runner = named_runner(definition, order)
        order.runner_status = runner.status if runner else None
        order.market_type = definition.market_type
        order.each_way_divisor = definition.each_way_divisor
        if not order.size_matched:
            order.profit = 0.0
            return
        order.number_of_dead_heat_winners = tied_winners(definition)
        order.on_line = market.blotter.terms.is_line(order.order_type)
        if order.on_line:
            self.read_line(market, order)
        self.require_result(order, runner)
        order.profit = self.profit(order)

    def require_result(self, order: Order, runner: RunnerDefinition | None) -> None:
        """Raise where the definition does not say what became of a matched bet; 0 would look like a void."""
        bet = f"market {order.market_id}: bet {order.bet_id}, {order.size_matched:.2f} matched on {order.selection_id}"
        if order.handicap:
            bet += f" ({order.handicap:+g})"
        if order.on_line:
            if order.line_range_result is None and order.runner_status not in GONE:
                raise SettlementError(
                    f"{bet} on a line, has no result: put it into market.context['line_range_result'] before the close"
                )
            return
        if runner is None:
            raise SettlementError(f"{bet}, has no result: the closing definition does not name the runner")
        known = _EACH_WAY_RESULTS if order.market_type == EACH_WAY else _RESULTS
        if runner.status not in known:
            raise SettlementError(
                f"{bet}, has no result: the runner is {runner.status} in the closing definition, expected one of "
                f"{', '.join(known)}"
            )
        if order.market_type == EACH_WAY and not (order.each_way_divisor or 0) > 0:
            raise SettlementError(
                f"{bet}, cannot be settled: an each-way market with eachWayDivisor {order.each_way_divisor}"
            )

    def read_line(self, market: Market, order: Order) -> None:
        """The user puts the line's result into the market's context; recordings do not hold it."""
        order.line_range_result = market.context.get("line_range_result")

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
        if status in GONE:
            return 0.0
        if order.market_type == EACH_WAY:
            return self._each_way(order, size, win, sign)
        if order.on_line:
            return self._line(order)
        if status == "WINNER":
            return round(sign * _shared(win, size, order.number_of_dead_heat_winners), 2)
        if status == "LOSER":
            return round(-sign * size, 2)
        return 0.0

    def _each_way(self, order: Order, size: float, win: float, sign: int) -> float:
        divisor = order.each_way_divisor
        assert divisor is not None
        place = win / divisor
        won = _shared(win, size, order.number_of_dead_heat_winners)
        result = {"WINNER": won + place, "PLACED": place - size, "LOSER": -2 * size}.get(order.runner_status or "", 0.0)
        return round(sign * result, 2)

    def _line(self, order: Order) -> float:
        """Each fill by its own line: those of one order may lie on both sides of the result."""
        result = order.line_range_result
        if result is None:
            return 0.0
        bet = order.simulated
        fills = bet.fills if bet is not None else [(0, order.average_price_matched, order.size_matched)]
        won = sum(size if line > result else -size for _, line, size in fills if line != result)
        return round(won if order.side == "BACK" else -won, 2)


def _shared(win: float, size: float, tied: int | None) -> float:
    """The profit of a winner, of which `tied` ran a dead heat."""
    tied = tied or 1
    return win / tied - size * (tied - 1) / tied


def named_runner(definition: MarketDefinition, order: Order) -> RunnerDefinition | None:
    """The order's runner, if the definition names it."""
    for runner in definition.runners:
        if runner.id == order.selection_id and runner.hc == order.handicap:
            return runner
    return None


def tied_winners(definition: MarketDefinition) -> int:
    """How many runners share the win; 1 where more than one is meant to win, each on its own."""
    winners = sum(1 for runner in definition.runners if runner.status == "WINNER")
    alone = definition.number_of_winners == 1 or definition.market_type == EACH_WAY
    return winners if winners > 1 and alone and not has_handicaps(definition) else 1


class FlumineSettlement(Settlement):
    """The peer's: from the average rounded to pence; a line that equals the result loses for both sides; an order is
    on a line where it says so; a bet without a result is void.
    """

    def settle(self, market: Market, order: Order) -> None:
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
        order_type = order.order_type
        order.on_line = isinstance(order_type, LimitOrder) and order_type.price_ladder_definition == LINE_RANGE
        if order.on_line:
            self.read_line(market, order)
        order.profit = self.profit(order)

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
        if order.market_type == EACH_WAY:
            return self._flumine_each_way(order, size, average, sign)
        if order.on_line:
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
        divisor = order.each_way_divisor
        if not divisor:
            raise SettlementError(
                f"market {order.market_id}: bet {order.bet_id}, {size:.2f} matched on {order.selection_id}, cannot be "
                f"settled: an each-way market with eachWayDivisor {divisor}"
            )
        place = size * ((average - 1) * (1 / divisor))
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
