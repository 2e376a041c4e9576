"""What a strategy's orders can lose: the worst that any result of the market makes of them.

What is matched counts as it will be settled (see `Terms`); what is live or not answered yet counts where it would do
harm, should it match, and not where it would do good. Money in the account's currency. Source: docs/fidelity.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from .order import Order, OrderStatus
from .order_types import LimitOrder, MarketOnCloseOrder
from .terms import Terms

#: A line, a size (of a back above 0, of a lay below), and whether it is matched.
LineBet = tuple[float, float, bool]

_NOTHING_MATCHED = (OrderStatus.VIOLATION, OrderStatus.EXPIRED)


class Runner(Protocol):
    """A runner, as far as it matters whether it can win."""

    @property
    def selection_id(self) -> int: ...

    @property
    def handicap(self) -> float: ...

    @property
    def status(self) -> str | None: ...


class Field(Protocol):
    """The runners of a market: its book, or its definition."""

    @property
    def runners(self) -> Sequence[Runner]: ...

    @property
    def number_of_active_runners(self) -> int: ...


class Position:
    """Orders of one strategy, on one runner.

    Attributes:
        size, value: what is matched at odds: size, and size times price; backs less lays.
        backed, laid: what waits at odds: stakes of backs, and what lays would lose if the runner wins.
        sp_backed, sp_laid: the same, of orders that wait for the starting price.
        places: worst change by what waits, should the runner be placed; each way only.
        lines: bets on a line.
    """

    __slots__ = ("backed", "laid", "lines", "places", "size", "sp_backed", "sp_laid", "terms", "value")

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.size = self.value = 0.0
        self.backed = self.laid = self.places = 0.0
        self.sp_backed = self.sp_laid = 0.0
        self.lines: list[LineBet] = []

    def copy(self) -> Position:
        copied = Position.__new__(Position)
        copied.terms = self.terms
        copied.size, copied.value = self.size, self.value
        copied.backed, copied.laid, copied.places = self.backed, self.laid, self.places
        copied.sp_backed, copied.sp_laid = self.sp_backed, self.sp_laid
        copied.lines = self.lines[:]
        return copied

    def add(self, order: Order, new: bool = False) -> None:
        """Count an order. `new`: it is about to be placed, and counts whatever its status."""
        if order.status in _NOTHING_MATCHED and not new:
            return
        back = order.side == "BACK"
        if order.size_matched:
            self._match(order, 1.0 if back else -1.0)
        if order.state.over:
            return
        order_type = order.order_type
        if isinstance(order_type, LimitOrder):
            self.wait(order, order.update_data.get("new_price"), order.size_remaining)
        elif not order.size_matched:
            if back:
                self.sp_backed += order_type.liability
            else:
                self.sp_laid += order_type.liability

    def _match(self, order: Order, sign: float) -> None:
        if self.terms.is_line(order.order_type):
            for _, price, size in order.fills or [(0, order.average_price_matched, order.size_matched)]:
                self.lines.append((price, sign * size, True))
        else:
            self.size += sign * order.size_matched
            self.value += sign * order.size_matched * order.average_price_matched

    def wait(self, order: Order, new_price: float | None, size: float) -> None:
        """Count `size` of a limit order as not matched yet: at the worse of its own and a new price."""
        order_type = order.order_type
        if isinstance(order_type, MarketOnCloseOrder):
            return
        on_line = self.terms.line is not False and self.terms.is_line(order_type)
        self.rest(order.side == "BACK", order_type.price, new_price, size, on_line)

    def about_to_wait(self, order: Order, price: float, size: float) -> None:
        """Count what is about to be placed anew, at another price, of an order that was cancelled for it."""
        order_type, back = order.order_type, order.side == "BACK"
        if isinstance(order_type, LimitOrder):
            self.rest(back, price, None, size, self.terms.line is not False and self.terms.is_line(order_type))
        elif back:
            self.sp_backed += order_type.liability
        else:
            self.sp_laid += order_type.liability

    def rest(self, back: bool, price: float, new_price: float | None, size: float, on_line: bool) -> None:
        """Count a bet that is not matched yet: at the worse of its own and a new price."""
        terms = self.terms
        if on_line:
            worse = min if back else max
            line = price if new_price is None else worse(price, new_price)
            self.lines.append((line, size if back else -size, False))
            return
        if back:
            price = price if new_price is None else min(price, new_price)
            self.backed += size
            placed = (price - 1) / terms.divisor - 1
        else:
            price = price if new_price is None else max(price, new_price)
            self.laid += (price - 1) * size
            placed = 1 - (price - 1) / terms.divisor
        if terms.each_way:
            self.places += size * min(placed, 0.0)

    # -- results -------------------------------------------------------------------------------------------------

    @property
    def if_win(self) -> float:
        """Worst profit of what is at odds, if the runner wins."""
        profit = self.value - self.size - self.laid - self.sp_laid
        return profit * self.terms.on_win if self.terms.each_way else profit

    @property
    def if_lose(self) -> float:
        """Worst profit of what is at odds, if the runner loses."""
        loss = self.size + self.backed + self.sp_backed
        return -loss * self.terms.on_lose if self.terms.each_way else -loss

    @property
    def if_placed(self) -> float:
        """Worst profit of what is at odds, each way, if the runner is placed without winning."""
        matched = (self.value - self.size) / self.terms.divisor - self.size
        return matched + self.places - self.sp_backed - self.sp_laid / self.terms.divisor

    @property
    def results(self) -> list[float]:
        """Worst profits, one for each result that differs: the first is that of a win, the last that of a loss.

        On lines a back wins where the line is above the result, a lay where it is below: results between two lines
        make some backs win and others lose.
        """
        first, last = self.if_win, self.if_lose
        if not self.lines:
            return [first, self.if_placed, last] if self.terms.each_way else [first, last]
        # What is at odds in a market of lines cannot be told from the line: at its worst throughout.
        odds = min(first, last, 0.0)
        return [odds + profit for profit in line_results(self.lines)]

    @property
    def worst(self) -> float:
        """The worst profit of any result, to the penny; below zero is a loss."""
        if not self.lines and not self.terms.each_way:
            win = self.value - self.size - self.laid - self.sp_laid
            lose = -(self.size + self.backed + self.sp_backed)
            return round(win if win < lose else lose, 2)
        return round(min(self.results), 2)

    def as_dict(self) -> dict[str, float]:
        """Six profits by the names that strategies know; those of bets on a line at its lowest and highest results."""
        terms = self.terms
        matched = sum(size for _, size, done in self.lines if done)
        backs = sum(size for _, size, done in self.lines if not done and size > 0)
        lays = -sum(size for _, size, done in self.lines if not done and size < 0)
        results = self.results
        # Results between two lines are neither: where they are worse, both sides carry them.
        inner = min(results[1:-1], default=max(results)) if self.lines else max(results)
        return {
            "matched_profit_if_win": round((self.value - self.size) * terms.on_win + matched, 2),
            "matched_profit_if_lose": round(-self.size * terms.on_lose - matched, 2),
            "worst_potential_unmatched_profit_if_win": round(-self.laid * terms.on_win - lays, 2),
            "worst_potential_unmatched_profit_if_lose": round(-self.backed * terms.on_lose - backs, 2),
            "worst_possible_profit_on_win": round(min(results[0], inner), 2),
            "worst_possible_profit_on_lose": round(min(results[-1], inner), 2),
        }


def line_results(bets: Iterable[LineBet]) -> list[float]:
    """Worst profits of bets on lines: with the result below all lines, between each two, and above all.

    A result that is a line itself returns stakes there: that is never worse than those on its two sides.
    """
    ordered = sorted(bets)
    profit = sum(size if done else min(size, 0.0) for _, size, done in ordered)
    found = [profit]
    for place, (line, size, done) in enumerate(ordered):
        profit -= 2 * size if done else size
        if place + 1 == len(ordered) or ordered[place + 1][0] != line:
            found.append(profit)
    return found


class SelectionBets:
    """A strategy's orders on one runner; what is known of the complete ones is kept as a sum."""

    __slots__ = ("_anew", "_complete", "live", "orders")

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.live: dict[Order, None] = {}
        self._complete: Position | None = None
        self._anew: dict[Order, None] = {}  # complete ones that may be about to be placed anew

    def add(self, order: Order) -> None:
        self.orders.append(order)
        self.live[order] = None
        if order.state.over:
            self._complete = None

    def completed(self, order: Order) -> None:
        self.live.pop(order, None)
        if order.trade.to_be_placed(order) is not None:
            self._anew[order] = None
        if order.size_matched and self._complete is not None:
            self._complete.add(order)

    def stale(self) -> None:
        """A complete order changed: all are counted anew when next asked for."""
        self._complete = None

    def position(self, terms: Terms, exclusion: Order | None = None, new_order: Order | None = None) -> Position:
        """What the orders come to.

        Args:
            exclusion: an order to leave out.
            new_order: an order to count as well.
        """
        complete = self._complete
        if complete is None or (complete.terms is not terms and complete.terms != terms):
            complete = self._complete = Position(terms)
            self.live = {}
            for order in self.orders:
                if order.state.over:
                    complete.add(order)
                    if order.trade.to_be_placed(order) is not None:
                        self._anew[order] = None
                else:
                    self.live[order] = None
        if exclusion is not None and exclusion.state.over:
            total = Position(terms)
            for order in self.orders:
                if order.state.over and order is not exclusion:
                    total.add(order)
        else:
            total = complete.copy()
        for order in self.live:
            if order is not exclusion:
                total.add(order)
        if self._anew:
            self._count_anew(total, exclusion)
        if new_order is not None:
            total.add(new_order, new=True)
        return total

    def _count_anew(self, total: Position, exclusion: Order | None) -> None:
        for order in list(self._anew):
            wanted = order.trade.to_be_placed(order)
            if wanted is None:
                del self._anew[order]
            elif order is not exclusion:
                total.about_to_wait(order, *wanted)


def market_worst(positions: Mapping[tuple[str, int, float], Position], market_book: Field, terms: Terms) -> float:
    """The worst result of a market, by the positions on its runners; below zero is a loss.

    Runners that were removed cannot win; those without a position can, and change nothing.
    """
    on_lines = [position for position in positions.values() if position.lines]
    if on_lines:
        at_odds = sum(min(position.if_win, position.if_lose, 0.0) for position in positions.values())
        return at_odds + min(line_results([bet for position in on_lines for bet in position.lines]))
    running = {
        (runner.selection_id, runner.handicap)
        for runner in market_book.runners
        if not (runner.status or "").startswith("REMOVED")
    }
    worst, differences = 0.0, []
    for (_, selection_id, handicap), position in positions.items():
        win, lose = position.if_win, position.if_lose
        if terms.each_way:
            lose = min(lose, position.if_placed)
        if (selection_id, handicap) not in running:
            worst += min(win, lose, 0.0)
        elif terms.winners is None:
            worst += min(win, lose)
        else:
            worst += lose
            differences.append(win - lose)
    if terms.winners is not None:
        others = max(len(running), market_book.number_of_active_runners) - len(differences)
        differences.extend([0.0] * max(others, 0))
        differences.sort()
        worst += sum(differences[: 1 if terms.each_way else terms.winners])
    return worst
