"""Files that travel with a run: `files=` and `hr.path`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import headrace as hr


class ReadsFile(hr.Strategy):
    def start(self, framework: Any) -> None:
        self.text = Path(hr.path("model.json")).read_text()

    def process_new_market(self, market: Any, book: Any) -> None:
        self.record(market, text=self.text)
        hr.path("modle.json")


@pytest.mark.ray
def test_files_are_found_in_every_process_and_a_wrong_name_names_the_nearest(
    ray_local: None, tmp_path: Path, one_market: str
) -> None:
    (tmp_path / "model.json").write_text("weights")
    for engine in ("local", "ray"):
        result = hr.backtest(ReadsFile(), one_market, engine=engine, files=[tmp_path / "model.json"])  # type: ignore[arg-type]
        assert result.records["record"].to_pylist() == ['{"text":"weights"}']
        (failure,) = result.failures.to_pylist()
        assert failure["message"] == "hr.path('modle.json'): no such file; did you mean 'model.json'?"


def test_files_that_cannot_be_sent_are_input_errors(tmp_path: Path, one_market: str) -> None:
    (tmp_path / "a").mkdir()
    for place in (tmp_path / "x", tmp_path / "a" / "x"):
        place.write_text("")
    with pytest.raises(hr.InputError, match="files: x is named twice"):
        hr.backtest(hr.Strategy(), one_market, files=[tmp_path / "x", tmp_path / "a" / "x"])
    with pytest.raises(hr.InputError, match=r"files: .*nowhere cannot be read: No such file"):
        hr.backtest(hr.Strategy(), one_market, files=[tmp_path / "nowhere"])


def test_path_without_files_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEADRACE_FILES", raising=False)
    with pytest.raises(hr.InputError, match=r"hr.path\('x'\): no such file; the run has no files; give files="):
        hr.path("x")
