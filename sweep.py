"""Sweeps: one strategy with many parameter sets over the same markets, each market read once."""

from __future__ import annotations

import collections
import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from .actors.clients import BaseClient, Clients, SimulatedClient
from .actors.failures import users_code
from .actors.logs import Told, at_level, set_up
from .actors.market_filter import check_filter
from .actors.middleware import Middleware
from .actors.sieves import Sieve
from .backtest import ENGINES, Engine, versions
from .cluster.batches import plan_batches
from .cluster.connection import connect
from .cluster.dispatch import RayPool, run_here
from .cluster.duplicates import Duplicates
from .cluster.early_stop import AllFailAlike, StoppedRun
from .cluster.parameter_sets import Parameters, make_sets, parameter_sets
from .cluster.progress import Progress, ProgressOption, showing
from .cluster.reproduction import Reproduction, ShellCommand, call_of_backtest, given_beside
from .cluster.run_files import read_files
from .cluster.runner import nothing_passed
from .cluster.shipping import objects_of, sources_digest, sources_of
from .cluster.sweep_runner import SweepRunner, SweepUnit, sweep_runner
from .config import Config
from .results.parts import Batch, add_sieves
from .results.sweep_result import FORMAT, SweepResult, SweepStore, new_folder
from .simulate.reading.recordings import Paths, find_recordings
from .simulate.setup import Setup
from .simulate.units import plan_units
from .strategies.analysis.deciding_parameters import deciding_parameters
from .strategies.errors import ClientError, InputError
from .strategies.hosting import limits_of, parameters_of, require_sound, scope_of, window_of
from .strategies.parameters import Values, column_value
from .strategies.strategy import Strategy
from .values import finite, whole, word

#: Bytes of recordings times sets, so weighed, from which on `engine="auto"` uses Ray.
_LARGE = 100 * 1024 * 1024
#: Sets that cost about as much as reading the market.
_SETS_A_READ = 10


class SweepFramework:
    """The run as `Strategy.add` sees it: for each set, itself alone."""

    SIMULATED = True

    def __init__(self, config: Config, strategy: Strategy, clients: Clients) -> None:
        self.config = config
        self.strategies = [strategy]
        self.clients = clients


def sweep(
    strategy: Strategy | type[Strategy],
    parameters: Parameters,
    markets: Paths,
    *,
    config: Config | None = None,
    client: BaseClient | None = None,
    engine: Engine = "auto",
    out: str | os.PathLike[str] | None = None,
    random: int | None = None,
    seed: int = 0,
    split: float | None = None,
    orders: bool = False,
    progress: ProgressOption = None,
    workers: int | None = None,
    sets_per_replay: int = 100,
    middleware: Sequence[Middleware] = (),
    files: Sequence[str | os.PathLike[str]] = (),
    command: Callable[[Values], str] | None = None,
) -> SweepResult:
    """Replay recorded markets through one strategy with many parameter sets.

    Each market is read once for all sets, and each set is matched as if it were alone: its orders are those of
    `backtest` with its values. Under `Config(compatibility="flumine")` each set has a replay of its own.

    Args:
        strategy: a class, or an instance that gives the values which the sets leave out.
        parameters: values by name: all combinations are run. Names are declared parameters, limits
            (`max_order_exposure` ...), `market_filter`, and "context.KEY". Or a list of dicts: one a set.
        markets, config, client, engine, progress, files: as of `backtest`; "auto" counts the sets as well.
        out: a new folder for the result, as Parquet.
        random: draw so many sets, from `(low, high)` tuples evenly, from `log_range(low, high)` evenly by ratio, and
            from lists by choice. Whole numbers where the parameter is one; other numbers are rounded to two decimals,
            or finer where the range is narrow.
        seed: of the draw.
        split: share of events, 0 to 1, that is in sample; markets of one event stay together.
        orders: keep orders, fills and records of all sets; they are held in this process.
        workers: processes on Ray; None: one per CPU.
        sets_per_replay: most sets over one reading of a market.
        middleware: called at each change in each set's market, which keeps every set awake.
        command: makes of a set the command of a shell that runs it alone, without markets; empty where there is none.
            Failures show it with their unit's; else they show the call in Python.

    Raises:
        TypeError: a name is unknown (the message names the nearest), or a value does not fit its type.
        InputError: the parameters, the markets or `out` cannot be used.
        RunError: the run cannot start, or cannot go on.
    """
    config = Config() if config is None else config
    kind = strategy_class(strategy)
    check(engine, split, workers, sets_per_replay)
    values = parameter_sets(kind, parameters, random, seed)
    run = SweepRun(
        strategy,
        values,
        find_recordings(markets),
        config=config,
        client=client,
        engine=engine,
        split=split,
        orders=orders,
        workers=workers,
        sets_per_replay=sets_per_replay,
        middleware=middleware,
        files=files,
        command=command,
    )
    if out is not None:
        new_folder(out)
    with showing(progress, f"sweeping {len(values)} sets") as shown, keeping(out):
        result = run.run(shown)
    if out is not None:
        result.save(out)
    return result


class SweepRun:
    """Parameter sets and markets to run them over, checked and planned; nothing is read or started yet.

    Args:
        strategy, config, client, engine, split, orders, workers, sets_per_replay, middleware, files, command: as of
            `sweep`.
        values: of each set, checked.
        paths: of the recordings.

    Raises:
        TypeError, InputError: the strategy cannot be made with a set.
        ClientError: the client is not a simulated one.
        RunError: `add` of the strategy failed.
    """

    def __init__(
        self,
        strategy: Strategy | type[Strategy],
        values: Sequence[Values],
        paths: Sequence[Any],
        *,
        config: Config,
        client: BaseClient | None,
        engine: Engine,
        split: float | None,
        orders: bool,
        workers: int | None,
        sets_per_replay: int,
        middleware: Sequence[Middleware],
        files: Sequence[str | os.PathLike[str]],
        command: Callable[[Values], str] | None,
    ) -> None:
        sets = make_sets(strategy, values)
        clients = Clients([client or SimulatedClient(currency_code=config.currency)])
        if not clients.simulated:
            raise ClientError("a sweep takes a simulated client only: SimulatedClient()")
        for each in sets:
            check_filter(each.market_filter)
            require_sound(each)
            with users_code(f"{type(each).__name__} failed in add()", raise_errors=config.raise_errors):
                each.add(SweepFramework(config, each, clients))
            require_sound(each)
        self.units = _plan(paths, sets, sets_per_replay)
        self._values = list(values)
        self._setup = Setup(sets, list(clients), config, middleware=list(middleware), files=read_files(files))
        given = given_beside(sweep, {"client": client, "files": files}, ())
        texts = [command(each) if command is not None else "" for each in values]
        more = bool(middleware)
        self._again: list[Reproduction] = [
            ShellCommand(text) if text else call_of_backtest([one], config, given, (), rest=more)
            for text, one in zip(texts, sets, strict=True)
        ]
        self._engine = _chosen(engine, self.units)
        self._split, self._orders, self._workers = split, orders, workers

    def run(self, progress: Progress | None) -> SweepResult:
        """Replay all units.

        Raises:
            RunError: the run cannot start, or cannot go on.
        """
        with at_level(self._setup.config):
            return self._run(progress)

    def _run(self, progress: Progress | None) -> SweepResult:
        setup, units = self._setup, self.units
        set_up(setup.config)
        started, done, changes = time.time(), 0, 0
        stopped: StoppedRun | None = None
        store, check_part, told = SweepStore(len(self._values)), AllFailAlike(), Told()
        sieves: dict[str, Sieve] = {}
        drop_duplicates: collections.defaultdict[int, Duplicates] = collections.defaultdict(Duplicates)
        for part in _parts(units, setup, self._engine, self._orders, self._again, self._workers):
            stopped = check_part(part)
            drop_duplicates[part.batch.units[0].reading](part)
            store.add(part)
            done += len(part.batch.units)
            changes += part.changes
            add_sieves(sieves, part.sieves)
            told.log(part.warnings)
            if progress is not None:
                progress(done, len(units), part)
            if part.stopped or stopped is not None:
                break
        else:
            store.end(_sets_without_markets(setup.strategies, sieves))
        kind = type(setup.strategies[0])
        manifest = {
            "format": FORMAT,
            "engine": self._engine,
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
            "seconds": round(time.time() - started, 3),
            "changes": changes,
            "config": setup.config.as_dict(),
            "strategy": f"{kind.__module__}.{kind.__qualname__}",
            "sources": sources_digest([setup.strategies[0], *setup.middleware]),
            "inputs": len({path for unit in units for path in unit.paths}),
            "input_ends": [str(paths[0]), str(paths[-1])]
            if (paths := [p for unit in units for p in unit.paths])
            else [],
            "folder": os.getcwd(),
            "versions": versions(),
            "unswept": _unswept(setup.strategies, self._values),
            "split": self._split,
            "orders": self._orders,
        }
        result = store.result(manifest, self._values)
        if stopped is not None:
            stopped.result = result
            raise stopped
        return result


@contextlib.contextmanager
def keeping(out: str | os.PathLike[str] | None) -> Iterator[None]:
    """Keep what a sweep gave that was stopped: its failures.

    Raises:
        StoppedRun: as before; it says where they are.
    """
    try:
        yield
    except StoppedRun as stopped:
        if out is None or stopped.result is None:
            raise
        stopped.result.save(out)
        raise stopped.kept(
            f"the failures are in {out} (headrace.SweepResult.load reads them); put right what failed, and remove the "
            "folder or name another"
        ) from None


def _sets_without_markets(sets: Sequence[Strategy], sieves: Mapping[str, Sieve]) -> list[tuple[Any, ...]]:
    """Rows of failures for sets whose filters let no market pass; one, without a set, where that is so of all alike."""
    found = []
    for number, strategy in enumerate(sets):
        mine = {strategy.name: sieves[str(number)]} if str(number) in sieves else {}
        found += [(*row, number) for row in nothing_passed([strategy], mine)]
    if len(found) == len(sets) and len({row[:-1] for row in found}) == 1:
        return [(*found[0][:-1], None)]
    return found


def _unswept(sets: Sequence[Strategy], values: Sequence[Values]) -> dict[str, Any]:
    """Parameters and settings that all sets share."""
    swept = {name for each in values for name in each}
    known = {**limits_of(sets[0]), **parameters_of(sets[0])}
    return {name: column_value(value) for name, value in known.items() if name not in swept}


def strategy_class(strategy: Strategy | type[Strategy]) -> type[Strategy]:
    """The class of what is swept.

    Raises:
        InputError: it is not a strategy.
    """
    kind = strategy if isinstance(strategy, type) else type(strategy)
    if not issubclass(kind, Strategy):
        raise InputError(f"{strategy!r} is not a strategy: give a subclass of headrace.Strategy, or an instance of one")
    return kind


def check(engine: str, split: float | None, workers: int | None, sets_per_replay: int) -> None:
    """Refuse settings out of their range.

    Raises:
        InputError: says what was expected.
    """
    word(engine, "engine", ENGINES, InputError)
    if split is not None and not 0 < finite(split, "split", InputError) < 1:
        raise InputError(f"split={split}: expected a share between 0 and 1, such as 0.5")
    if workers is not None and whole(workers, "workers", InputError) < 1:
        raise InputError(f"workers={workers}: expected 1 or more")
    if whole(sets_per_replay, "sets_per_replay", InputError) < 1:
        raise InputError(f"sets_per_replay={sets_per_replay}: expected 1 or more")


def _plan(paths: Sequence[Any], sets: Sequence[Strategy], most: int) -> list[SweepUnit]:
    """What is read together, for which sets: those that read alike, at most so many."""
    alike: dict[Any, list[int]] = {}
    for number, strategy in enumerate(sets):
        window = window_of(strategy)
        filters = strategy.market_filter if isinstance(strategy.market_filter, (list, tuple)) else []
        groups = [one.get("event_groups") for one in (filters or [strategy.market_filter]) if isinstance(one, dict)]
        key = (scope_of(strategy), window.cumulative_runner_tv, window.calculate_market_tv, repr(groups))
        alike.setdefault(key, []).append(number)
    units = []
    for reading, numbers in enumerate(alike.values()):
        for unit in plan_units(paths, [sets[number] for number in numbers]):
            for at in range(0, len(numbers), most):
                chosen = tuple(numbers[at : at + most])
                units.append(
                    SweepUnit(unit.name, unit.paths, unit.size * (_SETS_A_READ + len(chosen)), chosen, reading)
                )
    return units


def _chosen(engine: Engine, units: Sequence[SweepUnit]) -> Engine:
    if engine != "auto":
        return engine
    return "ray" if sum(unit.size for unit in units) >= _LARGE * _SETS_A_READ else "local"


def _parts(
    units: Sequence[SweepUnit],
    setup: Setup,
    engine: str,
    orders: bool,
    again: Sequence[Reproduction],
    workers: int | None,
) -> Iterator[Any]:
    deciding = deciding_parameters(type(setup.strategies[0]), sources_of(objects_of(setup)))
    if engine == "ray":
        connect()
        make_runner = functools.partial(sweep_runner, setup, orders, again, deciding)
        make_here = functools.partial(make_runner, remote=False)

        def again_of(unit: Any) -> str:
            text: str = again[unit.sets[0]](unit)
            return text

        pool = RayPool(
            make_runner,
            objects_of(setup),
            workers,
            setup.config.unit_timeout,
            make_here,
            again_of,
        )
        readings: dict[int, list[SweepUnit]] = {}
        for unit in units:
            readings.setdefault(unit.reading, []).append(unit)
        planned = [batch for each in readings.values() for batch in plan_batches(each, pool.size)]
        return pool.run([Batch(number, batch.units) for number, batch in enumerate(planned)])
    batches = [Batch(number, (unit,)) for number, unit in enumerate(units)]
    return run_here(batches, SweepRunner(setup, orders, again, deciding))
