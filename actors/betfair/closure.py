"""Results of closed markets: asked for until they come, and again for a while after, since results may change.

Results are late: minutes, at times more than an hour. A market counts as cleared once each matched bet of this instance
in it has its result; until then its record is kept. A market that is opened again is asked about anew when it closes.
Source: Betfair API-NG, "listClearedOrders".
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable, Collection, Sequence

import msgspec

from ...strategies.messages import ClearedMarket, ClearedOrder
from ..exchange import Answer
from ..letters import ForeignBet
from . import verdicts
from .bet_rows import SETTLED, cleared_row, market_result_of, result_of
from .known_bet import KnownBet
from .known_bets import KnownBets
from .looks import BetLists, BetLook, Listed, rows_of

logger = logging.getLogger("headrace")

#: Milliseconds from a close to the first question, between questions, and for how long results may change.
FIRST_MS, EVERY_MS, AGAIN_MS, UNTIL_MS = 2_000, 60_000, 600_000, 3_600_000
#: After so long without results it is said that they are late, once.
LATE_MS = 7_200_000
#: Markets in one question.
_MARKETS = 20


@dataclasses.dataclass(slots=True)
class _Closed:
    """A market that has closed.

    Attributes:
        since: when it closed.
        due: when it is asked about next.
        cleared_at: when all results were there; None: they are not.
        results: by bet number, profits that were told.
        market: the account's result, as it was told.
    """

    since: int
    due: float
    cleared_at: int | None = None
    results: dict[str, float] = dataclasses.field(default_factory=dict)
    market: ClearedMarket | None = None
    late_told: bool = False

    @property
    def of_money(self) -> list[str]:
        """Bets whose result is not nothing."""
        return [bet_id for bet_id, profit in self.results.items() if profit]


class Closure:
    """Asks for the results of one account's closed markets.

    Args:
        bets: what is known of bets.
        lists: where to look.
        tell: takes results of bets, as from the exchange.
        seen: takes a bet that was found among cleared ones: one that was voided has no result.
        market_cleared: takes the account's result of a market, told again when it changes.
        report: takes what is to be known of by people: a word, a market's id, a sentence.

    Attributes:
        next_ms: when `wake` is to be called.
    """

    def __init__(
        self,
        bets: KnownBets,
        lists: BetLists,
        tell: Callable[[Answer], object],
        seen: Callable[[ForeignBet], object],
        market_cleared: Callable[[ClearedMarket], object],
        report: Callable[[str, str, str], object],
    ) -> None:
        self._bets = bets
        self._lists = lists
        self._tell = tell
        self._seen = seen
        self._market_cleared = market_cleared
        self._report = report
        self._closed: dict[str, _Closed] = {}
        self._looking = False
        self.next_ms = math.inf

    def closed(self, market_id: str, at_ms: int) -> None:
        """A market has closed, or has closed again. Told twice, it is the same."""
        if market_id not in self._closed:
            self._closed[market_id] = _Closed(at_ms, at_ms + FIRST_MS)
            self._plan()

    def reopened(self, market_id: str) -> None:
        """A closed market is open again: its results are void, and those of its next close count."""
        if self._closed.pop(market_id, None) is not None:
            self._plan()

    def stands(self, bet: KnownBet, at_ms: int) -> None:
        """It is known how a bet stands. One that was voided is in no list of results: what was told of it before it was
        voided is taken back."""
        closed = self._closed.get(bet.market_id)
        if closed is None or not bet.came_to_nothing or not bet.profit or bet.bet_id is None:
            return
        text = f"bet {bet.bet_id} was voided: its profit is 0.00 now, and was {bet.profit:.2f}"
        logger.warning("Market %s: %s", bet.market_id, text)
        self._report("resettled", bet.market_id, text)
        closed.results[bet.bet_id] = 0.0
        self._tell(ClearedOrder(bet.market_id, bet.order_id, bet.bet_id, at_ms, 0.0, True))

    def look_again(self, at_ms: int) -> None:
        """The order stream was away: a market may have been opened and closed again meanwhile, with another result."""
        for closed in self._closed.values():
            if closed.due != math.inf:
                closed.due = min(closed.due, at_ms + FIRST_MS)
        self._plan()

    def is_closed(self, market_id: str) -> bool:
        """Whether the market has closed, as far as is known."""
        return market_id in self._closed

    def cleared(self, market_id: str) -> bool:
        """Whether the market has closed and nothing of this instance in it waits for a result."""
        closed = self._closed.get(market_id)
        return closed is not None and (closed.cleared_at is not None or not self._unsettled(market_id, closed))

    def settled(self, market_id: str) -> float | None:
        """The account's profit in a market, less commission; None until it is known."""
        closed = self._closed.get(market_id)
        return None if closed is None or closed.market is None else closed.market.profit - closed.market.commission

    @property
    def waiting(self) -> list[str]:
        """Closed markets whose results are not all there."""
        return [market_id for market_id in self._closed if not self.cleared(market_id)]

    def forget(self, market_ids: Sequence[str]) -> None:
        """Forget markets."""
        for market_id in market_ids:
            self._closed.pop(market_id, None)
        self._plan()

    def wake(self, at_ms: int) -> None:
        """Ask, if it is time."""
        if self._looking or at_ms < self.next_ms:
            return
        due = [market_id for market_id, closed in self._closed.items() if closed.due <= at_ms][:_MARKETS]
        if not due:
            self._plan()
            return
        self._looking = True
        self.next_ms = math.inf
        self._lists.cleared_orders(SETTLED, lambda listed: self._took_bets(at_ms, due, listed), market_ids=due)

    def _took_bets(self, began: int, due: list[str], listed: Listed) -> None:
        rows = rows_of(listed, cleared_row, "Settled orders")
        if rows is None:
            self._looked(began, due, failed=True)
            return
        gone = {bet_id for each in due if each in self._closed for bet_id in self._closed[each].of_money}
        for row in rows:
            result = result_of(row, began)
            if result is None or result.bet_id is None:
                continue
            bet = self._bets.of(result.order_id, result.bet_id)
            closed = self._closed.get(result.market_id)
            if bet is None or closed is None:
                continue
            gone.discard(result.bet_id)
            known = closed.results.get(result.bet_id)
            if known == result.profit:
                continue
            if known is not None:
                text = f"bet {result.bet_id}: its profit is {result.profit:.2f} now, and was {known:.2f}"
                logger.warning("Market %s: %s", result.market_id, text)
                self._report("resettled", result.market_id, text)
            closed.results[result.bet_id] = result.profit
            self._tell(msgspec.structs.replace(result, order_id=bet.order_id or result.order_id))
        self._lists.cleared_markets(due, lambda listed: self._took_markets(began, due, listed, gone))

    def _took_markets(self, began: int, due: list[str], listed: Listed, gone: Collection[str]) -> None:
        rows = rows_of(listed, cleared_row, "Settled markets")
        for row in rows or ():
            result = market_result_of(row, self._bets.venue, self._bets.username)
            closed = self._closed.get(result.market_id) if result is not None else None
            if result is not None and closed is not None and closed.market != result:
                closed.market = result
                self._market_cleared(result)
        if rows is None:
            self._looked(began, due, failed=True)
            return
        # Where other results are there, what has none was voided, or is late; where none come, all may have been
        # voided. What had one, and has none any more, was voided since. And the end of a bet that has a result may have
        # been told while nobody listened.
        voided = [
            *gone,
            *(
                bet.bet_id
                for market_id in due
                if (closed := self._closed.get(market_id)) is not None
                and (closed.results or closed.market is not None or began - closed.since >= EVERY_MS)
                for bet in (*self._unsettled(market_id, closed), *self._without_end(market_id, closed))
                if bet.bet_id is not None
            ),
        ]
        if not voided:
            self._looked(began, due, failed=False)
            return
        bets = self._bets
        BetLook(
            self._lists,
            bets.venue,
            bets.username,
            bets.latest + 1,
            (),
            voided,
            True,
            lambda found: self._took_ended(began, due, found),
        ).begin()

    def _took_ended(self, began: int, due: list[str], found: Sequence[ForeignBet] | None) -> None:
        for bet in found or ():
            self._seen(bet)
        if found is not None:
            self._give_up(due)
        self._looked(began, due, failed=found is None)

    def _give_up(self, due: list[str]) -> None:
        """A market is settled, and no list has a bet of which nobody knew what became: it came to nothing."""
        for market_id in due:
            closed = self._closed.get(market_id)
            for bet in [] if closed is None or closed.market is None else self._unsettled(market_id, closed):
                if bet.unconfirmed and bet.bet_id is not None and not bet.matched:
                    text = f"bet {bet.bet_id}, which was unconfirmed, is not among what was settled: it came to nothing"
                    logger.warning("Market %s: %s", market_id, text)
                    self._report("not_placed", market_id, text)
                    self._tell(verdicts.nothing(bet, self._bets.latest + 1))

    def _looked(self, began: int, due: list[str], failed: bool) -> None:
        self._looking = False
        for market_id in due:
            closed = self._closed.get(market_id)
            if closed is None:
                continue
            for bet in self._bets.in_market(market_id):
                self.stands(bet, began)
            if not failed and closed.cleared_at is None and not self._unsettled(market_id, closed):
                closed.cleared_at = began
            if closed.cleared_at is None:
                closed.due = began + EVERY_MS
                if began - closed.since >= LATE_MS and not closed.late_told:
                    closed.late_told = True
                    self._report("late", market_id, f"closed {LATE_MS // 3_600_000} h ago, and has no results yet")
            else:
                again = began - closed.cleared_at < UNTIL_MS
                closed.due = began + (EVERY_MS if failed else AGAIN_MS) if again else math.inf
                if not again and not self._bets.in_market(market_id):
                    # Only others have bets in it: nobody else would forget it.
                    del self._closed[market_id]
                    self._bets.forget([market_id])
        self._plan()

    def _unsettled(self, market_id: str, closed: _Closed) -> list[KnownBet]:
        """Bets of this instance that may have a result that has not come."""
        return [
            bet
            for bet in self._bets.in_market(market_id)
            if (not bet.ended or bet.matched > 0) and bet.bet_id not in closed.results
        ]

    def _without_end(self, market_id: str, closed: _Closed) -> list[KnownBet]:
        """Bets of this instance that have a result and of whose end nothing was heard."""
        return [bet for bet in self._bets.in_market(market_id) if not bet.ended and bet.bet_id in closed.results]

    def _plan(self) -> None:
        if not self._looking:
            self.next_ms = min((closed.due for closed in self._closed.values()), default=math.inf)
