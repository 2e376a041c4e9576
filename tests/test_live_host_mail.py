"""A host with real mail, in a thread: bursts of changes, a callback that blocks, lost changes, and the end."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

import headrace as hr
from builders import MARKET, Stream
from headrace.actors.letters import HostState, ImageWanted, Letter, Rows, Stop
from headrace.actors.live import blocking
from headrace.actors.live.host import HostRole
from headrace.actors.live.rows_file import unpacked
from headrace.actors.mailboxes.bounds import Bounds
from headrace.actors.mailboxes.mail import Mail, Post
from headrace.actors.mailboxes.socket_post import ZmqPost
from headrace.actors.mailboxes.threads import ThreadPost
from headrace.actors.role import run
from live_hosts import live_setup, msg_for, updates_of

_Kind = TypeVar("_Kind")


class Hosted:
    """A host in a thread, with the mail of a coordinator and of a stream."""

    def __init__(self, post: Post, strategy: hr.Strategy) -> None:
        self.role = HostRole("h1", live_setup([strategy]))
        mail, self.coordinator, self.stream = post.open("h1"), post.open("c"), post.open("s1")
        for other in (self.coordinator, self.stream):
            other.know("h1", mail.address)
            mail.know(other.name, other.address)
        self.thread = threading.Thread(target=run, args=(self.role, mail), daemon=True)
        self.thread.start()
        self._taken: list[Letter] = []

    def send(self, stream: Stream, folder: Path) -> None:
        """The changes of a stream, as fast as they go."""
        for update in updates_of(stream.write(folder / "market")):
            self.stream.send("h1", msg_for(update, "s1.market"), droppable=True)

    def await_letter(self, kind: type[_Kind], condition: Callable[[_Kind], Any], mail: Mail | None = None) -> _Kind:
        """The first letter of a kind for which a condition holds."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            for _, letter in (mail or self.coordinator).wait(0.1).letters:
                if isinstance(letter, kind) and condition(letter):
                    return letter
        raise AssertionError(f"no such {kind.__name__} has come")

    def end(self) -> None:
        self.coordinator.send("h1", Stop())
        self.thread.join(20)
        assert not self.thread.is_alive()


class Slow(hr.Strategy):
    """Computes for a while at each book, until it is let go."""

    gate: Any = hr.resource(threading.Event)
    seen: Any = hr.resource(list)

    def check_market_book(self, market: Any, book: Any) -> bool:
        self.seen.append(book.runners[0].last_price_traded)
        if not self.gate.wait(20):
            raise AssertionError("it was not let go")
        return False


@pytest.fixture(params=[ThreadPost, ZmqPost])
def make_post(request: pytest.FixtureRequest) -> Iterator[Callable[..., Post]]:
    made: list[Post] = []

    def make(**settings: Any) -> Post:
        made.append(request.param(**settings))
        return made[-1]

    yield make
    for post in made:
        post.close()


@pytest.fixture
def slow() -> Slow:
    strategy = Slow()
    strategy.gate.clear()
    strategy.seen.clear()
    return strategy


def burst(count: int) -> Stream:
    stream = Stream()
    for number in range(1, count + 1):
        stream.prices(number, {1: {"ltp": 1 + number / 100, "atb": [[1 + number / 100, 5]]}})
    return stream


def test_a_burst_is_folded_and_shown_once(tmp_path: Path, make_post: Callable[..., Post], slow: Slow) -> None:
    host = Hosted(make_post(), slow)
    host.send(burst(500), tmp_path)
    slow.gate.set()
    state = host.await_letter(HostState, lambda each: b'"changes": 501' in each.markets)
    # Between the first change and the last there are as many looks as there were batches.
    assert slow.seen[0] is None
    assert slow.seen[-1] == 6.0
    assert len(slow.seen) + state.behind == 501
    assert state.behind > 0
    assert json.loads(state.tick_ms)["count"] == len(slow.seen)
    host.end()


def test_a_callback_that_blocks_is_told_while_it_does(
    tmp_path: Path, make_post: Callable[..., Post], slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocking, "LOOK", 0.02)
    monkeypatch.setattr(blocking, "TOLD_MS", 50)
    host = Hosted(make_post(), slow)
    host.send(burst(1), tmp_path)
    state = host.await_letter(HostState, lambda each: each.busy_ms > 100)
    assert state.host == "h1"
    slow.gate.set()
    host.await_letter(HostState, lambda each: each.busy_ms == 0 and b'"changes": 2' in each.markets)
    host.end()


def test_changes_that_were_left_out_are_made_up_for_by_an_image(
    tmp_path: Path, make_post: Callable[..., Post], slow: Slow
) -> None:
    host = Hosted(make_post(bounds=Bounds(letters=5, seconds=30.0)), slow)
    host.send(Stream(), tmp_path)
    while not slow.seen:
        time.sleep(0.01)
    host.send(burst(300), tmp_path)
    slow.gate.set()
    host.await_letter(ImageWanted, lambda each: each.host == "h1", host.stream)
    shown = len(slow.seen)
    image = Stream().prices(1, {1: {"ltp": 7.5}})
    host.send(image, tmp_path)
    host.await_letter(HostState, lambda each: each.lost > 0 and slow.seen[-1] == 7.5)
    # Nothing of what came after the gap was shown: 5 letters were taken at most, and those before it.
    assert all(price is None or price <= 1.06 for price in slow.seen[:shown])
    host.end()


def test_the_rows_come_before_the_end(tmp_path: Path, make_post: Callable[..., Post], slow: Slow) -> None:
    slow.gate.set()
    host = Hosted(make_post(), slow)
    host.send(burst(3), tmp_path)
    host.await_letter(HostState, lambda each: b'"changes": 4' in each.markets)
    host.end()
    rows = unpacked(host.await_letter(Rows, lambda each: True).data)
    assert [(row[2], row[9]) for row in rows["markets"]] == [(MARKET, 4)]
