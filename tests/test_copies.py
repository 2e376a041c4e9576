"""Markets of which there are several copies: which one counts goes by the names of their units, never by time."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from builders import Stream
from common_strategies import BacksAtFirstPrices
from headrace.cluster import batches
from headrace.results import memory_store
from headrace.results.copies import Copies


def recording(folder: Path, market_id: str, size: float, best: float = 2.0) -> str:
    """A copy of a market in which a back of 2.0 at 2.0 matches at `best`, up to `size`."""
    folder.mkdir(exist_ok=True)
    stream = Stream(market_id).prices(100, {1: {"atb": [[best, size]], "atl": [[best + 1, 5]]}})
    return stream.touch(400).touch(800).close(9000, winner=1).write(folder / market_id)


class Slow(BacksAtFirstPrices):
    """Takes its time over markets with a price of 3.0."""

    def process_closed_market(self, market: Any, book: Any) -> None:
        if market.blotter and book.runners[0].ex.available_to_back[0].price == 3.0:
            time.sleep(1.5)


@pytest.fixture
def copies(tmp_path: Path) -> list[str]:
    """Three copies of one market, all different, each beside a market of its own, the best named copy last."""
    found = []
    for number, name in enumerate(["c", "b", "a"]):
        found.append(recording(tmp_path / name, "1.100000001", size=0.5 + number / 10))
        found.append(recording(tmp_path / name, f"1.20000000{number}", size=1.0))
    return found


def in_order(
    monkeypatch: pytest.MonkeyPatch, order: Callable[[list[Any]], Sequence[Any]], where: str = "headrace.backtest"
) -> None:
    """Have the parts of runs come in another order than they were begun in."""
    module = sys.modules[where]
    real = module.run_here

    def run_here(planned: Any, runner: Any) -> Iterator[Any]:
        yield from order(list(real(planned, runner)))

    monkeypatch.setattr(module, "run_here", run_here)


def told(result: hr.Result) -> tuple[Any, ...]:
    """All that a result says, but for what is of one run: its rows in any order, and its digest."""
    left = ("traceback", "command")
    tables = [table.to_pylist() for table in (result.orders, result.fills, result.markets, result.failures)]
    rows = [sorted(repr({**row, **dict.fromkeys(left)}) for row in table) for table in tables]
    return (result.digest, *rows)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("together", [1, 2, 4])
@pytest.mark.parametrize("kept_in", ["memory", "tables", "folder", "uri"])
def test_copy_with_the_lowest_name_counts_whichever_is_done_first(
    kept_in: str, together: int, seed: int, copies: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = copies[4]
    alone = hr.backtest(BacksAtFirstPrices(), [best, copies[1], copies[3], copies[5]], engine="local")
    monkeypatch.setattr(sys.modules["headrace.backtest"], "MAX_UNITS", together)
    monkeypatch.setattr(batches, "_TURN_BYTES", 1e9)
    if kept_in == "tables":
        monkeypatch.setattr(memory_store, "_MOST_ROWS", 3)
    in_order(monkeypatch, lambda parts: random.Random(seed).sample(parts, len(parts)))
    out = {"folder": tmp_path / "out", "uri": (tmp_path / "out").as_uri()}.get(kept_in)
    result = hr.backtest(BacksAtFirstPrices(), copies, engine="local", out=out)
    assert result.digest == alone.digest
    for found in (result, *(() if out is None else (hr.Result.load(out),))):
        assert told(found)[:4] == told(alone)[:4]
        assert found.summary()["net_profit"] == alone.summary()["net_profit"]
        assert [(row["unit"], row["market_id"], row["message"]) for row in found.failures.to_pylist()] == [
            (other, "1.100000001", f"the market is in {best} as well; this copy is left out")
            for other in sorted((copies[0], copies[2]))
        ]


@pytest.mark.parametrize("order", [lambda parts: parts, lambda parts: parts[::-1]], ids=["begun", "reversed"])
def test_folder_of_a_run_that_broke_off_counts_the_better_copy_of_those_that_are_there(
    order: Any, copies: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["headrace.backtest"], "MAX_UNITS", 1)
    out = tmp_path / "out"

    def stop(done: int, total: int, part: Any) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        in_order(patched, order)
        with pytest.raises(KeyboardInterrupt):
            hr.backtest(BacksAtFirstPrices(), copies, engine="local", out=out, progress=stop)
    there = sorted(copies[:4] if order([1, 2]) == [1, 2] else copies[2:])
    kept = hr.backtest(BacksAtFirstPrices(), there, engine="local")
    assert hr.Result.load(out).digest == kept.digest
    whole = hr.backtest(BacksAtFirstPrices(), copies, engine="local")
    assert hr.backtest(BacksAtFirstPrices(), copies, engine="local", out=out, resume=True).digest == whole.digest
    assert told(hr.Result.load(out)) == told(whole)


def test_copies_in_pieces_that_have_a_time_limit(copies: list[str], tmp_path: Path) -> None:
    plain = hr.backtest(BacksAtFirstPrices(), copies, engine="local", out=tmp_path / "plain")
    limited = hr.backtest(
        BacksAtFirstPrices(), copies, engine="local", out=tmp_path / "out", config=hr.Config(unit_timeout=60.0)
    )
    assert told(limited) == told(plain)


def test_unit_of_each_market_is_the_one_that_counts(copies: list[str], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    result = hr.backtest(BacksAtFirstPrices(), copies, engine="local", out=tmp_path / "out")
    for found in (result, hr.Result.load(tmp_path / "out"), hr.backtest(BacksAtFirstPrices(), copies, engine="local")):
        found.to_html(page, markets=["1.100000001"])
        assert copies[4] in page.read_text()


@pytest.mark.ray
def test_the_better_copy_counts_on_ray_though_it_takes_longer(ray_local: None, tmp_path: Path) -> None:
    slow, quick = (recording(tmp_path / name, "1.100000001", 2.0, best) for name, best in (("a", 3.0), ("b", 2.5)))
    others = [recording(tmp_path / "b", f"1.20000000{number}", 1.0) for number in range(4)]
    alone = hr.backtest(Slow(), [slow, *others], engine="local")
    simulation = hr.Simulation([*others, quick, slow], engine="ray", workers=2)
    simulation.add_client(hr.SimulatedClient())
    simulation.add_strategy(Slow())
    assert simulation.run().digest == alone.digest


@pytest.mark.parametrize("seed", range(20))
def test_what_counts_does_not_go_by_the_order_of_parts(seed: int) -> None:
    dice = random.Random(seed)
    parts = [
        (
            f"part {number}",
            [(f"1.{dice.randrange(6)}", f"unit {number}")],
            [(f"1.{dice.randrange(6)}", f"lost {number}")],
        )
        for number in range(8)
    ]

    def outcome(order: Sequence[Any]) -> Any:
        copies = Copies()
        for part, markets, dropped in order:
            copies.add(part, markets, dropped)
        return copies.left_out(), copies.failures(), copies.units()

    first = outcome(parts)
    for _ in range(10):
        assert outcome(dice.sample(parts, len(parts))) == first


# -- sweeps ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sets_per_replay", [1, 100])
@pytest.mark.parametrize("kept", [False, True])
def test_sweep_counts_the_same_copy_as_a_backtest_of_each_set(
    kept: bool, sets_per_replay: int, seed: int, copies: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(seed)
    in_order(monkeypatch, lambda parts: dice.sample(parts, len(parts)), "headrace.cluster.sweep_runner")
    grid = {"stake": [2.0, 3.0, 4.0]}
    out = tmp_path / "out" if kept else None
    sweep = hr.sweep(
        BacksAtFirstPrices, grid, copies, engine="local", sets_per_replay=sets_per_replay, orders=True, out=out
    )
    for number, stake in enumerate(grid["stake"]):
        alone = hr.backtest(BacksAtFirstPrices(stake=stake), copies, engine="local")
        assert sweep.manifest["digests"][number] == alone.digest
