"""A market as a chart shows it: prices of the runners that were bet on, and what became of the orders."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...simulate.reading.locations import Source, is_uri
from ...simulate.reading.market_history import (
    MarketHistory,
    PricePoint,
    RunnerHistory,
    RunnerKey,
    Span,
    market_history,
    sampled,
)
from ...simulate.reading.recordings import Paths, find_recordings
from ...strategies.errors import InputError, RecordingError
from .shown import ShownResult

#: Runners that a chart has room for, points that each of their lines has, and orders that are marked.
MOST_RUNNERS = 6
MOST_POINTS = 900
MOST_ORDERS = 600
#: Runners that are shown of a market without orders.
_WITHOUT_ORDERS = 3
#: Best prices within such a factor of the traded ones are in sight.
_BESIDE = 1.2
#: Milliseconds before the first order and after the last that are in sight at first, at least.
_MARGIN = 10_000


@dataclass(frozen=True)
class Mark:
    """Something that happened to an order.

    Attributes:
        kind: "placed", "fill", "cancelled", "lapsed", "voided" or "refused".
        time: milliseconds since the epoch.
        text: what is shown of it; lines.
    """

    kind: str
    side: str
    time: int
    price: float
    size: float
    text: tuple[str, ...]


@dataclass(frozen=True)
class OrderLine:
    """The time for which an order with a limit lay at the exchange."""

    side: str
    price: float
    begin: int
    end: int


@dataclass
class Panel:
    """One runner.

    Attributes:
        lines: "traded", "back" (best to back) and "lay" (best to lay): points, thinned.
    """

    name: str
    lines: dict[str, list[PricePoint]]
    orders: list[OrderLine] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)


@dataclass
class MarketChart:
    """A market to draw.

    Attributes:
        focus: the stretch of time with the orders; begin and end in milliseconds since the epoch.
        notes: what the reader has to know: sentences.
    """

    market_id: str
    title: str
    panels: list[Panel]
    spans: list[Span]
    begin: int
    end: int
    focus: tuple[int, int]
    start: int | None
    notes: list[str]


def market_chart(
    result: ShownResult, market_id: str, strategy: str | None = None, markets: Paths | None = None
) -> MarketChart:
    """The chart of a market of a result; its recording is read again.

    Args:
        strategy: whose orders; None: those of all.
        markets: where the recording is; None: where the run found it.

    Raises:
        InputError: the result has no such market or strategy, or the recording cannot be found or read.
    """
    orders, fills = _bets(result, market_id, strategy)
    keys = _runners(orders)
    history = _history(result, market_id, list(keys), markets)
    focus = _focus(history, orders, fills)
    if keys:
        chosen = [history.runners[key] for key in keys if key in history.runners][:MOST_RUNNERS]
    else:
        ranked = sorted(history.runners.values(), key=lambda each: (-each.volume, -each.changes))
        chosen = ranked[:_WITHOUT_ORDERS]
    panels = [_panel(runner, history, focus, orders, fills) for runner in chosen]
    return MarketChart(
        market_id=market_id,
        title=_title(result, history, strategy),
        panels=panels,
        spans=history.spans,
        begin=history.begin,
        end=history.end,
        focus=focus,
        start=history.start,
        notes=list(_notes(history, panels, orders, keys, chosen)),
    )


# -- the tables ----------------------------------------------------------------------------------------------------


def _bets(
    result: ShownResult, market_id: str, strategy: str | None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    import pyarrow.compute as pc

    markets = result.markets
    mine = markets.filter(pc.equal(markets["market_id"], market_id))
    if not mine.num_rows:
        known = sorted(set(markets["market_id"].to_pylist()))
        near = difflib.get_close_matches(market_id, known, 1)
        hint = f"; did you mean {near[0]}?" if near else f"; it has {len(known)}, see its table `markets`"
        raise InputError(f"the result has no market {market_id!r}{hint}")
    names = sorted(set(mine["strategy"].to_pylist()))
    if strategy is not None and strategy not in names:
        raise InputError(f"no strategy {strategy!r} saw market {market_id}; there are {', '.join(names)}")
    found = []
    for table in (result.orders, result.fills):
        rows = table.filter(pc.equal(table["market_id"], market_id)).to_pylist()
        found.append([row for row in rows if strategy is None or row["strategy"] == strategy])
    return found[0], found[1]


def _runners(orders: Sequence[dict[str, Any]]) -> dict[RunnerKey, float]:
    """The runners of orders, most matched first, then most asked for."""
    sums: dict[RunnerKey, list[float]] = {}
    for order in orders:
        each = sums.setdefault((order["selection_id"], order["handicap"] or 0.0), [0.0, 0.0])
        each[0] += order["size_matched"] or 0.0
        each[1] += order["size"] or order["liability"] or 0.0
    ranked = sorted(sums, key=lambda key: (-sums[key][0], -sums[key][1], key))
    return {key: sums[key][0] for key in ranked}


# -- the recording -------------------------------------------------------------------------------------------------


def _history(result: ShownResult, market_id: str, runners: list[RunnerKey], markets: Paths | None) -> MarketHistory:
    unit = result.unit_of(market_id)
    if markets is None and unit is None:
        raise InputError(
            f"the result does not say which recording market {market_id} came from; give its place with markets= "
            "(--markets)"
        )
    try:
        places = _replayed(result, unit or "") if markets is None else _named(find_recordings(markets), market_id)
        history = market_history(places, market_id, runners)
    except RecordingError as error:
        raise InputError(f"the recording of market {market_id} cannot be read: {error}") from None
    if history is None:
        where = unit if markets is None else "what markets= (--markets) names"
        raise InputError(f"{where} does not hold market {market_id}")
    return history


def _named(sources: Sequence[Source], market_id: str) -> Iterable[Source]:
    """Recordings whose names have the market's id first."""
    return sorted(sources, key=lambda source: market_id not in os.path.basename(str(source)))


def _replayed(result: ShownResult, unit: str) -> Iterable[Source]:
    """The recordings of a unit, where the run found them."""
    manifest = result.manifest
    told: dict[str, Any] = next((each for each in manifest.get("inputs", ()) if each["unit"] == unit), {})
    for path in told.get("paths") or [unit]:
        yield from _found(path, str(manifest.get("folder") or ""))


def _found(path: str, folder: str) -> list[Source]:
    tried = [path] if is_uri(path) or os.path.isabs(path) else [os.path.join(folder, path), path]
    for place in tried:
        try:
            return find_recordings(place)
        except InputError as error:
            problem = str(error)
    raise InputError(
        f"the recording cannot be read again, for it is not where the run found it ({problem}); give its present "
        "place with markets= (--markets)"
    )


# -- what is drawn -------------------------------------------------------------------------------------------------


def _focus(
    history: MarketHistory, orders: Sequence[dict[str, Any]], fills: Sequence[dict[str, Any]]
) -> tuple[int, int]:
    times = [_ms(order["placed_at"]) for order in orders] + [_ms(fill["time"]) for fill in fills]
    times += [_ms(order["completed_at"]) for order in orders if _given_up(order)]
    known = [time for time in times if time is not None]
    if not known:
        return history.begin, history.end
    margin = max(_MARGIN, (max(known) - min(known)) // 8)
    return max(history.begin, min(known) - margin), min(history.end, max(known) + margin)


def _given_up(order: dict[str, Any]) -> str | None:
    """What became of the part that was not matched, where something did."""
    return next((name for name in ("cancelled", "lapsed", "voided") if order[f"size_{name}"]), None)


def _panel(
    runner: RunnerHistory,
    history: MarketHistory,
    focus: tuple[int, int],
    orders: Sequence[dict[str, Any]],
    fills: Sequence[dict[str, Any]],
) -> Panel:
    mine = [order for order in orders if _is_of(order, runner)][:MOST_ORDERS]
    names = [runner.name, f"{runner.selection_id}", f"({runner.handicap:+g})" if runner.handicap else ""]
    panel = Panel(
        " ".join(each for each in names if each),
        {kind: _thinned(getattr(runner, kind).points, history, focus) for kind in ("traded", "back", "lay")},
    )
    ids = {order["order_id"]: order for order in mine}
    filled: dict[str, list[dict[str, Any]]] = {}
    for fill in fills:
        if fill["order_id"] in ids:
            filled.setdefault(fill["order_id"], []).append(fill)
    for order in mine:
        _add(panel, order, filled.get(order["order_id"], []), history)
    panel.marks.sort(key=lambda mark: (mark.time, mark.kind != "placed"))
    return panel


def _is_of(order: dict[str, Any], runner: RunnerHistory) -> bool:
    return order["selection_id"] == runner.selection_id and (order["handicap"] or 0.0) == runner.handicap


def _thinned(points: Sequence[PricePoint], history: MarketHistory, focus: tuple[int, int]) -> list[PricePoint]:
    """Most points where the orders are."""
    parts = (
        sampled(points, history.begin - 1, focus[0], MOST_POINTS // 6),
        sampled(points, focus[0], focus[1], MOST_POINTS * 2 // 3),
        sampled(points, focus[1], history.end, MOST_POINTS // 6),
    )
    kept: list[PricePoint] = []
    for point in (point for part in parts for point in part):
        if not kept or point[1] != kept[-1][1]:
            kept.append(point)
    return kept


def _add(panel: Panel, order: dict[str, Any], fills: Sequence[dict[str, Any]], history: MarketHistory) -> None:
    """An order's life: a line while it lay there, and a mark for each thing that happened."""
    placed, ended = _ms(order["placed_at"]), _ms(order["completed_at"])
    asked = order["price"]
    shown = asked or order["average_price_matched"] or order["bsp"]
    if placed is None or not shown:
        return
    side, about = order["side"], _about(order)
    if order["error_code"]:
        panel.marks.append(Mark("refused", side, placed, shown, 0.0, (*about, f"refused: {order['error_code']}")))
        return
    queue = order["queue_ahead"]
    waiting = (f"{queue:,.2f} ahead in the queue",) if queue else ()
    size = order["size"] or order["liability"] or 0.0
    panel.marks.append(Mark("placed", side, placed, shown, size, (*about, *waiting)))
    last = placed
    for fill in sorted(fills, key=lambda each: each["time"] or order["placed_at"]):
        last = max(last, _ms(fill["time"]) or placed)
        told = f"matched {fill['size']:,.2f} at {fill['price']:g}"
        panel.marks.append(Mark("fill", side, _ms(fill["time"]) or placed, fill["price"], fill["size"], (*about, told)))
    kind = _given_up(order)
    end = min(ended, history.end) if ended is not None else history.end
    if kind is not None:
        told = f"{kind} {order[f'size_{kind}']:,.2f}"
        panel.marks.append(Mark(kind, side, end, shown, order[f"size_{kind}"], (*about, told)))
    if asked and order["order_type"] == "LIMIT":
        panel.orders.append(OrderLine(side, asked, placed, max(placed, last if kind is None and fills else end)))


def _about(order: dict[str, Any]) -> tuple[str, ...]:
    what = f"{order['size']:,.2f}" if order["size"] is not None else f"liability {order['liability'] or 0:,.2f}"
    price = f" at {order['price']:g}" if order["price"] is not None else ""
    kind = "" if order["order_type"] == "LIMIT" else f" ({order['order_type'].replace('_', ' ').lower()})"
    return (f"{order['side']} {what}{price}{kind}", f"bet {order['bet_id'] or order['order_id']}, {order['strategy']}")


def _title(result: ShownResult, history: MarketHistory, strategy: str | None) -> str:
    import pyarrow.compute as pc

    rows = result.markets.filter(pc.equal(result.markets["market_id"], history.market_id)).to_pylist()
    row = rows[0]
    named = [history.event_name or row["venue"], history.name or row["market_type"], history.market_id]
    net = sum(each["profit"] - each["commission"] for each in rows if strategy in (None, each["strategy"]))
    return f"{' · '.join(each for each in named if each)}: {round(net, 2) + 0.0:+,.2f}"


def _notes(
    history: MarketHistory,
    panels: Sequence[Panel],
    orders: Sequence[dict[str, Any]],
    keys: dict[RunnerKey, float],
    chosen: Sequence[RunnerHistory],
) -> Iterator[str]:
    if not orders:
        yield "Nobody placed an order in this market; the runners with the largest volumes are shown."
    lost = len(keys) - len(chosen)
    if lost:
        yield f"{len(chosen)} of {len(keys)} runners with orders are shown, those with most matched."
    here = [order for order in orders if any(_is_of(order, runner) for runner in chosen)]
    there = sum(order["placed_at"] is None for order in here)
    if there:
        yield f"{there:,} orders never reached the exchange and are not drawn."
    many = sum(max(0, sum(_is_of(order, runner) for order in orders) - MOST_ORDERS) for runner in chosen)
    if many:
        yield f"{many:,} orders are not drawn: at most {MOST_ORDERS} of each runner are."
    drawn = sum(len(line) for panel in panels for line in panel.lines.values())
    known = sum(runner.changes for runner in chosen)
    if drawn < known:
        yield (
            f"{drawn:,} of {known:,} price changes are drawn, most of them around the orders: the first, last, lowest "
            "and highest of each share of the time."
        )
    if history.problem:
        yield f"The recording is not whole: {history.problem}"


def _ms(moment: Any) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)


def price_range(panel: Panel, focus: tuple[int, int]) -> tuple[float, float, bool] | None:
    """Lowest and highest price in sight, with some room, and whether a logarithmic scale shows them better.

    None where there is no price.
    """
    prices = {kind: _held(line, focus) for kind, line in panel.lines.items()}
    found = [mark.price for mark in panel.marks if focus[0] <= mark.time <= focus[1]] + prices["traded"]
    # Best prices jump to the ends of the scale where a side is empty: they widen the range only so far.
    beside = [*prices["back"], *prices["lay"]]
    if not found:
        found = beside
    if not found:
        return None
    low, high = min(found), max(found)
    near = [price for price in beside if low / _BESIDE <= price <= high * _BESIDE]
    low, high = min([low, *near]), max([high, *near])
    if high / low > 3:
        return low / 1.1, high * 1.1, True
    room = (high - low) * 0.08 or 0.05
    return low - room, high + room, False


def _held(line: Sequence[PricePoint], focus: tuple[int, int]) -> list[float]:
    """The prices of a line in a stretch of time, that at its begin included."""
    begin, end = focus
    held = [price for time, price in line if time <= begin][-1:]
    return [price for price in (*held, *(price for time, price in line if begin < time <= end)) if price]
