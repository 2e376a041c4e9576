"""What a live system is known by: its reference, at the exchange and on this machine."""

from __future__ import annotations

import contextlib
import os
import socket
import urllib.parse
from pathlib import Path

from ...config import MAX_STRATEGY_REF
from ...strategies.errors import InputError
from ...values import shown

#: Beside letters and digits, what the exchange takes in a reference ("placeOrders", customerStrategyRef).
_ALSO = "-._+*:;~"
#: In the folder of all instances: what a system is known by that was given no reference.
_DEFAULT = ".default-reference"


def instances_root() -> Path:
    """The folder of all instances of this user: $HEADRACE_HOME, else headrace in $XDG_STATE_HOME or ~/.local/state."""
    own = os.environ.get("HEADRACE_HOME")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "headrace"


def instance_folders() -> dict[str, Path]:
    """The folders of this user's instances on this machine, by their references, whether they run or not."""
    root = instances_root()
    return {urllib.parse.unquote(each.name): each for each in sorted(root.iterdir())} if root.is_dir() else {}


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


def default_reference(root: str | os.PathLike[str] | None = None) -> str:
    """The reference of a system that was given none: what it was the first time, though the machine has another name by
    now. Else its orders would be somebody else's. At first it is the machine's name: its first part, as much of it as
    the exchange takes.

    Args:
        root: the folder of all instances; default: see `instances_root`.
    """
    with contextlib.suppress(OSError, ValueError, InputError):
        return check_reference((Path(root or instances_root()) / _DEFAULT).read_text("ascii").strip())
    name = socket.gethostname().partition(".")[0]
    return "".join(filter(_is_taken, name))[:MAX_STRATEGY_REF] or "headrace"


def keep_default_reference(reference: str, root: str | os.PathLike[str] | None = None) -> None:
    """A system with this reference begins: if it is what one is known by that was given none, it stays so.

    Where that cannot be written, it is found out anew the next time.
    """
    path = Path(root or instances_root()) / _DEFAULT
    if reference != default_reference(root):
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with contextlib.suppress(OSError), open(os.open(path, flags, 0o600), "w") as file:  # it may be there already
        file.write(f"{reference}\n")


def _is_taken(letter: str) -> bool:
    return letter.isascii() and (letter.isalnum() or letter in _ALSO)
