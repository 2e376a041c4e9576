"""Which tests stay together, and which begin first, where several processes run them (`pytest -n 2`).

The tests that share the fixture `ray_local` are one unit, so that one process alone starts a Ray; those that share a
fixture of their module are one, so that it is made once. All others go singly to whoever is free. The units of Ray come
first and single tests last: no process is left with a long rest when the others are done.

xdist has groups of its own (`xdist_group`), but from pytest 9.2 on its release 3.8 silently ignores them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

#: Fixtures with a Ray of their own that several tests share.
OWN_RAYS = ("head", "launcher")


def in_units(items: Sequence[pytest.Item]) -> dict[str, str]:
    """The name of the unit of each test, by the test's own."""
    return {item.nodeid: _unit(item) for item in items}


def _unit(item: pytest.Item) -> str:
    if _needs_ray(item):
        return next((name for name in OWN_RAYS if name in _fixtures(item)), "ray")
    return item.nodeid.partition("::")[0] if _shares_with_its_module(item) else item.nodeid


def _fixtures(item: pytest.Item) -> Sequence[str]:
    return getattr(item, "fixturenames", ())


def _needs_ray(item: pytest.Item) -> bool:
    return item.get_closest_marker("ray") is not None or "ray_local" in _fixtures(item)


def _shares_with_its_module(item: pytest.Item) -> bool:
    """Whether a test uses a fixture that its module makes once."""
    found = getattr(item, "_fixtureinfo", None)
    made = found.name2fixturedefs.values() if found else ()
    return any(each[-1].scope == "module" and each[-1].baseid == item.nodeid.partition("::")[0] for each in made)


def rank(item: pytest.Item, units: dict[str, str]) -> int:
    """Whose turn it is, the least first. Tests of equal rank keep their order."""
    unit = units[item.nodeid]
    if unit == "ray":
        return 0
    if unit in OWN_RAYS:
        return 1
    if unit != item.nodeid:
        return 2
    return 3 if item.get_closest_marker("slow") else 4


def scheduler(config: pytest.Config, log: Any, written: Path) -> Any:
    """xdist's, for units that the processes wrote down before the first test."""
    from xdist.scheduler import LoadScopeScheduling

    class InUnits(LoadScopeScheduling):
        def schedule(self) -> None:
            self._units = json.loads(written.read_text())
            super().schedule()

        def _split_scope(self, nodeid: str) -> str:
            return str(self._units.get(nodeid, nodeid))

    config.option.loadscopereorder = False
    return InUnits(config, log)
