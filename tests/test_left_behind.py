"""What a run leaves where temporary files go: nothing.

`conftest.py` looks after each module of tests, and `test_resume.py` after a Ray that was begun for a run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import headrace as hr
from headrace.actors.run_files import unpack_files
from processes import LIMIT


class TellsPlace(hr.Strategy):
    def process_closed_market(self, market: Any, book: Any) -> None:
        place = hr.path("model.json")
        self.record(market, place=place, there=os.path.exists(place))


def test_files_of_a_run_are_gone_when_it_ends(engine: Any, generated: Path, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text("{}")
    result = hr.backtest(TellsPlace(), generated, engine=engine, files=[tmp_path / "model.json"])
    rows = [json.loads(text) for text in result.records["record"].to_pylist()]
    assert len(rows) == 8
    assert all(row["there"] for row in rows)
    assert [row["place"] for row in rows if os.path.exists(row["place"])] == []


def test_what_killed_processes_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(LIMIT)
    left = tmp_path / f"headrace-files-{ended.pid}-a1b2"
    others = [tmp_path / f"headrace-files-{os.getpid()}-a1b2", tmp_path / "headrace-files-of-a-user", tmp_path / "x"]
    for folder in (left, *others):
        folder.mkdir()
    folder = unpack_files({"model.json": b"{}"}, tmp_path)
    assert folder is not None
    assert Path(folder.name, "model.json").read_bytes() == b"{}"
    assert not left.exists()
    assert [other for other in others if not other.exists()] == []
    folder.cleanup()
