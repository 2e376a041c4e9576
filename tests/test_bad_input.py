"""Broken recordings, wrong paths and failing strategies: each costs itself and nothing else, and says where it is."""

from __future__ import annotations

import bz2
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import headrace as hr
from builders import Stream, priced
from command import call
from common_strategies import BacksAtFirstPrices, source_of
from headrace.cli import main
from headrace.simulate.generator import write_markets


def market(market_id: str = "1.100000001", changes: int = 0) -> Stream:
    """A market of `changes` changes more than it takes to bet 2.00 at 2.0 and win 2.00."""
    stream = priced(market_id=market_id).touch(400)
    for number in range(changes):
        stream.prices(500 + number, {2: {"atl": [[1.9, number + 1.25]]}})
    return stream.close(1_000_000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one sound market, 1.200000000."""
    market("1.200000000").write(tmp_path / "1.200000000")
    return tmp_path


def run(markets: Any, **settings: Any) -> Any:
    return hr.backtest(BacksAtFirstPrices(), markets, engine="local", **settings)


def profits(result: Any) -> dict[str, float]:
    return {row["market_id"]: row["profit"] for row in result.markets.to_pylist()}


def failures(result: Any, *fields: str) -> list[tuple[Any, ...]]:
    return [tuple(row[field] for field in fields) for row in result.failures.to_pylist()]


# -- recordings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress], ids=["gz", "bz2"])
def test_truncated_file_is_a_failure_and_what_was_read_counts(folder: Path, pack: Callable[[bytes], bytes]) -> None:
    path = folder / "1.300000000"
    packed = pack(market("1.300000000", changes=20_000).text().encode())
    path.write_bytes(packed[: len(packed) - 200])
    result = run(folder)
    ((unit, line, error_type, count, message),) = failures(result, "unit", "line", "error_type", "count", "message")
    assert (unit, error_type, count) == (str(path), "RecordingError", 1)
    assert "damaged or cut short" in message
    rows = {row["market_id"]: row for row in result.markets.to_pylist()}
    assert line == f"{path}:{rows['1.300000000']['changes'] + 1}"
    assert rows["1.300000000"]["orders"] == 1
    assert rows["1.200000000"]["profit"] == 2.0


@pytest.mark.parametrize(("pack", "magic"), [(gzip.compress, 12), (bz2.compress, 14)], ids=["gz", "bz2"])
def test_corrupt_bytes_are_a_failure(folder: Path, pack: Callable[[bytes], bytes], magic: int) -> None:
    packed = bytearray(pack(market("1.300000000").text().encode()))
    packed[magic:] = b"\xff" * (len(packed) - magic)
    path = folder / "1.300000000"
    path.write_bytes(packed)
    result = run(folder)
    assert failures(result, "unit", "error_type", "count") == [(str(path), "RecordingError", 1)]
    assert profits(result) == {"1.200000000": 2.0}


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("this is no JSON", "is not JSON"),
        ('{"op":"mcm","pt":1700000000450,"mc":[', "is not JSON"),
        ('{"op":"mcm","pt":1700000000450,"mc":[{"id":"1.300000000","rc":[{"id":"one"}]}]}', "id is 'one'"),
        ('{"op":"mcm","pt":"yesterday","mc":[]}', "pt is 'yesterday'"),
        (
            '{"op":"mcm","pt":1700000000450,"mc":[{"id":"1.300000000","rc":[{"id":1,"atb":[[2.0]]}]}]}',
            "expected a list of 2",
        ),
        ("[1, 2, 3]", "expected an object"),
        ("\x00\x01\x02", "is not JSON"),
    ],
    ids=["text", "cut", "runner-id", "publish-time", "level", "array", "bytes"],
)
def test_bad_line_is_left_out_and_named(folder: Path, bad: str, why: str) -> None:
    lines = market("1.300000000").text().splitlines()
    path = folder / "1.300000000"
    path.write_text("\n".join([*lines[:2], bad, *lines[2:]]) + "\n")
    result = run(folder)
    ((line, error_type, message),) = failures(result, "line", "error_type", "message")
    assert (line, error_type) == (f"{path}:3", "RecordingError")
    assert why in message
    assert profits(result) == {"1.200000000": 2.0, "1.300000000": 2.0}


def test_each_bad_line_has_its_row(folder: Path) -> None:
    lines = market("1.300000000").text().splitlines()
    path = folder / "1.300000000"
    path.write_text("\n".join([lines[0], "x", lines[1], "y", *lines[2:]]) + "\n")
    assert failures(run(folder), "line") == [(f"{path}:2",), (f"{path}:4",)]


def test_blank_lines_and_heartbeats_are_no_failures(tmp_path: Path) -> None:
    lines = market().text().splitlines()
    heartbeat = json.dumps({"op": "mcm", "clk": "A", "pt": 1_700_000_000_050, "ct": "HEARTBEAT"})
    path = tmp_path / "1.100000001"
    path.write_text("\n".join([lines[0], "", heartbeat, *lines[1:], "", ""]))
    result = run(path)
    assert failures(result, "message") == []
    assert profits(result) == {"1.100000001": 2.0}


def test_unknown_keys_do_no_harm(tmp_path: Path) -> None:
    lines = [json.loads(line) for line in market().text().splitlines()]
    for line in lines:
        line["recorder"] = "mine"
        line["mc"][0]["new"] = {"a": [1]}
    path = tmp_path / "1.100000001"
    path.write_text("\n".join(map(json.dumps, lines)))
    assert profits(run(path)) == {"1.100000001": 2.0}


def test_market_without_definition_is_a_failure(folder: Path) -> None:
    lines = [line for line in market("1.300000000").text().splitlines() if "marketDefinition" not in line]
    path = folder / "1.300000000"
    path.write_text("\n".join(lines))
    result = run(folder)
    ((line, market_id, error_type, message),) = failures(result, "line", "market_id", "error_type", "message")
    assert (line, market_id, error_type) == (f"{path}:1", "1.300000000", "RecordingError")
    assert "no market definition" in message
    assert profits(result) == {"1.200000000": 2.0}


def test_changes_before_the_definition_are_left_out_and_named(folder: Path) -> None:
    lines = market("1.300000000").text().splitlines()
    path = folder / "1.300000000"
    path.write_text("\n".join([lines[1], lines[0], *lines[1:]]))
    result = run(folder)
    assert failures(result, "line", "market_id", "count") == [(f"{path}:1", "1.300000000", 1)]
    assert profits(result) == {"1.200000000": 2.0, "1.300000000": 2.0}


def test_empty_file_is_a_failure(folder: Path) -> None:
    path = folder / "1.300000000"
    path.write_bytes(b"")
    result = run(folder)
    ((unit, error_type, message),) = failures(result, "unit", "error_type", "message")
    assert (unit, error_type) == (str(path), "RecordingError")
    assert "is empty" in message
    assert profits(result) == {"1.200000000": 2.0}


def test_file_without_market_changes_is_a_failure(folder: Path) -> None:
    path = folder / "1.300000000"
    path.write_text('{"op":"connection"}\n')
    result = run(folder)
    assert failures(result, "unit", "error_type") == [(str(path), "RecordingError")]
    assert profits(result) == {"1.200000000": 2.0}


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_unreadable_file_is_a_failure(folder: Path) -> None:
    path = market("1.300000000").write(folder / "1.300000000")
    os.chmod(path, 0)
    result = run(folder)
    ((unit, message),) = failures(result, "unit", "message")
    assert unit == path
    assert "cannot be read" in message
    assert profits(result) == {"1.200000000": 2.0}


def test_market_of_two_files_of_an_event_counts_once(tmp_path: Path) -> None:
    class ByEvent(BacksAtFirstPrices):
        scope = "event"

    first = market().write(tmp_path / "1.100000001")
    second = market().write(tmp_path / "copy-of-1.100000001")
    result = hr.backtest(ByEvent(), [first, second], engine="local")
    ((line, market_id, message),) = failures(result, "line", "market_id", "message")
    assert (line, market_id) == (f"{second}:1", "1.100000001")
    assert first in message
    assert profits(result) == {"1.100000001": 2.0}


def test_broken_file_of_an_event_leaves_its_other_markets_alone(tmp_path: Path) -> None:
    class ByEvent(BacksAtFirstPrices):
        scope = "event"

    sound = market("1.200000000").write(tmp_path / "1.200000000")
    broken = tmp_path / "1.300000000"
    broken.write_text("no JSON\n" + market("1.300000000").text())
    result = hr.backtest(ByEvent(), [sound, broken], engine="local")
    assert {row["line"] for row in result.failures.to_pylist()} == {f"{broken}:1"}
    assert profits(result) == {"1.200000000": 2.0, "1.300000000": 2.0}


@pytest.mark.parametrize("compatibility", [None, "flumine"])
def test_bad_lines_are_left_out_under_both_rules(tmp_path: Path, compatibility: Any) -> None:
    lines = market().text().splitlines()
    path = tmp_path / "1.100000001"
    path.write_text("\n".join(["{", *lines[:2], "}", *lines[2:]]))
    result = run(path, config=hr.Config(compatibility=compatibility))
    assert failures(result, "line") == [(f"{path}:1",), (f"{path}:4",)]
    assert profits(result) == {"1.100000001": 2.0}


# -- paths -----------------------------------------------------------------------------------------------------------


def test_missing_path_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(hr.InputError, match="no-such-file: no such file or folder"):
        run(tmp_path / "no-such-file")


def test_empty_folder_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(hr.InputError, match="holds no files"):
        run(tmp_path)


def test_pattern_without_a_match_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(hr.InputError, match=r"\*\.bz2: the pattern matches no file"):
        run(str(tmp_path / "*.bz2"))


@pytest.mark.parametrize("markets", [[], [3], [None]])
def test_markets_that_are_no_paths_are_an_input_error(markets: Sequence[Any]) -> None:
    with pytest.raises(hr.InputError, match=r"give a path, a folder, a pattern"):
        run(markets)


def test_file_named_twice_is_read_once(folder: Path) -> None:
    result = run([folder, folder / "1.200000000", str(folder / "1.*")])
    assert profits(result) == {"1.200000000": 2.0}
    assert result.markets.num_rows == 1


def test_hidden_files_are_left_out(folder: Path) -> None:
    (folder / ".DS_Store").write_bytes(b"\x00")
    assert failures(run(folder), "unit") == []


# -- strategies ------------------------------------------------------------------------------------------------------


class Failing(BacksAtFirstPrices):
    def process_market_book(self, market: Any, book: Any) -> None:
        super().process_market_book(market, book)
        raise KeyError("favourite")


class AlwaysFailing(hr.Strategy):
    def check_market_book(self, market: Any, book: Any) -> bool:
        raise ZeroDivisionError("nothing to divide by")


def test_strategy_that_raises_is_a_row_with_line_and_count(folder: Path) -> None:
    result = hr.backtest(AlwaysFailing(), folder, engine="local")
    (row,) = result.failures.to_pylist()
    file, line = row["line"].rsplit(":", 1)
    source = Path(file).read_text().splitlines()[int(line) - 1]
    assert (file, source.strip()) == (__file__, 'raise ZeroDivisionError("nothing to divide by")')
    assert (row["strategy"], row["market_id"], row["count"]) == ("AlwaysFailing", "1.200000000", 3)
    assert (row["error_type"], row["message"]) == ("ZeroDivisionError", "nothing to divide by")
    assert row["traceback"].startswith("Traceback")


def test_strategy_that_raises_harms_no_other(folder: Path) -> None:
    result = hr.backtest([AlwaysFailing(), BacksAtFirstPrices()], folder, engine="local")
    assert [(row["strategy"], row["profit"]) for row in result.markets.to_pylist()] == [
        ("AlwaysFailing", 0.0),
        ("BacksAtFirstPrices", 2.0),
    ]


def test_what_was_placed_before_the_error_stands(folder: Path) -> None:
    result = hr.backtest(Failing(), folder, engine="local")
    assert failures(result, "strategy", "error_type", "count") == [("Failing", "KeyError", 1)]
    assert profits(result) == {"1.200000000": 2.0}


CALLBACKS = (
    "process_new_market",
    "check_market_book",
    "process_market_book",
    "process_orders",
    "process_closed_market",
)


@pytest.mark.parametrize("compatibility", [None, "flumine"])
@pytest.mark.parametrize("callback", CALLBACKS)
def test_error_of_any_callback_is_a_row(folder: Path, callback: str, compatibility: Any) -> None:
    def fail(self: Any, *arguments: Any) -> None:
        raise ValueError(callback)

    strategy = type("FailsOnce", (BacksAtFirstPrices,), {callback: fail})()
    result = hr.backtest(strategy, folder, engine="local", config=hr.Config(compatibility=compatibility))
    rows = [row for row in result.failures.to_pylist() if row["message"] == callback]
    assert [(row["strategy"], row["error_type"]) for row in rows] == [("FailsOnce", "ValueError")]


@pytest.mark.parametrize("callback", CALLBACKS)
def test_raise_errors_ends_the_run(folder: Path, callback: str) -> None:
    def fail(self: Any, *arguments: Any) -> None:
        raise ValueError(callback)

    strategy = type("FailsOnce", (BacksAtFirstPrices,), {callback: fail})()
    with pytest.raises(ValueError, match=callback):
        hr.backtest(strategy, folder, engine="local", config=hr.Config(raise_errors=True))


def test_error_in_start_ends_the_run_and_names_the_strategy(folder: Path) -> None:
    class NoModel(BacksAtFirstPrices):
        def start(self, framework: Any) -> None:
            raise FileNotFoundError("model.bin")

    with pytest.raises(hr.RunError, match="'NoModel' failed in start"):
        hr.backtest(NoModel(), folder, engine="local")


def test_fifty_units_that_fail_alike_end_the_run(tmp_path: Path) -> None:
    for number in range(60):
        market(f"1.4{number:08d}").write(tmp_path / f"1.4{number:08d}")
    with pytest.raises(hr.RunError, match="nothing to divide by"):
        hr.backtest(AlwaysFailing(), tmp_path, engine="local")


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (BacksAtFirstPrices, r"is a class; add an instance: BacksAtFirstPrices\(...\)"),
        ("BacksAtFirstPrices", "is not a strategy"),
    ],
)
def test_what_is_no_strategy_is_refused(folder: Path, strategy: Any, message: str) -> None:
    with pytest.raises(hr.RunError, match=message):
        hr.backtest([strategy], folder, engine="local")


def test_two_strategies_of_one_name_are_refused(folder: Path) -> None:
    with pytest.raises(hr.RunError, match="two strategies are named 'BacksAtFirstPrices'"):
        hr.backtest([BacksAtFirstPrices(), BacksAtFirstPrices()], folder, engine="local")


# -- the command line ------------------------------------------------------------------------------------------------

STRATEGY_FILE = (
    source_of(BacksAtFirstPrices)
    + """

class Backer(BacksAtFirstPrices):
    pass


class Failing(Backer):
    def process_market_book(self, market, book):
        raise RuntimeError("it was not to be")


class NeedsValue(Backer):
    edge: float


NotAStrategy = 3
"""
)
#: Where the file's `Failing` fails.
RAISES = STRATEGY_FILE.splitlines().index('        raise RuntimeError("it was not to be")') + 1


@pytest.fixture
def strategy_file(tmp_path: Path) -> Path:
    path = tmp_path / "code" / "my_strategies.py"
    path.parent.mkdir()
    path.write_text(STRATEGY_FILE)
    return path


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    found = tmp_path / "recordings"
    found.mkdir()
    market("1.200000000").write(found / "1.200000000")
    return found


def call_backtest(spec: object, markets: object, *more: object) -> Result:
    return call("backtest", spec, "-m", markets, "--engine", "local", *more)


def test_cli_exits_0_where_all_went_well(strategy_file: Path, recordings: Path) -> None:
    result = call_backtest(f"{strategy_file}:Backer", recordings, "-p", "stake=3")
    assert result.exit_code == 0
    assert "3.00" in result.output
    assert "digest" in result.output


def test_cli_exits_1_where_a_strategy_failed(strategy_file: Path, recordings: Path) -> None:
    result = call_backtest(f"{strategy_file}:Failing", recordings)
    assert result.exit_code == 1
    assert "failed: Failing 1.200000000: RuntimeError: it was not to be" in result.output
    assert f"{strategy_file}:{RAISES}" in result.output


def test_cli_exits_1_where_a_recording_is_broken_and_shows_the_rest(strategy_file: Path, recordings: Path) -> None:
    (recordings / "1.300000000").write_text("no JSON\n")
    result = call_backtest(f"{strategy_file}:Backer", recordings)
    assert result.exit_code == 1
    assert f"{recordings / '1.300000000'}:1" in result.output
    assert "2.00" in result.output


def test_cli_failure_shows_the_command_that_repeats_it(strategy_file: Path, recordings: Path) -> None:
    result = call_backtest(f"{strategy_file}:Failing", recordings, "-p", "stake=3")
    again = next(line for line in result.output.splitlines() if "again:" in line).split("again: headrace ")[1]
    assert call(*again.removesuffix(" --raise-errors").split()).exit_code == 1


def test_cli_with_raise_errors_stops_at_the_first_error_and_shows_its_line(
    strategy_file: Path, recordings: Path
) -> None:
    runner = CliRunner()
    arguments = ["backtest", f"{strategy_file}:Failing", "-m", str(recordings), "--engine", "local", "--raise-errors"]
    result = runner.invoke(main, arguments)
    assert result.exit_code == 1
    assert f'{strategy_file}", line {RAISES}' in result.output
    assert "it was not to be" in result.output
    assert "/backtest.py" not in result.output


WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    "missing recordings": (("{code}:Backer", "-m", "{folder}/nowhere"), "no such file or folder"),
    "empty folder": (("{code}:Backer", "-m", "{empty}"), "holds no files"),
    "missing file": (("{folder}/nothing.py:Backer", "-m", "{markets}"), "no such file"),
    "missing module": (("no_such_module:Backer", "-m", "{markets}"), "no_such_module"),
    "missing class": (("{code}:Bakcer", "-m", "{markets}"), "did you mean Backer?"),
    "no strategy": (("{code}:NotAStrategy", "-m", "{markets}"), "NotAStrategy"),
    "no colon": (("{code}", "-m", "{markets}"), "expected file.py:Class"),
    "unknown parameter": (("{code}:Backer", "-m", "{markets}", "-p", "stak=3"), "did you mean 'stake'?"),
    "parameter of wrong type": (("{code}:Backer", "-m", "{markets}", "-p", "stake=much"), "expected a number"),
    "parameter without value": (("{code}:Backer", "-m", "{markets}", "-p", "stake"), "expected NAME=VALUE"),
    "parameter missing": (("{code}:NeedsValue", "-m", "{markets}"), "needs a value for its parameter 'edge'"),
    "unknown setting": (("{code}:Backer", "-m", "{markets}", "--set", "place_latncy=1"), "'place_latency'"),
    "bad setting": (("{code}:Backer", "-m", "{markets}", "--set", "place_latency=-1"), "expected seconds"),
    "missing config": (("{code}:Backer", "-m", "{markets}", "--config", "{folder}/no.toml"), "no.toml"),
    "used out": (("{code}:Backer", "-m", "{markets}", "--out", "{markets}"), "exists and is not empty"),
    "out below a file": (("{code}:Backer", "-m", "{markets}", "--out", "{code}/result"), "cannot be written"),
    "no markets": (("{code}:Backer",), "--markets"),
    "unknown engine": (("{code}:Backer", "-m", "{markets}", "--engine", "cloud"), "--engine"),
}


@pytest.mark.parametrize(("arguments", "said"), WRONG.values(), ids=WRONG)
def test_cli_exits_2_where_it_was_asked_wrongly(
    strategy_file: Path, recordings: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"code": strategy_file, "markets": recordings, "folder": tmp_path, "empty": tmp_path / "empty"}
    result = call("backtest", *(argument.format(**places) for argument in arguments))
    assert result.exit_code == 2
    assert said in result.output


def test_cli_strategy_file_with_an_error_exits_2_and_names_the_line(tmp_path: Path, recordings: Path) -> None:
    code = tmp_path / "broken.py"
    code.write_text("import headrace as hr\n\nx = 1 / 0\n")
    result = call_backtest(f"{code}:Backer", recordings)
    assert result.exit_code == 2
    assert f"{code}:3" in result.output


def test_cli_strategy_file_with_a_syntax_error_exits_2(tmp_path: Path, recordings: Path) -> None:
    code = tmp_path / "broken.py"
    code.write_text("class Backer(:\n")
    result = call_backtest(f"{code}:Backer", recordings)
    assert result.exit_code == 2
    assert "SyntaxError" in result.output


def test_cli_generate_refuses_a_used_folder(recordings: Path) -> None:
    result = call("generate", "-n", "1", "--out", recordings)
    assert result.exit_code == 2
    assert "not an empty folder" in result.output


def test_cli_generate_refuses_an_unknown_sport(tmp_path: Path) -> None:
    result = call("generate", "-n", "1", "--out", tmp_path / "new", "--sport", "darts")
    assert result.exit_code == 2
    assert "darts" in result.output


def test_cli_generates_markets_that_backtest_reads(strategy_file: Path, tmp_path: Path) -> None:
    made = call("generate", "-n", "2", "--changes", "60", "--out", tmp_path / "new", "--quiet")
    assert made.exit_code == 0
    assert call_backtest(f"{strategy_file}:Backer", tmp_path / "new").exit_code == 0


def test_cli_out_holds_the_result(strategy_file: Path, recordings: Path, tmp_path: Path) -> None:
    result = call_backtest(f"{strategy_file}:Backer", recordings, "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert hr.Result.load(tmp_path / "out").digest in result.output


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("127.0.0.1:1", "no Ray cluster at 127.0.0.1:1: "),
        ("ray://127.0.0.1:1", "no Ray cluster at ray://127.0.0.1:1: "),
        ("http://127.0.0.1:8265", "HTTP address"),
    ],
)
@pytest.mark.parametrize("command", [["backtest"], ["sweep", "-p", "stake=2,5"]])
def test_cluster_that_is_not_there_is_one_sentence_and_nothing_written(
    command: list[str], address: str, says: str, tmp_path: Path
) -> None:
    write_markets(tmp_path / "markets", 1, seed=1, changes=60)
    headrace = str(Path(sys.executable).with_name("headrace"))
    example = f"{Path(__file__).resolve().parents[1] / 'examples' / 'lowest_layer.py'}:LowestLayer"
    words = [headrace, command[0], example, *command[1:], "-m", str(tmp_path / "markets"), "--engine", "ray"]
    ran = subprocess.run(
        [*words, "--out", str(tmp_path / "out")],
        env={**os.environ, "RAY_ADDRESS": address}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 2, ran.stderr
    assert says in ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
