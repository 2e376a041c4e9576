"""Where the recordings are, and plain copies of them for timing without decompression."""

import bz2
import gzip
import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

CHECKOUT = Path(__file__).resolve().parent.parent
SHARED = CHECKOUT.parent / "shared"
OPENERS = {".bz2": bz2.open, ".gz": gzip.open}


def recordings_folder(given: str | None = None) -> Path:
    """The folder of recordings: `given`, else HEADRACE_RECORDINGS, else `../shared/recordings`.

    Exits with status 2 where there is none.
    """
    return _folder(given, "HEADRACE_RECORDINGS", SHARED / "recordings", "--recordings")


def reference_folder(given: str | None = None) -> Path:
    """The folder of the reference strategies and the orders they gave in flumine, found likewise.

    Environment: HEADRACE_REFERENCE. Default: `../shared/reference`.
    """
    return _folder(given, "HEADRACE_REFERENCE", SHARED / "reference", "--reference")


def cache_folder() -> Path:
    """Where environments and unpacked recordings are kept: HEADRACE_BENCH, else `.bench` in the checkout."""
    folder = Path(os.environ.get("HEADRACE_BENCH", CHECKOUT / ".bench")).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")
    return folder


def find(folder: Path, market: str) -> Path:
    """The recording of `market` in `folder`, whatever its compression; exits with 2 where it is absent."""
    paths = [folder / f"{market}{suffix}" for suffix in ("", *OPENERS)]
    present = [path for path in paths if path.is_file()]
    if not present:
        leave(f"No recording {market}[.bz2|.gz] in {folder}.")
    return present[0]


def unpacked(folder: Path, market: str) -> Path:
    """A plain copy of the recording of `market`, made once in the cache folder."""
    source = find(folder, market)
    target = cache_folder() / "recordings" / market
    if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
        target.parent.mkdir(exist_ok=True)
        partial = target.with_name(f"{market}.{os.getpid()}")
        opener = OPENERS.get(source.suffix, open)
        with opener(source, "rb") as packed, partial.open("wb") as plain:
            shutil.copyfileobj(packed, plain)
        partial.replace(target)
    return target


def leave(message: str) -> NoReturn:
    """Says why nothing can be measured, and exits with status 2."""
    print(message, file=sys.stderr)
    raise SystemExit(2)


def _folder(given: str | None, variable: str, default: Path, option: str) -> Path:
    folder = Path(given or os.environ.get(variable) or default)
    if not folder.is_dir():
        leave(f"No folder {folder}: name it with {option} or the environment variable {variable}.")
    return folder.resolve()
