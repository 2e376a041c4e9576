"""The loop of the exchange: it plays what is due, and leaves sockets their turn."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from .exchange import Exchange

logger = logging.getLogger("headrace")

#: Seconds for which messages are played before sockets are served again.
TURN_S = 0.004
#: Seconds by which the exchange may be behind what was recorded before it is told.
BEHIND_S = 1.0
#: At "max": unsent bytes of a client for which the others wait, and for how many seconds at most.
UNREAD_BYTES, PATIENCE_S = 256_000, 5.0
#: Seconds after which a client that does not read is looked at again.
LOOK_S = 0.002


class Reader(Protocol):
    """A client of the stream, as far as it is waited for."""

    @property
    def connection_id(self) -> str: ...

    @property
    def sent_bytes(self) -> int: ...

    @property
    def unsent_bytes(self) -> int:
        """Bytes that the client has not taken."""


class Runner:
    """Plays an exchange: by the clock, as fast as clients read ("max"), or by steps.

    Args:
        readers: clients of the stream that are subscribed to something. At "max", what is not due at the very start is
            not played before there is one; one that reads nothing for five seconds is not waited for until it does.

    Attributes:
        failures: messages that could not be played, for a defect.
    """

    def __init__(self, exchange: Exchange, readers: Callable[[], Iterable[Reader]]) -> None:
        self._exchange = exchange
        self._readers = readers
        self._woken = asyncio.Event()
        self._told_behind = False
        self._unread: dict[str, tuple[int, float]] = {}
        self.failures = 0
        exchange.clock.sooner = self._woken.set

    @property
    def behind(self) -> float:
        """Seconds by which what is played is late."""
        due, timeline = self._exchange.next_message_at, self._exchange.timeline
        if due is None or timeline.stepped:
            return 0.0
        return max(timeline.now_ms() - due, 0) / 1000

    async def run(self, stopping: asyncio.Event) -> None:
        """Play until `stopping` is set. After the end of what is played, time goes on."""
        speed = self._exchange.timeline.speed
        waiting = asyncio.ensure_future(stopping.wait())
        waiting.add_done_callback(lambda _: self._woken.set())
        try:
            if speed == "step":
                await stopping.wait()
                return
            if speed == "max":
                await self._play_at_once(stopping)
                self._exchange.timeline.run()
            while not stopping.is_set():
                await self._play_due()
        finally:
            waiting.cancel()

    async def _play_due(self) -> None:
        """Play what is due; if nothing is, wait until something is."""
        exchange, timeline = self._exchange, self._exchange.timeline
        self._woken.clear()
        now_ms = timeline.now_ms()
        due = exchange.next_at
        if due > now_ms:
            with contextlib.suppress(TimeoutError):
                # Not longer than an hour: a clock that is set, or a machine that slept, is noticed.
                async with asyncio.timeout(min(due - now_ms, 3_600_000) / 1000):
                    await self._woken.wait()
            return
        self._tell_of_backlog()
        end = time.monotonic() + TURN_S
        while time.monotonic() < end:
            message_at = exchange.next_message_at
            if message_at is None or message_at > now_ms:
                exchange.advance(now_ms)
                break
            self._play_next()
        await asyncio.sleep(0)

    def _tell_of_backlog(self) -> None:
        behind = self.behind
        if behind > BEHIND_S and not self._told_behind:
            self._told_behind = True
            logger.warning("The exchange is %.1f s behind what was recorded, and catches up", behind)
        elif behind <= BEHIND_S / 2:
            self._told_behind = False

    async def _play_at_once(self, stopping: asyncio.Event) -> None:
        """Play all there is, as fast as clients read."""
        exchange = self._exchange
        exchange.advance(exchange.timeline.start_ms)
        end = 0.0
        while not exchange.finished and not stopping.is_set():
            now = time.monotonic()
            if now >= end:
                await asyncio.sleep(0)
                while not stopping.is_set() and not self._may_go_on():
                    await asyncio.sleep(LOOK_S)
                end = time.monotonic() + TURN_S
            self._play_next()

    def _may_go_on(self) -> bool:
        now, readers = time.monotonic(), list(self._readers())
        if not readers:
            return bool(self._unread)  # there were some: those who went are not waited for
        late = {}
        for reader in readers:
            if reader.unsent_bytes > UNREAD_BYTES:
                taken = reader.sent_bytes - reader.unsent_bytes
                known = self._unread.get(reader.connection_id)
                late[reader.connection_id] = known if known is not None and known[0] == taken else (taken, now)
            else:
                late[reader.connection_id] = (-1, 0.0)
        self._unread = late
        return all(now - since > PATIENCE_S for _, since in late.values())

    def _play_next(self) -> bool:
        try:
            return self._exchange.play_next()
        except Exception as error:  # a defect: the next message is played all the same
            self.failures += 1
            logger.error("A message could not be played: %s", error, exc_info=error)
            self._exchange.ledger.write("ERROR", self._exchange.clock.now_ms, error=repr(error))
            return True

    async def step(self, messages: int = 1) -> int:
        """Play so many messages, whenever they are due; after the last, what is due next by the clock.

        Returns:
            How many were played; fewer only where nothing more will happen.
        """
        exchange, played = self._exchange, 0
        for _ in range(messages):
            if exchange.next_message_at is not None:
                self._play_next()
            elif exchange.clock.next_ms != float("inf"):
                exchange.advance(round(exchange.clock.next_ms))
            else:
                break
            played += 1
            if not played % 50:
                await asyncio.sleep(0)
        await asyncio.sleep(0)  # what was written is on its way
        return played
