"""Failures by place: the same error at the same line is one group, in however many markets it happened."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any


@dataclasses.dataclass
class FailureGroup:
    """Failures of one kind at one place.

    Attributes:
        first: the first of them, a row of `failures`.
        rows: how many rows of `failures` they are.
        count: how often it happened.
        markets: ids of markets, of broken recordings without one their unit, each once, in order.
        sets: of a sweep, numbers of parameter sets, each once.
    """

    first: Mapping[str, Any]
    rows: int = 0
    count: int = 0
    markets: dict[str, None] = dataclasses.field(default_factory=dict)
    sets: dict[int, None] = dataclasses.field(default_factory=dict)

    def add(self, row: Mapping[str, Any]) -> None:
        self.rows += 1
        self.count += row["count"]
        self.markets[row["market_id"] or row["unit"]] = None
        if row.get("set") is not None:
            self.sets[row["set"]] = None

    @property
    def who(self) -> str:
        """Whose error it is, in which market the first was: "Backer 1.170258213"; empty without a strategy."""
        first = self.first
        if self.sets:
            names = [f"set {next(iter(self.sets))}", f"market {first['market_id']}" if first["market_id"] else ""]
        else:
            names = [first["strategy"] or "", first["market_id"] or ""]
        return " ".join(filter(None, names))

    @property
    def where(self) -> str:
        """File and line, else the unit."""
        return str(self.first["line"] or self.first["unit"])

    @property
    def what(self) -> str:
        """The error, how often and where: one line."""
        first = self.first
        text = f"{first['error_type']}: {first['message']}"
        if self.count > 1:
            text += f" ({self.count:,} times"
            text += f" in {len(self.sets):,} sets" if len(self.sets) > 1 else ""
            text += f" in {len(self.markets):,} markets)" if len(self.markets) > 1 else ")"
        return f"{text}, at {self.where}"

    @property
    def line(self) -> str:
        """All of it: whose error, the error, how often and where."""
        return f"{self.who}: {self.what}" if self.who else self.what


def grouped_failures(failures: Iterable[Mapping[str, Any]]) -> list[FailureGroup]:
    """Rows of `failures` by place; what happened most often comes first.

    The errors of a strategy at one line are one place. Failures of no strategy (broken recordings, units that ended
    their worker) are grouped with others that say the same.
    """
    found: dict[tuple[Any, ...], FailureGroup] = {}
    for row in failures:
        strategy, line = row["strategy"], row["line"]
        place = row["message"].replace(row["unit"], "") if strategy is None or line is None else line
        found.setdefault((strategy, row["error_type"], place), FailureGroup(row)).add(row)
    return sorted(found.values(), key=lambda place: -place.count)
