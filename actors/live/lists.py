"""The lists of an account as those who look into its bets have them: rows, or None where they could not be had."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ...strategies.errors import MessageError
from ..betfair.bet_rows import ClearedRow, CurrentOrder, cleared_row, current_order
from ..betfair.lists import Listed, Lists

logger = logging.getLogger("headrace")

Row = TypeVar("Row")


class BetLists:
    """See `actors.betfair.looks.Lists`. Whatever is named is asked for in a call of its own kind.

    Args:
        lists: the account's.
    """

    def __init__(self, lists: Lists) -> None:
        self._lists = lists

    def current_orders(
        self,
        done: Callable[[Sequence[CurrentOrder] | None], object],
        *,
        order_refs: Sequence[str] = (),
        bet_ids: Sequence[str] = (),
        market_ids: Sequence[str] = (),
    ) -> None:
        """listCurrentOrders, projection ALL."""
        self._lists.current_orders(
            lambda listed: done(_read(listed, current_order)),
            order_refs=order_refs or None,
            bet_ids=bet_ids or None,
            market_ids=market_ids or None,
        )

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
        """listClearedOrders. `group_by`: MARKET, for a row for each market; None: one for each bet."""

        def take(listed: Listed) -> None:
            done(_read(listed, cleared_row))

        if group_by is not None:
            self._lists.cleared_markets(market_ids or None, take)
            return
        self._lists.cleared_orders(
            status, take, order_refs=order_refs or None, bet_ids=bet_ids or None, market_ids=market_ids or None
        )


def _read(listed: Listed, convert: Callable[[Any], Row]) -> list[Row] | None:
    """The rows; None where the list is not whole. One that cannot be read is told of, and left out."""
    if listed.error:
        logger.warning("A list could not be read: %s", listed.error)
        return None
    found = []
    for row in listed.rows:
        try:
            found.append(convert(row))
        except MessageError as error:
            logger.error("A row is left out: %s", error)
    return found
