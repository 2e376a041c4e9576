"""Stopping, and cancelling all that rests: placing halts, bets are cancelled by their numbers, and nothing is said to
be done before the exchange shows that it is.

Bets without a number yet are cancelled when it comes. Orders at the starting price cannot be cancelled ("cancelOrders":
limit orders only): they are listed.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

from ...strategies.messages import CANCEL, EXPIRED, UNKNOWN, CancelInstruction, Request
from ..betfair.known_bet import KnownBet
from .accounts import Accounts
from .desk import Desk, Owner

logger = logging.getLogger("headrace")

#: Milliseconds after which a bet that still rests is cancelled again: at first, doubled each time, and at most.
_AGAIN_MS, _MOST_AGAIN_MS = 2_000, 30_000
#: What the exchange says of bets that are over; what is said where it has said nothing.
_OVER, _UNHEARD = ("", "BET_TAKEN_OR_LAPSED"), (UNKNOWN, EXPIRED)
#: Milliseconds for which the exchange may refuse to cancel a bet before that counts as being for good; the same where
#: the market is suspended, for it opens again, and where whole accounts are cancelled.
REFUSED_MS, LONG_REFUSED_MS = 60_000, 600_000
_SUSPENDED = "MARKET_SUSPENDED"
#: Milliseconds for which is waited for bets on paper, whose hosts may be blocked by a strategy, and for the first look
#: at an account, which may have bets of an earlier session.
_PATIENCE_MS = 10_000


@dataclasses.dataclass(slots=True)
class _Try:
    """Cancels of one bet: how many, when the next is due, and since when the exchange refuses them."""

    count: int = 0
    due_ms: float = 0.0
    under_way: bool = False
    refused_ms: int | None = None
    given_up: bool = False

    def refused(self, at_ms: int, patience_ms: int) -> bool:
        """The exchange does not do it; True if it is given up for that, now for the first time."""
        self.refused_ms = at_ms if self.refused_ms is None else self.refused_ms
        if self.given_up or at_ms - self.refused_ms < patience_ms:
            return False
        self.given_up = True
        return True

    def done(self) -> None:
        """The exchange does it after all."""
        self.refused_ms, self.given_up = None, False


class Cancelling:
    """Cancels all limit bets of this instance, or of whole accounts, until none rests.

    Args:
        accounts: those whose bets are cancelled.
        ask_host: sends a request of a paper account to the host that simulates it.
        report: takes what people should know: a kind, a sentence.
        whole_account: bets that were placed elsewhere are cancelled as well.
        meant: whether a bet of this instance is to be cancelled; None: all are.
        give_up: told of each bet that the exchange does not cancel: its market, and a sentence. It is waited for no
            longer, and tried again for as long as the rest is.
    """

    def __init__(
        self,
        accounts: Accounts,
        ask_host: Callable[[KnownBet, Request], object],
        report: Callable[[str, str], object],
        whole_account: bool = False,
        meant: Callable[[KnownBet], bool] | None = None,
        give_up: Callable[[str, str], object] = lambda market_id, text: None,
    ) -> None:
        self._give_up = give_up
        #: Why bets are given up, by account and number.
        self._refused: dict[tuple[Owner, str], str] = {}
        self._accounts, self._ask_host, self._report = accounts, ask_host, report
        self.whole_account, self._meant = whole_account, meant
        self.waits = False
        self._tries: dict[tuple[Owner, str], _Try] = {}
        self._accounts_to_do = {desk.owner for desk in accounts if whole_account and desk.orders is not None}
        self._account_tries: dict[tuple[str, str], _Try] = {}
        self._requests = 0
        self._told_left = False
        self._since: int | None = None
        self._impatient = False
        self._rest_until_ms = 0

    # -- how it stands -------------------------------------------------------------------------------------------

    def _resting(self, desk: Desk) -> Iterator[KnownBet]:
        """Bets that rest, or may yet. Of those at the starting price the ones of which it is not known that they do."""
        if desk.orders is None and self._impatient:
            return iter(())
        return (bet for bet in self._ours(desk) if not bet.at_sp or (bet.bet_id is None and desk.orders is not None))

    def _ours(self, desk: Desk) -> Iterator[KnownBet]:
        meant = self._meant
        return (bet for bet in desk.bets.live if meant is None or meant(bet))

    @property
    def open(self) -> int:
        """Bets that rest, or may yet: each is cancelled as soon as it can be."""
        own = sum(1 for desk in self._accounts for bet in self._resting(desk) if not self._refusal(desk, bet))
        foreign = sum(len(self._foreign(desk)) for desk in self._accounts)
        return own + foreign + len(self._accounts_to_do) + len(self._unread)

    @property
    def _unread(self) -> list[Desk]:
        """Accounts at exchanges that can be asked, and of which it is not known yet what rests."""
        if self.waits:
            return [desk for desk in self._accounts if not desk.ready]
        if self._impatient or self._meant is not None:
            return []
        return [desk for desk in self._accounts if not desk.ready and desk.live is not None and desk.live.token]

    def _foreign(self, desk: Desk) -> list[str]:
        """Bets of an account that were placed elsewhere, rest, and are to be cancelled."""
        if not self.whole_account or desk.orders is None:
            return []
        known = self._account_tries.get(desk.owner)
        if known is not None and known.given_up:
            return []
        return [bet_id for bet_id, bet in desk.bets.foreign.items() if bet.remaining > 0]

    def _refusal(self, desk: Desk, bet: KnownBet) -> str:
        """Why a bet is given up; empty: it is not."""
        return self._refused.get(_name_of(desk, bet), "")

    def _why_left(self, desk: Desk, bet: KnownBet) -> str:
        """Why a bet cannot be cancelled; empty: it can be, as far as is known."""
        if bet.at_sp and desk.orders is not None:
            return "it waits for the starting price"
        return self._refusal(desk, bet)

    @property
    def left(self) -> list[dict[str, Any]]:
        """Orders that cannot be cancelled: those at the starting price, and those that the exchange does not cancel."""
        return [
            {
                "market_id": bet.market_id,
                "bet_id": bet.bet_id,
                "order_id": bet.order_id,
                "selection_id": bet.selection_id,
                "side": bet.side,
                "order_type": bet.order_type,
                "liability": bet.size if bet.at_sp else bet.remaining,
                "why": why,
            }
            for desk in self._accounts
            for bet in self._ours(desk)
            if (why := self._why_left(desk, bet))
        ]

    @property
    def done(self) -> bool:
        """Nothing rests any more, as the exchange has shown."""
        return not self.open

    def standing(self) -> dict[str, Any]:
        """How far it is."""
        return {"done": self.done, "open": self.open, "left": self.left}

    # -- doing ---------------------------------------------------------------------------------------------------

    def look(self, at_ms: int) -> None:
        """Cancel what rests and is not being cancelled. It takes a sixth of the time at most, however much rests."""
        if at_ms < self._rest_until_ms:
            return
        began = time.perf_counter()
        self._look(at_ms)
        self._rest_until_ms = at_ms + int(5000 * (time.perf_counter() - began))

    def _look(self, at_ms: int) -> None:
        self._since = at_ms if self._since is None else self._since
        if not self._impatient and at_ms - self._since >= _PATIENCE_MS:
            self._wait_no_longer()
        left = [] if self._told_left else [each for each in self.left if each["order_type"] != "LIMIT"]
        if left and all(each["bet_id"] is not None for each in left):
            self._told_left = True
            names = ", ".join(f"bet {each['bet_id']} of market {each['market_id']}" for each in left)
            self._report("LEFT", f"orders at the starting price cannot be cancelled: {names}")
        for desk in self._accounts:
            # Others may go on placing, as far as they can: what they place is cancelled, too.
            if desk.owner in self._accounts_to_do or self._foreign(desk):
                self._cancel_account(desk, at_ms)
            due: dict[str, list[KnownBet]] = {}
            for bet in self._resting(desk):
                if bet.unconfirmed:
                    self._not_learnt(desk, bet)
                if bet.ended or (bet.bet_id is None and desk.orders is not None):
                    continue  # it is about to be replaced, or has no number yet
                known = self._tries.setdefault(_name_of(desk, bet), _Try())
                if not known.under_way and known.due_ms <= at_ms:
                    due.setdefault(bet.market_id, []).append(bet)
            for market_id, bets in due.items():
                if desk.orders is None:
                    self._cancel_simulated(desk, market_id, bets, at_ms)
                else:
                    self._cancel(desk, market_id, bets, at_ms)

    def _not_learnt(self, desk: Desk, bet: KnownBet) -> None:
        """It may rest, or not: that is not waited for. What is found of it later is cancelled."""
        key = _name_of(desk, bet)
        if key not in self._refused:
            self._refused[key] = why = "what became of it could not be learnt"
            name = f"order {bet.order_id}" if bet.bet_id is None else f"bet {bet.bet_id}"
            self._give_up(bet.market_id, f"{name} of market {bet.market_id} may rest: {why}")

    def _wait_no_longer(self) -> None:
        count = sum(1 for desk in self._accounts if desk.orders is None for _ in self._resting(desk))
        for desk in self._unread:
            self._report("LEFT", f"account {desk.owner[1]}: it is not known what rests of an earlier session")
        self._impatient = True
        if count:
            self._report("PAPER", f"{count} orders on paper are not cancelled: their hosts do not answer")

    def _began(self, known: _Try, at_ms: int) -> None:
        known.count += 1
        known.due_ms = at_ms + min(_AGAIN_MS * 2 ** (known.count - 1), _MOST_AGAIN_MS)

    def _cancel(self, desk: Desk, market_id: str, bets: list[KnownBet], at_ms: int) -> None:
        assert desk.live is not None
        ids = [bet.bet_id for bet in bets if bet.bet_id is not None]
        for bet_id in ids:
            known = self._tries[desk.owner, bet_id]
            known.under_way = True
            self._began(known, at_ms)
        desk.live.cancel(market_id, ids, functools.partial(self._cancelled, desk, market_id))

    def _cancelled(self, desk: Desk, market_id: str, codes: dict[str, str]) -> None:
        """The exchange has answered. What it says of a bet is shown by the stream, or by the lists."""
        over = []
        for bet_id, code in codes.items():
            known = self._tries[desk.owner, bet_id]
            known.under_way = False
            if code in _OVER:
                known.done()
                self._refused.pop((desk.owner, bet_id), None)
                over.append(bet_id)
            else:
                self._not_done(desk, market_id, bet_id, known, code)
                logger.warning("Bet %s of market %s could not be cancelled: %s; again soon", bet_id, market_id, code)
        if over and desk.orders is not None:
            # Where the stream does not show it, the lists are to.
            desk.orders.look_soon(self._accounts.now_ms)

    def _not_done(self, desk: Desk, market_id: str, bet_id: str, known: _Try, code: str) -> None:
        """A cancel has come to nothing. Where the exchange goes on refusing it, the bet is left."""
        session = None if desk.live is None else desk.live.session
        if code in _UNHEARD and not (session is not None and session.given_up):
            return  # it is tried for as long as it takes: nobody has refused it
        if not known.refused(self._accounts.now_ms, LONG_REFUSED_MS if code == _SUSPENDED else REFUSED_MS):
            return
        why = f"there is no session: {session.error}" if session and code in _UNHEARD else f"it is refused with {code}"
        self._refused[desk.owner, bet_id] = why
        self._give_up(market_id, f"bet {bet_id} of market {market_id} rests and cannot be cancelled: {why}")

    def _cancel_simulated(self, desk: Desk, market_id: str, bets: list[KnownBet], at_ms: int) -> None:
        for bet in bets:
            if bet.order_id is None:
                continue
            self._began(self._tries[desk.owner, bet.bet_id or bet.order_id], at_ms)
            self._requests += 1
            venue, username = desk.owner
            instruction = CancelInstruction(bet.order_id, bet.bet_id)
            request = Request(
                f"stop-{self._requests}", market_id, bet.strategy, venue, username, CANCEL, (instruction,), at_ms
            )
            self._ask_host(bet, request)

    def _cancel_account(self, desk: Desk, at_ms: int) -> None:
        known = self._account_tries.setdefault(desk.owner, _Try())
        if known.under_way or known.due_ms > at_ms:
            return
        known.under_way = True
        self._began(known, at_ms)
        assert desk.live is not None

        def done(why: str) -> None:
            known.under_way = False
            if why:
                if known.refused(self._accounts.now_ms, LONG_REFUSED_MS):
                    self._accounts_to_do.discard(desk.owner)
                    self._give_up("", f"the bets of account {desk.owner[1]} rest and cannot be cancelled: {why}")
                logger.error("The bets of account %s could not be cancelled: %s; again soon", desk.owner[1], why)
                return
            known.done()
            self._accounts_to_do.discard(desk.owner)
            assert desk.orders is not None
            desk.orders.look_soon(self._accounts.now_ms)

        desk.live.execution.cancel_account(done)


def _name_of(desk: Desk, bet: KnownBet) -> tuple[Owner, str]:
    """A bet by its account and number; one without a number by its order."""
    return desk.owner, bet.bet_id or bet.order_id or ""
