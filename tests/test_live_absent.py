"""Markets that were asked for and are not there are told of: the exchange itself says nothing of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headrace.actors.letters import StreamState
from live_coordinators import Bench, backer


def stands(bench: Bench, state: str = "SUBSCRIBED", markets: int = 0) -> None:
    bench.take("s1", StreamState("s1", state, bench.now, markets=markets))


def told(bench: Bench) -> list[Any]:
    return [event.text for event in bench.role.alerts.events if event.kind == "STREAM"]


def test_ids_that_the_exchange_does_not_show_are_named_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [backer(market_filter={"market_ids": ["1.1", "1.77", "1.88"]})])
    stands(bench, markets=1)
    bench.sees("1.1")
    bench.passes(4_000)
    assert told(bench) == []
    bench.passes(3_000)
    bench.passes(60_000)
    assert told(bench) == [
        "stream s1: the exchange does not show markets 1.77, 1.88: over, not there yet, or no such market"
    ]


def test_a_filter_that_lets_no_market_pass_is_told_of(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    stands(bench)
    bench.passes(1_000)
    bench.passes(6_000)
    (text,) = told(bench)
    assert text.startswith('stream s1: no market passes its filter at the moment: {"country_codes": ["GB"]}')


def test_nothing_is_said_where_markets_are_there_or_the_stream_is_not(tmp_path: Path) -> None:
    there = Bench(tmp_path / "a", [backer(market_filter={"market_ids": ["1.1"]})])
    stands(there, markets=1)
    there.sees("1.1")
    connecting = Bench(tmp_path / "b")
    stands(connecting, "CONNECTING")
    for bench in (there, connecting):
        bench.passes(1_000)
        bench.passes(60_000)
        assert told(bench) == []
