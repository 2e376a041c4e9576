"""What an account has, and what its bets may lose, over all markets that one exchange has. Money is in its currency.

Source: docs/account.md, "Funds and exposure limit".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from ...strategies.book import MarketBook
from ...strategies.messages import PlaceInstruction
from .exposure import AccountExposure, Standing


def affords(
    losses: Mapping[str, float], market_id: str, after: float, balance: float, exposure_limit: float | None
) -> bool:
    """Whether an account may place bets in a market.

    What lowers, or leaves, what it may lose there is always allowed: it may owe more than it has since the removal of a
    runner.

    Args:
        losses: what its bets may lose now, by markets, 0.0 or more; markets that are settled are left out.
        after: what they may lose in this market with the new bets.
    """
    before = losses.get(market_id, 0.0)
    if after <= before:
        return True
    total = round(sum(losses.values()) - before + after, 2)
    return total <= balance and (exposure_limit is None or total <= exposure_limit)


class _Market:
    """A market, as far as an account has bets there."""

    __slots__ = ("book", "definition", "exposure", "moved", "settled")

    def __init__(self, book: MarketBook) -> None:
        self.book = book
        self.definition: object = None
        self.exposure = AccountExposure()
        self.moved = 0.0
        self.settled = False

    def loss_with(self, instructions: Iterable[PlaceInstruction] = ()) -> float:
        definition = self.book.market_definition
        if definition is not self.definition:
            self.definition = definition
            self.exposure.defined()
        asked = tuple(instructions)
        return self.exposure.loss_with(asked, self.book) if asked else self.exposure.loss(self.book)


class AccountFunds:
    """The money of one account.

    Args:
        balance: what it begins with; None: no end of it.
        exposure_limit: the most that its bets may lose; None: what the balance allows.

    Attributes:
        balance: what it has now, bets that are not settled aside.
    """

    def __init__(self, balance: float | None, exposure_limit: float | None) -> None:
        self.balance = math.inf if balance is None else balance
        self._limit = exposure_limit
        self._markets: dict[str, _Market] = {}

    @property
    def losses(self) -> dict[str, float]:
        """What its bets may lose, by markets that are not settled: 0.0 or more."""
        return {key: each.loss_with() for key, each in self._markets.items() if not each.settled}

    @property
    def exposure(self) -> float:
        """What its bets may lose in all markets together, each at its worst: 0.0 or less."""
        return round(-sum(self.losses.values()), 2) + 0.0

    @property
    def available(self) -> float:
        """What it can bet."""
        return round(self.balance + self.exposure, 2)

    def affords(self, book: MarketBook, instructions: Iterable[PlaceInstruction]) -> bool:
        """Whether it may place these bets in a market."""
        after = self._of(book).loss_with(instructions)
        return affords(self.losses, book.market_id, after, self.balance, self._limit)

    def hold(self, book: MarketBook, instructions: Iterable[PlaceInstruction]) -> None:
        """Count bets as placed that are on their way into a market."""
        self._of(book).exposure.hold(instructions)

    def release(self, book: MarketBook, instructions: Iterable[PlaceInstruction]) -> None:
        """They have been placed, or never will be."""
        self._of(book).exposure.release(instructions)

    def take(self, book: MarketBook, bet: Standing) -> None:
        """A bet is new, or another than before."""
        market = self._of(book)
        if market.settled:
            # The market was opened again: what its settlement gave is taken back until the next one.
            self.balance = round(self.balance - market.moved, 2)
            market.moved, market.settled = 0.0, False
        market.exposure.take(bet)

    def settle(self, book: MarketBook, profit: float) -> None:
        """A market is settled, perhaps not for the first time. `profit`: of all its bets there, after commission."""
        market = self._of(book)
        self.balance = round(self.balance + profit - market.moved, 2)
        market.moved, market.settled = profit, True

    def forget(self, market_id: str) -> None:
        """A market is freed: what is not settled there never will be."""
        self._markets.pop(market_id, None)

    def _of(self, book: MarketBook) -> _Market:
        found = self._markets.get(book.market_id)
        if found is None:
            found = self._markets[book.market_id] = _Market(book)
        return found


class Purses:
    """The money of the accounts of one exchange: of those whose funds can run out."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], AccountFunds] = {}

    def of(self, venue: str, username: str, balance: float | None, exposure_limit: float | None) -> AccountFunds:
        """An account's money; it begins with this balance when it is first asked for."""
        found = self._found.get((venue, username))
        if found is None:
            found = self._found[venue, username] = AccountFunds(balance, exposure_limit)
        return found

    def forget(self, market_id: str) -> None:
        """A market is freed."""
        for found in self._found.values():
            found.forget(market_id)
