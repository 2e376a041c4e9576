"""Paper bets of a host that has ended: the exchange that simulated them has ended with it.

What was matched stays, and is settled with the market. What rested lapses, and what was on its way was never placed:
strategies are told so, and so is the coordinator.
"""

from __future__ import annotations

from ...strategies.messages import (
    ANSWERED,
    CANCEL,
    EXPIRED,
    FAILURE,
    PLACE,
    SIMULATED,
    UPDATE,
    OrderFact,
    PlaceInstruction,
    Reply,
    Report,
)
from ...strategies.order import Order
from ...strategies.order_types import LimitOrder, MarketOnCloseOrder
from ...strategies.stands import Stand
from ..hosted_market import HostedMarket
from ..market import MarketActor
from ..switchboard import SEPARATOR
from .host_coordinator import HostCoordinator

#: Why it was not placed, and why a change of it came too late.
HOST_ENDED = "the host that simulated it has ended"
_TOO_LATE = "BET_TAKEN_OR_LAPSED"


class PaperEnds:
    """See the module; for one market actor.

    Args:
        actor, coordinator: the actor, and what tells the coordinator.
        name: the actor's, as the coordinator knows it.
    """

    def __init__(self, actor: MarketActor, coordinator: HostCoordinator, name: str) -> None:
        self._actor, self._coordinator, self._name = actor, coordinator, name

    def go_on(self, market: HostedMarket) -> None:
        """End the paper orders of a market that has been made again, and hand over what was matched of them."""
        orders = [order for order in market.blotter if order.client is not None and order.client.simulated]
        for order in orders:
            if order.complete and order.id not in market.replacing:
                continue
            if order.state.stand in (Stand.SENT, Stand.IN_DOUBT):
                self._answer(market, order.request_id, EXPIRED, Report(order.id, PLACE, FAILURE))
                continue
            if order.id in market.replacing or order.state.request is not None:
                operation = UPDATE if order.state.request == UPDATE else CANCEL
                self._answer(market, order.request_id, ANSWERED, Report(order.id, operation, FAILURE, _TOO_LATE))
            if not order.is_done:
                self._coordinator.answer(self._lapsed(order))
        self._actor.process_current_orders(market)
        for order in orders:
            fact = order._fact
            if fact is not None and fact.matched:
                terms = self._actor.account(order.client.venue, order.client.username)
                asked = _instruction_of(order)
                market.exchange.adopt(asked, order.trade.strategy.name, terms, fact)

    def _answer(self, market: HostedMarket, request_id: str | None, outcome: str, report: Report) -> None:
        known = f"{self._name}{SEPARATOR}{request_id}"
        reason = None if outcome == ANSWERED else HOST_ENDED
        now = self._actor.clock.now_ms
        self._coordinator.answer(Reply(known, market.market_id, now, outcome, (report,), reason=reason))

    def _lapsed(self, order: Order) -> OrderFact:
        """How a bet stands, now that nothing more of it is matched."""
        kind = order.order_type
        limit = isinstance(kind, LimitOrder)
        # Nothing remains of an order for the starting price: either it was matched, or all of it lapses.
        left = order.size_remaining if limit else 0.0 if order.size_matched else order.requested_size
        return OrderFact(
            order.market_id,
            order.id,
            order.bet_id,
            SIMULATED,
            self._actor.clock.now_ms,
            False,
            None if isinstance(kind, MarketOnCloseOrder) else kind.price,
            order.requested_size,
            order.persistence_type,
            order.size_matched,
            order.average_price_matched,
            0.0,
            order.size_cancelled,
            round(order.size_lapsed + left, 2),
            order.size_voided,
            order.fills,
        )


def _instruction_of(order: Order) -> PlaceInstruction:
    """What was asked for; of one that took another's place what it comes to."""
    asked = order.asked
    instruction = order.instruction()
    order.asked = asked
    return instruction if asked is None else asked
