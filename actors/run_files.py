"""Files that travel with a run: `backtest(files=["model.json"])`, found in every process by `hr.path("model.json")`."""

from __future__ import annotations

import difflib
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from ..strategies.errors import InputError

#: Names the folder of a process's files.
_FOLDER = "HEADRACE_FILES"
#: Begins the name of such a folder; the id of its process follows.
_PREFIX = "headrace-files-"


def read_files(files: Iterable[str | os.PathLike[str]]) -> dict[str, bytes]:
    """The content of files by name.

    Raises:
        InputError: a file cannot be read, or two have one name.
    """
    found: dict[str, bytes] = {}
    for file in [files] if isinstance(files, (str, os.PathLike)) else files:
        path = Path(file)
        if path.name in found:
            raise InputError(f"files: {path.name} is named twice; give each file a name of its own")
        try:
            found[path.name] = path.read_bytes()
        except OSError as error:
            raise InputError(f"files: {path} cannot be read: {error.strerror or error}") from None
    return found


def unpack_files(
    files: dict[str, bytes], place: str | os.PathLike[str] | None = None
) -> tempfile.TemporaryDirectory[str] | None:
    """Lay out the files of a run for this process; they are gone with the object returned.

    Args:
        place: the folder to do it in, which only processes of this machine use; what killed ones have left there is
            removed. None: the system's for temporary files.
    """
    if not files:
        return None
    if place is not None:
        _remove_orphans(Path(place))
    folder = tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-", dir=place)
    for name, content in files.items():
        Path(folder.name, name).write_bytes(content)
    os.environ[_FOLDER] = folder.name
    return folder


def laid_out() -> bool:
    """Whether this process has files of a run."""
    return os.path.isdir(os.environ.get(_FOLDER, ""))


def _remove_orphans(place: Path) -> None:
    for folder in place.glob(f"{_PREFIX}*-*"):
        owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
        try:
            os.kill(int(owner), 0)
        except ProcessLookupError:
            shutil.rmtree(folder, ignore_errors=True)
        except (PermissionError, ValueError):  # another user's, or not a process
            continue


def path(name: str) -> str:
    """Where a file given as `files=` lies in this process.

    Raises:
        InputError: no such file was given; names the nearest.
    """
    folder = os.environ.get(_FOLDER)
    names = sorted(os.listdir(folder)) if folder and os.path.isdir(folder) else []
    if name not in names:
        near = difflib.get_close_matches(name, names, 1)
        hint = (
            f"did you mean {near[0]!r}?" if near else f"the run has {', '.join(names) or 'no files'}; give files=[...]"
        )
        raise InputError(f"hr.path({name!r}): no such file; {hint}")
    assert folder is not None
    return os.path.join(folder, name)
