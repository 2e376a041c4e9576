"""Many changes of a market as one: what they come to."""

from __future__ import annotations

from typing import Any

from ....strategies.changes import MarketChange, RunnerChange
from ..public_market import LADDERS, RANKED, VALUES, RunnerKey
from .recording_lines import RecordedChange


class Folded:
    """Folds the changes of one market.

    Attributes:
        last: the change with the last definition; None before there was one.
    """

    def __init__(self) -> None:
        self.last: RecordedChange | None = None
        self._volume: float | None = None
        self._runners: dict[RunnerKey, dict[str, Any]] = {}

    @property
    def closed(self) -> bool:
        """The last definition says so."""
        definition = None if self.last is None else self.last.change.market_definition
        return definition is not None and definition.status == "CLOSED"

    def add(self, recorded: RecordedChange) -> None:
        """Fold a change in; one that comes before the first definition says nothing."""
        change = recorded.change
        if change.market_definition is not None:
            self.last = recorded
        if self.last is None:
            return
        if change.img:
            self._runners.clear()
            self._volume = None
        if change.tv is not None:
            self._volume = change.tv
        for rc in change.rc:
            self._add_runner(rc)

    def _add_runner(self, rc: RunnerChange) -> None:
        found = self._runners.setdefault((rc.id, rc.hc or 0.0), {})
        for name in (*LADDERS, *RANKED):
            levels = getattr(rc, name)
            if levels is None:
                continue
            ladder: dict[float, tuple[float, ...]] = found.setdefault(name, {})
            if not levels:
                ladder.clear()
            for level in levels:
                if level[-1]:
                    ladder[level[0]] = level
                else:
                    ladder.pop(level[0], None)
        for name in VALUES:
            value = getattr(rc, name)
            if value is not None:
                found[name] = value

    def change(self) -> RecordedChange | None:
        """All of it as one image; None if there was no definition."""
        if self.last is None:
            return None
        runners = []
        for (selection_id, handicap), fields in self._runners.items():
            runner = RunnerChange(id=selection_id, hc=handicap)
            for name, value in fields.items():
                setattr(runner, name, list(value.values()) if isinstance(value, dict) else value)
            runners.append(runner)
        definition = self.last.change.market_definition
        image = MarketChange(
            id=self.last.change.id, market_definition=definition, rc=runners, img=True, tv=self._volume
        )
        return RecordedChange(image, self.last.definition)
