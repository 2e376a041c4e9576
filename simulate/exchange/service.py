"""A rehearsal exchange with all its parts, on one loop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import secrets
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...strategies.errors import InputError
from ..reading.side_files import check_folder
from .betting.bank import Bank
from .betting.betting import Betting
from .betting.heartbeat_api import HeartbeatApi
from .certificates import Certificates
from .exchange import Exchange
from .faults import Fault, Faults
from .feed.generated_feed import GeneratedFeed
from .feed.merged import Merged
from .feed.recorded_feed import RecordedFeed
from .feed_messages import Feed
from .http.control import PATH, Control
from .http.http_server import HttpServer
from .http.page import PageState
from .http.page_server import PageServer
from .ledger import Ledger
from .listings.catalogues import Catalogues
from .listings.listings import Listings
from .listings.lists import BetLists
from .listings.market_books import MarketBooks
from .listings.statement import Statement
from .market_events import MarketEvents
from .operations import Operation, Operations
from .plan import PORTS, Addresses, Played, check_settings
from .running import Runner
from .sessions import Sessions
from .settings import ExchangeSettings
from .stream.host import Client
from .stream.server import StreamServer
from .timeline import Timeline, wall_ms

#: Seconds to a scheduled start beyond which it is told how one need not wait.
_LONG_S = 3600
_SPEEDS = {"max": "as fast as clients of the stream read", "step": "stands still until it is stepped"}


class Service:
    """An exchange that is made, run and stopped on one loop.

    Args:
        ledger: a file for all of the ledger; None: the last entries are kept, in memory alone.
        faults: what is to go wrong, from the start.
        certificates: a folder for the exchange's certificates, which are used again; None: new ones.

    Attributes:
        addresses: where it listens, once it has started.
        stopping: set it, and `run` ends.

    Raises:
        InputError: what it is to play, or how, cannot be.
    """

    addresses: Addresses

    def __init__(
        self,
        played: Played,
        settings: ExchangeSettings,
        *,
        ledger: Path | None = None,
        faults: Sequence[Fault] = (),
        certificates: Path | None = None,
    ) -> None:
        check_settings(settings)
        played.check()
        self._catalogues = check_folder(played.catalogues, "catalogues")
        self.settings = settings
        self._generate = played.generate
        self._opened = contextlib.ExitStack()
        try:
            self._make(played, ledger, certificates)
        except BaseException:
            self._opened.close()
            raise
        for fault in faults:
            self.faults.add(fault)

    # -- making --------------------------------------------------------------------------------------------------

    def _make(self, played: Played, ledger: Path | None, certificates: Path | None) -> None:
        if certificates is None:
            certificates = Path(tempfile.mkdtemp(prefix="headrace-exchange-"))
            self._opened.callback(shutil.rmtree, certificates, ignore_errors=True)
        try:
            self._certificates = Certificates(certificates, host=self.settings.host)
        except OSError as error:  # ssl.SSLError is one
            told = error.strerror or error
            raise InputError(f"{certificates}: certificates cannot be kept there, or not be used: {told}") from None
        # From here on time runs: what takes long is done.
        self.timeline = Timeline(self.settings.speed)
        self.recorded: RecordedFeed | None = None
        feeds = self._feeds(played)
        waits = played.wait and not self.timeline.stepped
        self.ledger = _ledger(ledger)
        self._opened.callback(self.ledger.close)
        self.exchange = Exchange(self.settings, self.timeline, () if waits else self._as_one(feeds), self.ledger)
        if waits:
            self.exchange.begins, self.exchange.finished = functools.partial(self._begun, feeds), False
        self.faults = Faults(time.monotonic, self.ledger, self.settings.seed)
        self.sessions = Sessions(self.settings, self.faults, at=lambda: self.exchange.clock.now_ms)
        MarketEvents(self.exchange, self.faults)
        self._token = secrets.token_urlsafe(18)
        self.stopping = asyncio.Event()
        self.stream = StreamServer(self.exchange, self.sessions, self.faults, self.settings, self._certificates)
        self.http = HttpServer(self.exchange, self.sessions, self.faults, self._operations(), self._certificates)
        self.runner = Runner(self.exchange, self._readers)
        self._show()

    def _feeds(self, played: Played) -> list[Feed]:
        feeds: list[Feed] = []
        if played.markets is not None:
            self.recorded = RecordedFeed(
                played.markets,
                self.timeline,
                in_step=played.in_step,
                before_start=played.before_start,
                sports_data=played.sports_data,
            )
            self._opened.callback(self.recorded.close)
            feeds.append(self.recorded)
        if played.generate:
            feeds.append(
                GeneratedFeed(
                    self.timeline,
                    played.generate,
                    seed=self.settings.seed,
                    sports=played.sports,
                    changes=played.changes,
                    minutes_before=played.minutes_before,
                )
            )
        return feeds

    def _begun(self, feeds: list[Feed]) -> Feed:
        """All that is played, from now on."""
        self.timeline.restart()
        if self.recorded is not None:
            self.recorded.begin()
        return self._as_one(feeds)

    def _as_one(self, feeds: list[Feed]) -> Feed:
        if len(feeds) == 1:
            return feeds[0]
        merged = Merged()
        for feed in feeds:
            merged.add(self.timeline.start_ms, iter(feed))
        return merged

    def _operations(self) -> dict[str, Operation]:
        """What calls of the API do."""
        exchange, faults = self.exchange, self.faults
        bank = self.bank = Bank(exchange, faults)
        betting = Betting(exchange, bank, faults)
        lists = BetLists(exchange, bank, faults)
        heartbeats = HeartbeatApi(exchange, betting, faults)
        self._opened.callback(heartbeats.stop)
        parts: list[Operations] = [
            bank,
            betting,
            lists,
            heartbeats,
            Listings(exchange, Catalogues(exchange, self._catalogues)),
            MarketBooks(exchange, lists),
            Statement(exchange, bank),
        ]
        found: dict[str, Operation] = {}
        for part in parts:
            found.update(part.operations())
        return found

    def _money(self, username: str) -> tuple[float, float]:
        return self.bank.available(username), self.bank.exposure(username)

    def _show(self) -> None:
        """The page and the control calls."""
        self._page_state = PageState(
            self.exchange, self.faults, self._money, self._connection_rows, lambda: self.runner.behind
        )
        self._pages = PageServer(self._page_state)
        control = Control(self._token, self.faults, self.ledger, self.state, self.runner.step, self.stopping.set)
        self.http.pages.update(self._pages.pages())
        self.http.pages[PATH] = control.page

    def _readers(self) -> list[Client]:
        return [each for each in self.stream.connections.values() if each.subscriptions]

    def _connection_rows(self) -> list[dict[str, Any]]:
        return [
            {
                "connection_id": each.connection_id,
                "peer": each.peer,
                "username": None if each.account is None else each.account.username,
                "subscriptions": ", ".join(each.subscriptions),
                "messages": each.sent_messages,
                "backlog": each.unsent_bytes,
                "since": round(wall_ms() - (self.stream.now() - each.opened_at) * 1000),
            }
            for each in self.stream.connections.values()
        ]

    # -- life ----------------------------------------------------------------------------------------------------

    async def start(self) -> Addresses:
        """Listen; what is due at once is played.

        Raises:
            InputError: a port is in use, or the host is not of this machine.
        """
        try:
            await self.http.start()
            await self.stream.start()
        except OSError as error:
            await self.stop()
            raise InputError(self._not_listening(error)) from None
        name = "localhost" if self.settings.host in ("localhost", "0.0.0.0", "::") else self.settings.host
        self.addresses = Addresses(
            host=name,
            http=self.http.port,
            https=self.http.https_port,
            certlogin=self.http.certlogin_port,
            stream=self.stream.addresses["tcp"][1],
            stream_tls=self.stream.addresses["tls"][1],
            certificate=str(self._certificates.server),
            client_certificates=str(self._certificates.client_folder),
            token=self._token,
        )
        return self.addresses

    def _not_listening(self, error: OSError) -> str:
        ports = {name: getattr(self.settings, name) for name in PORTS}
        named = ", ".join(f"{name}={port}" for name, port in ports.items() if port) or "no port named"
        more = "; 0 is any port that is free" if error.errno == errno.EADDRINUSE else ""
        return f"the exchange cannot listen at {self.settings.host} ({named}): {error.strerror or error}{more}"

    async def run(self) -> None:
        """Play and serve until `stopping` is set."""
        await self.runner.run(self.stopping)

    async def stop(self) -> None:
        """End all connections, and write the ledger to its end."""
        self.stopping.set()
        self._pages.close()
        await self.http.stop()
        await self.stream.stop()
        self._opened.close()

    # -- looking -------------------------------------------------------------------------------------------------

    def playing(self) -> list[str]:
        """What is played, and how fast, in words: one of recordings, one of made-up markets, one of the speed."""
        found = []
        if self.recorded is not None:
            number, starts = self.recorded.recordings, self.recorded.starts_ms
            text = f"{number} recording{'s' if number != 1 else ''}"
            if starts:
                ahead = [at for at in starts if at >= self.timeline.start_ms] or starts
                text += f", {'the first ' if number != 1 else ''}{self._start(min(ahead))}"
            found.append(text)
        if self._generate:
            found.append(f"{self._generate} made-up market{'s' if self._generate != 1 else ''} at once")
        speed = self.settings.speed
        found.append(f"speed {speed:g}" if isinstance(speed, int | float) else _SPEEDS[speed])
        return found

    def _start(self, start_ms: int) -> str:
        """When a market's scheduled start is, counted from the beginning in real time."""
        seconds = (start_ms - self.timeline.start_ms) / 1000
        if seconds < 0:
            return "already off"
        written = f"{round(seconds) // 60}:{round(seconds) % 60:02d} min"
        return f"off in {written}" + ("; --before-start begins later" if seconds > _LONG_S else "")

    def state(self) -> dict[str, Any]:
        """What it is like now, ready for JSON: what its page shows, and how playing goes."""
        recorded = self.recorded
        return {
            **self._page_state.state(),
            "finished": self.exchange.finished,
            "next_message": self.exchange.next_message_at,
            "problems": [] if recorded is None else recorded.problems,
            "lost_lines": 0 if recorded is None else recorded.lost_lines,
            "failures": self.runner.failures,
            "ledger": self.ledger.number,
        }


def _ledger(path: Path | None) -> Ledger:
    try:
        return Ledger(path)
    except OSError as error:
        raise InputError(f"{path}: the ledger cannot be written: {error.strerror}") from None
