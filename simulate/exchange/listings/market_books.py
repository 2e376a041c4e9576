"""Prices over HTTP: listMarketBook and listRunnerBook ("Betting Type Definitions", MarketBook).

Sizes of the market are in pounds unless another currency is asked for; those of an account's bets in its own.
"""

from __future__ import annotations

from typing import Any, Protocol

from ....strategies.currency import RATES
from ..account_bet import AccountBet
from ..errors import ApiError
from ..exchange import Exchange, ExchangeMarket, Listener
from ..http.arguments import required
from ..operations import Operation
from ..public_market import Touched
from ..settings import AccountSettings
from ..timeline import written
from .book_orders import BookOrders
from .price_projection import PriceProjection


class CurrentBets(Protocol):
    """Whose bets are current."""

    def current(self, username: str, market_id: str | None = None, projection: str = "ALL") -> list[AccountBet]:
        """An account's current bets in a market, in order of placing."""


class MarketBooks(Listener):
    """The books. It listens to the exchange, for the times of the last trades.

    Args:
        lists: the accounts' current bets.
    """

    def __init__(self, exchange: Exchange, lists: CurrentBets) -> None:
        self._exchange = exchange
        self._lists = lists
        self._last_match: dict[str, int] = {}
        exchange.listeners.append(self)

    def operations(self) -> dict[str, Operation]:
        """The calls, by their names."""
        return {
            "SportsAPING/v1.0/listMarketBook": self.list_market_book,
            "SportsAPING/v1.0/listRunnerBook": self.list_runner_book,
        }

    async def list_market_book(self, account: AccountSettings, params: dict[str, Any]) -> list[dict[str, Any]]:
        """Markets as they are. Where open ones are asked for, closed ones among them are left out.

        Raises:
            ApiError: INVALID_INPUT_DATA, or TOO_MUCH_DATA beyond the data limit.
            ParameterError: a parameter is missing, or is not what it should be.
        """
        market_ids = list(dict.fromkeys(required(params, "marketIds")))
        if not market_ids:
            raise ApiError("INVALID_INPUT_DATA", "marketIds is empty")
        reading = self._reading(account, params, len(market_ids))
        found = [market for each in market_ids if (market := self._shown(each)) is not None]
        open_ones = [market for market in found if market.definition.status != "CLOSED"]
        return [self._book(market, account, *reading) for market in open_ones or found]

    async def list_runner_book(self, account: AccountSettings, params: dict[str, Any]) -> list[dict[str, Any]]:
        """A market as it is, with one of its runners.

        Raises:
            ApiError: INVALID_INPUT_DATA, also if there is no such runner.
            ParameterError: a parameter is missing, or is not what it should be.
        """
        market_id, selection_id = required(params, "marketId"), required(params, "selectionId")
        reading = self._reading(account, params, 1)
        market = self._shown(market_id)
        if market is None:
            return []
        runner = (selection_id, params.get("handicap", 0.0))
        book = self._book(market, account, *reading, runner=runner)
        if not book["runners"]:
            raise ApiError("INVALID_INPUT_DATA", f"market {market_id} has no runner {selection_id}")
        return [book]

    # -- listening -----------------------------------------------------------------------------------------------

    def market_changed(self, market: ExchangeMarket, touched: Touched) -> None:
        if touched.volume or any("trd" in fields or "tv" in fields for fields in touched.runners.values()):
            self._last_match[market.market_id] = self._exchange.clock.now_ms

    def market_gone(self, market: ExchangeMarket) -> None:
        self._last_match.pop(market.market_id, None)

    # -- inside --------------------------------------------------------------------------------------------------

    def _reading(
        self, account: AccountSettings, params: dict[str, Any], markets: int
    ) -> tuple[PriceProjection, BookOrders, float]:
        """What of each market is asked for, and the rate of its currency."""
        projection = PriceProjection(params.get("priceProjection", {}))
        orders = BookOrders(account.username, params)
        limit = self._exchange.settings.limits.data_weight
        if projection.weight * markets > limit:
            raise ApiError("TOO_MUCH_DATA", f"{markets} markets with a weight of {projection.weight:g} each")
        return projection, orders, _rate(params.get("currencyCode", "GBP"))

    def _shown(self, market_id: str) -> ExchangeMarket | None:
        market = self._exchange.markets.get(market_id)
        return None if market is None or market.public.definition is None else market

    def _book(
        self,
        market: ExchangeMarket,
        account: AccountSettings,
        projection: PriceProjection,
        orders: BookOrders,
        units: float,
        runner: tuple[int, float] | None = None,
    ) -> dict[str, Any]:
        definition = market.public.definition or {}
        bets = self._lists.current(account.username, market.market_id) if orders else []
        found: dict[str, Any] = {
            "marketId": market.market_id,
            "isMarketDataDelayed": account.delayed,
            "status": definition.get("status"),
            "betDelay": definition.get("betDelay", 0),
            "bspReconciled": bool(definition.get("bspReconciled")),
            "complete": bool(definition.get("complete")),
            "inplay": bool(definition.get("inPlay")),
            "numberOfWinners": definition.get("numberOfWinners", 0),
            "numberOfRunners": len(definition.get("runners") or ()),
            "numberOfActiveRunners": definition.get("numberOfActiveRunners", 0),
            "lastMatchTime": self._last_matched(market.market_id),
            "totalMatched": _money(market.public.volume, units),
            "totalAvailable": _money(market.public.available, units),
            "crossMatching": bool(definition.get("crossMatching")),
            "runnersVoidable": bool(definition.get("runnersVoidable")),
            "version": definition.get("version", 0),
            "suspendReason": definition.get("suspendReason"),
            "betDelayModels": definition.get("betDelayModels") or None,
            "keyLineDescription": _key_line(definition),
            "runners": [
                self._runner(market, each, projection, orders, bets, units)
                for each in sorted(definition.get("runners") or (), key=lambda each: each.get("sortPriority") or 0)
                if runner is None or runner == (each.get("id"), each.get("hc") or 0.0)
            ],
        }
        return {key: value for key, value in found.items() if value is not None}

    def _runner(
        self,
        market: ExchangeMarket,
        defined: dict[str, Any],
        projection: PriceProjection,
        orders: BookOrders,
        bets: list[AccountBet],
        units: float,
    ) -> dict[str, Any]:
        key = (int(defined["id"]), float(defined.get("hc") or 0.0))
        public = market.public.runners.get(key)
        found: dict[str, Any] = {
            "selectionId": key[0],
            "handicap": key[1],
            "status": defined.get("status", "ACTIVE"),
            "adjustmentFactor": defined.get("adjustmentFactor"),
            "removalDate": defined.get("removalDate"),
        }
        if public is not None:
            found["lastPriceTraded"] = public.last_price_traded
            found["totalMatched"] = _money(public.volume, units)
            if projection.exchange:
                found["ex"] = projection.offers(public, units)
            if projection.starting_price:
                found["sp"] = projection.starting_prices(public, defined, units)
        if orders:
            found |= orders.of([bet for bet in bets if (bet.selection_id, bet.handicap) == key])
        return {name: value for name, value in found.items() if value is not None}

    def _last_matched(self, market_id: str) -> str | None:
        at = self._last_match.get(market_id)
        return None if at is None else written(at)


def _money(pounds: float | None, units: float) -> float:
    return round((pounds or 0.0) * units, 2)


def _key_line(definition: dict[str, Any]) -> dict[str, Any] | None:
    line = (definition.get("keyLineDefinition") or {}).get("kl")
    if not line:
        return None
    return {"keyLine": [{"selectionId": each.get("id"), "handicap": each.get("hc") or 0.0} for each in line]}


def _rate(currency: str) -> float:
    """Units of a currency for one pound.

    Raises:
        ApiError: the exchange has no such currency.
    """
    try:
        return RATES[currency]
    except KeyError:
        raise ApiError("INVALID_INPUT_DATA", f"currency {currency!r}: expected one of {', '.join(RATES)}") from None
