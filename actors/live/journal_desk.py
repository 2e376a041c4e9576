"""The journal, as the coordinator writes it: at the end of each batch of letters, before any request of it is sent.

What was asked for is on the disk before a byte of it is on the wire: so a coordinator that dies at any moment is
followed by one that knows of everything that may have been sent. What was heard survives the process.

Where the journal cannot be written, as on a full disk, nothing is placed: such requests are answered as not sent, and
the gate is closed until a write succeeds. What reduces risk is sent all the same.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterator, Sequence

from ...strategies.messages import PLACE, REPLACE, Request, StrategyFact
from ...values import legible
from ..betfair.doubts import APPEARS_MS
from ..journal.entries import Entry, Noted, Seated, Written
from ..journal.journal import Journal, JournalError
from .alerts import Alerts
from .risk import Gate

logger = logging.getLogger("headrace")

#: Entries that wait for a journal that cannot be written. Older ones are given up: the exchange tells them again.
_MOST = 100_000
#: Milliseconds after which what was asked for appears no more, with a margin for bet delays.
_APPEARS_MS = APPEARS_MS + 15_000


@dataclasses.dataclass(slots=True)
class Asked:
    """A request that was taken, and is to be written.

    Attributes:
        request: as it was asked for, and once the controls have judged it, as it is to be sent.
        passed: the controls have let it, or a part of it, pass: it is to be sent.
    """

    request: Request
    actor: str
    kept: bytes
    passed: bool = False


class JournalDesk:
    """Writes what the coordinator hears and asks for.

    Args:
        journal: held by this process.
        gate: closed while the journal cannot be written.
        alerts: told when that begins, and ends.
        clock_ms: now, milliseconds since the epoch.
        at_exchange: whether a request goes to an exchange: it has to be on the disk before.
        send: sends a request on.
        unsent: told of a request that is not sent, and why.

    Attributes:
        damaged_until: until then something may appear at the exchange that was lost of the journal.
    """

    def __init__(
        self,
        journal: Journal,
        gate: Gate,
        alerts: Alerts,
        clock_ms: Callable[[], int],
        at_exchange: Callable[[Request], bool],
        send: Callable[[Request], object],
        unsent: Callable[[Request, str], object],
    ) -> None:
        self.journal, self._gate, self._alerts, self._clock_ms = journal, gate, alerts, clock_ms
        self._at_exchange, self._send, self._unsent = at_exchange, send, unsent
        self._queue: list[Entry | Asked] = []
        self._left: list[Entry] = []
        self._told = 0
        self.damaged_until = 0
        if not journal.writable:
            self._cannot(journal.why_not)

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """The journal is read: what is noted meanwhile stands there already."""
        try:
            yield
        finally:
            self._queue = []
        self._tell_damage("; what is not known is read from the exchange's lists")
        if self._told:
            self.damaged_until = self._clock_ms() + _APPEARS_MS

    def _tell_damage(self, then: str = "") -> None:
        for text in self.journal.damage[self._told :]:
            self._told += 1
            self._alerts.alert("JOURNAL", f"{text}{then}")

    # -- queueing ------------------------------------------------------------------------------------------------

    def note(self, message: Written, market_id: str = "", actor: str = "") -> None:
        """Something was heard: it is written at the end of the batch."""
        self._queue.append(Entry(message, self._clock_ms(), market_id, actor))

    def say(self, what: str, text: str = "") -> None:
        """Something about the system itself. `what`: one word."""
        self.note(Noted(what, text, self._clock_ms()))

    def seat(self, crew: str, market_id: str, event_id: str | None, host: str, definition: bytes = b"") -> None:
        """A crew's market has a host; an empty one: it is given up."""
        self.note(Seated(crew, market_id, event_id, host, self._clock_ms(), definition), market_id)

    def keep(self, actor: str, fact: StrategyFact, kept: bytes) -> None:
        """A market actor hands over what a strategy of it knows."""
        self._queue.append(Entry(fact, self._clock_ms(), fact.market_id, actor, kept))

    def over(self, market_id: str) -> None:
        """A market is over: a restart need not know of it."""
        self.flush()
        self.journal.close_market(market_id)

    def ask(self, actor: str, request: Request, kept: bytes) -> Asked:
        """A request was taken, and is about to be judged."""
        asked = Asked(request, actor, kept)
        self._queue.append(asked)
        return asked

    def withdraw(self, request: Request) -> bool:
        """A request that was to be sent is not to be, or nothing more of it; False: it was not to be."""
        passed = [
            each
            for each in self._queue
            if type(each) is Asked and each.passed and each.request.request_id == request.request_id
        ]
        for each in passed:
            each.passed = False
        return bool(passed)

    # -- writing -------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what has come, then send what was asked for. What comes of sending is written the next time."""
        if not self._queue:
            return
        queue, self._queue = self._queue, []
        asked = [each for each in queue if type(each) is Asked and each.passed]
        written = self._write(queue, any(self._at_exchange(each.request) for each in asked))
        for each in asked:
            try:
                if written or each.request.kind not in (PLACE, REPLACE):
                    self._send(each.request)
                else:
                    self._unsent(each.request, f"it cannot be written down first: {self._gate.unwritten}")
            except Exception:  # a step that was overridden: those after it are sent all the same
                logger.exception("Request %s: what came of it could not be dealt with", each.request.request_id)

    def _write(self, queue: Sequence[Entry | Asked], durable: bool) -> bool:
        at = self._clock_ms()
        entries = [
            each if isinstance(each, Entry) else Entry(each.request, at, each.request.market_id, each.actor, each.kept)
            for each in queue
        ]
        try:
            self.journal.add(self._left + entries if self._left else entries, durable)
        except JournalError as error:
            self._cannot(str(error))
            self._left += entries  # it is written once that is possible: answers to what is not sent follow
            del self._left[:-_MOST]
            return False
        except Exception as error:  # something of it cannot be an entry: it would stand in the way of all others
            logger.exception("what was heard and asked for cannot be written down, and is left out")
            self._cannot(f"{type(error).__name__}: {legible(error)}")
            return False
        if self._gate.unwritten:
            self._can()
        return True

    def look(self) -> None:
        """Time has passed: see whether a journal that could not be written can be, and whether it is whole."""
        self._tell_damage()
        if not self._gate.unwritten or not self.journal.mend():
            return
        try:
            self.journal.add([*self._left, Entry(Noted("WRITABLE", "", self._clock_ms()), self._clock_ms())], True)
        except JournalError as error:
            logger.debug("%s", error)
        else:
            self._can()

    def _cannot(self, why: str) -> None:
        if not self._gate.unwritten:
            self._alerts.alert("JOURNAL", f"the journal cannot be written: {why}; nothing is placed until it can")
        self._gate.unwritten = why

    def _can(self) -> None:
        self._gate.unwritten = ""
        self._left = []
        self._alerts.note("JOURNAL", "the journal can be written again")

    def end(self) -> None:
        """Write what was heard, and give the journal up. What was asked for and not sent has not happened."""
        heard = [each for each in self._queue if isinstance(each, Entry)]
        if heard or self._left:
            self._write(heard, False)
        self.close()

    def close(self) -> None:
        """Give the journal up: another process may hold it."""
        self.journal.close()
