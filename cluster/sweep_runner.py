"""The work of one process in a sweep: replaying units for many parameter sets at once."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any

from ..actors.coordinator import Coordinator
from ..actors.failures import Failure, Failures
from ..actors.hosted_market import HostedMarket
from ..actors.logs import BatchLog, set_up
from ..actors.market import MarketActor
from ..actors.middleware import Middleware
from ..actors.sieves import Sieve
from ..actors.starting import WorkerFramework
from ..results.copies import better_copy
from ..results.parts import Batch, Part, add_sieves, without_markets
from ..results.sweep_parts import SweepUnit, sets_of, tabled
from ..simulate.band import bounds_of, failed_there_only, shares_books
from ..simulate.rows import Bounds, RowCollector
from ..simulate.setup import Setup
from ..simulate.shared_replay import SharedReplay
from ..simulate.units import Unit
from ..strategies.strategy import Strategy
from .batch_runner import BatchRunner, nothing_passed, run_to_end
from .batches import plan_batches
from .connection import connect
from .pool import RayPool, run_here
from .reproduction import Reproduction
from .shipping import objects_of


class SweepRunner(BatchRunner):
    """Replays batches of `SweepUnit`.

    Args:
        setup: the run; its strategies are the sets, in the order of their numbers.
        orders: keep orders, fills and records.
        again: how a unit is run again with each set alone.
        deciding: parameters that decide what `check_market_book` answers; None: each set is asked.
        remote: the run was started from another process; parts then have tables in place of rows.

    Raises:
        RunError: a strategy failed in `start`.
    """

    def __init__(
        self,
        setup: Setup,
        orders: bool,
        again: Sequence[Reproduction] = (),
        deciding: tuple[str, ...] | None = None,
        remote: bool = False,
    ) -> None:
        self._orders = orders
        self._sets_again = again
        self._set_middleware: dict[int, list[Middleware]] = {}
        self._set_bounds: dict[int, list[Setup]] = {}
        super().__init__(setup, remote=remote, deciding=deciding)

    def run(self, batch: Batch) -> Part:
        part = super().run(batch)
        return tabled(part) if self._remote else part

    def _framework(self, strategy: Strategy) -> WorkerFramework:
        return WorkerFramework(self._setup.config, [strategy], self._setup.clients)

    def _alone(self, number: int) -> Setup:
        """The setup of one set: its strategy, and its own middleware, which it keeps from unit to unit."""
        mine = self._set_middleware.get(number)
        if mine is None:
            mine = self._set_middleware[number] = copy.deepcopy(self._setup.middleware)
        return dataclasses.replace(self._setup, strategies=[self._setup.strategies[number]], middleware=mine)

    def _copies(self) -> list[Setup]:
        return []  # each set has its own

    def _bounds_of(self, number: int) -> list[Setup]:
        """The setups of a set's band, which keep their middleware from unit to unit; none without a band."""
        mine = self._set_bounds.get(number)
        if mine is None:
            mine = self._set_bounds[number] = bounds_of(self._alone(number)) if self._setup.band else []
        return mine

    def _replay_into(self, part: Part, unit: Unit, log: BatchLog) -> None:
        assert isinstance(unit, SweepUnit)
        sets = [self._setup.strategies[number] for number in unit.sets]
        tally = _Tally(part, unit, sets, self._orders, self._reproduce)
        alone, bounds = [self._alone(number) for number in unit.sets], [self._bounds_of(number) for number in unit.sets]
        if self._setup.config.compatibility is not None or not all(map(shares_books, alone)):
            # The peer's reading shows and hides changes by strategy: there is no book to share.
            for place, mine in enumerate(alone):
                replay, found = self._replayed_alone(unit, mine, bounds[place], log, tally.listener(place))
                self._finish(tally, place, replay.actor, replay.coordinator, replay.failures, found)
            return
        shared = SharedReplay(unit, alone, tally.market, self._deciding, bounds if self._setup.band else ())
        run_to_end(shared, log, self._setup.config)
        for place, actor in enumerate(shared.sets):
            self._finish(tally, place, actor, shared.coordinators[place], actor.failures, shared.failed_bounds(place))
        tally.of_unit(shared.failures, self._reproduce(unit))
        part.stopped = shared.books.stopped

    def _reproduce(self, unit: Unit) -> str:
        """A failure of the recordings shows with any set: here with the first, however sets are spread over units."""
        assert isinstance(unit, SweepUnit)
        return self._sets_again[unit.first](unit) if self._sets_again else ""

    def _finish(
        self,
        tally: _Tally,
        place: int,
        actor: MarketActor,
        coordinator: Coordinator,
        failures: Failures,
        found: Mapping[str, Failures],
    ) -> None:
        number = tally.unit.sets[place]
        add_sieves(tally.part.sieves, {str(number): sieve for sieve in actor.sieves.values()})
        command = self._sets_again[number](tally.unit) if self._sets_again else ""
        tally.finish(place, coordinator, failures, command, failed_there_only(failures, found))


class _Tally:
    """Rows of one unit, of all its sets.

    Args:
        orders: keep orders, fills and records.
        reproduce: how what failed in the unit's recordings is run again.
    """

    def __init__(
        self, part: Part, unit: SweepUnit, sets: Sequence[Strategy], orders: bool, reproduce: Callable[[Unit], str]
    ) -> None:
        self.unit = unit
        self.sets = list(sets)
        self.part = part
        self._orders = orders
        self._reproduce = reproduce
        self._collectors = [RowCollector([strategy], orders) for strategy in sets]
        self._counted: set[str] = set()
        self._known, self._copies = dict(part.markets), set[str]()
        self._broken: set[tuple[Any, ...]] = set()

    def listener(self, place: int) -> Any:
        return functools.partial(self.market, place)

    def market(self, place: int, market: HostedMarket, bounds: Bounds) -> None:
        """The recording of a set's market has ended."""
        market_id = market.market_id
        if market_id not in self._counted:
            self._counted.add(market_id)
            self.part.changes += market.changes
            owner = self._known.get(market_id, self.unit.name)
            if better_copy(owner, self.unit.name) != self.unit.name:
                self._copies.add(market_id)
                self.part.copies.append((market_id, self.unit.name))
            else:
                if owner != self.unit.name:
                    self._displace(market_id, owner)
                self.part.markets.append((market_id, self.unit.name))
        if market_id in self._copies:
            return
        self._collectors[place].market(market, bounds)

    def _displace(self, market_id: str, owner: str) -> None:
        """This unit has the copy that counts, not the one that was there before."""
        self.part.copies.append((market_id, owner))
        self.part.drop({market_id})
        self.part.displaced.add(market_id)
        self.part.markets = [each for each in self.part.markets if each != (market_id, owner)]

    def finish(
        self, place: int, coordinator: Coordinator, failures: Failures, command: str, further: Iterable[Failure] = ()
    ) -> None:
        """The unit has ended for a set. `further`: what failed in its band alone."""
        collector = self._collectors[place]
        collector.finish(coordinator, failures, command)
        collector.fail(further, failures.unit, command)
        self._take(collector, self.unit.sets[place])

    def of_unit(self, failures: Failures, command: str) -> None:
        """What failed in the recordings, whichever the set."""
        collector = RowCollector(())
        collector.finish(Coordinator(()), failures, command)
        self._take(collector, None)

    def _take(self, collector: RowCollector, number: int | None) -> None:
        for table, found in collector.rows.items():
            rows = without_markets(table, found, self._copies)
            if table == "failures":
                self.part.rows[table].extend(self._numbered(rows, number))
            elif self._orders or table in ("markets", "violations"):
                self.part.rows[table].extend((*row, number) for row in rows)

    def _numbered(self, failures: Iterable[tuple[Any, ...]], number: int | None) -> Iterable[tuple[Any, ...]]:
        """Failures with their set; those of recordings, which all sets share, once and without."""
        for row in failures:
            if row[0] is not None or row[1] is not None:
                yield (*row, number)
            elif row[:-1] not in self._broken:  # the command alone is another for each set
                self._broken.add(row[:-1])
                yield (*row[:-1], self._reproduce(self.unit), None)


def sweep_runner(
    setup: Setup,
    orders: bool,
    again: Sequence[Reproduction],
    deciding: tuple[str, ...] | None = None,
    remote: bool = True,
) -> SweepRunner:
    """The runner of a worker process: logging is set up first. Not `remote`: of the process of the run."""
    if remote:
        set_up(setup.config)
    return SweepRunner(setup, orders, again, deciding, remote)


def replayer(
    setup: Setup,
    engine: str,
    orders: bool,
    again: Sequence[Reproduction],
    deciding: tuple[str, ...] | None,
    workers: int | None,
) -> Callable[[Sequence[SweepUnit]], Generator[Part, None, None]]:
    """Makes the function that gives the parts of a sweep as they come, from workers or from this process.

    Raises:
        RunError: a strategy failed in `start`, or Ray, or what the workers need, cannot be had.
    """
    if engine != "ray":
        runners = [SweepRunner(setup, orders, again, deciding)]

        def replayed_here(units: Sequence[SweepUnit]) -> Generator[Part, None, None]:
            runner = runners.pop() if runners else SweepRunner(setup, orders, again, deciding)
            return run_here([Batch(number, (unit,)) for number, unit in enumerate(units)], runner)

        return replayed_here
    connect()
    make_runner = functools.partial(sweep_runner, setup, orders, again, deciding)
    make_here = functools.partial(make_runner, remote=False)

    def again_of(unit: Unit) -> str:
        return again[sets_of(unit)[0]](unit)

    pool = RayPool(make_runner, objects_of(setup), workers, setup.config.unit_timeout, make_here, again_of)

    def replayed(units: Sequence[SweepUnit]) -> Generator[Part, None, None]:
        readings: dict[int, list[SweepUnit]] = {}
        for unit in units:
            readings.setdefault(unit.reading, []).append(unit)
        planned = [batch for each in readings.values() for batch in plan_batches(each, pool.size)]
        return pool.run([Batch(number, batch.units) for number, batch in enumerate(planned)])

    return replayed


def sets_without_markets(sets: Sequence[Strategy], sieves: Mapping[str, Sieve]) -> list[tuple[Any, ...]]:
    """Rows of failures for sets whose filters let no market pass; one, without a set, where that is so of all alike."""
    found = []
    for number, strategy in enumerate(sets):
        mine = {strategy.name: sieves[str(number)]} if str(number) in sieves else {}
        found += [(*row, number) for row in nothing_passed([strategy], mine)]
    if len(found) == len(sets) and len({row[:-1] for row in found}) == 1:
        return [(*found[0][:-1], None)]
    return found
