"""Names of files as texts: a name is bytes, which need not be UTF-8; what is stored, hashed and shown must be."""

from __future__ import annotations

import os
import re

# Python stands a byte that it cannot decode for one half of a surrogate pair (os.fsdecode).
_HALVES = re.compile("[\ud800-\udfff]")
_BYTES = re.compile(r"\\x([89a-f][0-9a-f])")


def to_text(name: str) -> str:
    r"""A name, or a text with names in it, that can be encoded: bytes that are not UTF-8 stand as `\xe9`.

    `to_name` is the way back.
    """
    return name if name.isascii() else _HALVES.sub(_written, name)


def _written(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else "\N{REPLACEMENT CHARACTER}"


def to_name(text: str) -> str:
    """The system's name that `to_text` made a text of."""
    return _BYTES.sub(lambda match: chr(0xDC00 + int(match[1], 16)), text)


def name_of_file(text: str) -> str:
    """The name of a file that is there, by its name or by the text of it; else the text as it is."""
    if "\\x" not in text or os.path.exists(text):
        return text
    name = to_name(text)
    return name if os.path.exists(name) else text
