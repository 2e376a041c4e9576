"""What an account's bets in one market can lose: the worst that any result makes of all of them.

Rounded against the account to the penny, bet by bet, as settlement rounds: no result is worse. Money in the account's
currency. Source: docs/exchange.md, "Money".
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from ...strategies.book import MarketBook
from ...strategies.messages import PlaceInstruction
from ...strategies.order_types import stake_of_target
from ...strategies.terms import Terms
from ...strategies.worst_case import Position, market_worst
from .account_bet import AccountBet

RunnerKey = tuple[int, float]
_NO_STRATEGY = ""


def _down(money: float) -> float:
    """To the penny, downwards."""
    return math.floor(round(money * 100, 6)) / 100


def _up(money: float) -> float:
    return -_down(-money)


def stake_of(asked: PlaceInstruction) -> float:
    """The stake of a limit order, which may be what a bet target comes to."""
    if asked.size is not None:
        return asked.size
    assert asked.price is not None
    return stake_of_target(asked.bet_target_size or 0.0, asked.bet_target_type, asked.price)


class AccountExposure:
    """The bets of one account in one market. What has ended is kept as a sum."""

    def __init__(self) -> None:
        self._bets: dict[str, AccountBet] = {}
        self._live: dict[str, AccountBet] = {}
        self._ended: dict[RunnerKey, Position] = {}
        self._held: dict[str, PlaceInstruction] = {}
        self._terms: Terms | None = None
        self._worst: float | None = None

    def take(self, bet: AccountBet) -> None:
        """A bet is new, or another than before."""
        self._worst = None
        self._held.pop(bet.order_id, None)
        known = bet.bet_id in self._bets
        self._bets[bet.bet_id] = bet
        if not bet.ended:
            self._live[bet.bet_id] = bet
        elif self._live.pop(bet.bet_id, None) is not None or not known:
            if self._terms is not None:
                self._add(self._ended, bet)
        else:
            self._terms = None  # what had ended has changed: all is counted anew

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
            self._terms, self._ended = terms, {}
            self._live = {bet_id: bet for bet_id, bet in self._bets.items() if not bet.ended}
            for bet in self._bets.values():
                if bet.ended:
                    self._add(self._ended, bet)
        positions = {key: position.copy() for key, position in self._ended.items()}
        for bet in self._live.values():
            self._add(positions, bet)
        for asked in (*self._held.values(), *instructions):
            self._ask(positions, asked)
        named = {(_NO_STRATEGY, *key): position for key, position in positions.items()}
        return max(_up(-market_worst(named, book, terms)), 0.0)

    def _position(self, positions: dict[RunnerKey, Position], key: RunnerKey) -> Position:
        assert self._terms is not None
        found = positions.get(key)
        if found is None:
            found = positions[key] = Position(self._terms)
        return found

    def _add(self, positions: dict[RunnerKey, Position], bet: AccountBet) -> None:
        position = self._position(positions, (bet.selection_id, bet.handicap))
        sign = 1 if bet.back else -1
        if bet.matched and position.terms.line:
            position.lines.extend((line, sign * size, True) for _, line, size in bet.fills)
        elif bet.matched:
            won = _down(sign * bet.matched * (bet.average - 1))
            position.size += sign * bet.matched
            position.value += sign * bet.matched + won
        if bet.ended:
            return
        if bet.is_limit:
            _wait(position, bet.back, bet.price, bet.remaining)
        elif not bet.matched:
            _wait_for_sp(position, bet.back, bet.liability)

    def _ask(self, positions: dict[RunnerKey, Position], asked: PlaceInstruction) -> None:
        position = self._position(positions, (asked.selection_id, asked.handicap))
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
