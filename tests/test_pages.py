"""Each page can be followed in its order, from an empty folder: shell blocks in a shell, Python blocks one after the
other. What cannot be run here is marked in the page, with the reason, and counted.
"""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from processes import skip_where_ray_has_no_scripts, spaced
from shell import HeadraceShell

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
#: Languages of blocks: the first two are run, the others show something.
RUN, SHOWN = ("sh", "python"), ("console", "text", "toml", "json", "yaml", "js")
#: Blocks that are not run, by page and reason.
NOT_RUN = {
    "README.md": {"installs": 2},
    "docs/cluster.md": {"a transcript": 4, "needs a cluster": 1},
    # test_exchange_examples.py runs these.
    "docs/exchange.md": {
        "serves until it is stopped": 1,
        "needs the exchange above": 1,
        "needs flumine, and the exchange above": 1,
        "serves with all ports until it is stopped": 1,
        "needs the exchange with all ports, curl and openssl": 1,
        "needs the exchange with all ports, and Node.js": 1,
        "needs the exchange with all ports": 1,
    },
    "docs/from-flumine.md": {"needs flumine": 1},
    "docs/live.md": {
        "needs a running system": 1,
        "needs an account": 2,
        "needs the journal of a system": 1,
    },
    "docs/reference.md": {
        "needs a cluster": 1,
        "serves until it is stopped": 1,
        "trades until it is stopped": 2,
        "needs a running system": 3,
        "needs the journal of a system": 1,
        "needs a recorded session": 1,
        "needs an account": 1,
    },
}
#: Pages whose last result has orders.
BETS = ("README.md", "docs/from-flumine.md", "docs/guide.md", "docs/results.md", "docs/sweeps.md")
#: The seconds that a block of a page may take in a shell.
LIMIT = 120


@dataclasses.dataclass(frozen=True)
class Block:
    """A block of a page; `reason` says why it is not run, and is empty where it is."""

    number: int
    language: str
    code: str
    reason: str


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks_of(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order. A comment in the line before says that one is not run."""
    pattern = re.compile(r"^(?:<!-- not run: ([^\n]+) -->\n)?```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    found = pattern.finditer(page.read_text(encoding="utf-8"))
    return [Block(number, each[2], each[3], each[1] or "") for number, each in enumerate(found, 1)]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_are_run_or_say_why_not(page: Path) -> None:
    blocks = blocks_of(page)
    text = page.read_text(encoding="utf-8")
    assert len(blocks) == len(re.findall(r"^```", text, re.MULTILINE)) / 2
    assert len([block for block in blocks if block.reason]) == text.count("<!-- not run")
    assert [block for block in blocks if block.language not in (*RUN, *SHOWN)] == []
    assert Counter(block.reason for block in blocks if block.reason) == NOT_RUN.get(name_of(page), {})
    # A transcript of commands is not passed off as output.
    unmarked = [block for block in blocks if block.language in SHOWN and not block.reason]
    assert [block for block in unmarked if re.search(r"^(\$ |headrace (?!.*\[OPTIONS\]))", block.code, re.M)] == []
    assert re.findall(r"^ {4,}headrace .*", text, re.MULTILINE) == []


@pytest.fixture(scope="module")
def shell() -> Iterator[HeadraceShell]:
    started = HeadraceShell()
    yield started
    started.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to be in; what is imported from it is forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(f"{tmp_path}{os.sep}"):
            del sys.modules[name]


def followed(page: Path) -> Any:
    needs_ray = "from ray import" in page.read_text(encoding="utf-8")
    return pytest.param(page, marks=pytest.mark.ray if needs_ray else (), id=name_of(page))


FOLLOWED = [
    followed(page) for page in PAGES if any(block.language in RUN and not block.reason for block in blocks_of(page))
]


@pytest.mark.parametrize("page", FOLLOWED)
def test_page_can_be_followed(page: Path, folder: Path, shell: HeadraceShell, request: pytest.FixtureRequest) -> None:
    blocks = [block for block in blocks_of(page) if block.language in RUN and not block.reason]
    if any("from ray import" in block.code for block in blocks):
        request.getfixturevalue("ray_local")
    names: dict[str, Any] = {"__name__": "documentation"}
    tuners = [block for block in blocks if "tune.Tuner(" in block.code]
    for block in blocks:
        if block in tuners and spaced():
            continue
        if block.language == "sh":
            ran = shell.run(block.code, LIMIT)
            assert ran.returncode == 0, f"block {block.number}:\n{block.code}\n{ran.stdout}{ran.stderr}"
        else:
            code = compile(block.code, f"{page.name}, block {block.number}", "exec", dont_inherit=True)
            exec(code, names)
    if tuners:
        skip_where_ray_has_no_scripts()  # all other blocks have run
    if "result" in names:
        assert names["result"].failures.to_pylist() == []
        assert names["result"].markets.num_rows > 0
        # Of a sweep too, which keeps no orders unless it is told to.
        assert sum(names["result"].markets["orders"].to_pylist()) > 0 or name_of(page) not in BETS


def test_command_of_the_shell_exits_as_it_does_elsewhere(folder: Path, shell: HeadraceShell) -> None:
    ran = shell.run("headrace new first.py && headrace check first.py:BackTheFavourite", LIMIT)
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (0, "no findings")
    ran = shell.run("headrace check first.py:Nothing; true", LIMIT)
    assert ran.returncode == 2
    assert "has no strategy 'Nothing'" in ran.stderr
