"""Rows of the session's result on their way from a host: kept until the coordinator says that they are written.

Coordinators end, and disks are full for a while: what is not confirmed is sent again, in order, to the one that is
there by then. It leaves out what a former one has written.
"""

from __future__ import annotations

import time

from ...strategies.host import unique_id
from ..letters import Introduce, Rows, RowsTaken
from ..mailboxes.mail import Mail
from .rows_file import TableRows, packed

#: Milliseconds after which rows that are not confirmed are sent again.
_AGAIN_MS = 5_000
#: Seconds that a host which ends waits for them to be confirmed.
_AT_END_S = 2.0


class RowsOutbox:
    """See the module.

    Args:
        mail: of the host.
        to: who writes them.
    """

    def __init__(self, mail: Mail, to: str) -> None:
        self._mail, self._to = mail, to
        self._source, self._count = unique_id(), 0
        self._unwritten: dict[int, bytes] = {}
        #: Since when nothing was confirmed; None: not looked yet.
        self._since: int | None = None

    def __len__(self) -> int:
        """Letters that are not confirmed."""
        return len(self._unwritten)

    def put(self, rows: TableRows) -> None:
        """Send rows."""
        if any(rows.values()):
            self._count += 1
            self._unwritten[self._count] = data = packed(rows)
            self._send(self._count, data)

    def _send(self, number: int, data: bytes) -> None:
        self._mail.send(self._to, Rows(self._mail.name, data, self._source, number, next(iter(self._unwritten))))

    def taken(self, letter: RowsTaken) -> None:
        """Rows are written."""
        if letter.source == self._source:
            self._since = None
            for number in [each for each in self._unwritten if each <= letter.number]:
                del self._unwritten[number]

    def again(self) -> None:
        """Send all that is not confirmed: whoever writes it is new."""
        self._since = None
        for number, data in self._unwritten.items():
            self._send(number, data)

    def see_written(self, seconds: float = _AT_END_S) -> None:
        """The host ends: wait a moment until all is confirmed; a coordinator that comes meanwhile is sent it again."""
        until = time.monotonic() + seconds
        while self._unwritten and (left := until - time.monotonic()) > 0:
            began = time.monotonic()
            letters = self._mail.wait(left).letters
            for _, letter in letters:
                if isinstance(letter, RowsTaken):
                    self.taken(letter)
                elif isinstance(letter, Introduce) and letter.name == self._to and letter.address:
                    self._mail.know(letter.name, letter.address)
                    self.again()
            if not letters and time.monotonic() - began < left / 2:
                return  # it is closed

    def look(self, at_ms: int) -> None:
        """Time has passed: what has waited for long is sent again."""
        if not self._unwritten:
            self._since = None
        elif self._since is None:
            self._since = at_ms
        elif at_ms - self._since >= _AGAIN_MS:
            self.again()
