"""Numbers that the rehearsal exchange gives: of bets, and names of what it is asked for."""

from __future__ import annotations

import itertools

#: Numbers of bets count up from here.
FIRST_BET_ID = 230_000_000_000


class Numbers:
    """Counts them up. Those of bets are as the engine wants them: see `simulated_market.BetIds`."""

    def __init__(self) -> None:
        self._last_bet_id = FIRST_BET_ID
        self._names = itertools.count(1)

    def next_order_id(self) -> str:
        """A name for an instruction that is about to be submitted."""
        return f"r{next(self._names)}"

    def next_request_id(self) -> str:
        """A name for a request that is about to be submitted."""
        return f"q{next(self._names)}"

    def next_bet_id(self) -> str:
        """The number of the next bet."""
        self._last_bet_id += 1
        return str(self._last_bet_id)

    def return_bet_id(self) -> None:
        """The last number was not used after all."""
        self._last_bet_id -= 1

    def gone(self, market_id: str) -> None:
        """A market was freed."""
