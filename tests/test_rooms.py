"""Where modules stand: no circle of files, and no long file, but those that docs/design.md argues for."""

from __future__ import annotations

import re
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[1]
DESIGN = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
#: Lines of a file beyond which it needs a reason.
MOST_LINES = 400
NOT_SHIPPED = {"benchmarks", "build", "deploy", "dist", "docs", "examples", "tests"}


def section(heading: str) -> str:
    """The text below a heading of docs/design.md, up to the next."""
    found = re.search(rf"^### {re.escape(heading)}\n(.*?)(?=^##)", DESIGN, re.DOTALL | re.MULTILINE)
    assert found is not None, heading
    return found[1]


def circles(imports: dict[str, set[str]]) -> set[frozenset[str]]:
    """Modules of which each leads to each of the others, whoever imports, and wherever in the file it does."""
    reached: dict[str, set[str]] = {}
    for module in imports:
        found: set[str] = set()
        waiting = [module]
        while waiting:
            more = imports[waiting.pop()] - found
            found |= more
            waiting.extend(more)
        reached[module] = found
    together = {
        module: frozenset(other for other in found if module in reached[other])
        for module, found in reached.items()
        if module in found
    }
    return set(together.values())


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """What each module of the package imports, in functions and for types only too."""
    graph = grimp.build_graph("headrace", cache_dir=None)
    modules = {each for each in graph.modules if each.startswith("headrace.") and each.split(".")[1] not in NOT_SHIPPED}
    return {each: graph.find_modules_directly_imported_by(each) & modules for each in modules}


def test_circles_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": set[str](), "f": {"a"}}
    assert circles(graph) == {frozenset("abc")}


def test_graph_knows_imports_in_functions_and_those_for_types(imports: dict[str, set[str]]) -> None:
    assert "headrace.results.display.report" in imports["headrace.results.result"]  # in `Result.to_html`
    assert "headrace.strategies.trade" in imports["headrace.strategies.order"]  # below `if TYPE_CHECKING`


def test_no_circle_of_files_but_those_argued_for(imports: dict[str, set[str]]) -> None:
    argued = {
        frozenset(f"headrace.{folder.replace('/', '.')}.{name}" for name in re.findall(r"`(\w+)`", names))
        for folder, names in re.findall(r"^- `([\w/]+)/`: ([^:]+):", section("Circles of files"), re.MULTILINE)
    }
    assert circles(imports) == argued


def test_no_long_file_but_those_with_a_reason() -> None:
    files = [
        file
        for file in ROOT.rglob("*.py")
        if (parts := file.relative_to(ROOT).parts)[0] not in NOT_SHIPPED
        and all(part.isidentifier() for part in parts[:-1])  # not .venv
    ]
    long = {
        file.relative_to(ROOT).as_posix()
        for file in files
        if len(file.read_text(encoding="utf-8").splitlines()) > MOST_LINES
    }
    assert long == set(re.findall(r"^\| `([\w/.]+)` \|", section("Long files"), re.MULTILINE))
