"""Files recorded beside markets and named by market id: catalogues, and sports data (cricket scores, race progress).

Both are made into betfairlightweight's resources.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ...strategies.change_lines import objects_of
from ...strategies.errors import InputError, RecordingError
from ...strategies.sports_updates import MARKET_NAMES, SportsUpdates
from .locations import open_file, reason
from .recordings import Recording
from .unpacking import unpacked

_SUFFIXES = (".json", ".json.gz", "")
_SPORTS_SUFFIXES = ("", ".gz", ".bz2", ".zst", ".json")


def check_folder(folder: str | os.PathLike[str] | None, what: str) -> str | None:
    """The folder as a path.

    Raises:
        InputError: there is no such folder.
    """
    if folder is None:
        return None
    path = os.path.abspath(os.path.expanduser(os.fspath(folder)))
    if not os.path.isdir(path):
        raise InputError(f"{what}={folder!s}: no such folder; expected one with files named by market id")
    return path


def read_catalogue(folder: str, market_id: str) -> Any:
    """The catalogue `<market id>.json[.gz]` of a folder; None where there is none.

    The file holds the catalogue, or an answer of listMarketCatalogue with it: a list, or a JSON-RPC envelope of one.

    Raises:
        RecordingError: the file is not a catalogue, or has none of this market.
    """
    from ...strategies.catalogues import catalogue_of

    return _read_catalogue(folder, market_id, catalogue_of)


def read_raw_catalogue(folder: str, market_id: str) -> Mapping[str, Any] | None:
    """As `read_catalogue`: the catalogue as the exchange answered it."""
    from ...strategies.catalogues import raw_catalogue

    found: Mapping[str, Any] | None = _read_catalogue(folder, market_id, raw_catalogue)
    return found


def _read_catalogue(folder: str, market_id: str, made: Callable[[bytes, str], Any]) -> Any:
    path = _find(folder, market_id, _SUFFIXES)
    if path is None:
        return None
    try:
        with open_file(str(path)) as file:
            text = unpacked(file).read()
        return made(text, market_id)
    except (OSError, EOFError, ValueError) as error:
        raise RecordingError(f"is not a market catalogue: {reason(error)}", str(path), None, market_id) from None


def _find(folder: str, market_id: str, suffixes: tuple[str, ...]) -> Path | None:
    for suffix in suffixes:
        path = Path(folder, market_id + suffix)
        if path.is_file():
            return path
    return None


def find_sports_data(folder: str, market_id: str) -> Path | None:
    """The file of sports data that is named by a market's id, plain or packed; None where there is none."""
    return _find(folder, market_id, _SPORTS_SUFFIXES)


class SportsFeed:
    """Sports updates of one market, in order of time.

    Race updates count from the start time that the race's id carries, or once the race shows that it runs; cricket
    updates always (docs/fidelity.md).

    Args:
        folder: where `<market id>` is recorded.
        failed: told of lines that are not sports data, and of what cannot be read; reading goes on where it can.
    """

    def __init__(self, folder: str, market_id: str, failed: Callable[[RecordingError], object]) -> None:
        self.market_id = market_id
        self._failed = failed
        path = find_sports_data(folder, market_id)
        self._updates = iter(()) if path is None else self._read(str(path))
        self._next: tuple[int, Any] | None = None

    def peek(self) -> int | None:
        """When the next update was published, milliseconds since the epoch; None at the end."""
        if self._next is None:
            self._next = next(self._updates, None)
        return None if self._next is None else self._next[0]

    def take(self) -> Any:
        """The next update, as betfairlightweight's `CricketMatch` or `Race`."""
        assert self._next is not None
        _, update = self._next
        self._next = None
        return update

    def _read(self, path: str) -> Iterator[tuple[int, Any]]:
        updates = SportsUpdates(self.market_id)
        others: dict[str, None] = {}
        try:
            for number, lines in Recording(path).pieces():
                for line, text in enumerate(lines.split(b"\n"), number):
                    found: list[tuple[int, Any]] = []
                    try:
                        for message in objects_of(text) if text.strip() else ():
                            found.extend(self._updates_of(message, updates, others))
                    except Exception as error:  # what the caches raise on odd values has no common class
                        told = f"is not sports data: {type(error).__name__}: {error}"
                        self._failed(RecordingError(told, path, line, self.market_id))
                    yield from found
        except RecordingError as error:
            self._failed(error)
        if others and not updates.any:
            told = f"holds no updates of the market, but of {', '.join(list(others)[:3])}"
            self._failed(RecordingError(told, path, None, self.market_id))

    def _updates_of(
        self, message: dict[str, Any], updates: SportsUpdates, others: dict[str, None]
    ) -> Iterator[tuple[int, Any]]:
        published = message.get("pt")
        if not isinstance(published, int):
            raise ValueError(f"pt is {published!r}, expected a publish time in milliseconds")
        for kind, name in MARKET_NAMES.items():
            for change in message.get(kind) or ():
                key = str(change.get(name) or self.market_id)
                if key != self.market_id:
                    others[key] = None
                    continue
                update = updates.take(kind, change, published)
                if update is not None:
                    yield published, update
