"""Requests of one account on their way to the exchange, and what is answered to them.

A request becomes one call, or several where the exchange takes no more instructions at once. What comes of a call is
classified (`classification`): answers are passed on; what was not sent is tried again until it is too late; what may
have been done, and is not known to be, is answered UNKNOWN, and a placing is never sent again. Cancels of whole bets
and changes of persistence are safe to repeat, and are repeated. Cancels of a part, and replaces, are not: whoever
reads the bets first may take their answer over (`hold`).
"""

from __future__ import annotations

import collections
import functools
import itertools
import logging
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec

from ...config import Config
from ...strategies.messages import (
    ANSWERED,
    CANCEL,
    EXPIRED,
    FAILURE,
    PLACE,
    REPLACE,
    SUCCESS,
    UNKNOWN,
    UPDATE,
    CancelInstruction,
    Instruction,
    OrderFact,
    PlaceInstruction,
    Reply,
    Report,
    Request,
)
from ...strategies.order_package import chunks
from ...values import UNREADABLE
from ..exchange import Answer
from . import classification
from .api import Api, Question
from .calls import ANSWER_S, FIRST, ORDERS, SECOND
from .classification import PASSING_CODES
from .placing import CHANGE_LIMIT, OPERATIONS, Judged, all_failed, all_unknown, cancel_params, judge, params_of

logger = logging.getLogger("headrace")

#: The bet is over, and cannot be changed any more.
TAKEN = "BET_TAKEN_OR_LAPSED"
#: The bet has no number yet.
IN_PROGRESS = "BET_IN_PROGRESS"
#: Of an instruction that was not done because of the call that it came in.
_SOMETHING = "ERROR_IN_ORDER"
#: Seconds before a change is tried again: first, doubled each time, and at most.
_BACK_OFF_S, _MOST_BACK_OFF_S = 0.25, 2.0
#: Calls whose times are kept.
_TIMES = 1_000

Key = TypeVar("Key")
#: May take over an answer whose outcome is unknown: True: it is answered later, by others.
Hold = Callable[[Request, Reply], bool]
#: Told what became of cancels, by bet id: empty: cancelled; the exchange's code; UNKNOWN; or EXPIRED: not sent.
Cancelled = Callable[[dict[str, str]], object]


class Execution:
    """The way of an account's requests. `execute_place` and its kin may be overridden (`execution_cls`).

    Args:
        api: the account's.
        answer: takes replies and facts.
        reference: the strategy reference by which this system's bets are known, at most 15 characters. It is sent with
            all of them, whatever a request says: the order stream acts on no other.
        place_limit: most instructions in a call that places.

    Attributes:
        answer: takes replies and facts.
        hold: see `Hold`; None: everything is answered at once.
        times_ms: how long the last calls took that were answered, milliseconds.
    """

    def __init__(
        self,
        api: Api,
        answer: Callable[[Answer], object],
        config: Config,
        reference: str,
        place_limit: int = 200,
    ) -> None:
        self.api = api
        self.calls = api.calls
        self.hold: Hold | None = None
        self.times_ms: collections.deque[int] = collections.deque(maxlen=_TIMES)
        self._worst_ms = 0
        self.answer = answer
        self._attempts = config.execution_retry_attempts
        self._reference = reference
        self._limits = {PLACE: place_limit, REPLACE: min(place_limit, CHANGE_LIMIT)}
        self._prefix = uuid.uuid4().hex[:20]
        self._numbers = itertools.count()
        #: Orders that are placed later than they are answered: their market; and their bets, once they are known.
        self._pending: dict[str, str] = {}
        self._bet_ids: dict[str, str] = {}
        #: Cancels that wait for the bet's number, by order.
        self._wishes: dict[str, tuple[Request, CancelInstruction]] = {}

    def take_worst_ms(self) -> int:
        """Of the calls that have ended since this was last asked, how long the longest took, less its bet delay."""
        found, self._worst_ms = self._worst_ms, 0
        return found

    # -- steps ---------------------------------------------------------------------------------------------------

    def send(self, request: Request) -> None:
        """Take a request: it is answered later, by replies and facts."""
        {
            PLACE: self.execute_place,
            CANCEL: self.execute_cancel,
            UPDATE: self.execute_update,
            REPLACE: self.execute_replace,
        }[request.kind](request)

    def execute_place(self, request: Request) -> None:
        """Send a request that places."""
        if request.async_:
            for each in request.instructions:
                self._pending[each.order_id] = request.market_id
        self._call(request, request.instructions)

    def execute_cancel(self, request: Request) -> None:
        """Send a request that cancels; what has no number yet is cancelled when it comes."""
        self._call(request, [each for each in map(self._numbered, request.instructions) if self._can(request, each)])

    def execute_update(self, request: Request) -> None:
        """Send a request for another persistence."""
        self._call(request, [each for each in map(self._numbered, request.instructions) if self._can(request, each)])

    def execute_replace(self, request: Request) -> None:
        """Send a request that replaces."""
        numbered = [each for each in map(self._numbered, request.instructions) if self._can(request, each)]
        if request.async_:
            for each in numbered:
                new_id = getattr(each, "new_order_id", None)
                if new_id is not None:
                    self._pending[new_id] = request.market_id
        self._call(request, numbered)

    # -- calls ---------------------------------------------------------------------------------------------------

    def _call(self, request: Request, instructions: Sequence[Instruction], tried: int = 0) -> None:
        for chunk in chunks(instructions, self._limits.get(request.kind, CHANGE_LIMIT)):
            cancels = request.kind == CANCEL
            self.api.ask(
                Question(
                    OPERATIONS[request.kind],
                    params_of(request, chunk, self._customer_ref(), self._reference),
                    functools.partial(self._answered, request, chunk, tried),
                    room=ORDERS,
                    urgency=FIRST if cancels else SECOND,
                    at_once=True,
                    answer_s=ANSWER_S + (request.bet_delay if request.kind in (PLACE, REPLACE) else 0),
                    send_by_ms=None if cancels else request.deadline,  # a late cancel is better than none
                    repeats=self._attempts,
                )
            )

    def _customer_ref(self) -> str:
        return f"{self._prefix}{next(self._numbers):012x}"

    def _answered(
        self, request: Request, instructions: Sequence[Instruction], tried: int, answer: classification.Answer
    ) -> None:
        kind = request.kind
        if answer.verdict == classification.NOT_SENT:
            self._reply(request, EXPIRED, [Report(each.order_id, kind, FAILURE) for each in instructions], answer.why)
            self._drop(each.order_id for each in instructions)
            return
        took_ms = answer.ended_ms - answer.begun_ms
        waited_ms = round(request.bet_delay * 1000) if kind in (PLACE, REPLACE) else 0
        self._worst_ms = max(self._worst_ms, took_ms - waited_ms)
        if answer.verdict == classification.ANSWERED:
            self.times_ms.append(took_ms)
            judged = judge(kind, request.market_id, instructions, answer.result)
        elif answer.verdict == classification.REFUSED:
            changes = kind in (CANCEL, UPDATE)  # nothing was done of them, not even of a part
            if answer.code in PASSING_CODES and changes and self._repeated(request, instructions, tried):
                return
            logger.warning("%s of market %s: %s", OPERATIONS[kind], request.market_id, answer.why)
            judged = all_failed(kind, instructions, answer.code)
        else:
            logger.warning("%s of market %s: outcome unknown: %s", OPERATIONS[kind], request.market_id, answer.why)
            judged = all_unknown(kind, instructions)
            judged.reason = answer.why
        self._tell(request, instructions, tried, judged)

    def _tell(self, request: Request, instructions: Sequence[Instruction], tried: int, judged: Judged) -> None:
        """Answer what is known, and what is not."""
        placed = request.kind == PLACE
        if placed:
            for fact in judged.facts:
                self.answer(fact)
        if judged.reports:
            failed = any(report.status == FAILURE for report in judged.reports)
            self._reply(request, ANSWERED, judged.reports, judged.reason if failed else None)
            self._drop(
                report.order_id
                for report in judged.reports
                if report.operation == PLACE and (report.status == FAILURE or report.bet_id is not None)
            )
        if not placed:
            for fact in judged.facts:
                self.answer(fact)
        if judged.unknown:
            unknown = {report.order_id for report in judged.unknown}
            again = [each for each in instructions if each.order_id in unknown and _repeatable(each, request.kind)]
            if self._repeated(request, again, tried):
                unknown -= {each.order_id for each in again}
            self._reply(request, UNKNOWN, [each for each in judged.unknown if each.order_id in unknown], judged.reason)

    def _repeated(self, request: Request, instructions: Sequence[Instruction], tried: int) -> bool:
        """Ask again after a while; False if there is nothing to ask for, or it was asked for often enough."""
        if not instructions or tried >= self._attempts:
            return False
        wait_s = min(_BACK_OFF_S * 2**tried, _MOST_BACK_OFF_S)
        self.calls.later(
            self.calls.clock_ms() + wait_s * 1000, functools.partial(self._call, request, instructions, tried + 1)
        )
        return True

    def _reply(self, request: Request, outcome: str, reports: Sequence[Report], reason: str | None = None) -> None:
        if not reports:
            return
        reply = Reply(
            request.request_id, request.market_id, self.calls.clock_ms(), outcome, tuple(reports), reason=reason
        )
        if outcome != UNKNOWN or self.hold is None or not self.hold(request, reply):
            self.answer(reply)

    def recall(self, market_id: str, order_ids: Iterable[str]) -> None:
        """Orders of a former coordinator are placed later than they are answered, or may be: they have no number."""
        self._pending.update(dict.fromkeys(order_ids, market_id))

    # -- bets without a number -----------------------------------------------------------------------------------

    def _numbered(self, asked: Instruction) -> Instruction:
        if isinstance(asked, PlaceInstruction) or asked.bet_id is not None:
            return asked
        return msgspec.structs.replace(asked, bet_id=self._bet_ids.get(asked.order_id))

    def _can(self, request: Request, asked: Instruction) -> bool:
        """Whether a bet can be changed: its number is known. A cancel is remembered until it is."""
        if isinstance(asked, PlaceInstruction) or asked.bet_id is not None:
            return True
        if isinstance(asked, CancelInstruction) and asked.order_id in self._pending:
            self._wishes[asked.order_id] = (request, asked)
        else:
            operation = CANCEL if request.kind == REPLACE else request.kind
            self._reply(request, ANSWERED, [Report(asked.order_id, operation, FAILURE, IN_PROGRESS)], IN_PROGRESS)
        return False

    def take_fact(self, fact: OrderFact) -> None:
        """A bet is seen: what waits for its number goes on."""
        order_id = fact.order_id
        if order_id is None or order_id not in self._pending:
            return
        if fact.executable and fact.bet_id is not None:
            self._bet_ids[order_id] = fact.bet_id
        wish = self._wishes.pop(order_id, None)
        if not fact.executable:
            self._drop([order_id])
        if wish is None:
            return
        request, asked = wish
        if fact.executable and fact.bet_id is not None:
            self._call(request, [msgspec.structs.replace(asked, bet_id=fact.bet_id)])
        elif fact.executable:
            self._wishes[order_id] = wish
        else:
            self._reply(request, ANSWERED, [Report(order_id, CANCEL, FAILURE, TAKEN, fact.bet_id)], TAKEN)

    def _drop(self, order_ids: Iterable[str]) -> None:
        for order_id in order_ids:
            self._pending.pop(order_id, None)
            self._bet_ids.pop(order_id, None)

    def forget(self, market_id: str) -> None:
        """A market is given up: nothing of it is remembered."""
        for order_id in [each for each, market in self._pending.items() if market == market_id]:
            self._drop([order_id])
            self._wishes.pop(order_id, None)

    # -- cancels that nobody asked the controls about ------------------------------------------------------------

    def cancel(self, market_id: str, bet_ids: Iterable[str], done: Cancelled | None = None) -> None:
        """Cancel bets of a market whole, for a stop: in calls of 60, repeated until the exchange has answered.

        Args:
            done: told once, when all is answered, or `execution_retry_attempts` is used up.
        """
        wanted = list(dict.fromkeys(bet_ids))
        told: dict[str, str] = {}

        def answered(found: dict[str, str]) -> None:
            told.update(found)
            if len(told) == len(wanted) and done is not None:
                done(told)

        if not wanted and done is not None:
            done(told)
        for chunk in chunks(wanted, CHANGE_LIMIT):
            self._cancel(market_id, chunk, answered, 0)

    def _cancel(self, market_id: str, bet_ids: Sequence[str], done: Cancelled, tried: int) -> None:
        def answered(answer: classification.Answer) -> None:
            codes = _codes(market_id, bet_ids, answer)
            again = [each for each in bet_ids if codes[each] in (UNKNOWN, EXPIRED) or codes[each] in PASSING_CODES]
            if again and tried < self._attempts:
                wait_s = min(_BACK_OFF_S * 2**tried, _MOST_BACK_OFF_S)
                at = self.calls.clock_ms() + wait_s * 1000
                self.calls.later(at, lambda: self._cancel(market_id, again, done, tried + 1))
                codes = {each: code for each, code in codes.items() if each not in again}
            if codes:
                done(codes)

        params = cancel_params(market_id, bet_ids, self._customer_ref())
        self.api.ask(Question("cancelOrders", params, answered, room=ORDERS, urgency=FIRST, at_once=True))

    def cancel_account(self, done: Callable[[str], object]) -> None:
        """Cancel all limit bets of the account, those placed elsewhere among them.

        Args:
            done: told why it has failed; empty: the exchange has taken it.
        """

        def answered(answer: classification.Answer) -> None:
            if answer.verdict != classification.ANSWERED:
                done(answer.why or answer.code)
                return
            try:
                status = msgspec.json.decode(answer.result).get("status")
            except (*UNREADABLE, AttributeError):
                status = None
            done("" if status == SUCCESS else f"the exchange answers {status}: some bets may be left")

        self.api.ask(Question("cancelOrders", {}, answered, room=ORDERS, urgency=FIRST, at_once=True))


def _repeatable(asked: Instruction, kind: str) -> bool:
    """Whether it does no harm to do it twice: a cancel of all that remains, and a persistence."""
    return kind == UPDATE or (isinstance(asked, CancelInstruction) and asked.size_reduction is None)


def _codes(market_id: str, bet_ids: Sequence[str], answer: classification.Answer) -> dict[str, str]:
    """What became of cancels, by bet."""
    if answer.verdict == classification.NOT_SENT:
        return dict.fromkeys(bet_ids, EXPIRED)
    if answer.verdict == classification.REFUSED:
        return dict.fromkeys(bet_ids, answer.code)
    if answer.verdict == classification.UNKNOWN:
        return dict.fromkeys(bet_ids, UNKNOWN)
    judged = judge(CANCEL, market_id, [CancelInstruction(each, each) for each in bet_ids], answer.result)
    codes = {report.order_id: report.error_code or "" for report in judged.reports}
    if judged.reason:
        # The market's reason, such as that it is suspended, says more than that something was wrong with an order.
        codes = {bet_id: judged.reason if code == _SOMETHING else code for bet_id, code in codes.items()}
    return codes | {report.order_id: UNKNOWN for report in judged.unknown}
