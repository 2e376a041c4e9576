"""An instance: a running live system as this machine knows it, by its reference. A private folder, which one may hold.

The folder outlives the system: what is kept across restarts lies in it. The lock, the note of who runs, and the socket
are there only while it runs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
import socket
import stat
import tempfile
import time
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ...config import MAX_STRATEGY_REF
from ...strategies.errors import InputError, RunError
from ...values import shown
from ..mailboxes.folder import link_locks, make_folder

#: Beside letters and digits, what the exchange takes in a reference ("placeOrders", customerStrategyRef).
_ALSO = "-._+*:;~"
#: Characters of a socket's path that every system takes.
_LONGEST_SOCKET = 100
#: Where paths are short.
_SHORT = "/tmp"
#: Seconds for which a look of somebody else's at the lock is waited for.
_LOOK_S = 1.0


def instances_root() -> Path:
    """The folder of all instances of this user: $HEADRACE_HOME, else headrace in $XDG_STATE_HOME or ~/.local/state."""
    own = os.environ.get("HEADRACE_HOME")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "headrace"


def check_reference(reference: str) -> str:
    """A `customer_strategy_ref` as the exchange takes it.

    Raises:
        InputError: it is empty, too long, or has other letters.
    """
    if not isinstance(reference, str) or not 0 < len(reference) <= MAX_STRATEGY_REF:
        size = f", got {len(reference)}" if isinstance(reference, str) else ""
        raise InputError(f"customer_strategy_ref={shown(reference)}: expected 1 to {MAX_STRATEGY_REF} characters{size}")
    odd = next((each for each in reference if not _is_taken(each)), None)
    if odd is not None:
        raise InputError(
            f"customer_strategy_ref={reference!r}: the exchange does not take {odd!r}; expected letters and digits of "
            f"ASCII, and {_ALSO}"
        )
    return reference


def default_reference() -> str:
    """The machine's name as a reference: its first part, as much of it as the exchange takes."""
    name = socket.gethostname().partition(".")[0]
    return "".join(filter(_is_taken, name))[:MAX_STRATEGY_REF] or "headrace"


def _is_taken(letter: str) -> bool:
    return letter.isascii() and (letter.isalnum() or letter in _ALSO)


@dataclasses.dataclass(frozen=True)
class Running:
    """A system that runs, as its folder tells.

    Attributes:
        reference: its `customer_strategy_ref`.
        pid: the process that was started by the user, and holds the lock.
        started_at: milliseconds since the epoch.
        control: the path of the socket at which it is asked; it is there once the system answers.
        page: the address of its web page, with the token; empty: it has none.
        note: what else it says of itself.
    """

    reference: str
    pid: int = 0
    started_at: int = 0
    control: str = ""
    page: str = ""
    note: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class Instance:
    """The folder of a live system on this machine. `hold` it as long as the system runs.

    Args:
        reference: its `customer_strategy_ref`: orders and, here, the folder are told apart by it.
        root: the folder of all instances; default: see `instances_root`.

    Attributes:
        folder: for the owner's eyes only; what is kept across restarts goes there.

    Raises:
        InputError: the exchange does not take the reference.
    """

    def __init__(self, reference: str, root: str | os.PathLike[str] | None = None) -> None:
        self.reference = check_reference(reference)
        name = urllib.parse.quote(reference, safe="+:;*")
        self.folder = Path(root or instances_root()) / (f"%2E{name[1:]}" if name.startswith(".") else name)
        self._lock: int | None = None
        self._second: int | None = None

    def __repr__(self) -> str:
        return f"<Instance {self.reference!r} in {self.folder}>"

    @property
    def held(self) -> bool:
        """Whether this object holds the folder."""
        return self._lock is not None

    # -- holding -------------------------------------------------------------------------------------------------

    def hold(self, **note: Any) -> None:
        """Take the folder for this process: until `release`, or the end of the process, nobody else can.

        Args:
            note: what a look at it is to tell beside who holds it: plain values.

        Raises:
            InputError: a system with this reference runs on this machine.
            RunError: the folder is not private, or cannot be made.
        """
        if self._lock is not None:
            raise RunError(f"{self.reference!r} is held already")
        until = time.monotonic() + _LOOK_S
        while (lock := self._locked()) is None:
            if time.monotonic() > until:
                raise InputError(self._in_use())
            time.sleep(0.02)
        self._lock = lock
        self._clear("control.sock", "running.json")  # of one that was killed
        try:
            self._write(Running(self.reference, os.getpid(), time.time_ns() // 1_000_000, self._control(), note=note))
        except BaseException:
            self.release()
            raise

    def tell(self, *, page: str = "", **note: Any) -> None:
        """Write down more of who holds it, for `running`: what is not told anew stays as it was.

        Raises:
            RunError: it is not held.
        """
        if self._lock is None:
            raise RunError(f"{self.reference!r} is not held")
        before = self._noted()
        self._write(dataclasses.replace(before, page=page or before.page, note={**before.note, **note}))

    def release(self) -> None:
        """Give it up: what tells of a running system goes, what is kept across restarts stays."""
        lock, self._lock = self._lock, None
        if lock is None:
            return
        self._clear("control.sock", "running.json", "lock2", "lock")
        os.close(lock)
        with contextlib.suppress(OSError):  # there is something in it that is kept
            self.folder.rmdir()

    # -- holding it with another process -------------------------------------------------------------------------

    def share(self) -> bool:
        """Hold it beside the process that has it: should that die, the folder is not free while this one goes on.

        Returns:
            False: this process has it already, or nobody has.
        """
        running = self.running()
        if running is None or running.pid == os.getpid():
            return False
        until = time.monotonic() + _LOOK_S
        while self._second is None and time.monotonic() < until:
            self._second = _exclusive(self.folder / "lock2")
            time.sleep(0.0 if self._second is not None else 0.02)
        return self._second is not None

    @property
    def left_alone(self) -> bool:
        """Whether the process that it was shared with has ended without releasing it."""
        return self._second is not None and not _is_locked(self.folder / "lock")

    def take_over(self) -> None:
        """Be told of as the one who holds it: to be called once it is left alone."""
        self._write(dataclasses.replace(self._noted(), pid=os.getpid()))

    def release_shared(self) -> None:
        """Hold it no more; where it was left alone, do what `release` would have done."""
        second = self._second
        if second is None:
            return
        if self.left_alone:
            # In this order: who sees that this lock is free finds that the other has gone.
            self._clear("control.sock", "running.json", "lock")
        (self.folder / "lock2").unlink(missing_ok=True)
        self._second = None
        os.close(second)

    def _control(self) -> str:
        """A path for the control socket: in the folder, unless that is too long for a socket."""
        path = str(self.folder.absolute() / "control.sock")
        if len(os.fsencode(path)) <= _LONGEST_SOCKET:
            return path
        folder = make_folder((_SHORT, tempfile.gettempdir()), room=len("/c"))
        link_locks(folder, (self.folder.absolute() / name for name in ("lock", "lock2")))
        return str(folder / "c")

    def _write(self, running: Running) -> None:
        write_private(self.folder / "running.json", json.dumps(dataclasses.asdict(running), indent=1).encode())

    def _clear(self, *names: str) -> None:
        """Remove files of the folder, and the place of a socket that lies elsewhere."""
        control = Path(self._noted().control or self.folder)
        if control.parent.name.startswith("headrace-") and control.name == "c":
            shutil.rmtree(control.parent, ignore_errors=True)
        for name in names:
            (self.folder / name).unlink(missing_ok=True)

    def __enter__(self) -> Self:
        if not self.held:
            self.hold()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()

    def __getstate__(self) -> dict[str, Any]:
        """Another process may look at the folder, but does not hold it."""
        return {**self.__dict__, "_lock": None, "_second": None}

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self.folder.stat()
        except FileNotFoundError:  # one that ends has removed it; the next look makes it again
            return
        except OSError as error:
            raise RunError(f"{self.folder}: the folder of this instance cannot be made: {error.strerror}") from None
        if found.st_uid != os.getuid():
            raise RunError(f"{self.folder}: the folder of this instance belongs to another user; set HEADRACE_HOME")
        if found.st_mode & 0o077:
            self.folder.chmod(0o700)

    def _locked(self) -> int | None:
        """The lock's file, locked; None: somebody else has it, or is removing it."""
        self._make_folder()
        path = self.folder / "lock"
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:  # one that ends has removed the folder
            return None
        except OSError as error:
            raise RunError(f"{path}: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # One that was released is removed: then ours is nobody else's any more.
            if not _is_locked(self.folder / "lock2") and os.fstat(lock).st_ino == os.stat(path).st_ino:
                return lock
        except (BlockingIOError, FileNotFoundError):
            pass
        except OSError as error:
            os.close(lock)
            raise RunError(f"{path}: cannot be locked: {error.strerror}; set HEADRACE_HOME to a local disk") from None
        os.close(lock)
        return None

    def _in_use(self) -> str:
        noted = self._noted()
        who = f" by process {noted.pid}" if noted.pid else ""
        return (
            f"customer_strategy_ref={self.reference!r} is in use on this machine{who}: stop that system with `headrace "
            f"live stop --reference {self.reference}`, or give this one a reference of its own"
        )

    def require_free(self) -> None:
        """Refuse to go on where a system holds the folder.

        Raises:
            InputError: one does.
        """
        if not self.held and self.running() is not None:
            raise InputError(self._in_use())

    # -- looking -------------------------------------------------------------------------------------------------

    def running(self) -> Running | None:
        """The system that holds the folder; None: none does."""
        return self._noted() if any(_is_locked(self.folder / name) for name in ("lock", "lock2")) else None

    def _noted(self) -> Running:
        try:
            found = json.loads((self.folder / "running.json").read_bytes())
            return Running(**found)
        except (OSError, ValueError, TypeError):  # it is being started, or ends
            return Running(self.reference)


def _exclusive(path: Path) -> int | None:
    """A lock's file, locked; None: somebody looks at it, or has it."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


def _is_locked(path: Path) -> bool:
    try:
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(lock)


def control_path(folder: str | os.PathLike[str]) -> str:
    """Where the system that holds a folder is to listen for questions.

    Raises:
        RunError: nobody holds it.
    """
    try:
        return str(json.loads((Path(folder) / "running.json").read_bytes())["control"])
    except (OSError, ValueError, KeyError):
        raise RunError(f"{os.fspath(folder)}: nobody holds this instance") from None


def running_instances(root: str | os.PathLike[str] | None = None) -> list[Running]:
    """The systems of this user that run on this machine, by their references."""
    found = []
    with contextlib.suppress(OSError):
        for folder in sorted(Path(root or instances_root()).iterdir()):
            with contextlib.suppress(InputError):  # another folder
                running = Instance(urllib.parse.unquote(folder.name), folder.parent).running()
                if running is not None:
                    found.append(running)
    return found


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read; whoever reads it meanwhile finds it as it was."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def readable_by_others(path: str | os.PathLike[str]) -> bool:
    """Whether a file can be read or changed by other users of this machine, by its permissions."""
    return bool(stat.S_IMODE(os.stat(path).st_mode) & 0o077)
