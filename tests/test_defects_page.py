"""The table of flumine's defects in docs/fidelity.md: all are there, and each test that it names is collected."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TITLE = "Defects of flumine, and the tests that show them"
#: Those of the numbers 1 to 23 that concern what a backtest comes to.
DEFECTS = [f"D{number}" for number in (*range(1, 16), 17, 18, 20, 23)]


def table(page: str) -> dict[str, list[str]]:
    """The tests of each defect."""
    section = page.partition(f"\n## {TITLE}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (D\d+) \|.*\| ([^|]*) \|$", section, re.MULTILINE)
    return {defect: re.findall(r"`(test_\w+)`", tests) for defect, tests in rows}


def defined(name: str) -> list[Path]:
    """The files with a test of this name."""
    pattern = re.compile(rf"^def {name}\(", re.MULTILINE)
    return [path for path in sorted((ROOT / "tests").glob("test_*.py")) if pattern.search(path.read_text("utf-8"))]


def collected(files: Iterable[Path]) -> set[tuple[str, str]]:
    """File and name of each test that pytest finds there."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *map(str, files)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300).stdout
    return set(re.findall(r"^\S*?(test_\w+\.py)::(test_\w+)", found, re.MULTILINE))


def test_every_defect_has_its_tests_and_each_is_collected() -> None:
    tests = table((ROOT / "docs" / "fidelity.md").read_text("utf-8"))
    assert list(tests) == DEFECTS
    assert [defect for defect, names in tests.items() if not names] == []
    places = {name: defined(name) for names in tests.values() for name in names}
    assert {name: paths for name, paths in places.items() if len(paths) != 1} == {}
    files: dict[Path, set[str]] = defaultdict(set)
    for name, (path,) in places.items():
        files[path].add(name)
    wanted = {(path.name, name) for path, names in files.items() for name in names}
    assert wanted - collected(files) == set()
