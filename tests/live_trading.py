"""An account that trades live at a rehearsal exchange of this process, through real sockets, with faults on demand.

with venue() as exchange, Trading(exchange) as trading:
    order = trading.place(3.0, 5.0)
    trading.until(lambda: order.status is hr.OrderStatus.EXECUTABLE)

One market actor, the account's session, calls and order stream, and what is known of its orders; no hosts and no
coordinator. All but the exchange and the stream's thread is in the test's own thread, in `until`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import queue
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import betfairlightweight

import headrace as hr
from builders import MARKET, T0, Stream, priced
from exchange_builders import ALICE, ListFeed, settings
from headrace.actors.betfair.account_orders import AccountOrders
from headrace.actors.betfair.betfair_client import BetfairClient
from headrace.actors.betfair.calls import Calls
from headrace.actors.betfair.live_account import LiveAccount
from headrace.actors.exchange import Answer
from headrace.actors.letters import Letter, Outcome, Session, SessionWanted, StreamState
from headrace.actors.live.crews import StreamPlan
from headrace.actors.live.exposure import loss_of
from headrace.actors.remote import RemoteCoordinator, RemoteExchange
from headrace.actors.streaming.order_stream import OrderStreamRole
from headrace.actors.streaming.stream_place import StreamPlace, StreamSettings
from headrace.simulate.exchange.account_bet import AccountBet
from headrace.simulate.exchange.faults import Fault
from headrace.simulate.exchange.ledger import Entry
from headrace.simulate.exchange.plan import Played
from headrace.simulate.exchange.pointing import point
from headrace.simulate.exchange.service import Service
from headrace.simulate.exchange.settings import AccountSettings
from headrace.strategies.change_lines import decode_line
from headrace.strategies.clock import LiveClock
from headrace.strategies.host import Host, unique_id
from headrace.strategies.messages import ClearedMarket, ClearedOrder, OrderFact, Reply, Request
from live_builders import FakeMail, Running

WAIT = 20.0
REFERENCE = "tests"


class Venue:
    """An exchange that is being served. All of it lives in the loop's thread: tests ask through `do`."""

    def __init__(self, service: Service, loop: asyncio.AbstractEventLoop) -> None:
        self.service = service
        self.loop = loop

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(WAIT)

    def do(self, function: Callable[[], Any]) -> Any:
        async def call() -> Any:
            return function()

        return self.run(call())

    def fault(self, kind: str, **of: Any) -> None:
        self.do(lambda: self.service.faults.add(Fault(kind, **of)))

    def step(self, messages: int = 1) -> None:
        """Play so many messages more."""
        self.run(self.service.runner.step(messages))

    @property
    def bets(self) -> list[AccountBet]:
        """All bets, in the order of their placing."""
        return self.do(lambda: list(self.service.exchange.bets.values()))

    def bet(self, order: hr.Order) -> AccountBet:
        """The bet of an order."""
        return next(bet for bet in self.bets if bet.bet_id == order.bet_id)

    def entries(self, kind: str) -> list[Entry]:
        return self.do(lambda: self.service.ledger.entries(0, kind))

    def calls(self, operation: str) -> list[dict[str, Any]]:
        """All calls of an operation that have come."""
        return [each.values for each in self.entries("REQUEST") if each.values["operation"] == operation]

    def client(self, account: AccountSettings = ALICE) -> betfairlightweight.APIClient:
        """The stock client, pointed here."""
        made = betfairlightweight.APIClient(account.username, account.password, account.app_key)
        return point(made, self.service.addresses)

    def elsewhere(self, account: AccountSettings = ALICE) -> betfairlightweight.APIClient:
        """The stock client, logged in: somebody else's program."""
        made = self.client(account)
        made.login_interactive()
        return made


class _Service(Service):
    """Plays lines that tests have written."""

    def __init__(self, streams: Sequence[Stream], sports: dict[int, Any] | None, **changes: Any) -> None:
        self._streams, self._sports = streams, sports
        super().__init__(Played(markets="written by a test"), settings(**changes))

    def _feeds(self, played: Played) -> list[Any]:
        lines = ListFeed(*self._streams, sports=self._sports)
        if self.settings.speed == "step":
            return [lines]
        later = self.timeline.start_ms - T0  # played by the clock, it begins now
        return [[dataclasses.replace(each, at=each.at + later) for each in lines]]


@contextmanager
def venue(*streams: Stream, played: int = 2, sports: dict[int, Any] | None = None, **changes: Any) -> Iterator[Venue]:
    """Serve an exchange.

    Args:
        streams: what it plays, message by message; a market with prices if there are none.
        played: messages that are played at once, where it is played by steps.
        sports: races and matches by time; see `ListFeed`.
        changes: of its settings.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="exchange", daemon=True)
    thread.start()

    playing: list[asyncio.Future[None]] = []

    async def start() -> Service:
        service = _Service(streams or (priced(),), sports, **changes)
        await service.start()
        if service.settings.speed == "step":
            await service.runner.step(played)
        else:
            playing.append(asyncio.ensure_future(service.run()))
        return service

    try:
        service = asyncio.run_coroutine_threadsafe(start(), loop).result(WAIT)
        made = Venue(service, loop)
        try:
            yield made
        finally:
            made.run(service.stop())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(WAIT)
        loop.close()


class Watching(hr.Strategy):
    """Does nothing by itself, and notes what it is told of orders."""

    def __init__(self, **settings: Any) -> None:
        no_limits = {"max_order_exposure": None, "max_selection_exposure": None, "max_live_trade_count": 1_000_000}
        super().__init__(**{**no_limits, **settings})
        self.seen: list[tuple[str, str]] = []

    def process_orders(self, market: Any, orders: Any) -> None:
        self.seen += [(order.id, order.status.name) for order in orders]


class _Mail(FakeMail):
    """What goes to the coordinator comes to the test's own thread."""

    def __init__(self, inbox: queue.SimpleQueue[Letter]) -> None:
        super().__init__("o1")
        self._to_coordinator = inbox

    def send(self, name: str, letter: Letter, droppable: bool = False) -> bool:
        if name != "c":
            return super().send(name, letter, droppable)
        self._to_coordinator.put(letter)
        return True


class Trading:
    """One account, one market, one strategy.

    Attributes:
        market, strategy: as its actor hosts them.
        account: session and calls. orders: what is known of its orders.
        told: answers, facts and results that the market was told. reports: words for people, with their markets.
        letters: of the order stream.
    """

    def __init__(
        self,
        exchange: Venue,
        account: AccountSettings = ALICE,
        *,
        stream: bool = True,
        streams: Sequence[Stream] | None = None,
        strategy: hr.Strategy | None = None,
        settings: StreamSettings | None = None,
        **config: Any,
    ) -> None:
        self.exchange = exchange
        self._skipped = 0
        self.inbox: queue.SimpleQueue[Letter] = queue.SimpleQueue()
        self.told: list[Answer] = []
        self.reports: list[tuple[str, str, str]] = []
        self.cleared: list[ClearedMarket] = []
        self.letters: list[Letter] = []
        self.requests: list[Request] = []
        self.calls = Calls(self.inbox.put, self.now_ms, 8)
        client = BetfairClient(exchange.client(account), interactive_login=True)
        self.account = LiveAccount(client, self.calls, self._answered, hr.Config(**config), REFERENCE)
        self.orders = AccountOrders(
            "Betfair",
            account.username,
            REFERENCE,
            self.account.lists,
            self._tell,
            lambda *report: self.reports.append(report),
            self.cleared.append,
            streamed=stream,
            loss=lambda market_id, bets: loss_of(bets, None),
        )
        self.account.execution.hold = self.orders.hold
        self._open_market(client, strategy or Watching(), streams, hr.Config(**config))
        self.mail = _Mail(self.inbox)
        self.running: Running | None = None
        if stream:
            addresses = exchange.service.addresses
            place = StreamPlace(addresses.host, addresses.stream_tls, ca_file=addresses.certificate)
            plan = StreamPlan("o1", "orderSubscription", venue="Betfair", username=account.username)
            quick = settings or StreamSettings(heartbeat_ms=500, first_wait=0.05)
            self.role = OrderStreamRole(plan, place, REFERENCE, quick)
            self.running = Running(self.role, self.mail)

    def _open_market(
        self, client: BetfairClient, strategy: hr.Strategy, streams: Sequence[Stream] | None, config: hr.Config
    ) -> None:
        coordinator = RemoteCoordinator([client.without_credentials()], self._from_market)
        host = Host(LiveClock(), config, unique_id)
        self.actor = hr.MarketActor(host, [strategy], coordinator, RemoteExchange())
        lines = (streams or [priced()])[0].lines
        for line in lines[:2]:
            self.show(line)
        market = self.actor.market(MARKET)
        assert market is not None
        self.market: Any = market
        self.strategy: Any = self.actor.strategies[0]

    def show(self, line: dict[str, Any]) -> None:
        """The market's stream tells something."""
        for change in decode_line(json.dumps(line).encode())[0].mc:
            self.actor.receive(change, self.now_ms())

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self._skipped

    def skip(self, seconds: float) -> None:
        """So much time passes here; not at the exchange."""
        self._skipped += round(seconds * 1000)

    def __enter__(self) -> Trading:
        if self.running is not None:
            self.running.__enter__()
        self.until(lambda: self.orders.ready)
        return self

    def __exit__(self, *error: object) -> None:
        if self.running is not None:
            self.running.__exit__(*error)
        self.calls.close()

    # -- what a strategy does ------------------------------------------------------------------------------------

    def order(self, order_type: Any, side: str = "BACK", selection_id: int = 1) -> Any:
        """An order of a trade of its own, not placed."""
        return hr.Trade(MARKET, selection_id, 0, self.strategy).create_order(side, order_type)

    def place(self, price: float = 3.0, size: float = 5.0, side: str = "BACK", **of: Any) -> Any:
        """Place a limit order."""
        request = {name: of.pop(name) for name in ("market_version", "customer_strategy_ref") if name in of}
        order = self.order(hr.LimitOrder(price, size, **of), side)
        assert self.market.place_order(order, **request)
        return order

    def placed(self, price: float = 3.0, size: float = 5.0, side: str = "BACK", **of: Any) -> Any:
        """Place a limit order, and wait until it is a bet that the stream has shown."""
        order = self.place(price, size, side, **of)
        self.until(lambda: order.bet_id is not None and self.known(order) and self.known(order).streamed)
        return order

    def known(self, order: Any) -> Any:
        """What is known of an order's bet apart from the market."""
        return self.orders.bets.of(order.id, order.bet_id)

    # -- what passes ---------------------------------------------------------------------------------------------

    def _from_market(self, message: Any) -> None:
        if isinstance(message, Request):
            self.requests.append(message)
            self.orders.take_request(message)
            self.account.send(message)

    def _answered(self, message: Answer) -> None:
        """The exchange has answered a call."""
        if isinstance(message, Reply):
            self.orders.take_reply(message)
            self._tell(message)
        elif isinstance(message, OrderFact):
            self.orders.take(message, self.now_ms())
            self.account.take_fact(message)

    def _tell(self, message: Answer) -> None:
        self.told.append(message)
        self.actor.receive(message, self.now_ms())

    def turn(self) -> None:
        """Take a letter, and do what is due."""
        try:
            letter = self.inbox.get(timeout=0.005)
        except queue.Empty:
            pass
        else:
            self._take(letter)
        now = self.now_ms()
        for each in (self.account, self.orders):
            if each.next_ms <= now:
                each.wake(now)
        self.actor.run_timers(now)

    def _take(self, letter: Letter) -> None:
        if isinstance(letter, Outcome):
            self.calls.outcome(letter)
            return
        if isinstance(letter, SessionWanted):
            self.account.login(letter.refused, self._logged_in)
            return
        self.letters.append(letter)
        if isinstance(letter, StreamState):
            if letter.state == "DOWN":
                self.orders.stream_down()
            return
        self.orders.take(letter, self.now_ms())
        if isinstance(letter, OrderFact):
            self.account.take_fact(letter)

    def _logged_in(self, error: Exception | None) -> None:
        if error is None:
            token = self.account.token
            assert token is not None
            client = self.account.client
            self.mail.deliver(Session("Betfair", client.username, self.account.app_key, token))

    def until(self, condition: Callable[[], Any], wait: float = WAIT) -> Any:
        """Let things happen until a condition holds; what it is then."""
        end = time.monotonic() + wait
        while not (found := condition()):
            assert time.monotonic() < end, "it has not happened"
            self.turn()
        return found

    def let(self, seconds: float) -> None:
        """Let things happen for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.turn()

    def settle(self, *orders: Any) -> None:
        """Wait until orders are complete."""
        self.until(lambda: all(order.complete for order in orders))

    def results(self) -> list[ClearedOrder]:
        return [each for each in self.told if isinstance(each, ClearedOrder)]

    @property
    def words(self) -> list[str]:
        """What people were told, in one word each."""
        return [word for word, _, _ in self.reports]


def snapshot(order: Any) -> tuple[str, float, float, float, float]:
    """An order's status and sizes: matched, remaining, cancelled, lapsed."""
    return (
        order.status.name,
        order.size_matched,
        order.size_remaining,
        order.size_cancelled,
        order.size_lapsed,
    )
