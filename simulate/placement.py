"""What happens to an order when it reaches the simulated exchange. Source: docs/fidelity.md."""

from __future__ import annotations

import math

from ..strategies.book import MarketBook
from ..strategies.ladder import PriceSize
from ..strategies.order import Response
from ..strategies.order_types import BaseOrderType, LimitOrder
from ..strategies.prices import MAX_PRICE, MIN_PRICE
from ..strategies.runner_book import RunnerBook
from ..strategies.terms import Terms
from .bets import SimulatedBet
from .models import Models
from .removals import GONE

FILL_OR_KILL = "FILL_OR_KILL"


class Arrival:
    """An order at the exchange's door.

    Args:
        book: the market's book in force.
        market_version: the version that the request insists on, or None.
        delay_done: latency and bet delay have passed; until then only orders that match nothing go in.
        best_price_execution: of the client.
        full_match: of the client: match the whole order at its price.
        terms: how the market's bets are settled.
        time_ms: when that is, milliseconds since the epoch: what the order matches there is matched then.
        stop_on_unknown: raise where the runner is unknown, the size is a bet target or nothing, as the peer does.
    """

    __slots__ = (
        "best_price_execution",
        "book",
        "delay_done",
        "full_match",
        "market_version",
        "models",
        "stop_on_unknown",
        "terms",
        "time_ms",
    )

    def __init__(
        self,
        book: MarketBook,
        models: Models,
        market_version: int | None,
        delay_done: bool,
        best_price_execution: bool,
        full_match: bool,
        stop_on_unknown: bool,
        terms: Terms,
        time_ms: int,
    ) -> None:
        self.book = book
        self.models = models
        self.market_version = market_version
        self.delay_done = delay_done
        self.best_price_execution = best_price_execution
        self.full_match = full_match
        self.stop_on_unknown = stop_on_unknown
        self.terms = terms
        self.time_ms = time_ms

    def place(self, bet: SimulatedBet) -> Response | None:
        """The exchange's answer without a bet id; None where the order has to wait for the bet delay."""
        order = bet.order
        if self.stop_on_unknown and order.is_limit and not bet.size:
            raise NotImplementedError(f"order {order.id} takes the place of nothing: the peer's run ends with it")
        answer = self._place(bet)
        if answer is not None and answer.status == "SUCCESS" and self.full_match and order.size_remaining:
            assert isinstance(order.order_type, LimitOrder)
            # The peer gives these fills no time.
            bet.fill(0 if self.stop_on_unknown else self.time_ms, order.order_type.price, order.size_remaining)
        return answer

    def _place(self, bet: SimulatedBet) -> Response | None:
        book, order = self.book, bet.order
        order_type = order.order_type
        if book.status != "OPEN":
            return _voided(bet, "ERROR_IN_ORDER")
        bet.market_version = book.version
        if self.market_version is not None and self.market_version != book.version:
            return _lapsed(bet, "BET_TAKEN_OR_LAPSED")
        runner = book.runner(order.selection_id, order.handicap)
        if runner is None:
            if self.stop_on_unknown:
                raise AttributeError(f"market {book.market_id} has no runner {order.selection_id} {order.handicap}")
            return _voided(bet, "INVALID_RUNNER")
        if runner.status == "REMOVED" or (runner.status in GONE and not self.stop_on_unknown):
            return _voided(bet, "RUNNER_REMOVED")
        definition = book.market_definition
        assert definition is not None
        if not self.stop_on_unknown and (code := _unusable(order_type, self.terms)) is not None:
            bet.size = 0.0
            bet.settle_sizes()
            return Response("FAILURE", code)
        no_sp = not definition.bsp_market or book.bsp_reconciled or book.inplay
        if not isinstance(order_type, LimitOrder):
            return _voided(bet, "MARKET_NOT_OPEN_FOR_BSP_BETTING") if no_sp else Response("SUCCESS")
        if order_type.persistence_type == "MARKET_ON_CLOSE" and no_sp:
            return _voided(bet, "BET_ACTION_ERROR")
        if order_type.size is None and self.stop_on_unknown:
            raise NotImplementedError(
                "bet target orders are not simulated under compatibility with flumine; give a size"
            )
        return self._limit(bet, order_type, runner)

    def _limit(self, bet: SimulatedBet, order_type: LimitOrder, runner: RunnerBook) -> Response | None:
        order, price = bet.order, order_type.price
        kill = order_type.time_in_force == FILL_OR_KILL
        min_fill = order_type.min_fill_size or bet.size
        if kill and min_fill > bet.size:
            bet.cancel(order.size_remaining)
            return Response("FAILURE", "INVALID_MIN_FILL_SIZE")
        liquidity = self.models.liquidity
        back = order.side == "BACK"
        levels = liquidity.to_back(runner) if back else liquidity.to_lay(runner)
        if levels:
            best = levels[0].price
        elif not self.stop_on_unknown and self.terms.is_line(order_type):
            best = -math.inf if back else math.inf
        else:
            best = MIN_PRICE if back else MAX_PRICE
        aggressive, improves = (price <= best, best > price) if back else (price >= best, best < price)
        if aggressive and not self.delay_done:
            return None
        if improves and not self.best_price_execution:
            return _lapsed(bet, "BET_LAPSED_PRICE_IMPROVEMENT_TOO_LARGE")
        time_ms = self.time_ms
        if kill:
            if price == best:
                if levels and levels[0].size >= min_fill:
                    _sweep(bet, levels, price, back, time_ms)
            elif aggressive:
                _sweep_average(bet, levels, price, back, time_ms, min_fill, self.stop_on_unknown)
            bet.cancel(order.size_remaining)
        elif aggressive:
            _sweep(bet, levels, price, back, time_ms)
        else:
            queue = runner.ex.available_to_lay if back else runner.ex.available_to_back
            bet.queue_ahead = self.models.queue.ahead(queue, price)
        return Response("SUCCESS", size=order.size_matched)


def _unusable(order_type: BaseOrderType, terms: Terms) -> str | None:
    """The exchange's code where a number of the order is none that a bet can have, which controls were told to skip."""
    price = getattr(order_type, "price", 2.0)
    line = terms.is_line(order_type)  # there the price is a line, of any size
    if price is None or not (math.isfinite(price) if line else MIN_PRICE <= price <= MAX_PRICE):
        return "INVALID_ODDS"
    if isinstance(order_type, LimitOrder):
        size = order_type.size if order_type.size is not None else order_type.bet_target_size
    else:
        size = getattr(order_type, "liability", None)
    return None if size is not None and 0 < size < math.inf else "INVALID_BET_SIZE"


def _voided(bet: SimulatedBet, code: str) -> Response:
    bet.void()
    return Response("FAILURE", code)


def _lapsed(bet: SimulatedBet, code: str) -> Response:
    bet.lapse()
    return Response("FAILURE", code)


def _sweep(bet: SimulatedBet, levels: list[PriceSize], price: float, back: bool, time_ms: int) -> None:
    """Take levels at the price or better, best first, each at its own price."""
    for at, available in levels:
        outstanding = bet.order.size_remaining
        if outstanding == 0 or (at < price if back else at > price):
            return
        bet.fill(time_ms, at, round(min(available, outstanding), 2))


def _sweep_average(
    bet: SimulatedBet,
    levels: list[PriceSize],
    price: float,
    back: bool,
    time_ms: int,
    min_fill: float,
    pence: bool,
) -> None:
    """Take levels while the average stays at the price or better; nothing at all where `min_fill` is not reached.

    `pence`: the average is rounded before it is compared, as the peer does: up to half a hundredth worse will do.
    """
    value = total = 0.0
    outstanding = bet.order.size_remaining
    taken: list[tuple[float, float]] = []
    for at, available in levels:
        if outstanding == 0:
            break
        size = round(min(available, outstanding), 2)
        average = round((value + at * size) / (total + size), 2 if pence else 10) if total + size else 0.0
        if average < price if back else average > price:
            break
        value, total = value + at * size, total + size
        outstanding = round(outstanding - size, 2)
        taken.append((at, size))
    if round(total, 2) < min_fill:
        return
    for at, size in taken:
        bet.fill(time_ms, at, size)
