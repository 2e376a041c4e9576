"""Log lines: JSON in every process, each with the strategy, the market and its time."""

from __future__ import annotations

import contextlib
import io
import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..config import Config, default_instance_id

if TYPE_CHECKING:
    from .market import MarketActor

#: Parent of all loggers of this package; a strategy's is `headrace.strategy.<name>`.
LOGGER = "headrace"
#: Warnings of one batch that are shown where the run was started.
_SHOWN = 20


class Context(logging.Filter):
    """Adds what a line is about: strategy, market, publish time, machine and process.

    Attributes:
        actor: the actor that is at work; None between units.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.actor: MarketActor | None = None
        self._instance_id = config.instance_id or default_instance_id()
        self._process_id = config.process_id

    def filter(self, record: logging.LogRecord) -> bool:
        actor = self.actor
        market = actor.current_market if actor else None
        running = actor.running if actor else None
        found = {
            "strategy": running.name if running else None,
            "market_id": market.market_id if market else None,
            "publish_time": actor.host.clock.now_ms if actor else None,
            "instance_id": self._instance_id,
            "process_id": self._process_id,
        }
        for name, value in found.items():
            if getattr(record, name, None) is None:
                setattr(record, name, value)
        return True


def json_formatter() -> logging.Formatter:
    """One JSON object a line; times in UTC."""
    from pythonjsonlogger.json import JsonFormatter

    formatter = JsonFormatter(
        "%(asctime)s %(levelname)s %(name)s %(message)s %(strategy)s %(market_id)s %(publish_time)s "
        "%(instance_id)s %(process_id)s"
    )
    formatter.converter = time.gmtime
    return formatter


class _Guest(logging.Filter):
    """For handlers of others: lines get what ours get, and no more of them come than before."""

    def __init__(self, context: Context, level: int) -> None:
        super().__init__()
        self._context = context
        self._level = level

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] != LOGGER:
            return True
        return record.levelno >= self._level and self._context.filter(record)


class _Warnings(logging.Handler):
    """Keeps the first warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if len(self.found) < _SHOWN:
            self.found.append((record.levelno, record.getMessage()))


class BatchLog:
    """What is logged while a batch is replayed.

    Attributes:
        text: the lines, for the file of the batch.
        warnings: level and message of the first warnings.
    """

    def __init__(self, config: Config, keep: bool) -> None:
        self._config = config
        self._keep = keep
        self._buffer = io.StringIO()
        self._warnings = _Warnings()
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
        guest = _Guest(self.context, logger.getEffectiveLevel())
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
            logger.setLevel(level)


def set_up(config: Config) -> None:
    """Set up logging in a worker process: by the user's `log_setup` where there is one."""
    if config.log_setup is not None:
        config.log_setup()
