"""Numbers that a bet can have: checked even where controls are skipped.

What is not one of them does harm before the exchange refuses it. It counts in exposures while the request is under way,
and a limit that is compared with not-a-number, or with a negative stake, lets everything else through.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..values import shown
from .errors import OrderError
from .order_types import LimitOrder, MarketOnCloseOrder

if TYPE_CHECKING:
    from .order import Order
    from .terms import Terms


def require_numbers(order: Order, terms: Terms) -> None:
    """Refuse an order that has a size or a price that no bet can have. Ladders and minimum stakes are for the controls.

    By the peer's rules (`guarded_status` is off) only infinities and not-a-number are refused: what it makes of other
    numbers is repeated.

    Args:
        terms: of the market.

    Raises:
        OrderError: names the number.
    """
    order_type = order.order_type
    if isinstance(order_type, LimitOrder):
        if _is_ordinary(order_type):
            return
        target = order_type.bet_target_size
        _require_size(order, "size", order_type.size, needed=target is None)
        _require_size(order, "bet_target_size", target)
        _require_size(order, "min_fill_size", order_type.min_fill_size)
    else:
        _require_size(order, "liability", order_type.liability, needed=True)
    if not isinstance(order_type, MarketOnCloseOrder):
        require_price(order, "price", order_type.price, terms)


def _is_ordinary(order_type: LimitOrder) -> bool:
    """A plain size at plain odds, as almost all orders are: one look will do."""
    size, price = order_type.size, order_type.price
    if order_type.bet_target_size is not None or order_type.min_fill_size is not None:
        return False
    return size is not None and price is not None and 0 < size < math.inf and 1 < price < math.inf


def require_price(
    order: Order, name: str, price: float | None, terms: Terms, error: type[Exception] = OrderError
) -> None:
    """Refuse a price that is not above 1; on a line, where the price is the line, one that is not finite.

    Args:
        name: names the price in the error.

    Raises:
        error: names the price.
    """
    line = terms.is_line(order.order_type)
    if not _possible(order, price, above=-math.inf if line else 1.0, needed=True):
        raise error(_refusal(order, name, price, "a finite number" if line else "odds above 1"))


def _require_size(order: Order, name: str, size: float | None, needed: bool = False) -> None:
    if not _possible(order, size, above=0.0, needed=needed):
        raise OrderError(_refusal(order, name, size, "a number above 0"))


def _possible(order: Order, number: float | None, above: float, needed: bool) -> bool:
    strict = order.trade.host.rules.guarded_status
    if number is None:
        return not (needed and strict)
    return math.isfinite(number) and (number > above or not strict)


def _refusal(order: Order, name: str, value: float | None, expected: str) -> str:
    return (
        f"order {order.id} on runner {order.selection_id} of market {order.market_id}: {name}={shown(value)}: "
        f"expected {expected}"
    )
