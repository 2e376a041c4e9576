"""What market filters let pass: where one lets nothing pass, the run says which of its conditions ended it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from ..strategies.changes import MarketDefinition
from ..strategies.hosting import window_of
from ..strategies.strategy import Strategy
from ..values import shown
from .market_filter import conditions

#: How many values of one kind are kept apart, and how many are reported.
_KEPT, _TOLD = 50, 5
_OTHERS = "others"
#: The sports of a window are a condition like those of the filter.
_SPORTS = "listener_kwargs.event_type_ids"


@dataclasses.dataclass
class Sieve:
    """What the filter of one strategy did to the markets that were offered.

    Attributes:
        admitted: markets that passed.
        passed_over: markets that did not.
        ended: of these, by alternative of the filter and by its first condition that did not hold: how many had which
            value.
    """

    admitted: int = 0
    passed_over: int = 0
    ended: dict[str, dict[str, dict[str, int]]] = dataclasses.field(default_factory=dict)

    def pass_over(self, strategy: Strategy, market_id: str, definition: MarketDefinition) -> None:
        """Count a market that the filter does not let pass."""
        self.passed_over += 1
        for number, alternative in enumerate(_alternatives(strategy, market_id, definition)):
            for name, _, holds, value in alternative:
                if not holds:
                    self._count(str(number), name, "none" if value is None else str(value), 1)
                    break

    def _count(self, number: str, name: str, value: str, count: int) -> None:
        values = self.ended.setdefault(number, {}).setdefault(name, {})
        if value not in values and len(values) >= _KEPT:
            value = _OTHERS
        values[value] = values.get(value, 0) + count

    def add(self, other: Sieve) -> None:
        """Count what another part of the run counted."""
        self.admitted += other.admitted
        self.passed_over += other.passed_over
        for number, names in other.ended.items():
            for name, values in names.items():
                for value, count in values.items():
                    self._count(number, name, value, count)

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Sieve:
        """One that was written down as the dict of its attributes."""
        return cls(found["admitted"], found["passed_over"], found["ended"])

    def why_nothing_passed(self, strategy: Strategy) -> str | None:
        """Says which condition left how many markets; None if a market passed, or none was offered."""
        if self.admitted or not self.passed_over:
            return None
        told = [
            ", ".join(self._steps(str(number), alternative))
            for number, alternative in enumerate(_alternatives(strategy, "", MarketDefinition()))
        ]
        markets = "1 market" if self.passed_over == 1 else f"{self.passed_over} markets"
        return f"no market passes its filter: of {markets}, {'; or '.join(filter(None, told))}"

    def _steps(self, number: str, alternative: Iterator[tuple[str, Any, bool, Any]]) -> Iterator[str]:
        left = self.passed_over
        for name, wanted, _, _ in alternative:
            values = self.ended.get(number, {}).get(name)
            if not values:
                continue
            left -= sum(values.values())
            have = ""
            if not left:
                common = sorted(values.items(), key=lambda each: (each[0] == _OTHERS, -each[1], each[0]))
                kinds = ", ".join(f"{value} ({count})" for value, count in common[:_TOLD])
                have = f"; the recordings have {kinds}{', ...' if len(common) > _TOLD else ''}"
            yield f"{name}={shown(wanted)} leaves {left}{have}"


def _alternatives(
    strategy: Strategy, market_id: str, definition: MarketDefinition
) -> Iterator[Iterator[tuple[str, Any, bool, Any]]]:
    """The alternatives of a filter: of each the conditions in order, with name, what is wanted, whether a market meets
    it, and what the market has there."""

    def whole(alternative: Iterator[tuple[str, Any, bool, Any]]) -> Iterator[tuple[str, Any, bool, Any]]:
        sports = window_of(strategy).event_type_ids
        if sports is not None:
            sport = definition.event_type_id
            yield _SPORTS, sorted(sports), window_of(strategy).admits_sport(sport), sport
        yield from alternative

    for alternative in conditions(strategy.market_filter, market_id, definition):
        yield whole(alternative)
