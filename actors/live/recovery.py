"""What a former coordinator has written down, told to the objects of this one by the calls by which that heard of it.

So there is no second set of rules: accounts, counts and lines know what they knew, and what was sent and not answered
is in doubt, and looked into. Nothing is sent, told or written meanwhile.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Container, Iterable
from typing import Any

import msgspec

from ...strategies.messages import (
    ANSWERED,
    CANCEL,
    PLACE,
    REFUSED,
    SUCCESS,
    UNCONFIRMED,
    UNKNOWN,
    AccountFact,
    CancelInstruction,
    ClearedOrder,
    Instruction,
    MarketFact,
    OrderFact,
    PlaceInstruction,
    ReplaceInstruction,
    Reply,
    Report,
    Request,
    ViolationFact,
)
from ..betfair.known_bets import with_part
from ..journal.entries import Entry, Noted, Seated
from ..letters import ForeignBet, Hello
from .accounts import REOPENED
from .betting import Betting
from .desk import Desk, Owner
from .setup import LiveSetup

logger = logging.getLogger("headrace")

#: A crew and a market.
Place = tuple[str, str]
_WHY = "the coordinator ended before it was answered"


@dataclasses.dataclass(slots=True, eq=False)
class Open:
    """A request of which something is not answered.

    Attributes:
        waiting: instructions without an answer, by order.
        placing: replaces whose cancel was done, and whose placing is not answered, by the new order.
        taken: what the exchange has taken asynchronously, and has given no number so far.
    """

    request: Request
    desk: Desk
    waiting: dict[str, Instruction]
    placing: dict[str, ReplaceInstruction] = dataclasses.field(default_factory=dict)
    taken: dict[str, Instruction] = dataclasses.field(default_factory=dict)

    @property
    def done(self) -> bool:
        return not (self.waiting or self.placing or self.taken)

    def take(self, reply: Reply) -> None:
        """A part of it is answered, or all."""
        if reply.outcome in (UNKNOWN, UNCONFIRMED):
            return
        for report in reply.reports:
            if report.operation == PLACE and report.order_id in self.placing:
                self._placed(report, self.placing.pop(report.order_id), reply.outcome)
                continue
            asked = self.waiting.pop(report.order_id, None)
            if asked is None:
                continue
            if report.operation == PLACE:
                self._placed(report, asked, reply.outcome)
            elif (
                isinstance(asked, ReplaceInstruction)
                and asked.new_order_id is not None
                and (report.operation, report.status) == (CANCEL, SUCCESS)
            ):
                self.placing[asked.new_order_id] = asked

    def _placed(self, report: Report, asked: Instruction, outcome: str) -> None:
        if (outcome, report.status, report.bet_id) == (ANSWERED, SUCCESS, None):
            self.taken[report.order_id] = asked


@dataclasses.dataclass
class Recovered:
    """What else the journal says.

    Attributes:
        places: where crews have their markets.
        given_up: places that are traded no more.
        actors: who has said hello last, by name.
        noted: what was said about the system, in order.
        homeless: accounts that had orders, and are not there any more.
        entries: how many there were.
    """

    places: dict[Place, Seated] = dataclasses.field(default_factory=dict)
    given_up: set[Place] = dataclasses.field(default_factory=set)
    actors: dict[str, Hello] = dataclasses.field(default_factory=dict)
    noted: list[Noted] = dataclasses.field(default_factory=list)
    homeless: set[Owner] = dataclasses.field(default_factory=set)
    entries: int = 0


class Recovery:
    """Tells what is in a journal.

    Args:
        betting: is told of requests, answers, facts and results.
    """

    def __init__(self, setup: LiveSetup, betting: Betting) -> None:
        self._crews = {name: crew.name for crew in setup.crews for name in crew.strategies}
        self._betting = betting
        self._open: dict[str, Open] = {}
        self.found = Recovered()
        self._takers: dict[type, Callable[[Any, Entry], object]] = {
            Request: self._request,
            Reply: self._reply,
            OrderFact: self._fact,
            ForeignBet: self._bet,
            ClearedOrder: self._cleared,
            MarketFact: self._market,
            ViolationFact: lambda message, entry: betting.coordinator.refused(message),
            AccountFact: self._account,
            Seated: self._seated,
            Hello: self._hello,
            Noted: lambda message, entry: self.found.noted.append(message),
        }

    def read(self, entries: Iterable[Entry]) -> Recovered:
        """Tell all of it, and look into what it leaves open."""
        betting, found = self._betting, self.found
        for entry in entries:
            found.entries += 1
            take = self._takers.get(type(entry.message))
            if take is not None:
                take(entry.message, entry)
        crews = set(self._crews.values())
        found.places = {place: seat for place, seat in found.places.items() if place[0] in crews}
        found.given_up = {place for place in found.given_up if place[0] in crews}
        for desk in betting.accounts:
            for market_id in desk.bets.markets:
                betting.changed(desk.owner, market_id)
            for market_id, results in desk.results.items():
                betting.settled(desk.owner, market_id, round(sum(results.values()), 2))
        return found

    def count(self, entries: Iterable[Entry], told: Container[str]) -> None:
        """Count transactions of this hour in markets that are over, of which nothing else need be known.

        Args:
            entries: since the hour began, but of markets that `read` has told of.
            told: those.
        """
        coordinator = self._betting.coordinator
        for entry in entries:
            message = entry.message
            if isinstance(message, Request):
                if self._betting.accounts.find((message.venue, message.username)) is not None:
                    coordinator.recall(message)
            elif isinstance(message, Reply) and (known := coordinator.requests.get(message.request_id)) is not None:
                reply = _of_sent(message, known[0])
                if reply is not None:
                    coordinator.recall(reply)
        # They are not answered any more.
        coordinator.requests = {key: known for key, known in coordinator.requests.items() if known[0].market_id in told}

    def look_into(self, at_ms: int) -> None:
        """Look into what is open. What it has come to is told as ever."""
        wishes = list[tuple[Desk, Request]]()
        for each in self._open.values():
            orders = each.desk.orders
            if orders is None:
                continue  # whoever simulates it answers
            taken = [order_id for order_id in each.taken if self._is_open(each.desk, order_id)]
            self._recall(each, taken)
            wish = self._wish(each)
            if wish is not None:
                wishes.append((each.desk, wish))
            placing = [asked.order_id for asked in each.placing.values()]
            asked = [each.taken[order_id].order_id for order_id in taken]
            orders.doubts.doubt(each.request, at_ms, _WHY, list(each.waiting))
            orders.doubts.doubt(each.request, at_ms, _WHY, placing, placing=True)
            if asked:
                orders.doubts.expect(each.request, at_ms, asked)
            if each.waiting or placing or asked:
                orders.doubts.blind()
        self._open.clear()
        for desk, wish in wishes:
            assert desk.live is not None
            desk.live.send(wish)

    @staticmethod
    def _recall(open_: Open, taken: list[str]) -> None:
        """Orders are placed later than they are answered: what is asked of them meanwhile waits for their numbers."""
        assert open_.desk.live is not None
        request = open_.request
        if request.async_:
            made = [getattr(each, "new_order_id", None) for each in (*open_.waiting.values(), *open_.placing.values())]
            placed = [order_id for order_id, each in open_.waiting.items() if isinstance(each, PlaceInstruction)]
            names = [*taken, *placed, *(each for each in made if each is not None)]
            open_.desk.live.execution.recall(request.market_id, names)

    @staticmethod
    def _wish(open_: Open) -> Request | None:
        """Take out the cancels that may have waited for the numbers of their bets: they are to be sent again.

        Cancels of whole bets may be repeated.
        """
        bets, wishes = open_.desk.bets, list[Instruction]()
        for order_id, each in list(open_.waiting.items()):
            if isinstance(each, CancelInstruction) and each.bet_id is None and each.size_reduction is None:
                del open_.waiting[order_id]
                bet = bets.of(each.order_id, None)
                wishes.append(each if bet is None else msgspec.structs.replace(each, bet_id=bet.bet_id))
        return msgspec.structs.replace(open_.request, instructions=tuple(wishes)) if wishes else None

    @staticmethod
    def _is_open(desk: Desk, order_id: str) -> bool:
        bet = desk.bets.of(order_id, None)
        return bet is not None and bet.bet_id is None and not bet.ended

    # -- what was written ----------------------------------------------------------------------------------------

    def _actor(self, request: Request, actor: str) -> str:
        """Who hosts the orders of a request now: its strategy's crew may have another name than before."""
        host, _, before = actor.partition(".")
        crew = self._crews.get(request.strategy, before)
        seat = self.found.places.get((before, request.market_id))
        if crew != before and seat is not None:
            self.found.places.setdefault((crew, request.market_id), msgspec.structs.replace(seat, crew=crew))
            self._betting.join(host, crew)
        return f"{host}.{crew}"

    def _request(self, request: Request, entry: Entry) -> None:
        desk = self._betting.accounts.find((request.venue, request.username))
        if desk is None:
            self.found.homeless.add((request.venue, request.username))
            return
        self._betting.switchboard.recall(self._actor(request, entry.actor), request)
        self._betting.coordinator.recall(request)
        self._betting.risk.recall(request, entry.at)
        desk.bets.take_request(request)
        open_ = self._open.setdefault(request.request_id, Open(request, desk, {}))
        open_.request = with_part(open_.request, request)
        open_.waiting.update({each.order_id: each for each in request.instructions})

    def _reply(self, reply: Reply, entry: Entry) -> None:
        self._betting.replies.setdefault(reply.market_id, {}).setdefault(reply.request_id, []).append(reply)
        open_ = self._open.get(reply.request_id)
        desk = self._desk(entry.actor) if open_ is None else open_.desk
        if desk is None:
            return
        request = desk.bets.request(reply.request_id)
        if request is None:
            return
        answer = _of_sent(reply, request)
        if answer is None:
            return
        self._betting.coordinator.recall(answer)
        desk.bets.take_reply(answer)
        if open_ is not None:
            open_.take(answer)
            if open_.done:
                del self._open[reply.request_id]

    def _fact(self, fact: OrderFact, entry: Entry) -> None:
        desk = self._desk(entry.actor)
        if desk is not None:
            desk.bets.take_fact(fact)

    def _bet(self, bet: ForeignBet, entry: Entry) -> None:
        desk = self._desk(entry.actor)
        fact = None if desk is None else desk.bets.take_bet(bet)
        if desk is not None and fact is not None:
            desk.bets.take_fact(fact)

    def _cleared(self, result: ClearedOrder, entry: Entry) -> None:
        desk = self._desk(entry.actor)
        if desk is not None:
            desk.take_result(result)

    def _market(self, market: MarketFact, entry: Entry) -> None:
        betting = self._betting
        if market.what == REOPENED:
            desk = self._desk(entry.actor)
            if desk is not None:
                desk.take_back(market.market_id)
            return
        host, _, crew = entry.actor.partition(".")
        betting.join(host, crew)
        betting.switchboard.receive(entry.actor, market)

    def _account(self, fact: AccountFact, entry: Entry) -> None:
        desk = self._betting.accounts.find((fact.venue, fact.username))
        if desk is not None:
            desk.client.take_funds(fact.funds, fact.exposure, fact.at)

    def _seated(self, seat: Seated, entry: Entry) -> None:
        place = (seat.crew, seat.market_id)
        self.found.places.pop(place, None)
        if not seat.host:
            self.found.given_up.add(place)
        else:
            self.found.given_up.discard(place)
            self.found.places[place] = seat
            self._betting.join(seat.host, seat.crew)

    def _hello(self, hello: Hello, entry: Entry) -> None:
        self.found.actors[hello.name] = hello

    def _desk(self, actor: str) -> Desk | None:
        venue, _, username = actor.partition(" ")
        return self._betting.accounts.find((venue, username))


def _of_sent(reply: Reply, request: Request) -> Reply | None:
    """A reply without what the controls have taken out of a request, for that was not sent; None: nothing is left."""
    if reply.outcome != REFUSED:
        return reply
    sent = {each.order_id for each in request.instructions}
    reports = tuple(report for report in reply.reports if report.order_id in sent)
    return msgspec.structs.replace(reply, reports=reports) if reports else None
