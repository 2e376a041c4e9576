"""Bets that have come to their end, one by one or summed up.

SETTLED: what was matched, once the market is settled; VOIDED, LAPSED and CANCELLED: the parts of bets that came to such
an end, as soon as they have. Sums are of settled bets. Sources: Betfair API-NG, "listClearedOrders" and its "Roll-up
Fields Available".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from ....strategies.messages import ClearedOrder
from ..account_bet import AccountBet
from ..errors import ApiError
from ..exchange import ExchangeMarket
from ..http.arguments import chosen, required
from ..market_words import MarketWords
from ..settings import AccountSettings
from ..timeline import to_second, written_to_second
from .time_ranges import TimeRange

SETTLED, VOIDED, LAPSED, CANCELLED = "SETTLED", "VOIDED", "LAPSED", "CANCELLED"
_STATUSES = frozenset({SETTLED, VOIDED, LAPSED, CANCELLED})
BET = "BET"
#: Ids of one question.
IDS = 1_000


class Commissions(Protocol):
    """Who knows what commission is."""

    def commission(self, username: str, market_id: str) -> float:
        """What an account has paid on a market, 0.0 or more."""

    def commission_on(self, username: str, market: ExchangeMarket, won: float) -> float:
        """What an account pays if it has won that much on a market."""


class ClearedOrders:
    """Lists cleared bets.

    Args:
        words: definitions of markets.
        bank: what commission is.
    """

    def __init__(self, words: MarketWords, bank: Commissions) -> None:
        self._words = words
        self._bank = bank

    def listed(
        self,
        account: AccountSettings,
        bets: Iterable[AccountBet],
        params: dict[str, Any],
        paging: tuple[int, int],
        left_out: Callable[[AccountBet], bool] = lambda _: False,
    ) -> dict[str, Any]:
        """A `ClearedOrderSummaryReport`, the latest first.

        Args:
            bets: all of the account.
            paging: first row, and how many.
            left_out: whether one of those that are asked for is not shown.

        Raises:
            ApiError: REQUEST_SIZE_EXCEEDS_LIMIT for more than 1 000 ids; INVALID_INPUT_DATA for a sum of bets that are
                not settled.
            ParameterError: a parameter is missing, or is not what it should be.
        """
        required(params, "betStatus")
        status = chosen(params, "betStatus", _STATUSES) or SETTLED
        group_by = chosen(params, "groupBy", frozenset(_GROUPS), BET) or BET
        if group_by != BET and status != SETTLED:
            raise ApiError("INVALID_INPUT_DATA", f"groupBy {group_by} goes with betStatus {SETTLED} only")
        described = params.get("includeItemDescription", False)
        within = TimeRange(params, "settledDateRange")
        wanted = self._filter(params)
        found = [
            bet
            for bet in bets
            if (at := _ended(bet, status)) is not None
            and (not within or to_second(at) in within)
            and wanted(bet)
            and (group_by != BET or not left_out(bet))
        ]
        groups: dict[Any, list[AccountBet]] = {}
        for bet in found:
            groups.setdefault(_GROUPS[group_by](bet, self._words.of(bet.market_id)), []).append(bet)
        # The latest come first; of equals, the one that was placed last.
        listed = sorted(
            groups.values(),
            key=lambda group: max((_ended(bet, status) or 0, bet.placed_ms, bet.bet_id) for bet in group),
            reverse=True,
        )
        first, count = paging
        rows = listed[first : first + count]
        if group_by == BET:
            cleared = [self._bet(group[0], status, described) for group in rows]
        else:
            cleared = [self._sum(account, group, group_by, described) for group in rows]
        return {"clearedOrders": cleared, "moreAvailable": first + len(rows) < len(listed)}

    def _filter(self, params: dict[str, Any]) -> Callable[[AccountBet], bool]:
        sets: list[tuple[frozenset[str], Callable[[AccountBet], object]]] = []
        for name, value in (
            ("betIds", lambda bet: bet.bet_id),
            ("marketIds", lambda bet: bet.market_id),
            ("customerOrderRefs", lambda bet: bet.order_ref),
            ("customerStrategyRefs", lambda bet: bet.strategy_ref),
            ("eventIds", lambda bet: self._words.of(bet.market_id).get("eventId")),
            ("eventTypeIds", lambda bet: self._words.of(bet.market_id).get("eventTypeId")),
        ):
            values = frozenset(params.get(name, ()))
            if values:
                if len(values) > IDS:
                    raise ApiError("REQUEST_SIZE_EXCEEDS_LIMIT", f"{len(values)} {name}, at most {IDS} are allowed")
                sets.append((values, value))
        runners = [_runner(each) for each in params.get("runnerIds", ())]
        side = chosen(params, "side", frozenset({"BACK", "LAY"}))

        def wanted(bet: AccountBet) -> bool:
            return (
                all(value(bet) in values for values, value in sets)
                and side in (None, bet.asked.side)
                and (not runners or any(_is_runner(bet, each) for each in runners))
            )

        return wanted

    # -- rows ----------------------------------------------------------------------------------------------------

    def _bet(self, bet: AccountBet, status: str, described: bool) -> dict[str, Any]:
        """A `ClearedOrderSummary` of one bet."""
        found = self._names(bet, ("eventTypeId", "eventId", "marketId", "selectionId", "handicap"))
        found |= {
            "betId": bet.bet_id,
            "placedDate": written_to_second(bet.placed_ms),
            "persistenceType": bet.persistence or "LAPSE",
            "orderType": bet.order_type,
            "side": bet.asked.side,
        }
        if described:
            found["itemDescription"] = self._words.description(bet)
        if status == SETTLED:
            found["betOutcome"] = outcome(bet)
        found["priceRequested"] = bet.price
        found["settledDate"] = written_to_second(_ended(bet, status) or 0)
        if bet.matched_ms is not None:
            found["lastMatchedDate"] = written_to_second(bet.matched_ms)
        found["betCount"] = 1
        if status == SETTLED:
            found |= {
                "priceMatched": bet.average,
                "priceReduced": bet.reduced,
                "sizeSettled": bet.matched,
                "profit": _profit(bet),
            }
        elif status == VOIDED:
            found |= {
                "priceMatched": bet.voided_average,
                "priceReduced": bet.reduced,
                "sizeSettled": bet.voided,
                "profit": 0.0,
            }
        else:
            found["sizeCancelled"] = bet.lapsed if status == LAPSED else bet.cancelled
        if bet.order_ref:
            found["customerOrderRef"] = bet.order_ref
        if bet.strategy_ref:
            found["customerStrategyRef"] = bet.strategy_ref
        return found

    def _names(self, bet: AccountBet, names: Iterable[str]) -> dict[str, Any]:
        definition = self._words.of(bet.market_id)
        values = {
            "eventTypeId": definition.get("eventTypeId"),
            "eventId": definition.get("eventId"),
            "marketId": bet.market_id,
            "selectionId": bet.selection_id,
            "handicap": bet.handicap,
            "side": bet.asked.side,
        }
        return {name: values[name] for name in names if values[name] is not None}

    def _sum(self, account: AccountSettings, bets: list[AccountBet], group_by: str, described: bool) -> dict[str, Any]:
        """A `ClearedOrderSummary` of several bets: what is the same in all of them is told of the sum as well."""
        first = bets[0]
        found = self._names(first, _NAMED[group_by])
        found["settledDate"] = written_to_second(max(bet.settled_ms or 0 for bet in bets))
        found["betCount"] = len(bets)
        found["profit"] = round(sum(map(_profit, bets)), 2)
        if group_by in ("MARKET", "EVENT", "EVENT_TYPE"):
            found["commission"] = self._commission(account, bets)
        if group_by in ("EVENT", "EVENT_TYPE"):
            return found
        found["placedDate"] = written_to_second(max(bet.placed_ms for bet in bets))
        matched = [bet.matched_ms for bet in bets if bet.matched_ms is not None]
        if matched:
            found["lastMatchedDate"] = written_to_second(max(matched))
        found["priceReduced"] = any(bet.reduced for bet in bets)
        if len({(bet.selection_id, bet.handicap, bet.asked.side) for bet in bets}) == 1:
            size = sum(bet.matched for bet in bets)
            found |= self._names(first, ("selectionId", "handicap", "side"))
            found["sizeSettled"] = round(size, 2)
            found["priceRequested"] = round(sum(bet.price * bet.matched for bet in bets) / size, 10)
            found["priceMatched"] = round(sum(bet.average * bet.matched for bet in bets) / size, 10)
        persistences, types = {bet.persistence or "LAPSE" for bet in bets}, {bet.order_type for bet in bets}
        if len(persistences) == 1:
            found["persistenceType"] = persistences.pop()
        if len(types) == 1:
            found["orderType"] = types.pop()
        if len(bets) == 1:
            found["betId"] = first.bet_id
        if group_by == "STRATEGY" and first.strategy_ref:
            found["customerStrategyRef"] = first.strategy_ref
        if described:
            found["itemDescription"] = self._words.description(first)
            if "selectionId" not in found:
                found["itemDescription"].pop("runnerDesc", None)
        return found

    def _commission(self, account: AccountSettings, bets: list[AccountBet]) -> float:
        """What the account has paid on the markets of these bets, all its bets there counted."""
        markets = {bet.market_id for bet in bets}
        return round(sum(self._bank.commission(account.username, market_id) for market_id in markets), 2)


Group = Callable[[AccountBet, dict[str, Any]], Any]

#: What the bets of a sum have in common.
_GROUPS: dict[str, Group] = {
    "EVENT_TYPE": lambda bet, definition: definition.get("eventTypeId"),
    "EVENT": lambda bet, definition: (definition.get("eventTypeId"), definition.get("eventId")),
    "MARKET": lambda bet, definition: bet.market_id,
    "SIDE": lambda bet, definition: (bet.market_id, bet.selection_id, bet.handicap, bet.asked.side),
    "BET": lambda bet, definition: bet.bet_id,
    "RUNNER": lambda bet, definition: (bet.market_id, bet.selection_id, bet.handicap),
    "STRATEGY": lambda bet, definition: (bet.market_id, bet.strategy_ref),
}
_NAMED = {
    "EVENT_TYPE": ("eventTypeId",),
    "EVENT": ("eventTypeId", "eventId"),
    "MARKET": ("eventTypeId", "eventId", "marketId"),
    "STRATEGY": ("eventTypeId", "eventId", "marketId"),
    "RUNNER": ("eventTypeId", "eventId", "marketId", "selectionId", "handicap"),
    "SIDE": ("eventTypeId", "eventId", "marketId", "selectionId", "handicap", "side"),
}


def _ended(bet: AccountBet, status: str) -> int | None:
    """When a part of the bet came to such an end, exchange time; None if none did."""
    if status == SETTLED:
        return bet.settled_ms if bet.matched and bet.result is not None and bet.result.settled else None
    if status == VOIDED:
        return bet.voided_ms if bet.voided else None
    if status == LAPSED:
        return bet.lapsed_ms if bet.lapsed else None
    return bet.cancelled_ms if bet.cancelled else None


def _result(bet: AccountBet) -> ClearedOrder:
    assert bet.result is not None
    return bet.result


def _profit(bet: AccountBet) -> float:
    return _result(bet).profit


def outcome(bet: AccountBet) -> str:
    """WON, LOST or PLACED: of a settled bet."""
    result = _result(bet)
    if result.runner_status == "PLACED":
        return "PLACED"
    if result.on_line or result.runner_status not in ("WINNER", "LOSER"):
        return "WON" if result.profit > 0 else "LOST"
    return "WON" if bet.back == (result.runner_status == "WINNER") else "LOST"


def _runner(asked: dict[str, Any]) -> tuple[str, int, float | None]:
    """One of `runnerIds`: its handicap may be absent."""
    return required(asked, "marketId"), required(asked, "selectionId"), asked.get("handicap")


def _is_runner(bet: AccountBet, runner: tuple[str, int, float | None]) -> bool:
    market_id, selection_id, handicap = runner
    return (bet.market_id, bet.selection_id) == (market_id, selection_id) and handicap in (None, bet.handicap)
