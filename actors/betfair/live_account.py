"""An account of a live system: its session, its calls, its lists, and the way of its requests, put together."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator

from ...config import Config
from ...strategies.errors import ClientError
from ...strategies.messages import UNCONFIRMED, OrderFact, Request
from ..clients import BaseClient
from ..exchange import Answer
from ..letters import Letter, Outcome
from .api import Api
from .betfair_client import BetfairClient
from .calls import Calls
from .execution import Cancelled, Execution
from .heartbeat import Heartbeat
from .lists import Lists
from .placing import CHANGE_LIMIT
from .session import OwnSession, Session

logger = logging.getLogger("headrace")


class LiveAccount:
    """An account. All of it is for the coordinator's own thread.

    Args:
        client: the coordinator's copy of the client.
        calls: of all accounts of the system.
        answer: takes replies and facts.
        reference: the system's strategy reference.

    Attributes:
        session, api, lists, execution: see there. `execution` is of the client's `execution_cls`, if it has one.
        heartbeat: None: the client wants none, or has no orders at the exchange.
    """

    def __init__(
        self, client: BaseClient, calls: Calls, answer: Callable[[Answer], object], config: Config, reference: str
    ) -> None:
        self.client = client
        self.calls = calls
        self.app_key, limit = "", CHANGE_LIMIT
        self.session: Session = OwnSession(client, calls)
        if isinstance(client, BetfairClient):
            self.app_key, limit = client.app_key, client.place_limit
            self.session = Session(client, calls)
        self.api = Api(self.session, calls)
        self.lists = Lists(self.api)
        if not isinstance(client, BetfairClient) and client.execution_cls is None and not client.simulated:
            raise ClientError(
                f"client {client.username!r} is a {type(client).__name__} without execution_cls: nothing knows how to "
                "send its orders; give it one, or use BetfairClient"
            )
        beats = None if client.simulated or not isinstance(client, BetfairClient) else client.heartbeat_seconds
        self.heartbeat = None if beats is None else Heartbeat(self.api, beats)
        make: type[Execution] = client.execution_cls or Execution
        self.execution = make(self.api, answer, config, reference, limit)

    @property
    def token(self) -> str | None:
        """Of the session; None: there is none."""
        return self.session.token

    def login(self, refused: str | None, done: Callable[[Exception | None], object]) -> None:
        """Log in, in the background, unless another token than the refused one is there.

        Args:
            done: called in the coordinator's thread, at once or later: with None, or with a `ClientError`.
        """

        def told(token: str | None) -> None:
            if token is None:
                done(ClientError(f"{self.client.username} cannot log in: {self.session.error}"))
                return
            if isinstance(self.client, BetfairClient) and not self.client.paper_trade:
                self.api.warm()
            done(None)

        self.session.want(told, refused)

    def send(self, request: Request) -> None:
        """Send a request to the exchange. What comes of it is answered later."""
        self.execution.send(request)

    def cancel(self, market_id: str, bet_ids: Iterable[str], done: Cancelled | None = None) -> None:
        """Cancel bets of a market whole: see `Execution.cancel`."""
        self.execution.cancel(market_id, bet_ids, done)

    def take_fact(self, fact: OrderFact) -> None:
        """A bet is seen, by the stream or in a list: what waits for its number goes on."""
        if fact.why != UNCONFIRMED:
            self.execution.take_fact(fact)

    def outcome(self, letter: Outcome) -> bool:
        """A call has ended; False if it was not one of an account's."""
        return self.calls.outcome(letter)

    @property
    def next_ms(self) -> float:
        """When `wake` is to be called."""
        beat = math.inf if self.heartbeat is None else self.heartbeat.next_ms
        return min(self.session.next_ms, self.calls.next_ms, beat)

    def wake(self, at_ms: int) -> None:
        """Keep the session alive, try again, and give up, as it is time."""
        self.session.wake(at_ms)
        self.calls.wake(at_ms)
        if self.heartbeat is not None:
            self.heartbeat.wake(at_ms)

    def close(self, done: Callable[[], object] = lambda: None) -> None:
        """Log out; then call `done`."""
        if self.heartbeat is None:
            self.session.close(done)
        else:
            self.heartbeat.close(lambda: self.session.close(done))


class LiveAccounts:
    """The accounts of a system: called with a client it makes its account. They share threads and connections.

    Args:
        reference: the system's strategy reference.
        clock_ms: now, milliseconds since the epoch; from any thread.
    """

    def __init__(self, config: Config, reference: str, clock_ms: Callable[[], int]) -> None:
        self._config, self._reference, self._clock_ms = config, reference, clock_ms
        self._accounts: list[LiveAccount] = []
        self.calls: Calls | None = None

    def __call__(
        self, client: BaseClient, answer: Callable[[Answer], object], put: Callable[[Letter], object]
    ) -> LiveAccount:
        """Make an account.

        Args:
            client: the coordinator's copy of the client.
            answer: takes replies and facts.
            put: takes letters into the coordinator's inbox, from any thread.

        Raises:
            ClientError: nothing knows how to send its orders, or it has no betting client.
        """
        if self.calls is None:
            self.calls = Calls(put, self._clock_ms, self._config.max_execution_workers)
        account = LiveAccount(client, self.calls, answer, self._config, self._reference)
        self._accounts.append(account)
        return account

    def __iter__(self) -> Iterator[LiveAccount]:
        return iter(self._accounts)

    def close(self) -> None:
        """Give up what is under way, and end connections and threads."""
        if self.calls is not None:
            self.calls.close()
