"""What crosses a boundary: requests, replies, facts and rows, as values.

A market, the coordinator and the exchange may stand in one process or in three. What they tell each other is the same:
frozen structs of plain values, which can be encoded, queued, repeated and kept in a journal. They hold no cycles, so
the garbage collector need not look at them. Times are milliseconds since the epoch, UTC; money is in the account's
currency.
"""

from __future__ import annotations

import msgspec

#: Operations of the exchange, as `Request.kind` and `Report.operation` name them.
PLACE, CANCEL, UPDATE, REPLACE = "PLACE", "CANCEL", "UPDATE", "REPLACE"
#: What became of a request: the exchange answered; a control refused it; it was too late to send it; not known; it
#: could not be learnt in the time in which it should be, and is looked for still.
ANSWERED, REFUSED, EXPIRED, UNKNOWN, UNCONFIRMED = "ANSWERED", "REFUSED", "EXPIRED", "UNKNOWN", "UNCONFIRMED"
SUCCESS, FAILURE = "SUCCESS", "FAILURE"
#: Where a fact comes from: the simulated exchange, the order stream, the list of current orders, that of cleared ones,
#: or the answer to a placing, which tells what was matched at once.
SIMULATED, STREAM, LIST, CLEARED, REPORT = "SIMULATED", "STREAM", "LIST", "CLEARED", "REPORT"


class Message(msgspec.Struct, frozen=True, tag=True, gc=False):
    """One of the messages below."""


class PlaceInstruction(msgspec.Struct, frozen=True, tag="place", gc=False):
    """Place an order.

    Attributes:
        order_id: the order's own id.
        customer_order_ref: the reference that the exchange keeps, at most 32 characters.
        order_type: LIMIT, LIMIT_ON_CLOSE or MARKET_ON_CLOSE.
        price: decimal odds, or the line; None for MARKET_ON_CLOSE.
        size: stake of a limit order; None if it has a bet target instead.
        liability: for orders at the starting price: the stake of a back, the risk of a lay.
        price_ladder: CLASSIC, FINEST or LINE_RANGE: what the order itself says.
    """

    order_id: str
    customer_order_ref: str
    selection_id: int
    handicap: float
    side: str
    order_type: str
    price: float | None = None
    size: float | None = None
    liability: float | None = None
    persistence_type: str | None = None
    time_in_force: str | None = None
    min_fill_size: float | None = None
    bet_target_type: str | None = None
    bet_target_size: float | None = None
    price_ladder: str = "CLASSIC"


class CancelInstruction(msgspec.Struct, frozen=True, tag="cancel", gc=False):
    """Cancel a bet, or reduce it. `size_reduction`: None: all that remains."""

    order_id: str
    bet_id: str | None
    size_reduction: float | None = None


class UpdateInstruction(msgspec.Struct, frozen=True, tag="update", gc=False):
    """Give a bet another persistence."""

    order_id: str
    bet_id: str | None
    new_persistence_type: str


class ReplaceInstruction(msgspec.Struct, frozen=True, tag="replace", gc=False):
    """Cancel what remains of a bet and place as much at another price.

    Attributes:
        new_order_id: the id of the order that takes the bet's place, given by the market; None where it is given once
            the cancel has succeeded, as it is under compatibility.
        new_customer_order_ref: its reference.
    """

    order_id: str
    bet_id: str | None
    new_price: float
    new_order_id: str | None = None
    new_customer_order_ref: str | None = None


Instruction = PlaceInstruction | CancelInstruction | UpdateInstruction | ReplaceInstruction


class Request(Message, frozen=True, gc=False):
    """Instructions of one kind, from one strategy, with one account.

    Attributes:
        request_id: unique among the requests of the sender.
        strategy: by name.
        venue, username: the account.
        kind: PLACE, CANCEL, UPDATE or REPLACE.
        asked_at: when the strategy asked.
        bet_delay: of the market, when the strategy asked; seconds.
        market_version: the version of the market that the strategy insists on.
        async_: the exchange answers before the bet delay has passed.
        deadline: when it is too late to send it; None: never.
    """

    request_id: str
    market_id: str
    strategy: str
    venue: str
    username: str
    kind: str
    instructions: tuple[Instruction, ...]
    asked_at: int
    bet_delay: float = 0
    market_version: int | None = None
    async_: bool = False
    customer_strategy_ref: str | None = None
    deadline: int | None = None


class Report(msgspec.Struct, frozen=True, gc=False):
    """The answer to one instruction.

    Attributes:
        operation: PLACE, CANCEL or UPDATE; a replace is answered as the cancel of one order and the placing of another.
        status: SUCCESS or FAILURE.
        error_code: the exchange's code of a failure.
        bet_id: the exchange's number of a bet that was placed.
        size: the size that was cancelled, or matched at once.
        placed_at: when the bet met the market.
        queue_ahead: size ahead of a bet that rests, if the exchange tells it (the simulated one does).
    """

    order_id: str
    operation: str
    status: str
    error_code: str | None = None
    bet_id: str | None = None
    size: float = 0.0
    placed_at: int | None = None
    queue_ahead: float | None = None


class Reply(Message, frozen=True, gc=False):
    """The answer to a request, or to a part of it: an exchange may answer order by order.

    Attributes:
        outcome: ANSWERED, REFUSED, EXPIRED, UNKNOWN or UNCONFIRMED.
        control, reason: for a refusal: which control, and why.
        reports: what became of its instructions; of a refusal one for each that was refused.
    """

    request_id: str
    market_id: str
    at: int
    outcome: str = ANSWERED
    reports: tuple[Report, ...] = ()
    control: str | None = None
    reason: str | None = None


#: A fill: when, at what price, how much.
Fill = tuple[float, float, float]


class OrderFact(Message, frozen=True, gc=False):
    """A bet at one moment, as a source reports it.

    Attributes:
        order_id: if the source knows it.
        source: SIMULATED, STREAM, LIST, CLEARED or REPORT.
        executable: whether it can still be matched.
        size: what was asked for; for orders at the starting price, the liability.
        matched, average: size matched and its average price; 0.0 if nothing was.
        remaining, cancelled, lapsed, voided: sizes.
        fills: all of them in order, if the source reports them (the simulated exchange does).
        why: for a bet that ended without having been placed: one word. UNCONFIRMED: what became of it is not known.
    """

    market_id: str
    order_id: str | None
    bet_id: str | None
    source: str
    at: int
    executable: bool
    price: float | None = None
    size: float = 0.0
    persistence_type: str | None = None
    matched: float = 0.0
    average: float = 0.0
    remaining: float = 0.0
    cancelled: float = 0.0
    lapsed: float = 0.0
    voided: float = 0.0
    fills: tuple[Fill, ...] | None = None
    why: str | None = None


class ClearedOrder(Message, frozen=True, gc=False):
    """A bet's result.

    Attributes:
        profit: before commission.
        settled: False: what was matched has no result, and `profit` is 0.0.
        runner_status, market_type, each_way_divisor, dead_heat_winners, line_result: what it was settled by.
        on_line: it was settled as a bet on a line.
        won, lost, place_won, place_lost: parts of the stake, each way of its halves, that have won and lost; None: not
            told.
        note: what the result assumes, in one word (docs/fidelity.md, "Settlement"); None: nothing.
    """

    market_id: str
    order_id: str | None
    bet_id: str | None
    at: int
    profit: float = 0.0
    settled: bool = True
    runner_status: str | None = None
    market_type: str | None = None
    each_way_divisor: float | None = None
    dead_heat_winners: int | None = None
    on_line: bool = False
    line_result: float | None = None
    won: float | None = None
    lost: float | None = None
    place_won: float | None = None
    place_lost: float | None = None
    note: str | None = None


class ClearedMarket(Message, frozen=True, gc=False):
    """An account's result of a market."""

    market_id: str
    venue: str
    username: str
    profit: float
    commission: float
    bet_count: int


class AccountFact(Message, frozen=True, gc=False):
    """An account at one moment.

    Attributes:
        funds: available to bet.
        exposure: what open bets may lose, 0 or less, as the exchange reckons it.
    """

    venue: str
    username: str
    at: int
    funds: float | None = None
    exposure: float | None = None


class MarketFact(Message, frozen=True, gc=False):
    """A market was opened, closed or freed by an actor. `what`: OPENED, CLOSED or REMOVED."""

    market_id: str
    what: str
    at: int
    event_id: str | None = None
    event_type_id: str | None = None
    market_type: str | None = None
    status: str | None = None


class MarketResult(Message, frozen=True, gc=False):
    """A market was settled, as its actor tells the coordinator. Told again where results change: the last one counts.

    Attributes:
        orders: the results of its bets.
        markets: one for each account.
    """

    market: MarketFact
    orders: tuple[ClearedOrder, ...] = ()
    markets: tuple[ClearedMarket, ...] = ()


class ViolationFact(Message, frozen=True, gc=False):
    """A control refused a request."""

    strategy: str
    market_id: str
    control: str
    request: str
    reason: str
    at: int


class StrategyFact(Message, frozen=True, gc=False):
    """A strategy knows more than at its last request in a market: what goes along with this is kept for a restart."""

    strategy: str
    market_id: str
    at: int


class Told(dict[str, object]):
    """What a line tells of its subject: by key, or as attributes."""

    def __getattr__(self, name: str) -> object:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(
                f"this line tells nothing of {name!r}; it has {', '.join(self) or 'nothing'}"
            ) from None


class LogRow(Message, frozen=True):
    """A line for logging controls, which read it like an event.

    Attributes:
        name: the event's kind, in the words of a logging control's methods.
        values: what it tells of its subject.
    """

    name: str
    at: int
    market_id: str | None
    values: dict[str, object]

    @property
    def event(self) -> Told:
        """The event's subject, as far as the line tells of it."""
        return Told(self.values)
