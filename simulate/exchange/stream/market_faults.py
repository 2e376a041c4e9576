"""Faults in messages of markets: what is to be sent is spoilt as somebody has asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ..faults import Fault
from .subscription import Subscription

#: Fields that the exchange leaves out at times: of a change, of a runner's change, of a definition, of its runners.
_CHANGE = ("con", "tv")
_RUNNER_CHANGE = ("hc",)
_DEFINITION = (
    "openDate",
    "countryCode",
    "venue",
    "settledTime",
    "suspendTime",
    "marketType",
    "eachWayDivisor",
    "name",
    "eventName",
    "raceType",
    "priceLadderDefinition",
    "keyLineDefinition",
)
_RUNNER = ("hc", "bsp", "adjustmentFactor", "removalDate", "name")


def in_image(subscription: Subscription, changes: Sequence[bytes]) -> list[bytes]:
    """The changes of an image, spoilt."""
    found = []
    for encoded in changes:
        change = msgspec.json.decode(encoded)
        spoilt, second = _common(subscription, change), None
        if "marketDefinition" in change:
            if _strikes(subscription, "market.twice", change):
                second = {**change, "marketDefinition": dict(change["marketDefinition"])}
                second["marketDefinition"]["version"] = change["marketDefinition"].get("version", 1) - 1
            if _strikes(subscription, "market.no_definition", change):
                del change["marketDefinition"]
                spoilt = True
        found.append(msgspec.json.encode(change) if spoilt else encoded)
        if second is not None:
            found.append(msgspec.json.encode(second))
    return found


def in_change(subscription: Subscription, changes: Sequence[bytes]) -> list[bytes]:
    """The changes of another message, spoilt."""
    found = []
    for encoded in changes:
        change = msgspec.json.decode(encoded)
        found.append(msgspec.json.encode(change) if _common(subscription, change) else encoded)
    return found


def _fault(subscription: Subscription, kind: str, change: dict[str, Any]) -> Fault | None:
    return subscription.server.fault(kind, subscription.connection, subscription.operation, market_id=change.get("id"))


def _strikes(subscription: Subscription, kind: str, change: dict[str, Any]) -> bool:
    return _fault(subscription, kind, change) is not None


def _common(subscription: Subscription, change: dict[str, Any]) -> bool:
    spoilt = False
    if _strikes(subscription, "market.conflated", change):
        change["con"] = spoilt = True
    if _strippable(change) and (fault := _fault(subscription, "market.strip", change)) is not None:
        _strip(change, fault.value == "null")
        spoilt = True
    return spoilt


def _objects(change: dict[str, Any]) -> list[tuple[dict[str, Any], tuple[str, ...]]]:
    found: list[tuple[dict[str, Any], tuple[str, ...]]] = [(change, _CHANGE)]
    found += [(each, _RUNNER_CHANGE) for each in change.get("rc", ())]
    if (definition := change.get("marketDefinition")) is not None:
        found.append((definition, _DEFINITION))
        found += [(each, _RUNNER) for each in definition.get("runners", ())]
    return found


def _strippable(change: dict[str, Any]) -> bool:
    return any(name in where for where, names in _objects(change) for name in names)


def _strip(change: dict[str, Any], null: bool) -> None:
    for where, names in _objects(change):
        for name in names:
            if name in where:
                if null:
                    where[name] = None
                else:
                    del where[name]
