"""The models of the simulated exchange: queue, liquidity, removals, settlement, commission, latency.

Each can be replaced:

hr.Simulation(..., models=hr.Models(queue=MyQueue()))
"""

from __future__ import annotations

import dataclasses

from ..config import Config, ConfigError, latency_of, queue_of
from ..strategies.ladder import PriceSize
from ..strategies.runner_book import RunnerBook
from ..values import shown
from .bets import Bet
from .commission import CommissionModel, FlumineCommission
from .latency import LatencyModel, latency_model
from .removals import FlumineRemovals, Removals
from .settlement import FlumineSettlement, Settlement


class QueueModel:
    """The place of a resting order in the queue at its price: "proportional", the default. Source: docs/fidelity.md.

    Trades serve from the front. Of what is cancelled at the price a share was ahead: as much of it as of all that waits
    there. Wrong if those who wait longest cancel less, or more, than others.

    A subclass is a model of its own: what is ahead becomes `ahead * factor - less`, and never more than what is
    published at the price.
    """

    def ahead(self, levels: list[PriceSize], price: float) -> float:
        """Size ahead of a new order at `price`, without own orders; `levels` are those of its own side."""
        for level in levels:
            if level.price == price:
                return level.size
        return 0.0

    def cancelled(self, size: float, waiting: float) -> tuple[float, float]:
        """What cancellations do to what is ahead: a factor of 0 to 1, and a size of 0 or more that is ahead less.

        Args:
            size: cancelled at the price, above 0.
            waiting: what waited there before, own orders apart; not less than `size`.
        """
        return 1 - size / waiting, 0.0

    def price(self, own: float, traded: float) -> float:
        """The price at which a resting order at `own` is matched by a trade at `traded`, which is as good or better.

        The exchange gives a better price to whoever comes, not to the order that waits.
        """
        return own


class PessimisticQueue(QueueModel):
    """ "pessimistic": all that is cancelled was behind, as far as there was as much behind."""

    def cancelled(self, size: float, waiting: float) -> tuple[float, float]:
        return 1.0, 0.0


class OptimisticQueue(QueueModel):
    """ "optimistic": all that is cancelled was ahead, and trades at better prices are at the price of the trade."""

    def cancelled(self, size: float, waiting: float) -> tuple[float, float]:
        return 1.0, size

    def price(self, own: float, traded: float) -> float:
        return traded


class ShareQueue(QueueModel):
    """ "share:SHARE": that share of what is cancelled was ahead, as far as so much was ahead.

    Of 0 it is "pessimistic". A greater share never matches less. `headrace calibrate` finds the share that fits a
    recorded session best.

    Args:
        share: 0 to 1.
    """

    def __init__(self, share: float) -> None:
        self.share = share

    def cancelled(self, size: float, waiting: float) -> tuple[float, float]:
        return 1.0, self.share * size


class FlumineQueue(QueueModel):
    """ "flumine": the peer's. Those who were there first stay, and own orders do not wait for each other.

    Assumes that half of the volume published at the order's price or better serves first what is ahead, then the order;
    what serves one order's queue is gone for the next order.
    """

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
    """What an order finds at its placement: "finite", the default. Source: docs/fidelity.md.

    Assumes that the published sizes can be taken, once: what an order took is gone for its isolation domain until the
    level is seen to be replenished. Wrong where others would react to the order.

    Attributes:
        finite: what was taken is gone; else each order finds the levels as they are published.
    """

    finite = True

    def to_back(self, runner: RunnerBook) -> list[PriceSize]:
        """Levels that a back order can take, best first; what was taken before is taken off afterwards."""
        return runner.ex.available_to_back

    def to_lay(self, runner: RunnerBook) -> list[PriceSize]:
        """Levels that a lay order can take, best first; what was taken before is taken off afterwards."""
        return runner.ex.available_to_lay


class FlumineLiquidity(LiquidityModel):
    """ "flumine": the peer's. Taking changes nothing for anybody: the next order finds the same size again."""

    finite = False


_QUEUES: dict[str, type[QueueModel]] = {
    "proportional": QueueModel,
    "pessimistic": PessimisticQueue,
    "optimistic": OptimisticQueue,
    "flumine": FlumineQueue,
}


def _named(word: str) -> QueueModel:
    """The queue that `Config.queue` names."""
    kind, share = queue_of(word)
    return _QUEUES[kind or "proportional"]() if kind != "share" else ShareQueue(share)


#: What each model of `Models` is.
_KINDS: dict[str, type] = {
    "queue": QueueModel,
    "liquidity": LiquidityModel,
    "latency": LatencyModel,
    "removals": Removals,
    "settlement": Settlement,
    "commission": CommissionModel,
}
#: Models that a setting names, or `Models` gives.
_BY_WORD = ("queue", "liquidity", "latency", "settlement")


@dataclasses.dataclass(frozen=True)
class Models:
    """The models of a run; what is left out follows the settings.

    Raises:
        ConfigError: one is not a model, or not one of that kind.
    """

    queue: QueueModel | None = None
    liquidity: LiquidityModel | None = None
    latency: LatencyModel | None = None
    removals: Removals | None = None
    settlement: Settlement | None = None
    commission: CommissionModel | None = None

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            given = getattr(self, name)
            if given is None or isinstance(given, kind):
                continue
            setting = "settlement" if name == "removals" else name
            hint = f"; names are for Config({setting}={shown(given)})" if isinstance(given, str) else ""
            if isinstance(given, type) and issubclass(given, kind):
                hint = f"; make one: {given.__name__}()"
            raise ConfigError(f"hr.Models({name}={shown(given)}): expected a {kind.__name__}, or None{hint}")

    def prepared(self, config: Config) -> Models:
        """These models, checked against the settings, with what only the machine of the run can read.

        Raises:
            ConfigError: a model is given twice, or is not allowed under compatibility.
            InputError: the session that a latency is to be drawn from cannot be read.
        """
        for name in _BY_WORD:
            word, given = getattr(config, name), getattr(self, name)
            if word is not None and given is not None:
                raise ConfigError(
                    f"{name}={word!r}: hr.Models has {name}={type(given).__name__} as well; leave one of the two out"
                )
        kind, _ = latency_of(config.latency)
        ready = dataclasses.replace(self, latency=latency_model(config)) if kind == "session" else self
        ready.completed(config)
        return ready

    def words(self, config: Config) -> dict[str, str]:
        """The names of the models that the settings choose; those that are given as objects have none."""
        peer = config.compatibility
        settlement = config.settlement or peer or "betfair"
        found = {
            "queue": config.queue or peer or "proportional",
            "liquidity": config.liquidity or peer or "finite",
            "latency": config.latency or "constant",
            "removals": settlement,
            "settlement": settlement,
            "commission": config.commission or peer or "market",
        }
        return {name: word for name, word in found.items() if getattr(self, name, None) is None}

    def completed(self, config: Config) -> Models:
        """These models, with those of the configuration where none is given."""
        if config.compatibility and self.queue is not None and not isinstance(self.queue, FlumineQueue):
            raise ConfigError(f"queue={self.queue!r}: compatibility='flumine' needs a FlumineQueue, or none")
        words = Models().words(config)
        by_peer, flat = words["settlement"] == "flumine", words["commission"] == "flumine"
        return dataclasses.replace(
            self,
            queue=self.queue or _named(words["queue"]),
            liquidity=self.liquidity or (FlumineLiquidity() if words["liquidity"] == "flumine" else LiquidityModel()),
            latency=self.latency or latency_model(config),
            removals=self.removals or (FlumineRemovals() if by_peer else Removals()),
            settlement=self.settlement or (FlumineSettlement() if by_peer else Settlement()),
            commission=self.commission or (FlumineCommission() if flat else CommissionModel()),
        )
