"""What went wrong, gathered as rows: where, how often, and the traceback of the first time."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import site
import sysconfig
import traceback
from collections.abc import Collection, Iterator
from typing import Any

from ..strategies.errors import HeadraceError, RunError
from ..values import legible


@dataclasses.dataclass
class Failure:
    """Errors of one kind at one place.

    Attributes:
        unit: the input it happened in: a file, or an event.
        line: file and line of the code that raised, or of the recording that is broken.
        publish_time: milliseconds since the epoch of the first time, in market time; None where there was none.
        count: how often.
    """

    unit: str
    strategy: str | None
    market_id: str | None
    line: str | None
    error_type: str
    message: str
    traceback: str
    publish_time: int | None = None
    count: int = 1


def raised_at(error: BaseException) -> str | None:
    """File and line of the innermost frame of `error`."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else None


@functools.cache
def installed_folders() -> tuple[str, ...]:
    """Folders of the standard library, of installed packages and of their commands, each with a slash at its end."""
    paths = sysconfig.get_paths()
    folders = [paths[key] for key in ("purelib", "platlib", "stdlib", "platstdlib", "scripts")]
    return tuple({os.path.join(os.path.realpath(folder), "") for folder in (*folders, *site.getsitepackages())})


def users_frames(error: BaseException) -> list[traceback.FrameSummary]:
    """The frames of `error` that are in the user's own code, the outermost first."""
    theirs = (
        (frame, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__")).partition(".")[0] != "headrace"
        and not frame.f_code.co_filename.startswith("<frozen ")
        and not frame.f_code.co_filename.endswith((".pyx", ".pxi"))  # compiled: they name no file of this machine
        and not os.path.realpath(frame.f_code.co_filename).startswith(installed_folders())
    )
    return list(traceback.StackSummary.extract(theirs))


def users_place(error: BaseException) -> str | None:
    """File and line in the user's code where `error` came from, or else the innermost place."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = users_frames(error)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else raised_at(error)


def place_in(files: Collection[str], error: BaseException) -> str | None:
    """File and line of the innermost frame of `error` in some files, or else in the user's code."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in files]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else users_place(error)


def told(error: BaseException) -> str:
    """An error in one line: class, message, and its place in the user's code."""
    text = error.msg if isinstance(error, SyntaxError) else " ".join(legible(error).split())
    place = users_place(error)
    return f"{type(error).__name__}{': ' if text else ''}{text}" + (f" ({place})" if place else "")


@contextlib.contextmanager
def users_code(what: str, kind: type[HeadraceError] = RunError, raise_errors: bool = False) -> Iterator[None]:
    """Around a call of the user's code that the run cannot do without: its error becomes one sentence.

    Args:
        what: what failed, such as "strategy 'Backer' failed in add()".
        kind: the class of the error that is raised.
        raise_errors: let errors through as they are.

    Raises:
        HeadraceError: of the class `kind`: what failed, the error, file and line. Errors of headrace itself pass.
    """
    try:
        yield
    except HeadraceError:
        raise
    except Exception as error:
        if raise_errors:
            raise
        raise kind(f"{what}: {told(error)}") from error


class Failures:
    """The failures of one unit.

    Attributes:
        users: the first error that is not one of headrace's own, in one line; None: there was none.
    """

    def __init__(self, unit: str = "") -> None:
        self.unit = unit
        self.users: str | None = None
        self._found: dict[tuple[Any, ...], Failure] = {}

    def add(
        self,
        error: BaseException,
        strategy: str | None = None,
        market_id: str | None = None,
        line: str | None = None,
        publish_time: int | None = None,
    ) -> bool:
        """Count an error; True where it is the first of its kind and place."""
        kind = type(error).__name__
        key = (strategy, market_id, line, kind)
        known = self._found.get(key)
        if known is not None:
            known.count += 1
            return False
        if self.users is None and not isinstance(error, HeadraceError):
            who = f"strategy {strategy!r} failed: " if strategy else ""
            self.users = f"{who}{told(error)}"
        text = legible("".join(traceback.format_exception(error)))
        self._found[key] = Failure(self.unit, strategy, market_id, line, kind, legible(error), text, publish_time)
        return True

    def __iter__(self) -> Any:
        return iter(self._found.values())

    def __len__(self) -> int:
        return len(self._found)
