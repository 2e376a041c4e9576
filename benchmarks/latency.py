"""Tick to order: flumine and headrace in turn, live at one rehearsal exchange, whose ledger is the witness.

    python -m benchmarks.latency [CASE ...] [--engines ray local] [--seconds N] [--rounds N]

From the moment at which the exchange sends a change to the one at which it has the order that the change asks for:

    one      one market, 10 orders a second
    fifty    50 markets, 300 changes a second in all, strategies that compute for 2 ms at each, 10 orders a second
    cancel   as one: every second change cancels an order
    hedge    as one: from the fill on the order stream to the order that hedges it
    open     40 markets open at once: from each one's image to its first order

A line for each run: median and 99th percentile, milliseconds. Then the ratios to flumine's. Bars: `one`: the median at
most 1.25 on Ray and 1.0 local; `fifty`: the 99th percentile at most 0.7 on Ray. The worst ratio to its bar comes last;
exits 1 if it is above 1.
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import headrace as hr

from . import peer
from .latency_markets import asked_of, write_asking
from .latency_strategy import number_of
from .recordings import CHECKOUT, cache_folder, leave

#: Seconds for a client to start and subscribe; what is asked for before it has is not counted.
START_S = 25.0


@dataclasses.dataclass(frozen=True)
class Case:
    """What is measured."""

    kind: str
    markets: int
    per_second: float
    asking: float
    work: float = 0.0


CASES = {
    "one": Case("place", 1, 20, 10),
    "fifty": Case("place", 50, 300, 10, 0.002),
    "cancel": Case("cancel", 1, 20, 10),
    "hedge": Case("hedge", 1, 20, 4),
    "open": Case("open", 40, 0, 0, 0.0),
}
#: Of a case and an engine: which figure (0: median, 1: 99th percentile), and how much of flumine's it may be.
BARS = {("one", "ray"): (0, 1.25), ("one", "local"): (0, 1.0), ("fifty", "ray"): (1, 0.7)}


#: The command of a client, for what it needs to know and the file that it writes at its end.
Client = Callable[[dict[str, Any], Path], list[str]]


def latencies(ledger: Path, kind: str) -> list[float]:
    """Milliseconds from what was sent to what it brought."""
    sent: dict[Any, float] = {}
    fills: dict[str, float] = {}
    found: list[float] = []
    seen: set[Any] = set()
    for line in ledger.open():
        entry = json.loads(line)
        values, wall = entry["values"], entry["wall"]
        if entry["kind"] == "MESSAGE":
            message = values["message"]
            if '"op":"mcm"' in message:
                for key in asked_of(message):
                    sent.setdefault(key, wall)
            elif '"op":"ocm"' in message:
                for change in json.loads(message).get("oc", ()):
                    for runner in change.get("orc", ()):
                        for order in runner.get("uo", ()):
                            if order["side"] == "B" and order["sm"] > 0:
                                fills.setdefault(round(order["sm"], 2), wall)
            continue
        name = values.get("operation")
        if entry["kind"] != "REQUEST" or name not in ("placeOrders", "cancelOrders"):
            continue
        params = values["params"]
        if name == "cancelOrders" and kind == "cancel":
            # An even number asked for it: the last that was sent.
            numbers = [(at, key) for key, at in sent.items() if key[1] % 2 == 0 and key[1] and key not in seen]
            if numbers:
                at, key = max(numbers)
                seen.add(key)
                found.append(wall - at)
        if name != "placeOrders":
            continue
        for instruction in params["instructions"]:
            size = float(instruction["limitOrder"]["size"])
            if kind == "hedge":
                if instruction["side"] == "LAY" and round(size, 2) in fills:
                    found.append(wall - fills.pop(round(size, 2)))
            elif kind != "cancel":
                key = (params["marketId"], number_of(size))
                if key in sent and key not in seen:
                    seen.add(key)
                    found.append(wall - sent[key])
    return found


def shown(found: list[float]) -> tuple[float, float]:
    """Median and 99th percentile."""
    found = sorted(found)
    return found[len(found) // 2], found[min(len(found) - 1, len(found) * 99 // 100)]


def measure(name: str, client: Client, seconds: float, folder: Path) -> list[float]:
    """One client at one exchange."""
    case = CASES[name]
    recording, ledger = folder / "asking.ndjson", folder / "ledger.ndjson"
    write_asking(recording, case.markets, seconds + START_S, case.per_second, case.asking, case.kind)
    account = {"username": "rehearsal", "balance": 1e9}
    with hr.RehearsalExchange(str(recording), accounts=[account], ledger=ledger) as exchange:
        told, who = exchange.addresses, exchange.accounts[0]
        work = {
            "identity": f"{told.url}api/",
            "api": f"{told.url}exchange/",
            "host": "127.0.0.1",
            "port": told.stream_tls,
            "username": who.username,
            "password": who.password,
            "app_key": who.app_key,
            "seconds": seconds + START_S - 3,
            "kind": case.kind,
            "work": case.work,
            "addresses": dataclasses.asdict(told),
        }
        out = folder / "out.json"
        command = client(work, out)
        # A journal of its own: what earlier runs have left in that of this machine is looked after as well.
        with tempfile.TemporaryDirectory(dir=folder) as home:
            environment = {**os.environ, "HEADRACE_HOME": home}
            done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode or not out.exists():
            leave(f"{command[2]} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        out.unlink()
    found = latencies(ledger, case.kind)
    if not found:
        leave(f"{name}: {command[2]} brought no order")
    # The first orders meet connections that are not open yet.
    return found if case.kind == "open" else found[max(10, len(found) // 10) :]


def flumine(work: dict[str, Any], out: Path) -> list[str]:
    return [str(peer.python("flumine")), "-m", "benchmarks.run_flumine_latency", json.dumps(work), str(out)]


def headrace(engine: str) -> Client:
    return lambda work, out: [
        sys.executable,
        "-m",
        "benchmarks.run_headrace_latency",
        json.dumps({**work, "engine": engine}),
        str(out),
    ]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("cases", nargs="*", help="; ".join(CASES))
    parser.add_argument("--engines", nargs="+", default=["ray", "local"], choices=["ray", "local"])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args(arguments)
    if unknown := set(options.cases) - set(CASES):
        parser.error(f"{', '.join(sorted(unknown))}: not a case; expected {', '.join(CASES)}")
    worst = 0.0
    with tempfile.TemporaryDirectory(dir=cache_folder()) as place:
        for name in options.cases or list(CASES):
            all_of: dict[str, list[float]] = {}
            for _ in range(options.rounds):
                for who in ("flumine", *options.engines):
                    client = flumine if who == "flumine" else headrace(who)
                    found = measure(name, client, options.seconds, Path(place))
                    all_of.setdefault(who, []).extend(found)
                    median, p99 = shown(found)
                    print(f"{name:8} {who:8} {len(found):5} orders: {median:8.2f} ms, 99 % {p99:8.2f} ms", flush=True)
            theirs = shown(all_of["flumine"])
            for engine in options.engines:
                ours = shown(all_of[engine])
                ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
                bar = BARS.get((name, engine))
                said = ""
                if bar is not None:
                    worst = max(worst, ratios[bar[0]] / bar[1])
                    said = f" (bar: {('median', '99 %')[bar[0]]} {bar[1]:g})"
                print(f"{name:8} {engine:8} of flumine: median {ratios[0]:.2f}, 99 % {ratios[1]:.2f}{said}", flush=True)
    print(f"{worst:.3f}")
    return 1 if worst > 1 else 0


if __name__ == "__main__":
    sys.exit(main())
