"""Lists that the exchange is asked for: bets, catalogues, funds. Whole lists: page after page, call after call.

Reading twice does no harm: what fails is asked again a few times. Sources: "listCurrentOrders", "listClearedOrders",
"listMarketCatalogue", "getAccountFunds", "getAccountDetails".
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from ...strategies.order_package import chunks
from ...values import UNREADABLE
from .api import Api, Question
from .classification import ANSWERED, PASSING_CODES, REFUSED, Answer

#: Rows of a page; bets, markets and references that one call may name.
PAGE, NAMED = 1_000, 250
#: Catalogues of a call, and what of them is asked for; ids of a call that asks for nothing but ids.
CATALOGUES, IDS = 25, 1_000
PROJECTION = (
    "COMPETITION",
    "EVENT",
    "EVENT_TYPE",
    "RUNNER_DESCRIPTION",
    "RUNNER_METADATA",
    "MARKET_START_TIME",
    "MARKET_DESCRIPTION",
)
#: How often a call is made, and seconds between.
_TRIES, _WAIT_S = 3, 1.0
#: Lists of an account that are read at once: of three of its calls the exchange refuses the fourth.
_AT_ONCE = 2
#: Pages after which a list is taken to have no end.
_MOST_PAGES = 1_000


@dataclasses.dataclass(frozen=True, slots=True)
class Listed:
    """A list as it was read.

    Attributes:
        rows: as the exchange has them, each once.
        begun_ms, ended_ms: when the first call began, and the last ended, milliseconds since the epoch: what was so
            before `begun_ms` is in the list.
        error: why the list is not whole, in words; empty: it is.
        code: the exchange's word for it, if it has one.
    """

    rows: list[dict[str, Any]]
    begun_ms: int
    ended_ms: int
    error: str = ""
    code: str = ""


class AccountFunds(msgspec.Struct, rename="camel", frozen=True):
    """Money of an account, in its currency. `exposure`: what open bets may lose, 0 or less."""

    available_to_bet_balance: float | None = None
    exposure: float | None = None
    retained_commission: float | None = None
    exposure_limit: float | None = None
    discount_rate: float | None = None
    points_balance: float | None = None
    wallet: str | None = None


class AccountDetails(msgspec.Struct, rename="camel", frozen=True):
    """What the exchange knows of an account. `discount_rate`: percent off commission."""

    currency_code: str | None = None
    discount_rate: float | None = None
    points_balance: float | None = None
    region: str | None = None
    locale_code: str | None = None
    timezone: str | None = None
    country_code: str | None = None


#: Takes a list.
TakeList = Callable[[Listed], object]


class Lists:
    """The lists of one account. All calls back are made later, always once."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._calls = api.calls
        self._reading = 0
        self._waiting: collections.deque[_Reading] = collections.deque()

    # -- bets ----------------------------------------------------------------------------------------------------

    def current_orders(
        self,
        done: TakeList,
        *,
        bet_ids: Iterable[str] | None = None,
        order_refs: Iterable[str] | None = None,
        market_ids: Iterable[str] | None = None,
        strategy_refs: Iterable[str] = (),
        projection: str = "ALL",
    ) -> None:
        """Bets of markets that are not settled, in the order of their placing.

        Args:
            bet_ids, order_refs, market_ids: only those; None: all. One of them at most.
            strategy_refs: only those with one of them; none: all.
            projection: ALL, EXECUTABLE or EXECUTION_COMPLETE.
        """
        params: dict[str, Any] = {
            "orderProjection": projection,
            "orderBy": "BY_PLACE_TIME",
            "sortDir": "EARLIEST_TO_LATEST",
            "recordCount": PAGE,
        }
        if strategy_refs:
            params["customerStrategyRefs"] = list(strategy_refs)
        named = {"betIds": bet_ids, "customerOrderRefs": order_refs, "marketIds": market_ids}
        self._read(_Reading("listCurrentOrders", "currentOrders", "betId", _of_each(params, named), done, _by_time))

    def cleared_orders(
        self,
        status: str,
        done: TakeList,
        *,
        bet_ids: Iterable[str] | None = None,
        order_refs: Iterable[str] | None = None,
        market_ids: Iterable[str] | None = None,
        strategy_refs: Iterable[str] = (),
        settled_from: str | None = None,
    ) -> None:
        """Bets that have come to an end.

        Args:
            status: SETTLED, VOIDED, LAPSED or CANCELLED.
            settled_from: only those that did so at this moment or later, such as 2026-01-31T00:00:00.000Z.

        What else narrows it is as for `current_orders`.
        """
        params: dict[str, Any] = {"betStatus": status, "recordCount": PAGE}
        if settled_from is not None:
            params["settledDateRange"] = {"from": settled_from}
        if strategy_refs:
            params["customerStrategyRefs"] = list(strategy_refs)
        named = {"betIds": bet_ids, "customerOrderRefs": order_refs, "marketIds": market_ids}
        self._read(_Reading("listClearedOrders", "clearedOrders", "betId", _of_each(params, named), done, _by_number))

    def cleared_markets(self, market_ids: Iterable[str] | None, done: TakeList) -> None:
        """The account's results of markets, one row for each that is settled, commission included."""
        params = {"betStatus": "SETTLED", "groupBy": "MARKET", "recordCount": PAGE}
        asked = _of_each(params, {"marketIds": market_ids})
        self._read(_Reading("listClearedOrders", "clearedOrders", "marketId", asked, done, _by_number))

    # -- markets -------------------------------------------------------------------------------------------------

    def catalogues(self, market_ids: Iterable[str], done: Callable[[dict[str, bytes], str], object]) -> None:
        """Catalogues of markets: JSON by market id, of those that the exchange has; and why some may be missing."""
        wanted = list(dict.fromkeys(market_ids))
        asked = [
            {"filter": {"marketIds": list(chunk)}, "maxResults": CATALOGUES, "marketProjection": list(PROJECTION)}
            for chunk in chunks(wanted, CATALOGUES)
        ]

        def read(listed: Listed) -> None:
            done({row["marketId"]: msgspec.json.encode(row) for row in listed.rows}, listed.error)

        self._read(_Reading("listMarketCatalogue", "", "marketId", asked, read, _no_more))

    def find_markets(self, market_filters: Sequence[dict[str, Any]], done: TakeList) -> None:
        """Rows with the ids of markets that pass any of several filters, the first to start first; 1 000 of each."""
        asked = [{"filter": each, "maxResults": IDS, "sort": "FIRST_TO_START"} for each in market_filters]
        self._read(_Reading("listMarketCatalogue", "", "marketId", asked, done, _no_more))

    # -- the account ---------------------------------------------------------------------------------------------

    def funds(self, done: Callable[[AccountFunds | None, str], object]) -> None:
        """Money; None and why, if it is not told."""
        self._one("getAccountFunds", AccountFunds, done)

    def details(self, done: Callable[[AccountDetails | None, str], object]) -> None:
        """Currency and discount; None and why, if they are not told."""
        self._one("getAccountDetails", AccountDetails, done)

    def _one(self, operation: str, kind: type[Any], done: Callable[[Any, str], object]) -> None:
        def answered(answer: Answer) -> None:
            if answer.verdict != ANSWERED:
                done(None, answer.why)
                return
            try:
                found = msgspec.json.decode(answer.result, type=kind, strict=False)
            except UNREADABLE as error:
                done(None, f"the answer of {operation} cannot be read: {error}")
                return
            done(found, "")

        self._ask(operation, {}, answered, 1)

    # -- reading -------------------------------------------------------------------------------------------------

    def _read(self, reading: _Reading) -> None:
        if self._reading >= _AT_ONCE:
            self._waiting.append(reading)
            return
        self._reading += 1
        reading.begun_ms = self._calls.clock_ms()
        if reading.asked:
            self._next_part(reading)
        else:
            self._calls.later(reading.begun_ms, lambda: self._end(reading))

    def _next_part(self, reading: _Reading) -> None:
        if not reading.asked:
            self._end(reading)
            return
        reading.page = dict(reading.asked.pop(0))
        reading.pages = 0
        self._ask_page(reading)

    def _ask_page(self, reading: _Reading) -> None:
        reading.pages += 1
        self._ask(reading.operation, reading.page, lambda answer: self._page(reading, answer), 1)

    def _page(self, reading: _Reading, answer: Answer) -> None:
        if answer.verdict != ANSWERED:
            self._end(reading, f"{reading.operation}: {answer.why}", answer.code)
            return
        try:
            found = msgspec.json.decode(answer.result)
            rows = found[reading.rows_in] if reading.rows_in else found
            more = bool(reading.rows_in and found.get("moreAvailable"))
            for row in rows:
                reading.found.setdefault(str(row[reading.key]), row)
        except (*UNREADABLE, KeyError, TypeError, AttributeError) as error:
            self._end(reading, f"the answer of {reading.operation} cannot be read: {error!r}")
            return
        if not more or not rows:
            self._next_part(reading)
        elif reading.pages >= _MOST_PAGES:
            self._end(reading, f"{reading.operation} has no end after {reading.pages} pages")
        else:
            reading.advance(reading.page, rows)
            self._ask_page(reading)

    def _end(self, reading: _Reading, error: str = "", code: str = "") -> None:
        self._reading -= 1
        if self._waiting:
            self._read(self._waiting.popleft())
        now = self._calls.clock_ms()
        reading.done(Listed(list(reading.found.values()), reading.begun_ms, now, error, code))

    def _ask(self, operation: str, params: dict[str, Any], done: Callable[[Answer], object], tried: int) -> None:
        def answered(answer: Answer) -> None:
            for_good = answer.verdict == REFUSED and answer.code not in PASSING_CODES
            if answer.verdict == ANSWERED or for_good or tried >= _TRIES:
                done(answer)
                return
            at = self._calls.clock_ms() + _WAIT_S * 1000
            self._calls.later(at, lambda: self._ask(operation, params, done, tried + 1))

        self._api.ask(Question(operation, params, answered))


@dataclasses.dataclass(slots=True)
class _Reading:
    """A list that is being read.

    Attributes:
        rows_in: the field that holds the rows; empty: the answer is the rows.
        key: the field that tells rows apart.
        asked: parameters of the parts that are still to be read.
        advance: makes the parameters of the next page of those of this one, and its rows.
    """

    operation: str
    rows_in: str
    key: str
    asked: list[dict[str, Any]]
    done: TakeList
    advance: Callable[[dict[str, Any], list[dict[str, Any]]], object]
    page: dict[str, Any] = dataclasses.field(default_factory=dict)
    pages: int = 0
    found: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    begun_ms: int = 0


def _of_each(params: dict[str, Any], named: dict[str, Iterable[str] | None]) -> list[dict[str, Any]]:
    """Parameters for what is named, as much in each call as the exchange takes; without names: for all there is."""
    given = {name: list(dict.fromkeys(values)) for name, values in named.items() if values is not None}
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)}: expected one of them; rows are told by either")
    for name, values in given.items():
        return [{**params, name: list(chunk)} for chunk in chunks(values, NAMED)]
    return [params]


def _by_time(page: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Go on from the time of the last row: rows shift between pages as bets leave the list; times do not."""
    last = rows[-1].get("placedDate")
    if last is None or page.get("dateRange", {}).get("from") == last:
        _by_number(page, rows)
    else:
        page["dateRange"], page["fromRecord"] = {"from": last}, 0


def _by_number(page: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Go on behind the last row. What is new comes first there, and shows rows twice."""
    page["fromRecord"] = page.get("fromRecord", 0) + len(rows)


def _no_more(page: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """The list has no pages."""
