"""The commands of docs/guide.md run. Its Python examples are run by test_docs.py, with those of all pages."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from headrace.cli import main

ROOT = Path(__file__).resolve().parents[1]


def commands() -> list[list[str]]:
    """The words of the guide's `headrace` commands, in order."""
    text = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [shlex.split(line) for line in "".join(blocks).splitlines() if line.startswith("headrace ")]


def test_commands_of_the_guide_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    found = commands()
    assert [words[1] for words in found] == ["generate", "backtest", "check", "explain", "prices"]
    said = {}
    for words in found:
        ended = CliRunner().invoke(main, words[1:], catch_exceptions=False)
        assert ended.exit_code == 0, ended.output
        said[words[1]] = ended.output
    sys.modules.pop("lowest_layer", None)  # loading a strategy from a file leaves its module
    assert said["check"] == "no findings\n"
    assert "placed as bet 100000000001" in said["explain"]
    assert any((tmp_path / "prices").glob("*.parquet"))
