"""The coordinator is killed after any letter, however often: all bets are known in the end, and none is there twice."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from account_builders import MARKET, RUNNER, cleared, current, ref
from headrace.actors.betfair.lists import Listed
from headrace.actors.letters import Carried, Hello, Hosting, MarketSeen, OrdersImage
from headrace.actors.live.exposure import Wanted, loss_of
from headrace.strategies.messages import (
    ANSWERED,
    CANCEL,
    FAILURE,
    PLACE,
    REPLACE,
    STREAM,
    SUCCESS,
    UNKNOWN,
    CancelInstruction,
    Instruction,
    MarketFact,
    OrderFact,
    PlaceInstruction,
    ReplaceInstruction,
    Reply,
    Report,
    Request,
)
from live_coordinators import Bench

CREW = "s1.market"


@dataclasses.dataclass
class Bet:
    """A bet at the exchange: £4 at first."""

    bet_id: str
    order_ref: str
    price: float
    size: float
    matched: float = 0.0
    cancelled: float = 0.0

    @property
    def remaining(self) -> float:
        return round(self.size - self.matched - self.cancelled, 2)

    def fact(self, at: int) -> OrderFact:
        """As the order stream tells it."""
        return OrderFact(
            MARKET,
            self.order_ref[-18:],
            self.bet_id,
            STREAM,
            at,
            self.remaining > 0,
            self.price,
            self.size,
            "LAPSE",
            self.matched,
            self.price if self.matched else 0.0,
            self.remaining,
            self.cancelled,
        )

    def row(self) -> dict[str, Any]:
        """In the list of current orders, if it is there."""
        return current(
            self.bet_id,
            self.order_ref[-18:],
            priceSize={"price": self.price, "size": self.size},
            status="EXECUTABLE" if self.remaining else "EXECUTION_COMPLETE",
            sizeMatched=self.matched,
            averagePriceMatched=self.price if self.matched else 0.0,
            sizeRemaining=self.remaining,
            sizeCancelled=self.cancelled,
            customerStrategyRef="tests",
        )

    def cancelled_row(self) -> dict[str, Any]:
        return cleared(
            self.bet_id,
            self.order_ref[-18:],
            sizeCancelled=self.cancelled,
            priceRequested=self.price,
            customerStrategyRef="tests",
        )


class Exchange:
    """Carries requests out, and remembers which."""

    def __init__(self) -> None:
        self.bets: dict[str, Bet] = {}
        self.done: list[str] = []

    def act(self, request: Request) -> Reply:
        assert request.request_id not in self.done, "it was sent twice"
        self.done.append(request.request_id)
        reports: list[Report] = []
        for each in request.instructions:
            reports += self._do(each)
        return Reply(request.request_id, MARKET, request.asked_at, ANSWERED, tuple(reports))

    def _do(self, asked: Instruction) -> list[Report]:
        if isinstance(asked, PlaceInstruction):
            bet = self._place(asked.customer_order_ref, asked.price or 0.0, asked.size or 0.0)
            return [Report(asked.order_id, PLACE, SUCCESS, bet_id=bet.bet_id)]
        assert isinstance(asked, CancelInstruction | ReplaceInstruction)
        old = self.bets[asked.bet_id or ""]
        size = old.remaining
        if isinstance(asked, CancelInstruction) and asked.size_reduction is not None:
            size = min(size, asked.size_reduction)
        if not size:
            return [Report(asked.order_id, CANCEL, FAILURE, "BET_TAKEN_OR_LAPSED")]
        old.cancelled += size
        reports = [Report(asked.order_id, CANCEL, SUCCESS, size=size)]
        if isinstance(asked, ReplaceInstruction):
            bet = self._place(old.order_ref, asked.new_price, size)
            reports.append(Report(asked.new_order_id or "", PLACE, SUCCESS, bet_id=bet.bet_id))
        return reports

    def _place(self, order_ref: str, price: float, size: float) -> Bet:
        bet = Bet(str(1000 + len(self.bets)), order_ref, price, size)
        self.bets[bet.bet_id] = bet
        return bet

    def list_of(self, what: str, named: dict[str, Any]) -> list[dict[str, Any]]:
        """What is listed."""
        bets = list(self.bets.values())
        if what == "current_orders":
            rows = [bet.row() for bet in bets if bet.remaining or bet.matched]
        elif what == "cleared_orders CANCELLED":
            rows = [bet.cancelled_row() for bet in bets if bet.cancelled and not bet.remaining]
        else:
            rows = []
        fields = {"bet_ids": "betId", "order_refs": "customerOrderRef"}
        wanted = {fields[key]: set(values) for key, values in named.items() if values is not None and key in fields}
        return [row for row in rows if all(row[field] in values for field, values in wanted.items())]


class World:
    """A host, a coordinator that is killed, an order stream and an exchange; each step is drawn."""

    def __init__(self, folder: Path) -> None:
        self.bench = Bench(folder)
        self.exchange = Exchange()
        self.sent: list[Request] = []
        self.replies: list[Reply] = []
        self.facts: list[OrderFact] = []
        self.unanswered: dict[str, Request] = {}
        self.orders: dict[str, str] = {}
        self._read = self._count = 0
        self._greet()
        self._ready()

    # -- the host ------------------------------------------------------------------------------------------------

    def _greet(self) -> None:
        """The host tells a coordinator what it has; what is not answered it asks for again."""
        bench = self.bench
        bench.engine.running["h1"] = dataclasses.replace(bench.engine.running["s1"], address="fake:h1:0")
        bench.take("h1", Hello("h1", "HOST", "fake:h1:0", 0, 4000))
        bench.take("h1", Hosting("h1", ((CREW, MARKET, "30"),) if self._count else ()))
        definition = {"countryCode": "GB", "eventId": "30", "eventTypeId": "7", "marketType": "WIN"}
        bench.take("s1", MarketSeen("s1", MARKET, msgspec.json.encode(definition), bench.now))
        bench.take("h1", Carried(CREW, MarketFact(MARKET, "OPENED", bench.now)))
        for request in list(self.unanswered.values()):
            bench.take("h1", Carried(CREW, request))
        self._collect()

    def _collect(self) -> None:
        """What the coordinator has sent is on its way."""
        self.sent += self.bench.account.requests
        self.bench.account.requests.clear()

    def hear(self, _: int) -> None:
        """The host takes what was told to it."""
        bench = self.bench
        for name, letter in bench.mail.sent[self._read :]:
            message = letter.message if isinstance(letter, Carried) and name == "h1" else None
            if isinstance(message, Reply) and message.outcome != UNKNOWN:
                for report in message.reports:
                    if report.operation == PLACE and report.status == SUCCESS and report.bet_id is not None:
                        self.orders[report.order_id] = report.bet_id
                    self._answered(message.request_id, report)
        self._read = len(bench.mail.sent)

    def _answered(self, request_id: str, report: Report) -> None:
        request = self.unanswered.get(request_id)
        if request is None:
            return
        if request.kind != REPLACE or report.operation == PLACE or report.status == FAILURE:
            del self.unanswered[request_id]

    def _ask(self, kind: str, instruction: Instruction) -> None:
        self._count += 1
        request = Request(
            f"r{self._count}", MARKET, "Backer", "Betfair", "trader", kind, (instruction,), asked_at=self.bench.now
        )
        self.unanswered[request.request_id] = request
        self.bench.take("h1", Carried(CREW, request))
        self._collect()

    def place(self, _: int) -> None:
        order_id = f"order{self._count:013d}"
        self._ask(PLACE, PlaceInstruction(order_id, ref(order_id), RUNNER, 0.0, "BACK", "LIMIT", 3.5, 4.0))

    def _some(self, number: int) -> tuple[str, str] | None:
        """An order whose number the host knows, and of which nothing is asked for."""
        busy = {each.order_id for request in self.unanswered.values() for each in request.instructions}
        able = [(order_id, bet_id) for order_id, bet_id in self.orders.items() if order_id not in busy]
        return able[number % len(able)] if able else None

    def cancel(self, number: int) -> None:
        if (found := self._some(number)) is not None:
            self._ask(CANCEL, CancelInstruction(*found))

    def reduce(self, number: int) -> None:
        if (found := self._some(number)) is not None:
            self._ask(CANCEL, CancelInstruction(*found, 1.0))

    def replace(self, number: int) -> None:
        if (found := self._some(number)) is not None:
            new = f"order{self._count:012d}r"
            self._ask(REPLACE, ReplaceInstruction(*found, 5.0, new, ref(new)))

    # -- the rest ------------------------------------------------------------------------------------------------

    def batch(self, _: int) -> None:
        """The coordinator has taken what was waiting."""
        self.bench.passes(0)
        self.bench.role.caught_up(self.bench.now)
        self._collect()

    def act(self, _: int) -> None:
        """The exchange carries out what was sent, and its stream tells of it."""
        if self.sent:
            self.replies.append(self.exchange.act(self.sent.pop(0)))
            self.bench.clock.now_ms += 1
            self.facts += [bet.fact(self.bench.now) for bet in self.exchange.bets.values()]

    def answer(self, _: int) -> None:
        if self.replies:
            self.bench.account.execution.answer(self.replies.pop(0))

    def tell(self, _: int) -> None:
        if self.facts:
            self.bench.take("o1", self.facts.pop(0))

    def match(self, number: int) -> None:
        resting = [bet for bet in self.exchange.bets.values() if bet.remaining]
        if resting:
            bet = resting[number % len(resting)]
            bet.matched = round(bet.matched + min(1.5, bet.remaining), 2)
            self.bench.clock.now_ms += 1
            self.facts.append(bet.fact(self.bench.now))

    def crash(self, number: int) -> None:
        """The coordinator is killed.

        What was on its way from the exchange and to the host is lost; what is on its way to the exchange may arrive.
        """
        self._collect()
        on_their_way, self.sent = self.sent[: number % 3], []
        self.bench.restarts()
        self._read = 0
        self.replies.clear()
        self.facts.clear()
        for request in on_their_way:
            self.exchange.act(request)
        self._greet()
        self._ready()

    def _ready(self) -> None:
        """The stream tells all again, and the lists are read."""
        bench = self.bench
        for bet in self.exchange.bets.values():
            bench.take("o1", bet.fact(bench.now))
        bench.take("o1", OrdersImage("o1", "Betfair", "trader", bench.now))
        self.listed()
        self._collect()

    def listed(self) -> None:
        """What was asked of the lists is answered."""
        bench = self.bench
        bench.role.wake(bench.now)
        asked = bench.account.lists.asked
        while asked:
            what, named, done = asked.pop(0)
            rows = self.exchange.list_of(what, named) if isinstance(named, dict) else []
            if "orders" in what:
                done(Listed(rows, 0, 0))
        bench.role.caught_up(bench.now)

    @property
    def transactions(self) -> int:
        """Of this hour, as the account has counted them."""
        return self.bench.account.client.current_transaction_count_total

    def end(self) -> None:
        """Everything comes to an end."""
        for _ in range(4):
            self.batch(0)
            while self.sent or self.replies or self.facts:
                self.act(0)
                self.answer(0)
                self.tell(0)
            self.batch(0)
        for _ in range(60):
            self.bench.passes(1_000)
            self.listed()
            self.hear(0)
        while self.sent:  # what was repeated at the end
            self.act(0)
        while self.replies or self.facts:
            self.answer(0)
            self.tell(0)
        self.batch(0)
        self.hear(0)


STEPS = ("place", "cancel", "reduce", "replace", "batch", "act", "answer", "tell", "match", "hear", "crash")


def steps(*names: str) -> list[tuple[str, int]]:
    return [(name, 0) for name in names]


PLACED = ("place", "batch", "act", "answer", "tell", "batch")


@example(steps(*PLACED, "crash"))
@example(steps(*PLACED, "hear", "reduce", "batch", "crash"))
@example(steps(*PLACED, "hear", "reduce", "batch", "act", "answer", "batch", "crash"))
@example(steps(*PLACED, "hear", "replace", "batch", "act", "crash", "match", "crash"))
@example([*steps(*PLACED, "hear", "replace", "batch"), ("crash", 1)])
@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from((*STEPS, "place", "batch", "act", "hear")), st.integers(0, 5)), max_size=40))
def test_after_any_letter(story: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        try:
            for step, number in story:
                getattr(world, step)(number)
            world.end()
            require_all_known(world)
            counted = world.transactions
            world.crash(0)
            world.end()
            require_all_known(world)
            assert world.transactions == counted
        finally:
            world.bench.role.crash()


def require_all_known(world: World) -> None:
    betting = world.bench.role.betting
    (desk,) = betting.accounts
    assert desk.orders is not None
    assert len(desk.orders.doubts) == 0
    assert betting.coordinator.requests == {}
    assert world.unanswered == {}, "the host was not told"
    ours = {bet.bet_id: (bet.matched, bet.remaining) for bet in desk.bets if bet.bet_id is not None}
    theirs = {bet.bet_id: (bet.matched, bet.remaining) for bet in world.exchange.bets.values()}
    assert ours == theirs
    assert [bet for bet in desk.bets.live if bet.bet_id is None] == []
    wanted = [
        Wanted(RUNNER, 0.0, "BACK", bet.price, bet.remaining, False, matched=bet.matched, average=bet.price)
        for bet in world.exchange.bets.values()
    ]
    definition = world.bench.role.routes.definition_of(MARKET)
    assert betting.exposure.total() == loss_of(wanted, definition)
