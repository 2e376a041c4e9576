"""Accounts of a live system, as its coordinator has them: the way of their requests, and what is known of bets."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from ...strategies.messages import ClearedMarket, ClearedOrder, MarketFact, OrderFact, Reply, Request
from ..betfair.account_orders import AccountOrders
from ..betfair.comparing import Loss
from ..betfair.known_bets import KnownBets
from ..betfair.live_account import LiveAccount
from ..clients import BaseClient, Clients
from ..coordinator import expired
from ..exchange import Answer
from ..letters import ForeignBet, Letter, OrdersClosed, Outcome
from .desk import Desk, Owner, owner_of

#: What is written down of a closed market that is open again (see `MarketFact`).
REOPENED = "REOPENED"
#: Makes an account that is reached by calls: its client, what takes answers, what takes letters into the inbox.
MakeAccount = Callable[[BaseClient, Callable[[Answer], object], Callable[[Letter], object]], LiveAccount]


class Hearing(Protocol):
    """What accounts tell the coordinator."""

    def hand_on(self, message: Answer) -> None:
        """An answer, a fact or a result for whoever hosts its market."""

    def report(self, word: str, market_id: str, text: str) -> None:
        """Something that people should know."""

    def to_host(self, request: Request) -> None:
        """A request of a paper account is to go back to its host."""

    def changed(self, owner: Owner, market_id: str) -> None:
        """Something has happened to bets of an account in a market."""

    def heard(self, owner: Owner, message: Answer | ForeignBet | MarketFact) -> None:
        """What has to be known after a restart."""

    def settled(self, owner: Owner, market_id: str, profit: float) -> None:
        """The results of an account's bets in a market come to this, before commission; told at each change."""


class Accounts:
    """The accounts.

    Args:
        clients: the coordinator's, with the counts.
        reference: the strategy reference of this instance.
        hearing: what is told by accounts.
        put: puts a letter into the coordinator's inbox, from any thread.
        clock_ms: now, milliseconds since the epoch; from any thread.
        make_account: makes those that are reached by calls.
        loss: what bets of a market lose at worst.
    """

    def __init__(
        self,
        clients: Clients,
        reference: str,
        hearing: Hearing,
        put: Callable[[Letter], object],
        clock_ms: Callable[[], int],
        make_account: MakeAccount,
        loss: Loss | None = None,
    ) -> None:
        self._hearing, self._clock_ms, self._loss = hearing, clock_ms, loss
        self._desks: dict[Owner, Desk] = {}
        for client in clients:
            desk = self._desks[owner_of(client)] = self._desk(client, reference, put, make_account)
            desk.bets.heard = functools.partial(hearing.heard, desk.owner)

    def _desk(
        self,
        client: BaseClient,
        reference: str,
        put: Callable[[Letter], object],
        make_account: MakeAccount,
    ) -> Desk:
        owner = owner_of(client)
        live: LiveAccount | None = None
        if client.betting_client is not None or hasattr(client, "login"):
            live = make_account(client, functools.partial(self._answered, owner), put)
        if live is None or client.simulated:
            return Desk(client, live, None, KnownBets(*owner, reference))
        orders = AccountOrders(
            *owner,
            reference,
            live.lists,
            functools.partial(self._hand_on, owner),
            self._hearing.report,
            self._market_cleared,
            streamed=client.order_stream,
            direct=True,
            loss=self._loss,
        )
        live.execution.hold = functools.partial(self._hold, owner)
        if live.heartbeat is not None:
            live.heartbeat.report = functools.partial(self._hearing.report, "heartbeat", "")
            live.heartbeat.cancelled = lambda: orders.look_soon(self._clock_ms())
        return Desk(client, live, orders, orders.bets)

    def __iter__(self) -> Iterator[Desk]:
        return iter(self._desks.values())

    @property
    def now_ms(self) -> int:
        return self._clock_ms()

    def of(self, owner: Owner) -> Desk:
        """An account."""
        return self._desks[owner]

    def find(self, owner: Owner) -> Desk | None:
        """An account; None: there is none such."""
        return self._desks.get(owner)

    def why_held(self, owner: Owner, market_id: str) -> str:
        """Why nothing that adds to the risk is to be placed in a market; empty: nothing stands against it."""
        desk = self._desks.get(owner)
        return "" if desk is None or desk.orders is None else desk.orders.why_held(market_id)

    def connecting(self, venue: str, username: str) -> Desk | None:
        """The account that a stream connects with. See `connecting`."""
        able = [desk.client for desk in self if desk.live is not None]
        client = connecting(able, venue, username)
        return None if client is None else self._desks[owner_of(client)]

    # -- requests and what comes of them -------------------------------------------------------------------------

    def take(self, request: Request) -> None:
        """A request is to be sent: it counts from now on."""
        owner = (request.venue, request.username)
        desk = self._desks[owner]
        (desk.bets if desk.orders is None else desk.orders).take_request(request)
        self._hearing.changed(owner, request.market_id)

    def at_exchange(self, request: Request) -> bool:
        """Whether a request goes to an exchange, and not back to the host that simulates one."""
        return self._desks[request.venue, request.username].orders is not None

    def send(self, request: Request) -> None:
        """Send a request on: to the exchange, or for an account on paper back to its host. It was taken before.

        Raises:
            Exception: it was not sent, or not all of it (see `unsent`).
        """
        desk = self._desks[request.venue, request.username]
        if desk.orders is None:
            self._hearing.to_host(request)
        else:
            assert desk.live is not None
            desk.live.send(request)

    def unsent(self, request: Request, why: str) -> None:
        """A request that was taken is not sent. What was sent of it all the same is known again once it is seen."""
        owner = (request.venue, request.username)
        desk = self._desks[owner]
        reply = expired(request, self._clock_ms(), why)
        (desk.bets if desk.orders is None else desk.orders).take_reply(reply)
        self._hand_on(owner, reply)

    def withdrawn(self, request: Request, reply: Reply) -> None:
        """A request that was taken is not sent after all, and its sender is told so."""
        owner = (request.venue, request.username)
        desk = self._desks[owner]
        (desk.bets if desk.orders is None else desk.orders).take_reply(reply)
        self._hearing.changed(owner, request.market_id)

    def _answered(self, owner: Owner, message: Answer) -> None:
        """The exchange has answered a call."""
        desk = self._desks[owner]
        assert desk.orders is not None
        assert desk.live is not None
        if isinstance(message, Reply):
            desk.orders.take_reply(message)
            self._hand_on(owner, message)
        elif isinstance(message, OrderFact):
            desk.orders.take(message, self._clock_ms())
            desk.live.take_fact(message)
            self._hearing.changed(owner, message.market_id)
        else:
            self._hand_on(owner, message)

    def _hold(self, owner: Owner, request: Request, reply: Reply) -> bool:
        """Nobody knows what became of a call: it is found out, and answered then."""
        orders = self._desks[owner].orders
        assert orders is not None
        self._hearing.changed(owner, request.market_id)
        return orders.hold(request, reply)

    def _hand_on(self, owner: Owner, message: Answer) -> None:
        desk = self._desks[owner]
        if isinstance(message, OrderFact) and desk.live is not None:
            desk.live.take_fact(message)
        self._note(desk, message)
        self._hearing.hand_on(message)
        self._hearing.changed(owner, message.market_id)

    def _note(self, desk: Desk, message: Answer) -> None:
        if not isinstance(message, ClearedOrder):
            return
        if desk.take_result(message):
            self._hearing.heard(desk.owner, message)
        results = desk.results[message.market_id]
        self._hearing.settled(desk.owner, message.market_id, round(sum(results.values()), 2))

    def reopened(self, market_id: str) -> None:
        """A closed market is open again: its bets have no results any more."""
        for desk in self:
            if desk.orders is not None:
                desk.orders.market_reopened(market_id)
            self._take_back(desk, market_id)

    def _take_back(self, desk: Desk, market_id: str) -> None:
        if desk.take_back(market_id):
            self._hearing.heard(desk.owner, MarketFact(market_id, REOPENED, self._clock_ms()))
            self._hearing.settled(desk.owner, market_id, 0.0)
            self._hearing.changed(desk.owner, market_id)

    def _market_cleared(self, cleared: ClearedMarket) -> None:
        text = f"settled: {cleared.profit:.2f} with {cleared.bet_count} bets of the account"
        self._hearing.report("settled", cleared.market_id, text)

    def simulated(self, request: Request | None, message: Answer) -> None:
        """A host's simulated exchange has answered. `request`: what it answers, where that is known."""
        for desk in self._desks.values():
            if desk.orders is not None:
                continue
            if isinstance(message, Reply):
                if request is None or (request.venue, request.username) != desk.owner:
                    continue
                desk.bets.take_reply(message)
            elif desk.bets.of(message.order_id, message.bet_id) is None:
                continue
            elif isinstance(message, OrderFact):
                desk.bets.take_fact(message)
            self._note(desk, message)
            self._hearing.changed(desk.owner, message.market_id)
            return

    # -- what streams tell ---------------------------------------------------------------------------------------

    def take_letter(self, owner: Owner, letter: Letter, at_ms: int) -> None:
        """A letter of an account's order stream."""
        desk = self._desks[owner]
        if desk.orders is None or desk.live is None:
            return
        desk.orders.take(letter, at_ms)
        if isinstance(letter, OrderFact):
            desk.live.take_fact(letter)
        if isinstance(letter, OrdersClosed):
            if not letter.closed:
                self._take_back(desk, letter.market_id)
            return
        market_id = getattr(letter, "market_id", None)
        if market_id is not None:
            self._hearing.changed(owner, market_id)

    # -- time ----------------------------------------------------------------------------------------------------

    def outcome(self, letter: Outcome) -> bool:
        """A call has ended; False if it was none of an account's."""
        return any(desk.live.outcome(letter) for desk in self if desk.live is not None)

    @property
    def next_ms(self) -> float:
        """When `wake` is to be called."""
        return min(
            min((desk.live.next_ms for desk in self if desk.live is not None), default=float("inf")),
            min((desk.orders.next_ms for desk in self if desk.orders is not None), default=float("inf")),
        )

    def wake(self, at_ms: int) -> None:
        """Do what is due."""
        for desk in self:
            if desk.live is not None:
                desk.live.wake(at_ms)
            if desk.orders is not None:
                desk.orders.wake(at_ms)

    def close(self, then: Callable[[], object]) -> None:
        """Log out everywhere, then call `then`."""
        open_ = [desk.live for desk in self if desk.live is not None]
        left = len(open_)

        def out() -> None:
            nonlocal left
            left -= 1
            if not left:
                then()

        for live in open_:
            live.close(out)
        if not open_:
            then()

    def end(self) -> None:
        """Give up what is under way."""
        for desk in self:
            if desk.live is not None:
                desk.live.calls.close()


def connecting(clients: Sequence[BaseClient], venue: str, username: str) -> BaseClient | None:
    """The account that a stream connects with: the one it names, or else the first that is not simulated.

    Accounts that trade on paper have streams as well: they are taken where no other is there.
    """
    if username:
        return next((each for each in clients if (each.venue, each.username) == (venue, username)), None)
    return next((each for each in clients if not each.simulated), clients[0] if clients else None)
