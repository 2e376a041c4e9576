"""Calls of the betting, account and heartbeat APIs at a small rehearsal exchange, without sockets.

    desk = Desk(priced())
    report = desk.place(limit(2.0, 5))
    assert report["status"] == "SUCCESS"

What a call waits for (a bet delay) is played by `then`. Real time stands still unless a test moves `desk.seconds`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from builders import MARKET, Stream, priced
from exchange_builders import ALICE, Fault, exchange_of, faults_of, play
from headrace.simulate.exchange.account_bet import AccountBet
from headrace.simulate.exchange.betting.bank import Bank
from headrace.simulate.exchange.betting.betting import Betting
from headrace.simulate.exchange.betting.heartbeat_api import HeartbeatApi
from headrace.simulate.exchange.http.arguments import arguments_of
from headrace.simulate.exchange.settings import AccountSettings

Report = dict[str, Any]


class FakeTimer:
    """A timer that a test lets run out."""

    def __init__(self, seconds: float, function: Callable[[], object]) -> None:
        self.seconds = seconds
        self.function = function
        self.running = True

    def cancel(self) -> None:
        self.running = False


class Desk:
    """An exchange with its bank and betting.

    Args:
        streams: what is played, up to `until` milliseconds after `T0`; a priced market if there are none.
        faults: that are set up.
        changes: of the exchange's settings.

    Attributes:
        timers: of the heartbeat API.
    """

    def __init__(self, *streams: Stream, until: int = 100, faults: Sequence[Fault] = (), **changes: Any) -> None:
        self.exchange = exchange_of(*(streams or (priced(),)), **changes)
        self.account = self.exchange.settings.accounts[0]
        self.faults = faults_of(self.exchange, *faults)
        self.seconds = 1000.0
        self.timers: list[FakeTimer] = []
        self.bank = Bank(self.exchange, self.faults)
        self.betting = Betting(self.exchange, self.bank, self.faults, lambda: self.seconds)
        self.heartbeats = HeartbeatApi(self.exchange, self.betting, self.faults, self._timer)
        self.operations = {
            name.rpartition("/")[2]: call
            for api in (self.betting, self.bank, self.heartbeats)
            for name, call in api.operations().items()
        }
        play(self.exchange, until)

    def _timer(self, seconds: float, function: Callable[[], object]) -> FakeTimer:
        self.timers.append(FakeTimer(seconds, function))
        return self.timers[-1]

    def play(self, until: int | None = None) -> Desk:
        play(self.exchange, until)
        return self

    def call(
        self,
        operation: str,
        params: dict[str, Any] | None = None,
        account: AccountSettings | None = None,
        then: Callable[[], object] | None = None,
    ) -> Any:
        """A call's answer. `then`: what happens while it waits."""

        async def made() -> Any:
            params_ = arguments_of(params or {})
            task = asyncio.ensure_future(self.operations[operation](account or self.account, params_))
            for _ in range(3):
                await asyncio.sleep(0)
            if then is not None:
                assert not task.done(), "the call did not wait"
                then()
            return await asyncio.wait_for(task, 5)

        return asyncio.run(made())

    def place(self, *instructions: Report, market_id: str = MARKET, **params: Any) -> Report:
        return self._ask("placeOrders", instructions, market_id, params)

    def cancel(self, *instructions: Report, market_id: str = MARKET, **params: Any) -> Report:
        return self._ask("cancelOrders", instructions, market_id, params)

    def update(self, *instructions: Report, market_id: str = MARKET, **params: Any) -> Report:
        return self._ask("updateOrders", instructions, market_id, params)

    def replace(self, *instructions: Report, market_id: str = MARKET, **params: Any) -> Report:
        return self._ask("replaceOrders", instructions, market_id, params)

    def _ask(self, operation: str, instructions: Sequence[Report], market_id: str, params: dict[str, Any]) -> Report:
        account, then = params.pop("account", None), params.pop("then", None)
        sent = {"marketId": market_id, **({"instructions": list(instructions)} if instructions else {}), **params}
        report: Report = self.call(operation, sent, account, then)
        return report

    def bet(self, report: Report, place: int = 0) -> AccountBet:
        """The bet of an instruction's report."""
        found = report["instructionReports"][place]
        return self.exchange.bets[found.get("placeInstructionReport", found)["betId"]]

    def placed(self, *instructions: Report, **params: Any) -> AccountBet:
        """The bet that an instruction becomes."""
        report = self.place(*instructions, **params)
        assert report["status"] == "SUCCESS", report
        return self.bet(report)

    @property
    def funds(self) -> dict[str, Any]:
        found: dict[str, Any] = self.call("getAccountFunds")
        return found


def limit(price: float, size: float | None = None, side: str = "BACK", selection_id: int = 1, **fields: Any) -> Report:
    """A limit order; fields of the order itself in camel case, others by `instruction`."""
    outer = fields.pop("instruction", {})
    order = {"price": price, "size": size, "persistenceType": "LAPSE", **fields}
    return {"orderType": "LIMIT", "selectionId": selection_id, "side": side, "limitOrder": order, **outer}


def at_close(liability: float, price: float | None = None, side: str = "BACK", selection_id: int = 1) -> Report:
    """An order at the starting price, with a limit if a price is given."""
    outer = {"selectionId": selection_id, "side": side}
    if price is None:
        return {"orderType": "MARKET_ON_CLOSE", "marketOnCloseOrder": {"liability": liability}, **outer}
    return {"orderType": "LIMIT_ON_CLOSE", "limitOnCloseOrder": {"liability": liability, "price": price}, **outer}


def codes(report: Report) -> list[str | None]:
    """The codes of the instructions' reports."""
    return [each.get("errorCode") for each in report["instructionReports"]]


__all__ = ["ALICE", "MARKET", "Desk", "Fault", "Report", "at_close", "codes", "limit"]
