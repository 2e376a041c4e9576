"""The order stream of an account: a live actor that tells how bets stand, and what is matched on each runner.

It is subscribed without a filter, with the overall position: what other programs of the account do is seen, and told of
apart. Facts of this instance's bets go to the hosts of their market at once, and to the coordinator. Source: Betfair
Exchange Stream API, "Order Stream".
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from ...strategies.messages import OrderFact
from ..letters import ImageWanted, Introduce, Letter, OrdersImage, Route, Unroute
from ..live.crews import StreamPlan
from .connection import Connection
from .order_messages import Folded, OrderFold
from .stream_messages import Batch
from .stream_place import StreamPlace, StreamSettings
from .stream_role import COORDINATOR, StreamRole
from .subscription import Subscription

logger = logging.getLogger("headrace")

#: How long a closed market is remembered: its bets may still be voided. Milliseconds.
_CLOSED_MS = 3_600_000


class OrderStreamRole(StreamRole):
    """The order stream of one account.

    Args:
        plan: names the stream and the account; `conflate_ms` of it counts.
        place: where the exchange is.
        reference: the strategy reference of this instance: bets with another were placed elsewhere.
        settings: see `StreamRole`.
    """

    def __init__(
        self,
        plan: StreamPlan,
        place: StreamPlace,
        reference: str,
        settings: StreamSettings | None = None,
    ) -> None:
        super().__init__(plan, place, settings)
        self._fold = OrderFold(plan.venue, plan.username, lambda strategy_ref, _: strategy_ref == reference)
        self._hosts: dict[str, dict[str, set[str]]] = {}
        self._imaged_at: int | None = None

    def subscriptions(self) -> Iterator[Subscription]:
        yield Subscription(
            self.plan.operation,
            {
                "orderFilter": {"includeOverallPosition": True, "partitionMatchedByStrategyRef": False},
                # Without a number the exchange may choose one.
                "conflateMs": self.plan.conflate_ms or 0,
                "heartbeatMs": self.settings.heartbeat_ms,
                "segmentationEnabled": True,
            },
        )

    def figures(self) -> dict[str, Any]:
        return {"markets": self._fold.markets}

    # -- what the exchange tells ---------------------------------------------------------------------------------

    def received(self, connection: Connection, batch: Batch) -> None:
        found = self._fold.fold(batch.changes, batch.pt, batch.image)
        for sentence in found.unread:
            logger.error("Stream %s: left out: %s", self.name, sentence)
        self._tell(found)
        if batch.image or batch.resumed:
            self._imaged_at = batch.pt
            self._tell_image()

    def _tell(self, found: Folded) -> None:
        send = self.mail.send
        for fact in found.facts:
            for host in self._hosts.get(fact.market_id, ()):
                send(host, fact)
        # Of a bet that is new here the coordinator hears whose it is first.
        for bet in found.bets:
            send(COORDINATOR, bet)
        for fact in found.facts:
            send(COORDINATOR, fact)
        for position in found.positions:
            send(COORDINATOR, position)
        for closing in found.closings:
            send(COORDINATOR, closing)

    def _tell_image(self) -> None:
        if self._imaged_at is not None:
            self.mail.send(COORDINATOR, OrdersImage(self.name, self.venue, self.username, self._imaged_at))

    def due(self, at_ms: int) -> None:
        self._fold.forget_closed(at_ms - _CLOSED_MS)

    # -- who is to hear of it ------------------------------------------------------------------------------------

    def take(self, sender: str, letter: Letter, at_ms: int) -> None:
        if isinstance(letter, Route):
            crews = self._hosts.setdefault(letter.market_id, {}).setdefault(letter.host, set())
            crews.add(letter.crew)
            self._tell_host(letter.host, self._fold.facts(letter.market_id))
        elif isinstance(letter, Unroute):
            self._unroute(letter)
        elif isinstance(letter, ImageWanted):
            wanted = [letter.market_id] if letter.market_id else list(self._hosts)
            for market_id in wanted:
                if letter.host in self._hosts.get(market_id, ()):
                    self._tell_host(letter.host, self._fold.facts(market_id))

    def _unroute(self, letter: Unroute) -> None:
        hosts = self._hosts.get(letter.market_id, {})
        for host, crews in list(hosts.items()):
            crews.discard(letter.crew)
            if not crews:
                del hosts[host]
        if not hosts:
            self._hosts.pop(letter.market_id, None)

    def introduced(self, letter: Introduce) -> None:
        if not letter.address:
            for market_id, hosts in list(self._hosts.items()):
                hosts.pop(letter.name, None)
                if not hosts:
                    del self._hosts[market_id]
        elif letter.name == COORDINATOR:
            # It may be another than before: all that is known is told again.
            self._tell(self._fold.everything())
            self._tell_image()

    def _tell_host(self, host: str, facts: list[OrderFact]) -> None:
        for fact in facts:
            self.mail.send(host, fact)
