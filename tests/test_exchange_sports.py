"""Races and cricket on the rehearsal exchange's stream, read raw and by betfairlightweight's caches."""

from __future__ import annotations

from typing import Any

import pytest

from exchange_builders import T0, settings
from exchange_streams import stage
from headrace.simulate.exchange.errors import StreamError
from headrace.simulate.exchange.exchange import Exchange
from headrace.simulate.exchange.feed_messages import FeedMessage
from headrace.simulate.exchange.timeline import Timeline

RACE = {
    "id": "28587288.1650",
    "mid": "1.1",
    "rrc": [{"ft": T0, "id": 11, "lat": 51.4, "long": -0.4, "spd": 17.8, "prg": 2051, "sfq": 2.07}],
    "rpc": {"ft": T0, "g": "1f", "st": 10.6, "rt": 46.7, "spd": 17.8, "prg": 87.5, "ord": [11, 12], "J": []},
}
FIXTURE = {"fixtureStatus": "IN_RUNNING", "maxOvers": 20}


def match(market_id: str, **fields: Any) -> dict[str, Any]:
    return {"eventId": f"e{market_id}", "marketId": market_id, **fields}


def exchange_with(*changes: tuple[str, dict[str, Any]]) -> Exchange:
    """An exchange that has one change of a race or a match every 100 ms."""
    feed = [FeedMessage(T0 + 100 * place, sports=(change,)) for place, change in enumerate(changes, 1)]
    return Exchange(settings(), Timeline("step", wall=lambda: T0), feed)


def test_races_come_without_an_image_and_then_change_by_change():
    moved = {
        "id": RACE["id"],
        "mid": "1.1",
        "rrc": [{"ft": T0 + 100, "id": 12, "lat": 51.5, "long": -0.4, "spd": 17.0}],
    }
    exchange = exchange_with(("rcm", RACE), ("rcm", RACE), ("ccm", match("1.2")), ("rcm", moved))
    exchange.play_next()
    with stage(exchange) as stream:
        client = stream.subscribe(operation="raceSubscription")
        (image,) = client.new()
        assert (image["op"], image["id"], image["ct"], "rc" in image) == ("rcm", 7, "SUB_IMAGE", False)
        exchange.play_next()
        assert (client.last["rc"], client.last["pt"]) == ([RACE], T0 + 200)
        client.new()
        exchange.play_next()
        assert client.new() == []
        exchange.play_next()
        cache = client.listener.stream._caches["1.1"]
        assert (cache.race_id, cache.rpc, [*cache.rrc]) == (RACE["id"], RACE["rpc"], [11, 12])


def test_cricket_comes_with_an_image_of_each_match_and_then_change_by_change():
    exchange = exchange_with(
        ("ccm", match("1.1", fixtureInfo=FIXTURE, matchStats={"currentInnings": 1})),
        ("ccm", match("1.2", fixtureInfo=FIXTURE)),
        ("ccm", match("1.1", matchStats={"currentInnings": 2})),
        ("ccm", match("1.2", homeTeam={"name": "Karachi Kings"})),
    )
    with stage(exchange) as stream:
        for _ in range(3):
            exchange.play_next()
        client = stream.subscribe(operation="cricketSubscription")
        assert (client.last["op"], client.last["ct"]) == ("ccm", "SUB_IMAGE")
        assert client.last["cc"] == [
            match("1.1", fixtureInfo=FIXTURE, matchStats={"currentInnings": 2}),
            match("1.2", fixtureInfo=FIXTURE),
        ]
        exchange.play_next()
        assert client.last["cc"] == [match("1.2", homeTeam={"name": "Karachi Kings"})]
        cache = client.listener.stream._caches["1.2"]
        assert (cache.fixture_info, cache.home_team) == (FIXTURE, {"name": "Karachi Kings"})


def test_cricket_goes_on_from_its_clocks_with_the_matches_that_have_changed():
    exchange = exchange_with(
        ("ccm", match("1.1", fixtureInfo=FIXTURE)),
        ("ccm", match("1.2", fixtureInfo=FIXTURE)),
        ("ccm", match("1.1", matchStats={"currentInnings": 2})),
    )
    with stage(exchange) as stream:
        exchange.play_next()
        exchange.play_next()
        client = stream.subscribe(operation="cricketSubscription")
        stream.lose(client)
        exchange.play_next()
        stream.subscribe(operation="cricketSubscription", reader=client, **stream.clocks(client))
        assert (client.last["ct"], client.last["cc"]) == (
            "RESUB_DELTA",
            [match("1.1", fixtureInfo=FIXTURE, matchStats={"currentInnings": 2})],
        )
        with pytest.raises(StreamError, match="INVALID_CLOCK"):
            stream.subscribe(operation="raceSubscription", **stream.clocks(client))


def test_heartbeats_and_conflation():
    exchange = exchange_with(("rcm", RACE), ("rcm", {**RACE, "rrc": []}))
    with stage(exchange) as stream:
        client = stream.subscribe(operation="raceSubscription", heartbeatMs=500, conflateMs=50)
        client.new()
        exchange.play_next()
        exchange.play_next()
        assert client.new() == []
        stream.let_pass(0.08)
        (message,) = client.new()
        assert len(message["rc"]) == 2
        stream.let_pass(0.55)
        assert client.last["ct"] == "HEARTBEAT"
