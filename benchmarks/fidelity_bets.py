"""Bets of the peer beside the same bets under other models: which model makes the difference, bet by bet.

Of each bet there are several fates: the peer's, that of headrace's default, and those with one or more of the peer's
models in the default's place. With all of the peer's models most bets are the peer's; what is different even then comes
from rules that no model holds, and is named by what it shows in. The rest is the smallest set of models that has to be
the peer's for the bet to be as with all of them.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from .fidelity_requests import Bet

#: Settings by which models of the default are the peer's, single ones first, by the name of the reason.
SWITCHES: dict[str, dict[str, str]] = {
    "queue": {"queue": "flumine"},
    "liquidity": {"liquidity": "flumine"},
    "settlement": {"settlement": "flumine"},
    "queue + liquidity": {"queue": "flumine", "liquidity": "flumine"},
    "queue + settlement": {"queue": "flumine", "settlement": "flumine"},
    "liquidity + settlement": {"liquidity": "flumine", "settlement": "flumine"},
    "all models": {"queue": "flumine", "liquidity": "flumine", "settlement": "flumine"},
}
ALL = "all models"
OTHER = "other"
#: How reasons begin by which a bet is there in one run and not in the other.
PRESENCE = ("refused", "arrived", "never arrived", "lapse", "void")
#: What sizes and profits may differ by.
PENNY = 0.005

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Part:
    """A part of the difference of one bet: default less peer, with its reason."""

    reason: str
    matched: float
    profit: float


@dataclass(frozen=True)
class Difference:
    """A bet whose fates differ, and what each part of that comes from."""

    peer: Bet
    ours: Bet
    parts: tuple[Part, ...]

    @property
    def matched(self) -> float:
        return self.ours.matched - self.peer.matched

    @property
    def profit(self) -> float:
        return self.ours.profit - self.peer.profit

    @property
    def size(self) -> float:
        """How much it is: of matched size or of profit, whichever is more."""
        return max(abs(self.matched), abs(self.profit))


@dataclass
class Sum:
    """Sums over bets."""

    bets: int = 0
    matched: float = 0.0
    profit: float = 0.0

    def add(self, matched: float, profit: float) -> None:
        self.bets += 1
        self.matched += matched
        self.profit += profit


def alike(one: Bet, other: Bet) -> bool:
    """Whether the same size was matched for the same profit, to the penny."""
    return abs(one.matched - other.matched) < PENNY and abs(one.profit - other.profit) < PENNY


def attribute(peer: Sequence[Bet], ours: Sequence[Bet], switched: Mapping[str, Sequence[Bet]]) -> list[Difference]:
    """The bets that differ, each with the reasons.

    Args:
        peer: the peer's, in the order of their numbers.
        ours: of the default, in the same order.
        switched: with models of the peer, by the names of `SWITCHES`, in the same order.
    """
    found = []
    for place, (theirs, own) in enumerate(zip(peer, ours, strict=True)):
        whole = switched[ALL][place]
        parts = []
        if not alike(own, whole):
            fits = [name for name, several in switched.items() if alike(several[place], whole)]
            parts.append(Part(_smallest(fits), own.matched - whole.matched, own.profit - whole.profit))
        if not alike(whole, theirs):
            reason = rule(theirs, whole)
            parts.append(Part(reason, whole.matched - theirs.matched, whole.profit - theirs.profit))
        if not alike(own, theirs):
            found.append(Difference(theirs, own, tuple(parts)))
    return [_knocked_on(each, found) for each in found]


def _knocked_on(difference: Difference, found: Iterable[Difference]) -> Difference:
    """A part that nothing of the bet itself explains is that of the nearest bet before it on its runner and side which
    was there for one run, and not for the other, and took what was traded or left it."""
    if all(part.reason != OTHER for part in difference.parts):
        return difference
    beside_it = [part.reason for each in found if _waits_with(each.peer, difference.peer) for part in each.parts]
    rules = [reason for reason in beside_it if reason.startswith(PRESENCE)]
    if not rules:
        return difference
    parts = (replace(part, reason=f"{rules[-1]}, of another bet") if part.reason == OTHER else part
             for part in difference.parts)  # fmt: skip
    return replace(difference, parts=tuple(parts))


def _waits_with(one: Bet, other: Bet) -> bool:
    """Whether one was asked for before the other, by the same strategy, on the same runner and side."""
    places = [(bet.strategy, bet.market_id, bet.selection_id, bet.handicap, bet.side) for bet in (one, other)]
    return places[0] == places[1] and one.number < other.number


def _smallest(fits: Sequence[str]) -> str:
    """The smallest sets of models that do it; either of two where each does."""
    least = min(len(SWITCHES[name]) for name in fits)
    return " or ".join(name for name in fits if len(SWITCHES[name]) == least)


def rule(peer: Bet, other: Bet) -> str:
    """What a difference shows in that no model makes."""
    if other.refused != peer.refused:
        return f"refused: {other.refused}" if other.refused else f"refused by the peer: {peer.refused}"
    if other.arrived != peer.arrived:
        return "arrived" if other.arrived else "never arrived"
    if abs(other.lapsed - peer.lapsed) >= PENNY:
        return "lapse"
    if abs(other.voided - peer.voided) >= PENNY:
        return "void"
    if other.kind != "LIMIT":
        return "starting price"
    if abs(other.matched - peer.matched) < PENNY and round(other.average, 2) == round(peer.average, 2):
        return "averages"
    return OTHER


def by_reason(found: Iterable[Difference]) -> dict[str, Sum]:
    """What each reason comes to, the most first."""
    sums: dict[str, Sum] = defaultdict(Sum)
    for difference in found:
        for part in difference.parts:
            sums[part.reason].add(part.matched, part.profit)
    return dict(sorted(sums.items(), key=lambda item: -max(abs(item[1].matched), abs(item[1].profit))))


def sums(bets: Iterable[Bet], key: Callable[[Bet], Key]) -> dict[Key, Sum]:
    """Sums of the bets of each key; `bets` counts those that were matched."""
    found: dict[Key, Sum] = defaultdict(Sum)
    for bet in bets:
        each = found[key(bet)]
        each.bets += bet.matched > 0
        each.matched += bet.matched
        each.profit += bet.profit
    return found


def beside(one: Iterable[Bet], other: Iterable[Bet]) -> tuple[list[tuple[Bet, Bet]], list[Bet], list[Bet]]:
    """Bets of two runs that were asked for at the same moment, on the same runner and side and at the same price, in
    the order of their placement; then those of the first run alone, and of the second alone."""
    waiting: dict[Hashable, list[Bet]] = defaultdict(list)
    for bet in other:
        waiting[_request(bet)].append(bet)
    pairs, alone = [], []
    for bet in one:
        several = waiting[_request(bet)]
        if several:
            pairs.append((bet, several.pop(0)))
        else:
            alone.append(bet)
    return pairs, alone, [bet for several in waiting.values() for bet in several]


def _request(bet: Bet) -> Hashable:
    return bet.strategy, bet.market_id, bet.selection_id, bet.handicap, bet.side, bet.kind, bet.price, bet.asked


def out_of_order(pessimistic: Sequence[Bet], ours: Sequence[Bet], optimistic: Sequence[Bet]) -> list[Bet]:
    """Bets of which a more careful queue matched more."""
    return [
        bet
        for least, bet, most in zip(pessimistic, ours, optimistic, strict=True)
        if not least.matched - PENNY < bet.matched < most.matched + PENNY
    ]
