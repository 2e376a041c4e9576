"""Looks for bets: among the current ones, then, for those that are not there, among those that came to an end.

A look is made of calls that are answered later, by the thread that asked. It succeeds as a whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol

from ..letters import ForeignBet
from .bet_rows import STATUSES, ClearedRow, CurrentOrder, bet_of_cleared, bet_of_current

#: Numbers or references in one question; the exchange takes 250 ("listCurrentOrders").
CHUNK = 200


class Lists(Protocol):
    """The exchange's lists of an account's bets, whole: all pages.

    `done` is called later, once, in the thread that asked: with the rows, or with None if they could not be had.
    """

    def current_orders(
        self,
        done: Callable[[Sequence[CurrentOrder] | None], object],
        *,
        order_refs: Sequence[str] = (),
        bet_ids: Sequence[str] = (),
        market_ids: Sequence[str] = (),
    ) -> None:
        """listCurrentOrders, projection ALL."""

    def cleared_orders(
        self,
        status: str,
        done: Callable[[Sequence[ClearedRow] | None], object],
        *,
        order_refs: Sequence[str] = (),
        bet_ids: Sequence[str] = (),
        market_ids: Sequence[str] = (),
        group_by: str | None = None,
    ) -> None:
        """listClearedOrders. `status`: SETTLED, VOIDED, LAPSED or CANCELLED."""


class BetLook:
    """One look for bets, by their references and by their numbers.

    Args:
        lists: where to look.
        venue, username: the account.
        at: a moment of the exchange's clock that lies before the look: what it finds is not older.
        order_refs, bet_ids: what is looked for.
        ended: look among cleared bets too, for references and numbers that no current bet has.
        done: called with the bets that were found, in the order of their placing, or None if a list could not be had.
    """

    def __init__(
        self,
        lists: Lists,
        venue: str,
        username: str,
        at: int,
        order_refs: Iterable[str],
        bet_ids: Iterable[str],
        ended: bool,
        done: Callable[[list[ForeignBet] | None], object],
    ) -> None:
        self._lists = lists
        self._account = (venue, username)
        self._at = at
        self._refs = sorted(set(order_refs))
        self._ids = sorted(set(bet_ids))
        self._ended = ended
        self._done = done
        self._found: dict[str, ForeignBet] = {}
        self._placed: dict[str, str] = {}
        self._cleared: dict[str, list[tuple[str, ClearedRow]]] = {}
        self._waiting: list[Callable[[], None]] = []

    def begin(self) -> None:
        """Ask."""
        self._waiting = [
            *(partial(self._current, refs, ()) for refs in _chunks(self._refs)),
            *(partial(self._current, (), ids) for ids in _chunks(self._ids)),
        ]
        if self._ended:
            self._waiting.append(self._plan_cleared)
        self._next()

    def _next(self) -> None:
        if self._waiting:
            self._waiting.pop(0)()
            return
        for bet_id, rows in self._cleared.items():
            bet = bet_of_cleared(rows, *self._account, self._at)
            # A current bet may have parts that came to an end: its own row says all of it.
            if bet is not None and bet_id not in self._found:
                self._found[bet_id] = bet
                self._placed[bet_id] = rows[-1][1].placed_date or ""
        self._done(sorted(self._found.values(), key=lambda bet: (self._placed[bet.bet_id], _number(bet.bet_id))))

    def _current(self, refs: Sequence[str], ids: Sequence[str]) -> None:
        self._lists.current_orders(self._take_current, order_refs=refs, bet_ids=ids)

    def _take_current(self, rows: Sequence[CurrentOrder] | None) -> None:
        if rows is None:
            self._done(None)
            return
        for row in rows:
            bet = bet_of_current(row, *self._account, self._at)
            self._found[bet.bet_id] = bet
            self._placed[bet.bet_id] = row.placed_date or ""
        self._next()

    def _plan_cleared(self) -> None:
        """A reference may name several bets, of which some are current and others are not: each is looked for."""
        ids = [each for each in self._ids if each not in self._found]
        for status in STATUSES:
            for refs in _chunks(self._refs):
                self._waiting.append(partial(self._ask_cleared, status, refs, ()))
            for some in _chunks(ids):
                self._waiting.append(partial(self._ask_cleared, status, (), some))
        self._next()

    def _ask_cleared(self, status: str, refs: Sequence[str], ids: Sequence[str]) -> None:
        self._lists.cleared_orders(status, partial(self._take_cleared, status), order_refs=refs, bet_ids=ids)

    def _take_cleared(self, status: str, rows: Sequence[ClearedRow] | None) -> None:
        if rows is None:
            self._done(None)
            return
        for row in rows:
            if row.bet_id is not None:
                parts = self._cleared.setdefault(str(row.bet_id), [])
                if all(known != status for known, _ in parts):
                    parts.append((status, row))
        self._next()


def _chunks(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[first : first + CHUNK] for first in range(0, len(names), CHUNK)]


def _number(bet_id: str) -> tuple[int, str]:
    """Numbers of bets grow."""
    return len(bet_id), bet_id
