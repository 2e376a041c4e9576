"""Sports data recorded beside a market, as it is played: races ("rcm") and cricket matches ("ccm")."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ....strategies.change_lines import objects_of
from ....strategies.errors import RecordingError
from ...reading.recordings import Recording
from ...reading.side_files import find_sports_data
from ..feed_messages import FeedMessage
from ..timeline import Rebasing
from .recorded_times import moved_sports

#: The operations, where changes stand in their messages, and which field of a change names the market.
_KINDS = (("rcm", "rc", "mid"), ("ccm", "cc", "marketId"))


class RecordedSports:
    """The sports data of one market: `<market id>` in a folder, plain or packed; none where there is no such file.

    Args:
        rebasing: of the market's recording.
        tell: told of lines that are not sports data, and of what cannot be read; the rest is played.
    """

    def __init__(
        self, folder: str, market_id: str, rebasing: Rebasing, tell: Callable[[RecordingError], object]
    ) -> None:
        self._path = find_sports_data(folder, market_id)
        self._market_id = market_id
        self._rebasing = rebasing
        self._tell = tell

    def messages(self, start_ms: int) -> Iterator[FeedMessage]:
        """What was recorded, in exchange time; what is of before `start_ms` comes then."""
        if self._path is None:
            return
        at = start_ms
        try:
            for number, lines in Recording(str(self._path)).pieces():
                for line, text in enumerate(lines.split(b"\n"), number):
                    for published, changes in self._changes(line, text):
                        at = max(at, self._rebasing.ms(published))
                        yield FeedMessage(at, sports=changes)
        except RecordingError as error:
            self._tell(error)

    def _changes(self, number: int, text: bytes) -> Iterator[tuple[int, tuple[tuple[str, dict[str, Any]], ...]]]:
        if not text.strip():
            return
        try:
            messages = objects_of(text)
        except ValueError as error:
            self._tell(RecordingError(f"is not sports data: {error}", str(self._path), number, self._market_id))
            return
        for message in messages:
            published = message.get("pt") if isinstance(message, dict) else None
            if not isinstance(published, int):
                told = f"is not sports data: pt is {published!r}, expected a publish time in milliseconds"
                self._tell(RecordingError(told, str(self._path), number, self._market_id))
                continue
            found = tuple(
                (operation, moved_sports(change, self._rebasing))
                for operation, field, name in _KINDS
                for change in message.get(field) or ()
                if isinstance(change, dict) and str(change.get(name) or self._market_id) == self._market_id
            )
            if found:
                yield published, found
