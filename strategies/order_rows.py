"""Orders and trades as rows of plain values, from which `rebuilding` makes them again.

What a row keeps: all that the framework knows of an order or a trade. What it does not keep: attributes that users have
added to orders and trades, subclasses of them, `cleared_order` and `responses.current_order`, and of contexts and notes
what JSON does not give back as it was (objects, tuples, keys that are not text).
Times are milliseconds since the epoch, UTC; money is in the account's currency.
"""

from __future__ import annotations

import itertools
from collections.abc import Container, Mapping
from typing import Any

import msgspec

from .blotter import Blotter
from .messages import Fill, Message, OrderFact, PlaceInstruction, Report
from .order import Order
from .order_types import LimitOnCloseOrder, LimitOrder
from .runner_context import RunnerContext
from .strategy import Strategy
from .trade import Trade


class PlacementRow(msgspec.Struct, frozen=True, gc=False):
    """What the market looked like when an order was placed."""

    best_back: float | None
    best_lay: float | None
    last_price_traded: float | None
    inplay: bool
    seconds_to_start: float
    queue_ahead: float | None


class OrderTypeRow(msgspec.Struct, frozen=True, gc=False):
    """What an order asks for, as it stands. `line_range_info`: JSON."""

    name: str
    price: float | None
    size: float | None
    liability: float | None
    persistence_type: str | None
    time_in_force: str | None
    min_fill_size: float | None
    bet_target_type: str | None
    bet_target_size: float | None
    price_ladder_definition: str
    line_range_info: str | None


class OrderRow(Message, frozen=True, gc=False):
    """An order.

    Attributes:
        order_id, trade_id: its own id, and that of its trade.
        venue, username: the account; None of an order that was never placed.
        context, notes, update_data: JSON.
        context_of, notes_of: the id of an earlier order of the trade whose context, or notes, are this order's as well:
            an order and the one that takes its place share them.
        stand, request: where it stands, and the kind of the request under way.
        matched_ms: when it was first matched, by the news of an exchange that does not tell fills.
        evidence, fact, told: the strongest reply, the fact that stands, and the last one that told fills.
        done: the exchange has said that nothing is left to happen to it.
        number: its place in the blotter; -1 where it is not there.
        live: it is among the blotter's live orders.
        current: `process_orders` is to be shown it.
    """

    order_id: str
    trade_id: str
    side: str
    handicap: float
    order_type: OrderTypeRow
    venue: str | None
    username: str | None
    sep: str
    context: str
    context_of: str | None
    notes: str
    notes_of: str | None
    market_notes: str | None
    stand: str
    request: str | None
    status_log: tuple[str, ...]
    request_id: str | None
    bet_id: str | None
    placed_ms: int | None
    error_code: str | None
    not_placed: str | None
    size_matched: float
    average_price_matched: float
    size_remaining: float
    size_cancelled: float
    size_lapsed: float
    size_voided: float
    fills: tuple[Fill, ...]
    matched_ms: int | None
    evidence: int
    fact: OrderFact | None
    told: OrderFact | None
    done: bool
    violation_msg: str | None
    update_data: str
    asked: PlaceInstruction | None
    created_ms: int
    status_ms: int | None
    complete_ms: int | None
    publish_ms: int | None
    market_version: int | None
    async_: bool
    place_response: Report | None
    cancel_responses: tuple[Report, ...]
    update_responses: tuple[Report, ...]
    replace_responses: tuple[Report, ...]
    heard: tuple[str, ...]
    response_created_ms: int
    response_placed_ms: int | None
    profit: float
    settled: bool
    on_line: bool
    runner_status: str | None
    market_type: str | None
    each_way_divisor: float | None
    number_of_dead_heat_winners: int | None
    line_range_result: float | None
    settlement_note: str | None
    placement: PlacementRow | None
    number: int
    live: bool
    current: bool


class TradeRow(Message, frozen=True, gc=False):
    """A trade. `notes`: JSON; `replacing`: its orders that are to be replaced: id, new price, what was
    cancelled of it before."""

    trade_id: str
    market_id: str
    selection_id: int
    handicap: float
    strategy: str
    notes: str
    market_notes: str | None
    place_reset_seconds: float
    reset_seconds: float
    pending_orders: bool
    status: str
    status_log: tuple[str, ...]
    created_ms: int
    complete_ms: int | None
    replacing: tuple[tuple[str, float, float], ...]
    orders: tuple[OrderRow, ...]


class RunnerRow(Message, frozen=True, gc=False):
    """What a strategy has done on a runner, which its limits go by."""

    market_id: str
    strategy: str
    selection_id: int
    handicap: float
    invested: bool
    last_placed_ms: int | None
    last_reset_ms: int | None
    trades: tuple[str, ...]
    live_trades: tuple[str, ...]


def kept(values: Any) -> str:
    """What JSON gives back as it was of a dict's items, as JSON."""
    if not isinstance(values, Mapping):
        return "{}"
    return msgspec.json.encode({key: value for key, value in values.items() if _lasts(key, value)}).decode()


def _lasts(key: Any, value: Any) -> bool:
    if type(key) is not str:
        return False
    try:
        again = msgspec.json.decode(msgspec.json.encode(value))
        return bool(type(again) is type(value) and again == value)
    except Exception:  # whatever an object of the user's does when it is encoded or compared
        return False


def row_of(order: Order) -> OrderRow:
    """An order as a row. It holds nothing of the order itself: what becomes of that changes no row."""
    client, responses, state = order.client, order.responses, order.state
    publish_time, placement = order.publish_time, order.placement
    blotter = order._listener
    held = isinstance(blotter, Blotter) and order.number >= 0
    mine = blotter.orders_of(order.trade.strategy) if isinstance(blotter, Blotter) else None
    return OrderRow(
        order_id=order.id,
        trade_id=order.trade.id,
        side=order.side,
        handicap=order.handicap,
        order_type=_order_type(order),
        venue=None if client is None else client.venue,
        username=None if client is None else client.username,
        sep=order.sep,
        context=kept(order.context),
        context_of=_shared(order, "context"),
        notes=kept(order.notes),
        notes_of=_shared(order, "notes"),
        market_notes=order.market_notes,
        stand=state.stand.name,
        request=state.request,
        status_log=tuple([status.name for status in order.status_log]),
        request_id=order.request_id,
        bet_id=order.bet_id,
        placed_ms=order.placed_ms,
        error_code=order.error_code,
        not_placed=order.not_placed,
        size_matched=order.size_matched,
        average_price_matched=order.average_price_matched,
        size_remaining=order.size_remaining,
        size_cancelled=order.size_cancelled,
        size_lapsed=order.size_lapsed,
        size_voided=order.size_voided,
        fills=order.fills,
        matched_ms=order.matched_ms,
        evidence=order._evidence,
        fact=order._fact,
        told=order._told,
        done=order.is_done,
        violation_msg=order.violation_msg,
        update_data=kept(order.update_data),
        asked=order.asked,
        created_ms=order.created_ms,
        status_ms=order.status_ms,
        complete_ms=order.complete_ms,
        publish_ms=None if publish_time is None else round(publish_time.timestamp() * 1000),
        market_version=order.market_version,
        async_=order.async_,
        place_response=responses.place_response,
        cancel_responses=tuple(responses.cancel_responses),
        update_responses=tuple(responses.update_responses),
        replace_responses=tuple(responses.replace_responses),
        heard=responses._heard,
        response_created_ms=responses.created_ms,
        response_placed_ms=responses.placed_ms,
        profit=order.profit,
        settled=order.settled,
        on_line=order.on_line,
        runner_status=order.runner_status,
        market_type=order.market_type,
        each_way_divisor=order.each_way_divisor,
        number_of_dead_heat_winners=order.number_of_dead_heat_winners,
        line_range_result=order.line_range_result,
        settlement_note=order.settlement_note,
        placement=None
        if placement is None
        else PlacementRow(
            placement.best_back,
            placement.best_lay,
            placement.last_price_traded,
            placement.inplay,
            placement.seconds_to_start,
            placement.queue_ahead,
        ),
        number=order.number,
        live=held and isinstance(blotter, Blotter) and order in blotter.live_orders,
        current=mine is not None and order in mine.current,
    )


def _order_type(order: Order) -> OrderTypeRow:
    asked, name = order.order_type, order.order_type.ORDER_TYPE.name
    if isinstance(asked, LimitOrder):
        info = asked.line_range_info
        return OrderTypeRow(
            name,
            asked.price,
            asked.size,
            None,
            asked.persistence_type,
            asked.time_in_force,
            asked.min_fill_size,
            asked.bet_target_type,
            asked.bet_target_size,
            asked.price_ladder_definition,
            kept(info) if isinstance(info, Mapping) else None,
        )
    price = asked.price if isinstance(asked, LimitOnCloseOrder) else None
    ladder = asked.price_ladder_definition
    return OrderTypeRow(name, price, None, asked.liability, None, None, None, None, None, ladder, None)


def _shared(order: Order, name: str) -> str | None:
    mine = getattr(order, name)
    for other in order.trade.orders:
        if other is order:
            return None
        if getattr(other, name) is mine:
            return other.id
    return None


def row_of_trade(trade: Trade, but: Container[str] = ()) -> TradeRow:
    """A trade as a row, with its orders, whether they were placed or not.

    Args:
        but: ids of orders to leave out.
    """
    return TradeRow(
        trade.id,
        trade.market_id,
        trade.selection_id,
        trade.handicap,
        trade.strategy.name,
        kept(trade.notes),
        trade.market_notes,
        trade.place_reset_seconds,
        trade.reset_seconds,
        trade.pending_orders,
        trade.status.name,
        tuple([status.name for status in trade.status_log]),
        trade.created_ms,
        trade.complete_ms,
        tuple((order_id, *wanted) for order_id, wanted in sorted((trade._replacing or {}).items())),
        tuple([row_of(order) for order in trade.orders if order.id not in but]),
    )


def rows_of(blotter: Blotter) -> list[TradeRow]:
    """All trades of a blotter, with their orders. A trade none of whose orders was placed is not there."""
    return [row_of_trade(trade) for trade in blotter.trades]


def runners_of(strategy: Strategy, market_id: str) -> list[RunnerRow]:
    """What a strategy has done on the runners of a market, as rows."""
    contexts = strategy._headrace.contexts.get(market_id, {})
    return [row_of_runner(strategy, market_id, key, context) for key, context in contexts.items()]


def row_of_runner(
    strategy: Strategy, market_id: str, key: int | tuple[int, float], context: RunnerContext, after: int = 0
) -> RunnerRow:
    """What a strategy has done on one runner, as a row.

    Args:
        key: the runner's among those of the market.
        after: how many of its trades to leave out, the first ones.
    """
    return RunnerRow(
        market_id,
        strategy.name,
        context.selection_id,
        key[1] if isinstance(key, tuple) else 0,
        context.invested,
        context.last_placed_ms,
        context.last_reset_ms,
        tuple(itertools.islice(context.trades, after, None)),
        tuple(context.live_trades),
    )
