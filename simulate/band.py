"""The band of a run: what the same strategies come to where the queue of a resting order is slower, and where it is
quicker. Source: docs/fidelity.md.

One reading of the recordings serves three copies of the run: its own, and one for each queue of `BOUNDS`. Each is
matched as if it were alone, because a strategy acts on what was matched: its later orders may differ.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..actors.books import SharedTimers, shared_host
from ..actors.failures import Failure, Failures
from ..actors.hosted_market import HostedMarket
from ..actors.market import MarketActor
from ..config import Config
from ..strategies.errors import InputError, RunError
from ..values import legible
from .models import Models, OptimisticQueue, PessimisticQueue
from .rows import BOUNDS, Bounds
from .setup import Setup, make_actor
from .shared_replay import SharedReplay
from .units import Unit

_QUEUES = {"pessimistic": PessimisticQueue, "optimistic": OptimisticQueue}


def require_band(config: Config, models: Models | None = None) -> bool:
    """Refuse a band for a run whose queue is none of ours; else True.

    Raises:
        InputError: says what to leave out.
    """
    if "flumine" in (config.compatibility, config.queue):
        name = "compatibility" if config.compatibility == "flumine" else "queue"
        raise InputError(f"band=True: with {name}='flumine' there is one queue, the peer's; leave one of the two out")
    if models is not None and models.queue is not None:
        raise InputError(
            f"band=True: models=Models(queue={type(models.queue).__name__}()) is a queue of your own, and the band is "
            "that of headrace's; leave one of the two out"
        )
    return True


def bounds_of(setup: Setup) -> list[Setup]:
    """The same run with each queue of `BOUNDS`. A process makes them once: what middleware and models remember from
    unit to unit is their own.

    Raises:
        RunError: something of the run cannot be copied.
    """
    try:
        return [
            dataclasses.replace(
                setup,
                models=dataclasses.replace(copy.deepcopy(setup.models), queue=_QUEUES[queue]()),
                middleware=copy.deepcopy(setup.middleware),
            )
            for queue in BOUNDS
        ]
    except Exception as error:
        raise RunError(
            f"band=True: the run is copied for each queue, and its middleware or models cannot be: {legible(error)}"
        ) from None


def failed_there_only(failures: Failures, found: Mapping[str, Failures]) -> list[Failure]:
    """What failed in copies of a run and not in itself; its message says with which queue.

    Args:
        failures: of the run itself.
        found: of its copies, by queue.
    """
    known = {_kind(each) for each in failures}
    return [
        dataclasses.replace(each, message=f"with queue={queue!r}: {each.message}")
        for queue, several in found.items()
        for each in several
        if _kind(each) not in known
    ]


def _kind(failure: Failure) -> tuple[Any, ...]:
    return failure.strategy, failure.market_id, failure.line, failure.error_type


class BandReplay(SharedReplay):
    """Runs one unit of a backtest, and beside it the copies for its band. See `Replay`.

    Args:
        setup: of the run.
        bounds: what `bounds_of` made of it.
        on_market: called with each market of the run itself, and what its copies came to there.
        deciding: see `SharedReplay`.
    """

    def __init__(
        self,
        unit: Unit,
        setup: Setup,
        bounds: Sequence[Setup],
        on_market: Callable[[HostedMarket, Bounds], None],
        logging_controls: Callable[[Any], object] | None = None,
        hashed: bool = False,
        deciding: tuple[str, ...] | None = None,
    ) -> None:
        self._leading = setup
        self._logging_controls = logging_controls

        def ended(place: int, market: HostedMarket, of_market: Bounds) -> None:
            on_market(market, of_market)

        super().__init__(unit, [setup], ended, deciding, [bounds])
        self._hashed = hashed
        self.coordinator = self.coordinators[0]

    def _seat(self, setup: Setup, timers: SharedTimers) -> MarketActor:
        if setup is not self._leading:
            return super()._seat(setup, timers)
        coordinator = setup.coordinator(setup.clients, self._logging_controls)
        self.coordinators.append(coordinator)
        host = shared_host(setup.config, timers)
        actor = make_actor(setup.market_actor, host, setup, coordinator, self.failures)
        actor.add_custom_events(setup.custom_events)
        return actor


def shares_books(setup: Setup) -> bool:
    """Whether copies of a run can look at the same books.

    Else each has a replay of its own: raw changes are shown to one actor, a step of the user's own may show a book its
    own way, and the lines of a session hold what one host did.
    """
    raw = any(getattr(strategy.stream_class, "raw", False) for strategy in setup.strategies)
    own_way = setup.market_actor.process_market_books is not MarketActor.process_market_books
    return not (raw or own_way or setup.session)
