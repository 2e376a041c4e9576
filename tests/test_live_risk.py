"""Limits of a whole live system, and the results of the day that they count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import betfairlightweight
import pytest

import headrace as hr
from headrace.actors.betfair.lists import Listed
from headrace.actors.betfair.places import rehearses
from headrace.actors.letters import Carried
from headrace.actors.live.day import RISK_FILE, Day
from headrace.actors.live.setup import RiskLimits
from headrace.strategies.messages import (
    ANSWERED,
    CANCEL,
    CLEARED,
    PLACE,
    REPLACE,
    SIMULATED,
    SUCCESS,
    CancelInstruction,
    ClearedOrder,
    OrderFact,
    PlaceInstruction,
    ReplaceInstruction,
    Reply,
    Report,
    Request,
)
from live_coordinators import NOW, Bench, LiveClient, placing

DAY_MS = 86_400_000


def limited(folder: Path, **limits: Any) -> Bench:
    """A system with limits, and two markets."""
    bench = Bench(folder, risk=RiskLimits(**limits))
    bench.ready()
    if "max_daily_loss" in limits:
        bench.account.lists.answer_rows("cleared_orders SETTLED")
        bench.role.caught_up(bench.now)
    for market_id, host in (("1.1", "h1"), ("1.2", "h2")):
        bench.sees(market_id)
        bench.opens(market_id, host)
    return bench


def order(order_id: str, side: str = "BACK", size: float = 2.0, price: float = 3.0) -> PlaceInstruction:
    return PlaceInstruction(order_id, f"hash-{order_id}", 11, 0.0, side, "LIMIT", price=price, size=size)


def asks(bench: Bench, market_id: str, *orders: PlaceInstruction) -> list[str]:
    """Place orders; the ids of those that were sent."""
    before = len(bench.account.requests)
    host = "h1" if market_id == "1.1" else "h2"
    bench.asks(placing("", market_id, orders[0].order_id, instructions=orders, asked_at=bench.now), host)
    return [each.order_id for request in bench.account.requests[before:] for each in request.instructions]


def refusals(bench: Bench) -> list[str]:
    return [each.reason for each in bench.role.betting.coordinator.violations.values()]


def test_exposure_counts_over_all_markets(tmp_path: Path) -> None:
    bench = limited(tmp_path, max_exposure=10.0)
    assert asks(bench, "1.1", order("a", size=6.0)) == ["a"]
    assert asks(bench, "1.2", order("b", "LAY", 3.0, 2.5)) == [], "6 and 4.50 are more than 10"
    assert asks(bench, "1.2", order("c", "LAY", 2.0, 3.0)) == ["c"], "6 and 4 are not"
    assert refusals(bench) == ["open bets could lose 10.50 GBP, max_exposure is 10.00"]
    assert [event.kind for event in bench.role.alerts.events if event.kind == "LIMIT"] == ["LIMIT"]


def test_orders_of_one_request_count_together(tmp_path: Path) -> None:
    bench = limited(tmp_path, max_exposure=10.0)
    assert asks(bench, "1.1", order("a", size=6.0), order("b", size=6.0), order("c", size=4.0)) == ["a", "c"]


def test_what_does_not_make_the_worst_case_worse_is_never_stopped(tmp_path: Path) -> None:
    bench = limited(tmp_path, max_exposure=10.0, max_orders_per_second=1)
    asks(bench, "1.1", order("a", size=10.0))
    bench.account.places("a", "91", matched=10.0)
    fact = OrderFact("1.1", "a", "91", "STREAM", bench.now, False, 3.0, 10.0, "LAPSE", matched=10.0, average=3.0)
    bench.take("o1", fact)
    assert asks(bench, "1.1", order("b", "LAY", 10.0, 2.0)) == ["b"], "a hedge"
    cancel = Request("x", "1.1", "Backer", "Betfair", "trader", CANCEL, (CancelInstruction("a", "91"),), bench.now)
    bench.asks(cancel)
    assert bench.account.requests[-1].kind == CANCEL
    assert asks(bench, "1.1", order("c", size=1.0)) == []


def test_a_replace_counts_at_the_worse_of_its_prices(tmp_path: Path) -> None:
    bench = limited(tmp_path, max_exposure=10.0)
    asks(bench, "1.1", order("a", "LAY", 5.0, 2.0))
    bench.account.places("a", "91")
    bench.sees_bet("a", "91", 5.0)

    def replace(price: float, request_id: str) -> bool:
        instruction = ReplaceInstruction("a", "91", price, f"new-{request_id}", f"ref-{request_id}")
        asked = Request(request_id, "1.1", "Backer", "Betfair", "trader", REPLACE, (instruction,), bench.now)
        bench.asks(asked)
        return bench.account.requests[-1].kind == REPLACE

    assert not replace(3.5, "x"), "5 at 3.5 could lose 12.50"
    assert replace(2.8, "y")


def test_what_was_settled_counts_no_more_as_open_and_counts_for_the_day(tmp_path: Path) -> None:
    bench = limited(tmp_path, max_exposure=10.0, max_daily_loss=15.0)
    asks(bench, "1.1", order("a", size=10.0))
    bench.account.places("a", "91", matched=10.0)
    ended = OrderFact("1.1", "a", "91", CLEARED, bench.now, False, 3.0, 10.0, "LAPSE", matched=10.0, average=3.0)
    bench.take("o1", ended)
    assert asks(bench, "1.2", order("b", size=2.0)) == []
    bench.account.execution.answer(ClearedOrder("1.1", "a", "91", bench.now, profit=-10.0))
    assert asks(bench, "1.2", order("c", size=5.0)) == ["c"]
    assert asks(bench, "1.2", order("d", size=1.0)) == []
    assert (
        refusals(bench)[-1] == "with what open bets could lose, 16.00 GBP would be lost today, max_daily_loss is 15.00"
    )


def test_losses_of_today_are_kept_across_restarts(tmp_path: Path) -> None:
    bench = limited(tmp_path, max_daily_loss=15.0)
    asks(bench, "1.1", order("a", size=10.0))
    bench.account.places("a", "91", matched=10.0)
    bench.account.execution.answer(ClearedOrder("1.1", "a", "91", bench.now, profit=-10.0))
    bench.role.stop()
    bench.instance.release()
    again = limited(tmp_path, max_daily_loss=15.0)
    # In another market: in that one it is held until the bet of before is found in the lists.
    again.sees("1.2")
    again.opens("1.2")
    assert asks(again, "1.2", order("b", size=6.0)) == []
    assert asks(again, "1.2", order("c", size=5.0)) == ["c"]


def test_what_was_settled_while_the_system_did_not_run_counts_too(tmp_path: Path) -> None:
    bench = Bench(tmp_path, risk=RiskLimits(max_daily_loss=15.0, risk_timezone="Europe/London"))
    bench.role.betting.day.settle("1.8", "Betfair trader", "GBP", -3.0, NOW)
    bench.ready()
    bench.sees("1.1")
    bench.opens("1.1")
    assert asks(bench, "1.1", order("a", size=1.0)) == []
    assert refusals(bench) == ["what was settled today is not known yet"]
    assert not bench.role.answers.state()["placing_allowed"]
    named, done = bench.account.lists.take("cleared_orders SETTLED")
    assert named == {"strategy_refs": ["tests"], "settled_from": "2023-11-14T00:00:00.000Z"}
    done(Listed([], 0, 0, "SERVICE_BUSY"))
    bench.passes(5_100)
    rows = [("1.7", "70", -4.0), ("1.7", "71", -4.5), ("1.8", "80", -3.0)]
    bench.account.lists.answer_rows(
        "cleared_orders SETTLED", *({"marketId": market, "betId": bet, "profit": each} for market, bet, each in rows)
    )
    bench.passes(1)
    assert bench.role.answers.state()["risk"]["by_currency"]["GBP"]["settled_today"] == -11.5
    assert asks(bench, "1.1", order("b", size=4.0)) == []
    assert asks(bench, "1.1", order("c", size=3.5)) == ["c"]


def test_only_so_many_orders_a_second_are_placed(tmp_path: Path) -> None:
    bench = limited(tmp_path, max_orders_per_second=2)
    assert asks(bench, "1.1", order("a"), order("b"), order("c")) == ["a", "b"]
    bench.passes(999)
    assert asks(bench, "1.2", order("d")) == []
    bench.passes(1)
    assert asks(bench, "1.2", order("e")) == ["e"]
    assert refusals(bench)[0] == "2 orders in the last second, max_orders_per_second is 2"


def test_paper_stands_apart_from_money(tmp_path: Path) -> None:
    clients = [LiveClient(), LiveClient("paper", paper_trade=True)]
    bench = Bench(tmp_path, clients=clients, risk=RiskLimits(max_exposure=10.0))
    bench.ready()
    bench.sees("1.1")
    bench.opens("1.1")
    bench.asks(placing("", request_id="p", instructions=(order("p", size=10.0),), username="paper"))
    bench.asks(placing("", request_id="q", instructions=(order("q", size=10.0),)))
    assert refusals(bench) == []
    bench.asks(placing("", request_id="r", instructions=(order("r", size=1.0),), username="paper"))
    assert refusals(bench) == ["open bets could lose 11.00 GBP (paper), max_exposure is 10.00"]


@pytest.fixture
def day(tmp_path: Path) -> Day:
    return Day(tmp_path, "Europe/London")


def test_a_market_that_is_settled_again_counts_once(day: Day) -> None:
    assert day.settle("1.1", "trader", "GBP", -8.0, NOW)
    assert not day.settle("1.1", "trader", "GBP", -8.0, NOW + 1)
    assert day.settle("1.1", "trader", "GBP", 5.0, NOW + 2)
    assert day.profit(NOW, "GBP") == 5.0
    assert day.profit(NOW, "EUR") == 0.0


def test_a_market_that_is_settled_again_on_another_day_counts_by_the_difference(day: Day, tmp_path: Path) -> None:
    day.settle("1.1", "trader", "GBP", -8.0, NOW)
    day.write(day.as_bytes(NOW))
    again = Day(tmp_path, "Europe/London")
    assert again.settle("1.1", "trader", "GBP", -3.0, NOW + DAY_MS)
    assert again.profit(NOW + DAY_MS, "GBP") == 5.0
    assert again.profit(NOW, "GBP") == -8.0


def test_a_day_begins_at_midnight_of_the_time_zone(tmp_path: Path) -> None:
    before_midnight_utc = 1_720_047_600_000  # 2024-07-03 23:00 UTC
    london, utc = Day(tmp_path, "Europe/London"), Day(tmp_path, "UTC")
    assert london.date(before_midnight_utc) == "2024-07-04"
    assert utc.date(before_midnight_utc) == "2024-07-03"


def test_results_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    (tmp_path / RISK_FILE).write_text("{")
    with pytest.raises(hr.RunError, match=r"risk\.json.*max_daily_loss cannot be kept"):
        Day(tmp_path)


def test_results_on_paper_of_a_host_count_for_its_day(tmp_path: Path) -> None:
    bench = Bench(tmp_path, clients=[LiveClient(paper_trade=True)])
    bench.sees("1.1")
    bench.opens("1.1")
    bench.asks(placing("a"))
    request = bench.carried("h1")[0]
    placed = Reply(request.request_id, "1.1", bench.now, ANSWERED, (Report("a", PLACE, SUCCESS, bet_id="5"),))
    fact = OrderFact("1.1", "a", "5", SIMULATED, bench.now, False, 3.0, 2.0, "LAPSE", matched=2.0, average=3.0)
    for message in (placed, fact, ClearedOrder("1.1", "a", "5", bench.now, profit=10.0)):
        bench.take("h1", Carried("s1.market", message))
    standing = bench.role.betting.risk.standing()["by_currency"]
    assert standing == {"GBP (paper)": {"exposure": 0.0, "settled_today": 10.0, "loss_today": 0.0}}


def test_what_was_lost_in_a_rehearsal_is_not_counted_with_money(tmp_path: Path) -> None:
    with hr.RehearsalExchange(generate=1, speed="step") as exchange:
        assert rehearses(exchange.client())
    assert not rehearses(betfairlightweight.APIClient("a", "b", "c"))
    assert not rehearses(None)
    rehearsal = Day(tmp_path, rehearsal=True)
    rehearsal.settle("1.1", "BETFAIR trader", "GBP", -80.0, NOW)
    rehearsal.write(rehearsal.as_bytes(NOW))
    assert Day(tmp_path).profit(NOW, "GBP") == 0.0
    assert Day(tmp_path, rehearsal=True).profit(NOW, "GBP") == -80.0
