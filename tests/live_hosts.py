"""Hosts driven by recordings: changes of a file come as letters, at the times of the file; a coordinator answers.

live = Driven(live_setup([strategy])).play(path)
live.host.rooms["s1.market"].actor.market(MARKET)
"""

from __future__ import annotations

import json
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import headrace as hr
from headrace.actors.letters import Carried, FreeMarket, Letter, MarketUpdate, Rows
from headrace.actors.live.crews import plan_streams
from headrace.actors.live.host import HostRole
from headrace.actors.live.setup import LiveSetup
from headrace.actors.mailboxes.mail import Waiting
from headrace.actors.switchboard import Switchboard
from headrace.simulate.session_rows import rows_of_market
from headrace.simulate.simulated_exchange import SimulatedExchange
from headrace.strategies.clock import LiveClock
from headrace.strategies.host import Host, unique_id
from headrace.strategies.messages import Request

_Kind = TypeVar("_Kind")


class HostMail:
    """The mail of a host: what it sends is kept, and what comes is put into `inbox`."""

    def __init__(self, name: str = "h1") -> None:
        self.name, self.address, self.stopped = name, f"test:{name}", False
        self.inbox: deque[tuple[str, Letter]] = deque()
        self.sent: list[tuple[str, Letter]] = []
        self.told_aside: list[Letter] = []
        self.known: dict[str, str] = {}
        self.closed = False

    def know(self, name: str, address: str) -> None:
        self.known[name] = address

    def forget(self, name: str) -> None:
        self.known.pop(name, None)

    def send(self, name: str, letter: Letter, droppable: bool = False) -> bool:
        self.sent.append((name, letter))
        return True

    def put(self, letter: Letter) -> None:
        self.inbox.append((self.name, letter))

    def aside(self, name: str, letter: Letter) -> bool:
        self.told_aside.append(letter)
        return True

    def watch(self, file: Any, ready: Callable[[], object] | None) -> None:
        raise AssertionError("a host watches no files")

    def wait(self, seconds: float) -> Waiting:
        letters = list(self.inbox)
        self.inbox.clear()
        return Waiting(letters)

    @property
    def depth(self) -> int:
        return len(self.inbox)

    @property
    def counts(self) -> dict[str, int]:
        return {}

    def close(self) -> None:
        self.closed = True

    def letters(self, kind: type[_Kind], to: str = "c") -> list[_Kind]:
        """The letters of a kind that were sent."""
        return [letter for name, letter in self.sent if name == to and isinstance(letter, kind)]


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

    def __init__(self, setup: LiveSetup, mails: Iterable[HostMail]) -> None:
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
    def _way(mail: HostMail, crew: str) -> Callable[[Any], object]:
        return lambda message: mail.inbox.append(("c", Carried(crew, message)))

    def send(self, request: Request) -> None:
        """As the exchange."""
        if self.coordinator.clients.named(request.venue, request.username).simulated:
            self.switchboard.pass_on(request.request_id.partition("/")[0], request)  # type: ignore[arg-type]
        else:
            self.requests.append(request)

    def receive(self, host: str, letter: Letter) -> None:
        if isinstance(letter, Carried):
            self.switchboard.receive(f"{host}.{letter.crew}", letter.message)


class Driven:
    """A host whose time is set by what comes: with a mail, and with a coordinator that answers at once.

    Attributes:
        host, mail, office: they.
    """

    def __init__(self, setup: LiveSetup) -> None:
        self.setup = setup
        self.now = 0
        self.mail = HostMail()
        self.office = Office(setup, [self.mail])
        self.host = HostRole("h1", setup, now=lambda: self.now)
        self.host.start(self.mail)
        self.host.next_state_ms = float("inf")
        self._taken = 0

    def deliver(self, *letters: Letter, at: int, sender: str = "c") -> None:
        """Letters that come together; then everything that follows from them at once."""
        self._wake(at)
        self.now = at
        self.mail.inbox.extend((sender, letter) for letter in letters)
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
