"""Which prices of a runner a call asks for, and what they are ("Betting Type Definitions", PriceProjection)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import ApiError
from ..http.arguments import chosen, chosen_of
from ..public_market import PublicRunner

_PRICE_DATA = frozenset({"SP_AVAILABLE", "SP_TRADED", "EX_BEST_OFFERS", "EX_ALL_OFFERS", "EX_TRADED"})
_ROLL_UPS = frozenset({"STAKE", "PAYOUT", "MANAGED_LIABILITY", "NONE"})
_DEPTH = 3
#: Of offers that are not rolled up, those below it are left out all the same, in pounds.
_LEAST = 1.0
_RANKED = {"atb": "bdatb", "atl": "bdatl"}

Ladder = list[tuple[float, float]]


class PriceProjection:
    """What is asked for.

    Args:
        params: the projection; {} if there was none.

    Attributes:
        weight: what it costs of the data limit, per market ("Market Data Request Limits").
        exchange, starting_price: whether prices of the exchange, and at the starting price, are asked for.

    Raises:
        ApiError: INVALID_INPUT_DATA, for numbers that cannot be.
        ParameterError: there is no such value.
    """

    def __init__(self, params: dict[str, Any]) -> None:
        data = chosen_of(params, "priceData", _PRICE_DATA)
        overrides = params.get("exBestOffersOverrides", {})
        self._all = "EX_ALL_OFFERS" in data
        self._best = "EX_BEST_OFFERS" in data and not self._all
        self._traded = "EX_TRADED" in data
        self._sp_available = "SP_AVAILABLE" in data
        self._sp_traded = "SP_TRADED" in data
        self.exchange = self._all or self._best or self._traded
        self.starting_price = self._sp_available or self._sp_traded
        self._virtual: bool = params.get("virtualise", False)
        self._rolled_over: bool = params.get("rolloverStakes", False)
        self._depth: int = overrides.get("bestPricesDepth", _DEPTH)
        self._model = chosen(overrides, "rollupModel", _ROLL_UPS, "STAKE")
        self._limit: float | None = overrides.get("rollupLimit")
        self._threshold: float | None = overrides.get("rollupLiabilityThreshold")
        self._factor: float = overrides.get("rollupLiabilityFactor", 1)
        if self._depth < 1 or (self._limit or 0.0) < 0:
            raise ApiError("INVALID_INPUT_DATA", "bestPricesDepth is 1 or more, rollupLimit 0 or more")
        if self._model == "MANAGED_LIABILITY" and self._threshold is None:
            raise ApiError("INVALID_INPUT_DATA", "MANAGED_LIABILITY needs rollupLiabilityThreshold")
        self.weight = self._weight()

    def _weight(self) -> float:
        if not (self.exchange or self.starting_price):
            return 2.0
        offers = 17.0 if self._all else 5.0 if self._best else 0.0
        if self._traded:
            offers = 32.0 if self._all else 20.0 if self._best else 17.0
        if self._best:
            offers *= self._depth / _DEPTH
        return offers + 3.0 * self._sp_available + 7.0 * self._sp_traded

    def offers(self, runner: PublicRunner, units: float) -> dict[str, Any]:
        """Prices of the exchange. `units`: of the currency, for one pound."""
        return {
            "availableToBack": self._side(runner, "atb", units) if self._all or self._best else [],
            "availableToLay": self._side(runner, "atl", units) if self._all or self._best else [],
            "tradedVolume": price_sizes(sorted(runner.ladder("trd").items()), units) if self._traded else [],
        }

    def _side(self, runner: PublicRunner, side: str, units: float) -> list[dict[str, float]]:
        ladder = runner.ladder(side)
        if self._virtual and (ranked := runner.ranked.get(_RANKED[side])):
            ladder = _with_virtual(runner, side, dict(ranked.values()), ladder)
        levels: Ladder = sorted(ladder.items(), reverse=side == "atb")
        if self._best:
            levels = self._rolled_up(levels, side, units)
        if self._rolled_over:
            levels = _accumulated(levels)
        return price_sizes(levels, units)

    def _rolled_up(self, levels: Ladder, side: str, units: float) -> Ladder:
        """The best levels; small offers are shown at the price at which there is enough of them."""
        if self._model == "NONE":
            return [level for level in levels if level[1] >= _LEAST][: self._depth]
        enough = self._enough(side, units)
        found: Ladder = []
        price = waiting = 0.0
        for price, size in levels:
            waiting = round(waiting + size, 2)
            if enough(price, waiting):
                found.append((price, waiting))
                waiting = 0.0
                if len(found) == self._depth:
                    break
        if waiting and self._model == "STAKE" and self._limit is None:
            found.append((price, waiting))  # as on the stream; of other roll-ups nothing is known
        return found

    def _enough(self, side: str, units: float) -> Callable[[float, float], bool]:
        """Whether a size at a price is shown. The limit is in the currency that was asked for."""
        limit = _LEAST if self._limit is None else self._limit / units
        threshold = self._threshold
        if self._model == "PAYOUT":
            return lambda price, size: round(price * size, 2) >= limit
        if self._model == "MANAGED_LIABILITY" and threshold is not None and side == "atl":
            liability = limit * self._factor
            return lambda price, size: size >= limit if price < threshold else round(size * (price - 1), 2) >= liability
        return lambda price, size: size >= limit

    def starting_prices(self, runner: PublicRunner, defined: dict[str, Any], units: float) -> dict[str, Any]:
        """The starting price, and what is bet at it. What is not a number is written as text, as it is there."""
        found: dict[str, Any] = {
            "nearPrice": runner.values.get("spn") if self._sp_available else None,
            "farPrice": runner.values.get("spf") if self._sp_available else None,
            "backStakeTaken": price_sizes(sorted(runner.ladder("spb").items()), units) if self._sp_traded else [],
            "layLiabilityTaken": price_sizes(sorted(runner.ladder("spl").items()), units) if self._sp_traded else [],
            "actualSP": defined.get("bsp"),
        }
        return {name: value for name, value in found.items() if value is not None}


def _with_virtual(
    runner: PublicRunner, side: str, shown: dict[float, float], ladder: dict[float, float]
) -> dict[float, float]:
    """A ladder with the virtual offers among its best, as they were recorded, and what accounts did to them."""
    shown = runner.as_accounts_left(shown, side)
    worst = min(shown) if side == "atb" else max(shown)
    beyond = {price: size for price, size in ladder.items() if (price < worst if side == "atb" else price > worst)}
    return {price: size for price, size in (shown | beyond).items() if size}


def _accumulated(levels: Ladder) -> Ladder:
    """Sizes of each price and all better ones."""
    total = 0.0
    found: Ladder = []
    for price, size in levels:
        total = round(total + size, 2)
        found.append((price, total))
    return found


def price_sizes(levels: Ladder, units: float = 1.0) -> list[dict[str, float]]:
    """Levels as the API writes them. `units`: of the currency, for one pound."""
    if units == 1.0:
        return [{"price": price, "size": size} for price, size in levels]
    return [{"price": price, "size": round(size * units, 2)} for price, size in levels]
