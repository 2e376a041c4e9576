"""A trade: one idea on one runner, and the orders that carry it out."""

from __future__ import annotations

import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar

from ..values import finite, mapping, note, shown, text, whole
from .clock import from_ms
from .errors import OrderError
from .order import Order
from .order_types import LimitOnCloseOrder, LimitOrder
from .statuses import Status

if TYPE_CHECKING:
    from .host import Host
    from .order_types import BaseOrderType
    from .strategy import Strategy


#: The greatest id that a column of a table holds.
_MOST = 2**63 - 1


class TradeStatus(Status):
    """The state of a trade. PENDING: an order of it is being worked on."""

    __slots__ = ()

    PENDING: ClassVar[Any] = "Pending"
    LIVE: ClassVar[Any] = "Live"
    COMPLETE: ClassVar[Any] = "Complete"


class Trade:
    """Orders that belong together.

    Args:
        market_id, selection_id, handicap: the runner.
        strategy: whose trade it is.
        notes: anything to keep with it; the values appear in the result.
        place_reset_seconds: least seconds between two orders on the runner (see `Strategy.validate_order`).
        reset_seconds: least seconds after a trade on the runner completes.
        pending_orders: more orders are to come: the trade does not complete when those placed have.

    Raises:
        OrderError: one of them is not what it should be; names it.
    """

    def __init__(
        self,
        market_id: str,
        selection_id: int,
        handicap: float,
        strategy: Strategy,
        notes: dict[str, Any] | None = None,
        place_reset_seconds: float = 0.0,
        reset_seconds: float = 0.0,
        pending_orders: bool = False,
    ) -> None:
        # An ordinary value costs one comparison.
        if type(market_id) is not str:
            market_id = text(market_id, "Trade market_id", OrderError)
        if type(selection_id) is not int or not -_MOST <= selection_id <= _MOST:
            selection_id = whole(selection_id, "Trade selection_id", OrderError)
        if type(handicap) is not int:
            handicap = finite(handicap, "Trade handicap", OrderError)
        if type(place_reset_seconds) is not float or place_reset_seconds != 0.0:
            place_reset_seconds = finite(place_reset_seconds, "Trade place_reset_seconds", OrderError)
        if type(reset_seconds) is not float or reset_seconds != 0.0:
            reset_seconds = finite(reset_seconds, "Trade reset_seconds", OrderError)
        if notes is not None and type(notes) is not dict:
            notes = mapping(notes, "Trade notes", OrderError)
        try:
            self.host: Host = strategy._headrace.host
        except AttributeError:
            raise OrderError(f"Trade strategy={shown(strategy)}: expected the strategy, self in its methods") from None
        self.id = self.host.next_id()
        self.market_id = market_id
        self.selection_id = selection_id
        self.handicap = handicap
        self.strategy = strategy
        self.notes = {} if notes is None else notes
        self.market_notes: str | None = None
        self.place_reset_seconds = place_reset_seconds
        self.reset_seconds = reset_seconds
        self.pending_orders = pending_orders
        self.orders: list[Order] = []
        self._replacing: dict[str, tuple[float, float]] | None = None
        self.status: TradeStatus = TradeStatus.LIVE
        self.status_log: list[TradeStatus] = [self.status]
        self.created_ms = self.host.clock.now_ms
        self.complete_ms: int | None = None

    def create_order(
        self,
        side: str,
        order_type: BaseOrderType,
        order: type[Order] = Order,
        sep: str | None = None,
        context: dict[Any, Any] | None = None,
        notes: dict[str, Any] | None = None,
    ) -> Order:
        """A new order of this trade.

        Raises:
            OrderError: the side or the order type is not one that the exchange has; `order` is not a class of orders.
        """
        if order is not Order and not (isinstance(order, type) and issubclass(order, Order)):
            raise OrderError(f"order={shown(order)}: expected a subclass of headrace.Order")
        made = order(self, side, order_type, self.handicap, sep, context, notes)
        self.orders.append(made)
        return made

    def create_order_replacement(
        self, order: Order, new_price: float, size: float, created_ms: int, order_id: str | None = None
    ) -> Order:
        """The order that takes the place of `order` at another price.

        Args:
            order_id: its id, if it has been given already.

        Raises:
            OrderError: `order` has no price.
        """
        replaced = order.order_type
        order_type: LimitOrder | LimitOnCloseOrder
        if isinstance(replaced, LimitOrder):
            order_type = LimitOrder(price=new_price, size=size, persistence_type=replaced.persistence_type)
            if not order.trade.host.rules.optimistic_persistence:
                order_type.price_ladder_definition = replaced.price_ladder_definition
                order_type.line_range_info = replaced.line_range_info
        elif isinstance(replaced, LimitOnCloseOrder):
            order_type = LimitOnCloseOrder(replaced.liability, new_price, replaced.price_ladder_definition)
        else:
            raise OrderError(f"order {order.id}: {replaced} cannot be replaced at the exchange")
        made = type(order)(self, order.side, order_type, order.handicap, order.sep, order.context, order.notes)
        if order_id is not None:
            made.id = order_id
        made.created_ms = made.responses.created_ms = created_ms
        made.client = order.client
        self.orders.append(made)
        return made

    @property
    def complete(self) -> bool:
        """Whether nothing of the trade is under way."""
        if self.status is not TradeStatus.LIVE or self.pending_orders or self._replacing:
            return False
        complete = True
        for order in self.orders:
            complete = complete and order.state.over
        return complete

    def replacing(self, order: Order) -> None:
        """An order of it is to be replaced: it does not complete before that is answered."""
        price = order.update_data.get("new_price", 0.0)
        self._replacing = {**(self._replacing or {}), order.id: (price, order.size_cancelled)}

    def to_be_placed(self, order: Order) -> tuple[float, float] | None:
        """What of an order that is being replaced was cancelled, and is about to be placed anew: its price and size.

        The exchange cancels first, and places when the bet delay has passed. None: the order is not being replaced.
        """
        if self._replacing is None or order.id not in self._replacing:
            return None
        price, before = self._replacing[order.id]
        return price, max(0.0, order.size_cancelled - before)

    def replaced(self, order: Order) -> None:
        """The replace was answered, or can no longer be."""
        if self._replacing:
            self._replacing.pop(order.id, None)
        if self.complete:
            self.complete_trade()

    def complete_trade(self) -> None:
        """Mark the trade complete, also in its runner's context."""
        self.status = TradeStatus.COMPLETE
        self.status_log.append(TradeStatus.COMPLETE)
        self.complete_ms = self.host.clock.now_ms
        self.strategy.get_runner_context(self.market_id, self.selection_id, self.handicap).reset(self.id)

    def __enter__(self) -> Trade:
        """Work on the trade's orders: it does not complete meanwhile."""
        self.status = TradeStatus.PENDING
        self.status_log.append(TradeStatus.PENDING)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.status = TradeStatus.LIVE
            self.status_log.append(TradeStatus.LIVE)
            if self.complete:
                self.complete_trade()

    @property
    def date_time_created(self) -> datetime.datetime:
        return from_ms(self.created_ms)

    @property
    def date_time_complete(self) -> datetime.datetime | None:
        return None if self.complete_ms is None else from_ms(self.complete_ms)

    @property
    def elapsed_seconds(self) -> float | None:
        """Seconds since the first order was placed; None before."""
        return self.orders[0].elapsed_seconds if self.orders else None

    @property
    def notes_str(self) -> str:
        return ",".join(note(each) for each in self.notes.values())

    @property
    def info(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "strategy": self.strategy.name,
            "status": self.status.value,
            "orders": [order.id for order in self.orders],
            "place_reset_seconds": self.place_reset_seconds,
            "reset_seconds": self.reset_seconds,
            "pending_orders": self.pending_orders,
            "notes": self.notes_str,
            "market_notes": self.market_notes,
        }

    def __repr__(self) -> str:
        return f"<Trade {self.id} {self.status.name} on {self.selection_id} of {self.market_id}>"
