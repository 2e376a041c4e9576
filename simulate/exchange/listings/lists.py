"""Lists of an account's bets: listCurrentOrders, listClearedOrders, listMarketProfitAndLoss.

A bet is current until its market is settled; one that comes to nothing before that leaves the current ones at once.
Sources: Betfair API-NG, "listCurrentOrders", "Betting Type Definitions"; docs/exchange.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..account_bet import AccountBet
from ..errors import ApiError
from ..exchange import Exchange, ExchangeMarket, Listener
from ..faults import Faults
from ..http.arguments import chosen, required
from ..market_words import MarketWords
from ..operations import Operation
from ..public_market import Touched
from ..settings import AccountSettings
from ..timeline import to_second, written, written_to_second
from .cleared import ClearedOrders, Commissions
from .profit_and_loss import profit_and_loss
from .time_ranges import TimeRange

#: Rows of one answer, and ids of one question.
PAGE, IDS = 1_000, 250
EXECUTABLE, EXECUTION_COMPLETE, ALL = "EXECUTABLE", "EXECUTION_COMPLETE", "ALL"
LATEST_TO_EARLIEST = "LATEST_TO_EARLIEST"
_PROJECTIONS = frozenset({ALL, EXECUTABLE, EXECUTION_COMPLETE})
_DIRECTIONS = frozenset({"EARLIEST_TO_LATEST", LATEST_TO_EARLIEST})
_REGULATORS = {"com": "GIBRALTAR REGULATOR"}
_OTHER_REGULATOR = "MALTA LOTTERIES AND GAMBLING AUTHORITY"


class BetLists(Listener):
    """The lists. It listens to the exchange: each account has its bets apart.

    Args:
        bank: the accounts' money.
        faults: what is to go wrong.
    """

    def __init__(self, exchange: Exchange, bank: Commissions, faults: Faults | None = None) -> None:
        self._exchange = exchange
        self._faults = faults
        self._bets: dict[str, dict[str, AccountBet]] = {name: {} for name in exchange.accounts}
        # What may be current: a list of a long day's bets is not searched for the few that are open.
        self._open: dict[str, dict[str, AccountBet]] = {name: {} for name in exchange.accounts}
        self._bank = bank
        self._cleared = ClearedOrders(MarketWords(exchange), bank)
        exchange.listeners.append(self)

    def operations(self) -> dict[str, Operation]:
        """The calls, by their names."""
        return {
            "SportsAPING/v1.0/listCurrentOrders": self.list_current_orders,
            "SportsAPING/v1.0/listClearedOrders": self.list_cleared_orders,
            "SportsAPING/v1.0/listMarketProfitAndLoss": self.list_market_profit_and_loss,
        }

    # -- listening -----------------------------------------------------------------------------------------------

    def bet_changed(self, bet: AccountBet) -> None:
        self._bets[bet.username][bet.bet_id] = bet
        if _nothing_is_left(bet):
            self._open[bet.username].pop(bet.bet_id, None)
        else:
            self._open[bet.username][bet.bet_id] = bet

    def market_changed(self, market: ExchangeMarket, touched: Touched) -> None:
        if touched.definition and market.settled_at is not None and market.book.status != "CLOSED":
            for bet in market.bets.values():  # it is opened again
                self.bet_changed(bet)

    def market_settled(self, market: ExchangeMarket) -> None:
        for bet in market.bets.values():
            self._open[bet.username].pop(bet.bet_id, None)

    # -- for other lists -----------------------------------------------------------------------------------------

    def current(self, username: str, market_id: str | None = None, projection: str = ALL) -> list[AccountBet]:
        """An account's current bets, in order of placing, of one market or of all."""
        found = [
            bet
            for bet in self._open[username].values()
            if market_id in (None, bet.market_id) and _has_status(bet, projection)
        ]
        return sorted(found, key=lambda bet: bet.first_sequence)

    # -- calls ---------------------------------------------------------------------------------------------------

    async def list_current_orders(self, account: AccountSettings, params: dict[str, Any]) -> dict[str, Any]:
        """Bets that are resting, or matched in a market that is not settled.

        Raises:
            ApiError: REQUEST_SIZE_EXCEEDS_LIMIT for more than 250 ids.
            ParameterError: a parameter is not what it should be.
        """
        bet_ids, market_ids = params.get("betIds"), params.get("marketIds")
        asked = len(bet_ids or ()) + len(market_ids or ())
        if asked > IDS:
            raise ApiError("REQUEST_SIZE_EXCEEDS_LIMIT", f"{asked} bet and market ids, at most {IDS} are allowed")
        wanted = _wanted(params)
        placed_within, within = TimeRange(params, "placedDateRange"), TimeRange(params, "dateRange")
        key, moment = _ORDERS[chosen(params, "orderBy", frozenset(_ORDERS), "BY_BET") or "BY_BET"]
        backwards = chosen(params, "sortDir", _DIRECTIONS) == LATEST_TO_EARLIEST
        described, sources = params.get("includeItemDescription", False), params.get("includeSourceId", False)
        first, count = paging(params)
        projection = chosen(params, "orderProjection", _PROJECTIONS, ALL) or ALL
        found = []
        for bet in self.current(account.username, projection=projection):
            if not wanted(bet):
                continue
            at = moment(bet)
            if at is None or (within and at not in within) or (placed_within and _placed(bet) not in placed_within):
                continue
            if not self._left_out(bet, "listCurrentOrders"):
                found.append(bet)
        found.sort(key=key, reverse=backwards)
        rows = found[first : first + count]
        return {
            "currentOrders": [current_order(bet, account, described, sources) for bet in rows],
            "moreAvailable": first + len(rows) < len(found),
        }

    async def list_cleared_orders(self, account: AccountSettings, params: dict[str, Any]) -> dict[str, Any]:
        """Bets that have come to their end, or sums of them: see `ClearedOrders`."""
        bets = list(self._bets[account.username].values())

        def left_out(bet: AccountBet) -> bool:
            return self._left_out(bet, "listClearedOrders")

        return self._cleared.listed(account, bets, params, paging(params), left_out)

    def _left_out(self, bet: AccountBet, operation: str) -> bool:
        """The fault that a list does not show a bet."""
        if self._faults is None or not self._faults.armed:
            return False
        at, where = self._exchange.clock.now_ms, {"market_id": bet.market_id, "bet_id": bet.bet_id}
        fault = self._faults.take("list.leave_out", at, username=bet.username, operation=operation, **where)
        return fault is not None

    async def list_market_profit_and_loss(self, account: AccountSettings, params: dict[str, Any]) -> list[Any]:
        """What an account wins or loses by each runner's result, in markets of odds that are not closed.

        Raises:
            ApiError: REQUEST_SIZE_EXCEEDS_LIMIT for more than 250 ids.
            ParameterError: a parameter is missing, or is not what it should be.
        """
        market_ids = frozenset(required(params, "marketIds"))
        if len(market_ids) > IDS:
            raise ApiError("REQUEST_SIZE_EXCEEDS_LIMIT", f"{len(market_ids)} market ids, at most {IDS} are allowed")
        with_bsp, net = params.get("includeBspBets", False), params.get("netOfCommission", False)
        found = []
        for market_id in sorted(market_ids):
            market = self._exchange.markets.get(market_id)
            if market is None or market.closed_at is not None or market.gone:
                continue
            if market.definition.betting_type not in (None, "ODDS"):
                continue
            bets = self.current(account.username, market_id)
            if bets:
                # A market is settled as a whole: while it is open there are no settled bets to include.
                rate = self._bank.commission_on(account.username, market, 100.0) if net else None
                found.append(profit_and_loss(market, bets, with_bsp, rate))
        return found


def paging(params: dict[str, Any]) -> tuple[int, int]:
    """The first row, and how many; 0, and more than fit one answer, mean as many as fit.

    Raises:
        ApiError: INVALID_INPUT_DATA for numbers below 0.
    """
    first, count = params.get("fromRecord", 0), params.get("recordCount", 0)
    if first < 0 or count < 0:
        raise ApiError("INVALID_INPUT_DATA", f"fromRecord {first}, recordCount {count}: expected 0 or more")
    return first, min(count or PAGE, PAGE)


def _wanted(params: dict[str, Any]) -> Callable[[AccountBet], bool]:
    """Whether a bet is one of those asked for; an empty list restricts nothing."""
    names: tuple[tuple[str, Callable[[AccountBet], str]], ...] = (
        ("betIds", lambda bet: bet.bet_id),
        ("marketIds", lambda bet: bet.market_id),
        ("customerOrderRefs", lambda bet: bet.order_ref),
        ("customerStrategyRefs", lambda bet: bet.strategy_ref),
    )
    sets = [(frozenset(params[name]), value) for name, value in names if params.get(name)]
    return lambda bet: all(value(bet) in values for values, value in sets)


def _nothing_is_left(bet: AccountBet) -> bool:
    """It has ended, and what was asked for was cancelled, lapsed or voided, all of it."""
    return bet.came_to_nothing and bool(bet.cancelled or bet.lapsed or bet.voided)


def _has_status(bet: AccountBet, projection: str) -> bool:
    return projection == ALL or bet.executable == (projection == EXECUTABLE)


def _placed(bet: AccountBet) -> int:
    return to_second(bet.placed_ms)


def _matched(bet: AccountBet) -> int | None:
    return None if bet.matched_ms is None else to_second(bet.matched_ms)


def _last(at: int | None) -> int:
    return -1 if at is None else at


Key = Callable[[AccountBet], tuple[Any, ...]]

#: By order: what to sort by, and which time `dateRange` is about; bets that do not have that time are left out.
_ORDERS: dict[str, tuple[Key, Callable[[AccountBet], int | None]]] = {
    "BY_BET": (lambda bet: (bet.placed_ms, bet.bet_id), _placed),
    "BY_PLACE_TIME": (lambda bet: (bet.placed_ms, bet.bet_id), _placed),
    "BY_MARKET": (lambda bet: (bet.market_id, bet.placed_ms, bet.bet_id), _placed),
    "BY_MATCH_TIME": (lambda bet: (_last(bet.matched_ms), bet.placed_ms, bet.bet_id), _matched),
    "BY_SETTLED_TIME": (
        lambda bet: (_last(bet.settled_ms), _last(bet.matched_ms), bet.placed_ms, bet.bet_id),
        lambda bet: bet.settled_ms,
    ),
    "BY_VOID_TIME": (
        lambda bet: (_last(bet.voided_ms), _last(bet.matched_ms), bet.placed_ms, bet.bet_id),
        lambda bet: bet.voided_ms,
    ),
}


def current_order(
    bet: AccountBet, account: AccountSettings, described: bool = False, sources: bool = False
) -> dict[str, Any]:
    """A `CurrentOrderSummary`: what does not apply is left out.

    `described`: with the version of the market when the bet was placed; `sources`: with what placed it.
    """
    found: dict[str, Any] = {
        "betId": bet.bet_id,
        "marketId": bet.market_id,
        "selectionId": bet.selection_id,
        "handicap": bet.handicap,
        "priceSize": {"price": bet.price, "size": bet.size if bet.is_limit else 0.0},
        "bspLiability": bet.liability,
        "side": bet.asked.side,
        "status": EXECUTABLE if bet.executable else EXECUTION_COMPLETE,
        "persistenceType": bet.persistence or "LAPSE",
        "orderType": bet.order_type,
        "placedDate": written_to_second(bet.placed_ms),
        "averagePriceMatched": bet.average,
        "sizeMatched": bet.matched,
        "sizeRemaining": bet.remaining,
        "sizeLapsed": bet.lapsed,
        "sizeCancelled": 0.0 if bet.replaced else bet.cancelled,
        "sizeVoided": bet.voided,
        "regulatorCode": _REGULATORS.get(account.jurisdiction, _OTHER_REGULATOR),
    }
    if bet.matched_ms is not None:
        found["matchedDate"] = written_to_second(bet.matched_ms)
    if bet.cancelled_ms is not None:
        found["cancelledDate"] = written_to_second(bet.cancelled_ms)
    if bet.lapsed_ms is not None:
        found["lapsedDate"] = written(bet.lapsed_ms)
    if bet.lapse_reason is not None:
        found["lapseStatusReasonCode"] = bet.lapse_reason
    if bet.order_ref:
        found["customerOrderRef"] = bet.order_ref
    if bet.strategy_ref:
        found["customerStrategyRef"] = bet.strategy_ref
    if described:
        found["currentItemDescription"] = {"marketVersion": {"version": bet.market_version or 0}}
    if sources:
        found["sourceIdKey"] = account.app_key
        found["sourceIdDescription"] = "API"
    return found
