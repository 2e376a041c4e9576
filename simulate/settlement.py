"""Settlement: what bets win and lose when the market is settled. Sources: `outcomes`; docs/fidelity.md."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Protocol

from ..strategies.book import MarketBook
from ..strategies.changes import MarketDefinition, RunnerDefinition
from ..strategies.errors import SettlementError
from ..strategies.messages import ClearedOrder, Fill
from ..strategies.terms import EACH_WAY, LINE_RANGE, Terms
from .bets import Bet
from .outcomes import Outcome, at_odds, tied_winners
from .removals import GONE

logger = logging.getLogger("headrace")

_RESULTS = ("WINNER", "LOSER", *GONE)
_EACH_WAY_RESULTS = (*_RESULTS, "PLACED")


class Matched(Protocol):
    """What of a bet counts at its settlement: its side, what was matched, and its names for what goes wrong."""

    @property
    def market_id(self) -> str: ...

    @property
    def bet_id(self) -> str | None: ...

    @property
    def selection_id(self) -> int: ...

    @property
    def handicap(self) -> float: ...

    @property
    def back(self) -> bool: ...

    @property
    def size_matched(self) -> float: ...

    @property
    def average_price_matched(self) -> float: ...

    @property
    def exact_matched(self) -> tuple[float, float]:
        """Size, and size times price, of all fills, unrounded."""

    @property
    def fills(self) -> Sequence[Fill]: ...


class Settlement:
    """Profits from exact fills, rounded to the penny once. Those who tie share the places; the halves of a quarter line
    are settled apart; a line that equals the result returns the stake.
    """

    def settle(self, book: MarketBook, bet: Bet, line_result: float | None) -> ClearedOrder:
        """The result of `bet` by the market's closing definition.

        Args:
            book: the closing book.
            line_result: the result of the market's line, if it is known.

        Raises:
            SettlementError: something of it was matched, and the definition does not say what became of its runner.
        """
        if book.market_definition is None:
            raise SettlementError(f"market {bet.market_id}: closed without a definition")
        outcome = self.outcome(book, bet, line_result)
        if not bet.size_matched:
            return cleared(book, bet, outcome)
        self.require_result(bet, outcome)
        return cleared(book, bet, outcome, self.profit(bet, outcome))

    def outcome(self, book: MarketBook, bet: Bet, line_result: float | None) -> Outcome:
        """What the closing definition says about a bet; if nothing was matched, only what became of its runner."""
        definition = book.market_definition
        if definition is None:
            return Outcome()
        runner = named_runner(definition, bet)
        status = runner.status if runner else None
        market_type, divisor = definition.market_type, definition.each_way_divisor
        if not bet.size_matched:
            return Outcome(status, market_type, divisor)
        if Terms.of(definition).is_line(bet):
            return Outcome(status, market_type, divisor, tied_winners(definition), True, line_result)
        return at_odds(definition, bet.selection_id, bet.handicap, status)

    def require_result(self, bet: Bet, outcome: Outcome) -> None:
        """Raise where the definition does not say what became of a matched bet; 0 would look like a void."""
        status, market_type, divisor = outcome.runner_status, outcome.market_type, outcome.each_way_divisor
        if outcome.on_line:
            if outcome.line_result is None and status not in GONE:
                raise SettlementError(
                    f"{_name(bet)} on a line, has no result: put it into market.context['line_range_result'] before "
                    f"the close"
                )
            return
        if status is None:
            raise SettlementError(f"{_name(bet)}, has no result: the closing definition does not name the runner")
        known = _EACH_WAY_RESULTS if market_type == EACH_WAY else _RESULTS
        if status not in known:
            raise SettlementError(
                f"{_name(bet)}, has no result: the runner is {status} in the closing definition, expected one of "
                f"{', '.join(known)}"
            )
        if market_type == EACH_WAY and not (divisor or 0) > 0:
            raise SettlementError(f"{_name(bet)}, cannot be settled: an each-way market with eachWayDivisor {divisor}")

    def stake(self, bet: Matched) -> tuple[float, float]:
        """Size matched, and size times price."""
        size, value = bet.exact_matched
        if round(size, 2) != bet.size_matched:
            return bet.size_matched, bet.size_matched * bet.average_price_matched
        return size, value

    def profit(self, bet: Matched, outcome: Outcome) -> float:
        """Profit in the account's currency, before commission, rounded to pence."""
        size, value = self.stake(bet)
        if not size:
            return 0.0
        win = value - size
        if outcome.on_line:
            return 0.0 if outcome.runner_status in GONE else self._line(bet, outcome)
        won, lost = outcome.parts()
        profit = win * won - size * lost
        if outcome.market_type == EACH_WAY:
            won, lost = outcome.place_parts()
            profit += win * won / (outcome.each_way_divisor or math.inf) - size * lost
        # What is void is 0, not -0.
        return round(profit if bet.back else -profit, 2) + 0.0

    def _line(self, bet: Matched, outcome: Outcome) -> float:
        """Each fill by its own line: those of one bet may lie on both sides of the result."""
        result = outcome.line_result
        if result is None:
            return 0.0
        won = sum(size if line > result else -size for _, line, size in bet.fills if line != result)
        return round(won if bet.back else -won, 2)


def _name(bet: Matched) -> str:
    name = f"market {bet.market_id}: bet {bet.bet_id}, {bet.size_matched:.2f} matched on {bet.selection_id}"
    return f"{name} ({bet.handicap:+g})" if bet.handicap else name


def cleared(book: MarketBook, bet: Bet, outcome: Outcome, profit: float = 0.0, settled: bool = True) -> ClearedOrder:
    """A bet's result, as a message."""
    return ClearedOrder(
        bet.market_id,
        bet.order_id,
        bet.bet_id,
        book.publish_time_epoch,
        profit,
        settled,
        outcome.runner_status,
        outcome.market_type,
        outcome.each_way_divisor,
        outcome.dead_heat_winners,
        outcome.on_line,
        outcome.line_result,
        outcome.won,
        outcome.lost,
        outcome.place_won,
        outcome.place_lost,
        outcome.note,
    )


def unsettled(book: MarketBook, bet: Bet) -> ClearedOrder:
    """A bet without a result, as a message."""
    definition = book.market_definition
    if definition is None:
        return cleared(book, bet, Outcome(), settled=False)
    runner = named_runner(definition, bet)
    known = Outcome(runner.status if runner else None, definition.market_type, definition.each_way_divisor)
    return cleared(book, bet, known, settled=False)


def named_runner(definition: MarketDefinition, bet: Bet) -> RunnerDefinition | None:
    """The bet's runner, if the definition names it."""
    for runner in definition.runners:
        if runner.id == bet.selection_id and runner.hc == bet.handicap:
            return runner
    return None


class FlumineSettlement(Settlement):
    """The peer's: from the average rounded to pence; a line that equals the result loses for both sides; an order is
    on a line where it says so; a bet without a result is void.
    """

    def settle(self, book: MarketBook, bet: Bet, line_result: float | None) -> ClearedOrder:
        outcome = self.outcome(book, bet, line_result)
        if outcome == Outcome():
            return cleared(book, bet, outcome, bet.profit)  # the peer leaves such a bet as it is
        return cleared(book, bet, outcome, self.profit(bet, outcome))

    def outcome(self, book: MarketBook, bet: Bet, line_result: float | None) -> Outcome:
        """By the runners of the book, those that the closing definition no longer names among them."""
        runner = book.runner(bet.selection_id, bet.handicap)
        definition = book.market_definition
        if runner is None or definition is None:
            return Outcome()
        winners = sum(1 for each in book.runners if each.status == "WINNER")
        tied = winners if definition.number_of_winners == 1 and winners > 1 else 1
        on_line = bet.is_limit and bet.price_ladder_definition == LINE_RANGE
        if on_line and not line_result:
            logger.warning("Market %s: no context['line_range_result'], line bets are not settled", bet.market_id)
        return Outcome(
            runner.status,
            definition.market_type,
            definition.each_way_divisor,
            tied,
            on_line,
            (line_result or None) if on_line else None,
        )

    def profit(self, bet: Matched, outcome: Outcome) -> float:
        size, average = bet.size_matched, bet.average_price_matched
        sign = 1 if bet.back else -1
        status = outcome.runner_status
        if outcome.market_type == EACH_WAY:
            return self._flumine_each_way(bet, outcome, size, average, sign)
        if outcome.on_line:
            return self._flumine_line(bet, outcome, size, average)
        if status == "WINNER":
            tied = outcome.dead_heat_winners or 1
            profit = (size / tied) * (average - 1)
            if tied >= 2:
                profit -= size * (tied - 1) / tied
            return sign * round(profit, 2)
        if status == "LOSER":
            return -sign * size
        return 0.0

    def _flumine_each_way(self, bet: Matched, outcome: Outcome, size: float, average: float, sign: int) -> float:
        divisor = outcome.each_way_divisor
        if not divisor:
            raise SettlementError(f"{_name(bet)}, cannot be settled: an each-way market with eachWayDivisor {divisor}")
        place = size * ((average - 1) * (1 / divisor))
        win = size * (average - 1)
        if outcome.runner_status == "WINNER":
            return sign * round(win + place, 2)
        if outcome.runner_status == "PLACED":
            return sign * round(place - size, 2)
        if outcome.runner_status == "LOSER":
            return -sign * round(2 * size, 2)
        return 0.0

    def _flumine_line(self, bet: Matched, outcome: Outcome, size: float, average: float) -> float:
        result = outcome.line_result
        if not result:
            return 0.0
        won = average > result if bet.back else average < result
        return round(size, 2) if won else -size
