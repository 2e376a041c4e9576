"""Hosts: streams, what comes beside them, custom events, failures."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import msgspec

import headrace as hr
from builders import MARKET, T0, Stream
from headrace.actors.letters import (
    Ask,
    Carried,
    Catalogue,
    ImageWanted,
    Introduce,
    MarketUpdate,
    Stop,
    Unroute,
    UserEvent,
)
from headrace.strategies.messages import MarketFact
from live_hosts import (
    Driven,
    Looks,
    Raw,
    arrived,
    ended_hosts,
    failures_of,
    live_setup,
    looks_of,
    msg_for,
    updates_of,
)

# -- streams -----------------------------------------------------------------------------------------------------------

__all__ = ["ended_hosts"]  # used by all tests here


def test_after_a_loss_nothing_is_shown_before_the_image(tmp_path: Path) -> None:
    stream = Stream().prices(100, {1: {"ltp": 2.0, "atb": [[1.9, 5]]}})
    stream.prices(200, {1: {"ltp": 3.0}}).prices(300, {1: {"ltp": 4.0}}, img=True).prices(400, {1: {"ltp": 5.0}})
    driven = Driven(live_setup([Looks()]))
    looks_of(driven).clear()
    arrived(driven, stream, tmp_path, at=100, until=100)
    driven.host.lost("s1")
    assert driven.mail.letters(ImageWanted, "s1") == [ImageWanted("h1")]
    for at in (200, 300, 400):
        arrived(driven, stream, tmp_path, at=at, until=at)
    assert [each[1] for each in looks_of(driven) if each[0] == "book"] == [0, 100, 300, 400]
    book = driven.host.rooms["s1.market"].actor.hosted[0].market_book
    assert (book.runners[0].last_price_traded, book.runners[0].ex.available_to_back) == (5.0, [])


def test_a_change_that_cannot_be_read_is_a_failure_and_the_market_waits_for_an_image(tmp_path: Path) -> None:
    stream = Stream().prices(100, {1: {"ltp": 2.0}}).prices(200, {1: {"ltp": 3.0}})
    driven = Driven(live_setup([Looks()], rows_of_failures=failures_of))
    looks_of(driven).clear()
    arrived(driven, stream, tmp_path, at=0, until=0)
    broken = msgspec.structs.replace(updates_of(str(tmp_path / "market"))[1], crew="s1.market", change=b'{"id":')
    driven.deliver(broken, at=T0 + 90, sender="s1")
    assert driven.mail.letters(ImageWanted, "s1") == [ImageWanted("h1", MARKET)]
    arrived(driven, stream, tmp_path, at=200, until=200)
    assert [each[1] for each in looks_of(driven) if each[0] == "book"] == [0]
    driven.deliver(Stop(), at=T0 + 300)
    ((_, market_id, _, count, kind, message, *_),) = driven.rows("failures")
    assert (market_id, count, kind) == (MARKET, 1, "MessageError")
    assert message.startswith(f"market {MARKET}: a change is not JSON")


def test_a_change_with_nulls_is_read_as_in_a_recording(tmp_path: Path) -> None:
    stream = Stream().change(100, rc=[{"id": 1, "ltp": 2.5, "hc": None, "tv": None, "trd": [[2.5, None]]}])
    driven = Driven(live_setup([Looks()], rows_of_failures=failures_of))
    arrived(driven, stream, tmp_path, at=100, until=100)
    runner = driven.host.rooms["s1.market"].actor.hosted[0].market_book.runners[0]
    assert (runner.last_price_traded, runner.ex.traded_volume) == (2.5, [])
    driven.deliver(Stop(), at=T0 + 300)
    assert ["taken as not given" in row[5] or "left out" in row[5] for row in driven.rows("failures")] == [True]


def test_a_market_that_no_strategy_wants_is_sent_back(tmp_path: Path) -> None:
    stream = Stream().touch(100)
    driven = Driven(live_setup([Looks(market_filter={"market_type_codes": ["PLACE"]})]))
    looks_of(driven).clear()
    arrived(driven, stream, tmp_path, at=100, until=100)
    assert looks_of(driven) == []
    assert driven.mail.letters(Unroute, "s1")[0] == Unroute("s1.market", MARKET)
    assert Carried("s1.market", MarketFact(MARKET, "REMOVED", T0 + 100)) in driven.mail.letters(Carried)


def test_raw_changes_come_one_by_one_even_where_several_wait(tmp_path: Path) -> None:
    stream = Stream().prices(100, {1: {"ltp": 2.0}}).prices(200, {1: {"ltp": 3.0}})
    driven = Driven(live_setup([Raw(stream_class=hr.DataStream)]))
    driven.setup.strategies[0].data.clear()  # type: ignore[attr-defined]
    arrived(driven, stream, tmp_path, at=300, until=200)
    found = driven.setup.strategies[0].data  # type: ignore[attr-defined]
    assert [(clk, at) for clk, at, _ in found] == [("A", 0), ("A", 100), ("A", 200)]
    assert found[2][2] == {"id": MARKET, "rc": [{"id": 1, "ltp": 3.0}]}


def test_raw_changes_of_orders_need_no_definition() -> None:
    driven = Driven(live_setup([Raw(stream_class=hr.OrderDataStream)]))
    data = driven.setup.strategies[0].data  # type: ignore[attr-defined]
    data.clear()
    change = {"id": MARKET, "orc": [{"id": 1, "uo": []}]}
    update = msg_for(updates_from(change, T0 + 5), "s1.market")
    driven.deliver(update, at=T0 + 10, sender="s1")
    assert data == [("", 5, change)]


def updates_from(change: dict[str, Any], pt: int) -> Any:
    return MarketUpdate("", change.get("id") or change.get("mid") or "", pt, 0, json.dumps(change).encode())


class Sports(hr.Strategy):
    """Notes sports data and catalogues."""

    found: Any = hr.resource(list)

    def check_sports_data(self, market: Any, sports_data: Any) -> bool:
        return True

    def process_sports_data(self, market: Any, sports_data: Any) -> None:
        self.found.append((type(sports_data).__name__, sports_data.market_id, market.clock.now_ms - T0))

    def process_market_catalogue(self, market: Any, catalogue: Any) -> None:
        self.found.append(("catalogue", catalogue.market_name, market.market_name))


def sporting(tmp_path: Path) -> tuple[Driven, list[Any]]:
    driven = Driven(live_setup([Sports(sports_data_filter=["race"])]))
    found = driven.setup.strategies[0].found  # type: ignore[attr-defined]
    found.clear()
    arrived(driven, Stream(), tmp_path, at=0, until=0)
    return driven, found


def race(pt: int, **progress: Any) -> Any:
    change = {"mid": MARKET, "id": "99.0000", "rpc": {"ft": pt, "g": "5f", "st": 0, "rt": 3, "spd": 1, **progress}}
    return msg_for(updates_from({**change, "id": "99.0000"}, pt), "s1.market")


def test_sports_data_reach_the_strategies_of_their_market(tmp_path: Path) -> None:
    driven, found = sporting(tmp_path)
    update = msgspec.structs.replace(race(T0 + 900), market_id=MARKET)
    driven.deliver(update, at=T0 + 950, sender="s2")
    driven.deliver(msgspec.structs.replace(update, market_id="1.9"), at=T0 + 960, sender="s2")
    assert found == [("Race", MARKET, 950)]


def test_lost_sports_data_wait_for_no_image(tmp_path: Path) -> None:
    driven, found = sporting(tmp_path)
    driven.host.lost("s2")
    assert driven.mail.letters(ImageWanted, "s2") == [ImageWanted("h1")]
    driven.deliver(msgspec.structs.replace(race(T0 + 900), market_id=MARKET), at=T0 + 950, sender="s2")
    assert len(found) == 1


def catalogue(name: str) -> bytes:
    return json.dumps({"marketId": MARKET, "marketName": name, "runners": []}).encode()


def test_a_catalogue_is_handed_on_where_it_says_something_new(tmp_path: Path) -> None:
    driven, found = sporting(tmp_path)
    for name in ("5f Hcap", "5f Hcap", "6f Hcap"):
        driven.deliver(Catalogue(MARKET, catalogue(name)), at=T0 + 100)
    assert found == [("catalogue", "5f Hcap", "5f Hcap"), ("catalogue", "6f Hcap", "6f Hcap")]


def test_a_catalogue_that_comes_before_its_market_waits_for_it(tmp_path: Path) -> None:
    driven = Driven(live_setup([Sports()]))
    found = driven.setup.strategies[0].found  # type: ignore[attr-defined]
    found.clear()
    arrived(driven, Stream("1.7"), tmp_path, at=0, until=0)
    driven.deliver(Catalogue(MARKET, catalogue("5f Hcap")), at=T0 + 100)
    assert found == []
    arrived(driven, Stream("1.7").touch(5), tmp_path, at=150, until=5)
    updates = updates_of(Stream().write(tmp_path / "market"))
    driven.deliver(msg_for(updates[0], "s1.market"), at=T0 + 200, sender="s1")
    assert found == [("catalogue", "5f Hcap", "5f Hcap")]


def test_what_is_not_a_catalogue_is_a_failure(tmp_path: Path) -> None:
    driven = Driven(live_setup([Sports()], rows_of_failures=failures_of))
    arrived(driven, Stream(), tmp_path, at=0, until=0)
    driven.deliver(Catalogue(MARKET, b'{"marketId": "1.9"}'), at=T0 + 100)
    driven.deliver(Stop(), at=T0 + 300)
    assert [row[5] for row in driven.rows("failures")] == [
        f"market {MARKET}: not a catalogue: its marketId is 1.9, expected {MARKET}"
    ]


# -- custom events -----------------------------------------------------------------------------------------------------


class Hears(hr.Strategy):
    """Notes custom events."""

    heard: Any = hr.resource(list)

    def process_custom_event(self, market: Any, event: Any) -> None:
        self.heard.append((market.market_id, event.event, market.clock.now_ms - T0))

    def process_market_book(self, market: Any, book: Any) -> None:
        market.framework.stop()

    def check_market_book(self, market: Any, book: Any) -> bool:
        return bool(book.publish_time_epoch == T0 + 700)


def called(framework: Any, event: Any) -> None:
    for strategy in framework.strategies:
        strategy.heard.append(("callback", event.event, len(framework.markets)))


def user_event(*arguments: Any, **keywords: Any) -> Any:
    return UserEvent(pickle.dumps(hr.CustomEvent(*arguments, **keywords)))


def hearing(tmp_path: Path) -> tuple[Driven, list[Any]]:
    driven = Driven(live_setup([Hears()], logging_controls=[lambda event: None]))
    heard = driven.setup.strategies[0].heard  # type: ignore[attr-defined]
    heard.clear()
    arrived(driven, Stream().touch(700), tmp_path, at=0, until=0)
    return driven, heard


def test_a_custom_event_reaches_open_markets_after_its_callback(tmp_path: Path) -> None:
    driven, heard = hearing(tmp_path)
    driven.deliver(user_event("rain", called), at=T0 + 20)
    driven.deliver(user_event("sun", None, ["1.9"]), at=T0 + 30)
    driven.deliver(user_event("wind", publish_time=T0 + 5), at=T0 + 40)
    driven.deliver(user_event("hail", publish_time=T0 + 60), at=T0 + 50)
    assert heard == [("callback", "rain", 1), (MARKET, "rain", 20), (MARKET, "wind", 40)]
    driven.deliver(Introduce("s9", "there"), at=T0 + 70)
    assert heard[3:] == [(MARKET, "hail", 60)]
    # The coordinator, which has sent them, knows of them.
    rows = [letter.message for letter in driven.mail.letters(Carried)]
    assert not [row for row in rows if getattr(row, "name", "") == "custom_event"]


def test_events_that_come_before_their_markets_wait_for_them(tmp_path: Path) -> None:
    driven = Driven(live_setup([Hears()]))
    heard = driven.setup.strategies[0].heard  # type: ignore[attr-defined]
    heard.clear()
    for letter in (
        msgspec.structs.replace(user_event("for all", called), awaits=True),
        msgspec.structs.replace(user_event("for another", None, ["1.9"]), awaits=True, market_ids=("1.9",)),
        user_event("for nobody"),
        user_event("at 50", publish_time=T0 + 50),
        user_event("too early", publish_time=T0 - 5),
    ):
        driven.deliver(letter, at=T0 - 10)
    arrived(driven, Stream().touch(700), tmp_path, at=0, until=0)
    assert heard == [("callback", "for all", 1), (MARKET, "for all", 0)]
    driven.deliver(Introduce("s9", "there"), at=T0 + 60)
    assert heard[2:] == [(MARKET, "at 50", 50)]


def test_a_strategy_that_ends_the_run_has_the_coordinator_asked_once(tmp_path: Path) -> None:
    driven, _ = hearing(tmp_path)
    arrived(driven, Stream().touch(700).touch(800), tmp_path, at=700, until=700)
    driven.deliver(Introduce("s9", "there"), at=T0 + 900)
    (ask,) = driven.mail.letters(Ask)
    assert (ask.what, ask.reply_to, ask.values) == ("STOP", "", b"{}")
    assert driven.mail.known["s9"] == "there"


# -- failures ----------------------------------------------------------------------------------------------------------


class Fails(hr.Strategy):
    """Fails at each book."""

    def check_market_book(self, market: Any, book: Any) -> bool:
        raise KeyError("no such price")


def test_failures_are_told_every_second_with_what_has_been_added(tmp_path: Path) -> None:
    stream = Stream()
    for at in (100, 200, 300):
        stream.touch(at)
    driven = Driven(live_setup([Fails(), Looks()], rows_of_failures=failures_of))
    driven.setup.strategies[1].looks.clear()  # type: ignore[attr-defined]
    for at in (0, 100):
        arrived(driven, stream, tmp_path, at=at, until=at)
    driven.host.next_state_ms = T0 + 150
    for at in (200, 300):
        arrived(driven, stream, tmp_path, at=at, until=at)
    driven.deliver(Stop(), at=T0 + 400)
    rows = driven.rows("failures")
    assert [(row[0], row[1], row[3], row[4], row[6] - T0) for row in rows] == [
        ("Fails", MARKET, 2, "KeyError", 0), ("Fails", MARKET, 2, "KeyError", 0)
    ]  # fmt: skip
    assert len(driven.setup.strategies[1].looks) == 5  # type: ignore[attr-defined]
