"""Backtests: recordings, strategies and an engine, composed into a run."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import logging
import os
import sys
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .actors.clients import BaseClient, SimulatedClient
from .actors.coordinator import Coordinator
from .actors.logging_controls import LoggingControls
from .actors.logs import Told, at_level, set_up
from .actors.market import MarketActor
from .actors.run_files import read_files
from .actors.sieves import Sieve
from .actors.streams import HandlerQueue
from .archive.catalog import Selection, wanted_markets
from .assembly import Assembly
from .cluster.batch_runner import BatchRunner, Runner, StoringRunner, nothing_passed, worker_runner
from .cluster.batches import MAX_UNITS, in_turn, plan_batches
from .cluster.connection import connect
from .cluster.early_stop import AllFailAlike
from .cluster.engines import Engine, chosen_engine, require_engine
from .cluster.identity import Beginning, identity_of
from .cluster.log_events import unpickled
from .cluster.pool import RayPool, run_here
from .cluster.progress import Progress, ProgressOption, showing
from .cluster.reproduction import (
    NOT_REPEATED,
    Reproduction,
    ShellCommand,
    call_of_backtest,
    given_beside,
    same_settings,
    texts_of,
)
from .cluster.shipping import objects_of, sources_of, why_not_picklable
from .config import Config, ConfigError, instance_id_of, with_instance_id
from .results.folder_store import FolderStore, require_free
from .results.folders import Folder, NotWritten
from .results.memory_store import MemoryStore
from .results.parts import add_sieves
from .results.result import FORMAT, Result
from .results.run_manifest import run_manifest
from .simulate.band import require_band
from .simulate.models import Models
from .simulate.reading.event_file import read_custom_events
from .simulate.reading.recordings import Paths, find_recordings
from .simulate.reading.side_files import check_folder
from .simulate.session_replay import find_session
from .simulate.setup import Setup
from .simulate.units import Unit, plan_units
from .strategies.analysis.check import warnings_of
from .strategies.analysis.deciding_parameters import deciding_parameters
from .strategies.errors import ClientError, HeadraceError, InputError, RunError
from .strategies.events import ConfigEvent, StrategyEvent, TerminationEvent
from .strategies.strategy import Strategy
from .values import whole

if TYPE_CHECKING:
    from .results.parts import Part

logger = logging.getLogger("headrace")


def backtest(
    strategies: Strategy | Sequence[Strategy],
    markets: Paths,
    *,
    client: BaseClient | None = None,
    config: Config | None = None,
    engine: Engine = "auto",
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: ProgressOption = None,
    catalogues: str | os.PathLike[str] | None = None,
    sports_data: str | os.PathLike[str] | None = None,
    custom_events: str | os.PathLike[str] | None = None,
    files: Sequence[str | os.PathLike[str]] = (),
    debug: bool = False,
    session: bool = False,
    band: bool = False,
) -> Result:
    """Replay recorded markets through strategies.

    Args:
        strategies: one or several. Each market has its own copies (see `Strategy.scope`).
        markets: a path, a folder, a glob pattern, or a list of these.
        client: the account; default: `SimulatedClient()`.
        config: settings; default: `Config()`.
        engine: "local": this process; "ray": the connected Ray cluster, or one of this machine; "auto": local under
            100 MB of recordings, else Ray.
        out: a new folder for the result's tables as Parquet: a path of this machine, or a URI (`s3://bucket/run`,
            `gs://...`, `file:///mnt/shared/run`), into which workers write themselves.
        resume: go on with the run that `out` holds. It must be there, and be the same in everything that it is made
            of: strategies and what they hold, sources, settings, clients, controls, models, side data, inputs.
        progress: None: a bar on standard error where that is a terminal, or in a notebook, else nothing; True: always,
            as lines where standard error is not a terminal; False: nothing. Or a function, called after each batch with
            units done, units in all, and the batch's part.
        catalogues: a folder of market catalogues, `<market id>.json[.gz]`; given to `process_market_catalogue`.
        sports_data: a folder of recorded cricket or race data, one file per market id; given to `process_sports_data`.
        custom_events: a file of custom events (see `write_custom_events`); given to `process_custom_event`.
        files: files that strategies need; `headrace.path(name)` finds them in every process.
        debug: this process only, errors are raised, `unit_timeout` is not kept, and the debugger opens at the first
            error of a strategy.
        session: `markets` is the folder of a session that `hr.Live(record=...)` kept. Strategies are called at the
            changes and times at which they were, custom events are delivered, and requests and answers take as long as
            was measured; bets are matched by simulation. The strategies must be among those that shared a stream then,
            with their names.
        band: say how sure profits are: copies of the run with `Config(queue="pessimistic")` and "optimistic" replay as
            well; `markets` and `summary()` also have the least and the most of the three. Nothing else changes.

    Returns:
        The result. Broken recordings and errors of strategies are rows of its `failures`.

    Raises:
        InputError: the markets or `out` cannot be used.
        RunError: the run cannot start, or cannot go on.
    """
    simulation = Simulation(
        markets,
        config=config,
        engine=engine,
        out=out,
        resume=resume,
        progress=progress,
        catalogues=catalogues,
        sports_data=sports_data,
        custom_events=custom_events,
        files=files,
        debug=debug,
        session=session,
        band=band,
    )
    simulation.add_client(client or SimulatedClient(currency_code=simulation.config.currency))
    for strategy in strategies if isinstance(strategies, Iterable) else [strategies]:
        simulation.add_strategy(strategy)
    return simulation.run()


class Simulation(Assembly):
    """A backtest, spelled out.

    Args:
        markets: as in `backtest`; None: those that the strategies' `market_filter["markets"]` names.
        config, engine, out, resume, progress: as in `backtest`.
        catalogues, sports_data, custom_events, files, debug, session, band: as in `backtest`.
        market_actor, coordinator: subclasses with steps of your own.
        models: models of the simulated exchange.
        workers: processes on Ray; None: one per CPU.
        command: the run as a command of a shell, without its markets; failures then show it with their unit's. Else
            they show the call in Python.
    """

    SIMULATED = True

    def __init__(
        self,
        markets: Paths | None = None,
        *,
        config: Config | None = None,
        engine: Engine = "auto",
        out: str | os.PathLike[str] | None = None,
        resume: bool = False,
        progress: ProgressOption = None,
        market_actor: type[MarketActor] = MarketActor,
        coordinator: type[Coordinator] = Coordinator,
        models: Models | None = None,
        workers: int | None = None,
        command: str = "",
        catalogues: str | os.PathLike[str] | None = None,
        sports_data: str | os.PathLike[str] | None = None,
        custom_events: str | os.PathLike[str] | None = None,
        files: Sequence[str | os.PathLike[str]] = (),
        debug: bool = False,
        session: bool = False,
        band: bool = False,
    ) -> None:
        self._given = given_beside(Simulation, locals(), NOT_REPEATED)
        require_engine(engine)
        if workers is not None and whole(workers, "workers", InputError) < 1:
            raise InputError(f"workers={workers}: expected 1 or more")
        config = Config() if config is None else config
        if debug:
            if config.unit_timeout is not None:
                logger.info("unit_timeout is not kept while debugging: it would end the debugger")
            config, engine = dataclasses.replace(config, raise_errors=True, unit_timeout=None), "local"
        super().__init__(config)
        self.result: Result | None = None
        self._markets = markets
        self._engine = engine
        if resume and out is None:
            raise InputError("resume=True needs out=, the folder of the run to go on with")
        self._out = out
        self._resume = resume
        self._progress: Progress | None = None
        self._shown = progress
        self._workers = workers
        self._command = command
        self._models = models or Models()
        self._actor_class = market_actor
        self._coordinator_class = coordinator
        self._ran = False
        self._beginning: Beginning | None = None
        self._debug = debug
        self._session = session
        self._band = require_band(config, models) if band else False
        if session and config.compatibility is not None:
            raise InputError("session=True: a live session has our own rules; leave compatibility out")
        self._custom_events = read_custom_events(custom_events) if custom_events is not None else []
        self._catalogues = check_folder(catalogues, "catalogues")
        self._sports_data = check_folder(sports_data, "sports_data")
        self._files = read_files(files)
        self._stopped = False
        self._told = Told()
        self.handler_queue = HandlerQueue(self._take_event, why_not_picklable)

    def stop(self) -> None:
        """End the run after the batches under way; the result has what was replayed."""
        self._stopped = True

    def _take_event(self, event: Any) -> None:
        if isinstance(event, TerminationEvent):
            self.stop()
        else:
            self._custom_events.append(event)

    def run(self) -> Result:
        """Replay all markets.

        Raises:
            InputError, RunError: see `backtest`.
            ClientError: no client was added, or none that is simulated.
        """
        try:
            return self._run_shown()
        finally:
            if self._beginning is not None:
                self._beginning.over()

    def _run_shown(self) -> Result:
        if not self._debug:
            with at_level(self.config), showing(self._shown, "replaying") as self._progress:
                return self._run()
        self._progress = self._shown if callable(self._shown) else None  # a bar would stand in the debugger's way
        try:
            return self._run()
        except (HeadraceError, ConfigError):
            raise
        except Exception:
            import pdb

            pdb.post_mortem(sys.exc_info()[2])
            raise

    def _run(self) -> Result:
        self._check()
        set_up(self.config)
        for warning in warnings_of(self.strategies):
            logger.warning("%s", warning)
        self._run_streams()
        setup = self._setup()
        markets = self._markets if self._markets is not None else self._filtered_markets()
        wanted = wanted_markets(markets, self.strategies)
        paths = find_session(wanted, self.strategies) if self._session else find_recordings(wanted)
        units = plan_units(paths, self.strategies)
        engine = chosen_engine(self._engine, units)
        beginning = self._beginning = Beginning(setup, kept=self._out is not None)
        place = None if self._out is None else Folder(self._out)
        identity = {"format": FORMAT, **identity_of(setup, units, beginning, whole=place is not None)}
        controls = LoggingControls(self._logging_controls) if self._logging_controls else None
        if place is not None and not self._resume:
            require_free(place)
        # Nothing is written before it is known that the run can begin.
        replayed = self._replayer(setup, engine, place, controls, self._again(markets))
        store = MemoryStore() if place is None else FolderStore(place, identity, self._resume)
        left = [] if self._stopped else [unit for unit in units if unit.name not in store.done]
        if controls:
            controls(ConfigEvent(with_instance_id(self.config)))
            for strategy in self.strategies:
                controls(StrategyEvent(strategy))
        started, done, changes = time.time(), len(units) - len(left), 0
        sieves: dict[str, Sieve] = {}
        add_sieves(sieves, wanted.sieves if isinstance(wanted, Selection) else {})
        add_sieves(sieves, store.sieves)
        check = AllFailAlike()
        try:
            with contextlib.closing(replayed(left)) as parts:
                for part in parts:
                    stopped = check(part)
                    store.add(part)
                    if stopped is not None:
                        store.stop(str(stopped), check.parts)
                        raise stopped if place is None else stopped.kept_in(place, "headrace.Result", "run")
                    done += len(part.batch.units)
                    changes += part.changes
                    add_sieves(sieves, part.sieves)
                    self._tell(part, controls)
                    if self._progress is not None:
                        self._progress(done, len(units), part)
                    self._stopped = self._stopped or part.stopped
                    if self._stopped:
                        break
        except (KeyboardInterrupt, NotWritten):
            if self._out is not None:
                logger.warning("Stopped. What is done is in %s; the same run with resume=True goes on.", self._out)
            raise
        finally:
            store.close()
        manifest = run_manifest(identity, started, changes, engine=engine, instance_id=instance_id_of(self.config))
        unused = [] if self._stopped else nothing_passed(self.strategies, sieves)
        store.end(unused)
        self.result = store.result(manifest)
        failed = self._finish()
        if failed:
            store.end([*unused, *failed])
            self.result = store.result(manifest)
        if controls:
            controls(TerminationEvent(self))
        return self.result

    def _replayer(
        self, setup: Setup, engine: str, place: Folder | None, controls: LoggingControls | None, again: Reproduction
    ) -> Callable[[Sequence[Unit]], Generator[Part, None, None]]:
        """What gives the parts of units as they come, from workers or from this process."""
        deciding = None
        if self._band and len(setup.strategies) == 1:
            deciding = deciding_parameters(type(setup.strategies[0]), sources_of(objects_of(setup)))
        if engine == "ray":
            connect()
            there = place if place is not None and place.shared else None
            kept, heard = place is not None, controls is not None
            make_runner = functools.partial(worker_runner, setup, again, kept, heard, there, deciding=deciding)
            make_here = functools.partial(make_runner, remote=False)
            pool = RayPool(make_runner, objects_of(setup), self._workers, self.config.unit_timeout, make_here, again)
            return lambda units: pool.run(plan_batches(units, pool.size))
        runner: Runner = BatchRunner(setup, controls, again, place is not None, deciding=deciding)
        if place is None:
            return lambda units: run_here(in_turn(units, 1), runner)
        return lambda units: run_here(in_turn(units, MAX_UNITS), StoringRunner(runner))

    def _again(self, markets: Any) -> Reproduction:
        """How a unit of this run is run again."""
        if self._command:
            return ShellCommand(self._command, texts_of(markets))
        known = inspect.signature(backtest).parameters
        given = {name: value for name, value in self._given.items() if name in known and name != "config"}
        client = next(iter(self.clients), None)
        if client is not None and not same_settings(client, SimulatedClient(currency_code=self.config.currency)):
            given["client"] = client
        added = [*self._middleware, *self._trading_controls, *self._client_controls, *self._background, *self.streams]
        more = bool(added) or len(self.clients) > 1 or not known.keys() >= self._given.keys()
        return call_of_backtest(self.strategies, self.config, given, markets, rest=more)

    def _tell(self, part: Part, controls: LoggingControls | None) -> None:
        """Pass on what happened in another process."""
        self._told.log(part.warnings)
        if controls:
            for event in part.events:
                controls(unpickled(event))

    def _check(self) -> None:
        if self._ran:
            raise RunError("this simulation has run; make another")
        self.require_complete()
        if not all(client.simulated for client in self.clients):
            raise ClientError("a simulation takes simulated clients only: SimulatedClient()")
        self._ran = True

    def _setup(self) -> Setup:
        return Setup(
            strategies=self.strategies,
            clients=list(self.clients),
            config=self.config,
            middleware=self._middleware,
            trading_controls=self._trading_controls,
            client_controls=self._client_controls,
            models=self._models.prepared(self.config),
            workers=self._background,
            custom_events=self._custom_events,
            files=self._files,
            catalogues=self._catalogues,
            sports_data=self._sports_data,
            market_actor=self._actor_class,
            coordinator=self._coordinator_class,
            session=self._session,
            band=self._band,
        )

    @property
    def info(self) -> dict[str, Any]:
        """What a log line tells of the run."""
        return {**super().info, "engine": self._engine}
