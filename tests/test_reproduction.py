"""What is printed under "again:" repeats the failure: the same error, with all that the run was given."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import Result

import headrace as hr
from builders import T0, priced
from command import call
from headrace.cli import main
from headrace.cluster.reproduction import NOT_REPEATED

#: A strategy that fails in the second market, and says in its error all that the run was given.
CODE = """
from pathlib import Path

import headrace as hr


class Tells(hr.Strategy):
    stake: float = 2.0
    label: str = "plain"

    def process_market_catalogue(self, market, catalogue):
        market.context["catalogue"] = catalogue.market_name

    def process_sports_data(self, market, data):
        market.context["sport"] = type(data).__name__

    def check_sports_data(self, market, data):
        return True

    def process_custom_event(self, market, event):
        market.context["event"] = event

    def file(self):
        try:
            return Path(hr.path("notes.txt")).read_text()
        except Exception:
            return None

    def process_closed_market(self, market, book):
        if not market.market_id.endswith("1"):
            return
        config = self.host.config
        raise LookupError(
            f"stake {self.stake} label {self.label} file {self.file()} order {self.max_order_exposure} "
            f"selection {self.max_selection_exposure} latency {config.place_latency} currency {config.currency} "
            f"rules {config.compatibility} context {sorted(market.context.items(), key=str)}"
        )
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a strategy, recordings, and all that may lie beside them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEADRACE_FILES", raising=False)  # the files of a run before
    (tmp_path / "my strategies.py").write_text(CODE)
    (tmp_path / "markets").mkdir()
    for number in range(3):
        stream = priced(market_id=f"1.20000000{number}").touch(400).close(1_000_000)
        stream.write(tmp_path / "markets" / stream.market_id)
    (tmp_path / "notes.txt").write_text("read me")
    (tmp_path / "set.toml").write_text("[headrace]\nplace_latency = 0.3\n")
    (tmp_path / "beside").mkdir()
    catalogue = {"marketId": "1.200000001", "marketName": "The 2.10", "totalMatched": 1.0, "runners": []}
    (tmp_path / "beside" / "1.200000001.json").write_text(json.dumps(catalogue))
    (tmp_path / "sport").mkdir()
    hr.write_custom_events(tmp_path / "events.jsonl", [hr.CustomEvent({"going": "soft"}, publish_time=T0 + 200)])
    return tmp_path


def told(result: Result) -> tuple[str, str]:
    """The failure that is shown, and the command under it."""
    lines = result.output.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("failed:"))
    return lines[at], lines[at + 1].removeprefix("  again: headrace ")


#: What each option of `backtest` is tried with.
GIVEN: dict[str, list[str]] = {
    "parameters": ["-p", "stake=3.5", "-p", "label=so called"],
    "config_file": ["--config", "set.toml"],
    "settings": ["--set", "currency=EUR"],
    "compatibility": ["--compatibility", "flumine"],
    "max_order_exposure": ["--max-order-exposure", "7"],
    "max_selection_exposure": ["--max-selection-exposure", "70"],
    "catalogues": ["--catalogues", "beside"],
    "sports_data": ["--sports-data", "sport"],
    "custom_events": ["--custom-events", "events.jsonl"],
    "files": ["--file", "notes.txt"],
    "band": ["--band"],
    "raise_errors": [],  # an error of a strategy then ends the run: there is no failure to repeat
}


def test_every_option_is_tried_or_changes_nothing_of_a_failure() -> None:
    names = {option.name for option in main.commands["backtest"].params}
    assert names - {"strategies"} - NOT_REPEATED == set(GIVEN)


#: All of them together: under compatibility there is no band.
TOGETHER = [name for name in GIVEN if name != "band"]


@pytest.mark.parametrize("names", [*([name] for name in GIVEN), TOGETHER, []], ids=lambda names: "+".join(names))
def test_command_repeats_the_failure(names: list[str], folder: Path) -> None:
    words = [word for name in names for word in GIVEN[name]]
    first = call("backtest", "my strategies.py:Tells", "-m", "markets", "--engine", "local", "-q", *words)
    assert first.exit_code == 1, first.output
    failed, again = told(first)
    second = call(*shlex.split(again))
    assert second.exit_code == 1
    assert told(second) == (failed, again)
    assert "markets/1.200000001" in again
    assert "1.200000000" not in again


def test_each_option_that_is_given_stands_in_the_command(folder: Path) -> None:
    words = [word for name in TOGETHER for word in GIVEN[name]]
    failed, again = told(call("backtest", "my strategies.py:Tells", "-m", "markets", "--engine", "local", *words))
    for text in ("stake 3.5", "label so called", "file read me", "order 7.0", "selection 70.0", "latency 0.3",
                 "currency EUR", "rules flumine", "('catalogue', 'The 2.10')", "going"):  # fmt: skip
        assert text in failed
    assert "--catalogues beside --sports-data sport --custom-events events.jsonl --file notes.txt" in again


def test_an_option_of_tomorrow_is_repeated_too(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    backtest = main.commands["backtest"]
    run = backtest.callback
    assert run is not None
    said: list[Any] = []

    def with_more(haste: int | None, **options: Any) -> Any:
        said.append(haste)
        return run(**options)

    monkeypatch.setattr(backtest, "params", [*backtest.params, click.Option(["--haste"], type=int)])
    monkeypatch.setattr(backtest, "callback", with_more)
    result = call("backtest", "my strategies.py:Tells", "-m", "markets", "--engine", "local", "--haste", "9")
    call(*shlex.split(told(result)[1]))
    assert said == [9, 9]


def test_a_recording_in_an_archive_is_named_by_its_address(folder: Path) -> None:
    import zipfile

    with zipfile.ZipFile(folder / "all of.zip", "w") as archive:
        for path in sorted((folder / "markets").iterdir()):
            archive.write(path, f"2024/{path.name}")
    failed, again = told(call("backtest", "my strategies.py:Tells", "-m", "all of.zip", "--engine", "local"))
    assert "'all of.zip!2024/1.200000001'" in again
    assert told(call(*shlex.split(again))) == (failed, again)


def test_a_broken_recording_is_repeated(folder: Path) -> None:
    (folder / "markets" / "1.300000000").write_text("no JSON\n")
    shown = call("backtest", "my strategies.py:Tells", "-m", "markets", "--engine", "local").output.splitlines()
    at = next(number for number, line in enumerate(shown) if "RecordingError" in line)
    again = call(*shlex.split(shown[at + 1].removeprefix("  again: headrace ")))
    assert shown[at] in again.output.splitlines()


# -- sweeps ----------------------------------------------------------------------------------------------------------

SWEPT = ["-p", "stake=1,2", "--set", "currency=EUR", "--config", "set.toml"]


def test_sweep_shows_the_command_of_the_set(folder: Path) -> None:
    result = call("sweep", "my strategies.py:Tells", "-m", "markets", "--engine", "local", "-q", *SWEPT)
    failed, again = told(result)
    assert failed.startswith("failed: set 0 market 1.200000001: LookupError: stake 1.0 ")
    repeated, _ = told(call(*shlex.split(again)))
    told_by_set = failed.partition(": ")[2].partition(": ")[2].partition(" (2 times")[0]
    assert told_by_set in repeated
    assert "latency 0.3 currency EUR" in repeated


def test_options_that_sweep_and_backtest_share_are_in_the_command() -> None:
    """What sweep has and backtest has not is about the choice of sets, or about the run."""
    of_one = {option.name for option in main.commands["backtest"].params}
    of_many = {option.name for option in main.commands["sweep"].params}
    known = {"strategy", "samples", "trials", "batch", "seed", "split", "by", "top", "orders"}
    assert of_many - of_one <= known


def test_set_of_a_limit_is_the_option_of_the_limit(folder: Path) -> None:
    result = call("sweep", "my strategies.py:Tells", "-m", "markets", "--engine", "local", "-q", "-p", "stake=2,3",
                  "-p", "max_order_exposure=4")  # fmt: skip
    failed, again = told(result)
    assert "--max-order-exposure 4" in again
    assert "order 4" in failed
    assert "order 4" in told(call(*shlex.split(again)))[0]


# -- Python ----------------------------------------------------------------------------------------------------------


def tells(**keywords: Any) -> hr.Strategy:
    from headrace.loading import load_strategy

    return load_strategy("my strategies.py:Tells")(**keywords)


def repeated(text: str, strategy: hr.Strategy) -> list[str]:
    result = eval(text, {"hr": hr, type(strategy).__name__: type(strategy)})
    return list(result.failures["message"].to_pylist())


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"config": hr.Config(place_latency=0.3, compatibility="flumine")},
        {"catalogues": "beside"},
        {"files": ["notes.txt"]},
        {"sports_data": "sport", "custom_events": "events.jsonl"},
        {"client": hr.SimulatedClient(commission_base=0.02, username="me")},
        {"config": hr.Config(currency="EUR")},
    ],
    ids=lambda given: "+".join(given) or "nothing",
)
@pytest.mark.parametrize("keywords", [{}, {"stake": 3, "label": "it's", "max_order_exposure": None, "name": "Mine"}])
def test_call_repeats_the_failure(given: dict[str, Any], keywords: dict[str, Any], folder: Path) -> None:
    strategy = tells(**keywords)
    result = hr.backtest(strategy, Path("markets"), engine="local", **given)
    (row,) = result.failures.to_pylist()
    assert repeated(row["command"], strategy) == [row["message"]]
    for name in given:
        assert f"{name}=" in row["command"]


def test_call_without_anything_special_is_short(folder: Path) -> None:
    (row,) = hr.backtest(tells(stake=3.0), "markets", engine="local").failures.to_pylist()
    assert row["command"] == "hr.backtest(Tells(stake=3.0), 'markets/1.200000001', engine='local')"


def test_every_argument_of_backtest_is_repeated_or_changes_nothing_of_a_failure() -> None:
    import inspect

    names = set(inspect.signature(hr.backtest).parameters)
    assert names - NOT_REPEATED - {"strategies"} == {
        "client", "config", "catalogues", "sports_data", "custom_events", "files", "session", "band",
    }  # fmt: skip


def test_strategies_with_an_init_of_their_own_are_written_where_it_says_what_it_takes(folder: Path) -> None:
    kind = type(tells())

    class Passes(kind):  # type: ignore[misc, valid-type]
        def __init__(self, **keywords: Any) -> None:
            super().__init__(**keywords)

    class Computes(kind):  # type: ignore[misc, valid-type]
        def __init__(self, pounds: float) -> None:
            super().__init__(stake=pounds * 2)

    commands = [
        hr.backtest(strategy, "markets", engine="local").failures["command"][0].as_py()
        for strategy in (Passes(stake=4.0), Computes(2.0))
    ]
    assert commands == [
        "hr.backtest(Passes(stake=4.0), 'markets/1.200000001', engine='local')",
        "hr.backtest(Computes(...), 'markets/1.200000001', engine='local')  # ...: as in the run",
    ]


def test_what_cannot_be_written_down_is_left_open_and_said(folder: Path) -> None:
    strategy = tells(context={"model": object()})
    (row,) = hr.backtest(strategy, "markets", engine="local").failures.to_pylist()
    assert row["command"] == (
        "hr.backtest(Tells(context={'model': ...}), 'markets/1.200000001', engine='local')  # ...: as in the run"
    )


def test_what_was_added_to_a_simulation_is_said(folder: Path) -> None:
    class Feed(hr.Middleware):
        def __call__(self, market: Any) -> None: ...

    simulation = hr.Simulation("markets", engine="local")
    simulation.add_client(hr.SimulatedClient())
    simulation.add_market_middleware(Feed())
    simulation.add_strategy(tells())
    (row,) = simulation.run().failures.to_pylist()
    assert row["command"].endswith("engine='local')  # with what was added to the run")


def test_call_of_a_set_repeats_its_failure(folder: Path) -> None:
    kind = type(tells())
    result = hr.sweep(kind, {"stake": [1.0, 2.0], "max_order_exposure": [5]}, "markets", engine="local")
    for row in result.failures.to_pylist():
        assert repeated(row["command"], tells()) == [row["message"]]
        assert f"stake {1.0 + row['set']} " in row["message"]


@pytest.mark.ray
def test_workers_tell_the_same_command(ray_local: None, folder: Path) -> None:
    rows = [hr.backtest(tells(stake=3.0), "markets", engine=engine).failures.to_pylist() for engine in ("local", "ray")]  # type: ignore[arg-type]
    assert [row["command"] for row in rows[0]] == [row["command"] for row in rows[1]]
