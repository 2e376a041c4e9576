"""Every recording through the rehearsal exchange's stream: the books of betfairlightweight, live and historical.

    python -m benchmarks.exchange_books [--recordings DIR] [--messages N] [RECORDING ...]

The stock client's stream is connected over TLS on a real socket and subscribes to everything; each recording is
played message by message, and after each message that is not a segment, or the last one, the books of the markets that
it changed are compared with those that the same client's historical stream makes of the recording's lines. Prints a
line for each recording, and the first differences. Exits 1 on any difference, 2 where there are no recordings.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import datetime
import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import betfairlightweight
from betfairlightweight import StreamListener

from headrace.simulate.exchange.exchange import Exchange
from headrace.simulate.exchange.faults import Faults
from headrace.simulate.exchange.feed.recorded_feed import RecordedFeed
from headrace.simulate.exchange.ledger import Ledger
from headrace.simulate.exchange.sessions import Sessions
from headrace.simulate.exchange.settings import AccountSettings, ExchangeSettings, Limits
from headrace.simulate.exchange.stream.server import StreamServer
from headrace.simulate.exchange.timeline import Timeline
from headrace.simulate.reading.recordings import Recording
from headrace.strategies.errors import InputError

from .recordings import leave, recordings_folder

WAIT = 30.0
#: Differences of a recording that are kept.
SHOWN = 3
LEVELS = 10
ACCOUNT = AccountSettings()
#: Of a book: what says how it came, and not what it is.
NOT_COMPARED = ("streaming_update", "runners")
#: Ladders by rank.
RANKED = (
    "best_available_to_back",
    "best_available_to_lay",
    "best_display_available_to_back",
    "best_display_available_to_lay",
)


@dataclasses.dataclass
class Compared:
    """One recording.

    Attributes:
        lines: that changed a market whose definition was known.
        messages: received, segments included.
        books: compared.
        differences: the first of them, in words.
    """

    recording: str
    lines: int = 0
    messages: int = 0
    books: int = 0
    different: int = 0
    differences: list[str] = dataclasses.field(default_factory=list)


class Listener(StreamListener):
    """Counts what has been taken in."""

    def __init__(self) -> None:
        super().__init__(max_latency=None, lightweight=True)
        self.changed = threading.Condition()
        self.messages = 0

    def on_data(self, raw_data: str) -> Any:
        result = super().on_data(raw_data)
        with self.changed:
            if '"op":"mcm"' in raw_data[:20]:
                self.messages += 1
            self.changed.notify_all()
        return result

    def wait_for(self, messages: int) -> None:
        """Wait until so many messages of markets have been taken in."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.messages >= messages, WAIT):
                raise TimeoutError(f"{self.messages} of {messages} messages have come")

    @property
    def books(self) -> dict[str, Any]:
        return self.stream._caches


class Historical(StreamListener):
    """Makes books of a recording's lines."""

    def __init__(self) -> None:
        super().__init__(max_latency=None, lightweight=True)
        self.register_stream(0, "marketSubscription")
        self._known: set[str] = set()

    def take(self, line: dict[str, Any]) -> tuple[str, ...] | None:
        """The markets that a line changes; None for one that changes none, which is not taken in."""
        message = without_nulls(line)
        changes = message.get("mc") or []
        self._known |= {each["id"] for each in changes if "marketDefinition" in each}
        message["mc"] = [each for each in changes if each["id"] in self._known]
        if not message["mc"]:
            return None
        message["id"] = 0
        self.on_data(json.dumps(message))
        return tuple(dict.fromkeys(each["id"] for each in message["mc"]))

    @property
    def books(self) -> dict[str, Any]:
        return self.stream._caches


def without_nulls(value: Any) -> Any:
    """Some recorders write null for what is absent."""
    if isinstance(value, dict):
        return {name: without_nulls(each) for name, each in value.items() if each is not None}
    if isinstance(value, list):
        return [without_nulls(each) for each in value]
    return value


def lines_of(path: Path) -> Iterator[dict[str, Any]]:
    """The lines that can be read."""
    for _, lines in Recording(str(path)).pieces():
        for line in lines.split(b"\n"):
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if isinstance(message, dict):
                yield message


def _moments(value: Any) -> Any:
    """Texts of times as moments: the exchange writes them in its own way."""
    if isinstance(value, dict):
        return {name: _moments(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_moments(each) for each in value]
    if isinstance(value, str) and len(value) >= 20 and value[4] == "-" and "T" in value:
        return datetime.datetime.fromisoformat(value).timestamp()
    return value


def difference(live: Any, historical: Any) -> str | None:
    """How a cached book differs; None if it does not. Ladders by rank count where the recording has them."""
    found, expected = live.serialise, historical.serialise
    for key, value in expected.items():
        if key not in NOT_COMPARED and found[key] != value and _moments(found[key]) != _moments(value):
            return f"{key} is {found[key]!r}, expected {value!r}"
    if live.runner_dict.keys() != historical.runner_dict.keys():
        return f"runners {sorted(live.runner_dict)}, expected {sorted(historical.runner_dict)}"
    for key, runner in historical.runner_dict.items():
        told = _runner_difference(live.runner_dict[key], runner)
        if told is not None:
            return f"runner {key}: {told}"
    return None


def _runner_difference(live: Any, historical: Any) -> str | None:
    for key, value in historical.serialised.items():
        if live.serialised[key] != value and _moments(live.serialised[key]) != _moments(value):
            return f"{key} is {live.serialised[key]!r}, expected {value!r}"
    for name in RANKED:
        ladder = getattr(historical, name).order_book
        if ladder and getattr(live, name).order_book != ladder:
            return f"{name} is {getattr(live, name).order_book!r}, expected {ladder!r}"
    return None


class _Served:
    """The exchange with one recording, its loop in a thread of its own."""

    def __init__(self, path: Path) -> None:
        first = _first_time(path)
        timeline = Timeline("step", wall=lambda: first)
        limits = Limits(markets=100_000, backlog_bytes=1_000_000_000)
        settings = ExchangeSettings(speed="step", accounts=(ACCOUNT,), limits=limits)
        self.feed = RecordedFeed(str(path), timeline)
        self.exchange = Exchange(settings, timeline, self.feed, Ledger(keep=1_000))
        faults = Faults(time.monotonic, self.exchange.ledger)
        self._sessions = Sessions(settings, faults)
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

        async def start() -> StreamServer:
            server = StreamServer(self.exchange, self._sessions, faults, settings)
            await server.start()
            return server

        self.server = asyncio.run_coroutine_threadsafe(start(), self.loop).result(WAIT)
        self.listener = Listener()
        client = betfairlightweight.APIClient(ACCOUNT.username, ACCOUNT.password, ACCOUNT.app_key)
        client.set_session_token(self._sessions.login(ACCOUNT.username, ACCOUNT.password))
        self.stream = client.streaming.create_stream(1, self.listener, buffer_size=65_536)
        self.stream.host = "127.0.0.1"
        self.stream._BetfairStream__port = self.server.addresses["tls"][1]
        self.stream.subscribe_to_markets({}, {"ladderLevels": LEVELS})
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.listener.wait_for(1)

    def _read(self) -> None:
        try:
            self.stream.start()
        except betfairlightweight.BetfairError as error:
            if self.stream.running:
                print(f"the stream has ended: {error}", file=sys.stderr)

    def play_next(self) -> bool:
        """Play one message, and wait until the client has taken in what was sent; False at the end."""

        async def play() -> tuple[bool, int]:
            played = self.exchange.play_next()
            [connection] = self.server.connections.values()
            return played, connection.sent_messages

        played, sent = asyncio.run_coroutine_threadsafe(play(), self.loop).result(WAIT)
        self.listener.wait_for(sent)
        return played

    def stop(self) -> None:
        self.stream.stop()
        asyncio.run_coroutine_threadsafe(self.server.stop(), self.loop).result(WAIT)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(WAIT)
        self.loop.close()
        self.feed.close()


def _first_time(path: Path) -> int:
    for line in lines_of(path):
        if any(each.get("marketDefinition") for each in line.get("mc") or ()):
            return int(line["pt"])
    raise InputError(f"{path}: has no market definition")


def compare(path: Path, most: int | None = None) -> Compared:
    """Play a recording, or `most` of its messages, and compare the books after each.

    Raises:
        InputError: the recording cannot be played.
    """
    found = Compared(path.name)
    served, historical = _Served(path), Historical()
    try:
        for line in lines_of(path):
            changed = historical.take(line)
            if changed is None:
                continue
            if most is not None and found.lines >= most:
                break
            found.lines += 1
            if not served.play_next():
                found.different += 1
                found.differences.append(f"line {found.lines}: nothing more was played")
                break
            for market_id in changed:
                found.books += 1
                live = served.listener.books.get(market_id)
                told = "it was not sent" if live is None else difference(live, historical.books[market_id])
                if told is not None:
                    found.different += 1
                    if len(found.differences) < SHOWN:
                        found.differences.append(f"line {found.lines}, market {market_id}: {told[:600]}")
        found.messages = served.listener.messages
    finally:
        served.stop()
    return found


def main() -> None:
    """Compare the recordings."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("recording", nargs="*", help="names of files; default: all")
    parser.add_argument("--recordings", help="where they are")
    parser.add_argument("--messages", type=int, help="so many of each")
    arguments = parser.parse_args()
    folder = recordings_folder(arguments.recordings)
    paths = [folder / each for each in arguments.recording] or sorted(
        each for each in folder.iterdir() if each.is_file()
    )
    failed = compared = 0
    for path in paths:
        begun = time.monotonic()
        try:
            found = compare(path, arguments.messages)
        except InputError as error:
            print(f"{path.name}: left out: {error}", flush=True)
            continue
        compared += 1
        failed += bool(found.different)
        print(
            f"{found.recording}: {found.lines} lines, {found.messages} messages, {found.books} books compared, "
            f"{found.different} different, {time.monotonic() - begun:.0f} s",
            flush=True,
        )
        for each in found.differences:
            print(f"    {each}", flush=True)
    if not compared:
        leave(f"No recordings in {folder}.")
    print(f"{compared - failed} of {compared} recordings equal")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
