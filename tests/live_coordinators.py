"""For tests of the coordinator of a live system: what it is made of, a fake engine, and fake accounts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

import headrace as hr
from headrace.actors.coordinator import Coordinator
from headrace.actors.letters import Carried, Hello, Letter, MarketSeen, Outcome, Session, SessionWanted
from headrace.actors.live.coordinator_role import CoordinatorRole
from headrace.actors.live.crews import plan_streams
from headrace.actors.live.setup import LiveSetup
from headrace.strategies.clock import Clock
from headrace.strategies.messages import MarketFact, PlaceInstruction, Request
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


class FakeAccount:
    """An account whose logins and requests are kept for the test to answer."""

    def __init__(self, client: hr.BaseClient, coordinator: Coordinator, put: Callable[[Letter], object]) -> None:
        self.client, self.coordinator, self.put = client, coordinator, put
        self.app_key = "key"
        self.token: str | None = None
        self.logins: list[tuple[str | None, Callable[[Exception | None], object]]] = []
        self.requests: list[Request] = []

    def login(self, refused: str | None, done: Callable[[Exception | None], object]) -> None:
        self.logins.append((refused, done))

    def log_in(self, token: str) -> None:
        """The login under way succeeds."""
        self.token = token
        self.logins.pop(0)[1](None)

    def send(self, request: Request) -> None:
        self.requests.append(request)

    def outcome(self, letter: Outcome) -> bool:
        return False


class FakeEngine:
    """Starts nothing; says where it would be."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.prepared: list[str] = []
        self.stopped: list[str] = []
        self.killed: list[str] = []

    def prepare(self, names: Sequence[str]) -> None:
        self.prepared += names

    def start(self, name: str, make_role: Callable[[], Any], incarnation: int = 0) -> str:
        self.started.append(name)
        return f"fake:{name}:{incarnation}"

    def stop(self, name: str, why: str = "") -> None:
        self.stopped.append(name)

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
        self.setup = LiveSetup(
            **{
                "strategies": list(strategies),
                "clients": [LiveClient()] if clients is None else list(clients),
                "config": hr.Config(),
                "instance": str(folder),
                "reference": "tests",
                "streams": streams,
                "crews": crews,
                "make_exchange": lambda: None,
                "rows_of": lambda actor, market: {},
                "max_hosts": 3,
                **settings,
            }
        )
        self.engine = FakeEngine()
        self.mail = FakeMail("c")
        self.clock = Clock(NOW)
        self.role = CoordinatorRole(self.setup, self.engine, lambda name: None, FakeAccount, self.clock)
        self.role.start(self.mail)
        self._count = itertools.count(1)
        for stream in streams:
            self.hello(stream.name, "STREAM")

    @property
    def account(self) -> FakeAccount:
        """The only account at a real exchange."""
        (account,) = self.role.accounts.values()
        assert isinstance(account, FakeAccount)
        return account

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
