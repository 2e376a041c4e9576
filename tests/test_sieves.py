"""A strategy whose filter lets no market pass has replayed nothing: the run says which condition ended it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import headrace as hr
from builders import priced
from headrace.cli import main


class Looker(hr.Strategy):
    """Looks on."""

    edge: float = 1.0


@pytest.fixture
def markets(tmp_path: Path) -> Path:
    """Three markets of one sport: two WIN, one PLACE, all in GB."""
    folder = tmp_path / "markets"
    for number, kind in enumerate(("WIN", "WIN", "PLACE")):
        market_id = f"1.20000000{number}"
        stream = priced(market_id=market_id, eventTypeId="7", countryCode="GB", marketType=kind)
        folder.mkdir(exist_ok=True)
        stream.touch(400).close(1_000_000).write(folder / market_id)
    return folder


def told(result: Any) -> list[tuple[str | None, str]]:
    return [(row["strategy"], row["message"]) for row in result.failures.to_pylist()]


CASES: dict[str, tuple[Any, str]] = {
    "one key": ({"event_type_ids": ["1"]}, "of 3 markets, event_type_ids=['1'] leaves 0; the recordings have 7 (3)"),
    "camel case": ({"eventTypeIds": ["1"]}, "of 3 markets, event_type_ids=['1'] leaves 0; the recordings have 7 (3)"),
    "two keys": (
        {"market_types": ["WIN"], "country_codes": ["IE"]},
        "of 3 markets, market_types=['WIN'] leaves 2, country_codes=['IE'] leaves 0; the recordings have GB (2)",
    ),
    "kinds by number": (
        {"market_types": ["EACH_WAY"]},
        "of 3 markets, market_types=['EACH_WAY'] leaves 0; the recordings have WIN (2), PLACE (1)",
    ),
    "alternatives": (
        [{"market_types": ["PLACE"], "venues": ["Ascot"]}, {"event_type_ids": ["4339"]}],
        "of 3 markets, market_types=['PLACE'] leaves 1, venues=['Ascot'] leaves 0; the recordings have none (1); or "
        "event_type_ids=['4339'] leaves 0; the recordings have 7 (3)",
    ),
    "sports of the window": (
        {"listener_kwargs": {"event_type_ids": ["2"]}},
        "of 3 markets, listener_kwargs.event_type_ids=['2'] leaves 0; the recordings have 7 (3)",
    ),
}


@pytest.mark.parametrize("compatibility", [None, "flumine"])
@pytest.mark.parametrize(("market_filter", "said"), CASES.values(), ids=CASES)
def test_filter_that_lets_nothing_pass_is_a_failure(
    markets: Path, market_filter: Any, said: str, compatibility: Any
) -> None:
    config = hr.Config(compatibility=compatibility)
    result = hr.backtest(Looker(market_filter=market_filter), markets, engine="local", config=config)
    assert told(result) == [("Looker", f"no market passes its filter: {said}")]
    assert result.markets.num_rows == 0


def test_filter_that_lets_one_market_pass_is_no_failure(markets: Path) -> None:
    result = hr.backtest(Looker(market_filter={"market_types": ["PLACE"]}), markets, engine="local")
    assert told(result) == []
    assert result.markets.num_rows == 1


def test_of_two_strategies_the_one_without_a_market_is_named(markets: Path) -> None:
    idle = Looker(name="idle", market_filter={"country_codes": ["AU"]})
    result = hr.backtest([Looker(), idle], markets, engine="local")
    assert [strategy for strategy, _ in told(result)] == ["idle"]
    assert result.markets.num_rows == 3


def test_recordings_without_a_market_are_not_the_filters_fault(tmp_path: Path) -> None:
    (tmp_path / "1.200000000").write_text("no JSON\n")
    result = hr.backtest(Looker(market_filter={"country_codes": ["AU"]}), tmp_path, engine="local")
    assert [row["error_type"] for row in result.failures.to_pylist()] == ["RecordingError"]


def test_run_that_was_stopped_does_not_say_so(markets: Path) -> None:
    class Stops(Looker):
        def process_new_market(self, market: Any, book: Any) -> None:
            market.framework.stop()

    idle = Looker(name="idle", market_filter={"market_types": ["PLACE"]})
    assert told(hr.backtest([Stops(), idle], markets, engine="local")) == []


def test_folder_and_resumed_run_tell_it_once(markets: Path, tmp_path: Path) -> None:
    strategy = Looker(market_filter={"event_type_ids": ["1"]})
    first = hr.backtest(strategy, markets, engine="local", out=tmp_path / "out")
    again = hr.backtest(
        Looker(market_filter={"event_type_ids": ["1"]}), markets, engine="local", out=tmp_path / "out", resume=True
    )
    kept = hr.Result.load(tmp_path / "out")
    assert told(first) == told(again) == told(kept)
    assert len(told(kept)) == 1
    assert first.digest == kept.digest == hr.backtest(strategy, markets, engine="local").digest


def test_selection_of_a_catalog_is_not_read_and_the_same_is_said(markets: Path, tmp_path: Path) -> None:
    catalog = hr.write_catalog(markets, tmp_path / "catalog.parquet")
    result = hr.backtest(
        Looker(market_filter={"market_types": ["MATCH_ODDS"]}), catalog.select(event_type="7"), engine="local"
    )
    ((_, message),) = told(result)
    assert message.endswith(
        "of 3 markets, market_types=['MATCH_ODDS'] leaves 0; the recordings have WIN (2), PLACE (1)"
    )


def test_sweep_names_the_sets_without_a_market(markets: Path) -> None:
    filters = [{"market_types": ["WIN"]}, {"market_types": ["EACH_WAY"]}]
    result = hr.sweep(Looker, {"market_filter": filters}, markets, engine="local")
    assert [(row["set"], row["message"][:27]) for row in result.failures.to_pylist()] == [
        (1, "no market passes its filter")
    ]
    assert result.table["failures"].to_pylist() == [0, 1]


def test_sweep_over_no_market_says_it_once(markets: Path) -> None:
    strategy = Looker(market_filter={"market_types": ["EACH_WAY"]})
    result = hr.sweep(strategy, {"edge": [1.0, 2.0]}, markets, engine="local")
    assert [row["set"] for row in result.failures.to_pylist()] == [None]


def test_command_line_shows_it_without_an_empty_box_and_exits_1(markets: Path, tmp_path: Path) -> None:
    code = tmp_path / "football_only.py"
    code.write_text(
        "import headrace as hr\n\n\nclass Football(hr.Strategy):\n    edge: float = 1.0\n\n"
        "    def __init__(self, **keywords):\n"
        "        super().__init__(market_filter={'event_type_ids': ['1']}, **keywords)\n"
    )
    for words in (["backtest", f"{code}:Football"], ["sweep", f"{code}:Football", "-p", "edge=1,2"]):
        ended = CliRunner().invoke(main, [*words, "-m", str(markets), "--engine", "local"])
        assert ended.exit_code == 1, ended.output
        assert "of 3 markets, event_type_ids=['1'] leaves 0; the recordings have 7 (3)" in ended.stdout
    ended = CliRunner().invoke(main, ["backtest", f"{code}:Football", "-m", str(markets), "--engine", "local"])
    assert not set("┏┃━│") & set(ended.stdout)


@pytest.mark.ray
def test_workers_count_alike(markets: Path, ray_local: None) -> None:
    strategy = Looker(market_filter={"market_types": ["EACH_WAY"]})
    here = hr.backtest(strategy, markets, engine="local")
    assert told(hr.backtest(strategy, markets, engine="ray")) == told(here)
