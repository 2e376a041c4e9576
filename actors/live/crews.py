"""Crews: strategies that share a stream and a scope. A host has one market actor for each crew that is placed there."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from ...strategies.hosting import scope_of
from ...strategies.strategy import Strategy


@dataclasses.dataclass(frozen=True)
class StreamPlan:
    """One subscription, shared by all strategies that ask for the same.

    Attributes:
        name: s1, s2 ... in the order of the strategies; order streams are o1, o2 ...
        operation: the exchange's: marketSubscription, orderSubscription, raceSubscription or cricketSubscription.
        market_filter, market_data_filter: as the strategies have them, JSON with sorted keys ("null": none).
        conflate_ms, streaming_timeout: theirs.
        raw: raw changes are handed on, and no books are made of them.
        username, venue: the account that it connects with; empty: the first that is not simulated.
    """

    name: str
    operation: str
    market_filter: str = "null"
    market_data_filter: str = "null"
    conflate_ms: int | None = None
    streaming_timeout: float | None = None
    raw: bool = False
    venue: str = ""
    username: str = ""

    @property
    def brings_books(self) -> bool:
        """Whether books are made of what it brings, so that an image says all of a market."""
        return self.operation == "marketSubscription" and not self.raw

    @property
    def of_orders(self) -> bool:
        """Whether it tells of the orders of an account."""
        return self.operation == "orderSubscription" and not self.raw

    @property
    def filters(self) -> list[dict[str, Any]]:
        """The market filters: one subscription may be made of several, each of which lets markets pass."""
        found = json.loads(self.market_filter)
        return [] if found is None else found if isinstance(found, list) else [found]


@dataclasses.dataclass(frozen=True)
class Crew:
    """Strategies that share a stream and a scope.

    Attributes:
        name: the stream's name, a dot, and the scope: "s1.market".
        stream: the name of the stream that brings books; sports streams only add to a crew's markets.
        scope: market, event or run.
        strategies: names, in the order of the run.
        shadow: they are paper twins of strategies that trade live (see `actors.live.shadow`).
    """

    name: str
    stream: str
    scope: str
    strategies: tuple[str, ...]
    shadow: bool = False


def plan_streams(strategies: Sequence[Strategy]) -> tuple[tuple[StreamPlan, ...], tuple[Crew, ...]]:
    """The streams that strategies need, and the crews on them."""
    plans: dict[tuple[Any, ...], StreamPlan] = {}
    crews: dict[str, list[str]] = {}
    for strategy in strategies:
        kind = strategy.stream_class
        key = (
            getattr(kind, "operation", "marketSubscription"),
            _json(strategy.market_filter or None),
            _json(strategy.market_data_filter or None),
            strategy.conflate_ms,
            strategy.streaming_timeout,
            bool(getattr(kind, "raw", False)),
        )
        plan = plans.get(key)
        if plan is None:
            plan = plans[key] = StreamPlan(f"s{len(plans) + 1}", *key)
        crews.setdefault(f"{plan.name}.{scope_of(strategy)}", []).append(strategy.name)
        for operation in sports_operations(strategy.sports_data_filter):
            sports = (operation, "null", "null", None, None, False)
            if sports not in plans:
                plans[sports] = StreamPlan(f"s{len(plans) + 1}", *sports)
    made = []
    for name, names in crews.items():
        stream, _, scope = name.partition(".")
        made.append(Crew(name, stream, scope, tuple(names)))
    return tuple(plans.values()), tuple(made)


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def sports_operations(asked: Any) -> list[str]:
    """The streams of a `sports_data_filter`: names of operations, such as "raceSubscription" or "race"."""
    words = [asked] if isinstance(asked, str) else list(asked or ())
    return [word if word.endswith("Subscription") else f"{word}Subscription" for word in words]
