"""Changes of bets: cancels, other persistence, and what is to be placed instead of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from ....strategies.messages import (
    CANCEL,
    UPDATE,
    CancelInstruction,
    Instruction,
    PlaceInstruction,
    Request,
    UpdateInstruction,
)
from ....strategies.messages import Report as Answer
from ...accounts.bet_rules import (
    LAPSE,
    LIMIT,
    LIMIT_ON_CLOSE,
    TAKEN,
    edit_refusal,
    persistence_refusal,
    reduction_refusal,
)
from ..account_bet import AccountBet
from ..errors import ParameterError
from ..exchange import Exchange, ExchangeMarket
from ..faults import Faults
from ..http.arguments import chosen, required
from .betting_reports import (
    BET_ACTION_ERROR,
    CANCELLED_NOT_PLACED,
    ERROR_IN_ORDER,
    FAILURE,
    INSTRUCTION_CODES,
    TIMEOUT,
    Report,
    cancelled,
    failed,
    not_replaced,
    pending,
    placed,
    replaced,
)
from .placing import VENUE, Placed
from .reception import Call
from .validation import PERSISTENCE_TYPES, Placing, market_refusal

SUCCEEDED = "SUCCESS"


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """An instruction to cancel a bet, or to change its persistence, as it came.

    Attributes:
        echo: as reports repeat it.
        reduction: None: all that remains.
        persistence: the new one.
    """

    bet_id: str
    echo: dict[str, Any]
    reduction: float | None = None
    persistence: str = LAPSE


@dataclasses.dataclass(slots=True)
class Replacement:
    """An instruction to replace a bet, and what became of it.

    Attributes:
        code: for which the bet was not cancelled.
        placing: what is to take its place.
    """

    bet_id: str
    new_price: float
    echo: dict[str, Any]
    code: str | None = None
    placing: Placing | None = None
    _cancel: Report = dataclasses.field(default_factory=dict)
    _place: Report = dataclasses.field(default_factory=dict)

    def cancelled(self, placing: Placing, size: float, at: int) -> None:
        """The bet was cancelled; `placing` is to take its place."""
        self.placing, self._cancel = placing, cancelled(self.echo, size, at)

    def answer(self, place: int, outcome: Placed | None) -> None:
        """What became of its placing: the one at this place of an order; None: that is not known yet."""
        assert self.placing is not None
        if outcome is None:
            self._place = pending(self.placing)
        elif outcome.code is None:
            self._place = placed(self.placing, outcome.bets.get(place), outcome.codes.get(place))
        else:
            code = outcome.codes.get(place) or _nested(outcome.code)
            self._place = {"status": FAILURE, "errorCode": code, "instruction": self.placing.echo}

    def report(self) -> Report:
        """Both of its parts."""
        if self.placing is None:
            return not_replaced(self.echo, self.code or ERROR_IN_ORDER)
        failed_to_place = self._place["status"] == FAILURE
        return replaced(self._cancel, self._place, CANCELLED_NOT_PLACED if failed_to_place else None)

    def cut_report(self) -> Report:
        """Its cancel alone is known."""
        if self.placing is None:
            return not_replaced(self.echo, self.code or ERROR_IN_ORDER)
        place = {"status": TIMEOUT, "instruction": self.placing.echo}
        return {"status": TIMEOUT, "cancelInstructionReport": self._cancel, "placeInstructionReport": place}


def _nested(code: str) -> str:
    """The code of one placing of an order that was refused as a whole."""
    if code == "MARKET_SUSPENDED":
        return "MARKET_NOT_OPEN_FOR_BETTING"
    return code if code in INSTRUCTION_CODES and code != BET_ACTION_ERROR else ERROR_IN_ORDER


class Changer:
    """Changes bets."""

    def __init__(self, exchange: Exchange, faults: Faults) -> None:
        self._exchange = exchange
        self._faults = faults

    # -- what is asked for ---------------------------------------------------------------------------------------

    def read_cancel(self, raw: dict[str, Any]) -> Change:
        """An instruction to cancel, as a client sent it."""
        bet_id, reduction = required(raw, "betId"), raw.get("sizeReduction")
        echo = {"betId": bet_id} if reduction is None else {"betId": bet_id, "sizeReduction": reduction}
        return Change(bet_id, echo, reduction)

    def read_update(self, raw: dict[str, Any]) -> Change:
        """An instruction to update, as a client sent it."""
        bet_id, persistence = required(raw, "betId"), chosen(raw, "newPersistenceType", PERSISTENCE_TYPES)
        if persistence is None:
            raise ParameterError("newPersistenceType is missing")
        return Change(bet_id, {"betId": bet_id, "newPersistenceType": persistence}, persistence=persistence)

    def read_replacement(self, raw: dict[str, Any]) -> Replacement:
        """An instruction to replace, as a client sent it."""
        bet_id = required(raw, "betId")
        return Replacement(bet_id, required(raw, "newPrice"), {"betId": bet_id})

    def whole_market(self, username: str, market_id: str) -> list[Change]:
        """Cancels of all bets of an account in a market that can be matched."""
        market = self._exchange.markets.get(market_id)
        bets = () if market is None else market.bets.values()
        return [
            Change(bet.bet_id, {"betId": bet.bet_id}) for bet in bets if bet.username == username and bet.executable
        ]

    def refusal(self, call: Call, bet_ids: Sequence[str]) -> tuple[str, dict[int, str]] | None:
        """The code for which all changes of a call are refused, and those of culprits; None if they are not."""
        assert call.market_id is not None
        code = market_refusal(self._exchange.markets.get(call.market_id))
        if code is not None:
            return code, {}
        if len(set(bet_ids)) < len(bet_ids):
            return "DUPLICATE_BETIDS", {}
        elsewhere = (
            bet.market_id != call.market_id
            for bet_id in bet_ids
            if (bet := self._exchange.bets.get(bet_id)) is not None and bet.username == call.username
        )
        return ("INVALID_ORDER", {}) if any(elsewhere) else None

    # -- cancelling ----------------------------------------------------------------------------------------------

    def cancel(self, call: Call, wanted: Sequence[Change]) -> list[Report]:
        """Cancel bets, or parts of them."""
        codes: dict[str, str] = {}
        instructions: list[Instruction] = []
        for change in wanted:
            bet = self._own(call, change.bet_id)
            if bet is None:
                codes[change.bet_id] = "INVALID_BET_ID"
                continue
            self._match_first(call, bet)
            code = self._no_cancel(bet, change)
            if code is None:
                instructions.append(CancelInstruction(bet.order_id, bet.bet_id, change.reduction))
            else:
                codes[change.bet_id] = code
        before = {each.order_id: self._cancelled(each.order_id) for each in instructions}
        answers = self._submit(call, CANCEL, instructions)
        reports = []
        for change in wanted:
            if change.bet_id in codes:
                reports.append(failed(change.echo, codes[change.bet_id]))
                continue
            order_id = self._exchange.bets[change.bet_id].order_id
            answer = answers[order_id]
            if answer.error_code is not None:
                reports.append(failed(change.echo, answer.error_code))
                continue
            size = round(self._cancelled(order_id) - before[order_id], 2)
            reports.append(cancelled(change.echo, size, self._exchange.clock.now_ms))
        return reports

    def cancel_all(self, username: str) -> tuple[int, int]:
        """Cancel all bets of an account that can be matched: how many were, and how many could not be."""
        done = left = 0
        for market in list(self._exchange.markets.values()):
            wanted = self.whole_market(username, market.market_id)
            if not wanted:
                continue
            if market_refusal(market) is not None:
                left += len(wanted)
                continue
            call = Call("cancelOrders", self._exchange.accounts[username], market.market_id, [])
            succeeded = sum(each["status"] == SUCCEEDED for each in self.cancel(call, wanted))
            done, left = done + succeeded, left + len(wanted) - succeeded
        return done, left

    def _no_cancel(self, bet: AccountBet, change: Change) -> str | None:
        """The code for which a bet is not cancelled."""
        if not bet.executable:
            return TAKEN
        book = self._exchange.markets[bet.market_id].book
        return reduction_refusal(change.reduction, bet.remaining, bet.price, book)

    def _cancelled(self, order_id: str) -> float:
        bet = self._exchange.bet_of(order_id)
        assert bet is not None
        return bet.cancelled

    # -- persistence ---------------------------------------------------------------------------------------------

    def update(self, call: Call, wanted: Sequence[Change]) -> list[Report]:
        """Give bets another persistence."""
        codes: dict[str, str | None] = {}
        instructions: list[Instruction] = []
        for change in wanted:
            bet = self._own(call, change.bet_id)
            code = codes[change.bet_id] = self._no_update(bet, change)
            if bet is not None and code is None:
                instructions.append(UpdateInstruction(bet.order_id, bet.bet_id, change.persistence))
        answers = {each.bet_id: each for each in self._submit(call, UPDATE, instructions).values()}
        reports = []
        for change in wanted:
            answer = answers.get(change.bet_id)
            code = codes[change.bet_id] or (TAKEN if answer is None else answer.error_code)
            reports.append(failed(change.echo, code) if code else {"status": SUCCEEDED, "instruction": change.echo})
        return reports

    def _no_update(self, bet: AccountBet | None, change: Change) -> str | None:
        if bet is None:
            return "INVALID_BET_ID"
        if not bet.executable:
            return TAKEN
        return persistence_refusal(change.persistence, bet.persistence, self._exchange.markets[bet.market_id].book)

    # -- replacing -----------------------------------------------------------------------------------------------

    def cancel_for(self, call: Call, replacements: Sequence[Replacement]) -> None:
        """Cancel what is to be replaced; each that was gets its `placing`, each that was not its `code`."""
        assert call.market_id is not None
        market = self._exchange.markets[call.market_id]
        limits = []
        for each in replacements:
            bet = self._own(call, each.bet_id)
            if bet is None:
                each.code = "INVALID_BET_ID"
                continue
            each.code = self._no_replace(bet, each.new_price, market)
            if each.code is None and bet.is_limit:
                limits.append((each, bet))
            elif each.code is None:
                self._edit(bet, each)
        reports = self.cancel(call, [Change(each.bet_id, each.echo) for each, _ in limits])
        for (each, bet), report in zip(limits, reports, strict=True):
            if report["status"] == SUCCEEDED:
                size = report["sizeCancelled"]
                each.cancelled(self._successor(bet, each.new_price, size), size, self._exchange.clock.now_ms)
            else:
                each.code = report["errorCode"]

    def _no_replace(self, bet: AccountBet, price: float, market: ExchangeMarket) -> str | None:
        """The code for which a bet is not cancelled to be replaced."""
        if bet.is_limit:
            if not bet.executable:
                return TAKEN
            return "NO_ACTION_REQUIRED" if price == bet.price else None
        if bet.asked.order_type != LIMIT_ON_CLOSE or bet.ended:
            return TAKEN
        return edit_refusal(price, bet.price, bet.back, market.book)

    def _edit(self, bet: AccountBet, each: Replacement) -> None:
        """End a bet at the starting price whose limit moves: it is cancelled, though nothing of it counts as that."""
        now = self._exchange.clock.now_ms
        bet.replaced, bet.cancelled_ms = True, now
        self._exchange.interfere(bet, lambda venue: venue.withdraw(bet.order_id))
        each.cancelled(self._successor(bet, each.new_price, 0.0), 0.0, now)

    def _successor(self, bet: AccountBet, price: float, size: float) -> Placing:
        """What takes a bet's place: all of it is as it was, but for its price."""
        order_id = self._exchange.numbers.next_order_id()
        asked = bet.asked
        echo: dict[str, Any] = {"selectionId": bet.selection_id, "orderType": asked.order_type, "side": asked.side}
        values: dict[str, Any]
        if bet.is_limit:
            values = {"size": size, "persistence_type": bet.persistence or LAPSE}
            echo["limitOrder"] = {"size": size, "price": price, "persistenceType": bet.persistence or LAPSE}
        else:
            values = {"liability": bet.liability}
            echo["limitOnCloseOrder"] = {"liability": bet.liability, "price": price}
        placed = PlaceInstruction(
            order_id,
            bet.order_ref,
            bet.selection_id,
            bet.handicap,
            asked.side,
            LIMIT if bet.is_limit else LIMIT_ON_CLOSE,
            price,
            **values,
        )
        return Placing(placed, echo, strategy_ref=bet.strategy_ref)

    # -- common to all -------------------------------------------------------------------------------------------

    def _own(self, call: Call, bet_id: str) -> AccountBet | None:
        """A bet of the call's account."""
        bet = self._exchange.bets.get(bet_id)
        return bet if bet is not None and bet.username == call.username else None

    def _match_first(self, call: Call, bet: AccountBet) -> None:
        """The fault that a bet is matched before it is changed."""
        if not bet.executable:
            return
        fault = self._faults.take(
            "bet.fill_before_cancel",
            self._exchange.clock.now_ms,
            username=call.username,
            operation=call.operation,
            market_id=bet.market_id,
            bet_id=bet.bet_id,
        )
        if fault is not None:
            size = None if fault.value is None else float(fault.value) / bet.unit
            self._exchange.interfere(bet, lambda venue: venue.match(bet.order_id, size))

    def _submit(self, call: Call, kind: str, instructions: Sequence[Instruction]) -> dict[str, Answer]:
        """Hand changes to the market; its answers, by orders: they come at once."""
        answers: dict[str, Answer] = {}
        if not instructions:
            return answers
        assert call.market_id is not None
        exchange, username = self._exchange, call.username
        request = Request(
            exchange.numbers.next_request_id(),
            call.market_id,
            username,
            VENUE,
            username,
            kind,
            tuple(instructions),
            exchange.clock.now_ms,
        )
        exchange.submit(request, lambda reports: answers.update((each.order_id, each) for each in reports))
        return answers
