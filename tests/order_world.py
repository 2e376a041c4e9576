"""A live system and its exchange in one thread, in virtual time: who hears what when is for the test to say.

    with world() as it:
        it.ask(lambda strategy, market: ...)     # the strategy's next turn
        it.deliver(("h1", "c"))                  # its request reaches the coordinator
        it.calls[0].arrive()                     # ... and then the exchange
        it.settle()                              # everything else

Coordinator, host, order stream and market stream are the real ones, and so are the exchange's betting, its lists and
its stream. Between them lie queues, and calls that are on their way: each of the actors may crash at any time, and what
is on its way to it is lost.
"""

from __future__ import annotations

import collections
import os
import pickle
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, cast

import betfairlightweight

import headrace as hr
from builders import MARKET
from exchange_builders import ALICE
from headrace.actors.betfair.live_account import LiveAccount
from headrace.actors.letters import Gone, Letter, SessionWanted
from headrace.actors.live.coordinator_role import CoordinatorRole
from headrace.actors.live.crews import StreamPlan, plan_streams
from headrace.actors.live.host import HostRole
from headrace.actors.live.hosts import Found
from headrace.actors.live.instance import Instance
from headrace.actors.live.setup import LiveSetup
from headrace.actors.mailboxes.mail import CrashedError
from headrace.actors.streaming.market_stream import MarketStreamRole
from headrace.actors.streaming.order_stream import OrderStreamRole
from headrace.actors.streaming.stream_place import StreamPlace
from headrace.strategies.clock import Clock
from live_builders import FakeMail
from order_calls import Call, OpenSession, WiredCalls
from order_venue import OrderVenue

REFERENCE = "model"
OWNER = ("Betfair", ALICE.username)
_PLACE = StreamPlace("127.0.0.1", 1, tls=False)
#: Milliseconds after which what was sent and not heard of has reached the exchange, or never will.
ON_THE_WAY_MS = 5_000

Pair = tuple[str, str]
#: Where files lie: in memory, where that can be had.
ROOM = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class Trader(hr.Strategy):
    """Does what it is asked to, whichever copy of it trades."""

    todo: ClassVar[collections.deque[Callable[[Trader, Any], object]]] = collections.deque()

    def check_market_book(self, market: Any, book: Any) -> bool:
        return True

    def process_market_book(self, market: Any, book: Any) -> None:
        while Trader.todo:
            Trader.todo.popleft()(self, market)

    def process_orders(self, market: Any, orders: Any) -> None:
        if market.restored:
            self.process_market_book(market, None)


# -- actors ------------------------------------------------------------------------------------------------------------


class _Mail(FakeMail):
    """What an actor sends waits in the world."""

    def __init__(self, world: World, name: str, incarnation: int) -> None:
        super().__init__(name)
        self._world = world
        self.incarnation, self.address = incarnation, f"{name}:{incarnation}"
        self.known = {"c": world.address("c")} if name != "c" else {}

    def send(self, name: str, letter: Letter, droppable: bool = False) -> bool:
        if name not in self.known:
            return False
        self._world.queues.setdefault((self.name, name), collections.deque()).append((self.known[name], letter))
        return True

    def put(self, letter: Letter) -> None:
        self._world.queues.setdefault((self.name, self.name), collections.deque()).append((self.address, letter))


class _Engine:
    """Starts roles in the world."""

    coming = 0

    def __init__(self, world: World) -> None:
        self._world = world

    def prepare(self, names: Any, make_role: Any = None) -> None:
        """They start at once."""

    spare = stop = kill = prepare

    def adopt(self, names: Any = None) -> dict[str, Found]:
        running = self._world.running
        return {name: Found(self._world.address(name), each) for name, each in running.items() if name != "c"}

    def crash(self, name: str) -> None:
        self._world.crash(name)

    def start(self, name: str, make_role: Any, incarnation: int = 0) -> str:
        self._world.start(name, incarnation)
        return self._world.address(name)


class World(OrderVenue):
    """See the module.

    Attributes:
        queues: letters on their way, by sender and receiver, each with the address that it was sent to.
        placed: how often each order was sent to be placed.
        cut: by how much each order was asked to be reduced.
        rows: markets that hosts have freed.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.queues: dict[Pair, collections.deque[tuple[str, Letter]]] = {}
        self.placed: collections.Counter[str] = collections.Counter()
        self.cut: collections.Counter[str] = collections.Counter()
        self.rows: list[Any] = []
        self.trap = ""
        self.crashed = self._coordinators = 0
        self._make_setup(folder)
        Trader.todo.clear()
        for name in ("c", "s1", "o1"):
            self.start(name, 0)

    # -- actors --------------------------------------------------------------------------------------------------

    def _make_setup(self, folder: Path) -> None:
        client = hr.BetfairClient(
            betfairlightweight.APIClient(ALICE.username, ALICE.password, ALICE.app_key), interactive_login=True
        )
        no_limits = {"max_order_exposure": None, "max_selection_exposure": None, "max_live_trade_count": 1_000}
        strategies = [Trader(name="Trader", market_filter={"event_type_ids": ["7"]}, **no_limits)]
        streams, crews = plan_streams(strategies)
        orders = StreamPlan("o1", "orderSubscription", venue=client.venue, username=client.username)
        self._instance = Instance("model", folder)
        self._instance.hold()
        self.setup = LiveSetup(
            strategies=strategies,
            clients=[client],
            config=hr.Config(),
            instance=str(self._instance.folder),
            reference=REFERENCE,
            streams=(*streams, orders),
            crews=crews,
            make_exchange=lambda: cast(Any, None),
            rows_of=self._freed,
            max_hosts=1,
        )
        self.crew = crews[0].name

    def _freed(self, actor: Any, market: Any) -> dict[str, Any]:
        self.rows.append(market)
        return {}

    def address(self, name: str) -> str:
        return f"{name}:{self.running[name]}" if name in self.running else f"{name}:gone"

    def start(self, name: str, incarnation: int) -> None:
        """An actor starts."""
        self.running[name] = incarnation
        mail = _Mail(self, name, incarnation)
        role: Any
        if name == "c":
            self.clock = Clock(self.now)
            role = self.c = CoordinatorRole(
                self.setup,
                cast(Any, _Engine(self)),
                lambda name: cast(Any, None),
                self._account,
                pickle.dumps,
                lambda name: lambda: cast(Any, None),
                self.clock,
            )
        elif name == "s1":
            role = self.s1 = MarketStreamRole(self.setup.streams[0], _PLACE, now=lambda: self.now / 1000)
        elif name == "o1":
            role = self.o1 = OrderStreamRole(self.setup.streams[-1], _PLACE, REFERENCE)
            role._now = lambda: self.now / 1000
        else:
            role = self.h1 = HostRole(name, self.setup, now=lambda: self.now)
        role.start(mail)
        if name in self.bytes:
            self.connect(name)

    def _account(self, client: Any, answer: Any, put: Any) -> LiveAccount:
        self.wired = WiredCalls(self, put)
        account = LiveAccount(client, self.wired, answer, self.setup.config, REFERENCE)
        account.session = account.api.session = OpenSession(client, self.wired)
        return account

    # -- letters -------------------------------------------------------------------------------------------------

    def deliver(self, pair: Pair, count: int = 1_000, ends: bool = True) -> None:
        """Letters reach an actor, together. `ends`: False: it crashes before it has dealt with them."""
        letters = [self.queues[pair].popleft() for _ in range(min(count, len(self.queues[pair])))]
        sender, name = pair
        role = self.role(name)
        try:
            for address, letter in letters:
                if address == self.address(name) and not isinstance(letter, SessionWanted):
                    role.receive(sender, letter, self.now)
            if not ends:
                raise CrashedError
            if name in self.running:
                role.caught_up(self.now)
        except CrashedError:
            self.crash(name)
        self.turn()

    def waiting(self) -> list[Pair]:
        """Letters that are on their way."""
        return sorted(pair for pair, letters in self.queues.items() if letters and pair[1] in self.running)

    def sent(self, call: Call) -> None:
        self.calls = [each for each in self.calls if not each.over] + [call]
        if call.operation == "placeOrders":
            for each in call.asked["params"]["instructions"]:
                self.placed[each["customerOrderRef"]] += 1

    def unsent(self, call: Call) -> None:
        if call.operation == "placeOrders":
            for each in call.asked["params"]["instructions"]:
                self.placed[each["customerOrderRef"]] -= 1

    def comes_to(self, point: str) -> None:
        """The coordinator crashes where it was set a trap."""
        if self.trap == point:
            self.trap = ""
            raise CrashedError

    def crash(self, name: str, unsent: int = 0) -> None:
        """An actor is killed. What was on its way to it is lost, and of what it has sent the last `unsent` letters."""
        if name not in self.running:
            return
        incarnation = self.running.pop(name)
        self.crashed += 1
        if name in self.bytes:
            self.drop(name)
        else:
            self.role(name).crash()
        for (sender, receiver), letters in self.queues.items():
            if receiver == name:
                letters.clear()
            elif sender == name:
                for _ in range(min(unsent, len(letters))):
                    letters.pop()
        if name != "c" and "c" in self.running:
            letters = self.queues.setdefault(("engine", "c"), collections.deque())
            letters.append((self.address("c"), Gone(name, "killed", incarnation)))

    def start_again(self) -> None:
        """The coordinator comes back, where it is gone."""
        while "c" not in self.running:
            self._coordinators += 1
            try:
                self.start("c", self._coordinators)
            except CrashedError:
                self.crash("c")

    # -- time ----------------------------------------------------------------------------------------------------

    def _due(self) -> float:
        found = [self.exchange.next_at]
        for name in ("c", "h1"):
            if name in self.running:
                found.append(self.role(name).next_ms)
        return min(found)

    def advance(self, milliseconds: int, settles: bool = False) -> None:
        """Time passes. `settles`: all that is on its way comes at once."""
        end = self.now + milliseconds
        while (due := self._due()) <= end:
            self._at(max(self.now, int(due)))
            if settles:
                self.settle()
        self._at(end)

    def _at(self, at: int) -> None:
        self.now = self.clock.now_ms = at
        self.exchange.advance(at)
        self.turn()
        for call in self.calls:
            if not call.arrived and call.heard and at - call.begun > ON_THE_WAY_MS:
                call.drop()
        for name in ("c", "h1"):
            if name in self.running and self.role(name).next_ms <= at:
                try:
                    self.role(name).wake(at)
                except CrashedError:
                    self.crash(name)

    def settle(self) -> None:
        """All that is on its way comes, until nothing is."""
        for _ in range(10_000):
            self.turn()
            for pair in self.waiting():
                self.deliver(pair)
            for name in ("s1", "o1"):
                if name in self.running and self.bytes[name]:
                    self.read(name, 1_000)
            for call in list(self.calls):
                if not call.arrived:
                    call.arrive()
                elif call.reply is not None and not call.heard:
                    call.answer()
            if not self.waiting() and not any(self.bytes.values()) and not self._moving():
                return
        raise AssertionError("it does not come to rest")

    def _moving(self) -> bool:
        return any(not each.arrived or (each.reply is not None and not each.heard) for each in self.calls)

    def ask(self, act: Callable[[Trader, Any], object]) -> None:
        """The strategy does something at the market's next change, which is now."""
        Trader.todo.append(act)
        self.changes(lambda stream, at: stream.touch(at))

    @property
    def market(self) -> Any:
        """As the host has it; None: it has it not."""
        if "h1" not in self.running or self.crew not in self.h1.rooms:
            return None
        return self.h1.rooms[self.crew].actor.market(MARKET)

    def close(self) -> None:
        if "c" in self.running:
            self.c.crash()
        if "h1" in self.running:
            self.h1.crash()
        for call in self.calls:
            call.end()
        for task in self.elsewhere:
            task.cancel()
        self.turn()
        self.server.__exit__()
        self._instance.release()


@contextmanager
def world() -> Iterator[World]:
    """A system that trades, at a market with prices."""
    with tempfile.TemporaryDirectory(dir=ROOM) as folder:
        made = World(Path(folder))
        try:
            made.advance(1_500, settles=True)
            yield made
        finally:
            made.close()
