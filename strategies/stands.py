"""The states of an order, and the one table of the moves between them."""

from __future__ import annotations

from typing import Any, ClassVar

from . import messages
from .statuses import Status


class OrderStatus(Status):
    """The state of an order, by flumine's names, and UNCONFIRMED (see `Stand`)."""

    __slots__ = ()

    PENDING: ClassVar[Any] = "Pending"
    CANCELLING: ClassVar[Any] = "Cancelling"
    UPDATING: ClassVar[Any] = "Updating"
    REPLACING: ClassVar[Any] = "Replacing"
    EXECUTABLE: ClassVar[Any] = "Executable"
    EXECUTION_COMPLETE: ClassVar[Any] = "Execution complete"
    EXPIRED: ClassVar[Any] = "Expired"
    VIOLATION: ClassVar[Any] = "Violation"
    UNCONFIRMED: ClassVar[Any] = "Unconfirmed"


class Stand(Status):
    """Where an order stands.

    NEW: not sent. SENT: on its way. IN_DOUBT: sent, and nobody knows whether it arrived. LIVE: a bet at the exchange.
    DONE: the exchange has nothing more to do with it. NOT_PLACED: it never reached the exchange. REFUSED: by a control.
    UNCONFIRMED: what became of it could not be learnt. It counts as if all of it could still be matched, and is looked
    for until its market is settled: what is found then stands.
    """

    __slots__ = ()

    NEW: ClassVar[Any] = "New"
    SENT: ClassVar[Any] = "Sent"
    IN_DOUBT: ClassVar[Any] = "In doubt"
    LIVE: ClassVar[Any] = "Live"
    DONE: ClassVar[Any] = "Done"
    NOT_PLACED: ClassVar[Any] = "Not placed"
    REFUSED: ClassVar[Any] = "Refused"
    UNCONFIRMED: ClassVar[Any] = "Unconfirmed"


LIVE_STATUS = frozenset(
    {
        OrderStatus.PENDING,
        OrderStatus.CANCELLING,
        OrderStatus.UPDATING,
        OrderStatus.REPLACING,
        OrderStatus.EXECUTABLE,
    }
)
COMPLETE_STATUS = frozenset(
    {OrderStatus.EXECUTION_COMPLETE, OrderStatus.EXPIRED, OrderStatus.VIOLATION, OrderStatus.UNCONFIRMED}
)
#: Ends after which nothing can happen to an order any more, as far as is known.
KNOWN_ENDS = (Stand.DONE, Stand.NOT_PLACED, Stand.REFUSED)
ENDS = (*KNOWN_ENDS, Stand.UNCONFIRMED)


class State:
    """Where an order stands, and the request about it that is under way. There is one object of each.

    Attributes:
        stand: where it stands.
        request: CANCEL, UPDATE, REPLACE or None.
        status: flumine's name of it; None of an order that is new.
        complete: whether the status is an end.
        over: whether nothing of the order can be matched any more: an end that is known to be one.
        next: where a move that is made here may lead.
    """

    __slots__ = ("complete", "next", "over", "request", "stand", "status")

    def __init__(self, stand: Stand, status: OrderStatus | None, request: str | None = None) -> None:
        self.stand = stand
        self.request = request
        self.status = status
        self.complete = status in COMPLETE_STATUS
        self.over = stand in KNOWN_ENDS
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
UNCONFIRMED = State(Stand.UNCONFIRMED, OrderStatus.UNCONFIRMED)

#: The transition table: where an order may go from each state by a move that is made here.
NEXT: dict[State, tuple[State, ...]] = {
    NEW: (SENT, REFUSED),
    SENT: (LIVE, DONE, IN_DOUBT, NOT_PLACED, REFUSED),
    IN_DOUBT: (LIVE, DONE, NOT_PLACED, UNCONFIRMED),
    LIVE: (CANCELLING, UPDATING, REPLACING, DONE),
    CANCELLING: (LIVE, DONE),
    UPDATING: (LIVE, DONE),
    REPLACING: (LIVE, DONE),
    DONE: (),
    NOT_PLACED: (),
    REFUSED: (),
    UNCONFIRMED: (),
}
for _each, _following in NEXT.items():
    _each.next = _following

#: What is known of a placing by replies alone: that which says more wins; and where an order then stands.
EVIDENCE = {
    messages.UNKNOWN: 1,
    messages.UNCONFIRMED: 2,
    messages.EXPIRED: 3,
    messages.REFUSED: 4,
    messages.FAILURE: 5,
    messages.SUCCESS: 6,
}
BY_REPLIES = (None, IN_DOUBT, UNCONFIRMED, NOT_PLACED, REFUSED, DONE, LIVE)


def _state(stand: Stand, request: str | None) -> State:
    return next(state for state in NEXT if state.stand is stand and state.request == request)
