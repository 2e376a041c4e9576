"""Failures are shown by place: one story for an error of a line, however many markets tell it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import headrace as hr
from builders import priced, write
from headrace.cli import main
from headrace.results.failure_groups import grouped_failures

CODE = """
from pathlib import Path

import headrace as hr


class Reads(hr.Strategy):
    model: str = "model.txt"

    def process_new_market(self, market, book):
        self.record(market, factor=float(Path(self.model).read_text()))


class Picky(hr.Strategy):
    def process_new_market(self, market, book):
        if market.market_id.endswith("7"):
            raise LookupError("no sevens")
        assert not market.market_id.endswith("8"), "no eights"
        raise ValueError("none at all")
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    path = tmp_path / "reading_strategy.py"
    path.write_text(CODE)
    return path


@pytest.fixture(scope="module")
def sixty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sixty")
    write(folder, *(priced(market_id=f"1.2{number:08d}").touch(400).close() for number in range(60)))
    return folder


def strategy(code: Path, name: str, **keywords: Any) -> hr.Strategy:
    from headrace.loading import load_strategy

    return load_strategy(f"{code}:{name}")(**keywords)


def row(**fields: Any) -> dict[str, Any]:
    plain = {"strategy": None, "market_id": None, "line": None, "count": 1, "error_type": "RecordingError"}
    return {**plain, "message": "is broken", "unit": "file", "traceback": "", "command": "", **fields}


def test_rows_of_one_line_are_one_place_and_the_most_frequent_comes_first() -> None:
    rows = [
        row(strategy="A", market_id="1.1", line="a.py:3", error_type="KeyError", message="'x'"),
        row(strategy="A", market_id="1.1", line="a.py:9", error_type="KeyError", message="'x'", count=2),
        row(strategy="A", market_id="1.2", line="a.py:9", error_type="KeyError", message="'y'", count=5),
        row(strategy="B", market_id="1.2", line="a.py:9", error_type="KeyError", message="'y'"),
        row(line="one:7", unit="one", message="one is broken"),
        row(line="two:1", unit="two", message="two is broken"),
    ]
    assert [(place.line, place.rows) for place in grouped_failures(rows)] == [
        ("A 1.1: KeyError: 'x' (7 times in 2 markets), at a.py:9", 2),
        ("RecordingError: one is broken (2 times in 2 markets), at one:7", 2),
        ("A 1.1: KeyError: 'x', at a.py:3", 1),
        ("B 1.2: KeyError: 'y', at a.py:9", 1),
    ]


def test_failures_of_sets_name_the_first_and_count_them() -> None:
    rows = [row(strategy="A", market_id="1.1", line="a.py:3", set=number) for number in (4, 2)]
    (place,) = grouped_failures(rows)
    assert place.line == "set 4 market 1.1: RecordingError: is broken (2 times in 2 sets), at a.py:3"


# -- on the terminal and in logs -------------------------------------------------------------------------------------


def test_cli_shows_a_line_per_place(code: Path, sixty: Path) -> None:
    result = CliRunner().invoke(main, ["backtest", f"{code}:Picky", "-m", str(sixty), "--engine", "local", "-q"])
    assert result.exit_code == 1
    failed = [line for line in result.output.splitlines() if line.startswith("failed:")]
    lines = [number for number, line in enumerate(CODE.splitlines(), 1) if "raise" in line or "assert" in line]
    assert failed == [
        f"failed: Picky 1.200000000: ValueError: none at all (48 times in 48 markets), at {code}:{lines[2]}",
        f"failed: Picky 1.200000007: LookupError: no sevens (6 times in 6 markets), at {code}:{lines[0]}",
        f"failed: Picky 1.200000008: AssertionError: no eights (6 times in 6 markets), at {code}:{lines[1]}",
    ]


def test_cli_logs_one_traceback_per_place_and_leaves_commands_as_they_are(
    code: Path, sixty: Path, written: io.StringIO
) -> None:
    words = ["backtest", f"{code}:Reads", "-m", str(sixty), "--engine", "local", "-q", "-p", "model=resume=True"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert written.getvalue().count("Traceback") == 1
    assert "Traceback" not in result.output
    assert "again: headrace backtest" in result.output
    assert "--parameter model=resume=True " in result.output


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What the loggers write where the run was started."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logging.getLogger("headrace").addHandler(handler)
    yield stream
    logging.getLogger("headrace").removeHandler(handler)


def test_one_traceback_per_place_is_logged(engine: str, code: Path, sixty: Path, written: io.StringIO) -> None:
    result = hr.backtest(strategy(code, "Picky"), sixty, engine=engine)  # type: ignore[arg-type]
    assert result.failures.num_rows == 60
    text = written.getvalue()
    assert text.count("Traceback") == 3
    assert [text.count(f"{kind} in {code}:") for kind in ("ValueError", "LookupError", "AssertionError")] == [1, 1, 1]


def test_where_nobody_has_set_up_logging_one_traceback_per_place_goes_to_standard_error(
    code: Path, sixty: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    try:
        hr.backtest(strategy(code, "Picky"), sixty, engine="local", progress=False)
    finally:
        root.handlers = handlers
    assert capfd.readouterr().err.count("Traceback") == 3
    assert logging.getLogger("headrace").handlers == []


def test_the_log_of_the_folder_has_every_line(code: Path, sixty: Path, tmp_path: Path) -> None:
    hr.backtest(strategy(code, "Picky"), sixty, engine="local", out=tmp_path / "out")
    lines = [json.loads(line) for path in (tmp_path / "out/logs").iterdir() for line in path.read_text().splitlines()]
    assert sum("none at all" in line["message"] for line in lines) == 48


# -- runs that stop --------------------------------------------------------------------------------------------------


def test_a_run_whose_first_units_fail_alike_says_the_error_and_where(engine: str, code: Path, sixty: Path) -> None:
    with pytest.raises(hr.RunError) as caught:
        hr.backtest(strategy(code, "Reads", model="/nowhere/factor"), sixty, engine=engine)  # type: ignore[arg-type]
    first, again = str(caught.value).splitlines()
    assert "units all failed alike, the run stops: Reads 1.2000000" in first
    assert "FileNotFoundError: [Errno 2] No such file or directory: '/nowhere/factor' (" in first
    line = CODE.splitlines().index("        self.record(market, factor=float(Path(self.model).read_text()))") + 1
    assert first.endswith(f", at {code}:{line}")
    assert again.startswith("  again: hr.backtest(Reads(model='/nowhere/factor'), '")
    # The log has shown the traceback; Python shows it with the error.
    (note,) = caught.value.__notes__
    assert "Traceback (most recent call last):" in note
    assert "self.record(market, factor=float(" in note


def test_a_stopped_run_keeps_its_failures_and_goes_on_once_it_is_put_right(
    engine: str, code: Path, sixty: Path, tmp_path: Path
) -> None:
    model, out = tmp_path / "factor", tmp_path / "out"

    def run(resume: bool = False, folder: Path = out) -> hr.Result:
        made = strategy(code, "Reads", model=str(model))
        return hr.backtest(made, sixty, engine=engine, out=folder, resume=resume)  # type: ignore[arg-type]

    with pytest.raises(hr.RunError, match=f"the failures are in {out}"):
        run()
    kept = hr.Result.load(out)
    assert kept.failures.num_rows >= 50
    assert set(kept.failures["error_type"].to_pylist()) == {"FileNotFoundError"}
    assert "FileNotFoundError" in kept.manifest["stopped"]["reason"]
    with pytest.raises(hr.RunError, match="failed alike"):
        run(resume=True)
    model.write_text("1.5")
    whole = run(resume=True)
    assert whole.failures.num_rows == 0
    assert whole.records.num_rows == 60
    loaded = hr.Result.load(out)
    assert "stopped" not in loaded.manifest
    assert loaded.digest == whole.digest == run(folder=tmp_path / "afresh").digest


def test_a_stopped_run_goes_on_with_another_source_where_it_holds_nothing_else(
    code: Path, sixty: Path, tmp_path: Path
) -> None:
    words = ["backtest", f"{code}:Reads", "-m", str(sixty), "--engine", "local", "-q", "--out", str(tmp_path / "out")]
    stopped = CliRunner().invoke(main, words)
    assert stopped.exit_code == 1
    code.write_text(CODE.replace("float(Path(self.model).read_text())", "2.0"))
    result = CliRunner().invoke(main, [*words, "--resume"])
    assert result.exit_code == 0, result.output
    assert hr.Result.load(tmp_path / "out").records.num_rows == 60


def test_what_was_good_before_a_stop_is_kept_and_still_the_same_run_only(
    code: Path, sixty: Path, tmp_path: Path
) -> None:
    """Ten units are done; a later run stops at the other fifty."""
    model, out = tmp_path / "factor", tmp_path / "out"
    model.write_text("1.5")

    def run(resume: bool) -> hr.Result:
        made = strategy(code, "Reads", model=str(model))
        return hr.backtest(made, sixty, engine="local", out=out, resume=resume)

    run(resume=False)
    commits = sorted((out / "commits").iterdir(), key=lambda path: json.loads(path.read_text())["number"])
    assert len(json.loads(commits[0].read_text())["units"]) == 50
    commits[0].unlink()
    model.unlink()
    with pytest.raises(hr.RunError, match="failed alike"):
        run(resume=True)
    assert hr.Result.load(out).records.num_rows == 10
    code.write_text(CODE + "\n# edited\n")
    with pytest.raises(hr.InputError, match="or of other code that it was given, has changed"):
        run(resume=True)
    code.write_text(CODE)
    model.write_text("1.5")
    assert run(resume=True).records.num_rows == 60


def test_a_stopped_sweep_keeps_its_failures(code: Path, sixty: Path, tmp_path: Path) -> None:
    from headrace.loading import load_strategy

    kind = load_strategy(f"{code}:Reads")
    with pytest.raises(hr.RunError, match="failed alike") as caught:
        hr.sweep(kind, {"model": ["/nowhere/a", "/nowhere/b"]}, sixty, engine="local", out=tmp_path / "out")
    assert f"the failures are in {tmp_path / 'out'}" in str(caught.value)
    assert hr.SweepResult.load(tmp_path / "out").failures.num_rows == 100
