"""Looking for secrets in all that a system leaves and shows, for its processes, and for what they let others reach."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import os
import stat
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pyarrow.parquet as pq

from headrace.actors.journal.journal import JournalError
from headrace.actors.journal.reader import JournalReader

#: `socket` state LISTEN in /proc/net/tcp, and the addresses of this machine alone there, as far as they are looked at.
_LISTEN = "0A"
_LOOPBACK = ("0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F")


def found_in(secrets: Mapping[str, str], text: str | bytes) -> list[str]:
    """The names of secrets that stand in a text, as they are, or as a URL or JSON has them."""
    data = text.encode(errors="surrogateescape") if isinstance(text, str) else text
    return [name for name, secret in secrets.items() if secret.encode() in data]


def files_with(secrets: Mapping[str, str], *folders: Path) -> list[tuple[str, str]]:
    """Files below folders with secrets in them or in their names: the path, and the secret's name."""
    found = []
    for path in _files(folders):
        for data in _contents(path):
            found += [(str(path), name) for name in found_in(secrets, data)]
        found += [(str(path), name) for name in found_in(secrets, path.name)]
    return sorted(set(found))


def _files(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        for parent, _, names in os.walk(folder):
            for name in names:
                path = Path(parent, name)
                with contextlib.suppress(OSError):
                    if stat.S_ISREG(path.lstat().st_mode):
                        yield path


def _contents(path: Path) -> Iterator[bytes]:
    """The bytes of a file, and what is packed in them."""
    try:
        data = path.read_bytes()
    except OSError:  # it has gone
        return
    yield data
    with contextlib.suppress(OSError, EOFError, zlib.error, ValueError):
        if data[:3] == b"BZh":
            yield bz2.decompress(data)
        elif data[:2] == b"\x1f\x8b":
            yield gzip.decompress(data)
        elif data[:4] == b"PAR1":
            yield repr(pq.read_table(io.BytesIO(data)).to_pylist()).encode()
    if data[:15] == b"SQLite format 3":  # of markets that are over a journal's entries are compressed
        with contextlib.suppress(JournalError):
            yield from (repr(entry).encode() for entry in JournalReader(path.parent).entries(kept=True))


def open_to_others(*folders: Path, deep: bool = True) -> list[str]:
    """The given folders, and what lies in them, that other users of this machine could read or write.

    Args:
        deep: False: what lies in a folder that others cannot enter is out of their reach, and may have any mode.
    """
    found = []
    for folder in folders:
        for parent, below, names in os.walk(folder):
            for path in (Path(parent), *(Path(parent, name) for name in names)):
                with contextlib.suppress(OSError):
                    status = path.lstat()
                    if not stat.S_ISLNK(status.st_mode) and status.st_mode & 0o077:
                        found.append(f"{path} {stat.filemode(status.st_mode)}")
                    elif path == Path(parent) and not deep:
                        below.clear()
                        break
    return sorted(set(found))


def processes_with(variable: str, value: str) -> list[int]:
    """Processes in whose environment a variable has a value."""
    wanted = f"{variable}={value}".encode()
    found = []
    for each in Path("/proc").iterdir():
        if each.name.isdigit():
            with contextlib.suppress(OSError):
                if wanted in (each / "environ").read_bytes().split(b"\0"):
                    found.append(int(each.name))
    return found


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def listening(pids: Iterable[int]) -> tuple[list[str], list[str]]:
    """The TCP addresses at which processes listen: those that only this machine reaches, and those that others do."""
    inodes: set[str] = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            for file in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    target = os.readlink(file)
                    if target.startswith("socket:["):
                        inodes.add(target[8:-1])
    own, all_ = [], []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTEN and fields[9] in inodes:
                address, _, port = fields[1].partition(":")
                (own if address in _LOOPBACK else all_).append(f"{address}:{int(port, 16)}")
    return own, all_
