"""What an account can lose: the worst that any result makes of its bets, market by market.

What is matched counts as it will be settled, by the market's definition; what may yet be matched, or may yet be placed,
counts where it would do harm. Of the whole account what is matched is known from the order stream's overall position,
of this instance from its own bets. Money in the account's currency, losses 0 or more. Source: docs/fidelity.md,
"Controls and exposure".
"""

from __future__ import annotations

from collections.abc import Iterable

from ...strategies.book import MarketBook
from ...strategies.changes import MarketChange, MarketDefinition
from ...strategies.terms import Terms
from ...strategies.worst_case import Position as Worst
from ...strategies.worst_case import market_worst
from ..letters import Position
from .known_bets import KnownBet, KnownBets

Runner = tuple[int, float]
#: Kinds of orders at the starting price.
_LIMIT = "LIMIT"


class AccountExposure:
    """The exposure of one account.

    Args:
        bets: what is known of its bets.
    """

    def __init__(self, bets: KnownBets) -> None:
        self._bets = bets
        self._books: dict[str, MarketBook] = {}
        self._terms: dict[str, Terms] = {}
        self._positions: dict[str, dict[Runner, Position]] = {}

    # -- being told ----------------------------------------------------------------------------------------------

    def defined(self, market_id: str, definition: MarketDefinition, at_ms: int) -> None:
        """A market's definition is known, or is another. Without one nothing is set off between its runners."""
        book = self._books.setdefault(market_id, MarketBook(market_id))
        book.apply(at_ms, MarketChange(id=market_id, market_definition=definition))
        self._terms[market_id] = Terms.of(definition)

    def take_position(self, position: Position) -> None:
        """What is matched on a runner, all in all."""
        market = self._positions.setdefault(position.market_id, {})
        runner = (position.selection_id, position.handicap)
        if position.backs or position.lays:
            market[runner] = position
            return
        market.pop(runner, None)
        if not market:
            del self._positions[position.market_id]

    def forget(self, market_ids: Iterable[str]) -> None:
        """Forget markets."""
        for market_id in market_ids:
            self._books.pop(market_id, None)
            self._terms.pop(market_id, None)
            self._positions.pop(market_id, None)

    # -- asking --------------------------------------------------------------------------------------------------

    @property
    def markets(self) -> set[str]:
        """Markets in which anything is at stake, as far as is known."""
        return {
            *self._positions,
            *(bet.market_id for bet in self._bets if not bet.ended or bet.matched),
            *(bet.market_id for bet in self._bets.foreign.values()),
        }

    def own(self, market_id: str) -> float:
        """What the bets of this instance can lose in a market."""
        terms = self._terms.get(market_id) or Terms.of(None)
        positions: dict[Runner, Worst] = {}
        for bet in self._bets.in_market(market_id):
            position = positions.setdefault((bet.selection_id, bet.handicap), Worst(terms))
            if bet.matched:
                _match(position, bet.side == "BACK", bet.average, bet.matched)
            _wait_for(position, bet)
        return self._worst(market_id, positions, terms)

    def account(self, market_id: str) -> float:
        """What all bets of the account can lose in a market, wherever they were placed."""
        terms = self._terms.get(market_id) or Terms.of(None)
        positions: dict[Runner, Worst] = {}
        for runner, known in self._positions.get(market_id, {}).items():
            position = positions.setdefault(runner, Worst(terms))
            for back, ladder in ((True, known.backs), (False, known.lays)):
                for price, size in ladder:
                    _match(position, back, price, size)
        for bet in self._bets.in_market(market_id):
            _wait_for(positions.setdefault((bet.selection_id, bet.handicap), Worst(terms)), bet)
        for other in self._bets.foreign.values():
            fact = other.fact
            if other.market_id == market_id and fact is not None and fact.executable:
                position = positions.setdefault((other.selection_id, other.handicap), Worst(terms))
                back = other.side == "BACK"
                if fact.persistence_type is None and not fact.remaining:
                    _wait_at_sp(position, back, fact.size)
                else:
                    _wait(position, back, other.price or 0.0, fact.remaining)
        return self._worst(market_id, positions, terms)

    @property
    def own_total(self) -> float:
        """What the bets of this instance can lose, in all markets."""
        return round(sum(self.own(market_id) for market_id in {bet.market_id for bet in self._bets}), 2)

    @property
    def account_total(self) -> float:
        """What all bets of the account can lose, in all markets."""
        return round(sum(self.account(market_id) for market_id in self.markets), 2)

    def _worst(self, market_id: str, positions: dict[Runner, Worst], terms: Terms) -> float:
        if not positions:
            return 0.0
        book = self._books.get(market_id)
        if book is None:
            # Nothing is known of the market: each runner at its worst.
            return max(round(-sum(min(*position.results, 0.0) for position in positions.values()), 2), 0.0)
        named = {("", *runner): position for runner, position in positions.items()}
        return max(round(-market_worst(named, book, terms), 2), 0.0)


def _match(position: Worst, back: bool, price: float, size: float) -> None:
    sign = 1.0 if back else -1.0
    if position.terms.line:
        position.lines.append((price, sign * size, True))
    else:
        position.size += sign * size
        position.value += sign * size * price


def _wait_for(position: Worst, bet: KnownBet) -> None:
    """Count what may still be matched of a bet, at the worse of its price and the one that is asked for."""
    size = bet.remaining
    if not size:
        return
    back = bet.side == "BACK"
    if bet.order_type != _LIMIT:
        if not bet.matched:
            _wait_at_sp(position, back, size)
        return
    price = bet.price or 0.0
    if bet.new_price is not None:
        price = min(price, bet.new_price) if back else max(price, bet.new_price)
    _wait(position, back, price, size)


def _wait(position: Worst, back: bool, price: float, size: float) -> None:
    terms = position.terms
    if terms.line:
        position.lines.append((price, size if back else -size, False))
        return
    if back:
        position.backed += size
        placed = (price - 1) / terms.divisor - 1
    else:
        position.laid += (price - 1) * size
        placed = 1 - (price - 1) / terms.divisor
    if terms.each_way:
        position.places += size * min(placed, 0.0)


def _wait_at_sp(position: Worst, back: bool, liability: float) -> None:
    if back:
        position.sp_backed += liability
    else:
        position.sp_laid += liability
