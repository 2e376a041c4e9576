"""Recordings: how they are found, in folders, archives and object stores, and how they are read."""

from __future__ import annotations

import bz2
import gzip
import io
import itertools
import logging
import os
import pickle
import random
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import fs

import headrace as hr
from builders import priced
from common_strategies import Onlooker
from headrace.cli import main
from headrace.simulate.reading import locations
from headrace.simulate.reading.books import books
from headrace.simulate.reading.locations import Source, matcher
from headrace.simulate.reading.recordings import Recording, event_of_path, find_recordings
from headrace.simulate.units import parts_of_unit, plan_units


class ByEvent(Onlooker):
    scope = "event"


class OverTheRun(Onlooker):
    scope = "run"


def text(market_id: str = "1.100000001", changes: int = 0) -> bytes:
    stream = priced(market_id=market_id)
    for number in range(changes):
        stream.prices(500 + number, {2: {"atl": [[1.9, number + 1.25]]}})
    return stream.close(1_000_000).text().encode()


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as packing:
        packing.write(data)
    return bytes(sink.getvalue())


PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "zst": zstd,
}
packings = pytest.mark.parametrize("pack", PACKINGS.values(), ids=PACKINGS)


def write_tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def write_zip(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def write_packed_tar(path: Path, members: dict[str, bytes]) -> Path:
    """A tar packed as its name's ending says."""
    plain = write_tar(path.with_name("plain"), members)
    path.write_bytes(PACKINGS[path.suffix[1:]](plain.read_bytes()))
    plain.unlink()
    return path


def read(source: Source | str) -> bytes:
    return b"".join(lines for _, lines in Recording(source).pieces())


def names(sources: list[Source], root: Path) -> list[str]:
    return [str(source).removeprefix(f"{root}/") for source in sources]


def run(markets: Any, strategy: hr.Strategy | None = None) -> Any:
    return hr.backtest(strategy or Onlooker(), markets, engine="local")


def markets_of(result: Any) -> list[str]:
    return sorted(row["market_id"] for row in result.markets.to_pylist())


def failures(result: Any) -> list[tuple[str, str]]:
    return [(row["unit"], row["message"]) for row in result.failures.to_pylist()]


THREE = {f"2026/Jan/9000{number}/1.30000000{number}": text(f"1.30000000{number}", 50) for number in (2, 1, 3)}
IDS = ["1.300000001", "1.300000002", "1.300000003"]


# -- files -----------------------------------------------------------------------------------------------------------


@packings
def test_file_is_unpacked_by_its_first_bytes_whatever_its_name(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "1.100000001"
    path.write_bytes(pack(text(changes=2000)))
    assert read(str(path)) == text(changes=2000)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, zstd], ids=["gz", "bz2", "zst"])
def test_packed_file_of_several_streams_is_read_to_its_end(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "1.100000001"
    path.write_bytes(pack(b"one\n") + pack(b"two\n"))
    assert read(str(path)) == b"one\ntwo\n"


def test_zst_cut_short_is_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "1.100000001.zst"
    path.write_bytes(zstd(text(changes=20_000))[:-500])
    result = run(path)
    ((unit, message),) = failures(result)
    assert unit == str(path)
    assert "is damaged or cut short" in message


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (b"\xfd7zXZ\x00", "packed as xz"),
        (b"7z\xbc\xaf\x27", "is a 7z archive"),
        (b"Rar!\x1a", "is a rar archive"),
        (b"PK\x03\x04", "its name must end in .zip"),
        (b"a" * 257 + b"ustar", "its name must end in .tar"),
        (b"", "is empty"),
    ],
    ids=["xz", "7z", "rar", "zip", "tar", "empty"],
)
def test_what_is_not_read_is_named(start: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "1.100000001"
    path.write_bytes(start)
    ((unit, message),) = failures(run(path))
    assert unit == str(path)
    assert said in message


def test_endless_line_is_a_failure_and_is_not_kept_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.simulate.reading.recordings._LONGEST_LINE", 100_000)
    path = tmp_path / "film"
    path.write_bytes(b"x" * 1_000_000)
    ((_, message),) = failures(run(path))
    assert "has a line of more than" in message


def test_file_that_vanished_since_the_plan_is_a_failure_that_names_the_machine(tmp_path: Path) -> None:
    with pytest.raises(hr.RecordingError, match=r"no such file on this machine \(.+\); every worker must find it"):
        list(Recording(str(tmp_path / "gone")).messages())


def test_importing_headrace_loads_no_archive_or_store_code() -> None:
    code = "import sys, headrace; print([name for name in ('pyarrow.fs', 'tarfile') if name in sys.modules])"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=150)
    assert made.stdout.strip() == "[]"


# -- folders ---------------------------------------------------------------------------------------------------------


def test_folder_gives_its_files_in_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b/1.2", "a/1.3", "1.1", "a/1.1.bz2"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert names(find_recordings(tmp_path), tmp_path) == ["1.1", "a/1.1.bz2", "a/1.3", "b/1.2"]


OTHERS = (
    ".DS_Store", ".git/config", "a/.hidden/deep/1.1", "__MACOSX/1.1", "a/__MACOSX/b/._1.1", "a/._1.1", "README.md",
    "readme", "notes.md", "LICENSE", "1.1.json", "a/catalogue.json.gz", "notes.txt",
)  # fmt: skip
RECORDINGS = ("1.1", "BASIC-1.1.gz", "market", "recording.ndjson", "stream.log", "1.123456789.txt", "a/data.2024.bz2")


def test_folder_leaves_out_only_what_its_name_says_to_be_no_recording(tmp_path: Path) -> None:
    for name in (*OTHERS, *RECORDINGS):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert set(names(find_recordings(tmp_path), tmp_path)) == set(RECORDINGS)


def test_archive_leaves_out_the_same(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", dict.fromkeys((*OTHERS, *RECORDINGS), b"x"))
    assert {source.member for source in find_recordings(path)} == set(RECORDINGS)


def test_file_left_out_of_a_folder_is_read_where_it_is_named(tmp_path: Path) -> None:
    path = tmp_path / "1.100000001.json"
    path.write_bytes(text())
    with pytest.raises(hr.InputError, match=r"holds no files but 1\.100000001\.json and the like, which a pattern"):
        find_recordings(tmp_path)
    assert markets_of(run(path)) == ["1.100000001"]
    assert markets_of(run(tmp_path / "*.json")) == ["1.100000001"]


def test_doubtful_file_left_out_of_a_folder_is_logged_and_a_catalogue_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("1.1.bz2", "1.1.json", "README.md"):
        (tmp_path / name).write_bytes(b"x")
    find_recordings(tmp_path)
    assert caplog.text == ""
    (tmp_path / "stream.json").write_bytes(b"x")
    find_recordings(tmp_path)
    assert "stream.json" in caplog.text


def test_present_folder_is_a_folder_as_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "1.1").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    assert [str(source) for source in find_recordings(".")] == ["./1.1"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root lists every folder")
def test_folder_that_cannot_be_listed_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "1.1").write_bytes(b"x")
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(hr.InputError, match="cannot be listed"):
        find_recordings(tmp_path)


def test_source_named_twice_counts_once(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", THREE)
    assert len(find_recordings([path, f"{path}!2026/Jan/90001/1.300000001", tmp_path])) == 3


# -- archives --------------------------------------------------------------------------------------------------------

ARCHIVES: dict[str, Callable[[Path, dict[str, bytes]], Path]] = {
    "a.tar": write_tar,
    "a.zip": write_zip,
    "stored.zip": lambda path, members: write_zip(path, members, zipfile.ZIP_STORED),
    "a.tar.gz": write_packed_tar,
    "a.tar.bz2": write_packed_tar,
    "a.tar.zst": write_packed_tar,
}
archives = pytest.mark.parametrize("kind", ARCHIVES)
indexed = pytest.mark.parametrize("kind", ["a.tar", "a.zip", "stored.zip"])


@archives
@packings
def test_archive_gives_what_its_unpacked_files_give(kind: str, pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    for name, data in THREE.items():
        (tmp_path / "files" / name).parent.mkdir(parents=True)
        (tmp_path / "files" / name).write_bytes(pack(data))
    path = ARCHIVES[kind](tmp_path / kind, {name: pack(data) for name, data in THREE.items()})
    result = run(path)
    assert failures(result) == []
    assert result.digest == run(tmp_path / "files").digest
    assert markets_of(result) == IDS


@indexed
def test_member_is_a_unit_with_its_place_in_order_of_names(kind: str, tmp_path: Path) -> None:
    path = ARCHIVES[kind](tmp_path / kind, THREE)
    units = plan_units(find_recordings(path), [Onlooker()])
    assert [unit.name for unit in units] == [f"{path}!2026/Jan/9000{n}/1.30000000{n}" for n in (1, 2, 3)]
    for unit in pickle.loads(pickle.dumps(units)):
        (source,) = unit.paths
        assert source.offset is not None
        assert unit.size == source.size > 0
        assert read(source) == THREE[source.member]


def test_member_of_a_tar_is_read_without_the_index(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"1.1": b"one\n", "1.2": b"two\n", "1.3": b"three\n"})
    second = find_recordings(path)[1]
    data = bytearray(path.read_bytes())
    data[: second.offset] = b"\xff" * (second.offset or 0)
    path.write_bytes(data)
    assert read(second) == b"two\n"


def test_tar_with_long_names_and_dot_folder(tmp_path: Path) -> None:
    name = "x" * 150 + "/" + "y" * 120
    path = write_tar(tmp_path / "a.tar", {f"./{name}": b"one\n", "./1.2": b"two\n"})
    found = find_recordings(path)
    assert [source.member for source in found] == ["1.2", name]
    assert [read(source) for source in found] == [b"two\n", b"one\n"]


def test_later_member_of_one_name_counts(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"1.1": b"old\n"})
    with tarfile.open(path, "a") as archive:
        info = tarfile.TarInfo("1.1")
        info.size = 4
        archive.addfile(info, io.BytesIO(b"new\n"))
    assert [read(source) for source in find_recordings(path)] == [b"new\n"]


@archives
def test_one_member_can_be_named(kind: str, tmp_path: Path) -> None:
    path = ARCHIVES[kind](tmp_path / kind, THREE)
    assert markets_of(run(f"{path}!2026/Jan/90002/1.300000002")) == ["1.300000002"]


@indexed
def test_members_can_be_chosen_by_a_pattern(kind: str, tmp_path: Path) -> None:
    path = ARCHIVES[kind](tmp_path / kind, THREE)
    assert markets_of(run(f"{path}!**/*[13]")) == ["1.300000001", "1.300000003"]
    with pytest.raises(hr.InputError, match="has no such member"):
        find_recordings(f"{path}!2026/*")


def test_missing_member_of_a_compressed_tar_is_a_failure(tmp_path: Path) -> None:
    path = write_packed_tar(tmp_path / "a.tar.gz", THREE)
    ((unit, message),) = failures(run(f"{path}!1.4"))
    assert unit == f"{path}!1.4"
    assert "has no such member" in message


def test_compressed_tar_is_one_unit_and_says_what_to_do(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_packed_tar(tmp_path / "a.tar.bz2", THREE)
    with caplog.at_level(logging.WARNING, "headrace"):
        (unit,) = plan_units(find_recordings(path), [Onlooker()])
    assert "decompress it" in caplog.text
    assert unit.size == path.stat().st_size
    assert [part.name.rpartition("/")[2] for part in parts_of_unit(unit)] == ["1.300000002", *IDS[::2]]


@pytest.mark.parametrize("strategy", [ByEvent, OverTheRun])
def test_compressed_tar_is_refused_where_markets_are_read_together(strategy: Any, tmp_path: Path) -> None:
    path = write_packed_tar(tmp_path / "a.tar.gz", THREE)
    with pytest.raises(hr.InputError, match="decompress it"):
        run(path, strategy())


@indexed
def test_members_of_an_event_share_a_unit(kind: str, tmp_path: Path) -> None:
    members = {f"99999/1.30000000{n}": text(f"1.30000000{n}") for n in (1, 2)} | {"1.1": text("1.1")}
    path = ARCHIVES[kind](tmp_path / kind, members)
    units = plan_units(find_recordings(path), [ByEvent()])
    assert sorted(len(unit.paths) for unit in units) == [1, 2]
    assert markets_of(run(path, ByEvent())) == ["1.1", "1.300000001", "1.300000002"]
    assert markets_of(run(path, OverTheRun())) == ["1.1", "1.300000001", "1.300000002"]


def test_tar_named_as_compressed_but_plain_is_indexed_and_the_reverse(tmp_path: Path) -> None:
    write_packed_tar(tmp_path / "a.tar.gz", THREE).rename(tmp_path / "b.tar")
    write_tar(tmp_path / "a.tar", THREE).rename(tmp_path / "b.tar.gz")
    assert [source.packed for source in find_recordings(tmp_path)] == [True, False, False, False]


def test_zip_by_name_that_is_something_else_is_read_as_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "1.100000001.zip"
    path.write_bytes(bz2.compress(text()))
    assert markets_of(run(path)) == ["1.100000001"]


@archives
def test_corrupt_member_costs_only_itself(kind: str, tmp_path: Path) -> None:
    members = {name: bz2.compress(data) for name, data in THREE.items()}
    bad = bytearray(members["2026/Jan/90001/1.300000001"])
    bad[60:] = random.Random(1).randbytes(len(bad) - 60)
    members["2026/Jan/90001/1.300000001"] = bytes(bad)
    result = run(ARCHIVES[kind](tmp_path / kind, members))
    ((unit, message),) = failures(result)
    assert unit.endswith("!2026/Jan/90001/1.300000001")
    assert "damaged or cut short" in message
    assert markets_of(result) == ["1.300000002", "1.300000003"]


def test_changed_bytes_of_a_zip_member_are_found_by_its_checksum(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"1.300000001": THREE["2026/Jan/90001/1.300000001"]}, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"1.25", b"1.35"))
    ((_, message),) = failures(run(path))
    assert "CRC" in message


def test_tar_cut_within_a_member_costs_that_member_and_says_that_the_rest_is_lost(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", THREE)
    last = max(find_recordings(path), key=lambda source: source.offset or 0)
    os.truncate(path, (last.offset or 0) + 100)
    result = run(path)
    told = dict(failures(result))
    assert set(told) == {str(path), str(last)}
    assert "the archive ends" in told[str(last)]
    assert told[str(path)].endswith("what follows is lost")
    assert markets_of(result) == ["1.300000001", "1.300000002"]


@pytest.mark.parametrize("extra", [0, 100], ids=["after-a-member", "within-a-header"])
def test_tar_cut_between_members_is_not_taken_for_whole(extra: int, tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", THREE)
    last = max(find_recordings(path), key=lambda source: source.offset or 0)
    os.truncate(path, (last.offset or 0) - 512 + extra)
    result = run(path)
    ((unit, message),) = failures(result)
    assert unit == str(path)
    assert "the archive is damaged or cut short: " in message
    assert f"byte {(last.offset or 0) - 512} " in message
    assert markets_of(result) == ["1.300000001", "1.300000002"]


def test_tar_with_a_damaged_header_is_not_taken_for_whole(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", THREE)
    second = sorted(find_recordings(path), key=lambda source: source.offset or 0)[1]
    data = bytearray(path.read_bytes())
    data[(second.offset or 0) - 512 : second.offset] = b"\xff" * 512
    path.write_bytes(data)
    result = run(path)
    ((unit, message),) = failures(result)
    assert unit == str(path)
    assert f"bytes {(second.offset or 0) - 512} to " in message
    assert markets_of(result) == ["1.300000002", "1.300000003"]


@pytest.mark.parametrize("kind", ["a.tar.gz", "a.tar.bz2", "a.tar.zst"])
def test_compressed_tar_cut_short_keeps_whole_members_and_says_that_the_rest_is_lost(kind: str, tmp_path: Path) -> None:
    members = {f"1.30000000{n}": random.Random(n).randbytes(2_000_000) for n in (2, 3)}
    path = write_packed_tar(tmp_path / kind, {"1.300000001": text("1.300000001"), **members})
    os.truncate(path, path.stat().st_size // 2)
    result = run(path)
    assert markets_of(result) == ["1.300000001"]
    message = dict(failures(result))[str(path)]
    assert "cut short" in message or "ended before" in message or "Truncated" in message
    assert message.endswith("is lost")


@pytest.mark.parametrize("kind", ["a.tar", "a.zip", "a.tar.gz"])
def test_empty_archive_is_a_failure(kind: str, tmp_path: Path) -> None:
    ((unit, message),) = failures(run(ARCHIVES[kind](tmp_path / kind, {})))
    assert unit == str(tmp_path / kind)
    assert "holds no recordings" in message


@pytest.mark.parametrize("name", ["a.tar", "a.zip", "a.tar.gz"])
def test_file_without_a_byte_named_as_an_archive_is_a_failure(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"")
    ((unit, message),) = failures(run(tmp_path))
    assert unit == str(tmp_path / name)
    assert "is empty" in message


def test_zip_cut_short_is_a_failure(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", THREE)
    os.truncate(path, path.stat().st_size - 100)
    ((unit, message),) = failures(run(path))
    assert unit == str(path)
    assert "the archive is damaged or cut short" in message


def test_archive_within_an_archive_is_a_failure(tmp_path: Path) -> None:
    inner = write_zip(tmp_path / "1.1.zip", THREE).read_bytes()
    path = write_tar(tmp_path / "a.tar", {"1.1.zip": inner, "1.2": text("1.2")})
    result = run(path)
    assert failures(result) == [
        (f"{path}!1.1.zip", f"{path}!1.1.zip: is an archive within an archive; unpack the outer one")
    ]
    assert markets_of(result) == ["1.2"]


def test_encrypted_member_is_a_failure(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"1.1": text("1.1"), "1.2": text("1.2")})
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 8] |= 1
    path.write_bytes(data)
    result = run(path)
    assert failures(result) == [(f"{path}!1.1", f"{path}!1.1: is encrypted; unpack it first")]
    assert markets_of(result) == ["1.2"]


def test_command_that_repeats_a_failure_names_the_member(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"1.1": b"no JSON\n", "1.2": text("1.2")})
    code = tmp_path / "idle.py"
    code.write_text("import headrace as hr\n\nclass Idle(hr.Strategy):\n    pass\n")
    call = ["backtest", f"{code}:Idle", "--engine", "local", "-m", str(path), "--out", str(tmp_path / "out")]
    assert CliRunner().invoke(main, call).exit_code == 1
    (row,) = hr.Result.load(tmp_path / "out").failures.to_pylist()
    assert f"{path}!1.1" in row["command"]


@pytest.mark.parametrize(
    ("pattern", "fits", "fits_not"),
    [
        ("*.bz2", ["1.1.bz2"], ["a/1.1.bz2", "1.1"]),
        ("**/*.bz2", ["1.1.bz2", "a/1.1.bz2", "a/b/1.1.bz2"], ["1.1"]),
        ("a/**", ["a/1", "a/b/1"], ["b/1"]),
        ("1.?", ["1.1"], ["1.11", "1x1", "1./"]),
        ("1.[!2-3]", ["1.1"], ["1.2"]),
    ],
)
def test_pattern_of_members(pattern: str, fits: list[str], fits_not: list[str]) -> None:
    matches = matcher(pattern)
    assert [name for name in fits + fits_not if matches(name)] == fits


@given(st.text(alphabet="ab1.(+)\\/ $^", max_size=8))
def test_pattern_without_wildcards_fits_itself_alone(name: str) -> None:
    assert matcher(name)(name)
    assert not matcher(name)(name + "x")


def test_event_is_the_folder_of_a_member() -> None:
    assert event_of_path(Source("a.tar", "2026/Jan/31/12345678/1.1.bz2")) == "12345678"
    assert event_of_path("2026/Jan/31/1.1.bz2") is None


# -- object stores ---------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder behind s3://bucket; as in S3, the bucket is the first part of every path."""
    (tmp_path / "bucket").mkdir()
    files = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    monkeypatch.setattr(locations, "filesystem", lambda root, query: (files, root.removeprefix("s3://")))
    return tmp_path / "bucket"


def put(store: Path, objects: dict[str, bytes]) -> None:
    for name, data in objects.items():
        (store / name).parent.mkdir(parents=True, exist_ok=True)
        (store / name).write_bytes(data)


@packings
def test_object_is_read(pack: Callable[[bytes], bytes], store: Path) -> None:
    put(store, {"2026/a name é.bz2": pack(text(changes=2000))})
    (source,) = find_recordings("s3://bucket/2026/a name é.bz2")
    assert source.size > 0
    assert str(source) == "s3://bucket/2026/a name é.bz2"
    assert read(pickle.loads(pickle.dumps(source))) == text(changes=2000)


@pytest.mark.parametrize("uri", ["s3://bucket", "s3://bucket/", "s3://bucket/2026", "s3://bucket/2026/"])
def test_folder_of_a_store_is_walked(uri: str, store: Path) -> None:
    put(store, {**THREE, "2026/README.md": b"x", "2026/.hidden": b"x"})
    assert [str(source) for source in find_recordings(uri)] == [f"s3://bucket/{name}" for name in sorted(THREE)]


def test_pattern_of_objects(store: Path) -> None:
    put(store, {**THREE, "2027/1.1": b"x"})
    found = find_recordings("s3://bucket/2026/**/1.30000000[12]")
    assert [str(source).rpartition("/")[2] for source in found] == IDS[:2]
    assert len(find_recordings("s3://bucket/*/Jan/9000?/1.*")) == 3
    with pytest.raises(hr.InputError, match="matches no object"):
        find_recordings("s3://bucket/*.bz2")


def test_query_of_a_uri_stays_with_its_objects(store: Path) -> None:
    put(store, THREE)
    found = find_recordings("s3://bucket/2026?region=eu-west-1")
    assert [str(source).rpartition("/")[2] for source in found] == [f"{each}?region=eu-west-1" for each in IDS]
    assert markets_of(run("s3://bucket/2026?region=eu-west-1")) == IDS


@archives
def test_archive_in_a_store_is_read(kind: str, store: Path, tmp_path: Path) -> None:
    ARCHIVES[kind](store / kind, THREE)
    result = run(f"s3://bucket/{kind}")
    assert failures(result) == []
    assert markets_of(result) == IDS
    assert markets_of(run(f"s3://bucket/{kind}?region=x!2026/Jan/90002/1.300000002")) == ["1.300000002"]


def test_missing_object_is_an_input_error(store: Path) -> None:
    with pytest.raises(hr.InputError, match=r"^s3://bucket/2025: no such object or folder"):
        find_recordings("s3://bucket/2025")


def test_object_that_vanished_is_a_failure(store: Path) -> None:
    with pytest.raises(hr.RecordingError, match=r"^s3://bucket/2025: cannot be read: "):
        read("s3://bucket/2025")


def test_uri_of_a_local_file_is_that_file(tmp_path: Path) -> None:
    path = tmp_path / "a b"
    path.write_bytes(text())
    assert [str(source) for source in find_recordings(path.as_uri())] == [str(path)]
    assert [str(source) for source in find_recordings(f"{tmp_path.as_uri()}/*")] == [str(path)]
    assert read(path.as_uri()) == text()
    with pytest.raises(hr.InputError, match="expected file:///"):
        find_recordings("file://server/share/1.1")


class Unreachable:
    """A store that answers every request with one error."""

    def __init__(self, message: str) -> None:
        self._message = message

    def __getattr__(self, name: str) -> Any:
        def fail(*arguments: Any, **keywords: Any) -> Any:
            raise OSError(self._message)

        return fail


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            "When resolving region for bucket 'b': AWS Error NETWORK_CONNECTION during HeadBucket operation",
            "no network",
        ),
        (
            "When getting information for key 'x' in bucket 'b': AWS Error ACCESS_DENIED during HeadObject",
            "credentials",
        ),
        ("Bucket 'b' not found", "no such bucket"),
        ("When listing objects: AWS Error NO_SUCH_BUCKET during ListObjectsV2 operation", "no such bucket"),
        ("google::cloud::Status(UNAUTHENTICATED: Permission denied", "credentials"),
        ("UNAVAILABLE: Could not create a OAuth2 access token to authenticate", "GOOGLE_APPLICATION_CREDENTIALS"),
        ("something\nnew", "something new"),
    ],
)
@pytest.mark.parametrize("uri", ["s3://b/x", "s3://b/*"])
def test_error_of_a_store_is_one_sentence(uri: str, answer: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locations, "filesystem", lambda root, query: (Unreachable(answer), "b"))
    with pytest.raises(hr.InputError) as caught:
        find_recordings(uri)
    assert str(caught.value).startswith(f"{uri}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(hr.RecordingError, match="cannot be read: "):
        read(uri)


@pytest.mark.parametrize("uri", ["http://a/b.bz2", "ftp://a/b"])
def test_uri_of_another_kind_is_refused(uri: str) -> None:
    with pytest.raises(hr.InputError, match="expected s3://, gs:// or file://"):
        find_recordings(uri)


def test_credentials_in_a_uri_are_refused_and_not_repeated() -> None:
    with pytest.raises(hr.InputError, match="credentials in a URI") as caught:
        find_recordings("s3://key:secret@bucket/x")
    assert "secret@" not in str(caught.value)


# -- books -----------------------------------------------------------------------------------------------------------


def test_books_gives_the_living_book_after_each_change(tmp_path: Path) -> None:
    path = tmp_path / "1.100000001"
    path.write_bytes(text(changes=3))
    seen: list[tuple[int, Any]] = []
    first = None
    for book in books(path):
        first = first or book
        assert book is first
        seen.append((book.publish_time_epoch, book.status))
    assert len(seen) == len(text(changes=3).splitlines())
    assert seen == sorted(seen, key=lambda each: each[0])
    assert seen[-1][1] == "CLOSED"


@archives
def test_books_reads_all_that_markets_takes_market_by_market(kind: str, tmp_path: Path) -> None:
    path = ARCHIVES[kind](tmp_path / kind, THREE)
    ids = [book.market_id for book in books([path])]
    assert sum(one != other for one, other in itertools.pairwise(ids)) == 2
    assert len(ids) == 3 * len(text(changes=50).splitlines())
    assert sorted(set(ids)) == IDS


def test_books_keeps_a_copy_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "1.100000001"
    path.write_bytes(text(changes=3))
    copies = [book.copy() for book in books(path)]
    assert (copies[0].status, copies[-1].status) == ("OPEN", "CLOSED")
    assert len({copy.publish_time_epoch for copy in copies}) == len(copies)


def test_books_fails_at_once_where_there_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(hr.InputError, match="no such file"):
        books(tmp_path / "nowhere")


BROKEN: dict[str, tuple[bytes, str]] = {
    "no JSON": (text() + b"x\n", r", line \d+: is not JSON"),
    "empty": (b"", "is empty"),
    "heartbeats": (b'{"op":"mcm","pt":1}\n', "holds no market changes"),
    "no definition": (b"".join(text().splitlines(True)[1:2]), ", line 1, market 1.100000001: no market definition"),
    "cut": (bz2.compress(text())[:-20], "damaged or cut short"),
    "no time": (text().replace(b'"pt": ', b'"at": '), "has no publish time"),
}


@pytest.mark.parametrize(("data", "said"), BROKEN.values(), ids=BROKEN)
def test_books_raises_where_a_recording_is_broken(data: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "1.100000001"
    path.write_bytes(data)
    with pytest.raises(hr.RecordingError, match=said):
        for _ in books(path):
            pass


def test_books_closes_what_it_opened(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", THREE)
    reading: Iterator[Any] = books(path)
    next(reading)
    reading.close()  # type: ignore[attr-defined]
    path.unlink()
