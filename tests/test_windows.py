"""Which markets a strategy gets, and which part of their lives."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import headrace as hr
from builders import FLUMINE, MARKET, MARKET_DEFINITION, START, Stream, back, priced, replay
from headrace.actors.market_filter import admits, normalised
from headrace.strategies.changes import MarketDefinition
from headrace.strategies.window import Gate, Window

DEFINITION = msgspec.convert(MARKET_DEFINITION, MarketDefinition)

#: A market that is suspended at its start, turns in play a second later and closes 99 s after that.
TIMES = (0, 100_000, 340_000, 340_001, 390_000, START, START + 1000, START + 31_000, START + 31_001, START + 60_000)
BEFORE, SUSPENDED, INPLAY = TIMES[:5], TIMES[5:6], TIMES[6:]


def market(**definition: Any) -> Stream:
    stream = Stream(**definition)
    for at in BEFORE[1:]:
        stream.touch(at)
    stream.suspend(START).turn_in_play(START + 1000)
    for at in INPLAY[1:]:
        stream.touch(at)
    return stream.close(START + 100_000)


WINDOWS: list[tuple[dict[str, Any], tuple[int, ...]]] = [
    ({}, TIMES),
    ({"inplay": True}, (*SUSPENDED, *INPLAY)),
    ({"inplay": False}, (*BEFORE, *SUSPENDED)),
    ({"seconds_to_start": 60}, (*BEFORE[2:], *SUSPENDED, *INPLAY)),
    ({"seconds_to_start": 59.9995}, (*BEFORE[3:], *SUSPENDED, *INPLAY)),
    ({"seconds_to_start": 60, "inplay": False}, (*BEFORE[2:], *SUSPENDED)),
    ({"seconds_to_start": 1, "inplay": True}, (*SUSPENDED, *INPLAY)),
    ({"max_inplay_seconds": 30}, (*BEFORE, *SUSPENDED, *INPLAY[:2])),
    ({"max_inplay_seconds": 30, "inplay": True}, (*SUSPENDED, *INPLAY[:2])),
    ({"max_inplay_seconds": 0, "seconds_to_start": 60}, (*BEFORE[2:], *SUSPENDED, *INPLAY[:1])),
    ({"event_type_ids": ["7"]}, TIMES),
    ({"event_type_ids": [7, 1]}, TIMES),
]


@pytest.mark.parametrize("config", [hr.Config(), FLUMINE], ids=["ours", "flumine"])
@pytest.mark.parametrize(
    ("keywords", "times"), WINDOWS, ids=lambda value: str(value) if isinstance(value, dict) else ""
)
def test_books_inside_the_window_are_shown(keywords: dict[str, Any], times: tuple[int, ...], config: hr.Config) -> None:
    played = replay(market(), config=config, market_filter={"listener_kwargs": keywords})
    assert tuple(played.snapshots) == times
    assert played.market.closed


@pytest.mark.parametrize("config", [hr.Config(), FLUMINE], ids=["ours", "flumine"])
def test_market_of_another_sport_is_left_out(config: hr.Config) -> None:
    played = replay(market(), config=config, market_filter={"listener_kwargs": {"event_type_ids": ["1"]}})
    assert (played.markets, dict(played.snapshots)) == ([], {})


@pytest.mark.parametrize(("config", "matched"), [(hr.Config(), 5.0), (FLUMINE, 0.0)], ids=["ours", "flumine"])
def test_orders_are_matched_outside_the_window(config: hr.Config, matched: float) -> None:
    stream = priced(persistenceEnabled=True).touch(400).turn_in_play(START)
    # Traded in play and gone from the traded ladder again: whoever looks at the end alone sees nothing.
    stream.prices(START + 10, {1: {"trd": [[3.0, 100]]}}).prices(START + 20, {1: {"trd": [[3.0, 0]]}})
    stream.suspend(START + 100, version=3).close(START + 1000)
    order = back("a", 3.0, 5.0, persistence_type="PERSIST")
    played = replay(stream, {100: [order]}, config=config, market_filter={"listener_kwargs": {"inplay": False}})
    assert START + 10 not in played.snapshots
    assert played["a"].size_matched == matched


def test_process_orders_is_called_outside_the_window() -> None:
    stream = priced().touch(400).turn_in_play(600).touch(700).close(800)
    kept = back("a", 3.0, 5.0, persistence_type="PERSIST")
    played = replay(stream, {100: [kept]}, market_filter={"listener_kwargs": {"inplay": False}})
    assert [at for at, _ in played.calls] == [220, 400, 600, 700, 800]
    assert 700 not in played.snapshots


def test_strategies_have_windows_of_their_own() -> None:
    class Late(hr.Strategy):
        def check_market_book(self, market: Any, book: Any) -> bool:
            late.append(book.inplay)
            return False

    late: list[bool] = []
    played = replay(market(), strategies=[Late(market_filter={"listener_kwargs": {"inplay": True}})])
    assert tuple(played.snapshots) == TIMES
    assert late == [False, True, True, True, True]


@pytest.mark.parametrize("keyword", ["calculate_market_tv", "cumulative_runner_tv"])
def test_totals_are_summed_where_asked(keyword: str) -> None:
    stream = Stream().prices(100, {1: {"trd": [[2.0, 50.25], [3.0, 10]], "tv": 7.0}}, tv=120.0)
    book = replay(stream, market_filter={"listener_kwargs": {keyword: True}}).market.market_book
    published = {"calculate_market_tv": 120.0, "cumulative_runner_tv": 7.0}
    totals = {"calculate_market_tv": book.total_matched, "cumulative_runner_tv": book.runner(1).total_matched}
    assert totals == {**published, keyword: 60.25}


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"in_play": True}, "did you mean 'inplay'"),
        ({"seconds_to_start": "60"}, "expected seconds"),
        ({"max_inplay_seconds": True}, "expected seconds"),
    ],
)
def test_window_that_does_not_exist_is_refused(keywords: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        hr.Strategy(market_filter={"listener_kwargs": keywords})


# -- market filters --------------------------------------------------------------------------------------------------

DEFINITION = msgspec.json.decode(
    json.dumps({**MARKET_DEFINITION, "venue": "Ascot", "raceType": "Flat", "runners": []}), type=MarketDefinition
)

FILTERS: list[tuple[Any, bool]] = [
    (None, True),
    ({}, True),
    ([], True),
    ({"marketIds": [MARKET]}, True),
    ({"market_ids": ["1.2"]}, False),
    ({"eventIds": ["99"]}, True),
    ({"event_ids": [98]}, False),
    ({"event_type_ids": ["7"]}, True),
    ({"eventTypeIds": [7]}, True),
    ({"event_type_ids": ["1"]}, False),
    ({"marketTypes": ["WIN", "PLACE"]}, True),
    ({"market_type_codes": ["PLACE"]}, False),
    ({"marketBettingTypes": ["ODDS"]}, True),
    ({"betting_types": ["LINE"]}, False),
    ({"country_codes": ["GB", "IE"]}, True),
    ({"marketCountries": ["US"]}, False),
    ({"venues": ["Ascot"]}, True),
    ({"venues": ["York"]}, False),
    ({"raceTypes": ["Flat"]}, True),
    ({"race_types": ["Hurdle"]}, False),
    ({"bspMarket": True}, True),
    ({"bsp_only": False}, False),
    ({"turn_in_play_enabled": True}, True),
    ({"turnInPlayEnabled": False}, False),
    ({"in_play_only": False}, True),
    ({"market_start_time": {"from": "2023-11-14T22:00:00Z", "to": "2023-11-14T23:00:00Z"}}, True),
    ({"marketStartTime": {"from": "2023-11-14T22:30:00Z"}}, False),
    ({"market_start_time": {"to": "2023-11-14T22:10:00"}}, False),
    ({"event_type_ids": ["7"], "country_codes": ["US"]}, False),
    ([{"country_codes": ["US"]}, {"venues": ["Ascot"]}], True),
    ([{"country_codes": ["US"]}, {"venues": ["York"]}], False),
    ({"event_type_ids": None}, True),
]


@pytest.mark.parametrize(("market_filter", "passes"), FILTERS, ids=str)
def test_filter_is_tested_on_the_definition_as_the_exchange_would(market_filter: Any, passes: bool) -> None:
    assert admits(market_filter, MARKET, DEFINITION) is passes


def test_filter_object_counts_by_its_fields() -> None:
    class Filter:
        def __init__(self) -> None:
            self.country_codes = ["US"]

    assert normalised(Filter()) == [{"country_codes": ["US"]}]


@pytest.mark.parametrize("market_filter", [{"countryCode": ["GB"]}, "GB", [1]])
def test_filter_that_the_exchange_does_not_know_is_refused(market_filter: Any, tmp_path: Path) -> None:
    simulation = hr.Simulation(tmp_path, engine="local")
    with pytest.raises(hr.ListenerError):
        simulation.add_strategy(hr.Strategy(market_filter=market_filter))


def test_markets_that_do_not_match_are_not_replayed(tmp_path: Path) -> None:
    for number, kind in enumerate(("WIN", "PLACE", "WIN")):
        stream = priced(market_id=f"1.10000000{number}", marketType=kind).touch(400).close()
        stream.write(tmp_path / stream.market_id)
    result = hr.backtest(hr.Strategy(market_filter={"marketTypes": ["WIN"]}), tmp_path, engine="local")
    assert result.markets["market_id"].to_pylist() == ["1.100000000", "1.100000002"]
    assert result.failures.num_rows == 0


def test_market_that_one_strategy_of_two_wants_is_that_ones_alone(tmp_path: Path) -> None:
    path = priced(marketType="WIN").close().write(tmp_path / MARKET)
    strategies = [hr.Strategy(name=kind, market_filter={"marketTypes": [kind]}) for kind in ("WIN", "PLACE")]
    result = hr.backtest(strategies, path, engine="local")
    assert result.markets["strategy"].to_pylist() == ["WIN"]


@given(
    window=st.builds(
        Window,
        inplay=st.sampled_from([None, True, False]),
        seconds_to_start=st.one_of(st.none(), st.floats(-100, 100), st.sampled_from([0.1, 0.3, 60, 1e9])),
        max_inplay_seconds=st.one_of(st.none(), st.floats(0, 100), st.sampled_from([0, 0.7, 1.1, 30])),
    ),
    status=st.sampled_from(["OPEN", "SUSPENDED", "CLOSED"]),
    inplay=st.booleans(),
    start=st.one_of(st.integers(0, 10**6), st.just(math.inf)),
    since=st.one_of(st.none(), st.integers(0, 10**6)),
    near=st.integers(-3, 3),
    now=st.integers(0, 10**6),
)
def test_a_gate_is_open_just_when_its_window_contains_the_change(
    window: Window, status: str, inplay: bool, start: float, since: int | None, near: int, now: int
) -> None:
    gate = Gate(window)
    definition = msgspec.structs.replace(DEFINITION, status=status, in_play=inplay)
    gate.renew(definition, start, since)
    edges = [edge + near for edge in (gate.from_ms, gate.until_ms) if math.isfinite(edge)]
    for at in (now, *edges):
        to_start = (start - at) / 1000
        inplay_seconds = None if since is None else (at - since) / 1000
        inside = window.contains_state(status, inplay, to_start, inplay_seconds)
        assert (gate.from_ms <= at <= gate.until_ms) is inside
