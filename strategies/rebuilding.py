"""Orders and trades made again from their rows, as a restart from a journal needs them.

What rows do not keep is told in `order_rows`. Nothing is sent or logged, no id is drawn, and no time passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from .blotter import Blotter
from .clock import from_ms
from .errors import OrderError
from .fact_ranks import accounted_of
from .host import ORDER_ID_LENGTH
from .market import Placement
from .messages import PlaceInstruction, Request
from .order import Order, OrderStatus
from .order_rows import OrderRow, OrderTypeRow, RunnerRow, TradeRow
from .order_state import OrderState
from .order_types import LimitOnCloseOrder, LimitOrder, MarketOnCloseOrder
from .responses import Responses
from .stands import NEXT, State
from .strategy import Strategy
from .trade import Trade, TradeStatus

#: An account, by venue and username.
Accounts = Callable[[str, str], Any]
_STATES: dict[tuple[str, str | None], State] = {(state.stand.name, state.request): state for state in NEXT}


def rebuild(
    rows: Iterable[TradeRow], blotter: Blotter, strategies: Mapping[str, Strategy], account: Accounts
) -> list[Trade]:
    """Make trades and their orders again, and enter the orders into a blotter, in the order of their first entry.

    Args:
        rows: of one market, in any order.
        blotter: an empty one of that market.
        strategies: by name: the instances at the market, which live by its host.
        account: finds a client by venue and username, such as `clients.named`.

    Raises:
        OrderError: the blotter has orders already or is another market's, or there is no strategy of that name.
    """
    if len(blotter):
        raise OrderError(f"market {blotter.market_id}: its blotter has {len(blotter)} orders: expected an empty one")
    found: list[tuple[OrderRow, Order]] = []
    trades = []
    for trade_row in rows:
        if trade_row.market_id != blotter.market_id:
            raise OrderError(
                f"trade {trade_row.trade_id} is of market {trade_row.market_id}: expected one of {blotter.market_id}"
            )
        trade = trade_of(trade_row, _strategy(trade_row.strategy, trade_row.market_id, strategies), account)
        trades.append(trade)
        found.extend(zip(trade_row.orders, trade.orders, strict=True))
    entered = sorted([(row.number, row, order) for row, order in found if row.number >= 0], key=lambda each: each[0])
    for _, row, order in entered:
        blotter.add(order)
        mine = blotter.orders_of(order.trade.strategy)
        assert mine is not None
        if not row.current:
            mine.drop([order])
        elif order.complete:
            mine.ended += 1
        if not row.live:
            blotter.complete_order(order)
        elif order.complete and not order.is_done:
            blotter.finished.append(order)
    return trades


def rebuild_runners(rows: Iterable[RunnerRow], strategies: Mapping[str, Strategy]) -> None:
    """Tell strategies again what they have done on the runners of a market: their limits go by it."""
    for row in rows:
        context = _strategy(row.strategy, row.market_id, strategies).get_runner_context(
            row.market_id, row.selection_id, row.handicap
        )
        context.invested = row.invested
        context.last_placed_ms, context.last_reset_ms = row.last_placed_ms, row.last_reset_ms
        context.trades, context.live_trades = dict.fromkeys(row.trades), dict.fromkeys(row.live_trades)
        context.trade_count, context.live_trade_count = len(context.trades), len(context.live_trades)


def order_asked_for(instruction: PlaceInstruction, request: Request, strategy: Strategy, client: Any) -> Order:
    """An order of which no row is there, in a trade of its own: as it was asked for, and on its way."""
    trade = Trade(request.market_id, instruction.selection_id, instruction.handicap, strategy)
    row = OrderTypeRow(
        instruction.order_type,
        instruction.price,
        instruction.size,
        instruction.liability,
        instruction.persistence_type,
        instruction.time_in_force,
        instruction.min_fill_size,
        instruction.bet_target_type,
        instruction.bet_target_size,
        instruction.price_ladder,
        None,
    )
    made = trade.create_order(
        instruction.side, _order_type(row), sep=instruction.customer_order_ref[-ORDER_ID_LENGTH - 1]
    )
    made.id, made.request_id, made.client, made.asked = instruction.order_id, request.request_id, client, instruction
    made.created_ms = made.responses.created_ms = trade.created_ms = request.asked_at
    made.place(None, request.market_version, request.async_)
    return made


def _strategy(name: str, market_id: str, strategies: Mapping[str, Strategy]) -> Strategy:
    found = strategies.get(name)
    if found is None:
        known = ", ".join(map(repr, strategies)) or "none"
        raise OrderError(f"market {market_id}: there are orders of strategy {name!r}: expected one of {known}")
    return found


def trade_of(row: TradeRow, strategy: Strategy, account: Accounts) -> Trade:
    """Make a trade and its orders again; they are in no blotter."""
    made = Trade.__new__(Trade)
    made.strategy = strategy
    made.host = made.strategy._headrace.host
    made.id, made.market_id = row.trade_id, row.market_id
    made.selection_id, made.handicap = row.selection_id, row.handicap
    made.notes, made.market_notes = msgspec.json.decode(row.notes), row.market_notes
    made.place_reset_seconds, made.reset_seconds = row.place_reset_seconds, row.reset_seconds
    made.pending_orders = row.pending_orders
    made.orders = []
    made._replacing = {order_id: (price, before) for order_id, price, before in row.replacing} or None
    made.status = TradeStatus[row.status]
    made.status_log = [TradeStatus[name] for name in row.status_log]
    made.created_ms, made.complete_ms = row.created_ms, row.complete_ms
    for each in row.orders:
        made.orders.append(_order(each, made, account))
    return made


def _order(row: OrderRow, trade: Trade, account: Accounts) -> Order:
    made = Order.__new__(Order)
    OrderState.__init__(made, row.size_remaining, trade.host.rules.guarded_status)
    _restore_state(made, row)
    made.id, made.trade, made.side, made.handicap = row.order_id, trade, row.side, row.handicap
    made.order_type = _order_type(row.order_type)
    made.is_limit = isinstance(made.order_type, LimitOrder)
    made.market_id, made.selection_id = trade.market_id, trade.selection_id
    made.lookup = (trade.market_id, trade.selection_id, row.handicap)
    made.sep = row.sep
    earlier = {order.id: order for order in trade.orders}
    made.context = msgspec.json.decode(row.context) if row.context_of is None else earlier[row.context_of].context
    made.notes = msgspec.json.decode(row.notes) if row.notes_of is None else earlier[row.notes_of].notes
    made.market_notes = row.market_notes
    made.client = None if row.venue is None or row.username is None else account(row.venue, row.username)
    made.violation_msg = row.violation_msg
    made.update_data = msgspec.json.decode(row.update_data)
    made.created_ms, made.status_ms, made.complete_ms = row.created_ms, row.status_ms, row.complete_ms
    made.responses = _responses(row)
    made.publish_time = None if row.publish_ms is None else from_ms(row.publish_ms)
    made.market_version, made.async_, made.asked = row.market_version, row.async_, row.asked
    made.cleared_order = None
    made.profit, made.settled, made.on_line = row.profit, row.settled, row.on_line
    made.runner_status, made.market_type = row.runner_status, row.market_type
    made.each_way_divisor = row.each_way_divisor
    made.number_of_dead_heat_winners = row.number_of_dead_heat_winners
    made.line_range_result, made.settlement_note = row.line_range_result, row.settlement_note
    made.placement = _placement(row)
    made.number = -1
    made._clock = trade.host.clock
    made._listener = None
    return made


def _restore_state(order: OrderState, row: OrderRow) -> None:
    state = _STATES[row.stand, row.request]
    order.state, order.status, order.complete = state, state.status, state.complete
    order.status_log = [OrderStatus[name] for name in row.status_log]
    order.request_id, order.bet_id, order.placed_ms = row.request_id, row.bet_id, row.placed_ms
    order.error_code, order.not_placed = row.error_code, row.not_placed
    order.size_matched, order.average_price_matched = row.size_matched, row.average_price_matched
    order.size_cancelled, order.size_lapsed, order.size_voided = row.size_cancelled, row.size_lapsed, row.size_voided
    order.fills, order.matched_ms = row.fills, row.matched_ms
    order._evidence, order.is_done = row.evidence, row.done
    order._fact, order._told = row.fact, row.told
    order._accounted = 0.0 if row.fact is None else accounted_of(row.fact)


def _order_type(row: OrderTypeRow) -> LimitOrder | LimitOnCloseOrder | MarketOnCloseOrder:
    if row.name == LimitOrder.ORDER_TYPE.name:
        # Not by its `__init__`: what a strategy has changed since it was made is not checked again.
        limit = LimitOrder.__new__(LimitOrder)
        vars(limit).update(
            price=row.price,
            size=row.size,
            persistence_type=row.persistence_type,
            time_in_force=row.time_in_force,
            min_fill_size=row.min_fill_size,
            bet_target_type=row.bet_target_type,
            bet_target_size=row.bet_target_size,
            price_ladder_definition=row.price_ladder_definition,
            line_range_info=None if row.line_range_info is None else msgspec.json.decode(row.line_range_info),
        )
        return limit
    if row.name == LimitOnCloseOrder.ORDER_TYPE.name:
        on_close = LimitOnCloseOrder.__new__(LimitOnCloseOrder)
        vars(on_close).update(
            liability=row.liability, price=row.price, price_ladder_definition=row.price_ladder_definition
        )
        return on_close
    at_sp = MarketOnCloseOrder.__new__(MarketOnCloseOrder)
    vars(at_sp).update(liability=row.liability)
    return at_sp


def _responses(row: OrderRow) -> Responses:
    made = Responses(row.response_created_ms)
    made.placed_ms = row.response_placed_ms
    made.place_response = row.place_response
    made.cancel_responses = list(row.cancel_responses)
    made.update_responses = list(row.update_responses)
    made.replace_responses = list(row.replace_responses)
    made._heard = row.heard
    return made


def _placement(row: OrderRow) -> Placement | None:
    if row.placement is None:
        return None
    made = Placement.__new__(Placement)
    for name in Placement.__slots__:
        setattr(made, name, getattr(row.placement, name))
    return made
