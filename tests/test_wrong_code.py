"""Errors of the user's own code, full disks and interrupts on the command line: a sentence and an exit code each."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from click.testing import CliRunner

import headrace as hr
from builders import priced
from command import call
from headrace.cli import main
from headrace.loading import load_strategy
from headrace.results.folders import Folder

CODE = """\
import json

import headrace as hr


class Plain(hr.Strategy):
    stake: float = 2.0

    def check_market_book(self, market, book):
        return book.status == "OPEN" and not market.blotter.active

    def process_market_book(self, market, book):
        trade = hr.Trade(market.market_id, 1, 0, self)
        market.place_order(trade.create_order("BACK", hr.LimitOrder(2.0, self.stake)))


class FailsInAdd(Plain):
    def add(self, framework):
        json.loads("no JSON")  # add


class FailsInFinish(Plain):
    def finish(self, framework):
        {}["missing"]  # finish


class FailsInStart(Plain):
    def start(self, framework):
        open("/no/such/file")  # start


class FailsInInit(Plain):
    def __init__(self, **keywords):
        super().__init__(**keywords)
        self.model = 1 / 0  # init


class TakesNoKeywords(Plain):
    def __init__(self):
        super().__init__()


class Mutable(hr.Strategy):
    stakes: list[float] = [2.0]


class UnknownFilter(Plain):
    def __init__(self, **keywords):
        super().__init__(market_filter={"event_type_id": ["7"]}, **keywords)


class NamedAlike(Plain):
    def __init__(self, **keywords):
        super().__init__(**{**keywords, "name": "one name"})


class NamedAlikeToo(NamedAlike):
    pass


class EndsInAnExit(Plain):
    def start(self, framework):
        raise hr.InputError("the model is missing: give --file model.json")
"""


def line_of(mark: str, code: str = CODE) -> int:
    """The line of the code that ends in this mark."""
    return next(number for number, line in enumerate(code.splitlines(), 1) if line.endswith(f"# {mark}"))


@pytest.fixture
def code(tmp_path: Path) -> Path:
    path = tmp_path / "code" / "wrong_code.py"
    path.parent.mkdir()
    path.write_text(CODE)
    return path


@pytest.fixture
def markets(tmp_path: Path) -> Path:
    folder = tmp_path / "markets"
    folder.mkdir()
    priced(market_id="1.200000000").touch(400).close(1_000_000).write(folder / "1.200000000")
    return folder


CASES: dict[str, tuple[str, int, str]] = {
    "add": ("FailsInAdd", 1, "strategy 'FailsInAdd' failed in add(): JSONDecodeError: Expecting value: line 1"),
    "start": ("FailsInStart", 1, "strategy 'FailsInStart' failed in start(): FileNotFoundError"),
    "init": ("FailsInInit", 2, "FailsInInit cannot be made: its __init__ failed: ZeroDivisionError: division by zero"),
    "no keywords": ("TakesNoKeywords", 2, "its __init__ must take keywords and pass them on"),
    "mutable default": ("Mutable", 2, "Mutable.stakes = [2.0]: a default that can change"),
    "unknown filter key": ("UnknownFilter", 2, "has no key 'event_type_id'; did you mean 'event_type_ids'?"),
}  # fmt: skip


@pytest.mark.parametrize("command", ["backtest", "sweep"])
@pytest.mark.parametrize(("name", "exit_code", "said"), CASES.values(), ids=CASES)
def test_error_before_the_first_market_is_one_sentence(
    code: Path, markets: Path, command: str, name: str, exit_code: int, said: str
) -> None:
    parameter = "stakes=2" if name == "Mutable" else "stake=2"
    ended = call(command, f"{code}:{name}", "-m", markets, "--engine", "local", "-p", parameter)
    if command == "sweep":
        said = said.replace("strategy 'FailsInAdd'", "FailsInAdd")
    assert said in ended.stderr
    assert ended.exit_code == exit_code
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize(("name", "mark"), [("FailsInAdd", "add"), ("FailsInStart", "start"), ("FailsInInit", "init")])
def test_error_names_the_line_of_the_users_code(code: Path, markets: Path, name: str, mark: str) -> None:
    ended = call("backtest", f"{code}:{name}", "-m", markets, "--engine", "local")
    assert f"({code}:{line_of(mark)})" in ended.stderr


def test_check_of_a_class_that_cannot_be_made_says_so(code: Path) -> None:
    assert (
        f"ZeroDivisionError: division by zero ({code}:{line_of('init')})" in call("check", f"{code}:FailsInInit").stderr
    )
    assert call("check", f"{code}:Mutable").exit_code == 1


def test_refused_parameter_is_not_called_an_error_of_init(code: Path, markets: Path) -> None:
    ended = call("backtest", f"{code}:UnknownFilter", "-m", markets, "-p", "stake=much")
    assert ended.exit_code == 2
    assert "UnknownFilter.stake = 'much': expected a number" in ended.stderr


def test_error_in_finish_is_a_failure_and_hides_nothing(code: Path, markets: Path, tmp_path: Path) -> None:
    ended = call("backtest", f"{code}:FailsInFinish", f"{code}:Plain", "-m", markets, "--out", tmp_path / "out")
    assert ended.exit_code == 1
    place = f"{code}:{line_of('finish')}"
    assert f"failed: FailsInFinish: KeyError: 'missing', at {place}" in ended.stdout
    assert "net profit" in ended.stdout
    kept = hr.Result.load(tmp_path / "out")
    assert [(row["strategy"], row["line"]) for row in kept.failures.to_pylist()] == [("FailsInFinish", place)]
    assert kept.digest in ended.stdout
    again = call(
        "backtest", f"{code}:FailsInFinish", f"{code}:Plain", "-m", markets, "--out", tmp_path / "out", "--resume"
    )
    assert again.exit_code == 1
    assert hr.Result.load(tmp_path / "out").failures.num_rows == 1


def test_error_in_finish_leaves_the_result_in_memory_and_other_strategies_finish(code: Path, markets: Path) -> None:
    finished: list[str] = []

    class Finishes(hr.Strategy):
        def finish(self, framework: Any) -> None:
            finished.append(self.name)

    failing = load_strategy(f"{code}:FailsInFinish")(name="fails")
    result = hr.backtest([failing, Finishes()], markets, engine="local")
    assert finished == ["Finishes"]
    assert result.orders.num_rows > 0
    assert [(row["strategy"], row["error_type"]) for row in result.failures.to_pylist()] == [("fails", "KeyError")]
    with pytest.raises(KeyError):
        hr.backtest(
            load_strategy(f"{code}:FailsInFinish")(), markets, engine="local", config=hr.Config(raise_errors=True)
        )


@pytest.mark.parametrize("mark", ["add", "start", "finish"])
def test_raise_errors_shows_the_users_frames_only(code: Path, markets: Path, mark: str) -> None:
    name = f"FailsIn{mark.capitalize()}"
    words = ["backtest", f"{code}:{name}", "-m", str(markets), "--engine", "local", "--raise-errors"]
    ended = CliRunner().invoke(main, words)
    assert ended.exit_code == 1
    assert f'{code}", line {line_of(mark)}' in ended.stderr
    assert "headrace: the strategy failed: " in ended.stderr
    assert "/backtest.py" not in ended.stderr


def test_equal_names_are_refused(code: Path, markets: Path) -> None:
    ended = call("backtest", f"{code}:NamedAlike", f"{code}:NamedAlikeToo", "-m", markets)
    assert ended.exit_code == 2
    assert "two strategies are named 'one name'" in ended.stderr


def test_classes_of_one_name_are_numbered(code: Path, markets: Path, tmp_path: Path) -> None:
    other = tmp_path / "other_code.py"
    other.write_text(CODE)
    ended = call("backtest", f"{code}:Plain", f"{other}:Plain", "-m", markets)
    assert ended.exit_code == 0
    assert "Plain-1" in ended.stdout
    assert "Plain-2" in ended.stdout


# -- files that are named like modules -------------------------------------------------------------------------------

SHADOWS = ["ray", "pyarrow", "json", "queue", "msgspec", "headrace", "redis"]


@pytest.mark.parametrize("name", SHADOWS)
def test_strategy_file_may_be_named_like_a_module(name: str, markets: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    path = folder / f"{name}.py"
    path.write_text(CODE)
    before = sys.modules.get(name)
    assert call("backtest", f"{path}:Plain", "-m", markets, "--out", tmp_path / "out").exit_code == 0
    assert call("check", f"{path}:Plain").exit_code == 0
    if name != "redis":  # nothing of that name is installed: the file keeps it
        assert sys.modules.get(name) is not sys.modules[f"strategies_in_{name}"]
        assert before is None or sys.modules[name] is before


def test_files_beside_a_strategy_are_imported_but_not_in_place_of_modules(markets: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "ray.py").write_text("raise RuntimeError('this is not Ray')\n")
    (folder / "stakes_of_mine.py").write_text("STAKE = 3.0\n")
    path = folder / "beside_others.py"
    path.write_text(CODE.replace("import json\n", "import json\nfrom stakes_of_mine import STAKE\n"))
    script = (
        "from headrace.cli import main; import sys; sys.argv[1:] = sys.argv[1:]; "
        "main(standalone_mode=False); import ray; print(ray.__file__)"
    )
    words = ["check", f"{path}:Plain"]
    ran = subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path
    )
    assert ran.returncode == 0, ran.stderr
    assert str(folder) not in ran.stdout


def test_file_that_ends_the_program_is_refused(markets: Path, tmp_path: Path) -> None:
    path = tmp_path / "ends.py"
    path.write_text("import sys\nsys.exit(3)\n")
    ended = call("backtest", f"{path}:Plain", "-m", markets)
    assert ended.exit_code == 2
    assert "__main__" in ended.stderr


@pytest.mark.ray
def test_strategy_file_named_ray_runs_on_ray(markets: Path, tmp_path: Path, ray_local: None) -> None:
    path = tmp_path / "ray.py"
    path.write_text(CODE)
    ended = call("backtest", f"{path}:Plain", "-m", markets, "--engine", "ray")
    assert ended.exit_code == 0, ended.stderr


@pytest.mark.ray
def test_error_in_start_on_ray_is_one_sentence(code: Path, markets: Path, ray_local: None) -> None:
    ended = call("backtest", f"{code}:FailsInStart", "-m", markets, "--engine", "ray")
    assert ended.exit_code == 1
    assert f"({code}:{line_of('start')})" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


# -- full disks ------------------------------------------------------------------------------------------------------


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A disk on which so many writes of results succeed, and no more."""

    def fill(after: int) -> None:
        left = [after]
        write = Path.write_bytes

        def written(self: Path, content: bytes) -> int:
            if str(self).endswith(".part"):
                left[0] -= 1
                if left[0] < 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))
            return write(self, content)

        monkeypatch.setattr(Path, "write_bytes", written)

    return fill


@pytest.mark.parametrize("after", [0, 1, 3])
def test_full_disk_exits_1_and_says_so(code: Path, markets: Path, tmp_path: Path, full_disk: Any, after: int) -> None:
    full_disk(after)
    ended = call("backtest", f"{code}:Plain", "-m", markets, "--engine", "local", "--out", tmp_path / "out")
    assert ended.exit_code == 1
    assert "No space left on device" in ended.stderr


def test_full_disk_of_a_sweep_exits_1(code: Path, markets: Path, tmp_path: Path, full_disk: Any) -> None:
    full_disk(2)
    words = ["-m", markets, "-p", "stake=2,3", "--engine", "local", "--out", tmp_path / "out"]
    ended = call("sweep", f"{code}:Plain", *words)
    assert ended.exit_code == 1
    assert "No space left on device" in ended.stderr


@pytest.mark.parametrize("command", ["pack", "prices", "catalog"])
def test_full_disk_of_what_arrow_writes_exits_1(
    markets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    full = Mock(side_effect=OSError(errno.ENOSPC, "Error writing bytes. Detail: [errno 28] No space left on device"))
    monkeypatch.setattr("pyarrow.parquet.write_table", full)
    monkeypatch.setattr("pyarrow.parquet.ParquetWriter.write_table", full)
    words = {"pack": [markets, tmp_path / "new"], "prices": ["-m", markets, "--out", tmp_path / "new"]}
    ended = call(command, *words.get(command, [markets, "--out", tmp_path / "new"]))
    assert ended.exit_code == 1
    assert "No space left on device" in ended.stderr
    assert "Detail" not in ended.stderr


def test_folder_that_cannot_be_made_exits_2(code: Path, markets: Path, tmp_path: Path) -> None:
    ended = call("backtest", f"{code}:Plain", "-m", markets, "--out", code / "out")
    assert ended.exit_code == 2
    assert "cannot be written here" in ended.stderr


def test_what_was_written_before_the_disk_was_full_is_resumed(
    code: Path, markets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        market_id = f"1.30000000{number}"
        priced(market_id=market_id).touch(400).close(1_000_000).write(markets / market_id)
    monkeypatch.setattr(sys.modules["headrace.backtest"], "MAX_UNITS", 1)
    strategy = load_strategy(f"{code}:Plain")
    whole = hr.backtest(strategy(), markets, engine="local")
    out, write, left = tmp_path / "out", Folder.write, [6]

    def written(self: Folder, name: str, content: bytes) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise hr.RunError(f"{name} cannot be written: {os.strerror(errno.ENOSPC)}")
        write(self, name, content)

    monkeypatch.setattr(Folder, "write", written)
    with pytest.raises(hr.RunError, match="No space left"):
        hr.backtest(strategy(), markets, engine="local", out=out)
    left[0] = 1000
    assert 0 < len(hr.Result.load(out).markets) < 4
    assert hr.backtest(strategy(), markets, engine="local", out=out, resume=True).digest == whole.digest


@pytest.mark.ray
def test_result_that_workers_cannot_write_exits_1(code: Path, markets: Path, tmp_path: Path, ray_local: None) -> None:
    out = tmp_path / "out"
    breaking = code.with_name("breaking_code.py")
    # The folder of orders is a file: what workers write below it fails, as on a full disk.
    start = f"    def start(self, framework):\n        open({str(out / 'orders')!r}, 'w').close()\n"
    breaking.write_text(f"{CODE}\n\nclass Breaks(Plain):\n{start}")
    ended = call("backtest", f"{breaking}:Breaks", "-m", markets, "--engine", "ray", "--out", f"file://{out}")
    assert ended.exit_code == 1
    assert "cannot be written" in ended.stderr
    assert len([line for line in ended.stderr.splitlines() if line.startswith("headrace:")]) == 1


# -- interrupts ------------------------------------------------------------------------------------------------------

LONG = {
    "backtest": ["backtest", "{code}:Plain", "-m", "{markets}"],
    "sweep": ["sweep", "{code}:Plain", "-m", "{markets}", "-p", "stake=2,3"],
    "generate": ["generate", "-n", "3", "--out", "{new}"],
    "prices": ["prices", "-m", "{markets}", "--out", "{new}"],
    "catalog": ["catalog", "{markets}", "--out", "{new}"],
    "pack": ["pack", "{markets}", "{new}"],
    "report": ["report", "{result}"],
    "explain": ["explain", "{result}", "1"],
    "repair": ["repair", "{result}"],
    "check": ["check", "{code}:Plain"],
    "new": ["new", "{new}"],
    "unpack": ["unpack", "{packed}", "{new}"],
    "calibrate": ["calibrate", "{markets}"],
}
#: What each command spends its time in.
INSIDE = {
    "backtest": "headrace.simulate.replay.Replay.run",
    "sweep": "headrace.simulate.shared_replay.SharedReplay.run",
    "generate": "headrace.simulate.generator.write_markets",
    "prices": "headrace.archive.price_tables.PriceRunner.run",
    "catalog": "headrace.archive.catalog_writer.write_catalog",
    "pack": "headrace.archive.pack.PackRunner.run",
    "report": "headrace.results.result.Result.load",
    "explain": "headrace.results.result.Result.load",
    "repair": "headrace.results.repair.repair",
    "check": "headrace.loading.load_strategy",
    "new": "headrace.cli.first_strategy.write_first_strategy",
    "unpack": "headrace.archive.unpack.unpack",
    "calibrate": "headrace.simulate.session_script.SessionScript.__init__",
}


@pytest.mark.parametrize("command", LONG)
def test_ctrl_c_exits_130(
    command: str, code: Path, markets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: Any, **keywords: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(INSIDE[command], interrupted)
    places = {"code": code, "markets": markets, "new": tmp_path / "new", "result": tmp_path, "packed": tmp_path}
    ended = call(*(word.format(**places) for word in LONG[command]))
    assert ended.exit_code == 130
    assert ended.stderr.splitlines()[-1] == "headrace: stopped"


def test_every_command_is_interrupted_in_a_test() -> None:
    # In test_submission.py, test_exchange_command.py, test_live_in_use.py and test_journal_command.py.
    elsewhere = {"submit", "exchange", "live", "paper", "record", "journal"}
    assert {*LONG, *elsewhere} == set(main.commands)


def test_signal_ends_a_process_with_130(markets: Path, tmp_path: Path) -> None:
    path = tmp_path / "waits.py"
    mark = tmp_path / "begun"
    path.write_text(
        CODE + f"\n\nclass Waits(Plain):\n    def check_market_book(self, market, book):\n"
        f"        open({str(mark)!r}, 'w').close()\n        import time\n        time.sleep(30)\n"
    )
    headrace = str(Path(sys.executable).with_name("headrace"))
    ran = subprocess.Popen(
        [headrace, "backtest", f"{path}:Waits", "-m", str(markets), "--engine", "local"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    for _ in range(300):
        if mark.exists():
            break
        time.sleep(0.1)
    ran.send_signal(signal.SIGINT)
    _, said = ran.communicate(timeout=150)
    assert ran.returncode == 130, said
    assert said.splitlines()[-1] == "headrace: stopped"
    assert "Traceback" not in said


def test_script_beside_a_file_named_ray_is_told_so(markets: Path, tmp_path: Path) -> None:
    (tmp_path / "ray.py").write_text("")
    (tmp_path / "script.py").write_text(
        "import headrace as hr\n\n\ntry:\n"
        f"    hr.backtest(hr.Strategy(), {str(markets)!r}, engine='ray')\n"
        "except hr.InputError as error:\n    print(error)\n"
    )
    ran = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.stdout == f"{tmp_path / 'ray.py'} is imported in place of Ray; give it another name\n", ran.stderr
