"""Messages of the order stream, folded: how bets stand, and what is matched on each runner.

Values only: no socket, no clock. An order that cannot be read is left out and told of; the others of its message count.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

import msgspec

from ...strategies.currency import pence
from ...strategies.messages import OrderFact
from ...values import UNREADABLE
from ..letters import ForeignBet, OrdersClosed, Position
from .order_changes import DECODE_MARKET, SIDES, MarketChange, RunnerChange, StreamOrder, decoded_order, fact_of, shown

Runner = tuple[int, float]


@dataclasses.dataclass(slots=True)
class Folded:
    """What a message says, in values.

    Attributes:
        facts: how bets of this instance stand: of each bet its last state.
        bets: those seen for the first time, and all that were placed elsewhere.
        positions: of the runners whose matched bets have changed, all of them.
        closings: markets that have closed, or are open again.
        unread: what was wrong with what could not be read, in sentences.
    """

    facts: list[OrderFact] = dataclasses.field(default_factory=list)
    bets: list[ForeignBet] = dataclasses.field(default_factory=list)
    positions: list[Position] = dataclasses.field(default_factory=list)
    closings: list[OrdersClosed] = dataclasses.field(default_factory=list)
    unread: list[str] = dataclasses.field(default_factory=list)


class _Bet:
    """A bet as it was last told of.

    Attributes:
        own: it is of this instance.
        at: the time of the last fact: facts of one bet differ in time, or are the same.
        shown: it has been told of before.
    """

    __slots__ = ("at", "average", "fact", "liability", "order", "own", "runner", "shown")

    def __init__(self, order: StreamOrder, runner: Runner) -> None:
        self.order = order
        self.runner = runner
        self.own = self.shown = False
        self.average = self.liability = 0.0
        self.at = 0
        self.fact: OrderFact | None = None


class _Market:
    """What is known of a market: its bets by number, and what is matched by runner: backs and lays, by price."""

    __slots__ = ("bets", "closed_at", "ladders")

    def __init__(self) -> None:
        self.bets: dict[str, _Bet] = {}
        self.ladders: dict[Runner, tuple[dict[float, float], dict[float, float]]] = {}
        self.closed_at: int | None = None

    @property
    def closed(self) -> bool:
        return self.closed_at is not None


class OrderFold:
    """Folds the messages of one account.

    Args:
        venue, username: the account.
        is_own: whether the references of a strategy and of an order are this instance's.
    """

    def __init__(self, venue: str, username: str, is_own: Callable[[str, str], bool]) -> None:
        self._venue = venue
        self._username = username
        self._is_own = is_own
        self._markets: dict[str, _Market] = {}

    @property
    def markets(self) -> int:
        """How many markets are known."""
        return len(self._markets)

    def facts(self, market_id: str) -> list[OrderFact]:
        """How the bets of this instance stand in a market, as they were last told of."""
        market = self._markets.get(market_id)
        if market is None:
            return []
        return [bet.fact for bet in market.bets.values() if bet.own and bet.fact is not None]

    def everything(self) -> Folded:
        """All that is known, as if it were told for the first time."""
        found = Folded()
        for market_id, market in self._markets.items():
            for bet in market.bets.values():
                bet.shown = False
                self._tell(bet, found)
            found.positions += [
                self._position(market_id, runner, ladders) for runner, ladders in market.ladders.items()
            ]
            if market.closed_at is not None:
                found.closings.append(OrdersClosed(self._venue, self._username, market_id, True, market.closed_at))
        return found

    def fold(self, changes: Iterable[bytes | msgspec.Raw], pt: int, image: bool = False) -> Folded:
        """Fold a message.

        Args:
            changes: each of its `oc`, JSON.
            pt: its publish time.
            image: it is a whole image: what it does not name has no resting bets, and nothing matched. Bets that were
                known have not ended by that: an image does not hold those that are over.
        """
        found = Folded()
        if image:
            self._start_anew()
        told: dict[str, _Bet] = {}
        for each in changes:
            try:
                change = DECODE_MARKET(each)
            except UNREADABLE as error:
                found.unread.append(f"{shown(each)}: {error}; expected a change of a market's orders")
                continue
            self._fold_market(change, pt, image, found, told)
        for bet in told.values():
            self._tell(bet, found)
        if image:
            self._end_image(pt, found)
        return found

    def forget_closed(self, before: int) -> None:
        """Forget markets that closed before a moment. What is told of them later is taken as new."""
        for market_id in [each for each, market in self._markets.items() if (market.closed_at or before) < before]:
            del self._markets[market_id]

    def _start_anew(self) -> None:
        for market in self._markets.values():
            for backs, lays in market.ladders.values():
                backs.clear()
                lays.clear()

    def _end_image(self, pt: int, found: Folded) -> None:
        """Tell of runners on which nothing is matched any more, as far as the image knows."""
        told = {(each.market_id, each.selection_id, each.handicap) for each in found.positions}
        for market_id, market in self._markets.items():
            for runner, ladders in list(market.ladders.items()):
                if not any(ladders):
                    del market.ladders[runner]
                    if (market_id, *runner) not in told:
                        found.positions.append(self._position(market_id, runner, ladders))

    def _fold_market(self, change: MarketChange, pt: int, image: bool, found: Folded, told: dict[str, _Bet]) -> None:
        market = self._markets.get(change.id)
        if change.full_image and not change.orc and not image and not change.closed:
            # Nothing is left of it.
            self._forget(change.id, found)
            return
        if market is None:
            market = self._markets[change.id] = _Market()
        named: set[Runner] = set()
        for runner_change in change.orc or ():
            runner = (runner_change.id, runner_change.hc or 0.0)
            named.add(runner)
            self._fold_runner(market, change.id, runner, runner_change, pt, found, told)
        if change.full_image:
            for runner, ladders in market.ladders.items():
                if runner not in named and any(ladders):
                    for ladder in ladders:
                        ladder.clear()
                    found.positions.append(self._position(change.id, runner, ladders))
        if change.closed is not None and change.closed != market.closed:
            market.closed_at = pt if change.closed else None
            found.closings.append(OrdersClosed(self._venue, self._username, change.id, change.closed, pt))
            # What still waited for the starting price waits no longer.
            for bet_id, bet in market.bets.items():
                if bet_id not in told and bet.fact is not None and bet.fact.executable and bet.order.status != "E":
                    self._take(market, change.id, bet.runner, bet.order, pt, told)

    def _forget(self, market_id: str, found: Folded) -> None:
        market = self._markets.pop(market_id, None)
        if market is None:
            return
        for runner, ladders in market.ladders.items():
            if any(ladders):
                found.positions.append(self._position(market_id, runner, ({}, {})))

    def _fold_runner(
        self,
        market: _Market,
        market_id: str,
        runner: Runner,
        change: RunnerChange,
        pt: int,
        found: Folded,
        told: dict[str, _Bet],
    ) -> None:
        for raw in change.uo or ():
            try:
                order = decoded_order(raw)
            except UNREADABLE as error:
                found.unread.append(f"market {market_id}, order {shown(raw)}: {error}; expected an order of the stream")
                continue
            self._take(market, market_id, runner, order, pt, told)
        if change.full_image or change.mb is not None or change.ml is not None:
            ladders = market.ladders.setdefault(runner, ({}, {}))
            before = tuple(dict(ladder) for ladder in ladders)
            for ladder, levels in zip(ladders, (change.mb, change.ml), strict=True):
                if change.full_image or levels == []:
                    ladder.clear()
                for price, size in levels or ():
                    if size:
                        ladder[price] = size
                    else:
                        ladder.pop(price, None)
            if before != ladders:
                found.positions.append(self._position(market_id, runner, ladders))

    def _take(
        self, market: _Market, market_id: str, runner: Runner, order: StreamOrder, pt: int, told: dict[str, _Bet]
    ) -> None:
        bet_id = str(order.id)
        bet = market.bets.get(bet_id)
        if bet is None:
            bet = market.bets[bet_id] = _Bet(order, runner)
        bet.own = bet.own or self._is_own(order.rfs or "", order.rfo or "")
        if order.rfo == "" and bet.order.rfo:
            # References have been left empty: they do not change.
            order.rfo, order.rfs = bet.order.rfo, bet.order.rfs
        bet.order = order
        matched = pence(order.sm or 0.0)
        if order.avp:
            bet.average = order.avp
        elif not bet.average:
            bet.average = order.p or 0.0
        bet.liability = order.bsp or bet.liability
        fact = fact_of(market_id, order, pt, bet.average if matched else 0.0, bet.liability, market.closed)
        known = bet.fact
        if known is not None and pt <= bet.at and not _same(known, fact):
            # The stream tells of one bet in order: what comes later is later.
            fact = msgspec.structs.replace(fact, at=bet.at + 1)
        if known is None or not _same(known, fact):
            bet.at = fact.at
        bet.fact = fact
        told[bet_id] = bet

    def _tell(self, bet: _Bet, found: Folded) -> None:
        fact = bet.fact
        assert fact is not None
        if bet.own:
            found.facts.append(fact)
        if not bet.own or not bet.shown:
            found.bets.append(self._bet(fact, bet))
        bet.shown = True

    def _bet(self, fact: OrderFact, bet: _Bet) -> ForeignBet:
        order = bet.order
        selection_id, handicap = bet.runner
        assert fact.bet_id is not None
        return ForeignBet(
            venue=self._venue,
            username=self._username,
            market_id=fact.market_id,
            bet_id=fact.bet_id,
            selection_id=selection_id,
            handicap=handicap,
            side=SIDES[order.side],
            price=fact.price,
            size=fact.size,
            matched=fact.matched,
            remaining=fact.remaining,
            at=fact.at,
            strategy_ref=order.rfs or "",
            order_ref=order.rfo or "",
            fact=fact,
            own=bet.own,
        )

    def _position(
        self, market_id: str, runner: Runner, ladders: tuple[dict[float, float], dict[float, float]]
    ) -> Position:
        backs, lays = (tuple(sorted(ladder.items())) for ladder in ladders)
        return Position(self._venue, self._username, market_id, *runner, backs, lays)


def _same(one: OrderFact, other: OrderFact) -> bool:
    """Whether two facts differ in nothing but their time."""
    return one == (other if other.at == one.at else msgspec.structs.replace(other, at=one.at))
