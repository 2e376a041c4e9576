"""The heartbeat API of the rehearsal exchange. Rules: docs/exchange.md."""

from __future__ import annotations

import asyncio

import pytest

from builders import priced
from exchange_builders import BOB, Fault
from exchange_desk import Desk, Report, at_close, limit
from headrace.simulate.exchange.betting.heartbeat_api import later
from headrace.simulate.exchange.errors import ParameterError


def beat(desk: Desk, seconds: int) -> Report:
    report: Report = desk.call("heartbeat", {"preferredTimeoutSeconds": seconds})
    return report


@pytest.mark.parametrize(("asked", "actual"), [(10, 10), (300, 300), (3, 10), (1000, 300), (60, 60)])
def test_the_time_is_between_ten_seconds_and_five_minutes(asked: int, actual: int) -> None:
    desk = Desk()
    assert beat(desk, asked) == {"actionPerformed": "NONE", "actualTimeoutSeconds": actual}
    assert desk.timers[-1].seconds == actual


def test_silence_cancels_limit_bets_of_all_markets_and_nothing_else() -> None:
    desk = Desk()
    resting, at_sp = desk.placed(limit(3.0, 5)), desk.placed(at_close(20))
    foreign = desk.placed(limit(3.0, 5), account=BOB)
    beat(desk, 10)
    desk.timers[-1].function()
    assert (resting.cancelled, at_sp.ended, foreign.executable) == (5.0, False, True)
    assert beat(desk, 10)["actionPerformed"] == "ALL_BETS_CANCELLED"
    assert beat(desk, 10)["actionPerformed"] == "NONE"


def test_bets_of_suspended_markets_stay() -> None:
    desk = Desk(priced().suspend(200))
    bet = desk.placed(limit(3.0, 5, persistenceType="PERSIST"))
    beat(desk, 10)
    desk.play()
    desk.timers[-1].function()
    assert bet.executable
    assert beat(desk, 10)["actionPerformed"] == "SOME_BETS_NOT_CANCELLED"


def test_silence_without_bets_does_nothing() -> None:
    desk = Desk()
    beat(desk, 10)
    desk.timers[-1].function()
    assert beat(desk, 10)["actionPerformed"] == "NONE"


def test_each_heartbeat_starts_the_time_anew_and_nought_stops_it() -> None:
    desk = Desk()
    beat(desk, 10)
    beat(desk, 20)
    assert [timer.running for timer in desk.timers] == [False, True]
    assert beat(desk, 0) == {"actionPerformed": "NONE", "actualTimeoutSeconds": 0}
    assert [timer.running for timer in desk.timers] == [False, False]


@pytest.mark.parametrize("action", ["CANCELLATION_REQUEST_SUBMITTED", "CANCELLATION_REQUEST_ERROR"])
def test_other_actions_come_by_fault(action: str) -> None:
    desk = Desk(faults=[Fault("account.heartbeat", value=action)])
    assert beat(desk, 10)["actionPerformed"] == action


def test_a_heartbeat_says_how_long() -> None:
    with pytest.raises(ParameterError):
        Desk().call("heartbeat")


def test_a_stopped_exchange_leaves_no_timers() -> None:
    desk = Desk()
    bet = desk.placed(limit(3.0, 5))
    beat(desk, 10)
    desk.heartbeats.stop()
    assert not desk.timers[-1].running
    assert bet.executable


def test_timers_run_on_real_time() -> None:
    async def wait() -> list[str]:
        called: list[str] = []
        later(0.01, lambda: called.append("due"))
        later(0.01, lambda: called.append("cancelled")).cancel()
        await asyncio.sleep(0.05)
        return called

    assert asyncio.run(wait()) == ["due"]
