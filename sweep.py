"""Sweeps: one strategy with many parameter sets over the same markets, each market read once."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from .actors.clients import BaseClient, Clients, SimulatedClient
from .actors.failures import users_code
from .actors.logs import Told, at_level, set_up
from .actors.market_filter import check_filter
from .actors.middleware import Middleware
from .actors.run_files import read_files
from .actors.sieves import Sieve
from .cluster.early_stop import AllFailAlike, StoppedRun
from .cluster.engines import ENGINES, Engine
from .cluster.identity import Beginning, models_of, rest_of
from .cluster.progress import Progress, ProgressOption, showing
from .cluster.reproduction import Reproduction, ShellCommand, call_of_backtest, given_beside
from .cluster.shipping import objects_of, sources_digest, sources_of
from .cluster.sweep_plan import large, plan_sweep, recordings_of
from .cluster.sweep_runner import replayer, sets_without_markets
from .config import Config
from .results.folder_store import require_free
from .results.folders import Folder, NotWritten
from .results.parts import add_sieves
from .results.sweep_folder import FORMAT, SweepFolder
from .results.sweep_result import SweepResult
from .results.sweep_store import SweepStore
from .results.versions import versions
from .simulate.band import require_band
from .simulate.models import Models
from .simulate.reading.recordings import Paths, find_recordings
from .simulate.setup import Setup
from .strategies.analysis.deciding_parameters import deciding_parameters
from .strategies.errors import ClientError, InputError
from .strategies.hosting import limits_of, parameters_of, require_sound
from .strategies.parameters import Values, column_value
from .strategies.strategy import Strategy
from .tuning.parameter_sets import Parameters, make_sets, parameter_sets
from .values import finite, whole, word

logger = logging.getLogger("headrace")


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
    resume: bool = False,
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
    band: bool = False,
) -> SweepResult:
    """Replay recorded markets through one strategy with many parameter sets.

    Each market is read once for all sets, and each set is matched as if it were alone: its orders are those of
    `backtest` with its values. Under `Config(compatibility="flumine")` each set has a replay of its own.

    Args:
        strategy: a class, or an instance that gives the values which the sets leave out.
        parameters: values by name: all combinations are run. Names are declared parameters, limits
            (`max_order_exposure` ...), `market_filter`, and "context.KEY". Or a list of dicts: one per set.
        markets, config, client, engine, progress, files: as in `backtest`; "auto" counts the sets as well.
        out: a new folder for the result, as Parquet, by its path or URI. What is done is written within 20 seconds.
        resume: go on with the sweep that `out` holds. It must be there, and be the same: strategy, sources, parameter
            sets, configuration, split and recordings.
        random: draw so many sets, from `(low, high)` tuples evenly, from `log_range(low, high)` evenly by ratio, and
            from lists by choice. Whole numbers where the parameter is one; other numbers are rounded to two decimals,
            or finer where the range is narrow.
        seed: of the draw.
        split: share of events, 0 to 1, that is in sample; markets of one event stay together.
        orders: keep orders, fills and records of all sets.
        workers: processes on Ray; None: one per CPU.
        sets_per_replay: most sets over one reading of a market.
        middleware: called at each change in each set's market, which keeps every set awake.
        command: makes of a set the shell command that runs it alone, without markets; empty where there is none.
            Failures show it with their unit's; else they show the call in Python.
        band: as in `backtest`: `table` and `markets` then have the least and the most of three queues for each set.

    Raises:
        TypeError: a name is unknown (the message names the nearest), or a value does not fit its type.
        InputError: the parameters, the markets or `out` cannot be used.
        RunError: the run cannot start, or cannot go on.
    """
    if resume and out is None:
        raise InputError("resume=True needs out=, the folder of the sweep to go on with")
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
        band=band,
    )
    with showing(progress, f"sweeping {len(values)} sets") as shown:
        return run.run(shown, out, resume)


class SweepRun:
    """Parameter sets and markets to run them over, checked and planned; nothing is read or started yet.

    Args:
        strategy, config, client, engine, split, orders, workers, sets_per_replay, middleware, files, command, band: as
            in `sweep`.
        values: of each set, checked.
        paths: of the recordings.

    Raises:
        TypeError, InputError: the strategy cannot be made with a set, or such a run can have no band.
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
        band: bool = False,
    ) -> None:
        if band:
            require_band(config)
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
        self.units = plan_sweep(paths, sets, sets_per_replay)
        self._paths = list(dict.fromkeys(paths))
        self._values = list(values)
        self._setup = Setup(
            sets,
            list(clients),
            config,
            middleware=list(middleware),
            models=Models().prepared(config),
            files=read_files(files),
            band=band,
        )
        given = given_beside(sweep, {"client": client, "files": files, "band": band}, ())
        texts = [command(each) if command is not None else "" for each in values]
        more = bool(middleware)
        self._reproductions: list[Reproduction] = [
            ShellCommand(text) if text else call_of_backtest([one], config, given, (), rest=more)
            for text, one in zip(texts, sets, strict=True)
        ]
        self._engine = ("ray" if large(self.units) else "local") if engine == "auto" else engine
        self._split, self._orders, self._workers = split, orders, workers

    def run(
        self, progress: Progress | None, out: str | os.PathLike[str] | None = None, resume: bool = False
    ) -> SweepResult:
        """Replay all units.

        Args:
            out, resume: see `sweep`.

        Raises:
            InputError: `out` cannot be used, or holds another sweep.
            RunError: the run cannot start, or cannot go on.
        """
        with at_level(self._setup.config):
            return self._run(progress, None if out is None else Folder(out), resume)

    def _run(self, progress: Progress | None, out: Folder | None, resume: bool) -> SweepResult:
        setup, units = self._setup, self.units
        set_up(setup.config)
        if out is not None and not resume:
            require_free(out)
        identity, sets = self._identity(), len(self._values)
        deciding = deciding_parameters(type(setup.strategies[0]), sources_of(objects_of(setup)))
        # Nothing is written before it is known that the sweep can begin.
        replayed = replayer(setup, self._engine, self._orders, self._reproductions, deciding, self._workers)
        store = SweepStore(sets, None if out is None else SweepFolder(out, identity, sets, resume))
        left = store.left(units)
        started, done, changes = time.time(), len(units) - len(left), 0
        stopped: StoppedRun | None = None
        check_part, told = AllFailAlike(), Told()
        sieves: dict[str, Sieve] = {}
        add_sieves(sieves, store.sieves)
        complete, once_more = True, False
        try:
            while left or not once_more:
                with contextlib.closing(replayed(left)) as parts:
                    for part in parts:
                        stopped = check_part(part)
                        store.add(part)
                        if stopped is not None:
                            store.stop(str(stopped))
                            if out is not None:
                                raise stopped.kept_in(out, "headrace.SweepResult", "sweep")
                        done += len(part.batch.units)
                        changes += part.changes
                        if not once_more:
                            add_sieves(sieves, part.sieves)
                        told.log(part.warnings)
                        if progress is not None:
                            progress(done, len(units), part)
                        if part.stopped or stopped is not None:
                            complete = False
                            break
                left, once_more = store.again(units) if complete else [], True
                done -= len(left)
            store.end(sets_without_markets(setup.strategies, sieves) if complete else [])
            result = store.result(self._manifest(identity, started, changes, complete), self._values)
        except BaseException as error:
            store.keep()
            if out is not None and isinstance(error, (KeyboardInterrupt, NotWritten)):
                logger.warning("Stopped. What is done is in %s; the same sweep with resume=True goes on.", out)
            raise
        finally:
            store.close()
        if stopped is not None:
            stopped.result = result
            raise stopped
        return result

    def _manifest(self, identity: dict[str, Any], started: float, changes: int, complete: bool) -> dict[str, Any]:
        return {
            **identity,
            "engine": self._engine,
            "folder": os.getcwd(),
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
            "seconds": round(time.time() - started, 3),
            "changes": changes,
            "versions": versions(),
            "complete": complete,
        }

    def _identity(self) -> dict[str, Any]:
        """What this sweep is: a broken-off one goes on only as the same."""
        # The sets are of one class, and differ in what is swept.
        setup = dataclasses.replace(self._setup, strategies=self._setup.strategies[:1])
        kind = type(setup.strategies[0])
        beginning = Beginning(setup)
        return {
            "format": FORMAT,
            "config": setup.config.as_dict(),
            "strategy": f"{kind.__module__}.{kind.__qualname__}",
            "parameters": [{name: column_value(value) for name, value in each.items()} for each in self._values],
            "unswept": self._unswept(),
            "split": self._split,
            "orders": self._orders,
            "band": setup.band,
            "sources": sources_digest(objects_of(setup)),
            "models": models_of(setup, beginning),
            "attributes": beginning.tell(setup.strategies[0]),
            **rest_of(setup, beginning),
            "inputs": recordings_of(self._paths),
        }

    def _unswept(self) -> dict[str, Any]:
        """Parameters and settings that all sets share."""
        swept = {name for each in self._values for name in each}
        first = self._setup.strategies[0]
        known = {**limits_of(first), **parameters_of(first)}
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
