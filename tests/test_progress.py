"""Progress: a bar where somebody looks, nothing where nobody does, and what was asked for everywhere."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import headrace as hr
from common_strategies import Backer
from headrace.cli import main
from headrace.cluster.progress import bar

#: Control sequences that hide and show the cursor: a bar that is closed properly has shown it again.
HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"


def on_a_terminal(script: str, until: str | None = None, stop: int = signal.SIGINT, **options: Any) -> tuple[int, str]:
    """Run a script whose standard error is a terminal; its exit code, and what the terminal got.

    Args:
        until: once this is on the terminal, the script gets the signal `stop`.
    """
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.DEVNULL, stderr=theirs, env=environment, **options
    )
    os.close(theirs)
    text, end = b"", time.monotonic() + 150
    try:
        while time.monotonic() < end:
            if not select.select([ours], [], [], 1)[0]:
                continue
            try:
                piece = os.read(ours, 4096)
            except OSError:  # Linux tells so that the other end is closed
                piece = b""
            if not piece:
                break
            text += piece
            if until is not None and until.encode() in text:
                until = None
                process.send_signal(stop)
        code = process.wait(timeout=150)
    finally:
        process.kill()
        process.wait(60)
        os.close(ours)
    return code, text.decode()


def bare(text: str) -> str:
    """What a terminal got, without its control sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


def script_of(call: str) -> str:
    """A script that knows this module's strategy."""
    tests = str(Path(__file__).parent)
    return f"import sys; sys.path.insert(0, {tests!r})\nfrom common_strategies import Backer, hr\n{call}\n"


def test_bar_is_on_a_terminal_unasked(generated: Path) -> None:
    code, text = on_a_terminal(script_of(f"hr.backtest(Backer(), {str(generated)!r}, engine='local')"))
    assert code == 0
    last = [line for line in bare(text).replace("\r", "\n").splitlines() if line.strip()][-1]
    assert re.search(r"replaying .*8/8 \d:\d\d:\d\d \d+ orders", last), last
    assert text.rfind(SHOWN) > text.rfind(HIDDEN) >= 0


def test_bar_of_a_sweep_tells_sets_and_orders_that_are_not_kept(generated: Path) -> None:
    call = f"print(hr.sweep(Backer, {{'stake': [2, 3]}}, {str(generated)!r}, engine='local'))"
    code, text = on_a_terminal(script_of(call))
    assert code == 0
    assert re.search(r"sweeping 2 sets .*8/8 .*[1-9]\d* orders", bare(text))


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_bar_counts_orders_of_a_run_that_is_kept(generated: Path, tmp_path: Path, scheme: str) -> None:
    call = f"hr.backtest(Backer(), {str(generated)!r}, engine='local', out={f'{scheme}{tmp_path}/out'!r})"
    code, text = on_a_terminal(script_of(call))
    assert code == 0
    assert re.search(r"8/8 \d:\d\d:\d\d [1-9]\d* orders", bare(text))


def test_bar_tells_failures(generated: Path, tmp_path: Path) -> None:
    (tmp_path / "1.1.bz2").write_bytes(b"no recording")
    call = f"hr.backtest(Backer(), [{str(generated)!r}, {str(tmp_path)!r}], engine='local')"
    assert re.search(r"9/9 .*1 failure, \d+ orders", bare(on_a_terminal(script_of(call))[1]))


def test_no_bar_on_a_terminal_where_it_is_not_wanted(generated: Path) -> None:
    call = f"hr.backtest(Backer(), {str(generated)!r}, engine='local', progress=False)"
    assert on_a_terminal(script_of(call)) == (0, "")


def test_bar_is_closed_at_ctrl_c(generated: Path) -> None:
    slow = (
        "import time\nclass Slow(Backer):\n    def process_new_market(self, market, book):\n        time.sleep(0.3)\n"
        f"hr.backtest(Slow(), {str(generated)!r}, engine='local')"
    )
    code, text = on_a_terminal(script_of(slow), until="2/8")
    assert code != 0
    assert "KeyboardInterrupt" in text
    assert text.rfind(SHOWN) > text.rfind(HIDDEN) >= 0


def test_bar_is_gone_where_the_run_could_not_start(tmp_path: Path) -> None:
    code, text = on_a_terminal(script_of(f"hr.backtest(Backer(), {str(tmp_path / 'none')!r}, engine='local')"))
    assert code == 1
    assert text.rfind(SHOWN) > text.rfind(HIDDEN) >= 0
    # The line is erased, and the error stands where it was.
    assert "\x1b[2K" in text[text.rfind("replaying") :]
    assert "InputError" in text


def test_what_a_strategy_prints_into_a_file_stays_there(generated: Path, tmp_path: Path) -> None:
    call = (
        f"sys.stdout = open({str(tmp_path / 'said')!r}, 'w')\nclass Says(Backer):\n"
        "    def process_new_market(self, market, book):\n        print('new', market.market_id)\n"
        f"hr.backtest(Says(), {str(generated)!r}, engine='local')\nsys.stdout.close()"
    )
    code, text = on_a_terminal(script_of(call))
    assert code == 0
    assert "8/8" in text
    assert "new 1." not in text
    assert (tmp_path / "said").read_text().count("new 1.") == 8


@pytest.mark.parametrize(
    ("words", "label"),
    [
        (["catalog", "MARKETS", "--out", "catalog.parquet"], "cataloguing"),
        (["pack", "MARKETS", "packed"], "packing"),
        (["prices", "--markets", "MARKETS", "--out", "prices"], "sampling prices"),
        (["generate", "--markets", "8", "--changes", "60", "--out", "made"], "generating"),
    ],
)
def test_commands_have_the_same_bar(words: list[str], label: str, generated: Path, tmp_path: Path) -> None:
    words = [str(generated) if word == "MARKETS" else word for word in words]
    command = f"from headrace.cli import main\nmain({words!r})"
    code, text = on_a_terminal(command, cwd=tmp_path)
    assert code == 0
    assert re.search(rf"{label} .*8/8", bare(text))


def test_quiet_command_has_no_bar(generated: Path, tmp_path: Path) -> None:
    words = ["catalog", str(generated), "--out", "catalog.parquet", "--quiet"]
    assert on_a_terminal(f"from headrace.cli import main\nmain({words!r})", cwd=tmp_path) == (0, "")


def test_nothing_is_shown_in_a_pipe_and_rich_is_not_loaded(generated: Path) -> None:
    call = (
        f"hr.backtest(Backer(), {str(generated)!r}, engine='local')\n"
        f"hr.sweep(Backer, {{'stake': [2]}}, {str(generated)!r}, engine='local')\n"
        "sys.exit('rich' in sys.modules or 'IPython' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", script_of(call)], capture_output=True, text=True, timeout=150)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_in_a_pipe_true_gives_plain_lines(generated: Path) -> None:
    call = f"hr.backtest(Backer(), {str(generated)!r}, engine='local', progress=True)"
    ended = subprocess.run([sys.executable, "-c", script_of(call)], capture_output=True, text=True, timeout=150)
    assert ended.returncode == 0
    assert "\x1b" not in ended.stderr
    assert re.fullmatch(r"replaying 8/8, \d+ orders.*", ended.stderr.splitlines()[-1])


def test_lines_tell_time_left_every_ten_seconds(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with bar(True, "replaying") as shown:
        assert shown is not None
        for done in range(1, 51):
            now[0] += 1.0
            shown(done, 50)
    assert capsys.readouterr().err.splitlines() == [
        "replaying 1/50",
        *(f"replaying {done}/50, 0:00:{50 - done:02} left" for done in (11, 21, 31, 41)),
        "replaying 50/50",
    ]


def test_function_is_called_after_each_batch_and_nothing_is_shown(generated: Path, capsys: Any) -> None:
    seen = []
    hr.backtest(Backer(), generated, engine="local", progress=lambda done, total, part: seen.append((done, total)))
    assert seen == [(done, 8) for done in range(1, 9)]
    assert capsys.readouterr().err == ""


def test_other_values_are_refused_before_anything_runs(generated: Path) -> None:
    wrong: Any = "bar"
    with pytest.raises(hr.InputError, match="progress='bar': expected None, True, False, or a function"):
        hr.backtest(Backer(), generated, progress=wrong)
    with pytest.raises(hr.InputError, match="progress='bar'"):
        hr.sweep(Backer, {"stake": [2]}, generated, progress=wrong)


def test_command_in_a_pipe_shows_its_table_only(generated: Path, tmp_path: Path) -> None:
    ended = CliRunner().invoke(main, ["catalog", str(generated), "--out", str(tmp_path / "catalog.parquet")])
    assert ended.exit_code == 0
    assert ended.stderr == ""
