"""Sweeps that break off: what is done is kept, and the same sweep goes on to what an undisturbed one gives."""

from __future__ import annotations

import errno
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner

import headrace as hr
from builders import priced
from common_strategies import Backer, Moody, source_of
from headrace.cli import main
from headrace.cluster.sweep_plan import plan_sweep
from headrace.cluster.sweep_runner import SweepRunner
from headrace.results import sweep_store
from headrace.results.folders import Folder
from headrace.results.parts import Batch
from headrace.simulate.generator import write_markets
from headrace.simulate.setup import Setup
from processes import LIMIT

SOURCE = source_of(Backer, Moody)

DRIVER = """
import sys
import headrace as hr
from headrace.results import sweep_store
sys.path.insert(0, {folder!r})
from backer import Moody

if __name__ == "__main__":
    sweep_store._SECONDS = 0.0
    tell = lambda done, *_: print(done, flush=True)
    hr.sweep(Moody, {grid!r}, {markets!r}, engine="ray", out={out!r}, split=0.5, progress=tell, sets_per_replay=2)
"""

GRID = {"stake": [2.0, 3.0, 50.0], "runners": [1, 2]}
TABLES = ("markets", "violations", "failures")


@pytest.fixture(scope="module")
def markets(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("resume") / "markets"
    return [str(path) for path in write_markets(folder, 8, seed=3, changes=120)]


@pytest.fixture(scope="module")
def whole(markets: list[str]) -> hr.SweepResult:
    """What an undisturbed sweep gives."""
    return swept(Moody, markets)


@pytest.fixture
def backer(user_module: ModuleType) -> Any:
    return user_module.Moody


@pytest.fixture
def each_part_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each batch is written when it is done."""
    monkeypatch.setattr(sweep_store, "_SECONDS", 0.0)


@pytest.fixture
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few rows fit in the process that most go into a folder."""
    monkeypatch.setattr(sweep_store, "MOST_IN_PART", 7)


def swept(backer: Any, markets: list[str], **settings: Any) -> hr.SweepResult:
    chosen = {"parameters": GRID, "split": 0.5, "sets_per_replay": 4, "engine": "local", **settings}
    return hr.sweep(backer, chosen.pop("parameters"), markets, **chosen)


def broken_off(backer: Any, markets: list[str], out: Path, after: int = 5, **settings: Any) -> None:
    def stop(done: int, total: int, part: Any) -> None:
        if done >= after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        swept(backer, markets, out=out, progress=stop, **settings)


def section_of(page: Path, name: str) -> str:
    text = page.read_text()
    begin = text.index(f'<section id="{name}"')
    return text[begin : text.index("</section>", begin)]


def assert_equal(found: hr.SweepResult, wanted: hr.SweepResult) -> None:
    assert found.digest == wanted.digest
    assert found.table.equals(wanted.table)
    for name in TABLES:
        assert found.rows(name).equals(wanted.rows(name)), name


def test_a_sweep_that_was_stopped_goes_on_to_what_an_undisturbed_one_gives(
    backer: Any, markets: list[str], tmp_path: Path, each_part_at_once: None
) -> None:
    whole = swept(backer, markets, orders=True)
    out = tmp_path / "out"
    broken_off(backer, markets, out, orders=True)
    kept = hr.SweepResult.load(out)
    assert 0 < kept.markets.num_rows < whole.markets.num_rows
    assert kept.digest != whole.digest
    assert kept.split == 0.5
    assert kept.manifest["finished"] is False

    seen: list[int] = []
    resumed = swept(backer, markets, orders=True, out=out, resume=True, progress=lambda done, *_: seen.append(done))
    assert seen[0] == 6
    assert seen[-1] == 16
    assert_equal(resumed, whole)
    assert_equal(hr.SweepResult.load(out), whole)
    assert resumed.result(3).digest == whole.result(3).digest
    assert resumed.orders.equals(whole.orders)
    assert json.loads((out / "manifest.json").read_text())["finished"] is True


def test_what_has_not_been_written_yet_is_written_when_a_sweep_is_stopped(
    backer: Any, markets: list[str], tmp_path: Path
) -> None:
    broken_off(backer, markets, tmp_path / "out", after=4)
    assert len(list((tmp_path / "out" / "commits").iterdir())) == 1
    # Two groups of sets over two markets: four units.
    assert hr.SweepResult.load(tmp_path / "out").markets.num_rows == 2 * 6


def test_a_sweep_goes_on_with_other_groups_of_sets_over_a_reading(
    backer: Any, markets: list[str], tmp_path: Path, each_part_at_once: None
) -> None:
    broken = tmp_path / "1.399999999"
    broken.write_text("no market at all\n")
    files = [*markets, str(broken)]
    whole = swept(backer, files)
    broken_off(backer, files, tmp_path / "out", after=3)
    resumed = swept(backer, files, out=tmp_path / "out", resume=True, sets_per_replay=1)
    assert_equal(resumed, whole)
    assert resumed.failures.num_rows == 1


def test_a_finished_sweep_has_nothing_to_resume_and_gives_its_result(
    backer: Any, markets: list[str], tmp_path: Path
) -> None:
    first = swept(backer, markets, out=tmp_path / "out")
    seen: list[int] = []
    again = swept(backer, markets, out=tmp_path / "out", resume=True, progress=lambda done, *_: seen.append(done))
    assert seen == []
    assert_equal(again, first)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"parameters": {"stake": [2.0, 3.0, 50.0], "runners": [1, 3]}}, r"runners of set 1 was 2 and is 3"),
        ({"parameters": {"stake": [2.0, 3.0]}}, r"it had 6 sets and now has 2"),
        (
            {"parameters": [{"stake": 2.0, "mood": "calm"}] * 6},
            r"its sets name stake, runners and now stake, mood",
        ),
        ({"mood": "bold"}, r"mood, in all its sets, was 'calm' and is 'bold'"),
        ({"config": hr.Config(place_latency=0.5)}, r"the setting place_latency was 0.12 and is 0.5"),
        ({"markets": 4}, r"it had 3 inputs and now has 4"),
        ({"source": True}, r"the source of its strategies, or of other code that it was given, has changed"),
        (
            {"client": hr.SimulatedClient(commission_base=0.02)},
            r"the setting commission_base of client 'simulated' was None and is 0.02",
        ),
        (
            {"middleware": [hr.Middleware()]},
            r"middleware was none and is \[.*\.Middleware\(\)\]",
        ),
        ({"files": ["backer.py"]}, r"its files were none and are 'backer.py'"),
        ({"split": None}, r"its split was 0.5 and is None"),
        ({"orders": True}, r"it was run with orders=False and is to have orders=True"),
    ],
)
def test_another_sweep_is_not_resumed_and_what_differs_is_said(
    change: dict[str, Any],
    said: str,
    backer: Any,
    markets: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken_off(backer, markets[:3], tmp_path / "out", after=2)
    if change.pop("source", False):
        (tmp_path / "backer.py").write_text(SOURCE + "\n# edited\n")
    monkeypatch.chdir(tmp_path)
    strategy = backer(mood=change.pop("mood")) if "mood" in change else backer
    files = markets[: change.pop("markets", 3)]
    with pytest.raises(hr.InputError, match=f"the sweep that it holds cannot be resumed: .*{said}"):
        swept(strategy, files, out=tmp_path / "out", resume=True, **change)


def test_resume_needs_a_folder_with_a_sweep(backer: Any, markets: list[str], tmp_path: Path) -> None:
    with pytest.raises(hr.InputError, match="out="):
        swept(backer, markets, resume=True)
    with pytest.raises(hr.InputError, match="there is no sweep to resume"):
        swept(backer, markets, out=tmp_path / "nothing", resume=True)
    hr.backtest(backer(), markets[:1], engine="local", out=tmp_path / "run")
    with pytest.raises(hr.InputError, match=r"it is a backtest's; headrace\.Result\.load reads it"):
        swept(backer, markets, out=tmp_path / "run", resume=True)


def test_a_full_disk_keeps_what_was_written_and_the_sweep_goes_on(
    backer: Any,
    markets: list[str],
    whole: hr.SweepResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    each_part_at_once: None,
) -> None:
    written: list[str] = []
    write = Folder._write

    def full(folder: Folder, name: str, content: bytes) -> None:
        if name.startswith("commits/"):
            written.append(name)
        if len(written) > 6:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(folder, name, content)

    monkeypatch.setattr(Folder, "_write", full)
    with pytest.raises(hr.RunError, match="No space left on device"):
        swept(backer, markets, out=tmp_path / "out")
    monkeypatch.setattr(Folder, "_write", write)
    # Six units: three markets for each of two groups of sets.
    assert hr.SweepResult.load(tmp_path / "out").markets.num_rows == 3 * 6
    assert_equal(swept(backer, markets, out=tmp_path / "out", resume=True), whole)


def test_a_full_disk_at_the_end_loses_nothing(
    backer: Any, markets: list[str], whole: hr.SweepResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Folder._write

    def full(folder: Folder, name: str, content: bytes) -> None:
        if name == "sets.parquet":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(folder, name, content)

    monkeypatch.setattr(Folder, "_write", full)
    with pytest.raises(hr.RunError, match="No space left on device"):
        swept(backer, markets, out=tmp_path / "out")
    monkeypatch.setattr(Folder, "_write", write)
    assert_equal(hr.SweepResult.load(tmp_path / "out"), whole)
    assert_equal(swept(backer, markets, out=tmp_path / "out", resume=True), whole)


def test_a_sweep_that_was_stopped_for_failing_alike_is_done_again_once_that_is_put_right(
    tmp_path: Path, markets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code = tmp_path / "reads.py"
    code.write_text(
        SOURCE
        + """

class Reads(Moody):
    def process_market_book(self, market, book):
        open(self.mood)
        super().process_market_book(market, book)
"""
    )
    monkeypatch.setattr("headrace.cluster.early_stop._ALIKE", 6)
    from headrace.loading import load_strategy

    monkeypatch.setattr(sys, "path", list(sys.path))
    kind = load_strategy(f"{code}:Reads")
    monkeypatch.delitem(sys.modules, kind.__module__)
    sets = [{"mood": str(tmp_path / "model"), "stake": stake} for stake in (2.0, 3.0)]
    with pytest.raises(hr.RunError, match="resume=True") as stopped:
        swept(kind, markets, parameters=sets, out=tmp_path / "out")
    assert f"the failures are in {tmp_path / 'out'}" in str(stopped.value)
    assert hr.SweepResult.load(tmp_path / "out").failures.num_rows == 6 * 2
    (tmp_path / "model").write_text("")
    resumed = swept(kind, markets, parameters=sets, out=tmp_path / "out", resume=True)
    assert resumed.failures.num_rows == 0
    assert_equal(resumed, swept(kind, markets, parameters=sets))


def test_sets_that_fail_alike_in_all_markets_do_not_stop_a_sweep_in_which_others_go_on(
    backer: Any, markets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.cluster.early_stop._ALIKE", 2)
    sweep = swept(backer, markets, parameters={"mood": ["broken", "calm"]})
    assert [orders > 0 for orders in sweep.table["orders"].to_pylist()] == [False, True]
    assert sweep.failures.num_rows == len(markets)


def test_a_copy_of_a_market_is_left_out_by_the_sweep_that_goes_on_too(
    backer: Any, markets: list[str], tmp_path: Path, each_part_at_once: None
) -> None:
    copy = tmp_path / "copy" / Path(markets[0]).name
    copy.parent.mkdir()
    copy.write_bytes(Path(markets[0]).read_bytes())
    files = [*markets, str(copy)]
    whole = swept(backer, files)
    broken_off(backer, files, tmp_path / "out")
    resumed = swept(backer, files, out=tmp_path / "out", resume=True)
    assert resumed.table["markets"].to_pylist() == [8] * 6
    assert_equal(resumed, whole)


def differing_copies(folder: Path) -> list[str]:
    """Three markets in files of their own, and a copy of two of them that ends otherwise, in another folder."""
    paths = []
    for name, winner in (("b", 1), ("a", 2)):
        (folder / name).mkdir()
        for number in range(3 if name == "b" else 2):
            stream = priced(market_id=f"1.40000000{number}", eventId=f"{number}").touch(400)
            paths.append(str(stream.close(9000, winner=winner).write(folder / name / stream.market_id)))
    return paths


@pytest.mark.parametrize("seconds", [0.0, 1000.0])
@pytest.mark.parametrize("turned", [False, True])
def test_of_copies_that_differ_the_one_with_the_lowest_name_counts_whichever_is_done_first(
    backer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, turned: bool
) -> None:
    files = differing_copies(tmp_path)
    wanted = swept(backer, [each for each in files if "/a/" in each or each.endswith("2")], orders=True)
    monkeypatch.setattr(sweep_store, "_SECONDS", seconds)
    chosen = list(reversed(files)) if turned else files
    told: list[tuple[int, int]] = []
    sweep = swept(
        backer, chosen, orders=True, out=tmp_path / "out", progress=lambda done, total, _: told.append((done, total))
    )
    assert told[-1] == (10, 10)
    assert sweep.digest == wanted.digest
    assert sweep.table.drop_columns(["failures"]).equals(wanted.table.drop_columns(["failures"]))
    assert sweep.markets.equals(wanted.markets)
    assert sweep.result(0).digest == wanted.result(0).digest
    assert [(row["market_id"], row["unit"], row["set"]) for row in sweep.failures.to_pylist()] == [
        (f"1.40000000{number}", f"{tmp_path}/b/1.40000000{number}", None) for number in range(2)
    ]
    assert f"is in {tmp_path}/a/1.400000000 as well" in sweep.failures["message"][0].as_py()
    held = swept(backer, chosen, orders=True)
    assert_equal(held, sweep)
    assert_equal(hr.SweepResult.load(tmp_path / "out"), sweep)


@pytest.mark.parametrize("after", [6, 7, 8, 9, 10])
def test_a_better_copy_that_comes_after_a_sweep_went_on_counts(
    backer: Any, tmp_path: Path, each_part_at_once: None, after: int
) -> None:
    files = differing_copies(tmp_path)
    whole = swept(backer, files)
    broken_off(backer, files, tmp_path / "out", after=after)
    resumed = swept(backer, files, out=tmp_path / "out", resume=True)
    assert_equal(resumed, whole)
    assert_equal(swept(backer, files, out=tmp_path / "out", resume=True), whole)


def test_of_copies_in_one_batch_the_one_with_the_lowest_name_counts(backer: Any, tmp_path: Path) -> None:
    files = differing_copies(tmp_path)
    sets = [backer(stake=2.0), backer(stake=3.0)]
    units = plan_sweep(files, sets, 1)
    runner = SweepRunner(Setup(sets, [hr.SimulatedClient()], hr.Config()), False)
    for chosen in (units, units[::-1]):
        part = runner.run(Batch(0, tuple(chosen)))
        won = {
            f"1.40000000{number}": f"{tmp_path}/{'b' if number == 2 else 'a'}/1.40000000{number}" for number in range(3)
        }
        assert dict(part.markets) == won
        assert {unit for _, unit in part.copies} == {f"{tmp_path}/b/1.40000000{number}" for number in range(2)}
        assert sorted((row[2], row[-1]) for row in part.rows["markets"]) == [
            (market_id, number) for market_id in sorted(won) for number in (0, 1)
        ]


@pytest.mark.ray
def test_a_killed_driver_of_a_sweep_is_resumed_to_what_an_undisturbed_sweep_gives(
    ray_local: None, backer: Any, markets: list[str], whole: hr.SweepResult, tmp_path: Path
) -> None:
    import ray

    out = tmp_path / "out"
    script = tmp_path / "driver.py"
    code = DRIVER.format(folder=str(tmp_path), grid=GRID, markets=markets, out=str(out))
    script.write_text(code, encoding="utf-8")
    joined = {**os.environ, "RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=joined) as broken:
        assert broken.stdout is not None
        assert broken.stdout.readline() != ""  # something is done
        broken.kill()
        broken.wait(LIMIT)
    assert not json.loads((out / "manifest.json").read_text())["finished"]
    assert list((out / "commits").iterdir())
    resumed = swept(backer, markets, engine="ray", out=out, resume=True)
    assert_equal(resumed, whole)


# -- many rows -------------------------------------------------------------------------------------------------------


def test_rows_that_do_not_fit_in_the_process_lie_in_a_folder_that_goes_with_the_result(
    backer: Any, markets: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = [{"stake": stake, "mood": mood} for stake in (2.0, 50.0) for mood in ("calm", "broken")]
    whole = swept(backer, markets, parameters=sets, orders=True)
    monkeypatch.setattr(sweep_store, "MOST_IN_PART", 7)
    monkeypatch.setattr("headrace.results.sweep_rows.MOST_ROWS", 3)
    monkeypatch.setattr("headrace.results.sweep_measures.MOST_ROWS", 3)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    found = swept(backer, markets, parameters=sets, orders=True)
    (folder,) = (tmp_path / "temporary").iterdir()
    assert len(list(folder.rglob("markets/*.parquet"))) > 3
    assert_equal(found, whole)
    assert (repr(found), found._repr_html_()) == (repr(whole), whole._repr_html_())
    assert found.best() == whole.best()
    assert found.scores("net_profit") == whole.scores("net_profit")
    found.to_html(tmp_path / "found.html")
    whole.to_html(tmp_path / "whole.html")
    for section in ("sets", "profit", "heatmaps", "failures", "violations"):
        assert section_of(tmp_path / "found.html", section) == section_of(tmp_path / "whole.html", section) != ""
    assert found.result(0).orders.equals(whole.result(0).orders)
    travelled = pickle.loads(pickle.dumps(found))
    del found
    assert list((tmp_path / "temporary").iterdir()) == []
    assert_equal(travelled, whole)


def test_no_room_for_rows_is_said_with_what_helps(
    backer: Any, markets: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, little_room: None
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(hr.RunError, match=r"no temporary folder can be made .*give it out="):
        swept(backer, markets)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def full(folder: Folder, name: str, content: bytes) -> None:
        if name.endswith(".parquet"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Folder, "_write", full)
    with pytest.raises(hr.RunError, match=r"No space left on device; .*give it out="):
        swept(backer, markets)


def test_rows_of_some_sets_and_columns_are_those_of_the_whole_table(
    backer: Any, markets: list[str], tmp_path: Path, little_room: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.results.sweep_rows.MOST_ROWS", 8)
    sweep = swept(backer, markets, out=tmp_path / "out")
    rows = [row for row in sweep.markets.to_pylist() if row["set"] in (1, 4)]
    assert sweep.rows("markets", sets=[4, 1]).to_pylist() == rows
    chosen = sweep.rows("markets", sets=[1, 4], columns=["market_id", "net_profit", "in_sample"])
    assert chosen.to_pylist() == [{name: row[name] for name in chosen.column_names} for row in rows]
    pieces = list(sweep.pieces("markets", columns=["set", "net_profit"]))
    assert len(pieces) == 6
    assert [row for piece in pieces for row in piece.to_pylist()] == [
        {name: row[name] for name in ("set", "net_profit")} for row in sweep.markets.to_pylist()
    ]
    with pytest.raises(hr.InputError, match="sets 0 to 5"):
        sweep.rows("markets", sets=[6])
    with pytest.raises(hr.InputError, match="no column 'nett'"):
        sweep.rows("markets", columns=["nett"])
    with pytest.raises(hr.InputError, match="no table 'bets'"):
        sweep.rows("bets")
    with pytest.raises(hr.InputError, match="orders=True"):
        sweep.rows("orders")


def test_failures_of_sets_to_which_no_market_comes_are_read_by_their_number(
    backer: Any, markets: list[str], tmp_path: Path, little_room: None
) -> None:
    sets = [{"market_filter": None}, {"market_filter": {"country_codes": ["XX"]}}]
    sweep = swept(backer, markets, parameters=sets, out=tmp_path / "out")
    (failure,) = sweep.rows("failures", sets=[1]).to_pylist()
    assert failure["message"].startswith("no market passes its filter")
    assert sweep.rows("failures", sets=[0]).num_rows == 0
    assert sweep.table["failures"].to_pylist() == [0, 1]
    assert_equal(hr.SweepResult.load(tmp_path / "out"), sweep)


def test_a_sweep_that_is_saved_can_be_loaded_and_has_nothing_left_to_do(
    backer: Any, markets: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "1.399999999"
    broken.write_text("no market at all\n")
    files = [*markets, str(broken)]
    monkeypatch.setattr("headrace.results.saved_sweep.MOST_ROWS", 17)
    sweep = swept(backer, files, orders=True)
    sweep.save(tmp_path / "saved")
    assert len(list((tmp_path / "saved" / "commits").iterdir())) > 2
    assert_equal(hr.SweepResult.load(tmp_path / "saved"), sweep)
    seen: list[int] = []
    again = swept(
        backer, files, orders=True, out=tmp_path / "saved", resume=True, progress=lambda done, *_: seen.append(done)
    )
    assert seen == []
    assert_equal(again, sweep)


def test_a_sweep_that_was_saved_before_its_end_is_not_resumed(backer: Any, markets: list[str], tmp_path: Path) -> None:
    class Stopper(backer):  # type: ignore[misc]
        def process_market_book(self, market: Any, book: Any) -> None:
            market.framework.stop()

    swept(Stopper, markets).save(tmp_path / "saved")
    with pytest.raises(hr.InputError, match="saved before it had come to its end"):
        swept(Stopper, markets, out=tmp_path / "saved", resume=True)
    assert hr.SweepResult.load(tmp_path / "saved").markets.num_rows


# -- damage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["markets", "violations", "commits"])
@pytest.mark.parametrize("saved", [False, True])
def test_damage_of_a_sweep_is_named_dropped_and_done_again(
    backer: Any, markets: list[str], whole: hr.SweepResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    each_part_at_once: None, table: str, saved: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr("headrace.results.saved_sweep.MOST_ROWS", 17)
    out = tmp_path / "out"
    if saved:
        swept(backer, markets).save(out)
    else:
        swept(backer, markets, out=out)
    path = sorted((out / table).iterdir())[0]
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(hr.InputError, match=rf"{table}/{path.name} cannot be read: .*`headrace repair .*out` drops"):
        hr.SweepResult.load(out).rows("violations" if table == "commits" else table)

    repaired = CliRunner().invoke(main, ["repair", str(out)])
    assert repaired.exit_code == 0, repaired.output
    assert f"dropped: {table}/{path.name}: " in repaired.stdout
    assert repaired.stdout.endswith("the same run with --resume replays what was dropped\n")
    assert not (out / "sets.parquet").exists()
    kept = hr.SweepResult.load(out)
    assert kept.manifest["finished"] is False
    assert 0 < kept.markets.num_rows < whole.markets.num_rows

    assert_equal(swept(backer, markets, out=out, resume=True), whole)
    assert_equal(hr.SweepResult.load(out), whole)
    assert hr.repair(out) == []


def test_damage_of_what_cannot_go_on_is_told_and_nothing_is_dropped(
    backer: Any, markets: list[str], tmp_path: Path
) -> None:
    sweep = swept(backer, markets)
    joined = hr.SweepResult.joined([sweep], {"by": "net_profit", "rounds": [[*range(6)]], "scores": [1.0] + [None] * 5})
    joined.save(tmp_path / "search")
    (path,) = (tmp_path / "search" / "markets").iterdir()
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(hr.InputError, match=r"a search cannot be resumed: run it again; markets/"):
        hr.repair(tmp_path / "search")
    assert len(list((tmp_path / "search" / "commits").iterdir())) == 1
    with pytest.raises(hr.InputError, match="it holds a search"):
        swept(backer, markets, out=tmp_path / "search", resume=True)


# -- command ---------------------------------------------------------------------------------------------------------


def test_command_goes_on_with_the_same_sweep_and_refuses_another(
    backer: Any, markets: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, each_part_at_once: None
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    out = tmp_path / "out"
    words = ["sweep", f"{tmp_path / 'backer.py'}:Moody", "--engine", "local", "-p", "stake=2,3", "-q"]
    words += [word for path in markets for word in ("-m", path)]
    whole = CliRunner().invoke(main, [*words, "--out", str(out)])
    assert whole.exit_code == 0, whole.output
    gone = sorted((out / "commits").iterdir())[0]
    gone.unlink()
    went_on = CliRunner().invoke(main, [*words, "--out", str(out), "--resume"])
    assert went_on.exit_code == 0, went_on.output
    assert gone.exists()
    assert went_on.stdout == whole.stdout
    refused = CliRunner().invoke(main, [*words, "--out", str(out), "--resume", "-p", "runners=1"])
    assert refused.exit_code == 2
    assert "its sets name stake and now stake, runners" in refused.stderr
    for more in (["--resume"], ["--resume", "--out", str(out), "--search", "3"]):
        assert CliRunner().invoke(main, [*words, *more]).exit_code == 2
    sys.modules.pop("backer", None)
