"""Folders of sweeps: parts of many units and sets, each counted only once its commit file is there."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..simulate.rows import empty_rows
from ..strategies.errors import InputError
from ..strategies.parameters import Values
from .commits import read_commits, read_manifest
from .differences import difference
from .folder_store import FolderStore
from .folders import Folder, encoded
from .parts import Part, StoredPart
from .sweep_parts import (
    TABLES,
    SweepBatch,
    SweepUnit,
    in_order,
    numbers_of,
    numbers_text,
    sets_of,
)
from .sweep_rows import FolderRows, SweepCommit

if TYPE_CHECKING:
    import pyarrow as pa

#: The format of sweep folders.
FORMAT = 4
#: Rows that are kept in one part, and those of them that are read by themselves.
MOST_IN_PART, _GROUP = 50_000, 5_000
#: What commits of sweeps say beside what all do.
COMMIT = {"set_digests": dict, "sets": list, "units": list, "markets": list, "readings": list, "lost": list}
#: A file that shows that a folder can be written.
_PROBE = "probe.part"


@dataclasses.dataclass
class KeptPart(Part):
    """A part of a sweep's folder.

    Attributes:
        set_digests: what its rows add to the digest of each set.
        readings: of each of its markets, in which reading it came.
        lost: copies of markets in its units that do not count: market, unit, reading.
        complete: it has no units: it holds all that there is of its sets.
    """

    set_digests: dict[int, int] = dataclasses.field(default_factory=dict)
    readings: list[int] = dataclasses.field(default_factory=list)
    lost: list[tuple[str, str, int]] = dataclasses.field(default_factory=list)
    complete: bool = False


def kept_part(number: int, units: Sequence[SweepUnit], tables: Mapping[str, pa.Table], **told: Any) -> KeptPart:
    """A part of these tables.

    Args:
        told: further attributes of the part.
    """
    part = KeptPart(SweepBatch(number, tuple(units)), empty_rows(), 0, 0.0)
    for name, value in told.items():
        setattr(part, name, value)
    return with_files(part, part.batch.part, tables)


def with_files(part: KeptPart, name: str, tables: Mapping[str, pa.Table]) -> KeptPart:
    """A part with the files of its tables."""
    files = {
        f"{table}/{name}.parquet": encoded(in_order(table, rows), _GROUP)
        for table, rows in tables.items()
        if rows.num_rows
    }
    counts = {table: rows.num_rows for table, rows in tables.items()}
    part.stored = StoredPart(files, counts, sum(part.set_digests.values()), {})
    return part


class SweepFolder(FolderStore):
    """Keeps parts of a sweep.

    Args:
        sets: how many the sweep has.

    Attributes:
        owners: of each reading the markets that are done, each with its unit.
        lost: copies of markets that do not count: market, unit, reading.
        set_digests: of all parts, by set.
    """

    what = "sweep"
    chooses = False
    fields = TABLES
    also = COMMIT

    def __init__(
        self, folder: str | os.PathLike[str] | Folder, identity: dict[str, Any], sets: int, resume: bool = False
    ) -> None:
        self.owners: dict[int, list[tuple[str, str]]] = {}
        self.lost: set[tuple[str, str, int]] = set()
        self.set_digests = [0] * sets
        self._kept: list[SweepCommit] = []
        #: Sets that are done, by unit, as the bits of a number: there may be ten million of them.
        self._done: dict[str, int] = {}
        self._complete = 0
        super().__init__(folder, identity, resume)

    def _manifest(self) -> dict[str, Any]:
        return manifest_of_sweep(self.place)

    def _take(self, commit: dict[str, Any]) -> None:
        super()._take(commit)
        bits = {text: sum(1 << number for number in numbers_of(text)) for text in set(commit["sets"])}
        if commit.get("complete"):
            self._complete |= sum(bits.values())
        for unit, text in zip(commit["units"], commit["sets"], strict=False):
            self._done[unit] = self._done.get(unit, 0) | bits[text]
        for (market_id, unit), reading in zip(commit["markets"], commit["readings"], strict=True):
            self.owners.setdefault(reading, []).append((market_id, unit))
        self.lost.update((market_id, unit, reading) for market_id, unit, reading in commit["lost"])

    def _count(self, commit: dict[str, Any]) -> None:
        super()._count(commit)
        self._kept = [each for each in self._kept if each.part != commit["part"]]
        self._kept.append(SweepCommit.of(commit))
        for number, digest in commit["set_digests"].items():
            self.set_digests[int(number)] += int(digest, 16)

    def _more(self, part: Part) -> dict[str, Any]:
        from .tables import digest_text

        kept = part if isinstance(part, KeptPart) else KeptPart(part.batch, part.rows, 0, 0.0)
        digests = {str(number): digest_text(digest) for number, digest in sorted(kept.set_digests.items())}
        more = {"readings": kept.readings, "lost": kept.lost, "set_digests": digests}
        if kept.complete:
            return {**more, "complete": True, "sets": [numbers_text(sorted(kept.set_digests))]}
        return {**more, "sets": [numbers_text(sets_of(unit)) for unit in part.batch.units]}

    def _require_same(self, known: dict[str, Any]) -> None:
        if known.get("search"):
            raise InputError(f"{self.place}: it holds a search, and a search cannot be resumed; name another folder")
        if known.get("saved") and not known.get("complete"):
            raise InputError(
                f"{self.place}: the sweep that it holds was saved before it had come to its end, so it cannot be "
                "resumed; name another folder, and run it with out="
            )
        super()._require_same(known)

    def _difference(self, name: str, known: Any, wanted: Any) -> str:
        clauses: dict[str, Callable[[Any, Any], str]] = {
            "parameters": _sets_differ,
            "strategy": lambda before, now: f"its strategy was {before} and is {now}",
            "unswept": _unswept_differ,
            "split": lambda before, now: f"its split was {before} and is {now}",
            "orders": lambda before, now: f"it was run with orders={before} and is to have orders={now}",
        }
        found = clauses.get(name)
        return difference(name, known, wanted) if found is None else found(known, wanted)

    def left(self, units: Iterable[SweepUnit]) -> list[SweepUnit]:
        """What is to be replayed still: units, each with those of its sets that are not done."""
        return narrowed(units, lambda unit: ~(self._done.get(unit.name, 0) | self._complete))

    def withdrawn(self, stale: Collection[tuple[str, str, int]], units: Iterable[SweepUnit]) -> list[SweepUnit]:
        """Drop the parts that have rows of some copies of markets.

        Args:
            stale: market, unit, reading of each copy.
            units: of the whole sweep.

        Returns:
            The units of these parts: they are to be replayed.

        Raises:
            InputError: a commit cannot be read, or removed.
            RunError: a part could not be written.
        """
        self._collect()
        bits: dict[str, int] = {}
        for commit in read_commits(self.place, also=self.also):
            copies = ((*each, reading) for each, reading in zip(commit["markets"], commit["readings"], strict=True))
            if any(copy in stale for copy in copies):
                self._drop(commit["part"])
                self._forget(commit)
                for unit, text in zip(commit["units"], commit["sets"], strict=True):
                    bits[unit] = bits.get(unit, 0) | sum(1 << number for number in numbers_of(text))
        return narrowed(units, lambda unit: bits.get(unit.name, 0))

    def _forget(self, commit: dict[str, Any]) -> None:
        """Count a part no longer."""
        self._commits = [each for each in self._commits if each.part != commit["part"]]
        self._kept = [each for each in self._kept if each.part != commit["part"]]
        self._changes -= commit["changes"]
        self._seconds -= commit["seconds"]
        for number, digest in commit["set_digests"].items():
            self.set_digests[int(number)] -= int(digest, 16)

    def rows(self, keeper: Any = None) -> FolderRows:
        """Its rows, once all parts are there.

        Args:
            keeper: see `FolderRows`.

        Raises:
            RunError: a part could not be written.
        """
        self._arrive()
        return FolderRows(self.place, self._kept, keeper)

    def finish(self, manifest: Mapping[str, Any], table: pa.Table) -> dict[str, Any]:
        """Write the table of sets, then the manifest.

        Returns:
            The manifest as it was written.

        Raises:
            RunError: they, or a part, cannot be written.
        """
        self._arrive()
        self.place.write("sets.parquet", encoded(table))
        return self._write_manifest({**manifest, "finished": True})

    def note(self, manifest: Mapping[str, Any]) -> None:
        """Write the manifest of a sweep that is not finished yet.

        Raises:
            RunError: it, or a part, cannot be written.
        """
        self._collect()
        self._write_manifest({**manifest, "finished": False})

    def counted(self) -> dict[str, Any]:
        """What the manifest says of all parts together."""
        from .tables import digest_text

        return {**self._counted(), "digests": [digest_text(each) for each in self.set_digests]}


def narrowed(units: Iterable[SweepUnit], bits: Callable[[SweepUnit], int]) -> list[SweepUnit]:
    """Units with those of their sets that are among the bits of a number; without those that have none."""
    found = []
    for unit in units:
        chosen = bits(unit)
        if chosen == -1:
            found.append(unit)
            continue
        sets = tuple(number for number in unit.sets if chosen >> number & 1)
        if sets:
            found.append(unit if len(sets) == len(unit.sets) else dataclasses.replace(unit, sets=sets))
    return found


def manifest_of_sweep(place: Folder) -> dict[str, Any]:
    """The manifest of a sweep.

    Raises:
        OSError, ValueError: there is none, or it is of something else.
    """
    found = read_manifest(place)
    if not isinstance(found.get("parameters"), list) or not found["parameters"]:
        backtest = isinstance(found.get("inputs"), list) and "strategies" in found
        what = "it is a backtest's; headrace.Result.load reads it" if backtest else "it names no parameters"
        raise ValueError(what)
    return found


def digests_of(commits: Iterable[Mapping[str, Any]], sets: int) -> list[str]:
    """The digest of each of so many sets, of what the commits hold."""
    from .tables import digest_text

    found = [0] * sets
    for commit in commits:
        for number, digest in commit["set_digests"].items():
            found[int(number)] += int(digest, 16)
    return [digest_text(each) for each in found]


def new_folder(folder: str | os.PathLike[str]) -> Folder:
    """An empty folder, named by its path or URI; asked for before anything runs, for what it cannot take would be lost.

    Raises:
        InputError: it cannot be written, or holds something.
    """
    place = Folder(folder)
    if place.taken():
        raise InputError(f"{place}: exists and is not empty; name another folder for the sweep, or remove it")
    place.write_first(_PROBE, b"")
    place.remove(_PROBE)
    return place


def _sets_differ(known: Any, wanted: Sequence[Values]) -> str:
    if not isinstance(known, list):
        return "it names no parameters"
    if len(known) != len(wanted):
        return f"it had {_number_of(len(known))} and now has {_number_of(len(wanted))}"
    for number, (before, now) in enumerate(zip(known, wanted, strict=True)):
        if list(before) != list(now):
            return f"its sets name {', '.join(before)} and now {', '.join(now)}"
        for name, value in now.items():
            if before[name] != value:
                return f"{name} of set {number} was {before[name]!r} and is {value!r}"
    return "its sets come in another order"


def _number_of(sets: int) -> str:
    return f"{sets} set{'' if sets == 1 else 's'}"


def _unswept_differ(known: Any, wanted: Mapping[str, Any]) -> str:
    before = known if isinstance(known, dict) else {}
    name = next(name for name in (*wanted, *before) if before.get(name) != wanted.get(name))
    return f"{name}, in all its sets, was {before.get(name)!r} and is {wanted.get(name)!r}"
