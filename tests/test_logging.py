"""Log lines of every process, and logging controls."""

from __future__ import annotations

import json
import logging
import os
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from builders import T0, priced, write


class Logs(hr.Strategy):
    def process_new_market(self, market: Any, book: Any) -> None:
        self.log.debug("look")
        self.log.info("new %s", market.market_id, extra={"runners": len(book.runners)})
        self.log.warning("careful")
        order = hr.Trade(market.market_id, 1, 0, self, notes={"why": "value"}).create_order(
            "BACK", hr.LimitOrder(2.0, 2.0)
        )
        market.place_order(order)


@pytest.fixture
def markets(tmp_path: Path) -> Path:
    folder = tmp_path / "markets"
    folder.mkdir()
    write(folder, *(priced(market_id=f"1.10000000{number}").touch(400).close() for number in (1, 2, 3)))
    return folder


def run(markets: Path, engine: str, *controls: Any, **settings: Any) -> hr.Result:
    made = hr.Simulation(markets, engine=engine, workers=1, **settings)
    made.add_client(hr.SimulatedClient())
    made.add_strategy(Logs())
    for control in controls:
        made.add_logging_control(control)
    return made.run()


def lines(out: Path) -> list[dict[str, Any]]:
    texts = [path.read_text() for path in sorted((out / "logs").glob("*.jsonl"))]
    return [json.loads(line) for text in texts for line in text.splitlines()]


# -- lines -----------------------------------------------------------------------------------------------------------


def test_lines_beside_the_result_are_json_with_their_market(engine: str, markets: Path, tmp_path: Path) -> None:
    config = hr.Config(instance_id="i-1", process_id=77)
    run(markets, engine, out=tmp_path / "out", config=config)
    found = [line for line in lines(tmp_path / "out") if line["levelname"] == "INFO"]
    assert sorted(line["market_id"] for line in found) == [f"1.10000000{n}" for n in (1, 2, 3)]
    for line in found:
        assert line["message"] == f"new {line['market_id']}"
        assert (line["strategy"], line["publish_time"], line["runners"]) == ("Logs", T0, 2)
        assert (line["instance_id"], line["process_id"]) == ("i-1", 77)
        assert line["name"] == "headrace.strategy.Logs"


def test_warnings_of_every_process_reach_the_driver(
    engine: str, markets: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        run(markets, engine)
    found = [record for record in caplog.records if record.getMessage() == "careful"]
    assert [record.levelno for record in found] == [logging.WARNING] * 3
    assert not [record for record in caplog.records if record.levelno < logging.WARNING]


@pytest.mark.parametrize(("level", "messages"), [("DEBUG", 9), ("INFO", 6), ("WARNING", 3), ("ERROR", 0)])
def test_lowest_level_of_lines_is_configured(markets: Path, tmp_path: Path, level: str, messages: int) -> None:
    run(markets, "local", out=tmp_path / "out", config=hr.Config(log_level=level))
    assert len(lines(tmp_path / "out")) == messages


def test_lines_may_be_plain(markets: Path, tmp_path: Path) -> None:
    run(markets, "local", out=tmp_path / "out", config=hr.Config(log_json=False))
    text = "".join(path.read_text() for path in (tmp_path / "out" / "logs").iterdir())
    assert "INFO Logs 1.100000001 new 1.100000001\n" in text
    assert "{" not in text


def test_instance_is_the_machine_unless_configured(markets: Path, tmp_path: Path) -> None:
    run(markets, "local", out=tmp_path / "out")
    assert {(line["instance_id"], line["process_id"]) for line in lines(tmp_path / "out")} == {
        (socket.gethostname(), os.getpid())
    }


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.kept.append((record.levelname, getattr(record, "strategy", None), getattr(record, "market_id", None)))


@pytest.fixture
def own_handler() -> Iterator[Kept]:
    handler = Kept()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


def test_handlers_of_the_user_get_the_market_and_no_lower_level_than_before(
    markets: Path, tmp_path: Path, own_handler: Kept
) -> None:
    run(markets, "local", out=tmp_path / "out", config=hr.Config(log_level="DEBUG"))
    assert own_handler.kept == [("WARNING", "Logs", f"1.10000000{n}") for n in (1, 2, 3)]


@pytest.mark.ray
def test_own_setup_of_logs_is_called_once_in_every_process(ray_local: None, markets: Path, tmp_path: Path) -> None:
    place = str(tmp_path / "calls")

    def setup() -> None:
        with open(place, "a") as file:
            file.write(f"{os.getpid()}\n")

    run(markets, "ray", config=hr.Config(log_setup=setup))
    calls = Counter(Path(place).read_text().split())
    assert calls.pop(str(os.getpid())) == 1
    assert list(calls.values()) == [1]


def test_failure_is_a_line_with_its_traceback(markets: Path, tmp_path: Path) -> None:
    class Fails(hr.Strategy):
        def process_new_market(self, market: Any, book: Any) -> None:
            raise LookupError("nothing")

    hr.backtest(Fails(), markets, engine="local", out=tmp_path / "out")
    found = lines(tmp_path / "out")
    assert {(line["levelname"], line["strategy"]) for line in found} == {("ERROR", "Fails")}
    assert all("LookupError: nothing" in line["exc_info"] for line in found)


# -- what `headrace check` finds -------------------------------------------------------------------------------------


class Dated(hr.Strategy):
    def process_new_market(self, market: Any, book: Any) -> None:
        import time

        self.record(market, real=time.time() > 0)


def test_simulation_warns_once_of_what_check_finds(markets: Path, caplog: pytest.LogCaptureFixture) -> None:
    hr.backtest([Dated(), Dated(name="other")], markets, engine="local")
    found = [record.getMessage() for record in caplog.records if "test_logging.py" in record.getMessage()]
    assert len(found) == 1
    assert "wall-clock" in found[0]


# -- logging controls ------------------------------------------------------------------------------------------------


class Journal(hr.LoggingControl):
    """Tells of each event what flumine's own examples read of it."""

    def __init__(self, fail: bool = False) -> None:
        self.told: list[Any] = []
        self.fail = fail

    def _process_config(self, event: Any) -> None:
        self.told.append(("config", event.event.seed, event.event.instance_id))

    def _process_strategy(self, event: Any) -> None:
        self.told.append(("strategy", event.event.name, event.event.info["name"]))

    def _process_market(self, event: Any) -> None:
        market = event.event
        self.told.append(("market", market.market_id, market.event_id, market.info["market_type"], len(market.blotter)))

    def _process_trade(self, event: Any) -> None:
        trade = event.event
        self.told.append(("trade", trade.id, trade.strategy.name, str(trade.strategy), trade.info["notes"]))

    def _process_order(self, event: Any) -> None:
        order = event.event
        self.told.append(
            ("order", order.market_id, order.bet_id, order.status, order.status.value, order.trade.strategy.name,
             order.order_type.ORDER_TYPE.name, order.order_type.price, order.size_matched, order.size_remaining,
             order.info["bet_id"], order.client.username, order.responses.date_time_placed, order.customer_order_ref)
        )  # fmt: skip
        if self.fail:
            raise OSError("disk full")

    def _process_cleared_orders_meta(self, event: Any) -> None:
        self.told.append(
            ("meta", [(o.bet_id, o.status.value, o.profit, o.average_price_matched, o.trade.notes_str,
                       o.trade.market_notes, o.elapsed_seconds_executable, o.simulated.fills, o.side,
                       o.selection_id) for o in event.event])
        )  # fmt: skip

    def _process_cleared_markets(self, event: Any) -> None:
        self.told.append(("cleared", event.event))

    def _process_closed_market(self, event: Any) -> None:
        market = event.event
        self.told.append(
            ("closed", market.market_id, market.status, market.closed, [order.profit for order in market.blotter],
             market.market_book.runners[0].status, market.date_time_closed, market.info)
        )  # fmt: skip

    def _process_end(self, event: Any) -> None:
        self.told.append(("end",))


@pytest.mark.ray
def test_logging_controls_hear_the_same_of_workers_as_of_this_process(ray_local: None, markets: Path) -> None:
    here, there = Journal(), Journal()
    run(markets, "local", here)
    run(markets, "ray", there)
    assert len(here.told) == 3 + 3 * 6
    assert here.told[0] == ("config", 0, socket.gethostname())
    assert [each[0] for each in here.told] == [
        "config", "strategy", *["market", "trade", "order", "meta", "cleared", "closed"] * 3, "end"
    ]  # fmt: skip

    def by_market(told: list[Any]) -> list[list[Any]]:
        """Batches come as they are done: markets are compared, not their order."""
        return sorted((told[at : at + 6] for at in range(2, 20, 6)), key=lambda each: each[0][1])

    assert by_market(there.told) == by_market(here.told)
    assert (there.told[:2], there.told[-1]) == (here.told[:2], here.told[-1])


@pytest.mark.ray
def test_failing_logging_control_stops_neither_the_run_nor_the_others(ray_local: None, markets: Path) -> None:
    failing, other = Journal(fail=True), Journal()
    result = run(markets, "ray", failing, other)
    assert result.failures.num_rows == 0
    assert other.told[-1] == ("end",)


@pytest.mark.ray
def test_events_are_not_kept_where_nobody_listens(ray_local: None, markets: Path) -> None:
    kept: list[int] = []
    made = hr.Simulation(
        markets, engine="ray", workers=1, progress=lambda done, total, part: kept.append(len(part.events))
    )
    made.add_client(hr.SimulatedClient())
    made.add_strategy(Logs())
    made.run()
    assert set(kept) == {0}


# -- what a process shows --------------------------------------------------------------------------------------------


class FailsAndWarns(hr.Strategy):
    stake: float = 2.0

    def process_new_market(self, market: Any, book: Any) -> None:
        self.log.warning("careful")
        raise LookupError("nothing")


@pytest.mark.parametrize("sweeps", [False, True], ids=["backtest", "sweep"])
@pytest.mark.parametrize(
    ("level", "shown"),
    [("INFO", ["careful", "LookupError"]), ("ERROR", ["LookupError"]), ("CRITICAL", [])],
)
def test_lines_below_the_configured_level_are_not_shown_in_one_process(
    markets: Path, caplog: pytest.LogCaptureFixture, level: str, shown: list[str], sweeps: bool
) -> None:
    config = hr.Config(log_level=level)
    before = logging.getLogger("headrace").level
    if sweeps:
        assert hr.sweep(FailsAndWarns, {"stake": [2]}, markets, engine="local", config=config).failures.num_rows
    else:
        assert hr.backtest(FailsAndWarns(), markets, engine="local", config=config).failures.num_rows
    assert [word for word in ("careful", "LookupError") if word in caplog.text] == shown
    assert logging.getLogger("headrace").level == before


class Cleared(hr.LoggingControl):
    def __init__(self) -> None:
        self.found: list[tuple[Any, ...]] = []

    def _process_cleared_markets(self, event: Any) -> None:
        for cleared in event.event.orders:
            self.found.append((cleared.market_id, cleared.profit, cleared.bet_count, cleared.bet_id))
            assert event.event["profit"] == cleared.profit
        assert event.event.more_available is False


def test_cleared_markets_are_told_as_objects_with_orders(markets: Path, engine: Any) -> None:
    control = Cleared()
    simulation = hr.Simulation(markets, engine=engine, workers=1)
    simulation.add_client(hr.SimulatedClient())
    simulation.add_strategy(hr.Strategy())
    simulation.add_logging_control(control)
    result = simulation.run()
    assert sorted(control.found) == [(row, 0, 0, None) for row in sorted(result.markets["market_id"].to_pylist())]
