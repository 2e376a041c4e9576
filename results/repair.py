"""Repair of a result's folder: damaged parts no longer count, and a run that is resumed does them again."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Any

from ..simulate.rows import FIELDS
from ..strategies.errors import InputError
from .commits import COMMITS, MANIFEST, NOTHING, checked_commit, manifest_of_run, read_manifest, why_unread
from .folders import Folder, not_written
from .result import require_format
from .sweep_folder import COMMIT, FORMAT, manifest_of_sweep


@dataclasses.dataclass(frozen=True)
class Dropped:
    """A part that no longer counts.

    Attributes:
        part: its name.
        units: the inputs that are to be replayed; None where its commit could not be read.
        why: which file of it is damaged, and how.
    """

    part: str
    units: tuple[str, ...] | None
    why: str


def repair(folder: str | os.PathLike[str]) -> list[Dropped]:
    """Read every committed part of the result of a backtest or of a sweep, and drop those that are damaged.

    The result is then what the other parts hold. The same run with `resume=True` replays what was dropped.

    Args:
        folder: what `out=` wrote, by its path or URI.

    Returns:
        What was dropped; nothing where all is well.

    Raises:
        InputError: it holds no result, or its manifest is damaged, without which no run can go on; it is a search's,
            or was saved before it was complete, and something is damaged, for these cannot go on; or it cannot be
            written.
    """
    place = Folder(folder)
    try:
        manifest = read_manifest(place)
        swept = "parameters" in manifest
        manifest = manifest_of_sweep(place) if swept else manifest_of_run(place)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{place}: no result here: {MANIFEST} cannot be read ({why_unread(error)})") from None
    except (OSError, ValueError) as error:
        raise InputError(
            f"{place}: cannot be repaired: {MANIFEST} cannot be read ({error}), and it says what was run; remove the "
            "folder and begin anew"
        ) from None
    if swept:
        require_format(place, manifest, FORMAT)
    dropped = []
    for name in place.names(COMMITS, ".json"):
        part = name.removeprefix(f"{COMMITS}/").removesuffix(".json")
        commit, why = _read_commit(place, name, COMMIT if swept else NOTHING)
        if commit is not None:
            why = _damage(place, commit)
        if why is not None:
            dropped.append(Dropped(part, None if commit is None else _units(commit), why))
    if dropped:
        _require_resumable(place, manifest, dropped[0].why)
        _drop(place, manifest, dropped)
    return dropped


def _require_resumable(place: Folder, manifest: Mapping[str, Any], why: str) -> None:
    """Refuse to drop parts of a run that cannot be resumed: they would not be done again."""
    if manifest.get("search"):
        raise InputError(f"{place}: cannot be repaired, for a search cannot be resumed: run it again; {why}")
    if manifest.get("saved") and not manifest.get("complete"):
        raise InputError(
            f"{place}: cannot be repaired, for the sweep was saved before it had come to its end: run it again; {why}"
        )


def _units(commit: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The inputs of a part, each once; None where it holds some sets over all inputs."""
    return None if commit.get("complete") else tuple(dict.fromkeys(commit.get("units", ())))


def _read_commit(place: Folder, name: str, also: Mapping[str, type]) -> tuple[dict[str, Any] | None, str | None]:
    try:
        return checked_commit(json.loads(place.read(name)), also), None
    except (OSError, ValueError) as error:
        return None, f"{name}: {why_unread(error)}"


def _damage(place: Folder, commit: dict[str, Any]) -> str | None:
    """What is wrong with a part's tables; None if nothing is."""
    for table in FIELDS:
        rows = commit["rows"].get(table)
        if not rows:
            continue
        name = f"{table}/{commit['part']}.parquet"
        try:
            found = place.read_table(name)
        except Exception as error:
            return f"{name}: {why_unread(error)}"
        if found.num_rows != rows:
            return f"{name}: it has {found.num_rows} rows of {rows}"
    return None


def _drop(place: Folder, manifest: dict[str, Any], dropped: list[Dropped]) -> None:
    """The manifest first: a run that is not finished reads the commits that are there."""
    gone = {each.part for each in dropped}
    parts = [each for each in manifest.get("parts", ()) if each["part"] not in gone]
    try:
        place.write(MANIFEST, (json.dumps({**manifest, "finished": False, "parts": parts}, indent=1) + "\n").encode())
    except Exception as error:
        raise not_written(f"{place}: {MANIFEST} cannot be written", error) from None
    # The table of a sweep's sets is written again by the run that is resumed.
    place.remove("sets.parquet")
    for each in dropped:
        place.remove(f"{COMMITS}/{each.part}.json")
        for table in FIELDS:
            place.remove(f"{table}/{each.part}.parquet")
    left = set(place.names(COMMITS, ".json")) & {f"{COMMITS}/{part}.json" for part in gone}
    if left:
        raise InputError(f"{place}: {min(left)} cannot be removed; remove it, and the run goes on with resume=True")
