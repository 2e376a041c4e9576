"""Where recordings lie: local files, folders and patterns, or objects behind a URI (`s3://bucket/prefix`).

And how one is opened: unpacked as its first bytes say, read in pieces, never whole. pyarrow reads the URIs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import glob
import hashlib
import io
import logging
import os
import re
import socket
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from ...names import name_of_file, to_text
from ...strategies.errors import InputError
from .unpacking import problem_of

logger = logging.getLogger("headrace")

#: Bytes fetched at once from an object store: each fetch is a request.
_FETCHED = 1024 * 1024

#: scheme, bucket, path, query. A question mark that is part of a pattern is followed by no `name=`.
_URI = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?]*)/?(.*?)(\?[\w.-]+=[^/]*)?", re.DOTALL)
_MAGIC = re.compile(r"[*?\[]")

#: What the words of an object store's error mean to the caller.
_REASONS = (
    (
        r"OAuth2 access token",
        "no credentials for Google Cloud (GOOGLE_APPLICATION_CREDENTIALS, or gs://anonymous@bucket), or no network",
    ),
    (
        r"NETWORK_CONNECTION|resolve host|could not connect|CURL error|Connection refused|timed? ?out",
        "it cannot be reached: no network, or a wrong endpoint",
    ),
    (r"NO_SUCH_BUCKET|NoSuchBucket|[Bb]ucket.{0,80}(not found|not exist)", "there is no such bucket"),
    (
        r"ACCESS_DENIED|AccessDenied|[Cc]redentials|UNAUTHENTICATED|PERMISSION_DENIED|INVALID_ACCESS_KEY|status 40[13]",
        "access is denied: are there credentials (AWS_PROFILE, AWS_ACCESS_KEY_ID, GOOGLE_APPLICATION_CREDENTIALS), and "
        "may they read it?",
    ),
)

#: Names that say that a file of a folder or an archive is not for us, and those which say that it holds no messages.
_HIDDEN = re.compile(r"(^|/)(\.[^/]|__MACOSX(/|$)|Thumbs\.db$|desktop\.ini$)")
_README = re.compile(r"(^|/)(README|LICEN[CS]E|CHANGELOG)[^/]*$|\.md$", re.IGNORECASE)
_BESIDE = re.compile(r"(\.json|\.txt)(\.gz)?$", re.IGNORECASE)
_NUMBERED_TEXT = re.compile(r"\d{6}[^/]*\.txt(\.gz)?$", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """Where a recording lies: a file, an object, or a member of an archive. Its text is its name.

    Attributes:
        path: a local path or a URI: the file, or the archive.
        member: the member's name in the archive; None: the file itself.
        offset: where the member begins, in bytes (of a zip: its header).
        size: bytes as they lie there, packed; 0 where that is not known.
        entry: of a zip's member: compression method, checksum, and bytes when unpacked.
        packed: the archive is a compressed tar, which can be read from front to back only.
        problem: what is known to be wrong with it; reading raises it.
        rows: of a packed recording: its first row in the Parquet file, and how many there are.
        event: the event's id, where it is known without reading.
        only: ids of the markets that are meant; None: all.
        modified: when an object was last changed, nanoseconds since the epoch; 0 where that is not known.
        file: the member while the archive is read through; such a source cannot leave its process.
    """

    path: str
    member: str | None = None
    offset: int | None = None
    size: int = 0
    entry: tuple[int, int, int] | None = None
    packed: bool = False
    problem: str | None = None
    rows: tuple[int, int] | None = None
    event: str | None = None
    only: tuple[str, ...] | None = None
    modified: int = dataclasses.field(default=0, compare=False, repr=False)
    file: BinaryIO | None = dataclasses.field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return to_text(self.path if self.member is None else f"{self.path}!{self.member}")


def absolute(source: Source) -> Source:
    """A source that means the same from any folder."""
    return source if is_uri(source.path) else dataclasses.replace(source, path=os.path.abspath(source.path))


# -- finding -----------------------------------------------------------------------------------------------------------


def find_files(path: str) -> list[Source]:
    """The files that a path, a folder, a pattern or a URI names, in order of their names.

    Of a folder, what its name shows not to be a recording is left out (see `may_be_recording`); of a pattern nothing.

    Raises:
        InputError: there is no such file, nothing matches, or the store cannot be reached.
    """
    path = _without_file_scheme(path)
    if is_uri(path):
        return _objects(path)
    path = name_of_file(os.path.expanduser(path))
    if os.path.isdir(path):
        return _of_folder(path, [(name, Source(file, size=_size(file))) for name, file in _walk(path)])
    if os.path.exists(path):
        return [Source(path, size=_size(path))]
    if has_magic(path):
        files = sorted(each for each in glob.glob(path, recursive=True) if os.path.isfile(each))
        if not files:
            raise InputError(f"{path}: the pattern matches no file")
        return [Source(file, size=_size(file)) for file in files]
    raise InputError(f"{path}: no such file or folder")


def _walk(root: str) -> Iterator[tuple[str, str]]:
    """Files below a folder: name within it, and path."""

    def unreadable(error: OSError) -> None:
        raise InputError(f"{error.filename}: the folder cannot be listed: {error.strerror}")

    for folder, _, names in os.walk(root, onerror=unreadable):
        within = os.path.relpath(folder, root)
        for name in names:
            yield (name if within == "." else f"{within}/{name}"), os.path.join(folder, name)


def _of_folder(path: str, found: list[tuple[str, Source]]) -> list[Source]:
    kept = without_other_files(path, sorted(found, key=lambda each: str(each[1])))
    if not kept:
        other = min((name for name, _ in found if not _HIDDEN.search(name)), default=None)
        but = f" but {other} and the like, which a pattern would read" if other else ""
        raise InputError(f"{path}: the folder holds no files{but}; expected recordings")
    return kept


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0  # reading it will say what is wrong


def may_be_recording(name: str) -> bool:
    """Whether a file of a folder or an archive may be a recording, by its name within it.

    Not so: hidden files and what operating systems leave behind; README, LICENSE, CHANGELOG, *.md; *.json, which are
    catalogues; *.txt unless numbered as markets are.
    """
    if _HIDDEN.search(name) or _README.search(name):
        return False
    return not _BESIDE.search(name) or _NUMBERED_TEXT.search(name) is not None


def without_other_files(place: object, found: list[tuple[str, Source]]) -> list[Source]:
    """What may be recordings of a folder or an archive. What else somebody may have meant is logged."""
    kept = {name: source for name, source in found if may_be_recording(name)}
    log_left_out(place, [name for name, _ in found if name not in kept], list(kept))
    return list(kept.values())


def log_left_out(place: object, left: list[str], kept: list[str]) -> None:
    """Log the names left out that are neither hidden, nor READMEs, nor catalogues beside their market's recording."""
    left = [name for name in left if not _HIDDEN.search(name) and not _README.search(name)]
    if not left or not kept:
        return
    beside = {name for each in kept for name in (each, each.rpartition(".")[0])}
    doubtful = [name for name in left if _BESIDE.sub("", name) not in beside]
    if doubtful:
        more = f" and {len(doubtful) - 3} more" if doubtful[3:] else ""
        logger.warning("%s: left out, by their names: %s%s", place, ", ".join(doubtful[:3]), more)


def has_magic(path: str) -> bool:
    """Whether it is a pattern."""
    return _MAGIC.search(path) is not None


def matcher(pattern: str) -> Callable[[str], Any]:
    """What tells whether a name fits a pattern: `*` and `?` within a folder, `**` across folders, `[abc]`."""
    regex = ""
    for part in re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", pattern):
        if part.startswith("[") and part.endswith("]"):
            regex += "[" + ("^" + part[2:] if part[1] == "!" else part[1:])
        else:
            regex += {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(part) or re.escape(part)
    return re.compile(regex, re.DOTALL).fullmatch


# -- object stores -----------------------------------------------------------------------------------------------------


def is_uri(path: str) -> bool:
    """Whether a path is a URI, which pyarrow reads."""
    return "://" in path and _URI.fullmatch(path) is not None


def _without_file_scheme(path: str) -> str:
    """`file:///home/me/x` is /home/me/x."""
    if not path.startswith("file://"):
        return path
    host, slash, rest = path.removeprefix("file://").partition("/")
    if host not in ("", "localhost") or not slash:
        raise InputError(f"{path}: expected file:/// and an absolute path")
    return "/" + urllib.parse.unquote(rest)


def _parts(uri: str) -> tuple[str, str, str]:
    """The store's root, the path in it, and the query."""
    match = _URI.fullmatch(uri)
    assert match is not None
    scheme, bucket, path, query = match.groups()
    if ":" in bucket.rpartition("@")[0]:
        raise InputError(
            f"{scheme}://...@{bucket.rpartition('@')[2]}/{path}: credentials in a URI would stand in logs and results; "
            "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    return f"{scheme}://{bucket}", path, query or ""


@functools.lru_cache(maxsize=16)
def filesystem(root: str, query: str) -> tuple[Any, str]:
    """pyarrow's filesystem of a store's root, and the root's path in it.

    Kept, for making one can cost a request that asks for the bucket's region.
    """
    from pyarrow import fs

    if root.startswith(("gs://", "gcs://")) and "retry_limit_seconds" not in query:
        query += ("&" if query else "?") + "retry_limit_seconds=10"  # else it tries on for a quarter of an hour
    found, base = fs.FileSystem.from_uri(root + query)
    return found, base


def store_of(path: str) -> tuple[Any, str]:
    """pyarrow's filesystem of a path or URI, and the path in it, absolute and without a slash at its end.

    Raises:
        InputError: the URI holds credentials, or is of a file on another machine.
        Exception: whatever pyarrow raises; `reason` puts it into words.
    """
    from pyarrow import fs

    path = _without_file_scheme(path)
    if not is_uri(path):
        require_text(path)
        return fs.LocalFileSystem(), os.path.abspath(os.path.expanduser(path))
    root, name, query = _parts(path)
    store, base = filesystem(root, query)
    return store, _within(base, name).rstrip("/")


def require_text(path: str) -> None:
    """Refuse a name that pyarrow, which writes and reads results, cannot take.

    Raises:
        InputError: it is not UTF-8.
    """
    if to_text(path) != path:
        raise InputError(f"{path}: the name is not UTF-8; name another folder")


def _within(base: str, path: str) -> str:
    return f"{base.rstrip('/')}/{path}" if base else path


def _objects(uri: str) -> list[Source]:
    root, path, query = _parts(uri)

    def named(info: Any) -> tuple[str, Source]:
        name = info.path.removeprefix(_within(base, "")) if base else info.path
        return name, Source(f"{root}/{name}{query}", size=info.size or 0, modified=info.mtime_ns or 0)

    with _reached(uri):
        from pyarrow import fs

        store, base = filesystem(root, query)
        magic = _MAGIC.search(path)
        if magic is not None:
            folder = path[: magic.start()].rpartition("/")[0]
            fits = matcher(path)
            found = [each for each in _listed(store, _within(base, folder)) if fits(named(each)[0])]
            if not found:
                raise InputError(f"{uri}: the pattern matches no object")
            return [named(each)[1] for each in found]
        info = store.get_file_info(_within(base, path).rstrip("/"))
        if info.type == fs.FileType.File:
            return [named(info)[1]]
        if info.type == fs.FileType.NotFound:
            raise InputError(f"{uri}: no such object or folder (a prefix that ends within a name needs a *)")
        start = f"{path.rstrip('/')}/" if path.strip("/") else ""
        names = [named(each) for each in _listed(store, info.path)]
    return _of_folder(uri, [(name.removeprefix(start), source) for name, source in names])


def _listed(store: Any, folder: str) -> list[Any]:
    from pyarrow import fs

    selector = fs.FileSelector(folder.rstrip("/"), allow_not_found=True, recursive=True)
    files = [info for info in store.get_file_info(selector) if info.type == fs.FileType.File]
    return sorted(files, key=lambda info: str(info.path))


@contextlib.contextmanager
def _reached(uri: str) -> Iterator[None]:
    """Errors of a store as one sentence."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{uri}: {reason(error)}") from None


def reason(error: Exception) -> str:
    """Why a file or an object cannot be read, in one sentence without line breaks."""
    text = " ".join(str(error).split())
    if isinstance(error, FileNotFoundError) and error.filename is not None:
        return f"no such file on this machine ({socket.gethostname()}); every worker must find it at this path"
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return error.strerror
    if "Unrecognized filesystem type" in text:
        return "URIs of this kind are not read; expected s3://, gs:// or file://, or a local path"
    for words, meaning in _REASONS:
        if re.search(words, text):
            return f"{meaning} ({text[:160]})"
    return text[:300] or type(error).__name__


# -- opening -----------------------------------------------------------------------------------------------------------


def open_file(path: str, *, seekable: bool = False) -> io.BufferedReader:
    """A file or an object, as it lies there.

    Args:
        seekable: parts of it are wanted, not all from front to back.

    Raises:
        InputError: the URI holds credentials.
        Exception: whatever the system or pyarrow raises; `reason` puts it into words.
    """
    path = _without_file_scheme(path)
    if not is_uri(path):
        return open(path, "rb")
    root, name, query = _parts(path)
    store, base = filesystem(root, query)
    name = _within(base, name)
    # The default would unpack by the name's ending.
    raw = store.open_input_file(name) if seekable else store.open_input_stream(name, compression=None)
    return io.BufferedReader(raw, _FETCHED)


class Hashed(io.RawIOBase):
    """A file that works out its digest as it is read."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self._sum = hashlib.sha256()
        self._ended = False

    @property
    def digest(self) -> str | None:
        """SHA-256 of all of it, in hexadecimal digits; None before its end was reached."""
        return self._sum.hexdigest() if self._ended else None

    @property
    def problem(self) -> str | None:
        """What could not be read of the file; None where that is nothing."""
        return problem_of(self._file)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with memoryview(buffer) as view:
            count = self._file.readinto(view)
            if not count:
                self._ended = True
                return 0
            self._sum.update(view[:count])
            return int(count)
