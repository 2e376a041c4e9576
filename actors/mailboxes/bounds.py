"""How far a receiver may be behind before letters that may be left out are left out."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Bounds:
    """How far a receiver may be behind; what may not be left out waits beyond it.

    Attributes:
        letters: that wait for it, 1 or more.
        seconds: for which the eldest of them has waited, above 0.
    """

    letters: int = 10_000
    seconds: float = 10.0

    def __post_init__(self) -> None:
        if self.letters < 1 or not self.seconds > 0:
            raise ValueError(f"{self}: expected at least 1 letter, and seconds above 0")
