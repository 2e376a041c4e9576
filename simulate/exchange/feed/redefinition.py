"""A market definition that is to be changed: as decoded, and as it is sent, in step."""

from __future__ import annotations

from typing import Any

import msgspec

from ....strategies.changes import MarketChange, MarketDefinition, RunnerChange, RunnerDefinition
from ....strategies.clock import from_ms
from ..feed_messages import FeedChange
from ..timeline import written

_ATTRIBUTES = {
    "status": "status",
    "version": "version",
    "numberOfActiveRunners": "number_of_active_runners",
}
_TIMES = {
    "marketTime": "market_time",
    "suspendTime": "suspend_time",
    "settledTime": "settled_time",
}
#: What becomes of a runner that ran.
RAN = ("WINNER", "LOSER", "PLACED")


class Redefinition:
    """A copy of a definition.

    Attributes:
        decoded: for the engine.
        sent: for clients.
    """

    def __init__(self, decoded: MarketDefinition, sent: dict[str, Any]) -> None:
        runners = [msgspec.structs.replace(each) for each in decoded.runners]
        self.decoded = msgspec.structs.replace(decoded, runners=runners)
        self.sent = {**sent, "runners": [dict(each) for each in sent.get("runners") or ()]}

    def set(self, name: str, value: Any) -> None:
        """Set a field by the name that the stream has for it."""
        setattr(self.decoded, _ATTRIBUTES[name], value)
        self.sent[name] = value

    def set_time(self, name: str, ms: float | None) -> None:
        """Set a time, milliseconds since the epoch; None: there is none."""
        setattr(self.decoded, _TIMES[name], None if ms is None else from_ms(round(ms)))
        if ms is None:
            self.sent.pop(name, None)
        else:
            self.sent[name] = written(ms)

    def time(self, name: str) -> float | None:
        """A time, milliseconds since the epoch."""
        moment = getattr(self.decoded, _TIMES[name])
        return None if moment is None else moment.timestamp() * 1000

    def set_runner(self, runner: RunnerDefinition, status: str, removed_ms: float | None = None) -> None:
        """Set the status of a runner of `decoded`, and when it was removed."""
        sent = self._sent(runner)
        runner.status = sent["status"] = status
        if removed_ms is not None:
            runner.removal_date = from_ms(round(removed_ms))
            sent["removalDate"] = written(removed_ms)

    def _sent(self, runner: RunnerDefinition) -> dict[str, Any]:
        runners: list[dict[str, Any]] = self.sent["runners"]
        for each in runners:
            if str(each.get("id")) == str(runner.id) and float(each.get("hc") or 0.0) == runner.hc:
                return each
        return {}

    def count_runners(self) -> None:
        """Bring the number of active runners up to date."""
        self.set("numberOfActiveRunners", sum(each.status == "ACTIVE" for each in self.decoded.runners))

    def choose_other_winners(self) -> bool:
        """Let runners that lost have won, and the winners have lost; False where there are none to change."""
        winners = [each for each in self.decoded.runners if each.status == "WINNER"]
        losers = [each for each in self.decoded.runners if each.status in ("LOSER", "PLACED")]
        for winner, loser in zip(winners, losers, strict=False):
            self.set_runner(winner, loser.status)
            self.set_runner(loser, "WINNER")
        return bool(winners and losers)

    def change(self, market_id: str, rc: list[RunnerChange] | None = None) -> FeedChange:
        """A change that publishes it."""
        return FeedChange(MarketChange(id=market_id, market_definition=self.decoded, rc=rc or []), self.sent)
