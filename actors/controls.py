"""Controls: what refuses a request before it is sent."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal, NoReturn, Protocol

from ..strategies.errors import ControlError
from ..strategies.messages import CANCEL, Instruction, Request
from ..strategies.order import Order
from ..strategies.order_package import OrderPackageType
from ..strategies.order_types import LimitOnCloseOrder, LimitOrder, MarketOnCloseOrder
from ..strategies.prices import is_classic_price, is_finest_price, make_line_prices
from ..strategies.terms import LINE_RANGE, Terms, lines_of
from ..strategies.worst_case import Position

_HOUR_MS = 3_600_000


class Account(Protocol):
    """What a control asks of the account whose requests it judges."""

    @property
    def username(self) -> str: ...

    @property
    def transaction_limit(self) -> int | None: ...


class BaseControl:
    """Subclass it and override `_validate`; call `self._on_error(order, "why")` to refuse.

    Attributes:
        NAME: stands in violations.
        scope: "market": asked inside the request, about the order; "account": asked in the coordinator, about the
            instruction (such as `PlaceInstruction`) instead of the order.
        framework: the market's actor; the coordinator for controls with the scope "account".
    """

    NAME: ClassVar[str] = "CONTROL"
    scope: ClassVar[Literal["market", "account"]] = "market"

    def __init__(self, framework: Any, **settings: Any) -> None:
        self.framework = framework
        self.flumine = framework
        for name, value in settings.items():
            setattr(self, name, value)

    def __call__(self, order: Order, package_type: OrderPackageType) -> None:
        self._validate(order, package_type)

    def judge(self, instruction: Instruction, request: Request, account: Account) -> None:
        """Judge an instruction in the coordinator. `account`: the account that it is for.

        Raises:
            ControlError: the control refuses.
        """
        self._validate(instruction, OrderPackageType[request.kind])

    def _validate(self, order: Any, package_type: OrderPackageType) -> None:
        """Return if the request may be sent; otherwise call `_on_error`."""
        raise TypeError(f"control {type(self).__name__} does not say what it validates: override _validate")

    def _on_error(self, order: Any, error: str) -> NoReturn:
        """Refuse the request.

        Raises:
            ControlError: always; the request then answers False.
        """
        raise ControlError(f"Order has violated: {self.NAME} Error: {error}", self.NAME)


class OrderValidation(BaseControl):
    """The exchange accepts sizes, prices and minimum stakes."""

    NAME = "ORDER_VALIDATION"

    def _validate(self, order: Order, package_type: OrderPackageType) -> None:
        order_type, place_only = order.order_type, self.framework.host.rules.validate_place_only
        if place_only and package_type is not OrderPackageType.PLACE:
            if package_type is OrderPackageType.REPLACE and not isinstance(order_type, MarketOnCloseOrder):
                self._price(order, order_type, order.update_data.get("new_price"))
            return
        if isinstance(order_type, LimitOrder):
            size = order_type.size or order_type.bet_target_size
            self._size(order, size, "size")
            self._price(order, order_type, order_type.price)
            if place_only:
                size = order_type.size  # a target is not a stake: the exchange works out what it comes to
            self._minimum_size(order, order_type.price, size)
        else:
            if isinstance(order_type, LimitOnCloseOrder):
                self._price(order, order_type, order_type.price)
            self._size(order, order_type.liability, "liability")
            self._minimum_liability(order, order_type.liability)

    def _size(self, order: Order, size: float | None, what: str) -> None:
        if size is None:
            self._on_error(order, f"Order {what} is None")
        elif not 0 < size < math.inf:
            self._on_error(order, f"Order {what} is {size}, expected a number above 0")
        elif size % 1 and size != round(size, 2):
            self._on_error(order, f"Order {what} is {size}, expected at most two decimals")

    def _price(self, order: Order, order_type: LimitOrder | LimitOnCloseOrder, price: float | None) -> None:
        if price is None:
            self._on_error(order, "Order price is None")
        ladder, market = order_type.price_ladder_definition, None
        if self.framework.host.rules.worst_case:
            market = self.framework.markets.markets.get(order.market_id)
            if market is not None:
                ladder = market.blotter.terms.ladder_for(order_type)
        if ladder == "CLASSIC":
            valid = is_classic_price(price)
        elif ladder == "FINEST":
            valid = is_finest_price(price)
        elif ladder == LINE_RANGE:
            lines = None if market is None else lines_of(market.market_book.market_definition)
            valid = price in (lines or _line_prices(getattr(order_type, "line_range_info", None)))
        else:
            valid = True
        if not valid:
            self._on_error(order, f"Order price is {price}, which is not on the {ladder} ladder")

    def _minimum_size(self, order: Order, price: float, size: float | None) -> None:
        client = order.client
        if not client.min_bet_validation or size is None:
            return
        if size < client.min_bet_size and price * size < client.min_bet_payout:
            self._on_error(
                order,
                f"Order size is {size}, expected {client.min_bet_size} or a payout of {client.min_bet_payout}",
            )

    def _minimum_liability(self, order: Order, liability: float) -> None:
        client = order.client
        if not client.min_bet_validation:
            return
        minimum = client.min_bet_size if order.side == "BACK" else client.min_bsp_liability
        if liability < minimum:
            self._on_error(order, f"Order liability is {liability}, expected {minimum} or more")


def _line_prices(info: Any) -> tuple[float, ...]:
    """The prices of a line market; none if its range is not known."""

    def unit(key: str, name: str) -> Any:
        return info.get(key) if isinstance(info, dict) else getattr(info, name, None)

    low, high = unit("minUnitValue", "min_unit_value"), unit("maxUnitValue", "max_unit_value")
    interval = unit("interval", "interval")
    if low is None or high is None or not interval:
        return ()
    return make_line_prices(low, high, interval)


class MarketValidation(BaseControl):
    """The market is known and open."""

    NAME = "MARKET_VALIDATION"

    def _validate(self, order: Order, package_type: OrderPackageType) -> None:
        market = self.framework.markets.markets.get(order.market_id)
        if market is None:
            self._on_error(order, f"Market {order.market_id} is not known here")
        elif market.market_book is None or market.market_book.market_definition is None:
            self._on_error(order, "Market book is not available")
        elif market.market_book.status != "OPEN":
            self._on_error(order, f"Market is not open, its status is {market.market_book.status}")


class StrategyExposure(BaseControl):
    """The strategy's own rules and its limits on orders, selections and markets."""

    NAME = "STRATEGY_EXPOSURE"

    def _validate(self, order: Order, package_type: OrderPackageType) -> None:
        strategy = order.trade.strategy
        if package_type is OrderPackageType.PLACE:
            context = strategy.get_runner_context(order.market_id, order.selection_id, order.handicap)
            if strategy.validate_order(context, order) is False:
                self._on_error(order, f"strategy.validate_order failed: {order.violation_msg}")
        elif package_type is not OrderPackageType.REPLACE:
            return
        replacing = package_type is OrderPackageType.REPLACE
        if self.framework.host.rules.worst_case:
            self._worst_case(order, replacing)
        else:
            self._peer_limits(order, replacing)

    def _worst_case(self, order: Order, replacing: bool) -> None:
        """Refuse what makes the worst case of its runner, or of the market, worse than a limit allows."""
        strategy = order.trade.strategy
        market = self.framework.markets.markets.get(order.market_id)
        if market is None:
            self._on_error(order, f"Market {order.market_id} is not known here")
        blotter, lookup, book = market.blotter, order.lookup, market.market_book
        limit, new_price = strategy.max_market_exposure, None
        if replacing:
            # With its new price noted, the order counts at the worse of its two prices.
            new_price = order.update_data.pop("new_price", None)
        position = blotter.position(strategy, lookup)
        before = position.worst
        market_before = 0.0 if limit is None else round(blotter.market_exposure(strategy, book), 2)
        if replacing:
            order.update_data["new_price"] = new_price
            position = blotter.position(strategy, lookup)
        else:
            position.add(order, new=True)
        after = position.worst
        if after < before:
            alone = self._alone(order, blotter.terms, new_price if replacing else None)
            most = strategy.max_order_exposure
            if most is not None and alone > most:
                self._on_error(order, f"Order exposure ({alone:.2f}) is more than max_order_exposure ({most})")
            most = strategy.max_selection_exposure
            if most is not None and -after > most:
                self._on_error(order, f"Selection exposure ({-after:.2f}) is more than max_selection_exposure ({most})")
        if limit is not None:
            new = None if replacing else order
            market_after = round(blotter.market_exposure(strategy, book, new_order=new), 2)
            if market_after < market_before and -market_after > limit:
                self._on_error(
                    order, f"Market exposure ({-market_after:.2f}) is more than max_market_exposure ({limit})"
                )

    @staticmethod
    def _alone(order: Order, terms: Terms, new_price: float | None) -> float:
        """What the order alone can lose; for a replace, what remains of it at the new price."""
        order_type = order.order_type
        if new_price is None and terms.line is False and not terms.each_way:
            size = order.requested_size
            if order.side == "LAY" and isinstance(order_type, LimitOrder):
                size *= order_type.price - 1
            return round(size, 2)
        position = Position(terms)
        if new_price is None:
            position.add(order, new=True)
        else:
            position.wait(order, new_price, order.size_remaining)
        return max(0.0, -position.worst)

    def _peer_limits(self, order: Order, replacing: bool) -> None:
        strategy = order.trade.strategy
        exposure = self._order_exposure(order)
        limit = strategy.max_order_exposure
        if limit is not None and exposure > limit:
            self._on_error(order, f"Order exposure ({exposure:.2f}) is more than max_order_exposure ({limit})")
        market = self.framework.markets.markets.get(order.market_id)
        if market is None:
            self._on_error(order, f"Market {order.market_id} is not known here")
        exclusion = order if replacing else None
        limit = strategy.max_selection_exposure
        if limit is not None:
            exposures = market.blotter.get_exposures(strategy, order.lookup, exclusion)
            side = "lose" if order.side == "BACK" else "win"
            total = exposure - exposures[f"worst_possible_profit_on_{side}"]
            if total > limit:
                self._on_error(order, f"Selection exposure ({total:.2f}) is more than max_selection_exposure ({limit})")
        limit = strategy.max_market_exposure
        if limit is not None:
            worst = -market.blotter.market_exposure(strategy, market.market_book, exclusion, order)
            if worst > limit:
                self._on_error(order, f"Market exposure ({worst:.2f}) is more than max_market_exposure ({limit})")

    def _order_exposure(self, order: Order) -> float:
        order_type = order.order_type
        if not isinstance(order_type, LimitOrder):
            return order_type.liability
        price, size = order_type.price, order_type.size or order_type.bet_target_size or 0.0
        if order.side == "BACK" or order_type.price_ladder_definition == "LINE_RANGE":
            return size
        return (price - 1) * size


class ExecutionValidation(BaseControl):
    """Stops cancels, updates and replaces that keep failing while an order stream is down. Live only; optional.

    `Config(execution_retry_attempts=...)`: so many of them may fail for one order.
    """

    NAME = "EXECUTION_VALIDATION"

    def _validate(self, order: Order, package_type: OrderPackageType) -> None:
        framework = self.framework
        if framework.order_stream_connected or order.client.simulated:
            return
        answers = {
            OrderPackageType.CANCEL: order.responses.cancel_responses,
            OrderPackageType.UPDATE: order.responses.update_responses,
            OrderPackageType.REPLACE: order.responses.replace_responses,
        }.get(package_type, [])
        failures = sum(answer.status != "SUCCESS" for answer in answers)
        attempts = framework.config.execution_retry_attempts
        if failures >= attempts:
            self._on_error(order, f"{failures} attempts failed and the order stream is not connected")


class MaxTransactionCount(BaseControl):
    """Transactions of a client in a clock hour: placed and failed ones count, cancels are always let through."""

    NAME = "MAX_TRANSACTION_COUNT"
    scope = "account"

    def __init__(self, framework: Any, client: Account) -> None:
        super().__init__(framework, client=client)
        self.client = client
        self._hour = -1
        self.current_transaction_count = 0
        self.current_failed_transaction_count = 0
        self.transaction_count = 0
        self.failed_transaction_count = 0

    def add_transaction(self, count: int, failed: bool = False, hour: int | None = None) -> None:
        """Count `count` transactions; `failed`: those that the exchange refused.

        Args:
            hour: the clock hour, since the epoch, that they count in; None: the one under way. What is given back of an
                hour that is over changes nothing of this one.
        """
        if hour is not None and self.framework.host.rules.account_controls_later:
            if hour > self._hour:
                self._begin(hour)
            this_hour = hour == self._hour or (count > 0 and hour == self._now_hour)  # the clock was set back
        else:
            this_hour = True
        if failed:
            self.failed_transaction_count += count
            self.current_failed_transaction_count += count * this_hour
        else:
            self.transaction_count += count
            self.current_transaction_count += count * this_hour

    def _begin(self, hour: int) -> None:
        self._hour = hour
        self.current_transaction_count = self.current_failed_transaction_count = 0

    @property
    def _now_hour(self) -> int:
        now_ms: int = self.framework.host.clock.now_ms
        return now_ms // _HOUR_MS

    @property
    def current_transaction_count_total(self) -> int:
        """This hour's transactions, placed and failed."""
        return self.current_transaction_count + self.current_failed_transaction_count

    @property
    def transaction_count_total(self) -> int:
        """All transactions, placed and failed."""
        return self.transaction_count + self.failed_transaction_count

    def judge(self, instruction: Instruction, request: Request, account: Account) -> None:
        self._look(instruction, request.kind == CANCEL)

    def _validate(self, order: Any, package_type: OrderPackageType) -> None:
        self._look(order, package_type is OrderPackageType.CANCEL)

    def _look(self, order: Any, cancelling: bool) -> None:
        hour = self._now_hour
        if hour != self._hour and hour != self._hour - 1:  # a clock that is set back does not begin an hour anew
            self._begin(hour)
        limit = self.client.transaction_limit
        if cancelling or limit is None:
            return
        count = self.current_transaction_count_total
        # Requests count when they are asked for; by the peer's rules, when they are answered.
        if count >= limit if self.framework.host.rules.account_controls_later else count > limit:
            self._on_error(order, f"{count} transactions this hour, the limit is {limit}")


DEFAULT_TRADING_CONTROLS: tuple[type[BaseControl], ...] = (OrderValidation, MarketValidation, StrategyExposure)
