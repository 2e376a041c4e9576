"""The models of the simulated exchange: queue, liquidity, latency, removals, settlement. Each can be replaced.

hr.Simulation(..., models=hr.Models(queue=MyQueue()))
"""

from __future__ import annotations

import dataclasses

from ..config import Config
from ..strategies.ladder import PriceSize
from ..strategies.order_package import OrderPackageType
from ..strategies.runner_book import RunnerBook
from .bets import Bet
from .removals import FlumineRemovals, Removals
from .settlement import FlumineSettlement, Settlement


class QueueModel:
    """The place of a resting order in the queue, and what traded volume does to it. Source: docs/fidelity.md.

    Assumes that orders that were there first stay and are served first, and that half of the volume published at a
    price was on either side. Wrong if orders ahead are cancelled: real orders then match sooner.
    """

    def ahead(self, levels: list[PriceSize], price: float) -> float:
        """Size ahead of a new order at `price`; `levels` are those of its own side."""
        for level in levels:
            if level.price == price:
                return level.size
        return 0.0

    def trade(self, bet: Bet, volume: float) -> tuple[float, float]:
        """Volume traded at the bet's price or better.

        Args:
            bet: `queue_ahead` is the model's to change; `size_remaining`, `price`, `back` and the like are to be read.
            volume: as published: both sides count.

        Returns:
            Size that the bet matches, and volume it uses up.
        """
        half, ahead = volume / 2, bet.queue_ahead
        if ahead - half < 0:
            matched = round(min(bet.size_remaining, half - ahead), 2)
            bet.queue_ahead = 0.0
            return matched, (ahead + matched) * 2
        bet.queue_ahead = ahead - half
        return 0.0, volume


class LiquidityModel:
    """What an order finds at its placement. Source: docs/fidelity.md.

    Assumes that the published sizes can be taken, and that taking them changes nothing: this holds for small orders.
    Wrong for sizes that would move the market, and for several orders that take the same level.
    """

    def to_back(self, runner: RunnerBook) -> list[PriceSize]:
        """Levels that a back order can take, best first."""
        return runner.ex.available_to_back

    def to_lay(self, runner: RunnerBook) -> list[PriceSize]:
        """Levels that a lay order can take, best first."""
        return runner.ex.available_to_lay


class LatencyModel:
    """Time from a request to the exchange acting on it: one constant for each operation, in seconds.

    Args:
        config: its `place_latency`, `cancel_latency`, `update_latency` and `replace_latency`.
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


@dataclasses.dataclass(frozen=True)
class Models:
    """The models of a run; what is left out is the default."""

    queue: QueueModel = dataclasses.field(default_factory=QueueModel)
    liquidity: LiquidityModel = dataclasses.field(default_factory=LiquidityModel)
    latency: LatencyModel | None = None
    removals: Removals | None = None
    settlement: Settlement | None = None

    def completed(self, config: Config) -> Models:
        """These models, with those of the configuration where none is given."""
        compatible = config.compatibility == "flumine"
        return dataclasses.replace(
            self,
            latency=self.latency or LatencyModel(config),
            removals=self.removals or (FlumineRemovals() if compatible else Removals()),
            settlement=self.settlement or (FlumineSettlement() if compatible else Settlement()),
        )
