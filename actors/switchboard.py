"""Market actors in other processes, joined to one coordinator.

Each is joined under a name, with a function that takes messages to it. Its own messages are taken in the order in which
it sent them; one that comes twice is taken once. Answers find their way back by the request's sender and by the order:
two actors may host one market, with different strategies.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from ..strategies.errors import RunError
from ..strategies.messages import (
    PLACE,
    LogRow,
    MarketFact,
    MarketResult,
    ReplaceInstruction,
    Reply,
    Request,
    StrategyFact,
    ViolationFact,
)
from ..values import legible
from .coordinator import Coordinator
from .exchange import Answer
from .wire import ToCoordinator

logger = logging.getLogger("headrace")

#: Takes a message to an actor.
SendAnswer = Callable[[Answer], object]
#: Between an actor's name and the id of its request, as the request is named here.
SEPARATOR = "/"


class Line:
    """A market with the actors that host it. It is the market's door, as the coordinator knows it.

    Attributes:
        actors: the names of those that host it.
        owners: whose each order is.
        taken: requests that were taken, by sender and id.
        moved: of these the ones that have another actor now than their sender.
    """

    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard
        self.actors: set[str] = set()
        self.owners: dict[str, str] = {}
        self.taken: set[str] = set()
        self.moved: dict[str, str] = {}

    def receive(self, message: Answer) -> None:
        """Pass an answer on to the actor that it is for; one whose order nobody knows goes to all."""
        if isinstance(message, Reply):
            sender, _, request_id = message.request_id.partition(SEPARATOR)
            self._switchboard.pass_on(
                self.moved.get(message.request_id, sender), msgspec.structs.replace(message, request_id=request_id)
            )
            return
        owner = None if message.order_id is None else self.owners.get(message.order_id)
        for actor in sorted(self.actors) if owner is None else [owner]:
            self._switchboard.pass_on(actor, message)


class Switchboard:
    """Joins market actors to a coordinator.

    Args:
        coordinator: connected to its exchange.
        failed: told of what was wrong with a request: the error, the market's id, the strategy's name.
        taking: told of each request that is taken, before it is judged: by whom, and the request as it is named here.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        failed: Callable[[Exception, str, str | None], object],
        taking: Callable[[str, Request], object] = lambda actor, request: None,
    ) -> None:
        self._coordinator = coordinator
        self._failed = failed
        self._taking = taking
        self._actors: dict[str, SendAnswer] = {}
        self._lines: dict[str, Line] = {}

    def join(self, actor: str, send: SendAnswer) -> None:
        """Join an actor.

        Args:
            actor: its name, without a slash.
            send: takes messages to it.

        Raises:
            RunError: the name has a slash, or another actor has joined under it.
        """
        if SEPARATOR in actor:
            raise RunError(f"market actor {actor!r}: its name has a {SEPARATOR}; leave it out")
        if actor in self._actors:
            raise RunError(f"market actor {actor!r} has joined before; give each a name of its own")
        self._actors[actor] = send

    def leave(self, actor: str) -> None:
        """An actor is gone: its markets are given up, as far as no other hosts them."""
        self._actors.pop(actor, None)
        for market_id, line in list(self._lines.items()):
            if actor in line.actors:
                self._removed(actor, MarketFact(market_id, "REMOVED", self._coordinator.host.clock.now_ms))

    def owner_of(self, market_id: str, order_id: str) -> str | None:
        """The actor whose an order is."""
        line = self._lines.get(market_id)
        return None if line is None else line.owners.get(order_id)

    def pass_on(self, actor: str, message: Answer) -> None:
        """Take a message to an actor; where it has gone nobody hears it."""
        send = self._actors.get(actor)
        if send is not None:
            send(message)

    def receive(self, actor: str, message: ToCoordinator) -> None:
        """Take a message of an actor.

        Raises:
            RunError: the actor has not joined.
        """
        if actor not in self._actors:
            raise RunError(f"market actor {actor!r} sends {type(message).__name__}, and has not joined")
        if isinstance(message, Request):
            self._submit(actor, message)
        elif isinstance(message, MarketFact):
            if message.what == "OPENED":
                self._opened(actor, message)
            elif message.what == "REMOVED":
                self._removed(actor, message)
        elif isinstance(message, MarketResult):
            self._coordinator.closed(message.market, message.orders, message.markets)
        elif isinstance(message, ViolationFact):
            self._coordinator.refused(message)
        elif isinstance(message, LogRow):
            if message.name == "custom_event":
                self._coordinator.process_custom_event(message)
            else:
                self._coordinator.log(message)
        elif not isinstance(message, StrategyFact):  # that is for the journal
            self._coordinator.answer(message)

    # -- markets -------------------------------------------------------------------------------------------------

    def _opened(self, actor: str, market: MarketFact) -> None:
        line = self._lines.get(market.market_id)
        if line is None:
            line = self._lines[market.market_id] = Line(self)
            self._coordinator.opened(market, line)
        line.actors.add(actor)

    def _removed(self, actor: str, market: MarketFact) -> None:
        line = self._lines.get(market.market_id)
        if line is None or actor not in line.actors:
            return
        line.actors.discard(actor)
        if not line.actors:
            del self._lines[market.market_id]
            self._coordinator.removed(market)

    # -- requests ------------------------------------------------------------------------------------------------

    def _submit(self, actor: str, request: Request) -> None:
        line = self._lines.get(request.market_id)
        if line is None or actor not in line.actors:
            self._expire(actor, request, f"market {request.market_id} is not open at the coordinator")
            return
        # Senders number their requests each for itself.
        request = msgspec.structs.replace(request, request_id=f"{actor}{SEPARATOR}{request.request_id}")
        if request.request_id in line.taken:
            logger.debug("Request %s came before: it is not taken again", request.request_id)
            return
        line.taken.add(request.request_id)
        named = named_in(request)
        foreign = [order_id for order_id in named if line.owners.get(order_id, actor) != actor]
        if foreign:
            reason = f"order {foreign[0]} is another actor's: give each actor ids that no other gives"
            self._coordinator.expire(request, reason)
            return
        if request.kind == PLACE and any(order_id in line.owners for order_id in named):
            # An answer could only contradict those that its first request gets.
            logger.warning("Request %s names an order that was placed before: it is not taken", request.request_id)
            return
        line.owners.update(dict.fromkeys(named, actor))
        self._taking(actor, request)
        try:
            self._coordinator.submit(request)
        except Exception as error:
            self._coordinator.expire(request, legible(error))
            self._failed(error, request.market_id, request.strategy)

    def _expire(self, actor: str, request: Request, reason: str) -> None:
        self.pass_on(actor, self._coordinator.expired(request, reason))

    def recall(self, actor: str, request: Request) -> None:
        """A former coordinator has taken a request: it is not taken again, and its orders are the actor's.

        Args:
            request: as it is named here.
        """
        line = self._lines.get(request.market_id)
        if line is not None:
            line.taken.add(request.request_id)
            line.owners.update(dict.fromkeys(named_in(request), actor))
            if request.request_id.partition(SEPARATOR)[0] != actor:
                line.moved[request.request_id] = actor


def named_in(request: Request) -> list[str]:
    """The orders that a request names, those that it makes included."""
    made = [each.new_order_id for each in request.instructions if isinstance(each, ReplaceInstruction)]
    return [*(each.order_id for each in request.instructions), *(each for each in made if each is not None)]
