"""Latency: how long requests take to reach the exchange. Source: docs/fidelity.md."""

from __future__ import annotations

import abc
import copy
import math
import random
from collections.abc import Mapping, Sequence
from statistics import NormalDist

from ..config import Config, latency_of
from ..strategies.order_package import OrderPackageType
from .session_latency import measured_in

_KINDS = {kind.name: kind for kind in OrderPackageType}
_NORMAL = NormalDist()


class LatencyModel:
    """Time from a request to the exchange acting on it: one constant for each operation. "constant", the default.

    Assumes that each request takes equally long. Wrong where latency varies, most of all if it grows in busy markets.

    Args:
        config: its `place_latency`, `cancel_latency`, `update_latency` and `replace_latency`, in seconds.
    """

    def __init__(self, config: Config) -> None:
        self._seconds = {
            OrderPackageType.PLACE: config.place_latency,
            OrderPackageType.CANCEL: config.cancel_latency,
            OrderPackageType.UPDATE: config.update_latency,
            OrderPackageType.REPLACE: config.replace_latency,
        }

    def seconds(self, package_type: OrderPackageType) -> float:
        """Seconds, 0 or more, from a request to the exchange acting on it. Called once for each request; for a
        replace a second time, with PLACE."""
        return self._seconds[package_type]

    def for_requests(self, seed: str) -> LatencyModel:
        """The model of one strategy's requests at one market, asked for before the first of them.

        What is drawn should be drawn from `seed` there: so results depend neither on the order in which markets are
        replayed, nor on the process, nor on other strategies. A model that draws nothing is its own.

        Args:
            seed: another for each run's seed, market and strategy.
        """
        return self


class DrawnLatency(LatencyModel, abc.ABC):
    """Latencies that are drawn, each by itself. A subclass says how they are distributed."""

    _draw: random.Random | None = None

    @abc.abstractmethod
    def quantile(self, package_type: OrderPackageType, share: float) -> float:
        """The latency, in seconds, that a share of the requests (above 0, below 1) stays below."""

    def seconds(self, package_type: OrderPackageType) -> float:
        if self._draw is None:
            self._draw = random.Random(0)
        return self.quantile(package_type, self._draw.random() or 0.5)  # a share of 0 has no quantile

    def for_requests(self, seed: str) -> LatencyModel:
        mine = copy.copy(self)
        mine._draw = random.Random(seed)
        return mine


class LognormalLatency(DrawnLatency):
    """ "lognormal:SPREAD": the constants are medians; the logarithm is normally distributed.

    Assumes that the factors by which a request is late multiply: few are much later than most. Wrong if late requests
    come together, as they do when a market is busy: each is drawn by itself.

    Args:
        config: as `LatencyModel` has it.
        spread: standard deviation of the natural logarithm, above 0. Of 0.5, two of three requests take 0.61 to 1.65
            times the median, and one of a hundred more than 3.2 times.
    """

    def __init__(self, config: Config, spread: float) -> None:
        super().__init__(config)
        self._spread = spread

    def quantile(self, package_type: OrderPackageType, share: float) -> float:
        return self._seconds[package_type] * math.exp(self._spread * _NORMAL.inv_cdf(share))


class UniformLatency(DrawnLatency):
    """ "uniform:SPREAD": evenly within a share of the constants, up and down.

    Assumes that no request is much later than most: it tells how much depends on exact latencies, and nothing of late
    ones.

    Args:
        config: as `LatencyModel` has it.
        spread: above 0, to 1: of 0.5, a constant of 120 ms becomes 60 to 180 ms.
    """

    def __init__(self, config: Config, spread: float) -> None:
        super().__init__(config)
        self._spread = spread

    def quantile(self, package_type: OrderPackageType, share: float) -> float:
        return self._seconds[package_type] * (1 + self._spread * (2 * share - 1))


class SessionLatency(DrawnLatency):
    """ "session:FOLDER": as long as requests of a recorded session took, drawn from all of the same operation.

    Assumes that each of them may come again at any time. Wrong if latency depends on the time of day or on how busy
    the market is, and where few were measured.

    Args:
        config: its constants are those of operations that were never measured.
        measured: seconds, by operation: PLACE, CANCEL, UPDATE or REPLACE.
    """

    def __init__(self, config: Config, measured: Mapping[str, Sequence[float]]) -> None:
        super().__init__(config)
        self._measured = {_KINDS[kind]: tuple(sorted(seconds)) for kind, seconds in measured.items() if seconds}

    @property
    def counts(self) -> dict[str, int]:
        """How many requests of each operation were measured."""
        return {kind.name: len(each) for kind, each in self._measured.items()}

    def quantile(self, package_type: OrderPackageType, share: float) -> float:
        measured = self._measured.get(package_type)
        return self._seconds[package_type] if measured is None else measured[int(share * len(measured))]


def latency_model(config: Config) -> LatencyModel:
    """The model that `Config.latency` names.

    Raises:
        InputError: it is of a session that cannot be read, or in which no request reached an exchange.
    """
    kind, argument = latency_of(config.latency)
    if kind == "lognormal":
        return LognormalLatency(config, float(argument))
    if kind == "uniform":
        return UniformLatency(config, float(argument))
    if kind == "session":
        return SessionLatency(config, measured_in(argument))
    return LatencyModel(config)


class Latencies:
    """What the requests at one market take.

    Args:
        model: whose latencies they are.
        config: its `seed` is that of draws.
    """

    def __init__(self, model: LatencyModel, config: Config, market_id: str) -> None:
        self._model = model
        self._seed = f"{config.seed}:latency:{market_id}"
        self._by_strategy: dict[str, LatencyModel] = {}

    def seconds(self, strategy: str, kind: str) -> float:
        """What the next request of a strategy takes. `kind`: PLACE, CANCEL, UPDATE or REPLACE."""
        mine = self._by_strategy.get(strategy)
        if mine is None:
            mine = self._by_strategy[strategy] = self._model.for_requests(f"{self._seed}:{strategy}")
        return mine.seconds(_KINDS[kind])
