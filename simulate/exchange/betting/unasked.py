"""What happens to bets that nobody asked for, as faults on demand: they are voided after their end, or lapse."""

from __future__ import annotations

from collections.abc import Iterator

from ..account_bet import AccountBet
from ..exchange import Exchange, Listener
from ..faults import Fault, Faults

VOID, LAPSE = "bet.void", "bet.lapse"


class Unasked(Listener):
    """Looks for bets that faults are meant for, when one is set up and when something has happened."""

    def __init__(self, exchange: Exchange, faults: Faults) -> None:
        self._exchange = exchange
        self._faults = faults
        self._looking = False
        exchange.listeners.append(self)
        faults.watchers.append(self._set_up)

    def _set_up(self, fault: Fault) -> None:
        if fault.kind in (VOID, LAPSE):
            self._look()

    def _look(self) -> None:
        pending = {fault.kind for fault in self._faults.pending} & {VOID, LAPSE}
        if not pending or self._looking:
            return
        self._looking = True
        try:
            for bet in list(self._open_bets()):
                if VOID in pending and bet.ended and bet.matched:
                    self._void(bet)
                elif LAPSE in pending and bet.executable:
                    self._lapse(bet)
        finally:
            self._looking = False

    def _open_bets(self) -> Iterator[AccountBet]:
        for market in self._exchange.markets.values():
            if market.closed_at is None and not market.gone:
                yield from market.bets.values()

    def _take(self, kind: str, bet: AccountBet) -> Fault | None:
        at = self._exchange.clock.now_ms
        return self._faults.take(kind, at, username=bet.username, market_id=bet.market_id, bet_id=bet.bet_id)

    def _void(self, bet: AccountBet) -> None:
        if self._take(VOID, bet) is not None:
            self._exchange.interfere(bet, lambda venue: venue.void(bet.order_id))

    def _lapse(self, bet: AccountBet) -> None:
        fault = self._take(LAPSE, bet)
        if fault is not None:
            bet.lapse_reason = fault.value
            self._exchange.interfere(bet, lambda venue: venue.lapse(bet.order_id))

    # -- what happens at the exchange (`Listener`) ---------------------------------------------------------------

    def message_ended(self, at: int) -> None:
        self._look()
