"""What the coordinator does as time goes by: ends of markets, balances, catalogues, wide filters, stalled hosts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from headrace.actors.betfair.lists import AccountDetails, AccountFunds, Listed
from headrace.actors.letters import (
    Catalogue,
    FreeMarket,
    Gone,
    HostState,
    Introduce,
    MarketGone,
    MarketIds,
    Route,
    StreamState,
    Unroute,
)
from headrace.actors.live.market_ends import KEPT_MS
from headrace.strategies.messages import STREAM, AccountFact, ClearedOrder, OrderFact
from live_coordinators import Bench, LiveClient, backer, placing


def state(bench: Bench, host: str = "h1", busy_ms: int = 0, **markets: str) -> None:
    """A host tells how it stands: the status of each market, whose id is written m1_1."""
    rows = [{"market_id": name[1:].replace("_", "."), "status": status} for name, status in markets.items()]
    bench.take(host, HostState(host, bench.now, 0, 0, 0, busy_ms, json.dumps(rows).encode(), b'{"count": 0}'))


def idle(bench: Bench) -> bool:
    return bool(bench.role.answers.state()["idle"])


def test_a_closed_market_without_bets_is_freed_after_a_while(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.sees("1.1")
    state(bench, m1_1="CLOSED")
    assert not idle(bench)
    bench.passes(1_000)
    assert idle(bench), "all that there was is over"
    bench.passes(KEPT_MS - 1_000)
    assert bench.mail.letters(FreeMarket) == []
    bench.passes(1_000)
    assert bench.mail.letters(FreeMarket, "h1") == [FreeMarket("s1.market", "1.1")]
    assert bench.mail.letters(Unroute, "s1") == [Unroute("s1.market", "1.1")]
    assert bench.role.routes.markets == {}


def matched(bench: Bench) -> None:
    """A bet of £2 was matched in market 1.1."""
    bench.ready()
    bench.sees("1.1")
    bench.opens("1.1")
    bench.asks(placing("a"))
    bench.account.places("a", "91", matched=2.0)
    fact = OrderFact("1.1", "a", "91", STREAM, bench.now, False, 3.0, 2.0, "LAPSE", matched=2.0, average=3.0)
    bench.take("o1", fact)


def test_a_market_is_kept_until_its_results_are_there_and_the_host_is_told_them(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    matched(bench)
    state(bench, m1_1="CLOSED")
    bench.passes(2 * KEPT_MS)
    assert not idle(bench)
    assert bench.mail.letters(FreeMarket) == []
    row = {
        "marketId": "1.1",
        "betId": "91",
        "profit": -2.0,
        "customerOrderRef": "",
        "side": "BACK",
        "betOutcome": "LOST",
    }
    bench.account.lists.answer_rows("cleared_orders SETTLED", row)
    (result,) = [each for each in bench.carried("h1") if isinstance(each, ClearedOrder)]
    assert (result.order_id, result.profit) == ("a", -2.0)
    bench.account.lists.answer_rows("cleared_markets", {"marketId": "1.1", "profit": -2.0, "betCount": 1})
    bench.passes(1_000)
    assert idle(bench)
    bench.passes(KEPT_MS)
    assert len(bench.mail.letters(FreeMarket)) == 1
    assert list(bench.role.betting.accounts.of(("Betfair", "trader")).bets) == [], "and nothing of it is kept"


def test_a_market_that_opens_again_is_kept(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.sees("1.1")
    state(bench, m1_1="CLOSED")
    bench.passes(1_000)
    state(bench, m1_1="open")
    bench.passes(2 * KEPT_MS)
    assert not idle(bench)
    assert bench.mail.letters(FreeMarket) == []


def test_a_market_that_no_stream_tells_of_is_given_up_once_nothing_is_at_stake(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [backer(), backer(name="Other", conflate_ms=50)])
    bench.sees("1.1", "s1")
    bench.sees("1.1", "s2")
    bench.take("s1", MarketGone("s1", "1.1", bench.now))
    bench.passes(1_000)
    assert bench.mail.letters(FreeMarket) == [], "another stream has it"
    bench.take("s2", MarketGone("s2", "1.1", bench.now))
    bench.passes(1_000)
    assert len(bench.mail.letters(FreeMarket)) == 2


# -- balances ---------------------------------------------------------------------------------------------------------


def test_balances_are_read_after_login_and_every_two_minutes_and_hosts_are_told(tmp_path: Path) -> None:
    heard: list[Any] = []
    bench = Bench(tmp_path, logging_controls=[heard.append])
    bench.sees("1.1")
    bench.passes(1_000)
    assert [what for what, *_ in bench.account.lists.asked if what == "funds"] == [], "there is no session"
    bench.account.session.token = "token"
    bench.passes(1_000)
    bench.account.lists.take("details")[1](AccountDetails("GBP"), "")
    bench.account.lists.take("funds")[1](AccountFunds(120.5, -30.0), "")
    assert bench.mail.letters(AccountFact, "h1") == [AccountFact("Betfair", "trader", bench.now, 120.5, -30.0)]
    assert [event.name for event in heard][-1] == "balance"
    bench.sees("1.2")
    bench.hello("h2", "HOST")
    assert [fact.funds for fact in bench.mail.letters(AccountFact, "h2")] == [120.5], "a new host is told as well"
    bench.passes(119_000)
    assert [what for what, *_ in bench.account.lists.asked if what == "funds"] == []
    bench.passes(1_000)
    assert [what for what, *_ in bench.account.lists.asked if what == "funds"] == ["funds"]
    (client,) = bench.role.answers.state()["clients"]
    assert (client["funds"], client["funds_age_s"], client["session"]) == (120.5, 120.0, "open")


def test_a_balance_that_cannot_be_read_is_asked_for_again_soon(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.account.session.token = "token"
    bench.passes(1_000)
    bench.account.lists.take("funds")[1](None, "Exposure calculation already in progress")
    bench.passes(10_000)
    bench.account.lists.take("funds")


def test_accounts_that_only_read_prices_are_asked_for_nothing_else(tmp_path: Path) -> None:
    bench = Bench(tmp_path, clients=[LiveClient(market_recording_mode=True)])
    bench.account.session.token = "token"
    bench.sees("1.1")
    bench.passes(130_000)
    assert bench.account.lists.asked == []


def test_a_recording_has_catalogues_even_where_accounts_only_read_prices(tmp_path: Path) -> None:
    bench = Bench(tmp_path, clients=[LiveClient(market_recording_mode=True)], record=str(tmp_path / "recorded"))
    bench.account.session.token = "token"
    bench.sees("1.1")
    bench.passes(1_000)
    assert [what for what, *_ in bench.account.lists.asked] == ["catalogues"]


# -- catalogues and wide filters --------------------------------------------------------------------------------------


def test_catalogues_of_new_markets_are_read_together_and_told_to_hosts_and_streams(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.account.session.token = "token"
    bench.sees("1.1")
    bench.sees("1.2")
    bench.passes(300)
    wanted, done = bench.account.lists.take("catalogues")
    assert wanted == ["1.1", "1.2"]
    done({"1.1": b'{"marketId": "1.1"}'}, "")
    assert bench.mail.letters(Catalogue, "h1") == [Catalogue("1.1", b'{"marketId": "1.1"}')]
    assert bench.mail.letters(Catalogue, "s1") == [Catalogue("1.1", b'{"marketId": "1.1"}')]
    bench.passes(59_000)
    assert [what for what, *_ in bench.account.lists.asked if what == "catalogues"] == []
    bench.passes(1_000)
    assert bench.account.lists.take("catalogues")[0] == ["1.2"]


def test_a_host_that_gets_a_market_later_is_told_its_catalogue(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [backer(), backer(name="Other", conflate_ms=50)])
    bench.account.session.token = "token"
    bench.sees("1.1", "s1")
    bench.passes(300)
    bench.account.lists.take("catalogues")[1]({"1.1": b"{}"}, "")
    bench.sees("1.1", "s2")
    assert bench.mail.letters(Catalogue, "h2") == [Catalogue("1.1", b"{}")]


def test_markets_of_filters_that_the_stream_does_not_know_are_looked_up_every_minute(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [backer(market_filter={"competition_ids": ["7"]})])
    bench.account.session.token = "token"
    bench.passes(1_000)
    filters, done = bench.account.lists.take("find_markets")
    assert filters == [{"competitionIds": ["7"]}]
    done(Listed([{"marketId": "1.1"}, {"marketId": "1.2"}], 0, 0))
    assert bench.mail.letters(MarketIds, "s1") == [MarketIds("s1", ("1.1", "1.2"))]
    bench.passes(59_000)
    assert [what for what, *_ in bench.account.lists.asked if what == "find_markets"] == []
    bench.passes(1_000)
    bench.account.lists.take("find_markets")[1](Listed([], 0, 0, "no answer"))
    assert len(bench.mail.letters(MarketIds)) == 1, "what could not be read changes nothing"
    bench.passes(10_000)
    bench.account.lists.take("find_markets")


def test_markets_of_a_filter_that_lets_too_many_pass_are_looked_up_and_it_is_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.account.session.token = "token"
    bench.passes(1_000)
    assert [what for what, *_ in bench.account.lists.asked if what == "find_markets"] == []
    error = "SUBSCRIPTION_LIMIT_EXCEEDED: trying to subscribe to 300 markets, the limit is 200"
    bench.take("s1", StreamState("s1", "REFUSED", bench.now, error))
    bench.passes(1_000)
    assert bench.account.lists.take("find_markets")[0] == [{"marketCountries": ["GB"]}]
    assert [event.text for event in bench.role.alerts.events] == [f"stream s1 is refused: {error}"]


# -- hosts ------------------------------------------------------------------------------------------------------------


def test_a_host_whose_callback_does_not_return_is_told_of_with_its_markets(tmp_path: Path) -> None:
    bench = Bench(tmp_path, max_hosts=1)
    bench.sees("1.1")
    bench.sees("1.2")
    state(bench, busy_ms=4_900)
    assert list(bench.role.alerts.events) == []
    state(bench, busy_ms=5_000, m1_1="OPEN", m1_2="open")
    (event,) = bench.role.alerts.events
    assert event.kind == "STALLED"
    assert "1.1, 1.2" in event.text
    found = bench.role.answers.state()
    assert [host["stalled"] for host in found["hosts"]] == [True]
    assert [row["stalled"] for row in found["markets"]] == [True, True]
    state(bench, busy_ms=0, m1_1="open")
    assert "gets on again" in bench.role.alerts.events[-1].text


def test_a_host_of_which_nothing_is_heard_is_told_of(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.sees("1.1")
    bench.passes(1_000)
    bench.passes(9_000)
    assert list(bench.role.alerts.events) == []
    bench.passes(1_000)
    assert "nothing was heard of it for 10 s" in bench.role.alerts.events[-1].text
    bench.sees("1.2")
    assert bench.role.seating.host_of("s1.market", "1.2") == "h2"


# -- streams ----------------------------------------------------------------------------------------------------------


def test_whether_the_order_stream_is_there_is_known_to_workers(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.take("o1", StreamState("o1", "SUBSCRIBED", bench.now))
    assert bench.role.framework.order_stream_connected
    bench.take("o1", StreamState("o1", "DOWN", bench.now, "the socket was closed"))
    assert not bench.role.framework.order_stream_connected
    assert "o1 is down: the socket was closed" in bench.role.alerts.events[-1].text


def test_the_state_can_be_written_as_json_and_has_every_key_that_it_documents(tmp_path: Path) -> None:
    from headrace.actors.live import state as module

    documented = {line.split("|")[1].strip() for line in (module.__doc__ or "").splitlines() if line.startswith("| ")}
    bench = Bench(tmp_path, clients=[LiveClient(), LiveClient("paper", paper_trade=True)])
    matched(bench)
    bench.asks(placing("b", request_id="r2"))
    state(bench, m1_1="open")
    bench.take("s1", StreamState("s1", "SUBSCRIBED", bench.now, messages=3, lag_ms=2.5))
    found = json.loads(json.dumps(bench.role.answers.state()))
    names = {name.strip() for each in documented - {"key", "---"} for name in each.split(",")}
    assert set(found) == names
    (order,) = found["orders"]
    assert (order["order_id"], order["status"], order["age_ms"] >= 0, order["in_doubt"]) == (
        "b",
        "PENDING",
        True,
        False,
    )
    assert found["latency"]["stream_lag_ms"] == {"count": 1, "median": 2.5, "p99": 2.5, "worst": 2.5}
    assert [(each["username"], each["paper"]) for each in found["clients"]] == [("trader", False), ("paper", True)]
    assert found["risk"]["by_currency"]["GBP"]["exposure"] == 4.0


def test_a_stream_that_has_ended_is_started_anew_and_gets_its_routes_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.sees("1.1")
    bench.opens("1.1")
    bench.take("c", Gone("o1", "killed by signal 9"))
    assert "stream o1 has ended: killed by signal 9" in bench.role.alerts.events[-1].text
    assert bench.engine.started == ["h1", "o1:1"]
    routes = len(bench.mail.letters(Route, "o1"))
    bench.hello("o1", "STREAM", incarnation=1)
    assert len(bench.mail.letters(Route, "o1")) == routes + 1
    assert bench.mail.letters(Introduce, "h1")[-1] == Introduce("o1", "fake:o1:1")
    bench.take("c", Gone("o1", "late news", 0))
    bench.passes(60_000)
    assert bench.engine.started == ["h1", "o1:1"], "the one before it has ended, not this one"
    bench.take("c", Gone("o1", "again", 1))
    bench.passes(900)
    assert bench.engine.started == ["h1", "o1:1"], "it waits longer each time"
    bench.passes(1_000)
    assert bench.engine.started == ["h1", "o1:1", "o1:2"]


def test_hosts_know_whether_order_streams_are_there(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.sees("1.1")
    up, down = StreamState("o1", "SUBSCRIBED", bench.now), StreamState("o1", "DOWN", bench.now, "closed")
    bench.take("o1", up)
    bench.take("o1", down)
    assert bench.mail.letters(StreamState, "h1") == [up, down]
    bench.sees("1.2")
    bench.hello("h2", "HOST")
    assert bench.mail.letters(StreamState, "h2") == [down]


def test_a_stream_that_is_down_is_told_of_once_for_each_reason_and_when_it_is_there_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for state, error in (
        *[("DOWN", "closed"), ("CONNECTING", ""), ("DOWN", "closed"), ("CONNECTING", ""), ("DOWN", "refused")],
        *[("CONNECTING", ""), ("SUBSCRIBED", ""), ("CONNECTING", ""), ("SUBSCRIBED", ""), ("DOWN", "closed")],
    ):
        bench.take("s1", StreamState("s1", state, bench.now, error))
    assert [event.text for event in bench.role.alerts.events] == [
        "stream s1 is down: closed",
        "stream s1 is down: refused",
        "stream s1 is there again",
        "stream s1 is down: closed",
    ]


def test_what_is_lost_of_an_order_stream_is_read_from_the_lists(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.ready()
    bench.passes(5_000)
    assert [what for what, *_ in bench.account.lists.asked if what == "current_orders"] == []
    bench.role.lost("o1")
    bench.passes(1_000)
    assert [what for what, *_ in bench.account.lists.asked if what == "current_orders"] == ["current_orders"]
