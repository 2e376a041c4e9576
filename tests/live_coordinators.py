"""For tests of the coordinator of a live system: what it is made of, a fake engine, and fake accounts."""

from __future__ import annotations

import dataclasses
import itertools
import math
import pickle
import weakref
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

import headrace as hr
from headrace.actors.betfair.heartbeat import Heartbeat
from headrace.actors.betfair.lists import Listed
from headrace.actors.exchange import Answer
from headrace.actors.letters import (
    Carried,
    Gone,
    Hello,
    Hosting,
    Letter,
    MarketSeen,
    OrdersImage,
    Outcome,
    Session,
    SessionWanted,
)
from headrace.actors.live.coordinator_role import CoordinatorRole
from headrace.actors.live.crews import Crew, StreamPlan, plan_streams
from headrace.actors.live.hosts import Found
from headrace.actors.live.instance import Instance
from headrace.actors.live.setup import LiveSetup
from headrace.strategies.clock import Clock
from headrace.strategies.messages import (
    ANSWERED,
    PLACE,
    STREAM,
    SUCCESS,
    MarketFact,
    OrderFact,
    PlaceInstruction,
    Reply,
    Report,
    Request,
)
from live_builders import FakeMail

NOW = 1_700_000_000_000


class Backer(hr.Strategy):
    """A strategy whose markets are races in Great Britain."""


def backer(**settings: Any) -> Backer:
    return Backer(**{"market_filter": {"country_codes": ["GB"]}, "name": "Backer", **settings})


class ApiClient:
    """Stands for a betfairlightweight client."""

    def __init__(self, username: str = "trader") -> None:
        self.username = username
        self.app_key = "key"


class LiveClient(hr.BaseClient):
    """An account at a real exchange."""

    def __init__(self, username: str = "trader", **settings: Any) -> None:
        super().__init__(ApiClient(username), **settings)


class FakeSession:
    """A session whose logins wait for the test."""

    def __init__(self) -> None:
        self.token: str | None = None
        self.error = ""
        self.given_up = False
        self.wanted: list[Callable[[str | None], object]] = []

    def want(self, then: Callable[[str | None], object], refused: str | None = None, patient: bool = False) -> None:
        if refused is not None and refused == self.token:
            self.token = None
        if self.token is not None or self.given_up:
            then(self.token)
        else:
            self.wanted.append(then)

    def log_in(self, token: str | None) -> None:
        """The login under way succeeds; None: it is given up."""
        self.token, self.given_up = token, token is None
        wanted, self.wanted = self.wanted, []
        for then in wanted:
            then(token)


class FakeLists:
    """Lists whose questions wait for the test: what is asked, with what, and whom to tell."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any, Callable[..., object]]] = []

    def funds(self, done: Callable[..., object]) -> None:
        self.asked.append(("funds", None, done))

    def details(self, done: Callable[..., object]) -> None:
        self.asked.append(("details", None, done))

    def catalogues(self, market_ids: Any, done: Callable[..., object]) -> None:
        self.asked.append(("catalogues", list(market_ids), done))

    def find_markets(self, filters: Any, done: Callable[..., object]) -> None:
        self.asked.append(("find_markets", filters, done))

    def current_orders(self, done: Callable[..., object], **named: Any) -> None:
        self.asked.append(("current_orders", named, done))

    def cleared_orders(self, status: str, done: Callable[..., object], **named: Any) -> None:
        self.asked.append((f"cleared_orders {status}", named, done))

    def cleared_markets(self, market_ids: Any, done: Callable[..., object]) -> None:
        self.asked.append(("cleared_markets", market_ids, done))

    def take(self, what: str) -> tuple[Any, Callable[..., object]]:
        """The oldest question of a kind that is not answered: with what, and whom to tell."""
        found = next(each for each in self.asked if each[0] == what)
        self.asked.remove(found)
        return found[1], found[2]

    def answer_rows(self, what: str, *rows: dict[str, Any]) -> None:
        """Answer the oldest question of a kind with rows."""
        self.take(what)[1](Listed(list(rows), 0, 0))


class FakeExecution:
    """An execution: requests and cancels wait for the test."""

    def __init__(self, answer: Callable[[Answer], object]) -> None:
        self.answer = answer
        self.hold: Callable[[Request, Reply], bool] | None = None
        self.times_ms: list[int] = []
        self.requests: list[Request] = []
        self.cancels: list[tuple[str, list[str], Callable[[dict[str, str]], object] | None]] = []
        self.account_cancels: list[Callable[[str], object]] = []
        self.recalled: list[str] = []
        self.worst_ms = 0

    def take_worst_ms(self) -> int:
        return self.worst_ms

    def recall(self, market_id: str, order_ids: Iterable[str]) -> None:
        self.recalled += order_ids

    def cancel_account(self, done: Callable[[str], object]) -> None:
        self.account_cancels.append(done)


class FakeCalls:
    waiting = 0

    def close(self) -> None:
        """There are none."""


class FakeAccount:
    """An account at a real exchange whose logins, lists and requests wait for the test."""

    def __init__(
        self, client: hr.BaseClient, answer: Callable[[Answer], object], put: Callable[[Letter], object]
    ) -> None:
        self.client, self.app_key = client, "key"
        self.session, self.lists, self.execution = FakeSession(), FakeLists(), FakeExecution(answer)
        self.calls = FakeCalls()
        self.heartbeat: Heartbeat | None = None
        self.next_ms = math.inf
        self.logged_out = False

    @property
    def token(self) -> str | None:
        return self.session.token

    @property
    def requests(self) -> list[Request]:
        return self.execution.requests

    def send(self, request: Request) -> None:
        self.execution.requests.append(request)

    def cancel(self, market_id: str, bet_ids: Any, done: Callable[[dict[str, str]], object] | None = None) -> None:
        self.execution.cancels.append((market_id, list(bet_ids), done))

    def take_fact(self, fact: OrderFact) -> None:
        """What waits for a bet's number is the execution's."""

    def outcome(self, letter: Outcome) -> bool:
        return False

    def wake(self, at_ms: int) -> None:
        """Nothing is due."""

    def close(self, done: Callable[[], object]) -> None:
        self.logged_out = True
        done()

    def places(self, order_id: str, bet_id: str, matched: float = 0.0) -> Reply:
        """The exchange has placed an order."""
        request = next(each for each in self.requests if any(i.order_id == order_id for i in each.instructions))
        report = Report(order_id, PLACE, SUCCESS, bet_id=bet_id, size=matched)
        reply = Reply(request.request_id, request.market_id, request.asked_at, ANSWERED, (report,))
        self.execution.answer(reply)
        return reply


class FakeEngine:
    """Starts nothing; says where it would be."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.prepared: list[str] = []
        self.spares = 0
        self.stopped: list[str] = []
        self.killed: list[str] = []
        self.crashed: list[str] = []
        self.running: dict[str, Found] = {}

    coming = 0

    def prepare(self, names: Sequence[str], make_role: Callable[..., Any] | None = None) -> None:
        self.prepared += names

    def spare(self, count: int, make_role: Callable[..., Any] | None = None) -> None:
        self.spares = count

    def adopt(self, names: Sequence[str] | None = None) -> dict[str, Found]:
        return dict(self.running)

    def start(self, name: str, make_role: Callable[[], Any], incarnation: int = 0) -> str:
        self.started.append(f"{name}:{incarnation}" if incarnation else name)
        address = f"fake:{name}:{incarnation}"
        self.running[name] = Found(address, incarnation)
        return address

    def stop(self, name: str, why: str = "") -> None:
        self.stopped.append(name)

    def crash(self, name: str) -> None:
        self.crashed.append(name)

    def kill(self, name: str) -> None:
        self.killed.append(name)


class Bench:
    """A coordinator with a fake mail and a fake engine, in the test's own thread.

    Args:
        folder: of the instance.
    """

    def __init__(
        self,
        folder: Path,
        strategies: Sequence[hr.Strategy] | None = None,
        clients: Sequence[hr.BaseClient] | None = None,
        **settings: Any,
    ) -> None:
        strategies = [backer()] if strategies is None else list(strategies)
        streams, crews = plan_streams(strategies)
        clients = [LiveClient()] if clients is None else list(clients)
        orders = [
            StreamPlan(f"o{number}", "orderSubscription", venue=client.venue, username=client.username)
            for number, client in enumerate((each for each in clients if not each.simulated), 1)
        ]
        streams = (*streams, *orders)
        self.instance = Instance("tests", folder)
        self.instance.hold()
        weakref.finalize(self, self.instance.release)  # the path of its socket may lie elsewhere
        self.setup = LiveSetup(
            **{
                "strategies": list(strategies),
                "clients": clients,
                "config": hr.Config(),
                "instance": str(self.instance.folder),
                "reference": "tests",
                "streams": streams,
                "crews": crews,
                "make_exchange": lambda: None,
                "rows_of": lambda actor, market: {},
                "max_hosts": 3,
                **settings,
            }
        )
        self._journals: list[Any] = []
        weakref.finalize(self, lambda journals: [each.close() for each in journals], self._journals)
        self.engine = FakeEngine()
        self.clock = Clock(NOW)
        self._count = itertools.count(1)
        self.role = self._started()
        for stream in streams:
            self.hello(stream.name, "STREAM")

    def _started(self, incarnation: int = 0) -> CoordinatorRole:
        self.mail = FakeMail("c")
        self.mail.incarnation, self.mail.address = incarnation, f"fake:c:{incarnation}"
        role = CoordinatorRole(
            self.setup, self.engine, lambda name: None, FakeAccount, pickle.dumps, lambda name: lambda: None, self.clock
        )
        self.role = role
        role.start(self.mail)
        self._journals.append(role.betting.journal.journal)
        return role

    def restarts(self, *gone: str, cold: bool = False, **changes: Any) -> None:
        """The coordinator is killed, and another one started.

        Args:
            gone: actors that do not run any more, either.
            cold: nothing of the system runs, and it is another session.
            changes: of the setup.
        """
        self.role.crash()
        incarnation = self.mail.incarnation + 1
        for name in list(self.engine.running) if cold else gone:
            self.engine.running.pop(name, None)
        if cold:
            incarnation, changes = 0, {"session": f"after {self.setup.session}", **changes}
        self.setup = dataclasses.replace(self.setup, **changes)
        self.engine.started.clear()
        self._started(incarnation)

    def crews(self, *strategies: str) -> tuple[Crew, ...]:
        """Its crews, with other strategies."""
        return tuple(dataclasses.replace(crew, strategies=strategies) for crew in self.setup.crews)

    def hosting(self, host: str, *places: tuple[str, str, str | None]) -> Hosting:
        """What a host has, as it tells."""
        return Hosting(host, places, self.engine.running[host].incarnation)

    def dies(self, host: str, why: str = "killed") -> None:
        """A host ends, and its successors end at once, until it is given up."""
        for _ in range(4):
            self.take("c", Gone(host, why, self.role.pool.incarnations.get(host, 0)))

    @property
    def account(self) -> FakeAccount:
        """The first account that is reached by calls."""
        account = next(desk.live for desk in self.role.betting.accounts if desk.live is not None)
        assert isinstance(account, FakeAccount)
        return account

    def ready(self) -> None:
        """The order stream has sent its image, and the look after it has found nothing."""
        self.take("o1", OrdersImage("o1", "Betfair", "trader", self.now))
        self.role.wake(self.now)
        desk = self.role.betting.accounts.of(("Betfair", "trader"))
        while not desk.ready:
            what = next(what for what, *_ in self.account.lists.asked if what.endswith("orders") or "orders " in what)
            self.account.lists.answer_rows(what)
        self.role.caught_up(self.now)

    def sees_bet(self, order_id: str, bet_id: str, remaining: float, market_id: str = "1.1", **sizes: float) -> None:
        """The order stream tells of a bet of £2 at 3.0."""
        self.passes(1)
        fact = OrderFact(
            market_id,
            order_id,
            bet_id,
            STREAM,
            self.now,
            remaining > 0,
            3.0,
            2.0,
            "LAPSE",
            remaining=remaining,
            **sizes,
        )
        self.take("o1", fact)
        self.role.caught_up(self.now)

    def take(self, sender: str, letter: Letter) -> None:
        self.role.receive(sender, letter, self.now)

    @property
    def now(self) -> int:
        return self.clock.now_ms

    def passes(self, milliseconds: int) -> None:
        """Time passes."""
        self.clock.now_ms += milliseconds
        self.role.wake(self.now)

    def hello(self, name: str, kind: str, incarnation: int = 0) -> None:
        self.engine.running[name] = Found(f"fake:{name}:{incarnation}", incarnation)
        self.take(name, Hello(name, kind, f"fake:{name}:{incarnation}", incarnation, 4000))

    def sees(self, market_id: str, stream: str = "s1", **definition: Any) -> None:
        """A stream shows a market."""
        fields = {"countryCode": "GB", "eventId": "30", "eventTypeId": "7", "marketType": "WIN", **definition}
        self.take(stream, MarketSeen(stream, market_id, msgspec.json.encode(fields), self.now))

    def opens(self, market_id: str, host: str = "h1", crew: str = "s1.market") -> None:
        """A host has opened a market."""
        self.take(host, Carried(crew, MarketFact(market_id, "OPENED", self.now)))

    def asks(self, request: Request, host: str = "h1", crew: str = "s1.market") -> None:
        self.take(host, Carried(crew, request))
        self.role.caught_up(self.now)

    def wants(self, stream: str, refused: str | None = None) -> None:
        """A stream wants to connect."""
        self.take(stream, SessionWanted(stream, "", "", refused))

    def sessions(self) -> list[tuple[str, str]]:
        """Who was given which token."""
        return [(name, letter.token) for name, letter in self.mail.sent if isinstance(letter, Session)]

    def carried(self, host: str) -> list[Any]:
        """What was told to the actors of a host."""
        return [letter.message for letter in self.mail.letters(Carried, host)]


def placing(order_id: str, market_id: str = "1.1", request_id: str = "r1", **settings: Any) -> Request:
    """A request to place a back of £2 at 3.0."""
    instruction = PlaceInstruction(order_id, f"hash-{order_id}", 11, 0.0, "BACK", "LIMIT", price=3.0, size=2.0)
    fields = {
        "strategy": "Backer",
        "venue": "Betfair",
        "username": "trader",
        "kind": "PLACE",
        "instructions": (instruction,),
        "asked_at": NOW,
        **settings,
    }
    return Request(request_id, market_id, **fields)


def trading(folder: Path, **settings: object) -> Bench:
    """A system with market 1.1 at host h1, that may place."""
    bench = Bench(folder, **settings)
    bench.ready()
    bench.sees("1.1")
    bench.opens("1.1")
    bench.role.caught_up(bench.now)
    return bench


def resting(bench: Bench, order_id: str, bet_id: str, request_id: str = "r1") -> None:
    """An order of £2 rests at the exchange."""
    bench.asks(placing(order_id, request_id=request_id))
    bench.account.places(order_id, bet_id)
    bench.sees_bet(order_id, bet_id, 2.0)


def cancels(bench: Bench) -> list[tuple[str, list[str]]]:
    """The cancels that were sent: markets, and bets."""
    return [(market_id, ids) for market_id, ids, _ in bench.account.execution.cancels]
