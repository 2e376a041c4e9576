"""Bets as a ledger has them, and what they may lose at worst: counted by rules of its own, without code of headrace's.

The markets of the benchmark have one winner. Where it may be a runner on which nobody bets, all bets may lose.
"""

import dataclasses
from typing import Any

#: Parts of a bet's size that have come to an end.
SIZES = ("matched", "cancelled", "lapsed", "voided")


@dataclasses.dataclass
class Bet:
    """A bet as the ledger last had it.

    Attributes:
        had: what was matched of it before it was voided, and at which price.
        replaces: the bet whose place it took.
    """

    bet_id: str
    market_id: str
    order_ref: str
    selection_id: int
    side: str
    price: float = 0.0
    size: float = 0.0
    executable: bool = True
    matched: float = 0.0
    average: float = 0.0
    remaining: float = 0.0
    cancelled: float = 0.0
    lapsed: float = 0.0
    voided: float = 0.0
    had: tuple[float, float] = (0.0, 0.0)
    replaces: str | None = None

    def take(self, values: dict[str, Any]) -> None:
        for name in ("executable", "remaining", "average", *SIZES):
            setattr(self, name, values[name])
        self.price, self.size = values["price"], values["size"]
        if self.matched + self.voided > self.had[0] or not self.voided:
            self.had = (self.matched, self.average)

    def outcome(self, voids: bool) -> tuple[float, float]:
        """What it makes of the market, at worst, if its runner wins and if it loses. `voids`: as if nothing of it had
        been voided."""
        matched, average = self.had if voids else (self.matched, self.average)
        rest = self.remaining if self.executable else 0.0
        if self.side == "BACK":
            return matched * (average - 1), -matched - rest
        return -matched * (average - 1) - rest * (self.price - 1), matched


class Exposure:
    """The worst case of an account's bets, kept up entry by entry.

    Args:
        voids: as `Bet.outcome`.
        runners: how many each market has at first; None: there is always one on which nobody bets.
    """

    def __init__(self, voids: bool, runners: int | None = None) -> None:
        self.voids = voids
        self._count = runners
        self._removed: dict[str, set[int]] = {}
        self._parts: dict[str, tuple[float, float]] = {}
        self._runners: dict[str, dict[int, list[float]]] = {}
        self.settled: set[str] = set()
        self._worst: dict[str, float] = {}

    def take(self, bet: Bet) -> None:
        before = self._parts.get(bet.bet_id, (0.0, 0.0))
        after = self._parts[bet.bet_id] = bet.outcome(self.voids)
        runners = self._runners.setdefault(bet.market_id, {})
        runner = runners.setdefault(bet.selection_id, [0.0, 0.0])
        for place in (0, 1):
            runner[place] = round(runner[place] + after[place] - before[place], 6)
        self._look(bet.market_id)

    def remove(self, market_id: str, selection_id: int) -> None:
        """A runner cannot win any more; its bets are voided one by one."""
        self._removed.setdefault(market_id, set()).add(selection_id)
        self._look(market_id)

    def _look(self, market_id: str) -> None:
        runners, removed = self._runners.get(market_id, {}), self._removed.get(market_id, set())
        lose = sum(each[1] for each in runners.values())
        wins = [win - lost for number, (win, lost) in runners.items() if number not in removed]
        if self._count is None or self._count > len(removed | runners.keys()):
            wins.append(0.0)  # one on which nobody bets
        self._worst[market_id] = max(0.0, -(lose + min(wins, default=0.0)))

    def settle(self, market_id: str, settled: bool) -> None:
        (self.settled.add if settled else self.settled.discard)(market_id)

    def of(self, market_id: str) -> float:
        """A market's, 0 or more."""
        return 0.0 if market_id in self.settled else self._worst.get(market_id, 0.0)

    def of_runner(self, market_id: str, selection_id: int) -> float:
        """One runner's, as strategies' limits count it."""
        win, lose = self._runners.get(market_id, {}).get(selection_id, (0.0, 0.0))
        return max(0.0, -min(win, lose))

    @property
    def total(self) -> float:
        return sum(loss for market_id, loss in self._worst.items() if market_id not in self.settled)
