"""The documentation is true: its links lead somewhere, and what is made from the code is up to date.

test_pages.py runs the pages' examples.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from headrace.loading import load_strategy
from headrace.simulate.generator import write_markets
from headrace.strategies.rules import Rules

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """What links to headings of a page may name."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Markets of all sports; of events enough for a split of them."""
    folder = tmp_path_factory.mktemp("docs") / "recordings"
    write_markets(folder, 12, seed=3, changes=120)
    return folder


@pytest.fixture
def workplace(tmp_path: Path, recordings: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder as the documentation supposes it: recordings and examples are in it."""
    shutil.copytree(recordings, tmp_path / "recordings")
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for example in EXAMPLES:  # loading a strategy from a file leaves its module
        sys.modules.pop(example.stem, None)


def make_reference() -> Any:
    path = ROOT / "docs" / "make_reference.py"
    spec = importlib.util.spec_from_file_location("make_reference", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_reference_is_up_to_date() -> None:
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert text == make_reference().rewritten(text), "run: python docs/make_reference.py"


def test_faults_of_the_exchange_are_up_to_date() -> None:
    text = (ROOT / "docs" / "exchange.md").read_text(encoding="utf-8")
    made = make_reference()
    assert text == made.rewritten(text, made.EXCHANGE_SECTIONS), "run: python docs/make_reference.py"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_names_of_the_package_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert [name for name in re.findall(r"\bhr\.(\w+)", text) if not hasattr(hr, name)] == []


def test_every_rule_that_differs_is_told() -> None:
    text = (ROOT / "docs" / "fidelity.md").read_text(encoding="utf-8")
    assert [field.name for field in dataclasses.fields(Rules) if f"`{field.name}`" not in text] == []


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_example_runs(example: Path, workplace: Path) -> None:
    code = example.read_text(encoding="utf-8")
    names = re.findall(r"^class (\w+)\(hr\.Strategy\)", code, re.MULTILINE)
    assert names
    for name in names:
        result = hr.backtest(load_strategy(f"{example}:{name}")(), markets="recordings", engine="local")
        assert result.failures.to_pylist() == []
        assert result.orders.num_rows > 0
