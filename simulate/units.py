"""Units: what of the recordings is read together. A file or a member of an archive, the files of an event, or all."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence

from ..names import to_text
from ..strategies.errors import InputError, RecordingError
from ..strategies.hosting import scope_of
from ..strategies.strategy import Strategy
from .reading.locations import Source
from .reading.recordings import Recording, event_of_path


@dataclasses.dataclass(frozen=True)
class Unit:
    """What is read together.

    Attributes:
        name: the file, the archive's member, or the event.
        paths: where the recordings are, in order.
        size: bytes as stored, packed.
    """

    name: str
    paths: tuple[str | Source, ...]
    size: int = 0


def plan_units(paths: Sequence[str | Source], strategies: Iterable[Strategy]) -> list[Unit]:
    """The units of a run, in the order of its files.

    Each file or member of an archive is one; with a strategy of the scope "event", the files of each event; with one
    of the scope "run", all files together.

    Raises:
        InputError: a compressed tar is among them and must be read together with other files.
    """
    scopes = {scope_of(strategy) for strategy in strategies}
    _check_packed(paths, scopes)
    if "run" in scopes:
        return [unit_of_files(paths, name="all markets")] if paths else []
    if "event" not in scopes:
        return [unit_of_files([path]) for path in paths]
    groups: dict[str, list[str | Source]] = {}
    aliases = _event_groups(strategies)
    for path in paths:
        event_id = _event_of(path)
        groups.setdefault(aliases.get(event_id, event_id), []).append(path)
    return [unit_of_files(files, None if len(files) == 1 else f"event {to_text(key)}") for key, files in groups.items()]


def _check_packed(paths: Iterable[str | Source], scopes: Iterable[str]) -> None:
    packed = next((path for path in paths if isinstance(path, Source) and path.packed and path.member is None), None)
    wide = set(scopes) & {"event", "run"}
    if packed is not None and wide:
        raise InputError(
            f"{packed}: a compressed tar is read from front to back, but a strategy with scope {min(wide)!r} "
            "reads several of its markets at once; decompress it (gunzip, bunzip2, zstd -d): a plain tar will do"
        )


def _event_groups(strategies: Iterable[Strategy]) -> dict[str, str]:
    """Event ids that are to be read together with others: `market_filter={"event_groups": {event id: group}}`."""
    found: dict[str, str] = {}
    for strategy in strategies:
        filters = (
            strategy.market_filter if isinstance(strategy.market_filter, (list, tuple)) else [strategy.market_filter]
        )
        for one in filters:
            if isinstance(one, dict) and isinstance(one.get("event_groups"), dict):
                found.update({str(event): f"group {group}" for event, group in one["event_groups"].items()})
    return found


def _event_of(path: str | Source) -> str:
    event_id = event_of_path(path)
    if event_id is not None:
        return event_id
    try:
        first = Recording(path).first_definition()
    except RecordingError:
        return str(path)  # replaying it will say what is wrong
    return (first[2].event_id if first else None) or str(path)


def unit_of_files(paths: Sequence[str | Source], name: str | None = None) -> Unit:
    """A unit of these files."""
    size = 0
    for path in paths:
        if isinstance(path, Source):
            size += path.size
        else:
            with contextlib.suppress(OSError):
                size += os.path.getsize(path)
    return Unit(name or to_text(str(paths[0])), tuple(paths), size)


def parts_of_unit(unit: Unit) -> Iterator[Unit]:
    """Of a compressed tar a unit for each member, to be replayed before the next is asked for; of others the unit."""
    source = unit.paths[0]
    if isinstance(source, str) or not source.packed:
        yield unit
        return
    from .reading.archives import parts_of

    for part in parts_of(source):
        single = unit_of_files([part])
        yield dataclasses.replace(unit, name=single.name, paths=single.paths, size=single.size)


def changed_at(unit: Unit) -> float | None:
    """When the files of a unit last changed, seconds since the epoch; None where they do not tell."""
    found = []
    for source in unit.paths:
        if isinstance(source, Source) and source.modified:
            found.append(source.modified / 1e9)
            continue
        with contextlib.suppress(OSError):
            found.append(os.path.getmtime(source.path if isinstance(source, Source) else source))
    return max(found, default=None)
