"""What may wait has a limit: a test that hangs would hold up all others, and whoever waits for them."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TypeGuard

import pytest

TESTS = sorted(Path(__file__).parent.glob("*.py"))
#: Calls that wait for another process or thread, and at which of their arguments a limit may stand.
RUNS = ("run", "call", "check_call", "check_output")
WAITS = ("wait", "communicate", "join")


def unlimited(source: str) -> list[int]:
    """The lines of calls that wait, without a limit."""
    found, tree = [], ast.parse(source)
    bounded = {id(each.args[0]) for each in ast.walk(tree) if _waits_for(each)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or id(node) in bounded:
            continue
        owner, name = node.func.value, node.func.attr
        runs = name in RUNS and isinstance(owner, ast.Name) and owner.id == "subprocess"
        limited = any(keyword.arg in ("timeout", None) for keyword in node.keywords)
        if not limited and (runs or (name in WAITS and not node.args)):
            found.append(node.lineno)
    return found


def _waits_for(node: ast.AST) -> TypeGuard[ast.Call]:
    """Whether it is `asyncio.wait_for(..., timeout=...)`."""
    named = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "wait_for"
    return named and any(keyword.arg == "timeout" for keyword in node.keywords)


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_tests_wait_for_nothing_without_a_limit(path: Path) -> None:
    assert unlimited(path.read_text(encoding="utf-8")) == []


def test_a_wait_without_a_limit_is_seen() -> None:
    source = "subprocess.run(a)\nprocess.wait()\nprocess.wait(5)\n','.join(x)\nsubprocess.run(a, timeout=5)\nt.join()\n"
    source += "wait_for(e.wait())\nasyncio.wait_for(e.wait(), timeout=5)\nasyncio.wait_for(e.wait())\n"
    assert unlimited(source) == [1, 2, 6, 7, 9]
