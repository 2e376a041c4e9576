"""What the order stream's images lack is read from the lists: after every image, and once a minute.

An image holds bets that can be matched. What was matched, lapsed or cancelled while no stream was there, and what waits
for the starting price, is not in it. So the current orders are read, all of them; bets of this instance that are not
among those either have come to an end, and are looked for among the cleared ones. Nothing is placed before the first
image and its look. Source: docs/live.md, "After a reconnect".
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

from ...strategies.fact_ranks import accounted_of
from ...strategies.messages import LIST, OrderFact
from ..letters import ForeignBet
from .bet_rows import bet_of_current, current_order
from .known_bet import KnownBet
from .known_bets import KnownBets
from .looks import BetLists, BetLook, Listed, rows_of

logger = logging.getLogger("headrace")

#: Milliseconds between looks; after one that failed, at first and at most.
EVERY_MS, _RETRY_MS, _RETRY_MOST_MS = 60_000, 1_000, 30_000
#: Milliseconds that the stream may lag behind the lists, and bets may take to show in any list.
_LAG_MS, _NOWHERE_MS = 10_000, 120_000


class Reconciliation:
    """Compares one account's bets with the exchange's lists.

    Args:
        bets: what is known.
        lists: where to look.
        seen: takes a bet that was found, wherever it was placed.
        report: takes what is to be known of by people: a word, a market's id, a sentence.
        closed: whether a market has closed: what is matched there leaves the lists, and its results are asked for.
        streamed: the account has an order stream; False: the lists are all there is, and are read every ten seconds.

    Attributes:
        ready: an image and the look after it are done: orders may be placed.
        looks: how many were done.
        differences: what the lists said and the stream did not, so far.
        blind: the order stream is down: the lists are all there is, and are read every ten seconds.
        next_ms: when `wake` is to be called.
    """

    def __init__(
        self,
        bets: KnownBets,
        lists: BetLists,
        seen: Callable[[ForeignBet], object],
        report: Callable[[str, str, str], object],
        closed: Callable[[str], bool],
        streamed: bool = True,
    ) -> None:
        self._closed, self._streamed = closed, streamed
        self._bets = bets
        self._lists = lists
        self._seen = seen
        self._report = report
        self.ready = False
        self.blind = False
        self.looks = self.differences = 0
        self.next_ms = math.inf if streamed else 0.0
        self._wanted = False
        self._looking = False
        self._after_image = not streamed
        self._failures = 0
        self._missing_since: dict[str, int] = {}
        self._ahead: dict[str, tuple[int, OrderFact]] = {}

    def image(self, at_ms: int) -> None:
        """The order stream has sent an image, or what has changed since its clocks."""
        self._wanted = self._after_image = True
        self._ahead.clear()
        self.next_ms = at_ms

    def take_fact(self, fact: OrderFact) -> None:
        """The stream tells of a bet: perhaps what the lists have told of already."""
        if fact.source == LIST or fact.bet_id is None:
            return
        ahead = self._ahead.get(fact.bet_id)
        if ahead is not None and accounted_of(fact) >= accounted_of(ahead[1]):
            del self._ahead[fact.bet_id]

    def wake(self, at_ms: int) -> None:
        """Look, if it is time."""
        if self._looking or at_ms < self.next_ms:
            return
        self._tell_differences(at_ms)
        self._looking, self._wanted = True, False
        self.next_ms = math.inf
        at = self._bets.latest + 1
        # Those that are known by now are to be found.
        expected = [bet.bet_id for bet in self._bets if bet.bet_id is not None and self._is_current(bet)]
        elsewhere = list(self._bets.foreign)
        self._lists.current_orders(
            lambda listed: self._current(at_ms, at, expected, elsewhere, self._after_image, listed)
        )

    def _is_current(self, bet: KnownBet) -> bool:
        """Whether a bet must be among the current ones, by what is known of it: one that is matched may be voided."""
        return not bet.ended or (bet.matched > 0 and not self._closed(bet.market_id))

    def _current(
        self, began: int, at: int, expected: list[str], elsewhere: list[str], after_image: bool, listed: Listed
    ) -> None:
        rows = rows_of(listed, current_order, "Current orders")
        if rows is None:
            self._failed(began)
            return
        found = {str(row.bet_id) for row in rows}
        for row in rows:
            bet = bet_of_current(row, self._bets.venue, self._bets.username, at)
            if not after_image and not self.blind:
                self._compare(bet, began)
            self._seen(bet)
        for bet_id in found:
            self._missing_since.pop(bet_id, None)
        for bet_id in elsewhere:
            if bet_id not in found:  # it has ended while no stream was there
                self._bets.foreign.pop(bet_id, None)
        known = [self._bets.of(None, bet_id) for bet_id in expected if bet_id not in found]
        missing = [bet.bet_id for bet in known if bet is not None and bet.bet_id is not None and self._is_current(bet)]
        if not missing:
            self._done(began)
            return
        look = BetLook(
            self._lists,
            self._bets.venue,
            self._bets.username,
            at,
            (),
            missing,
            True,
            lambda ended: self._ended(began, missing, ended),
        )
        look.begin()

    def _ended(self, began: int, missing: list[str], ended: list[ForeignBet] | None) -> None:
        if ended is None:
            self._failed(began)
            return
        for bet in ended:
            self._seen(bet)
            self._missing_since.pop(bet.bet_id, None)
        for bet_id in set(missing) - {bet.bet_id for bet in ended}:
            known = self._bets.of(None, bet_id)
            if known is None or not self._is_current(known):
                self._missing_since.pop(bet_id, None)
                continue
            since = self._missing_since.setdefault(bet_id, began)
            if began - since >= _NOWHERE_MS:
                self._missing_since[bet_id] = began
                self._difference(known.market_id, f"bet {bet_id} is in no list, and was not seen to come to nothing")
        self._done(began)

    def _done(self, began: int) -> None:
        self._looking = False
        self._failures = 0
        self.looks += 1
        if not self._wanted:
            if self._after_image and not self.ready:
                self.ready = True
                logger.info("Account %s: the orders at the exchange are known", self._bets.username)
            self._after_image = not self._streamed
            # Cleared lists may be late, and the stream too: both are looked at again sooner.
            soon = self._missing_since or self._ahead or self.blind or not self._streamed
            self.next_ms = began + (_LAG_MS if soon else EVERY_MS)
        else:
            self.next_ms = began

    def _failed(self, began: int) -> None:
        self._looking = False
        self._failures += 1
        wait = min(_RETRY_MS * 2 ** (self._failures - 1), _RETRY_MOST_MS)
        logger.warning("Account %s: its orders could not be listed; again in %d s", self._bets.username, wait // 1000)
        self.next_ms = began + wait

    # -- differences ---------------------------------------------------------------------------------------------

    def _compare(self, bet: ForeignBet, began: int) -> None:
        """A list may be ahead of the stream for a moment, not for long."""
        known = self._bets.of(None, bet.bet_id)
        if known is None or bet.fact is None:
            return
        told = 0.0 if known.fact is None else accounted_of(known.fact)
        if accounted_of(bet.fact) > told or not known.streamed:
            self._ahead.setdefault(bet.bet_id, (began, bet.fact))

    def _tell_differences(self, at_ms: int) -> None:
        for bet_id, (since, fact) in list(self._ahead.items()):
            if at_ms - since >= _LAG_MS:
                del self._ahead[bet_id]
                text = f"bet {bet_id}: the lists know of {accounted_of(fact):.2f} of it, the order stream does not"
                self._difference(fact.market_id, text)

    def _difference(self, market_id: str, text: str) -> None:
        self.differences += 1
        logger.error("Market %s: %s", market_id, text)
        self._report("difference", market_id, text)
