"""Replay of one unit for many parameter sets at once: the recording is read, and each book folded, once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..actors.books import Books, SharedTimers, shared_host
from ..actors.coordinator import Coordinator
from ..actors.failures import Failures
from ..actors.hosted_market import HostedMarket
from ..actors.market import MarketActor
from .replay import Replay
from .setup import Setup, make_actor
from .units import Unit


class SharedReplay(Replay):
    """Runs one unit for many sets.

    Args:
        setups: one per set, each with one strategy and middleware of its own.
        deciding: parameters that decide what `check_market_book` answers; None: each set is asked.
        on_market: called with the number of each set and its market once the recording has ended.

    Attributes:
        failures: those of the recordings; each set's own are in its actor.
        coordinators: of each set.
    """

    def __init__(
        self,
        unit: Unit,
        setups: Sequence[Setup],
        on_market: Callable[[int, HostedMarket], None],
        deciding: tuple[str, ...] | None = None,
    ) -> None:
        self._prepare(unit, setups[0])
        timers = SharedTimers()
        self.coordinators: list[Coordinator] = []
        actors = [self._seat(setup, timers) for setup in setups]
        self._places = {id(actor): place for place, actor in enumerate(actors)}
        self._on_set = on_market
        self.sets = actors
        self.actor = actors[0]
        self.books = Books(actors, timers, deciding)

    def _seat(self, setup: Setup, timers: SharedTimers) -> MarketActor:
        coordinator = setup.coordinator(setup.clients, None)
        self.coordinators.append(coordinator)
        actor = make_actor(MarketActor, shared_host(setup.config, timers), setup, coordinator, Failures(self.unit.name))
        actor.add_custom_events(setup.custom_events)
        return actor

    def _end(self) -> None:
        for coordinator in self.coordinators:
            coordinator.process_end()

    def _hand_over(self, market_ids: Sequence[str]) -> None:
        for market_id in market_ids:
            for actor, market in self.books.release_market(market_id):
                self._on_set(self._places[id(actor)], market)
