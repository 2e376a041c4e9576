"""What accounts have matched, by runner: size at each price, over all time, as the order stream tells it."""

from __future__ import annotations

from collections.abc import Iterable

from .account_bet import AccountBet

RunnerKey = tuple[int, float]
#: Whose (a strategy's reference; None: all of the account), which side ("mb": backs, "ml": lays), at what price.
Level = tuple[str | None, str, float]

BACKS, LAYS = "mb", "ml"


class Position:
    """What an account has matched on one runner.

    Attributes:
        sizes: by level, without zeros.
        stamps: by level, the number of the last change of a bet that changed it.
    """

    __slots__ = ("sizes", "stamps")

    def __init__(self) -> None:
        self.sizes: dict[Level, float] = {}
        self.stamps: dict[Level, int] = {}

    def add(self, level: Level, change: float, sequence: int) -> float:
        """Change the size at a level; the new one."""
        size = round(self.sizes.get(level, 0.0) + change, 2)
        if size > 0:
            self.sizes[level] = size
        else:
            self.sizes.pop(level, None)
        self.stamps[level] = sequence
        return max(size, 0.0)

    def strategies(self) -> list[str]:
        """References of strategies that have, or had, something matched."""
        return sorted({level[0] for level in self.stamps if level[0] is not None})

    def ladder(self, whose: str | None, side: str) -> list[tuple[float, float]]:
        """All prices with their sizes, in order of price."""
        return sorted(
            (price, size) for (owner, which, price), size in self.sizes.items() if owner == whose and which == side
        )

    def since(self, sequence: int) -> dict[Level, float]:
        """The levels that have changed after change number `sequence`, with their sizes; 0.0 where nothing is left."""
        return {level: self.sizes.get(level, 0.0) for level, stamp in self.stamps.items() if stamp > sequence}


class Positions:
    """The positions of all accounts. Whoever hears of bets tells it first.

    Args:
        bets: those that there are already.
    """

    def __init__(self, bets: Iterable[AccountBet] = ()) -> None:
        self._positions: dict[str, dict[str, dict[RunnerKey, Position]]] = {}
        self._shares: dict[str, dict[float, float]] = {}
        for bet in bets:
            self.bet_changed(bet)

    def market(self, username: str, market_id: str) -> dict[RunnerKey, Position]:
        """By runner, in order of their first bets."""
        return self._positions.get(username, {}).get(market_id, {})

    def bet_changed(self, bet: AccountBet) -> dict[Level, float]:
        """Take how a bet stands now; the levels that this changes, with their sizes."""
        share: dict[float, float] = {}
        for _, price, size in bet.fills:
            price = round(price, 2)
            share[price] = share.get(price, 0.0) + size
        share = {price: round(size, 2) for price, size in share.items()}
        before = self._shares.get(bet.bet_id, {})
        if share == before and before:
            return {}
        self._shares[bet.bet_id] = share
        position = (
            self._positions.setdefault(bet.username, {})
            .setdefault(bet.market_id, {})
            .setdefault((bet.selection_id, bet.handicap), Position())
        )
        side = BACKS if bet.back else LAYS
        touched: dict[Level, float] = {}
        for price in {*before, *share}:
            change = share.get(price, 0.0) - before.get(price, 0.0)
            if change:
                for whose in (None, bet.strategy_ref):
                    level = (whose, side, price)
                    touched[level] = position.add(level, change, bet.sequence)
        return touched

    def forget(self, market_id: str, bet_ids: Iterable[str]) -> None:
        """Forget a market that has vanished."""
        for markets in self._positions.values():
            markets.pop(market_id, None)
        for bet_id in bet_ids:
            self._shares.pop(bet_id, None)
