"""Calibration: the orders of a recorded session beside their simulation, and the settings that fit best."""

from __future__ import annotations

import bz2
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import headrace as hr
from builders import MARKET, T0, Stream
from headrace.actors.session_lines import answered_line, asked_line, begin_line
from headrace.cli import main
from headrace.config import ConfigError
from headrace.strategies.messages import (
    CANCEL,
    PLACE,
    REFUSED,
    STREAM,
    CancelInstruction,
    OrderFact,
    PlaceInstruction,
    Reply,
    Request,
)

#: Milliseconds from a request to the exchange in these sessions.
LATENCY = 40


class Session:
    """A session's file, written as a host writes it: changes as they come, and orders that wait at 3.0 to be backed."""

    def __init__(self) -> None:
        self.stream = Stream()
        self.more: list[tuple[int, bytes]] = []
        self.count = 0

    def level(self, at: int, size: float, traded: float, price: float = 3.0) -> Session:
        """What waits to be laid at the price, and what was traded there, both sides."""
        self.stream.prices(
            at, {1: {"atl": [[price, size]], "trd": [[price, traded]], "atb": [[2.9, 50]], "ltp": price}}
        )
        return self

    def order(self, at: int, facts: list[tuple[int, float]], size: float = 10.0, paper: bool = False) -> str:
        """An order is asked for. `facts`: when the exchange told how much of it was matched."""
        self.count += 1
        order_id = f"10{self.count}"
        wanted = PlaceInstruction(order_id, order_id, 1, 0.0, "BACK", "LIMIT", 3.0, size, None, "LAPSE")
        request = Request(f"r{order_id}", MARKET, "Waits", "BETFAIR", "alice", PLACE, (wanted,), T0 + at)
        self.more.append((at, asked_line(T0 + at, request)))
        if paper:
            self.more.append((at, asked_line(T0 + at, request, paper=True)))
        for told, matched in [(at + LATENCY, 0.0), *facts]:
            rest = round(size - matched, 2)
            average = 3.0 if matched else 0.0
            fact = OrderFact(MARKET, order_id, f"b{order_id}", STREAM, T0 + told, rest > 0, 3.0, size, "LAPSE", matched,
                             average, rest)  # fmt: skip
            self.more.append((told, answered_line(T0 + told, fact)))
        return order_id

    def cancel(self, at: int, order_id: str, size: float, matched: float) -> Session:
        wanted = CancelInstruction(order_id, f"b{order_id}")
        request = Request(f"c{order_id}", MARKET, "Waits", "BETFAIR", "alice", CANCEL, (wanted,), T0 + at)
        self.more.append((at, asked_line(T0 + at, request)))
        gone = round(size - matched, 2)
        average, when = 3.0 if matched else 0.0, T0 + at + LATENCY
        asked_for = (3.0, size, "LAPSE")
        fact = OrderFact(MARKET, order_id, f"b{order_id}", STREAM, when, False, *asked_for, matched, average, 0.0, gone)
        self.more.append((at + LATENCY, answered_line(T0 + at + LATENCY, fact)))
        return self

    def write(self, folder: Path, end: int = 60_000) -> Path:
        self.stream.close(end)
        changes = []
        for line in self.stream.lines:
            at = line["pt"] - T0
            changes.append(
                (at, json.dumps({"op": "mcm", "pt": line["pt"], "at": line["pt"], "mc": line["mc"]}).encode())
            )
        lines = sorted([*changes, *self.more], key=lambda each: each[0])
        path = folder / "hosts" / "host" / "session" / "s1.market" / f"{MARKET}.bz2"
        path.parent.mkdir(parents=True)
        path.write_bytes(
            bz2.compress(b"\n".join([begin_line(T0, "host", ("Waits",)), *(line for _, line in lines)]) + b"\n")
        )
        return folder


def waiting(folder: Path, facts: list[tuple[int, float]]) -> Path:
    """An order of 10 with 100 ahead and then 100 behind; 100 are cancelled, 60 traded, and a long time nothing happens.

    Ahead of it are then, before the trade, 100 with the pessimistic queue, 50 with the proportional, 0 with the
    optimistic one, and 100 less 100 times the share.
    """
    session = Session().level(100, 100, 10)
    session.order(200, facts)
    session.level(1000, 200, 10).level(2000, 100, 10).level(3000, 40, 130)
    session.stream.touch(30_000)
    return session.write(folder)


@pytest.mark.parametrize(
    ("matched", "queue"),
    [
        (0.0, "pessimistic"),
        (10.0, "proportional"),
        (4.0, "share:0.4"),  # 60 are ahead of it: nothing; with half of the cancellations 10
    ],
)
def test_the_queue_that_fits_is_found(tmp_path: Path, matched: float, queue: str) -> None:
    found = hr.calibrate(waiting(tmp_path, [(3000, matched)] if matched else []))
    assert (found.orders, found.markets) == (1, 1)
    assert found.errors["pessimistic"] == matched
    assert found.errors["optimistic"] == found.errors["proportional"] == 10 - matched
    if matched == 4.0:
        # No tenth gives 4: the nearest that does not match at all is as far away as the pessimistic queue.
        assert found.errors["share:0.4"] == found.errors["pessimistic"] == 4.0
        assert found.queue == "pessimistic"
    else:
        assert found.queue == queue
    (row,) = found.fill_rates
    assert (row["ahead"], row["orders"], row["size"]) == ("5x to 20x", 1, 10.0)
    assert (row["session"], row["pessimistic"], row["optimistic"]) == (matched / 10, 0.0, 1.0)


def test_a_share_between_is_found(tmp_path: Path) -> None:
    """Of 100 cancelled 60 were ahead: 40 are left, of which 38 are traded, and another order behind none."""
    session = Session().level(100, 100, 10)
    session.order(200, [])
    session.level(1000, 200, 10).level(2000, 100, 10).level(3000, 65, 80).level(4000, 58, 94)
    session.stream.touch(30_000)
    # 35 and then 7 traded: with a share of 0.6 (40 ahead) the order has 2 of its 10 matched.
    session.more.append(
        (
            4000,
            answered_line(
                T0 + 4000, OrderFact(MARKET, "101", "b101", STREAM, T0 + 4000, True, 3.0, 10.0, "LAPSE", 2.0, 3.0, 8.0)
            ),
        )
    )
    found = hr.calibrate(session.write(tmp_path))
    assert found.errors["share:0.6"] == 0.0
    assert found.queue == "share:0.6"
    config = hr.Config.from_toml(found.to_toml(tmp_path / "measured.toml"))
    assert (config.queue, config.place_latency) == ("share:0.6", LATENCY / 1000)
    again = hr.calibrate(tmp_path, config=config)
    assert again.fill_rates[0]["share:0.6"] == 0.2


def test_times_prices_and_latencies_are_measured(tmp_path: Path) -> None:
    found = hr.calibrate(waiting(tmp_path, [(3000, 10.0)]))
    assert found.latencies == {"PLACE": {"requests": 1, "median": LATENCY / 1000}}
    times = {row["of"]: row for row in found.times_to_fill}
    assert times["session"] == {"of": "session", "orders": 1, "quarter": 2.76, "median": 2.76, "three_quarters": 2.76}
    assert times["optimistic"]["median"] == 2.76
    assert times["pessimistic"] == {
        "of": "pessimistic", "orders": 0, "quarter": None, "median": None, "three_quarters": None,
    }  # fmt: skip
    prices = {row["of"]: row for row in found.slippage}
    assert (prices["session"]["asked"], prices["session"]["matched"]) == (0.0, 10.0)
    assert prices["session"]["best"] == pytest.approx(3.0 / 2.9 - 1, abs=1e-6)
    assert prices["pessimistic"]["asked"] is None


def test_a_cancelled_order_is_looked_at_until_its_end(tmp_path: Path) -> None:
    """What is traded after the cancel counts for no queue."""
    session = Session().level(100, 100, 10)
    order_id = session.order(200, [])
    session.level(1000, 200, 10).cancel(1500, order_id, 10.0, 0.0).level(4000, 5, 400)
    session.stream.touch(30_000)
    found = hr.calibrate(session.write(tmp_path))
    assert set(found.errors.values()) == {0.0}
    assert found.queue is None
    assert found.settings == {"place_latency": LATENCY / 1000, "cancel_latency": LATENCY / 1000}


def test_a_greater_share_never_matches_less() -> None:
    queues = [hr.PessimisticQueue(), *(hr.ShareQueue(tenth / 10) for tenth in range(11)), hr.OptimisticQueue()]
    left = []
    for queue in queues:
        ahead = 80.0
        for size, waiting_there in ((30.0, 120.0), (10.0, 90.0), (25.0, 80.0)):
            factor, less = queue.cancelled(size, waiting_there)
            ahead = min(max(ahead * factor - less, 0.0), waiting_there - size)
        left.append(ahead)
    assert left == sorted(left, reverse=True)
    assert left[0] == left[1]
    assert left[-1] == left[-2]


@pytest.mark.parametrize("queue", ["share", "share:", "share:1.1", "share:-0.1", "share:half", "share:nan", "middle"])
def test_a_share_is_a_number_from_0_to_1(queue: str) -> None:
    with pytest.raises(ConfigError, match=f"queue='{queue}': expected"):
        hr.Config(queue=queue)


# -- a rehearsal -----------------------------------------------------------------------------------------------------


class Joins(hr.Strategy):
    """Backs runners at the price that others wait at, and moves or cancels what is not matched."""

    def check_market_book(self, market: Any, book: Any) -> bool:
        return book.status == "OPEN"

    def process_market_book(self, market: Any, book: Any) -> None:
        for runner in book.runners[:4]:
            context = self.get_runner_context(market.market_id, runner.selection_id, runner.handicap)
            if runner.status != "ACTIVE" or context.live_trade_count or context.trade_count > 5:
                continue
            taking = context.trade_count % 3 == 2
            price = hr.get_price(runner.ex.available_to_back if taking else runner.ex.available_to_lay, 0)
            if price and price < 20:
                trade = hr.Trade(market.market_id, runner.selection_id, runner.handicap, self)
                market.place_order(trade.create_order("BACK", hr.LimitOrder(price, 2.0)))
        for order in market.blotter.strategy_orders(self):
            if order.status is hr.OrderStatus.EXECUTABLE and (order.elapsed_seconds or 0.0) > 1.5:
                market.cancel_order(order)


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rehearsed")
    with hr.RehearsalExchange(generate=2, speed=20, seed=3, accounts=["alice"]) as exchange:
        live = hr.Live(engine="local", record=folder / "session", instance=folder / "instance", page=False)
        live.add_client(hr.BetfairClient(exchange.client("alice")))
        live.add_strategy(Joins(max_live_trade_count=20, max_trade_count=1000))
        live.start()
        live.wait(6)
        live.end()
    return folder / "session"


def run(*words: Any) -> Any:
    return CliRunner().invoke(main, ["calibrate", *map(str, words)])


def test_a_rehearsal_is_compared_from_the_shell(rehearsed: Path, tmp_path: Path) -> None:
    answer = run(rehearsed, "--out", tmp_path / "measured.toml")
    assert answer.exit_code == 0, answer.output
    for text in ("limit orders in 2 markets", "matched at once", "proportional", "optimistic", "settings in"):
        assert text in answer.output
    config = hr.Config.from_toml(tmp_path / "measured.toml")
    assert 0 <= config.place_latency < 1
    told = json.loads(run(rehearsed, "--json").output)
    assert told["settings"]["place_latency"] == config.place_latency
    assert told["orders"] == sum(row["orders"] for row in told["fill_rates"]) > 10
    taken = next(row for row in told["fill_rates"] if row["ahead"] == "matched at once")
    assert taken["session"] > 0.9
    assert taken["proportional"] == pytest.approx(taken["session"], abs=0.1)
    assert run(rehearsed, "--config", tmp_path / "measured.toml").exit_code == 0


def test_settings_are_not_written_over_others(rehearsed: Path, tmp_path: Path) -> None:
    (tmp_path / "measured.toml").write_text("mine")
    answer = run(rehearsed, "--out", tmp_path / "measured.toml")
    assert answer.exit_code == 2
    assert "is there already" in answer.output
    assert (tmp_path / "measured.toml").read_text() == "mine"


# -- what cannot be --------------------------------------------------------------------------------------------------


def empty(folder: Path) -> Path:
    return folder


def plain(folder: Path) -> Path:
    Stream().close(9000).write(folder / MARKET)
    return folder


def without_orders(folder: Path) -> Path:
    return Session().level(100, 100, 10).write(folder)


def on_paper(folder: Path) -> Path:
    session = Session().level(100, 100, 10)
    session.order(200, [], paper=True)
    return session.write(folder)


def refused(folder: Path) -> Path:
    session = Session().level(100, 100, 10)
    session.order(200, [])
    asked, _ = session.more
    reply = Reply("r101", MARKET, T0 + 240, outcome=REFUSED)
    session.more = [asked, (240, answered_line(T0 + 240, reply))]
    return session.write(folder)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (empty, ""),
        (plain, "no session here"),
        (without_orders, "the session has no orders"),
        (on_paper, "matched on paper"),
        (refused, "no limit order of the session reached the exchange"),
    ],
)
def test_what_cannot_be_compared_is_said(make: Callable[[Path], Path], message: str, tmp_path: Path) -> None:
    answer = run(make(tmp_path))
    assert answer.exit_code == 2, answer.output
    assert message in answer.output
    assert answer.output.startswith("headrace: ")


def test_it_has_our_own_rules(tmp_path: Path) -> None:
    answer = run(waiting(tmp_path, []), "--set", "compatibility=flumine")
    assert answer.exit_code == 2
    assert "compatibility" in answer.output


def test_a_damaged_market_is_left_out(tmp_path: Path) -> None:
    folder = waiting(tmp_path, [(3000, 10.0)])
    (path,) = folder.glob("hosts/*/session/*/*.bz2")
    lines = bz2.decompress(path.read_bytes())
    path.with_name("1.100000002.bz2").write_bytes(bz2.compress(lines + b'{"op": broken\n'))
    answer = run(folder)
    assert answer.exit_code == 1
    assert "1 limit order in 1 market\n" in answer.output
    assert "left out: " in answer.output
    assert "1.100000002.bz2" in answer.output
