"""Streams kept on disk: one file for each market, in the exchange's format, ready for `backtest`.

Lines are handed over by the thread of a stream and written by one of the recorder's own. While a market lives its file
is plain, and grows; when it is over it is packed. What a recorder writes can be read at any moment, and one that is
started again in the same folder goes on with the files that are there.
"""

from __future__ import annotations

import bz2
import contextlib
import fcntl
import functools
import logging
import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO

from ..strategies.errors import InputError

logger = logging.getLogger("headrace")

#: The folders of a recording.
MARKETS, SPORTS, ORDERS, CATALOGUES = "markets", "sports", "orders", "catalogues"
#: Brings a file, and its name below the recording's folder, to where it is wanted.
Deliver = Callable[[Path, str], object]
#: Seconds between writes.
_WRITE_S = 0.5
_PACKED = ".bz2"
_PIECE = 1 << 20


class Recorder:
    """Keeps lines in files below a folder: `markets/<year>/<month>/<day>/<event>/<market>.bz2` as Betfair's archive is
    laid out, `catalogues/<market>.json`, `sports/<market>.bz2`, `orders/<market>.bz2`. What a recorder finds there of
    its own it goes on with.

    Args:
        folder: is made if it is not there.
        part: a folder of its own below each of these, such as the name of a stream; each recorder of a folder has
            another. Empty: none, and no other recorder.
        deliver: called in the recorder's thread with each file that is whole, and its name below the folder: to bring
            it elsewhere, such as to a store. An error of it is told, and the file stays. Files of markets that are over
            and were brought there are removed at the end; the others are gone on with by the next recorder.
        most_bytes: that may wait to be written; beyond it lines are refused.

    Attributes:
        error: what is wrong with writing; empty where all is well.
        lines, refused: handed over so far, and those that were not taken.

    Raises:
        InputError: another recorder writes to the folder.
        OSError: the folder cannot be made or written to.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        part: str = "",
        *,
        deliver: Deliver | None = None,
        most_bytes: int = 64_000_000,
    ) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._part = part
        self._lock_file = _locked(self.folder, part)
        self.error = ""
        self.lines = self.refused = 0
        self._deliver = deliver
        self._most = most_bytes
        self._waiting: deque[tuple[str, bytes | None]] = deque()
        self._catalogues: deque[tuple[str, bytes]] = deque()
        self._bytes = 0
        self._lock = threading.Lock()
        self._work = threading.Event()
        self._ending = False
        #: Files that are not packed, by name below the folder.
        self._open: set[str] = set()
        #: Files of markets that are over; and files that were delivered as they are.
        self._over: set[str] = set()
        self._delivered: set[Path] = set()
        self._places: dict[tuple[str, str], str] = {}
        self._find_former()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def _find_former(self) -> None:
        """Files of an earlier recorder: their markets go on in them."""
        for kind in (MARKETS, SPORTS, ORDERS):
            for path in sorted((self.folder / kind / self._part).rglob("*")):
                if path.is_file() and not path.name.startswith("."):
                    name = path.relative_to(self.folder).as_posix().removesuffix(_PACKED)
                    self._places[kind, name.rpartition("/")[2]] = name
                    if path.suffix != _PACKED:
                        self._open.add(name)

    # -- for the streams' threads --------------------------------------------------------------------------------

    def put(self, kind: str, market_id: str, line: bytes, place: str = "") -> bool:
        """Keep a line, without its end.

        Args:
            kind: MARKETS, SPORTS or ORDERS.
            place: folders below the kind's, such as 2026/Nov/28/31234567; the first one given counts.

        Returns:
            False: too much waits to be written, and the line was not taken.
        """
        name = self._places.get((kind, market_id))
        if name is None:
            name = self._places[kind, market_id] = "/".join(
                each for each in (kind, self._part, place, market_id) if each
            )
        with self._lock:
            if self._bytes > self._most:
                self.refused += 1
                return False
            self._bytes += len(line)
            self._waiting.append((name, line))
            self.lines += 1
        return True

    def over(self, kind: str, market_id: str) -> None:
        """A market is over: its file is packed. What comes of it later is added."""
        name = self._places.get((kind, market_id))
        if name is not None:
            self._waiting.append((name, None))
            self._work.set()

    def catalogue(self, market_id: str, data: bytes) -> None:
        """Keep a market's catalogue, as the exchange answered it; the last one counts."""
        self._catalogues.append((market_id, data))

    @property
    def room(self) -> bool:
        """Lines would be taken."""
        return self._bytes <= self._most // 2

    def close(self, pack: bool = True) -> None:
        """Write what waits; files that are not packed are packed, or left as they are."""
        self._ending = True
        self._pack_all = pack
        self._work.set()
        self._thread.join()
        self._lock_file.close()

    _pack_all = True

    # -- the recorder's thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._ending:
            self._work.wait(_WRITE_S)
            self._work.clear()
            self._guarded(self._write)
        self._guarded(self._write)
        if self._pack_all:
            for name in sorted(self._open):
                self._guarded(functools.partial(self._pack, name))
            for path in self._delivered:
                name = path.relative_to(self.folder).as_posix()
                if not name.endswith(_PACKED) or name.removesuffix(_PACKED) in self._over:
                    path.unlink(missing_ok=True)

    def _guarded(self, work: Callable[[], object]) -> None:
        """Whatever goes wrong with some lines, recording goes on."""
        try:
            work()
        except Exception as error:
            logger.exception("Recording in %s", self.folder)
            self._failed(f"lines were lost: {type(error).__name__}: {error}")

    def _write(self) -> None:
        """Write what waits, file by file; a market that is over is packed after its lines."""
        pieces: dict[str, list[bytes]] = {}
        over: list[str] = []
        while self._waiting:
            name, line = self._waiting.popleft()
            if line is None:
                over.append(name)
            else:
                pieces.setdefault(name, []).append(line)
        for name, lines in pieces.items():
            self._append(name, lines)
        for name in over:
            self._over.add(name)
            self._pack(name)
        while self._catalogues:
            self._write_catalogue(*self._catalogues.popleft())

    def _write_catalogue(self, market_id: str, data: bytes) -> None:
        path = self.folder / CATALOGUES / f"{market_id}.json"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, data)
        except OSError as error:
            self._failed(f"the catalogue of {market_id} cannot be written: {error}")
            return
        self._bring(path)

    def _append(self, name: str, lines: list[bytes]) -> None:
        path = self.folder / name
        size = sum(map(len, lines))
        before: int | None = None
        while True:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with open(path, "ab") as file:
                    before = file.tell()
                    file.write(b"\n".join(lines) + b"\n")
                self._open.add(name)
                if self.error:
                    logger.warning("Recording goes on in %s", self.folder)
                self.error = ""
                break
            except OSError as error:
                self._failed(f"{path} cannot be written: {error.strerror or error}")
                if before is not None:
                    with contextlib.suppress(OSError):
                        os.truncate(path, before)  # half a line may have found room
                if self._ending:
                    break
                time.sleep(_WRITE_S)  # lines wait meanwhile, and are refused beyond the bound
        with self._lock:
            self._bytes -= size

    def _pack(self, name: str) -> None:
        """Pack a file; what was packed of it before stays in front."""
        plain, packed = self.folder / name, self.folder / (name + _PACKED)
        if not plain.exists():
            return
        making = packed.with_name(f".{packed.name}.making")
        try:
            if packed.exists():
                shutil.copyfile(packed, making)
            else:
                making.unlink(missing_ok=True)
            with open(plain, "rb") as source, open(making, "ab") as target:
                packer = bz2.BZ2Compressor()
                while piece := source.read(_PIECE):
                    target.write(packer.compress(piece))
                target.write(packer.flush())
            os.replace(making, packed)
            plain.unlink()
            self._open.discard(name)
        except OSError as error:
            self._failed(f"{packed} cannot be written: {error.strerror or error}")
            return
        self._bring(packed)

    def _bring(self, path: Path) -> None:
        """Deliver a file, where files are."""
        if self._deliver is None:
            return
        self._delivered.discard(path)
        try:
            self._deliver(path, path.relative_to(self.folder).as_posix())
        except Exception as error:  # a store's client raises what it likes
            self._failed(f"{path} cannot be brought to its place: {error}")
        else:
            self._delivered.add(path)

    def _failed(self, what: str) -> None:
        if what != self.error:
            logger.error("Recording: %s", what)
        self.error = what


def _locked(folder: Path, part: str) -> IO[bytes]:
    """A file of the folder that only one recorder has."""
    file = open(folder / f".recorder{part and '.'}{part}", "ab")  # noqa: SIM115 - it stays open
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise InputError(f"{folder}: another process records into it; name another folder") from None
    return file


def _replace(path: Path, data: bytes) -> None:
    making = path.with_name(f".{path.name}.making")
    making.write_bytes(data)
    os.replace(making, path)
