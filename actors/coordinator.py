"""The coordinator: what all markets of a system share: accounts with their controls and counts, and requests.

It is separate from the markets: all that passes between them is messages. In a replay it is a plain object, one per
unit, and messages are the arguments of plain calls. The steps that a subclass may override receive messages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from ..strategies.errors import ControlError
from ..strategies.host import Host
from ..strategies.messages import (
    EXPIRED,
    FAILURE,
    PLACE,
    REFUSED,
    REPLACE,
    SUCCESS,
    ClearedMarket,
    ClearedOrder,
    Instruction,
    MarketFact,
    Reply,
    Report,
    Request,
    ViolationFact,
)
from ..values import legible
from .clients import BaseClient, Clients
from .exchange import Answer
from .failures import users_code
from .violations import Violation, kind_of_reason, violation_of

if TYPE_CHECKING:
    from .controls import BaseControl

#: Client (None: all), class and settings of a control.
ClientControl = tuple[BaseClient | None, Any, dict[str, Any]]
#: Class and settings of a control.
TradingControl = tuple[type["BaseControl"], dict[str, Any]]


class Door(Protocol):
    """Takes messages for a market."""

    def receive(self, message: Answer) -> None: ...


class MarketsCoordinator(Protocol):
    """The coordinator as a market actor sees it, here or elsewhere.

    Everything goes one way: nothing is answered by a call. What comes back, replies and facts, comes as messages
    through the door, at once or later.
    """

    @property
    def clients(self) -> Clients:
        """The accounts, as they are known here."""

    def connect(
        self,
        host: Host,
        exchange: Sender,
        client_controls: Sequence[ClientControl] = (),
        trading_controls: Sequence[TradingControl] = (),
        failed: Callable[[Exception, str, str | None], object] | None = None,
    ) -> None:
        """Open the accounts. See `Coordinator.connect`."""

    def opened(self, market: MarketFact, door: Door) -> None:
        """A market is hosted: what is told of its orders is to go through `door`."""

    def closed(self, market: MarketFact, orders: Sequence[ClearedOrder], markets: Sequence[ClearedMarket]) -> None:
        """A market was settled; told again where results come later."""

    def removed(self, market: MarketFact) -> None:
        """A market is given up."""

    def submit(self, request: Request) -> None:
        """Take a request."""

    def refused(self, violation: ViolationFact) -> None:
        """A control of the market refused a request."""

    @property
    def listens(self) -> bool:
        """Whether anybody hears the events that `log` passes on."""

    def log(self, event: Any) -> None:
        """Pass an event to the logging controls."""

    def process_custom_event(self, event: Any) -> None:
        """A custom event is about to reach the strategies."""

    def answer(self, message: Answer) -> None:
        """An exchange in the actor's own process tells something."""


class Sender(Protocol):
    """An exchange, as the coordinator sees it."""

    def send(self, request: Request) -> None: ...


class Coordinator:
    """Accounts, controls of accounts, counts, requests under way, violations, logging controls.

    Args:
        clients: the accounts; each coordinator has copies with counts of their own.
        logging_controls: takes events.

    Attributes:
        clients: the accounts here.
        requests: those that the exchange has not answered in full, each with the number of answers that are missing.
        violations: refusals, counted by kind.
    """

    def __init__(self, clients: Sequence[BaseClient], logging_controls: Callable[[Any], object] | None = None) -> None:
        self._client_settings = list(clients)
        self.clients = Clients()
        self.logging_controls = logging_controls
        self.violations: dict[tuple[str, str, str, str], Violation] = {}
        self.requests: dict[str, tuple[Request, int]] = {}
        self._trading_controls: list[BaseControl] = []
        self._doors: dict[str, Door] = {}
        self._exchange: Sender | None = None
        self._failed: Callable[[Exception, str, str | None], object] | None = None

    def connect(
        self,
        host: Host,
        exchange: Sender,
        client_controls: Sequence[ClientControl] = (),
        trading_controls: Sequence[TradingControl] = (),
        failed: Callable[[Exception, str, str | None], object] | None = None,
    ) -> None:
        """Open the accounts, with the controls that are asked here.

        Args:
            host: the clock, settings and rules of the system.
            exchange: where requests go.
            trading_controls: those with the scope "account".
            failed: called with an error of a control, the market's id and the strategy's name.
        """
        self.host = host
        self.config = host.config
        self._exchange, self._failed = exchange, failed
        # By the peer's rules accounts are asked inside the request, and counts follow the answers.
        self._later = host.rules.account_controls_later
        accounts = {id(client): client.open_account(self) for client in self._client_settings}
        for account in accounts.values():
            self.clients.add_client(account)
        for client, control, settings in client_controls:
            targets = [accounts[id(client)]] if client is not None else list(accounts.values())
            for account in targets:
                with users_code(f"control {control.__name__} cannot be made", raise_errors=host.config.raise_errors):
                    account.trading_controls.append(control(self, account, **settings))
        for control, settings in trading_controls:
            with users_code(f"control {control.__name__} cannot be made", raise_errors=host.config.raise_errors):
                self._trading_controls.append(control(self, **settings))

    @property
    def account_controls(self) -> list[BaseControl]:
        """The controls of all accounts' requests, in the order in which they are asked."""
        return self._trading_controls

    # -- steps ---------------------------------------------------------------------------------------------------

    def add_market(self, market: MarketFact) -> None:
        """A market is new."""

    def remove_market(self, market: MarketFact) -> None:
        """A market is freed: it is settled, or its recording has ended."""

    def process_order_package(self, request: Request) -> None:
        """A request is on its way to the exchange."""
        assert self._exchange is not None
        self._exchange.send(request)

    def process_cleared_orders(self, market_id: str, orders: Sequence[ClearedOrder]) -> None:
        """The results of a settled market's bets are known."""

    def process_cleared_markets(self, market_id: str, markets: Sequence[ClearedMarket]) -> None:
        """A settled market's result is known: one entry per account."""

    def process_custom_event(self, event: Any) -> None:
        """A custom event has arrived, and strategies are about to receive it."""

    def process_end(self) -> None:
        """The run ends."""

    # -- what markets tell ---------------------------------------------------------------------------------------

    def is_open(self, market_id: str) -> bool:
        """Whether a market is hosted, and strategies were told of it."""
        return market_id in self._doors

    def opened(self, market: MarketFact, door: Door) -> None:
        """A market is hosted: answers for it go to `door`."""
        self._doors[market.market_id] = door
        self.add_market(market)

    def closed(self, market: MarketFact, orders: Sequence[ClearedOrder], markets: Sequence[ClearedMarket]) -> None:
        """A market was settled."""
        self.process_cleared_orders(market.market_id, orders)
        self.process_cleared_markets(market.market_id, markets)

    def removed(self, market: MarketFact) -> None:
        """A market is freed."""
        market_id = market.market_id
        self._doors.pop(market_id, None)
        if self.requests:
            # What the market's end has overtaken is not answered any more.
            self.requests = {key: each for key, each in self.requests.items() if each[0].market_id != market_id}
        self.remove_market(market)

    def submit(self, request: Request) -> None:
        """Ask the controls of the account about a request, count what they let pass, and send that.

        What is refused is answered at once, and so is what comes after its deadline. A request that is sent stays in
        `requests` until it is answered, or its market is given up.
        """
        if request.deadline is not None and self.host.clock.now_ms > request.deadline:
            self.expire(request, f"came {self.host.clock.now_ms - request.deadline} ms after its deadline")
            return
        if self._later:
            passed = self._screened(request)
            if passed is None:
                return
            request = passed
        self._note(request)
        try:
            self.process_order_package(request)
        except BaseException:
            self._forget(request, request.instructions)
            raise

    def _note(self, request: Request, open_before: int = 0) -> None:
        open_ = len(request.instructions) * (2 if request.kind == REPLACE else 1)
        self.requests[request.request_id] = (request, open_before + open_)

    def recall(self, message: Request | Reply) -> None:
        """Count what a former coordinator has sent, and what was answered to it. Nothing is sent, or passed on."""
        if isinstance(message, Reply):
            self._count(message, message.at)
            return
        _, before = self.requests.get(message.request_id, (message, 0))  # it may have been sent in parts
        self._note(message, before)
        if self._later and message.kind in (PLACE, REPLACE):
            account = self.clients.named(message.venue, message.username)
            count = len(message.instructions)
            account.add_transaction(count, at_ms=message.asked_at, strategy=message.strategy)

    def expired(self, request: Request, reason: str) -> Reply:
        """The answer to a request that was not sent, and will not be."""
        return expired(request, self.host.clock.now_ms, reason)

    def expire(self, request: Request, reason: str) -> None:
        """Answer a request that was not sent, and will not be."""
        self._pass_on(self.expired(request, reason))

    def _screened(self, request: Request) -> Request | None:
        """The part of a request that the controls of the account let pass; None if nothing is left."""
        account = self.clients.named(request.venue, request.username)
        counted = request.kind in (PLACE, REPLACE)
        refused = []
        for instruction in request.instructions:
            try:
                for control in self._trading_controls:
                    control.judge(instruction, request, account)
                for control in account.trading_controls:
                    if control.scope == "account":
                        control.judge(instruction, request, account)
            except Exception as refusal:
                refused.append(instruction)
                self._refuse(request, instruction, refusal)
            else:
                if counted:
                    account.add_transaction(1, at_ms=request.asked_at, strategy=request.strategy)
        if not refused:
            return request
        passed = [each for each in request.instructions if each not in refused]
        return msgspec.structs.replace(request, instructions=tuple(passed)) if passed else None

    def _refuse(self, request: Request, instruction: Instruction, refusal: Exception) -> None:
        if isinstance(refusal, ControlError):
            control, why = refusal.control, str(refusal)
            self.refused(violation_of(request.strategy, request.market_id, request.kind, refusal, request.asked_at))
        elif self.config.raise_errors or self._failed is None:
            raise refusal
        else:
            # The control itself is at fault: what it did not judge is not sent, and the rest is.
            control, why = type(refusal).__name__, legible(refusal)
            self._failed(refusal, request.market_id, request.strategy)
        report = Report(instruction.order_id, request.kind, FAILURE)
        at = self.host.clock.now_ms
        self._pass_on(Reply(request.request_id, request.market_id, at, REFUSED, (report,), control, why))

    def _forget(self, request: Request, instructions: Sequence[Instruction]) -> None:
        """Give back the counts of instructions that were not sent."""
        self.requests.pop(request.request_id, None)
        if self._later and request.kind in (PLACE, REPLACE):
            self._take_back(request, len(instructions))

    def refused(self, violation: ViolationFact) -> None:
        """Count a refusal."""
        reason = violation.reason
        key = (
            violation.strategy,
            violation.market_id,
            violation.control,
            f"{violation.request} {kind_of_reason(reason)}",
        )
        known = self.violations.get(key)
        if known is not None:
            known.count += 1
            return
        self.violations[key] = Violation(key[0], key[1], key[2], violation.request, reason)

    @property
    def listens(self) -> bool:
        """Whether anybody hears the events that `log` passes on."""
        return self.logging_controls is not None or type(self).log is not Coordinator.log

    def log(self, event: Any) -> None:
        """Pass an event to the logging controls."""
        if self.logging_controls is not None:
            self.logging_controls(event)

    # -- what the exchange tells ---------------------------------------------------------------------------------

    def answer(self, message: Answer) -> None:
        """Count what a message from the exchange answers, and pass it on to its market."""
        if type(message) is Reply:
            self._count(message)
        door = self._doors.get(message.market_id)
        if door is not None:
            door.receive(message)

    def _pass_on(self, message: Answer) -> None:
        door = self._doors.get(message.market_id)
        if door is not None:
            door.receive(message)

    def _count(self, reply: Reply, at_ms: int | None = None) -> None:
        """Count the transactions of a reply. Placings were counted when asked for, but for the peer's rules.

        Args:
            at_ms: when it came; None: now.
        """
        known = self.requests.get(reply.request_id)
        if known is None:
            return
        request, open_ = known
        later = self._later
        if later and open_ == 1 and reply.reports and reply.reports[0].status == SUCCESS:
            del self.requests[reply.request_id]  # what it counts was counted when it was asked for
            return
        if later and reply.outcome in (REFUSED, EXPIRED):
            self._give_back(request, open_, len(reply.reports))
            return
        for report in reply.reports:
            open_ -= 1
            failed = report.status == FAILURE
            if report.operation == PLACE:
                if not later:
                    self._count_transaction(request, at_ms)
            elif failed:
                self._count_transaction(request, at_ms, failed=True)
                if request.kind == REPLACE:
                    open_ -= 1  # nothing is placed
                    if later:
                        self._take_back(request, 1)
        if reply.outcome in (REFUSED, EXPIRED):
            self._forget(request, request.instructions)
        elif open_ <= 0:
            del self.requests[reply.request_id]
        else:
            self.requests[reply.request_id] = (request, open_)

    def _give_back(self, request: Request, open_: int, unsent: int) -> None:
        """Some instructions of a request were not sent; others may have been, and are answered by themselves."""
        left = open_ - unsent * (2 if request.kind == REPLACE else 1)
        if request.kind in (PLACE, REPLACE):
            self._take_back(request, unsent)
        if left > 0:
            self.requests[request.request_id] = (request, left)
        else:
            del self.requests[request.request_id]

    def _count_transaction(self, request: Request, at_ms: int | None, failed: bool = False) -> None:
        account = self.clients.named(request.venue, request.username)
        at_ms = self.host.clock.now_ms if at_ms is None else at_ms
        account.add_transaction(1, failed=failed, at_ms=at_ms, strategy=request.strategy)

    def _take_back(self, request: Request, count: int) -> None:
        account = self.clients.named(request.venue, request.username)
        account.add_transaction(-count, at_ms=request.asked_at, strategy=request.strategy)


def expired(request: Request, at: int, reason: str) -> Reply:
    """The answer to a request that has not reached the exchange, and will not."""
    reports = tuple([Report(each.order_id, request.kind, FAILURE) for each in request.instructions])
    return Reply(request.request_id, request.market_id, at, EXPIRED, reports, reason=reason)
