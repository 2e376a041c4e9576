"""What reads bytes that others have written, as functions of bytes: each raises for whatever must not happen.

    TARGETS["market_stream"].run(data)

Must not happen: an error that is not of the documented kind, one that is logged as unforeseen, a number that is none,
a host whose book is another than its stream's. Hypothesis tries them in `test_fuzz_targets.py`, atheris in
`fuzz_coverage.py`.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import headrace as hr
from builders import MARKET, priced
from common_strategies import Backer
from fuzz_ports import calls_of_http, http_port, lines_of_stream, stream_port
from fuzz_replies import REPLIES, replies
from fuzz_streams import MARKET_LINES, ORDER_LINES, market_stream, order_stream
from headrace.actors.journal.entries import Entry, Kept, Noted, packed
from headrace.actors.journal.files import day_files
from headrace.actors.journal.journal import Journal, JournalError
from headrace.actors.journal.reader import JournalReader
from headrace.simulate.replay import Replay
from headrace.simulate.setup import Setup
from headrace.simulate.units import Unit
from headrace.strategies import errors
from headrace.strategies.messages import PLACE, PlaceInstruction, Reply, Request

#: Where files of a target lie: in memory, where that can be had.
_ROOM = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
NOON = 1_774_699_200_000


@dataclasses.dataclass(frozen=True)
class Target:
    """Something that reads bytes.

    Attributes:
        run: raises for what must not happen.
        seeds: bytes as they ought to be.
        words: of the format, for mutations.
    """

    run: Callable[[bytes], object]
    seeds: Callable[[], Sequence[bytes]]
    words: tuple[bytes, ...] = ()


class _Foreseen(logging.Filter):
    """Raises what was logged as an error that nobody had foreseen."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and record.exc_info[1] is not None:
            raise AssertionError(f"logged: {record.getMessage()}") from record.exc_info[1]
        return False  # all else is for people


@contextmanager
def nothing_unforeseen() -> Iterator[None]:
    """An error that is logged with its traceback is raised."""
    logger, foreseen = logging.getLogger("headrace"), _Foreseen()
    logger.addFilter(foreseen)
    try:
        yield
    finally:
        logger.removeFilter(foreseen)


@contextmanager
def room() -> Iterator[Path]:
    folder = tempfile.mkdtemp(prefix="fuzz", dir=_ROOM)
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder)


# -- recordings --------------------------------------------------------------------------------------------------------


#: Kinds of failures of a replay that its input may cause.
_OF_INPUT = {
    name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.HeadraceError)
}


def recording(data: bytes) -> None:
    """A file is replayed, by a strategy that bets."""
    with room() as folder:
        path = folder / "recording"
        path.write_bytes(data)
        markets: list[Any] = []
        made = Setup([Backer(name="Backer")], [hr.SimulatedClient()], hr.Config())
        replay = Replay(Unit(str(path), (str(path),)), made, markets.append)
        replay.run()
    for failure in replay.failures:
        assert failure.error_type in _OF_INPUT, failure.traceback
    for market in markets:
        for order in market.blotter:
            sizes = order.size_matched, order.size_remaining, order.size_cancelled, order.size_lapsed, order.size_voided
            assert all(each >= 0 for each in sizes), sizes
            assert round(sum(sizes), 2) == order.order_type.size, sizes


def recordings() -> Sequence[bytes]:
    import bz2
    import gzip

    stream = priced().touch(300).turn_in_play(500, bet_delay=1).touch(900).suspend(2000).close(9000)
    text = stream.text().encode()
    removed = priced().touch(300).remove(400, 3, 20.0).touch(700).close(3000).text().encode()
    return [text, removed, gzip.compress(text), bz2.compress(text)]


# -- the journal -------------------------------------------------------------------------------------------------------


def journal(data: bytes) -> None:
    """A file of the journal: by whoever looks, and by a restart, which goes on writing."""
    with room() as folder:
        (folder / _day_file().name).write_bytes(data)
        try:
            reader = JournalReader(folder)
            found = list(reader.entries(kept=True))
            assert len(reader.latest(1_000_000)) <= len(found) or reader.unread
        except JournalError:
            return  # of a later version
        opened = Journal(folder, clock=lambda: NOON)
        try:
            list(opened)
            list(opened.since(0))
            opened.tidy()
            number = opened.add([Entry(Noted("STARTED", "it has", NOON), NOON, "")], durable=True)
            # A write goes into a file that is whole, or the damage is told of.
            assert number in [each.number for each in opened] or opened.damage
        finally:
            opened.close()


@cache
def _day_file() -> Any:
    """Name and bytes of a file that was written, and is closed."""

    class Found:
        name = ""
        data = b""

    with room() as folder:
        written = Journal(folder, clock=lambda: NOON)
        for number in range(6):
            asked = PlaceInstruction(f"o{number}", "x", 1, 0.0, "BACK", "LIMIT", price=3.0, size=2.0)
            request = Request(f"r{number}", f"1.{number % 2}", "Backer", "B", "anna", PLACE, (asked,), NOON)
            kept = packed(Kept("Backer", (), (), b"snapshot"))
            written.add([Entry(request, NOON, request.market_id, "h1.s1.market", kept)], durable=True)
            written.add([Entry(Reply(f"r{number}", f"1.{number % 2}", NOON), NOON, request.market_id, "h1.s1.market")])
        written.close_market("1.0")
        written.tidy()
        written.close()
        (path,) = day_files(folder)
        Found.name, Found.data = path.name, path.read_bytes()
    return Found


# -- all of them -------------------------------------------------------------------------------------------------------


def _guarded(run: Callable[[bytes], object]) -> Callable[[bytes], object]:
    def guarded(data: bytes) -> None:
        with nothing_unforeseen():
            run(data)

    return guarded


_MARKET_WORDS = (MARKET, "img", "marketDefinition", "runners", "status", "SUSPENDED", "atb", "batb", "trd", "con")
TARGETS = {
    "market_stream": Target(
        _guarded(market_stream), lambda: MARKET_LINES, tuple(json.dumps(each).encode() for each in _MARKET_WORDS)
    ),
    "order_stream": Target(_guarded(order_stream), lambda: ORDER_LINES),
    "replies": Target(_guarded(replies), lambda: REPLIES),
    "recording": Target(recording, recordings),
    "stream_port": Target(_guarded(stream_port), lines_of_stream),
    "http_port": Target(_guarded(http_port), calls_of_http),
    "journal": Target(_guarded(journal), lambda: [_day_file().data]),
}
