"""What is known of a market by its definition, long after the market itself has vanished: names, numbers, times."""

from __future__ import annotations

from typing import Any

from ...strategies.commission import commission_percent
from .account_bet import AccountBet
from .exchange import Exchange, ExchangeMarket, Listener
from .public_market import Touched


class MarketWords(Listener):
    """Definitions of the markets in which accounts have bets, as they were last seen. It listens to the exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._definitions: dict[str, dict[str, Any]] = {}
        exchange.listeners.append(self)

    # -- listening -----------------------------------------------------------------------------------------------

    def market_changed(self, market: ExchangeMarket, touched: Touched) -> None:
        if touched.definition and market.bets:
            self._note(market)

    def bet_changed(self, bet: AccountBet) -> None:
        if bet.market_id not in self._definitions:
            self._note(self._exchange.markets[bet.market_id])

    def _note(self, market: ExchangeMarket) -> None:
        if market.public.definition is not None:
            self._definitions[market.market_id] = market.public.definition

    # -- what is known -------------------------------------------------------------------------------------------

    def of(self, market_id: str) -> dict[str, Any]:
        """The definition; {} if accounts never had bets there."""
        return self._definitions.get(market_id, {})

    def commission_rate(self, market_id: str, discount_rate: float) -> float:
        """Percent of what is won there, for an account with a discount of that many percent."""
        definition = self.of(market_id)
        base_rate = float(definition.get("marketBaseRate") or 0.0)
        return commission_percent(base_rate, bool(definition.get("discountAllowed")), discount_rate)

    def description(self, bet: AccountBet) -> dict[str, Any]:
        """An `ItemDescription` of a bet; names that the definition lacks are left out."""
        definition = self.of(bet.market_id)
        found = {
            "eventTypeDesc": definition.get("eventTypeName"),
            "eventDesc": definition.get("eventName"),
            "marketDesc": definition.get("name") or definition.get("marketType"),
            "marketType": definition.get("marketType"),
            "marketStartTime": definition.get("marketTime"),
            "runnerDesc": self.runner_name(bet),
            "numberOfWinners": definition.get("numberOfWinners"),
            "eachWayDivisor": definition.get("eachWayDivisor"),
        }
        return {key: value for key, value in found.items() if value is not None}

    def runner_name(self, bet: AccountBet) -> str | None:
        """The name of a bet's runner, if the definition has names."""
        for runner in self.of(bet.market_id).get("runners", ()):
            if runner.get("id") == bet.selection_id and (runner.get("hc") or 0.0) == bet.handicap:
                name = runner.get("name")
                return None if name is None else str(name)
        return None
