"""Where an order stands: a machine of values, without a clock, a market or an exchange.

Two facts are kept apart: where the order stands, and which request about it is under way. Strategies make local moves,
which are guarded: an order that cannot be cancelled raises. What the exchange tells is taken, whatever it is: replies
and facts come in any order, late, twice or not at all, and whoever has taken the same ones stands at the same place.

Of facts the one that accounts for more wins, then the later one. Of replies the one that says more wins. Facts win over
replies: a bet that the exchange shows exists, whatever an answer said.
"""

from __future__ import annotations

import itertools
from typing import Any, ClassVar, NamedTuple

from . import messages
from .errors import OrderError
from .messages import OrderFact, Report
from .statuses import Status


class OrderStatus(Status):
    """The state of an order, by flumine's names."""

    __slots__ = ()

    PENDING: ClassVar[Any] = "Pending"
    CANCELLING: ClassVar[Any] = "Cancelling"
    UPDATING: ClassVar[Any] = "Updating"
    REPLACING: ClassVar[Any] = "Replacing"
    EXECUTABLE: ClassVar[Any] = "Executable"
    EXECUTION_COMPLETE: ClassVar[Any] = "Execution complete"
    EXPIRED: ClassVar[Any] = "Expired"
    VIOLATION: ClassVar[Any] = "Violation"


class Stand(Status):
    """Where an order stands.

    NEW: not sent. SENT: on its way. IN_DOUBT: sent, and nobody knows whether it arrived. LIVE: a bet at the exchange.
    DONE: the exchange has nothing more to do with it. NOT_PLACED: it never reached the exchange. REFUSED: by a control.
    """

    __slots__ = ()

    NEW: ClassVar[Any] = "New"
    SENT: ClassVar[Any] = "Sent"
    IN_DOUBT: ClassVar[Any] = "In doubt"
    LIVE: ClassVar[Any] = "Live"
    DONE: ClassVar[Any] = "Done"
    NOT_PLACED: ClassVar[Any] = "Not placed"
    REFUSED: ClassVar[Any] = "Refused"


LIVE_STATUS = frozenset(
    {
        OrderStatus.PENDING,
        OrderStatus.CANCELLING,
        OrderStatus.UPDATING,
        OrderStatus.REPLACING,
        OrderStatus.EXECUTABLE,
    }
)
COMPLETE_STATUS = frozenset({OrderStatus.EXECUTION_COMPLETE, OrderStatus.EXPIRED, OrderStatus.VIOLATION})


class State:
    """Where an order stands, and the request about it that is under way. There is one object of each.

    Attributes:
        stand: where it stands.
        request: CANCEL, UPDATE, REPLACE or None.
        status: flumine's name of it; None of an order that is new.
        complete: whether the status is an end.
        next: where a move that is made here may lead.
    """

    __slots__ = ("complete", "next", "request", "stand", "status")

    def __init__(self, stand: Stand, status: OrderStatus | None, request: str | None = None) -> None:
        self.stand = stand
        self.request = request
        self.status = status
        self.complete = status in COMPLETE_STATUS
        self.next: tuple[State, ...] = ()

    def __reduce__(self) -> tuple[object, ...]:
        return _state, (self.stand, self.request)

    def __deepcopy__(self, memo: dict[int, object]) -> State:
        return self

    def __repr__(self) -> str:
        return f"<State {self.stand.name}{f' {self.request}' if self.request else ''}>"


NEW, SENT = State(Stand.NEW, None), State(Stand.SENT, OrderStatus.PENDING)
IN_DOUBT, LIVE = State(Stand.IN_DOUBT, OrderStatus.PENDING), State(Stand.LIVE, OrderStatus.EXECUTABLE)
CANCELLING = State(Stand.LIVE, OrderStatus.CANCELLING, messages.CANCEL)
UPDATING = State(Stand.LIVE, OrderStatus.UPDATING, messages.UPDATE)
REPLACING = State(Stand.LIVE, OrderStatus.REPLACING, messages.REPLACE)
DONE, NOT_PLACED = State(Stand.DONE, OrderStatus.EXECUTION_COMPLETE), State(Stand.NOT_PLACED, OrderStatus.EXPIRED)
REFUSED = State(Stand.REFUSED, OrderStatus.VIOLATION)

#: The transition table: where an order may go from each state by a move that is made here.
NEXT: dict[State, tuple[State, ...]] = {
    NEW: (SENT, REFUSED),
    SENT: (LIVE, DONE, IN_DOUBT, NOT_PLACED, REFUSED),
    IN_DOUBT: (LIVE, DONE, NOT_PLACED),
    LIVE: (CANCELLING, UPDATING, REPLACING, DONE),
    CANCELLING: (LIVE, DONE),
    UPDATING: (LIVE, DONE),
    REPLACING: (LIVE, DONE),
    DONE: (),
    NOT_PLACED: (),
    REFUSED: (),
}
for _each, _following in NEXT.items():
    _each.next = _following


def _state(stand: Stand, request: str | None) -> State:
    return next(state for state in NEXT if state.stand is stand and state.request == request)


_ENDS = (Stand.DONE, Stand.NOT_PLACED, Stand.REFUSED)

#: What is known of a placing by replies alone: that which says more wins.
_EVIDENCE = {
    messages.UNKNOWN: (1, IN_DOUBT),
    messages.EXPIRED: (2, NOT_PLACED),
    messages.REFUSED: (3, REFUSED),
    messages.FAILURE: (4, DONE),
    messages.SUCCESS: (5, LIVE),
}
#: How a fact is compared with another of the same bet: size accounted for, time, what is void, the lower average.
_Key = tuple[float, int, float, float]


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
        size_matched, average_price_matched, size_remaining, size_cancelled, size_lapsed, size_voided: how far it got.
        fills: (time in milliseconds, price, size) of each fill, in order, where the exchange tells them.
    """

    __slots__ = (
        "_done",
        "_evidence",
        "_guarded",
        "_key",
        "average_price_matched",
        "bet_id",
        "complete",
        "error_code",
        "fills",
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
        self.size_matched = self.average_price_matched = 0.0
        self.size_remaining = remaining
        self.size_cancelled = self.size_lapsed = self.size_voided = 0.0
        self.fills: tuple[messages.Fill, ...] = ()
        self._guarded = guarded
        self._done = False
        self._evidence = 0
        self._key: _Key | None = None

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
            was, into = self.state.status, state.status
            raise OrderError(
                f"order {self._name()} is {was.name if was else 'new'}: it cannot become {into.name if into else 'new'}"
            )
        self._stand_at(state)

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
        bet_id = fact.bet_id
        if bet_id is not None and bet_id != self.bet_id:
            if self.bet_id is not None:
                return Taken(discrepancy=f"is bet {self.bet_id}, told of bet {bet_id}")
            self._numbered(bet_id)
        accounted = round(fact.matched + fact.cancelled + fact.lapsed + fact.voided, 2)
        key = (accounted, fact.at, fact.voided, -fact.average)
        known, discrepancy = self._key, None
        if known is not None:
            if key <= known:
                if key == known or fact.at <= known[1]:
                    return NOTHING
                return Taken(discrepancy=f"{accounted:.2f} accounted for at {fact.at}, and {known[0]:.2f} before")
            if fact.at < known[1] and accounted > known[0]:
                discrepancy = f"{accounted:.2f} accounted for at {fact.at}, and less later"
        self._key = key
        matched = fact.matched > self.size_matched
        self._size(fact)
        before = self.state
        if fact.executable:
            if before.stand is not Stand.LIVE:
                if before.stand in _ENDS:
                    discrepancy = discrepancy or f"is {before.stand.value.lower()}, told that it can be matched"
                self._stand_at(LIVE)
        elif fact.why is not None and bet_id is None and self.bet_id is None:
            if before.stand is not Stand.NOT_PLACED:
                self.not_placed = fact.why
                self._stand_at(NOT_PLACED)
        elif before.stand is not Stand.DONE:
            if before.stand is not Stand.LIVE and self.bet_id is not None:
                self._stand_at(LIVE)
            self._stand_at(DONE)
        return self._taken(before, matched, True, discrepancy)

    def _size(self, fact: OrderFact) -> None:
        self.size_matched = fact.matched
        self.average_price_matched = fact.average
        self.size_remaining = fact.remaining
        self.size_cancelled = fact.cancelled
        self.size_lapsed = fact.lapsed
        self.size_voided = fact.voided
        if fact.fills is not None:
            self.fills = fact.fills
        self._done = not fact.executable

    def take_report(self, request_id: str, report: Report) -> Taken:
        """Take the exchange's answer to an instruction. Never raises; the same again changes nothing."""
        if report.operation == messages.PLACE:
            return self._placed(report)
        if request_id == self.request_id and self.state.request is not None:
            self._answered(report)
            self._stand_at(LIVE)
        return NOTHING

    def _answered(self, report: Report) -> None:
        """The request under way has its answer."""

    def _placed(self, report: Report) -> Taken:
        discrepancy = None
        if report.status == messages.SUCCESS:
            if report.bet_id is not None and report.bet_id != self.bet_id:
                if self.bet_id is not None:
                    return Taken(discrepancy=f"is bet {self.bet_id}, told of bet {report.bet_id}")
                self._numbered(report.bet_id)
            if self.placed_ms is None or (report.placed_at or 0) > self.placed_ms:
                self.placed_ms = report.placed_at
        else:
            self.error_code = report.error_code
            if self.placed_ms is None:
                self.placed_ms = report.placed_at
            if self.bet_id is not None:
                discrepancy = f"is bet {self.bet_id}, told that it was not placed: {report.error_code}"
        return self._learn(report.status, discrepancy)

    def take_outcome(self, request_id: str, outcome: str, operation: str = messages.PLACE) -> Taken:
        """Take what became of a request that the exchange did not answer. Never raises.

        Args:
            outcome: REFUSED, EXPIRED or UNKNOWN.
            operation: what was asked for; what becomes of a cancel says nothing of the placing.
        """
        if operation != messages.PLACE:
            if request_id == self.request_id and self.state.request is not None:
                self._stand_at(LIVE)
            return NOTHING
        if self.state.stand is Stand.LIVE:
            return Taken(discrepancy=f"is live, told that its placing is {outcome.lower()}")
        if outcome == messages.EXPIRED and self.not_placed is None:
            self.not_placed = outcome
        return self._learn(outcome, None)

    def _learn(self, evidence: str, discrepancy: str | None) -> Taken:
        """Something is known of the placing; where a fact tells of the bet, that stands."""
        rank, state = _EVIDENCE[evidence]
        before = self.state
        if rank <= self._evidence:
            return NOTHING if discrepancy is None else Taken(discrepancy=discrepancy)
        self._evidence = rank
        if self._key is None and before.stand is not state.stand and before.stand is not Stand.LIVE:
            self._stand_at(state)
        return self._taken(before, False, False, discrepancy)

    def _taken(self, before: State, matched: bool, changed: bool, discrepancy: str | None) -> Taken:
        was, now = before.stand, self.state.stand
        went_live = now is Stand.LIVE and was is not Stand.LIVE
        taken = _TAKEN[went_live, matched, now in _ENDS and was not in _ENDS, changed]
        return taken if discrepancy is None else taken._replace(discrepancy=discrepancy)

    def _numbered(self, bet_id: str) -> None:
        self.bet_id = bet_id
