"""The examples of docs/exchange.md that need an exchange beside them, run as printed but for its ports."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
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
    with serving("serves until it is stopped", ("8800", "8801")) as chosen:
        yield chosen


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, str], Path]]:
    """The page's exchange with all its ports, and the folder that it was started in."""
    folder = tmp_path_factory.mktemp("everything")
    named = ("8800", "8801", "8802", "8803", "8804")
    with serving("serves with all ports until it is stopped", named, folder) as chosen:
        yield chosen, folder


@contextlib.contextmanager
def serving(reason: str, named: tuple[str, ...], folder: Path | None = None) -> Iterator[dict[str, str]]:
    chosen = dict(zip(named, map(str, free_ports(len(named))), strict=True))
    words = shlex.split(moved(block(reason), chosen).replace("\\\n", ""))
    assert words[0] == "headrace"
    served = subprocess.Popen(
        [TOOLS / "headrace", *words[1:]], stdout=subprocess.PIPE, text=True, env=environment(), cwd=folder
    )
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


def test_example_with_curl_and_openssl(everything: tuple[dict[str, str], Path]) -> None:
    if not all(map(shutil.which, ("curl", "openssl", "sh"))):
        pytest.skip("curl or openssl is not installed; runs where both are")
    ports, folder = everything
    code = moved(block("needs the exchange with all ports, curl and openssl"), ports)
    ended = run(["sh", "-ec", code], timeout=LIMIT, cwd=folder)
    certlogin, types, *stream = [json.loads(line) for line in ended.stdout.splitlines()]
    assert certlogin["loginStatus"] == "SUCCESS", ended.stderr
    assert sum(each["marketCount"] for each in types) == 3
    assert [each["op"] for each in stream] == ["connection", "status", "status", "ocm"]
    assert {each["statusCode"] for each in stream[1:3]} == {"SUCCESS"}


def test_example_with_node(everything: tuple[dict[str, str], Path]) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed; runs where `node` is on the path")
    ports, folder = everything
    code = moved(block("needs the exchange with all ports, and Node.js"), ports)
    ended = run([node, "-e", code], timeout=LIMIT, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    assert "status: 'SUCCESS'" in ended.stdout
    assert "betId: '2" in ended.stdout


def test_example_with_betfairlightweight_over_https(everything: tuple[dict[str, str], Path]) -> None:
    ports, folder = everything
    code = moved(block("needs the exchange with all ports"), ports)
    ended = run([sys.executable, "-c", code], timeout=LIMIT, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    status, balance = ended.stdout.splitlines()
    assert status == "SUCCESS"
    assert 0 < float(balance) <= 10_000
