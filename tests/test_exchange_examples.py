"""The examples of docs/exchange.md that need an exchange beside them, run as printed but for its ports."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from processes import TOOLS, environment, free_ports, run
from test_pages import ROOT, blocks_of

#: Seconds that an example may take.
LIMIT = 120
PAGE = ROOT / "docs" / "exchange.md"


def block(reason: str) -> str:
    """The page's block that is not run there for a reason."""
    (found,) = [each.code for each in blocks_of(PAGE) if each.reason == reason]
    return found


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, str]]:
    """The page's exchange as it serves, and its ports by those that the page names."""
    chosen = dict(zip(("8800", "8801"), map(str, free_ports(2)), strict=True))
    words = shlex.split(moved(block("serves until it is stopped"), chosen))
    assert words[0] == "headrace"
    served = subprocess.Popen([TOOLS / "headrace", *words[1:]], stdout=subprocess.PIPE, text=True, env=environment())
    try:
        assert served.stdout is not None
        while "Ctrl-C stops" not in (line := served.stdout.readline()):
            assert line
        yield chosen
    finally:
        served.terminate()
        served.communicate(timeout=LIMIT)


def moved(text: str, ports: dict[str, str]) -> str:
    for named, port in ports.items():
        text = text.replace(named, port)
    return text


def test_example_with_betfairlightweight(ports: dict[str, str]) -> None:
    ended = run([sys.executable, "-c", moved(block("needs the exchange above"), ports)], timeout=LIMIT)
    assert ended.returncode == 0, ended.stderr
    report, status, exposure = ended.stdout.splitlines()
    assert report.startswith("SUCCESS ")
    assert status in ("EXECUTABLE", "EXECUTION_COMPLETE")
    assert -2.0 <= float(exposure) < 0


def test_example_with_flumine(ports: dict[str, str]) -> None:
    bench = os.environ.get("HEADRACE_BENCH")
    python = Path(bench, "peer", "bin", "python") if bench else ROOT / ".bench" / "peer" / "bin" / "python"
    if not python.exists():
        pytest.skip("flumine is not installed; runs where `python -m benchmarks.peer` has made its environment")
    code = moved(block("needs flumine, and the exchange above"), ports)
    alone = {name: value for name, value in environment().items() if name != "PYTHONPATH"}
    ended = run([python, "-c", code], timeout=LIMIT, env=alone)
    assert ended.returncode == 0, ended.stderr
    orders = [line.split() for line in ended.stdout.splitlines()]
    assert orders, ended.stderr
    assert all(market_id.startswith("1.") for market_id, *_ in orders)
    assert sum(float(each[-1]) for each in orders) > 0
