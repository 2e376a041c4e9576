"""Packed files and archives that go on behind their end, or end before it: all that can be read is read."""

from __future__ import annotations

import bz2
import gzip
import io
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import headrace as hr
from builders import priced
from common_strategies import Idle
from headrace.simulate.reading.recordings import Recording, find_recordings
from headrace.simulate.reading.unpacking import Unpacked, problem_of, unpacked
from headrace.strategies.errors import RecordingError

Pack = Callable[[bytes], bytes]


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as packing:
        packing.write(data)
    return bytes(sink.getvalue().to_pybytes())


PACKINGS: dict[str, Pack] = {"gz": gzip.compress, "bz2": bz2.compress, "zst": zstd}
packings = pytest.mark.parametrize("pack", PACKINGS.values(), ids=PACKINGS)
resumed = pytest.mark.parametrize("pack", [gzip.compress, bz2.compress], ids=["gz", "bz2"])


def lines(changes: int = 400, market_id: str = "1.100000001") -> bytes:
    stream = priced(market_id=market_id)
    for number in range(changes):
        stream.prices(500 + number, {2: {"atl": [[1.9, number * 7919 % 1000 + 1.25]]}})
    return stream.close(1_000_000).text().encode()


def read(path: Path) -> tuple[bytes, str | None]:
    """What a recording holds, and what it says of the rest."""
    found = b""
    try:
        for _, piece in Recording(str(path)).pieces():
            found += piece
    except RecordingError as error:
        return found, error.message
    return found, None


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def run(path: Path, **keywords: Any) -> Any:
    return hr.backtest(Idle(), str(path), engine="local", progress=False, **keywords)


def changes_of(result: Any) -> dict[str, int]:
    return {row["market_id"]: row["changes"] for row in result.markets.to_pylist()}


def messages(result: Any) -> list[str]:
    return [row["message"] for row in result.failures.to_pylist()]


# -- packed files ----------------------------------------------------------------------------------------------------


@packings
def test_streams_one_behind_the_other_are_one_recording(tmp_path: Path, pack: Pack) -> None:
    text = lines()
    half = text.index(b"\n", len(text) // 2) - 40  # in the middle of a line
    path = write(tmp_path / "a", pack(text[:half]) + pack(b"") + pack(text[half:]))
    assert read(path) == (text, None)


@resumed
def test_zero_bytes_between_and_behind_streams_are_nothing(tmp_path: Path, pack: Pack) -> None:
    text = lines()
    path = write(tmp_path / "a", pack(text) + bytes(100_000) + pack(text) + bytes(512))
    assert read(path) == (text * 2, None)


@packings
def test_bytes_behind_the_end_cost_nothing_and_are_told(tmp_path: Path, pack: Pack) -> None:
    text = lines()
    found, told = read(write(tmp_path / "a", pack(text) + b"-- appended by something --"))
    assert found == text
    assert told is not None
    assert told.startswith("is damaged or cut short: ")
    if pack is not zstd:
        assert told.endswith("is not packed; lost: the last 27 bytes of the file")


@pytest.mark.parametrize("missing", [1, 4, 8])
def test_missing_trailer_of_a_gzip_costs_nothing_and_is_told(tmp_path: Path, missing: int) -> None:
    found, told = read(write(tmp_path / "a", gzip.compress(lines())[:-missing]))
    assert found == lines()
    assert told is not None
    assert "the checksum at its end is missing" in told


def test_wrong_checksum_of_a_gzip_costs_nothing_and_is_told(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(lines()))
    packed[-6] ^= 1
    found, told = read(write(tmp_path / "a", bytes(packed)))
    assert found == lines()
    assert told is not None
    assert "its checksum does not fit" in told


@packings
def test_cut_file_gives_every_whole_line_that_can_be_unpacked(tmp_path: Path, pack: Pack) -> None:
    text = lines(3000)
    packed = pack(text)
    cut = len(packed) * 2 // 3
    found, told = read(write(tmp_path / "a", packed[:cut]))
    assert text.startswith(found)
    assert found.endswith(b"\n") or not found
    if pack is gzip.compress:
        whole = zlib.decompressobj(31).decompress(packed[:cut])
        assert found == whole[: whole.rindex(b"\n") + 1]
    assert told is not None
    assert "the file ends within it" in told


@resumed
def test_stream_behind_a_cut_one_is_read_and_only_the_cut_line_is_lost(tmp_path: Path, pack: Pack) -> None:
    first, second = lines(3000), lines(20, "1.100000002")
    packed = pack(first)
    path = write(tmp_path / "a", packed[: len(packed) * 2 // 3] + pack(second))
    result = run(path)
    found = changes_of(result)
    assert found["1.100000002"] == second.count(b"\n")
    (told,) = [message for message in messages(result) if "damaged or cut short" in message]
    assert "read on from byte" in told


def test_damage_within_a_gzip_costs_what_lies_behind_it_alone(tmp_path: Path) -> None:
    text = lines(3000)
    packed = bytearray(gzip.compress(text))
    at = len(packed) // 2
    packed[at : at + 40] = b"\xff" * 40
    found, told = read(write(tmp_path / "a", bytes(packed)))
    before = zlib.decompressobj(31).decompress(packed[: at - 1])
    assert found.startswith(before[: before.rindex(b"\n") + 1])
    assert told is not None


@packings
@pytest.mark.parametrize("kept", [True, False], ids=["out", "memory"])
def test_result_of_a_damaged_file_is_the_same_in_a_folder(tmp_path: Path, pack: Pack, kept: bool) -> None:
    packed = bytearray(pack(lines(2000)))
    packed[len(packed) // 2] ^= 0x55
    path = write(tmp_path / "a", bytes(packed))
    result = run(path, **({"out": tmp_path / "out"} if kept else {}))
    assert changes_of(result) == changes_of(run(path))
    assert messages(result) == messages(run(path))


def test_last_line_without_an_end_is_read(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a", lines()[:-1])) == (lines()[:-1], None)


def test_plain_file_that_is_cut_loses_its_last_line_alone(tmp_path: Path) -> None:
    text = lines()
    result = run(write(tmp_path / "a", text[:-100]))
    assert changes_of(result) == {"1.100000001": text.count(b"\n") - 1}
    (told,) = messages(result)
    assert "is not JSON" in told


def test_text_in_utf16_is_refused_by_name(tmp_path: Path) -> None:
    found, told = read(write(tmp_path / "a", lines(1).decode().encode("utf-16")))
    assert (found, told) == (b"", "is text in UTF-16, which is not read; save it as UTF-8")


@given(st.sampled_from(["gz", "bz2"]), st.data())  # zstd has no checksum unless it is asked for one
def test_no_cut_and_no_changed_bytes_raise_or_make_up_lines(kind: str, data: st.DataObject) -> None:
    text = lines(60)
    packed = bytearray(PACKINGS[kind](text))
    if data.draw(st.booleans()):
        del packed[data.draw(st.integers(4, len(packed) - 1)) :]
        damaged = True
    else:
        at = data.draw(st.integers(4, len(packed) - 1))
        packed[at] ^= data.draw(st.integers(1, 255))
        damaged = False
    file = unpacked(io.BufferedReader(io.BytesIO(bytes(packed))))  # type: ignore[arg-type]
    found = file.read()
    while isinstance(file, Unpacked) and file.resume():
        found += file.read()
    if damaged:
        assert text.startswith(found)
        assert problem_of(file) is not None
    assert found == text or problem_of(file) is not None


# -- archives --------------------------------------------------------------------------------------------------------


def tar(*market_ids: str) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for market_id in market_ids:
            info = tarfile.TarInfo(market_id)
            data = lines(30, market_id)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


ENDINGS = {"a.tar": bytes, "a.tar.gz": gzip.compress, "a.tar.bz2": bz2.compress, "a.tar.zst": zstd}
endings = pytest.mark.parametrize("name", ENDINGS)


@endings
def test_tars_one_behind_the_other_are_read_to_the_last(tmp_path: Path, name: str) -> None:
    pack = ENDINGS[name]
    path = write(tmp_path / name, pack(tar("1.1", "1.2")) + pack(tar()) + pack(tar("1.3")))
    result = run(path)
    assert messages(result) == []
    assert sorted(changes_of(result)) == ["1.1", "1.2", "1.3"]


@endings
def test_bytes_behind_the_end_of_a_tar_cost_nothing_and_are_told(tmp_path: Path, name: str) -> None:
    whole = tar("1.1")
    result = run(write(tmp_path / name, ENDINGS[name](whole + b"junk" * 300)))
    assert sorted(changes_of(result)) == ["1.1"]
    (told,) = messages(result)
    assert str(len(whole)) in told
    assert "lost" in told


@endings
def test_tar_without_the_mark_of_its_end_is_read_and_told(tmp_path: Path, name: str) -> None:
    whole = tar("1.1", "1.2")
    result = run(write(tmp_path / name, ENDINGS[name](whole.rstrip(b"\0") + bytes(-len(whole.rstrip(b"\0")) % 512))))
    assert sorted(changes_of(result)) == ["1.1", "1.2"]
    (told,) = messages(result)
    assert "without the mark of the end" in told


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tar.bz2"])
def test_packed_tar_behind_a_cut_one_is_read(tmp_path: Path, name: str) -> None:
    pack = ENDINGS[name]
    cut = pack(tar("1.1", "1.2"))[:-600]
    result = run(write(tmp_path / name, cut + pack(tar("1.3"))))
    assert changes_of(result)["1.3"] == lines(30, "1.3").count(b"\n")
    assert any("read on from byte" in told for told in messages(result))


def zipped(*market_ids: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for market_id in market_ids:
            archive.writestr(market_id, lines(30, market_id))
        archive.comment = b"a comment"
    return made.getvalue()


def test_zips_one_behind_the_other_are_read_to_the_last(tmp_path: Path) -> None:
    result = run(write(tmp_path / "a.zip", zipped("1.1", "1.2") + zipped("1.3") + zipped("1.4")))
    assert messages(result) == []
    assert sorted(changes_of(result)) == ["1.1", "1.2", "1.3", "1.4"]


@pytest.mark.parametrize("streamed", [False, True], ids=["sized", "streamed"])
@pytest.mark.parametrize("cut", ["index", "member"])
def test_zip_that_is_cut_short_is_read_up_to_the_cut(tmp_path: Path, streamed: bool, cut: str) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    made = Pipe() if streamed else io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for market_id in ("1.1", "1.2", "1.3"):
            archive.writestr(market_id, lines(30, market_id))
    whole = made.getvalue()
    index = whole.index(b"PK\x01\x02")
    result = run(write(tmp_path / "a.zip", whole[: index - (0 if cut == "index" else 300)]))
    found = changes_of(result)
    assert (found["1.1"], found["1.2"]) == (lines(30).count(b"\n"),) * 2
    assert (found["1.3"] == lines(30).count(b"\n")) is (cut == "index")
    assert len(messages(result)) == (1 if cut == "index" else 2)
    assert any("it has no index of its members" in told for told in messages(result))


def test_damaged_member_of_a_zip_is_read_up_to_the_damage(tmp_path: Path) -> None:
    whole = bytearray(zipped("1.1", "1.2"))
    at = whole.index(b"PK\x01\x02") - 40  # the end of the last member's data
    whole[at : at + 20] = b"\xff" * 20
    result = run(write(tmp_path / "a.zip", bytes(whole)))
    assert changes_of(result)["1.1"] == lines(30).count(b"\n")
    assert changes_of(result)["1.2"] > 10
    assert any("is damaged or cut short" in told for told in messages(result))


@pytest.mark.parametrize("before", [b"", b"MZ a program", bytes(3_000_000)], ids=["none", "some", "many"])
@pytest.mark.parametrize("after", [b"", b"PK\x05\x06 junk", b"junk" * 1_000_000], ids=["none", "some", "many"])
def test_bytes_around_a_zip_cost_nothing_and_are_told(tmp_path: Path, before: bytes, after: bytes) -> None:
    whole = zipped("1.1", "1.2")
    result = run(write(tmp_path / "a.zip", before + whole + after))
    assert sorted(changes_of(result)) == ["1.1", "1.2"]
    told = " ".join(messages(result))
    start, end = len(before), len(before) + len(whole)
    assert (f"bytes 0 to {start} belong to no zip" in told) is bool(before)
    assert (f"bytes {end} to {end + len(after)} belong to no zip" in told) is bool(after)


@endings
def test_catalog_and_pack_find_what_lies_behind_the_first_archive(tmp_path: Path, name: str) -> None:
    pack = ENDINGS[name]
    path = write(tmp_path / name, pack(tar("1.1")) + pack(tar("1.2")))
    catalog = hr.write_catalog(str(path), tmp_path / "catalog.parquet", engine="local", progress=False)
    assert catalog.table["market_id"].to_pylist() == ["1.1", "1.2"]
    from headrace.archive.pack import write_pack

    assert write_pack(str(path), tmp_path / "packed", engine="local", progress=False) == []
    assert len(find_recordings(str(tmp_path / "packed"))) == 2


def test_cut_file_is_packed_as_far_as_it_goes_and_stays_cut(tmp_path: Path) -> None:
    packed = gzip.compress(lines(3000))
    path = write(tmp_path / "1.1", packed[: len(packed) // 2])
    from headrace.archive.pack import write_pack

    assert len(write_pack(str(path), tmp_path / "packed", engine="local", progress=False)) == 1
    (source,) = find_recordings(str(tmp_path / "packed"))
    found, told = b"", None
    try:
        for _, piece in Recording(source).pieces():
            found += piece
    except RecordingError as error:
        told = error.message
    assert (found, told) == read(path)
