"""What an account's bets in one market can lose: the worst that any result makes of all of them.

Rounded against the account to the penny, bet by bet, as settlement rounds: no result is worse. Money in the account's
currency. Source: docs/exchange.md, "Money".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Protocol

from ...strategies.book import MarketBook
from ...strategies.messages import Fill, PlaceInstruction
from ...strategies.terms import Terms
from ...strategies.worst_case import Position, market_worst
from .bet_rules import stake_of

RunnerKey = tuple[int, float]
_NO_STRATEGY = ""


def _down(money: float) -> float:
    """To the penny, downwards."""
    return math.floor(round(money * 100, 6)) / 100


def _up(money: float) -> float:
    return -_down(-money)


class Standing(Protocol):
    """A bet as its account sees it: sizes in the account's currency, of whole pennies."""

    @property
    def order_id(self) -> str: ...

    @property
    def bet_id(self) -> str: ...

    @property
    def selection_id(self) -> int: ...

    @property
    def handicap(self) -> float: ...

    @property
    def back(self) -> bool: ...

    @property
    def is_limit(self) -> bool: ...

    @property
    def price(self) -> float: ...

    @property
    def liability(self) -> float: ...

    @property
    def matched(self) -> float: ...

    @property
    def average(self) -> float: ...

    @property
    def remaining(self) -> float: ...

    @property
    def fills(self) -> Sequence[Fill]: ...

    @property
    def ended(self) -> bool: ...


class AccountExposure:
    """The bets of one account in one market, as a sum: only what has changed is counted anew."""

    def __init__(self) -> None:
        self._bets: dict[str, Standing] = {}
        self._parts: dict[str, Position] = {}
        self._total: dict[RunnerKey, Position] = {}
        self._held: dict[str, PlaceInstruction] = {}
        self._terms: Terms | None = None
        self._worst: float | None = None

    def take(self, bet: Standing) -> None:
        """A bet is new, or another than before."""
        self._worst = None
        self._held.pop(bet.order_id, None)
        self._bets[bet.bet_id] = bet
        if self._terms is None:
            return
        before = self._parts.get(bet.bet_id)
        if before is not None and before.lines:
            self._terms = None  # all is counted anew
            return
        total = _position(self._total, (bet.selection_id, bet.handicap), self._terms)
        if before is not None:
            _add(total, before, -1)
        part = self._parts[bet.bet_id] = _part(bet, self._terms)
        _add(total, part, 1)

    def hold(self, instructions: Iterable[PlaceInstruction]) -> None:
        """Count bets that are not placed yet."""
        self._worst = None
        self._held.update((each.order_id, each) for each in instructions)

    def release(self, instructions: Iterable[PlaceInstruction]) -> None:
        """They have been placed, or never will be."""
        self._worst = None
        for each in instructions:
            self._held.pop(each.order_id, None)

    def defined(self) -> None:
        """The market is defined anew."""
        self._worst = None

    def loss(self, book: MarketBook) -> float:
        """The worst loss of all bets, 0.0 or more."""
        if self._worst is None:
            self._worst = self.loss_with((), book)
        return self._worst

    def loss_with(self, instructions: Iterable[PlaceInstruction], book: MarketBook) -> float:
        """The worst loss, 0.0 or more, if these were placed too."""
        terms = Terms.of(book.market_definition)
        if terms != self._terms:
            self._count_all(terms)
        positions = dict(self._total)
        copied: set[RunnerKey] = set()
        for asked in (*self._held.values(), *instructions):
            key = (asked.selection_id, asked.handicap)
            position = _position(positions, key, terms)
            if key not in copied:
                position = positions[key] = position.copy()
                copied.add(key)
            _ask(position, asked)
        named = {(_NO_STRATEGY, *key): position for key, position in positions.items()}
        return max(_up(-market_worst(named, book, terms)), 0.0)

    def _count_all(self, terms: Terms) -> None:
        self._terms, self._total = terms, {}
        self._parts = {bet_id: _part(bet, terms) for bet_id, bet in self._bets.items()}
        for bet_id, part in self._parts.items():
            bet = self._bets[bet_id]
            _add(_position(self._total, (bet.selection_id, bet.handicap), terms), part, 1)


def _position(positions: dict[RunnerKey, Position], key: RunnerKey, terms: Terms) -> Position:
    found = positions.get(key)
    if found is None:
        found = positions[key] = Position(terms)
    return found


def _add(total: Position, part: Position, sign: int) -> None:
    """Add a part to a sum, or take it out. What floats add to it is far below a penny."""
    total.size = round(total.size + sign * part.size, 6)
    total.value = round(total.value + sign * part.value, 6)
    total.backed = round(total.backed + sign * part.backed, 6)
    total.laid = round(total.laid + sign * part.laid, 6)
    total.places = round(total.places + sign * part.places, 6)
    total.sp_backed = round(total.sp_backed + sign * part.sp_backed, 6)
    total.sp_laid = round(total.sp_laid + sign * part.sp_laid, 6)
    total.lines.extend(part.lines)


def _part(bet: Standing, terms: Terms) -> Position:
    """A bet as it is now."""
    position = Position(terms)
    sign = 1 if bet.back else -1
    if bet.matched and terms.line:
        position.lines.extend((line, sign * size, True) for _, line, size in bet.fills)
    elif bet.matched:
        won = _down(sign * bet.matched * (bet.average - 1))
        position.size = sign * bet.matched
        position.value = sign * bet.matched + won
    if bet.ended:
        return position
    if bet.is_limit:
        _wait(position, bet.back, bet.price, bet.remaining)
    elif not bet.matched:
        _wait_for_sp(position, bet.back, bet.liability)
    return position


def _ask(position: Position, asked: PlaceInstruction) -> None:
    """Count a bet that is not placed yet."""
    back = asked.side == "BACK"
    if asked.order_type == "LIMIT":
        assert asked.price is not None
        _wait(position, back, asked.price, stake_of(asked))
    else:
        _wait_for_sp(position, back, asked.liability or 0.0)


def _wait(position: Position, back: bool, price: float, size: float) -> None:
    """Count a limit order as not matched yet, at its own price: it never gets a worse one."""
    terms = position.terms
    if terms.line:
        position.lines.append((price, size if back else -size, False))
        return
    if back:
        position.backed += size
        placed = (price - 1) / terms.divisor - 1
    else:
        position.laid += _up((price - 1) * size)
        placed = 1 - (price - 1) / terms.divisor
    if terms.each_way:
        position.places += size * min(placed, 0.0)


def _wait_for_sp(position: Position, back: bool, liability: float) -> None:
    if back:
        position.sp_backed += liability
    else:
        position.sp_laid += liability
