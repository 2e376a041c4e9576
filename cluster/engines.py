"""Where work is done: in this process, or in worker processes on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Literal

from ..results.parts import Batch, Part
from ..simulate.units import Unit
from ..strategies.errors import InputError
from ..values import word
from .batch_runner import Runner
from .batches import in_turn, plan_batches
from .connection import connect
from .pool import RayPool, run_here

Engine = Literal["auto", "local", "ray"]
ENGINES = ("auto", "local", "ray")
#: From so many bytes of recordings on, `engine="auto"` uses Ray.
LARGE = 100 * 1024 * 1024


def require_engine(engine: str) -> None:
    """Refuse a word that is not an engine.

    Raises:
        InputError: names those there are.
    """
    word(engine, "engine", ENGINES, InputError)


def chosen_engine(engine: str, units: Iterable[Unit]) -> str:
    """The engine for units: "local" or "ray"."""
    if engine != "auto":
        return engine
    return "ray" if sum(unit.size for unit in units) >= LARGE else "local"


def spread(
    units: Sequence[Unit],
    make_runner: Callable[[], Runner],
    engine: str,
    plan: Callable[[Sequence[Unit], int], list[Batch]] | None = None,
) -> Generator[Part, None, None]:
    """Parts of units, as they are done.

    Args:
        plan: batches of units for so many workers; None: on Ray the largest units first, in this process one after the
            other.

    Raises:
        InputError: Ray is asked for, and cannot be reached.
    """
    if units and chosen_engine(engine, units) == "ray":
        connect()
        pool = RayPool(make_runner)
        return pool.run((plan or plan_batches)(units, pool.size))
    return run_here(plan(units, 1) if plan else in_turn(units, 1), make_runner())
