"""The page of a sweep: sets, their profit, what was swept, and what went wrong."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import headrace as hr
from builders import priced
from common_strategies import Moody
from headrace.cli import main
from headrace.results.display.formats import formatted
from headrace.results.display.heatmap import heat_of
from headrace.results.display.sweep_report import sweep_page

NASTY = "</script><script>document.title='ran'</script>&"


class MoodyFirst(Moody):
    runners: int = 1


@pytest.fixture(scope="module")
def markets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep-markets")
    for number in range(6):
        stream = priced(market_id=f"1.10000000{number}", eventId=f"9{number}").touch(400)
        stream.close(9000, winner=1 + number % 2).write(folder / f"1.10000000{number}")
    return folder


def swept(markets: Path, values: Any, **settings: Any) -> hr.SweepResult:
    return hr.sweep(MoodyFirst, values, markets, engine="local", progress=False, **settings)


@pytest.fixture(scope="module")
def sweep(markets: Path) -> hr.SweepResult:
    return swept(markets, {"stake": [2, 3, 4], "runners": [1, 2]}, split=0.5)


COLUMNS = ("set", "stake", "runners", "in_sample_net_profit", "out_of_sample_net_profit", "net_profit")


def rows(text: str) -> list[dict[str, str]]:
    """The first cells of the first table's rows, by the names of their columns."""
    body = text[text.index("<tbody>") : text.index("</tbody>")]
    found = [re.findall(r"<td[^>]*><span>(.*?)</span></td>", row) for row in body.split("<tr")[1:]]
    return [dict(zip(COLUMNS, map(html.unescape, row), strict=False)) for row in found]


def test_sets_stand_by_the_profit_in_sample_with_what_came_of_it_beside(sweep: hr.SweepResult) -> None:
    text = sweep_page(sweep)
    found = rows(text)
    best = sweep.best("in_sample_net_profit")
    assert found[0] == {name: formatted(name, best[name]) for name in COLUMNS}
    assert len(found) == 6
    assert text.count(" class=best>") == 1
    in_sample = [float(row["in_sample_net_profit"]) for row in found]
    assert in_sample == sorted(in_sample, reverse=True)
    assert f"<dt>of it out of sample</dt><dd>{best['out_of_sample_net_profit']:,.2f}</dd>" in text


def test_page_says_what_was_swept_and_ends_with_the_digest(sweep: hr.SweepResult) -> None:
    text = sweep_page(sweep)
    assert "<dt>values of stake</dt><dd>2, 3, 4</dd>" in text
    assert "<dt>max_order_exposure, in all sets</dt><dd>10</dd>" in text
    assert "<dt>mood, in all sets</dt><dd>calm</dd>" in text
    assert f"<dt>headrace</dt><dd>{sweep.manifest['versions']['headrace']}</dd>" in text
    assert "<dt>split: share of events in sample</dt><dd>0.5</dd>" in text
    assert "<dt>recordings</dt><dd>6</dd>" in text
    assert text.rindex(sweep.digest) > text.rindex("</section>")


def test_heatmaps_have_the_figures_and_say_what_they_are_the_mean_of(markets: Path) -> None:
    three = swept(markets, {"stake": [2, 3], "runners": [1, 2], "mood": ["calm", "bold"]})
    text = sweep_page(three)
    heat = heat_of(three.table.to_pylist(), "stake", "runners", "net_profit", ["stake", "runners", "mood"])
    part = text[text.index("net profit by stake and runners") :]
    shown = re.findall(r'<td style="[^"]*" title="2 sets">(.*?)</td>', part[: part.index("</table>")])
    assert shown == [formatted("net_profit", one) for line in reversed(heat.cells) for one in line]
    assert "stake to the right, runners up; each cell: the mean over mood, of 2 sets." in text


def test_failures_and_violations_name_their_sets(markets: Path) -> None:
    text = sweep_page(swept(markets, {"mood": ["calm", "broken"], "stake": [2, 50]}))
    failed = text[text.index('<section id="failures"') : text.index('<section id="violations"')]
    assert "in 6 markets, set 2, 3" in failed
    assert "KeyError" in failed
    refused = text[text.index('<section id="violations"') :]
    assert "Order exposure (50.00) is more than max_order_exposure (10" in refused
    assert "set 1" in refused


def test_sweep_in_which_nothing_traded_says_why(markets: Path) -> None:
    text = sweep_page(swept(markets, {"stake": [50, 60]}))
    assert "none traded" in text
    assert "no set traded" in text
    assert " class=best>" not in text


def test_values_are_escaped(markets: Path) -> None:
    text = sweep_page(swept(markets, {"mood": [NASTY, "calm"], "stake": [2, 3]}))
    assert text.count("<script") == 2
    assert NASTY not in text


def test_command_writes_the_page_of_a_sweep(sweep: hr.SweepResult, tmp_path: Path) -> None:
    sweep.save(tmp_path / "sweep")
    ended = CliRunner().invoke(main, ["report", str(tmp_path / "sweep")])
    assert (ended.exit_code, ended.output) == (0, f"report in {tmp_path / 'sweep' / 'report.html'}\n")
    text = (tmp_path / "sweep" / "report.html").read_text(encoding="utf-8")
    assert "<h1>Sweep of MoodyFirst</h1>" in text
    ended = CliRunner().invoke(main, ["report", str(tmp_path / "sweep"), "--market", "1.100000001"])
    assert ended.exit_code == 2
    assert "is a sweep" in ended.output
