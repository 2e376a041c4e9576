"""Packed archives: the same results as from the recordings, and the recordings back, byte for byte."""

from __future__ import annotations

import bz2
import datetime
import gzip
import random
import shutil
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import headrace as hr
from builders import FLUMINE, START, Stream, by_name
from headrace.archive import pack as packing
from headrace.archive import packed_writer, segmenter
from headrace.archive.pack import write_pack
from headrace.archive.unpack import unpack
from headrace.cli import main
from headrace.simulate import skipping
from headrace.simulate.reading.locations import Source
from headrace.simulate.reading.packed import INDEX, Segment, _ParquetFile, segments
from headrace.simulate.reading.recordings import Recording, find_recordings

RECORDINGS = Path(__file__).resolve().parents[2] / "shared" / "recordings"

WINDOWS: list[dict[str, Any]] = [
    {},
    {"seconds_to_start": 60},
    {"seconds_to_start": 3600},
    {"seconds_to_start": 120, "inplay": False},
    {"inplay": True},
    {"inplay": False},
    {"inplay": True, "max_inplay_seconds": 30},
    {"max_inplay_seconds": 0, "seconds_to_start": 30},
]


#: No change of an open market is in it.
NEVER: dict[str, Any] = {"seconds_to_start": -10_000, "inplay": False}


class Tells(hr.Strategy):
    """Backs each runner once and tells what it has seen."""

    first: int = 0

    def process_new_market(self, market: Any, book: Any) -> None:
        self.record(market, at=book.publish_time_epoch, opened=[runner.last_price_traded for runner in book.runners])

    def check_market_book(self, market: Any, book: Any) -> bool:
        return True

    def process_market_book(self, market: Any, book: Any) -> None:
        if self.first % 50 == 0:
            self.record(
                market,
                at=book.publish_time_epoch,
                total=book.total_matched,
                runners=[
                    (r.selection_id, r.status, r.last_price_traded, r.ex.available_to_back, r.ex.traded_volume)
                    for r in book.runners
                ],
            )
        self.first += 1
        for runner in book.runners:
            context = self.get_runner_context(market.market_id, runner.selection_id, runner.handicap)
            price = hr.get_price(runner.ex.available_to_back, 0)
            if book.status == "OPEN" and runner.status == "ACTIVE" and price and not context.invested:
                trade = hr.Trade(market.market_id, runner.selection_id, runner.handicap, self)
                market.place_order(trade.create_order("BACK", hr.LimitOrder(price, 2.0)))


class ByEvent(Tells):
    scope = "event"


def run(markets: Any, keywords: dict[str, Any], kind: type[Tells] = Tells, **settings: Any) -> hr.Result:
    return hr.backtest(kind(market_filter={"listener_kwargs": keywords}), markets, engine="local", **settings)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keyframes so often that small markets have some."""
    write_often(monkeypatch)


def write_often(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(segmenter, "_KEYFRAME_BYTES", 2000)
    patch.setattr(segmenter, "_KEYFRAME_MS", 1000)
    patch.setattr(packed_writer, "_GROUP_BYTES", 30_000)


@pytest.fixture(scope="module")
def generated_pack(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generated markets, packed, with keyframes so often that they have some."""
    with pytest.MonkeyPatch.context() as patch:
        write_often(patch)
        return packed(generated, tmp_path_factory.mktemp("generated_pack"))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path]:
    """Real recordings, and what they are packed."""
    names = ["29788105.bz2", "1.205822330.bz2", "1.185781277.bz2", "1.197931750", "football-basic-sample.bz2"]
    if not RECORDINGS.is_dir():
        pytest.skip(f"no recordings in {RECORDINGS}; runs where that folder is")
    files = [str(RECORDINGS / name) for name in names]
    return files, packed(files, tmp_path_factory.mktemp("recorded"))


@pytest.fixture
def left_out(monkeypatch: pytest.MonkeyPatch) -> list[Segment]:
    """The segments that were not read."""
    found: list[Segment] = []
    fold = skipping._fold_definitions

    def folded(segment: Segment, actor: Any) -> None:
        found.append(segment)
        fold(segment, actor)

    monkeypatch.setattr(skipping, "_fold_definitions", folded)
    return found


def packed(markets: Any, folder: Path) -> Path:
    assert write_pack(markets, folder / "packed", engine="local") == []
    return folder / "packed"


def busy(**definition: Any) -> Stream:
    """A market of 400 s with a change every 100 ms; in play from its start on, closed 30 s later."""
    stream = Stream(persistenceEnabled=True, **definition)
    for at in range(100, START, 100):
        price = round(2 + at % 900 / 1000, 2)
        stream.prices(at, {1 + at // 100 % 2: {"atb": [[price, at % 70]], "atl": [[price + 1, 5]], "ltp": price}})
    stream.turn_in_play(START)
    for at in range(START + 100, START + 30_000, 100):
        stream.prices(at, {1: {"atb": [[2.0, at % 7]], "trd": [[2.0, at - START]]}}, tv=float(at))
    return stream


# -- the same results --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keywords", WINDOWS, ids=str)
@pytest.mark.parametrize("kind", [Tells, ByEvent])
def test_generated_markets_give_equal_digests(
    generated: Path, generated_pack: Path, keywords: dict[str, Any], kind: type[Tells]
) -> None:
    plain = run(generated, keywords, kind)
    from_pack = run(generated_pack, keywords, kind)
    assert plain.records.num_rows > 0
    assert (from_pack.digest, from_pack.failures.to_pylist()) == (plain.digest, [])


@pytest.mark.parametrize("keywords", WINDOWS, ids=str)
def test_recorded_markets_give_equal_digests(recorded: tuple[list[str], Path], keywords: dict[str, Any]) -> None:
    files, pack = recorded
    assert run(pack, keywords).digest == run(files, keywords).digest


@pytest.mark.parametrize(
    ("keywords", "most"),
    [({"seconds_to_start": 20}, 0.2), ({"inplay": True}, 0.15), ({"seconds_to_start": 300}, 0.8)],
    ids=str,
)
def test_what_lies_before_the_window_is_not_read(
    tmp_path: Path, small: None, left_out: list[Segment], keywords: dict[str, Any], most: float
) -> None:
    path = busy().close(START + 30_000).write(tmp_path / "1.1")
    folder = packed(path, tmp_path)
    assert run(folder, keywords).digest == run(path, keywords).digest
    total = sum(segment.changes for segment in segments(find_recordings(folder)[0]))
    assert total - sum(segment.changes for segment in left_out) < most * total


def test_a_sweep_reads_what_one_of_its_sets_looks_at(tmp_path: Path, small: None, left_out: list[Segment]) -> None:
    path = busy().close(START + 30_000).write(tmp_path / "1.1")
    folder = packed(path, tmp_path)
    windows = [{"seconds_to_start": 20}, {"seconds_to_start": 40, "inplay": False}, {"inplay": True}]
    sets = [{"first": at, "market_filter": {"listener_kwargs": keywords}} for at, keywords in enumerate(windows)]
    swept = hr.sweep(Tells, sets, folder, engine="local", orders=True)
    for number, keywords in enumerate(windows):
        alone = hr.backtest(Tells(first=number, market_filter={"listener_kwargs": keywords}), path, engine="local")
        assert swept.result(number).digest == alone.digest
        assert swept.result(number).markets["changes"] == alone.markets["changes"]
    total = sum(segment.changes for segment in segments(find_recordings(folder)[0]))
    assert 0.5 * total < sum(segment.changes for segment in left_out) < total


@pytest.mark.parametrize("moved", [-200, 500])
@pytest.mark.parametrize("keywords", WINDOWS, ids=str)
def test_start_that_moves_moves_the_window(tmp_path: Path, small: None, keywords: dict[str, Any], moved: int) -> None:
    stream = Stream()
    start = stream._definition["marketTime"]
    later = datetime.datetime.fromisoformat(start) + datetime.timedelta(seconds=moved)
    for at in range(100, START, 100):
        if at == 150_000:
            stream.define(at, marketTime=later.isoformat().replace("+00:00", "Z"))
        price = 2 + at % 50 / 100
        stream.prices(at, {1: {"atb": [[price, 5]], "atl": [[price + 1, 5]]}, 2: {"atb": [[1.5, at % 9]]}})
    path = stream.close(START + 10).write(tmp_path / "1.1")
    assert run(packed(path, tmp_path), keywords).digest == run(path, keywords).digest


def test_suspension_in_between_is_shown(tmp_path: Path, small: None, left_out: list[Segment]) -> None:
    stream = busy()
    lines = [*stream.lines]
    at = 1500
    suspended = {**lines[0]["mc"][0]["marketDefinition"], "status": "SUSPENDED"}
    opened = {**lines[0]["mc"][0]["marketDefinition"], "status": "OPEN"}
    for place, definition in ((at, suspended), (at + 20, opened)):
        lines[place] = {**lines[place], "mc": [{"id": stream.market_id, "marketDefinition": definition}]}
    stream.lines = lines
    path = stream.close(START + 30_000).write(tmp_path / "1.1")
    folder = packed(path, tmp_path)
    assert run(folder, {"inplay": True}).digest == run(path, {"inplay": True}).digest
    assert left_out


@pytest.fixture
def unpacked_columns(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The columns that row groups were unpacked of, each as often as that was done."""
    found: list[str] = []
    read = _ParquetFile.read

    def noted(file: _ParquetFile, groups: Sequence[int], columns: Sequence[str]) -> Any:
        found.extend(column for _ in groups for column in columns)
        return read(file, groups, columns)

    monkeypatch.setattr(_ParquetFile, "read", noted)
    return found


def suspended_early() -> Stream:
    """`busy`, but suspended for a moment at 150 s and at 250 s, with one change of prices meanwhile."""
    stream = busy()
    definition = stream.lines[0]["mc"][0]["marketDefinition"]
    for at in (1500, 2500):
        for place, status in ((at, "SUSPENDED"), (at + 2, "OPEN")):
            change = {"id": stream.market_id, "marketDefinition": {**definition, "status": status}}
            stream.lines[place] = {**stream.lines[place], "mc": [change]}
    return stream.close(START + 30_000)


def without_overviews(folder: Path) -> Path:
    """An archive as it was before there were overviews."""
    for path in folder.rglob("*.parquet"):
        file = pq.ParquetFile(path)
        names = [name for name in file.schema_arrow.names if name != "overview"]
        groups = [file.read_row_group(group, columns=names) for group in range(file.num_row_groups)]
        with pq.ParquetWriter(path, groups[0].schema, compression="zstd", store_schema=False) as writer:
            for group in groups:
                writer.write_table(group)
            writer.add_key_value_metadata({INDEX: file.metadata.metadata[INDEX]})
    return folder


def test_suspensions_outside_the_window_are_shown_from_the_overview(
    tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch, unpacked_columns: list[str]
) -> None:
    monkeypatch.setattr(segmenter, "_SUSPENSION_BYTES", 2000)
    monkeypatch.setattr(segmenter, "_SHORT_BYTES", 40_000)  # the last segment is of many lines
    path = suspended_early().write(tmp_path / "1.1")
    folder = packed(path, tmp_path)
    source = find_recordings(folder)[0]
    shown = [segment for segment in segments(source) if b"SUSPENDED" in (segment.definitions or b"")]
    assert [segment.whole for segment in shown[:2]] == [True, True]
    unpacked_columns.clear()
    shown_only = run(folder, NEVER)
    assert shown_only.digest == run(path, NEVER).digest
    assert shown_only.failures.num_rows == 0
    assert set(unpacked_columns) <= {"overview"}


def test_first_line_is_read_from_the_definitions_where_there_is_no_overview(
    tmp_path: Path, small: None, unpacked_columns: list[str]
) -> None:
    path = busy().close(START + 30_000).write(tmp_path / "1.1")
    folder = without_overviews(packed(path, tmp_path))
    first, *_, last = segments(find_recordings(folder)[0])
    assert (first.whole, last.whole) == (True, False)
    unpacked_columns.clear()
    groups = pq.ParquetFile(next(folder.rglob("*.parquet"))).num_row_groups
    assert run(folder, NEVER).digest == run(path, NEVER).digest
    assert unpacked_columns.count("definitions") == groups
    assert unpacked_columns.count("lines") == 1  # the last: the market closes in it


@pytest.mark.parametrize("keywords", WINDOWS, ids=str)
def test_archives_without_overviews_give_equal_digests(tmp_path: Path, small: None, keywords: dict[str, Any]) -> None:
    path = suspended_early().write(tmp_path / "1.1")
    folder = packed(path, tmp_path)
    expected = run(folder, keywords)
    assert expected.digest == run(path, keywords).digest
    assert run(without_overviews(folder), keywords).digest == expected.digest


def test_a_damaged_image_that_is_needed_is_told(tmp_path: Path, small: None) -> None:
    path = busy().close(START + 30_000).write(tmp_path / "1.1")
    folder = packed(path, tmp_path)
    (file,) = folder.rglob("*.parquet")
    content = bytearray(file.read_bytes())
    metadata = pq.ParquetFile(file).metadata
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        found = next(each for each in map(group.column, range(group.num_columns)) if each.path_in_schema == "image")
        content[found.data_page_offset + found.total_compressed_size // 2] ^= 1
    file.write_bytes(content)
    result = run(folder, {"seconds_to_start": 20})
    (failure,) = result.failures.to_pylist()
    assert "is damaged or cut short" in failure["message"]
    assert run(folder, {}).digest == run(path, {}).digest  # it is not needed there


class _Everything(hr.Middleware):
    def __call__(self, market: Any) -> None:
        market.context["seen"] = market.context.get("seen", 0) + 1


class _Alarm(Tells):
    """Looks at the book by its own clock, outside its window."""

    def process_new_market(self, market: Any, book: Any) -> None:
        market.call_later(100.0, lambda: self.record(market, back=book.runners[0].ex.available_to_back))


def test_nothing_is_left_out_for_whom_sees_more_than_the_window(
    tmp_path: Path, small: None, left_out: list[Segment]
) -> None:
    path = busy().close(START + 30_000).write(tmp_path / "1.1")
    folder = packed(path, tmp_path)
    plain, config = run(path, {"inplay": True}, config=FLUMINE), FLUMINE
    assert run(folder, {"inplay": True}, config=config).digest == plain.digest
    simulation = hr.Simulation(folder, engine="local")
    simulation.add_client(hr.SimulatedClient())
    simulation.add_strategy(Tells(market_filter={"listener_kwargs": {"inplay": True}}))
    simulation.add_market_middleware(_Everything())
    simulation.run()
    both = [Tells(market_filter={"listener_kwargs": {"inplay": True}}), Tells(name="all")]
    assert hr.backtest(both, folder, engine="local").failures.num_rows == 0
    assert left_out == []


def test_timer_sees_the_book_of_its_time(tmp_path: Path, small: None, left_out: list[Segment]) -> None:
    path = busy().close(START + 30_000).write(tmp_path / "1.1")
    folder = packed(path, tmp_path)
    assert run(folder, {"inplay": True}, _Alarm).digest == run(path, {"inplay": True}, _Alarm).digest
    assert left_out


# -- the recordings back -----------------------------------------------------------------------------------------------


def test_unpacked_files_are_those_that_were_packed(generated: Path, tmp_path: Path, small: None) -> None:
    unpack(packed(generated, tmp_path), tmp_path / "back")
    files = sorted(path for path in generated.rglob("*") if path.is_file())
    assert len(list((tmp_path / "back").rglob("*.bz2"))) == len(files)
    for path in files:
        (back,) = (tmp_path / "back").rglob(path.name)
        assert back.parent.name == path.parent.name
        assert bz2.decompress(back.read_bytes()) == bz2.decompress(path.read_bytes())


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_line_ends_and_odd_lines_are_kept(tmp_path: Path, small: None, ending: bytes, last: bool) -> None:
    lines = busy().text().encode().splitlines()
    lines[200:200] = [b"", b"{not json"]
    content = ending.join(lines) + (ending if last else b"")
    (tmp_path / "1.1").write_bytes(content)
    folder = packed(tmp_path / "1.1", tmp_path)
    unpack(folder, tmp_path / "back", compression="none")
    assert (tmp_path / "back" / "1.1").read_bytes() == content
    plain, from_pack = run(tmp_path / "1.1", {"inplay": True}), run(folder, {"inplay": True})
    assert from_pack.digest == plain.digest
    assert from_pack.failures["error_type"].to_pylist() == plain.failures["error_type"].to_pylist()


def test_files_lie_by_year_and_month_of_the_start(tmp_path: Path) -> None:
    for number, start in enumerate(("2024-07-01T12:00:00.000Z", "2023-12-31T23:59:00.000Z"), 1):
        Stream(market_id=f"1.{number}", marketTime=start).close().write(tmp_path / f"1.{number}")
    folder = packed([tmp_path / "1.1", tmp_path / "1.2"], tmp_path)
    names = sorted(path.relative_to(folder).parent.as_posix() for path in folder.rglob("*.parquet"))
    assert names == ["year=2023/month=12", "year=2024/month=07"]


def test_rows_can_be_read_by_any_reader_of_parquet(generated: Path, tmp_path: Path) -> None:
    table = pq.read_table(packed(generated, tmp_path))
    _, lines = next(Recording(str(min(generated.rglob("1.*")))).pieces())
    assert lines[:50] in {each[:50] for each in table["lines"].to_pylist()}


def test_member_of_a_packed_file_is_named_as_of_an_archive(generated: Path, tmp_path: Path) -> None:
    source = find_recordings(packed(generated, tmp_path))[2]
    assert [str(each) for each in find_recordings(str(source))] == [str(source)]
    assert run(str(source), {}).markets.num_rows == 1


def test_runners_whose_lines_have_returns_between_words_are_kept_apart(tmp_path: Path, small: None) -> None:
    lines = busy().text().encode().replace(b', "mc"', b',\r"mc"').replace(b',"mc"', b',\r"mc"')
    assert b"\r" in lines
    (tmp_path / "1.1").write_bytes(lines)
    folder = packed(tmp_path / "1.1", tmp_path)
    assert run(folder, {"inplay": True}).digest == run(tmp_path / "1.1", {"inplay": True}).digest
    source = find_recordings(folder)[0]
    defined = [segment for segment in segments(source) if segment.definitions]
    assert defined
    assert all(b"marketDefinition" in (segment.definitions or b"") for segment in defined)


def test_recordings_that_share_a_row_group_are_read_whole(tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    for number in range(1, 6):
        stream = Stream(market_id=f"1.{number}")
        for at in range(100, 5000, 100):
            stream.prices(at, {1: {"atb": [[2.0, float(at * number)]]}})
        stream.close().write(tmp_path / "archive" / f"1.{number}")
    folder = packed(tmp_path / "archive", tmp_path)
    (file,) = folder.rglob("*.parquet")
    assert pq.ParquetFile(file).metadata.num_row_groups == 1
    for source in reversed(find_recordings(folder)):
        lines = b"".join(lines for _, lines in Recording(source).pieces())
        assert lines == (tmp_path / "archive" / str(source.member)).read_bytes()


def test_members_of_archives_and_event_files_are_packed(generated: Path, tmp_path: Path) -> None:
    files = sorted(path for path in generated.rglob("*.bz2"))
    with tarfile.open(tmp_path / "a.tar", "w") as tar, tarfile.open(tmp_path / "b.tar.gz", "w:gz") as packed_tar:
        tar.add(files[0], "x/1.1.bz2")
        packed_tar.add(files[1], "x/1.1.bz2")
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.write(files[2], "x/1.1.bz2")
    both = b"".join(bz2.decompress(path.read_bytes()) for path in files[3:5])
    (tmp_path / "41000000").write_bytes(both)
    names = ["a.tar", "b.tar.gz", "c.zip", "41000000"]
    folder = packed([tmp_path / name for name in names], tmp_path)
    assert len(find_recordings(folder)) == 4
    assert unpack(folder, tmp_path / "back") == []
    back = sorted(bz2.decompress(path.read_bytes()) for path in (tmp_path / "back").rglob("*.bz2"))
    assert back == sorted([*(bz2.decompress(path.read_bytes()) for path in files[:3]), both])
    markets = run(folder, {}).markets.num_rows
    assert markets == run([tmp_path / name for name in names], {}).markets.num_rows


def test_recordings_whose_names_differ_in_their_compression_are_both_unpacked(tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    busy().close(START + 30_000).write(tmp_path / "archive" / "1.1")
    (tmp_path / "archive" / "1.1.bz2").write_bytes(bz2.compress(Stream(market_id="1.2").close().text().encode()))
    (tmp_path / "archive" / "1.1.gz").write_bytes(gzip.compress(Stream(market_id="1.3").close().text().encode()))
    folder = packed(tmp_path / "archive", tmp_path)
    assert unpack(folder, tmp_path / "back", compression="none") == []
    assert len([each for each in (tmp_path / "back").rglob("*") if each.is_file()]) == 3


def test_event_file_beside_the_folder_of_its_event_is_unpacked(tmp_path: Path) -> None:
    (tmp_path / "archive" / "41000000").mkdir(parents=True)
    Stream(market_id="1.2").close().write(tmp_path / "archive" / "41000000.bz2")
    Stream(market_id="1.3").close().write(tmp_path / "archive" / "41000000" / "1.3.bz2")
    for compression in ("none", "bz2"):
        back = tmp_path / compression
        assert unpack(packed(tmp_path / "archive", tmp_path / f"of-{compression}"), back, compression=compression) == []
        assert len([each for each in back.rglob("*") if each.is_file()]) == 2


def test_file_named_twice_is_packed_once(generated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(generated.parent)
    folder = packed([generated.name, str(generated), f"./{generated.name}"], tmp_path)
    index = sum(len(pq.read_table(file).filter(pc.field("segment") == 0)) for file in folder.rglob("*.parquet"))
    assert index == len(find_recordings(generated))


# -- what is wrong -----------------------------------------------------------------------------------------------------


def test_broken_recordings_are_failures_and_the_rest_is_packed(generated: Path, tmp_path: Path) -> None:
    shutil.copytree(generated, tmp_path / "archive")
    whole = sorted((tmp_path / "archive").rglob("*.bz2"))
    content = bz2.decompress(whole[0].read_bytes())
    whole[0].write_bytes(bz2.compress(content)[:-20])
    (tmp_path / "archive" / "1.999").write_bytes(b"this is no market\n")
    failures = by_name("failures", write_pack(tmp_path / "archive", tmp_path / "packed", engine="local"))
    assert len(failures) == 2
    assert any("1.999: holds no market definition; it is left out" in row["message"] for row in failures)
    assert len(find_recordings(tmp_path / "packed")) >= len(whole) - 1


def test_recording_cut_short_stays_cut_short(tmp_path: Path) -> None:
    stream = busy().close(START + 30_000)
    noise = random.Random(1)
    for line in stream.lines:
        line["clk"] = f"{noise.random()}"
    path = tmp_path / "1.1.bz2"
    path.write_bytes(bz2.compress(stream.text().encode(), 1)[:-30_000])
    (failure,) = by_name("failures", write_pack(path, tmp_path / "packed", engine="local"))
    assert "what can be read of it is packed" in failure["message"]
    plain, from_pack = run(path, {}), run(tmp_path / "packed", {})
    assert from_pack.digest == plain.digest
    assert plain.markets.num_rows == 1
    (said,) = from_pack.failures["message"].to_pylist()
    assert said.partition(": ")[2] == plain.failures["message"].to_pylist()[0].partition(": ")[2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pack", "markets", "full"], "full: exists and is not empty"),
        (["pack", "nothing", "new"], "nothing: no such file or folder"),
        (["unpack", "markets", "new"], "is not a packed archive; expected a folder that `headrace pack` wrote"),
        (["unpack", "new", "other"], "new: no such file or folder"),
        (["pack", "hollow", "new"], "hollow: the folder holds no files; expected recordings"),
        (["pack", "markets", "s3://bucket/new"], "s3://bucket/new: expected a folder of this machine"),
        (["pack", "markets", "left"], "left: holds what `headrace pack` left behind when it was stopped"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_request_is_one_sentence_and_exit_2(
    generated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(generated, tmp_path / "markets")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    (tmp_path / "left" / ".unfinished").mkdir(parents=True)
    (tmp_path / "hollow").mkdir()
    ended = CliRunner().invoke(main, words)
    assert ended.exit_code == 2
    assert said in ended.output
    assert len(ended.output.strip().splitlines()) == 1
    assert not (tmp_path / "new").exists()


def test_packing_that_is_stopped_leaves_nothing(
    generated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "_BATCH", (1, 1))

    def stop(done: int, total: int, part: Any) -> None:
        assert (tmp_path / "packed" / ".unfinished").is_dir()
        if done > 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_pack(generated, tmp_path / "packed", engine="local", progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_packed_to_its_end_is_no_archive(
    generated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "_BATCH", (1, 1))
    monkeypatch.setattr(packed_writer.UnfinishedFolder, "abandon", lambda self: None)  # as if killed

    def stop(done: int, total: int, part: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_pack(generated, tmp_path / "packed", engine="local", progress=stop)
    assert list((tmp_path / "packed").rglob("*.parquet"))
    with pytest.raises(hr.InputError, match="holds no files"):
        find_recordings(tmp_path / "packed")


@pytest.mark.parametrize("kept", [0.5, 0.99])
def test_file_of_an_archive_that_is_cut_short_is_a_failure(generated: Path, tmp_path: Path, kept: float) -> None:
    folder = packed(generated, tmp_path)
    file = min(folder.rglob("*.parquet"))
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * kept)])
    failed = run(folder, {}).failures["unit"].to_pylist()
    assert any(str(file) in name for name in failed)
    assert any(str(file) in said for said in unpack(folder, tmp_path / "back"))


@pytest.mark.parametrize("column", ["lines", "image", "definitions", "overview"])
def test_damage_within_a_file_is_told_or_does_no_harm(
    generated: Path, tmp_path: Path, small: None, column: str
) -> None:
    folder, window = packed(generated, tmp_path), {"seconds_to_start": 60}
    digest = run(folder, window).digest
    file = min(folder.rglob("*.parquet"))
    group = pq.ParquetFile(file).metadata.row_group(1)
    found = next(each for each in map(group.column, range(group.num_columns)) if each.path_in_schema == column)
    content = bytearray(file.read_bytes())
    middle = found.data_page_offset + found.total_compressed_size // 2
    content[middle] ^= 1  # a single bit
    file.write_bytes(content)
    if column == "lines":
        assert run(folder, window).failures.num_rows > 0
        assert unpack(folder, tmp_path / "back") != []
    else:  # nothing is left out then
        assert run(folder, window).digest == digest


def test_commands_pack_and_unpack(generated: Path, tmp_path: Path) -> None:
    for words in (["pack", str(generated), f"{tmp_path}/p"], ["unpack", f"{tmp_path}/p", f"{tmp_path}/u"]):
        ended = CliRunner().invoke(main, [*words, "--quiet"], catch_exceptions=False)
        assert ended.exit_code == 0, ended.output
    assert run(tmp_path / "u", {}).digest == run(generated, {}).digest


def test_parquet_of_another_kind_is_a_failure(generated: Path, tmp_path: Path) -> None:
    hr.write_catalog(generated, tmp_path / "other.parquet", engine="local")
    (message,) = run(tmp_path / "other.parquet", {}).failures["message"].to_pylist()
    assert "no recordings that `headrace pack` wrote" in message


@pytest.mark.ray
def test_packed_on_ray_gives_the_same(ray_local: None, generated: Path, tmp_path: Path) -> None:
    assert write_pack(generated, tmp_path / "packed", engine="ray") == []
    strategy = Tells(market_filter={"listener_kwargs": {"seconds_to_start": 60}})
    from_pack = hr.backtest(strategy, tmp_path / "packed", engine="ray")
    assert from_pack.digest == run(generated, {"seconds_to_start": 60}).digest


def test_source_of_a_packed_market_tells_its_event(generated: Path, tmp_path: Path) -> None:
    sources: list[Source] = find_recordings(packed(generated, tmp_path))
    assert all(source.event for source in sources)


def test_a_run_stops_at_the_change_packed_or_not(tmp_path: Path, small: None) -> None:
    class Stopping(hr.Strategy):
        """Asks for the end at its twentieth look."""

        def check_market_book(self, market: Any, book: Any) -> bool:
            self.looks = getattr(self, "looks", 0) + 1
            self.record(market, at=book.publish_time_epoch)
            if self.looks == 20:
                market.framework.stop()
            return False

    path = busy().close(START + 30_000).write(tmp_path / "1.1")
    plain = hr.backtest(Stopping(), path, engine="local")
    from_pack = hr.backtest(Stopping(), packed(path, tmp_path), engine="local")
    assert plain.records.num_rows == 20
    assert from_pack.digest == plain.digest
