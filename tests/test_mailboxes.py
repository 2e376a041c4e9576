"""Mail between live actors: what every post promises."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headrace.actors.letters import Ask, Letter, Stop, Told
from headrace.actors.mailboxes.bounds import Bounds
from headrace.actors.mailboxes.mail import Mail, Post
from headrace.actors.mailboxes.socket_post import ZmqPost
from headrace.actors.mailboxes.threads import ThreadPost
from headrace.strategies.errors import RunError
from live_roles import until

SMALL = Bounds(letters=5, seconds=30.0)
MakePost = Callable[[Bounds], Post]


@pytest.fixture(params=["threads", "sockets"])
def make_post(request: pytest.FixtureRequest) -> Iterator[MakePost]:
    made: list[Post] = []

    def make(bounds: Bounds) -> Post:
        made.append(ThreadPost(bounds) if request.param == "threads" else ZmqPost(bounds=bounds))
        return made[-1]

    yield make
    for post in made:
        post.close()


@pytest.fixture
def post(make_post: MakePost) -> Post:
    return make_post(Bounds())


def pair(post: Post, first: str = "a", second: str = "b") -> tuple[Mail, Mail]:
    """Two actors that know each other."""
    one, other = post.open(first), post.open(second)
    one.know(second, other.address)
    other.know(first, one.address)
    return one, other


def told(number: int) -> Told:
    return Told("n", str(number).encode())


def read(mail: Mail, count: int, seconds: float = 5.0) -> list[tuple[str, Letter]]:
    """The next letters, as many as are asked for."""
    letters: list[tuple[str, Letter]] = []
    end = time.monotonic() + seconds
    while len(letters) < count and time.monotonic() < end:
        letters += mail.wait(0.05).letters
    return letters


def missed(mail: Mail, sender: Mail, seconds: float = 5.0) -> list[str]:
    """Of whom letters were lost, as soon as that is told; letters before that are taken and forgotten."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        lost = mail.wait(0.02).lost
        sender.wait(0.0)
        if lost:
            return list(lost)
    return []


# -- letters -----------------------------------------------------------------------------------------------------------


def test_letters_arrive_with_their_sender_in_the_order_of_sending(post: Post) -> None:
    a, b = pair(post)
    for number in range(100):
        assert a.send("b", told(number))
    assert read(b, 100) == [("a", told(number)) for number in range(100)]
    assert (a.counts["sent"], b.counts["received"], b.counts["lost"]) == (100, 100, 0)


def test_an_actor_that_nobody_knows_gets_nothing(post: Post) -> None:
    a = post.open("a")
    post.open("b")
    assert not a.send("b", told(1))
    assert a.counts["undelivered"] == 1


def test_an_actor_that_is_forgotten_gets_nothing_more(post: Post) -> None:
    a, b = pair(post)
    a.send("b", told(1))
    a.forget("b")
    assert not a.send("b", told(2))
    assert read(b, 1) == [("a", told(1))]
    assert not b.wait(0.05).letters


def test_a_wait_ends_when_its_time_is_over(post: Post) -> None:
    a = post.open("a")
    before = time.monotonic()
    waiting = a.wait(0.05)
    assert 0.04 < time.monotonic() - before < 2
    assert (list(waiting.letters), list(waiting.lost), list(waiting.files)) == ([], [], [])


def test_what_threads_of_an_actor_put_wakes_it_under_its_own_name(post: Post) -> None:
    a = post.open("a")
    threading.Timer(0.05, a.put, [told(1)]).start()
    assert list(a.wait(10.0).letters) == [("a", told(1))]


def test_many_threads_put_and_nothing_is_lost(post: Post) -> None:
    a = post.open("a")
    threads = [threading.Thread(target=lambda: [a.put(told(n)) for n in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert len(read(a, 2000)) == 2000
    for thread in threads:
        thread.join(timeout=60)


def test_another_thread_of_an_actor_sends_aside(post: Post) -> None:
    a, b = pair(post)
    sent: list[bool] = []
    thread = threading.Thread(target=lambda: sent.extend([a.aside("b", told(1)), a.aside("nobody", told(2))]))
    thread.start()
    assert read(b, 1) == [("a", told(1))]
    thread.join(timeout=60)
    assert sent == [True, False]


def test_an_actor_that_is_stopped_by_another_thread_wakes(post: Post) -> None:
    a = post.open("a")
    threading.Timer(0.05, setattr, [a, "stopped", True]).start()
    before = time.monotonic()
    a.wait(20.0)
    assert a.stopped
    assert time.monotonic() - before < 10


def test_depth_is_what_waits(post: Post) -> None:
    a, b = pair(post)
    for number in range(7):
        a.send("b", told(number))
    read(b, 7)
    assert b.depth == 0


# -- slow receivers ----------------------------------------------------------------------------------------------------


def test_droppable_letters_beyond_the_bound_are_left_out_and_the_receiver_is_told(make_post: MakePost) -> None:
    a, b = pair(make_post(SMALL))
    taken = sum(a.send("b", told(number), droppable=True) for number in range(50))
    assert taken < 50
    assert a.counts["dropped"] == 50 - taken
    waiting = [letter for _, letter in b.wait(1.0).letters]
    assert waiting == [told(number) for number in range(len(waiting))]


def test_letters_that_may_not_be_dropped_wait_however_many(make_post: MakePost) -> None:
    a, b = pair(make_post(SMALL))
    assert all(a.send("b", told(number)) for number in range(3000))
    assert [letter for _, letter in read(b, 3000)] == [told(number) for number in range(3000)]
    assert a.counts["dropped"] == 0


def test_once_a_letter_was_left_out_so_are_those_after_it_until_the_receiver_has_looked(make_post: MakePost) -> None:
    a, b = pair(make_post(SMALL))
    while a.send("b", told(0), droppable=True):
        pass
    assert not a.send("b", told(1), droppable=True)
    assert missed(b, a) == ["a"]
    end = time.monotonic() + 5
    while not a.send("b", told(2), droppable=True) and time.monotonic() < end:
        a.wait(0.01)
        b.wait(0.01)
    assert [letter for _, letter in read(b, 1)][-1] == told(2)
    assert b.counts["lost"] == a.counts["dropped"]


def test_a_receiver_whose_eldest_letter_is_too_old_gets_no_more_market_data(make_post: MakePost) -> None:
    a, b = pair(make_post(Bounds(letters=1000, seconds=0.1)))
    assert a.send("b", told(0), droppable=True)
    time.sleep(0.2)
    a.wait(0.0)
    assert not a.send("b", told(1), droppable=True)
    assert missed(b, a) == ["a"]


def test_bounds_are_possible_ones() -> None:
    with pytest.raises(ValueError, match="at least 1 letter"):
        Bounds(letters=0)
    with pytest.raises(ValueError, match="above 0"):
        Bounds(seconds=0)


# -- incarnations ------------------------------------------------------------------------------------------------------


def test_a_name_that_is_open_cannot_be_opened_again(post: Post) -> None:
    post.open("a")
    with pytest.raises(RunError, match="the mailbox of a is open already"):
        post.open("a", 1)


def test_a_name_is_free_once_its_mail_is_closed(post: Post) -> None:
    first = post.open("a")
    first.close()
    assert post.open("a", 1).address != first.address


def test_an_incarnation_is_later_than_the_last(post: Post) -> None:
    post.open("a", 4).close()
    with pytest.raises(RunError, match="incarnation 4 of a is not new: the last one was 4"):
        post.open("a", 4)
    assert post.open("a", 5).name == "a"


def test_what_is_sent_to_a_former_self_never_reaches_the_next(post: Post) -> None:
    a, b = pair(post)
    b.close()
    a.send("b", told(1))
    again = post.open("b", 1)
    a.send("b", told(2))
    a.know("b", again.address)
    a.send("b", told(3))
    assert read(again, 1) == [("a", told(3))]
    assert not again.wait(0.05).letters


def test_a_sender_that_was_started_anew_has_lost_letters(post: Post) -> None:
    a, b = pair(post)
    a.send("b", told(1))
    assert read(b, 1)
    a.close()
    again = post.open("a", 1)
    again.know("b", b.address)
    again.send("b", told(2))
    assert missed(b, again) == ["a"]


# -- files -------------------------------------------------------------------------------------------------------------


def test_a_file_that_can_be_read_wakes_its_actor(post: Post) -> None:
    a = post.open("a")
    here, there = socket.socketpair()
    ready = lambda: here.recv(100)  # noqa: E731
    a.watch(here, ready)
    threading.Timer(0.05, there.send, [b"x"]).start()
    assert list(a.wait(10.0).files) == [ready]
    assert ready() == b"x"
    assert not a.wait(0.0).files
    there.send(b"y")
    a.watch(here, None)
    assert not a.wait(0.05).files
    here.close()
    there.close()


def test_files_get_their_turn_while_letters_wait(post: Post) -> None:
    a = post.open("a")
    here, there = socket.socketpair()
    with here, there:
        a.watch(here, here.close)
        there.send(b"x")
        a.put(told(1))
        waiting = a.wait(5.0)
        assert (len(waiting.letters), len(waiting.files)) == (1, 1)


def test_data_that_a_tls_socket_has_read_already_is_not_waited_for(post: Post) -> None:
    class Socket:
        waits = 5

        def __init__(self, descriptor: int) -> None:
            self.descriptor = descriptor

        def fileno(self) -> int:
            return self.descriptor

        def pending(self) -> int:
            return self.waits

    a = post.open("a")
    here, there = socket.socketpair()
    with here, there:
        file = Socket(here.fileno())
        a.watch(file, file.fileno)
        before = time.monotonic()
        assert list(a.wait(10.0).files) == [file.fileno]
        assert time.monotonic() - before < 5
        file.waits = 0
        assert not a.wait(0.02).files
        a.watch(file, None)


def test_a_file_that_was_closed_while_it_was_watched_is_told_once(post: Post) -> None:
    a = post.open("a")
    here, there = socket.socketpair()
    ready = there.close
    a.watch(here, ready)
    here.close()
    assert list(a.wait(1.0).files) == [ready]
    assert not a.wait(0.02).files
    with pytest.raises(ValueError, match="is closed"):
        a.watch(here, ready)
    there.close()


# -- the end -----------------------------------------------------------------------------------------------------------


def test_closed_mail_gives_its_files_back(post: Post) -> None:
    folder = Path("/proc/self/fd")
    if not folder.exists():
        pytest.skip("this system does not list open files; runs where there is /proc/self/fd")
    before = len(os.listdir(folder))
    for number in range(20):
        a, b = pair(post, f"a{number}", f"b{number}")
        assert a.send(b.name, Stop())
        b.wait(1.0)
        a.close()
        b.close()
        b.close()
    until(lambda: len(os.listdir(folder)) - before < 10)  # sockets may still be waiting for those they sent to


def test_nothing_is_sent_or_received_after_the_close(post: Post) -> None:
    a, _ = pair(post)
    a.close()
    assert not a.send("b", Ask("x", "a", ""))
    a.put(told(1))
    assert not a.wait(0.0).letters
    assert a.stopped


def test_mail_closed_by_another_thread_ends_the_wait(post: Post) -> None:
    a = post.open("a")
    threading.Timer(0.05, a.close).start()
    before = time.monotonic()
    a.wait(20.0)
    assert a.stopped
    assert time.monotonic() - before < 10
