"""Betting: accounts with their controls, limits and gate; requests on their way there, and what becomes of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from ...strategies.changes import MarketDefinition
from ...strategies.clock import Clock
from ...strategies.errors import HeadraceError
from ...strategies.host import Host, unique_id
from ...strategies.messages import (
    EXPIRED,
    PLACE,
    REPLACE,
    UNKNOWN,
    ClearedOrder,
    MarketFact,
    OrderFact,
    Reply,
    Request,
    StrategyFact,
    ViolationFact,
)
from ...values import legible
from ..betfair.known_bet import KnownBet
from ..betfair.live_account import LiveAccounts
from ..betfair.places import rehearses
from ..coordinator import Coordinator
from ..exchange import Answer
from ..failures import Failures, users_place
from ..letters import ForeignBet, Letter
from ..logging_controls import LoggingControls
from ..switchboard import SEPARATOR, Switchboard
from ..wire import ToCoordinator
from .accounts import Accounts, MakeAccount
from .alerts import Alerts
from .day import Day
from .desk import Owner
from .earlier_results import EarlierResults
from .exposure import loss_of
from .holds import HoldControl, Holds
from .journal_desk import Asked, JournalDesk
from .journal_place import opened_journal
from .risk import Exposure, Gate, GateControl, Risk, RiskControl
from .setup import LiveSetup

logger = logging.getLogger("headrace")

#: What is told of orders that is worth a line, and nobody's sleep.
_PLAIN = ("in_doubt", "settled", "agrees")
#: What of it is written down.
_WRITTEN = ("adopted", "agrees", "difference", "difference_lasts", "not_placed", "unconfirmed")
#: The rate of commission, in percent, where a market's own is not known.
_COMMISSION = 5.0
#: Takes a message to a market actor: host, crew, message.
ToActor = Callable[[str, str, Answer | Request], object]


class Betting:
    """See the module. It is what the coordinator (`actors.coordinator`) sends requests to, and what accounts tell.

    Args:
        put: puts a letter into the coordinator's inbox, from any thread.
        to_actor: takes a message to a market actor.
        definition_of: a market's definition, as far as it is known.
        make_account: makes accounts that are reached by calls; None: `LiveAccounts`.
        anew: the system runs, and its coordinator is started again: it goes on where the disk is full, too.

    Attributes:
        coordinator: with the user's steps, controls and counts.
        accounts, gate, risk, exposure: see there.
        failures: errors of the user's code and of requests.
        replies: what former coordinators have heard of requests, by market and request.

    Raises:
        RunError: what was kept of today's results cannot be read.
        ClientError: an account cannot be used.
    """

    def __init__(
        self,
        setup: LiveSetup,
        clock: Clock,
        put: Callable[[Letter], object],
        alerts: Alerts,
        to_actor: ToActor,
        definition_of: Callable[[str], MarketDefinition | None],
        make_account: MakeAccount | None = None,
        anew: bool = False,
    ) -> None:
        self._clock, self._alerts, self._to_actor, self._definition_of = clock, alerts, to_actor, definition_of
        self.failures = Failures("coordinator")
        self.gate = Gate()
        self.host = Host(clock, setup.counting, unique_id)
        logs = LoggingControls(setup.logging_controls) if setup.logging_controls else None
        self.coordinator: Coordinator = setup.coordinator(setup.clients, logs)
        self.coordinator.connect(
            self.host,
            self,
            [each for each in setup.client_controls if each[1].scope == "account"],
            # Those of the system come before those of the user.
            [
                (GateControl, {"gate": self.gate}),
                (HoldControl, {}),
                (RiskControl, {}),
                *[each for each in setup.trading_controls if each[0].scope == "account"],
            ],
            self.failed,
        )
        self.switchboard = Switchboard(self.coordinator, self.failed, self._taking)
        self.replies: dict[str, dict[str, list[Reply]]] = {}
        self._anew = anew
        self._early: list[tuple[str, str, Request, bytes]] = []
        self._asked: Asked | None = None
        self._kept = b""
        self._joined: set[str] = set()
        make = make_account or LiveAccounts(setup.config, setup.reference, lambda: clock.now_ms)
        clients = self.coordinator.clients
        self.accounts = Accounts(
            clients,
            setup.reference,
            self,
            put,
            lambda: clock.now_ms,
            make,
            lambda market_id, bets: loss_of(bets, definition_of(market_id)),
        )
        self.journal = JournalDesk(
            opened_journal(Path(setup.instance), clients, setup.config, lambda: clock.now_ms, must_write=not anew),
            self.gate,
            alerts,
            lambda: clock.now_ms,
            self.accounts.at_exchange,
            self._send_on,
            self.accounts.unsent,
        )
        self.day = Day(
            Path(setup.instance), setup.risk.risk_timezone, any(rehearses(each.betting_client) for each in clients)
        )
        self.exposure = Exposure(lambda owner, market_id: self.accounts.of(owner).open_in(market_id), definition_of)
        # What is won and lost on paper stands apart.
        self._purses = {
            (client.venue, client.username): client.currency_code + (" (paper)" if client.simulated else "")
            for client in clients
        }
        self.risk = Risk(
            setup.risk,
            self.day,
            self.exposure,
            lambda owner, order_id, bet_id: self.accounts.of(owner).bets.of(order_id, bet_id),
            self._purses,
            lambda: clock.now_ms,
            lambda why: alerts.alert("LIMIT", why),
        )
        for control in self.coordinator.account_controls:
            if isinstance(control, RiskControl):
                control.risk = self.risk
            elif isinstance(control, HoldControl):
                control.holds = Holds(self.accounts.why_held, self.risk)
        limited = setup.risk.max_daily_loss is not None
        self._earlier = EarlierResults(self.day, self.settled, lambda: clock.now_ms) if limited else None
        self._reference = setup.reference
        for desk in self.accounts:
            if not desk.ready:
                self.gate.unready[desk.owner] = "how the account's bets stand at the exchange is not known yet"

    def failed(self, error: Exception, market_id: str | None, strategy: str | None) -> None:
        """Count an error, and log the first of its kind."""
        if self.failures.add(error, strategy, market_id, users_place(error), self._clock.now_ms):
            known = isinstance(error, HeadraceError)
            logger.error("%s", legible(error), exc_info=None if known else error)

    # -- market actors -------------------------------------------------------------------------------------------

    def join(self, host: str, crew: str) -> None:
        """A market actor may send requests from now on."""
        actor = f"{host}.{crew}"
        if actor not in self._joined:
            self._joined.add(actor)
            self.switchboard.join(actor, lambda message: self._answered(host, crew, message))

    def leave(self, host: str, market_ids: Iterable[str]) -> None:
        """A host is gone, with its market actors; bets that it simulated are gone as well."""
        for desk in self.accounts:
            for market_id in market_ids if desk.orders is None else ():
                for bet in desk.bets.in_market(market_id):
                    owner = self.switchboard.owner_of(market_id, bet.order_id or "")
                    if owner is not None and owner.partition(".")[0] == host:
                        bet.ended = True
        for actor in [each for each in self._joined if each.partition(".")[0] == host]:
            self._joined.discard(actor)
            self.switchboard.leave(actor)

    def ended(self, host: str) -> None:
        """A host has ended. Its successor does not know of what waits here: that was never asked for."""
        self._early = [each for each in self._early if each[0] != host]

    def over(self, market_id: str) -> None:
        """A market is freed: a restart need not know of it."""
        self.replies.pop(market_id, None)
        self.journal.over(market_id)

    def leave_market(self, host: str, crew: str, market_id: str) -> None:
        """A market actor has a market no more."""
        actor = f"{host}.{crew}"
        if actor in self._joined:
            self.switchboard.receive(actor, MarketFact(market_id, "REMOVED", self._clock.now_ms))

    def receive(self, host: str, crew: str, message: ToCoordinator, kept: bytes = b"") -> None:
        """Take a message of a market actor. `kept`: see `Carried`."""
        actor = f"{host}.{crew}"
        if actor not in self._joined:
            logger.debug("%s is not joined any more: %s", actor, type(message).__name__)
            return
        if isinstance(message, StrategyFact):
            self.journal.keep(actor, message, kept)
        elif isinstance(message, (Reply, OrderFact, ClearedOrder)):
            known = self._request_of(message.request_id) if isinstance(message, Reply) else None
            self.accounts.simulated(known, message)
        elif isinstance(message, MarketFact) and self._definition_of(message.market_id) is not None:
            self.journal.note(message, message.market_id, actor)  # of a market that is freed nothing need be known
        elif isinstance(message, Request):
            message = self._of_now(message)
            if self._repeat(host, crew, message):
                return
            if self._waits(message):
                self._early.append((host, crew, message, kept))
                return
        kinds = len(self.coordinator.violations)
        self._kept = kept
        try:
            self.switchboard.receive(actor, message)
        finally:
            self._asked, self._kept = None, b""
        if isinstance(message, ViolationFact) and len(self.coordinator.violations) > kinds:
            self.journal.note(message, message.market_id, actor)  # the first of its kind: there may be thousands

    def _repeat(self, host: str, crew: str, request: Request) -> bool:
        """A request comes again that was taken, perhaps by a former coordinator: what was answered is told again."""
        named = f"{host}.{crew}{SEPARATOR}{request.request_id}"
        replies = self.replies.get(request.market_id, {}).get(named, ())
        for reply in replies:
            if reply.outcome != UNKNOWN or request.kind == PLACE:
                self._to_actor(host, crew, msgspec.structs.replace(reply, request_id=request.request_id))
        known = self._request_of(named)
        if known is not None and not self.accounts.at_exchange(known):
            self._to_actor(host, crew, known)  # on paper it may not have come back; twice it is taken once
        return bool(replies)

    def _of_now(self, request: Request) -> Request:
        """A request; where it is of a time that is still to come, the clock was set back: it is of now at the latest.

        Time does not go back at a host, and a deadline by it could be hours ahead.
        """
        ahead = request.asked_at - self._clock.now_ms
        if ahead <= 0:
            return request
        deadline = None if request.deadline is None else request.deadline - ahead
        return msgspec.structs.replace(request, asked_at=request.asked_at - ahead, deadline=deadline)

    def _waits(self, request: Request) -> bool:
        """Whether a request waits, while it is in time, until it is known again how its account's bets stand.

        Strategies go on while their coordinator is started again; at the start of a system they are told.
        """
        owner, deadline = (request.venue, request.username), request.deadline
        early = self._anew and request.kind in (PLACE, REPLACE) and owner in self.gate.unready
        return early and deadline is not None and deadline >= self._clock.now_ms

    def _take_early(self) -> None:
        """Take what has waited: it may be sent now, or it is too late."""
        early, self._early = self._early, []
        for host, crew, message, kept in early:
            self.receive(host, crew, message, kept)

    def tell_again(self, host: str, crew: str, market_id: str) -> None:
        """Tell a market actor how its bets stand: what a former coordinator has told it may not have come."""
        actor = f"{host}.{crew}"
        for desk in self.accounts:
            for bet in desk.bets.in_market(market_id) if desk.orders is not None else ():
                if bet.fact is not None and self.switchboard.owner_of(market_id, bet.order_id or "") == actor:
                    self._to_actor(host, crew, msgspec.structs.replace(bet.fact, order_id=bet.order_id))

    def _taking(self, actor: str, request: Request) -> None:
        """A request is taken for the first time, and about to be judged: what is left of it comes to `send`."""
        self._asked = self.journal.ask(actor, request, self._kept)

    def _answered(self, host: str, crew: str, message: Answer) -> None:
        """Something is answered to a market actor."""
        if self._asked is not None and isinstance(message, Reply):
            # It is the controls' answer: accounts do not know of what was refused.
            request = self._asked.request
            named = msgspec.structs.replace(message, request_id=request.request_id)
            if message.outcome == EXPIRED and self.journal.withdraw(request):
                self.accounts.withdrawn(request, named)
            else:
                self.journal.note(named, request.market_id)
        self._to_actor(host, crew, message)

    def ask_host(self, bet: KnownBet, request: Request) -> None:
        """Send a request of the coordinator's own to the host that simulates a bet."""
        actor = self.switchboard.owner_of(bet.market_id, bet.order_id or "")
        if actor is not None:
            host, _, crew = actor.partition(".")
            self._to_actor(host, crew, request)

    def _request_of(self, request_id: str) -> Request | None:
        known = self.coordinator.requests.get(request_id)
        return None if known is None else known[0]

    # -- for the coordinator -------------------------------------------------------------------------------------

    def send(self, request: Request) -> None:
        """Take a request that the controls have let pass; it is sent once it is written down, with its batch."""
        self.accounts.take(request)
        asked = self._asked
        if asked is None or asked.passed:  # the coordinator's own, or a further part of what was asked for
            asked = self.journal.ask("" if asked is None else asked.actor, request, b"")
        asked.request, asked.passed = request, True

    def _send_on(self, request: Request) -> None:
        try:
            self.accounts.send(request)
        except Exception as error:
            self.accounts.unsent(request, legible(error))
            self.failed(error, request.market_id, request.strategy)

    # -- what accounts tell --------------------------------------------------------------------------------------

    def to_host(self, request: Request) -> None:
        """Take a request of an account on paper back to the host that asked."""
        host, _, crew = request.request_id.partition(SEPARATOR)[0].partition(".")
        self._to_actor(host, crew, request)

    def hand_on(self, message: Answer) -> None:
        """Something was answered, or found out."""
        self.coordinator.answer(message)

    def changed(self, owner: Owner, market_id: str) -> None:
        """Something has happened to bets of an account in a market."""
        self.exposure.changed(owner, market_id)

    def heard(self, owner: Owner, message: Answer | ForeignBet | MarketFact) -> None:
        """What has to be known after a restart."""
        self.journal.note(message, message.market_id, " ".join(owner))

    def defined(self, market_id: str) -> None:
        """The definition of a market has come: what bets there can lose depends on it."""
        for desk in self.accounts:
            if desk.bets.in_market(market_id):
                self.exposure.changed(desk.owner, market_id)

    def settled(self, owner: Owner, market_id: str, profit: float) -> None:
        """The results of an account's bets in a market come to this."""
        client, definition = self.accounts.of(owner).client, self._definition_of(market_id)
        base = (_COMMISSION, True) if definition is None else (definition.market_base_rate, definition.discount_allowed)
        rate = client.commission_rate(*base)
        after = round(profit - round(max(0.0, profit) * rate, 2), 2)
        self.day.settle(market_id, " ".join(owner), self._purses[owner], after, self._clock.now_ms)

    def report(self, word: str, market_id: str, text: str) -> None:
        """Something about orders that people should know."""
        said = f"market {market_id}: {text}" if market_id else text
        if word in _WRITTEN:
            self.journal.say(word.upper(), said)
        if word in _PLAIN:
            self._alerts.note(word.upper(), said)
        else:
            self._alerts.alert(word.upper(), said)

    def save(self, wait: bool = False) -> None:
        """Write down what was settled today. `wait`: until it is written."""
        self.day.save(self._clock.now_ms, wait)

    # -- time ----------------------------------------------------------------------------------------------------

    def look_ready(self) -> None:
        """Open the gate for accounts whose bets are known by now."""
        for owner in list(self.gate.unready):
            desk = self.accounts.of(owner)
            if not desk.ready:
                continue
            if self.journal.damaged_until > self._clock.now_ms:
                self.gate.unready[owner] = "part of the journal is not known: what it has asked for may yet appear"
                continue
            if self._earlier is not None and not self._earlier.known(desk, self._reference):
                self.gate.unready[owner] = "what was settled today is not known yet"
                continue
            del self.gate.unready[owner]
            self._alerts.note("READY", f"account {owner[1]}: how its bets stand is known; orders may be placed")
        if self._early:
            self._take_early()
