"""Committed parts of a result in a folder: their commit files, the manifest, and how tables are read back."""

from __future__ import annotations

import dataclasses
import json
import shlex
import types
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ..simulate.rows import FIELDS
from ..strategies.errors import InputError
from .copies import Copies, copies_of
from .folders import Folder

if TYPE_CHECKING:
    import pyarrow as pa


MANIFEST = "manifest.json"
COMMITS = "commits"
#: Files of a store that are read at once.
_READERS = 16
NOTHING: Mapping[str, type] = types.MappingProxyType({})


@dataclasses.dataclass(frozen=True, slots=True)
class Commit:
    """What the commit file of a part says, as far as readers need it.

    Attributes:
        number: place in the order of rows.
        rows: how many each table has.
        left_out: ids of markets whose rows do not count: they are in another part as well.
    """

    part: str
    number: int
    rows: Mapping[str, int]
    digest: str
    left_out: tuple[str, ...] = ()

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Commit:
        return cls(found["part"], found["number"], found["rows"], found["digest"], tuple(found.get("left_out") or ()))


class Parts:
    """The committed parts of a result, read when somebody asks for a table."""

    def __init__(self, place: Folder, commits: Iterable[Commit]) -> None:
        self.place = self._place = place
        self._commits = sorted(commits, key=lambda commit: commit.number)

    @property
    def digest(self) -> int:
        return sum(int(commit.digest, 16) for commit in self._commits)

    def count(self, name: str) -> int | None:
        """How many rows a table has; None where that takes reading it."""
        if any(commit.left_out and commit.rows.get(name) for commit in self._commits):
            return None
        return sum(commit.rows.get(name, 0) for commit in self._commits)

    def units(self) -> dict[str, str]:
        """Of each market the unit of replay that it came in.

        Raises:
            InputError: a commit file cannot be read.
        """
        known = {commit.part for commit in self._commits}
        return copies_of(each for each in read_commits(self._place) if each["part"] in known).units()

    def table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """A table, or some of its columns.

        Raises:
            InputError: a file of it cannot be read.
        """
        import pyarrow as pa

        from .tables import schema

        wanted = [commit for commit in self._commits if commit.rows.get(name)]
        fields = FIELDS[name] if columns is None else [field for field in FIELDS[name] if field[0] in columns]

        def read(commit: Commit) -> pa.Table:
            left = commit.left_out if "market_id" in dict(FIELDS[name]) and name != "failures" else ()
            names = None if columns is None else list({*columns, *(("market_id",) if left else ())})
            try:
                found = self._place.read_table(f"{name}/{commit.part}.parquet", names)
            except Exception as error:
                raise damaged(self._place, f"{name}/{commit.part}.parquet", error) from None
            return table_without(found, left).select([field for field, _ in fields])

        if not wanted:
            return schema(tuple(fields)).empty_table()
        if self._place.on_disk:
            return pa.concat_tables([read(commit) for commit in wanted])
        with ThreadPoolExecutor(_READERS) as pool:
            return pa.concat_tables(list(pool.map(read, wanted)))


def settled(commits: Iterable[Commit], copies: Copies, shares_of: Callable[[str], Mapping[str, str]]) -> list[Commit]:
    """Commits with the markets left out of which another part has the copy that counts.

    Args:
        shares_of: what the markets of a part add to its digest, as texts of digests.
    """
    left_out = copies.left_out()
    found = []
    for commit in commits:
        left = left_out.get(commit.part)
        if left:
            shares = shares_of(commit.part)
            digest = int(commit.digest, 16) - sum(int(shares.get(market_id, "0"), 16) for market_id in left)
            text = f"{digest % (1 << 4 * len(commit.digest)):0{len(commit.digest)}x}"
            commit = dataclasses.replace(commit, digest=text, left_out=tuple(sorted(left)))
        found.append(commit)
    return found


def commits_to_read(place: Folder, known: Iterable[Mapping[str, Any]] = ()) -> list[Commit]:
    """The commits of a backtest, with what they leave out.

    Raises:
        InputError: they cannot be read.
    """
    found = read_commits(place, known)
    shares = {each["part"]: each.get("shares", {}) for each in found}
    return settled(map(Commit.of, found), copies_of(found), shares.__getitem__)


def table_without(table: pa.Table, market_ids: Collection[str]) -> pa.Table:
    """A table without the rows of some markets."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not market_ids or "market_id" not in table.column_names:
        return table
    return table.filter(pc.invert(pc.is_in(table["market_id"], pa.array(sorted(market_ids), pa.string()))))


def read_commits(
    place: Folder, known: Iterable[Mapping[str, Any]] = (), also: Mapping[str, type] = NOTHING
) -> list[dict[str, Any]]:
    """The commits of a result: a part counts while its commit file is there.

    Args:
        known: what the manifest of a run that has ended tells of them; these files are not opened.
        also: see `checked_commit`.

    Raises:
        InputError: they cannot be read.
    """
    told = {f"{COMMITS}/{each['part']}.json": dict(each) for each in known}

    def read(name: str) -> dict[str, Any]:
        if name in told:
            return told[name]
        try:
            found = checked_commit(json.loads(place.read(name)), also)
        except (OSError, ValueError) as error:
            raise damaged(place, name, error) from None
        return found

    names = place.names(COMMITS, ".json")
    if place.on_disk or len(told) >= len(names):
        return [read(name) for name in names]
    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(read, names))


def damaged(place: Folder, name: str, error: Exception) -> InputError:
    """The error of a file of a part that cannot be read."""
    why = why_unread(error)
    command = f"headrace repair {shlex.quote(str(place))}"
    return InputError(
        f"{place}: {name} cannot be read: {why}; `{command}` drops what is damaged, and the same run with resume=True "
        "does it again"
    )


def why_unread(error: Exception) -> str:
    """Why a file of a result cannot be read, in words."""
    if isinstance(error, FileNotFoundError):
        return "it is not there"
    if isinstance(error, NotADirectoryError):
        return "that is not a folder"
    return " ".join(str(error).split())


def checked_commit(found: Any, also: Mapping[str, type] = NOTHING) -> dict[str, Any]:
    """What a commit file holds.

    Args:
        also: what is to be there beside what all commits say, by name, with its type.

    Raises:
        ValueError: that is not what commits say.
    """
    told = {"part": str, "number": int, "rows": dict, "digest": str, **also}
    if not isinstance(found, dict) or any(not isinstance(found.get(name), kind) for name, kind in told.items()):
        raise ValueError("it is not a commit's")
    int(found["digest"], 16)
    return found


def read_manifest(place: Folder) -> dict[str, Any]:
    """The manifest of a result or a sweep.

    Raises:
        OSError, ValueError: there is none, or it is not a JSON object.
    """
    found = json.loads(place.read(MANIFEST))
    if not isinstance(found, dict):
        raise ValueError("expected a JSON object")
    return found


def manifest_of_run(place: Folder) -> dict[str, Any]:
    """The manifest of a backtest's result.

    Raises:
        OSError, ValueError: there is none, or it is of something else.
    """
    found = read_manifest(place)
    if "parameters" in found:
        raise ValueError("it is a sweep's; headrace.SweepResult.load reads it")
    if not isinstance(found.get("inputs"), list):
        raise ValueError("it names no inputs")
    parts = found.get("parts", [])
    if not isinstance(parts, list):
        raise ValueError("its parts are not a list")
    for each in parts:
        checked_commit(each)
    return found
