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
import stat
import tempfile
import time
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ...strategies.errors import InputError, RunError
from ..mailboxes.folder import link_locks, make_folder
from .reference import check_reference, instances_root

#: Characters of a socket's path that every system takes.
_LONGEST_SOCKET = 100
#: The lock of whoever starts the process anew that holds the folder.
GUARD = "guard"
#: Where paths are short.
_SHORT = "/tmp"
#: Seconds for which a look of somebody else's at the lock is waited for.
_LOOK_S = 1.0


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
        before: what was told of who held it before, once it is held.

    Raises:
        InputError: the exchange does not take the reference.
    """

    def __init__(self, reference: str, root: str | os.PathLike[str] | None = None) -> None:
        self.reference = check_reference(reference)
        name = urllib.parse.quote(reference, safe="+:;*")
        self.folder = Path(root or instances_root()) / (f"%2E{name[1:]}" if name.startswith(".") else name)
        self._lock: int | None = None
        self._second: int | None = None
        self.before = Running(reference)

    def __repr__(self) -> str:
        return f"<Instance {self.reference!r} in {self.folder}>"

    @property
    def held(self) -> bool:
        """Whether this object holds the folder."""
        return self._lock is not None

    # -- holding -------------------------------------------------------------------------------------------------

    def hold(self, guarded: bool = False, **note: Any) -> None:
        """Take the folder for this process: until `release`, or the end of the process, nobody else can.

        Args:
            guarded: it is guarded for this process (see `Guard`). If a coordinator goes on from before, so does what
                tells where it is asked, and what was told of the one before.
            note: what a look at it is to tell beside who holds it: plain values.

        Raises:
            InputError: a system with this reference runs on this machine.
            RunError: the folder is not private, or cannot be made.
        """
        if self._lock is not None:
            raise RunError(f"{self.reference!r} is held already")
        self._lock = self.lock(guarded)
        before = self.before = self._noted()
        found = Running(self.reference, os.getpid(), time.time_ns() // 1_000_000, note=note)
        if guarded and _is_locked(self.folder / "lock2"):
            note = {**before.note, **note}
            found = dataclasses.replace(found, control=before.control, page=before.page, note=note)
        else:
            self._clear("control.sock", "running.json")  # of one that was killed
        try:
            self._write(dataclasses.replace(found, control=found.control or self._control()))
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
            self._second = exclusive(self.folder / "lock2")
            time.sleep(0.0 if self._second is not None else 0.02)
        return self._second is not None

    @property
    def left_alone(self) -> bool:
        """Whether the process that it was shared with has ended without releasing it."""
        return self._second is not None and not any(_is_locked(self.folder / name) for name in ("lock", GUARD))

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
            self.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.mkdir(mode=0o700, exist_ok=True)
            found = self.folder.stat()
        except FileNotFoundError:  # one that ends has removed it; the next look makes it again
            return
        except OSError as error:
            if isinstance(error, FileExistsError) and not self.folder.exists():
                return  # or is removing it
            raise RunError(f"{self.folder}: the folder of this instance cannot be made: {error.strerror}") from None
        if found.st_uid != os.getuid():
            raise RunError(f"{self.folder}: the folder of this instance belongs to another user; set HEADRACE_HOME")
        if found.st_mode & 0o077:
            self.folder.chmod(0o700)

    def lock(self, guarded: bool = False) -> int:
        """The file of the folder's lock, locked.

        Raises:
            InputError, RunError: see `hold`.
        """
        until = time.monotonic() + _LOOK_S
        while (lock := self._locked(guarded)) is None:
            if time.monotonic() > until:
                raise InputError(self._in_use())
            time.sleep(0.02)
        return lock

    def _locked(self, guarded: bool) -> int | None:
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
            free = guarded or not any(_is_locked(self.folder / name) for name in ("lock2", GUARD))
            if free and os.fstat(lock).st_ino == os.stat(path).st_ino:
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
        return self._noted() if any(_is_locked(self.folder / name) for name in ("lock", "lock2", GUARD)) else None

    def _noted(self) -> Running:
        try:
            found = json.loads((self.folder / "running.json").read_bytes())
            return Running(**found)
        except (OSError, ValueError, TypeError):  # it is being started, or ends
            return Running(self.reference)


def exclusive(path: Path) -> int | None:
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
