"""An account's bets in the books of the API: orders and matches ("listMarketBook", "Betting Enums")."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..account_bet import AccountBet
from ..errors import ParameterError
from ..http.arguments import chosen
from ..timeline import written_to_second
from .time_ranges import TimeRange

_ORDERS = frozenset({"ALL", "EXECUTABLE", "EXECUTION_COMPLETE"})
_MATCHES = frozenset({"NO_ROLLUP", "ROLLED_UP_BY_PRICE", "ROLLED_UP_BY_AVG_PRICE"})


class BookOrders:
    """What of an account's bets a call asks for; nothing, and false, without an `orderProjection`.

    Matches are those of all its bets on the runner, resting or not, unless the call restricts them to some bets.

    Args:
        params: of the call.

    Raises:
        ParameterError: there is no such value.
    """

    def __init__(self, username: str, params: dict[str, Any]) -> None:
        self._username = username
        self._projection = chosen(params, "orderProjection", _ORDERS)
        self._roll_up = chosen(params, "matchProjection", _MATCHES, "NO_ROLLUP")
        self._matches: bool = params.get("includeOverallPosition", True)
        self._partitioned: bool = params.get("partitionMatchedByStrategyRef", False)
        self._strategies = params.get("customerStrategyRefs")
        self._bet_ids = frozenset(params.get("betIds", ()))
        self._since = TimeRange({"matchedSince": {"from": _text(params.get("matchedSince"))}}, "matchedSince")

    def __bool__(self) -> bool:
        return self._projection is not None

    def of(self, bets: list[AccountBet]) -> dict[str, Any]:
        """The fields of a runner's book, of all the account's current bets on it."""
        meant = [bet for bet in bets if self._means(bet)]
        orders = [
            _order(bet)
            for bet in meant
            if self._projection == "ALL" or bet.executable == (self._projection == "EXECUTABLE")
        ]
        found: dict[str, Any] = {"orders": orders} if orders else {}
        if self._matches and (matches := self._matched(meant)):
            found["matches"] = matches
        if self._partitioned:
            strategies = dict.fromkeys(bet.strategy_ref for bet in meant if bet.matched)
            found["matchesByStrategy"] = {
                each: {"matches": self._matched([bet for bet in meant if bet.strategy_ref == each])}
                for each in strategies
            }
        return found

    def _means(self, bet: AccountBet) -> bool:
        if self._bet_ids and bet.bet_id not in self._bet_ids:
            return False
        if self._strategies and bet.strategy_ref not in self._strategies:
            return False
        return not self._since or bet.executable or any(round(fill[0]) in self._since for fill in bet.fills)

    def _matched(self, bets: list[AccountBet]) -> list[dict[str, Any]]:
        if self._roll_up == "NO_ROLLUP":
            return [
                {
                    "betId": bet.bet_id,
                    "matchId": f"{bet.bet_id}{number:03d}",
                    "side": bet.asked.side,
                    "price": fill[1],
                    "size": round(fill[2], 2),
                    "matchDate": written_to_second(fill[0]),
                }
                for bet in bets
                if bet.matched
                for number, fill in enumerate(bet.fills, 1)
            ]
        if self._roll_up == "ROLLED_UP_BY_PRICE":
            return _rolled_up(bets, lambda side, price: (side, round(price, 2)))
        return _rolled_up(bets, lambda side, price: (side, 0.0))


def _rolled_up(bets: list[AccountBet], key: Callable[[str, float], tuple[str, float]]) -> list[dict[str, Any]]:
    """What is matched, one row per key: its size and its average price."""
    rows: dict[tuple[str, float], list[float]] = {}
    for bet in bets:
        for fill in bet.fills if bet.matched else ():
            row = rows.setdefault(key(bet.asked.side, fill[1]), [0.0, 0.0])
            row[0] += fill[2]
            row[1] += fill[2] * fill[1]
    return [
        {"side": side, "price": round(weighted / size, 2), "size": round(size, 2)}
        for (side, _), (size, weighted) in rows.items()
        if size
    ]


def _order(bet: AccountBet) -> dict[str, Any]:
    """An `Order`: what does not apply is left out."""
    found: dict[str, Any] = {
        "betId": bet.bet_id,
        "orderType": bet.order_type,
        "status": "EXECUTABLE" if bet.executable else "EXECUTION_COMPLETE",
        "persistenceType": bet.persistence or "LAPSE",
        "side": bet.asked.side,
        "price": bet.price,
        "size": bet.size if bet.is_limit else 0.0,
        "bspLiability": bet.liability,
        "placedDate": written_to_second(bet.placed_ms),
        "avgPriceMatched": bet.average,
        "sizeMatched": bet.matched,
        "sizeRemaining": bet.remaining,
        "sizeLapsed": bet.lapsed,
        "sizeCancelled": 0.0 if bet.replaced else bet.cancelled,
        "sizeVoided": bet.voided,
    }
    if bet.order_ref:
        found["customerOrderRef"] = bet.order_ref
    if bet.strategy_ref:
        found["customerStrategyRef"] = bet.strategy_ref
    return found


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise ParameterError("matchedSince: expected a time")
