"""One market of the simulated exchange: its bets, and the requests that are on their way to them.

Nothing is polled: a request acts when the clock reaches its time, on the book in force at that moment.
Source: docs/fidelity.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from ..actors.exchange import AccountTerms, Desk, MarketExchange
from ..strategies.book import MarketBook
from ..strategies.errors import SettlementError
from ..strategies.messages import (
    CANCEL,
    PLACE,
    REPLACE,
    SUCCESS,
    CancelInstruction,
    OrderFact,
    PlaceInstruction,
    ReplaceInstruction,
    Reply,
    Report,
    Request,
    UpdateInstruction,
)
from ..strategies.terms import Terms
from .accounts.bet_rules import PASSIVE
from .accounts.funds import Purses
from .bets import Bet
from .cashier import Cashier
from .changing import cancel, no_new_id, persist, withdraw
from .latency import Latencies
from .matching import Matching
from .models import FlumineQueue, Models
from .passive import PassiveMatching
from .placement import WAIT, Arrival
from .queue_matching import QueueMatching
from .reports import ERROR_IN_ORDER, failure, placed
from .settlement import unsettled
from .starting_price import actual_sp

#: Why an order was never placed.
MARKET_CLOSED = "MARKET_CLOSED"


class BetIds(Protocol):
    """Gives the bets of a market their numbers."""

    def next_bet_id(self) -> str:
        """A number that no bet has."""

    def return_bet_id(self) -> None:
        """The last number was not used."""

    def gone(self, market_id: str) -> None:
        """A market was freed."""


class SimulatedMarket(MarketExchange):
    """The exchange's side of one market.

    Args:
        models: complete ones.
        ids: numbers for its bets.
        purses: the money of accounts, over all markets of the exchange.
    """

    def __init__(
        self, market_id: str, book: MarketBook, desk: Desk, models: Models, ids: BetIds, purses: Purses | None = None
    ) -> None:
        self.market_id = market_id
        self._book = book
        self._desk = desk
        self._answer = desk.answer
        self._clock = desk.clock
        self._exact = desk.rules.exact_average
        # The strategy saw the book of that moment later.
        self._lag_ms = round(desk.config.stream_latency * 1000)
        self._models = models
        assert models.latency is not None
        self._latencies = Latencies(models.latency, desk.config, market_id)
        self._ids = ids
        self._bets: dict[str, Bet] = {}
        # Requests made before the market last closed, or expired, no longer reach the exchange.
        self._epoch = 0
        self._defined: object = None
        self._known_terms = Terms()
        self._matching = self._new_matching()
        assert models.commission is not None
        assert models.settlement is not None
        self._cashier = Cashier(book, desk, purses or Purses(), models.commission, models.settlement)

    def _new_matching(self) -> Matching:
        kind = PassiveMatching if isinstance(self._models.queue, FlumineQueue) else QueueMatching
        return kind(self._book, self._desk, self._models, self._bets, self._tell)

    @property
    def watching(self) -> bool:  # type: ignore[override]
        return self._matching.follows_offers

    def queue_ahead(self, order_id: str) -> float | None:
        bet = self._bets.get(order_id)
        return None if bet is None else self._matching.queue_ahead(bet)

    def bet(self, order_id: str) -> Bet | None:
        """The bet of an order, for reading: for tests and for tools in the same process."""
        return self._bets.get(order_id)

    # -- requests ------------------------------------------------------------------------------------------------

    def send(self, request: Request) -> None:
        try:
            due_ms, last_ms = self._times(request)
        except Exception as error:  # of a latency model
            self._desk.failed(error, self.market_id, request.strategy)
            self._desk.call_at(request.asked_at, self.market_id, self._refuse, self._epoch, request)
            return
        call_at, kind = self._desk.call_at, request.kind
        self._cashier.insist(request)
        if kind == PLACE:
            account = self._desk.account(request.venue, request.username)
            bets = [
                self._enter(instruction, request.strategy, account)
                for instruction in request.instructions
                if isinstance(instruction, PlaceInstruction)
            ]
            self._cashier.follow(request, bets)
            call_at(due_ms, self.market_id, self._arrive, self._epoch, request, bets, last_ms)
        elif kind == REPLACE:
            call_at(due_ms, self.market_id, self._replace, self._epoch, request, last_ms)
        else:
            call_at(due_ms, self.market_id, self._change, self._epoch, request)

    def _times(self, request: Request) -> tuple[int, int]:
        """When a request reaches the exchange, and when the bet delay of its placings has passed."""
        kind, asked_ms = request.kind, request.asked_at + self._lag_ms
        seconds = placing = self._latencies.seconds(request.strategy, kind)
        due_ms = asked_ms + round(seconds * 1000)
        if kind == REPLACE:
            # A replacement is not placed before the old bet is cancelled.
            placing = max(seconds, self._latencies.seconds(request.strategy, PLACE))
        elif kind != PLACE or not request.bet_delay:
            return due_ms, due_ms
        return due_ms, asked_ms + round((placing + request.bet_delay) * 1000)

    def _enter(self, asked: PlaceInstruction, strategy: str, account: AccountTerms) -> Bet:
        """Make a bet that is on its way."""
        engine = self._cashier.enter(asked, account)
        bet = Bet(engine, self.market_id, strategy, account, len(self._bets), self._exact)
        self._matching.enter(bet)
        self._bets[bet.order_id] = bet
        return bet

    def adopt(self, asked: PlaceInstruction, strategy: str, account: AccountTerms, fact: OrderFact) -> None:
        definition = self._book.market_definition
        if definition is not None:
            self._matching.adopt(definition)
        bet = self._bets[asked.order_id] = Bet(asked, self.market_id, strategy, account, len(self._bets), self._exact)
        bet.stand_as(fact)

    # -- placing -------------------------------------------------------------------------------------------------

    def _arrive(self, epoch: int, request: Request, bets: Sequence[Bet], last_ms: int) -> None:
        """Bets reach the exchange; each that has to wait for the bet delay comes back once that has passed.

        They are judged both times. Where the market is PASSIVE, only bets that would match wait.
        """
        if epoch != self._epoch:
            return
        book, now = self._book, self._clock.now_ms
        delay_done = now >= last_ms
        waiting = self._admitted(request, [bet for bet in bets if not bet.ended])
        if delay_done or PASSIVE in book.bet_delay_models:
            version = self._lapsing(request.market_version)
            arrival = Arrival(book, self._matching, version, delay_done, self._terms(), now)
            waiting = [bet for bet in waiting if not self._place(request, bet, arrival)]
        if waiting and not delay_done:
            self._desk.call_at(last_ms, self.market_id, self._arrive, epoch, request, waiting, last_ms)

    def _admitted(self, request: Request, bets: list[Bet]) -> list[Bet]:
        """The bets of a request that the exchange takes; the others are refused here."""
        codes = self._cashier.refusals(request, bets, self._terms())
        if not codes:
            return bets
        for bet in bets:
            code = codes.get(bet.order_id)
            if code is not None:
                bet.refuse()
                self._tell(bet)
                self._reply(request, placed(bet, code, self._clock.now_ms))
        return [bet for bet in bets if not bet.ended]

    def _lapsing(self, version: int | None) -> int | None:
        """The version that a request insists on, if its bets lapse for it."""
        return self._cashier.lapsing(version)

    def _place(self, request: Request, bet: Bet, arrival: Arrival) -> bool:
        """Place one bet and answer; False where it has to wait."""
        code, bet_id = self._outcome(bet, arrival)
        if code == WAIT:
            return False
        if code is None:
            bet.bet_id = bet_id
            bet.placed = True
        else:
            bet.ended = True
        if bet.changed:
            self._tell(bet)
        if code is None and not bet.ended:
            self._matching.add(bet)
        self._reply(request, placed(bet, code, arrival.time_ms))
        return True

    def _outcome(self, bet: Bet, arrival: Arrival) -> tuple[str | None, str | None]:
        """What `_judge` says; an error of a model voids the bet, and the others go on."""
        try:
            return self._judge(bet, arrival)
        except Exception as error:
            self._desk.failed(error, self.market_id, bet.strategy)
            bet.void()
            return ERROR_IN_ORDER, None

    def _judge(self, bet: Bet, arrival: Arrival) -> tuple[str | None, str]:
        """The outcome of a placing (see `Arrival.place`), and the bet id that an answer uses up."""
        bet_id = self._ids.next_bet_id()
        code: str | None = WAIT
        try:
            code = arrival.place(bet)
        finally:
            if code == WAIT:
                self._ids.return_bet_id()
        return code, bet_id

    def _terms(self) -> Terms:
        definition = self._book.market_definition
        if definition is not self._defined:
            self._defined, self._known_terms = definition, Terms.of(definition)
        return self._known_terms

    # -- changes of bets -----------------------------------------------------------------------------------------

    def _change(self, epoch: int, request: Request) -> None:
        """Cancels and updates reach the exchange."""
        if epoch != self._epoch:
            return
        for instruction in request.instructions:
            bet = self._bets.get(instruction.order_id)
            if isinstance(instruction, CancelInstruction):
                report = cancel(bet, instruction, self._book, self._cashier)
            elif isinstance(instruction, UpdateInstruction):
                report = persist(bet, instruction, self._book)
            else:
                continue
            if bet is not None and bet.changed:
                self._tell(bet)
            self._reply(request, report)

    def _replace(self, epoch: int, request: Request, last_ms: int) -> None:
        """Replaces reach the exchange: first all old bets are cancelled, then the new ones are placed, or wait."""
        if epoch != self._epoch:
            return
        successors = []
        for instruction in request.instructions:
            if not isinstance(instruction, ReplaceInstruction):
                continue
            bet = self._bets.get(instruction.order_id)
            if instruction.new_order_id is None:
                self._desk.failed(no_new_id(self.market_id, instruction.order_id), self.market_id, request.strategy)
                self._reply(request, failure(instruction.order_id, CANCEL, ERROR_IN_ORDER))
                continue
            report = withdraw(bet, instruction, self._book, self._cashier)
            if bet is not None and bet.changed:
                self._tell(bet)
            self._reply(request, report)
            if bet is not None and report.status == SUCCESS:
                ref = instruction.new_customer_order_ref or instruction.new_order_id
                size = self._cashier.report(report).size
                asked = self._cashier.asked(bet)
                asked = bet.successor(instruction.new_order_id, ref, instruction.new_price, size, asked.liability)
                successors.append(self._enter(asked, bet.strategy, bet.account))
        self._cashier.follow(request, successors)
        if successors:
            self._arrive(epoch, request, successors, last_ms)

    def _refuse(self, epoch: int, request: Request) -> None:
        """Refuse a request, because it is not known when it would have arrived."""
        if epoch != self._epoch:
            return
        operation = CANCEL if request.kind == REPLACE else request.kind
        for instruction in request.instructions:
            self._reply(request, failure(instruction.order_id, operation, ERROR_IN_ORDER))

    # -- telling -------------------------------------------------------------------------------------------------

    def _tell(self, bet: Bet, why: str | None = None) -> None:
        """Send a fact about a bet as it is now. For a bet on its way, that waits until it has arrived."""
        if not bet.placed and not bet.ended:
            return
        if bet.done and not bet.ended:
            bet.ended = True
        if bet.ended:
            self._matching.remove(bet)
        bet.changed = False
        self._answer(self._cashier.told(bet, bet.fact(self._clock.now_ms, not bet.ended, why)))

    def _reply(self, request: Request, report: Report) -> None:
        told = self._cashier.report(report)
        self._answer(Reply(request.request_id, self.market_id, self._clock.now_ms, reports=(told,)))

    # -- the book ------------------------------------------------------------------------------------------------

    def changed(self) -> None:
        self._cashier.changed()
        self._matching.update()

    def commission(self, profit: float, account: AccountTerms) -> float:
        return self._cashier.commission(profit, account)

    def rest(self) -> None:
        self._book.unwatch()

    def closed(self, line_result: float | None) -> None:
        """Settle all bets; those that still wait first get the starting price, or lapse."""
        self._epoch += 1
        self._matching.close()
        for bet in list(self._bets.values()):
            if not bet.ended:
                self._end(bet, MARKET_CLOSED)
        for bet in list(self._bets.values()):
            # A bet with nothing matched has no result; one that had a result before it was voided has another.
            if bet.size_matched or bet.profit:
                self._settle(bet, line_result)
        self._cashier.settled(self._bets.values())

    def _settle(self, bet: Bet, line_result: float | None, told: bool = True) -> bool:
        """Send the result of a bet; False if it has none. `told`: count an error as a failure too."""
        settlement = self._models.settlement
        assert settlement is not None
        try:
            result = self._cashier.result(bet, settlement.settle(self._book, bet, line_result))
        except Exception as error:  # the others are settled all the same
            bet.profit = 0.0
            self._answer(unsettled(self._book, bet))
            if told:
                self._desk.failed(error, self.market_id, bet.strategy)
            return False
        bet.profit = result.profit
        self._answer(result)
        return True

    def expire(self, why: str) -> bool:
        """End the bets that have not arrived, for their market or recording has ended; no more requests arrive."""
        self._epoch += 1
        waiting = [bet for bet in self._bets.values() if not bet.placed and not bet.ended]
        for bet in waiting:
            self._end(bet, why)
        return bool(waiting)

    def _end(self, bet: Bet, why: str) -> None:
        """Nothing more can happen to a bet: its market, or its recording, has ended."""
        if bet.placed and bet.takes_sp:
            self._tell_of_bad_sp(bet)
        if bet.is_limit:
            bet.lapse()
        elif not bet.size_matched:
            bet.size_lapsed = bet.size
        bet.ended = True
        self._tell(bet, None if bet.placed else why)

    def _tell_of_bad_sp(self, bet: Bet) -> None:
        """Report a bet that is not matched because the starting price that it waited for is not a price."""
        runner = self._book.runner(bet.selection_id, bet.handicap)
        price = runner.sp.actual_sp if runner else None
        if isinstance(price, (int, float)) and math.isfinite(price) and price and actual_sp(runner) is None:
            error = SettlementError(
                f"market {self.market_id}: bet {bet.bet_id} on {bet.selection_id} is not matched: the recording "
                f"has a starting price of {price:g}, which leaves nothing to win"
            )
            self._desk.failed(error, self.market_id, bet.strategy)

    def forget(self) -> None:
        self._epoch += 1
        removals = self._models.removals
        assert removals is not None
        removals.forget(self.market_id)
        self._cashier.forget()
        self._ids.gone(self.market_id)
