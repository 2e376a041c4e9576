"""A host that can crash after any letter, beside a coordinator that lives on and an exchange that stands by itself.

    world = World(stream, actions)
    world.play(crash=17)         # the host ends after its 17th letter, and another goes on
    world.orders["a"].size_matched

Time goes by as the stream says. Whatever passes between host and coordinator passes as bytes.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

import headrace as hr
from apart import NO_LIMITS
from builders import T0, Script, Scripted, Stream
from headrace.actors.exchange_desk import ExchangeDesk
from headrace.actors.journal.entries import Kept, merged, packed, unpacked
from headrace.actors.letters import (
    Carried,
    FreeMarket,
    Hosting,
    Letter,
    MarketUpdate,
    Restore,
    Restored,
)
from headrace.actors.live.host import HostRole
from headrace.actors.switchboard import Switchboard
from headrace.simulate.simulated_exchange import SimulatedExchange
from headrace.strategies.book import MarketBook
from headrace.strategies.book_image import image_change
from headrace.strategies.changes import MarketChange
from headrace.strategies.clock import Clock
from headrace.strategies.host import Host, numbered_ids
from headrace.strategies.messages import (
    MarketResult,
    OrderFact,
    Request,
)
from live_builders import FakeMail
from live_hosts import Actions, live_setup, msg_for, updates_of

CREW = "s1.market"
_ENCODER = msgspec.msgpack.Encoder()
_LETTER: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(Carried | Restore)


class Once(Script):
    """Does at each time what it says once: the image that a host begins with has the time of the book before."""

    def read(self, strategy: Any, market: Any) -> None:
        super().read(strategy, market)
        self.actions = {
            at: each for at, each in self.actions.items() if T0 + at != market.market_book.publish_time_epoch
        }


class World:
    """See the module.

    Args:
        stream: of the one market.
        actions: of each strategy; they have a live account.

    Attributes:
        host: the one that lives.
        letters: how many the hosts have taken.
        kept, known: what a journal has of the market: what was kept, and what was asked and told.
        results: that were told to the coordinator.
        restored: what hosts said that were to go on.
        merges: what was kept is put together, as the journal does now and then.
    """

    def __init__(self, stream: Stream, *actions: Actions) -> None:
        self.scripts = [Once(each, True) for each in actions]
        strategies = [
            Scripted(script, name=f"Trader {number}", **NO_LIMITS) for number, script in enumerate(self.scripts)
        ]
        self.setup = setup = live_setup(strategies, client=hr.BaseClient(username="me"))
        self.market_id = stream.market_id
        with tempfile.TemporaryDirectory() as folder:
            self._updates = updates_of(stream.write(Path(folder) / "market"))
        self.now = 0
        host = Host(Clock(), setup.config, numbered_ids())
        self.coordinator = setup.coordinator(setup.clients)
        self.desk = ExchangeDesk(host, SimulatedExchange(), self.coordinator)
        self.coordinator.connect(host, self.desk, failed=self.desk.failed)
        self.switchboard = Switchboard(self.coordinator, self.desk.failed)
        self.switchboard.join("h." + CREW, self._for_host)
        self.letters = 0
        self.kept: list[bytes] = []
        self.known: list[Any] = []
        self.results: list[MarketResult] = []
        self.restored: list[Restored] = []
        self.hosting: list[Hosting] = []
        self.merges = False
        self.crash_at = -1
        self._crashes: list[int] = []
        self._goes_out = 0
        self._outbox: list[Any] = []
        self._book = MarketBook(stream.market_id)
        self._definition: Any = None
        self.hosts = 0
        self.start()

    def start(self) -> None:
        """A host that knows nothing."""
        self.hosts += 1
        self.mail = FakeMail("h")
        self.mail.know("s1", "")
        self._taken = 0
        self.host = HostRole("h", self.setup, now=lambda: self.now)
        self.host.start(self.mail)
        self.host.next_state_ms = float("inf")

    def end(self) -> None:
        self.host.stop()

    # -- the coordinator -----------------------------------------------------------------------------------------

    def _for_host(self, message: Any) -> None:
        """The coordinator tells the host something: what the exchange says comes as from elsewhere."""
        if isinstance(message, OrderFact):
            message = msgspec.structs.replace(message, source="STREAM")
        self.known.append(message)
        self._outbox.append(message)

    def _from_host(self) -> None:
        sent, self._taken = self.mail.sent[self._taken :], len(self.mail.sent)
        for name, letter in sent:
            if name != "c":
                continue
            if self.letters == self.crash_at and isinstance(letter, Carried):
                if not self._goes_out:
                    continue
                self._goes_out -= 1
            if isinstance(letter, Restored):
                self.restored.append(letter)
            elif isinstance(letter, Hosting):
                self.hosting.append(letter)
            elif isinstance(letter, Carried):
                self.take(_LETTER.decode(_ENCODER.encode(letter)))

    def take(self, letter: Carried) -> None:
        """A letter of the host."""
        message = letter.message
        if message in self.known:
            return  # it is repeated
        if letter.kept:
            self.kept.append(letter.kept)
        if isinstance(message, Request):
            self.known.append(message)
        if isinstance(message, MarketResult):
            self.results.append(message)
        self.switchboard.receive("h." + CREW, message)

    # -- time ----------------------------------------------------------------------------------------------------

    def play(
        self,
        *crashes: int,
        then: Callable[[World], object] | None = None,
        goes_out: int = 1_000_000,
        watch: Mapping[int, Callable[[], object]] | None = None,
    ) -> World:
        """The whole stream.

        Args:
            crashes: after how many letters each host ends, and another goes on.
            then: called when the other has what it needs, before it is shown the market.
            goes_out: how many of the letters go out that the host sends with the last one that it takes.
            watch: called at these times.
        """
        looks = sorted((watch or {}).items())
        self._crashes, self._then, self._goes_out = list(crashes), then, goes_out
        self._plan()
        for update in self._updates:
            while looks and looks[0][0] < update.pt:
                self._look(*looks.pop(0))
            self._until(update.pt)
            self._at(update.pt, lambda update=update: self._change(update))
            self._deliver(msg_for(update, CREW), "s1")
        for at, look in looks:
            self._look(at, look)
        self._until(self.now + 60_000)
        self.desk.expire(self.market_id)
        self._settle()
        return self

    def _plan(self) -> None:
        """The next crash."""
        self.crash_at = self.letters + self._crashes.pop(0) if self._crashes else -1

    def _look(self, at: int, look: Callable[[], object]) -> None:
        self._until(at)
        self._at(at, look)

    def free(self) -> World:
        """The market is over."""
        self._deliver(FreeMarket(CREW, self.market_id), "c")
        return self

    def _change(self, update: MarketUpdate) -> None:
        change = msgspec.json.decode(update.change, type=MarketChange)
        self.desk.process_market_change(update.pt, change)
        if change.market_definition is not None:
            self._definition = json.loads(update.change)["marketDefinition"]
            if self._book.market_definition is None:
                self._book.market_definition = change.market_definition
        self._book.apply(update.pt, change)

    def _until(self, at: int) -> None:
        """Everything that is due earlier, each at its own time."""
        while (due := min(self.desk.clock.next_ms, self.host.next_ms)) <= at:
            due = max(self.now, int(due))
            if self.desk.clock.next_ms <= due:
                self._at(due, lambda due=due: self.desk.tick(due))
            if self.host.next_ms <= due:
                self.now = due
                self.host.wake(due)
                self._settle()

    def _at(self, at: int, act: Callable[[], object]) -> None:
        self.now = at
        act()
        self._settle()

    def _settle(self) -> None:
        """Letters go back and forth until there are none."""
        self._from_host()
        while self._outbox:
            self._deliver(Carried(CREW, self._outbox.pop(0)), "c")

    def bet(self, order_id: str) -> Any:
        """An order's bet at the exchange."""
        exchange: Any = self.desk._markets[self.market_id].exchange
        return exchange.bet(order_id)

    def _deliver(self, letter: Letter, sender: str) -> None:
        if self.letters == self.crash_at:
            self._crash(letter)
            return  # its successor has it: in what is restored, or in the image
        self.letters += 1
        if isinstance(letter, Carried):
            letter = _LETTER.decode(_ENCODER.encode(letter))
        self.hand(letter, sender)
        self._settle()

    def hand(self, letter: Letter, sender: str = "c") -> None:
        """A letter reaches the host."""
        self.mail.deliver(letter, sender)
        for name, each in self.mail.wait(0).letters:
            self.host.receive(name, each, self.now)
        self.host.caught_up(self.now)

    # -- the end of a host ---------------------------------------------------------------------------------------

    def restore_letter(self) -> Restore:
        definition = b"" if self._definition is None else json.dumps(self._definition).encode()
        kept = self.kept
        if self.merges:
            found: dict[str, list[Kept]] = {}
            for each in map(unpacked, kept):
                found.setdefault(each.strategy, []).append(each)
            kept = [packed(merged(several)) for several in found.values()]
        return Restore(CREW, self.market_id, tuple(kept), tuple(self.known), definition, "99", "killed")

    def _crash(self, letter: Letter) -> None:
        """The host is gone. What the coordinator tells it at this moment is with what the next one gets."""
        self._plan()
        before = self.host
        # For comparison it hears that as well; what it answers is lost.
        for each in [letter, *[Carried(CREW, message) for message in self._outbox]]:
            if isinstance(each, Carried):
                self.hand(each)
        self._outbox.clear()
        self.start()
        self.hand(_LETTER.decode(_ENCODER.encode(self.restore_letter())))
        self._from_host()
        if self._then is not None:
            self._before = before
            self._then(self)
        self._rename()
        self._route()
        before.stop()

    def _rename(self) -> None:
        """The script means the orders that were made again."""
        market = self.market
        for script in self.scripts:
            script._name_replacements()
            for ref, order in script.orders.items():
                script.orders[ref] = market.order(order.id) or order

    def _route(self) -> None:
        change = {**image_change(self._book), "marketDefinition": self._definition}
        data = json.dumps(change).encode()
        pt = self._book.publish_time_epoch
        self.hand(MarketUpdate(CREW, self.market_id, pt, 0, data, True), "s1")
        self._settle()

    @property
    def market(self) -> Any:
        return self.host.rooms[CREW].actor.market(self.market_id)
