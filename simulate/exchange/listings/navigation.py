"""The navigation menu: sports, competitions, events, races and markets as a tree ("Navigation Data")."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

from .catalogues import CatalogueEntry
from .market_names import RACING

Node = dict[str, Any]


def menu(entries: Iterable[CatalogueEntry]) -> Node:
    """The whole tree. Races stand beside their events: markets of one are below the race alone."""
    root: Node = {"children": [], "id": 0, "name": "ROOT", "type": "GROUP"}
    nodes: dict[tuple[str, str], Node] = {}

    def below(parent: Node, kind: str, node_id: str, **fields: Any) -> Node:
        found = nodes.get((kind, node_id))
        if found is None:
            found = nodes[kind, node_id] = {"children": [], "id": node_id, **fields, "type": kind}
            parent["children"].append(found)
        return found

    for entry in entries:
        event_type = entry.event_type
        parent = below(root, "EVENT_TYPE", event_type["id"], name=event_type["name"])
        event = entry.event
        if event_type["id"] in RACING and entry.start:
            parent = below(parent, "RACE", _race_id(entry), **_race(entry))
        else:
            if (competition := entry.competition) is not None:
                parent = below(parent, "GROUP", f"c{competition['id']}", name=competition["name"])
            country = {"countryCode": entry.country} if entry.country is not None else {}
            parent = below(parent, "EVENT", event["id"], name=event["name"], **country)
        parent["children"].append(_market(entry))
    return root


def _market(entry: CatalogueEntry) -> Node:
    return {
        "exchangeId": "1",
        "id": entry.market_id,
        "marketStartTime": entry.start,
        "marketType": entry.market_type or "",
        "numberOfWinners": str(entry.definition.get("numberOfWinners", 1)),
        "name": entry.name,
        "type": "MARKET",
    }


def _race_id(entry: CatalogueEntry) -> str:
    return f"{entry.event_id}.{datetime.datetime.fromisoformat(entry.start):%H%M}"


def _race(entry: CatalogueEntry) -> Node:
    found = {
        "name": entry.name,
        "startTime": entry.start,
        "venue": entry.venue,
        "countryCode": entry.country,
    }
    return {key: value for key, value in found.items() if value is not None}
