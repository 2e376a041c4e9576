"""What `benchmarks.chaos` kills, and how long it takes to be back."""

import contextlib
import dataclasses
import statistics
import time
import urllib.request
from typing import Any

from .chaos_oracle import History
from .chaos_system import Notes, System

#: What is killed, and how likely.
KINDS = {
    "local": {"host": 4, "stream": 2, "orders": 2, "coordinator": 3, "page": 1, "several": 2, "all": 2},
    "ray": {
        "host": 6,
        "stream": 3,
        "orders": 3,
        "coordinator": 5,
        "page": 2,
        "driver": 2,
        "several": 3,
        "gcs": 1,
        "raylet": 1,
        "all": 1,
    },
}
#: Those after which the system is started anew, and which have no limit of time.
COLD = ("all", "gcs", "raylet")


def bar(kind: str, count: int) -> float | None:
    """Seconds within which what was killed is to be back; None: no such limit."""
    if kind in COLD or ", " in kind:
        return None
    return 3.0 if count == 1 else 3.0 + 0.6 * count


@dataclasses.dataclass
class Kill:
    """One blow.

    Attributes:
        at: when, wall time in milliseconds. names, pids: what was hit.
        markets: that must be shown again. orders: an order asked for afterwards must reach the exchange.
        streams: that must be subscribed again.
        coordinator: that must be another process before that order counts: Ray's head may die a while before all else.
        page, driver: that must be there again: the page's address, the process of the driver.
        back: seconds until all that was so; None: it has not come back.
        began: when the new coordinator was seen.
        faults: kinds of those that happened at the exchange until all was back.
    """

    kind: str
    at: float
    names: list[str]
    pids: list[int]
    markets: set[str]
    orders: bool = False
    streams: tuple[str, ...] = ()
    coordinator: int | None = None
    page: bool = False
    driver: int | None = None
    back: float | None = None
    began: float = 0.0
    faults: list[str] = dataclasses.field(default_factory=list)

    def when(self, notes: Notes, history: History, system: System) -> float | None:
        """When all was back, wall time in milliseconds; None: not yet."""
        moments = [self.at]
        for market_id in self.markets - history.closed:
            seen = [
                at
                for at, pt, pid in notes.seen.get(market_id, ())
                if at > self.at and pid not in self.pids and (pt > self.at or (self.kind == "host" and self.pids))
            ]
            if not seen:
                return None
            moments.append(min(seen))
        if self.coordinator is not None:
            state = system.state(1.0)
            if state is None or state["pid"] == self.coordinator:
                return None
            self.coordinator, self.began = None, time.time() * 1000
        if self.orders:
            after = max(self.at, self.began)
            reached = [wall for wall, ref in history.placings if wall > after and notes.asked.get(ref, 0) > after]
            if not reached:
                return None
            moments.append(min(reached))
        if self.streams:
            state = system.state(1.0) or {"streams": ()}
            rows = [row for row in state["streams"] if row["stream"] in self.streams and row["pid"] not in self.pids]
            told = [row["at"] for row in rows if row["state"] == "SUBSCRIBED" and row["at"] > self.at]
            if len(told) < len(self.streams):
                return None
            moments.append(max(told))
        if self.page or self.driver is not None:
            running = system.running
            if running is None or (self.driver is not None and running.pid == self.driver):
                return None
            if self.page and not _answers(running.page):
                return None
            if self.driver is not None and system.state(1.0) is None:
                return None
            moments.append(time.time() * 1000)
        return max(moments)


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError, ValueError), urllib.request.urlopen(url, timeout=0.5) as answer:
        return bool(answer.status == 200)
    return False


def table(kills: list[dict[str, Any]]) -> list[str]:
    """How long it took to be back, by kind, as lines of a table."""
    kinds: dict[str, list[dict[str, Any]]] = {}
    for kill in kills:
        kinds.setdefault(kill["kind"], []).append(kill)
    lines = ["| killed | kills | median, s | worst, s | over the bar |", "| --- | --- | --- | --- | --- |"]
    for kind, found in kinds.items():
        times = sorted(each["back"] for each in found if each["back"] is not None)
        over = sum(
            each["back"] is not None and (limit := bar(kind, each["count"])) is not None and each["back"] > limit
            for each in found
        )
        median, worst = (f"{statistics.median(times):.2f}", f"{times[-1]:.2f}") if times else ("", "")
        count = sum(each["count"] for each in found)
        told = over if times and bar(kind, 1) is not None else ""
        lines.append(f"| {kind} | {count} | {median} | {worst} | {told} |")
    return lines
