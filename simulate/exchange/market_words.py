"""What is known of a market by its definition, long after the market itself has vanished: names, numbers, times."""

from __future__ import annotations

from typing import Any

from .account_bet import AccountBet
from .exchange import ExchangeMarket


class MarketWords:
    """Definitions of the markets in which accounts have bets, as they were last seen."""

    def __init__(self) -> None:
        self._definitions: dict[str, dict[str, Any]] = {}

    def note(self, market: ExchangeMarket) -> None:
        """Keep how a market is defined now."""
        if market.public.definition is not None:
            self._definitions[market.market_id] = market.public.definition

    def of(self, market_id: str) -> dict[str, Any]:
        """The definition; {} if the market was never noted."""
        return self._definitions.get(market_id, {})

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
