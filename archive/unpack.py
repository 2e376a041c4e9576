"""Packed archives back into files, line for line as they were."""

from __future__ import annotations

import bz2
import gzip
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from ..cluster.progress import showing
from ..names import to_name
from ..simulate.reading.recordings import Paths, Recording, find_recordings
from ..strategies.errors import InputError, RecordingError
from .packed_writer import new_folder

Compression = Literal["none", "gz", "bz2"]

_ENDINGS = (".bz2", ".gz", ".zst")


def unpack(
    packed: Paths,
    out: str | os.PathLike[str],
    *,
    compression: Compression = "bz2",
    progress: Callable[[int, int], None] | bool | None = None,
) -> list[str]:
    """Write packed recordings as files again, line for line as they were before packing.

    Args:
        packed: a folder that `write_pack` wrote, or some of its files.
        out: a new folder.
        compression: "bz2", "gz" or "none".
        progress: as in `backtest`; a function is called after each recording with the number written and the number
            in all.

    Returns:
        What is wrong with recordings, a sentence each; what can be read of them is written.

    Raises:
        InputError: `packed` holds no packed recordings, or `out` cannot be used.
    """
    if compression not in ("none", "gz", "bz2"):
        raise InputError(f"compression={compression!r}: expected 'none', 'gz' or 'bz2'")
    sources = find_recordings(packed)
    other = next((source for source in sources if source.rows is None and source.problem is None), None)
    if other is not None:
        raise InputError(f"{other}: is not a packed archive; expected a folder that `headrace pack` wrote")
    folder = new_folder(out)
    problems: list[str] = []
    ending = "" if compression == "none" else f".{compression}"
    with showing(progress, "unpacking") as shown:
        for done, source in enumerate(sources, 1):
            if source.problem is not None:
                problems.append(str(RecordingError(source.problem, str(source))))
            else:
                path = _free_path(folder, _file_name(to_name(source.member or "unnamed"), ending), done)
                try:
                    with _opened(path, compression) as file:
                        for _, lines in Recording(source).pieces():
                            file.write(lines)
                except RecordingError as error:
                    problems.append(str(error))
            if shown is not None:
                shown(done, len(sources))
    return problems


def _free_path(folder: Path, name: str, number: int) -> Path:
    """Where a file of this name can be written, its folder made.

    Names can be taken: of two recordings that differed in their compression only, or by a folder.
    """
    path = folder / name
    inside = path.resolve().is_relative_to(folder.resolve())
    if not inside or path.exists() or any(parent.is_file() for parent in path.parents):
        names = itertools.chain([f"{number}-{path.name}"], (f"{number}-{n}-{path.name}" for n in itertools.count(2)))
        path = next(folder / each for each in names if not (folder / each).exists())
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _file_name(name: str, ending: str) -> str:
    for each in _ENDINGS:
        name = name.removesuffix(each)
    return name + ending


def _opened(path: Path, compression: str) -> Any:
    if compression == "bz2":
        return bz2.open(path, "wb")
    # A time in the header would make two runs differ.
    return gzip.GzipFile(path, "wb", mtime=0) if compression == "gz" else path.open("wb")
