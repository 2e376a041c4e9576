"""Recording streams: files for each market in the exchange's format that `backtest` reads."""

from __future__ import annotations

import bz2
import json
import resource
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from exchange_builders import ALICE, Stream, exchange_of
from headrace.actors.letters import Catalogue, Letter, MarketSeen, Route, Session, SessionWanted
from headrace.actors.live.crews import StreamPlan
from headrace.actors.recorder import MARKETS, SPORTS, Recorder
from headrace.actors.streaming.market_stream import MarketStreamRole
from headrace.actors.streaming.stream_place import StreamSettings
from headrace.strategies.errors import InputError
from live_builders import FakeMail, Running, plain_place
from stream_sockets import served_stream


def until(condition: Callable[[], Any], seconds: float = 10) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it has not happened"
        time.sleep(0.01)
    return found


def files(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    )


def test_lines_are_in_a_file_of_the_market_within_a_second(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.put(MARKETS, "1.1", b"one", "2026/Nov/28/77")
    recorder.put(MARKETS, "1.1", b"two", "2026/Nov/29/77")  # the start has moved
    path = tmp_path / "markets/2026/Nov/28/77/1.1"
    until(lambda: path.exists() and path.read_bytes() == b"one\ntwo\n")
    recorder.close(pack=False)
    assert files(tmp_path) == ["markets/2026/Nov/28/77/1.1"]


def test_market_that_is_over_is_packed_and_what_comes_later_is_added(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.put(MARKETS, "1.1", b"one")
    recorder.over(MARKETS, "1.1")
    until(lambda: files(tmp_path) == ["markets/1.1.bz2"])
    recorder.put(MARKETS, "1.1", b"two")
    recorder.close()
    assert files(tmp_path) == ["markets/1.1.bz2"]
    assert bz2.decompress((tmp_path / "markets/1.1.bz2").read_bytes()) == b"one\ntwo\n"


def test_everything_is_packed_at_the_end(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.put(MARKETS, "1.1", b"a", "2026")
    recorder.put(SPORTS, "1.1", b"b")
    recorder.catalogue("1.1", b"{}")
    recorder.close()
    assert files(tmp_path) == ["catalogues/1.1.json", "markets/2026/1.1.bz2", "sports/1.1.bz2"]


def test_recorder_that_is_started_again_goes_on_where_files_are(tmp_path: Path) -> None:
    first = Recorder(tmp_path)
    first.put(MARKETS, "1.1", b"one", "2026/Nov/28/77")
    first.put(MARKETS, "1.2", b"left", "2026/Nov/28/77")
    first.close(pack=False)  # as after a crash
    second = Recorder(tmp_path)
    second.put(MARKETS, "1.1", b"two", "2026/Nov/29/77")
    second.close()
    folder = tmp_path / "markets/2026/Nov/28/77"
    assert bz2.decompress((folder / "1.1.bz2").read_bytes()) == b"one\ntwo\n"
    assert bz2.decompress((folder / "1.2.bz2").read_bytes()) == b"left\n"
    assert len(files(tmp_path)) == 2


def test_folder_has_one_recorder(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    with pytest.raises(InputError, match="another process records into it"):
        Recorder(tmp_path)
    recorder.close()
    Recorder(tmp_path).close()


def test_streams_record_beside_each_other_into_one_folder(tmp_path: Path) -> None:
    first, second = Recorder(tmp_path, "s1"), Recorder(tmp_path, "s2")
    first.put(MARKETS, "1.1", b"one", "2026")
    second.put(MARKETS, "1.1", b"two", "2026")
    first.close(pack=False)
    second.close()
    assert files(tmp_path) == ["markets/s1/2026/1.1", "markets/s2/2026/1.1.bz2"]
    Recorder(tmp_path, "s2").close()  # leaves what is another's
    assert files(tmp_path) == ["markets/s1/2026/1.1", "markets/s2/2026/1.1.bz2"]


def test_packed_files_are_delivered_and_a_failure_keeps_them(tmp_path: Path, caplog: Any) -> None:
    brought: list[str] = []

    def deliver(path: Path, name: str) -> None:
        assert path.exists()
        brought.append(name)
        if name.endswith("1.2.bz2"):
            raise OSError("no such bucket")

    recorder = Recorder(tmp_path, deliver=deliver)
    for market_id in ("1.1", "1.2"):
        recorder.put(MARKETS, market_id, b"x")
        recorder.over(MARKETS, market_id)
    until(lambda: len(brought) == 2)
    until(lambda: "no such bucket" in recorder.error)
    recorder.close()
    assert brought == ["markets/1.1.bz2", "markets/1.2.bz2"]
    assert files(tmp_path) == ["markets/1.2.bz2"]  # what is elsewhere need not stay here


def test_market_that_is_not_over_is_delivered_and_kept_for_the_next_recorder(tmp_path: Path) -> None:
    brought: dict[str, bytes] = {}

    def deliver(path: Path, name: str) -> None:
        brought[name] = path.read_bytes()

    first = Recorder(tmp_path, deliver=deliver)
    first.put(MARKETS, "1.1", b"one")
    first.catalogue("1.1", b"{}")
    first.close()
    assert files(tmp_path) == ["markets/1.1.bz2"]
    second = Recorder(tmp_path, deliver=deliver)
    second.put(MARKETS, "1.1", b"two")
    second.over(MARKETS, "1.1")
    second.close()
    assert files(tmp_path) == []
    assert brought["catalogues/1.1.json"] == b"{}"
    assert bz2.decompress(brought["markets/1.1.bz2"]) == b"one\ntwo\n"


def test_more_than_can_be_written_is_refused_and_counted(tmp_path: Path) -> None:
    hold = threading.Event()
    recorder = Recorder(tmp_path, most_bytes=10, deliver=lambda path, name: hold.wait(10))
    recorder.put(MARKETS, "1.0", b"x")
    recorder.over(MARKETS, "1.0")
    until(lambda: (tmp_path / "markets/1.0.bz2").exists())
    taken = [recorder.put(MARKETS, "1.1", b"12345678") for _ in range(3)]
    assert taken == [True, True, False]
    assert recorder.refused == 1
    assert not recorder.room
    hold.set()
    until(lambda: recorder.room)
    recorder.close()
    assert bz2.decompress((tmp_path / "markets/1.1.bz2").read_bytes()) == b"12345678\n12345678\n"


def test_disk_that_cannot_be_written_is_told_and_tried_again(tmp_path: Path) -> None:
    blocker = tmp_path / "markets"
    recorder = Recorder(tmp_path)
    blocker.write_bytes(b"a file where a folder should be")
    recorder.put(MARKETS, "1.1", b"one")
    until(lambda: "cannot be written" in recorder.error)
    blocker.unlink()
    until(lambda: recorder.error == "")
    recorder.close()
    assert bz2.decompress((tmp_path / "markets/1.1.bz2").read_bytes()) == b"one\n"


def test_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    limit, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    recorder = Recorder(tmp_path)
    path = tmp_path / "markets/1.1"
    try:
        recorder.put(MARKETS, "1.1", b"a" * 1_000)
        until(lambda: path.exists() and path.stat().st_size == 1_001)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_500, most))
        recorder.put(MARKETS, "1.1", b"b" * 1_000)
        until(lambda: "cannot be written" in recorder.error)
        until(lambda: path.stat().st_size == 1_001)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most))
        signal.signal(signal.SIGXFSZ, before)
    until(lambda: recorder.error == "")
    recorder.close(pack=False)
    assert path.read_bytes() == b"a" * 1_000 + b"\n" + b"b" * 1_000 + b"\n"


# -- of a stream ---------------------------------------------------------------------------------------------------


class Noting(hr.Strategy):
    """Notes the best back of each book, and the results."""

    def check_market_book(self, market: Any, book: Any) -> bool:
        return True

    def process_market_book(self, market: Any, book: Any) -> None:
        backs = book.runners[0].ex.available_to_back
        self.record(market, at=book.publish_time_epoch, back=backs[0].size if backs else None)

    def process_closed_market(self, market: Any, book: Any) -> None:
        self.record(market, at=-1, back=None)


def market(number: int) -> Stream:
    made = Stream(market_id=f"1.{number}")
    for at in range(1, 12):
        made.prices(at * 100, {1: {"atb": [[2.0, 10 + at]]}})
    return made.close(2_000)


def record(folder: Path, interrupt: str | None = None, refuse: bool = False) -> None:
    """Record two markets, from their second message to their end."""
    exchange = exchange_of(market(101), market(102))
    exchange.play_next()
    with served_stream(exchange) as served:

        def answers(name: str, letter: Letter) -> Letter | None:
            if isinstance(letter, SessionWanted):
                return Session("BETFAIR", ALICE.username, ALICE.app_key, served.token())
            if isinstance(letter, MarketSeen):
                return Route("s1.market", letter.market_id, "h1")
            return None

        mail = FakeMail(answers=answers)
        recorder = Recorder(folder)
        settings = StreamSettings(first_wait=0.02)
        role = MarketStreamRole(
            StreamPlan("s1", "marketSubscription"), plain_place(served), settings, recorder=recorder
        )
        with Running(role, mail) as running:
            running.until(lambda: len(mail.letters(MarketSeen)) == 2)
            mail.deliver(Catalogue("1.101", b'{"marketId": "1.101", "marketName": "a race"}'))
            connection = role.connections[0]
            for step in range(12):
                if step == 4 and interrupt is not None:
                    served.fault(f"stream.{interrupt}")
                if refuse and step in (5, 8):
                    recorder._most = -1 if step == 5 else 64_000_000
                before = connection.changes
                served.do(exchange.play_next)
                running.until(lambda before=before: connection.changes >= before + 2)
            until(lambda: all(each.closed_at for each in role._markets.values()))
            if refuse:
                running.do(lambda: role.due(0))
        assert not recorder.error


def played(folder: Path, **more: Any) -> list[tuple[str, int, float | None]]:
    """What a strategy notes on recordings."""
    result = hr.backtest(Noting(), markets=str(folder), engine="local", **more)
    assert result.failures.num_rows == 0, result.failures.to_pylist()
    rows = [(row["market_id"], json.loads(row["record"])) for row in result.records.to_pylist()]
    return [(market_id, row["at"], row["back"]) for market_id, row in rows]


def test_recording_of_a_stream_is_read_by_backtest(tmp_path: Path) -> None:
    record(tmp_path)
    names = files(tmp_path)
    assert [each for each in names if "markets/" in each] == [
        "markets/2023/Nov/14/99/1.101.bz2",
        "markets/2023/Nov/14/99/1.102.bz2",
    ]
    found = played(tmp_path / "markets", catalogues=str(tmp_path / "catalogues"))
    for market_id in ("1.101", "1.102"):
        backs = [back for name, at, back in found if name == market_id and at > 0]
        assert backs[-1] == 21
        assert sorted(each for each in backs if each is not None) == [*range(11, 22)]
        assert (market_id, -1, None) in found


def test_recording_with_an_interruption_ends_with_the_same_book(tmp_path: Path) -> None:
    record(tmp_path, interrupt="drop")
    found = played(tmp_path / "markets")
    for market_id in ("1.101", "1.102"):
        backs = [back for name, at, back in found if name == market_id and at > 0]
        assert backs[-1] == 21
        assert [each for each in backs if each is not None] == [*range(11, 22)]


def test_recording_goes_on_with_an_image_where_lines_were_refused(tmp_path: Path) -> None:
    record(tmp_path, refuse=True)
    for market_id in ("1.101", "1.102"):
        (path,) = tmp_path.rglob(f"{market_id}.bz2")
        lines = [json.loads(line) for line in bz2.decompress(path.read_bytes()).splitlines()]
        images = [line["mc"][0].get("img", False) for line in lines]
        assert images.count(True) == 2
        assert len(lines) < 13
        assert lines[-1]["mc"][0]["marketDefinition"]["status"] == "CLOSED"
    assert ("1.101", -1, None) in played(tmp_path / "markets")
