"""Catalogs: what they tell of an archive, what is read again, and that selections are all that is read."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import headrace as hr
from builders import Stream, priced
from common_strategies import Onlooker
from headrace.archive.catalog_columns import FIELDS
from headrace.archive.pack import write_pack
from headrace.archive.price_tables import write_prices
from headrace.cli import main
from headrace.simulate.reading.recordings import Recording, find_recordings


def ids(result: hr.Result) -> set[str]:
    return set(result.markets["market_id"].to_pylist())


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The recordings that were opened."""
    found: list[str] = []
    opened = Recording._open

    def noted(self: Recording, stack: Any) -> Any:
        found.append(str(self.source))
        return opened(self, stack)

    monkeypatch.setattr(Recording, "_open", noted)
    return found


def catalogued(markets: Any, folder: Path) -> hr.Catalog:
    return hr.write_catalog(markets, folder / "catalog.parquet", engine="local")


def markets_of(*streams: Stream, name: str, folder: Path) -> str:
    """One file with several markets."""
    lines = sorted((line for stream in streams for line in stream.lines), key=lambda line: line["pt"])
    path = folder / name
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def test_row_tells_what_a_market_was(tmp_path: Path) -> None:
    stream = priced(venue="Ascot", name="2m Hcap", bspMarket=True).turn_in_play(400).close(900)
    path = stream.write(tmp_path / "1.200000000")
    (row,) = catalogued(path, tmp_path).table.to_pylist()
    assert row["market_id"] == stream.market_id
    assert (row["venue"], row["name"], row["country"], row["bsp"]) == ("Ascot", "2m Hcap", "GB", True)
    assert (row["runners"], row["changes"], row["went_inplay"], row["began_inplay"]) == (2, 4, True, False)
    assert (row["ladder"], row["traded"]) == ("full", 120.0)
    assert (row["file"], row["bytes"], row["problems"]) == (path, os.path.getsize(path), None)
    assert round((row["last_published"] - row["first_published"]).total_seconds() * 1000) == 900


def test_archives_of_all_kinds_can_be_selected_from(generated: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(generated, "markets")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
        for path in sorted(generated.rglob("1.*")):
            zipped.write(path, path.name)
    write_pack(generated, tmp_path / "packed", engine="local")
    expected = hr.backtest(Onlooker(), generated, engine="local").digest
    for place in (generated, tmp_path / "a.tar", tmp_path / "a.zip", tmp_path / "packed"):
        catalog = hr.write_catalog(place, tmp_path / "catalog.parquet", engine="local")
        assert len(catalog) == 8
        assert hr.backtest(Onlooker(), catalog.select(), engine="local").digest == expected


def test_second_call_reads_only_what_is_new_or_changed(generated: Path, tmp_path: Path, read: list[str]) -> None:
    shutil.copytree(generated, tmp_path / "archive")
    first = catalogued(tmp_path / "archive", tmp_path)
    files = sorted((tmp_path / "archive").rglob("1.*"))
    assert len(read) == len(files)
    read.clear()
    assert catalogued(tmp_path / "archive", tmp_path).table.equals(first.table)
    assert read == []
    changed = files[3]
    os.utime(changed, ns=(1, 1))
    files[5].unlink()
    new = tmp_path / "archive" / "1.777"
    Stream(market_id="1.777").close().write(new)
    again = catalogued(tmp_path / "archive", tmp_path)
    assert sorted(read) == sorted([str(changed), str(new)])
    assert len(again) == len(files)


def test_selection_is_all_that_is_read(generated: Path, tmp_path: Path, read: list[str]) -> None:
    catalog = catalogued(generated, tmp_path)
    races = catalog.select(event_type="7")
    assert 0 < len(races) < len(catalog)
    read.clear()
    result = hr.backtest(Onlooker(), races, engine="local")
    assert ids(result) == set(races.market_ids)
    assert len(set(read)) == len(races)


@pytest.mark.parametrize(
    "market_filter",
    [
        {"event_type_ids": ["7"]},
        {"market_types": ["MATCH_ODDS"]},
        {"country_codes": ["GB"], "turn_in_play_enabled": True},
        [{"event_type_ids": ["2"]}, {"bsp_market": True}],
        {"listener_kwargs": {"event_type_ids": ["1"]}},
        {"event_type_ids": ["99"]},
    ],
    ids=str,
)
def test_filters_of_strategies_push_down(generated: Path, tmp_path: Path, read: list[str], market_filter: Any) -> None:
    catalog = catalogued(generated, tmp_path)
    expected = hr.backtest(Onlooker(market_filter=market_filter), generated, engine="local")
    read.clear()
    result = hr.backtest(Onlooker(market_filter=market_filter), catalog.select(), engine="local")
    assert result.digest == expected.digest
    assert len(set(read)) == len(ids(expected))


def test_market_of_an_event_file_is_selected_alone(tmp_path: Path) -> None:
    streams = [priced(market_id=f"1.{number}", marketType=kind).close() for number, kind in enumerate("ABC", 1)]
    path = markets_of(*streams, name="29788105", folder=tmp_path)
    chosen = catalogued(path, tmp_path).select(market_type=["A", "C"])
    assert ids(hr.backtest(Onlooker(), chosen, engine="local")) == {"1.1", "1.3"}
    assert {book.market_id for book in hr.books(chosen)} == {"1.1", "1.3"}


def test_market_that_comes_twice_is_read_once_from_its_own_file(tmp_path: Path) -> None:
    streams = [priced(market_id=f"1.{number}").close() for number in (1, 2)]
    event = markets_of(*streams, name="29788105", folder=tmp_path)
    single = streams[0].write(tmp_path / "1.1")
    for _ in range(2):  # the second time from the rows that are there
        catalog = catalogued([event, single], tmp_path)
        (problem,) = catalog.problems.to_pylist()
        assert (problem["market_id"], problem["file"]) == ("1.1", event)
        assert problem["problems"] == f"the market is in {single} as well, which is read instead"
    result = hr.backtest(Onlooker(), catalog.select(), engine="local")
    assert (ids(result), result.failures.to_pylist()) == ({"1.1", "1.2"}, [])
    assert {str(source): source.only for source in catalog.select().sources()} == {single: None, event: ("1.2",)}


def test_broken_recordings_are_rows_with_a_problem(tmp_path: Path) -> None:
    good = priced().close().write(tmp_path / "1.1")
    (tmp_path / "1.2").write_bytes(b"BZh9 and nothing that follows")
    (tmp_path / "1.3").write_text("")
    catalog = catalogued([good, tmp_path / "1.2", tmp_path / "1.3"], tmp_path)
    assert len(catalog) == 1
    assert [(Path(row["file"]).name, bool(row["problems"])) for row in catalog.problems.to_pylist()] == [
        ("1.2", True),
        ("1.3", True),
    ]


@pytest.mark.parametrize(
    ("conditions", "count"),
    [
        ({}, 3),
        ({"country": "GB"}, 2),
        ({"country": ["GB", "IE"]}, 3),
        ({"start": ("2024-01-01", "2024-07-01")}, 1),
        ({"start": ("2024-07-01", None)}, 2),
        ({"start": (None, "2024-01-01")}, 0),
        ({"runners": (2, 3), "event_type": 7}, 3),
        ({"venue": None}, 3),
        ({"bsp": True}, 0),
    ],
    ids=str,
)
def test_conditions(tmp_path: Path, conditions: dict[str, Any], count: int) -> None:
    places = [("1.1", "GB", "2024-02-01"), ("1.2", "GB", "2024-07-01"), ("1.3", "IE", "2024-08-01")]
    files = [
        Stream(market_id, countryCode=country, marketTime=f"{day}T00:00:00.000Z", bspMarket=False)
        .close()
        .write(tmp_path / market_id)
        for market_id, country, day in places
    ]
    assert len(catalogued(files, tmp_path).select(**conditions)) == count


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        ({"evnt_type": "7"}, "the catalog has no column 'evnt_type'; did you mean 'event_type'?"),
        ({"offset": 7}, "has no column 'offset'"),
        ({"start": ("yesterday", None)}, "expected a date such as '2024-07-01'"),
        ({"start": ("2024-07-01",)}, r"expected \(from, before\)"),
        ({"bsp": "yes"}, "expected True or False"),
        ({"runners": "many"}, "expected a number"),
    ],
    ids=str,
)
def test_condition_that_means_nothing_is_refused(generated: Path, tmp_path: Path, conditions: Any, said: str) -> None:
    with pytest.raises(hr.InputError, match=said):
        catalogued(generated, tmp_path).select(**conditions)


def test_empty_selection_is_refused(generated: Path, tmp_path: Path) -> None:
    with pytest.raises(hr.InputError, match="holds no market"):
        hr.backtest(Onlooker(), catalogued(generated, tmp_path).select(venue="Nowhere"), engine="local")


@pytest.mark.parametrize("change", ["touch", "remove"])
def test_file_that_changed_after_cataloguing_is_refused(tmp_path: Path, change: str) -> None:
    path = Path(priced().close().write(tmp_path / "1.1"))
    selection = catalogued(path, tmp_path).select()
    if change == "touch":
        os.utime(path, ns=(1, 1))
    else:
        path.unlink()
    with pytest.raises(hr.InputError, match="write the catalog again"):
        find_recordings(selection)


def test_file_that_is_no_catalog_is_refused(generated: Path, tmp_path: Path) -> None:
    (tmp_path / "catalog.parquet").write_text("no")
    with pytest.raises(hr.InputError, match="is not a catalog"):
        catalogued(generated, tmp_path)
    with pytest.raises(hr.InputError, match="no such catalog"):
        hr.Catalog(tmp_path / "other.parquet")


def test_command_exits_1_where_a_recording_is_broken_and_2_where_asked_wrongly(generated: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "catalog.parquet")
    (tmp_path / "1.2").write_text("")
    for archives, code, said in (
        ([str(generated)], 0, "8 markets in"),
        ([str(generated), str(tmp_path / "1.2")], 1, "is empty"),
        ([str(tmp_path / "nothing")], 2, "no such file or folder"),
    ):
        ended = CliRunner().invoke(main, ["catalog", *archives, "--out", out, "--quiet"])
        assert ended.exit_code == code
        assert said in ended.output


@pytest.mark.ray
def test_catalog_on_ray_is_the_same(ray_local: None, generated: Path, tmp_path: Path) -> None:
    here = hr.write_catalog(generated, tmp_path / "here.parquet", engine="local")
    spread = hr.write_catalog(generated, tmp_path / "spread.parquet", engine="ray")
    assert spread.table.equals(here.table)


@pytest.mark.parametrize("write", [hr.write_catalog, write_pack, write_prices])
def test_engine_that_is_none_is_refused_before_anything_is_written(write: Any, generated: Path, tmp_path: Path) -> None:
    with pytest.raises(hr.InputError, match=r"engine='rays'.*ray"):
        write(generated, tmp_path / "out", engine="rays")
    assert list(tmp_path.iterdir()) == []


def test_columns_are_those_of_the_documentation() -> None:
    page = (Path(__file__).resolve().parents[1] / "docs" / "archives.md").read_text(encoding="utf-8")
    assert [name for name, _ in FIELDS if f"`{name}`" not in page] == []
