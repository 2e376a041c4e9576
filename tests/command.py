"""The command `headrace`, called in this process."""

from __future__ import annotations

from typing import Any

from click.testing import CliRunner, Result

from headrace.cli import main


def call(*words: object, **how: Any) -> Result:
    """Run the command; an error that escapes from it, or is shown with its traceback, fails the test.

    Args:
        how: further settings of click's `CliRunner.invoke`, such as `input`.
    """
    ended = CliRunner().invoke(main, [str(word) for word in words], **how)
    assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
    assert "Traceback" not in ended.output + ended.stderr
    return ended
