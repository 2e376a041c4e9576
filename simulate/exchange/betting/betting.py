"""The calls of the betting API that place bets and change them. Sources: docs/exchange.md.

`placeOrders` and `replaceOrders` take the market's bet delay: the call waits for it. All other things happen at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from ...accounts.bet_rules import FILL_OR_KILL, LIMIT
from ..errors import ConnectionCut
from ..exchange import Exchange
from ..faults import Fault, Faults
from ..http.arguments import chosen
from ..operations import Operation
from ..settings import AccountSettings
from .bank import Bank
from .betting_reports import (
    BET_ACTION_ERROR,
    ERROR_IN_ORDER,
    EXECUTION_CODES,
    PROCESSED_WITH_ERRORS,
    SUCCESS,
    TIMEOUT,
    Report,
    execution,
    failures,
    not_replaced,
    pending,
    placed,
)
from .changing import Change, Changer, Replacement
from .placing import Order, Placed, Placer
from .reception import Call, Reception
from .unasked import Unasked
from .validation import read_placing


class Betting:
    """Placing and changing bets.

    Args:
        now: seconds of real time.
    """

    def __init__(
        self, exchange: Exchange, bank: Bank, faults: Faults, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._exchange = exchange
        self._bank = bank
        self._faults = faults
        self._reception = Reception(exchange, now)
        self._placer = Placer(exchange, bank, faults)
        self._changer = Changer(exchange, faults)
        self._unasked = Unasked(exchange, faults)
        self._cancelling_all: set[str] = set()
        self._late: set[asyncio.Task[None]] = set()

    def operations(self) -> dict[str, Operation]:
        """The calls, by name."""
        return {
            "SportsAPING/v1.0/placeOrders": self.place_orders,
            "SportsAPING/v1.0/cancelOrders": self.cancel_orders,
            "SportsAPING/v1.0/updateOrders": self.update_orders,
            "SportsAPING/v1.0/replaceOrders": self.replace_orders,
        }

    # -- placeOrders ---------------------------------------------------------------------------------------------

    async def place_orders(self, account: AccountSettings, params: dict[str, Any]) -> Report:
        """Place bets in a market, all or none (where best execution is off: each by itself).

        Raises:
            ApiError, ParameterError: nothing was done.
        """
        time_in_force = chosen(params, "timeInForce", frozenset({FILL_OR_KILL}))
        call = self._reception.call("placeOrders", account, params)
        placings = tuple(
            read_placing(raw, self._exchange.numbers.next_order_id(), time_in_force, call.strategy_ref)
            for raw in call.instructions
        )
        echoes = [each.echo for each in placings]
        self._bank.count(call.username, len(placings))
        refused = self._refused(call)
        if refused is not None:
            code, culprits = refused
            return execution(call.market_id, call.customer_ref, failures(echoes, culprits), code)
        assert call.market_id is not None
        order = Order(account, call.market_id, placings, call.version)

        async def act() -> Report:
            done = await self._placed(call, order, call.at_once)
            if done is None:
                return execution(call.market_id, call.customer_ref, [pending(each) for each in placings])
            return self._report(call, order, done)

        return await self._carry_out(call, echoes, act)

    async def _placed(self, call: Call, order: Order, at_once: bool) -> Placed | None:
        """What became of an order; None where the client is to be told that it is on its way."""
        answer: asyncio.Future[Placed] = asyncio.get_running_loop().create_future()

        def done(outcome: Placed) -> None:
            if answer.done() or (at_once and not outcome.at_once):
                self._note(call, self._report(call, order, outcome))  # it was answered before, or its client is gone
            else:
                answer.set_result(outcome)

        self._placer.begin(order, done)
        return None if at_once and not answer.done() else await answer

    def _note(self, call: Call, report: Report) -> None:
        """What becomes of a call that was answered before: only the ledger is told."""
        self._exchange.ledger.write(
            "REPLY",
            self._exchange.clock.now_ms,
            username=call.username,
            operation=call.operation,
            customer_ref=call.customer_ref,
            later=True,
            report=report,
        )

    def _report(self, call: Call, order: Order, outcome: Placed) -> Report:
        if outcome.code is not None:
            reports = failures([each.echo for each in order.placings], outcome.codes)
            return execution(call.market_id, call.customer_ref, reports, outcome.code)
        reports = [
            placed(each, outcome.bets.get(place), outcome.codes.get(place)) for place, each in enumerate(order.placings)
        ]
        if outcome.codes and not order.account.best_execution:
            some = (PROCESSED_WITH_ERRORS, PROCESSED_WITH_ERRORS)
            return execution(call.market_id, call.customer_ref, reports, *some)
        return execution(call.market_id, call.customer_ref, reports)

    # -- replaceOrders -------------------------------------------------------------------------------------------

    async def replace_orders(self, account: AccountSettings, params: dict[str, Any]) -> Report:
        """Cancel bets and place what remained of them at other prices. Cancels stay where placings fail.

        Raises:
            ApiError, ParameterError: nothing was done.
        """
        call = self._reception.call("replaceOrders", account, params)
        replacements = [self._changer.read_replacement(raw) for raw in call.instructions]
        echoes = [each.echo for each in replacements]
        self._bank.count(call.username, len(replacements))

        def refused(code: str, culprits: dict[int, str]) -> Report:
            return _none_replaced(call, echoes, code, culprits)

        async def act() -> Report:
            refusal = self._changer.refusal(call, [each.bet_id for each in replacements])
            if refusal is not None:
                return refused(*refusal)
            self._changer.cancel_for(call, replacements)
            going = [each for each in replacements if each.placing is not None]
            if going and (cut := self._take("bet.replace_cut", call)) is not None:
                return self._cut_between(call, replacements, going, cut)
            if going:
                await self._place_anew(call, going)
            return execution(call.market_id, call.customer_ref, [each.report() for each in replacements])

        if (refusal := self._refused(call)) is not None:
            return refused(*refusal)
        return await self._carry_out(call, echoes, act, nested=True)

    async def _place_anew(self, call: Call, going: list[Replacement]) -> None:
        """Place what takes the place of cancelled bets. The starting price knows no answer before it is done."""
        assert call.market_id is not None
        placings = tuple(each.placing for each in going if each.placing is not None)
        at_sp = any(each.asked.order_type != LIMIT for each in placings)
        order = Order(call.account, call.market_id, placings, call.version, replacing=True)
        outcome = await self._placed(call, order, call.at_once and not at_sp)
        for place, each in enumerate(going):
            each.answer(place, outcome)

    def _cut_between(self, call: Call, replacements: list[Replacement], going: list[Replacement], cut: Fault) -> Report:
        """A replace ends once its bets are cancelled. What it places may still come.

        Raises:
            ConnectionCut: nobody is told.
        """

        async def act() -> Report:
            await self._place_anew(call, going)
            return execution(call.market_id, call.customer_ref, [each.report() for each in replacements])

        if cut.seconds:
            self._later(call, act, cut.seconds)
        if cut.value is None:
            raise ConnectionCut
        reports = [each.cut_report() for each in replacements]
        return execution(call.market_id, call.customer_ref, reports, status=TIMEOUT)

    # -- cancelOrders, updateOrders ------------------------------------------------------------------------------

    async def cancel_orders(self, account: AccountSettings, params: dict[str, Any]) -> Report:
        """Cancel bets, or parts of them; without instructions all of a market; without a market all of the account.

        Raises:
            ApiError, ParameterError: nothing was done.
        """
        call = self._reception.call("cancelOrders", account, params, everywhere=True)
        if call.market_id is None:
            return await self._cancel_everywhere(call)
        wanted = [self._changer.read_cancel(raw) for raw in call.instructions]
        if not wanted:
            wanted = self._changer.whole_market(call.username, call.market_id)
        return await self._changed(call, wanted, self._changer.cancel)

    async def _cancel_everywhere(self, call: Call) -> Report:
        refused = self._refused(call)
        if refused is not None:
            return execution(None, call.customer_ref, None, refused[0])
        if call.username in self._cancelling_all:
            return execution(None, call.customer_ref, None, "ERROR_IN_MATCHER")

        async def act() -> Report:
            _, left = self.cancel_all(call.username)
            some = (PROCESSED_WITH_ERRORS, PROCESSED_WITH_ERRORS) if left else ()
            return execution(None, call.customer_ref, None, *some)

        self._cancelling_all.add(call.username)
        try:
            return await self._carry_out(call, None, act)
        finally:
            self._cancelling_all.discard(call.username)

    def cancel_all(self, username: str) -> tuple[int, int]:
        """Cancel all limit bets of an account that can be matched: how many were, and how many could not be."""
        return self._changer.cancel_all(username)

    async def update_orders(self, account: AccountSettings, params: dict[str, Any]) -> Report:
        """Give bets another persistence.

        Raises:
            ApiError, ParameterError: nothing was done.
        """
        call = self._reception.call("updateOrders", account, params)
        wanted = [self._changer.read_update(raw) for raw in call.instructions]
        return await self._changed(call, wanted, self._changer.update)

    async def _changed(
        self, call: Call, wanted: list[Change], change: Callable[[Call, list[Change]], list[Report]]
    ) -> Report:
        echoes = [each.echo for each in wanted]

        def refused(code: str, culprits: dict[int, str]) -> Report:
            self._bank.count(call.username, len(wanted))
            return execution(call.market_id, call.customer_ref, failures(echoes, culprits), code)

        async def act() -> Report:
            refusal = self._changer.refusal(call, [each.bet_id for each in wanted])
            if refusal is not None:
                return refused(*refusal)
            reports = change(call, wanted)
            self._bank.count(call.username, sum(each["status"] != SUCCESS for each in reports))
            return execution(call.market_id, call.customer_ref, reports)

        if (refusal := self._refused(call)) is not None:
            return refused(*refusal)
        return await self._carry_out(call, echoes, act)

    # -- common to all -------------------------------------------------------------------------------------------

    def _refused(self, call: Call) -> tuple[str, dict[int, str]] | None:
        """The code for which a whole call is refused, and the codes of culprits by place; None if it is not."""
        if self._reception.repeated(call):
            return "DUPLICATE_TRANSACTION", {}
        fault = self._take("bet.refuse", call)
        if fault is not None:
            code = fault.value or "ERROR_IN_MATCHER"
            return (code, {}) if code in EXECUTION_CODES else (BET_ACTION_ERROR, {0: code})
        if not call.valid_version:
            return "INVALID_MARKET_VERSION", {}
        if not call.valid_strategy_ref:
            return BET_ACTION_ERROR, dict.fromkeys(range(len(call.instructions)), "INVALID_CUSTOMER_STRATEGY_REF")
        return None

    def _take(self, kind: str, call: Call) -> Any:
        return self._faults.take(
            kind,
            self._exchange.clock.now_ms,
            username=call.username,
            operation=call.operation,
            market_id=call.market_id,
        )

    async def _carry_out(
        self, call: Call, echoes: list[Report] | None, act: Callable[[], Awaitable[Report]], nested: bool = False
    ) -> Report:
        """Do what a call asks for, and answer, with the faults that are due.

        Args:
            echoes: the instructions, as reports repeat them; None: there are no reports of instructions.
            act: does it; the report.
            nested: reports of instructions have a part for the cancel, and one for the placing.
        """
        if self._take("http.timeout_lost", call) is not None:
            return _timed_out(call, echoes, nested)
        later = self._take("http.timeout_later", call)
        if later is not None:
            self._later(call, act, later.seconds)
            return _timed_out(call, echoes, nested)
        report = await act()
        if self._take("http.timeout", call) is not None:
            return _timed_out(call, echoes, nested)
        if call.customer_ref is not None and self._take("http.duplicate", call) is not None:
            self._note(call, report)
            return _repeated(call, echoes, nested)
        hold = self._take("order.before_reply", call)
        if hold is not None:
            await asyncio.sleep(hold.seconds)
        return report

    def _later(self, call: Call, act: Callable[[], Awaitable[Report]], seconds: float) -> None:
        task = asyncio.create_task(self._act_later(call, act, seconds))
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _act_later(self, call: Call, act: Callable[[], Awaitable[Report]], seconds: float) -> None:
        """Do what a call asked for that was answered before. The market may have gone on, or have gone."""
        await asyncio.sleep(seconds)
        self._exchange.tick()
        try:
            report = await act()
        except Exception as error:  # nobody is there to be told
            self._exchange.failed(error, call.market_id or "", call.username)
        else:
            self._note(call, report)


def _timed_out(call: Call, echoes: list[Report] | None, nested: bool) -> Report:
    reports: list[Report] | None = None
    if echoes is not None:
        reports = [{"status": TIMEOUT, "instruction": echo} for echo in echoes]
    if nested and reports is not None:
        reports = [
            {"status": TIMEOUT, "cancelInstructionReport": each, "placeInstructionReport": {"status": TIMEOUT}}
            for each in reports
        ]
    return execution(call.market_id, call.customer_ref, reports, status=TIMEOUT)


def _repeated(call: Call, echoes: list[Report] | None, nested: bool) -> Report:
    """The answer to a call that was heard before."""
    code = "DUPLICATE_TRANSACTION"
    if nested and echoes is not None:
        return _none_replaced(call, echoes, code, {})
    reports = None if echoes is None else failures(echoes, {})
    return execution(call.market_id, call.customer_ref, reports, code)


def _none_replaced(call: Call, echoes: list[Report], code: str, culprits: dict[int, str]) -> Report:
    """A replace was refused as a whole."""
    reports = [not_replaced(echo, culprits.get(place, ERROR_IN_ORDER)) for place, echo in enumerate(echoes)]
    return execution(call.market_id, call.customer_ref, reports, code)
