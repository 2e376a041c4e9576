"""A run whose market actors, coordinator and exchange stand apart: what passes between them is bytes.

`Office` is the coordinator's side, `Room` that of one market actor, `Post` what lies between. Each can stand in a
process of its own. Time goes by steps, one for each change of the recording: the office takes the change first, then
what it tells is delivered, then the rooms take the change, and what they ask goes to the office.
"""

from __future__ import annotations

import functools
import itertools
import multiprocessing
import random
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import headrace as hr
from headrace.actors.exchange_desk import ExchangeDesk
from headrace.actors.remote import RemoteCoordinator, RemoteExchange
from headrace.actors.switchboard import Switchboard
from headrace.actors.wire import encode, for_actor, for_coordinator
from headrace.simulate.reading.recordings import Recording
from headrace.simulate.simulated_exchange import SimulatedExchange
from headrace.strategies.changes import ChangeMessage, MarketChange
from headrace.strategies.clock import Clock
from headrace.strategies.host import Host, numbered_ids
from headrace.strategies.messages import Request
from headrace.strategies.order import Order

#: A change, and when it was published.
Step = tuple[int, MarketChange]
#: How an order ended: everything that money depends on.
Outcome = dict[str, Any]


def steps_of(path: str) -> Iterator[Step]:
    """The changes of a recording, in order."""
    for _, messages in Recording(path).messages():
        for message in messages:
            assert isinstance(message, ChangeMessage)
            for change in message.mc:
                yield message.pt, change


def outcome(order: Order) -> Outcome:
    """How an order ended. Its id is left out: rooms give ids of their own."""
    return {
        "status": order.status.name if order.status else None,
        "bet_id": order.bet_id,
        "price": getattr(order.order_type, "price", None),
        "persistence": getattr(order.order_type, "persistence_type", None),
        "matched": order.size_matched,
        "average": order.average_price_matched,
        "remaining": order.size_remaining,
        "cancelled": order.size_cancelled,
        "lapsed": order.size_lapsed,
        "voided": order.size_voided,
        "fills": list(order.simulated.fills) if order.simulated else [],
        "profit": order.profit,
        "settled": order.settled,
        "placed": order.responses.placed_ms,
    }


class Post:
    """Between two processes: what is handed in comes in any order, some of it twice, and some of it later.

    Args:
        seed: decides which.
        latest: by how many steps something may be late for the first time; what comes again may always be late.
    """

    def __init__(self, seed: int, latest: int = 0) -> None:
        self._chance = random.Random(seed)
        self._latest = latest
        self._step = 0
        self._waiting: list[tuple[int, bytes]] = []
        self.repeated = self.late = 0

    def hand_in(self, data: bytes) -> None:
        chance = self._chance
        late = chance.randint(0, self._latest)
        self.late += late > 0
        self._waiting.append((self._step + late, data))
        while chance.random() < 0.3:
            self.repeated += 1
            self._waiting.append((self._step + chance.randint(0, 4), data))

    def delivered(self, everything: bool = False) -> list[bytes]:
        """What comes in this step."""
        due = [data for at, data in self._waiting if everything or at <= self._step]
        self._waiting = [] if everything else [each for each in self._waiting if each[0] > self._step]
        self._step += 1
        self._chance.shuffle(due)
        return due


class Office:
    """The coordinator's side: accounts, the exchange, and its books.

    Attributes:
        outbox: what is to go to each room.
    """

    def __init__(
        self,
        rooms: Iterable[str],
        config: hr.Config | None = None,
        client: hr.BaseClient | None = None,
        kind: type[hr.Coordinator] = hr.Coordinator,
        logging_controls: Callable[[Any], object] | None = None,
    ) -> None:
        host = Host(Clock(), config or hr.Config(), numbered_ids())
        self.coordinator = kind([client or hr.SimulatedClient()], logging_controls)
        self.desk = ExchangeDesk(host, SimulatedExchange(), self.coordinator)
        self.coordinator.connect(host, self.desk, failed=self.desk.failed)
        self.switchboard = Switchboard(self.coordinator, self.desk.failed)
        self.outbox: dict[str, list[bytes]] = {room: [] for room in rooms}
        for room in self.outbox:
            self.switchboard.join(room, lambda message, room=room: self.outbox[room].append(encode(message)))

    def take(self, step: Step) -> None:
        self.desk.process_market_change(*step)

    def receive(self, room: str, data: bytes) -> None:
        self.switchboard.receive(room, for_coordinator(data))

    def collect(self, room: str) -> list[bytes]:
        """What is to go to a room, once."""
        found, self.outbox[room] = self.outbox[room], []
        return found

    def end(self, market_ids: Iterable[str]) -> None:
        """The recording has ended."""
        for market_id in market_ids:
            self.desk.expire(market_id)


class Room:
    """A market actor's side.

    Attributes:
        outbox: what is to go to the office.
    """

    def __init__(
        self,
        name: str,
        strategies: Sequence[hr.Strategy],
        config: hr.Config | None = None,
        client: hr.BaseClient | None = None,
    ) -> None:
        self.name = name
        self.outbox: list[bytes] = []
        count = itertools.count(1)
        host = Host(Clock(), config or hr.Config(), lambda: f"{name}{next(count):0{18 - len(name)}d}")
        coordinator = RemoteCoordinator(
            [client or hr.SimulatedClient()], lambda message: self.outbox.append(encode(message))
        )
        self.actor = hr.MarketActor(host, strategies, coordinator, RemoteExchange())
        self.markets: list[Any] = []

    def receive(self, letters: Iterable[bytes], at: int) -> None:
        for data in letters:
            self.actor.receive(for_actor(data), at)

    def take(self, step: Step) -> None:
        publish_time, change = step
        self.actor.receive(change, publish_time)

    def collect(self) -> list[bytes]:
        """What is to go to the office, once."""
        found, self.outbox = self.outbox, []
        return found

    def end(self, market_ids: Iterable[str]) -> None:
        for market_id in market_ids:
            self.markets += [market for _, market in self.actor.books.release_market(market_id)]


def play(path: str, office: Office, rooms: Sequence[Room], post: Callable[[str], Post]) -> None:
    """A whole recording in one process, where all that passes is bytes; requests come twice."""
    ways = {room.name: post(room.name) for room in rooms}
    ids: dict[str, None] = {}
    at = 0
    for step in steps_of(path):
        at = step[0]
        ids.setdefault(step[1].id or "")
        office.take(step)
        for room in rooms:
            for data in office.collect(room.name):
                ways[room.name].hand_in(data)
            room.receive(ways[room.name].delivered(), at)
            room.take(step)
        for room in rooms:
            for data in room.collect():
                office.receive(room.name, data)
                if isinstance(for_coordinator(data), Request):
                    office.receive(room.name, data)
    office.end(ids)
    for room in rooms:
        for data in office.collect(room.name):
            ways[room.name].hand_in(data)
        room.receive(ways[room.name].delivered(everything=True), at)
        room.end(ids)
        for data in room.collect():
            office.receive(room.name, data)


# -- a strategy whose decisions depend on the book and on the time alone -----------------------------------------------

#: Changes of the book after which everything that a request leads to has come, however late it is delivered.
PATIENCE = 6
#: Milliseconds that a request takes to the exchange, at most, without the bet delay.
LATENCY = 500


class Clockwork(hr.Strategy):
    """Places an order at some books, and does things to it at later ones: what, is drawn from the numbers of the books.

    It never looks at how an order stands: messages that come late change nothing of what it asks for.
    """

    seed: int = 1
    every: int = 7

    def process_new_market(self, market: Any, market_book: Any) -> None:
        self.books = 0
        self.placed: list[Order] = []
        self.due: list[tuple[int, int, Order, int]] = []

    def check_market_book(self, market: Any, market_book: Any) -> bool:
        return market_book.status == "OPEN"

    def process_market_book(self, market: Any, market_book: Any) -> None:
        self.books += 1
        now = market_book.publish_time_epoch
        due, self.due = self.due, []
        for ready_ms, books, order, step in due:
            if now <= ready_ms:
                self.due.append((ready_ms, PATIENCE, order, step))
            elif books > 1:
                self.due.append((ready_ms, books - 1, order, step))
            else:
                self.go_on(market, order, step)
        if self.books % self.every == 0:
            self.place(market, market_book)

    def place(self, market: Any, book: Any) -> None:
        chance = random.Random(f"{self.seed}:{self.books}")
        runners = [each for each in book.runners if each.status == "ACTIVE" and each.ex.available_to_back]
        if not runners:
            return
        runner = chance.choice(runners)
        side = chance.choice(("BACK", "LAY"))
        offers = runner.ex.available_to_back if side == "BACK" else runner.ex.available_to_lay
        if not offers:
            return
        price = hr.price_ticks_away(offers[0].price, chance.randint(-1, 6) * (1 if side == "BACK" else -1))
        persistence = chance.choice(("LAPSE", "PERSIST", "MARKET_ON_CLOSE"))
        trade = hr.Trade(market.market_id, runner.selection_id, runner.handicap, self)
        made = trade.create_order(side, hr.LimitOrder(price, chance.choice((2.0, 5.5, 40.0)), persistence))
        if market.place_order(made, force=True):
            self.placed.append(made)
            self.plan(market, made, 0)

    def plan(self, market: Any, order: Order, step: int) -> None:
        book = market.market_book
        self.due.append((book.publish_time_epoch + LATENCY + book.bet_delay * 1000, PATIENCE, order, step))

    def go_on(self, market: Any, order: Order, step: int) -> None:
        """One thing after another is done to an order, and to what takes its place."""
        order = order.trade.orders[-1]
        chance = random.Random(f"{self.seed}:{self.placed.index(order.trade.orders[0])}:{step}")
        what = chance.choice(("reduce", "update", "replace", "replace", "replace", "cancel"))
        try:
            if what == "reduce":
                market.cancel_order(order, 0.5, force=True)
            elif what == "cancel":
                market.cancel_order(order, force=True)
            elif what == "update":
                market.update_order(order, chance.choice(("LAPSE", "PERSIST")), force=True)
            else:
                price = hr.price_ticks_away(order.order_type.price, chance.choice((-2, -1, 1, 2)))
                market.replace_order(order, price, force=True)
        except hr.OrderError:
            return  # it has ended, and that is known here
        if step < 4:
            self.plan(market, order, step + 1)

    def outcomes(self) -> list[Outcome]:
        """How all orders ended, in the order in which they were asked for."""
        return [outcome(order) for placed in self.placed for order in placed.trade.orders]


# -- each in a process of its own --------------------------------------------------------------------------------------

#: Seconds after which whoever waits for a message gives up.
WAIT = 60
#: A run: the recording, the seed of what is late and repeated, and by how many steps something may be late.
Case = tuple[str, int, int]
#: The rooms, and what their strategies draw their decisions from.
ROOMS: dict[str, dict[str, Any]] = {"north": {"seed": 1, "every": 7}, "south": {"seed": 2, "every": 5}}
NO_LIMITS: dict[str, Any] = {
    "max_order_exposure": None,
    "max_selection_exposure": None,
    "max_live_trade_count": 100_000,
}


def clockwork(room: str) -> Clockwork:
    return Clockwork(name=room, **ROOMS[room], **NO_LIMITS)


def outcomes_of(markets: Iterable[Any]) -> dict[str, list[Outcome]]:
    """How the orders of each strategy ended, by its name."""
    return {seat.strategy.name: seat.strategy.outcomes() for market in markets for seat in market.seats}


class Queues:
    """Who can write to whom: one queue for each direction."""

    def __init__(self, context: Any) -> None:
        names = [*ROOMS, "office"]
        self.commands = {name: context.Queue() for name in names}
        self.to_room = {room: context.Queue() for room in ROOMS}
        self.to_office = {room: context.Queue() for room in ROOMS}
        self.answers = context.Queue()


def work(name: str, cases: Sequence[Case], queues: Queues) -> None:
    """The life of a process."""
    try:
        for case in cases:
            (_work_in_office if name == "office" else functools.partial(_work_in_room, name))(case, queues)
    except BaseException:
        queues.answers.put((name, traceback.format_exc(), None))
        raise


def _work_in_office(case: Case, queues: Queues) -> None:
    path, seed, latest = case
    office, ids = Office(ROOMS), set()
    ways = {room: Post(seed + number, latest) for number, room in enumerate(ROOMS)}

    def turn(act: Callable[[], object], everything: bool = False) -> None:
        """Take what the rooms have asked, act, and send what there is to tell."""
        asked = queues.commands["office"].get(timeout=WAIT)
        for room in ROOMS:
            for _ in range(asked[room]):
                office.receive(room, queues.to_office[room].get(timeout=WAIT))
        act()
        told = {}
        for room, way in ways.items():
            for data in office.collect(room):
                way.hand_in(data)
            letters = way.delivered(everything)
            told[room] = len(letters)
            for data in letters:
                queues.to_room[room].put(data)
        queues.answers.put(("office", None, told))

    for step in steps_of(path):
        ids.add(step[1].id or "")
        turn(functools.partial(office.take, step))
    turn(functools.partial(office.end, ids), everything=True)
    turn(lambda: None, everything=True)
    client = office.coordinator.clients.get_default()
    assert client is not None
    told = {
        "repeated": sum(way.repeated for way in ways.values()),
        "late": sum(way.late for way in ways.values()),
        "under way": len(office.coordinator.requests),
        "failures": len(office.desk.failures),
    }
    queues.answers.put(("office", None, told))


def _work_in_room(name: str, case: Case, queues: Queues) -> None:
    path, seed, _ = case
    room, ids, chance = Room(name, [clockwork(name)]), set(), random.Random(seed)

    def turn(at: int, act: Callable[[], object]) -> None:
        """Take what the office tells, act, and send what there is to ask: requests twice, now and then."""
        told = queues.commands[name].get(timeout=WAIT)
        room.receive([queues.to_room[name].get(timeout=WAIT) for _ in range(told)], at)
        act()
        sent = 0
        for data in room.collect():
            twice = chance.random() < 0.3 and isinstance(for_coordinator(data), Request)
            for _ in range(1 + twice):
                queues.to_office[name].put(data)
                sent += 1
        queues.answers.put((name, None, sent))

    at = 0
    for step in steps_of(path):
        at = step[0]
        ids.add(step[1].id or "")
        turn(at, functools.partial(room.take, step))
    turn(at, functools.partial(room.end, ids))
    queues.answers.put((name, None, (outcomes_of(room.markets), len(room.actor.failures))))


class Driver:
    """Makes time go by, and knows how much is on its way.

    Attributes:
        office: what the coordinator's process told at the end of each case.
        rooms: what each market actor's told: how orders ended, and how much failed.
    """

    def __init__(self, cases: Sequence[Case]) -> None:
        context = multiprocessing.get_context("spawn")
        self._queues = Queues(context)
        names = [*ROOMS, "office"]
        self._processes = [
            context.Process(target=work, args=(name, cases, self._queues), daemon=True) for name in names
        ]
        self._early: dict[str, list[Any]] = {name: [] for name in names}
        self.office: list[dict[str, int]] = []
        self.rooms: list[dict[str, tuple[dict[str, list[Outcome]], int]]] = []
        try:
            for process in self._processes:
                process.start()
            for case in cases:
                self._run(case)
            for process in self._processes:
                process.join(WAIT)
            self.exit_codes = [process.exitcode for process in self._processes]
        finally:
            for process in self._processes:
                if process.is_alive():
                    process.kill()
                    process.join(WAIT)

    def _run(self, case: Case) -> None:
        asked = dict.fromkeys(ROOMS, 0)
        for _ in range(sum(1 for _ in steps_of(case[0])) + 1):
            self._queues.commands["office"].put(asked)
            told = self._answer("office")
            for room in ROOMS:
                self._queues.commands[room].put(told[room])
            asked = {room: self._answer(room) for room in ROOMS}
        self._queues.commands["office"].put(asked)
        self._answer("office")
        self.office.append(self._answer("office"))
        self.rooms.append({room: self._answer(room) for room in ROOMS})

    def _answer(self, name: str) -> Any:
        while not self._early[name]:
            who, error, answer = self._queues.answers.get(timeout=WAIT)
            assert error is None, f"{who}: {error}"
            self._early[who].append(answer)
        return self._early[name].pop(0)
