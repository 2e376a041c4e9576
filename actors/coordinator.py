"""The coordinator: what is shared by all markets of an account. In a replay it is a plain object, one a unit."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..strategies.cleared import ClearedMarkets
from ..strategies.errors import ControlError
from ..strategies.events import ClearedMarketsEvent, ClearedOrdersMetaEvent, CloseMarketEvent, MarketEvent
from ..strategies.order import Order
from ..strategies.order_package import OrderPackage, OrderPackageType
from ..values import legible
from .clients import BaseClient, Clients
from .failures import users_code

if TYPE_CHECKING:
    from .market import HostedMarket, MarketActor

_FIGURE = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


@dataclasses.dataclass
class Violation:
    """Refusals by one control in one market."""

    strategy: str
    market_id: str
    control: str
    request: str
    reason: str
    count: int = 1


def kind_of_reason(reason: str) -> str:
    """A reason without its figures: those that differ in nothing else are of one kind."""
    return _FIGURE.sub("#", reason)


class Coordinator:
    """Client controls, order packages, clearing, logging controls.

    The methods without underscore are steps that a subclass may override.
    """

    def __init__(self, clients: Sequence[BaseClient], logging_controls: Callable[[Any], object] | None = None) -> None:
        self._client_settings = list(clients)
        self.clients = Clients()
        self.logging_controls = logging_controls
        self.violations: dict[tuple[str, str, str, str], Violation] = {}

    def connect(
        self, actor: MarketActor, client_controls: Sequence[tuple[BaseClient | None, Any, dict[str, Any]]]
    ) -> None:
        """Open the clients' accounts for an actor that hosts markets."""
        accounts = {id(client): client.open_account(actor) for client in self._client_settings}
        for account in accounts.values():
            self.clients.add_client(account)
        for client, control, settings in client_controls:
            targets = [accounts[id(client)]] if client is not None else list(accounts.values())
            for account in targets:
                with users_code(f"control {control.__name__} cannot be made", raise_errors=actor.config.raise_errors):
                    account.trading_controls.append(control(actor, account, **settings))

    # -- steps ---------------------------------------------------------------------------------------------------

    def add_market(self, market: HostedMarket) -> None:
        """A market is new."""
        self.log(MarketEvent(market))

    def remove_market(self, market: HostedMarket) -> None:
        """A market is settled, or its recording has ended."""

    def process_order_package(self, package: OrderPackage) -> None:
        """Requests are on their way to the exchange."""
        package.market.exchange.submit(package)  # type: ignore[attr-defined]

    def process_cleared_orders(self, market: HostedMarket) -> None:
        """The orders of a settled market are known."""
        if market.blotter.active:
            self.log(ClearedOrdersMetaEvent(list(market.blotter)))

    def process_cleared_markets(self, market: HostedMarket) -> None:
        """A settled market's result is known: one entry a client."""
        for client in self.clients:
            cleared = market.cleared(client)
            market.market_cleared.append(cleared)
            self.log(ClearedMarketsEvent(ClearedMarkets({"client": client.username, **cleared})))

    def process_custom_event(self, event: Any) -> None:
        """A custom event has come, and is about to reach the strategies."""

    def process_end(self) -> None:
        """The run ends."""

    # -- services ------------------------------------------------------------------------------------------------

    def refused(self, order: Order, package_type: OrderPackageType, refusal: ControlError) -> None:
        """Count a refusal."""
        reason = legible(refusal).split("Error: ", 1)[-1]
        kind = f"{package_type.name} {kind_of_reason(reason)}"
        key = (order.trade.strategy.name, order.market_id, refusal.control, kind)
        known = self.violations.get(key)
        if known is not None:
            known.count += 1
            return
        self.violations[key] = Violation(key[0], key[1], key[2], package_type.name, reason)

    def log(self, event: Any) -> None:
        if self.logging_controls is not None:
            self.logging_controls(event)

    def closed(self, market: HostedMarket) -> None:
        """A market was settled: clear it."""
        self.process_cleared_orders(market)
        self.process_cleared_markets(market)
        self.log(CloseMarketEvent(market))
