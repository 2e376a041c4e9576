"""Looks for bets: among the current ones, then, for those that are not there, among those that came to an end.

A look is made of calls that are answered later, by the thread that asked. It succeeds as a whole or not at all.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol, TypeVar

from ...strategies.errors import MessageError
from ..letters import ForeignBet
from .bet_rows import STATUSES, ClearedRow, bet_of_cleared, bet_of_current, cleared_row, current_order

logger = logging.getLogger("headrace")

Row = TypeVar("Row")


class Listed(Protocol):
    """A list as it was read. `error`: why it is not whole; empty: it is."""

    @property
    def rows(self) -> list[dict[str, Any]]: ...

    @property
    def error(self) -> str: ...


TakeList = Callable[[Any], object]


class BetLists(Protocol):
    """The exchange's lists of an account's bets, all pages of them; `actors.betfair.lists` reads them.

    `done` is called later, once, in the thread that asked, with a `Listed`.
    """

    def current_orders(
        self,
        done: TakeList,
        *,
        bet_ids: Iterable[str] | None = None,
        order_refs: Iterable[str] | None = None,
    ) -> None:
        """listCurrentOrders: of those that are named, or of all."""

    def cleared_orders(
        self,
        status: str,
        done: TakeList,
        *,
        bet_ids: Iterable[str] | None = None,
        order_refs: Iterable[str] | None = None,
        market_ids: Iterable[str] | None = None,
    ) -> None:
        """listClearedOrders. `status`: SETTLED, VOIDED, LAPSED or CANCELLED."""

    def cleared_markets(self, market_ids: Iterable[str] | None, done: TakeList) -> None:
        """listClearedOrders, the settled ones by market."""


def rows_of(listed: Listed, convert: Callable[[dict[str, Any]], Row], what: str) -> list[Row] | None:
    """The rows of a list, decoded; None if it could not be read whole. A row that is none is left out, and logged.

    Args:
        what: of what they are, for the log.
    """
    if listed.error:
        logger.warning("%s could not be listed: %s", what, listed.error)
        return None
    found = []
    for row in listed.rows:
        try:
            found.append(convert(row))
        except MessageError as error:
            logger.error("%s: a row is left out: %s", what, error)
    return found


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """What a look has found.

    Attributes:
        began: when.
        ended: cleared bets were looked at too.
        by_ref, by_id: bets by their references, in the order of their placing, and by their numbers.
    """

    began: int
    ended: bool
    by_ref: dict[str, list[ForeignBet]]
    by_id: dict[str, ForeignBet]

    @classmethod
    def of(cls, began: int, ended: bool, bets: Iterable[ForeignBet]) -> Found:
        """Bets in the order of their placing."""
        found = cls(began, ended, {}, {})
        for bet in bets:
            found.by_ref.setdefault(bet.order_ref, []).append(bet)
            found.by_id[bet.bet_id] = bet
        return found


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
        lists: BetLists,
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
        self._waiting = []
        if self._refs:
            self._waiting.append(partial(self._lists.current_orders, self._take_current, order_refs=self._refs))
        if self._ids:
            self._waiting.append(partial(self._lists.current_orders, self._take_current, bet_ids=self._ids))
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

    def _take_current(self, listed: Listed) -> None:
        rows = rows_of(listed, current_order, "Current orders")
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
            done = partial(self._take_cleared, status)
            if self._refs:
                self._waiting.append(partial(self._lists.cleared_orders, status, done, order_refs=self._refs))
            if ids:
                self._waiting.append(partial(self._lists.cleared_orders, status, done, bet_ids=ids))
        self._next()

    def _take_cleared(self, status: str, listed: Listed) -> None:
        rows = rows_of(listed, cleared_row, f"Orders that are {status.lower()}")
        if rows is None:
            self._done(None)
            return
        for row in rows:
            if row.bet_id is not None:
                parts = self._cleared.setdefault(str(row.bet_id), [])
                if all(known != status for known, _ in parts):
                    parts.append((status, row))
        self._next()


def _number(bet_id: str) -> tuple[int, str]:
    """Numbers of bets grow."""
    return len(bet_id), bet_id
