"""Requests of which nobody knows what became: looked into until that is known.

A call whose answer is lost may have been carried out, and an order of it may appear up to 15 seconds later, plus the
bet delay. So nothing is sent again. The order stream, the current orders and each status of the cleared ones are looked
at, by order reference and bet number; what no look finds that began after that time was not done. Then the strategy is
told, with the answer that the exchange would have given. A cancel of a part, and a replace, are answered only once the
bet was read: repeated blindly they would be done twice. Where no look succeeds for two minutes, orders end UNCONFIRMED
and are looked for still. Sources: Betfair API-NG, "placeOrders" (TIMEOUT).
"""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Callable, Sequence

from ...strategies.messages import (
    ANSWERED,
    EXPIRED,
    FAILURE,
    PLACE,
    SUCCESS,
    UNCONFIRMED,
    CancelInstruction,
    Instruction,
    OrderFact,
    PlaceInstruction,
    ReplaceInstruction,
    Reply,
    Report,
    Request,
    UpdateInstruction,
)
from ..exchange import Answer
from ..letters import ForeignBet
from . import verdicts
from .doubt import Change, Doubt, known_before, names_of, number_of
from .known_bets import KnownBets
from .looks import BetLists, BetLook, Found

logger = logging.getLogger("headrace")

#: Milliseconds after which a bet no longer appears, beside the bet delay ("placeOrders").
APPEARS_MS = 15_000
#: The same, until it is said that nothing could be learnt: an older text of "placeOrders" has bets appear for so long.
UNCONFIRMED_MS = 120_000
#: Milliseconds to the first look, between looks, between those for what is unconfirmed, and after one that failed, at
#: first and at most.
_FIRST_MS, _LOOK_MS, _SELDOM_MS, _RETRY_MS, _RETRY_MOST_MS = 500, 2_000, 30_000, 1_000, 30_000


class Doubts:
    """Looks into what is not known of one account's requests.

    Args:
        bets: what is known; requests are told to it before they come here.
        lists: where to look.
        tell: takes answers and facts, as from the exchange.
        report: takes what is to be known of by people: a word, a market's id, a sentence.

    Attributes:
        next_ms: when `wake` is to be called.
    """

    def __init__(
        self,
        bets: KnownBets,
        lists: BetLists,
        tell: Callable[[Answer], object],
        report: Callable[[str, str, str], object],
        appears_ms: int = APPEARS_MS,
        unconfirmed_ms: int = UNCONFIRMED_MS,
    ) -> None:
        self._bets = bets
        self._lists = lists
        self._tell = tell
        self._report = report
        self._appears_ms, self._unconfirmed_ms = appears_ms, unconfirmed_ms
        self._numbers = itertools.count()
        self._doubts: dict[int, Doubt] = {}
        self._by_order: dict[str, int] = {}
        self._given_up: dict[str, Request] = {}
        self._looking = False
        self._failures = 0
        self._look_ms = math.inf

    @property
    def next_ms(self) -> float:
        if not self._doubts:
            return math.inf
        unlearnt = min(doubt.unconfirmed_at for doubt in self._doubts.values())
        return unlearnt if self._looking else min(self._look_ms, unlearnt)

    def __len__(self) -> int:
        """Instructions in doubt."""
        return len(self._by_order)

    def __contains__(self, order_id: str | None) -> bool:
        """Whether an order is in doubt, or its request under way is."""
        return order_id in self._by_order

    @property
    def orders(self) -> frozenset[str]:
        """The orders that are in doubt, or whose request under way is."""
        return frozenset(self._by_order)

    def why_held(self, market_id: str, at_ms: float) -> str:
        """Why nothing is to be placed in a market: a bet may be there that is not known; empty: none may."""
        return self.held(at_ms).get(market_id, "") if self._doubts else ""

    def held(self, at_ms: float) -> dict[str, str]:
        """The markets of which that is so."""
        held = [doubt.request.market_id for doubt in self._doubts.values() if doubt.holds(at_ms)]
        return dict.fromkeys(held, "it is not known what became of an order")

    # -- what is not known ---------------------------------------------------------------------------------------

    def doubt(self, request: Request, at_ms: int, why: str, order_ids: Sequence[str], placing: bool = False) -> None:
        """It is not known what became of instructions of a call. Of what it places, the market is to be told so.

        Args:
            at_ms: now: what is looked at from now on counts.
            why: a few words.
            order_ids: the instructions in doubt, by the orders that they are about.
            placing: of replaces: their cancels are known.
        """
        if not order_ids:
            return
        text = f"{request.kind} {request.request_id}: outcome unknown: {why}"
        logger.warning("Market %s: %s", request.market_id, text)
        self._report("in_doubt", request.market_id, text)
        self._open(request, at_ms, order_ids, at_ms + _FIRST_MS, placing=placing)

    def expect(self, request: Request, at_ms: int, order_ids: Sequence[str]) -> None:
        """Orders were taken asynchronously: the stream tells what becomes of them. If it does not, look for them.

        Args:
            order_ids: as for `doubt`: of replaces, the orders that are replaced.
        """
        self._open(request, at_ms, order_ids, self._decide_at(request, at_ms), taken=True, placing=True)

    def _decide_at(self, request: Request, at_ms: int) -> float:
        return at_ms + self._appears_ms + request.bet_delay * 1000

    def _open(
        self,
        request: Request,
        at_ms: int,
        order_ids: Sequence[str],
        look_from: float,
        taken: bool = False,
        placing: bool = False,
    ) -> None:
        open_ = {each.order_id: each for each in request.instructions if each.order_id in order_ids}
        known = {each.order_id: known_before(each, self._bets) for each in open_.values()}
        number = next(self._numbers)
        decide_at = self._decide_at(request, at_ms)
        unconfirmed_at = decide_at - self._appears_ms + self._unconfirmed_ms
        self._doubts[number] = Doubt(
            number, request, open_, at_ms, decide_at, unconfirmed_at, look_from, taken, placing, known
        )
        self._by_order.update(dict.fromkeys(open_, number))
        self._look_ms = min(self._look_ms, look_from)
        for each in list(open_.values()):
            bet = self._bets.of(each.order_id, getattr(each, "bet_id", None))
            if bet is not None and bet.fact is not None:
                self.take_fact(bet.fact, at_ms)

    def blind(self) -> None:
        """The order stream is down: an end that it would have told may have been missed.

        Cleared lists may be late: what they do not show is looked for twice before it counts as not placed.
        """
        for doubt in self._doubts.values():
            doubt.looks_left = max(doubt.looks_left, 2)

    def take_fact(self, fact: OrderFact, at_ms: int) -> None:
        """A source tells of a bet of this instance: that may be what was asked."""
        if fact.why == UNCONFIRMED or not (self._doubts or self._given_up):
            return
        bet = self._bets.of(fact.order_id, fact.bet_id)
        for name in {fact.order_id, None if bet is None else bet.order_id}:
            if name is not None and name in self._given_up and fact.bet_id is not None:
                self._adopted(self._given_up.pop(name), name, "given up as not placed", fact)
            doubt = self._doubts.get(self._by_order.get(name or "", -1))
            asked = None if doubt is None or name is None else doubt.open.get(name)
            if doubt is None or asked is None:
                continue
            if isinstance(asked, PlaceInstruction):
                if fact.bet_id is not None:
                    self._found_placed(doubt, asked, fact, at_ms)
            elif isinstance(asked, ReplaceInstruction):
                # It takes two bets: a look reads both, unless it is known which order the second one is.
                if doubt.placing and bet is not None and bet.order_id == asked.new_order_id is not None:
                    self._end(doubt, asked, verdicts.of_replace(asked, None, fact, 0.0, decisive=False), at_ms)
            elif fact.bet_id in (None, number_of(asked, self._bets)):
                self._judge(doubt, asked, fact, at_ms, read=False, decisive=False)

    def _adopted(self, request: Request, order_id: str, was: str, fact: OrderFact) -> None:
        text = f"order {order_id} was {was}, and is bet {fact.bet_id}: it is taken on"
        logger.error("Market %s: %s", request.market_id, text)
        self._report("adopted", request.market_id, text)

    def forget(self, market_ids: Sequence[str]) -> None:
        """Forget markets that are over."""
        gone = set(market_ids)
        for doubt in [each for each in self._doubts.values() if each.request.market_id in gone]:
            for order_id in list(doubt.open):
                self._close(doubt, order_id)
        self._given_up = {key: each for key, each in self._given_up.items() if each.market_id not in gone}

    # -- looking -------------------------------------------------------------------------------------------------

    def wake(self, at_ms: int) -> None:
        """Look, if it is time."""
        self._end_unlearnt(at_ms)
        if self._looking or at_ms < self._look_ms:
            return
        self._look_ms = math.inf
        refs: set[str] = set()
        ids: set[str] = set()
        deciding = False
        for doubt in self._doubts.values():
            if doubt.look_from > at_ms:
                continue
            deciding = deciding or at_ms >= doubt.decide_at
            for each in doubt.open.values():
                names_of(each, self._bets, refs, ids)
        if not refs and not ids:
            self._plan(at_ms)
            return
        self._looking = True
        ended = deciding or bool(ids)
        BetLook(
            self._lists,
            self._bets.venue,
            self._bets.username,
            self._bets.latest + 1,
            refs,
            ids,
            ended,
            lambda found: self._looked(at_ms, ended, found),
        ).begin()

    def _looked(self, began: int, ended: bool, found: list[ForeignBet] | None) -> None:
        self._looking = False
        if found is None:
            self._failures += 1
            wait = min(_RETRY_MS * 2 ** (self._failures - 1), _RETRY_MOST_MS)
            self._look_ms = began + wait
            logger.warning("What is in doubt could not be looked for; again in %d s", wait // 1000)
            return
        self._failures = 0
        look = Found.of(began, ended, found)
        for doubt in list(self._doubts.values()):
            if doubt.since > began:
                continue
            late = ended and began >= doubt.decide_at
            decisive = late and doubt.looks_left <= 1
            doubt.looks_left -= late
            for asked in list(doubt.open.values()):
                if isinstance(asked, PlaceInstruction):
                    self._look_placed(doubt, asked, look, decisive)
                elif isinstance(asked, ReplaceInstruction):
                    self._look_replaced(doubt, asked, look, decisive)
                else:
                    self._look_changed(doubt, asked, look, decisive)
        self._plan(began)

    def _plan(self, began: int) -> None:
        """When to look next: soon, and when something can be decided."""
        self._look_ms = math.inf
        for doubt in self._doubts.values():
            soon: float = began + (_SELDOM_MS if doubt.unconfirmed else _LOOK_MS)
            if doubt.decide_at > began:
                soon = min(soon, doubt.decide_at)
            self._look_ms = min(self._look_ms, max(soon, doubt.look_from))

    # -- what cannot be learnt -----------------------------------------------------------------------------------

    def _end_unlearnt(self, at_ms: int) -> None:
        """No look could say what became of something for so long that this is said. It is looked for still."""
        for doubt in [each for each in self._doubts.values() if each.unconfirmed_at <= at_ms]:
            doubt.unconfirmed, doubt.unconfirmed_at = True, math.inf
            request, waited = doubt.request, (at_ms - doubt.since) // 1000
            placings = list(doubt.placings())
            for asked in list(doubt.open.values()):
                whole = getattr(asked, "size_reduction", None) is None
                if isinstance(asked, CancelInstruction | UpdateInstruction) and whole:
                    # It does no harm to ask for it again.
                    self._close(doubt, asked.order_id)
                    self._answer(doubt, verdicts.refused(asked, verdicts.TIMEOUT), at_ms)
                    continue
                text = f"order {asked.order_id}: {request.kind}: for {waited} s nothing could be learnt of it"
                self._report("unconfirmed", request.market_id, f"{text}; it counts at its worst, and is looked for")
            for order_id, asked in placings:
                # Of what has been answered before, only a fact counts more than the answer.
                unlearnt = verdicts.unconfirmed_order if doubt.taken else verdicts.unconfirmed_placing
                self._tell(unlearnt(request, order_id, asked, self._bets, at_ms))

    # -- what was found ------------------------------------------------------------------------------------------

    def _look_placed(self, doubt: Doubt, asked: PlaceInstruction, look: Found, decisive: bool) -> None:
        bets = look.by_ref.get(asked.customer_order_ref)
        if bets and bets[0].fact is not None:
            self._found_placed(doubt, asked, bets[0].fact, look.began)
        elif decisive:
            self._give_up(doubt, asked, look.began)

    def _found_placed(self, doubt: Doubt, asked: PlaceInstruction, fact: OrderFact, at_ms: int) -> None:
        if doubt.unconfirmed:
            self._adopted(doubt.request, asked.order_id, "unconfirmed", fact)
        self._close(doubt, asked.order_id)
        self._answer(doubt, (Report(asked.order_id, PLACE, SUCCESS, bet_id=fact.bet_id, size=fact.matched),), at_ms)
        self._tell(fact)

    def _give_up(self, doubt: Doubt, asked: PlaceInstruction, began: int) -> None:
        """No look has found it: it was not placed."""
        request = doubt.request
        self._close(doubt, asked.order_id)
        self._given_up[asked.order_id] = request
        waited = (began - doubt.since) / 1000
        why = f"not placed: neither the order stream nor the lists have shown it within {waited:.0f} s"
        logger.warning("Market %s: order %s was %s", request.market_id, asked.order_id, why)
        self._report("not_placed", request.market_id, f"order {asked.order_id}: {why}")
        if not doubt.taken:
            report = Report(asked.order_id, PLACE, FAILURE)
            self._tell(Reply(request.request_id, request.market_id, began, EXPIRED, (report,), reason=why))
            return
        size = asked.size or asked.liability or 0.0
        self._tell(verdicts.unplaced(request.market_id, asked.order_id, asked.price, size, self._bets.latest + 1))

    def _look_changed(self, doubt: Doubt, asked: Change, look: Found, decisive: bool) -> None:
        bet = look.by_id.get(number_of(asked, self._bets) or "")
        if bet is None or bet.fact is None:
            if decisive:  # it is nowhere: there is nothing left to change
                self._end(doubt, asked, verdicts.refused(asked, verdicts.TAKEN), look.began)
            return
        self._tell(bet.fact)
        if asked.order_id in doubt.open:
            self._judge(doubt, asked, bet.fact, look.began, read=True, decisive=decisive)

    def _judge(self, doubt: Doubt, asked: Change, fact: OrderFact, at_ms: int, *, read: bool, decisive: bool) -> None:
        cancelled = self._cancelled(asked, fact)
        self._end(doubt, asked, verdicts.of_change(asked, fact, cancelled, read=read, decisive=decisive), at_ms)

    def _look_replaced(self, doubt: Doubt, asked: ReplaceInstruction, look: Found, decisive: bool) -> None:
        number = number_of(asked, self._bets)
        old = look.by_id.get(number or "")
        known = doubt.known[asked.order_id]
        bet = self._bets.of(asked.order_id, asked.bet_id)
        ref = bet.order_ref if bet is not None else "" if old is None else old.order_ref
        sharing = look.by_ref.get(ref, []) if ref else []
        later = [each for each in sharing if each.bet_id not in known and each.bet_id != number]
        made = later[-1].fact if later else None
        stands = None if old is None else old.fact
        if stands is not None:
            self._tell(stands)
        cancelled = 0.0 if stands is None else self._cancelled(asked, stands)
        self._end(doubt, asked, verdicts.of_replace(asked, stands, made, cancelled, decisive=decisive), look.began)
        if made is not None:
            self._tell(made)

    def _cancelled(self, asked: Change | ReplaceInstruction, fact: OrderFact) -> float:
        """What of a bet was cancelled since the request was sent."""
        bet = self._bets.of(asked.order_id, asked.bet_id)
        return max(round(fact.cancelled - (0.0 if bet is None else bet.cancelled_before), 2), 0.0)

    # -- answers -------------------------------------------------------------------------------------------------

    def _end(self, doubt: Doubt, asked: Instruction, reports: tuple[Report, ...] | None, at_ms: int) -> None:
        """It is known what became of a change. `reports`: None: it is not."""
        if reports is None:
            return
        self._close(doubt, asked.order_id)
        if isinstance(asked, ReplaceInstruction) and reports[-1].operation == PLACE and reports[-1].status == FAILURE:
            self._given_up[reports[-1].order_id] = doubt.request
        if doubt.placing and isinstance(asked, ReplaceInstruction):
            reports = tuple(report for report in reports if report.operation == PLACE)
            if doubt.taken and reports and reports[0].status == FAILURE:
                at = self._bets.latest + 1
                new_id = reports[0].order_id
                self._tell(verdicts.unplaced(doubt.request.market_id, new_id, asked.new_price, 0.0, at))
                return
        if reports:
            self._answer(doubt, reports, at_ms)

    def _close(self, doubt: Doubt, order_id: str) -> None:
        doubt.open.pop(order_id, None)
        if self._by_order.get(order_id) == doubt.number:
            del self._by_order[order_id]
        if not doubt.open:
            self._doubts.pop(doubt.number, None)

    def _answer(self, doubt: Doubt, reports: tuple[Report, ...], at_ms: int) -> None:
        request = doubt.request
        self._tell(Reply(request.request_id, request.market_id, at_ms, ANSWERED, reports))
