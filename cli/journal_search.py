"""Finding entries of a journal: whose it is, and which of them are meant."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import msgspec

from ..actors.journal.day_file import Row
from ..actors.journal.entries import Entry, Written
from ..actors.journal.files import day_files
from ..actors.journal.journal import entry_of
from ..actors.journal.lease import is_leased
from ..actors.journal.reader import JournalReader
from ..actors.live.instance import Instance, running_instances
from ..actors.live.journal_place import JOURNAL, JOURNALS, PAPER, REHEARSAL
from ..actors.live.reference import instance_folders
from ..strategies.errors import InputError
from ..strategies.messages import CANCEL, PLACE, REPLACE, UPDATE, Request
from ..values import did_you_mean

#: What an entry may hold, by its name in small letters.
_KINDS = {kind.__name__.lower(): kind.__name__ for kind in get_args(Written)}
_OPERATIONS = {each.lower(): each for each in (PLACE, CANCEL, UPDATE, REPLACE)}
#: Where an id of an order or a bet stands in a message, and those that the other names of the same order stand beside.
_IDS = ("order_id", "bet_id", "customer_order_ref", "new_order_id", "new_customer_order_ref", "order_ref", "request_id")
_NAMES = ("order_id", "bet_id", "customer_order_ref", "order_ref")
#: Kinds of systems, each of which has a journal of its own.
_OF_KIND = {"live": JOURNAL, "paper": PAPER, "rehearsal": REHEARSAL}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
#: How often further names of an order are looked for.
_LOOKS = 3


def found_journal(reference: str | None, kind: str | None = None) -> JournalReader:
    """The journal that is meant: of a reference; else of the only system that runs, or the only one that there is.

    Args:
        kind: live, paper or rehearsal; None: the one that is written now, else the one that was written last.

    Raises:
        InputError: there is none, or there are several and none was named.
    """
    kept = JOURNALS if kind is None else (_OF_KIND[kind],)
    found = _journals(kept)
    what = "journal" if kind is None else f"journal of kind {kind}"
    if reference is not None:
        Instance(reference)  # refuses what is no reference
        if reference not in found:
            names = ", ".join(found) or "none"
            raise InputError(f"no live system with the reference {reference!r} has left a {what}; there are: {names}")
        return JournalReader(found[reference])
    running = [each.reference for each in running_instances() if each.reference in found]
    if len(running) == 1:
        return JournalReader(found[running[0]])
    if not found:
        raise InputError(f"no live system has left a {what} on this machine")
    if len(found) > 1:
        raise InputError(f"several live systems have journals: name one with --reference: {', '.join(found)}")
    (folder,) = found.values()
    return JournalReader(folder)


def _journals(kept: Iterable[str]) -> dict[str, Path]:
    """The folders of this user's journals on this machine, by reference: of several the one in use, or the last."""
    found = {}
    for reference, folder in instance_folders().items():
        journals = [folder / name for name in kept if day_files(folder / name)]
        if journals:
            found[reference] = max(journals, key=_recency)
    return found


def _recency(folder: Path) -> tuple[bool, float]:
    last = day_files(folder)[-1]
    return is_leased(folder), max(path.stat().st_mtime for path in folder.glob(f"{last.name}*"))


def wanted_kinds(words: Iterable[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Kinds of messages, and kinds of requests, that words name.

    Raises:
        InputError: one is not known.
    """
    kinds, operations = set(), set()
    for word in words:
        key = word.lower().replace("_", "").replace("-", "")
        if key in _KINDS:
            kinds.add(_KINDS[key])
        elif key in _OPERATIONS:
            operations.add(_OPERATIONS[key])
        else:
            known = [*_OPERATIONS, *_KINDS]
            raise InputError(f"--kind {word}: expected one of {', '.join(known)}{did_you_mean(word, known)}")
    return frozenset(kinds), frozenset(operations)


def moment_back(text: str, now: datetime.datetime) -> int:
    """The moment that is meant, milliseconds since the epoch: the last one that the text fits.

    Args:
        text: a time of day, a date and time, or a time span: 15m, 2h, 3d.
        now: with the zone of this machine.

    Raises:
        InputError: it is none of these.
    """
    span = _SPAN.fullmatch(text.strip())
    try:
        if span is not None:
            seconds = float(span[1]) * _SECONDS[span[2]]
            return int((now - datetime.timedelta(seconds=seconds)).timestamp() * 1000)
        if "-" not in text:
            time = datetime.time.fromisoformat(text.strip())
            at = datetime.datetime.combine(now.date(), time, tzinfo=time.tzinfo or now.tzinfo)
            return int((at if at <= now else at - datetime.timedelta(days=1)).timestamp() * 1000)
        at = datetime.datetime.fromisoformat(text.strip())
        return int((at if at.tzinfo else at.replace(tzinfo=now.tzinfo)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise InputError(f"--since {text}: expected such as 23:30, 2026-06-03T23:30, 15m, 2h or 3d") from None


class Search:
    """The entries that are meant.

    Args:
        markets: of these; none: of all.
        orders: about these; none: about any.
        kinds: kinds of messages, and kinds of requests; none of both: all.
        since: written since then, milliseconds since the epoch.
    """

    def __init__(
        self,
        reader: JournalReader,
        markets: tuple[str, ...] = (),
        orders: tuple[str, ...] = (),
        kinds: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset()),
        since: int | None = None,
    ) -> None:
        self._reader = reader
        self._markets, self._kinds, self._since = frozenset(markets), kinds, since
        self._market = markets[0] if len(self._markets) == 1 else None
        self._ids = self._names_of(set(orders)) if orders else frozenset()
        self._words = [each.encode() for each in self._ids]

    @property
    def unread(self) -> list[str]:
        """What could not be read, a sentence each."""
        return list(dict.fromkeys(self._reader.unread))

    @property
    def written(self) -> int:
        """The number of the last entry that was written, meant or not."""
        return self._reader.last

    def entries(self, last: int | None = None, after: int = 0, kept: bool = False) -> Iterator[Entry]:
        """Them, in the order of writing.

        Args:
            last: only so many, the last ones.
            after: with greater numbers only; not with `last`.
            kept: with what is kept for a restart.
        """
        market, since = self._market, self._since
        if last is None:
            found = self._reader.entries(market_id=market, since=since, after=after, kept=kept, wanted=self._may_be)
            yield from filter(self._is, found)
        else:
            yield from self._reader.latest(last, market_id=market, since=since, kept=kept, wanted=self._is_row)

    def _may_be(self, row: Row) -> bool:
        """Whether a row may be meant, before it is decoded."""
        if self._markets and row[2] not in self._markets:
            return False
        kinds, operations = self._kinds
        if (kinds or operations) and row[3] not in kinds and not (operations and row[3] == Request.__name__):
            return False
        return not self._words or any(word in row[5] for word in self._words)

    def _is_row(self, row: Row) -> bool:
        if not self._may_be(row):
            return False
        try:
            return self._is(entry_of(row))
        except ValueError:  # told of where it is decoded
            return True

    def _is(self, entry: Entry) -> bool:
        message = entry.message
        kinds, operations = self._kinds
        all_requests = not operations or Request.__name__ in kinds
        if isinstance(message, Request) and not all_requests and message.kind not in operations:
            return False
        return not self._ids or not self._ids.isdisjoint(ids_in(message))

    def _names_of(self, ids: set[str]) -> frozenset[str]:
        """All names of orders that are known by some of them."""
        found = set(ids)
        for _ in range(_LOOKS):
            words = [each.encode() for each in found]

            def wanted(row: Row, words: list[bytes] = words) -> bool:
                return any(word in row[5] for word in words)

            known = len(found)
            for entry in self._reader.entries(market_id=self._market, since=self._since, wanted=wanted):
                for part in _parts(msgspec.to_builtins(entry.message)):
                    names = {str(part[name]) for name in _NAMES if part.get(name)}
                    if not names.isdisjoint(found):
                        found |= names
            if len(found) == known:
                break
        return frozenset(found)


def ids_in(message: Written) -> set[str]:
    """Ids of orders, bets and requests in a message."""
    return {
        str(part[name]) for part in _parts(msgspec.to_builtins(message)) for name in _IDS if part.get(name) is not None
    }


def _parts(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from _parts(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _parts(each)
