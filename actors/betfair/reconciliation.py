"""An account's bets here beside the exchange's lists: at the start, after every image of the order stream, each minute.

An image holds bets that can be matched. What was matched, lapsed or cancelled while no stream was there, and what waits
for the starting price, is not in it. So the current orders are read, all of them, page by page in one call; bets of
this instance that are not among those either have come to an end, and are looked for among the cleared ones. Nothing is
placed before the first image and its look. Sizes, averages and exposures are compared; what the lists say is taken on,
and what then still differs is a difference (`differences`). Source: docs/live.md, "Reconciliation".
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable

from ...strategies.fact_ranks import same
from ...strategies.messages import LIST, OrderFact
from ..letters import ForeignBet
from . import comparing, verdicts
from .bet_rows import bet_of_current, current_order
from .differences import Differences
from .known_bet import KnownBet
from .known_bets import KnownBets
from .looks import BetLists, BetLook, Listed, rows_of

logger = logging.getLogger("headrace")

#: Milliseconds between looks; after one that failed, at first and at most.
EVERY_MS, _RETRY_MS, _RETRY_MOST_MS = 60_000, 1_000, 30_000
#: Milliseconds that the stream may lag behind the lists, and bets may take to show in any list.
_LAG_MS, _NOWHERE_MS = 10_000, 120_000
#: Milliseconds after which a question that is not answered stops placing where there are bets.
SLOW_MS = 2_000


@dataclasses.dataclass(slots=True, eq=False)
class _Reading:
    """One reading of the lists.

    Attributes:
        began, at: when, here and by the exchange's clock.
        after_image: the stream has just told what it knows.
        expected: numbers of bets that must be in it. elsewhere: of those placed elsewhere that were known.
        told: how bets stood when it began.
        uncompared: markets about which something was told meanwhile.
        bets: what was read. ended: what was read among the cleared ones.
        found: differences, by name: market and sentence.
    """

    began: int
    at: int
    after_image: bool
    expected: list[str]
    elsewhere: list[str]
    told: dict[str, OrderFact]
    uncompared: set[str] = dataclasses.field(default_factory=set)
    bets: list[ForeignBet] = dataclasses.field(default_factory=list)
    ended: list[ForeignBet] = dataclasses.field(default_factory=list)
    found: dict[str, tuple[str, str]] = dataclasses.field(default_factory=dict)


class Reconciliation:
    """Compares one account's bets with the exchange's lists.

    Args:
        bets: what is known.
        lists: where to look.
        seen: takes a bet that was found, wherever it was placed.
        tell: takes facts that are found out here.
        report: takes what is to be known of by people: a word, a market's id, a sentence.
        closed: whether a market has closed: what is matched there leaves the lists, and its results are asked for.
        streamed: the account has an order stream; False: the lists are all there is, and are read every ten seconds.
        loss: what bets of a market lose at worst; None: exposures are not compared.

    Attributes:
        ready: an image and the look after it are done: orders may be placed.
        looks: how many were done.
        differences: those that are open, and how many there were.
        blind: the order stream is down: the lists are all there is, and are read every ten seconds.
        next_ms: when `wake` is to be called.
    """

    def __init__(
        self,
        bets: KnownBets,
        lists: BetLists,
        seen: Callable[[ForeignBet], object],
        tell: Callable[[OrderFact], object],
        report: Callable[[str, str, str], object],
        closed: Callable[[str], bool],
        streamed: bool = True,
        loss: comparing.Loss | None = None,
    ) -> None:
        self._bets, self._lists = bets, lists
        self._seen, self._tell, self._report = seen, tell, report
        self._closed, self._streamed, self._loss = closed, streamed, loss
        self.differences = Differences(report)
        self.ready = self.blind = False
        self.looks = 0
        self.next_ms = math.inf if streamed else 0.0
        self._wanted = self._looking = self._unread = False
        self._after_image = not streamed
        self._failures = 0
        self._asked_ms: int | None = None
        self._missing_since: dict[str, int] = {}
        self._ahead: dict[str, tuple[int, OrderFact]] = {}
        self._unlike: set[comparing.Runner] = set()

    def image(self, at_ms: int) -> None:
        """The order stream has sent an image, or what has changed since its clocks."""
        self._wanted = self._after_image = self._unread = True
        self._ahead.clear()
        self.next_ms = at_ms

    def take_fact(self, fact: OrderFact) -> None:
        """The stream tells of a bet: perhaps what the lists have told of already."""
        if fact.source == LIST or fact.bet_id is None:
            return
        ahead = self._ahead.get(fact.bet_id)
        if ahead is not None and not comparing.is_behind(fact, ahead[1]):
            del self._ahead[fact.bet_id]

    # -- holding -------------------------------------------------------------------------------------------------

    def why_held(self, market_id: str, at_ms: int) -> str:
        """Why nothing that adds to the risk is to be placed in a market; empty: nothing stands against it."""
        if why := self.differences.why_held(market_id):
            return why
        if self._is_missing(market_id):
            return "a bet has left the current orders, and its end is not known yet"
        if self._unread and self._bets.in_market(market_id):
            return "the order stream was away, and the account's orders are being read"
        late = self._asked_ms is not None and at_ms - self._asked_ms > SLOW_MS
        if late and self._bets.in_market(market_id):
            return "the exchange does not answer what the account's orders are"
        return ""

    def held(self, at_ms: int) -> dict[str, str]:
        """The markets for which there is a reason, with it."""
        markets = [each for each in self._bets.markets if self._bets.in_market(each)]
        found = {market_id: self.why_held(market_id, at_ms) for market_id in {*markets, *self.differences.lasting}}
        return {market_id: why for market_id, why in found.items() if why}

    def _is_missing(self, market_id: str) -> bool:
        missing = (self._bets.of(None, bet_id) for bet_id in self._missing_since)
        return any(bet is not None and bet.market_id == market_id and self._is_current(bet) for bet in missing)

    # -- reading -------------------------------------------------------------------------------------------------

    def wake(self, at_ms: int) -> None:
        """Look, if it is time."""
        if self._looking or at_ms < self.next_ms:
            return
        self._tell_late(at_ms)
        self._looking, self._wanted = True, False
        self.next_ms = math.inf
        if self._asked_ms is None:
            self._asked_ms = at_ms
        bets = self._bets
        bets.touched.clear()
        # Those that are known by now are to be found.
        expected = [bet for bet in bets if bet.bet_id is not None and self._is_current(bet)]
        reading = _Reading(
            at_ms,
            bets.latest + 1,
            self._after_image,
            [bet.bet_id for bet in expected if bet.bet_id is not None],
            list(bets.foreign),
            {bet.bet_id: bet.fact for bet in expected if bet.bet_id is not None and bet.fact is not None},
        )
        self._lists.current_orders(lambda listed: self._current(reading, listed))

    def _is_current(self, bet: KnownBet) -> bool:
        """Whether a bet must be among the current ones, by what is known of it: one that is matched may be voided."""
        if bet.settled and bet.ended:
            return False
        return not bet.ended or (bet.matched > 0 and not self._closed(bet.market_id))

    def _current(self, reading: _Reading, listed: Listed) -> None:
        rows = rows_of(listed, current_order, "Current orders")
        if rows is None:
            self._failed(reading.began)
            return
        bets = self._bets
        reading.uncompared |= bets.touched
        reading.bets = [bet_of_current(row, bets.venue, bets.username, reading.at) for row in rows]
        found = {bet.bet_id for bet in reading.bets}
        for bet in reading.bets:
            self._take(reading, bet)
            self._missing_since.pop(bet.bet_id, None)
        for bet_id in reading.elsewhere:
            if bet_id not in found:  # it has ended while no stream was there
                bets.foreign.pop(bet_id, None)
        known = [bets.of(None, bet_id) for bet_id in reading.expected if bet_id not in found]
        missing = [bet.bet_id for bet in known if bet is not None and bet.bet_id is not None and self._is_current(bet)]
        if not missing:
            self._done(reading)
            return
        look = BetLook(
            self._lists,
            bets.venue,
            bets.username,
            reading.at,
            (),
            missing,
            True,
            lambda ended: self._ended(reading, missing, ended),
        )
        look.begin()

    def _take(self, reading: _Reading, bet: ForeignBet) -> None:
        """A bet is in the list: what is known of it is compared, then what the list says is taken on."""
        known, fact = self._bets.of(None, bet.bet_id), bet.fact
        assert fact is not None
        if known is not None:
            if known.fact is not None and known.streamed and known.side and same(fact, known.fact):
                return
            streaming = not reading.after_image and not self.blind
            # The stream shows what rests; not what was over before it began, nor what waits for the starting price.
            unseen = fact.remaining > 0 and not known.streamed
            if streaming and (unseen or known.fact is None or comparing.is_behind(known.fact, fact)):
                # A list may be ahead of the stream for a moment, not for long.
                self._ahead.setdefault(bet.bet_id, (reading.began, fact))
            if known.fact is reading.told.get(bet.bet_id) and (less := comparing.lists_less(known, fact)):
                reading.found[bet.bet_id] = bet.market_id, less
        elif self.ready and self._bets.of(fact.order_id, None) is None and self._bets.is_own(bet):
            text = f"bet {bet.bet_id} is of this system, and was not known here: it is taken on"
            self.differences.tell(bet.market_id, text)
        self._seen(bet)

    def _ended(self, reading: _Reading, missing: list[str], ended: list[ForeignBet] | None) -> None:
        if ended is None:
            self._failed(reading.began)
            return
        reading.ended = ended
        for bet in ended:
            self._seen(bet)
            self._missing_since.pop(bet.bet_id, None)
        for bet_id in set(missing) - {bet.bet_id for bet in ended}:
            known = self._bets.of(None, bet_id)
            if known is None or not self._is_current(known):
                self._missing_since.pop(bet_id, None)
                continue
            since = self._missing_since.setdefault(bet_id, reading.began)
            if reading.began - since >= _NOWHERE_MS:
                text = f"bet {bet_id} is in no list, and was not seen to come to nothing"
                reading.found[bet_id] = known.market_id, text
                self._lose(known, text)
        self._done(reading)

    def _lose(self, bet: KnownBet, text: str) -> None:
        """A bet is nowhere. In a closed market its results may be late: these are asked for anyway."""
        if bet.ended or bet.unconfirmed or self._closed(bet.market_id):
            return
        self._report("unconfirmed", bet.market_id, f"{text}; it counts at its worst, and is looked for")
        self._tell(verdicts.unconfirmed_bet(bet, self._bets.latest))

    def _done(self, reading: _Reading) -> None:
        self._looking, self._asked_ms, self._failures = False, None, 0
        self.looks += 1
        missing = {bet_id: self._bets.of(None, bet_id) for bet_id in self._missing_since}
        for bet_id, bet in missing.items():
            if bet is None or not self._is_current(bet):  # it was seen to end
                del self._missing_since[bet_id]
        self._compare(reading)
        self.differences.read(reading.found, reading.uncompared, reading.began)
        if self._wanted:
            self.next_ms = reading.began
            return
        if self._after_image and not self.ready:
            self.ready = True
            logger.info("Account %s: the orders at the exchange are known", self._bets.username)
        self._after_image, self._unread = not self._streamed, False
        # Cleared lists may be late, and the stream too: both are looked at again sooner.
        open_ = self._missing_since or self._ahead or self._unlike or len(self.differences)
        self.next_ms = reading.began + (_LAG_MS if open_ or self.blind or not self._streamed else EVERY_MS)

    def _failed(self, began: int) -> None:
        self._looking = False
        self._failures += 1
        wait = min(_RETRY_MS * 2 ** (self._failures - 1), _RETRY_MOST_MS)
        logger.warning("Account %s: its orders could not be listed; again in %d s", self._bets.username, wait // 1000)
        self.next_ms = began + wait

    # -- comparing -----------------------------------------------------------------------------------------------

    def _tell_late(self, at_ms: int) -> None:
        """What lists have said for a while, and the stream has not, it has missed."""
        for bet_id, (since, fact) in list(self._ahead.items()):
            if at_ms - since >= _LAG_MS:
                del self._ahead[bet_id]
                known = self._bets.of(None, bet_id)
                if known is not None:
                    known.streamed = True  # as far as that goes: it is told once
                sizes = f"{fact.matched:.2f} matched at {fact.average:.2f}, {fact.remaining:.2f} left"
                text = f"bet {bet_id}: the lists know of {sizes}; the order stream does not"
                self.differences.tell(fact.market_id, text)

    def _compare(self, reading: _Reading) -> None:
        """Compare what is known now, in markets that were quiet, with all that was read."""
        listed: dict[str, list[ForeignBet]] = {}
        for bet in reading.bets:
            listed.setdefault(bet.market_id, []).append(bet)
        if self._loss is not None:
            self._compare_exposures(reading, self._loss)
        if self._streamed and not self.blind:
            self._compare_positions(reading, listed)

    def _compare_exposures(self, reading: _Reading, loss: comparing.Loss) -> None:
        quiet = [market_id for market_id in self._bets.markets if self._is_quiet(reading, market_id)]
        # What was seen of the others before is open still.
        reading.uncompared |= {each for each in self._bets.markets - set(quiet) if not self._closed(each)}
        known = {each: [bet for bet in self._bets.in_market(each) if self._is_current(bet)] for each in quiet}
        listed: dict[str, list[ForeignBet]] = {}
        for bet in (*reading.bets, *reading.ended):
            if bet.market_id in known and self._bets.is_own(bet):
                listed.setdefault(bet.market_id, []).append(bet)
        for market_id, text in comparing.exposures(known, listed, loss):
            reading.found.setdefault(f"exposure {market_id}", (market_id, text))

    def _is_quiet(self, reading: _Reading, market_id: str) -> bool:
        """Whether nothing was told of a market while it was read, and nothing of it is under way."""
        if market_id in reading.uncompared or self._closed(market_id):
            return False
        missing = self._missing_since
        return not any(
            bet.replacing or bet.bet_id in missing or (not bet.ended and (bet.bet_id is None or bet.unconfirmed))
            for bet in self._bets.in_market(market_id)
        )

    def _compare_positions(self, reading: _Reading, listed: dict[str, list[ForeignBet]]) -> None:
        """What is matched of the whole account: where two readings differ from the stream, they count."""
        bets = self._bets
        markets = [each for each in bets.positions if each not in reading.uncompared and not self._closed(each)]
        found = dict(comparing.positions(bets.positions, listed, markets))
        for runner in self._unlike & found.keys():
            self.differences.tell(runner[0], found.pop(runner))
            bets.take_position(comparing.position_of(listed.get(runner[0], ()), runner, bets.venue, bets.username))
        self._unlike = set(found)
