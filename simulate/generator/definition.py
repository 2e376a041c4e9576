"""The market definition, published whole whenever any of it changes."""

from __future__ import annotations

import random

from .plan import EventPlan, MarketPlan
from .timing import format_time


class RunnerDefinition:
    """What the exchange says of a runner. `bsp` is the starting price as published, 2 dp."""

    __slots__ = (
        "adjustment_factor",
        "bsp",
        "name",
        "removal_date",
        "selection_id",
        "sort_priority",
        "status",
    )

    def __init__(self, selection_id: int, name: str, sort_priority: int, adjustment_factor: float | None) -> None:
        self.selection_id = selection_id
        self.name = name
        self.sort_priority = sort_priority
        self.adjustment_factor = adjustment_factor
        self.status = "ACTIVE"
        self.removal_date: str | None = None
        self.bsp: float | None = None

    def build(self) -> dict[str, object]:
        """As the stream publishes it: what does not apply is left out."""
        fields: dict[str, object] = {}
        if self.adjustment_factor is not None:
            fields["adjustmentFactor"] = self.adjustment_factor
        fields["status"] = self.status
        fields["sortPriority"] = self.sort_priority
        if self.removal_date is not None:
            fields["removalDate"] = self.removal_date
        if self.bsp is not None:
            fields["bsp"] = self.bsp
        fields["id"] = self.selection_id
        fields["name"] = self.name
        return fields


class MarketDefinition:
    """The state of a market that is not its prices."""

    def __init__(self, event: EventPlan, plan: MarketPlan, version: int, bet_delay: int) -> None:
        self.status = "OPEN"
        self.in_play = False
        self.bsp_reconciled = False
        self.bet_delay = 0
        self.version = version
        self.settled: str | None = None
        self.runners = [
            RunnerDefinition(runner.selection_id, runner.name, n + 1, runner.adjustment_factor)
            for n, runner in enumerate(plan.runners)
        ]
        self._event = event
        self._plan = plan
        self._bet_delay_in_play = bet_delay

    def change_version(self, rng: random.Random) -> None:
        """Raise the version; the exchange counts all its markets together, so the steps are uneven."""
        self.version += rng.randint(2, 60)

    def turn_in_play(self) -> None:
        """In play, with the bet delay of the sport (seconds)."""
        self.in_play = True
        self.status = "OPEN"
        self.bet_delay = self._bet_delay_in_play

    def remove(self, position: int, time: int) -> None:
        """Declare a runner removed, and share its adjustment factor among those left."""
        removed = self.runners[position]
        removed.status = "REMOVED"
        removed.removal_date = format_time(time)
        factor = removed.adjustment_factor or 0.0
        for runner in self.runners:
            if runner.status == "ACTIVE" and runner.adjustment_factor is not None:
                runner.adjustment_factor = round(min(runner.adjustment_factor / (1 - factor / 100), 99.0), 2)

    def close(self, time: int) -> None:
        """Settle: every runner that ran gets its result."""
        self.status = "CLOSED"
        self.settled = format_time(time)
        for runner, result in zip(self.runners, self._plan.results, strict=True):
            if runner.status == "ACTIVE":
                runner.status = result

    def build(self) -> dict[str, object]:
        """The whole definition, fields in the order in which Betfair's archive has them."""
        event, plan = self._event, self._plan
        field = event.field
        scheduled = format_time(event.schedule.scheduled)
        fields: dict[str, object] = {
            "bspMarket": field.starting_price and plan.each_way_divisor is None,
            "turnInPlayEnabled": field.goes_in_play,
            "persistenceEnabled": field.goes_in_play,
            "marketBaseRate": field.base_rate,
            "eventId": event.event_id,
            "eventTypeId": field.event_type_id,
            "numberOfWinners": plan.winners,
            "bettingType": "ODDS",
            "marketType": plan.market_type,
            "marketTime": scheduled,
            "suspendTime": scheduled,
            "bspReconciled": self.bsp_reconciled,
            "complete": True,
            "inPlay": self.in_play,
            # No virtual bets are generated, so books of several runners are not matched with each other.
            "crossMatching": False,
            "runnersVoidable": False,
            "numberOfActiveRunners": sum(runner.status == "ACTIVE" for runner in self.runners),
            "betDelay": self.bet_delay,
            "status": self.status,
        }
        if self.settled is not None:
            fields["settledTime"] = self.settled
        if plan.each_way_divisor is not None:
            fields["eachWayDivisor"] = plan.each_way_divisor
        fields["runners"] = [runner.build() for runner in self.runners]
        fields["regulators"] = ["MR_INT"]
        if event.venue is not None:
            fields["venue"] = event.venue
        fields["countryCode"] = field.country
        fields["discountAllowed"] = True
        fields["timezone"] = field.timezone
        fields["openDate"] = scheduled
        fields["version"] = self.version
        fields["name"] = plan.name
        fields["eventName"] = event.name
        fields["priceLadderDefinition"] = {"type": "CLASSIC"}
        return fields
