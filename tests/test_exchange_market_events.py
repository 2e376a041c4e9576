"""What happens to markets on demand: suspensions, later starts, removed runners, other results."""

from __future__ import annotations

from typing import Any

from exchange_builders import MARKET, T0, Exchange, Fault, Stream, exchange_of, faults_of
from exchange_requests import place
from headrace.simulate.exchange.betting.bank import Bank
from headrace.simulate.exchange.exchange import ExchangeMarket
from headrace.simulate.exchange.faults import Faults
from headrace.simulate.exchange.ledger import Entry
from headrace.simulate.exchange.market_events import MarketEvents
from headrace.simulate.exchange.settings import Timers
from headrace.simulate.exchange.timeline import written


class Watch:
    """Notes what is published of definitions, and settlements, with their times."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.seen: list[tuple[int, Any]] = []
        exchange.listeners.append(self)

    def market_changed(self, market: ExchangeMarket, touched: Any) -> None:
        if touched.definition:
            sent = market.public.definition
            assert sent["status"] == market.definition.status
            assert sent["version"] == market.definition.version
            assert [each["status"] for each in sent["runners"]] == [each.status for each in market.definition.runners]
            self.seen.append((self.exchange.clock.now_ms - T0, sent))

    def market_settled(self, market: ExchangeMarket) -> None:
        self.seen.append((self.exchange.clock.now_ms - T0, "settled"))

    def message_ended(self, at: int) -> None: ...
    def market_gone(self, market: ExchangeMarket) -> None: ...
    def bet_changed(self, bet: Any) -> None: ...
    def sports(self, at: int, operation: str, change: Any) -> None: ...

    def fields(self, *names: str) -> list[tuple[Any, ...]]:
        return [(at, *(sent[name] for name in names)) for at, sent in self.seen if sent != "settled"]

    def runners(self) -> list[tuple[Any, ...]]:
        return [(at, *(each["status"] for each in sent["runners"])) for at, sent in self.seen if sent != "settled"]


def watched(stream: Stream, *faults: Fault, **settings: Any) -> tuple[Exchange, Faults, Watch]:
    exchange = exchange_of(stream, **settings)
    found = faults_of(exchange, *faults)
    MarketEvents(exchange, found)
    return exchange, found, Watch(exchange)


def run(exchange: Exchange, until: int) -> None:
    exchange.advance(T0 + until)


def told(exchange: Exchange) -> list[Entry]:
    return exchange.ledger.entries(kind="MARKET")


def test_a_market_is_suspended_for_a_while_and_then_is_as_recorded() -> None:
    stream = Stream().touch(900).turn_in_play(1_500, version=3).touch(5_000)
    exchange, faults, watch = watched(stream, Fault("event.suspend", seconds=2.0))
    run(exchange, 10_000)
    assert watch.fields("status", "inPlay", "version") == [
        (0, "OPEN", False, 1),
        (0, "SUSPENDED", False, 2),
        (1_500, "SUSPENDED", True, 4),
        (2_000, "OPEN", True, 5),
    ]
    assert faults.counts == {"event.suspend": 1}


def test_a_close_ends_a_suspension() -> None:
    exchange, _, watch = watched(Stream().close(1_000), Fault("event.suspend", seconds=2.0))
    run(exchange, 10_000)
    assert watch.fields("status") == [(0, "OPEN"), (0, "SUSPENDED"), (1_000, "CLOSED")]


def test_a_fault_set_up_while_nothing_is_played_acts_at_once() -> None:
    exchange, faults, watch = watched(Stream().touch(60_000))
    run(exchange, 1_000)
    faults.add(Fault("event.suspend", seconds=1.0, market_id=MARKET))
    run(exchange, 1_000)
    assert watch.fields("status") == [(0, "OPEN"), (1_000, "SUSPENDED")]
    run(exchange, 2_000)
    assert watch.fields("status")[-1] == (2_000, "OPEN")


def test_a_fault_of_another_market_does_nothing() -> None:
    exchange, faults, watch = watched(Stream().touch(900), Fault("event.suspend", market_id="1.9"))
    run(exchange, 1_000)
    assert watch.fields("status") == [(0, "OPEN")]
    assert not faults.counts


def test_a_start_moves_and_stays_moved() -> None:
    start = {"marketTime": written(T0 + 60_000), "suspendTime": written(T0 + 60_000)}
    stream = Stream(**start).define(1_000, venue="Ascot")
    exchange, _, watch = watched(stream, Fault("event.move_start", seconds=300.0))
    run(exchange, 2_000)
    moved = written(T0 + 360_000)
    assert watch.fields("marketTime", "suspendTime") == [
        (0, written(T0 + 60_000), written(T0 + 60_000)),
        (0, moved, moved),
        (1_000, moved, moved),
    ]
    start_time = exchange.markets[MARKET].definition.market_time
    assert start_time is not None
    assert start_time.timestamp() * 1000 == T0 + 360_000


def test_a_removed_runner_stays_removed_without_prices_and_does_not_win() -> None:
    runners = {n: {"status": "ACTIVE", "adjustmentFactor": 20.0} for n in (1, 2, 3)}
    stream = Stream(runners=runners).prices(100, {2: {"atb": [[2.0, 10]]}, 3: {"atb": [[3.0, 10]]}})
    stream.touch(500).prices(700, {2: {"atb": [[2.2, 5]]}, 3: {"atl": [[3.2, 1]]}}).close(9_000, winner=2)
    exchange, faults, watch = watched(stream)
    run(exchange, 600)
    faults.add(Fault("event.remove_runner", value="2"))
    run(exchange, 800)
    market = exchange.markets[MARKET]
    assert market.public.runner(2, 0.0).ladder("atb") == {}
    assert market.public.runner(3, 0.0).ladder("atb") == {3.0: 10}
    assert market.public.runner(3, 0.0).ladder("atl") == {3.2: 1}
    run(exchange, 9_000)
    assert watch.runners() == [
        (0, "ACTIVE", "ACTIVE", "ACTIVE"),
        (600, "ACTIVE", "REMOVED", "ACTIVE"),
        (9_000, "WINNER", "REMOVED", "LOSER"),
    ]
    assert watch.fields("numberOfActiveRunners")[1] == (600, 2)
    assert watch.seen[-2][1]["runners"][1]["removalDate"] == written(T0 + 600)
    assert [(entry.at - T0, entry.values["what"], entry.values.get("selection_id")) for entry in told(exchange)] == [
        (0, "OPENED", None),
        (600, "RUNNER_REMOVED", 2),
        (9_000, "CLOSED", None),
        (9_000, "SETTLED", None),
    ]


def test_the_last_runner_is_not_removed() -> None:
    runners = {1: {"status": "ACTIVE"}, 2: {"status": "REMOVED"}}
    exchange, faults, watch = watched(Stream(runners=runners).touch(10), Fault("event.remove_runner"))
    run(exchange, 100)
    assert watch.runners() == [(0, "ACTIVE", "REMOVED")]
    assert not faults.counts


def test_a_closed_market_opens_again_and_closes_with_another_winner() -> None:
    stream = Stream().close(1_000, winner=1, settledTime=written(T0 + 990)).touch(3_500)
    exchange, _, watch = watched(stream, Fault("event.reopen", seconds=2.0))
    run(exchange, 10_000)
    assert watch.runners() == [
        (0, "ACTIVE", "ACTIVE"),
        (1_000, "WINNER", "LOSER"),
        (3_000, "ACTIVE", "ACTIVE"),
        (5_000, "LOSER", "WINNER"),
    ]
    assert [at for at, what in watch.seen if what == "settled"] == [1_000, 5_000]
    assert "settledTime" not in watch.seen[3][1]
    assert [entry.values["what"] for entry in exchange.ledger.entries(kind="MARKET")] == [
        "OPENED", "CLOSED", "SETTLED", "REOPENED", "CLOSED", "SETTLED",
    ]  # fmt: skip


def test_a_market_settles_late() -> None:
    exchange, _, watch = watched(Stream().close(1_000), timers=Timers(settle=5_400.0))
    run(exchange, 1_000 + 5_400_000)
    assert [at for at, what in watch.seen if what == "settled"] == [1_000 + 5_400_000]


def test_a_market_that_is_settled_twice_has_other_winners_the_second_time() -> None:
    exchange, _, watch = watched(Stream().close(1_000, winner=1), settle_twice=True, timers=Timers(settle=10.0))
    run(exchange, 60_000)
    assert watch.runners()[1:] == [(1_000, "WINNER", "LOSER"), (21_000, "LOSER", "WINNER")]
    assert [at for at, what in watch.seen if what == "settled"] == [11_000, 21_000]
    assert exchange.ledger.entries(kind="MARKET")[-1].values["what"] == "SETTLED_AGAIN"


def test_money_follows_the_second_settlement() -> None:
    stream = Stream().prices(100, {1: {"atb": [[3.0, 50]]}}).touch(500).close(1_000, winner=1)
    exchange, faults, _ = watched(stream, settle_twice=True, timers=Timers(settle=10.0))
    bank = Bank(exchange, faults)
    run(exchange, 200)
    bet = place(exchange, price=3.0, size=10.0)
    run(exchange, 10_900)
    assert (bet.result, bank.balance("alice")) == (None, 10_000.0)
    run(exchange, 11_000)
    assert bet.result is not None
    assert (bet.result.profit, bet.settled_ms, bank.balance("alice")) == (20.0, T0 + 11_000, 10_019.0)
    run(exchange, 21_000)
    assert bet.result is not None
    assert (bet.result.profit, bet.settled_ms, bank.balance("alice")) == (-10.0, T0 + 21_000, 9_990.0)


def test_a_result_that_is_said_twice_is_settled_once() -> None:
    exchange, _, watch = watched(Stream().close(1_000).close(2_000, version=7))
    run(exchange, 60_000)
    assert [at for at, what in watch.seen if what == "settled"] == [1_000]


def test_a_result_that_is_corrected_in_the_recording_is_settled_again() -> None:
    exchange, _, watch = watched(Stream().close(1_000, winner=1).close(2_000, winner=2))
    run(exchange, 60_000)
    assert [at for at, what in watch.seen if what == "settled"] == [1_000, 2_000]


def test_a_closed_market_vanishes_and_one_that_opened_again_does_not() -> None:
    timers = Timers(vanish=600.0)
    exchange, _, _ = watched(Stream().close(1_000), timers=timers)
    run(exchange, 600_999)
    assert list(exchange.markets) == [MARKET]
    run(exchange, 601_000)
    assert not exchange.markets
    exchange, _, _ = watched(Stream().close(1_000), Fault("event.reopen", seconds=100.0), timers=timers)
    run(exchange, 601_000)
    assert list(exchange.markets) == [MARKET]
    run(exchange, 201_000 + 600_000)
    assert not exchange.markets
