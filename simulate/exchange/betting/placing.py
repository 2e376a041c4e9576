"""Bets on their way into a market: what is judged at once and again after the bet delay, and what became of each.

An order is atomic: all of its bets are placed, or none. Where best execution is off each stands by itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from ....strategies.messages import PLACE, Report, Request
from ...accounts.bet_rules import PASSIVE, Versions, crossing
from ..account_bet import AccountBet
from ..exchange import Exchange, ExchangeMarket, Listener
from ..faults import Faults
from ..public_market import Touched
from ..settings import AccountSettings
from .bank import Bank
from .betting_reports import BET_ACTION_ERROR, ERROR_IN_ORDER, EXECUTION_CODES
from .validation import Placing, judge, market_refusal

#: What requests call this exchange.
VENUE = "rehearsal"


@dataclasses.dataclass(frozen=True)
class Order:
    """Bets of one call, to be placed in one market.

    Attributes:
        version: of the market, that the client insists on.
        replacing: they take the place of others.
    """

    account: AccountSettings
    market_id: str
    placings: tuple[Placing, ...]
    version: int | None = None
    replacing: bool = False


@dataclasses.dataclass
class Placed:
    """What became of an order.

    Attributes:
        code: for which all of it was refused.
        codes: of its bets, by their places, for which they failed.
        bets: by place, as far as there are bets.
        at_once: it was refused before the bet delay.
    """

    code: str | None = None
    codes: dict[int, str] = dataclasses.field(default_factory=dict)
    bets: dict[int, AccountBet] = dataclasses.field(default_factory=dict)
    at_once: bool = False


class Placer(Listener):
    """Places orders. It hears of markets, for their versions."""

    def __init__(self, exchange: Exchange, bank: Bank, faults: Faults) -> None:
        self._exchange = exchange
        self._bank = bank
        self._faults = faults
        self._versions: dict[str, Versions] = {}
        exchange.listeners.append(self)

    def begin(self, order: Order, done: Callable[[Placed], object]) -> None:
        """Place an order after the bet delay; `done` is called once all of it is decided, which may be at once."""
        refused = self._judge(order)
        if refused.code is not None:
            refused.at_once = True
            done(refused)
            return
        market = self._exchange.markets[order.market_id]
        delay = self._exchange.timeline.duration_ms(market.book.bet_delay * 1000)
        if delay and PASSIVE not in market.book.bet_delay_models:
            self._exchange.call_later(delay, lambda: self._arrive(order, refused.codes, 0.0, done))
        else:
            self._submit(order, refused.codes, delay, done)

    def _arrive(self, order: Order, codes: dict[int, str], delay: float, done: Callable[[Placed], object]) -> None:
        """The bet delay has passed, in which the market may have changed."""
        try:
            refused = self._judge(order)
            refused.codes = {**codes, **refused.codes}
            if refused.code is not None:
                done(refused)
            else:
                self._submit(order, refused.codes, delay, done)
        except Exception as error:  # the exchange goes on
            self._exchange.failed(error, order.market_id, order.account.username)
            done(Placed("ERROR_IN_MATCHER"))

    # -- judging -------------------------------------------------------------------------------------------------

    def _judge(self, order: Order) -> Placed:
        account, market = order.account, self._exchange.markets.get(order.market_id)
        code = market_refusal(market)
        if code is not None or market is None:
            return Placed(code)
        fault = self._faults.take(
            "bet.limit",
            self._exchange.clock.now_ms,
            username=account.username,
            operation="replaceOrders" if order.replacing else "placeOrders",
            market_id=order.market_id,
        )
        if fault is not None:
            return refusal(fault.value or "LOSS_LIMIT_EXCEEDED")
        codes = {
            place: wrong
            for place, placing in enumerate(order.placings)
            if (wrong := judge(placing, market, account, order.replacing)) is not None
        }
        if not codes:
            codes = dict.fromkeys(crossing([each.asked for each in order.placings]), "INVALID_BACK_LAY_COMBINATION")
        if codes and account.best_execution:
            return Placed(BET_ACTION_ERROR, codes)
        good = [placing.asked for place, placing in enumerate(order.placings) if place not in codes]
        if not self._bank.affords(account.username, market, good):
            return Placed("INSUFFICIENT_FUNDS")
        return Placed(None, codes)

    def _lapsing_version(self, order: Order, market: ExchangeMarket) -> int | None:
        """The version that an order insists on, if the market has been suspended since."""
        known = self._versions.get(market.market_id)
        return order.version if known is not None and known.lapses(order.version) else None

    # -- the market ----------------------------------------------------------------------------------------------

    def _submit(self, order: Order, codes: dict[int, str], delay: float, done: Callable[[Placed], object]) -> None:
        exchange, username = self._exchange, order.account.username
        market = exchange.markets[order.market_id]
        instructions = tuple(each.asked for place, each in enumerate(order.placings) if place not in codes)
        if not instructions:
            done(Placed(None, codes))
            return

        def answered(reports: list[Report]) -> None:
            self._bank.release(username, order.market_id, instructions)
            done(self._outcome(order, codes, reports))

        request = Request(
            exchange.numbers.next_request_id(),
            order.market_id,
            username,
            VENUE,
            username,
            PLACE,
            instructions,
            exchange.clock.now_ms,
            delay / 1000,
            self._lapsing_version(order, market),
        )
        strategy_refs = {each.asked.order_id: each.strategy_ref for each in order.placings}
        self._bank.hold(username, order.market_id, instructions)
        exchange.submit(request, answered, strategy_refs)

    def _outcome(self, order: Order, codes: dict[int, str], reports: list[Report]) -> Placed:
        answers = {report.order_id: report for report in reports}
        placed = Placed(None, dict(codes))
        for place, placing in enumerate(order.placings):
            if place in codes:
                continue
            report = answers.get(placing.asked.order_id)
            if report is None:
                placed.codes[place] = "MARKET_NOT_OPEN_FOR_BETTING"
                continue
            if report.error_code is not None:
                unjudged = report.error_code == ERROR_IN_ORDER
                placed.codes[place] = "ERROR_IN_MATCHER" if unjudged else report.error_code
            bet = self._exchange.bet_of(placing.asked.order_id)
            if bet is not None:
                placed.bets[place] = bet
        return placed

    # -- what happens at the exchange (`Listener`) ---------------------------------------------------------------

    def market_changed(self, market: ExchangeMarket, touched: Touched) -> None:
        if not touched.definition:
            return
        status, version = market.book.status, market.book.version
        known = self._versions.get(market.market_id)
        if known is None:
            self._versions[market.market_id] = Versions(status, version)
        else:
            known.change(status, version)

    def market_gone(self, market: ExchangeMarket) -> None:
        self._versions.pop(market.market_id, None)


def refusal(code: str) -> Placed:
    """An order that is refused for a code: as a whole, or because of its first bet."""
    return Placed(code) if code in EXECUTION_CODES else Placed(BET_ACTION_ERROR, {0: code})
