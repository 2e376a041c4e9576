"""Times that stand in what is recorded, moved to when it is played."""

from __future__ import annotations

from typing import Any

from ....strategies.changes import MarketDefinition
from ..timeline import Rebasing, written

#: Times of a market definition and of its runners, as the stream names them.
_OF_MARKET = ("marketTime", "suspendTime", "openDate", "settledTime")
_OF_RUNNER = ("removalDate",)
#: Fields that every definition of the exchange has, and that clients insist on, with what their absence is taken for.
_ALWAYS: dict[str, Any] = {
    "bspMarket": False,
    "turnInPlayEnabled": False,
    "persistenceEnabled": False,
    "marketBaseRate": 0,
    "numberOfWinners": 0,
    "bettingType": "ODDS",
    "bspReconciled": False,
    "complete": False,
    "inPlay": False,
    "crossMatching": False,
    "runnersVoidable": False,
    "numberOfActiveRunners": 0,
    "betDelay": 0,
    "status": "OPEN",
    "regulators": ["MR_INT"],
    "discountAllowed": False,
    "timezone": "GMT",
    "version": 0,
    "runners": [],
}
#: Times of sports data are milliseconds since the epoch: `ft`, and fields whose names end in "Time".
_EARLIEST_MS, _LATEST_MS = 10**11, 10**13


def move_definition(definition: MarketDefinition, rebasing: Rebasing) -> None:
    """Move the times of a decoded definition, in place."""
    if definition.market_time is not None:
        definition.market_time = rebasing.moment(definition.market_time)
    if definition.suspend_time is not None:
        definition.suspend_time = rebasing.moment(definition.suspend_time)
    if definition.open_date is not None:
        definition.open_date = rebasing.moment(definition.open_date)
    if definition.settled_time is not None:
        definition.settled_time = rebasing.moment(definition.settled_time)
    for runner in definition.runners:
        if runner.removal_date is not None:
            runner.removal_date = rebasing.moment(runner.removal_date)


def moved_definition(recorded: dict[str, Any], rebasing: Rebasing) -> dict[str, Any]:
    """A definition as it is to be sent: all fields that were recorded, its times moved.

    Null, which recorders write for what is absent, is absent; what no definition is without is filled in.
    """
    definition: dict[str, Any] = {**_ALWAYS, **_without_nulls(recorded)}
    _move(definition, _OF_MARKET, rebasing)
    runners = definition.get("runners")
    for runner in runners if isinstance(runners, list) else ():
        if isinstance(runner, dict):
            _move(runner, _OF_RUNNER, rebasing)
    return definition


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_without_nulls(each) for each in value if each is not None]
    return value


def _move(fields: dict[str, Any], names: tuple[str, ...], rebasing: Rebasing) -> None:
    for name in names:
        value = fields.get(name)
        if isinstance(value, str):
            fields[name] = rebasing.text(value)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            fields[name] = written(rebasing.ms(value))  # a recorder's own way to write it


def moved_sports(recorded: Any, rebasing: Rebasing) -> Any:
    """A change of a race or a cricket match, its times moved. The clock in a race's id is a name, and stays."""
    if isinstance(recorded, dict):
        return {
            name: rebasing.ms(value) if _is_time(name, value) else moved_sports(value, rebasing)
            for name, value in recorded.items()
        }
    if isinstance(recorded, list):
        return [moved_sports(each, rebasing) for each in recorded]
    return recorded


def _is_time(name: str, value: Any) -> bool:
    if name != "ft" and not name.endswith("Time"):
        return False
    return isinstance(value, (int, float)) and not isinstance(value, bool) and _EARLIEST_MS < value < _LATEST_MS
