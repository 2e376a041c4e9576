"""A trader of the markets whose truth is known: what he asks for, and what became of it in the book of orders."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from headrace.simulate.generator.order_book import Order, OrderBook
from headrace.strategies.prices import PRICES

TICKS = {price: tick for tick, price in enumerate(PRICES)}
#: How he asks: in words of the table, with how often he does.
KINDS = {"best": 4, "behind": 3, "inside": 3, "larger": 3, "several": 2}
#: Part of his orders that he cancels, if they are still there, and that he keeps in play.
CANCELLED, KEPT = 0.5, 0.4
#: Mean messages until he cancels: the one or the other as often.
PATIENCE = (10, 60)
#: Pence: the least and the most of an order.
LEAST, MOST = 200, 50_000
#: Orders of his on one runner that may wait at once.
AT_ONCE = 4
#: Prices at which he bets.
CHEAPEST, DEAREST = TICKS[1.1], TICKS[60.0]


@dataclass(slots=True)
class Placement:
    """An order that the trader asks for, whatever becomes of those before.

    Times are milliseconds since the epoch, `pence` of the backer's stake. `asked` and `cancelled` are publish times of
    messages, right after which he acts.
    """

    number: int
    kind: str
    asked: int
    #: When it reaches the exchange: at once, in play after the bet delay.
    arrives: int
    runner: int
    selection_id: int
    is_back: bool
    tick: int
    pence: int
    keeps: bool
    cancelled: int | None = None


@dataclass(slots=True)
class Fate:
    """What became of a placement: pence matched by time, and how much of it at which price (position on the ladder)."""

    steps: list[tuple[int, int]] = field(default_factory=list)
    #: Pence by price of what was matched at arrival.
    taken: dict[int, int] = field(default_factory=dict)
    #: Pence matched while it waited: at its own price, and at a better one.
    at_own: int = 0
    at_better: int = 0
    refused: bool = False

    @property
    def matched(self) -> int:
        """Pence matched in the end."""
        return self.steps[-1][1] if self.steps else 0


class Trader:
    """A visitor to a crowd who places and cancels by his list."""

    def __init__(self, placements: Sequence[Placement]) -> None:
        self.fates = {placement.number: Fate() for placement in placements}
        self._waiting: dict[int, tuple[Placement, Order]] = {}
        due: list[tuple[int, int, int, Placement]] = [
            (placement.arrives, 1, placement.number, placement) for placement in placements
        ]
        # A cancel goes out right after a message, and reaches the exchange before what comes a millisecond later.
        due += [(each.cancelled + 1, 0, each.number, each) for each in placements if each.cancelled is not None]
        self._due = sorted(due, key=lambda each: each[:3], reverse=True)
        # Of each runner, pence traded by price as last looked at.
        self._traded: dict[int, dict[int, int]] = {}

    def come(self, time: int, is_open: bool, books: Sequence[OrderBook]) -> None:
        """Note what was matched, then do what is due by `time`."""
        self._look(time, books)
        while self._due and self._due[-1][0] <= time:
            at, is_placing, number, placement = self._due.pop()
            book = books[placement.runner]
            if is_placing:
                self._place(at, is_open, placement, book)
            elif is_open and number in self._waiting:
                book.withdraw(self._waiting.pop(number)[1])

    def _look(self, time: int, books: Sequence[OrderBook]) -> None:
        grown: dict[tuple[int, int], list[tuple[Fate, int]]] = {}
        for number, (placement, order) in list(self._waiting.items()):
            fate = self.fates[number]
            before = fate.matched
            arrived = sum(fate.taken.values())
            if arrived + order.matched > before:
                fate.steps.append((time, arrived + order.matched))
                key = placement.runner, placement.tick
                grown.setdefault(key, []).append((fate, arrived + order.matched - before))
            if not order.remaining:
                del self._waiting[number]
        for (runner, tick), matches in grown.items():
            # Both sides are counted; what was not traded at the order's own price was traded at a better one.
            at_own = (books[runner].traded.get(tick, 0) - self._traded[runner].get(tick, 0)) // 2
            for fate, pence in matches:
                own = min(pence, at_own)
                at_own -= own
                fate.at_own += own
                fate.at_better += pence - own
        for runner in {placement.runner for placement, _ in self._waiting.values()}:
            self._traded[runner] = dict(books[runner].traded)

    def _place(self, at: int, is_open: bool, placement: Placement, book: OrderBook) -> None:
        fate = self.fates[placement.number]
        if not is_open:
            fate.refused = True
            return
        before = dict(book.traded)
        place = book.back if placement.is_back else book.lay
        order = place(placement.tick, placement.pence, keeps=placement.keeps)
        for tick, traded in book.traded.items():
            if traded > before.get(tick, 0):
                fate.taken[tick] = (traded - before.get(tick, 0)) // 2
        if fate.taken:
            fate.steps.append((at, sum(fate.taken.values())))
        if order is not None:
            self._waiting[placement.number] = placement, order
        if order is not None or fate.taken:
            self._traded[placement.runner] = dict(book.traded)


# -- what he asks for --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Moment:
    """What the public sees right after a message: ladders of each runner, pence by position on the ladder."""

    time: int
    offers_to_lay: dict[int, dict[int, int]]
    offers_to_back: dict[int, dict[int, int]]
    staying: frozenset[int]


def moments(lines: Sequence[bytes], wanted: set[int]) -> Iterator[tuple[int, Moment]]:
    """The numbers of those `wanted` messages after which the market is open, and what they leave behind."""
    backs: dict[int, dict[int, int]] = {}
    lays: dict[int, dict[int, int]] = {}
    definition: dict[str, Any] = {}
    for number, line in enumerate(lines):
        message = msgspec.json.decode(line)
        for change in message["mc"]:
            definition = change.get("marketDefinition", definition)
            for runner in change["rc"]:
                for name, ladders in (("atl", backs), ("atb", lays)):
                    ladder = ladders.setdefault(runner["id"], {})
                    for price, pounds in runner.get(name, ()):
                        if pounds:
                            ladder[TICKS[price]] = round(100 * pounds)
                        else:
                            ladder.pop(TICKS[price], None)
        if number in wanted and definition["status"] == "OPEN":
            staying = frozenset(each["id"] for each in definition["runners"] if each["status"] == "ACTIVE")
            yield number, Moment(message["pt"], backs, lays, staying)


def plan_orders(lines: Sequence[bytes], rng: random.Random, orders: int) -> list[Placement]:
    """What the trader asks for on a market of which he sees what is published, `lines`.

    He knows who will be withdrawn and does not bet on them; he never asks for what would meet an order of his own. He
    keeps nothing in a market that does not turn in play, where the exchange refuses that; and no lays where a runner is
    withdrawn: kept ones go to reduced odds, which lie off the ladder, where the books of these markets have no place.
    """
    published, delays = _clock(lines)
    ids, running = _runners(lines)
    turns = bool(msgspec.json.decode(lines[0])["mc"][0]["marketDefinition"]["turnInPlayEnabled"])
    # Where two messages have one time there is no right after the first.
    alone = [n for n in range(1, len(lines) - 1) if published[n - 1] < published[n] < published[n + 1]]
    usable = [n for n in alone if n > len(lines) // 20]
    chosen = set(rng.sample(usable, min(orders, len(usable))))
    book: list[Placement] = []
    for number, moment in moments(lines, chosen):
        selection_id = _runner(rng, moment, running)
        if selection_id not in moment.staying:
            continue
        made = _order(rng, moment, selection_id)
        if made is None:
            continue
        kind, is_back, tick, pence = made
        here = [each for each in book if each.selection_id == selection_id and _waits(each, moment.time)]
        met = [e for e in here if e.is_back != is_back and (e.tick <= tick if e.is_back else e.tick >= tick)]
        if len(here) - len(met) >= AT_ONCE or any(each.arrives >= moment.time for each in met):
            continue
        for each in met:
            each.cancelled = moment.time
        keeps = rng.random() < KEPT and turns and (is_back or len(running) == len(ids))
        later = [n for n in alone if n > number]
        for part in range(rng.randint(2, 3) if kind == "several" else 1):
            at = moment.time
            if part:
                # Further orders at the price come some messages later, if they would still wait there.
                number += rng.randint(1, 12)
                follows = [n for n in later if n >= number]
                if not follows:
                    break
                at = published[follows[0]]
                number = follows[0]
            placement = Placement(
                number=len(book) + 1,
                kind=kind,
                asked=at,
                arrives=at + (1000 * delays[number] or 1),
                runner=ids.index(selection_id),
                selection_id=selection_id,
                is_back=is_back,
                tick=tick,
                pence=pence if not part else max(LEAST, int(pence * rng.uniform(0.5, 1.5))),
                keeps=keeps,
            )
            if rng.random() < CANCELLED:
                until = number + 1 + int(rng.expovariate(1 / rng.choice(PATIENCE)))
                ends = [n for n in later if n > until and published[n] > placement.arrives]
                if ends:
                    placement.cancelled = published[ends[0]]
            book.append(placement)
    return book


def _waits(placement: Placement, time: int) -> bool:
    return placement.cancelled is None or placement.cancelled > time


def _clock(lines: Sequence[bytes]) -> tuple[list[int], list[int]]:
    """Of each message its publish time, and the bet delay (seconds) that is in force after it."""
    times, delays = [], []
    delay = 0
    for line in lines:
        message = msgspec.json.decode(line)
        for change in message["mc"]:
            delay = change.get("marketDefinition", {"betDelay": delay})["betDelay"]
        times.append(message["pt"])
        delays.append(delay)
    return times, delays


def _runners(lines: Sequence[bytes]) -> tuple[list[int], list[int]]:
    """The selection ids in the order of the market's books, and those that run."""
    first, last = (msgspec.json.decode(line)["mc"][0]["marketDefinition"]["runners"] for line in (lines[0], lines[-1]))
    return [each["id"] for each in first], [each["id"] for each in last if each["status"] != "REMOVED"]


def _runner(rng: random.Random, moment: Moment, running: Sequence[int]) -> int:
    """One of those that run; those with short prices more often, as with everybody."""
    best = [min(moment.offers_to_lay.get(each) or [TICKS[1000.0]]) for each in running]
    return rng.choices(running, [PRICES[tick] ** -0.5 for tick in best])[0]


def _order(rng: random.Random, moment: Moment, selection_id: int) -> tuple[str, bool, int, int] | None:
    """How, which side, at which price and for how much; None where the runner has no prices that one would bet at."""
    backs, lays = moment.offers_to_lay.get(selection_id), moment.offers_to_back.get(selection_id)
    kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
    is_back, share, steps = rng.random() < 0.5, rng.random(), rng.randint(1, 3)
    if not backs or not lays:
        return None
    back, lay = min(backs), max(lays)
    if not (CHEAPEST <= lay < back <= DEAREST) or back - lay > 15:
        return None
    own, best, other, worst = (backs, back, lays, lay) if is_back else (lays, lay, backs, back)
    away = 1 if is_back else -1  # towards prices that are met later
    if kind == "larger":
        tick = worst - away * (steps - 1)
        within = [size for at, size in other.items() if (at >= tick if is_back else at <= tick)]
        pence = int(sum(within) * (1.1 + share))
        return (kind, is_back, tick, pence) if LEAST <= pence <= 4 * MOST else None
    if kind == "inside" and back - lay < 2:
        kind = "best"
    tick = best
    if kind == "inside":
        tick = rng.randint(lay + 1, back - 1)
    elif kind == "behind":
        tick = best + away * steps
    beside = own.get(tick) or own[best]
    return kind, is_back, tick, min(max(LEAST, int(beside * (0.1 + 0.9 * share))), MOST)
