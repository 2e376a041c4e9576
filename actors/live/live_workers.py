"""What the coordinator does again and again: balances, catalogues, and the markets of filters that are too wide.

Sessions are kept alive by themselves, and results asked for by accounts. Everything here is asked in other threads, and
answered in the coordinator's.
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable

from ...strategies.events import BalanceEvent
from ...strategies.messages import AccountFact
from ..betfair.lists import AccountDetails, AccountFunds, Listed
from ..letters import Catalogue, MarketIds, StreamState
from ..mailboxes.mail import Mail
from .accounts import Accounts
from .desk import Desk, Owner
from .directory import Directory
from .market_filters import catalogue_filters, needs_catalogue
from .routes import Routes
from .seating import Seating
from .setup import LiveSetup

logger = logging.getLogger("headrace")

#: Milliseconds between two looks at balances, at catalogues that are missing, and for markets of wide filters.
BALANCE_MS, CATALOGUE_MS, IDS_MS = 120_000, 60_000, 60_000
#: Milliseconds until what is new is asked for: others may come with it; and after a failure.
_SOON_MS, _AGAIN_MS = 300, 10_000
_MARKETS = "marketSubscription"
#: The exchange's code for a filter that lets too many markets pass.
_TOO_MANY = "SUBSCRIPTION_LIMIT_EXCEEDED"


class LiveWorkers:
    """See the module.

    Args:
        log: passes events to the logging controls.
    """

    def __init__(
        self,
        setup: LiveSetup,
        accounts: Accounts,
        mail: Mail,
        directory: Directory,
        routes: Routes,
        seating: Seating,
        log: Callable[[object], object],
    ) -> None:
        self._accounts, self._mail, self._directory = accounts, mail, directory
        self._routes, self._seating, self._log = routes, seating, log
        self._streams = {plan.name: plan for plan in setup.streams if plan.operation == _MARKETS}
        self.catalogues: dict[str, bytes] = {}
        #: When funds were last told, by account.
        self.funds_at: dict[Owner, int] = {}
        self._balances: dict[Owner, float] = {}
        self._details: set[Owner] = set()
        self._catalogues_due: float = math.inf
        # Who only reads prices has no use for catalogues; a recording has.
        self._prices_only = setup.record is None and all(each.client.market_recording_mode for each in accounts)
        self._reading = False
        self._ids_due: dict[str, float] = {name: 0.0 for name, plan in self._streams.items() if needs_catalogue(plan)}

    @property
    def next_ms(self) -> float:
        """When `look` is wanted, beside once a second."""
        return self._catalogues_due

    def look(self, at_ms: int) -> None:
        """Ask for what is due."""
        for desk in self._accounts:
            live = desk.live
            if desk.client.market_recording_mode:
                continue
            if live is not None and live.token is not None and self._balances.get(desk.owner, 0.0) <= at_ms:
                self._balances[desk.owner] = at_ms + BALANCE_MS
                live.lists.funds(functools.partial(self._funds, desk))
                if desk.owner not in self._details:
                    live.lists.details(functools.partial(self._told_details, desk))
        if self._catalogues_due <= at_ms:
            self._ask_catalogues(at_ms)
        for stream, due in self._ids_due.items():
            if due <= at_ms:
                self._ask_ids(stream, at_ms)

    # -- balances ------------------------------------------------------------------------------------------------

    def _funds(self, desk: Desk, funds: AccountFunds | None, why: str) -> None:
        now = self._accounts.now_ms
        if funds is None:
            logger.warning("The balance of %s could not be read: %s", desk.owner[1], why)
            self._balances[desk.owner] = now + _AGAIN_MS
            return
        self.funds_at[desk.owner] = now
        desk.client.take_funds(funds.available_to_bet_balance, funds.exposure, now)
        self._directory.tell("HOST", _fact_of(desk, now))
        self._log(BalanceEvent(desk.client))

    def _told_details(self, desk: Desk, details: AccountDetails | None, why: str) -> None:
        if details is None:
            logger.warning("The details of %s could not be read: %s", desk.owner[1], why)
            return
        self._details.add(desk.owner)
        desk.client.account_details = details
        currency = details.currency_code
        if currency and currency != desk.client.currency_code:
            logger.warning(
                "Account %s is in %s, its client says currency_code=%r: minimum stakes and limits are those of %s",
                desk.owner[1],
                currency,
                desk.client.currency_code,
                desk.client.currency_code,
            )

    def greet(self, host: str) -> None:
        """A host is new: it is told what is known of accounts."""
        for desk in self._accounts:
            at = self.funds_at.get(desk.owner)
            if at is not None:
                self._mail.send(host, _fact_of(desk, at))

    # -- catalogues ----------------------------------------------------------------------------------------------

    def want_catalogue(self, market_id: str, host: str, at_ms: int) -> None:
        """A host has a market now."""
        known = self.catalogues.get(market_id)
        if known is not None:
            self._mail.send(host, Catalogue(market_id, known))
        elif not self._prices_only:
            self._catalogues_due = min(self._catalogues_due, at_ms + _SOON_MS)

    def forget(self, market_id: str) -> None:
        """A market is over."""
        self.catalogues.pop(market_id, None)

    def _asking(self) -> Desk | None:
        """The account that lists of markets are asked for with."""
        desk = self._accounts.connecting("", "")
        return desk if desk is not None and desk.live is not None and desk.live.token is not None else None

    def _ask_catalogues(self, at_ms: int) -> None:
        wanted = [each for each in self._routes.markets if each not in self.catalogues]
        desk = self._asking()
        if not wanted or self._reading:
            self._catalogues_due = math.inf
            return
        if desk is None or desk.live is None:
            self._catalogues_due = at_ms + 1000
            return
        self._reading = True
        self._catalogues_due = at_ms + CATALOGUE_MS
        desk.live.lists.catalogues(wanted, functools.partial(self._took_catalogues, wanted))

    def _took_catalogues(self, wanted: list[str], found: dict[str, bytes], why: str) -> None:
        self._reading = False
        if why:
            logger.warning("Catalogues could not be read: %s", why)
        for market_id, data in found.items():
            known = self._routes.markets.get(market_id)
            if known is None:
                continue
            self.catalogues[market_id] = data
            letter = Catalogue(market_id, data)
            for receiver in {host for _, host in self._seating.places_of(market_id)} | known.streams:
                self._mail.send(receiver, letter)
        missing = set(self._routes.markets) - set(self.catalogues)
        if missing - set(wanted):
            self._catalogues_due = min(self._catalogues_due, self._accounts.now_ms + _SOON_MS)
        elif not missing:
            self._catalogues_due = math.inf

    # -- wide filters --------------------------------------------------------------------------------------------

    def stream_state(self, state: StreamState) -> None:
        """A stream tells how it stands: perhaps that its filter lets too many markets pass."""
        if _TOO_MANY in state.error and state.stream in self._streams:
            self._ids_due.setdefault(state.stream, 0.0)

    def again(self, stream: str) -> None:
        """A stream has started anew."""
        if stream in self._ids_due:
            self._ids_due[stream] = 0.0

    def _ask_ids(self, stream: str, at_ms: int) -> None:
        desk = self._asking()
        if desk is None or desk.live is None:
            return  # a second later
        self._ids_due[stream] = at_ms + IDS_MS
        filters = catalogue_filters(self._streams[stream])
        desk.live.lists.find_markets(filters, functools.partial(self._took_ids, stream))

    def _took_ids(self, stream: str, listed: Listed) -> None:
        if listed.error:
            logger.warning("The markets of stream %s could not be looked up: %s", stream, listed.error)
            self._ids_due[stream] = self._accounts.now_ms + _AGAIN_MS
            return
        self._mail.send(stream, MarketIds(stream, tuple(str(row["marketId"]) for row in listed.rows)))


def _fact_of(desk: Desk, at_ms: int) -> AccountFact:
    funds = desk.client.account_funds
    return AccountFact(*desk.owner, at_ms, funds.available_to_bet_balance, funds.exposure)
