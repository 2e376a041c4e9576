"""The journal: what it promises to whoever writes it, and what a restart reads."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as settings_of
from hypothesis import strategies as st

import headrace as hr
from headrace.actors.journal.day_file import DayFile, is_damage
from headrace.actors.journal.entries import Entry, Kept, Noted, merged, packed, unpacked
from headrace.actors.journal.files import day_files
from headrace.actors.journal.journal import Journal, JournalError
from headrace.actors.journal.lease import is_leased
from headrace.actors.journal.reader import JournalReader
from headrace.actors.journal.side_door import SideDoor
from headrace.strategies.messages import MarketFact, Reply, Request, StrategyFact
from headrace.strategies.order_rows import OrderRow, RunnerRow, TradeRow, row_of
from limits import most_bytes

DAY = 86_400_000
#: 2026-03-28, noon.
NOON = 1_774_699_200_000

Open = Callable[..., Journal]


class Time:
    """A clock that is set."""

    def __init__(self) -> None:
        self.ms = NOON

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def opened(folder: Path, time: Time) -> Iterator[Open]:
    """Opens the journal of a test; what is open in the end is closed."""
    made: list[Journal] = []

    def opened(**settings: Any) -> Journal:
        made.append(Journal(folder, clock=time, **settings))
        return made[-1]

    yield opened
    for each in made:
        each.close()


def request(number: int, market_id: str = "1.1", at: int = NOON, kept: bytes = b"", strategy: str = "Backer") -> Entry:
    message = Request(f"r{number}", market_id, strategy, "BETFAIR", "anna", "PLACE", (), at)
    return Entry(message, at, market_id, "h1.s1.market", kept)


def reply(number: int, market_id: str = "1.1", at: int = NOON) -> Entry:
    return Entry(Reply(f"r{number}", market_id, at), at, market_id, "h1.s1.market")


def ids(entries: Any) -> list[str]:
    """Requests and replies by their ids."""
    return [each.message.request_id for each in entries if isinstance(each.message, (Request, Reply))]


# -- what a restart is told -------------------------------------------------------------------------------------------


def test_what_was_written_is_told_to_the_next_who_opens_it(opened: Open) -> None:
    entries = [request(1), reply(1), Entry(Noted("STARTED", "it has", NOON), NOON)]
    journal = opened()
    assert journal.add(entries, durable=True) == 3
    journal.close()
    found = list(opened())
    assert [each.message for each in found] == [each.message for each in entries]
    assert [each.number for each in found] == [1, 2, 3]
    assert found[0].actor == "h1.s1.market"


def test_a_market_that_is_over_is_not_told_of(opened: Open) -> None:
    journal = opened()
    journal.add([request(1, "1.1"), request(2, "1.2")])
    journal.close_market("1.1")
    assert ids(journal) == ["r2"]
    journal.close()
    assert ids(opened()) == ["r2"]


def test_a_market_can_be_asked_for_by_itself(opened: Open, time: Time) -> None:
    journal = opened()
    journal.add([request(1, "1.1"), request(2, "1.2"), request(3, "1.3")])
    time.ms += DAY
    journal.tidy()
    journal.add([reply(1, "1.1"), reply(2, "1.2"), reply(3, "1.3")])
    assert ids(journal.of_markets(["1.3", "1.1"])) == ["r1", "r3", "r1", "r3"]
    assert ids(journal.of_markets([])) == []


def test_what_comes_late_does_not_open_a_market_again_and_a_request_does(opened: Open) -> None:
    journal = opened()
    journal.add([request(1)])
    journal.close_market("1.1")
    journal.tidy()
    journal.add([reply(1), Entry(MarketFact("1.1", "REMOVED", NOON), NOON, "1.1")])
    assert ids(journal) == []
    journal.add([request(2)])
    assert ids(journal) == ["r1", "r1", "r2"]


def test_entries_of_no_market_are_told_of_for_a_day(opened: Open, time: Time) -> None:
    journal = opened()
    journal.add([Entry(Noted("STARTED", "at noon", time.ms), time.ms)])
    time.ms += DAY // 2 + 1
    journal.tidy()  # another day has begun
    journal.add([Entry(Noted("GONE", "h1", time.ms), time.ms)])
    assert [each.message.what for each in journal if isinstance(each.message, Noted)] == ["STARTED", "GONE"]
    time.ms += DAY // 2
    assert [each.message.what for each in journal if isinstance(each.message, Noted)] == ["GONE"]


def test_since_tells_of_markets_that_are_over_too(opened: Open, time: Time) -> None:
    journal = opened()
    journal.add([request(1, "1.1", time.ms)])
    time.ms += 3_600_000
    journal.add([request(2, "1.2", time.ms), reply(2, "1.2", time.ms)])
    journal.close_market("1.2")
    journal.tidy()
    journal.add([request(3, "1.3", time.ms)])
    assert ids(journal.since(time.ms)) == ["r2", "r2", "r3"]
    assert ids(journal.since(NOON)) == ["r1", "r2", "r2", "r3"]
    assert ids(journal.since(time.ms + 1)) == []
    assert ids(journal.since(NOON, but={"1.2"})) == ["r1", "r3"]


def test_since_tells_of_what_the_file_of_the_day_before_has_from_after_midnight(
    opened: Open, folder: Path, time: Time
) -> None:
    journal = opened()
    journal.add([request(1, at=time.ms)])
    time.ms = midnight = NOON + DAY // 2
    journal.add([request(2, at=midnight + 1)])  # before the next file was begun
    journal.tidy()
    journal.add([request(3, at=midnight + 2)])
    assert ids(journal.since(midnight)) == ["r2", "r3"]
    reader = JournalReader(folder)
    assert ids(reader.entries(since=midnight)) == ids(reader.latest(9, since=midnight)) == ["r2", "r3"]


# -- who may write ----------------------------------------------------------------------------------------------------


def test_a_second_holder_is_refused_and_one_after_the_first_is_not(
    opened: Open, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.actors.journal.lease._DYING_S", 0.0)
    journal = opened()
    assert is_leased(folder)
    with pytest.raises(JournalError, match="another process holds this journal"):
        opened()
    journal.close()
    assert not is_leased(folder)
    with pytest.raises(JournalError, match="given up"):
        journal.add([request(1)])
    assert opened().add([request(1)]) == 1


WRITES = """
import sys
from headrace.actors.journal.entries import Entry
from headrace.actors.journal.journal import Journal
from headrace.strategies.messages import Request
journal = Journal(sys.argv[1])
for number in range(10_000):
    durable = number % 10 == 0
    request = Request(f"r{number}", "1.1", "Backer", "BETFAIR", "anna", "PLACE", (), number)
    journal.add([Entry(request, number, "1.1")], durable)
    print(number, flush=True)
"""


def test_of_a_process_that_is_killed_everything_written_is_there_and_its_journal_is_free(folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITES, str(folder)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        told = [writer.stdout.readline() for _ in range(300)]
        writer.send_signal(signal.SIGKILL)
        told += writer.stdout.readlines()
    journal = Journal(folder)
    written = ids(journal)
    journal.close()
    known = [line for line in told if line.endswith("\n")]
    assert written[: len(known)] == [f"r{number.strip()}" for number in known]
    assert len(written) - len(known) in (0, 1)  # one was written, and not told any more


CHURNS = """
import sys, threading
from headrace.actors.journal.entries import Entry
from headrace.actors.journal.journal import Journal
from headrace.strategies.messages import Request
day = [0]
journal = Journal(sys.argv[1], clock=lambda: 1_774_699_200_000 + day[0] * 86_400_000)

def tidy():
    while True:
        journal.tidy()

threading.Thread(target=tidy, daemon=True).start()
for market in range(10_000):
    for number in range(market * 10, market * 10 + 10):
        request = Request(f"r{number}", f"1.{market}", "Backer", "BETFAIR", "anna", "PLACE", (), number)
        journal.add([Entry(request, number, f"1.{market}")], number % 10 == 0)
        print(number, flush=True)
    if market % 5:
        journal.close_market(f"1.{market}")
        print("over", market, flush=True)
    day[0] = market // 20
"""


@pytest.mark.parametrize("lines", [40, 500, 1500])
def test_a_journal_that_is_packed_and_turned_over_while_its_process_is_killed_loses_nothing(
    folder: Path, lines: int
) -> None:
    with subprocess.Popen([sys.executable, "-c", CHURNS, str(folder)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        told = [writer.stdout.readline() for _ in range(lines)]
        writer.send_signal(signal.SIGKILL)
        told += [line for line in writer.stdout.readlines() if line.endswith("\n")]
    numbers = [int(line) for line in told if not line.startswith("over")]
    over = {f"1.{line.split()[1]}" for line in told if line.startswith("over")}
    with contextlib.closing(Journal(folder)) as journal:
        assert journal.damage == []
        everything = ids(JournalReader(folder).entries())
        assert everything[: len(numbers)] == [f"r{number}" for number in numbers]
        assert len(everything) - len(numbers) in (0, 1)
        still = [name for name in everything if f"1.{int(name[1:]) // 10}" in journal.open_markets]
        assert ids(journal) == still
        expected = {f"1.{int(name[1:]) // 10}" for name in everything} - over
        # The end of one more may have been written, and not told any more.
        assert expected >= journal.open_markets >= expected - {f"1.{int(everything[-1][1:]) // 10}"}
        journal.add([request(10**6)], durable=True)
        journal.tidy()
        assert ids(JournalReader(folder).entries()) == [*everything, f"r{10**6}"]


def test_folder_and_files_are_private(opened: Open, folder: Path) -> None:
    folder.mkdir(mode=0o755)
    journal = opened()
    journal.add([request(1)])
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o077 for path in folder.iterdir() if path.stat().st_mode & 0o077} == {}
    assert len(list(folder.iterdir())) == 4  # lock, file, WAL and its index


# -- days and room ----------------------------------------------------------------------------------------------------


def test_a_day_has_a_file_and_what_is_open_is_told_of_over_days(opened: Open, folder: Path, time: Time) -> None:
    journal = opened()
    journal.add([request(1, "1.1"), request(2, "1.2")])
    time.ms += DAY
    journal.tidy()
    journal.add([request(3, "1.1"), request(4, "1.3")])
    time.ms += DAY
    journal.tidy()
    journal.add([reply(1, "1.1")])
    journal.close_market("1.2")
    assert [path.name for path in day_files(folder)] == [f"2026-03-{day}-1.sqlite" for day in (28, 29, 30)]
    assert ids(journal) == ["r1", "r3", "r4", "r1"]
    journal.close()
    journal = opened()
    assert ids(journal) == ["r1", "r3", "r4", "r1"]
    assert journal.last == 5


def test_files_go_once_they_are_too_old_unless_a_market_in_them_is_open(opened: Open, folder: Path, time: Time) -> None:
    journal = opened(days=7)
    journal.add([request(1, "1.1")])
    for number in range(2, 20):
        time.ms += DAY
        journal.tidy()
        journal.add([request(number, f"1.{number}")])
        journal.close_market(f"1.{number}")
    assert [path.name[8:10] for path in day_files(folder)] == ["28", *(f"{day:02}" for day in range(9, 16))]
    assert ids(journal) == ["r1"]
    journal.close_market("1.1")
    journal.tidy()
    assert [path.name[8:10] for path in day_files(folder)] == [f"{day:02}" for day in range(9, 16)]


def test_a_clock_that_is_set_back_begins_no_file(opened: Open, folder: Path, time: Time) -> None:
    journal = opened()
    time.ms -= DAY
    journal.tidy()
    journal.add([request(1)])
    journal.close()
    assert opened().last == 1
    assert len(day_files(folder)) == 1


def test_markets_that_are_over_take_little_room_and_can_be_read(opened: Open, folder: Path) -> None:
    journal = opened()
    kept = packed(Kept(snapshot=os.urandom(20_000)))
    for market in range(40):
        market_id = f"1.{market}"
        for number in range(50):
            journal.add([request(market * 50 + number, market_id, kept=kept), reply(number, market_id)])
        journal.close_market(market_id)
        journal.tidy()
    # A market that trades has 1 MB and more here, 40 MB in all; one that is over has a few KB.
    assert journal.size < 12_000_000
    assert len(list(JournalReader(folder).entries())) == 40 * 100
    assert [each.number for each in JournalReader(folder).entries()] == list(range(1, 4001))


def test_what_there_is_no_room_for_goes_the_oldest_first_and_open_markets_stay(
    opened: Open, folder: Path, time: Time
) -> None:
    journal = opened(megabytes=1)
    noted = Noted("DIFFERENCE", "", NOON)
    journal.add([request(0, "1.0")])
    for day in range(6):
        for number in range(1, 8):
            market_id = f"1.{day}{number}"
            text = os.urandom(20_000).hex()
            journal.add([Entry(Noted(noted.what, text, time.ms), time.ms, market_id)])
            journal.close_market(market_id)
        journal.tidy()
        time.ms += DAY
    journal.tidy()
    left = [each.market_id for each in JournalReader(folder).entries()]
    assert left[0] == "1.0"
    assert 0 < len(left) - 1 < 42
    assert left[1:] == [f"1.{day}{number}" for day in range(6) for number in range(1, 8)][-(len(left) - 1) :]
    # Beside it there are what is spare in the present file and what waits for a checkpoint: 4 MB each.
    assert journal.size < 1_000_000 + 8_500_000
    assert ids(journal) == ["r0"]


def test_the_wal_does_not_grow_without_end(opened: Open, folder: Path) -> None:
    journal = opened()
    wal = Path(f"{day_files(folder)[0]}-wal")
    sizes = []
    for number in range(60):
        journal.add([request(number, kept=bytes(100_000))])
        journal.tidy()
        sizes.append(wal.stat().st_size)
    assert max(sizes) < 4_000_000 < 60 * 100_000


# -- what is kept -----------------------------------------------------------------------------------------------------


STRATEGY = hr.Strategy(name="Backer")


def trade(number: int, status: str, orders: Sequence[OrderRow] = ()) -> TradeRow:
    return TradeRow(
        f"t{number}", "1.1", 7, 0, "Backer", "{}", None, 0, 0, False, status, (), NOON, None, (), tuple(orders)
    )


def order(order_id: str, matched: float) -> OrderRow:
    made = hr.Trade("1.1", 7, 0, STRATEGY).create_order("BACK", hr.LimitOrder(2.0, 4.0))
    return msgspec.structs.replace(row_of(made), order_id=order_id, size_matched=matched)


def runner(selection_id: int, placed: int) -> RunnerRow:
    return RunnerRow("1.1", "Backer", selection_id, 0, True, placed, None, (), ())


def kept_of(journal: Journal) -> list[tuple[int, Kept]]:
    """What entries keep, with their numbers."""
    return [(each.number, unpacked(each.kept)) for each in journal if each.kept]


def test_of_what_an_open_market_keeps_only_the_last_of_each_stays(opened: Open) -> None:
    journal = opened()
    for number in range(100):
        kept = Kept(
            (trade(number % 3, f"LIVE{number}"),),
            (runner(number % 2, number),),
            b"s%d" % number * (number != 99),
            "Backer",
            number,
            context="{}" if number == 50 else "",
        )
        journal.add([request(number, kept=packed(kept))])
    fact = Entry(StrategyFact("Layer", "1.1", NOON), NOON, "1.1", "h1.s1.market")
    for snapshot in (b"first", b"second"):
        kept = Kept(snapshot=snapshot, strategy="Layer")
        journal.add([msgspec.structs.replace(fact, kept=packed(kept))])
    kept = Kept(snapshot=b"last", strategy="Backer", number=100)
    fact = Entry(StrategyFact("Backer", "1.1", NOON), NOON, "1.1", "h1.s1.market", packed(kept))
    journal.add([fact])
    before = [each.message for each in journal]
    journal.tidy()
    assert [each.message for each in journal] == before
    (number, backer), (last, layer) = kept_of(journal)
    assert (number, last) == (100, 102)
    assert (backer.number, backer.snapshot, backer.context) == (100, b"last", "{}")
    assert {each.trade_id: each.status for each in backer.trades} == {"t0": "LIVE99", "t1": "LIVE97", "t2": "LIVE98"}
    assert {each.selection_id: each.last_placed_ms for each in backer.runners} == {0: 98, 1: 99}
    assert layer.snapshot == b"second"


def test_orders_that_a_later_row_of_a_trade_leaves_out_stay() -> None:
    first = Kept((trade(1, "LIVE", [order("a", 4.0), order("b", 0.0)]),), strategy="Backer", current=("a",))
    second = Kept((trade(1, "DONE", [order("b", 1.0), order("c", 2.0)]),), strategy="Backer", current=())
    whole = merged([first, second])
    assert [each.status for each in whole.trades] == ["DONE"]
    assert [(each.order_id, each.size_matched) for each in whole.trades[0].orders] == [("a", 4), ("b", 1), ("c", 2)]
    assert whole.current == ()
    assert merged([whole]) == whole


def traded(journal: Journal, numbers: range) -> list[Kept]:
    """Write requests that each keep a trade of their own, 3 kB long. Returns: what they keep."""
    found = []
    for number in numbers:
        kept = Kept((trade(number, f"LIVE{'x' * 3000}"),), (), b"s%d" % number, "Backer", number)
        journal.add([request(number, kept=packed(kept))])
        found.append(kept)
    return found


def test_what_was_merged_of_many_is_merged_again_only_with_as_much_that_is_new(opened: Open) -> None:
    journal, everything = opened(), []
    held = []
    for first in range(0, 512, 64):
        everything += traded(journal, range(first, first + 64))
        journal.tidy()
        held.append([(number, len(kept.trades)) for number, kept in kept_of(journal)])
    assert held[:5] == [[(64, 64)], [(128, 128)], [(192, 192)], [(192, 192), (256, 64)], [(320, 320)]]
    assert all(len(each) <= 3 for each in held)
    assert merged(kept for _, kept in kept_of(journal)) == merged(everything)


@pytest.mark.parametrize("times", [1, 2, 9])
def test_a_restart_finds_all_that_was_kept_wherever_the_merging_was_cut(
    opened: Open, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    journal = opened()
    everything = traded(journal, range(100))
    left = [times]
    keep_only = DayFile.keep_only

    def cut(self: DayFile, kept: dict[int, bytes]) -> None:
        if not left[0]:
            raise sqlite3.OperationalError("the process ends here")
        left[0] -= 1
        keep_only(self, kept)

    monkeypatch.setattr(DayFile, "keep_only", cut)
    with pytest.raises(sqlite3.OperationalError):
        journal.tidy()
    journal.close()
    found = kept_of(opened())
    assert len(found) == 100 - 4 * (times - 1) - 3
    assert merged(kept for _, kept in found) == merged(everything)


# -- who waits for whom -----------------------------------------------------------------------------------------------


def test_nobody_who_writes_waits_for_a_checkpoint(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = opened()
    traded(journal, range(700))
    begun, written = threading.Event(), threading.Event()
    checkpoint = SideDoor.checkpoint
    waited = []

    def slow(self: SideDoor) -> int:
        begun.set()
        waited.append(written.wait(30))
        return checkpoint(self)

    monkeypatch.setattr(SideDoor, "checkpoint", slow)
    keeper = threading.Thread(target=journal.tidy)
    keeper.start()
    assert begun.wait(30)
    journal.add([request(1000)], durable=True)
    journal.add([reply(1000)])
    written.set()
    keeper.join(30)
    assert not keeper.is_alive()
    assert waited
    assert all(waited)
    assert ids(journal)[-2:] == ["r1000", "r1000"]


@pytest.mark.parametrize("count", [1, 3, 200])
def test_what_is_durable_is_written_by_a_connection_that_waits_for_the_disk(
    opened: Open, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    journal = opened()
    journal.add([request(0)])  # opens the market
    used = []
    connection = DayFile._connection

    def noted(self: DayFile, durable: bool) -> sqlite3.Connection:
        used.append(connection(self, durable).execute("pragma synchronous").fetchone()[0])
        return connection(self, durable)

    monkeypatch.setattr(DayFile, "_connection", noted)
    journal.add([request(number) for number in range(1, 1 + count)], durable=True)
    journal.add([reply(number) for number in range(1, 1 + count)])
    full, normal = 2, 1
    assert used == [full, normal]
    assert ids(journal) == [f"r{number}" for number in [*range(1 + count), *range(1, 1 + count)]]


def test_rows_that_are_written_at_once_are_written_all_or_none(opened: Open, folder: Path) -> None:
    journal = opened()
    journal.add([request(1), request(2)])
    (path,) = day_files(folder)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("insert into entries select 5, at, market_id, kind, actor, message, kept from entries limit 1")
    with pytest.raises(JournalError, match="cannot be written"):
        journal.add([request(3), request(4), request(5)], durable=True)  # their last number is taken
    assert ids(journal)[:2] == ["r1", "r2"]
    assert journal.last == 2
    assert "r3" not in ids(JournalReader(folder).entries())


# -- damage -----------------------------------------------------------------------------------------------------------


def filled(opened: Open, folder: Path) -> Path:
    """A journal of 400 requests of two markets, closed. Returns its file."""
    journal = opened()
    for number in range(400):
        journal.add([request(number, f"1.{number % 2}", kept=bytes(2000))])
    journal.close()
    (path,) = day_files(folder)
    return path


def test_a_file_that_was_cut_is_set_aside_and_what_can_be_read_of_it_is_told(opened: Open, folder: Path) -> None:
    path = filled(opened, folder)
    os.truncate(path, path.stat().st_size // 2 // 4096 * 4096)
    journal = opened()
    found = ids(journal)
    assert 50 < len(found) < 400
    assert found == [f"r{number}" for number in range(len(found))]
    assert len(journal.damage) == 1
    assert "set aside as 2026-03-28-1.damaged.sqlite" in journal.damage[0]
    assert (folder / "2026-03-28-1.damaged.sqlite").exists()
    # It goes on, and the next start has no more to say of it.
    journal.add([request(1000, "1.0")], durable=True)
    journal.close()
    journal = opened()
    assert ids(journal) == [*found, "r1000"]
    assert journal.damage == []


@pytest.mark.parametrize("what", ["head", "all"])
def test_a_file_that_is_no_journal_any_more_is_set_aside(opened: Open, folder: Path, what: str) -> None:
    path = filled(opened, folder)
    with open(path, "r+b") as file:
        file.write(b"\xff" * (100 if what == "head" else path.stat().st_size))
    journal = opened()
    assert ids(journal) == []
    assert len(journal.damage) == 1
    assert "is damaged" in journal.damage[0]
    assert journal.writable
    journal.add([request(1)])
    assert ids(journal) == ["r1"]


def closed_file(opened: Open, folder: Path, count: int = 6) -> Path:
    """The file of a journal that was closed, with requests of an open market."""
    journal = opened()
    journal.add([request(number) for number in range(1, count + 1)])
    journal.close()
    (path,) = day_files(folder)
    return path


def test_a_format_of_the_file_that_there_is_not_is_damage(opened: Open, folder: Path) -> None:
    path = closed_file(opened, folder)
    data = bytearray(path.read_bytes())
    data[44:48] = (7).to_bytes(4, "big")  # "schema format number"
    path.write_bytes(data)
    again = opened()
    assert again.writable
    assert again.damage
    assert ids(again) == []


def test_a_length_that_nothing_has_is_damage() -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 100)
        with pytest.raises(sqlite3.DataError, match="too big") as found:
            db.execute("select zeroblob(1000)").fetchall()
    assert is_damage(found.value)


def test_a_table_that_is_not_there_is_damage(opened: Open, folder: Path) -> None:
    path = closed_file(opened, folder)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("drop table entries")
    again = opened()
    again.add([request(9)], durable=True)
    assert again.writable
    assert again.damage
    assert ids(again) == ["r9"]


def test_a_column_whose_name_is_no_text_any_more_is_damage(opened: Open, folder: Path) -> None:
    path = closed_file(opened, folder)
    data = path.read_bytes()
    assert data.count(b" actor text") == 1
    path.write_bytes(data.replace(b" actor text", b" \xe0ctor text"))
    again = opened()
    again.add([request(9)], durable=True)
    assert again.damage
    assert ids(again) == ["r9"]


def test_a_schema_that_is_quoted_as_no_text_is_damage(opened: Open, folder: Path) -> None:
    path = closed_file(opened, folder)
    data = path.read_bytes()
    path.write_bytes(
        data.replace(b"CREATE INDEX packs_of_markets on packs", b"CREATE \xc5NDEX packs_of_markets on packs")
    )
    assert path.read_bytes() != data
    assert list(JournalReader(folder).entries()) == []
    again = opened()
    again.add([request(9)], durable=True)
    assert again.damage
    assert ids(again) == [f"r{number}" for number in (1, 2, 3, 4, 5, 6, 9)]


@pytest.mark.parametrize("column", ["at", "actor", "message", "kept"])
def test_an_entry_with_what_a_column_cannot_have_is_left_out_and_told(opened: Open, folder: Path, column: str) -> None:
    path = closed_file(opened, folder, 3)
    with contextlib.closing(sqlite3.connect(path)) as db:
        value = b"x" if column == "actor" else "x"
        db.execute(f"update entries set {column} = ? where number = 2", (value,))
        db.commit()
    again = opened()
    assert ids(again) == ["r1", "r3"]
    assert len(again.damage) == 1
    list(again.since(0))  # which raises nothing
    reader = JournalReader(folder)
    assert ids(reader.entries(kept=True)) == ["r1", "r3"]
    assert len(reader.unread) == 1


def test_numbers_that_damage_has_torn_apart_are_read_at_once(opened: Open, folder: Path) -> None:
    path = closed_file(opened, folder, 3)
    far = 2**62
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("update entries set number = ? where number = 3", (far,))
        db.commit()
    reader = JournalReader(folder)
    assert [each.number for each in reader.entries()] == [1, 2, far]
    assert [each.number for each in reader.latest(3)] == [1, 2, far]
    assert [each.number for each in reader.latest(2)] == [2, far]


def test_a_pack_that_is_not_where_it_is_said_to_be_is_told(opened: Open, folder: Path) -> None:
    journal = opened()
    journal.add([request(number, "1.2") for number in range(1, 4)])
    journal.close_market("1.2")
    journal.tidy()
    journal.close()
    (path,) = day_files(folder)
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("update packs set data = 'x', first = 'y'").rowcount == 1
        db.commit()
    reader = JournalReader(folder)
    assert list(reader.entries()) == []
    assert reader.unread


def test_a_page_that_is_damaged_costs_little_more_than_the_page(opened: Open, folder: Path) -> None:
    path = filled(opened, folder)
    with open(path, "r+b") as file:
        file.seek(path.stat().st_size // 4096 // 2 * 4096)
        file.write(b"\xff" * 4096)
    journal = opened()
    found = ids(journal)
    assert 300 < len(found) < 400
    assert len(journal.damage) == 1


def test_damage_that_is_found_while_it_is_written_costs_no_entry(opened: Open, folder: Path) -> None:
    journal = opened()
    for number in range(400):
        journal.add([request(number, kept=bytes(2000))])
    journal.close()
    (path,) = day_files(folder)
    with sqlite3.connect(path) as db:
        (root,) = db.execute("select rootpage from sqlite_master where name = 'entries_of_markets'").fetchone()
    db.close()
    journal = opened()
    with open(path, "r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)
    assert journal.add([request(400)], durable=True)
    assert journal.writable
    assert len(journal.damage) == 1
    assert ids(journal) == [f"r{number}" for number in range(401)]


def test_a_file_of_an_earlier_day_that_is_damaged_is_set_aside(opened: Open, folder: Path, time: Time) -> None:
    path = filled(opened, folder)
    time.ms += DAY
    journal = opened()
    journal.add([request(1000, "1.0")])
    journal.close()
    os.truncate(path, path.stat().st_size // 2 // 4096 * 4096)
    journal = opened()
    found = ids(journal)
    assert found[-1] == "r1000"
    assert 50 < len(found) < 401
    assert len(journal.damage) == 1


@pytest.mark.parametrize("days", [0, 1])
def test_damage_that_is_found_when_a_file_is_packed_does_not_stop_what_else_is_done(
    opened: Open, folder: Path, time: Time, days: int
) -> None:
    path = filled(opened, folder)
    with contextlib.closing(sqlite3.connect(path)) as db:
        (root,) = db.execute("select rootpage from sqlite_master where name = 'entries_of_markets'").fetchone()
    time.ms += days * DAY
    journal = opened()
    with open(path, "r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)
    journal.close_market("1.0")
    journal.tidy()
    journal.tidy()
    assert len(journal.damage) == 1
    assert len(day_files(folder)) == 1
    assert ids(journal) == [f"r{number}" for number in range(1, 400, 2)]


def test_a_file_of_a_later_version_is_left_alone(opened: Open, folder: Path) -> None:
    path = filled(opened, folder)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("pragma user_version = 9")
    with pytest.raises(JournalError, match="later version of headrace \\(format 9"):
        opened()
    assert path.exists()
    assert not is_leased(folder)


def test_a_file_that_is_removed_while_it_is_written_is_noticed(opened: Open, folder: Path) -> None:
    journal = opened()
    journal.add([request(1)])
    (path,) = day_files(folder)
    path.unlink()
    journal.tidy()
    assert "was removed" in journal.damage[0]
    journal.add([request(2)], durable=True)
    journal.close()
    assert ids(opened()) == ["r2"]


def test_a_wal_that_is_removed_while_it_is_written_costs_nothing(opened: Open, folder: Path) -> None:
    journal = opened()
    journal.add([request(1)])
    journal.tidy()
    journal.add([request(2)])
    (path,) = day_files(folder)
    Path(f"{path}-wal").unlink()
    journal.add([request(3)])
    journal.tidy()
    journal.add([request(4)])
    journal.close()
    journal = opened()
    assert ids(journal) == ["r1", "r2", "r3", "r4"]
    assert journal.damage == []


def test_damage_on_a_full_disk_is_told_and_the_journal_opens(opened: Open, folder: Path) -> None:
    path = filled(opened, folder)
    path.write_bytes(b"\xff" * path.stat().st_size)
    with most_bytes(0):
        journal = opened(must_write=False)
        assert not journal.writable
        assert len(journal.damage) == 1
        assert list(journal) == []
    assert journal.mend()
    journal.add([request(1)])
    assert ids(journal) == ["r1"]


# -- a disk that is full ----------------------------------------------------------------------------------------------


def first_that_fails(journal: Journal) -> int:
    """The number of the first request that cannot be written; those before it, from 2 on, are."""
    for number in range(2, 1000):
        try:
            journal.add([request(number, kept=bytes(3000))], durable=True)
        except JournalError:
            return number
    raise AssertionError("all could be written")


def test_where_nothing_can_be_written_it_says_so_and_goes_on_once_it_can(opened: Open, folder: Path) -> None:
    journal = opened()
    journal.add([request(1)], durable=True)
    with most_bytes(100_000):
        failed = first_that_fails(journal)
        assert not journal.writable
        assert journal.why_not.startswith(str(folder))
        journal.close_market("1.1")
        journal.tidy()
        assert not journal.writable
    journal.tidy()
    assert journal.writable
    assert journal.open_markets == frozenset()
    journal.add([request(failed)], durable=True)
    assert ids(journal) == [f"r{number}" for number in range(1, failed + 1)]
    journal.close()
    assert ids(opened()) == [f"r{number}" for number in range(1, failed + 1)]


def test_one_that_cannot_be_written_at_first_is_read_all_the_same(opened: Open, folder: Path, time: Time) -> None:
    filled(opened, folder)
    time.ms += DAY
    with most_bytes(0):
        with pytest.raises(JournalError, match="cannot be written"):
            opened()
        journal = opened(must_write=False)
        assert not journal.writable
        with pytest.raises(JournalError, match="cannot be written"):
            journal.add([request(1000)])
        assert len(ids(journal)) == 400
    assert journal.mend()
    assert journal.add([request(1000)]) == 401


# -- readers ----------------------------------------------------------------------------------------------------------


def test_a_reader_reads_while_another_writes_packs_and_turns_over(opened: Open, folder: Path, time: Time) -> None:
    journal = opened()
    journal.add([request(0, "1.0")])
    done = threading.Event()

    def write() -> None:
        for number in range(1, 2000):
            journal.add([request(number, f"1.{number // 20}")])
            if number % 20 == 19:
                journal.close_market(f"1.{number // 20}")
            if number % 100 == 0:
                journal.tidy()
            if number % 500 == 0:
                time.ms += DAY
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    reader, numbers = JournalReader(folder), [0]
    while len(numbers) < 2001:
        last_look = done.is_set()
        numbers += [entry.number for entry in reader.entries(after=numbers[-1])]
        if last_look:
            break
    writer.join(60)
    assert numbers == list(range(2001))
    assert reader.unread == []


def test_a_reader_finds_the_last_entries_of_a_market(opened: Open, folder: Path, time: Time) -> None:
    journal = opened()
    for number in range(100):
        journal.add([request(number, f"1.{number % 3}", time.ms)])
        time.ms += 1000
    journal.close_market("1.1")
    journal.tidy()
    journal.close()
    reader = JournalReader(folder)
    assert ids(reader.latest(3)) == ["r97", "r98", "r99"]
    assert ids(reader.latest(3, market_id="1.1")) == ["r91", "r94", "r97"]
    assert ids(reader.entries(market_id="1.1", since=NOON + 90_000)) == ["r91", "r94", "r97"]
    assert ids(reader.latest(2, wanted=lambda row: b"r5" in row[5])) == ["r58", "r59"]
    assert sorted(path.name for path in folder.iterdir()) == ["2026-03-28-1.sqlite", "lock"]


def test_where_there_is_no_journal_a_reader_says_so(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="there is no journal here"):
        JournalReader(tmp_path)


# -- anything in any order --------------------------------------------------------------------------------------------

#: What happens to a journal: entries of a market, the end of one, and what lies between.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["request", "reply"]), st.integers(0, 4), st.integers(1, 3)),
        st.tuples(st.just("close"), st.integers(0, 4)),
        st.sampled_from([("day",), ("tidy",), ("open",), ("read",)]),
    ),
    max_size=40,
)


@settings_of(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_whatever_happens_a_restart_is_told_of_what_is_open_and_a_reader_of_everything(
    steps: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, time = tmp_path_factory.mktemp("journal") / "j", Time()
    journal = Journal(folder, clock=time)
    written: list[tuple[str, str]] = []
    is_open: dict[str, bool] = {}

    def told() -> list[str]:
        return [name for name, market_id in written if is_open[market_id]]

    try:
        for what, *values in [*steps, ("read",), ("open",), ("read",)]:
            if what in ("request", "reply"):
                market_id = f"1.{values[0]}"
                make = request if what == "request" else reply
                for _ in range(values[1]):
                    journal.add([make(len(written), market_id, time.ms)], durable=values[1] == 2)
                    written.append((f"r{len(written)}", market_id))
                    is_open[market_id] = what == "request" or is_open.get(market_id, True)
            elif what == "close":
                journal.close_market(f"1.{values[0]}")
                if f"1.{values[0]}" in is_open:
                    is_open[f"1.{values[0]}"] = False
            elif what == "day":
                time.ms += DAY
            elif what == "tidy":
                journal.tidy()
            elif what == "open":
                journal.close()
                journal = Journal(folder, clock=time)
            else:
                assert ids(journal) == told()
                assert journal.open_markets == {market_id for market_id, each in is_open.items() if each}
                assert ids(JournalReader(folder).entries()) == [name for name, _ in written]
        assert journal.damage == []
    finally:
        journal.close()
