"""How recordings are run: what flumine makes of odd input, of several markets and of windows, and what is right.

What the peer does here is mostly to end its whole run, and compatibility never repeats that: it keeps to the peer's
numbers where the peer has some, and costs one order or one file where it has none. So the peer itself is run beside it,
as a black box, where its environment has been made (`python -m benchmarks.peer`); what it gave stands in each test.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import headrace as hr
from builders import FLUMINE, T0, Stream, priced
from engine_runs import Told, make

OURS = hr.Config()
TESTS = Path(__file__).resolve().parent
PEER = Path(os.environ.get("HEADRACE_BENCH", TESTS.parent / ".bench")) / "peer"
BET = {"price": 2.0, "size": 5.0}
#: flumine's own reader wants them in each definition.
REGULATED: dict[str, Any] = {"regulators": ["MR_INT"]}

needs_flumine = pytest.mark.skipif(
    not (PEER / "installed.txt").is_file(),
    reason=f"flumine's environment is not in {PEER}; runs where `python -m benchmarks.peer` has made it",
)
Settings = Mapping[str, Mapping[str, Any]]


@dataclass
class Run:
    """What a run came to: what strategies were told; status and size matched, by strategy and market."""

    told: list[Told]
    orders: dict[str, tuple[str, float]]
    ended: str | None = None
    result: Any = None

    def profit(self, market_id: str) -> float | None:
        (found,) = (row["profit"] for row in self.result.orders.to_pylist() if row["market_id"] == market_id)
        return None if found is None else float(found)

    @property
    def failures(self) -> list[tuple[str, str | None]]:
        return [(row["error_type"], row["market_id"]) for row in self.result.failures.to_pylist()]


def run(files: list[str], settings: Settings, config: hr.Config = OURS, merged: bool = False) -> Run:
    told: list[Told] = []
    api = SimpleNamespace(Strategy=hr.Strategy, Trade=hr.Trade, LimitOrder=hr.LimitOrder)
    kind = make(api, settings, told)
    kind.scope = "event" if merged else "market"  # type: ignore[attr-defined]
    simulation = hr.Simulation(files, config=config, engine="local", progress=False)
    simulation.add_client(hr.SimulatedClient())
    for name, own in settings.items():
        simulation.add_strategy(kind(name=name, market_filter={"listener_kwargs": own.get("window", {})}))
    result = simulation.run()
    orders = {
        f"{row['strategy']} {row['market_id']}": (row["status"], row["size_matched"])
        for row in result.orders.to_pylist()
    }
    return Run(told, orders, result=result)


def run_flumine(files: list[str], settings: Settings, merged: bool = False) -> Run:
    """The peer itself, in a process and an environment of its own."""
    asked = json.dumps({"files": files, "settings": settings, "merged": merged})
    command = [str(PEER / "bin" / "python"), str(TESTS / "engine_runs.py"), asked]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)
    orders = {name: (status, matched) for name, (status, matched) in found["orders"].items()}
    return Run([tuple(each) for each in found["told"]], orders, found["ended"])


# -- D17: odd input --------------------------------------------------------------------------------------------------


def plain(**definition: Any) -> Stream:
    return priced(market_id="1.1", **REGULATED, **definition).touch(400).touch(900).close()


def with_heartbeat() -> Stream:
    """As in what `listener.on_data` is given, and recorders write down: a message without market changes."""
    stream = plain()
    stream.lines.insert(3, {"op": "mcm", "id": 2, "clk": "AAA", "ct": "HEARTBEAT", "pt": T0 + 500})
    return stream


def without_definition() -> Stream:
    """A recording that began in the middle: its definition comes with the close."""
    stream = plain()
    del stream.lines[0]
    return stream


@dataclass(frozen=True)
class Odd:
    """An odd market 1.1, or a bet that is odd there, before a good market 1.2.

    `peer`: the error that ends flumine's run. `ours` and `compatible`: profit in market 1.1, and the failures.
    """

    stream: Callable[[], Stream | None]
    peer: str
    ours: tuple[float | None, list[str]]
    compatible: tuple[float | None, list[str]]
    bet: dict[str, Any] = field(default_factory=lambda: BET)
    settings: dict[str, Any] = field(default_factory=dict)
    merged: bool = False


NO_ORDER = -1.0
ODD = {
    # A heartbeat says that nothing has changed.
    "heartbeat": Odd(with_heartbeat, "KeyError", (5.0, []), (5.0, [])),
    # Without its definition nobody knows what a market is: what comes before it is left out, and told.
    "no definition": Odd(
        without_definition, "KeyError", (NO_ORDER, ["RecordingError"]), (NO_ORDER, ["RecordingError"])
    ),
    # Of an event one file is empty, or has no change that is let through: the others have theirs.
    "empty file of an event": Odd(
        lambda: None, "StopIteration", (NO_ORDER, ["RecordingError"]), (NO_ORDER, ["RecordingError"]), merged=True
    ),
    "filtered file of an event": Odd(
        lambda: plain(eventTypeId="1"),
        "StopIteration",
        (NO_ORDER, []),
        (NO_ORDER, []),
        settings={"window": {"event_type_ids": ["7"]}},
        merged=True,
    ),
    # The exchange answers INVALID_RUNNER ("Betting Enums").
    "unknown runner": Odd(plain, "AttributeError", (0.0, []), (0.0, ["AttributeError"]), bet={**BET, "on": 77}),
    # A profit of 5.00 at 2.0 is a stake of 5.00.
    "bet target": Odd(
        plain,
        "NotImplementedError",
        (5.0, []),
        (0.0, ["NotImplementedError"]),
        bet={"price": 2.0, "bet_target_type": "BACKERS_PROFIT", "bet_target_size": 5.0},
    ),
    # Nobody can say what the half for a place was paid at: the bet has no profit, rather than a wrong one.
    "each way without its divisor": Odd(
        lambda: plain(marketType="EACH_WAY"), "TypeError", (None, ["SettlementError"]), (0.0, ["SettlementError"])
    ),
    # The market is settled all the same.
    "error at the close": Odd(
        plain, "ValueError", (5.0, ["ValueError"] * 2), (5.0, ["ValueError"] * 2), settings={"fails": True}
    ),
}


def files_of(odd: Odd, folder: Path) -> tuple[list[str], Settings]:
    stream = odd.stream()
    (folder / "1.1").write_text("" if stream is None else stream.text())
    priced(market_id="1.2", **REGULATED).touch(400).touch(900).close().write(folder / "1.2")
    bets = {"1.1": odd.bet, "1.2": BET}
    return [str(folder / "1.1"), str(folder / "1.2")], {"a": {"bets": bets, **odd.settings}}


@pytest.mark.parametrize("name", ODD)
def test_d17_odd_input_costs_what_is_odd_and_no_other_market(name: str, tmp_path: Path) -> None:
    """The good market comes after the odd one: 5.00 are backed at 2.0 and win, whatever was before it.

    The peer's whole run has ended by then, with the error that `ODD` names; the next test runs it.
    """
    odd = ODD[name]
    files, settings = files_of(odd, tmp_path)
    for config, (profit, failures) in ((OURS, odd.ours), (FLUMINE, odd.compatible)):
        found = run(files, settings, config, odd.merged)
        assert found.orders["a 1.2"] == ("EXECUTION_COMPLETE", 5.0)
        assert found.profit("1.2") == 5.0
        if profit == NO_ORDER:
            assert "a 1.1" not in found.orders
        else:
            assert found.profit("1.1") == profit
        assert [error for error, _ in found.failures] == failures


@needs_flumine
@pytest.mark.parametrize("name", ODD)
def test_d17_flumine_ends_its_run(name: str, tmp_path: Path) -> None:
    odd = ODD[name]
    files, settings = files_of(odd, tmp_path)
    peer = run_flumine(files, settings, odd.merged)
    assert peer.ended == odd.peer
    assert "a 1.2" not in peer.orders


@needs_flumine
def test_d17_flumine_runs_to_its_end_where_nothing_is_odd(tmp_path: Path) -> None:
    """So it is what is odd that ends its run."""
    peer = run_flumine(*files_of(Odd(plain, "", (5.0, []), (5.0, [])), tmp_path))
    assert peer.ended is None
    assert peer.orders == {"a 1.1": ("EXECUTION_COMPLETE", 5.0), "a 1.2": ("EXECUTION_COMPLETE", 5.0)}


# -- D18: files with several markets ---------------------------------------------------------------------------------


def two_markets(folder: Path) -> list[str]:
    """A file of two markets. 1.1 changes at 0, 100, 300, 600 and 900; 1.2 at 0, 200 and 1000."""
    offers = {1: {"atb": [[2.0, 10]], "atl": [[2.2, 6]]}}
    first, second = Stream("1.1", **REGULATED), Stream("1.2", marketType="PLACE", **REGULATED)
    first.prices(100, offers).touch(300).touch(600).touch(900)
    second.prices(200, offers).touch(1000)
    lines = sorted(first.lines + second.lines, key=lambda line: line["pt"])
    (folder / "event").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return [str(folder / "event")]


#: Markets and times of the books that the peer shows: each line shows both markets, as they stand.
SHOWN_AGAIN = [
    ("1.1", 0),
    *[("1.1", 0), ("1.2", 0)],
    *[("1.1", 100), ("1.2", 0)],
    *[("1.1", 100), ("1.2", 200)],
    *[("1.1", 300), ("1.2", 200)],
    *[("1.1", 600), ("1.2", 200)],
    *[("1.1", 900), ("1.2", 200)],
    *[("1.1", 900), ("1.2", 1000)],
]
SHOWN_ONCE = [
    ("1.1", 0), ("1.2", 0), ("1.1", 100), ("1.2", 200), ("1.1", 300), ("1.1", 600), ("1.1", 900), ("1.2", 1000),
]  # fmt: skip


def books(found: Run) -> list[tuple[str, int]]:
    return [(market_id, at) for _, callback, market_id, at in found.told if callback == "book"]


def test_d18_change_of_one_market_is_not_one_of_another(tmp_path: Path) -> None:
    """Eight changes are eight books, and time never goes back.

    The peer shows 15: of each line all markets of the file, those that did not change at the time of their last change.
    A strategy that counts, averages, or waits by the clock of a market is misled.
    """
    files = two_markets(tmp_path)
    ours = books(run(files, {"a": {}}))
    assert ours == SHOWN_ONCE
    assert [at for _, at in ours] == sorted(at for _, at in ours)
    peer = books(run(files, {"a": {}}, FLUMINE))
    assert peer == SHOWN_AGAIN
    assert [at for _, at in peer] != sorted(at for _, at in peer)


@needs_flumine
def test_d18_flumine_shows_all_markets_of_a_line(tmp_path: Path) -> None:
    assert books(run_flumine(two_markets(tmp_path), {"a": {}})) == SHOWN_AGAIN


# -- D20: strategies with windows of their own -----------------------------------------------------------------------

#: `first` bets at 300, behind nobody, and sees nothing in play; `second` looks on, in another window.
WINDOWS: Settings = {
    "first": {
        "window": {"inplay": False},
        "at": 300,
        "bets": {"1.1": {"price": 2.2, "size": 4.0, "persistence_type": "PERSIST"}},
    },
    "second": {"window": {"max_inplay_seconds": 100}},
}


def traded_early(folder: Path) -> list[str]:
    """40 are traded at 2.2, 20 a side, at 200; nothing afterwards."""
    stream = Stream("1.1", **REGULATED).prices(100, {1: {"atb": [[2.0, 10]], "atl": [[2.3, 6]]}}).touch(150)
    stream.prices(200, {1: {"trd": [[2.2, 40]]}}).touch(300).touch(700).turn_in_play(1000).touch(1500).close(2000)
    return [stream.write(folder / "1.1")]


def of(found: Run, strategy: str, callback: str) -> list[int]:
    return [at for name, call, _, at in found.told if (name, call) == (strategy, callback)]


@pytest.mark.parametrize(("config", "status"), [(OURS, "EXECUTION_COMPLETE"), (FLUMINE, "EXECUTABLE")])
def test_d20_windows_share_one_replay_of_a_file(config: hr.Config, status: str, tmp_path: Path) -> None:
    """What is traded at 200 is over when the bet comes at 300: nothing of it is matched. Each strategy hears of the new
    market and of its close, once.

    The peer has a stream for each window, and replays the file once for each, over the same market and its orders: see
    the next test. That is not repeated under compatibility, where the bet rests for ever, as the peer's does when
    `second` is left out.
    """
    found = run(traded_early(tmp_path), WINDOWS, config)
    assert found.orders == {"first 1.1": (status, 0.0)}
    for name in WINDOWS:
        assert of(found, name, "new") == [0]
        assert of(found, name, "closed") == [2000]
    orders = of(found, "first", "orders")
    assert orders == sorted(orders)


@needs_flumine
def test_d20_flumine_fills_a_bet_from_what_was_traded_before_it(tmp_path: Path) -> None:
    """By the second replay, which reopens the market, the bet of the first one is there from the beginning: it takes
    4.00 of what was traded at 200, 100 ms before it was made. `second` is never told of the market."""
    files = traded_early(tmp_path)
    alone = run_flumine(files, {"first": WINDOWS["first"]})
    assert alone.orders == {"first 1.1": ("EXECUTABLE", 0.0)}
    both = run_flumine(files, WINDOWS)
    assert (both.ended, both.orders) == (None, {"first 1.1": ("EXECUTION_COMPLETE", 4.0)})
    assert of(both, "second", "new") == []
    assert of(both, "first", "orders") == [700, 0, 100, 150, 200, 300, 700, 1000, 1500]
