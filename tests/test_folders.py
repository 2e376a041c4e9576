"""Results kept behind a URI: workers write them, a part counts once it is committed, tables are read when asked for."""

from __future__ import annotations

import bz2
import hashlib
import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import headrace as hr
from headrace.actors.recorder import MARKETS, Recorder
from headrace.cli import main
from headrace.cluster import batches
from headrace.loading import load_strategy
from headrace.results.commits import Commit, Parts
from headrace.results.folders import Folder, encoded
from headrace.results.recording_store import recording_place
from headrace.simulate.generator import write_markets
from headrace.simulate.reading.locations import Hashed
from headrace.simulate.rows import FIELDS

EXAMPLE = f"{Path(__file__).resolve().parents[1] / 'examples' / 'queue_backer.py'}:QueueBacker"
TABLES = ("orders", "fills", "markets", "records", "violations", "failures")


@pytest.fixture(scope="module")
def bucket() -> Iterator[Any]:
    """An S3 server on this machine with one bucket; makes the URI of a folder in it."""
    server_of = pytest.importorskip("moto.server")
    from pyarrow import fs

    known = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    for name in known:
        del os.environ[name]
    os.environ.update(AWS_ACCESS_KEY_ID="key", AWS_SECRET_ACCESS_KEY="secret", AWS_EC2_METADATA_DISABLED="true")
    server = server_of.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    query = f"region=us-east-1&scheme=http&endpoint_override=127.0.0.1:{port}"
    made, _ = fs.FileSystem.from_uri(f"s3://runs?{query}&allow_bucket_creation=true")
    made.create_dir("runs")
    yield lambda folder: f"s3://{folder}?{query}"
    server.stop()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(known)


@pytest.fixture(scope="module")
def markets(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("places") / "markets"
    return [str(path) for path in write_markets(folder, 8, seed=9, changes=250)]


def strategy() -> hr.Strategy:
    return load_strategy(EXAMPLE)(patience=5.0)


def rows_of(result: hr.Result, table: str) -> list[str]:
    return sorted(json.dumps(row, default=str, sort_keys=True) for row in result.table(table).to_pylist())


# -- object stores ---------------------------------------------------------------------------------------------------


def test_recording_is_brought_to_a_bucket_and_read_there(bucket: Any, markets: list[str], tmp_path: Path) -> None:
    folder, deliver = recording_place(bucket("runs/recorded"), tmp_path)
    assert folder is not None
    recorder = Recorder(folder, "s1", deliver=deliver)
    for path in markets:
        market_id = Path(path).name.removesuffix(".bz2")
        for line in bz2.decompress(Path(path).read_bytes()).splitlines():
            recorder.put(MARKETS, market_id, line, "2026/Nov/28/1")
        recorder.over(MARKETS, market_id)
    recorder.close()
    assert recorder.error == ""
    assert not list(tmp_path.rglob("*.bz2"))
    read = hr.backtest(strategy(), bucket("runs/recorded/markets"), engine="local")
    assert read.digest == hr.backtest(strategy(), markets, engine="local").digest


def test_recording_stays_in_a_folder_of_this_machine(tmp_path: Path) -> None:
    assert recording_place(str(tmp_path / "kept"), tmp_path) == (str(tmp_path / "kept"), None)
    assert recording_place(None, tmp_path) == (None, None)


def test_recording_into_a_store_that_is_not_there_is_refused_at_the_start(bucket: Any, tmp_path: Path) -> None:
    with pytest.raises(hr.InputError, match="nowhere"):
        recording_place(bucket("nowhere/recorded"), tmp_path)


def test_a_bucket_holds_the_same_result_as_memory(bucket: Any, markets: list[str]) -> None:
    kept = hr.backtest(strategy(), markets, engine="local")
    written = hr.backtest(strategy(), markets, engine="local", out=bucket("runs/same"))
    loaded = hr.Result.load(bucket("runs/same"))
    assert kept.orders.num_rows > 0
    assert kept.digest == written.digest == loaded.digest
    for table in TABLES:
        assert rows_of(loaded, table) == rows_of(kept, table)
    assert loaded.summary() == kept.summary()
    assert loaded.manifest == written.manifest


def test_a_run_into_a_bucket_goes_on_where_it_was_stopped(
    bucket: Any, markets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["headrace.backtest"], "MAX_UNITS", 2)
    whole = hr.backtest(strategy(), markets, engine="local")
    out = bucket("runs/stopped")

    def stop(done: int, total: int, part: Any) -> None:
        if done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hr.backtest(strategy(), markets, engine="local", out=out, progress=stop)
    kept = hr.Result.load(out)
    assert not kept.manifest["finished"]
    assert len(kept.markets) == 4
    seen: list[int] = []
    resumed = hr.backtest(
        strategy(), markets, engine="local", out=out, resume=True, progress=lambda done, *_: seen.append(done)
    )
    assert seen == [6, 8]
    assert resumed.digest == whole.digest == hr.Result.load(out).digest
    assert resumed.manifest["changes"] == whole.manifest["changes"]


def test_a_bucket_that_holds_a_result_is_refused_and_left_alone(bucket: Any, markets: list[str]) -> None:
    out = bucket("runs/taken")
    first = hr.backtest(strategy(), markets[:2], engine="local", out=out)
    with pytest.raises(hr.InputError, match="exists and is not empty"):
        hr.backtest(strategy(), markets[:3], engine="local", out=out)
    with pytest.raises(hr.InputError, match=r"cannot be resumed: .* is not among its inputs"):
        hr.backtest(strategy(), markets[:3], engine="local", out=out, resume=True)
    assert hr.Result.load(out).digest == first.digest


@pytest.mark.parametrize(
    ("out", "says"),
    [
        ("s3://nowhere/run", "no such bucket"),
        ("ftp://host/run", "expected s3://, gs:// or file://"),
        ("s3://name:secret@runs/run", "credentials in a URI"),
        ("file://otherhost/run", "expected file:/// and an absolute path"),
    ],
)
def test_a_place_that_cannot_be_written_is_one_sentence_and_exit_2(
    out: str, says: str, bucket: Any, markets: list[str]
) -> None:
    out = bucket(out.removeprefix("s3://")) if out == "s3://nowhere/run" else out
    answer = CliRunner().invoke(main, ["backtest", EXAMPLE, "-m", markets[0], "--out", out])
    assert answer.exit_code == 2
    assert says in answer.output
    assert len(answer.output.strip().splitlines()) == 1


def test_a_part_that_cannot_be_written_ends_the_run(bucket: Any, markets: list[str], monkeypatch: Any) -> None:
    write = Folder.write

    def failing(self: Folder, name: str, content: bytes) -> None:
        if name.startswith("commits/"):
            raise hr.InputError("the bucket is gone")
        write(self, name, content)

    monkeypatch.setattr(Folder, "write", failing)
    with pytest.raises(hr.InputError, match="the bucket is gone"):
        hr.backtest(strategy(), markets[:2], engine="local", out=bucket("runs/gone"))


def test_a_sweep_is_kept_in_a_bucket(bucket: Any, markets: list[str]) -> None:
    swept = hr.sweep(load_strategy(EXAMPLE), {"stake": [2.0, 3.0]}, markets, out=bucket("runs/sweep"))
    loaded = hr.SweepResult.load(bucket("runs/sweep"))
    assert loaded.digest == swept.digest
    assert loaded.table == swept.table
    with pytest.raises(hr.InputError, match="exists and is not empty"):
        hr.sweep(load_strategy(EXAMPLE), {"stake": [2.0]}, markets, out=bucket("runs/sweep"))


# -- shared disks ----------------------------------------------------------------------------------------------------


@pytest.mark.ray
def test_workers_write_behind_a_uri_and_the_driver_sees_no_rows(
    ray_local: None, markets: list[str], tmp_path: Path
) -> None:
    kept = hr.backtest(strategy(), markets, engine="local")
    seen: list[tuple[int, int]] = []

    def look(done: int, total: int, part: Any) -> None:
        seen.append((part.count("orders"), sum(map(len, part.rows.values()))))
        assert part.stored.files == {}

    out = (tmp_path / "shared run").as_uri()
    written = hr.backtest(strategy(), markets, engine="ray", out=out, progress=look)
    assert sum(orders for orders, _ in seen) == kept.orders.num_rows > 0
    assert {rows for _, rows in seen} == {0}
    assert written.digest == kept.digest == hr.Result.load(out).digest
    assert rows_of(written, "orders") == rows_of(kept, "orders")
    names = {path.name.rpartition(".")[2] for path in (tmp_path / "shared run").rglob("*") if path.is_file()}
    assert names == {"json", "jsonl", "parquet"} or names == {"json", "parquet"}


def test_a_part_written_twice_is_the_same_bytes(markets: list[str], tmp_path: Path) -> None:
    for folder in ("one", "two"):
        hr.backtest(strategy(), markets, engine="local", out=tmp_path / folder)
    files = {path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.parquet")}
    assert len(files) >= 3
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


# -- markets that come twice -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("together", [1, 50], ids=["apart", "in one part"])
@pytest.mark.parametrize("kept_in", ["memory", "folder", "uri"])
def test_a_market_that_comes_twice_counts_once(
    kept_in: str, together: int, markets: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["headrace.backtest"], "MAX_UNITS", together)
    copy = tmp_path / Path(markets[0]).name
    copy.write_bytes(Path(markets[0]).read_bytes())
    whole = hr.backtest(strategy(), markets[:3], engine="local")
    out = tmp_path / "out"
    place = {"memory": None, "folder": out, "uri": out.as_uri()}[kept_in]
    monkeypatch.setattr(batches, "_TURN_BYTES", 1e9)
    twice = hr.backtest(strategy(), [*markets[:3], str(copy)], engine="local", out=place)
    loaded = twice if place is None else hr.Result.load(out)
    assert twice.digest == whole.digest == loaded.digest
    assert rows_of(loaded, "orders") == rows_of(whole, "orders")
    assert rows_of(loaded, "markets") == rows_of(whole, "markets")
    assert loaded.summary()["orders"] == whole.summary()["orders"]
    assert [row["message"] for row in loaded.failures.to_pylist()] == [
        f"the market is in {markets[0]} as well; this copy is left out"
    ]


# -- the manifest ----------------------------------------------------------------------------------------------------


def test_the_manifest_tells_the_digest_of_each_input_as_it_was_read(markets: list[str], tmp_path: Path) -> None:
    broken = tmp_path / "1.99.bz2"
    broken.write_bytes(Path(markets[0]).read_bytes()[:3000])
    files = [*markets[:2], str(broken)]
    result = hr.backtest(strategy(), files, engine="local", out=tmp_path / "out")
    assert [(row["unit"], row["bytes"], row["sha256"]) for row in result.manifest["inputs"]] == [
        (path, os.path.getsize(path), hashlib.sha256(Path(path).read_bytes()).hexdigest()) for path in files
    ]


def test_a_file_has_a_digest_once_its_end_was_reached() -> None:
    file = Hashed(io.BytesIO(b"one\ntwo\n"))
    assert (file.read(4), file.digest) == (b"one\n", None)
    assert (file.read(), file.digest) == (b"two\n", hashlib.sha256(b"one\ntwo\n").hexdigest())


def test_one_digest_stands_for_the_files_of_an_event(markets: list[str], tmp_path: Path) -> None:
    class ByEvent(hr.Strategy):
        scope = "run"

        def check_market_book(self, market: Any, book: Any) -> bool:
            return False

    result = hr.backtest(ByEvent(), markets[:3], engine="local", out=tmp_path / "out")
    each = [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in sorted(markets[:3])]
    (told,) = result.manifest["inputs"]
    assert told["sha256"] == hashlib.sha256("\n".join(each).encode()).hexdigest()


# -- reading ---------------------------------------------------------------------------------------------------------


def test_tables_are_read_when_they_are_asked_for(
    markets: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hr.backtest(strategy(), markets, engine="local", out=tmp_path / "out")
    read: list[tuple[str, Any]] = []
    real = Folder.read_table

    def noted(self: Folder, name: str, columns: list[str] | None = None) -> Any:
        read.append((name.partition("/")[0], columns))
        return real(self, name, columns)

    monkeypatch.setattr(Folder, "read_table", noted)
    result = hr.Result.load(tmp_path / "out")
    assert result.digest
    assert read == []
    result.summary()
    assert "markets" in {table for table, _ in read} <= {"markets", "violations", "failures", "transactions"}
    wide = [(table, columns) for table, columns in read if table != "transactions"]
    assert all(columns and len(columns) < len(FIELDS[table]) for table, columns in wide)
    read.clear()
    assert result.orders is result.orders
    assert [table for table, _ in read] == ["orders"]


def test_a_folder_of_a_sweep_is_no_result(markets: list[str], tmp_path: Path) -> None:
    hr.sweep(load_strategy(EXAMPLE), {"stake": [2.0]}, markets[:1], out=tmp_path / "sweep")
    with pytest.raises(hr.InputError, match="it is a sweep's"):
        hr.Result.load(tmp_path / "sweep")
    words = ["backtest", EXAMPLE, "-m", markets[0], "--out", str(tmp_path / "sweep"), "--resume"]
    answer = CliRunner().invoke(main, words)
    assert (answer.exit_code, "it is a sweep's" in answer.output) == (2, True)
    (tmp_path / "sweep" / "manifest.json").write_text("[]")
    for load in (hr.Result.load, hr.SweepResult.load):
        with pytest.raises(hr.InputError, match="expected a JSON object"):
            load(tmp_path / "sweep")


def test_a_part_whose_file_is_gone_is_an_error_that_names_it(markets: list[str], tmp_path: Path) -> None:
    hr.backtest(strategy(), markets, engine="local", out=tmp_path / "out")
    gone = next((tmp_path / "out" / "orders").glob("*.parquet"))
    gone.unlink()
    with pytest.raises(hr.InputError, match=gone.name):
        _ = hr.Result.load(tmp_path / "out").orders


def test_counts_are_known_without_reading_unless_something_is_left_out(tmp_path: Path) -> None:
    import pyarrow as pa

    place = Folder(tmp_path)
    place.write("orders/a.parquet", encoded(pa.table({"market_id": ["1.1", "1.2", "1.1"]})))
    commit = {"part": "a", "number": 0, "rows": {"orders": 3}, "digest": "0"}
    assert Parts(place, [Commit.of(commit)]).count("orders") == 3
    left = Parts(place, [Commit.of({**commit, "left_out": ["1.1"]})])
    assert left.count("orders") is None
    assert left.table("orders", ["market_id"])["market_id"].to_pylist() == ["1.2"]


def test_places_print_as_they_were_named(tmp_path: Path) -> None:
    assert str(Folder(tmp_path)) == str(tmp_path)
    assert not Folder(tmp_path).shared
    assert Folder(tmp_path.as_uri()).shared
