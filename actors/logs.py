"""Log lines: JSON in every process, each with the strategy, the market and its time."""

from __future__ import annotations

import contextlib
import io
import logging
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from ..config import Config, instance_id_of

if TYPE_CHECKING:
    from ..strategies.host import Host
    from .turn import Turn

#: Parent of all loggers of this package; a strategy's is `headrace.strategy.<name>`.
LOGGER = "headrace"
#: Warnings of one batch that are shown where the run was started.
_SHOWN = 20


class AtWork(Protocol):
    """An actor as lines of the log tell of it."""

    @property
    def turn(self) -> Turn: ...

    @property
    def host(self) -> Host: ...


class Context(logging.Filter):
    """Adds what a line is about: strategy, market, publish time, machine and process.

    Attributes:
        actor: the actor that is at work; None between units.
        muted: ids of actors that work beside it and whose lines are left out.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.actor: AtWork | None = None
        self.muted: frozenset[int] = frozenset()
        self._instance_id = instance_id_of(config)
        self._process_id = config.process_id

    def filter(self, record: logging.LogRecord) -> bool:
        actor = self.actor
        market = actor.turn.market if actor else None
        if self.muted and market is not None and id(market.framework) in self.muted:
            return False
        running = actor.turn.strategy if actor else None
        found = {
            "strategy": running.name if running else None,
            "market_id": market.market_id if market else None,
            "publish_time": (market or actor.host).clock.now_ms if actor else None,
            "instance_id": self._instance_id,
            "process_id": self._process_id,
        }
        for name, value in found.items():
            if getattr(record, name, None) is None:
                setattr(record, name, value)
        return True


class ThreadContext(Context):
    """Adds what a line of the log is about to the lines of one thread, that of an actor: several are in a process.

    Made in the actor's thread.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._thread = threading.get_ident()
        self._handlers: list[logging.Handler] = []

    def filter(self, record: logging.LogRecord) -> bool:
        return super().filter(record) if record.thread == self._thread else True

    def join(self) -> None:
        """Add to what the handlers of this process show."""
        self._handlers = [*logging.getLogger(LOGGER).handlers, *logging.getLogger().handlers]
        for handler in self._handlers:
            handler.addFilter(self)

    def leave(self) -> None:
        """Add no longer."""
        for handler in self._handlers:
            handler.removeFilter(self)


def json_formatter() -> logging.Formatter:
    """One JSON object per line; times in UTC."""
    from pythonjsonlogger.json import JsonFormatter

    formatter = JsonFormatter(
        "%(asctime)s %(levelname)s %(name)s %(message)s %(strategy)s %(market_id)s %(publish_time)s "
        "%(instance_id)s %(process_id)s"
    )
    formatter.converter = time.gmtime
    return formatter


class FailureLine(str):
    """The log line of an error of a strategy.

    Attributes:
        place: strategy, line and kind of the error: errors with the same place are shown once.
    """

    place: tuple[Any, ...]

    def __new__(cls, text: str, place: tuple[Any, ...]) -> FailureLine:
        line = super().__new__(cls, text)
        line.place = place
        return line

    def __reduce__(self) -> tuple[Any, ...]:
        return FailureLine, (str(self), self.place)


class Told:
    """The places whose errors have been shown: of each the first is, with its traceback. `failures` counts the rest."""

    def __init__(self) -> None:
        self._places: set[tuple[Any, ...]] = set()
        self._last: tuple[logging.LogRecord | None, bool] = (None, True)

    def admits(self, record: logging.LogRecord) -> bool:
        """Whether a line is to be shown; all handlers get the same answer for it."""
        if not isinstance(record.msg, FailureLine):
            return True
        if self._last[0] is not record:
            self._last = (record, self.is_new(record.msg.place))
        return self._last[1]

    def log(self, warnings: Iterable[tuple[int, str]]) -> None:
        """Log what another process warned of: level and text."""
        for level, text in warnings:
            if self.is_new(text.place if isinstance(text, FailureLine) else None):
                logging.getLogger(LOGGER).log(level, "%s", text)

    def is_new(self, place: tuple[Any, ...] | None) -> bool:
        """Whether nothing of a place has been shown; from now on something has."""
        if place is None:
            return True
        known = place in self._places
        self._places.add(place)
        return not known


class _Guest(logging.Filter):
    """For handlers of others: lines get what ours get, and no more of them come than before."""

    def __init__(self, context: Context, level: int, told: Told) -> None:
        super().__init__()
        self._context = context
        self._level = level
        self._told = told

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] != LOGGER:
            return True
        return record.levelno >= self._level and self._told.admits(record) and self._context.filter(record)


class _Warnings(logging.Handler):
    """Keeps the first warnings; of errors of one place one, with its traceback."""

    def __init__(self, told: Told) -> None:
        super().__init__(logging.WARNING)
        self._told = told
        self.found: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if len(self.found) >= _SHOWN or not self._told.admits(record):
            return
        text = record.getMessage()
        if isinstance(record.msg, FailureLine):
            trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
            text = FailureLine("\n".join(filter(None, (text, trace))), record.msg.place)
        self.found.append((record.levelno, text))


class BatchLog:
    """What is logged while a batch is replayed.

    Args:
        keep: lines are kept for the file of the batch, all of them.
        told: what has been shown of errors before.

    Attributes:
        text: the lines, for the file of the batch.
        warnings: level and message of the first warnings.
    """

    def __init__(self, config: Config, keep: bool, told: Told | None = None) -> None:
        self._config = config
        self._keep = keep
        self._told = told or Told()
        self._buffer = io.StringIO()
        self._warnings = _Warnings(self._told)
        self.context = Context(config)

    @property
    def text(self) -> str:
        return self._buffer.getvalue()

    @property
    def warnings(self) -> list[tuple[int, str]]:
        return self._warnings.found

    @contextlib.contextmanager
    def listening(self, remote: bool) -> Iterator[None]:
        """Take lines while the block runs.

        Args:
            remote: this process is not the one that the run was started from: its warnings have to travel.
        """
        logger = logging.getLogger(LOGGER)
        handlers: list[logging.Handler] = []
        if self._keep:
            handler: logging.Handler = logging.StreamHandler(self._buffer)
            handler.setLevel(self._config.log_level.upper())
            plain = logging.Formatter("%(asctime)s %(levelname)s %(strategy)s %(market_id)s %(message)s")
            handler.setFormatter(json_formatter() if self._config.log_json else plain)
            handlers.append(handler)
        if remote:
            handlers.append(self._warnings)
        level = logger.level
        guests = [*logger.handlers, *logging.getLogger().handlers]
        borrowed: logging.Handler | None = None
        if not guests and not remote and logging.lastResort is not None:
            # Without any set-up of logging Python writes warnings to standard error; here we do, each error once.
            plain_handler = logging.StreamHandler()
            plain_handler.setLevel(logging.lastResort.level)
            logger.addHandler(plain_handler)
            guests, borrowed = [plain_handler], plain_handler
        guest = _Guest(self.context, logger.getEffectiveLevel(), self._told)
        for handler in guests:
            handler.addFilter(guest)
        if self._keep:
            logger.setLevel(min(logger.getEffectiveLevel(), logging.getLevelName(self._config.log_level.upper())))
        for handler in handlers:
            handler.addFilter(self.context)
            logger.addHandler(handler)
        try:
            yield
        finally:
            for handler in handlers:
                logger.removeHandler(handler)
            for handler in guests:
                handler.removeFilter(guest)
            if borrowed is not None:
                logger.removeHandler(borrowed)
            logger.setLevel(level)


@contextlib.contextmanager
def at_level(config: Config) -> Iterator[None]:
    """Hold back what is below the configured level, while the block runs, from whatever shows log lines here.

    INFO, the default, and DEBUG leave that to the logging of this process.
    """
    logger = logging.getLogger(LOGGER)
    level = logging.getLevelName(config.log_level.upper())
    before = logger.level
    if level > max(logging.INFO, logger.getEffectiveLevel()):
        logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)


def set_up(config: Config) -> None:
    """Set up logging in a worker process: by the user's `log_setup` where there is one."""
    if config.log_setup is not None:
        config.log_setup()
