"""Hosts driven by recordings: changes of a file come as letters, at the times of the file; a coordinator answers.

live = Driven(live_setup([strategy])).play(path)
live.host.rooms["s1.market"].actor.market(MARKET)
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from apart import NO_LIMITS, outcome
from builders import T0, Script, Scripted, Stream, back, priced
from builders import Request as Asks
from common_strategies import Backer
from headrace.actors.letters import Carried, FreeMarket, Letter, MarketUpdate, Rows
from headrace.actors.live.crews import plan_streams
from headrace.actors.live.host import HostRole
from headrace.actors.live.setup import LiveSetup
from headrace.actors.switchboard import Switchboard
from headrace.simulate.replay import Replay
from headrace.simulate.session_rows import FailureRows, rows_of_market
from headrace.simulate.setup import Setup
from headrace.simulate.simulated_exchange import SimulatedExchange
from headrace.simulate.units import Unit
from headrace.strategies.clock import LiveClock
from headrace.strategies.host import Host, unique_id
from headrace.strategies.messages import Request
from live_builders import FakeMail

#: What a script does, by the time of the book.
Actions = Mapping[int, Sequence[Asks]]


def live_setup(
    strategies: Sequence[hr.Strategy],
    client: hr.BaseClient | Sequence[hr.BaseClient] | None = None,
    config: hr.Config | None = None,
    **fields: Any,
) -> LiveSetup:
    """A system of some strategies; the account is a paper account unless others are given."""
    streams, crews = plan_streams(strategies)
    clients = [client or hr.SimulatedClient()] if not isinstance(client, (list, tuple)) else list(client)
    return LiveSetup(
        strategies=list(strategies),
        clients=clients,
        config=config or hr.Config(),
        instance="",
        reference="test",
        streams=streams,
        crews=crews,
        make_exchange=SimulatedExchange,
        rows_of=rows_of_market,
        max_hosts=4,
        **fields,
    )


class Office:
    """A coordinator: requests of paper accounts go back to their host, those of others are kept.

    Attributes:
        requests: of accounts that are not paper accounts.
    """

    def __init__(self, setup: LiveSetup, mails: Iterable[FakeMail]) -> None:
        self.clock = LiveClock()
        heard = setup.logging_controls[0] if setup.logging_controls else None
        self.coordinator = setup.coordinator(setup.clients, heard)
        host = Host(self.clock, setup.config, unique_id)
        controls = [each for each in setup.client_controls if each[1].scope == "account"]
        self.failures: list[Exception] = []
        self.coordinator.connect(host, self, controls, failed=self._failed)
        self.switchboard = Switchboard(self.coordinator, self._failed)
        self.mails = {mail.name: mail for mail in mails}
        self.requests: list[Request] = []
        for mail in self.mails.values():
            for crew in setup.crews:
                self.switchboard.join(f"{mail.name}.{crew.name}", self._way(mail, crew.name))

    def _failed(self, error: Exception, market_id: str, strategy: str | None) -> None:
        self.failures.append(error)

    @staticmethod
    def _way(mail: FakeMail, crew: str) -> Callable[[Any], object]:
        return lambda message: mail.deliver(Carried(crew, message))

    def send(self, request: Request) -> None:
        """As the exchange."""
        if self.coordinator.clients.named(request.venue, request.username).simulated:
            self.switchboard.pass_on(request.request_id.partition("/")[0], request)  # type: ignore[arg-type]
        else:
            self.requests.append(request)

    def receive(self, host: str, letter: Letter) -> None:
        if isinstance(letter, Carried):
            self.switchboard.receive(f"{host}.{letter.crew}", letter.message)


_OPEN: list[Driven] = []


@pytest.fixture(autouse=True)
def ended_hosts() -> Iterator[None]:
    """All hosts of a test end with it, in the modules that import this."""
    yield
    while _OPEN:
        _OPEN[-1].end()


class Driven:
    """A host whose time is set by what comes: with a mail, and with a coordinator that answers at once.

    Attributes:
        host, mail, office: they.
    """

    def __init__(self, setup: LiveSetup) -> None:
        self.setup = setup
        self.now = 0
        self.mail = FakeMail("h1")
        for plan in setup.streams:
            self.mail.know(plan.name, "")
        self.office = Office(setup, [self.mail])
        self.host = HostRole("h1", setup, now=lambda: self.now)
        self.host.start(self.mail)
        self.host.next_state_ms = float("inf")
        self._taken = 0
        _OPEN.append(self)

    def end(self) -> None:
        """Its threads end."""
        self.host.stop()
        _OPEN.remove(self)

    def deliver(self, *letters: Letter, at: int, sender: str = "c") -> None:
        """Letters that come together; then everything that follows from them at once."""
        self._wake(at)
        self.now = at
        for letter in letters:
            self.mail.deliver(letter, sender)
        self._settle()

    def _wake(self, at: int) -> None:
        """Timers that are due by then, each at its own time."""
        while self.host.next_ms <= at:
            self.now = max(self.now, int(self.host.next_ms))
            self.host.wake(self.now)
            self._settle()

    def _settle(self) -> None:
        while True:
            self.office.clock.now_ms = self.now
            sent, self._taken = self.mail.sent[self._taken :], len(self.mail.sent)
            for name, letter in sent:
                if name == "c":
                    self.office.receive("h1", letter)
            waiting = self.mail.wait(0)
            if not waiting.letters:
                if self._taken == len(self.mail.sent):
                    return
                continue
            for sender, letter in waiting.letters:
                self.host.receive(sender, letter, self.now)
            self.host.caught_up(self.now)

    def play(self, path: str, streams: Sequence[str] = ("s1",), lag: int = 0) -> Driven:
        """Bring the changes of a recording, each by itself, at the times of their publication (and `lag` later)."""
        for update in updates_of(path):
            for stream in streams:
                for crew in self.setup.crews:
                    if crew.stream == stream:
                        self.deliver(msg_for(update, crew.name), at=update.pt + lag, sender=stream)
        return self

    def free(self, *market_ids: str) -> Driven:
        """Free markets."""
        for crew in self.setup.crews:
            for market_id in market_ids:
                self.deliver(FreeMarket(crew.name, market_id), at=self.now)
        return self

    def rows(self, table: str) -> list[Any]:
        """The rows of a table that the host has told."""
        return [row for letter in self.mail.letters(Rows) for row in pickle.loads(letter.data).get(table, ())]


def updates_of(path: str) -> list[MarketUpdate]:
    """The changes of a recording as a stream brings them; the first of each market is an image."""
    found: list[MarketUpdate] = []
    seen: set[str] = set()
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            message = json.loads(line)
            for change in message.get("mc") or ():
                image = change["id"] not in seen or bool(change.get("img"))
                seen.add(change["id"])
                data = json.dumps(change).encode()
                found.append(MarketUpdate("", change["id"], message["pt"], 0, data, image, message.get("clk")))
    return found


def msg_for(update: MarketUpdate, crew: str) -> MarketUpdate:
    """An update for a crew."""
    return MarketUpdate(crew, update.market_id, update.pt, update.received_ns, update.change, update.image, update.clk)


# -- strategies, and what they saw -------------------------------------------------------------------------------------


def scripted(actions: Actions, name: str = "Trader", force: bool = True) -> Scripted:
    return Scripted(Script(actions, force), name=name, **NO_LIMITS)


def simulated(path: str, strategies: Sequence[hr.Strategy], config: hr.Config | None = None) -> list[Any]:
    markets: list[Any] = []
    made = Setup(list(strategies), [hr.SimulatedClient()], config or hr.Config())
    Replay(Unit(path, (path,)), made, markets.append).run()
    return markets


def seen(strategy: Scripted) -> dict[str, Any]:
    """All that a script saw: calls of `process_orders`, orders after each book, answers, and how orders ended."""
    script = strategy.script
    script._name_replacements()
    orders = {
        ref: outcome(order) | {"log": [each.name for each in order.status_log], "bet_id": None}
        for ref, order in script.orders.items()
    }
    return {"calls": script.calls, "snapshots": script.snapshots, "answers": script.answers, "orders": orders}


class Looks(hr.Strategy):
    """Notes the books that it is shown."""

    looks: Any = hr.resource(list)

    def process_new_market(self, market: Any, book: Any) -> None:
        self.looks.append(("new", book.publish_time_epoch - T0))

    def check_market_book(self, market: Any, book: Any) -> bool:
        self.looks.append(("book", book.publish_time_epoch - T0, book.runners[0].last_price_traded))
        return False

    def process_closed_market(self, market: Any, book: Any) -> None:
        self.looks.append(("closed", book.publish_time_epoch - T0))


def arrived(driven: Driven, stream: Stream, folder: Path, at: int, until: int, sender: str = "s1") -> None:
    """The changes of a stream that were published after what has come so far, all at once."""
    taken = getattr(driven, "taken", 0)
    updates = updates_of(stream.write(folder / "market"))
    due = [each for each in updates[taken:] if each.pt <= T0 + until]
    driven.taken = taken + len(due)  # type: ignore[attr-defined]
    driven.deliver(*[msg_for(each, "s1.market") for each in due], at=T0 + at, sender=sender)


def looks_of(driven: Driven) -> list[Any]:
    found: list[Any] = driven.setup.strategies[0].looks  # type: ignore[attr-defined]
    return found


class Raw(hr.Strategy):
    """Notes raw changes."""

    data: Any = hr.resource(list)

    def process_raw_data(self, clk: str, publish_time: int, datum: dict[str, Any]) -> None:
        self.data.append((clk, publish_time - T0, datum))


def failures_of(failures: Any) -> Any:
    return FailureRows(failures)


class Diary(Backer):
    """Backs, hedges and moves its orders, and notes every callback with the time and with what it was told."""

    pages: Any = hr.resource(list)

    def note(self, what: str, market: Any, *more: Any) -> None:
        self.pages.append((what, market.market_id, market.clock.now_ms, *more))

    def process_new_market(self, market: Any, book: Any) -> None:
        self.note("new", market, book.status, len(book.runners))
        market.call_later(1.5, lambda: self.note("later", market, market.seconds_to_start))

    def check_market_book(self, market: Any, book: Any) -> bool:
        self.note("check", market, book.publish_time_epoch, book.status, book.total_matched)
        return super().check_market_book(market, book)

    def process_market_book(self, market: Any, book: Any) -> None:
        self.note("book", market, [runner.last_price_traded for runner in book.runners], market.random.random())
        super().process_market_book(market, book)

    def process_orders(self, market: Any, orders: list[Any]) -> None:
        told = [(each.status.name, each.size_matched, each.size_remaining, each.elapsed_seconds) for each in orders]
        self.note("orders", market, told)
        for order in orders:
            if order.status is hr.OrderStatus.EXECUTABLE and order.elapsed_seconds > 20:
                market.cancel_order(order)

    def process_closed_market(self, market: Any, book: Any) -> None:
        self.note("closed", market, [order.profit for order in market.blotter], market.elapsed_seconds_closed)


def mixed(tmp_path: Path, actions: Actions, others: Sequence[hr.Strategy] = (), **fields: Any) -> tuple[Driven, Script]:
    """A host with a live account, the default one, and a paper account."""
    strategy = scripted(actions)
    clients = [hr.BaseClient(username="me"), hr.BaseClient(username="paper", paper_trade=True)]
    driven = Driven(live_setup([strategy, *others], client=clients, **fields))
    for at in (0, 100):
        arrived(driven, priced(), tmp_path, at=at, until=at)
    return driven, strategy.script


def on_paper(ref: str, price: float, size: float) -> Asks:
    return lambda script, market: back(ref, price, size, client=market.framework.clients.get_client(
        hr.VenueType.BETFAIR, "paper"))(script, market)  # fmt: skip
