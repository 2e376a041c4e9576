"""Every command with wrong words in every place: a sentence and an exit code, never a traceback."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from headrace.cli import main
from headrace.simulate.generator import write_markets

#: Code that cannot be run, and what is no strategy.
CODE = """\
import headrace as hr


class UnknownType(hr.Strategy):
    x: "Nothing" = 3


class WrongDefault(hr.Strategy):
    y: int = "a"


class NoSuper(hr.Strategy):
    def __init__(self):
        pass


class NoArguments(hr.Strategy):
    def check_market_book(self):
        return True


class AddWithoutFramework(hr.Strategy):
    def add(self):
        pass


class FilterIsANumber(hr.Strategy):
    def __init__(self, **keywords):
        super().__init__(market_filter=3, **keywords)


class UnknownKeyword(hr.Strategy):
    def __init__(self, **keywords):
        super().__init__(nonsense=3, **keywords)


class NotCopied(hr.Strategy):
    def __deepcopy__(self, memo):
        raise ValueError("no copy")


class NotRecorded(hr.Strategy):
    def process_new_market(self, market, book):
        self.record(market, x=object())
"""

S = "strategy.py:BackTheFavourite"
NOWHERE = ["--address", "http://127.0.0.1:1"]
#: Commands with a place for a path.
PATHS = [
    ["backtest", S, "-m", "{}"],
    ["backtest", S, "-m", "markets", "--out", "{}"],
    ["backtest", S, "-m", "markets", "--out", "{}", "--resume"],
    ["backtest", S, "-m", "markets", "--catalogues", "{}"],
    ["backtest", S, "-m", "markets", "--sports-data", "{}"],
    ["backtest", S, "-m", "markets", "--custom-events", "{}"],
    ["backtest", S, "-m", "markets", "--file", "{}"],
    ["backtest", S, "-m", "markets", "--config", "{}"],
    ["sweep", S, "-m", "{}", "-p", "stake=2"],
    ["sweep", S, "-m", "markets", "-p", "stake=2", "--out", "{}"],
    ["generate", "-n", "1", "--changes", "50", "--out", "{}"],
    ["explain", "{}", "1"],
    ["explain", "result", "{}"],
    ["explain", "result", "100000000001", "--market", "{}"],
    ["report", "{}"],
    ["report", "result", "--out", "{}"],
    ["report", "result", "--market", "1.204000000", "--markets", "{}"],
    ["repair", "{}"],
    ["prices", "-m", "{}", "--out", "new-prices"],
    ["prices", "-m", "markets", "--out", "{}"],
    ["prices", "-m", "markets", "--out", "other-prices", "--every", "{}"],
    ["catalog", "{}", "--out", "new-catalog.parquet"],
    ["catalog", "markets", "--out", "{}"],
    ["pack", "{}", "new-pack"],
    ["pack", "markets", "{}"],
    ["unpack", "{}", "new-files"],
    ["unpack", "markets", "{}"],
    ["check", "{}"],
    ["new", "{}"],
    ["submit", "{}", *NOWHERE],
    ["submit", "strategy.py", "--address", "{}"],
    ["submit", "strategy.py", *NOWHERE, "--wheel", "{}"],
    ["submit", "strategy.py", *NOWHERE, "--working-dir", "{}"],
    ["submit", "strategy.py", *NOWHERE, "--token-file", "{}"],
]
WRONG_PATHS = ["nothing", "empty", "binary", "text.txt", "sweep", "catalog.parquet", "foo://x", "", "a\nb", "["]
DAMAGED = {
    "parts": {"inputs": [], "parts": 3},
    "part": {"inputs": [], "parts": [{}]},
    "inputs": {"parameters": 3},
    "strategies": {"inputs": [{"unit": "x"}], "strategies": 3, "config": None},
    "list": [1],
}
WRONG_PARAMETERS = ["", "=", "x", "stake=", "stake=nan", "stake=1e400", "stake=-1", "=3", "stake=2,,3", "stake=2:",
                    "stake=5:2", "max_trade_count=x", "multi_order_trades=maybe", "context.=1", "name=x",
                    "é=1"]  # fmt: skip
WRONG_SPECS = [f"{S}x", "strategy.py", "strategy.py:", ":x", "nothing.py:X", "os:path", "os.path:join", "..:X", ".x:Y",
               "é:É", "text.txt:X", "/:X", "", "latin.py:X", "null.py:X", "loop.py:X", "folder.py:X"]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with markets, results and much that is of no use."""
    folder = tmp_path_factory.mktemp("wrong")
    write_markets(folder / "markets", 2, seed=1, changes=50)
    for words in (
        ["new", "strategy.py"],
        ["backtest", S, "-m", "markets", "--out", "result"],
        ["sweep", S, "-m", "markets", "-p", "stake=2,3", "--out", "sweep"],
        ["catalog", "markets", "--out", "catalog.parquet"],
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            assert CliRunner().invoke(main, words).exit_code == 0
    (folder / "empty").touch()
    (folder / "binary").write_bytes(bytes(range(256)) * 8)
    (folder / "text.txt").write_text("hello\n")
    (folder / "wrong_classes.py").write_text(CODE)
    (folder / "latin.py").write_bytes(b"# caf\xe9\nx = 1\n")
    (folder / "null.py").write_bytes(b"x = 1\0")
    (folder / "loop.py").write_text("from loop import X\n")
    (folder / "folder.py").mkdir()
    for name, manifest in DAMAGED.items():
        (folder / f"damaged-{name}").mkdir()
        (folder / f"damaged-{name}" / "manifest.json").write_text(json.dumps(manifest))
    commits = folder / "damaged-commit" / "commits"
    commits.mkdir(parents=True)
    (commits.parent / "manifest.json").write_text('{"inputs": []}')
    (commits / "a.json").write_text("[]")
    return folder


@pytest.fixture(autouse=True)
def within(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(place)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    yield
    assert sorted(os.listdir("markets")), "the markets are still there"


def refused(words: list[str]) -> None:
    ended = CliRunner().invoke(main, words)
    shown = f"{words}: {ended.output}"
    assert ended.exception is None or isinstance(ended.exception, SystemExit), f"{shown}{ended.exception!r}"
    assert ended.exit_code in (0, 1, 2), shown
    assert "Traceback (most recent" not in ended.output, shown
    assert "[Errno" not in ended.output, shown
    assert ended.output.strip(), shown


@pytest.mark.parametrize("words", PATHS, ids=lambda words: " ".join(words).replace(S, "S").replace("strategy.py", "S"))
def test_wrong_paths_are_sentences(words: list[str]) -> None:
    damaged = (
        [f"damaged-{name}" for name in (*DAMAGED, "commit")] if words[0] in ("report", "repair", "explain") else []
    )
    damaged += ["damaged-parts", "damaged-strategies", "damaged-commit"] if "--resume" in words else []
    for wrong in (*WRONG_PATHS, *damaged):
        refused([word.replace("{}", wrong) for word in words])


@pytest.mark.parametrize("wrong", WRONG_PARAMETERS)
def test_wrong_parameters_are_sentences(wrong: str) -> None:
    refused(["backtest", S, "-m", "markets", "-p", wrong])
    refused(["sweep", S, "-m", "markets", "-p", wrong])
    refused(["sweep", S, "-m", "markets", "-p", wrong, "--random", "2"])
    refused(["check", S, "-p", wrong])
    refused(["backtest", S, "-m", "markets", "--set", wrong])
    refused(["submit", "strategy.py", *NOWHERE, "--env", wrong])
    refused(["submit", "strategy.py", *NOWHERE, "--entrypoint-resource", wrong])


CLASSES = [line.partition("(")[0].removeprefix("class ") for line in CODE.splitlines() if line.startswith("class ")]


@pytest.mark.parametrize("wrong", [*WRONG_SPECS, *(f"wrong_classes.py:{name}" for name in CLASSES)])
def test_wrong_strategies_are_sentences(wrong: str) -> None:
    refused(["backtest", wrong, "-m", "markets", "--engine", "local"])
    refused(["sweep", wrong, "-m", "markets", "-p", "stake=1", "--engine", "local"])
    refused(["check", wrong])


@pytest.mark.parametrize(
    "setting",
    ["place_latency=nan", "place_latency=inf", "log_level=loud", "unit_timeout=0", "compatibility=peer", "order_sep=ab",
     "log_setup=x", "raise_errors=maybe", "process_orders_interval=0", "customer_strategy_ref=", "log_json=3"],
)  # fmt: skip
def test_wrong_settings_are_sentences(setting: str) -> None:
    refused(["backtest", S, "-m", "markets", "--set", setting])


@pytest.mark.parametrize("text", ["[[[", "headrace = 3", "nonsense = 3", '[headrace]\nplace_latency = "x"', "é"])
def test_wrong_files_of_settings_are_sentences(text: str) -> None:
    Path("wrong.toml").write_text(text)
    refused(["backtest", S, "-m", "markets", "--config", "wrong.toml"])


@pytest.mark.parametrize(
    "more",
    [["--by", "nothing"], ["--split", "2"], ["--split", "nan"], ["--split", "0.00001", "--search", "2"],
     ["--search", "2", "--seed", "-1"], ["--top", "0"], ["--random", "2", "--search", "2"]],
    ids=" ".join,
)  # fmt: skip
def test_wrong_sweeps_are_sentences(more: list[str]) -> None:
    refused(["sweep", S, "-m", "markets", "-p", "stake=2,3", "--engine", "local", *more])
