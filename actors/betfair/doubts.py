"""Requests of which nobody knows what became: looked into until that is known.

A call whose answer is lost may have been carried out, and an order of it may appear up to 15 seconds later, plus the
bet delay. So nothing is sent again. The order stream, the current orders and each status of the cleared ones are looked
at, by order reference and bet number; what no look finds that began after that time was not done. Then the strategy is
told, with the answer that the exchange would have given. A cancel of a part, and a replace, are answered only once the
bet was read: repeated blindly they would be done twice. Sources: Betfair API-NG, "placeOrders" (TIMEOUT);
docs/live.md.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable, Sequence

from ...strategies.messages import (
    ANSWERED,
    CANCEL,
    EXPIRED,
    FAILURE,
    PLACE,
    SUCCESS,
    UNKNOWN,
    UPDATE,
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
from .known_bets import KnownBets
from .looks import BetLook, Lists

logger = logging.getLogger("headrace")

#: Milliseconds after which a bet no longer appears, beside the bet delay ("placeOrders").
APPEARS_MS = 15_000
#: Milliseconds between looks, and after one that failed, at first and at most.
_LOOK_MS, _RETRY_MS, _RETRY_MOST_MS = 2_000, 1_000, 30_000
#: What a change is answered with that was not carried out, as far as the exchange shows.
TIMEOUT, TAKEN, NOT_PLACED = "TIMEOUT", "BET_TAKEN_OR_LAPSED", "CANCELLED_NOT_PLACED"


@dataclasses.dataclass(slots=True)
class _Doubt:
    """A request of which something is not known.

    Attributes:
        open: the instructions in doubt, by order.
        since: from when on looks count.
        decide_at: when what has not appeared will not.
        look_from: when looks begin.
        known: numbers of bets that there were before a replace, by order.
        looks_left: looks after `decide_at` that must find nothing.
    """

    request: Request
    open: dict[str, Instruction]
    since: int
    decide_at: float
    look_from: float
    known: dict[str, frozenset[str]]
    looks_left: int = 1


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
        lists: Lists,
        tell: Callable[[Answer], object],
        report: Callable[[str, str, str], object],
        appears_ms: int = APPEARS_MS,
    ) -> None:
        self._bets = bets
        self._lists = lists
        self._tell = tell
        self._report = report
        self._appears_ms = appears_ms
        self._doubts: dict[str, _Doubt] = {}
        self._by_order: dict[str, str] = {}
        self._given_up: dict[str, tuple[str, str]] = {}
        self._looking = False
        self._failures = 0
        self.next_ms = math.inf

    def __len__(self) -> int:
        """Instructions in doubt."""
        return sum(len(each.open) for each in self._doubts.values())

    @property
    def orders(self) -> list[str]:
        """The orders that are in doubt, or whose request under way is."""
        return list(self._by_order)

    # -- what is not known ---------------------------------------------------------------------------------------

    def doubt(self, request: Request, at_ms: int, why: str, order_ids: Sequence[str] | None = None) -> None:
        """It is not known what became of a call. Orders that it places are in doubt, and their strategies are told.

        Args:
            at_ms: now: what is looked at from now on counts.
            why: a few words.
            order_ids: the instructions in doubt; None: all of the request.
        """
        placing = [
            each.order_id
            for each in request.instructions
            if isinstance(each, PlaceInstruction) and (order_ids is None or each.order_id in order_ids)
        ]
        logger.warning(
            "Request %s of market %s (%s): outcome unknown: %s",
            request.request_id,
            request.market_id,
            request.kind,
            why,
        )
        self._report("in_doubt", request.market_id, f"{request.kind} {request.request_id}: outcome unknown: {why}")
        if placing:
            reports = tuple([Report(each, PLACE, FAILURE) for each in placing])
            self._answer(request, UNKNOWN, reports, at_ms, why)
        self._open(request, at_ms, order_ids, at_ms + _LOOK_MS / 4)

    def expect(self, request: Request, at_ms: int, order_ids: Sequence[str] | None = None) -> None:
        """Orders were taken asynchronously: the stream tells what becomes of them. If it does not, look for them."""
        self._open(request, at_ms, order_ids, self._decide_at(request, at_ms))

    def _decide_at(self, request: Request, at_ms: int) -> float:
        return at_ms + self._appears_ms + request.bet_delay * 1000

    def _open(self, request: Request, at_ms: int, order_ids: Sequence[str] | None, look_from: float) -> None:
        open_ = {
            each.order_id: each for each in request.instructions if order_ids is None or each.order_id in order_ids
        }
        if not open_:
            return
        known = {}
        for each in open_.values():
            bet = self._bets.of(each.order_id, getattr(each, "bet_id", None))
            sharing = [] if bet is None else self._bets.sharing(bet.order_ref)
            known[each.order_id] = frozenset(
                other.bet_id for other in sharing if other.bet_id is not None and other.order_id is not None
            )
        doubt = _Doubt(request, open_, at_ms, self._decide_at(request, at_ms), look_from, known)
        self._doubts[request.request_id] = doubt
        self._by_order.update(dict.fromkeys(open_, request.request_id))
        self.next_ms = min(self.next_ms, look_from)
        for order_id in list(open_):
            bet = self._bets.of(order_id, getattr(open_[order_id], "bet_id", None))
            if bet is not None and bet.fact is not None:
                self.take_fact(bet.fact, at_ms)

    def blind(self) -> None:
        """The order stream is down: an end that it would have told may have been missed.

        Cleared lists may be late: what they do not show is looked for twice before it counts as not placed.
        """
        for doubt in self._doubts.values():
            doubt.looks_left = 2

    def take_fact(self, fact: OrderFact, at_ms: int) -> None:
        """A source tells of a bet of this instance: that may be what was asked."""
        order_id = fact.order_id
        if order_id is not None and order_id in self._given_up:
            market_id, request_id = self._given_up.pop(order_id)
            text = f"order {order_id} of request {request_id} was given up as not placed, and is bet {fact.bet_id}"
            logger.error("Market %s: %s", market_id, text)
            self._report("adopted", market_id, text)
        if not self._doubts:
            return
        bet = self._bets.of(order_id, fact.bet_id)
        if bet is None:
            return
        for name in {order_id, bet.order_id}:
            doubt = self._doubts.get(self._by_order.get(name or "", ""))
            if doubt is None or name is None:
                continue
            asked = doubt.open[name]
            if isinstance(asked, PlaceInstruction):
                self._found_placed(doubt, asked, fact, at_ms)
            elif isinstance(asked, CancelInstruction) and fact.bet_id in (None, asked.bet_id):
                self._judge_cancel(doubt, asked, fact, at_ms, read=False)
            elif isinstance(asked, UpdateInstruction) and fact.bet_id in (None, asked.bet_id):
                self._judge_update(doubt, asked, fact, at_ms, read=False)
            # A replace takes two bets: a look reads both.

    def forget(self, market_ids: Sequence[str]) -> None:
        """Forget markets that are over."""
        gone = set(market_ids)
        for request_id in [key for key, doubt in self._doubts.items() if doubt.request.market_id in gone]:
            for order_id in self._doubts.pop(request_id).open:
                self._by_order.pop(order_id, None)
        self._given_up = {key: each for key, each in self._given_up.items() if each[0] not in gone}

    # -- looking -------------------------------------------------------------------------------------------------

    def wake(self, at_ms: int) -> None:
        """Look, if it is time."""
        if self._looking or at_ms < self.next_ms:
            return
        self.next_ms = math.inf
        if not self._doubts:
            return
        refs, ids = set(), set()
        for doubt in self._doubts.values():
            for each in doubt.open.values() if doubt.look_from <= at_ms else ():
                if isinstance(each, PlaceInstruction):
                    refs.add(each.customer_order_ref)
                    continue
                bet = self._bets.of(each.order_id, each.bet_id)
                if isinstance(each, ReplaceInstruction) and bet is not None and bet.order_ref:
                    refs.add(bet.order_ref)
                if each.bet_id is not None:
                    ids.add(each.bet_id)
        deciding = any(at_ms >= doubt.decide_at for doubt in self._doubts.values())
        changing = bool(ids)
        self._looking = True
        BetLook(
            self._lists,
            self._bets.venue,
            self._bets.username,
            self._bets.latest + 1,
            refs,
            ids,
            deciding or changing,
            lambda found: self._looked(at_ms, deciding or changing, found),
        ).begin()

    def _looked(self, began: int, everywhere: bool, found: list[ForeignBet] | None) -> None:
        self._looking = False
        if found is None:
            self._failures += 1
            wait = min(_RETRY_MS * 2 ** (self._failures - 1), _RETRY_MOST_MS)
            self.next_ms = began + wait
            logger.warning("What is in doubt could not be looked for; again in %d s", wait // 1000)
            return
        self._failures = 0
        by_ref: dict[str, list[ForeignBet]] = {}
        by_id: dict[str, ForeignBet] = {}
        for bet in found:
            by_ref.setdefault(bet.order_ref, []).append(bet)
            by_id[bet.bet_id] = bet
        for doubt in list(self._doubts.values()):
            if doubt.since > began:
                continue
            late = everywhere and began >= doubt.decide_at
            decisive = late and doubt.looks_left <= 1
            if late:
                doubt.looks_left -= 1
            for asked in list(doubt.open.values()):
                if isinstance(asked, PlaceInstruction):
                    self._look_placed(doubt, asked, by_ref, began, decisive)
                elif isinstance(asked, ReplaceInstruction):
                    self._look_replaced(doubt, asked, by_ref, by_id, began, decisive)
                else:
                    self._look_changed(doubt, asked, by_id, began, decisive)
        if self._doubts:
            self.next_ms = min(
                max(doubt.look_from, min(began + _LOOK_MS, doubt.decide_at if doubt.decide_at > began else math.inf))
                for doubt in self._doubts.values()
            )

    def _look_placed(
        self,
        doubt: _Doubt,
        asked: PlaceInstruction,
        by_ref: dict[str, list[ForeignBet]],
        began: int,
        decisive: bool,
    ) -> None:
        bets = by_ref.get(asked.customer_order_ref, [])
        if bets:
            assert bets[0].fact is not None
            self._found_placed(doubt, asked, bets[0].fact, began)
        elif decisive:
            self._close(doubt, asked.order_id)
            self._given_up[asked.order_id] = (doubt.request.market_id, doubt.request.request_id)
            waited = f"{(began - doubt.since) / 1000:.0f} s"
            why = f"not placed: neither the stream nor the lists have shown it within {waited}"
            self._report("not_placed", doubt.request.market_id, f"order {asked.order_id}: {why}")
            self._answer(doubt.request, EXPIRED, (Report(asked.order_id, PLACE, FAILURE),), began, why)

    def _found_placed(self, doubt: _Doubt, asked: PlaceInstruction, fact: OrderFact, at_ms: int) -> None:
        self._close(doubt, asked.order_id)
        bet = self._bets.of(asked.order_id, fact.bet_id)
        placed_at = None if bet is None else bet.placed_at
        report = Report(asked.order_id, PLACE, SUCCESS, bet_id=fact.bet_id, size=fact.matched, placed_at=placed_at)
        self._answer(doubt.request, ANSWERED, (report,), at_ms)
        self._tell(fact)

    def _look_changed(
        self,
        doubt: _Doubt,
        asked: CancelInstruction | UpdateInstruction,
        by_id: dict[str, ForeignBet],
        began: int,
        decisive: bool,
    ) -> None:
        bet = by_id.get(asked.bet_id or "")
        if bet is None or bet.fact is None:
            if decisive:
                self._refuse(doubt, asked, TAKEN, began)  # it is nowhere: there is nothing left to change
            return
        self._tell(bet.fact)
        if asked.order_id not in doubt.open:
            return
        if isinstance(asked, UpdateInstruction):
            self._judge_update(doubt, asked, bet.fact, began, read=True)
        else:
            self._judge_cancel(doubt, asked, bet.fact, began, read=True, decisive=decisive)

    def _judge_cancel(
        self,
        doubt: _Doubt,
        asked: CancelInstruction,
        fact: OrderFact,
        at_ms: int,
        *,
        read: bool,
        decisive: bool = False,
    ) -> None:
        """By how the bet stands. `read`: a look that began since then says so; what the stream said may be older."""
        cancelled = self._cancelled(asked, fact)
        if cancelled > 0:
            self._close(doubt, asked.order_id)
            report = Report(asked.order_id, CANCEL, SUCCESS, size=cancelled)
            self._answer(doubt.request, ANSWERED, (report,), at_ms)
        elif not fact.executable:
            self._refuse(doubt, asked, TAKEN, at_ms)
        elif read and (asked.size_reduction is None or decisive):
            # A cancel of all that remains may be repeated at once; one of a part only when it can no longer come.
            self._refuse(doubt, asked, TIMEOUT, at_ms)

    def _judge_update(
        self, doubt: _Doubt, asked: UpdateInstruction, fact: OrderFact, at_ms: int, *, read: bool
    ) -> None:
        if fact.persistence_type == asked.new_persistence_type:
            self._close(doubt, asked.order_id)
            self._answer(doubt.request, ANSWERED, (Report(asked.order_id, UPDATE, SUCCESS),), at_ms)
        elif not fact.executable:
            self._refuse(doubt, asked, TAKEN, at_ms)
        elif read:
            self._refuse(doubt, asked, TIMEOUT, at_ms)

    def _look_replaced(
        self,
        doubt: _Doubt,
        asked: ReplaceInstruction,
        by_ref: dict[str, list[ForeignBet]],
        by_id: dict[str, ForeignBet],
        began: int,
        decisive: bool,
    ) -> None:
        old = by_id.get(asked.bet_id or "")
        reference = old.order_ref if old is not None else ""
        known = doubt.known.get(asked.order_id, frozenset())
        later = [bet for bet in by_ref.get(reference, []) if reference and bet.bet_id not in known and bet is not old]
        made = later[-1] if later else None
        if old is not None and old.fact is not None:
            self._tell(old.fact)
        if made is not None and made.fact is not None:
            size = made.fact.size if old is None or old.fact is None else self._cancelled(asked, old.fact)
            cancel = Report(asked.order_id, CANCEL, SUCCESS, size=size or made.fact.size)
            reports = [cancel]
            if asked.new_order_id is not None:
                reports.append(Report(asked.new_order_id, PLACE, SUCCESS, bet_id=made.bet_id, size=made.fact.matched))
            self._close(doubt, asked.order_id)
            self._answer(doubt.request, ANSWERED, tuple(reports), began)
            self._tell(made.fact)
            return
        if old is None or old.fact is None:
            if decisive:
                self._refuse(doubt, asked, TAKEN, began)
            return
        cancelled = self._cancelled(asked, old.fact)
        if not old.fact.executable and not cancelled:
            self._refuse(doubt, asked, TAKEN, began)
        elif decisive and cancelled:
            self._close(doubt, asked.order_id)
            made_not = [Report(asked.order_id, CANCEL, SUCCESS, size=cancelled)]
            if asked.new_order_id is not None:
                made_not.append(Report(asked.new_order_id, PLACE, FAILURE, error_code=NOT_PLACED))
            self._answer(doubt.request, ANSWERED, tuple(made_not), began)
        elif decisive:
            self._refuse(doubt, asked, TIMEOUT, began)

    def _cancelled(self, asked: CancelInstruction | ReplaceInstruction, fact: OrderFact) -> float:
        """What of a bet was cancelled since the request was sent."""
        bet = self._bets.of(asked.order_id, asked.bet_id)
        before = 0.0 if bet is None else bet.cancelled_before
        return max(round(fact.cancelled - before, 2), 0.0)

    # -- answers -------------------------------------------------------------------------------------------------

    def _refuse(self, doubt: _Doubt, asked: Instruction, code: str, at_ms: int) -> None:
        """A change was not carried out."""
        self._close(doubt, asked.order_id)
        operation = UPDATE if isinstance(asked, UpdateInstruction) else CANCEL
        report = Report(asked.order_id, operation, FAILURE, error_code=code)
        self._answer(doubt.request, ANSWERED, (report,), at_ms)

    def _close(self, doubt: _Doubt, order_id: str) -> None:
        doubt.open.pop(order_id, None)
        self._by_order.pop(order_id, None)
        if not doubt.open:
            self._doubts.pop(doubt.request.request_id, None)

    def _answer(
        self, request: Request, outcome: str, reports: tuple[Report, ...], at_ms: int, why: str | None = None
    ) -> None:
        self._tell(Reply(request.request_id, request.market_id, at_ms, outcome, reports, reason=why))
