"""What strategies have at hand: resources, scopes, chance, clients, what is recorded beside markets."""

from __future__ import annotations

import bz2
import gzip
import json
import threading
from pathlib import Path
from typing import Any, ClassVar

import pytest

import headrace as hr
from builders import FLUMINE, T0, Stream, priced

RECORDINGS = Path(__file__).parents[2] / "shared" / "recordings"
LOADS: list[int] = []


def write(folder: Path, *streams: Stream) -> Path:
    folder.mkdir(exist_ok=True)
    for stream in streams:
        stream.write(folder / stream.market_id)
    return folder


def many(folder: Path, count: int) -> Path:
    return write(
        folder,
        *(priced(market_id=f"1.2{n:08d}", eventId=f"{n // 2 + 100}").touch(400 + n).close() for n in range(count)),
    )


def records(result: hr.Result, market_id: str | None = None) -> list[Any]:
    rows = [row for row in result.records.to_pylist() if market_id in (None, row["market_id"])]
    return [json.loads(row["record"]) for row in rows]


# -- resources -------------------------------------------------------------------------------------------------------


def load_lock() -> Any:
    """A lock can be neither copied nor pickled."""
    LOADS.append(1)
    return threading.Lock()


class WithModel(hr.Strategy):
    model = hr.resource(load_lock)

    def process_new_market(self, market: Any, book: Any) -> None:
        self.record(market, model=id(self.model), loads=len(LOADS))


class Unloadable(hr.Strategy):
    model = hr.resource(lambda: Path("/nowhere/model.bin").read_bytes())

    def process_new_market(self, market: Any, book: Any) -> None:
        print(self.model)


class UnloadableAtStart(Unloadable):
    def start(self, framework: Any) -> None:
        print(self.model)


def test_resource_is_loaded_once_in_a_process_and_shared(tmp_path: Path) -> None:
    LOADS.clear()
    WithModel.__dict__["model"]._loaded.clear()
    found = records(hr.backtest(WithModel(), many(tmp_path, 4), engine="local"))
    assert [each["loads"] for each in found] == [1, 1, 1, 1]
    assert len({each["model"] for each in found}) == 1


@pytest.mark.ray
def test_resource_is_loaded_anew_in_other_processes_and_a_broken_one_is_named(ray_local: None, tmp_path: Path) -> None:
    LOADS.clear()
    run = hr.Simulation(many(tmp_path, 4), engine="ray", workers=1)
    run.add_client(hr.SimulatedClient())
    run.add_strategy(WithModel())
    run.add_strategy(Unloadable())
    result = run.run()
    assert {each["loads"] for each in records(result)} == {1}
    messages = {row["message"].split(":")[0] for row in result.failures.to_pylist()}
    assert messages == {"resource Unloadable.model cannot be loaded"}


def test_resource_that_cannot_be_loaded_is_a_failure_that_names_it(tmp_path: Path) -> None:
    (row,) = hr.backtest(Unloadable(), many(tmp_path, 1), engine="local").failures.to_pylist()
    assert row["strategy"] == "Unloadable"
    assert row["message"].startswith("resource Unloadable.model cannot be loaded: FileNotFoundError")


def test_resource_that_cannot_be_loaded_at_the_start_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(hr.RunError, match=r"resource Unloadable\.model cannot be loaded: FileNotFoundError"):
        hr.backtest(UnloadableAtStart(), many(tmp_path, 1), engine="local")


def test_resource_cannot_be_set() -> None:
    with pytest.raises(AttributeError, match=r"WithModel\.model is loaded by its loader"):
        WithModel().model = 1


def test_resource_is_no_parameter() -> None:
    assert WithModel.parameters() == {}


# -- scopes ----------------------------------------------------------------------------------------------------------


class Counts(hr.Strategy):
    """Counts on `self`, and stakes by the count."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.books = 0

    def check_market_book(self, market: Any, book: Any) -> bool:
        self.books += 1
        return True

    def process_market_book(self, market: Any, book: Any) -> None:
        stake = 2.0 + self.books % 7
        order = hr.Trade(market.market_id, 1, 0, self).create_order("BACK", hr.LimitOrder(2.0, stake))
        market.place_order(order, force=True)


class CountsByEvent(Counts):
    scope = "event"


class CountsOverTheRun(Counts):
    scope = "run"


@pytest.mark.ray
def test_state_of_every_scope_gives_one_digest_on_every_engine(ray_local: None, tmp_path: Path) -> None:
    folder = many(tmp_path, 6)
    digests = set()
    for strategy in (Counts, CountsByEvent, CountsOverTheRun):
        local = hr.backtest(strategy(), folder, engine="local")
        assert local.orders.num_rows == 18
        assert hr.backtest(strategy(), folder, engine="ray").digest == local.digest
        digests.add(local.digest)
    assert len(digests) == 3


@pytest.mark.parametrize("config", [hr.Config(), FLUMINE], ids=["ours", "flumine"])
def test_run_of_more_files_than_may_be_open_counts_through_them_all(tmp_path: Path, config: hr.Config) -> None:
    result = hr.backtest(CountsOverTheRun(), many(tmp_path, 70), engine="local", config=config)
    assert result.failures.num_rows == 0
    orders = sorted(result.orders.to_pylist(), key=lambda row: row["order_id"])
    assert [row["size"] for row in orders] == [2.0 + count % 7 for count in range(1, 211)]
    assert result.markets.num_rows == 70


# -- records, chance, time -------------------------------------------------------------------------------------------


class Draws(hr.Strategy):
    def process_new_market(self, market: Any, book: Any) -> None:
        self.record(market, number=market.random.random(), at=market.clock.now().isoformat())


def test_records_have_strategy_market_time_and_fields(tmp_path: Path) -> None:
    result = hr.backtest(Draws(), many(tmp_path, 1), engine="local")
    (row,) = result.records.to_pylist()
    assert (row["strategy"], row["market_id"]) == ("Draws", "1.200000000")
    assert row["time"].timestamp() * 1000 == T0
    assert json.loads(row["record"])["at"] == "2023-11-14T22:13:20+00:00"


def test_record_that_is_no_json_is_a_failure_that_names_the_field(tmp_path: Path) -> None:
    class Bad(hr.Strategy):
        def process_new_market(self, market: Any, book: Any) -> None:
            self.record(market, lock=threading.Lock())

    (row,) = hr.backtest(Bad(), many(tmp_path, 1), engine="local").failures.to_pylist()
    assert "Bad.record: lock=<unlocked _thread.lock" in row["message"]


def test_chance_differs_by_strategy_and_not_by_who_else_runs(tmp_path: Path) -> None:
    folder = many(tmp_path, 2)
    together = hr.backtest([Draws(name="a"), Draws(name="b")], folder, engine="local").records.to_pylist()
    alone = hr.backtest(Draws(name="b"), folder, engine="local").records.to_pylist()
    assert [row["record"] for row in together if row["strategy"] == "b"] == [row["record"] for row in alone]
    assert len({row["record"] for row in together}) == 4


def test_clock_of_a_simulation_is_simulated(tmp_path: Path) -> None:
    class Looks(hr.Strategy):
        def process_new_market(self, market: Any, book: Any) -> None:
            self.record(market, simulated=market.clock.simulated, now=market.clock.now().timestamp() * 1000 - T0)

    assert records(hr.backtest(Looks(), many(tmp_path, 1), engine="local")) == [{"simulated": True, "now": 0.0}]


# -- clients ---------------------------------------------------------------------------------------------------------


class BothClients(hr.Strategy):
    """Backs at 1.8 with each client, one of which takes no better price."""

    def start(self, framework: Any) -> None:
        self.known = [client.username for client in self.clients]

    def check_market_book(self, market: Any, book: Any) -> bool:
        return book.publish_time_epoch == T0 + 100

    def process_market_book(self, market: Any, book: Any) -> None:
        for username in self.known:
            client = self.clients.get_client(hr.VenueType.SIMULATED, username)
            with market.transaction(client=client) as transaction:
                order = hr.Trade(market.market_id, 1, 0, self).create_order("BACK", hr.LimitOrder(1.8, 2.0))
                transaction.place_order(order)


def two_clients(folder: Path, strategy: hr.Strategy, first: Any = None, second: Any = None) -> hr.Result:
    run = hr.Simulation(folder, engine="local")
    run.add_client(hr.SimulatedClient(username="first", **(first or {})))
    run.add_client(hr.SimulatedClient(username="second", **(second or {})))
    run.add_strategy(strategy)
    return run.run()


def test_best_price_is_each_clients_own_choice(tmp_path: Path) -> None:
    result = two_clients(many(tmp_path, 1), BothClients(max_live_trade_count=2), None, {"best_price_execution": False})
    rows = {row["client"]: (row["average_price_matched"], row["size_lapsed"]) for row in result.orders.to_pylist()}
    assert rows == {"first": (2.0, 0.0), "second": (0.0, 2.0)}


def test_commission_is_each_clients_own(tmp_path: Path) -> None:
    settings = ({"commission_base": 0.10}, {"commission_base": 0.02})
    result = two_clients(many(tmp_path, 1), BothClients(max_live_trade_count=2), *settings)
    (market,) = result.markets.to_pylist()
    assert (market["profit"], market["commission"]) == (4.0, 0.24)


def test_least_stakes_are_of_each_clients_currency(tmp_path: Path) -> None:
    strategy = BothClients(max_live_trade_count=2)
    result = two_clients(many(tmp_path, 1), strategy, {"currency_code": "SEK"}, {"currency_code": "GBP"})
    assert result.orders["client"].to_pylist() == ["second"]
    unchecked = {"currency_code": "SEK", "min_bet_validation": False}
    result = two_clients(many(tmp_path, 1), BothClients(max_live_trade_count=2), unchecked)
    assert result.orders["client"].to_pylist() == ["first", "second"]


def test_client_that_was_added_does_wherever_it_is_known_from(tmp_path: Path) -> None:
    second = hr.SimulatedClient(username="second")

    class Keeps(BothClients):
        def process_market_book(self, market: Any, book: Any) -> None:
            order = hr.Trade(market.market_id, 1, 0, self).create_order("BACK", hr.LimitOrder(2.0, 2.0))
            market.place_order(order, client=second)
            market.place_order(
                hr.Trade(market.market_id, 2, 0, self).create_order("BACK", hr.LimitOrder(2.0, 2.0)),
                client=hr.SimulatedClient(username="third"),
            )

    result = two_clients(many(tmp_path, 1), Keeps())
    assert result.orders["client"].to_pylist() == ["second"]
    assert result.transactions["client"].to_pylist() == ["second"]
    (failure,) = result.failures.to_pylist()
    assert failure["message"] == "client=<SimulatedClient 'third'> was not added to the run; it has first, second"


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


# -- raw data --------------------------------------------------------------------------------------------------------


class Raw(hr.Strategy):
    seen: ClassVar[list[Any]] = []

    def check_market_book(self, market: Any, book: Any) -> bool:
        raise AssertionError("a data stream has no books")

    def process_raw_data(self, clk: str, publish_time: int, datum: dict[str, Any]) -> None:
        Raw.seen.append((clk, publish_time - T0, datum))


@pytest.mark.parametrize("config", [hr.Config(), FLUMINE], ids=["ours", "flumine"])
def test_data_stream_shows_every_change_as_it_was_sent_and_no_books(tmp_path: Path, config: hr.Config) -> None:
    Raw.seen.clear()
    stream = priced().touch(400).close()
    path = stream.write(tmp_path / stream.market_id)
    result = hr.backtest(Raw(stream_class=hr.DataStream), path, engine="local", config=config)
    assert result.failures.to_pylist() == []
    assert Raw.seen == [("A", line["pt"] - T0, change) for line in stream.lines for change in line["mc"]]


def test_data_stream_and_books_go_side_by_side(tmp_path: Path) -> None:
    Raw.seen.clear()
    stream = priced().touch(400).close()
    path = stream.write(tmp_path / stream.market_id)
    result = hr.backtest([Raw(stream=hr.DataStream()), Reads()], path, engine="local")
    assert (len(Raw.seen), len(records(result))) == (4, 3)


# -- what strategies may not do --------------------------------------------------------------------------------------


def test_wrong_parameters_are_one_clear_sentence() -> None:
    with pytest.raises(TypeError, match="Watches has no parameter 'skipp'; did you mean 'skip'"):
        Watches(skipp=1)
    with pytest.raises(TypeError, match=r"Watches.skip = 'x': expected a whole number"):
        Watches(skip="x")


def test_mutable_default_is_one_clear_sentence() -> None:
    class Shared(hr.Strategy):
        seen: list[int] = []  # noqa: RUF012

    with pytest.raises(TypeError, match=r"Shared\.seen = \[\].*shared by all markets"):
        Shared()


@pytest.mark.ray
def test_strategy_that_cannot_be_sent_is_one_clear_sentence(ray_local: None, tmp_path: Path) -> None:
    strategy = Watches()
    strategy.lock = threading.Lock()
    with pytest.raises(hr.RunError, match=r"Watches: attribute 'lock'.*cannot be sent to workers.*hr.resource"):
        hr.backtest(strategy, many(tmp_path, 1), engine="ray")
