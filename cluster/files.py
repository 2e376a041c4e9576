"""Files that travel with a run: `backtest(files=["model.json"])`, found in every process by `hr.path("model.json")`."""

from __future__ import annotations

import difflib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from ..strategies.errors import InputError

#: Names the folder of a process's files.
_FOLDER = "HEADRACE_FILES"


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


def unpack_files(files: dict[str, bytes]) -> tempfile.TemporaryDirectory[str] | None:
    """Lay out the files of a run for this process; they are gone with the object returned."""
    if not files:
        return None
    folder = tempfile.TemporaryDirectory(prefix="headrace-files-")
    for name, content in files.items():
        Path(folder.name, name).write_bytes(content)
    os.environ[_FOLDER] = folder.name
    return folder


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
