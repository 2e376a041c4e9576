"""What the rehearsal exchange lists: sports, events, markets, and the navigation menu."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from betfairlightweight import filters
from betfairlightweight.resources import bettingresources as resources

from builders import MARKET_DEFINITION
from exchange_builders import ALICE, BOB, MARKET, T0, Stream, exchange_of, play
from exchange_requests import place
from exchange_servers import WAIT, Served, merged, served
from headrace.simulate.exchange.exchange import Exchange
from headrace.simulate.exchange.listings.catalogues import Catalogues
from headrace.simulate.exchange.listings.listings import Listings
from headrace.simulate.exchange.settings import Timers

WIN, PLACE, SOCCER, TENNIS = MARKET, "1.100000002", "1.100000003", "1.100000004"
RUNNERS: dict[int, dict[str, Any]] = {
    11: {"status": "ACTIVE", "name": "First Light", "adjustmentFactor": 60.0},
    12: {"status": "ACTIVE", "name": "Second Wind", "adjustmentFactor": 40.0},
}
RACE = {
    "venue": "Ascot",
    "raceType": "Flat",
    "eventName": "Ascot 14th Nov",
    "name": "5f Hcap",
    "regulators": ["MR_INT"],
}
FOOTBALL = {
    "eventTypeId": "1",
    "eventId": "500",
    "eventName": "Leeds v Hull",
    "marketType": "MATCH_ODDS",
    "name": "Match Odds",
    "bspMarket": False,
    "marketTime": "2023-11-15T19:45:00.000Z",
    "openDate": "2023-11-15T19:45:00.000Z",
}
UNNAMED = {
    "eventTypeId": "2",
    "eventId": "600",
    "marketType": "MATCH_ODDS",
    "countryCode": "FR",
    "turnInPlayEnabled": False,
    "betDelayModels": ["DYNAMIC"],
}
SETTINGS: dict[str, Any] = {}
RECORDED = {
    "marketId": SOCCER,
    "marketName": "Match Odds (recorded)",
    "marketStartTime": "2020-01-01T00:00:00.000Z",
    "op": "marketCatalogue",
    "description": {
        "bettingType": "ODDS",
        "bspMarket": False,
        "marketTime": "2020-01-01T00:00:00.000Z",
        "suspendTime": "2020-01-01T00:00:00.000Z",
        "turnInPlayEnabled": True,
        "rules": "Recorded rules.",
        "rulesHasDate": True,
    },
    "totalMatched": 1.0,
    "runners": [
        {"selectionId": 1, "runnerName": "Leeds", "handicap": 0.0, "sortPriority": 1, "metadata": {"runnerId": "1"}},
    ],
    "eventType": {"id": "1", "name": "Soccer"},
    "competition": {"id": "7129730", "name": "English Championship"},
    "event": {"id": "500", "name": "Leeds v Hull", "countryCode": "GB", "timezone": "GMT", "openDate": "2020-01-01"},
}


def streams() -> list[Stream]:
    win = Stream(WIN, RUNNERS, **RACE).prices(100, {11: {"trd": [[3.0, 500.0]], "tv": 500.0}}, tv=500.0)
    place_market = Stream(PLACE, RUNNERS, **{**RACE, "marketType": "PLACE", "name": "To Be Placed"})
    soccer = Stream(SOCCER, **FOOTBALL).prices(100, {1: {"atb": [[2.0, 80.0]]}}, tv=20.0)
    tennis = Stream(TENNIS, **UNNAMED).prices(100, {1: {"atb": [[2.0, 7.0]]}}, tv=90.0)
    return [win, place_market, soccer, tennis]


def folder_of(path: Path) -> str:
    (path / f"{SOCCER}.json").write_text(json.dumps({"jsonrpc": "2.0", "result": [RECORDED], "id": 1}))
    (path / f"{TENNIS}.json").write_text("no catalogue")
    return str(path)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    exchange = exchange_of(*streams(), **SETTINGS)
    catalogues = Catalogues(exchange, folder_of(tmp_path_factory.mktemp("catalogues")))
    play(exchange, 100)
    place(exchange, "BACK", 2.0, 5.0, selection_id=11)
    place(exchange, "BACK", 1000.0, 5.0, account=BOB, market_id=SOCCER)
    with served(exchange, lambda _: merged(Listings(exchange, catalogues))) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Served) -> Any:
    return server.client()


def shown(moment: datetime.datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}"


def ids(rows: Any) -> list[str]:
    return [row.market_id for row in rows]


# -- lists ---------------------------------------------------------------------------------------------------------


def test_sports_with_the_numbers_of_their_markets(client: Any) -> None:
    rows = client.betting.list_event_types(filter=filters.market_filter())
    assert [(row.event_type.id, row.event_type.name, row.market_count) for row in rows] == [
        ("7", "Horse Racing", 2),
        ("1", "Soccer", 1),
        ("2", "Tennis", 1),
    ]


def test_competitions_are_those_of_recorded_catalogues(client: Any) -> None:
    rows = client.betting.list_competitions()
    assert [(row.competition.id, row.competition.name, row.competition_region, row.market_count) for row in rows] == [
        ("7129730", "English Championship", "GBR", 1)
    ]


def test_events_have_names_places_and_times(client: Any) -> None:
    rows = client.betting.list_events()
    assert [(row.event.id, row.event.name, row.event.venue, row.market_count) for row in rows] == [
        ("99", "Ascot 14th Nov", "Ascot", 2),
        ("500", "Leeds v Hull", None, 1),
        ("600", "Event 600", None, 1),
    ]
    assert [row.event.time_zone for row in rows] == ["GMT"] * 3
    assert shown(rows[1].event.open_date) == "2023-11-15T19:45:00"


def test_market_types_countries_and_venues(client: Any) -> None:
    betting = client.betting
    assert [(row.market_type, row.market_count) for row in betting.list_market_types()] == [
        ("WIN", 1),
        ("PLACE", 1),
        ("MATCH_ODDS", 2),
    ]
    assert [(row.country_code, row.market_count) for row in betting.list_countries()] == [("GB", 3), ("FR", 1)]
    assert [(row.venue, row.market_count) for row in betting.list_venues()] == [("Ascot", 2)]


@pytest.mark.parametrize(
    ("granularity", "first", "spans"),
    [
        ("DAYS", ("2023-11-14T00:00:00", "2023-11-15T00:00:00"), [3, 1]),
        ("HOURS", ("2023-11-14T22:00:00", "2023-11-14T23:00:00"), [3, 1]),
        ("MINUTES", ("2023-11-14T22:20:00", "2023-11-14T22:21:00"), [3, 1]),
    ],
)
def test_times_at_which_markets_start(client: Any, granularity: str, first: tuple[str, str], spans: list[int]) -> None:
    rows = client.betting.list_time_ranges(granularity=granularity)
    assert (shown(rows[0].time_range._from), shown(rows[0].time_range.to)) == first
    assert [row.market_count for row in rows] == spans


@pytest.mark.parametrize("operation", ["listEventTypes", "listEvents", "listMarketCatalogue", "listTimeRanges"])
def test_filter_must_be_there(server: Served, operation: str) -> None:
    answer = server.rpc(f"SportsAPING/v1.0/{operation}", {"maxResults": 1, "granularity": "DAYS"})
    assert answer["error"] == {"code": -32602, "message": "DSC-0018"}


@pytest.mark.parametrize("granularity", [None, "YEARS"])
def test_granularity_must_be_one_that_there_is(server: Served, granularity: str | None) -> None:
    answer = server.rpc("SportsAPING/v1.0/listTimeRanges", {"filter": {}, "granularity": granularity})
    assert answer["error"]["code"] == -32602


# -- filter --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        ({}, [WIN, PLACE, SOCCER, TENNIS]),
        ({"eventTypeIds": [7]}, [WIN, PLACE]),
        ({"eventTypeIds": []}, [WIN, PLACE, SOCCER, TENNIS]),
        ({"eventTypeIds": ["7", "1"], "marketTypeCodes": ["WIN", "MATCH_ODDS"]}, [WIN, SOCCER]),
        ({"eventIds": ["600"]}, [TENNIS]),
        ({"competitionIds": ["7129730"]}, [SOCCER]),
        ({"marketIds": [TENNIS, WIN, "1.5"]}, [WIN, TENNIS]),
        ({"venues": ["ascot"]}, [WIN, PLACE]),
        ({"bspOnly": True}, [WIN, PLACE, TENNIS]),
        ({"bspOnly": False}, [SOCCER]),
        ({"turnInPlayEnabled": False}, [TENNIS]),
        ({"inPlayOnly": True}, []),
        ({"inPlayOnly": "false"}, [WIN, PLACE, SOCCER, TENNIS]),
        ({"marketBettingTypes": ["ODDS"]}, [WIN, PLACE, SOCCER, TENNIS]),
        ({"marketBettingTypes": ["LINE"]}, []),
        ({"marketCountries": ["fr"]}, [TENNIS]),
        ({"marketStartTime": {"from": "2023-11-15T00:00:00Z"}}, [SOCCER]),
        ({"marketStartTime": {"to": "2023-11-14T22:20:00Z", "from": None}}, [WIN, PLACE, TENNIS]),
        ({"raceTypes": ["Flat"]}, [WIN, PLACE]),
        ({"betDelayModels": ["DYNAMIC", "PASSIVE"]}, [TENNIS]),
        ({"withOrders": ["EXECUTABLE"]}, [WIN]),
        ({"withOrders": ["EXECUTION_COMPLETE"]}, []),
        ({"textQuery": "leeds"}, [SOCCER]),
        ({"textQuery": "hull v"}, [SOCCER]),
        ({"textQuery": "Asc* 14th"}, [WIN, PLACE]),
        ({"textQuery": "Lee"}, []),
        ({"textQuery": "Match"}, []),
        ({"exchangeIds": ["1"]}, [WIN, PLACE, SOCCER, TENNIS]),
    ],
)
def test_each_field_of_the_filter(client: Any, chosen: dict[str, Any], found: list[str]) -> None:
    assert ids(client.betting.list_market_catalogue(filter=chosen, max_results=100)) == found


@pytest.mark.parametrize(
    "chosen",
    [
        {"marketBettingTypes": ["NONSENSE"]},
        {"withOrders": ["MAYBE"]},
        {"marketStartTime": {"from": "soon"}},
        {"marketStartTime": "soon"},
        {"eventTypeIds": "7"},
        {"bspOnly": 3},
    ],
)
def test_filter_with_what_there_is_not_is_refused(server: Served, chosen: dict[str, Any]) -> None:
    answer = server.rpc("SportsAPING/v1.0/listMarketCatalogue", {"filter": chosen, "maxResults": 1})
    assert answer["error"]["code"] == -32602


def test_text_that_begins_with_a_wildcard_is_refused(server: Served) -> None:
    answer = server.rpc("SportsAPING/v1.0/listEvents", {"filter": {"textQuery": "*eeds"}})
    assert answer["error"]["data"]["APINGException"]["errorCode"] == "INVALID_INPUT_DATA"


# -- catalogue -----------------------------------------------------------------------------------------------------

EVERYTHING = [
    "COMPETITION",
    "EVENT",
    "EVENT_TYPE",
    "MARKET_START_TIME",
    "MARKET_DESCRIPTION",
    "RUNNER_DESCRIPTION",
    "RUNNER_METADATA",
]


def test_catalogue_has_only_what_is_asked_for(server: Served) -> None:
    def answer(*projection: str) -> Any:
        params = {"filter": {"marketIds": [WIN]}, "maxResults": 1, "marketProjection": list(projection)}
        return server.rpc("SportsAPING/v1.0/listMarketCatalogue", params)["result"][0]

    bare = {"marketId": WIN, "marketName": "5f Hcap", "totalMatched": 500.0}
    assert answer() == bare
    assert answer("EVENT_TYPE") == {**bare, "eventType": {"id": "7", "name": "Horse Racing"}}
    assert answer("MARKET_START_TIME") == {**bare, "marketStartTime": "2023-11-14T22:20:00.000Z"}
    assert answer("COMPETITION") == bare
    runner = {"selectionId": 11, "runnerName": "First Light", "handicap": 0.0, "sortPriority": 1}
    assert answer("RUNNER_DESCRIPTION")["runners"][0] == runner
    assert answer("RUNNER_METADATA")["runners"][0] == {**runner, "metadata": {"runnerId": "11"}}


def test_catalogue_made_from_the_definition(client: Any) -> None:
    market = client.betting.list_market_catalogue(
        filter={"marketIds": [WIN]}, max_results=1, market_projection=EVERYTHING
    )[0]
    assert isinstance(market, resources.MarketCatalogue)
    assert (market.market_name, market.total_matched) == ("5f Hcap", 500.0)
    assert shown(market.market_start_time) == "2023-11-14T22:20:00"
    assert (market.event.name, market.event.venue, market.event_type.name) == (
        "Ascot 14th Nov",
        "Ascot",
        "Horse Racing",
    )
    assert market.competition is None
    description = market.description
    assert (description.betting_type, description.market_type, description.race_type) == ("ODDS", "WIN", "Flat")
    assert (description.bsp_market, description.turn_in_play_enabled, description.persistence_enabled) == (True,) * 3
    assert (description.market_base_rate, description.wallet) == (5, "UK wallet")
    assert description.regulator == "GIBRALTAR REGULATOR"
    assert description.price_ladder_description.type == "CLASSIC"
    assert [(each.selection_id, each.runner_name, each.sort_priority) for each in market.runners] == [
        (11, "First Light", 1),
        (12, "Second Wind", 2),
    ]


def test_recorded_catalogue_has_its_names_and_the_times_of_the_definition(client: Any) -> None:
    market = client.betting.list_market_catalogue(
        filter={"marketIds": [SOCCER]}, max_results=1, market_projection=EVERYTHING
    )[0]
    assert market.market_name == "Match Odds (recorded)"
    assert (market.competition.name, market.description.rules) == ("English Championship", "Recorded rules.")
    assert shown(market.market_start_time) == "2023-11-15T19:45:00"
    assert market.description.market_time == market.market_start_time
    assert shown(market.event.open_date) == "2023-11-15T19:45:00"
    assert market.total_matched == 20.0
    assert [each.runner_name for each in market.runners] == ["Leeds", "Runner 2"]


def test_names_that_a_definition_lacks_are_made_up(client: Any) -> None:
    market = client.betting.list_market_catalogue(
        filter={"marketIds": [TENNIS]}, max_results=1, market_projection=EVERYTHING
    )[0]
    assert (market.market_name, market.event.name) == ("Match Odds", "Event 600")
    assert [each.runner_name for each in market.runners] == ["Runner 1", "Runner 2"]


def test_recorded_catalogue_that_cannot_be_read_is_noted_and_made(server: Served) -> None:
    noted = [each.values for each in server.entries("ERROR") if each.values.get("market_id") == TENNIS]
    assert len(noted) == 1
    assert "not a market catalogue" in noted[0]["error"]


@pytest.mark.parametrize(
    ("sort", "found"),
    [
        ("MAXIMUM_TRADED", [WIN, TENNIS, SOCCER, PLACE]),
        ("MINIMUM_TRADED", [PLACE, SOCCER, TENNIS, WIN]),
        ("MAXIMUM_AVAILABLE", [SOCCER, TENNIS, WIN, PLACE]),
        ("FIRST_TO_START", [WIN, PLACE, TENNIS, SOCCER]),
        ("LAST_TO_START", [SOCCER, WIN, PLACE, TENNIS]),
    ],
)
def test_order_of_the_catalogue(client: Any, sort: str, found: list[str]) -> None:
    # What rests of alice's bet is offered too: 5 of it in the first market.
    assert ids(client.betting.list_market_catalogue(sort=sort, max_results=100)) == found
    assert ids(client.betting.list_market_catalogue(sort=sort, max_results=2)) == found[:2]


@pytest.mark.parametrize(
    ("results", "projection", "code"),
    [
        (0, [], "INVALID_INPUT_DATA"),
        (1_001, [], "INVALID_INPUT_DATA"),
        (1_000, [], None),
        (100, ["MARKET_DESCRIPTION", "RUNNER_METADATA"], None),
        (101, ["MARKET_DESCRIPTION", "RUNNER_METADATA"], "TOO_MUCH_DATA"),
        (200, ["RUNNER_METADATA", "EVENT", "RUNNER_DESCRIPTION"], None),
        (201, ["MARKET_DESCRIPTION"], "TOO_MUCH_DATA"),
    ],
)
def test_limits_of_the_catalogue(server: Served, results: int, projection: list[str], code: str | None) -> None:
    params = {"filter": {}, "maxResults": results, "marketProjection": projection}
    answer = server.rpc("SportsAPING/v1.0/listMarketCatalogue", params)
    found = answer.get("error", {}).get("data", {}).get("APINGException", {}).get("errorCode")
    assert found == code


@pytest.mark.parametrize(
    "params",
    [
        {"filter": {}},
        {"filter": {}, "maxResults": 1, "sort": "BEST"},
        {"filter": {}, "maxResults": 1, "marketProjection": ["ALL"]},
    ],
)
def test_parameters_of_the_catalogue_that_cannot_be(server: Served, params: dict[str, Any]) -> None:
    assert server.rpc("SportsAPING/v1.0/listMarketCatalogue", params)["error"]["code"] == -32602


# -- staleness -----------------------------------------------------------------------------------------------------


def moving() -> Exchange:
    """A market whose start moves by five minutes at 10 s, and which closes at 200 s."""
    later = MARKET_DEFINITION["marketTime"].replace("22:20", "22:25")
    stream = Stream().define(10_000, marketTime=later).touch(50_000).touch(80_000).close(200_000).touch(290_000)
    return exchange_of(stream, timers=Timers(catalogue_age=60, vanish=50))


def starts(catalogues: Catalogues) -> list[str]:
    return [entry.start for entry in catalogues.entries()]


def test_catalogue_is_as_stale_as_asked() -> None:
    exchange = moving()
    catalogues = Catalogues(exchange)
    assert starts(play_to(exchange, catalogues, 0)) == ["2023-11-14T22:20:00.000Z"]
    assert starts(play_to(exchange, catalogues, 50_000)) == ["2023-11-14T22:20:00.000Z"]
    assert starts(play_to(exchange, catalogues, 80_000)) == ["2023-11-14T22:25:00.000Z"]


def test_closed_market_leaves_the_catalogue_when_the_catalogue_learns_of_it() -> None:
    exchange = moving()
    catalogues = Catalogues(exchange)
    assert starts(play_to(exchange, catalogues, 200_000)) == ["2023-11-14T22:25:00.000Z"]
    exchange.advance(T0 + 260_000)
    assert starts(catalogues) == []


def play_to(exchange: Exchange, catalogues: Catalogues, until: int) -> Catalogues:
    play(exchange, until)
    return catalogues


def test_only_open_and_suspended_markets_are_listed() -> None:
    streams = [
        Stream("1.1", status="INACTIVE"),
        Stream("1.2").suspend(5),
        Stream("1.3").close(5),
        Stream("1.4"),
    ]
    exchange = exchange_of(*streams, gone={6: "1.4"})
    catalogues = Catalogues(exchange)
    play(exchange, 5)
    assert [entry.market_id for entry in catalogues.entries()] == ["1.2", "1.4"]
    play(exchange)
    assert [entry.market_id for entry in catalogues.entries()] == ["1.2"]


def test_little_is_kept_of_definitions_that_change_often() -> None:
    stream = Stream()
    for at in range(1_000, 1_000_000, 1_000):
        stream.define(at, version=at)
    exchange = exchange_of(stream, timers=Timers(catalogue_age=10))
    catalogues = Catalogues(exchange)
    play(exchange)
    assert len(catalogues._known[MARKET].definitions) <= 12
    assert next(catalogues.entries()).definition["version"] == 989_000


# -- menu ----------------------------------------------------------------------------------------------------------


def test_menu_is_a_tree_of_all_markets(client: Any) -> None:
    root = client.navigation.list_navigation()
    assert (root["id"], root["name"], root["type"]) == (0, "ROOT", "GROUP")
    racing, soccer, tennis = root["children"]
    assert (racing["name"], racing["type"], racing["id"]) == ("Horse Racing", "EVENT_TYPE", "7")
    race = racing["children"][0]
    assert (race["type"], race["id"], race["venue"], race["startTime"]) == (
        "RACE",
        "99.2220",
        "Ascot",
        "2023-11-14T22:20:00.000Z",
    )
    assert [each["id"] for each in race["children"]] == [WIN, PLACE]
    assert race["children"][0] == {
        "exchangeId": "1",
        "id": WIN,
        "marketStartTime": "2023-11-14T22:20:00.000Z",
        "marketType": "WIN",
        "numberOfWinners": "1",
        "name": "5f Hcap",
        "type": "MARKET",
    }
    group = soccer["children"][0]
    assert (group["type"], group["name"]) == ("GROUP", "English Championship")
    event = group["children"][0]
    assert (event["type"], event["id"], event["countryCode"]) == ("EVENT", "500", "GB")
    assert [each["type"] for each in tennis["children"]] == ["EVENT"]


def test_menu_needs_a_session(server: Served) -> None:
    url = f"{server.base}/exchange/betting/rest/v1/en/navigation/menu.json"
    answer = requests.get(url, headers={"X-Application": ALICE.app_key}, timeout=WAIT)
    assert (answer.status_code, answer.json()["faultstring"]) == (400, "ANGX-0005")
    assert requests.post(url, headers=server.headers(), timeout=WAIT).status_code == 405
