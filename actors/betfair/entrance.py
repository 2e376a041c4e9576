"""A look at accounts before a system starts: the exchange is there, knows the account, and will show its orders.

What is found here is the user's to mend, and is told at once; what goes wrong later is tried again.
"""

from __future__ import annotations

import logging
import math
import queue
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from ...strategies.errors import ClientError, InputError
from ...values import UNREADABLE
from ..clients import BaseClient
from ..letters import Letter, Outcome
from .api import Api, Question
from .betfair_client import BetfairClient
from .calls import Calls
from .classification import ANSWERED, REFUSED, Answer
from .session import Session

logger = logging.getLogger("headrace")

#: Seconds for one account.
_LIMIT_S = 30.0
#: Refusals that will be the same at each call.
_OF_KEY = frozenset(
    {"INVALID_APP_KEY", "NO_APP_KEY", "ACCESS_DENIED", "CUSTOMER_ACCOUNT_CLOSED", "SUBSCRIPTION_EXPIRED"}
)


class _Listed(msgspec.Struct, rename="camel"):
    market_id: str = ""


class _Book(msgspec.Struct, rename="camel"):
    is_market_data_delayed: bool = False


def check_accounts(clients: Iterable[BaseClient], seconds: float = _LIMIT_S) -> None:
    """Log in to each account at Betfair, look whether its application key is a delayed one, and log out.

    Args:
        seconds: for each account.

    Raises:
        InputError: the exchange is not there, or refuses the login or the key; or the key is a delayed one, whose order
            stream shows nothing ("Application Keys"), and the account trades live.
    """
    for client in clients:
        if isinstance(client, BetfairClient) and client.betting_client is not None:
            look = _Look(client, seconds)
            try:
                look.log_in()
                look.check_key()
                look.log_out()
            finally:
                look.close()


class _Look:
    """A look at one account, in the thread that asks for it."""

    def __init__(self, client: BetfairClient, seconds: float) -> None:
        self._client = client
        self._until = time.monotonic() + seconds
        self._inbox: queue.Queue[Letter] = queue.Queue()
        self._calls = Calls(self._inbox.put, lambda: time.time_ns() // 1_000_000)
        self._session = Session(client, self._calls)
        self._api = Api(self._session, self._calls)

    def log_in(self) -> None:
        """Log in.

        Raises:
            InputError: the exchange does not answer, or refuses.
        """
        try:
            token = self._waited(self._session.want)
            while token is None and self._session.faulty and self._session.wait_s < self._until - time.monotonic():
                time.sleep(self._session.wait_s)  # the exchange says that it was its own fault
                token = self._waited(self._session.want)
        except ClientError as error:
            raise InputError(str(error)) from None
        if token is None:
            raise InputError(f"account {self._client.username!r} cannot log in: {self._session.error}")

    def check_key(self) -> None:
        """Look at a market with the application key: what the exchange tells of it says whether the key is delayed.

        Raises:
            InputError: the key is refused, or is a delayed one.
        """
        listed = self._asked("listMarketCatalogue", {"filter": {}, "maxResults": 1}, list[_Listed])
        if not listed:
            return
        books = self._asked("listMarketBook", {"marketIds": [listed[0].market_id]}, list[_Book])
        if not books or not books[0].is_market_data_delayed:
            return
        name = self._client.username
        if self._client.paper_trade:
            logger.warning("The application key of %s is a delayed one: prices come late", name)
            return
        raise InputError(
            f"account {name!r}: its application key is a delayed one, whose order stream shows nothing: orders could "
            "not be followed; trade with a live key, or on paper"
        )

    def log_out(self) -> None:
        """End the session: the system has its own."""
        self._waited(lambda done: self._session.close(lambda: done(None)))
        betting = self._client.betting_client
        if hasattr(betting, "client_logout"):
            betting.client_logout()  # it was given the token

    def close(self) -> None:
        """End connections and threads."""
        self._calls.close()

    def _asked(self, operation: str, params: Mapping[str, Any], kind: Any) -> Any:
        """The answer to a call; None: there is none, and it is not needed.

        Raises:
            InputError: the key, or the account, is refused.
        """
        found: Answer = self._waited(lambda done: self._api.ask(Question(operation, dict(params), done, answer_s=10.0)))
        if found.verdict == REFUSED and found.code in _OF_KEY:
            raise InputError(
                f"account {self._client.username!r}: the exchange refuses its application key: {found.code}"
            )
        if found.verdict != ANSWERED:
            logger.info("%s of %s: %s", operation, self._client.username, found.why or found.code)
            return None
        try:
            return msgspec.json.decode(found.result, type=kind)
        except UNREADABLE:
            return None

    def _waited(self, begin: Callable[[Callable[[Any], object]], object]) -> Any:
        """What a function is called back with.

        Raises:
            InputError: it takes too long.
        """
        found: list[Any] = []
        begin(found.append)
        while not found:
            left = self._until - time.monotonic()
            if left <= 0:
                raise InputError(
                    f"account {self._client.username!r}: the exchange at {self._client.places.identity} takes too long "
                    "to answer"
                )
            wait = min(left, max((self._calls.next_ms - self._calls.clock_ms()) / 1000, 0.01), 1.0)
            try:
                letter = self._inbox.get(timeout=wait if wait < math.inf else 1.0)
            except queue.Empty:
                self._calls.wake(self._calls.clock_ms())
                continue
            if isinstance(letter, Outcome):
                self._calls.outcome(letter)
        return found[0]
