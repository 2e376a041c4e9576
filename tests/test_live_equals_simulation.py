"""Hosts: what a market actor is told live is what it is told in a simulation."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace as hr
from apart import ROOMS, clockwork
from builders import T0, Stream, back, priced
from common_strategies import Onlooker
from headrace.actors.letters import (
    HostState,
)
from headrace.simulate.generator import write_markets
from headrace.simulate.rows import FIELDS
from headrace.strategies.book_image import image_change
from live_hosts import (
    Diary,
    Driven,
    Looks,
    arrived,
    ended_hosts,
    live_setup,
    looks_of,
    msg_for,
    scripted,
    seen,
    simulated,
    updates_of,
)
from stories import Story, stories

RECORDED = Path(__file__).parents[2] / "shared" / "recordings" / "1.197931750"

__all__ = ["ended_hosts"]  # used by all tests here


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> str:
    (path,) = write_markets(tmp_path_factory.mktemp("hosts") / "markets", 1, seed=5, changes=600, compression="none")
    return str(path)


# -- live equals simulation --------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(stories())
def test_a_paper_account_is_told_what_a_simulation_tells(story: Story) -> None:
    stream, actions = story
    with tempfile.TemporaryDirectory() as folder:
        path = stream.write(Path(folder) / stream.market_id)
        here, there = scripted(actions), scripted(actions)
        simulated(path, [here])
        Driven(live_setup([there])).play(path).free(stream.market_id).end()
    assert seen(there) == seen(here)


def pages_of(market_actor_or_market: Any) -> list[Any]:
    return next(iter(seat.strategy.pages for seat in market_actor_or_market.seats))


def test_every_callback_of_a_generated_market_is_that_of_the_backtest(generated: str) -> None:
    Diary().pages.clear()
    (market,) = simulated(generated, [Diary(stake=4.0)])
    here = list(pages_of(market))
    pages_of(market).clear()
    live = Driven(live_setup([Diary(stake=4.0)])).play(generated)
    hosted = live.host.rooms["s1.market"].actor.hosted[0]
    live.free(hosted.market_id)
    assert {page[0] for page in here} == {"new", "later", "check", "book", "orders", "closed"}
    assert pages_of(hosted) == here


def assert_decides_as_a_backtest(path: str) -> None:
    result = hr.backtest([clockwork(room) for room in ROOMS], path)
    live = Driven(live_setup([clockwork(room) for room in ROOMS])).play(path)
    ids = {update.market_id for update in updates_of(path)}
    live.free(*ids)
    columns = [name for name in result.orders.column_names if name not in ("bet_id", "order_id")]
    expected = [tuple(row[name] for name in columns) for row in result.orders.to_pylist()]
    names = [name for name, _ in FIELDS["orders"]]
    found = [tuple(_shown(name, row[names.index(name)]) for name in columns) for row in live.rows("orders")]
    assert len(expected) > 50
    assert found == [tuple(_shown(name, value) for name, value in zip(columns, row, strict=True)) for row in expected]
    assert live.office.coordinator.clients.get_default().transactions_by_hour  # type: ignore[union-attr]
    assert not live.office.coordinator.requests


def _shown(name: str, value: Any) -> Any:
    return round(value.timestamp() * 1000) if hasattr(value, "timestamp") else value


def test_decisions_on_a_generated_market_are_those_of_the_backtest(generated: str) -> None:
    assert_decides_as_a_backtest(generated)


@pytest.mark.skipif(not RECORDED.exists(), reason=f"no recording at {RECORDED}")
def test_decisions_on_a_recorded_market_are_those_of_the_backtest() -> None:
    assert_decides_as_a_backtest(str(RECORDED))


# -- an actor that is behind -------------------------------------------------------------------------------------------


def test_an_actor_that_is_behind_folds_all_that_waits_and_calls_strategies_once(tmp_path: Path) -> None:
    stream = Stream()
    for at in (100, 200, 300, 400):
        stream.prices(at, {1: {"ltp": at / 100}})
    driven = Driven(live_setup([Looks()]))
    looks_of(driven).clear()
    arrived(driven, stream, tmp_path, at=500, until=300)
    arrived(driven, stream, tmp_path, at=600, until=400)
    # The first change of a market is shown by itself: strategies are told of it at once.
    assert looks_of(driven) == [("new", 0), ("book", 0, None), ("book", 300, 3.0), ("book", 400, 4.0)]
    driven.host.next_state_ms = 0
    driven.host.wake(T0 + 700)
    (state,) = driven.mail.letters(HostState)
    assert state.behind == 2
    assert driven.host.rooms["s1.market"].actor.hosted[0].changes == 5


def test_a_market_that_closes_among_what_waits_is_settled(tmp_path: Path) -> None:
    stream = Stream().prices(100, {1: {"ltp": 2.0}}).close(200).touch(300)
    driven = Driven(live_setup([Looks()]))
    looks_of(driven).clear()
    arrived(driven, stream, tmp_path, at=500, until=300)
    assert looks_of(driven) == [("new", 0), ("book", 0, None), ("closed", 200), ("book", 300, 2.0)]


def test_bets_are_matched_by_each_change_that_waits(tmp_path: Path) -> None:
    stream = priced().touch(400).touch(1000)
    stream.prices(2000, {1: {"trd": [[2.2, 100]]}}).prices(2001, {1: {"trd": [[2.2, 120]]}}).touch(2002)
    strategy = scripted({100: [back("a", 2.2, 50.0)]})
    driven = Driven(live_setup([strategy]))
    for at in (0, 100, 400, 1000):
        arrived(driven, stream, tmp_path, at=at, until=at)
    arrived(driven, stream, tmp_path, at=2500, until=2002)
    order = strategy.script.orders["a"]
    # 4.00 were ahead of it; of what is traded half counts.
    assert [(fill[0] - T0, fill[2]) for fill in order.fills] == [(2000, 46.0), (2001, 4.0)]
    assert [call[0] for call in strategy.script.calls][-1] == 2500


def test_middleware_sees_each_change_that_waits(tmp_path: Path) -> None:
    class Counts(hr.Middleware):
        seen: list[int]

        def __init__(self) -> None:
            self.seen = []

        def __call__(self, market: Any) -> None:
            self.seen.append(market.market_book.publish_time_epoch - T0)

    stream = Stream().touch(100).touch(200).touch(300)
    driven = Driven(live_setup([Looks()], middleware=[Counts()]))
    arrived(driven, stream, tmp_path, at=500, until=300)
    (middleware,) = driven.host.rooms["s1.market"].actor.middleware
    assert middleware.seen == [0, 100, 200, 300]
    assert driven.setup.middleware[0].seen == []


def test_a_timer_runs_between_the_changes_that_wait_by_their_times(tmp_path: Path) -> None:
    class Waits(Looks):
        def process_new_market(self, market: Any, book: Any) -> None:
            market.call_later(0.25, lambda: self.looks.append(("timer", book.publish_time_epoch - T0)))

    stream = Stream().touch(100).touch(200).touch(300).touch(400)
    driven = Driven(live_setup([Waits()]))
    arrived(driven, stream, tmp_path, at=0, until=0)
    looks_of(driven).clear()
    waiting = [msg_for(each, "s1.market") for each in updates_of(str(tmp_path / "market"))[1:]]
    driven.now = T0 + 500
    for update in waiting:
        driven.host.receive("s1", update, T0 + 500)
    driven.host.caught_up(T0 + 500)
    assert looks_of(driven) == [("timer", 200), ("book", 400, None)]


@settings(max_examples=60, deadline=None)
@given(stories(), st.randoms(use_true_random=False))
def test_a_book_is_the_same_however_its_changes_come_together(story: Story, chance: Any) -> None:
    stream, _ = story
    books = []
    with tempfile.TemporaryDirectory() as folder:
        updates = updates_of(stream.write(Path(folder) / stream.market_id))
        for together in (False, True):
            driven = Driven(live_setup([Onlooker()]))
            waiting = [msg_for(each, "s1.market") for each in updates]
            while waiting:
                count = chance.randint(1, 6) if together else 1
                driven.deliver(*waiting[:count], at=waiting[min(count, len(waiting)) - 1].pt, sender="s1")
                del waiting[:count]
            market = driven.host.rooms["s1.market"].actor.hosted[0]
            books.append((image_change(market.market_book), market.market_book.market_definition, market.closed))
            driven.end()
    assert books[0] == books[1]


def test_time_stands_still_in_a_turn_and_never_goes_back(tmp_path: Path) -> None:
    times: list[tuple[int, int]] = []

    class Reads(hr.Strategy):
        def check_market_book(self, market: Any, book: Any) -> bool:
            first = market.clock.now_ms - T0
            times.append((first, round(market.clock.now().timestamp() * 1000) - T0))
            return False

    stream = Stream().touch(100).touch(200)
    driven = Driven(live_setup([Reads()]))
    arrived(driven, stream, tmp_path, at=50, until=0)
    arrived(driven, stream, tmp_path, at=130, until=100)
    driven.now = T0 + 90
    driven.host.receive("s1", msg_for(updates_of(str(tmp_path / "market"))[2], "s1.market"), T0 + 90)
    driven.host.caught_up(T0 + 90)
    assert times == [(50, 50), (130, 130), (130, 130)]
