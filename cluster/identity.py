"""The identity of a run: a run that broke off can be resumed only as the same run.

Everything that a run is made of is compared, without a list of what counts: each field of `Setup`, each setting, each
attribute of each object in them, whoever adds one.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import math
import os
import weakref
from collections.abc import Iterable, Sequence
from typing import Any

from ..actors.clients import BaseClient
from ..config import Config
from ..results.versions import version_of
from ..simulate.models import Models
from ..simulate.setup import Setup
from ..simulate.units import Unit, changed_at
from ..strategies.hosting import limits_of, parameters_of
from ..strategies.strategy import Strategy
from .description import Described, TooMuchError, attributes_of, class_name, described, digest_of
from .script import used_of_script
from .shipping import objects_of, sources_digest

#: Fields of `Setup` that have entries of their own.
_TOLD_APART = (
    "strategies",
    "config",
    "models",
    "clients",
    "client_controls",
    "files",
    "catalogues",
    "sports_data",
    "band",
)

#: Objects that are looked at if a run is not kept.
_FEW = 10_000
#: What objects were when the first of their runs in this process began, and after the last of them, by their ids.
_KNOWN: dict[int, tuple[weakref.ref[Any], Described, Described]] = {}


class Beginning:
    """What the objects of a run are as it begins.

    In one process runs use the user's own objects: `start` and middleware leave things on them. An object that only
    its runs have changed is described as it was before the first of them: a run that broke off in a notebook goes on
    with the strategy that it was begun with.

    Args:
        kept: the run is kept, and may have to be compared; otherwise objects that hold a great deal are not described.
    """

    def __init__(self, setup: Setup, kept: bool = True) -> None:
        self._most = math.inf if kept else _FEW
        self._owners = [*setup.strategies, *setup.middleware, *vars(setup.models).values(), *setup.workers]
        self._told = {id(owner): self._as_it_was(owner) for owner in self._owners}

    def __contains__(self, owner: Any) -> bool:
        return id(owner) in self._told

    def tell(self, owner: Any) -> Described:
        """An object of the run, as it was then."""
        found = self._told.get(id(owner))
        return self._now(owner) if found is None else found

    def over(self) -> None:
        """The run has ended: what its objects are now, they are by its doing."""
        for owner in self._owners:
            key = id(owner)
            before, after = self._told[key], self._now(owner)
            if before is None or after is None:
                continue
            with contextlib.suppress(TypeError):  # some objects cannot be referenced weakly
                _KNOWN[key] = (weakref.ref(owner, functools.partial(_forget, key)), before, after)

    def _as_it_was(self, owner: Any) -> Described:
        now = self._now(owner)
        ref, before, after = _KNOWN.get(id(owner), (None, None, None))
        return before if ref is not None and ref() is owner and after == now else now

    def _now(self, owner: Any) -> Described:
        try:
            if isinstance(owner, Strategy):
                apart = {*parameters_of(owner), *limits_of(owner), "name", "_headrace"}
                return attributes_of(owner, apart, self._most)
            return described(owner, self._most)
        except TooMuchError:
            return None


def _forget(key: int, _: object) -> None:
    _KNOWN.pop(key, None)


def identity_of(setup: Setup, units: Sequence[Unit], beginning: Beginning, whole: bool = True) -> dict[str, Any]:
    """What a run is made of, as JSON holds it: settings, strategies, sources, inputs.

    Args:
        whole: describe everything else too; False: the run is not kept, so it will not be compared.
    """
    found: dict[str, Any] = {
        "config": described(setup.config.as_dict()),
        "strategies": [
            {**_strategy(strategy), "attributes": beginning.tell(strategy)} for strategy in setup.strategies
        ],
        "sources": sources_digest(objects_of(setup)),
        "band": setup.band,
        "models": models_of(setup, beginning),
    }
    return {**found, **(rest_of(setup, beginning) if whole else {}), "inputs": inputs_of(units)}


def session_identity(
    strategies: Iterable[Strategy], clients: Iterable[BaseClient], config: Config, rest: Iterable[Any] = ()
) -> dict[str, Any]:
    """What a live session is made of, for its manifest. Passwords and keys are left out.

    Args:
        rest: further objects whose sources count: middleware, workers, classes of controls and of steps.
    """
    traders = list(strategies)
    return {
        "config": described(config.as_dict()),
        "models": Models().words(config),
        "strategies": [_strategy(strategy) for strategy in traders],
        "sources": sources_digest([*traders, *rest]),
        "headrace": version_of("headrace"),
        "clients": [_client(client) for client in clients],
    }


def _strategy(strategy: Strategy) -> dict[str, Any]:
    return {
        "name": strategy.name,
        "class": type(strategy).__qualname__,
        "parameters": described(parameters_of(strategy)),
        "settings": described(limits_of(strategy)),
    }


def models_of(setup: Setup, beginning: Beginning) -> dict[str, Any]:
    """The models of the simulated exchange: the names that the settings choose, and the user's own objects."""
    given = {name: each for name, each in vars(setup.models).items() if each is not None}
    return {**setup.models.words(setup.config), **{name: beginning.tell(each) for name, each in given.items()}}


def rest_of(setup: Setup, beginning: Beginning) -> dict[str, Any]:
    """All of a setup but for strategies, settings and models; the version of headrace; what is used of the script."""
    found: dict[str, Any] = {
        "headrace": version_of("headrace"),
        "script": used_of_script(objects_of(setup)),
        "clients": [_client(client) for client in setup.clients],
        "client_controls": [
            [None if client is None else client.username, described(control), described(settings)]
            for client, control, settings in setup.client_controls
        ],
        "files": {name: {"bytes": len(each), "sha256": digest_of(each)} for name, each in setup.files.items()},
        "catalogues": folder_facts(setup.catalogues),
        "sports_data": folder_facts(setup.sports_data),
    }
    for field in dataclasses.fields(setup):
        if field.name not in _TOLD_APART:
            found[field.name] = _field(getattr(setup, field.name), beginning)
    return found


def inputs_of(units: Iterable[Unit]) -> list[dict[str, Any]]:
    """The inputs of a run, by their units."""
    return [
        {"unit": unit.name, "files": len(unit.paths), "bytes": unit.size, "changed": changed_at(unit)}
        | ({"paths": list(map(str, unit.paths))} if len(unit.paths) > 1 else {})
        for unit in units
    ]


def folder_facts(folder: str | None) -> dict[str, Any] | None:
    """The files of a folder: how many, their bytes, and a hash of their names, sizes and times of change."""
    if folder is None:
        return None
    with os.scandir(folder) as entries:
        facts = [(entry.name, entry.stat()) for entry in entries if entry.is_file()]
    lines = sorted(f"{name}\n{fact.st_size} {fact.st_mtime_ns}" for name, fact in facts)
    total = sum(fact.st_size for _, fact in facts)
    return {"files": len(facts), "bytes": total, "listing": digest_of("\n".join(lines))}


def _field(value: Any, beginning: Beginning) -> Described:
    """A field of a setup: objects that stand in a list as they were when the run began."""
    if isinstance(value, list) and any(each in beginning for each in value):
        return [beginning.tell(each) for each in value]
    return described(value)


def _client(client: Any) -> Described:
    """An account with all its settings. The library's client, which has passwords, is described by its class."""
    bare = copy.copy(client)
    for name in ("_betting", "betting_client"):
        vars(bare).pop(name, None)
    found: dict[str, Any] = described(bare)
    if client.betting_client is not None:
        found["betting_client"] = {"class": class_name(type(client.betting_client))}
    return found
