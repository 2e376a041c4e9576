"""Calls of a coordinator to the exchange that a test carries, in one thread (`order_world.py`)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from exchange_builders import ALICE
from headrace.actors.betfair.calls import Calls
from headrace.actors.betfair.posts import LOST, NOT_SENT, REPLIED, Got, Post
from headrace.actors.betfair.session import Session
from headrace.actors.letters import Letter, Outcome
from headrace.simulate.exchange.errors import ApiError, ParameterError
from headrace.simulate.exchange.http.arguments import arguments_of
from headrace.simulate.exchange.http.envelope import SERVICES, json_rpc
from headrace.simulate.exchange.http.envelope import Outcome as Replied
from headrace.simulate.exchange.operations import Operation


class World(Protocol):
    """What carries them.

    Attributes:
        now: milliseconds since the epoch.
        operations: of the exchange, by method.
        wired: the calls of the coordinator that lives.
    """

    now: int
    operations: dict[str, Operation]
    wired: WiredCalls
    loop: asyncio.AbstractEventLoop

    def turn(self) -> None: ...

    def comes_to(self, point: str) -> None:
        """The coordinator may crash here."""

    def sent(self, call: Call) -> None:
        """A call is on its way."""

    def unsent(self, call: Call) -> None:
        """It is not, after all."""


class Call:
    """A call on its way to the exchange, or back.

    Attributes:
        reply: the body; None: the exchange has not answered.
        heard: nobody waits for the answer any more.
        arrived: the exchange has it.
    """

    def __init__(self, world: World, number: int, calls: WiredCalls, body: bytes) -> None:
        self._world, self._number, self._calls = world, number, calls
        self.asked = json.loads(body)
        self.begun = world.now
        self.reply: bytes | None = None
        self.heard = self.arrived = False
        self._task: asyncio.Task[Any] | None = None

    @property
    def operation(self) -> str:
        return str(self.asked["method"].rpartition("/")[2])

    @property
    def changes(self) -> bool:
        """It places, or changes bets."""
        return self.operation in ("placeOrders", "cancelOrders", "replaceOrders", "updateOrders")

    def arrive(self) -> None:
        """It reaches the exchange."""
        assert not self.arrived
        self.arrived = True
        world = self._world
        operation = world.operations[self.asked["method"]]
        made = operation(ALICE, arguments_of(self.asked["params"]))
        self._task = world.loop.create_task(made)  # type: ignore[arg-type]
        world.turn()

    def look(self) -> None:
        """See whether the exchange has answered."""
        if self._task is None or not self._task.done() or self.reply is not None:
            return
        try:
            outcome = Replied(self._task.result())
        except (ApiError, ParameterError) as error:
            outcome = Replied.of(error, "")
        except Exception:  # it was cut
            self.lose()
            self.reply = b""
            return
        service = SERVICES["account" if self.asked["method"].startswith("Account") else "betting"]
        self.reply = msgspec.json.encode(json_rpc(service, outcome, self.asked))

    def answer(self) -> None:
        """The reply comes."""
        assert self.reply is not None
        self._got(Got(REPLIED, 200, self.reply, "", self.begun, self._world.now))

    def lose(self) -> None:
        """The connection is cut: nobody hears what became of it."""
        self._got(Got(LOST, 0, b"", "cut", self.begun, self._world.now))

    def refuse(self) -> None:
        """It cannot be sent."""
        assert not self.arrived
        self.arrived = True
        self._world.unsent(self)
        self._got(Got(NOT_SENT, 0, b"", "refused", self.begun, self._world.now))

    def _got(self, got: Got) -> None:
        if not self.heard:
            self.heard = True
            if self._calls is self._world.wired:
                self._calls.found(self._number, got)

    @property
    def over(self) -> bool:
        """Nothing comes of it any more."""
        return self.heard and self.arrived and (self._task is None or self._task.done())

    def drop(self) -> None:
        """It never reaches the exchange."""
        self.arrived = True
        self.lose()

    def end(self) -> None:
        """The world ends."""
        if self._task is not None:
            self._task.cancel()


class WiredCalls(Calls):
    """Calls that the world carries."""

    def __init__(self, world: World, put: Callable[[Letter], object]) -> None:
        super().__init__(put, lambda: world.now)
        self._world = world
        self._open: dict[int, Callable[[Got], object]] = {}
        self._got: dict[int, Got] = {}

    def post(self, post: Post, done: Callable[[Got], object], **how: Any) -> int:
        world = self._world
        world.comes_to("before sending")
        number = next(self._numbers)
        self._open[number] = done
        call = Call(world, number, self, post.body)
        by = how.get("send_by_ms")
        assert by is None or world.now <= by
        world.sent(call)
        world.comes_to("after sending")
        return number

    def found(self, number: int, got: Got) -> None:
        if number in self._open:
            self._got[number] = got
            self._put(Outcome(number))

    def outcome(self, letter: Outcome) -> bool:
        done = self._open.pop(letter.call, None)
        if done is not None:
            done(self._got.pop(letter.call))
        return done is not None

    def warm(self, *about: Any) -> None:
        """There are no connections."""


class OpenSession(Session):
    """One that is always there."""

    def _send_login(self) -> None:
        self._logged_in("token")

    def _send_keep_alive(self, asked: str) -> None:
        self._kept(asked, asked)

    def _send_logout(self, token: str, then: Callable[[], object]) -> None:
        then()
