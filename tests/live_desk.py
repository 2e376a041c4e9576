"""The coordinator's thread, for tests of what it calls: an inbox, and a loop that hands outcomes on."""

from __future__ import annotations

import itertools
import queue
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from builders import MARKET, Stream, priced
from exchange_builders import ALICE, exchange_of, play
from exchange_servers import Served, merged, point, served
from headrace.actors.betfair.betfair_client import BetfairClient
from headrace.actors.betfair.calls import Calls
from headrace.actors.betfair.live_account import LiveAccount
from headrace.actors.letters import Letter, Outcome
from headrace.config import Config
from headrace.simulate.exchange.betting.bank import Bank
from headrace.simulate.exchange.betting.betting import Betting
from headrace.simulate.exchange.certificates import Certificates
from headrace.simulate.exchange.listings.catalogues import Catalogues
from headrace.simulate.exchange.listings.listings import Listings
from headrace.simulate.exchange.listings.lists import BetLists
from headrace.simulate.exchange.settings import AccountSettings
from headrace.strategies.messages import PLACE, Instruction, OrderFact, PlaceInstruction, Reply, Request

WAIT = 20.0


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Desk:
    """Calls with an inbox. `skip` moves the clock."""

    def __init__(self, workers: int = 4) -> None:
        self.inbox: queue.SimpleQueue[Letter] = queue.SimpleQueue()
        self._skipped = 0
        self.calls = Calls(self.inbox.put, self.now_ms, workers)
        self.timed: list[Any] = [self.calls]

    def now_ms(self) -> int:
        return now_ms() + self._skipped

    def skip(self, seconds: float) -> None:
        self._skipped += round(seconds * 1000)

    def until(self, condition: Callable[[], Any], wait: float = WAIT) -> Any:
        """Take letters and wake what is due until a condition holds; what it is then."""
        end = time.monotonic() + wait
        while not (found := condition()):
            assert time.monotonic() < end, "it has not happened"
            self.turn()
        return found

    def turn(self) -> None:
        try:
            letter = self.inbox.get(timeout=0.01)
        except queue.Empty:
            pass
        else:
            assert isinstance(letter, Outcome)
            self.calls.outcome(letter)
        for each in self.timed:
            if each.next_ms <= self.now_ms():
                each.wake(self.now_ms())

    def close(self) -> None:
        self.calls.close()

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


# -- an exchange to trade at -----------------------------------------------------------------------------------------


@contextmanager
def trading(
    *streams: Stream, until: int = 100, certificates: Certificates | None = None, **changes: Any
) -> Iterator[Served]:
    """An exchange with all that accounts call, over sockets; its market stands still with prices.

    Args:
        streams: what is played, up to `until` milliseconds after `T0`; a priced market if there are none.
        certificates: for TLS.
        changes: of its settings.
    """
    exchange = exchange_of(*(streams or (priced(),)), **changes)

    def operations(server: Served) -> dict[str, Any]:
        bank = Bank(exchange, server.faults)
        betting = Betting(exchange, bank, server.faults, lambda: server.now)
        parts = (bank, betting, BetLists(exchange, bank, server.faults), Listings(exchange, Catalogues(exchange)))
        play(exchange, until)
        return merged(*parts)

    with served(exchange, operations, certificates) as server:
        yield server


class Trader:
    """An account at an exchange, and all that was answered to it."""

    def __init__(
        self,
        exchange: Served,
        desk: Desk,
        account: AccountSettings = ALICE,
        execution_cls: type[Any] | None = None,
        **config: Any,
    ) -> None:
        self.exchange, self.desk = exchange, desk
        self.answers: list[Any] = []
        client = BetfairClient(exchange.stranger(account), interactive_login=True, execution_cls=execution_cls)
        if exchange.certificates is not None:
            point(client.betting_client, f"https://localhost:{exchange.http.https_port}")
            client.betting_client.stream_certificate = str(exchange.certificates.server)
        self.account = LiveAccount(client, desk.calls, self.answers.append, Config(**config), "tests")
        desk.timed.append(self.account)
        self._numbers = itertools.count(1)

    def send(self, kind: str, *instructions: Instruction, **request: Any) -> Request:
        """Send a request."""
        made = Request(
            f"h1/{next(self._numbers)}",
            request.pop("market_id", MARKET),
            "strategy",
            "Betfair",
            self.account.client.username,
            kind,
            instructions,
            self.desk.now_ms(),
            **request,
        )
        self.account.send(made)
        return made

    def replies(self, request: Request | None = None) -> list[Reply]:
        found = [each for each in self.answers if isinstance(each, Reply)]
        return [each for each in found if request is None or each.request_id == request.request_id]

    @property
    def facts(self) -> list[OrderFact]:
        return [each for each in self.answers if isinstance(each, OrderFact)]

    def answered(self, request: Request) -> Reply:
        """The first reply to a request, when it has come."""
        reply: Reply = self.desk.until(lambda: self.replies(request))[0]
        return reply

    def placed(self, *instructions: PlaceInstruction, **request: Any) -> Reply:
        """The reply to a request that places."""
        return self.answered(self.send(PLACE, *instructions, **request))

    def calls(self, operation: str) -> list[dict[str, Any]]:
        """The parameters of all calls of an operation, as the exchange has noted them."""
        found = self.exchange.entries("REQUEST")
        return [entry.values for entry in found if entry.values["operation"] == operation]


def limit(order_id: str, price: float = 3.0, size: float = 5.0, side: str = "BACK", **more: Any) -> PlaceInstruction:
    """An order that rests, as the market is priced."""
    ref = f"0123456789abc-{order_id}"
    return PlaceInstruction(order_id, ref, 1, 0.0, side, "LIMIT", price, size, **{"persistence_type": "LAPSE", **more})
