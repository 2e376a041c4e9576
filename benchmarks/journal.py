"""How fast the journal is: writing, opening, telling a restart, reading: python -m benchmarks.journal

Entries are as a live market has them: a request with what is kept for a restart, its reply, three facts. One market in
fifty is open in the end; the others are over, and packed.
"""

from __future__ import annotations

import argparse
import contextlib
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from headrace.actors.journal.entries import Entry, Kept, packed
from headrace.actors.journal.files import day_files
from headrace.actors.journal.journal import Journal
from headrace.actors.journal.reader import JournalReader
from headrace.strategies.messages import OrderFact, PlaceInstruction, Reply, Report, Request

#: Entries of a market, and of how many markets one stays open.
_OF_A_MARKET, _ONE_IN = 500, 50


def entries_of(market_id: str, count: int) -> Iterator[Entry]:
    """Entries of one market: five for each order."""
    at, actor = time.time_ns() // 1_000_000, "h1.s1.market"
    for number in range(count // 5):
        order_id, bet_id, ref = f"{market_id}.{number:018}", f"3{number:011}", f"abcdefghijklm-{number:018}"
        place = PlaceInstruction(order_id, ref, 47, 0.0, "BACK", "LIMIT", 3.05, 2.0, None, "LAPSE")
        request_id = f"{actor}/x.{number}"
        request = Request(request_id, market_id, "Backer", "BETFAIR", "anna", "PLACE", (place,), at, deadline=at)
        kept = packed(Kept(snapshot=bytes(1000), strategy="Backer", number=number))
        yield Entry(request, at, market_id, actor, kept)
        report = Report(order_id, "PLACE", "SUCCESS", None, bet_id, 0.0, at)
        yield Entry(Reply(request_id, market_id, at, reports=(report,)), at, market_id, "BETFAIR anna")
        for matched in (0.0, 1.0, 2.0):
            fact = OrderFact(market_id, order_id, bet_id, "STREAM", at, matched < 2, 3.05, 2.0, "LAPSE", matched, 3.05)
            yield Entry(fact, at, market_id, "BETFAIR anna")


def times_of(journal: Journal, entries: list[Entry], durable: bool) -> list[float]:
    """Milliseconds of each write of one entry."""
    found = []
    for entry in entries:
        began = time.perf_counter()
        journal.add([entry], durable)
        found.append((time.perf_counter() - began) * 1e3)
    return sorted(found)


def bytes_packed(path: Path) -> int:
    """Bytes of packs in a file."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        return int(db.execute("select coalesce(sum(length(data)), 0) from packs").fetchone()[0])


def told(name: str, times: list[float]) -> None:
    print(
        f"{name}: median {statistics.median(times):.3f} ms, 99th percentile {times[int(len(times) * 0.99)]:.3f}, "
        f"worst {times[-1]:.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    count = parser.parse_args().entries
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "journal"
        journal = Journal(folder, megabytes=10_000)
        sample = list(entries_of("1.1", 5000))
        journal.tidy()
        told("one entry, durable", times_of(journal, sample[:2000], True))
        told("one entry, not durable", times_of(journal, sample[2000:], False))
        journal.close_market("1.1")

        markets = count // _OF_A_MARKET
        began, written = time.perf_counter(), 0.0
        for market in range(markets):
            market_id = f"1.{240_000_000 + market}"
            batch = list(entries_of(market_id, _OF_A_MARKET))
            start = time.perf_counter()
            for at in range(0, len(batch), 10):
                journal.add(batch[at : at + 10])
            written += time.perf_counter() - start
            if market % _ONE_IN:
                journal.close_market(market_id)
        print(f"{markets * _OF_A_MARKET:,} entries, ten at a time: {markets * _OF_A_MARKET / written:,.0f} a second")
        print(f"size before all is packed: {journal.size / 1e6:.0f} MB")
        start = time.perf_counter()
        journal.tidy()
        print(f"packing the rest: {time.perf_counter() - start:.1f} s, then {journal.size / 1e6:.0f} MB")
        packs = sum(map(bytes_packed, day_files(folder)))
        over = markets * _OF_A_MARKET * (_ONE_IN - 1) / _ONE_IN
        print(f"packs: {packs / 1e6:.0f} MB, {packs / over:.0f} bytes an entry")
        journal.close()
        print(f"in all {time.perf_counter() - began:.1f} s")

        for what in ("opened", "opened again"):
            start = time.perf_counter()
            journal = Journal(folder, megabytes=10_000)
            print(f"{what} in {time.perf_counter() - start:.3f} s")
            start = time.perf_counter()
            replayed = sum(1 for _ in journal)
            print(f"told a restart of {replayed:,} entries in {time.perf_counter() - start:.3f} s")
            start = time.perf_counter()
            recent = sum(1 for _ in journal.since(time.time_ns() // 1_000_000 - 1000))
            print(f"told of {recent:,} entries of the last second in {time.perf_counter() - start:.3f} s")
            journal.close()
        start = time.perf_counter()
        read = sum(1 for _ in JournalReader(folder).entries())
        print(f"read all {read:,} entries in {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
