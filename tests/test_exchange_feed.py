"""What is played at the rehearsal exchange: recordings, several at once, with their times moved to now."""

from __future__ import annotations

import bz2
import gzip
import io
import itertools
import json
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from builders import START, T0, Stream, priced
from headrace.archive.pack import write_pack
from headrace.simulate.exchange.exchange import Exchange
from headrace.simulate.exchange.feed.generated_feed import GeneratedFeed
from headrace.simulate.exchange.feed.merged import Merged
from headrace.simulate.exchange.feed.recorded_feed import RecordedFeed
from headrace.simulate.exchange.feed_messages import FeedMessage
from headrace.simulate.exchange.public_market import LADDERS
from headrace.simulate.exchange.settings import ExchangeSettings, Timers
from headrace.simulate.exchange.timeline import Timeline, written
from headrace.simulate.generator import Recipe, generate_event
from headrace.strategies.errors import InputError

NOW = 1_800_000_000_000


def timeline(speed: float = 1.0) -> Timeline:
    return Timeline(speed, wall=lambda: NOW)


def played(markets: Any, speed: float = 1.0, **options: Any) -> list[FeedMessage]:
    return list(RecordedFeed(markets, timeline(speed), **options))


def times(messages: Iterable[FeedMessage]) -> list[int]:
    return [message.at - NOW for message in messages]


def definitions(messages: Iterable[FeedMessage]) -> list[dict[str, Any]]:
    return [each.definition for message in messages for each in message.changes if each.definition is not None]


def test_a_recording_begins_now_and_keeps_its_distances(tmp_path: Path) -> None:
    market = priced().touch(5_000).close(9_000)
    assert times(played(market.write(tmp_path / "1.1"))) == [0, 100, 5_000, 9_000]


def test_at_twenty_times_the_speed_distances_are_a_twentieth(tmp_path: Path) -> None:
    market = priced().touch(5_000).close(9_000)
    assert times(played(market.write(tmp_path / "1.1"), speed=20)) == [0, 5, 250, 450]


def test_all_times_of_a_definition_are_moved_and_scaled(tmp_path: Path) -> None:
    market = Stream(
        marketTime=written(T0 + 600_000),
        suspendTime=written(T0 + 590_000),
        openDate=written(T0 - 60_000),
    ).define(1_000, {2: {"status": "REMOVED", "removalDate": written(T0 + 800)}})
    market.close(2_000, settledTime=written(T0 + 1_990))
    first, removed, closed = definitions(played(market.write(tmp_path / "1.1"), speed=20))
    assert first["marketTime"] == written(NOW + 30_000)
    assert first["suspendTime"] == written(NOW + 29_500)
    assert first["openDate"] == written(NOW - 3_000)
    assert removed["runners"][1]["removalDate"] == written(NOW + 40)
    assert closed["settledTime"] == written(NOW + 100)


def test_what_is_decoded_agrees_with_what_is_sent(tmp_path: Path) -> None:
    market = Stream(settledTime=written(T0 + 5), suspendTime=written(T0 + 6)).define(
        0, {1: {"removalDate": written(T0 + 7)}}
    )
    change = played(market.write(tmp_path / "1.1"))[-2].changes[0]
    decoded, sent = change.change.market_definition, change.definition
    assert decoded is not None
    assert sent is not None
    assert [decoded.market_time, decoded.suspend_time, decoded.open_date, decoded.settled_time] == [
        _moment(sent[name]) for name in ("marketTime", "suspendTime", "openDate", "settledTime")
    ]
    assert decoded.runners[0].removal_date == _moment(sent["runners"][0]["removalDate"])


def _moment(text: str) -> Any:
    import datetime

    return datetime.datetime.fromisoformat(text)


def test_fields_that_nobody_knows_are_sent_and_nulls_are_not(tmp_path: Path) -> None:
    market = Stream(newField={"deep": [1, None]}, venue=None, raceType="Flat")
    (definition,) = definitions(played(market.write(tmp_path / "1.1"))[:1])
    assert definition["newField"] == {"deep": [1]}
    assert definition["raceType"] == "Flat"
    assert "venue" not in definition


def test_a_time_that_no_calendar_has_any_more_is_the_last_there_is(tmp_path: Path) -> None:
    market = Stream(openDate="9999-12-31T00:00:00.000Z", settledTime="1970-01-01T00:00:00.000Z").close(100)
    first, _ = definitions(played(market.write(tmp_path / "1.1"), speed=0.5))
    assert (first["openDate"][:19], first["settledTime"]) == ("9999-12-31T23:59:59", "1970-01-01T00:00:00.000Z")


def test_what_no_definition_is_without_is_filled_in(tmp_path: Path) -> None:
    line = {"op": "mcm", "pt": T0, "mc": [{"id": "1.1", "marketDefinition": {"runners": [{"id": 7}]}}]}
    path = tmp_path / "1.1"
    path.write_text(json.dumps(line) + "\n")
    (definition,) = definitions(played(str(path)))
    assert (definition["status"], definition["betDelay"], definition["regulators"]) == ("OPEN", 0, ["MR_INT"])
    assert definition["runners"] == [{"id": 7}]


def test_seconds_to_start_are_true_at_any_speed(tmp_path: Path) -> None:
    path = priced().close(9_000).write(tmp_path / "1.1")
    for speed in (1.0, 20.0):
        line = timeline(speed)
        exchange = Exchange(ExchangeSettings(speed=speed), line, RecordedFeed(path, line))
        exchange.play_next()
        (market,) = exchange.markets.values()
        start = market.definition.market_time
        assert start is not None
        assert start.timestamp() * 1000 - exchange.clock.now_ms == START / speed


def test_each_recording_begins_at_the_start_unless_they_are_kept_in_step(tmp_path: Path) -> None:
    paths = [
        priced(market_id="1.1").close(9_000).write(tmp_path / "1.1"),
        Stream("1.2").touch(50).write(tmp_path / "1.2"),
    ]
    later = [json.loads(line) for line in Path(paths[1]).read_text().splitlines()]
    Path(paths[1]).write_text("".join(json.dumps({**line, "pt": line["pt"] + 7_000}) + "\n" for line in later))
    alone = [(m.at - NOW, m.changes[0].change.id) for m in played(paths) if m.changes]
    assert alone == [(0, "1.1"), (0, "1.2"), (50, "1.2"), (100, "1.1"), (9_000, "1.1")]
    together = [(m.at - NOW, m.changes[0].change.id) for m in played(paths, in_step=True) if m.changes]
    assert together == [(0, "1.1"), (100, "1.1"), (7_000, "1.2"), (7_050, "1.2"), (9_000, "1.1")]


def test_what_was_recorded_long_before_the_start_is_there_at_once(tmp_path: Path) -> None:
    market = priced().prices(START - 61_000, {1: {"atb": [[1.98, 0], [1.5, 7]], "ltp": 2.1}}, tv=99.0)
    market.define(START - 60_500, version=5).prices(START - 30_000, {2: {"ltp": 3.0}}).close(START + 9_000)
    messages = played(market.write(tmp_path / "1.1"), before_start=60)
    assert times(messages) == [0, 30_000, 69_000]
    (image,) = messages[0].changes
    assert image.definition is not None
    assert (image.definition["version"], image.change.tv, image.change.img) == (5, 99.0, True)
    first, second = image.change.rc
    assert sorted(first.atb or ()) == [(1.5, 7.0), (1.9, 100.0), (2.0, 10.0)]
    assert (first.ltp, second.atl) == (2.1, [(1.9, 50.0)])
    assert image.definition["marketTime"] == written(NOW + 60_000)
    with pytest.raises(InputError, match="before_start is -1"):
        played(str(tmp_path / "1.1"), before_start=-1)


def test_the_book_after_a_late_beginning_is_the_recordings_own(tmp_path: Path) -> None:
    path = tmp_path / "1.1"
    path.write_bytes(b"\n".join(generate_event(3, 0, Recipe(changes=400))[0].lines))
    line = Timeline("step", wall=lambda: NOW)

    def books(**options: Any) -> list[dict[str, Any]]:
        exchange = Exchange(ExchangeSettings(speed="step"), line, RecordedFeed(str(path), line, **options))
        found = []
        while exchange.play_next():
            for market in exchange.markets.values():
                ladders = {
                    key: {name: one.ladder(name) for name in LADDERS} for key, one in market.public.runners.items()
                }
                prices = {key: one.last_price_traded for key, one in market.public.runners.items()}
                found.append({"ladders": ladders, "prices": prices, "volume": market.public.volume})
        return found

    late, whole = books(before_start=300.0), books()
    assert 100 < len(late) < len(whole)
    assert late == whole[-len(late) :]


def test_a_market_that_had_closed_before_the_beginning_is_left_out(tmp_path: Path) -> None:
    lines = [*Stream("1.1").close(300).lines, *Stream("1.2").touch(START - 1_000).close(START + 900).lines]
    lines.sort(key=lambda line: line["pt"])
    path = tmp_path / "30000000"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = played(str(path), before_start=10.0)
    assert [(m.at - NOW, [each.change.id for each in m.changes]) for m in found] == [
        (0, ["1.2"]), (9_000, ["1.2"]), (10_900, ["1.2"])
    ]  # fmt: skip


def test_times_never_go_back_where_a_recorder_mixed_its_lines(tmp_path: Path) -> None:
    market = Stream().touch(500).touch(400).close(9_000)
    assert times(played(market.write(tmp_path / "1.1"))) == [0, 500, 500, 9_000]


def test_any_form_of_recording_is_played(tmp_path: Path) -> None:
    text = priced().close(9_000).text().encode()
    (tmp_path / "plain").write_bytes(text)
    (tmp_path / "1.1.bz2").write_bytes(bz2.compress(text))
    (tmp_path / "1.1.gz").write_bytes(gzip.compress(text))
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("1.1", text)
    for name, mode in (("all.tar", "w"), ("all.tar.gz", "w:gz")):
        with tarfile.open(tmp_path / name, mode) as tar:  # type: ignore[call-overload]
            member = tarfile.TarInfo("1.1.bz2")
            packed = bz2.compress(text)
            member.size = len(packed)
            tar.addfile(member, io.BytesIO(packed))
    write_pack([str(tmp_path / "1.1.bz2")], str(tmp_path / "packed"), engine="local", progress=False)
    expected = [(m.at, m.changes) for m in played(str(tmp_path / "plain"))]
    for name in ("1.1.bz2", "1.1.gz", "all.zip", "all.tar", "all.tar.gz", "packed"):
        assert [(m.at, m.changes) for m in played(str(tmp_path / name))] == expected, name


def test_an_archive_that_cannot_be_read_at_several_places_leaves_no_files(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with tarfile.open(tmp_path / "all.tar.gz", "w:gz") as tar:
        for name in ("1.1", "1.2"):
            text = Stream(name).close(100).text().encode()
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))
    messages = played(str(tmp_path / "all.tar.gz"))
    assert [m.changes[0].change.id for m in messages] == ["1.1", "1.2", "1.1", "1.2"]
    assert [path.name for path in tmp_path.iterdir()] == ["all.tar.gz"]


def test_a_market_that_does_not_close_is_gone_at_its_end(tmp_path: Path) -> None:
    path = Stream("1.1").touch(800).write(tmp_path / "1.1")
    assert [(m.at - NOW, m.gone) for m in played(path)] == [(0, ()), (800, ()), (800, ("1.1",))]


def test_an_event_file_is_played_as_one(tmp_path: Path) -> None:
    lines = [*Stream("1.1").touch(300).close(900).lines, *Stream("1.2").touch(200).close(600).lines]
    lines.sort(key=lambda line: line["pt"])
    path = tmp_path / "30000000"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = [(m.at - NOW, m.changes[0].change.id) for m in played(str(path))]
    assert found == [(0, "1.1"), (0, "1.2"), (200, "1.2"), (300, "1.1"), (600, "1.2"), (900, "1.1")]


def test_of_a_market_in_two_files_the_first_is_played_and_the_other_told_of(tmp_path: Path) -> None:
    first = priced().close(9_000).write(tmp_path / "a")
    second = Stream().touch(50).write(tmp_path / "b")
    feed = RecordedFeed([first, second], timeline())
    assert times(feed) == [0, 100, 9_000]
    assert feed.problems == [f"{second}, line 1, market 1.100000001: the market is in {first} as well; this copy is "
                             "left out"]  # fmt: skip


def test_a_line_that_cannot_be_read_is_told_of_and_the_rest_is_played(tmp_path: Path) -> None:
    path = tmp_path / "1.1"
    lines = priced().close(9_000).text().splitlines()
    path.write_text("\n".join([*lines[:2], '{"op":"mcm","pt":', *lines[2:]]) + "\n")
    feed = RecordedFeed(str(path), timeline())
    assert times(feed) == [0, 100, 9_000]
    assert feed.lost_lines == 1
    assert "line 3" in feed.problems[0]


def test_what_a_recorder_wrote_oddly_is_played_as_far_as_it_says_something(tmp_path: Path) -> None:
    path = tmp_path / "1.1"
    market = Stream(marketTime=T0 + 600_000, betDelay="soon", venue="Ascot").close(9_000)
    path.write_text(market.text())
    feed = RecordedFeed(str(path), timeline())
    messages = list(feed)
    change = messages[0].changes[0]
    assert change.definition is not None
    assert change.definition["marketTime"] == written(NOW + 600_000)
    assert change.definition["venue"] == "Ascot"
    assert change.change.market_definition is not None
    assert _moment(change.definition["marketTime"]) == change.change.market_definition.market_time
    assert [problem for problem in feed.problems if "betDelay" in problem]


def test_a_recording_that_breaks_off_is_played_to_there_and_its_market_is_gone(tmp_path: Path) -> None:
    market = priced()
    for at in range(1_000, 400_000, 100):
        market.prices(at, {1: {"atb": [[2.0, at / 100]]}})
    whole = gzip.compress(market.text().encode())
    path = tmp_path / "1.1.gz"
    path.write_bytes(whole[: len(whole) // 2])
    feed = RecordedFeed(str(path), timeline())
    messages = list(feed)
    assert len(messages) > 100
    assert messages[-1].gone == ("1.100000001",)
    assert "is damaged or cut short" in feed.problems[-1]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ('{"op":"mcm","pt":1700000000000,"mc":[{"id":"1.1","rc":[]}]}\n', "has no market definition"),
        ("hello\n", "is not JSON"),
        ('{"op":"mcm","pt":1700000000000}\n', "has no market definition"),
    ],
)
def test_a_recording_that_cannot_be_played_is_refused_in_one_sentence(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "1.1"
    path.write_text(text)
    with pytest.raises(InputError, match=told) as refused:
        RecordedFeed(str(path), timeline())
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_recordings_beside_one_that_cannot_be_played_are_played(tmp_path: Path) -> None:
    (tmp_path / "1.0").write_text('{"op":"mcm","pt":1700000000000,"mc":[{"id":"1.0","rc":[]}]}\n')
    priced().close(9_000).write(tmp_path / "1.1")
    (tmp_path / "1.2").write_text("hello\n")
    feed = RecordedFeed(str(tmp_path), timeline())
    assert feed.recordings == 1
    assert [at - feed.start_ms for at in feed.starts_ms] == [START]
    assert {change.change.id for message in feed for change in message.changes} == {"1.100000001"}
    assert [problem.rpartition(";")[2] for problem in feed.problems] == [" it is left out", " it is left out"]
    assert "1.0: has no market definition" in feed.problems[0]
    assert "1.2, line 1: is not JSON" in feed.problems[1]


def test_of_recordings_none_of_which_can_be_played_the_first_is_told_and_how_many_more(tmp_path: Path) -> None:
    for name in ("1.1", "1.2", "1.3"):
        (tmp_path / name).write_text("hello\n")
    with pytest.raises(InputError, match=r"1\.1, line 1: is not JSON.*; nor can the 2 others be played$"):
        RecordedFeed(str(tmp_path), timeline())


def test_a_damaged_member_of_a_compressed_archive_is_left_out(tmp_path: Path) -> None:
    whole = Path(priced().close(9_000).write(tmp_path / "1.1"))
    with tarfile.open(tmp_path / "both.tar.gz", "w:gz") as archive:
        (tmp_path / "1.0.bz2").write_bytes(b"BZh9 no more than a beginning")
        archive.add(tmp_path / "1.0.bz2", "1.0.bz2")
        archive.add(whole, "1.1")
    feed = RecordedFeed(str(tmp_path / "both.tar.gz"), timeline())
    assert feed.recordings == 1
    (problem,) = feed.problems
    assert "1.0.bz2" in problem
    feed.close()


def test_a_part_that_fails_ends_and_the_others_go_on() -> None:
    def fails() -> Iterator[FeedMessage]:
        yield FeedMessage(NOW + 1)
        raise ZeroDivisionError("a defect")

    merged = Merged()
    merged.add(NOW, fails())
    merged.add(NOW, iter([FeedMessage(NOW), FeedMessage(NOW + 2)]))
    assert times(merged) == [0, 1, 2]


def test_no_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        RecordedFeed(str(tmp_path / "none"), timeline())
    with pytest.raises(InputError, match="matches no file"):
        RecordedFeed(str(tmp_path / "*.bz2"), timeline())
    with pytest.raises(InputError, match="no such folder"):
        RecordedFeed(Stream().write(tmp_path / "1.1"), timeline(), sports_data=tmp_path / "none")


def test_a_market_of_an_event_file_without_definition_is_told_of(tmp_path: Path) -> None:
    lines = [*Stream("1.1").close(900).lines, Stream("1.2").touch(200).lines[1]]
    path = tmp_path / "30000000"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    feed = RecordedFeed(str(path), timeline())
    assert {m.changes[0].change.id for m in feed} == {"1.1"}
    assert ["1.2" in problem and "no market definition" in problem for problem in feed.problems] == [True]


def test_sports_data_come_at_their_times_with_their_times_moved(tmp_path: Path) -> None:
    market = Stream("1.1").touch(2_000).close(9_000).write(tmp_path / "1.1")
    folder = tmp_path / "sports"
    folder.mkdir()
    race = {"id": "99.1650", "mid": "1.1", "rpc": {"ft": T0 + 1_400, "spd": 17.8}, "rrc": [{"ft": T0 + 1_300, "id": 7}]}
    match = {"marketId": "1.1", "fixtureInfo": {"expectedStartTime": T0 + 60_000}}
    other = {"id": "98.1650", "mid": "1.9"}
    lines: list[Any] = [
        {"op": "ccm", "pt": T0 - 5_000, "cc": [match]},
        {"op": "rcm", "pt": T0 + 1_500, "rc": [race, other]},
        "not an object",
    ]
    (folder / "1.1.gz").write_bytes(gzip.compress("".join(json.dumps(line) + "\n" for line in lines).encode()))
    feed = RecordedFeed(market, timeline(2.0), sports_data=folder)
    messages = list(feed)
    assert [(m.at - NOW, m.sports) for m in messages if m.sports] == [
        (0, (("ccm", {"marketId": "1.1", "fixtureInfo": {"expectedStartTime": NOW + 30_000}}),)),
        (
            750,
            (
                (
                    "rcm",
                    {
                        "id": "99.1650",
                        "mid": "1.1",
                        "rpc": {"ft": NOW + 700, "spd": 17.8},
                        "rrc": [{"ft": NOW + 650, "id": 7}],
                    },
                ),
            ),
        ),
    ]
    assert [m.at for m in messages] == sorted(m.at for m in messages)
    assert len(feed.problems) == 1
    assert "line 3" in feed.problems[0]


def test_many_recordings_are_open_only_while_they_are_played(tmp_path: Path) -> None:
    """Kept in step, a recording is opened when its time comes and closed at its end."""
    import os

    paths = []
    for number in range(40):
        lines = Stream(f"1.{number}").touch(10).close(20).lines
        path = tmp_path / f"1.{number}"
        path.write_text("".join(json.dumps({**line, "pt": line["pt"] + number * 1_000}) + "\n" for line in lines))
        paths.append(str(path))
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    most, count = 0, 0
    for _ in RecordedFeed(paths, timeline(), in_step=True):
        count += 1
        if before is not None:
            most = max(most, len(os.listdir("/proc/self/fd")) - before)
    assert count == 120
    assert most <= 4


# -- made-up markets -------------------------------------------------------------------------------------------------


def generated(markets: int, messages: int, speed: float = 1.0, **options: Any) -> list[FeedMessage]:
    feed = GeneratedFeed(timeline(speed), markets, **{"changes": 60, **options})
    return list(itertools.islice(feed, messages))


def test_equal_seeds_give_equal_markets_and_others_give_others() -> None:
    first, again, other = generated(3, 200), generated(3, 200), generated(3, 200, seed=1)
    assert [(m.at, m.changes) for m in first] == [(m.at, m.changes) for m in again]
    assert {m.changes[0].change.id for m in first}.isdisjoint({m.changes[0].change.id for m in other})


def test_as_old_markets_close_new_ones_appear_without_end() -> None:
    messages = generated(4, 5_000, speed=20.0)
    assert [m.at for m in messages] == sorted(m.at for m in messages)
    shown, most, seen = set(), [], set()
    for message in messages:
        for each in message.changes:
            market_id, definition = each.change.id, each.change.market_definition
            if definition is not None:
                (shown.discard if definition.status == "CLOSED" else shown.add)(market_id)
                seen.add(market_id)
        most.append(len(shown))
    assert max(most) == 4
    assert min(most[100:]) >= 1
    assert len(seen) > 40


def test_made_up_markets_start_when_their_definitions_say() -> None:
    for speed in (1.0, 20.0):
        first = generated(1, 1, speed, minutes_before=10.0, sports=["tennis"])[0]
        definition = first.changes[0].change.market_definition
        assert definition is not None
        assert definition.market_time is not None
        assert first.at == NOW
        assert definition.market_time.timestamp() * 1000 - NOW == 600_000 / speed


def test_the_markets_of_an_event_begin_together() -> None:
    messages = generated(2, 2, sports=["football"])
    assert [m.at for m in messages] == [NOW, NOW]
    assert len({definition["eventId"] for definition in definitions(messages)}) == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"markets": 0}, "generate is 0"),
        ({"markets": 1, "changes": 3}, "changes is 3"),
        ({"markets": 1, "sports": ["chess"]}, "chess"),
        ({"markets": 1, "minutes_before": 0.5}, "minutes_before is 0.5"),
    ],
)
def test_impossible_made_up_markets_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        GeneratedFeed(timeline(), **options)


def test_an_exchange_of_made_up_markets_does_not_grow() -> None:
    """What is closed is freed once it has vanished; two closed markets at most are known besides the open ones."""
    line = Timeline("step", wall=lambda: NOW)
    chosen = ExchangeSettings(speed="step", timers=Timers(vanish=60.0, vanish_least=60.0))
    exchange = Exchange(chosen, line, GeneratedFeed(line, 2, changes=50, sports=["tennis"], minutes_before=1.0))
    known, seen = [], set()
    for _ in range(2_000):
        exchange.play_next()
        known.append(len(exchange.markets))
        seen.update(exchange.markets)
    assert len(seen) > 20
    assert max(known) <= 5
