"""Settlement: what bets win and lose when the market is settled. Source: docs/fidelity.md.

Dead heats of place markets and quarter lines of Asian handicaps cannot be told from the runners' statuses: they are
settled as the statuses say (see docs/fidelity.md).
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import Protocol

from ..strategies.book import MarketBook
from ..strategies.changes import MarketDefinition, RunnerDefinition
from ..strategies.errors import SettlementError
from ..strategies.messages import ClearedOrder, Fill
from ..strategies.terms import EACH_WAY, LINE_RANGE, Terms, has_handicaps
from .bets import Bet
from .removals import GONE

logger = logging.getLogger("headrace")

_RESULTS = ("WINNER", "LOSER", *GONE)
_EACH_WAY_RESULTS = (*_RESULTS, "PLACED")


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What a bet is settled by.

    Attributes:
        runner_status: of the bet's runner in the closing definition; None where that does not name it.
        market_type, each_way_divisor: of the market.
        dead_heat_winners: how many share the win; None if that was not counted, because nothing of the bet was matched.
        on_line: the bet is one on a line.
        line_result: the result of the line; None if it is not known, or does not matter.
    """

    runner_status: str | None = None
    market_type: str | None = None
    each_way_divisor: float | None = None
    dead_heat_winners: int | None = None
    on_line: bool = False
    line_result: float | None = None


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
    """Profits from exact fills; dead heats of win markets share the stake; the line itself returns the stake."""

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
        on_line = Terms.of(definition).is_line(bet)
        tied = tied_winners(definition)
        return Outcome(status, market_type, divisor, tied, on_line, line_result if on_line else None)

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
        sign = 1 if bet.back else -1
        status = outcome.runner_status
        if status in GONE:
            return 0.0
        if outcome.market_type == EACH_WAY:
            return self._each_way(outcome, size, win, sign)
        if outcome.on_line:
            return self._line(bet, outcome)
        if status == "WINNER":
            return round(sign * _shared(win, size, outcome.dead_heat_winners), 2)
        if status == "LOSER":
            return round(-sign * size, 2)
        return 0.0

    def _each_way(self, outcome: Outcome, size: float, win: float, sign: int) -> float:
        divisor = outcome.each_way_divisor
        assert divisor is not None
        place = win / divisor
        won = _shared(win, size, outcome.dead_heat_winners)
        results = {"WINNER": won + place, "PLACED": place - size, "LOSER": -2 * size}
        return round(sign * results.get(outcome.runner_status or "", 0.0), 2)

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


def _shared(win: float, size: float, tied: int | None) -> float:
    """The profit of a winner, of which `tied` ran a dead heat."""
    tied = tied or 1
    return win / tied - size * (tied - 1) / tied


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


def tied_winners(definition: MarketDefinition) -> int:
    """How many runners share the win; 1 where more than one is meant to win, each on its own."""
    winners = sum(1 for runner in definition.runners if runner.status == "WINNER")
    alone = definition.number_of_winners == 1 or definition.market_type == EACH_WAY
    return winners if winners > 1 and alone and not has_handicaps(definition) else 1


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
