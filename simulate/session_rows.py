"""Rows of a live session: the tables of a run, made where markets are hosted and where accounts are kept."""

from __future__ import annotations

from typing import Any

from ..actors.coordinator import Coordinator
from ..actors.failures import Failures
from ..actors.hosted_market import HostedMarket
from ..actors.market import MarketActor
from .row_parts import failure_rows
from .rows import RowCollector, Rows, empty_rows


def rows_of_market(actor: MarketActor, market: HostedMarket) -> Rows:
    """What remains of a market that its host has freed: orders, fills, records, and a row for each strategy."""
    collector = RowCollector(actor.prototypes)
    collector.market(market)
    collector.fail(collector.unfit, actor.failures.unit)
    return collector.rows


def rows_so_far(actor: MarketActor) -> Rows:
    """What the strategies of an actor have recorded since they were last asked."""
    rows = empty_rows()
    for market in actor.hosted:
        for seat in market.seats:
            mine = seat.strategy._headrace.take_records(market.market_id)
            rows["records"].extend((seat.strategy.name, *row) for row in mine)
    return rows


def rows_of_coordinator(coordinator: Coordinator) -> Rows:
    """What the coordinator has counted in the whole session: violations, and transactions by account and hour."""
    collector = RowCollector(())
    collector.finish(coordinator, Failures(), "")
    return collector.rows


class CoordinatorRows:
    """Tells at each call what a coordinator has counted since the last one, as rows that add up.

    Args:
        coordinator: what it has counted by now was told by a former one.
    """

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        self._told: dict[str, dict[tuple[Any, ...], tuple[int, ...]]] = {}
        self()

    def __call__(self) -> Rows:
        """Rows of `violations` and `transactions`; a count may be below 0, where something was given back."""
        found, rows = rows_of_coordinator(self._coordinator), empty_rows()
        for table, counts in _COUNTS.items():
            told = self._told.setdefault(table, {})
            for row in found[table]:
                key, now = row[:-counts], row[-counts:]
                before = told.get(key, (0,) * counts)
                if now != before:
                    told[key] = now
                    rows[table].append((*key, *(one - other for one, other in zip(now, before, strict=True))))
        return rows


class FailureRows:
    """Tells at each call what has failed since the last one: little is lost with a process that is killed.

    Args:
        failures: those of an actor.
    """

    def __init__(self, failures: Failures) -> None:
        self._failures = failures
        self._told: dict[int, int] = {}

    def __call__(self) -> Rows:
        """Rows of the new ones; of a failure that was told before what has been added to its count."""
        rows = empty_rows()
        for number, row in enumerate(failure_rows(self._failures, self._failures.unit)):
            more = row[_COUNT] - self._told.get(number, 0)
            if more:
                self._told[number] = row[_COUNT]
                rows["failures"].append((*row[:_COUNT], more, *row[_COUNT + 1 :]))
        return rows


#: How many columns of a table count, the last ones.
_COUNTS = {"violations": 1, "transactions": 2}
#: Where the rows of failures count, and what makes two of them the same failure.
_COUNT = 3
_SAME = (0, 1, 2, 4, 7)


class FailureCounts:
    """Adds up rows of failures that were told bit by bit."""

    def __init__(self) -> None:
        self._found: dict[tuple[Any, ...], tuple[Any, ...]] = {}

    def add(self, rows: list[tuple[Any, ...]]) -> None:
        """Count rows of `failures`; of equal ones the first one's message and traceback stay."""
        for row in rows:
            key = tuple(row[place] for place in _SAME)
            known = self._found.get(key)
            if known is None:
                self._found[key] = row
            else:
                count = known[_COUNT] + row[_COUNT]
                self._found[key] = (*known[:_COUNT], count, *known[_COUNT + 1 :])

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        return list(self._found.values())
