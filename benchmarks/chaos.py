"""A live system that is killed again and again, at an exchange that fails in every way it knows.

    python -m benchmarks.chaos [--minutes N] [--seed S] [--engine ray|local] [--every SECONDS] [--kinds KIND ...]
    python -m benchmarks.chaos --table FILE ...

Two strategies place, cancel, reduce, replace and update over 20 markets of a rehearsal exchange. A killer sends SIGKILL
to the processes of hosts, streams, the coordinator, the page, the driver, the raylet and the GCS, to several at once,
and to all of them (then the command is started again). On "local" actors are threads, and are made to crash.

At the end nothing more goes wrong, and the system comes to rest. Then the exchange's ledger and the system must agree:
no order lost, none placed twice, none of which nobody knows what became, exposure equal to the penny; and by the
ledger's history no limit was ever passed. `--out FILE` adds what came of a run to a file of lines; `--table` makes the
table of several runs of it.

Exits 1 if anything is wrong.
"""

import argparse
import contextlib
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import headrace as hr

from . import chaos_faults
from .chaos_kills import COLD, KINDS, Kill, bar, table
from .chaos_markets import write_markets
from .chaos_oracle import REFUSALS, History, Limits
from .chaos_strategies import RUNNERS
from .chaos_system import Notes, System

LIMITS = Limits(exposure=600.0, selection=25.0, order=20.0, live=3)
#: Open markets, their changes a second, how long they last, and actions of each strategy a second in each.
MARKETS, PER_SECOND, LASTING, PACE = 20, 200.0, (40.0, 150.0), 0.5
#: Seconds that the system may take to trade at first; to be back after a kill, at most; to come to rest at the end.
START_S, BACK_S, REST_S = 90.0, 150.0, 150.0
#: Seconds for which whoever was refused by the exchange may not try again.
REFUSED_S = 90.0
#: Exchange faults a second, and seconds after which those that have not happened are given up.
FAULTS, CLEARED_S = 1.0, 10.0


class Chaos:
    """One run.

    Args:
        exchange: it runs, and plays the markets once somebody asks for them.
        folder: of the system.
        pace, limits: of its strategies.
    """

    def __init__(
        self,
        exchange: hr.RehearsalExchange,
        folder: Path,
        options: argparse.Namespace,
        pace: float = PACE,
        limits: Limits = LIMITS,
    ) -> None:
        self.exchange, self.options = exchange, options
        self.rng = random.Random(f"{options.seed} kills")
        self.fault_rng = random.Random(f"{options.seed} faults")
        self.history = History(limits=limits, runners=RUNNERS)
        self.system = System(folder, exchange.addresses, options.engine, limits, pace)
        self.notes = Notes(self.system.notes)
        self.kills: list[Kill] = []
        self.wrong: list[str] = []
        self._next_fault = self._cleared = 0.0
        self._looked = 0.0

    def say(self, text: str) -> None:
        if not self.options.quiet:
            print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)

    # -- while it runs -------------------------------------------------------------------------------------------

    def look(self, faults: bool = True) -> None:
        """Read what is new, and let something go wrong now and then."""
        now = time.monotonic()
        self.notes.read()
        if now - self._looked > 0.2:
            self._looked = now
            self.history.read(self.exchange.ledger(after=self.history.number))
        if faults and self.options.faults and now > self._next_fault:
            self._next_fault = now + self.fault_rng.expovariate(self.options.faults)
            # What waits for a connection piles up while there is none, and each one would then fail for minutes.
            if now > self._cleared + CLEARED_S:
                self._cleared = now
                self.exchange.clear_faults()
            self.exchange.fault(**chaos_faults.drawn(self.fault_rng))

    def passes(self, seconds: float) -> Iterator[None]:
        """Look again and again for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.look()
            yield
            time.sleep(0.03)

    def begin(self) -> None:
        """Start the system, and wait until it trades.

        Raises:
            RuntimeError: it does not.
        """
        self.system.start()
        end = time.monotonic() + START_S
        while not self.history.bets:
            self.look(faults=False)
            if self.system.ended is not None or time.monotonic() > end:
                raise RuntimeError(f"the system does not trade; it said: {self.system.said()[-2000:]}")
            time.sleep(0.1)

    def rage(self) -> None:
        """Kill, wait until all is back, and kill again."""
        end = time.monotonic() + self.options.minutes * 60
        while time.monotonic() < end and not self.wrong:
            for _ in self.passes(self.rng.uniform(0.5, 1.5) * self.options.every):
                if self.system.ended is not None:
                    self.wrong.append(f"the system has ended by itself with exit code {self.system.ended}")
                    return
            kinds = {kind: weight for kind, weight in KINDS[self.options.engine].items() if kind in self.options.kinds}
            if not kinds:
                continue
            (kind,) = self.rng.choices(list(kinds), list(kinds.values()))
            kill = self.strike(kind)
            if kill is not None:
                self.kills.append(kill)
                # One in six is struck again before it is back, and has no time.
                if self.rng.random() < 1 / 6 and kill.kind not in COLD:
                    for _ in self.passes(self.rng.uniform(0, 1)):
                        pass
                    kill.kind = f"{kill.kind}, overtaken"
                else:
                    self.wait_for(kill)
            if self.history.wrong:
                return

    def wait_for(self, kill: Kill) -> None:
        for _ in self.passes(BACK_S):
            back = kill.when(self.notes, self.history, self.system)
            if back is not None:
                kill.back = (back - kill.at) / 1000
                limit = bar(kill.kind, len(kill.names))
                kill.faults = [fault for at, fault in self.history.faulted if kill.at <= at <= back]
                refused = any(
                    at > kill.at - REFUSED_S * 1000 and fault in REFUSALS for at, fault in self.history.faulted
                )
                late = limit is None or kill.back > limit
                if refused and late:
                    kill.kind = f"{kill.kind}, refused by the exchange"
                why = f"; meanwhile {', '.join(kill.faults)}" if late and kill.faults else ""
                self.say(f"{kill.kind} ({', '.join(kill.names)}): back after {kill.back:.2f} s{why}")
                self.notes.forget()
                return
            if kill.kind not in COLD and self.system.ended is not None:
                break
        self.wrong.append(f"{kill.kind} ({', '.join(kill.names)}) was not back within {BACK_S:g} s")

    # -- blows ---------------------------------------------------------------------------------------------------

    def strike(self, kind: str) -> Kill | None:
        """Kill; None where there was nothing of that kind."""
        state = self.system.state()
        if state is None:
            self.say("the system does not answer")
            return None
        if kind == "all":
            return self._all(state)
        if kind in ("gcs", "raylet", "driver"):
            return self._process(kind, state)
        count = self.rng.randint(2, 5) if kind == "several" else 1
        victims = self._actors(kind, state, count)
        kill = self._actors_killed(kind, state, victims) if victims else None
        if kill is None:
            self.say(f"{kind}: there is none to kill, of {', '.join(victims) or 'none'}")
        return kill

    @staticmethod
    def _names(kind: str, state: dict[str, Any]) -> list[str]:
        streams = [row["stream"] for row in state["streams"]]
        return {
            "host": [row["name"] for row in state["hosts"] if row["markets"]],
            "stream": [name for name in streams if not name.startswith("o")],
            "orders": [name for name in streams if name.startswith("o")],
            "coordinator": ["c"],
            "page": ["page"],
        }[kind]

    def _actors(self, kind: str, state: dict[str, Any], count: int) -> list[str]:
        kinds = ["host", "stream", "orders", "coordinator", "page"] if kind == "several" else [kind]
        names = [name for each in kinds for name in self._names(each, state)]
        return self.rng.sample(names, min(count, len(names)))

    def _pid_of(self, name: str, state: dict[str, Any]) -> int | None:
        if name == "c":
            return int(state["pid"])
        rows = {row["name"]: row["pid"] for row in state["hosts"]}
        rows |= {row["stream"]: row.get("pid") for row in state["streams"]}
        rows["page"] = state.get("page_pid")
        return rows.get(name)

    def _actors_killed(self, kind: str, state: dict[str, Any], victims: list[str]) -> Kill | None:
        pids: list[int] = []
        if self.options.engine == "ray":
            found = {name: self._pid_of(name, state) for name in victims}
            victims = [name for name, pid in found.items() if pid]
            pids = [pid for pid in found.values() if pid]
            if not victims:
                return None
        markets = set()
        every = {row["market_id"] for row in state["markets"] if row["status"] == "OPEN"}
        if any(name.startswith("s") for name in victims):
            markets = every
        else:
            hosts = {name for name in victims if name.startswith("h")}
            markets = {row["market_id"] for row in state["markets"] if row["host"] in hosts} & every
        kill = Kill(kind, time.time() * 1000, victims, pids, markets, orders="c" in victims, page="page" in victims)
        kill.streams = tuple(name for name in victims if name.startswith("o"))
        for name in victims if self.options.engine == "local" else ():
            self.system.crash(name)
        self._kill(pids)
        return kill

    @staticmethod
    def _kill(pids: list[int]) -> None:
        import os
        import signal

        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _process(self, kind: str, state: dict[str, Any]) -> Kill | None:
        if kind == "driver":
            running = self.system.running
            if running is None:
                return None
            pid = int(running.note.get("driver", running.pid))
            kill = Kill(kind, time.time() * 1000, [kind], [pid], set(), driver=pid)
        else:
            found = self.system.named({"gcs": "gcs_server", "raylet": "raylet"}[kind])
            if not found:
                return None
            kill = Kill(kind, time.time() * 1000, [kind], found, set(), orders=True, coordinator=state["pid"])
        self._kill(kill.pids)
        return kill

    def _all(self, state: dict[str, Any]) -> Kill:
        killed = self.system.kill_all()
        kill = Kill("all", time.time() * 1000, ["all"], [], set(), orders=True)
        self.say(f"killed all {len(killed)} processes; the command is given again")
        self.system.start()
        return kill

    # -- the end -------------------------------------------------------------------------------------------------

    def rest(self) -> None:
        """Nothing goes wrong any more: the system and the ledger must come to agree."""
        self.system.hold()
        self.exchange.clear_faults()
        client = self.exchange.client(lightweight=True)
        end = time.monotonic() + REST_S
        found = ["the system does not answer"]
        began = time.monotonic()
        while time.monotonic() < end:
            time.sleep(0.5)
            self.look(faults=False)
            self.history.read(self.exchange.ledger(after=self.history.number))
            state = self.system.state()
            if state is None:
                continue
            with contextlib.suppress(Exception):  # the first calls may meet what is left of faults
                if client.session_expired or not client.session_token:
                    client.login_interactive()
                funds = client.account.get_account_funds(lightweight=True)
                later = self.exchange.ledger(after=self.history.number)
                if any(entry.kind in ("BET", "MARKET", "ACCOUNT") for entry in later):
                    continue
                found = self.history.differences_at_rest(state, funds["exposure"])
                if not found:
                    self.say(f"at rest after {time.monotonic() - began:.1f} s: the system and the ledger agree")
                    return
        self.wrong += [f"at rest: {line}" for line in found]

    def stop(self) -> None:
        """End the system in order; what it leaves must agree with the ledger as well."""
        (self.system.notes / "hold").unlink(missing_ok=True)  # it is stopped while it trades
        time.sleep(1.0)
        code = self.system.stop()
        if code is None:
            self.wrong.append("the system did not end when it was asked to")
        elif code not in (0, 1):
            self.wrong.append(f"the system ended with exit code {code}: {self.system.said()[-1000:]}")
        until = time.monotonic() + 15
        while (left := self.system.processes()) and time.monotonic() < until:
            time.sleep(0.2)
        if left:
            self.wrong.append(f"processes are left behind: {left}")
        self.notes.read()
        self.history.read(self.exchange.ledger(after=self.history.number))
        try:
            result = hr.Result.load(self.system.folder / "result")
        except hr.HeadraceError as error:
            self.wrong.append(f"there is no result: {error}")
            return
        orders = result.orders.to_pylist()
        self.wrong += self.history.differences_at_end(orders)
        self.wrong += self.history.untold(orders, self.notes.asked, self.notes.ended)
        for row in result.failures.to_pylist():
            self.say(f"failure: {row['strategy']} {row['market_id']} {row['error_type']}: {row['message']}")

    def run(self) -> None:
        """All of it."""
        try:
            self.begin()
            self.rage()
            if self.system.ended is None:
                self.rest()
                self.stop()
        finally:
            self.system.kill_all()
        self.wrong += self.history.wrong


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=5.0, help="for which is killed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", choices=["ray", "local"], default="ray")
    parser.add_argument("--every", type=float, help="seconds between kills; default: 2 on local, 4 on Ray")
    parser.add_argument("--kinds", nargs="+", metavar="KIND", help="what is killed; none: 'nothing'")
    parser.add_argument("--faults", type=float, default=FAULTS, help="of the exchange, a second")
    parser.add_argument("--out", type=Path, help="a file to which a line is added")
    parser.add_argument("--table", nargs="+", type=Path, help="make a table of such files")
    parser.add_argument("--keep", type=Path, help="a folder in which the ledger and the system's files are kept")
    parser.add_argument("--quiet", action="store_true")
    options = parser.parse_args(arguments)
    if options.table:
        runs = [json.loads(line) for path in options.table for line in path.read_text().splitlines()]
        print("\n".join(table([kill for run in runs for kill in run["kills"]])))
        print(f"{len(runs)} runs, {sum(kill['count'] for run in runs for kill in run['kills'])} kills")
        return 1 if any(run["wrong"] for run in runs) else 0
    options.every = options.every or (2.0 if options.engine == "local" else 4.0)
    options.kinds = options.kinds or list(KINDS[options.engine])
    with contextlib.ExitStack() as stack:
        if options.keep is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hc", ignore_cleanup_errors=True)))
        else:
            folder = options.keep.resolve()
            folder.mkdir(parents=True)
        return _run(folder, options)


def _run(folder: Path, options: argparse.Namespace) -> int:
    recording = folder / "markets.ndjson"
    write_markets(
        recording,
        markets=MARKETS,
        seconds=options.minutes * 60 + 20,
        lasting=LASTING,
        per_second=PER_SECOND,
        seed=options.seed,
        quiet=600.0,
    )
    account = {"username": "rehearsal", "balance": 1e6}
    with hr.RehearsalExchange(
        str(recording), accounts=[account], ledger=folder / "ledger.ndjson", wait=True, in_step=True, seed=options.seed
    ) as exchange:
        chaos = Chaos(exchange, folder, options)
        chaos.run()
    history, kills = chaos.history, chaos.kills
    rows = [{"kind": each.kind, "count": len(each.names), "back": each.back, "faults": each.faults} for each in kills]
    print("\n".join(table(rows)))
    counts = ", ".join(f"{count} {what}" for what, count in history.counts.items())
    print(f"seed {options.seed}, {options.engine}: {sum(each['count'] for each in rows)} kills; {counts}; "
          f"exposure up to {history.peak:.2f}")  # fmt: skip
    if options.out is not None:
        with options.out.open("a") as file:
            run = {"seed": options.seed, "engine": options.engine, "kills": rows, "wrong": chaos.wrong}
            file.write(json.dumps({**run, "counts": history.counts, "faults": history.faults}) + "\n")
    for line in chaos.wrong[:40]:
        print("WRONG", line)
    print(f"{len(chaos.wrong)} wrong" if chaos.wrong else "nothing is wrong")
    if chaos.wrong and not options.quiet:
        print(chaos.system.said()[-3000:])
    return 1 if chaos.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
