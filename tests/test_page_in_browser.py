"""Pages in a real browser: they fit, fetch nothing, run no script of a name, and answer to pointer and paper."""

from __future__ import annotations

import contextlib
import functools
import html
import http.server
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from builders import MARKET, START, Stream
from common_strategies import BacksAtFirstPrices
from headrace.results.tables import from_dicts
from headrace.simulate.rows import FIELDS
from test_report import BEGIN, NASTY, failure, made, market, order

pytestmark = pytest.mark.slow

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDTHS = (1280, 390)

#: Shows pages in frames as wide as screens, does what people do, and writes down what came of it. One start of the
#: browser serves all tests.
FRAMES = """<!DOCTYPE html><body><pre id="seen"></pre><script>
const seen = {}, wanted = %s;
const wait = () => { if (Object.keys(seen).length === wanted.length)
  document.getElementById("seen").textContent = JSON.stringify(seen); };
function point(plot, kind, x, y, more) {
  const box = plot.querySelector("svg").getBoundingClientRect();
  plot.dispatchEvent(new plot.ownerDocument.defaultView.PointerEvent(kind, {bubbles: true, pointerType: "mouse",
    clientX: box.left + x * box.width, clientY: box.top + y * box.height, ...more}));
}
const texts = (plot, part) => [...plot.querySelectorAll(`svg > g.${part} text`)].map(each => each.textContent);
function look(frame) {
  const page = frame.contentDocument, root = page.documentElement, told = {};
  const fits = [...page.querySelectorAll("figure svg,li,p,h1,h3,dd,.wide,button")].filter(e => !e.closest("svg svg"));
  told.wide = root.scrollWidth;
  told.right = Math.ceil(Math.max(...fits.map(e => e.getBoundingClientRect().right)));
  told.fetched = frame.contentWindow.performance.getEntriesByType("resource").length;
  told.title = page.title;
  told.scripted = page.body.classList.contains("js");
  const bad = page.querySelector(".failure h3");
  told.red = bad && frame.contentWindow.getComputedStyle(bad).color;
  const chart = page.querySelector('figure[data-chart="total"]');
  if (chart) {
    const plot = chart.querySelector(".plot");
    told.numbers = texts(plot, "x");
    point(plot, "pointermove", 0.99, 0.5);
    told.tip = plot.querySelector(".tip").hidden ? null : plot.querySelector(".tip").textContent;
    const buttons = Object.fromEntries([...chart.querySelectorAll("button")].map(each => [each.textContent, each]));
    buttons["by time"].click();
    told.times = texts(plot, "x");
    buttons["by market number"].click();
    point(plot, "pointerdown", 0.5, 0.5); point(plot, "pointermove", 0.9, 0.5); point(plot, "pointerup", 0.9, 0.5);
    told.zoomed = texts(plot, "x");
    buttons.whole.click();
    told.whole = texts(plot, "x");
    point(plot, "pointerdown", 0.99, 0.5); point(plot, "pointerup", 0.99, 0.5);
    told.clicked = (page.querySelector("#orders-shown") || {}).innerText;
  }
  const row = page.querySelector("#markets tr[data-market]");
  if (row) {
    const shown = () => [...row.cells].filter(cell => cell.getClientRects().length).length;
    told.before = shown();
    row.click();
    told.after = shown();
    told.orders = page.querySelector("#orders-shown").innerText;
    told.bold = page.querySelector("#orders-shown b,#orders-shown script");
  }
  const panel = page.querySelector(".plot[data-panel]");
  if (panel) {
    told.price = texts(panel, "y");
    const mark = panel.querySelector("path.fill"), box = mark.getBoundingClientRect();
    const svg = panel.querySelector("svg").getBoundingClientRect();
    const centre = [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
    point(panel, "pointermove", (centre[0] - svg.left) / svg.width, (centre[1] - svg.top) / svg.height);
    told.mark = panel.querySelector(".tip").textContent;
    const buttons = [...panel.closest("figure").querySelectorAll("button")];
    const all = buttons.find(each => each.textContent.startsWith("all"));
    told.focus = texts(panel, "x");
    all.click();
    told.all = texts(panel, "x");
    told.shades = [...panel.querySelectorAll("rect")].map(each => each.getAttribute("class"));
  }
  return told;
}
for (const [name, width] of wanted) {
  const frame = document.createElement("iframe");
  frame.style = `width:${width}px;height:800px;border:0`;
  frame.onload = () => {
    try { seen[`${name} ${width}`] = look(frame); } catch (error) { seen[`${name} ${width}`] = {error: error.stack}; }
    wait();
  };
  frame.src = name;
  document.body.append(frame);
}
</script>"""


@pytest.fixture(scope="module")
def browser() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser; runs if one of {', '.join(BROWSERS)} is installed")
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
        thread.join(60)
        server.server_close()


def hard() -> hr.Result:
    """A result that is hard to fit and hard to read: long names without a space, names of scripts, a failure."""
    long = "N" * 200
    markets = [market(n, 10.0 if n % 3 else -12.5, "Alpha") for n in range(24)]
    markets += [market(1, -12_345_678.9, long, venue=long), market(2, 1.0, long), market(3, -3.0, NASTY)]
    orders = [order(n, "Alpha", order_id=f"{n}", selection_id=47, notes=NASTY) for n in range(24)]
    orders += [order(1, long, size=123_456_789.0, order_id="long"), order(3, NASTY, bet_id=NASTY)]
    failures = [failure(NASTY, NASTY), failure("m" * 300, long)]
    violations = [{"strategy": "Alpha", "market_id": "1.1", "control": long, "reason": NASTY, "count": 3}]
    return made(markets=markets, orders=orders, failures=failures, violations=violations)


def with_prices(folder: Path) -> hr.Result:
    """A result of one market of which the recording is there."""
    stream = Stream(market_id=MARKET).prices(
        START - 60_000, {1: {"atb": [[3.0, 50]], "atl": [[3.1, 50]], "ltp": 3.0, "trd": [[3.0, 10]]}}
    )
    stream.prices(START - 20_000, {1: {"ltp": 2.9}}).turn_in_play(START + 30_000).suspend(START + 90_000)
    recording = stream.close(START + 95_000, winner=1, inPlay=True).write(folder / MARKET)

    return hr.backtest(BacksAtFirstPrices(price=3.0), recording, engine="local")


def sweep() -> hr.SweepResult:
    """A sweep with a parameter whose values are scripts."""
    sets = [{"mood": mood, "stake": stake} for mood in (NASTY, "calm") for stake in (2.0, 3.0)]
    rows = [market(n, float(n - number), "S", matched_orders=1) for n in range(6) for number in range(4)]
    fields = (*FIELDS["markets"], ("set", "whole"))
    tables = {name: from_dicts([], (*FIELDS[name], ("set", "whole"))) for name in FIELDS}
    tables["markets"] = from_dicts([{**row, "set": place % 4} for place, row in enumerate(rows)], fields)
    manifest = {"digests": ["0"] * 4, "config": {"currency": "GBP"}, "strategy": "mine.Moody"}
    return hr.SweepResult(manifest, sets, tables)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    hard().to_html(folder / "hard.html")
    with_prices(folder).to_html(folder / "prices.html", show=[MARKET])
    sweep().to_html(folder / "sweep.html")
    return folder


@pytest.fixture(scope="module")
def seen(browser: str, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the browser saw, by page and width."""
    wanted = [[f"{name}.html", width] for name in ("hard", "prices", "sweep") for width in WIDTHS]
    (folder / "frames.html").write_text(FRAMES % json.dumps(wanted), encoding="utf-8")
    with served(folder) as (address, asked):
        shown = browse(
            browser, tmp_path_factory.mktemp("profile"), "--window-size=1400,900", "--virtual-time-budget=20000",
            "--dump-dom", f"{address}/frames.html",
        )  # fmt: skip
    assert set(asked) - {"/favicon.ico"} == {"/frames.html", "/hard.html", "/prices.html", "/sweep.html"}
    found = re.search(r'<pre id="seen">(.*?)</pre>', shown, re.DOTALL)
    assert found is not None, shown[-500:]
    told: dict[str, dict[str, Any]] = json.loads(html.unescape(found[1]))
    for page, each in told.items():
        assert "error" not in each, f"{page}: {each['error']}"
    return told


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["hard", "prices", "sweep"])
def test_page_fits_its_screen_and_fetches_nothing(seen: dict[str, dict[str, Any]], name: str, width: int) -> None:
    page = seen[f"{name}.html {width}"]
    assert page["wide"] <= width
    assert page["right"] <= width
    assert page["fetched"] == 0
    assert page["scripted"]


def test_no_script_of_a_name_has_run(seen: dict[str, dict[str, Any]]) -> None:
    assert seen["hard.html 1280"]["title"].startswith("Result of")
    assert seen["sweep.html 1280"]["title"] == "Sweep of Moody"
    assert seen["hard.html 1280"]["bold"] is None


def test_failures_are_red(seen: dict[str, dict[str, Any]]) -> None:
    red, green, blue = map(int, re.findall(r"\d+", seen["hard.html 1280"]["red"])[:3])
    assert red > 2 * green
    assert red > 2 * blue


def test_chart_is_by_market_number_and_by_time(seen: dict[str, dict[str, Any]]) -> None:
    page = seen["hard.html 1280"]
    assert page["numbers"][0] == "0"
    assert page["numbers"][-1] in ("24", "20")
    assert all(re.fullmatch(r"\d\d:\d\d|\d\d \w{3}, \d\d:\d\d", label) for label in page["times"]), page["times"]


def test_chart_zooms_into_what_is_picked_and_back(seen: dict[str, dict[str, Any]]) -> None:
    page = seen["hard.html 1280"]
    inside = [int(label) for label in page["zoomed"]]
    assert 12 <= inside[0] < inside[-1] <= 22
    assert page["whole"] == page["numbers"]


def test_point_tells_its_market_and_leads_to_its_orders(seen: dict[str, dict[str, Any]]) -> None:
    page = seen["hard.html 1280"]
    assert "10.00 in 1.23" in page["tip"]
    assert "market number 24" in page["tip"]
    assert page["clicked"].startswith("1.23 · WIN · Ascot · 02 Mar 2026 11:00")
    assert "BACK 2.00" in page["clicked"]


def test_row_leads_to_the_orders_of_its_market(seen: dict[str, dict[str, Any]]) -> None:
    page = seen["hard.html 1280"]
    assert page["before"] == page["after"] == 9
    assert "placed (UTC)" in page["orders"]
    assert f"{BEGIN:%b %Y}" in page["orders"]


def test_row_on_a_phone_has_three_fields_until_it_is_tapped(seen: dict[str, dict[str, Any]]) -> None:
    page = seen["hard.html 390"]
    assert (page["before"], page["after"]) == (3, 9)


@pytest.mark.parametrize("width", WIDTHS)
def test_market_chart_tells_of_a_fill_and_shows_the_whole_market(seen: dict[str, dict[str, Any]], width: int) -> None:
    page = seen[f"prices.html {width}"]
    assert "BACK 2.00 at 3" in page["mark"]
    assert "matched 2.00 at 3" in page["mark"]
    assert page["all"] != page["focus"]
    assert page["shades"] == ["inplay", "suspended"]
    assert len(page["price"]) >= 2


def test_page_can_be_printed(browser: str, folder: Path, tmp_path: Path) -> None:
    paper = tmp_path / "page.pdf"
    browse(browser, tmp_path / "profile", "--no-pdf-header-footer", f"--print-to-pdf={paper}",
           (folder / "hard.html").as_uri())  # fmt: skip
    data = paper.read_bytes()
    assert data.startswith(b"%PDF")
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", data)) <= 12
