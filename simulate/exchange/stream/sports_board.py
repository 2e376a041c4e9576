"""What races and cricket matches are doing: the last of each, for those who subscribe later."""

from __future__ import annotations

from typing import Any

#: Messages of races, and of cricket.
RACES, CRICKET = "rcm", "ccm"


class SportsBoard:
    """The state of all matches, and how many changes there have been.

    Of races nothing is kept: the exchange sends no image of them (Betfair, "Race Status" of the stream).

    Attributes:
        sequence: by operation, number of the last change.
    """

    def __init__(self) -> None:
        self.sequence = {RACES: 0, CRICKET: 0}
        self._matches: dict[tuple[object, object], dict[str, Any]] = {}
        self._stamps: dict[tuple[object, object], int] = {}

    def take(self, operation: str, change: dict[str, Any]) -> None:
        """Take a change of a race or a match."""
        self.sequence[operation] = self.sequence.get(operation, 0) + 1
        if operation == CRICKET:
            key = (change.get("eventId"), change.get("marketId"))
            self._matches[key] = {**self._matches.get(key, {}), **change}
            self._stamps[key] = self.sequence[operation]

    def matches(self, after: int = 0) -> list[dict[str, Any]]:
        """Cricket matches that have changed after change number `after`, whole."""
        return [match for key, match in self._matches.items() if self._stamps[key] > after]
