"""What actors log in processes of their own is logged where the system was started."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from headrace.actors.logs import json_formatter
from headrace.actors.shells.retold_logs import RetoldLogs


def line(message: str, level: int = logging.WARNING, at: float = 1_700_000_000.5, error: bool = False) -> str:
    told = {"name": "headrace", "levelno": level, "levelname": logging.getLevelName(level), "msg": message}
    record = logging.makeLogRecord({**told, "created": at, "msecs": at % 1 * 1000})
    if error:
        try:
            raise ValueError("my own mistake")
        except ValueError as raised:
            record.exc_info = (type(raised), raised, raised.__traceback__)
    return json_formatter().format(record) + "\n"


def test_lines_are_logged_once_in_order_of_their_times_with_their_errors(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    retold = RetoldLogs(tmp_path)
    (tmp_path / "c.log").write_text(line("second", at=1_700_000_001.25) + line("third", at=1_700_000_002.0, error=True))
    (tmp_path / "h1.log").write_text(line("first"))
    with caplog.at_level(logging.INFO, logger="headrace"):
        retold.take()
        retold.take()
    said = [record.getMessage().splitlines() for record in caplog.records]
    assert [words[0] for words in said] == ["first", "second", "third"]
    assert said[2][-1] == "ValueError: my own mistake"
    assert [record.created for record in caplog.records] == [1_700_000_000.5, 1_700_000_001.25, 1_700_000_002.0]
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_a_line_that_is_being_written_waits_and_what_is_no_line_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, retold = tmp_path / "h1.log", RetoldLogs(tmp_path)
    whole = line("whole")
    path.write_text(f"Killed\n[1]\n{json.dumps({'message': 'x'})}\n" + whole[:20])
    with caplog.at_level(logging.INFO, logger="headrace"):
        retold.take()
        assert caplog.messages == []
        with path.open("a") as file:
            file.write(whole[20:])
        retold.take()
        path.unlink()
        retold.take()
    assert caplog.messages == ["whole"]


def test_what_this_process_does_not_log_is_not_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "c.log").write_text(line("quiet", logging.INFO) + line("loud"))
    with caplog.at_level(logging.WARNING, logger="headrace"):
        RetoldLogs(tmp_path).take()
    assert caplog.messages == ["loud"]
