"""The stream on real sockets: betfairlightweight as it is, both families, TLS, and clients that mean no good."""

from __future__ import annotations

import gc
import random
import resource
import socket
import threading
import time
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from betfairlightweight import StreamListener
from betfairlightweight.exceptions import ListenerError, SocketError
from betfairlightweight.filters import streaming_market_data_filter, streaming_market_filter, streaming_order_filter
from betfairlightweight.streaming import BetfairStream

from builders import MARKET
from exchange_builders import Stream, exchange_of, play
from exchange_requests import place
from headrace.simulate.exchange.listening import bound
from headrace.simulate.exchange.settings import Limits, Timers
from stream_sockets import WAIT, RawClient, StreamServed, served_stream

MARKETS = 30
WIDE = [f"1.3{number:08}" for number in range(MARKETS)]


def busy(market_id: str, changes: int) -> Stream:
    """A market whose best offer to back changes its size with every moment."""
    stream = Stream(market_id, regulators=["MR_INT"])
    for number in range(1, changes + 1):
        stream.prices(number, {1: {"atb": [[2.0, number]], "atl": [[2.2, 5]]}})
    return stream


@pytest.fixture(scope="module")
def served() -> Iterator[StreamServed]:
    exchange = exchange_of(
        busy(MARKET, 4_000),
        limits=Limits(sockets=100, line_bytes=100_000, connections=50),
        timers=Timers(subscribe=8.0),
    )
    with served_stream(exchange) as found:
        found.do(lambda: play(exchange, until=0))
        yield found


def advance(served: StreamServed, messages: int = 1) -> None:
    for _ in range(messages):
        served.do(served.exchange.play_next)


def size(served: StreamServed) -> float:
    """What is published as the best offer to back."""
    return served.do(lambda: served.exchange.markets[MARKET].public.runner(1, 0.0).size("atb", 2.0))


# -- betfairlightweight ---------------------------------------------------------------------------------------------


def believed(listener: StreamListener) -> float | None:
    """The size that betfairlightweight has of the best offer to back."""
    [book] = listener.snap() or [None]
    return (
        None
        if book is None or not book.runners[0].ex.available_to_back
        else book.runners[0].ex.available_to_back[0].size
    )


def wait_for(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end, "it has not happened"
        time.sleep(0.005)


class Started:
    """A stream of betfairlightweight that reads in a thread of its own, as flumine has it."""

    def __init__(self, stream: BetfairStream) -> None:
        self.stream = stream
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.stream.start()
        except (SocketError, ListenerError) as error:
            self.error = error

    def ended(self) -> None:
        self._thread.join(WAIT)
        assert not self._thread.is_alive()


def test_betfairlightweight_follows_a_market_and_goes_on_from_its_clocks(served: StreamServed):
    listener = StreamListener(max_latency=None)
    stream = served.betfairlightweight(listener, unique_id=10_000)
    wanted = {
        "market_filter": streaming_market_filter(market_ids=[MARKET]),
        "market_data_filter": streaming_market_data_filter(fields=["EX_MARKET_DEF", "EX_ALL_OFFERS"], ladder_levels=3),
    }
    advance(served)
    assert stream.subscribe_to_markets(**wanted) == 10_001
    started = Started(stream)
    wait_for(lambda: believed(listener) == size(served))
    assert listener.connections_available == 49
    advance(served, 5)
    wait_for(lambda: believed(listener) == size(served))
    stream.stop()
    started.ended()
    advance(served, 5)
    second = served.betfairlightweight(listener, unique_id=10_001)
    second.subscribe_to_markets(**wanted, initial_clk=listener.initial_clk, clk=listener.clk)
    started = Started(second)
    wait_for(lambda: believed(listener) == size(served))
    assert len(listener.stream._caches) == 1
    second.stop()
    started.ended()


def test_betfairlightweight_sees_its_orders_on_another_stream(served: StreamServed):
    listener = StreamListener(max_latency=None)
    stream = served.betfairlightweight(listener)
    stream.subscribe_to_orders(order_filter=streaming_order_filter(include_overall_position=False))
    started = Started(stream)
    bet = served.do(lambda: place(served.exchange, "LAY", 1.5, 3.0))
    wait_for(lambda: [each.bet_id for book in listener.snap() for each in book.orders] == [bet.bet_id])
    stream.stop()
    started.ended()


def test_betfairlightweight_is_told_of_an_error(served: StreamServed):
    listener = StreamListener(max_latency=None)
    stream = served.betfairlightweight(listener)
    stream.subscribe_to_markets(streaming_market_filter(), {"fields": ["EX_NOTHING"]})
    started = Started(stream)
    started.ended()
    assert isinstance(started.error, ListenerError)


def test_betfairlightweight_notices_a_lost_connection(served: StreamServed):
    listener = StreamListener(max_latency=None)
    stream = served.betfairlightweight(listener)
    stream.subscribe_to_markets(streaming_market_filter(), streaming_market_data_filter(fields=["EX_ALL_OFFERS"]))
    started = Started(stream)
    wait_for(lambda: listener.clk)
    served.fault("stream.reset")
    advance(served)
    started.ended()
    assert isinstance(started.error, SocketError)


# -- plain clients --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_both_families_are_served_plain_and_over_tls(served: StreamServed, host: str, tls: bool):
    with served.connect(tls, host) as client:
        assert client.log_in().subscribe()["ct"] == "SUB_IMAGE"


def test_a_socket_can_have_markets_and_orders(served: StreamServed):
    with served.connect() as client:
        client.log_in()
        client.subscribe(2, marketDataFilter={"fields": ["EX_ALL_OFFERS"]})
        client.send(op="orderSubscription", id=3)
        assert [client.line()["op"] for _ in range(2)] == ["status", "ocm"]
        served.do(lambda: place(served.exchange, "LAY", 1.4, 3.0))
        found = {message["op"]: message for message in (client.line(), client.line())}
        assert found["mcm"]["id"] == 2
        assert found["mcm"]["mc"][0]["rc"][0]["atb"] == [[1.4, 3.0]]
        assert found["ocm"]["id"] == 3
        assert found["ocm"]["oc"][0]["orc"][0]["uo"][0]["p"] == 1.4
        client.subscribe(4, marketDataFilter={"fields": ["EX_ALL_OFFERS"]})  # the orders stay as they are
        served.do(lambda: place(served.exchange, "LAY", 1.3, 3.0))
        assert {client.line()["id"], client.line()["id"]} == {3, 4}


def test_a_port_that_is_taken_is_an_error():
    [taken, *others] = bound("localhost", 0)
    with pytest.raises(OSError, match="in use"):
        bound("localhost", taken.getsockname()[1])
    for each in (taken, *others):
        each.close()


# -- clients that mean no good --------------------------------------------------------------------------------------


@pytest.fixture
def guest(served: StreamServed) -> Iterator[RawClient]:
    """A client that is to be served whatever others do."""
    with served.connect() as client:
        client.log_in().subscribe(marketDataFilter={"fields": ["EX_ALL_OFFERS"]})
        yield client


def served_well(served: StreamServed, guest: RawClient) -> None:
    advance(served)
    assert guest.line()["mc"][0]["rc"][0]["atb"] == [[2.0, size(served)]]


@pytest.mark.parametrize("tls", [False, True])
def test_random_bytes_disturb_nobody(served: StreamServed, guest: RawClient, tls: bool):
    drawn = random.Random(7)
    for length in (1, 5, 100, 5_000, 60_000):
        with socket.create_connection(("127.0.0.1", served.port(tls)), timeout=WAIT) as vandal:
            vandal.sendall(drawn.randbytes(length) + b"\n")
            vandal.shutdown(socket.SHUT_WR)
            while True:
                try:
                    if not vandal.recv(65_536):
                        break
                except ConnectionResetError:
                    break
        served_well(served, guest)


def test_a_line_of_100_mb_is_not_kept(served: StreamServed, guest: RawClient):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    chunk = b"x" * 1_000_000
    with served.connect() as vandal:
        vandal.log_in()
        with pytest.raises((ConnectionResetError, BrokenPipeError)):  # noqa: PT012
            for _ in range(100):
                vandal.socket.sendall(chunk)
                time.sleep(0.001)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000
    served_well(served, guest)


def test_half_a_tls_handshake_takes_no_place_for_long(served: StreamServed, guest: RawClient):
    hello = bytes.fromhex("160301020001000001fc0303")
    vandals = []
    for _ in range(150):  # more than are let in without saying who they are
        vandal = socket.create_connection(("127.0.0.1", served.port(tls=True)), timeout=WAIT)
        vandal.sendall(hello)
        vandals.append(vandal)
    served.until(lambda: served.server.arriving + len(served.server._strangers) <= 101)
    with served.connect(tls=True) as client:
        client.log_in().subscribe()
    served_well(served, guest)
    for vandal in vandals:
        vandal.close()
    served.until(lambda: not served.server.arriving)


def test_connections_that_come_and_go_leave_nothing_behind(served: StreamServed, guest: RawClient):
    for number in range(1_500):
        vandal = socket.create_connection(("127.0.0.1", served.port(tls=number % 3 == 0)), timeout=WAIT)
        vandal.close()
        if number % 500 == 0:
            served_well(served, guest)
    served.until(lambda: len(served.server.connections) == 1 and not served.server.arriving)
    served.until(lambda: not served.server._strangers)
    served_well(served, guest)


def test_handshakes_that_fail_leave_no_memory_to_be_collected(served: StreamServed, guest: RawClient):
    gc.collect()
    gc.disable()
    try:
        for _ in range(30):
            socket.create_connection(("127.0.0.1", served.port(tls=True)), timeout=WAIT).close()
        with served.connect(tls=True) as last:  # the others have been accepted before it
            last.log_in()
        served.until(lambda: not [each for each in gc.get_objects() if isinstance(each, SSLProtocol)])
    finally:
        gc.enable()
    served_well(served, guest)


def test_strangers_do_not_keep_others_out(served: StreamServed, guest: RawClient):
    strangers = [socket.create_connection(("127.0.0.1", served.port()), timeout=WAIT) for _ in range(300)]
    served_well(served, guest)
    served.until(lambda: len(served.server._strangers) <= 101)
    with served.connect() as client:
        client.log_in().subscribe()
    for stranger in strangers:
        stranger.close()


@pytest.mark.parametrize("tls", [False, True])
def test_a_client_that_never_reads_costs_little_and_delays_nobody(tls: bool):
    exchange = exchange_of(*(busy(each, 300) for each in WIDE), limits=Limits(backlog_bytes=20_000))
    with served_stream(exchange) as served:
        served.do(lambda: play(exchange, until=0))
        with served.connect(tls) as slow, served.connect() as quick:
            slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            for client in (slow, quick):
                client.log_in().subscribe(marketDataFilter={"fields": ["EX_ALL_OFFERS", "EX_MARKET_DEF"]})
            [connection] = served.do(lambda: list(served.server.connections.values())[:1])
            most = 0
            for _ in range(300):
                advance(served)
                most = max(most, served.do(lambda: connection.unsent_bytes))
            assert 0 < most < 60_000
            last: dict[str, list[float]] = {}
            while len(last) < MARKETS or {tuple(each) for each in last.values()} != {(2.0, 300.0)}:
                for change in quick.line().get("mc", ()):
                    last[change["id"]] = change["rc"][0]["atb"][0]
            last.clear()  # and what the slow one reads in the end is what there is
            while len(last) < MARKETS or {tuple(each) for each in last.values()} != {(2.0, 300.0)}:
                for change in slow.line().get("mc", ()):
                    last[change["id"]] = change["rc"][0]["atb"][0]
