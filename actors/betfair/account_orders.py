"""What becomes of one account's orders: all that is known of them, and what finds out the rest, put together.

The coordinator tells it of requests, answers, letters of the order stream and closed markets, and hands on what it
tells: answers, facts and results for markets, and what people should know. All in one thread; nothing here waits.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Collection, Sequence

import msgspec

from ...strategies.messages import (
    ANSWERED,
    CANCEL,
    PLACE,
    REPLACE,
    STREAM,
    SUCCESS,
    ClearedMarket,
    OrderFact,
    Reply,
    Request,
)
from ..exchange import Answer
from ..letters import ForeignBet, Letter, OrdersClosed, OrdersImage, Position
from .closure import Closure
from .comparing import Loss
from .doubts import APPEARS_MS, Doubts
from .known_bet import KnownBet
from .known_bets import KnownBets
from .looks import BetLists
from .reconciliation import Reconciliation
from .rereads import Rereads
from .verdicts import TAKEN

logger = logging.getLogger("headrace")

#: Milliseconds after which a bet that was placed must have been on the order stream.
_SHOWN_MS = 10_000
#: Milliseconds until lists are read of what was just done.
_SOON_MS = 1_000


class AccountOrders:
    """The orders of one account.

    Args:
        venue, username: the account.
        reference: the strategy reference of this instance.
        lists: the exchange's lists.
        answer: takes answers, facts and results for markets.
        report: takes what people should know: a word (in_doubt, not_placed, unconfirmed, adopted, difference,
            resettled, late, stream_silent), a market's id, a sentence.
        market_cleared: takes the account's result of a market.
        streamed: it has an order stream.
        direct: the order stream sends its facts to markets itself, so that they are not handed on here.
        loss: what bets of a market lose at worst; None: exposures are not compared.

    Attributes:
        bets, doubts, rereads, reconciliation, closure: the parts.
    """

    def __init__(
        self,
        venue: str,
        username: str,
        reference: str,
        lists: BetLists,
        answer: Callable[[Answer], object],
        report: Callable[[str, str, str], object],
        market_cleared: Callable[[ClearedMarket], object] = lambda _: None,
        *,
        streamed: bool = True,
        direct: bool = False,
        appears_ms: int = APPEARS_MS,
        loss: Loss | None = None,
    ) -> None:
        self.venue = venue
        self.username = username
        self._hand_on = answer
        self._report = report
        self._streamed, self._direct = streamed, direct
        self.bets = KnownBets(venue, username, reference)
        self.doubts = Doubts(self.bets, lists, self._answer, report, appears_ms)
        self.closure = Closure(self.bets, lists, self._answer, self._seen, market_cleared, report)
        self.reconciliation = Reconciliation(
            self.bets, lists, self._seen, self._answer, report, self.closure.is_closed, streamed, loss
        )
        self.rereads = Rereads(self.bets, lists, self._seen)
        self._now = 0
        self._down = False
        self._to_be_shown: deque[tuple[int, KnownBet]] = deque()
        self._silent = False

    # -- requests ------------------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """What rests at the exchange is known: orders may be placed."""
        return self.reconciliation.ready

    def take_request(self, request: Request) -> None:
        """A request is about to be sent."""
        self.bets.take_request(request)

    def take_reply(self, reply: Reply) -> None:
        """The exchange has answered a request, or a part of it, or it was answered here. It is not handed on."""
        foreign = self.bets.foreign
        seen = [foreign[report.bet_id] for report in reply.reports if report.bet_id in foreign]
        self.bets.take_reply(reply)
        for each in seen:  # they came without their references: only now it is known whose they are
            self._seen(each)
        request = self.bets.request(reply.request_id)
        if reply.outcome != ANSWERED or request is None:
            return
        pending = set()
        for report in reply.reports:
            bet = self.bets.of(report.order_id, report.bet_id)
            if report.operation != PLACE:
                cancelled = report.operation == CANCEL and report.status == SUCCESS
                if bet is not None and (cancelled or report.error_code == TAKEN):
                    self.rereads.want(bet, not cancelled, reply.at)
                continue
            if report.status != SUCCESS:
                continue
            if report.bet_id is None:
                pending.add(report.order_id)
            elif bet is not None and not bet.streamed and self._streamed:
                self._to_be_shown.append((reply.at + _SHOWN_MS, bet))
        if pending:
            # They were taken asynchronously, and have no number yet.
            self.doubts.expect(request, reply.at, _about(request, pending))
            self._look_twice()

    def hold(self, request: Request, reply: Reply) -> bool:
        """Look into an answer whose outcome is unknown.

        Returns:
            True: it is answered later; False: it is to be handed on now: orders that were placed are in doubt.
        """
        self.bets.take_reply(reply)
        self._now = reply.at
        why, unknown = reply.reason or "no answer", {report.order_id for report in reply.reports}
        made = [report for report in reply.reports if request.kind == REPLACE and report.operation == PLACE]
        replaced = _about(request, {report.order_id for report in made})
        self.doubts.doubt(request, reply.at, why, [each for each in _about(request, unknown) if each not in replaced])
        self.doubts.doubt(request, reply.at, why, replaced, placing=True)
        self._look_twice()
        if made:
            # Their cancels were answered: they are orders of their own by now.
            self._hand_on(msgspec.structs.replace(reply, reports=tuple(made)))
        return request.kind != PLACE

    def _look_twice(self) -> None:
        if self._down:
            self.doubts.blind()

    # -- what comes ----------------------------------------------------------------------------------------------

    def take(self, letter: Letter, at_ms: int) -> None:
        """A letter of the account's order stream. Those of other kinds are none of its business."""
        self._now = at_ms
        if isinstance(letter, OrderFact):
            self._take_fact(letter)
        elif isinstance(letter, ForeignBet):
            self._seen(letter)
        elif isinstance(letter, Position):
            self.bets.take_position(letter)
        elif isinstance(letter, OrdersImage):
            self._down = self.reconciliation.blind = False
            self._to_be_shown.clear()  # what is over by now is in no image, but in the lists
            self.reconciliation.image(at_ms)
            self.closure.look_again(at_ms)
        elif isinstance(letter, OrdersClosed):
            if letter.closed:
                self.closure.closed(letter.market_id, at_ms)
            else:
                self.closure.reopened(letter.market_id)

    def stream_down(self) -> None:
        """The order stream is not connected."""
        if not self._down and self.ready:
            self.look_soon(self._now)
        self._down = self.reconciliation.blind = True
        self.doubts.blind()

    def market_closed(self, market_id: str, at_ms: int) -> None:
        """A market has closed, as its definition says. Told twice, it is the same."""
        if self.bets.in_market(market_id):
            self.closure.closed(market_id, at_ms)

    def market_reopened(self, market_id: str) -> None:
        """A closed market is open again."""
        self.closure.reopened(market_id)

    def forget(self, market_ids: Sequence[str]) -> None:
        """Forget markets: they are over, and their results are there."""
        self.bets.forget(market_ids)
        self.doubts.forget(market_ids)
        self.closure.forget(market_ids)

    # -- time ----------------------------------------------------------------------------------------------------

    @property
    def next_ms(self) -> float:
        """When `wake` is to be called, milliseconds since the epoch."""
        shown = self._to_be_shown[0][0] if self._to_be_shown else math.inf
        return min(self.doubts.next_ms, self.reconciliation.next_ms, self.closure.next_ms, self.rereads.next_ms, shown)

    def wake(self, at_ms: int) -> None:
        """Do what is due."""
        self._now = at_ms
        while self._to_be_shown and self._to_be_shown[0][0] <= at_ms:
            _, bet = self._to_be_shown.popleft()
            if not bet.streamed and not self._down:
                self._not_shown(bet)
        self.reconciliation.wake(at_ms)
        self.doubts.wake(at_ms)
        self.rereads.wake(at_ms)
        self.closure.wake(at_ms)

    def _not_shown(self, bet: KnownBet) -> None:
        """The stream does not show a bet that was placed: the lists are asked instead."""
        if not self._silent:
            self._silent = True
            text = (
                f"bet {bet.bet_id} was placed {_SHOWN_MS // 1000} s ago, and the order stream does not show it; "
                "is the application key a delayed one? Orders are read from the lists, a minute late"
            )
            logger.error("Account %s: %s", self.username, text)
            self._report("stream_silent", bet.market_id, text)
        self.reconciliation.next_ms = min(self.reconciliation.next_ms, self._now)

    def look_soon(self, at_ms: int) -> None:
        """Something was done that the stream should show: where it does not, the lists are read in a second."""
        self.reconciliation.next_ms = min(self.reconciliation.next_ms, at_ms + _SOON_MS)

    # -- what is asked of it -------------------------------------------------------------------------------------

    @property
    def live(self) -> list[KnownBet]:
        """Bets of this instance that may still be matched, and orders that may yet be placed."""
        return self.bets.live

    def in_doubt(self, order_id: str | None) -> bool:
        """Whether nobody knows what became of an order, or of what was last asked about it."""
        return order_id in self.doubts

    def why_held(self, market_id: str) -> str:
        """Why nothing that adds to the risk is to be placed in a market; empty: nothing stands against it."""
        return self.doubts.why_held(market_id, self._now) or self.reconciliation.why_held(market_id, self._now)

    @property
    def held(self) -> dict[str, str]:
        """Markets in which nothing that adds to the risk is to be placed, each with the reason."""
        return {**self.reconciliation.held(self._now), **self.doubts.held(self._now)}

    # -- handing on ----------------------------------------------------------------------------------------------

    def _take_fact(self, fact: OrderFact, told: bool = True) -> None:
        """Take a fact. `told`: where it is the stream's, and that sends facts to markets itself, it has sent this."""
        news = self.bets.take_fact(fact)
        if news and (bet := self.bets.of(fact.order_id, fact.bet_id)) is not None:
            self.closure.stands(bet, self._now)
        if fact.source == STREAM:
            self._silent = False
        self.reconciliation.take_fact(fact)
        self.doubts.take_fact(fact, self._now)
        sent = self._direct and told and fact.source == STREAM
        if not sent and (news or self.bets.of(fact.order_id, fact.bet_id) is None):
            self._hand_on(fact)

    def _seen(self, bet: ForeignBet) -> None:
        """A bet was seen on the stream or in a list, wherever it was placed."""
        fact = self.bets.take_bet(bet)
        if fact is not None:
            # Of a bet that came without its references the stream does not know that it is ours.
            self._take_fact(fact, told=bet.own)

    def _answer(self, message: Answer) -> None:
        """An answer, a fact or a result that was found out here."""
        if isinstance(message, Reply):
            self.bets.take_reply(message)
            self._hand_on(message)
        elif isinstance(message, OrderFact):
            self._take_fact(message)
        else:
            self.bets.take_result(message)
            self._hand_on(message)


def _about(request: Request, order_ids: Collection[str]) -> list[str]:
    """The orders that instructions are about which concern any of some orders, those that they make included."""
    return [
        each.order_id
        for each in request.instructions
        if each.order_id in order_ids or getattr(each, "new_order_id", None) in order_ids
    ]
