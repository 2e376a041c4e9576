"""The start of a process of hosts: strategies start once in it, and what markets get copies of can be copied."""

from __future__ import annotations

import copy
import threading

from ...strategies.errors import RunError
from ...strategies.hosting import opened, scope_of
from ...values import legible
from ..failures import users_code
from ..starting import WorkerFramework
from .setup import LiveSetup

#: Strategies start once in each process, however many hosts are in it.
_STARTING = threading.Lock()


def open_strategies(setup: LiveSetup) -> None:
    """Call `start` of each strategy, once in each process.

    Raises:
        RunError: one of them failed, or cannot be copied; or middleware cannot.
    """
    with _STARTING:
        if setup.started:
            return
        framework = WorkerFramework(setup.config, setup.strategies, setup.clients)
        for strategy in setup.strategies:
            with users_code(f"strategy {strategy.name!r} failed in start()", raise_errors=setup.config.raise_errors):
                opened(strategy, framework)
            _require_copies(strategy, f"strategy {strategy.name!r}", f"each {scope_of(strategy)}")
        for middleware in setup.middleware:
            _require_copies(middleware, f"middleware {type(middleware).__name__}", "each host")
        setup.started = True


def _require_copies(value: object, what: str, whose: str) -> None:
    try:
        copy.deepcopy(value)
    except Exception as error:
        raise RunError(
            f"{what} cannot be copied, and {whose} has a copy of its own: {legible(error)}; make what cannot be copied "
            "with hr.resource(...)"
        ) from error
