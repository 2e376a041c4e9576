"""An order: what was asked, how far it got, and the states it may pass through."""

from __future__ import annotations

import datetime
import math
from typing import TYPE_CHECKING, Any, Protocol

from ..values import mapping, note, number, shown, text, word
from . import messages
from .clock import from_ms
from .errors import OrderError, OrderUpdateError
from .hashes import hash_of_strategy
from .messages import SUCCESS, UPDATE, OrderFact, PlaceInstruction, Report
from .order_state import OrderState, Taken
from .order_types import (
    PERSISTENCE_TYPES,
    BaseOrderType,
    LimitOnCloseOrder,
    LimitOrder,
    MarketOnCloseOrder,
)
from .responses import Responses
from .simulated_order import SimulatedOrder
from .stands import (
    CANCELLING,
    COMPLETE_STATUS,
    DONE,
    LIVE,
    LIVE_STATUS,
    NOT_PLACED,
    REFUSED,
    REPLACING,
    SENT,
    UPDATING,
    OrderStatus,
)

if TYPE_CHECKING:
    from .trade import Trade


__all__ = ["COMPLETE_STATUS", "LIVE_STATUS", "SIDES", "BaseOrder", "BetfairOrder", "Order", "OrderStatus"]

#: The sides of an order.
SIDES = ("BACK", "LAY")


class OrderListener(Protocol):
    """What receives an order's changes: the blotter that it is in."""

    def status_changed(self, order: Order, before: OrderStatus | None) -> None: ...

    def bet_id_assigned(self, order: Order) -> None: ...

    def fact_taken(self, order: Order, was_complete: bool) -> None: ...

    def queue_ahead(self, order: Order) -> float | None: ...


class Order(OrderState):
    """One order of a trade. Made by `Trade.create_order`; sent by `market.place_order`.

    Attributes:
        id: 18 characters: counted from 1 in a replay, else unique for ever (see `headrace.strategies.host`).
        bet_id: the exchange's number, once placed.
        side: BACK or LAY.
        lookup: (market id, selection id, handicap).
        status, complete, status_log: the state, whether it is an end, and all states so far.
        size_matched, average_price_matched, size_remaining, size_cancelled, size_lapsed, size_voided: how far it got;
            sizes in the account's currency.
        profit: in the account's currency, before commission; 0.0 until the market is settled.
        settled: whether the market's settlement gave it a result.
        not_placed: why it never reached the exchange: MARKET_CLOSED, RECORDING_ENDED, or live MARKET_FREED; None where
            it did, or may yet.
        on_line: whether it was settled as a bet on a line.
        settlement_note: what its result assumes, in one word (docs/fidelity.md, "Settlement"); None: nothing.
        violation_msg: why a control refused it.
        update_data: what the request under way asks to change.
    """

    # Many strategies look at every order at every change: slots are read faster. Users may add attributes of their own.
    __slots__ = (
        "__dict__",
        "__weakref__",
        "_clock",
        "_listener",
        "asked",
        "async_",
        "cleared_order",
        "client",
        "complete_ms",
        "context",
        "created_ms",
        "each_way_divisor",
        "handicap",
        "id",
        "is_limit",
        "line_range_result",
        "lookup",
        "market_id",
        "market_notes",
        "market_type",
        "market_version",
        "notes",
        "number",
        "number_of_dead_heat_winners",
        "on_line",
        "order_type",
        "placement",
        "profit",
        "publish_time",
        "responses",
        "runner_status",
        "selection_id",
        "sep",
        "settled",
        "settlement_note",
        "side",
        "status_ms",
        "trade",
        "update_data",
        "violation_msg",
    )

    def __init__(
        self,
        trade: Trade,
        side: str,
        order_type: BaseOrderType,
        handicap: float = 0,
        sep: str | None = None,
        context: dict[Any, Any] | None = None,
        notes: dict[str, Any] | None = None,
    ) -> None:
        if side not in SIDES or type(side) is not str:
            side = word(side, "side", SIDES, OrderError)
        if not isinstance(order_type, (LimitOrder, LimitOnCloseOrder, MarketOnCloseOrder)):
            raise OrderError(
                f"order_type={shown(order_type)}: expected a LimitOrder, LimitOnCloseOrder or MarketOnCloseOrder"
            )
        if notes is not None and type(notes) is not dict:
            notes = mapping(notes, "notes", OrderError)
        if sep is not None and (type(sep) is not str or len(sep) != 1):
            sep = _separator(sep)
        host = trade.host
        self.id: str = host.next_id()
        self.trade = trade
        self.side = side
        self.order_type: LimitOrder | LimitOnCloseOrder | MarketOnCloseOrder = order_type
        self.is_limit = limit = isinstance(order_type, LimitOrder)
        self.market_id = trade.market_id
        self.selection_id = trade.selection_id
        self.handicap = handicap
        self.lookup = (trade.market_id, trade.selection_id, handicap)
        OrderState.__init__(self, self.requested_size if limit else 0.0, host.rules.guarded_status)
        self.sep = host.config.order_sep if sep is None else sep
        shared = host.rules.shared_empty_context
        self.context = context if context or (shared and context is not None) else {}
        self.notes = notes if notes or (shared and notes is not None) else {}
        self.market_notes: str | None = None
        self.client: Any = None
        self.violation_msg: str | None = None
        self.update_data: dict[str, Any] = {}
        self.created_ms = host.clock.now_ms
        self.responses = Responses(self.created_ms)
        self.status_ms: int | None = None
        self.complete_ms: int | None = None
        self.publish_time: datetime.datetime | None = None
        self.market_version: int | None = None
        self.async_ = False
        self.cleared_order: Any = None
        self.profit = 0.0
        self.settled = False
        self.on_line = False
        self.runner_status: str | None = None
        self.market_type: str | None = None
        self.each_way_divisor: float | None = None
        self.number_of_dead_heat_winners: int | None = None
        self.line_range_result: float | None = None
        self.settlement_note: str | None = None
        self.placement: Any = None
        self.number = -1
        self._clock = host.clock
        self._listener: OrderListener | None = None
        self.asked: PlaceInstruction | None = None

    # -- states --------------------------------------------------------------------------------------------------

    def _moved(self, before: OrderStatus | None) -> None:
        self.status_ms = self._clock.now_ms
        if self.complete and self.state is not REFUSED:
            self.complete_ms = self.status_ms
        elif self._guarded:
            self.complete_ms = None
        if self.update_data and (self.complete or self.state is LIVE):
            self.update_data.clear()
        if self._listener is not None:
            self._listener.status_changed(self, before)
        if self.complete and self.state is not REFUSED and self.trade.complete:
            self.trade.complete_trade()

    def placing(self) -> None:
        self.move(SENT)

    def executable(self) -> None:
        self.move(LIVE)

    def execution_complete(self) -> None:
        self.move(DONE)

    def expired(self, not_placed: str | None = None) -> None:
        """The order can no longer be placed. `not_placed`: why."""
        self.require_next(NOT_PLACED)
        self.not_placed = not_placed
        self.decide(messages.EXPIRED)
        self.move(NOT_PLACED)

    def cancelling(self) -> None:
        self.move(CANCELLING)

    def updating(self) -> None:
        self.move(UPDATING)

    def replacing(self) -> None:
        self.move(REPLACING)

    def violation(self, violation_msg: str) -> None:
        self.require_next(REFUSED)
        self.violation_msg = violation_msg
        self.decide(messages.REFUSED)
        self.move(REFUSED)

    # -- what the exchange tells ---------------------------------------------------------------------------------

    def take_fact(self, fact: OrderFact) -> Taken:
        was_complete = self.complete
        if self._guarded:
            taken = self._take(fact)
        else:
            # The peer's exchange works on the order itself: whatever it says takes effect at once.
            taken = Taken(matched=fact.matched > self.size_matched, changed=True)
            self._size(fact)
        if taken.changed and self._listener is not None:
            self._listener.fact_taken(self, was_complete)
        return taken

    def _keep_to(self, fact: OrderFact) -> None:
        order_type = self.order_type
        if not isinstance(order_type, LimitOrder):
            # The order stream leaves the liability out at times.
            if fact.size or fact.source == messages.SIMULATED:
                order_type.liability = fact.size
        elif self._guarded and fact.persistence_type is not None:
            order_type.persistence_type = fact.persistence_type

    def _placing_answered(self, report: Report, news: bool) -> None:
        responses = self.responses
        if news:
            responses.place_response = report
        responses.placed_ms = self.placed_ms
        self._keep_to_what_was_asked()

    def _change_answered(self, request_id: str, report: Report) -> None:
        if self.responses.first(request_id, report.operation):
            self.respond(report)

    def answer_placing(self, report: Report) -> None:
        """Keep the answer to the placing."""
        self.responses.place_response = report
        self.responses.placed_ms = report.placed_at

    def respond(self, report: Report) -> None:
        """Keep the answer to a cancel or an update."""
        answers = self.responses.update_responses if report.operation == UPDATE else self.responses.cancel_responses
        answers.append(report)

    def _answered(self, report: Report) -> None:
        if report.operation == UPDATE and report.status == SUCCESS and isinstance(self.order_type, LimitOrder):
            persistence = self.update_data.get("new_persistence_type", self.order_type.persistence_type)
            self.order_type.persistence_type = persistence

    def _numbered(self, bet_id: str) -> None:
        self.bet_id = bet_id
        # The order stream may tell of a bet before its placing is answered: it was placed by now.
        self.responses.placed_ms = self._clock.now_ms if self.placed_ms is None else self.placed_ms
        if self._listener is not None:
            self._listener.bet_id_assigned(self)

    # -- requests ------------------------------------------------------------------------------------------------

    def place(self, publish_time: datetime.datetime | None, market_version: int | None, async_: bool) -> None:
        """The order is about to be sent."""
        self.publish_time = publish_time
        self.market_version = market_version
        self.async_ = async_
        self.placing()

    def cancel(self, size_reduction: float | None = None) -> None:
        """Ask for a cancel of `size_reduction`, or of all that remains.

        Raises:
            OrderUpdateError: the reduction is not a number above 0, or the order has no bet id, is not a limit order,
                has less than that remaining, or is not executable.
        """
        if size_reduction is not None:
            size_reduction = number(size_reduction, "size_reduction", OrderUpdateError)
            # By the peer's rules 0 cancels all, and below 0 the order grows; not-a-number would spoil every exposure.
            if not (size_reduction > 0 or (math.isfinite(size_reduction) and not self._guarded)):
                raise OrderUpdateError(
                    f"order {self.id}: size_reduction={size_reduction}: expected a number above 0; leave it out to "
                    f"cancel all that remains"
                )
        if not (self._guarded and self.async_):  # of an async placing the exchange tells the number later
            self._require_bet("cancel")
        if not self.is_limit:
            raise OrderUpdateError(f"order {self.id}: only a limit order can be cancelled, not {self.order_type}")
        if size_reduction is not None and self.size_remaining - size_reduction < 0:
            raise OrderUpdateError(
                f"order {self.id}: size reduction {size_reduction} is more than the {self.size_remaining} that remains"
            )
        self._require_executable("cancel")
        self.update_data["size_reduction"] = size_reduction
        self.cancelling()

    def update(self, new_persistence_type: str | None) -> None:
        """Ask for another persistence.

        Raises:
            OrderUpdateError: there is no such persistence, or the order has no bet id, is not a limit order, has that
                persistence, or is not executable.
        """
        if new_persistence_type not in PERSISTENCE_TYPES or type(new_persistence_type) is not str:
            new_persistence_type = word(
                new_persistence_type, "new_persistence_type", PERSISTENCE_TYPES, OrderUpdateError
            )
        self._require_bet("update")
        order_type = self.order_type
        if not isinstance(order_type, LimitOrder):
            raise OrderUpdateError(f"order {self.id}: only a limit order has a persistence, not {order_type}")
        if order_type.persistence_type == new_persistence_type:
            raise OrderUpdateError(f"order {self.id}: the persistence is {new_persistence_type} already")
        self._require_executable("update")
        self.update_data["new_persistence_type"] = new_persistence_type
        if self.trade.host.rules.optimistic_persistence:
            order_type.persistence_type = new_persistence_type
        self.updating()

    def replace(self, new_price: float) -> None:
        """Ask for another price.

        Raises:
            OrderUpdateError: the price is not a number, or the order has no bet id, no price to replace, that very
                price, or is not executable.
        """
        if type(new_price) is not float:
            new_price = number(new_price, "new_price", OrderUpdateError)
        self._require_bet("replace")
        order_type = self.order_type
        if isinstance(order_type, MarketOnCloseOrder):
            raise OrderUpdateError(f"order {self.id}: {order_type} has no price to replace")
        if order_type.price == new_price:
            raise OrderUpdateError(f"order {self.id}: the price is {new_price} already")
        self._require_executable("replace")
        self.update_data["new_price"] = new_price
        self.replacing()

    def _require_bet(self, request: str) -> None:
        if self.bet_id is None:
            raise OrderUpdateError(f"order {self.id}: cannot {request}, the exchange has given no bet id yet")

    def _require_executable(self, request: str) -> None:
        if self.status is not OrderStatus.EXECUTABLE:
            status = self.status.name if self.status else "not placed"
            raise OrderUpdateError(f"order {self.id}: cannot {request} while {status}; wait for EXECUTABLE")

    def assign_bet_id(self, bet_id: str) -> None:
        self.bet_id = bet_id
        if self._listener is not None:
            self._listener.bet_id_assigned(self)

    def listen(self, listener: OrderListener) -> None:
        """Tell `listener` of every change from now on."""
        self._listener = listener

    # -- reading -------------------------------------------------------------------------------------------------

    @property
    def requested_size(self) -> float:
        """Size asked for; without a size, what the bet target comes to; the liability of starting-price orders."""
        order_type = self.order_type
        if isinstance(order_type, LimitOrder):
            if order_type.size:
                return order_type.size
            if self.trade.host.rules.worst_case:
                return order_type.stake_of_target
            return order_type.bet_target_size or 0.0
        return order_type.liability

    @property
    def persistence_type(self) -> str | None:
        return self.order_type.persistence_type if isinstance(self.order_type, LimitOrder) else None

    @property
    def customer_order_ref(self) -> str:
        """The reference sent with the order, 32 characters: hash of the strategy's name, separator, id."""
        return self.reference(self.id)

    def reference(self, order_id: str) -> str:
        """The reference that an order of this trade with another id has, such as a replacement."""
        return f"{hash_of_strategy(self.trade.strategy.name)}{self.sep}{order_id}"

    @property
    def current_order(self) -> Any:
        """The latest that is known about the order: the simulated bet, the stream's order, or the answer to placing."""
        return self.simulated or self.responses.current_order or self.responses.place_response

    @property
    def queue_ahead(self) -> float | None:
        """Size estimated to be ahead at the order's price; None where the exchange does not tell."""
        return None if self._listener is None else self._listener.queue_ahead(self)

    @property
    def simulated(self) -> SimulatedOrder | None:
        """The simulated bet as flumine's strategies read it; None if the account is not simulated."""
        return SimulatedOrder(self) if self.client is not None and self.client.simulated else None

    @property
    def date_time_created(self) -> datetime.datetime:
        return from_ms(self.created_ms)

    @property
    def date_time_status_update(self) -> datetime.datetime | None:
        return None if self.status_ms is None else from_ms(self.status_ms)

    @property
    def date_time_execution_complete(self) -> datetime.datetime | None:
        return None if self.complete_ms is None else from_ms(self.complete_ms)

    @property
    def elapsed_seconds(self) -> float | None:
        """Seconds since the exchange took the order; None before."""
        placed = self.responses.placed_ms
        return None if placed is None else (self._clock.now_ms - placed) / 1000

    @property
    def elapsed_seconds_created(self) -> float:
        return (self._clock.now_ms - self.created_ms) / 1000

    @property
    def elapsed_seconds_status_update(self) -> float | None:
        return None if self.status_ms is None else (self._clock.now_ms - self.status_ms) / 1000

    @property
    def elapsed_seconds_executable(self) -> float | None:
        """Seconds from placement to completion; None until both are known."""
        placed = self.responses.placed_ms
        return None if placed is None or self.complete_ms is None else (self.complete_ms - placed) / 1000

    @property
    def notes_str(self) -> str:
        return ",".join(note(each) for each in self.notes.values())

    def instruction(self) -> PlaceInstruction:
        """What is asked of the exchange, as a value. Later changes of the order's own attributes do not affect it."""
        order_type = self.order_type
        if isinstance(order_type, LimitOrder):
            self.asked = PlaceInstruction(
                self.id,
                self.customer_order_ref,
                self.selection_id,
                self.handicap,
                self.side,
                "LIMIT",
                order_type.price,
                order_type.size,
                None,
                order_type.persistence_type,
                order_type.time_in_force,
                order_type.min_fill_size,
                order_type.bet_target_type,
                order_type.bet_target_size,
                order_type.price_ladder_definition,
            )
            return self.asked
        self.asked = PlaceInstruction(
            self.id,
            self.customer_order_ref,
            self.selection_id,
            self.handicap,
            self.side,
            order_type.ORDER_TYPE.name,
            order_type.price if isinstance(order_type, LimitOnCloseOrder) else None,
            liability=order_type.liability,
            price_ladder=order_type.price_ladder_definition,
        )
        return self.asked

    def _keep_to_what_was_asked(self) -> None:
        """Take back what a strategy has changed in the order since it was asked for: the bet does not have it."""
        asked, order_type = self.asked, self.order_type
        if asked is None:
            return
        if isinstance(order_type, LimitOrder):
            if order_type.size != asked.size:
                order_type.size = asked.size
        elif isinstance(order_type, MarketOnCloseOrder):
            return
        if order_type.price != asked.price and asked.price is not None:
            order_type.price = asked.price

    def place_instruction(self) -> dict[str, Any]:
        """The exchange's `PlaceInstruction`, as API-NG has it."""
        kind = {"LIMIT": "limitOrder", "LIMIT_ON_CLOSE": "limitOnCloseOrder", "MARKET_ON_CLOSE": "marketOnCloseOrder"}
        name = self.order_type.ORDER_TYPE.name
        return {
            "selectionId": self.selection_id,
            "handicap": self.handicap or None,
            "orderType": name,
            "side": self.side,
            "customerOrderRef": self.customer_order_ref,
            kind[name]: self.order_type.place_instruction(),
        }

    @property
    def info(self) -> dict[str, Any]:
        """What a log line tells of the order."""
        return {
            "market_id": self.market_id,
            "selection_id": self.selection_id,
            "handicap": self.handicap,
            "id": self.id,
            "customer_order_ref": self.customer_order_ref,
            "bet_id": self.bet_id,
            "trade": self.trade.info,
            "side": self.side,
            "order_type": self.order_type.info,
            "status": self.status.value if self.status else None,
            "status_log": ", ".join(status.value for status in self.status_log),
            "violation_msg": self.violation_msg,
            "size_matched": self.size_matched,
            "average_price_matched": self.average_price_matched,
            "size_remaining": self.size_remaining,
            "size_cancelled": self.size_cancelled,
            "size_lapsed": self.size_lapsed,
            "size_voided": self.size_voided,
            "profit": self.profit,
            "notes": self.notes_str,
            "market_notes": self.market_notes,
        }

    def json(self) -> str:
        """`info` as JSON."""
        import msgspec

        return msgspec.json.encode(self.info).decode()

    def __repr__(self) -> str:
        status = self.status.name if self.status else "new"
        return f"<Order {self.id} {self.side} {self.order_type} {status} on {self.selection_id} of {self.market_id}>"


def _separator(sep: Any) -> str:
    found = text(sep, "sep", OrderError)
    if len(found) != 1:
        raise OrderError(f"sep={found!r}: expected one character")
    return found


BetfairOrder = Order
BaseOrder = Order
