"""What a subscription to markets brings: images, changes, heartbeats, clocks, conflation, segments, and who is slow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from builders import MARKET, T0
from exchange_builders import ALICE, BOB, Stream, exchange_of, play
from exchange_requests import place
from headrace.simulate.exchange.settings import AccountSettings, Limits, Timers
from headrace.simulate.exchange.stream.clocks import IMAGES
from stream_in_process import Client, InProcess

OFFERS = {"atb": [[2.0, 10], [1.99, 4]], "atl": [[2.1, 6]]}


def stream_of(*streams: Stream, until: int | None = 0, **settings: Any) -> InProcess:
    return InProcess(play(exchange_of(*streams, **settings), until=until))


def ticking(changes: int = 50, market_id: str = MARKET) -> Stream:
    """A market whose best offer to back changes its size every millisecond."""
    stream = Stream(market_id)
    for number in range(1, changes + 1):
        stream.prices(number, {1: {"atb": [[2.0, number]]}})
    return stream


@pytest.fixture
def stream() -> Iterator[InProcess]:
    with stream_of(ticking()) as found:
        yield found


def subscribe(client: Client, request_id: int = 7, **request: Any) -> list[dict[str, Any]]:
    """The messages that follow the status of a subscription."""
    fields = {"fields": ["EX_ALL_OFFERS"]}
    answers = client.send(
        op="marketSubscription", id=request_id, **{"marketFilter": {}, "marketDataFilter": fields, **request}
    )
    assert answers[0]["statusCode"] == "SUCCESS", answers
    return answers[1:]


def offers(messages: list[dict[str, Any]]) -> list[list[list[float]]]:
    """The offers to back in the only market and runner of each message."""
    return [message["mc"][0]["rc"][0]["atb"] for message in messages]


# -- images and changes ---------------------------------------------------------------------------------------------


def test_an_image_has_clocks_and_what_holds(stream: InProcess):
    [image] = subscribe(stream.connect().log_in(), conflateMs=-5, heartbeatMs=100)
    assert image["op"] == "mcm"
    assert image["ct"] == "SUB_IMAGE"
    assert image["initialClk"]
    assert image["clk"]
    assert (image["conflateMs"], image["heartbeatMs"], image["pt"]) == (0, 500, T0)
    assert image["mc"] == [{"id": MARKET, "rc": [], "img": True}]


def test_an_image_of_nothing_has_no_changes(stream: InProcess):
    [image] = subscribe(stream.connect().log_in(), marketFilter={"marketIds": ["1.9"]})
    assert "mc" not in image


def test_changes_come_one_message_for_each_moment_with_its_time(stream: InProcess):
    client = stream.connect().log_in()
    subscribe(client)
    play(stream.exchange, until=3)
    messages = client.read()
    assert [(each["id"], each["pt"]) for each in messages] == [(7, T0 + 1), (7, T0 + 2), (7, T0 + 3)]
    assert offers(messages) == [[[2.0, 1]], [[2.0, 2]], [[2.0, 3]]]
    assert all("ct" not in each for each in messages)
    assert len({each["clk"] for each in messages}) == 3


def test_changes_that_do_not_show_are_not_sent(stream: InProcess):
    client = stream.connect().log_in()
    subscribe(client, marketDataFilter={"fields": ["EX_LTP"]})
    play(stream.exchange, until=3)
    assert client.read() == []


def test_a_market_that_appears_comes_as_an_image():
    late = Stream("1.500000000")
    late.lines[0]["pt"] += 20
    with stream_of(ticking(5), late) as stream:
        client = stream.connect().log_in()
        subscribe(client, marketDataFilter={"fields": ["EX_MARKET_DEF"]})
        play(stream.exchange)
        [message] = client.read()
        [change] = message["mc"]
        assert (change["id"], change["img"], change["marketDefinition"]["status"]) == ("1.500000000", True, "OPEN")


def test_a_market_that_comes_to_pass_the_filter_comes_as_an_image():
    changing = Stream().prices(10, {1: OFFERS}).define(20, turnInPlayEnabled=False).prices(30, {1: {"atb": [[1.5, 1]]}})
    with stream_of(changing) as stream:
        client = stream.connect().log_in()
        [image] = subscribe(client, marketFilter={"turnInPlayEnabled": False})
        assert "mc" not in image
        play(stream.exchange)
        first, second = client.read()
        assert first["mc"][0]["img"] is True
        assert sorted(first["mc"][0]["rc"][0]["atb"]) == [[1.99, 4], [2.0, 10]]
        assert offers([second]) == [[[1.5, 1]]]


def test_a_market_that_has_vanished_is_in_no_image():
    with stream_of(Stream().close(10), ticking(20, "1.6"), timers=Timers(vanish=0.0)) as stream:
        client = stream.connect().log_in()
        subscribe(client)
        play(stream.exchange)
        stream.exchange.advance(T0 + 60_000)
        client.read()
        [image] = subscribe(client)
        assert [each["id"] for each in image["mc"]] == ["1.6"]


def test_what_an_account_offers_and_takes_shows():
    with stream_of(Stream().prices(10, {1: OFFERS}), until=10) as stream:
        client = stream.connect().log_in()
        subscribe(client, marketDataFilter={"fields": ["EX_ALL_OFFERS", "EX_TRADED", "EX_LTP", "EX_TRADED_VOL"]})
        place(stream.exchange, "LAY", 1.9, 3.0, account=BOB)
        place(stream.exchange, "BACK", 2.0, 4.0)
        resting, taken = client.read()
        assert offers([resting]) == [[[1.9, 3.0]]]
        [change] = taken["mc"]
        assert change["rc"] == [{"atb": [[2.0, 6.0]], "trd": [[2.0, 8.0]], "ltp": 2.0, "tv": 8.0, "id": 1}]
        assert change["tv"] == 8.0


def test_a_new_subscription_takes_the_place_of_the_old_one(stream: InProcess):
    client = stream.connect().log_in()
    subscribe(client, 1)
    [image] = subscribe(client, 2, marketDataFilter={"fields": ["EX_MARKET_DEF", "EX_ALL_OFFERS"]})
    assert image["id"] == 2
    play(stream.exchange, until=2)
    assert [each["id"] for each in client.read()] == [2, 2]
    stream.let_pass(5_000)
    assert [each["id"] for each in client.read()] == [2]


def test_a_subscription_that_is_refused_ends_with_its_connection(stream: InProcess):
    client = stream.connect().log_in()
    subscribe(client)
    client.send(op="marketSubscription", id=8, marketFilter=[])
    play(stream.exchange, until=3)
    assert client.closed
    assert client.read() == []


# -- heartbeats -----------------------------------------------------------------------------------------------------


def test_heartbeats_come_where_nothing_else_does(stream: InProcess):
    client = stream.connect().log_in()
    subscribe(client, heartbeatMs=1_000)
    stream.let_pass(900)
    assert client.read() == []
    stream.let_pass(100)
    [beat] = client.read()
    assert (beat["op"], beat["id"], beat["ct"], beat["pt"]) == ("mcm", 7, "HEARTBEAT", T0)
    assert beat["clk"]
    assert "mc" not in beat


def test_a_message_puts_the_heartbeat_off(stream: InProcess):
    client = stream.connect().log_in()
    subscribe(client, heartbeatMs=1_000)
    stream.let_pass(700)
    play(stream.exchange, until=1)
    client.read()
    stream.let_pass(300)
    assert client.read() == []
    stream.let_pass(700)
    assert [each["ct"] for each in client.read()] == ["HEARTBEAT"]


@pytest.mark.parametrize(("asked", "holds"), [(None, 5_000), (1, 500), (700, 700), (90_000, 5_000)])
def test_the_rate_of_heartbeats_is_kept_in_bounds(stream: InProcess, asked: int | None, holds: int):
    client = stream.connect().log_in()
    [image] = subscribe(client, heartbeatMs=asked)
    assert image["heartbeatMs"] == holds
    stream.let_pass(holds - 1)
    assert client.read() == []
    stream.let_pass(2)
    assert len(client.read()) == 1


def test_publish_times_never_go_back():
    exchange = exchange_of(ticking(), speed=1.0)
    exchange.timeline._wall = lambda: T0 + 30  # what is played is late
    with InProcess(play(exchange, until=0)) as stream:
        client = stream.connect().log_in()
        told = subscribe(client)
        play(exchange, until=40)
        times = [each["pt"] - T0 for each in told + client.read()]
        assert times == [30] * 31 + list(range(31, 41))


# -- clocks ---------------------------------------------------------------------------------------------------------


def clocks(messages: list[dict[str, Any]]) -> dict[str, str]:
    """What a client stores of messages."""
    return {key: each[key] for each in messages for key in ("initialClk", "clk") if key in each}


def test_who_comes_back_with_clocks_is_told_what_it_missed(stream: InProcess):
    client = stream.connect().log_in()
    told = subscribe(client)
    play(stream.exchange, until=2)
    told += client.read()
    client.leave()
    play(stream.exchange, until=9)
    back = stream.connect().log_in()
    [delta] = subscribe(back, 8, **clocks(told))
    assert (delta["ct"], delta["id"]) == ("RESUB_DELTA", 8)
    assert delta["mc"] == [{"id": MARKET, "rc": [{"atb": [[2.0, 9.0]], "id": 1}], "con": True}]
    play(stream.exchange, until=10)
    assert offers(back.read()) == [[[2.0, 10.0]]]


def test_who_missed_nothing_is_told_so(stream: InProcess):
    client = stream.connect().log_in()
    told = subscribe(client)
    [delta] = subscribe(client, 8, **clocks(told))
    assert delta["ct"] == "RESUB_DELTA"
    assert "mc" not in delta


def test_the_clock_of_a_heartbeat_serves(stream: InProcess):
    client = stream.connect().log_in()
    told = subscribe(client)
    play(stream.exchange, until=5)
    client.read()  # lost
    stream.let_pass(5_000)
    told += client.read()
    [delta] = subscribe(client, 8, **clocks(told))
    assert "mc" not in delta


def test_markets_that_appeared_meanwhile_come_as_images():
    late = Stream("1.500000000")
    late.lines[0]["pt"] += 2
    with stream_of(ticking(5), late) as stream:
        client = stream.connect().log_in()
        told = subscribe(client)
        client.leave()
        play(stream.exchange)
        [delta] = subscribe(stream.connect().log_in(), **clocks(told))
        images = {each["id"]: each.get("img", False) for each in delta["mc"]}
        assert images == {MARKET: False, "1.500000000": True}


def test_an_image_in_the_meantime_is_an_image():
    changing = Stream().prices(10, {1: OFFERS})
    changing.lines.append({**changing.lines[0], "pt": T0 + 20, "mc": [{**changing.lines[0]["mc"][0], "img": True}]})
    with stream_of(changing, until=10) as stream:
        client = stream.connect().log_in()
        told = subscribe(client)
        play(stream.exchange)
        client.read()  # lost
        [delta] = subscribe(client, 8, **clocks(told))
        assert delta["mc"] == [{"id": MARKET, "rc": [], "img": True}]


def refused_clock(client: Client, account: AccountSettings = ALICE, **request: Any) -> None:
    fields = {"fields": ["EX_ALL_OFFERS"]}
    answers = client.send(op="marketSubscription", id=9, **{"marketFilter": {}, "marketDataFilter": fields, **request})
    error = answers[-1]
    assert (error["id"], error["errorCode"], error["connectionClosed"]) == (9, "INVALID_CLOCK", True)
    assert client.closed


def test_clocks_that_are_not_known_are_refused(stream: InProcess):
    told = clocks(subscribe(stream.connect().log_in()))
    for changes in (
        {"initialClk": "AAAA"},
        {"clk": "AAAA"},
        {"clk": told["clk"] + "f0"},
        {"clk": told["clk"] + "zz"},
        {"clk": None},
        {"initialClk": None},
    ):
        refused_clock(stream.connect().log_in(), **{**told, **changes})


def test_clocks_of_another_run_are_refused(stream: InProcess):
    told = clocks(subscribe(stream.connect().log_in()))
    with stream_of(ticking()) as other:
        other.server.clocks._mark = "another"
        refused_clock(other.connect().log_in(), **told)


@pytest.mark.parametrize(
    "changes",
    [
        {"marketFilter": {"marketIds": [MARKET]}},
        {"marketDataFilter": {"fields": ["EX_LTP"]}},
        {"marketDataFilter": {"fields": ["EX_BEST_OFFERS"], "ladderLevels": 4}},
    ],
)
def test_clocks_of_other_criteria_are_refused(stream: InProcess, changes: dict[str, Any]):
    told = clocks(subscribe(stream.connect().log_in()))
    refused_clock(stream.connect().log_in(), **{**told, **changes})


def test_clocks_of_another_account_are_refused(stream: InProcess):
    told = clocks(subscribe(stream.connect().log_in()))
    refused_clock(stream.connect().log_in(BOB), **told)


def test_clocks_that_are_too_old_are_refused():
    with stream_of(ticking(), timers=Timers(clocks=60.0)) as stream:
        client = stream.connect().log_in()
        told = clocks(subscribe(client))
        for number in range(1, 9):
            stream.let_pass(10_000)
            play(stream.exchange, until=number)
            client.read()
        refused_clock(stream.connect().log_in(), **told)


def test_old_clocks_serve_as_long_as_nothing_has_changed():
    with stream_of(ticking(), timers=Timers(clocks=60.0)) as stream:
        client = stream.connect().log_in()
        told = clocks(subscribe(client))
        stream.let_pass(300_000)
        [delta] = subscribe(stream.connect().log_in(), **told)
        assert delta["ct"] == "RESUB_DELTA"


def test_the_image_of_a_subscription_in_force_is_never_forgotten(stream: InProcess):
    client, busy = stream.connect().log_in(), stream.connect().log_in()
    told = clocks(subscribe(client))
    first = clocks(subscribe(busy))
    for number in range(3 * IMAGES):
        stream.server.clocks.image((number,), 0).live = False
    assert len(stream.server.clocks._images) < IMAGES + 10
    busy.leave()
    for number in range(3 * IMAGES):
        stream.server.clocks.image((number,), 0).live = False
    [delta] = subscribe(client, 8, **told)
    assert delta["ct"] == "RESUB_DELTA"
    refused_clock(stream.connect().log_in(), **first)


# -- conflation -----------------------------------------------------------------------------------------------------


def test_changes_are_conflated_for_who_wants_it(stream: InProcess):
    client = stream.connect().log_in()
    [image] = subscribe(client, conflateMs=200)
    assert image["conflateMs"] == 200
    play(stream.exchange, until=20)
    assert client.read() == []
    stream.let_pass(200)
    [message] = client.read()
    assert message["mc"] == [{"id": MARKET, "rc": [{"atb": [[2.0, 20.0]], "id": 1}], "con": True}]
    stream.let_pass(200)
    assert client.read() == []


def test_all_prices_that_changed_meanwhile_are_in_a_conflated_change():
    moving = (
        Stream()
        .prices(10, {1: OFFERS})
        .prices(20, {1: {"atb": [[2.0, 8]]}})
        .prices(30, {1: {"atb": [[1.99, 0]], "atl": [[2.1, 7]]}, 2: {"ltp": 3.0}})
        .prices(40, {1: {"atb": [[1.5, 2]], "trd": [[2.0, 6]]}}, tv=9)
    )
    with stream_of(moving, until=10) as stream:
        client = stream.connect().log_in()
        fields = ["EX_ALL_OFFERS", "EX_BEST_OFFERS", "EX_TRADED", "EX_LTP", "EX_TRADED_VOL"]
        subscribe(client, conflateMs=100, marketDataFilter={"fields": fields})
        play(stream.exchange)
        stream.let_pass(100)
        [change] = client.read()[0]["mc"]
        first, second = change["rc"]
        assert sorted(first.pop("atb")) == [[1.5, 2.0], [1.99, 0.0], [2.0, 8.0]]
        assert first == {
            "atl": [[2.1, 7.0]],
            "trd": [[2.0, 6.0]],
            "batb": [[0, 2.0, 8.0], [1, 1.5, 2.0]],
            "batl": [[0, 2.1, 7.0]],
            "id": 1,
        }
        assert second == {"ltp": 3.0, "id": 2}
        assert (change["tv"], change["con"]) == (9.0, True)


@pytest.mark.parametrize(("delayed", "asked", "holds"), [(False, 500_000, 120_000), (True, 500_000, 180_000)])
def test_conflation_is_kept_in_bounds(delayed: bool, asked: int, holds: int):
    account = AccountSettings("carol", "pw", "carol-key", delayed=delayed)
    with stream_of(ticking(), accounts=(account,)) as stream:
        [image] = subscribe(stream.connect().log_in(account), conflateMs=asked)
        assert image["conflateMs"] == holds


def test_a_recorded_conflation_is_told():
    recorded = Stream().prices(10, {1: OFFERS})
    recorded.lines[-1]["mc"][0]["con"] = True
    with stream_of(recorded) as stream:
        client = stream.connect().log_in()
        subscribe(client)
        play(stream.exchange)
        assert client.read()[0]["mc"][0]["con"] is True


# -- segments -------------------------------------------------------------------------------------------------------


def crowd(count: int) -> list[Stream]:
    return [Stream(f"1.2{number:08}").prices(10, {1: OFFERS}) for number in range(count)]


def test_large_images_come_in_segments_for_who_wants_it():
    with stream_of(*crowd(25), until=10) as stream:
        messages = subscribe(stream.connect().log_in(), segmentationEnabled=True)
        assert [each["segmentType"] for each in messages] == ["SEG_START", "SEG", "SEG_END"]
        assert [len(each["mc"]) for each in messages] == [10, 10, 5]
        assert {each["ct"] for each in messages} == {"SUB_IMAGE"}
        assert ["clk" in each for each in messages] == [False, False, True]
        assert len({change["id"] for each in messages for change in each["mc"]}) == 25


def test_small_images_have_no_segments():
    with stream_of(*crowd(10), until=10) as stream:
        [image] = subscribe(stream.connect().log_in(), segmentationEnabled=True)
        assert "segmentType" not in image


def test_images_are_one_message_for_who_does_not_want_segments():
    with stream_of(*crowd(25), until=10) as stream:
        [image] = subscribe(stream.connect().log_in(), segmentationEnabled=False)
        assert len(image["mc"]) == 25


@pytest.mark.parametrize("segmented", [False, True])
def test_no_message_of_changes_holds_more_than_ten(segmented: bool):
    with stream_of(*crowd(25)) as stream:
        client = stream.connect().log_in()
        subscribe(client, segmentationEnabled=segmented)
        play(stream.exchange)
        messages = client.read()
        assert [len(each["mc"]) for each in messages] == [10, 10, 5]
        assert [each.get("segmentType") for each in messages] == (
            ["SEG_START", "SEG", "SEG_END"] if segmented else [None] * 3
        )
        assert [each["pt"] for each in messages] == [T0 + 10] * 3
        assert ["clk" in each for each in messages] == [False, False, True]


# -- what is wanted of a market -------------------------------------------------------------------------------------

RICH = {
    **OFFERS,
    "trd": [[2.0, 30]],
    "spb": [[1.01, 7]],
    "spl": [[1000, 8]],
    "bdatb": [[0, 2.02, 3]],
    "ltp": 2.0,
    "tv": 30,
    "spn": 2.2,
    "spf": "NaN",
}


@pytest.mark.parametrize(
    ("field", "keys"),
    [
        ("EX_BEST_OFFERS_DISP", {"bdatb": [[0, 2.02, 3.0]], "bdatl": [[0, 2.1, 6.0]]}),
        ("EX_BEST_OFFERS", {"batb": [[0, 2.0, 10.0], [1, 1.99, 4.0]], "batl": [[0, 2.1, 6.0]]}),
        ("EX_ALL_OFFERS", {"atb": [[1.99, 4.0], [2.0, 10.0]], "atl": [[2.1, 6.0]]}),
        ("EX_TRADED", {"trd": [[2.0, 30.0]]}),
        ("EX_TRADED_VOL", {"tv": 30.0}),
        ("EX_LTP", {"ltp": 2.0}),
        ("SP_TRADED", {"spb": [[1.01, 7.0]], "spl": [[1000.0, 8.0]]}),
        ("SP_PROJECTED", {"spn": 2.2, "spf": "NaN"}),
    ],
)
def test_each_field_of_the_filter_brings_its_own(field: str, keys: dict[str, Any]):
    with stream_of(Stream().prices(10, {1: RICH})) as stream:
        client = stream.connect().log_in()
        subscribe(client, marketDataFilter={"fields": [field]})
        play(stream.exchange)
        for message in (client.read()[0], subscribe(client, marketDataFilter={"fields": [field]})[0]):
            [change] = message["mc"]
            [runner] = change["rc"]
            assert {key: sorted(value) if isinstance(value, list) else value for key, value in runner.items()} == {
                **keys,
                "id": 1,
            }
            assert "marketDefinition" not in change


def test_the_markets_own_volume_comes_with_the_runners():
    with stream_of(Stream().prices(10, {1: {"ltp": 2.0}}, tv=55.5), until=10) as stream:
        [image] = subscribe(stream.connect().log_in(), marketDataFilter={"fields": ["EX_TRADED_VOL"]})
        assert image["mc"][0]["tv"] == 55.5
        [image] = subscribe(stream.connect().log_in(), marketDataFilter={"fields": ["EX_TRADED"]})
        assert "tv" not in image["mc"][0]


def test_definitions_come_whole_on_each_change():
    with stream_of(Stream().define(10, status="SUSPENDED")) as stream:
        client = stream.connect().log_in()
        subscribe(client, marketDataFilter={"fields": ["EX_MARKET_DEF"]})
        play(stream.exchange)
        [message] = client.read()
        [change] = message["mc"]
        assert change["marketDefinition"]["status"] == "SUSPENDED"
        assert change["marketDefinition"]["eventId"] == "99"
        assert "img" not in change


def test_without_fields_all_come():
    with stream_of(Stream().prices(10, {1: RICH}), until=10) as stream:
        [image] = subscribe(stream.connect().log_in(), marketDataFilter={})
        assert set(image["mc"][0]["rc"][0]) == {*RICH, "batb", "batl", "bdatl", "id"}
        assert "marketDefinition" in image["mc"][0]


def test_handicaps_tell_runners_apart():
    lines = Stream(runners={1: {"hc": -0.5}}).prices(10, {1: OFFERS})
    lines.lines[-1]["mc"][0]["rc"][0]["hc"] = -0.5
    with stream_of(lines, until=10) as stream:
        [image] = subscribe(stream.connect().log_in())
        assert image["mc"][0]["rc"][0]["hc"] == -0.5


@pytest.mark.parametrize(
    ("levels", "expected"),
    [(None, 3), (1, 1), (5, 5), (10, 6)],
)
def test_ladder_levels_bound_the_best_offers(levels: int | None, expected: int):
    ladder = {"atl": [[2.0 + number / 50, 5] for number in range(6)]}
    with stream_of(Stream().prices(10, {1: ladder}), until=10) as stream:
        wanted = {"fields": ["EX_BEST_OFFERS"], "ladderLevels": levels}
        [image] = subscribe(stream.connect().log_in(), marketDataFilter=wanted)
        found = image["mc"][0]["rc"][0]["batl"]
        assert found == [[rank, 2.0 + rank / 50, 5.0] for rank in range(expected)]


def test_best_offers_move_up_and_go():
    moving = Stream().prices(10, {1: OFFERS}).prices(20, {1: {"atb": [[2.0, 0]]}})
    with stream_of(moving, until=10) as stream:
        client = stream.connect().log_in()
        subscribe(client, marketDataFilter={"fields": ["EX_BEST_OFFERS"]})
        play(stream.exchange)
        assert client.read()[0]["mc"][0]["rc"] == [{"batb": [[0, 1.99, 4.0], [1, 0.0, 0.0]], "id": 1}]


def test_best_offers_that_do_not_change_are_not_sent():
    deep = Stream().prices(10, {1: OFFERS}).prices(20, {1: {"atb": [[1.5, 9]]}})
    with stream_of(deep, until=10) as stream:
        client = stream.connect().log_in()
        subscribe(client, marketDataFilter={"fields": ["EX_BEST_OFFERS"], "ladderLevels": 2})
        play(stream.exchange)
        assert client.read() == []


@pytest.mark.parametrize(
    ("ladder", "best"),
    [
        ([[2.0, 0.5], [1.99, 4]], [[0, 1.99, 4.5]]),
        ([[2.0, 0.5], [1.99, 0.5], [1.98, 2]], [[0, 1.99, 1.0], [1, 1.98, 2.0]]),
        ([[2.0, 0.4], [1.99, 0.4]], [[0, 1.99, 0.8]]),
        ([[2.0, 3], [1.99, 0.99]], [[0, 2.0, 3.0], [1, 1.99, 0.99]]),
    ],
)
def test_offers_under_a_pound_are_shown_with_the_next_that_is_worse(ladder: Any, best: Any):
    with stream_of(Stream().prices(10, {1: {"atb": ladder}}), until=10) as stream:
        client = stream.connect().log_in()
        [image] = subscribe(client, marketDataFilter={"fields": ["EX_BEST_OFFERS", "EX_ALL_OFFERS"]})
        [runner] = image["mc"][0]["rc"]
        assert runner.get("batb") == best
        assert sorted(runner["atb"], reverse=True) == [[price, float(size)] for price, size in ladder]


def test_displayed_offers_follow_what_accounts_take_and_offer():
    shown = {**OFFERS, "bdatb": [[0, 2.02, 3], [1, 2.0, 10]]}
    with stream_of(Stream().prices(10, {1: shown}), until=10) as stream:
        client = stream.connect().log_in()
        subscribe(client, marketDataFilter={"fields": ["EX_BEST_OFFERS_DISP"]})
        place(stream.exchange, "BACK", 2.0, 4.0)
        assert client.read()[0]["mc"][0]["rc"] == [{"bdatb": [[1, 2.0, 6.0]], "id": 1}]


# -- which markets --------------------------------------------------------------------------------------------------

HORSES = {"eventTypeId": "7", "eventId": "1", "countryCode": "GB", "venue": "Ascot", "raceType": "Flat"}
DOGS = {
    "eventTypeId": "4339",
    "eventId": "2",
    "countryCode": "IE",
    "venue": "Cork",
    "marketType": "PLACE",
    "bettingType": "RANGE",
    "bspMarket": False,
    "turnInPlayEnabled": False,
}


@pytest.mark.parametrize(
    ("wanted", "horses", "dogs"),
    [
        ({}, True, True),
        ({"marketIds": []}, True, True),
        ({"marketIds": ["1.71"]}, True, False),
        ({"marketIds": ["1.71", "1.72", "1.73"]}, True, True),
        ({"marketTypes": ["WIN"]}, True, False),
        ({"marketTypes": ["WIN", "PLACE"]}, True, True),
        ({"bettingTypes": ["RANGE"]}, False, True),
        ({"eventTypeIds": ["7"]}, True, False),
        ({"eventTypeIds": [4339]}, False, True),
        ({"eventIds": ["2"]}, False, True),
        ({"countryCodes": ["GB", "FR"]}, True, False),
        ({"venues": ["Cork"]}, False, True),
        ({"raceTypes": ["Flat"]}, True, False),
        ({"bspMarket": True}, True, False),
        ({"bspMarket": False}, False, True),
        ({"turnInPlayEnabled": True}, True, False),
        ({"turnInPlayEnabled": False}, False, True),
        ({"eventTypeIds": ["7"], "countryCodes": ["IE"]}, False, False),
    ],
)
def test_markets_come_that_pass_every_condition(wanted: dict[str, Any], horses: bool, dogs: bool):
    with stream_of(Stream("1.71", **HORSES), Stream("1.72", **DOGS)) as stream:
        [image] = subscribe(stream.connect().log_in(), marketFilter=wanted)
        found = [each["id"] for each in image.get("mc", [])]
        assert found == [name for name, is_in in (("1.71", horses), ("1.72", dogs)) if is_in]


# -- who is slow ----------------------------------------------------------------------------------------------------


def test_who_does_not_read_is_told_later_what_has_become(stream: InProcess):
    slow, quick = stream.connect().log_in(), stream.connect().log_in()
    subscribe(slow)
    subscribe(quick)
    slow.reads = False
    slow.connection.pause_writing()
    play(stream.exchange, until=40)
    assert len(quick.read()) == 40
    assert slow.read() == []
    slow.connection.resume_writing()
    [message] = slow.read_on()
    assert message["mc"] == [
        {"id": MARKET, "rc": [{"atb": [[2.0, 1.0]], "id": 1}]},  # it was on its way already
        {"id": MARKET, "rc": [{"atb": [[2.0, 40.0]], "id": 1}], "con": True},
    ]
    play(stream.exchange, until=41)
    assert offers(slow.read()) == [[[2.0, 41.0]]]


def test_what_waits_for_a_slow_client_is_bounded():
    streams = [ticking(400, f"1.2{number:08}") for number in range(12)]
    with stream_of(*streams, limits=Limits(backlog_bytes=4_000)) as stream:
        slow = stream.connect().log_in()
        subscribe(slow)
        slow.reads = False
        play_slowly(stream, 400)
        assert slow.transport.most < 8_000
        messages = slow.read_on()
        while more := slow.read():
            messages += more
        backlog = [each for each in messages if any(change.get("con") for change in each["mc"])]
        assert len(backlog) > 1
        assert ["clk" in each for each in backlog] == [False] * (len(backlog) - 1) + [True]
        last = {change["id"]: change["rc"][0]["atb"] for each in messages for change in each["mc"]}
        assert last == {f"1.2{number:08}": [[2.0, 400.0]] for number in range(12)}


def play_slowly(stream: InProcess, until: int) -> None:
    """Play with turns of the loop in between."""
    for moment in range(until):
        play(stream.exchange, until=moment + 1)
        stream.turn()


def test_nothing_more_is_asked_of_who_does_not_read():
    with stream_of(ticking(), limits=Limits(backlog_bytes=4_000)) as stream:
        client = stream.connect().log_in()
        client.reads = False
        request = json.dumps({"op": "marketSubscription", "id": 3, "marketFilter": {}}).encode() + b"\r\n"
        client.send_bytes(request * 300)
        for _ in range(400):
            stream.turn()
        assert client.transport.most < 8_000
        assert not client.transport.reading
        answers = client.read_on()
        for _ in range(500):
            stream.turn()
        answers += client.read()
        assert sum(each["op"] == "status" for each in answers) == 300
        assert client.transport.reading


def test_heartbeats_do_not_pile_up_for_who_does_not_read(stream: InProcess):
    client = stream.connect().log_in()
    subscribe(client, heartbeatMs=500)
    client.reads = False
    client.connection.pause_writing()
    client.transport.most = 0
    for _ in range(100):
        stream.let_pass(500)
    assert client.transport.most == 0
    client.connection.resume_writing()
    client.read_on()
    stream.let_pass(500)
    assert [each["ct"] for each in client.read()] == ["HEARTBEAT"]


def test_a_defect_costs_one_client_its_connection(stream: InProcess, monkeypatch: pytest.MonkeyPatch):
    broken, other = stream.connect().log_in(), stream.connect().log_in(BOB)
    subscribe(broken)
    subscribe(other)
    [subscription] = broken.connection.subscriptions.values()
    monkeypatch.setattr(subscription, "take", lambda *_: 1 // 0)
    play(stream.exchange, until=2)
    assert broken.closed
    assert len(other.read()) == 2
    assert [each.values["error"] for each in stream.exchange.ledger.entries(kind="ERROR")] == [
        "ZeroDivisionError('integer division or modulo by zero')"
    ]


def test_no_channel_outlives_its_subscriptions(stream: InProcess):
    client = stream.connect().log_in()
    for number in range(20):
        subscribe(client, number, marketDataFilter={"fields": ["EX_BEST_OFFERS"], "ladderLevels": 1 + number % 10})
    [market] = stream.server.markets._markets.values()
    assert len(market.channels) == 1
    client.leave()
    assert not market.channels
    assert not stream.server._subscribed
