"""Short times in which several things end at once, or the clock is set: what is asked for then is not lost, or late."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

import headrace as hr
from builders import T0, Stream
from headrace.actors.journal.entries import Kept, packed
from headrace.actors.letters import (
    Carried,
    Gone,
    Hosting,
    Introduce,
    Letter,
    MarketGone,
    Restore,
    Restored,
    Route,
    StreamState,
)
from headrace.actors.live.host import HostRole
from headrace.actors.live.setup import RiskLimits
from headrace.strategies.host import unique_id
from headrace.strategies.messages import (
    ANSWERED,
    CANCEL,
    EXPIRED,
    FAILURE,
    PLACE,
    REFUSED,
    SUCCESS,
    UPDATE,
    CancelInstruction,
    Reply,
    Report,
    Request,
    UpdateInstruction,
)
from headrace.strategies.snapshots import frozen
from live_builders import FakeMail
from live_coordinators import NOW, Bench, LiveClient, placing, resting, trading
from live_hosts import live_setup, msg_for, updates_of

HOUR = 3_600_000


PLACED = Report("a", PLACE, SUCCESS, bet_id="1")


class Counting(hr.Strategy):
    """Counts the markets that it was told of."""

    scope = "event"

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.count = 0

    def process_new_market(self, market: Any, market_book: Any) -> None:
        self.count += 1


def trading_on_paper(folder: Path) -> Bench:
    bench = Bench(folder, clients=[LiveClient(paper_trade=True)])
    bench.hello("h1", "HOST")
    bench.sees("1.1")
    bench.opens("1.1")
    bench.role.caught_up(bench.now)
    return bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = trading(tmp_path)
    bench.hello("h1", "HOST")
    return bench


def asking(kind: str, instruction: object, request_id: str = "r9", **settings: object) -> Request:
    return Request(request_id, "1.1", "Backer", "Betfair", "trader", kind, (instruction,), asked_at=NOW, **settings)


def replies(bench: Bench, request_id: str) -> list[str]:
    return [each.outcome for each in bench.carried("h1") if isinstance(each, Reply) and each.request_id == request_id]


def restored(bench: Bench, market_id: str = "1.1", host: str = "h1") -> None:
    bench.take(host, Restored(host, "s1.market", market_id, 1, "", bench.engine.running[host].incarnation))


# -- hosts ------------------------------------------------------------------------------------------------------------


def test_what_waits_for_an_account_has_never_happened_where_its_host_ends(bench: Bench) -> None:
    """Its successor does not know of it."""
    bench.restarts()
    bench.asks(placing("a", deadline=NOW + 60_000))
    bench.take("engine", Gone("h1", "killed", 0))
    bench.hello("h1", "HOST", 1)
    (letter,) = bench.mail.letters(Restore, "h1")
    assert letter.messages == ()
    restored(bench)
    bench.ready()
    bench.role.caught_up(bench.now)
    assert bench.account.requests == []
    assert bench.role.betting.exposure.total() == 0.0


def test_a_market_that_comes_while_a_host_goes_on_waits_for_those_that_its_strategies_have(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [Counting()])
    bench.hello("h1", "HOST")
    bench.sees("1.1")
    bench.passes(5_000)
    bench.take("engine", Gone("h1", "killed"))
    known = bench.mail.letters(Route, "s1")
    bench.sees("1.2")
    bench.hello("h1", "HOST", 1)
    (letter,) = bench.mail.letters(Restore, "h1")
    bench.sees("1.2")
    assert bench.mail.letters(Route, "s1") == known
    bench.take("h1", Restored("h1", letter.crew, "1.1", 0, "", 1))
    assert [each.market_id for each in bench.mail.letters(Route, "s1")[len(known) :]] == ["1.1", "1.2"]


def test_strategies_go_on_before_a_market_that_is_new_is_shown(tmp_path: Path) -> None:
    setup = live_setup([Counting()])
    (crew,) = setup.crews
    images = [
        msg_for(updates_of(Stream(market_id).write(tmp_path / market_id))[0], crew.name) for market_id in ("1.1", "1.2")
    ]

    def host(incarnation: int) -> tuple[HostRole, FakeMail]:
        mail = FakeMail("h1")
        mail.incarnation = incarnation
        made = HostRole("h1", setup, now=lambda: T0)
        made.start(mail)
        return made, mail

    def take(host: HostRole, *letters: Letter) -> Counting:
        for letter in letters:
            host.receive("s1", letter, T0)
            host.caught_up(T0)
        strategy = next(iter(host.rooms[crew.name].actor.hosted)).seats[0].strategy
        assert isinstance(strategy, Counting)
        return strategy

    first, _ = host(0)
    strategy = take(first, images[0])
    assert strategy.count == 1
    kept = packed(Kept((), (), frozen(strategy).data, strategy.name, 5, known=("1.1",)))
    first.crash()

    second, mail = host(1)
    take(second, Restore(crew.name, "1.1", (kept,), (), b"", "99"))
    assert mail.letters(Restored, "c")[0].error == ""
    assert take(second, images[1]).count == 2
    assert take(second, images[0]).count == 2
    second.stop()


def test_a_market_that_is_over_before_its_host_goes_on_does_not_hold_up_the_others(bench: Bench) -> None:
    for number in range(2, 5):
        bench.sees(f"1.{number}")
    bench.take("engine", Gone("h1", "killed"))
    bench.hello("h1", "HOST", 1)
    assert [each.market_id for each in bench.mail.letters(Restore, "h1")] == ["1.1", "1.4"]
    restored(bench, "1.4")
    known = bench.mail.letters(Route, "s1")
    bench.role.ends._over("1.1")
    assert [each.market_id for each in bench.mail.letters(Route, "s1")[len(known) :]] == ["1.4"]


def test_a_market_with_orders_is_had_whatever_filters_say_though_what_was_kept_cannot_be_read(tmp_path: Path) -> None:
    setup = live_setup([Counting(market_filter={"market_ids": ["1.7"]})])
    (crew,) = setup.crews
    mail = FakeMail("h1")
    host = HostRole("h1", setup, now=lambda: T0)
    host.start(mail)
    client = setup.clients[0]
    request = placing(unique_id(), strategy="Counting", username=client.username, venue=client.venue)
    host.receive("c", Restore(crew.name, "1.1", (b"of another version",), (request,), b"", "99"), T0)
    host.caught_up(T0)
    (letter,) = mail.letters(Restored, "c")
    assert (letter.error, letter.orders) == ("", 1)
    host.stop()


@pytest.mark.parametrize("gone", ["h1", ""], ids=["before", "after"])
def test_streams_send_nothing_to_a_host_before_it_goes_on_though_its_end_was_told_to_nobody(
    bench: Bench, gone: str
) -> None:
    """What they send would be a new market to it, without the orders that are there."""
    bench.restarts(gone)
    if not gone:
        bench.take("engine", Gone("h1", "killed", 0))
    for stream in ("s1", "o1"):
        assert [each for each in bench.mail.letters(Introduce, stream) if each.name == "h1"] == [Introduce("h1", "")]
    bench.hello("h1", "HOST", 1)
    restored(bench)
    bench.sees("1.1")
    for stream in ("s1", "o1"):
        letters = [each for each in bench.mail.letters(Introduce, stream) if each.name == "h1"]
        assert letters[1:] == [Introduce("h1", "fake:h1:1")]


def test_a_market_that_came_as_a_new_one_is_not_gone_on_with_without_its_orders(tmp_path: Path) -> None:
    setup = live_setup([Counting()])
    (crew,) = setup.crews
    mail, client = FakeMail("h1"), setup.clients[0]
    host = HostRole("h1", setup, now=lambda: T0)
    host.start(mail)
    request = placing(unique_id(), strategy="Counting", username=client.username, venue=client.venue)
    image = msg_for(updates_of(Stream("1.1").write(tmp_path / "1.1"))[0], crew.name)
    for letter in (image, Restore(crew.name, "1.1", (), (request,), b"", "99")):
        host.receive("s1", letter, T0)
        host.caught_up(T0)
    (told,) = mail.letters(Restored, "c")
    assert "is not known" in told.error
    host.stop()


def test_a_request_on_paper_that_its_host_has_not_had_back_comes_back(tmp_path: Path) -> None:
    bench = trading_on_paper(tmp_path)
    bench.asks(placing("a"))
    bench.restarts()
    assert bench.carried("h1") == []
    bench.hello("h1", "HOST")
    bench.take("h1", Hosting("h1", (("s1.market", "1.1", "30"),)))
    bench.asks(placing("a"))
    assert [each.request_id for each in bench.carried("h1")] == ["h1.s1.market/r1"]
    bench.take("h1", Carried("s1.market", Reply("h1.s1.market/r1", "1.1", bench.now, ANSWERED, (PLACED,))))
    bench.asks(placing("a"))
    assert sum(isinstance(each, Request) for each in bench.carried("h1")) == 1


# -- orders without a number ------------------------------------------------------------------------------------------


def test_a_cancel_that_waits_for_the_number_of_its_bet_is_not_forgotten(bench: Bench) -> None:
    bench.asks(placing("a", async_=True))
    bench.account.execution.answer(Reply("h1.s1.market/r1", "1.1", bench.now, ANSWERED, (Report("a", PLACE, SUCCESS),)))
    bench.asks(asking(CANCEL, CancelInstruction("a", None)))
    bench.restarts()
    assert bench.account.execution.recalled == ["a"]
    (request,) = bench.account.requests
    assert (request.request_id, request.instructions) == ("h1.s1.market/r9", (CancelInstruction("a", None),))


def test_a_cancel_of_a_part_whose_bet_had_no_number_is_looked_into_by_the_number_that_it_has(bench: Bench) -> None:
    bench.asks(placing("a", async_=True))
    bench.account.execution.answer(Reply("h1.s1.market/r1", "1.1", bench.now, ANSWERED, (Report("a", PLACE, SUCCESS),)))
    bench.asks(asking(CANCEL, CancelInstruction("a", None, 0.5)))
    bench.restarts()
    bench.hello("h1", "HOST")
    bench.ready()
    assert bench.account.requests == []
    bench.sees_bet("a", "b1", 1.5, cancelled=0.5)
    assert replies(bench, "r9") == [ANSWERED]


# -- clocks -----------------------------------------------------------------------------------------------------------


def test_failures_of_earlier_hours_do_not_count_in_this_one_after_a_restart(bench: Bench) -> None:
    resting(bench, "a", "b1")
    bench.asks(asking(UPDATE, UpdateInstruction("a", "b1", "PERSIST")))
    report = Report("a", UPDATE, FAILURE, "BET_TAKEN_OR_LAPSED")
    bench.account.execution.answer(Reply("h1.s1.market/r9", "1.1", bench.now, ANSWERED, (report,)))
    assert bench.account.client.current_transaction_count_total == 2
    bench.passes(HOUR)
    bench.restarts()
    assert bench.account.client.transactions_by_hour == {NOW // HOUR: [1, 1]}


def test_a_clock_that_is_set_back_does_not_let_orders_go_late(bench: Bench) -> None:
    bench.restarts()
    bench.asks(placing("a", asked_at=NOW + HOUR, deadline=NOW + HOUR + 2_000))
    bench.passes(10_000)
    assert replies(bench, "r1") == [EXPIRED]
    bench.ready()
    bench.role.caught_up(bench.now)
    assert bench.account.requests == []


def test_a_clock_that_is_set_back_does_not_stop_placing(tmp_path: Path) -> None:
    bench = trading(tmp_path, risk=RiskLimits(max_orders_per_second=2))
    bench.asks(placing("a"))
    bench.clock.now_ms -= HOUR
    bench.asks(placing("b", request_id="r2", asked_at=bench.now))
    bench.asks(placing("c", request_id="r3", asked_at=bench.now))
    assert len(bench.account.requests) == 2
    bench.passes(1_001)
    bench.asks(placing("d", request_id="r4", asked_at=bench.now))
    assert len(bench.account.requests) == 3


def test_an_hour_does_not_begin_anew_where_the_clock_is_set_back(tmp_path: Path) -> None:
    bench = trading(tmp_path, clients=[LiveClient(transaction_limit=2)])
    bench.passes(HOUR - NOW % HOUR)
    bench.asks(placing("a", asked_at=bench.now))
    bench.clock.now_ms -= 1_000
    bench.asks(placing("b", request_id="r2", asked_at=bench.now))
    bench.asks(placing("c", request_id="r3", asked_at=bench.now))
    bench.clock.now_ms += 1_000
    bench.asks(placing("d", request_id="r4", asked_at=bench.now))
    assert [each.request_id for each in bench.account.requests] == ["h1.s1.market/r1", "h1.s1.market/r2"]


# -- what is counted, and what is sent --------------------------------------------------------------------------------


def test_transactions_count_in_markets_of_which_the_journal_has_packed_what_was_asked_for(bench: Bench) -> None:
    resting(bench, "a", "b1")
    bench.role.ends._over("1.1")
    bench.role.betting.journal.journal.tidy()
    bench.restarts()
    assert bench.account.client.transactions_by_hour == {NOW // HOUR: [1, 0]}


def test_a_batch_that_cannot_be_made_an_entry_is_answered_as_not_sent(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = bench.role.betting.journal.journal

    def fails(entries: Any, durable: bool = False) -> int:
        raise UnicodeEncodeError("utf-8", "?", 0, 1, "surrogates not allowed")

    monkeypatch.setattr(journal, "add", fails)
    bench.asks(placing("a"))
    assert (bench.account.requests, replies(bench, "r1")) == ([], [EXPIRED])
    bench.asks(placing("b", request_id="r2"))
    assert (bench.account.requests, replies(bench, "r2")) == ([], [REFUSED])
    monkeypatch.undo()
    bench.passes(1_000)
    bench.asks(placing("c", request_id="r3"))
    assert len(bench.account.requests) == 1


def test_a_request_whose_answer_fails_does_not_take_those_after_it_along(tmp_path: Path) -> None:
    bench = trading(tmp_path, coordinator=Failing)
    bench.account.send = unsendable  # type: ignore[method-assign]
    bench.take("h1", Carried("s1.market", placing("a")))
    bench.take("h1", Carried("s1.market", placing("b", request_id="r2")))
    bench.role.caught_up(bench.now)
    assert replies(bench, "r2") == [EXPIRED]


def unsendable(request: Request) -> None:
    raise OSError("no")


class Failing(hr.Coordinator):
    """Fails at the first answer."""

    failed = False

    def answer(self, message: Any) -> None:
        if not self.failed:
            self.failed = True
            raise ValueError("I am new to this")
        super().answer(message)


class TooLate(hr.Coordinator):
    """Changes its mind when a request has been sent on."""

    def process_order_package(self, request: Request) -> None:
        super().process_order_package(request)
        raise ValueError("on second thoughts")


def test_what_is_told_to_have_expired_is_not_sent(tmp_path: Path) -> None:
    bench = trading(tmp_path, coordinator=TooLate)
    for _ in range(2):
        bench.asks(placing("a"))
        assert (bench.account.requests, replies(bench, "r1")[-1:]) == ([], [EXPIRED])
        assert bench.role.betting.exposure.total() == 0.0
        assert bench.account.client.transaction_count_total == 0
        bench.restarts()
        bench.ready()


class Splitting(hr.Coordinator):
    """Sends each instruction by itself."""

    def process_order_package(self, request: Request) -> None:
        for each in request.instructions:
            super().process_order_package(msgspec.structs.replace(request, instructions=(each,)))


def test_a_request_that_a_coordinator_sends_in_parts_is_sent_whole(tmp_path: Path) -> None:
    bench = trading(tmp_path, coordinator=Splitting)
    one, two = (placing(name).instructions[0] for name in "ab")
    bench.asks(placing("a", instructions=(one, two)))
    assert [each.instructions for each in bench.account.requests] == [(one,), (two,)]
    bench.restarts()
    assert [(bet.order_id, bet.size) for desk in bench.role.betting.accounts for bet in desk.bets] == [
        ("a", 2.0),
        ("b", 2.0),
    ]
    doubts = bench.role.betting.accounts.of(("Betfair", "trader")).orders.doubts
    assert doubts.orders == {"a", "b"}


# -- markets that close while nobody looks ----------------------------------------------------------------------------


def asked_for_results(bench: Bench) -> list[str]:
    return [what for what, *_ in bench.account.lists.asked if what == "cleared_orders SETTLED"]


def minute(bench: Bench) -> None:
    for _ in range(60):
        bench.passes(1_000)


def test_a_market_that_its_stream_tells_no_more_of_is_asked_for_its_results(bench: Bench) -> None:
    resting(bench, "a", "b1")
    connected(bench)
    bench.take("s1", MarketGone("s1", "1.1", bench.now))
    minute(bench)
    assert asked_for_results(bench)
    bench.sees("1.1")
    assert not bench.role.betting.accounts.of(("Betfair", "trader")).orders.closure.is_closed("1.1")


def test_a_market_that_closes_while_its_stream_is_dead_is_asked_for_its_results(bench: Bench) -> None:
    resting(bench, "a", "b1")
    bench.sees("1.2")
    connected(bench)
    bench.take("engine", Gone("s1", "killed"))
    bench.hello("s1", "STREAM", 1)
    bench.sees("1.2")
    connected(bench)
    minute(bench)
    assert asked_for_results(bench)
    assert set(bench.role.ends.gone) == {"1.1"}


def connected(bench: Bench) -> None:
    bench.take("s1", StreamState("s1", "SUBSCRIBED", bench.now))
