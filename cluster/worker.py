"""The work of one process: replaying batches of units into parts of a result."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Protocol

from ..actors.clients import Clients
from ..actors.failures import raised_at, users_code
from ..actors.logging_controls import LoggingControls
from ..actors.logs import BatchLog, Told
from ..actors.sieves import Sieve
from ..config import Config
from ..simulate.replay import Replay
from ..simulate.rows import FIELDS, RowCollector, Rows, empty_rows
from ..simulate.setup import Setup
from ..simulate.units import Unit, parts_of_unit
from ..strategies.errors import HeadraceError, InputError
from ..strategies.hosting import opened
from ..strategies.strategy import Strategy
from .again import Again
from .batches import Batch
from .connection import Caller, caller
from .files import unpack_files
from .shipping import require_copies
from .snapshots import EventRecorder
from .watchdog import Watchdog, end_here, end_worker, may_exit

logger = logging.getLogger("headrace")

#: Allocations between collections of the three generations, while a unit is replayed.
_PATIENT = (50_000, 20, 100)


class WorkerFace:
    """The framework as `Strategy.start` sees it: this process's part of the run."""

    def __init__(self, setup: Setup) -> None:
        self.config: Config = setup.config
        self.strategies: list[Strategy] = setup.strategies
        self.clients = Clients(setup.clients)

    def __deepcopy__(self, memo: dict[int, Any]) -> WorkerFace:
        return self


class Runner(Protocol):
    """What a worker does with batches."""

    def run(self, batch: Batch) -> Part: ...

    def close(self) -> None:
        """Remove what was laid out for it in this process, such as files of the run."""
        return


@dataclasses.dataclass
class Stored:
    """What was made of a part's rows for a folder.

    Attributes:
        files: their contents by name; empty where they lie there already.
        rows: how many each table has.
        digest: what the rows add to the run's digest.
        shares: of that, the share of each market.
    """

    files: dict[str, bytes]
    rows: dict[str, int]
    digest: int
    shares: dict[str, int]


@dataclasses.dataclass
class Part:
    """What a batch gave.

    Attributes:
        rows: by table; of a part that is stored only its failures.
        changes: market changes replayed.
        markets: ids of the markets replayed, each with its unit.
        log: log lines of the batch.
        warnings: level and text of the first warnings, where they were logged in another process; those of errors of
            strategies are `FailureLine`s.
        events: for the logging controls, where they live in another process.
        stopped: a strategy has asked for the end of the run.
        seconds: time spent on it.
        stored: what was made of its rows for a folder, where the result is kept in one.
        left_out: ids of markets whose rows do not count: they came in another part as well.
        digests: SHA-256 of the files of each unit as they were read; of those not read to their end there is none.
        worn: the process that made it has grown beyond its limit of memory.
        sieves: what filters let pass, by strategy, or by number of a set.
    """

    batch: Batch
    rows: Rows
    changes: int
    seconds: float
    markets: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    log: str = ""
    warnings: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    events: list[bytes] = dataclasses.field(default_factory=list)
    stopped: bool = False
    stored: Stored | None = None
    left_out: set[str] = dataclasses.field(default_factory=set)
    digests: dict[str, str] = dataclasses.field(default_factory=dict)
    worn: bool = False
    sieves: dict[str, Sieve] = dataclasses.field(default_factory=dict)

    def count(self, table: str) -> int:
        """How many rows a table of it has."""
        return len(self.rows[table]) if self.stored is None else self.stored.rows[table]

    def join(self, more: Part) -> None:
        """Take what a further piece of its batch gave; the piece began with the markets of this part."""
        for table, rows in more.rows.items():
            self.rows[table].extend(rows)
        self.changes += more.changes
        self.markets = more.markets
        self.digests.update(more.digests)
        self.stopped = self.stopped or more.stopped
        add_sieves(self.sieves, more.sieves)

    def drop_left_out(self) -> None:
        """Drop the rows of markets that came in another part as well; failures stay."""
        for table, rows in self.rows.items():
            self.rows[table] = without_markets(table, rows, self.left_out)

    def is_copy(self, known: Mapping[str, str], market_id: str, unit: str) -> bool:
        """Whether a market of a unit came in another one before: then it is a failure, and left out.

        Args:
            known: the markets before, each with its unit.
        """
        owner = known.get(market_id, unit)
        if owner == unit:
            return False
        message = f"the market is in {owner} as well; this copy is left out"
        self.rows["failures"].append((None, market_id, unit, 1, "RecordingError", message, None, unit, "", ""))
        return True


def add_sieves(total: dict[str, Sieve], more: Mapping[str, Sieve]) -> None:
    """Add what filters did in one part of a run to what they did in others."""
    for name, sieve in more.items():
        total.setdefault(name, Sieve()).add(sieve)


def nothing_passed(strategies: Iterable[Strategy], sieves: Mapping[str, Sieve]) -> list[tuple[Any, ...]]:
    """A row of failures for each strategy whose filter let no market pass: it has replayed nothing."""
    found = []
    for strategy in strategies:
        why = sieves[strategy.name].why_nothing_passed(strategy) if strategy.name in sieves else None
        if why is not None:
            found.append((strategy.name, None, None, 1, InputError.__name__, why, None, "all markets", "", ""))
    return found


def without_markets(table: str, rows: list[tuple[Any, ...]], market_ids: Collection[str]) -> list[tuple[Any, ...]]:
    """Rows of a table but for those of some markets; failures stay."""
    columns = [name for name, _ in FIELDS[table]]
    if not market_ids or table == "failures" or "market_id" not in columns:
        return rows
    at = columns.index("market_id")
    return [row for row in rows if row[at] not in market_ids]


class BatchRunner(Runner):
    """Replays batches, one after the other, in this process.

    Args:
        again: how a unit is run again.
        kept: the result is kept in a folder: log lines and the digests of inputs are wanted.
        remote: the run was started from another process.

    Raises:
        RunError: a strategy failed in `start`.
    """

    def __init__(
        self,
        setup: Setup,
        logging_controls: LoggingControls | EventRecorder | None = None,
        again: Again | None = None,
        kept: bool = False,
        remote: bool = False,
    ) -> None:
        self._setup = setup
        self._kept = kept
        self._remote = remote
        self._files = unpack_files(setup.files, _session_folder() if remote else None)
        self._logging_controls = logging_controls
        self._again = again
        self._told = Told()
        for strategy in setup.strategies:
            with users_code(f"strategy {strategy.name!r} failed in start()", raise_errors=setup.config.raise_errors):
                opened(strategy, self._face(strategy))
            require_copies(strategy)

    def close(self) -> None:
        if self._files is not None:
            self._files.cleanup()

    def _face(self, strategy: Strategy) -> WorkerFace:
        """The framework as a strategy's `start` sees it."""
        return WorkerFace(self._setup)

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

        def ended(market: Any) -> None:
            part.changes += market.changes
            if part.is_copy(known, market.market_id, unit.name):
                copies.add(market.market_id)
                return
            part.markets.append((market.market_id, unit.name))
            collector.market(market)

        replay = Replay(unit, self._setup, ended, self._logging_controls, hashed=self._kept)
        run_to_end(replay, log, self._setup.config)
        command = self._reproduce(unit) if len(replay.failures) else ""
        collector.finish(replay.coordinator, replay.failures, command)
        for table, more in collector.rows.items():
            if table == "transactions" and copies and not collector.rows["markets"]:
                continue  # all of them were for markets that are left out
            part.rows[table].extend(without_markets(table, more, copies))
        add_sieves(part.sieves, replay.actor.sieves)
        part.stopped = replay.actor.stopped
        if replay.digest is not None:
            part.digests[unit.name] = replay.digest

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
    log.context.actor = replay.actor
    try:
        replay.run()
    except Exception as error:
        if config.raise_errors and not isinstance(error, HeadraceError):
            raise
        replay.failures.add(error, None, None, raised_at(error))
    finally:
        log.context.actor = None


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
    """The folder of Ray's session, which goes with it; None where this is not a worker of Ray's."""
    if caller() is Caller.DRIVER:
        return None
    return str(sys.modules["ray"].get_runtime_context().worker.node.get_session_dir_path())


def resident_bytes() -> int:
    """Memory that this process holds now; its greatest so far where the system tells no more."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
