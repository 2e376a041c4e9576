"""What the command line says, it says in its own words: options, and sentences."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from click.testing import Result

import headrace as hr
from builders import priced
from command import call
from common_strategies import Backer, source_of
from headrace.results.display.option_names import in_options

CODE = (
    source_of(Backer)
    + """

class Reader(Backer):
    def process_new_market(self, market, book):
        hr.path("model.json")
"""
)


@pytest.fixture
def code(tmp_path: Path) -> Path:
    path = tmp_path / "spoken_code.py"
    path.write_text(CODE)
    return path


@pytest.fixture
def markets(tmp_path: Path) -> Path:
    folder = tmp_path / "markets"
    folder.mkdir()
    for number in range(2):
        priced(market_id=f"1.20000000{number}").touch(400).close(1_000_000).write(folder / f"1.20000000{number}")
    return folder


def backtest(code: Path, markets: Path, *more: object, name: str = "Backer") -> Result:
    return call("backtest", f"{code}:{name}", "-m", markets, "--engine", "local", *more)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("no such file; give files=[...]", "no such file; give --file"),
        ("the same run with resume=True goes on.", "the same run with --resume goes on."),
        ("resume it (resume=True, --resume)", "resume it (--resume)"),
        ("with resume=True (--resume) replays", "with --resume replays"),
        ("add a node, or use engine='local'", "add a node, or use --engine local"),
        ("give the sweep split=0.5", "give the sweep --split 0.5"),
        ("by='net': that is what", "--by net: that is what"),
        ("give its place with markets= (--markets)", "give its place with --markets"),
        ("seed=-1: expected a whole number", "--seed -1: expected a whole number"),
        ("raise_errors=True shows it", "--raise-errors shows it"),
        ("sports='tennis': say how many, generate=5", "--sport tennis: say how many, --generate 5"),
        ("listen (port=80, plain_stream_port=81)", "listen (--port 80, --plain-stream-port 81)"),
    ],
)
def test_arguments_are_said_as_options(said: str, shown: str) -> None:
    assert in_options(said) == shown


@pytest.mark.parametrize(
    "said",
    [
        "Backer.stake = 'x': expected a number",
        "longer than unit_timeout=5 s",
        "hr.Simulation(markets=...)",
        "super().__init__(**keywords)",
        "/data/year=2024/out=1",
    ],
)
def test_what_is_no_argument_is_left_alone(said: str) -> None:
    assert in_options(said) == said


def test_limits_can_be_given_as_parameters(code: Path, markets: Path) -> None:
    assert "STRATEGY_EXPOSURE" in backtest(code, markets, "-p", "stake=20").stdout
    ended = backtest(code, markets, "-p", "stake=20", "-p", "max_order_exposure=50")
    assert ended.exit_code == 0
    assert "STRATEGY_EXPOSURE" not in ended.stdout
    assert backtest(code, markets, "-p", "stake=20", "-p", "max_order_exposure=none").exit_code == 0


WRONG = {
    "given twice": (
        ("-p", "max_order_exposure=5", "--max-order-exposure", "5"),
        "given twice: as --max-order-exposure",
    ),
    "parameter twice": (("-p", "stake=5", "-p", "stake=6"), "-p stake is given twice"),
    "option as parameter": (("-p", "engine=ray"), "-p engine: that is an option: --engine"),
    "setting as parameter": (("-p", "place_latency=0.2"), "that is a setting: --set place_latency=..."),
    "option as setting": (("--set", "workers=2"), "--set workers: that is an option: --workers"),
    "filter as parameter": (("-p", "market_filter={}"), "-p market_filter: that is given in Python"),
    "resume without out": (("--resume",), "--resume needs --out"),
}


@pytest.mark.parametrize(("more", "said"), WRONG.values(), ids=WRONG)
def test_name_in_the_wrong_place_is_told_where_it_belongs(
    code: Path, markets: Path, more: tuple[str, ...], said: str
) -> None:
    ended = backtest(code, markets, *more)
    assert ended.exit_code == 2
    assert said in ended.stderr


def test_sweep_tells_it_too(code: Path, markets: Path) -> None:
    ended = call("sweep", f"{code}:Backer", "-m", markets, "-p", "place_latency=0.1,0.2")
    assert ended.exit_code == 2
    assert "that is a setting: --set place_latency=..." in ended.stderr


def test_failure_in_a_table_speaks_of_options(code: Path, markets: Path) -> None:
    ended = backtest(code, markets, name="Reader")
    assert ended.exit_code == 1
    assert "give --file" in ended.stdout
    assert "files=" not in ended.stdout
    python = hr.backtest(load(code, "Reader"), markets, engine="local")
    assert "give files=[...]" in python.failures["message"][0].as_py()


def load(code: Path, name: str) -> hr.Strategy:
    from headrace.loading import load_strategy

    return load_strategy(f"{code}:{name}")()


def test_log_lines_speak_so_only_while_a_command_runs(
    code: Path, markets: Path, caplog: pytest.LogCaptureFixture
) -> None:
    backtest(code, markets)
    logging.getLogger("headrace").warning("give files=[...]")
    assert caplog.messages[-1] == "give files=[...]"


# -- resuming --------------------------------------------------------------------------------------------------------


def test_resume_of_what_is_not_there_is_refused_and_names_the_nearest(
    code: Path, markets: Path, tmp_path: Path
) -> None:
    assert backtest(code, markets, "--out", tmp_path / "results").exit_code == 0
    ended = backtest(code, markets, "--out", tmp_path / "reslts", "--resume")
    assert ended.exit_code == 2
    assert f"did you mean {tmp_path / 'results'}?" in ended.stderr
    assert "without --resume a fresh one begins" in ended.stderr
    assert not (tmp_path / "reslts").exists()


def test_resume_in_python_is_refused_likewise(code: Path, markets: Path, tmp_path: Path) -> None:
    with pytest.raises(hr.InputError, match="there is no run to resume; without resume=True a fresh one begins"):
        hr.backtest(load(code, "Backer"), markets, engine="local", out=tmp_path / "new", resume=True)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("answer", "exit_code"), [("y\n", 0), ("n\n", 2)])
def test_on_a_terminal_it_is_a_question(
    code: Path, markets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, exit_code: int
) -> None:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda self: True)
    ended = call(
        "backtest", f"{code}:Backer", "-m", markets, "--engine", "local", "--out", tmp_path / "new", "--resume",
        "--quiet", input=answer,
    )  # fmt: skip
    assert "there is no run to resume. Begin a fresh one there?" in ended.output
    assert ended.exit_code == exit_code
    assert (tmp_path / "new").exists() == (exit_code == 0)


def test_refusals_to_resume_are_sentences(code: Path, markets: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert backtest(code, markets, "--out", out).exit_code == 0

    def refused(*more: object, name: str = "Backer") -> str:
        ended = backtest(code, markets, "--out", out, "--resume", *more, name=name)
        assert ended.exit_code == 2
        assert "{" not in ended.stderr
        assert "ask for it as it was, or name another folder for this one" in ended.stderr
        return ended.stderr.partition("cannot be resumed: ")[2]

    assert refused("-p", "stake=3").startswith("the parameter stake of strategy 'Backer' was 2.0 and is 3.0;")
    assert refused("-p", "max_order_exposure=5").startswith(
        "the setting max_order_exposure of strategy 'Backer' was 10 and is 5.0;"
    )
    assert refused(name="Reader").startswith("its strategies were 'Backer' and are 'Reader';")
    assert refused("--set", "place_latency=0.3").startswith("the setting place_latency was 0.12 and is 0.3;")
    added = markets / "1.300000000"
    priced(market_id="1.300000000").touch(400).close(1_000_000).write(added)
    assert refused().startswith(f"{added} is not among its inputs (it had 2 inputs and now has 3);")
    added.unlink()
    gone = markets / "1.200000001"
    text = gone.read_bytes()
    gone.unlink()
    assert refused().startswith(f"its input {gone} is not there any more (it had 2 inputs and now has 1);")
    gone.write_bytes(text + b"\n")
    assert f"its input {gone} has changed: it had {len(text)} bytes and has {len(text) + 1};" in refused()
    gone.write_bytes(text)
    code.write_text(CODE + "\n# edited\n")
    assert refused().startswith("the source of its strategies, or of other code that it was given, has changed since;")
    assert (out / "manifest.json").exists()


def test_folder_with_a_damaged_manifest_says_to_begin_anew(code: Path, markets: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert backtest(code, markets, "--out", out).exit_code == 0
    (out / "manifest.json").write_text("{")
    for words in (["backtest", f"{code}:Backer", "-m", markets, "--out", out, "--resume"], ["repair", out]):
        ended = call(*words)
        assert ended.exit_code == 2
        assert "begin anew" in ended.stderr
