"""How results look in notebooks and on the terminal."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from headrace.cluster.cells import cell, heading


class Picky(hr.Strategy):
    """Backs nothing; some markets are not to its taste."""

    stake: float = 2.0
    picky: bool = True

    def process_new_market(self, market: Any, book: Any) -> None:
        if self.picky:
            raise ValueError("no <model> for it")


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("net_profit", 1234.5, "1,234.50"),
        ("net_profit", -0.001, "0.00"),
        ("standard_error", 0.3193184, "0.32"),
        ("return_on_matched", -0.0512345, "-5.12%"),
        ("strike_rate", None, ""),
        ("orders", 12345, "12,345"),
        ("seconds", 2.0, "2"),
        ("max_price", 1.01, "1.01"),
        ("score", 0.123456789, "0.123457"),
        ("bold", True, "True"),
        ("name", "Picky", "Picky"),
    ],
)
def test_values_are_as_people_read_them(name: str, value: Any, text: str) -> None:
    assert cell(name, value) == text


def test_headings_are_words() -> None:
    assert [heading(name) for name in ("net_profit", "out_of_sample_net_profit")] == ["net profit", "out of sample"]


def test_result_in_a_notebook_has_failures_in_sight(generated: Path) -> None:
    result = hr.backtest([Picky(), Picky(name="calm", picky=False)], generated, engine="local")
    html = result._repr_html_()
    assert "<b>Result</b> of 8 markets, 0 orders" in html
    assert re.search(r"<summary[^>]*>8 failures</summary>", html)
    assert html.count("ValueError: no &lt;model&gt; for it") == 5
    assert "and 3 more, in its table <code>failures</code>" in html


def test_result_in_a_notebook_says_nothing_of_failures_where_there_are_none(generated: Path) -> None:
    html = hr.backtest(Picky(picky=False), generated, engine="local")._repr_html_()
    assert "failure" not in html
    assert html.count("<tr>") == 2


def test_sweep_in_a_notebook_tells_which_set_failed(generated: Path) -> None:
    html = hr.sweep(Picky, {"picky": [False, True]}, generated, engine="local", split=0.5)._repr_html_()
    assert re.search(r"set 1 1\.\d+: ValueError: no &lt;model&gt; for it", html)
    assert "set 0" not in html
    assert html.index("out of sample") < html.index(">failures<")


def test_sweep_in_a_notebook_shows_twenty_sets(generated: Path) -> None:
    sweep = hr.sweep(Picky, {"stake": [2.0 + step for step in range(25)], "picky": [False]}, generated, engine="local")
    html = sweep._repr_html_()
    assert html.count("<tr>") == 21
    assert html.count("★") == 1
    assert "20 of 25 sets are shown" in html
