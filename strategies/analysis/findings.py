"""What a check of a strategy found: one thing to look at each."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing to look at.

    Attributes:
        file: the source file, as it was named.
        line: in it, from 1.
        code: "wall-clock", "random", "module-state", "market-state", "scope", "unpicklable", "parameter" or "callback".
        message: what is there.
        advice: what to do instead.
    """

    file: str
    line: int
    code: str
    message: str
    advice: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.code}: {self.message}; {self.advice}"
