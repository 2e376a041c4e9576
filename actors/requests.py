"""Requests of strategies on their way to the coordinator: controls and refusals."""

from __future__ import annotations

import abc
import logging
from collections.abc import Callable
from typing import Any

from ..strategies.errors import ControlError
from ..strategies.market import Market
from ..strategies.messages import REPLACE, ReplaceInstruction, Reply, Request
from ..strategies.order import Order
from ..strategies.order_package import OrderPackageType
from ..values import legible
from .clients import BaseClient
from .controls import BaseControl
from .coordinator import expired
from .hosted_market import HostedMarket
from .turns import Turns
from .violations import violation_of

logger = logging.getLogger("headrace")


class Requests(Turns):
    """Checks the requests of strategies and sends them."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._asked: list[BaseControl] = []
        self._checks: list[Callable[[Order, OrderPackageType], None]] = []

    def validate(self, market: Market, order: Order, package_type: OrderPackageType, client: BaseClient) -> None:
        """Run the controls that answer inside the request.

        Raises:
            ControlError: one of them refuses.
        """
        if self._asked != self.trading_controls:
            self._resolve()
        for check in self._checks:
            check(order, package_type)
        if not self.rules.account_controls_later:
            for control in client.trading_controls:
                control(order, package_type)
        for venue, username, control in self._client_controls:
            if username == client.username and venue == client.venue:
                control(order, package_type)

    def _resolve(self) -> None:
        """Note how each control is asked: directly, unless a class of its own says what a call of it does."""
        self._asked = list(self.trading_controls)
        self._checks = [
            control._validate if type(control).__call__ is BaseControl.__call__ else control for control in self._asked
        ]

    def refused(self, market: Market, order: Order, package_type: OrderPackageType, refusal: ControlError) -> None:
        """A control has refused a request that was about to be made."""
        kind = package_type.name
        self.coordinator.refused(
            violation_of(order.trade.strategy.name, order.market_id, kind, refusal, self.clock.now_ms)
        )
        placing = package_type is OrderPackageType.PLACE
        if placing or not self.rules.guarded_status:
            order.violation(str(refusal))
            if not placing:
                order.executable()
        else:
            order.violation_msg = str(refusal)

    def submit(self, market: Market, request: Request) -> None:
        """Hand a request to the coordinator. If that fails, its orders end, and the strategy's other requests go on."""
        if request.kind == REPLACE:
            assert isinstance(market, HostedMarket)
            for instruction in request.instructions:
                assert isinstance(instruction, ReplaceInstruction)
                order = market.blotter[instruction.order_id]
                market.replacing[order.id] = (instruction, request)
                if self.rules.guarded_status:
                    order.trade.replacing(order)
        try:
            self.coordinator.submit(request)
        except Exception as error:
            if not self.rules.guarded_status:
                raise
            self.failed(error, request.market_id, request.strategy)
            reply = expired(request, self.clock.now_ms, legible(error))
            assert isinstance(market, HostedMarket)
            self.take_reply(market, reply)

    @abc.abstractmethod
    def take_reply(self, market: HostedMarket, reply: Reply) -> None:
        """A request was answered."""
