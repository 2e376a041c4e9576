"""The result of a live session: rows that hosts send come to the tables that a backtest of the same markets has."""

from __future__ import annotations

import errno
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import betfairlightweight
import pytest

import headrace as hr
from builders import T0, many
from headrace.actors.failures import Failures
from headrace.actors.hosted_market import HostedMarket
from headrace.actors.live.rows_file import RowsReader, RowsWriter, goes_on, has_ended, packed, rows_path, unpacked
from headrace.cluster.identity import session_identity
from headrace.results.folders import Folder
from headrace.results.session import SessionRows
from headrace.simulate.replay import Replay
from headrace.simulate.session_rows import CoordinatorRows, FailureRows, rows_of_coordinator, rows_of_market
from headrace.simulate.setup import Setup
from headrace.simulate.units import Unit


class Backer(hr.Strategy):
    """Backs the first runner once, records it, asks for more than its limit, and fails at the next book."""

    stake: float = 2.0

    def check_market_book(self, market: Any, book: Any) -> bool:
        return book.publish_time_epoch >= T0 + 100

    def process_market_book(self, market: Any, book: Any) -> None:
        if market.blotter.strategy_orders(self):
            raise ValueError("one is enough")
        for size in (self.stake, 1000.0):
            trade = hr.Trade(market.market_id, 1, 0, self)
            market.place_order(trade.create_order("BACK", hr.LimitOrder(2.0, size)))
        self.record(market, size=self.stake)


def tables(result: hr.Result) -> dict[str, list[dict[str, Any]]]:
    """Rows of all tables, but for what says where a failure was run."""
    found = {}
    for name in ("orders", "fills", "markets", "records", "violations", "transactions", "failures"):
        rows = getattr(result, name).to_pylist()
        for row in rows:
            for left_out in ("unit", "command", "traceback"):
                row.pop(left_out, None)
        found[name] = sorted(rows, key=str)
    return found


def hosted(paths: list[Path], rows_file: Path) -> None:
    """Host each market in an actor of its own, as live hosts do, and send the rows of what is freed."""
    writer = RowsWriter(rows_file)
    for path in paths:
        setup = Setup([Backer()], [hr.SimulatedClient()], hr.Config())
        freed: list[HostedMarket] = []
        run = Replay(Unit(str(path), (str(path),)), setup, freed.append)
        failed = FailureRows(run.failures)
        run.run()
        for market in freed:
            writer.add(packed(rows_of_market(run.actor, market)))
        writer.add(packed(failed()))
        writer.add(packed(rows_of_coordinator(run.coordinator)))
    writer.close()


@pytest.fixture
def session(tmp_path: Path) -> tuple[list[Path], Path]:
    paths = sorted(many(tmp_path / "markets", 3).iterdir())
    hosted(paths, tmp_path / "rows.bin")
    return paths, tmp_path / "rows.bin"


@pytest.mark.parametrize("kept", [False, True])
def test_a_session_has_the_tables_of_a_backtest(session: tuple[list[Path], Path], tmp_path: Path, kept: bool) -> None:
    paths, rows_file = session
    backtest = hr.backtest(Backer(), list(map(str, paths)), engine="local")
    identity = session_identity([Backer()], [hr.SimulatedClient()], hr.Config())
    out = tmp_path / "out" if kept else None
    result = SessionRows(RowsReader(rows_file), identity, out).result({"engine": "local"})
    assert [backtest.table(name).num_rows for name in ("orders", "fills", "violations", "failures")] == [3] * 4
    assert tables(result) == tables(backtest)
    assert result.digest == backtest.digest
    assert result.summary().to_pylist() == backtest.summary().to_pylist()
    assert result.manifest["changes"] == backtest.manifest["changes"] == 12
    assert result.manifest["strategies"][0]["parameters"] == {"stake": 2.0}
    if out is not None:
        loaded = hr.Result.load(out)
        assert (loaded.digest, tables(loaded)) == (backtest.digest, tables(backtest))
        assert loaded.manifest["finished"] is True
        assert loaded.to_html(tmp_path / "page.html").stat().st_size > 10_000


def test_what_was_taken_is_in_the_folder_though_the_session_never_ends(
    session: tuple[list[Path], Path], tmp_path: Path
) -> None:
    rows = SessionRows(RowsReader(session[1]), session_identity([Backer()], [], hr.Config()), tmp_path / "out")
    assert rows.take() == 21
    assert rows.take() == 0
    broken_off = hr.Result.load(tmp_path / "out")
    assert broken_off.orders.num_rows == 3
    assert broken_off.manifest["finished"] is False


def test_a_session_that_was_killed_goes_on_in_its_folder(session: tuple[list[Path], Path], tmp_path: Path) -> None:
    paths, rows_file = session
    identity = session_identity([Backer()], [hr.SimulatedClient()], hr.Config())
    letters = list(RowsReader(rows_file))
    for count in (2, 3, 3):  # it is killed three times
        SessionRows(letters[:count], identity, tmp_path / "out", count > 2).take()
    result = SessionRows(RowsReader(rows_file), identity, tmp_path / "out", True).result()
    backtest = hr.backtest(Backer(), list(map(str, paths)), engine="local")
    assert tables(result) == tables(backtest)
    assert tables(hr.Result.load(tmp_path / "out")) == tables(backtest)


def test_changes_of_a_market_count_once_though_its_strategies_rows_come_before_and_after_the_kill(
    session: tuple[list[Path], Path], tmp_path: Path
) -> None:
    identity = session_identity([Backer()], [hr.SimulatedClient()], hr.Config())
    letters = list(RowsReader(session[1]))
    SessionRows(letters, identity, tmp_path / "out").take()
    others = [("Layer", *row[1:]) for data in letters for row in unpacked(data).get("markets", ())]
    result = SessionRows([*letters, packed({"markets": others})], identity, tmp_path / "out", True).result()
    assert result.markets.num_rows == 6
    assert result.manifest["changes"] == 12


def test_one_that_has_ended_does_not_go_on(session: tuple[list[Path], Path], tmp_path: Path) -> None:
    identity = session_identity([Backer()], [hr.SimulatedClient()], hr.Config())
    SessionRows(RowsReader(session[1]), identity, tmp_path / "out").result()
    with pytest.raises(hr.InputError, match="is not empty"):
        SessionRows(RowsReader(session[1]), identity, tmp_path / "out", True)


def test_rows_stay_for_the_session_that_goes_on_and_for_no_other(tmp_path: Path) -> None:
    alice, bob = [("alice", "https://one")], [("alice", "https://two")]
    assert not goes_on(tmp_path, alice)
    (tmp_path / "rows.bin").write_bytes(b"rows")
    assert goes_on(tmp_path, alice)
    assert (tmp_path / "rows.bin").read_bytes() == b"rows"
    assert not goes_on(tmp_path, bob), "it trades at another exchange"
    assert not (tmp_path / "rows.bin").exists()
    (tmp_path / "rows.bin").touch()
    has_ended(tmp_path)
    assert not goes_on(tmp_path, bob)
    assert not (tmp_path / "rows.bin").exists()


def test_a_rehearsal_does_not_get_in_the_way_of_a_session_that_was_killed(tmp_path: Path) -> None:
    assert not goes_on(tmp_path, [("alice", "https://one")])
    rows_path(tmp_path).write_bytes(b"rows")
    assert not goes_on(tmp_path, [("alice", "https://rehearsal")], "-rehearsal")
    assert rows_path(tmp_path, "-rehearsal").name == "rows-rehearsal.bin"
    has_ended(tmp_path, "-rehearsal")
    assert goes_on(tmp_path, [("alice", "https://one")])
    assert rows_path(tmp_path).read_bytes() == b"rows"


def test_a_folder_in_use_is_refused_before_the_session_begins(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "something").touch()
    with pytest.raises(hr.InputError, match="is not empty"):
        SessionRows((), session_identity([Backer()], [], hr.Config()), tmp_path / "out")


def test_a_failure_that_is_told_bit_by_bit_is_one_row(tmp_path: Path) -> None:
    failures = Failures("h1")
    new = FailureRows(failures)
    writer = RowsWriter(tmp_path / "rows.bin")
    for more in (1, 2, 0, 3):
        for _ in range(more):
            failures.add(ValueError("wrong"), "Backer", "1.5", "backer.py:7", T0)
        writer.add(packed(new()))
    failures.add(KeyError("other"), "Backer", "1.5", "backer.py:9", T0)
    writer.add(packed(new()))
    result = SessionRows(RowsReader(tmp_path / "rows.bin"), {}).result()
    found = [(row["error_type"], row["count"], row["unit"]) for row in result.failures.to_pylist()]
    assert found == [("ValueError", 6, "h1"), ("KeyError", 1, "h1")]


def test_a_letter_that_was_cut_off_is_left_out_and_the_next_ones_are_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.bin"
    violation = ("Backer", "1.5", "OrderValidation", "PLACE", "too small", 1)
    writer = RowsWriter(path)
    writer.add(packed({"violations": [violation]}))
    writer.close()
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:-5])
    reader = RowsReader(path)
    assert len(list(reader)) == 1
    again = RowsWriter(path)
    again.add(packed({"violations": [violation] * 2}))
    assert [len(unpacked(data)["violations"]) for data in reader] == [2]
    assert path.stat().st_size == len(whole) + 14 + len(packed({"violations": [violation] * 2}))


def test_counts_of_a_coordinator_are_told_bit_by_bit_and_what_a_former_one_has_told_is_left_out(tmp_path: Path) -> None:
    (path,) = many(tmp_path / "markets", 1).iterdir()
    setup = Setup([Backer()], [hr.SimulatedClient()], hr.Config())
    run = Replay(Unit(str(path), (str(path),)), setup, lambda market: None)
    told = CoordinatorRows(run.coordinator)
    run.run()
    first, whole = told(), rows_of_coordinator(run.coordinator)
    assert {table: first[table] for table in ("violations", "transactions")} == {
        table: whole[table] for table in ("violations", "transactions")
    }
    assert first["violations"]
    assert not any(told().values())
    (client,) = run.coordinator.clients
    client.add_transaction(3, at_ms=T0)
    client.add_transaction(-1, at_ms=T0)
    assert told()["transactions"] == [("simulated", T0 // 3_600_000 * 3_600_000, "", 0.002, 2, 0)]
    assert not any(CoordinatorRows(run.coordinator)().values())


def test_a_manifest_has_neither_credentials_nor_sessions(tmp_path: Path) -> None:
    library = betfairlightweight.APIClient("alice", "w0nderland", "the-app-key", certs="my-folder", locale="italy")
    library.set_session_token("the-session-token")
    client = hr.BetfairClient(library, transaction_limit=7)
    travelled = pickle.loads(pickle.dumps(client))
    own = hr.BaseClient(library, username="alice")
    vars(own).update(session_token="the-session-token", token="the-session-token")
    told = json.dumps(session_identity([Backer()], [client, travelled, own], hr.Config()), default=str)
    for secret in ("w0nderland", "the-app-key", "my-folder", "the-session-token"):
        assert secret not in told
    assert '"transaction_limit": 7' in told


# -- a folder that cannot be written ---------------------------------------------------------------------------------


class FullDisk:
    """A disk that is full, until it is not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        real = Folder._write

        def write(folder: Folder, name: str, content: bytes) -> None:
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device", name)
            real(folder, name, content)

        monkeypatch.setattr(Folder, "_write", write)
        monkeypatch.setattr("headrace.results.session_store._AGAIN_S", 0.0)


@pytest.mark.parametrize("shared", [False, True], ids=["folder", "store"])
def test_a_session_goes_on_while_its_folder_cannot_be_written_and_all_rows_come_later(
    session: tuple[list[Path], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    shared: bool,
) -> None:
    paths, rows_file = session
    letters: list[bytes] = []
    out = f"file://{tmp_path / 'out'}" if shared else str(tmp_path / "out")
    rows = SessionRows(Once(letters), session_identity([Backer()], [hr.SimulatedClient()], hr.Config()), out)
    disk = FullDisk(monkeypatch)
    for number, letter in enumerate(RowsReader(rows_file)):
        disk.full = 1 <= number < 4
        letters.append(letter)
        assert rows.take() > 0
        rows.take()
    result = rows.result()
    backtest = hr.backtest(Backer(), list(map(str, paths)), engine="local")
    assert tables(result) == tables(backtest)
    assert tables(hr.Result.load(out)) == tables(backtest)
    assert sum("The result waits, and the session goes on" in each for each in caplog.messages) == 1
    assert "The result is written again" in caplog.text


def test_where_it_cannot_be_written_at_the_end_either_the_rows_are_there_for_another_folder(
    session: tuple[list[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = session_identity([Backer()], [hr.SimulatedClient()], hr.Config())
    rows = SessionRows(RowsReader(session[1]), identity, tmp_path / "out")
    disk = FullDisk(monkeypatch)
    disk.full = True
    with pytest.raises(hr.RunError, match=r"No space left on device\. The rows of the session are kept"):
        rows.result()
    disk.full = False
    again = SessionRows(RowsReader(session[1]), identity, tmp_path / "another", True).result()
    assert again.orders.num_rows == 3
    assert rows.result().orders.num_rows == 3


def test_a_session_goes_on_in_its_folder_with_other_settings(
    session: tuple[list[Path], Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    letters = list(RowsReader(session[1]))
    SessionRows(letters[:2], session_identity([Backer()], [], hr.Config()), tmp_path / "out").take()
    other = session_identity([Backer(max_order_exposure=7)], [], hr.Config())
    result = SessionRows(letters, other, tmp_path / "out", True).result()
    assert result.orders.num_rows == 3
    assert result.manifest["strategies"][0]["settings"]["max_order_exposure"] == 7
    assert "The session goes on, though it is not as it was" in caplog.text


class Once:
    """Letters that are told once, as a `RowsReader` does."""

    def __init__(self, letters: list[bytes]) -> None:
        self._letters = letters

    def __iter__(self) -> Iterator[bytes]:
        while self._letters:
            yield self._letters.pop(0)
