"""What a former session, or this one before its coordinator ended, has left to be done.

A stop that was under way goes on. Of a former session what rests is carried on with, or cancelled (`on_restart`). What
strategies have that are not there any more nobody would look after; nor markets that no stream shows any more.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Protocol

from ..journal.entries import Noted
from .alerts import Alerts
from .betting import Betting
from .market_ends import MarketEnds
from .recovery import Recovered
from .routes import Routes
from .setup import LiveSetup
from .stops import SAID, STARTED, Stops
from .stream_desk import StreamDesk

logger = logging.getLogger("headrace")

#: Milliseconds for which streams may take to show a market that was open.
_PATIENCE_MS = 30_000


class System(Protocol):
    """A live system, as its coordinator has it."""

    setup: LiveSetup
    alerts: Alerts
    betting: Betting
    ends: MarketEnds
    routes: Routes
    stops: Stops
    stream_desk: StreamDesk


class Former:
    """See the module.

    Args:
        recovered: what the journal says.
    """

    def __init__(self, role: System, recovered: Recovered, at_ms: int) -> None:
        self._role, self._at = role, at_ms
        self._said = said_in(recovered.noted, role.setup.session)
        self._unseen = {market_id for _, market_id in recovered.places}
        self._homeless = recovered.homeless
        self._anything = recovered.entries > 0

    def begin(self) -> None:
        """Go on with what is to be done."""
        role = self._role
        for venue, username in sorted(self._homeless):
            role.alerts.alert(
                "GONE", f"account {username!r} of {venue} is not there any more: nobody looks after its orders"
            )
        live = [bet for desk in role.betting.accounts for bet in desk.bets.live]
        names = {strategy.name for strategy in role.setup.strategies}
        strangers = [bet for bet in live if bet.strategy and bet.strategy not in names]
        if strangers:
            gone = ", ".join(sorted({repr(bet.strategy) for bet in strangers}))
            what = "they are left" if role.setup.on_stop == "leave" else "they are cancelled"
            role.alerts.alert("GONE", f"{len(strangers)} orders rest of {gone}, not there any more: {what}")
            role.stops.abandon_all(lambda bet: bool(bet.strategy) and bet.strategy not in names)
        if self._said is not None:
            role.stops.recall(self._said)
        elif live:
            cancel = role.setup.on_restart == "cancel"
            what = "they are cancelled" if cancel else "they are carried on with"
            role.alerts.note("RESTART", f"a former session has left {len(live)} orders: {what}")
        if self._said is None and self._anything and role.setup.on_restart == "cancel":
            role.stops.cancel_former(self._at)

    def unsure(self, market_ids: Iterable[str], at_ms: int) -> None:
        """A stream has started anew: markets that it does not show again have closed meanwhile, or are over."""
        self._unseen.update(market_ids)
        self._at = at_ms

    # -- time ----------------------------------------------------------------------------------------------------

    def look(self, at_ms: int) -> None:
        """Give up markets that no stream shows, when all streams have had time to."""
        role = self._role
        if not self._unseen:
            return
        for market_id in list(self._unseen):
            known = role.routes.markets.get(market_id)
            if known is not None and known.streams:
                self._unseen.discard(market_id)
        if at_ms - self._at < _PATIENCE_MS or not role.stream_desk.markets_connected:
            return
        for market_id in self._unseen:
            logger.warning("Market %s is not shown any more: its results are asked for", market_id)
            role.ends.leave(market_id, self._at)
        self._unseen.clear()


def said_in(noted: Iterable[Noted], session: str) -> list[Noted] | None:
    """What was said of stops since a session has begun; None: it was not the last one."""
    last, found = "", list[Noted]()
    for each in noted:
        if each.what == STARTED:
            found = found if each.text == last else []
            last = each.text
        elif each.what in SAID and each not in found:
            found.append(each)
    return found if last == session else None
