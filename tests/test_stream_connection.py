"""A connection to a stream: handshake, sessions, clocks, heartbeats, back-off, and every way in which it ends."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from exchange_builders import ALICE, MARKET, Stream, exchange_of
from headrace.actors.letters import Hello, Letter, Session, SessionWanted, StreamState
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
