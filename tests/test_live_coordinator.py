"""The coordinator of a live system, with a fake mail: who is seated and introduced, what is sent where."""

from __future__ import annotations

from pathlib import Path

import headrace as hr
from headrace.actors.letters import Carried, FreeMarket, Introduce, MarketSeen, Route, StreamState, Unroute
from headrace.strategies.messages import ANSWERED, EXPIRED, REFUSED, Reply, Report
from live_coordinators import NOW, Bench, LiveClient, backer, placing


def test_a_market_is_routed_to_a_host_that_is_started_for_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.sees("1.1")
    assert bench.engine.started == ["h1"]
    assert bench.mail.letters(Route, "s1") == [Route("s1.market", "1.1", "h1")]
    assert Introduce("h1", "fake:h1:0") in bench.mail.letters(Introduce, "s1"), "the stream knows the host"
    assert Introduce("s1", "fake:s1:0") in bench.mail.letters(Introduce, "h1"), "and the host whom to ask for images"


def test_a_market_that_no_strategy_wants_is_routed_nowhere(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.sees("1.1", countryCode="FR")
    assert bench.engine.started == []
    assert bench.mail.letters(Route) == []


def test_a_market_actor_with_filters_of_its_own_is_asked_itself(tmp_path: Path) -> None:
    class Choosy(hr.MarketActor):
        def admits(self, strategy: hr.Strategy, market_id: str, definition: object) -> bool:
            return True

    bench = Bench(tmp_path, market_actor=Choosy)
    bench.sees("1.1", countryCode="FR")
    assert [route.host for route in bench.mail.letters(Route, "s1")] == ["h1"]


def test_strategies_that_share_neither_stream_nor_scope_have_the_market_each_at_its_host(tmp_path: Path) -> None:
    class Pairs(hr.Strategy):
        scope = "event"

    bench = Bench(tmp_path, [backer(), Pairs(name="Pairs", market_filter={"country_codes": ["GB"]})])
    bench.sees("1.1")
    assert bench.mail.letters(Route, "s1") == [Route("s1.market", "1.1", "h1"), Route("s1.event", "1.1", "h2")]


def test_a_stream_that_shows_a_market_again_is_sent_its_route_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.sees("1.1")
    bench.hello("s1", "STREAM", incarnation=1)
    bench.sees("1.1")
    assert bench.mail.letters(Route, "s1") == [Route("s1.market", "1.1", "h1")] * 2
    assert bench.mail.letters(Introduce, "h1")[-1] == Introduce("s1", "fake:s1:1")
    assert bench.mail.letters(Introduce, "s1").count(Introduce("h1", "fake:h1:0")) == 2, "it has forgotten the host"


def test_sports_data_goes_to_hosts_of_its_market_where_a_strategy_asks_for_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [backer(sports_data_filter=["race"]), backer(name="Plain", conflate_ms=50)])
    assert [stream.operation for stream in bench.setup.streams][1] == "raceSubscription"
    bench.take("s2", MarketSeen("s2", "1.1", b"", NOW))
    assert bench.mail.letters(Route) == []
    bench.sees("1.1", "s1")
    bench.sees("1.1", "s3")
    assert bench.mail.letters(Route, "s2") == [Route("s1.market", "1.1", "h1")]


def test_a_freed_market_leaves_host_and_streams(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.sees("1.1")
    bench.role.routes.free("1.1")
    assert bench.mail.letters(FreeMarket, "h1") == [FreeMarket("s1.market", "1.1")]
    assert bench.mail.letters(Unroute, "s1") == [Unroute("s1.market", "1.1")]
    assert bench.role.seating.host_of("s1.market", "1.1") is None


def test_a_request_goes_to_the_exchange_and_its_reply_to_the_actor_that_asked(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.ready()
    bench.sees("1.1")
    bench.opens("1.1")
    bench.asks(placing("a"))
    (request,) = bench.account.requests
    assert request.request_id == "h1.s1.market/r1"
    report = Report("a", "PLACE", "SUCCESS", bet_id="9")
    bench.account.execution.answer(Reply(request.request_id, "1.1", NOW, ANSWERED, (report,)))
    assert bench.carried("h1") == [Reply("r1", "1.1", NOW, ANSWERED, (report,))]


def test_a_request_of_a_paper_account_goes_back_to_the_host_that_simulates_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, clients=[LiveClient(paper_trade=True)])
    bench.sees("1.1")
    bench.opens("1.1")
    bench.asks(placing("a"))
    assert bench.account.requests == []
    (request,) = bench.carried("h1")
    assert request.request_id == "h1.s1.market/r1"
    assert request.instructions == placing("a").instructions
    bench.take("h1", Carried("s1.market", Reply(request.request_id, "1.1", NOW, ANSWERED, ())))
    assert bench.carried("h1")[1:] == [Reply("r1", "1.1", NOW, ANSWERED, ())]


def test_a_request_after_its_deadline_is_not_sent(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.ready()
    bench.sees("1.1")
    bench.opens("1.1")
    bench.asks(placing("a", deadline=NOW - 1))
    assert bench.account.requests == []
    (reply,) = bench.carried("h1")
    assert reply.outcome == EXPIRED
    assert [report.order_id for report in reply.reports] == ["a"]


def test_the_limit_of_transactions_counts_over_all_markets(tmp_path: Path) -> None:
    bench = Bench(tmp_path, clients=[LiveClient(transaction_limit=1)])
    bench.ready()
    for market_id, host in (("1.1", "h1"), ("1.2", "h2")):
        bench.sees(market_id)
        bench.opens(market_id, host)
    bench.asks(placing("a"), "h1")
    bench.asks(placing("b", "1.2"), "h2")
    assert [request.market_id for request in bench.account.requests] == ["1.1"]
    (reply,) = bench.carried("h2")
    assert (reply.outcome, reply.control) == (REFUSED, "MAX_TRANSACTION_COUNT")


def test_what_an_actor_sends_that_is_not_joined_is_left_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.asks(placing("a"), "h9")
    assert bench.account.requests == []


def test_a_host_that_is_gone_is_forgotten_by_all_and_its_markets_are_given_up(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.sees("1.1")
    bench.opens("1.1")
    bench.dies("h1")
    assert Introduce("h1", "") in bench.mail.letters(Introduce, "s1")
    assert bench.mail.letters(Unroute, "s1") == [Unroute("s1.market", "1.1")]
    bench.asks(placing("a"))
    assert bench.account.requests == [], "what it had sent before is not acted on"


# -- sessions ---------------------------------------------------------------------------------------------------------


def two_streams(folder: Path) -> Bench:
    return Bench(folder, [backer(), backer(name="Other", conflate_ms=50)])


def test_one_login_serves_all_streams_and_one_stream_connects_at_a_time(tmp_path: Path) -> None:
    bench = two_streams(tmp_path)
    bench.wants("s1")
    bench.wants("s2")
    assert bench.sessions() == []
    bench.account.session.log_in("token-1")
    assert bench.sessions() == [("s1", "token-1")]
    bench.take("s1", StreamState("s1", "CONNECTING", NOW))
    assert len(bench.sessions()) == 1
    bench.take("s1", StreamState("s1", "SUBSCRIBED", NOW))
    assert bench.sessions() == [("s1", "token-1"), ("s2", "token-1")]


def test_the_next_stream_connects_when_the_first_one_is_down(tmp_path: Path) -> None:
    bench = two_streams(tmp_path)
    bench.account.session.token = "token-1"
    bench.wants("s1")
    bench.wants("s2")
    bench.take("s1", StreamState("s1", "DOWN", NOW, "refused"))
    assert [stream for stream, _ in bench.sessions()] == ["s1", "s2"]


def test_a_stream_that_never_says_how_it_stands_does_not_keep_the_others_waiting_for_ever(tmp_path: Path) -> None:
    bench = two_streams(tmp_path)
    bench.account.session.token = "token-1"
    bench.wants("s1")
    bench.wants("s2")
    bench.passes(5_000)
    assert len(bench.sessions()) == 1
    bench.passes(15_000)
    assert [stream for stream, _ in bench.sessions()] == ["s1", "s2"]


def test_a_refused_session_leads_to_a_login_and_is_not_given_again(tmp_path: Path) -> None:
    bench = two_streams(tmp_path)
    bench.account.session.token = "stale"
    bench.wants("s1")
    bench.wants("s1", refused="stale")
    bench.wants("s2", refused="stale")
    assert bench.sessions() == [("s1", "stale")]
    bench.account.session.log_in("fresh")
    assert bench.sessions() == [("s1", "stale"), ("s1", "fresh")]


def test_a_session_that_is_lost_while_a_stream_waits_is_logged_in_again(tmp_path: Path) -> None:
    bench = two_streams(tmp_path)
    bench.account.session.token = "first"
    bench.wants("s1")
    bench.wants("s2")
    bench.account.session.token = None
    bench.take("s1", StreamState("s1", "SUBSCRIBED", NOW))
    assert len(bench.sessions()) == 1
    bench.account.session.log_in("second")
    assert bench.sessions() == [("s1", "first"), ("s2", "second")]


def test_an_account_that_the_exchange_does_not_know_is_told_of(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.account.session.error = "INVALID_USERNAME_OR_PASSWORD"
    bench.wants("s1")
    bench.account.session.log_in(None)
    assert [event.kind for event in bench.role.alerts.events] == ["SESSION"]
    assert "trader cannot log in: INVALID_USERNAME_OR_PASSWORD" in bench.role.alerts.events[0].text
