"""Where a market of the simulated exchange meets accounts: which of their bets it takes, in pounds, and their money.

What comes in is judged as the exchange would, and counted in pounds from there on; what goes out is in the account's
currency again. The rules themselves are in `accounts`. Source: docs/account.md.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from ..actors.exchange import AccountTerms, Desk
from ..strategies.book import MarketBook
from ..strategies.messages import (
    PLACE,
    REPLACE,
    AccountFact,
    ClearedOrder,
    Fill,
    OrderFact,
    PlaceInstruction,
    Report,
    Request,
)
from ..strategies.terms import Terms
from .accounts.bet_rules import Versions, crossing, refusal
from .accounts.conversion import in_currency, placing_in_pounds, pounds, unit_of
from .accounts.funds import AccountFunds, Purses
from .bets import Bet
from .commission import CommissionModel
from .outcomes import Outcome
from .reports import ERROR_IN_ORDER
from .settlement import Settlement


class _Foreign:
    """A bet of an account in another currency than pounds: what was asked, and what it has come to there."""

    __slots__ = ("asked", "cancelled", "fact", "unit")

    def __init__(self, asked: PlaceInstruction, unit: float) -> None:
        self.asked = asked
        self.unit = unit
        self.fact: OrderFact | None = None
        self.cancelled = 0.0  # since the fact before

    def take(self, fact: OrderFact, is_limit: bool) -> OrderFact:
        before = 0.0 if self.fact is None else self.fact.cancelled
        found = self.fact = in_currency(fact, self.unit, is_limit)
        self.cancelled = round(found.cancelled - before, 2)
        return found


class _Standing(NamedTuple):
    """A bet in its account's currency (see `accounts.exposure.Standing` and `settlement.Matched`)."""

    market_id: str
    order_id: str
    bet_id: str
    selection_id: int
    handicap: float
    back: bool
    is_limit: bool
    price: float
    liability: float
    matched: float
    average: float
    remaining: float
    fills: Sequence[Fill]
    ended: bool

    @property
    def size_matched(self) -> float:
        return self.matched

    @property
    def average_price_matched(self) -> float:
        return self.average

    @property
    def exact_matched(self) -> tuple[float, float]:
        return self.matched, self.matched * self.average


class Cashier:
    """The accounts' side of a market.

    Args:
        purses: the money of accounts, over all markets of the exchange.
    """

    def __init__(
        self, book: MarketBook, desk: Desk, purses: Purses, commission: CommissionModel, settlement: Settlement
    ) -> None:
        self._book = book
        self._desk = desk
        self._all_purses = purses
        self._commission = commission
        self._settlement = settlement
        self._foreign: dict[str, _Foreign] = {}
        self._purses: dict[str, tuple[AccountFunds, str, str]] = {}
        self._versions: Versions | None = None

    # -- coming in -----------------------------------------------------------------------------------------------

    def enter(self, asked: PlaceInstruction, account: AccountTerms) -> PlaceInstruction:
        """A bet is on its way: as matching counts it."""
        if account.units == 1.0:
            return asked
        engine = placing_in_pounds(asked, account.units)
        self._foreign[asked.order_id] = _Foreign(asked, unit_of(asked, engine))
        return engine

    def follow(self, request: Request, bets: Iterable[Bet]) -> None:
        """Bets of a request are on their way: remember whose money they are."""
        for bet in bets:
            account = bet.account
            if account.limited:
                owner = (request.venue, request.username)
                purse = self._all_purses.of(*owner, account.balance, account.exposure_limit)
                self._purses[bet.order_id] = (purse, *owner)

    def insist(self, request: Request) -> None:
        """Watch the versions of the market from now on, if a request insists on one."""
        if request.market_version is not None and self._versions is None:
            self._versions = Versions(self._book.status, self._book.version)

    def changed(self) -> None:
        """The book has changed."""
        if self._versions is not None:
            self._versions.change(self._book.status, self._book.version)

    def lapsing(self, version: int | None) -> int | None:
        """The version that a request insists on, if its bets lapse for it."""
        return version if self._versions is not None and self._versions.lapses(version) else None

    def asked(self, bet: Bet) -> PlaceInstruction:
        """What was asked for, in the account's currency."""
        foreign = self._foreign.get(bet.order_id)
        return bet.asked if foreign is None else foreign.asked

    def refusals(self, request: Request, bets: Sequence[Bet], terms: Terms) -> dict[str, str]:
        """The codes for which bets of a request are not taken, by their orders; what is taken is held from then on.

        All of them or none ("placeOrders"), unless best execution is off: then each stands by itself.

        Args:
            terms: of the market.
        """
        if not bets:
            return {}
        book, account = self._book, bets[0].account
        replacing = request.kind == REPLACE
        if len(bets) == 1 and not account.limited and book.status == "OPEN":  # as almost always
            code = refusal(self.asked(bets[0]), book, account.stakes, replacing, terms)
            return {} if code is None else {bets[0].order_id: code}
        asked = [self.asked(bet) for bet in bets]
        if book.status != "OPEN":
            return {each.order_id: ERROR_IN_ORDER for each in asked}
        codes = {
            each.order_id: code
            for each in asked
            if (code := refusal(each, book, account.stakes, replacing, terms)) is not None
        }
        if not codes and len(asked) > 1:
            codes = {asked[place].order_id: "INVALID_BACK_LAY_COMBINATION" for place in crossing(asked)}
        if codes and account.best_price_execution:
            codes = {each.order_id: codes.get(each.order_id, ERROR_IN_ORDER) for each in asked}
        if account.limited:
            good = [each for each in asked if each.order_id not in codes]
            if good and not self._held(good):
                codes.update(dict.fromkeys((each.order_id for each in good), "INSUFFICIENT_FUNDS"))
        return codes

    def _held(self, asked: Sequence[PlaceInstruction]) -> bool:
        """Hold the money of bets; False if there is not as much."""
        owner = self._purses[asked[0].order_id]
        purse = owner[0]
        purse.release(self._book, asked)
        if not purse.affords(self._book, asked):
            return False
        purse.hold(self._book, asked)
        self._tell_funds(*owner)
        return True

    def reduction(self, bet: Bet, size: float | None) -> float | None:
        """What is to be cancelled of a bet, in pounds; None: all that remains."""
        foreign = self._foreign.get(bet.order_id)
        if foreign is None or size is None or size >= self.remaining(bet):
            return size if foreign is None else None
        return pounds(size, foreign.unit)

    # -- going out -----------------------------------------------------------------------------------------------

    def remaining(self, bet: Bet) -> float:
        """What remains of a bet, in its account's currency."""
        foreign = self._foreign.get(bet.order_id)
        if foreign is None:
            return bet.size_remaining
        return foreign.fact.remaining if foreign.fact is not None else foreign.asked.size or 0.0

    def told(self, bet: Bet, fact: OrderFact) -> OrderFact:
        """A fact about a bet as its account is told; its money follows."""
        if not self._foreign and not self._purses:
            return fact
        foreign = self._foreign.get(bet.order_id)
        if foreign is not None:
            fact = foreign.take(fact, bet.is_limit)
        owner = self._purses.get(bet.order_id)
        if owner is not None:
            if bet.placed:
                owner[0].take(self._book, _standing(bet, fact))
            else:
                owner[0].release(self._book, (self.asked(bet),))
            self._tell_funds(*owner)
        return fact

    def report(self, report: Report) -> Report:
        """A report with the size in the account's currency. What it reports was told before."""
        if not self._foreign:
            return report
        foreign = self._foreign.get(report.order_id)
        if foreign is None or foreign.fact is None or not report.size:
            return report
        return replace(report, size=foreign.fact.matched if report.operation == PLACE else foreign.cancelled)

    def result(self, bet: Bet, result: ClearedOrder) -> ClearedOrder:
        """A bet's result in its account's currency: worked out anew, for what is rounded to the market's penny is not
        rounded to the account's."""
        foreign = self._foreign.get(bet.order_id)
        if foreign is None or foreign.fact is None or not result.settled:
            return result
        outcome = Outcome(*(getattr(result, each.name) for each in dataclasses.fields(Outcome)))
        return replace(result, profit=self._settlement.profit(_standing(bet, foreign.fact), outcome))

    def commission(self, profit: float, account: AccountTerms) -> float:
        """What an account pays on what it won here."""
        return self._commission.commission(profit, self._book.market_definition, account)

    def settled(self, bets: Iterable[Bet]) -> None:
        """All bets have their results: money moves."""
        if not self._purses:
            return
        won: dict[int, tuple[float, AccountTerms, tuple[AccountFunds, str, str]]] = {}
        for bet in bets:
            owner = self._purses.get(bet.order_id)
            if owner is not None:
                before = won[id(owner[0])][0] if id(owner[0]) in won else 0.0
                won[id(owner[0])] = (before + bet.profit, bet.account, owner)
        for profit, account, owner in won.values():
            profit = round(profit, 2)
            owner[0].settle(self._book, round(profit - self.commission(profit, account), 2))
            self._tell_funds(*owner)

    def forget(self) -> None:
        """The market is freed."""
        self._all_purses.forget(self._book.market_id)

    def _tell_funds(self, purse: AccountFunds, venue: str, username: str) -> None:
        if math.isfinite(purse.balance):
            now = self._desk.clock.now_ms
            self._desk.take_funds(AccountFact(venue, username, now, purse.available, purse.exposure))


def _standing(bet: Bet, fact: OrderFact) -> _Standing:
    """How a bet stands by a fact."""
    return _Standing(
        bet.market_id,
        bet.order_id,
        bet.bet_id or bet.order_id,
        bet.selection_id,
        bet.handicap,
        bet.back,
        bet.is_limit,
        bet.price or 0.0,
        0.0 if bet.is_limit else round(fact.size, 2),
        fact.matched,
        fact.average,
        fact.remaining,
        fact.fills or (),
        not fact.executable,
    )
