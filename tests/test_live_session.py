"""A live session, all of it: recorded at the rehearsal exchange, its result, and its replay, which decides alike."""

from __future__ import annotations

import bz2
import json
import socket
from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec
import pytest

import headrace as hr
from headrace.simulate.generator import write_markets
from headrace.simulate.latency import latency_model
from headrace.simulate.session_exchange import SessionMarket
from headrace.strategies.messages import Request

pytestmark = pytest.mark.slow


class Trader(hr.Strategy):
    """Rests bets and takes prices by turns, and moves or cancels what has rested for a second and a half."""

    stake: float = 2.0

    def check_market_book(self, market: Any, book: Any) -> bool:
        return book.status == "OPEN"

    def process_market_book(self, market: Any, book: Any) -> None:
        for place, runner in enumerate(book.runners[:4]):
            context = self.get_runner_context(market.market_id, runner.selection_id, runner.handicap)
            if runner.status != "ACTIVE" or context.live_trade_count or context.trade_count > 8:
                continue
            backs, taking = place % 2 == 1, context.trade_count % 2 == 1
            ladder = runner.ex.available_to_back if backs == taking else runner.ex.available_to_lay
            price = hr.get_price(ladder, 0)
            if price and price < 20:
                trade = hr.Trade(market.market_id, runner.selection_id, runner.handicap, self)
                market.place_order(trade.create_order("BACK" if backs else "LAY", hr.LimitOrder(price, self.stake)))
        for order in market.blotter.strategy_orders(self):
            if order.status is hr.OrderStatus.EXECUTABLE and (order.elapsed_seconds or 0.0) > 1.5:
                self.move(market, book, order)

    def move(self, market: Any, book: Any, order: Any) -> None:
        exchange = book.runner(order.selection_id, order.handicap).ex
        best = hr.get_price(exchange.available_to_back if order.side == "BACK" else exchange.available_to_lay, 0)
        if order.selection_id % 2 and best and best != order.order_type.price:
            market.replace_order(order, best)
        else:
            market.cancel_order(order)


def trader() -> Trader:
    return Trader(max_live_trade_count=20, max_trade_count=1000)


def decision(request: dict[str, Any], instruction: dict[str, Any]) -> tuple[Any, ...]:
    """What was asked for and when, without names."""
    names = ("selection_id", "handicap", "side", "order_type", "price", "size", "new_price", "size_reduction")
    return request["asked_at"], request["kind"], *(instruction.get(name) for name in names)


def decisions_of(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """The requests of a recorded session by market, in order."""
    found = defaultdict(list)
    for path in folder.glob("hosts/*/session/*/*.bz2"):
        for line in map(json.loads, bz2.decompress(path.read_bytes()).splitlines()):
            if line["op"] == "asked":
                request = line["request"]
                found[request["market_id"]] += [decision(request, each) for each in request["instructions"]]
    return found


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, hr.Result]:
    folder = tmp_path_factory.mktemp("session")
    with hr.RehearsalExchange(generate=3, speed=20, seed=3, accounts=["alice"]) as exchange:
        live = hr.Live(
            engine="local", record=folder / "session", out=folder / "out", instance=folder / "instance", page=False
        )
        live.add_client(hr.BetfairClient(exchange.client("alice")))
        live.add_strategy(trader())
        live.start()
        live.wait(12)
        return folder, live.end()


def test_a_session_has_a_result_like_any_other(session: tuple[Path, hr.Result]) -> None:
    folder, result = session
    assert result.failures.to_pylist() == []
    assert result.orders.num_rows > 20
    assert set(result.markets["strategy"].to_pylist()) == {"Trader"}
    (summary,) = result.summary().to_pylist()
    assert summary["orders"] == result.orders.num_rows
    matched = result.sql("select sum(size_matched) as matched from orders").to_pylist()[0]["matched"]
    assert matched == pytest.approx(sum(result.markets["matched"].to_pylist()))
    for row in result.orders.to_pylist():
        moments = [row[name] for name in ("placed_at", "first_matched_at", "completed_at")]
        assert (moments[1] is not None) == (row["size_matched"] > 0)
        assert moments[1] is None or moments == sorted(moments)
    loaded = hr.Result.load(folder / "out")
    assert loaded.digest == result.digest
    assert loaded.manifest["finished"] is True
    assert loaded.manifest["instance_id"] == socket.gethostname()
    assert loaded.to_html(folder / "page.html").exists()


def test_its_replay_takes_the_same_decisions_and_bets_end_alike(
    session: tuple[Path, hr.Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One difference is allowed: the stop of the system cancelled what rested, which was not a strategy's decision."""
    folder, result = session
    replayed = defaultdict(list)
    send = SessionMarket.send

    def noting(self: SessionMarket, request: Request) -> None:
        told = msgspec.to_builtins(request)
        replayed[request.market_id] += [decision(told, each) for each in told["instructions"]]
        send(self, request)

    monkeypatch.setattr(SessionMarket, "send", noting)
    again = hr.backtest(trader(), str(folder / "session"), session=True, engine="local")
    assert again.failures.to_pylist() == []
    there = decisions_of(folder / "session")
    assert sum(map(len, there.values())) > 40
    assert {kind for asked in there.values() for _, kind, *_ in asked} == {"PLACE", "CANCEL", "REPLACE"}
    for market_id, asked in there.items():
        assert replayed[market_id] == asked, market_id
    lived, simulated = by_market(result), by_market(again)
    assert lived.keys() == simulated.keys()
    for market_id, orders in lived.items():
        for live, simulation in zip(orders, simulated[market_id], strict=True):
            if simulation["status"] == "EXECUTABLE":
                assert live["size_cancelled"] == simulation["size_remaining"], "the stop has cancelled it"
                live["status"], live["size_cancelled"], live["size_remaining"] = (
                    "EXECUTABLE",
                    0.0,
                    live["size_cancelled"],
                )
            assert live == simulation, market_id


def test_its_latencies_can_be_those_of_a_simulation(session: tuple[Path, hr.Result], tmp_path: Path) -> None:
    """The line is within the machine: requests are there sooner than the constants say."""
    folder, _ = session
    config = hr.Config(latency=f"session:{folder / 'session'}")
    model = latency_model(config)
    assert isinstance(model, hr.SessionLatency)
    assert model.counts.keys() == {"PLACE", "CANCEL", "REPLACE"}
    asked = [kind for each in decisions_of(folder / "session").values() for _, kind, *_ in each]
    assert all(0 < count <= asked.count(kind) for kind, count in model.counts.items())
    (recording,) = write_markets(tmp_path / "markets", 1, seed=3, changes=200, compression="none")
    digests = {hr.backtest(trader(), str(recording), config=config, engine="local").digest for _ in range(2)}
    assert len(digests) == 1


def by_market(result: hr.Result) -> dict[str, list[dict[str, Any]]]:
    found = defaultdict(list)
    names = ("selection_id", "side", "price", "size", "status", "size_matched", "average_price_matched")
    sizes = ("size_cancelled", "size_remaining", "size_lapsed", "error_code", "placed_at")
    for order in result.orders.to_pylist():
        found[order["market_id"]].append({name: order[name] for name in (*names, *sizes)})
    return found
