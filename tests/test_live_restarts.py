"""What the coordinator does when hosts and streams end, and with what a former session has left."""

from __future__ import annotations

from pathlib import Path

import pytest

import headrace as hr
from headrace.actors.journal.entries import Kept, packed
from headrace.actors.letters import Carried, Gone, Hello, Hosting, Restore, Restored, Route, StreamState
from headrace.strategies.messages import OrderFact, Reply, Request
from live_coordinators import Bench, backer, cancels, placing, resting, trading


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = trading(tmp_path)
    bench.hello("h1", "HOST")
    return bench


def restores(bench: Bench, host: str = "h1") -> list[Restore]:
    return bench.mail.letters(Restore, host)


def restored(bench: Bench, market_id: str = "1.1", host: str = "h1", error: str = "") -> None:
    incarnation = bench.engine.running[host].incarnation
    bench.take(host, Restored(host, "s1.market", market_id, 1, error, incarnation))


def routes(bench: Bench) -> list[tuple[str, str]]:
    return [(route.market_id, route.host) for route in bench.mail.letters(Route, "s1")]


def texts(bench: Bench, kind: str) -> list[str]:
    return [event.text for event in bench.role.alerts.events if event.kind == kind]


# -- hosts ------------------------------------------------------------------------------------------------------------


def test_a_host_that_ends_is_started_again_and_given_what_its_former_self_knew(bench: Bench) -> None:
    kept = packed(Kept(snapshot=b"as it was"))
    bench.take("h1", Carried("s1.market", placing("a"), kept))
    bench.role.caught_up(bench.now)
    bench.account.places("a", "b1")
    bench.sees_bet("a", "b1", 1.0, matched=1.0, average=3.0)
    bench.passes(5_000)

    bench.take("engine", Gone("h1", "killed by signal 9"))
    assert bench.engine.started[-1] == "h1:1"
    assert restores(bench) == []
    assert bench.role.answers.state()["restoring"] == 1

    bench.hello("h1", "HOST", 1)
    (letter,) = restores(bench)
    assert (letter.crew, letter.market_id, letter.kept) == ("s1.market", "1.1", (kept,))
    assert "killed by signal 9" in letter.why
    assert b"GB" in letter.definition
    request, reply, fact = letter.messages
    assert isinstance(request, Request)
    assert isinstance(reply, Reply)
    assert isinstance(fact, OrderFact)
    assert (request.request_id, reply.request_id, fact.matched) == ("r1", "r1", 1.0)

    known = routes(bench)
    bench.sees("1.1")
    assert routes(bench) == known  # not before it can go on
    restored(bench)
    assert routes(bench) == [*known, ("1.1", "h1")]
    assert bench.role.answers.state()["restoring"] == 0
    bench.asks(placing("b", request_id="r2"))
    assert bench.account.requests[-1].instructions[0].order_id == "b"


def test_all_markets_of_a_host_are_restored_before_any_is_routed(bench: Bench) -> None:
    for number in range(2, 5):
        bench.sees(f"1.{number}")
    mine = [market_id for _, market_id, host in bench.role.seating if host == "h1"]
    assert len(mine) == 2
    bench.passes(5_000)
    bench.take("engine", Gone("h1", "killed"))
    bench.hello("h1", "HOST", 1)
    assert sorted(each.market_id for each in restores(bench)) == sorted(mine)
    known = routes(bench)
    restored(bench, mine[0])
    assert routes(bench) == known
    restored(bench, mine[1])
    assert sorted(routes(bench)[len(known) :]) == sorted((each, "h1") for each in mine)


def test_only_a_strategys_own_orders_are_given_to_its_host(bench: Bench) -> None:
    resting(bench, "a", "b1")
    bench.sees("1.2")
    bench.take("h2", Carried("s1.market", placing("z", "1.2", "r1")))
    bench.role.caught_up(bench.now)
    bench.passes(5_000)
    bench.take("engine", Gone("h1", "killed"))
    bench.hello("h1", "HOST", 1)
    (letter,) = restores(bench)
    assert {each.market_id for each in letter.messages} == {"1.1"}


def test_a_market_that_its_new_host_cannot_go_on_with_is_given_up_and_others_are_not(bench: Bench) -> None:
    resting(bench, "a", "b1")
    for number in range(2, 5):
        bench.sees(f"1.{number}")
    bench.passes(5_000)
    bench.take("engine", Gone("h1", "killed"))
    bench.hello("h1", "HOST", 1)
    restored(bench, "1.4")
    restored(bench, error="ValueError: no such runner")
    bench.role.caught_up(bench.now)
    assert cancels(bench) == [("1.1", ["b1"])]
    assert any("no such runner" in text for text in texts(bench, "QUARANTINE"))
    assert routes(bench)[-1] == ("1.4", "h1")
    bench.sees("1.1")
    assert routes(bench)[-1] == ("1.4", "h1")

    bench.restarts()  # nor after the next restart
    bench.sees("1.1")
    assert routes(bench) == []


def test_a_host_that_ends_whenever_it_goes_on_is_given_up(bench: Bench) -> None:
    resting(bench, "a", "b1")
    bench.passes(5_000)
    for incarnation in range(4):
        bench.take("engine", Gone("h1", "killed", incarnation))
        bench.hello("h1", "HOST", incarnation + 1)
        restored(bench)
        bench.passes(500)
        assert texts(bench, "QUARANTINE") == []
    bench.take("engine", Gone("h1", "killed", 4))
    bench.role.caught_up(bench.now)
    assert len(texts(bench, "QUARANTINE")) == 1
    assert cancels(bench) == [("1.1", ["b1"])]


def test_a_host_that_ends_now_and_then_goes_on_until_it_does_so_too_often(tmp_path: Path) -> None:
    bench = trading(tmp_path, config=hr.Config(max_deaths_an_hour=5))
    bench.hello("h1", "HOST")
    for incarnation in range(6):
        bench.passes(60_000)
        assert texts(bench, "QUARANTINE") == []
        bench.take("engine", Gone("h1", "killed", incarnation))
        bench.hello("h1", "HOST", incarnation + 1)
        restored(bench)
    assert len(texts(bench, "QUARANTINE")) == 1
    assert bench.engine.started[-1] == "h1:6"  # it goes on without that market


def test_the_news_of_an_end_that_comes_late_is_not_of_its_successor(bench: Bench) -> None:
    bench.passes(5_000)
    bench.take("engine", Gone("h1", "killed"))
    bench.take("engine", Gone("h1", "killed"))
    assert bench.engine.started == ["h1", "h1:1"]


def test_what_a_host_says_that_has_ended_is_not_of_its_successor(bench: Bench) -> None:
    resting(bench, "a", "b1")
    bench.passes(5_000)
    bench.take("engine", Gone("h1", "killed"))
    bench.take("h1", Hello("h1", "HOST", "fake:h1:0", 0, 4000))
    bench.take("h1", Hosting("h1", (("s1.market", "1.1", "30"),), 0))
    bench.take("h1", Restored("h1", "s1.market", "1.1", 1, "", 0))
    assert restores(bench) == []
    assert bench.role.answers.state()["restoring"] == 1
    bench.hello("h1", "HOST", 1)
    assert len(restores(bench)) == 1


def test_a_coordinator_that_ends_while_a_host_is_restored_gives_it_its_markets_again(bench: Bench) -> None:
    resting(bench, "a", "b1")
    bench.passes(5_000)
    bench.take("engine", Gone("h1", "killed"))
    bench.hello("h1", "HOST", 1)
    bench.role.caught_up(bench.now)
    bench.restarts()
    bench.hello("h1", "HOST", 1)
    bench.take("h1", bench.hosting("h1"))
    (letter,) = restores(bench)
    assert letter.market_id == "1.1"


def test_a_host_that_ended_with_the_coordinator_is_started_again(bench: Bench) -> None:
    resting(bench, "a", "b1")
    bench.restarts("h1")
    assert bench.engine.started == ["h1:1"]
    bench.hello("h1", "HOST", 1)
    assert [each.market_id for each in restores(bench)] == ["1.1"]


# -- stops ------------------------------------------------------------------------------------------------------------


def test_a_stop_goes_on_after_a_restart(bench: Bench) -> None:
    resting(bench, "a", "b1")
    bench.role.stops.stop_system("enough")
    bench.role.caught_up(bench.now)
    assert cancels(bench) == [("1.1", ["b1"])]

    bench.restarts()
    assert bench.role.answers.state()["stopping"] == "enough"
    bench.passes(100)
    assert cancels(bench) == [("1.1", ["b1"])]
    bench.sees_bet("a", "b1", 0.0, cancelled=2.0)
    bench.ready()
    bench.passes(100)
    assert bench.engine.stopped == ["h1"]


def test_all_that_was_to_be_cancelled_is_cancelled_after_a_restart(bench: Bench) -> None:
    resting(bench, "a", "b1")
    bench.role.stops.cancel_all("a test", whole_account=True)
    bench.role.caught_up(bench.now)
    bench.restarts()
    cancelling = bench.role.stops.cancelling
    assert cancelling is not None
    assert cancelling.whole_account
    bench.restarts(cold=True)  # another session begins anew
    assert bench.role.stops.cancelling is None
    assert not bench.role.answers.state()["stopping"]


# -- what a former session has left -----------------------------------------------------------------------------------


def test_a_new_session_carries_on_with_orders_or_cancels_them(bench: Bench) -> None:
    resting(bench, "a", "b1")
    bench.passes(1_000)
    bench.restarts(cold=True)
    bench.passes(2_000)
    assert cancels(bench) == []
    assert "a former session has left 1 orders: they are carried on with" in texts(bench, "RESTART")

    bench.restarts(cold=True, on_restart="cancel", on_stop="leave")
    bench.passes(2_000)
    assert cancels(bench) == [("1.1", ["b1"])]

    bench.restarts()  # as long as one is not cancelled, every coordinator of the session tries
    bench.passes(2_000)
    assert cancels(bench) == [("1.1", ["b1"])]


@pytest.mark.parametrize(("on_stop", "cancelled"), [("cancel", [("1.1", ["b1"])]), ("leave", [])])
def test_orders_of_a_strategy_that_is_not_there_any_more(
    bench: Bench, on_stop: str, cancelled: list[tuple[str, list[str]]]
) -> None:
    resting(bench, "a", "b1")
    bench.restarts(cold=True, on_stop=on_stop, strategies=[backer(name="Another")], crews=bench.crews("Another"))
    bench.passes(1_000)
    assert cancels(bench) == cancelled
    assert len(texts(bench, "GONE")) == 1
    bench.hello("h1", "HOST")
    assert [each.messages for each in restores(bench)] == [()]


def test_a_market_that_no_stream_shows_any_more_is_asked_for_its_results(bench: Bench) -> None:
    resting(bench, "a", "b1")
    bench.sees_bet("a", "b1", 0.0, matched=2.0, average=3.0)
    bench.restarts(cold=True)
    for name in ("s1", "o1"):
        bench.take(name, StreamState(name, "SUBSCRIBED", bench.now))
    orders = bench.role.betting.accounts.of(("Betfair", "trader")).orders
    assert orders is not None
    bench.passes(29_000)
    assert not orders.closure.is_closed("1.1")
    bench.passes(2_000)
    assert orders.closure.is_closed("1.1")
    bench.sees("1.1")
    assert not orders.closure.is_closed("1.1")
