"""A connection to a stream: handshake, sessions, clocks, heartbeats, back-off, and every way in which it ends."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from exchange_builders import ALICE, MARKET, Stream, exchange_of
from headrace.actors.letters import Hello, Introduce, Letter, Session, SessionWanted, StreamState
from headrace.actors.live.crews import StreamPlan
from headrace.actors.streaming.connection import Connection
from headrace.actors.streaming.stream_messages import Batch
from headrace.actors.streaming.stream_place import StreamPlace, StreamSettings
from headrace.actors.streaming.stream_role import StreamRole
from headrace.actors.streaming.subscription import Subscription
from headrace.simulate.exchange.certificates import Certificates
from headrace.simulate.exchange.settings import Timers
from headrace.strategies.errors import InputError
from live_builders import FakeMail, Running, plain_place, tls_place
from stream_sockets import StreamServed, served_stream

#: Quick: tests wait for these.
QUICK = StreamSettings(heartbeat_ms=500, connect=3, handshake=2, image=1.0, first_wait=0.02, longest_wait=0.3)


class Noting(StreamRole):
    """Keeps what comes."""

    def __init__(self, place: StreamPlace, settings: StreamSettings = QUICK, **request: Any) -> None:
        super().__init__(StreamPlan("s1", "marketSubscription"), place, settings)
        self.request = {"marketFilter": {}, "heartbeatMs": settings.heartbeat_ms, **request}
        self.batches: list[Batch] = []

    def subscriptions(self) -> Iterator[Subscription]:
        yield Subscription("marketSubscription", self.request)

    def received(self, connection: Connection, batch: Batch) -> None:
        self.batches.append(batch)


class Desk:
    """A coordinator that gives each stream that asks a session of the exchange."""

    def __init__(self, served: StreamServed) -> None:
        self.served = served
        self.asked: list[SessionWanted] = []
        self.wrong_tokens = 0

    def __call__(self, name: str, letter: Letter) -> Letter | None:
        if not isinstance(letter, SessionWanted):
            return None
        self.asked.append(letter)
        if self.wrong_tokens:
            self.wrong_tokens -= 1
            return Session("BETFAIR", ALICE.username, ALICE.app_key, "no-such-token")
        return Session("BETFAIR", ALICE.username, ALICE.app_key, self.served.token())


class Scene:
    """An exchange, a stream that runs, and its mail."""

    def __init__(self, served: StreamServed, place: StreamPlace | None = None, **request: Any) -> None:
        self.served = served
        self.desk = Desk(served)
        self.mail = FakeMail(answers=self.desk)
        self.role = Noting(place or plain_place(served), **request)
        self.running = Running(self.role, self.mail)

    @property
    def states(self) -> list[str]:
        """The states that were told, each change once."""
        found: list[str] = []
        for letter in self.mail.letters(StreamState):
            if not found or found[-1] != letter.state:
                found.append(letter.state)
        return found

    @property
    def errors(self) -> list[str]:
        return [letter.error for letter in self.mail.letters(StreamState) if letter.error]

    def images(self, count: int = 1) -> list[Batch]:
        """Wait for so many images."""
        return self.running.until(lambda: [b for b in self.role.batches if b.image] if self._count() >= count else None)

    def _count(self) -> int:
        return sum(batch.image for batch in self.role.batches)

    def step(self) -> None:
        """The exchange plays the next message."""
        self.served.do(self.served.exchange.play_next)


def stream() -> Stream:
    made = Stream()
    for at in range(1, 40):
        made.prices(at * 100, {1: {"atb": [[2.0, 10 + at]]}})
    return made


@contextlib.contextmanager
def scene(tls: Certificates | None = None, timers: Timers | None = None, **request: Any) -> Iterator[Scene]:
    made = exchange_of(stream(), **({} if timers is None else {"timers": timers}))
    made.play_next()
    with served_stream(made, tls) as served:
        place = None if tls is None else tls_place(served, tls.server)
        found = Scene(served, place, **request)
        with found.running:
            yield found


# -- the handshake -------------------------------------------------------------------------------------------------


def test_image_and_changes_come_after_a_session_was_given() -> None:
    with scene() as found:
        (image,) = found.images()
        found.step()
        found.running.until(lambda: len(found.role.batches) == 2)
        assert found.mail.letters(Hello)[0].kind == "STREAM"
        assert found.states == ["CONNECTING", "SUBSCRIBED"]
        assert len(image.changes) == 1
        assert MARKET.encode() in bytes(image.changes[0])
        assert not found.role.batches[1].image
        assert found.role.username == "alice"


def test_certificate_of_the_exchange_is_checked(tmp_path: Any) -> None:
    certificates = Certificates(tmp_path)
    with scene(certificates) as found:
        assert len(found.images()) == 1
        for _ in range(5):
            found.step()
        found.running.until(lambda: len(found.role.batches) == 6)


def test_exchange_that_no_authority_vouches_for_is_told_and_not_spoken_to(tmp_path: Any) -> None:
    made = exchange_of(stream())
    with served_stream(made, Certificates(tmp_path)) as served:
        found = Scene(served, tls_place(served, None))
        with found.running:
            found.running.until(lambda: found.errors)
            assert "certificate is not trusted" in found.errors[0]
            assert "ca_file" in found.errors[0]
            assert "SUBSCRIBED" not in found.states


def test_certificate_of_another_name_is_not_trusted(tmp_path: Any) -> None:
    certificates = Certificates(tmp_path)
    made = exchange_of(stream())
    with served_stream(made, certificates) as served:
        port = served.port(tls=True)
        found = Scene(
            served, StreamPlace("127.0.0.1", port, ca_file=str(certificates.server), server_name="elsewhere.example")
        )
        with found.running:
            found.running.until(lambda: found.errors)
            assert "certificate is not trusted" in found.errors[0]


def test_file_of_authorities_that_is_missing_is_named(tmp_path: Any) -> None:
    with pytest.raises(InputError, match="no such file"):
        StreamPlace("localhost", ca_file=str(tmp_path / "none.pem")).context()


def test_file_of_authorities_without_certificates_is_named(tmp_path: Any) -> None:
    path = tmp_path / "empty.pem"
    path.write_text("nothing")
    with pytest.raises(InputError, match=r"empty\.pem"):
        StreamPlace("localhost", ca_file=str(path)).context()


def test_exchange_that_is_down_is_tried_again_until_it_is_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    mail = FakeMail(answers=lambda name, letter: _session(letter))
    role = Noting(StreamPlace("127.0.0.1", port, tls=False))
    with Running(role, mail) as running:
        running.until(lambda: len(mail.letters(SessionWanted)) >= 3)
        errors = [each.error for each in mail.letters(StreamState) if each.error]
        assert "cannot be reached" in errors[0]
        assert f"127.0.0.1:{port}" in errors[0]


def _session(letter: Letter) -> Session | None:
    return Session("BETFAIR", "alice", "alice-key", "token") if isinstance(letter, SessionWanted) else None


# -- ends ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("kind", ["drop", "reset", "half_line", "half_close", "fail_close"])
def test_connection_that_ends_is_made_again_and_goes_on_from_its_clock(
    kind: str, tls: bool, certificates: Certificates
) -> None:
    with scene(certificates if tls else None) as found:
        found.images()
        found.served.fault(f"stream.{kind}")
        found.step()
        found.running.until(lambda: any(batch.resumed for batch in found.role.batches))
        found.step()
        found.running.until(lambda: len(found.role.batches) >= 3)
        assert found.states == ["CONNECTING", "SUBSCRIBED", "DOWN", "CONNECTING", "SUBSCRIBED"]
        assert found.role.connections[0].reconnects == 1
        resumed = next(batch for batch in found.role.batches if batch.resumed)
        assert b"11" in bytes(resumed.changes[0])  # the change that was on its way when the connection ended
        assert [bool(each.refused) for each in found.desk.asked] == [False, False]


def test_failure_that_closes_is_told_with_its_code() -> None:
    with scene() as found:
        found.images()
        found.served.fault("stream.fail_close", value="CONNECTION_FAILED")
        found.step()
        found.running.until(lambda: found.errors)
        assert found.errors[0].startswith("CONNECTION_FAILED: ")


def test_silence_of_two_heartbeats_is_an_end() -> None:
    with scene() as found:
        found.images()
        found.served.fault("stream.silence", seconds=30)
        began = time.monotonic()
        found.running.until(lambda: "DOWN" in found.states)
        assert time.monotonic() - began < 3  # the next heartbeat, and twice 500 ms
        assert "not even heartbeats" in found.errors[0]
        found.running.until(lambda: found.states[-1] == "SUBSCRIBED")


def test_heartbeats_keep_a_quiet_connection_up() -> None:
    with scene() as found:
        found.images()
        time.sleep(1.6)
        assert found.states == ["CONNECTING", "SUBSCRIBED"]
        assert found.role.connections[0].messages >= 3


def test_clock_that_is_refused_is_dropped_at_once() -> None:
    with scene() as found:
        found.images()
        found.served.fault("stream.refuse_clock")
        found.served.fault("stream.drop")
        found.step()
        assert len(found.images(2)) == 2
        assert any(error.startswith("INVALID_CLOCK") for error in found.errors)
        assert len(found.desk.asked) == 3
        assert found.states[-1] == "SUBSCRIBED"


def test_subscription_of_which_nothing_comes_is_made_anew() -> None:
    made = exchange_of(stream())
    made.play_next()
    with served_stream(made) as served:
        served.fault("stream.no_subscription")
        found = Scene(served)
        with found.running:
            found.images()
            assert "no image came" in found.errors[0]


def test_changes_of_the_former_subscription_are_left_out_until_the_new_image() -> None:
    with scene() as found:
        found.images()
        found.served.fault("stream.stale_changes", seconds=0.3)

        def other() -> None:
            connection = found.role.connections[0]
            connection.subscription.change({"marketFilter": {"marketIds": [MARKET]}, "heartbeatMs": 500})
            connection.ask_again()

        found.running.do(other)
        found.running.until(lambda: found.role.connections[0].subscription.id == 3)
        found.step()  # with the id of the former subscription
        assert len(found.images(2)) == 2
        assert [batch.image for batch in found.role.batches] == [True, True]


def test_message_that_could_not_be_taken_is_followed_by_a_new_image(caplog: pytest.LogCaptureFixture) -> None:
    with scene() as found:
        found.images()
        take = found.role.received
        failures = iter([True])

        def failing(connection: Connection, batch: Batch) -> None:
            if next(failures, False):
                raise KeyError("size")
            take(connection, batch)

        found.role.received = failing  # type: ignore[method-assign]
        found.step()
        found.images(2)
        assert "KeyError" in found.errors[0]
        assert [batch.resumed for batch in found.role.batches] == [False, False]
        assert "could not be taken" in caplog.text


# -- what authentication is answered -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "code", "state"),
    [
        ("throttle", "TOO_MANY_REQUESTS", "DOWN"),
        ("connection_limit", "MAX_CONNECTION_LIMIT_EXCEEDED", "DOWN"),
        ("not_authorized", "NOT_AUTHORIZED", "REFUSED"),
        ("unexpected", "UNEXPECTED_ERROR", "DOWN"),
    ],
)
def test_refused_authentication_is_told_and_tried_again_later(kind: str, code: str, state: str) -> None:
    made = exchange_of(stream())
    made.play_next()
    with served_stream(made) as served:
        served.fault(f"stream.{kind}")
        found = Scene(served)
        with found.running:
            found.images()
            assert found.errors[0].startswith(f"{code}: ")
            assert found.states == ["CONNECTING", state, "CONNECTING", "SUBSCRIBED"]


def test_token_that_is_not_taken_is_named_when_a_session_is_asked_for() -> None:
    made = exchange_of(stream())
    made.play_next()
    with served_stream(made) as served:
        found = Scene(served)
        found.desk.wrong_tokens = 1
        with found.running:
            found.images()
            assert [each.refused for each in found.desk.asked] == [None, "no-such-token"]


def test_filter_that_the_exchange_refuses_is_told_as_it_says_it() -> None:
    with scene(marketFilter={"colour": "red"}) as found:
        found.running.until(lambda: "REFUSED" in found.states)
        assert found.errors[0].startswith("INVALID_INPUT: ")
        assert "colour" in found.errors[0]


def test_too_many_markets_are_an_error_and_the_connection_stays() -> None:
    made = exchange_of(stream())
    made.play_next()
    with served_stream(made) as served:
        served.fault("stream.subscription_limit")
        found = Scene(served)
        with found.running:
            found.running.until(lambda: found.states[-1] == "REFUSED")
            assert found.errors[0].startswith("SUBSCRIPTION_LIMIT_EXCEEDED: ")
            found.running.do(found.role.connections[0].ask_again)  # of less markets
            found.images()
            assert found.states == ["CONNECTING", "REFUSED", "SUBSCRIBED"]
            assert len(found.desk.asked) == 1


def test_late_greeting_is_waited_for() -> None:
    made = exchange_of(stream())
    made.play_next()
    with served_stream(made) as served:
        served.fault("stream.slow_connect", seconds=0.4)
        found = Scene(served)
        with found.running:
            found.images()
            assert found.errors == []


# -- what is not the exchange --------------------------------------------------------------------------------------


class Stranger:
    """A server of one's own: says given things to each that connects."""

    def __init__(self, *said: bytes) -> None:
        self._said = said
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            for each in self._said:
                connection.sendall(each)
                connection.recv(65_536)

    def close(self) -> None:
        self._listener.close()


GREETING = b'{"op":"connection","connectionId":"1"}\r\n'
TAKEN = b'{"op":"status","id":1,"statusCode":"SUCCESS","connectionsAvailable":9}\r\n'


@contextlib.contextmanager
def stranger(*said: bytes) -> Iterator[tuple[Running, FakeMail, Noting]]:
    server = Stranger(*said)
    mail = FakeMail(answers=lambda name, letter: _session(letter))
    settings = StreamSettings(heartbeat_ms=500, connect=1, handshake=0.3, image=1, first_wait=0.01, longest_wait=0.2)
    role = Noting(StreamPlace("127.0.0.1", server.port, tls=False), settings)
    try:
        with Running(role, mail) as running:
            yield running, mail, role
    finally:
        server.close()


def errors_of(mail: FakeMail) -> list[str]:
    return [each.error for each in mail.letters(StreamState) if each.error]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ((b"HTTP/1.1 400 Bad Request\r\n",), "not a message of the exchange"),
        ((b'{"op":"mcm","id":1}\r\n',), "does not greet as the exchange does"),
        ((b'{"op":"connection"',), "its greeting is missing"),
        ((GREETING, b'{"op":"sta'), "the answer to the authentication is missing"),
        ((GREETING, TAKEN, b"\r\n"), "the answer to the subscription is missing"),
        ((GREETING, TAKEN, b"\xff\xfe\r\n"), "not a message of the exchange"),
    ],
)
def test_what_is_not_the_exchange_is_told_and_left(said: tuple[bytes, ...], told: str) -> None:
    with stranger(*said) as (running, mail, _):
        running.until(lambda: errors_of(mail))
        assert told in errors_of(mail)[0]


def test_request_that_does_not_fit_into_the_socket_is_sent_as_it_is_read() -> None:
    read: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as lines:
                connection.sendall(GREETING)
                lines.readline()
                connection.sendall(TAKEN)
                time.sleep(0.2)
                read.append(len(lines.readline()))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        mail = FakeMail(answers=lambda name, letter: _session(letter))
        ids = [f"1.{number}" for number in range(1_000_000)]
        role = Noting(StreamPlace("127.0.0.1", listener.getsockname()[1], tls=False), marketFilter={"marketIds": ids})
        with Running(role, mail) as running:
            running.until(lambda: read)
        thread.join(5)
    assert read[0] > 10_000_000


def test_line_without_end_is_given_up() -> None:
    from headrace.actors.streaming.line_socket import ConnectionLostError, LineSocket

    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    lines = LineSocket(ours, None, "x", most_bytes=1_000)
    theirs.sendall(b"a" * 2_000)
    with pytest.raises(ConnectionLostError, match="more than 1000 bytes"):
        lines.read(lambda line: None)
    lines.close()
    theirs.close()


def test_lines_come_whole_however_they_are_cut() -> None:
    from headrace.actors.streaming.line_socket import ConnectionLostError, LineSocket

    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    lines = LineSocket(ours, None, "x")
    found: list[bytes] = []
    for piece in (b"one\r", b"\ntwo\nth", b"re", b"e\r\n\r\nfo", b"ur\r\nrest"):
        theirs.sendall(piece)
        lines.read(found.append)
    assert found == [b"one", b"two", b"three", b"four"]
    theirs.close()
    with pytest.raises(ConnectionLostError, match="closed"):
        lines.read(found.append)
    lines.close()


def test_waits_between_attempts_double_up_to_the_longest() -> None:
    told = [0.0]
    waits: list[float] = []

    class Still:
        def session_wanted(self, connection: Connection, refused: str | None) -> None:
            return

        def received(self, connection: Connection, batch: Batch) -> None:
            return

        def changed(self, connection: Connection) -> None:
            return

    settings = StreamSettings(first_wait=0.5, longest_wait=60)
    connection = Connection(
        StreamPlace("127.0.0.1", 1, tls=False),
        Subscription("marketSubscription", {}),
        Still(),
        lambda file, ready: None,
        settings,
        now=lambda: told[0],
        chance=lambda: 1.0,
    )
    connection.open()
    for _ in range(9):
        connection._lose("it ended")
        waits.append(connection.deadline - told[0])
        told[0] = connection.deadline
        connection.wake()
    assert waits == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]


def test_session_is_asked_for_again_while_none_comes() -> None:
    mail = FakeMail()
    settings = StreamSettings(longest_wait=0.1)
    with Running(Noting(StreamPlace("127.0.0.1", 1, tls=False), settings), mail) as running:
        running.until(lambda: len(mail.letters(SessionWanted)) >= 3)


def test_new_coordinator_is_asked_at_once() -> None:
    mail = FakeMail()
    with Running(Noting(StreamPlace("127.0.0.1", 1, tls=False)), mail) as running:
        running.until(lambda: len(mail.letters(SessionWanted)) == 1)
        mail.deliver(Introduce("c", "fake:c:2"))
        running.until(lambda: len(mail.letters(SessionWanted)) == 2)


def test_stopping_ends_the_connection_and_says_so() -> None:
    with scene() as found:
        found.images()
    assert found.states[-1] == "STOPPED"
    assert found.served.server.addresses  # the exchange is still there
    assert found.mail.files == {}
