"""Betting: accounts with their controls, limits and gate; requests on their way there, and what becomes of them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from ...strategies.changes import MarketDefinition
from ...strategies.clock import Clock
from ...strategies.errors import HeadraceError
from ...strategies.host import Host, unique_id
from ...strategies.messages import ClearedOrder, OrderFact, Reply, Request
from ...values import legible
from ..betfair.known_bet import KnownBet
from ..betfair.live_account import LiveAccounts
from ..betfair.places import rehearses
from ..coordinator import Coordinator
from ..exchange import Answer
from ..failures import Failures, users_place
from ..letters import Letter
from ..logging_controls import LoggingControls
from ..switchboard import Switchboard
from ..wire import ToCoordinator
from .accounts import Accounts, MakeAccount, Owner
from .alerts import Alerts
from .day import Day
from .earlier_results import EarlierResults
from .risk import Exposure, Gate, GateControl, Risk, RiskControl
from .setup import LiveSetup

logger = logging.getLogger("headrace")

_SEPARATOR = "/"
#: What is told of orders that is worth a line, and nobody's sleep.
_PLAIN = ("in_doubt", "settled")
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

    Attributes:
        coordinator: with the user's steps, controls and counts.
        accounts, gate, risk, exposure: see there.
        failures: errors of the user's code and of requests.

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
                (RiskControl, {}),
                *[each for each in setup.trading_controls if each[0].scope == "account"],
            ],
            self.failed,
        )
        self.switchboard = Switchboard(self.coordinator, self.failed)
        self._joined: set[str] = set()
        self._unsaved = False
        self._saving: threading.Thread | None = None
        make = make_account or LiveAccounts(setup.config, setup.reference, lambda: clock.now_ms)
        clients = self.coordinator.clients
        self.accounts = Accounts(clients, setup.reference, self, put, lambda: clock.now_ms, make)
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
            self.switchboard.join(actor, lambda message: self._to_actor(host, crew, message))

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

    def receive(self, host: str, crew: str, message: ToCoordinator) -> None:
        """Take a message of a market actor."""
        actor = f"{host}.{crew}"
        if actor not in self._joined:
            logger.debug("%s is not joined any more: %s", actor, type(message).__name__)
            return
        if isinstance(message, (Reply, OrderFact, ClearedOrder)):
            known = self._request_of(message.request_id) if isinstance(message, Reply) else None
            self.accounts.simulated(known, message)
        self.switchboard.receive(actor, message)

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
        """Send a request on."""
        self.accounts.send(request)

    # -- what accounts tell --------------------------------------------------------------------------------------

    def to_host(self, request: Request) -> None:
        """Take a request of an account on paper back to the host that asked."""
        host, _, crew = request.request_id.partition(_SEPARATOR)[0].partition(".")
        self._to_actor(host, crew, request)

    def hand_on(self, message: Answer) -> None:
        """Something was answered, or found out."""
        self.coordinator.answer(message)

    def changed(self, owner: Owner, market_id: str) -> None:
        """Something has happened to bets of an account in a market."""
        self.exposure.changed(owner, market_id)

    def defined(self, market_id: str) -> None:
        """The definition of a market has come: what bets there can lose depends on it."""
        for desk in self.accounts:
            if desk.bets.in_market(market_id):
                self.exposure.changed(desk.owner, market_id)

    def settled(self, owner: Owner, market_id: str, profit: float) -> None:
        """The results of an account's bets in a market come to this."""
        client, definition = self.accounts.of(owner).client, self._definition_of(market_id)
        rate = client.commission_rate(_COMMISSION if definition is None else definition.market_base_rate)
        after = round(profit - max(0.0, profit) * rate, 2)
        if self.day.settle(market_id, " ".join(owner), self._purses[owner], after, self._clock.now_ms):
            self._unsaved = True

    def report(self, word: str, market_id: str, text: str) -> None:
        """Something about orders that people should know."""
        said = f"market {market_id}: {text}" if market_id else text
        if word in _PLAIN:
            self._alerts.note(word.upper(), said)
        else:
            self._alerts.alert(word.upper(), said)

    def save(self, wait: bool = False) -> None:
        """Write down what was settled today, in another thread: the disk may take its time.

        Args:
            wait: until it is written.
        """
        if wait and self._saving is not None:
            self._saving.join()
        if not self._unsaved or (self._saving is not None and self._saving.is_alive()):
            return
        self._unsaved = False
        data = self.day.as_bytes(self._clock.now_ms)
        self._saving = threading.Thread(target=self._write, args=(data,), name="results of the day", daemon=True)
        self._saving.start()
        if wait:
            self._saving.join()

    def _write(self, data: bytes) -> None:
        try:
            self.day.write(data)
        except OSError as error:
            logger.error("%s: what was settled today could not be written: %s", self.day.path, error)

    # -- time ----------------------------------------------------------------------------------------------------

    def look_ready(self) -> None:
        """Open the gate for accounts whose bets are known by now."""
        for owner in list(self.gate.unready):
            desk = self.accounts.of(owner)
            if not desk.ready:
                continue
            if self._earlier is not None and not self._earlier.known(desk, self._reference):
                self.gate.unready[owner] = "what was settled today is not known yet"
                continue
            del self.gate.unready[owner]
            self._alerts.note("READY", f"account {owner[1]}: how its bets stand is known; orders may be placed")
