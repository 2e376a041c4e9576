"""Where an order stands: a machine of values, without a clock, a market or an exchange.

Two facts are kept apart: where the order stands, and which request about it is under way. Strategies make local moves,
which are guarded: an order that cannot be cancelled raises. What the exchange tells is taken, whatever it is: replies
and facts come in any order, late, twice or not at all, and whoever has taken the same ones stands at the same place.
The states, and the table of moves between them, are in `stands.py`.

Of facts the one that accounts for more wins, then the later one. Of replies the one that says more wins. Facts win over
replies: a bet that the exchange shows exists, whatever an answer said.

So these do not depend on the order of arrival, nor on repetitions: where the order stands and its status, the sizes,
the average, the fills, when it was first matched, the bet's number, when it was placed, and why it was not. These may:
`status_log`, which tells what was known here and when; `discrepancy`, which tells what contradicted what was known;
and, of an exchange that gives one order two numbers or two different refusals, which of them was the first.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple, NoReturn

from . import messages
from .errors import OrderError
from .fact_ranks import SAME_AVERAGE, accounted_of, earliest_match, rank_of, ties_of
from .messages import OrderFact, Report
from .stands import (
    BY_REPLIES,
    DONE,
    ENDS,
    EVIDENCE,
    KNOWN_ENDS,
    LIVE,
    NEW,
    NOT_PLACED,
    SENT,
    UNCONFIRMED,
    OrderStatus,
    Stand,
    State,
)


class Taken(NamedTuple):
    """What came of a message.

    Attributes:
        went_live: the order is a bet at the exchange now.
        matched: more of it is matched.
        ended: it has come to its end.
        changed: its sizes are others.
        discrepancy: what the message contradicts, in words.
    """

    went_live: bool = False
    matched: bool = False
    ended: bool = False
    changed: bool = False
    discrepancy: str | None = None


NOTHING = Taken()
#: What comes of being placed, where nothing else was known.
_WENT_LIVE = Taken(went_live=True)
#: What comes of most messages, by its first four facts.
_TAKEN = {
    (live, matched, ended, changed): Taken(live, matched, ended, changed)
    for live, matched, ended, changed in itertools.product((False, True), repeat=4)
}


class OrderState:
    """The state of one order.

    Attributes:
        state: where it stands, with the request under way.
        status, complete, status_log: the same by flumine's names: the status, whether it is an end, all so far.
        request_id: of the last request about it.
        bet_id: the exchange's number.
        placed_ms: when the bet met the market.
        error_code: why the exchange did not place it.
        not_placed: why it never reached the exchange.
        is_done: whether the exchange has said that nothing more can happen to it.
        size_matched, average_price_matched, size_remaining, size_cancelled, size_lapsed, size_voided: how far it got.
        fills: (time in milliseconds, price, size) of each fill, in order, where the exchange tells them.
        matched_ms: when something of it was first matched, where the exchange tells no fills: the earliest news.
    """

    __slots__ = (
        "_accounted",
        "_evidence",
        "_fact",
        "_guarded",
        "_told",
        "average_price_matched",
        "bet_id",
        "complete",
        "error_code",
        "fills",
        "is_done",
        "matched_ms",
        "not_placed",
        "placed_ms",
        "request_id",
        "size_cancelled",
        "size_lapsed",
        "size_matched",
        "size_remaining",
        "size_voided",
        "state",
        "status",
        "status_log",
    )

    id: str

    def __init__(self, remaining: float, guarded: bool = True) -> None:
        self.state = NEW
        self.status: OrderStatus | None = None
        self.status_log: list[OrderStatus] = []
        self.complete = False
        self.request_id: str | None = None
        self.bet_id: str | None = None
        self.placed_ms: int | None = None
        self.error_code: str | None = None
        self.not_placed: str | None = None
        self.is_done = False
        self.size_matched = self.average_price_matched = 0.0
        self.size_remaining = remaining
        self.size_cancelled = self.size_lapsed = self.size_voided = 0.0
        self.fills: tuple[messages.Fill, ...] = ()
        self.matched_ms: int | None = None
        self._guarded = guarded
        self._evidence = 0
        self._accounted = 0.0
        self._fact: OrderFact | None = None
        self._told: OrderFact | None = None

    @property
    def stand(self) -> Stand:
        """Where the order stands."""
        return self.state.stand

    # -- local moves ---------------------------------------------------------------------------------------------

    def move(self, state: State) -> None:
        """Go to another state.

        Raises:
            OrderError: the table does not lead there.
        """
        if self._guarded and state not in self.state.next:
            self._refuse_move(state)
        self._stand_at(state)

    def require_next(self, state: State) -> None:
        """Refuse a move that the table does not have.

        Raises:
            OrderError: names the order, its status and the one that it cannot have.
        """
        if self._guarded and state not in self.state.next:
            self._refuse_move(state)

    def _refuse_move(self, state: State) -> NoReturn:
        was, into = self.state.status, state.status
        raise OrderError(
            f"order {self._name()} is {was.name if was else 'new'}: it cannot become {into.name if into else 'new'}"
        )

    def _stand_at(self, state: State) -> None:
        before = self.status
        self.state = state
        self.status = status = state.status
        if status is not None:
            self.status_log.append(status)
        self.complete = state.complete
        self._moved(before)

    def _moved(self, before: OrderStatus | None) -> None:
        """The state is another. `before`: the status that it was."""

    def _name(self) -> str:
        return str(getattr(self, "id", ""))

    # -- what the exchange tells ---------------------------------------------------------------------------------

    def take_fact(self, fact: OrderFact) -> Taken:
        """Take how the bet stands, as somebody tells it. Never raises; the same again changes nothing.

        A fact of another bet changes nothing either: a replaced bet keeps its reference under a new number, so one
        reference may name several.
        """
        return self._take(fact)

    def _take(self, fact: OrderFact) -> Taken:
        bet_id, before = fact.bet_id, self.state
        numbered = False
        if bet_id is not None and bet_id != self.bet_id:
            if self.bet_id is not None:
                return self._another_bet(bet_id)
            numbered = True
            self._number(bet_id)
        accounted, known, discrepancy = accounted_of(fact), self._fact, None
        if known is not None:
            before_that, at = self._accounted, fact.at
            if accounted < before_that or (
                accounted == before_that and (at < known.at or (at == known.at and ties_of(fact) <= ties_of(known)))
            ):
                return self._take_late(fact, accounted, known, before, numbered)
            if at < known.at:
                discrepancy = f"{accounted:.2f} accounted for at {at}, and less later"
        self._accounted, self._fact = accounted, fact
        matched = fact.matched > self.size_matched
        self._size(fact)
        if not fact.executable:
            self._follow()
        elif before.stand is not Stand.LIVE:
            if before.stand in KNOWN_ENDS:
                discrepancy = discrepancy or f"is {before.stand.value.lower()}, told that it can be matched"
            self._follow()
        return self._taken(before, matched, True, discrepancy)

    def _take_late(self, fact: OrderFact, accounted: float, known: OrderFact, before: State, numbered: bool) -> Taken:
        """A fact that another has overtaken: its number and its fills may be news all the same."""
        changed = False
        if fact.fills is not None and known.fills is None:
            told = self._told
            if told is None or rank_of(told) < rank_of(fact):
                fills, self._told = self.fills, fact
                self._show_fills()
                changed = self.fills != fills
        elif fact.fills is None:
            self.matched_ms = earliest_match(self.matched_ms, fact)
        if numbered:
            self._follow()
        discrepancy = None
        if accounted < self._accounted and fact.at > known.at:
            discrepancy = f"{accounted:.2f} accounted for at {fact.at}, and {self._accounted:.2f} before"
        return self._taken(before, False, changed, discrepancy)

    def _size(self, fact: OrderFact) -> None:
        self.size_matched = fact.matched
        self.average_price_matched = fact.average
        self.size_remaining = fact.remaining
        self.size_cancelled = fact.cancelled
        self.size_lapsed = fact.lapsed
        self.size_voided = fact.voided
        if fact.fills is not None:
            self._told, self.fills = fact, fact.fills
        else:
            self.matched_ms = earliest_match(self.matched_ms, fact)
            if self._told is not None:
                self._show_fills()
        self.is_done = not fact.executable and fact.why != messages.UNCONFIRMED
        self._keep_to(fact)

    def _keep_to(self, fact: OrderFact) -> None:
        """The sizes are those of a fact; it also says what is asked for."""

    def told_fills(self) -> tuple[messages.Fill, ...]:
        """The fills; of an exchange that does not tell them one by one all as one, at the time of its last news."""
        fact = self._fact
        if self.fills or fact is None or fact.fills is not None or not self.size_matched:
            return self.fills
        return ((fact.at, self.average_price_matched, self.size_matched),)

    def _show_fills(self) -> None:
        """Fills that one source told hold while another tells of the same size at the same price, and no longer."""
        told = self._told
        assert told is not None
        same = told.matched == self.size_matched and abs(told.average - self.average_price_matched) < SAME_AVERAGE
        self.fills = told.fills or () if same else ()

    def _follow(self) -> None:
        """Stand where what is known leads: facts first, then replies."""
        fact, state = self._fact, BY_REPLIES[self._evidence]
        if fact is not None:
            unplaced = fact.why is not None and self.bet_id is None
            state = LIVE if fact.executable else NOT_PLACED if unplaced else DONE
            if fact.why == messages.UNCONFIRMED:
                state = UNCONFIRMED
        if state is None:
            return
        if state is not NOT_PLACED:
            self.not_placed = None
        elif fact is not None:
            self.not_placed = fact.why
        elif self.not_placed is None:
            self.not_placed = messages.EXPIRED
        stand = self.state.stand
        if state.stand is stand:
            return
        if fact is not None and state is DONE and stand is not Stand.LIVE and self.bet_id is not None:
            self._stand_at(LIVE)
        self._stand_at(state)

    def take_report(self, request_id: str, report: Report) -> Taken:
        """Take the exchange's answer to an instruction. Never raises; the same again changes nothing."""
        if report.operation == messages.PLACE:
            known = self._evidence
            taken = self._placed(report)
            self._placing_answered(report, self._evidence > known)
            return taken
        if request_id == self.request_id and self.state.request is not None:
            self._answered(report)
            self._stand_at(LIVE)
        self._change_answered(request_id, report)
        return NOTHING

    def _answered(self, report: Report) -> None:
        """The request under way has its answer."""

    def _placing_answered(self, report: Report, news: bool) -> None:
        """The placing has an answer. `news`: it says more than those before."""

    def _change_answered(self, request_id: str, report: Report) -> None:
        """A cancel or an update has an answer, perhaps not for the first time."""

    def _placed(self, report: Report) -> Taken:
        before, at = self.state, report.placed_at
        if report.status == messages.SUCCESS:
            if before is SENT and self._fact is None and self._evidence == 0 and self.bet_id is None:
                # Nothing was known of it, as of almost every order.
                if report.bet_id is not None:
                    self._number(report.bet_id)
                self.placed_ms, self._evidence = at, EVIDENCE[messages.SUCCESS]
                self._stand_at(LIVE)
                return _WENT_LIVE
            discrepancy = None
            if report.bet_id is not None and report.bet_id != self.bet_id:
                if self.bet_id is not None:
                    return self._another_bet(report.bet_id)
                self._number(report.bet_id)
            if self.error_code is not None:
                self.error_code = self.placed_ms = None
            if self._fact is None and before.stand in KNOWN_ENDS and self._evidence < EVIDENCE[messages.SUCCESS]:
                discrepancy = f"is {before.stand.value.lower()}, told that it was placed"
            if at is not None and (self.placed_ms is None or at > self.placed_ms):
                self.placed_ms = at
            return self._learn(before, report.status, discrepancy)
        if self.bet_id is not None or self._evidence == EVIDENCE[messages.SUCCESS]:
            bet = f"bet {self.bet_id}" if self.bet_id is not None else "placed"
            return self._learn(before, report.status, f"is {bet}, told that it was not placed: {report.error_code}")
        if self.error_code is None:
            self.error_code, self.placed_ms = report.error_code, at
        elif report.error_code != self.error_code:
            return Taken(discrepancy=f"was not placed for {self.error_code}, told of {report.error_code}")
        return self._learn(before, report.status, None)

    def take_outcome(self, request_id: str, outcome: str, operation: str = messages.PLACE) -> Taken:
        """Take what became of an instruction that the exchange did not answer. Never raises.

        Args:
            outcome: REFUSED, EXPIRED, UNKNOWN or UNCONFIRMED.
            operation: what was asked: PLACE, CANCEL, UPDATE or REPLACE. Of those about a bet none changes more than
                that it is no longer under way.
        """
        if operation != messages.PLACE:
            if request_id == self.request_id and self.state.request is not None:
                self._stand_at(LIVE)
            return NOTHING
        discrepancy = None
        exists = self.bet_id is not None or self._evidence == EVIDENCE[messages.SUCCESS]
        if exists and outcome not in (messages.UNKNOWN, messages.UNCONFIRMED):
            discrepancy = f"is bet {self.bet_id}, told that its placing is {outcome.lower()}"
        return self._learn(self.state, outcome, discrepancy)

    def _learn(self, before: State, evidence: str, discrepancy: str | None) -> Taken:
        """Something is known of the placing; where a fact tells of the bet, that stands.

        Args:
            before: where the order stood before the message.
        """
        rank = EVIDENCE[evidence]
        if rank > self._evidence:
            self._evidence = rank
            self._follow()
        elif self.state is before:
            return NOTHING if discrepancy is None else Taken(discrepancy=discrepancy)
        return self._taken(before, False, False, discrepancy)

    def decide(self, outcome: str) -> None:
        """It is decided here what became of the placing: a late reply that says less changes nothing of it."""
        self._evidence = max(self._evidence, EVIDENCE[outcome])

    def _taken(self, before: State, matched: bool, changed: bool, discrepancy: str | None) -> Taken:
        was, now = before.stand, self.state.stand
        went_live = now is Stand.LIVE and was is not Stand.LIVE
        taken = _TAKEN[went_live, matched, now in ENDS and was not in ENDS, changed]
        return taken if discrepancy is None else taken._replace(discrepancy=discrepancy)

    def _another_bet(self, bet_id: str | None) -> Taken:
        return Taken(discrepancy=f"is bet {self.bet_id}, told of bet {bet_id}")

    def _number(self, bet_id: str) -> None:
        """The bet's number is known: it exists, whatever an answer said."""
        if self.error_code is not None:
            self.error_code = self.placed_ms = None
        self._numbered(bet_id)

    def _numbered(self, bet_id: str) -> None:
        self.bet_id = bet_id
