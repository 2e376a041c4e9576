"""The example notebook runs from start to finish, and strategies defined in a notebook run on Ray."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")
nbclient = pytest.importorskip("nbclient")

import traitlets  # noqa: E402
from jupyter_client import AsyncKernelManager  # noqa: E402
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager  # noqa: E402
from nbformat.v4 import new_code_cell, new_notebook  # noqa: E402

from processes import LIMIT  # noqa: E402

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "sweep.ipynb"
FIGURE = "application/vnd.plotly.v1+json"

#: A strategy that uses what other cells define: a parent, a function, a module and a number.
PARENT = """
import math
from pathlib import Path
import headrace as hr

LONGEST = 50.0

def best_price(runner):
    return hr.get_price(runner.ex.available_to_back, 0)

class Once(hr.Strategy):
    stake: float = 2.0

    def check_market_book(self, market, book):
        return book.status == "OPEN" and not book.inplay
"""
STRATEGY = """
class Backer(Once):
    def process_market_book(self, market, book):
        runner = book.runners[0]
        context = self.get_runner_context(market.market_id, runner.selection_id, runner.handicap)
        price = best_price(runner)
        if price and price < LONGEST and not context.invested:
            trade = hr.Trade(market.market_id, runner.selection_id, runner.handicap, self)
            market.place_order(trade.create_order("BACK", hr.LimitOrder(price, self.stake)))
            self.record(market, whole=math.floor(price))
"""
CONNECT = """
import ray
ray.init(address={address!r}, log_to_driver=False, logging_level="ERROR")
None
"""


class ThisPython(KernelSpecManager):  # type: ignore[misc]
    """Knows one kernel, this environment's, whatever else is installed on the machine."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, display_name=kernel_name, language="python")


class Kernels(AsyncKernelManager):  # type: ignore[misc]
    shutdown_wait_time = LIMIT  # a kernel removes its files at its end

    @traitlets.default("kernel_spec_manager")  # type: ignore[untyped-decorator]
    def _this_python(self) -> KernelSpecManager:
        return ThisPython()


@pytest.fixture
def private_jupyter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels leave their files in the test's folder, and see no settings of the user's."""
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        folder = tmp_path / "jupyter" / name.lower()
        folder.mkdir(parents=True)
        monkeypatch.setenv(name, str(folder))


def run(notebook: Any, folder: Path) -> Any:
    """Run a notebook in a folder; with its outputs. An error in a cell is raised. Its kernel ends with it."""
    resources = {"metadata": {"path": str(folder)}}
    client = nbclient.NotebookClient(notebook, kernel_manager_class=Kernels, resources=resources, timeout=LIMIT)
    return client.execute()


def outputs(cell: Any) -> list[dict[str, Any]]:
    """What a cell shows, by mime type."""
    return [output["data"] for output in cell.outputs if "data" in output]


def value(cell: Any) -> str:
    """The text of a cell's last expression."""
    (found,) = (output["data"] for output in cell.outputs if output.output_type == "execute_result")
    return str(found["text/plain"])


def said(cell: Any) -> list[str]:
    """What a cell shows, as text without colours."""
    return [re.sub(r"\x1b\[[0-9;]*m", "", data.get("text/plain", "")) for data in outputs(cell)]


def notebook_of(sources: Sequence[str]) -> Any:
    return new_notebook(cells=[new_code_cell(source.strip()) for source in sources])


def test_example_is_kept_without_outputs() -> None:
    cells = [cell for cell in json.loads(EXAMPLE.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert cells
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)


@pytest.mark.slow
@pytest.mark.usefixtures("private_jupyter")
def test_example_runs_from_markets_to_a_heatmap(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("plotly")
    notebook = nbformat.read(EXAMPLE, as_version=4)
    notebook.cells.append(new_code_cell("sweep.table.num_rows, result.orders.num_rows, len(sweep.markets)"))
    done = run(notebook, tmp_path)
    cells = {cell.id: cell for cell in done.cells}

    sets, orders, rows = map(int, value(done.cells[-1]).strip("()").split(","))
    wins = rows // sets
    assert sets == 30
    assert 0 < orders <= wins < 120
    assert value(cells["markets"]) == "120"
    assert value(cells["failures"]) == "0"
    assert value(cells["again"]) == "True"

    chosen = ast.literal_eval(value(cells["best"]))
    assert chosen["in_sample_net_profit"] > 0 > chosen["out_of_sample_net_profit"]  # as its text says
    assert -1 <= float(value(cells["rank"])) < 0.3

    (bar, _) = said(cells["sweep"])
    assert re.match(r"sweeping 30 sets ━+ 120/120 \d:\d\d:\d\d [\d,]+ orders", bar), bar
    assert "★" in outputs(cells["sweep"])[-1]["text/html"]

    for name in ("heatmap", "heatmap-out"):
        (figure,) = outputs(cells[name])
        (trace,) = figure[FIGURE]["data"]
        assert trace["type"] == "heatmap"
        assert trace["x"] == ["15", "30", "60", "120", "300"]
        assert [len(row) for row in trace["z"]] == [5] * 6
    (figure,) = outputs(cells["parallel"])
    assert [trace["type"] for trace in figure[FIGURE]["data"]] == ["parcoords"]
    (figure,) = outputs(cells["plot"])
    assert figure[FIGURE]["data"]


@pytest.mark.ray
@pytest.mark.usefixtures("private_jupyter")
def test_strategy_of_a_notebook_runs_on_ray_as_here(ray_local: None, tmp_path: Path, generated: Path) -> None:
    import ray

    connect = CONNECT.format(address=ray.get_runtime_context().gcs_address)
    markets = f"{str(generated)!r}"
    both = (
        f"here = hr.backtest(Backer(), {markets}, engine='local')\n"
        f"there = hr.backtest(Backer(), {markets}, engine='ray')\n"
        "there.failures.num_rows, there.orders.num_rows, there.records.num_rows, there.digest == here.digest"
    )
    edited = (  # a worker must not have the classes of the run before
        "LONGEST = 1.0\n"
        + STRATEGY
        + f"\nhr.backtest(Backer(), {markets}, engine='ray', progress=False).orders.num_rows"
    )
    sweeps = (
        "LONGEST = 50.0\n"
        f"each = [hr.sweep(Backer, {{'stake': [2, 3]}}, {markets}, engine=engine) for engine in ('local', 'ray')]\n"
        "each[1].failures.num_rows, each[1].table['orders'].to_pylist(), each[0].digest == each[1].digest"
    )
    done = run(notebook_of([PARENT, STRATEGY, connect, both, edited, sweeps]), tmp_path).cells
    assert value(done[3]) == "(0, 8, 8, True)"
    assert [re.search(r"8/8 \d:\d\d:\d\d 8 orders", text) is not None for text in said(done[3])] == [True, True, False]
    assert value(done[4]) == "0"
    assert said(done[4]) == ["0"]
    assert value(done[5]) == "(0, [8, 8], True)"


@pytest.mark.usefixtures("private_jupyter")
def test_run_is_not_gone_on_with_once_its_strategy_was_edited(tmp_path: Path, generated: Path) -> None:
    call = f"result = hr.backtest(Backer(), {str(generated)!r}, engine='local', out='out', resume=RESUME)"
    again = call.replace("RESUME", "True")
    refused = f"try:\n    {again}\nexcept hr.InputError as error:\n    print(error)"
    cells = [PARENT, STRATEGY, call.replace("RESUME", "False"), again, STRATEGY.replace("price <", "price <="), refused]
    done = run(notebook_of(cells), tmp_path).cells
    assert said(done[3]) != []
    (text,) = (output["text"] for output in done[5].outputs if output.output_type == "stream")
    assert "the source of its strategies, or of other code that it was given, has changed" in text


@pytest.mark.usefixtures("private_jupyter")
def test_bar_stays_where_it_was_and_is_gone_where_nothing_ran(tmp_path: Path, generated: Path) -> None:
    failing = (
        "class Failing(Once):\n    def process_market_book(self, market, book):\n        raise ValueError('no price')\n"
        f"hr.backtest(Failing(), {str(generated)!r}, config=hr.Config(raise_errors=True))"
    )
    wrong = f"try:\n    hr.backtest(Once(), {str(tmp_path / 'none')!r})\nexcept hr.InputError:\n    pass"
    notebook = notebook_of([PARENT, wrong, failing, "'the kernel is alive'"])
    notebook.cells[2].metadata["tags"] = ["raises-exception"]
    done = run(notebook, tmp_path).cells
    assert said(done[1]) == [""]
    assert [output.output_type for output in done[2].outputs if "data" not in output] == ["error"]
    assert value(done[3]) == "'the kernel is alive'"
