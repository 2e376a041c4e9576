"""What the coordinator knows of an account's bets: those of this instance, and those that were placed elsewhere.

It is told of requests, answers, facts and bets, in any order and repeatedly. It sends nothing. Of two facts of a bet
the one that accounts for more counts, as in orders themselves (`strategies.fact_ranks`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator

import msgspec

from ...strategies.fact_ranks import rank_of, same
from ...strategies.host import order_id_of
from ...strategies.messages import (
    ANSWERED,
    CANCEL,
    LIST,
    PLACE,
    STREAM,
    SUCCESS,
    UNCONFIRMED,
    UNKNOWN,
    CancelInstruction,
    ClearedOrder,
    OrderFact,
    PlaceInstruction,
    ReplaceInstruction,
    Reply,
    Request,
)
from ..letters import ForeignBet, Position
from .known_bet import KnownBet, asked_bet


class KnownBets:
    """Bets of one account.

    Args:
        venue, username: the account.
        reference: the strategy reference of this instance.

    Attributes:
        heard: told of each reply to a request of this instance, of each fact that is news, and of each bet that is
            adopted: what has to be told again to know as much.
        touched: markets of which anything was asked, answered or told since somebody emptied it.
        latest: the publish time of the latest fact of the order stream: what the lists tell of a question that was
            asked afterwards is not older.
        foreign: bets that were placed elsewhere, by number, as long as they may be matched.
        positions: what is matched of the whole account, by market and runner, as the order stream tells.
    """

    def __init__(self, venue: str, username: str, reference: str) -> None:
        self.venue = venue
        self.username = username
        self.reference = reference
        self.heard: Callable[[Reply | OrderFact | ForeignBet], object] = lambda message: None
        self.latest = 0
        self.touched: set[str] = set()
        self.foreign: dict[str, ForeignBet] = {}
        self.positions: dict[str, dict[tuple[int, float], Position]] = {}
        self._by_order: dict[str, KnownBet] = {}
        self._by_bet: dict[str, KnownBet] = {}
        self._by_market: dict[str, list[KnownBet]] = {}
        self._requests: dict[str, Request] = {}

    # -- what is asked and answered ------------------------------------------------------------------------------

    def take_request(self, request: Request) -> None:
        """A request is about to be sent."""
        self._requests[request.request_id] = with_part(self._requests.get(request.request_id), request)
        self.touched.add(request.market_id)
        for each in request.instructions:
            if isinstance(each, PlaceInstruction):
                if each.order_id not in self._by_order:
                    self._by_order[each.order_id] = self._added(asked_bet(request, each))
                continue
            bet = self.of(each.order_id, each.bet_id)
            if bet is None:
                continue
            if isinstance(each, (CancelInstruction, ReplaceInstruction)):
                bet.cancelled_before = bet.cancelled
            if isinstance(each, ReplaceInstruction):
                bet.new_price = each.new_price

    def take_reply(self, reply: Reply) -> None:
        """A request, or a part of it, was answered, by the exchange or here."""
        request = self._requests.get(reply.request_id)
        if request is None:
            return
        self.heard(reply)
        self.touched.add(reply.market_id)
        replaces = {each.order_id: each for each in request.instructions if isinstance(each, ReplaceInstruction)}
        for report in reply.reports:
            bet = self._by_order.get(report.order_id)
            if report.operation == PLACE:
                if reply.outcome in (UNKNOWN, UNCONFIRMED):
                    if bet is not None and bet.bet_id is None and not bet.ended:
                        bet.in_doubt = True
                        bet.unconfirmed = bet.unconfirmed or reply.outcome == UNCONFIRMED
                elif reply.outcome == ANSWERED and report.status == SUCCESS:
                    if bet is not None:
                        if report.placed_at is not None:
                            bet.placed_at = report.placed_at
                        if report.bet_id is not None:
                            self._number(bet, report.bet_id)
                        bet.judge()
                elif bet is not None and bet.bet_id is None:
                    bet.in_doubt, bet.unconfirmed, bet.ended = False, False, True
                continue
            if bet is None or reply.outcome in (UNKNOWN, UNCONFIRMED):
                continue
            bet.new_price = None
            if report.operation == CANCEL and report.status == SUCCESS:
                bet.cancelled = max(bet.cancelled, round(bet.cancelled_before + report.size, 2))
            replace = replaces.get(report.order_id)
            if replace is not None and report.operation == CANCEL and report.status == SUCCESS:
                self._replace(bet, replace, report.size, request.asked_at)

    def _replace(self, bet: KnownBet, asked: ReplaceInstruction, size: float, asked_at: int) -> None:
        """A bet is cancelled, and another takes its place."""
        order_id = asked.new_order_id
        if order_id is None or order_id in self._by_order:
            return
        self._by_order[order_id] = self._added(
            KnownBet(
                market_id=bet.market_id,
                order_id=order_id,
                strategy=bet.strategy,
                selection_id=bet.selection_id,
                handicap=bet.handicap,
                side=bet.side,
                order_type=bet.order_type,
                price=asked.new_price,
                size=size,
                asked_at=asked_at,
                order_ref=bet.order_ref,
            )
        )

    def _added(self, bet: KnownBet) -> KnownBet:
        self._by_market.setdefault(bet.market_id, []).append(bet)
        return bet

    def _number(self, bet: KnownBet, bet_id: str) -> None:
        if bet.bet_id == bet_id:
            return
        other = self._by_bet.get(bet_id)
        if other is not None and other is not bet:
            # It was seen before the answer that says whose it is.
            if other.fact is not None:
                self._stand(bet, other.fact)
            bet.streamed = bet.streamed or other.streamed
            if other in self._by_market[other.market_id]:
                self._by_market[other.market_id].remove(other)
        self.foreign.pop(bet_id, None)
        bet.bet_id = bet_id
        bet.in_doubt = bet.unconfirmed = False
        self._by_bet[bet_id] = bet

    # -- what is seen --------------------------------------------------------------------------------------------

    def take_fact(self, fact: OrderFact) -> bool:
        """How a bet of this instance stands; True if that is news."""
        if fact.source == STREAM:
            self.latest = max(self.latest, fact.at)
        bet = self._of_fact(fact)
        if bet is None:
            return False
        if fact.source == STREAM:
            bet.streamed = True
        known = bet.fact
        if known is not None and (rank_of(fact) <= rank_of(known) or (fact.source == LIST and same(fact, known))):
            return False
        self._stand(bet, fact)
        self.heard(fact)
        return True

    def take_bet(self, bet: ForeignBet) -> OrderFact | None:
        """A bet was seen. The fact about it, if it is of this instance; None: it was placed elsewhere."""
        fact = bet.fact
        if fact is None:
            return None
        if fact.source == STREAM:
            self.latest = max(self.latest, fact.at)
        if not self.is_own(bet):
            known = self.foreign.get(bet.bet_id)
            if known is None or known.fact is None or rank_of(known.fact) <= rank_of(fact):
                self.foreign[bet.bet_id] = bet
                self.touched.add(bet.market_id)
                if not fact.executable:
                    del self.foreign[bet.bet_id]
            return None
        self.foreign.pop(bet.bet_id, None)
        known_bet = self._of_fact(fact)
        if known_bet is None:
            known_bet = self._adopt(bet, fact)
        elif not known_bet.side:
            known_bet.describe(bet)
        if fact.order_id is None and known_bet.order_id is not None:
            fact = msgspec.structs.replace(fact, order_id=known_bet.order_id)
        return fact

    def take_position(self, position: Position) -> None:
        """What is matched on a runner, all in all."""
        self.touched.add(position.market_id)
        market = self.positions.setdefault(position.market_id, {})
        runner = (position.selection_id, position.handicap)
        if position.backs or position.lays:
            market[runner] = position
        else:
            market.pop(runner, None)
            if not market:
                del self.positions[position.market_id]

    def is_own(self, bet: ForeignBet) -> bool:
        """Whether a bet is of this instance: by its references, or because its order is known here."""
        if bet.own or bet.bet_id in self._by_bet:
            return True
        order_id = order_id_of(bet.order_ref)
        return order_id is not None and (bet.strategy_ref == self.reference or order_id in self._by_order)

    def _adopt(self, bet: ForeignBet, fact: OrderFact) -> KnownBet:
        """A bet of this instance whose request is not known: of an earlier session, or a replacement."""
        made = KnownBet(
            market_id=bet.market_id,
            order_id=None,
            strategy="",
            selection_id=bet.selection_id,
            handicap=bet.handicap,
            side=bet.side,
            order_type="LIMIT" if fact.persistence_type is not None or fact.remaining else "MARKET_ON_CLOSE",
            price=bet.price,
            size=bet.size,
            asked_at=bet.at,
            order_ref=bet.order_ref,
            bet_id=bet.bet_id,
        )
        self._by_bet[bet.bet_id] = self._added(made)
        self.heard(bet)
        return made

    def _of_fact(self, fact: OrderFact) -> KnownBet | None:
        if fact.bet_id is None:
            return self._by_order.get(fact.order_id or "")
        bet = self._by_bet.get(fact.bet_id)
        if bet is not None:
            return bet
        bet = self._by_order.get(fact.order_id or "")
        if bet is not None and bet.bet_id is None:
            self._number(bet, fact.bet_id)
            return bet
        if bet is None or fact.order_id is None:
            return None
        # What takes its place was waiting for a number, or was given up.
        waiting = [each for each in self.sharing(bet) if each.bet_id is None and each.order_id is not None]
        if waiting:
            other = min(waiting, key=lambda each: each.ended)
            self._number(other, fact.bet_id)
            return other
        # Another bet of the same reference: one that replaces it, whose answer is still to come.
        for other in self.sharing(bet):
            other.new_price = None
        made = dataclasses.replace(
            bet,
            order_id=None,
            bet_id=fact.bet_id,
            price=fact.price,
            size=fact.size,
            new_price=None,
            fact=None,
            in_doubt=False,
            unconfirmed=False,
            ended=False,
            streamed=False,
            cancelled=0.0,
            cancelled_before=0.0,
            placed_at=None,
        )
        self._by_bet[fact.bet_id] = self._added(made)
        return made

    def _stand(self, bet: KnownBet, fact: OrderFact) -> None:
        if bet.fact is not None and rank_of(fact) <= rank_of(bet.fact):
            return
        self.touched.add(bet.market_id)
        bet.fact = fact
        bet.judge()
        bet.cancelled = max(bet.cancelled, fact.cancelled)
        if fact.size:
            bet.size = fact.size
        if fact.price is not None:
            bet.price = fact.price

    def take_result(self, result: ClearedOrder) -> None:
        """A bet has a result."""
        bet = self.of(result.order_id, result.bet_id)
        if bet is not None:
            bet.settled, bet.profit = True, result.profit

    # -- asking --------------------------------------------------------------------------------------------------

    def request(self, request_id: str) -> Request | None:
        """A request, by its id, until its market is forgotten."""
        return self._requests.get(request_id)

    def of(self, order_id: str | None, bet_id: str | None) -> KnownBet | None:
        """A bet of this instance, by its number, or else by its order."""
        found = self._by_bet.get(bet_id) if bet_id is not None else None
        return found or (self._by_order.get(order_id) if order_id is not None else None)

    def sharing(self, bet: KnownBet) -> list[KnownBet]:
        """The bets with its reference: those that were replaced, and those that took their place."""
        return [each for each in self.in_market(bet.market_id) if bet.order_ref and each.order_ref == bet.order_ref]

    def __iter__(self) -> Iterator[KnownBet]:
        """All bets of this instance."""
        for bets in self._by_market.values():
            yield from bets

    @property
    def live(self) -> list[KnownBet]:
        """Those that may still be matched, or may yet be placed, and those in whose place another may be."""
        return [bet for bet in self if not bet.ended or bet.replacing]

    def in_market(self, market_id: str) -> list[KnownBet]:
        """Those of a market."""
        return list(self._by_market.get(market_id, ()))

    @property
    def markets(self) -> set[str]:
        """Those in which this instance has had bets, and which are not forgotten."""
        return set(self._by_market)

    def forget(self, market_ids: Iterable[str]) -> None:
        """Forget markets that are over."""
        gone = set(market_ids)
        for market_id in gone:
            self._by_market.pop(market_id, None)
        self._by_order = {key: bet for key, bet in self._by_order.items() if bet.market_id not in gone}
        self._by_bet = {key: bet for key, bet in self._by_bet.items() if bet.market_id not in gone}
        self.foreign = {key: bet for key, bet in self.foreign.items() if bet.market_id not in gone}
        self.positions = {key: each for key, each in self.positions.items() if key not in gone}
        self._requests = {key: each for key, each in self._requests.items() if each.market_id not in gone}


def with_part(known: Request | None, part: Request) -> Request:
    """A request as far as it was sent: a coordinator of the user's own may send it in parts."""
    if known is None:
        return part
    more = tuple([each for each in part.instructions if each not in known.instructions])
    return msgspec.structs.replace(known, instructions=known.instructions + more) if more else known
