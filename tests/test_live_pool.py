"""The pool of hosts: they run before there are markets."""

from __future__ import annotations

from pathlib import Path

from headrace.actors.letters import Gone, Route
from live_coordinators import Bench


def filled(folder: Path) -> Bench:
    """A coordinator that was asked to have hosts ready, with the first of three started."""
    bench = Bench(folder, max_hosts=3)
    assert bench.role.answers.answer("PREPARE", {}) == {}
    return bench


def test_the_first_host_goes_alone_and_the_others_once_it_has_started(tmp_path: Path) -> None:
    bench = filled(tmp_path)
    assert bench.engine.started == ["h1"]
    assert bench.role.pool.coming == 1
    bench.hello("h1", "HOST")
    assert bench.engine.started == ["h1", "h2", "h3"]
    assert bench.role.pool.coming == 2
    bench.hello("h2", "HOST")
    bench.hello("h3", "HOST")
    assert bench.role.pool.coming == 0


def test_markets_open_at_hosts_that_run(tmp_path: Path) -> None:
    bench = filled(tmp_path)
    for name in ("h1", "h2", "h3"):
        bench.hello(name, "HOST")
    for number in range(1, 6):
        bench.sees(f"1.{number}")
    assert [route.host for route in bench.mail.letters(Route, "s1")] == ["h1", "h2", "h3", "h1", "h2"]
    assert bench.engine.started == ["h1", "h2", "h3"]


def test_where_the_first_host_cannot_start_no_other_is_tried(tmp_path: Path) -> None:
    bench = filled(tmp_path)
    bench.take("engine", Gone("h1", "RunError: strategy 'Backer' failed in start()", 0))
    assert bench.engine.started == ["h1"]
    assert bench.role.pool.coming == 0, "nobody waits for it"
    (told,) = [event.text for event in bench.role.alerts.events if event.kind == "QUARANTINE"]
    assert "strategy 'Backer' failed in start()" in told


def test_a_system_that_ends_starts_no_more_hosts(tmp_path: Path) -> None:
    bench = filled(tmp_path)
    bench.role.ending.stop_hosts()
    bench.hello("h1", "HOST")
    assert bench.engine.started == ["h1"]


def test_a_host_that_takes_long_to_start_is_not_stalled_while_it_has_no_markets(tmp_path: Path) -> None:
    bench = filled(tmp_path)
    bench.passes(1_000)
    bench.passes(60_000)
    assert not bench.role.seating.hosts["h1"].stalled
    bench.sees("1.1")
    bench.passes(1_000)
    assert bench.role.seating.hosts["h1"].stalled, "now somebody waits"
