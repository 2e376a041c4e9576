"""Bets that are read again because the order stream has not told what an answer says of them.

The exchange has cancelled a bet, or cannot, for it is over: the stream tells so within a moment. Where it does not, the
bet is read from the lists, a few times: else a strategy would see an order that can be cancelled, and ask for it for
ever.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from ..letters import ForeignBet
from .known_bet import KnownBet
from .known_bets import KnownBets
from .looks import BetLists, BetLook

#: Milliseconds that the stream has, and between looks; how many there are, for cleared lists may be late.
WAIT_MS, _AGAIN_MS, _MOST = 1_000, 3_000, 4


@dataclasses.dataclass(slots=True, eq=False)
class _Wanted:
    """A bet of which something is to be told. `over`: its end; else what of it is cancelled."""

    bet: KnownBet
    over: bool
    due: int
    looks: int = 0

    @property
    def told(self) -> bool:
        fact = self.bet.fact
        return self.bet.ended or (not self.over and fact is not None and fact.cancelled >= self.bet.cancelled)


class Rereads:
    """Reads bets of one account again.

    Args:
        bets: what is known.
        lists: where to look.
        seen: takes a bet that was found.

    Attributes:
        next_ms: when `wake` is to be called.
    """

    def __init__(self, bets: KnownBets, lists: BetLists, seen: Callable[[ForeignBet], object]) -> None:
        self._bets, self._lists, self._seen = bets, lists, seen
        self._wanted: dict[str, _Wanted] = {}
        self._looking = False

    @property
    def next_ms(self) -> float:
        if self._looking:
            return math.inf
        return min((each.due for each in self._wanted.values()), default=math.inf)

    def want(self, bet: KnownBet, over: bool, at_ms: int) -> None:
        """A bet is over, or something of it was cancelled: the stream is to tell."""
        wanted = _Wanted(bet, over, at_ms + WAIT_MS)
        if bet.bet_id is not None and not wanted.told:
            self._wanted[bet.bet_id] = wanted

    def wake(self, at_ms: int) -> None:
        """Look for what was not told, if it is time."""
        if self._looking or at_ms < self.next_ms:
            return
        self._wanted = {key: each for key, each in self._wanted.items() if not each.told and each.looks < _MOST}
        due = [bet_id for bet_id, each in self._wanted.items() if each.due <= at_ms]
        if not due:
            return
        for bet_id in due:
            self._wanted[bet_id].looks += 1
            self._wanted[bet_id].due = at_ms + _AGAIN_MS
        self._looking = True
        bets = self._bets
        BetLook(self._lists, bets.venue, bets.username, bets.latest + 1, (), due, True, self._looked).begin()

    def _looked(self, found: list[ForeignBet] | None) -> None:
        self._looking = False
        for bet in found or ():
            self._seen(bet)
