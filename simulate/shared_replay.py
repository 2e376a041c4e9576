"""Replay of one unit for many parameter sets at once: the recording is read, and each book folded, once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..actors.books import Books, SharedTimers, shared_host
from ..actors.coordinator import Coordinator
from ..actors.failures import Failures
from ..actors.hosted_market import HostedMarket
from ..actors.market import MarketActor
from .found_bounds import FoundBounds
from .replay import Replay
from .rows import BOUNDS, Bounds
from .setup import Setup, make_actor
from .units import Unit


class SharedReplay(Replay):
    """Runs one unit for many sets.

    Args:
        setups: one per set, each with one strategy and middleware of its own.
        deciding: parameters that decide what `check_market_book` answers; None: each set is asked.
        on_market: called with the number of each set, its market once the recording has ended, and what it came to
            there with the queues of its band.
        bounds: of each set its setups for the queues of `BOUNDS`; none: no set has a band.

    Attributes:
        failures: those of the recordings; each set's own are in its actor.
        coordinators: of each set, then of their bands.
        bounds: of each set the actors of its band.
    """

    def __init__(
        self,
        unit: Unit,
        setups: Sequence[Setup],
        on_market: Callable[[int, HostedMarket, Bounds], None],
        deciding: tuple[str, ...] | None = None,
        bounds: Sequence[Sequence[Setup]] = (),
    ) -> None:
        self._prepare(unit, setups[0])
        timers = SharedTimers()
        self.coordinators: list[Coordinator] = []
        actors = [self._seat(setup, timers) for setup in setups]
        self.bounds = [[self._seat(setup, timers) for setup in several] for several in bounds]
        copies = [actor for several in self.bounds for actor in several]
        self._on_set = on_market
        self.sets = actors
        self.actor = actors[0]
        self.muted = frozenset(map(id, copies))
        self.actors = [*actors, *copies]
        self.books = Books(self.actors, timers, deciding, leading=len(actors))

    def _seat(self, setup: Setup, timers: SharedTimers) -> MarketActor:
        coordinator = setup.coordinator(setup.clients, None)
        self.coordinators.append(coordinator)
        host, failures = shared_host(setup.config, timers), Failures(self.unit.name)
        actor = make_actor(setup.market_actor, host, setup, coordinator, failures)
        actor.add_custom_events(setup.custom_events)
        return actor

    def _end(self) -> None:
        for coordinator in self.coordinators:
            coordinator.process_end()

    def _hand_over(self, market_ids: Sequence[str]) -> None:
        for market_id in market_ids:
            released = {id(actor): market for actor, market in self.books.release_market(market_id)}
            for place, actor in enumerate(self.sets):
                market = released.get(id(actor))
                if market is not None:
                    self._on_set(place, market, self._found_bounds(place, market_id, released))

    def _found_bounds(self, place: int, market_id: str, released: dict[int, HostedMarket]) -> Bounds:
        """What a set came to in a market with the queues of its band, by strategy."""
        found = FoundBounds()
        for queue, actor in zip(BOUNDS, self.bounds[place], strict=True) if self.bounds else ():
            market = released.get(id(actor))
            if market is not None:
                found.add(queue, market)
        return found.take(market_id)

    def failed_bounds(self, place: int) -> dict[str, Failures]:
        """What failed in the copies of a set for its band, by queue."""
        copies = self.bounds[place] if self.bounds else ()
        return {queue: actor.failures for queue, actor in zip(BOUNDS, copies, strict=False)}
