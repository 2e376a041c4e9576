"""What travels to the exchange: requests of one kind, for one market, from one client."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from .order import Order, OrderStatus
from .statuses import Status

if TYPE_CHECKING:
    from .market import Market


class OrderPackageType(Status):
    """The exchange's four order operations."""

    __slots__ = ()

    PLACE: ClassVar[Any] = "Place"
    CANCEL: ClassVar[Any] = "Cancel"
    UPDATE: ClassVar[Any] = "Update"
    REPLACE: ClassVar[Any] = "Replace"


#: Most instructions in one call, by operation (Betfair API-NG).
ORDER_LIMITS = {
    OrderPackageType.PLACE: 200,
    OrderPackageType.CANCEL: 60,
    OrderPackageType.UPDATE: 60,
    OrderPackageType.REPLACE: 60,
}


Item = TypeVar("Item")


def chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Cut a sequence into pieces of `size`; the last may be shorter.

    Raises:
        ValueError: the size is below 1.
    """
    for at in range(0, len(items), size) if size > 0 else _no_size(size):
        yield items[at : at + size]


def _no_size(size: int) -> range:
    raise ValueError(f"chunks of {size}: expected a size of 1 or more")


class OrderPackage:
    """Requests on their way.

    Attributes:
        created_ms: when the strategy asked, milliseconds since the epoch.
        bet_delay: the market's, in seconds, when the strategy asked.
        market_version: the version the strategy saw, if it insists on it.
        latency: seconds until the simulated exchange looks at it.
        place_latency: of a replace: seconds until what takes the orders' place can be placed, bet delay aside.
    """

    __slots__ = (
        "async_",
        "bet_delay",
        "client",
        "created_ms",
        "customer_strategy_ref",
        "latency",
        "market",
        "market_version",
        "orders",
        "package_type",
        "place_latency",
    )

    def __init__(
        self,
        package_type: OrderPackageType,
        orders: list[Order],
        market: Market,
        client: Any,
        created_ms: int,
        bet_delay: int,
        market_version: int | None = None,
        async_: bool = False,
        customer_strategy_ref: str | None = None,
    ) -> None:
        self.package_type = package_type
        self.orders = orders
        self.market = market
        self.client = client
        self.created_ms = created_ms
        self.bet_delay = bet_delay
        self.market_version = market_version
        self.async_ = async_
        self.customer_strategy_ref = customer_strategy_ref
        self.latency = self.place_latency = 0.0

    @property
    def waiting(self) -> bool:
        """Whether any order of the package is still to be answered."""
        return any(order.status in (OrderStatus.PENDING, OrderStatus.REPLACING) for order in self.orders)

    def __len__(self) -> int:
        return len(self.orders)

    def __iter__(self) -> Any:
        return iter(self.orders)


BaseOrderPackage = OrderPackage
BetfairOrderPackage = OrderPackage
