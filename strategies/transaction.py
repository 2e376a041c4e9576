"""Requests made together: checked one by one as they are made, sent when the transaction ends."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from ..values import number, shown, whole
from .errors import ControlError, OrderError, OrderUpdateError
from .messages import CancelInstruction, Instruction, ReplaceInstruction, Request, UpdateInstruction
from .order import Order
from .order_numbers import require_numbers, require_price
from .order_package import ORDER_LIMITS, OrderPackageType, chunks

if TYPE_CHECKING:
    from .market import Market


class Transaction:
    """Requests of one market and one client; a context manager that sends them on leaving.

    They are sent even when the block raises: what was accepted is placed. Each request answers True, or False where a
    control refused it.
    """

    def __init__(
        self, market: Market, client: Any, async_place_orders: bool = False, customer_strategy_ref: str | None = None
    ) -> None:
        self.market = market
        self.client = client
        self._async = async_place_orders
        self._ref = customer_strategy_ref
        self._asked: list[tuple[OrderPackageType, Order, int | None]] = []

    def place_order(
        self, order: Order, market_version: int | None = None, execute: bool = True, force: bool = False
    ) -> bool:
        """Place `order`.

        Args:
            market_version: refuse it if the market has another version by then.
            execute: False: enter it in the blotter only, for orders that are at the exchange already.
            force: skip the controls.

        Raises:
            OrderError: it is not an order, or is in this market's blotter already; the version is not a whole number; a
                size is not above 0, or the price is not one (see `require_numbers`), with `force` too.
        """
        market = self.market
        if not isinstance(order, Order):
            raise OrderError(f"place_order({shown(order)}): expected an order; trade.create_order(...) makes one")
        if market_version is not None:
            market_version = whole(market_version, "market_version", OrderError)
        if order.client is None or order.client is not self.client:
            order.client = self.client
        twice = market.blotter.has_order(order.id)
        if twice and market.framework.host.rules.guarded_status:
            self._refuse_twice(order)
        if execute and not force and not self._accepted(order, OrderPackageType.PLACE):
            return False
        if execute or order.status is None:
            require_numbers(order, market.blotter.terms)
            order.place(market.publish_time, market_version, self._async)
        if twice:
            self._refuse_twice(order)
        market.enter(order)
        if execute:
            trade = order.trade
            context = trade.strategy.get_runner_context(order.market_id, order.selection_id, order.handicap)
            context.place(trade.id)
            self._asked.append((OrderPackageType.PLACE, order, market_version))
        return True

    def cancel_order(self, order: Order, size_reduction: float | None = None, force: bool = False) -> bool:
        """Cancel `size_reduction` of the order, or all that remains.

        Raises:
            OrderError: the order belongs to another client.
            OrderUpdateError: the order cannot be cancelled (see `Order.cancel`).
        """
        self._require_client(order)
        if not force and not self._accepted(order, OrderPackageType.CANCEL):
            return False
        order.cancel(size_reduction)
        self._asked.append((OrderPackageType.CANCEL, order, None))
        return True

    def update_order(self, order: Order, new_persistence_type: str | None = None, force: bool = False) -> bool:
        """Give the order another persistence.

        Raises:
            OrderError: the order belongs to another client.
            OrderUpdateError: the order cannot be updated (see `Order.update`).
        """
        self._require_client(order)
        if not force and not self._accepted(order, OrderPackageType.UPDATE):
            return False
        order.update(new_persistence_type)
        self._asked.append((OrderPackageType.UPDATE, order, None))
        return True

    def replace_order(
        self, order: Order, new_price: float, market_version: int | None = None, force: bool = False
    ) -> bool:
        """Cancel what remains of the order and place as much at `new_price`.

        Raises:
            OrderError: the order belongs to another client.
            OrderUpdateError: the order cannot be replaced (see `Order.replace`), or the price is not one, with `force`
                too.
        """
        self._require_client(order)
        new_price = number(new_price, "new_price", OrderUpdateError)
        if market_version is not None:
            market_version = whole(market_version, "market_version", OrderError)
        if not force:
            # The controls look for the price there; a replace that is under way keeps its own.
            under_way = order.update_data.get("new_price")
            order.update_data["new_price"] = new_price
            accepted = self._accepted(order, OrderPackageType.REPLACE)
            order.update_data.pop("new_price", None)
            if under_way is not None:
                order.update_data["new_price"] = under_way
            if not accepted:
                return False
        require_price(order, "new_price", new_price, self.market.blotter.terms, OrderUpdateError)
        order.replace(new_price)
        self._asked.append((OrderPackageType.REPLACE, order, market_version))
        return True

    def execute(self) -> int:
        """Send what was asked for; the number of requests to the exchange that it took."""
        asked, market = self._asked, self.market
        if not asked:
            return 0
        self._asked = []
        if len(asked) == 1:
            ((kind, order, version),) = asked
            market.framework.submit(market, self._request(kind, order.trade.strategy.name, version, (order,)))
            return 1
        together: dict[OrderPackageType, list[tuple[Order, int | None]]] = {}
        for kind, order, version in asked:
            together.setdefault(kind, []).append((order, version))
        requests = [
            request
            for kind in OrderPackageType  # places first, then cancels, updates and replaces
            if kind in together
            for request in self._packed(kind, together[kind])
        ]
        for request in requests:
            market.framework.submit(market, request)
        return len(requests)

    def _packed(self, kind: OrderPackageType, asked: list[tuple[Order, int | None]]) -> list[Request]:
        """Requests of one kind: together where they are of one strategy and insist on one version of the market."""
        together: dict[tuple[str, int | None], list[Order]] = {}
        for order, version in asked:
            together.setdefault((order.trade.strategy.name, version), []).append(order)
        return [
            self._request(kind, strategy, version, chunk)
            for (strategy, version), orders in together.items()
            for chunk in chunks(orders, ORDER_LIMITS[kind])
        ]

    def _request(self, kind: OrderPackageType, strategy: str, version: int | None, orders: Sequence[Order]) -> Request:
        market, client = self.market, self.client
        request_id = market.framework.host.next_request_id()
        instruct = _INSTRUCTIONS[kind]
        instructions = []
        for order in orders:
            order.request_id = request_id
            instructions.append(instruct(order))
        return Request(
            request_id,
            market.market_id,
            strategy,
            client.venue,
            client.username,
            kind.name,
            tuple(instructions),
            market.clock.now_ms,
            market.bet_delay,
            version,
            self._async,
            self._ref,
        )

    def _refuse_twice(self, order: Order) -> NoReturn:
        raise OrderError(f"order {order.id} was placed in market {self.market.market_id} before; create another")

    def _accepted(self, order: Order, package_type: OrderPackageType) -> bool:
        market = self.market
        try:
            market.framework.validate(market, order, package_type, self.client)
        except ControlError as refusal:
            market.framework.refused(market, order, package_type, refusal)
            return False
        return True

    def _require_client(self, order: Order) -> None:
        if order.client is not self.client:
            raise OrderError(f"order {order.id} belongs to another client than this transaction's")

    def __enter__(self) -> Transaction:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.execute()


def _cancel(order: Order) -> CancelInstruction:
    return CancelInstruction(order.id, order.bet_id, order.update_data.get("size_reduction"))


def _update(order: Order) -> UpdateInstruction:
    # Under compatibility a request refused in between has erased what was asked for, but that holds already.
    persistence = order.update_data.get("new_persistence_type", order.persistence_type)
    assert persistence is not None
    return UpdateInstruction(order.id, order.bet_id, persistence)


def _replace(order: Order) -> ReplaceInstruction:
    """Ask for a replace. Under compatibility the new order gets its id when the old one is cancelled, as in flumine."""
    trade, price = order.trade, order.update_data.get("new_price", math.nan)
    if not trade.host.rules.guarded_status:
        return ReplaceInstruction(order.id, order.bet_id, price)
    order_id = trade.host.next_id()
    return ReplaceInstruction(order.id, order.bet_id, price, order_id, order.reference(order_id))


_INSTRUCTIONS: dict[OrderPackageType, Callable[[Order], Instruction]] = {
    OrderPackageType.PLACE: Order.instruction,
    OrderPackageType.CANCEL: _cancel,
    OrderPackageType.UPDATE: _update,
    OrderPackageType.REPLACE: _replace,
}
