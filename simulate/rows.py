"""Rows of a result: what remains of a market once its recording has ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..actors.coordinator import Coordinator
from ..actors.failures import Failure, Failures
from ..actors.hosted_market import HostedMarket
from ..strategies.order import Order
from ..strategies.order_types import LimitOnCloseOrder, LimitOrder
from ..strategies.strategy import Strategy
from ..values import legible
from .peak_exposure import peak_exposure
from .row_parts import failure_rows, fills_of, first_matched, parameters_text
from .sound_rows import RowCheck, UnfitValueError
from .starting_price import actual_sp

#: What a run with a band adds to the rows of `markets`, None without one: the least and the most of its three queues,
#: then what each of the other two came to.
BAND = tuple(
    (name, "number")
    for name in (
        "profit_low",
        "profit_high",
        "matched_low",
        "matched_high",
        "pessimistic_profit",
        "pessimistic_commission",
        "pessimistic_matched",
        "optimistic_profit",
        "optimistic_commission",
        "optimistic_matched",
    )
)
#: The queues of a band beside the run's own, in the order of its columns.
BOUNDS = ("pessimistic", "optimistic")

#: Columns of each table: name and kind. "time" is milliseconds since the epoch, UTC; money is in the account's
#: currency.
FIELDS: dict[str, tuple[tuple[str, str], ...]] = {
    "orders": (
        ("strategy", "text"),
        ("parameters", "text"),
        ("client", "text"),
        ("market_id", "text"),
        ("event_id", "text"),
        ("event_type_id", "text"),
        ("market_type", "text"),
        ("country_code", "text"),
        ("venue", "text"),
        ("selection_id", "whole"),
        ("handicap", "number"),
        ("side", "text"),
        ("order_type", "text"),
        ("price", "number"),
        ("size", "number"),
        ("liability", "number"),
        ("persistence_type", "text"),
        ("placed_at", "time"),
        ("first_matched_at", "time"),
        ("completed_at", "time"),
        ("status", "text"),
        ("size_matched", "number"),
        ("average_price_matched", "number"),
        ("size_remaining", "number"),
        ("size_cancelled", "number"),
        ("size_lapsed", "number"),
        ("size_voided", "number"),
        ("bet_id", "text"),
        ("order_id", "text"),
        ("error_code", "text"),
        ("seconds_to_start", "number"),
        ("inplay", "flag"),
        ("best_back", "number"),
        ("best_lay", "number"),
        ("last_price_traded", "number"),
        ("queue_ahead", "number"),
        ("bsp", "number"),
        ("profit", "number"),
        ("settlement_note", "text"),
        ("notes", "text"),
    ),
    "fills": (
        ("strategy", "text"),
        ("market_id", "text"),
        ("selection_id", "whole"),
        ("handicap", "number"),
        ("side", "text"),
        ("bet_id", "text"),
        ("order_id", "text"),
        ("time", "time"),
        ("price", "number"),
        ("size", "number"),
    ),
    "markets": (
        ("strategy", "text"),
        ("parameters", "text"),
        ("market_id", "text"),
        ("event_id", "text"),
        ("event_type_id", "text"),
        ("market_type", "text"),
        ("country_code", "text"),
        ("venue", "text"),
        ("start", "time"),
        ("changes", "whole"),
        ("orders", "whole"),
        ("matched_orders", "whole"),
        ("won_orders", "whole"),
        ("matched", "number"),
        ("exposure", "number"),
        ("profit", "number"),
        ("commission", "number"),
        ("transactions", "whole"),
        ("status", "text"),
        ("settled", "whole"),
        ("unsettled", "whole"),
        *BAND,
    ),
    "records": (
        ("strategy", "text"),
        ("market_id", "text"),
        ("time", "time"),
        ("record", "text"),
    ),
    "violations": (
        ("strategy", "text"),
        ("market_id", "text"),
        ("control", "text"),
        ("request", "text"),
        ("reason", "text"),
        ("count", "whole"),
    ),
    "failures": (
        ("strategy", "text"),
        ("market_id", "text"),
        ("line", "text"),
        ("count", "whole"),
        ("error_type", "text"),
        ("message", "text"),
        ("publish_time", "time"),
        ("unit", "text"),
        ("traceback", "text"),
        ("command", "text"),
    ),
    "transactions": (
        ("client", "text"),
        ("hour", "time"),
        ("strategy", "text"),
        ("charge_each", "number"),
        ("placed", "whole"),
        ("failed", "whole"),
    ),
}

#: Tables that the digest covers: what a run computed, not where and how.
DIGESTED = ("orders", "fills", "markets", "records")
#: So many columns of each: not those of a band, so that a run has the same digest with and without one.
DIGESTED_COLUMNS = {table: len([each for each in FIELDS[table] if each not in BAND]) for table in DIGESTED}

_CHECKS = {table: RowCheck(table, FIELDS[table]) for table in ("orders", "fills")}

Rows = dict[str, list[tuple[Any, ...]]]


def empty_rows() -> Rows:
    return {table: [] for table in FIELDS}


class Money(NamedTuple):
    """What a strategy came to in a market.

    Attributes:
        matched: size.
        profit: before commission.
    """

    matched: float
    profit: float
    commission: float


#: Of each strategy, by its name, what it came to with the queues of `BOUNDS`.
Bounds = Mapping[str, Mapping[str, Money]]


def money_of(market: HostedMarket, strategy: Strategy) -> Money:
    """What a strategy came to in a market whose recording has ended."""
    orders = market.blotter.strategy_orders(strategy)
    return Money(
        round(sum(order.size_matched for order in orders if order.size_matched > 0), 2),
        round(sum(order.profit for order in orders), 2),
        _commission(market, orders),
    )


class RowCollector:
    """Rows of one unit.

    Args:
        strategies: those of the run; rows carry their parameters as text.
        detailed: keep orders, fills and records; else only the rows of markets.

    Attributes:
        unfit: rows that could not be written; `finish` makes failures of them.
    """

    def __init__(self, strategies: Iterable[Strategy], detailed: bool = True) -> None:
        self.rows = empty_rows()
        self._detailed = detailed
        self.unfit = Failures()
        self._parameters = {strategy.name: parameters_text(strategy) for strategy in strategies}

    def market(self, market: HostedMarket, bounds: Bounds | None = None) -> None:
        """A market's recording has ended: its orders, fills, and a row for each strategy.

        Args:
            bounds: of a run with a band.
        """
        place = (
            market.market_id,
            market.event_id,
            market.event_type_id,
            market.market_type,
            market.country_code,
            market.venue,
        )
        start = market.market_start_datetime
        start_ms = round(start.timestamp() * 1000) if start else None
        if self._detailed:
            rows: list[tuple[Order, tuple[Any, ...]]] = []
            fills: list[tuple[Order, tuple[Any, ...]]] = []
            for order in market.blotter:
                try:
                    rows.append((order, self._order(order, market, place)))
                    if order.fills or order.size_matched:
                        fills.extend((order, fill) for fill in fills_of(order))
                except Exception as error:  # of a value of the user's own, which may raise anything
                    self._lost("orders", order, error)
            self._keep("orders", rows)
            self._keep("fills", fills)
        for seat in market.seats if self._detailed else ():
            strategy = seat.strategy
            mine = strategy._headrace.take_records(market.market_id)
            self.rows["records"].extend((strategy.name, *row) for row in mine)
        lasting = market.framework.host.rules.lasting_markets
        for seat in market.seats:
            strategy = seat.strategy
            orders = market.blotter.strategy_orders(strategy)
            matched = [order for order in orders if order.size_matched > 0]
            money = money_of(market, strategy)
            self.rows["markets"].append(
                (
                    strategy.name,
                    self._parameters.get(strategy.name),
                    *place,
                    start_ms,
                    market.changes,
                    len(orders),
                    len(matched),
                    sum(order.profit > 0 for order in matched),
                    money.matched,
                    peak_exposure(matched, market.market_book),
                    money.profit,
                    money.commission,
                    sum(_transactions(order) for order in orders),
                    market.status,
                    market.settlements,
                    market.unsettled(strategy) if lasting else 0,
                    *_band(money, (bounds or {}).get(strategy.name, {})),
                )
            )

    def _keep(self, table: str, found: list[tuple[Order, tuple[Any, ...]]]) -> None:
        """Keep rows of orders; only a row that cannot be written is lost, and that is a failure."""
        check = _CHECKS[table]
        rows = [row for _, row in found]
        if check.all_sound(rows):
            self.rows[table].extend(rows)
            return
        for order, row in found:
            try:
                self.rows[table].append(check.converted(row))
            except UnfitValueError as error:
                self._lost(table, order, error)

    def _lost(self, table: str, order: Order, error: Exception) -> None:
        lost = UnfitValueError(f"order {order.id}: {legible(error)}; its row of {table} is left out")
        self.unfit.add(lost.with_traceback(error.__traceback__), order.trade.strategy.name, order.market_id)

    def _order(self, order: Order, market: HostedMarket, place: tuple[Any, ...]) -> tuple[Any, ...]:
        trade, order_type, placement = order.trade, order.order_type, order.placement
        strategy = trade.strategy
        runner = market.market_book.runner(order.selection_id, order.handicap)
        price: float | None = None
        size: float | None = None
        liability: float | None = None
        persistence: str | None = None
        if isinstance(order_type, LimitOrder):
            price, size, persistence = order_type.price, order_type.size, order_type.persistence_type
        else:
            liability = order_type.liability
            if isinstance(order_type, LimitOnCloseOrder):
                price = order_type.price
        responses = order.responses
        answer = responses.place_response
        lasting = market.framework.host.rules.lasting_markets
        notes = ""
        if trade.notes or order.notes:
            notes = ",".join(note for note in (trade.notes_str, order.notes_str) if note)
        return (
            strategy.name,
            self._parameters.get(strategy.name),
            order.client.username if order.client else None,
            *place,
            order.selection_id,
            order.handicap,
            order.side,
            order_type.ORDER_TYPE.name,
            price,
            size,
            liability,
            persistence,
            responses.placed_ms,
            first_matched(order),
            order.complete_ms,
            order.status.name if order.status else None,
            order.size_matched,
            order.average_price_matched,
            order.size_remaining,
            order.size_cancelled,
            order.size_lapsed,
            order.size_voided,
            order.bet_id,
            order.id,
            answer.error_code if answer else order.not_placed,
            placement.seconds_to_start if placement else None,
            placement.inplay if placement else None,
            placement.best_back if placement else None,
            placement.best_lay if placement else None,
            placement.last_price_traded if placement else None,
            placement.queue_ahead if placement else None,
            actual_sp(runner),
            None if order.size_matched and not order.settled and lasting else order.profit,
            order.settlement_note,
            notes,
        )

    def fail(self, failures: Iterable[Failure], unit: str, command: str = "") -> None:
        """Add rows of failures."""
        self.rows["failures"].extend(failure_rows(failures, unit, command))

    def finish(self, coordinator: Coordinator, failures: Failures, command: str) -> None:
        """The unit has ended: what its coordinator counted, and what failed."""
        for each in coordinator.violations.values():
            self.rows["violations"].append(
                (each.strategy, each.market_id, each.control, each.request, each.reason, each.count)
            )
        self.fail((*failures, *self.unfit), failures.unit, command)
        for client in coordinator.clients:
            for (hour, strategy), (placed, failed) in client.transactions.items():
                row = (client.username, hour * 3_600_000, strategy, client.transaction_charge, placed, failed)
                self.rows["transactions"].append(row)


def _band(own: Money, bounds: Mapping[str, Money]) -> tuple[float | None, ...]:
    """The columns of `BAND`; None where a queue of it did not come to the market."""
    if len(bounds) < len(BOUNDS):
        return (None,) * len(BAND)
    others = [bounds[queue] for queue in BOUNDS]
    profits, matched = ([getattr(each, name) for each in (own, *others)] for name in ("profit", "matched"))
    ends = (min(profits), max(profits), min(matched), max(matched))
    return ends + tuple(value for each in others for value in (each.profit, each.commission, each.matched))


def _commission(market: HostedMarket, orders: list[Order]) -> float:
    """The commission that the clients pay on a market's profit, each on its own."""
    profits: dict[Any, float] = {}
    for order in orders:
        profits[order.client] = profits.get(order.client, 0.0) + order.profit
    return round(sum(market.commission(client, round(profit, 2)) for client, profit in profits.items()), 2)


def _transactions(order: Order) -> int:
    """Counted transactions of an order: its placing, and each refused cancel, update and replace."""
    responses = order.responses
    counted = 0 if responses.place_response is None else 1
    for answers in (responses.cancel_responses, responses.update_responses, responses.replace_responses):
        for answer in answers:
            if answer.status != "SUCCESS":
                counted += 1
    return counted
