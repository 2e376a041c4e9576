"""A strategy's market filter in the words of the exchange's stream and of its catalogue."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headrace.actors.live.crews import StreamPlan
from headrace.actors.live.market_filters import (
    catalogue_filters,
    data_request,
    market_request,
    needs_catalogue,
    stream_filters,
)


def plan(market_filter: Any, **more: Any) -> StreamPlan:
    return StreamPlan("s1", "marketSubscription", json.dumps(market_filter), **more)


def test_names_may_be_in_snake_or_camel_case() -> None:
    for one in ({"event_type_ids": ["7"], "bsp_market": True}, {"eventTypeIds": ["7"], "bspMarket": True}):
        assert stream_filters(plan(one)) == [{"eventTypeIds": ["7"], "bspMarket": True}]


def test_names_of_the_catalogue_have_those_of_the_stream() -> None:
    one = {"market_type_codes": ["WIN"], "market_countries": ["GB"], "market_betting_types": ["ODDS"], "bsp_only": True}
    assert stream_filters(plan(one)) == [
        {"marketTypes": ["WIN"], "countryCodes": ["GB"], "bettingTypes": ["ODDS"], "bspMarket": True}
    ]
    assert catalogue_filters(plan(one)) == [
        {"marketTypeCodes": ["WIN"], "marketCountries": ["GB"], "marketBettingTypes": ["ODDS"], "bspOnly": True}
    ]


def test_one_value_is_a_list_of_one_and_ids_are_texts() -> None:
    assert stream_filters(plan({"event_type_ids": 7, "venues": "Ascot"})) == [
        {"eventTypeIds": ["7"], "venues": ["Ascot"]}
    ]


@pytest.mark.parametrize("one", [None, {}, {"market_ids": []}, {"venues": None}])
def test_filter_without_conditions_admits_all(one: Any) -> None:
    assert stream_filters(plan(one)) == [{}]
    assert not needs_catalogue(plan(one))


def test_what_only_this_framework_reads_is_not_sent() -> None:
    one = {"markets": ["x"], "listener_kwargs": {"inplay": True}, "event_processing": True, "event_ids": ["5"]}
    assert stream_filters(plan(one)) == [{"eventIds": ["5"]}]
    assert not needs_catalogue(plan(one))


def test_each_alternative_is_a_subscription() -> None:
    assert stream_filters(plan([{"event_ids": ["5"]}, {"venues": ["York"]}])) == [
        {"eventIds": ["5"]},
        {"venues": ["York"]},
    ]


def test_alternative_that_admits_all_makes_the_others_idle() -> None:
    assert stream_filters(plan([{"event_ids": ["5"]}, {}])) == [{}]


@pytest.mark.parametrize(
    ("one", "asked"),
    [
        ({"competition_ids": ["31"]}, {"competitionIds": ["31"]}),
        ({"text_query": "Derby"}, {"textQuery": "Derby"}),
        ({"in_play_only": True}, {"inPlayOnly": True}),
        ({"market_start_time": {"from": "2026-01-01"}}, {"marketStartTime": {"from": "2026-01-01"}}),
    ],
)
def test_what_the_stream_cannot_be_asked_is_looked_up(one: Any, asked: Any) -> None:
    assert needs_catalogue(plan({**one, "event_type_ids": ["1"]}))
    assert catalogue_filters(plan({**one, "event_type_ids": ["1"]})) == [{**asked, "eventTypeIds": ["1"]}]


def test_data_filter_has_the_usual_fields_where_none_is_given() -> None:
    assert data_request(None)["fields"] == [
        "EX_ALL_OFFERS",
        "EX_TRADED",
        "EX_TRADED_VOL",
        "EX_LTP",
        "EX_MARKET_DEF",
        "SP_TRADED",
        "SP_PROJECTED",
    ]


def test_data_filter_always_has_the_definition() -> None:
    assert data_request({"fields": ["EX_BEST_OFFERS"], "ladder_levels": 3}) == {
        "fields": ["EX_BEST_OFFERS", "EX_MARKET_DEF"],
        "ladderLevels": 3,
    }


def test_request_asks_for_no_conflation_where_the_strategy_wants_none() -> None:
    assert market_request(plan({}), {}, None, 500)["conflateMs"] == 0
    assert market_request(plan({}, conflate_ms=250), {}, None, 500) == {
        "marketFilter": {},
        "marketDataFilter": data_request(None),
        "conflateMs": 250,
        "heartbeatMs": 500,
        "segmentationEnabled": True,
    }
