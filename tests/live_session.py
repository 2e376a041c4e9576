"""Whole live systems in tests: `hr.Live` on threads at an exchange of this process, played message by message.

with venue(priced().touch(400).close()) as exchange:
    with session(exchange, [Strategy()]) as live:
        play(live, exchange)
    live.result
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

import headrace as hr
from headrace.actors.live import host
from live_trading import Venue

WAIT = 60.0


def until(true: Callable[[], object], what: str = "it") -> None:
    """Wait for something, and say what if it does not come."""
    end = time.monotonic() + WAIT
    while not true():
        assert time.monotonic() < end, f"{what} has not come in {WAIT:g} s"
        time.sleep(0.005)


def made(
    exchange: Venue,
    strategies: Sequence[hr.Strategy],
    *,
    paper: bool = False,
    client: Mapping[str, Any] | None = None,
    **settings: Any,
) -> hr.Live:
    """A system that is not started. A strategy without a filter has all markets of the exchange's sport.

    Args:
        client: settings of the account.
    """
    live = hr.Live(**{"engine": "local", "page": False, **settings})
    live.add_client(hr.BetfairClient(exchange.client(), interactive_login=True, paper_trade=paper, **(client or {})))
    for strategy in strategies:
        if not strategy.market_filter:
            strategy.market_filter = {"event_type_ids": ["7"]}
        live.add_strategy(strategy)
    return live


@contextmanager
def running(live: hr.Live) -> Iterator[hr.Live]:
    """Start a system; it may place once this begins, and has ended, with a result, after it."""
    with telling_often():
        live.start()
        try:
            until(lambda: live.state()["placing_allowed"], "leave to place")
            yield live
        finally:
            live.end()


def telling_often() -> AbstractContextManager[object]:
    """Hosts in this process tell how they stand not once a second, but often: tests wait for what they tell."""
    return patch.object(host, "STATE_MS", 20)


def seen(live: hr.Live) -> dict[str, int]:
    """The publish time that each market has at its hosts: of several, the earliest."""
    found: dict[str, int] = {}
    for row in live.state()["markets"]:
        found[row["market_id"]] = min(row["pt"], found.get(row["market_id"], row["pt"]))
    return found


def play(live: hr.Live, exchange: Venue, messages: int = 100) -> None:
    """Play message by message; each has reached every strategy before the next is played."""
    for _ in range(messages):
        before = exchange.do(lambda: exchange.service.exchange.next_message_at)
        if before is None:
            return
        exchange.step()
        until(lambda at=before: all(pt >= at for pt in seen(live).values()) and seen(live), "a change")
