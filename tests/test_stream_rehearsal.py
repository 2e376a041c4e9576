"""A stream against a rehearsal exchange in a process of its own, over TLS, with the mail of live actors."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import headrace as hr
from headrace.actors.letters import (
    MarketSeen,
    MarketUpdate,
    Route,
    Session,
    SessionWanted,
    Stop,
    StreamState,
)
from headrace.actors.live.crews import StreamPlan
from headrace.actors.mailboxes.socket_post import ZmqPost
from headrace.actors.mailboxes.threads import ThreadPost
from headrace.actors.role import run
from headrace.actors.streaming.market_stream import MarketStreamRole
from headrace.actors.streaming.stream_place import StreamPlace, StreamSettings
from headrace.actors.streaming.streamed_market import read_change
from headrace.strategies.book import MarketBook


@pytest.fixture(scope="module")
def exchange() -> Iterator[Any]:
    with hr.RehearsalExchange(generate=3, speed=200) as found:
        yield found


class Coordinator:
    """Gives the stream a session, and routes every market to one host."""

    name = "c"
    next_ms = float("inf")

    def __init__(self, client: Any) -> None:
        self._client = client
        self.states: list[StreamState] = []

    def start(self, mail: Any) -> None:
        self.mail = mail

    def receive(self, sender: str, letter: Any, at_ms: int) -> None:
        if isinstance(letter, SessionWanted):
            self._client.login()
            session = Session("BETFAIR", self._client.username, self._client.app_key, self._client.session_token)
            self.mail.send(letter.stream, session)
        elif isinstance(letter, MarketSeen):
            self.mail.send(letter.stream, Route("s1.market", letter.market_id, "h1"))
        elif isinstance(letter, StreamState):
            self.states.append(letter)

    def caught_up(self, at_ms: int) -> None:
        return

    def wake(self, at_ms: int) -> None:
        return

    def lost(self, sender: str) -> None:
        return

    def stop(self) -> None:
        return


class Host(Coordinator):
    """Folds the books of what it is sent."""

    name = "h1"

    def __init__(self) -> None:
        self.books: dict[str, MarketBook] = {}
        self.changes = 0
        self.without_image: list[str] = []

    def receive(self, sender: str, letter: Any, at_ms: int) -> None:
        if isinstance(letter, MarketUpdate):
            self.changes += 1
            if letter.market_id not in self.books and not letter.image:
                self.without_image.append(letter.market_id)
            book = self.books.setdefault(letter.market_id, MarketBook(letter.market_id))
            book.apply(letter.pt, read_change(letter.change).change)


def until(condition: Callable[[], Any], seconds: float = 30) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it has not happened"
        time.sleep(0.01)
    return found


@pytest.mark.parametrize("post_of", [ThreadPost, ZmqPost])
def test_books_at_a_host_are_those_of_the_stream_over_tls_and_a_reset(exchange: Any, post_of: Any) -> None:
    addresses = exchange.addresses
    place = StreamPlace(addresses.host, addresses.stream_tls, ca_file=addresses.certificate)
    stream = MarketStreamRole(StreamPlan("s1", "marketSubscription"), place, StreamSettings(first_wait=0.05))
    coordinator, host = Coordinator(exchange.client()), Host()
    post = post_of()
    mails = {name: post.open(name) for name in ("c", "s1", "h1")}
    for name, knows in (("s1", ("c", "h1")), ("c", ("s1",)), ("h1", ())):
        for other in knows:
            mails[name].know(other, mails[other].address)
    threads = [
        threading.Thread(target=run, args=(role, mails[role.name]), daemon=True) for role in (coordinator, host, stream)
    ]
    for thread in threads:
        thread.start()
    try:
        until(lambda: host.changes > 60)
        exchange.fault("stream.reset")
        until(lambda: stream.connections[0].reconnects)
        before = host.changes
        until(lambda: host.changes > before + 60)
        mails["s1"].put(Stop())
        threads[2].join(10)
        assert not threads[2].is_alive()
        last = stream._markets
        until(lambda: all(host.books[each].publish_time_epoch == last[each].book.publish_time_epoch for each in last))
        for market_id, market in last.items():
            assert [state_of(each) for each in host.books[market_id].runners] == [
                state_of(each) for each in market.book.runners
            ]
        assert host.without_image == []
        until(lambda: coordinator.states[-1].state == "STOPPED")
        assert {each.state for each in coordinator.states} == {"CONNECTING", "SUBSCRIBED", "DOWN", "STOPPED"}
    finally:
        for name in ("c", "h1", "s1"):
            mails[name].stopped = True
        for thread in threads:
            thread.join(10)
        post.close()


def state_of(runner: Any) -> tuple[Any, ...]:
    return (
        runner.selection_id,
        runner.status,
        runner.ex.back.levels,
        runner.ex.lay.levels,
        runner.ex.traded.levels,
        runner.last_price_traded,
        runner.total_matched,
    )
