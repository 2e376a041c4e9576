"""The state of a live system as figures with labels, for programs that keep time series of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

#: What each figure is. Money is in the account's currency.
METRICS: dict[str, str] = {
    "headrace_placing_allowed": "1: orders may be placed; 0: placing is halted",
    "headrace_markets": "Markets that are hosted",
    "headrace_live_orders": "Orders that are not complete",
    "headrace_orders_in_doubt": "Orders of which it is not known whether the exchange has them",
    "headrace_strategy_live_orders": "Orders of a strategy that are not complete",
    "headrace_strategy_matched": "Matched by a strategy, in the markets that are open",
    "headrace_strategy_exposure": "The most that a strategy may lose, in the markets that are open",
    "headrace_strategy_profit": "Profit of a strategy, in the markets that are open",
    "headrace_account_funds": "Available to bet",
    "headrace_account_exposure": "What all open bets of an account may lose, wherever they were placed",
    "headrace_account_funds_age_seconds": "How long ago the funds were asked for",
    "headrace_account_transactions_hour": "Transactions of an account in this hour",
    "headrace_stream_connected": "1: the stream is subscribed; 0: it is not",
    "headrace_stream_lag_ms": "From publishing to reading, of the last message of a stream",
    "headrace_stream_silent_ms": "Since a stream sent anything",
    "headrace_stream_changes": "Changes that a stream has read since it began",
    "headrace_stream_reconnects": "How often a stream has connected anew",
    "headrace_stream_left_out": "Markets that could not be subscribed to",
    "headrace_host_depth": "Letters that wait at a host",
    "headrace_host_behind": "Changes that a host has folded in without calling strategies, since it began",
    "headrace_host_lost": "Letters that a host has lost since it began",
    "headrace_host_busy_ms": "For how long the callback under way at a host has been running",
    "headrace_watchdogs": "Figures that are above their limits",
    "headrace_latency_ms": "Latencies by what was measured (tick, order, stream_lag) and quantile (0.5, 0.99, 1)",
}

#: Fields of a row of the state and the metric that they become.
_OF_MARKETS = {"live": "live_orders", "matched": "matched", "exposure": "exposure", "profit": "profit"}
_OF_CLIENTS = {"funds": "funds", "exposure": "exposure", "funds_age_s": "funds_age_seconds"}
_OF_CLIENTS["transactions_hour"] = "transactions_hour"
_OF_STREAMS = ("lag_ms", "silent_ms", "changes", "reconnects", "left_out")
_OF_HOSTS = ("depth", "behind", "lost", "busy_ms")
_QUANTILES = {"median": "0.5", "p99": "0.99", "worst": "1"}

Labels = tuple[tuple[str, str], ...]


class Sample(NamedTuple):
    """A figure: the name of its metric, its labels in order of their names, and the value."""

    metric: str
    labels: Labels
    value: float


def labels_of(metric: str) -> tuple[str, ...]:
    """The names of a metric's labels, beside that of the system."""
    kinds = {"strategy": ("strategy",), "account": ("account", "venue"), "stream": ("stream",), "host": ("host",)}
    kind = metric.split("_")[1]
    return kinds.get(kind, ()) if metric != "headrace_latency_ms" else ("quantile", "what")


def samples_of(state: Mapping[str, Any]) -> Iterator[Sample]:
    """The figures of a state; what it does not say is left out."""
    markets, orders = state.get("markets") or (), state.get("orders") or ()
    yield Sample("headrace_placing_allowed", (), float(bool(state.get("placing_allowed"))))
    yield Sample("headrace_markets", (), float(len({row["market_id"] for row in markets})))
    yield Sample("headrace_live_orders", (), float(state.get("live_orders", len(orders))))
    yield Sample("headrace_orders_in_doubt", (), float(sum(bool(row.get("in_doubt")) for row in orders)))
    if "watchdogs" in state:
        yield Sample("headrace_watchdogs", (), float(len(state["watchdogs"])))
    sums: dict[tuple[str, str], float] = {}
    for row in markets:
        for field, name in _OF_MARKETS.items():
            key = str(row.get("strategy")), f"headrace_strategy_{name}"
            sums[key] = sums.get(key, 0.0) + float(row.get(field) or 0.0)
    for (strategy, metric), value in sums.items():
        yield Sample(metric, (("strategy", strategy),), round(value, 2))
    for row in state.get("clients") or ():
        account = (("account", str(row.get("username"))), ("venue", str(row.get("venue"))))
        yield from _fields(row, {field: f"headrace_account_{name}" for field, name in _OF_CLIENTS.items()}, account)
    for row in state.get("streams") or ():
        stream = (("stream", str(row.get("stream"))),)
        yield Sample("headrace_stream_connected", stream, float(row.get("state") == "SUBSCRIBED"))
        yield from _fields(row, {field: f"headrace_stream_{field}" for field in _OF_STREAMS}, stream)
    for row in state.get("hosts") or ():
        names = {field: f"headrace_host_{field}" for field in _OF_HOSTS}
        yield from _fields(row, names, (("host", str(row.get("name"))),))
    for what, figures in (state.get("latency") or {}).items():
        for field, quantile in _QUANTILES.items():
            value = figures.get(field)
            if isinstance(value, int | float):
                measured = (("quantile", quantile), ("what", what.removesuffix("_ms")))
                yield Sample("headrace_latency_ms", measured, float(value))


def _fields(row: Mapping[str, Any], names: Mapping[str, str], labels: Labels) -> Iterator[Sample]:
    for field, metric in names.items():
        value = row.get(field)
        if isinstance(value, int | float):
            yield Sample(metric, labels, float(value))
