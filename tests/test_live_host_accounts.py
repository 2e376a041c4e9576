"""Hosts: requests and answers of live and of paper accounts, and paper twins beside live strategies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from apart import outcome
from builders import MARKET, T0, back, cancel, lay, priced
from headrace.actors.letters import (
    AccountFact,
    Carried,
    Introduce,
)
from headrace.actors.live.shadow import with_shadows
from headrace.simulate.generator import write_markets
from headrace.simulate.replay import Replay
from headrace.simulate.setup import Setup
from headrace.simulate.simulated_exchange import paper_exchange
from headrace.simulate.units import Unit
from headrace.strategies import messages
from headrace.strategies.messages import (
    ClearedOrder,
    MarketResult,
    OrderFact,
    PlaceInstruction,
    Reply,
    Report,
)
from live_hosts import (
    Actions,
    Diary,
    Driven,
    Looks,
    Raw,
    arrived,
    ended_hosts,
    live_setup,
    mixed,
    msg_for,
    on_paper,
    scripted,
    seen,
    simulated,
    updates_of,
)

__all__ = ["ended_hosts"]  # used by all tests here


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> str:
    (path,) = write_markets(tmp_path_factory.mktemp("hosts") / "markets", 1, seed=5, changes=600, compression="none")
    return str(path)


# -- accounts ----------------------------------------------------------------------------------------------------------


def test_requests_of_a_live_account_go_to_the_exchange_with_a_deadline(tmp_path: Path) -> None:
    driven, script = mixed(tmp_path, {100: [back("a", 2.0, 5.0), on_paper("b", 2.0, 4.0)]})
    (request,) = driven.office.requests
    assert (request.username, request.asked_at - T0, request.deadline) == ("me", 100, T0 + 2100)
    assert request.request_id.startswith("h1.s1.market/")
    assert len(request.instructions[0].order_id) == 18
    driven.deliver(Introduce("s9", "there"), at=T0 + 300)
    assert script.orders["a"].status is hr.OrderStatus.PENDING
    assert (script.orders["b"].status, script.orders["b"].size_matched) == (hr.OrderStatus.EXECUTION_COMPLETE, 4.0)


def live_fact(order: hr.Order, at: int, matched: float, remaining: float, executable: bool = True) -> OrderFact:
    return OrderFact(
        MARKET, order.id, "77", "STREAM", T0 + at, executable, 2.0, 5.0, "LAPSE", matched, 2.0, remaining
    )  # fmt: skip


def test_answers_and_facts_of_a_live_account_come_by_letters(tmp_path: Path) -> None:
    driven, script = mixed(tmp_path, {100: [back("a", 2.0, 5.0)]})
    order = script.orders["a"]
    (request,) = driven.office.requests
    driven.deliver(live_fact(order, 240, 2.0, 3.0), at=T0 + 250, sender="o1")
    reply = Reply(request.request_id, MARKET, T0 + 260, reports=(Report(order.id, "PLACE", "SUCCESS", None, "77"),))
    driven.office.coordinator.answer(reply)
    driven.deliver(Introduce("s9", "there"), at=T0 + 260)
    assert (order.bet_id, order.size_matched, order.status) == ("77", 2.0, hr.OrderStatus.EXECUTABLE)
    driven.deliver(live_fact(order, 300, 5.0, 0.0, executable=False), at=T0 + 310, sender="o1")
    assert order.status is hr.OrderStatus.EXECUTION_COMPLETE
    assert [call[0] for call in script.calls] == [250, 260, 310]


def test_what_became_of_orders_is_told_before_the_books_that_wait_with_it(tmp_path: Path) -> None:
    driven, script = mixed(tmp_path, {100: [back("a", 2.0, 5.0)]})
    order = script.orders["a"]
    update = msg_for(updates_of(priced().touch(200).write(tmp_path / "market"))[2], "s1.market")
    driven.now = T0 + 260
    driven.host.receive("s1", update, T0 + 260)
    driven.host.receive("o1", live_fact(order, 240, 2.0, 3.0), T0 + 260)
    driven.host.caught_up(T0 + 260)
    assert script.snapshots[200]["a"].matched == 2.0


def test_results_of_live_bets_come_after_the_close(tmp_path: Path) -> None:
    driven, script = mixed(tmp_path, {100: [back("a", 2.0, 5.0), on_paper("b", 2.0, 4.0)]})
    order = script.orders["a"]
    driven.deliver(live_fact(order, 240, 5.0, 0.0, executable=False), at=T0 + 250, sender="o1")
    stream = priced().close(9000)
    arrived(driven, stream, tmp_path, at=9000, until=9000)
    assert [script.orders[ref].settled for ref in "ab"] == [False, True]
    results = [each.message for each in driven.mail.letters(Carried) if isinstance(each.message, MarketResult)]
    assert results == []
    driven.deliver(ClearedOrder(MARKET, order.id, "77", T0 + 60_000, 5.0), at=T0 + 60_000)
    results = [each.message for each in driven.mail.letters(Carried) if isinstance(each.message, MarketResult)]
    assert [(each.username, each.profit) for each in results[0].markets] == [("me", 5.0), ("paper", 4.0)]


def test_a_request_that_comes_back_to_a_market_that_was_freed_expires(tmp_path: Path) -> None:
    driven, _ = mixed(tmp_path, {})
    driven.free(MARKET)
    instruction = PlaceInstruction("a", "a", 1, 0, "BACK", "LIMIT", 2.1, 2.0, persistence_type="LAPSE")
    request = messages.Request(
        "h1.s1.market/7", MARKET, "Trader", "Betfair", "paper", "PLACE", (instruction,), T0 + 100
    )
    driven.deliver(Carried("s1.market", request), at=T0 + 200)
    replies = [each.message for each in driven.mail.letters(Carried) if isinstance(each.message, Reply)]
    assert [(each.request_id, each.outcome) for each in replies] == [("h1.s1.market/7", "EXPIRED")]
    assert "not hosted any more" in (replies[0].reason or "")


def test_refused_by_the_accounts_limit_as_in_a_simulation(tmp_path: Path) -> None:
    actions: Actions = {100: [back("a", 2.0, 2.0), lay("b", 2.1, 2.0), back("c", 2.0, 3.0)], 400: [cancel("a")]}
    path = priced().touch(400).close().write(tmp_path / MARKET)
    client = hr.SimulatedClient(transaction_limit=2)
    here, there = scripted(actions), scripted(actions)
    Replay(Unit(path, (path,)), Setup([here], [client], hr.Config()), lambda market: None).run()
    Driven(live_setup([there], client=client)).play(path).free(MARKET)
    assert [order["status"] for order in seen(there)["orders"].values()].count("VIOLATION") == 1
    # Within the callback in which it was asked for, the refusal is known in a simulation only.
    snapshots = [strategy.script.snapshots.pop(100)["c"].status for strategy in (here, there)]
    assert snapshots == ["VIOLATION", "PENDING"]
    assert seen(there) == seen(here)


class Wide(hr.Strategy):
    """One for all markets of an event."""

    scope = "event"


def test_strategies_see_the_funds_of_an_account_and_how_old_they_are(tmp_path: Path) -> None:
    driven, _ = mixed(tmp_path, {}, others=[Wide()])
    driven.deliver(AccountFact("Betfair", "me", T0 + 200, 1000.0, -20.0), at=T0 + 300)
    driven.deliver(AccountFact("Betfair", "me", T0 + 100, 900.0, 0.0), at=T0 + 400)
    driven.deliver(AccountFact("Betfair", "another", T0 + 100, 900.0, 0.0), at=T0 + 400)
    # A crew that comes later is told as well.
    driven.host._room("s1.event")
    for room in driven.host.rooms.values():
        account = room.actor.clients.get_default()
        assert account is not None
        assert account.account_funds.available_to_bet_balance == 1000.0
    funds = account.account_funds
    assert (funds.available_to_bet_balance, funds.exposure, funds.age(T0 + 1700)) == (1000.0, -20.0, 1.5)


# -- shadows -----------------------------------------------------------------------------------------------------------


def test_a_paper_twin_trades_beside_a_live_strategy_as_in_a_simulation(generated: str) -> None:
    setup = with_shadows(live_setup([Diary(stake=4.0)], client=hr.BaseClient(username="me")))
    assert [strategy.name for strategy in setup.strategies] == ["Diary", "Diary (paper)"]
    assert [(client.username, client.simulated) for client in setup.clients] == [("me", False), ("me (paper)", True)]
    driven = Driven(setup).play(generated)
    live, paper = (driven.host.rooms[name].actor.hosted[0] for name in ("s1.market", "s1.market.paper"))
    assert {request.username for request in driven.office.requests} == {"me"}
    assert [client.username for client in paper.framework.clients] == ["me"]
    (market,) = simulated(generated, [Diary(stake=4.0)])
    outcomes = [[without_ids(order) for order in each.blotter] for each in (paper, market)]
    assert outcomes[0] == outcomes[1]
    assert len(outcomes[0]) > 1
    assert {order.size_matched for order in live.blotter} == {0.0}
    driven.free(market.market_id)
    results = {row[0]: row for row in driven.rows("markets")}
    assert set(results) == {"Diary", "Diary (paper)"}
    twin = driven.office.coordinator.clients.named("Betfair", "me (paper)")
    assert twin.transaction_count_total == len(outcomes[0])


def without_ids(order: hr.Order) -> dict[str, Any]:
    return outcome(order) | {"bet_id": None}


def test_no_twins_where_nothing_is_live_or_on_data_streams() -> None:
    setup = live_setup([Looks()])
    assert with_shadows(setup) is setup
    raw = live_setup([Raw(stream_class=hr.DataStream)], client=hr.BaseClient(username="me"))
    assert with_shadows(raw) is raw


def test_names_that_twins_need_are_refused() -> None:
    me = hr.BaseClient(username="me")
    with pytest.raises(hr.InputError, match=r"strategy 'Looks \(paper\)' has the name that the paper twin"):
        with_shadows(live_setup([Looks(), Looks(name="Looks (paper)")], client=me))
    other = hr.BaseClient(username="me (paper)", paper_trade=True)
    with pytest.raises(hr.InputError, match=r"account 'me \(paper\)' has the name that a paper twin needs"):
        with_shadows(live_setup([Looks()], client=[me, other]))


def test_two_market_actors_give_no_bet_id_twice() -> None:
    first, second = paper_exchange(), paper_exchange()
    ids = [exchange.next_bet_id() for exchange in (first, second) for _ in range(1000)]
    assert len(set(ids)) == 2000
    assert {len(each) for each in ids} == {12}
