"""Results to look at: the page, the figure, the command and SQL."""

from __future__ import annotations

import contextlib
import datetime
import functools
import html
import http.server
import re
import shutil
import struct
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import headrace as hr
from headrace.backtest import load_strategy
from headrace.cli import main
from headrace.cluster import charts
from headrace.cluster.report import curves, drawdown, page
from headrace.cluster.tables import from_dicts
from headrace.simulate.generator import write_markets
from headrace.simulate.rows import FIELDS

BEGIN = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
NASTY = "</style><script>document.title='ran'</script><img src=http://example.com/x.png>&\"'"


def made(**tables: list[dict[str, Any]]) -> hr.Result:
    """A result of these rows; what a row leaves out is null."""
    return hr.Result(
        {"config": {"currency": "GBP"}}, {name: from_dicts(rows, FIELDS[name]) for name, rows in tables.items()}
    )


def market(number: int, profit: float, strategy: str = "S", **values: Any) -> dict[str, Any]:
    """A row of `markets`; market `number` starts so many hours after the first."""
    row = {
        "strategy": strategy, "market_id": f"1.{number}", "market_type": "WIN", "venue": "Ascot",
        "start": BEGIN + datetime.timedelta(hours=number), "orders": 1, "matched_orders": 1,
        "won_orders": int(profit > 0), "matched": 2.0, "exposure": 2.0, "profit": profit, "commission": 0.0,
        "transactions": 1, "status": "CLOSED",
    }  # fmt: skip
    return {**row, **values}


def order(number: int, strategy: str = "S", **values: Any) -> dict[str, Any]:
    row = {
        "strategy": strategy, "market_id": f"1.{number}", "side": "BACK", "order_type": "LIMIT", "size": 2.0,
        "size_matched": 2.0, "average_price_matched": 3.0, "bsp": 2.5, "profit": 1.0,
    }  # fmt: skip
    return {**row, **values}


def failure(message: str, strategy: str = "S") -> dict[str, Any]:
    return {
        "strategy": strategy, "market_id": "1.1", "line": "/home/me/mine.py:12", "count": 7, "error_type": "KeyError",
        "message": message, "traceback": f"Traceback: {message}", "command": "headrace backtest mine.py:Mine",
    }  # fmt: skip


def cells(text: str) -> list[str]:
    """What stands in the cells of a page's tables."""
    return [html.unescape(found) for found in re.findall(r"<td[^>]*><span>(.*?)</span></td>", text)]


def large(orders: int = 100_000, strategies: int = 20) -> hr.Result:
    """A result with so many orders, ten a market."""
    import random

    chance = random.Random(1)
    names = [f"Strategy-{number}" for number in range(strategies)]
    markets = [
        market(n // strategies, round(chance.gauss(0, 20), 2), names[n % strategies]) for n in range(orders // 10)
    ]
    rows = [
        order(n // 10 // strategies, names[n // 10 % strategies], side=chance.choice(("BACK", "LAY")),
              bsp=round(chance.uniform(1.01, 100), 2), average_price_matched=round(chance.uniform(1.01, 100), 2))
        for n in range(orders)
    ]  # fmt: skip
    return made(orders=rows, markets=markets, failures=[failure(f"nothing {n}") for n in range(500)])


@pytest.fixture(scope="module")
def small() -> hr.Result:
    """Two strategies, of which one fails, with names that are not fit for HTML."""
    markets = [
        market(0, 10.0, "Alpha"), market(1, -4.0, "Alpha"), market(2, 1.5, "Alpha", commission=0.08),
        market(0, -3.0, NASTY), market(2, 2.0, NASTY, market_type="PLACE"),
    ]  # fmt: skip
    orders = [order(0, "Alpha"), order(1, "Alpha", side="LAY", size_matched=1.25), order(2, NASTY, size_matched=0.0)]
    return made(markets=markets, orders=orders, failures=[failure(NASTY, NASTY)])


# -- curves --------------------------------------------------------------------------------------------------------


def test_profit_adds_up_after_commission_in_order_of_start() -> None:
    found = curves(made(markets=[market(2, 5.0, commission=0.25), market(0, -1.0), market(1, 2.0)]), "strategy")
    assert [value for _, value in found["S"]] == [0.0, -1.0, 1.0, 5.75]
    assert found["S"][1][0] == BEGIN.timestamp() * 1000


def test_markets_that_start_together_are_one_step() -> None:
    found = curves(made(markets=[market(0, 5.0), market(0, -2.0, market_id="1.9")]), "strategy")
    assert [value for _, value in found["S"]] == [0.0, 3.0]


def test_market_without_a_start_comes_last() -> None:
    found = curves(made(markets=[market(0, 5.0, start=None), market(1, -2.0)]), "strategy")
    assert found["S"][-1] == ((BEGIN.timestamp() + 3600) * 1000, 3.0)


def test_drawdown_is_the_fall_from_the_highest_so_far_and_0_counts() -> None:
    assert drawdown([(0, 0.0), (1, -2.0), (2, 5.0), (3, 1.5)]) == [(0, 0.0), (1, -2.0), (2, 0.0), (3, -3.5)]


def test_thinned_line_keeps_its_ends_and_extremes() -> None:
    points = [(float(n), float(n % 7)) for n in range(10_000)]
    points[4321] = (4321.0, 99.0)
    points[8765] = (8765.0, -99.0)
    kept = charts.thin(points, 200)
    assert len(kept) <= 200
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert {points[4321], points[8765]} <= set(kept)
    assert kept == sorted(kept)


@pytest.mark.parametrize("span", [0, 1, 50, 3_000, 90_000, 86_400 * 3, 86_400 * 40, 86_400 * 300, 86_400 * 9000])
def test_time_axis_has_a_few_labels_inside(span: int) -> None:
    low = BEGIN.timestamp() * 1000
    axis = charts.time_axis(low, low + span * 1000)
    assert len(axis.ticks) <= 7
    assert all(axis.low <= time <= axis.high for time, _ in axis.ticks)
    assert len({label for _, label in axis.ticks}) == len(axis.ticks) > 0


@pytest.mark.parametrize("values", [[], [0.0], [0.004], [-3.0, 7.5], [1e7], [-1e-3, 5e6], [33.33, 66.66]])
def test_number_axis_holds_all_values_and_0(values: list[float]) -> None:
    axis = charts.number_axis(values)
    assert axis.low <= min([0.0, *values]) <= max([0.0, *values]) <= axis.high
    assert 2 <= len(axis.ticks) <= 9
    assert len({label for _, label in axis.ticks}) == len(axis.ticks)


# -- the page ------------------------------------------------------------------------------------------------------


def test_numbers_of_the_page_are_those_of_the_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    queue_backer = load_strategy(f"{Path(__file__).parents[1] / 'examples' / 'queue_backer.py'}:QueueBacker")
    sys.modules.pop("queue_backer", None)
    write_markets(tmp_path / "markets", 6, seed=7, changes=300)
    result = hr.backtest(queue_backer(), markets=tmp_path / "markets", engine="local")
    assert result.fills.num_rows > 0
    text = page(result)
    row = result.summary().to_pylist()[0]
    found = cells(text)[:13]
    curve = curves(result, "strategy")["QueueBacker"]
    money = [f"{row[name]:,.2f}" for name in ("matched", "profit", "commission", "net_profit")]
    fall = max(max(v for _, v in curve[: n + 1]) - value for n, (_, value) in enumerate(curve))
    assert found[0] == "QueueBacker"
    assert found[1:4] == [f"{row[name]:,}" for name in ("markets", "orders", "matched_orders")]
    assert found[4:8] == money
    assert found[8] == f"{row['return_on_matched']:.2%}"
    assert found[9] == f"{fall:,.2f}"
    assert curve[-1][1] == row["net_profit"]
    assert f"QueueBacker <b>{row['net_profit']:,.2f}</b>" in text
    assert f">{round(sum(result.orders['size'].to_pylist()), 2):,.2f}</text>" in text
    assert f">{row['matched']:,.2f}</text>" in text
    assert result.digest in text


def test_lines_end_at_the_net_profit(small: hr.Result) -> None:
    text = page(small)
    assert "Alpha <b>7.42</b>" in text
    assert "at most 4.00" in text
    assert "WIN <b>4.42</b>" in text
    assert "PLACE <b>2.00</b>" in text


def test_orders_that_beat_the_starting_price_are_counted_by_side(small: hr.Result) -> None:
    text = page(small)
    assert "100.0% of BACK orders got a better price than the starting price." in text
    assert "0.0% of LAY orders" in text


def test_best_and_worst_markets_are_in_order() -> None:
    text = page(made(markets=[market(n, float(n) - 15.0) for n in range(40)]))
    net = cells(text)[13:][::9]
    assert net == [f"{24 - n:.2f}" for n in range(10)] + [f"{n - 15:.2f}" for n in range(10)]


def test_names_are_escaped(small: hr.Result) -> None:
    text = page(small)
    assert NASTY not in text
    assert "<script" not in text
    assert "<img" not in text
    assert html.escape(NASTY) in text


def test_page_names_nothing_to_fetch() -> None:
    own = page(made(markets=[market(0, 1.0), market(1, -1.0)], orders=[order(0)], failures=[failure("no")]))
    assert "http:" not in own
    assert "https:" not in own
    assert re.findall(r"url\(|@import|\bsrc=", own) == []
    assert re.findall(r'href="([^"]*)"', own) == ["data:,"]
    assert "default-src 'none'" in own


def test_failures_are_shown_with_their_command() -> None:
    found = cells(page(made(markets=[market(0, 1.0)], failures=[failure("no such runner")])))
    assert found[-8:-1] == [
        "S", "1.1", "KeyError", "no such runner", "<code>/home/me/mine.py:12</code>", "7",
        "<code>headrace backtest mine.py:Mine</code>",
    ]  # fmt: skip
    assert "Traceback: no such runner" in found[-1]


def test_failures_that_are_left_out_are_counted() -> None:
    text = page(made(failures=[failure(f"nothing {number}") for number in range(80)]))
    assert "50 of 80 failures: the first." in text


def test_empty_result_has_a_page() -> None:
    text = page(made())
    assert "No strategy saw a market." in text
    assert "No orders with a stake" in text
    assert "<svg" not in text


def test_markets_without_orders_have_a_page() -> None:
    text = page(made(markets=[market(0, 0.0, matched=0.0, orders=0, matched_orders=0, exposure=0.0)]))
    assert "Nothing was matched in any market." in text
    assert "S <b>0.00</b>" in text


def test_only_markets_without_a_start() -> None:
    assert "No market with a scheduled start." in page(made(markets=[market(0, 1.0, start=None, market_type=None)]))


def test_lines_that_are_left_out_are_counted() -> None:
    text = page(made(markets=[market(0, float(n), f"S{n}") for n in range(120)]))
    assert "8 of 120 strategies: the largest gains and losses." in text
    assert "100 of 120 strategies: by net profit." in text


@pytest.mark.slow
def test_page_of_100_000_orders_is_under_1_megabyte() -> None:
    assert len(page(large()).encode()) < 1_000_000


def test_charts_tell_screen_readers_what_they_show(small: hr.Result) -> None:
    text = page(small)
    drawn = re.findall(r'<svg [^>]*role="img" aria-labelledby="(\S+) (\S+)"', text)
    assert len(drawn) == 5
    for title, description in drawn:
        assert text.count(f'<title id="{title}">') == text.count(f'<desc id="{description}">') == 1


# -- the command ---------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(generated: Path, tmp_path: Path) -> Path:
    """A folder with a result."""

    class Idle(hr.Strategy):
        pass

    hr.backtest(Idle(), markets=generated, engine="local", out=tmp_path / "result")
    return tmp_path / "result"


def test_command_writes_the_page(folder: Path, tmp_path: Path) -> None:
    ended = CliRunner().invoke(main, ["report", str(folder), "--out", str(tmp_path / "page.html")])
    assert (ended.exit_code, ended.output) == (0, f"report in {tmp_path / 'page.html'}\n")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page(hr.Result.load(folder))


def test_command_writes_into_the_folder_unless_told(folder: Path) -> None:
    assert CliRunner().invoke(main, ["report", str(folder)]).exit_code == 0
    assert (folder / "report.html").is_file()
    assert hr.Result.load(folder).markets.num_rows == 8


def test_command_refuses_a_folder_without_a_result(tmp_path: Path) -> None:
    ended = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert ended.exit_code == 2
    assert ended.output.startswith(f"headrace: {tmp_path}: no result here")
    assert ended.output.count("\n") == 1


def test_command_refuses_a_place_that_cannot_be_written(folder: Path, tmp_path: Path) -> None:
    ended = CliRunner().invoke(main, ["report", str(folder), "--out", str(tmp_path / "no" / "page.html")])
    assert ended.exit_code == 2
    assert ended.output.startswith("headrace: the page cannot be written")


# -- the figure ----------------------------------------------------------------------------------------------------


def test_plot_draws_profit_and_drawdown_of_each_strategy_by_number_and_by_time(small: hr.Result) -> None:
    pytest.importorskip("plotly")
    figure = small.plot()
    alpha = [trace for trace in figure.data if trace.name == "Alpha"]
    assert len(figure.data) == 4
    assert [list(trace.y) for trace in alpha] == [[0.0, 10.0, 6.0, 7.42], [0.0, 0.0, -4.0, -2.58]]
    assert list(alpha[0].x) == [0, 1, 2, 3]
    assert "3 of 3 markets" in figure.layout.title.text
    by_time = figure.layout.updatemenus[0].buttons[1].args[0]["x"][2]
    assert list(by_time) == ["2026-03-01 12:00", "2026-03-01 12:00", "2026-03-01 13:00", "2026-03-01 14:00"]


def test_plot_of_many_markets_and_strategies_stays_under_500_kb() -> None:
    pytest.importorskip("plotly")
    strategies = [f"Strategy number {number:03d} of the run" for number in range(60)]
    rows = [
        market(number, (number * 7919 + place * 31) % 41 - 20.0, name, venue="Newton Abbot")
        for number in range(500)
        for place, name in enumerate(strategies)
    ]
    figure = made(markets=rows).plot()
    assert len(figure.to_json()) < 500_000
    assert "30 of 60 strategies, the largest gains and losses" in figure.layout.title.text


def test_plot_without_markets_says_so() -> None:
    pytest.importorskip("plotly")
    assert made().plot().layout.title.text.startswith("Profit of no strategies")


@pytest.mark.parametrize(("library", "extra"), [("plotly", "report"), ("duckdb", "sql")])
def test_missing_extra_is_named(library: str, extra: str, small: hr.Result, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)

    class Missing:
        def find_spec(self, name: str, *_: object) -> None:
            if name.partition(".")[0] == library:
                raise ModuleNotFoundError(f"No module named {name!r}", name=library)

    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    with pytest.raises(hr.RunError, match=rf"needs {library}: pip install 'headrace\[{extra}\]'"):
        small.plot() if library == "plotly" else small.sql("select 1")
    extras = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    assert any(requirement.startswith(library) for requirement in extras[extra])


def test_importing_and_writing_a_page_needs_no_extra() -> None:
    script = (
        "import sys, headrace as hr; from headrace.cluster.report import page; assert 'pyarrow' not in sys.modules;"
        "page(hr.Result({})); sys.exit(bool({'plotly', 'duckdb'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


# -- SQL -----------------------------------------------------------------------------------------------------------


def test_sql_answers_with_a_table(small: hr.Result) -> None:
    pytest.importorskip("duckdb")
    found = small.sql("select strategy, sum(profit) as profit, sum(orders) as n from markets group by 1 order by 2")
    assert found.to_pylist() == [
        {"strategy": NASTY, "profit": -1.0, "n": 2},
        {"strategy": "Alpha", "profit": 7.5, "n": 3},
    ]


@pytest.mark.parametrize("table", list(FIELDS))
def test_sql_knows_every_table(table: str) -> None:
    pytest.importorskip("duckdb")
    found = made().sql(f"select * from {table}")
    assert found.num_rows == 0
    assert found.column_names == getattr(made(), table).column_names


def test_sql_tells_time_in_utc(small: hr.Result) -> None:
    pytest.importorskip("duckdb")
    assert small.sql("select min(start) as t from markets")["t"][0].as_py() == BEGIN
    assert small.sql("select hour(min(start)) as h from markets")["h"][0].as_py() == 12


@pytest.mark.parametrize("statement", ["select nothing from orders", "selekt 1", "select * from small", ""])
def test_wrong_statement_is_an_input_error(statement: str, small: hr.Result) -> None:
    pytest.importorskip("duckdb")
    with pytest.raises(hr.InputError, match="the statement"):
        small.sql(statement)


# -- in a browser --------------------------------------------------------------------------------------------------

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: Shows the page in a frame as wide as a screen, and writes down what came of it.
FRAME = """<!DOCTYPE html><iframe id="f" src="/page.html" style="width:{width}px;height:800px;border:0"></iframe>
<pre id="seen"></pre><script>
document.getElementById("f").onload = event => {{
  const frame = event.target, page = frame.contentDocument, root = page.documentElement;
  const right = [...page.querySelectorAll("svg,text,li,p,h1,dd,.wide")].map(e => e.getBoundingClientRect().right);
  document.getElementById("seen").textContent = "wide " + root.scrollWidth + " right " + Math.ceil(Math.max(...right)) +
    " fetched " + frame.contentWindow.performance.getEntriesByType("resource").length + " title " + page.title;
}};
</script>"""


@pytest.fixture(scope="module")
def browser() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    return found


def browse(browser: str, profile: Path, *arguments: str) -> str:
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        "--disable-dev-shm-usage", "--hide-scrollbars", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--user-data-dir={profile}", *arguments,
    ]  # fmt: skip
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return ended.stdout


@contextlib.contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """A server of a folder: its address, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory, small: hr.Result) -> Path:
    """A folder with a page that is hard to fit: long names without a space, large sums, a failure."""
    long = "N" * 200
    result = made(
        markets=[*small.markets.to_pylist(), market(1, -12_345_678.9, long, venue=long), market(2, 1.0, long)],
        orders=[*small.orders.to_pylist(), order(1, long, size=123_456_789.0)],
        failures=[failure(NASTY, NASTY), failure("m" * 300, long)],
    )
    folder = tmp_path_factory.mktemp("crowded")
    result.to_html(folder / "page.html")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_browser_fits_the_page_and_fetches_nothing(browser: str, crowded: Path, tmp_path: Path, width: int) -> None:
    (crowded / f"frame{width}.html").write_text(FRAME.format(width=width), encoding="utf-8")
    with served(crowded) as (address, asked):
        shown = browse(
            browser, tmp_path / "profile", "--window-size=1400,900", "--dump-dom", f"{address}/frame{width}.html"
        )
    seen = re.search(r"wide (\d+) right (\d+) fetched (\d+) title (.*)</pre>", shown)
    assert seen is not None, shown[-500:]
    assert int(seen[1]) <= width
    assert int(seen[2]) <= width
    assert int(seen[3]) == 0
    assert seen[4].startswith("Result of")  # no script of a name has run
    assert set(asked) - {"/favicon.ico"} == {f"/frame{width}.html", "/page.html"}  # the frame's icon, not the page's


@pytest.mark.slow
@pytest.mark.parametrize("size", [(390, 844), (1280, 800)], ids=["phone", "desktop"])
def test_browser_draws_the_page(browser: str, crowded: Path, tmp_path: Path, size: tuple[int, int]) -> None:
    picture = tmp_path / "page.png"
    browse(
        browser, tmp_path / "profile", f"--window-size={size[0]},{size[1]}", f"--screenshot={picture}",
        (crowded / "page.html").as_uri(),
    )  # fmt: skip
    data = picture.read_bytes()
    assert struct.unpack(">II", data[16:24]) == size
    assert len(data) > 10_000  # an empty page is far smaller


@pytest.mark.slow
def test_browser_prints_the_page(browser: str, crowded: Path, tmp_path: Path) -> None:
    paper = tmp_path / "page.pdf"
    browse(browser, tmp_path / "profile", "--no-pdf-header-footer", f"--print-to-pdf={paper}",
           (crowded / "page.html").as_uri())  # fmt: skip
    data = paper.read_bytes()
    assert data.startswith(b"%PDF")
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", data)) <= 12
