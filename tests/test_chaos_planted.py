"""Defects that are planted in a live system come to light in the exchange's ledger, as `benchmarks.chaos` reads it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headrace.actors.betfair.execution import Execution
from headrace.actors.betfair.known_bets import KnownBets
from headrace.strategies.messages import PLACE, Request
from live_systems import Noting, System, folder, system
from live_trading import venue

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
try:
    from benchmarks.chaos_oracle import History
finally:
    sys.path.remove(str(ROOT))

__all__ = ["folder"]


def witnessed(running: System) -> History:
    return History(running.exchange.do(running.exchange.service.ledger.entries))


def exposure(running: System) -> float:
    """As the exchange says it."""
    return float(running.exchange.do(lambda: running.exchange.service.bank.exposure("alice")))


def wrong(folder: Path, ready: Callable[[System], Any], prices: list[float]) -> tuple[list[str], list[str]]:
    """What the ledger finds in a system that has placed an order at each price: at once, and at rest."""
    Noting.wanted[:] = prices
    with venue() as exchange, system(exchange, folder) as running:
        running.until(lambda: ready(running))
        history = witnessed(running)
        return history.wrong, history.differences_at_rest(running.live.state(), exposure(running))


def rests(count: int) -> Callable[[System], bool]:
    """So many bets rest, and so many orders are live."""
    return lambda running: len(running.exchange.bets) == count and all(order.bet_id for order in running.orders())


def test_nothing_is_found_where_nothing_is_planted(folder: Path) -> None:
    assert wrong(folder, rests(2), [3.0, 3.1]) == ([], [])


def test_a_placing_that_is_sent_twice_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    send = Execution.send

    def twice(self: Execution, request: Request) -> None:
        send(self, request)
        if request.kind == PLACE:
            send(self, msgspec.structs.replace(request, request_id=f"{request.request_id}+"))

    monkeypatch.setattr(Execution, "send", twice)
    at_once, _ = wrong(folder, lambda running: len(running.exchange.bets) == 2, [3.0])
    assert [line.partition(":")[0].split()[-2:] for line in at_once] == [["sent", "twice"], ["placed", "twice"]]


def test_a_bet_that_the_coordinator_forgets_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    live = KnownBets.live
    monkeypatch.setattr(KnownBets, "live", property(lambda self: [bet for bet in live.fget(self) if bet.price != 3.1]))
    _, at_rest = wrong(folder, rests(2), [3.0, 3.1])
    (line,) = at_rest
    assert line.endswith("rests, and is not known")


def test_a_match_that_is_not_taken_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take = KnownBets.take_fact
    monkeypatch.setattr(
        KnownBets,
        "take_fact",
        lambda self, fact: take(self, msgspec.structs.replace(fact, matched=0.0, remaining=fact.size)),
    )

    def matched(running: System) -> bool:
        return any(order.size_matched for order in running.orders())

    _, at_rest = wrong(folder, matched, [1.9])
    assert at_rest == ["open bets: 0.00 could be lost, by the ledger 5.00"]
