"""Markets that come and go: the time of timers meanwhile, and what is freed with them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from builders import FLUMINE, T0, Stream, priced
from headrace.simulate.replay import Replay
from headrace.simulate.setup import Setup
from headrace.simulate.units import Unit


class Alarm(hr.Strategy):
    """Over the run: sets a timer at the first market, and notes what the clock says when it rings."""

    scope = "run"

    def process_new_market(self, market: Any, book: Any) -> None:
        if market.market_id == "1.1":
            market.call_later(0.2, lambda: self.ring(market))

    def ring(self, market: Any) -> None:
        RUNG.append((market.clock.now_ms - T0, "1.2" in market.framework.markets.markets))


RUNG: list[tuple[int, bool]] = []


# The peer's reading knows of a market one line ahead.
@pytest.mark.parametrize(
    ("config", "opens", "there"),
    [(hr.Config(), 1000, False), (hr.Config(), 200, True), (FLUMINE, 1000, True), (FLUMINE, 200, True)],
)
def test_timer_sees_its_own_time_though_a_market_opens_in_between(
    tmp_path: Path, config: hr.Config, opens: int, there: bool
) -> None:
    RUNG.clear()
    first = Stream(market_id="1.1").touch(0).touch(9000)
    second = Stream(market_id="1.2")
    second.lines.clear()
    second.define(opens).touch(opens + 1)
    paths = tuple(each.write(tmp_path / each.market_id) for each in (first, second))
    Replay(Unit("both", paths), Setup([Alarm()], [hr.SimulatedClient()], config), lambda market: None).run()
    assert [(200, there)] == RUNG


# -- the door ----------------------------------------------------------------------------------------------------------


class Hears(hr.Strategy):
    scope = "run"

    def process_custom_event(self, market: Any, event: Any) -> None:
        HEARD.append((market.clock.now_ms - T0, event.event))


HEARD: list[tuple[int, str]] = []


def test_events_and_the_end_of_the_run_come_in_by_the_door(tmp_path: Path) -> None:
    HEARD.clear()
    path = priced().touch(400).touch(900).write(tmp_path / "1.1")
    replay = Replay(Unit("one", (path,)), Setup([Hears()], [hr.SimulatedClient()], hr.Config()), lambda market: None)

    def come_in() -> None:
        replay.actor.receive(hr.CustomEvent("rain"), T0 + 300)
        replay.actor.receive(hr.TerminationEvent())

    replay.actor.clock.call_at(T0 + 250, come_in)
    replay.run()
    assert (HEARD, replay.actor.stopped) == ([(300, "rain")], True)


# -- requests that cannot be handed over ------------------------------------------------------------------------------


class Loses(hr.Coordinator):
    """Fails to take the second request."""

    def process_order_package(self, request: Any) -> None:
        if self.host.next_request_id() and len(TAKEN) == 1:
            TAKEN.append("")
            raise ConnectionError("the line is dead")
        TAKEN.append(request.request_id)
        super().process_order_package(request)


TAKEN: list[str] = []


class ThreeVersions(hr.Strategy):
    """Places three orders at once, each in a request of its own."""

    def process_new_market(self, market: Any, book: Any) -> None:
        with market.transaction() as transaction:
            for version in (1, 2, 3):
                order = hr.Trade(market.market_id, 1, 0, self).create_order("BACK", hr.LimitOrder(3.0, 2.0))
                transaction.place_order(order, market_version=version, force=True)


def test_request_that_cannot_be_handed_over_ends_and_the_later_ones_go_on(tmp_path: Path) -> None:
    TAKEN.clear()
    path = priced().touch(400).close(1000).write(tmp_path / "1.1")
    run = hr.Simulation(path, engine="local", coordinator=Loses)
    run.add_client(hr.SimulatedClient())
    run.add_strategy(ThreeVersions())
    result = run.run()
    rows = result.orders.to_pylist()
    assert [row["status"] for row in rows] == ["EXECUTION_COMPLETE", "EXPIRED", "EXECUTION_COMPLETE"]
    assert [(row["error_type"], row["count"]) for row in result.failures.to_pylist()] == [("ConnectionError", 1)]
    (counted,) = result.transactions.to_pylist()
    assert (counted["placed"], counted["failed"]) == (2, 0)


# -- freeing ---------------------------------------------------------------------------------------------------------


class OfEvent(hr.Strategy):
    scope = "event"


class OfMarket(hr.Strategy):
    pass


@pytest.mark.parametrize("kind", [OfEvent, OfMarket])
def test_instances_are_freed_with_the_last_market_that_they_serve(tmp_path: Path, kind: type[hr.Strategy]) -> None:
    paths = []
    for number in range(100):  # more than are kept together
        stream = Stream(market_id=f"1.{number}", eventId=str(number // 2))
        stream.lines.clear()
        start = number * 1000
        stream.define(start).touch(start + 10).define(start + 1500, status="CLOSED")
        paths.append(stream.write(tmp_path / stream.market_id))
    alive: list[int] = []
    setup = Setup([kind()], [hr.SimulatedClient()], hr.Config())
    replay = Replay(Unit("all", tuple(paths)), setup, lambda market: alive.append(len(replay.actor.strategies)))
    replay.run()
    assert len(alive) == 100
    assert max(alive) <= 3


def test_freeing_a_market_looks_at_no_other(tmp_path: Path) -> None:
    """What is kept by market or event is found by its key: nothing walks over all that is hosted."""
    looked: list[str] = []

    class Watched(dict[Any, Any]):
        def __iter__(self) -> Any:
            looked.append("iterated")
            return super().__iter__()

        def values(self) -> Any:
            looked.append("values")
            return super().values()

        def items(self) -> Any:
            looked.append("items")
            return super().items()

    path = priced().touch(400).close(1000).write(tmp_path / "1.1")
    replay = Replay(Unit("one", (path,)), Setup([OfMarket()], [hr.SimulatedClient()], hr.Config()), lambda market: None)
    actor, release = replay.actor, replay.books.release_market

    def watched(market_id: str) -> Any:
        for holder, name in (
            (actor, "_hosted"),
            (actor, "_instances"),
            (actor, "_events_hosted"),
            (actor.markets, "markets"),
            (actor.markets, "_events"),
            (actor.markets, "_event_of"),
        ):
            setattr(holder, name, Watched(getattr(holder, name)))
        try:
            return release(market_id)
        finally:
            with contextlib.suppress(AttributeError):
                ENDED.append(market_id)

    ENDED: list[str] = []
    replay.books.release_market = watched  # type: ignore[method-assign]
    replay.run()
    assert (ENDED, looked) == (["1.100000001"], [])
