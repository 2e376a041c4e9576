"""Messages as the command line speaks: options in place of arguments of Python."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator

from ...actors.logs import FailureLine

#: Arguments that are options by another name; those of `_SAME` have their own.
_NAMED = {"files": "--file", "trials": "--search", "sports": "--sport"}
_SAME = (
    "out", "resume", "engine", "workers", "catalogues", "sports_data", "custom_events", "split", "random", "seed", "by",
    "batch", "orders", "raise_errors", "band", "max_order_exposure", "max_selection_exposure", "markets", "every",
    "compression", "minutes_before", "before_start", "in_step", "generate", "port", "https_port", "certlogin_port",
    "stream_port", "plain_stream_port", "page_port",
)  # fmt: skip
_OPTIONS = {name: f"--{name.replace('_', '-')}" for name in _SAME} | _NAMED
_VALUE = r"True\b|'[^']*'|\"[^\"]*\"|\[\.\.\.\]|-?[\w.:/]+(?<![.:])"
_ARGUMENT = re.compile(rf"(?<![^\s(])(?<!\w\()({'|'.join(_OPTIONS)})=({_VALUE})?")
#: An option that a message names beside the argument is not to be named twice.
_TWICE = re.compile(r"(--[\w-]+)((?: [^\s,;()]+)?)(?: \(\1\2\)|, \1\2\b)")


def in_options(text: str) -> str:
    """A message with options in place of arguments: `files=[...]` is `--file`, `resume=True` is `--resume`."""

    def option(match: re.Match[str]) -> str:
        name, value = _OPTIONS[match[1]], (match[2] or "").strip("'\"")
        return name if value in ("", "True", "[...]") else f"{name} {value}"

    def spoken(line: str) -> str:
        # Commands and code stand indented, and as they are.
        return line if line.startswith("  ") else _TWICE.sub(r"\1\2", _ARGUMENT.sub(option, line))

    return "\n".join(map(spoken, text.split("\n")))


class _Spoken(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if not isinstance(record.msg, FailureLine):  # that is the user's own text
            record.msg, record.args = in_options(record.getMessage()), None
        return True


@contextlib.contextmanager
def speaking() -> Iterator[None]:
    """Have the package's log lines speak so while the block runs."""
    logger, spoken = logging.getLogger("headrace"), _Spoken()
    logger.addFilter(spoken)
    try:
        yield
    finally:
        logger.removeFilter(spoken)
