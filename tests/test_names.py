"""Files whose names are not UTF-8: nothing is lost for them, and they are found again."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import headrace as hr
from builders import priced
from common_strategies import Idle
from headrace.archive.pack import write_pack
from headrace.archive.unpack import unpack
from headrace.names import name_of_file, to_name, to_text
from headrace.simulate.reading.recordings import Recording, find_recordings
from headrace.strategies.errors import InputError

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="macOS takes no name that is not UTF-8")

#: "Zürich" in Latin-1, which is no UTF-8.
NAME = os.fsdecode(b"1.1 Z\xfcrich")
TEXT = "1.1 Z\\xfcrich"


class Fails(hr.Strategy):
    def check_market_book(self, market: Any, market_book: Any) -> bool:
        raise ValueError(f"no such thing: {NAME}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "markets"
    place.mkdir()
    (place / NAME).write_text(priced(market_id="1.1").close().text())
    (place / "1.2").write_text(priced(market_id="1.2").close().text())
    return place


def run(markets: Any, strategy: hr.Strategy | None = None, **keywords: Any) -> Any:
    return hr.backtest(strategy or Idle(), markets, engine="local", progress=False, **keywords)


def markets_of(result: Any) -> list[str]:
    return sorted(result.markets["market_id"].to_pylist())


@given(st.binary(max_size=12))
def test_text_of_a_name_can_be_encoded_and_leads_back(name: bytes) -> None:
    known = os.fsdecode(name)
    text = to_text(known)
    assert text.encode().decode() == text
    if "\\x" not in known:
        assert os.fsencode(to_name(text)) == name


def test_file_that_is_really_called_like_the_text_is_the_one_that_is_meant(folder: Path) -> None:
    assert name_of_file(str(folder / TEXT)) == str(folder / NAME)
    (folder / TEXT).write_text("")
    assert name_of_file(str(folder / TEXT)) == str(folder / TEXT)


def test_result_in_a_folder_holds_all_markets_and_goes_on(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run(folder, out=out)
    assert (markets_of(result), result.failures.num_rows) == (["1.1", "1.2"], 0)
    assert result.digest == run(folder).digest
    read: list[str] = []
    again = hr.backtest(
        Idle(), folder, engine="local", out=out, resume=True, progress=lambda done, total, part: read.append("read")
    )
    assert (markets_of(again), again.digest) == (["1.1", "1.2"], result.digest)
    assert read == []


def test_failure_in_such_a_file_is_a_row_that_names_it(folder: Path, tmp_path: Path) -> None:
    (folder / NAME).write_text("no JSON\n")
    result = run(folder, Fails(), out=tmp_path / "out")
    rows = result.failures.to_pylist()
    assert f"{folder / TEXT}:1" in [row["line"] for row in rows]
    assert [row["message"] for row in rows if row["strategy"]] == [f"no such thing: {TEXT}"]


def test_text_of_such_a_name_finds_the_file(folder: Path) -> None:
    assert markets_of(run(str(folder / TEXT))) == ["1.1"]


def test_catalog_finds_such_files_again(folder: Path, tmp_path: Path) -> None:
    catalog = hr.write_catalog(folder, tmp_path / "c.parquet", engine="local", progress=False)
    assert catalog.select(market_id="1.1").table["file"].to_pylist() == [str(folder / TEXT)]
    assert markets_of(run(catalog.select(market_id="1.1"))) == ["1.1"]
    again = hr.write_catalog(folder, tmp_path / "c.parquet", engine="local", progress=False)
    assert again.table.equals(catalog.table)


def test_pack_and_unpack_give_the_name_back(folder: Path, tmp_path: Path) -> None:
    assert write_pack(folder, tmp_path / "packed", engine="local", progress=False) == []
    assert markets_of(run(tmp_path / "packed")) == ["1.1", "1.2"]
    assert unpack(tmp_path / "packed", tmp_path / "files", compression="none", progress=False) == []
    assert (tmp_path / "files" / NAME).read_bytes() == (folder / NAME).read_bytes()


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_member_of_such_a_name_is_read(folder: Path, tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / name, "w:gz" if name.endswith("gz") else "w") as archive:
        info = tarfile.TarInfo(NAME)
        data = (folder / NAME).read_bytes()
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    result = run(tmp_path / name, out=tmp_path / "out")
    assert (markets_of(result), result.failures.num_rows) == (["1.1"], 0)
    assert markets_of(run(f"{tmp_path / name}!{TEXT}")) == ["1.1"]
    catalog = hr.write_catalog(tmp_path / name, tmp_path / "c.parquet", engine="local", progress=False)
    assert markets_of(run(catalog.select())) == ["1.1"]


def test_folder_of_such_a_name_is_read_and_packed_files_in_it(folder: Path, tmp_path: Path) -> None:
    write_pack(folder, tmp_path / "packed", engine="local", progress=False)
    other = tmp_path / NAME
    (tmp_path / "packed").rename(other)
    assert markets_of(run(other)) == ["1.1", "1.2"]


@pytest.mark.parametrize("what", ["out", "catalog", "pack"])
def test_output_of_such_a_name_is_refused_in_one_sentence(folder: Path, tmp_path: Path, what: str) -> None:
    place = tmp_path / NAME
    write: Any = {
        "out": lambda: run(folder, out=place),
        "catalog": lambda: hr.write_catalog(folder, place, engine="local", progress=False),
        "pack": lambda: write_pack(folder, place, engine="local", progress=False),
    }[what]
    with pytest.raises(InputError, match="the name is not UTF-8; name another folder") as caught:
        write()
    assert TEXT in str(caught.value)
    assert not place.exists()


def test_terminal_of_another_encoding_is_written_to(folder: Path, tmp_path: Path) -> None:
    strategy = tmp_path / "idle.py"
    strategy.write_text("import headrace as hr\n\nclass Café(hr.Strategy):\n    pass\n", encoding="utf-8")
    command = [
        sys.executable,
        "-c",
        "from headrace.cli import main; main()",
        "backtest",
        f"{strategy}:Café",
        "-m",
        str(folder),
        "--engine",
        "local",
    ]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, timeout=100, check=False
    )
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
    assert b"Caf\\xe9" in done.stdout


def test_recording_is_called_by_the_text_of_its_name(folder: Path) -> None:
    names = [Recording(source).name for source in find_recordings(folder)]
    assert names == [str(folder / TEXT), str(folder / "1.2")]
