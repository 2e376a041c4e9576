"""What a catalog tells of the markets of one recording, found by reading it once."""

from __future__ import annotations

import itertools
import os

from ..names import to_text
from ..simulate.reading.locations import Source, is_uri
from ..simulate.reading.recordings import Recording
from ..strategies.book import MarketBook
from ..strategies.changes import MarketChange, MarketDefinition, OddMessage
from ..strategies.errors import RecordingError
from .catalog_columns import Row


class _MarketFacts:
    """What is found out about one market of a recording."""

    def __init__(self, book: MarketBook) -> None:
        self.book = book
        self.first: MarketDefinition | None = None
        self.first_ms = self.last_ms = self.changes = 0
        self.went_inplay = False
        self.ladder = "ltp"

    def see(self, publish_time: int, change: MarketChange) -> None:
        self.first_ms = self.first_ms or publish_time
        self.last_ms = publish_time
        self.changes += 1
        self.book.apply(publish_time, change)
        definition = change.market_definition
        if definition is not None:
            self.first = self.first or definition
            self.went_inplay = self.went_inplay or definition.in_play
        if self.ladder != "full":
            for rc in change.rc:
                if rc.atb is not None or rc.atl is not None:
                    self.ladder = "full"
                elif self.ladder == "ltp" and (rc.batb or rc.batl or rc.bdatb or rc.bdatl):
                    self.ladder = "best"

    def row(self) -> Row:
        book, first = self.book, self.first
        assert first is not None
        ladders = (runner.ex.traded.levels.values() for runner in book.runners)
        return {
            "market_id": book.market_id,
            "event_id": first.event_id,
            "event_type": first.event_type_id,
            "name": first.name,
            "event_name": first.event_name,
            "country": first.country_code,
            "venue": first.venue,
            "market_type": first.market_type,
            "betting_type": first.betting_type,
            "race_type": first.race_type,
            "start": None if first.market_time is None else round(first.market_time.timestamp() * 1000),
            "first_published": self.first_ms,
            "last_published": self.last_ms,
            "runners": len(first.runners),
            "winners": first.number_of_winners,
            "turn_in_play": first.turn_in_play_enabled,
            "began_inplay": first.in_play,
            "went_inplay": self.went_inplay,
            "bsp": first.bsp_market,
            "ladder": self.ladder,
            "changes": self.changes,
            "traded": book.total_matched
            or round(sum(runner.total_matched for runner in book.runners), 2)
            or round(sum(sum(levels) for levels in ladders), 2),
        }


def rows_of(source: Source) -> list[Row]:
    """A row for each market of a recording; one without a market where it has none."""
    facts: dict[str, _MarketFacts] = {}
    undefined: dict[str, None] = {}
    broken: list[RecordingError] = []
    odd: dict[str, str] = {}
    try:
        for number, messages in Recording(source).messages():
            for line, message in enumerate(messages, number):
                if isinstance(message, RecordingError):
                    broken.append(message)
                    continue
                if isinstance(message, OddMessage):
                    for each in message.oddities:
                        odd.setdefault(each.field, f"line {line}: {each.message}")
                for change in message.mc:
                    if change.id is None:
                        continue
                    known = facts.get(change.id)
                    if known is None:
                        if change.market_definition is None:
                            undefined[change.id] = None
                            continue
                        known = facts[change.id] = _MarketFacts(MarketBook(change.id))
                    known.see(message.pt, change)
    except RecordingError as error:
        broken.append(error)
    problems = [f"line {each.line}: {each.message}" if each.line else each.message for each in broken[:1]]
    if len(broken) > 1:
        problems.append(f"{len(broken) - 1} more lines cannot be read")
    problems.extend(itertools.islice(odd.values(), 1))
    if len(odd) > 1:
        problems.append(f"{len(odd) - 1} more fields hold what says nothing")
    lost = [market_id for market_id in undefined if market_id not in facts]
    if lost:
        problems.append(f"without a definition: {', '.join(lost[:5])}")
    if not facts and not problems:
        problems.append("holds no market changes")
    place = {**place_of(source), "problems": "; ".join(problems) or None}
    return [{**each.row(), **place} for each in facts.values()] or [place]


def place_of(source: Source) -> Row:
    """The columns that say where a recording lies, and how to read it from there."""
    return {
        "bytes": source.size,
        "file": to_text(source.path),
        "member": source.member,
        "offset": source.offset,
        "entry": source.entry,
        "rows": source.rows,
        "modified": _modified(source),
    }


def _modified(source: Source) -> int:
    """When a file was last changed, nanoseconds since the epoch."""
    if is_uri(source.path):
        return source.modified
    try:
        return os.stat(source.path).st_mtime_ns
    except OSError:
        return 0
