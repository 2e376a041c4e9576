"""Parts of a result in a folder: each counts only once it is committed, and a run that broke off goes on there."""

from __future__ import annotations

import collections
import dataclasses
import difflib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ..actors.sieves import Sieve
from ..simulate.rows import FIELDS, empty_rows
from ..strategies.errors import InputError
from .commits import (
    COMMITS,
    MANIFEST,
    NOTHING,
    Commit,
    Parts,
    damaged,
    manifest_of_run,
    read_commits,
    settled,
    why_unread,
)
from .copies import Copies, as_pair
from .differences import difference
from .folders import Folder, encoded
from .parts import Batch, Part, add_sieves, store_part
from .result import Result

#: Commits that are sent to an object store at once, and commits that wait to be sent.
_WRITERS, _WAITING = 16, 64


class FolderStore:
    """Keeps each part as Parquet, one folder a table; a part counts once its commit file is there.

    Args:
        folder: a path, or a URI; into a shared place workers have written their parts' tables already.
        identity: what the run is: strategies, parameters, configuration, inputs. A run goes on only as the same.
        resume: go on with the run that the folder holds.

    Attributes:
        done: units whose parts are committed.
        sieves: what filters let pass of them, by strategy.

    Raises:
        InputError: the folder cannot be written, holds something already, or holds another run; says what differs.
    """

    #: What it keeps, in words.
    what = "run"
    #: Columns of its tables.
    fields: Mapping[str, tuple[tuple[str, str], ...]] = FIELDS
    #: Whether it chooses among copies of a market, where several parts have one.
    chooses: bool = True
    #: Whether a user can ask for it to go on.
    resumable: bool = True
    #: What its commits say beside what all do.
    also: Mapping[str, type] = NOTHING

    def __init__(self, folder: str | os.PathLike[str] | Folder, identity: dict[str, Any], resume: bool = False) -> None:
        self.place = folder if isinstance(folder, Folder) else Folder(folder)
        self._inputs: list[dict[str, Any]] = identity.get("inputs", [])
        self._identity = json.loads(json.dumps({**identity, "inputs": []}, default=str))
        self._copies = Copies()
        self.done: set[str] = set()
        self.sieves: dict[str, Sieve] = {}
        self._commits: list[Commit] = []
        self._digests: dict[str, str] = {}
        self._changes = 0
        self._seconds = 0.0
        self._number = 0
        self._writers = None if self.place.on_disk else ThreadPoolExecutor(_WRITERS, "headrace-commit")
        self._under_way: collections.deque[Future[dict[str, Any]]] = collections.deque()
        if resume:
            self._take_up()
        else:
            require_free(self.place, self.resumable)
            self.place.write_first(MANIFEST, _json({**self._identity, "finished": False, "inputs": self._inputs}))

    def _take_up(self) -> None:
        known = self._known()
        stopped = set((known.get("stopped") or {}).get("parts", ()))
        commits = read_commits(self.place, also=self.also)
        # Failures of the run as a whole, not of a unit, are noted again.
        told = [commit["part"] for commit in commits if not commit["units"] and not commit.get("complete")]
        failed = [commit["part"] for commit in commits if commit["part"] in stopped]
        commits = [commit for commit in commits if commit["part"] not in (*told, *stopped)]
        if commits or not stopped:
            self._require_same(known)
        # A run that was stopped has nothing to keep of the units that all failed: they are replayed.
        for part in (*told, *failed):
            self._drop(part)
        if stopped:
            self._write_manifest({"finished": False})
        for commit in commits:
            self._take(commit)

    def _take(self, commit: dict[str, Any]) -> None:
        """Count a part that is there as done."""
        self.done.update(commit["units"])
        add_sieves(self.sieves, {name: Sieve.of(found) for name, found in commit["sieves"].items()})
        self._number = max(self._number, commit["number"] + 1)
        self._count(commit)

    def _manifest(self) -> dict[str, Any]:
        """What the manifest that is there says.

        Raises:
            OSError, ValueError: there is none, or it is of something else.
        """
        return manifest_of_run(self.place)

    def _known(self) -> dict[str, Any]:
        """The manifest of the run that is to go on.

        Raises:
            InputError: there is none, or it cannot be read.
        """
        try:
            return self._manifest()
        except (FileNotFoundError, NotADirectoryError):
            near = _near(self.place)
            hint = f" (did you mean {near}?)" if near else ""
            raise InputError(
                f"{self.place}: there is no {self.what} to resume{hint}; without resume=True a fresh one begins"
            ) from None
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self.place}: holds no {self.what} that can be resumed: {MANIFEST} cannot be read "
                f"({why_unread(error)}); remove the folder, or name another, and begin anew"
            ) from None

    def _require_same(self, known: dict[str, Any]) -> None:
        """Refuse to go on with another run.

        Raises:
            InputError: says what differs.
        """
        inputs = [{name: value for name, value in each.items() if name != "sha256"} for each in known["inputs"]]
        for name, value in {**self._identity, "inputs": self._inputs}.items():
            before = inputs if name == "inputs" else known.get(name)
            if before != value:
                why = self._difference(name, before, value)
                raise InputError(
                    f"{self.place}: the {self.what} that it holds cannot be resumed: {why}; ask for it as it was, or "
                    "name another folder for this one"
                )

    def _difference(self, name: str, known: Any, wanted: Any) -> str:
        """What of a run's identity differs, as a clause."""
        return difference(name, known, wanted)

    def _drop(self, part: str) -> None:
        """Stop counting a part.

        Raises:
            InputError: its commit cannot be removed.
        """
        name = f"{COMMITS}/{part}.json"
        self.place.remove(name)
        if name in self.place.names(COMMITS, ".json"):
            raise InputError(
                f"{self.place}: {name} cannot be removed, so the {self.what} cannot go on; name another folder"
            )

    def _count(self, commit: dict[str, Any]) -> None:
        self._commits.append(Commit.of(commit))
        self._claim(commit)
        self._digests.update(commit["digests"])
        self._changes += commit["changes"]
        self._seconds += commit["seconds"]

    def _claim(self, commit: dict[str, Any]) -> None:
        """Note the markets of a part: of those that others have too, one copy counts."""
        if self.chooses:
            copies = map(as_pair, commit.get("copies", ()))
            self._copies.add(commit["part"], map(as_pair, commit["markets"]), copies)

    def add(self, part: Part) -> None:
        """Keep a part.

        Raises:
            RunError: it, or an earlier one, cannot be written.
        """
        if self._writers is None:
            self._count(self._keep(part))
            return
        while self._under_way and (len(self._under_way) >= _WAITING or self._under_way[0].done()):
            self._count(self._under_way.popleft().result())
        self._under_way.append(self._writers.submit(self._keep, part))

    def _keep(self, part: Part) -> dict[str, Any]:
        """Write a part; its commit file comes last."""
        from .tables import digest_text, from_rows

        stored = part.stored or store_part(part)
        name = part.batch.part
        for file, content in stored.files.items():
            self.place.write(file, content)
        rows, failures = dict(stored.rows), part.rows["failures"]
        if failures:
            rows["failures"] = len(failures)
            self.place.write(f"failures/{name}.parquet", encoded(from_rows(failures, self.fields["failures"])))
        commit = {
            "part": name,
            "number": part.batch.number + self._number,
            "units": [unit.name for unit in part.batch.units],
            "markets": part.markets,
            "copies": part.copies,
            "rows": rows,
            "digest": digest_text(stored.digest),
            "shares": {market_id: digest_text(share) for market_id, share in stored.shares.items()},
            "digests": part.digests,
            "sieves": {name: dataclasses.asdict(sieve) for name, sieve in part.sieves.items()},
            "changes": part.changes,
            "seconds": round(part.seconds, 3),
            **self._more(part),
        }
        self.place.write(f"{COMMITS}/{name}.json", _json(commit))
        return commit

    def _more(self, part: Part) -> dict[str, Any]:
        """What the commit of a part says beside what those of all runs say."""
        return {}

    def end(self, failures: list[tuple[Any, ...]]) -> None:
        """Keep what failed of the run as a whole, in place of what was kept so before: a part without units.

        Raises:
            RunError: it cannot be written.
        """
        if self.chooses:
            self._arrive()
            failures = [*self._copies.failures(), *failures]
        if not failures:
            return
        part = Part(Batch(0, ()), {**empty_rows(), "failures": failures}, 0, 0.0)
        self._commits = [each for each in self._commits if each.part != part.batch.part]
        self._count(self._keep(part))

    def close(self) -> None:
        """Finish the writes under way: what was added counts, whatever ended the run."""
        if self._writers is not None:
            self._writers.shutdown(wait=True)

    def stop(self, reason: str, parts: Sequence[str]) -> None:
        """Say why the run was stopped.

        Args:
            reason: in words.
            parts: those that hold nothing but its failures: a run that goes on replays their units.

        Raises:
            InputError: it cannot be written.
        """
        self._arrive()
        self._write_manifest({"finished": False, "stopped": {"reason": reason, "parts": list(parts)}})

    def _arrive(self) -> None:
        self.close()
        self._collect()

    def _collect(self) -> None:
        """Count all that is on its way."""
        while self._under_way:
            self._count(self._under_way.popleft().result())

    def result(self, manifest: Callable[[], dict[str, Any]]) -> Result:
        """The result, once all parts are there.

        Raises:
            RunError: one of them could not be written.
        """
        self._arrive()
        commits = settled(self._commits, self._copies, self._shares)
        parts = [
            {"part": each.part, "number": each.number, "rows": each.rows, "digest": each.digest}
            | ({"left_out": each.left_out} if each.left_out else {})
            for each in sorted(commits, key=lambda commit: commit.number)
        ]
        whole = self._write_manifest({**manifest(), **self._counted(), "finished": True, "parts": parts})
        return Result(whole, parts=Parts(self.place, commits))

    def _shares(self, part: str) -> dict[str, str]:
        """What the markets of a part add to its digest.

        Raises:
            InputError: its commit cannot be read.
        """
        name = f"{COMMITS}/{part}.json"
        try:
            shares: dict[str, str] = json.loads(self.place.read(name))["shares"]
        except (OSError, ValueError, KeyError) as error:
            raise damaged(self.place, name, error) from None
        return shares

    def _counted(self) -> dict[str, Any]:
        """What the manifest says of all parts together, those of earlier runs included."""
        return {"changes": self._changes, "replay_seconds": round(self._seconds, 3)}

    def _write_manifest(self, more: dict[str, Any]) -> dict[str, Any]:
        digests = self._digests
        inputs = [
            {**each, "sha256": digests[each["unit"]]} if each["unit"] in digests else each for each in self._inputs
        ]
        whole = {**self._identity, **more, "inputs": inputs}
        self.place.write(MANIFEST, _json(whole))
        return whole


def require_free(place: Folder, resumable: bool = True) -> None:
    """Refuse a folder that holds something.

    Args:
        resumable: of a run, which goes on where it is asked to.

    Raises:
        InputError: says what can be done.
    """
    if place.taken():
        or_else = (
            ", remove it, or resume the run that it holds (resume=True, --resume)" if resumable else ", or remove it"
        )
        raise InputError(f"{place}: exists and is not empty; name another folder for the result{or_else}")


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, default=str) + "\n").encode()


def _near(place: Folder) -> str | None:
    """A run beside a folder that is not there, with a name like it."""
    path = Path(str(place))
    if place.shared or not path.absolute().parent.is_dir():
        return None
    runs = [each.parent for each in path.absolute().parent.glob(f"*/{MANIFEST}")]
    found = difflib.get_close_matches(path.name, [run.name for run in runs], 1)
    return str(path.with_name(found[0])) if found else None
