"""Watchdogs: figures that have a limit, looked at each second. One that stays above it is an alert, and stands in the
state until it is below again.

| kind | what is watched | limit |
| --- | --- | --- |
| SILENT | how long a stream has brought nothing, not even heartbeats | `Config.stream_silence_limit` |
| LATENCY | from publishing to reading, less what the clock differs by; from reading to the end of the callbacks; from a request to its answer, less the bet delay | `Config.latency_limit` |
| CLOCK | by how much this machine's clock differs from publish times | `Config.clock_drift_limit` |
| QUEUE | letters that wait at a host, at the coordinator, and calls about orders that wait for a thread | `Config.queue_limit` |
| STALLED | how long a callback has been running; told by `host_watch.py` | `Config.stall_limit` |
| DISK | what is left of the disks of the instance and of its recording | `Config.disk_limit` |
| JOURNAL | the journal can be written; told by `journal_desk.py` | |
| HEARTBEAT | since the exchange has answered one; told by `betfair/heartbeat.py` | `heartbeat_seconds` of the account |
"""  # noqa: E501

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from ..letters import StreamState
from ..mailboxes.mail import Mail
from .alerts import Alerts
from .betting import Betting
from .directory import Directory
from .host_watch import HostWatch
from .setup import LiveSetup
from .stops import Stops
from .stream_desk import StreamDesk

logger = logging.getLogger("headrace")

#: Looks in a row, one a second, at which a figure is above its limit before it counts, and below before it does not.
_LOOKS, _QUIET_LOOKS = 3, 10
#: Looks between two at the disks.
_DISK_LOOKS = 10
_MEGABYTE = 1_000_000


class Watched(Protocol):
    """A live system, as its coordinator has it."""

    setup: LiveSetup
    mail: Mail
    alerts: Alerts
    betting: Betting
    directory: Directory
    stops: Stops
    stream_desk: StreamDesk
    watch: HostWatch


@dataclasses.dataclass(frozen=True)
class Reading:
    """A figure, as it was found.

    Attributes:
        what: that it is about: a stream, a host, an account, a folder.
        over: it is above its limit.
        text: a sentence that says so.
        told: somebody else tells people of it.
        at_once: one look is enough.
    """

    kind: str
    what: str
    value: float
    limit: float
    over: bool
    text: str
    told: bool = False
    at_once: bool = False


@dataclasses.dataclass
class _Barking:
    """A figure that is above its limit, or was so a moment ago."""

    reading: Reading
    since: int
    looks: int = 0
    quiet: int = 0


class Watchdogs:
    """See the module. For the coordinator's thread.

    Args:
        crash: ends a host that is stalled, where it is configured so: it goes on as after any death.
    """

    def __init__(self, system: Watched, crash: Callable[[str], object]) -> None:
        self._system, self._config, self._crash = system, system.setup.config, crash
        self._barking: dict[tuple[str, str], _Barking] = {}
        #: When each stream last brought something, as far as it has told.
        self._heard: dict[str, int] = {}
        self._folders = {each for each in (system.setup.instance, system.setup.record) if each is not None}
        self._free: dict[str, float] = {}
        self._looks = 0
        self._failed = False

    def look(self, at_ms: int) -> None:
        """Time has passed."""
        self._system.watch.look(at_ms)
        try:
            self._look(at_ms)
        except Exception:  # who watches holds nobody up
            if not self._failed:
                logger.exception("A watchdog has failed")
            self._failed = True
        self._end_stalled(at_ms)

    def _look(self, at_ms: int) -> None:
        seen = set()
        for reading in self._readings(at_ms):
            seen.add((reading.kind, reading.what))
            self._judge(reading, at_ms)
        for key in [key for key in self._barking if key not in seen]:
            del self._barking[key]  # what it was about is gone
        self._looks += 1

    def _end_stalled(self, at_ms: int) -> None:
        limit = self._config.restart_stalled
        if limit is None or self._system.stops.shutdown is not None:
            return  # hosts that do not end when they are to are killed then, and that is told
        for row in self._system.watch.rows():
            stalled_s = self._system.watch.stalled_ms(row["name"], at_ms) / 1000
            if stalled_s >= limit:
                where = f": {row['busy_in']}" if row["busy_in"] else ""
                text = f"host {row['name']} has been stalled for {stalled_s:.0f} s, and is killed{where}"
                self._system.alerts.alert("STALLED", text)
                self._crash(row["name"])

    def rows(self) -> list[dict[str, Any]]:
        """Those that bark, for the state of the system."""
        return [
            {
                "kind": each.reading.kind,
                "what": each.reading.what,
                "value": round(each.reading.value, 3),
                "limit": each.reading.limit,
                "since": each.since,
                "text": each.reading.text,
            }
            for each in self._barking.values()
            if each.looks >= self._needed(each.reading)
        ]

    def _needed(self, reading: Reading) -> int:
        return 1 if reading.at_once else _LOOKS

    def _judge(self, reading: Reading, at_ms: int) -> None:
        key = (reading.kind, reading.what)
        known = self._barking.get(key)
        if reading.over:
            if known is None:
                known = self._barking[key] = _Barking(reading, at_ms)
            known.reading, known.quiet = reading, 0
            known.looks += 1
            if known.looks == self._needed(reading) and not reading.told:
                self._system.alerts.alert(reading.kind, reading.text)
        elif known is not None:
            known.quiet += 1
            barked = known.looks >= self._needed(reading)
            if barked and known.quiet < _QUIET_LOOKS:
                return
            del self._barking[key]
            if barked and not reading.told:
                self._system.alerts.note(reading.kind, f"{reading.what} is well again: {_was(reading.kind)}")

    # -- figures -------------------------------------------------------------------------------------------------

    def _readings(self, at_ms: int) -> Iterator[Reading]:
        yield from self._silences(at_ms)
        yield from self._clocks()
        yield from self._latencies()
        yield from self._queues()
        yield from self._stalls()
        yield from self._disks()
        yield from self._told_elsewhere(at_ms)

    def _silences(self, at_ms: int) -> Iterator[Reading]:
        limit = self._config.stream_silence_limit
        if limit is None:
            return
        desk, entries = self._system.stream_desk, self._system.directory.entries
        for name, entry in entries.items():
            if entry.kind == "STREAM":
                self._heard.setdefault(name, at_ms)
        for name in list(self._heard):
            state = desk.states.get(name)
            if state is not None and state.state == "SUBSCRIBED":
                self._heard[name] = max(self._heard[name], state.at - state.silent_ms)
            if state is not None and state.state in ("REFUSED", "STOPPED"):
                self._heard[name] = at_ms  # it is known, and told of
            silent = (at_ms - self._heard[name]) / 1000
            why = "it has ended" if state is None else ": ".join(filter(None, (state.state, state.error)))
            text = f"stream {name} has brought nothing for {silent:.0f} s: {why}"
            yield Reading("SILENT", f"stream {name}", silent, limit, silent > limit, text, at_once=True)

    def _states(self) -> list[StreamState]:
        """Streams that read."""
        return [
            each for each in self._system.stream_desk.states.values() if each.messages and each.state == "SUBSCRIBED"
        ]

    def _drift_ms(self) -> float:
        """By how much the clock here is ahead: what is least late of all streams is on time."""
        return min((each.least_ms for each in self._states()), key=abs, default=0.0)

    def _clocks(self) -> Iterator[Reading]:
        limit, drift = self._config.clock_drift_limit, self._drift_ms() / 1000
        if limit is None:
            return
        way = "ahead of" if drift > 0 else "behind"
        text = f"the clock of this machine is {abs(drift):.1f} s {way} the exchange's publish times"
        if drift > 0:
            text += ", or everything comes that late"
        yield Reading("CLOCK", "the clock", drift, limit, abs(drift) > limit, text)

    def _latencies(self) -> Iterator[Reading]:
        limit, drift = self._config.latency_limit, self._drift_ms()
        if limit is None:
            return
        for stream in self._states():
            late = (stream.worst_ms - drift) / 1000
            text = f"changes of stream {stream.stream} are {late:.1f} s old when they are read"
            yield Reading("LATENCY", f"stream {stream.stream}", late, limit, late > limit, text)
        for host in self._system.watch.states.values():
            late = json.loads(host.tick_ms).get("recent", 0.0) / 1000
            text = f"strategies at host {host.host} were done with a change {late:.1f} s after it had been read"
            yield Reading("LATENCY", f"host {host.host}", late, limit, late > limit, text)
        for desk in self._system.betting.accounts:
            if desk.live is not None:
                late = desk.live.execution.take_worst_ms() / 1000
                text = f"the exchange takes {late:.1f} s to answer requests of account {desk.owner[1]}"
                yield Reading("LATENCY", f"account {desk.owner[1]}", late, limit, late > limit, text, at_once=True)

    def _queues(self) -> Iterator[Reading]:
        limit = self._config.queue_limit
        if limit is None:
            return
        depths = {f"host {each.host}": each.depth for each in self._system.watch.states.values()}
        depths["the coordinator"] = self._system.mail.depth
        for what, depth in depths.items():
            yield Reading("QUEUE", what, depth, limit, depth > limit, f"{depth} letters wait at {what}")
        waiting = max((each.live.calls.waiting for each in self._system.betting.accounts if each.live), default=0)
        text = f"{waiting} calls about orders wait for a thread: max_execution_workers are under way"
        # A request waits two seconds at most: one look at many that do is bad enough.
        yield Reading("QUEUE", "calls about orders", waiting, limit, waiting > limit, text, at_once=True)

    def _stalls(self) -> Iterator[Reading]:
        for row in self._system.watch.rows():
            busy, limit = row["busy_ms"] / 1000, self._config.stall_limit
            where = f": {row['busy_in']}" if row["busy_in"] else ""
            text = f"host {row['name']} is stalled{where}"
            yield Reading("STALLED", f"host {row['name']}", busy, limit, row["stalled"], text, told=True, at_once=True)

    def _disks(self) -> Iterator[Reading]:
        limit = self._config.disk_limit
        if limit is None:
            return
        for folder in self._folders:
            if self._looks % _DISK_LOOKS == 0:
                self._free[folder] = _free_mb(folder)
            free = self._free[folder]
            text = (
                f"{free:.0f} MB are left on the disk of {folder}; nothing is placed once the journal cannot be written"
            )
            yield Reading("DISK", folder, free, limit, free < limit, text, at_once=True)

    def _told_elsewhere(self, at_ms: int) -> Iterator[Reading]:
        why = self._system.betting.gate.unwritten
        text = f"nothing is placed: the journal cannot be written: {why}"
        yield Reading("JOURNAL", "the journal", float(bool(why)), 0.0, bool(why), text, told=True, at_once=True)
        for desk in self._system.betting.accounts:
            beat = None if desk.live is None else desk.live.heartbeat
            if beat is not None and beat.heard_ms is not None:
                age = (at_ms - beat.heard_ms) / 1000
                text = f"the exchange has answered no heartbeat of account {desk.owner[1]} for {age:.0f} s"
                what = f"account {desk.owner[1]}"
                yield Reading("HEARTBEAT", what, age, beat.seconds, age > beat.seconds, text, told=True, at_once=True)


def _was(kind: str) -> str:
    return {
        "SILENT": "it brings something",
        "CLOCK": "it agrees with publish times",
        "LATENCY": "it is in time",
        "QUEUE": "few letters wait",
        "DISK": "there is room on the disk",
    }.get(kind, kind)


def _free_mb(folder: str) -> float:
    """Megabytes that are left to this user on the disk of a folder; endless where that cannot be told."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return float("inf")
    return found.f_bavail * found.f_frsize / _MEGABYTE
