"""The state of a live system: one dict for all who look, the terminal, the page, and `headrace live status`.

Times are milliseconds since the epoch, money is in each account's currency. Keys:

| key | what |
| --- | --- |
| at | when it was made |
| instance, reference | the folder and the reference of this instance |
| pid | of the coordinator's process |
| page | the address of the web page, without its token; "" where there is none |
| page_pid | the process of the page; 0 where there is none |
| on_stop | what becomes of bets that rest when the system stops: cancel, leave |
| stopping | why placing has stopped; "" while it has not |
| stopped | the system has stopped, and nothing of it rests that was to be cancelled |
| placing_allowed | bets may be placed with some account |
| idle | there were markets, and all are closed, with their results, and nothing is open |
| cancelling | null, or how far cancelling is: done, open (bets that rest), left (orders that cannot be cancelled, each with why) |
| markets | rows: market_id, event, name, status, inplay, crew, host, stalled, strategy, orders, live, matched, exposure, profit, changes, pt |
| orders | live ones, 1 000 at most, those in doubt first, then the latest: order_id, bet_id, market_id, strategy, selection_id, side, price, size, matched, remaining, status, age_ms, in_doubt, username |
| live_orders | how many there are |
| held | markets in which nothing that adds to the risk is placed: market_id, username, why |
| foreign | bets that were placed elsewhere: bet_id, market_id, selection_id, side, price, size, matched, remaining, username |
| clients | rows: venue, username, paper, session, ready, funds, funds_age_s, exposure, transactions_hour, currency, heartbeat_age_s (since one was answered; null: there are none) |
| streams | rows: the fields of `letters.StreamState`, pid |
| hosts | rows: name, markets, depth, behind, lost, busy_ms, busy_in (where a callback stands), stalled, pid |
| hosts_coming | hosts that are not ready yet |
| latency | tick_ms, order_ms, stream_lag_ms: count, median, p99, worst |
| risk | limits, and where they stand |
| watchdogs | figures that are above their limits: kind, what, value, limit, since, text; see `watchdogs` |
| events | the last 200: at, kind, text |
| restarts | hosts and streams that were started again, by this coordinator |
| restoring | markets that wait for a host to go on with them |
| in_doubt | orders and changes of which it is not known what became of them |
| journal | bytes (of its files), unwritten (why it cannot be written; "") |
| counts | letters, failures, violations, alerts that could not be posted, markets, custom events |
"""  # noqa: E501

from __future__ import annotations

import dataclasses
import json
import statistics
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import msgspec

from ...strategies.changes import MarketDefinition
from ..betfair.known_bet import KnownBet
from ..letters import HostState, StreamState
from .account_exposure import account_loss, markets_at_stake
from .accounts import Accounts
from .desk import Desk

#: Most rows of live orders. Whoever looks does so twice a second, and the thread that makes them sends orders.
MOST_ORDERS = 1_000
#: An account, and a bet of it.
LiveBet = tuple[Desk, KnownBet]
#: Seconds that are long for one figure.
_LONG_S = 0.002
_NOTHING = {"count": 0, "median": 0.0, "p99": 0.0, "worst": 0.0}


def order_rows(live: list[LiveBet], at_ms: int) -> list[dict[str, Any]]:
    """Rows of live orders: of more than may be told those in doubt, then the latest."""
    if len(live) > MOST_ORDERS:
        live = sorted(live, key=lambda each: (not _in_doubt(*each), -each[1].asked_at))[:MOST_ORDERS]
    return [_order_row(desk, bet, at_ms) for desk, bet in live]


def live_bets(accounts: Accounts) -> list[LiveBet]:
    """Live orders of all accounts, and those in doubt."""
    return [(desk, bet) for desk in accounts for bet in desk.bets.live]


def _in_doubt(desk: Desk, bet: KnownBet) -> bool:
    return bet.in_doubt or (desk.orders is not None and bet.order_id is not None and desk.orders.in_doubt(bet.order_id))


def _order_row(desk: Desk, bet: KnownBet, at_ms: int) -> dict[str, Any]:
    in_doubt = _in_doubt(desk, bet)
    status = "IN_DOUBT" if in_doubt else "PENDING" if bet.bet_id is None else "EXECUTABLE"
    return {
        "order_id": bet.order_id,
        "bet_id": bet.bet_id,
        "market_id": bet.market_id,
        "strategy": bet.strategy,
        "selection_id": bet.selection_id,
        "side": bet.side,
        "price": bet.price,
        "size": bet.size,
        "matched": bet.matched,
        "remaining": bet.remaining,
        "status": "UNCONFIRMED" if bet.unconfirmed else status,
        "age_ms": max(0, at_ms - bet.asked_at),
        "in_doubt": in_doubt,
        "username": desk.owner[1],
    }


def held_rows(accounts: Accounts) -> list[dict[str, Any]]:
    """Markets in which nothing that adds to the risk is placed, for it is not known how bets stand there."""
    return [
        {"market_id": market_id, "username": desk.owner[1], "why": why}
        for desk in accounts
        if desk.orders is not None
        for market_id, why in desk.orders.held.items()
    ]


def foreign_rows(accounts: Accounts) -> list[dict[str, Any]]:
    """Bets of the accounts that were placed elsewhere."""
    return [
        {
            "bet_id": bet.bet_id,
            "market_id": bet.market_id,
            "selection_id": bet.selection_id,
            "side": bet.side,
            "price": bet.price,
            "size": bet.size,
            "matched": bet.matched,
            "remaining": bet.remaining,
            "username": desk.owner[1],
        }
        for desk in accounts
        for bet in desk.bets.foreign.values()
    ]


def client_rows(
    accounts: Accounts,
    unready: Collection[tuple[str, str]],
    funds_at: dict[tuple[str, str], int],
    exposures: AccountExposures,
    at_ms: int,
) -> list[dict[str, Any]]:
    """The accounts."""
    found = []
    for desk in accounts:
        client, funds, told = desk.client, desk.client.account_funds, funds_at.get(desk.owner)
        session = "none" if desk.live is None else "open" if desk.live.token is not None else "closed"
        if desk.live is not None and desk.live.session.given_up:
            session = f"given up: {desk.live.session.error}"
        found.append(
            {
                "venue": desk.owner[0],
                "username": desk.owner[1],
                "paper": client.simulated,
                "session": session,
                "ready": desk.owner not in unready,
                "funds": getattr(funds, "available_to_bet_balance", None),
                "funds_age_s": None if told is None else round((at_ms - told) / 1000, 1),
                "exposure": exposures.of(desk),
                "transactions_hour": client.current_transaction_count_total,
                "currency": client.currency_code,
                "heartbeat_age_s": _heartbeat_age(desk, at_ms),
            }
        )
    return found


def _heartbeat_age(desk: Desk, at_ms: int) -> float | None:
    """Seconds since the last heartbeat that the exchange has answered; None: it was asked to watch for none."""
    beat = None if desk.live is None else desk.live.heartbeat
    return None if beat is None or beat.heard_ms is None else round((at_ms - beat.heard_ms) / 1000, 1)


class AccountExposures:
    """What all bets of an account can lose, wherever they were placed, in markets without results.

    Where bets are so many that counting takes long it is done once a second.
    """

    def __init__(self, definition_of: Callable[[str], MarketDefinition | None]) -> None:
        self._definition_of = definition_of
        self._known: dict[tuple[str, str], tuple[float, float]] = {}

    def of(self, desk: Desk) -> float:
        began = time.perf_counter()
        until, known = self._known.get(desk.owner, (0.0, 0.0))
        if began < until:
            return known
        markets = [each for each in markets_at_stake(desk.bets) if not desk.settled(each)]
        found = round(sum(account_loss(desk.bets, each, self._definition_of(each)) for each in markets), 2)
        ended = time.perf_counter()
        self._known[desk.owner] = (ended + (1.0 if ended - began > _LONG_S else 0.0), found)
        return found


def stream_rows(states: Iterable[StreamState]) -> list[dict[str, Any]]:
    """The streams."""
    return [msgspec.to_builtins(state) for state in states]


def tick_figures(states: Iterable[HostState]) -> dict[str, float]:
    """Times from reading a change to the end of its callbacks, of all hosts: medians weighed, the worst of the rest."""
    figures = [found for state in states if (found := json.loads(state.tick_ms)).get("count")]
    count = sum(each["count"] for each in figures)
    if not count:
        return dict(_NOTHING)
    return {
        "count": count,
        "median": round(sum(each["median"] * each["count"] for each in figures) / count, 3),
        "p99": max(each["p99"] for each in figures),
        "worst": max(each["worst"] for each in figures),
    }


def order_figures(accounts: Accounts) -> dict[str, float]:
    """Times of the last calls about orders."""
    times = sorted(_times(accounts))
    if not times:
        return dict(_NOTHING)
    return {
        "count": len(times),
        "median": float(statistics.median(times)),
        "p99": float(times[min(len(times) - 1, int(len(times) * 0.99))]),
        "worst": float(times[-1]),
    }


def _times(accounts: Accounts) -> Iterator[int]:
    for desk in accounts:
        if desk.live is not None:
            yield from desk.live.execution.times_ms


def lag_figures(states: Iterable[StreamState]) -> dict[str, float]:
    """From the publish time of the last message of each stream to its reading."""
    lags = sorted(state.lag_ms for state in states if state.messages)
    if not lags:
        return dict(_NOTHING)
    return {"count": len(lags), "median": float(statistics.median(lags)), "p99": lags[-1], "worst": lags[-1]}


def event_rows(events: Iterable[Any]) -> list[dict[str, Any]]:
    """What has happened."""
    return [dataclasses.asdict(event) for event in events]
