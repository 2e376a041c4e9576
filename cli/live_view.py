"""A running system on the terminal: what `state()` told, as tables that fit.

Nothing here asks or waits: a state goes in, something that rich can print comes out.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

Row = Mapping[str, Any]

#: Between columns.
_GAP = 2
#: Most events, and most rows of hosts, where lines are few.
_EVENTS, _MOST_HOSTS = 6, 8
#: Longest text of a column.
_LONGEST = 40
#: Milliseconds of silence of a stream, or of a callback, that are shown in colour.
_LONG_MS = 5_000
_MISSING = "-"


@dataclasses.dataclass(frozen=True)
class _Column:
    """A column: its head, its cell of a row, and how far it can be missed: of the highest number the first."""

    head: str
    cell: Callable[[Row], Text]
    spare: int = 0
    right: bool = True


def live_view(state: Row, width: int = 120, height: int | None = None) -> RenderableType:
    """A state as people read it.

    Args:
        state: as `Live.state()` gives it; what it does not have is left out.
        width: columns of the terminal.
        height: its lines; None: all rows are shown.
    """
    few = height is not None
    accounts = _table("account", _CLIENTS, _rows(state, "clients"), width)
    streams = _table("stream", _STREAMS, _rows(state, "streams"), width)
    hosts = _table("host", _HOSTS, _rows(state, "hosts"), width, _MOST_HOSTS if few else None)
    warnings = [_warning(row, width) for row in _rows(state, "watchdogs")]
    below = [*accounts, *streams, *hosts, *_table("latency, ms", _LATENCY, _latencies(state), width), *_risk(state)]
    below += [_event(row, width) for row in _rows(state, "events")[-_EVENTS:]]
    markets, orders = _by_need(_rows(state, "markets")), _rows(state, "orders")
    orders.sort(key=lambda row: not row.get("in_doubt"))
    of_markets = of_orders = None
    if height is not None:
        # A head and a line for what is left out belong to each of the two.
        room = max(height - 1 - len(warnings) - sum(map(_lines, below)) - 4, 2)
        of_orders = min(len(orders), max(room // 2, room - len(markets)))
        of_markets = room - of_orders
    parts: list[RenderableType] = [_head(state), *warnings]
    parts += _table("market", _MARKETS, markets, width, of_markets, "no market is hosted")
    parts += _table("order in", _ORDERS, orders, width, of_orders, "no order is live")
    return Group(*parts, *below)


# -- parts -----------------------------------------------------------------------------------------------------------


def _head(state: Row) -> Text:
    """One line: who, when, and whether orders are placed."""
    head = Text(no_wrap=True, overflow="ellipsis")
    head.append(_plain(state.get("reference") or "live"), "bold")
    if state.get("at"):
        head.append(f"  {_clock(state['at'])} UTC")
    markets = len({row.get("market_id") for row in _rows(state, "markets")})
    orders = state.get("live_orders", len(_rows(state, "orders")))
    head.append(f"  {_counted(markets, 'market')}, {_counted(orders, 'live order')}")
    if state.get("foreign"):
        head.append(f", {_counted(len(_rows(state, 'foreign')), 'bet')} placed elsewhere")
    if state.get("stopping"):
        head.append(f"  stopping: {state['stopping']}", "bold red")
    elif state.get("placing_allowed") is False:
        head.append("  no orders are placed", "bold red")
    if held := len(_rows(state, "held")):
        head.append(f"  {_counted(held, 'market')} held", "bold red")
    return head


def _risk(state: Row) -> list[Text]:
    """Limits in one line, where there are any, and where they stand in each currency."""
    risk = state.get("risk")
    if not isinstance(risk, Mapping):
        return []
    limits = {name: value for name, value in risk.items() if value is not None and not isinstance(value, Mapping)}
    found = []
    if any(name.startswith("max_") for name in limits):
        found.append(_named("risk", {name: _any(value) for name, value in limits.items()}))
    by_currency = risk.get("by_currency")
    for currency, sums in by_currency.items() if isinstance(by_currency, Mapping) else ():
        if isinstance(sums, Mapping):
            found.append(_named(currency, {name: _sum(value) for name, value in sums.items()}))
    return found


def _named(head: Any, values: Mapping[str, str]) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{_plain(head)}  ", "bold")
    line.append(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items()))
    return line


def _warning(row: Row, width: int) -> Text:
    """A figure that is above its limit."""
    line = Text(f"{_plain(row.get('kind', ''))} {_plain(row.get('text', ''))}", "bold red", no_wrap=True)
    line.truncate(width, overflow="ellipsis")
    return line


def _event(row: Row, width: int) -> Text:
    kind = _plain(row.get("kind", ""))
    bad = any(word in kind.upper() for word in ("ERROR", "FAIL", "LIMIT", "STOP", "QUARANTINE", "LOST", "STALL"))
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{_clock(row.get('at'))} ", "dim")
    line.append(f"{kind} ", "bold red" if bad else "bold")
    line.append(_plain(row.get("text", "")))
    line.truncate(width, overflow="ellipsis")
    return line


def _table(
    title: str, columns: Sequence[_Column], rows: Sequence[Row], width: int, most: int | None = None, none: str = ""
) -> list[RenderableType]:
    """A table of as many columns as fit, and a line of how many rows are left out.

    Args:
        title: stands above the first column.
        most: rows.
        none: what is said where there are no rows; empty: nothing.
    """
    if not rows:
        return [Text(none, "dim")] if none else []
    shown = list(rows) if most is None else list(rows[:most])
    cells = [[column.cell(row) for column in columns] for row in shown]
    sizes = [max((min(cell_len(line[at].plain), _LONGEST) for line in cells), default=0) for at in range(len(columns))]
    # A column without a head is one of marks: where no row has one it is not there.
    kept = [at for at, column in enumerate(columns) if column.head or sizes[at]]
    heads = [title if at == 0 else column.head for at, column in enumerate(columns)]
    sizes = [max(size, cell_len(head)) for size, head in zip(sizes, heads, strict=True)]
    while len(kept) > 1 and sum(sizes[at] + _GAP for at in kept) - _GAP > width:
        kept.remove(max(kept, key=lambda at: columns[at].spare))
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold underline")
    for at in kept:
        justify: Literal["left", "right"] = "right" if columns[at].right else "left"
        table.add_column(heads[at], justify=justify, no_wrap=True, overflow="ellipsis", max_width=_LONGEST)
    for line in cells:
        table.add_row(*(line[at] for at in kept))
    more = len(rows) - len(shown)
    return [table, Text(f"... and {more:,} more", "dim")] if more else [table]


def _lines(part: RenderableType) -> int:
    return part.row_count + 1 if isinstance(part, Table) else 1


def _rows(state: Row, name: str) -> list[Row]:
    found = state.get(name)
    return [row for row in found if isinstance(row, Mapping)] if isinstance(found, list) else []


def _by_need(markets: Sequence[Row]) -> list[Row]:
    """Markets with live orders, then those with orders, then the others."""
    return sorted(markets, key=lambda row: (not row.get("live"), not row.get("orders")))


def _latencies(state: Row) -> list[Row]:
    found = state.get("latency")
    if not isinstance(found, Mapping):
        return []
    return [{"of": name, **of} for name, of in found.items() if isinstance(of, Mapping) and of.get("count")]


# -- cells -----------------------------------------------------------------------------------------------------------


def _clock(at: Any) -> str:
    """A time of day, UTC; `at`: milliseconds since the epoch."""
    if not isinstance(at, (int, float)):
        return _MISSING
    return datetime.datetime.fromtimestamp(at / 1000, datetime.UTC).strftime("%H:%M:%S")


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _any(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: _MISSING}[value]
    if isinstance(value, float):
        return _sum(value)
    return f"{value:,}" if isinstance(value, int) else _plain(value)


def _plain(value: Any) -> str:
    """A text on one line, without what terminals take for commands."""
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(str(value).split()))


def _span(ms: Any) -> str:
    """A span of time, as short as it can be told."""
    if not isinstance(ms, (int, float)):
        return _MISSING
    if ms < 1_000:
        return f"{ms:.0f} ms"
    if ms < 60_000:
        return f"{ms / 1_000:.1f} s"
    minutes, seconds = divmod(int(ms / 1_000), 60)
    return f"{minutes}:{seconds:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


def _of(name: str, style: Callable[[Any], str] = lambda value: "") -> Callable[[Row], Text]:
    def cell(row: Row) -> Text:
        value = row.get(name)
        return Text(_any(value), style=style(value))

    return cell


def _id(name: str) -> Callable[[Row], Text]:
    """A number that is a name."""
    return lambda row: Text(str(row.get(name) or _MISSING))


def _sum(value: Any) -> str:
    """An amount of money; + 0.0: no minus before zero."""
    return f"{round(value, 2) + 0.0:,.2f}" if isinstance(value, (int, float)) else _any(value)


def _money(name: str, signed: bool = False) -> Callable[[Row], Text]:
    def cell(row: Row) -> Text:
        value = row.get(name)
        if not isinstance(value, (int, float)):
            return Text(_MISSING)
        style = "" if not signed or round(value, 2) == 0 else "green" if value > 0 else "red"
        return Text(_sum(value), style=style)

    return cell


def _flag(name: str, style: str = "") -> Callable[[Row], Text]:
    """A word where something is so, and nothing where it is not."""
    return lambda row: Text(name.replace("_", " ") if row.get(name) else "", style=style)


def _time(name: str, long_ms: float | None = None) -> Callable[[Row], Text]:
    def cell(row: Row) -> Text:
        value = row.get(name)
        late = long_ms is not None and isinstance(value, (int, float)) and value > long_ms
        return Text(_span(value), style="red" if late else "")

    return cell


def _number(name: str) -> Callable[[Row], Text]:
    """A number to three digits."""

    def cell(row: Row) -> Text:
        value = row.get(name)
        return Text(f"{value:,.3g}" if isinstance(value, float) else _any(value))

    return cell


def _market(row: Row) -> Text:
    event, name = _any(row.get("event") or ""), _any(row.get("name") or "")
    both = " - ".join(filter(None, (event, name))) or _any(row.get("market_id"))
    return Text(both if len(both) <= _LONGEST else f"{both[: _LONGEST - 1]}…")


def _state_style(value: Any) -> str:
    word = str(value).partition(":")[0]
    return "green" if word in ("SUBSCRIBED", "OPEN") else "red" if word in ("DOWN", "REFUSED", "GIVEN_UP") else ""


def _bad(value: Any) -> str:
    return "red" if value else ""


_MARKETS = (
    _Column("market", _market, right=False),
    _Column("id", _of("market_id"), 6, right=False),
    _Column("status", _of("status"), 2, right=False),
    _Column("", _flag("inplay"), 5, right=False),
    _Column("strategy", _of("strategy"), 3, right=False),
    _Column("host", _of("host"), 8, right=False),
    _Column("live", _of("live"), 1),
    _Column("orders", _of("orders"), 4),
    _Column("matched", _money("matched"), 4),
    _Column("exposure", _money("exposure"), 1),
    _Column("profit", _money("profit", signed=True), 1),
    _Column("changes", _of("changes"), 7),
)
_ORDERS = (
    _Column("market", _of("market_id"), right=False),
    _Column("strategy", _of("strategy"), 4, right=False),
    _Column("runner", _id("selection_id"), 2, right=False),
    _Column("side", _of("side"), 1, right=False),
    _Column("price", _of("price"), 0),
    _Column("size", _money("size"), 0),
    _Column("matched", _money("matched"), 2),
    _Column("remaining", _money("remaining"), 5),
    _Column("status", _of("status"), 1, right=False),
    _Column("age", _time("age_ms"), 5),
    _Column("", _flag("in_doubt", "bold red"), 1, right=False),
    _Column("bet", _id("bet_id"), 7),
    _Column("order", _id("order_id"), 8),
)
_CLIENTS = (
    _Column("account", _of("username"), 0, right=False),
    _Column("", _flag("paper"), 2, right=False),
    _Column("session", _of("session", _state_style), 1, right=False),
    _Column("", lambda row: Text("places no orders yet" if row.get("ready") is False else "", "red"), 3, right=False),
    _Column("funds", _money("funds"), 1),
    _Column("exposure", _money("exposure"), 1),
    _Column("currency", _of("currency"), 5, right=False),
    _Column("age of funds", lambda row: Text(_span(_seconds(row.get("funds_age_s")))), 4),
    _Column("transactions this hour", _of("transactions_hour"), 3),
    _Column("venue", _of("venue"), 6, right=False),
)
_STREAMS = (
    _Column("stream", _of("stream"), 0, right=False),
    _Column("state", _of("state", _state_style), 0, right=False),
    _Column("markets", _of("markets"), 2),
    _Column("left out", _of("left_out", _bad), 3),
    _Column("changes", _of("changes"), 5),
    _Column("messages", _of("messages"), 6),
    _Column("lag", _time("lag_ms", _LONG_MS), 2),
    _Column("silent", _time("silent_ms", _LONG_MS), 2),
    _Column("reconnects", _of("reconnects"), 4),
    _Column("error", _of("error", _bad), 1, right=False),
)
_HOSTS = (
    _Column("host", _of("name"), 0, right=False),
    _Column("markets", _of("markets"), 1),
    _Column("waiting", _of("depth"), 1),
    _Column("behind", _of("behind"), 2),
    _Column("lost", _of("lost", _bad), 2),
    _Column("busy", _time("busy_ms", _LONG_MS), 1),
    _Column("", _flag("stalled", "bold red"), 0, right=False),
    _Column("process", _id("pid"), 4),
)
_NAMES = {"tick_ms": "change to strategies", "order_ms": "order to answer", "stream_lag_ms": "exchange to here"}
_LATENCY = (
    _Column("of", lambda row: Text(_NAMES.get(str(row["of"]), str(row["of"]).replace("_", " "))), 0, right=False),
    _Column("count", _of("count"), 1),
    _Column("median", _number("median"), 0),
    _Column("99 %", _number("p99"), 0),
    _Column("worst", _number("worst"), 0),
)


def _seconds(value: Any) -> float | None:
    return value * 1_000 if isinstance(value, (int, float)) else None
