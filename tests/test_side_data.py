"""What is recorded beside markets: catalogues and sports data."""

from __future__ import annotations

import bz2
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from builders import FLUMINE, T0, Stream, many, records

RECORDINGS = Path(__file__).parents[2] / "shared" / "recordings"


# -- catalogues ------------------------------------------------------------------------------------------------------


class Reads(hr.Strategy):
    def process_market_catalogue(self, market: Any, market_catalogue: Any) -> None:
        self.record(market, name=market_catalogue.market_name, same=market.market_catalogue is market_catalogue)

    def check_market_book(self, market: Any, book: Any) -> bool:
        self.record(market, book=market.market_name)
        return False


@pytest.mark.parametrize(("suffix", "packed"), [(".json", bytes), (".json.gz", gzip.compress), ("", bytes)])
def test_catalogue_is_there_before_the_first_book(tmp_path: Path, suffix: str, packed: Any) -> None:
    folder = tmp_path / "catalogues"
    folder.mkdir()
    text = {"marketId": "1.200000000", "marketName": "2m Hcap", "marketStartTime": "2023-11-14T22:20:00.000Z"}
    (folder / f"1.200000000{suffix}").write_bytes(packed(json.dumps(text).encode()))
    result = hr.backtest(Reads(), many(tmp_path / "m", 2), engine="local", catalogues=folder)
    assert records(result, "1.200000000")[:2] == [{"name": "2m Hcap", "same": True}, {"book": "2m Hcap"}]
    assert records(result, "1.200000001")[0] == {"book": None}


def write_catalogue(folder: Path, content: Any, name: str = "1.200000000.json") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(content))
    return folder


CATALOGUE = {
    "marketId": "1.200000000",
    "marketName": "2m Hcap",
    "runners": [{"selectionId": 1, "runnerName": "Red Rum"}],
}
OTHER = {"marketId": "1.200000001", "marketName": "3m Chase"}


@pytest.mark.parametrize(
    "content",
    [
        CATALOGUE,
        [CATALOGUE],
        [OTHER, CATALOGUE],
        {"jsonrpc": "2.0", "id": 1, "result": [OTHER, CATALOGUE]},
        [{"jsonrpc": "2.0", "id": 1, "result": [CATALOGUE]}, {"jsonrpc": "2.0", "id": 2, "result": None}],
        {**CATALOGUE, "description": {"marketType": "WIN"}, "event": {"id": 7}, "competition": None, "runners": None},
        {**CATALOGUE, "description": {"priceLadderDescription": {}, "lineRangeInfo": {"interval": 0.5}, "new": [1]}},
        {**CATALOGUE, "event": {"id": "7", "name": "Aintree", "somethingNew": True}, "eventType": {"id": "7"}},
    ],
    ids=["plain", "list", "two", "envelope", "batch", "short", "short-ladder", "new-fields"],
)
def test_catalogue_is_read_as_the_exchange_answers_it(tmp_path: Path, content: Any) -> None:
    folder = write_catalogue(tmp_path / "catalogues", content)
    result = hr.backtest(Reads(), many(tmp_path / "m", 1), engine="local", catalogues=folder)
    assert result.failures.num_rows == 0
    assert records(result, "1.200000000")[0] == {"name": "2m Hcap", "same": True}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (OTHER, "its marketId is 1.200000001, expected 1.200000000"),
        ([OTHER, OTHER], "its marketId is 1.200000001, 1.200000001, expected 1.200000000"),
        ({"marketName": "2m Hcap"}, "its marketId is none at all, expected 1.200000000"),
        ([], "the answer holds no catalogue"),
        (
            {"jsonrpc": "2.0", "error": {"code": -32099, "message": "ANGX-0003"}},
            "a request that failed: {'code': -32099",
        ),
        ({**CATALOGUE, "event": "Aintree"}, "event is 'Aintree', expected an object"),
        ({**CATALOGUE, "runners": [1]}, "runners[0] is '1', expected an object"),
        ("text", "found 'text', expected an object"),
    ],
)
def test_catalogue_that_is_none_of_the_market_is_a_failure_that_names_the_file(
    tmp_path: Path, content: Any, words: str
) -> None:
    folder = write_catalogue(tmp_path / "catalogues", content)
    result = hr.backtest(Reads(), many(tmp_path / "m", 1), engine="local", catalogues=folder)
    (row,) = result.failures.to_pylist()
    assert (row["error_type"], row["line"]) == ("RecordingError", str(folder / "1.200000000.json"))
    assert words in row["message"]
    assert {"book": None} in records(result)


def test_catalogue_is_found_beside_the_recording_of_its_market(tmp_path: Path) -> None:
    folder = many(tmp_path / "m", 1)
    write_catalogue(Path(folder), CATALOGUE)
    result = hr.backtest(Reads(), folder, engine="local", catalogues=folder)
    assert result.failures.num_rows == 0
    assert records(result)[0]["name"] == "2m Hcap"


class TellsFacts(hr.Strategy):
    def check_market_book(self, market: Any, book: Any) -> bool:
        self.record(
            market,
            start=str(market.market_start_datetime),
            left=market.seconds_to_start,
            facts=[market.event_id, market.event_type_id, market.event_name, market.market_type, market.market_name],
            places=[market.country_code, market.venue, market.race_type, market.competition_id],
        )
        return False


DISAGREEING = {
    "marketId": "1.200000000",
    "marketName": "catalogued",
    "marketStartTime": "2023-11-14T21:00:00.000Z",
    "event": {"id": 5, "name": "catalogued", "countryCode": "IE", "venue": "catalogued"},
    "eventType": {"id": "4339"},
    "competition": {"id": 11},
    "description": {"marketType": "PLACE", "raceType": "catalogued"},
}


@pytest.mark.parametrize("rules", [None, "flumine"])
def test_where_catalogue_and_definition_disagree_the_definition_wins_but_for_the_peer(
    tmp_path: Path, rules: Any
) -> None:
    names = {"name": "streamed", "eventName": "streamed", "venue": "streamed", "raceType": "streamed"}
    folder = tmp_path / "m"
    folder.mkdir()
    Stream("1.200000000", **names).touch(1000).close().write(folder / "1.200000000")
    catalogues = write_catalogue(tmp_path / "catalogues", DISAGREEING)
    config = hr.Config(compatibility=rules)
    result = hr.backtest(TellsFacts(), folder, engine="local", catalogues=catalogues, config=config)
    found = records(result)[1]
    streamed = {
        "start": "2023-11-14 22:20:00+00:00",
        "left": 399.0,
        "facts": ["99", "7", "streamed", "WIN", "streamed"],
        "places": ["GB", "streamed", "streamed", "11"],
    }
    catalogued = {
        "start": "2023-11-14 21:00:00+00:00",
        "left": 399.0,
        "facts": ["5", "4339", "catalogued", "PLACE", "catalogued"],
        "places": ["IE", "catalogued", "catalogued", "11"],
    }
    assert found == (catalogued if rules else streamed)


def test_what_only_the_catalogue_tells_comes_from_it(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    nothing = dict.fromkeys(("eventId", "eventTypeId", "marketTime", "marketType", "countryCode"))
    Stream("1.200000000", **nothing).touch(1000).close().write(folder / "1.200000000")
    catalogues = write_catalogue(tmp_path / "catalogues", DISAGREEING)
    result = hr.backtest(TellsFacts(), folder, engine="local", catalogues=catalogues)
    assert records(result)[1] == {
        "start": "2023-11-14 21:00:00+00:00",
        "left": (1_699_995_600_000 - T0 - 1000) / 1000,
        "facts": ["5", "4339", "catalogued", "PLACE", "catalogued"],
        "places": ["IE", "catalogued", "catalogued", "11"],
    }


def test_broken_catalogue_is_a_failure_and_stops_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "catalogues"
    folder.mkdir()
    (folder / "1.200000000.json").write_text("no JSON")
    result = hr.backtest(Reads(), many(tmp_path / "m", 1), engine="local", catalogues=folder)
    (row,) = result.failures.to_pylist()
    assert (row["error_type"], row["market_id"]) == ("RecordingError", "1.200000000")
    assert row["line"] == str(folder / "1.200000000.json")
    assert len(records(result)) == 3


@pytest.mark.skipif(not (RECORDINGS / "catalogues").is_dir(), reason="recordings are not here")
def test_recorded_catalogues_belong_to_their_markets() -> None:
    markets = [str(RECORDINGS / name) for name in ("1.197931750", "1.197931751")]
    result = hr.backtest(Reads(), markets, engine="local", catalogues=RECORDINGS / "catalogues")
    for market_id in ("1.197931750", "1.197931751"):
        text = json.loads((RECORDINGS / "catalogues" / f"{market_id}.json").read_text())
        assert records(result, market_id)[:2] == [
            {"name": text["marketName"], "same": True},
            {"book": text["marketName"]},
        ]


@pytest.mark.parametrize("what", ["catalogues", "sports_data"])
def test_unknown_folder_is_an_input_error(tmp_path: Path, what: str) -> None:
    with pytest.raises(hr.InputError, match=rf"{what}=.*nowhere: no such folder; expected one with files named"):
        hr.backtest(Reads(), many(tmp_path, 1), **{what: tmp_path / "nowhere"})


# -- sports data -----------------------------------------------------------------------------------------------------


class Watches(hr.Strategy):
    skip: int = 0

    def check_sports_data(self, market: Any, sports_data: Any) -> bool:
        return sports_data.publish_time_epoch != T0 + self.skip

    def process_sports_data(self, market: Any, sports_data: Any) -> None:
        late = market.clock.now_ms - sports_data.publish_time_epoch
        self.record(market, at=sports_data.publish_time_epoch - T0, late=late, kind=type(sports_data).__name__)


class WatchesEvent(Watches):
    scope = "event"


def race(at: int, market_id: str, speed: float | None = 10.0) -> str:
    progress = {} if speed is None else {"spd": speed}
    change = {"mid": market_id, "id": "28587288.2359", "rpc": progress, "rrc": [{"id": 1, "spd": 9.0}]}
    return json.dumps({"op": "rcm", "pt": T0 + at, "rc": [change]}) + "\n"


@pytest.mark.parametrize("config", [hr.Config(), FLUMINE], ids=["ours", "flumine"])
def test_race_updates_come_once_at_their_times(tmp_path: Path, config: hr.Config) -> None:
    sports = tmp_path / "sports"
    sports.mkdir()
    lines = [race(-50, "1.200000000", None), race(-20, "1.200000000"), race(150, "1.200000000")]
    lines += [race(160, "1.999"), race(500, "1.200000000"), race(501, "1.200000000"), race(9500, "1.200000000")]
    (sports / "1.200000000.bz2").write_bytes(bz2.compress("".join(lines).encode()))
    folder = many(tmp_path / "m", 2)
    for strategy in (Watches(skip=501), WatchesEvent(skip=501)):
        result = hr.backtest(strategy, folder, engine="local", sports_data=sports, config=config)
        assert result.failures.num_rows == 0
        assert records(result) == [
            {"at": -20, "late": 20, "kind": "Race"},
            {"at": 150, "late": 0, "kind": "Race"},
            {"at": 500, "late": 0, "kind": "Race"},
        ]


def test_line_that_is_no_sports_data_costs_itself_alone(tmp_path: Path) -> None:
    sports = tmp_path / "sports"
    sports.mkdir()
    odd = '{"op":"rcm","pt":null}\n{"op":"rcm","pt":1700000000160,"rc":[5]}\n'
    text = "\ufeff" + race(150, "1.200000000") + odd + race(250, "1.200000000")
    (sports / "1.200000000").write_text(text, encoding="utf-8")
    result = hr.backtest(Watches(), many(tmp_path / "m", 1), engine="local", sports_data=sports)
    assert [row["at"] for row in records(result)] == [150, 250]
    assert [row["line"] for row in result.failures.to_pylist()] == [f"{sports / '1.200000000'}:{n}" for n in (2, 3)]


def test_sports_data_of_another_market_is_a_failure(tmp_path: Path) -> None:
    sports = tmp_path / "sports"
    sports.mkdir()
    (sports / "1.200000000").write_text(race(150, "1.299999999"))
    result = hr.backtest(Watches(), many(tmp_path / "m", 1), engine="local", sports_data=sports)
    (row,) = result.failures.to_pylist()
    assert "holds no updates of the market, but of 1.299999999" in row["message"]


def test_broken_sports_data_is_one_failure_with_file_and_line(tmp_path: Path) -> None:
    sports = tmp_path / "sports"
    sports.mkdir()
    (sports / "1.200000000").write_text(race(150, "1.200000000") + "no JSON\n")
    result = hr.backtest(Watches(), many(tmp_path / "m", 1), engine="local", sports_data=sports)
    (row,) = result.failures.to_pylist()
    assert (row["error_type"], row["line"]) == ("RecordingError", f"{sports / '1.200000000'}:2")
    assert [each["at"] for each in records(result)] == [150]


@pytest.mark.skipif(not (RECORDINGS / "sports_data").is_dir(), reason="recordings are not here")
def test_recorded_cricket_comes_once_in_order_and_never_early() -> None:
    with bz2.open(RECORDINGS / "sports_data" / "1.200806927.bz2", "rt") as file:
        published = [json.loads(line)["pt"] for line in file if '"cc"' in line]
    result = hr.backtest(
        Watches(), RECORDINGS / "1.200806927.bz2", engine="local", sports_data=RECORDINGS / "sports_data"
    )
    found = records(result)
    assert {each["kind"] for each in found} == {"CricketMatch"}
    times = [each["at"] + T0 for each in found]
    assert len(times) > 10
    assert times == published[: len(times)]
    assert min(each["late"] for each in found) >= 0
