"""One account of a live system, as its coordinator has it."""

from __future__ import annotations

from ...strategies.messages import ClearedOrder
from ..betfair.account_orders import AccountOrders
from ..betfair.known_bet import KnownBet
from ..betfair.known_bets import KnownBets
from ..betfair.live_account import LiveAccount
from ..clients import BaseClient

#: Venue and username.
Owner = tuple[str, str]


def owner_of(client: BaseClient) -> Owner:
    return client.venue, client.username


class Desk:
    """One account.

    Attributes:
        live: its session and calls; None where there are none.
        orders: what becomes of its orders at the exchange; None of accounts on paper.
        bets: what is known of them.
        results: profits of bets that have a result, by market and order.
    """

    def __init__(
        self, client: BaseClient, live: LiveAccount | None, orders: AccountOrders | None, bets: KnownBets
    ) -> None:
        self.client, self.live, self.orders, self.bets = client, live, orders, bets
        self.owner = owner_of(client)
        self.results: dict[str, dict[str, float]] = {}

    @property
    def ready(self) -> bool:
        """How its bets stand is known: orders may be placed."""
        return self.orders is None or self.orders.ready

    def open_in(self, market_id: str) -> list[KnownBet]:
        """Its bets in a market that have no result yet."""
        results = self.results.get(market_id, {})
        return [
            bet
            for bet in self.bets.in_market(market_id)
            if (bet.order_id or bet.bet_id or "") not in results and (bet.bet_id or "") not in results
        ]

    @property
    def under_way(self) -> list[KnownBet]:
        """Its bets at the exchange of which it is not known whether they rest."""
        orders = self.orders
        if orders is None:
            return []
        return [bet for bet in self.bets.live if bet.bet_id is None or bet.replacing or orders.in_doubt(bet.order_id)]

    @property
    def resting(self) -> list[str]:
        """Its bets that rest at the exchange, by number."""
        live = self.bets.live if self.orders is not None else []
        return [bet.bet_id for bet in live if bet.bet_id is not None and not bet.ended]

    def take_result(self, result: ClearedOrder) -> bool:
        """A bet has a result; True if that is news."""
        results = self.results.setdefault(result.market_id, {})
        bet = result.bet_id or result.order_id or ""
        known = results.get(bet)
        results[bet] = result.profit
        self.bets.take_result(result)
        return known != result.profit

    def take_back(self, market_id: str) -> bool:
        """A market is open again: its bets have no results; True if they had."""
        for bet in self.bets.in_market(market_id):
            bet.settled = False
        return bool(self.results.pop(market_id, None))

    def settled(self, market_id: str) -> bool:
        """Whether a market has closed, and all results of this instance in it are there."""
        if self.orders is not None:
            return self.orders.closure.cleared(market_id)
        return bool(self.results.get(market_id)) and self.cleared(market_id)

    def cleared(self, market_id: str) -> bool:
        """Whether nothing of it in a closed market waits for a result."""
        if self.orders is not None:
            return not self.bets.in_market(market_id) or self.orders.closure.cleared(market_id)
        return not self.at_stake(market_id)

    def at_stake(self, market_id: str) -> bool:
        """Whether it has a bet in a market that rests, may yet be placed, or has no result."""
        return any(bet.matched or not bet.ended or bet.replacing for bet in self.open_in(market_id))

    def forget(self, market_id: str) -> None:
        """A market is over."""
        self.results.pop(market_id, None)
        if self.orders is not None:
            self.orders.forget([market_id])
        else:
            self.bets.forget([market_id])
