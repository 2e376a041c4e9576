"""The folder in which the inboxes of one system lie: private, and with a name that is short enough for sockets."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import logging
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from ...strategies.errors import RunError

logger = logging.getLogger("headrace")

#: What the path of a socket may have at most. The system's limit is 107 bytes on Linux and 103 elsewhere.
LONGEST = 80
#: What is left for the name of an inbox in a folder made here: a role's name, a dot and its incarnation.
_ROOM = 24
_PREFIX = "headrace-"
#: The claim of the process that clears a folder up. Roles' names do not begin with a dot.
_OWNER = ".owner"
#: Seconds for which who has a name may take to write down who it is.
_WRITING = 0.5
#: Why an actor has ended that has not given its name back.
KILLED = "its process has died"
#: What stands in a claim that was given back, before why that was.
_LEFT = b"left:"
#: Seconds for which a new folder is left alone, claimed or not.
_NEW = 60.0


def make_folder(places: Iterable[str] | None = None, room: int = _ROOM) -> Path:
    """Make a private folder whose name is short, and remove those of systems that died without clearing up.

    Args:
        places: where, in the order of preference; None: the system's temporary folders.
        room: bytes that are left for names in the folder.

    Raises:
        RunError: none of the places will do.
    """
    refused = []
    for place in dict.fromkeys(_places() if places is None else places):
        if len(os.fsencode(place)) + len(_PREFIX) + 9 + room > LONGEST:
            refused.append(f"{place} has too long a name")
            continue
        try:
            _sweep(Path(place))
            return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        except OSError as error:
            refused.append(f"{place}: {error.strerror}")
    raise RunError(
        f"no place for the sockets of live actors: {'; '.join(refused)}. Set TMPDIR to a folder that can be "
        f"written to, with a name of at most {LONGEST - len(_PREFIX) - 9 - room} bytes"
    )


def _places() -> Iterator[str]:
    yield tempfile.gettempdir()
    with contextlib.suppress(KeyError):
        yield os.environ["XDG_RUNTIME_DIR"]
    yield from ("/tmp", "/var/tmp", "/dev/shm")


def check_folder(folder: Path) -> None:
    """Refuse a folder that others could read or write.

    Raises:
        RunError: it is not there, is another user's, or is open to others.
    """
    try:
        status = folder.stat()
    except OSError as error:
        raise RunError(f"the folder of mailboxes {folder} cannot be used: {error.strerror}") from None
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise RunError(
            f"the folder of mailboxes {folder} is not a private folder: its owner is {status.st_uid}, its mode "
            f"{stat.filemode(status.st_mode)}; expected {os.getuid()} and drwx------"
        )


class TakenError(RunError):
    """A mailbox is open already, here or in another process."""


class Claim:
    """A name in a folder that only one process has at a time. A process that dies gives its claims back.

    Raises:
        TakenError: another has it.
        RunError: an incarnation is not later than the last; or nothing can be written to the folder.
    """

    def __init__(self, folder: Path, name: str, incarnation: int = 0) -> None:
        self._path = folder / f"{name}.lock"
        self._incarnation = incarnation
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise RunError(f"the mailbox of {name} cannot be made in {folder}: {error.strerror}") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            said = os.pread(self._file, 100, 0).split()
            if said and incarnation <= int(said[0]):
                raise RunError(f"incarnation {incarnation} of {name} is not new: the last one was {int(said[0])}")
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, b"%d %d\n" % (incarnation, os.getpid()), 0)
        except OSError as error:
            self._refused(folder, name, error)
        except RunError:
            os.close(self._file)
            raise

    def _refused(self, folder: Path, name: str, error: OSError) -> None:
        said = os.pread(self._file, 100, 0).split()
        os.close(self._file)
        if error.errno in (errno.EAGAIN, errno.EACCES):
            who = f" by process {int(said[1])}" if len(said) > 1 else ""
            raise TakenError(f"the mailbox of {name} is open already{who}, in {folder}; end that one first") from None
        raise RunError(f"the mailbox of {name} cannot be made in {folder}: {error.strerror}") from None

    def release(self, why: str = "") -> None:
        """Give the name back. What was the last incarnation is remembered in the folder, and that it was given back.

        Args:
            why: the actor has ended, if nobody has asked it to.
        """
        if self._file >= 0:
            with contextlib.suppress(OSError):  # no room: it then looks as if its process had died
                said = b"%d %d %s" % (self._incarnation, os.getpid(), _LEFT + why.encode())
                os.ftruncate(self._file, os.pwrite(self._file, said, 0))
            os.close(self._file)
            self._file = -1


@dataclasses.dataclass(frozen=True)
class Holder:
    """Who has a name.

    Attributes:
        incarnation: the last of this name.
        pid: its process.
        held: it has the name still.
        why: it has ended, if nobody has asked it to; empty while it has the name.
    """

    incarnation: int
    pid: int
    held: bool
    why: str = ""


def holder(folder: Path, name: str) -> Holder | None:
    """Who has a name, or had it last; None: nobody had."""
    try:
        file = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        until = time.monotonic() + _WRITING
        while True:
            held = not _can_be_locked(file)
            said = os.pread(file, 1_000, 0).split(maxsplit=2)
            if not held:
                return _former(said) if len(said) > 1 else None
            if len(said) > 1 and lives(int(said[1])):
                return Holder(int(said[0]), int(said[1]), True)
            if time.monotonic() > until:
                return None
            time.sleep(0.001)  # it is about to write down who it is
    finally:
        os.close(file)


def _former(said: list[bytes]) -> Holder:
    """Who has given a name back, or has died with it."""
    left = said[2].removeprefix(_LEFT) if len(said) > 2 and said[2].startswith(_LEFT) else None
    return Holder(int(said[0]), int(said[1]), False, KILLED if left is None else left.decode(errors="replace"))


def holders(folder: Path) -> dict[str, Holder]:
    """Actors that have their names, by these."""
    names = [path.name.removesuffix(".lock") for path in folder.glob("*.lock")]
    found = {name: holder(folder, name) for name in sorted(names) if not name.startswith(".")}
    return {name: each for name, each in found.items() if each is not None and each.held}


def _can_be_locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def lives(pid: int) -> bool:
    """Whether there is a process of this number; one that has ended counts until it is reaped."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def remove_folder(folder: Path) -> None:
    """Remove a folder of mailboxes with all that is in it."""
    shutil.rmtree(folder, ignore_errors=True)


def own(folder: Path) -> Claim:
    """Claim a folder for the process that clears it up: while it lives, nobody else does."""
    before = holder(folder, _OWNER)  # one that has died
    return Claim(folder, _OWNER, 0 if before is None else before.incarnation + 1)


def link_locks(folder: Path, locks: Iterable[Path]) -> None:
    """Have a folder cleared up once nobody has any of some locks, which lie elsewhere. The first is its owner's."""
    for number, lock in enumerate(locks):
        (folder / f"{f'also{number}' if number else _OWNER}.lock").symlink_to(lock)


def _sweep(place: Path) -> None:
    """Remove folders whose owner has died, if none of their mailboxes is open."""
    for folder in place.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            status = folder.lstat()
            new = time.time() - status.st_mtime < _NEW
            if (
                status.st_uid == os.getuid()
                and not new
                and os.path.lexists(folder / f"{_OWNER}.lock")
                and not _in_use(folder)
            ):
                logger.info("removing %s, which a process that died has left behind", folder)
                remove_folder(folder)


def _in_use(folder: Path) -> bool:
    for path in folder.glob("*.lock"):
        try:
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:  # it lies elsewhere, and was removed
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(file)
    return False
