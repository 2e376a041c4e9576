"""What a market needs from the system around it, and what a strategy sees of that system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ..config import Config
from .errors import ControlError
from .host import Host
from .messages import Request
from .order import Order
from .order_package import OrderPackageType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .market import Market, Markets
    from .strategy import Strategy


class Framework(Protocol):
    """The system as a strategy and its markets see it: in an actor, the part that lives there."""

    host: Host
    config: Config
    markets: Markets
    logs: bool
    """Whether anybody hears the events that `log_control` passes on; events that nobody hears need not be made."""

    @property
    def running(self) -> Strategy | None:
        """The strategy whose callback is running; None between callbacks."""

    @property
    def strategies(self) -> Sequence[Strategy]: ...

    @property
    def clients(self) -> Any: ...

    def validate(self, market: Market, order: Order, package_type: OrderPackageType, client: Any) -> None:
        """Run the controls.

        Raises:
            ControlError: one of them refuses.
        """

    def refused(self, market: Market, order: Order, package_type: OrderPackageType, refusal: ControlError) -> None:
        """Note a refusal."""

    def submit(self, market: Market, request: Request) -> None:
        """Send a request on its way to the exchange."""

    def log_control(self, event: Any) -> None:
        """Pass an event to the logging controls."""
