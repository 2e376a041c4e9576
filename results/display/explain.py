"""The life of one bet, line by line, from a result's tables."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

from ...strategies.errors import InputError
from .shown import ShownResult

#: When something happened, where that is known, and what.
Event = tuple[datetime.datetime | None, str]

_CLOCK_WIDTH = len("00:00:00.000")
_NOT_PLACED = {
    "MARKET_CLOSED": "its market closed before it arrived",
    "RECORDING_ENDED": "the recording ended before it arrived",
}


def explain(result: ShownResult, bet_id: str, market_id: str | None = None) -> list[str]:
    """What happened to a bet, in order of time.

    Args:
        bet_id: the exchange's id, or the order's own.
        market_id: the market, where bets of several markets have the id: bet ids count anew in each unit of replay.

    Raises:
        InputError: no bet has the id, or several have.
    """
    import pyarrow.compute as pc

    orders = result.orders
    found = orders.filter(
        pc.or_kleene(pc.equal(orders["bet_id"], bet_id), pc.equal(orders["order_id"], bet_id))
    ).to_pylist()
    if market_id is not None:
        found = [order for order in found if order["market_id"] == market_id]
    if not found:
        where = f" in market {market_id}" if market_id else ""
        raise InputError(f"no bet {bet_id!r}{where}: the result has {orders.num_rows} orders; see its table `orders`")
    if len(found) > 1:
        markets = sorted({order["market_id"] for order in found})
        shown = ", ".join(markets[:5]) + (", ..." if len(markets) > 5 else "")
        raise InputError(f"bet {bet_id!r} is in {len(markets)} markets ({shown}): say which with --market")
    order = found[0]
    fills = result.fills
    same = pc.and_(pc.equal(fills["order_id"], order["order_id"]), pc.equal(fills["market_id"], order["market_id"]))
    life = [*_life(order, fills.filter(same).to_pylist()), _end(order)]
    return [
        *_request(order),
        *(f"  {_clock(moment) if moment else ' ' * _CLOCK_WIDTH}  {text}" for moment, text in _in_order(life)),
        _result(order),
    ]


def _in_order(life: list[Event]) -> list[Event]:
    """By time: under compatibility a fill may lie before the placing. What has no time stays behind what came first."""
    known, keyed = datetime.datetime.min.replace(tzinfo=datetime.UTC), []
    for moment, text in life:
        known = moment or known
        keyed.append((known, (moment, text)))
    return [event for _, event in sorted(keyed, key=lambda each: each[0])]


def _request(order: dict[str, Any]) -> Iterable[str]:
    runner = f"{order['selection_id']}" + (f" ({order['handicap']:+g})" if order["handicap"] else "")
    kind = order["order_type"].replace("_", " ").lower()
    what = f"{order['size']:.2f}" if order["size"] is not None else f"liability {order['liability'] or 0:.2f}"
    price = f" at {order['price']:g}" if order["price"] is not None else ""
    keep = f", {order['persistence_type']}" if order["persistence_type"] else ""
    place = f"{runner} of market {order['market_id']}"
    yield f"{order['side']} {what}{price} ({kind}{keep}) on {place}, by {order['strategy']}"
    yield f"  parameters {order['parameters']}"
    if order["notes"]:
        yield f"  notes {order['notes']}"
    seen = [f"best back {order['best_back']}", f"best lay {order['best_lay']}", f"last {order['last_price_traded']}"]
    when = order["seconds_to_start"]
    if when is not None:
        seen.append(f"{when:.1f} s before the start" if when >= 0 else f"{-when:.1f} s after the start")
    if order["inplay"]:
        seen.append("in play")
    yield f"  asked for at: {', '.join(seen)}"


def _life(order: dict[str, Any], fills: list[dict[str, Any]]) -> Iterable[Event]:
    placed = order["placed_at"]
    if placed is None:
        why = _NOT_PLACED.get(order["error_code"] or "")
        yield None, "never reached the exchange" + (f": {why}" if why else "")
        return
    if order["error_code"]:
        yield placed, f"refused by the exchange: {order['error_code']}"
    else:
        ahead = order["queue_ahead"]
        queue = f", {ahead:.2f} ahead in the queue" if ahead is not None else ""
        yield placed, f"placed as bet {order['bet_id']}{queue}"
    total = 0.0
    for fill in sorted(fills, key=lambda each: each["time"] or placed):
        total += fill["size"]
        yield fill["time"], f"matched {fill['size']:.2f} at {fill['price']:g} (in all {total:.2f})"


def _end(order: dict[str, Any]) -> Event:
    parts = [f"matched {order['size_matched']:.2f}"]
    if order["size_matched"]:
        parts[0] += f" at {order['average_price_matched']:.4g} on average"
    for name in ("cancelled", "lapsed", "voided", "remaining"):
        if order[f"size_{name}"]:
            parts.append(f"{name} {order[f'size_{name}']:.2f}")
    return order["completed_at"], f"{order['status'].replace('_', ' ').lower()}: {', '.join(parts)}"


def _result(order: dict[str, Any]) -> str:
    sp = f", starting price {order['bsp']:g}" if order["bsp"] is not None else ""
    if order["profit"] is None:
        return f"  not settled: the recording holds no result of it{sp}"
    note = order.get("settlement_note")  # results of earlier versions have none
    assumed = f", by an assumption: {note}" if note else ""
    return f"  profit {order['profit']:.2f} before commission{sp}{assumed}"


def _clock(moment: datetime.datetime) -> str:
    return f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}"
