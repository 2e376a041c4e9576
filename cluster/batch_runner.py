"""The work of one process: running batches of units into parts of a result."""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from ..actors.failures import Failures, raised_at, users_code
from ..actors.logging_controls import LoggingControls
from ..actors.logs import BatchLog, Told, set_up
from ..actors.run_files import unpack_files
from ..actors.sieves import Sieve
from ..actors.starting import WorkerFramework
from ..config import Config
from ..results.copies import better_copy
from ..results.folders import Folder
from ..results.parts import Batch, Part, add_sieves, store_part, without_markets
from ..simulate.band import BandReplay, bounds_of, failed_there_only, shares_books
from ..simulate.found_bounds import FoundBounds
from ..simulate.replay import Replay
from ..simulate.rows import BOUNDS, Bounds, RowCollector, empty_rows
from ..simulate.session_replay import SessionReplay
from ..simulate.setup import Setup
from ..simulate.units import Unit, parts_of_unit
from ..strategies.errors import HeadraceError, InputError
from ..strategies.hosting import opened
from ..strategies.strategy import Strategy
from .connection import Caller, caller
from .log_events import EventRecorder
from .reproduction import Reproduction
from .shipping import require_copies
from .watchdog import Watchdog, end_here, end_worker, may_exit

logger = logging.getLogger("headrace")

#: When the three generations are collected while a unit is replayed. The youngest is not collected often: after more
#: than ten times the second would be, as soon as the usual thresholds hold again.
_PATIENT = (200_000, 5, 100)


class Runner(Protocol):
    """What a worker does with batches."""

    def run(self, batch: Batch) -> Part: ...

    def close(self) -> None:
        """Remove what it has put into this process's folders, such as files of the run."""
        return


def nothing_passed(strategies: Iterable[Strategy], sieves: Mapping[str, Sieve]) -> list[tuple[Any, ...]]:
    """A row of failures for each strategy whose filter let no market pass: it has replayed nothing."""
    found = []
    for strategy in strategies:
        why = sieves[strategy.name].why_nothing_passed(strategy) if strategy.name in sieves else None
        if why is not None:
            found.append((strategy.name, None, None, 1, InputError.__name__, why, None, "all markets", "", ""))
    return found


class BatchRunner(Runner):
    """Replays batches, one after the other, in this process.

    Args:
        again: how a unit is run again.
        kept: the result is kept in a folder, so log lines and the digests of inputs are needed.
        remote: the run was started from another process.
        deciding: of a run with a band, what `check_market_book` goes by; see `deciding_parameters`.

    Raises:
        RunError: a strategy failed in `start`, or the run has a band and cannot be copied.
    """

    def __init__(
        self,
        setup: Setup,
        logging_controls: LoggingControls | EventRecorder | None = None,
        again: Reproduction | None = None,
        kept: bool = False,
        remote: bool = False,
        deciding: tuple[str, ...] | None = None,
    ) -> None:
        self._setup = setup
        self._kept = kept
        self._remote = remote
        self._files = unpack_files(setup.files, _session_folder() if remote else None)
        self._logging_controls = logging_controls
        self._again = again
        self._deciding = deciding
        self._told = Told()
        for strategy in setup.strategies:
            with users_code(f"strategy {strategy.name!r} failed in start()", raise_errors=setup.config.raise_errors):
                opened(strategy, self._framework(strategy))
            require_copies(strategy)
        self._bounds = self._copies()

    def _copies(self) -> list[Setup]:
        """The run with each queue of its band; none where it has no band."""
        return bounds_of(self._setup) if self._setup.band else []

    def close(self) -> None:
        if self._files is not None:
            self._files.cleanup()

    def _framework(self, strategy: Strategy) -> WorkerFramework:
        """The framework as a strategy's `start` sees it."""
        return WorkerFramework(self._setup.config, self._setup.strategies, self._setup.clients)

    def run(self, batch: Batch) -> Part:
        """Replay a batch; what fails in a unit is a row of `failures`."""
        started = time.perf_counter()
        part = Part(batch, empty_rows(), 0, 0.0)
        log = BatchLog(self._setup.config, self._kept, self._told)
        if self._remote:
            _require_files(batch)
        with log.listening(remote=self._remote):
            for unit in batch.units:
                with _patient_collector():
                    self._run_unit(part, unit, log)
        part.log, part.warnings = log.text, log.warnings
        if isinstance(self._logging_controls, EventRecorder):
            part.events = self._logging_controls.take()
        part.seconds = time.perf_counter() - started
        limit = self._setup.config.worker_memory
        part.worn = self._remote and limit is not None and resident_bytes() > limit * 1_000_000
        return part

    def _replay_into(self, part: Part, unit: Unit, log: BatchLog) -> None:
        collector = RowCollector(self._setup.strategies)
        known, copies = dict(part.markets), set[str]()
        displaced: set[str] = set()

        def ended(market: Any, bounds: Bounds | None = None) -> None:
            market_id = market.market_id
            part.changes += market.changes
            owner = known.get(market_id, unit.name)
            if owner != unit.name:
                better = better_copy(owner, unit.name)
                part.copies.append((market_id, unit.name if better == owner else owner))
                if better == owner:
                    copies.add(market_id)
                    return
                displaced.add(market_id)
            part.markets.append((market_id, unit.name))
            collector.market(market, bounds)

        replay, found = self._replayed(unit, log, ended)
        further = failed_there_only(replay.failures, found)
        command = self._reproduce(unit) if further or len(replay.failures) else ""
        collector.finish(replay.coordinator, replay.failures, command)
        collector.fail(further, unit.name, command)
        if displaced:
            part.drop(displaced)
            part.displaced |= displaced
            part.markets = [each for each in part.markets if each[0] not in displaced or each[1] == unit.name]
        for table, more in collector.rows.items():
            if table == "transactions" and copies and not collector.rows["markets"]:
                continue  # all of them were for markets that are left out
            part.rows[table].extend(without_markets(table, more, copies))
        add_sieves(part.sieves, replay.actor.sieves)
        part.stopped = replay.actor.stopped
        if replay.digest is not None:
            part.digests[unit.name] = replay.digest

    def _replayed(self, unit: Unit, log: BatchLog, ended: Callable[..., None]) -> tuple[Replay, Mapping[str, Failures]]:
        """Replay a unit.

        Args:
            ended: called with each market and what the copies of the run came to there.

        Returns:
            The replay, and what failed in the copies, by queue.
        """
        setup = self._setup
        if self._bounds and shares_books(setup):
            band = BandReplay(
                unit, setup, self._bounds, ended, self._logging_controls, hashed=self._kept, deciding=self._deciding
            )
            run_to_end(band, log, setup.config)
            return band, band.failed_bounds(0)
        return self._replayed_alone(unit, setup, self._bounds, log, ended)

    def _replayed_alone(
        self, unit: Unit, setup: Setup, copies: Sequence[Setup], log: BatchLog, ended: Callable[..., None]
    ) -> tuple[Replay, Mapping[str, Failures]]:
        """The same, where the copies of a run cannot share its books: one replay after the other, its own at last."""
        kind = SessionReplay if setup.session else Replay
        bounds, failures = FoundBounds(), {}
        for queue, copied in zip(BOUNDS, copies, strict=False):
            copy = kind(unit, copied, functools.partial(bounds.add, queue))
            copy.muted = frozenset((id(copy.actor),))
            run_to_end(copy, log, setup.config)
            failures[queue] = copy.failures
        replay = kind(
            unit,
            setup,
            lambda market: ended(market, bounds.take(market.market_id)),
            self._logging_controls,
            hashed=self._kept,
        )
        run_to_end(replay, log, setup.config)
        return replay, failures

    def _reproduce(self, unit: Unit) -> str:
        return self._again(unit) if self._again is not None else ""

    def _run_unit(self, part: Part, unit: Unit, log: BatchLog) -> None:
        limit = self._setup.config.unit_timeout
        if limit is None:
            self._replay_pieces(unit, log, lambda: part)
            return
        # Each piece by itself: of one that is given up nothing counts.
        pieces: list[Part] = []

        def next_piece() -> Part:
            last = pieces[-1] if pieces else part
            pieces.append(Part(part.batch, empty_rows(), 0, 0.0, list(last.markets), stopped=last.stopped))
            return pieces[-1]

        dog = Watchdog(unit.name, limit, end_worker if self._remote else end_here, self._remote or may_exit())
        stuck = dog.run(lambda: self._replay_pieces(unit, log, next_piece))
        for piece in pieces if stuck is None else pieces[:-1]:
            part.join(piece)
        if stuck is not None:
            log.context.actor = None
            part.rows["failures"].append(stuck.row(self._reproduce(unit)))
            logger.error("%s: %s, at %s", unit.name, stuck.message, stuck.line)

    def _replay_pieces(self, unit: Unit, log: BatchLog, part_of_piece: Callable[[], Part]) -> None:
        for piece in parts_of_unit(unit):
            part = part_of_piece()
            if not part.stopped:
                self._replay_into(part, piece, log)


def run_to_end(replay: Replay, log: BatchLog, config: Config) -> None:
    """Run a replay; what ends it early is a row of its failures, unless errors are to be raised."""
    log.context.actor, log.context.muted = replay.actor, replay.muted
    try:
        replay.run()
    except Exception as error:
        if config.raise_errors and not isinstance(error, HeadraceError):
            raise
        replay.failures.add(error, None, None, raised_at(error))
    finally:
        log.context.actor, log.context.muted = None, frozenset()


@contextlib.contextmanager
def _patient_collector() -> Any:
    """Look for cyclic garbage less often while a unit is replayed.

    Replaying makes much that lives as long as its market and little garbage in cycles: at the usual thresholds up to a
    quarter of the time goes into looking for it.
    """
    thresholds = gc.get_threshold()
    gc.set_threshold(*_PATIENT)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


def _require_files(batch: Batch) -> None:
    """Refuse a batch whose files are not on this machine: all others would fail alike.

    Raises:
        InputError: names the file and the machine.
    """
    for unit in batch.units:
        for source in unit.paths:
            path = str(getattr(source, "path", source))
            if "://" not in path and not os.path.exists(path):
                raise InputError(
                    f"{os.path.abspath(path)} is missing on {socket.gethostname()}: every machine of the cluster must "
                    "see the recordings under one path; use a shared folder or an object store"
                )


def _session_folder() -> str | None:
    """The folder of Ray's session, removed at its end; None if this is not a worker of Ray's."""
    if caller() is Caller.DRIVER:
        return None
    return str(sys.modules["ray"].get_runtime_context().worker.node.get_session_dir_path())


def resident_bytes() -> int:
    """Memory that this process holds now; its greatest so far if the system does not tell."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


class StoringRunner(Runner):
    """Runs batches and makes files of their parts.

    Args:
        runner: what replays.
        place: where the files are written here; None: they travel to the driver, which writes them.
    """

    def __init__(self, runner: Runner, place: Folder | None = None) -> None:
        self._runner = runner
        self._place = place

    def close(self) -> None:
        self._runner.close()

    def run(self, batch: Batch) -> Part:
        part = self._runner.run(batch)
        part.stored = stored = store_part(part)
        part.rows = {table: rows if table == "failures" else [] for table, rows in part.rows.items()}
        part.log = ""
        if self._place is not None:
            for name, content in stored.files.items():
                self._place.write(name, content)
            stored.files = {}
        return part


def worker_runner(
    setup: Setup,
    again: Reproduction,
    kept: bool,
    keep_events: bool = False,
    place: Folder | None = None,
    remote: bool = True,
    deciding: tuple[str, ...] | None = None,
) -> Runner:
    """The runner of a worker process: logging is set up first.

    Args:
        again: how a unit is run again.
        kept: the result is kept in a folder.
        keep_events: logging controls in the process of the run are to hear what happens.
        place: the folder, where workers write into it themselves.
        remote: the process is a worker's; False: it is that of the run, where logging has been set up.
        deciding: see `BatchRunner`.
    """
    if remote:
        set_up(setup.config)
    runner = BatchRunner(setup, EventRecorder() if keep_events else None, again, kept, remote, deciding)
    return StoringRunner(runner, place) if kept else runner
