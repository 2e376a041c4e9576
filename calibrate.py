"""Calibration: how well simulation repeats a recorded session, and the settings with which it does so best."""

from __future__ import annotations

import dataclasses
import statistics
from pathlib import Path
from typing import Any

from .config import Config, ConfigError
from .results.folders import not_written
from .simulate.calibration.comparison import SESSION, Pair, best_queue, errors, fill_rates, slippage, times_to_fill
from .simulate.calibration.retold import retold
from .simulate.calibration.session_orders import orders_of
from .simulate.models import Models
from .simulate.reading.recordings import Paths, Recording
from .simulate.session_latency import session_files
from .simulate.session_script import SessionScript
from .strategies.errors import InputError, RecordingError

#: Queues that are shown beside the session, and those that are tried besides.
_SHOWN = ("proportional", "pessimistic", "optimistic")
_TRIED = tuple(f"share:{tenth / 10:g}" for tenth in range(1, 10))
#: Settings of latency by operation.
_LATENCIES = {kind: f"{kind.lower()}_latency" for kind in ("PLACE", "CANCEL", "UPDATE", "REPLACE")}


@dataclasses.dataclass(frozen=True)
class Calibration:
    """A recorded session beside its simulation.

    Attributes:
        session: where it is.
        markets: in which orders reached the exchange.
        orders: limit orders that did.
        latencies: of each operation that was measured, `requests` and `median`, in seconds.
        fill_rates: a dict for each place in the queue: `ahead` (size ahead by the order's own), `orders`, `size`, and
            the share that was matched in the session and with each queue.
        times_to_fill: a dict for the session and each queue, of orders that waited: `orders` that were matched, and the
            quartiles of the seconds to their first match: `quarter`, `median`, `three_quarters`.
        slippage: a dict for the session and each queue: size `matched`, and by which share its price was better than
            the price `asked`, and than the `best` that could be taken at placement; below 0 where it was worse.
        errors: of each queue, in size: what it matched of orders that waited and the exchange did not, and the other
            way round.
        queue: the one with the least; None: the session does not tell them apart.
        damaged: what could not be read.
    """

    session: str
    markets: int
    orders: int
    latencies: dict[str, dict[str, float]]
    fill_rates: list[dict[str, Any]]
    times_to_fill: list[dict[str, Any]]
    slippage: list[dict[str, Any]]
    errors: dict[str, float]
    queue: str | None
    damaged: list[str]

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of `Config` that fit best: medians of latencies, and the queue."""
        found: dict[str, Any] = {_LATENCIES[kind]: round(each["median"], 4) for kind, each in self.latencies.items()}
        return found if self.queue is None else {**found, "queue": self.queue}

    def as_dict(self) -> dict[str, Any]:
        """All of it, as JSON holds it."""
        return {**dataclasses.asdict(self), "settings": self.settings}

    def to_toml(self, path: str | Path) -> Path:
        """Write the settings into a new file, as `Config.from_toml` and `--config` read it.

        Raises:
            InputError: the file is there, or cannot be written.
        """
        target = Path(path)
        lines = [f"# Measured by headrace calibrate: {self.orders:,} orders of a session.", "[headrace]"]
        lines += [f'{name} = "{each}"' if isinstance(each, str) else f"{name} = {each}" for name, each in
                  self.settings.items()]  # fmt: skip
        try:
            with target.open("x", encoding="utf-8") as file:
                file.write("\n".join(lines) + "\n")
        except FileExistsError:
            raise InputError(f"{target} is there already; name another file for the settings, or remove it") from None
        except OSError as error:
            raise not_written(f"{target}: the settings cannot be written here", error) from None
        return target

    def __repr__(self) -> str:
        found = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        return f"<Calibration {self.orders} orders in {self.markets} markets; best: {found}>"


def calibrate(session: Paths, *, config: Config | None = None) -> Calibration:
    """Compare what became of the orders of a recorded session with what simulation makes of the same orders.

    The requests of the session are retold, each when it reached the exchange; strategies are not asked. Limit orders
    that reached an exchange count: not those of paper accounts, at the starting price, with a bet target or on a line.

    Args:
        session: the folder that `hr.Live(record=...)` kept, or files below it; of a live session or of a rehearsal.
        config: settings of the simulation; its `queue` is shown as well.

    Raises:
        ConfigError: the settings ask for compatibility.
        InputError: there is no session, or none of its orders reached an exchange.
    """
    config = Config() if config is None else config
    if config.compatibility is not None:
        raise ConfigError(
            f"compatibility={config.compatibility!r}: a live session has our own rules; leave compatibility out"
        )
    queues = tuple(dict.fromkeys((*_SHOWN, *((config.queue,) if config.queue else ()))))
    models = {
        queue: Models().completed(dataclasses.replace(config, queue=queue, latency=None))
        for queue in dict.fromkeys((*queues, *_TRIED))
    }
    reading = _Reading()
    for path in session_files(session):
        reading.read(Recording(path), models, config)
    pairs = reading.pairs
    if not pairs:
        raise InputError(f"{_named(session)}: {reading.why_nothing()}")
    shown = (SESSION, *queues)
    found = errors(pairs, tuple(models))
    return Calibration(
        _named(session),
        reading.markets,
        len(pairs),
        {
            kind: {"requests": len(seconds), "median": statistics.median(seconds)}
            for kind, seconds in sorted(reading.latencies.items(), key=lambda item: list(_LATENCIES).index(item[0]))
        },
        fill_rates(pairs, shown),
        times_to_fill(pairs, shown),
        slippage(pairs, shown),
        found,
        best_queue(found),
        reading.damaged,
    )


class _Reading:
    """What has been read of a session."""

    def __init__(self) -> None:
        self.pairs: list[Pair] = []
        self.latencies: dict[str, list[float]] = {}
        self.damaged: list[str] = []
        self.markets = 0
        self._files = self._requests = self._paper = 0

    def read(self, recording: Recording, models: dict[str, Models], config: Config) -> None:
        """Take the orders of one market; a file that cannot be read is noted."""
        try:
            script = SessionScript(recording)
            self._files += 1
            self._requests += len(script.live)
            self._paper += script.on_paper
            orders = list(orders_of(script))
            told = {queue: retold(recording, model, config) for queue, model in models.items()} if orders else {}
        except RecordingError as error:
            self.damaged.append(str(error))
            return
        for kind, seconds in script.latencies():
            self.latencies.setdefault(kind, []).append(seconds)
        mine = [
            Pair(order, {queue: each[order.order_id] for queue, each in told.items()})
            for order in orders
            if all(order.order_id in each for each in told.values())
        ]
        self.pairs.extend(mine)
        self.markets += bool(mine)

    def why_nothing(self) -> str:
        """Why there is nothing to compare, as a sentence that follows a colon."""
        if not self._files:
            return f"no session here: {self.damaged[0]}" if self.damaged else "no session here: there are no files"
        if not self._requests and self._paper:
            return (
                "all orders of the session were matched on paper, by simulation itself; calibrate needs a live "
                "session, or a rehearsal (headrace live --rehearse ... --record)"
            )
        if not self._requests:
            return "the session has no orders; calibrate needs one in which strategies traded"
        return (
            "no limit order of the session reached the exchange while its market was recorded; calibrate needs some "
            "that did"
        )


def _named(session: Paths) -> str:
    return ", ".join(map(str, session)) if isinstance(session, list | tuple) else str(session)
