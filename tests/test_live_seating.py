"""Which host hosts which market."""

from __future__ import annotations

from headrace.actors.live.crews import Crew
from headrace.actors.live.seating import Seating

MARKETS = Crew("s1.market", "s1", "market", ("Backer",))
EVENTS = Crew("s1.event", "s1", "event", ("Pairs",))
RUN = Crew("s2.run", "s2", "run", ("Ledger",))


def seating(max_hosts: int = 3) -> tuple[Seating, list[str]]:
    started: list[str] = []
    return Seating(max_hosts, started.append), started


def test_each_market_has_a_host_of_its_own_while_there_are_enough() -> None:
    seats, started = seating()
    assert [seats.place(MARKETS, f"1.{n}", "7") for n in range(3)] == ["h1", "h2", "h3"]
    assert started == ["h1", "h2", "h3"]


def test_beyond_the_greatest_number_markets_share_the_host_with_the_fewest() -> None:
    seats, started = seating(max_hosts=2)
    assert [seats.place(MARKETS, f"1.{n}", None) for n in range(5)] == ["h1", "h2", "h1", "h2", "h1"]
    seats.free("s1.market", "1.0")
    seats.free("s1.market", "1.2")
    assert seats.place(MARKETS, "1.9", None) == "h1"
    assert len(started) == 2


def test_a_host_whose_markets_are_over_takes_the_next_one() -> None:
    seats, started = seating()
    seats.place(MARKETS, "1.1", None)
    assert seats.free("s1.market", "1.1") == "h1"
    assert seats.place(MARKETS, "1.2", None) == "h1"
    assert started == ["h1"]


def test_a_market_that_is_seated_stays_where_it_is() -> None:
    seats, _ = seating()
    assert seats.place(MARKETS, "1.1", None) == seats.place(MARKETS, "1.1", None) == "h1"
    assert len(seats) == 1


def test_markets_of_an_event_sit_together_even_where_hosts_are_idle() -> None:
    seats, _ = seating()
    assert seats.place(EVENTS, "1.1", "30") == "h1"
    assert seats.place(EVENTS, "1.2", "31") == "h2"
    assert seats.place(EVENTS, "1.3", "30") == "h1"
    assert seats.place(EVENTS, "1.4", None) == "h3", "a market without an event is one of its own"


def test_an_event_keeps_its_host_until_its_last_market_is_over() -> None:
    seats, _ = seating(max_hosts=2)
    seats.place(EVENTS, "1.1", "30")
    seats.place(EVENTS, "1.2", "30")
    seats.place(MARKETS, "1.8", "30")
    seats.place(MARKETS, "1.9", "30")
    seats.free("s1.event", "1.1")
    assert seats.place(EVENTS, "1.3", "30") == "h1"
    seats.free("s1.event", "1.2")
    seats.free("s1.event", "1.3")
    assert seats.hosts["h1"].places == set()
    assert seats.place(MARKETS, "1.10", None) == "h1", "nothing is kept for an event that is over"


def test_all_markets_of_a_run_sit_at_one_host() -> None:
    seats, _ = seating()
    assert {seats.place(RUN, f"1.{n}", str(n)) for n in range(4)} == {"h1"}
    for n in range(4):
        seats.free("s2.run", f"1.{n}")
    assert seats.place(MARKETS, "1.7", None) == "h2", "the run's host waits for its next market"
    assert seats.place(RUN, "1.8", None) == "h1"


def test_two_crews_have_the_same_market_each_for_itself() -> None:
    seats, _ = seating()
    assert seats.place(MARKETS, "1.1", None) != seats.place(RUN, "1.1", None)
    assert dict(seats.places_of("1.1")) == {"s1.market": "h1", "s2.run": "h2"}
    seats.free("s1.market", "1.1")
    assert seats.host_of("s2.run", "1.1") == "h2"


def test_a_stalled_host_gets_no_new_markets_while_others_are_there() -> None:
    seats, _ = seating(max_hosts=2)
    seats.place(MARKETS, "1.1", None)
    seats.place(MARKETS, "1.2", None)
    seats.place(MARKETS, "1.3", None)
    seats.hosts["h2"].stalled = True
    assert seats.place(MARKETS, "1.4", None) == "h1"
    seats.hosts["h1"].stalled = True
    assert seats.place(MARKETS, "1.5", None) == "h2", "where all are stalled, the one with the fewest"


def test_what_a_lost_host_had_is_told_and_its_event_finds_another() -> None:
    seats, started = seating(max_hosts=1)
    seats.place(EVENTS, "1.1", "30")
    seats.place(MARKETS, "1.1", "30")
    assert sorted(seats.lose("h1")) == [("s1.event", "1.1"), ("s1.market", "1.1")]
    assert seats.place(EVENTS, "1.2", "30") == "h2"
    assert started == ["h1", "h2"]
    assert seats.host_of("s1.event", "1.1") is None
