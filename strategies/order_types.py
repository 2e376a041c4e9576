"""What is asked of the exchange: limit, limit-on-close and market-on-close orders.

Source: Betfair API-NG `placeOrders`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from ..values import mapping, number, word
from .errors import OrderError
from .statuses import Status

#: What happens to a limit order at the turn in play.
PERSISTENCE_TYPES = ("LAPSE", "PERSIST", "MARKET_ON_CLOSE")
TIMES_IN_FORCE = ("FILL_OR_KILL",)
BET_TARGET_TYPES = ("PAYOUT", "BACKERS_PROFIT")
PRICE_LADDERS = ("CLASSIC", "FINEST", "LINE_RANGE")


def stake_of_target(target: float, target_type: str | None, price: float) -> float:
    """The stake that reaches a bet target at a price.

    Args:
        target: in the account's currency.
        target_type: PAYOUT: stake and profit together; else the profit alone.
    """
    odds = price if target_type == "PAYOUT" else price - 1
    return round(target / odds, 2) if odds > 0 else target


class OrderTypes(Status):
    """The exchange's order types."""

    __slots__ = ()

    LIMIT: ClassVar[Any] = "Limit"
    LIMIT_ON_CLOSE: ClassVar[Any] = "Limit on close"
    MARKET_ON_CLOSE: ClassVar[Any] = "Market on close"


class BaseOrderType:
    """Common to all order types.

    Attributes:
        takes_sp: the order goes to the starting price, whatever its persistence.
    """

    ORDER_TYPE: ClassVar[OrderTypes]
    takes_sp: ClassVar[bool] = True
    price_ladder_definition: str = "CLASSIC"

    def place_instruction(self) -> dict[str, Any]:
        raise TypeError(f"{type(self).__name__} is not an order type that can be placed")

    @property
    def info(self) -> dict[str, Any]:
        return {"order_type": self.ORDER_TYPE.name, **self.__dict__}

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items() if value is not None)
        return f"{type(self).__name__}({fields})"


class LimitOrder(BaseOrderType):
    """An order at a price or better.

    Args:
        price: decimal odds on the market's ladder.
        size: stake in the account's currency.
        persistence_type: what happens at the turn in play: LAPSE, PERSIST (keep) or MARKET_ON_CLOSE (take SP).
        time_in_force: FILL_OR_KILL, or None.
        min_fill_size: least size that a fill-or-kill order takes; None: all of it.
        bet_target_type, bet_target_size: ask for a payout (PAYOUT) or a profit (BACKERS_PROFIT) instead of a size.
        price_ladder_definition: CLASSIC, FINEST or LINE_RANGE.
        line_range_info: for LINE_RANGE: the market's line unit range (`minUnitValue`, `maxUnitValue`, `interval`).

    Raises:
        OrderError: a word is not one that the exchange has, or a number is not one. Numbers that the exchange does not
            take (off the ladder, infinite, not-a-number) are left to the controls, which refuse the order.
    """

    ORDER_TYPE = OrderTypes.LIMIT
    takes_sp = False

    def __init__(
        self,
        price: float,
        size: float | None = None,
        persistence_type: str = "LAPSE",
        time_in_force: str | None = None,
        min_fill_size: float | None = None,
        bet_target_type: str | None = None,
        bet_target_size: float | None = None,
        price_ladder_definition: str = "CLASSIC",
        line_range_info: dict[str, Any] | None = None,
    ) -> None:
        # Orders are made by the ten thousand: an ordinary value costs one comparison.
        if type(price) is not float:
            price = _number(price, "LimitOrder price")
        if type(size) is not float:
            size = _number(size, "LimitOrder size")
        if persistence_type not in PERSISTENCE_TYPES or type(persistence_type) is not str:
            persistence_type = word(persistence_type, "LimitOrder persistence_type", PERSISTENCE_TYPES, OrderError)
        if price_ladder_definition != "CLASSIC" or line_range_info is not None:
            price_ladder_definition = _ladder(price_ladder_definition, "LimitOrder")
            line_range_info = _line_range(line_range_info)
        if time_in_force is not None:
            time_in_force = word(time_in_force, "LimitOrder time_in_force", TIMES_IN_FORCE, OrderError)
        if min_fill_size is not None:
            min_fill_size = _number(min_fill_size, "LimitOrder min_fill_size")
        if bet_target_type is not None:
            bet_target_type = word(bet_target_type, "LimitOrder bet_target_type", BET_TARGET_TYPES, OrderError)
        if bet_target_size is not None:
            bet_target_size = _number(bet_target_size, "LimitOrder bet_target_size")
        self.price = price
        self.size = size
        self.persistence_type = persistence_type
        self.time_in_force = time_in_force
        self.min_fill_size = min_fill_size
        self.bet_target_type = bet_target_type
        self.bet_target_size = bet_target_size
        self.price_ladder_definition = price_ladder_definition
        self.line_range_info = line_range_info

    @property
    def stake_of_target(self) -> float:
        """The stake that reaches the bet target at the order's price; 0.0 where there is no target."""
        return stake_of_target(self.bet_target_size or 0.0, self.bet_target_type, self.price)

    def place_instruction(self) -> dict[str, Any]:
        """The exchange's `limitOrder`."""
        fields = {
            "price": self.price,
            "size": self.size,
            "persistenceType": self.persistence_type,
            "timeInForce": self.time_in_force,
            "minFillSize": self.min_fill_size,
            "betTargetType": self.bet_target_type,
            "betTargetSize": self.bet_target_size,
        }
        return {name: value for name, value in fields.items() if value is not None}


class LimitOnCloseOrder(BaseOrderType):
    """A bet at the starting price, if that is the price or better.

    Args:
        liability: the stake of a back, the risk of a lay, in the account's currency.
        price: the worst price accepted.

    Raises:
        OrderError: as for `LimitOrder`.
    """

    ORDER_TYPE = OrderTypes.LIMIT_ON_CLOSE

    def __init__(self, liability: float, price: float, price_ladder_definition: str = "CLASSIC") -> None:
        self.liability = liability if type(liability) is float else _number(liability, "LimitOnCloseOrder liability")
        self.price = price if type(price) is float else _number(price, "LimitOnCloseOrder price")
        if price_ladder_definition != "CLASSIC":
            price_ladder_definition = _ladder(price_ladder_definition, "LimitOnCloseOrder")
        self.price_ladder_definition = price_ladder_definition

    def place_instruction(self) -> dict[str, Any]:
        """The exchange's `limitOnCloseOrder`."""
        return {"liability": self.liability, "price": self.price}


class MarketOnCloseOrder(BaseOrderType):
    """A bet at the starting price, whatever it is.

    Args:
        liability: the stake of a back, the risk of a lay, in the account's currency.

    Raises:
        OrderError: as for `LimitOrder`.
    """

    ORDER_TYPE = OrderTypes.MARKET_ON_CLOSE

    def __init__(self, liability: float) -> None:
        self.liability = liability if type(liability) is float else _number(liability, "MarketOnCloseOrder liability")

    def place_instruction(self) -> dict[str, Any]:
        """The exchange's `marketOnCloseOrder`."""
        return {"liability": self.liability}


def _number(value: Any, what: str) -> Any:
    """A number, or None: what is missing is refused by the controls, with what is wrong."""
    return None if value is None else number(value, what, OrderError)


def _ladder(value: Any, owner: str) -> str:
    return word(value, f"{owner} price_ladder_definition", PRICE_LADDERS, OrderError)


def _line_range(info: Any) -> Any:
    """A dict, or the object that a catalogue has."""
    if info is None or hasattr(info, "interval"):
        return info
    return mapping(info, "LimitOrder line_range_info", OrderError)
