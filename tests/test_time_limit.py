"""`unit_timeout`: a unit that takes longer is given up, wherever it runs, and the row says where it was."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from builders import priced
from headrace.actors.sieves import Sieve
from headrace.cluster.watchdog import Stuck, Watchdog
from headrace.results.parts import Part

LIMIT = 0.3


class Waits(hr.Strategy):
    """Waits for ever in one market."""

    def process_new_market(self, market: Any, book: Any) -> None:
        if market.market_id.endswith("1"):
            self.dawdle()
        self.record(market, seen=True)

    def dawdle(self) -> None:
        time.sleep(1000)


class Loops(Waits):
    def dawdle(self) -> None:
        while True:
            pass


class Swallows(Waits):
    """Catches what it can."""

    def dawdle(self) -> None:
        while True:
            with contextlib.suppress(Exception):
                time.sleep(0.01)


class Locks(Waits):
    def dawdle(self) -> None:
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()


HANGING = (Waits, Loops, Swallows, Locks)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "markets"
    found.mkdir()
    for number in range(3):
        stream = priced(market_id=f"1.2{number:08d}").touch(400).close()
        stream.write(found / stream.market_id)
    return found


def line_of(kind: type[Waits]) -> int:
    return kind.dawdle.__code__.co_firstlineno


def check(result: hr.Result, kind: type[Waits], folder: Path) -> None:
    """The unit that hangs is one row of failures with its place; the others count."""
    assert sorted(result.records["market_id"].to_pylist()) == ["1.200000000", "1.200000002"]
    (row,) = result.failures.to_pylist()
    assert (row["error_type"], row["strategy"], row["market_id"]) == ("TimeoutError", kind.__name__, "1.200000001")
    assert row["unit"] == str(folder / "1.200000001")
    assert f"took longer than unit_timeout={LIMIT} s and was given up" in row["message"]
    assert f"it was in {kind.__name__}.dawdle()" in row["message"]
    file, _, line = row["line"].rpartition(":")
    assert file == __file__
    assert 0 < int(line) - line_of(kind) <= 6
    assert "in process_new_market" in row["traceback"]
    assert "in dawdle" in row["traceback"]


@pytest.mark.parametrize("kind", HANGING)
def test_one_process_gives_the_unit_up_and_goes_on(kind: type[Waits], folder: Path) -> None:
    began = time.monotonic()
    before = signal.getsignal(signal.SIGINT)
    check(hr.backtest(kind(), folder, engine="local", config=hr.Config(unit_timeout=LIMIT)), kind, folder)
    assert time.monotonic() - began < 5
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("kind", [Loops, Swallows])
def test_another_thread_than_the_main_one_gives_the_unit_up_too(kind: type[Waits], folder: Path) -> None:
    found: list[hr.Result] = []

    def run() -> None:
        found.append(hr.backtest(kind(), folder, engine="local", config=hr.Config(unit_timeout=LIMIT)))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    check(found[0], kind, folder)


def test_sweep_gives_the_unit_up_for_its_sets(folder: Path) -> None:
    class Sometimes(Loops):
        stake: float = 2.0

        def check_market_book(self, market: Any, book: Any) -> bool:
            return True

    config = hr.Config(unit_timeout=LIMIT)
    result = hr.sweep(Sometimes, {"stake": [1.0, 2.0]}, folder, engine="local", config=config)
    (row,) = result.failures.to_pylist()
    assert (row["error_type"], row["set"], row["unit"]) == ("TimeoutError", None, str(folder / "1.200000001"))
    assert result.table["markets"].to_pylist() == [2, 2]


def test_a_unit_within_its_time_is_the_same_with_a_limit(folder: Path) -> None:
    class Quick(hr.Strategy):
        def process_new_market(self, market: Any, book: Any) -> None:
            self.record(market, seen=True)

    free = hr.backtest(Quick(), folder, engine="local")
    limited = hr.backtest(Quick(), folder, engine="local", config=hr.Config(unit_timeout=60))
    assert limited.digest == free.digest
    assert limited.failures.num_rows == 0
    assert limited.markets.equals(free.markets)


def test_pieces_of_a_unit_add_up_in_every_field() -> None:
    """A field that is added to a part must be taken over from its pieces as well."""
    from headrace.results.parts import Batch
    from headrace.simulate.rows import empty_rows

    batch = Batch(0, ())
    piece = Part(batch, empty_rows(), 3, 0.0, [("1.1", "unit")], stopped=True, digests={"unit": "ab"})
    piece.rows["records"].append(("Strategy", "1.1", 0, "{}"))
    piece.sieves["Strategy"] = Sieve()
    piece.copies.append(("1.1", "worse unit"))
    piece.displaced.add("1.1")
    whole = Part(batch, empty_rows(), 0, 0.0, [("1.1", "worse unit")])
    whole.rows["records"].append(("Strategy", "1.1", 0, "{}"))
    whole.join(piece)
    of_the_batch = {"batch", "seconds", "log", "warnings", "events", "stored", "displaced", "left_out", "worn"}
    names = {field.name for field in dataclasses.fields(Part)} - of_the_batch
    assert names == {"rows", "changes", "markets", "copies", "stopped", "digests", "sieves"}
    assert all(getattr(whole, name) == getattr(piece, name) for name in names)


def test_ctrl_c_ends_a_run_that_has_a_limit(folder: Path) -> None:
    class Interrupted(hr.Strategy):
        def process_new_market(self, market: Any, book: Any) -> None:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        hr.backtest(Interrupted(), folder, engine="local", config=hr.Config(unit_timeout=60))


def test_what_is_done_when_the_limit_passes_is_left_alone() -> None:
    ended: list[Stuck] = []
    assert Watchdog("unit", 0.05, ended.append).run(lambda: None) is None
    time.sleep(0.2)
    assert ended == []


STUBBORN = """
import time
import headrace as hr

class Stubborn(hr.Strategy):
    def process_new_market(self, market, book):
        while True:
            try:
                while True:
                    time.sleep(0.01)
            except BaseException:
                pass
"""

DEAF = """
import headrace as hr

class Deaf(hr.Strategy):
    def process_new_market(self, market, book):
        sum(range(10 ** 15))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("Stubborn", STUBBORN, "took longer than unit_timeout=0.3 s, at "),
        # Nothing of Python runs beside it, so nobody can say more than where it is.
        ("Deaf", DEAF, "in process_new_market"),
    ],
)
def test_what_nothing_else_ends_ends_with_the_process(
    name: str, text: str, says: str, folder: Path, tmp_path: Path
) -> None:
    code = tmp_path / "hanging.py"
    code.write_text(text)
    headrace = str(Path(sys.executable).with_name("headrace"))
    words = [
        headrace,
        "backtest",
        f"{code}:{name}",
        "-m",
        str(folder),
        "--engine",
        "local",
        "--set",
        "unit_timeout=0.3",
    ]
    ran = subprocess.run(
        words, capture_output=True, text=True, timeout=150, env={**os.environ}, check=False, stdin=subprocess.DEVNULL
    )
    assert ran.returncode == 1
    assert says in ran.stderr
    assert str(code) in ran.stderr


@pytest.mark.ray
@pytest.mark.parametrize("kind", [Waits, Swallows])
def test_workers_give_the_unit_up_and_go_on(kind: type[Waits], ray_local: None, folder: Path) -> None:
    check(hr.backtest(kind(), folder, engine="ray", config=hr.Config(unit_timeout=LIMIT)), kind, folder)


class Stubborn(Waits):
    def dawdle(self) -> None:
        while True:
            try:
                while True:
                    time.sleep(0.01)
            except BaseException:
                pass


@pytest.mark.ray
@pytest.mark.slow
def test_a_worker_that_has_to_be_ended_says_where_it_was(ray_local: None, folder: Path) -> None:
    result = hr.backtest(Stubborn(), folder, engine="ray", config=hr.Config(unit_timeout=LIMIT))
    check(result, Stubborn, folder)
